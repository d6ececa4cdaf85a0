/*
 * Room: instruments (repeatable half)
 */

-- the state of calibration ------------------------------------------------------------

create or replace function lab_private.calibration_states(org uuid, instrument uuid, moment timestamptz)
  returns table (instrument_id uuid, state text, calibration_id uuid, certificate_id text, issued_at timestamptz, expires_at timestamptz,
                 failed_at timestamptz, pending bigint)
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
  -- A certificate counts when it is approved and not deleted, from issued_at on. The best passed one: a
  -- certificate that covers the moment and was issued after the last failure, else the one that lasted longest.
  select i.id,
    case
      when best.id is null and not i.requires_calibration then 'not_required'
      when best.id is null and failure.failed_at is null then 'missing'
      when best.id is null or failure.failed_at >= best.issued_at then 'failed'
      when best.expires_at <= moment then 'expired'
      when best.expires_at <= moment + i.due_soon_days * interval '1 day' then 'due_soon'
      else 'valid'
    end,
    best.id, best.certificate_id::text, best.issued_at, best.expires_at, failure.failed_at, waiting.pending
  from lab_data.instruments i
  cross join lateral (
    select max(c.issued_at) as failed_at
    from lab_data.calibrations c
    where c.org_id = i.org_id and c.instrument_id = i.id and c.deleted_at is null and c.approved_at is not null
      and c.result = 'fail' and c.issued_at <= moment) failure
  left join lateral (
    select c.id, c.certificate_id, c.issued_at, c.expires_at
    from lab_data.calibrations c
    where c.org_id = i.org_id and c.instrument_id = i.id and c.deleted_at is null and c.approved_at is not null
      and c.result <> 'fail' and c.issued_at <= moment
    order by (c.expires_at > moment and c.issued_at > coalesce(failure.failed_at, '-infinity')) desc, c.expires_at desc, c.id desc
    limit 1) best on true
  cross join lateral (
    select count(*) as pending
    from lab_data.calibrations c
    where c.org_id = i.org_id and c.instrument_id = i.id and c.deleted_at is null and c.approved_at is null) waiting
  where i.org_id = org and i.deleted_at is null and (instrument is null or i.id = instrument)
$$;
comment on function lab_private.calibration_states(uuid, uuid, timestamptz) is
  'State of calibration of one or all instruments of an organisation at a moment: the rule that the lockout and calibration_status share.';

-- instruments -----------------------------------------------------------------------------

create or replace function lab_private.tg_instruments__status() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_active integer := 0;
begin
  if TG_OP = 'UPDATE' and NEW.deleted_at is not null and OLD.deleted_at is null then
    select count(*) into v_active from lab_data.runs r
    where r.org_id = NEW.org_id and r.instrument_id = NEW.id and r.status in ('queued', 'running') and r.deleted_at is null;
    if v_active > 0 then
      raise exception 'the instrument has unfinished runs' using errcode = 'PT409',
        detail = json_build_object('code', 'instrument_in_use', 'runs', v_active)::text, hint = 'Finish or cancel them first.';
    end if;
  end if;
  -- Between available and in_use nobody chooses: the running runs say it.
  if NEW.status in ('available', 'in_use') then
    NEW.status := case when exists (
      select from lab_data.runs r
      where r.org_id = NEW.org_id and r.instrument_id = NEW.id and r.status = 'running' and r.deleted_at is null)
      then 'in_use' else 'available' end;
  end if;
  if NEW.location_id is not null and (TG_OP = 'INSERT' or NEW.location_id is distinct from OLD.location_id) then
    perform from lab_data.locations l where l.org_id = NEW.org_id and l.id = NEW.location_id and l.deleted_at is null for share;
    if not found then
      raise exception 'location not found' using errcode = 'PT422',
        detail = json_build_object('code', 'location_not_found', 'id', NEW.location_id)::text, hint = 'Name a location of this organisation.';
    end if;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_instruments__status() is 'Before a change of an instrument: in_use follows its running runs; not deleted while it has work; its place exists.';

