/*
 * Room: identity providers (repeatable half)
 *
 * Whoever sets up a provider decides who its tokens say somebody is. So one of
 * an organisation is set up by its full administrators only and speaks for
 * accounts that belong to this organisation alone, at each sign-in anew: never
 * for a member of another one, never for a superuser of the installation. And
 * it is asked only when the organisation is named.
 *
 * Holds    oidc_provider_create, oidc_provider_update, oidc_provider_delete,
 *          oidc_provider_list, auth_oidc
 * Needs    020 to 024, 040; C identity (oidc_verify, jwk_public)
 */

do $do$
declare
  v_table text;
begin
  foreach v_table in array array['oidc_links', 'oidc_used'] loop
    execute format('alter table lab_private.%I enable row level security', v_table);
    execute format('alter table lab_private.%I force row level security', v_table);
    execute format('drop policy if exists owner_all on lab_private.%I', v_table);
    execute format('create policy owner_all on lab_private.%I for all to lab_owner using (true) with check (true)', v_table);
  end loop;
end
$do$;

-- Those of the installation have no org_id and show to nobody here: oidc_provider_list.
call labos.protect('lab_data.oidc_providers', 'oidc_provider', verbs => '{select}');
call labos.expose('oidc_providers');
create or replace trigger _100_stamp before insert or update on lab_data.oidc_providers for each row execute function labos.tg__stamp();
call labos.audit_enable('lab_data.oidc_providers');

-- setting up ------------------------------------------------------------------

create or replace function lab_private.oidc_keys(jwks jsonb, algorithms text[]) returns jsonb
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_rsa  text[] := array(select a from unnest(algorithms) a where a ~ '^[RP]S');
  v_jwk  jsonb;
  v_keys jsonb := '[]'::jsonb;
begin
  if oidc_keys.jwks is null or jsonb_typeof(oidc_keys.jwks) <> 'object' or jsonb_typeof(oidc_keys.jwks -> 'keys') is distinct from 'array'
     or jsonb_array_length(oidc_keys.jwks -> 'keys') not between 1 and 20 or pg_column_size(oidc_keys.jwks) > 65536 then
    raise exception 'jwks must be a key set of 1 to 20 keys' using errcode = 'PT422',
      detail = json_build_object('code', 'invalid_jwks')::text,
      hint = 'What the provider''s jwks_uri shows: {"keys": [...]}, at most 64 KB.';
  end if;
  for v_jwk in select k from jsonb_array_elements(oidc_keys.jwks -> 'keys') k loop
    if jsonb_typeof(v_jwk) = 'object' and (v_jwk ?| '{d,k,p,q,dp,dq,qi,oth}' or v_jwk ->> 'kty' = 'oct') then
      raise exception 'the key set holds private keys or shared secrets' using errcode = 'PT422',
        detail = json_build_object('code', 'private_key')::text,
        hint = 'Only public keys belong here. If they were published like this, they must be replaced.';
    end if;
    continue when jsonb_typeof(v_jwk) <> 'object' or coalesce(v_jwk ->> 'use', 'sig') <> 'sig';
    -- A key without an algorithm gets the one that the provider uses: from then on it has this one only (P1).
    if v_jwk ->> 'alg' is null and v_jwk ->> 'kty' = 'RSA' and cardinality(v_rsa) = 1 then
      v_jwk := v_jwk || jsonb_build_object('alg', v_rsa[1]);
    end if;
    begin
      v_jwk := labos.jwk_public(v_jwk);
    exception when sqlstate 'LB102' then
      continue;   -- of a kind that we do not use, or too weak
    end;
    if v_jwk ->> 'alg' = any (algorithms) then
      v_keys := v_keys || v_jwk;
    end if;
  end loop;
  if jsonb_array_length(v_keys) = 0 or (select count(distinct k ->> 'kid') <> count(*) from jsonb_array_elements(v_keys) k) then
    raise exception 'the key set has no key for these algorithms, or two of one name' using errcode = 'PT422',
      detail = json_build_object('code', 'invalid_jwks', 'usable', jsonb_array_length(v_keys))::text,
      hint = 'RSA keys need 2048 bits; name the algorithms that the provider signs with.';
  end if;
  return jsonb_build_object('keys', v_keys);
