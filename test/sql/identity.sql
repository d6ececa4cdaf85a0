-- Nobody becomes somebody by a setting. Sessions of Alpha's Sam and Beta's Bob are live throughout.
set client_min_messages to warning;
insert into lab_data.user_sessions (id, org_id, user_id, expires_at)
select x.id, test.org_of(x.who), test.id_of(x.who), 'infinity'
from (values ('00000000-0000-7000-8000-00000000005a'::uuid, 'sam'), ('00000000-0000-7000-8000-0000000000b0', 'bob')) x(id, who);
create function test.claims_of(who text, session uuid default null) returns text
  language sql security definer set search_path to pg_catalog, pg_temp
as $$ select json_build_object('sub', test.id_of(who), 'org_id', test.org_of(who), 'role', 'lab_user', 'exp', 4102444800,
        'sid', coalesce(session, (select s.id from lab_data.user_sessions s where s.user_id = test.id_of(who) limit 1)))::text $$;
create function test.who() returns text
  language sql security definer set search_path to pg_catalog, pg_temp
as $$ select coalesce((select u.username from lab_data.users u where u.id = labos.user_id()), 'nobody') $$;
create function test.as_claims(claims text) returns text language plpgsql as
$$ begin perform set_config('request.jwt.claims', claims, true); return test.who(); end $$;
create role test_reader login;
grant lab_user to test_reader;
create role test_stranger login;
grant lab_user to test_stranger;
select lab_private.db_login_map('test_reader', 'sam@alpha.test', 'alpha');
alter system set labos.trusted_gateways = 'lab_authenticator';
select pg_reload_conf();

-- The gateway is believed, once per transaction.
\c - lab_authenticator
begin;
set local role lab_user;
select set_config('request.jwt.claims', test.claims_of('sam'), true) is not null as set;
select test.who(), (select count(*) from lab.users) as colleagues;
-- G1 code that runs in the request cannot say it is somebody else,
savepoint s;
select set_config('request.jwt.claims', test.claims_of('bob'), true);
rollback to s;
select test.who();
-- G2 nor after dropping the identity,
reset request.jwt.claims;
select test.who();
savepoint s;
select set_config('request.jwt.claims', test.claims_of('bob'), true);
rollback to s;
select test.who();
commit;
-- G3 nor does the next transaction remember.
select test.who();
-- G4 the identity goes with the transaction that failed,
begin; set local role lab_user;
select set_config('request.jwt.claims', test.claims_of('sam'), true) is not null as set;
select 1 / 0;
rollback;
select test.who();
-- G5 and with a savepoint that is rolled back.
begin; set local role lab_user;
savepoint s;
select set_config('request.jwt.claims', test.claims_of('sam'), true) is not null as set;
select test.who();
rollback to s;
select test.who();
rollback;
-- G6 a token without session, of somebody else's session, or past exp is nobody.
begin; select set_config('request.jwt.claims', (test.claims_of('sam')::jsonb - 'sid')::text, true) is not null as set; select test.who(); rollback;
begin; select set_config('request.jwt.claims', test.claims_of('bob', '00000000-0000-7000-8000-00000000005a'), true) is not null as set; select test.who(); rollback;
begin; select set_config('request.jwt.claims', (test.claims_of('sam')::jsonb || '{"exp": 1700000000}')::text, true) is not null as set; select test.who(); rollback;
-- G7 Sam's session does not let Sam into Beta.
begin; select set_config('request.jwt.claims', (test.claims_of('sam')::jsonb || jsonb_build_object('org_id', test.org_of('bob')))::text, true) is not null as set; select test.who(); rollback;
-- G8 a claim twice, of the wrong type, nested, huge or no JSON at all is nobody, without an error.
begin; select test.as_claims(replace(test.claims_of('sam'), '"role"', '"sub" : "00000000-0000-0000-0000-000000000000", "role"')); rollback;
begin; select test.as_claims((test.claims_of('sam')::jsonb || '{"sub": 1}')::text); rollback;
begin; select test.as_claims((test.claims_of('sam')::jsonb || '{"sub": {"sub": "x"}}')::text); rollback;
begin; select test.as_claims((test.claims_of('sam')::jsonb || '{"exp": "never"}')::text); rollback;
begin; select test.as_claims(replace(test.claims_of('sam'), '4102444800', '1e400')); rollback;
begin; select test.as_claims('{"sub": ' || repeat('[', 60000)); rollback;
begin; select test.as_claims(repeat('x', 10000000)); rollback;
begin; select test.as_claims('not json'); rollback;
begin; select test.as_claims(''); rollback;
begin; select test.as_claims('[' || test.claims_of('sam') || ']'); rollback;

