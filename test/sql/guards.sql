-- What keeps an answer about the caller fresh, and what keeps one request from changing too much.
set client_min_messages to warning;
create role test_reader login;
grant lab_user to test_reader;
select lab_private.db_login_map('test_reader', 'sam@alpha.test', 'alpha');
create procedure test.lose_roles(who text) language sql as $$ delete from lab_data.user_roles where user_id = test.id_of(who) $$;

-- F1 A right that ends during a transaction ends at the next statement, not with the transaction.
select test.become('sam');
begin;
update lab_data.user_roles set assigned_at = now() - interval '1 hour', expires_at = clock_timestamp() + interval '0.3 s' where user_id = test.id_of('sam');
select labos.has_permission('sample:create');
select pg_sleep(0.4);
select labos.has_permission('sample:create');
rollback;
-- F2 A session that ends during a transaction: the same.
insert into lab_data.user_sessions (id, org_id, user_id, expires_at)
values ('00000000-0000-7000-8000-0000000000f2', test.org_of('mary'), test.id_of('mary'), clock_timestamp() + interval '1.5 s');
create function test.mary_claims() returns text language sql security definer as
$$ select json_build_object('sub', test.id_of('mary'), 'org_id', test.org_of('mary'), 'sid', '00000000-0000-7000-8000-0000000000f2', 'exp', 4102444800)::text $$;
\c - lab_authenticator
begin;
select set_config('request.jwt.claims', test.mary_claims(), true) is not null as set;
select labos.user_id() = test.id_of('mary') as is_mary;
select pg_sleep(1.6);
select labos.user_id() = test.id_of('mary') as is_mary;
commit;
\c - postgres
set client_min_messages to warning;
update lab_data.user_sessions set expires_at = 'infinity' where id = '00000000-0000-7000-8000-0000000000f2';
-- F3 A cursor from before the change neither keeps the right nor gives it back to later statements.
select test.become('sam');
begin;
declare c cursor for select labos.has_permission('sample:create') from generate_series(1, 3);
fetch 1 from c;
call test.lose_roles('sam');
fetch 1 from c;
select labos.has_permission('sample:create');
rollback;
select labos.has_permission('sample:create');
-- F4 TRUNCATE takes rights too.
begin;
truncate lab_data.user_roles;
select labos.has_permission('sample:create');
rollback;
begin;
truncate lab_private.db_logins;
select labos.user_id() is null as nobody;
rollback;
select labos.has_permission('sample:create');
-- F5 row_security = off is an error on tables, but not of the question who is calling.
\c - test_reader
set row_security = off;
select labos.user_id() = test.id_of('sam') as is_sam;
show row_security;
set row_security = on;
-- F6 A session that was there before its rights were has them when they come.
\c - postgres
set client_min_messages to warning;
select test.become(null);
select labos.user_id() is null as nobody;
select test.become('sam');
select labos.user_id() = test.id_of('sam') as is_sam;
-- F7 Asking a hundred thousand times takes no memory.
do $$ begin perform count(labos.org_for('sample:read')) from generate_series(1, 1000); end $$;
create temporary table before_asking as select sum(total_bytes) as bytes from pg_backend_memory_contexts where name like 'labos%' or name in ('TopMemoryContext', 'CacheMemoryContext');
select count(labos.org_for('sample:read')), count(labos.user_for('user:read', labos.user_id())), count(labos.has_role('viewer')),
       count(labos.request_id()), count(labos.has_permission('p' || i % 200 || ':read'))
from generate_series(1, 100000) i;
select sum(m.total_bytes) - (select b.bytes from before_asking b) < 65536 as no_growth
from pg_backend_memory_contexts m where name like 'labos%' or name in ('TopMemoryContext', 'CacheMemoryContext');
drop table before_asking;
-- F8 A thousand changes of the caller take no memory either.
do $$ begin for i in 1..20 loop perform test.become('sam'), labos.user_id(); end loop; end $$;
create temporary table before_asking as select sum(total_bytes) as bytes from pg_backend_memory_contexts where name like 'labos%' or name = 'TopMemoryContext';
do $$ begin for i in 1..500 loop perform test.become('sam'); perform labos.user_id(); perform test.become('bob'); perform labos.user_id(); end loop; end $$;
select sum(m.total_bytes) - (select b.bytes from before_asking b) < 65536 as no_growth from pg_backend_memory_contexts m where name like 'labos%' or name = 'TopMemoryContext';
drop table before_asking;

-- S1 The settings of roles that many people share are not theirs to change: PostgREST applies them to every request.
\c - test_reader
set role lab_user;
alter role lab_user set statement_timeout = '1ms';
alter role lab_user in database regression set search_path = public;
alter role lab_user reset all;
alter role current_user set work_mem = '1GB';
do $$ begin execute 'alter role lab_user set statement_timeout = 1'; end $$;
-- S2 One's own are.
reset role;
alter role test_reader set work_mem = '5MB';
select setconfig from pg_db_role_setting where setrole = 'test_reader'::regrole;

