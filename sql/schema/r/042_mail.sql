/*
 * Room: mail (repeatable half)
 *
 * The outbox: how something gets in, and the delivery contract.
 *
 * Holds    outbox_add
 * Needs    020; C identity (secret_seal)
 */

alter table lab_private.outbox enable row level security;
alter table lab_private.outbox force row level security;
drop policy if exists owner_all on lab_private.outbox;
create policy owner_all on lab_private.outbox for all to lab_owner using (true) with check (true);

-- getting in ----------------------------------------------------------------

create or replace function lab_private.outbox_put(
  channel text, template text, recipient text, org_id uuid, user_id uuid, payload jsonb, is_request boolean) returns uuid
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id uuid := labos.uuid_v7();
begin
  insert into lab_private.outbox (id, channel, template, recipient, org_id, user_id, is_request, sealed_payload)
  values (v_id, outbox_put.channel, outbox_put.template, outbox_put.recipient, outbox_put.org_id, outbox_put.user_id,
          outbox_put.is_request,
          labos.secret_seal(convert_to(coalesce(outbox_put.payload, '{}')::text, 'UTF8'), 'outbox/' || v_id));
  notify labos_outbox;
  return v_id;
end
$$;
comment on function lab_private.outbox_put(text, text, text, uuid, uuid, jsonb, boolean) is 'Writes a row of the outbox; its payload is sealed for this row.';

create or replace function lab_private.outbox_add(
  channel text, template text, recipient text, org_id uuid default null, user_id uuid default null, payload jsonb default '{}') returns uuid
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select lab_private.outbox_put(outbox_add.channel, outbox_add.template, outbox_add.recipient, outbox_add.org_id,
    outbox_add.user_id, outbox_add.payload, false)
$$;
comment on function lab_private.outbox_add(text, text, text, uuid, uuid, jsonb) is
$$Queues a mail or a webhook event for delivery

channel mail: recipient is an address; webhook: the id of a webhook. The payload is sealed, it may hold a token, and is erased once delivered. Sent when the transaction commits.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
