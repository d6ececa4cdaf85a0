/*
 * Room: audit (access)
 *
 * What clients see of the log: the view audit_log, the history, state and
 * differences of a record, and sealing and verifying for those who may.
 *
 * Holds    lab.audit_log, audit_history(), audit_as_of(), audit_diff(), audit_seal(), audit_verify()
 * Needs    m/030_audit, code/audit, r/010_tenancy
 * Used by  clients
 */

do $do$
declare
  v_table text;
begin
  -- No policy for clients: they have no grant either. Partitions have none of their own.
  foreach v_table in array array['audit_gen', 'audit_table', 'audit_ctx', 'audit_log', 'audit_log_default', 'audit_block', 'audit_tile', 'audit_checkpoint'] loop
    execute format('alter table lab_private.%I enable row level security', v_table);
    execute format('alter table lab_private.%I force row level security', v_table);
    execute format('drop policy if exists owner_all on lab_private.%I', v_table);
    execute format('create policy owner_all on lab_private.%I to lab_owner using (true) with check (true)', v_table);
    execute format('revoke all on lab_private.%I from public, lab_anon, lab_user, lab_guest', v_table);
  end loop;
end
$do$;

-- The log, as far as the caller's organisation goes ----------------------------------

-- Kinds of records that have an owner: their history is for them and for holders of read_any.
create or replace view lab_private.audit_scope as
select t.id, t.kind, x.permission
from lab_private.audit_table t
left join (select format('%I.%I', n.nspname, c.relname) as relname,
                  substring(pg_get_expr(p.polqual, p.polrelid) from $x$owner_for\('([a-z_]+:read_any)'$x$) as permission
           from pg_policy p
           join pg_class c on c.oid = p.polrelid
           join pg_namespace n on n.oid = c.relnamespace
           where p.polname = 'select_own_org') x on x.relname = t.relname;
comment on view lab_private.audit_scope is 'Definitions of audited tables with the permission that shows records of others: null where all who read the table see all.';

/*
 * A barrier view with the owner's rights, since nobody is granted the log
 * itself; only lab.audit_log, which runs with the caller's, may be named.
 */
create or replace view lab_private.audit_visible with (security_barrier) as
with kinds as materialized (
  select s.id, s.kind, s.permission is null or labos.has_permission(s.permission) as readable from lab_private.audit_scope s)
select l.gen, l.xid, l.n, l.ts, l.op, t.kind, l.rec, l.actor, l.reason, l.payload, l.ctx
from lab_private.audit_log l
left join kinds t on t.id = l.tab
where l.org_id = labos.org_for('audit:read') and coalesce(t.readable, true);
comment on view lab_private.audit_visible is 'The rows of the audit log that the caller may see; behind lab.audit_log.';
grant select on lab_private.audit_visible to lab_user;

create or replace view lab.audit_log with (security_invoker) as
select v.gen, v.xid, v.n, v.ts as at,
       case v.op when 'I' then 'insert' when 'U' then 'update' when 'D' then 'delete' when 'T' then 'truncate'
                 when 'S' then 'snapshot' when 'X' then 'redaction' else 'event' end as op,
       v.kind, v.rec as record_id, v.actor as actor_id, v.reason, v.payload as changes
from lab_private.audit_visible v;
comment on view lab.audit_log is
$$The audit trail of the organisation

One row for each change of a record, for holders of `audit:read`; order by `gen.desc,xid.desc,n.desc` for the latest. changes: {"column": value}, for updates {"column": [old, new]}.$$;
comment on column lab.audit_log.gen is 'Generation of the log: rises when the database was restored or copied.';
comment on column lab.audit_log.xid is 'Transaction.';
comment on column lab.audit_log.n is 'Place in the transaction.';
comment on column lab.audit_log.record_id is 'Id of the record; of records without one, a hash of their key.';
comment on column lab.audit_log.actor_id is 'The user who signed in; null for the system.';
revoke all on lab.audit_log from public, lab_anon, lab_user, lab_guest;
grant select on lab.audit_log to lab_user;
-- Nobody has the right to write here. Without a trigger PostgreSQL does not come to say so: it answers 55000, HTTP 500.
create or replace function lab_private.tg_audit_log__read_only() returns trigger
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
begin
  raise exception 'the audit log is written by the system only' using errcode = 'PT403',
    detail = json_build_object('code', 'read_only')::text;
end
$$;
comment on function lab_private.tg_audit_log__read_only() is 'Refuses writing the view of the audit log.';
revoke all on function lab_private.tg_audit_log__read_only() from public;
create or replace trigger _100_read_only instead of insert or update or delete on lab.audit_log
  for each row execute function lab_private.tg_audit_log__read_only();

-- One record ---------------------------------------------------------------------------

create or replace function lab_private.audit_kinds(kind text) returns integer[]
  language sql stable parallel safe set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(t.id), '{}')
  from lab_private.audit_table t
  where t.kind in (audit_kinds.kind, audit_kinds.kind || 's')
