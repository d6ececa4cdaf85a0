/*
 * Room: imports
 *
 * Files of instruments become results: all or nothing, with a dry run that
 * says what would happen, and every column that is left out named.
 *
 * Needs    results, parse (labos.csv_parse, labos.jcamp_parse)
 */

-- CSV -----------------------------------------------------------------------------------

-- One row for each column of the file: what becomes of it.
create or replace function lab_private.csv_columns(header text[], mapping jsonb)
  returns table (n integer, column_name text, property text, unit text, is_text boolean, uncertainty integer, method text,
                 lower_limit float8, upper_limit float8, role text, reason text)
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_columns jsonb := mapping -> 'columns';
  v_axis    text := mapping #>> '{axis,column}';
  v_spec    jsonb;
  v_parts   text[];
  v_name    text;
begin
  for v_name in select jsonb_object_keys(coalesce(v_columns, '{}')) union all select v_axis where v_axis is not null loop
    if v_name <> all (header) then
      raise exception 'the file has no column named in the mapping' using errcode = 'PT422',
        detail = json_build_object('code', 'column_not_found', 'column', left(v_name, 200), 'columns', header)::text,
        hint = 'Names must be as in the first line of the file.';
    end if;
  end loop;
  for v_i in 1 .. cardinality(header) loop
    n := v_i;
    column_name := header[v_i];
    property := null; unit := null; is_text := false; uncertainty := null; method := null; lower_limit := null; upper_limit := null;
    role := null; reason := null;
    v_spec := v_columns -> header[v_i];
    if header[v_i] is null then
      reason := 'it has no name';
    elsif array_position(header, header[v_i]) < v_i then
      reason := 'another column has the same name';
    elsif header[v_i] = v_axis then
      role := 'axis';
    elsif v_spec is not null then
      if jsonb_typeof(v_spec) <> 'object'
         or exists (select from jsonb_object_keys(v_spec) k
                    where k <> all ('{property,unit,text,uncertainty,method,lower_limit,upper_limit}'))
      then
        raise exception 'the mapping of a column is not understood' using errcode = 'PT400',
          detail = json_build_object('code', 'invalid_mapping', 'column', header[v_i])::text,
          hint = 'A column maps to {"property", "unit", "uncertainty", "text", "method", "lower_limit", "upper_limit"}.';
      end if;
      role := 'value';
      property := coalesce(v_spec ->> 'property', header[v_i]);
      is_text := coalesce((v_spec ->> 'text')::boolean, false);
      unit := v_spec ->> 'unit';
      method := v_spec ->> 'method';
      lower_limit := (v_spec ->> 'lower_limit')::float8;
      upper_limit := (v_spec ->> 'upper_limit')::float8;
      if v_spec ->> 'uncertainty' is not null then
        uncertainty := array_position(header, v_spec ->> 'uncertainty');
        if uncertainty is null then
          raise exception 'the file has no column named in the mapping' using errcode = 'PT422',
            detail = json_build_object('code', 'column_not_found', 'column', left(v_spec ->> 'uncertainty', 200), 'columns', header)::text,
            hint = 'Names must be as in the first line of the file.';
        end if;
      end if;
      if unit is null and not is_text then
        role := null;
        reason := 'the mapping gives no unit';
      end if;
    elsif v_columns is not null then
      reason := case when exists (select from jsonb_each(v_columns) c where c.value ->> 'uncertainty' = header[v_i])
                     then null else 'it is not in the mapping' end;
      role := case when reason is null then 'uncertainty' end;
    else
      -- Without a mapping the header must say the unit: "absorbance (1)", "band gap [eV]".
      v_parts := regexp_match(header[v_i], '^\s*(.*\S)\s*[\[(]\s*([^\])]*\S)\s*[\])]\s*$');
      if v_parts is null then
        reason := 'its name gives no unit';
      else
        role := 'value';
        property := v_parts[1];
        unit := v_parts[2];
      end if;
    end if;
    return next;
  end loop;
end
$$;
comment on function lab_private.csv_columns(text[], jsonb) is 'What becomes of each column of a CSV file under a mapping: axis, value, uncertainty, or left out with the reason.';

