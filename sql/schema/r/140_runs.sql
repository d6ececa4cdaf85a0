/*
 * Room: runs (repeatable half)
 *
 * The calibration lockout is a trigger on the table: it holds for the calls,
 * for plain INSERT and UPDATE, bulk, upsert and COPY, for clients and for the
 * owner. A client changes the status by the calls only.
 */

-- the lockout -----------------------------------------------------------------------------

create or replace function lab_private.refuse_run(
  code text, message text, instrument lab_data.instruments, expires_at timestamptz, hint text)
  returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  raise exception '%', refuse_run.message using errcode = 'PT409',
    detail = json_build_object('code', refuse_run.code, 'message', refuse_run.message, 'expires_at', refuse_run.expires_at,
      'instrument', json_build_object('id', instrument.id, 'name', instrument.name, 'status', instrument.status))::text,
    hint = refuse_run.hint;
end
$$;
comment on function lab_private.refuse_run(text, text, lab_data.instruments, timestamptz, text) is
  'Raises PT409 for a run that an instrument must not do; the detail keeps code, message, expires_at and instrument.';

-- The state of calibration now, with the certificate it rests on held until commit: an edit or deletion
-- that commits first is seen, one that comes later waits. Holding may change the answer, hence the loop.
create or replace function lab_private.hold_calibration(org uuid, instrument uuid,
  out state text, out calibration_id uuid, out expires_at timestamptz, out failed_at timestamptz)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_held uuid;
begin
  -- A transaction that reads the past must not rest on it: a certificate decided upon meanwhile refuses it here.
  if current_setting('transaction_isolation') <> 'read committed' then
    perform from lab_data.calibrations c where c.org_id = org and c.instrument_id = instrument and c.deleted_at is null for share;
  end if;
  for v_try in 1 .. 10 loop
    select s.state, s.calibration_id, s.expires_at, s.failed_at
    into hold_calibration.state, hold_calibration.calibration_id, hold_calibration.expires_at, hold_calibration.failed_at
    from lab_private.calibration_states(org, instrument, clock_timestamp()) s;
    exit when hold_calibration.calibration_id is null or hold_calibration.calibration_id = v_held;
    v_held := hold_calibration.calibration_id;
    perform from lab_data.calibrations c where c.org_id = org and c.id = v_held for share;
  end loop;
end
$$;
comment on function lab_private.hold_calibration(uuid, uuid) is 'State of calibration of an instrument, its certificate locked against change until commit.';

create or replace function lab_private.tg_runs__calibration() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_start  boolean := TG_OP = 'UPDATE' and NEW.status = 'running' and OLD.status <> 'running';
  v_device lab_data.instruments;
  v_state  record;
  v_code   text;
  v_day    text;
  v_active integer;
