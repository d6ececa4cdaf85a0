/*
 * Room: identity, ground floor
 *
 * What every call of this room stands on: the request it came with, the answer
 * it gives, the access log, the settings, and the rules for the two tables that
 * clients may read.
 *
 * Holds    require_writable, client_ip, client_user_agent, problem, access_log,
 *          token_lifetimes, member_permissions, member_roles, require_superuser
 * Needs    tenancy; C identity (user_id, org_id, session_id, request_id)
 * Used by  021 to 026
 *
 * Functions of lab_private run with the rights of the call that uses them and
 * are executable by lab_owner only.
 */

-- private tables -------------------------------------------------------------

-- Forced row security here too: what is forgotten denies.
do $do$
declare
  v_table text;
begin
  foreach v_table in array array['identity_settings', 'credentials', 'login_guard', 'refresh_tokens', 'signing_keys'] loop
    execute format('alter table lab_private.%I enable row level security', v_table);
    execute format('alter table lab_private.%I force row level security', v_table);
    execute format('drop policy if exists owner_all on lab_private.%I', v_table);
    execute format('create policy owner_all on lab_private.%I for all to lab_owner using (true) with check (true)', v_table);
  end loop;
end
$do$;

-- login_guard ---------------------------------------------------------------

create or replace function lab_private.tg_users__login_guard() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  insert into lab_private.login_guard (user_id, failed, locked_until)
  values (new.id, new.failed_login_attempts, coalesce(new.locked_until, '-infinity'))
  on conflict on constraint login_guard_pkey do nothing;
  -- Not what show_attempts() only copies from there.
  if TG_OP = 'UPDATE' and current_setting('lab.login_guard', true) is distinct from 'follow' then
    perform labos.login_guard_set(new.id, new.failed_login_attempts, new.locked_until);
  end if;
  return null;
end
$$;
comment on function lab_private.tg_users__login_guard() is 'Gives each user a row in login_guard, and carries over what is set in users by hand, on success or by user_unlock.';
create or replace trigger _520_login_guard after insert on lab_data.users
  for each row execute function lab_private.tg_users__login_guard();
-- Also where nothing changes: users may not know of attempts that were rolled back.
create or replace trigger _521_login_guard after update of failed_login_attempts, locked_until on lab_data.users
  for each row execute function lab_private.tg_users__login_guard();
insert into lab_private.login_guard (user_id, failed, locked_until)
select u.id, u.failed_login_attempts, coalesce(u.locked_until, '-infinity') from lab_data.users u
on conflict on constraint login_guard_pkey do nothing;

-- the request ---------------------------------------------------------------

create or replace function lab_private.require_writable() returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if current_setting('request.method', true) in ('GET', 'HEAD') then
    raise exception 'this call must be a POST request' using errcode = 'PT405',
      detail = json_build_object('code', 'post_required')::text,
      hint = 'Send the arguments as a JSON body: in an address they would end up in logs.';
  elsif pg_is_in_recovery() then
    raise exception 'this server is a read-only standby' using errcode = 'PT503',
      detail = json_build_object('code', 'standby')::text,
      hint = 'Send the call to the primary server.';
  elsif current_setting('transaction_read_only') = 'on' then
    raise exception 'this call cannot run in a read-only transaction' using errcode = 'PT405',
      detail = json_build_object('code', 'read_only_transaction')::text,
      hint = 'Begin the transaction READ WRITE: the attempt must be recorded.';
  end if;
end
$$;
comment on function lab_private.require_writable() is
  'Refuses GET, read-only transactions and standbys: an attempt that cannot be recorded is not made (P30).';

create or replace function lab_private.require_whole_answer() returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  -- What PostgREST 12 does with the answer stands at the end of its statement; null for any other client.
  if substring(current_query() from 'AS response_inserted FROM (.*)$')
       !~ '^\(SELECT "[a-z_]+"\.\* FROM "pgrst_source" AS "[a-z_]+" *(LIMIT \$[0-9]+ OFFSET \$[0-9]+)?\s*\) _postgrest_t\s*$' then
    raise exception 'the answer of this call can be had as a whole only' using errcode = 'PT400',
      detail = json_build_object('code', 'partial_answer')::text,
      hint = 'Leave out select, order and filters.';
  end if;
