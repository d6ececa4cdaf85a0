/*
 * Room: identity, administration of users
 *
 * What an administrator does with the members of the own organisation. Three
 * rules hold over all of it: who acts must hold every permission of whom they
 * act on (nobody takes over a superior, and the superuser of the installation
 * is touched by superusers only); an organisation keeps one admin; and an
 * account that is also a member elsewhere is not changed from here, only its
 * membership. Nobody chooses a password for somebody else (P50).
 *
 * Holds    user_create, user_update, user_deactivate, user_activate, user_unlock,
 *          user_delete, user_restore, membership_remove, membership_restore, user_permissions
 * Needs    020 to 022, tenancy
 */

-- checks --------------------------------------------------------------------

create or replace function lab_private.normal_email(email text) returns text
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_email text := normalize(btrim(normal_email.email, E' \t\r\n'), nfc);
begin
  -- One @; before it nothing that is invisible, turns the direction, or needs quoting; behind it a domain of letters, digits
  -- and hyphens. A domain in another script is written in its xn-- form: two spellings of one address would be two people.
  if v_email is null or length(v_email) > 254 or octet_length(split_part(v_email, '@', 1)) > 64
     or v_email !~ '^[^@[:space:][:cntrl:]"(),:;<>\[\]\\]+@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$'
     or v_email ~ '^\.|\.\.|\.@'
     or v_email ~ U&'[\0080-\00A0\00AD\034F\061C\115F\1160\17B4\17B5\180B-\180F\1680\2000-\200F\2028-\202F\205F-\206F\3000\3164\E000-\F8FF\FE00-\FE0F\FEFF\FFA0\FFF0-\FFFD\+0E0000-\+0E0FFF]' then
    raise exception 'invalid e-mail address' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_email')::text,
      hint = 'name@domain, without quotes or invisible characters; a domain in another script in its xn-- form.';
  end if;
  return lower(v_email);
end
$$;
comment on function lab_private.normal_email(text) is
  'The form of an address that is compared: trimmed, NFC, lower case, domain in ASCII (P65). Dots and tags stay: they are the receiver''s business. PT400 invalid_email.';

create or replace function lab_private.typed_email(email text) returns text
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  -- Letters that become others in lower case (U+212A is no k) would lead to another mailbox than the one compared.
  select case when t.typed ~ '^[\x21-\x7e]{3,254}$' and lower(t.typed) <> t.typed then t.typed end
  from btrim(typed_email.email, E' \t\r\n') t(typed)
$$;
comment on function lab_private.typed_email(text) is 'An address as written, where it differs by ASCII case only from what is compared; else null.';

create or replace function lab_private.check_username_form(username text) returns void
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
begin
  -- In ASCII the case-mapped profile of RFC 8265 is lower case (P66).
  if check_username_form.username is null or check_username_form.username !~ '^[A-Za-z0-9_-]{3,30}$' then
    raise exception 'invalid username' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_username')::text,
      hint = 'Three to thirty letters, digits, underscores or hyphens.';
  end if;
end
$$;
comment on function lab_private.check_username_form(text) is 'PT400 invalid_username.';

create or replace function lab_private.check_username(username text, but uuid default null) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.check_username_form(check_username.username);
  if exists (select from lab_data.users u
             where lower(u.username::text) = lower(check_username.username) and u.deleted_at is null
               and u.id is distinct from check_username.but) then
    raise exception 'this username is taken' using errcode = 'PT409',
      detail = json_build_object('code', 'username_taken')::text;
  end if;
end
$$;
comment on function lab_private.check_username(text, uuid) is 'PT400 invalid_username, PT409 username_taken.';

create or replace function lab_private.check_names(first_name text, last_name text, full_name text) returns void
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if length(first_name) > 100 or length(last_name) > 100 or length(full_name) > 200
     or concat(first_name, last_name, full_name) ~ '[[:cntrl:]]' then
    raise exception 'invalid name' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_name')::text,
      hint = 'At most 100 characters each, 200 for the full name, no control characters.';
  end if;
end
$$;
comment on function lab_private.check_names(text, text, text) is 'PT400 invalid_name.';

