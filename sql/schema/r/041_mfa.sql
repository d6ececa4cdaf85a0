/*
 * Room: identity, the second factor
 *
 * TOTP codes and backup codes, devices that are known, and what a restricted
 * session may do. A wrong code is counted before it is looked at, an accepted
 * one is used up, and both hold whatever becomes of the transaction (P29, P57).
 *
 * Holds    auth_mfa_setup, auth_mfa_confirm, auth_mfa_disable,
 *          auth_mfa_backup_codes, auth_mfa_verify, auth_devices,
 *          auth_device_forget, user_mfa_reset
 * Needs    020 to 023, 040; C identity (totp_step, qr_svg, use_guard_*)
 */

-- guards --------------------------------------------------------------------

create or replace function lab_private.tg_users__use_guard() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, pg_temp
as $$
begin
  insert into lab_private.use_guard (id) values (NEW.id) on conflict on constraint use_guard_pkey do nothing;
  return null;
end
$$;
comment on function lab_private.tg_users__use_guard() is 'Gives each user the row that reauthenticate() charges.';
create or replace trigger _522_use_guard after insert on lab_data.users
  for each row execute function lab_private.tg_users__use_guard();
insert into lab_private.use_guard (id) select u.id from lab_data.users u
on conflict on constraint use_guard_pkey do nothing;

create or replace function lab_private.second_guards_reset(user_id uuid) returns void
  language sql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
  select labos.use_guard_reset(g.id)
  from (select second_guards_reset.user_id
        union all
        select f.guard_id from lab_private.mfa_factors f where f.user_id = second_guards_reset.user_id) g (id)
$$;
comment on function lab_private.second_guards_reset(uuid) is 'Lifts what wrong codes and wrong passwords of a signed-in user have locked.';

-- mail ----------------------------------------------------------------------

create or replace function lab_private.mail_user(template text, org_id uuid, user_id uuid, payload jsonb) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_email text := (select u.email::text from lab_data.users u where u.id = mail_user.user_id);
begin
  if v_email is not null then
    perform lab_private.outbox_add('mail', mail_user.template, v_email, mail_user.org_id, mail_user.user_id,
      jsonb_strip_nulls(jsonb_build_object('ip', host(lab_private.client_ip()), 'user_agent', lab_private.client_user_agent(),
                                           'at', clock_timestamp()) || mail_user.payload));
  end if;
end
$$;
comment on function lab_private.mail_user(text, uuid, uuid, jsonb) is 'Queues a mail to a user about the own account, with address, user agent and time of this request.';

-- restricted sessions ---------------------------------------------------------

create or replace function lab_private.require_own_account() returns uuid
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if exists (select from lab_data.user_sessions s
             where s.id = labos.session_id() and s.user_id = labos.user_id() and lab_private.is_restricted(s)) then
    return labos.require_user();
  end if;
  return lab_private.require_interactive();
end
$$;
comment on function lab_private.require_own_account() is
  'require_interactive(), or a session restricted to what this is for: PT401 not_authenticated, PT403 interactive_session_required.';

create or replace function lab_private.restriction_lifted(reason text, aal smallint default null, amr text[] default null) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_session lab_data.user_sessions;
  v_answer  jsonb;
begin
  select s.* into v_session from lab_data.user_sessions s where s.org_id = labos.org_id() and s.id = labos.session_id();
  if not lab_private.is_restricted(v_session) or v_session.reason <> restriction_lifted.reason then
    return '{}'::jsonb;
  end if;
  -- More rights, another session (P25).
  perform lab_private.sessions_end('ended', v_session.user_id, session_id => v_session.id);
  v_answer := lab_private.session_open(v_session.org_id, v_session.user_id, v_session.device_info, kind => v_session.kind,
    aal => coalesce(restriction_lifted.aal, v_session.aal), amr => coalesce(restriction_lifted.amr, v_session.amr));
  update lab_private.known_devices d set session_id = (v_answer ->> 'session_id')::uuid
  where d.user_id = v_session.user_id and d.session_id = v_session.id;
  return jsonb_build_object('tokens', v_answer);
end
$$;
comment on function lab_private.restriction_lifted(text, smallint, text[]) is
  'When the present session was restricted to this: ends it and gives tokens of a new one, which may be restricted to the next thing.';

-- known devices -------------------------------------------------------------

