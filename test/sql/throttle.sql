-- What all sessions count together. Numbers like P56 are those of the identity checklist.
set client_min_messages to warning;
select shared, throttle_slots >= 65536 as slots, hash_slots >= 1 as hash_slots from labos.throttle_state();
-- None of it is for clients.
select p.proname from pg_proc p
where p.pronamespace = 'labos'::regnamespace and p.proname ~ 'throttle|hash_slot|access_events|client_address'
  and (has_function_privilege('lab_user', p.oid, 'execute') or has_function_privilege('lab_anon', p.oid, 'execute'));

-- addresses -------------------------------------------------------------------
-- P55 An entry of X-Forwarded-For is an address or nothing: no netmask, zone, name or list.
select e as entry, labos.address_parse(e) as address
from unnest('{192.0.2.7,"  192.0.2.7 ",192.0.2.7:4711,2001:db8::1,[2001:db8::1],[2001:db8::1]:80,::ffff:192.0.2.7,2001:DB8:0:0::1}'::text[]) e;
select count(labos.address_parse(e)) as believed, count(*) as tried
from unnest(array['', ' ', '192.0.2.0/24', '192.0.2.7/32', '2001:db8::/64', 'fe80::1%eth0', '192.0.2', '192.0.2.256', '0x7f000001', '127.1', 'localhost',
                  'unknown', '_hidden', '192.0.2.7 192.0.2.8', '192.0.2.7,192.0.2.8', '[192.0.2.7]', '[2001:db8::1]x', '[2001:db8::1', '192.0.2.7:x',
                  '٣.0.2.7', 'for=192.0.2.7', '"192.0.2.7"', repeat('1', 100), repeat('[', 60), '::ffff:192.0.2.7/96', E'192.0.2.7\n']) e;
create function test.address_for(chain text) returns inet language sql security definer set search_path to pg_catalog, pg_temp as
$$ select set_config('request.headers', json_build_object('x-forwarded-for', chain)::text, true); select labos.client_address() $$;
create function test.forwarded_by(n integer) returns void language sql security definer set search_path to pg_catalog, pg_temp as
$$ update lab_private.identity_settings set trusted_proxies = n $$;
-- P55 A SQL client says what it likes: it is not believed.
select test.forwarded_by(1);
select test.address_for('192.0.2.1');
select test.forwarded_by(0);
\c - lab_authenticator
-- P55 Nor is a gateway before which no proxy is trusted.
select test.address_for('192.0.2.1');
select test.forwarded_by(1);
select test.address_for('192.0.2.66, 192.0.2.1') as last, test.address_for('192.0.2.1') as only, test.address_for('192.0.2.1, ') as empty,
       test.address_for('192.0.2.66, 192.0.2.0/24') as netmask, test.address_for(null) as none;
-- The number of proxies counts from the next statement on, and a change that was rolled back does not.
begin;
select test.forwarded_by(2);
select test.address_for('192.0.2.66, 192.0.2.1, 192.0.2.2') as second, test.address_for('192.0.2.1') as too_short;
rollback;
select test.address_for('192.0.2.66, 192.0.2.1, 192.0.2.2') as first;

-- the table of counters --------------------------------------------------------
\c - postgres
set client_min_messages to warning;
-- So many at once, then so many a second; what is refused is not charged.
select labos.throttle('t', 'a', 0.02, 3) as first, labos.throttle('t', 'a', 0.02, 3) as second, labos.throttle('t', 'a', 0.02, 3) as third;
select labos.throttle('t', 'a', 0.02, 3) between 40 and 50 as wait, labos.throttle('t', 'a', 0.02, 3) between 40 and 50 as wait_no_longer,
       labos.throttle('t', 'b', 0.02, 3) as another_key, labos.throttle('u', 'a', 0.02, 3) as another_kind;
