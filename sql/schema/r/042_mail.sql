/*
 * Room: mail (repeatable half)
 *
 * The outbox: how something gets in, and the contract by which a delivery
 * worker gets it out. Then what people do by mail: prove an address, choose a
 * new password, change their address. A call that anybody may make for any
 * address writes one row and answers; what is sent, and whether, is decided
 * when that row is claimed, so that nobody learns from the call who has an
 * account (P52).
 *
 * Holds    outbox_add, outbox_claim, outbox_delivered, outbox_failed;
 *          auth_verify_email, auth_verify_resend, auth_password_forgot,
 *          auth_password_reset, auth_email_change, auth_email_confirm; user_password_reset
 * Needs    020 to 023, 040, 041; C identity (secret_seal)
 * Used by  043, bin/deliver
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

channel mail: recipient is an address; webhook: recipient is the id of the webhook, payload holds event. The payload is sealed, it may hold a token, and is erased once delivered. Sent when the transaction commits.$$;

-- what was asked for --------------------------------------------------------

create or replace function lab_private.outbox_resolve(item lab_private.outbox) returns lab_private.outbox
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_settings lab_private.identity_settings;
  v_user     lab_data.users;
  v_payload  jsonb := convert_from(labos.secret_open(item.sealed_payload, 'outbox/' || item.id), 'UTF8')::jsonb;
  v_template text := item.template;
  v_purpose  text;
  v_minutes  integer;
begin
  select s.* into v_settings from lab_private.identity_settings s;
  v_user := lab_private.find_user(item.recipient);
  if item.template = 'email_change' then
    -- Not to somebody who has an account: they would confirm what is not theirs.
    if v_user.id is not null then
      return null;
    end if;
    select u.* into v_user from lab_data.users u where u.id = item.user_id and u.deleted_at is null;
  elsif item.template = 'register' then
    v_template := case when v_user.id is null then 'username_taken' when v_user.is_verified then 'already_registered'
                       when v_payload ->> 'account' = v_user.id::text then 'email_verification' else 'password_reset' end;
    -- Somebody else may have registered here before: whoever reads this mail must not confirm their password (P67).
    if v_template = 'password_reset' then
      delete from lab_private.credentials c where c.user_id = v_user.id;
    end if;
  end if;
  if v_template <> 'username_taken' and (v_user.id is null or not v_user.is_active or v_user.is_machine) then
    return null;
  elsif v_template = 'email_verification' and v_user.is_verified then
    return null;
  end if;
  -- Nobody's mailbox is filled by whoever knows its address; what else is asked for it does not keep its owner from a new password (P54).
  if (select count(*) from lab_private.outbox o
      where o.is_request and (o.template = 'password_reset') = (v_template = 'password_reset') and (o.recipient = item.recipient or (item.user_id is not null and o.user_id = item.user_id and o.template = item.template))
        and o.resolved_at > clock_timestamp() - interval '1 hour') >= 3 then
    perform lab_private.access_log('mail_limit', 'failure', coalesce(item.org_id, lab_private.home_membership(v_user.id)), v_user.id, null,
      jsonb_build_object('template', v_template));
    return null;
  end if;

  v_purpose := case v_template when 'email_verification' then v_template when 'email_change' then v_template when 'password_reset' then v_template end;
  v_minutes := case v_template when 'password_reset' then v_settings.reset_minutes else v_settings.verification_minutes end;
  if v_purpose is not null then
    v_payload := v_payload || jsonb_build_object('minutes', v_minutes, 'token',
      lab_private.one_time_token_make(v_purpose, v_user.id, make_interval(mins => v_minutes), coalesce(item.org_id, lab_private.home_membership(v_user.id)),
        case v_purpose when 'email_change' then item.recipient else v_user.email::text end,
        case v_purpose when 'email_change' then jsonb_strip_nulls(jsonb_build_object('typed', v_payload -> 'typed')) else '{}' end));
  end if;
  -- To the address as its owner wrote it, never as whoever asked did.
  v_payload := (v_payload - 'typed' - 'account') || jsonb_strip_nulls(jsonb_build_object('username', coalesce(v_user.username, v_payload ->> 'username'), 'to',
    case v_template when 'email_change' then v_payload ->> 'typed' else v_user.email_typed end));
  update lab_private.outbox o
  set template = v_template, user_id = v_user.id, resolved_at = clock_timestamp(),
      sealed_payload = labos.secret_seal(convert_to(v_payload::text, 'UTF8'), 'outbox/' || o.id)
  where o.id = item.id
  returning o.* into item;
  return item;
end
$$;
comment on function lab_private.outbox_resolve(lab_private.outbox) is
$$Decides what is sent to an address that somebody gave

A reset for a living account, a verification for one that is not verified, a word to whoever registers what exists, a new password where that was never verified; or nothing, then null. The token is made here. At most three mails an hour to one address, and three for new passwords.$$;

-- the delivery contract -----------------------------------------------------

create or replace function lab_private.outbox_give_up(id uuid, error text, final boolean) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_item  lab_private.outbox;
  v_error text := left(regexp_replace(coalesce(outbox_give_up.error, 'unknown'), '[[:cntrl:]]+', ' ', 'g'), 500);
begin
  update lab_private.outbox o
  set last_error = v_error, claimed_by = null, claimed_until = null,
      -- 30 s, 1, 2, 4, ... minutes: eight attempts within an hour.
      available_at = clock_timestamp() + make_interval(secs => 30 * 2 ^ least(greatest(o.attempts - 1, 0), 10)),
      failed_at = case when outbox_give_up.final or o.attempts >= 8 then clock_timestamp() end,
      sealed_payload = case when outbox_give_up.final or o.attempts >= 8 then null else o.sealed_payload end
  where o.id = outbox_give_up.id
  returning o.* into v_item;
  if v_item.channel = 'webhook' then
    perform lab_private.webhook_failed(v_item);
  end if;
  if v_item.failed_at is not null then
    perform lab_private.access_log('delivery', 'failure', v_item.org_id, v_item.user_id, null,
      jsonb_build_object('outbox', v_item.id, 'template', v_item.template));
  end if;
end
$$;
comment on function lab_private.outbox_give_up(uuid, text, boolean) is 'Puts a failed delivery off, twice as long each time; gives it up for good after eight attempts.';

create or replace function lab_private.outbox_claim(worker text, most integer default 10, lease interval default '5 minutes')
  returns table (id uuid, channel text, template text, recipient text, attempt integer, created_at timestamptz, payload jsonb)
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_item     lab_private.outbox;
  v_settings lab_private.identity_settings;
  v_until    timestamptz := clock_timestamp() + outbox_claim.lease;
begin
  if outbox_claim.worker is null or outbox_claim.worker !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$'
     or outbox_claim.lease is null or outbox_claim.lease not between interval '1 second' and interval '1 day' then
    raise exception 'a worker needs a name and a lease of a second to a day' using errcode = '22023';
  end if;
  select s.* into v_settings from lab_private.identity_settings s;
  for v_item in
    select o.* from lab_private.outbox o
    where o.delivered_at is null and o.failed_at is null and o.available_at <= clock_timestamp()
    order by o.available_at, o.id
    limit least(greatest(coalesce(outbox_claim.most, 10), 0), 100)
    for update skip locked
  loop
    -- Eight workers have died of it.
    if v_item.attempts >= 8 then
      perform lab_private.outbox_give_up(v_item.id, 'no answer of the worker', true);
      continue;
    end if;
    begin
      if v_item.is_request and v_item.resolved_at is null then
        id := v_item.id;
        v_item := lab_private.outbox_resolve(v_item);
        if v_item.id is null then
          delete from lab_private.outbox o where o.id = outbox_claim.id;
          continue;
        end if;
      end if;
      payload := convert_from(labos.secret_open(v_item.sealed_payload, 'outbox/' || v_item.id), 'UTF8')::jsonb;
      if v_item.channel = 'mail' then
        payload := payload || jsonb_strip_nulls(jsonb_build_object('app_url', v_settings.app_url, 'sender', v_settings.mail_sender));
      else
        payload := lab_private.webhook_payload(v_item, payload);
        if payload is null then
          delete from lab_private.outbox o where o.id = v_item.id;
          continue;
        end if;
      end if;
    exception when others then
      update lab_private.outbox o set attempts = o.attempts + 1 where o.id = coalesce(v_item.id, outbox_claim.id);
      perform lab_private.outbox_give_up(coalesce(v_item.id, outbox_claim.id), sqlstate || ' ' || sqlerrm, false);
      continue;
    end;
    -- Counted before it is tried; nobody else gets it before the lease ends.
    update lab_private.outbox o
    set attempts = o.attempts + 1, claimed_by = outbox_claim.worker, claimed_until = v_until, available_at = v_until
    where o.id = v_item.id;
    id := v_item.id;
    channel := v_item.channel;
    template := v_item.template;
    recipient := coalesce(payload ->> 'to', v_item.recipient);
    attempt := v_item.attempts + 1;
    created_at := v_item.created_at;
    payload := payload - 'to';
    return next;
  end loop;
end
$$;
comment on function lab_private.outbox_claim(text, integer, interval) is
$$Claims what is to be delivered, for lab_delivery

Up to most rows (100) are the worker's until the lease ends; then another worker may have them. At least once: id is the same each time, use it as Message-ID or idempotency key. payload is opened: it may hold a token, so that it belongs into no log. Errors: 22023.$$;

create or replace function lab_private.outbox_delivered(id uuid, worker text) returns boolean
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_item lab_private.outbox;
begin
  update lab_private.outbox o
  set delivered_at = clock_timestamp(), sealed_payload = null, claimed_until = null, last_error = null
  where o.id = outbox_delivered.id and o.claimed_by = outbox_delivered.worker and o.delivered_at is null and o.failed_at is null
  returning o.* into v_item;
  if v_item.channel = 'webhook' then
    perform lab_private.webhook_delivered(v_item);
  end if;
  return v_item.id is not null;
end
$$;
comment on function lab_private.outbox_delivered(uuid, text) is
  'Says that the worker has delivered what it claimed: the payload is erased. False when it is not the worker''s any more.';

create or replace function lab_private.outbox_failed(id uuid, worker text, error text, final boolean default false) returns boolean
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform from lab_private.outbox o
  where o.id = outbox_failed.id and o.claimed_by = outbox_failed.worker and o.delivered_at is null and o.failed_at is null
  for update;
  if not found then
    return false;
  end if;
  perform lab_private.outbox_give_up(outbox_failed.id, outbox_failed.error, coalesce(outbox_failed.final, false));
  return true;
end
$$;
comment on function lab_private.outbox_failed(uuid, text, text, boolean) is
  'Says that the worker could not deliver what it claimed: tried again later and later, eight times; final: never. False when it is not the worker''s any more.';

-- answers -------------------------------------------------------------------

create or replace function lab_private.accepted() returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.respond(202);
  return '{"status": "accepted"}'::jsonb;
end
$$;
comment on function lab_private.accepted() is 'The one answer to whoever asks for a mail.';

create or replace function lab_private.token_refused(event text) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.access_log(token_refused.event, 'failure', null, labos.user_id(), labos.session_id(), '{"reason": "invalid_token"}');
  return lab_private.problem(400, 'invalid_one_time_token', 'the token is invalid, expired or used', 'Ask for another mail.');
end
$$;
comment on function lab_private.token_refused(text) is
  'The recorded refusal of a one-time token: 400 invalid_one_time_token, whatever is wrong with it.';

create or replace function lab_private.require_argument(name text, value text) returns void
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if value is null then
    raise exception '% is required', name using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', name)::text;
  end if;
end
$$;
comment on function lab_private.require_argument(text, text) is 'PT400 missing_argument for null.';

-- verification --------------------------------------------------------------

create or replace function lab.auth_verify_email(token text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_token lab_private.one_time_tokens;
begin
  perform lab_private.require_writable(), lab_private.require_argument('token', auth_verify_email.token);
  v_token := lab_private.one_time_token_use(auth_verify_email.token, 'email_verification');
  if v_token.id is null then
    return lab_private.token_refused('email_verification');
  end if;
  update lab_data.users u set is_verified = true where u.id = v_token.user_id and not u.is_verified;
  perform lab_private.access_log('email_verification', 'success', v_token.org_id, v_token.user_id),
          lab_private.respond(200);
  return '{"status": "ok"}'::jsonb;
end
$$;
comment on function lab.auth_verify_email(token text) is
$$Verify an e-mail address

With the token from the mail, once; the account can sign in from then on. Errors: 400 `missing_argument`, `invalid_one_time_token`.$$;

create or replace function lab.auth_verify_resend(email text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_email text;
begin
  perform lab_private.require_writable();
  v_email := coalesce(auth_verify_resend.email, (select u.email::text from lab_data.users u where u.id = labos.user_id()));
  perform lab_private.require_argument('email', v_email),
          lab_private.outbox_put('mail', 'email_verification', lab_private.normal_email(v_email), null, null, '{}', true),
          lab_private.access_log('verify_resend', 'success', null, labos.user_id(), labos.session_id());
  return lab_private.accepted();
end
$$;
comment on function lab.auth_verify_resend(text) is
$$Send the verification mail again

To the address given or, signed in, to one's own; the answer is 202 whether or not there is such an account, and only one that waits for verification gets a mail. Errors: 400 `missing_argument`, `invalid_email`.$$;

-- password ------------------------------------------------------------------

create or replace function lab.auth_password_forgot(email text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.require_writable(), lab_private.require_argument('email', auth_password_forgot.email);
  perform lab_private.outbox_put('mail', 'password_reset', lab_private.normal_email(auth_password_forgot.email), null, null, '{}', true),
          lab_private.access_log('password_forgot', 'success', null, null);
  return lab_private.accepted();
end
$$;
comment on function lab.auth_password_forgot(text) is
$$Ask for a new password

The answer is 202 for every address; a living account gets a mail with a token for auth_password_reset, at most three an hour. Errors: 400 `missing_argument`, `invalid_email`.$$;

create or replace function lab.auth_password_reset(token text, new text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_token    lab_private.one_time_tokens;
  v_user     lab_data.users;
  v_problems text[];
  v_hash     text;
  v_ended    integer;
begin
  perform lab_private.require_writable(),
          lab_private.require_argument('token', auth_password_reset.token),
          lab_private.require_argument('new', auth_password_reset.new);
  v_token := lab_private.one_time_token_find(auth_password_reset.token, 'password_reset');
  if v_token.id is null then
    return lab_private.token_refused('password_reset');
  end if;
  select u.* into v_user from lab_data.users u where u.id = v_token.user_id;
  v_problems := labos.password_problems(auth_password_reset.new, array[v_user.email::text, v_user.username]);
  if cardinality(v_problems) > 0 then
    raise exception 'password does not meet the policy' using errcode = 'PT422',
      detail = json_build_object('code', 'weak_password', 'problems', v_problems)::text,
      hint = 'The token has not been used: try again with another password.';
  end if;
  -- What may refuse or fail comes before the use, which nothing takes back (P29).
  v_hash := labos.password_hash(auth_password_reset.new);
  -- Of two tokens of one account that come at once, the second is looked at when the first has been used.
  perform from lab_data.users u where u.id = v_user.id for no key update;
  v_token := lab_private.one_time_token_use(auth_password_reset.token, 'password_reset');
  if v_token.id is null then
    return lab_private.token_refused('password_reset');
  end if;
  insert into lab_private.credentials (user_id, password_hash, algorithm, parameters, must_change)
  values (v_user.id, v_hash, lab_private.hash_algorithm(v_hash), lab_private.hash_parameters(v_hash), false)
  on conflict on constraint credentials_pkey do update
    set password_hash = excluded.password_hash, algorithm = excluded.algorithm, parameters = excluded.parameters,
        changed_at = clock_timestamp(), must_change = false;
  -- Whoever reads the mailbox is its owner; the lock was for guesses at the old password.
  perform labos.login_guard_set(v_user.id, 0, null);
  update lab_data.users u set failed_login_attempts = 0, locked_until = null, is_verified = true where u.id = v_user.id;
  update lab_private.known_devices d set revoked_at = clock_timestamp() where d.user_id = v_user.id and d.revoked_at is null;
  v_ended := lab_private.sessions_end('password_reset', v_user.id);
  perform lab_private.access_log('password_reset', 'success', v_token.org_id, v_user.id, null, jsonb_build_object('sessions_ended', v_ended)),
          lab_private.mail_user('password_changed', v_token.org_id, v_user.id, '{}'),
          lab_private.respond(200);
  return jsonb_build_object('status', 'ok', 'sessions_ended', v_ended);
end
$$;
comment on function lab.auth_password_reset(text, text) is
$$Set a new password

With the token from the mail, once. All sessions end, devices are forgotten, a lock of the account is lifted, and the address counts as verified; it does not sign in, and signing in asks for the second factor as before (P61). A password that the policy refuses does not use the token. Errors: 400 `missing_argument`, `invalid_one_time_token`, 422 `weak_password` with the list of problems.$$;

create or replace function lab.user_password_reset(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('user:update');
  v_user lab_data.users;
begin
  perform lab_private.require_writable(), lab_private.require_interactive();
  v_user := lab_private.require_member(org_id => v_org, user_id => user_password_reset.id);
  perform lab_private.require_outranks(org_id => v_org, user_id => v_user.id);
  if v_user.is_machine then
    raise exception 'a machine account has no password' using errcode = 'PT409',
      detail = json_build_object('code', 'machine_account')::text,
      hint = 'Give it an API key.';
  end if;
  -- As if they had asked: nobody but the owner of the mailbox sees the token.
  perform lab_private.outbox_put('mail', 'password_reset', v_user.email::text, v_org, v_user.id, '{}', true),
          lab_private.access_log('user_password_reset', 'success', v_org, v_user.id, labos.session_id(), jsonb_build_object('by', labos.user_id()));
  return lab_private.accepted();
end
$$;
comment on function lab.user_password_reset(uuid) is
$$Send a member a mail to choose a new password

As if they had called auth_password_forgot: the token goes to their mailbox only, and the present password works until it is used. An inactive account gets none, and nobody more than three an hour. Errors: 403 without `user:update`, `permission_escalation`, `interactive_session_required`, 404 `user_not_found`, 409 `machine_account`.$$;

-- address -------------------------------------------------------------------

create or replace function lab_private.tg_users__email_changed() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if TG_WHEN = 'BEFORE' then
    -- What was typed for another address says nothing about this one.
    if NEW.email_typed is not distinct from OLD.email_typed then
      NEW.email_typed := null;
    end if;
    return NEW;
  end if;
  -- Whoever asked for another one before asks again: the present one may be the answer to that (P62).
  delete from lab_private.outbox o where o.user_id = OLD.id and o.template = 'email_change' and o.is_request and o.resolved_at is null;
  update lab_private.one_time_tokens t set revoked_at = clock_timestamp()
  where t.user_id = OLD.id and t.purpose = 'email_change' and t.used_at is null and t.revoked_at is null;
  if not OLD.is_machine and OLD.deleted_at is null then
    perform lab_private.outbox_add('mail', 'email_changed', coalesce(OLD.email_typed, OLD.email::text), null, OLD.id,
      jsonb_build_object('username', OLD.username, 'at', clock_timestamp()));
  end if;
  return null;
end
$$;
comment on function lab_private.tg_users__email_changed() is 'Whoever changes an address: the old one is told, and changes that wait for confirmation end.';
create or replace trigger _095_email_typed before update of email on lab_data.users
  for each row when (old.email is distinct from new.email) execute function lab_private.tg_users__email_changed();
create or replace trigger _530_email_changed after update of email on lab_data.users
  for each row when (old.email is distinct from new.email) execute function lab_private.tg_users__email_changed();

create or replace function lab.auth_email_change(password text, new_email text, code text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id    uuid := labos.require_user();
  v_user  lab_data.users;
  v_email text;
  v_check record;
begin
  perform lab_private.require_interactive(), lab_private.require_writable(),
          lab_private.require_argument('password', auth_email_change.password),
          lab_private.require_argument('new_email', auth_email_change.new_email);
  v_email := lab_private.normal_email(auth_email_change.new_email);
  select u.* into v_user from lab_data.users u where u.id = v_id;
  if v_email = v_user.email::text then
    raise exception 'this is your e-mail address' using errcode = 'PT409',
      detail = json_build_object('code', 'email_unchanged')::text;
  end if;
  v_check := lab_private.reauthenticate(v_id, auth_email_change.password);
  if not v_check.matched then
    perform lab_private.access_log('email_change', 'failure', labos.org_id(), v_id, labos.session_id(), jsonb_build_object('reason', v_check.reason));
    return lab_private.reauthentication_refused(v_check.reason);
  end if;
  if exists (select from lab_private.mfa_factors f where f.user_id = v_id and f.confirmed_at is not null) then
    perform lab_private.require_argument('code', auth_email_change.code);
    v_check := lab_private.check_code(v_id, auth_email_change.code);
    if v_check.method is null then
      return lab_private.code_refused('email_change', labos.org_id(), v_id, v_check.reason, 403);
    end if;
  end if;
  perform lab_private.outbox_put('mail', 'email_change', v_email, labos.org_id(), v_id,
            jsonb_strip_nulls(jsonb_build_object('typed', lab_private.typed_email(auth_email_change.new_email))), true),
          lab_private.mail_user('email_change_notice', labos.org_id(), v_id, '{}'),
          lab_private.access_log('email_change', 'success', labos.org_id(), v_id, labos.session_id(), '{"step": "asked"}');
  return lab_private.accepted();
end
$$;
comment on function lab.auth_email_change(text, text, text) is
$$Change my e-mail address

Needs the password and, with a second factor, a code. The new address gets a mail with a token for auth_email_confirm, the present one a notice; nothing changes before. The answer is 202 also for an address that somebody has. Errors: 400 `missing_argument`, `invalid_email`, 401 `not_authenticated`, 403 `wrong_password`, `wrong_code`, `interactive_session_required`, 409 `email_unchanged`, 429 `too_many_attempts`.$$;

create or replace function lab.auth_email_confirm(token text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_token lab_private.one_time_tokens;
  v_ended integer;
begin
  perform lab_private.require_writable(), lab_private.require_argument('token', auth_email_confirm.token);
  v_token := lab_private.one_time_token_find(auth_email_confirm.token, 'email_change');
  perform from lab_data.users u where u.id = v_token.user_id for no key update;
  v_token := lab_private.one_time_token_use(auth_email_confirm.token, 'email_change');
  if v_token.id is null then
    return lab_private.token_refused('email_change');
  end if;
  begin
    update lab_data.users u
    set email = v_token.email, email_typed = v_token.payload ->> 'typed', is_verified = true
    where u.id = v_token.user_id;
  exception when unique_violation then
    -- Taken meanwhile; only the owner of the address learns it.
    perform lab_private.access_log('email_change', 'failure', v_token.org_id, v_token.user_id, null, '{"reason": "email_taken"}');
    return lab_private.problem(409, 'email_taken', 'this e-mail address is taken');
  end;
  v_ended := lab_private.sessions_end('email_change', v_token.user_id,
    except_session => case when labos.user_id() = v_token.user_id then labos.session_id() end);
  perform lab_private.access_log('email_change', 'success', v_token.org_id, v_token.user_id, labos.session_id(),
            jsonb_build_object('step', 'confirmed', 'sessions_ended', v_ended)),
          lab_private.respond(200);
  return jsonb_build_object('status', 'ok', 'sessions_ended', v_ended);
end
$$;
comment on function lab.auth_email_confirm(text) is
$$Confirm a new e-mail address

With the token from the mail to the new address, once. All sessions but the present one of the same user end; the old address is told. Errors: 400 `missing_argument`, `invalid_one_time_token`, 409 `email_taken` when somebody else has taken it meanwhile.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
-- All that a delivery worker can do.
grant usage on schema lab_private to lab_delivery;
grant execute on function
  lab_private.outbox_claim(text, integer, interval), lab_private.outbox_delivered(uuid, text), lab_private.outbox_failed(uuid, text, text, boolean)
  to lab_delivery;
revoke all on function
  lab.auth_verify_email(text), lab.auth_verify_resend(text), lab.auth_password_forgot(text), lab.auth_password_reset(text, text),
  lab.auth_email_change(text, text, text), lab.auth_email_confirm(text), lab.user_password_reset(uuid)
  from public;
-- The link in a mail opens where nobody has signed in.
grant execute on function
  lab.auth_verify_email(text), lab.auth_verify_resend(text), lab.auth_password_forgot(text), lab.auth_password_reset(text, text),
  lab.auth_email_confirm(text)
  to lab_anon, lab_user, lab_guest;
grant execute on function lab.auth_email_change(text, text, text), lab.user_password_reset(uuid) to lab_user;
