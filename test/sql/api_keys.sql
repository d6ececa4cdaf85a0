-- API keys: made by people, used by machines, within scopes and the owner's rights of the moment.
-- Numbers like P63 are those of the identity checklist.
set client_min_messages to warning;
\set VERBOSITY terse

-- What statements say to the holder of a key, signed in with it over SQL, one transaction each.
create function test.with_key(key text, statement text) returns text
  language plpgsql set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer text;
  v_detail text;
begin
  perform labos.login(key);
  set local role lab_user;
  execute statement into v_answer;
  raise exception using errcode = 'LB999', message = coalesce(v_answer, 'null');
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return case sqlstate when 'LB999' then sqlerrm else concat_ws(' ', sqlstate, substring(v_detail from '"code"\s*:\s*"([a-z0-9_]+)"')) end;
end
$$;
-- Without the login map: labos.login() is asked first, but nobody shall be somebody without it.
select test.become(null);
grant execute on all functions in schema test to public;
update lab_data.users set is_active = true, deleted_at = null, locked_until = null where username in ('alan', 'sam', 'tess', 'vic', 'bob');
update lab_data.memberships set left_at = null where user_id in (select id from lab_data.users where username in ('alan', 'sam', 'tess', 'vic', 'bob'));
delete from lab_data.user_roles where user_id in (test.id_of('sam'), test.id_of('vic'));
insert into lab_data.user_roles (org_id, user_id, role_id)
select test.org_of(x.who), test.id_of(x.who), r.id from (values ('sam', 'scientist'), ('vic', 'viewer')) x(who, role)
join lab_data.roles r on r.name = x.role and r.org_id is null;

-- form ------------------------------------------------------------------------

-- P63: lab_<environment>_<id>_<43 base62>_<crc32>, for secret scanners and typing errors.
select key ~ '^lab_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9a-f]{8}$' as form, key like prefix || '\_%' as prefix,
       prefix = 'lab_live_' || public_id as public_id, secret_sha256 = sha256(split_part(key, '_', 4)::bytea) as digest,
       labos.api_key_valid(key) as valid
from labos.api_key_generate();
-- The checksum is the CRC-32 that zlib has: a key with a known one.
select labos.api_key_valid('lab_live_000000000000_0000000000000000000000000000000000000000000_2cc7d38b') as known_checksum;
-- Each altered, missing or added character shows, and nothing but the form counts.
with k as (select key from labos.api_key_generate())
select count(*) filter (where labos.api_key_valid(overlay(key placing case substr(key, i, 1) when 'a' then 'b' else 'a' end from i for 1))) as altered,
       count(*) filter (where labos.api_key_valid(left(key, i - 1))) as cut,
       count(*) filter (where labos.api_key_valid(left(key, i) || 'a' || substr(key, i + 1))) as longer,
       count(*) filter (where labos.api_key_valid(overlay(key placing translate(substr(key, i, 1), 'abcABC', 'ABCabc') from i for 1))) - count(*)
         + count(*) filter (where substr(key, i, 1) ~ '[abcABC]') as changed_case
from k, generate_series(1, length((select key from k))) i;
select count(*) filter (where labos.api_key_valid(x)) as nonsense
from unnest(array['', 'lab_', 'lab_live', repeat('_', 80), repeat('lab_', 30), repeat('x', 10000000), U&'lab_live_\00e9', 'lab__live', E'lab_live\n']) x;
-- No two alike, each character as likely as any: 43 * 2000 of 62, so some 1387 of each.
select count(distinct public_id) as ids, count(distinct secret_sha256) as secrets from (select (labos.api_key_generate()).* from generate_series(1, 2000)) k;
select count(*) as characters, min(n) > 1150 and max(n) < 1630 as even
from (select c, count(*) as n from (select (labos.api_key_generate()).key from generate_series(1, 2000)) k, string_to_table(split_part(k.key, '_', 4), null) c group by c) x;
-- The environment is a setting of superusers.
set labos.api_key_environment = 'test';
select left(key, 9) as marked, labos.api_key_valid(key) as valid from labos.api_key_generate();
reset labos.api_key_environment;
select test.error_of(format('set labos.api_key_environment = %L', e)) from unnest(array['', 'Live', 'a_b', '1a', 'abcdefghijklmnopq']) e;
set role lab_user;
select test.error_of($$set labos.api_key_environment = 'x'$$);
-- Keys are made and looked up by the calls only.
select test.error_of('select labos.api_key_generate()'), test.error_of($$select labos.api_key_check('x')$$);
reset role;

-- making ----------------------------------------------------------------------

