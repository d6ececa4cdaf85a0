/*
 * Room: restore
 *
 * What was deleted is marked, not gone: holders of <resource>:restore list it
 * and bring it back. Which tables, and whose right, is read from the views'
 * own soft-delete triggers: nothing is listed twice.
 *
 * Holds    trash(), restore()
 * Needs    tenancy (tg__soft_delete)
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
  v_resource text := (select d.resource from lab_private.deletable(kind) d);
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
  v_table name := (select d."table" from lab_private.deletable(kind) d);
begin
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

The latest first; for holders of <resource>:restore. kind is sample, run, project, ...; max_rows up to 1,000; before pages. Errors: 400 unknown_kind, 401, 403.$$;
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

Brings a deleted record back and returns it; for holders of <resource>:restore. Errors: 400 unknown_kind, 401, 403, 404 record_not_found, 409 when its code, barcode or place has been taken meanwhile.$$;
revoke all on function lab.restore(text, uuid) from public;
grant execute on function lab.restore(text, uuid) to lab_user;
