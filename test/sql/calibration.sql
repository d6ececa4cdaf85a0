-- The lab's central safety rule: no run without a valid calibration, whatever way it comes in.
\set VERBOSITY terse
select test.become('mary');
set role lab_user;
insert into lab.instruments (name, serial_number, capabilities) values ('Spectrometer', 'SN-1', '{uv-vis}');
insert into lab.instruments (name, requires_calibration) values ('Bench', false);
insert into lab.instruments (name, status) values ('Broken', 'out_of_service');
insert into lab.instruments (name) values ('Balance');
select test.error_of($$insert into lab.instruments (name, serial_number) values ('x', 'SN-1')$$);
select i.instrument, i.state, i.certificate_id, i.days_left, i.pending from lab.calibration_status() i order by i.instrument;
reset role;

-- Everything below is tried with this: the error with its code, message, date and instrument.
create function test.lockout(statement text) returns text language plpgsql as $$
declare v_detail text;
begin
  execute statement;
  return 'ok';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  if v_detail like '{%' then
    return sqlstate || ' ' || concat_ws(' | ', v_detail::json ->> 'code', v_detail::json ->> 'message', (v_detail::json ->> 'expires_at')::timestamptz at time zone 'UTC',
                                        v_detail::json -> 'instrument' ->> 'name', v_detail::json ->> 'permission');
  end if;
  return sqlstate || ' ' || sqlerrm;
end $$;
create function test.instrument(name text) returns uuid language sql security definer as $$
  select i.id from lab_data.instruments i where i.name = instrument.name and i.org_id = test.org_of('sam') $$;

-- Missing: by the call, by INSERT, in bulk, by COPY of the owner, by the superuser.
select test.become('sam');
set role lab_user;
select test.lockout($$select lab.run_create(test.instrument('Spectrometer'), 'uv-vis')$$) as by_call;
select test.lockout($$insert into lab.runs (instrument_id, method) values (test.instrument('Spectrometer'), 'uv-vis')$$) as by_insert;
select test.lockout($$insert into lab.runs (instrument_id, method) values (test.instrument('Bench'), 'a'), (test.instrument('Spectrometer'), 'uv-vis')$$) as in_bulk;
select test.lockout($$select lab.run_create(test.instrument('Broken'), 'x')$$) as unavailable;
select test.lockout($$select lab.run_create(test.instrument('Spectrometer'), 'raman')$$) as not_its_method;
select count(*) as runs from lab.runs;
-- An instrument that requires none is free.
select r.status from lab.run_create(test.instrument('Bench'), 'stirring') r;
reset role;
select test.lockout(format($$insert into lab_data.runs (org_id, instrument_id, method) values (%L, %L, 'uv-vis')$$, test.org_of('sam'), test.instrument('Spectrometer'))) as by_superuser;
select test.org_of('sam') as org, test.instrument('Spectrometer') as spectrometer \gset
create table test.copied (org_id uuid, instrument_id uuid, method text);
insert into test.copied values (:'org', :'spectrometer', 'uv-vis');
select current_setting('data_directory') || '/lockout.copy' as file \gset
copy test.copied to :'file';
copy lab_data.runs (org_id, instrument_id, method) from :'file';

-- A technician records certificates; they count only when a manager who did not record them has approved them.
select test.become('tess');
set role lab_user;
insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result, reference_standards)
  values (test.instrument('Spectrometer'), 'C-OLD', '2019-01-01Z', '2020-01-31 12:00Z', 'Institute', 'pass', '[{"name": "Holmium", "certificate_id": "H-1"}]');
