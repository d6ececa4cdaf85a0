#!/usr/bin/env bash
# What one question about the caller costs, per call, inside one query over a million rows, less the same query with a
# constant: labos.org_id() and labos.has_permission() beside the usual current_setting(...)::json ->> 'org_id'; and
# labos.uuid_v7() beside gen_random_uuid(). Median of 7 rounds, nanoseconds.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
psql -X -q -v ON_ERROR_STOP=1 -v here="$here" -A -t <<'SQL'
\i :here/cpu.sql
set client_min_messages to warning;
insert into lab_data.organizations (name, slug) values ('Bench', 'bench-identity');
insert into lab_data.users (email, username) values ('bench@identity.test', 'bench-identity');
insert into lab_data.memberships (org_id, user_id, is_default)
  select o.id, u.id, true from lab_data.organizations o, lab_data.users u where o.slug = 'bench-identity' and u.username = 'bench-identity';
insert into lab_data.user_roles (org_id, user_id, role_id)
  select m.org_id, m.user_id, r.id from lab_data.memberships m join lab_data.users u on u.id = m.user_id, lab_data.roles r
  where u.username = 'bench-identity' and r.name = 'scientist' and r.org_id is null;
insert into lab_private.db_logins (rolname, user_id, org_id)
  select session_user, m.user_id, m.org_id from lab_data.memberships m join lab_data.users u on u.id = m.user_id where u.username = 'bench-identity'
  on conflict (rolname) do update set user_id = excluded.user_id, org_id = excluded.org_id;
set app.claims = '{"sub": "0198a6d2-7c1b-7d11-b7a3-2f6f3a6c9e01", "org_id": "0198a6d2-7c1b-7d11-b7a3-2f6f3a6c9e02", "role": "lab_user", "exp": 4102444800}';
set jit to off;
set max_parallel_workers_per_gather to 0;
create function bench.run(expression text, n integer) returns float8 language plpgsql as $$
declare
  v_start float8;
  v_base  float8;
begin
  v_start := bench.cpu();
  execute format('select count(g) from generate_series(1, %s) g', n);
  v_base := (bench.cpu() - v_start) / 1e9;
  v_start := bench.cpu();
  execute format('select count(%s) from generate_series(1, %s) g', expression, n);
  return greatest((bench.cpu() - v_start) / 1e9 - v_base, 0) * 1e9 / n;
end $$;
create temporary table measured (name text, who text, ns float8);
select format('insert into measured values (%L, %L, bench.run(%L, %s))', e.name, e.who, e.expression, e.n)
from (values ('org_id', 'ours', 'labos.org_id()', 1000000),
             ('org_id', 'peer', 'cast(cast(current_setting(''app.claims'') as json) ->> ''org_id'' as uuid)', 100000),
             ('has_permission', 'ours', 'labos.has_permission(''sample:create'')', 1000000),
             ('has_permission', 'peer', 'cast(cast(current_setting(''app.claims'') as json) ->> ''role'' = ''lab_user'' as int)', 100000),
             ('uuid_v7', 'ours', 'labos.uuid_v7()', 1000000),
             ('uuid_v7', 'peer', 'gen_random_uuid()', 300000)) e(name, who, expression, n), generate_series(1, 7) r
order by r, e.name
\gexec
select json_build_object('name', 'call_' || name, 'unit', 'ns', 'ours', round(ours::numeric, 1), 'peer', round(peer::numeric, 1), 'peer_name', peer_name,
         'ratio', round((ours / peer)::numeric, 4), 'goal', goal, 'met', ours <= goal)
from (select m.name, percentile_cont(0.5) within group (order by ns) filter (where who = 'ours') as ours,
             percentile_cont(0.5) within group (order by ns) filter (where who = 'peer') as peer
      from measured m group by m.name) x
-- goal: nanoseconds of ours
join (values ('org_id', 30, 'current_setting()::json ->> org_id'), ('has_permission', 30, 'current_setting()::json ->> role'),
             ('uuid_v7', 30, 'gen_random_uuid()')) g(name, goal, peer_name) using (name) order by name;
drop schema bench cascade;
SQL
