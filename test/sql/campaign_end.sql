-- How campaigns of an external evaluator end: in any order of answers, while paused, after an error.
\pset null null
select test.become('sam');
create function test.ask(max_iterations integer, size integer, more jsonb default '{}') returns uuid language plpgsql as $$
declare v_id uuid;
begin
  select id into v_id from lab.campaign_create('ask', jsonb_build_object('target_properties', '{"f":{"at_least":1}}'::jsonb,
    'search_space', '{"x":{"type":"int","min":1,"max":9}}'::jsonb, 'evaluator', 'external', 'strategy', 'random', 'seed', 3,
    'max_iterations', max_iterations, 'candidates_per_iteration', size) || more);
  perform lab.campaign_start(v_id);
  return v_id;
end $$;
create function test.tell(campaign uuid, slots integer[], f float8 default 0.5) returns bigint language sql as $$
  select count(lab.campaign_observe(c.id, jsonb_build_object('f', f))) from lab.campaign_candidates c where c.campaign_id = tell.campaign and c.slot = any (slots) $$;
set role lab_user;

-- The last iteration is answered before the first: the campaign waits for what is out, then ends.
select test.ask(2, 2) as id \gset
select count(*) from lab.campaign_suggest(:'id', 4);
select test.tell(:'id', '{2,3}');
select status, stop_reason from lab.design_campaigns where id = :'id';
select test.tell(:'id', '{0,1}', 2);
select status, stop_reason, best_score from lab.design_campaigns where id = :'id';

-- What ended while it was paused is complete when it is resumed.
select test.ask(1, 2) as id \gset
select count(*) from lab.campaign_suggest(:'id', 2);
select status from lab.campaign_pause(:'id');
select test.tell(:'id', '{0,1}');
select status from lab.design_campaigns where id = :'id';
select status, stop_reason, completed_at is not null as ended from lab.campaign_resume(:'id');
-- Unless it was given more iterations meanwhile.
select test.ask(1, 2) as id \gset
select count(*) from lab.campaign_suggest(:'id', 2);
select status from lab.campaign_pause(:'id');
select test.tell(:'id', '{0,1}');
select max_iterations from lab.campaign_update(:'id', config => (select config || '{"max_iterations":2}' from lab.design_campaigns where id = :'id'));
select status, stop_reason from lab.campaign_resume(:'id');
select iteration_index, created_structures from lab.campaign_step(:'id');
-- Or fewer: then it is complete.
select test.ask(9, 1) as id \gset
select count(*) from lab.campaign_suggest(:'id', 1);
select test.tell(:'id', '{0}');
select status from lab.campaign_pause(:'id');
select max_iterations from lab.campaign_update(:'id', config => (select config || '{"max_iterations":1}' from lab.design_campaigns where id = :'id'));
select status, stop_reason from lab.campaign_resume(:'id');
select test.error_of(format('select lab.campaign_step(%L)', :'id'));

-- A step after a part of an iteration was asked for and answered goes on; while one is out it waits.
select test.ask(3, 4) as id \gset
select count(*) from lab.campaign_suggest(:'id', 1);
select test.error_of(format('select lab.campaign_step(%L)', :'id'));
select test.tell(:'id', '{0}');
select iteration_index, created_structures, evaluated_structures from lab.campaign_step(:'id');
select iteration_index, created_structures, completed_at is not null as complete from lab.campaign_iterations(:'id');

-- Everything was tried: the campaign ends, also when the last iteration is not full.
select test.ask(9, 4, '{"search_space":{"x":{"type":"int","min":1,"max":6}}}') as id \gset
select count(*) from lab.campaign_suggest(:'id', 9);
select test.tell(:'id', '{0,1,2,3,4,5}');
select test.error_of(format('select lab.campaign_suggest(%L)', :'id'));
select count(*) from lab.campaign_step(:'id');
select status, stop_reason from lab.design_campaigns where id = :'id';

-- Summary and picture of a campaign without answers.
select test.ask(2, 2) as id \gset
select count(*) from lab.campaign_suggest(:'id', 4);
select s #> '{totals,pending}' as pending, s -> 'best_score' as best from lab.campaign_summary(:'id') s;
select xmlparse(document p::text) is document as is_xml from lab.campaign_plot(:'id') p;

-- A running campaign is not changed, by PATCH as little as by the call.
select test.error_of(format('update lab.design_campaigns set name = %L where id = %L', 'x', :'id')) as name,
       test.error_of(format('update lab.design_campaigns set description = %L where id = %L', 'x', :'id')) as description,
       test.error_of(format('update lab.design_campaigns set config = %L where id = %L', '{}', :'id')) as config;
-- And not deleted: it is cancelled first.
select test.error_of(format('delete from lab.design_campaigns where id = %L', :'id'));
select status from lab.campaign_cancel(:'id');
select test.error_of(format('delete from lab.design_campaigns where id = %L', :'id'));
-- Replay: each candidate says how many came before it when it was proposed.
select test.ask(3, 2) as id \gset
select count(*) from lab.campaign_suggest(:'id', 6);
select c.slot, lab.campaign_explain(c.id) -> 'replay' -> 'history' as history from lab.campaign_candidates c where c.campaign_id = :'id' order by 1;
-- Scores on record are scores of one thing: the targets stay once there are candidates.
select status from lab.campaign_pause(:'id');
select test.error_of(format('update lab.design_campaigns set config = config || %L where id = %L', '{"target_properties":{"f":{"at_least":2}}}', :'id')) as targets,
       test.error_of(format('update lab.design_campaigns set config = config || %L where id = %L', '{"max_iterations":7}', :'id')) as iterations;
reset role;
