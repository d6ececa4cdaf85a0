-- Users, roles, permissions: who may do what to whom. Alpha: alan admin, mary manager, sam and sue scientists, tess technician, vic viewer; Beta: bob admin.
set client_min_messages to warning;
\set VERBOSITY terse
-- Another admin, a superuser of the installation who is a member and admin of Alpha, and a deputy who may give and take.
insert into lab_data.users (email, username, is_verified, is_superuser)
select w || '@alpha.test', w, true, w = 'zeus' from unnest('{anna,zeus,dan}'::text[]) w;
insert into lab_data.memberships (org_id, user_id, is_default) select test.org_of('alan'), test.id_of(w), true from unnest('{anna,zeus,dan}'::text[]) w;
insert into lab_data.user_roles (org_id, user_id, role_id)
select test.org_of('alan'), test.id_of(w), r.id from unnest('{anna,zeus}'::text[]) w, lab_data.roles r where r.name = 'admin' and r.org_id is null;
update lab_data.users set is_verified = true where username in ('alan', 'mary', 'sam', 'tess', 'vic', 'bob');
create function test.rbac(who text, statement text) returns text language plpgsql as $$
begin
  perform test.become(who);
  set local role lab_user;
  return test.answer(statement);
end $$;
create function test.on(who text, call text, whom text, more text default '') returns text language sql as
$$ select test.rbac(who, format('select to_jsonb(lab.%s(%L%s))', call, test.id_of(whom), more)) $$;

-- P51 There is no account that nobody made: no schema file inserts a user or a password outside a function.
select path from labos.schema_file where regexp_replace(body, '\$\$.*?\$\$', '', 'g') ~* 'insert\s+into\s+(lab_data\.users|lab_private\.credentials)';

-- creating -------------------------------------------------------------------

-- P50 Nobody chooses a password for somebody else: no call takes one for another user.
select p.proname, a.name from pg_proc p cross join lateral unnest(p.proargnames, p.proargtypes::oid[]) a(name, type)
where p.pronamespace = 'lab'::regnamespace and a.name ~ 'password' and a.type <> 'boolean'::regtype and p.proname !~ '^auth_' order by 1, 2;
-- A new user has none; what is made at the admin's wish is random, must be changed, and is shown in this answer only.
select test.become('alan'); set role lab_user;
select u ? 'initial_password' as shown from lab.user_create('una@alpha.test', 'una') u;
select lab.user_create('ugo@alpha.test', 'ugo', roles => '{viewer}', initial_password => true) as ugo \gset
select lab.user_create('udo@alpha.test', 'udo', initial_password => true) as udo \gset
reset role;
select length(:'ugo'::jsonb ->> 'initial_password') as length, :'ugo'::jsonb ->> 'initial_password' <> :'udo'::jsonb ->> 'initial_password' as random,
       (select must_change from lab_private.credentials where user_id = test.id_of('ugo')) as must_change,
       exists (select from lab_private.credentials where user_id = test.id_of('una')) as una_has_one;
select a ? 'access_token' as in, a -> 'must_change_password' as must_change from lab.auth_login('ugo', :'ugo'::jsonb ->> 'initial_password') a;
-- Not taken over in time it is worth nothing (ASVS 6.4.1): the same refusal, its reason in the log. Other passwords do not expire.
begin;
update lab_private.credentials set changed_at = changed_at - interval '6 days 23 hours' where user_id = test.id_of('ugo');
select lab.auth_login('ugo', :'ugo'::jsonb ->> 'initial_password') ? 'access_token' as in_time;
update lab_private.credentials set changed_at = changed_at - interval '1 hour' where user_id = test.id_of('ugo');
select lab.auth_login('ugo', :'ugo'::jsonb ->> 'initial_password') as late, lab.auth_login('ugo', 'Wrong-Horse-1') as wrong;
select detail ->> 'reason' as reason from lab_data.access_logs where user_id = test.id_of('ugo') and event = 'login' and outcome = 'failure' order by id;
update lab_private.identity_settings set initial_password_days = 8;
select lab.auth_login('ugo', :'ugo'::jsonb ->> 'initial_password') ? 'access_token' as by_setting;
update lab_private.identity_settings set initial_password_days = 7;
update lab_private.credentials set must_change = false where user_id = test.id_of('ugo');
select lab.auth_login('ugo', :'ugo'::jsonb ->> 'initial_password') ? 'access_token' as own_password;
rollback;
select count(*) as in_logs from lab_data.access_logs where detail::text like '%' || (:'ugo'::jsonb ->> 'initial_password') || '%';
select test.become('alan'); set role lab_user;
select count(*) as in_audit from lab.audit_log a where to_jsonb(a)::text like '%' || (:'ugo'::jsonb ->> 'initial_password') || '%';
reset role;

