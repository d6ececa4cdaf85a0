-- Webhooks: who hears of what, signed with what, and until when.
set client_min_messages to warning;
\set VERBOSITY terse
select test.become(null);
truncate lab_private.outbox;
update lab_data.users set is_active = true, deleted_at = null, locked_until = null where username in ('alan', 'sam', 'bob');
update lab_data.memberships set left_at = null where user_id in (select id from lab_data.users where username in ('alan', 'sam', 'bob'));

create function test.all_calls(hook uuid) returns table (call text, answer text) language sql as $$
  select c, test.error_of(format('select lab.webhook_' || c, hook))
  from unnest(array['create(''z'', ''https://y.example/'', ''{user.created}'')', 'update(%L, name => ''z'')', 'rotate_secret(%L)', 'test(%L)', 'delete(%L)']) c $$;
grant execute on all functions in schema test to public;

-- making ----------------------------------------------------------------------

select test.become('alan'); set role lab_user;
select lab.webhook_create('  Chat ', 'https://chat.example/hook/s3cret-path?x=1', '{user.created,api_key.created,api_key.revoked,user.created}') as made \gset
select :'made'::jsonb - '{id,org_id,created_at,created_by,updated_at,updated_by,secret}'::text[] as made, :'made'::jsonb ->> 'secret' ~ '^whsec_[A-Za-z0-9_-]{43}$' as secret,
       (:'made'::jsonb ->> 'created_by')::uuid = test.id_of('alan') as mine;
select :'made'::jsonb ->> 'id' as hook \gset
-- The secret is shown once, and stored sealed.
select count(*) as shown from lab.webhooks w where to_jsonb(w)::text ~ 'whsec_';
-- What an address must be.
select u, test.error_of(format('select lab.webhook_create(%L, %L, %L)', 'x', u, '{user.created}'))
from unnest(array[null, '', 'http://chat.example/', 'http://127.0.0.1/', 'ftp://chat.example/', 'https://', 'https:///x', 'https://user:word@chat.example/', 'https://chat.example@10.0.0.1/', 'https://chat.example/#x',
  'https://chat.example/a b', E'https://chat.example/\nHost: x', U&'https://ch\00e4t.example/', 'https://chat.example:123456/', 'https://chat.example\@evil.example/', 'javascript:alert(1)', 'HTTPS://chat.example/']) u;
select test.error_of(format('select lab.webhook_create(%L, %L, %L)', 'x', 'https://x.example/' || repeat('x', 10000000), '{user.created}')) as long;
select e, test.error_of(format('select lab.webhook_create(%L, %L, %L)', 'x', 'https://x.example/', e))
from unnest(array[null, '{}', '{null}', '{user.*}', '{login}', '{webhook.test}', '{{user.created},{user.deleted}}']) e;
-- A list of lists is one list.
select lab.webhook_delete(id) ->> 'status' as deleted from lab.webhooks where name = 'x' and events = '{user.created,user.deleted}';
select left(n, 8) as name, test.error_of(format('select lab.webhook_create(%L, %L, %L)', n, 'https://x.example/', '{user.created}')) from unnest(array[null, ' ', repeat('x', 101), E'a\nb', 'CHAT']) n;
-- In a test, http on the machine itself.
reset role; update lab_private.identity_settings set webhook_loopback = true; set role lab_user;
select u, test.error_of(format('select lab.webhook_create(%L, %L, %L)', u, u, '{user.created}'))
from unnest(array['http://127.0.0.1:8080/x', 'http://[::1]/', 'http://localhost', 'http://127.0.0.1.evil.example/', 'http://localhost@evil.example/', 'http://10.0.0.1/', 'http://chat.example/']) u;
reset role; update lab_private.identity_settings set webhook_loopback = false; set role lab_user;
select name, lab.webhook_delete(id) ->> 'status' as deleted from lab.webhooks where url like 'http:%' order by name;

