/*
 * Room: sharing (repeatable half)
 *
 * Who shares what, and acting in another organisation: as a member, as a guest
 * of what is shared, or as a superuser of the installation who reads with a
 * reason. What a guest sees row by row is said by labos.protect in each room.
 *
 * Holds    share_create, share_revoke, shares_received, auth_org_switch
 * Needs    020, 021; C identity (guest_org_for, shared_row)
 */

-- shares ----------------------------------------------------------------------

create or replace trigger _100_stamp before insert or update on lab_data.shares for each row execute function labos.tg__stamp();
-- What is given or taken counts from the next statement of every session.
create or replace trigger _500_rights after insert or update or delete or truncate on lab_data.shares for each statement execute function labos.tg__rbac_changed();

call labos.protect('lab_data.shares', 'share', verbs => '{select}');
call labos.expose('shares');
call labos.audit_enable('lab_data.shares');

-- A colleague who leaves does not become a guest.
create or replace function lab_private.tg_memberships__shares() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  update lab_data.shares s set revoked_at = now(), revoked_by = labos.user_id()
  where s.org_id = NEW.org_id and s.to_user_id = NEW.user_id and s.revoked_at is null;
  return null;
end
$$;
comment on function lab_private.tg_memberships__shares() is 'After somebody leaves an organisation: what it shared with them ends.';
create or replace trigger _530_shares after update of left_at on lab_data.memberships
  for each row when (new.left_at is not null and old.left_at is null) execute function lab_private.tg_memberships__shares();

create or replace function lab_private.organization_named(org text) returns uuid
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select o.id from lab_data.organizations o
  where o.is_active and o.deleted_at is null
    and case when lower(organization_named.org) ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        then o.id::text = lower(organization_named.org) else o.slug = lower(organization_named.org) end
$$;
comment on function lab_private.organization_named(text) is 'A live organisation by id or slug.';

create or replace function lab_private.share_resource_exists(org uuid, kind text, id uuid, level text) returns boolean
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_kind  record;
  v_verb  text := case level when 'write' then 'update' else 'read' end;
  v_found boolean;
begin
  select k.* into v_kind from lab_private.share_kinds() k where k.kind = share_resource_exists.kind;
  -- All that the receivers get with it: who reads the project only gives no samples away.
  if to_regclass('lab_data.' || v_kind.table_name) is null or not labos.has_permission(v_kind.prefix || ':' || v_verb)
     or exists (select from lab_private.share_gives(kind, level) p(name) where not labos.has_permission(p.name)) then
    return false;
  end if;
  -- The owner's form without shares: what somebody received they do not pass on.
  execute format('select exists (select from lab_data.%I t where t.org_id = $1 and t.id = $2 and t.deleted_at is null%s)',
                 v_kind.table_name,
                 case when v_kind.is_owned then format(' and t.owner_id = labos.owner_for(%L, t.owner_id)', v_kind.prefix || ':' || v_verb || '_any') else '' end)
    into v_found using org, id;
  return v_found;
end
$$;
comment on function lab_private.share_resource_exists(uuid, text, uuid, text) is
  'May the caller give this record away so far: is it there, and do they hold all that its receivers can do with it?';

create or replace function lab.share_create(
  kind text, resource_id uuid, to_org text default null, to_user uuid default null, level text default 'read',
  expires_at timestamptz default null, note text default null) returns lab.shares
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('share:create');
  v_to_org  uuid;
  v_outside boolean;
  v_id      uuid;
  v_share   lab.shares;