begin
  -- Created, started, put on another instrument, no longer a calibration run, or brought back.
  if not (TG_OP = 'INSERT' or v_start
          or (NEW.status = 'queued' and (NEW.instrument_id <> OLD.instrument_id or NEW.is_calibration <> OLD.is_calibration
                                         or NEW.method <> OLD.method or NEW.override_reason is distinct from OLD.override_reason
                                         or (OLD.deleted_at is not null and NEW.deleted_at is null)))) then
    return NEW;
  end if;

  -- Starting is one at a time on an instrument. Creating waits for nobody: the start looks again.
  if v_start then
    select i.* into v_device from lab_data.instruments i where i.org_id = NEW.org_id and i.id = NEW.instrument_id for no key update;
  else
    select i.* into v_device from lab_data.instruments i where i.org_id = NEW.org_id and i.id = NEW.instrument_id for key share;
  end if;
  if not found or v_device.deleted_at is not null then
    raise exception 'instrument not found' using errcode = 'PT404',
      detail = json_build_object('code', 'instrument_not_found', 'id', NEW.instrument_id)::text,
      hint = 'List the instruments you may see with GET /instruments.';
  end if;
  if v_device.status = 'out_of_service' or (v_device.status = 'maintenance' and not NEW.is_calibration) then
    perform lab_private.refuse_run('instrument_unavailable',
      case v_device.status when 'maintenance' then 'the instrument is under maintenance' else 'the instrument is out of service' end,
      v_device, null, 'Choose another instrument, or wait until it is available.');
  end if;
  if cardinality(v_device.capabilities) > 0 and not NEW.is_calibration and NEW.method <> all (v_device.capabilities) then
    raise exception 'the instrument cannot do this method' using errcode = 'PT422',
      detail = json_build_object('code', 'method_not_supported', 'method', NEW.method, 'capabilities', v_device.capabilities)::text,
      hint = 'Choose one of its capabilities.';
  end if;
  if v_start then
    select count(*) into v_active from lab_data.runs r
    where r.org_id = NEW.org_id and r.instrument_id = NEW.instrument_id and r.status = 'running' and r.deleted_at is null and r.id <> NEW.id;
    if v_active >= v_device.parallel_runs then
      perform lab_private.refuse_run('instrument_unavailable', 'the instrument is running already', v_device, null,
        'Wait until its run has finished.');
    end if;
  end if;

  select h.* into v_state from lab_private.hold_calibration(NEW.org_id, NEW.instrument_id) h;
  NEW.calibration_id := case when v_state.state in ('valid', 'due_soon') then v_state.calibration_id end;
  if NEW.is_calibration then
    -- The rule must not lock itself; whoever may record a calibration may measure for one.
    if labos.user_id() is not null and not labos.has_permission('calibration:create') and not v_start then
      raise exception 'a calibration run needs calibration:create' using errcode = 'PT403',
        detail = json_build_object('code', 'permission_denied', 'permission', 'calibration:create')::text, hint = 'Ask who calibrates.';
    end if;
    return NEW;
  end if;
  -- Nor is a calibration run the way to an ordinary one for who may not create one.
  if TG_OP = 'UPDATE' and OLD.is_calibration and labos.user_id() is not null and not labos.has_permission('run:create') then
    raise exception 'permission denied' using errcode = 'PT403',
      detail = json_build_object('code', 'permission_denied', 'permission', 'run:create')::text,
      hint = 'A calibration run stays one; let somebody with run:create create the run.';
  end if;
  if NEW.calibration_id is not null or not v_device.requires_calibration then
    return NEW;
  end if;

  v_code := 'calibration_' || v_state.state;
  -- A reason given with the right to override stands for the first failing code, and for that one only.
  if NEW.override_by_id is not null and coalesce(NEW.override_code, v_code) = v_code then
    NEW.override_code := v_code;
    return NEW;
  end if;
  v_day := to_char(coalesce(case when v_state.state = 'failed' then v_state.failed_at end, v_state.expires_at) at time zone 'UTC', 'YYYY-MM-DD');
  perform lab_private.refuse_run(v_code,
    case v_state.state
      when 'expired' then 'the calibration of the instrument expired on ' || v_day
      when 'failed' then 'the instrument failed its calibration of ' || v_day
      else 'the instrument has no approved calibration'
    end,
    v_device, case when v_state.state = 'expired' then v_state.expires_at end,
    'Record a calibration and have it approved, or give override_reason with calibration:override.');
  return null;
end
$$;
comment on function lab_private.tg_runs__calibration() is
  'Before a run is created or started: the instrument is there, available and calibrated, or the run is a calibration or overridden.';

-- everything else a run must keep -------------------------------------------------------------

create or replace function lab_private.tg_runs__guard() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_status text;
  v_done   boolean := NEW.status in ('succeeded', 'failed', 'cancelled');