-- Who may: administrators of the organisation, themselves.
reset role; select test.become('sam'); set role lab_user;
select count(*) as seen from lab.webhooks;
select * from test.all_calls(:'hook');
reset role; select test.become('bob'); set role lab_user;
select count(*) as seen from lab.webhooks where id = :'hook';
select * from test.all_calls(:'hook') where call not like 'create%';
reset role; select test.become(null); set role lab_user;
select * from test.all_calls(:'hook');
set role lab_anon;
select test.error_of(format('select lab.webhook_test(%L)', :'hook')) as anonymous, test.error_of('select * from lab.webhooks') as list;
reset role;
-- P64 Not with an API key, whatever its scopes.
select test.become('alan'); set role lab_user;
select lab.api_key_create('hook key', '{*:*}') as key \gset
reset role; select test.become(null);
select test.with_key(:'key'::jsonb ->> 'key', c) from unnest(array['select lab.webhook_create(''z'', ''https://y.example/'', ''{user.created}'')', format('select lab.webhook_rotate_secret(%L)', :'hook'), format('select lab.webhook_delete(%L)', :'hook'), format('select lab.webhook_update(%L)', :'hook'), format('select lab.webhook_test(%L)', :'hook')]) c;
-- Nothing is written past the calls.
select test.become('alan'); set role lab_user;
select test.error_of(c) ~ 'permission denied|42501' as refused from unnest(array['insert into lab.webhooks (name, url, events) values (''x'', ''https://x.example/'', ''{x}'')', 'update lab.webhooks set url = ''https://evil.example/''', 'delete from lab.webhooks', 'select * from lab_private.webhook_secrets']) c;

-- events ----------------------------------------------------------------------

-- The key made above was told; what is wanted by nobody is not.
reset role;
select template, channel, recipient = :'hook' as to_it, org_id = test.org_of('alan') as org from lab_private.outbox where channel = 'webhook';
select c.payload ->> 'url' as url, c.payload ->> 'secret' = :'made'::jsonb ->> 'secret' as secret, c.payload -> 'event' ->> 'event' as event, c.payload -> 'event' ->> 'id' = c.id::text as id,
       (c.payload -> 'event' ->> 'org_id')::uuid = test.org_of('alan') as org, (c.payload -> 'event' ->> 'occurred_at')::timestamptz <= now() as at,
       c.payload -> 'event' -> 'data' ->> 'key_id' = :'key'::jsonb ->> 'id' as key, (c.payload -> 'event' -> 'data' ->> 'by_user_id')::uuid = test.id_of('alan') as by,
       (select string_agg(k, ' ' order by k) from jsonb_object_keys(c.payload -> 'event') k) as keys, (select string_agg(k, ' ' order by k) from jsonb_object_keys(c.payload -> 'event' -> 'data') k) as data,
       exists (select from lab_data.access_logs l where l.id = (c.payload -> 'event' -> 'data' ->> 'log_id')::uuid and l.event = 'api_key_create') as log
from lab_private.outbox_claim('w') c where c.channel = 'webhook';
select lab_private.outbox_delivered(o.id, 'w') from lab_private.outbox o where o.channel = 'webhook';
select last_delivered_at is not null as delivered, last_error, failures, version from lab_data.webhooks where id = :'hook';
-- What is rolled back is not told.
begin; set local role lab_user; select lab.api_key_create('undone', '{sample:read}') is not null as made; rollback;
select count(*) from lab_private.outbox where channel = 'webhook' and delivered_at is null;
-- Every event has an entry of the log that a call writes, and the other way round nothing but ids is told: not what somebody typed, not from where.
update lab_data.webhooks set events = (select array_agg(distinct event) from lab_private.webhook_events()) where id = :'hook';
select count(*) as events, count(lab_private.access_log(e.logged, e.outcome, test.org_of('alan'), test.id_of('sam'), null,
  '{"by": "canary", "reason": "canary", "role": "canary", "invitation": "00000000-0000-7000-8000-000000000001", "scopes": ["canary"]}')) from lab_private.webhook_events() e;
select lab_private.access_log('role_assign', 'failure', test.org_of('alan'), test.id_of('sam')), lab_private.access_log('role_assign', 'success', null, null), lab_private.access_log('role_assign', 'success', test.org_of('bob'), test.id_of('bob')),
       lab_private.access_log('login', 'success', test.org_of('alan'), test.id_of('alan'));
create temp table told as select c.* from lab_private.outbox_claim('w', 100) c where c.channel = 'webhook';
select count(*) as told, count(distinct payload -> 'event' ->> 'event') as events, count(*) filter (where payload::text ~ 'canary') as leaked,
       bool_and(payload -> 'event' -> 'data' ->> 'invitation_id' = '00000000-0000-7000-8000-000000000001') as ids from pg_temp.told;

-- the end ---------------------------------------------------------------------

