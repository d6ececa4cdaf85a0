-- Sessions with scopes, the acting organisation, shares and guests.
-- Stands after auth: signing keys and test.answer() are there.
set client_min_messages to warning;
\set VERBOSITY terse

-- Claims of a session of this user, as the gateway would set them.
create function test.session_claims(session uuid) returns text
  language sql security definer set search_path to pg_catalog, pg_temp
as $$ select json_build_object('sub', s.user_id, 'org_id', coalesce(s.acting_org_id, s.org_id), 'sid', s.id, 'exp', 4102444800)::text
      from lab_data.user_sessions s where s.id = session_claims.session $$;
create function test.session_make(who text, scopes text[] default null, kind text default 'password') returns uuid
  language sql security definer set search_path to pg_catalog, labos, pg_temp
as $$ insert into lab_data.user_sessions (org_id, user_id, expires_at, scopes, kind, api_key_id)
      values (test.org_of(who), test.id_of(who), 'infinity', session_make.scopes, session_make.kind,
              case session_make.kind when 'api_key' then labos.uuid_v7() end) returning id $$;
create function test.interactive() returns text
  language sql security definer set search_path to pg_catalog, pg_temp
as $$ select test.error_of('select lab_private.require_interactive()') $$;
grant execute on all functions in schema test to public;

-- scopes ----------------------------------------------------------------------

-- What scopes leave: wildcards on either side, never more than both.
select h as held, s as scopes, lab_private.permissions_within(h::text[], s::text[]) as within
from (values ('{*:*}', '{sample:*}'), ('{sample:*}', '{sample:read}'), ('{*:*}', '{*:*}'), ('{sample:read,run:read}', '{sample:*}'),
             ('{sample:read}', '{*:*}'), ('{sample:read}', '{run:read}'), ('{sample:read}', '{}'), ('{sample:read}', null),
             ('{sample:*,sample:read}', '{sample:read,sample:*}'), ('{}', '{*:*}'), ('{sample:read}', '{sample}'), ('{sample:read}', '{null}'),
             ('{run:*}', '{*:read}')) x(h, s);

select test.session_make('alan', '{sample:*,project:read}') as scoped, test.session_make('sam', '{sample:read,calibration:approve}') as sams,
       test.session_make('alan', '{sample:read}', 'api_key') as key, test.session_make('alan', null, 'api_key') as whole_key,
       test.session_make('alan') as whole \gset
update lab_data.users set is_superuser = true where username = 'alan';
select test.session_claims(:'scoped') as scoped_claims, test.session_claims(:'sams') as sams_claims, test.session_claims(:'key') as key_claims,
       test.session_claims(:'whole_key') as whole_key_claims, test.session_claims(:'whole') as whole_claims \gset
-- Without rights until the second factor is set up; and what both it and a key are asked to do.
select test.session_make('alan', '{}') as bound \gset
update lab_data.user_sessions set reason = 'mfa_setup_required' where id = :'bound';
select test.session_claims(:'bound') as bound_claims, array['select lab.auth_me_update(full_name => $$Key$$)', 'select lab.auth_logout_all()',
  'select to_jsonb(s) from lab.auth_sessions() s limit 1', 'select to_jsonb(d) from lab.auth_devices() d limit 1', 'select lab.auth_session_end($$WHOLE$$)'] as personal \gset
alter system set labos.trusted_gateways = 'lab_authenticator';
select pg_reload_conf();
\c - lab_authenticator
\set VERBOSITY terse
-- An administrator's session with scopes has these and no role, and is no superuser.
begin; set local role lab_user;
select set_config('request.jwt.claims', :'scoped_claims', true) is not null as set;
select labos.has_permission('sample:delete') as delete, labos.has_permission('sample:*') as whole, labos.has_permission('project:update') as other,
       labos.has_permission('*:*') as "all", labos.org_for('project:read') is not null as org_for, labos.org_for('user:read') as none;
select labos.has_role('admin') as admin, labos.has_role('viewer') as viewer, labos.is_owner_or_admin(test.id_of('sam')) as admin_of_sam,
       labos.is_owner_or_admin(test.id_of('alan')) as owner, labos.is_superuser() as superuser;
