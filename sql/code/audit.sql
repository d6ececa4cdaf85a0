/*
 * Room: audit (code)
 *
 * The trigger functions, the sealer and the verifier in C, and the procedures
 * by which the owner puts tables under audit.  The tables are m/030_audit.
 */

create function labos.tg__audit() returns trigger
  language c volatile as 'MODULE_PATHNAME', 'labos_tg_audit';
comment on function labos.tg__audit() is
  'Writes one row of the audit log for each row version; argument: the kind. Attach it with labos.audit_enable().';
create function labos.tg__audit_flush() returns trigger
  language c volatile as 'MODULE_PATHNAME', 'labos_tg_audit_flush';
comment on function labos.tg__audit_flush() is
  'Writes what the statement has buffered, so that the transaction can read its own audit rows.';
create function labos.tg__audit_truncate() returns trigger
  language c volatile as 'MODULE_PATHNAME', 'labos_tg_audit_truncate';
comment on function labos.tg__audit_truncate() is
  'Writes every row that TRUNCATE takes away, or refuses it; arguments: the kind, and refuse.';
revoke all on function labos.tg__audit(), labos.tg__audit_flush(), labos.tg__audit_truncate() from public;

create function labos.audit_event(event text, data json default null, org_id uuid default null, rec uuid default null,
                                  out gen smallint, out xid bigint, out n integer)
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_event';
comment on function labos.audit_event(text, json, uuid, uuid) is
$$Writes an event into the audit log (owner of the log, superuser)

Logins, exports, changes of configuration. Returns where it stands; nulls while a restore is running. Errors: 42501, LB301.$$;
revoke all on function labos.audit_event(text, json, uuid, uuid) from public;

create function labos.audit_baseline(tab regclass, kind text) returns bigint
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_baseline';
comment on function labos.audit_baseline(regclass, text) is
  'Writes each row of a table as a snapshot entry, from which its history starts. Called by labos.audit_enable().';
revoke all on function labos.audit_baseline(regclass, text) from public;

create function labos.audit_refresh() returns void
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_refresh';
comment on function labos.audit_refresh() is 'Lets every session read the definitions and the generation of the audit log again.';
revoke all on function labos.audit_refresh() from public;

create function labos.audit_here(out sysid text, out dboid bigint, out gen smallint)
  language c stable parallel restricted as 'MODULE_PATHNAME', 'labos_audit_here';
comment on function labos.audit_here() is
  'This database in this cluster, and its open generation of the audit log; gen is null when none is open.';
revoke all on function labos.audit_here() from public;

create function labos.audit_close(out from_no bigint, out prev_hash bytea)
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_close';
comment on function labos.audit_close() is
  'Seals all that is left of a generation that ended with its database. Part of labos.audit_open().';
revoke all on function labos.audit_close() from public;

create function labos.audit_seal(out block bigint, out entries bigint, out size bigint, out root bytea)
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_seal';
comment on function labos.audit_seal() is
$$Seals new audit rows into a block of the Merkle tree (owner of the log, superuser)

Rows of transactions that became visible since the last block, never those of the calling one. No writer waits for it; a second sealer does. block is null when there was nothing to seal. Errors: 42501, 25000 not read committed, LB301 no open generation, XX001 the tree is damaged.$$;
revoke all on function labos.audit_seal() from public;

create function labos.audit_verify(from_block bigint default 1, to_block bigint default null,
    out ok boolean, out blocks bigint, out entries bigint, out unsealed bigint,
    out bad_block bigint, out bad_entry bigint, out bad_xid bigint, out bad_n integer, out reason text)
  language c stable parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_verify';
comment on function labos.audit_verify(bigint, bigint) is
$$Recomputes the audit log: rows, tree, blocks (owner of the log, superuser)

ok, how much was looked at, how many rows wait to be sealed, and the first fault: block, entry (leaf index), transaction and place in it, reason. With to_block null also the registers and rows after the last block. Errors: 42501, 22023.$$;
revoke all on function labos.audit_verify(bigint, bigint) from public;

create function labos.audit_open(reason text) returns smallint
  language plpgsql volatile set search_path to pg_catalog, pg_temp
as $$
declare
  v_here record;
  v_left record;
  v_gen  smallint;
  v_at   record;
begin
  lock table lab_private.audit_block in share row exclusive mode;
  select h.* into v_here from labos.audit_here() h;
  if v_here.gen is not null then
    return v_here.gen;
  end if;
  select c.* into v_left from labos.audit_close() c;
  insert into lab_private.audit_gen (gen, sysid, dboid, from_no, prev_hash, reason)
  select coalesce(max(g.gen), 0) + 1, v_here.sysid, v_here.dboid, v_left.from_no, v_left.prev_hash,
         coalesce(audit_open.reason, 'opened')
  from lab_private.audit_gen g
  returning audit_gen.gen into v_gen;
  perform labos.audit_refresh();

  select e.* into v_at
  from lab_private.audit_gen g,
       labos.audit_event('gen.open', (to_jsonb(g) - array['log_gen', 'log_xid', 'log_n'])::json) e
  where g.gen = v_gen;
  update lab_private.audit_gen g set (log_gen, log_xid, log_n) = (v_at.gen, v_at.xid, v_at.n) where g.gen = v_gen;
  return v_gen;
