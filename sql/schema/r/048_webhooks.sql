/*
 * Room: webhooks (repeatable half)
 *
 * What the access log records is what webhooks tell: one trigger queues a row
 * of the outbox for each webhook that wants the event, in the transaction of
 * what happened. A message says what happened to which ids; who wants to know
 * more asks the API. Address and secret are looked up when a worker claims the
 * row: a changed address or secret holds for what waits, and what has been
 * disabled or removed is told nothing more.
 *
 * Holds    webhook_create, webhook_update, webhook_rotate_secret,
 *          webhook_delete, webhook_test
 * Needs    020, 021, 042 (outbox)
 * Used by  042 (outbox_claim, outbox_delivered, outbox_give_up)
 */

alter table lab_private.webhook_secrets enable row level security;
alter table lab_private.webhook_secrets force row level security;
drop policy if exists owner_all on lab_private.webhook_secrets;
create policy owner_all on lab_private.webhook_secrets for all to lab_owner using (true) with check (true);

call labos.protect('lab_data.webhooks', 'webhook', verbs => '{select}');
call labos.expose('webhooks');
-- A delivery is no change of the webhook: it leaves the version as it is.
create or replace trigger _100_stamp before insert or update of name, url, events, is_enabled, version on lab_data.webhooks
  for each row execute function labos.tg__stamp();
-- The history of records is read by more people than webhooks are.
call labos.audit_enable('lab_data.webhooks', policy => '{"secret": ["url"], "ignore": ["last_delivered_at", "last_error", "failures"]}');

-- events --------------------------------------------------------------------

create or replace function lab_private.webhook_events() returns table (event text, logged text, outcome text)
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  values ('user.created', 'user_create', 'success'),
         ('user.registered', 'register', 'success'),
         ('user.activated', 'user_activate', 'success'),
         ('user.deactivated', 'user_deactivate', 'success'),
         ('user.deleted', 'user_delete', 'success'),
         ('user.restored', 'user_restore', 'success'),
         ('user.locked', 'lockout', 'failure'),
         ('user.locked', 'mfa_lockout', 'failure'),
         ('user.unlocked', 'user_unlock', 'success'),
         ('membership.removed', 'membership_remove', 'success'),
         ('login.new_device', 'new_device', 'success'),
         ('invitation.created', 'invite', 'success'),
         ('invitation.accepted', 'invite_accept', 'success'),
         ('invitation.revoked', 'invite_revoke', 'success'),
         ('role.assigned', 'role_assign', 'success'),
         ('role.revoked', 'role_revoke', 'success'),
         ('api_key.created', 'api_key_create', 'success'),
         ('api_key.rotated', 'api_key_rotate', 'success'),
         ('api_key.revoked', 'api_key_revoke', 'success'),
         ('share.created', 'share_create', 'success'),
         ('share.revoked', 'share_revoke', 'success'),
         ('mfa.enabled', 'mfa_enable', 'success'),
         ('mfa.disabled', 'mfa_disable', 'success'),
         ('password.changed', 'password_change', 'success'),
         ('password.reset', 'password_reset', 'success'),
         ('session.reused', 'refresh_reuse', 'failure')
$$;
comment on function lab_private.webhook_events() is 'The events that a webhook can want, with the entries of the access log that they tell of.';

create or replace function lab_private.webhook_put(webhook lab_data.webhooks, event text, occurred_at timestamptz, data jsonb) returns uuid
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select lab_private.outbox_add('webhook', replace(webhook_put.event, '.', '_'), webhook.id::text, webhook.org_id, null,
    jsonb_build_object('event', jsonb_build_object('event', webhook_put.event, 'org_id', webhook.org_id,
      'occurred_at', webhook_put.occurred_at, 'data', webhook_put.data)))
$$;
comment on function lab_private.webhook_put(lab_data.webhooks, text, timestamptz, jsonb) is 'Queues one event for one webhook.';

create or replace function lab_private.tg_access_logs__webhooks() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.webhook_put(w, e.event, NEW.created_at,
    -- Ids only: nothing that somebody typed, no address, no name.
    (select jsonb_object_agg(x.key, x.value) from (
       select case d.key when 'by' then 'by_user_id' else regexp_replace(d.key, '(_id)?$', '_id') end as key, d.value
       from jsonb_each_text(NEW.detail) d
       where d.value ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
       union all select 'log_id', NEW.id::text
       union all select 'user_id', NEW.user_id::text where NEW.user_id is not null) x))
  from lab_private.webhook_events() e
  join lab_data.webhooks w on w.org_id = NEW.org_id and w.is_enabled and e.event = any (w.events)
  where e.logged = NEW.event and e.outcome = NEW.outcome;
  return null;
