-- Projects, their members, and locations.
\set VERBOSITY terse
select test.become('mary');
set role lab_user;

-- A manager creates projects; a code names one live project.
insert into lab.projects (code, name, status, lead_id, starts_on) values ('P-1', 'Perovskites', 'active', test.id_of('mary'), '2026-01-01');
insert into lab.projects (code, name) values ('P-2', 'Alloys');
select test.error_of($$insert into lab.projects (code, name) values ('P-1', 'again')$$);
select code, status, version, created_by = test.id_of('mary') as by_mary from lab.projects order by code;
-- The state machine: where it may go and where not.
update lab.projects set status = 'on_hold' where code = 'P-1';
update lab.projects set status = 'completed' where code = 'P-1';
select test.error_of($$update lab.projects set status = 'on_hold' where code = 'P-1'$$);
select test.error_of($$insert into lab.projects (code, name, status) values ('P-3', 'x', 'completed')$$);
update lab.projects set status = 'active' where code = 'P-1';
-- A stale version is refused.
select test.error_of($$update lab.projects set name = 'x', version = 1 where code = 'P-1'$$);
-- Bad input.
select what, test.error_of(statement) from (values
  (1, 'blank name', $$insert into lab.projects (code, name) values ('B-1', '  ')$$), (2, 'no name', $$insert into lab.projects (code) values ('B-1')$$),
  (3, 'code with space', $$insert into lab.projects (code, name) values ('B 1', 'x')$$), (4, 'huge name', $$insert into lab.projects (code, name) values ('B-1', repeat('x', 201))$$),
  (5, 'control character', $$insert into lab.projects (code, name) values ('B-1', E'a\nb')$$), (6, 'ends before start', $$insert into lab.projects (code, name, starts_on, ends_on) values ('B-1', 'x', '2026-02-01', '2026-01-01')$$),
  (7, 'infinite date', $$insert into lab.projects (code, name, ends_on) values ('B-1', 'x', 'infinity')$$), (8, 'metadata no object', $$insert into lab.projects (code, name, metadata) values ('B-1', 'x', '[1]')$$),
  (9, 'status', $$insert into lab.projects (code, name, status) values ('B-1', 'x', 'done')$$), (10, 'foreign lead', $$insert into lab.projects (code, name, lead_id) values ('B-1', 'x', test.id_of('bob'))$$),
  (11, 'a column not granted', $$insert into lab.projects (code, name, created_by) values ('B-1', 'x', null)$$)
) v (n, what, statement) order by n;
-- Members: once in a project, of this organisation.
insert into lab.project_members (project_id, user_id, role) select p.id, test.id_of('sam'), 'contributor' from lab.projects p where p.code = 'P-1';
select test.error_of($$insert into lab.project_members (project_id, user_id) select p.id, test.id_of('sam') from lab.projects p where p.code = 'P-1'$$);
select test.error_of($$insert into lab.project_members (project_id, user_id) select p.id, test.id_of('bea') from lab.projects p where p.code = 'P-1'$$);
select test.error_of($$update lab.project_members set role = 'boss'$$);
update lab.project_members set role = 'lead' where user_id = test.id_of('sam');
delete from lab.project_members where user_id = test.id_of('sam');
insert into lab.project_members (project_id, user_id, role) select p.id, test.id_of('sam'), 'observer' from lab.projects p where p.code = 'P-1';
select role from lab.project_members;
-- Deleted means gone from lists, its code free, and back by restore; the trash is for those who may restore.
delete from lab.projects where code = 'P-2';
select code from lab.projects order by code;
select record ->> 'code' as trashed, deleted_by = test.id_of('mary') as by_mary from lab.trash('project');
select lab.restore('project', id) ->> 'code' as restored from lab.trash('project');
select test.error_of($$select lab.restore('project', gen_random_uuid())$$), test.error_of($$select lab.restore('pg_class', gen_random_uuid())$$),
       test.error_of($$select lab.restore(null, null)$$);
reset role;

-- The others: a scientist reads, and changes nothing; the other organisation sees nothing.
select test.become('sam');
set role lab_user;
select code from lab.projects order by code;
select test.error_of($$insert into lab.projects (code, name) values ('S-1', 'x')$$), test.error_of($$delete from lab.projects$$), test.error_of($$select * from lab.trash('project')$$);
update lab.projects set name = 'x';
reset role;
select test.become('bob');
set role lab_user;
select (select count(*) from lab.projects) + (select count(*) from lab.project_members) as seen_by_beta;
insert into lab.projects (code, name) values ('P-1', 'The same code in another organisation');
reset role;
select test.become(null);
set role lab_user;
select count(*) as seen_by_nobody from lab.projects;
select test.error_of($$select lab.restore('project', gen_random_uuid())$$);
reset role;

