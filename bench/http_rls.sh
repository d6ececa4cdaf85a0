#!/usr/bin/env bash
# A page of 50 samples over HTTP with row security as deployed, beside the same page of a copy of the table without it,
# behind a plain view with the organisation as a constant: requests a second on one connection, and processor time of
# PostgREST and its backends a request. The rest of a request (token, live session, limits) is the same on both sides.
# LABOS_BENCH_ROWS (100000) of 100 organisations; rounds in turn, medians.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE, LABOS_URL of a server with labos deployed (make bench gives one).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "${LABOS_TOP:?}/bin/lib.sh"
. "$here/http_cpu.bash"
psql -X -q -v ON_ERROR_STOP=1 -v rows="${LABOS_BENCH_ROWS:-100000}" -v email="$LABOS_ADMIN_EMAIL" -A -t <<'SQL'
set client_min_messages to warning;
create schema if not exists bench;
select m.org_id as org from lab_data.memberships m join lab_data.users u on u.id = m.user_id where u.email = lower(:'email') limit 1 \gset
set session_replication_role to replica;
insert into lab_data.samples (org_id, barcode, barcode_symbology, name)
  select case i % 100 when 0 then :'org' else md5('org ' || i % 100)::uuid end, 'B-' || i, 'datamatrix', 'sample ' || i from generate_series(1, :rows) i;
create table bench.samples (like lab_data.samples including all);
insert into bench.samples select (s).* from lab_data.samples s;
reset session_replication_role;
vacuum analyze lab_data.samples; vacuum analyze bench.samples;
select replace(rtrim(pg_get_viewdef('lab.samples'::regclass), ';'), 'lab_data.samples', 'bench.samples') || format(' and t.org_id = %L', :'org') as plain \gset
create view lab.bench_samples as :plain;
grant select on lab.bench_samples to lab_user;
notify pgrst, 'reload schema';
SQL
sleep 2
token=$(http_token)
page='order=id.desc&limit=50&status=eq.registered&version=lt.1000'
ours="/samples?$page" peer="/bench_samples?$page"
for path in "$ours" "$peer"; do http_cost "$token" "$path" 200 >/dev/null; done
rounds=${LABOS_BENCH_ROUNDS:-11} a='' b=''
for i in $(seq "$rounds"); do
  if [ $((i % 2)) = 0 ]; then a+=$(http_cost "$token" "$ours" 300)$'\n' b+=$(http_cost "$token" "$peer" 300)$'\n'
  else b+=$(http_cost "$token" "$peer" 300)$'\n' a+=$(http_cost "$token" "$ours" 300)$'\n'; fi
done
us() { printf '%s' "$1" | cut -d ' ' -f "$2" | middle; }
awk -v a="$(us "$a" 1)" -v b="$(us "$b" 1)" -v x="$(us "$a" 2)" -v y="$(us "$b" 2)" 'BEGIN {
  peer = "a plain view on a copy without row security, where org_id = a constant"
  printf "{\"name\": \"http_rls_throughput\", \"unit\": \"requests/s\", \"ours\": %.0f, \"peer\": %.0f, \"peer_name\": \"%s\", \"ratio\": %.3f, \"goal\": 0.98, \"met\": %s, \"note\": \"one connection; goal: at least\"}\n", 1e6 / x, 1e6 / y, peer, y / x, (y / x >= 0.98) ? "true" : "false"
  printf "{\"name\": \"http_rls_cpu\", \"unit\": \"us\", \"ours\": %.0f, \"peer\": %.0f, \"peer_name\": \"%s\", \"ratio\": %.3f, \"goal\": 1.02, \"met\": %s, \"note\": \"PostgREST and backend\"}\n", a, b, peer, a / b, (a / b <= 1.02) ? "true" : "false"
}'
psql -X -q -c 'drop view lab.bench_samples' -c 'drop schema bench cascade' 2>/dev/null
