-- Lines of the identity checklist that have no better home. After auth and rbac: root is the superuser of the installation, keys are there.
set client_min_messages to warning;
\set VERBOSITY terse

-- P16 Who somebody is and which session it is are uuids, never an address that somebody else may have later.
select column_name, data_type from information_schema.columns
where table_schema = 'lab_data' and (table_name, column_name) in (('users', 'id'), ('user_sessions', 'id'), ('user_sessions', 'user_id'), ('memberships', 'user_id')) order by 1, 2;
select count(*) as foreign_keys_to_names from pg_constraint c join pg_attribute a on a.attrelid = c.confrelid and a.attnum = any (c.confkey)
where c.contype = 'f' and c.confrelid = 'lab_data.users'::regclass and a.attname <> 'id';
-- An address that is free again belongs to another person: the deleted one's id, sessions and roles stay with the deleted one.
begin;
update lab_data.users set deleted_at = now() where username = 'sue';
insert into lab_data.users (email, username) values ('sue@alpha.test', 'sue');
select count(distinct id) as people, count(distinct email) as addresses from lab_data.users where email = 'sue@alpha.test';
select count(*) as roles_of_the_new_one from lab_data.user_roles g join lab_data.users u on u.id = g.user_id where u.email = 'sue@alpha.test' and u.deleted_at is null;
rollback;

-- P17 exp counts on every use, also of a token that this connection has verified before.
create function test.key() returns jsonb language sql as $$ select lab_private.private_jwk(k) from lab_private.signing_keys k where (k.retired_at is null or k.retired_at > now()) and k.alg = 'EdDSA' and k.not_before <= now() order by k.not_before desc limit 1 $$;
insert into lab_data.user_sessions (id, org_id, user_id, expires_at) values ('00000000-0000-7000-8000-0000000000c1', test.org_of('tess'), test.id_of('tess'), 'infinity');
create function test.signed(more jsonb) returns text language sql as $$
  select labos.jwt_sign(jsonb_strip_nulls(jsonb_build_object('iss', s.issuer, 'aud', s.audience, 'sub', test.id_of('tess'), 'org_id', test.org_of('tess'), 'sid', '00000000-0000-7000-8000-0000000000c1',
           'role', 'lab_user', 'iat', 1700000000, 'exp', 4102444800) || more), test.key(), test.key() ->> 'kid', 'at+jwt')
  from lab_private.identity_settings s $$;
select test.signed(jsonb_build_object('exp', extract(epoch from clock_timestamp())::bigint + 4)) as short \gset
begin; select labos.login(:'short') = test.id_of('tess') as signed_in; commit;
select pg_sleep(5);
begin; select test.error_of(format('select labos.login(%L)', :'short')); rollback;

-- P19 No two tokens have one jti; nothing has to be remembered of those that are withdrawn but their session.
create table test.minted as select test.claims(lab.auth_login('root', 'Gamma-Lab-1') ->> 'access_token') as c from generate_series(1, 3);
insert into test.minted select test.claims(lab.auth_refresh(r ->> 'refresh_token') ->> 'access_token') from (select lab.auth_login('root', 'Gamma-Lab-1') as r from generate_series(1, 2)) x;
select count(*) as tokens, count(distinct c ->> 'jti') as ids from test.minted;
-- P25 Each sign-in begins a session of its own.
select count(distinct c ->> 'sid') as sessions from test.minted;
-- P34 What is minted names one of the client roles; P12 with type and audience.
select distinct c ->> 'role' as role, c ->> 'aud' as aud from test.minted;
drop table test.minted;

-- P33 Claims are believed from a registered gateway only, and once: a setting made by anybody else is a setting.
select set_config('request.jwt.claims', json_build_object('sub', test.id_of('bob'), 'org_id', test.org_of('bob'), 'role', 'lab_user', 'exp', 4102444800,
  'sid', '00000000-0000-7000-8000-0000000000c1')::text, false) is not null as set, labos.user_id() is null as nobody;
reset request.jwt.claims;

