-- What came with version 0.2, after fill-0.1.sql: three chained jobs with results and a field, a campaign half way.
insert into lab_private.db_logins (rolname, user_id, org_id)
values (session_user, '00000000-0000-7000-8000-0000000000a2', '00000000-0000-7000-8000-0000000000a1');
insert into lab.structures (name, formula, n_atoms, format, source) values ('salt', 'NaCl', 8, 'cif', 'data_NaCl');
insert into lab.predicted_properties (structure_id, model_name, model_version, properties)
select s.id, 'guess', '1', '{"band_gap_ev": 5}' from lab.structures s;
do $do$
declare
  v_engine text;
  v_job    uuid;
begin
  foreach v_engine in array '{ATOMIC,MC,FEM}'::text[] loop
    v_job := (lab.job_create(v_engine, v_engine, parent_job_id => v_job,
      structure_id => (select s.id from lab.structures s where v_engine = 'ATOMIC'))).id;
    perform lab.job_submit(v_job);
    perform lab.job_run(v_job);
  end loop;
  if exists (select from lab.simulation_jobs j where j.status <> 'COMPLETED') then
    raise exception 'a job of the fill has not completed';
  end if;
end
$do$;
insert into lab_data.simulation_fields (result_id, owner_id, name, unit, shape, element_type, data)
select r.id, r.owner_id, 'grains', '1', '{2,2}', 'uint8', '\x00010203' from lab_data.simulation_results r where r.scale = 'mesoscale';
insert into lab.materials (name, formula) values ('Quartz', 'SiO2');
select lab.dataset_import('Gaps', E'formula,gap\nGaAs,1.4\nInP,1.3\nCdTe,1.5\nNaCl,8.5\nSi,1.1\nGe,0.7\n',
  '{"formula": "formula", "properties": {"band_gap": "gap"}}', licence => 'MIT');
select lab.campaign_create('Absorbers', '{"target_properties": {"band_gap": {"target": 1.5, "tolerance": 0.3}},
  "evaluator": {"kind": "dataset", "dataset": "Gaps"}, "strategy": "bayesian", "candidates_per_iteration": 2, "max_iterations": 2, "seed": 42}');
select lab.campaign_start(c.id) from lab.design_campaigns c;
select lab.campaign_step(c.id) from lab.design_campaigns c;
delete from lab_private.db_logins;
