/*
 * Room: identity, signing in and out
 *
 * What a person does with the own account. A refused sign-in is returned, not
 * raised: an exception would undo its record. Unknown name, wrong password, no
 * password, disabled, locked, unverified and no membership get the same answer
 * after the same work (P52).
 *
 * Holds    auth_login, auth_token, auth_refresh, auth_logout, auth_logout_all,
 *          auth_sessions, auth_session_end, auth_me,
 *          auth_me_update, auth_password_change
 * Needs    020, 021; C identity (password_*)
 */

-- passwords -----------------------------------------------------------------

create or replace function lab_private.password_set(
  user_id uuid, password text, email text, username text, must_change boolean default false) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_problems text[] := labos.password_problems(password_set.password, array[password_set.email, password_set.username]);
  v_hash     text;
begin
  if cardinality(v_problems) > 0 then
    raise exception 'password does not meet the policy' using errcode = 'PT422',
      detail = json_build_object('code', 'weak_password', 'problems', v_problems)::text,
      hint = 'At least 8 characters with an upper-case and a lower-case letter and a digit, not your name, not a common password.';
  end if;
  v_hash := labos.password_hash(password_set.password);
  insert into lab_private.credentials (user_id, password_hash, algorithm, parameters, must_change)
  values (password_set.user_id, v_hash, lab_private.hash_algorithm(v_hash), lab_private.hash_parameters(v_hash), password_set.must_change)
  on conflict on constraint credentials_pkey do update
    set password_hash = excluded.password_hash, algorithm = excluded.algorithm, parameters = excluded.parameters,
        changed_at = now(), must_change = excluded.must_change;
end
$$;
comment on function lab_private.password_set(uuid, text, text, text, boolean) is
  'Stores a password under the policy: PT422 weak_password with the list of problems.';

create or replace function lab_private.hash_algorithm(hash text) returns text
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  select case when hash like '$argon2id$%' then 'argon2id' else 'bcrypt' end
$$;
comment on function lab_private.hash_algorithm(text) is 'argon2id or bcrypt.';

create or replace function lab_private.hash_parameters(hash text) returns jsonb
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  select case when hash like '$argon2id$%'
    then coalesce((select jsonb_object_agg(split_part(x, '=', 1), split_part(x, '=', 2)::integer)
                   from string_to_table(split_part(hash, '$', 4), ',') x), '{}')
    else jsonb_build_object('cost', split_part(hash, '$', 3)::integer) end
$$;
comment on function lab_private.hash_parameters(text) is 'Cost parameters written in a password hash: m (KiB), t, p of Argon2id, or cost of bcrypt.';

-- sign-in -------------------------------------------------------------------

create or replace function lab_private.home_membership(user_id uuid, org text default null) returns uuid
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select m.org_id
  from lab_data.memberships m
  join lab_data.organizations o on o.id = m.org_id and o.is_active and o.deleted_at is null
  where m.user_id = home_membership.user_id and m.left_at is null
    and (home_membership.org is null or o.id::text = lower(home_membership.org) or o.slug::text = lower(home_membership.org))
  order by m.is_default desc, m.joined_at, m.org_id
  limit 1
$$;
comment on function lab_private.home_membership(uuid, text) is
  'The organisation a user signs in to: the named one (id or slug) if a member, else the default, else the first joined.';

create or replace function lab_private.find_user(login text) returns lab_data.users
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_user lab_data.users;
begin
  -- Each by its index: a search through all users would take longer for those it does not find.
  if length(login) <= 320 and position('@' in login) > 0 then
    select u.* into v_user from lab_data.users u
    where u.email = lower(normalize(btrim(login), nfc)) and u.deleted_at is null;
  elsif length(login) <= 320 then
    select u.* into v_user from lab_data.users u
    where lower(u.username) = lower(btrim(login)) and u.deleted_at is null;
  end if;
  return v_user;
end
$$;
comment on function lab_private.find_user(text) is 'A user by e-mail address or username.';

