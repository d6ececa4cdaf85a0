/*
 * Room: invitations (repeatable half)
 *
 * How people come in: by an invitation, which is a mail with a token, or by
 * registering themselves where the installation is open. An invitation gives
 * what its inviter may give when it is accepted, not when it was written. And
 * the removal of what has expired.
 *
 * Holds    auth_invite, auth_invite_resend, auth_invite_revoke,
 *          auth_invite_accept, auth_register, auth_cleanup; lab_private.cleanup
 * Needs    020 to 024, 040 to 042
 */

-- invitations ---------------------------------------------------------------

-- select only: rows are written by the calls themselves.
call labos.protect('lab_data.invitations', 'invitation', verbs => '{select}');
call labos.expose('invitations');
call labos.audit_enable('lab_data.invitations');

create or replace function lab_private.invitation_json(invitation lab_data.invitations) returns jsonb
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object('id', invitation.id, 'email', invitation.email, 'role', r.name, 'expires_at', invitation.expires_at,
    'sent_at', invitation.sent_at, 'invited_by', invitation.invited_by)
  from lab_data.roles r where r.id = invitation.role_id
$$;
comment on function lab_private.invitation_json(lab_data.invitations) is 'An invitation as its calls return it: without the token, which is in the mail only.';

create or replace function lab_private.invitation_mail(invitation lab_data.invitations) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_token text;
begin
  -- The mails before this one end with it.
  update lab_private.one_time_tokens t set revoked_at = clock_timestamp()
  where t.purpose = 'invitation' and t.org_id = invitation.org_id and t.payload ->> 'invitation_id' = invitation.id::text
    and t.used_at is null and t.revoked_at is null;
  v_token := lab_private.one_time_token_make('invitation', null, invitation.expires_at - clock_timestamp(), invitation.org_id,
    invitation.email::text, jsonb_build_object('invitation_id', invitation.id));
  perform lab_private.outbox_add('mail', 'invitation', invitation.email::text, invitation.org_id, null,
    (select jsonb_strip_nulls(jsonb_build_object('token', v_token, 'organization', o.name, 'role', r.display_name,
              'inviter', coalesce(u.full_name, u.username), 'message', invitation.message, 'expires_at', invitation.expires_at))
     from lab_data.organizations o, lab_data.roles r, lab_data.users u
     where o.id = invitation.org_id and r.id = invitation.role_id and u.id = labos.user_id()));
end
$$;
comment on function lab_private.invitation_mail(lab_data.invitations) is 'Queues the mail of an invitation, with a new token; older ones end.';

create or replace function lab_private.invitation_open(org_id uuid, id uuid) returns lab_data.invitations
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_invitation lab_data.invitations;
begin
  select i.* into v_invitation from lab_data.invitations i
  where i.org_id = invitation_open.org_id and i.id = invitation_open.id
  for update;
  if not found then
    raise exception 'invitation not found' using errcode = 'PT404',
      detail = json_build_object('code', 'invitation_not_found', 'id', invitation_open.id)::text;
  elsif v_invitation.accepted_at is not null or v_invitation.revoked_at is not null then
    raise exception 'the invitation is closed' using errcode = 'PT409',
      detail = json_build_object('code', 'invitation_closed', 'accepted_at', v_invitation.accepted_at, 'revoked_at', v_invitation.revoked_at)::text,
      hint = 'Invite again with auth_invite.';
  end if;
  return v_invitation;
end
$$;
comment on function lab_private.invitation_open(uuid, uuid) is 'An open invitation of the organisation, locked: PT404 invitation_not_found, PT409 invitation_closed.';

create or replace function lab_private.may_give(org_id uuid, user_id uuid, role_id uuid) returns boolean
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  -- Within what the giver holds, all of it stays: nothing is cut.
  select exists (select from lab_data.users u where u.id = may_give.user_id and u.is_active and u.deleted_at is null)
     and not exists (
       select from unnest(lab_private.role_grants(array[may_give.role_id]) || array['user:create', 'role:assign']) wanted
       where wanted <> all (lab_private.permissions_within(lab_private.member_permissions(may_give.org_id, may_give.user_id), array[wanted])))