create or replace function lab_private.require_permissions(permissions text[]) returns void
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_missing text[] := array(select p from unnest(require_permissions.permissions) p where not labos.has_permission(p));
begin
  if cardinality(v_missing) > 0 then
    raise exception 'you do not hold all permissions concerned' using errcode = 'PT403',
      detail = json_build_object('code', 'permission_escalation', 'missing', v_missing)::text,
      hint = 'Only permissions that you hold yourself can be given, taken or acted upon.';
  end if;
end
$$;
comment on function lab_private.require_permissions(text[]) is 'Nobody gives what they do not hold: PT403 permission_escalation with the missing ones.';

create or replace function lab_private.require_outranks(org_id uuid, user_id uuid) returns void
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.require_permissions(lab_private.member_permissions(require_outranks.org_id, require_outranks.user_id));
  if exists (select from lab_data.users u where u.id = require_outranks.user_id and u.is_superuser) then
    perform lab_private.require_superuser();
  end if;
end
$$;
comment on function lab_private.require_outranks(uuid, uuid) is 'The caller holds all that the other member holds: PT403 permission_escalation.';

create or replace function lab_private.lock_organization(org_id uuid) returns void
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select from lab_data.organizations o where o.id = lock_organization.org_id for no key update
$$;
comment on function lab_private.lock_organization(uuid) is 'One administrative change of an organisation at a time, so that two admins cannot remove each other.';

create or replace function lab_private.require_admin_left(org_id uuid) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if not exists (
       select from lab_data.user_roles g
       join lab_data.roles r on r.id = g.role_id and r.name = 'admin' and r.org_id is null
       join lab_data.memberships m on m.org_id = g.org_id and m.user_id = g.user_id and m.left_at is null
       join lab_data.users u on u.id = g.user_id and u.is_active and u.is_verified and not u.is_machine and u.deleted_at is null
       where g.org_id = require_admin_left.org_id and g.expires_at is null) then
    raise exception 'an organisation keeps at least one admin' using errcode = 'PT409',
      detail = json_build_object('code', 'last_admin')::text,
      hint = 'Make somebody else admin first, without an expiry.';
  end if;
end
$$;
comment on function lab_private.require_admin_left(uuid) is 'After a change: a person who is active, verified and admin without expiry remains, else PT409 last_admin.';

create or replace function lab_private.require_admins_left(user_id uuid) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_org uuid;
begin
  for v_org in
    select g.org_id from lab_data.user_roles g
    join lab_data.roles r on r.id = g.role_id and r.name = 'admin' and r.org_id is null
    where g.user_id = require_admins_left.user_id
    order by 1
  loop
    perform lab_private.lock_organization(v_org),
            lab_private.require_admin_left(v_org);
  end loop;
end
$$;
comment on function lab_private.require_admins_left(uuid) is
  'After an account has been shut: require_admin_left for each organisation of which the user is admin; a superuser may shut one that several share.';

create or replace function lab_private.require_member(org_id uuid, user_id uuid, deleted boolean default false) returns lab_data.users
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_user lab_data.users;
begin
  select u.* into v_user
  from lab_data.users u
  where u.id = require_member.user_id and (u.deleted_at is not null) = require_member.deleted
    and exists (select from lab_data.memberships m where m.org_id = require_member.org_id and m.user_id = u.id and m.left_at is null)
  for no key update;
  if not found then
    raise exception 'user not found' using errcode = 'PT404',
      detail = json_build_object('code', 'user_not_found', 'id', require_member.user_id)::text;
  end if;
  return v_user;
end
$$;
comment on function lab_private.require_member(uuid, uuid, boolean) is 'A member of the organisation, locked: PT404 user_not_found.';

create or replace function lab_private.require_sole_membership(org_id uuid, user_id uuid) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if exists (select from lab_data.memberships m
             where m.user_id = require_sole_membership.user_id and m.org_id <> require_sole_membership.org_id and m.left_at is null)
     and not labos.is_superuser() then
    raise exception 'this user also belongs to another organisation' using errcode = 'PT409',
      detail = json_build_object('code', 'shared_user')::text,
      hint = 'Take away roles here (role_revoke) or the membership (membership_remove).';
  end if;
end
$$;
comment on function lab_private.require_sole_membership(uuid, uuid) is
  'An account shared with another organisation is changed by its owner or a superuser of the installation only: PT409 shared_user.';

-- making --------------------------------------------------------------------

