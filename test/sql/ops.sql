-- Under row security, search with the operators of labos_ops is an index condition and sees no other tenant's rows.
set client_min_messages to warning;
create schema ops_test;
create table ops_test.item (
  tenant integer not null, id integer not null, name text, price numeric, tags jsonb, words tsvector, f labos.formula,
  primary key (tenant, id));
insert into ops_test.item
select 1 + i % 2, i, 'item ' || md5(i::text), i / 8.0, jsonb_build_object('lot', i, 'kind', jsonb_build_array(i % 7)), to_tsvector('simple', 'lot' || i || ' kind' || i % 7),
       (array['GaN', 'AlN', 'GaAs', 'SiO2', 'MoS2'])[1 + i % 5] || i
from generate_series(1, 4000) i;
insert into ops_test.item values (2, 0, 'secret\', 0, '{"secret": true}', 'secret', 'Pu');
create index on ops_test.item using gin (tenant, name labos_ops.gin_trgm_ops);
create index on ops_test.item (tenant, price labos_ops.numeric_ops);
create index on ops_test.item using gin (tenant, tags labos_ops.gin_jsonb_path_ops);
create index on ops_test.item using gin (tenant, words labos_ops.gin_tsvector_ops);
create index on ops_test.item using gin (tenant, f);
alter table ops_test.item enable row level security;
create policy select_own on ops_test.item for select using (tenant = current_setting('ops_test.tenant')::integer);
grant usage on schema ops_test to lab_user;
grant select on ops_test.item to lab_user;
vacuum analyze ops_test.item;

set ops_test.tenant = '1';
set search_path = labos_ops, labos, pg_catalog;
set enable_seqscan = off;
set role lab_user;
explain (costs off) select id from ops_test.item where name ilike '%c4ca4%';
explain (costs off) select id from ops_test.item where name like '%c4ca4%';
explain (costs off) select id from ops_test.item where price > 499.5;
explain (costs off) select id from ops_test.item where price between 1 and 2;
explain (costs off) select id from ops_test.item where tags @> '{"lot": 20}';
explain (costs off) select id from ops_test.item where words @@ 'lot20'::tsquery;
explain (costs off) select id from ops_test.item where f @> '{Ga,As}';
-- The operators of pg_catalog cannot be: their condition is a filter after the policy.
explain (costs off) select id from ops_test.item where name operator(pg_catalog.~~*) '%c4ca4%';
explain (costs off) select id from ops_test.item where price operator(pg_catalog.>) 499.5;
reset role;

-- The wrappers answer what the operators of pg_catalog answer.
create function ops_test.differ(condition text) returns bigint language plpgsql as $$
declare
  v_here bigint; v_there bigint;
begin
  set local search_path = labos_ops, labos, pg_catalog;
  execute 'select count(*) from ops_test.item where ' || condition into v_here;
  set local search_path = pg_catalog;
  execute 'select count(*) from ops_test.item where ' || condition into v_there;
  return v_here - v_there;
end $$;
select c as condition, ops_test.differ(c) as differ
from unnest(array['name like ''%a1%''', 'name not like ''%a1%''', 'name ilike ''%A1%''', 'name not ilike ''ITEM%''', 'name like ''item\_%''', 'name like ''''',
                  'name ilike ''%\\''', 'price < 10', 'price <= 10', 'price = 10', 'price <> 10', 'price >= 10', 'price > 10', 'price = ''NaN''', 'price < ''Infinity''',
                  'price in (1, 2, 3)', 'tags @> ''{"kind": [3]}''', 'tags @> ''{}''', 'tags <@ ''{"lot": 20, "kind": [6]}''', 'words @@ ''kind3 & !lot3''::tsquery', 'words @@ ''lot1:*''::tsquery',
                  'price in (select price from ops_test.item)']) c;
-- Equality joins may hash and merge.
set enable_mergejoin = off;
set enable_nestloop = off;
select count(*) from ops_test.item a join ops_test.item b on a.price = b.price;
set enable_hashjoin = off;
set enable_mergejoin = on;
select count(*) from ops_test.item a join ops_test.item b on a.price = b.price;
reset enable_nestloop;
reset enable_hashjoin;

-- A pattern that ends with a lone backslash raises nothing, wherever it comes from: the backslash stands for itself.
select 'a\' like '%\' as ends_so, 'a' like '%\' as does_not, 'a\' like '%\\' as doubled, 'A\' ilike 'a\' as ilike, 'a\' not like 'a\' as not_like, 'a\' not ilike 'b\' as not_ilike,
       '' like '\' as empty, '日\' like '日\' as multibyte;
set role lab_user;
select count(*) from ops_test.item where name ilike '%item%\';
-- An error would tell whether another tenant has a row: both conditions may run before the policy.
select count(*) from ops_test.item where name = 'secret\' and name like 'x\';
set enable_indexscan = off;
set enable_bitmapscan = off;
select count(*) from ops_test.item where name = 'secret\' and name like 'x\';
reset enable_indexscan;
reset enable_bitmapscan;
-- Its owner finds it, through the index too.
set ops_test.tenant = '2';
select name from ops_test.item where name like 'secret\';
select name from ops_test.item where name ilike '%CRET\';
set ops_test.tenant = '1';

-- The attack: a cheap function of the caller's own that tells what it is called with. It sees rows of tenant 1 only, whatever the operator beside it.
reset role;
create schema authorization lab_user;
grant create on schema lab_user to lab_user;
set role lab_user;
create function lab_user.leak(tenant integer, name text) returns boolean language plpgsql cost 0.0000001 as $$
begin
  perform set_config('ops_test.seen', current_setting('ops_test.seen') || case when tenant = 1 then '' else name end, false);
  return true;
end $$;
set ops_test.seen = '';
select count(*) from ops_test.item where lab_user.leak(tenant, name) and name ilike '%secret%';
select count(*) from ops_test.item where lab_user.leak(tenant, name) and price < 1;
select count(*) from ops_test.item where lab_user.leak(tenant, name) and tags @> '{"secret": true}';
select count(*) from ops_test.item where lab_user.leak(tenant, name) and words @@ 'secret'::tsquery;
select count(*) from ops_test.item where lab_user.leak(tenant, name) and f @> 'Pu';
-- Nor does an error tell: no value of a hidden row can make one of these operators raise.
select count(*) from ops_test.item i where 'x' like i.name or 'x' not ilike i.name or i.name like i.name or i.f @> array[i.name] or i.price > 'NaN' or i.tags @> '[]' or i.tags <@ '0';
select count(*) from ops_test.item i where i.name ilike any (array[i.name, 'secret%']);
-- Nor does a pattern that no collation can be derived for.
select 'A' ilike coalesce((select a from (select 'a%' collate "POSIX" as a offset 0) x), (select a from (select '%' collate "C" as a offset 0) x)) as matched;
select current_setting('ops_test.seen') = '' as nothing_seen;
reset role;

-- Every wrapper is leakproof, immutable, strict and parallel safe (what indexes and the planner call is not for queries); every operator and function has a comment.
select count(*) as functions, count(*) filter (where p.proleakproof and p.proisstrict and p.provolatile = 'i' and p.proparallel = 's') as good,
       count(*) filter (where obj_description(p.oid, 'pg_proc') is not null) as commented
from pg_proc p where p.pronamespace = 'labos_ops'::regnamespace and 'internal'::regtype <> all (p.proargtypes);
select count(*) as operators, count(*) filter (where obj_description(o.oid, 'pg_operator') is not null) as commented,
       count(*) filter (where not exists (select from pg_operator n where n.oprname = o.oprname and n.oprleft = o.oprleft and n.oprright = o.oprright and n.oprnamespace = 'pg_catalog'::regnamespace)) as without_model
from pg_operator o where o.oprnamespace = 'labos_ops'::regnamespace;
select opcname, amvalidate(opc.oid) as valid from pg_opclass opc where opcnamespace in ('labos_ops'::regnamespace, 'labos'::regnamespace) order by 1, opcmethod;

reset search_path;
drop schema ops_test cascade;
drop schema lab_user cascade;
