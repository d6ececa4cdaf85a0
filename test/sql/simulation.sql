-- Simulation jobs: created on every path by the same rules, run, chained, seen by whom they concern.
\set VERBOSITY terse
-- The refusal of a statement with all of its DETAIL.
create function test.detail_of(statement text) returns jsonb language plpgsql set search_path to pg_catalog, labos, pg_temp as $$
declare v_detail text;
begin
  execute statement;
  return '"ok"';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return v_detail::jsonb;
end
$$;
-- A job by its name.
create function test.job(name text) returns uuid language sql stable security definer set search_path to pg_catalog, pg_temp as
$$ select j.id from lab_data.simulation_jobs j where j.name = job.name $$;
grant execute on all functions in schema test to public;

-- Whoever may not, cannot: a viewer has no simulation:create, a technician no simulation:run; nobody is refused.
select test.become('vic');
set role lab_user;
select test.error_of($$select lab.job_create('x', 'PF')$$);
select test.error_of($$insert into lab.simulation_jobs (name, engine_type) values ('x', 'PF')$$);
select test.error_of(format('select lab.%s(%L)', f, gen_random_uuid())) from unnest('{job_submit,job_run,job_cancel,job_retry}'::text[]) f;
reset role;
select test.become(null);
set role lab_user;
select test.error_of($$select lab.job_create('x', 'PF')$$);
select test.error_of($$select lab.job_run(gen_random_uuid())$$);
reset role;
set role lab_anon;
select test.error_of($$select lab.job_create('x', 'PF')$$);
select test.error_of($$select * from lab.simulation_jobs$$);
select test.error_of($$select * from lab.mesoscale_results$$);
reset role;

-- A scientist chains three scales. A new job is pending; aliases are stored by the full name; the scale follows.
select test.become('sam');
set role lab_user;
select name, scale, engine_type, status, progress, attempts, fidelity, parent_scale, owner_id = labos.user_id() as mine
from lab.job_create('atoms', 'dft', parameters => '{"formula": "GaAs"}', seed => 7);
select name, scale, engine_type, status from lab.job_create(name => 'grains', engine_type => 'pf', parent_job_id => test.job('atoms'), parameters => '{"timesteps": 5000}', priority => 5);
select name, scale, engine_type, status from lab.job_create(name => 'beam', scale => 'continuum', parent_job_id => test.job('grains'));
-- A table is written directly where that is natural: the same rules, by trigger.
insert into lab.simulation_jobs (name, engine_type) values ('plain', 'FINITE_VOLUME') returning name, scale, engine_type, status;
insert into lab.mesoscale_jobs (name, engine_type, parameters) values ('meso', 'POTTS', '{"timesteps": 10}') returning name, scale, engine_type, status;
insert into lab.continuum_jobs (name, engine_type) values ('cont', 'BEM') returning name, scale, engine_type, status;
select name, engine_type from lab.mesoscale_jobs where status = 'PENDING' and engine_type in ('PHASE_FIELD', 'MONTE_CARLO') order by id desc limit 5;
select name, engine_type from lab.continuum_jobs order by id;