create or replace trigger _100_stamp before insert or update on lab_data.instruments for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.instruments
  for each row execute function labos.tg__state('status',
    'insert>available,maintenance,out_of_service',
    'available>in_use,maintenance,out_of_service',
    'in_use>available,maintenance,out_of_service',
    'maintenance>available,in_use,out_of_service',
    'out_of_service>available,in_use,maintenance');
create or replace trigger _300_status before insert or update on lab_data.instruments
  for each row execute function lab_private.tg_instruments__status();

call labos.audit_enable('lab_data.instruments');
call labos.protect('lab_data.instruments', 'instrument', verbs => '{select,insert,update}');
call labos.expose('instruments',
  insert_columns => '{id,name,model,manufacturer,serial_number,description,status,location_id,responsible_id,capabilities,connection,requires_calibration,due_soon_days,parallel_runs,metadata}',
  update_columns => '{name,model,manufacturer,serial_number,description,status,location_id,responsible_id,capabilities,connection,requires_calibration,due_soon_days,parallel_runs,metadata,version}',
  deletable => true, prefix => 'instrument');

-- calibrations ------------------------------------------------------------------------------

create or replace function lab_private.tg_calibrations__approval() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  NEW.written_by := case TG_OP when 'INSERT' then array_remove(array[NEW.created_by], null) else OLD.written_by end;
  if TG_OP = 'INSERT' then
    perform from lab_data.instruments i where i.org_id = NEW.org_id and i.id = NEW.instrument_id and i.deleted_at is null for key share;
    if not found then
      raise exception 'instrument not found' using errcode = 'PT404',
        detail = json_build_object('code', 'instrument_not_found', 'id', NEW.instrument_id)::text,
        hint = 'List the instruments you may see with GET /instruments.';
    end if;
    if NEW.approved_by_id is not null and NEW.approved_by_id is not distinct from NEW.created_by then
      NEW.approved_by_id := null;
      NEW.approved_at := null;
    end if;
    return NEW;
  end if;
  if (NEW.instrument_id, NEW.certificate_id, NEW.issued_at, NEW.expires_at, NEW.provider, NEW.result, NEW.uncertainty,
          NEW.uncertainty_unit, NEW.coverage_factor, NEW.reference_standards, NEW.document_uri, NEW.document_sha256)
         is distinct from
         (OLD.instrument_id, OLD.certificate_id, OLD.issued_at, OLD.expires_at, OLD.provider, OLD.result, OLD.uncertainty,
          OLD.uncertainty_unit, OLD.coverage_factor, OLD.reference_standards, OLD.document_uri, OLD.document_sha256)
  then
    if labos.user_id() <> all (OLD.written_by) then
      NEW.written_by := OLD.written_by || labos.user_id();
    end if;
    -- What was approved is what counts: a change takes the approval back.
    if OLD.approved_at is null then
      return NEW;
    end if;
    if labos.user_id() is not null and not labos.has_permission('calibration:approve') then
      raise exception 'the calibration is approved' using errcode = 'PT409',
        detail = json_build_object('code', 'calibration_approved', 'id', NEW.id)::text,
        hint = 'Record a new one, or let a holder of calibration:approve correct it.';
    end if;
    NEW.approved_by_id := null;
    NEW.approved_at := null;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_calibrations__approval() is 'Before a change of a calibration: its instrument is there, no one approves by inserting, a change of what was approved takes the approval back.';

create or replace trigger _100_stamp before insert or update on lab_data.calibrations for each row execute function labos.tg__stamp();
create or replace trigger _300_approval before insert or update on lab_data.calibrations
  for each row execute function lab_private.tg_calibrations__approval();