-- Signatures of version 0.2.
drop function if exists lab_private.charge_attempt(uuid, integer, integer);
drop function if exists lab_private.check_password(lab_data.users, text);
drop function if exists lab_private.sign_in(text, text, text, jsonb);
drop function if exists lab.auth_login(text, text, text, jsonb);

create or replace function lab_private.show_attempts(user_id uuid) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  -- After the check, for a moment: guesses at one account do not wait for each other, as those at no account do not.
  perform from lab_data.users u where u.id = show_attempts.user_id for no key update;
  perform set_config('lab.login_guard', 'follow', true);
  update lab_data.users u
  set failed_login_attempts = g.failed, locked_until = nullif(g.locked_until, '-infinity')
  from lab_private.login_guard g
  where u.id = show_attempts.user_id and g.user_id = u.id;
  perform set_config('lab.login_guard', '', true);
end
$$;
comment on function lab_private.show_attempts(uuid) is 'Copies what login_guard counts into users, for reading.';

create or replace function lab_private.charge_decoy(id uuid) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform labos.use_guard_attempt(charge_decoy.id, 2147483647, 1);
end
$$;
comment on function lab_private.charge_decoy(uuid) is 'The page write and WAL flush of an attempt that is counted nowhere; never locks.';

create or replace function lab_private.show_decoy(id uuid) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform from lab_private.login_decoys d where d.id = show_decoy.id for no key update skip locked;
  if found then
    update lab_private.login_decoys d
    set failed_login_attempts = g.used, locked_until = nullif(g.until, '-infinity')
    from lab_private.use_guard g
    where d.id = show_decoy.id and g.id = d.id;
  end if;
end
$$;
comment on function lab_private.show_decoy(uuid) is 'The row that show_attempts() writes, when there is no user.';

create or replace function lab_private.check_password(
  candidate lab_data.users, password text, device_id uuid default null, out matched boolean, out reason text)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_settings lab_private.identity_settings;
  v_hash     text;
  v_number   integer := floor(random() * 64);
  v_decoy    uuid := (select d.id from lab_private.login_decoys d where d.number = v_number);
  v_charged  record;
  v_started  timestamptz;
  v_stale    boolean;
begin
  select s.* into v_settings from lab_private.identity_settings s;
  select c.password_hash into v_hash from lab_private.credentials c where c.user_id = candidate.id;
  -- Before the charge: who gets no place among those that hash is not charged.
  perform labos.hash_slot_acquire();
  -- One charge that is counted or, where none may be, a decoy's: the same work. A locked account is not charged, so that attempts do not extend the lock.
  if v_hash is null then
    perform lab_private.charge_decoy(v_decoy);
    reason := case when candidate.id is null then 'unknown_user' else 'no_password' end;
  else
    if device_id is null then
      v_charged := labos.login_guard_charge(candidate.id, v_settings.max_failed_logins, v_settings.lock_seconds);
    else
      v_charged := labos.use_guard_attempt(device_id, v_settings.max_failed_logins, v_settings.lock_seconds);
    end if;
    if v_charged.attempts is null then
      perform lab_private.charge_decoy(v_decoy);
      reason := 'locked';
    end if;
  end if;
  -- What the policy's hash costs must be known before a cheaper one can be made to last as long: once in a backend, for whomever.
  v_stale := labos.password_needs_rehash(v_hash);
  if labos.password_seconds() is null then
    v_started := clock_timestamp();
    perform labos.password_dummy_verify(password);
    perform labos.password_seconds(extract(epoch from clock_timestamp() - v_started)::float8);
  end if;
  v_started := clock_timestamp();
  if v_hash is null then
    matched := labos.password_dummy_verify(password);
  else
    matched := labos.password_verify(password, v_hash) and reason is null;
  end if;
  -- Empty and endless ones are refused without a hash, whomever they are for.
  if octet_length(password) not between 1 and 4096 then
    null;
  elsif v_stale then
    perform pg_sleep(greatest(0, labos.password_seconds() - extract(epoch from clock_timestamp() - v_started)::float8));
  else
    perform labos.password_seconds(extract(epoch from clock_timestamp() - v_started)::float8);
  end if;
  if not matched and reason is null then
    reason := case when v_charged.locked_until is null then 'wrong_password' else 'lockout' end;
  end if;
  if candidate.id is null then
    perform lab_private.show_decoy(v_decoy);
  else
    perform lab_private.show_attempts(candidate.id);
  end if;