-- A number as people write it, null when it is none or no double; never raises.
create or replace function lab_private.csv_number(cell text, decimal_comma boolean) returns float8
  language sql immutable parallel safe
  set search_path to pg_catalog, pg_temp
as $$
  select case when x.v ~ '^[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?$'
                   and (abs(x.v::numeric) between 1e-300 and 1e300 or x.v::numeric = 0)
              then x.v::float8 end
  from (select case when csv_number.decimal_comma then replace(btrim(csv_number.cell), ',', '.') else btrim(csv_number.cell) end) x(v)
$$;
comment on function lab_private.csv_number(text, boolean) is 'A cell as a number, null when it is none.';

create or replace function lab.result_import_csv(run_id uuid, "text" text, mapping jsonb default '{}', dry_run boolean default false)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('result:create');
  v_map     jsonb := coalesce(mapping, '{}');
  v_most    constant integer := 100000;
  v_columns constant integer := 1000;
  v_header  text[];
  v_axis    integer;
  v_comma   boolean;
  v_missing text[];
  v_column  record;
  v_rows    integer;
  v_bad     jsonb := '[]'::jsonb;
  v_used    jsonb := '[]'::jsonb;
  v_dropped jsonb := '[]'::jsonb;
  v_some    jsonb;
  v_n       bigint;
  v_total   bigint := 0;
  v_axis_json jsonb;