-- Parameters are refused with every problem, by rpc, by POST and by PATCH alike.
select test.detail_of($$select lab.job_create('bad', 'PF', parameters => '{"timesteps": 0, "temperature_k": "hot", "x": 1}')$$);
select test.error_of($$insert into lab.simulation_jobs (name, engine_type, parameters) values ('bad', 'PF', '{"timesteps": 0}')$$);
select test.error_of($$insert into lab.mesoscale_jobs (name, engine_type, parameters) values ('bad', 'PF', '{"timesteps": 0}')$$);
select test.error_of($$update lab.simulation_jobs set parameters = '{"timesteps": -1}' where name = 'grains'$$);
select test.error_of($$update lab.mesoscale_jobs set parameters = '[]' where name = 'grains'$$);
-- So are bad names, engines, scales, fidelities, seeds and sizes.
select i, test.error_of(s) from (values
  (1, $$select lab.job_create('', 'PF')$$), (2, $$select lab.job_create(null, 'PF')$$), (3, $$select lab.job_create('x')$$), (4, $$select lab.job_create('x', 'LAMMPS')$$),
  (5, $$select lab.job_create('x', 'FEM', 'mesoscale')$$), (6, $$select lab.job_create('x', 'FEM', 'nano')$$), (7, $$select lab.job_create('x', 'FEM', fidelity => 'physics')$$),
  (8, $$select lab.job_create('x', 'FEM', fidelity => 'magic')$$), (9, $$select lab.job_create('x', 'FEM', priority => 101)$$), (10, $$select lab.job_create('x', 'FEM', priority => 99999)$$),
  (11, $$select lab.job_create('x', 'FEM', parameters => '[]')$$), (12, $$select lab.job_create('x', 'FEM', parameters => 'null')$$),
  (13, $$select lab.job_create(repeat('x', 201), 'FEM')$$), (14, $$select lab.job_create('x', 'FEM', parameters => jsonb_build_object('a', repeat('x', 1000000)))$$),
  (15, $$select lab.job_create('x', 'FEM', structure_id => gen_random_uuid())$$), (16, $$select lab.job_create('x', 'FEM', parent_job_id => gen_random_uuid())$$),
  (17, $$insert into lab.mesoscale_jobs (name, engine_type) values ('x', 'FEM')$$), (18, $$insert into lab.continuum_jobs (name, engine_type) values ('x', 'KMC')$$),
  (19, $$insert into lab.simulation_jobs (name, engine_type, fidelity) values ('x', 'KMC', null)$$), (20, $$insert into lab.simulation_jobs (name) values ('x')$$)) t(i, s) order by i;
-- What a client may not write, it cannot: status, owner, progress, attempts, lease, error.
select c, test.error_of(format('update lab.simulation_jobs set %I = default', c)), test.error_of(format('insert into lab.simulation_jobs (name, engine_type, %I) values (%L, %L, default)', c, 'x', 'PF'))
from unnest('{status,owner_id,org_id,progress,attempts,worker,lease_until,error,started_at,submitted_at,completed_at,created_by,run_after}'::text[]) c;
select test.error_of($$delete from lab.mesoscale_jobs$$);
select test.error_of($$insert into lab.simulation_results (job_id) values (null)$$);
select test.error_of($$update lab.simulation_results set result = '{}'$$);
select test.error_of($$delete from lab.simulation_results$$);

-- A parent is exactly one scale finer.
select c.name as child, p.name as parent, coalesce(test.error_of(format('update lab.simulation_jobs set parent_job_id = %L where name = %L', test.job(p.name), c.name)), '') as result
from unnest('{atoms,grains,cont}'::text[]) c(name), unnest('{atoms,meso,plain}'::text[]) p(name) where c.name <> p.name order by 1, 2;
update lab.simulation_jobs set parent_job_id = null where name = 'cont';
-- A parent with a child cannot change its scale under it.
select test.error_of($$update lab.simulation_jobs set engine_type = 'FEM', parameters = '{}', parent_job_id = null where name = 'grains'$$);

-- A child may be submitted but not run before its parent has completed.
select status from lab.job_submit(test.job('beam'));
select status from lab.job_submit(test.job('grains'));
select test.error_of($$select lab.job_run(test.job('atoms'))$$);
select test.detail_of($$select lab.job_run(test.job('beam'))$$) - 'id' - 'parent_job_id' as detail;
select test.error_of($$select lab.job_run(test.job('grains'))$$);
select name, status, attempts from lab.simulation_jobs where name in ('atoms', 'grains', 'beam') order by id;
select status from lab.job_submit(test.job('atoms'));
select status, progress, attempts, error, started_at <= completed_at as timed from lab.job_run(test.job('atoms'));
select status from lab.job_run(test.job('grains'));
select status from lab.job_run(test.job('beam'));
select test.error_of($$select lab.job_run(test.job('beam'))$$);
-- Results, as clients of the original fetch them.
select engine_type, microstructure_metrics, phase_fractions, domain_size, timesteps, convergence_reached, engine_version, seed
from lab.mesoscale_results where job_id = test.job('grains');
select engine_type, effective_properties, solution_fields, mesh_info, convergence_reached from lab.continuum_results where job_id = test.job('beam');
select engine_type, result from lab.simulation_results where scale = 'atomic';
-- The child ran on its parent's figures, and says so.
select c.parameters -> 'interface_energy_j_m2' = p.result -> 'interface_energy_j_m2' as interface_energy,
       c.parameters -> 'activation_energy_ev' = p.result #> '{diffusion,activation_energy_ev}' as barrier,
       c.parameters -> 'timesteps' as own_timesteps, c.parent_result_id = p.id as names_parent
