/*
 * Room: identity, second floor
 *
 * What a full identity service remembers beyond passwords and sessions: second
 * factors, known devices, one-time tokens, and for each of them a guard whose
 * use no ROLLBACK takes back.
 *
 * Holds    lab_private: use_guard, one_time_tokens, mfa_factors,
 *          mfa_backup_codes, known_devices, login_decoys; columns of
 *          user_sessions and identity_settings
 * Needs    020
 *
 * This half is a migration: it runs once.
 */

-- user_sessions -------------------------------------------------------------

alter table lab_data.user_sessions
  add column kind          text     not null default 'password',
  add column aal           smallint not null default 1,
  add column amr           text[]   not null default '{pwd}',
  add column scopes        text[],
  add column api_key_id    uuid,
  add column acting_org_id uuid,
  add column reason        text,
  add constraint user_sessions_kind_check check (kind in ('password', 'api_key', 'oidc', 'invitation', 'reset', 'guest', 'superuser')),
  add constraint user_sessions_aal_check check (aal between 1 and 3),
  add constraint user_sessions_amr_check check (amr <@ '{pwd,otp,rec,fed,key,inv}'::text[]),
  add constraint user_sessions_api_key_check check ((kind = 'api_key') = (api_key_id is not null)),
  add constraint user_sessions_scopes_check check (scopes is null or cardinality(scopes) <= 200),
  add constraint user_sessions_acting_check check ((kind in ('guest', 'superuser')) = (acting_org_id is not null)),
  add constraint user_sessions_reason_check check (length(reason) <= 500),
  add constraint session_acting_organization foreign key (acting_org_id) references lab_data.organizations (id) on delete no action;
alter table lab_data.user_sessions
  drop constraint user_sessions_revoke_reason_check,
  add constraint user_sessions_revoke_reason_check check (revoke_reason in
    ('logout', 'logout_all', 'ended', 'reuse', 'password_change', 'deactivated', 'deleted', 'membership', 'admin',
     'password_reset', 'email_change', 'mfa_change', 'api_key', 'share'));
create index user_sessions_api_key_id_idx on lab_data.user_sessions (api_key_id) where api_key_id is not null and revoked_at is null;

comment on column lab_data.user_sessions.kind is 'How it began: password, api_key, oidc, invitation, reset; guest (acting in an organisation that shares) or superuser (reading another organisation, with a reason).';
comment on column lab_data.user_sessions.aal is 'Authenticator assurance level of NIST SP 800-63B: 1 one factor, 2 two factors.';
comment on column lab_data.user_sessions.amr is 'Methods used: pwd, otp (TOTP), rec (backup code), fed (identity provider), key (API key), inv (invitation).';
comment on column lab_data.user_sessions.scopes is 'What the session may do at most, as permissions; null: all that the user may. It never adds a right.';
comment on column lab_data.user_sessions.api_key_id is 'The key it was exchanged for; revoking the key ends the session.';
comment on column lab_data.user_sessions.acting_org_id is 'The organisation acted in, when it is not one of the user''s own: org_id stays the home organisation.';
comment on column lab_data.user_sessions.reason is 'Why a superuser of the installation reads another organisation; or what the session is restricted to: password_change_required, mfa_setup_required.';
comment on column lab_data.user_sessions.revoke_reason is
  'logout, logout_all, ended, reuse (a used refresh token came again), password_change, password_reset, email_change, mfa_change, api_key, share, deactivated, deleted, membership, admin.';

-- identity_settings ---------------------------------------------------------