select test.error_of($$select lab.calibration_approve(id) from lab.calibrations$$) as technician;
select instrument, state, pending from lab.calibration_status(test.instrument('Spectrometer'));
reset role;
select test.become('sam');
set role lab_user;
select test.lockout($$select lab.run_create(test.instrument('Spectrometer'), 'uv-vis')$$) as not_approved_yet;
reset role;
select test.become('mary');
set role lab_user;
select approved_by_id = test.id_of('mary') as by_mary, approved_at is not null as dated from lab.calibration_approve((select id from lab.calibrations where certificate_id = 'C-OLD'));
select test.error_of($$select lab.calibration_approve(id) from lab.calibrations$$) as twice;
insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values (test.instrument('Balance'), 'C-OWN', now(), now() + interval '1 year', 'me', 'pass');
select test.error_of($$select lab.calibration_approve(id) from lab.calibrations where certificate_id = 'C-OWN'$$) as her_own;
select test.error_of($$select lab.calibration_approve(gen_random_uuid())$$), test.error_of($$select lab.calibration_approve(null)$$);
reset role;
-- Expired: the date is in the sentence and in the detail.
select test.become('sam');
set role lab_user;
select test.lockout($$select lab.run_create(test.instrument('Spectrometer'), 'uv-vis')$$) as expired;
select instrument, state, certificate_id, expires_at at time zone 'UTC' as expires_at, days_left < -2000 as long_ago from lab.calibration_status(test.instrument('Spectrometer'));
select test.lockout($$select lab.run_create(test.instrument('Spectrometer'), 'uv-vis', override_reason => 'urgent')$$) as no_right_to_override;
reset role;

-- A calibration run is possible for those who calibrate, without a sample; not for others.
select test.become('tess');
set role lab_user;
select r.status, r.is_calibration from lab.run_create(test.instrument('Spectrometer'), 'holmium check', is_calibration => true) r;
select status from lab.run_start((select id from lab.runs where is_calibration));
select status from lab.run_finish((select id from lab.runs where is_calibration));
select test.lockout($$select lab.run_create(test.instrument('Spectrometer'), 'uv-vis')$$) as technician_plain;
reset role;
select test.become('vic');
set role lab_user;
select test.lockout($$select lab.run_create(test.instrument('Spectrometer'), 'x', is_calibration => true)$$) as viewer;
reset role;
select test.become('sam');
set role lab_user;
insert into lab.samples (name) values ('Measured');
select test.lockout($$select lab.run_create(test.instrument('Spectrometer'), 'x', (select id from lab.samples where name = 'Measured'), is_calibration => true)$$) as with_a_sample;
reset role;

-- A valid one: the run is created, started, and remembers what covered it.
select test.become('tess');
set role lab_user;
insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result)
  values (test.instrument('Spectrometer'), 'C-NEW', now() - interval '1 day', now() + interval '300 days', 'Institute', 'adjusted');
reset role;
select test.become('mary');
set role lab_user;
select result from lab.calibration_approve((select id from lab.calibrations where certificate_id = 'C-NEW'));
reset role;
select test.become('sam');
set role lab_user;
select r.status, c.certificate_id from lab.run_create(test.instrument('Spectrometer'), 'uv-vis', (select id from lab.samples where name = 'Measured'), '{"slit_nm": 1}') r join lab.calibrations c on c.id = r.calibration_id;
select state, certificate_id, days_left from lab.calibration_status(test.instrument('Spectrometer'));
reset role;
-- Approved means fixed: its recorder cannot edit it, and an approver's edit takes the approval back.
select test.become('tess');
set role lab_user;
select test.error_of($$update lab.calibrations set expires_at = expires_at + interval '1 year' where certificate_id = 'C-NEW'$$) as recorder;
update lab.calibrations set notes = 'a note is no change of it' where certificate_id = 'C-NEW' returning approved_at is not null as still_approved;
reset role;
select test.become('mary');
set role lab_user;
update lab.calibrations set expires_at = expires_at + interval '1 day' where certificate_id = 'C-NEW' returning approved_at;
-- A queued run which it covered does not start any more.
select test.lockout($$select lab.run_start((select id from lab.runs where status = 'queued' and method = 'uv-vis'))$$) as edited;
select test.error_of($$select lab.calibration_approve((select id from lab.calibrations where certificate_id = 'C-NEW'))$$) as her_own_edit;
reset role;
select test.become('alan');
set role lab_user;
select certificate_id from lab.calibration_approve((select id from lab.calibrations where certificate_id = 'C-NEW'));
delete from lab.calibrations where certificate_id = 'C-NEW';
select test.lockout($$select lab.run_start((select id from lab.runs where status = 'queued' and method = 'uv-vis'))$$) as deleted;
select lab.restore('calibration', id) ->> 'certificate_id' as restored from lab.trash('calibration');
-- Neither by plain UPDATE of the owner, nor by upsert.
update lab.calibrations set expires_at = now() - interval '1 hour' where certificate_id = 'C-NEW';
reset role;
select test.lockout($$update lab_data.runs set status = 'running' where status = 'queued' and method = 'uv-vis'$$) as by_update;
select test.lockout($$insert into lab_data.runs select * from lab_data.runs where status = 'queued' and method = 'uv-vis' on conflict on constraint runs_pkey do update set status = 'running'$$) as by_upsert;
select test.lockout($$update lab_data.runs set instrument_id = test.instrument('Spectrometer') where method = 'stirring'$$) as by_another_instrument;
select test.become('sam');
set role lab_user;
select test.lockout($$update lab.runs set instrument_id = test.instrument('Spectrometer'), method = 'uv-vis' where method = 'stirring'$$) as by_patch;
select test.lockout($$update lab.runs set is_calibration = false, method = 'uv-vis' where is_calibration$$) as no_calibration_after_all;
select test.lockout($$update lab.runs set status = 'running' where method = 'uv-vis'$$) as status_by_patch;
reset role;

