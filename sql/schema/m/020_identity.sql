/*
 * Room: identity
 *
 * How people prove who they are, and what of that is remembered. Users,
 * memberships and roles are the room before (tenancy); here stand the things
 * that change with every sign-in. What could be used to sign in stands in
 * lab_private, granted to nobody: passwords as slow hashes, refresh tokens as
 * digests, signing keys sealed with the master key.
 *
 * Holds    user_sessions, access_logs; lab_private: identity_settings,
 *          credentials, login_guard, refresh_tokens, signing_keys
 * Needs    tenancy (organizations, users, memberships)
 * Used by  the C identity (sessions, signing keys), PostgREST (signing keys)
 *
 * This half is a migration: it runs once.
 */

-- identity_settings ---------------------------------------------------------

create table lab_private.identity_settings (
  singleton             boolean     not null default true,
  issuer                text        not null default 'labos',
  audience              text        not null default 'labos',
  registration          text        not null default 'closed',
  registration_org_id   uuid,
  max_failed_logins     integer     not null default 5,
  lock_seconds          integer     not null default 1800,
  refresh_grace_seconds integer     not null default 10,
  key_lead_seconds      integer     not null default 10,
  session_days          integer     not null default 30,
  trusted_proxies       integer     not null default 0,
  refresh_key           bytea,
  bootstrapped_at       timestamptz,
  updated_at            timestamptz not null default now(),
  updated_by            uuid,
  constraint identity_settings_pkey primary key (singleton),
  constraint identity_settings_singleton_check check (singleton),
  constraint identity_settings_issuer_check check (length(issuer) between 1 and 200 and issuer !~ '[[:cntrl:][:space:]]'),
  constraint identity_settings_audience_check check (length(audience) between 1 and 200 and audience !~ '[[:cntrl:][:space:]]'),
  constraint identity_settings_registration_check check (registration in ('open', 'invite', 'closed')),
  constraint identity_settings_registration_org_id_check check (registration <> 'open' or registration_org_id is not null),
  constraint identity_settings_registration_org_id_fkey foreign key (registration_org_id)
    references lab_data.organizations (id) on delete no action,
  constraint identity_settings_max_failed_logins_check check (max_failed_logins between 1 and 100),
  constraint identity_settings_lock_seconds_check check (lock_seconds between 1 and 86400),
  constraint identity_settings_refresh_grace_seconds_check check (refresh_grace_seconds between 0 and 60),
  constraint identity_settings_key_lead_seconds_check check (key_lead_seconds between 0 and 3600),
  constraint identity_settings_session_days_check check (session_days between 1 and 365),
  constraint identity_settings_trusted_proxies_check check (trusted_proxies between 0 and 10)
);
insert into lab_private.identity_settings (singleton) values (true);

comment on table lab_private.identity_settings is
$$Settings of identity for the whole installation

One row. Lifetimes of tokens are settings of each organisation: organizations.settings.$$;
comment on column lab_private.identity_settings.registration is 'Who may register: open (anyone, into registration_org_id), invite, or closed (administrators create users).';
comment on column lab_private.identity_settings.lock_seconds is 'How long an account stays locked after max_failed_logins failures in a row.';
comment on column lab_private.identity_settings.refresh_grace_seconds is 'For so long a used refresh token gives the same successor again: an answer may get lost, three tabs may refresh at once.';
comment on column lab_private.identity_settings.key_lead_seconds is 'A new signing key is published for so long before it signs, so that every gateway has reloaded its key set.';
comment on column lab_private.identity_settings.session_days is 'Absolute life of a session, however often it is refreshed.';
comment on column lab_private.identity_settings.trusted_proxies is 'How many proxies before PostgREST append to X-Forwarded-For and are believed; 0 ignores the header.';
comment on column lab_private.identity_settings.refresh_key is 'Key from which the successor of a refresh token is derived; sealed with the master key.';

-- user_sessions -------------------------------------------------------------