$$;
comment on function lab_private.audit_kinds(text) is 'Definitions of a kind of record, given in singular or plural.';

create or replace function lab_private.audit_readable(org_id uuid, tabs integer[], id uuid) returns boolean
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
  -- Not of others, or one's own as the log knows it.
  select not exists (select from lab_private.audit_scope s
                     where s.id = any (audit_readable.tabs) and not labos.has_permission(s.permission))
    or exists (select from lab_private.audit_log l
               where l.rec = audit_readable.id and l.tab = any (audit_readable.tabs) and l.org_id = audit_readable.org_id
                 and l.op in ('I', 'S') and (l.payload ->> 'owner_id')::uuid = labos.user_id())
$$;
comment on function lab_private.audit_readable(uuid, integer[], uuid) is 'Whether the caller may read the history of this record: all of it, or as its first owner.';
revoke all on function lab_private.audit_readable(uuid, integer[], uuid) from public;

create or replace function lab.audit_history(kind text, id uuid)
  returns table (n bigint, at timestamptz, op text, actor uuid, actor_name text, changes json, reason text,
                 request_id text, ip text, db_role text)
  language plpgsql stable security definer rows 20
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('audit:read');
  v_tabs integer[] := lab_private.audit_kinds(kind);
begin
  if cardinality(v_tabs) = 0 then
    raise exception 'kind of record not found' using errcode = 'PT404',
      detail = json_build_object('code', 'kind_not_found', 'kind', kind)::text,
      hint = 'A kind is the name of a resource, for example samples.';
  end if;
  return query
  select row_number() over w, l.ts,
         case l.op when 'I' then 'insert' when 'U' then 'update' when 'D' then 'delete' when 'T' then 'truncate'
                   when 'S' then 'snapshot' when 'X' then 'redaction' else 'event' end,
         l.actor, coalesce(u.full_name, u.username), l.payload, l.reason, c.request_id, c.ip, c.db_role
  from lab_private.audit_log l
  left join lab_private.audit_ctx c on c.id = l.ctx
  left join lab_data.users u on u.id = l.actor
  where l.rec = audit_history.id and l.tab = any (v_tabs) and l.org_id = v_org
    and lab_private.audit_readable(v_org, v_tabs, audit_history.id)
  window w as (order by l.gen, l.ts, l.xid, l.n)
  order by 1;
end
$$;
comment on function lab.audit_history(text, uuid) is
$$History of a record

Every version in order: who, when, what (old and new), why and from where. n counts from 1. Errors: 401, 403 without `audit:read`, 404 `kind_not_found`; a record of another organisation, or of somebody else where only owners see theirs, has no rows.$$;

create or replace function lab.audit_as_of(kind text, id uuid, at timestamptz default now())
  returns jsonb
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('audit:read');
  v_tabs  integer[] := lab_private.audit_kinds(kind);
  v_state jsonb;
  v_row   record;