-- P34 A gateway may become a client role and nothing else, whatever a token says; no client role leads further.
select m.rolname as member, string_agg(r.rolname, ' ' order by r.rolname) as may_become
from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
where m.rolname in ('lab_authenticator', 'lab_anon', 'lab_user', 'lab_guest') group by 1 order by 1;
-- Nor does a token that was signed with a role of the database say more than who its user is.
create function test.as_role(role text) returns text language plpgsql as $$
begin
  perform labos.login(test.signed(jsonb_build_object('role', as_role.role)));
  return format('superuser %s, admin %s, %s', labos.is_superuser(), labos.has_permission('*:*'), current_user);
exception when others then
  return sqlstate;
end $$;
select r, test.as_role(r) from unnest('{lab_user,lab_owner,postgres,none,pg_read_all_data}'::text[]) r;
drop function test.as_role(text);

-- P36 Keys are made here, and no call gives a private part: not the one that makes it, nor the public keys, the settings or any log.
select test.become('root'); set role lab_user;
select k ? 'd' or k ? 'k' as private_part from lab.signing_key_rotate('EdDSA') k;
reset role;
create table test.private as select coalesce(lab_private.private_jwk(k) ->> 'd', lab_private.private_jwk(k) ->> 'k') as part from lab_private.signing_keys k where k.retired_at is null or k.retired_at > now();
select count(*) filter (where lab.jwks()::text like '%' || part || '%') as in_jwks,
       count(*) filter (where exists (select from lab_data.access_logs a where a::text like '%' || part || '%')) as in_access_log,
       count(*) filter (where exists (select from lab_private.signing_keys k where k.public_jwk::text like '%' || part || '%')) as in_public_part,
       count(*) > 1 as there_are_some from test.private;
drop table test.private;
-- No call of the API returns a type that could hold one.
select p.oid::regprocedure from pg_proc p where p.pronamespace = 'lab'::regnamespace and p.prosrc ~ '\m(private_jwk|sealed_key|secret_open)\M';

-- P28 Tokens travel in bodies and the Authorization header: nothing sets a cookie, and none is read, so that no page of somebody else can make a browser act.
select p.oid::regprocedure from pg_proc p where p.pronamespace in ('lab'::regnamespace, 'lab_private'::regnamespace, 'labos'::regnamespace) and p.prosrc ~* '(set-cookie|request\.cookies)';

-- P65 Addresses: trimmed, NFC, lower case; one person whatever the spelling; what cannot be seen is refused; dots are not folded.
select lab_private.normal_email(e' Jose\u0301@EXAMPLE.Test ') = e'jos\u00e9@example.test' as one_spelling, lab_private.normal_email('a.b@x.test') <> lab_private.normal_email('ab@x.test') as dots_count;
select count(*) as refused from unnest(array[e'a\u202eb@x.test', e'a\u200bb@x.test', e'a\u0001b@x.test', 'a b@x.test', e'a@x\u2066.test', '"a"@x.test', 'a@b@x.test', 'a@', '@x.test', 'a@-x.test', 'a@x..test', repeat('a', 65) || '@x.test', 'a@' || repeat('x', 64) || '.test', 'a@localhost']) a
where test.error_of(format('select lab_private.normal_email(%L)', a)) like 'PT400 invalid_email%';
select test.error_of('insert into lab_data.users (email, username) values (''TESS@Alpha.Test'', ''tess_two'')');
-- P66 Usernames: ASCII letters, digits, _ and -, so that none looks like another; the case is kept and does not count.
select n, test.error_of(format('select lab_private.check_username(%L)', n)) from unnest(array['TESS', e't\u0435ss', 'te ss', e'tess\u200b', 'te', 'T-e_s5', repeat('x', 31), '']) n;
select test.error_of('insert into lab_data.users (email, username) values (''t2@alpha.test'', ''TeSs'')');

drop function test.signed(jsonb), test.key();
delete from lab_data.user_sessions where id = '00000000-0000-7000-8000-0000000000c1';
select test.become(null);