begin
  perform lab_private.require_writable();
  if share_create.kind is null or share_create.resource_id is null or num_nonnulls(share_create.to_org, share_create.to_user) <> 1 then
    raise exception 'kind, resource_id and either to_org or to_user are required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument',
        case when share_create.kind is null then 'kind' when share_create.resource_id is null then 'resource_id' else 'to_org' end)::text,
      hint = 'A share goes to one organisation or to one person.';
  elsif not exists (select from lab_private.share_kinds() k where k.kind = share_create.kind) then
    raise exception 'nothing of this kind can be shared' using errcode = 'PT400',
      detail = json_build_object('code', 'unknown_share_kind', 'kinds', (select array_agg(k.kind) from lab_private.share_kinds() k))::text,
      hint = 'Use one of the kinds in the detail.';
  elsif share_create.level is null or share_create.level not in ('read', 'comment', 'write') then
    raise exception 'level must be read, comment or write' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_share_level')::text;
  elsif share_create.expires_at <= clock_timestamp() or not isfinite(share_create.expires_at) then
    raise exception 'the expiry is in the past' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_expiry')::text, hint = 'Send a later time with its zone.';
  elsif length(share_create.note) > 1000 then
    raise exception 'the note is longer than 1000 characters' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_note')::text, hint = 'Shorten it.';
  elsif not lab_private.share_resource_exists(v_org, share_create.kind, share_create.resource_id, share_create.level) then
    raise exception 'resource not found' using errcode = 'PT404',
      detail = json_build_object('code', 'share_resource_not_found', 'kind', share_create.kind, 'id', share_create.resource_id)::text,
      hint = 'Share what you can read yourself with all that belongs to it, and for writing what you can change.';
  end if;

  if share_create.to_user is not null then
    v_outside := not exists (select from lab_data.memberships m
                             where m.org_id = v_org and m.user_id = share_create.to_user and m.left_at is null);
  else
    v_outside := lower(share_create.to_org) <> all (select unnest(array[o.id::text, o.slug]) from lab_data.organizations o where o.id = v_org);
    v_to_org := v_org;
  end if;
  if v_outside then
    -- Asked before anything outside is looked up: who does not share learns nothing about others.
    if not (select o.settings @> '{"allow_sharing": true}' from lab_data.organizations o where o.id = v_org) then
      raise exception 'your organisation does not share with others' using errcode = 'PT403',
        detail = json_build_object('code', 'sharing_not_allowed')::text,
        hint = 'An administrator can set allow_sharing in the settings of the organisation.';
    end if;
    v_to_org := lab_private.organization_named(share_create.to_org);
    if share_create.to_org is not null and v_to_org is null then
      raise exception 'organisation not found' using errcode = 'PT404',
        detail = json_build_object('code', 'organization_not_found')::text, hint = 'Ask the receiver for their slug: auth_me shows it.';
    elsif share_create.to_user is not null
      and not exists (select from lab_data.users u where u.id = share_create.to_user and u.is_active and u.deleted_at is null) then
      raise exception 'user not found' using errcode = 'PT404',
        detail = json_build_object('code', 'user_not_found', 'id', share_create.to_user)::text, hint = 'Ask the receiver for their id: auth_me shows it.';
    end if;
  end if;

  insert into lab_data.shares (org_id, kind, resource_id, to_org_id, to_user_id, level, expires_at, note)
  values (v_org, share_create.kind, share_create.resource_id, case when share_create.to_user is null then v_to_org end, share_create.to_user,
          share_create.level, share_create.expires_at, nullif(btrim(share_create.note), ''))
  returning id into v_id;
  perform lab_private.access_log('share_create', 'success', v_org, labos.user_id(), labos.session_id(),
    jsonb_build_object('share', v_id, 'kind', share_create.kind, 'level', share_create.level, 'outside', v_outside));
  select s.* into v_share from lab.shares s where s.org_id = v_org and s.id = v_id;
  return v_share;
end
$$;
comment on function lab.share_create(text, uuid, text, uuid, text, timestamptz, text) is
$$Share a record

A project with its samples and runs, or one sample, run, material, structure, simulation_job, campaign or dataset, with a colleague (`to_user`), the own organisation (`to_org`), or, where the setting `allow_sharing` is true, with another organisation (`to_org`: id or slug) or a person there (`to_user`: their id). Receivers do with it what `level` (read, comment, write) and their permissions at home both allow; nobody deletes or shares further. It counts at once, until `expires_at` or share_revoke. Errors: 400 `missing_argument`, `unknown_share_kind`, `invalid_share_level`, `invalid_expiry`, `invalid_note`, 403 `permission_denied` (share:create), `sharing_not_allowed`, 404 `share_resource_not_found`, `organization_not_found`, `user_not_found`.$$;

create or replace function lab.share_revoke(id uuid) returns lab.shares
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('share:delete');
  v_row   lab_data.shares;
  v_share lab.shares;
begin
  perform lab_private.require_writable();
  update lab_data.shares s set revoked_at = clock_timestamp(), revoked_by = labos.user_id()
  where s.org_id = v_org and s.id = share_revoke.id and s.revoked_at is null
  returning s.* into v_row;
  if not found then
    raise exception 'share not found' using errcode = 'PT404',
      detail = json_build_object('code', 'share_not_found', 'id', share_revoke.id)::text, hint = 'It may have been revoked already.';
  end if;
  -- Guests for whom nothing is left.
  update lab_data.user_sessions s set revoked_at = now(), revoke_reason = 'share'
  where s.kind = 'guest' and s.acting_org_id = v_org and s.revoked_at is null
    and (s.user_id = v_row.to_user_id or s.org_id = v_row.to_org_id)
    and not exists (select from lab_private.shares_to(v_org, s.user_id, s.org_id));
  perform lab_private.access_log('share_revoke', 'success', v_org, labos.user_id(), labos.session_id(),
    jsonb_build_object('share', v_row.id, 'kind', v_row.kind));
  select s.* into v_share from lab.shares s where s.org_id = v_org and s.id = v_row.id;
  return v_share;
end
$$;
comment on function lab.share_revoke(uuid) is
$$End a share

Its receivers lose what it gave with their next statement. Errors: 403 `permission_denied` (share:delete), 404 `share_not_found` (also when it has ended).$$;