create table lab_data.user_sessions (
  id            uuid        not null default labos.uuid_v7(),
  org_id        uuid        not null default labos.org_id(),
  user_id       uuid        not null,
  device_info   jsonb,
  user_agent    text,
  ip            inet,
  created_at    timestamptz not null default now(),
  last_seen_at  timestamptz not null default now(),
  expires_at    timestamptz not null,
  revoked_at    timestamptz,
  revoke_reason text,
  constraint user_sessions_pkey primary key (id, org_id),
  constraint user_session_member foreign key (org_id, user_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint user_sessions_device_info_check check (pg_column_size(device_info) <= 4096),
  constraint user_sessions_user_agent_check check (length(user_agent) <= 512),
  constraint user_sessions_expires_at_check check (expires_at > created_at),
  constraint user_sessions_revoked_check check ((revoked_at is null) = (revoke_reason is null)),
  constraint user_sessions_revoke_reason_check check (revoke_reason in
    ('logout', 'logout_all', 'ended', 'reuse', 'password_change', 'deactivated', 'deleted', 'membership', 'admin'))
);
-- The open sessions of a user are ended together, in all organisations.
create index user_sessions_user_id_idx on lab_data.user_sessions (user_id) where revoked_at is null;
-- An organisation's list, newest first; also carries the foreign key.
create index user_sessions_org_id_user_id_id_idx on lab_data.user_sessions (org_id, user_id, id desc);

comment on table lab_data.user_sessions is
$$Sessions

One sign-in of one user into one organisation. Every access token names its session; a session that is revoked or past expires_at ends all its tokens with the next statement. Sessions are made by auth_login and ended by auth_logout, auth_session_end and administration; nobody writes them directly.$$;
comment on column lab_data.user_sessions.device_info is 'What the client told about itself: a string or an object of at most 4 KB.';
comment on column lab_data.user_sessions.last_seen_at is 'The last sign-in or refresh; single requests are not recorded.';
comment on column lab_data.user_sessions.expires_at is 'Absolute end; no refresh moves it (P24).';
comment on column lab_data.user_sessions.revoke_reason is 'logout, logout_all, ended, reuse (a used refresh token came again), password_change, deactivated, deleted, membership, admin.';

-- access_logs ---------------------------------------------------------------

create table lab_data.access_logs (
  id         uuid        not null default labos.uuid_v7(),
  org_id     uuid        not null default '00000000-0000-0000-0000-000000000000',
  user_id    uuid,
  session_id uuid,
  event      text        not null,
  outcome    text        not null,
  ip         inet,
  user_agent text,
  request_id text,
  detail     jsonb       not null default '{}',
  created_at timestamptz not null default now(),
  constraint access_logs_pkey primary key (id, org_id),
  constraint access_logs_event_check check (event ~ '^[a-z][a-z_]{1,39}$'),
  constraint access_logs_outcome_check check (outcome in ('success', 'failure')),
  constraint access_logs_user_agent_check check (length(user_agent) <= 512),
  constraint access_logs_request_id_check check (length(request_id) <= 200),
  constraint access_logs_detail_check check (jsonb_typeof(detail) = 'object' and pg_column_size(detail) <= 8192)
);
-- An organisation's log, newest first (ids are in order of time).
create index access_logs_org_id_id_idx on lab_data.access_logs (org_id, id desc);
-- What one user did or suffered.
create index access_logs_org_id_user_id_id_idx on lab_data.access_logs (org_id, user_id, id desc);

comment on table lab_data.access_logs is
$$Access log

Sign-ins, failures, lockouts, refreshes, reuse, logouts, password and role administration. Append-only: rows are written by the calls themselves and changed by nobody. It references nothing, so that it outlives what it tells of.$$;
comment on column lab_data.access_logs.org_id is 'The organisation concerned; all zeros when no organisation is known (an unknown login name): such rows are for the installation''s superusers.';
comment on column lab_data.access_logs.event is 'login, lockout, refresh, refresh_reuse, logout, logout_all, session_end, password_change, org_switch, register, user_*, role_*, organization_create, signing_key_*.';
comment on column lab_data.access_logs.detail is 'What else is known, never a secret and never what was typed as login name.';

-- credentials ---------------------------------------------------------------

create table lab_private.credentials (
  user_id       uuid        not null,
  password_hash text        not null,
  algorithm     text        not null,
  parameters    jsonb       not null default '{}',
  changed_at    timestamptz not null default now(),
  must_change   boolean     not null default false,
  constraint credentials_pkey primary key (user_id),
  constraint credentials_user_id_fkey foreign key (user_id) references lab_data.users (id) on delete no action,
  constraint credentials_password_hash_check check (length(password_hash) between 20 and 512 and password_hash like '$%'),
  constraint credentials_algorithm_check check (algorithm in ('argon2id', 'bcrypt'))
);
comment on table lab_private.credentials is 'Password hashes, one per user; a user without a row cannot sign in with a password.';
comment on column lab_private.credentials.parameters is 'Cost parameters read from the hash, for reports; the hash itself counts.';
comment on column lab_private.credentials.must_change is 'Chosen by somebody else: sign-in answers say so until the user changes it.';

-- login_guard ---------------------------------------------------------------

create table lab_private.login_guard (
  user_id      uuid        not null,
  failed       integer     not null default 0,
  locked_until timestamptz not null default '-infinity',
  constraint login_guard_pkey primary key (user_id),
  constraint login_guard_user_id_fkey foreign key (user_id) references lab_data.users (id) on delete cascade
);
comment on table lab_private.login_guard is
$$Failed sign-ins of each user, as they count

Written in place by labos.login_guard_charge() and login_guard_set() only, outside of any transaction: what a client rolls back is counted all the same (P29). users.failed_login_attempts and locked_until follow it for reading. The column order is known to src/identity/login_guard.c.$$;
comment on column lab_private.login_guard.locked_until is 'No sign-in before this time; -infinity: not locked.';

-- refresh_tokens ------------------------------------------------------------

create table lab_private.refresh_tokens (
  token_sha256 bytea       not null,
  family_id    uuid        not null,
  session_id   uuid        not null,
  org_id       uuid        not null,
  issued_at    timestamptz not null default now(),
  expires_at   timestamptz not null,
  used_at      timestamptz,
  revoked_at   timestamptz,
  replaced_by  bytea,
  constraint refresh_tokens_pkey primary key (token_sha256),
  constraint refresh_tokens_session foreign key (session_id, org_id)
    references lab_data.user_sessions (id, org_id) on delete cascade,
  constraint refresh_tokens_token_sha256_check check (octet_length(token_sha256) = 32),
  constraint refresh_tokens_replaced_by_check check (octet_length(replaced_by) = 32),
  constraint refresh_tokens_used_check check (replaced_by is null or used_at is not null)
);
-- A family is revoked together.
create index refresh_tokens_family_id_idx on lab_private.refresh_tokens (family_id) where revoked_at is null;
-- Carries the foreign key.
create index refresh_tokens_session_id_org_id_idx on lab_private.refresh_tokens (session_id, org_id);
comment on table lab_private.refresh_tokens is 'Refresh tokens as SHA-256 digests; the token itself is known to the client only (P21).';
comment on column lab_private.refresh_tokens.family_id is 'All tokens that descend from one sign-in.';
comment on column lab_private.refresh_tokens.replaced_by is 'Digest of the successor, once used.';

-- signing_keys --------------------------------------------------------------

create table lab_private.signing_keys (
  kid         text        not null,
  alg         text        not null,
  sealed_key  bytea       not null,
  public_jwk  jsonb,
  not_before  timestamptz not null default now(),
  retired_at  timestamptz,
  created_at  timestamptz not null default now(),
  created_by  uuid,
  constraint signing_keys_pkey primary key (kid),
  constraint signing_keys_kid_check check (kid ~ '^[A-Za-z0-9_.:-]{1,64}$'),
  constraint signing_keys_alg_check check (alg in ('EdDSA', 'ES256', 'RS256', 'PS256', 'HS256', 'HS384', 'HS512')),
  constraint signing_keys_public_jwk_check check ((public_jwk is null) = (alg like 'HS%') and not public_jwk ?| '{d,k,p,q,dp,dq,qi}'),
  constraint signing_keys_retired_at_check check (retired_at >= not_before or retired_at >= created_at)
);
comment on table lab_private.signing_keys is 'Keys that sign access tokens. The newest one whose not_before has come signs; a key verifies until retired_at.';
comment on column lab_private.signing_keys.sealed_key is 'The private JWK, sealed with the master key: a dump of the database alone cannot sign (P35).';
comment on column lab_private.signing_keys.public_jwk is 'RFC 7517; null for a symmetric key, which has no public part.';
comment on column lab_private.signing_keys.retired_at is 'From then on the key is no longer accepted: after its last token has expired, or at once when withdrawn.';
