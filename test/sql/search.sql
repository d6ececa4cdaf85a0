-- Every searchable column has an index that row security lets be used: the rule, the plans, and answers like PostgreSQL's own.
set client_min_messages to warning;
set search_path to pg_catalog, pg_temp;

-- The rule: what is searched in the tables that clients list ------------------
-- A root table is one that clients list by itself: its key is (org_id, id), or it has no organisation. Children are read by their parent.

create temp table exempt (column_name text primary key, reason text);
insert into pg_temp.exempt values
  ('organizations.name', 'a caller sees the one they act in'),
  ('organizations.settings', 'a caller sees the one they act in'),
  ('users.preferences', 'a person''s own'),
  ('memberships.title', 'read with the person'),
  ('permissions.name', 'the vocabulary: some hundred rows'),
  ('permissions.description', 'the vocabulary: some hundred rows'),
  ('roles.name', 'some dozen rows'),
  ('roles.display_name', 'some dozen rows'),
  ('roles.description', 'some dozen rows'),
  ('api_keys.name', 'at most a hundred live ones of an owner'),
  ('api_keys.scopes', 'at most a hundred live ones of an owner'),
  ('webhooks.name', 'at most twenty'),
  ('webhooks.events', 'at most twenty'),
  ('oidc_providers.name', 'at most twenty'),
  ('oidc_providers.jwks', 'at most twenty'),
  ('oidc_providers.algorithms', 'at most twenty'),
  ('oidc_providers.email_domains', 'at most twenty'),
  ('instruments.connection', 'addresses of a machine, not a thing to search'),
  ('calibrations.reference_standards', 'read with the certificate'),
  ('results.value_json', 'a measured value; found by property, run or sample'),
  ('results.axis', 'belongs to a measured value'),
  ('datasets.columns', 'the shape of a table'),
  ('structures.generated_by', 'read with the structure'),
  ('simulation_jobs.error', 'read with the job'),
  ('design_campaigns.config', 'read with the campaign');

create temp table searchable as
select c.oid as relation, c.relname::text as name, a.attname::text as column, a.attnum,
       case when t.typname = 'formula' then 'formula' when bt.typname = 'jsonb' then 'jsonb' when bt.typcategory = 'A' then 'array' else 'text' end as kind,
       exists (select from pg_attribute o where o.attrelid = c.oid and o.attname = 'org_id') as has_org
from pg_class c
join pg_class v on v.relname = c.relname and v.relnamespace = 'lab'::regnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_attribute va on va.attrelid = v.oid and va.attname = a.attname
join pg_type t on t.oid = a.atttypid
join pg_type bt on bt.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
left join pg_type e on e.oid = bt.typelem
where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p')
  and (t.typname = 'formula' or bt.typname = 'jsonb'
       or bt.typcategory = 'A' and 'text'::regtype in (e.oid, e.typbasetype)
       or bt.typname in ('text', 'citext', 'varchar') and a.attname ~ '^(name|title|code|description|notes|email|username|(first|last|full|display)_name)$')
  and not exists (  -- a child: its key is (id, org_id)
    select from pg_index i join pg_attribute k on k.attrelid = i.indrelid and k.attnum = i.indkey[1] and k.attname = 'org_id'
    where i.indrelid = c.oid and i.indisprimary);

-- Whose index is missing, does not begin with the organisation, or has an operator class that row security does not trust; none.
select s.name || '.' || s.column as fault
from pg_temp.searchable s
where s.name || '.' || s.column not in (select e.column_name from pg_temp.exempt e)
  and not exists (
    select from pg_index i
    cross join generate_series(0, i.indnkeyatts - 1) k
    join pg_opclass o on o.oid = i.indclass[k] and o.opcnamespace in ('labos_ops'::regnamespace, 'labos'::regnamespace)
    join pg_attribute f on f.attrelid = i.indrelid and f.attnum = i.indkey[0]
    where i.indrelid = s.relation and i.indkey[k] = s.attnum and i.indisvalid and (f.attname = 'org_id') = s.has_org)
order by 1;
-- An exception that is none.
select e.column_name from pg_temp.exempt e where not exists (select from pg_temp.searchable s where s.name || '.' || s.column = e.column_name) order by 1;
-- A numeric column of a root table is compared by labos_ops or not at all; there is none.
select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.atttypid = 'numeric'::regtype
where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p')
  and exists (select from pg_class v where v.relname = c.relname and v.relnamespace = 'lab'::regnamespace);

