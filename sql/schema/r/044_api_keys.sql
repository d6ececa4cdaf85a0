/*
 * Room: API keys (repeatable half)
 *
 * A key is made by a person, never by a key (P64), within what that person may
 * do; it can be exchanged for a short access token or signed in with over SQL
 * (labos.login). Both act in the session that was made with the key: its
 * scopes, its end and its revocation are those of any session, checked live.
 *
 * Holds    api_key_create, api_key_rotate, api_key_revoke, auth_api_key
 * Needs    020 to 024, 042 (outbox); C identity (api_key_*)
 *
 * No update of a key: what it may do is fixed when it is made.
 */

alter table lab_private.api_key_secrets enable row level security;
alter table lab_private.api_key_secrets force row level security;
drop policy if exists owner_all on lab_private.api_key_secrets;
create policy owner_all on lab_private.api_key_secrets for all to lab_owner using (true) with check (true);

-- One's own keys; api_key:read_any sees those of the organisation.
call labos.protect('lab_data.api_keys', 'api_key', verbs => '{select}', owner => 'owner_id');
call labos.expose('api_keys');
create or replace trigger _100_stamp before insert or update on lab_data.api_keys for each row execute function labos.tg__stamp();
call labos.audit_enable('lab_data.api_keys', policy => '{"ignore": ["last_used_at", "last_used_ip"]}');

-- the end of a key ------------------------------------------------------------

create or replace function lab_private.tg_api_keys__end_sessions() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, pg_temp
as $$
begin
  update lab_data.user_sessions s set revoked_at = now(), revoke_reason = 'api_key'
  where s.org_id = NEW.org_id and s.api_key_id = NEW.id and s.revoked_at is null;
  return null;
end
$$;
comment on function lab_private.tg_api_keys__end_sessions() is 'A revoked key has no session.';
create or replace trigger _500_end_sessions after update of revoked_at on lab_data.api_keys
  for each row when (NEW.revoked_at is not null) execute function lab_private.tg_api_keys__end_sessions();

create or replace function lab_private.tg_user_sessions__end_key() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  update lab_data.api_keys k set revoked_at = now(), revoked_by = labos.user_id(), revoke_reason = 'session'
  where k.org_id = NEW.org_id and k.id = NEW.api_key_id and k.revoked_at is null
    and not exists (select from lab_data.user_sessions s
                    where s.org_id = k.org_id and s.api_key_id = k.id and s.revoked_at is null and s.expires_at > now());
  return null;
end
$$;
comment on function lab_private.tg_user_sessions__end_key() is 'Ending the last session of a key by hand revokes the key: what is dead shall look dead.';
create or replace trigger _530_end_key after update of revoked_at on lab_data.user_sessions
  for each row when (NEW.kind = 'api_key' and NEW.revoked_at is not null and OLD.revoked_at is null)
  execute function lab_private.tg_user_sessions__end_key();

create or replace function lab_private.tg_memberships__revoke_keys() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  update lab_data.api_keys k set revoked_at = now(), revoked_by = labos.user_id(), revoke_reason = 'membership'
  where k.org_id = NEW.org_id and k.owner_id = NEW.user_id and k.revoked_at is null;
  return null;
end
$$;
comment on function lab_private.tg_memberships__revoke_keys() is 'Who leaves takes no key back in when they return.';
create or replace trigger _510_revoke_keys after update of left_at on lab_data.memberships
  for each row when (NEW.left_at is not null and OLD.left_at is null) execute function lab_private.tg_memberships__revoke_keys();

create or replace function lab_private.tg_users__revoke_keys() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  update lab_data.api_keys k set revoked_at = now(), revoked_by = labos.user_id(), revoke_reason = 'deleted'
  where k.owner_id = NEW.id and k.revoked_at is null;
  return null;
end
$$;
comment on function lab_private.tg_users__revoke_keys() is 'A deleted user has no key, restored or not.';
create or replace trigger _530_revoke_keys after update of deleted_at on lab_data.users
  for each row when (NEW.deleted_at is not null and OLD.deleted_at is null) execute function lab_private.tg_users__revoke_keys();

-- making ----------------------------------------------------------------------

