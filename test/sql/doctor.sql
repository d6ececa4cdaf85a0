-- The doctor finds each defect that somebody plants, and nothing in a fresh installation but what the test server lacks.
set client_min_messages to warning;
select name, found, cure is not null as has_cure, severity from labos.doctor() where not ok;

create table test.seen (name text);
-- Plants a defect, asks, and takes it back.
create function pg_temp.found(defect text) returns table (name text, found text) language plpgsql as $$
declare
  v_found jsonb;
begin
  begin
    execute defect;
    select coalesce(jsonb_agg(d order by d.name), '[]') into v_found from labos.doctor() d
    where not d.ok and d.name not like 'a master key%' and d.name not like 'what is committed%' and d.name not like 'limits per address%';
    raise exception triggered_action_exception;
  exception when triggered_action_exception then
    null;
  end;
  insert into test.seen select x ->> 'name' from jsonb_array_elements(v_found) x;
  return query select x ->> 'name', x ->> 'found' from jsonb_array_elements(v_found) x;
end $$;

select * from pg_temp.found('create table lab_data.naked (org_id uuid not null, id uuid not null)');
select * from pg_temp.found('alter table lab_data.memberships no force row level security');
select * from pg_temp.found('create policy wide on lab_data.memberships for select to lab_user using (org_id = labos.org_for(''user:read'') or user_id = labos.user_id())');
select * from pg_temp.found('create policy everybody on lab_data.memberships for select to lab_user using (true)');
select * from pg_temp.found('create policy narrow on lab_data.memberships as restrictive for select to lab_user using (org_id = labos.org_for(''user:read''))');
select * from pg_temp.found('create policy guc on lab_data.memberships for select to lab_user using (org_id = current_setting(''app.org'')::uuid)');
select * from pg_temp.found('drop policy owner_all on lab_data.memberships; create policy owner_all on lab_data.memberships using (true)');
select * from pg_temp.found('create view lab.peek as select * from lab_data.memberships');
select * from pg_temp.found('create unique index oracle on lab_data.memberships (title)');
select * from pg_temp.found('alter table lab_data.memberships add amount numeric; create index leaky on lab_data.memberships (org_id, amount)');
select * from pg_temp.found('create function lab.open() returns int language sql as ''select 1''; grant execute on function lab.open() to public');
select * from pg_temp.found('create function lab.unpinned() returns int language sql security definer as ''select 1''; revoke all on function lab.unpinned() from public');
select * from pg_temp.found('grant select on lab_private.db_logins to lab_user');
select * from pg_temp.found('grant truncate on lab_data.memberships to lab_user');
select * from pg_temp.found('do $d$ begin execute format(''grant temporary on database %I to public'', current_database()); end $d$');
select * from pg_temp.found('grant create on schema public to public');
select * from pg_temp.found('alter role lab_owner login');
select * from pg_temp.found('alter role lab_authenticator inherit');
-- (That the library is not loaded in time, or not shared: test/t/nopreload.t.)
select * from pg_temp.found('update labos.schema_file set body = body || ''-- changed'' where path = ''r/015_roles.sql''');
select * from pg_temp.found('alter table lab_data.samples disable trigger _900_audit');
-- (That the audit log of a copied database is closed: test/t/dump_restore.t.)
select * from pg_temp.found($d$select lab_private.signing_key_add('EdDSA', now()); update lab_private.signing_keys set sealed_key = '\x0102' where retired_at is null$d$);
-- Policies, rights, views and indexes.
select * from pg_temp.found($d$grant select on lab_data.memberships to lab_guest$d$);
select * from pg_temp.found($d$grant insert (title), update (title) on lab_data.memberships to lab_user$d$);
select * from pg_temp.found($d$create table lab.here (id integer); alter table lab.here owner to lab_owner$d$);
select * from pg_temp.found($d$create materialized view lab_data.copy as select 1; alter materialized view lab_data.copy owner to lab_owner$d$);
select * from pg_temp.found($d$create view lab_data.peek as select * from lab_data.users; alter view lab_data.peek owner to lab_owner$d$);
select * from pg_temp.found($d$create index leaky on lab_data.memberships using gin (to_tsvector('simple', title))$d$);
select * from pg_temp.found($d$grant trigger on lab_data.samples to lab_user$d$);
-- Functions, triggers, owners.
select * from pg_temp.found($d$grant execute on function labos.deploy_files(text[]) to public; alter function labos.deploy_files(text[]) security definer$d$);
select * from pg_temp.found($d$grant execute on function lab_private.access_log(text, text, uuid, uuid, uuid, jsonb) to lab_user$d$);
select * from pg_temp.found($d$drop trigger _100_stamp on lab_data.samples$d$);
select * from pg_temp.found($d$drop trigger _050_limit on lab_data.samples$d$);
select * from pg_temp.found($d$drop trigger _100_soft_delete on lab.samples$d$);
select * from pg_temp.found($d$drop trigger _500_rights on lab_data.user_roles$d$);
select * from pg_temp.found($d$create function public.spy() returns trigger language plpgsql as 'begin return new; end'; create trigger spy before insert on lab_data.samples for each row execute function public.spy()$d$);
select * from pg_temp.found($d$create rule away as on insert to lab_data.samples do instead nothing$d$);
select * from pg_temp.found($d$drop trigger _900_audit on lab_data.samples$d$);
select * from pg_temp.found($d$create role test_owner; alter view lab.samples owner to test_owner$d$);
select * from pg_temp.found($d$create function lab_private.mine() returns integer language sql as 'select 1'; revoke all on function lab_private.mine() from public$d$);
select * from pg_temp.found($d$create function labos.has_permission(text, text) returns boolean language sql as 'select true'$d$);
select * from pg_temp.found($d$create operator labos_ops.= (leftarg = text, rightarg = text, function = pg_catalog.texteq)$d$);
select * from pg_temp.found($d$grant create on schema lab to lab_user$d$);
select * from pg_temp.found($d$grant create on schema labos_ops to public$d$);
-- Roles and settings.
select * from pg_temp.found($d$grant pg_read_all_data to lab_authenticator$d$);
select * from pg_temp.found($d$grant lab_owner to lab_authenticator$d$);
select * from pg_temp.found($d$alter role lab_user createdb$d$);
select * from pg_temp.found($d$grant pg_monitor to lab_anon$d$);
select * from pg_temp.found($d$create role test_helper login; grant lab_owner to test_helper$d$);
select * from pg_temp.found($d$create role test_root login superuser; insert into lab_private.db_logins (rolname, user_id, org_id) select 'test_root', user_id, org_id from lab_data.memberships limit 1$d$);
select * from pg_temp.found($d$insert into lab_private.db_logins (rolname, user_id, org_id) select 'test_gone', user_id, org_id from lab_data.memberships limit 1$d$);
select * from pg_temp.found($d$alter role lab_authenticator set request.jwt.claims = '{}'$d$);
select * from pg_temp.found($d$alter role lab_user set row_security = off$d$);
select * from pg_temp.found($d$alter role lab_authenticator set log_statement = 'all'$d$);
-- P38 A cache of verified tokens would outlive the key that is withdrawn.
select * from pg_temp.found($d$alter role lab_authenticator set pgrst.jwt_cache_max_lifetime = 3600$d$);
set client_min_messages to error;
select * from pg_temp.found($d$create publication leak for table lab_private.credentials$d$);
select * from pg_temp.found($d$alter role lab_authenticator superuser$d$);
select * from pg_temp.found($d$grant create on schema public to public$d$);
-- Keys.
select * from pg_temp.found($d$update lab_private.identity_settings set bootstrapped_at = now(); update lab_private.signing_keys set retired_at = not_before + interval '1 second', not_before = not_before - interval '1 hour'$d$);
select * from pg_temp.found($d$select lab_private.signing_key_add('HS256', now())$d$);
-- What waits to be told: for an hour, given up, or sealed with another key.
select * from pg_temp.found($d$select lab_private.outbox_add('mail', 'lockout', 'x@y.test'); update lab_private.outbox set created_at = now() - interval '2 hours'$d$);
select * from pg_temp.found($d$select lab_private.outbox_add('mail', 'lockout', 'x@y.test'); update lab_private.outbox set failed_at = now(), sealed_payload = null$d$);
select * from pg_temp.found($d$select lab_private.outbox_add('mail', 'lockout', 'x@y.test'); update lab_private.outbox set sealed_payload = '\x0102'$d$);
select * from pg_temp.found($d$select lab_private.outbox_add('mail', 'lockout', 'x@y.test')$d$);
-- Settings that only a running server shows.
set log_parameter_max_length_on_error = 100; select d.name, d.found from labos.doctor() d where not d.ok and d.name like 'parameters%'; reset log_parameter_max_length_on_error;
set log_statement = 'mod'; select d.name, d.found from labos.doctor() d where not d.ok and d.name like 'parameters%'; reset log_statement;
-- What is written into pg_hba.conf counts before it is loaded; the file is as it was afterwards.
create temp table hba (line text);
copy pg_temp.hba from program 'cat "$PGDATA/pg_hba.conf"';
copy (select line from pg_temp.hba union all select 'host all all 192.0.2.0/24 trust' union all select 'host all all 0.0.0.0/0 password') to program 'cat > "$PGDATA/pg_hba.conf"';
select d.name, regexp_replace(d.found, '\(line \d+\)', '', 'g') as found from labos.doctor() d where not d.ok and d.name like 'nobody connects%';
copy pg_temp.hba to program 'cat > "$PGDATA/pg_hba.conf"';
select count(*) as left from labos.doctor() d where not d.ok and d.name like 'nobody connects%';
alter system set labos.trusted_gateways = '';
select pg_reload_conf();
\c -
set client_min_messages to warning;
select d.name, d.found from labos.doctor() d where not d.ok and d.name like 'a gateway is reg%';
alter system reset labos.trusted_gateways;
select pg_reload_conf();
-- Every check has been seen to find something: none is there for show. (The closed log of a copy: test/t/dump_restore.t; durability: above.)
select d.name from labos.doctor() d
where d.name not in (select name from test.seen) and d.name !~ '^(a master key|what is committed|the audit log is open|nobody connects|parameters of|a gateway is registered|the library is loaded|all sessions count|limits per address)';
drop table test.seen;
-- Nobody else may ask.
set role lab_user;
select * from labos.doctor();
reset role;
