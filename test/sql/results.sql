-- Results: numbers with units and uncertainty, limits, spectra, review, approval, imports.
\set VERBOSITY terse
\getenv data LABOS_TEST_DATA
select test.become('mary');
set role lab_user;
insert into lab.instruments (name, requires_calibration, parallel_runs) values ('Analyser', false, 9);
reset role;
create function test.results_run(note text) returns uuid language sql security definer as $$ select r.id from lab_data.runs r where r.notes = note and r.org_id = test.org_of('sam') $$;
select test.become('sam');
set role lab_user;
insert into lab.samples (name, barcode) values ('Analysed', 'RES-1');
select count(lab.run_create((select id from lab.instruments where name = 'Analyser'), 'x', (select id from lab.samples where barcode = 'RES-1'), notes => note)) from unnest('{r1,r2,queued}'::text[]) note;
select count(lab.run_start(test.results_run(note))) from unnest('{r1,r2}'::text[]) note;
reset role;

-- A technician records many at once: all forms; whether a value is out of its limits the database computes.
select test.become('tess');
set role lab_user;
select property, value, uncertainty, unit, value_text, value_json, value_array, axis, out_of_spec, quality, sample_id is not null as of_sample
from lab.result_record(test.results_run('r1'), '[
  {"property": "band gap", "value": 1.55, "uncertainty": 0.02, "unit": "eV", "lower_limit": 1.2, "upper_limit": 1.8, "method": "Tauc"},
  {"property": "thickness", "value": 501, "unit": "nm", "upper_limit": 500},
  {"property": "purity", "value": 99.5, "unit": "1", "lower_limit": 99.5},
  {"property": "colour", "value_text": "black", "quality": "suspect"},
  {"property": "peaks", "value_json": {"a": [1, 2]}},
  {"property": "spectrum", "unit": "1", "value_array": [0.1, null, 0.3], "axis": {"name": "wavelength", "unit": "nm", "first": 400, "step": 1}}]');
-- Bad input leaves nothing.
select what, left(test.error_of(format('select lab.result_record(test.results_run(%L), %L)', 'r1', body)), 110) as error from (values
  (1, 'null', null), (2, 'no array', '{}'), (3, 'empty', '[]'), (4, 'no object', '[1]'), (5, 'unknown key', '[{"property": "x", "value": 1, "unit": "1", "approved_by_id": "x"}]'),
  (6, 'no value', '[{"property": "x"}]'), (7, 'two values', '[{"property": "x", "value": 1, "unit": "1", "value_text": "x"}]'), (8, 'no unit', '[{"property": "x", "value": 1}]'),
  (9, 'unit of a text', '[{"property": "x", "value_text": "a", "unit": "m"}]'), (10, 'no number', '[{"property": "x", "value": "abc", "unit": "1"}]'),
  (11, 'NaN', '[{"property": "x", "value": "NaN", "unit": "1"}]'), (12, 'infinity', '[{"property": "x", "value": "-Infinity", "unit": "1"}]'), (13, 'too large', '[{"property": "x", "value": 1e999, "unit": "1"}]'),
  (14, 'NaN in an array', '[{"property": "x", "value_array": [1, "NaN"], "unit": "1"}]'), (15, 'two dimensions', '[{"property": "x", "value_array": [[1], [2]], "unit": "1"}]'),
  (16, 'axis without unit', '[{"property": "x", "value_array": [1], "unit": "1", "axis": {"name": "t"}}]'), (17, 'axis too short', '[{"property": "x", "value_array": [1, 2], "unit": "1", "axis": {"name": "t", "unit": "s", "values": [1]}}]'),
  (18, 'negative uncertainty', '[{"property": "x", "value": 1, "unit": "1", "uncertainty": -1}]'), (19, 'limits crossed', '[{"property": "x", "value": 1, "unit": "1", "lower_limit": 2, "upper_limit": 1}]'),
  (20, 'limits of a text', '[{"property": "x", "value_text": "a", "upper_limit": 1}]'), (21, 'quality', '[{"property": "x", "value": 1, "unit": "1", "quality": "fine"}]'), (22, 'json null', '[{"property": "x", "value_json": null}]'),
  (23, 'one bad among good', '[{"property": "x", "value": 1, "unit": "1"}, {"property": " ", "value": 1, "unit": "1"}]'), (24, 'deep', '[{"property": "x", "value_json": ' || repeat('[', 200) || repeat(']', 200) || ', "z": 1}]'),
  (25, 'infinite date', '[{"property": "x", "value": 1, "unit": "1", "measured_at": "infinity"}]'), (26, 'metadata', '[{"property": "x", "value": 1, "unit": "1", "metadata": 1}]')
) v (n, what, body) order by n;
select test.error_of(format('select lab.result_record(test.results_run(%L), %L)', 'r1', (select jsonb_agg('{}'::jsonb) from generate_series(1, 10001)))) as too_many;
select test.error_of($$select lab.result_record(test.results_run('queued'), '[{"property": "x", "value": 1, "unit": "1"}]')$$) as not_started,
       test.error_of($$select lab.result_record(gen_random_uuid(), '[{"property": "x", "value": 1, "unit": "1"}]')$$) as unknown;