begin
  NEW.override_reason := nullif(btrim(NEW.override_reason), '');
  if TG_OP = 'INSERT' then
    NEW.started_at := null;
    NEW.finished_at := null;
    NEW.error := null;
    NEW.calibration_id := null;
    NEW.override_code := null;
    NEW.override_by_id := null;
    NEW.override_at := null;
  else
    if OLD.status <> 'queued'
       and (NEW.instrument_id, NEW.sample_id, NEW.project_id, NEW.method, NEW.params, NEW.is_calibration, NEW.operator_id, NEW.override_reason)
           is distinct from
           (OLD.instrument_id, OLD.sample_id, OLD.project_id, OLD.method, OLD.params, OLD.is_calibration, OLD.operator_id, OLD.override_reason)
    then
      raise exception 'the run has started' using errcode = 'PT409',
        detail = json_build_object('code', 'run_started', 'id', NEW.id, 'status', OLD.status)::text,
        hint = 'Notes can still be changed; anything else needs a new run.';
    end if;
    if NEW.deleted_at is not null and OLD.deleted_at is null and OLD.status = 'running' then
      raise exception 'the run is running' using errcode = 'PT409',
        detail = json_build_object('code', 'run_running', 'id', NEW.id)::text, hint = 'Finish, fail or cancel it first.';
    end if;
    NEW.started_at := case when NEW.status = 'running' and OLD.status <> 'running' then clock_timestamp() else OLD.started_at end;
    NEW.finished_at := case when v_done and NEW.status <> OLD.status then clock_timestamp() else OLD.finished_at end;
    NEW.calibration_id := OLD.calibration_id;
    NEW.override_code := OLD.override_code;
    NEW.override_by_id := OLD.override_by_id;
    NEW.override_at := OLD.override_at;
  end if;

  if NEW.override_reason is not null and (TG_OP = 'INSERT' or NEW.override_reason is distinct from OLD.override_reason) then
    if not labos.has_permission('calibration:override') then
      raise exception 'permission denied' using errcode = 'PT403',
        detail = json_build_object('code', 'permission_denied', 'permission', 'calibration:override')::text,
        hint = 'Only its holders may run an instrument without a valid calibration.';
    end if;
    NEW.override_code := null;
    NEW.override_by_id := labos.user_id();
    NEW.override_at := clock_timestamp();
  elsif TG_OP = 'UPDATE' and NEW.override_reason is not null and (NEW.instrument_id, NEW.method) is distinct from (OLD.instrument_id, OLD.method) then
    -- It was given for this use of this instrument. Who may give one takes it along in their own name.
    NEW.override_code := null;
    if labos.has_permission('calibration:override') then
      NEW.override_by_id := labos.user_id();
      NEW.override_at := clock_timestamp();
    else
      NEW.override_reason := null;
      NEW.override_by_id := null;
      NEW.override_at := null;
    end if;
  elsif NEW.override_reason is null then
    NEW.override_code := null;
    NEW.override_by_id := null;
    NEW.override_at := null;
  end if;

  if NEW.sample_id is not null
     and (TG_OP = 'INSERT' or NEW.sample_id is distinct from OLD.sample_id or (NEW.status = 'running' and OLD.status <> 'running'))
  then
    select s.status into v_status from lab_data.samples s
    where s.org_id = NEW.org_id and s.id = NEW.sample_id and s.deleted_at is null for share;
    if not found then
      raise exception 'sample not found' using errcode = 'PT404',
        detail = json_build_object('code', 'sample_not_found', 'id', NEW.sample_id)::text, hint = 'List the samples you may see with GET /samples.';
    elsif v_status in ('consumed', 'disposed', 'quarantined') then
      raise exception 'the sample is %', v_status using errcode = 'PT409',
        detail = json_build_object('code', 'sample_unavailable', 'id', NEW.sample_id, 'status', v_status)::text, hint = 'Choose another sample.';
    end if;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_runs__guard() is
  'Before a change of a run: times by the server''s clock, fixed once started, overrides only with the right, samples that can be measured.';

create or replace function lab_private.tg_runs__instrument() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if (NEW.status = 'running') <> (OLD.status = 'running') then
    -- The instrument's own trigger knows which of the two it is.
    update lab_data.instruments i set status = case when NEW.status = 'running' then 'in_use' else 'available' end
    where i.org_id = NEW.org_id and i.id = NEW.instrument_id and i.status in ('available', 'in_use');
  end if;
  return null;
end
$$;
comment on function lab_private.tg_runs__instrument() is 'After a run starts or ends: the instrument is in use or available.';

create or replace trigger _100_stamp before insert or update on lab_data.runs for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.runs
  for each row execute function labos.tg__state('status',
    'queued>running,cancelled',
    'running>succeeded,failed,cancelled');
create or replace trigger _300_guard before insert or update on lab_data.runs for each row execute function lab_private.tg_runs__guard();
create or replace trigger _305_project before insert or update of project_id on lab_data.runs
  for each row execute function lab_private.tg__project();
create or replace trigger _310_calibration before insert or update on lab_data.runs for each row execute function lab_private.tg_runs__calibration();
create or replace trigger _500_instrument after update on lab_data.runs for each row execute function lab_private.tg_runs__instrument();

call labos.audit_enable('lab_data.runs');
call labos.protect('lab_data.runs', 'run', verbs => '{select,insert,update}',
  kind => 'run', kind_project => 'project_id', guest_verbs => '{select,update}');
call labos.expose('runs',
  insert_columns => '{id,instrument_id,sample_id,project_id,method,is_calibration,params,operator_id,notes,override_reason}',
  update_columns => '{instrument_id,sample_id,project_id,method,is_calibration,params,operator_id,notes,override_reason,version}',
  deletable => true, prefix => 'run',
  guests => true, guest_update_columns => '{notes,version}');

-- calls -----------------------------------------------------------------------------------------

create or replace function lab.run_create(
  instrument_id uuid, method text, sample_id uuid default null, params jsonb default '{}', project_id uuid default null,
  operator_id uuid default null, is_calibration boolean default false, override_reason text default null, notes text default null)
  returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  -- Who calibrates needs no more than that for a calibration run.
  v_org  uuid := labos.require_org_for(case when is_calibration and not labos.has_permission('run:create') then 'calibration:create' else 'run:create' end);
  v_id   uuid;
  v_made lab.runs;
