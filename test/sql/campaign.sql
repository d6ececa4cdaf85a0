-- Design campaigns: a search over measured materials, ask and tell, states, rights.
\getenv data LABOS_TEST_DATA
\pset null null
set client_min_messages to warning;
select pg_read_file(:'data' || '/data/materials/expt_gap.csv') as csv \gset
create function test.campaign_config(strategy text, seed integer) returns jsonb language sql as $$
  select jsonb_build_object('target_properties', '{"band_gap":{"target":1.5,"tolerance":0.3}}'::jsonb,
    'constraints', '{"excluded_elements":["Pb","Cd","Hg"]}'::jsonb, 'evaluator', '{"kind":"dataset","dataset":"gaps"}'::jsonb,
    'strategy', strategy, 'candidates_per_iteration', 10, 'max_iterations', 5, 'seed', seed) $$;
select test.become('sam');
set role lab_user;

-- Import: 4,604 measured band gaps; a dry run stores nothing, a column nobody asked for is named.
select lab.dataset_import('gaps', :'csv', '{"formula":"formula","properties":{"band_gap":"target"}}', dry_run => true) - 'id';
select count(*) from lab.datasets;
select lab.dataset_import('gaps', :'csv', '{"formula":"formula","properties":{"band_gap":"target"}}', source => 'Zhuo 2018', licence => 'MIT') - 'id' as imported;
select name, row_count, cardinality(feature_names) as features, source, licence, left(sha256, 12) as sha256 from lab.datasets;
select row_index, formula, measured from lab.dataset_rows where formula::text = 'O2Ti' order by row_index;
-- What cannot be imported says why and where, and leaves nothing.
select test.error_of(format('select lab.dataset_import(%L, %L, %L)', x.name, x.csv, x.mapping)) from (values
  ('gaps', 'f,g', '{"formula":"f","properties":{"g":"g"}}'), ('', 'f,g', '{"formula":"f","properties":{"g":"g"}}'), ('a', '', '{"formula":"f","properties":{"g":"g"}}'),
  ('a', 'f,g', '{"formula":"f","properties":{"g":"g"}}'), ('a', E'f,g\nGaN,1', '{"formula":"x","properties":{"g":"g"}}'),
  ('a', E'f,g\nGaN,1\nQqq,2', '{"formula":"f","properties":{"g":"g"}}'), ('a', E'f,g\nGaN,NaN', '{"formula":"f","properties":{"g":"g"}}'),
  ('a', E'f,g\nGaN,1e999', '{"formula":"f","properties":{"g":"g"}}'), ('a', E'f,g\nGaN,"1', '{"formula":"f","properties":{"g":"g"}}'),
  ('a', E'f,g\nOg,1', '{"formula":"f","properties":{"g":"g"}}'), ('a', E'p,g\n,1', '{"parameters":{"p":"p"},"properties":{"g":"g"}}'),
  ('a', E'f,g\nGaN,1', '{"formula":"f"}'), ('a', E'f,g\nGaN,1', '{"properties":{"g":"g"}}'), ('a', E'f,g\nGaN,1', '[]'), ('a', E'f,g\nGaN,1', '{"formula":"f","properties":{"g":"g"},"x":1}'),
  (null, null, null)) x(name, csv, mapping);
select count(*) from lab.datasets;

-- The story: a band gap of 1.5 ± 0.3 eV without lead, cadmium and mercury ---------------
select id as bayes, status, current_iteration, max_iterations, seed, best_score from lab.campaign_create('Solar absorbers', test.campaign_config('bayesian', 7)) \gset c_
select :'c_status' as status, :c_current_iteration as current_iteration, :c_max_iterations as max_iterations, :c_seed as seed;
-- It must be started before it steps.
select test.error_of(format('select lab.campaign_step(%L)', :'c_bayes'));
select status, started_at is not null as started from lab.campaign_start(:'c_bayes');
select test.error_of(format('select lab.campaign_start(%L)', :'c_bayes'));
select iteration_index, strategy_used, created_structures, evaluated_structures, completed_at is not null as complete from lab.campaign_step(:'c_bayes', 5);
-- After max_iterations it is complete and steps no more.
select status, stop_reason, current_iteration, best_score, completed_at is not null as ended from lab.design_campaigns where id = :'c_bayes';
select test.error_of(format('select lab.campaign_step(%L)', :'c_bayes'));
-- No candidate twice, none with an excluded element, every score as labos.score says.
select count(*), count(distinct candidate_hash) as different, count(*) filter (where formula operator(labos.&&) '{Pb,Cd,Hg}') as forbidden,
  count(*) filter (where score is distinct from (labos.score(measured, '{"band_gap":{"target":1.5,"tolerance":0.3}}')).score) as wrong