select lab.auth_me() -> 'scopes' as scopes, lab.auth_me() -> 'permissions' as permissions, lab.auth_me() -> 'roles' as roles;
select count(*) as users_but_me from lab.users where id <> labos.user_id();
select test.interactive();
rollback;
-- Scopes never add: what Sam does not hold stays away.
begin; set local role lab_user;
select set_config('request.jwt.claims', :'sams_claims', true) is not null as set;
select labos.has_permission('sample:read') as both, labos.has_permission('calibration:approve') as not_held, labos.has_permission('run:read') as not_in_scope;
rollback;
-- P64 an API key is nobody who has signed in, whole or with scopes; without them the right is there.
begin; select set_config('request.jwt.claims', :'key_claims', true) is not null as set; select test.interactive(); rollback;
begin; select set_config('request.jwt.claims', :'whole_key_claims', true) is not null as set; select test.interactive(), labos.has_permission('user:create') as whole, labos.is_superuser() as superuser; rollback;
begin; select set_config('request.jwt.claims', :'whole_claims', true) is not null as set; select test.interactive(), labos.is_superuser() as superuser; rollback;
begin; select test.interactive(); rollback;
-- P63 P64 What is a person's and no permission: a key and a session restricted to one thing neither see nor change it, and end only themselves.
begin; set local role lab_user;
select set_config('request.jwt.claims', :'key_claims', true) is not null as set;
select c as by_key, test.answer(replace(c, 'WHOLE', :'whole')) as answer from unnest(:'personal'::text[]) c;
select test.answer(format('select lab.auth_session_end(%L)', :'key')) as itself;
rollback;
begin; set local role lab_user;
select set_config('request.jwt.claims', :'bound_claims', true) is not null as set;
select c as restricted, test.answer(replace(c, 'WHOLE', :'whole')) as answer from unnest(:'personal'::text[]) c;
select test.answer(format('select lab.auth_session_end(%L)', :'bound')) as itself;
rollback;
-- P50 P64 No key chooses an address, nor anybody their own without the password; what stays the same is no change. Nobody lifts what holds off their own guesses.
begin; set local role lab_user;
select set_config('request.jwt.claims', :'whole_key_claims', true) is not null as set;
select test.answer(format('select lab.user_update(%L, email => ''evil@alpha.test'')', test.id_of(w))) as by_key from unnest('{mary,vic}'::text[]) w;
rollback;
begin; set local role lab_user;
select set_config('request.jwt.claims', :'whole_claims', true) is not null as set;
select test.answer(format('select lab.user_update(%L, email => ''evil@alpha.test'')', test.id_of('alan'))) as own,
       test.answer(format('select lab.user_update(%L, email => ''Alan@alpha.test'')', test.id_of('alan'))) as unchanged,
       test.answer(format('select lab.user_update(%L, email => ''vic2@alpha.test'')', test.id_of('vic'))) as others,
       test.answer(format('select lab.user_unlock(%L)', test.id_of('alan'))) as unlock_own;
rollback;
\c - postgres
\set VERBOSITY terse
-- The token says what the session may.
select lab_private.session_open(test.org_of('alan'), test.id_of('alan'), null, scopes => '{sample:read,run:*}', aal => 2::smallint,
         amr => '{pwd,otp}', refresh => false) as answer \gset
select s ? 'refresh_token' as refresh, s -> 'scopes' as scopes, s -> 'permissions' as permissions, s -> 'roles' as roles, s ->> 'session_kind' as kind,
       c ->> 'scope' as scope, c -> 'permissions' as in_token, c -> 'roles' as roles_in_token, c -> 'aal' as aal, c -> 'amr' as amr
from (select :'answer'::jsonb as s) a, test.claims(s ->> 'access_token') c;
select u.expires_at - u.created_at between interval '14 minutes' and interval '16 minutes' as ends_with_token
from lab_data.user_sessions u where u.id = (:'answer'::jsonb ->> 'session_id')::uuid;
update lab_data.users set is_superuser = false where username = 'alan';
-- An error while the colleagues of a caller are read leaves nobody without them.
begin;
select test.become('alan');
savepoint whole;
create or replace function lab_private.org_members(org uuid) returns uuid[] language sql stable as $$ select array[(1 / 0)::text::uuid] $$;
set local role lab_user;
select count(*) > 1 as colleagues from lab.users;
rollback to whole;
set local role lab_user;
select count(*) > 1 as colleagues from lab.users;
rollback;

-- shares ------------------------------------------------------------------------

-- One request: claims of a session, X-Labos-Org, pre_request; who that is then.
create function test.request(session uuid, org text default null) returns text
  language plpgsql as