-- A personal login acts by the map and by nothing else.
\c - test_reader
set role lab_user;
select test.who(), (select count(*) from lab.users) as colleagues;
-- R1 SET, SET LOCAL, set_config
set request.jwt.claims = '{"sub": "x"}';
select set_config('request.jwt.claims', test.claims_of('bob'), false) is not null as set;
select test.who();
begin; select set_config('request.jwt.claims', test.claims_of('bob'), true) is not null as set; select test.who(); rollback;
-- R2 labos.token cannot be set, by any way of setting
set labos.token = 'x';
select set_config('labos.token', test.claims_of('bob'), true);
begin; set local labos.token = '{}'; rollback;
reset role;
alter role test_reader set labos.token = '{}';
set role lab_user;
-- R3 settings of ours that do not exist cannot be made up, those that exist cannot be changed or read
set labos.user_id = 'x';
set labos.trusted_gateways = 'test_reader';
\set VERBOSITY sqlstate
show labos.trusted_gateways;
\set VERBOSITY default
-- R4 SET ROLE, SET SESSION AUTHORIZATION
set role lab_owner;
set role lab_authenticator;
set session authorization lab_authenticator;
set role postgres;
-- R5 RESET and DISCARD lead back to who logged in
reset all;
select test.who();
set role lab_user;
reset role;
select current_user, test.who();
discard all;
select test.who();
set role lab_user;
-- R6 temporary tables and functions that would stand before ours
create temporary table users (id uuid);
create function pg_temp.user_id() returns uuid language sql as $$ select null::uuid $$;
-- R7 a search path of one's own changes no policy
begin; set local search_path = pg_temp, public; select count(*) from lab.users; select count(*) from lab_data.memberships; rollback;
-- R8 a prepared statement does not keep another caller's answer
prepare mine as select test.who();
execute mine;
reset role;
execute mine;
set role lab_user;
-- R9 no ALTER, no definer function, no trigger of one's own
alter table lab_data.users disable row level security;
alter function labos.user_id() leakproof;
create function lab.mine() returns int language sql as 'select 1';
create trigger t before insert on lab_data.memberships for each row execute function labos.tg__stamp();
set session_replication_role = replica;
set row_security = off;
select count(*) from lab.users;
set row_security = on;
-- R10 a leaky function in a condition sees no foreign row
create schema hers;
select count(*) filter (where username in ('bob', 'bea')) as foreign_rows from lab.users where username::text like '%b%' or 1 / length(username) > 0;
-- R11 COPY, TRUNCATE
copy lab_data.users to stdout;
\copy lab_data.memberships (org_id) from '/dev/null'
truncate lab_data.memberships;
-- R12 private tables and functions
select * from lab_private.credentials;
select lab_private.identity_load('gateway', test.id_of('bob'), test.org_of('bob'), null, null, '');
select lab_private.db_login_map('test_reader', 'bob@beta.test', 'beta');
select labos.exec_file('x', 'select 1');
call labos.deploy();
-- R13 an organisation id in a row is not believed
insert into lab.organizations (name, slug) values ('Mine', 'mine');
update lab.organizations set name = 'Mine';

-- Somebody with the role but not in the map is nobody.
\c - test_stranger
set role lab_user;
select test.who(), (select count(*) from lab.users) as colleagues, (select count(*) from lab.organizations) as organisations;
select test.error_of('select labos.require_org_for(''sample:read'')');

-- labos.login(token): a signed token, for the transaction.
\c - postgres
insert into lab_private.signing_keys (kid, alg, sealed_key, public_jwk)
select 'test-key', 'EdDSA', labos.secret_seal(convert_to(k::text, 'UTF8'), 'signing_key:test-key'), labos.jwk_public(k) || '{"kid": "test-key"}'
from (select labos.jwk_generate('EdDSA') || '{"kid": "test-key"}' as k) x;
create function test.sign(more jsonb, typ text default 'at+jwt', key_id text default 'test-key', key jsonb default null) returns text
  language sql as $$
  select labos.jwt_sign(jsonb_strip_nulls(test.claims_of('sam')::jsonb || jsonb_build_object('iss', s.issuer, 'aud', s.audience, 'iat', 1700000000) || more),
    coalesce(key, convert_from(labos.secret_open(k.sealed_key, 'signing_key:test-key'), 'UTF8')::jsonb), key_id, typ)
  from lab_private.signing_keys k, lab_private.identity_settings s where k.kid = 'test-key' $$;
