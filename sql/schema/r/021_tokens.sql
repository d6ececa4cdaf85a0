/*
 * Room: identity, tokens
 *
 * Signing keys, access tokens, sessions and the rotation of refresh tokens.
 * The permissions in an access token tell the client what to show; what it may
 * do is read from the tables with each transaction.
 *
 * Holds    signing_key_add, signing_key_rotate, signing_key_retire, jwks,
 *          postgrest_config, access_token, session_open, session_alive,
 *          require_interactive, sessions_end, refresh_rotate
 * Needs    020; C identity (jwk_generate, jwt_sign, secret_seal, random_token)
 * Used by  022 to 026
 */

-- signing keys --------------------------------------------------------------

create or replace function lab_private.signing_key_add(alg text, not_before timestamptz) returns text
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_kid text;
  v_key jsonb;
begin
  if signing_key_add.alg is null or signing_key_add.alg not in ('EdDSA', 'ES256', 'HS256') then
    raise exception 'unknown signing algorithm' using errcode = 'PT400',
      detail = json_build_object('code', 'unknown_algorithm', 'alg', left(signing_key_add.alg, 20))::text,
      hint = 'EdDSA (default), ES256 or HS256.';
  end if;
  v_key := labos.jwk_generate(signing_key_add.alg);
  v_kid := v_key ->> 'kid';
  insert into lab_private.signing_keys (kid, alg, sealed_key, public_jwk, not_before, created_by)
  values (v_kid, signing_key_add.alg, labos.secret_seal(convert_to(v_key::text, 'UTF8'), 'signing_key:' || v_kid),
          case when signing_key_add.alg not like 'HS%' then labos.jwk_public(v_key) end,
          signing_key_add.not_before, labos.user_id());
  notify pgrst, 'reload config';
  return v_kid;
end
$$;
comment on function lab_private.signing_key_add(text, timestamptz) is
  'Makes a key, seals its private part and publishes it; the private part is returned by nothing (P36).';

create or replace function lab_private.signing_key_current() returns lab_private.signing_keys
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select k.* from lab_private.signing_keys k
  where k.not_before <= clock_timestamp() and (k.retired_at is null or k.retired_at > clock_timestamp())
  order by k.not_before desc, k.kid
  limit 1
$$;
comment on function lab_private.signing_key_current() is 'The key that signs now: the newest whose time has come.';

create or replace function lab_private.private_jwk(key lab_private.signing_keys) returns jsonb
  language sql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
  select convert_from(labos.secret_open(key.sealed_key, 'signing_key:' || key.kid), 'UTF8')::jsonb
$$;
comment on function lab_private.private_jwk(lab_private.signing_keys) is 'The private key, opened with the master key.';

create or replace function lab_private.token_rules(kid text, out jwk jsonb, out issuer text, out audience text)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  select coalesce(k.public_jwk, lab_private.private_jwk(k)), s.issuer, s.audience into jwk, issuer, audience
  from lab_private.signing_keys k, lab_private.identity_settings s
  where k.kid = token_rules.kid and (k.retired_at is null or k.retired_at > clock_timestamp());
end
$$;
comment on function lab_private.token_rules(text) is
  'How to verify a token that names this key: the key by exact kid (P6), the issuer and the audience; nulls when the key is unknown or retired.';

create or replace function lab.signing_key_rotate(alg text default 'EdDSA') returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user   uuid := lab_private.require_superuser();
  v_lead   integer;
  v_starts timestamptz;
  v_ends   timestamptz;
  v_longest integer;
  v_kid    text;