-- V1 An upsert that names a version is held to it, whatever version the row has.
\c - postgres
set client_min_messages to warning;
create table lab_data.test_notes (
  id integer primary key, org_id uuid default labos.org_id(), note text, twice text generated always as (note || note) stored,
  version integer default 1, created_at timestamptz, created_by uuid, updated_at timestamptz, updated_by uuid, deleted_at timestamptz, deleted_by uuid);
alter table lab_data.test_notes owner to lab_owner;
comment on table lab_data.test_notes is 'Notes of a test';
create trigger _100_stamp before insert or update on lab_data.test_notes for each row execute function labos.tg__stamp();
insert into lab_data.test_notes (id, note) values (1, 'a'), (2, 'b');
update lab_data.test_notes set note = 'c' where id = 1;
insert into lab_data.test_notes (id, note, version) values (1, 'd', 2) on conflict (id) do update set note = excluded.note, version = excluded.version returning id, note, twice, version;
select test.error_of($$insert into lab_data.test_notes (id, note, version) values (1, 'e', 2) on conflict (id) do update set note = excluded.note, version = excluded.version$$);
select test.error_of($$insert into lab_data.test_notes (id, note, version) values (2, 'e', 7) on conflict (id) do update set note = excluded.note, version = excluded.version$$);
insert into lab_data.test_notes (id, note) values (1, 'f'), (3, 'g') on conflict (id) do update set note = excluded.note returning id, note, version;
insert into lab_data.test_notes (id, note, version) values (4, 'new', 9) returning version;
select test.error_of($$update lab_data.test_notes set note = 'x', version = 1 where id = 1$$);
select test.error_of($$update lab_data.test_notes set note = 'x', version = null where id = 1$$);
-- V2 A row whose version was never filled gets one.
alter table lab_data.test_notes disable trigger _100_stamp;
update lab_data.test_notes set version = null where id = 3;
alter table lab_data.test_notes enable trigger _100_stamp;
update lab_data.test_notes set note = 'h' where id = 3 returning version;
-- V3 If-Match counts for the table of the request, in every form that RFC 9110 has, and for DELETE.
call labos.protect('lab_data.test_notes', 'sample');
call labos.expose('test_notes', insert_columns => '{id,note}', update_columns => '{note,version}', deletable => true, prefix => 'sample');
update lab_data.test_notes set org_id = test.org_of('sam');
create function test.request(method text, path text, headers json) returns void language sql as
$$ select set_config('request.method', method, true), set_config('request.path', path, true), set_config('request.headers', headers::text, true),
          set_config('request.jwt.claims', test.mary_claims(), true) $$;
create function test.try(method text, path text, headers json, statement text, out answer text) language plpgsql as
$$
declare v_detail text; v_rows bigint;
begin
  perform test.request(method, path, headers);
  set local role lab_user;
  execute statement;
  get diagnostics v_rows = row_count;
  answer := v_rows || ' rows';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  answer := concat_ws(' ', sqlstate, sqlerrm, v_detail);