alter table lab_private.identity_settings
  add column app_url              text,
  add column mail_sender          text,
  add column reset_minutes        integer not null default 10,
  add column verification_minutes integer not null default 1440,
  add column invitation_days      integer not null default 7,
  add column challenge_seconds    integer not null default 300,
  add column device_days          integer not null default 180,
  add column initial_password_days integer not null default 7,
  add constraint identity_settings_app_url_check check (length(app_url) <= 500 and app_url ~ '^https?://[^\s?#]+$'),
  add constraint identity_settings_mail_sender_check check (length(mail_sender) <= 254 and mail_sender !~ '[[:cntrl:]]'),
  add constraint identity_settings_reset_minutes_check check (reset_minutes between 1 and 60),
  add constraint identity_settings_verification_minutes_check check (verification_minutes between 5 and 10080),
  add constraint identity_settings_invitation_days_check check (invitation_days between 1 and 30),
  add constraint identity_settings_challenge_seconds_check check (challenge_seconds between 60 and 900),
  add constraint identity_settings_device_days_check check (device_days between 1 and 730),
  add constraint identity_settings_initial_password_days_check check (initial_password_days between 1 and 90);
comment on column lab_private.identity_settings.app_url is 'Where the application stands; links in mails begin with it. Without one a mail carries the token alone.';
comment on column lab_private.identity_settings.mail_sender is 'From address of mails; the delivery worker has a default of its own.';
comment on column lab_private.identity_settings.reset_minutes is 'How long a password reset token lives.';
comment on column lab_private.identity_settings.challenge_seconds is 'How long the second step of a sign-in may take.';
comment on column lab_private.identity_settings.initial_password_days is 'How long a password that user_create made signs in, unless it is changed before (ASVS 6.4.1).';
comment on column lab_private.identity_settings.device_days is 'How long a device that has signed in is known; a known device signs in although the account is locked for others (P54).';

-- use_guard -----------------------------------------------------------------

create table lab_private.use_guard (
  id    uuid        not null,
  used  integer     not null default 0,
  until timestamptz not null default '-infinity',
  constraint use_guard_pkey primary key (id)
);
comment on table lab_private.use_guard is
$$What is used once, or only forwards, whatever becomes of the transaction

One row for each one-time token, backup code, second factor and device, of the same id. Written in place by labos.use_guard_advance() and labos.use_guard_charge() only (P29); never updated by SQL. The column order is known to src/identity/login_guard.c.$$;
comment on column lab_private.use_guard.used is '0, then 1 for what is used once; tries at a challenge; the last time step accepted of a TOTP secret.';

-- one_time_tokens -----------------------------------------------------------

create table lab_private.one_time_tokens (
  id                  uuid        not null default labos.uuid_v7(),
  token_sha256        bytea       not null,
  purpose             text        not null,
  user_id             uuid,
  org_id              uuid,
  email               text,
  password_changed_at timestamptz,
  payload             jsonb       not null default '{}',
  created_at          timestamptz not null default now(),
  expires_at          timestamptz not null,
  used_at             timestamptz,
  revoked_at          timestamptz,
  constraint one_time_tokens_pkey primary key (id),
  constraint one_time_tokens_token_sha256_key unique (token_sha256),
  constraint one_time_tokens_user_id_fkey foreign key (user_id) references lab_data.users (id) on delete no action,
  constraint one_time_tokens_org_id_fkey foreign key (org_id) references lab_data.organizations (id) on delete no action,
  constraint one_time_tokens_token_sha256_check check (octet_length(token_sha256) = 32),
  constraint one_time_tokens_purpose_check check (purpose in ('email_verification', 'email_change', 'password_reset', 'invitation', 'mfa_challenge')),
  constraint one_time_tokens_subject_check check (user_id is not null or purpose = 'invitation'),
  constraint one_time_tokens_payload_check check (jsonb_typeof(payload) = 'object' and pg_column_size(payload) <= 8192)
);
-- Consuming one kills its siblings.
create index one_time_tokens_user_id_purpose_idx on lab_private.one_time_tokens (user_id, purpose) where used_at is null and revoked_at is null;
create index one_time_tokens_expires_at_idx on lab_private.one_time_tokens (expires_at);
comment on table lab_private.one_time_tokens is 'Tokens that are sent and used once, as SHA-256 digests: bound to purpose, user, current e-mail and current password (P62).';
comment on column lab_private.one_time_tokens.email is 'The address it was sent to; the token dies when the user''s address is another.';
comment on column lab_private.one_time_tokens.password_changed_at is 'Version of the password it was made under; a reset token dies when that changes.';
comment on column lab_private.one_time_tokens.payload is 'What the second half needs: the new address, the invitation, the device. Never a secret.';
comment on column lab_private.one_time_tokens.used_at is 'For reading; what decides is use_guard.';

