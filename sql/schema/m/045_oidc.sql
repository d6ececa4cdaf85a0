/*
 * Room: identity providers
 *
 * Who else may say who somebody is. A provider of an organisation speaks for
 * that organisation's own people only; one of the installation, which only a
 * superuser sets up, for everybody. Their keys are stored: no request of ours
 * ever leaves the database.
 *
 * Holds    oidc_providers; lab_private: oidc_links, oidc_used
 * Needs    010, 020, 040
 *
 * This half is a migration: it runs once.
 */

create table lab_data.oidc_providers (
  id                 uuid        not null default labos.uuid_v7(),
  org_id             uuid                 default labos.org_id(),
  name               text        not null,
  issuer             text        not null,
  client_id          text        not null,
  jwks               jsonb       not null,
  algorithms         text[]      not null default '{RS256}',
  email_domains      text[]      not null,
  default_role_id    uuid,
  allow_provisioning boolean     not null default false,
  is_enabled         boolean     not null default true,
  version            integer     not null default 1,
  created_at         timestamptz not null default now(),
  created_by         uuid,
  updated_at         timestamptz not null default now(),
  updated_by         uuid,
  deleted_at         timestamptz,
  deleted_by         uuid,
  constraint oidc_providers_pkey primary key (id),
  constraint oidc_provider_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint oidc_provider_default_role foreign key (default_role_id)
    references lab_data.roles (id) on delete no action,
  constraint oidc_providers_name_check check (length(btrim(name)) between 1 and 100 and name !~ '[[:cntrl:]]'),
  constraint oidc_providers_issuer_check check (length(issuer) <= 500 and issuer ~ '^https://[^[:space:][:cntrl:]?#]+$'),
  constraint oidc_providers_client_id_check check (length(client_id) between 1 and 255 and client_id !~ '[[:cntrl:]]'),
  -- Public parts only, and never a shared secret: who reads them could sign.
  constraint oidc_providers_jwks_check check (
    jsonb_typeof(jwks -> 'keys') = 'array' and jsonb_array_length(jwks -> 'keys') between 1 and 20 and pg_column_size(jwks) <= 65536
    and not jsonb_path_exists(jwks, '$.keys[*] ? (exists (@.d) || exists (@.k) || exists (@.p) || exists (@.q) || exists (@.dp) || exists (@.dq) || exists (@.qi) || @.kty == "oct")')),
  constraint oidc_providers_algorithms_check check (
    cardinality(algorithms) >= 1 and algorithms <@ '{RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA}'::text[]),
  constraint oidc_providers_email_domains_check check (cardinality(email_domains) between 1 and 50 and array_position(email_domains, null) is null),
  constraint oidc_providers_allow_provisioning_check check (not allow_provisioning or default_role_id is not null)
);
-- One of a kind in an organisation. Not in all of them: another's provider must not show by a conflict.
create unique index oidc_providers_org_id_issuer_client_id_key on lab_data.oidc_providers (org_id, issuer, client_id)
  nulls not distinct where deleted_at is null;

comment on table lab_data.oidc_providers is
$$Identity providers

OpenID Connect providers whose ID tokens auth_oidc exchanges for ours. org_id null is one of the installation, shown to its superusers by oidc_provider_list.$$;
comment on column lab_data.oidc_providers.org_id is 'Null for a provider of the whole installation.';
comment on column lab_data.oidc_providers.issuer is 'Equal to "iss" of its tokens, character by character.';
comment on column lab_data.oidc_providers.client_id is 'The audience: the id under which the application is registered there.';
comment on column lab_data.oidc_providers.jwks is 'Its public signing keys (RFC 7517), each with its algorithm. Renewed by oidc_provider_update.';
comment on column lab_data.oidc_providers.algorithms is 'What its tokens may be signed with; never none and never a shared secret.';
comment on column lab_data.oidc_providers.email_domains is 'Domains of the addresses that it may speak for, for linking and provisioning; no subdomains of them.';
comment on column lab_data.oidc_providers.default_role_id is 'Given to whom it brings.';
comment on column lab_data.oidc_providers.allow_provisioning is 'Whether a stranger with a verified address of these domains gets an account.';

create table lab_private.oidc_links (
  provider_id  uuid        not null,
  subject      text        not null,
  user_id      uuid        not null,
  created_at   timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  constraint oidc_links_pkey primary key (provider_id, subject),
  constraint oidc_links_provider_id_user_id_key unique (provider_id, user_id),
  constraint oidc_link_provider foreign key (provider_id)
    references lab_data.oidc_providers (id) on delete cascade,
  constraint oidc_link_user foreign key (user_id)
    references lab_data.users (id) on delete no action,
  constraint oidc_links_subject_check check (length(subject) between 1 and 255)
);
create index oidc_links_user_id_idx on lab_private.oidc_links (user_id);
comment on table lab_private.oidc_links is
  'Which subject of a provider is which user. One each: an address that a provider gives to another person later does not become the user.';

create table lab_private.oidc_used (
  token_sha256 bytea       not null,
  provider_id  uuid        not null,
  expires_at   timestamptz not null,
  constraint oidc_used_pkey primary key (token_sha256),
  constraint oidc_used_token_sha256_check check (octet_length(token_sha256) = 32)
);
create index oidc_used_expires_at_idx on lab_private.oidc_used (expires_at);
comment on table lab_private.oidc_used is
  'ID tokens that have been exchanged, by the digest of what they say, until they expire. Written in one with the session: rolled back, there is neither.';

alter table lab_data.user_sessions add column oidc_provider_id uuid;
create index user_sessions_oidc_provider_id_idx on lab_data.user_sessions (oidc_provider_id) where oidc_provider_id is not null and revoked_at is null;
comment on column lab_data.user_sessions.oidc_provider_id is 'The identity provider that vouched; disabling it ends the session.';
