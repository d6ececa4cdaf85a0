/*
 * Room: materials (repeatable half)
 *
 * Data sets have no update and no insert from outside: dataset_import writes
 * them, deleting marks them; campaigns that use one keep seeing its rows.
 */

create or replace trigger _100_stamp before insert or update on lab_data.materials for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert or update on lab_data.datasets for each row execute function labos.tg__stamp();

call labos.protect('lab_data.materials', 'material', verbs => '{select,insert,update}', owner => 'owner_id',
  kind => 'material', guest_verbs => '{select}');
call labos.expose('materials',
  insert_columns => '{id,name,formula,source,description,tags,properties}',
  update_columns => '{name,formula,source,description,tags,properties,version}',
  deletable => true, prefix => 'material', owner => 'owner_id', guests => true);

call labos.protect('lab_data.datasets', 'material', verbs => '{select}', kind => 'dataset', guest_verbs => '{select}');
call labos.expose('datasets', deletable => true, prefix => 'material', guests => true);
call labos.protect('lab_data.dataset_rows', 'material', verbs => '{select}', kind => 'dataset', kind_id => 'dataset_id', guest_verbs => '{select}');
call labos.expose('dataset_rows', hidden_columns => '{features}', guests => true);

call labos.audit_enable('lab_data.materials');
call labos.audit_enable('lab_data.datasets');

-- import --------------------------------------------------------------------

create or replace function lab_private.dataset_refuse(code text, message text, data json default '{}', hint text default null) returns void
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  raise exception '%', message using errcode = 'PT400',
    detail = (jsonb_build_object('code', code) || data::jsonb)::text, hint = coalesce(dataset_refuse.hint, '');
end
$$;
comment on function lab_private.dataset_refuse(text, text, json, text) is 'Refuses an import with 400 and a code.';

create or replace function lab_private.csv_column(header text[], name text) returns integer
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if array_position(csv_column.header, csv_column.name) is null then
    perform lab_private.dataset_refuse('unknown_column', 'the text has no such column',
      json_build_object('column', csv_column.name, 'columns', csv_column.header));
  end if;
  return array_position(csv_column.header, csv_column.name);
end
$$;
comment on function lab_private.csv_column(text[], text) is 'Where a column stands; 400 unknown_column.';

-- A number as JSON and SQL both take it: no NaN, no infinity, no hexadecimal.
create or replace function lab_private.csv_number(field text, line integer, name text) returns float8
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if csv_number.field is null or btrim(csv_number.field) = '' then
    return null;
  end if;
  if btrim(csv_number.field) ~ '^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?$' then
    begin
      return btrim(csv_number.field)::float8;
    exception when numeric_value_out_of_range then
      null;
    end;
  end if;
  perform lab_private.dataset_refuse('not_a_number', 'a field is no number',
    json_build_object('line', csv_number.line, 'column', csv_number.name, 'value', left(csv_number.field, 80)));
  return null;
end
$$;
comment on function lab_private.csv_number(text, integer, text) is 'A field as a finite number, null when empty; 400 not_a_number.';

create or replace function lab_private.dataset_mapping(mapping jsonb) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(dataset_mapping.mapping) is distinct from 'object'
     or dataset_mapping.mapping - '{formula,parameters,properties}'::text[] <> '{}'
     or jsonb_typeof(dataset_mapping.mapping -> 'properties') is distinct from 'object'
     or dataset_mapping.mapping -> 'properties' = '{}'
     or coalesce(jsonb_typeof(dataset_mapping.mapping -> 'formula'), 'string') <> 'string'
     or coalesce(jsonb_typeof(dataset_mapping.mapping -> 'parameters'), 'object') <> 'object'
     or not (dataset_mapping.mapping ? 'formula' or coalesce(dataset_mapping.mapping -> 'parameters', '{}') <> '{}')
     or exists (select from jsonb_each(coalesce(dataset_mapping.mapping -> 'parameters', '{}') || (dataset_mapping.mapping -> 'properties')) e
                where jsonb_typeof(e.value) <> 'string' or length(e.key) not between 1 and 63) then
    perform lab_private.dataset_refuse('invalid_mapping', 'the mapping is not valid', '{}',
      'Give {"formula": column, "parameters": {name: column}, "properties": {name: column}}; properties and one of the other two are required.');
  end if;
end
$$;
comment on function lab_private.dataset_mapping(jsonb) is 'Checks the mapping of an import; 400 invalid_mapping.';

-- One record of the text as a row of the set.
create or replace function lab_private.dataset_row(header text[], mapping jsonb, line integer, fields text[])
  returns table (formula labos.formula, parameters jsonb, measured jsonb, features float8[])
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_column record;
  v_number float8;
  v_text   text;
begin
  parameters := '{}';
  measured := '{}';
  features := '{}';
  if dataset_row.mapping ? 'formula' then
    v_text := dataset_row.fields[array_position(dataset_row.header, dataset_row.mapping ->> 'formula')];
    if v_text is null or not labos.formula_valid(v_text) then
      perform lab_private.dataset_refuse('invalid_formula', 'a formula cannot be read',
        json_build_object('line', dataset_row.line, 'formula', left(v_text, 80)));
    end if;
    formula := v_text::labos.formula;
    features := labos.composition_features(formula);
  end if;
  for v_column in
    select e.key, e.value, true as is_parameter from jsonb_each_text(dataset_row.mapping -> 'parameters') e
    union all
    select e.key, e.value, false from jsonb_each_text(dataset_row.mapping -> 'properties') e
    order by 3 desc, 1
  loop
    v_number := lab_private.csv_number(dataset_row.fields[array_position(dataset_row.header, v_column.value)], dataset_row.line, v_column.value);
    if v_column.is_parameter then
      if v_number is null then
        perform lab_private.dataset_refuse('missing_parameter', 'a row lacks a parameter',
          json_build_object('line', dataset_row.line, 'column', v_column.value));
      end if;
      parameters := parameters || jsonb_build_object(v_column.key, v_number);
      features := features || v_number;
    elsif v_number is not null then
      measured := measured || jsonb_build_object(v_column.key, v_number);
    end if;
  end loop;
  return next;
