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
revoke all on function labos.use_guard_advance(uuid, integer), labos.use_guard_charge(uuid, integer) from public;