-- mfa -----------------------------------------------------------------------

create table lab_private.mfa_factors (
  id            uuid        not null default labos.uuid_v7(),
  user_id       uuid        not null,
  kind          text        not null default 'totp',
  sealed_secret bytea       not null,
  guard_id      uuid        not null default labos.uuid_v7(),
  created_at    timestamptz not null default now(),
  confirmed_at  timestamptz,
  constraint mfa_factors_pkey primary key (id),
  constraint mfa_factors_user_id_kind_key unique (user_id, kind),
  constraint mfa_factors_user_id_fkey foreign key (user_id) references lab_data.users (id) on delete no action,
  constraint mfa_factors_kind_check check (kind in ('totp'))
);
comment on table lab_private.mfa_factors is 'Second factors: the TOTP secret of a user, sealed with the master key. Its last accepted time step stands in use_guard.';
comment on column lab_private.mfa_factors.guard_id is 'The row of use_guard that counts wrong codes: a budget apart from that of the password (P53).';
comment on column lab_private.mfa_factors.confirmed_at is 'Set by the first code; until then the factor is not asked for.';

create table lab_private.mfa_backup_codes (
  id          uuid        not null default labos.uuid_v7(),
  user_id     uuid        not null,
  code_sha256 bytea       not null,
  created_at  timestamptz not null default now(),
  used_at     timestamptz,
  constraint mfa_backup_codes_pkey primary key (id),
  constraint mfa_backup_codes_user_id_code_sha256_key unique (user_id, code_sha256),
  constraint mfa_backup_codes_user_id_fkey foreign key (user_id) references lab_data.users (id) on delete no action,
  constraint mfa_backup_codes_code_sha256_check check (octet_length(code_sha256) = 32)
);
comment on table lab_private.mfa_backup_codes is 'Backup codes of at least 112 bits, as SHA-256 digests, single use (P60).';
comment on column lab_private.mfa_backup_codes.used_at is 'For reading; what decides is use_guard.';

-- known_devices -------------------------------------------------------------

create table lab_private.known_devices (
  id            uuid        not null default labos.uuid_v7(),
  user_id       uuid        not null,
  secret_sha256 bytea       not null,
  session_id    uuid,
  user_agent    text,
  ip            inet,
  created_at    timestamptz not null default now(),
  last_used_at  timestamptz not null default now(),
  expires_at    timestamptz not null,
  revoked_at    timestamptz,
  constraint known_devices_pkey primary key (id),
  constraint known_devices_secret_sha256_key unique (secret_sha256),
  constraint known_devices_user_id_fkey foreign key (user_id) references lab_data.users (id) on delete no action,
  constraint known_devices_secret_sha256_check check (octet_length(secret_sha256) = 32),
  constraint known_devices_user_agent_check check (length(user_agent) <= 512)
);
create index known_devices_user_id_idx on lab_private.known_devices (user_id) where revoked_at is null;
comment on table lab_private.known_devices is 'Devices that have signed in, by the digest of a token they keep. A known device has failures of its own in use_guard: strangers cannot lock it out (P54).';
comment on column lab_private.known_devices.session_id is 'The last session that began on it.';
comment on column lab_private.known_devices.ip is 'Where it signed in from last.';

-- login_decoys ----------------------------------------------------------------

create table lab_private.login_decoys (
  id     uuid    not null default labos.uuid_v7(),
  number integer not null,
  failed_login_attempts integer     not null default 0,
  locked_until          timestamptz,
  constraint login_decoys_pkey primary key (id),
  constraint login_decoys_number_key unique (number)
);
insert into lab_private.login_decoys (number) select generate_series(0, 63);
insert into lab_private.use_guard (id) select d.id from lab_private.login_decoys d;
comment on table lab_private.login_decoys is
  'Rows that are charged and written when a sign-in names nobody, so that it costs what a wrong password costs (P52). Sixty-four, so that they are no queue.';
