/*
 * Room: tenancy (repeatable half)
 *
 * Row security, triggers and views of the tenancy tables, and the one query
 * that tells C who the caller is: lab_private.identity_load().
 *
 * No write policies but the organisation's own settings: people, roles and
 * rights change by the calls of the identity room.
 */

-- who is calling --------------------------------------------------------------

create or replace function lab_private.permissions_within(held text[], scopes text[]) returns text[]
  language sql immutable
  set search_path to pg_catalog, pg_temp
begin atomic
  select case when permissions_within.scopes is null then permissions_within.held else array(
    -- Part by part the narrower of the two, where one covers the other.
    select distinct (case when hr = '*' then sr else hr end || ':' || case when ha = '*' then sa else ha end) collate "C"
    from unnest(permissions_within.held) h,
         unnest(permissions_within.scopes) s,
         split_part(h, ':', 1) hr, split_part(h, ':', 2) ha, split_part(s, ':', 1) sr, split_part(s, ':', 2) sa
    where (hr = sr or hr = '*' or sr = '*') and (ha = sa or ha = '*' or sa = '*')
    order by 1) end;
end;
comment on function lab_private.permissions_within(text[], text[]) is
  'What scopes leave of permissions: *:* within sample:* is sample:*, sample:* within sample:read is sample:read; all of them without scopes. Sorted by bytes.';

-- Bound when it is created, and without a search path of its own: inlined into the query of C.
create or replace function lab_private.identity_load(
  source text, claimed_user uuid, claimed_org uuid, claimed_session uuid, issued_at timestamptz, login name, wish text)
  returns table (user_id uuid, org_id uuid, session_id uuid, is_superuser boolean,
                 permissions text[], roles text[], reload_at timestamptz, is_guest boolean, is_elsewhere boolean,
                 share_kinds text[], share_ids uuid[], share_levels integer[])
  language sql stable