-- P29 A charge survives ROLLBACK, a savepoint and an exception.
begin; select labos.throttle('t', 'c', 0.02, 3); rollback;
begin; savepoint s; select labos.throttle('t', 'c', 0.02, 3); rollback to s; commit;
do $$ begin perform labos.throttle('t', 'c', 0.02, 3); raise exception 'no'; exception when others then null; end $$;
select labos.throttle('t', 'c', 0.02, 3) > 0 as refused;
-- Bad limits are an error, not a limit.
select test.error_of(format('select labos.throttle(''t'', ''d'', %s, %s)', r, b)) from (values ('0', 1), ('-1', 1), ('''nan''', 1), ('''inf''', 1), ('1', 0), ('1', 2000000)) x(r, b);
-- P56 A flood of other keys does not wipe a counter out, the table does not grow, and a newcomer is not refused for what others did.
select count(labos.throttle('t', 'victim', 0.02, 20)) from generate_series(1, 20);
select labos.throttle('t', 'victim', 0.02, 20) > 0 as refused;
select count(*) filter (where labos.throttle('t', 'flood ' || i, 0.02, 20) > 0) as flood_refused from generate_series(1, 100000) i;
select labos.throttle('t', 'victim', 0.02, 20) > 0 as still_refused, labos.throttle('t', 'newcomer', 0.02, 20) as newcomer;
select throttle_used <= throttle_slots as bounded from labos.throttle_state();
-- P56 Not even a key with one charge is forgotten: who comes back has at least what he had.
select count(*) filter (where labos.throttle('t', 'flood ' || i, 0.02, 2) > 0
                           or labos.throttle('t', 'flood ' || i, 0.02, 2) > 0) as remembered from generate_series(1, 1000) i;

-- failed sign-ins per address ---------------------------------------------------
create function test.sign_in_from(chain text, login text, password text) returns text
  language plpgsql security definer set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_detail text;
begin
  perform set_config('request.headers', json_build_object('x-forwarded-for', chain)::text, true);
  return coalesce(lab_private.sign_in(login, password, null, null) ->> 'token_type', 'refused');
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return coalesce(substring(v_detail from '"code"\s*:\s*"([a-z0-9_]+)"'), sqlstate);
end
$$;
insert into lab_data.users (email, username, is_verified) values ('thea@alpha.test', 'thea', true);
insert into lab_data.memberships (org_id, user_id, is_default) select test.org_of('sam'), test.id_of('thea'), true;
select lab_private.password_set(test.id_of('thea'), 'Correct-Horse-7', 'thea@alpha.test', 'thea');
create function test.failures_of(who text) returns integer language sql security definer set search_path to pg_catalog, pg_temp as
$$ select g.failed from lab_private.login_guard g where g.user_id = test.id_of(who) $$;
do $$ begin if not exists (select from lab_private.signing_keys where retired_at is null) then perform lab_private.signing_key_add('EdDSA', now()); end if; end $$;
alter system set labos.login_failures_per_address = 3;
alter system set labos.rate_limit_auth = '0.02/s:3';
alter system set labos.rate_limit_read = '0.02/s:2';
alter system set labos.rate_limit_address = '0.02/s:4';
select pg_reload_conf();
select pg_sleep(0.5);
\c - lab_authenticator
-- P54 Three failures from one address, whatever the names: then it is refused before any account is charged.
select test.sign_in_from('203.0.113.5', 'thea', 'wrong'), test.sign_in_from('203.0.113.5', 'nobody', 'wrong'), test.failures_of('thea');
-- P29 One of them rolled back.
begin; select test.sign_in_from('203.0.113.5', 'thea', 'wrong'); rollback;
select test.sign_in_from('203.0.113.5', 'thea', 'wrong'), test.sign_in_from('203.0.113.5', 'thea', 'Correct-Horse-7'), test.failures_of('thea');
-- P54 The owner signs in from elsewhere, and may do so as often as they like.
select format('select test.sign_in_from(%L, %L, %L)', '203.0.113.6', 'thea', 'Correct-Horse-7') from generate_series(1, 5) \gexec
select test.failures_of('thea');
-- P55 What the client writes before the proxy's entry makes no other address.
select test.sign_in_from('203.0.113.99, 203.0.113.5', 'thea', 'Correct-Horse-7');
-- P54 A network of IPv6 is one address.
select test.sign_in_from('2001:db8::' || i, 'nobody', 'wrong') from generate_series(1, 4) i;
select test.sign_in_from('2001:db8:0:1::1', 'nobody', 'wrong');
-- Success under ROLLBACK (Prefer: tx=rollback) is no way to guess for free: it stays counted.
begin; select test.sign_in_from('203.0.113.7', 'thea', 'Correct-Horse-7') from generate_series(1, 3); rollback;
select test.sign_in_from('203.0.113.7', 'thea', 'Correct-Horse-7');
-- While no proxy is trusted all clients have the gateway's address: no limit then.
select test.forwarded_by(0);
select distinct test.sign_in_from('203.0.113.8', 'nobody', 'wrong') from generate_series(1, 5);
select test.forwarded_by(1);
-- A SQL client over the local socket has no address.
\c - postgres
select distinct test.sign_in_from('203.0.113.5', 'nobody', 'wrong') from generate_series(1, 5);