call labos.audit_enable('lab_data.calibrations');
call labos.protect('lab_data.calibrations', 'calibration', verbs => '{select,insert,update}');
call labos.expose('calibrations',
  insert_columns => '{id,instrument_id,certificate_id,issued_at,expires_at,provider,result,uncertainty,uncertainty_unit,coverage_factor,reference_standards,document_uri,document_sha256,notes}',
  update_columns => '{certificate_id,issued_at,expires_at,provider,result,uncertainty,uncertainty_unit,coverage_factor,reference_standards,document_uri,document_sha256,notes,version}',
  deletable => true, prefix => 'calibration');

create or replace function lab.calibration_approve(id uuid) returns lab.calibrations
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('calibration:approve');
  v_old  lab_data.calibrations;
  v_made lab.calibrations;
begin
  -- The instrument first: a run that is just starting on it is over with this, or waits for it.
  perform from lab_data.instruments i
  where i.org_id = v_org
    and i.id = (select c.instrument_id from lab_data.calibrations c where c.org_id = v_org and c.id = calibration_approve.id)
  for no key update;
  select c.* into v_old from lab_data.calibrations c
  where c.org_id = v_org and c.id = calibration_approve.id and c.deleted_at is null for update;
  if not found then
    raise exception 'calibration not found' using errcode = 'PT404',
      detail = json_build_object('code', 'calibration_not_found', 'id', calibration_approve.id)::text,
      hint = 'List the calibrations you may see with GET /calibrations.';
  elsif v_old.approved_at is not null then
    raise exception 'the calibration is approved already' using errcode = 'PT409',
      detail = json_build_object('code', 'calibration_approved', 'id', v_old.id)::text, hint = 'There is nothing to do.';
  -- Who wrote any of it does not vouch for it, also when somebody else has touched it since.
  elsif labos.user_id() = v_old.created_by or labos.user_id() = any (v_old.written_by) then
    raise exception 'one cannot approve a calibration one has recorded' using errcode = 'PT403',
      detail = json_build_object('code', 'own_calibration', 'id', v_old.id)::text, hint = 'Let another holder of calibration:approve do it.';
  end if;
  update lab_data.calibrations c set approved_by_id = labos.user_id(), approved_at = clock_timestamp()
  where c.org_id = v_org and c.id = v_old.id;
  select c.* into v_made from lab.calibrations c where c.org_id = v_org and c.id = v_old.id;
  return v_made;
end
$$;
comment on function lab.calibration_approve(uuid) is
$$Approve a calibration

Lets a recorded certificate count. Errors: 403 own_calibration for who recorded it, 404 calibration_not_found, 409 calibration_approved.$$;
revoke all on function lab.calibration_approve(uuid) from public;
grant execute on function lab.calibration_approve(uuid) to lab_user;

create or replace function lab.calibration_status(instrument_id uuid default null) returns setof lab.calibration_state
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('calibration:read');
begin
  return query
    select s.instrument_id, i.name::text, i.requires_calibration, s.state, s.calibration_id, s.certificate_id, s.issued_at, s.expires_at,
           floor(extract(epoch from s.expires_at - now()) / 86400)::integer, s.failed_at, s.pending
    from lab_private.calibration_states(v_org, calibration_status.instrument_id, now()) s
    join lab_data.instruments i on i.org_id = v_org and i.id = s.instrument_id
    order by s.expires_at nulls first, i.name, i.id;
  if not found and calibration_status.instrument_id is not null then
    raise exception 'instrument not found' using errcode = 'PT404',
      detail = json_build_object('code', 'instrument_not_found', 'id', calibration_status.instrument_id)::text,
      hint = 'List the instruments you may see with GET /instruments.';
  end if;
end
$$;
comment on function lab.calibration_status(uuid) is
$$Calibration status

Of one instrument or of all, the most urgent first: state (valid, due_soon, expired, missing, failed, not_required), certificate, days_left (negative when past), pending certificates that wait for approval. Errors: 404 instrument_not_found.$$;
revoke all on function lab.calibration_status(uuid) from public;
grant execute on function lab.calibration_status(uuid) to lab_user;
