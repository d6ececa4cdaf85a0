/*
 * Room: simulation (repeatable half)
 *
 * Triggers, row security, views and calls of structures, predictions and
 * simulation jobs. What holds for a job holds on every path: engine and
 * parameters are checked by trigger, the parent's scale by foreign key, the
 * moves of the status by labos.tg__state.
 *
 * No insert, update or delete policies on results and fields: they are written
 * by the calls below, once. No update or delete of predictions: a better one is
 * a new row. No delete through the views mesoscale_jobs and continuum_jobs.
 */

-- structures ----------------------------------------------------------------

create or replace function lab_private.tg_structures__hash() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  if TG_OP = 'UPDATE' and (NEW.source, NEW.format) is distinct from (OLD.source, OLD.format) then
    raise exception 'the text of a structure cannot change' using errcode = 'PT409',
      detail = json_build_object('code', 'structure_immutable', 'id', OLD.id)::text,
      hint = 'Create a new structure and name this one as parent_structure_id.';
  end if;
  if NEW.material_id is not null and (TG_OP = 'INSERT' or NEW.material_id is distinct from OLD.material_id)
     and not exists (select from lab_data.materials m where m.org_id = NEW.org_id and m.id = NEW.material_id and m.deleted_at is null) then
    raise exception 'material not found' using errcode = 'PT422',
      detail = json_build_object('code', 'material_not_found', 'material_id', NEW.material_id)::text,
      hint = 'A material is one that you can see.';
  end if;
  if TG_OP = 'INSERT' and NEW.parent_structure_id is not null and not exists (
    select from lab_data.structures s where s.org_id = NEW.org_id and s.id = NEW.parent_structure_id and s.deleted_at is null) then
    raise exception 'structure not found' using errcode = 'PT422',
      detail = json_build_object('code', 'structure_not_found', 'structure_id', NEW.parent_structure_id)::text,
      hint = 'A structure is one that you can see.';
  end if;
  NEW.hash := encode(sha256(convert_to(btrim(
    regexp_replace(replace(NEW.source, E'\r\n', E'\n'), '[ \t]+$', '', 'gn'), E' \t\n\r'), 'UTF8')), 'hex');
  return NEW;
end
$$;
comment on function lab_private.tg_structures__hash() is 'Before insert or update of a structure: its hash, its material and parent are there; PT409 structure_immutable, PT422 material_not_found, structure_not_found.';

create or replace trigger _100_stamp before insert or update on lab_data.structures
  for each row execute function labos.tg__stamp();
create or replace trigger _300_hash before insert or update of source, format, hash, material_id on lab_data.structures
  for each row execute function lab_private.tg_structures__hash();
create or replace function lab_private.tg_predicted_properties__structure() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  if not exists (select from lab_data.structures s where s.org_id = NEW.org_id and s.id = NEW.structure_id and s.deleted_at is null) then
    raise exception 'structure not found' using errcode = 'PT422',
      detail = json_build_object('code', 'structure_not_found', 'structure_id', NEW.structure_id)::text,
      hint = 'A structure is one that you can see.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_predicted_properties__structure() is 'Before insert of a prediction: its structure is there; PT422 structure_not_found.';
create or replace trigger _300_structure before insert on lab_data.predicted_properties
  for each row execute function lab_private.tg_predicted_properties__structure();

create or replace trigger _100_stamp before insert or update on lab_data.predicted_properties
  for each row execute function labos.tg__stamp();

call labos.protect('lab_data.structures', 'material', verbs => '{select,insert,update}', owner => 'owner_id',
  kind => 'structure', guest_verbs => '{select}');
call labos.expose('structures',
  insert_columns => '{id,material_id,parent_structure_id,name,formula,n_atoms,dimensionality,format,source,generated_by}',
  update_columns => '{material_id,name,formula,n_atoms,dimensionality,version}',
  deletable => true, prefix => 'material', owner => 'owner_id', guests => true);
call labos.audit_enable('lab_data.structures');
call labos.protect('lab_data.predicted_properties', 'material', verbs => '{select,insert}', owner => 'owner_id',
  kind => 'structure', kind_id => 'structure_id', guest_verbs => '{select}');
