/*
 * Room: API keys
 *
 * What machines sign in with. A key belongs to a member and can do at most what
 * its scopes say and its owner may at that moment. Each secret of a key has a
 * session of its own, made with it and open as long as it works: a client that
 * shows the key acts in that session, and ending the session is what takes a
 * key away, at once and everywhere.
 *
 * Holds    api_keys; lab_private.api_key_secrets
 * Needs    010, 020, 040
 *
 * This half is a migration: it runs once.
 */

create table lab_data.api_keys (
  id            uuid        not null default labos.uuid_v7(),
  org_id        uuid        not null default labos.org_id(),
  owner_id      uuid        not null,
  name          text        not null,
  prefix        text        not null,
  scopes        text[]      not null,
  expires_at    timestamptz not null,
  last_used_at  timestamptz,
  last_used_ip  inet,
  revoked_at    timestamptz,
  revoked_by    uuid,
  revoke_reason text,
  rotated_at    timestamptz,
  version       integer     not null default 1,
  created_at    timestamptz not null default now(),
  created_by    uuid,
  updated_at    timestamptz not null default now(),
  updated_by    uuid,
  constraint api_keys_pkey primary key (org_id, id),
  constraint api_key_owner foreign key (org_id, owner_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint api_keys_name_check check (length(btrim(name)) between 1 and 100 and name !~ '[[:cntrl:]]'),
  constraint api_keys_prefix_check check (prefix ~ '^lab_[a-z][a-z0-9]{0,15}_[0-9A-Za-z]{12}$'),
  constraint api_keys_scopes_check check (cardinality(scopes) between 1 and 100 and array_position(scopes, null) is null),
  constraint api_keys_expires_at_check check (expires_at > created_at and expires_at < 'infinity'),
  constraint api_keys_revoked_check check ((revoked_at is null) = (revoke_reason is null)),
  constraint api_keys_revoke_reason_check check (revoke_reason in ('owner', 'admin', 'session', 'membership', 'deleted'))
);
-- A name means one key of an owner; also carries the foreign key, and finds what is live when a member leaves.
create unique index api_keys_org_id_owner_id_name_key on lab_data.api_keys (org_id, owner_id, lower(name)) where revoked_at is null;
create index api_keys_org_id_owner_id_id_idx on lab_data.api_keys (org_id, owner_id, id desc);

comment on table lab_data.api_keys is
$$API keys

Keys for machines. One sees one's own, holders of api_key:read_any those of the organisation. Made by api_key_create, which shows the key once; ended by api_key_revoke. The secret is stored nowhere.$$;
comment on column lab_data.api_keys.owner_id is 'Whose rights the key has, within its scopes.';
comment on column lab_data.api_keys.prefix is 'The beginning of the key, no secret: tells which one it is.';
comment on column lab_data.api_keys.scopes is 'What the key may do at most, as permissions; the owner''s rights of the moment limit it further.';
comment on column lab_data.api_keys.last_used_at is 'The last exchange (auth_api_key), to five minutes; transactions signed in with labos.login() write nothing.';
comment on column lab_data.api_keys.last_used_ip is 'Where that came from.';
comment on column lab_data.api_keys.revoke_reason is
  'owner or admin (api_key_revoke), session (its session was ended), membership (the owner left), deleted (the owner was deleted).';
comment on column lab_data.api_keys.rotated_at is 'When its secret was last replaced.';

create table lab_private.api_key_secrets (
  public_id     text        not null,
  secret_sha256 bytea       not null,
  org_id        uuid        not null,
  key_id        uuid        not null,
  session_id    uuid        not null,
  created_at    timestamptz not null default now(),
  constraint api_key_secrets_pkey primary key (public_id),
  constraint api_key_secrets_session_id_key unique (session_id),
  constraint api_key_secret_key foreign key (org_id, key_id)
    references lab_data.api_keys (org_id, id) on delete cascade,
  constraint api_key_secrets_public_id_check check (public_id ~ '^[0-9A-Za-z]{12}$'),
  constraint api_key_secrets_secret_sha256_check check (octet_length(secret_sha256) = 32)
);
create index api_key_secrets_org_id_key_id_idx on lab_private.api_key_secrets (org_id, key_id);
comment on table lab_private.api_key_secrets is
  'The secrets of API keys as SHA-256 digests, found by the id within the key; two of one key while a rotation overlaps.';
comment on column lab_private.api_key_secrets.session_id is 'The session that this secret opens; when it has ended, so has the secret.';

alter table lab_private.identity_settings
  add column api_key_days     integer not null default 365,
  add column api_key_max_days integer not null default 730,
  add constraint identity_settings_api_key_days_check check (api_key_days between 1 and api_key_max_days),
  add constraint identity_settings_api_key_max_days_check check (api_key_max_days between 1 and 3650);
comment on column lab_private.identity_settings.api_key_days is 'How long a new API key lives when nothing is said.';
comment on column lab_private.identity_settings.api_key_max_days is 'How long a new API key may live at most.';
