/*
 * Room: mail
 *
 * What labos has to tell somebody outside: mails and webhook events, in the
 * order of their writing, until a delivery worker has delivered them. A row is
 * written in the transaction of what it tells, so that what was rolled back is
 * not told.
 *
 * Holds    lab_private.outbox; users.email_typed
 * Needs    010, 020
 * Used by  sign-in, verification, invitations; bin/deliver
 *
 * This half is a migration: it runs once.
 */

create table lab_private.outbox (
  id             uuid        not null default labos.uuid_v7(),
  channel        text        not null,
  template       text        not null,
  org_id         uuid,
  user_id        uuid,
  recipient      text        not null,
  is_request     boolean     not null default false,
  resolved_at    timestamptz,
  sealed_payload bytea,
  created_at     timestamptz not null default now(),
  available_at   timestamptz not null default now(),
  attempts       integer     not null default 0,
  claimed_until  timestamptz,
  claimed_by     text,
  delivered_at   timestamptz,
  failed_at      timestamptz,
  last_error     text,
  constraint outbox_pkey primary key (id),
  constraint outbox_org_id_fkey foreign key (org_id) references lab_data.organizations (id) on delete cascade,
  constraint outbox_user_id_fkey foreign key (user_id) references lab_data.users (id) on delete cascade,
  constraint outbox_channel_check check (channel in ('mail', 'webhook')),
  constraint outbox_template_check check (template ~ '^[a-z][a-z0-9_]{0,49}$'),
  -- One line: nothing that is written into a header can begin another.
  constraint outbox_recipient_check check (length(recipient) between 1 and 2000 and recipient !~ '[[:cntrl:]]'),
  constraint outbox_attempts_check check (attempts >= 0),
  constraint outbox_last_error_check check (length(last_error) <= 500),
  -- What has been delivered or given up keeps no token.
  constraint outbox_sealed_payload_check check (sealed_payload is null or (delivered_at is null and failed_at is null))
);
-- What is to be delivered next.
create index outbox_available_at_idx on lab_private.outbox (available_at, id) where delivered_at is null and failed_at is null;
-- How many were sent to an address of late, because somebody asked.
create index outbox_recipient_resolved_at_idx on lab_private.outbox (recipient, resolved_at) where is_request;
-- What auth_cleanup removes.
create index outbox_done_idx on lab_private.outbox ((coalesce(delivered_at, failed_at))) where delivered_at is not null or failed_at is not null;

comment on table lab_private.outbox is
$$Mails and webhook events to deliver

Written by lab_private.outbox_add(); claimed, delivered and given up by a delivery worker (bin/deliver) that holds lab_delivery and nothing else. At least once: the id says whether one has been seen before.$$;
comment on column lab_private.outbox.template is 'Which mail, or which event.';
comment on column lab_private.outbox.recipient is 'An e-mail address, or whose webhook it is.';
comment on column lab_private.outbox.is_request is
  'What to send, and whether, is decided when it is claimed: the call that asked did the same work for every address (P52).';
comment on column lab_private.outbox.resolved_at is 'When that was decided; what was decided against is gone.';
comment on column lab_private.outbox.sealed_payload is 'What the template needs, sealed with the master key; it may hold a token. Erased once delivered or given up.';
comment on column lab_private.outbox.available_at is 'Not before this time: now, or after a failure later and later.';
comment on column lab_private.outbox.claimed_until is 'While a worker has it; from then on another may claim it.';
comment on column lab_private.outbox.failed_at is 'Given up after the last attempt.';

-- users ---------------------------------------------------------------------

alter table lab_data.users
  add column email_typed text,
  add constraint users_email_typed_check check (length(email_typed) between 3 and 254 and email_typed !~ '[[:cntrl:][:space:]]');
comment on column lab_data.users.email_typed is 'The address as its owner wrote it, for delivery; e-mail is what is compared (P65).';