call labos.expose('predicted_properties',
  insert_columns => '{id,structure_id,model_name,model_version,properties,uncertainty}', guests => true);
call labos.audit_enable('lab_data.predicted_properties');

-- jobs: what holds on every path ----------------------------------------------

create or replace function lab_private.tg_simulation_jobs__check() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_engine   text;
  v_problems jsonb;
  v_parent   record;
begin
  if TG_OP = 'UPDATE' then
    if NEW.deleted_at is not null and OLD.deleted_at is null and OLD.status in ('QUEUED', 'RUNNING') then
      raise exception 'an active job cannot be deleted' using errcode = 'PT409',
        detail = json_build_object('code', 'job_active', 'id', OLD.id, 'status', OLD.status)::text,
        hint = 'Cancel it first: rpc/job_cancel.';
    end if;
    if (NEW.scale, NEW.engine_type, NEW.fidelity, NEW.parameters, NEW.seed, NEW.parent_job_id, NEW.structure_id)
       is not distinct from
       (OLD.scale, OLD.engine_type, OLD.fidelity, OLD.parameters, OLD.seed, OLD.parent_job_id, OLD.structure_id) then
      return NEW;
    end if;
    if OLD.status <> 'PENDING' then
      raise exception 'only a pending job can be changed' using errcode = 'PT409',
        detail = json_build_object('code', 'job_not_editable', 'id', OLD.id, 'status', OLD.status)::text,
        hint = 'Create a new job.';
    end if;
    -- A change of engine moves the scale with it, unless the scale is named too.
    if NEW.engine_type is distinct from OLD.engine_type and NEW.scale is not distinct from OLD.scale then
      NEW.scale := labos.engine_scale(NEW.engine_type);
    end if;
  end if;

  v_engine := labos.engine_name(NEW.engine_type);
  if v_engine is null then
    raise exception 'there is no such engine' using errcode = 'PT422',
      detail = json_build_object('code', 'unknown_engine', 'engine_type', left(NEW.engine_type, 100),
                                 'engines', (select json_agg(e.name) from labos.engines() e))::text,
      hint = 'rpc/simulation_engines lists engines and aliases.';
  end if;
  NEW.engine_type := v_engine;
  if coalesce(NEW.scale, labos.engine_scale(v_engine)) <> labos.engine_scale(v_engine) then
    raise exception 'engine is of another scale' using errcode = 'PT422',
      detail = json_build_object('code', 'engine_scale_mismatch', 'engine_type', v_engine,
                                 'scale', NEW.scale, 'engine_scale', labos.engine_scale(v_engine))::text,
      hint = 'Leave scale out, or choose an engine of that scale.';
  end if;
  NEW.scale := labos.engine_scale(v_engine);

  v_problems := labos.engine_parameter_problems(v_engine, NEW.parameters);
  if v_problems <> '[]' then
    raise exception 'engine parameters are not valid' using errcode = 'PT422',
      detail = json_build_object('code', 'invalid_parameters', 'engine_type', v_engine, 'problems', v_problems)::text,
      hint = 'rpc/simulation_engines lists parameters, units and limits.';
  end if;
  if NEW.fidelity is distinct from 'stub' then
    raise exception 'fidelity is not available' using errcode = 'PT422',
      detail = json_build_object('code', case NEW.fidelity when 'physics' then 'fidelity_unavailable' else 'unknown_fidelity' end,
                                 'fidelity', left(NEW.fidelity, 100))::text,
      hint = 'Use fidelity "stub".';
  end if;

  if NEW.parent_job_id is not null then
    select p.scale, p.status into v_parent from lab_data.simulation_jobs p
    where p.org_id = NEW.org_id and p.id = NEW.parent_job_id and p.deleted_at is null;
    if not found then
      raise exception 'parent job not found' using errcode = 'PT422',
        detail = json_build_object('code', 'parent_not_found', 'parent_job_id', NEW.parent_job_id)::text,
        hint = 'A parent is a job that you can see.';
    elsif v_parent.scale is distinct from (case NEW.scale when 'mesoscale' then 'atomic' when 'continuum' then 'mesoscale' end) then
      raise exception 'a parent job must be exactly one scale finer' using errcode = 'PT422',
        detail = json_build_object('code', 'parent_scale_mismatch', 'scale', NEW.scale, 'parent_scale', v_parent.scale)::text,
        hint = 'Chains go atomic, mesoscale, continuum.';
    elsif v_parent.status = 'CANCELLED' then
      raise exception 'parent job was cancelled' using errcode = 'PT409',
        detail = json_build_object('code', 'parent_cancelled', 'parent_job_id', NEW.parent_job_id)::text,
        hint = 'Choose another parent: this one will never have a result.';
    end if;
  end if;
  if NEW.structure_id is not null and not exists (
    select from lab_data.structures s where s.org_id = NEW.org_id and s.id = NEW.structure_id and s.deleted_at is null) then
    raise exception 'structure not found' using errcode = 'PT422',
      detail = json_build_object('code', 'structure_not_found', 'structure_id', NEW.structure_id)::text,
      hint = 'A structure is one that you can see.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_simulation_jobs__check() is