$$
begin
  perform set_config('request.jwt.claims', test.session_claims(session), true),
          set_config('request.headers', coalesce(json_build_object('x-labos-org', org)::text, '{}'), true);
  if org is null then
    perform set_config('request.headers', '{}', true);
  end if;
  perform labos.pre_request();
  return concat_ws(' ', current_user, test.here());
end
$$;
create function test.here() returns text
  language sql security definer set search_path to pg_catalog, pg_temp
as $$ select concat_ws(' ', (select u.username from lab_data.users u where u.id = labos.user_id()), 'in',
        coalesce((select o.slug from lab_data.organizations o where o.id = labos.org_id()), 'nowhere'), case when labos.is_guest() then 'as guest' end) $$;
-- A statement in a subtransaction: its rows, or its error as a code.
create function test.rows_of(statement text) returns text
  language plpgsql as
$$
declare v_n bigint; v_detail text;
begin
  execute statement;
  get diagnostics v_n = row_count;
  return v_n || ' rows';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return concat_ws(' ', sqlstate, substring(v_detail from '"code"\s*:\s*"([a-z0-9_]+)"'));
end
$$;
grant execute on all functions in schema test to public;

-- Alpha: two projects with samples and a run each, a loose sample, a material of Sam's.
select test.become('mary');
set role lab_user;
insert into lab.projects (id, code, name) values ('00000000-0000-7000-8000-0000000005a1', 'SH-1', 'Shared'), ('00000000-0000-7000-8000-0000000005a2', 'SH-2', 'Kept');
insert into lab.samples (id, name, project_id) values
  ('00000000-0000-7000-8000-0000000005b1', 'One', '00000000-0000-7000-8000-0000000005a1'), ('00000000-0000-7000-8000-0000000005b2', 'Two', '00000000-0000-7000-8000-0000000005a1'),
  ('00000000-0000-7000-8000-0000000005b3', 'Kept', '00000000-0000-7000-8000-0000000005a2'), ('00000000-0000-7000-8000-0000000005b4', 'Loose', null);
insert into lab.instruments (id, name, requires_calibration, status) values ('00000000-0000-7000-8000-0000000005c1', 'Balance of sharing', false, 'available');
insert into lab.runs (id, instrument_id, project_id, method) values
  ('00000000-0000-7000-8000-0000000005d1', '00000000-0000-7000-8000-0000000005c1', '00000000-0000-7000-8000-0000000005a1', 'weigh'),
  ('00000000-0000-7000-8000-0000000005d2', '00000000-0000-7000-8000-0000000005c1', '00000000-0000-7000-8000-0000000005a2', 'weigh');
reset role;
select test.become('sam');
set role lab_user;
insert into lab.materials (id, name, formula) values ('00000000-0000-7000-8000-0000000005e1', 'Sand', 'SiO2'), ('00000000-0000-7000-8000-0000000005e2', 'Salt', 'NaCl');
-- Who may share: not a scientist; what: what one can read, and change for writing.
select test.rows_of($$select lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_org => 'beta')$$) as scientist;
reset role;
select test.become('mary');
set role lab_user;
select k, test.rows_of(format('select lab.share_create(%L, %L, to_user => %L, to_org => %L, level => %L, expires_at => %L)', k, id, u, o, l, e))
from (values ('project', '00000000-0000-7000-8000-0000000005a1', test.id_of('vic')::text, 'beta', 'read', null),
             ('project', '00000000-0000-7000-8000-0000000005a1', null, null, 'read', null),
             ('projects', '00000000-0000-7000-8000-0000000005a1', test.id_of('vic')::text, null, 'read', null),
             (null, '00000000-0000-7000-8000-0000000005a1', test.id_of('vic')::text, null, 'read', null),
             ('project', null, test.id_of('vic')::text, null, 'read', null),
             ('project', '00000000-0000-7000-8000-0000000005a1', test.id_of('vic')::text, null, 'all', null),
             ('project', '00000000-0000-7000-8000-0000000005a1', test.id_of('vic')::text, null, null, null),
             ('project', '00000000-0000-7000-8000-0000000005a1', test.id_of('vic')::text, null, 'read', 'yesterday'),
             ('project', '00000000-0000-7000-8000-0000000005a1', test.id_of('vic')::text, null, 'read', 'infinity'),
             ('project', '00000000-0000-7000-8000-0000000005b1', test.id_of('vic')::text, null, 'read', null),
             -- Off: nothing outside is looked up.
             ('project', '00000000-0000-7000-8000-0000000005a1', null, 'beta', 'read', null),
             ('project', '00000000-0000-7000-8000-0000000005a1', null, 'nowhere', 'read', null),
             ('project', '00000000-0000-7000-8000-0000000005a1', test.id_of('bea')::text, null, 'read', null),
             ('project', '00000000-0000-7000-8000-0000000005a1', '00000000-0000-7000-8000-000000000001', null, 'read', null)) x(k, id, u, o, l, e);