from lab.campaign_candidates where campaign_id = :'c_bayes';
-- The first ten are drawn at random, the others by the model, with predictions.
select reason ->> 'rule' as rule, count(*), count(predicted) as predicted, count(acquisition) as acquisition from lab.campaign_candidates where campaign_id = :'c_bayes' group by 1 order by 1;

-- Bit for bit: the same configuration again gives the same candidates in the same order.
select id as again from lab.campaign_create('again', test.campaign_config('bayesian', 7)) \gset c_
select status from lab.campaign_start(:'c_again');
select count(*) from lab.campaign_step(:'c_again', 2);
select count(*) from lab.campaign_step(:'c_again', 3);
select count(*) as same from lab.campaign_candidates a join lab.campaign_candidates b using (slot)
where a.campaign_id = :'c_bayes' and b.campaign_id = :'c_again' and a.dataset_row_id = b.dataset_row_id
  and a.acquisition is not distinct from b.acquisition and a.predicted is not distinct from b.predicted;
-- Random search, same budget: the model finds more. (bench/campaign.sh measures it over many seeds.)
select id as blind from lab.campaign_create('random', test.campaign_config('random', 7)) \gset c_
select status from lab.campaign_start(:'c_blind');
select count(*) from lab.campaign_step(:'c_blind', 5);
select (select count(*) from lab.campaign_candidates where campaign_id = :'c_bayes' and score = 1) > (select count(*) from lab.campaign_candidates where campaign_id = :'c_blind' and score = 1) as model_finds_more;

