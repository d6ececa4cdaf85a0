/*
 * Room: samples (repeatable half)
 *
 * Barcodes, places and the chain of custody are kept by triggers, so that they
 * hold for every way in: the API, SQL, COPY.
 */

-- barcodes ---------------------------------------------------------------------------

-- Each organisation numbers its samples by a sequence of its own: registering never waits for another
-- transaction, and the numbers say nothing about other organisations. A number may be left out.
create or replace function lab_private.sample_number(org uuid) returns bigint
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_sequence text := 'sample_number_' || replace(org::text, '-', '');
  v_highest  bigint;
begin
  if to_regclass('lab_private.' || v_sequence) is null then
    perform pg_advisory_xact_lock(hashtextextended('labos.sample_number:' || org, 0));
    if to_regclass('lab_private.' || v_sequence) is null then
      select max(substring(s.barcode from '^S-([0-9]{6,12})-')::bigint) into v_highest
      from lab_data.samples s where s.org_id = org and s.barcode ~ '^S-[0-9]{6,12}-[0-9A-Z]$' and labos.labcode_valid(s.barcode);
      execute format('create sequence lab_private.%I start %s', v_sequence, coalesce(v_highest, 0) + 1);
      execute format('comment on sequence lab_private.%I is %L', v_sequence, 'Numbers the samples of organisation ' || org || '.');
    end if;
  end if;
  return nextval(format('lab_private.%I', v_sequence)::regclass);
end
$$;
comment on function lab_private.sample_number(uuid) is 'The next sample number of an organisation; makes its sequence on first use.';

create or replace function lab_private.gs1_valid(code text, digits integer) returns boolean
  language sql immutable strict parallel safe
  set search_path to pg_catalog, pg_temp
as $$
  -- Weights 3 and 1 in turn, the check digit at the right has 1.
  select case when code ~ '^[0-9]+$' and length(code) = digits
              then (select sum(d.digit::integer * case when (digits - d.place) % 2 = 0 then 1 else 3 end) % 10 = 0
                    from regexp_split_to_table(code, '') with ordinality d(digit, place))
              else false end
$$;
comment on function lab_private.gs1_valid(text, integer) is 'Is this a GS1 number of so many digits with the right check digit (mod 10)?';

create or replace function lab_private.tg_samples__barcode() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_own   constant text := '^S-[0-9]{6,12}-[0-9A-Z]$';
  v_valid boolean;
begin
  NEW.barcode := nullif(btrim(NEW.barcode), '');
  if NEW.barcode is null and TG_OP = 'INSERT' then
    if NEW.org_id is null then
      perform labos.require_org_for('sample:create');
    end if;
    -- A client may have brought a code of our shape that the counter reaches later.
    loop
      NEW.barcode := labos.labcode_make('S', lab_private.sample_number(NEW.org_id));
      exit when not exists (select from lab_data.samples s where s.org_id = NEW.org_id and s.barcode = NEW.barcode and s.deleted_at is null);
    end loop;
  end if;
  -- What was derived from another barcode is derived again.
  if NEW.barcode_symbology is null
     or (TG_OP = 'UPDATE' and NEW.barcode <> OLD.barcode and NEW.barcode_symbology = OLD.barcode_symbology and OLD.barcode_symbology in ('labos', 'code128'))
  then
    NEW.barcode_symbology := case when NEW.barcode ~ v_own then 'labos' else 'code128' end;
  end if;
  v_valid := case NEW.barcode_symbology
    when 'labos' then NEW.barcode ~ v_own and labos.labcode_valid(NEW.barcode)
    when 'ean8' then lab_private.gs1_valid(NEW.barcode, 8)
    when 'upca' then lab_private.gs1_valid(NEW.barcode, 12)
    when 'ean13' then lab_private.gs1_valid(NEW.barcode, 13)
    when 'gtin14' then lab_private.gs1_valid(NEW.barcode, 14)
    when 'sscc18' then lab_private.gs1_valid(NEW.barcode, 18)
    -- Whatever it is printed as: one of our own shape is checked.
    else NEW.barcode !~ v_own or labos.labcode_valid(NEW.barcode) end;
  if not v_valid then
    raise exception 'the check character of the barcode is wrong' using errcode = 'PT422',
      detail = json_build_object('code', 'barcode_check_failed', 'barcode', NEW.barcode, 'symbology', NEW.barcode_symbology)::text,
      hint = 'Scan it again; it was misread or mistyped.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_samples__barcode() is 'Before insert or change of a barcode: makes one when absent, finds its symbology and checks what that has to check.';