reset role;
update lab_data.organizations set settings = settings || '{"allow_sharing": 1}' where slug = 'alpha';
update lab_data.organizations set settings = settings || '{"allow_sharing": true}' where slug = 'alpha';
set role lab_user;
select test.rows_of($$select lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_org => 'nowhere')$$) as no_org,
       test.rows_of($$select lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_user => '00000000-0000-7000-8000-000000000001')$$) as no_user;
select s.kind, s.level, s.to_org_id = test.org_of('bob') as to_beta, s.created_by = test.id_of('mary') as by_mary
from lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_org => 'BETA', level => 'write', note => ' Joint work ') s;
select id as share from lab.shares where note = 'Joint work' \gset
select (lab.share_create('sample', '00000000-0000-7000-8000-0000000005b4', to_user => test.id_of('bea'))).id as loose \gset
reset role;
select test.session_make('bea') as bea, test.session_make('bob') as bob, test.session_make('sam') as sam, test.session_make('vic') as vic \gset
select slug as gamma from lab_data.organizations where slug like 'gamma%' order by 1 limit 1 \gset
select test.session_make(u.username) as root from lab_data.users u where u.email = 'root@gamma.test' \gset

select test.session_make('mary', '{share:create,project:*}') as sharer, test.session_make('mary', '{share:create,project:*,sample:*,run:*,result:read}') as giver,
       test.session_make('sam', null, 'oidc') as vouched \gset
update lab_data.user_sessions set oidc_provider_id = '00000000-0000-7000-8000-0000000005f1' where id = :'vouched';
create function test.provider_of(session uuid) returns uuid language sql security definer set search_path to pg_catalog, pg_temp
as $$ select s.oidc_provider_id from lab_data.user_sessions s where s.id = provider_of.session $$;

\c - lab_authenticator
\set VERBOSITY terse
-- P63 A project is shared with what belongs to it: who holds less gives nothing away.
begin; set local role lab_user; select test.request(:'sharer');
select l, test.rows_of(format($$select lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_org => 'beta', level => %L)$$, l)) as with_less from unnest('{read,write}'::text[]) l;
rollback;
begin; set local role lab_user; select test.request(:'giver');
select l, test.rows_of(format($$select lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_org => 'beta', level => %L)$$, l)) as with_all from unnest('{read,write}'::text[]) l;
rollback;
-- P26 A session made from one that an identity provider vouched for ends with the provider as well.
begin; set local role lab_user; select test.request(:'vouched');
select test.provider_of((lab.auth_org_switch('alpha') ->> 'session_id')::uuid) as provider;
rollback;
-- The guest ----------------------------------------------------------------------
begin; set local role lab_user;
select test.request(:'bea', 'alpha');
select labos.org_for('sample:read') as org_for, labos.has_permission('sample:read') as permission, labos.has_role('scientist') as role, labos.user_for('user:read', test.id_of('sam')) as colleague,
       labos.is_superuser() as superuser, labos.owner_for('material:read_any', test.id_of('sam')) = labos.user_id() as owner, labos.member_id() as member;
select name from lab.projects order by 1;
select name from lab.samples order by 1;
select method, project_id from lab.runs;
select count(*) from lab.results;
-- What belongs to nobody's share is not granted, and shares do not show others.
select test.rows_of('select * from lab.' || t) as found, string_agg(t, ' ' order by t)
from unnest('{users,roles,role_permissions,user_roles,permissions,memberships,organizations,access_logs,audit_log,user_sessions,shares,locations,instruments,calibrations,sample_history,project_members,materials,structures,simulation_jobs,design_campaigns,datasets}'::text[]) t
group by 1 order by 1;
-- She writes where the share lets her and she may at home; created_by is she, the owner is nobody.
select test.rows_of($$insert into lab.samples (name, project_id) values ('Hers', '00000000-0000-7000-8000-0000000005a1')$$) as shared_project,
       test.rows_of($$insert into lab.samples (name, project_id) values ('Hers', '00000000-0000-7000-8000-0000000005a2')$$) as other_project,
       test.rows_of($$insert into lab.samples (name, project_id) values ('Hers', '00000000-0000-7000-8000-0000000005a9')$$) as no_project,
       test.rows_of($$insert into lab.samples (name) values ('Hers')$$) as none,
       test.rows_of($$insert into lab.samples (name, project_id, barcode) values ('Hers', '00000000-0000-7000-8000-0000000005a1', 'X')$$) as barcode,
       test.rows_of($$insert into lab.projects (code, name) values ('HERS', 'Hers')$$) as project;