create or replace function lab_private.device_find(user_id uuid, token text) returns uuid
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select d.id
  from lab_private.known_devices d
  where d.secret_sha256 = sha256(convert_to(left(device_find.token, 100), 'UTF8')) and d.user_id = device_find.user_id
    and d.revoked_at is null and d.expires_at > clock_timestamp()
$$;
comment on function lab_private.device_find(uuid, text) is 'The known device of a user with this token, or null.';

create or replace function lab_private.device_remember(org_id uuid, user_id uuid, device_id uuid, session_id uuid) returns text
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_days  integer := (select s.device_days from lab_private.identity_settings s);
  v_token text;
  v_id    uuid;
  v_agent text := lab_private.client_user_agent();
  v_ip    inet := lab_private.client_ip();
  v_old   uuid[];
begin
  update lab_private.known_devices d
  set session_id = device_remember.session_id, user_agent = v_agent, ip = v_ip, last_used_at = clock_timestamp(),
      expires_at = clock_timestamp() + make_interval(days => v_days)
  where d.id = device_remember.device_id and d.user_id = device_remember.user_id and d.revoked_at is null;
  if found then
    return null;
  end if;
  -- New is what comes from where, and with what, this user has never signed in; the very first is no news.
  if exists (select from lab_private.known_devices d where d.user_id = device_remember.user_id)
     and not exists (select from lab_private.known_devices d
                     where d.user_id = device_remember.user_id and d.user_agent is not distinct from v_agent and d.ip is not distinct from v_ip) then
    perform lab_private.mail_user('new_device', device_remember.org_id, device_remember.user_id, '{}'),
            lab_private.access_log('new_device', 'success', device_remember.org_id, device_remember.user_id, device_remember.session_id);
  end if;
  v_token := labos.random_token();
  insert into lab_private.known_devices (user_id, secret_sha256, session_id, user_agent, ip, expires_at)
  values (device_remember.user_id, sha256(convert_to(v_token, 'UTF8')), device_remember.session_id, v_agent, v_ip,
          clock_timestamp() + make_interval(days => v_days))
  returning id into v_id;
  insert into lab_private.use_guard (id) values (v_id);
  -- At most fifty: scripts that never show a token again push out each other before a device that does.
  v_old := array(select d.id from lab_private.known_devices d
                 where d.user_id = device_remember.user_id and d.id <> v_id
                 order by d.revoked_at is null and d.expires_at > clock_timestamp() desc,
                          d.last_used_at > d.created_at + interval '1 second' desc, d.last_used_at desc, d.id desc
                 offset 49);
  if cardinality(v_old) > 0 then
    delete from lab_private.known_devices d where d.id = any (v_old);
    delete from lab_private.use_guard g where g.id = any (v_old);
  end if;
  return v_token;
end
$$;
comment on function lab_private.device_remember(uuid, uuid, uuid, uuid) is
  'Dates a known device, or makes this one known: then its new token, and a mail when it is from anywhere new. At most fifty of a user.';

create or replace function lab_private.tg_credentials__forget_devices() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  update lab_private.known_devices d set revoked_at = clock_timestamp()
  where d.user_id = NEW.user_id and d.revoked_at is null
    and (labos.session_id() is null or d.session_id is distinct from labos.session_id());
  return null;
end
$$;
comment on function lab_private.tg_credentials__forget_devices() is
  'A new password makes all devices unknown but the one it is changed on: who got in before is not known any more.';
create or replace trigger _500_forget_devices after update of changed_at on lab_private.credentials
  for each row when (old.changed_at is distinct from new.changed_at)
  execute function lab_private.tg_credentials__forget_devices();

create or replace function lab.auth_devices() returns table (
  id uuid, user_agent text, ip inet, created_at timestamptz, last_used_at timestamptz, expires_at timestamptz, is_current boolean)
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := lab_private.require_interactive();
begin
  return query
    select d.id, d.user_agent, d.ip, d.created_at, d.last_used_at, d.expires_at, coalesce(d.session_id = labos.session_id(), false)
    from lab_private.known_devices d
    where d.user_id = v_user and d.revoked_at is null and d.expires_at > clock_timestamp()
    order by d.last_used_at desc, d.id desc;
end
$$;
comment on function lab.auth_devices() is
$$My known devices