-- The plans: as PostgREST asks, through the view, as lab_user ------------------
begin;
-- Tables are small here: what is left to take is an index of that very column, or the table.
create function pg_temp.plan(relation oid, column_number smallint, query text) returns text language plpgsql
  set search_path to lab, labos_ops, labos, pg_catalog
as $$
declare
  v_line text; v_plan text := '';
begin
  update pg_index i set indisvalid = column_number = any (i.indkey) and c.relam = (select a.oid from pg_am a where a.amname = 'gin')
  from pg_class c where c.oid = i.indexrelid and i.indrelid = relation;
  perform set_config('role', 'lab_user', true);
  for v_line in execute 'explain (costs off) ' || query loop
    v_plan := v_plan || v_line || E'\n';
  end loop;
  perform set_config('role', 'none', true);
  return v_plan;
end $$;
select test.become('sam');
set local enable_seqscan to off;
-- Which condition of which column is not an index condition together with the organisation; none.
select s.name, s.column, c.condition
from pg_temp.searchable s
join lateral (values
  ('text', 'name|code|title|email|.*name', $q$%s ilike '%%steel%%'$q$), ('text', 'name|code|title|email|.*name', $q$%s like '%%steel%%'$q$),
  ('text', 'description|notes', $q$%s @@ to_tsquery('simple', 'steel')$q$), ('text', 'description|notes', $q$%s @@ plainto_tsquery('simple', 'stainless steel')$q$),
  ('jsonb', '.*', $q$%s @> '{"lot": 7}'$q$), ('array', '.*', $q$%s @> '{GHS02}'$q$), ('array', '.*', $q$%s && '{GHS02}'$q$),
  ('formula', '.*', $q$%s @> '{Ga}'$q$)) x(kind, names, condition) on x.kind = s.kind and s.column ~ ('^(' || x.names || ')$')
cross join lateral (select format(x.condition, quote_ident(s.column))) c(condition)
cross join lateral (select pg_temp.plan(s.relation, s.attnum, format('select id from %I where %s', s.name, c.condition))) p(plan)
where s.name || '.' || s.column not in (select e.column_name from pg_temp.exempt e)
  and not (p.plan ~ ('Index Cond: [^\n]*' || s.column) and (not s.has_org or p.plan ~ 'Index Cond: [^\n]*org_id = org_for'))
order by 1, 2, 3;
rollback;

-- With rows, PostgreSQL takes these indexes of its own accord: 9000 samples of 3 organisations, settings as they are.
begin;
select test.become('sam');
set local session_replication_role to replica;
insert into lab_data.samples (org_id, barcode, barcode_symbology, name, description, formula, hazards, metadata)
select case when i % 3 = 0 then test.org_of('sam') else md5((i % 3)::text)::uuid end, 'SRCH-' || i, 'datamatrix', 'wafer ' || md5(i::text),
       'polished on side ' || md5((i % 997)::text), (array['GaN', 'AlN', 'SiO2'])[1 + i % 3] || (1 + i % 50), case when i % 100 = 0 then '{GHS02}' else '{}' end::lab_data.ghs_code[],
       jsonb_build_object('lot', i % 500)
from generate_series(1, 9000) i;
set local session_replication_role to origin;
-- What a vacuum does: new entries move from the pending list into the index.
select count(gin_clean_pending_list(i.indexrelid)) as gin_indexes
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam and a.amname = 'gin' where i.indrelid = 'lab_data.samples'::regclass;
analyze lab_data.samples;
set local role lab_user;
set local search_path to lab, labos_ops, labos, pg_catalog;
explain (costs off) select id from samples where name ilike '%eccbc%';
explain (costs off) select id from samples where description @@ plainto_tsquery('simple', 'eccbc87e4b5ce2fe28308fd9f2a7baf3');
explain (costs off) select id from samples where metadata @> '{"lot": 77}';
explain (costs off) select id from samples where formula @> '{Al,N}' and formula = 'AlN41';
explain (costs off) select id from samples where (name ilike '%eccbc%' or description @@ plainto_tsquery('simple', 'eccbc87e4b5ce2fe28308fd9f2a7baf3'));
explain (costs off) select id from samples order by id desc limit 50;
-- Each finds its rows, of the own organisation only.
select count(*) from samples where name ilike '%WAFER%' and name like 'wafer%';
select count(*) from samples where description @@ plainto_tsquery('simple', 'Polished') and name like 'wafer%';
select count(*) from samples where hazards && '{GHS02,GHS01}' and name like 'wafer%';
select count(*) from samples where hazards @> '{GHS02}' and name like 'wafer%';
select count(*) from samples where metadata @> '{"lot": 0}';
rollback;
reset search_path;