drop function if exists lab_private.user_add(uuid, text, text, text, text, text, text, boolean, boolean, text, boolean);
create or replace function lab_private.user_add(
  org_id uuid, email text, username text, password text, full_name text, first_name text, last_name text,
  is_verified boolean, must_change boolean, title text default null, is_superuser boolean default false,
  is_machine boolean default false) returns uuid
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_email text := lab_private.normal_email(user_add.email);
  v_user  uuid;
begin
  perform lab_private.check_names(user_add.first_name, user_add.last_name, user_add.full_name),
          lab_private.check_username(user_add.username);
  if (lab_private.find_user(v_email)).id is not null then
    raise exception 'this e-mail address is taken' using errcode = 'PT409',
      detail = json_build_object('code', 'email_taken')::text;
  end if;
  insert into lab_data.users (email, username, first_name, last_name, full_name, is_verified, is_superuser, is_machine)
  values (v_email, user_add.username, user_add.first_name, user_add.last_name,
          coalesce(user_add.full_name, nullif(concat_ws(' ', user_add.first_name, user_add.last_name), '')),
          user_add.is_verified, user_add.is_superuser, user_add.is_machine)
  returning id into v_user;
  insert into lab_data.memberships (org_id, user_id, title, is_default)
  values (user_add.org_id, v_user, user_add.title, true);
  if user_add.password is not null then
    perform lab_private.password_set(v_user, user_add.password, v_email, user_add.username, user_add.must_change);
  end if;
  return v_user;
exception when unique_violation then
  -- Lost a race against the same name.
  raise exception 'this e-mail address or username is taken' using errcode = 'PT409',
    detail = json_build_object('code', 'email_taken')::text;
end
$$;
comment on function lab_private.user_add(uuid, text, text, text, text, text, text, boolean, boolean, text, boolean, boolean) is
  'A user with a first membership and, unless null, a password.';

create or replace function lab_private.user_json(org_id uuid, user_id uuid) returns jsonb
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'id', u.id, 'email', u.email, 'username', u.username, 'first_name', u.first_name, 'last_name', u.last_name,
    'full_name', u.full_name, 'title', m.title, 'is_active', u.is_active, 'is_verified', u.is_verified,
    'is_superuser', u.is_superuser, 'is_machine', u.is_machine, 'mfa_enabled', u.mfa_enabled, 'locked_until', u.locked_until, 'last_login_at', u.last_login_at,
    'version', u.version, 'created_at', u.created_at, 'deleted_at', u.deleted_at, 'org_id', m.org_id,
    'roles', lab_private.member_roles(m.org_id, u.id))
  from lab_data.users u
  join lab_data.memberships m on m.user_id = u.id and m.org_id = user_json.org_id
  where u.id = user_json.user_id
$$;
comment on function lab_private.user_json(uuid, uuid) is 'A member as administration calls return it.';

create or replace function lab_private.initial_password(user_id uuid) returns text
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user   lab_data.users;
  v_secret text;
begin
  select u.* into v_user from lab_data.users u where u.id = initial_password.user_id;
  -- 120 random bits; the policy may want a kind of character that chance has left out.
  loop
    v_secret := left(labos.random_token(), 20);
    exit when cardinality(labos.password_problems(v_secret, array[v_user.email::text, v_user.username])) = 0;
  end loop;
  perform lab_private.password_set(v_user.id, v_secret, v_user.email::text, v_user.username, true),
          lab_private.sessions_end('admin', v_user.id);
  return v_secret;
end
$$;
comment on function lab_private.initial_password(uuid) is
  'Gives a user a random password that must be changed; all sessions end. Nobody chooses it (P50).';

drop function if exists lab.user_create(text, text, text, text, text[], text, text, text, boolean);
create or replace function lab.user_create(
  email text default null, username text default null, full_name text default null, roles text[] default '{}',
  first_name text default null, last_name text default null, title text default null,
  is_machine boolean default false, initial_password boolean default false) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for('user:create');
  v_user   uuid;
  v_role   text;
  v_email  text := user_create.email;
  v_secret text;
