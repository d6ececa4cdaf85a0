-- What version 0.3 changes in members that 0.2 had. New members come after this, from their own files.

-- The API roles search words as they are.
create or replace function labos.prepare_database() returns void
  language plpgsql volatile set search_path to pg_catalog, pg_temp
as $$
declare
  v_database text := current_database();
  v_preload  text;
  v_database_sets boolean;
  v_member   text;
begin
  execute format('grant create, connect, temporary on database %I to lab_owner', v_database);
  execute format('grant connect on database %I to lab_authenticator, lab_backup', v_database);
  -- A temporary table in a pooled session can shadow what the next client writes to.
  execute format('revoke temporary on database %I from public', v_database);
  revoke create on schema public from public;
  grant usage on schema labos, labos_ops to lab_owner, lab_authenticator, lab_anon, lab_user, lab_guest, lab_auditor, lab_backup;
  grant usage on schema labos to lab_owner with grant option;
  grant select on labos.schema_file to lab_owner, lab_backup;
  -- What is revoked from everybody (hashing, sealing, deployment tools) the owner's functions need.
  grant execute on all routines in schema labos to lab_owner;

  -- The library is loaded before the first statement of every session: identity is sealed from the start.
  select substr(c.setting, length('session_preload_libraries=') + 1) into v_preload
  from pg_db_role_setting s
  join pg_database d on d.oid = s.setdatabase and d.datname = v_database
  cross join lateral unnest(s.setconfig) c(setting)
  where s.setrole = 0 and c.setting like 'session\_preload\_libraries=%';
  v_database_sets := found;
  -- The database's own value stands in front of the server's: it must hold both.
  v_preload := coalesce(v_preload, current_setting('session_preload_libraries'));
  if not v_database_sets or v_preload !~ '(^|[ ,"])labos($|[ ,"])' then
    execute format('alter database %I set session_preload_libraries = %s', v_database,
      array_to_string(array(select quote_literal(trim(both ' "' from x)) from unnest(string_to_array(coalesce(v_preload, ''), ',')) x
                            where trim(both ' "' from x) not in ('', 'labos')) || array['''labos'''], ', '));
  end if;
  -- Wrappers of labos_ops stand before the operators they wrap; queries of words are made of words as they are, like the indexes.
  for v_member in select unnest(array['lab_authenticator', 'lab_anon', 'lab_user', 'lab_guest']) loop
    execute format('alter role %I in database %I set search_path = lab, labos_ops, labos, pg_catalog', v_member, v_database);
    execute format('alter role %I in database %I set default_text_search_config = %L', v_member, v_database, 'pg_catalog.simple');
  end loop;
end
$$;
comment on function labos.prepare_database() is
$$Grants and settings of this database that only a superuser can make (idempotent)

Lets lab_owner create schemas, takes TEMPORARY and CREATE from PUBLIC, loads the library in every session and sets the search path and the text search of the API roles. labos.deploy() calls it when a superuser deploys.$$;

-- The doctor also says how bad it is.
drop function labos.doctor();
create function labos.doctor()
  returns table (name text, ok boolean, found text, cure text, severity text)
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
begin
  return query
  select c.name, c.found is null, c.found, case when c.found is not null then c.cure end, c.severity
  from (select * from labos.doctor_server() union all select * from labos.doctor_schema()) c
  order by c.id;
end
$$;
comment on function labos.doctor() is
$$What is not safe here, and how to mend it

One row a check: ok, what was found, the cure, and how bad it is: critical (somebody could read, forge or lose what they should not) or warning. For superusers and lab_owner with pg_read_all_settings; run it after installation, upgrades and restores.$$;
revoke all on function labos.doctor() from public;
-- Policies of owned rows compare with an operator that is estimated to hold.
create or replace procedure labos.protect(
  "table" regclass, prefix text,
  verbs text[] default '{select,insert,update,delete}', owner name default null)
  language plpgsql
  set search_path to pg_catalog, pg_temp
  set client_min_messages to warning
as $$
declare
  v_verb   text;
  v_action text;
  v_using  text;
  v_check  text;
  v_owner  name := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = "table");
  v_old    name;
begin
  if prefix is null or prefix !~ '^[a-z][a-z_]*$' then
    raise exception 'permission prefix "%" is not lower-case letters and underscores', prefix using errcode = '22023';
  end if;
  execute format('alter table %s enable row level security', "table");
  execute format('alter table %s force row level security', "table");
  for v_old in
    select p.polname from pg_policy p
    where p.polrelid = "table" and p.polname in ('select_own_org', 'insert_own_org', 'update_own_org', 'delete_own_org', 'owner_all')
  loop
    execute format('drop policy %I on %s', v_old, "table");
  end loop;
  -- FORCE stays on: a definer function or a migration sees rows by this policy, not by being the owner.
  execute format('create policy owner_all on %s for all to %I using (true) with check (true)', "table", v_owner);

  foreach v_verb in array verbs loop
    v_action := case v_verb when 'select' then 'read' when 'insert' then 'create' when 'update' then 'update' when 'delete' then 'delete' end;
    if v_action is null then
      raise exception 'unknown verb "%"', v_verb using errcode = '22023', hint = 'Verbs are select, insert, update, delete.';
    end if;
    v_using := format('org_id = labos.org_for(%L)', prefix || ':' || v_action);
    v_check := v_using;
    if owner is not null then
      v_using := v_using || format(' and %1$I operator(labos.===) labos.owner_for(%2$L, %1$I)', owner, prefix || ':' || v_action || '_any');
      v_check := case v_verb when 'insert' then v_check || format(' and %I = labos.user_id()', owner) else v_using end;
    end if;
    execute format('create policy %I on %s for %s to lab_user %s %s', v_verb || '_own_org', "table", v_verb,
      case when v_verb <> 'insert' then 'using (' || v_using || ')' else '' end,
      case when v_verb in ('insert', 'update') then 'with check (' || v_check || ')' else '' end);
  end loop;
end
$$;
comment on procedure labos.protect(regclass, text, text[], name) is
$$Gives a tenant table its row security in the canonical shape (idempotent)

Enables and forces row security; one permissive policy per verb comparing org_id with labos.org_for('prefix:read|create|update|delete'); owner: a column that must be the caller's unless they hold 'prefix:read_any' (update_any, delete_any); and owner_all for the table's owner. Grants are made by labos.expose.$$;
comment on function labos.pre_request() is 'PostgREST''s db-pre-request: refuses too many requests (PT429 rate_limited) and a token whose session, user or membership has ended (PT401 token_rejected); writes noted refusals into the access log.';