end
$$;
comment on function lab_private.require_whole_answer() is
  'Refuses select, casts and filters on an answer that carries tokens: an answer made to fail would be read in the error, and all record of it rolled back (P23, P29).';

create or replace function lab_private.client_user_agent() returns text
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select left(labos.request_header('user-agent'), 512)
$$;
comment on function lab_private.client_user_agent() is 'User-Agent of the request, at most 512 characters.';

create or replace function lab_private.client_ip() returns inet
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select labos.client_address()
$$;
comment on function lab_private.client_ip() is
  'Address of the client: the entry of X-Forwarded-For that the outermost trusted proxy wrote, else the peer of the connection (P55).';

-- the answer ----------------------------------------------------------------

create or replace function lab_private.respond(status integer, headers jsonb default '[]') returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform set_config('response.status', status::text, true),
          set_config('response.headers',
            ('[{"Cache-Control": "no-store"}, {"Pragma": "no-cache"}]'::jsonb || headers)::text, true);
end
$$;
comment on function lab_private.respond(integer, jsonb) is 'Status and headers of the HTTP answer; what carries tokens is never cached.';

create or replace function lab_private.problem(status integer, code text, message text, hint text default null) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.respond(problem.status,
    case problem.status when 401 then '[{"WWW-Authenticate": "Bearer"}]'::jsonb else '[]'::jsonb end);
  return jsonb_strip_nulls(jsonb_build_object('code', problem.code, 'message', problem.message, 'hint', problem.hint));
end
$$;
comment on function lab_private.problem(integer, text, text, text) is
  'A refusal that commits: the status goes to PostgREST, the body is returned. Used where raising would undo the record (P31).';

-- access_logs ---------------------------------------------------------------

create or replace function lab_private.access_log(
  event text, outcome text, org_id uuid, user_id uuid, session_id uuid default null, detail jsonb default '{}') returns void
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  -- What was refused before and could not say so itself.
  select labos.access_events_flush();
  insert into lab_data.access_logs (org_id, user_id, session_id, event, outcome, ip, user_agent, request_id, detail)
  values (coalesce(access_log.org_id, '00000000-0000-0000-0000-000000000000'), access_log.user_id, access_log.session_id,
          access_log.event, access_log.outcome, lab_private.client_ip(), lab_private.client_user_agent(),
          left(labos.request_id(), 200), coalesce(access_log.detail, '{}'))
$$;
comment on function lab_private.access_log(text, text, uuid, uuid, uuid, jsonb) is 'Adds a row to the access log, with address, user agent and request id of this request.';

create or replace function lab_private.tg_access_logs__append_only() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  raise exception 'the access log is append-only' using errcode = 'PT403',
    detail = json_build_object('code', 'append_only', 'operation', lower(TG_OP))::text;
end
$$;
comment on function lab_private.tg_access_logs__append_only() is 'Refuses every change of a written row, also by the owner.';
create or replace trigger _300_append_only before update or delete or truncate on lab_data.access_logs
  for each statement execute function lab_private.tg_access_logs__append_only();

-- select only: rows are written by the calls themselves.
call labos.protect('lab_data.access_logs', 'access_log', verbs => '{select}');
call labos.expose('access_logs');
-- Sealed in the tree (P68). Its copy belongs to no organisation: who may read a record's history may not read who signed in from where.
call labos.audit_enable('lab_data.access_logs', policy => '{"org": "id"}');

-- user_sessions -------------------------------------------------------------

-- One's own sessions; session:read_any sees those of the organisation. No other verb: auth_session_end ends one.
call labos.protect('lab_data.user_sessions', 'session', verbs => '{select}', owner => 'user_id');
call labos.expose('user_sessions');

-- A revoked session ends its tokens with the next statement of every connection.
create or replace trigger _510_rbac_changed after update on lab_data.user_sessions
  for each row when (old.revoked_at is distinct from new.revoked_at or new.expires_at < old.expires_at
                     or (old.id, old.user_id) is distinct from (new.id, new.user_id))
  execute function labos.tg__rbac_changed();
create or replace trigger _511_rbac_changed after delete on lab_data.user_sessions
  for each row execute function labos.tg__rbac_changed();
create or replace trigger _512_rbac_changed after truncate on lab_data.user_sessions
  for each statement execute function labos.tg__rbac_changed();