begin
  perform lab_private.require_writable();
  -- One rotation at a time; the settings row is the lock.
  select s.key_lead_seconds into v_lead from lab_private.identity_settings s for update;
  select coalesce(max((lab_private.token_lifetimes(o.id)).access_seconds), 900) into v_longest from lab_data.organizations o;
  v_starts := clock_timestamp() + make_interval(secs => v_lead);
  -- A last token is signed just before the new key takes over; gateways allow 30 s of skew.
  v_ends := v_starts + make_interval(secs => v_longest + 60);
  v_kid := lab_private.signing_key_add(signing_key_rotate.alg, v_starts);
  update lab_private.signing_keys k set retired_at = v_ends
  where k.kid <> v_kid and (k.retired_at is null or k.retired_at > v_ends);
  perform lab_private.access_log('signing_key_rotate', 'success', labos.org_id(), v_user, labos.session_id(),
    jsonb_build_object('kid', v_kid, 'alg', signing_key_rotate.alg));
  return jsonb_build_object('kid', v_kid, 'alg', signing_key_rotate.alg, 'signs_from', v_starts, 'others_verify_until', v_ends);
end
$$;
comment on function lab.signing_key_rotate(text) is
$$Rotate the signing key

Makes a new key (EdDSA, ES256 or HS256), publishes it at once, signs with it after `key_lead_seconds`, and lets the older keys verify until their last token has expired: no request is refused. PostgREST reloads by itself. Errors: 400 `unknown_algorithm`, 403 `superuser_required`.$$;

