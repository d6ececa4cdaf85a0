/*
 * Room: webhooks
 *
 * Who outside hears of what happens in an organisation: an address, the events
 * it wants, and a secret by which it knows that a message is ours.
 *
 * Holds    webhooks; lab_private.webhook_secrets
 * Needs    010, 020, 042 (outbox)
 * Used by  the access log, bin/deliver
 *
 * This half is a migration: it runs once.
 */

create table lab_data.webhooks (
  id                uuid        not null default labos.uuid_v7(),
  org_id            uuid        not null default labos.org_id(),
  name              text        not null,
  url               text        not null,
  events            text[]      not null,
  is_enabled        boolean     not null default true,
  last_delivered_at timestamptz,
  last_error        text,
  failures          integer     not null default 0,
  version           integer     not null default 1,
  created_at        timestamptz not null default now(),
  created_by        uuid,
  updated_at        timestamptz not null default now(),
  updated_by        uuid,
  constraint webhooks_pkey primary key (org_id, id),
  constraint webhook_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint webhooks_name_check check (length(btrim(name)) between 1 and 100 and name !~ '[[:cntrl:]]'),
  -- No user name, no fragment, nothing but ASCII; http only on the machine itself, where a setting allows it.
  constraint webhooks_url_check check (length(url) <= 1000
    and url ~ '^(https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?([/?][!"$-~]*)?$'),
  constraint webhooks_events_check check (cardinality(events) between 1 and 100 and array_position(events, null) is null),
  constraint webhooks_last_error_check check (length(last_error) <= 500),
  constraint webhooks_failures_check check (failures >= 0)
);
create unique index webhooks_org_id_name_key on lab_data.webhooks (org_id, lower(name));

comment on table lab_data.webhooks is
$$Webhooks

Addresses that are told of events of the organisation, by POST with a signature. Made by webhook_create, which shows the secret once; an address often holds a secret itself, so that only administrators see them.$$;
comment on column lab_data.webhooks.url is 'Where to: https. Redirections are not followed, private networks not reached.';
comment on column lab_data.webhooks.events is 'What it is told: user.created, api_key.revoked and others; webhook_create names them all.';
comment on column lab_data.webhooks.is_enabled is 'While false nothing is queued for it and what waits is dropped.';
comment on column lab_data.webhooks.last_delivered_at is 'When it last answered with 2xx.';
comment on column lab_data.webhooks.last_error is 'What went wrong since then.';
comment on column lab_data.webhooks.failures is 'Deliveries in a row that were given up; ten disable it.';

create table lab_private.webhook_secrets (
  org_id        uuid        not null,
  webhook_id    uuid        not null,
  sealed_secret bytea       not null,
  created_at    timestamptz not null default now(),
  constraint webhook_secrets_pkey primary key (org_id, webhook_id),
  constraint webhook_secret_webhook foreign key (org_id, webhook_id)
    references lab_data.webhooks (org_id, id) on delete cascade
);
comment on table lab_private.webhook_secrets is 'What messages to a webhook are signed with, sealed with the master key.';

alter table lab_private.identity_settings add column webhook_loopback boolean not null default false;
comment on column lab_private.identity_settings.webhook_loopback is 'Whether webhooks may be http addresses of the worker''s own machine: for tests.';