-- A machine account: no password, by no path; it needs no address.
select test.become('alan'); set role lab_user;
select u ->> 'email' as email, u -> 'is_machine' as machine, u -> 'roles' as roles from lab.user_create(username => 'Robot-1', roles => '{service}', is_machine => true) u;
reset role;
select test.error_of($$select lab_private.password_set(test.id_of('Robot-1'), 'Correct-Horse-9', 'x@y.test', 'Robot-1')$$);
select test.error_of($$insert into lab_private.mfa_factors (user_id, sealed_secret) values (test.id_of('Robot-1'), '\x00')$$);
select k, test.error_of(format($$insert into lab_data.user_sessions (org_id, user_id, kind, expires_at) values (test.org_of('alan'), test.id_of('Robot-1'), %L, now() + interval '1 hour')$$, k))
from unnest('{password,oidc,invitation,reset}'::text[]) k;
select test.error_of('update lab_data.users set is_superuser = true where is_machine');
select test.rbac('alan', 'select lab.user_create(is_machine => true)') as without_name, test.rbac('alan', $$select lab.user_create(username => 'robot-1', is_machine => true)$$) as taken,
       test.rbac('alan', 'select lab.user_create()') as nothing, test.rbac('mary', $$select lab.user_create('x@y.test', 'xyx')$$) as manager;

-- An administrator has a mail sent, and learns nothing of what is in it; nobody's superior, no machine, nobody of elsewhere.
begin;
select test.on('alan', 'user_password_reset', 'ugo') as sent, test.on('alan', 'user_password_reset', 'Robot-1') as machine, test.on('alan', 'user_password_reset', 'bob') as elsewhere,
       test.on('mary', 'user_password_reset', 'ugo') as manager;
reset role;
select template, recipient, is_request, user_id = test.id_of('ugo') as ugo, org_id = test.org_of('alan') as alpha from lab_private.outbox where user_id = test.id_of('ugo');
select x.template, x.payload ? 'token' as token from lab_private.outbox_claim('rbac', 100) x where x.recipient like 'ugo@%';
select event, outcome, detail - 'by' as detail, detail ->> 'by' = test.id_of('alan')::text as by_alan from lab_data.access_logs where event = 'user_password_reset';
rollback;

-- who may act upon whom -------------------------------------------------------

-- The superuser of the installation is touched by superusers only, although alan is admin of the organisation.
insert into lab_data.user_sessions (id, org_id, user_id, expires_at) values ('00000000-0000-7000-8000-0000000000e5', test.org_of('zeus'), test.id_of('zeus'), 'infinity');
select c, test.on('alan', c, 'zeus', more)
from (values ('user_update', ', full_name => ''Z'''), ('user_update', ', email => ''z@evil.test'''), ('user_deactivate', ''), ('user_activate', ''), ('user_unlock', ''), ('user_password_reset', ''), ('user_mfa_reset', ''), ('user_delete', ''),
             ('membership_remove', ''), ('role_assign', ', ''viewer'''), ('role_assign', ', ''admin'', now() + interval ''1 day'''), ('role_revoke', ', ''admin''')) x(c, more);
select test.rbac('alan', $$select lab.auth_session_end('00000000-0000-7000-8000-0000000000e5')$$) as session_end;
-- Every call that takes somebody's id is in the list above, reads, or restores.
select p.oid::regprocedure from pg_proc p
where p.pronamespace = 'lab'::regnamespace and p.proname ~ '^(user|membership|role)_' and 'uuid'::regtype = any (p.proargtypes::oid[]) and p.provolatile = 'v' order by p.oid::regprocedure::text collate "C";
-- Neither restored nor taken back by who is below.
begin; update lab_data.users set deleted_at = now() where username = 'zeus'; select test.on('alan', 'user_restore', 'zeus'), test.rbac('alan', format('select lab.restore(''user'', %L)', id)) from lab_data.users where username = 'zeus'; rollback;
begin; delete from lab_data.user_roles where user_id = test.id_of('zeus'); update lab_data.memberships set left_at = now() where user_id = test.id_of('zeus');
select test.rbac('alan', format('select lab.membership_restore(%L)', id)) from lab_data.users where username = 'zeus'; rollback;
-- A superuser may.
begin; select test.on('zeus', 'user_update', 'zeus', ', full_name => ''Zeus'''), test.on('zeus', 'user_deactivate', 'alan'); rollback;

