#!/usr/bin/env bash
# Many at once: password hashes have few places, and none is lost to whatever ends a session; failures of one
# address are counted together, whatever becomes of their transactions. Numbers are those of the identity checklist.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

db=''
cluster db
bin=$(readlink "$db/bin")
laboratory "$db" lab
# The longest hash there is, so that what holds a place can be caught; everybody but the superuser has a password.
cat >>"$db/data/postgresql.conf" <<'CONF'
listen_addresses = '127.0.0.1'
labos.hash_slots = 2
labos.hash_queue = 3
labos.login_failures_per_address = 40
CONF
pg_stop "$db" "$bin"
port=$(free_port)
pg_start "$db" "$bin" "$port"
as_pg tee "$db/data/pg_hba.conf" >/dev/null <<'HBA'
local all all           trust
host  all all 127.0.0.1/32 trust
HBA
q() { as_pg "$bin/psql" -X -q -A -t -h "$db" -p "$port" -U postgres -d lab "$@"; }
q -c 'select pg_reload_conf()' >/dev/null
state() { q -c "select $1 from labos.throttle_state()"; }
# until COMMAND...: waits up to 20 s for it to succeed.
until_true() { local i; for ((i = 0; i < 200; i++)); do ! "$@" || return 0; sleep 0.1; done; return 1; }
holds() { [ "$(state "$1")" = "$2" ]; }

q <<'SQL'
create function public.hash(passes integer) returns text language sql as
$$ select set_config('labos.argon2_iterations', passes::text, true); select set_config('labos.argon2_memory', '256MB', true); select left(labos.password_hash('Correct-Horse-7'), 9) $$;
insert into lab_data.users (email, username, is_verified) values ('thea@one.test', 'thea', true);
insert into lab_data.memberships (org_id, user_id, is_default) select o.id, u.id, true from lab_data.organizations o, lab_data.users u where u.username = 'thea' order by o.id limit 1;
select lab_private.password_set(u.id, 'Correct-Horse-7', 'thea@one.test', 'thea') from lab_data.users u where u.username = 'thea';
do $$ begin if not exists (select from lab_private.signing_keys where retired_at is null) then perform lab_private.signing_key_add('EdDSA', now()); end if; end $$;
create role jane login;
grant lab_user to jane;
SQL

# places -----------------------------------------------------------------------
for i in $(seq 40); do q -c "select public.hash(10)" >"$db/hash.$i" 2>&1 & pids[i]=$!; done
most=0 waiting=0
while jobs -r | grep -q .; do
  IFS='|' read -r u w < <(state 'hash_slots_used, hash_waiting')
  [ "${u:-0}" -le "$most" ] || most=$u
  [ "${w:-0}" -le "$waiting" ] || waiting=$w
done
wait "${pids[@]}"
made=$(cat "$db"/hash.* | grep -c '^\$argon2id$')
refused=$(cat "$db"/hash.* | grep -c 'too many passwords are being checked')
is "forty at once: two at a time" "$most" 2
ok "three at most wait" test "$waiting" -le 3
is "each was hashed or refused" "$((made + refused))" 40
ok "and most were refused" test "$refused" -gt 10
is "no place is left taken" "$(state 'hash_slots_used, hash_waiting')" '0|0'
like "a refusal has its code" "$(cat "$db"/hash.*)" '"code": "busy", "retry_after": 1'

# hold: a session that has a place and does not give it back.
hold() { q -c 'begin' -c 'select labos.hash_slot_acquire()' -c 'select pg_sleep(60)' >/dev/null 2>&1 & }
victim() { q -c "select pid from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid() limit 1"; }
end_all() { q -c "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()" >/dev/null; }
hold; hold
ok "two hold both places" until_true holds hash_slots_used 2
for i in 1 2 3; do q -c 'select public.hash(1)' >"$db/wait.$i" 2>&1 & pids[i]=$!; done
ok "three wait" until_true holds hash_waiting 3
like "the sixth is refused" "$(q -c 'select public.hash(1)' 2>&1)" 'too many passwords'
q -c "select pg_cancel_backend(pid) from pg_stat_activity where query like '%public.hash(1)%' and pid <> pg_backend_pid() limit 1" >/dev/null
ok "who is cancelled while waiting leaves the queue" until_true holds hash_waiting 2
q -c "select pg_terminate_backend(pid) from pg_stat_activity where query like '%public.hash(1)%' and pid <> pg_backend_pid() limit 1" >/dev/null
ok "who is terminated while waiting, too" until_true holds hash_waiting 1
q -c "select pg_terminate_backend($(victim))" >/dev/null
ok "a holder that is terminated gives its place to who waits" until_true holds hash_waiting 0
q -c "select pg_cancel_backend($(victim))" >/dev/null
ok "a holder that is cancelled gives it back" until_true holds hash_slots_used 0
wait
is "who waited was served, the others were not" "$(cat "$db"/wait.* | grep -c '^\$argon2id')" 1

