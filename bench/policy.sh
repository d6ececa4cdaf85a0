#!/usr/bin/env bash
# What row security costs: queries under the policy org_id = labos.org_for(permission) as lab_user, beside the same
# queries with a hand-written WHERE org_id = $1 by a role with BYPASSRLS and the same grants, on the same table in the
# same session, in turn.
# 1,000,000 rows of 100 organisations; the table has its key, a foreign key and an index for it, as ours have. Every figure is the median of 11 rounds of microseconds per execution.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one).
set -euo pipefail
rows=${LABOS_BENCH_ROWS:-1000000}
here=$(cd "$(dirname "$0")" && pwd)
psql -X -q -v ON_ERROR_STOP=1 -v rows="$rows" -v here="$here" -A -t <<'SQL'
\i :here/cpu.sql
set client_min_messages to warning;
drop role if exists lab_bench_peer;
create role lab_bench_peer nologin bypassrls;
grant usage on schema bench to lab_user, lab_bench_peer;
create table bench.item (org_id uuid not null, id uuid not null default labos.uuid_v7(), parent uuid not null, name text not null, amount float8 not null,
  constraint item_pkey primary key (org_id, id));
create table bench.parent (org_id uuid not null, id uuid not null, name text, constraint parent_pkey primary key (org_id, id));
create table bench.grand (org_id uuid not null, id uuid not null, name text, constraint grand_pkey primary key (org_id, id));

-- One organisation we act in, and 99 others.
insert into lab_data.organizations (name, slug) values ('Bench', 'bench-policy');
insert into lab_data.users (email, username) values ('bench@policy.test', 'bench-policy');
insert into lab_data.memberships (org_id, user_id, is_default)
  select o.id, u.id, true from lab_data.organizations o, lab_data.users u where o.slug = 'bench-policy' and u.username = 'bench-policy';
insert into lab_data.user_roles (org_id, user_id, role_id)
  select m.org_id, m.user_id, r.id from lab_data.memberships m join lab_data.users u on u.id = m.user_id, lab_data.roles r
  where u.username = 'bench-policy' and r.name = 'scientist' and r.org_id is null;
insert into lab_private.db_logins (rolname, user_id, org_id)
  select session_user, m.user_id, m.org_id from lab_data.memberships m join lab_data.users u on u.id = m.user_id where u.username = 'bench-policy'
  on conflict (rolname) do update set user_id = excluded.user_id, org_id = excluded.org_id;

create temporary table orgs as
  select case when n = 0 then (select o.id from lab_data.organizations o where o.slug = 'bench-policy') else gen_random_uuid() end as id, n
  from generate_series(0, 99) n;
create table bench.target (like bench.item including all);
insert into bench.grand select o.id, md5('g' || n || i)::uuid, 'g' || i from orgs o, generate_series(1, 10) i;
insert into bench.parent select o.id, md5('p' || n || i)::uuid, 'p' || i from orgs o, generate_series(1, 100) i;
insert into bench.item (org_id, parent, name, amount)
  select o.id, md5('p' || o.n || (i / 100 % 100 + 1))::uuid, 'item ' || i, i from generate_series(0, :rows - 1) i join orgs o on o.n = i % 100;
alter table bench.item add constraint item_parent foreign key (org_id, parent) references bench.parent (org_id, id);
alter table bench.target add constraint target_parent foreign key (org_id, parent) references bench.parent (org_id, id);
create index on bench.item (org_id, parent); create index on bench.target (org_id, parent);
vacuum analyze bench.item; vacuum analyze bench.parent; vacuum analyze bench.grand;
alter table bench.item enable row level security; alter table bench.target enable row level security; alter table bench.parent enable row level security; alter table bench.grand enable row level security;
create policy r on bench.item for select to lab_user using (org_id = labos.org_for('sample:read'));
create policy i on bench.target for insert to lab_user with check (org_id = labos.org_for('sample:create'));
create policy r on bench.parent for select to lab_user using (org_id = labos.org_for('sample:read'));
create policy r on bench.grand for select to lab_user using (org_id = labos.org_for('sample:read'));
grant insert on bench.target to lab_user, lab_bench_peer; grant select on bench.item, bench.parent, bench.grand to lab_user, lab_bench_peer;

create function bench.run(kind text, under_policy boolean, n integer, org uuid, ids uuid[]) returns float8 language plpgsql as $$
declare
  v_start float8;
  v_rows  bigint;
  v_row   record;
