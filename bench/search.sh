#!/usr/bin/env bash
# Searching under row security with the operators of labos_ops, as lab_user, beside the same search with PostgreSQL's own
# operators and operator classes and a hand-written WHERE org_id = $1, by a role with BYPASSRLS, on the same rows, in turn.
# 200,000 rows of 20 organisations. Every figure is the median of 9 rounds of microseconds per execution.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one).
set -euo pipefail
rows=${LABOS_BENCH_ROWS:-200000}
here=$(cd "$(dirname "$0")" && pwd)
psql -X -q -v ON_ERROR_STOP=1 -v rows="$rows" -v here="$here" -A -t <<'SQL'
\i :here/cpu.sql
set client_min_messages to warning;
set jit to off;
set max_parallel_workers_per_gather to 0;
drop role if exists lab_bench_peer;
create role lab_bench_peer nologin bypassrls;
grant usage on schema bench to lab_user, lab_bench_peer;

-- One organisation we act in, and 19 others.
insert into lab_data.organizations (name, slug) values ('Bench', 'bench-search');
insert into lab_data.users (email, username) values ('bench@search.test', 'bench-search');
insert into lab_data.memberships (org_id, user_id, is_default)
  select o.id, u.id, true from lab_data.organizations o, lab_data.users u where o.slug = 'bench-search' and u.username = 'bench-search';
insert into lab_data.user_roles (org_id, user_id, role_id)
  select m.org_id, m.user_id, r.id from lab_data.memberships m join lab_data.users u on u.id = m.user_id, lab_data.roles r
  where u.username = 'bench-search' and r.name = 'scientist' and r.org_id is null;
insert into lab_private.db_logins (rolname, user_id, org_id)
  select session_user, m.user_id, m.org_id from lab_data.memberships m join lab_data.users u on u.id = m.user_id where u.username = 'bench-search'
  on conflict (rolname) do update set user_id = excluded.user_id, org_id = excluded.org_id;

create temporary table orgs as
  select case when n = 0 then (select o.id from lab_data.organizations o where o.slug = 'bench-search') else gen_random_uuid() end as id, n
  from generate_series(0, 19) n;
create table bench.ours (org_id uuid not null, id integer not null, name text, price numeric, tags jsonb, words tsvector);
insert into bench.ours
  select o.id, i, 'sample ' || md5(i::text), (i / 20 % 10000) / 100.0, jsonb_build_object('lot', i / 20 % 5000), to_tsvector('simple', 'lot' || i / 20 % 5000 || ' sample')
  from generate_series(1, :rows) i join orgs o on o.n = i % 20;
create table bench.peer as table bench.ours;
create index on bench.ours using gin (org_id, name labos_ops.gin_trgm_ops);
create index on bench.ours (org_id, price labos_ops.numeric_ops);
create index on bench.ours using gin (org_id, tags labos_ops.gin_jsonb_path_ops);
create index on bench.ours using gin (org_id, words labos_ops.gin_tsvector_ops);
create index on bench.peer using gin (org_id, name gin_trgm_ops);
create index on bench.peer (org_id, price);
create index on bench.peer using gin (org_id, tags jsonb_path_ops);
create index on bench.peer using gin (org_id, words);
alter table bench.ours enable row level security, force row level security;
create policy select_own_org on bench.ours for select to lab_user using (org_id = labos.org_for('sample:read'));
grant select on bench.ours to lab_user;
grant select on bench.peer to lab_bench_peer;
vacuum analyze bench.ours, bench.peer;

select id as org from orgs where n = 0 \gset
create temporary table measured (kind text, round int, ours boolean, us float8);
grant insert on measured to lab_user, lab_bench_peer;

-- One function a search, so that its plan is cached, as it is for a prepared statement.
create temporary table search (kind text, condition text, n integer);
insert into search values
  ('ilike', $$name ilike '%4a5b%'$$, 300), ('numeric', 'price > 99.5', 1000), ('jsonb', $$tags @> '{"lot": 77}'$$, 1000), ('text', $$words @@ 'lot77'::tsquery$$, 1000);
select format($q$
  create function bench.%1$s_%2$s() returns float8 language plpgsql set search_path to %3$s as $f$
  declare
    v_start float8; v_count bigint;
  begin
    select count(*) into v_count from bench.%2$s where %4$s;
    v_start := bench.cpu();
    for v_i in 1 .. %5$s loop
      select count(*) into v_count from bench.%2$s where %4$s;
    end loop;
    return (bench.cpu() - v_start) / 1e3 / %5$s;
  end $f$;
  grant execute on function bench.%1$s_%2$s() to lab_user, lab_bench_peer$q$,
  kind, side, path, own || condition, n)
from search, (values ('ours', 'labos_ops, labos, pg_catalog', ''), ('peer', 'pg_catalog', format('org_id = %L and ', :'org'))) s (side, path, own)
\gexec
select format($q$set role lab_user; insert into measured select %1$L, %2$s, true, bench.%1$s_ours();
              set role lab_bench_peer; insert into measured select %1$L, %2$s, false, bench.%1$s_peer(); reset role$q$, kind, r)
from search, generate_series(1, 9) r
order by r, kind
\gexec
set search_path to pg_catalog;
select json_build_object('name', 'search_' || kind, 'unit', 'us', 'ours', round(ours::numeric, 3), 'peer', round(peer::numeric, 3),
         'peer_name', 'hand-written where org_id = $1', 'ratio', round((ours / peer)::numeric, 3), 'goal', 1.10, 'met', ours / peer <= 1.10)
from (select m.kind, percentile_cont(0.5) within group (order by us) filter (where m.ours) as ours,
             percentile_cont(0.5) within group (order by us) filter (where not m.ours) as peer
      from measured m group by m.kind) x
order by kind;
drop schema bench cascade;
drop table measured;
drop role lab_bench_peer;
SQL
