#!/usr/bin/env bash
# What it costs to ask with every request whether the session still lives, with a million live sessions: a gateway's
# transaction (claims, labos.pre_request, a page of 50 samples) with the check beside the same without one
# (claims in a setting that nobody checks), processor time of the backend; callers take turns, 16, 64 or 200 of them. What the
# check adds there is set against all that a request costs: processor time of PostgREST and its backends for that page over HTTP.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one).
set -euo pipefail
sessions=${LABOS_BENCH_SESSIONS:-1000000}
here=$(cd "$(dirname "$0")" && pwd)
. "${LABOS_TOP:?}/bin/lib.sh"
. "$here/http_cpu.bash"
psql -X -q -v ON_ERROR_STOP=1 -v email="$LABOS_ADMIN_EMAIL" -v here="$here" -v sessions="$sessions" -A -t <<'SQL'
set client_min_messages to warning;
\i :here/cpu.sql
insert into lab_data.organizations (name, slug) values ('Bench', 'bench-revoke');
insert into lab_data.users (email, username) values ('bench@revoke.test', 'bench-revoke');
insert into lab_data.memberships (org_id, user_id, is_default)
  select o.id, u.id, true from lab_data.organizations o, lab_data.users u where o.slug = 'bench-revoke' and u.username = 'bench-revoke';
insert into lab_data.user_roles (org_id, user_id, role_id)
  select m.org_id, m.user_id, r.id from lab_data.memberships m join lab_data.users u on u.id = m.user_id, lab_data.roles r
  where u.username = 'bench-revoke' and r.name = 'scientist' and r.org_id is null;
set session_replication_role to replica;
insert into lab_data.user_sessions (id, org_id, user_id, expires_at)
  select labos.uuid_v7(), m.org_id, m.user_id, now() + interval '7 days' from lab_data.memberships m join lab_data.users u on u.id = m.user_id, generate_series(1, :sessions)
  where u.username = 'bench-revoke';
insert into lab_data.samples (org_id, barcode, barcode_symbology, name)
  select m.org_id, 'B-' || i, 'datamatrix', 'sample ' || i from lab_data.memberships m join lab_data.users u on u.id = m.user_id, generate_series(1, 1000) i
  where u.username = 'bench-revoke';
-- What is asked for over HTTP.
insert into lab_data.samples (org_id, barcode, barcode_symbology, name)
  select m.org_id, 'B-' || i, 'datamatrix', 'sample ' || i from lab_data.memberships m join lab_data.users u on u.id = m.user_id, generate_series(1, 1000) i
  where u.email = lower(:'email');
reset session_replication_role;
vacuum analyze lab_data.user_sessions; vacuum analyze lab_data.samples;
create table bench.claims as
  select row_number() over () as n, json_build_object('sub', s.user_id, 'org_id', s.org_id, 'sid', s.id, 'role', 'lab_user', 'iat', extract(epoch from now())::bigint,
           'exp', extract(epoch from now())::bigint + 900)::text as claims
  from (select * from lab_data.user_sessions s where s.org_id = (select o.id from lab_data.organizations o where o.slug = 'bench-revoke') order by s.id limit 200) s;
grant select on bench.claims to public;
alter system set labos.trusted_gateways = 'lab_authenticator, postgres';
select pg_reload_conf() \g /dev/null
create table bench.measured (kind text, us float8);
create procedure bench.run(kind text, n integer) language plpgsql as $$
declare
  v_start float8; v_claims text[] := array(select c.claims from bench.claims c order by c.n); v_rows bigint;
begin
  for v_round in 0..1 loop
    v_start := bench.cpu();
    for v_i in 1 .. case v_round when 0 then 210 else n end loop
      if kind <> '0' then
        perform set_config('request.jwt.claims', v_claims[1 + v_i % kind::int], true);
        perform labos.pre_request();
        perform set_config('role', 'lab_user', true);
        select count(r) into v_rows from (select row_to_json(s) as r from lab.samples s order by s.id desc limit 50) x;
        if v_rows <> 50 then raise exception 'the caller sees % samples', v_rows; end if;
      else
        perform set_config('bench.claims', v_claims[1 + v_i % 200], true);
        select count(r) into v_rows from (select row_to_json(s) as r from lab.samples s where s.org_id = (v_claims[1]::json ->> 'org_id')::uuid order by s.id desc limit 50) x;
      end if;
      commit;
    end loop;
  end loop;
  insert into bench.measured values (kind, (bench.cpu() - v_start) / 1e3 / n);
  commit;
end $$;
SQL
for _ in 1 2 3 4 5 6 7; do
  for kind in 16 0 64 200; do psql -X -q -v ON_ERROR_STOP=1 -c "call bench.run('$kind', 2000)"; done
done
token=$(http_token)
page='/samples?order=id.desc&limit=50&version=lt.1000'
http_cost "$token" "$page" 100 >/dev/null
request=$(for _ in 1 2 3 4 5; do http_cost "$token" "$page" 200; done | cut -d ' ' -f 1 | middle)
psql -X -q -A -t -v request="$request" <<'SQL'
select json_build_object('name', 'request_check_' || kind, 'unit', 'us', 'ours', :request, 'peer', round((:request - (a - b))::numeric, 1),
         'peer_name', 'the same request without the check', 'ratio', round((:request / (:request - (a - b)))::numeric, 4), 'goal', 1.03, 'met', :request / (:request - (a - b)) <= 1.03,
         'note', 'processor time of PostgREST and backend; ' || kind || ' callers in turn; in the backend ' || round(a::numeric, 1) || ' instead of ' || round(b::numeric, 1) || ' us')
from (select m.kind, percentile_cont(0.5) within group (order by us) as a from bench.measured m where m.kind <> '0' group by m.kind) x,
     (select percentile_cont(0.5) within group (order by us) as b from bench.measured where kind = '0') y order by kind::int;
alter system reset labos.trusted_gateways;
set client_min_messages to warning;
drop schema bench cascade;
SQL
