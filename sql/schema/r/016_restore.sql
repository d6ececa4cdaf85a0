/*
 * Room: restore and purge
 *
 * What was deleted is marked, not gone: holders of <resource>:restore list it
 * and bring it back. Which tables, and whose right, is read from the views'
 * own soft-delete triggers: nothing is listed twice; users and roles, which are
 * deleted by calls, are brought back by calls.
 *
 * After the organisation's retention (settings.retention_days, 365 days, never
 * less than 30) holders of <resource>:purge remove them for good. Never evidence:
 * what was approved or has been carried out, and what anything still refers to
 * (a sample with a chain of custody). The audit trail of what is purged stays.
 *
 * Holds    trash(), restore(), purge(); lab_private.purge_everywhere()
 * Needs    tenancy (tg__soft_delete), users and roles (user_restore, role_restore)
 */

create or replace function lab_private.deletable(kind text, out "table" name, out resource text)
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select c.relname, split_part(encode(t.tgargs, 'escape'), ':', 1)
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid and c.relnamespace = 'lab'::regnamespace
  where t.tgname = '_100_soft_delete' and c.relname in (deletable.kind, deletable.kind || 's')
$$;
comment on function lab_private.deletable(text) is 'The table that soft-deletes records of this kind (sample or samples), and the resource of its permissions.';

create or replace function lab_private.restore_permission(kind text) returns text
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_resource text := case when kind in ('user', 'users') then 'user' when kind in ('role', 'roles') then 'role'
                          else (select d.resource from lab_private.deletable(kind) d) end;
begin
  if v_resource is null then
    raise exception 'nothing of this kind can be restored' using errcode = 'PT400',
      detail = json_build_object('code', 'unknown_kind', 'kind', left(kind, 80))::text,
      hint = 'A kind is a table of the API that can be deleted from, for instance sample.';
  end if;
  return v_resource || ':restore';
end
$$;
comment on function lab_private.restore_permission(text) is 'The permission that restoring records of this kind needs; PT400 unknown_kind.';

create or replace function lab.trash(kind text, max_rows integer default 100, before timestamptz default null)
  returns table (id uuid, deleted_at timestamptz, deleted_by uuid, record jsonb)
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for(lab_private.restore_permission(kind));
  v_table name := case when kind in ('role', 'roles') then 'roles' else (select d."table" from lab_private.deletable(kind) d) end;