-- lifetimes of an organisation -----------------------------------------------

create or replace function lab_private.token_lifetimes(
  org_id uuid, out access_seconds integer, out refresh_seconds integer, out session_seconds integer)
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce((o.settings ->> 'access_token_minutes')::integer, 15) * 60,
         coalesce((o.settings ->> 'refresh_token_days')::integer, 7) * 86400,
         i.session_days * 86400
  from lab_data.organizations o, lab_private.identity_settings i
  where o.id = token_lifetimes.org_id
$$;
comment on function lab_private.token_lifetimes(uuid) is
  'Seconds that an access token (15 minutes), a refresh token (7 days) and a session as a whole (30 days) live in an organisation.';

-- what a member may do -------------------------------------------------------

create or replace function lab_private.role_closure(roles uuid[]) returns setof uuid
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  with recursive closure (id) as (
    select r.id from lab_data.roles r where r.id = any (role_closure.roles) and r.deleted_at is null
    union
    select p.id from closure c
    join lab_data.roles r on r.id = c.id
    join lab_data.roles p on p.id = r.parent_id and p.deleted_at is null)
  select c.id from closure c
$$;
comment on function lab_private.role_closure(uuid[]) is 'These roles and all from which they inherit.';

create or replace function lab_private.role_grants(roles uuid[]) returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(distinct p.permission::text order by p.permission::text), '{}')
  from lab_private.role_closure(role_grants.roles) c
  join lab_data.role_permissions p on p.role_id = c
$$;
comment on function lab_private.role_grants(uuid[]) is 'The permissions that these roles give together, inherited ones included.';

create or replace function lab_private.member_role_ids(org_id uuid, user_id uuid) returns uuid[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(r.role_id), '{}')
  from lab_data.user_roles r
  join lab_data.memberships m on m.org_id = r.org_id and m.user_id = r.user_id and m.left_at is null
  where r.org_id = member_role_ids.org_id and r.user_id = member_role_ids.user_id
    and (r.expires_at is null or r.expires_at > clock_timestamp())
$$;
comment on function lab_private.member_role_ids(uuid, uuid) is 'Roles assigned to a member that have not expired.';

create or replace function lab_private.member_roles(org_id uuid, user_id uuid) returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(r.name::text order by r.name::text), '{}')
  from lab_data.roles r
  where r.deleted_at is null and r.id = any (lab_private.member_role_ids(member_roles.org_id, member_roles.user_id))
$$;
comment on function lab_private.member_roles(uuid, uuid) is 'Names of the roles assigned to a member that have not expired.';

create or replace function lab_private.member_permissions(org_id uuid, user_id uuid) returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select lab_private.role_grants(lab_private.member_role_ids(member_permissions.org_id, member_permissions.user_id))
$$;
comment on function lab_private.member_permissions(uuid, uuid) is 'What a member may do now, through all roles and their parents.';

create or replace function lab_private.reading_permissions() returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select array_agg(p.name::text order by p.name::text) from lab_data.permissions p where split_part(p.name, ':', 2) in ('read', 'read_any')
$$;
comment on function lab_private.reading_permissions() is 'What a superuser of the installation may do in an organisation that is not theirs.';

create or replace function lab_private.this_session() returns lab_data.user_sessions
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  -- Not by labos.org_id(): the caller may act elsewhere than where the session was made.
  select s.* from lab_data.user_sessions s where s.id = labos.session_id() and s.user_id = labos.user_id()
$$;
comment on function lab_private.this_session() is 'The caller''s session; nulls for a database login, which needs none.';

create or replace function lab_private.session_scopes() returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select (lab_private.this_session()).scopes
$$;
comment on function lab_private.session_scopes() is 'Scopes of the caller''s session; null when it has none.';

create or replace function lab_private.require_superuser() returns uuid
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := labos.require_user();
begin
  if not labos.is_superuser() then
    raise exception 'only a superuser of the installation may do this' using errcode = 'PT403',
      detail = json_build_object('code', 'superuser_required')::text;
  end if;
  return v_user;
end
$$;
comment on function lab_private.require_superuser() is
  'The caller, if a superuser of the installation: PT401 not_authenticated, PT403 superuser_required.';

revoke all on all functions in schema lab_private from public;