begin atomic
  with recursive
  asked as (
    -- A token counts with its session only; a database login needs none.
    select l.user_id, l.org_id as home_id, null::uuid as session_id, null::timestamptz as session_ends,
           null::text[] as scopes, 'login' as kind, null::uuid as acting_id, 1::smallint as aal
    from lab_private.db_logins l
    where identity_load.source = 'login' and l.rolname = identity_load.login
    union all
    select s.user_id, s.org_id, s.id, s.expires_at, s.scopes, s.kind, s.acting_org_id, s.aal
    from lab_data.user_sessions s
    where identity_load.source in ('token', 'gateway')
      and s.id = identity_load.claimed_session and s.user_id = identity_load.claimed_user
      and coalesce(s.acting_org_id, s.org_id) = identity_load.claimed_org
      and s.revoked_at is null and s.expires_at > statement_timestamp()
  ),
  person as (
    select a.*, u.is_superuser
    from asked a
    join lab_data.users u on u.id = a.user_id
    join lab_data.memberships m on m.user_id = a.user_id and m.org_id = a.home_id
    join lab_data.organizations o on o.id = m.org_id
    where u.is_active and u.deleted_at is null
      -- Tokens carry whole seconds: one issued in the second of the change is younger than it.
      and (u.tokens_valid_after is null or identity_load.source = 'login'
           or identity_load.issued_at >= date_trunc('second', u.tokens_valid_after))
      and m.left_at is null
      and o.is_active and o.deleted_at is null
  ),
  -- Where they act, and as what: null where they may not. What a session was made for, no wish changes.
  caller as (
    select p.*, t.id as target_id,
      case when t.id is null then null
           when p.kind = 'superuser' then case when p.is_superuser and t.id = p.acting_id then 'superuser' end
           when p.kind = 'guest' then case when t.id = p.acting_id and t.is_giving and not (t.needs_mfa and p.aal < 2) then 'guest' end
           when t.id = p.home_id then 'member'
           when p.kind = 'api_key' or p.scopes is not null then null
           -- No way around a second factor that is asked for there.
           when t.needs_mfa and p.aal < 2 then null
           when exists (select from lab_data.memberships m where m.org_id = t.id and m.user_id = p.user_id and m.left_at is null) then 'member'
           when t.is_giving then 'guest' end as standing
    from person p
    left join lateral (
      select o.id, o.settings @> '{"allow_sharing": true}' as is_giving, o.settings @> '{"require_mfa": true}' as needs_mfa
      from lab_data.organizations o
      where o.is_active and o.deleted_at is null
        and o.id = case
          when identity_load.wish = '' then coalesce(p.acting_id, p.home_id)
          -- What looks like an id is no slug, although it could be one.
          when lower(identity_load.wish) ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then lower(identity_load.wish)::uuid
          else (select x.id from lab_data.organizations x where x.slug = lower(identity_load.wish) and x.deleted_at is null) end) t on true
  ),
  received as (
    select s.kind, s.resource_id, max(case s.level when 'read' then 1 when 'comment' then 2 else 3 end) as level, min(s.expires_at) as ends
    from caller c
    join lab_data.shares s on s.org_id = c.target_id and s.revoked_at is null
      and (s.expires_at is null or s.expires_at > statement_timestamp())
      and (s.to_user_id = c.user_id or s.to_org_id = case c.standing when 'member' then c.target_id else c.home_id end)
    where c.standing in ('member', 'guest')
    group by s.kind, s.resource_id
  ),
  held as (
    -- A guest may do what is shared and they may do at home.
    select r.id, r.name, r.parent_id, ur.expires_at
    from caller c
    join lab_data.user_roles ur on ur.user_id = c.user_id
      and ur.org_id = case c.standing when 'member' then c.target_id when 'guest' then c.home_id end
    join lab_data.roles r on r.id = ur.role_id and r.deleted_at is null
    where ur.expires_at is null or ur.expires_at > statement_timestamp()
  ),
  effective (id, name, parent_id) as (
    select h.id, h.name, h.parent_id from held h
    union
    select p.id, p.name, p.parent_id
    from effective e join lab_data.roles p on p.id = e.parent_id and p.deleted_at is null
  ),
  granted (permissions) as (
    -- Sorted by bytes: C searches by strcmp.
    select case when c.standing = 'superuser'
      then array(select v.name::text collate "C" from lab_data.permissions v where split_part(v.name, ':', 2) in ('read', 'read_any') order by 1)
      else array(select distinct rp.permission::text collate "C"
                 from effective e join lab_data.role_permissions rp on rp.role_id = e.id order by 1) end
    from caller c
  ),
  answer as (
    select c.*, c.standing is null or (c.standing = 'guest' and not exists (select from received)) as is_refused from caller c
  )
  -- A session with scopes has no role: what asks for one would give more than they say. No key administers the installation.
  select case when not a.is_refused then a.user_id end,
    case when not a.is_refused then a.target_id end,
    case when not a.is_refused then a.session_id end,
    not a.is_refused and a.is_superuser and a.standing = 'member' and a.scopes is null and a.kind <> 'api_key',
    case when a.scopes is null then g.permissions else lab_private.permissions_within(g.permissions, a.scopes) end,
    array(select distinct e.name collate "C" from effective e where a.scopes is null and a.standing = 'member' order by 1),
    least(a.session_ends, (select min(h.expires_at) from held h), (select min(r.ends) from received r)),
    not a.is_refused and a.standing = 'guest',
    a.is_refused,
    array(select r.kind from received r order by r.kind, r.resource_id),
    array(select r.resource_id from received r order by r.kind, r.resource_id),
    array(select r.level from received r order by r.kind, r.resource_id)
  from answer a, granted g;
end;
comment on function lab_private.identity_load(text, uuid, uuid, uuid, timestamptz, name, text) is
  'The caller as C sees them: one row if the user, membership, organisation and session are live, else none. wish: the organisation they would act in; is_elsewhere when they may not. A guest''s permissions are those at home. reload_at: when time alone changes the answer.';