-- Nobody gives, takes or touches above what they hold: a deputy with the calls but not the rights.
select test.rbac('alan', $$select lab.role_create('vice', permissions => '{role:assign,role:create,role:update,role:delete,role:restore,user:update,user:delete,user:restore}', parent => 'technician')$$);
select test.on('alan', 'role_assign', 'dan', ', ''vice''');
select c, test.on('dan', c, 'mary', more) as manager, test.on('dan', c, 'tess', more) as technician
from (values ('user_update', ', full_name => ''N'''), ('user_deactivate', ''), ('user_activate', ''), ('user_unlock', ''), ('user_password_reset', ''), ('role_assign', ', ''viewer'''), ('role_assign', ', ''technician'', now() + interval ''1 hour'''),
             ('role_assign', ', ''manager'''), ('role_assign', ', ''vice'''), ('role_revoke', ', ''vice'''), ('role_revoke', ', ''viewer'''), ('role_revoke', ', ''manager''')) x(c, more);
select test.rbac('dan', $$select lab.role_create('up', permissions => '{sample:approve_any}')$$) as unknown, test.rbac('dan', $$select lab.role_create('up', permissions => '{result:approve}')$$) as more,
       test.rbac('dan', $$select lab.role_create('up', parent => 'pi')$$) as by_parent, test.rbac('dan', $$select lab.role_update('vice', parent => 'manager')$$) as by_own_parent;
-- A role that somebody above holds is not taken from them by deleting it.
select test.rbac('alan', $$select lab.role_create('lab_duty', permissions => '{run:execute}')$$), test.on('alan', 'role_assign', 'mary', ', ''lab_duty''');
select test.rbac('dan', $$select lab.role_delete('lab_duty')$$);

-- roles ------------------------------------------------------------------------

-- System roles: not renamed, changed or deleted, not by an admin and not by a superuser, who may describe them.
select w, test.rbac(w, $$select lab.role_update('viewer', name => 'spectator')$$) as rename, test.rbac(w, $$select lab.role_update('viewer', permissions => '{*:*}')$$) as widen,
       test.rbac(w, $$select lab.role_update('viewer', parent => 'admin')$$) as parent, test.rbac(w, $$select lab.role_delete('viewer')$$) as delete,
       test.rbac(w, $$select lab.role_update('viewer', description => 'Reads what the laboratory shares.')$$) as describe
from unnest('{alan,zeus}'::text[]) w;
-- By no table verb either.
select test.become('alan'); set role lab_user;
select test.error_of('update lab.roles set name = ''x'''), test.error_of('delete from lab.roles'), test.error_of('insert into lab.role_permissions (role_id, permission) select id, ''*:*'' from lab.roles'),
       test.error_of('update lab.users set is_superuser = true'), test.error_of('delete from lab.user_roles'), test.error_of('insert into lab.permissions values (''a:b'', ''c'')');
reset role;
-- Alias roles work: pi is a manager, engineer and researcher are scientists.
create function test.alias(role text) returns table (role_name text, creates boolean, approves boolean, administers boolean) language plpgsql as $$
begin
  perform test.on('alan', 'role_assign', 'una', format(', %L', alias.role));
  reset role;
  perform test.become('una');
  return query select alias.role, labos.has_permission('sample:create'), labos.has_permission('result:approve'), labos.has_permission('user:create');
  perform test.on('alan', 'role_revoke', 'una', format(', %L', alias.role));
  reset role;