select test.become('sam'); set role lab_user;
select lab.api_key_create('  Balance 3 ', '{sample:read,run:create,SAMPLE:READ}') as made \gset
reset role;
select :'made'::jsonb - '{id,key,prefix,owner_id,created_at,expires_at}'::text[] as made,
       (:'made'::jsonb ->> 'expires_at')::timestamptz between now() + interval '364 days' and now() + interval '366 days' as a_year,
       labos.api_key_valid(:'made'::jsonb ->> 'key') as key_shown;
set role lab_user;
-- Names and expiry are checked.
select left(n, 10) as name, test.error_of(format('select lab.api_key_create(%L, %L)', n, '{sample:read}'))
from unnest(array[null, '', '  ', repeat('x', 101), E'a\nb', 'balance 3']) n;
select test.error_of($$select lab.api_key_create('x', '{sample:read}', now())$$) as past,
       test.error_of($$select lab.api_key_create('x', '{sample:read}', '-infinity')$$) as long_past,
       test.error_of($$select lab.api_key_create('x', '{sample:read}', now() + interval '731 days')$$) as late,
       test.error_of($$select lab.api_key_create('x', '{sample:read}', 'infinity')$$) as endless;
-- Scopes are permissions that the owner holds; wildcards stand for all of a resource.
select s as scopes, test.error_of(format('select lab.api_key_create(%L, %L)', 'x' || row_number() over (), s))
from unnest(array[null, '{}', '{null}', '{""}', '{sample:fly}', '{unicorn:*}', '{*:read}', '{sample}', '{"sample:read; drop"}',
                  '{sample:*}', '{*:*}', '{sample:delete}', '{sample:read,role:assign}', '{simulation:create}']) s;
select test.error_of(format('select lab.api_key_create(%L, %L)', 'y', array(select 'sample:' || g from generate_series(1, 101) g))) as many;
reset role;
-- A viewer may not make keys; an admin's may do all, *:* included.
select test.become('vic'); set role lab_user;
select test.error_of($$select lab.api_key_create('x', '{sample:read}')$$);
reset role; select test.become('alan'); set role lab_user;
select test.error_of($$select lab.api_key_create('all', '{*:*}')$$), test.error_of($$select lab.api_key_create('samples', '{sample:*}')$$);
reset role; select test.become(null); set role lab_anon;
select test.error_of($$select lab.api_key_create('x', '{sample:read}')$$);
reset role;

-- Another's keys: those of a machine account, by an admin.
select test.become('alan'); set role lab_user;
select lab.user_create(username => 'robot-1', roles => '{service}', is_machine => true) ->> 'id' as robot \gset
select test.error_of(format('select lab.api_key_create(%L, %L, null, %L)', 'x', '{sample:read}', test.id_of('sam'))) as of_sam,
       test.error_of(format('select lab.api_key_create(%L, %L, null, %L)', 'x', '{sample:read}', test.id_of('bob'))) like '%user_not_found%' as of_bob;
select lab.api_key_create('arm', '{*:*}', null, :'robot') as arm \gset
select lab.api_key_rotate((:'arm'::jsonb ->> 'id')::uuid) as arm \gset
reset role; select test.become('sam'); set role lab_user;
select test.error_of(format('select lab.api_key_create(%L, %L, null, %L)', 'x', '{sample:read}', :'robot')) as by_sam;
reset role; select test.become(null);
-- Its own rights limit it, whatever its scopes.
select test.with_key(:'arm'::jsonb ->> 'key', 'select concat_ws('' '', labos.has_permission(''result:create''), labos.has_permission(''user:create''), labos.user_id())') = 't f ' || :'robot' as arm;

-- P63: the secret is stored nowhere, and what is stored opens nothing.
select count(*) as stored from lab_data.api_keys k where k::text like '%' || split_part(:'made'::jsonb ->> 'key', '_', 4) || '%';
select count(*) as stored, count(*) filter (where test.error_of(format('select labos.login(%L)', k.prefix || '_' || encode(s.secret_sha256, 'hex'))) = 'ok') as pass_the_hash
from lab_private.api_key_secrets s join lab_data.api_keys k on k.org_id = s.org_id and k.id = s.key_id
where s.secret_sha256 = sha256(split_part(:'made'::jsonb ->> 'key', '_', 4)::bytea);
select count(*) as audited, count(*) filter (where l.payload::text like '%' || split_part(:'made'::jsonb ->> 'key', '_', 4) || '%') as leaked
from lab_private.audit_log l join lab_private.audit_table t on t.id = l.tab and t.kind = 'api_keys';