-- A failure takes earlier certificates out of force; a later pass puts the instrument back.
select test.become('mary');
set role lab_user;
insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values
  (test.instrument('Balance'), 'B-1', '2020-01-01Z', '2099-01-01Z', 'Institute', 'pass'),
  (test.instrument('Balance'), 'B-2', '2021-03-04 05:06Z', '2099-01-01Z', 'Institute', 'fail');
reset role;
select test.become('alan');
set role lab_user;
select certificate_id from lab.calibration_approve((select id from lab.calibrations where certificate_id = 'B-1'));
select r.status from lab.run_create(test.instrument('Balance'), 'weighing') r;
select certificate_id from lab.calibration_approve((select id from lab.calibrations where certificate_id = 'B-2'));
select test.lockout($$select lab.run_create(test.instrument('Balance'), 'weighing')$$) as failed, test.lockout($$select lab.run_start((select id from lab.runs where method = 'weighing'))$$) as start;
select state, certificate_id from lab.calibration_status(test.instrument('Balance'));
-- An override: with the right, a reason, and a name; for this failing code only.
select r.override_code, r.override_reason, r.override_by_id = test.id_of('alan') as by_alan, r.calibration_id
from lab.run_create(test.instrument('Balance'), 'weighing', override_reason => 'comparison before repair', notes => 'overridden') r;
reset role;
select test.become('tess');
set role lab_user;
select status, override_code from lab.run_start((select id from lab.runs where notes = 'overridden'));
select status from lab.run_finish((select id from lab.runs where notes = 'overridden'));
reset role;
select test.become('sam');
set role lab_user;
select test.lockout($$update lab.runs set override_reason = 'me too' where method = 'weighing' and status = 'queued'$$) as no_right;
select test.lockout($$insert into lab.runs (instrument_id, method, override_reason) values (test.instrument('Balance'), 'weighing', '  ')$$) as blank_reason;
select test.lockout($$insert into lab.runs (instrument_id, method, override_by_id) values (test.instrument('Balance'), 'weighing', test.id_of('sam'))$$) as forged;
reset role;
-- It is in the audit trail.
select count(*) >= 1 as audited from lab_private.audit_log where payload::text like '%comparison before repair%';

