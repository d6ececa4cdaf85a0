-- Numbers behind the campaigns: descriptors and suggestions as pure functions.
\pset null null
-- Descriptors of gallium nitride: means of two elements half and half, ranges, deviations.
select n, round(d::numeric, 4) from unnest(labos.composition_descriptor_names(), labos.composition_descriptors('GaN')) x(n, d);
select cardinality(labos.composition_feature_names()) = cardinality(labos.composition_features('MoS2')) as as_many_names, cardinality(labos.composition_features('MoS2'));
-- How it is written does not matter; an element is its own mean.
select labos.composition_features('Ca3(PO4)2') = labos.composition_features('P2O8Ca3') as same, labos.composition_features('GaN') = labos.composition_features('Ga2N2') as scaled;
-- Constraints on compositions.
select f, labos.constraints_admit('{"excluded_elements":["Pb"]}', f, null) as no_lead, labos.constraints_admit('{"allowed_elements":["Ti","O","Pb"]}', f, null) as allowed,
  labos.constraints_admit('{"required_elements":["Ti","O"]}', f, null) as required, labos.constraints_admit('{"max_atoms":3}', f, null) as small,
  labos.constraints_admit('{"composition":{"O":{"min":0.6}}}', f, null) as oxygen_rich
from unnest(array['TiO2', 'PbTiO3', 'GaN']::labos.formula[]) f;
select labos.constraints_admit(null, 'GaN', null) as none, labos.constraints_admit('{}', null, null) as empty, labos.constraints_admit('{"excluded_elements":["Pb"]}', null, null) as no_formula,
  labos.constraints_admit('{"parameters":{"x":{"max":1}}}', null, '{"x":0.5}') as within, labos.constraints_admit('{"parameters":{"x":{"max":1}}}', null, '{"x":2}') as beyond,
  labos.constraints_admit('{"linear":[{"terms":{"x":1,"y":2},"at_most":3}]}', null, '{"x":1,"y":1}') as linear, labos.constraints_admit('{"linear":[{"terms":{"x":1,"y":2},"at_most":3}]}', null, '{"x":1,"y":1.5}') as over;

-- Suggestions -----------------------------------------------------------------------------
create temp table space as select strategy, format('{"target_properties":{"f":{"minimize":true,"low":0,"high":300}},"evaluator":"external","strategy":"%s",
  "search_space":{"x":{"type":"float","min":-5,"max":10},"y":{"type":"float","min":0,"max":15}}}', strategy)::jsonb as config from unnest(array['random', 'sobol', 'bayesian']) strategy;
-- Every strategy stays inside, is the same again, and another seed is another answer.
select strategy, count(*), bool_and((a.parameters ->> 'x')::float8 between -5 and 10 and (a.parameters ->> 'y')::float8 between 0 and 15) as inside,
  bool_and(a.parameters = b.parameters) as again, bool_or(a.parameters = c.parameters) as other_seed
from space, labos.suggest(config, 42, 0, 0, 8) a join labos.suggest(config, 42, 0, 0, 8) b using (slot_no) join labos.suggest(config, 43, 0, 0, 8) c using (slot_no)
group by strategy order by strategy;
-- Sobol points fill the square: each quarter gets a quarter of them.
select (parameters ->> 'x')::float8 > 2.5 as right, (parameters ->> 'y')::float8 > 7.5 as top, count(*) from space, labos.suggest(config, 42, 0, 0, 64) where strategy = 'sobol' group by 1, 2 order by 1, 2;

-- Branin's function, minimum 0.397887: forty evaluations come within a thousandth.
create function pg_temp.branin(p jsonb) returns float8 language sql as $$
  select (y - 5.1 * x * x / (4 * pi() * pi()) + 5 * x / pi() - 6) ^ 2 + 10 * (1 - 1 / (8 * pi())) * cos(x) + 10 from (select (p ->> 'x')::float8 as x, (p ->> 'y')::float8 as y) v $$;
create function pg_temp.minimise(config jsonb, seed integer, steps integer) returns float8 language plpgsql as $$
declare v_history jsonb := '[]'; v_best float8 := 'infinity'; v_point jsonb;
begin
  for k in 0 .. steps - 1 loop
    select s.parameters into strict v_point from labos.suggest(config, seed, k, k, 1, v_history) s;
    v_best := least(v_best, pg_temp.branin(v_point));
    v_history := v_history || jsonb_build_array(jsonb_build_object('parameters', v_point, 'properties', jsonb_build_object('f', pg_temp.branin(v_point))));
  end loop;
  return v_best;
end $$;
select count(*) filter (where pg_temp.minimise(config, seed, 40) - 0.397887 < 1e-3) as within_a_thousandth from space, generate_series(1, 3) seed where strategy = 'bayesian';
-- Predictions pass near what was observed, and are unsure where nothing was.
with history as (select jsonb_agg(jsonb_build_object('parameters', s.parameters, 'properties', jsonb_build_object('f', pg_temp.branin(s.parameters)))) as h from space, labos.suggest(config, 1, 0, 0, 20) s where strategy = 'sobol')
select s.predicted #>> '{f,mean}' is not null as has_mean, (s.predicted #>> '{f,sd}')::float8 > 0 as has_sd, s.reason ->> 'rule' as rule from space, history, labos.suggest(config, 1, 1, 20, 3, h) s where strategy = 'bayesian';