create or replace function lab.signing_key_retire(kid text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user   uuid := lab_private.require_superuser();
  v_signed boolean;
begin
  perform lab_private.require_writable();
  perform from lab_private.identity_settings s for update;
  v_signed := (lab_private.signing_key_current()).kid = signing_key_retire.kid;
  update lab_private.signing_keys k set retired_at = clock_timestamp()
  where k.kid = signing_key_retire.kid and (k.retired_at is null or k.retired_at > clock_timestamp());
  if not found then
    raise exception 'signing key not found' using errcode = 'PT404',
      detail = json_build_object('code', 'signing_key_not_found')::text;
  end if;
  -- Somebody must go on signing: a key that is waiting starts at once, else a new one is made.
  if v_signed then
    update lab_private.signing_keys k set not_before = clock_timestamp()
    where k.retired_at is null and k.not_before > clock_timestamp();
  end if;
  if not exists (select from lab_private.signing_keys k where k.retired_at is null) then
    perform lab_private.signing_key_add('EdDSA', clock_timestamp());
  end if;
  notify pgrst, 'reload config';
  perform lab_private.access_log('signing_key_retire', 'success', labos.org_id(), v_user, labos.session_id(),
    jsonb_build_object('kid', signing_key_retire.kid));
  return jsonb_build_object('kid', signing_key_retire.kid, 'signs_now', (lab_private.signing_key_current()).kid);
end
$$;
comment on function lab.signing_key_retire(text) is
$$Withdraw a signing key at once

For a key that may have leaked: its tokens are refused from now on and users refresh or sign in again. If no other key can sign, a new one is made. Errors: 403 `superuser_required`, 404 `signing_key_not_found`.$$;

create or replace function lab.jwks() returns jsonb
  language sql stable security definer
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object('keys', coalesce(jsonb_agg(k.public_jwk order by k.not_before desc, k.kid), '[]'))
  from lab_private.signing_keys k
  where k.public_jwk is not null and (k.retired_at is null or k.retired_at > clock_timestamp())
$$;
comment on function lab.jwks() is
$$Public keys

The keys with which access tokens can be verified, as a JSON Web Key Set (RFC 7517). No sign-in is needed.$$;

create or replace function lab_private.postgrest_config() returns void
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_keys jsonb := lab.jwks() -> 'keys';
  v_kid  text;
begin
  -- A symmetric key has no public part: PostgREST gets the key itself, and nobody else can read this session.
  for v_kid in
    select k.kid from lab_private.signing_keys k
    where k.public_jwk is null and (k.retired_at is null or k.retired_at > clock_timestamp())
  loop
    v_keys := v_keys || (lab_private.token_rules(v_kid)).jwk;
  end loop;

  perform
    set_config('pgrst.jwt_secret', jsonb_build_object('keys', v_keys)::text, true),
    set_config('pgrst.jwt_aud', (select s.audience from lab_private.identity_settings s), true),
    set_config('pgrst.db_schemas', 'lab', true),
    set_config('pgrst.db_anon_role', 'lab_anon', true),
    set_config('pgrst.db_pre_request', 'labos.pre_request', true),
    set_config('pgrst.db_extra_search_path', 'labos_ops, labos, pg_catalog', true),
    set_config('pgrst.db_max_rows', '10000', true),
    set_config('pgrst.db_aggregates_enabled', 'true', true),
    set_config('pgrst.openapi_mode', 'follow-privileges', true),
    set_config('pgrst.openapi_security_active', 'true', true);
end
$$;
comment on function lab_private.postgrest_config() is
  'PostgREST''s in-database configuration (db-pre-config): public keys, audience, schemas, pre-request. A rotation notifies pgrst and needs no restart.';

-- access tokens -------------------------------------------------------------

-- what a session may do --------------------------------------------------------

create or replace function lab_private.share_kinds() returns table (kind text, table_name text, prefix text, is_owned boolean, gives text[])
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  values ('project',        'projects',         'project',    false, '{project,sample,run}'::text[]),
         ('sample',         'samples',          'sample',     false, '{sample}'),
         ('run',            'runs',             'run',        false, '{run,result}'),
         ('material',       'materials',        'material',   true,  '{material}'),
         ('structure',      'structures',       'material',   true,  '{material}'),
         ('simulation_job', 'simulation_jobs',  'simulation', true,  '{simulation}'),
         ('campaign',       'design_campaigns', 'campaign',   true,  '{campaign}'),
         ('dataset',        'datasets',         'material',   false, '{material}')
$$;
comment on function lab_private.share_kinds() is 'What can be shared, by the names that src/identity/shares.c knows: table, permissions, whether it belongs to somebody, what its receivers may read.';

create or replace function lab_private.shares_to(org uuid, user_id uuid, home uuid) returns setof lab_data.shares
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select s.*
  from lab_data.shares s
  join lab_data.organizations o on o.id = s.org_id and o.is_active and o.deleted_at is null and o.settings @> '{"allow_sharing": true}'
  where s.org_id = shares_to.org and s.revoked_at is null and (s.expires_at is null or s.expires_at > clock_timestamp())
    and (s.to_user_id = shares_to.user_id or s.to_org_id = shares_to.home)
$$;
comment on function lab_private.shares_to(uuid, uuid, uuid) is 'What an organisation shares now with a person of another one, as lab_private.identity_load sees it.';

create or replace function lab_private.share_gives(kind text, level text) returns setof text
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  select p.name
  from lab_private.share_kinds() k
  cross join lateral (
    select g || ':read' from unnest(k.gives) g
    union all select g || ':update' from unnest(k.gives) g where share_gives.level = 'write' and g in ('project', 'sample', 'run')
    union all select 'sample:create' where share_gives.level = 'write' and k.kind = 'project') p(name)
  where k.kind = share_gives.kind
$$;
comment on function lab_private.share_gives(text, text) is 'The permissions that a share gives a guest, as far as they have them at home.';

create or replace function lab_private.guest_permissions(org uuid, user_id uuid, home uuid) returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select lab_private.permissions_within(
    lab_private.member_permissions(guest_permissions.home, guest_permissions.user_id),
    coalesce(array_agg(distinct p.name), '{}'))
  from lab_private.shares_to(guest_permissions.org, guest_permissions.user_id, guest_permissions.home) s
  cross join lateral lab_private.share_gives(s.kind, s.level) p(name)
$$;
comment on function lab_private.guest_permissions(uuid, uuid, uuid) is 'What a guest may do with something in this organisation: what the shares give of what they may do at home.';

-- Signatures of version 0.2.
drop function if exists lab_private.access_token(uuid, uuid, uuid, timestamptz);
drop function if exists lab_private.token_answer(uuid, uuid, uuid, timestamptz, text, timestamptz);
drop function if exists lab_private.session_open(uuid, uuid, jsonb);

create or replace function lab_private.session_permissions(session lab_data.user_sessions) returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select case session.kind
    when 'guest' then lab_private.guest_permissions(session.acting_org_id, session.user_id, session.org_id)
    when 'superuser' then lab_private.reading_permissions()
    else lab_private.permissions_within(lab_private.member_permissions(session.org_id, session.user_id), session.scopes) end
$$;
comment on function lab_private.session_permissions(lab_data.user_sessions) is
  'What the holder of a session may do in it now: the member''s permissions within the session''s scopes, a guest''s by what is shared.';

create or replace function lab_private.session_roles(session lab_data.user_sessions) returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select case when session.scopes is null and session.acting_org_id is null
         then lab_private.member_roles(session.org_id, session.user_id) else '{}' end
$$;
comment on function lab_private.session_roles(lab_data.user_sessions) is 'Names of the roles that count in a session: none in one with scopes or in another organisation.';

create or replace function lab_private.is_restricted(session lab_data.user_sessions) returns boolean
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(session.scopes = '{}' and session.kind in ('password', 'invitation', 'reset')
                  and session.reason in ('password_change_required', 'mfa_setup_required'), false)
$$;
comment on function lab_private.is_restricted(lab_data.user_sessions) is 'A session without rights, for what its reason names only.';

create or replace function lab_private.current_session() returns lab_data.user_sessions
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_session lab_data.user_sessions := lab_private.this_session();
begin
  -- As the caller acts now: X-Labos-Org may differ from what the session was made for.
  v_session.user_id := labos.user_id();
  if labos.is_guest() then
    v_session.kind := 'guest';
    v_session.acting_org_id := labos.org_id();
    v_session.org_id := coalesce(v_session.org_id,
      (select l.org_id from lab_private.db_logins l where l.rolname = session_user and l.user_id = labos.user_id()));
  elsif v_session.kind is null or v_session.kind not in ('guest', 'superuser') then
    v_session.kind := coalesce(v_session.kind, 'password');
    v_session.org_id := labos.org_id();
  end if;
  return v_session;
end
$$;
comment on function lab_private.current_session() is 'What decides over the rights of this call, as a row of a session; also for a database login, which has none.';

create or replace function lab_private.current_permissions() returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$ select lab_private.session_permissions(lab_private.current_session()) $$;
comment on function lab_private.current_permissions() is 'What the caller may do now, where they act.';

create or replace function lab_private.current_roles() returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$ select lab_private.session_roles(lab_private.current_session()) $$;
comment on function lab_private.current_roles() is 'Names of the caller''s roles, where they act.';

create or replace function lab_private.access_token(session lab_data.user_sessions, out token text, out expires_in integer)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_key   lab_private.signing_keys := lab_private.signing_key_current();
  v_now   bigint := floor(extract(epoch from clock_timestamp()));
  v_claims jsonb;
begin
  if v_key.kid is null then
    raise exception 'this installation has no signing key' using errcode = 'PT503',
      detail = json_build_object('code', 'no_signing_key')::text,
      hint = 'SELECT labos.bootstrap(organisation, e-mail, password);';
  end if;
  expires_in := least((lab_private.token_lifetimes(session.org_id)).access_seconds,
                      floor(extract(epoch from session.expires_at))::bigint - v_now);
  select jsonb_build_object(
    'iss', s.issuer, 'aud', s.audience, 'sub', u.id, 'iat', v_now, 'nbf', v_now, 'exp', v_now + access_token.expires_in,
    'jti', labos.uuid_v7(), 'sid', session.id, 'role', case session.kind when 'guest' then 'lab_guest' else 'lab_user' end,
    'org_id', coalesce(session.acting_org_id, session.org_id), 'email', u.email,
    'aal', session.aal, 'amr', session.amr, 'roles', lab_private.session_roles(session),
    'permissions', case when '*:*' = any (p.held) then '{*:*}' else p.held end)
    || case when session.scopes is null then '{}' else jsonb_build_object('scope', array_to_string(session.scopes, ' ')) end
    || case when lab_private.is_restricted(session) then jsonb_build_object('restricted', session.reason) else '{}' end
  into v_claims
  from lab_data.users u, lab_private.identity_settings s, lab_private.session_permissions(session) p (held)
  where u.id = session.user_id;
  token := labos.jwt_sign(v_claims, lab_private.private_jwk(v_key), null, 'at+jwt');
end
$$;
comment on function lab_private.access_token(lab_data.user_sessions) is
  'Signs an access token (typ at+jwt) for a session: lifetime of the organisation, never beyond the session.';

-- sessions ------------------------------------------------------------------

create or replace function lab_private.token_answer(
  session lab_data.user_sessions, refresh_token text, refresh_ends timestamptz) returns jsonb
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'access_token', a.token,
    'token_type', 'Bearer',
    'expires_in', a.expires_in,
    'session_id', session.id,
    'session_kind', session.kind,
    'aal', session.aal,
    'amr', session.amr,
    'scopes', session.scopes,
    'must_change_password', coalesce(c.must_change, false),
    'user', jsonb_build_object('id', u.id, 'email', u.email, 'username', u.username, 'full_name', u.full_name,
      'is_verified', u.is_verified, 'is_superuser', u.is_superuser),
    'organization', jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug),
    'roles', lab_private.session_roles(session),
    'permissions', lab_private.session_permissions(session))
    || case when lab_private.is_restricted(session) then jsonb_build_object('restricted', session.reason) else '{}' end
    || case when token_answer.refresh_token is null then '{}' else jsonb_build_object(
      'refresh_token', token_answer.refresh_token,
      'refresh_expires_in', greatest(0, floor(extract(epoch from token_answer.refresh_ends - clock_timestamp()))::integer)) end
  from lab_private.access_token(token_answer.session) a,
       lab_data.users u
       left join lab_private.credentials c on c.user_id = u.id,
       lab_data.organizations o
  where u.id = session.user_id and o.id = coalesce(session.acting_org_id, session.org_id)