-- places -------------------------------------------------------------------------------

create or replace function lab_private.free_position(org uuid, location uuid, grid_rows integer, grid_columns integer) returns text
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select lab_private.position_name(r, c)
  from generate_series(1, grid_rows) r, generate_series(1, grid_columns) c
  where not exists (
    select from lab_data.samples s
    where s.org_id = free_position.org and s.location_id = free_position.location and s.deleted_at is null
      and s.position = lab_private.position_name(r, c))
  order by r, c
  limit 1
$$;
comment on function lab_private.free_position(uuid, uuid, integer, integer) is 'The first free position of a grid, row by row; null when it is full.';

create or replace function lab_private.tg_samples__place() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_moved   boolean := TG_OP = 'INSERT';
  v_place   lab_data.locations;
  v_wanted  text := NEW.position;
begin
  if TG_OP = 'UPDATE' then
    v_moved := NEW.location_id is distinct from OLD.location_id or NEW.position is distinct from OLD.position
               or (OLD.deleted_at is not null and NEW.deleted_at is null);
    if NEW.status = 'disposed' and OLD.status = 'disposed' and NEW.location_id is not null then
      raise exception 'a disposed sample stands nowhere' using errcode = 'PT409',
        detail = json_build_object('code', 'sample_disposed', 'id', NEW.id)::text, hint = 'Register a new sample.';
    end if;
  end if;
  if NEW.status = 'disposed' or NEW.location_id is null then
    NEW.location_id := null;
    NEW.position := null;
    return NEW;
  elsif not v_moved or NEW.deleted_at is not null then
    return NEW;
  end if;

  -- Held until commit: the place cannot be deleted or get another grid meanwhile.
  select l.* into v_place from lab_data.locations l where l.org_id = NEW.org_id and l.id = NEW.location_id for share;
  if not found or v_place.deleted_at is not null then
    raise exception 'location not found' using errcode = 'PT422',
      detail = json_build_object('code', 'location_not_found', 'id', NEW.location_id)::text, hint = 'Name a location of this organisation.';
  end if;

  if v_place.kind = 'position' then
    NEW.position := '1';
  elsif v_place.grid_rows is null then
    -- The label of a position in the box it comes from means nothing here.
    if TG_OP = 'UPDATE' and NEW.location_id is distinct from OLD.location_id and NEW.position = OLD.position then
      NEW.position := null;
    end if;
    NEW.position := nullif(btrim(NEW.position), '');
    if length(NEW.position) > 40 then
      raise exception 'the position is longer than 40 characters' using errcode = 'PT422',
        detail = json_build_object('code', 'position_invalid')::text, hint = 'Shorten it.';
    end if;
  elsif v_wanted is null then
    -- One at a time, so that two do not take the same.
    perform pg_advisory_xact_lock(hashtextextended('labos.positions:' || NEW.location_id, 0));
    NEW.position := lab_private.free_position(NEW.org_id, NEW.location_id, v_place.grid_rows, v_place.grid_columns);
    if NEW.position is null then
      raise exception 'the location is full' using errcode = 'PT409',
        detail = json_build_object('code', 'location_full', 'location', v_place.code, 'capacity', v_place.grid_rows * v_place.grid_columns)::text,
        hint = 'Choose another location.';
    end if;
  else
    NEW.position := lab_private.position_in_grid(v_wanted, v_place.grid_rows, v_place.grid_columns);
    if NEW.position is null then
      raise exception 'the location has no such position' using errcode = 'PT422',
        detail = json_build_object('code', 'position_invalid', 'position', left(v_wanted, 80), 'location', v_place.code,
                                   'last', lab_private.position_name(v_place.grid_rows, v_place.grid_columns))::text,
        hint = 'Positions run from A1 to the last one; leave it out for the first free one.';
    end if;
  end if;

  if NEW.position is not null and exists (
    select from lab_data.samples s
    where s.org_id = NEW.org_id and s.location_id = NEW.location_id and s.position = NEW.position
      and s.deleted_at is null and s.id <> NEW.id)
  then
    raise exception 'the position is taken' using errcode = 'PT409',
      detail = json_build_object('code', 'position_occupied', 'position', NEW.position, 'location', v_place.code)::text,
      hint = 'Choose another one, or send "position": null for the first free one.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_samples__place() is
  'Before a sample is put somewhere: the place exists, the position is one of its grid and free. Two that race are told apart by the unique index.';

