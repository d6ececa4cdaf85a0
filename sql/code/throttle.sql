/*
 * Room: throttle (code)
 *
 * What all sessions count together: attempts, requests, password hashes under
 * way, refusals for the access log. src/identity/throttle.c and its neighbours.
 *
 * Holds    hash_slot_acquire, hash_slot_release, throttle, login_throttle, login_throttle_failed,
 *          client_address, address_parse, access_events_take,
 *          access_events_flush, throttle_state
 * Used by  identity; granted to lab_owner only, but client_address
 */

create function labos.hash_slot_acquire() returns void
  language c volatile parallel restricted as 'MODULE_PATHNAME', 'labos_hash_slot_acquire';
comment on function labos.hash_slot_acquire() is
$$Takes the place for the next password hash of this transaction

To be called before an attempt is charged; between this and the hash, which gives it back, nothing may wait for a row. Waits in a queue of labos.hash_queue; PT429 busy when that is full.$$;

create function labos.hash_slot_release() returns void
  language c volatile parallel restricted as 'MODULE_PATHNAME', 'labos_hash_slot_release';
comment on function labos.hash_slot_release() is 'Gives the place for a password hash back, when after all nothing is to be hashed.';

create function labos.throttle(kind text, key text, per_second double precision, burst integer) returns double precision
  language c volatile strict parallel restricted as 'MODULE_PATHNAME', 'labos_throttle';
comment on function labos.throttle(text, text, double precision, integer) is
$$Counts one use of a key; the seconds to wait when there were too many

0: within the limit, and counted, whatever becomes of the transaction. per_second uses in the long run, burst at once. Forgotten when the server starts.$$;

create function labos.login_throttle(kind text) returns void
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_login_throttle';
comment on function labos.login_throttle(text) is
$$Refuses a client address with too many failed sign-ins of this kind

The first thing that a call with a secret does. The attempt is counted until the transaction commits, and for good after labos.login_throttle_failed() or anything but a commit. PT429 too_many_attempts beyond labos.login_failures_per_address.$$;

create function labos.login_throttle_failed(kind text) returns void
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_login_throttle_failed';
comment on function labos.login_throttle_failed(text) is
  'The last attempt that labos.login_throttle() counted in this transaction has failed: it stays counted.';

create function labos.client_address() returns inet
  language c stable parallel restricted as 'MODULE_PATHNAME', 'labos_client_address';
comment on function labos.client_address() is
$$The address of the client

What the outermost trusted proxy wrote into X-Forwarded-For (identity_settings.trusted_proxies), else the peer of the connection, which is the gateway's own over HTTP; null over a local socket.$$;

create function labos.address_parse(entry text) returns inet
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_address_parse';
comment on function labos.address_parse(text) is
  'An entry of X-Forwarded-For as an address, with or without a port; null for anything else, a netmask among it.';

create function labos.access_events_take(
    out event text, out user_id uuid, out org_id uuid, out session_id uuid, out what text, out ip inet, out request_id text,
    out count integer, out at timestamptz) returns setof record
  language c volatile parallel unsafe rows 10 as 'MODULE_PATHNAME', 'labos_access_events_take';
comment on function labos.access_events_take() is
  'Refusals that were noted for the access log; they are put back unless this transaction commits. For lab_private.access_events_write().';

create function labos.access_events_flush() returns integer
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_access_events_flush';
comment on function labos.access_events_flush() is
$$Writes refusals into the access log

permission_denied, token_rejected and too_many_attempts are raised, so their own transaction cannot log them; they are noted in memory and written by the next that can. Returns how many rows.$$;

create function labos.throttle_state(
    out shared boolean, out hash_slots integer, out hash_slots_used integer, out hash_waiting integer,
    out throttle_slots bigint, out throttle_used bigint, out events_waiting integer, out events_lost bigint,
    out refused_busy bigint, out refused_logins bigint, out refused_requests bigint)
  language c volatile parallel restricted as 'MODULE_PATHNAME', 'labos_throttle_state';
comment on function labos.throttle_state() is
$$What is counted, held and refused

shared: counted by all sessions together, because labos is in shared_preload_libraries; otherwise by this session for itself. The last four since the server's start.$$;

revoke all on function
  labos.hash_slot_acquire(), labos.hash_slot_release(), labos.throttle(text, text, double precision, integer), labos.login_throttle(text),
  labos.login_throttle_failed(text), labos.client_address(), labos.address_parse(text), labos.access_events_take(),
  labos.access_events_flush(), labos.throttle_state()
  from public;