begin
  perform lab_private.require_writable();
  if user_create.is_machine and user_create.initial_password then
    raise exception 'a machine account has no password' using errcode = 'PT409',
      detail = json_build_object('code', 'machine_account')::text,
      hint = 'Give it an API key.';
  elsif user_create.is_machine and v_email is null then
    -- RFC 2606: nothing is ever delivered there.
    v_email := lower(user_create.username) || '@' || (select o.slug from lab_data.organizations o where o.id = v_org) || '.invalid';
  end if;
  v_user := lab_private.user_add(v_org, v_email, user_create.username, null, user_create.full_name,
    user_create.first_name, user_create.last_name, is_verified => true, must_change => false,
    title => user_create.title, is_machine => coalesce(user_create.is_machine, false));
  foreach v_role in array coalesce(user_create.roles, '{}') loop
    perform lab_private.role_give(v_org, v_user, v_role, null);
  end loop;
  if user_create.initial_password then
    perform lab_private.require_interactive(),
            lab_private.require_whole_answer();
    v_secret := lab_private.initial_password(v_user);
    perform lab_private.respond(200);
  end if;
  perform lab_private.access_log('user_create', 'success', v_org, v_user, labos.session_id(),
    jsonb_build_object('by', labos.user_id(), 'roles', to_jsonb(coalesce(user_create.roles, '{}'))));
  return lab_private.user_json(org_id => v_org, user_id => v_user)
    || case when v_secret is null then '{}' else jsonb_build_object('initial_password', v_secret) end;
end
$$;
comment on function lab.user_create(text, text, text, text[], text, text, text, boolean, boolean) is
$$Create a user

A verified member of the caller's organisation with these roles and without a password: the person sets one by auth_password_forgot, or signs in by an identity provider. initial_password: a random one is returned, once, to be handed over and changed at the first sign-in; unchanged it signs in for seven days (`initial_password_days`), then user_password_reset sends a mail. is_machine: an account that signs in by API keys only; it needs no e-mail address. Errors: 400 `invalid_email`, `invalid_username`, `invalid_name`, 403 without `user:create` or (with roles) `role:assign`, `permission_escalation`, `interactive_session_required`, 404 `role_not_found`, 409 `email_taken`, `username_taken`, `machine_account`.$$;

-- machine accounts ------------------------------------------------------------

create or replace function lab_private.tg__no_machine() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if exists (select from lab_data.users u where u.id = NEW.user_id and u.is_machine) then
    raise exception 'a machine account signs in by API key only' using errcode = 'PT409',
      detail = json_build_object('code', 'machine_account')::text,
      hint = 'Make it an API key, with the permissions that it needs.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg__no_machine() is 'Refuses a password, a second factor or an interactive session for a machine account, whoever asks: PT409 machine_account.';
create or replace trigger _300_no_machine before insert or update on lab_private.credentials
  for each row execute function lab_private.tg__no_machine();
create or replace trigger _300_no_machine before insert or update on lab_private.mfa_factors
  for each row execute function lab_private.tg__no_machine();
create or replace trigger _300_no_machine before insert on lab_data.user_sessions
  for each row when (new.kind <> 'api_key') execute function lab_private.tg__no_machine();

-- changing ------------------------------------------------------------------

create or replace function lab_private.user_change(org_id uuid, user_id uuid, deleted boolean default false) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.require_writable(),
          lab_private.lock_organization(user_change.org_id),
          lab_private.require_member(user_change.org_id, user_change.user_id, user_change.deleted),
          lab_private.require_outranks(user_change.org_id, user_change.user_id),
          lab_private.require_sole_membership(user_change.org_id, user_change.user_id);
end
$$;
comment on function lab_private.user_change(uuid, uuid, boolean) is
  'What every change of an account begins with, after the permission: membership, rank, sole membership.';

create or replace function lab_private.user_changed(event text, org_id uuid, user_id uuid, detail jsonb default '{}') returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.access_log(user_changed.event, 'success', user_changed.org_id, user_changed.user_id, labos.session_id(),
    jsonb_build_object('by', labos.user_id()) || user_changed.detail);
  return lab_private.user_json(user_changed.org_id, user_changed.user_id);
end
$$;
comment on function lab_private.user_changed(text, uuid, uuid, jsonb) is 'What every change of an account ends with: a row in the access log, the user as answer.';