end
$$;
select id, version from lab_data.test_notes order by id;
\c - lab_authenticator
begin; select test.try('PATCH', '/test_notes', '{"if-match": "\"5\""}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "W/\"5\""}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "5"}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "*"}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "\"1\", W/\"5\""}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "\"3\""}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "\"55\""}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "\"5x\""}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "\"abc\""}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "99999999999999999999"}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": ""}', 'update lab.test_notes set note = note where id = 1'); rollback;
-- many rows: each must have the version
begin; select test.try('PATCH', '/test_notes', '{"if-match": "\"2\""}', 'update lab.test_notes set note = note where id in (2, 4)'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"if-match": "\"1\""}', 'update lab.test_notes set note = note'); rollback;
-- another table that the request changes on its way has versions of its own
begin; select test.try('PATCH', '/samples', '{"if-match": "\"77\""}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('PATCH', '/rpc/test_notes', '{"if-match": "\"77\""}', 'update lab.test_notes set note = note where id = 1'); rollback;
begin; select test.try('DELETE', '/test_notes', '{"if-match": "\"3\""}', 'delete from lab.test_notes where id = 1'); rollback;

-- M1 A PATCH or DELETE that forgot its filter changes nothing: more than labos.max_affected_rows (100) are refused.
\c - postgres
set client_min_messages to warning;
show labos.max_affected_rows;
insert into lab_data.test_notes (id, note, org_id) select i, 'many', test.org_of('sam') from generate_series(11, 110) i;
\c - lab_authenticator
begin; select test.try('PATCH', '/test_notes', '{}', 'update lab.test_notes set note = ''x'''); rollback;
begin; select test.try('DELETE', '/test_notes', '{}', 'delete from lab.test_notes'); rollback;
begin; select test.try('PATCH', '/test_notes', '{}', 'update lab.test_notes set note = ''x'' where note = ''many'''); rollback;
begin; select test.try('DELETE', '/test_notes', '{}', 'delete from lab.test_notes where note = ''many'''); rollback;
-- M2 A request that means more says so; one may also ask for less.
begin; select test.try('PATCH', '/test_notes', '{"prefer": "return=minimal, max-affected=104"}', 'update lab.test_notes set note = ''x'''); rollback;
begin; select test.try('DELETE', '/test_notes', '{"prefer": "max-affected=1000"}', 'delete from lab.test_notes'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"prefer": "max-affected=1"}', 'update lab.test_notes set note = ''x'' where id in (1, 2)'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"prefer": "max-affected=0"}', 'update lab.test_notes set note = ''x'' where id = 1'); rollback;
begin; select test.try('PATCH', '/test_notes', '{"prefer": "max-affected=-1"}', 'update lab.test_notes set note = ''x'''); rollback;
begin; select test.try('PATCH', '/test_notes', '{"prefer": "max-affected=1e9"}', 'update lab.test_notes set note = ''x'''); rollback;
begin; select test.try('PATCH', '/test_notes', '{"prefer": "max-affected=99999999999999999999"}', 'update lab.test_notes set note = ''x'''); rollback;
begin; select test.try('PATCH', '/test_notes', '{"prefer": "no-max-affected=200"}', 'update lab.test_notes set note = ''x'''); rollback;
-- M3 Functions and other tables are not counted; nor can the request change the limit.
begin; select test.try('POST', '/rpc/anything', '{}', 'update lab.test_notes set note = ''x'''); rollback;
begin; select test.try('PATCH', '/samples', '{}', 'update lab.test_notes set note = ''x'''); rollback;
set labos.max_affected_rows = 0;
-- M4 SQL clients know what they do, whatever they set.
\c - test_reader
set role lab_user;
begin;
select set_config('request.method', 'PATCH', true), set_config('request.path', '/test_notes', true);
update lab.test_notes set note = 'x';
select count(*) from lab.test_notes where note = 'x';
rollback;
-- M5 Every table that clients may change is guarded.
\c - postgres
set client_min_messages to warning;
select c.relname from pg_class c
where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p')
  and (has_any_column_privilege('lab_user', c.oid, 'update') or has_table_privilege('lab_user', c.oid, 'delete'))
  and not exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = '_050_limit' and t.tgenabled = 'O');
-- M6 A partition goes by the name of its table.
create table lab_data.test_parts (id integer, org_id uuid, note text, version integer default 1, primary key (org_id, id)) partition by hash (id, org_id);
create table lab_data.test_parts_a partition of lab_data.test_parts for values with (modulus 2, remainder 0);
create table lab_data.test_parts_b partition of lab_data.test_parts for values with (modulus 2, remainder 1);
alter table lab_data.test_parts owner to lab_owner;
comment on table lab_data.test_parts is 'Parts of a test';
create trigger _100_stamp before insert or update on lab_data.test_parts for each row execute function labos.tg__stamp();
call labos.protect('lab_data.test_parts', 'sample');
call labos.expose('test_parts', update_columns => '{note}', deletable => true);
insert into lab_data.test_parts select i, test.org_of('mary'), 'part' from generate_series(1, 120) i;
\c - lab_authenticator
begin; select test.try('PATCH', '/test_parts', '{}', 'update lab.test_parts set note = ''x'''); rollback;
begin; select test.try('PATCH', '/test_parts', '{}', 'update lab.test_parts set note = ''x'' where id between 20 and 110'); rollback;
begin; select test.try('DELETE', '/test_parts', '{}', 'delete from lab.test_parts'); rollback;
begin; select test.try('PATCH', '/test_parts', '{"if-match": "\"5\""}', 'update lab.test_parts set note = ''x'' where id = 1'); rollback;

-- E1 What a client writes does not reach the status line of the answer but as printable ASCII, one line, not too long.
\c - postgres
set client_min_messages to warning;
create table test.machine (status text);
create trigger _200_state before insert or update on test.machine for each row execute function labos.tg__state('status', 'new>old', 'old>');
insert into test.machine values (e'x\r\nSet-Cookie: a=b');
insert into test.machine values ('new,old'), ('new');
insert into test.machine values ('new');
update test.machine set status = '';
update test.machine set status = 'old>';
\set VERBOSITY terse
insert into test.machine values ('ä€' || repeat('y', 5000));
\set VERBOSITY default
update test.machine set status = 'old';
update test.machine set status = 'new';

drop table lab_data.test_notes, lab_data.test_parts cascade;
drop table test.machine;
drop function test.try, test.request, test.mary_claims;
drop procedure test.lose_roles;
select test.become(null);
delete from lab_private.db_logins;
delete from lab_data.user_sessions where id = '00000000-0000-7000-8000-0000000000f2';
drop role test_reader;