-- rates of requests ---------------------------------------------------------------
create function test.request_from(chain text, method text, path text, claims json default null) returns text
  language plpgsql set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_detail text;
begin
  perform set_config('request.headers', json_build_object('x-forwarded-for', chain)::text, true), set_config('request.method', method, true),
          set_config('request.path', path, true);
  perform labos.pre_request();
  return 'ok';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return concat_ws(' ', sqlstate, regexp_replace(sqlerrm, '\d+', 'n', 'g'), regexp_replace(v_detail, '\d{2,}', 'n', 'g'));
end
$$;
\c - lab_authenticator
-- GETs count, although they run in read-only transactions.
begin read only; select test.request_from('203.0.113.20', 'GET', '/samples'); rollback;
begin read only; select test.request_from('203.0.113.20', 'GET', '/samples'); rollback;
begin read only; select test.request_from('203.0.113.20', 'GET', '/samples'); rollback;
select test.request_from('203.0.113.21', 'GET', '/samples');
-- Calls of auth_* have a limit of their own, and all of an address one more.
select substr(test.request_from('203.0.113.22', 'POST', '/rpc/auth_login'), 1, 5) from generate_series(1, 4);
select substring(test.request_from('203.0.113.22', 'POST', '/rpc/unit_convert') from 'ok|"limit[a-z\\": ]*') from generate_series(1, 2);
-- However the path is written: PostgREST hands on what was sent and calls what it means.
select substr(test.request_from('203.0.113.23', 'POST', p), 1, 5) from unnest(array['/rpc/%61uth_login', '/rpc/%61%75th%5flogin', '/rpc/auth%5Frefresh', '/%72pc/auth_login']) p;
select distinct substr(test.request_from('203.0.113.24', 'POST', p), 1, 5) from unnest(array['/rpc/%', '/rpc/%6', '/rpc/%6zuth_login', '/rpc/%2561uth_login']) p;
-- A SQL client that calls it is nobody's request.
\c - postgres
select distinct test.request_from('203.0.113.20', 'GET', '/samples') from generate_series(1, 5);
-- Settings that say nothing are refused.
alter system set labos.rate_limit_user = '20';
alter system set labos.rate_limit_user = '-1/s:5';
alter system set labos.rate_limit_user = 'nan/s:5';
alter system set labos.rate_limit_user = '1/s:0';
alter system set labos.rate_limit_user = '1/s:5 ';
alter system reset labos.login_failures_per_address;
alter system reset labos.rate_limit_auth;
alter system reset labos.rate_limit_read;
alter system reset labos.rate_limit_address;
select pg_reload_conf();
select pg_sleep(0.5);
\c - lab_authenticator
-- The usual limits are generous: a hundred calls of auth_* at once, any number of GETs a person could make.
select count(*), test.request_from('203.0.113.30', 'POST', '/rpc/auth_me') from generate_series(1, 90) group by 2;
select count(*), test.request_from('203.0.113.31', 'GET', '/samples') from generate_series(1, 1000) group by 2;

-- refusals ----------------------------------------------------------------------------
\c - postgres
set client_min_messages to warning;
select test.forwarded_by(0);
select labos.access_events_flush() >= 0 as flushed, labos.access_events_flush() as again;
create table test.mark as select labos.uuid_v7() as id;
create view test.refusals as
  select event, outcome, user_id, org_id, detail ->> 'permission' as permission, (detail ->> 'count')::integer as count, id from lab_data.access_logs
  where event in ('permission_denied', 'token_rejected', 'events_lost');
