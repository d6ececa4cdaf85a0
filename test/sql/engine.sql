-- Simulation engines: pure functions that take hostile input and give the same bytes everywhere.
\set VERBOSITY terse

-- Seven engines on three scales.
select scale, name, aliases, version, title, fidelities from labos.engines();

-- Every parameter has a type, a unit, a description and a default.
select e.name, p.key, p.value ->> 'type' as type, p.value ->> 'unit' as unit, p.value -> 'default' as default,
       coalesce(p.value -> 'minimum', p.value #> '{items,minimum}') as minimum,
       coalesce(p.value -> 'maximum', p.value #> '{items,maximum}') as maximum
from labos.engines() e, jsonb_each(e.parameters -> 'properties') p
order by e.scale, e.name, p.key;
select count(*) as incomplete
from labos.engines() e, jsonb_each(e.parameters -> 'properties') p
where not p.value ?& '{type,unit,description,default}';

-- Every default lies within its own limits.
select name, labos.engine_parameter_problems(name, '{}') as problems from labos.engines();

-- Names and aliases are found in any case; anything else is no engine.
select n, labos.engine_name(n) as name, labos.engine_scale(n) as scale
from unnest('{PHASE_FIELD,pf,mc,Potts,kinetic-monte-carlo,finite element,FVM,bem,dft,atomic,"",PF2,P,"PF,",PHASE_FIELD\n,ÄTOMIC}'::text[]) n;
select labos.engine_run('LAMMPS', '{}');

-- A result has exactly the shape that the registry promises.
create function pg_temp.shape(value jsonb) returns jsonb language sql immutable as $$
  select case jsonb_typeof(value)
    when 'object' then (select coalesce(jsonb_object_agg(m.key, pg_temp.shape(m.value)), '{}') from jsonb_each(value) m)
    when 'array' then jsonb_build_array(pg_temp.shape(value -> 0)) else '"x"' end
$$;
select name, pg_temp.shape(labos.engine_run(name, '{}')) = pg_temp.shape(results) as as_promised from labos.engines();

-- Golden outputs: these bytes may only change together with the engine's version.
select e.name, e.version, labos.engine_run(e.name, '{}') as result from labos.engines() e;
create temp table golden (id int, engine text, parameters jsonb, seed bigint);
insert into golden values
  (1, 'ATOMIC', '{"formula": "GaAs", "functional": "HSE06", "n_atoms": 8}', 1),
  (2, 'ATOMIC', '{"formula": "Fe2O3", "cutoff_ev": 120, "k_points": [1, 1, 1], "relax": false}', -1),
  (3, 'PHASE_FIELD', '{"timesteps": 100000, "temperature_k": 1400, "grid": [256, 256]}', 42),
  (4, 'PHASE_FIELD', '{"grid": [64, 64, 64], "spacing_um": 0.01, "composition": 0.5, "initial_grains": 1000}', 9223372036854775807),
  (5, 'PHASE_FIELD', '{"temperature_k": 2500, "activation_energy_ev": 4, "timesteps": 1}', 7),
  (6, 'MONTE_CARLO', '{"grid": [100, 100, 100], "timesteps": 50, "reduced_temperature": 0}', 3),
  (7, 'MONTE_CARLO', '{"q_states": 2, "timesteps": 10000000, "reduced_temperature": 2}', -9223372036854775808),
  (8, 'KMC', '{"lattice": "square", "grid": [100, 100], "temperature_k": 300, "events": 1}', 5),
  (9, 'KMC', '{"lattice": "BCC", "activation_energy_ev": 4, "temperature_k": 200, "vacancy_fraction": 0.5}', 5),
  (10, 'FEM', '{"second_phase_fraction": 0.5, "youngs_modulus_gpa": 70, "poissons_ratio": 0.33}', 11),
  (11, 'FEM', '{"mesh": [4, 4], "porosity": 0.2, "applied_stress_mpa": -50, "grain_size_um": 0.01, "max_iterations": 3}', 11),
  (12, 'FVM', '{"second_phase_fraction": 0.3, "inlet_velocity_m_s": 2, "grain_size_um": 0.1}', 13),
  (13, 'FVM', '{"mesh": [8, 8, 8], "inlet_velocity_m_s": 0, "cold_temperature_k": 400}', 13),
  (14, 'BEM', '{"shape": "CUBE", "size_m": 1, "panels": 2400}', 17),
  (15, 'BEM', '{"potential_v": -5, "porosity": 0.5, "second_phase_fraction": 0.25, "second_phase_permittivity": 80}', 17);
select id, engine, labos.engine_run(engine, parameters, seed) as result from golden order by id;
-- One figure for all of them, and many more, to compare between compilers.
select encode(sha256(convert_to(string_agg(labos.engine_run(engine, parameters, seed + k)::text, E'\n' order by id, k), 'UTF8')), 'hex') as fingerprint
from (select * from golden where seed between -1000 and 1000) g, generate_series(-50, 50) k;

-- Defaults spelled out, 1 for 1.0, another order of keys and null for absent are the same run; another seed is not.
select labos.engine_run('PF', '{"composition": 0.3, "grid": [128.0, 128], "timestep_s": 1.000, "spacing_um": null}') = labos.engine_run('PHASE_FIELD', '{}') as same;
select labos.engine_run('FEM', '{"length_mm": 1e2, "porosity": -0.0}') = labos.engine_run('FEM', '{"porosity": 0}') as same;
select labos.engine_run('DFT', '{"formula": "O3Fe2"}') = labos.engine_run('DFT', '{"formula": "Fe4O6"}') as one_material;
select name, labos.engine_run(name, '{}', 1) <> labos.engine_run(name, '{}', 2) as differs from labos.engines();
select labos.engine_prepare('PF', '{"timesteps": 1000}') ->> 'parameters_hash' = labos.engine_prepare('phase_field', '{}') ->> 'parameters_hash' as same_hash,
       labos.engine_prepare('PF', '{"timesteps": 1001}') ->> 'parameters_hash' = labos.engine_prepare('PF', '{}') ->> 'parameters_hash' as other_hash;
select name, labos.engine_prepare(name, '{}') - 'parameters' as prepared from labos.engines();

-- Results answer parameters in the right direction, whatever the seed.
select bool_and((labos.engine_run('PF', '{"temperature_k": 1200}', s) #>> '{microstructure_metrics,mean_grain_size_um}')::float8
              > (labos.engine_run('PF', '{"temperature_k": 1000}', s) #>> '{microstructure_metrics,mean_grain_size_um}')::float8) as hotter_coarser,
       bool_and((labos.engine_run('PF', '{"timesteps": 5000}', s) #>> '{microstructure_metrics,n_grains}')::int
              < (labos.engine_run('PF', '{"timesteps": 100}', s) #>> '{microstructure_metrics,n_grains}')::int) as longer_fewer,
       bool_and((labos.engine_run('PF', '{"composition": 0.6}', s) #>> '{microstructure_metrics,phase_fractions,beta}')::float8
              > (labos.engine_run('PF', '{"composition": 0.3}', s) #>> '{microstructure_metrics,phase_fractions,beta}')::float8) as richer_more_beta,
       bool_and((labos.engine_run('MC', '{"timesteps": 4000}', s) #>> '{grain_size_distribution,mean_um}')::float8
              > (labos.engine_run('MC', '{"timesteps": 1000}', s) #>> '{grain_size_distribution,mean_um}')::float8 * 1.8) as square_root_law,
       bool_and((labos.engine_run('KMC', '{"temperature_k": 1100}', s) ->> 'diffusion_coefficient_m2_s')::float8
              > (labos.engine_run('KMC', '{"temperature_k": 1000}', s) ->> 'diffusion_coefficient_m2_s')::float8) as hotter_faster,
       bool_and((labos.engine_run('BEM', '{"panels": 6000}', s) #>> '{effective_properties,capacitance_pf}')::float8
              > (labos.engine_run('BEM', '{"panels": 60}', s) #>> '{effective_properties,capacitance_pf}')::float8) as finer_from_below
from generate_series(1, 200) s;

-- Phase fractions add up to one exactly; histogram counts to the number of grains; nobody is negative.
select bool_and((r #>> '{microstructure_metrics,phase_fractions,alpha}')::numeric + (r #>> '{microstructure_metrics,phase_fractions,beta}')::numeric = 1) as one
from generate_series(1, 300) s, lateral (select labos.engine_run('PF', jsonb_build_object('composition', s / 300.0), s)) x(r);
select bool_and((select sum(c::int) = (r #>> '{grain_size_distribution,n_grains}')::int and min(c::int) >= 0
                 from jsonb_array_elements_text(r #> '{grain_size_distribution,counts}') c)) as counts_add_up
from generate_series(1, 300) s, lateral (select labos.engine_run('MC', jsonb_build_object('timesteps', s * 40), s)) x(r);

-- Effective moduli lie between the Hashin-Shtrikman bounds of 70/0.33 and 400/0.2 (half each): 147.3 to 194.1 GPa.
select bool_and((r #>> '{effective_properties,youngs_modulus_gpa}')::float8 between 147.3 and 194.1) as inside
from generate_series(1, 300) s,
     lateral (select labos.engine_run('FEM', '{"youngs_modulus_gpa": 70, "poissons_ratio": 0.33, "second_phase_fraction": 0.5}', s)) x(r);
-- Conductivity between those of 1 and 10 (half each), 2.794 to 4.697 W/(m K).
select bool_and((r #>> '{effective_properties,thermal_conductivity_w_mk}')::float8 between 2.794 and 4.697) as inside
from generate_series(1, 300) s,
     lateral (select labos.engine_run('FVM', '{"conductivity_w_mk": 1, "second_phase_conductivity_w_mk": 10, "second_phase_fraction": 0.5}', s)) x(r);
-- The Arrhenius slope of KMC gives the barrier back (eV).
select round((ln((labos.engine_run('KMC', '{"temperature_k": 800, "events": 1000000000}', s) ->> 'diffusion_coefficient_m2_s')::float8
              / (labos.engine_run('KMC', '{"temperature_k": 1600, "events": 1000000000}', s) ->> 'diffusion_coefficient_m2_s')::float8)
              * 8.617333262e-5 / (1 / 1600.0 - 1 / 800.0))::numeric, 3) as barrier_ev from generate_series(1, 2) s;
-- The unit cube has 0.66068 * 4 pi eps0 F, the unit sphere 4 pi eps0.
select round((labos.engine_run('BEM', '{"shape": "CUBE", "size_m": 1, "panels": 100000}') #>> '{effective_properties,capacitance_pf}')::numeric / 111.26500545, 4) as cube,
       round((labos.engine_run('BEM', '{"shape": "SPHERE", "size_m": 1, "panels": 100000}') #>> '{effective_properties,capacitance_pf}')::numeric / 111.26500545, 4) as sphere;

-- At every corner of the parameter space numbers are finite (JSON null would be one that is not) and the shape holds.
with corner as (
  select e.name, c.k, (select jsonb_object_agg(p.key, coalesce(p.value -> c.k, to_jsonb(array[(p.value #>> array['items', c.k])::int, (p.value #>> array['items', c.k])::int])))
                  from jsonb_each(e.parameters -> 'properties') p
                  where (p.value ? c.k or p.value ? 'items') and p.key not in ('k_points', 'cold_temperature_k', 'hot_temperature_k')) as parameters
  from labos.engines() e, unnest('{minimum,maximum}'::text[]) c(k)
)
select name, k, labos.engine_parameter_problems(name, c.parameters) as problems,
       bool_and(pg_temp.shape(labos.engine_run(name, c.parameters, s)) = pg_temp.shape(e.results)
                and labos.engine_run(name, c.parameters, s)::text !~ 'null|Infinity|NaN') as sane
from corner c join labos.engines() e using (name), generate_series(1, 20) s
group by name, k, c.parameters order by 1, 2;

-- Every problem at once, each with its path and code.
select p ->> 'path' as path, p ->> 'code' as code, p ->> 'message' as message
from jsonb_array_elements(labos.engine_parameter_problems('PF',
  '{"timesteps": 0, "temperature_k": "NaN", "grid": [128, "x", 1e9], "typo": 1, "composition": 2, "interface_energy_j_m2": true}')) p;

-- Hostile parameters.
create temp table hostile (id int generated always as identity, engine text, parameters jsonb);
insert into hostile (engine, parameters) values
  ('PF', 'null'), ('PF', '[]'), ('PF', '"x"'), ('PF', '1'), ('PF', 'true'), ('PF', '[{}]'), ('PF', '[[[]]]'),
  ('PF', '{"timesteps": "NaN"}'), ('PF', '{"timesteps": "Infinity"}'), ('PF', '{"timesteps": "1"}'), ('PF', '{"timesteps": 1e400}'),
  ('PF', '{"timesteps": -1e400}'), ('PF', '{"timesteps": 1e-400}'), ('PF', '{"timesteps": -1}'), ('PF', '{"timesteps": 1.5}'),
  ('PF', '{"timesteps": 99999999999999999999999999999}'), ('PF', '{"timesteps": {}}'), ('PF', '{"timesteps": []}'), ('PF', '{"timesteps": [1]}'),
  ('PF', '{"timesteps": false}'), ('PF', '{"temperature_k": 199.999999999999}'), ('PF', '{"temperature_k": 5000.00000001}'), ('PF', '{"temperature_k": 0}'),
  ('PF', '{"composition": -1e-300}'), ('PF', '{"grid": []}'), ('PF', '{"grid": [4]}'), ('PF', '{"grid": [4, 4, 4, 4]}'), ('PF', '{"grid": 64}'),
  ('PF', '{"grid": {"0": 64}}'), ('PF', '{"grid": [[64, 64]]}'), ('PF', '{"grid": [64, null]}'), ('PF', '{"grid": [64.5, 3]}'), ('PF', '{"grid": [1024, 1024, 1024]}'),
  ('PF', '{"grid": [4, 4], "initial_grains": 17}'), ('PF', '{"TIMESTEPS": 1}'), ('PF', '{"": 1}'), ('PF', '{"timesteps ": 1}'), ('PF', '{"a\"b\\c": {}}'),
  ('PF', '{"$.timesteps": 1}'), ('PF', '{"grid[0]": 1}'), ('PF', '{"constructor": {"prototype": {}}, "__proto__": 1}'), ('PF', '{"''; drop table x --": 1}'),
  ('PF', '{"%s%n%99999d": 1}'), ('PF', '{"ünïcödé-日本語": 1}'),
  ('KMC', '{"lattice": "HCP"}'), ('KMC', '{"lattice": ""}'), ('KMC', '{"lattice": "SC,BCC"}'), ('KMC', '{"lattice": 1}'), ('KMC', '{"lattice": ["FCC"]}'),
  ('DFT', '{"formula": ""}'), ('DFT', '{"formula": 1}'), ('DFT', '{"formula": "fe"}'), ('DFT', '{"formula": "Fe 2"}'), ('DFT', '{"formula": "Fe\nO"}'),
  ('DFT', '{"formula": "Xx"}'), ('DFT', '{"formula": "SO4--"}'), ('DFT', '{"formula": "Fe0"}'), ('DFT', '{"formula": "((((((((((((((((((((Fe))))))))))))))))))))"}'),
  ('DFT', '{"formula": "<svg>"}'), ('DFT', '{"formula": {"Fe": 1}}'), ('DFT', '{"relax": "true"}'), ('DFT', '{"relax": 1}'), ('DFT', '{"k_points": [4, 4]}'),
  ('FVM', '{"hot_temperature_k": 299}'), ('FEM', '{"poissons_ratio": 0.5}'), ('FEM', '{"porosity": 1}'), ('BEM', '{"panels": 11}'),
  ('BEM', '{"relative_permittivity": 0}');
select h.id, h.engine, h.parameters, p ->> 'path' as path, p ->> 'code' as code, p ->> 'message' as message
from hostile h left join lateral jsonb_array_elements(labos.engine_parameter_problems(h.engine, h.parameters)) p on true order by h.id;
-- Each of them is refused by a run with the same list.
create function pg_temp.refusal(engine text, parameters jsonb) returns text language plpgsql as $$
declare v_detail text;
begin
  perform labos.engine_run(engine, parameters);
  return 'ran';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return sqlstate || case when v_detail::jsonb -> 'problems' = labos.engine_parameter_problems(engine, parameters) then ' same list' else ' other list' end;
end
$$;
select pg_temp.refusal(engine, parameters), count(*) from hostile group by 1;

-- Deep nesting, long names, long texts, very many members and numbers of 100,000 digits cost nothing and are refused.
select labos.engine_parameter_problems('PF', ('{"timesteps": ' || repeat('[', 5000) || repeat(']', 5000) || '}')::jsonb) #>> '{0,code}' as deep;
select labos.engine_parameter_problems('PF', ('{"deep": ' || repeat('{"a": ', 5000) || '1' || repeat('}', 5000) || '}')::jsonb) #>> '{0,code}' as deep_unknown;
select p #>> '{0,code}' as code, length(p #>> '{0,path}') as path_length from labos.engine_parameter_problems('PF', jsonb_build_object(repeat('ü', 100000), 1)) p;
select labos.engine_parameter_problems('DFT', jsonb_build_object('formula', repeat('C', 1000000))) #>> '{0,code}' as long_text;
select jsonb_array_length(p) as listed, p #>> '{0,code}' as first, p #>> '{50,code}' as last
from labos.engine_parameter_problems('PF', (select jsonb_object_agg('k' || i, i) from generate_series(1, 10000) i)) p;
select labos.engine_parameter_problems('PF', ('{"timesteps": ' || repeat('9', 100000) || '}')::jsonb) #>> '{0,code}' as many_digits,
       labos.engine_parameter_problems('PF', ('{"composition": 0.' || repeat('3', 16000) || '}')::jsonb) as many_decimals;

-- Only the stub exists in this version, and says so with a code.
\set VERBOSITY default
select labos.engine_run('FEM', '{}', 0, 'physics');
select labos.engine_run('FEM', '{}', 0, 'STUB');
select labos.engine_run('FEM', '{"mesh": 1}');
\set VERBOSITY terse

-- NULL in, NULL out.
select labos.engine_run(null, '{}') is null as a, labos.engine_run('FEM', null) is null as b, labos.engine_run('FEM', '{}', null) is null as c,
       labos.engine_run('FEM', '{}', 0, null) is null as d, labos.engine_parameter_problems('FEM', null) is null as e, labos.engine_name(null) is null as f;

-- A child takes its parent's figures where it sets none itself.
select * from labos.engine_links();
select labos.engine_link('FEM', '{"porosity": 0.1}', 'PF', labos.engine_run('PF', '{}')) as from_phase_field;
select labos.engine_link('FEM', '{"grain_size_um": 3}', 'PF', labos.engine_run('PF', '{}')) as own_wins;
select labos.engine_link('FEM', '{}', 'FVM', labos.engine_run('FVM', '{}')) as nothing_to_take;
-- Every link ends in a parameter of the child and a number of the parent, and every pair of scales has one.
select count(*) filter (where not (c.parameters -> 'properties' ? l.parameter)) as no_parameter,
       count(*) filter (where p.results #> string_to_array(l.result_path, '.') is null) as no_result
from labos.engine_links() l join labos.engines() c on c.name = l.engine join labos.engines() p on p.name = l.parent;
select c.name as child, p.name as parent from labos.engines() c, labos.engines() p
where (p.scale, c.scale) in (('atomic', 'mesoscale'), ('mesoscale', 'continuum'))
  and not exists (select from labos.engine_links() l where l.engine = c.name and l.parent = p.name);
-- What any parent gives is valid for any child, here for 200 seeds.
select count(*) as chains, count(*) filter (where labos.engine_parameter_problems(c.name,
         labos.engine_link(c.name, '{}', p.name, labos.engine_run(p.name, '{}', s))) <> '[]') as bad
from labos.engines() c, labos.engines() p, generate_series(1, 200) s
where exists (select from labos.engine_links() l where l.engine = c.name and l.parent = p.name);
\set VERBOSITY default
select labos.engine_link('FEM', '{}', 'PF', '{"microstructure_metrics": {"mean_grain_size_um": "big"}}');
select labos.engine_link('FEM', '{}', 'PF', '{"microstructure_metrics": 3}');
select labos.engine_link('FEM', '{}', 'PF', '[]');
select labos.engine_link('FEM', '[]', 'PF', '{}');
