/*
 * Room: results (repeatable half)
 *
 * Recording many at once, importing files, review and approval.
 */

create or replace function lab_private.tg_results__guard() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_run record;
begin
  NEW.written_by := case TG_OP when 'INSERT' then array_remove(array[NEW.created_by], null) else OLD.written_by end;
  if TG_OP = 'INSERT' then
    select r.status, r.sample_id into v_run from lab_data.runs r
    where r.org_id = NEW.org_id and r.id = NEW.run_id and r.deleted_at is null for share;
    if not found then
      raise exception 'run not found' using errcode = 'PT404',
        detail = json_build_object('code', 'run_not_found', 'id', NEW.run_id)::text, hint = 'List the runs you may see with GET /runs.';
    elsif v_run.status not in ('running', 'succeeded', 'failed') then
      raise exception 'the run is %', v_run.status using errcode = 'PT409',
        detail = json_build_object('code', 'run_not_started', 'id', NEW.run_id, 'status', v_run.status)::text, hint = 'Start the run first.';
    end if;
    NEW.sample_id := v_run.sample_id;
    NEW.reviewed_by_id := null;
    NEW.reviewed_at := null;
    NEW.approved_by_id := null;
    NEW.approved_at := null;
    return NEW;
  end if;

  if NEW.run_id <> OLD.run_id or NEW.sample_id is distinct from OLD.sample_id then
    raise exception 'a result stays with its run' using errcode = 'PT409',
      detail = json_build_object('code', 'result_run_fixed', 'id', NEW.id)::text, hint = 'Delete it and record it with the other run.';
  end if;
  if OLD.approved_at is not null
     and (NEW.reviewed_by_id, NEW.reviewed_at, NEW.approved_by_id, NEW.approved_at)
         is distinct from (OLD.reviewed_by_id, OLD.reviewed_at, OLD.approved_by_id, OLD.approved_at)
  then
    raise exception 'the result is approved' using errcode = 'PT409',
      detail = json_build_object('code', 'result_approved', 'id', NEW.id)::text, hint = 'Who reviewed and approved it stays with it.';
  end if;
  if (NEW.property, NEW.value, NEW.uncertainty, NEW.unit, NEW.value_text, NEW.value_json, NEW.value_array, NEW.axis,
      NEW.lower_limit, NEW.upper_limit, NEW.quality, NEW.method, NEW.measured_at, NEW.metadata, NEW.deleted_at)
     is distinct from
     (OLD.property, OLD.value, OLD.uncertainty, OLD.unit, OLD.value_text, OLD.value_json, OLD.value_array, OLD.axis,
      OLD.lower_limit, OLD.upper_limit, OLD.quality, OLD.method, OLD.measured_at, OLD.metadata, OLD.deleted_at)
  then
    if OLD.approved_at is not null then
      raise exception 'the result is approved' using errcode = 'PT409',
        detail = json_build_object('code', 'result_approved', 'id', NEW.id)::text, hint = 'Record a corrected result beside it.';
    end if;
    -- What was reviewed is what was seen. The review call itself sets another reviewed_at.
    if NEW.reviewed_at is not distinct from OLD.reviewed_at then
      if labos.user_id() <> all (OLD.written_by) then
        NEW.written_by := OLD.written_by || labos.user_id();
      end if;
      NEW.reviewed_by_id := null;
      NEW.reviewed_at := null;
    end if;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_results__guard() is
  'Before a change of a result: its run has started, it stays with it, an approved one is fixed, a change takes the review back.';

create or replace trigger _100_stamp before insert or update on lab_data.results for each row execute function labos.tg__stamp();
create or replace trigger _300_guard before insert or update on lab_data.results for each row execute function lab_private.tg_results__guard();

call labos.audit_enable('lab_data.results');
call labos.protect('lab_data.results', 'result', verbs => '{select,insert,update}', kind => 'run', kind_id => 'run_id', guest_verbs => '{select}');
call labos.expose('results',
  insert_columns => '{id,run_id,property,value,uncertainty,unit,value_text,value_json,value_array,axis,lower_limit,upper_limit,quality,method,measured_at,metadata}',
  update_columns => '{property,value,uncertainty,unit,value_text,value_json,value_array,axis,lower_limit,upper_limit,quality,method,measured_at,metadata,version}',
  deletable => true, prefix => 'result', guests => true);

-- recording -----------------------------------------------------------------------------

create or replace function lab.result_record(run_id uuid, results jsonb) returns setof lab.results
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('result:create');
  v_allowed constant text[] := '{property,value,uncertainty,unit,value_text,value_json,value_array,axis,lower_limit,upper_limit,quality,method,measured_at,metadata}'::text[];
  v_most    constant integer := 10000;
  v_bad     record;
  v_ids     uuid[];
