-- Arrays, keys of jsonb and words of plain text in labos_ops: what PostgreSQL's own operators answer, and nothing that leaks.
set client_min_messages to warning;
create schema ops_test;
create domain ops_test.code as text;
create table ops_test.item (
  tenant integer not null, id integer not null, words text, tags text[], codes ops_test.code[], numbers numeric[], ids uuid[], data jsonb,
  primary key (tenant, id));
insert into ops_test.item
select 1 + i % 2, i,
       (array['The X-ray of', 'steel', 'http://lab.example/a/b.html', 'ann@lab.example', '12.5 mm²', 'ÄRGER über', '-4e7', 'well-known', '<b>bold</b>', '&amp;'])[1 + i % 10]
         || ' ' || md5((i % 37)::text) || ' ' || (array['Ga', 'the', 'x-ray', '日本語', ''])[1 + i % 5],
       case when i % 11 <> 0 then array[md5((i % 13)::text), nullif(i % 7, 3)::text] end, array['C' || i % 5, 'C' || i % 3]::ops_test.code[],
       array[i % 4, 0.50], array[md5((i % 5)::text)::uuid],
       jsonb_build_object('k' || i % 5, i % 3, 'list', jsonb_build_array('a', 'k' || i % 4))
from generate_series(1, 2000) i;
create index on ops_test.item using gin (tenant, words labos_ops.gin_words_ops, tags labos_ops.gin_array_ops, data labos_ops.gin_jsonb_ops);
create index on ops_test.item using gin (tenant, codes labos_ops.gin_array_ops, ids labos_ops.gin_array_ops);
alter table ops_test.item enable row level security;
create policy select_own on ops_test.item for select using (tenant = current_setting('ops_test.tenant')::integer);
grant usage on schema ops_test to lab_user;
grant select on ops_test.item to lab_user;
vacuum analyze ops_test.item;

-- Words are to_tsvector's, with their places, over text of every kind of token.
select count(*) as texts, count(*) filter (where labos_ops.words(w) = to_tsvector('simple', w)) as same
from (select words from ops_test.item union all
      select string_agg(chr(32 + (hashint4(i * 1000 + j) & 8191) % 700), '') from generate_series(1, 300) i, generate_series(1, 60) j group by i) t(w);
select labos_ops.words('') = '' as empty, labos_ops.words(repeat(' ', 100000)) = '' as blanks;

-- Every operator answers what that of pg_catalog answers, by index and by reading.
create function ops_test.count(condition text, path text, by_index boolean) returns bigint language plpgsql as $$
declare
  v_count bigint;
begin
  perform set_config('search_path', path, true), set_config('enable_seqscan', (not by_index)::text, true), set_config('enable_bitmapscan', by_index::text, true);
  execute 'select count(*) from ops_test.item where ' || condition into v_count;
  return v_count;
end $$;
select c as condition, ops_test.count(own, 'pg_catalog', false) as rows,
       ops_test.count(c, 'labos_ops, labos, pg_catalog', true) - ops_test.count(own, 'pg_catalog', false) as by_index,
       ops_test.count(c, 'labos_ops, labos, pg_catalog', false) - ops_test.count(own, 'pg_catalog', false) as by_reading
from unnest(array['tags @> ''{2}''', 'tags @> ''{}''', 'tags @> array[null]::text[]', 'tags && ''{1,2,x}''', 'tags <@ ''{1,2,c4ca4238a0b923820dcc509a6f75849b}''', 'not tags @> ''{2}''',
                  'codes @> ''{C1}''', 'codes && ''{C0,C4}''', 'numbers @> ''{0.5}''', 'numbers && ''{3.0}''', 'ids @> array[''c4ca4238-a0b9-2382-0dcc-509a6f75849b'']::uuid[]',
                  'data ? ''k3''', 'data ?| ''{k3,k4,zz}''', 'data ?& ''{k3,list}''', 'data @> ''{"list": ["k2"]}''', 'data ? ''''',
                  'words @@ to_tsquery(''simple'', ''steel'')', 'words @@ plainto_tsquery(''simple'', ''the x-ray'')', 'words @@ phraseto_tsquery(''simple'', ''X-ray of'')',
                  'words @@ to_tsquery(''simple'', ''c4:* & !steel'')', 'words @@ to_tsquery(''simple'', ''!steel'')', 'words @@ websearch_to_tsquery(''simple'', ''"well-known" or 日本語 -ärger'')',
                  'words @@ ''''::tsquery', 'words @@ to_tsquery(''simple'', ''mm <2> the'')']) c
cross join lateral (select replace(c, 'words @@', 'to_tsvector(''simple'', words) @@')) o(own);

-- Random pairs of arrays and of jsonb.
create temp table pairs as
select (select array_agg(nullif((hashint4(i * 31 + k) & 7), 7)::text) from generate_series(1, hashint4(i) & 3) k) as a,
       (select array_agg(nullif((hashint4(i * 17 + k) & 7), 7)::text) from generate_series(1, hashint4(-i) & 3) k) as b,
       (select jsonb_object_agg('k' || (hashint4(i * 5 + k) & 3), case hashint4(i + k) & 3 when 0 then to_jsonb(k) when 1 then '[1, "a", {"k1": 2}]' else jsonb_build_object('k1', k) end)
        from generate_series(1, 3) k) as c,
       (select jsonb_object_agg('k' || (hashint4(i * 7 + k) & 3), case hashint4(i - k) & 3 when 0 then to_jsonb(k) when 1 then '["a"]' else jsonb_build_object('k1', k) end)
        from generate_series(1, 1) k) as d
