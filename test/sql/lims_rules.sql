-- What must not be got around: the lockout by moving, the ladder by changing, custody by taking, approval by reviewing.
\set VERBOSITY terse
\pset null null
select test.become('mary');
set role lab_user;
insert into lab.instruments (name) values ('Rules one'), ('Rules two');
insert into lab.instruments (name, requires_calibration) values ('Rules free', false);
insert into lab.projects (code, name) values ('RULES-1', 'Kept'), ('RULES-2', 'Deleted');
insert into lab.locations (kind, code, name) values ('rack', 'RULES-RACK', 'Rack'), ('room', 'RULES-ROOM', 'Room');
insert into lab.locations (kind, code, name, parent_id) select 'position', 'RULES-POS', 'Position', l.id from lab.locations l where l.code = 'RULES-RACK';
reset role;
create function test.device(name text) returns uuid language sql security definer as $$
  select i.id from lab_data.instruments i where i.name = device.name and i.org_id = test.org_of('sam') $$;
create function test.rules_run(note text) returns uuid language sql security definer as $$
  select r.id from lab_data.runs r where r.notes = rules_run.note and r.org_id = test.org_of('sam') $$;
create function test.rules_sample(name text) returns uuid language sql security definer as $$
  select s.id from lab_data.samples s where s.name = rules_sample.name and s.org_id = test.org_of('sam') $$;

-- An override is for one instrument: a run that is moved to another needs one of its own.
select test.become('mary');
set role lab_user;
select override_code, override_reason from lab.run_create(test.device('Rules one'), 'x', override_reason => 'reference sample only', notes => 'rules override');
reset role;
select test.become('tess');
set role lab_user;
select test.error_of($$update lab.runs set instrument_id = test.device('Rules two') where notes = 'rules override'$$);
-- To one that needs no calibration it may go, and the override does not come along.
update lab.runs set instrument_id = test.device('Rules free') where notes = 'rules override' returning override_reason, override_code, override_by_id;
select test.error_of($$update lab.runs set instrument_id = test.device('Rules two') where notes = 'rules override'$$);
reset role;
-- Who may override moves the run in their own name.
select test.become('mary');
set role lab_user;
update lab.runs set instrument_id = test.device('Rules two'), override_reason = 'reference sample only' where notes = 'rules override'
returning override_code, override_by_id = test.id_of('mary') as by_mary;
reset role;

-- A calibration run is not a way to a run for those who may not create one, nor the other way round.
select test.become('tess');
set role lab_user;
select is_calibration from lab.run_create(test.device('Rules one'), 'x', is_calibration => true, notes => 'calibrating');
select is_calibration from lab.run_create(test.device('Rules free'), 'x', is_calibration => true, notes => 'free');
select test.error_of($$update lab.runs set is_calibration = false where notes = 'free'$$) as made_ordinary;
reset role;
select test.become('sam');
set role lab_user;
update lab.runs set is_calibration = false where notes = 'free' returning is_calibration;
select test.error_of($$update lab.runs set is_calibration = false where notes = 'calibrating'$$) as locked_out;
reset role;

-- A hand-over is offered by the holder: nobody takes what another holds.
select test.become('sam');
set role lab_user;
insert into lab.samples (name) values ('Rules held'), ('Rules second');
insert into lab.samples (name, owner_id) values ('Rules nobody''s', null);
reset role;
select test.become('tess');
set role lab_user;
select test.error_of($$select lab.sample_transfer(test.rules_sample('Rules held'), to_user_id => test.id_of('tess'))$$) as to_oneself,
       test.error_of($$select lab.sample_transfer(test.rules_sample('Rules held'), to_user_id => test.id_of('sue'))$$) as to_another;
-- Moving it is hers to do, and what belongs to nobody is for anybody to offer.
select (lab.sample_transfer(test.rules_sample('Rules held'), location_id => (select id from lab.locations where code = 'RULES-ROOM'))).location_id is not null as moved;
select transfer_to_id = test.id_of('sue') as offered from lab.sample_transfer(test.rules_sample('Rules nobody''s'), to_user_id => test.id_of('sue'));
-- A move does not take the offer back.
select transfer_to_id = test.id_of('sue') as still_offered
from lab.sample_transfer(test.rules_sample('Rules nobody''s'), location_id => (select id from lab.locations where code = 'RULES-ROOM'));
reset role;
-- A manager gives away what somebody left behind.
select test.become('mary');
set role lab_user;
select transfer_to_id = test.id_of('tess') as offered from lab.sample_transfer(test.rules_sample('Rules held'), to_user_id => test.id_of('tess'));
reset role;
-- The chain of custody is not emptied either.
set role lab_owner;
select test.error_of('truncate lab_data.sample_history');
reset role;