$$Before insert or update of a job

Engine by its full name, scale, parameters, fidelity, parent and structure. Errors: PT422 unknown_engine, engine_scale_mismatch, invalid_parameters (with all problems), fidelity_unavailable, unknown_fidelity, parent_not_found, parent_scale_mismatch, structure_not_found; PT409 job_not_editable, job_active, parent_cancelled.$$;

create or replace trigger _100_stamp before insert or update on lab_data.simulation_jobs
  for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.simulation_jobs
  for each row execute function labos.tg__state('status', 'PENDING>QUEUED,CANCELLED', 'QUEUED>RUNNING,CANCELLED',
    'RUNNING>COMPLETED,FAILED,CANCELLED', 'FAILED>QUEUED');
create or replace trigger _300_check before insert or update on lab_data.simulation_jobs
  for each row execute function lab_private.tg_simulation_jobs__check();
create or replace trigger _100_stamp before insert on lab_data.simulation_results
  for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert on lab_data.simulation_fields
  for each row execute function labos.tg__stamp();

call labos.protect('lab_data.simulation_jobs', 'simulation', verbs => '{select,insert,update}', owner => 'owner_id',
  kind => 'simulation_job', guest_verbs => '{select}');
call labos.expose('simulation_jobs',
  insert_columns => '{id,name,description,scale,engine_type,fidelity,parameters,seed,parent_job_id,structure_id,priority,max_attempts}',
  update_columns => '{name,description,scale,engine_type,fidelity,parameters,seed,parent_job_id,structure_id,priority,max_attempts,version}',
  deletable => true, prefix => 'simulation', owner => 'owner_id', guests => true);
call labos.protect('lab_data.simulation_results', 'simulation', verbs => '{select}', owner => 'owner_id',
  kind => 'simulation_job', kind_id => 'job_id', guest_verbs => '{select}');
call labos.expose('simulation_results', guests => true);
call labos.protect('lab_data.simulation_fields', 'simulation', verbs => '{select}', owner => 'owner_id');
call labos.expose('simulation_fields');
call labos.audit_enable('lab_data.simulation_jobs');
call labos.audit_enable('lab_data.simulation_results');
-- The arrays themselves are not copied into the trail: their SHA-256 is.
call labos.audit_enable('lab_data.simulation_fields', '{"ignore": ["data"]}');

-- the names that clients of the original know -----------------------------------

do $do$
declare
  v_scale   text;
  v_view    record;
  v_column  record;