from lab.simulation_results c, lab.simulation_results p where c.job_id = test.job('grains') and p.job_id = test.job('atoms');
select c.parameters -> 'grain_size_um' = p.microstructure_metrics -> 'mean_grain_size_um' as grain_size,
       c.parameters -> 'second_phase_fraction' = p.phase_fractions -> 'beta' as fraction
from lab.simulation_results c, lab.simulation_results p where c.job_id = test.job('beam') and p.job_id = test.job('grains');
-- A result can be had again from what it keeps.
select bool_and(r.result = labos.engine_run(r.engine_type, r.parameters, r.seed, r.fidelity)
            and r.parameters_hash = labos.engine_prepare(r.engine_type, r.parameters) ->> 'parameters_hash') as reproducible, count(*) from lab.simulation_results r;
-- Nothing of a job changes once it is submitted but its name, description and priority.
select test.error_of($$update lab.simulation_jobs set seed = 1 where name = 'beam'$$), test.error_of($$update lab.simulation_jobs set parent_job_id = null where name = 'beam'$$);
update lab.simulation_jobs set description = 'Chained', priority = 9 where name = 'beam' returning description, priority;
select test.error_of($$update lab.simulation_jobs set description = 'late', version = 1 where name = 'beam'$$);
reset role;

-- Others: a colleague and a viewer see none of it, a manager all, another organisation none and can reference none.
select test.become('sue');
set role lab_user;
select count(*) as jobs, (select count(*) from lab.simulation_results) as results, (select count(*) from lab.mesoscale_results) as meso from lab.simulation_jobs;
select test.error_of(format('select lab.%s(test.job(%L))', f, 'plain')) from unnest('{job_submit,job_run,job_cancel,job_retry}'::text[]) f;
select test.error_of($$select lab.job_create('child', 'FEM', parent_job_id => test.job('meso'))$$);
with u as (update lab.simulation_jobs set name = 'mine' returning 1) select count(*) as changed from u;
with d as (delete from lab.simulation_jobs returning 1) select count(*) as deleted from d;
reset role;
select test.become('vic');
set role lab_user;
select count(*) from lab.simulation_jobs;
reset role;
select test.become('mary');
set role lab_user;
select count(*) as jobs, (select count(*) from lab.simulation_results) as results from lab.simulation_jobs;
select status from lab.job_cancel(test.job('plain'));
reset role;
select test.become('bea');
set role lab_user;
select count(*) as jobs, (select count(*) from lab.simulation_results) as results from lab.simulation_jobs;
select test.error_of(format('select lab.%s(test.job(%L))', f, 'meso')) from unnest('{job_submit,job_run,job_cancel,job_retry}'::text[]) f;
select test.error_of($$select lab.job_create('child', 'FEM', parent_job_id => test.job('meso'))$$);
reset role;
-- The foreign key holds organisation and scale of the parent even for the owner of the tables.
select test.become(null);
set role lab_owner;
select test.error_of(format($$insert into lab_data.simulation_jobs (org_id, owner_id, name, engine_type, parent_job_id) values (%L, %L, 'x', 'FEM', %L)$$,
  test.org_of('bea'), test.id_of('bea'), test.job('meso')));