end
$$;
comment on function labos.audit_open(text) is
$$Opens the audit log in this database (owner of the log, superuser; idempotent)

After a restore, a copy or a major upgrade: what was brought along is sealed as it is, and a new generation begins that is linked to it. Returns the generation. labos.deploy() calls it.$$;
revoke all on function labos.audit_open(text) from public;

create function labos.audit_size() returns bigint
  language sql stable set search_path to pg_catalog, pg_temp
as $$ select coalesce((select b.size from lab_private.audit_block b order by b.no desc limit 1), 0) $$;
comment on function labos.audit_size() is 'Leaves of the audit tree.';
revoke all on function labos.audit_size() from public;

create procedure labos.audit_check_policy(tab regclass, policy jsonb)
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
declare
  v_key  text;
  v_list text;
  v_name text;
begin
  if jsonb_typeof(policy) is distinct from 'object' then
    raise exception 'audit policy must be an object' using errcode = '22023';
  end if;
  for v_key in select k from jsonb_object_keys(policy) k loop
    if v_key <> all (array['reason', 'reason_min', 'secret', 'ignore', 'noop', 'truncate', 'org']) then
      raise exception 'unknown audit policy "%"', v_key using errcode = '22023',
        hint = 'Policies are reason, reason_min, secret, ignore, noop, truncate, org.';
    end if;
  end loop;
  if coalesce(policy ->> 'reason', 'none') <> all (array['none', 'update', 'always'])
     or coalesce(policy ->> 'truncate', 'capture') <> all (array['capture', 'refuse'])
     or jsonb_typeof(coalesce(policy -> 'noop', 'false')) <> 'boolean'
     or jsonb_typeof(coalesce(policy -> 'reason_min', '1')) <> 'number'
     or jsonb_typeof(coalesce(policy -> 'org', '""')) <> 'string' then
    raise exception 'invalid audit policy' using errcode = '22023', detail = policy::text,
      hint = 'reason: none, update or always; reason_min: characters; truncate: capture or refuse; noop: true or false; org: a column.';
  end if;
  foreach v_list in array array['secret', 'ignore'] loop
    if jsonb_typeof(coalesce(policy -> v_list, '[]')) <> 'array' then
      raise exception 'audit policy "%" must be a list of columns', v_list using errcode = '22023';
    end if;
    for v_name in select n from jsonb_array_elements_text(coalesce(policy -> v_list, '[]')) n loop
      if not exists (select from pg_attribute a where a.attrelid = tab and a.attnum > 0 and not a.attisdropped and a.attname = v_name) then
        raise exception 'audit policy "%" names column "%", which % does not have', v_list, v_name, tab using errcode = '42703';
      end if;
    end loop;
  end loop;
end
$$;
comment on procedure labos.audit_check_policy(regclass, jsonb) is 'Raises 22023 or 42703 for what is no audit policy of this table.';
revoke all on procedure labos.audit_check_policy(regclass, jsonb) from public;

create procedure labos.audit_set_trigger(tab regclass, name name, kind text default '', truncate text default '')
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
declare
  v_enabled "char";
begin
  -- Replacing a trigger would enable one that somebody switched off without a trace: a good one stays.
  select t.tgenabled into v_enabled
  from pg_trigger t join pg_proc p on p.oid = t.tgfoid
  where t.tgrelid = tab and t.tgname = audit_set_trigger.name
    and (p.proname, t.tgtype, encode(t.tgargs, 'escape')) = case audit_set_trigger.name
          when '_900_audit' then ('tg__audit'::name, 29::smallint, encode(convert_to(kind, 'UTF8') || '\x00', 'escape'))
          when '_910_audit_flush' then ('tg__audit_flush'::name, 28::smallint, ''::text)
          else ('tg__audit_truncate'::name, 34::smallint,
                encode(convert_to(kind, 'UTF8') || '\x00' || convert_to(truncate, 'UTF8') || '\x00', 'escape')) end;
  if v_enabled = 'A' then
    return;
  end if;
  if v_enabled is null then
    case name
      when '_900_audit' then
        execute format('create or replace trigger _900_audit after insert or update or delete on %s for each row execute function labos.tg__audit(%L)', tab, kind);
      when '_910_audit_flush' then
        execute format('create or replace trigger _910_audit_flush after insert or update or delete on %s for each statement execute function labos.tg__audit_flush()', tab);
      else
        execute format('create or replace trigger _910_audit_truncate before truncate on %s for each statement execute function labos.tg__audit_truncate(%L, %L)',
          tab, kind, truncate);
    end case;
  else
    perform labos.audit_event('table.trigger', json_build_object('table', tab::text, 'trigger', name, 'was', v_enabled, 'is', 'A'));
  end if;
  execute format('alter table %s enable always trigger %I', tab, name);
