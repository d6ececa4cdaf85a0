/*
 * Room: identity, administration of roles
 *
 * An organisation may add roles of its own to the system's; it may not change
 * the system's. Who makes, widens, gives or takes a role must hold all that it
 * grants, so that no chain of such steps leads above where one stands.
 *
 * The vocabulary itself, permissions, belongs to the installation: an application
 * built on labos adds its own by its superuser. Organisations do not: a word that
 * one of them made up would be read by all.
 *
 * Holds    role_create, role_update, role_delete, role_restore, role_assign, role_revoke,
 *          permission_create, permission_update, permission_delete
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
  where (r.org_id is null or r.org_id = find_role.org_id) and r.deleted_at is null and r.name::text = lower(btrim(find_role.name))
  -- A later version may bring a system role of a name that an organisation has taken.
  order by r.org_id nulls first limit 1;
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

create or replace function lab_private.check_role_texts(name text, display_name text, description text) returns void
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if check_role_texts.name !~ '^[a-z][a-z0-9_-]{1,49}$' or length(btrim(check_role_texts.display_name)) not between 1 and 100
     or length(check_role_texts.description) > 1000 or concat(check_role_texts.display_name, check_role_texts.description) ~ '[[:cntrl:]]' then
    raise exception 'invalid role name or description' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_role')::text,
      hint = 'The name has 2 to 50 lower-case letters, digits, _ or -; the display name 100 characters at most, the description 1000.';
  end if;
end
$$;
comment on function lab_private.check_role_texts(text, text, text) is 'PT400 invalid_role.';

create or replace function lab_private.require_role_name_free(org_id uuid, name text) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if exists (select from lab_data.roles r
             where (r.org_id is null or r.org_id = require_role_name_free.org_id) and r.deleted_at is null
               and r.name::text = require_role_name_free.name) then
    raise exception 'a role of this name exists' using errcode = 'PT409',
      detail = json_build_object('code', 'role_exists', 'role', require_role_name_free.name)::text;
  end if;
end
$$;
comment on function lab_private.require_role_name_free(uuid, text) is 'Neither a system role nor one of the organisation has this name: PT409 role_exists.';

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
  perform lab_private.check_role_texts(coalesce(v_name, ''), role_create.display_name, role_create.description),
          lab_private.require_role_name_free(v_org, v_name);
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

drop function if exists lab.role_update(text, text, text, text[], text, boolean);
create or replace function lab.role_update(
  role text, display_name text default null, description text default null, permissions text[] default null,
  parent text default null, is_default boolean default null, name text default null, version integer default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for('role:update');
  v_name   text := lower(btrim(role_update.name));
  v_role   lab_data.roles;
  v_parent lab_data.roles;
begin
  perform lab_private.require_writable(), lab_private.lock_organization(v_org);
  v_role := lab_private.find_role(v_org, role_update.role);
  -- All organisations read what describes a system role: the installation's superuser may change that, and nothing else of it.
  if not (v_role.is_system and labos.is_superuser() and num_nonnulls(role_update.display_name, role_update.permissions,
            role_update.parent, role_update.is_default, role_update.name) = 0) then
    v_role := lab_private.find_own_role(v_org, role_update.role);
  end if;
  perform lab_private.check_role_texts(v_name, role_update.display_name, role_update.description);
  if v_name is not null and v_name <> v_role.name then
    perform lab_private.require_role_name_free(v_org, v_name);
  end if;
  -- Whoever has this role is acted upon: their rank counts, what is added counts.
  if not v_role.is_system then
    perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id]));
  end if;
  if role_update.permissions is not null then
    perform lab_private.role_set_permissions(v_org, v_role.id, lab_private.check_permissions(role_update.permissions));
  end if;
  if role_update.parent <> '' then
    v_parent := lab_private.find_role(v_org, role_update.parent);
    perform lab_private.require_permissions(lab_private.role_grants(array[v_parent.id]));
  end if;
  update lab_data.roles r
  set name = coalesce(v_name, r.name),
      display_name = coalesce(role_update.display_name, r.display_name),
      description = coalesce(role_update.description, r.description),
      parent_id = case when role_update.parent is null then r.parent_id else v_parent.id end,
      is_default = coalesce(role_update.is_default, r.is_default),
      version = coalesce(role_update.version, r.version)
  where r.id = v_role.id and r.org_id is not distinct from v_role.org_id;
  perform lab_private.access_log('role_update', 'success', v_org, labos.user_id(), labos.session_id(),
    jsonb_strip_nulls(jsonb_build_object('role', v_role.name, 'name', v_name, 'permissions', to_jsonb(role_update.permissions), 'parent', role_update.parent)));
  return lab_private.role_json(v_role.id);
end
$$;
comment on function lab.role_update(text, text, text, text[], text, boolean, text, integer) is
$$Change a role

What is left out stays; `name` renames it, `permissions` replaces its own ones, an empty `parent` removes it, `version` refuses a change of a role that has moved on. Effective with the next statement of everybody who has the role. Of a system role only the description may change, by a superuser of the installation. Errors: 400 `invalid_role`, `unknown_permission`, 403 without `role:update`, `permission_escalation`, 404 `role_not_found`, 409 `system_role`, `role_exists`, 412 `stale_version`, 422 `role_cycle`.$$;

create or replace function lab.role_delete(role text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('role:delete');
  v_role  lab_data.roles;
  v_users uuid[];
  v_roles integer;
begin
  perform lab_private.require_writable(), lab_private.lock_organization(v_org);
  v_role := lab_private.find_own_role(v_org, role_delete.role);
  perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id]));
  select count(*) into v_roles from lab_data.roles r where r.org_id = v_org and r.parent_id = v_role.id and r.deleted_at is null;
  if v_roles > 0 then
    raise exception 'other roles inherit from this one' using errcode = 'PT409',
      detail = json_build_object('code', 'role_in_use', 'role', v_role.name, 'roles', v_roles)::text,
      hint = 'Give them another parent first.';
  end if;
  -- Taking it from somebody is acting upon them.
  select coalesce(array_agg(g.user_id order by g.user_id), '{}') into v_users
  from lab_data.user_roles g where g.org_id = v_org and g.role_id = v_role.id;
  perform lab_private.require_outranks(v_org, u) from unnest(v_users) u;
  delete from lab_data.user_roles g where g.org_id = v_org and g.role_id = v_role.id;
  update lab_data.roles r set deleted_at = now(), deleted_by = labos.user_id(), is_default = false where r.id = v_role.id and r.org_id = v_org;
  perform lab_private.access_log('role_delete', 'success', v_org, labos.user_id(), labos.session_id(),
    jsonb_build_object('role', v_role.name, 'users', to_jsonb(v_users)));
  return jsonb_build_object('status', 'ok', 'role', v_role.name, 'id', v_role.id, 'users', cardinality(v_users));
end
$$;
comment on function lab.role_delete(text) is
$$Delete a role

It is taken from everybody who holds it, with their next statement; its name becomes free. role_restore brings it back without holders. Errors: 403 without `role:delete`, `permission_escalation`, 404 `role_not_found`, 409 `system_role`, `role_in_use` when roles inherit from it.$$;

create or replace function lab.role_restore(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('role:restore');
  v_role lab_data.roles;
begin
  perform lab_private.require_writable(), lab_private.lock_organization(v_org);
  select r.* into v_role from lab_data.roles r
  where r.id = role_restore.id and r.org_id = v_org and r.deleted_at is not null for update;
  if not found then
    raise exception 'role not found' using errcode = 'PT404',
      detail = json_build_object('code', 'role_not_found', 'id', role_restore.id)::text,
      hint = 'rpc/trash {"kind": "role"} lists what can be restored.';
  end if;
  perform lab_private.require_role_name_free(v_org, v_role.name);
  update lab_data.roles r
  set deleted_at = null, deleted_by = null,
      -- A parent that has been deleted meanwhile would come back with it one day.
      parent_id = (select p.id from lab_data.roles p where p.id = r.parent_id and p.deleted_at is null)
  where r.id = v_role.id and r.org_id = v_org;
  -- As if it were made anew: only what one holds.
  perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id])),
          lab_private.access_log('role_restore', 'success', v_org, labos.user_id(), labos.session_id(), jsonb_build_object('role', v_role.name));
  return lab_private.role_json(v_role.id);
end
$$;
comment on function lab.role_restore(uuid) is
$$Restore a deleted role

With its permissions, without holders. Errors: 403 without `role:restore`, `permission_escalation`, 404 `role_not_found`, 409 `role_exists`.$$;

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
          lab_private.require_member(v_org, role_assign.user_id),
          -- Giving it again sets another expiry: that may be a demotion.
          lab_private.require_outranks(v_org, role_assign.user_id);
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
          lab_private.require_member(v_org, role_revoke.user_id),
          lab_private.require_outranks(v_org, role_revoke.user_id);
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

-- permissions ---------------------------------------------------------------

create or replace function lab_private.find_permission(name text) returns lab_data.permissions
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_permission lab_data.permissions;
begin
  select p.* into v_permission from lab_data.permissions p where p.name::text = lower(btrim(find_permission.name)) for update;
  if not found then
    raise exception 'permission not found' using errcode = 'PT404',
      detail = json_build_object('code', 'permission_not_found', 'permission', left(find_permission.name, 100))::text,
      hint = 'GET /permissions lists them.';
  elsif v_permission.is_system then
    raise exception 'a permission of labos cannot be changed' using errcode = 'PT409',
      detail = json_build_object('code', 'system_permission', 'permission', v_permission.name)::text;
  end if;
  return v_permission;
end
$$;
comment on function lab_private.find_permission(text) is 'A permission that labos did not seed, locked: PT404 permission_not_found, PT409 system_permission.';

create or replace function lab_private.check_permission_description(description text) returns void
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if check_permission_description.description is null or length(btrim(check_permission_description.description)) not between 1 and 500
     or check_permission_description.description ~ '[[:cntrl:]]' then
    raise exception 'invalid permission' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_permission')::text,
      hint = 'The name is resource:action in lower-case letters and underscores, the description has 1 to 500 characters.';
  end if;
end
$$;
comment on function lab_private.check_permission_description(text) is 'PT400 invalid_permission.';

create or replace function lab.permission_create(name text, description text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := lab_private.require_superuser();
  v_name text := lower(btrim(permission_create.name));
begin
  perform lab_private.require_writable(),
          lab_private.check_permission_description(permission_create.description);
  -- No wildcards: what they would grant is written by labos only.
  if v_name is null or v_name !~ '^[a-z][a-z_]{0,40}:[a-z][a-z_]{0,40}$' then
    raise exception 'invalid permission' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_permission')::text,
      hint = 'The name is resource:action in lower-case letters and underscores, the description has 1 to 500 characters.';
  end if;
  insert into lab_data.permissions (name, description) values (v_name, permission_create.description)
  on conflict on constraint permissions_pkey do nothing;
  if not found then
    raise exception 'this permission exists' using errcode = 'PT409',
      detail = json_build_object('code', 'permission_exists', 'permission', v_name)::text;
  end if;
  perform lab_private.access_log('permission_create', 'success', labos.org_id(), v_user, labos.session_id(), jsonb_build_object('permission', v_name));
  return (select to_jsonb(p) from lab_data.permissions p where p.name::text = v_name);
end
$$;
comment on function lab.permission_create(text, text) is
$$Define a permission

A word for applications built on labos: roles of any organisation may then list it, labos.has_permission answers it. For superusers of the installation. Errors: 400 `invalid_permission`, 401 `not_authenticated`, 403 `superuser_required`, 409 `permission_exists`.$$;

create or replace function lab.permission_update(name text, description text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user       uuid := lab_private.require_superuser();
  v_permission lab_data.permissions;
begin
  perform lab_private.require_writable(),
          lab_private.check_permission_description(permission_update.description);
  v_permission := lab_private.find_permission(permission_update.name);
  update lab_data.permissions p set description = permission_update.description where p.name = v_permission.name
  returning p.* into v_permission;
  perform lab_private.access_log('permission_update', 'success', labos.org_id(), v_user, labos.session_id(), jsonb_build_object('permission', v_permission.name));
  return to_jsonb(v_permission);
end
$$;
comment on function lab.permission_update(text, text) is
$$Describe a permission anew

One that permission_create made. Errors: 400 `invalid_permission`, 401 `not_authenticated`, 403 `superuser_required`, 404 `permission_not_found`, 409 `system_permission`.$$;

create or replace function lab.permission_delete(name text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user       uuid := lab_private.require_superuser();
  v_permission lab_data.permissions;
  v_roles      bigint;
begin
  perform lab_private.require_writable();
  v_permission := lab_private.find_permission(permission_delete.name);
  delete from lab_data.role_permissions g where g.permission = v_permission.name;
  get diagnostics v_roles = row_count;
  delete from lab_data.permissions p where p.name = v_permission.name;
  perform lab_private.access_log('permission_delete', 'success', labos.org_id(), v_user, labos.session_id(),
    jsonb_build_object('permission', v_permission.name, 'roles', v_roles));
  return jsonb_build_object('status', 'ok', 'permission', v_permission.name, 'roles', v_roles);
end
$$;
comment on function lab.permission_delete(text) is
$$Delete a permission

One that permission_create made; every role that lists it loses it at once. Errors: 401 `not_authenticated`, 403 `superuser_required`, 404 `permission_not_found`, 409 `system_permission`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.role_create(text, text, text, text[], text, boolean), lab.role_update(text, text, text, text[], text, boolean, text, integer), lab.role_delete(text),
  lab.role_restore(uuid), lab.permission_create(text, text), lab.permission_update(text, text), lab.permission_delete(text),
  lab.role_assign(uuid, text, timestamptz), lab.role_revoke(uuid, text)
  from public;
grant execute on function
  lab.role_create(text, text, text, text[], text, boolean), lab.role_update(text, text, text, text[], text, boolean, text, integer), lab.role_delete(text),
  lab.role_restore(uuid), lab.permission_create(text, text), lab.permission_update(text, text), lab.permission_delete(text),
  lab.role_assign(uuid, text, timestamptz), lab.role_revoke(uuid, text)
  to lab_user;
