/*
 * Room: identity, administration of roles
 *
 * An organisation may add roles of its own to the system's; it may not change
 * the system's. Who makes, widens, gives or takes a role must hold all that it
 * grants, so that no chain of such steps leads above where one stands.
 *
 * Holds    role_create, role_update, role_delete, role_assign, role_revoke
 * Needs    020 to 023, tenancy (roles, permissions, role_permissions, user_roles)
 */

-- finding and checking --------------------------------------------------------

create or replace function lab_private.find_role(org_id uuid, name text) returns lab_data.roles
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_role lab_data.roles;
begin
  select r.* into v_role from lab_data.roles r
  where (r.org_id is null or r.org_id = find_role.org_id) and r.deleted_at is null and r.name::text = lower(btrim(find_role.name));
  if not found then
    raise exception 'role not found' using errcode = 'PT404',
      detail = json_build_object('code', 'role_not_found', 'role', left(find_role.name, 100))::text;
  end if;
  return v_role;
end
$$;
comment on function lab_private.find_role(uuid, text) is 'A system role or one of the organisation, by name: PT404 role_not_found.';

create or replace function lab_private.find_own_role(org_id uuid, name text) returns lab_data.roles
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_role lab_data.roles := lab_private.find_role(find_own_role.org_id, find_own_role.name);
begin
  if v_role.is_system or v_role.org_id is null then
    raise exception 'a system role cannot be changed' using errcode = 'PT409',
      detail = json_build_object('code', 'system_role', 'role', v_role.name)::text,
      hint = 'Make a role of your own with this one as parent.';
  end if;
  return v_role;
end
$$;
comment on function lab_private.find_own_role(uuid, text) is 'A role that the organisation may change: PT404 role_not_found, PT409 system_role.';

create or replace function lab_private.check_permissions(permissions text[]) returns text[]
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_wanted  text[] := array(select distinct lower(btrim(p)) from unnest(check_permissions.permissions) p where p is not null order by 1);
  v_unknown text[];
begin
  v_unknown := array(select p from unnest(v_wanted) p
                     where not exists (select from lab_data.permissions k where k.name::text = p));
  if cardinality(v_unknown) > 0 then
    raise exception 'unknown permission' using errcode = 'PT400',
      detail = json_build_object('code', 'unknown_permission', 'permissions', v_unknown[1:20])::text,
      hint = 'GET /permissions lists them.';
  end if;
  perform lab_private.require_permissions(v_wanted);
  return v_wanted;
end
$$;
comment on function lab_private.check_permissions(text[]) is
  'Known permissions that the caller holds: PT400 unknown_permission, PT403 permission_escalation.';

create or replace function lab_private.role_json(role_id uuid) returns jsonb
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'id', r.id, 'name', r.name, 'display_name', r.display_name, 'description', r.description, 'is_system', r.is_system,
    'is_default', r.is_default, 'parent', (select p.name from lab_data.roles p where p.id = r.parent_id),
    'own_permissions', (select coalesce(jsonb_agg(g.permission order by g.permission::text), '[]')
                        from lab_data.role_permissions g where g.role_id = r.id),
    'permissions', lab_private.role_grants(array[r.id]))
  from lab_data.roles r
  where r.id = role_json.role_id
$$;
comment on function lab_private.role_json(uuid) is 'A role as administration calls return it: its own and all effective permissions.';

create or replace function lab_private.role_set_permissions(org_id uuid, role_id uuid, permissions text[]) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  delete from lab_data.role_permissions g
  where g.role_id = role_set_permissions.role_id and g.permission::text <> all (role_set_permissions.permissions);
  insert into lab_data.role_permissions (org_id, role_id, permission)
  select role_set_permissions.org_id, role_set_permissions.role_id, p
  from unnest(role_set_permissions.permissions) p
  where not exists (select from lab_data.role_permissions g
                    where g.role_id = role_set_permissions.role_id and g.permission::text = p);
end
$$;
comment on function lab_private.role_set_permissions(uuid, uuid, text[]) is 'Makes these the own permissions of a role.';

-- roles ---------------------------------------------------------------------

create or replace function lab.role_create(
  name text, display_name text default null, description text default null, permissions text[] default '{}',
  parent text default null, is_default boolean default false) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for('role:create');
  v_name   text := lower(btrim(role_create.name));
  v_wanted text[];
  v_parent lab_data.roles;
  v_role   uuid;