create or replace function lab.user_update(
  id uuid, email text default null, username text default null, first_name text default null, last_name text default null,
  full_name text default null, title text default null, is_verified boolean default null, version integer default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('user:update');
  v_email text;
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_update.id);
  perform lab_private.check_names(user_update.first_name, user_update.last_name, user_update.full_name);
  if user_update.username is not null then
    perform lab_private.check_username(user_update.username, user_update.id);
  end if;
  if user_update.email is not null then
    v_email := lab_private.normal_email(user_update.email);
    if (lab_private.find_user(v_email)).id <> user_update.id then
      raise exception 'this e-mail address is taken' using errcode = 'PT409',
        detail = json_build_object('code', 'email_taken')::text;
    end if;
    -- Who chooses the address can have the password reset: a person does that, and for themselves with the password (P50, P64).
    if exists (select from lab_data.users u where u.id = user_update.id and u.email::text <> v_email) then
      perform lab_private.require_interactive();
      if user_update.id = labos.user_id() then
        raise exception 'the own e-mail address is not changed this way' using errcode = 'PT403',
          detail = json_build_object('code', 'own_account')::text,
          hint = 'Use auth_email_change, with the password.';
      end if;
    end if;
  end if;
  update lab_data.users u
  set email = coalesce(v_email, u.email),
      username = coalesce(user_update.username, u.username),
      first_name = nullif(btrim(coalesce(user_update.first_name, u.first_name)), ''),
      last_name = nullif(btrim(coalesce(user_update.last_name, u.last_name)), ''),
      full_name = nullif(btrim(coalesce(user_update.full_name, u.full_name)), ''),
      is_verified = coalesce(user_update.is_verified, u.is_verified),
      version = coalesce(user_update.version, u.version)
  where u.id = user_update.id;
  update lab_data.memberships m set title = user_update.title
  where m.org_id = v_org and m.user_id = user_update.id and user_update.title is not null;
  -- Who is not verified cannot sign in.
  if user_update.is_verified = false then
    perform lab_private.require_admins_left(user_update.id);
  end if;
  return lab_private.user_changed('user_update', v_org, user_update.id);
end
$$;
comment on function lab.user_update(uuid, text, text, text, text, text, text, boolean, integer) is
$$Change a user

What is left out stays; `version` refuses a change of a row that has moved on. The own e-mail address is changed with auth_email_change, nobody's with an API key. Errors: 400 `invalid_email`, `invalid_username`, `invalid_name`, 403 without `user:update`, `permission_escalation`, `own_account`, `interactive_session_required`, 404 `user_not_found`, 409 `email_taken`, `username_taken`, `shared_user`, `last_admin`, 412 `stale_version`.$$;

create or replace function lab.user_deactivate(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:update');
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_deactivate.id);
  update lab_data.users u set is_active = false where u.id = user_deactivate.id and u.is_active;
  perform lab_private.sessions_end('deactivated', user_deactivate.id),
          lab_private.require_admins_left(user_deactivate.id);
  return lab_private.user_changed('user_deactivate', v_org, user_deactivate.id);
end
$$;
comment on function lab.user_deactivate(uuid) is
$$Deactivate a user

Ends all sessions at once; sign-in is refused until user_activate. Errors: 403 without `user:update`, `permission_escalation`, 404 `user_not_found`, 409 `last_admin`, `shared_user`.$$;

create or replace function lab.user_activate(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:update');
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_activate.id);
  update lab_data.users u set is_active = true where u.id = user_activate.id and not u.is_active;
  return lab_private.user_changed('user_activate', v_org, user_activate.id);
end
$$;
comment on function lab.user_activate(uuid) is
$$Activate a user

Errors: 403 without `user:update`, `permission_escalation`, 404 `user_not_found`, 409 `shared_user`.$$;

