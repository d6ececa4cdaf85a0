#!/usr/bin/env bash
# Formulas: reading and weighing one, beside a SQL function with regular expressions; searching 500,000 by elements, beside a
# text[] column with PostgreSQL's own GIN index. The compositions are the 4,604 of test/data/materials/expt_gap.csv, multiplied,
# so that elements are as frequent as in real life. Each figure is the median of 9 rounds.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one).
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${LABOS_BENCH_ROWS:-500000}
psql -X -q -v ON_ERROR_STOP=1 -v rows="$rows" -A -t <<'SQL'
set client_min_messages to warning;
set search_path to labos, pg_catalog;
set jit to off;
set max_parallel_workers_per_gather to 0;
create schema bench;
create table bench.gap (formula text, gap float8);
\copy bench.gap from 'test/data/materials/expt_gap.csv' csv header
create table bench.weight as select e.symbol, molar_mass(e.symbol::formula) as weight
  from (select distinct unnest(elements(formula::formula)) as symbol from bench.gap) e;
-- The peer reads flat formulas only: no brackets, hydrates or charges.
create function bench.molar_mass(formula text) returns float8 language sql stable as $$
  select sum(w.weight * coalesce(nullif(m[2], '')::float8, 1))
  from regexp_matches(formula, '([A-Z][a-z]?)([0-9.]*)', 'g') m join bench.weight w on w.symbol = m[1] $$;
create table bench.flat as select formula from bench.gap where formula !~ '[(.]';
do $$ begin
  if exists (select from bench.flat where abs(labos.molar_mass(formula::labos.formula) - bench.molar_mass(formula)) > 1e-6) then
    raise exception 'the two disagree';
  end if;
end $$;

create table bench.material as
  select i as id, ('(' || g.formula || ')' || 1 + i / 4604)::formula as f
  from generate_series(0, :rows - 1) i join (select row_number() over () - 1 as n, formula from bench.gap) g on g.n = i % 4604;
alter table bench.material add column symbols text[];
update bench.material set symbols = elements(f);
create index on bench.material using gin (f);
create index on bench.material using gin (symbols);
vacuum analyze bench.material;

create temporary table measured (kind text, round int, ours boolean, value float8);
create function bench.run(query text, n integer) returns float8 language plpgsql as $$
declare
  v_start timestamptz; v_count bigint;
begin
  execute query into v_count;
  v_start := clock_timestamp();
  for v_i in 1 .. n loop
    execute query into v_count;
  end loop;
  return extract(epoch from clock_timestamp() - v_start) * 1e6 / n;
end $$;
-- Reading: the same rows counted without work are subtracted.
insert into measured
select 'parse_mass', r, true, (bench.run('select count(molar_mass(formula::formula)) from bench.flat', 20) - bench.run('select count(formula) from bench.flat', 20)) / (select count(*) from bench.flat)
from generate_series(1, 9) r;
insert into measured
select 'parse_mass', r, false, (bench.run('select count(bench.molar_mass(formula)) from bench.flat', 1) - bench.run('select count(formula) from bench.flat', 20)) / (select count(*) from bench.flat)
from generate_series(1, 9) r;
insert into measured
select q.kind, r, q.ours, bench.run('select count(*) from bench.material where ' || q.condition, 3) / 1000
from generate_series(1, 9) r,
     (values ('contains', true, $q$f @> '{Ga,As}'$q$), ('contains', false, $q$symbols @> '{Ga,As}'$q$),
             ('system', true, $q$f <@ '{Li,Mn,Co,Ni,O}'$q$), ('system', false, $q$symbols <@ '{Li,Mn,Co,Ni,O}'$q$)) q (kind, ours, condition);

select json_build_object('name', 'formula_' || kind, 'unit', unit, 'ours', round(ours::numeric, 3), 'peer', round(peer::numeric, 3),
         'peer_name', peer_name, 'ratio', round((ours / peer)::numeric, 4), 'goal', goal, 'met', ours <= goal)
from (select kind, percentile_cont(0.5) within group (order by value) filter (where m.ours) as ours,
             percentile_cont(0.5) within group (order by value) filter (where not m.ours) as peer
      from measured m group by kind) x
join (values ('parse_mass', 'us', 0.4, 'regexp_matches in SQL'), ('contains', 'ms', 5, 'text[] with GIN'), ('system', 'ms', 20, 'text[] with GIN')) g (kind, unit, goal, peer_name) using (kind)
order by kind;
drop schema bench cascade;
SQL