$$;
comment on function lab_private.may_give(uuid, uuid, uuid) is
  'Whether a member may invite with a role now: active, with user:create and role:assign and every permission of the role.';

create or replace function lab.auth_invite(email text, role text, message text default null, expires_at timestamptz default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org        uuid := labos.require_org_for('user:create');
  v_user       uuid := lab_private.require_interactive();
  v_email      text;
  v_role       lab_data.roles;
  v_days       integer := (select s.invitation_days from lab_private.identity_settings s);
  v_ends       timestamptz;
  v_known      uuid;
  v_invitation lab_data.invitations;
begin
  perform lab_private.require_writable(), labos.require_permission('role:assign'),
          lab_private.require_argument('email', auth_invite.email),
          lab_private.require_argument('role', auth_invite.role);
  v_email := lab_private.normal_email(auth_invite.email);
  v_role := lab_private.find_role(v_org, auth_invite.role);
  perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id]));
  v_ends := coalesce(auth_invite.expires_at, clock_timestamp() + make_interval(days => v_days));
  if v_ends <= clock_timestamp() or v_ends > clock_timestamp() + interval '30 days 1 minute' then
    raise exception 'an invitation lives for 30 days at most' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_expiry', 'expires_at', auth_invite.expires_at)::text;
  elsif length(auth_invite.message) > 500 or auth_invite.message ~ '[\x01-\x08\x0b-\x1f\x7f]' then
    raise exception 'the message has 500 characters at most' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_message')::text;
  end if;
  perform lab_private.lock_organization(v_org);
  v_known := (lab_private.find_user(v_email)).id;
  if exists (select from lab_data.memberships m where m.org_id = v_org and m.user_id = v_known and m.left_at is null) then
    raise exception 'this person is a member' using errcode = 'PT409',
      detail = json_build_object('code', 'already_member', 'user_id', v_known)::text;
  end if;
  update lab_data.invitations i set revoked_at = now()
  where i.org_id = v_org and i.email = v_email and i.accepted_at is null and i.revoked_at is null;
  insert into lab_data.invitations (org_id, email, role_id, message, invited_by, expires_at)
  values (v_org, v_email, v_role.id, nullif(btrim(auth_invite.message), ''), v_user, v_ends)
  returning * into v_invitation;
  perform lab_private.invitation_mail(v_invitation),
          lab_private.access_log('invite', 'success', v_org, v_user, labos.session_id(),
            jsonb_build_object('invitation', v_invitation.id, 'role', v_role.name));
  return lab_private.invitation_json(v_invitation);
end
$$;
comment on function lab.auth_invite(text, text, text, timestamptz) is
$$Invite somebody

A mail with a token to join this organisation with a role, for 7 days (`expires_at`: up to 30); it takes the place of an open invitation of the same address. The answer is the same whether or not the address has an account elsewhere. Errors: 400 `missing_argument`, `invalid_email`, `invalid_expiry`, `invalid_message`, 403 without `user:create` and `role:assign`, `permission_escalation`, `interactive_session_required`, 404 `role_not_found`, 409 `already_member`.$$;