end
$$;
comment on function lab_private.tg_access_logs__webhooks() is 'What is recorded is told to the webhooks of the organisation that want it.';
-- The frequent entries tell nothing.
create or replace trigger _520_webhooks after insert on lab_data.access_logs
  for each row when (NEW.event not in ('login', 'refresh', 'logout', 'api_key_use')) execute function lab_private.tg_access_logs__webhooks();

-- delivery ------------------------------------------------------------------

create or replace function lab_private.webhook_payload(item lab_private.outbox, payload jsonb) returns jsonb
  language sql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
  select jsonb_build_object('url', w.url,
    'secret', convert_from(labos.secret_open(s.sealed_secret, 'webhook/' || w.id), 'UTF8'),
    'event', payload -> 'event' || jsonb_build_object('id', item.id))
  from lab_data.webhooks w
  join lab_private.webhook_secrets s on s.org_id = w.org_id and s.webhook_id = w.id
  where w.org_id = item.org_id and w.id::text = item.recipient and (w.is_enabled or item.template = 'webhook_test')
$$;
comment on function lab_private.webhook_payload(lab_private.outbox, jsonb) is
  'What a worker needs to deliver an event: url, secret, event. Null when the webhook is disabled or gone.';

create or replace function lab_private.webhook_delivered(item lab_private.outbox) returns void
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  update lab_data.webhooks w set last_delivered_at = clock_timestamp(), last_error = null, failures = 0
  where w.org_id = item.org_id and w.id::text = item.recipient
$$;
comment on function lab_private.webhook_delivered(lab_private.outbox) is 'Notes that a webhook took an event.';

create or replace function lab_private.webhook_failed(item lab_private.outbox) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_webhook lab_data.webhooks;
begin
  update lab_data.webhooks w
  set last_error = item.last_error,
      failures = w.failures + case when item.failed_at is not null and item.template <> 'webhook_test' then 1 else 0 end
  where w.org_id = item.org_id and w.id::text = item.recipient
  returning w.* into v_webhook;
  if v_webhook.is_enabled and v_webhook.failures >= 10 then
    update lab_data.webhooks w set is_enabled = false where w.org_id = v_webhook.org_id and w.id = v_webhook.id;
    perform lab_private.access_log('webhook_disable', 'failure', v_webhook.org_id, null, null, jsonb_build_object('webhook_id', v_webhook.id));
    perform lab_private.mail_user('webhook_disabled', m.org_id, m.user_id, jsonb_build_object('name', v_webhook.name))
    from lab_data.memberships m
    where m.org_id = v_webhook.org_id and m.user_id = v_webhook.created_by and m.left_at is null;
  end if;
end
$$;
comment on function lab_private.webhook_failed(lab_private.outbox) is
  'Notes what went wrong; a webhook of which ten deliveries in a row were given up is disabled, and its maker told.';

-- calls ---------------------------------------------------------------------

create or replace function lab_private.webhook_check(webhook lab_data.webhooks) returns lab_data.webhooks
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_unknown text[];
begin
  webhook.name := btrim(webhook.name);
  if webhook.name is null or length(webhook.name) not between 1 and 100 or webhook.name ~ '[[:cntrl:]]' then
    raise exception 'invalid name' using errcode = 'PT400', detail = json_build_object('code', 'invalid_name')::text;
  elsif webhook.url is null or length(webhook.url) > 1000
     or webhook.url !~ '^(https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?([/?][!"$-~]*)?$'
     or webhook.url like 'http:%' and not (select s.webhook_loopback from lab_private.identity_settings s) then
    raise exception 'invalid url' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_url')::text,
      hint = 'https://host/path, at most 1,000 characters of ASCII, without user name and fragment.';
  elsif exists (select from lab_data.webhooks w
                where w.org_id = webhook.org_id and w.id is distinct from webhook.id and lower(w.name) = lower(webhook.name)) then
    raise exception 'there is a webhook of this name' using errcode = 'PT409', detail = json_build_object('code', 'webhook_exists')::text;
  end if;
  if cardinality(webhook.events) not between 1 and 100 or webhook.events is null then
    raise exception 'a webhook needs events' using errcode = 'PT400', detail = json_build_object('code', 'invalid_events')::text,
      hint = 'For instance {"user.created"}; docs/operations.md names them all.';
  end if;
  v_unknown := array(select left(coalesce(x, 'null'), 100) from unnest(webhook.events) x
                     where x is null or x not in (select e.event from lab_private.webhook_events() e) limit 20);
  if cardinality(v_unknown) > 0 then
    raise exception 'unknown event' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_events', 'unknown', v_unknown,
        'known', (select array_agg(distinct e.event) from lab_private.webhook_events() e))::text;
  end if;
  webhook.events := array(select distinct x from unnest(webhook.events) x order by 1);
  return webhook;