$$;
comment on function lab_private.token_answer(lab_data.user_sessions, text, timestamptz) is 'The body that signs a client in; without a refresh token when there is none.';

create or replace function lab_private.restriction(org_id uuid, user_id uuid, kind text, aal smallint) returns text
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  -- What an identity provider vouches for is its business; keys have scopes.
  select case
    when restriction.kind not in ('password', 'invitation', 'reset') then null
    when exists (select from lab_private.credentials c where c.user_id = restriction.user_id and c.must_change) then 'password_change_required'
    when restriction.aal < 2 and exists (select from lab_data.organizations o
                                         where o.id = restriction.org_id and o.settings -> 'require_mfa' = 'true') then 'mfa_setup_required' end
$$;
comment on function lab_private.restriction(uuid, uuid, text, smallint) is
  'What a new session is restricted to: password_change_required, mfa_setup_required (organizations.settings.require_mfa), or null.';

create or replace function lab_private.session_open(
  org_id uuid, user_id uuid, device_info jsonb, kind text default 'password', aal smallint default 1, amr text[] default '{pwd}',
  scopes text[] default null, api_key_id uuid default null, acting_org_id uuid default null, reason text default null,
  refresh boolean default true, lifetime interval default null) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_life    record;
  v_session lab_data.user_sessions;
  v_ends    timestamptz;
  v_token   text;
  v_limit   text;
