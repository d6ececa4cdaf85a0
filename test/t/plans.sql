-- Fills every table that clients list with rows of many organisations and reads the plan of every list: newest first, the
-- next page, and by each reference. Variables: rows (a table), orgs; only: one table; verbose: the plans too. Prints "table|list|fault"; all of it is rolled back.
-- Run by a superuser in a deployed database; test/t/plans.t and bench/lists.sh do.
\set ON_ERROR_STOP 1
set client_min_messages to warning;
begin;
set local jit to off;
set local random_page_cost to 1.1;  -- what servers with solid-state disks are set to
set local synchronous_commit to off;

-- Lists that are meant to be otherwise, each with its reason ------------------
create temp table exempt (name text, what text, reason text, primary key (name, what));
insert into exempt values
  ('users', 'newest', 'people have no organisation: the list is read by memberships, ?select=*,users(*)'),
  ('permissions', 'newest', 'the vocabulary of the installation: some hundred rows'),
  ('role_permissions', 'newest', 'some hundred rows, read by role'),
  ('roles', 'newest', 'system roles belong to no organisation; some dozen rows'),
  ('roles', 'next page', 'some dozen rows'),
  ('roles', 'parent_id', 'some dozen rows'),
  ('runs', 'override_by_id', 'who lifted a lock is read in the run'),
  ('runs', 'operator_id', 'newest first and filtered: an operator has many runs'),
  ('results', 'reviewed_by_id', 'who reviewed is read in the result'),
  ('results', 'approved_by_id', 'who approved is read in the result'),
  ('calibrations', 'approved_by_id', 'who approved is read in the certificate'),
  ('sample_history', 'from_location_id', 'the history is read by sample'),
  ('sample_history', 'to_location_id', 'the history is read by sample'),
  ('user_sessions', 'acting_org_id', 'sessions are read by user'),
  ('invitations', 'role_id', 'newest first and filtered: few are open'),
  ('invitations', 'invited_by', 'newest first and filtered: few are open'),
  ('invitations', 'accepted_by', 'who accepted is read in the invitation'),
  ('oidc_providers', 'newest', 'those of the installation belong to no organisation; a few'),
  ('oidc_providers', 'next page', 'a few'),
  ('oidc_providers', 'default_role_id', 'a few'),
  ('shares', 'to_org_id', 'newest first and filtered: the receiver asks shares_received'),
  ('shares', 'to_user_id', 'some hundred: the receiver asks shares_received'),
  ('campaign_candidates', 'dataset_row_id', 'a row is proposed a few times'),
  ('dataset_rows', 'dataset_id', 'read by row_index, which has its index'),
  ('design_iterations', 'campaign_id', 'read by iteration_index, which has its index'),
  ('predicted_properties', 'owner_id', 'read by structure'),
  ('predicted_properties', 'structure_id', 'a few a structure'),
  ('project_members', 'project_id', 'some dozen'),
  ('project_members', 'user_id', 'some dozen'),
  ('samples', 'transfer_to_id', 'a few are on their way'),
  ('simulation_fields', 'owner_id', 'read by result'),
  ('simulation_fields', 'result_id', 'a few a result'),
  ('simulation_results', 'owner_id', 'read by job'),
  ('simulation_results', 'job_id', 'one a job'),
  ('simulation_results', 'parent_result_id', 'a few a parent');

-- Rows ------------------------------------------------------------------------
insert into lab_data.organizations (name, slug) values ('Plans', 'plans');
insert into lab_data.users (email, username) values ('ann@plans.test', 'plans-ann');
insert into lab_data.memberships (org_id, user_id, is_default)
  select o.id, u.id, true from lab_data.organizations o, lab_data.users u where o.slug = 'plans' and u.username = 'plans-ann';
insert into lab_data.user_roles (org_id, user_id, role_id)
  select m.org_id, m.user_id, r.id from lab_data.memberships m join lab_data.users u on u.id = m.user_id, lab_data.roles r
  where u.username = 'plans-ann' and r.name = 'admin' and r.org_id is null;
delete from lab_private.db_logins where rolname = session_user;
insert into lab_private.db_logins (rolname, user_id, org_id)
  select session_user, m.user_id, m.org_id from lab_data.memberships m join lab_data.users u on u.id = m.user_id where u.username = 'plans-ann';
select m.org_id as org, m.user_id as ann from lab_data.memberships m join lab_data.users u on u.id = m.user_id where u.username = 'plans-ann' \gset
select set_config('plans.org', :'org', true), set_config('plans.ann', :'ann', true), set_config('plans.rows', :'rows', true), set_config('plans.orgs', :'orgs', true) \g /dev/null

set local session_replication_role to replica;