begin
  foreach v_scale in array array['mesoscale', 'continuum'] loop
    for v_view in
      select format('lab.%I', v_scale || '_jobs') as name,
             format('with (security_invoker = true, check_option = local) as select %s from lab_data.simulation_jobs t where t.scale = %L and t.deleted_at is null',
                    (select string_agg(format('t.%I', a.attname), ', ' order by a.attnum) from pg_attribute a
                     where a.attrelid = 'lab.simulation_jobs'::regclass and a.attnum > 0 and not a.attisdropped), v_scale) as body,
             'jobs' as part, 'The simulation jobs of this scale; see simulation_jobs.' as comment
      union all
      -- Organisation, job and scale are the key by which clients embed results in jobs.
      select format('lab.%I', v_scale || '_results'),
             format('with (security_invoker = true) as select t.id, t.org_id, t.job_id, t.owner_id, t.scale, t.engine_type, %s, t.convergence_reached, '
                    't.wall_time_ms, t.engine_version, t.fidelity, t.seed, t.parameters, t.parameters_hash, t.parent_result_id, t.result, '
                    't.created_at, t.created_by from lab_data.simulation_results t where t.scale = %L',
                    case v_scale when 'mesoscale' then 't.microstructure_metrics, t.grain_size_distribution, t.phase_fractions, t.domain_size, t.timesteps'
                                 else 't.effective_properties, t.mesh_info, t.solution_fields' end, v_scale),
             'results', 'The results of jobs of this scale, found by job_id; see simulation_results.'
    loop
      -- A view may gain columns only at its end; a change that does otherwise needs a new one.
      begin
        execute format('create or replace view %s %s', v_view.name, v_view.body);
      exception when invalid_table_definition then
        execute format('drop view %s', v_view.name);
        execute format('create view %s %s', v_view.name, v_view.body);
      end;
      execute format('comment on view %s is %L', v_view.name, format(E'%s %s\n\n%s', initcap(v_scale), v_view.part, v_view.comment));
      execute format('revoke all on %s from public, lab_anon, lab_user, lab_guest', v_view.name);
      execute format('grant select on %s to lab_user', v_view.name);
    end loop;
    -- The scale need not be named, and an engine of another scale is refused.
    execute format('alter view lab.%I alter column scale set default %L', v_scale || '_jobs', v_scale);
    execute format('grant insert (id, name, description, engine_type, fidelity, parameters, seed, parent_job_id, structure_id, priority, max_attempts), '
      'update (name, description, engine_type, fidelity, parameters, seed, parent_job_id, structure_id, priority, max_attempts, version) on lab.%I to lab_user',
      v_scale || '_jobs');

    for v_column in
      select v.oid::regclass as name, a.attname, col_description(t.oid, ta.attnum) as description
      from (values ('_jobs'), ('_results')) x(part)
      join pg_class v on v.oid = format('lab.%I', v_scale || x.part)::regclass
      join pg_class t on t.oid = format('lab_data.%I', 'simulation' || x.part)::regclass
      join pg_attribute a on a.attrelid = v.oid and a.attnum > 0
      join pg_attribute ta on ta.attrelid = t.oid and ta.attname = a.attname
    loop
      execute format('comment on column %s.%I is %L', v_column.name, v_column.attname, v_column.description);
    end loop;
  end loop;
end
$do$;

-- calls -------------------------------------------------------------------------

create or replace function lab.simulation_engines()
  returns table (scale text, name text, aliases text[], version text, title text, parameters jsonb, results jsonb, fidelities text[])
  language sql stable parallel safe
  set search_path to pg_catalog, labos, pg_temp
begin atomic
  select e.scale, e.name, e.aliases, e.version, e.title, e.parameters, e.results, e.fidelities from labos.engines() e;
end;
comment on function lab.simulation_engines() is
$$Simulation engines

One row an engine: its parameters as JSON Schema with units, defaults and limits, and the shape of its result with units as leaves.$$;
revoke all on function lab.simulation_engines() from public;
grant execute on function lab.simulation_engines() to lab_user;

create or replace function lab.job_create(
  name text, engine_type text default null, scale text default null, parameters jsonb default '{}',
  parent_job_id uuid default null, structure_id uuid default null, seed bigint default 0,
  priority integer default 0, fidelity text default 'stub', description text default null)
  returns lab.simulation_jobs
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id    uuid := labos.uuid_v7();
  v_made  lab.simulation_jobs;