-- custody -------------------------------------------------------------------------------

create or replace function lab_private.tg_samples__reason() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  -- The reason of an earlier change is not the reason of this one.
  if NEW.change_reason is not distinct from OLD.change_reason
     and (NEW.status, NEW.location_id, NEW.position, NEW.owner_id, NEW.transfer_to_id, NEW.deleted_at)
         is distinct from (OLD.status, OLD.location_id, OLD.position, OLD.owner_id, OLD.transfer_to_id, OLD.deleted_at)
  then
    NEW.change_reason := null;
  end if;
  if NEW.owner_id is distinct from OLD.owner_id then
    NEW.transfer_to_id := null;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_samples__reason() is 'Before a change of custody: an old reason does not stand for a new change, an accepted offer is over.';

create or replace function lab_private.tg_samples__custody() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_row lab_data.sample_history;
begin
  v_row.org_id := NEW.org_id;
  v_row.sample_id := NEW.id;
  v_row.reason := NEW.change_reason;
  v_row.actor_id := labos.user_id();
  if TG_OP = 'INSERT' then
    insert into lab_data.sample_history (org_id, sample_id, event, to_status, to_location_id, to_position, to_owner_id, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, 'registered', NEW.status, NEW.location_id, NEW.position, NEW.owner_id, v_row.reason, v_row.actor_id);
    return null;
  end if;
  if NEW.deleted_at is distinct from OLD.deleted_at then
    insert into lab_data.sample_history (org_id, sample_id, event, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, case when NEW.deleted_at is null then 'restored' else 'deleted' end, v_row.reason, v_row.actor_id);
  end if;
  if NEW.status <> OLD.status then
    insert into lab_data.sample_history (org_id, sample_id, event, from_status, to_status, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, 'status_changed', OLD.status, NEW.status, v_row.reason, v_row.actor_id);
  end if;
  if (NEW.location_id, NEW.position) is distinct from (OLD.location_id, OLD.position) then
    insert into lab_data.sample_history (org_id, sample_id, event, from_location_id, to_location_id, from_position, to_position, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, 'moved', OLD.location_id, NEW.location_id, OLD.position, NEW.position, v_row.reason, v_row.actor_id);
  end if;
  if NEW.owner_id is distinct from OLD.owner_id then
    insert into lab_data.sample_history (org_id, sample_id, event, from_owner_id, to_owner_id, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, 'handed_over', OLD.owner_id, NEW.owner_id, v_row.reason, v_row.actor_id);
  elsif NEW.transfer_to_id is distinct from OLD.transfer_to_id then
    insert into lab_data.sample_history (org_id, sample_id, event, from_owner_id, to_owner_id, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, case when NEW.transfer_to_id is null then 'withdrawn' else 'offered' end,
            NEW.owner_id, coalesce(NEW.transfer_to_id, OLD.transfer_to_id), v_row.reason, v_row.actor_id);
  end if;
  return null;
end
$$;
comment on function lab_private.tg_samples__custody() is 'After a change of a sample: writes the chain of custody.';

create or replace function lab_private.tg_sample_history__sealed() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  -- Depth 1 is a statement of somebody's; the custody trigger is deeper.
  if TG_OP <> 'INSERT' or pg_trigger_depth() < 2 then
    raise exception 'the chain of custody is written by the database only' using errcode = 'PT403',
      detail = json_build_object('code', 'history_is_sealed', 'operation', TG_OP)::text, hint = 'Change the sample; its history follows.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_sample_history__sealed() is 'Before any change of the chain of custody that the custody trigger did not make: refused, also to the owner.';

create or replace trigger _100_stamp before insert or update on lab_data.samples for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.samples
  for each row execute function labos.tg__state('status',
    'insert>registered,available,quarantined',
    'registered>available,quarantined,disposed',
    'available>in_use,quarantined,consumed,disposed',
    'in_use>available,quarantined,consumed,disposed',
    'quarantined>available,disposed',
    'consumed>disposed');
create or replace trigger _300_barcode before insert or update of barcode, barcode_symbology on lab_data.samples
  for each row execute function lab_private.tg_samples__barcode();
create or replace trigger _310_place before insert or update on lab_data.samples for each row execute function lab_private.tg_samples__place();
create or replace trigger _330_project before insert or update of project_id on lab_data.samples
  for each row execute function lab_private.tg__project();