-- Another address and secret hold for what waits.
update lab_private.outbox set available_at = now(), claimed_until = null where delivered_at is null;
select test.become('alan'); set role lab_user;
select lab.webhook_update(:'hook', url => 'https://other.example/', events => '{user.created}') - '{id,org_id,created_at,created_by,updated_at,updated_by,last_delivered_at}'::text[] as updated;
select lab.webhook_rotate_secret(:'hook') as rotated \gset
select :'rotated'::jsonb ->> 'secret' <> :'made'::jsonb ->> 'secret' as another, :'rotated'::jsonb - '{id,secret}'::text[] as rest;
select test.error_of(format('select lab.webhook_update(%L, name => %L, version => 1)', :'hook', 'y')) as stale, test.error_of(format('select lab.webhook_update(%L, name => %L)', labos.uuid_v7(), 'x')) as none;
reset role;
select count(*) > 20 as told, bool_and(payload ->> 'url' = 'https://other.example/' and payload ->> 'secret' = :'rotated'::jsonb ->> 'secret') as anew from lab_private.outbox_claim('w', 100) where channel = 'webhook';
-- While it is disabled nothing is queued, and what waits is dropped; a test goes out all the same, one at a time.
update lab_private.outbox set available_at = now(), claimed_until = null where delivered_at is null;
set role lab_user;
select lab.webhook_update(:'hook', is_enabled => false) -> 'is_enabled' as enabled;
select lab.webhook_test(:'hook') - 'id' as test, lab.webhook_test(:'hook') - 'id' as again;
reset role;
select lab_private.access_log('user_create', 'success', test.org_of('alan'), test.id_of('sam'));
select payload -> 'event' ->> 'event' as event, template from lab_private.outbox_claim('w', 100) where channel = 'webhook';
select count(*) as waits from lab_private.outbox where channel = 'webhook' and delivered_at is null and template <> 'webhook_test';
-- Ten deliveries in a row that were given up disable it; its maker is told. One that is taken starts the count anew.
set role lab_user; select lab.webhook_update(:'hook', is_enabled => true) -> 'is_enabled' as enabled; reset role;
truncate lab_private.outbox;
create function test.webhook_fails(n integer, error text default 'answered 500') returns text language plpgsql set search_path to pg_catalog, pg_temp as $$
begin
  for i in 1..n loop
    perform lab_private.access_log('user_create', 'success', test.org_of('alan'), test.id_of('sam'));
    perform lab_private.outbox_failed(c.id, 'w', error, true) from lab_private.outbox_claim('w', 100) c where c.channel = 'webhook';
  end loop;
  return (select format('%s failures, %s, enabled %s', w.failures, w.last_error, w.is_enabled) from lab_data.webhooks w where w.org_id = test.org_of('alan'));
end $$;
select test.webhook_fails(9) as nine;
select lab_private.access_log('user_create', 'success', test.org_of('alan'), test.id_of('sam'));
select lab_private.outbox_delivered(c.id, 'w') from lab_private.outbox_claim('w', 100) c where c.channel = 'webhook';
select failures, last_error, is_enabled from lab_data.webhooks where id = :'hook';
-- A try that is not the last one does not count.
select lab_private.access_log('user_create', 'success', test.org_of('alan'), test.id_of('sam'));
select lab_private.outbox_failed(c.id, 'w', 'no answer in time') from lab_private.outbox_claim('w', 100) c where c.channel = 'webhook';
select failures, last_error, is_enabled from lab_data.webhooks where id = :'hook';
select test.webhook_fails(9) as nine, test.webhook_fails(1) as ten;
select event, outcome, user_id, detail ->> 'webhook_id' = :'hook' as it from lab_data.access_logs where event = 'webhook_disable';
select template, recipient, (select string_agg(k, ' ' order by k) from jsonb_object_keys(payload) k where k not in ('ip', 'user_agent')) as keys from lab_private.outbox_claim('w', 100);
-- The history of records holds no address, the access log neither.
select count(*) as traces from lab_private.audit_log a where to_jsonb(a)::text ~ '(chat|other)\.example';
select count(*) as traces from lab_data.access_logs l where l.detail::text ~ '\.example|whsec' and l.event like 'webhook%';
select event, count(*) from lab_data.access_logs where event like 'webhook%' group by 1 order by 1;
-- Twenty at most; removed, it is told nothing more, and its secret is gone.
set role lab_user;
select count(lab.webhook_create('n' || i, 'https://x.example/', '{user.created}')) from generate_series(2, 20) i;
select test.error_of('select lab.webhook_create(''n21'', ''https://x.example/'', ''{user.created}'')');
select count(lab.webhook_delete(id)) from lab.webhooks;
select test.error_of(format('select lab.webhook_delete(%L)', :'hook')) as again;
select test.answer(format('select lab.api_key_revoke(%L)', :'key'::jsonb ->> 'id')) is not null as revoked;
reset role;
delete from lab_data.webhooks;
select count(*) as secrets from lab_private.webhook_secrets;
select count(*) as left from lab_private.outbox_claim('w', 100) where channel = 'webhook';
drop function test.webhook_fails(integer, text), test.all_calls(uuid);
truncate lab_private.outbox;
select test.become(null);