create or replace function lab.auth_invite_resend(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org        uuid := labos.require_org_for('user:create');
  v_invitation lab_data.invitations;
begin
  perform lab_private.require_interactive(), lab_private.require_writable(), labos.require_permission('role:assign');
  v_invitation := lab_private.invitation_open(org_id => v_org, id => auth_invite_resend.id);
  perform lab_private.require_permissions(lab_private.role_grants(array[v_invitation.role_id]));
  -- Whoever sends it vouches for it from now on.
  update lab_data.invitations i
  set sent_at = now(), invited_by = labos.user_id(),
      expires_at = greatest(i.expires_at, clock_timestamp() + make_interval(days => (select s.invitation_days from lab_private.identity_settings s)))
  where i.org_id = v_org and i.id = v_invitation.id
  returning i.* into v_invitation;
  perform lab_private.invitation_mail(v_invitation),
          lab_private.access_log('invite_resend', 'success', v_org, labos.user_id(), labos.session_id(), jsonb_build_object('invitation', v_invitation.id));
  return lab_private.invitation_json(v_invitation);
end
$$;
comment on function lab.auth_invite_resend(uuid) is
$$Send an invitation again

With a new token; the older mail ends. It lives another 7 days at least, and the caller becomes its inviter. Errors: 403 without `user:create` and `role:assign`, `permission_escalation`, `interactive_session_required`, 404 `invitation_not_found`, 409 `invitation_closed`.$$;

create or replace function lab.auth_invite_revoke(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org        uuid := labos.require_org_for('user:create');
  v_invitation lab_data.invitations;
begin
  perform lab_private.require_interactive(), lab_private.require_writable();
  v_invitation := lab_private.invitation_open(org_id => v_org, id => auth_invite_revoke.id);
  update lab_data.invitations i set revoked_at = now(), revoked_by = labos.user_id() where i.org_id = v_org and i.id = v_invitation.id;
  perform lab_private.access_log('invite_revoke', 'success', v_org, labos.user_id(), labos.session_id(), jsonb_build_object('invitation', v_invitation.id));
  return jsonb_build_object('status', 'ok', 'id', v_invitation.id);
end
$$;
comment on function lab.auth_invite_revoke(uuid) is
$$Take an invitation back

Its token is worth nothing from now on. Errors: 403 without `user:create`, `interactive_session_required`, 404 `invitation_not_found`, 409 `invitation_closed`.$$;

-- accepting -----------------------------------------------------------------

create or replace function lab_private.invitation_by_token(token text) returns lab_data.invitations
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_token      lab_private.one_time_tokens := lab_private.one_time_token_find(token, 'invitation');
  v_invitation lab_data.invitations;
begin
  -- Locked: of two who accept at once the second finds it accepted.
  select i.* into v_invitation
  from lab_data.invitations i
  where i.org_id = v_token.org_id and i.id = (v_token.payload ->> 'invitation_id')::uuid
  for update;
  if v_invitation.accepted_at is not null or v_invitation.revoked_at is not null or v_invitation.expires_at <= clock_timestamp()
     or not exists (select from lab_data.organizations o where o.id = v_invitation.org_id and o.is_active and o.deleted_at is null)
     or not exists (select from lab_data.roles r where r.id = v_invitation.role_id and r.deleted_at is null)
     or not lab_private.may_give(v_invitation.org_id, v_invitation.invited_by, v_invitation.role_id) then
    return null;
  end if;
  return v_invitation;
end
$$;
comment on function lab_private.invitation_by_token(text) is
  'The open invitation of a live token, locked, if its inviter may still give what it gives; else nulls.';

create or replace function lab_private.invitation_join(invitation lab_data.invitations, user_id uuid) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  insert into lab_data.memberships as m (org_id, user_id, is_default)
  values (invitation.org_id, invitation_join.user_id,
          not exists (select from lab_data.memberships d where d.user_id = invitation_join.user_id and d.is_default and d.left_at is null))
  on conflict on constraint memberships_pkey do update set left_at = null
    where m.left_at is not null;
  insert into lab_data.user_roles (org_id, user_id, role_id, assigned_by)
  values (invitation.org_id, invitation_join.user_id, invitation.role_id, invitation.invited_by)
  on conflict on constraint user_roles_pkey do nothing;
  update lab_data.users u set is_verified = true where u.id = invitation_join.user_id and not u.is_verified;
  update lab_data.invitations i set accepted_at = now(), accepted_by = invitation_join.user_id
  where i.org_id = invitation.org_id and i.id = invitation.id;
  perform lab_private.access_log('invite_accept', 'success', invitation.org_id, invitation_join.user_id, labos.session_id(),
    jsonb_build_object('invitation', invitation.id, 'by', invitation.invited_by));
end
$$;
comment on function lab_private.invitation_join(lab_data.invitations, uuid) is 'Makes a user a member with the role of the invitation, which is accepted by it.';

create or replace function lab.auth_invite_accept(
  token text, username text default null, password text default null, full_name text default null, first_name text default null,
  last_name text default null, device_info jsonb default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_invitation lab_data.invitations;
  v_user       lab_data.users;
  v_check      record;
  v_id         uuid;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer(),
          lab_private.require_argument('token', auth_invite_accept.token);
  if jsonb_typeof(auth_invite_accept.device_info) not in ('object', 'string', 'null') or pg_column_size(auth_invite_accept.device_info) > 4000 then
    raise exception 'device_info must be an object or a string of at most 4 KB' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_device_info')::text;
  end if;
  v_invitation := lab_private.invitation_by_token(auth_invite_accept.token);
  if v_invitation.id is null then
    return lab_private.token_refused('invite_accept');
  end if;
  v_user := lab_private.find_user(v_invitation.email::text);

  if v_user.id is not null then
    -- The mail proves the address; that the account is theirs they prove by being signed in or by its password (P67).
    if labos.user_id() is not null and labos.user_id() <> v_user.id then
      raise exception 'the invitation is for another account' using errcode = 'PT403',
        detail = json_build_object('code', 'wrong_account')::text,
        hint = 'Sign out, and accept as the person whose address it was sent to.';
    elsif labos.user_id() is not null then
      perform lab_private.require_interactive();
    elsif auth_invite_accept.password is null or v_user.mfa_enabled then
      return lab_private.problem(401, 'sign_in_required', 'this address has an account', 'Sign in, then accept; or give the password, if the account has no second factor.');
    else
      perform labos.login_throttle('password');
      v_check := lab_private.check_password(v_user, auth_invite_accept.password);
      if not v_check.matched or not v_user.is_active then
        perform labos.login_throttle_failed('password');
        if v_check.reason = 'lockout' then
          perform lab_private.lockout(v_invitation.org_id, v_user.id, '{}');
        end if;
        perform lab_private.access_log('invite_accept', 'failure', v_invitation.org_id, v_user.id, null,
          jsonb_build_object('reason', case v_check.reason when 'lockout' then 'wrong_password' else coalesce(v_check.reason, 'disabled') end));
        return lab_private.problem(401, 'invalid_credentials', 'login or password is wrong');
      end if;
      update lab_data.users u set failed_login_attempts = 0, locked_until = null where u.id = v_user.id;
    end if;
    if exists (select from lab_data.memberships m where m.org_id = v_invitation.org_id and m.user_id = v_user.id and m.left_at is null) then
      raise exception 'you are a member already' using errcode = 'PT409',
        detail = json_build_object('code', 'already_member', 'user_id', v_user.id)::text;
    end if;
    v_id := v_user.id;
  else
    perform lab_private.require_argument('username', auth_invite_accept.username),
            lab_private.require_argument('password', auth_invite_accept.password);
    v_id := lab_private.user_add(v_invitation.org_id, v_invitation.email::text, auth_invite_accept.username, auth_invite_accept.password,
      auth_invite_accept.full_name, auth_invite_accept.first_name, auth_invite_accept.last_name, is_verified => true, must_change => false);
  end if;

  -- All that may refuse has been asked: from here on the token is used, whatever becomes of the transaction (P29).
  if (lab_private.one_time_token_use(auth_invite_accept.token, 'invitation')).id is null then
    raise exception 'the token is invalid, expired or used' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_one_time_token')::text;
  end if;
  perform lab_private.invitation_join(v_invitation, v_id),
          lab_private.respond(200);
  if v_user.id is not null then
    return jsonb_build_object('status', 'ok', 'organization',
      (select jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug) from lab_data.organizations o where o.id = v_invitation.org_id));
  end if;
  update lab_data.users u set last_login_at = now(), last_login_ip = lab_private.client_ip() where u.id = v_id;
  perform lab_private.access_log('login', 'success', v_invitation.org_id, v_id, null, '{"amr": ["inv"]}');
  return lab_private.session_open(org_id => v_invitation.org_id, user_id => v_id, device_info => nullif(auth_invite_accept.device_info, 'null'),
    kind => 'invitation', amr => '{inv}');
end
$$;
comment on function lab.auth_invite_accept(text, text, text, text, text, text, jsonb) is
$$Accept an invitation

With the token from the mail, once. Somebody new gives `username` and `password` and is signed in; the address counts as verified. Whoever has an account at the address signs in first or gives its `password` (without a second factor), and becomes a member: auth_org_switch leads there. It is void when its inviter could not give the role any more. Errors: 400 `missing_argument`, `invalid_one_time_token`, `invalid_username`, `invalid_name`, `invalid_device_info`, 401 `sign_in_required`, `invalid_credentials`, 403 `wrong_account`, `interactive_session_required`, 409 `already_member`, `username_taken`, 422 `weak_password`.$$;

-- registration --------------------------------------------------------------

create or replace function lab.auth_register(
  email text, username text, password text, full_name text default null, first_name text default null, last_name text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_settings lab_private.identity_settings;
  v_email    text;
  v_problems text[];
  v_taken    boolean;
  v_decoy    text := replace(labos.uuid_v7()::text, '-', '');
  v_user     uuid;
begin
  perform lab_private.require_writable();
  select s.* into v_settings from lab_private.identity_settings s;
  if v_settings.registration <> 'open' then
    raise exception 'registration is not open' using errcode = 'PT403',
      detail = json_build_object('code', case v_settings.registration when 'invite' then 'invitation_required' else 'registration_closed' end)::text,
      hint = 'Ask an administrator of your organisation for an account or an invitation.';
  end if;
  v_email := lab_private.normal_email(auth_register.email);
  perform lab_private.check_username_form(auth_register.username),
          lab_private.check_names(auth_register.first_name, auth_register.last_name, auth_register.full_name);
  v_problems := labos.password_problems(coalesce(auth_register.password, ''), array[v_email, auth_register.username]);
  if cardinality(v_problems) > 0 then
    raise exception 'password does not meet the policy' using errcode = 'PT422',
      detail = json_build_object('code', 'weak_password', 'problems', v_problems)::text;
  end if;

  -- Where the address or the name is known, the same is done for nobody and undone: neither the answer nor its time tells.
  v_taken := (lab_private.find_user(v_email)).id is not null or (lab_private.find_user(auth_register.username)).id is not null;
  begin
    v_user := lab_private.user_add(v_settings.registration_org_id, case when v_taken then v_decoy || '@labos.invalid' else v_email end,
      case when v_taken then left(v_decoy, 30) else auth_register.username end, auth_register.password,
      auth_register.full_name, auth_register.first_name, auth_register.last_name, is_verified => false, must_change => false);
    update lab_data.users u set email_typed = lab_private.typed_email(auth_register.email) where u.id = v_user;
    insert into lab_data.user_roles (org_id, user_id, role_id)
    select v_settings.registration_org_id, v_user, r.id
    from lab_data.roles r
    where r.is_default and r.deleted_at is null and (r.org_id is null or r.org_id = v_settings.registration_org_id);
    if v_taken then
      raise exception 'taken' using errcode = 'PT409', detail = json_build_object('code', 'username_taken')::text;
    end if;
  exception when sqlstate 'PT409' then
    v_user := null;
  end;
  perform lab_private.outbox_put('mail', 'register', v_email, v_settings.registration_org_id, null,
            jsonb_build_object('username', auth_register.username, 'account', coalesce(v_user, labos.uuid_v7())), true),
          lab_private.access_log('register', case when v_user is null then 'failure' else 'success' end, v_settings.registration_org_id, v_user);
  return lab_private.accepted();
end
$$;
comment on function lab.auth_register(text, text, text, text, text, text) is
$$Register

Makes an account where the installation's registration is open; it can sign in once auth_verify_email has had the token of the mail. The answer is 202 in any case: whether the address has an account already or the username is somebody's, the mail says, to the owner of the address only. Errors: 400 `invalid_email`, `invalid_username`, `invalid_name`, 403 `registration_closed`, `invitation_required`, 422 `weak_password`.$$;

-- what has expired ----------------------------------------------------------

create or replace function lab_private.cleanup(most integer default 1000) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_most  integer := least(greatest(coalesce(cleanup.most, 1000), 1), 10000);
  v_ids   uuid[];
  v_done  jsonb := '{}'::jsonb;
  v_count integer;
begin
  -- A day after, so that a late one is told apart in the log from an unknown one; with its guard.
  with gone as (
    select t.id from lab_private.one_time_tokens t where t.expires_at < now() - interval '1 day'
    order by t.expires_at limit v_most for update skip locked),
  deleted as (delete from lab_private.one_time_tokens t using gone g where t.id = g.id returning t.id)
  select coalesce(array_agg(d.id), '{}') into v_ids from deleted d;
  delete from lab_private.use_guard g where g.id = any (v_ids);
  v_done := v_done || jsonb_build_object('one_time_tokens', cardinality(v_ids));

  with gone as (
    select t.token_sha256 from lab_private.refresh_tokens t where t.expires_at < now() - interval '1 day'
    limit v_most for update skip locked),
  deleted as (delete from lab_private.refresh_tokens t using gone g where t.token_sha256 = g.token_sha256 returning 1)
  select count(*) into v_count from deleted;
  v_done := v_done || jsonb_build_object('refresh_tokens', v_count);

  -- What is left of a session after 90 days stands in the access log.
  with gone as (
    select s.org_id, s.id from lab_data.user_sessions s
    where least(s.expires_at, coalesce(s.revoked_at, 'infinity')) < now() - interval '90 days'
    limit v_most for update skip locked),
  deleted as (delete from lab_data.user_sessions s using gone g where s.org_id = g.org_id and s.id = g.id returning 1)
  select count(*) into v_count from deleted;
  v_done := v_done || jsonb_build_object('user_sessions', v_count);

  with gone as (
    select d.id from lab_private.known_devices d
    where d.expires_at < now() or d.revoked_at < now() - interval '30 days'
    limit v_most for update skip locked),
  deleted as (delete from lab_private.known_devices d using gone g where d.id = g.id returning d.id)
  select coalesce(array_agg(d.id), '{}') into v_ids from deleted d;
  delete from lab_private.use_guard g where g.id = any (v_ids);
  v_done := v_done || jsonb_build_object('known_devices', cardinality(v_ids));

  with gone as (
    select o.id from lab_private.outbox o
    where (o.delivered_at is not null or o.failed_at is not null) and coalesce(o.delivered_at, o.failed_at) < now() - interval '7 days'
    limit v_most for update skip locked),
  deleted as (delete from lab_private.outbox o using gone g where o.id = g.id returning 1)
  select count(*) into v_count from deleted;
  v_done := v_done || jsonb_build_object('outbox', v_count);

  with gone as (
    select i.org_id, i.id from lab_data.invitations i
    where i.accepted_at is null and i.expires_at < now() - interval '30 days'
    limit v_most for update skip locked),
  deleted as (delete from lab_data.invitations i using gone g where i.org_id = g.org_id and i.id = g.id returning 1)
  select count(*) into v_count from deleted;
  return v_done || jsonb_build_object('invitations', v_count);
end
$$;
comment on function lab_private.cleanup(integer) is
$$Removes what has expired, at most so many (1,000) of each kind

One-time tokens and refresh tokens a day after their end, sessions after 90 days, devices, delivered mail after 7 days, invitations that nobody accepted after 30. Skips what others work on; call it again while a count equals most. The access log and the audit trail stay. For lab_delivery and administrators of the database.$$;

create or replace function lab.auth_cleanup() returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := lab_private.require_superuser();
  v_done jsonb;
begin
  perform lab_private.require_writable();
  v_done := lab_private.cleanup();
  perform lab_private.access_log('cleanup', 'success', labos.org_id(), v_user, labos.session_id(), v_done);
  return v_done;
end
$$;
comment on function lab.auth_cleanup() is
$$Remove what has expired

Tokens, sessions, devices, delivered mails and invitations past their time, up to 1,000 of each kind; returns how many. For superusers of the installation; the delivery worker does the same every hour. Errors: 401 `not_authenticated`, 403 `superuser_required`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
grant execute on function lab_private.cleanup(integer) to lab_delivery;
revoke all on function
  lab.auth_invite(text, text, text, timestamptz), lab.auth_invite_resend(uuid), lab.auth_invite_revoke(uuid),
  lab.auth_invite_accept(text, text, text, text, text, text, jsonb), lab.auth_register(text, text, text, text, text, text),
  lab.auth_cleanup()
  from public;
grant execute on function
  lab.auth_invite(text, text, text, timestamptz), lab.auth_invite_resend(uuid), lab.auth_invite_revoke(uuid), lab.auth_cleanup()
  to lab_user;
-- Whoever is invited or registers has no token yet.
grant execute on function
  lab.auth_invite_accept(text, text, text, text, text, text, jsonb), lab.auth_register(text, text, text, text, text, text)
  to lab_anon, lab_user, lab_guest;