begin
  perform labos.require_org_for('simulation:create');
  -- A scale alone means its first engine: the stub of a chain needs no more.
  insert into lab_data.simulation_jobs (id, name, description, scale, engine_type, fidelity, parameters, seed, parent_job_id, structure_id, priority)
  values (v_id, job_create.name, job_create.description, job_create.scale,
          coalesce(job_create.engine_type, case job_create.scale when 'atomic' then 'ATOMIC' when 'mesoscale' then 'PHASE_FIELD' when 'continuum' then 'FEM' end),
          coalesce(job_create.fidelity, 'stub'), coalesce(job_create.parameters, '{}'), coalesce(job_create.seed, 0),
          job_create.parent_job_id, job_create.structure_id, coalesce(job_create.priority, 0));
  select j.* into v_made from lab.simulation_jobs j where j.org_id = labos.org_id() and j.id = v_id;
  return v_made;
end
$$;
comment on function lab.job_create(text, text, text, jsonb, uuid, uuid, bigint, integer, text, text) is
$$Create a simulation job

Returns the job, PENDING. Without engine_type the first engine of the scale: ATOMIC, PHASE_FIELD, FEM. Errors: 403 without simulation:create; 422 unknown_engine, engine_scale_mismatch, invalid_parameters (DETAIL lists path, code and message of all), parent_not_found, parent_scale_mismatch, structure_not_found, fidelity_unavailable.$$;
revoke all on function lab.job_create(text, text, text, jsonb, uuid, uuid, bigint, integer, text, text) from public;
grant execute on function lab.job_create(text, text, text, jsonb, uuid, uuid, bigint, integer, text, text) to lab_user;

-- A job of the caller (or of anybody, with simulation:update_any), locked.
create or replace function lab_private.job_lock(org uuid, job uuid) returns lab_data.simulation_jobs
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_job lab_data.simulation_jobs;
begin
  select j.* into v_job from lab_data.simulation_jobs j
  where j.org_id = job_lock.org and j.id = job_lock.job and j.deleted_at is null
    and j.owner_id = labos.owner_for('simulation:update_any', j.owner_id)
  for update;
  if not found then
    raise exception 'simulation job not found' using errcode = 'PT404',
      detail = json_build_object('code', 'job_not_found', 'id', job_lock.job)::text,
      hint = 'Only its owner or a holder of simulation:update_any can act on a job.';
  end if;
  return v_job;
end
$$;
comment on function lab_private.job_lock(uuid, uuid) is 'Locks a job of the caller for a change of state; PT404 job_not_found.';
revoke all on function lab_private.job_lock(uuid, uuid) from public;

create or replace function lab_private.job_view(org uuid, job uuid) returns lab.simulation_jobs
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_job lab.simulation_jobs;
begin
  select j.* into v_job from lab.simulation_jobs j where j.org_id = job_view.org and j.id = job_view.job;
  return v_job;
end
$$;
comment on function lab_private.job_view(uuid, uuid) is 'A job as clients see it.';
revoke all on function lab_private.job_view(uuid, uuid) from public;

create or replace function lab.job_submit(id uuid) returns lab.simulation_jobs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('simulation:run');
  v_job lab_data.simulation_jobs := lab_private.job_lock(v_org, job_submit.id);
begin
  if v_job.status <> 'PENDING' then
    raise exception 'only a pending job can be submitted' using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_job.status, 'to', 'QUEUED', 'id', v_job.id)::text,
      hint = case v_job.status when 'FAILED' then 'Retry it: rpc/job_retry.' else 'Create a new job.' end;
  end if;
  update lab_data.simulation_jobs j set status = 'QUEUED', submitted_at = now()
  where j.org_id = v_org and j.id = v_job.id;
  return lab_private.job_view(v_org, v_job.id);
end
$$;
comment on function lab.job_submit(uuid) is
$$Submit a simulation job