-- The tables behind the views of the same name.
create temp table listed as
select c.oid as relation, c.relname::text as name,
       exists (select from pg_attribute a where a.attrelid = v.oid and a.attname = 'id') as has_id,
       exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'org_id') as has_org
from pg_class v left join pg_class c on c.relname = v.relname and c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p')
where v.relnamespace = 'lab'::regnamespace and v.relkind = 'v' and c.oid is not null;

\if :{?only}
delete from pg_temp.listed l where l.name not in (:'only', 'samples');
\endif

-- Values are made by type, not by meaning: nothing may check them.
do $do$
declare
  v_object record;
begin
  for v_object in select c.conname, c.contypid::regtype as domain, c.conrelid::regclass as relation, c.contypid
                  from pg_constraint c where c.connamespace = 'lab_data'::regnamespace and c.contype = 'c' and c.conparentid = 0 and c.coninhcount = 0 loop
    if v_object.contypid <> 0 then execute format('alter domain %s drop constraint %I', v_object.domain, v_object.conname);
    else execute format('alter table %s drop constraint %I', v_object.relation, v_object.conname); end if;
  end loop;
end
$do$;

-- One column's value in row i of a table.
create function pg_temp.value(relation oid, a pg_attribute) returns text language sql as $$
  select case
    when a.attname = 'org_id' then format('case when i %% %1$s = 0 then %2$L::uuid else md5((i %% %1$s)::text)::uuid end', current_setting('plans.orgs'), current_setting('plans.org'))
    when a.attname = 'id' then 'labos.uuid_v7()'
    when a.attname in ('deleted_at', 'deleted_by') then 'null'
    -- What references something: one of four in an organisation; people: half is the caller's own.
    when t.typname = 'uuid' and exists (select from pg_constraint c where c.conrelid = relation and c.contype = 'f' and a.attnum = any (c.conkey)
                                        and c.confrelid in ('lab_data.memberships'::regclass, 'lab_data.users'::regclass))
      and not exists (select from pg_index x where x.indrelid = relation and x.indisprimary and a.attnum = any (x.indkey))
      then format('case when i / %s %% 2 = 0 then %L else md5((i / 97 %% 4)::text) end::uuid', current_setting('plans.orgs'), current_setting('plans.ann'))
    when t.typname = 'uuid' and not exists (select from pg_index x where x.indrelid = relation and x.indisunique and a.attnum = any (x.indkey))
      then format('md5((i / %s %% 4)::text)::uuid', current_setting('plans.orgs'))
    -- A part of a key that other columns make unique: two hundred of each.
    when t.typname = 'uuid' and not exists (
        select from pg_index x where x.indrelid = relation and x.indisunique and a.attnum = any (x.indkey)
          and not exists (select from pg_attribute o where o.attrelid = relation and o.attnum = any (x.indkey) and o.atttypid <> 'uuid'::regtype))
      then format('md5((i / %s / 200)::text)::uuid', current_setting('plans.orgs'))
    when t.typname = 'uuid' then 'md5(i::text)::uuid'
    when a.attname = 'scale' then '(array[''atomic'', ''mesoscale'', ''continuum''])[1 + i % 3]'
    when a.attname ~ '(status|state|kind|quality|fidelity)$' then '(array[''a'', ''b'', ''c'', ''d'', ''e''])[1 + i % 5]'
    when bt.typname = 'text' then 'md5(i::text)'
    when bt.typname = 'jsonb' then case when a.attnotnull then '''{}''' else 'null' end
    when bt.typcategory = 'A' then case when a.attnotnull then '''{}''' else 'null' end
    when t.typname = 'formula' then '''GaN'''
    when not a.attnotnull then 'null'
    when bt.typcategory = 'N' then 'i % 30000'
    when bt.typcategory = 'B' then 'i % 2 = 0'
    when bt.typcategory = 'D' then 'now()'
    when bt.typname = 'bytea' then '''\x00'''
    when bt.typname = 'inet' then '''127.0.0.1'''
    else 'null' end
  from pg_type t join pg_type bt on bt.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end where t.oid = a.atttypid $$;

do $do$
declare
  v_table  record;
  v_index  record;
