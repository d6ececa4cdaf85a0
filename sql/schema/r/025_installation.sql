/*
 * Room: identity, the installation
 *
 * What stands above all organisations: the first one, further ones, and the
 * settings of identity. Only superusers of the installation come here (a mark
 * on a user, not a database superuser).
 *
 * Holds    bootstrap, organization_create, identity_settings, identity_settings_update
 * Needs    020 to 024
 */

-- organisations -------------------------------------------------------------

create or replace function lab_private.organization_add(name text, slug text) returns uuid
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_name text := btrim(organization_add.name);
  v_slug text := coalesce(lower(btrim(organization_add.slug)),
    trim(both '-' from left(regexp_replace(lower(v_name), '[^a-z0-9]+', '-', 'g'), 50)));
  v_org  uuid;
begin
  if v_name is null or length(v_name) not between 1 and 200 or v_name ~ '[[:cntrl:]]' then
    raise exception 'invalid organisation name' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_organization')::text,
      hint = 'One to 200 characters.';
  end if;
  -- A name without a Latin letter or digit gives no slug of its own.
  if organization_add.slug is null and v_slug !~ '^[a-z0-9]' then
    v_slug := 'org-' || left(md5(v_name), 8);
  end if;
  if v_slug !~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$' then
    raise exception 'invalid slug' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_slug')::text,
      hint = 'Up to fifty lower-case letters, digits and inner hyphens.';
  elsif exists (select from lab_data.organizations o where o.slug = v_slug and o.deleted_at is null) then
    raise exception 'an organisation of this slug exists' using errcode = 'PT409',
      detail = json_build_object('code', 'organization_exists', 'slug', v_slug)::text;
  end if;
  insert into lab_data.organizations (name, slug) values (v_name, v_slug) returning id into v_org;
  return v_org;
end
$$;
comment on function lab_private.organization_add(text, text) is
  'An organisation; the slug is made from the name when null. PT400 invalid_organization, invalid_slug, PT409 organization_exists.';

create or replace function lab_private.make_admin(org_id uuid, user_id uuid, assigned_by uuid) returns void
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  insert into lab_data.user_roles (org_id, user_id, role_id, assigned_by)
  select make_admin.org_id, make_admin.user_id, r.id, make_admin.assigned_by
  from lab_data.roles r
  where r.org_id is null and r.name = 'admin' and r.deleted_at is null
$$;
comment on function lab_private.make_admin(uuid, uuid, uuid) is 'Gives the system role admin, without the checks of role_assign.';

drop function if exists lab.organization_create(text, text, text, text, text, text);
create or replace function lab.organization_create(
  name text, slug text default null, admin_email text default null, admin_username text default null,
  admin_full_name text default null, initial_password boolean default false) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_caller uuid := lab_private.require_superuser();
  v_org    uuid;
  v_email  text;
  v_admin  uuid;
  v_secret text;
begin
  perform lab_private.require_writable();
  v_org := lab_private.organization_add(organization_create.name, organization_create.slug);
  if admin_email is null then
    v_admin := v_caller;
  else
    v_email := lab_private.normal_email(admin_email);
    v_admin := (lab_private.find_user(v_email)).id;
  end if;

  if v_admin is null then
    v_admin := lab_private.user_add(v_org, v_email,
      coalesce(admin_username, lab_private.free_username(v_email)), null, admin_full_name, null, null,
      is_verified => true, must_change => false);
    if organization_create.initial_password then
      perform lab_private.require_interactive(),
              lab_private.require_whole_answer();
      v_secret := lab_private.initial_password(v_admin);
      perform lab_private.respond(200);
    end if;
  elsif organization_create.initial_password or admin_username is not null then
    raise exception 'this e-mail address is taken' using errcode = 'PT409',
      detail = json_build_object('code', 'email_taken')::text,
      hint = 'Leave username and initial_password out to make the existing user the admin.';
  else
    insert into lab_data.memberships (org_id, user_id, is_default) values (v_org, v_admin, false);
  end if;
  perform lab_private.make_admin(v_org, v_admin, v_caller),
          lab_private.access_log('organization_create', 'success', v_org, v_admin, labos.session_id(), jsonb_build_object('by', v_caller));
  return (select jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug, 'admin', lab_private.user_json(o.id, v_admin)
            || case when v_secret is null then '{}' else jsonb_build_object('initial_password', v_secret) end)
          from lab_data.organizations o where o.id = v_org);
end
$$;
comment on function lab.organization_create(text, text, text, text, text, boolean) is
$$Create an organisation

With its own admin: a new user, an existing one (by e-mail address alone), or the caller when no address is given. A new one sets a password by auth_password_forgot, or with initial_password gets a random one, returned once in admin.initial_password. For superusers of the installation. Errors: 400 `invalid_organization`, `invalid_slug`, `invalid_email`, `invalid_username`, 403 `superuser_required`, 409 `organization_exists`, `email_taken`, `username_taken`.$$;

create or replace function lab_private.free_username(email text) returns text
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_base text := left(regexp_replace(split_part(free_username.email, '@', 1), '[^A-Za-z0-9_-]+', '-', 'g'), 24);
  v_name text;
  v_n    integer := 1;
begin
  v_base := rpad(v_base, greatest(3, length(v_base)), '_');
  v_name := v_base;
  while exists (select from lab_data.users u where lower(u.username::text) = lower(v_name)) loop
    v_n := v_n + 1;
    v_name := v_base || v_n;
  end loop;
  return v_name;