PENDING to QUEUED. A child may be submitted before its parent has finished; it runs after it. Errors: 403 without simulation:run, 404 job_not_found, 409 illegal_transition.$$;
revoke all on function lab.job_submit(uuid) from public;
grant execute on function lab.job_submit(uuid) to lab_user;

-- What the engine is given: the job's own parameters first, then its parent's figures, then its structure.
create or replace function lab_private.job_inputs(job lab_data.simulation_jobs, parent lab_data.simulation_results) returns jsonb
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_inputs jsonb := jsonb_strip_nulls(job.parameters);
begin
  if (parent).id is not null then
    v_inputs := labos.engine_link(job.engine_type, v_inputs, (parent).engine_type, (parent).result);
  end if;
  if job.scale = 'atomic' and job.structure_id is not null then
    select jsonb_build_object('formula', s.formula::text, 'n_atoms', s.n_atoms) || v_inputs into v_inputs
    from lab_data.structures s where s.org_id = job.org_id and s.id = job.structure_id;
  end if;
  return v_inputs;
end
$$;
comment on function lab_private.job_inputs(lab_data.simulation_jobs, lab_data.simulation_results) is
  'The parameters of a job completed from its parent''s result and its structure; LB502 when the parent lacks a figure.';
revoke all on function lab_private.job_inputs(lab_data.simulation_jobs, lab_data.simulation_results) from public;

create or replace function lab.job_run(id uuid) returns lab.simulation_jobs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('simulation:run');
  v_job     lab_data.simulation_jobs := lab_private.job_lock(v_org, job_run.id);
  v_parent  lab_data.simulation_results;
  v_status  text;
  v_started timestamptz;
  v_inputs  jsonb;
  v_setup   jsonb;
  v_result  jsonb;
  v_error   jsonb;
  v_message text;
  v_detail  text;
begin
  if v_job.status <> 'QUEUED' then
    raise exception 'only a queued job can run' using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_job.status, 'to', 'RUNNING', 'id', v_job.id)::text,
      hint = case v_job.status when 'PENDING' then 'Submit it first: rpc/job_submit.' when 'FAILED' then 'Retry it: rpc/job_retry.'
             else 'Create a new job.' end;
  end if;
  if v_job.parent_job_id is not null then
    select p.status into v_status from lab_data.simulation_jobs p where p.org_id = v_org and p.id = v_job.parent_job_id for share;
    if v_status is distinct from 'COMPLETED' then
      raise exception 'parent job has not completed' using errcode = 'PT409',
        detail = json_build_object('code', 'parent_not_completed', 'id', v_job.id,
                                   'parent_job_id', v_job.parent_job_id, 'parent_status', v_status)::text,
        hint = 'Run the parent first.';
    end if;
    select r.* into v_parent from lab_data.simulation_results r where r.org_id = v_org and r.job_id = v_job.parent_job_id;
  end if;

  update lab_data.simulation_jobs j set status = 'RUNNING', attempts = j.attempts + 1, started_at = clock_timestamp(), progress = 0
  where j.org_id = v_org and j.id = v_job.id
  returning j.* into v_job;

  -- A failure is a fact to keep: the engine's part rolls back alone, cancelling the statement rolls back all.
  begin
    v_started := clock_timestamp();
    v_inputs := lab_private.job_inputs(v_job, v_parent);
    v_setup := labos.engine_prepare(v_job.engine_type, v_inputs);
    v_result := labos.engine_run(v_job.engine_type, v_inputs, v_job.seed, v_job.fidelity);
    insert into lab_data.simulation_results (org_id, job_id, owner_id, scale, engine_type, result, domain_size, mesh_info, wall_time_ms,
      engine_version, fidelity, seed, parameters, parameters_hash, parent_result_id)
    values (v_org, v_job.id, v_job.owner_id, v_job.scale, v_job.engine_type, v_result, v_setup -> 'domain_size', v_setup -> 'mesh_info',
      extract(epoch from clock_timestamp() - v_started) * 1000, v_setup ->> 'version', v_job.fidelity, v_job.seed,
      v_setup -> 'parameters', v_setup ->> 'parameters_hash', (v_parent).id);
  exception when others then
    -- What another attempt of the statement may cure is not the job's failure.
    if sqlstate ~ '^(40|53|55|57|58)' then
      raise;
    end if;
    get stacked diagnostics v_message = message_text, v_detail = pg_exception_detail;
    v_error := jsonb_build_object('code', coalesce(substring(v_detail from '"code"\s*:\s*"([a-z0-9_]+)"'), 'engine_failed'),
      'message', v_message, 'sqlstate', sqlstate, 'detail', nullif(v_detail, ''));
  end;

  update lab_data.simulation_jobs j
  set status = case when v_error is null then 'COMPLETED' else 'FAILED' end, error = v_error,
      progress = case when v_error is null then 1 else j.progress end, completed_at = clock_timestamp()
  where j.org_id = v_org and j.id = v_job.id;
  return lab_private.job_view(v_org, v_job.id);