begin
  for v_table in select l.relation, l.name from pg_temp.listed l where l.name not in ('organizations', 'permissions', 'roles', 'role_permissions') order by l.name loop
    create temp table rebuilt on commit drop as
      select pg_get_indexdef(i.indexrelid) as definition, i.indexrelid::regclass::text as name
      from pg_index i where i.indrelid = v_table.relation and not i.indisunique;
    for v_index in select * from pg_temp.rebuilt loop execute 'drop index ' || v_index.name; end loop;
    execute (select format('insert into %s (%s) select %s from generate_series(1, %s) i', v_table.relation::regclass,
                           string_agg(quote_ident(a.attname), ', ' order by a.attnum), string_agg(pg_temp.value(v_table.relation, a), ', ' order by a.attnum),
                           current_setting('plans.rows'))
             from pg_attribute a where a.attrelid = v_table.relation and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = '');
    for v_index in select * from pg_temp.rebuilt loop execute v_index.definition; end loop;
    drop table pg_temp.rebuilt;
    execute format('analyze %s', v_table.relation::regclass);
  end loop;
end
$do$;
set local session_replication_role to origin;

-- Lists -----------------------------------------------------------------------
create temp table list (name text, what text, query text, wanted text);
insert into pg_temp.list
select l.name, 'newest', format('select * from lab.%I%s limit 50', l.name, ' order by ' || case when l.has_id then 'id desc' else (
         select string_agg(quote_ident(a.attname), ', ' order by array_position(i.indkey::int2[], a.attnum))
         from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey) where i.indrelid = l.relation and i.indisprimary) end),
       case when l.has_org then 'org_id' else 'id' end
from pg_temp.listed l
union all
select l.name, 'next page', format('select * from lab.%I where id < %L order by id desc limit 50', l.name, labos.uuid_v7()), case when l.has_org then 'org_id' else 'id' end
from pg_temp.listed l where l.has_id
union all
select distinct l.name, a.attname::text,
       format('select * from lab.%I where %I = %L order by %s limit 50', l.name, a.attname, md5('3'), 'id desc'), a.attname::text
from pg_temp.listed l
join pg_constraint c on c.conrelid = l.relation and c.contype = 'f'
join pg_attribute a on a.attrelid = l.relation and a.attnum = any (c.conkey) and a.attname <> 'org_id' and a.atttypid = 'uuid'::regtype
where l.has_id
-- Views of their own.
union all
select v.relname::text, 'newest', format('select * from lab.%I order by id desc limit 50', v.relname), 'org_id'
from pg_class v
where v.relnamespace = 'lab'::regnamespace and v.relkind = 'v' and not exists (select from pg_class c where c.relname = v.relname and c.relnamespace = 'lab_data'::regnamespace)
  and exists (select from pg_attribute a where a.attrelid = v.oid and a.attname = 'id')
  and exists (select from pg_attribute a where a.attrelid = v.oid and a.attname = 'org_id');

create temp table found (name text, what text, ms float8, fault text, plan text);
grant select on pg_temp.list to lab_user;
grant insert on pg_temp.found to lab_user;
create function pg_temp.look(name text, what text, query text, wanted text) returns void language plpgsql
  set search_path to lab, labos_ops, labos, pg_catalog, pg_temp
as $$
declare
  v_line text; v_plan text := ''; v_start timestamptz;
begin
  for v_line in execute 'explain (costs off) ' || query loop v_plan := v_plan || v_line || E'\n'; end loop;
  for v_i in 1..2 loop  -- the second is warm
    v_start := clock_timestamp();
    execute query;
  end loop;
  insert into pg_temp.found values (name, what, extract(epoch from clock_timestamp() - v_start) * 1000, case
    when v_plan ~ '\mSort\M' then 'sorts'
    when v_plan ~ 'Seq Scan' then 'reads the whole table'
    when v_plan !~ 'Index Cond: [^\n]*org_id = ' and wanted <> 'id' then 'the organisation is no index condition'
    when v_plan !~ ('Index Cond: [^\n]*\m' || wanted || ' (=|<) ') then wanted || ' is no index condition' end, v_plan);
end $$;
set local role lab_user;
select 1 / count(*) from lab.samples \g /dev/null
set local statement_timeout to '60s';
select count(pg_temp.look(name, what, query, wanted)) from pg_temp.list \g /dev/null
reset role;

-- What is not as it should be; and exceptions for lists that there are not.
select concat_ws('|', f.name, f.what, f.fault) from pg_temp.found f
where f.fault is not null and not exists (select from pg_temp.exempt e where e.name = f.name and e.what = f.what) order by 1;
select concat_ws('|', e.name, e.what, 'is no list') from pg_temp.exempt e
where not exists (select from pg_temp.found f where f.name = e.name and f.what = e.what) order by 1;
select format('lists|%s|%s|%s', (select count(*) from pg_temp.found), (select count(*) from pg_temp.found f where f.fault is null),
              (select round(max(f.ms)::numeric, 3) from pg_temp.found f where f.fault is null));
\if :{?verbose}
select f.name, f.what, round(f.ms::numeric, 2), f.fault, f.plan from pg_temp.found f order by 1, 2;
\endif
rollback;