select test.error_of($$insert into lab.results (run_id, property, value, unit) values (test.results_run('queued'), 'x', 1, '1')$$) as by_post;
select count(*) as recorded from lab.results;

-- Review and approval: not by who recorded; review first; a change takes the review back; approved is fixed.
select test.error_of($$select lab.result_review((select array_agg(id) from lab.results))$$) as technician;
reset role;
select test.become('sam');
set role lab_user;
select count(*), bool_and(reviewed_by_id = test.id_of('sam')) as by_sam from lab.result_review((select array_agg(id) from lab.results where property in ('band gap', 'thickness')));
update lab.results set value = 499 where property = 'thickness' returning out_of_spec, reviewed_at;
select test.error_of($$select lab.result_review((select array_agg(id) from lab.results where property = 'thickness'))$$) as her_own_change;
select test.error_of($$select lab.result_approve((select array_agg(id) from lab.results))$$) as scientist;
select test.error_of($$select lab.result_review(null)$$), test.error_of($$select lab.result_review('{}')$$), test.error_of($$select lab.result_review(array[gen_random_uuid()])$$), test.error_of($$select lab.result_review(array[null::uuid])$$);
reset role;
select test.become('mary');
set role lab_user;
select test.error_of($$select lab.result_approve((select array_agg(id) from lab.results))$$) as not_reviewed;
select count(*), bool_and(approved_by_id = test.id_of('mary')) as by_mary from lab.result_approve((select array_agg(id) from lab.results where property = 'band gap'));
select what, test.error_of(statement) from (values
  (1, 'value', $$update lab.results set value = 1 where property = 'band gap'$$), (2, 'limits', $$update lab.results set upper_limit = 9 where property = 'band gap'$$),
  (3, 'deletion', $$delete from lab.results where property = 'band gap'$$), (4, 'again', $$select lab.result_approve((select array_agg(id) from lab.results where property = 'band gap'))$$),
  (5, 'a forged approval', $$update lab.results set approved_by_id = null$$), (6, 'a forged flag', $$update lab.results set out_of_spec = false$$)
) v (n, what, statement) order by n;
reset role;

-- A real spectrum: a dry run changes nothing and says what would be.
select convert_from(pg_read_binary_file(:'data' || '/data/jcamp/dupinc1.jdx'), 'LATIN1') as spectrum \gset
select convert_from(pg_read_binary_file(:'data' || '/data/jcamp/structure_tree.jdx'), 'LATIN1') as tree \gset
select test.become('tess');
set role lab_user;
select lab.result_import_jcamp(test.results_run('r2'), :'spectrum', dry_run => true);
select count(*) from lab.results where run_id = test.results_run('r2');
select lab.result_import_jcamp(test.results_run('r2'), :'spectrum') ->> 'results' as results;
select property, unit, axis, cardinality(value_array) as points, value_array[1:3] as first, metadata ->> 'source' as source, metadata -> 'header' ->> 'OWNER' as owner from lab.results where run_id = test.results_run('r2');
-- Blocks, peaks and pages; what is left out is named.
select lab.result_import_jcamp(test.results_run('r2'), :'tree');
select property, unit, axis, value_array from lab.results where run_id = test.results_run('r2') order by id offset 1;
select test.error_of($$select lab.result_import_jcamp(test.results_run('r2'), '')$$) as empty, test.error_of($$select lab.result_import_jcamp(test.results_run('r2'), null)$$) as nothing,
       test.error_of($$select lab.result_import_jcamp(test.results_run('r2'), E'##TITLE= x\n##END=')$$) as no_data, test.error_of($$select lab.result_import_jcamp(test.results_run('queued'), E'##TITLE= x\n##XYPOINTS= (XY..XY)\n1,2\n##END=')$$) as not_started,
       test.error_of($$select lab.result_import_jcamp(gen_random_uuid(), 'x')$$) as unknown;