begin
  insert into lab_data.runs (org_id, instrument_id, sample_id, project_id, method, is_calibration, params, operator_id, override_reason, notes)
  values (v_org, run_create.instrument_id, run_create.sample_id, run_create.project_id, run_create.method, coalesce(run_create.is_calibration, false),
          coalesce(run_create.params, '{}'), coalesce(run_create.operator_id, labos.user_id()), run_create.override_reason, run_create.notes)
  returning runs.id into v_id;
  select r.* into v_made from lab.runs r where r.org_id = v_org and r.id = v_id;
  return v_made;
end
$$;
comment on function lab.run_create(uuid, text, uuid, jsonb, uuid, uuid, boolean, text, text) is
$$Create a run

Queues a run on an instrument. Errors: 403, 404 instrument_not_found, sample_not_found, 409 calibration_expired, calibration_missing, calibration_failed (detail: message, expires_at, instrument), instrument_unavailable, sample_unavailable, 422 method_not_supported.$$;
revoke all on function lab.run_create(uuid, text, uuid, jsonb, uuid, uuid, boolean, text, text) from public;
grant execute on function lab.run_create(uuid, text, uuid, jsonb, uuid, uuid, boolean, text, text) to lab_user;

create or replace function lab_private.run_move(org uuid, id uuid, status text, error text, notes text) returns lab.runs
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_made lab.runs;
begin
  update lab_data.runs r
  set status = run_move.status, error = run_move.error, notes = coalesce(run_move.notes, r.notes)
  where r.org_id = run_move.org and r.id = run_move.id and r.deleted_at is null and r.status <> run_move.status;
  if not found and exists (select from lab_data.runs r where r.org_id = run_move.org and r.id = run_move.id and r.deleted_at is null) then
    -- To the state machine this is no move; to who starts a run twice it is.
    raise exception '% cannot become %', run_move.status, run_move.status using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', run_move.status, 'to', run_move.status, 'id', run_move.id)::text,
      hint = 'There is nothing to do.';
  elsif not found then
    raise exception 'run not found' using errcode = 'PT404',
      detail = json_build_object('code', 'run_not_found', 'id', run_move.id)::text, hint = 'List the runs you may see with GET /runs.';
  end if;
  select r.* into v_made from lab.runs r where r.org_id = run_move.org and r.id = run_move.id;
  return v_made;
end
$$;
comment on function lab_private.run_move(uuid, uuid, text, text, text) is 'Moves a run to another status; PT404 when there is none.';

create or replace function lab.run_start(id uuid) returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('run:execute');
begin
  return lab_private.run_move(v_org, run_start.id, 'running', null, null);
end
$$;
comment on function lab.run_start(uuid) is
$$Start a run

The calibration is checked again, at this moment. Errors: as run_create, 404 run_not_found, 409 illegal_transition, instrument_unavailable when it is running already.$$;
revoke all on function lab.run_start(uuid) from public;
grant execute on function lab.run_start(uuid) to lab_user;

create or replace function lab.run_finish(id uuid, notes text default null) returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('run:execute');
begin
  return lab_private.run_move(v_org, run_finish.id, 'succeeded', null, run_finish.notes);
end
$$;
comment on function lab.run_finish(uuid, text) is
$$Finish a run

It succeeded. Errors: 403, 404 run_not_found, 409 illegal_transition.$$;
revoke all on function lab.run_finish(uuid, text) from public;
grant execute on function lab.run_finish(uuid, text) to lab_user;

create or replace function lab.run_fail(id uuid, error text) returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('run:execute');
begin
  if nullif(btrim(run_fail.error), '') is null then
    raise exception 'say why the run failed' using errcode = 'PT400',
      detail = json_build_object('code', 'error_required')::text, hint = 'Give error.';
  end if;
  return lab_private.run_move(v_org, run_fail.id, 'failed', run_fail.error, null);
end
$$;
comment on function lab.run_fail(uuid, text) is
$$Fail a run

With the reason. Errors: 400 error_required, 403, 404 run_not_found, 409 illegal_transition.$$;
revoke all on function lab.run_fail(uuid, text) from public;
grant execute on function lab.run_fail(uuid, text) to lab_user;

create or replace function lab.run_cancel(id uuid, reason text default null) returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('run:cancel');
begin
  return lab_private.run_move(v_org, run_cancel.id, 'cancelled', null, run_cancel.reason);
end
$$;
comment on function lab.run_cancel(uuid, text) is
$$Cancel a run

Queued or running. Errors: 403, 404 run_not_found, 409 illegal_transition.$$;
revoke all on function lab.run_cancel(uuid, text) from public;
grant execute on function lab.run_cancel(uuid, text) to lab_user;