end $$;
select a.* from unnest('{pi,manager,engineer,researcher,scientist}'::text[]) r, test.alias(r) a;
drop function test.alias(text);
-- Names are lower-cased, an own role is renamed, a circle refused at any length, a stale version too.
select test.rbac('alan', $$select lab.role_create(' Shift_Lead ', parent => 'viewer')$$), test.rbac('alan', $$select lab.role_update('shift_lead', name => 'Lead', version => 1)$$),
       test.rbac('alan', $$select lab.role_update('lead', display_name => 'L', version => 1)$$) as stale, test.rbac('alan', $$select lab.role_update('lead', name => 'admin')$$) as taken;
select test.rbac('alan', $$select lab.role_create('l2', parent => 'lead')$$), test.rbac('alan', $$select lab.role_create('l3', parent => 'l2')$$), test.rbac('alan', $$select lab.role_update('lead', parent => 'l3')$$) as circle,
       test.rbac('alan', $$select lab.role_update('lead', parent => 'lead')$$) as itself;
-- Beta does not see, use or change Alpha's roles.
select test.rbac('bob', $$select lab.role_update('lead', name => 'mine')$$), test.rbac('bob', $$select lab.role_delete('lead')$$), test.rbac('bob', $$select lab.role_create('x2', parent => 'lead')$$),
       test.on('bob', 'role_assign', 'bea', ', ''lead''');
-- Deleting a role takes it from its holders at once; it comes back without them.
select test.on('alan', 'role_assign', 'una', ', ''l3'''), test.rbac('alan', $$select lab.role_delete('l2')$$) as parent_of_l3;
select id as l3 from lab_data.roles where name = 'l3' \gset
select test.become('una'); set role lab_user; select labos.has_role('l3') as before;
reset role; select test.rbac('alan', $$select lab.role_delete('l3')$$);
select test.become('una'); set role lab_user; select labos.has_role('l3') as after, labos.has_permission('sample:read') as reads;
reset role; select test.become('alan'); set role lab_user;
select record ->> 'name' as in_trash from lab.trash('role') where id = :'l3';
reset role; select test.rbac('bob', format('select lab.restore(''role'', %L)', :'l3')) as beta, test.rbac('dan', format('select lab.role_restore(%L)', :'l3')) as deputy, test.rbac('alan', format('select lab.role_restore(%L)', :'l3')) as restored;
select count(*) as holders from lab_data.user_roles where role_id = :'l3';
-- An assignment that has expired gives nothing at once, and is listed.
select test.on('alan', 'role_assign', 'una', ', ''scientist'', now() + interval ''1 hour''');
update lab_data.user_roles set assigned_at = now() - interval '2 hours', expires_at = now() - interval '1 second' where user_id = test.id_of('una');
select test.become('una'); set role lab_user; select labos.has_permission('sample:create') as may;
reset role; select test.become('vic'); set role lab_user;
select username, role from lab.roles_expired();
reset role; select test.become('bob'); set role lab_user; select count(*) as of_alpha from lab.roles_expired(); reset role;

-- The last admin ------------------------------------------------------------------

-- Alpha has three; two leave by whatever path is open, the last stays by every path.
select test.on('zeus', 'role_revoke', 'zeus', ', ''admin''') as superuser_steps_back, test.on('alan', 'user_deactivate', 'anna') as anna;
select c, test.on('alan', c, 'alan', more)
from (values ('role_revoke', ', ''admin'''), ('role_assign', ', ''admin'', now() + interval ''1 day'''), ('user_deactivate', ''), ('user_delete', ''), ('membership_remove', ''), ('user_update', ', is_verified => false')) x(c, more);
-- An admin who is shut, unverified, expiring or a machine does not count.
select test.on('alan', 'role_assign', 'Robot-1', ', ''admin''') as robot, test.on('alan', 'role_assign', 'mary', ', ''admin'', now() + interval ''1 day''') as mary, test.on('alan', 'role_revoke', 'alan', ', ''admin''');
select test.on('alan', 'role_assign', 'mary', ', ''admin''') as mary_for_good, test.on('mary', 'role_revoke', 'alan', ', ''admin''') as alan, test.on('mary', 'role_assign', 'alan', ', ''admin''') as back;
-- Who is no admin is removed although another admin is missing.
select test.on('mary', 'membership_remove', 'udo');

-- Users: deleted, listed, restored; lists and filters ------------------------------