create or replace function lab.user_unlock(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:update');
begin
  -- A session that is not its owner's could guess on for ever.
  if user_unlock.id = labos.user_id() then
    raise exception 'the own account is not unlocked this way' using errcode = 'PT403',
      detail = json_build_object('code', 'own_account')::text,
      hint = 'Another administrator can do it, or wait until the lock ends.';
  end if;
  perform lab_private.require_writable(),
          lab_private.require_member(org_id => v_org, user_id => user_unlock.id),
          lab_private.require_outranks(org_id => v_org, user_id => user_unlock.id);
  perform labos.login_guard_set(user_unlock.id, 0, null),
          lab_private.second_guards_reset(user_unlock.id);
  update lab_data.users u set failed_login_attempts = 0, locked_until = null
  where u.id = user_unlock.id and (u.failed_login_attempts > 0 or u.locked_until is not null);
  return lab_private.user_changed('user_unlock', v_org, user_unlock.id);
end
$$;
comment on function lab.user_unlock(uuid) is
$$Unlock a user

Forgets failed sign-ins, and wrong passwords and codes of one who is signed in, and ends the locks. Errors: 403 without `user:update`, `permission_escalation`, `own_account`, 404 `user_not_found`.$$;

create or replace function lab.user_delete(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:delete');
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_delete.id);
  update lab_data.users u set deleted_at = now(), deleted_by = labos.user_id() where u.id = user_delete.id;
  perform lab_private.sessions_end('deleted', user_delete.id),
          lab_private.require_admins_left(user_delete.id);
  return lab_private.user_changed('user_delete', v_org, user_delete.id);
end
$$;
comment on function lab.user_delete(uuid) is
$$Delete a user

Soft: the account vanishes from lists and cannot sign in, its name becomes free, what it did stays attributed; user_restore brings it back. Errors: 403 without `user:delete`, `permission_escalation`, 404 `user_not_found`, 409 `last_admin`, `shared_user`.$$;

create or replace function lab.user_restore(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:restore');
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_restore.id, deleted => true);
  update lab_data.users u set deleted_at = null, deleted_by = null where u.id = user_restore.id;
  return lab_private.user_changed('user_restore', v_org, user_restore.id);
exception when unique_violation then
  raise exception 'e-mail address or username have been taken meanwhile' using errcode = 'PT409',
    detail = json_build_object('code', 'email_taken')::text;
end
$$;
comment on function lab.user_restore(uuid) is
$$Restore a deleted user

With roles and password as they were. Errors: 403 without `user:restore`, `permission_escalation`, 404 `user_not_found`, 409 `email_taken`, `shared_user`.$$;

create or replace function lab.membership_remove(user_id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('user:delete');
  v_admin boolean;
begin
  perform lab_private.require_writable(),
          lab_private.lock_organization(v_org),
          lab_private.require_member(v_org, membership_remove.user_id),
          lab_private.require_outranks(v_org, membership_remove.user_id),
          lab_private.sessions_end('membership', membership_remove.user_id, v_org);
  v_admin := exists (
    select from lab_data.user_roles g join lab_data.roles r on r.id = g.role_id and r.org_id is null and r.name = 'admin'
    where g.org_id = v_org and g.user_id = membership_remove.user_id);
  delete from lab_data.user_roles g where g.org_id = v_org and g.user_id = membership_remove.user_id;
  update lab_data.memberships m set left_at = now(), is_default = false
  where m.org_id = v_org and m.user_id = membership_remove.user_id;
  if v_admin then
    perform lab_private.require_admin_left(v_org);
  end if;
  perform lab_private.access_log('membership_remove', 'success', v_org, membership_remove.user_id, labos.session_id(),
            jsonb_build_object('by', labos.user_id()));
  return jsonb_build_object('status', 'ok', 'user_id', membership_remove.user_id, 'org_id', v_org);
end
$$;
comment on function lab.membership_remove(uuid) is
$$Remove a member

The person leaves the organisation: roles are taken away and sessions there end at once; the account, other memberships and all records stay. Errors: 403 without `user:delete`, `permission_escalation`, 404 `user_not_found`, 409 `last_admin`.$$;

create or replace function lab.membership_restore(user_id uuid, roles text[] default '{}') returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('user:restore');
  v_role text;
begin
  perform lab_private.require_writable(),
          lab_private.lock_organization(v_org);
  update lab_data.memberships m
  set left_at = null,
      is_default = not exists (select from lab_data.memberships d where d.user_id = m.user_id and d.is_default and d.left_at is null)
  where m.org_id = v_org and m.user_id = membership_restore.user_id and m.left_at is not null;
  if not found then
    raise exception 'user not found' using errcode = 'PT404',
      detail = json_build_object('code', 'user_not_found', 'id', membership_restore.user_id)::text;
  end if;
  perform lab_private.require_outranks(v_org, membership_restore.user_id);
  foreach v_role in array coalesce(membership_restore.roles, '{}') loop
    perform lab_private.role_give(v_org, membership_restore.user_id, v_role, null);
  end loop;
  return lab_private.user_changed('membership_restore', v_org, membership_restore.user_id,
    jsonb_build_object('roles', to_jsonb(coalesce(membership_restore.roles, '{}'))));
end
$$;
comment on function lab.membership_restore(uuid, text[]) is
$$Take a former member back

With these roles. Errors: 403 without `user:restore` or (with roles) `role:assign`, `permission_escalation`, 404 `user_not_found`, `role_not_found`.$$;

-- reading -------------------------------------------------------------------

create or replace function lab.user_permissions(id uuid default null) returns jsonb
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := coalesce(user_permissions.id, labos.require_user());
  v_org  uuid := case when v_user = labos.user_id() then labos.org_id() else labos.require_org_for('user:read') end;
begin
  if not exists (select from lab_data.memberships m where m.org_id = v_org and m.user_id = v_user and m.left_at is null) then
    raise exception 'user not found' using errcode = 'PT404',
      detail = json_build_object('code', 'user_not_found', 'id', v_user)::text;
  end if;
  return (
    select jsonb_build_object('user_id', v_user, 'org_id', v_org,
      'roles', coalesce(jsonb_agg(g.role) filter (where not g.expired), '[]'),
      'roles_expired', coalesce(jsonb_agg(g.role) filter (where g.expired), '[]'),
      'permissions', lab_private.member_permissions(v_org, v_user))
    from (select jsonb_build_object('id', r.id, 'name', r.name, 'display_name', r.display_name,
                   'assigned_at', a.assigned_at, 'assigned_by', a.assigned_by, 'expires_at', a.expires_at) as role,
                 coalesce(a.expires_at <= clock_timestamp(), false) as expired
          from lab_data.user_roles a
          join lab_data.roles r on r.id = a.role_id and r.deleted_at is null
          where a.org_id = v_org and a.user_id = v_user
          order by r.name) g);
end
$$;
comment on function lab.user_permissions(uuid) is
$$Effective permissions of a user

Roles (and those expired) with assignment and expiry, and the permissions they give together in the acting organisation; without `id` those of the caller. Errors: 401 `not_authenticated`, 403 without `user:read`, 404 `user_not_found`.$$;

create or replace function lab.roles_expired()
  returns table (user_id uuid, username text, role text, assigned_at timestamptz, assigned_by uuid, expires_at timestamptz)
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_org uuid := labos.require_org_for('role:read');
begin
  return query
    select g.user_id, u.username, r.name, g.assigned_at, g.assigned_by, g.expires_at
    from lab_data.user_roles g
    join lab_data.roles r on r.id = g.role_id and r.deleted_at is null
    join lab_data.users u on u.id = g.user_id and u.deleted_at is null
    where g.org_id = v_org and g.expires_at <= clock_timestamp()
    order by g.expires_at desc, u.username, r.name;
end
$$;
comment on function lab.roles_expired() is
$$Assignments that have expired

Who held which role until when, the latest first; they give nothing. Over HTTP with filters, such as ?user_id=eq.…. role_assign gives one anew, role_revoke clears it away. Errors: 401 `not_authenticated`, 403 without `role:read`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.user_create(text, text, text, text[], text, text, text, boolean, boolean),
  lab.user_update(uuid, text, text, text, text, text, text, boolean, integer),
  lab.user_deactivate(uuid), lab.user_activate(uuid), lab.user_unlock(uuid), lab.user_delete(uuid), lab.user_restore(uuid),
  lab.membership_remove(uuid), lab.membership_restore(uuid, text[]), lab.user_permissions(uuid), lab.roles_expired()
  from public;
grant execute on function
  lab.user_create(text, text, text, text[], text, text, text, boolean, boolean),
  lab.user_update(uuid, text, text, text, text, text, text, boolean, integer),
  lab.user_deactivate(uuid), lab.user_activate(uuid), lab.user_unlock(uuid), lab.user_delete(uuid), lab.user_restore(uuid),
  lab.membership_remove(uuid), lab.membership_restore(uuid, text[]), lab.user_permissions(uuid), lab.roles_expired()
  to lab_user;
