/*
 * Room: campaign
 *
 * The pure functions of design campaigns: the same input gives the same output,
 * bit for bit. Tables and calls are in the schema files 300 and 320.
 *
 * Holds    score(), campaign_config_problems(), campaign_config_canonical(), constraints_admit(),
 *          composition_descriptors(), composition_features() and their names, suggest()
 * Needs    formula
 */

create function labos.score(properties jsonb, targets jsonb, out score float8, out parts jsonb)
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_score';
comment on function labos.score(jsonb, jsonb) is
$$How good a set of properties is, 0 to 1

The weighted mean of the desirabilities (Derringer and Suich 1980) of the target properties: a window (target and tolerance, min and max, at_least, at_most) gives 1 inside and exp(-(distance / falloff)^2 / 2) outside, where falloff is the tolerance, half the width, or a tenth of the bound unless given; maximize and minimize give a ramp from low to high, to the power exponent (1). A missing property gives 0 for its part. Weights are normalised. Error: LB601 for invalid targets, 22003 for a number beyond float8.$$;

create function labos.campaign_config_problems(config jsonb)
  returns table (path text, code text, message text)
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_campaign_config_problems';
comment on function labos.campaign_config_problems(jsonb) is
$$Every problem of a campaign's configuration

One row a problem (at most 200) with its JSON path, a stable code and a sentence; no row for a valid configuration.$$;

create function labos.campaign_config_canonical(config jsonb) returns jsonb
  language sql immutable strict parallel safe
  return pg_catalog.jsonb_build_object(
      'max_iterations', 10, 'candidates_per_iteration', 10, 'strategy', 'bayesian',
      'strategy_options', '{}'::pg_catalog.jsonb, 'constraints', '{}'::pg_catalog.jsonb, 'stop', '{}'::pg_catalog.jsonb)
    operator(pg_catalog.||) pg_catalog.jsonb_strip_nulls(config)
    operator(pg_catalog.||) case pg_catalog.jsonb_typeof(config operator(pg_catalog.->) 'evaluator')
         when 'string' then pg_catalog.jsonb_build_object('evaluator', pg_catalog.jsonb_build_object('kind', config operator(pg_catalog.->) 'evaluator'))
         else '{}'::pg_catalog.jsonb end;
comment on function labos.campaign_config_canonical(jsonb) is
  'A valid configuration with the defaults filled in and the evaluator as an object; nulls are left out.';

create function labos.constraints_admit(constraints jsonb, formula labos.formula, parameters jsonb) returns boolean
  language c immutable parallel safe as 'MODULE_PATHNAME', 'labos_constraints_admit';
comment on function labos.constraints_admit(jsonb, labos.formula, jsonb) is
$$Does a candidate of a pool meet a campaign's constraints?

Elements, number of atoms of the formula as written, composition (atomic fractions), parameter bounds and linear constraints. What a constraint asks about and the candidate lacks is not met. Error: LB601 invalid constraints.$$;

create function labos.composition_descriptors(formula labos.formula) returns float8[]
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_composition_descriptors';
comment on function labos.composition_descriptors(labos.formula) is
$$Numbers that describe a composition

Mean by atomic fraction, mean absolute deviation, minimum, maximum and range of twelve properties of its elements, in the order of composition_descriptor_names(). Radii in pm, ionisation energies in eV, weights in g/mol, polarisabilities in atomic units. Error: LB202 for an element beyond Lr.$$;
create function labos.composition_descriptor_names() returns text[]
  language c immutable parallel safe as 'MODULE_PATHNAME', 'labos_composition_descriptor_names';
comment on function labos.composition_descriptor_names() is 'Names of the composition descriptors, in order: property_statistic.';

create function labos.composition_features(formula labos.formula) returns float8[]
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_composition_features';
comment on function labos.composition_features(labos.formula) is
  'The composition descriptors that the models of campaigns use, in the order of composition_feature_names(). Error: LB202.';
create function labos.composition_feature_names() returns text[]
  language c immutable parallel safe as 'MODULE_PATHNAME', 'labos_composition_feature_names';
comment on function labos.composition_feature_names() is 'Names of the composition features, in order.';

create function labos.suggest(
  config jsonb, seed bigint, iteration integer, slot integer, n integer,
  history jsonb default '[]', pool float8[] default null)
  returns table (slot_no integer, pool_row integer, parameters jsonb, acquisition float8, predicted jsonb, reason jsonb)
  language c immutable parallel safe rows 10 cost 100000 as 'MODULE_PATHNAME', 'labos_suggest';
comment on function labos.suggest(jsonb, bigint, integer, integer, integer, jsonb, float8[]) is
$$Which candidates to try next

A pure function: the same configuration, seed, place (iteration, first slot) and history give the same rows. history: [{"parameters": {...} or "row": k, "properties": {...} or "pending": true}]; pool: one row of descriptors a candidate, null with a search_space. What the history holds is not proposed again; fewer than n rows come when nothing is left. acquisition is a natural logarithm. Errors: LB601 invalid configuration, 22023 wrong n, history or pool.$$;

create function labos.xml_text(value text) returns text
  language sql immutable strict parallel safe
  -- Control characters have no place in XML at all.
  return pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
    pg_catalog.regexp_replace(value, '[\x01-\x08\x0b\x0c\x0e-\x1f]', '', 'g'),
    '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;');
comment on function labos.xml_text(text) is 'Text as it may stand in XML content and attributes.';