end
$$;
comment on function lab_private.check_password(lab_data.users, text, uuid) is
  'Charges an attempt before it checks a password, whatever becomes of the transaction (P29), with work that does not depend on why it fails (P52): one charge, one verification, one row. From a known device its own guard is charged (P54).';

create or replace function lab_private.password_rehash(user_id uuid, password text) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_hash text := (select c.password_hash from lab_private.credentials c where c.user_id = password_rehash.user_id);
begin
  if labos.password_needs_rehash(v_hash) then
    -- Only if nobody changed it meanwhile (P48).
    update lab_private.credentials c
    set password_hash = n.hash, algorithm = lab_private.hash_algorithm(n.hash), parameters = lab_private.hash_parameters(n.hash)
    from (select labos.password_hash(password) as hash) n
    where c.user_id = password_rehash.user_id and c.password_hash = v_hash;
  end if;
end
$$;
comment on function lab_private.password_rehash(uuid, text) is 'Hashes a password that has just proved right anew, when its hash is of another scheme or weaker than the settings.';

create or replace function lab_private.signed_in(
  org_id uuid, user_id uuid, device_info jsonb, device_id uuid, device_token text, aal smallint, amr text[]) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
  v_device text;
begin
  update lab_data.users u set last_login_at = now(), last_login_ip = lab_private.client_ip() where u.id = signed_in.user_id;
  perform lab_private.access_log('login', 'success', signed_in.org_id, signed_in.user_id, null, jsonb_build_object('amr', signed_in.amr));
  v_answer := lab_private.session_open(signed_in.org_id, signed_in.user_id, signed_in.device_info,
    aal => signed_in.aal, amr => signed_in.amr);
  v_device := lab_private.device_remember(signed_in.org_id, signed_in.user_id, signed_in.device_id, (v_answer ->> 'session_id')::uuid);
  return v_answer || jsonb_strip_nulls(jsonb_build_object('device_token', coalesce(v_device, signed_in.device_token)));
end
$$;
comment on function lab_private.signed_in(uuid, uuid, jsonb, uuid, text, smallint, text[]) is
  'What every completed sign-in ends with: the record, the session, the device.';

create or replace function lab_private.lockout(org_id uuid, user_id uuid, detail jsonb) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.access_log('lockout', 'failure', lockout.org_id, lockout.user_id, null, lockout.detail),
          lab_private.mail_user('lockout', lockout.org_id, lockout.user_id, '{}');
end
$$;
comment on function lab_private.lockout(uuid, uuid, jsonb) is 'Records that a wrong password has locked an account, and tells its owner.';

create or replace function lab_private.sign_in(login text, password text, org text, device_info jsonb, device_token text default null) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user   lab_data.users := lab_private.find_user(login);
  v_org    uuid := lab_private.home_membership(v_user.id, org);
  v_device uuid := lab_private.device_find(v_user.id, device_token);
  v_check  record;