select created_by = test.id_of('bea') as by_her, owner_id, org_id = test.org_of('sam') as in_alpha from lab.samples where name = 'Hers';
select test.rows_of($$update lab.samples set description = 'seen' where id = '00000000-0000-7000-8000-0000000005b1'$$) as shared_project,
       test.rows_of($$update lab.samples set description = 'seen' where id = '00000000-0000-7000-8000-0000000005b4'$$) as read_only,
       test.rows_of($$update lab.samples set description = 'seen' where id = '00000000-0000-7000-8000-0000000005b3'$$) as unshared,
       test.rows_of($$update lab.samples set project_id = '00000000-0000-7000-8000-0000000005a2' where id = '00000000-0000-7000-8000-0000000005b1'$$) as moved,
       test.rows_of($$update lab.projects set description = 'seen'$$) as project,
       test.rows_of($$delete from lab.samples where id = '00000000-0000-7000-8000-0000000005b1'$$) as deleted;
-- Nobody shares further, or does anything else.
select test.rows_of($$select lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_org => 'beta')$$) as share,
       test.rows_of($$select lab.run_start('00000000-0000-7000-8000-0000000005d1')$$) as run, test.rows_of('select lab.auth_me()') as me,
       test.rows_of($$select lab.auth_org_switch('beta')$$) as switch, test.rows_of('select labos.require_org_for(''sample:read'')') as required;
-- As lab_user, which the gateway's login could become, a guest sees nothing.
set local role lab_user;
select (select count(*) from lab.samples) as samples, (select count(*) from lab.projects) as projects, (select count(*) from lab.users where id <> labos.user_id()) as others,
       test.rows_of($$insert into lab.samples (name, project_id) values ('Hers', '00000000-0000-7000-8000-0000000005a1')$$) as insert,
       test.rows_of('select lab.shares_received()') as received, test.rows_of($$select lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_org => 'beta')$$) as share;
-- Without the header she is at home, as a pooled session is for the next request.
commit;
begin; set local role lab_user; select test.request(:'bea'); select count(*) from lab.samples where name in ('One', 'Loose'); rollback;
-- A member of the receiving organisation, an admin there: the project, not what Bea got for herself.
begin; set local role lab_user; select test.request(:'bob', test.org_of('sam')::text); select name from lab.samples order by 1;
select test.rows_of($$update lab.projects set description = 'an admin at home, with a share for writing'$$) as project,
       test.rows_of($$update lab.runs set notes = 'seen'$$) as runs, test.rows_of($$update lab.projects set code = 'SH-2'$$) as code;
rollback;
-- A third organisation, nobody's organisation, a name that is none: refused, never at home.
begin; set local role lab_user; select test.request(:'root', 'alpha'); rollback;
begin; set local role lab_user; select test.request(:'bea', 'gamma-labs'); rollback;
begin; set local role lab_user; select test.request(:'bea', 'no such place'); rollback;
begin; set local role lab_user; select test.request(:'bea', repeat('x', 100000)); rollback;
-- A session with scopes and an API key stay where they were made.
begin; set local role lab_user; select test.request(:'sams', 'beta'); rollback;
begin; set local role lab_user; select test.request(:'whole_key', 'beta'); rollback;
-- labos.acting_org is a wish: whatever SQL sets, it is asked again; savepoints, RESET and DISCARD hold.
begin; set local role lab_user;
select test.request(:'bea');
set local labos.acting_org = 'gamma-labs';
select test.here(), (select count(*) from lab.samples) as samples, test.rows_of('select labos.require_user()') as required;
savepoint s;
set local labos.acting_org = 'alpha';
select test.here(), (select count(*) from lab.samples) as as_user;
set local role lab_guest;
select count(*) from lab.samples where name = 'One';
rollback to s;
select test.here();
reset labos.acting_org;
select test.here();
rollback;
set labos.acting_org = 'alpha';
begin; set local role lab_user; select test.request(:'bea'); rollback;
discard all;
show labos.acting_org;
-- Sam's home: a role of a guest sees nothing that is not shared with a guest.
begin; set local role lab_guest; select test.request(:'sam'); select (select count(*) from lab.samples) as samples, (select count(*) from lab.projects) as projects; rollback;