reset role;
alter table lab_data.simulation_jobs disable trigger _300_check;
select test.error_of(format($$insert into lab_data.simulation_jobs (org_id, owner_id, name, scale, engine_type, parent_job_id) values (%L, %L, 'x', 'continuum', 'FEM', %L)$$,
  test.org_of(w), test.id_of(w), test.job(p))) as refused from (values ('bea', 'meso'), ('sam', 'atoms'), ('sam', 'beam')) x(w, p);
select test.error_of(format($$insert into lab_data.simulation_jobs (org_id, owner_id, name, scale, engine_type) values (%L, %L, 'x', %L, %L)$$,
  test.org_of('sam'), test.id_of('sam'), s, e)) as refused from (values ('continuum', 'PF'), ('mesoscale', 'FEM'), ('atomic', 'KMC'), ('nano', 'FEM')) x(s, e);
alter table lab_data.simulation_jobs enable trigger _300_check;

-- Every move of the status: only the legal ones are made. A new job is PENDING.
create temp table moves as
select f as "from", t as "to" from unnest('{PENDING,QUEUED,RUNNING,COMPLETED,FAILED,CANCELLED}'::text[]) with ordinality x(f, i),
  unnest('{PENDING,QUEUED,RUNNING,COMPLETED,FAILED,CANCELLED}'::text[]) with ordinality y(t, k) where f <> t;
create function test.set_status(job uuid, to_status text) returns text language sql as $$
  select test.error_of(format($q$update lab_data.simulation_jobs set status = %L, attempts = 1, submitted_at = now(), started_at = now(), progress = 1,
    completed_at = case when %1$L in ('COMPLETED', 'FAILED', 'CANCELLED') then now() end, error = case when %1$L = 'FAILED' then '{"code": "x"}'::jsonb end where id = %L$q$, to_status, job)) $$;
create function test.try_move(from_status text, to_status text) returns text language plpgsql as $$
declare v_id uuid; v_step text; v_said text;
begin
  insert into lab_data.simulation_jobs (org_id, owner_id, name, engine_type) values (test.org_of('sam'), test.id_of('sam'), 'move', 'KMC') returning id into v_id;
  foreach v_step in array case from_status when 'PENDING' then '{}' when 'QUEUED' then '{QUEUED}' when 'RUNNING' then '{QUEUED,RUNNING}'
      when 'CANCELLED' then '{CANCELLED}' else array['QUEUED', 'RUNNING', from_status] end::text[] loop
    v_said := test.set_status(v_id, v_step);
    if v_said <> 'ok' then return 'cannot reach: ' || v_said; end if;
  end loop;
  v_said := test.set_status(v_id, to_status);
  delete from lab_data.simulation_jobs where id = v_id;
  return v_said;
end $$;
select "from", string_agg("to", ', ' order by "to") filter (where said = 'ok') as goes_to, string_agg(distinct split_part(said, ':', 1), ', ') filter (where said <> 'ok') as else_refused
from (select *, test.try_move("from", "to") as said from moves) m group by "from" order by array_position('{PENDING,QUEUED,RUNNING,COMPLETED,FAILED,CANCELLED}', "from");
select s, test.error_of(format($q$insert into lab_data.simulation_jobs (org_id, owner_id, name, engine_type, status, attempts, submitted_at, started_at, progress, completed_at, error)
  values (%L, %L, 'x', 'KMC', %L, 1, now(), now(), 1, case when %3$L in ('COMPLETED', 'FAILED', 'CANCELLED') then now() end, case when %3$L = 'FAILED' then '{}'::jsonb end)$q$,
  test.org_of('sam'), test.id_of('sam'), s)) from unnest('{QUEUED,RUNNING,COMPLETED,FAILED,CANCELLED,DONE}'::text[]) s;
-- Progress lies from 0 to 1, attempts are bounded, a lease has a worker and a running job.
select x, test.error_of(format('update lab_data.simulation_jobs set %s where name = %L', x, 'meso'))
from unnest(array['progress = 1.1', 'progress = -0.1', $$progress = 'NaN'$$, 'attempts = 4', 'attempts = -1', 'max_attempts = 0', $$lease_until = now()$$, $$error = '{}'$$, 'completed_at = now()']) x;

