/*
 * Room: guards (code)
 *
 * Single uses and counts of lab_private.use_guard, which no ROLLBACK, error,
 * disconnect or crash takes back (P29). src/identity/login_guard.c.
 */

create function labos.use_guard_advance(id uuid, value integer) returns boolean
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_use_guard_advance';
comment on function labos.use_guard_advance(uuid, integer) is
  'Moves a guard forwards, in place and for good: true for the one caller who did. With value 1: the single use.';

create function labos.use_guard_charge(id uuid, most integer) returns integer
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_use_guard_charge';
comment on function labos.use_guard_charge(uuid, integer) is
  'Counts a try before it is checked, in place and for good; null when so many have been counted already.';

create function labos.use_guard_attempt(id uuid, most integer, lock_seconds integer, out attempts integer, out locked_until timestamptz)
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_use_guard_attempt';
comment on function labos.use_guard_attempt(uuid, integer, integer) is
  'Counts an attempt before it is checked, in place and for good; null while locked. Every so many locks, each time for twice as long; the hundredth in a row until it is reset.';

create function labos.use_guard_reset(id uuid) returns void
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_use_guard_reset';
comment on function labos.use_guard_reset(uuid) is 'Forgets the attempts counted and the lock, in place and for good.';

revoke all on function labos.use_guard_advance(uuid, integer), labos.use_guard_charge(uuid, integer),
  labos.use_guard_attempt(uuid, integer, integer), labos.use_guard_reset(uuid) from public;