end
$$;
comment on function lab.job_run(uuid) is
$$Run a queued simulation job now

Runs in the caller's session: the result and the state COMPLETED are written together. If the engine fails the job is FAILED with its error, and the call succeeds. Errors: 403 without simulation:run, 404 job_not_found, 409 illegal_transition, parent_not_completed.$$;
revoke all on function lab.job_run(uuid) from public;
grant execute on function lab.job_run(uuid) to lab_user;

create or replace function lab.job_cancel(id uuid) returns lab.simulation_jobs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('simulation:run');
  v_job lab_data.simulation_jobs := lab_private.job_lock(v_org, job_cancel.id);
begin
  if v_job.status not in ('PENDING', 'QUEUED', 'RUNNING') then
    raise exception 'only an unfinished job can be cancelled' using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_job.status, 'to', 'CANCELLED', 'id', v_job.id)::text,
      hint = 'It has finished already.';
  end if;
  update lab_data.simulation_jobs j set status = 'CANCELLED', completed_at = now(), worker = null, lease_until = null
  where j.org_id = v_org and j.id = v_job.id;
  return lab_private.job_view(v_org, v_job.id);
end
$$;
comment on function lab.job_cancel(uuid) is
$$Cancel a simulation job

PENDING, QUEUED or RUNNING to CANCELLED; its children can never run. Errors: 403 without simulation:run, 404 job_not_found, 409 illegal_transition.$$;
revoke all on function lab.job_cancel(uuid) from public;
grant execute on function lab.job_cancel(uuid) to lab_user;

create or replace function lab.job_retry(id uuid) returns lab.simulation_jobs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('simulation:run');
  v_job lab_data.simulation_jobs := lab_private.job_lock(v_org, job_retry.id);
begin
  if v_job.status <> 'FAILED' then
    raise exception 'only a failed job can be retried' using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_job.status, 'to', 'QUEUED', 'id', v_job.id)::text,
      hint = 'Create a new job.';
  elsif v_job.attempts >= v_job.max_attempts then
    raise exception 'the job has been attempted often enough' using errcode = 'PT409',
      detail = json_build_object('code', 'attempts_exhausted', 'attempts', v_job.attempts, 'max_attempts', v_job.max_attempts)::text,
      hint = 'Raise max_attempts, or create a new job.';
  end if;
  -- Workers wait 10 s, 20 s, 40 s, ... up to an hour; rpc/job_run does not.
  update lab_data.simulation_jobs j
  set status = 'QUEUED', error = null, progress = 0, completed_at = null, submitted_at = now(),
      run_after = now() + least(interval '1 hour', interval '5 seconds' * (2 ^ v_job.attempts))
  where j.org_id = v_org and j.id = v_job.id;
  return lab_private.job_view(v_org, v_job.id);
end
$$;
comment on function lab.job_retry(uuid) is
$$Retry a failed simulation job

FAILED to QUEUED, at most max_attempts times; workers wait longer each time, rpc/job_run does not wait. Errors: 403 without simulation:run, 404 job_not_found, 409 illegal_transition, attempts_exhausted.$$;
revoke all on function lab.job_retry(uuid) from public;
grant execute on function lab.job_retry(uuid) to lab_user;