-- Locations: a technician builds the tree.
select test.become('tess');
set role lab_user;
insert into lab.locations (kind, code, name) values ('site', 'MAIN', 'Main site');
insert into lab.locations (kind, code, name, parent_id) select 'room', 'R1', 'Room 1', l.id from lab.locations l where l.code = 'MAIN';
insert into lab.locations (kind, code, name, parent_id, temperature_c) select 'freezer', 'F1', 'Freezer 1', l.id, -80 from lab.locations l where l.code = 'R1';
insert into lab.locations (kind, code, name, parent_id, grid_rows, grid_columns) select 'box', 'B1', 'Box 1', l.id, 2, 3 from lab.locations l where l.code = 'F1';
insert into lab.locations (kind, code, name, parent_id) select 'position', 'POS1', 'Peg', l.id from lab.locations l where l.code = 'R1';
select repeat('  ', level - 1) || code as tree, kind, path from lab.location_tree();
select array_agg(code) as path from lab.location_path((select id from lab.locations where code = 'B1'));
select count(*) as below_r1 from lab.location_tree((select id from lab.locations where code = 'R1'));
-- No cycle, neither short nor long.
select what, test.error_of(statement) from (values
  (1, 'itself', $$update lab.locations set parent_id = id where code = 'R1'$$),
  (2, 'a circle', $$update lab.locations set parent_id = (select id from lab.locations where code = 'B1') where code = 'R1'$$),
  (3, 'a site in a room', $$update lab.locations set parent_id = (select id from lab.locations where code = 'R1') where code = 'MAIN'$$),
  (4, 'a position at the top', $$insert into lab.locations (kind, code, name) values ('position', 'X', 'x')$$),
  (5, 'in a position', $$insert into lab.locations (kind, code, name, parent_id) select 'box', 'X', 'x', id from lab.locations where code = 'POS1'$$),
  (6, 'half a grid', $$insert into lab.locations (kind, code, name, grid_rows) values ('box', 'X', 'x', 3)$$),
  (7, 'an empty grid', $$insert into lab.locations (kind, code, name, grid_rows, grid_columns) values ('box', 'X', 'x', 0, 3)$$),
  (8, 'a huge grid', $$insert into lab.locations (kind, code, name, grid_rows, grid_columns) values ('box', 'X', 'x', 703, 3)$$),
  (9, 'a grid of a room', $$insert into lab.locations (kind, code, name, grid_rows, grid_columns) values ('room', 'X', 'x', 3, 3)$$),
  (10, 'colder than cold', $$insert into lab.locations (kind, code, name, temperature_c) values ('room', 'X', 'x', -300)$$),
  (11, 'not a number', $$insert into lab.locations (kind, code, name, temperature_c) values ('room', 'X', 'x', 'NaN')$$),
  (12, 'unknown parent', $$insert into lab.locations (kind, code, name, parent_id) values ('room', 'X', 'x', gen_random_uuid())$$),
  (13, 'a kind of its own', $$insert into lab.locations (kind, code, name) values ('drawer', 'X', 'x')$$),
  (14, 'the same code', $$insert into lab.locations (kind, code, name) values ('room', 'R1', 'x')$$)
) v (n, what, statement) order by n;
-- A place that holds something cannot go; a technician cannot delete at all.
select test.error_of($$delete from lab.locations where code = 'POS1'$$);
reset role;
select test.become('mary');
set role lab_user;
select test.error_of($$delete from lab.locations where code = 'R1'$$);
delete from lab.locations where code = 'POS1';
select lab.restore('location', id) ->> 'code' as back from lab.trash('location');
-- Too deep is refused, by a chain and by a move of a chain.
do $$
declare v_parent uuid;
begin
  for i in 1 .. 32 loop
    insert into lab.locations (kind, code, name, parent_id) values ('shelf', 'D' || i, 'd', v_parent) returning id into v_parent;
  end loop;
end $$;
select test.error_of($$update lab.locations set parent_id = (select id from lab.locations where code = 'R1') where code = 'D1'$$);
select test.error_of($$insert into lab.locations (kind, code, name, parent_id) select 'shelf', 'D33', 'd', id from lab.locations where code = 'D32'$$);
reset role;
select test.become('bob');
set role lab_user;
select count(*) as seen_by_beta from lab.locations;
select count(*) from lab.location_tree();
reset role;
select test.become(null);