-- What is deleted is not referred to anew; another organisation's project reads like none.
select test.become('bob');
set role lab_user;
insert into lab.projects (code, name) values ('RULES-BETA', 'Beta');
reset role;
create function test.rules_project(code text) returns uuid language sql security definer as $$ select p.id from lab_data.projects p where p.code = rules_project.code $$;
select test.become('mary');
set role lab_user;
delete from lab.projects where code = 'RULES-2';
select x.code, test.error_of(format('insert into lab.samples (name, project_id) values (%L, %L)', 'in ' || x.code, test.rules_project(x.code))) as sample,
  test.error_of(format('insert into lab.runs (instrument_id, method, project_id) values (%L, %L, %L)', test.device('Rules free'), 'x', test.rules_project(x.code))) as run,
  test.error_of(format('insert into lab.project_members (project_id, user_id) values (%L, %L)', test.rules_project(x.code), test.id_of('sam'))) as member
from (values ('RULES-1'), ('RULES-2'), ('RULES-BETA')) x(code) order by 1;
select test.error_of($$update lab.samples set project_id = test.rules_project('RULES-2') where name = 'Rules second'$$) as moved_there,
       test.error_of($$update lab.samples set project_id = null where name = 'in RULES-1'$$) as taken_out;
-- A place with places in it does not become a position.
select test.error_of($$update lab.locations set kind = 'position', parent_id = (select id from lab.locations where code = 'RULES-ROOM') where code = 'RULES-RACK'$$);

-- An approved result keeps its reviewer.
select status from lab.run_start(test.rules_run('rules override'));
reset role;
select test.become('tess');
set role lab_user;
select property from lab.result_record(test.rules_run('rules override'), '[{"property": "rules", "value": 1, "unit": "eV"}]');
reset role;
select test.become('sue');
set role lab_user;
select reviewed_by_id = test.id_of('sue') as by_sue from lab.result_review(array(select id from lab.results where property = 'rules'));
reset role;
select test.become('mary');
set role lab_user;
select approved_by_id = test.id_of('mary') as by_mary from lab.result_approve(array(select id from lab.results where property = 'rules'));
reset role;
select test.become('sam');
set role lab_user;
select test.error_of($$select lab.result_review(array(select id from lab.results where property = 'rules'))$$) as reviewed_again,
       test.error_of($$select lab.result_review(array(select id from lab.results where property = 'rules'), 'bad')$$) as with_quality;
select reviewed_by_id = test.id_of('sue') as still_sue from lab.results where property = 'rules';
reset role;

-- A barcode carries the check of its symbology; which one it is follows from its shape, unless it is said.
select test.become('sam');
set role lab_user;
select x.n, x.barcode, x.symbology, test.error_of(format('insert into lab.samples (name, barcode, barcode_symbology) values (%L, %L, %L)', 'code ' || x.n, x.barcode, x.symbology))
from (values
  (1, '4006381333931', 'ean13'), (2, '4006381333932', 'ean13'), (3, '4006381339331', 'ean13'), (4, '4006381333932', null), (5, '036000291452', 'upca'),
  (6, '036000291453', 'upca'), (7, '73513537', 'ean8'), (8, '73513536', 'ean8'), (9, '10614141000415', 'gtin14'), (10, '106141412345678908', 'sscc18'),
  (11, '106141412345678909', 'sscc18'), (12, 'abc', 'ean13'), (13, '40063813339٣1', 'ean13'), (14, 'abc', 'labos'), (15, 'S-999999-A', 'qr'), (16, 'LOT 7', 'datamatrix'),
  (17, 'LOT 8', 'pdf417')) x(n, barcode, symbology) order by 1;
select barcode, barcode_symbology from lab.samples where name like 'code %' order by name;
insert into lab.samples (name) values ('code made') returning barcode_symbology;
-- Another barcode has its own symbology; a symbology alone is checked too.
update lab.samples set barcode = 'FREE-1' where name = 'code made' returning barcode_symbology;
select test.error_of($$update lab.samples set barcode_symbology = 'ean13' where name = 'code made'$$), test.error_of($$update lab.samples set barcode = '4006381333930' where name = 'code 1'$$);
reset role;

