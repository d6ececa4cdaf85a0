-- Two organisations with people, as a test wants them; what each room adds stands in its own part.
insert into lab_data.organizations (id, name, slug) values
  ('00000000-0000-7000-8000-0000000000a1', 'Alpha Lab', 'alpha'),
  ('00000000-0000-7000-8000-0000000000b1', 'Beta Lab', 'beta');
insert into lab_data.users (id, email, username) values
  ('00000000-0000-7000-8000-0000000000a2', 'ann@alpha.example', 'ann'),
  ('00000000-0000-7000-8000-0000000000b2', 'bob@beta.example', 'bob');
insert into lab_data.memberships (org_id, user_id, is_default) values
  ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000a2', true),
  ('00000000-0000-7000-8000-0000000000b1', '00000000-0000-7000-8000-0000000000b2', true);
insert into lab_data.user_roles (org_id, user_id, role_id)
select m.org_id, m.user_id, r.id from lab_data.memberships m join lab_data.roles r on r.name = 'admin' and r.org_id is null;

-- Simulation: three scales chained, with results, and a field.
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
delete from lab_private.db_logins;