create or replace trigger _320_reason before update on lab_data.samples for each row execute function lab_private.tg_samples__reason();
create or replace trigger _500_custody after insert or update on lab_data.samples for each row execute function lab_private.tg_samples__custody();
create or replace trigger _300_sealed before insert or update or delete on lab_data.sample_history
  for each row execute function lab_private.tg_sample_history__sealed();
create or replace trigger _310_sealed before truncate on lab_data.sample_history
  for each statement execute function lab_private.tg_sample_history__sealed();

call labos.audit_enable('lab_data.samples');
call labos.audit_enable('lab_data.sample_history');

-- A guest owns nothing here.
alter table lab_data.samples alter column owner_id set default labos.member_id();
call labos.protect('lab_data.samples', 'sample', verbs => '{select,insert,update}',
  kind => 'sample', kind_project => 'project_id', guest_verbs => '{select,insert,update}');
call labos.expose('samples',
  insert_columns => '{id,barcode,barcode_symbology,name,material_type,formula,lot_code,description,status,change_reason,quantity,quantity_unit,hazards,received_on,expires_on,project_id,location_id,position,owner_id,metadata}',
  update_columns => '{barcode,barcode_symbology,name,material_type,formula,lot_code,description,status,change_reason,quantity,quantity_unit,hazards,received_on,expires_on,project_id,location_id,position,metadata,version}',
  deletable => true, prefix => 'sample',
  -- Guests name no place, person or barcode, and move nothing to another project.
  guests => true,
  guest_insert_columns => '{name,material_type,formula,lot_code,description,quantity,quantity_unit,hazards,received_on,expires_on,project_id,metadata}',
  guest_update_columns => '{name,material_type,formula,lot_code,description,status,change_reason,quantity,quantity_unit,hazards,received_on,expires_on,metadata,version}');
-- Read only: no insert, update or delete policy.
call labos.protect('lab_data.sample_history', 'sample_history', verbs => '{select}');
call labos.expose('sample_history');

-- calls ---------------------------------------------------------------------------------

create or replace function lab.sample_custody(id uuid) returns setof lab.sample_history
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if not exists (select from lab.samples s where s.id = sample_custody.id) then
    raise exception 'sample not found' using errcode = 'PT404',
      detail = json_build_object('code', 'sample_not_found', 'id', sample_custody.id)::text, hint = 'List the samples you may see with GET /samples.';
  end if;
  return query select h.* from lab.sample_history h where h.sample_id = sample_custody.id order by h.id;
end
$$;
comment on function lab.sample_custody(uuid) is
$$Chain of custody of a sample

Every change of its status, place and owner in order. Errors: 404 sample_not_found.$$;
revoke all on function lab.sample_custody(uuid) from public;
grant execute on function lab.sample_custody(uuid) to lab_user;

create or replace function lab.sample_transfer(
  id uuid, to_user_id uuid default null, location_id uuid default null, "position" text default null, reason text default null)
  returns lab.samples
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('sample:transfer');
  v_owner uuid;
  v_made  lab.samples;
begin
  if to_user_id is null and location_id is null and "position" is null then
    raise exception 'say where to or to whom' using errcode = 'PT400',
      detail = json_build_object('code', 'nothing_to_transfer')::text, hint = 'Give location_id, position or to_user_id.';
  end if;
  if to_user_id is not null and not exists (
    select from lab_data.memberships m where m.org_id = v_org and m.user_id = sample_transfer.to_user_id and m.left_at is null)
  then
    raise exception 'user not found' using errcode = 'PT422',
      detail = json_build_object('code', 'user_not_found', 'id', to_user_id)::text, hint = 'Name a member of this organisation.';
  end if;
  select s.owner_id into v_owner from lab_data.samples s
  where s.org_id = v_org and s.id = sample_transfer.id and s.deleted_at is null for update;
  -- The giver confirms by offering: the owner, or a holder of sample:transfer_any for who cannot.
  if to_user_id is not null and v_owner <> labos.user_id() and not labos.has_permission('sample:transfer_any') then
    raise exception 'the sample is somebody else''s' using errcode = 'PT403',
      detail = json_build_object('code', 'not_the_owner', 'id', sample_transfer.id)::text,
      hint = 'Let its owner offer it, or a holder of sample:transfer_any.';
  end if;
  update lab_data.samples s
  set location_id = coalesce(sample_transfer.location_id, s.location_id),
      -- A new place without a position: the first free one.
      position = case when sample_transfer.location_id is not null and sample_transfer.location_id is distinct from s.location_id
                      then sample_transfer."position" else coalesce(sample_transfer."position", s.position) end,
      transfer_to_id = case when to_user_id is null then s.transfer_to_id when to_user_id is distinct from s.owner_id then to_user_id end,
      change_reason = sample_transfer.reason
  where s.org_id = v_org and s.id = sample_transfer.id and s.deleted_at is null;
  if not found then
    raise exception 'sample not found' using errcode = 'PT404',
      detail = json_build_object('code', 'sample_not_found', 'id', sample_transfer.id)::text, hint = 'List the samples you may see with GET /samples.';
  end if;
  select s.* into v_made from lab.samples s where s.org_id = v_org and s.id = sample_transfer.id;
  return v_made;
