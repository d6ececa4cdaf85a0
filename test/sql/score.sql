-- Scores: what a set of properties is worth, and which configurations are refused.
\pset null null
create function pg_temp.score(properties jsonb, targets jsonb) returns numeric language sql as
$$ select round(s.score::numeric, 6) from labos.score(properties, targets) s $$;
-- The error of a statement: SQLSTATE and message.
create function pg_temp.refused(statement text) returns text language plpgsql as
$$ declare v_detail text; begin execute statement; return 'no error';
   exception when others then get stacked diagnostics v_detail = pg_exception_detail; return sqlstate || ' ' || sqlerrm || coalesce(nullif(': ' || v_detail, ': '), ''); end $$;

-- A window gives 1 inside, exp(-1/2) one tolerance outside and less beyond, on both sides alike.
select x, pg_temp.score(jsonb_build_object('gap', x), '{"gap":{"target":1.5,"tolerance":0.3}}') from unnest(array[0, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4, 100]) x;
-- min and max fall off over half their width, one-sided bounds over a tenth of the bound, or as told.
select pg_temp.score('{"x":3}', '{"x":{"min":1,"max":2}}') as min_max, pg_temp.score('{"x":9}', '{"x":{"at_least":10}}') as at_least,
       pg_temp.score('{"x":11}', '{"x":{"at_most":10}}') as at_most, pg_temp.score('{"x":1}', '{"x":{"at_most":0}}') as at_most_zero,
       pg_temp.score('{"x":20}', '{"x":{"at_most":10,"falloff":10}}') as falloff, pg_temp.score('{"x":99}', '{"x":{"at_least":10}}') as beyond;
-- Ramps run from low to high and are clamped; the exponent bends them.
select x, pg_temp.score(jsonb_build_object('k', x), '{"k":{"maximize":true,"low":0,"high":10}}') as maximize,
  pg_temp.score(jsonb_build_object('k', x), '{"k":{"minimize":true,"low":0,"high":10}}') as minimize,
  pg_temp.score(jsonb_build_object('k', x), '{"k":{"maximize":true,"low":0,"high":10,"exponent":2}}') as squared
from unnest(array[-5, 0, 2.5, 5, 10, 20]) x;
-- Weights are normalised; a missing property, a null and a string count 0 for their part.
select pg_temp.score('{"a":1,"b":0}', '{"a":{"min":0,"max":2,"weight":3},"b":{"min":5,"max":6,"weight":1}}') as three_quarters,
       pg_temp.score('{"a":1}', '{"a":{"min":0,"max":2},"b":{"min":5,"max":6}}') as missing,
       pg_temp.score('{"a":1,"b":null}', '{"a":{"min":0,"max":2},"b":{"min":5,"max":6}}') as is_null,
       pg_temp.score('{"a":1,"b":"NaN"}', '{"a":{"min":0,"max":2},"b":{"min":5,"max":6}}') as not_a_number,
       pg_temp.score('{}', '{"a":{"min":0,"max":2}}') as nothing;
-- The parts say how the score came about.
select jsonb_pretty(parts) from labos.score('{"gap":1.4}', '{"gap":{"target":1.5,"tolerance":0.3,"weight":2},"mass":{"at_most":100}}');
-- Null in, null out.
select labos.score(null, '{}') is null as null_properties, labos.score('{}', null) is null as null_targets;
-- What is no set of properties or targets is refused.
select pg_temp.refused(s) from unnest(array[
  $$select labos.score('[1]', '{"a":{"at_least":1}}')$$, $$select labos.score('{}', '{}')$$, $$select labos.score('{}', '[]')$$, $$select labos.score('{}', '3')$$,
  $$select labos.score('{"a":1e400}', '{"a":{"at_least":1}}')$$, $$select labos.score('{"a":1}', '{"a":{"at_least":1e400}}')$$]) s;

