/*
 * Room: campaigns (repeatable half)
 *
 * The configuration is checked by a trigger, so that every way in keeps it
 * valid. A step locks the campaign's row: two steps of one campaign follow each
 * other, and each commits whole or not at all.
 */

-- configuration -------------------------------------------------------------

create or replace function lab_private.tg_design_campaigns__config() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_problems jsonb;
  v_dataset  lab_data.datasets;
begin
  if TG_OP = 'UPDATE' then
    if NEW.deleted_at is not null and OLD.deleted_at is null and OLD.status = 'RUNNING' then
      raise exception 'a running campaign cannot be deleted' using errcode = 'PT409',
        detail = json_build_object('code', 'campaign_running', 'id', OLD.id)::text,
        hint = 'Pause or cancel it first.';
    elsif OLD.status not in ('CREATED', 'PAUSED')
          and (NEW.name, NEW.description, NEW.config) is distinct from (OLD.name, OLD.description, OLD.config) then
      raise exception 'the campaign cannot be changed now' using errcode = 'PT409',
        detail = json_build_object('code', 'campaign_not_editable', 'status', OLD.status)::text,
        hint = 'Pause it first.';
    elsif NEW.config is not distinct from OLD.config then
      return NEW;
    end if;
  end if;

  select jsonb_agg(to_jsonb(p)) into v_problems from labos.campaign_config_problems(coalesce(NEW.config, 'null')) p;
  if v_problems is null then
    NEW.config := labos.campaign_config_canonical(NEW.config);
    if NEW.config -> 'evaluator' ?| '{dataset,dataset_id}' then
      select d.* into v_dataset from lab_data.datasets d
      where d.org_id = NEW.org_id and d.deleted_at is null
        and d.name = coalesce(NEW.config #>> '{evaluator,dataset}', d.name)
        and d.id = coalesce((NEW.config #>> '{evaluator,dataset_id}')::uuid, d.id);
      if not found then
        v_problems := jsonb_build_array(jsonb_build_object('path', '$.evaluator.dataset', 'code', 'unknown_dataset',
          'message', 'no data set of this name or id'));
      elsif NEW.config #>> '{evaluator,kind}' = 'dataset' then
        select jsonb_agg(jsonb_build_object('path', '$.target_properties.' || k, 'code', 'unknown_property', 'message', 'was not measured in the data set'))
        into v_problems
        from jsonb_object_keys(NEW.config -> 'target_properties') k
        where not v_dataset.columns -> 'properties' ? k;
      end if;
    end if;
  end if;
  if v_problems is not null then
    raise exception 'the configuration is not valid' using errcode = 'PT400',
      detail = jsonb_build_object('code', 'invalid_config', 'problems', v_problems)::text,
      hint = 'Each problem names its path.';
  end if;

  if TG_OP = 'UPDATE' and OLD.current_iteration > 0
     and (v_dataset.id is distinct from OLD.dataset_id or NEW.config -> 'search_space' is distinct from OLD.config -> 'search_space'
          or NEW.config #> '{evaluator,kind}' is distinct from OLD.config #> '{evaluator,kind}'
          or NEW.config -> 'target_properties' is distinct from OLD.config -> 'target_properties'
          or (NEW.config ->> 'max_iterations')::integer < OLD.current_iteration) then
    raise exception 'the campaign has candidates already' using errcode = 'PT409',
      detail = json_build_object('code', 'space_fixed', 'current_iteration', OLD.current_iteration)::text,
      hint = 'Targets, search space, data set, evaluator and past iterations stay; make a new campaign.';
  end if;
  if v_dataset.id is not null then
    NEW.config := jsonb_set(NEW.config #- '{evaluator,dataset_id}', '{evaluator,dataset}', to_jsonb(v_dataset.name));
  end if;
  NEW.dataset_id := v_dataset.id;
  NEW.max_iterations := (NEW.config ->> 'max_iterations')::integer;
  NEW.seed := coalesce((NEW.config ->> 'seed')::bigint, case when TG_OP = 'UPDATE' then OLD.seed end,
                       floor(random() * 9007199254740992)::bigint);
  NEW.config := NEW.config || jsonb_build_object('seed', NEW.seed);
  return NEW;
end
$$;
comment on function lab_private.tg_design_campaigns__config() is
  'Checks and completes a campaign''s configuration: 400 invalid_config with all problems, 409 campaign_not_editable, campaign_running, space_fixed.';
revoke all on function lab_private.tg_design_campaigns__config() from public;

create or replace trigger _100_stamp before insert or update on lab_data.design_campaigns for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.design_campaigns
  for each row execute function labos.tg__state('status',
    'CREATED>RUNNING,CANCELLED', 'RUNNING>PAUSED,COMPLETED,FAILED,CANCELLED', 'PAUSED>RUNNING,CANCELLED');
create or replace trigger _300_config before insert or update of config, name, description, deleted_at on lab_data.design_campaigns
  for each row execute function lab_private.tg_design_campaigns__config();
create or replace trigger _100_stamp before insert or update on lab_data.campaign_candidates for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.campaign_candidates
  for each row execute function labos.tg__state('state',
    'insert>suggested,pending', 'suggested>pending,evaluated,failed,rejected', 'pending>evaluated,failed,rejected');

call labos.protect('lab_data.design_campaigns', 'campaign', verbs => '{select,insert,update}', owner => 'owner_id',
  kind => 'campaign', guest_verbs => '{select}');
call labos.expose('design_campaigns',
  insert_columns => '{id,name,description,config}', update_columns => '{name,description,config,version}',
  deletable => true, prefix => 'campaign', owner => 'owner_id', guests => true);
-- No write policies: the calls below write them.
call labos.protect('lab_data.design_iterations', 'campaign', verbs => '{select}', owner => 'owner_id',
  kind => 'campaign', kind_id => 'campaign_id', guest_verbs => '{select}');
call labos.expose('design_iterations', guests => true);
call labos.protect('lab_data.campaign_candidates', 'campaign', verbs => '{select}', owner => 'owner_id',
  kind => 'campaign', kind_id => 'campaign_id', guest_verbs => '{select}');
call labos.expose('campaign_candidates', guests => true);

call labos.audit_enable('lab_data.design_campaigns');
call labos.audit_enable('lab_data.design_iterations');
call labos.audit_enable('lab_data.campaign_candidates');

-- create and change ---------------------------------------------------------

create or replace function lab.campaign_create(name text, config jsonb, description text default null)
  returns lab.design_campaigns
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_made lab.design_campaigns;
begin
  perform labos.require_org_for('campaign:create');
  if length(btrim(coalesce(campaign_create.name, ''))) not between 1 and 200 or length(campaign_create.description) > 10000 then
    raise exception 'a campaign needs a name of 1 to 200 characters' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_name')::text;
  end if;
  insert into lab.design_campaigns (name, config, description)
  values (campaign_create.name, coalesce(campaign_create.config, 'null'), campaign_create.description)
  returning * into v_made;
  return v_made;
end
$$;
comment on function lab.campaign_create(text, jsonb, text) is
$$Create a design campaign

config holds target_properties, constraints or search_space, strategy (random, sobol, bayesian), evaluator (dataset, external), candidates_per_iteration, max_iterations, seed and stop. Errors: 403, 400 `invalid_config` with every problem and its path, `invalid_name`.$$;
revoke all on function lab.campaign_create(text, jsonb, text) from public;
grant execute on function lab.campaign_create(text, jsonb, text) to lab_user;

create or replace function lab.campaign_update(
  id uuid, name text default null, config jsonb default null, description text default null, version integer default null)
  returns lab.design_campaigns
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_old  lab.design_campaigns;
  v_made lab.design_campaigns;
begin
  perform labos.require_org_for('campaign:update');
  select c.* into v_old from lab.design_campaigns c where c.id = campaign_update.id;
  if found and v_old.status not in ('CREATED', 'PAUSED') then
    raise exception 'the campaign cannot be changed now' using errcode = 'PT409',
      detail = json_build_object('code', 'campaign_not_editable', 'status', v_old.status)::text,
      hint = 'Pause it first.';
  end if;
  update lab.design_campaigns c
  set name = coalesce(campaign_update.name, c.name), config = coalesce(campaign_update.config, c.config),
      description = coalesce(campaign_update.description, c.description), version = coalesce(campaign_update.version, c.version)
  where c.id = campaign_update.id
  returning c.* into v_made;
  if v_made.id is null then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_update.id)::text;
  end if;
  return v_made;
end
$$;
comment on function lab.campaign_update(uuid, text, jsonb, text, integer) is
$$Change a design campaign

Only while CREATED or PAUSED; what is null stays. Targets, search space, data set and evaluator stay once there are candidates. Errors: 403, 404 `campaign_not_found`, 409 `campaign_not_editable`, `space_fixed`, 412 `stale_version`, 400 `invalid_config`.$$;
revoke all on function lab.campaign_update(uuid, text, jsonb, text, integer) from public;
grant execute on function lab.campaign_update(uuid, text, jsonb, text, integer) to lab_user;

-- state ---------------------------------------------------------------------

create or replace function lab_private.campaign_lock(org uuid, campaign uuid) returns lab_data.design_campaigns
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_campaign lab_data.design_campaigns;
begin
  select c.* into v_campaign from lab_data.design_campaigns c
  where c.org_id = campaign_lock.org and c.id = campaign_lock.campaign and c.deleted_at is null
    and c.owner_id = labos.owner_for('campaign:update_any', c.owner_id)
  for update;
  if not found then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_lock.campaign)::text;
  end if;
  return v_campaign;
end
$$;
comment on function lab_private.campaign_lock(uuid, uuid) is 'The campaign, locked, if the caller may run it; 404 otherwise.';

create or replace function lab_private.campaign_move(org uuid, campaign uuid, target text, allowed text[]) returns lab_data.design_campaigns
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_campaign lab_data.design_campaigns := lab_private.campaign_lock(campaign_move.org, campaign_move.campaign);
begin
  if v_campaign.status <> all (campaign_move.allowed) then
    raise exception 'the campaign cannot become % now', campaign_move.target using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_campaign.status, 'to', campaign_move.target,
        'allowed_from', campaign_move.allowed)::text;
  end if;
  update lab_data.design_campaigns c
  set status = campaign_move.target,
      started_at = case when campaign_move.target = 'RUNNING' then coalesce(c.started_at, now()) else c.started_at end,
      completed_at = case when campaign_move.target = 'CANCELLED' then now() end,
      stop_reason = case when campaign_move.target = 'CANCELLED' then 'cancelled' end
  where c.org_id = campaign_move.org and c.id = campaign_move.campaign
  returning c.* into v_campaign;
  return v_campaign;
end
$$;
comment on function lab_private.campaign_move(uuid, uuid, text, text[]) is 'Moves a campaign to a status; 404, 409 illegal_transition.';

-- What the caller gets to see: the public view's row.
create or replace function lab_private.campaign_row(org uuid, campaign uuid) returns lab.design_campaigns
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_row lab.design_campaigns;
begin
  select c.* into v_row from lab.design_campaigns c where c.org_id = campaign_row.org and c.id = campaign_row.campaign;
  return v_row;
end
$$;
comment on function lab_private.campaign_row(uuid, uuid) is 'A campaign as the public view shows it.';

create or replace function lab.campaign_start(id uuid) returns lab.design_campaigns
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('campaign:run');
begin
  perform lab_private.campaign_move(v_org, campaign_start.id, 'RUNNING', '{CREATED}');
  return lab_private.campaign_row(v_org, campaign_start.id);
end
$$;
comment on function lab.campaign_start(uuid) is
$$Start a design campaign

CREATED → RUNNING. Errors: 403, 404 `campaign_not_found`, 409 `illegal_transition`.$$;
revoke all on function lab.campaign_start(uuid) from public;
grant execute on function lab.campaign_start(uuid) to lab_user;

create or replace function lab.campaign_pause(id uuid) returns lab.design_campaigns
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('campaign:run');
begin
  perform lab_private.campaign_move(v_org, campaign_pause.id, 'PAUSED', '{RUNNING}');
  return lab_private.campaign_row(v_org, campaign_pause.id);
end
$$;
comment on function lab.campaign_pause(uuid) is
$$Pause a design campaign

RUNNING → PAUSED; results that are under way may still be observed. Errors: 403, 404 `campaign_not_found`, 409 `illegal_transition`.$$;
revoke all on function lab.campaign_pause(uuid) from public;
grant execute on function lab.campaign_pause(uuid) to lab_user;

create or replace function lab.campaign_resume(id uuid) returns lab.design_campaigns
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org      uuid := labos.require_org_for('campaign:run');
  v_campaign lab_data.design_campaigns := lab_private.campaign_move(v_org, campaign_resume.id, 'RUNNING', '{PAUSED}');
begin
  -- Answers that came meanwhile, or another configuration, may have ended it.
  if not exists (select from lab_data.design_iterations i
                 where i.org_id = v_org and i.campaign_id = v_campaign.id and i.completed_at is null) then
    perform lab_private.campaign_complete(v_org, v_campaign.id, lab_private.campaign_end_reason(v_campaign));
  end if;
  return lab_private.campaign_row(v_org, campaign_resume.id);
end
$$;
comment on function lab.campaign_resume(uuid) is
$$Resume a design campaign

PAUSED → RUNNING, and → COMPLETED if it reached its end meanwhile. Errors: 403, 404 `campaign_not_found`, 409 `illegal_transition`.$$;
revoke all on function lab.campaign_resume(uuid) from public;
grant execute on function lab.campaign_resume(uuid) to lab_user;

create or replace function lab.campaign_cancel(id uuid) returns lab.design_campaigns
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('campaign:run');
begin
  perform lab_private.campaign_move(v_org, campaign_cancel.id, 'CANCELLED', '{CREATED,RUNNING,PAUSED}');
  return lab_private.campaign_row(v_org, campaign_cancel.id);
end
$$;
comment on function lab.campaign_cancel(uuid) is
$$Cancel a design campaign

Any unfinished campaign → CANCELLED, for good. Errors: 403, 404 `campaign_not_found`, 409 `illegal_transition`.$$;
revoke all on function lab.campaign_cancel(uuid) from public;
grant execute on function lab.campaign_cancel(uuid) to lab_user;

-- propose -------------------------------------------------------------------

-- Adds up to "wanted" candidates to an iteration; returns how many came.
create or replace function lab_private.campaign_propose(
  campaign lab_data.design_campaigns, iteration uuid, iteration_index integer, wanted integer, initial_state text)
  returns integer
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_rows    uuid[];
  v_pool    float8[];
  v_history jsonb;
  v_slot    integer;
  v_done    integer;
begin
  select count(*) into v_slot from lab_data.campaign_candidates c
  where c.org_id = campaign.org_id and c.campaign_id = campaign.id;
  wanted := least(wanted, (campaign.config #>> '{stop,budget}')::bigint - v_slot);
  if wanted < 1 then
    return 0;
  end if;

  if campaign.dataset_id is not null then
    -- What was proposed stays in, so that the model can learn from it.
    select array_agg(r.id order by r.row_index), array_agg(r.features order by r.row_index) into v_rows, v_pool
    from lab_data.dataset_rows r
    where r.org_id = campaign.org_id and r.dataset_id = campaign.dataset_id
      and (labos.constraints_admit(campaign.config -> 'constraints', r.formula, r.parameters)
           or r.id in (select c.dataset_row_id from lab_data.campaign_candidates c
                       where c.org_id = campaign.org_id and c.campaign_id = campaign.id));
    if v_rows is null then
      return 0;
    end if;
    select jsonb_agg(jsonb_build_object('row', p.k, 'properties', c.measured, 'pending', c.state in ('suggested', 'pending')) order by c.slot)
    into v_history
    from lab_data.campaign_candidates c
    join unnest(v_rows) with ordinality p(id, k) on p.id = c.dataset_row_id
    where c.org_id = campaign.org_id and c.campaign_id = campaign.id;
  else
    select jsonb_agg(jsonb_build_object('parameters', c.parameters, 'properties', c.measured, 'pending', c.state in ('suggested', 'pending')) order by c.slot)
    into v_history
    from lab_data.campaign_candidates c
    where c.org_id = campaign.org_id and c.campaign_id = campaign.id;
  end if;

  insert into lab_data.campaign_candidates (org_id, owner_id, campaign_id, iteration_id, slot, candidate_hash, dataset_row_id,
    formula, parameters, predicted, acquisition, reason, state, evaluator, suggested_to)
  select campaign.org_id, campaign.owner_id, campaign.id, campaign_propose.iteration, s.slot_no,
    encode(sha256(convert_to(coalesce(r.id::text, s.parameters::text), 'UTF8')), 'hex'), r.id,
    r.formula, coalesce(s.parameters, r.parameters), s.predicted, s.acquisition, s.reason || jsonb_build_object('history', v_slot), campaign_propose.initial_state,
    campaign.config #>> '{evaluator,kind}', labos.user_id()
  from labos.suggest(campaign.config, campaign.seed, campaign_propose.iteration_index, v_slot, campaign_propose.wanted,
                     coalesce(v_history, '[]'), v_pool) s
  left join lab_data.dataset_rows r on r.org_id = campaign.org_id and r.id = v_rows[s.pool_row]
  order by s.slot_no;
  get diagnostics v_done = row_count;
  return v_done;
end
$$;
comment on function lab_private.campaign_propose(lab_data.design_campaigns, uuid, integer, integer, text) is
  'Asks labos.suggest with the whole history and stores the candidates; the caller holds the campaign''s lock.';

create or replace function lab_private.iteration_begin(campaign lab_data.design_campaigns, iteration_index integer) returns uuid
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id uuid;
begin
  insert into lab_data.design_iterations (org_id, owner_id, campaign_id, iteration_index, strategy_used)
  values (campaign.org_id, campaign.owner_id, campaign.id, iteration_begin.iteration_index, campaign.config ->> 'strategy')
  returning id into v_id;
  update lab_data.design_campaigns c set current_iteration = iteration_begin.iteration_index + 1
  where c.org_id = campaign.org_id and c.id = campaign.id;
  return v_id;
end
$$;
comment on function lab_private.iteration_begin(lab_data.design_campaigns, integer) is 'A new iteration of a campaign that the caller has locked.';

-- learn ---------------------------------------------------------------------

-- Counts, best and metrics of an iteration, best of the campaign, and whether it has ended.
create or replace function lab_private.iteration_close(campaign lab_data.design_campaigns, iteration uuid, wall_ms float8, is_full boolean)
  returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_iteration lab_data.design_iterations;
  v_stats     record;
  v_best      lab_data.campaign_candidates;
  v_before    float8;
  v_campaign  lab_data.design_campaigns;
begin
  select i.* into v_iteration from lab_data.design_iterations i where i.org_id = campaign.org_id and i.id = iteration_close.iteration;
  select count(*) as created, count(*) filter (where c.state in ('evaluated', 'failed', 'rejected')) as ended,
    count(*) filter (where c.state = 'evaluated') as evaluated, max(c.score) as best, avg(c.score) as mean,
    count(*) filter (where c.score = 1) as hits,
    coalesce(jsonb_agg(c.score order by c.slot), '[]') as scores, coalesce(jsonb_agg(c.acquisition order by c.slot), '[]') as acquisition
  into v_stats
  from lab_data.campaign_candidates c
  where c.org_id = campaign.org_id and c.iteration_id = v_iteration.id;
  select max(i.best_score_this_iter) into v_before from lab_data.design_iterations i
  where i.org_id = campaign.org_id and i.campaign_id = campaign.id and i.iteration_index < v_iteration.iteration_index;
  select c.* into v_best from lab_data.campaign_candidates c
  where c.org_id = campaign.org_id and c.iteration_id = v_iteration.id and c.score is not null
  order by c.score desc, c.slot limit 1;

  update lab_data.design_iterations i
  set created_structures = v_stats.created, evaluated_structures = v_stats.ended,
      best_score_this_iter = v_stats.best, best_structure_this_iter = coalesce(v_best.formula::text, v_best.parameters::text),
      completed_at = case when iteration_close.is_full and v_stats.ended = v_stats.created then now() end,
      metrics = i.metrics || jsonb_build_object(
        'scores', v_stats.scores, 'mean_score', v_stats.mean, 'hits', v_stats.hits,
        'best_so_far', greatest(v_before, v_stats.best), 'improvement', greatest(coalesce(v_stats.best, 0) - coalesce(v_before, 0), 0),
        'acquisition', v_stats.acquisition,
        'diversity', lab_private.iteration_diversity(campaign.org_id, v_iteration.id),
        'wall_ms', round((coalesce((i.metrics ->> 'wall_ms')::numeric, 0) + iteration_close.wall_ms::numeric), 3))
  where i.org_id = campaign.org_id and i.id = v_iteration.id
  returning i.* into v_iteration;

  if v_best.score > campaign.best_score or (campaign.best_score is null and v_best.score is not null) then
    update lab_data.design_campaigns c
    set best_score = v_best.score, best_candidate_id = v_best.id, best_structure = v_iteration.best_structure_this_iter
    where c.org_id = campaign.org_id and c.id = campaign.id;
  end if;
  if v_iteration.completed_at is null then
    return;
  end if;

  if v_stats.evaluated = 0 then
    update lab_data.design_campaigns c
    set status = 'FAILED', completed_at = now(), failure_reason = 'every candidate of iteration ' || v_iteration.iteration_index || ' failed'
    where c.org_id = campaign.org_id and c.id = campaign.id and c.status = 'RUNNING';
  else
    select c.* into v_campaign from lab_data.design_campaigns c where c.org_id = campaign.org_id and c.id = campaign.id;
    perform lab_private.campaign_complete(campaign.org_id, campaign.id, lab_private.campaign_end_reason(v_campaign));
  end if;
end
$$;
comment on function lab_private.iteration_close(lab_data.design_campaigns, uuid, float8, boolean) is
  'Brings an iteration and its campaign up to date after candidates changed, and ends the campaign when its time has come.';

create or replace function lab_private.campaign_complete(org uuid, campaign uuid, reason text) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  -- A paused one ends when it is resumed.
  update lab_data.design_campaigns c
  set status = 'COMPLETED', completed_at = now(), stop_reason = campaign_complete.reason
  where c.org_id = campaign_complete.org and c.id = campaign_complete.campaign and c.status = 'RUNNING'
    and campaign_complete.reason is not null;
end
$$;
comment on function lab_private.campaign_complete(uuid, uuid, text) is 'Ends a running campaign for a reason; null: not yet.';

-- Iterations may be answered in any order: the last one is the last to be complete, not the one with the highest number.
create or replace function lab_private.campaign_end_reason(campaign lab_data.design_campaigns) returns text
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select case
    when campaign.best_score >= (campaign.config #>> '{stop,target_score}')::float8 then 'target_score'
    when i.newest - i.best >= (campaign.config #>> '{stop,no_improvement}')::integer then 'no_improvement'
    when c.pending > 0 then null
    when c.made >= (campaign.config #>> '{stop,budget}')::bigint then 'budget'
    when campaign.current_iteration >= campaign.max_iterations and i.is_complete then 'max_iterations' end
  from
    (select max(x.iteration_index) filter (where x.completed_at is not null) as newest, bool_and(x.completed_at is not null) as is_complete,
       min(x.iteration_index) filter (where x.best_score_this_iter = campaign.best_score) as best
     from lab_data.design_iterations x where x.org_id = campaign.org_id and x.campaign_id = campaign.id) i,
    (select count(*) as made, count(*) filter (where x.state in ('suggested', 'pending')) as pending
     from lab_data.campaign_candidates x where x.org_id = campaign.org_id and x.campaign_id = campaign.id) c
$$;
comment on function lab_private.campaign_end_reason(lab_data.design_campaigns) is 'Why a campaign has come to its end; null: it has not.';

create or replace function lab_private.iteration_diversity(org uuid, iteration uuid) returns float8
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
begin atomic
  with candidate as (
    select c.slot, labos.elements(c.formula) as elements
    from lab_data.campaign_candidates c
    where c.org_id = iteration_diversity.org and c.iteration_id = iteration_diversity.iteration and c.formula is not null
  )
  select avg(1 - (select count(*) from unnest(a.elements) e where e = any (b.elements))::float8
               / (select count(distinct e) from unnest(a.elements || b.elements) e))
  from candidate a join candidate b on a.slot < b.slot;
end;
comment on function lab_private.iteration_diversity(uuid, uuid) is
  'Mean Jaccard distance of the element sets of all pairs, 0 (all the same elements) to 1; null without formulas.';

create or replace function lab.campaign_step(id uuid, num_iterations integer default 1)
  returns setof lab.design_iterations
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_org      uuid := labos.require_org_for('campaign:run');
  v_campaign lab_data.design_campaigns;
  v_started  timestamptz;
  v_first    integer;
  v_id       uuid;
  v_n        integer;
begin
  if campaign_step.num_iterations is null or campaign_step.num_iterations not between 1 and 1000 then
    raise exception 'num_iterations must be between 1 and 1000' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_num_iterations')::text;
  end if;
  v_campaign := lab_private.campaign_lock(v_org, campaign_step.id);
  v_first := v_campaign.current_iteration;
  for v_k in 1 .. campaign_step.num_iterations loop
    v_started := clock_timestamp();
    select c.* into v_campaign from lab_data.design_campaigns c where c.org_id = v_org and c.id = campaign_step.id;
    exit when v_k > 1 and v_campaign.status <> 'RUNNING';
    perform lab_private.campaign_require_running(v_campaign);
    if v_campaign.config #>> '{evaluator,kind}' = 'external' then
      exit when v_k > 1;
      if exists (select from lab_data.campaign_candidates c
                 where c.org_id = v_org and c.campaign_id = v_campaign.id and c.state in ('suggested', 'pending')) then
        raise exception 'candidates wait for their evaluation' using errcode = 'PT409',
          detail = json_build_object('code', 'evaluation_pending', 'iteration_index', v_campaign.current_iteration - 1)::text,
          hint = 'Report them with campaign_observe.';
      end if;
      -- An iteration of which a part was asked for by campaign_suggest is over with this.
      perform lab_private.iteration_close(v_campaign, i.id, 0, true) from lab_data.design_iterations i
      where i.org_id = v_org and i.campaign_id = v_campaign.id and i.completed_at is null;
      select c.* into v_campaign from lab_data.design_campaigns c where c.org_id = v_org and c.id = v_campaign.id;
      exit when v_campaign.status <> 'RUNNING';
    end if;
    v_id := lab_private.iteration_begin(v_campaign, v_campaign.current_iteration);
    v_n := lab_private.campaign_propose(v_campaign, v_id, v_campaign.current_iteration,
      (v_campaign.config ->> 'candidates_per_iteration')::integer,
      case v_campaign.config #>> '{evaluator,kind}' when 'external' then 'pending' else 'suggested' end);
    if v_n = 0 then
      delete from lab_data.design_iterations i where i.org_id = v_org and i.id = v_id;
      update lab_data.design_campaigns c set current_iteration = v_campaign.current_iteration where c.org_id = v_org and c.id = v_campaign.id;
      perform lab_private.campaign_complete(v_org, v_campaign.id, 'space_exhausted');
      exit;
    end if;
    if v_campaign.config #>> '{evaluator,kind}' = 'dataset' then
      update lab_data.campaign_candidates c
      set state = 'evaluated', measured = r.measured, score = s.score, score_parts = s.parts, evaluated_at = now()
      from lab_data.dataset_rows r, lateral labos.score(r.measured, v_campaign.config -> 'target_properties') s
      where c.org_id = v_org and c.iteration_id = v_id and r.org_id = v_org and r.id = c.dataset_row_id;
    end if;
    perform lab_private.iteration_close(v_campaign, v_id, extract(epoch from clock_timestamp() - v_started) * 1000, true);
  end loop;
  return query select i.* from lab.design_iterations i
  where i.org_id = v_org and i.campaign_id = campaign_step.id and i.iteration_index >= v_first
  order by i.iteration_index;
end
$$;
comment on function lab.campaign_step(uuid, integer) is
$$Run iterations of a design campaign

Proposes, evaluates and learns, num_iterations times or until the campaign ends, in one transaction; answers the iterations made. With the evaluator external it proposes one iteration, whose candidates are reported by campaign_observe. Errors: 403, 404 `campaign_not_found`, 409 `campaign_not_running`, `evaluation_pending`, 400 `invalid_num_iterations`.$$;

create or replace function lab_private.campaign_require_running(campaign lab_data.design_campaigns) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if campaign.status <> 'RUNNING' then
    raise exception 'the campaign is not running' using errcode = 'PT409',
      detail = json_build_object('code', 'campaign_not_running', 'status', campaign.status)::text,
      hint = case campaign.status when 'CREATED' then 'Start it.' when 'PAUSED' then 'Resume it.' else 'It has ended.' end;
  end if;
end
$$;
comment on function lab_private.campaign_require_running(lab_data.design_campaigns) is '409 campaign_not_running unless it is.';
revoke all on function lab.campaign_step(uuid, integer) from public;
grant execute on function lab.campaign_step(uuid, integer) to lab_user;
revoke all on function lab_private.campaign_lock(uuid, uuid), lab_private.campaign_move(uuid, uuid, text, text[]),
  lab_private.campaign_row(uuid, uuid), lab_private.campaign_propose(lab_data.design_campaigns, uuid, integer, integer, text),
  lab_private.iteration_begin(lab_data.design_campaigns, integer), lab_private.iteration_diversity(uuid, uuid),
  lab_private.iteration_close(lab_data.design_campaigns, uuid, float8, boolean), lab_private.campaign_complete(uuid, uuid, text),
  lab_private.campaign_end_reason(lab_data.design_campaigns),
  lab_private.campaign_require_running(lab_data.design_campaigns) from public;
