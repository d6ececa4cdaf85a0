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