\c - postgres
\set VERBOSITY terse
-- The grantee's role at home decides: a viewer does not write with a share for writing.
update lab_data.user_roles set role_id = (select id from lab_data.roles where name = 'viewer' and org_id is null) where user_id = test.id_of('bea');
\c - lab_authenticator
\set VERBOSITY terse
begin; set local role lab_user; select test.request(:'bea', 'alpha');
select (select count(*) from lab.samples where name = 'One') as reads, test.rows_of($$update lab.samples set description = 'x' where name = 'One'$$) as updates,
       test.rows_of($$insert into lab.samples (name, project_id) values ('Hers', '00000000-0000-7000-8000-0000000005a1')$$) as inserts;
rollback;
\c - postgres
\set VERBOSITY terse
update lab_data.user_roles set role_id = (select id from lab_data.roles where name = 'scientist' and org_id is null) where user_id = test.id_of('bea');
-- The setting off: everything across organisations stops, at once; on: it is back.
update lab_data.organizations set settings = settings - 'allow_sharing' where slug = 'alpha';
\c - lab_authenticator
\set VERBOSITY terse
begin; set local role lab_user; select test.request(:'bea', 'alpha'); rollback;
\c - postgres
\set VERBOSITY terse
update lab_data.organizations set settings = settings || '{"allow_sharing": true}' where slug = 'alpha';
-- Revoked, by who may; a share that is over is not found.
select test.become('sam');
set role lab_user;
select test.rows_of(format('select lab.share_revoke(%L)', :'share')) as scientist, (select count(*) from lab.shares) as seen;
reset role;
select test.become('bob');
set role lab_user;
select test.rows_of(format('select lab.share_revoke(%L)', :'share')) as receiver;
select r.kind, r.level, r.slug, r.to_me, r.note from lab.shares_received() r order by 1;
reset role;
select test.become('mary');
set role lab_user;
select (lab.share_revoke(:'share')).revoked_at is not null as revoked, test.rows_of(format('select lab.share_revoke(%L)', :'share')) as again;
reset role;
\c - lab_authenticator
\set VERBOSITY terse
begin; set local role lab_user; select test.request(:'bob', 'alpha'); rollback;
begin; set local role lab_user; select test.request(:'bea', 'alpha'); select name from lab.samples; rollback;
\c - postgres
\set VERBOSITY terse
-- Expired: nothing is left for Bea, by time alone. (On a machine so slow that it is over before, the answer is the same.)
update lab_data.shares set created_at = now() - interval '1 day', expires_at = clock_timestamp() + interval '1 second' where id = :'loose';
\c - lab_authenticator
\set VERBOSITY terse
begin; set local role lab_user;
select test.rows_of(format('select test.request(%L, %L)', :'bea', 'alpha')) is not null as asked;
select pg_sleep(1.1);
set local role lab_guest;
select test.here(), (select count(*) from lab.samples) as samples;
rollback;

-- What belongs to somebody, inside an organisation --------------------------------
\c - postgres
\set VERBOSITY terse
create table test.roles_of_vic as select * from lab_data.user_roles where user_id = test.id_of('vic');
delete from lab_data.user_roles where user_id = test.id_of('vic');
insert into lab_data.roles (org_id, name, display_name) values (test.org_of('sam'), 'own-only', 'Own only');
insert into lab_data.role_permissions (role_id, permission, org_id) select r.id, p, r.org_id from lab_data.roles r, unnest('{material:read,material:update,material:delete}'::text[]) p where r.name = 'own-only';
insert into lab_data.user_roles (org_id, user_id, role_id) select r.org_id, test.id_of('vic'), r.id from lab_data.roles r where r.name = 'own-only';
select test.become('vic');
set role lab_user;
select count(*) as before from lab.materials;
reset role;
select test.become('mary');
set role lab_user;
select (lab.share_create('material', '00000000-0000-7000-8000-0000000005e1', to_user => test.id_of('vic'))).id as mat \gset
reset role;
select test.become('vic');
set role lab_user;
select name from lab.materials;
select test.rows_of($$update lab.materials set description = 'x'$$) as read_share, test.rows_of($$delete from lab.materials$$) as delete;
reset role;
select test.become('mary');
set role lab_user;
select (lab.share_create('material', '00000000-0000-7000-8000-0000000005e2', to_org => 'alpha', level => 'write')).id as mat2 \gset
reset role;
select test.become('vic');
set role lab_user;
select name from lab.materials order by 1;
select test.rows_of($$update lab.materials set description = 'x' where name = 'Salt'$$) as write_share, test.rows_of($$update lab.materials set description = 'x' where name = 'Sand'$$) as read_share,
       test.rows_of($$delete from lab.materials$$) as delete;