from generate_series(1, 3000) i;
select count(*) as pairs,
       count(*) filter (where (a operator(labos_ops.@>) b) is distinct from (a operator(pg_catalog.@>) b) or (a operator(labos_ops.<@) b) is distinct from (a operator(pg_catalog.<@) b)
                           or (a operator(labos_ops.&&) b) is distinct from (a operator(pg_catalog.&&) b)) as arrays_differ,
       count(*) filter (where (c operator(labos_ops.@>) d) is distinct from (c operator(pg_catalog.@>) d) or (d operator(labos_ops.<@) c) is distinct from (d operator(pg_catalog.<@) c)
                           or (c operator(labos_ops.?) 'k1') is distinct from (c operator(pg_catalog.?) 'k1')) as jsonb_differ,
       count(*) filter (where c operator(pg_catalog.@>) d) > 100 as some_contain
from pairs;

set ops_test.tenant = '1';
set search_path = labos_ops, labos, pg_catalog;
set enable_seqscan = off;
set role lab_user;
explain (costs off) select id from ops_test.item where words @@ plainto_tsquery('simple', 'well-known');
explain (costs off) select id from ops_test.item where tags @> '{2}';
explain (costs off) select id from ops_test.item where codes && '{C1}';
explain (costs off) select id from ops_test.item where data ? 'k3' and data @> '{"k3": 1}';
reset enable_seqscan;
reset role;

-- The attacks. No value of a row, and no argument beside it, makes one of these raise or say anything: an error would tell that
-- tenant 2 has a row whose id is 1, since both conditions may run before the policy.
insert into ops_test.item values
  (2, 3001, repeat('long', 1000) || ' secret ' || repeat('x', 2000), '{secret}', '{secret}', '{NaN}', null, '{}'),
  (2, 3002, (select string_agg(md5(i::text), ' ') from generate_series(1, 40000) i), '{{a,b},{c,d}}', '{}', '{}', null, '[]');
insert into ops_test.item (tenant, id, data) values (2, 3003, (repeat('[', 3000) || repeat(']', 3000))::jsonb);
create type ops_test.odd as (a integer, b json);
grant usage on type ops_test.odd to lab_user;
set client_min_messages to notice;
set role lab_user;
select count(*) from ops_test.item where id > 3000 and words @@ to_tsquery('simple', 'secret');
select count(*) from ops_test.item where id > 3000 and labos_ops.words(words) @@ to_tsquery('simple', 'secret');
select count(*) from ops_test.item where id > 3000 and tags @> '{{a,b}}' and not tags && array[null]::text[];
select count(*) from ops_test.item where id = 3003 and data @> (repeat('[', 3000) || repeat(']', 3000))::jsonb;
select count(*) from ops_test.item where id = 3003 and data <@ (repeat('[', 3000) || repeat(']', 3000))::jsonb;
-- PostgreSQL's own raise for these two when a row comes by.
select count(*) from ops_test.item where id = 3001 and array[row(id, '1')::ops_test.odd] @> array[row(1, '1')::ops_test.odd];
select count(*) from ops_test.item where id = 3001 and array[row(id, '1'::json)] && array[row(1, '1'::json)];
select count(*) from ops_test.item where id = 3001 and array[words] @> array[coalesce((select a from (select 'a' collate "POSIX" as a offset 0) x), (select a from (select 'b' collate "C" as a offset 0) x))];
reset role;
-- What the owner of that row sees: such elements are compared by their bytes.
set ops_test.tenant = '2';
set role lab_user;
select array[row(1, '1')::ops_test.odd] @> array[row(1, '1')::ops_test.odd] as same, array[row(1, '1')::ops_test.odd] && array[row(1, '2')::ops_test.odd] as other,
       array[row(1, '1')::ops_test.odd, null] <@ array[row(1, '1')::ops_test.odd] as with_null;
select count(*) from ops_test.item where words @@ to_tsquery('simple', 'secret');
select data @> '[[]]' as shallow, data @> data as deeper_than_512_contains_nothing from ops_test.item where id = 3003;
reset role;
set client_min_messages to warning;

-- The cheap function of the caller's own sees rows of tenant 1 only, whatever the operator beside it.
set ops_test.tenant = '1';
create schema authorization lab_user;
grant create on schema lab_user to lab_user;
set role lab_user;
create function lab_user.leak(tenant integer, words text) returns boolean language plpgsql cost 0.0000001 as $$
begin
  perform set_config('ops_test.seen', current_setting('ops_test.seen') || case when tenant = 1 then '' else words end, false);
  return true;
end $$;
set ops_test.seen = '';
select count(*) from ops_test.item where lab_user.leak(tenant, words) and words @@ to_tsquery('simple', 'secret');
select count(*) from ops_test.item where lab_user.leak(tenant, words) and tags @> '{secret}';
select count(*) from ops_test.item where lab_user.leak(tenant, words) and codes && '{secret}';
select count(*) from ops_test.item where lab_user.leak(tenant, words) and data ?| '{secret}';
select current_setting('ops_test.seen') = '' as nothing_seen;
-- A malformed query is refused before any row is read, with and without rows.
select test.error_of($$ select 1 from ops_test.item where words @@ to_tsquery('simple', 'a &') $$);
select test.error_of($$ select 1 from ops_test.item where false and words @@ 'a & ('::tsquery $$);
select test.error_of($$ select 1 from ops_test.item where tags @> '{a' $$);
select test.error_of($$ select 1 from ops_test.item where data @> '{"a"' $$);
reset role;
reset search_path;
drop schema ops_test cascade;
drop schema lab_user cascade;