-- Every problem of a configuration is reported at once, with its path and code ---------
create temp table config (id serial, config jsonb);
insert into config (config)
select base || patch from (values ('{"target_properties":{"gap":{"target":1.5,"tolerance":0.3}},"evaluator":{"kind":"dataset","dataset":"gaps"}}'::jsonb)) b(base),
unnest(array[
  '{}', '{"target_properties":null}', '{"target_properties":{}}', '{"target_properties":[]}', '{"target_properties":{"gap":1}}', '{"target_properties":{"gap":{}}}',
  '{"target_properties":{"gap":{"target":1}}}', '{"target_properties":{"gap":{"tolerance":1}}}', '{"target_properties":{"gap":{"target":1,"tolerance":0}}}',
  '{"target_properties":{"gap":{"target":1,"tolerance":-1}}}', '{"target_properties":{"gap":{"target":"1","tolerance":"NaN"}}}',
  '{"target_properties":{"gap":{"target":1e400,"tolerance":1}}}', '{"target_properties":{"gap":{"min":2,"max":1}}}', '{"target_properties":{"gap":{"min":1}}}',
  '{"target_properties":{"gap":{"target":1,"tolerance":1,"at_least":2}}}', '{"target_properties":{"gap":{"maximize":true,"minimize":true,"low":0,"high":1}}}',
  '{"target_properties":{"gap":{"maximize":true}}}', '{"target_properties":{"gap":{"maximize":false,"low":0,"high":1}}}', '{"target_properties":{"gap":{"maximize":true,"low":1,"high":1}}}',
  '{"target_properties":{"gap":{"at_least":1,"weight":0}}}', '{"target_properties":{"gap":{"at_least":1,"wieght":2}}}', '{"target_properties":{"":{"at_least":1}}}',
  '{"evaluator":null}', '{"evaluator":"dataset"}', '{"evaluator":"oracle"}', '{"evaluator":"simulation"}', '{"evaluator":{"kind":"predict"}}', '{"evaluator":{}}', '{"evaluator":7}',
  '{"evaluator":{"kind":"dataset","dataset":3}}', '{"evaluator":{"kind":"dataset","dataset_id":"gaps"}}', '{"evaluator":"external"}', '{"search_space":{"x":{"type":"float","min":0,"max":1}}}',
  '{"evaluator":"external","search_space":{}}', '{"evaluator":"external","search_space":{"x":{}}}', '{"evaluator":"external","search_space":{"x":{"type":"complex"}}}',
  '{"evaluator":"external","search_space":{"x":{"type":"float","min":1,"max":0}}}', '{"evaluator":"external","search_space":{"x":{"type":"float","min":0,"max":1,"log":true}}}',
  '{"evaluator":"external","search_space":{"x":{"type":"int","min":0.5,"max":9}}}', '{"evaluator":"external","search_space":{"x":{"type":"categorical","values":["a","a",3]}}}',
  '{"evaluator":"external","search_space":{"x":{"type":"categorical","values":[]}}}', '{"evaluator":"external","search_space":{"x":{"type":"categorical"}}}',
  '{"strategy":"magic"}', '{"strategy":"genetic"}', '{"strategy":4}', '{"strategy_options":{"initial_candidates":1,"kappa":2}}',
  '{"max_iterations":0}', '{"max_iterations":1.5}', '{"max_iterations":"10"}', '{"candidates_per_iteration":1001}', '{"seed":-1}', '{"seed":1e30}',
  '{"stop":{"target_score":2,"no_improvement":0,"budget":0,"patience":1}}', '{"stop":[]}',
  '{"constraints":{"excluded_elements":["Pb","Xx","Pb",82]}}', '{"constraints":{"excluded_elements":"Pb"}}', '{"constraints":{"required_elements":["Pb"],"excluded_elements":["Pb"]}}',
  '{"constraints":{"allowed_elements":["O"],"required_elements":["Ti"]}}', '{"constraints":{"min_atoms":5,"max_atoms":2}}', '{"constraints":{"dimensionality":2}}',
  '{"constraints":{"composition":{"O":{"min":0.7,"max":0.2},"Q":{},"Ti":{"max":2}}}}', '{"constraints":{"linear":[{"terms":{}},{"at_most":1},7]}}',
  '{"evaluator":"external","search_space":{"x":{"type":"float","min":0,"max":1}},"constraints":{"excluded_elements":["Pb"],"parameters":{"y":{"max":1}},"linear":[{"terms":{"x":1,"z":1},"at_most":1}]}}',
  '{"typo":1}', '{"strategy":"magic","max_iterations":0,"seed":"x"}']::jsonb[]) with ordinality p(patch, n) order by n;
select c.id, p.path, p.code, p.message from config c left join labos.campaign_config_problems(c.config) p on true order by c.id, p.path, p.code;
select count(*) filter (where exists (select from labos.campaign_config_problems(c.config))) as refused, count(*) as tried from config c;
-- So are values that are no object at all.
select c, p.* from unnest(array['null', '[]', '"x"', '3', 'true']::jsonb[]) c, labos.campaign_config_problems(c) p;
-- Deep nesting is an unknown key and no more; ten megabytes are too large; a thousand faults are cut at 200.
select path, code from labos.campaign_config_problems(jsonb_build_object('deep', (repeat('[', 3000) || repeat(']', 3000))::jsonb)) where code = 'unknown_key';
select path, code from labos.campaign_config_problems(jsonb_build_object('big', repeat(md5('x'), 320000)));
select count(*) from labos.campaign_config_problems((select jsonb_object_agg('k' || k, k) from generate_series(1, 1000) k));
-- A long or odd name is shown in brackets, shortened, and stays valid text.
select path from labos.campaign_config_problems(jsonb_build_object(repeat('ü', 500), 1)) where code = 'unknown_key';
select path from labos.campaign_config_problems('{"a b\"c":1}') where code = 'unknown_key';
-- Canonical form: defaults filled in, nulls left out.
select labos.campaign_config_canonical('{"target_properties":{"f":{"at_least":1}},"evaluator":"external","search_space":{"x":{"type":"int","min":1,"max":3}},"seed":null}');