begin
  if results is null or jsonb_typeof(results) <> 'array' or jsonb_array_length(results) not between 1 and v_most then
    raise exception 'results must be an array of 1 to % objects', v_most using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_results', 'max', v_most)::text, hint = 'Send [{"property": "...", "value": 1.5, "unit": "..."}].';
  end if;
  select e.n - 1 as at, k.key into v_bad
  from jsonb_array_elements(results) with ordinality e(item, n)
  left join lateral jsonb_object_keys(case when jsonb_typeof(e.item) = 'object' then e.item else '{}' end) k(key) on k.key <> all (v_allowed)
  where jsonb_typeof(e.item) <> 'object' or k.key is not null
  order by e.n limit 1;
  if found then
    raise exception 'result % is not understood', v_bad.at using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_results', 'index', v_bad.at, 'key', left(v_bad.key, 80), 'keys', v_allowed)::text,
      hint = 'Each result is an object with these keys.';
  end if;
  with made as (
    insert into lab_data.results (org_id, run_id, property, value, uncertainty, unit, value_text, value_json, value_array, axis,
                                  lower_limit, upper_limit, quality, method, measured_at, metadata)
    select v_org, result_record.run_id, e.property, e.value, e.uncertainty, e.unit, e.value_text, nullif(e.value_json, 'null'), e.value_array, e.axis,
           e.lower_limit, e.upper_limit, coalesce(e.quality, 'good'), e.method, coalesce(e.measured_at, now()), coalesce(e.metadata, '{}')
    from jsonb_to_recordset(result_record.results) e(
      property text, value float8, uncertainty float8, unit text, value_text text, value_json jsonb, value_array float8[], axis jsonb,
      lower_limit float8, upper_limit float8, quality text, method text, measured_at timestamptz, metadata jsonb)
    returning id)
  select array_agg(m.id) into v_ids from made m;
  return query select r.* from lab.results r where r.org_id = v_org and r.id = any (v_ids) order by r.id;
end
$$;
comment on function lab.result_record(uuid, jsonb) is
$$Record results

Many at once, all or none: [{"property": "band gap", "value": 1.5, "uncertainty": 0.02, "unit": "eV"}], or value_text, value_json, value_array with axis instead of value. Errors: 400 invalid_results, 403, 404 run_not_found, 409 run_not_started.$$;
revoke all on function lab.result_record(uuid, jsonb) from public;
grant execute on function lab.result_record(uuid, jsonb) to lab_user;

-- review and approval ---------------------------------------------------------------------

create or replace function lab_private.require_results(org uuid, ids uuid[]) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id uuid;
begin
  if ids is null or cardinality(ids) not between 1 and 10000 or array_position(ids, null) is not null then
    raise exception 'ids must be 1 to 10000 ids of results' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_ids')::text, hint = 'Send {"ids": ["..."]}.';
  end if;
  -- In one order, so that two calls do not wait for each other in a circle.
  perform from lab_data.results r where r.org_id = org and r.id = any (ids) and r.deleted_at is null order by r.id for update;
  select w.id into v_id from unnest(ids) w(id)
  where not exists (select from lab_data.results r where r.org_id = org and r.id = w.id and r.deleted_at is null) limit 1;
  if found then
    raise exception 'result not found' using errcode = 'PT404',
      detail = json_build_object('code', 'result_not_found', 'id', v_id)::text, hint = 'List the results you may see with GET /results.';
  end if;
  select r.id into v_id from lab_data.results r
  -- Who recorded or changed it other than by reviewing, also when somebody else has changed it since.
  where r.org_id = org and r.id = any (ids) and (r.created_by = labos.user_id() or labos.user_id() = any (r.written_by))
  limit 1;
  if found then
    raise exception 'one cannot vouch for a result one has recorded' using errcode = 'PT403',
      detail = json_build_object('code', 'own_result', 'id', v_id)::text, hint = 'Let somebody else do it.';
  end if;
end
$$;
comment on function lab_private.require_results(uuid, uuid[]) is 'Locks results; PT400, PT404 when one is missing, PT403 when the caller has recorded one.';

create or replace function lab.result_review(ids uuid[], quality text default null) returns setof lab.results
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('result:review');
begin
  perform lab_private.require_results(v_org, ids);
  update lab_data.results r
  set reviewed_by_id = labos.user_id(), reviewed_at = clock_timestamp(), quality = coalesce(result_review.quality, r.quality)
  where r.org_id = v_org and r.id = any (ids);
  return query select r.* from lab.results r where r.org_id = v_org and r.id = any (ids) order by r.id;
end
$$;
comment on function lab.result_review(uuid[], text) is
$$Review results

Puts one's name to results somebody else has recorded, and may set their quality. Errors: 400 invalid_ids, 403 own_result, 404 result_not_found, 409 result_approved.$$;
revoke all on function lab.result_review(uuid[], text) from public;
grant execute on function lab.result_review(uuid[], text) to lab_user;

create or replace function lab.result_approve(ids uuid[]) returns setof lab.results
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('result:approve');
  v_id  uuid;
begin
  perform lab_private.require_results(v_org, ids);
  select r.id into v_id from lab_data.results r where r.org_id = v_org and r.id = any (ids) and (r.reviewed_at is null or r.approved_at is not null) limit 1;
  if found then
    raise exception 'the result is not reviewed, or approved already' using errcode = 'PT409',
      detail = json_build_object('code', 'result_not_reviewed', 'id', v_id)::text, hint = 'Review comes first; an approved result needs nothing more.';
  end if;
  update lab_data.results r set approved_by_id = labos.user_id(), approved_at = clock_timestamp()
  where r.org_id = v_org and r.id = any (ids);
  return query select r.* from lab.results r where r.org_id = v_org and r.id = any (ids) order by r.id;
end
$$;
comment on function lab.result_approve(uuid[]) is
$$Approve results

Fixes reviewed results for good. Errors: 400 invalid_ids, 403 own_result, 404 result_not_found, 409 result_not_reviewed.$$;
revoke all on function lab.result_approve(uuid[]) from public;
grant execute on function lab.result_approve(uuid[]) to lab_user;