end
$$;
comment on function lab_private.free_username(text) is 'A free username made from an e-mail address.';

-- bootstrap -----------------------------------------------------------------

create or replace function lab_private.bootstrap(org text, email text, password text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_settings lab_private.identity_settings;
  v_org      uuid;
  v_user     uuid;
  v_email    text;
  v_kid      text;
begin
  select s.* into v_settings from lab_private.identity_settings s for update;
  if v_settings.bootstrapped_at is not null then
    raise exception 'this installation is bootstrapped already' using errcode = 'PT409',
      detail = json_build_object('code', 'already_bootstrapped', 'at', v_settings.bootstrapped_at)::text,
      hint = 'Sign in as its superuser and call organization_create or user_create.';
  end if;
  v_email := lab_private.normal_email(bootstrap.email);
  if bootstrap.password is null then
    raise exception 'a password is required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', 'password')::text;
  end if;
  v_org := lab_private.organization_add(bootstrap.org, null);
  v_user := lab_private.user_add(v_org, v_email, lab_private.free_username(v_email), bootstrap.password, null, null, null,
    is_verified => true, must_change => false, is_superuser => true);
  v_kid := lab_private.signing_key_add('EdDSA', clock_timestamp());
  update lab_private.identity_settings s
  set bootstrapped_at = now(), refresh_key = labos.secret_seal(convert_to(labos.random_token(), 'UTF8'), 'refresh_key');
  perform lab_private.make_admin(v_org, v_user, null),
          lab_private.access_log('bootstrap', 'success', v_org, v_user);
  return (select jsonb_build_object('org_id', v_org, 'user_id', v_user, 'email', u.email, 'username', u.username,
                                    'slug', o.slug, 'kid', v_kid)
          from lab_data.users u, lab_data.organizations o where u.id = v_user and o.id = v_org);
end
$$;
comment on function lab_private.bootstrap(text, text, text) is
  'The first organisation, its admin and superuser of the installation, the first signing key; called by labos.bootstrap() only.';

-- settings ------------------------------------------------------------------

create or replace function lab.identity_settings() returns jsonb
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.require_superuser();
  return (select to_jsonb(s) - '{singleton,refresh_key}'::text[] from lab_private.identity_settings s);
end
$$;
comment on function lab.identity_settings() is
$$Settings of identity

For superusers of the installation. Errors: 401 `not_authenticated`, 403 `superuser_required`.$$;

create or replace function lab.identity_settings_update(settings jsonb) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user    uuid := lab_private.require_superuser();
  v_known   text[] := array['issuer', 'audience', 'registration', 'registration_org_id', 'max_failed_logins', 'lock_seconds',
                            'refresh_grace_seconds', 'key_lead_seconds', 'session_days', 'trusted_proxies', 'api_key_days', 'api_key_max_days', 'initial_password_days'];
  v_unknown text[];
begin
  perform lab_private.require_writable();
  if identity_settings_update.settings is null or jsonb_typeof(identity_settings_update.settings) <> 'object' then
    raise exception 'settings must be an object' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_setting')::text;
  end if;
  v_unknown := array(select k from jsonb_object_keys(identity_settings_update.settings) k where k <> all (v_known) limit 20);
  if cardinality(v_unknown) > 0 then
    raise exception 'unknown setting' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_setting', 'settings', v_unknown)::text;
  end if;
  update lab_private.identity_settings s
  set (issuer, audience, registration, registration_org_id, max_failed_logins, lock_seconds,
       refresh_grace_seconds, key_lead_seconds, session_days, trusted_proxies, api_key_days, api_key_max_days, initial_password_days, updated_at, updated_by)
    = (select n.issuer, n.audience, n.registration, n.registration_org_id, n.max_failed_logins, n.lock_seconds,
              n.refresh_grace_seconds, n.key_lead_seconds, n.session_days, n.trusted_proxies,
              n.api_key_days, n.api_key_max_days, n.initial_password_days, now(), v_user
       from jsonb_populate_record(s, identity_settings_update.settings) n);
  if identity_settings_update.settings ? 'audience' then
    notify pgrst, 'reload config';
  end if;
  perform lab_private.access_log('settings_update', 'success', labos.org_id(), v_user, labos.session_id(), identity_settings_update.settings);
  return lab.identity_settings();
exception
  when check_violation or not_null_violation or foreign_key_violation or invalid_text_representation or numeric_value_out_of_range then
    raise exception 'invalid setting' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_setting', 'reason', sqlerrm)::text;
end
$$;
comment on function lab.identity_settings_update(jsonb) is
$$Change settings of identity

An object of issuer, audience, registration, registration_org_id, max_failed_logins, lock_seconds, refresh_grace_seconds, key_lead_seconds, session_days, trusted_proxies, api_key_days, api_key_max_days, initial_password_days; what is left out stays. Errors: 400 `invalid_setting`, 401 `not_authenticated`, 403 `superuser_required`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.organization_create(text, text, text, text, text, boolean), lab.identity_settings(), lab.identity_settings_update(jsonb)
  from public;
grant execute on function
  lab.organization_create(text, text, text, text, text, boolean), lab.identity_settings(), lab.identity_settings_update(jsonb)
  to lab_user;