Where the caller has signed in and may do so although strangers have locked the account; `is_current` marks that of this session. Errors: 401 `not_authenticated`, 403 `interactive_session_required`.$$;

create or replace function lab.auth_device_forget(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := lab_private.require_interactive();
begin
  perform lab_private.require_writable();
  update lab_private.known_devices d set revoked_at = clock_timestamp()
  where d.id = auth_device_forget.id and d.user_id = v_user and d.revoked_at is null;
  if not found then
    raise exception 'device not found' using errcode = 'PT404',
      detail = json_build_object('code', 'device_not_found', 'id', auth_device_forget.id)::text;
  end if;
  perform lab_private.access_log('device_forget', 'success', labos.org_id(), v_user, labos.session_id(),
    jsonb_build_object('device', auth_device_forget.id));
  return jsonb_build_object('status', 'ok', 'id', auth_device_forget.id);
end
$$;
comment on function lab.auth_device_forget(uuid) is
$$Forget a device

Its token is worth nothing from now on; its sessions stay (auth_session_end ends one). Errors: 401 `not_authenticated`, 403 `interactive_session_required`, 404 `device_not_found`.$$;

-- codes ---------------------------------------------------------------------

create or replace function lab_private.backup_code_digest(code text) returns bytea
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  select case when x.code ~ '^[A-Z2-7]{24}$' then sha256(convert_to(x.code, 'UTF8')) end
  from (select upper(translate(left(backup_code_digest.code, 100), '- ', '')) collate "C") x (code)
$$;
comment on function lab_private.backup_code_digest(text) is 'Digest of a backup code, however it is written; null for what is none.';

create or replace function lab_private.backup_codes_make(user_id uuid) returns text[]
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_codes text[] := array[]::text[];
  v_code  text;
  v_id    uuid;
begin
  delete from lab_private.use_guard g using lab_private.mfa_backup_codes b where b.user_id = backup_codes_make.user_id and g.id = b.id;
  delete from lab_private.mfa_backup_codes b where b.user_id = backup_codes_make.user_id;
  for i in 1 .. 10 loop
    -- 120 random bits: a plain digest is enough (P60).
    v_code := lower(regexp_replace(labos.base32(labos.random_bytes(15)), '(.{4})(?=.)', '\1-', 'g'));
    insert into lab_private.mfa_backup_codes (user_id, code_sha256)
    values (backup_codes_make.user_id, lab_private.backup_code_digest(v_code)) returning id into v_id;
    insert into lab_private.use_guard (id) values (v_id);
    v_codes := v_codes || v_code;
  end loop;
  return v_codes;
end
$$;
comment on function lab_private.backup_codes_make(uuid) is 'Ten new backup codes of a user; the old ones are void.';

create or replace function lab_private.mfa_remove(user_id uuid) returns boolean
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_found boolean;
begin
  delete from lab_private.use_guard g using lab_private.mfa_factors f where f.user_id = mfa_remove.user_id and g.id in (f.id, f.guard_id);
  delete from lab_private.use_guard g using lab_private.mfa_backup_codes b where b.user_id = mfa_remove.user_id and g.id = b.id;
  delete from lab_private.mfa_backup_codes b where b.user_id = mfa_remove.user_id;
  delete from lab_private.mfa_factors f where f.user_id = mfa_remove.user_id;
  v_found := found;
  update lab_private.one_time_tokens t set revoked_at = clock_timestamp()
  where t.user_id = mfa_remove.user_id and t.purpose = 'mfa_challenge' and t.used_at is null and t.revoked_at is null;
  update lab_data.users u set mfa_enabled = false where u.id = mfa_remove.user_id and u.mfa_enabled;
  return v_found;
end
$$;
comment on function lab_private.mfa_remove(uuid) is 'Takes second factor, backup codes and open challenges of a user away; false when there was no factor.';

create or replace function lab_private.check_code(user_id uuid, code text, out method text, out reason text)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_factor  lab_private.mfa_factors;
  v_charged record;
  v_step    integer;
  v_backup  uuid;
begin
  select f.* into v_factor from lab_private.mfa_factors f where f.user_id = check_code.user_id and f.kind = 'totp';
  if octet_length(code) = 6 then
    select a.* into v_charged
    from lab_private.identity_settings s, labos.use_guard_attempt(v_factor.guard_id, 10, s.lock_seconds) a;
    if v_charged.attempts is null then
      reason := 'locked';
      return;
    end if;
    v_step := labos.totp_step(labos.secret_open(v_factor.sealed_secret, 'mfa_factors/' || v_factor.id), code);
    if v_step is null then
      reason := case when v_charged.locked_until is null then 'wrong_code' else 'lockout' end;
    elsif not labos.use_guard_advance(v_factor.id, v_step) then
      reason := 'replayed';
    else
      perform labos.use_guard_reset(v_factor.guard_id);
      method := 'otp';
    end if;
    return;
  end if;
  -- Nobody guesses 120 bits: these are not counted, so that they work while guesses at the other kind have locked that.
  select b.id into v_backup from lab_private.mfa_backup_codes b
  where b.user_id = check_code.user_id and b.code_sha256 = lab_private.backup_code_digest(code);
  if v_backup is null then
    reason := 'wrong_code';
  elsif not labos.use_guard_advance(v_backup, 1) then
    reason := 'replayed';
  else
    update lab_private.mfa_backup_codes b set used_at = clock_timestamp() where b.id = v_backup;
    method := 'rec';
  end if;
end
$$;
comment on function lab_private.check_code(uuid, text) is
  'Uses a TOTP code or a backup code up: otp or rec, else the reason. Ten wrong TOTP codes in a row lock that kind, apart from the password (P53).';

create or replace function lab_private.code_refused(event text, org_id uuid, user_id uuid, reason text, status integer, detail jsonb default '{}') returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if code_refused.reason = 'lockout' then
    perform lab_private.access_log('mfa_lockout', 'failure', code_refused.org_id, code_refused.user_id),
            lab_private.mail_user('lockout', code_refused.org_id, code_refused.user_id, '{"factor": "totp"}');
  end if;
  perform lab_private.access_log(code_refused.event, 'failure', code_refused.org_id, code_refused.user_id, labos.session_id(),
    code_refused.detail || jsonb_build_object('reason', case code_refused.reason when 'lockout' then 'wrong_code' else code_refused.reason end));
  return case
    when code_refused.reason = 'locked' then lab_private.problem(429, 'too_many_attempts', 'too many wrong codes', 'Try again later, or use a backup code.')
    when code_refused.status = 401 then lab_private.problem(401, 'invalid_code', 'the code is wrong')
    else lab_private.problem(403, 'wrong_code', 'the code is wrong') end;
end
$$;
comment on function lab_private.code_refused(text, uuid, uuid, text, integer, jsonb) is
  'The recorded refusal of a code: 401 invalid_code or 403 wrong_code, whether wrong or used before; 429 too_many_attempts.';

-- enrolment -----------------------------------------------------------------

create or replace function lab_private.require_arguments(names text[], variadic "values" text[]) returns void
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
begin
  for i in 1 .. cardinality(names) loop
    if "values"[i] is null then
      raise exception '% is required', names[i] using errcode = 'PT400',
        detail = json_build_object('code', 'missing_argument', 'argument', names[i])::text;
    end if;
  end loop;
end
$$;
comment on function lab_private.require_arguments(text[], text[]) is 'PT400 missing_argument for the first null.';

create or replace function lab_private.require_mfa(user_id uuid, enabled boolean) returns lab_private.mfa_factors
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_factor lab_private.mfa_factors;
begin
  -- One change of a user's factor at a time.
  perform from lab_data.users u where u.id = require_mfa.user_id for no key update;
  select f.* into v_factor from lab_private.mfa_factors f where f.user_id = require_mfa.user_id and f.kind = 'totp';
  if enabled and v_factor.confirmed_at is null then
    raise exception 'no second factor is enabled' using errcode = 'PT409',
      detail = json_build_object('code', 'mfa_not_enabled')::text;
  elsif not enabled and v_factor.confirmed_at is not null then
    raise exception 'a second factor is enabled already' using errcode = 'PT409',
      detail = json_build_object('code', 'mfa_already_enabled')::text,
      hint = 'auth_mfa_disable takes it away.';
  end if;
  return v_factor;
end
$$;
comment on function lab_private.require_mfa(uuid, boolean) is 'The factor of a user, which is enabled or is not: PT409 mfa_not_enabled, mfa_already_enabled.';

create or replace function lab.auth_mfa_setup() returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user   uuid := lab_private.require_own_account();
  v_secret bytea := labos.random_bytes(20);
  v_id     uuid := labos.uuid_v7();
  v_guard  uuid := labos.uuid_v7();
  v_uri    text;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer(),
          lab_private.require_mfa(v_user, enabled => false),
          lab_private.mfa_remove(v_user);
  insert into lab_private.use_guard (id) values (v_id), (v_guard);
  insert into lab_private.mfa_factors (id, user_id, sealed_secret, guard_id)
  values (v_id, v_user, labos.secret_seal(v_secret, 'mfa_factors/' || v_id), v_guard);
  select labos.totp_uri(v_secret, left(regexp_replace(s.issuer, '^https?://', ''), 64), left(u.email::text, 100)) into v_uri
  from lab_private.identity_settings s, lab_data.users u where u.id = v_user;
  perform lab_private.access_log('mfa_setup', 'success', labos.org_id(), v_user, labos.session_id()),
          lab_private.respond(200);
  return jsonb_build_object('secret', labos.base32(v_secret), 'otpauth_uri', v_uri, 'qr_svg', labos.qr_svg(v_uri),
    'algorithm', 'SHA1', 'digits', 6, 'period', 30);
end
$$;
comment on function lab.auth_mfa_setup() is
$$Set up a second factor

A new TOTP secret, shown once: as text, as otpauth address and as QR code (SVG) for an authenticator app. It counts once auth_mfa_confirm has had a code of it; setting up again replaces it. Errors: 401 `not_authenticated`, 403 `interactive_session_required`, 409 `mfa_already_enabled`.$$;

create or replace function lab.auth_mfa_confirm(code text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user   uuid := lab_private.require_own_account();
  v_factor lab_private.mfa_factors;
  v_check  record;
  v_codes  text[];
  v_ended  integer;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer(), lab_private.require_arguments('{code}', code);
  v_factor := lab_private.require_mfa(v_user, enabled => false);
  if v_factor.id is null then
    raise exception 'no second factor has been set up' using errcode = 'PT409',
      detail = json_build_object('code', 'mfa_not_set_up')::text,
      hint = 'Call auth_mfa_setup first.';
  end if;
  v_check := lab_private.check_code(v_user, code);
  if v_check.method is null then
    return lab_private.code_refused('mfa_enable', labos.org_id(), v_user, v_check.reason, 403);
  end if;
  update lab_private.mfa_factors f set confirmed_at = clock_timestamp() where f.id = v_factor.id;
  update lab_data.users u set mfa_enabled = true where u.id = v_user;
  v_codes := lab_private.backup_codes_make(v_user);
  v_ended := lab_private.sessions_end('mfa_change', v_user, except_session => labos.session_id());
  perform lab_private.access_log('mfa_enable', 'success', labos.org_id(), v_user, labos.session_id(), jsonb_build_object('sessions_ended', v_ended)),
          lab_private.mail_user('mfa_enabled', labos.org_id(), v_user, '{}'),
          lab_private.respond(200);
  return jsonb_build_object('status', 'ok', 'backup_codes', to_jsonb(v_codes), 'sessions_ended', v_ended)
    || lab_private.restriction_lifted('mfa_setup_required', 2::smallint, '{pwd,otp}');
end
$$;
comment on function lab.auth_mfa_confirm(text) is
$$Enable the second factor

Takes a code of the secret that auth_mfa_setup gave; from then on signing in needs a code (another than this). The answer shows ten backup codes, once. Ends every other session of the caller; in a session restricted to this, `tokens` holds those of a full one. Errors: 400 `missing_argument`, 401 `not_authenticated`, 403 `wrong_code`, `interactive_session_required`, 409 `mfa_not_set_up`, `mfa_already_enabled`, 429 `too_many_attempts`.$$;

create or replace function lab.auth_mfa_disable(password text, code text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user  uuid := lab_private.require_interactive();
  v_check record;
  v_ended integer;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer(), lab_private.require_arguments('{password,code}', password, code),
          lab_private.require_mfa(v_user, enabled => true);
  v_check := lab_private.reauthenticate(v_user, password);
  if not v_check.matched then
    perform lab_private.access_log('mfa_disable', 'failure', labos.org_id(), v_user, labos.session_id(), jsonb_build_object('reason', v_check.reason));
    return lab_private.reauthentication_refused(v_check.reason);
  end if;
  v_check := lab_private.check_code(v_user, code);
  if v_check.method is null then
    return lab_private.code_refused('mfa_disable', labos.org_id(), v_user, v_check.reason, 403);
  end if;
  perform lab_private.mfa_remove(v_user);
  v_ended := lab_private.sessions_end('mfa_change', v_user, except_session => labos.session_id());
  perform lab_private.access_log('mfa_disable', 'success', labos.org_id(), v_user, labos.session_id(), jsonb_build_object('sessions_ended', v_ended)),
          lab_private.mail_user('mfa_disabled', labos.org_id(), v_user, '{}'),
          lab_private.respond(200);
  return jsonb_build_object('status', 'ok', 'sessions_ended', v_ended);
end
$$;
comment on function lab.auth_mfa_disable(text, text) is
$$Disable the second factor

Needs the password and a code (of the app, or a backup code); ends every other session of the caller. Errors: 400 `missing_argument`, 401 `not_authenticated`, 403 `wrong_password`, `wrong_code`, `interactive_session_required`, 409 `mfa_not_enabled`, 429 `too_many_attempts`.$$;

create or replace function lab.auth_mfa_backup_codes(password text, code text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user  uuid := lab_private.require_interactive();
  v_check record;
  v_codes text[];
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer(), lab_private.require_arguments('{password,code}', password, code),
          lab_private.require_mfa(v_user, enabled => true);
  v_check := lab_private.reauthenticate(v_user, password);
  if not v_check.matched then
    perform lab_private.access_log('mfa_backup_codes', 'failure', labos.org_id(), v_user, labos.session_id(), jsonb_build_object('reason', v_check.reason));
    return lab_private.reauthentication_refused(v_check.reason);
  end if;
  v_check := lab_private.check_code(v_user, code);
  if v_check.method is null then
    return lab_private.code_refused('mfa_backup_codes', labos.org_id(), v_user, v_check.reason, 403);
  end if;
  v_codes := lab_private.backup_codes_make(v_user);
  perform lab_private.access_log('mfa_backup_codes', 'success', labos.org_id(), v_user, labos.session_id()),
          lab_private.respond(200);
  return jsonb_build_object('status', 'ok', 'backup_codes', to_jsonb(v_codes));
end
$$;
comment on function lab.auth_mfa_backup_codes(text, text) is
$$New backup codes

Ten new backup codes, shown once; all old ones are void. Needs the password and a code. Errors: 400 `missing_argument`, 401 `not_authenticated`, 403 `wrong_password`, `wrong_code`, `interactive_session_required`, 409 `mfa_not_enabled`, 429 `too_many_attempts`.$$;

-- sign-in -------------------------------------------------------------------

create or replace function lab_private.mfa_challenge(org_id uuid, user_id uuid, device_info jsonb, device_id uuid) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_seconds integer := (select s.challenge_seconds from lab_private.identity_settings s);
begin
  return jsonb_build_object(
    'mfa_required', true,
    'challenge', lab_private.one_time_token_make('mfa_challenge', mfa_challenge.user_id, make_interval(secs => v_seconds), mfa_challenge.org_id,
      payload => jsonb_strip_nulls(jsonb_build_object('device_info', mfa_challenge.device_info, 'device', mfa_challenge.device_id))),
    'expires_in', v_seconds,
    'methods', '["totp", "backup_code"]'::jsonb);
end
$$;
comment on function lab_private.mfa_challenge(uuid, uuid, jsonb, uuid) is 'The answer to a right password where a second factor is asked for.';

create or replace function lab.auth_mfa_verify(
  challenge text, code text, device_info jsonb default null, device_token text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_token  lab_private.one_time_tokens;
  v_user   lab_data.users;
  v_tries  integer;
  v_check  record;
  v_device uuid;
  v_info   jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer(), lab_private.require_arguments('{challenge,code}', challenge, code);
  v_info := lab_private.check_device_info(auth_mfa_verify.device_info);
  perform labos.login_throttle('otp');
  v_token := lab_private.one_time_token_find(challenge, 'mfa_challenge');
  select u.* into v_user from lab_data.users u where u.id = v_token.user_id;
  -- Five tries each, counted before they are looked at; the one that is right uses it up.
  v_tries := labos.use_guard_charge(v_token.id, 5);
  if v_tries is null or not v_user.is_verified or lab_private.home_membership(v_user.id, v_token.org_id::text) is null
     or not exists (select from lab_private.mfa_factors f where f.user_id = v_user.id and f.confirmed_at is not null) then
    perform labos.login_throttle_failed('otp'),
            lab_private.access_log('mfa', 'failure', v_token.org_id, v_user.id, null, '{"reason": "invalid_challenge"}');
    return lab_private.problem(401, 'invalid_challenge', 'the challenge is invalid, expired or used', 'Sign in again.');
  end if;
  v_check := lab_private.check_code(v_user.id, code);
  if v_check.method is not null and not labos.use_guard_advance(v_token.id, 1000) then
    v_check.method := null;
    v_check.reason := 'replayed';
  end if;
  if v_check.method is null then
    perform labos.login_throttle_failed('otp');
    if v_tries >= 5 then
      update lab_private.one_time_tokens t set revoked_at = clock_timestamp() where t.id = v_token.id;
    end if;
    return lab_private.code_refused('mfa', v_token.org_id, v_user.id, v_check.reason, 401, jsonb_build_object('try', v_tries));
  end if;
  update lab_private.one_time_tokens t set used_at = clock_timestamp() where t.id = v_token.id;
  v_device := coalesce(lab_private.device_find(v_user.id, device_token), (v_token.payload ->> 'device')::uuid);
  perform lab_private.respond(200);
  return lab_private.signed_in(v_token.org_id, v_user.id, coalesce(v_info, v_token.payload -> 'device_info'),
    v_device, device_token, 2::smallint, array['pwd', v_check.method]);
end
$$;
comment on function lab.auth_mfa_verify(text, text, jsonb, text) is
$$Sign in, second step

The challenge that auth_login gave (five minutes, five tries) and a code, of the authenticator app or one of the backup codes, give the tokens. Each code is taken once. Errors: 400 `missing_argument`, `invalid_device_info`, 401 `invalid_code`, `invalid_challenge`, 405 for GET, 429 `too_many_attempts` after ten wrong codes in a row: then a backup code still works.$$;

-- administration ------------------------------------------------------------

create or replace function lab.user_mfa_reset(user_id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('user:update');
  v_ended integer;
begin
  if user_mfa_reset.user_id = labos.user_id() then
    raise exception 'the own second factor is not reset this way' using errcode = 'PT403',
      detail = json_build_object('code', 'own_account')::text,
      hint = 'Use auth_mfa_disable, with password and code.';
  end if;
  perform lab_private.require_interactive(),
          lab_private.user_change(org_id => v_org, user_id => user_mfa_reset.user_id);
  if not lab_private.mfa_remove(user_mfa_reset.user_id) then
    raise exception 'this user has no second factor' using errcode = 'PT409',
      detail = json_build_object('code', 'mfa_not_enabled')::text;
  end if;
  v_ended := lab_private.sessions_end('mfa_change', user_mfa_reset.user_id);
  perform lab_private.mail_user('mfa_disabled', v_org, user_mfa_reset.user_id, '{"by_administrator": true}');
  return lab_private.user_changed('mfa_reset', v_org, user_mfa_reset.user_id, jsonb_build_object('sessions_ended', v_ended));
end
$$;
comment on function lab.user_mfa_reset(uuid) is
$$Take a user's second factor away

For somebody who has lost device and backup codes; ends their sessions, and tells them by mail. Errors: 403 without `user:update`, `permission_escalation`, `own_account`, `interactive_session_required`, 404 `user_not_found`, 409 `mfa_not_enabled`, `shared_user`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.auth_mfa_setup(), lab.auth_mfa_confirm(text), lab.auth_mfa_disable(text, text), lab.auth_mfa_backup_codes(text, text),
  lab.auth_mfa_verify(text, text, jsonb, text), lab.auth_devices(), lab.auth_device_forget(uuid), lab.user_mfa_reset(uuid)
  from public;
grant execute on function lab.auth_mfa_verify(text, text, jsonb, text) to lab_anon, lab_user, lab_guest;
grant execute on function
  lab.auth_mfa_setup(), lab.auth_mfa_confirm(text), lab.auth_mfa_disable(text, text), lab.auth_mfa_backup_codes(text, text),
  lab.auth_devices(), lab.auth_device_forget(uuid), lab.user_mfa_reset(uuid)
  to lab_user;