begin
  v_life := lab_private.token_lifetimes(session_open.org_id);
  if session_open.scopes is null then
    v_limit := lab_private.restriction(session_open.org_id, session_open.user_id, session_open.kind, session_open.aal);
  end if;
  -- What cannot be refreshed need not outlive its access token.
  v_ends := clock_timestamp() + coalesce(session_open.lifetime,
    make_interval(secs => case when session_open.refresh then v_life.session_seconds else v_life.access_seconds end));
  insert into lab_data.user_sessions (org_id, user_id, device_info, user_agent, ip, expires_at, kind, aal, amr, scopes, api_key_id, acting_org_id, reason)
  values (session_open.org_id, session_open.user_id, session_open.device_info,
          lab_private.client_user_agent(), lab_private.client_ip(), v_ends, session_open.kind, session_open.aal, session_open.amr,
          case when v_limit is null then session_open.scopes else '{}' end, session_open.api_key_id, session_open.acting_org_id,
          coalesce(v_limit, session_open.reason))
  returning * into v_session;
  if session_open.refresh then
    v_ends := least(v_ends, clock_timestamp() + make_interval(secs => v_life.refresh_seconds));
    v_token := labos.random_token();
    insert into lab_private.refresh_tokens (token_sha256, family_id, session_id, org_id, expires_at)
    values (sha256(convert_to(v_token, 'UTF8')), labos.uuid_v7(), v_session.id, session_open.org_id, v_ends);
  end if;
  return lab_private.token_answer(v_session, v_token, v_ends);