create or replace function lab_private.check_scopes(scopes text[]) returns text[]
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_wanted  text[] := array(select distinct lower(btrim(p)) collate "C" from unnest(check_scopes.scopes[1:1000]) p order by 1);
  v_unknown text[];
  v_missing text[];
begin
  if cardinality(v_wanted) not between 1 and 100 or cardinality(check_scopes.scopes) > 1000 or array_position(v_wanted, null) is not null then
    raise exception 'a key needs 1 to 100 scopes' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_scopes')::text,
      hint = 'Scopes are permissions: sample:read, sample:*, *:*.';
  end if;
  v_unknown := array(select left(p, 100) from unnest(v_wanted) p
                     where p <> '*:*' and not exists (select from lab_data.permissions k
                       where k.name::text = p or (p like '%:*' and split_part(k.name::text, ':', 1) || ':*' = p)));
  if cardinality(v_unknown) > 0 then
    raise exception 'unknown permission' using errcode = 'PT422',
      detail = json_build_object('code', 'unknown_permission', 'permissions', v_unknown[1:20])::text,
      hint = 'GET /permissions lists them; resource:* and *:* stand for all.';
  end if;
  -- resource:* is held by whoever holds each of its permissions.
  v_missing := array(select p from unnest(v_wanted) p
                     where not labos.has_permission(p)
                       and not (p like '%:*' and p <> '*:*' and not exists (
                         select from lab_data.permissions k
                         where split_part(k.name::text, ':', 1) || ':*' = p and not labos.has_permission(k.name::text))));
  if cardinality(v_missing) > 0 then
    raise exception 'you do not hold all permissions concerned' using errcode = 'PT403',
      detail = json_build_object('code', 'permission_escalation', 'missing', v_missing)::text,
      hint = 'A key can have only permissions that its owner holds.';
  end if;
  return v_wanted;
end
$$;
comment on function lab_private.check_scopes(text[]) is
  'Scopes of a key, sorted: PT400 invalid_scopes, PT422 unknown_permission, PT403 permission_escalation.';

create or replace function lab_private.api_key_json(key lab_data.api_keys) returns jsonb
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object('id', key.id, 'name', key.name, 'prefix', key.prefix, 'scopes', key.scopes, 'owner_id', key.owner_id,
    'expires_at', key.expires_at, 'created_at', key.created_at, 'rotated_at', key.rotated_at,
    'revoked_at', key.revoked_at, 'revoke_reason', key.revoke_reason)
$$;
comment on function lab_private.api_key_json(lab_data.api_keys) is 'A key as the calls return it, without its secret.';

create or replace function lab_private.api_key_secret_add(key lab_data.api_keys, public_id text, secret_sha256 bytea) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_session uuid;
begin
  insert into lab_data.user_sessions (org_id, user_id, device_info, user_agent, ip, expires_at, kind, aal, amr, scopes, api_key_id)
  values (key.org_id, key.owner_id, jsonb_build_object('api_key', key.name), lab_private.client_user_agent(), lab_private.client_ip(),
          key.expires_at, 'api_key', 1, '{key}', key.scopes, key.id)
  returning id into v_session;
  insert into lab_private.api_key_secrets (public_id, secret_sha256, org_id, key_id, session_id)
  values (api_key_secret_add.public_id, api_key_secret_add.secret_sha256, key.org_id, key.id, v_session);
end
$$;
comment on function lab_private.api_key_secret_add(lab_data.api_keys, text, bytea) is 'A secret of a key, with the session it opens.';

create or replace function lab_private.require_key_keeper(org_id uuid, owner_id uuid) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_owner lab_data.users;
begin
  perform labos.require_permission('api_key:create_any');
  v_owner := lab_private.require_member(require_key_keeper.org_id, require_key_keeper.owner_id);
  if not v_owner.is_machine then
    raise exception 'people make their keys themselves' using errcode = 'PT409',
      detail = json_build_object('code', 'not_a_machine', 'id', v_owner.id)::text,
      hint = 'Keys for others are those of machine accounts (user_create with is_machine).';
  end if;
  perform lab_private.require_outranks(require_key_keeper.org_id, v_owner.id);
