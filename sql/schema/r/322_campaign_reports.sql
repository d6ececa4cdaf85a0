/*
 * Room: campaigns, reports (repeatable half)
 *
 * Reading a campaign: iterations, summary, explanation, picture. All run with
 * the caller's rights; row security decides what there is.
 */

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
      'history', v_candidate.reason -> 'history'));
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
    '<line x1="%1$s" y1="%2$s" x2="%3$s" y2="%2$s" stroke="#e3e6ea"/><text x="%4$s" y="%5$s" text-anchor="end">%6$s</text>',
    v_left, v_top + v_height * (1 - t / 5.0), v_left + v_width, v_left - 8, v_top + v_height * (1 - t / 5.0) + 4, to_char(t / 5.0, 'FM0.0')), '' order by t)
  into v_body from generate_series(0, 5) t;
  select v_body || coalesce(string_agg(format('<text x="%s" y="%s" text-anchor="middle">%s</text>',
    round(v_left + v_step * (i.iteration_index + 0.5), 1), v_top + v_height + 20, i.iteration_index), '' order by i.iteration_index), '')
  into v_body from lab.design_iterations i where i.campaign_id = v_campaign.id and i.iteration_index % v_every = 0;
  select v_body || coalesce('<polyline fill="none" stroke="#c2410c" stroke-width="2" points="' || string_agg(format('%s,%s %s,%2$s',
      round(v_left + v_step * i.iteration_index, 1), round(v_top + v_height * (1 - (i.metrics ->> 'best_so_far')::numeric), 1),
      round(v_left + v_step * (i.iteration_index + 1), 1)), ' ' order by i.iteration_index) || '"/>', '')
  into v_body from lab.design_iterations i where i.campaign_id = v_campaign.id and i.metrics ->> 'best_so_far' is not null;
  -- Every candidate: spread over the width of its iteration in order of proposal.
  select v_body || coalesce(string_agg(format('<circle cx="%s" cy="%s" r="%s" fill="%s" fill-opacity="%s"><title>%s: %s</title></circle>',
    round(v_left + v_step * (p.iteration_index + 0.12 + 0.76 * (p.k - 0.5) / p.n), 1), round(v_top + v_height * (1 - p.score::numeric), 1),
    case when p.score = 1 then '4.5' else '3.5' end, case when p.score = 1 then '#1b7f4b' else '#5b7fa6' end,
    case when p.score = 1 then '0.9' else '0.55' end, labos.xml_text(p.structure), round(p.score::numeric, 4)), '' order by p.slot), '')
  into v_body
  from (select i.iteration_index, c.slot, c.score, left(coalesce(c.formula::text, c.parameters::text), 120) as structure,
          row_number() over (partition by i.id order by c.slot) as k, count(*) over (partition by i.id) as n
        from lab.campaign_candidates c join lab.design_iterations i on i.id = c.iteration_id
        where c.campaign_id = v_campaign.id and c.score is not null) p;

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
revoke all on function lab.campaign_iterations(uuid) from public;
grant execute on function lab.campaign_iterations(uuid) to lab_user;
revoke all on function lab.campaign_iteration(uuid, integer) from public;
grant execute on function lab.campaign_iteration(uuid, integer) to lab_user;
revoke all on function lab.campaign_summary(uuid) from public;
grant execute on function lab.campaign_summary(uuid) to lab_user;
revoke all on function lab.campaign_explain(uuid) from public;
grant execute on function lab.campaign_explain(uuid) to lab_user;
revoke all on function lab.campaign_plot(uuid) from public;
grant execute on function lab.campaign_plot(uuid) to lab_user;