end
$$;
comment on function lab.sample_transfer(uuid, uuid, uuid, text, text) is
$$Move a sample, or offer it to somebody

Puts it at once into location_id (the first free position unless one is given); to_user_id becomes its owner by sample_accept; only its owner offers it, or a holder of sample:transfer_any. Errors: 403 not_the_owner, 404 sample_not_found, 409 location_full, position_occupied, 422 location_not_found, position_invalid, user_not_found.$$;
revoke all on function lab.sample_transfer(uuid, uuid, uuid, text, text) from public;
grant execute on function lab.sample_transfer(uuid, uuid, uuid, text, text) to lab_user;

create or replace function lab.sample_accept(id uuid, accept boolean default true, reason text default null) returns lab.samples
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for('sample:transfer');
  v_sample lab_data.samples;
  v_made   lab.samples;
begin
  select s.* into v_sample from lab_data.samples s
  where s.org_id = v_org and s.id = sample_accept.id and s.deleted_at is null for update;
  if not found then
    raise exception 'sample not found' using errcode = 'PT404',
      detail = json_build_object('code', 'sample_not_found', 'id', sample_accept.id)::text, hint = 'List the samples you may see with GET /samples.';
  elsif v_sample.transfer_to_id is null then
    raise exception 'the sample is offered to nobody' using errcode = 'PT409',
      detail = json_build_object('code', 'no_transfer', 'id', sample_accept.id)::text, hint = 'Let its holder call sample_transfer.';
  -- The taker takes or declines; the owner takes an offer back.
  elsif v_sample.transfer_to_id <> labos.user_id() and (accept or v_sample.owner_id is distinct from labos.user_id()) then
    raise exception 'the sample is offered to somebody else' using errcode = 'PT403',
      detail = json_build_object('code', 'not_the_taker', 'id', sample_accept.id)::text, hint = 'Only who it is offered to can accept it.';
  end if;
  update lab_data.samples s
  set owner_id = case when accept then s.transfer_to_id else s.owner_id end,
      transfer_to_id = null,
      change_reason = sample_accept.reason
  where s.org_id = v_org and s.id = sample_accept.id;
  select s.* into v_made from lab.samples s where s.org_id = v_org and s.id = sample_accept.id;
  return v_made;
end
$$;
comment on function lab.sample_accept(uuid, boolean, text) is
$$Accept a sample that is offered to you

Completes the hand-over; accept false declines it, or takes one's own offer back. Errors: 403 not_the_taker, 404 sample_not_found, 409 no_transfer.$$;
revoke all on function lab.sample_accept(uuid, boolean, text) from public;
grant execute on function lab.sample_accept(uuid, boolean, text) to lab_user;

create or replace function lab.sample_status_set(id uuid, status text, reason text default null) returns lab.samples
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('sample:transfer');
  v_made lab.samples;
begin
  update lab_data.samples s
  set status = sample_status_set.status, change_reason = sample_status_set.reason
  where s.org_id = v_org and s.id = sample_status_set.id and s.deleted_at is null;
  if not found then
    raise exception 'sample not found' using errcode = 'PT404',
      detail = json_build_object('code', 'sample_not_found', 'id', sample_status_set.id)::text, hint = 'List the samples you may see with GET /samples.';
  end if;
  select s.* into v_made from lab.samples s where s.org_id = v_org and s.id = sample_status_set.id;
  return v_made;
end
$$;
comment on function lab.sample_status_set(uuid, text, text) is
$$Set the status of a sample

For those who handle samples (sample:transfer) without editing them. Errors: 403, 404 sample_not_found, 409 illegal_transition.$$;
revoke all on function lab.sample_status_set(uuid, text, text) from public;
grant execute on function lab.sample_status_set(uuid, text, text) to lab_user;