begin
  perform lab_private.require_writable(), lab_private.lock_organization(v_org);
  if v_name is null or v_name !~ '^[a-z][a-z0-9_-]{1,49}$' or length(role_create.display_name) > 100
     or length(role_create.description) > 1000 then
    raise exception 'invalid role name or description' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_role')::text,
      hint = 'The name has 2 to 50 lower-case letters, digits, _ or -; the display name 100 characters at most, the description 1000.';
  elsif exists (select from lab_data.roles r where (r.org_id is null or r.org_id = v_org) and r.deleted_at is null and r.name::text = v_name) then
    raise exception 'a role of this name exists' using errcode = 'PT409',
      detail = json_build_object('code', 'role_exists', 'role', v_name)::text;
  end if;
  v_wanted := lab_private.check_permissions(coalesce(role_create.permissions, '{}'));
  if role_create.parent is not null then
    v_parent := lab_private.find_role(v_org, role_create.parent);
    perform lab_private.require_permissions(lab_private.role_grants(array[v_parent.id]));
  end if;
  insert into lab_data.roles (org_id, name, display_name, description, parent_id, is_default)
  values (v_org, v_name, coalesce(role_create.display_name, v_name), role_create.description, v_parent.id, coalesce(role_create.is_default, false))
  returning id into v_role;
  perform lab_private.role_set_permissions(v_org, v_role, v_wanted),
          lab_private.access_log('role_create', 'success', v_org, labos.user_id(), labos.session_id(),
            jsonb_build_object('role', v_name, 'permissions', to_jsonb(v_wanted), 'parent', v_parent.name));
  return lab_private.role_json(v_role);
end
$$;
comment on function lab.role_create(text, text, text, text[], text, boolean) is
$$Create a role

A role of the caller's organisation with permissions of its own and those of its parent. Errors: 400 `invalid_role`, `unknown_permission`, 403 without `role:create`, `permission_escalation`, 404 `role_not_found` (parent), 409 `role_exists`.$$;

create or replace function lab.role_update(
  role text, display_name text default null, description text default null, permissions text[] default null,
  parent text default null, is_default boolean default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for('role:update');
  v_role   lab_data.roles;
  v_parent lab_data.roles;
begin
  perform lab_private.require_writable(), lab_private.lock_organization(v_org);
  v_role := lab_private.find_own_role(v_org, role_update.role);
  if length(role_update.display_name) > 100 or length(role_update.description) > 1000 then
    raise exception 'invalid role name or description' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_role')::text;
  end if;
  -- Whoever has this role is acted upon: their rank counts, what is added counts.
  perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id]));
  if role_update.permissions is not null then
    perform lab_private.role_set_permissions(v_org, v_role.id, lab_private.check_permissions(role_update.permissions));
  end if;
  if role_update.parent <> '' then
    v_parent := lab_private.find_role(v_org, role_update.parent);
    perform lab_private.require_permissions(lab_private.role_grants(array[v_parent.id]));
  end if;
  update lab_data.roles r
  set display_name = coalesce(role_update.display_name, r.display_name),
      description = coalesce(role_update.description, r.description),
      parent_id = case when role_update.parent is null then r.parent_id else v_parent.id end,
      is_default = coalesce(role_update.is_default, r.is_default)
  where r.id = v_role.id and r.org_id = v_org;
  perform lab_private.access_log('role_update', 'success', v_org, labos.user_id(), labos.session_id(),
    jsonb_strip_nulls(jsonb_build_object('role', v_role.name, 'permissions', to_jsonb(role_update.permissions), 'parent', role_update.parent)));
  return lab_private.role_json(v_role.id);
end
$$;
comment on function lab.role_update(text, text, text, text[], text, boolean) is
$$Change a role

What is left out stays; `permissions` replaces the role's own ones, an empty `parent` removes it. Effective with the next statement of everybody who has the role. Errors: 400 `invalid_role`, `unknown_permission`, 403 without `role:update`, `permission_escalation`, 404 `role_not_found`, 409 `system_role`, 422 `role_cycle`.$$;