-- the list ----------------------------------------------------------------------

-- One's own; with api_key:read_any the organisation's; never another's.
select test.become('sam'); set role lab_user;
select name, scopes, revoked_at from lab.api_keys order by name;
select test.error_of($$update lab.api_keys set scopes = '{*:*}'$$) as update, test.error_of('delete from lab.api_keys') as delete,
       test.error_of($$insert into lab.api_keys (name) values ('x')$$) as insert;
reset role; select test.become('tess'); set role lab_user;
select count(*) from lab.api_keys;
reset role; select test.become('alan'); set role lab_user;
select count(distinct owner_id) as owners from lab.api_keys;
reset role; select test.become('bob'); set role lab_user;
select count(*) from lab.api_keys;
reset role; select test.become(null);

-- exchange --------------------------------------------------------------------

set role lab_anon;
select lab.auth_api_key(:'made'::jsonb ->> 'key') as tokens \gset
reset role;
select j ->> 'session_kind' as kind, j -> 'amr' as amr, j -> 'scopes' as scopes, j -> 'roles' as roles, j -> 'permissions' as permissions,
       (j ->> 'expires_in')::int between 890 and 900 as minutes_15, j ? 'refresh_token' as refresh
from (select :'tokens'::jsonb as j) x;
select c ->> 'scope' as scope, c -> 'amr' as amr, (c ->> 'exp')::int - (c ->> 'iat')::int <= 900 as short from test.claims(:'tokens'::jsonb ->> 'access_token') c;
-- Every refusal is the same (P20); which it was stands in the access log.
set role lab_anon;
select test.answer(format('select lab.auth_api_key(%L)', k)) as answer, count(*)
from unnest(array['', 'x', 'lab_live_000000000000_0000000000000000000000000000000000000000000_2cc7d38b', :'made'::jsonb ->> 'prefix',
                  (:'made'::jsonb ->> 'key') || 'x', repeat('x', 1000000)]) k group by 1;
select test.answer('select lab.auth_api_key(null)');
begin; set local request.method = 'GET'; select test.answer(format('select lab.auth_api_key(%L)', :'made'::jsonb ->> 'key')) as by_get; rollback;
reset role;
select event, outcome, detail ->> 'reason' as reason, count(*) from lab_data.access_logs where event like 'api_key%' group by 1, 2, 3 order by 1, 2, 3;
select count(*) as leaks from lab_data.access_logs l where l::text like '%' || split_part(:'made'::jsonb ->> 'key', '_', 4) || '%';
-- P63: last use is written at most every five minutes, and is no change of the record.
select last_used_at as first_use, version from lab_data.api_keys where name = 'Balance 3' \gset
select test.answer(format('select lab.auth_api_key(%L)', :'made'::jsonb ->> 'key'));
select last_used_at = :'first_use' as unchanged from lab_data.api_keys where name = 'Balance 3';
update lab_data.api_keys set last_used_at = now() - interval '6 minutes' where name = 'Balance 3';
select test.answer(format('select lab.auth_api_key(%L)', :'made'::jsonb ->> 'key'));
select last_used_at > now() - interval '1 minute' as renewed from lab_data.api_keys where name = 'Balance 3';

-- SQL ---------------------------------------------------------------------------

-- labos.login() takes the key: the owner, within the scopes, to the end of the transaction.
begin;
select labos.login(:'made'::jsonb ->> 'key') = test.id_of('sam') as is_sam;
set local role lab_user;
select labos.org_id() = test.org_of('sam') as in_alpha, labos.has_permission('sample:read') as sample_read, labos.has_permission('run:create') as run_create,
       labos.has_permission('sample:create') as sample_create, labos.has_permission('run:delete') as run_delete, labos.has_role('scientist') as has_role;
select count(*) > 0 as sees from (select from lab.samples) x;
select test.error_of($$insert into lab.samples (name) values ('x')$$);
commit;
select labos.user_id() as after_commit;
-- Read only it works too, and the statement shows to nobody.
begin read only;
select case when labos.login(:'made'::jsonb ->> 'key') is not null then (select query from pg_stat_activity where pid = pg_backend_pid()) end as query;
select labos.user_id() = test.id_of('sam') as signed_in;
rollback;
begin; select test.error_of(format('select labos.login(%L)', k)) from unnest(array['lab_', 'lab_live_000000000000_0000000000000000000000000000000000000000000_2cc7d38b', (:'made'::jsonb ->> 'key') || '0']) k; rollback;

