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
    if NEW.config is not distinct from OLD.config then
      return NEW;
    elsif OLD.status not in ('CREATED', 'PAUSED') then
      raise exception 'the campaign cannot be changed now' using errcode = 'PT409',
        detail = json_build_object('code', 'campaign_not_editable', 'status', OLD.status)::text,
        hint = 'Pause it first.';
    end if;
  end if;

  select jsonb_agg(to_jsonb(p)) into v_problems from labos.campaign_config_problems(coalesce(NEW.config, 'null')) p;
  if v_problems is null then
    NEW.config := labos.campaign_config_canonical(NEW.config);
    if NEW.config -> 'evaluator' ? 'dataset' then
      select d.* into v_dataset from lab_data.datasets d
      where d.org_id = NEW.org_id and d.name = NEW.config #>> '{evaluator,dataset}' and d.deleted_at is null;
      if not found then
        v_problems := jsonb_build_array(jsonb_build_object('path', '$.evaluator.dataset', 'code', 'unknown_dataset',
          'message', 'no data set of this name'));
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
          or (NEW.config ->> 'max_iterations')::integer < OLD.current_iteration) then
    raise exception 'the campaign has candidates already' using errcode = 'PT409',
      detail = json_build_object('code', 'space_fixed', 'current_iteration', OLD.current_iteration)::text,
      hint = 'Search space, data set, evaluator and past iterations stay; make a new campaign.';
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
  'Checks and completes a campaign''s configuration: 400 invalid_config with all problems, 409 campaign_not_editable, space_fixed.';
revoke all on function lab_private.tg_design_campaigns__config() from public;

create or replace trigger _100_stamp before insert or update on lab_data.design_campaigns for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.design_campaigns
  for each row execute function labos.tg__state('status',
    'CREATED>RUNNING,CANCELLED', 'RUNNING>PAUSED,COMPLETED,FAILED,CANCELLED', 'PAUSED>RUNNING,CANCELLED');
create or replace trigger _300_config before insert or update of config on lab_data.design_campaigns
  for each row execute function lab_private.tg_design_campaigns__config();
create or replace trigger _100_stamp before insert or update on lab_data.campaign_candidates for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.campaign_candidates
  for each row execute function labos.tg__state('state',
    'insert>suggested,pending', 'suggested>pending,evaluated,failed,rejected', 'pending>evaluated,failed,rejected');

call labos.protect('lab_data.design_campaigns', 'campaign', verbs => '{select,insert,update}', owner => 'owner_id');
call labos.expose('design_campaigns',
  insert_columns => '{id,name,description,config}', update_columns => '{name,description,config,version}',
  deletable => true, prefix => 'campaign', owner => 'owner_id');
-- No write policies: the calls below write them.
call labos.protect('lab_data.design_iterations', 'campaign', verbs => '{select}', owner => 'owner_id');
call labos.expose('design_iterations');
call labos.protect('lab_data.campaign_candidates', 'campaign', verbs => '{select}', owner => 'owner_id');
call labos.expose('campaign_candidates');

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

Only while CREATED or PAUSED; what is null stays. Search space, data set and evaluator stay once there are candidates. Errors: 403, 404 `campaign_not_found`, 409 `campaign_not_editable`, `space_fixed`, 412 `stale_version`, 400 `invalid_config`.$$;
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

do $do$
declare
  v_call record;
begin
  for v_call in
    select * from (values
      ('start', 'RUNNING', '{CREATED}', 'Start a design campaign', 'CREATED → RUNNING.'),
      ('pause', 'PAUSED', '{RUNNING}', 'Pause a design campaign', 'RUNNING → PAUSED; results that are under way may still be observed.'),
      ('resume', 'RUNNING', '{PAUSED}', 'Resume a design campaign', 'PAUSED → RUNNING.'),
      ('cancel', 'CANCELLED', '{CREATED,RUNNING,PAUSED}', 'Cancel a design campaign', 'Any unfinished campaign → CANCELLED, for good.')
    ) x(verb, target, allowed, title, sentence)
  loop
    execute format($fn$
create or replace function lab.campaign_%1$s(id uuid) returns lab.design_campaigns
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $body$
declare
  v_org uuid := labos.require_org_for('campaign:run');
begin
  perform lab_private.campaign_move(v_org, campaign_%1$s.id, %2$L, %3$L);
  return lab_private.campaign_row(v_org, campaign_%1$s.id);
end
$body$ $fn$, v_call.verb, v_call.target, v_call.allowed);
    execute format('comment on function lab.campaign_%s(uuid) is %L', v_call.verb,
      v_call.title || E'\n\n' || v_call.sentence || ' Errors: 403, 404 `campaign_not_found`, 409 `illegal_transition`.');
    execute format('revoke all on function lab.campaign_%s(uuid) from public', v_call.verb);
    execute format('grant execute on function lab.campaign_%s(uuid) to lab_user', v_call.verb);
  end loop;