end
$$;
comment on function lab_private.session_open(uuid, uuid, jsonb, text, smallint, text[], text[], uuid, uuid, text, boolean, interval) is
  'Begins a session with a new family of refresh tokens (refresh => false: without, and no longer than one access token); returns the tokens.';

create or replace function lab_private.is_interactive() returns boolean
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select labos.user_id() is not null and not labos.is_guest()
     and not exists (select from lab_data.user_sessions s
                     where s.id = labos.session_id() and s.user_id = labos.user_id()
                       and (s.kind in ('api_key', 'guest', 'superuser') or s.scopes is not null))
$$;
comment on function lab_private.is_interactive() is
  'Has the caller signed in as a person, with all their rights: no API key, no guest, no superuser elsewhere, no session with scopes?';

create or replace function lab_private.require_interactive() returns uuid
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := labos.require_user();
begin
  if not lab_private.is_interactive() then
    raise exception 'only somebody who has signed in themselves may do this' using errcode = 'PT403',
      detail = json_build_object('code', 'interactive_session_required')::text,
      hint = 'Sign in with auth_login in your own organisation: not with an API key, as a guest or with scopes.';
  end if;
  return v_user;
end
$$;
comment on function lab_private.require_interactive() is
  'The caller, if signed in as a person: PT401 not_authenticated, PT403 interactive_session_required for API keys, guests, superusers elsewhere and sessions with scopes (P64).';

create or replace function lab_private.session_alive(session lab_data.user_sessions) returns boolean
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select session.revoked_at is null and session.expires_at > clock_timestamp()
     and exists (select
                 from lab_data.memberships m
                 join lab_data.users u on u.id = m.user_id
                 join lab_data.organizations o on o.id = m.org_id
                 where m.org_id = session.org_id and m.user_id = session.user_id and m.left_at is null
                   and u.is_active and u.deleted_at is null and o.is_active and o.deleted_at is null)
     and (session.kind <> 'guest' or exists (select from lab_private.shares_to(session.acting_org_id, session.user_id, session.org_id)))
$$;
comment on function lab_private.session_alive(lab_data.user_sessions) is 'Whether a session can go on: not ended, user active, still a member, organisation active, for a guest something still shared.';

create or replace function lab_private.sessions_end(
  reason text, user_id uuid, org_id uuid default null, session_id uuid default null, except_session uuid default null) returns integer
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_ended uuid[];
begin
  with ended as (
    update lab_data.user_sessions s set revoked_at = now(), revoke_reason = sessions_end.reason
    where s.user_id = sessions_end.user_id and s.revoked_at is null
      and (sessions_end.org_id is null or s.org_id = sessions_end.org_id)
      and (sessions_end.session_id is null or s.id = sessions_end.session_id)
      and (sessions_end.except_session is null or s.id <> sessions_end.except_session)
      -- A key is a credential of its own: it lives until it is revoked, its owner leaves or somebody ends this very session.
      and (s.kind <> 'api_key' or s.id = sessions_end.session_id)
    returning s.id, s.expires_at)
  select coalesce(array_agg(e.id) filter (where e.expires_at > now()), '{}') into v_ended from ended e;
  update lab_private.refresh_tokens t set revoked_at = now()
  where t.session_id = any (v_ended) and t.revoked_at is null;
  return cardinality(v_ended);
end
$$;
comment on function lab_private.sessions_end(text, uuid, uuid, uuid, uuid) is
  'Ends sessions of a user (of one organisation, one session, all but one) with their refresh tokens; returns how many were open.';

-- refresh -------------------------------------------------------------------

create or replace function lab_private.refresh_successor(token text) returns text
  language sql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
  select labos.algorithm_sign('refresh:' || refresh_successor.token,
           convert_from(labos.secret_open(s.refresh_key, 'refresh_key'), 'UTF8'), 'HS256')
  from lab_private.identity_settings s