-- Due soon, and one certificate that covers is enough although an older one has expired.
select test.become('tess');
set role lab_user;
insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values (test.instrument('Balance'), 'B-3', now(), now() + interval '10 days 1 hour', 'Institute', 'pass');
reset role;
select test.become('mary');
set role lab_user;
select certificate_id from lab.calibration_approve((select id from lab.calibrations where certificate_id = 'B-3'));
select instrument, state, certificate_id, case when state = 'due_soon' then days_left end as days_left from lab.calibration_status() order by instrument;
select test.error_of($$select lab.calibration_status(gen_random_uuid())$$);
reset role;
-- A certificate of the future does not count yet, and a date that passes locks a queued run: the moment counts.
select test.become('sue');
set role lab_user;
insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values (test.instrument('Spectrometer'), 'C-FUTURE', now() + interval '1 day', now() + interval '1 year', 'Institute', 'pass');
reset role;
select test.become('mary');
set role lab_user;
select certificate_id from lab.calibration_approve((select id from lab.calibrations where certificate_id = 'C-FUTURE'));
select state from lab.calibration_status(test.instrument('Spectrometer'));

-- Bad input.
select what, test.error_of(replace(statement, 'I', 'test.instrument(''Balance'')')) from (values
  (1, 'ends before it begins', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values (I, 'x', now(), now() - interval '1 s', 'p', 'pass')$$),
  (2, 'for ever', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values (I, 'x', now(), 'infinity', 'p', 'pass')$$),
  (3, 'a result of its own', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values (I, 'x', now(), now() + interval '1 day', 'p', 'good')$$),
  (4, 'uncertainty NaN', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result, uncertainty, uncertainty_unit) values (I, 'x', now(), now() + interval '1 day', 'p', 'pass', 'NaN', 'g')$$),
  (5, 'uncertainty without unit', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result, uncertainty) values (I, 'x', now(), now() + interval '1 day', 'p', 'pass', 1)$$),
  (6, 'standard without certificate', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result, reference_standards) values (I, 'x', now(), now() + interval '1 day', 'p', 'pass', '[{"name": "x"}]')$$),
  (7, 'standards no array', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result, reference_standards) values (I, 'x', now(), now() + interval '1 day', 'p', 'pass', '{}')$$),
  (8, 'the same certificate', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values (I, 'B-3', now(), now() + interval '1 day', 'p', 'pass')$$),
  (9, 'approved by oneself', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result, approved_by_id) values (I, 'x', now(), now() + interval '1 day', 'p', 'pass', null)$$),
  (10, 'unknown instrument', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result) values (gen_random_uuid(), 'x', now(), now() + interval '1 day', 'p', 'pass')$$),
  (11, 'a script for a document', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result, document_uri) values (I, 'x', now(), now() + interval '1 day', 'p', 'pass', 'no uri')$$),
  (12, 'a short hash', $$insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result, document_sha256) values (I, 'x', now(), now() + interval '1 day', 'p', 'pass', 'ab')$$),
  (13, 'no instrument', $$select lab.run_create(null, 'x')$$), (14, 'unknown instrument', $$select lab.run_create(gen_random_uuid(), 'x')$$),
  (15, 'no method', $$select lab.run_create(I, null)$$), (16, 'params no object', $$select lab.run_create(I, 'x', params => '[1]')$$),
  (17, 'foreign operator', $$select lab.run_create(I, 'x', operator_id => test.id_of('bea'))$$), (18, 'reason too short', $$select lab.run_create(I, 'x', override_reason => 'x')$$)
) v (n, what, statement) order by n;
reset role;

-- The other organisation: nothing is seen, nothing can be used, and the refusal tells nothing.
select test.become('bob');
set role lab_user;
select (select count(*) from lab.instruments) + (select count(*) from lab.calibrations) + (select count(*) from lab.runs) + (select count(*) from lab.calibration_status()) as seen;
select test.lockout($$select lab.run_create(test.instrument('Bench'), 'x')$$) as run_create, test.lockout($$select lab.run_create(gen_random_uuid(), 'x')$$) as unknown;
select test.error_of(format('select lab.calibration_status(%L)', test.instrument('Bench')));
reset role;
select test.become(null);
set role lab_user;
select test.error_of($$select lab.run_create(gen_random_uuid(), 'x')$$), test.error_of($$select lab.calibration_status()$$), test.error_of($$select lab.run_start(gen_random_uuid())$$);
reset role;
