-- Deployments in databases of their own: parts of the schema, errors with their line, and no way up for those who own what runs.
set client_min_messages to warning;
\set SHOW_CONTEXT never
create database labos_deploy;
\c labos_deploy
set client_min_messages to warning;
create extension labos cascade;

-- D0 A schema that somebody else has made in our place is not believed.
begin;
create schema lab_private;
call labos.deploy();
rollback;
-- D1 The core stands without any module, and stays alone until one is named.
call labos.deploy('{}');
select modules, pending from labos.status();
select count(*) from pg_class where relnamespace = 'lab_data'::regnamespace and relname in ('samples', 'simulation_jobs');
call labos.deploy();
select modules, pending from labos.status();
-- D2 Modules are added to those that stand; none is taken away.
call labos.deploy('{lims}');
call labos.deploy('{}');
select modules, pending from labos.status();
select count(*) from pg_class where relnamespace = 'lab_data'::regnamespace and relname in ('samples', 'simulation_jobs');
select array(select distinct f.module from labos.schema_file f where f.module <> 'core') as all_modules \gset
call labos.deploy(:'all_modules');
select cardinality(pending) as pending from labos.status();
call labos.deploy('{nonsense}');
call labos.deploy(array[null]::text[]);
-- D3 Nothing is left of a deployment that fails in the middle, and the error names file and line: of the parser, also after
-- characters of several bytes; of a constraint; of the statement, not of a query inside the function that it calls.
create function public.fails() returns void language plpgsql as
$$
begin


  perform 1 from no_such_table;
end
$$;
create procedure public.try_file(body text) language plpgsql as
$$
declare v_context text;
begin
  insert into labos.schema_file (path, kind, ord, module, body) values ('m/999_try.sql', 'm', 9999, 'core', body);
  begin
    call labos.deploy();
    raise info 'deployed';
  exception when others then
    get stacked diagnostics v_context = pg_exception_context;
    raise info '%: %', sqlerrm, substring(v_context from 'schema file[^\n]*');
  end;
  delete from labos.schema_file where path = 'm/999_try.sql';
end
$$;
call public.try_file(e'-- one\n\nselect 1;\nselct 2;');
call public.try_file(e'-- ääääääääää€€€€€€€€€€€€€€€€€€€€€€€€€€€€\n-- ääääääääääääääääääääääääääääääääää\n\nselect 1;\nselct 2;\n\n\n\n\n');
call public.try_file(e'create table lab_data.half (a int);\nselect\n  ''äöüäöüäöüäöü'',\n  nothing;');
call public.try_file(e'create table lab_data.half (a int check (a > 0));\n\ninsert into lab_data.half\nvalues (0);');
call public.try_file(e'select 1;\n\nselect public.fails();\n');
call public.try_file(e'select 1; /* a\n/* nested */\n*/ do $$ begin\n\n perform 1 / 0; end $$;');
call public.try_file(e'select 1;\ncommit;');
call public.try_file(e'do $$ begin commit; end $$');
call public.try_file(e'\n\n');
select to_regclass('lab_data.half') is null as nothing_left;
delete from lab_private.migration where path = 'm/999_try.sql';

-- D4 Those who may act as lab_owner get nothing more when a superuser deploys: no other role, no setting, nothing later.
create role test_dev login;
grant lab_owner to test_dev;
create table public.seen (who text, what text);
grant insert on public.seen to public;
\c - test_dev
set client_min_messages to warning;
set role lab_owner;
create function lab_private.climb() returns trigger language plpgsql as
$$
declare v_how text;
begin
  insert into public.seen values (current_user, 'as ' || tg_op);
  foreach v_how in array array['reset role', 'set role postgres', 'set local role none', 'set session authorization postgres', 'alter role test_dev superuser'] loop
    begin
      execute v_how;
      insert into public.seen values (current_user, v_how);
    exception when others then
      insert into public.seen values (current_user, v_how || ': ' || sqlstate);
    end;
  end loop;
  perform set_config('search_path', 'lab_private, pg_catalog', false), set_config('lock_timeout', '1ms', false);
  return NEW;
end
$$;
create trigger climb before insert or update on lab_private.repeatable for each row execute function lab_private.climb();
reset role;
\c - postgres
set client_min_messages to warning;
show search_path;
delete from lab_private.repeatable where path = 'r/005_base.sql';
call labos.deploy();
select distinct who, what from public.seen order by 1, 2;
show search_path;
show lock_timeout;
select current_user;
drop trigger climb on lab_private.repeatable;
truncate public.seen;
-- nor by a trigger that would wait until the superuser commits,
\c - test_dev
set role lab_owner;
create constraint trigger climb after insert on lab_private.repeatable initially deferred for each row execute function lab_private.climb();
\c - postgres
set client_min_messages to warning;
delete from lab_private.repeatable where path = 'r/005_base.sql';
call labos.deploy();
select * from public.seen;
drop trigger climb on lab_private.repeatable;
call labos.deploy();
-- nor by a view in the place of a table that status() reads,
\c - test_dev
set role lab_owner;
begin;
alter table lab_private.deployment rename to elsewhere;
create function lab_private.version() returns text language plpgsql as $$ begin insert into public.seen values (current_user, 'version'); return '0.2'; end $$;
create view lab_private.deployment as select true as singleton, lab_private.version() as version, null::text[] as modules, now() as deployed_at;
commit;
\c - postgres
set client_min_messages to warning;
select deployed from labos.status();
select labos.deployed_version();
select * from public.seen;
drop view lab_private.deployment;
drop function lab_private.version();
alter table lab_private.elsewhere rename to deployment;
-- nor by running statements as the owner without being one.
create role test_other login;
grant usage on schema labos to test_other;
grant execute on function labos.run_as_owner(text, text[]) to test_other;
\c - test_other
select labos.run_as_owner('select 1', null);
\c - postgres
set client_min_messages to warning;
select labos.run_as_owner(null, null);
select labos.run_as_owner('select 1 / $1[1]::int', '{0}');
select current_user;