-- P64: keys cannot mint keys, change MFA, password or e-mail, or invite; not even an admin's with *:*.
select test.become('alan'); set role lab_user;
select lab.api_key_create('root', '{*:*}') as root \gset
reset role; select test.become(null);
select left(s, 30) as statement, test.with_key(:'root'::jsonb ->> 'key', s) as answer
from unnest(array['select lab.api_key_create(''child'', ''{*:*}'')', format('select lab.api_key_rotate(%L)', :'root'::jsonb ->> 'id'),
                  format('select lab.api_key_revoke(%L)', :'made'::jsonb ->> 'id'),
                  'select lab.oidc_provider_create(''x'', ''https://x.test'', ''x'', ''{}'', ''{x.test}'')',
                  'select lab.organization_create(''Mine'')']) s;
-- A key may end itself.
select test.with_key(:'root'::jsonb ->> 'key', format('select lab.api_key_revoke(%L) ->> ''revoke_reason''', :'root'::jsonb ->> 'id')) as itself;

-- the owner's rights, live -----------------------------------------------------

-- Effective is what both have: a role taken from the owner is taken from the key with the next statement (P18).
create function test.may(key text) returns text language sql as
$$ select test.with_key(key, 'select concat_ws('' '', labos.has_permission(''sample:read''), labos.has_permission(''run:create''))') $$;
select test.may(:'made'::jsonb ->> 'key') as before;
delete from lab_data.user_roles g using lab_data.roles r where r.id = g.role_id and r.name = 'scientist' and g.user_id = test.id_of('sam');
insert into lab_data.user_roles (org_id, user_id, role_id) select test.org_of('sam'), test.id_of('sam'), id from lab_data.roles where name = 'viewer' and org_id is null;
select test.may(:'made'::jsonb ->> 'key') as viewer;
delete from lab_data.user_roles g where g.user_id = test.id_of('sam');
select test.may(:'made'::jsonb ->> 'key') as none;
insert into lab_data.user_roles (org_id, user_id, role_id) select test.org_of('sam'), test.id_of('sam'), id from lab_data.roles where name = 'scientist' and org_id is null;
select test.may(:'made'::jsonb ->> 'key') as again;
-- More than the scopes never comes in.
insert into lab_data.user_roles (org_id, user_id, role_id) select test.org_of('sam'), test.id_of('sam'), id from lab_data.roles where name = 'admin' and org_id is null;
select test.with_key(:'made'::jsonb ->> 'key', 'select labos.has_permission(''sample:delete'')') as owner_is_admin;
delete from lab_data.user_roles g using lab_data.roles r where r.id = g.role_id and r.name = 'admin' and g.user_id = test.id_of('sam');

-- A deactivated owner, a suspended organisation: nothing, by key, by token or by exchange.
create function test.ways(made jsonb, tokens jsonb) returns table (by_key text, by_token text, by_exchange text) language sql as $$
  select test.may(made ->> 'key'), test.with_key(tokens ->> 'access_token', 'select ''signed in'''), test.answer(format('select lab.auth_api_key(%L)', made ->> 'key')) $$;
select * from test.ways(:'made', :'tokens');
update lab_data.users set is_active = false where username = 'sam';
select * from test.ways(:'made', :'tokens');
update lab_data.users set is_active = true where username = 'sam';
update lab_data.organizations set is_active = false where slug = 'alpha';
select * from test.ways(:'made', :'tokens');
update lab_data.organizations set is_active = true where slug = 'alpha';
-- Signing out everywhere and a new password leave keys alone: they are credentials of their own.
select test.become('sam'); set role lab_user;
select lab.auth_logout_all() ->> 'status' as logout_all;
select count(*) as listed from lab.auth_sessions();
reset role; select test.become(null);
update lab_data.users set tokens_valid_after = now() + interval '1 minute' where username = 'sam';
select test.may(:'made'::jsonb ->> 'key') as by_key, test.with_key(:'tokens'::jsonb ->> 'access_token', 'select ''signed in''') as by_older_token;
update lab_data.users set tokens_valid_after = null where username = 'sam';

-- rotation ----------------------------------------------------------------------