$$;
comment on function lab_private.refresh_successor(text) is
  'The token that follows a refresh token: derived, so that losers of a race and clients whose answer got lost receive the same one without it being stored (P22).';

create or replace function lab_private.refresh_rotate(token text) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_digest  bytea;
  v_next    text;
  v_token   lab_private.refresh_tokens;
  v_session lab_data.user_sessions;
  v_ends    timestamptz;
  v_won     boolean;
begin
  if token !~ '^[A-Za-z0-9_-]{43}$' then
    return null;
  end if;
  v_digest := sha256(convert_to(token, 'UTF8'));
  v_next := lab_private.refresh_successor(token);

  -- Of simultaneous callers exactly one finds used_at null here.
  update lab_private.refresh_tokens t
  set used_at = clock_timestamp(), replaced_by = sha256(convert_to(v_next, 'UTF8'))
  where t.token_sha256 = v_digest and t.used_at is null and t.revoked_at is null and t.expires_at > clock_timestamp()
  returning t.* into v_token;
  v_won := found;
  if not v_won then
    select t.* into v_token from lab_private.refresh_tokens t where t.token_sha256 = v_digest;
    if not found then
      perform lab_private.access_log('refresh', 'failure', null, null, null, '{"reason": "unknown_token"}');
      return null;
    end if;
  end if;
  select s.* into v_session from lab_data.user_sessions s where s.org_id = v_token.org_id and s.id = v_token.session_id;

  if not v_won and v_token.used_at is not null and v_token.revoked_at is null
     and v_token.used_at <= clock_timestamp() - (select make_interval(secs => s.refresh_grace_seconds) from lab_private.identity_settings s) then
    update lab_private.refresh_tokens t set revoked_at = now() where t.family_id = v_token.family_id and t.revoked_at is null;
    perform lab_private.sessions_end('reuse', v_session.user_id, session_id => v_session.id),
            lab_private.access_log('refresh_reuse', 'failure', v_session.org_id, v_session.user_id, v_session.id,
              jsonb_build_object('family', v_token.family_id));
    return null;
  end if;

  if not lab_private.session_alive(v_session) or v_token.revoked_at is not null or (not v_won and v_token.used_at is null) then
    perform lab_private.access_log('refresh', 'failure', v_session.org_id, v_session.user_id, v_session.id, '{"reason": "ended"}');
    return null;
  end if;

  if v_won then
    v_ends := least(v_session.expires_at,
      clock_timestamp() + make_interval(secs => (lab_private.token_lifetimes(v_session.org_id)).refresh_seconds));
    insert into lab_private.refresh_tokens (token_sha256, family_id, session_id, org_id, expires_at)
    values (v_token.replaced_by, v_token.family_id, v_token.session_id, v_token.org_id, v_ends);
    update lab_data.user_sessions s set last_seen_at = now() where s.org_id = v_session.org_id and s.id = v_session.id;
  else
    select t.expires_at into v_ends from lab_private.refresh_tokens t where t.token_sha256 = v_token.replaced_by;
  end if;
  perform lab_private.access_log('refresh', 'success', v_session.org_id, v_session.user_id, v_session.id,
    case when v_won then '{}' else '{"repeated": true}' end::jsonb);
  return lab_private.token_answer(v_session, v_next, v_ends);
end
$$;
comment on function lab_private.refresh_rotate(text) is
$$Exchanges a refresh token for a new pair; null when it is refused

One winner; within the grace time the same successor again; after it, a used token revokes its family, ends the session and is logged, and all that commits because nothing is raised (P21-P24).$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function lab.signing_key_rotate(text), lab.signing_key_retire(text), lab.jwks() from public;
grant execute on function lab.signing_key_rotate(text), lab.signing_key_retire(text) to lab_user;
grant execute on function lab.jwks() to lab_anon, lab_user;
-- The gateway reads its configuration before it becomes anybody.
grant usage on schema lab_private to lab_authenticator;
grant execute on function lab_private.postgrest_config() to lab_authenticator;