begin
  if kind in ('user', 'users') then
    return query
      select u.id, u.deleted_at, u.deleted_by, lab_private.user_json(v_org, u.id) - '{deleted_at,org_id}'::text[]
      from lab_data.users u
      join lab_data.memberships m on m.user_id = u.id and m.org_id = v_org and m.left_at is null
      where u.deleted_at is not null and (trash.before is null or u.deleted_at < trash.before)
      order by u.deleted_at desc, u.id desc limit least(greatest(coalesce(max_rows, 100), 0), 1000);
    return;
  end if;
  for trash.id, trash.deleted_at, trash.deleted_by, trash.record in execute format(
    'select t.id, t.deleted_at, t.deleted_by, to_jsonb(t) - ''{deleted_at,deleted_by}''::text[]
     from lab_data.%I t
     where t.org_id = $1 and t.deleted_at is not null and ($2 is null or t.deleted_at < $2)
     order by t.deleted_at desc, t.id desc limit $3', v_table)
    using v_org, trash.before, least(greatest(coalesce(max_rows, 100), 0), 1000)
  loop
    return next;
  end loop;
end
$$;
comment on function lab.trash(text, integer, timestamptz) is
$$Deleted records of a kind

The latest first; for holders of <resource>:restore. kind is sample, run, project, ..., user or role; max_rows up to 1,000; before pages. Errors: 400 unknown_kind, 401, 403.$$;
revoke all on function lab.trash(text, integer, timestamptz) from public;
grant execute on function lab.trash(text, integer, timestamptz) to lab_user;

create or replace function lab.restore(kind text, id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for(lab_private.restore_permission(kind));
  v_table  name := (select d."table" from lab_private.deletable(kind) d);
  v_record jsonb;
begin
  if kind in ('user', 'users') then
    return lab.user_restore(restore.id);
  elsif kind in ('role', 'roles') then
    return lab.role_restore(restore.id);
  end if;
  execute format(
    'update lab_data.%I t set deleted_at = null, deleted_by = null
     where t.org_id = $1 and t.id = $2 and t.deleted_at is not null
     returning to_jsonb(t) - ''{deleted_at,deleted_by}''::text[]', v_table)
    into v_record using v_org, restore.id;
  if v_record is null then
    raise exception 'no deleted record with this id' using errcode = 'PT404',
      detail = json_build_object('code', 'record_not_found', 'kind', kind, 'id', restore.id)::text,
      hint = 'rpc/trash lists what can be restored.';
  end if;
  return v_record;
end
$$;
comment on function lab.restore(text, uuid) is
$$Restore a deleted record

Brings a deleted record back and returns it; for holders of <resource>:restore. A user or role comes back as by user_restore and role_restore. Errors: 400 unknown_kind, 401, 403, 404 record_not_found, user_not_found, role_not_found, 409 when its code, barcode or place has been taken meanwhile.$$;
revoke all on function lab.restore(text, uuid) from public;
grant execute on function lab.restore(text, uuid) to lab_user;

-- purge ---------------------------------------------------------------------

create or replace function lab_private.retention(org_id uuid) returns interval
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select make_interval(days => greatest(30, coalesce((o.settings ->> 'retention_days')::integer, 365)))
  from lab_data.organizations o where o.id = retention.org_id
$$;
comment on function lab_private.retention(uuid) is 'How long an organisation keeps what has been deleted: settings.retention_days, 365 days by default, never less than 30.';

create or replace function lab_private.is_evidence(record jsonb) returns boolean
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(record ->> 'approved_at', record ->> 'reviewed_at', record ->> 'signed_at', record ->> 'started_at') is not null
      or lower(record ->> 'status') in ('approved', 'reviewed', 'running', 'succeeded', 'completed', 'failed')
$$;
comment on function lab_private.is_evidence(jsonb) is 'Approved, reviewed or carried out: never purged.';

create or replace function lab_private.purge(org_id uuid, relation name, before timestamptz, dry_run boolean, max_rows integer) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_before timestamptz := least(coalesce(purge.before, 'infinity'), now() - lab_private.retention(purge.org_id));
  v_purged uuid[] := array[]::uuid[];
  v_kept   jsonb := '{}'::jsonb;
  v_reason text;
  v_detail text;
  v_id     uuid;
  v_proof  boolean;
begin
  for v_id, v_proof in execute format(
    'select t.id, lab_private.is_evidence(to_jsonb(t)) as evidence
     from lab_data.%I t
     where t.org_id = $1 and t.deleted_at < $2
     order by t.deleted_at, t.id limit $3 for update skip locked', purge.relation)
    using purge.org_id, v_before, purge.max_rows
  loop
    v_reason := null;
    if v_proof then
      v_reason := 'evidence';
    else
      begin
        execute format('delete from lab_data.%I t where t.org_id = $1 and t.id = $2', purge.relation) using purge.org_id, v_id;
        if dry_run then
          raise exception triggered_action_exception;
        end if;
      exception
        when foreign_key_violation then
          v_reason := 'referenced';
        when triggered_action_exception then
          -- The dry run, taken back.
          null;
        when others then
          -- A room's own rule: chains of custody are sealed, for instance.
          get stacked diagnostics v_detail = pg_exception_detail;
          if sqlstate not like 'PT4%' then
            raise;
          end if;
          v_reason := coalesce(substring(v_detail from '"code"\s*:\s*"([a-z0-9_]+)"'), 'refused');
      end;
    end if;
    if v_reason is null then
      v_purged := v_purged || v_id;
    else
      v_kept := jsonb_set(v_kept, array[v_reason], to_jsonb(coalesce((v_kept ->> v_reason)::integer, 0) + 1));
    end if;
  end loop;
  return jsonb_build_object('before', v_before, 'dry_run', dry_run, 'purged', cardinality(v_purged), 'ids', to_jsonb(v_purged[1:100]), 'kept', v_kept);
end
$$;
comment on function lab_private.purge(uuid, name, timestamptz, boolean, integer) is
  'Removes deleted rows of one table that are older than the retention; counts what stays, by reason. The rows are tried one by one: what is referred to is kept.';

create or replace function lab.purge(kind text, before timestamptz default null, dry_run boolean default true, max_rows integer default 1000) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for(replace(lab_private.restore_permission(kind), ':restore', ':purge'));
  v_table  name := (select d."table" from lab_private.deletable(kind) d);
  v_answer jsonb;
begin
  perform lab_private.require_writable();
  if v_table is null then
    raise exception 'nothing of this kind can be purged' using errcode = 'PT400',
      detail = json_build_object('code', 'unknown_kind', 'kind', left(kind, 80))::text,
      hint = 'Users and roles are marked, never removed: their ids stand in evidence.';
  end if;
  v_answer := lab_private.purge(org_id => v_org, relation => v_table, before => purge.before,
    dry_run => coalesce(purge.dry_run, true), max_rows => least(greatest(coalesce(purge.max_rows, 1000), 0), 10000));
  if not coalesce(purge.dry_run, true) then
    perform lab_private.access_log('purge', 'success', v_org, labos.user_id(), labos.session_id(),
      jsonb_build_object('table', v_table, 'before', v_answer -> 'before', 'purged', v_answer -> 'purged', 'kept', v_answer -> 'kept'));
  end if;
  return v_answer || jsonb_build_object('kind', v_table);
end
$$;
comment on function lab.purge(text, timestamptz, boolean, integer) is
$$Remove deleted records for good

Those deleted before `before`, and never sooner than the organisation's settings.retention_days (365, at least 30) after deletion; at most max_rows (1,000, up to 10,000) a call, the oldest first. A dry run, the default, says what would go. Never: what was approved, reviewed or carried out, and what other records refer to; `kept` counts them by reason. The audit trail stays. For holders of <resource>:purge. Errors: 400 `unknown_kind`, 401, 403.$$;
revoke all on function lab.purge(text, timestamptz, boolean, integer) from public;
grant execute on function lab.purge(text, timestamptz, boolean, integer) to lab_user;

create or replace function lab_private.purge_everywhere(max_rows integer default 1000) returns jsonb
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(p.answer || jsonb_build_object('org_id', o.id, 'kind', c.relname)) filter (where (p.answer ->> 'purged')::integer > 0), '[]')
  from lab_data.organizations o
  cross join (select distinct c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid and c.relnamespace = 'lab'::regnamespace
              where t.tgname = '_100_soft_delete') c
  cross join lateral lab_private.purge(o.id, c.relname, null, false, purge_everywhere.max_rows) p(answer)
  where o.settings ? 'retention_days'
$$;
comment on function lab_private.purge_everywhere(integer) is
  'For a scheduler, as lab_owner: purges every table of the organisations that have set retention_days; nobody else''s.';
revoke all on all functions in schema lab_private from public;
