-- Runs: the state machine, times, what is fixed, the instrument in use, who may.
\set VERBOSITY terse
select test.become('mary');
set role lab_user;
insert into lab.instruments (name, requires_calibration) values ('Oven', false);
insert into lab.instruments (name, requires_calibration, parallel_runs) values ('Hot plate', false, 2);
insert into lab.projects (code, name) values ('RUNS', 'Runs');
reset role;
create function test.oven(name text default 'Oven') returns uuid language sql security definer as $$
  select i.id from lab_data.instruments i where i.name = oven.name and i.org_id = test.org_of('sam') $$;
create function test.run(note text) returns uuid language sql security definer as $$ select r.id from lab_data.runs r where r.notes = run.note and r.org_id = test.org_of('sam') $$;

select test.become('sam');
set role lab_user;
insert into lab.samples (name, barcode) values ('Run sample', 'RUN-1'), ('Bad sample', 'RUN-2');
update lab.samples set status = 'quarantined' where barcode = 'RUN-2';
-- Created by the call or by POST: queued, the creator operates, the clock is the server's.
select r.status, r.operator_id = test.id_of('sam') as by_sam, r.started_at, r.params, r.version
from lab.run_create(test.oven(), 'annealing', (select id from lab.samples where barcode = 'RUN-1'), '{"temperature_c": 450}', notes => 'one') r;
insert into lab.runs (instrument_id, method, notes, project_id, operator_id) select test.oven(), 'annealing', 'two', p.id, test.id_of('tess') from lab.projects p where p.code = 'RUNS' returning status;
select what, test.error_of(statement) from (values
  (1, 'quarantined sample', $$select lab.run_create(test.oven(), 'x', (select id from lab.samples where barcode = 'RUN-2'))$$),
  (2, 'unknown sample', $$select lab.run_create(test.oven(), 'x', gen_random_uuid())$$),
  (3, 'born running', $$insert into lab.runs (instrument_id, method, status) values (test.oven(), 'x', 'running')$$),
  (4, 'unknown project', $$select lab.run_create(test.oven(), 'x', project_id => gen_random_uuid())$$)
) v (n, what, statement) order by n;
-- While it is queued it can be changed.
update lab.runs set params = '{"temperature_c": 500}' where notes = 'one' returning params;
-- Start: one at a time on an instrument, which is then in use.
select r.status, r.started_at is not null as started, r.finished_at from lab.run_start(test.run('one')) r;
select status from lab.instruments where name = 'Oven';
select test.error_of($$select lab.run_start(test.run('two'))$$) as second, test.error_of($$select lab.run_start(test.run('one'))$$) as again;
select what, test.error_of(statement) from (values
  (1, 'params', $$update lab.runs set params = '{}' where notes = 'one'$$), (2, 'sample', $$update lab.runs set sample_id = null where notes = 'one'$$),
  (3, 'instrument', $$update lab.runs set instrument_id = test.oven('Hot plate') where notes = 'one'$$), (4, 'operator', $$update lab.runs set operator_id = test.id_of('sue') where notes = 'one'$$)
) v (n, what, statement) order by n;
-- Finish: the instrument is available again; nothing follows.
select r.status, r.finished_at >= r.started_at as timed from lab.run_finish(test.run('one')) r;
select status from lab.instruments where name = 'Oven';
select test.error_of($$select lab.run_fail(test.run('one'), 'too late')$$) as fail, test.error_of($$select lab.run_cancel(test.run('one'))$$) as cancel, test.error_of($$select lab.run_start(test.run('one'))$$) as start;
reset role;
-- A technician starts and fails, but neither creates nor cancels.
select test.become('tess');
set role lab_user;
select status from lab.run_start(test.run('two'));
select test.error_of($$select lab.run_create(test.oven(), 'x')$$) as creates, test.error_of($$select lab.run_cancel(test.run('two'))$$) as cancels;
select test.error_of($$select lab.run_fail(test.run('two'), ' ')$$) as without_reason, test.error_of($$select lab.run_fail(test.run('two'), null)$$);
select status, error from lab.run_fail(test.run('two'), 'thermocouple broke');
select status from lab.instruments where name = 'Oven';
reset role;
-- Two at a time where the instrument can; a queued and a running one are cancelled.
select test.become('sam');
set role lab_user;
select count(lab.run_create(test.oven('Hot plate'), 'heating', notes => 'plate ' || i)) from generate_series(1, 3) i;
select status from lab.run_start(test.run('plate 1'));
select status from lab.run_start(test.run('plate 2'));
select test.error_of($$select lab.run_start(test.run('plate 3'))$$);
select status from lab.run_cancel(test.run('plate 1'));
select status from lab.instruments where name = 'Hot plate';
select r.status, r.started_at, r.finished_at is not null as finished from lab.run_cancel(test.run('plate 3')) r;
reset role;
-- An instrument with work is not deleted; out of service stays out of service when its run ends; a running run is not deleted.
select test.become('mary');
set role lab_user;
select test.error_of($$delete from lab.instruments where name = 'Hot plate'$$) as instrument, test.error_of($$delete from lab.runs where notes = 'plate 2'$$) as run;
update lab.instruments set status = 'out_of_service' where name = 'Hot plate';
select status from lab.run_finish(test.run('plate 2'));
select status from lab.instruments where name = 'Hot plate';
update lab.instruments set status = 'available' where name = 'Hot plate';
-- Nobody chooses in_use.
update lab.instruments set status = 'in_use' where name = 'Hot plate' returning status;
reset role;
-- A sample that has been disposed of meanwhile stops its queued run.
select test.become('sam');
set role lab_user;
select status from lab.run_create(test.oven(), 'annealing', (select id from lab.samples where barcode = 'RUN-1'), notes => 'three');
update lab.samples set status = 'disposed' where barcode = 'RUN-1';
select test.error_of($$select lab.run_start(test.run('three'))$$);
-- Unknown, NULL, another organisation's: not found.
select test.error_of($$select lab.run_start(gen_random_uuid())$$), test.error_of($$select lab.run_finish(null)$$);
reset role;
select test.become('bea');
set role lab_user;
select test.error_of($$select lab.run_start(test.run('three'))$$) as start, test.error_of($$select lab.run_cancel(test.run('three'))$$) as cancel, count(*) as seen from lab.runs;
reset role;
-- The newest runs, the queue of an instrument: index conditions, no sort.
analyze lab_data.runs;
set role lab_user;
set enable_seqscan to off;
explain (costs off) select * from lab.runs order by id desc limit 50;
reset enable_seqscan;
reset role;
select test.become(null);
