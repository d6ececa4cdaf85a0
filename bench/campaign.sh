#!/usr/bin/env bash
# Design campaigns: hits on measured band gaps (model beside chance, 20 seeds), cost of one bayesian suggestion at six
# dimensions and 50 observations beside scikit-learn's Gaussian process with expected improvement, and regret on two test
# functions after 50 evaluations.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one). The peer is
# Debian's python3-sklearn, installed if this may; without it the line says so.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
py=/usr/bin/python3
"$py" -c 'import sklearn, scipy' 2>/dev/null || { [ "$(id -u)" = 0 ] && apt-get install -y -q python3-sklearn >/dev/null 2>&1; } || true
peer=$(OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$py" - <<'P' 2>/dev/null || echo null
import time, warnings
import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm, qmc
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
warnings.filterwarnings('ignore')
rng = np.random.default_rng(1)
X = qmc.Sobol(6, seed=1).random(50)
y = np.sin(3 * X).sum(1) + X[:, 0] * X[:, 1]
times = []
for k in range(5):
    t = time.process_time()
    gp = GaussianProcessRegressor(ConstantKernel() * Matern(np.ones(6), nu=2.5) + WhiteKernel(1e-4), normalize_y=True, n_restarts_optimizer=1).fit(X, y)
    best = y.max()
    def ei(Z):
        m, s = gp.predict(np.atleast_2d(Z), return_std=True)
        z = (m - best) / np.maximum(s, 1e-12)
        return s * (z * norm.cdf(z) + norm.pdf(z))
    C = qmc.Sobol(6, seed=k).random(1024)
    top = C[np.argsort(-ei(C))[:3]]
    for x in top:
        minimize(lambda z: -ei(z)[0], x, bounds=[(0, 1)] * 6, method='L-BFGS-B')
    times.append(time.process_time() - t)
print(round(1000 * sorted(times)[2], 3))
P
)
{
  cat <<'SQL'
set client_min_messages to warning;
drop schema if exists bench cascade;
create schema bench;
create table bench.line (k integer, fields text[]);
create function bench.minimise(f text, d integer, lo float8, hi float8, seed integer, steps integer) returns float8 language plpgsql as $$
declare
  v_config  jsonb := jsonb_build_object('target_properties', '{"f":{"minimize":true,"low":0,"high":300}}'::jsonb, 'evaluator', 'external',
    'strategy', 'bayesian', 'search_space', (select jsonb_object_agg('x' || k, jsonb_build_object('type', 'float',
      'min', case when f = 'branin' and k = 1 then -5 when f = 'branin' then 0 else lo end, 'max', case when f = 'branin' and k = 1 then 10 when f = 'branin' then 15 else hi end)) from generate_series(1, d) k));
  v_history jsonb := '[]';
  v_best    float8 := 'infinity';
  v_point   jsonb;
  v_value   float8;
begin
  for k in 0 .. steps - 1 loop
    select s.parameters into strict v_point from labos.suggest(v_config, seed, k, k, 1, v_history) s;
    execute format('select bench.%I($1)', f) into v_value using v_point;
    v_best := least(v_best, v_value);
    v_history := v_history || jsonb_build_array(jsonb_build_object('parameters', v_point, 'properties', jsonb_build_object('f', v_value)));
  end loop;
  return v_best;
end $$;
create function bench.branin(p jsonb) returns float8 language sql as $$
  select (y - 5.1 * x * x / (4 * pi() * pi()) + 5 * x / pi() - 6) ^ 2 + 10 * (1 - 1 / (8 * pi())) * cos(x) + 10 - 0.397887357729739
  from (select (p ->> 'x1')::float8 as x, (p ->> 'x2')::float8 as y) v $$;
create function bench.hartmann6(p jsonb) returns float8 language sql as $$
  select 3.32236801141551 - sum(c[i] * exp(-(select sum(a[i][j] * ((p ->> ('x' || j))::float8 - q[i][j] * 1e-4) ^ 2) from generate_series(1, 6) j)))
  from (select array[1, 1.2, 3, 3.2]::float8[] as c, array[[10,3,17,3.5,1.7,8],[0.05,10,17,0.1,8,14],[3,3.5,1.7,10,17,8],[17,8,0.05,10,0.1,14]]::float8[] as a,
    array[[1312,1696,5569,124,8283,5886],[2329,4135,8307,3736,1004,9991],[2348,1451,3522,2883,3047,6650],[4047,8828,8732,5743,1091,381]]::float8[] as q) v,
  generate_series(1, 4) i $$;

-- Hits: 5 steps of 10 on the pool without Pb, Cd and Hg.
create temporary table raw as select ("row" - 1)::integer as k, fields[1]::labos.formula as formula, fields[2]::float8 as gap from labos.csv_parse(:'csv') where "row" > (select min("row") from labos.csv_parse(:'csv'));
create table bench.pool as select row_number() over (order by k)::integer as k, gap, labos.composition_features(formula) as x from raw
where labos.constraints_admit('{"excluded_elements":["Pb","Cd","Hg"]}', formula, null);
create function bench.hits(strategy text, seed integer, pool float8[]) returns integer language plpgsql as $$
declare
  v_config  jsonb := jsonb_build_object('target_properties', '{"gap":{"target":1.5,"tolerance":0.3}}'::jsonb, 'evaluator', '{"kind":"dataset","dataset":"x"}'::jsonb, 'strategy', strategy);
  v_history jsonb := '[]';
begin
  for k in 0 .. 4 loop
    select v_history || jsonb_agg(jsonb_build_object('row', p.k, 'properties', jsonb_build_object('gap', p.gap)) order by s.slot_no) into v_history
    from labos.suggest(v_config, seed, k, k * 10, 10, v_history, pool) s join bench.pool p on p.k = s.pool_row;
  end loop;
  return (select count(*) from jsonb_array_elements(v_history) e where (e #>> '{properties,gap}')::float8 between 1.2 and 1.8);
end $$;
select array_agg(x order by k) as pool from bench.pool \gset
create temporary table found as select strategy, bench.hits(strategy, seed, :'pool') as hits from unnest(array['random', 'bayesian']) strategy, generate_series(1, 20) seed;

-- Cost of one suggestion, median of 21.
create temporary table cost (ms float8);
do $do$
declare
  v_config  jsonb := jsonb_build_object('target_properties', '{"f":{"maximize":true,"low":0,"high":10}}'::jsonb, 'evaluator', 'external',
    'search_space', (select jsonb_object_agg('x' || k, '{"type":"float","min":0,"max":1}'::jsonb) from generate_series(1, 6) k));
  v_history jsonb;
  v_start   timestamptz;
begin
  select jsonb_agg(jsonb_build_object('parameters', s.parameters, 'properties', jsonb_build_object('f', (select sum(sin(3 * e.value::text::float8)) from jsonb_each(s.parameters) e)))) into v_history
  from labos.suggest(v_config || '{"strategy":"sobol"}', 1, 0, 0, 50) s;
  for k in 1 .. 21 loop
    v_start := clock_timestamp();
    perform labos.suggest(v_config, k, 1, 50, 1, v_history);
    insert into cost values (extract(epoch from clock_timestamp() - v_start) * 1000);
  end loop;
end $do$;
create temporary table regret as
select 'branin' as f, bench.minimise('branin', 2, 0, 1, seed, 50) as r from generate_series(1, 20) seed
union all select 'hartmann6', bench.minimise('hartmann6', 6, 0, 1, seed, 50) from generate_series(1, 20) seed;

select json_build_object('name', 'campaign_hits_5x10', 'unit', 'hits of 50, mean of 20 seeds', 'ours', avg(hits) filter (where strategy = 'bayesian'),
  'peer', avg(hits) filter (where strategy = 'random'), 'peer_name', 'strategy random, same pool',
  'ratio', round(avg(hits) filter (where strategy = 'bayesian') / avg(hits) filter (where strategy = 'random'), 2), 'goal', 2,
  'met', avg(hits) filter (where strategy = 'bayesian') >= 2 * avg(hits) filter (where strategy = 'random')) from found;
select json_build_object('name', 'campaign_suggest_6d_50', 'unit', 'ms', 'ours', round(ms::numeric, 3), 'peer', :peer::numeric, 'peer_name', 'scikit-learn GP-EI',
  'ratio', round(:peer::numeric / ms::numeric, 1), 'goal', 6, 'met', ms <= 6) from (select percentile_cont(0.5) within group (order by ms) as ms from cost) x;
select json_build_object('name', 'campaign_regret_branin', 'unit', 'median regret after 50', 'ours', percentile_cont(0.5) within group (order by r), 'peer', 4.0e-4,
  'peer_name', 'scikit-learn GP-EI (measured when planned)', 'ratio', null, 'goal', 1e-4, 'met', percentile_cont(0.5) within group (order by r) <= 1e-4) from regret where f = 'branin';
select json_build_object('name', 'campaign_regret_hartmann6', 'unit', 'mean regret after 50', 'ours', avg(r), 'peer', 0.106,
  'peer_name', 'scikit-learn GP-EI (measured when planned)', 'ratio', null, 'goal', 0.12, 'met', avg(r) <= 0.12) from regret where f = 'hartmann6';
drop schema bench cascade;
SQL
} | psql -X -q -v ON_ERROR_STOP=1 -A -t -v csv="$(cat "$top/test/data/materials/expt_gap.csv")" -v peer="${peer:-null}"