end
$$;
comment on procedure labos.audit_set_trigger(regclass, name, text, text) is 'Makes an audit trigger ENABLE ALWAYS if it is not; part of labos.audit_enable().';
revoke all on procedure labos.audit_set_trigger(regclass, name, text, text) from public;

create procedure labos.audit_enable(tab regclass, policy jsonb default '{}', kind text default null)
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
declare
  v_table    text := tab::text;
  v_relname  name;
  v_relkind  "char";
  v_kind     text;
  v_columns  jsonb;
  v_old      lab_private.audit_table;
  v_at       record;
  v_id       integer;
  v_leaf     regclass;
  v_truncate text := coalesce(policy ->> 'truncate', 'capture');
begin
  select c.relname, c.relkind into v_relname, v_relkind from pg_class c where c.oid = tab;
  if v_relkind not in ('r', 'p') then
    raise exception '% is not a table', v_table using errcode = '42809';
  end if;
  if (select h.gen from labos.audit_here() h) is null then
    raise exception 'the audit log is not open in this database' using errcode = 'LB301',
      hint = 'Call labos.audit_open(''why'') or labos.deploy() first.';
  end if;
  v_kind := coalesce(audit_enable.kind, v_relname);
  call labos.audit_check_policy(tab, policy);
  lock table lab_private.audit_table in share row exclusive mode;
  if exists (select from lab_private.audit_table t
             where t.kind = v_kind and t.valid_to is null and t.relname <> v_table and to_regclass(t.relname) is not null) then
    raise exception 'another table is audited as "%"', v_kind using errcode = '42710';
  end if;

  select jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) order by a.attnum)
  into v_columns
  from pg_attribute a where a.attrelid = tab and a.attnum > 0 and not a.attisdropped;
  select t.* into v_old from lab_private.audit_table t where t.kind = v_kind and t.valid_to is null;

  if v_old.id is null or (v_old.relname, v_old.columns, v_old.policy) is distinct from (v_table, v_columns, audit_enable.policy) then
    update lab_private.audit_table t set valid_to = labos.audit_size() where t.id = v_old.id;
    insert into lab_private.audit_table (id, kind, relname, columns, policy, valid_from)
    select coalesce(max(t.id), 0) + 1, v_kind, v_table, v_columns, audit_enable.policy, labos.audit_size()
    from lab_private.audit_table t
    returning id into v_id;
    perform labos.audit_refresh();
    select e.* into v_at
    from labos.audit_event(case when v_old.id is null then 'table.enable' else 'table.change' end,
                           json_build_object('id', v_id, 'kind', v_kind, 'relname', v_table, 'columns', v_columns, 'policy', audit_enable.policy)) e;
    update lab_private.audit_table t set (log_gen, log_xid, log_n) = (v_at.gen, v_at.xid, v_at.n) where t.id = v_id;
  end if;

  call labos.audit_set_trigger(tab, '_900_audit', v_kind);
  -- Statement triggers of a partitioned table do not see what is done to a partition itself.
  for v_leaf in select p.relid from pg_partition_tree(tab) p union select tab loop
    call labos.audit_set_trigger(v_leaf, '_910_audit_flush');
    call labos.audit_set_trigger(v_leaf, '_910_audit_truncate', v_kind, v_truncate);
    if v_old.id is null then
      perform labos.audit_baseline(v_leaf, v_kind);
    end if;
  end loop;
end
$$;
comment on procedure labos.audit_enable(regclass, jsonb, text) is
$$Puts a table under audit (owner of the table and of the log; idempotent)

kind: the name clients use in audit_history(), the table's name unless given. policy: reason none|update|always, reason_min characters, secret columns (logged as "#"), ignore columns (not logged), org column (org_id), noop true to log updates that change nothing, truncate capture|refuse. Rows that exist become the baseline; every change of the definition is an event of the log. Errors: 22023, 42703, 42710.$$;
revoke all on procedure labos.audit_enable(regclass, jsonb, text) from public;

create procedure labos.audit_disable(tab regclass, reason text default null)
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
declare
  v_leaf regclass;
  v_id   integer;
begin
  lock table lab_private.audit_table in share row exclusive mode;
  update lab_private.audit_table t set valid_to = labos.audit_size()
  where t.relname = tab::text and t.valid_to is null
  returning t.id into v_id;
  if v_id is null then
    return;
  end if;
  perform labos.audit_event('table.disable', json_build_object('id', v_id, 'relname', tab::text, 'reason', reason));
  execute format('drop trigger if exists _900_audit on %s', tab);
  for v_leaf in select p.relid from pg_partition_tree(tab) p union select tab loop
    execute format('drop trigger if exists _910_audit_flush on %s', v_leaf);
    execute format('drop trigger if exists _910_audit_truncate on %s', v_leaf);
  end loop;
  perform labos.audit_refresh();
end
$$;
comment on procedure labos.audit_disable(regclass, text) is
  'Takes a table out of audit (owner of the table and of the log); itself an event of the log. What was logged stays.';
revoke all on procedure labos.audit_disable(regclass, text) from public;