create table test.tokens (name text, token text);
insert into test.tokens values
  ('good', test.sign('{}')),
  ('expired', test.sign('{"exp": 1700000001}')),
  ('without exp', test.sign('{"exp": null}')),
  ('another issuer', test.sign('{"iss": "elsewhere"}')),
  ('another audience', test.sign('{"aud": "elsewhere"}')),
  ('another type', test.sign('{}', 'refresh+jwt')),
  ('unknown key', test.sign('{}', 'at+jwt', 'other-key')),
  ('another key, our kid', test.sign('{}', 'at+jwt', 'test-key', labos.jwk_generate('EdDSA') || '{"kid": "test-key"}')),
  ('dead session', test.sign('{"sid": "00000000-0000-7000-8000-0000000000ff"}')),
  ('alg none', 'eyJhbGciOiJub25lIiwia2lkIjoidGVzdC1rZXkiLCJ0eXAiOiJhdCtqd3QifQ.' || split_part(test.sign('{}'), '.', 2) || '.'),
  ('tampered', replace(test.sign('{}'), '.ey', '.eyA')),
  ('empty', ''), ('garbage', 'a.b.c'), ('10 MB', repeat('A', 10000000));
grant select on test.tokens to public;
\c - test_stranger
set role lab_user;
begin;
select labos.login(token) = test.id_of('sam') as signed_in from test.tokens where name = 'good';
select test.who(), (select count(*) from lab.users) as colleagues;
show labos.token;
-- L1 parallel workers know the caller
set local parallel_setup_cost = 0; set local parallel_tuple_cost = 0; set local min_parallel_table_scan_size = 0;
select set_config(name, 'on', true) as forced from pg_settings where name in ('force_parallel_mode', 'debug_parallel_query');
select count(*) from lab.users;
-- L2 a failed login in a savepoint keeps the first one
savepoint s;
select labos.login('x');
rollback to s;
select test.who();
-- L3 RESET gives it up
reset labos.token;
select test.who();
commit;
-- L4 it ends with the transaction,
select test.who();
-- L5 and needs one.
select labos.login(token) from test.tokens where name = 'good';
-- L6 every other token is refused with one and the same error.
begin;
select name, test.error_of(format('select labos.login(%L)', token)) from test.tokens where name <> 'good' order by name;
select test.who();
rollback;
-- L7 a session that ends, ends the next statement of those signed in with it.
\c - postgres
begin;
update lab_data.user_sessions set revoked_at = now(), revoke_reason = 'logout' where user_id = test.id_of('sam');
set local role lab_user;
select test.error_of(format('select labos.login(%L)', token)) from test.tokens where name = 'good';
rollback;
-- L8 rights that are taken are gone in the same transaction's next statement, and back after a rollback.
select test.become('sam');
begin;
select labos.has_permission('sample:create');
delete from lab_data.user_roles where user_id = test.id_of('sam');
select labos.has_permission('sample:create');
rollback;
select labos.has_permission('sample:create');
-- L9 an assignment that has expired gives nothing, at once.
begin;
update lab_data.user_roles set assigned_at = now() - interval '2 days', expires_at = now() - interval '1 day' where user_id = test.id_of('sam');
select labos.has_permission('sample:read');
rollback;
-- L10 a disabled user, a left organisation, a disabled organisation
begin; update lab_data.users set is_active = false where username = 'sam'; select test.who(); rollback;
begin; update lab_data.memberships set left_at = now() where user_id = test.id_of('sam'); select test.who(); rollback;
begin; update lab_data.organizations set is_active = false where slug = 'alpha'; select test.who(); rollback;
select test.who();
select test.become(null);
delete from lab_private.db_logins;
delete from lab_private.signing_keys;
delete from lab_data.user_sessions;
drop role test_reader, test_stranger;
alter system reset labos.trusted_gateways;
select pg_reload_conf();