end
$$;
comment on function lab_private.require_key_keeper(uuid, uuid) is
  'The caller may make keys of this machine account: PT403 without api_key:create_any, permission_escalation, PT404 user_not_found, PT409 not_a_machine.';

create or replace function lab.api_key_create(name text, scopes text[], expires_at timestamptz default null, owner_id uuid default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org      uuid := labos.require_org_for('api_key:create');
  v_user     uuid := lab_private.require_interactive();
  v_owner    uuid := coalesce(api_key_create.owner_id, v_user);
  v_name     text := btrim(api_key_create.name);
  v_settings lab_private.identity_settings;
  v_scopes   text[];
  v_expires  timestamptz;
  v_made     record;
  v_key      lab_data.api_keys;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  select s.* into v_settings from lab_private.identity_settings s;
  if v_owner <> v_user then
    perform lab_private.require_key_keeper(v_org, v_owner);
  end if;
  if v_name is null or length(v_name) not between 1 and 100 or v_name ~ '[[:cntrl:]]' then
    raise exception 'invalid name' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_name')::text,
      hint = 'One to 100 characters that tell what the key is for.';
  end if;
  v_scopes := lab_private.check_scopes(api_key_create.scopes);
  v_expires := coalesce(api_key_create.expires_at, now() + make_interval(days => v_settings.api_key_days));
  if v_expires <= now() then
    raise exception 'the expiry is in the past' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_expiry', 'expires_at', v_expires)::text;
  elsif v_expires > now() + make_interval(days => v_settings.api_key_max_days) then
    raise exception 'a key may not live that long' using errcode = 'PT422',
      detail = json_build_object('code', 'expiry_too_late', 'max_days', v_settings.api_key_max_days)::text,
      hint = 'Make a key that ends sooner, and rotate it (api_key_rotate).';
  elsif exists (select from lab_data.api_keys k
                where k.org_id = v_org and k.owner_id = v_owner and lower(k.name) = lower(v_name) and k.revoked_at is null) then
    raise exception 'you have a key of this name' using errcode = 'PT409',
      detail = json_build_object('code', 'api_key_exists')::text,
      hint = 'Revoke it first, or rotate it.';
  elsif (select count(*) from lab_data.api_keys k where k.org_id = v_org and k.owner_id = v_owner and k.revoked_at is null) >= 100 then
    raise exception 'too many API keys' using errcode = 'PT409',
      detail = json_build_object('code', 'too_many_api_keys', 'most', 100)::text,
      hint = 'Revoke those that are not used.';
  end if;

  v_made := labos.api_key_generate();
  insert into lab_data.api_keys (org_id, owner_id, name, prefix, scopes, expires_at)
  values (v_org, v_owner, v_name, v_made.prefix, v_scopes, v_expires)
  returning * into v_key;
  perform lab_private.api_key_secret_add(v_key, v_made.public_id, v_made.secret_sha256),
          lab_private.access_log('api_key_create', 'success', v_org, v_owner, labos.session_id(),
            jsonb_build_object('key_id', v_key.id, 'by', v_user, 'scopes', v_scopes, 'expires_at', v_expires)),
          lab_private.api_key_mail(v_key, v_user),
          lab_private.respond(200);
  return lab_private.api_key_json(v_key) || jsonb_build_object('key', v_made.key);
end
$$;
comment on function lab.api_key_create(text, text[], timestamptz, uuid) is
$$Create an API key

`key` in the answer is shown this once. `scopes` are permissions of the caller's (sample:read, sample:*): the key may do what they say and its owner may at the time. It lives a year when nothing is said, two at most (settings). `owner_id` names a machine account, for holders of `api_key:create_any`. Not with an API key. Errors: 400 `invalid_name`, `invalid_scopes`, `invalid_expiry`, 403 without `api_key:create`, `interactive_session_required`, `permission_escalation`, 404 `user_not_found`, 409 `api_key_exists`, `too_many_api_keys`, `not_a_machine`, 422 `unknown_permission`, `expiry_too_late`.$$;

create or replace function lab_private.api_key_mail(key lab_data.api_keys, maker uuid) returns void
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select lab_private.outbox_add('mail', 'api_key_created', u.email::text, key.org_id, u.id,
           jsonb_build_object('name', key.name, 'prefix', key.prefix, 'expires_at', key.expires_at))
  from lab_data.users u where u.id = api_key_mail.maker
$$;
comment on function lab_private.api_key_mail(lab_data.api_keys, uuid) is 'Tells who made a key that it was made in their name; never the key.';

create or replace function lab.api_key_rotate(id uuid, overlap_minutes integer default 0) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('api_key:create');
  v_user uuid := lab_private.require_interactive();
  v_made record;
  v_old  uuid[];
  v_key  lab_data.api_keys;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if overlap_minutes is null or overlap_minutes not between 0 and 1440 then
    raise exception 'overlap_minutes must be 0 to 1440' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_overlap')::text;
  end if;
  select k.* into v_key from lab_data.api_keys k
  where k.org_id = v_org and k.id = api_key_rotate.id and k.revoked_at is null and k.expires_at > now()
    and (k.owner_id = v_user or labos.has_permission('api_key:create_any'))
  for no key update;
  if not found then
    raise exception 'API key not found' using errcode = 'PT404',
      detail = json_build_object('code', 'api_key_not_found', 'id', api_key_rotate.id)::text;
  end if;
  if v_key.owner_id <> v_user then
    perform lab_private.require_key_keeper(v_org, v_key.owner_id);
  end if;
  perform lab_private.check_scopes(v_key.scopes);

  v_old := array(select s.session_id from lab_private.api_key_secrets s where s.org_id = v_org and s.key_id = v_key.id);
  v_made := labos.api_key_generate();
  -- The new session first: a key without one counts as revoked.
  perform lab_private.api_key_secret_add(v_key, v_made.public_id, v_made.secret_sha256);
  if overlap_minutes = 0 then
    update lab_data.user_sessions s set revoked_at = now(), revoke_reason = 'api_key'
    where s.org_id = v_org and s.id = any (v_old) and s.revoked_at is null;
    delete from lab_private.api_key_secrets s where s.org_id = v_org and s.key_id = v_key.id and s.session_id = any (v_old);
  else
    update lab_data.user_sessions s set expires_at = now() + make_interval(mins => overlap_minutes)
    where s.org_id = v_org and s.id = any (v_old) and s.revoked_at is null and s.expires_at > now() + make_interval(mins => overlap_minutes);
  end if;
  update lab_data.api_keys k set prefix = v_made.prefix, rotated_at = now()
  where k.org_id = v_org and k.id = v_key.id returning * into v_key;
  perform lab_private.access_log('api_key_rotate', 'success', v_org, v_key.owner_id, labos.session_id(),
            jsonb_build_object('key_id', v_key.id, 'by', v_user, 'overlap_minutes', overlap_minutes)),
          lab_private.respond(200);
  return lab_private.api_key_json(v_key) || jsonb_build_object('key', v_made.key);
end
$$;
comment on function lab.api_key_rotate(uuid, integer) is
$$Rotate an API key

A new secret for one of the caller's own keys, or with `api_key:create_any` one of a machine account, shown this once; name, scopes and expiry stay. The old one ends at once with all that was signed in with it, or after `overlap_minutes` (at most a day). Errors: 400 `invalid_overlap`, 403 without `api_key:create`, `interactive_session_required`, `permission_escalation` when its scopes are more than the owner holds by now, 404 `api_key_not_found`, 409 `not_a_machine`.$$;

create or replace function lab.api_key_revoke(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := labos.require_user();
  v_self uuid := (select s.api_key_id from lab_data.user_sessions s where s.org_id = labos.org_id() and s.id = labos.session_id());
  v_key  lab_data.api_keys;
begin
  perform lab_private.require_writable();
  -- A key may end itself, and nothing else: whoever finds it can take it out of the world.
  if v_self is distinct from api_key_revoke.id or v_self is null then
    perform lab_private.require_interactive();
  end if;
  select k.* into v_key from lab_data.api_keys k
  where k.id = api_key_revoke.id and k.revoked_at is null
    and (k.owner_id = v_user or k.org_id = labos.org_for('api_key:delete_any'));
  if not found then
    raise exception 'API key not found' using errcode = 'PT404',
      detail = json_build_object('code', 'api_key_not_found', 'id', api_key_revoke.id)::text;
  end if;
  if v_key.owner_id <> v_user then
    perform lab_private.require_outranks(v_key.org_id, v_key.owner_id);
  end if;
  update lab_data.api_keys k
  set revoked_at = now(), revoked_by = v_user, revoke_reason = case when k.owner_id = v_user then 'owner' else 'admin' end
  where k.org_id = v_key.org_id and k.id = v_key.id and k.revoked_at is null
  returning * into v_key;
  perform lab_private.access_log('api_key_revoke', 'success', v_key.org_id, v_key.owner_id, labos.session_id(),
            jsonb_build_object('key_id', v_key.id, 'by', v_user)),
          lab_private.respond(200);
  return lab_private.api_key_json(v_key);
end
$$;
comment on function lab.api_key_revoke(uuid) is
$$Revoke an API key

One of the caller's own, or with `api_key:delete_any` one of a member of the organisation. It ends with the next statement of whoever acts with it. A key may revoke itself. Errors: 401 `not_authenticated`, 403 `interactive_session_required`, `permission_escalation`, 404 `api_key_not_found` (also for what the caller may not see).$$;

-- exchange --------------------------------------------------------------------

create or replace function lab_private.api_key_exchange(key text) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id      uuid := labos.api_key_check(key);
  v_session lab_data.user_sessions;
  v_ip      inet := lab_private.client_ip();
  v_shown   boolean;
begin
  select s.* into v_session from lab_data.user_sessions s where s.id = v_id;
  if v_session.id is null or not lab_private.session_alive(v_session) then
    perform lab_private.access_log('api_key_use', 'failure', v_session.org_id, v_session.user_id, v_session.id,
      jsonb_strip_nulls(jsonb_build_object('key_id', v_session.api_key_id, 'reason',
        case when v_session.id is not null then 'ended' when labos.api_key_valid(key) then 'unknown' else 'malformed' end)));
    return null;
  end if;
  -- Not every use is written: a key may be used many times a second.
  select k.last_used_ip is distinct from v_ip into v_shown
  from lab_data.api_keys k where k.org_id = v_session.org_id and k.id = v_session.api_key_id;
  update lab_data.api_keys k set last_used_at = now(), last_used_ip = v_ip
  where k.org_id = v_session.org_id and k.id = v_session.api_key_id
    and (k.last_used_at is null or k.last_used_at < now() - interval '5 minutes');
  if found or v_shown then
    perform lab_private.access_log('api_key_use', 'success', v_session.org_id, v_session.user_id, v_session.id,
      jsonb_build_object('key_id', v_session.api_key_id));
  end if;
  v_session.expires_at := least(v_session.expires_at, clock_timestamp() + interval '15 minutes');
  return lab_private.token_answer(v_session, null, null);
end
$$;
comment on function lab_private.api_key_exchange(text) is
  'Tokens for a key; null when it is refused, with a row in the access log. Use is recorded when the last record is five minutes old or the address is another.';

create or replace function lab.auth_api_key(key text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if key is null then
    raise exception 'key is required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', 'key')::text;
  end if;
  v_answer := lab_private.api_key_exchange(key);
  if v_answer is null then
    return lab_private.problem(401, 'invalid_api_key', 'the API key is not valid');
  end if;
  perform lab_private.respond(200);
  return v_answer;
end
$$;
comment on function lab.auth_api_key(text) is
$$Exchange an API key

An access token for at most 15 minutes with the scopes of the key, and no refresh token: exchange again. SQL clients hand the key to labos.login() instead. Errors: 400 `missing_argument`, 401 `invalid_api_key` (one answer for every reason; the call does not raise, so that the failure is recorded), 405 for GET.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function lab.api_key_create(text, text[], timestamptz, uuid), lab.api_key_rotate(uuid, integer), lab.api_key_revoke(uuid), lab.auth_api_key(text)
  from public;
grant execute on function lab.api_key_create(text, text[], timestamptz, uuid), lab.api_key_rotate(uuid, integer), lab.api_key_revoke(uuid) to lab_user;
grant execute on function lab.auth_api_key(text) to lab_anon, lab_user, lab_guest;