-- Of version 0.2.
drop function if exists lab_private.identity_load(text, uuid, uuid, uuid, timestamptz, name);
drop function if exists lab_private.session_ends_at(uuid, uuid);

create or replace function lab_private.org_members(org uuid) returns uuid[]
  language sql stable
  set search_path to pg_catalog, pg_temp
begin atomic
  select coalesce(array_agg(m.user_id order by m.user_id), '{}') from lab_data.memberships m where m.org_id = org_members.org;
end;
comment on function lab_private.org_members(uuid) is 'Everybody who is or was a member, sorted: labos.user_for() searches it.';

-- shared trigger functions --------------------------------------------------------

create or replace function lab_private.tg__soft_delete() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
-- Arguments: permission, and the owner column of an owner-scoped table.
declare
  v_org   uuid := labos.require_org_for(TG_ARGV[0]);
  v_owner text := case when TG_NARGS > 1 then format(' and %1$I = labos.owner_for(%2$L, %1$I)', TG_ARGV[1], TG_ARGV[0] || '_any') else '' end;
  v_done  bigint;
begin
  execute format('update lab_data.%I set deleted_at = now(), deleted_by = labos.user_id() where org_id = $1 and id = $2 and deleted_at is null%s',
                 TG_TABLE_NAME, v_owner) using v_org, OLD.id;
  get diagnostics v_done = row_count;
  return case when v_done > 0 then OLD end;
end
$$;
comment on function lab_private.tg__soft_delete() is 'Instead of delete on a public view: marks the row deleted. Arguments: permission, owner column.';
revoke all on function lab_private.tg__soft_delete() from public;

create or replace function lab_private.tg_roles__no_cycle() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_parent lab_data.roles;
begin
  if NEW.parent_id is null then
    return NEW;
  end if;
  -- Two changes that close a circle together wait for each other here; no advisory lock, which any SQL client could hold.
  perform from lab_private.identity_settings for no key update;
  select r.* into v_parent from lab_data.roles r where r.id = NEW.parent_id and r.deleted_at is null;
  if not found or (v_parent.org_id is not null and v_parent.org_id is distinct from NEW.org_id) then
    raise exception 'parent role not found' using errcode = 'PT422',
      detail = json_build_object('code', 'role_parent_not_found', 'parent_id', NEW.parent_id)::text,
      hint = 'A parent is a system role or one of the same organisation.';
  end if;
  if exists (
    with recursive up (id, parent_id) as (
      select v_parent.id, v_parent.parent_id
      union
      select r.id, r.parent_id from up join lab_data.roles r on r.id = up.parent_id)
    select from up where up.id = NEW.id)
  then
    raise exception 'a role cannot inherit from itself' using errcode = 'PT422',
      detail = json_build_object('code', 'role_cycle', 'role', NEW.name, 'parent', v_parent.name)::text,
      hint = 'Choose a parent that does not inherit from this role.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_roles__no_cycle() is 'Before insert or update of a role: its parent exists here and no circle closes.';

create or replace function lab_private.tg_organizations__settings() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_key text;
  v_min integer;
  v_max integer;
