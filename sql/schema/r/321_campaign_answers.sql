/*
 * Room: campaigns, ask and tell (repeatable half)
 *
 * For the evaluator external: a person, robot or agent asks for candidates and
 * reports what came out. Both calls lock the campaign's row, so that nothing is
 * handed out twice.
 */

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
  v_iteration lab_data.design_iterations;
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
  select i.* into v_iteration from lab_data.design_iterations i where i.org_id = v_org and i.id = v_candidate.iteration_id;
  perform lab_private.iteration_close(v_campaign, v_candidate.iteration_id, 0,
    -- Nothing more comes into an iteration that is full, or not the last, or when the budget is used up.
    v_iteration.created_structures >= (v_campaign.config ->> 'candidates_per_iteration')::integer
    or v_iteration.iteration_index < v_campaign.current_iteration - 1
    or coalesce((select count(*) from lab_data.campaign_candidates c where c.org_id = v_org and c.campaign_id = v_campaign.id)
                >= (v_campaign.config #>> '{stop,budget}')::bigint, false));
  select c.* into v_made from lab.campaign_candidates c where c.org_id = v_org and c.id = v_candidate.id;
  return v_made;
end
$$;
comment on function lab.campaign_observe(uuid, jsonb, jsonb, text) is
$$Tell what came out of a candidate

properties and standard uncertainties by name, in the units of the targets; or error, when it failed. Errors: 403, 404 `candidate_not_found`, 409 `already_evaluated`, `campaign_not_running`, 400 `invalid_properties`, `no_target_property`, `too_large`.$$;
revoke all on function lab.campaign_suggest(uuid, integer) from public;
grant execute on function lab.campaign_suggest(uuid, integer) to lab_user;
revoke all on function lab.campaign_observe(uuid, jsonb, jsonb, text) from public;
grant execute on function lab.campaign_observe(uuid, jsonb, jsonb, text) to lab_user;
revoke all on function lab_private.properties_require(jsonb, jsonb, text) from public;
