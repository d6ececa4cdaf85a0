#!/usr/bin/env bash
# 200 sign-ins at once: how soon the excess is refused, what memory they take, what another query notices; a million keys; the cost of limits per request.
# Sign-ins are of unknown names (the same work as a wrong password), each on a connection of its own, again and again with a pause of
# a second; the other query is a count of users on one more connection, with and without them in turn, medians of three rounds.
# Memory: anonymous pages of all backends beyond 20 MB each, which none has that does not hash; the most that was seen.
# The cost of limits: labos.pre_request() as the gateway with the default limits and with all off, beside one HTTP request in all.
set -euo pipefail
. "${LABOS_TOP:?}/bin/lib.sh"
q() { psql -X -q -v ON_ERROR_STOP=1 -A -t "$@"; }
line() { printf '{"name": "%s", "unit": "%s", "ours": %s, "peer": %s, "peer_name": %s, "ratio": %s, "goal": %s, "met": %s}\n' "$@"; }
less() { awk -v a="$1" -v b="$2" 'BEGIN { print (a <= b) ? "true" : "false" }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }
files=$(mktemp -d "${TMPDIR:-/tmp}/labos-bench-XXXXXX")
trap 'rm -rf "$files"' EXIT

q -c 'alter system set max_connections = 300'
as_pg "$LABOS_BIN/pg_ctl" -D "$LABOS_DIR/data" -w -l "$LABOS_DIR/server.log" restart >/dev/null
q <<'SQL'
create schema bench;
create unlogged table bench.logins (outcome text, ms float8);
create function bench.sign_in(n integer) returns void language plpgsql as $$
declare
  v_start timestamptz := clock_timestamp();
begin
  perform lab.auth_login('nobody-' || n, 'wrong');
  insert into bench.logins values ('answered', extract(epoch from clock_timestamp() - v_start) * 1000);
exception when sqlstate 'PT429' then
  insert into bench.logins values ('refused', extract(epoch from clock_timestamp() - v_start) * 1000);
end $$;
SQL
cat >"$files/login.sql" <<'SQL'
\set wait random(1, 1000)
\sleep :wait ms
select bench.sign_in(:client_id);
\set rest 1000 - :wait
\sleep :rest ms
SQL
echo 'select count(*) from lab_data.users;' >"$files/other.sql"

# The 99th percentile of the other query, ms.
other() {
  rm -f "$files"/other.log*
  (cd "$files" && "$LABOS_BIN/pgbench" -n -M prepared -c 1 -R 200 -T 8 -l --log-prefix=other.log -f other.sql >/dev/null 2>&1)
  # Column 3: microseconds from the time it was due.
  awk '{ print $3 }' "$files"/other.log* | sort -n | awk '{ v[NR] = $1 } END { printf "%.3f", v[int(NR * 0.99)] / 1000 }'
}
hashing_mb() {
  q -c "select '/proc/' || pid || '/status' from pg_stat_activity where backend_type = 'client backend'" | xargs cat 2>/dev/null \
    | awk '/^RssAnon/ && $2 > 20480 { s += $2 } END { printf "%.0f\n", s / 1024 }' || true
}

middle() { tr ' ' '\n' <<<"$1" | grep . | sort -n | sed -n 2p; }
idle='' busy=''
for _ in 1 2 3; do
  idle="$idle $(other)"
  "$LABOS_BIN/pgbench" -n -c 200 -j 2 -T 13 -f "$files/login.sql" >"$files/pgbench.out" 2>&1 &
  load=$!
  sleep 4
  (while kill -0 $load 2>/dev/null; do hashing_mb; sleep 0.2; done) >>"$files/memory" &
  busy="$busy $(other)"
  wait $load || true
  wait
done
idle=$(middle "$idle") busy=$(middle "$busy")
IFS='|' read -r answered refused p50 p99 < <(q -c "select count(*) filter (where outcome = 'answered'), count(*) filter (where outcome = 'refused'),
  percentile_cont(0.5) within group (order by ms) filter (where outcome = 'refused'), percentile_cont(0.99) within group (order by ms) filter (where outcome = 'refused') from bench.logins")
peak=$(sort -n "$files/memory" | tail -n 1)
slots=$(q -c 'select hash_slots from labos.throttle_state()')
say "   $answered answered, $refused refused (median $p50 ms), $slots hash slots; memory of those that hash $peak MB"
line throttle_refused_p50 ms "$(printf %.2f "$p50")" null null null 5 "$(less "$p50" 5)"
line throttle_refused_p99 ms "$(printf %.2f "$p99")" null null null null null
line throttle_hash_memory MB "$peak" "$((slots * 46))" '"labos.hash_slots x labos.argon2_memory"' "$(ratio "$peak" $((slots * 46)))" 1.5 "$(less "$peak" $((slots * 69)))"
line throttle_other_p99 ms "$busy" "$idle" '"the same without sign-ins"' "$(ratio "$busy" "$idle")" 2 "$(less "$busy" "$(awk -v i="$idle" 'BEGIN { print 2 * i }')")"

# A million keys: memory is what it was, each counts in about a microsecond, and a full counter stays full.
q -c "select count(labos.throttle('bench', 'victim', 0.001, 50)) from generate_series(1, 50)" >/dev/null
ns=$(q -c "select count(*) from generate_series(1, 1000000)" -c '\timing on' -c "select count(labos.throttle('bench', 'key ' || i, 0.001, 50)) from generate_series(1, 1000000) i" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p')
bytes=$(q -c "select round(allocated_size / 1024.0) from pg_shmem_allocations where name = 'labos'")
kept=$(q -c "select labos.throttle('bench', 'victim', 0.001, 50) > 0")
say "   a million keys later the full counter is $([ "$kept" = t ] && echo still full || echo GONE)"
line throttle_million_keys us "$(awk -v t="$ns" 'BEGIN { printf "%.2f", t / 1000 }')" null null null 5 "$(less "$ns" 5000)"
line throttle_memory kB "$bytes" 62500 '"64 bytes a key"' "$(ratio "$bytes" 62500)" 1 "$([ "$kept" = t ] && less "$bytes" 62500 || echo false)"

# What limits cost a request.
q -c 'update lab_private.identity_settings set trusted_proxies = 1'
cost() {
  PGOPTIONS='' psql -X -q -v ON_ERROR_STOP=1 -A -t <<'SQL'
set session authorization lab_authenticator;
begin;
select set_config('request.method', 'GET', true), set_config('request.path', '/samples', true),
  set_config('request.headers', '{"x-forwarded-for":"192.0.2.1","user-agent":"bench","accept":"*/*","host":"localhost:3000"}', true) \g /dev/null
do $$ begin for i in 1..20000 loop perform labos.pre_request(); end loop; end $$;
select clock_timestamp() as t \gset
do $$ begin for i in 1..200000 loop perform labos.pre_request(); end loop; end $$;
select round((extract(epoch from clock_timestamp() - :'t') * 1e6 / 200000)::numeric, 3);
commit;
SQL
}
limits() { for l in user address auth write read; do q -c "alter system set labos.rate_limit_$l = '$1'"; done; q -c 'select pg_reload_conf()' >/dev/null; sleep 1; }
on='' off=''
for _ in 1 2 3; do
  limits 1000000/s:1000000; on="$on $(cost)"
  limits off; off="$off $(cost)"
done
on=$(middle "$on") off=$(middle "$off")
start=$(date +%s%N)
curl -s -o /dev/null "$LABOS_URL/rpc/jwks?n=[1-500]"
request=$(awk -v a="$start" -v b="$(date +%s%N)" 'BEGIN { printf "%.1f", (b - a) / 500000 }')
extra=$(awk -v a="$on" -v b="$off" 'BEGIN { printf "%.3f", a - b }')
say "   labos.pre_request(): $on us with limits, $off us without"
line throttle_limits_cost us "$extra" "$request" '"one HTTP request"' "$(ratio "$extra" "$request")" 0.03 "$(less "$(ratio "$extra" "$request")" 0.03)"
q -c 'drop schema bench cascade' 2>/dev/null