-- Who changed a certificate does not approve it, though others have touched it since; a note is no change of it.
select test.become('tess');
set role lab_user;
insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result)
select test.device('Rules one'), c, now() - interval '1 day', now() + interval '1 day', 'Institute', 'pass' from unnest(array['RULES-C1', 'RULES-C2']) c;
reset role;
select test.become('mary');
set role lab_user;
update lab.calibrations set expires_at = now() + interval '1000 days' where certificate_id = 'RULES-C1';
update lab.calibrations set notes = 'seen' where certificate_id = 'RULES-C2';
reset role;
select test.become('tess');
set role lab_user;
update lab.calibrations set uncertainty = 0.1, uncertainty_unit = 'nm' where certificate_id like 'RULES-C%';
reset role;
select test.become('mary');
set role lab_user;
select certificate_id, test.error_of(format('select lab.calibration_approve(%L)', id)) as approved,
  array(select u.username from lab.users u where u.id = any (written_by) order by 1) as written_by
from lab.calibrations where certificate_id like 'RULES-C%' order by 1;
select test.error_of($$update lab.calibrations set written_by = '{}'$$);
-- Nor a result: with another's change in between, its writer reviews nothing.
select property from lab.result_record(test.rules_run('rules override'), '[{"property": "second", "value": 1, "unit": "eV"}]');
reset role;
select test.become('sue');
set role lab_user;
update lab.results set value = 2 where property = 'second';
reset role;
select test.become('sam');
set role lab_user;
update lab.results set metadata = '{"seen": true}' where property = 'second';
reset role;
select test.become('sue');
set role lab_user;
select test.error_of($$select lab.result_review(array(select id from lab.results where property = 'second'))$$) as changed_it;
reset role;
select test.become('alan');
set role lab_user;
select quality, array(select u.username from lab.users u where u.id = any (r.written_by) order by 1) as written_by
from lab.result_review(array(select id from lab.results where property = 'second'), 'suspect') r;
select approved_by_id is not null as approved from lab.result_approve(array(select id from lab.results where property = 'second'));
reset role;

-- What is deleted gets no certificate, no structure and no prediction; nor does what another organisation has.
select test.become('bob');
set role lab_user;
insert into lab.instruments (name) values ('Rules beta');
insert into lab.materials (name) values ('Rules beta');
reset role;
select test.become('alan');
set role lab_user;
insert into lab.instruments (name) values ('Rules gone'), ('Rules there');
insert into lab.materials (name) values ('Rules gone'), ('Rules there');
insert into lab.structures (name, formula, n_atoms, format, source) values ('Rules gone', 'Si', 2, 'cif', 'a'), ('Rules there', 'Si', 2, 'cif', 'b');
reset role;
create function test.rules_id(kind text, name text) returns uuid language plpgsql security definer as $$
declare v_id uuid; begin execute format('select id from lab_data.%I where name = %L', kind, name) into v_id; return v_id; end $$;
set role lab_user;
delete from lab.instruments where name = 'Rules gone';
delete from lab.materials where name = 'Rules gone';
delete from lab.structures where name = 'Rules gone';
select x.name, test.error_of(format('insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values (%L, %L, now(), now() + interval ''1 day'', ''x'', ''pass'')',
    test.rules_id('instruments', x.name), x.name)) as certificate,
  test.error_of(format('insert into lab.structures (material_id, formula, n_atoms, format, source) values (%L, ''Si'', 2, ''cif'', ''c'')', test.rules_id('materials', x.name))) as structure
from (values ('Rules there'), ('Rules gone'), ('Rules beta')) x(name);
select x.name, test.error_of(format('insert into lab.predicted_properties (structure_id, model_name, model_version, properties) values (%L, ''m'', ''1'', ''{}'')', test.rules_id('structures', x.name))) as prediction,
  test.error_of(format('insert into lab.structures (parent_structure_id, formula, n_atoms, format, source) values (%L, ''Si'', 2, ''cif'', ''d'')', test.rules_id('structures', x.name))) as child
from (values ('Rules there'), ('Rules gone')) x(name);
-- A structure of a deleted material is still renamed.
delete from lab.materials where name = 'Rules there';
update lab.structures set name = 'renamed', material_id = material_id where material_id is not null and source = 'c' returning name;
reset role;