end
$$;
comment on function lab_private.webhook_check(lab_data.webhooks) is
  'A webhook as it may be stored: PT400 invalid_name, invalid_url, invalid_events, PT409 webhook_exists.';

create or replace function lab_private.webhook_of(org_id uuid, id uuid) returns lab_data.webhooks
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_webhook lab_data.webhooks;
begin
  select w.* into v_webhook from lab_data.webhooks w where w.org_id = webhook_of.org_id and w.id = webhook_of.id for no key update;
  if not found then
    raise exception 'webhook not found' using errcode = 'PT404',
      detail = json_build_object('code', 'webhook_not_found', 'id', webhook_of.id)::text;
  end if;
  return v_webhook;
end
$$;
comment on function lab_private.webhook_of(uuid, uuid) is 'A webhook of the organisation, locked: PT404 webhook_not_found.';

create or replace function lab_private.webhook_secret_set(webhook lab_data.webhooks) returns text
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_secret text := 'whsec_' || labos.random_token();
begin
  insert into lab_private.webhook_secrets (org_id, webhook_id, sealed_secret)
  values (webhook.org_id, webhook.id, labos.secret_seal(convert_to(v_secret, 'UTF8'), 'webhook/' || webhook.id))
  on conflict on constraint webhook_secrets_pkey do update set sealed_secret = excluded.sealed_secret, created_at = now();
  return v_secret;
end
$$;
comment on function lab_private.webhook_secret_set(lab_data.webhooks) is 'A new secret of 32 random bytes, to be shown once.';

create or replace function lab.webhook_create(name text, url text, events text[], is_enabled boolean default true) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('webhook:create');
  v_user    uuid := lab_private.require_interactive();
  v_webhook lab_data.webhooks;
  v_secret  text;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  v_webhook.org_id := v_org;
  v_webhook.name := webhook_create.name;
  v_webhook.url := webhook_create.url;
  v_webhook.events := webhook_create.events;
  v_webhook := lab_private.webhook_check(v_webhook);
  if (select count(*) from lab_data.webhooks w where w.org_id = v_org) >= 20 then
    raise exception 'too many webhooks' using errcode = 'PT409',
      detail = json_build_object('code', 'too_many_webhooks', 'most', 20)::text, hint = 'Remove one that is not used.';
  end if;
  insert into lab_data.webhooks (org_id, name, url, events, is_enabled)
  values (v_org, v_webhook.name, v_webhook.url, v_webhook.events, coalesce(webhook_create.is_enabled, true))
  returning * into v_webhook;
  v_secret := lab_private.webhook_secret_set(v_webhook);
  perform lab_private.access_log('webhook_create', 'success', v_org, v_user, labos.session_id(),
            jsonb_build_object('webhook_id', v_webhook.id, 'events', v_webhook.events)),
          lab_private.respond(200);
  return to_jsonb(v_webhook) || jsonb_build_object('secret', v_secret);
end
$$;
comment on function lab.webhook_create(text, text, text[], boolean) is
$$Create a webhook

`url` is told of `events` of the organisation from now on, by POST with a signature made with `secret`, which this answer shows once. Errors: 400 `invalid_name`, `invalid_url`, `invalid_events` (its details name them all), 403 without `webhook:create`, `interactive_session_required`, 409 `webhook_exists`, `too_many_webhooks`.$$;

create or replace function lab.webhook_update(
  id uuid, name text default null, url text default null, events text[] default null, is_enabled boolean default null, version integer default null)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('webhook:update');
  v_user    uuid := lab_private.require_interactive();
  v_webhook lab_data.webhooks;
begin
  perform lab_private.require_writable();
  v_webhook := lab_private.webhook_of(v_org, webhook_update.id);
  v_webhook.name := coalesce(webhook_update.name, v_webhook.name);
  v_webhook.url := coalesce(webhook_update.url, v_webhook.url);
  v_webhook.events := coalesce(webhook_update.events, v_webhook.events);
  v_webhook.is_enabled := coalesce(webhook_update.is_enabled, v_webhook.is_enabled);
  v_webhook := lab_private.webhook_check(v_webhook);
  update lab_data.webhooks w
  set name = v_webhook.name, url = v_webhook.url, events = v_webhook.events, is_enabled = v_webhook.is_enabled,
      version = coalesce(webhook_update.version, w.version),
      -- Whoever enables it starts the count anew.
      failures = case when webhook_update.is_enabled then 0 else w.failures end
  where w.org_id = v_org and w.id = v_webhook.id
  returning w.* into v_webhook;
  perform lab_private.access_log('webhook_update', 'success', v_org, v_user, labos.session_id(),
    jsonb_build_object('webhook_id', v_webhook.id, 'url', webhook_update.url is not null, 'events', v_webhook.events, 'enabled', v_webhook.is_enabled));
  return to_jsonb(v_webhook);