select test.on('alan', 'user_delete', 'ugo') as deleted;
select id as ugo from lab_data.users where username = 'ugo' \gset
select test.become('alan'); set role lab_user;
select record ->> 'username' as in_trash from lab.trash('user') where id = :'ugo';
select count(*) as in_list from lab.users where username = 'ugo';
select string_agg(username, ' ' order by username) from lab.users where is_active and not is_machine and full_name is not null;
reset role; select test.rbac('mary', $$select to_jsonb(t) from lab.trash('user') t$$) as mary_is_admin, test.rbac('sam', $$select to_jsonb(t) from lab.trash('user') t$$) as sam,
       test.rbac('bob', format('select lab.restore(''user'', %L)', :'ugo')) as beta;
select test.rbac('alan', format('select lab.restore(''user'', %L)', :'ugo')) as restored, test.rbac('alan', format('select lab.restore(''user'', %L)', :'ugo')) as twice;

-- P25, P26 What takes rights ends all sessions at once.
insert into lab_data.user_sessions (org_id, user_id, expires_at) select test.org_of('vic'), test.id_of('vic'), 'infinity' from generate_series(1, 3);
select test.on('alan', 'user_deactivate', 'vic');
select count(*) as live from lab_data.user_sessions where user_id = test.id_of('vic') and revoked_at is null;
select test.on('alan', 'user_activate', 'vic');
insert into lab_data.user_sessions (org_id, user_id, expires_at) select test.org_of('vic'), test.id_of('vic'), 'infinity' from generate_series(1, 3);
select test.on('alan', 'membership_remove', 'vic');
select count(*) as live from lab_data.user_sessions where user_id = test.id_of('vic') and revoked_at is null;
select test.rbac('alan', format('select lab.membership_restore(%L, ''{viewer}'')', id)) from lab_data.users where username = 'vic';
update lab_data.memberships set is_default = true where user_id = test.id_of('vic');

-- Purge ------------------------------------------------------------------------------

select test.become('mary'); set role lab_user;
insert into lab.projects (code, name) values ('PG-1', 'Old and bare'), ('PG-2', 'Old, with a sample'), ('PG-3', 'Deleted lately'), ('PG-4', 'Alive');
insert into lab.samples (name, project_id) select 'Purge me not', id from lab.projects where code = 'PG-2';
insert into lab.samples (name) values ('Custody');
insert into lab.instruments (name, serial_number, requires_calibration) values ('Purge scale', 'PG-9', true);
insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result)
select id, c, now() - interval '1 day', now() + interval '1 year', 'Lab', 'pass' from lab.instruments, unnest('{PG-A,PG-B}'::text[]) c where serial_number = 'PG-9';
reset role;
update lab_data.calibrations set approved_at = now(), approved_by_id = test.id_of('mary') where certificate_id = 'PG-A';
update lab_data.projects set deleted_at = now() - interval '400 days' where code in ('PG-1', 'PG-2');
update lab_data.projects set deleted_at = now() - interval '31 days' where code = 'PG-3';
update lab_data.samples set deleted_at = now() - interval '400 days' where name = 'Custody';
update lab_data.calibrations set deleted_at = now() - interval '400 days' where certificate_id in ('PG-A', 'PG-B');
create function test.purged(who text, more text) returns text language plpgsql as $$
declare v jsonb;
begin
  perform test.become(who);
  set local role lab_user;
  execute format('select lab.purge(%s)', more) into v;
  reset role;
  return format('%s purged, kept %s', v ->> 'purged', v ->> 'kept');
