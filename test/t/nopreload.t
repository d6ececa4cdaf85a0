#!/usr/bin/env bash
# Without shared_preload_libraries everything works; what is counted then is counted by each session for itself.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

db=''
LABOS_PRELOAD=no cluster db
laboratory "$db" lab
q() { sql "$db" lab "$@"; }
like "labos is not preloaded" "$(q -c 'show shared_preload_libraries')" '^$'
is "the session knows it" "$(q -c 'select shared, hash_slots_used from labos.throttle_state()')" 'f|'
like "the doctor says what is missing" "$(q -c "select found from labos.doctor() where name = 'all sessions count together'")" 'not in shared_preload_libraries'
is "the database's setting loads the library in time" "$(q -c "select ok from labos.doctor() where name like 'the library is loaded%'")" t
like "and where it is gone the doctor says so" \
  "$(q -c begin -c 'alter database lab reset session_preload_libraries' -c "select found from labos.doctor() where name like 'the library is loaded%'" -c rollback)" 'session_preload_libraries'

# One session counts; another does not know.
is "a session counts for itself" "$(q -c "select labos.throttle('t', 'k', 0.01, 1) = 0, labos.throttle('t', 'k', 0.01, 1) > 0")" 't|t'
is "another one begins anew" "$(q -c "select labos.throttle('t', 'k', 0.01, 1)")" 0
is "P29 also here a ROLLBACK takes nothing back" \
  "$(q -c begin -c "select labos.throttle('t', 'k', 0.01, 1)" -c rollback -c "select labos.throttle('t', 'k', 0.01, 1) > 0" | tail -n 1)" t
is "P56 its table is bounded" "$(q -c "select count(labos.throttle('t', i::text, 0.01, 5)) from generate_series(1, 20000) i" -c 'select throttle_used <= throttle_slots and throttle_slots < 2000 from labos.throttle_state()' | tail -n 1)" t

# Refusals wait in their session until something of it writes.
q >/dev/null <<'SQL'
create role jane login;
grant lab_user to jane;
SQL
is "a refusal is logged by its session" "$(q -c "do \$\$ begin perform labos.require_permission('sample:create'); exception when others then null; end \$\$" \
  -c "do \$\$ begin perform labos.login('no token'); exception when others then null; end \$\$" -c 'select labos.access_events_flush()')" 1
is "and stands in the log" "$(q -c "select count(*) from lab_data.access_logs where event = 'token_rejected'")" 1

# Places for hashes are locks of the server: they hold for all sessions together.
q -c 'alter system set labos.hash_slots = 1' -c 'alter system set labos.hash_queue = 1' -c 'select pg_reload_conf()' >/dev/null
sleep 0.5
hash="select left(labos.password_hash('Correct-Horse-7'), 9)"
is "a hash is made" "$(q -c "$hash")" '$argon2id'
is "and no lock is left" "$(q -c "select count(*) from pg_locks where locktype = 'advisory'")" 0
locks() { [ "$(q -c "select count(*) from pg_locks where locktype = 'advisory'")" = "$1" ]; }
until_true() { local i; for ((i = 0; i < 200; i++)); do ! "$@" || return 0; sleep 0.1; done; return 1; }
q -c begin -c 'select labos.hash_slot_acquire()' -c 'select pg_sleep(60)' >/dev/null 2>&1 &
ok "a session holds the place" until_true locks 1
q -c "$hash" >"$db/waits" 2>&1 &
ok "a second one waits" until_true locks 2
like "a third one is refused" "$(q -c "$hash" 2>&1)" 'too many passwords are being checked'
is "no SQL function reaches these locks" "$(q -c 'select pg_try_advisory_lock(0), pg_try_advisory_lock(0, 0)' -c 'select pg_advisory_unlock_all()' | head -n 1)" 't|t'
q -c "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()" >/dev/null
wait
is "who waited is served when the holder is terminated" "$(cat "$db/waits")" '$argon2id'
is "and nothing is left" "$(q -c "select count(*) from pg_locks where locktype = 'advisory'")" 0
like "an error gives the place back" "$(q -c "select labos.hash_slot_acquire(), 1 / (random() * 0)::integer" 2>&1; q -c "$hash")" 'argon2id'

# And the main thing works.
q -c "update lab_private.identity_settings set bootstrapped_at = bootstrapped_at" >/dev/null
q >/dev/null <<'SQL'
do $$ begin if not exists (select from lab_private.signing_keys where retired_at is null) then perform lab_private.signing_key_add('EdDSA', now()); end if; end $$;
insert into lab_data.users (email, username, is_verified) values ('thea@one.test', 'thea', true);
insert into lab_data.memberships (org_id, user_id, is_default) select o.id, u.id, true from lab_data.organizations o, lab_data.users u where u.username = 'thea' order by o.id limit 1;
select lab_private.password_set(u.id, 'Correct-Horse-7', 'thea@one.test', 'thea') from lab_data.users u where u.username = 'thea';
SQL
is "a sign-in works" "$(q -c "select lab.auth_login('thea', 'Correct-Horse-7') ->> 'token_type'")" Bearer
is "and a failure is one" "$(q -c "select lab.auth_login('thea', 'wrong') ->> 'code'")" invalid_credentials
done_testing