end
$$;
comment on function lab_private.dataset_row(text[], jsonb, integer, text[]) is
  'One record of an imported text as a row of a data set; 400 invalid_formula, not_a_number or missing_parameter with the line.';

create or replace function lab.dataset_import(
  name text, csv text, mapping jsonb, description text default null, source text default null, licence text default null,
  dry_run boolean default false)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_org     uuid := labos.require_org_for('material:create');
  v_id      uuid := labos.uuid_v7();
  v_header  text[];
  v_used    text[];
  v_record  record;
  v_row     record;
  v_count   integer := 0;
  v_missing integer := 0;
begin
  if dataset_import.name is null or length(btrim(dataset_import.name)) not between 1 and 63 then
    perform lab_private.dataset_refuse('invalid_name', 'a data set needs a name of 1 to 63 characters');
  elsif coalesce(dataset_import.csv, '') = '' then
    perform lab_private.dataset_refuse('empty', 'the text is empty');
  elsif octet_length(dataset_import.csv) > 50000000 then
    perform lab_private.dataset_refuse('too_large', 'the text is longer than 50,000,000 bytes');
  elsif length(dataset_import.description) > 10000 or length(dataset_import.source) > 1000 or length(dataset_import.licence) > 200 then
    perform lab_private.dataset_refuse('too_large', 'description, source or licence is too long');
  end if;
  perform lab_private.dataset_mapping(dataset_import.mapping);
  if exists (select from lab_data.datasets d where d.org_id = v_org and d.name = dataset_import.name and d.deleted_at is null) then
    raise exception 'a data set of this name exists' using errcode = 'PT409',
      detail = json_build_object('code', 'dataset_exists', 'name', dataset_import.name)::text,
      hint = 'Data sets are not changed; import it under another name.';
  end if;

  for v_record in select c.line, c.fields from labos.csv_parse(dataset_import.csv) c loop
    if v_header is null then
      v_header := v_record.fields;
      v_used := array(select e.value from jsonb_each_text(dataset_import.mapping -> 'parameters') e
                      union select e.value from jsonb_each_text(dataset_import.mapping -> 'properties') e
                      union select dataset_import.mapping ->> 'formula' where dataset_import.mapping ? 'formula');
      perform lab_private.csv_column(v_header, u) from unnest(v_used) u;
      if not coalesce(dataset_import.dry_run, false) then
        insert into lab_data.datasets (id, org_id, name, description, source, licence, columns, feature_names, row_count, sha256)
        values (v_id, v_org, dataset_import.name, dataset_import.description, dataset_import.source, dataset_import.licence, dataset_import.mapping,
          case when dataset_import.mapping ? 'formula' then labos.composition_feature_names() else '{}' end
            || array(select e.key from jsonb_each_text(dataset_import.mapping -> 'parameters') e order by 1),
          1, encode(sha256(convert_to(dataset_import.csv, 'UTF8')), 'hex'));
      end if;
      continue;
    end if;
    select r.* into v_row from lab_private.dataset_row(v_header, dataset_import.mapping, v_record.line, v_record.fields) r;
    v_count := v_count + 1;
    v_missing := v_missing + (v_row.measured = '{}')::integer;
    if not coalesce(dataset_import.dry_run, false) then
      insert into lab_data.dataset_rows (org_id, dataset_id, row_index, formula, parameters, measured, features)
      values (v_org, v_id, v_count, v_row.formula, v_row.parameters, v_row.measured, v_row.features);
    end if;
  end loop;
  if v_count = 0 then
    perform lab_private.dataset_refuse('empty', 'the text has no rows');
  end if;
  if not coalesce(dataset_import.dry_run, false) then
    update lab_data.datasets d set row_count = v_count where d.org_id = v_org and d.id = v_id;
  end if;
  return jsonb_build_object('id', case when not coalesce(dataset_import.dry_run, false) then v_id end, 'name', dataset_import.name,
    'rows', v_count, 'rows_without_values', v_missing,
    'dropped_columns', to_jsonb(array(select h from unnest(v_header) h where h is null or h <> all (v_used))),
    'dry_run', coalesce(dataset_import.dry_run, false));
end
$$;
comment on function lab.dataset_import(text, text, jsonb, text, text, text, boolean) is
$$Import a data set

csv is delimited text with a header; mapping is {"formula": column, "parameters": {name: column}, "properties": {name: column}}. Answers rows, columns that were dropped, and with dry_run stores nothing. Errors: 403, 409 `dataset_exists`, 400 `invalid_mapping`, `unknown_column`, `invalid_formula`, `not_a_number`, `missing_parameter` (with the line), `empty`, `too_large`, LB402 malformed text.$$;
revoke all on function lab.dataset_import(text, text, jsonb, text, text, text, boolean) from public;
grant execute on function lab.dataset_import(text, text, jsonb, text, text, text, boolean) to lab_user;
revoke all on function lab_private.dataset_refuse(text, text, json, text), lab_private.csv_column(text[], text),
  lab_private.csv_number(text, integer, text), lab_private.dataset_mapping(jsonb), lab_private.dataset_row(text[], jsonb, integer, text[]) from public;