-- Summary, explanation, picture.
select jsonb_object_keys(lab.campaign_summary(:'c_bayes'));
select s -> 'status' as status, s #> '{totals,candidates}' as candidates, s #> '{totals,evaluated}' as evaluated, jsonb_array_length(s -> 'iterations') as iterations,
  (select sum(x::integer) from jsonb_array_elements_text(s #> '{totals,score_distribution}') x) as binned
from lab.campaign_summary(:'c_bayes') s;
select e -> 'rule' as rule, e -> 'observations' as observations, jsonb_array_length(e -> 'relevant_features') as features, jsonb_object_keys(e -> 'predicted') as predicted
from lab.campaign_explain((select id from lab.campaign_candidates where campaign_id = :'c_bayes' and slot = 25)) e;
select xmlparse(document p::text) is document as is_xml, (length(p::text) - length(replace(p::text, '<circle', ''))) / 7 as circles from lab.campaign_plot(:'c_bayes') p;
select (lab.campaign_iteration(:'c_bayes', 4)).iteration_index, count(*) from lab.campaign_iterations(:'c_bayes');
select test.error_of(format('select lab.%s(%L%s)', x, '00000000-0000-7000-8000-000000000000', y)) from (values ('campaign_iterations', ''), ('campaign_iteration', ', 0'), ('campaign_summary', ''),
  ('campaign_explain', ''), ('campaign_plot', ''), ('campaign_start', ''), ('campaign_step', ''), ('campaign_suggest', ''), ('campaign_observe', ''), ('campaign_update', '')) c(x, y);
-- A hostile name stays text in the picture.
select id as evil from lab.campaign_create('<script>&"]]>' || chr(1), test.campaign_config('random', 1)) \gset c_
select xmlparse(document p::text) is document as is_xml, p::text like '%<script>%' as injected from lab.campaign_plot(:'c_evil') p;

-- States ----------------------------------------------------------------------------------
select status from lab.campaign_start(:'c_evil');
select count(*) from lab.campaign_step(:'c_evil');
select test.error_of(format('select lab.campaign_update(%L, name => %L)', :'c_evil', 'x'));
select status from lab.campaign_pause(:'c_evil');
select test.error_of(format('select lab.campaign_step(%L)', :'c_evil'));
select test.error_of(format('select lab.campaign_pause(%L)', :'c_evil'));
-- Paused, it can be changed, but not what its candidates come from.
select name, config ->> 'strategy' as strategy from lab.campaign_update(:'c_evil', name => 'tamed', config => test.campaign_config('sobol', 1));
select test.error_of(format('select lab.campaign_update(%L, config => %L)', :'c_evil',
  '{"target_properties":{"f":{"at_least":1}},"evaluator":"external","search_space":{"x":{"type":"int","min":1,"max":3}}}'));
select test.error_of(format('select lab.campaign_update(%L, name => %L, version => 1)', :'c_evil', 'stale'));
select status from lab.campaign_resume(:'c_evil');
select strategy_used from lab.campaign_step(:'c_evil');
select status, stop_reason from lab.campaign_cancel(:'c_evil');
select test.error_of(format('select lab.campaign_%s(%L)', x, :'c_evil')) from unnest(array['start', 'pause', 'resume', 'cancel', 'step']) x;
-- Bad configurations come back with every problem and leave nothing.
select test.error_of($$select lab.campaign_create('bad', '{"strategy":"genetic","max_iterations":0}')$$);
select test.error_of($$select lab.campaign_create('bad', null)$$), test.error_of($$select lab.campaign_create('', '{}')$$);
select test.error_of(format('select lab.campaign_create(%L, %L)', 'bad', test.campaign_config('random', 1) || '{"evaluator":{"kind":"dataset","dataset":"nowhere"}}'));
select test.error_of(format('select lab.campaign_create(%L, %L)', 'bad', test.campaign_config('random', 1) || '{"target_properties":{"mass":{"at_most":1}}}'));
select count(*) from lab.design_campaigns where name in ('bad', '');
-- A data set may be named by its id; the configuration keeps its name.
select config -> 'evaluator' as evaluator, dataset_id = (select id from lab.datasets) as found from lab.campaign_create('by id',
  test.campaign_config('random', 1) || jsonb_build_object('evaluator', jsonb_build_object('kind', 'dataset', 'dataset_id', (select id from lab.datasets))));
select test.error_of(format('select lab.campaign_step(%L, %s)', :'c_again', x)) from unnest(array['0', '-1', '1001', 'null']) x;

-- Stop: at a target score, without improvement, by budget, when the pool is used up --------
select id as stop from lab.campaign_create('target', test.campaign_config('random', 7) || '{"max_iterations":100,"stop":{"target_score":1}}') \gset c_
select status from lab.campaign_start(:'c_stop');
select count(*) < 100 as early from lab.campaign_step(:'c_stop', 100);
select status, stop_reason, best_score from lab.design_campaigns where id = :'c_stop';
select id as stop from lab.campaign_create('patience', test.campaign_config('random', 7) || '{"max_iterations":100,"stop":{"no_improvement":2,"budget":95}}') \gset c_
select status from lab.campaign_start(:'c_stop');
select count(*) < 100 as early from lab.campaign_step(:'c_stop', 100);
select status, stop_reason from lab.design_campaigns where id = :'c_stop';
select id as stop from lab.campaign_create('budget', test.campaign_config('random', 7) || '{"max_iterations":100,"stop":{"budget":15}}') \gset c_
select status from lab.campaign_start(:'c_stop');
select iteration_index, created_structures from lab.campaign_step(:'c_stop', 100);
select status, stop_reason from lab.design_campaigns where id = :'c_stop';
select id as stop from lab.campaign_create('pool', test.campaign_config('sobol', 7) || '{"constraints":{"required_elements":["Ga","S"],"max_atoms":8}}') \gset c_
select status from lab.campaign_start(:'c_stop');
select iteration_index, created_structures from lab.campaign_step(:'c_stop', 100);
select status, stop_reason from lab.design_campaigns where id = :'c_stop';

-- Ask and tell ----------------------------------------------------------------------------
select id as ask from lab.campaign_create('Buffer', '{"target_properties":{"ph":{"target":7,"tolerance":0.1}},"evaluator":"external","candidates_per_iteration":2,"max_iterations":3,"seed":5,
  "search_space":{"acid":{"type":"categorical","values":["citric","acetic"]},"drops":{"type":"int","min":1,"max":9},"litres":{"type":"float","min":0.001,"max":1,"log":true}}}') \gset c_
select test.error_of(format('select lab.campaign_suggest(%L)', :'c_ask'));
select status from lab.campaign_start(:'c_ask');
select slot, state, evaluator, parameters ->> 'acid' in ('citric', 'acetic') and (parameters ->> 'drops')::integer between 1 and 9 and (parameters ->> 'litres')::float8 between 0.001 and 1 as inside
from lab.campaign_suggest(:'c_ask', 3);
select iteration_index, created_structures, evaluated_structures, completed_at is null as open from lab.design_iterations where campaign_id = :'c_ask' order by 1;
-- A step waits for the answers.
select test.error_of(format('select lab.campaign_step(%L)', :'c_ask'));
select id as candidate from lab.campaign_candidates where campaign_id = :'c_ask' and slot = 0 \gset c_
select test.error_of(format('select lab.campaign_observe(%L, %L)', :'c_candidate', x)) from unnest(array['{}', '[]', '{"ph":"7"}', '{"ph":1e400}', '{"mass":1}', '{"ph":null}']::jsonb[]) x;
select test.error_of(format('select lab.campaign_observe(%L)', :'c_candidate'));
select state, score, measured, uncertainty from lab.campaign_observe(:'c_candidate', '{"ph":7.05}', '{"ph":0.02}');
select test.error_of(format('select lab.campaign_observe(%L, %L)', :'c_candidate', '{"ph":7}'));
-- A failed one counts as ended; the iteration is complete when all have ended.
select state, error from lab.campaign_observe((select id from lab.campaign_candidates where campaign_id = :'c_ask' and slot = 1), error => 'spilled');
select (lab.campaign_observe((select id from lab.campaign_candidates where campaign_id = :'c_ask' and slot = 2), '{"ph":3}')).state;
select iteration_index, created_structures, evaluated_structures, completed_at is null as open from lab.design_iterations where campaign_id = :'c_ask' order by 1;
-- At most max_iterations times candidates_per_iteration are handed out.
select count(*) from lab.campaign_suggest(:'c_ask', 100);
select test.error_of(format('select lab.campaign_suggest(%L)', :'c_ask'));
select count(*) from (select lab.campaign_observe(id, '{"ph":6.8}') from lab.campaign_candidates where campaign_id = :'c_ask' and state = 'pending' order by slot) x;
select status, stop_reason, best_score from lab.design_campaigns where id = :'c_ask';
select test.error_of(format('select lab.campaign_suggest(%L)', :'c_bayes')), test.error_of(format('select lab.campaign_suggest(%L, 0)', :'c_bayes'));

-- Rights ----------------------------------------------------------------------------------
-- Iterations and candidates are written by the calls only.
select test.error_of('delete from lab.campaign_candidates'), test.error_of('update lab.design_iterations set metrics = null'), test.error_of('update lab.design_campaigns set status = ''COMPLETED''');
reset role;
-- Another scientist sees the data set but not the campaigns, nor may she run them; a manager may; a viewer reads nothing of it.
select test.become('sue');
set role lab_user;
select (select count(*) from lab.datasets) as datasets, (select count(*) from lab.design_campaigns) as campaigns, (select count(*) from lab.design_iterations) as iterations,
  (select count(*) from lab.campaign_candidates) as candidates;
select test.error_of(format('select lab.campaign_summary(%L)', :'c_bayes')), test.error_of(format('select lab.campaign_step(%L)', :'c_again')),
  test.error_of(format('select lab.campaign_observe(%L, %L)', :'c_candidate', '{"ph":7}'));
reset role;
select test.become('mary');
set role lab_user;
select count(*) > 5 as sees_all from lab.design_campaigns;
select test.error_of(format('select lab.campaign_cancel(%L)', :'c_again'));
reset role;
select test.become('vic');
set role lab_user;
select count(*) from lab.design_campaigns;
select test.error_of(format('select lab.campaign_create(%L, %L)', 'x', '{}')), test.error_of(format('select lab.campaign_start(%L)', :'c_again')), test.error_of($$select lab.dataset_import('v', 'a', '{}')$$);
reset role;
-- The other organisation sees nothing at all.
select test.become('bob');
set role lab_user;
select (select count(*) from lab.datasets) as datasets, (select count(*) from lab.dataset_rows) as rows, (select count(*) from lab.design_campaigns) as campaigns, (select count(*) from lab.campaign_candidates) as candidates;
select test.error_of(format('select lab.campaign_start(%L)', :'c_again')), test.error_of(format('select lab.campaign_create(%L, %L)', 'theirs', test.campaign_config('random', 1)));
reset role;
select test.become(null);
set role lab_user;
select test.error_of(format('select lab.campaign_step(%L)', :'c_again')), test.error_of($$select lab.campaign_create('x', '{}')$$);
reset role;

-- Materials -------------------------------------------------------------------------------
select test.become('sam');
set role lab_user;
insert into lab.materials (name, formula, tags) values ('Molybdenite', 'MoS2', '{2d}');
select test.error_of($$insert into lab.materials (name) values ('')$$), test.error_of($$insert into lab.materials (name, properties) values ('x', '[]')$$), test.error_of($$insert into lab.materials (name, formula) values ('x', 'Xx')$$);
reset role;
select test.become('sue');
set role lab_user;
-- Everybody may look (material:read_any), only the owner changes and deletes.
select name, formula, tags, version from lab.materials;
update lab.materials set name = 'hers';
delete from lab.materials;
reset role;
select test.become('sam');
set role lab_user;
select name, version from lab.materials;
delete from lab.materials;
select count(*) from lab.materials;
reset role;
select test.become(null);