select r.kind, r.level, r.to_me from lab.shares_received() r order by 2;
reset role;
-- Who leaves takes nothing along: not as a colleague, not as a guest.
insert into lab_data.memberships (org_id, user_id) values (test.org_of('bob'), test.id_of('vic'));
begin;
update lab_data.memberships set left_at = now() + interval '1 second' where user_id = test.id_of('vic') and org_id = test.org_of('sam');
select revoked_at is not null as revoked from lab_data.shares where id = :'mat';
rollback;
-- Two memberships: the header chooses, and each has its own roles.
\c - lab_authenticator
\set VERBOSITY terse
begin; set local role lab_user; select test.request(:'vic', 'beta'); select labos.has_permission('material:read') as other_roles, (select count(*) from lab.materials) as materials; rollback;
begin; set local role lab_user; select test.request(:'vic', 'alpha'); select labos.has_permission('material:read') as own_roles; rollback;
-- No way around the second factor that an organisation asks for.
\c - postgres
\set VERBOSITY terse
update lab_data.organizations set settings = settings || '{"require_mfa": true}' where slug = 'beta';
\c - lab_authenticator
\set VERBOSITY terse
begin; set local role lab_user; select test.request(:'vic', 'beta'); rollback;
\c - postgres
update lab_data.user_sessions set aal = 2 where id = :'vic';
\c - lab_authenticator
\set VERBOSITY terse
begin; set local role lab_user; select test.request(:'vic', 'beta'); rollback;
\c - postgres
update lab_data.organizations set settings = settings - 'require_mfa' where slug = 'beta';