begin
  if not lab_private.audit_readable(v_org, v_tabs, audit_as_of.id) then
    return null;
  end if;
  for v_row in
    select l.op, l.payload::jsonb as payload
    from lab_private.audit_log l
    where l.rec = audit_as_of.id and l.tab = any (v_tabs) and l.org_id = v_org and l.ts <= audit_as_of.at
    order by l.gen, l.ts, l.xid, l.n
  loop
    if v_row.op in ('I', 'S') then
      v_state := v_row.payload;
    elsif v_row.op = 'U' then
      v_state := coalesce(v_state, '{}')
        || coalesce((select jsonb_object_agg(e.key, e.value -> 1) from jsonb_each(v_row.payload) e), '{}');
    elsif v_row.op in ('D', 'T') then
      v_state := null;
    end if;
  end loop;
  return v_state;
end
$$;
comment on function lab.audit_as_of(text, uuid, timestamptz) is
$$A record as it was

Its columns at that time, replayed from the audit trail; null when it did not exist. Errors: 401, 403 without `audit:read`.$$;

create or replace function lab.audit_diff(kind text, id uuid, "from" timestamptz, "to" timestamptz default now())
  returns jsonb
  language sql stable security invoker
  set search_path to pg_catalog, labos, pg_temp
as $$
  select coalesce(jsonb_object_agg(coalesce(a.key, b.key),
                                   jsonb_build_array(coalesce(a.value, 'null'), coalesce(b.value, 'null'))), '{}')
  from jsonb_each(coalesce(lab.audit_as_of(kind, id, "from"), '{}')) a
  full join jsonb_each(coalesce(lab.audit_as_of(kind, id, "to"), '{}')) b on b.key = a.key
  where a.value is distinct from b.value
$$;
comment on function lab.audit_diff(text, uuid, timestamptz, timestamptz) is
$$What changed in a record between two times

{"column": [then, later]}. Errors: 401, 403 without `audit:read`.$$;

-- Sealing and verifying -------------------------------------------------------------------------------

create or replace function lab.audit_seal()
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('audit:verify');
  v_made record;
begin
  select s.* into v_made from labos.audit_seal() s where v_org is not null;
  return jsonb_build_object('block', v_made.block, 'entries', v_made.entries, 'size', v_made.size,
                            'root', encode(v_made.root, 'hex'));
end
$$;
comment on function lab.audit_seal() is
$$Seal the audit trail

Puts all rows since the last block into the Merkle tree: block (null when there was nothing), entries, size and root of the tree. Errors: 401, 403 without `audit:verify`.$$;

create or replace function lab.audit_verify(from_block bigint default 1, to_block bigint default null)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('audit:verify');
  v_seen record;
begin
  select v.* into v_seen from labos.audit_verify(from_block, to_block) v where v_org is not null;
  return jsonb_build_object('ok', v_seen.ok, 'blocks', v_seen.blocks, 'entries', v_seen.entries, 'unsealed', v_seen.unsealed)
    || case when v_seen.ok then '{}' else
         jsonb_build_object('bad_block', v_seen.bad_block, 'bad_entry', v_seen.bad_entry, 'bad_xid', v_seen.bad_xid,
                            'bad_n', v_seen.bad_n, 'reason', v_seen.reason) end;
end
$$;
comment on function lab.audit_verify(bigint, bigint) is
$$Verify the audit trail

Recomputes every hash from the stored rows: ok, or the first fault with its place and reason (row changed, row missing, row inserted, block changed, block missing, tile changed, ...). Errors: 400 for a wrong range, 401, 403 without `audit:verify`.$$;

revoke all on function lab_private.audit_kinds(text) from public;
revoke all on function lab.audit_history(text, uuid), lab.audit_as_of(text, uuid, timestamptz),
  lab.audit_diff(text, uuid, timestamptz, timestamptz), lab.audit_seal(), lab.audit_verify(bigint, bigint) from public;
grant execute on function lab.audit_history(text, uuid), lab.audit_as_of(text, uuid, timestamptz),
  lab.audit_diff(text, uuid, timestamptz, timestamptz), lab.audit_seal(), lab.audit_verify(bigint, bigint) to lab_user;