begin
  -- Before any account is charged: one address cannot lock accounts at will (P54).
  perform labos.login_throttle('password');
  v_check := lab_private.check_password(v_user, password, v_device);
  if v_check.matched then
    v_check.reason := case when not v_user.is_active then 'disabled'
                           when not v_user.is_verified then 'unverified'
                           when v_org is null then 'no_membership'
                           -- Made for somebody and never taken over by them: whoever found it later is not them.
                           when exists (select from lab_private.credentials c, lab_private.identity_settings s
                                        where c.user_id = v_user.id and c.must_change
                                          and c.changed_at + make_interval(days => s.initial_password_days) <= clock_timestamp()) then 'initial_password_expired' end;
  end if;
  if v_check.reason is null then
    -- A device lifts its own lock, not that of the account.
    if v_device is not null then
      perform labos.use_guard_reset(v_device);
    end if;
    if v_device is null or (select g.locked_until <= clock_timestamp() from lab_private.login_guard g where g.user_id = v_user.id) then
      perform labos.login_guard_set(v_user.id, 0, null);
    end if;
    perform lab_private.show_attempts(v_user.id),
            lab_private.password_rehash(v_user.id, password);
    if exists (select from lab_private.mfa_factors f where f.user_id = v_user.id and f.confirmed_at is not null) then
      perform lab_private.access_log('mfa_challenge', 'success', v_org, v_user.id);
      return lab_private.mfa_challenge(v_org, v_user.id, device_info, v_device);
    end if;
    return lab_private.signed_in(v_org, v_user.id, device_info, v_device, device_token, 1::smallint, '{pwd}');
  end if;
  perform labos.login_throttle_failed('password');
  v_org := coalesce(v_org, lab_private.home_membership(v_user.id));
  if v_check.reason = 'lockout' then
    perform lab_private.lockout(v_org, v_user.id, jsonb_strip_nulls(jsonb_build_object('device', v_device)));
  end if;
  perform lab_private.access_log('login', 'failure', v_org, v_user.id, null,
    jsonb_build_object('reason', case v_check.reason when 'lockout' then 'wrong_password' else v_check.reason end));
  return null;
end
$$;
comment on function lab_private.sign_in(text, text, text, jsonb, text) is
  'Signs in with e-mail or username and password: tokens, or the challenge of the second factor; null when refused, for whatever reason, with a row in the access log.';

create or replace function lab_private.check_device_info(device_info jsonb) returns jsonb
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(device_info) not in ('object', 'string', 'null') or pg_column_size(device_info) > 4000 then
    raise exception 'device_info must be an object or a string of at most 4 KB' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_device_info')::text;
  end if;
  return nullif(device_info, 'null');
end
$$;
comment on function lab_private.check_device_info(jsonb) is 'PT400 invalid_device_info; JSON null is none.';

create or replace function lab.auth_login(
  login text, password text, org text default null, device_info jsonb default null, device_token text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if login is null or password is null then
    raise exception 'login and password are required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', case when login is null then 'login' else 'password' end)::text;
  end if;
  v_answer := lab_private.sign_in(login, password, org, lab_private.check_device_info(device_info), device_token);
  if v_answer is null then
    return lab_private.problem(401, 'invalid_credentials', 'login or password is wrong');
  end if;
  perform lab_private.respond(200);
  return v_answer;
end
$$;
comment on function lab.auth_login(text, text, text, jsonb, text) is
$$Sign in

E-mail or username and password give an access token (15 minutes by default), a refresh token (7 days, single use), the user, the organisation, roles and permissions; `org` (id or slug) chooses another membership than the default. With a second factor the answer is `mfa_required` with a `challenge` for auth_mfa_verify. `device_token` of an earlier answer marks a known device: it signs in although strangers have locked the account. Five failures in a row lock the account for 30 minutes, five more for an hour, and so on. A session that says `restricted` may only do what that names: change the password, or set up a second factor. Errors: 400 `missing_argument`, `invalid_device_info`, 401 `invalid_credentials` (one answer for every reason; the call does not raise, so that the failure is recorded), 405 for GET.$$;

create or replace function lab_private.oauth_error(error text, description text) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.respond(400);
  return jsonb_build_object('error', error, 'error_description', description);
end
$$;
comment on function lab_private.oauth_error(text, text) is 'An error body of RFC 6749, section 5.2.';