end
$$;
comment on function lab_private.oidc_keys(jsonb, text[]) is
  'The usable public signing keys of a key set, each with its algorithm and kid: PT422 invalid_jwks, private_key.';

create or replace function lab_private.oidc_domains(domains text[]) returns text[]
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_domains text[] := array(select distinct ltrim(lower(btrim(d)), '@') from unnest(oidc_domains.domains[1:1000]) d order by 1);
begin
  if cardinality(v_domains) not between 1 and 50
     or exists (select from unnest(v_domains) d where d is null or length(d) > 253 or d !~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$') then
    raise exception 'email_domains must be 1 to 50 domains' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_email_domains')::text,
      hint = 'For instance {"lab.example"}: addresses of other domains are never linked.';
  end if;
  return v_domains;
end
$$;
comment on function lab_private.oidc_domains(text[]) is 'Domains in lower case, sorted: PT400 invalid_email_domains.';

create or replace function lab_private.oidc_algorithms(algorithms text[]) returns text[]
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if cardinality(oidc_algorithms.algorithms) not between 1 and 10
     or not oidc_algorithms.algorithms <@ '{RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA}'::text[] then
    raise exception 'unknown algorithm' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_algorithms')::text,
      hint = 'RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA: never none, never a shared secret.';
  end if;
  return oidc_algorithms.algorithms;
end
$$;
comment on function lab_private.oidc_algorithms(text[]) is 'Asymmetric algorithms only: PT400 invalid_algorithms.';

create or replace function lab_private.oidc_role(org_id uuid, role text) returns uuid
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_role   lab_data.roles;
  v_grants text[];
begin
  if coalesce(role, '') = '' then
    return null;
  end if;
  v_role := lab_private.find_role(oidc_role.org_id, oidc_role.role);
  v_grants := lab_private.role_grants(array[v_role.id]);
  if oidc_role.org_id is not null then
    perform lab_private.require_permissions(v_grants);
  elsif '*:*' = any (v_grants) then
    raise exception 'strangers do not become administrators' using errcode = 'PT403',
      detail = json_build_object('code', 'permission_escalation', 'missing', array['*:*'])::text;
  end if;
  return v_role.id;
end
$$;
comment on function lab_private.oidc_role(uuid, text) is
  'The role for those whom a provider brings, which its creator could give: PT404 role_not_found, PT403 permission_escalation. For the installation a system role without *:*.';

create or replace function lab_private.oidc_provider_json(provider lab_data.oidc_providers) returns jsonb
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select to_jsonb(provider) - '{deleted_at,deleted_by}'::text[]
      || jsonb_build_object('default_role', (select r.name from lab_data.roles r where r.id = provider.default_role_id))
$$;
comment on function lab_private.oidc_provider_json(lab_data.oidc_providers) is 'A provider as the calls return it.';

create or replace function lab.oidc_provider_create(
  name text, issuer text, client_id text, jwks jsonb, email_domains text[], algorithms text[] default '{RS256}',
  default_role text default null, allow_provisioning boolean default false, installation boolean default false) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user     uuid := labos.require_user();
  v_org      uuid;
  v_provider lab_data.oidc_providers;
begin
  perform lab_private.require_interactive(), lab_private.require_writable();
  if coalesce(oidc_provider_create.installation, false) then
    perform lab_private.require_superuser();
  else
    v_org := labos.require_org_for('oidc_provider:create');
    -- Who says who somebody is can be anybody here: only those who already may everything.
    perform lab_private.require_permissions('{*:*}');
  end if;
  v_provider.name := btrim(oidc_provider_create.name);
  if v_provider.name is null or length(v_provider.name) not between 1 and 100 or v_provider.name ~ '[[:cntrl:]]' then
    raise exception 'invalid name' using errcode = 'PT400', detail = json_build_object('code', 'invalid_name')::text;
  elsif issuer is null or length(issuer) > 500 or issuer !~ '^https://[^[:space:][:cntrl:]?#]+$' then
    raise exception 'invalid issuer' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_issuer')::text,
      hint = 'The https address that its tokens have as "iss", character by character.';
  elsif client_id is null or length(client_id) not between 1 and 255 or client_id ~ '[[:cntrl:]]' then
    raise exception 'invalid client_id' using errcode = 'PT400', detail = json_build_object('code', 'invalid_client_id')::text;
  end if;
  v_provider.algorithms := lab_private.oidc_algorithms(coalesce(oidc_provider_create.algorithms, '{RS256}'));
  v_provider.jwks := lab_private.oidc_keys(oidc_provider_create.jwks, v_provider.algorithms);
  v_provider.email_domains := lab_private.oidc_domains(oidc_provider_create.email_domains);
  v_provider.default_role_id := lab_private.oidc_role(v_org, oidc_provider_create.default_role);
  v_provider.allow_provisioning := coalesce(oidc_provider_create.allow_provisioning, false);
  if v_provider.allow_provisioning and v_provider.default_role_id is null then
    raise exception 'provisioning needs a default role' using errcode = 'PT422',
      detail = json_build_object('code', 'default_role_required')::text;
  elsif exists (select from lab_data.oidc_providers p
                where p.org_id is not distinct from v_org and p.issuer = oidc_provider_create.issuer
                  and p.client_id = oidc_provider_create.client_id and p.deleted_at is null) then
    raise exception 'this provider is set up already' using errcode = 'PT409', detail = json_build_object('code', 'oidc_provider_exists')::text;
  elsif (select count(*) from lab_data.oidc_providers p where p.org_id is not distinct from v_org and p.deleted_at is null) >= 20 then
    raise exception 'too many identity providers' using errcode = 'PT409',
      detail = json_build_object('code', 'too_many_oidc_providers', 'most', 20)::text;
  end if;
  insert into lab_data.oidc_providers (org_id, name, issuer, client_id, jwks, algorithms, email_domains, default_role_id, allow_provisioning)
  values (v_org, v_provider.name, oidc_provider_create.issuer, oidc_provider_create.client_id, v_provider.jwks, v_provider.algorithms,
          v_provider.email_domains, v_provider.default_role_id, v_provider.allow_provisioning)
  returning * into v_provider;
  perform lab_private.access_log('oidc_provider_create', 'success', v_org, v_user, labos.session_id(),
    jsonb_build_object('provider_id', v_provider.id, 'issuer', v_provider.issuer));
  return lab_private.oidc_provider_json(v_provider);
end
$$;
comment on function lab.oidc_provider_create(text, text, text, jsonb, text[], text[], text, boolean, boolean) is
$$Set up an identity provider

`issuer` and `client_id` as its ID tokens have them in `iss` and `aud`, `jwks` its public keys, `email_domains` the domains it may speak for. With `allow_provisioning` strangers of these domains get an account with `default_role`. Needs all permissions of the organisation (*:*); with `installation` it is for everybody, by superusers of the installation. Errors: 400 `invalid_name`, `invalid_issuer`, `invalid_client_id`, `invalid_algorithms`, `invalid_email_domains`, 403 without `oidc_provider:create`, `interactive_session_required`, `permission_escalation`, `superuser_required`, 404 `role_not_found`, 409 `oidc_provider_exists`, `too_many_oidc_providers`, 422 `invalid_jwks`, `private_key`, `default_role_required`.$$;

create or replace function lab_private.oidc_provider_for(id uuid, permission text) returns lab_data.oidc_providers
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_provider lab_data.oidc_providers;
begin
  -- Of the acting organisation; or of the installation, which others do not learn of.
  select p.* into v_provider from lab_data.oidc_providers p
  where p.id = oidc_provider_for.id and p.deleted_at is null
    and (p.org_id = labos.org_for(permission) or p.org_id is null and labos.is_superuser())
  for no key update;
  if not found then
    if not labos.is_superuser() then
      perform labos.require_org_for(permission);
    end if;
    raise exception 'identity provider not found' using errcode = 'PT404',
      detail = json_build_object('code', 'oidc_provider_not_found', 'id', oidc_provider_for.id)::text;
  end if;
  return v_provider;
end
$$;
comment on function lab_private.oidc_provider_for(uuid, text) is 'A provider that the caller may change, locked: PT403, PT404 oidc_provider_not_found.';

create or replace function lab_private.oidc_sessions_end(provider_id uuid) returns integer
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_ended uuid[];
begin
  with ended as (
    update lab_data.user_sessions s set revoked_at = now(), revoke_reason = 'admin'
    where s.oidc_provider_id = oidc_sessions_end.provider_id and s.revoked_at is null returning s.id)
  select coalesce(array_agg(e.id), '{}') into v_ended from ended e;
  update lab_private.refresh_tokens t set revoked_at = now() where t.session_id = any (v_ended) and t.revoked_at is null;
  return cardinality(v_ended);
end
$$;
comment on function lab_private.oidc_sessions_end(uuid) is 'Ends what a provider has vouched for.';

create or replace function lab.oidc_provider_update(
  id uuid, name text default null, jwks jsonb default null, email_domains text[] default null, algorithms text[] default null,
  default_role text default null, allow_provisioning boolean default null, is_enabled boolean default null, version integer default null)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user     uuid := labos.require_user();
  v_provider lab_data.oidc_providers;
  v_ended    integer := 0;
begin
  perform lab_private.require_interactive(), lab_private.require_writable();
  v_provider := lab_private.oidc_provider_for(oidc_provider_update.id, 'oidc_provider:update');
  -- Disabling is open to those with the permission; all else could make somebody of somebody.
  if v_provider.org_id is not null
     and (num_nonnulls(oidc_provider_update.name, oidc_provider_update.jwks, oidc_provider_update.email_domains, oidc_provider_update.algorithms,
                       oidc_provider_update.default_role, oidc_provider_update.allow_provisioning) > 0 or oidc_provider_update.is_enabled) then
    perform lab_private.require_permissions('{*:*}');
  end if;
  v_provider.name := coalesce(btrim(oidc_provider_update.name), v_provider.name);
  if length(v_provider.name) not between 1 and 100 or v_provider.name ~ '[[:cntrl:]]' then
    raise exception 'invalid name' using errcode = 'PT400', detail = json_build_object('code', 'invalid_name')::text;
  end if;
  if oidc_provider_update.algorithms is not null then
    v_provider.algorithms := lab_private.oidc_algorithms(oidc_provider_update.algorithms);
  end if;
  if oidc_provider_update.jwks is not null or oidc_provider_update.algorithms is not null then
    v_provider.jwks := lab_private.oidc_keys(coalesce(oidc_provider_update.jwks, v_provider.jwks), v_provider.algorithms);
  end if;
  if oidc_provider_update.email_domains is not null then
    v_provider.email_domains := lab_private.oidc_domains(oidc_provider_update.email_domains);
  end if;
  if oidc_provider_update.default_role is not null then
    v_provider.default_role_id := lab_private.oidc_role(v_provider.org_id, oidc_provider_update.default_role);
  end if;
  v_provider.allow_provisioning := coalesce(oidc_provider_update.allow_provisioning, v_provider.allow_provisioning);
  v_provider.is_enabled := coalesce(oidc_provider_update.is_enabled, v_provider.is_enabled);
  if v_provider.allow_provisioning and v_provider.default_role_id is null then
    raise exception 'provisioning needs a default role' using errcode = 'PT422',
      detail = json_build_object('code', 'default_role_required')::text;
  end if;
  update lab_data.oidc_providers p
  set name = v_provider.name, jwks = v_provider.jwks, algorithms = v_provider.algorithms, email_domains = v_provider.email_domains,
      default_role_id = v_provider.default_role_id, allow_provisioning = v_provider.allow_provisioning, is_enabled = v_provider.is_enabled,
      version = coalesce(oidc_provider_update.version, p.version)
  where p.org_id is not distinct from v_provider.org_id and p.id = v_provider.id
  returning * into v_provider;
  if not v_provider.is_enabled then
    v_ended := lab_private.oidc_sessions_end(v_provider.id);
  end if;
  perform lab_private.access_log('oidc_provider_update', 'success', v_provider.org_id, v_user, labos.session_id(),
    jsonb_build_object('provider_id', v_provider.id, 'keys', oidc_provider_update.jwks is not null, 'enabled', v_provider.is_enabled, 'sessions_ended', v_ended));
  return lab_private.oidc_provider_json(v_provider);
end
$$;
comment on function lab.oidc_provider_update(uuid, text, jsonb, text[], text[], text, boolean, boolean, integer) is
$$Change an identity provider

What is left out stays; `jwks` replaces the keys (after a rotation there), an empty `default_role` removes it. Disabling ends the sessions it vouched for, at once. Needs all permissions of the organisation (*:*) but for disabling. Errors: 400 `invalid_name`, `invalid_algorithms`, `invalid_email_domains`, 403 without `oidc_provider:update`, `interactive_session_required`, `permission_escalation`, 404 `oidc_provider_not_found`, `role_not_found`, 412 `stale_version`, 422 `invalid_jwks`, `private_key`, `default_role_required`.$$;

create or replace function lab.oidc_provider_delete(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user     uuid := labos.require_user();
  v_provider lab_data.oidc_providers;
  v_ended    integer;
begin
  perform lab_private.require_interactive(), lab_private.require_writable();
  v_provider := lab_private.oidc_provider_for(oidc_provider_delete.id, 'oidc_provider:delete');
  update lab_data.oidc_providers p set deleted_at = now(), deleted_by = v_user, is_enabled = false
  where p.org_id is not distinct from v_provider.org_id and p.id = v_provider.id;
  v_ended := lab_private.oidc_sessions_end(v_provider.id);
  perform lab_private.access_log('oidc_provider_delete', 'success', v_provider.org_id, v_user, labos.session_id(),
    jsonb_build_object('provider_id', v_provider.id, 'sessions_ended', v_ended));
  return jsonb_build_object('status', 'ok', 'id', v_provider.id, 'sessions_ended', v_ended);
end
$$;
comment on function lab.oidc_provider_delete(uuid) is
$$Remove an identity provider

Ends the sessions it vouched for; the accounts stay. Errors: 401 `not_authenticated`, 403 without `oidc_provider:delete`, `interactive_session_required`, 404 `oidc_provider_not_found`.$$;

create or replace function lab.oidc_provider_list() returns setof jsonb
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.require_superuser();
  return query select lab_private.oidc_provider_json(p) from lab_data.oidc_providers p
               where p.org_id is null and p.deleted_at is null order by p.id;
end
$$;
comment on function lab.oidc_provider_list() is
$$Identity providers of the installation

For superusers of the installation; those of an organisation are the table oidc_providers. Errors: 401 `not_authenticated`, 403 `superuser_required`.$$;

create or replace function lab_private.oidc_jwks_set(provider_id uuid, jwks jsonb) returns integer
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_provider lab_data.oidc_providers;
begin
  select p.* into v_provider from lab_data.oidc_providers p where p.id = oidc_jwks_set.provider_id and p.deleted_at is null for no key update;
  if not found then
    raise exception 'identity provider not found' using errcode = 'PT404',
      detail = json_build_object('code', 'oidc_provider_not_found')::text;
  end if;
  v_provider.jwks := lab_private.oidc_keys(oidc_jwks_set.jwks, v_provider.algorithms);
  update lab_data.oidc_providers p set jwks = v_provider.jwks where p.id = v_provider.id and p.jwks <> v_provider.jwks;
  return jsonb_array_length(v_provider.jwks -> 'keys');
end
$$;
comment on function lab_private.oidc_jwks_set(uuid, jsonb) is
  'Renews a provider''s keys, for bin/oidc-jwks and other jobs of a database administrator; returns how many are usable.';

-- whom a provider may speak for ---------------------------------------------------

create or replace function lab_private.oidc_may_speak_for(provider lab_data.oidc_providers, candidate lab_data.users) returns boolean
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select provider.org_id is null
      or (not candidate.is_superuser
          and exists (select from lab_data.memberships m
                      where m.org_id = provider.org_id and m.user_id = candidate.id and m.left_at is null)
          and not exists (select from lab_data.memberships m
                          where m.org_id <> provider.org_id and m.user_id = candidate.id and m.left_at is null))
$$;
comment on function lab_private.oidc_may_speak_for(lab_data.oidc_providers, lab_data.users) is
  'A provider of an organisation: for its members who belong nowhere else and are no superuser. Otherwise its administrators could be anybody of another one.';

-- What an organisation's provider vouched for ends when the account becomes more than that organisation's.
create or replace function lab_private.oidc_outgrown(user_id uuid) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_ended uuid[];
begin
  -- Waits for a sign-in under way, which holds this row.
  perform from lab_data.users u where u.id = oidc_outgrown.user_id for no key update;
  with ended as (
    update lab_data.user_sessions s set revoked_at = now(), revoke_reason = 'membership'
    from lab_data.oidc_providers p
    where s.user_id = oidc_outgrown.user_id and s.revoked_at is null and p.id = s.oidc_provider_id and p.org_id is not null
    returning s.id)
  select coalesce(array_agg(e.id), '{}') into v_ended from ended e;
  update lab_private.refresh_tokens t set revoked_at = now() where t.session_id = any (v_ended) and t.revoked_at is null;
end
$$;
comment on function lab_private.oidc_outgrown(uuid) is 'Ends the sessions of a user that providers of organisations vouched for.';

create or replace function lab_private.tg_memberships__oidc() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, pg_temp
as $$
begin
  if exists (select from lab_data.memberships m where m.user_id = NEW.user_id and m.org_id <> NEW.org_id) then
    perform lab_private.oidc_outgrown(NEW.user_id);
  end if;
  return null;
end
$$;
comment on function lab_private.tg_memberships__oidc() is 'A second membership: no organisation''s provider speaks for this account any more.';
create or replace trigger _520_oidc after insert or update of left_at on lab_data.memberships
  for each row when (NEW.left_at is null) execute function lab_private.tg_memberships__oidc();

create or replace function lab_private.tg_users__oidc() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.oidc_outgrown(NEW.id);
  return null;
end
$$;
comment on function lab_private.tg_users__oidc() is 'A new superuser: no organisation''s provider speaks for this account any more.';
create or replace trigger _540_oidc after update of is_superuser on lab_data.users
  for each row when (NEW.is_superuser and not OLD.is_superuser) execute function lab_private.tg_users__oidc();

-- signing in ------------------------------------------------------------------------

create or replace function lab_private.oidc_email(provider lab_data.oidc_providers, email text) returns text
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_email text;
begin
  v_email := lab_private.normal_email(oidc_email.email);
  return case when split_part(v_email, '@', 2) = any (provider.email_domains) then v_email end;
exception when sqlstate 'PT400' then
  return null;
end
$$;
comment on function lab_private.oidc_email(lab_data.oidc_providers, text) is 'The address in its one form, if the provider may speak for its domain; else null.';

create or replace function lab_private.oidc_provision(provider lab_data.oidc_providers, email text, full_name text) returns uuid
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := coalesce(provider.org_id, (select s.registration_org_id from lab_private.identity_settings s));
  v_user uuid;
begin
  if v_org is null or not provider.allow_provisioning
     or not exists (select from lab_data.roles r where r.id = provider.default_role_id and r.deleted_at is null
                      and (r.org_id is null or r.org_id = v_org)) then
    return null;
  end if;
  v_user := lab_private.user_add(v_org, oidc_provision.email, lab_private.free_username(oidc_provision.email), null,
    nullif(btrim(left(regexp_replace(oidc_provision.full_name, '[[:cntrl:]]', '', 'g'), 200)), ''), null, null,
    is_verified => true, must_change => false);
  insert into lab_data.user_roles (org_id, user_id, role_id) values (v_org, v_user, provider.default_role_id);
  perform lab_private.access_log('user_create', 'success', v_org, v_user, null,
    jsonb_build_object('provider_id', provider.id, 'role_id', provider.default_role_id));
  return v_user;
exception when sqlstate 'PT409' or sqlstate 'PT400' or check_violation then
  return null;   -- somebody else was quicker, or the address is none of ours
end
$$;
comment on function lab_private.oidc_provision(lab_data.oidc_providers, text, text) is
  'A new verified account with the default role; null when the provider may not make one. A provider of the installation fills the organisation of registration.';

create or replace function lab_private.oidc_user(
  provider lab_data.oidc_providers, subject text, email text, email_verified boolean, full_name text, out user_id uuid, out reason text)
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_user  lab_data.users;
  v_email text;
  v_link  boolean := true;
begin
  select l.user_id into oidc_user.user_id from lab_private.oidc_links l where l.provider_id = provider.id and l.subject = oidc_user.subject;
  if not found then
    v_link := false;
    -- Only an address that the provider has verified, in a domain that is its own, says who this is (P67).
    v_email := case when oidc_user.email_verified then lab_private.oidc_email(provider, oidc_user.email) end;
    if v_email is null then
      reason := case when oidc_user.email_verified then 'foreign_email' else 'unverified_email' end;
      return;
    end if;
    oidc_user.user_id := (lab_private.find_user(v_email)).id;
    if oidc_user.user_id is null then
      oidc_user.user_id := lab_private.oidc_provision(provider, v_email, oidc_user.full_name);
      if oidc_user.user_id is null then
        reason := 'no_account';
        return;
      end if;
    end if;
  end if;

  -- Held to the end: who becomes a member elsewhere meanwhile ends this session or finds it not begun.
  select u.* into v_user from lab_data.users u where u.id = oidc_user.user_id for no key update;
  reason := case when not v_user.is_active or v_user.deleted_at is not null then 'disabled'
                 when not v_user.is_verified then 'unverified_account'
                 when not lab_private.oidc_may_speak_for(provider, v_user) then 'foreign_account' end;
  if reason is null and not v_link then
    insert into lab_private.oidc_links (provider_id, subject, user_id) values (provider.id, oidc_user.subject, v_user.id) on conflict do nothing;
    if not found then
      reason := 'another_subject';
    end if;
  end if;
end
$$;
comment on function lab_private.oidc_user(lab_data.oidc_providers, text, text, boolean, text) is
  'Which user a subject is: by its link, else by a verified address of the provider''s domains, else a new one. reason when nobody.';

create or replace function lab_private.oidc_session(
  provider lab_data.oidc_providers, org_id uuid, user_id uuid, mfa boolean, device_info jsonb) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
begin
  update lab_data.users u set last_login_at = now(), last_login_ip = lab_private.client_ip() where u.id = oidc_session.user_id;
  update lab_private.oidc_links l set last_used_at = now() where l.provider_id = provider.id and l.user_id = oidc_session.user_id;
  v_answer := lab_private.session_open(oidc_session.org_id, oidc_session.user_id, oidc_session.device_info, kind => 'oidc',
    aal => (case when mfa then 2 else 1 end)::smallint, amr => '{fed}');
  update lab_data.user_sessions s set oidc_provider_id = provider.id
  where s.org_id = oidc_session.org_id and s.id = (v_answer ->> 'session_id')::uuid;
  perform lab_private.access_log('oidc_login', 'success', oidc_session.org_id, oidc_session.user_id, (v_answer ->> 'session_id')::uuid,
    jsonb_build_object('provider_id', provider.id, 'mfa', mfa));
  return v_answer;
end
$$;
comment on function lab_private.oidc_session(lab_data.oidc_providers, uuid, uuid, boolean, jsonb) is
  'Begins the session that a provider vouches for; level 2 when it says that two factors were used.';

create or replace function lab_private.oidc_sign_in(id_token text, nonce text, org text, device_info jsonb) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_provider lab_data.oidc_providers;
  v_token    record;
  v_who      record;
  v_user     uuid;
  v_org      uuid;
  v_reason   text := 'unknown_provider';
  v_valid    boolean := false;
begin
  -- Providers of an organisation are asked only when it is named: nobody's answers for another.
  for v_provider in
    select p.* from lab_data.oidc_providers p
    left join lab_data.organizations o on o.id = p.org_id
    where p.deleted_at is null and p.is_enabled
      and (p.org_id is null
           or (o.is_active and o.deleted_at is null and (o.id::text = lower(oidc_sign_in.org) or o.slug = lower(oidc_sign_in.org))))
    order by p.org_id nulls last, p.id
  loop
    v_token := labos.oidc_verify(oidc_sign_in.id_token, v_provider.jwks, v_provider.algorithms, v_provider.issuer, v_provider.client_id, oidc_sign_in.nonce);
    v_valid := v_token.reason is null;
    exit when v_valid;
    -- For the log, what came closest.
    if v_reason in ('unknown_provider', 'unknown_key', 'wrong_algorithm') then
      v_reason := v_token.reason;
    end if;
  end loop;
  if not v_valid then
    perform lab_private.access_log('oidc_login', 'failure', null, null, null, jsonb_build_object('reason', v_reason));
    return null;
  end if;

  delete from lab_private.oidc_used d
  where d.token_sha256 in (select e.token_sha256 from lab_private.oidc_used e where e.expires_at < now() limit 100 for update skip locked);
  -- No token is taken that is older than ten minutes.
  insert into lab_private.oidc_used (token_sha256, provider_id, expires_at)
  values (v_token.digest, v_provider.id, now() + interval '15 minutes')
  on conflict on constraint oidc_used_pkey do nothing;
  if found then
    v_who := lab_private.oidc_user(v_provider, v_token.subject, v_token.email, v_token.email_verified, v_token.full_name);
    v_user := v_who.user_id;
    v_org := lab_private.home_membership(v_user, coalesce(v_provider.org_id::text, oidc_sign_in.org));
    v_reason := coalesce(v_who.reason, case
      when v_org is null then 'no_membership'
      -- The second factor of the account is not the provider's to leave out.
      when not v_token.mfa and exists (select from lab_private.mfa_factors f where f.user_id = v_user and f.confirmed_at is not null)
        then 'second_factor' end);
    if v_reason is null then
      return lab_private.oidc_session(v_provider, v_org, v_user, v_token.mfa, oidc_sign_in.device_info);
    end if;
  else
    v_reason := 'replayed';
  end if;
  perform lab_private.access_log('oidc_login', 'failure', coalesce(v_provider.org_id, v_org), v_user, null,
    jsonb_build_object('reason', v_reason, 'provider_id', v_provider.id));
  return null;
end
$$;
comment on function lab_private.oidc_sign_in(text, text, text, jsonb) is
  'Signs in with an ID token; null when refused, for whatever reason, with a row in the access log.';

create or replace function lab.auth_oidc(id_token text, nonce text, org text default null, device_info jsonb default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if id_token is null or nonce is null then
    raise exception 'id_token and nonce are required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', case when id_token is null then 'id_token' else 'nonce' end)::text;
  elsif jsonb_typeof(device_info) not in ('object', 'string', 'null') or pg_column_size(device_info) > 4000 then
    raise exception 'device_info must be an object or a string of at most 4 KB' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_device_info')::text;
  end if;
  v_answer := lab_private.oidc_sign_in(id_token, nonce, org, nullif(device_info, 'null'));
  if v_answer is null then
    return lab_private.problem(401, 'invalid_id_token', 'the ID token is not accepted');
  end if;
  perform lab_private.respond(200);
  return v_answer;
end
$$;
comment on function lab.auth_oidc(text, text, text, jsonb) is
$$Sign in with an identity provider

Exchanges the ID token of an OpenID Connect provider for tokens of ours, once. `nonce` is the value that the client sent with its request there. `org` (id or slug) names the organisation, which providers of an organisation need. The user is who was linked before, else the one with the same verified address, else, where the provider may, a new one. Errors: 400 `missing_argument`, `invalid_device_info`, 401 `invalid_id_token` (one answer for every reason; the call does not raise, so that the failure is recorded), 405 for GET.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.oidc_provider_create(text, text, text, jsonb, text[], text[], text, boolean, boolean),
  lab.oidc_provider_update(uuid, text, jsonb, text[], text[], text, boolean, boolean, integer),
  lab.oidc_provider_delete(uuid), lab.oidc_provider_list(), lab.auth_oidc(text, text, text, jsonb)
  from public;
grant execute on function
  lab.oidc_provider_create(text, text, text, jsonb, text[], text[], text, boolean, boolean),
  lab.oidc_provider_update(uuid, text, jsonb, text[], text[], text, boolean, boolean, integer),
  lab.oidc_provider_delete(uuid), lab.oidc_provider_list()
  to lab_user;
grant execute on function lab.auth_oidc(text, text, text, jsonb) to lab_anon, lab_user, lab_guest;