-- Discrete spaces: nothing twice, and when it is used up nothing more comes.
create temp table grid as select strategy, format('{"target_properties":{"f":{"target":1,"tolerance":1}},"evaluator":"external","strategy":"%s",
  "search_space":{"a":{"type":"categorical","values":["p","q","r"]},"n":{"type":"int","min":1,"max":4}},"constraints":{"parameters":{"n":{"max":3}}}}', strategy)::jsonb as config from unnest(array['random', 'sobol', 'bayesian']) strategy;
select strategy, count(*), count(distinct parameters) as different from grid, labos.suggest(config, 7, 0, 0, 20) group by 1 order by 1;
with seen as (select jsonb_agg(jsonb_build_object('parameters', parameters, 'properties', jsonb_build_object('f', slot_no))) as h from grid, labos.suggest(config, 7, 0, 0, 7) where strategy = 'random')
select strategy, count(*), count(distinct s.parameters) as different, bool_or(h @> jsonb_build_array(jsonb_build_object('parameters', s.parameters))) as repeated from grid, seen, labos.suggest(config, 7, 1, 7, 20, h) s group by 1 order by 1;

-- Pools: constant columns, equal values and single rows do no harm.
create temp table pool as select '{"target_properties":{"f":{"target":1,"tolerance":0.1}},"evaluator":{"kind":"dataset","dataset":"x"},"strategy":"bayesian","strategy_options":{"initial_candidates":2}}'::jsonb as config;
select pool_row, reason ->> 'rule' as rule from pool, labos.suggest(config, 1, 1, 2, 5, '[{"row":1,"properties":{"f":3}},{"row":2,"properties":{"f":3}}]', '{{1,5},{1,6},{1,7},{1,8}}') order by 1;
select count(*) from pool, labos.suggest(config, 1, 0, 0, 5, '[]', '{{1,5}}');
select count(*) from pool, labos.suggest(config, 1, 0, 0, 5, '[]', '{}');
-- The nearest to what is wanted comes first: f = first column, target 1.
select pool_row from pool, labos.suggest(config, 1, 1, 4, 1, '[{"row":1,"properties":{"f":0}},{"row":2,"properties":{"f":0.5}},{"row":3,"properties":{"f":2}},{"row":4,"properties":{"f":3}}]', '{{0},{0.5},{2},{3},{1},{2.6}}');
-- Wrong arguments are named.
select test.error_of(format('select * from pg_temp.pool, labos.suggest(config, 1, 0, 0, %s, %L, %L)', n, h, p)) from (values
  ('0', '[]', '{{1}}'), ('1001', '[]', '{{1}}'), ('1', '{}', '{{1}}'), ('1', '[1]', '{{1}}'), ('1', '[{"row":2}]', '{{1}}'), ('1', '[{}]', '{{1}}'), ('1', '[]', '{1,2}'),
  ('1', '[]', '{{1},{NaN}}'), ('1', '[]', '{{1},{NULL}}'), ('1', '[]', null), ('1', '[{"row":1,"properties":[]}]', '{{1}}')) x(n, h, p);
select test.error_of($$select * from labos.suggest('{}', 1, 0, 0, 1)$$), test.error_of($$select * from pg_temp.space, labos.suggest(config, 1, 0, 0, 1, '[{"parameters":{"x":1}}]')$$);
-- A history is bounded; more are pending than a model believes, and nothing is proposed twice.
select test.error_of(format('select * from pg_temp.pool, labos.suggest(config, 1, 0, 0, 1, %L, %L)', '[' || repeat('{},', 100000) || '{}]', '{{1}}')) as long_history;
select count(*), count(distinct pool_row), min(pool_row) > 500 as new_ones from pool,
  labos.suggest(config, 1, 1, 0, 3, (select jsonb_agg(jsonb_build_object('row', i) || case when i < 4 then '{"properties":{"f":1}}'::jsonb else '{"pending":true}' end) from generate_series(1, 500) i),
                (select array_agg(array[i::float8]) from generate_series(1, 520) i));
-- Values at the edge of float8 give rows, not errors.
select count(*) from pool, labos.suggest(config, 1, 1, 2, 2, '[{"row":1,"properties":{"f":1.7e308}},{"row":2,"properties":{"f":-1.7e308}},{"row":3,"properties":{"f":5e-324}}]', '{{1},{2},{3},{4},{5}}');
-- Each row has its own constraints: what was checked last is kept, not all of them.
select count(*) filter (where labos.constraints_admit(jsonb_build_object('min_atoms', 1 + i % 7), 'Fe2O3', null)) from generate_series(1, 700) i;
-- Null in, nothing out.
select count(*) from labos.suggest(null, 1, 0, 0, 1);