begin
  if not exists (select from lab_data.runs r where r.org_id = v_org and r.id = result_import_csv.run_id and r.deleted_at is null) then
    raise exception 'run not found' using errcode = 'PT404',
      detail = json_build_object('code', 'run_not_found', 'id', result_import_csv.run_id)::text, hint = 'List the runs you may see with GET /runs.';
  elsif "text" is null then
    raise exception 'there is no text to import' using errcode = 'PT400',
      detail = json_build_object('code', 'text_required')::text, hint = 'Send the file as text.';
  elsif jsonb_typeof(v_map) <> 'object' or jsonb_typeof(coalesce(v_map -> 'columns', '{}')) <> 'object'
        or jsonb_typeof(coalesce(v_map -> 'axis', '{}')) <> 'object' or jsonb_typeof(coalesce(v_map -> 'missing', '[]')) <> 'array'
        or exists (select from jsonb_object_keys(v_map) k where k <> all ('{columns,axis,delimiter,decimal,missing}'))
        or coalesce(v_map ->> 'decimal', '.') <> all ('{".",","}')
        or (v_map ? 'axis' and (v_map #>> '{axis,column}' is null or v_map #>> '{axis,unit}' is null))
  then
    raise exception 'the mapping is not understood' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_mapping')::text,
      hint = 'Send {"columns": {"A": {"property": "absorbance", "unit": "1"}}, "axis": {"column", "name", "unit"}, "delimiter", "decimal", "missing": []}.';
  end if;
  v_comma := coalesce(v_map ->> 'decimal', '.') = ',';
  v_missing := array['', 'NA', 'N/A', 'n/a', 'NaN', 'nan', 'null', 'NULL', '-'] || coalesce(
    (select array_agg(m) from jsonb_array_elements_text(v_map -> 'missing') m), '{}');

  select array_agg(btrim(h.name) order by h.n) into v_header
  from labos.csv_parse("text", v_map ->> 'delimiter') c, unnest(c.fields) with ordinality h(name, n) where c."row" = 1;
  if v_header is null then
    raise exception 'the file has no rows' using errcode = 'PT422',
      detail = json_build_object('code', 'empty_file')::text, hint = 'The first line names the columns.';
  elsif cardinality(v_header) > v_columns then
    -- Each column is looked for in the whole file.
    raise exception 'the file has more than % columns', v_columns using errcode = 'PT422',
      detail = json_build_object('code', 'too_many_columns', 'columns', cardinality(v_header), 'max', v_columns)::text,
      hint = 'Split it, or turn rows and columns.';
  end if;
  select count(*) - 1 into v_rows from labos.csv_parse("text", v_map ->> 'delimiter');

  select c.n into v_axis from lab_private.csv_columns(v_header, v_map) c where c.role = 'axis';
  if v_axis is not null then
    select jsonb_agg(x.v order by x."row"),
           coalesce((select jsonb_agg(b) from (select jsonb_build_object('line', y.line, 'column', v_header[v_axis], 'value', left(y.cell, 80)) b
                     from (select c.line, c.fields[v_axis] as cell, lab_private.csv_number(c.fields[v_axis], v_comma) as v
                           from labos.csv_parse("text", v_map ->> 'delimiter') c where c."row" > 1) y where y.v is null order by y.line limit 20) z), '[]')
    into v_axis_json, v_some
    from (select c."row", lab_private.csv_number(c.fields[v_axis], v_comma) as v
          from labos.csv_parse("text", v_map ->> 'delimiter') c where c."row" > 1) x;
    v_bad := v_bad || v_some;
    v_axis_json := jsonb_build_object('name', coalesce(v_map #>> '{axis,name}', v_header[v_axis]), 'unit', v_map #>> '{axis,unit}',
                                      'values', coalesce(v_axis_json, '[]'));
  end if;

  for v_column in select * from lab_private.csv_columns(v_header, v_map) c order by c.n loop
    if v_column.reason is not null then
      v_dropped := v_dropped || jsonb_build_object('column', v_column.column_name, 'reason', v_column.reason);
    end if;
    continue when v_column.role is distinct from 'value';

    -- Cells that are neither missing nor a number.
    select coalesce(jsonb_agg(jsonb_build_object('line', x.line, 'column', x.name, 'value', left(x.cell, 80)) order by x.line), '[]') into v_some
    from (
      select c.line, k.name, c.fields[k.n] as cell
      from labos.csv_parse("text", v_map ->> 'delimiter') c,
           (values (v_column.n, v_column.column_name), (v_column.uncertainty, v_header[v_column.uncertainty])) k(n, name)
      where c."row" > 1 and k.n is not null and not (v_column.is_text and k.n = v_column.n)
        and coalesce(btrim(c.fields[k.n]), '') <> all (v_missing) and lab_private.csv_number(c.fields[k.n], v_comma) is null
      order by c.line limit 20) x;
    v_bad := v_bad || v_some;

    select count(*) into v_n from labos.csv_parse("text", v_map ->> 'delimiter') c
    where c."row" > 1 and coalesce(btrim(c.fields[v_column.n]), '') <> all (v_missing);
    v_used := v_used || jsonb_build_object('column', v_column.column_name, 'property', v_column.property, 'unit', v_column.unit,
                                           'values', v_n, 'missing', v_rows - v_n);
    v_total := v_total + case when v_axis is null then v_n when v_rows > 0 then 1 else 0 end;
  end loop;

  if v_total > v_most then
    raise exception 'the file makes more than % results', v_most using errcode = 'PT422',
      detail = json_build_object('code', 'too_many_results', 'results', v_total, 'max', v_most)::text,
      hint = 'Name an axis, so that a column becomes one series, or split the file.';
  elsif not coalesce(dry_run, false) and jsonb_array_length(v_bad) > 0 then
    raise exception 'some cells are not numbers' using errcode = 'PT422',
      detail = jsonb_build_object('code', 'invalid_cells', 'cells', v_bad)::text,
      hint = 'Correct them, or list what marks a missing value in "missing".';
  elsif not coalesce(dry_run, false) then
    if v_total = 0 then
      raise exception 'nothing in the file becomes a result' using errcode = 'PT422',
        detail = jsonb_build_object('code', 'nothing_to_import', 'dropped', v_dropped)::text,
        hint = 'Give units: in the header, "band gap [eV]", or in the mapping.';
    end if;
    for v_column in select * from lab_private.csv_columns(v_header, v_map) c where c.role = 'value' order by c.n loop
      if v_axis is not null and not v_column.is_text then
        insert into lab_data.results (org_id, run_id, property, unit, value_array, axis, method, metadata)
        select v_org, result_import_csv.run_id, v_column.property, v_column.unit,
               array_agg(case when btrim(c.fields[v_column.n]) <> all (v_missing) then lab_private.csv_number(c.fields[v_column.n], v_comma) end
                         order by c."row"),
               v_axis_json, v_column.method, jsonb_build_object('source', 'csv', 'column', v_column.column_name)
        from labos.csv_parse("text", v_map ->> 'delimiter') c where c."row" > 1
        having count(*) > 0;
      else
        insert into lab_data.results (org_id, run_id, property, value, value_text, unit, uncertainty, lower_limit, upper_limit, method, metadata)
        select v_org, result_import_csv.run_id, v_column.property,
               case when not v_column.is_text then lab_private.csv_number(c.fields[v_column.n], v_comma) end,
               case when v_column.is_text then c.fields[v_column.n] end,
               case when not v_column.is_text then v_column.unit end,
               case when not v_column.is_text and btrim(c.fields[v_column.uncertainty]) <> all (v_missing)
                    then lab_private.csv_number(c.fields[v_column.uncertainty], v_comma) end,
               v_column.lower_limit, v_column.upper_limit, v_column.method,
               jsonb_build_object('source', 'csv', 'column', v_column.column_name, 'line', c.line)
        from labos.csv_parse("text", v_map ->> 'delimiter') c
        where c."row" > 1 and coalesce(btrim(c.fields[v_column.n]), '') <> all (v_missing)
        order by c."row";
      end if;
    end loop;
  end if;
  return jsonb_build_object('dry_run', coalesce(dry_run, false), 'rows', v_rows, 'results', v_total,
                            'columns', v_used, 'dropped', v_dropped, 'errors', v_bad);
end
$$;
comment on function lab.result_import_csv(uuid, text, jsonb, boolean) is
$$Import results from CSV

Each cell becomes a result; with mapping.axis each column becomes one series. Without mapping.columns the header gives the units ("band gap [eV]"). Returns rows, results, columns, dropped columns with reasons, errors; dry_run changes nothing. Errors: 400 LB402 with the line, invalid_mapping, text_required, 404 run_not_found, 409 run_not_started, 422 column_not_found, invalid_cells, nothing_to_import, too_many_results.$$;
revoke all on function lab.result_import_csv(uuid, text, jsonb, boolean) from public;
grant execute on function lab.result_import_csv(uuid, text, jsonb, boolean) to lab_user;

-- JCAMP-DX --------------------------------------------------------------------------------

create or replace function lab_private.jcamp_unit(unit text) returns text
  language sql immutable parallel safe
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(
    (select u.symbol from (values
       ('1/CM', '1/cm'), ('NANOMETERS', 'nm'), ('NANOMETRES', 'nm'), ('MICROMETERS', 'um'), ('MICROMETRES', 'um'), ('HZ', 'Hz'), ('PPM', 'ppm'),
       ('SECONDS', 's'), ('MILLISECONDS', 'ms'), ('MINUTES', 'min'), ('NANOAMPERES', 'nA'), ('MICROAMPERES', 'uA'), ('AMPERES', 'A'), ('VOLTS', 'V'),
       ('M/Z', 'm/z'), ('ARBITRARY UNITS', '1'), ('ABSORBANCE', '1'), ('TRANSMITTANCE', '1'), ('REFLECTANCE', '1'), ('RELATIVE ABUNDANCE', '1'),
       ('RELATIVE INTENSITY', '1'), ('COUNTS', '1'), ('EV', 'eV'), ('KELVIN', 'K'), ('DEGREES CELSIUS', 'degC')) u(name, symbol)
     where u.name = upper(btrim(jcamp_unit.unit))),
    nullif(left(btrim(regexp_replace(jcamp_unit.unit, '[[:cntrl:]]+', ' ', 'g')), 40), ''),
    '1')
$$;
comment on function lab_private.jcamp_unit(text) is 'The symbol of a unit as JCAMP-DX files spell it; 1 for none.';

create or replace function lab.result_import_jcamp(run_id uuid, "text" text, dry_run boolean default false)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('result:create');
  v_dry     boolean := coalesce(dry_run, false);
  v_item    record;
  v_results jsonb := '[]'::jsonb;
  v_dropped jsonb := '[]'::jsonb;
  v_name    text;
  v_unit    text;
  v_axis    jsonb;
begin
  if not exists (select from lab_data.runs r where r.org_id = v_org and r.id = result_import_jcamp.run_id and r.deleted_at is null) then
    raise exception 'run not found' using errcode = 'PT404',
      detail = json_build_object('code', 'run_not_found', 'id', result_import_jcamp.run_id)::text, hint = 'List the runs you may see with GET /runs.';
  elsif "text" is null then
    raise exception 'there is no text to import' using errcode = 'PT400',
      detail = json_build_object('code', 'text_required')::text, hint = 'Send the file as text.';
  end if;
  for v_item in select j.* from labos.jcamp_parse("text") j loop
    if v_item.y is null or cardinality(v_item.y) = 0 then
      v_dropped := v_dropped || jsonb_build_object('block', v_item.block, 'title', v_item.title, 'reason', 'it has no data');
      continue;
    end if;
    if v_item.dropped is not null then
      v_dropped := v_dropped || jsonb_build_object('block', v_item.block, 'title', v_item.title, 'reason', v_item.dropped);
    end if;
    v_name := regexp_replace(lower(coalesce(nullif(btrim(v_item.data_type), ''), 'spectrum')), '[[:cntrl:][:space:]]+', ' ', 'g');
    v_name := left(v_name || case when v_item.form = 'NTUPLES' then ' ' || lower(v_item.y_name) else '' end, 200);
    v_unit := lab_private.jcamp_unit(v_item.y_unit);
    v_axis := jsonb_build_object('name', lower(coalesce(v_item.x_name, 'x')), 'unit', lab_private.jcamp_unit(v_item.x_unit))
      || case when v_item.x is null then jsonb_build_object('first', v_item.x_first, 'step', v_item.x_step)
              else jsonb_build_object('values', to_jsonb(v_item.x)) end;
    v_results := v_results || jsonb_build_object('block', v_item.block, 'page', v_item.page, 'title', v_item.title, 'form', v_item.form,
      'property', v_name, 'unit', v_unit, 'axis', v_axis - 'values', 'points', cardinality(v_item.y));
    if not v_dry then
      insert into lab_data.results (org_id, run_id, property, unit, value_array, axis, method, metadata)
      values (v_org, result_import_jcamp.run_id, v_name, v_unit, array_replace(v_item.y, 'NaN', null), v_axis,
              nullif(left(btrim(regexp_replace(v_item.header ->> 'SPECTROMETERDATASYSTEM', '[[:cntrl:]]+', ' ', 'g')), 200), ''),
              jsonb_strip_nulls(jsonb_build_object('source', 'jcamp-dx', 'block', v_item.block, 'page', v_item.page, 'page_label', v_item.page_label,
                'title', v_item.title, 'form', v_item.form, 'y_unit', v_item.y_unit, 'x_unit', v_item.x_unit, 'header', v_item.header)));
    end if;
  end loop;
  if jsonb_array_length(v_results) = 0 and not v_dry then
    raise exception 'nothing in the file becomes a result' using errcode = 'PT422',
      detail = jsonb_build_object('code', 'nothing_to_import', 'dropped', v_dropped)::text, hint = 'The file has no data tables.';
  end if;
  return jsonb_build_object('dry_run', v_dry, 'results', jsonb_array_length(v_results), 'imported', v_results, 'dropped', v_dropped);
end
$$;
comment on function lab.result_import_jcamp(uuid, text, boolean) is
$$Import spectra from a JCAMP-DX file

Each data table becomes one result with its axis; the header goes to its metadata; missing points are null. dry_run changes nothing and shows what would. Errors: 400 LB401 with the line, text_required, 404 run_not_found, 409 run_not_started, 422 nothing_to_import.$$;
revoke all on function lab.result_import_jcamp(uuid, text, boolean) from public;
grant execute on function lab.result_import_jcamp(uuid, text, boolean) to lab_user;