end
$do$;

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
    r.formula, coalesce(s.parameters, r.parameters), s.predicted, s.acquisition, s.reason, campaign_propose.initial_state,
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
  v_reason    text;
  v_since     integer;
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

  select max(i.iteration_index) - min(i.iteration_index) filter (where i.best_score_this_iter = greatest(v_before, v_stats.best)) into v_since
  from lab_data.design_iterations i where i.org_id = campaign.org_id and i.campaign_id = campaign.id;
  v_reason := case
    when v_stats.best >= (campaign.config #>> '{stop,target_score}')::float8 then 'target_score'
    when v_since >= (campaign.config #>> '{stop,no_improvement}')::integer then 'no_improvement'
    when (select count(*) from lab_data.campaign_candidates c where c.org_id = campaign.org_id and c.campaign_id = campaign.id)
         >= (campaign.config #>> '{stop,budget}')::bigint then 'budget'
    when v_iteration.iteration_index + 1 >= campaign.max_iterations then 'max_iterations' end;
  if v_stats.evaluated = 0 then
    update lab_data.design_campaigns c
    set status = 'FAILED', completed_at = now(), failure_reason = 'every candidate of iteration ' || v_iteration.iteration_index || ' failed'
    where c.org_id = campaign.org_id and c.id = campaign.id and c.status = 'RUNNING';
  elsif v_reason is not null then
    perform lab_private.campaign_complete(campaign.org_id, campaign.id, v_reason);
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
  set status = case when c.status = 'RUNNING' then 'COMPLETED' else c.status end::lab_data.campaign_status,
      completed_at = case when c.status = 'RUNNING' then now() end,
      stop_reason = campaign_complete.reason
  where c.org_id = campaign_complete.org and c.id = campaign_complete.campaign;
end
$$;
comment on function lab_private.campaign_complete(uuid, uuid, text) is 'Ends a running campaign.';

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
      if exists (select from lab_data.design_iterations i
                 where i.org_id = v_org and i.campaign_id = v_campaign.id and i.completed_at is null) then
        raise exception 'candidates wait for their evaluation' using errcode = 'PT409',
          detail = json_build_object('code', 'evaluation_pending', 'iteration_index', v_campaign.current_iteration - 1)::text,
          hint = 'Report them with campaign_observe.';
      end if;
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

-- ask and tell --------------------------------------------------------------

create or replace function lab.campaign_suggest(id uuid, n integer default 1)
  returns setof lab.campaign_candidates
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_org      uuid := labos.require_org_for('campaign:run');
  v_campaign lab_data.design_campaigns;
  v_open     lab_data.design_iterations;
  v_size     integer;
  v_left     integer := campaign_suggest.n;
  v_first    integer;
  v_made     integer;
  v_started  timestamptz;
begin
  if campaign_suggest.n is null or campaign_suggest.n not between 1 and 1000 then
    raise exception 'n must be between 1 and 1000' using errcode = 'PT400', detail = json_build_object('code', 'invalid_n')::text;
  end if;
  v_campaign := lab_private.campaign_lock(v_org, campaign_suggest.id);
  perform lab_private.campaign_require_running(v_campaign);
  if v_campaign.config #>> '{evaluator,kind}' <> 'external' then
    raise exception 'the campaign evaluates its candidates itself' using errcode = 'PT409',
      detail = json_build_object('code', 'evaluator_not_external')::text, hint = 'Use campaign_step.';
  end if;
  v_size := (v_campaign.config ->> 'candidates_per_iteration')::integer;
  select count(*) into v_first from lab_data.campaign_candidates c where c.org_id = v_org and c.campaign_id = v_campaign.id;

  while v_left > 0 loop
    v_started := clock_timestamp();
    select c.* into v_campaign from lab_data.design_campaigns c where c.org_id = v_org and c.id = campaign_suggest.id;
    -- The last iteration takes more until it is full; then a new one begins.
    select i.* into v_open from lab_data.design_iterations i
    where i.org_id = v_org and i.campaign_id = v_campaign.id and i.iteration_index = v_campaign.current_iteration - 1;
    if not found or v_open.created_structures >= v_size then
      exit when v_campaign.current_iteration >= v_campaign.max_iterations;
      v_open.iteration_index := v_campaign.current_iteration;
      v_open.created_structures := 0;
      v_open.id := lab_private.iteration_begin(v_campaign, v_campaign.current_iteration);
    end if;
    v_made := lab_private.campaign_propose(v_campaign, v_open.id, v_open.iteration_index,
      least(v_left, v_size - v_open.created_structures), 'pending');
    if v_made = 0 and v_open.created_structures = 0 then
      delete from lab_data.design_iterations i where i.org_id = v_org and i.id = v_open.id;
      update lab_data.design_campaigns c set current_iteration = v_open.iteration_index where c.org_id = v_org and c.id = v_campaign.id;
    else
      perform lab_private.iteration_close(v_campaign, v_open.id, extract(epoch from clock_timestamp() - v_started) * 1000,
        v_made = 0 or v_open.created_structures + v_made >= v_size);
    end if;
    exit when v_made = 0;
    v_left := v_left - v_made;
  end loop;
  if v_left = campaign_suggest.n then
    raise exception 'nothing is left to suggest' using errcode = 'PT409',
      detail = json_build_object('code', 'nothing_left', 'candidates', v_first)::text,
      hint = 'The space, the budget or max_iterations is used up.';
  end if;
  return query select c.* from lab.campaign_candidates c
  where c.org_id = v_org and c.campaign_id = campaign_suggest.id and c.slot >= v_first order by c.slot;
end
$$;
comment on function lab.campaign_suggest(uuid, integer) is
$$Ask for candidates to try

For the evaluator external: answers up to n new candidates, never one that was suggested before, to whomever. Report each with campaign_observe. Errors: 403, 404 `campaign_not_found`, 409 `campaign_not_running`, `evaluator_not_external`, `nothing_left`, 400 `invalid_n`.$$;

create or replace function lab_private.properties_require(properties jsonb, targets jsonb, what text) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_bad text;
begin
  if jsonb_typeof(properties_require.properties) is distinct from 'object' then
    v_bad := '';
  elsif pg_column_size(properties_require.properties) > 65536 then
    raise exception '% are too large', properties_require.what using errcode = 'PT400', detail = json_build_object('code', 'too_large')::text;
  else
    select e.key into v_bad from jsonb_each(properties_require.properties) e
    where case when jsonb_typeof(e.value) = 'number' then abs((e.value #>> '{}')::numeric) > 1e300 else true end
    limit 1;
  end if;
  if v_bad is not null then
    raise exception '% must be an object of finite numbers', properties_require.what using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_properties', 'argument', properties_require.what, 'property', left(v_bad, 100))::text;
  end if;
  if properties_require.targets is not null
     and not exists (select from jsonb_object_keys(properties_require.targets) k where properties_require.properties ? k) then
    raise exception 'no target property is among the properties' using errcode = 'PT400',
      detail = jsonb_build_object('code', 'no_target_property', 'targets',
        (select jsonb_agg(k) from jsonb_object_keys(properties_require.targets) k))::text;
  end if;
end
$$;
comment on function lab_private.properties_require(jsonb, jsonb, text) is '400 invalid_properties, too_large, no_target_property.';

create or replace function lab.campaign_observe(
  candidate uuid, properties jsonb default null, uncertainty jsonb default null, error text default null)
  returns lab.campaign_candidates
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_org       uuid := labos.require_org_for('campaign:run');
  v_campaign  lab_data.design_campaigns;
  v_candidate lab_data.campaign_candidates;
  v_created   integer;
  v_made      lab.campaign_candidates;
begin
  select c.* into v_candidate from lab_data.campaign_candidates c
  where c.org_id = v_org and c.id = campaign_observe.candidate
    and c.owner_id = labos.owner_for('campaign:update_any', c.owner_id);
  if not found then
    raise exception 'candidate not found' using errcode = 'PT404',
      detail = json_build_object('code', 'candidate_not_found', 'id', campaign_observe.candidate)::text;
  end if;
  v_campaign := lab_private.campaign_lock(v_org, v_candidate.campaign_id);
  if v_campaign.status not in ('RUNNING', 'PAUSED') then
    perform lab_private.campaign_require_running(v_campaign);
  end if;
  select c.* into v_candidate from lab_data.campaign_candidates c where c.org_id = v_org and c.id = campaign_observe.candidate;
  if v_candidate.state not in ('suggested', 'pending') then
    raise exception 'the candidate was evaluated already' using errcode = 'PT409',
      detail = json_build_object('code', 'already_evaluated', 'state', v_candidate.state)::text;
  end if;

  if campaign_observe.error is not null then
    update lab_data.campaign_candidates c set state = 'failed', error = left(campaign_observe.error, 2000), evaluated_at = now()
    where c.org_id = v_org and c.id = v_candidate.id;
  else
    perform lab_private.properties_require(campaign_observe.properties, v_campaign.config -> 'target_properties', 'properties');
    if campaign_observe.uncertainty is not null then
      perform lab_private.properties_require(campaign_observe.uncertainty, null, 'uncertainty');
    end if;
    update lab_data.campaign_candidates c
    set state = 'evaluated', measured = campaign_observe.properties, uncertainty = campaign_observe.uncertainty,
        (score, score_parts) = (select s.score, s.parts from labos.score(campaign_observe.properties, v_campaign.config -> 'target_properties') s),
        evaluated_at = now()
    where c.org_id = v_org and c.id = v_candidate.id;
  end if;
  select i.created_structures into v_created from lab_data.design_iterations i where i.org_id = v_org and i.id = v_candidate.iteration_id;
  perform lab_private.iteration_close(v_campaign, v_candidate.iteration_id, 0,
    v_created >= (v_campaign.config ->> 'candidates_per_iteration')::integer
    or exists (select from lab_data.design_iterations i where i.org_id = v_org and i.id = v_candidate.iteration_id and i.strategy_used is not null
               and v_campaign.config #>> '{stop,budget}' is not null
               and (select count(*) from lab_data.campaign_candidates c where c.org_id = v_org and c.campaign_id = v_campaign.id)
                   >= (v_campaign.config #>> '{stop,budget}')::bigint));
  select c.* into v_made from lab.campaign_candidates c where c.org_id = v_org and c.id = v_candidate.id;
  return v_made;
end
$$;
comment on function lab.campaign_observe(uuid, jsonb, jsonb, text) is
$$Tell what came out of a candidate

properties and standard uncertainties by name, in the units of the targets; or error, when it failed. Errors: 403, 404 `candidate_not_found`, 409 `already_evaluated`, `campaign_not_running`, 400 `invalid_properties`, `no_target_property`, `too_large`.$$;

-- look ----------------------------------------------------------------------

create or replace function lab.campaign_iterations(id uuid) returns setof lab.design_iterations
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
begin
  if not exists (select from lab.design_campaigns c where c.id = campaign_iterations.id) then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_iterations.id)::text;
  end if;
  return query select i.* from lab.design_iterations i where i.campaign_id = campaign_iterations.id order by i.iteration_index;
end
$$;
comment on function lab.campaign_iterations(uuid) is
$$Iterations of a design campaign

In order. Error: 404 `campaign_not_found`.$$;

create or replace function lab.campaign_iteration(id uuid, index integer) returns lab.design_iterations
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_iteration lab.design_iterations;
begin
  select i.* into v_iteration from lab.design_iterations i
  where i.campaign_id = campaign_iteration.id and i.iteration_index = campaign_iteration.index;
  if not found then
    raise exception 'iteration not found' using errcode = 'PT404',
      detail = json_build_object('code', 'iteration_not_found', 'id', campaign_iteration.id, 'index', campaign_iteration.index)::text;
  end if;
  return v_iteration;
end
$$;
comment on function lab.campaign_iteration(uuid, integer) is
$$One iteration of a design campaign

By its 0-based index. Error: 404 `iteration_not_found`.$$;

create or replace function lab.campaign_summary(id uuid) returns jsonb
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_campaign lab.design_campaigns;
  v_found    jsonb;
begin
  select c.* into v_campaign from lab.design_campaigns c where c.id = campaign_summary.id;
  if not found then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_summary.id)::text;
  end if;
  select jsonb_build_object(
      'candidates', count(*), 'evaluated', count(*) filter (where c.state = 'evaluated'),
      'pending', count(*) filter (where c.state in ('suggested', 'pending')), 'failed', count(*) filter (where c.state = 'failed'),
      'hits', count(*) filter (where c.score = 1), 'mean_score', avg(c.score),
      'score_distribution', (select jsonb_agg(coalesce(b.n, 0) order by k) from generate_series(1, 10) k
        left join (select least(floor(x.score * 10)::integer + 1, 10) as bin, count(*) as n from lab.campaign_candidates x
                   where x.campaign_id = v_campaign.id and x.score is not null group by 1) b on b.bin = k))
  into v_found
  from lab.campaign_candidates c where c.campaign_id = v_campaign.id;
  return jsonb_build_object(
    'id', v_campaign.id, 'name', v_campaign.name, 'status', v_campaign.status, 'stop_reason', v_campaign.stop_reason,
    'strategy', v_campaign.config ->> 'strategy', 'seed', v_campaign.seed,
    'current_iteration', v_campaign.current_iteration, 'max_iterations', v_campaign.max_iterations,
    'best_score', v_campaign.best_score, 'best_structure', v_campaign.best_structure, 'best_candidate_id', v_campaign.best_candidate_id,
    'totals', v_found,
    'iterations', (select coalesce(jsonb_agg(jsonb_build_object('index', i.iteration_index, 'best', i.best_score_this_iter,
          'best_so_far', i.metrics -> 'best_so_far', 'mean', i.metrics -> 'mean_score', 'hits', i.metrics -> 'hits',
          'wall_ms', i.metrics -> 'wall_ms') order by i.iteration_index), '[]')
        from lab.design_iterations i where i.campaign_id = v_campaign.id),
    'best_candidates', (select coalesce(jsonb_agg(to_jsonb(b) order by b.score desc, b.slot), '[]')
        from (select c.slot, coalesce(c.formula::text, c.parameters::text) as structure, c.score, c.measured
              from lab.campaign_candidates c where c.campaign_id = v_campaign.id and c.score is not null
              order by c.score desc, c.slot limit 10) b),
    'properties', (select coalesce(jsonb_object_agg(p.name, p.progress), '{}') from (
        select e.key as name, jsonb_build_object('measured', count(e.value -> 'value') filter (where jsonb_typeof(e.value -> 'value') = 'number'),
          'met', count(*) filter (where e.value ->> 'desirability' = '1'), 'best_desirability', max((e.value ->> 'desirability')::float8),
          'mean_desirability', avg((e.value ->> 'desirability')::float8)) as progress
        from lab.campaign_candidates c, lateral jsonb_each(c.score_parts) e
        where c.campaign_id = v_campaign.id group by e.key) p),
    'convergence', (select jsonb_build_object('iterations_without_improvement', v_campaign.current_iteration - 1 - max(i.iteration_index),
          'last_improvement', max(i.iteration_index))
        from lab.design_iterations i where i.campaign_id = v_campaign.id and (i.metrics ->> 'improvement')::float8 > 0),
    'estimated_remaining_ms', case when v_campaign.status in ('CREATED', 'RUNNING', 'PAUSED') then
        (select round(avg((i.metrics ->> 'wall_ms')::numeric) * (v_campaign.max_iterations - v_campaign.current_iteration), 1)
         from lab.design_iterations i where i.campaign_id = v_campaign.id) end);
end
$$;
comment on function lab.campaign_summary(uuid) is
$$Summary of a design campaign

Totals, best over time, score distribution in ten bins, the ten best candidates, progress by property, convergence, time by iteration in milliseconds. Error: 404 `campaign_not_found`.$$;

create or replace function lab.campaign_explain(candidate uuid) returns jsonb
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_candidate lab.campaign_candidates;
  v_campaign  lab.design_campaigns;
  v_names     text[];
begin
  select c.* into v_candidate from lab.campaign_candidates c where c.id = campaign_explain.candidate;
  if not found then
    raise exception 'candidate not found' using errcode = 'PT404',
      detail = json_build_object('code', 'candidate_not_found', 'id', campaign_explain.candidate)::text;
  end if;
  select c.* into v_campaign from lab.design_campaigns c where c.id = v_candidate.campaign_id;
  if v_campaign.dataset_id is not null then
    select d.feature_names into v_names from lab_data.datasets d where d.org_id = v_campaign.org_id and d.id = v_campaign.dataset_id;
  else
    -- One name a coordinate: a category has one each.
    select array_agg(n.name order by n.key, n.k) into v_names
    from (select e.key, 0 as k, e.key as name from jsonb_each(v_campaign.config -> 'search_space') e where e.value ->> 'type' <> 'categorical'
          union all
          select e.key, v.k, e.key || '=' || v.value from jsonb_each(v_campaign.config -> 'search_space') e,
            lateral jsonb_array_elements_text(e.value -> 'values') with ordinality v(value, k) where e.value ->> 'type' = 'categorical') n;
  end if;
  return jsonb_build_object(
    'id', v_candidate.id, 'campaign_id', v_candidate.campaign_id, 'slot', v_candidate.slot,
    'iteration_index', (select i.iteration_index from lab.design_iterations i where i.id = v_candidate.iteration_id),
    'structure', coalesce(v_candidate.formula::text, v_candidate.parameters::text),
    'strategy', v_candidate.reason -> 'strategy', 'rule', v_candidate.reason -> 'rule',
    'predicted', v_candidate.predicted, 'acquisition', v_candidate.acquisition, 'probability', v_candidate.reason -> 'probability',
    'observations', v_candidate.reason -> 'observations',
    'relevant_features', (select jsonb_agg(v_names[k::integer] order by n) from jsonb_array_elements_text(v_candidate.reason -> 'coordinates') with ordinality c(k, n)),
    'state', v_candidate.state, 'measured', v_candidate.measured, 'score', v_candidate.score, 'score_parts', v_candidate.score_parts,
    'rank', case when v_candidate.score is not null then 1 + (select count(*) from lab.campaign_candidates c
              where c.campaign_id = v_candidate.campaign_id and c.score > v_candidate.score) end,
    'replay', jsonb_build_object('seed', v_campaign.seed, 'slot', v_candidate.slot,
      'history', (select count(*) from lab.campaign_candidates c where c.campaign_id = v_candidate.campaign_id
                  and c.created_at < v_candidate.created_at)));
end
$$;
comment on function lab.campaign_explain(uuid) is
$$Why a candidate was proposed, and what came of it

Strategy and rule, what the model predicted and from how many observations, its three most relevant features, measured values and score. Error: 404 `candidate_not_found`.$$;

create or replace function lab.campaign_plot(id uuid) returns lab."image/svg+xml"
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  -- The drawing area within 720 x 420.
  v_left     constant numeric := 64;
  v_top      constant numeric := 52;
  v_width    constant numeric := 632;
  v_height   constant numeric := 300;
  v_campaign lab.design_campaigns;
  v_step     numeric;
  v_every    integer;
  v_body     text := '';
begin
  select c.* into v_campaign from lab.design_campaigns c where c.id = campaign_plot.id;
  if not found then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_plot.id)::text;
  end if;
  v_step := v_width / greatest(v_campaign.current_iteration, 1);
  v_every := greatest(ceil(v_campaign.current_iteration / 20.0)::integer, 1);

  select v_body || string_agg(format(
    '<line x1="%s" y1="%s" x2="%s" y2="%2$s" stroke="#e3e6ea"/><text x="%s" y="%s" text-anchor="end">%s</text>',
    v_left, v_top + v_height * (1 - t / 5.0), v_left + v_width, v_left - 8, v_top + v_height * (1 - t / 5.0) + 4, to_char(t / 5.0, 'FM0.0')), '' order by t)
  into v_body from generate_series(0, 5) t;
  select v_body || coalesce(string_agg(format('<text x="%s" y="%s" text-anchor="middle">%s</text>',
    round(v_left + v_step * (i.iteration_index + 0.5), 1), v_top + v_height + 20, i.iteration_index), '' order by i.iteration_index), '')
  into v_body from lab.design_iterations i where i.campaign_id = v_campaign.id and i.iteration_index % v_every = 0;
  -- Every candidate: spread over the width of its iteration in order of proposal.
  select v_body || coalesce(string_agg(format('<circle cx="%s" cy="%s" r="3.5" fill="%s" fill-opacity="0.55"><title>%s: %s</title></circle>',
    round(v_left + v_step * (p.iteration_index + 0.12 + 0.76 * (p.k - 0.5) / p.n), 1), round(v_top + v_height * (1 - p.score::numeric), 1),
    case when p.score = 1 then '#1b7f4b' else '#5b7fa6' end, labos.xml_text(p.structure), round(p.score::numeric, 4)), '' order by p.slot), '')
  into v_body
  from (select i.iteration_index, c.slot, c.score, left(coalesce(c.formula::text, c.parameters::text), 120) as structure,
          row_number() over (partition by i.id order by c.slot) as k, count(*) over (partition by i.id) as n
        from lab.campaign_candidates c join lab.design_iterations i on i.id = c.iteration_id
        where c.campaign_id = v_campaign.id and c.score is not null) p;
  select v_body || coalesce('<polyline fill="none" stroke="#c2410c" stroke-width="2" points="' || string_agg(format('%s,%s %s,%2$s',
      round(v_left + v_step * i.iteration_index, 1), round(v_top + v_height * (1 - (i.metrics ->> 'best_so_far')::numeric), 1),
      round(v_left + v_step * (i.iteration_index + 1), 1)), ' ' order by i.iteration_index) || '"/>', '')
  into v_body from lab.design_iterations i where i.campaign_id = v_campaign.id and i.metrics ->> 'best_so_far' is not null;

  return format('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 420" width="720" height="420" role="img" '
    'font-family="system-ui, sans-serif" font-size="12" fill="#333"><title>Scores of campaign %1$s</title>'
    '<rect width="720" height="420" fill="#fff"/>'
    '<text x="%2$s" y="24" font-size="15" font-weight="600">%1$s</text>'
    '<text x="%2$s" y="42" fill="#666">%3$s · %4$s · best score %5$s</text>%6$s'
    '<path d="M%2$s %7$s V%8$s H%9$s" fill="none" stroke="#333"/>'
    '<text x="%10$s" y="%11$s" text-anchor="middle">iteration</text>'
    '<text transform="translate(18 %12$s) rotate(-90)" text-anchor="middle">score</text>'
    '<circle cx="%13$s" cy="404" r="3.5" fill="#5b7fa6"/><text x="%14$s" y="408">candidate</text>'
    '<circle cx="%15$s" cy="404" r="3.5" fill="#1b7f4b"/><text x="%16$s" y="408">all targets met</text>'
    '<path d="M%17$s 404 h20" stroke="#c2410c" stroke-width="2"/><text x="%18$s" y="408">best so far</text></svg>',
    labos.xml_text(v_campaign.name), v_left, v_campaign.config ->> 'strategy', lower(v_campaign.status),
    coalesce(round(v_campaign.best_score::numeric, 4)::text, '–'), v_body, v_top, v_top + v_height, v_left + v_width,
    v_left + v_width / 2, v_top + v_height + 38, v_top + v_height / 2,
    v_left + 300, v_left + 308, v_left + 390, v_left + 398, v_left + 510, v_left + 536);
end
$$;
comment on function lab.campaign_plot(uuid) is
$$Progress of a design campaign as a picture

SVG: the score of every candidate by iteration, and the best so far. Error: 404 `campaign_not_found`.$$;

do $do$
declare
  v_call regprocedure;
begin
  foreach v_call in array array[
    'lab.campaign_step(uuid, integer)', 'lab.campaign_suggest(uuid, integer)', 'lab.campaign_observe(uuid, jsonb, jsonb, text)',
    'lab.campaign_iterations(uuid)', 'lab.campaign_iteration(uuid, integer)', 'lab.campaign_summary(uuid)',
    'lab.campaign_explain(uuid)', 'lab.campaign_plot(uuid)']::regprocedure[]
  loop
    execute format('revoke all on function %s from public', v_call);
    execute format('grant execute on function %s to lab_user', v_call);
  end loop;
  for v_call in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'lab_private'::regnamespace and p.proname ~ '^(campaign_|iteration_|properties_require)'
  loop
    execute format('revoke all on function %s from public', v_call);
  end loop;
end
$do$;
