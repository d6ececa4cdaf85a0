-- Signing in, tokens, sessions, and the administration of users and roles.
-- Numbers like P52 are those of the identity checklist.
set client_min_messages to warning;
\set VERBOSITY terse

-- A call's answer without what varies; the statement's error as code.
create function test.answer(statement text) returns text
  language plpgsql set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
  v_detail text;
begin
  perform set_config('response.status', '', true);
  execute statement into v_answer;
  return concat_ws(' ', nullif(current_setting('response.status', true), ''),
    coalesce(v_answer ->> 'code', v_answer ->> 'error', v_answer ->> 'status', case when v_answer ? 'access_token' then 'tokens' else 'ok' end));
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return concat_ws(' ', sqlstate, substring(v_detail from '"code"\s*:\s*"([a-z0-9_]+)"'));
end
$$;
-- The claims of a token.
create function test.claims(token text) returns jsonb
  language sql set search_path to pg_catalog, labos, pg_temp
as $$ select convert_from(decode(rpad(translate(split_part(token, '.', 2), '-_', '+/'),
        (length(split_part(token, '.', 2)) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::jsonb $$;
grant execute on all functions in schema test to public;

-- bootstrap -------------------------------------------------------------------

-- Nobody but the owner and superusers may bootstrap, and arguments are checked.
set role lab_user;
select test.answer($$select labos.bootstrap('Gamma', 'root@gamma.test', 'Gamma-Lab-1')$$);
reset role;
select left(x, 30) as email, test.answer(format('select labos.bootstrap(%L, %L, %L)', 'Gamma', x, 'Gamma-Lab-1'))
from unnest(array[null, '', 'root', 'root@', '@gamma.test', 'a b@gamma.test', 'root@gamma.test@x.test', repeat('a', 300) || '@gamma.test',
                  U&'ro\202Eot@gamma.test', 'root@.test', 'ro..ot@gamma.test']) x;
select test.answer($$select labos.bootstrap(null, 'root@gamma.test', 'Gamma-Lab-1')$$),
       test.answer($$select labos.bootstrap('', 'root@gamma.test', 'Gamma-Lab-1')$$),
       test.answer($$select labos.bootstrap('Gamma', 'root@gamma.test', null)$$),
       test.answer($$select labos.bootstrap('Gamma', 'root@gamma.test', 'short')$$);
select count(*) as nothing_left from lab_data.organizations where name = 'Gamma';
-- Once: organisation, admin, superuser, first key.
select b ->> 'slug' as slug, b ->> 'email' as email, b ->> 'username' as username
from labos.bootstrap('Gamma Labs & Söhne', '  Root@GAMMA.test ', 'Gamma-Lab-1') b;
select test.answer($$select labos.bootstrap('Delta', 'root@delta.test', 'Delta-Lab-1')$$);
select count(*) from lab_private.signing_keys;

-- Times long enough for a busy machine; passwords for those of the other tests.
update lab_private.identity_settings set refresh_grace_seconds = 60, key_lead_seconds = 600;
do $$
declare v_name text;
begin
  update lab_data.users set is_verified = true where username <> 'sue';
  foreach v_name in array '{alan,mary,sam,tess,vic,sue,bob}'::text[] loop
    perform lab_private.password_set(test.id_of(v_name), 'Correct-Horse-' || length(v_name), v_name || '@alpha.test', v_name);
  end loop;
end
$$;

-- sign-in ---------------------------------------------------------------------

set role lab_anon;
-- By e-mail address in any case and by username; the answer has all a client needs.
select test.answer($$select lab.auth_login('SAM@alpha.TEST', 'Correct-Horse-3')$$), test.answer($$select lab.auth_login(' Sam ', 'Correct-Horse-3')$$);
select lab.auth_login('sam', 'Correct-Horse-3', device_info => '{"app": "test"}') as login \gset
select string_agg(k, ' ' order by k) from jsonb_object_keys(:'login') k;
select j ->> 'token_type' as token_type, (j ->> 'expires_in')::int between 899 and 900 as minutes_15,
       (j ->> 'refresh_expires_in')::int between 604740 and 604800 as days_7, length(j ->> 'refresh_token') as token_length,
       j -> 'roles' as roles, j #>> '{organization,slug}' as slug, j -> 'permissions' ? 'sample:create' as may_create
from (select :'login'::jsonb as j) x;
-- The claims of the access token, and that none is in the future (P11).
reset role;
select string_agg(k, ' ' order by k) from jsonb_object_keys(test.claims(:'login'::jsonb ->> 'access_token')) k;
select c ->> 'iss' as iss, c ->> 'aud' as aud, c ->> 'role' as role, c ->> 'email' as email,
       (c ->> 'sub')::uuid = test.id_of('sam') as sub, (c ->> 'org_id')::uuid = test.org_of('sam') as org,
       c ->> 'sid' = :'login'::jsonb ->> 'session_id' as sid, (c ->> 'exp')::int - (c ->> 'iat')::int as lifetime,
       (c ->> 'iat')::int <= extract(epoch from clock_timestamp()) and c -> 'nbf' = c -> 'iat' as not_ahead
from test.claims(:'login'::jsonb ->> 'access_token') c;
-- Typed as an access token, signed by the key it names (P12, P6).
select v.valid, v.header ->> 'typ' as typ, v.header ->> 'alg' as alg, v.header ->> 'kid' = k.kid as kid
from lab_private.signing_keys k, labos.jwt_verify(:'login'::jsonb ->> 'access_token', k.public_jwk) v;
-- An admin's token says *:*, not a list that grows with every module.
select test.claims(lab.auth_login('alan', 'Correct-Horse-4') ->> 'access_token') -> 'permissions' as admin;
-- The session remembers the device, the user the sign-in.
select s.device_info, s.revoked_at is null as open, s.expires_at - s.created_at between interval '29 days 23 hours' and interval '30 days 1 minute' as days_30
from lab_data.user_sessions s where s.id = (:'login'::jsonb ->> 'session_id')::uuid;
select last_login_at is not null as dated, failed_login_attempts, version from lab_data.users where username = 'sam';

-- One answer for every reason (P52), and each is recorded (P31).
update lab_data.users set is_active = false where username = 'tess';
update lab_data.users set locked_until = now() + interval '1 hour', failed_login_attempts = 5 where username = 'vic';
update lab_data.memberships set left_at = now() where user_id = test.id_of('mary');
set role lab_anon;
select lab.auth_login(l, p) as answer, count(*), string_agg(left(l, 12), ' ' order by l collate "C")
from (values ('nobody', 'Correct-Horse-6'), ('sam', 'wrong'), ('sam', ''), ('bea', 'Correct-Horse-3'), ('tess', 'Correct-Horse-4'),
             ('vic', 'Correct-Horse-3'), ('sue', 'Correct-Horse-3'), ('mary', 'Correct-Horse-4'), ('', ''), ('@', '@'),
             (repeat('x', 100000), repeat('y', 100000)), (''' or 1=1 --', ''' or 1=1 --'), ('sam@alpha.test'' or ''1''=''1', 'x'),
             ('%', '%'), (U&'s\0430m', 'Correct-Horse-3')) v (l, p)
group by 1;
-- An organisation one does not belong to: the same.
select test.answer($$select lab.auth_login('sam', 'Correct-Horse-3', org => 'beta')$$) as foreign_org,
       test.answer($$select lab.auth_login('sam', 'Correct-Horse-3', org => 'no such')$$) as no_org,
       test.answer($$select lab.auth_login('sam', 'Correct-Horse-3', org => 'Alpha')$$) as own_org;
-- NULL and malformed arguments are errors that record nothing.
select test.answer($$select lab.auth_login(null, 'x')$$), test.answer($$select lab.auth_login('sam', null)$$),
       test.answer($$select lab.auth_login('sam', 'x', device_info => '[1]')$$),
       test.answer($$select lab.auth_login('sam', 'x', device_info => to_jsonb(repeat(md5('a') || md5('b'), 10000)))$$),
       test.answer($$select lab.auth_login('sam', 'Correct-Horse-3', device_info => 'null')$$) as json_null;
-- Never by GET, never where it could not be recorded (P30).
begin; set local request.method = 'GET'; select test.answer($$select lab.auth_login('sam', 'Correct-Horse-3')$$); rollback;
begin read only; select test.answer($$select lab.auth_login('sam', 'Correct-Horse-3')$$); rollback;
reset role;
update lab_data.memberships set left_at = null where user_id = test.id_of('mary');
update lab_data.users set is_active = true where username = 'tess';
select event, outcome, detail ->> 'reason' as reason, count(*) > 0 as recorded
from lab_data.access_logs where event in ('login', 'lockout') group by 1, 2, 3 order by 1, 2, 3;
-- Each is sealed with the audit trail (P68), where it is nobody's to read.
select count(*) as unsealed from lab_data.access_logs a
where not exists (select from lab_private.audit_log l join lab_private.audit_table t on t.id = l.tab and t.kind = 'access_logs'
                  where l.rec = a.id and l.op = 'I' and l.payload ->> 'event' = a.event);
select test.become('alan'); set role lab_user;
select count(*) > 0 as own_records, count(*) filter (where kind = 'access_logs') as sign_ins from lab.audit_log;
select count(*) as history from lab.access_logs a, lab.audit_history('access_logs', a.id);
reset role; select test.become(null);
-- What was typed is not recorded, nor any secret (P39).
select count(*) as leaks from lab_data.access_logs l where l::text ~* 'horse|nobody|1=1';

-- A user is found by an index, known or not: how many there are does not show in the time it takes (P52).
begin;
set local enable_seqscan to off;
select s.seq_scan as before from pg_stat_xact_user_tables s where s.relid = 'lab_data.users'::regclass \gset
set local role lab_owner;
select (lab_private.find_user(l)).username from unnest(array['SAM', ' Sam@Alpha.test', 'nobody', 'nobody@alpha.test', null, '@', repeat('x', 400)]) l;
reset role;
select s.seq_scan - :before as searches from pg_stat_xact_user_tables s where s.relid = 'lab_data.users'::regclass;
rollback;

-- lock ------------------------------------------------------------------------

-- The fifth failure in a row locks for half an hour; the right password is then refused the same way.
update lab_data.users set locked_until = null, failed_login_attempts = 0 where username = 'vic';
select i, test.answer($$select lab.auth_login('vic', 'wrong')$$) from generate_series(1, 4) i;
select failed_login_attempts, locked_until from lab_data.users where username = 'vic';
select test.answer($$select lab.auth_login('vic', 'wrong')$$);
select locked_until between now() + interval '29 minutes' and now() + interval '31 minutes' as half_an_hour, locked_until as before
from lab_data.users where username = 'vic' \gset
select :'half_an_hour' as half_an_hour, test.answer($$select lab.auth_login('vic', 'Correct-Horse-3')$$) as right_password;
-- Attempts while locked do not extend the lock.
select locked_until = :'before' as unchanged from lab_data.users where username = 'vic';
-- When it has passed, they count on: five more lock for twice as long (P53); success resets it.
update lab_data.users set locked_until = now() - interval '1 second' where username = 'vic';
select test.answer($$select lab.auth_login('vic', 'wrong')$$);
select failed_login_attempts, locked_until from lab_data.users where username = 'vic';
select test.answer($$select lab.auth_login('vic', 'Correct-Horse-3')$$);
select failed_login_attempts, locked_until from lab_data.users where username = 'vic';

-- Whatever becomes of the transaction, the attempt counts (P29): ROLLBACK, a savepoint, an exception, an error after the answer.
begin; select test.answer($$select lab.auth_login('vic', 'wrong')$$); rollback;
begin; savepoint s; select test.answer($$select lab.auth_login('vic', 'wrong')$$); rollback to s; commit;
do $$ begin perform lab.auth_login('vic', 'wrong'); raise exception using errcode = 'LB999'; exception when sqlstate 'LB999' then null; end $$;
select test.error_of($$select (lab.auth_login('vic', 'wrong') ->> 'code')::int$$);
select u.failed_login_attempts, g.failed, g.locked_until
from lab_data.users u join lab_private.login_guard g on g.user_id = u.id where u.username = 'vic';
begin; select test.answer($$select lab.auth_login('vic', 'wrong')$$); rollback;
select g.failed, g.locked_until between now() + interval '29 minutes' and now() + interval '31 minutes' as half_an_hour
from lab_data.users u join lab_private.login_guard g on g.user_id = u.id where u.username = 'vic';
select test.answer($$select lab.auth_login('vic', 'Correct-Horse-3')$$) as right_password;
select u.failed_login_attempts, u.locked_until = g.locked_until as shown
from lab_data.users u join lab_private.login_guard g on g.user_id = u.id where u.username = 'vic';
-- What an administrator writes into users holds: the row follows.
update lab_data.users set locked_until = now() - interval '1 second', failed_login_attempts = 5 where username = 'vic';
select test.answer($$select lab.auth_login('vic', 'Correct-Horse-3')$$);
-- The fifth attempt may be the right one.
select i, test.answer($$select lab.auth_login('vic', 'wrong')$$) from generate_series(1, 4) i;
select test.answer($$select lab.auth_login('vic', 'Correct-Horse-3')$$);
select u.failed_login_attempts, u.locked_until, g.failed, g.locked_until
from lab_data.users u join lab_private.login_guard g on g.user_id = u.id where u.username = 'vic';
-- Nobody calls the counter.
set role lab_user;
select test.error_of('select labos.login_guard_set(test.id_of(''vic''), 0, null)'), test.error_of('select labos.login_guard_charge(test.id_of(''vic''), 1, 3600)');
reset role;

-- A hash under older parameters is replaced at the next sign-in (P48).
update lab_private.credentials set password_hash = labos.password_hash('Correct-Horse-4', 'bcrypt'), algorithm = 'bcrypt' where user_id = test.id_of('tess');
select test.answer($$select lab.auth_login('tess', 'Correct-Horse-4')$$);
select algorithm, parameters ? 'm' as memory, left(password_hash, 10) as prefix from lab_private.credentials where user_id = test.id_of('tess');

-- OAuth 2.0 -------------------------------------------------------------------

-- Bodies and errors of RFC 6749.
set role lab_anon;
select string_agg(k, ' ' order by k) from jsonb_object_keys(lab.auth_token('password', 'sam', 'Correct-Horse-3')) k;
select test.answer($$select lab.auth_token()$$), test.answer($$select lab.auth_token('')$$), test.answer($$select lab.auth_token('client_credentials')$$),
       test.answer($$select lab.auth_token('password', 'sam')$$), test.answer($$select lab.auth_token('password', 'sam', 'wrong')$$),
       test.answer($$select lab.auth_token('refresh_token')$$), test.answer($$select lab.auth_token('refresh_token', refresh_token => 'x')$$),
       test.answer($$select lab.auth_token('password', 'sam', 'Correct-Horse-3', scope => 'admin')$$);

-- refresh ---------------------------------------------------------------------

-- Only digests are stored (P21).
reset role;
select count(*) from lab_private.refresh_tokens t where t.token_sha256 = sha256(convert_to(:'login'::jsonb ->> 'refresh_token', 'UTF8'));
-- A refresh gives a new pair of the same session; so does a repetition within the grace time: the same one (P22).
set role lab_anon;
select lab.auth_refresh(:'login'::jsonb ->> 'refresh_token') as second \gset
select lab.auth_refresh(:'login'::jsonb ->> 'refresh_token') as again \gset
select :'second'::jsonb ->> 'refresh_token' <> :'login'::jsonb ->> 'refresh_token' as rotated,
       :'second'::jsonb ->> 'session_id' = :'login'::jsonb ->> 'session_id' as same_session,
       :'again'::jsonb ->> 'refresh_token' = :'second'::jsonb ->> 'refresh_token' as same_successor,
       test.claims(:'again'::jsonb ->> 'access_token') ->> 'jti' <> test.claims(:'second'::jsonb ->> 'access_token') ->> 'jti' as own_jti;
select lab.auth_refresh(:'second'::jsonb ->> 'refresh_token') as third \gset
-- After it, the used token ends the session and its family, and that commits although the call fails (P23, P27).
reset role;
update lab_private.refresh_tokens set used_at = used_at - interval '61 seconds' where used_at is not null;
set role lab_anon;
select test.answer(format('select lab.auth_refresh(%L)', :'login'::jsonb ->> 'refresh_token')) as replay,
       test.answer(format('select lab.auth_refresh(%L)', :'third'::jsonb ->> 'refresh_token')) as newest;
reset role;
select revoke_reason from lab_data.user_sessions where id = (:'login'::jsonb ->> 'session_id')::uuid;
select event, outcome, count(*) from lab_data.access_logs where event like 'refresh%' group by 1, 2 order by 1, 2;
-- An expired token and a session past its absolute end refresh no more (P24).
select lab.auth_login('sam', 'Correct-Horse-3') as one, lab.auth_login('sam', 'Correct-Horse-3') as two \gset
update lab_private.refresh_tokens set expires_at = now() - interval '1 second' where session_id = (:'one'::jsonb ->> 'session_id')::uuid;
update lab_data.user_sessions set created_at = now() - interval '31 days', expires_at = now() - interval '1 second' where id = (:'two'::jsonb ->> 'session_id')::uuid;
select test.answer(format('select lab.auth_refresh(%L)', :'one'::jsonb ->> 'refresh_token')), test.answer(format('select lab.auth_refresh(%L)', :'two'::jsonb ->> 'refresh_token'));
-- Nonsense of every kind.
select test.answer(format('select lab.auth_refresh(%L)', x)) as answer, count(*)
from unnest(array['', 'x', repeat('A', 43), repeat('A', 1000000), ''' or 1=1 --', U&'\00e4' || repeat('A', 42), repeat('A', 42) || E'\n']) x group by 1;
select test.answer('select lab.auth_refresh(null)');

-- sessions --------------------------------------------------------------------

-- Signing out ends the session of the refresh token; the answer never tells whether it was one (RFC 7009).
select lab.auth_login('sam', 'Correct-Horse-3') as one, lab.auth_login('sam', 'Correct-Horse-3') as two, lab.auth_login('sam', 'Correct-Horse-3') as three \gset
set role lab_anon;
select test.answer(format('select lab.auth_logout(%L)', :'one'::jsonb ->> 'refresh_token')), test.answer(format('select lab.auth_logout(%L)', :'one'::jsonb ->> 'refresh_token')),
       test.answer($$select lab.auth_logout('nonsense')$$), test.answer('select lab.auth_logout()');
select test.answer(format('select lab.auth_refresh(%L)', :'one'::jsonb ->> 'refresh_token'));
-- Listing and ending one's own; those of others do not exist.
reset role; select test.become('bob'); set role lab_user;
select test.answer(format('select lab.auth_session_end(%L)', :'two'::jsonb ->> 'session_id')), test.answer('select lab.auth_session_end(null)');
reset role; select test.become('sue'); set role lab_user;
select test.answer(format('select lab.auth_session_end(%L)', :'two'::jsonb ->> 'session_id'));
select count(*) from lab.user_sessions where user_id <> labos.user_id();
reset role; select test.become('sam'); set role lab_user;
select count(*) filter (where id = (:'two'::jsonb ->> 'session_id')::uuid) as two, count(*) filter (where id = (:'one'::jsonb ->> 'session_id')::uuid) as one from lab.auth_sessions();
select test.answer(format('select lab.auth_session_end(%L)', :'two'::jsonb ->> 'session_id')), test.answer(format('select lab.auth_session_end(%L)', :'two'::jsonb ->> 'session_id'));
-- An admin sees and ends a member's.
reset role; select test.become('alan'); set role lab_user;
select test.answer(format('select lab.auth_session_end(%L)', :'three'::jsonb ->> 'session_id'));
select revoke_reason from lab.user_sessions where id = (:'three'::jsonb ->> 'session_id')::uuid;
-- Signing out everywhere.
reset role; select lab.auth_login('sam', 'Correct-Horse-3') is not null as in; select test.become('sam'); set role lab_user;
select (lab.auth_logout_all() ->> 'sessions_ended')::int > 0 as ended;
select count(*) as left from lab.auth_sessions();

-- profile and password --------------------------------------------------------

select m ->> 'username' as username, m -> 'roles' as roles, m -> 'permissions' ? 'sample:create' as may_create, jsonb_array_length(m -> 'memberships') as memberships
from lab.auth_me() m;
select m ->> 'full_name' as full_name, m -> 'preferences' as preferences from lab.auth_me_update(full_name => 'Samuel', preferences => '{"theme": "dark"}') m;
select test.answer($$select lab.auth_me_update(username => 'VIC')$$), test.answer($$select lab.auth_me_update(username => 'a b')$$),
       test.answer($$select lab.auth_me_update(full_name => repeat('x', 201))$$), test.answer($$select lab.auth_me_update(first_name => E'a\x01')$$),
       test.answer($$select lab.auth_me_update(preferences => '[]')$$), test.answer($$select lab.auth_me_update(preferences => '"x"')$$),
       test.answer($$select lab.auth_me_update()$$) as nothing;
-- The current password is needed; the new one meets the policy; all other sessions end.
reset role; select lab.auth_login('sam', 'Correct-Horse-3') as one \gset
select test.become('sam'); set role lab_user;
select test.answer($$select lab.auth_password_change('wrong', 'Better-Horse-3')$$), test.answer($$select lab.auth_password_change('Correct-Horse-3', 'short')$$),
       test.answer($$select lab.auth_password_change('Correct-Horse-3', 'Correct-Horse-3')$$), test.answer($$select lab.auth_password_change(null, 'x')$$),
       test.answer($$select lab.auth_password_change('x', null)$$), test.answer($$select lab.auth_password_change('Correct-Horse-3', 'Sam@Alpha.Test-1')$$) as own_name;
select lab.auth_password_change('Correct-Horse-3', 'Better-Horse-3');
reset role; set role lab_anon;
select test.answer($$select lab.auth_login('sam', 'Correct-Horse-3')$$) as old, test.answer($$select lab.auth_login('sam', 'Better-Horse-3')$$) as new,
       test.answer(format('select lab.auth_refresh(%L)', :'one'::jsonb ->> 'refresh_token')) as old_session;
-- Without a user: not signed in.
select c, test.answer('select to_jsonb(x) from ' || c || ' x')
from unnest(array['lab.auth_me()', 'lab.auth_logout_all()', 'lab.auth_sessions()', 'lab.user_permissions()', 'lab.identity_settings()',
                  'lab.auth_org_switch(''alpha'')', 'lab.signing_key_rotate()', 'lab.auth_password_change(''a'', ''b'')']) c;
reset role; select test.become(null); set role lab_user;
select c, test.answer('select to_jsonb(x) from ' || c || ' x')
from unnest(array['lab.auth_me()', 'lab.auth_logout_all()', 'lab.auth_sessions()', 'lab.user_permissions()', 'lab.identity_settings()',
                  'lab.auth_org_switch(''alpha'')', 'lab.signing_key_rotate()', 'lab.auth_password_change(''a'', ''b'')',
                  'lab.user_create(''x@x.test'', ''xxx'')', 'lab.role_create(''xxx'')']) c;

-- users -----------------------------------------------------------------------

reset role; select test.become('alan'); set role lab_user;
select u ->> 'email' as email, u ->> 'username' as username, u -> 'roles' as roles, u ->> 'is_verified' as verified
from lab.user_create(' Nina@Alpha.Test', 'nina', 'Nina N', '{technician}') u;
reset role; do $$ begin perform lab_private.password_set(test.id_of('nina'), 'Correct-Horse-4', 'nina@alpha.test', 'nina'); end $$; set role lab_user;
select test.answer($$select lab.auth_login('nina', 'Correct-Horse-4')$$) as nina, test.answer($$select lab.user_create('nina@alpha.test', 'nina2')$$) as email,
       test.answer($$select lab.user_create('nina2@alpha.test', 'NINA')$$) as username, test.answer($$select lab.user_create('x', 'nina2')$$) as bad_email,
       test.answer($$select lab.user_create('nina2@alpha.test', 'n')$$) as bad_username, test.answer($$select lab.user_create('nina2@alpha.test', 'nina2', is_machine => true, initial_password => true)$$) as machine,
       test.answer($$select lab.user_create('nina2@alpha.test', 'nina2', roles => '{emperor}')$$) as role, test.answer($$select lab.user_create(null, null)$$) as nulls,
       test.answer($$select lab.user_create('nina2@alpha.test', 'nina2', roles => array[null]::text[])$$) as null_role,
       test.answer($$select lab.user_create('nina2@alpha.test', 'nina2', full_name => repeat('x', 1000000))$$) as huge;
select count(*) as nothing_left from lab.users where username = 'nina2';
-- Those of another organisation do not exist for an admin.
select test.answer(format('select lab.user_update(%L, full_name => ''Owned'')', test.id_of('bea'))), test.answer(format('select lab.user_deactivate(%L)', test.id_of('bea'))),
       test.answer(format('select lab.role_assign(%L, ''viewer'')', test.id_of('bea'))), test.answer(format('select lab.user_permissions(%L)', test.id_of('bea'))),
       test.answer(format('select lab.membership_remove(%L)', test.id_of('bea'))), test.answer('select lab.user_update(null)');
-- A change names the version it is based on.
select u ->> 'full_name' as full_name, u ->> 'title' as title, u ->> 'version' as version from lab.user_update(test.id_of('nina'), full_name => 'Nina M', title => 'Dr', version => 1) u;
select test.answer(format('select lab.user_update(%L, full_name => ''X'', version => 1)', test.id_of('nina'))) as stale;
select test.answer(format('select lab.user_update(%L, email => ''sam@alpha.test'')', test.id_of('nina'))) as taken;
-- Deactivated: sessions end, sign-in is refused; activated: works again. Deleted: gone and the name free; restored only while it is.
select u ->> 'is_active' as active from lab.user_deactivate(test.id_of('nina')) u;
select test.answer($$select lab.auth_login('nina', 'Correct-Horse-4')$$);
select test.answer(format('select lab.user_activate(%L)', test.id_of('nina'))), test.answer($$select lab.auth_login('nina', 'Correct-Horse-4')$$);
select test.id_of('nina') as nina \gset
select test.answer(format('select lab.user_delete(%L)', :'nina')), test.answer(format('select lab.user_delete(%L)', :'nina')) as twice, test.answer($$select lab.auth_login('nina', 'Correct-Horse-4')$$);
select count(*) as visible from lab.users where username = 'nina';
select test.answer($$select lab.user_create('nina@other.test', 'nina')$$) as name_is_free, test.answer(format('select lab.user_restore(%L)', :'nina')) as name_is_taken;
reset role; update lab_data.users set deleted_at = now(), username = 'nina-gone' where email = 'nina@other.test'; set role lab_user;
select test.answer(format('select lab.user_restore(%L)', :'nina')), test.answer($$select lab.auth_login('nina', 'Correct-Horse-4')$$);
-- A lock can be ended.
reset role; update lab_data.users set locked_until = now() + interval '1 hour' where username = 'nina'; set role lab_user;
select test.answer(format('select lab.user_unlock(%L)', :'nina')), test.answer($$select lab.auth_login('nina', 'Correct-Horse-4')$$);
-- A member leaves and comes back.
select test.answer(format('select lab.membership_remove(%L)', :'nina')), test.answer($$select lab.auth_login('nina', 'Correct-Horse-4')$$);
select lab.membership_restore(:'nina', '{viewer}') -> 'roles' as roles, test.answer($$select lab.auth_login('nina', 'Correct-Horse-4')$$);

-- roles and escalation --------------------------------------------------------

-- An organisation's own role, with a parent.
select r ->> 'parent' as parent, r -> 'own_permissions' as own, r -> 'permissions' ? 'run:execute' as inherited
from lab.role_create('Deputy', 'Deputy', permissions => '{role:assign,role:create,role:update,user:create,user:update,user:delete}', parent => 'technician') r;
select test.answer($$select lab.role_create('deputy')$$) as exists, test.answer($$select lab.role_create('admin')$$) as system_name, test.answer($$select lab.role_create('x y')$$) as bad,
       test.answer('select lab.role_create(null)') as nulls, test.answer($$select lab.role_create('r2', permissions => '{sample:fly}')$$) as unknown,
       test.answer($$select lab.role_create('r2', parent => 'nothing')$$) as parent, test.answer($$select lab.role_create(repeat('r', 100000))$$) as huge;
-- System roles are protected.
select test.answer($$select lab.role_update('viewer', permissions => '{}')$$), test.answer($$select lab.role_delete('admin')$$), test.answer($$select lab.role_update('viewer', display_name => 'X')$$);
-- No circle; not in use.
select test.answer($$select lab.role_create('sub', parent => 'deputy')$$), test.answer($$select lab.role_update('deputy', parent => 'sub')$$), test.answer($$select lab.role_delete('deputy')$$), test.answer($$select lab.role_delete('sub')$$);
-- Given with an expiry; it gives nothing from then on.
select r #>> '{roles,0,name}' as role from lab.role_assign(:'nina', 'deputy', now() + interval '1 hour') r;
select test.answer(format('select lab.role_assign(%L, ''deputy'', ''2020-01-01'')', :'nina')) as past, test.answer(format('select lab.role_assign(%L, null)', :'nina')) as nulls;
reset role; select test.become('nina'); set role lab_user;
select labos.has_permission('role:assign') as before;
reset role; update lab_data.user_roles set assigned_at = now() - interval '2 hours', expires_at = now() - interval '1 second' where user_id = :'nina' and expires_at is not null; set role lab_user;
select labos.has_permission('role:assign') as after, lab.user_permissions() #>> '{roles_expired,0,name}' as expired;
reset role; update lab_data.user_roles set expires_at = null where user_id = :'nina'; set role lab_user;
-- Who assigns gives only what they hold, makes only such roles, and acts only on those who hold no more.
select labos.has_permission('role:assign') as deputy,
       test.answer(format('select lab.role_assign(%L, ''admin'')', :'nina')) as self_admin, test.answer(format('select lab.role_assign(%L, ''scientist'')', :'nina')) as self_scientist,
       test.answer($$select lab.role_create('r3', permissions => '{audit:verify}')$$) as make, test.answer($$select lab.role_create('r3', permissions => '{*:*}')$$) as make_all,
       test.answer($$select lab.role_create('r3', parent => 'manager')$$) as by_parent, test.answer($$select lab.role_update('deputy', permissions => '{*:*}')$$) as widen,
       test.answer($$select lab.user_create('r3@alpha.test', 'r33', roles => '{admin}')$$) as by_user;
select test.answer(format('select lab.user_update(%L, email => ''evil@alpha.test'')', test.id_of('alan'))) as takeover, test.answer(format('select lab.user_deactivate(%L)', test.id_of('alan'))) as disable,
       test.answer(format('select lab.role_revoke(%L, ''admin'')', test.id_of('alan'))) as demote, test.answer(format('select lab.user_update(%L, full_name => ''Vic V'')', test.id_of('vic'))) as inferior,
       test.answer(format('select lab.role_assign(%L, ''technician'')', test.id_of('vic'))) as give_own;
-- The last admin stays: not revoked, deactivated, deleted, removed or given an expiry.
reset role; select test.become('alan'); set role lab_user;
select test.answer(format('select lab.role_revoke(%L, ''admin'')', labos.user_id())), test.answer(format('select lab.user_deactivate(%L)', labos.user_id())),
       test.answer(format('select lab.user_delete(%L)', labos.user_id())), test.answer(format('select lab.membership_remove(%L)', labos.user_id())),
       test.answer(format('select lab.role_assign(%L, ''admin'', now() + interval ''1 day'')', labos.user_id()));
select test.answer(format('select lab.role_assign(%L, ''admin'')', test.id_of('mary'))), test.answer(format('select lab.role_revoke(%L, ''admin'')', test.id_of('mary'))),
       test.answer(format('select lab.role_revoke(%L, ''admin'')', test.id_of('mary'))) as twice;
select test.answer($$select lab.organization_create('Delta', admin_email => 'dora@delta.test')$$) as not_superuser, test.answer('select lab.signing_key_rotate()') as nor_keys,
       test.answer('select lab.identity_settings()') as nor_settings;
-- A manager, scientist, technician, viewer: none administers.
reset role; select test.become('mary'); set role lab_user;
select test.answer($$select lab.user_create('m@alpha.test', 'mmm')$$), test.answer(format('select lab.role_assign(%L, ''viewer'')', test.id_of('sam'))), test.answer($$select lab.role_create('mmm')$$);
select count(*) as logs from lab.access_logs;

-- the installation ------------------------------------------------------------

reset role; select test.become('root'); set role lab_user;
select o ->> 'slug' as slug, o #>> '{admin,username}' as admin, o #> '{admin,roles}' as roles from lab.organization_create('Delta Lab', admin_email => 'dora@delta.test') o;
reset role; do $$ begin perform lab_private.password_set(test.id_of('dora'), 'Correct-Horse-4', 'dora@delta.test', 'dora'); end $$; set role lab_user;
select test.answer($$select lab.auth_login('dora', 'Correct-Horse-4')$$);
select test.answer($$select lab.organization_create('Delta Lab')$$) as again, test.answer('select lab.organization_create(null)') as nulls, test.answer($$select lab.organization_create('X', 'not a slug')$$) as slug,
       test.answer($$select lab.organization_create('Eps', admin_email => 'sam@alpha.test', initial_password => true)$$) as taken,
       test.answer($$select lab.organization_create('実験室')$$) as no_latin_name;
-- An existing user becomes admin of another organisation, and switches; there the one's rights, here the other's.
select o #>> '{admin,username}' as admin from lab.organization_create('Zeta', admin_email => 'sam@alpha.test') o;
reset role; select test.become('sam'); set role lab_user;
select s #>> '{organization,slug}' as slug, s -> 'roles' as roles from lab.auth_org_switch('zeta') s;
select test.answer($$select lab.auth_org_switch('beta')$$), test.answer($$select lab.auth_org_switch('')$$), test.answer('select lab.auth_org_switch(null)');
-- From now on alpha's admin cannot change that account, but the membership.
reset role; select test.become('alan'); set role lab_user;
select test.answer(format('select lab.user_deactivate(%L)', test.id_of('sam'))), test.answer(format('select lab.user_update(%L, email => ''mine@alpha.test'')', test.id_of('sam')));

-- Settings are validated; unknown ones refused.
reset role; select test.become('root'); set role lab_user;
select lab.identity_settings_update('{"max_failed_logins": 3}') ->> 'max_failed_logins' as failures;
select s, test.answer(format('select lab.identity_settings_update(%L)', s))
from unnest(array['{"max_failed_logins": 0}', '{"max_failed_logins": "x"}', '{"max_failed_logins": null}', '{"max_failed_logins": 1e99}', '{"registration": "maybe"}', '{"registration": "open"}',
                  '{"refresh_key": "x"}', '{"issuer": ""}', '[]', '"x"', 'null', '{"registration_org_id": "00000000-0000-0000-0000-000000000001"}']) s;
select test.answer('select lab.identity_settings_update(null)');

-- Registration is closed until opened; then it tells nobody whether an address is known (P52).
select test.answer($$select lab.auth_register('new@alpha.test', 'newbie', 'Correct-Horse-6')$$) as closed;
select lab.identity_settings_update(jsonb_build_object('registration', 'open', 'registration_org_id', labos.org_id())) ->> 'registration' as registration;
reset role; set role lab_anon;
select test.answer($$select lab.auth_register('new@alpha.test', 'newbie', 'Correct-Horse-6')$$) as new, test.answer($$select lab.auth_register('new@alpha.test', 'newbie2', 'Correct-Horse-6')$$) as known,
       test.answer($$select lab.auth_register('new2@alpha.test', 'newbie', 'Correct-Horse-6')$$) as username, test.answer($$select lab.auth_register('new2@alpha.test', 'newbie2', 'weak')$$) as weak,
       test.answer('select lab.auth_register(null, null, null)') as nulls, test.answer($$select lab.auth_login('newbie', 'Correct-Horse-6')$$) as unverified;

-- keys ------------------------------------------------------------------------

-- Public keys without a private member; no client reads the private ones (P35).
select count(*) as keys, bool_or(k ?| '{d,k,p,q}') as private_members from jsonb_array_elements(lab.jwks() -> 'keys') k;
reset role; select test.become('root'); set role lab_user;
select t, test.error_of('select * from lab_private.' || t) from unnest(array['signing_keys', 'credentials', 'refresh_tokens', 'identity_settings']) t;
select test.error_of('select lab_private.access_token(null)'), test.error_of($$select lab_private.sign_in('a', 'b', null, null)$$), test.error_of('select lab_private.postgrest_config()');
-- A new key is published at once and signs after its lead; older keys verify until their last token has expired (P37).
select lab.jwks() #>> '{keys,0,kid}' as first \gset
select r ->> 'alg' as alg from lab.signing_key_rotate() r;
select jsonb_array_length(lab.jwks() -> 'keys') as published;
select lab.auth_login('root', 'Gamma-Lab-1') as login \gset
reset role;
select v.valid as first_still_signs from lab_private.token_rules(:'first') r, labos.jwt_verify(:'login'::jsonb ->> 'access_token', r.jwk) v;
select count(*) filter (where not_before > now()) as waiting, count(*) filter (where retired_at > not_before + interval '15 minutes') as overlapping from lab_private.signing_keys;
-- Withdrawn at once: the waiting one takes over.
select test.become('root'); select (lab_private.signing_key_current()).kid as old \gset
set role lab_user;
select r ->> 'signs_now' <> :'old' as another_signs from lab.signing_key_retire(:'old') r;
select jsonb_array_length(lab.jwks() -> 'keys') as published;
select test.answer(format('select lab.signing_key_retire(%L)', :'old')) as again, test.answer('select lab.signing_key_retire(null)'), test.answer($$select lab.signing_key_rotate('none')$$), test.answer($$select lab.signing_key_rotate('RS1')$$);
-- A symmetric key signs, and is in nothing that is published.
select r ->> 'alg' as alg from lab.signing_key_rotate('HS256') r;
select jsonb_array_length(lab.jwks() -> 'keys') as published;
-- The gateway's configuration has them all; only the gateway may read it.
reset role;
begin;
set local role lab_authenticator;
select lab_private.postgrest_config();
select jsonb_array_length(current_setting('pgrst.jwt_secret')::jsonb -> 'keys') as keys, current_setting('pgrst.jwt_aud') as aud, current_setting('pgrst.db_pre_request') as pre_request,
       current_setting('pgrst.db_schemas') as schemas;
rollback;
select has_function_privilege(r, 'lab_private.postgrest_config()', 'execute') as may, r from unnest(array['lab_anon', 'lab_user', 'lab_guest', 'lab_auditor', 'lab_authenticator']) r order by r;

-- the log ---------------------------------------------------------------------

-- Append-only, for the owner too; admins see their organisation's.
select test.answer('update lab_data.access_logs set detail = ''{}'''), test.answer('delete from lab_data.access_logs'), test.answer('truncate lab_data.access_logs');
select test.become('bob'); set role lab_user;
select count(*) > 0 as own, count(*) filter (where org_id <> labos.org_id()) as foreign_rows from lab.access_logs;
select test.error_of('insert into lab.access_logs (event, outcome) values (''login'', ''success'')'), test.error_of('update lab.user_sessions set revoked_at = null'), test.error_of('delete from lab.user_sessions');
reset role;

-- Nothing of this room is executable by everybody (P32), and every definer pins its path.
select p.oid::regprocedure from pg_proc p
where p.pronamespace in ('lab'::regnamespace, 'lab_private'::regnamespace)
  and (p.proacl is null or exists (select from aclexplode(p.proacl) a where a.grantee = 0) or (p.prosecdef and p.proconfig is null));

-- Leave the place as it was for the tests that follow.
update lab_private.identity_settings set max_failed_logins = 5, registration = 'closed', refresh_grace_seconds = 10, key_lead_seconds = 10;
select test.become(null);