-- A refusal is raised, and is in the log all the same; many of one kind are one or two rows with their number.
select test.become('vic');
set role lab_user;
do $$ begin for i in 1..50 loop begin perform labos.require_org_for('calibration:approve'); exception when others then null; end; end loop; end $$;
select labos.require_permission('sample:create');
reset role;
select test.become(null);
-- Not written by a transaction that ends in vain: it stays noted.
begin; select labos.access_events_flush() >= 2 as written; rollback;
begin; savepoint s; select labos.access_events_flush() >= 2 as written; rollback to s; commit;
begin read only; select labos.access_events_flush(); rollback;
select labos.access_events_flush() >= 2 as written;
select event, outcome, user_id = test.id_of('vic') as by_vic, org_id = test.org_of('vic') as in_alpha, permission, sum(count), count(*) <= 2 as few
from test.refusals where id > (select id from test.mark) group by 1, 2, 3, 4, 5 order by permission;
-- Who makes up permissions fills neither the log nor memory.
select test.become('vic');
set role lab_user;
do $$ begin for i in 1..1000 loop begin perform labos.require_permission('made:up_' || i); exception when others then null; end; end loop; end $$;
reset role;
select test.become(null);
select labos.access_events_flush() <= 25 as few;
select sum(count) >= 976 as lost_are_counted from test.refusals where event = 'events_lost' and id > (select id from test.mark);
-- A token whose session has ended; the next request that may write writes it down.
insert into lab_data.user_sessions (id, org_id, user_id, expires_at, revoked_at, revoke_reason)
values ('00000000-0000-7000-8000-0000000000d1', test.org_of('mary'), test.id_of('mary'), now() + interval '1 day', now(), 'logout');
create function test.ended_claims() returns text language sql security definer as
$$ select json_build_object('sub', test.id_of('mary'), 'org_id', test.org_of('mary'), 'sid', '00000000-0000-7000-8000-0000000000d1', 'exp', 4102444800)::text $$;
\c - lab_authenticator
begin; select set_config('request.jwt.claims', test.ended_claims(), true) is not null as set; select test.request_from('203.0.113.40', 'GET', '/samples'); commit;
begin read only; select test.request_from('203.0.113.40', 'GET', '/samples'); commit;
begin; set local role lab_anon; select test.request_from('203.0.113.40', 'POST', '/rpc/auth_me'); commit;
\c - postgres
set client_min_messages to warning;
select event, user_id = test.id_of('mary') as by_mary, org_id = test.org_of('mary') as in_alpha, count from test.refusals where event = 'token_rejected' and user_id = test.id_of('mary') order by id desc limit 1;
-- The log has no audit gap: what the ring wrote is sealed like any other row.
select labos.audit_seal() is not null as sealed;
select ok from labos.audit_verify();

-- places for password hashes ------------------------------------------------------------
-- Given back by the hash, by an error, by the end of the transaction.
create function test.held() returns integer language sql as $$ select hash_slots_used from labos.throttle_state() $$;
begin; select labos.hash_slot_acquire(); select test.held(); select labos.password_verify('x', 'no hash'); select test.held(); commit;
begin; select labos.hash_slot_acquire(); select labos.hash_slot_acquire(); select test.held(); commit;
select test.held();
begin; select labos.hash_slot_acquire(); select labos.hash_slot_release(); select test.held(); commit;
begin; savepoint s; select labos.hash_slot_acquire(); select test.held(); rollback to s; select test.held(); commit;
do $$ begin perform labos.hash_slot_acquire(); raise exception 'no'; end $$;
select test.held();
begin; select labos.hash_slot_acquire(); rollback;
select test.held(), test.error_of($$select labos.password_hash('x', 'md5')$$), test.error_of($$select labos.password_hash('')$$), test.held();

-- Leave the place as it was.
drop view test.refusals;
drop table test.mark;
delete from lab_data.user_sessions where id = '00000000-0000-7000-8000-0000000000d1';
update lab_private.identity_settings set trusted_proxies = 0;