end
$$;
comment on function lab.webhook_update(uuid, text, text, text[], boolean, integer) is
$$Change a webhook

What is left out stays; `is_enabled` switches it. What waits goes to the new address. Errors: 400 `invalid_name`, `invalid_url`, `invalid_events`, 403 without `webhook:update`, `interactive_session_required`, 404 `webhook_not_found`, 409 `webhook_exists`, 412 `stale_version`.$$;

create or replace function lab.webhook_rotate_secret(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('webhook:update');
  v_user    uuid := lab_private.require_interactive();
  v_webhook lab_data.webhooks;
  v_secret  text;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  v_webhook := lab_private.webhook_of(org_id => v_org, id => webhook_rotate_secret.id);
  v_secret := lab_private.webhook_secret_set(v_webhook);
  perform lab_private.access_log('webhook_rotate_secret', 'success', v_org, v_user, labos.session_id(), jsonb_build_object('webhook_id', v_webhook.id)),
          lab_private.respond(200);
  return jsonb_build_object('id', v_webhook.id, 'secret', v_secret);
end
$$;
comment on function lab.webhook_rotate_secret(uuid) is
$$Replace the secret of a webhook

The new one is shown this once and signs from now on, also what waits. Errors: 403 without `webhook:update`, `interactive_session_required`, 404 `webhook_not_found`.$$;

create or replace function lab.webhook_delete(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('webhook:delete');
  v_user    uuid := lab_private.require_interactive();
  v_webhook lab_data.webhooks;
begin
  perform lab_private.require_writable();
  v_webhook := lab_private.webhook_of(v_org, webhook_delete.id);
  delete from lab_data.webhooks w where w.org_id = v_org and w.id = v_webhook.id;
  perform lab_private.access_log('webhook_delete', 'success', v_org, v_user, labos.session_id(), jsonb_build_object('webhook_id', v_webhook.id));
  return jsonb_build_object('status', 'ok', 'id', v_webhook.id);
end
$$;
comment on function lab.webhook_delete(uuid) is
$$Remove a webhook

It is told nothing more, what waits included. Errors: 403 without `webhook:delete`, `interactive_session_required`, 404 `webhook_not_found`.$$;

create or replace function lab.webhook_test(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org      uuid := labos.require_org_for('webhook:update');
  v_user     uuid := lab_private.require_interactive();
  v_webhook  lab_data.webhooks;
  v_delivery uuid;
begin
  perform lab_private.require_writable();
  v_webhook := lab_private.webhook_of(v_org, webhook_test.id);
  -- One waits at most, however often it is asked for.
  delete from lab_private.outbox o
  where o.org_id = v_org and o.channel = 'webhook' and o.template = 'webhook_test' and o.recipient = v_webhook.id::text
    and o.delivered_at is null and o.failed_at is null and o.claimed_until is null;
  v_delivery := lab_private.webhook_put(v_webhook, 'webhook.test', clock_timestamp(), jsonb_build_object('by_user_id', v_user));
  perform lab_private.access_log('webhook_test', 'success', v_org, v_user, labos.session_id(), jsonb_build_object('webhook_id', v_webhook.id)),
          lab_private.respond(202);
  return jsonb_build_object('status', 'accepted', 'id', v_delivery);
end
$$;
comment on function lab.webhook_test(uuid) is
$$Send a webhook a test

The event `webhook.test`, also while it is disabled: 202 with the id of the delivery. How it went is told by `last_delivered_at` and `last_error` of the webhook. Errors: 403 without `webhook:update`, `interactive_session_required`, 404 `webhook_not_found`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.webhook_create(text, text, text[], boolean), lab.webhook_update(uuid, text, text, text[], boolean, integer),
  lab.webhook_rotate_secret(uuid), lab.webhook_delete(uuid), lab.webhook_test(uuid)
  from public;
grant execute on function
  lab.webhook_create(text, text, text[], boolean), lab.webhook_update(uuid, text, text, text[], boolean, integer),
  lab.webhook_rotate_secret(uuid), lab.webhook_delete(uuid), lab.webhook_test(uuid)
  to lab_user;