begin
  for v_key, v_min, v_max in values ('access_token_minutes', 1, 60), ('refresh_token_days', 1, 90), ('retention_days', 30, 36500) loop
    if not NEW.settings ? v_key then
      continue;
    end if;
    if jsonb_typeof(NEW.settings -> v_key) <> 'number'
       or (NEW.settings -> v_key)::numeric not between v_min and v_max
       or (NEW.settings -> v_key)::numeric <> trunc((NEW.settings -> v_key)::numeric)
    then
      raise exception 'setting % must be a whole number from % to %', v_key, v_min, v_max using errcode = 'PT422',
        detail = json_build_object('code', 'invalid_setting', 'setting', v_key, 'min', v_min, 'max', v_max)::text,
        hint = 'Correct the value or leave the setting out for its default.';
    end if;
  end loop;
  if jsonb_typeof(NEW.settings -> 'require_mfa') <> 'boolean' then
    raise exception 'setting require_mfa must be true or false' using errcode = 'PT422',
      detail = json_build_object('code', 'invalid_setting', 'setting', 'require_mfa')::text,
      hint = 'Correct the value or leave the setting out for its default.';
  end if;
  if jsonb_typeof(NEW.settings -> 'allow_sharing') <> 'boolean' then
    raise exception 'setting allow_sharing must be true or false' using errcode = 'PT422',
      detail = json_build_object('code', 'invalid_setting', 'setting', 'allow_sharing')::text,
      hint = 'Without it nothing is shared with other organisations.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_organizations__settings() is 'Before a change of organisation settings: the values that labos reads are in range.';

create or replace function lab_private.tg_users__normalise() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  NEW.email := lower(normalize(btrim(NEW.email::text), NFC));
  NEW.full_name := coalesce(nullif(btrim(NEW.full_name), ''), nullif(btrim(concat_ws(' ', NEW.first_name, NEW.last_name)), ''));
  return NEW;
end
$$;
comment on function lab_private.tg_users__normalise() is 'Before insert or update of a user: full_name from its parts when absent.';

-- triggers ---------------------------------------------------------------------

create or replace trigger _100_stamp before insert or update on lab_data.organizations for each row execute function labos.tg__stamp();
create or replace trigger _300_settings before insert or update of settings on lab_data.organizations
  for each row execute function lab_private.tg_organizations__settings();
create or replace trigger _090_normalise before insert or update of email, full_name, first_name, last_name on lab_data.users
  for each row execute function lab_private.tg_users__normalise();
-- Sign-ins count and date without making a new version.
create or replace trigger _100_stamp before insert or update of email, username, first_name, last_name, full_name, is_active, is_verified,
    is_superuser, mfa_enabled, tokens_valid_after, preferences, version, created_at, created_by, updated_at, updated_by, deleted_at
  on lab_data.users for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert or update on lab_data.memberships for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert or update on lab_data.roles for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert or update on lab_data.role_permissions for each row execute function labos.tg__stamp();
create or replace trigger _300_no_cycle before insert or update of parent_id, org_id on lab_data.roles
  for each row execute function lab_private.tg_roles__no_cycle();

-- Rights that change take effect on the next statement of every session.
create or replace trigger _500_rights after insert or update or delete or truncate on lab_data.memberships for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after insert or update or delete or truncate on lab_data.roles for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after insert or update or delete or truncate on lab_data.role_permissions for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after insert or update or delete or truncate on lab_data.user_roles for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after insert or update or delete or truncate on lab_private.db_logins for each statement execute function labos.tg__rbac_changed();
-- Not for every sign-in, which only counts and dates.
create or replace trigger _500_rights after update of is_active, is_superuser, tokens_valid_after, deleted_at on lab_data.users
  for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after update of is_active, deleted_at, slug, settings on lab_data.organizations
  for each statement execute function labos.tg__rbac_changed();

-- row security -------------------------------------------------------------------

-- Global tables have no org_id, or one that is null for what all share: their policies are
-- written out. The comparison stays a scalar equality with what C answers.
do $do$
declare
  v_policy record;