begin
  for v_round in 1..2 loop  -- the first round plans and warms up
    v_start := bench.cpu();
    for v_i in 1 .. case v_round when 1 then least(n, 10) else n end loop
      if under_policy then
        case kind
          when 'point' then select * into v_row from bench.item i where i.id = ids[v_i % cardinality(ids) + 1];
          when 'page' then select count(*) into v_rows from (select * from bench.item i order by i.org_id, i.id limit 50 offset 0) x;
          when 'count' then select count(*) into v_rows from bench.item i;
          when 'join' then select count(g.name) into v_rows from bench.item i join bench.parent p on p.org_id = i.org_id and p.id = i.parent
                             join bench.grand g on g.org_id = p.org_id where i.id = ids[v_i % cardinality(ids) + 1];
          when 'insert' then insert into bench.target (org_id, parent, name, amount) values (org, md5('p01')::uuid, 'new', v_i);
          when 'plan' then execute format('select * from bench.item i where i.id = %L', ids[v_i % cardinality(ids) + 1]) into v_row;
        end case;
      else
        case kind
          when 'point' then select * into v_row from bench.item i where i.org_id = org and i.id = ids[v_i % cardinality(ids) + 1];
          when 'page' then select count(*) into v_rows from (select * from bench.item i where i.org_id = org order by i.org_id, i.id limit 50 offset 0) x;
          when 'count' then select count(*) into v_rows from bench.item i where i.org_id = org;
          when 'join' then select count(g.name) into v_rows from bench.item i join bench.parent p on p.org_id = i.org_id and p.id = i.parent
                             join bench.grand g on g.org_id = p.org_id where i.org_id = org and i.id = ids[v_i % cardinality(ids) + 1];
          when 'insert' then insert into bench.target (org_id, parent, name, amount) values (org, md5('p01')::uuid, 'new', v_i);
          when 'plan' then execute format('select * from bench.item i where i.org_id = %L and i.id = %L', org, ids[v_i % cardinality(ids) + 1]) into v_row;
        end case;
      end if;
    end loop;
  end loop;
  return (bench.cpu() - v_start) / 1e3 / n;
end $$;
grant execute on function bench.run(text, boolean, integer, uuid, uuid[]) to lab_user, lab_bench_peer;
select id as org from orgs where n = 0 \gset
select array_agg(id)::text as ids from (select id from bench.item where org_id = :'org' limit 500) x \gset
create temporary table measured (kind text, round int, under_policy boolean, us float8);
grant insert on measured to lab_user, lab_bench_peer;
set jit to off;
set max_parallel_workers_per_gather to 0;

select case r % 2 when 0 then ours || theirs else theirs || ours end || 'reset role;'
from (select k.kind, r, format('set role lab_user; insert into measured select %1$L, %2$s, true, bench.run(%1$L, true, %3$s, %4$L, %5$L);', k.kind, r, k.n, :'org', :'ids') as ours,
             format('set role lab_bench_peer; insert into measured select %1$L, %2$s, false, bench.run(%1$L, false, %3$s, %4$L, %5$L);', k.kind, r, k.n, :'org', :'ids') as theirs
      from (values ('point', 10000), ('page', 5000), ('count', 60), ('join', 4000), ('insert', 3000), ('plan', 3000)) k(kind, n), generate_series(1, 11) r) x
order by r, kind
\gexec

select json_build_object('name', 'policy_' || kind, 'unit', 'us', 'ours', round(ours::numeric, 3), 'peer', round(peer::numeric, 3),
         'peer_name', 'hand-written where org_id = $1', 'ratio', round((ours / peer)::numeric, 3), 'goal', goal, 'met', ours / peer <= goal)
from (select m.kind, percentile_cont(0.5) within group (order by us) filter (where under_policy) as ours,
             percentile_cont(0.5) within group (order by us) filter (where not under_policy) as peer
      from measured m group by m.kind) x
join (values ('point', 1.20), ('page', 1.08), ('count', 1.02), ('join', 1.05), ('insert', 1.06), ('plan', 1.06)) g(kind, goal) using (kind)
order by kind;
drop table measured;
drop schema bench cascade;
revoke all on all tables in schema lab_data from lab_bench_peer;
drop role lab_bench_peer;
SQL