-- The calls move only along the same arrows.
select test.become('sam');
set role lab_user;
select test.error_of($$select lab.job_retry(test.job('meso'))$$), test.error_of($$select lab.job_submit(test.job('beam'))$$), test.error_of($$select lab.job_cancel(test.job('beam'))$$);
select test.error_of(format('select lab.%s(%L)', f, gen_random_uuid())), test.error_of(format('select lab.%s(null)', f)) from unnest('{job_submit,job_run,job_cancel,job_retry}'::text[]) f;
select test.error_of($$select lab.job_submit(test.job('plain'))$$);
-- A cancelled parent takes no children.
select status, completed_at is not null as ended from lab.job_cancel(test.job('cont'));
select status from lab.job_cancel(test.job('meso'));
select test.error_of($$select lab.job_create('child', 'FEM', parent_job_id => test.job('meso'))$$);

-- A job whose input goes wrong fails with its reason, keeps no result, and is retried at most max_attempts times.
select status from lab.job_create('child', 'FEM', parent_job_id => test.job('grains'));
select status from lab.job_submit(test.job('child'));
reset role;
update lab_data.simulation_results set result = jsonb_set(result, '{microstructure_metrics,phase_fractions,beta}', '2') where engine_type = 'PHASE_FIELD';
set role lab_user;
select status, attempts, progress, error - 'detail' as error, (error ->> 'detail')::jsonb #> '{problems,0}' as problem from lab.job_run(test.job('child'));
select count(*) as results from lab.simulation_results where job_id = test.job('child');
select status, error, run_after > now() as later from lab.job_retry(test.job('child'));
select status, error ->> 'code' as code from lab.job_run(test.job('child'));
select status from lab.job_retry(test.job('child'));
select status, attempts from lab.job_run(test.job('child'));
select test.error_of($$select lab.job_retry(test.job('child'))$$);
update lab.simulation_jobs set max_attempts = 4 where name = 'child' returning max_attempts;
select status from lab.job_retry(test.job('child'));
reset role;
update lab_data.simulation_results set result = result #- '{microstructure_metrics,phase_fractions,beta}' where engine_type = 'PHASE_FIELD';
set role lab_user;
select status, error - 'detail' as error from lab.job_run(test.job('child'));

-- An active job cannot be deleted; another disappears from the views, with its results kept.
select status from lab.job_create('active', 'KMC');
select status from lab.job_submit(test.job('active'));
select test.error_of($$delete from lab.simulation_jobs where name = 'active'$$);
select status from lab.job_run(test.job('active'));
delete from lab.simulation_jobs where name = 'active' returning name;
select (select count(*) from lab.simulation_jobs where name = 'active') as jobs, (select count(*) from lab.mesoscale_jobs where name = 'active') as meso,
       (select count(*) from lab.simulation_results where engine_type = 'KMC') as results;
select test.error_of($$select lab.job_run(test.job('active'))$$), test.error_of($$select lab.job_create('child', 'FEM', parent_job_id => test.job('active'))$$);

-- Whoever may, lists it among the deleted and brings it back.
reset role;
select test.become('mary');
set role lab_user;
select record ->> 'name' as name from lab.trash('simulation_job');
select lab.restore('simulation_job', test.job('active')) ->> 'name' as restored;
reset role;
select test.become('sam');
set role lab_user;
select name, status from lab.mesoscale_jobs where name = 'active';