create or replace function lab.role_delete(role text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('role:delete');
  v_role  lab_data.roles;
  v_users integer;
  v_roles integer;
begin
  perform lab_private.require_writable(), lab_private.lock_organization(v_org);
  v_role := lab_private.find_own_role(v_org, role_delete.role);
  select count(*) into v_users from lab_data.user_roles g where g.org_id = v_org and g.role_id = v_role.id;
  select count(*) into v_roles from lab_data.roles r where r.org_id = v_org and r.parent_id = v_role.id and r.deleted_at is null;
  if v_users + v_roles > 0 then
    raise exception 'the role is in use' using errcode = 'PT409',
      detail = json_build_object('code', 'role_in_use', 'role', v_role.name, 'users', v_users, 'roles', v_roles)::text,
      hint = 'Take it from its users with role_revoke, and from roles that inherit it.';
  end if;
  update lab_data.roles r set deleted_at = now(), deleted_by = labos.user_id() where r.id = v_role.id and r.org_id = v_org;
  perform lab_private.access_log('role_delete', 'success', v_org, labos.user_id(), labos.session_id(), jsonb_build_object('role', v_role.name));
  return jsonb_build_object('status', 'ok', 'role', v_role.name);
end
$$;
comment on function lab.role_delete(text) is
$$Delete a role

Its name becomes free. Errors: 403 without `role:delete`, 404 `role_not_found`, 409 `system_role`, `role_in_use` with the number of users and roles.$$;

-- assignments ---------------------------------------------------------------

create or replace function lab_private.role_give(org_id uuid, user_id uuid, role text, expires_at timestamptz) returns lab_data.roles
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_role lab_data.roles := lab_private.find_role(role_give.org_id, role_give.role);
begin
  perform labos.require_permission('role:assign');
  if role_give.expires_at <= now() then
    raise exception 'the expiry is in the past' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_expiry', 'expires_at', role_give.expires_at)::text;
  end if;
  perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id]));
  insert into lab_data.user_roles as g (org_id, user_id, role_id, assigned_by, expires_at)
  values (role_give.org_id, role_give.user_id, v_role.id, labos.user_id(), nullif(role_give.expires_at, 'infinity'))
  on conflict on constraint user_roles_pkey do update
    set assigned_by = excluded.assigned_by, assigned_at = now(), expires_at = excluded.expires_at;
  return v_role;
end
$$;
comment on function lab_private.role_give(uuid, uuid, text, timestamptz) is
  'Gives a role: PT403 without role:assign, permission_escalation, PT404 role_not_found, PT400 invalid_expiry.';

create or replace function lab.role_assign(user_id uuid, role text, expires_at timestamptz default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('role:assign');
  v_role lab_data.roles;
begin
  perform lab_private.require_writable(),
          lab_private.lock_organization(v_org),
          lab_private.require_member(v_org, role_assign.user_id);
  v_role := lab_private.role_give(org_id => v_org, user_id => role_assign.user_id, role => role_assign.role, expires_at => role_assign.expires_at);
  -- An expiry given to the last admin would remove them later.
  if v_role.name = 'admin' and role_assign.expires_at is not null then
    perform lab_private.require_admin_left(v_org);
  end if;
  perform lab_private.access_log('role_assign', 'success', v_org, role_assign.user_id, labos.session_id(),
    jsonb_strip_nulls(jsonb_build_object('by', labos.user_id(), 'role', v_role.name, 'expires_at', role_assign.expires_at)));
  return lab.user_permissions(role_assign.user_id);
end
$$;
comment on function lab.role_assign(uuid, text, timestamptz) is
$$Give a role

Effective with the user's next statement, until `expires_at` if given; giving it again sets the expiry anew. Errors: 400 `invalid_expiry`, 403 without `role:assign`, `permission_escalation`, 404 `user_not_found`, `role_not_found`, 409 `last_admin`.$$;

create or replace function lab.role_revoke(user_id uuid, role text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('role:assign');
  v_role lab_data.roles;
begin
  perform lab_private.require_writable(),
          lab_private.lock_organization(v_org),
          lab_private.require_member(v_org, role_revoke.user_id);
  v_role := lab_private.find_role(v_org, role_revoke.role);
  perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id]));
  delete from lab_data.user_roles g
  where g.org_id = v_org and g.user_id = role_revoke.user_id and g.role_id = v_role.id;
  if not found then
    raise exception 'the user does not have this role' using errcode = 'PT404',
      detail = json_build_object('code', 'role_not_assigned', 'role', v_role.name)::text;
  end if;
  if v_role.name = 'admin' then
    perform lab_private.require_admin_left(v_org);
  end if;
  perform lab_private.access_log('role_revoke', 'success', v_org, role_revoke.user_id, labos.session_id(),
    jsonb_build_object('by', labos.user_id(), 'role', v_role.name));
  return jsonb_build_object('status', 'ok', 'user_id', role_revoke.user_id, 'role', v_role.name,
    'roles', lab_private.member_roles(v_org, role_revoke.user_id));
end
$$;
comment on function lab.role_revoke(uuid, text) is
$$Take a role away

Effective with the user's next statement. Errors: 403 without `role:assign`, `permission_escalation`, 404 `user_not_found`, `role_not_found`, `role_not_assigned`, 409 `last_admin`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.role_create(text, text, text, text[], text, boolean), lab.role_update(text, text, text, text[], text, boolean), lab.role_delete(text),
  lab.role_assign(uuid, text, timestamptz), lab.role_revoke(uuid, text)
  from public;
grant execute on function
  lab.role_create(text, text, text, text[], text, boolean), lab.role_update(text, text, text, text[], text, boolean), lab.role_delete(text),
  lab.role_assign(uuid, text, timestamptz), lab.role_revoke(uuid, text)
  to lab_user;