select test.become('sam'); set role lab_user;
select test.error_of(format('select lab.api_key_rotate(%L, %s)', :'made'::jsonb ->> 'id', m)) from unnest(array['-1', '1441', 'null', '2147483647']) m;
-- Without an overlap the old secret and what was signed in with it end at once.
select lab.api_key_rotate((:'made'::jsonb ->> 'id')::uuid) as second \gset
select :'second'::jsonb ->> 'prefix' <> :'made'::jsonb ->> 'prefix' as another_prefix, :'second'::jsonb ->> 'id' = :'made'::jsonb ->> 'id' as same_key;
reset role; select test.become(null);
select * from test.ways(:'made', :'tokens');
select test.may(:'second'::jsonb ->> 'key') as new_secret, (select revoked_at from lab_data.api_keys where name = 'Balance 3') as revoked;
-- With one both work until it is over.
select test.become('sam'); set role lab_user;
select lab.api_key_rotate((:'made'::jsonb ->> 'id')::uuid, 60) as third \gset
reset role; select test.become(null);
select test.may(:'second'::jsonb ->> 'key') as old_secret, test.may(:'third'::jsonb ->> 'key') as new_secret;
update lab_data.user_sessions s set created_at = now() - interval '2 hours', expires_at = now() - interval '1 second'
where s.api_key_id = (:'made'::jsonb ->> 'id')::uuid and s.expires_at < now() + interval '61 minutes' and s.revoked_at is null;
select test.may(:'second'::jsonb ->> 'key') as old_secret, test.may(:'third'::jsonb ->> 'key') as new_secret,
       test.answer(format('select lab.auth_api_key(%L)', :'second'::jsonb ->> 'key')) as old_exchange;
-- Not somebody else's, and not for more than one holds by now.
select test.become('alan'); set role lab_user;
select test.error_of(format('select lab.api_key_rotate(%L)', :'made'::jsonb ->> 'id')) like '%api_key_not_found%' as not_mine;
reset role; select test.become(null);

-- revocation --------------------------------------------------------------------

-- Another's key needs api_key:delete_any, the same organisation, and rank.
select test.become('tess'); set role lab_user;
select test.error_of(format('select lab.api_key_revoke(%L)', :'made'::jsonb ->> 'id')) as tess;
reset role; select test.become('bob'); set role lab_user;
select test.error_of(format('select lab.api_key_revoke(%L)', :'made'::jsonb ->> 'id')) as bob, test.error_of('select lab.api_key_revoke(null)') as null_id;
reset role; select test.become('alan');
set role lab_anon;
select lab.auth_api_key(:'third'::jsonb ->> 'key') as tokens \gset
reset role; set role lab_user;
select lab.api_key_revoke((:'made'::jsonb ->> 'id')::uuid) ->> 'revoke_reason' as alan;
select test.error_of(format('select lab.api_key_revoke(%L)', :'made'::jsonb ->> 'id')) as again;
reset role; select test.become(null);
select * from test.ways(:'third', :'tokens');
-- The name is free again. Ending the key's session by hand, leaving and being deleted revoke it as well.
select test.become('sam'); set role lab_user;
select lab.api_key_create('Balance 3', '{sample:read}') as a \gset
select lab.auth_session_end(s.id) ->> 'status' from lab.user_sessions s where s.api_key_id = (:'a'::jsonb ->> 'id')::uuid;
select lab.api_key_create('b', '{sample:read}') as b \gset
reset role; select test.become(null);
update lab_data.memberships set left_at = now() where user_id = test.id_of('sam');
update lab_data.memberships set left_at = null where user_id = test.id_of('sam');
select test.become('sam'); set role lab_user;
select lab.api_key_create('c', '{sample:read}') as c \gset
reset role; select test.become(null);
update lab_data.users set deleted_at = now() where username = 'sam';
update lab_data.users set deleted_at = null where username = 'sam';
select name, revoke_reason from lab_data.api_keys where owner_id = test.id_of('sam') order by id;
select test.may(:'a'::jsonb ->> 'key') as a, test.may(:'b'::jsonb ->> 'key') as b, test.may(:'c'::jsonb ->> 'key') as c;
-- An expired key: its session has ended.
select test.become('sam'); set role lab_user;
select lab.api_key_create('short', '{sample:read}', now() + interval '1 hour') as short \gset
reset role; select test.become(null);
select test.may(:'short'::jsonb ->> 'key') as before;
update lab_data.user_sessions s set created_at = now() - interval '2 hours', expires_at = now() - interval '1 second'
where s.api_key_id = (:'short'::jsonb ->> 'id')::uuid;
select test.may(:'short'::jsonb ->> 'key') as after, test.answer(format('select lab.auth_api_key(%L)', :'short'::jsonb ->> 'key')) as exchange;
-- A hundred live keys are enough.
select test.become('sam'); set role lab_user;
select count(lab.api_key_create('k' || g, '{sample:read}')) from generate_series(1, 99) g;
select test.error_of($$select lab.api_key_create('one more', '{sample:read}')$$);
reset role; select test.become(null);