create or replace function lab.auth_token(
  grant_type text default null, username text default null, password text default null, refresh_token text default null,
  scope text default null, client_id text default null, client_secret text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if grant_type is null then
    return lab_private.oauth_error('invalid_request', 'grant_type is required');
  elsif grant_type not in ('password', 'refresh_token') then
    return lab_private.oauth_error('unsupported_grant_type', 'grant_type must be password or refresh_token');
  elsif btrim(coalesce(scope, '')) <> '' then
    return lab_private.oauth_error('invalid_scope', 'no scopes are defined: leave scope empty');
  elsif grant_type = 'password' and (username is null or password is null) then
    return lab_private.oauth_error('invalid_request', 'username and password are required');
  elsif grant_type = 'refresh_token' and refresh_token is null then
    return lab_private.oauth_error('invalid_request', 'refresh_token is required');
  end if;

  if grant_type = 'password' then
    v_answer := lab_private.sign_in(username, password, null, null);
  else
    v_answer := lab_private.refresh_rotate(refresh_token);
  end if;
  if v_answer is null then
    return lab_private.oauth_error('invalid_grant',
      case grant_type when 'password' then 'username or password is wrong' else 'the refresh token is invalid, expired or revoked' end);
  elsif v_answer ? 'mfa_required' then
    return lab_private.oauth_error('mfa_required', 'a second factor is required: send mfa_token as challenge to auth_mfa_verify')
      || jsonb_build_object('mfa_token', v_answer -> 'challenge', 'expires_in', v_answer -> 'expires_in');
  end if;
  perform lab_private.respond(200);
  return jsonb_build_object(
    'access_token', v_answer -> 'access_token', 'token_type', v_answer -> 'token_type', 'expires_in', v_answer -> 'expires_in',
    'refresh_token', v_answer -> 'refresh_token', 'scope', '');
end
$$;
comment on function lab.auth_token(text, text, text, text, text, text, text) is
$$OAuth 2.0 token endpoint

The password and refresh_token grants of RFC 6749, as JSON or as a form, for clients that speak OAuth; `client_id` and `client_secret` are accepted and not used. Errors as RFC 6749, section 5.2: 400 with `error` invalid_request, invalid_grant, invalid_scope or unsupported_grant_type; mfa_required with `mfa_token` for an account with a second factor.$$;

create or replace function lab.auth_refresh(refresh_token text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if refresh_token is null then
    raise exception 'refresh_token is required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', 'refresh_token')::text;
  end if;
  v_answer := lab_private.refresh_rotate(refresh_token);
  if v_answer is null then
    return lab_private.problem(401, 'invalid_refresh_token', 'the refresh token is invalid, expired or revoked', 'Sign in again.');
  end if;
  perform lab_private.respond(200);
  return v_answer;
end
$$;
comment on function lab.auth_refresh(text) is
$$Refresh

Exchanges a refresh token for a new pair; each works once. For 10 seconds a used one gives the same pair again (a lost answer, three tabs); after that, its coming again ends the session. Errors: 400 `missing_argument`, 401 `invalid_refresh_token`.$$;

-- sessions ------------------------------------------------------------------

create or replace function lab.auth_logout(refresh_token text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_session lab_data.user_sessions;
begin
  perform lab_private.require_writable();
  if refresh_token is not null then
    select s.* into v_session
    from lab_private.refresh_tokens t
    join lab_data.user_sessions s on s.org_id = t.org_id and s.id = t.session_id
    where t.token_sha256 = sha256(convert_to(auth_logout.refresh_token, 'UTF8'));
  elsif labos.session_id() is not null then
    v_session := lab_private.this_session();
  else
    raise exception 'refresh_token is required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', 'refresh_token')::text,
      hint = 'Or send the access token of the session to end.';
  end if;
  if lab_private.sessions_end('logout', v_session.user_id, session_id => v_session.id) > 0 then
    perform lab_private.access_log('logout', 'success', v_session.org_id, v_session.user_id, v_session.id);
  end if;
  perform lab_private.respond(200);
  return jsonb_build_object('status', 'ok');
end
$$;
comment on function lab.auth_logout(text) is
$$Sign out

Ends the session of a refresh token or, without one, of the access token the call is made with; its access tokens stop with the next request. The answer is the same for a token that is unknown or already ended (RFC 7009). Errors: 400 `missing_argument`.$$;

create or replace function lab.auth_logout_all() returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user  uuid := lab_private.require_interactive();
  v_ended integer;
begin
  perform lab_private.require_writable();
  v_ended := lab_private.sessions_end('logout_all', v_user);
  perform lab_private.access_log('logout_all', 'success', labos.org_id(), v_user, labos.session_id(), jsonb_build_object('ended', v_ended)),
          lab_private.respond(200);
  return jsonb_build_object('status', 'ok', 'sessions_ended', v_ended);
end
$$;
comment on function lab.auth_logout_all() is
$$Sign out everywhere

Ends all sessions of the caller in all organisations, this one included; returns how many. Errors: 401 `not_authenticated`, 403 `interactive_session_required`.$$;

create or replace function lab.auth_sessions() returns table (
  id uuid, org_id uuid, organization text, device_info jsonb, user_agent text, ip inet,
  created_at timestamptz, last_seen_at timestamptz, expires_at timestamptz, is_current boolean)
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := lab_private.require_interactive();
begin
  return query
    select s.id, s.org_id, o.name::text, s.device_info, s.user_agent, s.ip, s.created_at, s.last_seen_at, s.expires_at,
           s.id is not distinct from labos.session_id()
    from lab_data.user_sessions s
    join lab_data.organizations o on o.id = s.org_id
    where s.user_id = v_user and s.revoked_at is null and s.expires_at > clock_timestamp()
      and s.kind <> 'api_key'   -- those are listed as api_keys
    order by s.last_seen_at desc, s.id desc;
end
$$;
comment on function lab.auth_sessions() is
$$My sessions

The caller's open sessions in all organisations, the latest first; `is_current` marks the one of this call. Errors: 401 `not_authenticated`, 403 `interactive_session_required`.$$;

create or replace function lab.auth_session_end(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user    uuid := labos.require_user();
  v_session lab_data.user_sessions;
begin
  perform lab_private.require_writable();
  -- This one; one's own anywhere; others' in the acting organisation with session:delete_any.
  select s.* into v_session from lab_data.user_sessions s
  where s.id = auth_session_end.id and s.revoked_at is null
    and (s.id = labos.session_id() or (s.user_id = v_user and lab_private.is_interactive())
         or s.org_id = labos.org_for('session:delete_any'));
  if not found then
    raise exception 'session not found' using errcode = 'PT404',
      detail = json_build_object('code', 'session_not_found', 'id', auth_session_end.id)::text;
  end if;
  if v_session.user_id <> v_user then
    perform lab_private.require_outranks(v_session.org_id, v_session.user_id);
  end if;
  perform lab_private.sessions_end(case when v_session.user_id = v_user then 'ended' else 'admin' end,
            v_session.user_id, session_id => v_session.id),
          lab_private.access_log('session_end', 'success', v_session.org_id, v_session.user_id, v_session.id,
            jsonb_build_object('by', v_user));
  return jsonb_build_object('status', 'ok', 'id', v_session.id);
end
$$;
comment on function lab.auth_session_end(uuid) is
$$End a session

Ends one of the caller's sessions, or with `session:delete_any` one of a member of the organisation; an API key, and a session with scopes, end only themselves without that. Errors: 401 `not_authenticated`, 404 `session_not_found` (also for what the caller may not see).$$;

-- profile -------------------------------------------------------------------

create or replace function lab.auth_me() returns jsonb
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := labos.require_user();
  v_org  uuid := labos.org_id();
begin
  return (
    select jsonb_build_object(
      'id', u.id, 'email', u.email, 'username', u.username, 'first_name', u.first_name, 'last_name', u.last_name,
      'full_name', u.full_name, 'is_active', u.is_active, 'is_verified', u.is_verified, 'is_superuser', u.is_superuser,
      'mfa_enabled', u.mfa_enabled,
      'mfa_backup_codes_left', (select count(*) from lab_private.mfa_backup_codes b where b.user_id = u.id and b.used_at is null),
      'last_login_at', u.last_login_at, 'preferences', u.preferences, 'created_at', u.created_at,
      'must_change_password', coalesce((select c.must_change from lab_private.credentials c where c.user_id = u.id), false),
      'session_id', labos.session_id(),
      'organization', (select jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug) from lab_data.organizations o where o.id = v_org),
      'memberships', (select coalesce(jsonb_agg(jsonb_build_object('org_id', o.id, 'name', o.name, 'slug', o.slug, 'title', m.title,
                               'is_default', m.is_default, 'joined_at', m.joined_at) order by m.joined_at, o.id), '[]')
                      from lab_data.memberships m
                      join lab_data.organizations o on o.id = m.org_id and o.is_active and o.deleted_at is null
                      where m.user_id = u.id and m.left_at is null),
      'scopes', lab_private.session_scopes(),
      'is_guest', labos.is_guest(),
      'roles', lab_private.current_roles(),
      'permissions', lab_private.current_permissions())
    from lab_data.users u where u.id = v_user);
end
$$;
comment on function lab.auth_me() is
$$Who am I

The caller's profile with memberships, and roles and effective permissions in the acting organisation, read live. Errors: 401 `not_authenticated`.$$;

create or replace function lab.auth_me_update(
  first_name text default null, last_name text default null, full_name text default null, username text default null,
  preferences jsonb default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := lab_private.require_interactive();
begin
  perform lab_private.require_writable(),
          lab_private.check_names(auth_me_update.first_name, auth_me_update.last_name, auth_me_update.full_name);
  if jsonb_typeof(auth_me_update.preferences) <> 'object' or pg_column_size(auth_me_update.preferences) > 16384 then
    raise exception 'preferences must be an object of at most 16 KB' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_preferences')::text;
  end if;
  if auth_me_update.username is not null then
    perform lab_private.check_username(auth_me_update.username, v_user);
  end if;
  update lab_data.users u
  set first_name = nullif(btrim(coalesce(auth_me_update.first_name, u.first_name)), ''),
      last_name = nullif(btrim(coalesce(auth_me_update.last_name, u.last_name)), ''),
      full_name = nullif(btrim(coalesce(auth_me_update.full_name, u.full_name)), ''),
      username = coalesce(auth_me_update.username, u.username),
      preferences = coalesce(auth_me_update.preferences, u.preferences)
  where u.id = v_user;
  return lab.auth_me();
end
$$;
comment on function lab.auth_me_update(text, text, text, text, jsonb) is
$$Change my profile

What is left out stays; an empty name clears it. `preferences` replaces the whole object. The e-mail address is changed with auth_email_change. Errors: 400 `invalid_username`, `invalid_name`, `invalid_preferences`, 401 `not_authenticated`, 403 `interactive_session_required`, 409 `username_taken`.$$;

create or replace function lab_private.reauthenticate(user_id uuid, password text, out matched boolean, out reason text)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_charged record;
begin
  perform labos.hash_slot_acquire();
  -- A guard of its own: who has a session can neither guess on for ever nor lock the account for its owner.
  select a.* into v_charged
  from lab_private.identity_settings s, labos.use_guard_attempt(reauthenticate.user_id, s.max_failed_logins, s.lock_seconds) a;
  if v_charged.attempts is null then
    -- No hash will: an open transaction must not keep the place.
    perform labos.hash_slot_release();
    matched := false;
    reason := 'locked';
    return;
  end if;
  matched := coalesce(labos.password_verify(reauthenticate.password,
    (select c.password_hash from lab_private.credentials c where c.user_id = reauthenticate.user_id)), false);
  if matched then
    perform labos.use_guard_reset(reauthenticate.user_id);
  else
    reason := 'wrong_password';
  end if;
end
$$;
comment on function lab_private.reauthenticate(uuid, text) is
  'Whether a signed-in user knows the password: for changes that need it again. Five failures close this way for 30 minutes, and nothing else.';

create or replace function lab_private.reauthentication_refused(reason text) returns jsonb
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select case reauthentication_refused.reason
    when 'locked' then lab_private.problem(429, 'too_many_attempts', 'too many wrong passwords', 'Try again later.')
    else lab_private.problem(403, 'wrong_password', 'the current password is wrong') end
$$;
comment on function lab_private.reauthentication_refused(text) is '403 wrong_password, 429 too_many_attempts.';

create or replace function lab.auth_password_change(current text, new text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id    uuid := lab_private.require_own_account();
  v_user  lab_data.users;
  v_check record;
  v_ended integer;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if auth_password_change.current is null or auth_password_change.new is null then
    raise exception 'current and new are required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument',
                                 'argument', case when auth_password_change.current is null then 'current' else 'new' end)::text;
  end if;
  v_check := lab_private.reauthenticate(v_id, auth_password_change.current);
  if not v_check.matched then
    perform lab_private.access_log('password_change', 'failure', labos.org_id(), v_id, labos.session_id(),
      jsonb_build_object('reason', v_check.reason));
    return lab_private.reauthentication_refused(v_check.reason);
  elsif auth_password_change.current = auth_password_change.new then
    raise exception 'the new password equals the current one' using errcode = 'PT422',
      detail = json_build_object('code', 'weak_password', 'problems', array['unchanged'])::text;
  end if;
  select u.* into v_user from lab_data.users u where u.id = v_id;
  perform lab_private.password_set(v_id, auth_password_change.new, v_user.email::text, v_user.username::text);
  update lab_data.users u set failed_login_attempts = 0, locked_until = null where u.id = v_id;
  v_ended := lab_private.sessions_end('password_change', v_id, except_session => labos.session_id());
  perform lab_private.access_log('password_change', 'success', labos.org_id(), v_id, labos.session_id(),
            jsonb_build_object('sessions_ended', v_ended)),
          lab_private.mail_user('password_changed', labos.org_id(), v_id, '{}'),
          lab_private.respond(200);
  return jsonb_build_object('status', 'ok', 'sessions_ended', v_ended) || lab_private.restriction_lifted('password_change_required');
end
$$;
comment on function lab.auth_password_change(text, text) is
$$Change my password

Needs the current password; ends every other session of the caller, and forgets the other devices. In a session restricted to this change the answer holds `tokens` of a full one. Five wrong passwords close this call for 30 minutes, not the account. Errors: 400 `missing_argument`, 401 `not_authenticated`, 403 `wrong_password`, `interactive_session_required`, 422 `weak_password` with the list of problems, 429 `too_many_attempts`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.auth_login(text, text, text, jsonb, text), lab.auth_token(text, text, text, text, text, text, text), lab.auth_refresh(text),
  lab.auth_logout(text), lab.auth_logout_all(), lab.auth_sessions(), lab.auth_session_end(uuid),
  lab.auth_me(), lab.auth_me_update(text, text, text, text, jsonb), lab.auth_password_change(text, text)
  from public;
-- Without a token: to obtain one, and to end a session by its refresh token.
grant execute on function
  lab.auth_login(text, text, text, jsonb, text), lab.auth_token(text, text, text, text, text, text, text), lab.auth_refresh(text),
  lab.auth_logout(text)
  to lab_anon, lab_user, lab_guest;
grant execute on function
  lab.auth_logout_all(), lab.auth_sessions(), lab.auth_session_end(uuid),
  lab.auth_me(), lab.auth_me_update(text, text, text, text, jsonb), lab.auth_password_change(text, text)
  to lab_user;