begin
  for v_policy in
    select t.name::regclass as name, t.for_select, t.for_update from (values
      ('lab_data.organizations',    $p$id = labos.org_for('organization:read') and deleted_at is null$p$, $p$id = labos.org_for('organization:update') and deleted_at is null$p$),
      ('lab_data.users',            $p$id = labos.user_for('user:read', id) and deleted_at is null$p$, null),
      ('lab_data.permissions',      $p$labos.has_permission('role:read')$p$, null),
      ('lab_data.roles',            $p$coalesce(org_id, labos.org_for('role:read')) = labos.org_for('role:read') and deleted_at is null$p$, null),
      ('lab_data.role_permissions', $p$coalesce(org_id, labos.org_for('role:read')) = labos.org_for('role:read')$p$, null),
      ('lab_private.rbac_epoch', null, null),
      ('lab_private.db_logins', null, null),
      ('lab_private.deployment', null, null),
      ('lab_private.migration', null, null),
      ('lab_private.repeatable', null, null)) t(name, for_select, for_update)
  loop
    execute format('alter table %s enable row level security', v_policy.name);
    execute format('alter table %s force row level security', v_policy.name);
    execute format('drop policy if exists owner_all on %s', v_policy.name);
    execute format('create policy owner_all on %s for all to lab_owner using (true) with check (true)', v_policy.name);
    execute format('drop policy if exists select_own_org on %s', v_policy.name);
    if v_policy.for_select is not null then
      execute format('create policy select_own_org on %s for select to lab_user using (%s)', v_policy.name, v_policy.for_select);
    end if;
    execute format('drop policy if exists update_own_org on %s', v_policy.name);
    if v_policy.for_update is not null then
      execute format('create policy update_own_org on %s for update to lab_user using (%2$s) with check (%2$s)', v_policy.name, v_policy.for_update);
    end if;
  end loop;
end
$do$;
call labos.protect('lab_data.memberships', 'user', verbs => '{select}');
call labos.protect('lab_data.user_roles', 'role', verbs => '{select}');

-- public views ---------------------------------------------------------------------

call labos.expose('organizations', update_columns => '{name,org_type,settings,version}');
call labos.expose('users', hidden_columns => '{failed_login_attempts,tokens_valid_after,last_login_ip,email_typed}');
call labos.expose('memberships');
call labos.expose('permissions');
call labos.expose('roles');
call labos.expose('role_permissions');
call labos.expose('user_roles');

-- audit ------------------------------------------------------------------------------

call labos.audit_enable('lab_data.organizations', policy => '{"org": "id"}');
-- What every sign-in touches stands in the access log.
call labos.audit_enable('lab_data.users', policy => '{"ignore": ["last_login_at", "last_login_ip", "failed_login_attempts"]}');
call labos.audit_enable('lab_data.memberships');
call labos.audit_enable('lab_data.permissions');
call labos.audit_enable('lab_data.roles');
call labos.audit_enable('lab_data.role_permissions');
call labos.audit_enable('lab_data.user_roles');

-- database logins --------------------------------------------------------------------

create or replace function lab_private.db_login_map(login name, email text, org_slug text) returns void
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := (select u.id from lab_data.users u where u.email = lower(db_login_map.email) and u.deleted_at is null);
  v_org  uuid := (select o.id from lab_data.organizations o where o.slug = db_login_map.org_slug and o.deleted_at is null);
begin
  if not exists (select from pg_roles r where r.rolname = login and r.rolcanlogin) then
    raise exception 'login role "%" does not exist', login using errcode = '42704',
      hint = format('CREATE ROLE %I LOGIN PASSWORD ...; GRANT lab_user TO %I;', login, login);
  end if;
  if v_user is null or v_org is null
     or not exists (select from lab_data.memberships m where m.org_id = v_org and m.user_id = v_user and m.left_at is null) then
    raise exception '% is not a member of %', email, org_slug using errcode = '22023';
  end if;
  insert into lab_private.db_logins (rolname, user_id, org_id) values (login, v_user, v_org)
  on conflict on constraint db_logins_pkey do update set user_id = excluded.user_id, org_id = excluded.org_id;
end
$$;
comment on function lab_private.db_login_map(name, text, text) is
  'Lets a personal database login act as a member: select lab_private.db_login_map(''jane'', ''jane@lab.org'', ''my-lab''). For lab_owner and superusers.';
revoke all on function lab_private.db_login_map(name, text, text) from public;