create or replace function lab.shares_received() returns table (
  id uuid, kind text, resource_id uuid, level text, org_id uuid, organization text, slug text, to_me boolean,
  expires_at timestamptz, note text, created_at timestamptz)
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := lab_private.require_interactive();
begin
  return query
    select s.id, s.kind, s.resource_id, s.level, o.id, o.name, o.slug, s.to_user_id is not null, s.expires_at, s.note, s.created_at
    from lab_data.shares s
    join lab_data.organizations o on o.id = s.org_id and o.is_active and o.deleted_at is null
    where s.revoked_at is null and (s.expires_at is null or s.expires_at > clock_timestamp())
      and (s.to_user_id = v_user
           or exists (select from lab_data.memberships m where m.org_id = s.to_org_id and m.user_id = v_user and m.left_at is null))
      and (o.settings @> '{"allow_sharing": true}'
           or exists (select from lab_data.memberships m where m.org_id = s.org_id and m.user_id = v_user and m.left_at is null))
    order by s.created_at desc, s.id desc;
end
$$;
comment on function lab.shares_received() is
$$What is shared with me

Live shares to the caller or to an organisation of theirs, the latest first. Records of another organisation are seen by acting there: `X-Labos-Org` or auth_org_switch. Errors: 401 `not_authenticated`, 403 `interactive_session_required`.$$;

-- switching -------------------------------------------------------------------

-- Of version 0.2.
drop function if exists lab.auth_org_switch(text, jsonb);

create or replace function lab.auth_org_switch(org text, device_info jsonb default null, reason text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user    uuid := lab_private.require_interactive();
  v_now     lab_data.user_sessions := lab_private.this_session();
  v_home    uuid;
  v_to      uuid;
  v_member  boolean;
  v_super   boolean;
  v_kind    text;
  v_answer  jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  v_home := coalesce(v_now.org_id, labos.org_id());
  v_to := coalesce(lab_private.home_membership(v_user, coalesce(auth_org_switch.org, '')), lab_private.organization_named(auth_org_switch.org));
  v_member := exists (select from lab_data.memberships m where m.org_id = v_to and m.user_id = v_user and m.left_at is null);
  v_super := v_to is not null and not v_member and labos.is_superuser();
  v_kind := case when v_member then 'password'
                 when v_super and auth_org_switch.reason is not null then 'superuser'
                 when exists (select from lab_private.shares_to(v_to, v_user, v_home)) then 'guest' end;
  if v_kind is null and v_super or v_kind = 'superuser' and length(btrim(auth_org_switch.reason)) not between 3 and 500 then
    raise exception 'a superuser names a reason to read another organisation' using errcode = 'PT422',
      detail = json_build_object('code', 'reason_required')::text, hint = '3 to 500 characters; its administrators see them.';
  elsif v_kind is null then
    raise exception 'you are not a member of this organisation' using errcode = 'PT403',
      detail = json_build_object('code', 'not_a_member')::text,
      hint = 'auth_me lists your memberships, shares_received what others share with you.';
  end if;

  perform lab_private.access_log(case v_kind when 'superuser' then 'superuser_switch' when 'guest' then 'share_use' else 'org_switch' end,
            'success', v_to, v_user, labos.session_id(),
            jsonb_strip_nulls(jsonb_build_object('from', v_home, 'reason', case when v_kind = 'superuser' then btrim(auth_org_switch.reason) end))),
          lab_private.respond(200);
  v_answer := lab_private.session_open(case when v_member then v_to else v_home end, v_user,
    coalesce(nullif(auth_org_switch.device_info, 'null'), v_now.device_info),
    kind => case when v_member and v_now.kind is not null then v_now.kind else v_kind end,
    aal => coalesce(v_now.aal, 1::smallint), amr => coalesce(v_now.amr, '{pwd}'),
    acting_org_id => case when not v_member then v_to end,
    reason => case when v_kind = 'superuser' then btrim(auth_org_switch.reason) end,
    refresh => v_kind <> 'superuser', lifetime => case when v_kind = 'superuser' then interval '1 hour' end);
  -- What an identity provider vouched for ends with it here too.
  update lab_data.user_sessions s set oidc_provider_id = v_now.oidc_provider_id
  where s.org_id = case when v_member then v_to else v_home end and s.id = (v_answer ->> 'session_id')::uuid and v_now.oidc_provider_id is not null;
  return v_answer;
end
$$;
comment on function lab.auth_org_switch(text, jsonb, text) is
$$Switch organisation

Tokens for acting elsewhere (id or slug), as a new session; the present one stays open. In another membership of the caller with its rights; where something is shared with them as a guest, who sees and changes that only; and for a superuser of the installation with a `reason` everywhere, to read only, for an hour, which the administrators there see in their access log. Errors: 401 `not_authenticated`, 403 `interactive_session_required`, `not_a_member` (also for an organisation that does not exist), 422 `reason_required`.$$;

-- grants ----------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.share_create(text, uuid, text, uuid, text, timestamptz, text), lab.share_revoke(uuid), lab.shares_received(), lab.auth_org_switch(text, jsonb, text)
  from public;
grant execute on function
  lab.share_create(text, uuid, text, uuid, text, timestamptz, text), lab.share_revoke(uuid), lab.shares_received(), lab.auth_org_switch(text, jsonb, text)
  to lab_user;
-- A guest may ask who they are here.
grant execute on function lab.auth_me() to lab_guest;