-- CSV: units from the header; what has none is named and left out.
select lab.result_import_csv(test.results_run('r2'), E'sample,band gap [eV],thickness (nm),note\nA,1.5,500,ok\nB,NA,501,\n');
select property, value, unit, metadata from lab.results where metadata ->> 'source' = 'csv' order by id;
-- With a mapping: properties, uncertainties, limits, decimal comma, own marks for missing, text.
select lab.result_import_csv(test.results_run('r2'), E'gap;u;colour;x\n1,5;0,1;red;1\n-200;;blue;2\n',
  '{"columns": {"gap": {"property": "mapped gap", "unit": "eV", "uncertainty": "u", "upper_limit": 1.4}, "colour": {"property": "mapped colour", "text": true}}, "decimal": ",", "missing": ["-200"]}');
select property, value, uncertainty, unit, value_text, out_of_spec from lab.results where property like 'mapped%' order by id;
-- With an axis a column becomes a series.
select lab.result_import_csv(test.results_run('r2'), E'nm,A,B\n400,0.1,5\n401,,6\n402,0.3,7\n', '{"columns": {"A": {"property": "series", "unit": "1"}}, "axis": {"column": "nm", "name": "wavelength", "unit": "nm"}}') -> 'dropped' as dropped;
select property, axis, value_array from lab.results where property = 'series';
-- A dry run lists what is wrong; the import refuses it all.
select lab.result_import_csv(test.results_run('r2'), E'a [V]\n1\nx\n1e999\n--2\n', dry_run => true) -> 'errors' as errors;
select what, test.error_of(format('select lab.result_import_csv(test.results_run(%L), %L, %L)', 'r2', body, mapping)) from (values
  (1, 'bad cells', E'a [V]\n1\nx', '{}'), (2, 'nothing', '', '{}'), (3, 'no text', null, '{}'), (4, 'header only', E'a [V]\n', '{}'), (5, 'no units', E'a\n1', '{}'),
  (6, 'ragged', E'a [V],b\n1', '{}'), (7, 'open quote', E'a [V]\n"1', '{}'), (8, 'unknown column', E'a\n1', '{"columns": {"b": {"unit": "V"}}}'), (9, 'unknown key', E'a\n1', '{"colums": {}}'),
  (10, 'mapping no object', E'a\n1', '[1]'), (11, 'column no object', E'a\n1', '{"columns": {"a": 1}}'), (12, 'axis not a number', E't,a\nx,1', '{"columns": {"a": {"unit": "V"}}, "axis": {"column": "t", "unit": "s"}}'),
  (13, 'axis without unit', E't,a\n1,1', '{"axis": {"column": "t"}}'), (14, 'delimiter', E'a [V]\n1', '{"delimiter": "ab"}'), (15, 'limit no number', E'a\n1', '{"columns": {"a": {"unit": "V", "upper_limit": "x"}}}'),
  (16, 'missing no array', E'a\n1', '{"missing": "x"}'), (17, 'blank unit', E'a\n1', '{"columns": {"a": {"unit": " "}}}'), (18, 'too many', E'a [V]\n' || repeat(E'1\n', 100001), '{}')
) v (n, what, body, mapping) order by n;
select test.error_of($$select lab.result_import_csv(test.results_run('queued'), E'a [V]\n1')$$) as not_started, test.error_of($$select lab.result_import_csv(gen_random_uuid(), E'a [V]\n1')$$) as unknown;
reset role;

-- A viewer reads; the other organisation and nobody do not.
select test.become('vic');
set role lab_user;
select count(*) > 10 as reads, test.error_of($$select lab.result_record(test.results_run('r1'), '[]')$$) as records, test.error_of($$select lab.result_import_csv(test.results_run('r1'), 'a')$$) as imports from lab.results;
reset role;
select test.become('bob');
select id as result from lab_data.results limit 1 \gset
set role lab_user;
select count(*) as seen, test.error_of($$select lab.result_record(test.results_run('r1'), '[{"property": "x", "value": 1, "unit": "1"}]')$$) as records,
       test.error_of($$select lab.result_import_jcamp(test.results_run('r1'), 'x')$$) as imports from lab.results;
select test.error_of(format('select lab.result_review(array[%L::uuid])', :'result')) as reviews;
reset role;
select test.become(null);
set role lab_user;
select count(*) as seen, test.error_of($$select lab.result_record(gen_random_uuid(), '[]')$$) from lab.results;
reset role;