-- switching -------------------------------------------------------------------------
\c - postgres
\set VERBOSITY terse
select test.become('mary');
set role lab_user;
select (lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_org => 'beta')).id as share \gset
reset role;
create function test.switch(org text, reason text default null) returns text language plpgsql set search_path to pg_catalog, labos, pg_temp as
$$ declare v jsonb; v_detail text; begin
  v := lab.auth_org_switch(org, reason => switch.reason);
  perform set_config('test.token', v ->> 'access_token', false);
  return concat_ws(' ', v ->> 'session_kind', v #>> '{organization,slug}', v ->> 'permissions', v ->> 'roles', case when v ? 'refresh_token' then 'refresh' end, (test.claims(v ->> 'access_token')) ->> 'role');
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return concat_ws(' ', sqlstate, substring(v_detail from '"code"\s*:\s*"([a-z0-9_]+)"'));
end $$;
grant execute on all functions in schema test to public;
select test.become('bea');
set role lab_user;
select test.switch('alpha') as guest;
select test.switch('gamma-labs') as stranger, test.switch('gamma-labs', 'just because') as no_superuser, test.switch(null) as nothing;
reset role;
-- The guest's token: another role, the organisation that shares; not enough for anything else.
begin;
select test.become(null);
set local role lab_user;
select labos.login(current_setting('test.token')) = test.id_of('bea') as login, test.here();
set local role lab_guest;
select name from lab.projects;
select test.rows_of($$select labos.login(current_setting('test.token'), 'beta')$$) as elsewhere, test.rows_of('select lab_private.require_interactive()') as private;
rollback;
-- Refreshed while something is shared; ended with the last share.
select test.become('mary');
set role lab_user;
select (lab.share_revoke(:'share')).revoked_at is not null as revoked;
reset role;
select kind, revoke_reason from lab_data.user_sessions where kind = 'guest';
-- labos.login says where: another membership, as a guest, never a foreign one; and undoes what the pool had.
select lab_private.session_open(test.org_of('sam'), test.id_of('vic'), null) ->> 'access_token' as token \gset
set labos.acting_org = 'beta';
begin; select labos.login(:'token') is not null as login, test.here(); rollback;
reset labos.acting_org;
begin; select labos.login(:'token', 'beta') is not null as login, test.here(); commit;
show labos.acting_org;
begin; select test.rows_of(format('select labos.login(%L, %L)', :'token', 'gamma-labs')), test.here(); rollback;
begin; select test.rows_of(format('select labos.login(%L, %L)', 'x', 'beta')), labos.login(null) as nothing; rollback;

-- A superuser of the installation reads elsewhere with a reason, which is seen there.
update lab_data.users set is_superuser = true where username = 'alan';
select test.become('alan');
set role lab_user;
select test.switch('beta') as no_reason, test.switch('beta', ' x ') as short;
reset role;
begin; set local role lab_user; set local labos.acting_org = 'beta'; select test.here() as never_by_default, test.rows_of('select labos.require_user()'); rollback;
set role lab_user;
select regexp_replace(test.switch('beta', 'Ticket 4711: samples vanished'), '\[.*\]', '[...]') as superuser;
reset role;
begin;
set local role lab_user;
select labos.login(current_setting('test.token')) = test.id_of('alan') as login, test.here();
select labos.has_permission('sample:read') as read, labos.has_permission('material:read_any') as read_any, labos.has_permission('sample:create') as write, labos.is_superuser() as superuser,
       labos.has_role('admin') as admin, (select count(*) > 0 from lab.users) as sees_users;
select test.rows_of($$insert into lab.samples (name) values ('His')$$) as insert, test.rows_of('select lab.auth_org_switch(''alpha'')') as further,
       test.rows_of($$update lab.organizations set name = 'Mine'$$) as update;
rollback;
select event, outcome, detail - 'from' as detail, user_id = test.id_of('alan') as by_alan from lab_data.access_logs where org_id = test.org_of('bob') and event in ('superuser_switch', 'share_use') order by id;
select kind, reason, expires_at - created_at between interval '59 minutes' and interval '61 minutes' as an_hour from lab_data.user_sessions where kind = 'superuser';
-- What was given is not left when the person is no superuser any more.
update lab_data.users set is_superuser = false where username = 'alan';
begin; set local role lab_user; select test.rows_of('select labos.login(current_setting(''test.token''))') as login, test.here(); rollback;

-- Everything stands in the logs of who gives.
select event, count(*) from lab_data.access_logs where org_id = test.org_of('sam') and event like 'share%' group by 1 order by 1;
-- Across one's organisations.
select test.become('vic');
set role lab_user;
select slug, projects is null as no_projects, open_runs is null as no_runs from lab.my_organizations_overview() order by 1;
reset role;
select test.become('mary');
set role lab_user;
select slug, projects >= 2 as projects, samples >= 4 as samples, open_runs >= 2 as open_runs from lab.my_organizations_overview();
reset role;
-- Parallel workers know a guest as their leader does.
select (lab_private.session_open(test.org_of('bob'), test.id_of('bea'), null)) ->> 'access_token' as token \gset
select test.become('mary');
set role lab_user;
select (lab.share_create('project', '00000000-0000-7000-8000-0000000005a1', to_org => 'beta')).id as share \gset
reset role;
begin;
set local parallel_setup_cost = 0; set local parallel_tuple_cost = 0; set local min_parallel_table_scan_size = 0; set local min_parallel_index_scan_size = 0;
set local enable_indexscan = off; set local enable_bitmapscan = off; set local enable_indexonlyscan = off;
select labos.login(:'token', 'alpha') is not null as login;
set local role lab_guest;
select count(*) > 0 as planned from (select 1) x;
select count(*) filter (where name = 'One') as shared, count(*) filter (where name in ('Kept', 'Loose')) as unshared from lab_data.samples;
rollback;

-- Leave things as the next test expects them.
select test.become('mary');
set role lab_user;
select (lab.share_revoke(:'share')).revoked_at is not null as revoked, (lab.share_revoke(:'mat')).revoked_at is not null as material, (lab.share_revoke(:'mat2')).revoked_at is not null as material2;
reset role;
select test.become(null);
delete from lab_data.user_roles where user_id = test.id_of('vic');
insert into lab_data.user_roles select * from test.roles_of_vic;
delete from lab_data.memberships where user_id = test.id_of('vic') and org_id = test.org_of('bob');
update lab_data.roles set deleted_at = now() where name = 'own-only';
update lab_data.materials set deleted_at = now() where id in ('00000000-0000-7000-8000-0000000005e1', '00000000-0000-7000-8000-0000000005e2');
update lab_data.organizations set settings = settings - 'allow_sharing' where slug = 'alpha';