# P29 A busy server charges nobody.
hold; hold
until_true holds hash_slots_used 2
q -c 'alter system set labos.hash_queue = 0' -c 'select pg_reload_conf()' >/dev/null
sleep 0.5
like "a sign-in is refused" "$(q -c "select lab.auth_login('thea', 'wrong')" 2>&1)" 'too many passwords'
like "so is one of an unknown name" "$(q -c "select lab.auth_login('nobody', 'wrong')" 2>&1)" 'too many passwords'
is "and nothing is charged" "$(q -c "select g.failed from lab_private.login_guard g join lab_data.users u on u.id = g.user_id where u.username = 'thea'")" 0
is "refusals are counted" "$(state 'refused_busy > 12')" t
end_all
wait

# kill -9 of a session: the postmaster makes shared memory anew.
q -c 'alter system reset labos.hash_queue' -c 'select pg_reload_conf()' >/dev/null
hold
until_true holds hash_slots_used 1
kill -9 "$(victim)"
wait
ok "after a crash the server comes back" until_true q -c 'select 1'
is "with all its places" "$(state 'hash_slots_used, hash_waiting')" '0|0'
like "and hashes" "$(q -c 'select public.hash(1)')" '^\$argon2id'

# failures of one address ----------------------------------------------------------
# P54 P29 Guesses by a SQL client over TCP: ROLLBACK, savepoint, exception, cancel, disconnect, many at once.
guess() { as_pg "$bin/psql" -X -q -A -t -h 127.0.0.1 -p "$port" -U jane -d lab "$@" 2>&1; }
q -c "alter system set labos.hash_queue = 1000" -c "select pg_reload_conf()" >/dev/null
guess -c begin -c "select lab.auth_login('nobody', 'x')" -c rollback >/dev/null
guess -c begin -c 'savepoint s' -c "select lab.auth_login('nobody', 'x')" -c 'rollback to s' -c commit >/dev/null
guess -c "do \$\$ begin perform lab.auth_login('nobody', 'x'); raise exception 'no'; end \$\$" >/dev/null
guess -c "select lab.auth_login('nobody', 'x') -> 'code' -> 'x', 1 / (random() * 0)::integer" >/dev/null
guess -c 'set statement_timeout = 20' -c "select lab.auth_login('nobody', 'x')" >/dev/null
for i in $(seq 5); do guess -c "select lab.auth_login('nobody', 'x')" >/dev/null & pids[i]=$!; done
sleep 0.05
q -c "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'jane'" >/dev/null
wait
for i in $(seq 60); do guess -c "select lab.auth_login('thea$i', 'x') ->> 'code'" >"$db/guess.$i" & pids[i]=$!; done
wait
wrong=$(cat "$db"/guess.* | grep -c invalid_credentials)
limited=$(cat "$db"/guess.* | grep -c too_many_attempts)
is "sixty at once: each is answered or refused" "$((wrong + limited))" 60
ok "no more pass than were left of forty" test "$wrong" -le 36
ok "and those that came before count" test "$wrong" -ge 28
like "the right password is refused there too" "$(guess -c "select lab.auth_login('thea', 'Correct-Horse-7')")" 'too_many_attempts'
is "and no account was charged for it" "$(q -c "select g.failed from lab_private.login_guard g join lab_data.users u on u.id = g.user_id where u.username = 'thea'")" 0
is "another address signs in" "$(q -c "select lab.auth_login('thea', 'Correct-Horse-7') ->> 'token_type'")" Bearer
ok "it is in the access log" test "$(q -c 'select labos.access_events_flush()' -c "select count(*) from lab_data.access_logs where event = 'too_many_attempts' and ip = '127.0.0.1' and detail ->> 'kind' = 'password'" | tail -n 1)" -ge 1
done_testing