end $$;
-- A dry run says what would go, and nothing does. Never sooner than the retention, whatever is asked.
select test.purged('alan', '''project''');
select count(*) as there from lab_data.projects where code like 'PG-%';
select test.purged('alan', '''projects'', now()'), test.purged('alan', '''project'', ''infinity''');
update lab_data.organizations set settings = settings || '{"retention_days": 30}' where slug = 'alpha';
select test.purged('alan', '''project''');
-- Not for managers, not in another organisation, not for what cannot be deleted, and a retention is at least thirty days.
select test.rbac('vic', 'select lab.purge(''project'')') as viewer, test.purged('bob', '''project'', dry_run => false') as beta, test.rbac('alan', 'select lab.purge(''user'')') as users,
       test.rbac('alan', 'select lab.purge(''audit_log'')') as audit, test.rbac('alan', 'select lab.purge(null)') as nulls, test.purged('alan', '''project'', max_rows => -1') as negative;
select test.error_of('update lab_data.organizations set settings = settings || ''{"retention_days": 29}''');
-- What is referred to, approved, or has a chain of custody stays; the rest is gone, and its history is not.
select id as gone from lab_data.projects where code = 'PG-1' \gset
select test.purged('alan', '''project'', dry_run => false'), test.purged('alan', '''sample'', dry_run => false'), test.purged('alan', '''calibration'', dry_run => false');
select string_agg(code, ' ' order by code) as projects from lab_data.projects where code like 'PG-%';
select string_agg(certificate_id, ' ') as calibrations from lab_data.calibrations where certificate_id like 'PG-%';
select test.become('alan'); set role lab_user;
select count(*) > 0 as history_stays from lab.audit_log a where to_jsonb(a)::text like '%' || :'gone' || '%';
reset role;
select test.rbac('alan', format('select lab.restore(''project'', %L)', :'gone'));
-- The scheduler's call takes the organisations that have set a retention.
update lab_data.projects set deleted_at = now() - interval '31 days' where code = 'PG-4';
begin; update lab_data.organizations set settings = settings - 'retention_days'; select lab_private.purge_everywhere(); rollback;
select p ->> 'kind' as kind, p ->> 'purged' as purged from jsonb_array_elements(lab_private.purge_everywhere()) p where p ->> 'kind' = 'projects';
update lab_data.organizations set settings = settings - 'retention_days';
drop function test.purged(text, text);

-- The vocabulary ---------------------------------------------------------------------

-- Applications add words by the superuser of the installation; admins of organisations do not.
select test.rbac('alan', $$select lab.permission_create('plot:read', 'See plots')$$) as admin, test.rbac('zeus', $$select lab.permission_create(' Plot:Read ', 'See plots')$$) as superuser,
       test.rbac('zeus', $$select lab.permission_create('plot:read', 'x')$$) as again, test.rbac('zeus', $$select lab.permission_create('*:*', 'x')$$) as wildcard,
       test.rbac('zeus', $$select lab.permission_create('plot:*', 'x')$$) as half, test.rbac('zeus', $$select lab.permission_create('plot:x', '')$$) as bare, test.rbac('zeus', 'select lab.permission_create(null, null)') as nulls;
select test.rbac('alan', $$select lab.role_update('lead', permissions => '{plot:read}')$$), test.on('alan', 'role_assign', 'una', ', ''lead''');
select test.become('una'); set role lab_user; select labos.has_permission('plot:read') as may; reset role;
select test.rbac('zeus', $$select lab.permission_update('plot:read', 'See all plots')$$), test.rbac('zeus', $$select lab.permission_update('sample:read', 'x')$$) as system,
       test.rbac('zeus', $$select lab.permission_delete('sample:read')$$) as system, test.rbac('alan', $$select lab.permission_delete('plot:read')$$) as admin, test.rbac('zeus', $$select lab.permission_delete('plot:read')$$),
       test.rbac('zeus', $$select lab.permission_delete('plot:read')$$) as twice;
select test.become('una'); set role lab_user; select labos.has_permission('plot:read') as may; reset role;

-- P68 Each change left a row in the access log, by whom and to whom, and none of them a secret.
select event, count(*) > 0 as logged from lab_data.access_logs where event ~ '^(user|role|membership|permission)_' and event <> 'permission_denied' group by 1 order by 1;

-- The place as it was.
update lab_data.users set is_active = true where username in ('anna', 'alan');
delete from lab_data.user_roles where user_id in (select id from lab_data.users where username in ('anna', 'zeus', 'dan', 'una', 'ugo', 'udo', 'Robot-1')) or role_id in (select id from lab_data.roles where org_id = test.org_of('alan'))
  or (user_id = test.id_of('mary') and role_id = (select id from lab_data.roles where name = 'admin' and org_id is null));
update lab_data.users set deleted_at = now() where username in ('anna', 'zeus', 'dan', 'una', 'ugo', 'udo', 'Robot-1');
update lab_data.roles set deleted_at = now() where org_id = test.org_of('alan') and deleted_at is null;
select test.become(null);
drop function test.on(text, text, text, text), test.rbac(text, text);