-- Structures: text kept as given, equal texts found, the text never changes; they feed atomic jobs.
insert into lab.structures (name, formula, n_atoms, format, source) values ('rock salt', 'NaCl', 8, 'cif', E'data_NaCl  \r\n_cell_length_a 5.64\r\n') returning name, formula, n_atoms, dimensionality, format, length(hash) as hash_length;
insert into lab.structures (name, formula, n_atoms, format, source, parent_structure_id, generated_by)
select 'copy', 'NaCl', 8, 'cif', E'data_NaCl\n_cell_length_a 5.64\n\n', s.id, '{"method": "copy"}' from lab.structures s where s.name = 'rock salt';
select count(distinct hash) as hashes, count(distinct source) as texts from lab.structures;
select i, test.error_of(s) from (values (1, $$update lab.structures set source = 'x'$$), (2, $$update lab.structures set hash = repeat('0', 64)$$),
  (3, $$insert into lab.structures (formula, n_atoms, format, source) values ('NaCl', 0, 'cif', 'x')$$), (4, $$insert into lab.structures (formula, n_atoms, format, source) values ('NaCl', 8, 'exe', 'x')$$),
  (5, $$insert into lab.structures (formula, n_atoms, format, source) values ('Xx9', 8, 'cif', 'x')$$), (6, $$insert into lab.structures (formula, n_atoms, format, source) values ('NaCl', 8, 'cif', '')$$),
  (7, $$insert into lab.structures (formula, n_atoms, format, source, dimensionality) values ('NaCl', 8, 'cif', 'x', 4)$$),
  (8, $$insert into lab.structures (formula, n_atoms, format, source, material_id) values ('NaCl', 8, 'cif', 'x', gen_random_uuid())$$)) t(i, s) order by i;
select status from lab.job_create('salt', 'ATOMIC', structure_id => (select s.id from lab.structures s where s.name = 'rock salt'));
select status from lab.job_submit(test.job('salt'));
select status from lab.job_run(test.job('salt'));
select parameters -> 'formula' as formula, parameters -> 'n_atoms' as n_atoms from lab.simulation_results where job_id = test.job('salt');
-- Predictions are written once.
insert into lab.predicted_properties (structure_id, model_name, model_version, properties, uncertainty)
select s.id, 'cgcnn', '1.2', '{"band_gap_ev": 5.0}', '{"band_gap_ev": 0.3}' from lab.structures s where s.name = 'rock salt' returning model_name, properties, uncertainty;
select test.error_of($$update lab.predicted_properties set properties = '{}'$$), test.error_of($$delete from lab.predicted_properties$$),
       test.error_of($$insert into lab.predicted_properties (structure_id, model_name, model_version, properties) values (gen_random_uuid(), 'x', '1', '{}')$$);
reset role;
select test.become('bea');
set role lab_user;
select (select count(*) from lab.structures) as structures, (select count(*) from lab.predicted_properties) as predictions, (select count(*) from lab.simulation_fields) as fields;
reset role;

-- The engines are listed for whoever is signed in.
select test.become('vic');
set role lab_user;
select scale, name from lab.simulation_engines();
reset role;
-- A history is for those who may see the record: its owner, and holders of simulation:read_any.
select j.id as job from lab_data.simulation_jobs j where j.owner_id = test.id_of('sam') order by j.id limit 1 \gset
select test.become('sam'); set role lab_user;
select count(*) > 0 as own, lab.audit_as_of('simulation_job', :'job') is not null as own_state from lab.audit_history('simulation_job', :'job');
reset role; select test.become('tess'); set role lab_user;
select count(*) as of_others, lab.audit_as_of('simulation_job', :'job') as state, lab.audit_diff('simulation_job', :'job', '2020-01-01') as diff from lab.audit_history('simulation_job', :'job');
select count(*) filter (where kind like 'simulation%') as jobs, count(*) > 0 as others from lab.audit_log;
reset role; select test.become('mary'); set role lab_user;
select count(*) > 0 as as_manager, (select count(*) > 0 from lab.audit_log where kind = 'simulation_jobs') as in_log from lab.audit_history('simulation_job', :'job');
reset role;
-- Leave the laboratory as it was.
delete from lab_data.simulation_results where parent_result_id is not null;
delete from lab_data.simulation_results;
delete from lab_data.simulation_jobs where scale = 'continuum';
delete from lab_data.simulation_jobs where scale = 'mesoscale';
delete from lab_data.simulation_jobs;
delete from lab_data.predicted_properties;
delete from lab_data.structures where parent_structure_id is not null;
delete from lab_data.structures;
select test.become(null);
drop function test.detail_of, test.job, test.set_status, test.try_move;