-- D5 A member of lab_owner who is no superuser deploys too, and keeps the role they had.
\c - test_dev
set client_min_messages to warning;
delete from lab_private.repeatable where path = 'r/005_base.sql';
call labos.deploy();
select current_user, cardinality(pending) as pending from labos.status();
set role lab_owner;
delete from lab_private.repeatable where path = 'r/005_base.sql';
call labos.deploy();
select current_user;
select distinct pg_get_userbyid(c.relowner) as owner from pg_class c where c.relnamespace in ('lab'::regnamespace, 'lab_data'::regnamespace, 'lab_private'::regnamespace);
\c - test_other
call labos.deploy();
\c - postgres
set client_min_messages to warning;

-- D6 What people have made in our schemas survives, and what they switched off stays off.
create table lab_data.my_notes (id integer primary key, note text);
insert into lab_data.my_notes values (1, 'mine');
create view lab.my_samples as select id, name from lab.samples;
create trigger my_trigger before update on lab_data.samples for each row execute function suppress_redundant_updates_trigger();
alter table lab_data.samples disable trigger my_trigger;
alter table lab_data.samples disable trigger _100_stamp;
delete from lab_private.repeatable;
call labos.deploy();
select tgname, tgenabled from pg_trigger where tgrelid = 'lab_data.samples'::regclass and tgenabled <> 'O' order by 1;
select * from lab_data.my_notes;
select count(*) from lab.my_samples;
-- doctor() says so of ours.
select ok, found from labos.doctor() where name ~ 'trigger';
alter table lab_data.samples enable trigger _100_stamp;

-- D7 A migration that has changed, or one from the future, stops the deployment.
begin;
update labos.schema_file set body = body || '-- changed' where path = 'm/010_tenancy.sql';
call labos.deploy();
rollback;
begin;
insert into lab_private.migration (path, sha256, version, ms) values ('m/990_future.sql', 'x', '9.9', 0);
call labos.deploy();
rollback;

-- D8 Roles that somebody made before us, and that can do more than ours, are refused.
begin; alter role lab_user superuser; select labos.create_roles(); rollback;
begin; alter role lab_owner login; select labos.create_roles(); rollback;
begin; alter role lab_anon createrole; select labos.create_roles(); rollback;
begin; alter role lab_guest bypassrls; select labos.create_roles(); rollback;
begin; alter role lab_authenticator inherit; select labos.create_roles(); rollback;
begin; grant lab_owner to lab_user; select labos.create_roles(); rollback;
begin; grant pg_read_all_data to lab_anon; select labos.create_roles(); rollback;
begin; create role test_middle; grant pg_write_server_files to test_middle; grant test_middle to lab_owner; select labos.create_roles(); rollback;
-- What monitoring needs is no harm.
begin; grant pg_read_all_settings to lab_owner; alter role lab_backup replication; select labos.create_roles(); rollback;
select labos.create_roles();

-- What the server preloads for every session it still does: our database's value stands in front of the server's.
alter database labos_deploy reset session_preload_libraries;
alter role postgres set session_preload_libraries = plpgsql;
\c labos_deploy
select labos.prepare_database(), labos.prepare_database();
alter role postgres reset session_preload_libraries;
\c labos_deploy
set client_min_messages to warning;
show session_preload_libraries;

-- D9 expose() of a table that has lost and gained columns, with its view in use.
create table lab_data.test_things (id integer primary key, org_id uuid, "Odd ""name""" text, extra text, calc int generated always as (id * 2) stored);
alter table lab_data.test_things owner to lab_owner;
comment on table lab_data.test_things is $$Things'$$;
comment on column lab_data.test_things."Odd ""name""" is $$it's odd$$;
call labos.protect('lab_data.test_things', 'sample');
call labos.expose('test_things', insert_columns => '{id,"Odd \"name\""}', update_columns => '{"Odd \"name\""}');
create view lab.uses_things as select id from lab.test_things;
alter table lab_data.test_things add column later text;
call labos.expose('test_things', insert_columns => '{id,"Odd \"name\"",later}', update_columns => '{"Odd \"name\""}');
select attname, col_description(attrelid, attnum) from pg_attribute where attrelid = 'lab.test_things'::regclass and attnum > 0 order by attnum;
select obj_description('lab.test_things'::regclass);
select grantee, privilege_type, column_name from information_schema.column_privileges
where table_schema = 'lab' and table_name = 'test_things' and grantee = 'lab_user' and privilege_type <> 'SELECT' order by 2, 3;
call labos.expose('test_things', hidden_columns => '{extra}');
call labos.expose('test_things', insert_columns => '{nothing}');
drop view lab.uses_things;
call labos.expose('test_things', hidden_columns => '{extra}');
select string_agg(attname, ', ' order by attnum) from pg_attribute where attrelid = 'lab.test_things'::regclass and attnum > 0;
select has_column_privilege('lab_user', 'lab_data.test_things', 'extra', 'select') as may_read_hidden,
       has_any_column_privilege('lab_user', 'lab_data.test_things', 'insert') as may_insert;
call labos.protect('lab_data.test_things', null);
call labos.protect('lab_data.test_things', 'x''; drop table lab_data.test_things; --');
call labos.protect('lab_data.test_things', 'sample', verbs => '{select,truncate}');

\c regression
set client_min_messages to warning;
drop database labos_deploy with (force);
drop role test_dev, test_other;
