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
  v_routine  regprocedure;
  v_open     boolean;
begin
  execute format('grant create, connect, temporary on database %I to lab_owner', v_database);
  execute format('grant connect on database %I to lab_authenticator, lab_backup, lab_delivery', v_database);
  -- A temporary table in a pooled session can shadow what the next client writes to.
  execute format('revoke temporary on database %I from public', v_database);
  revoke create on schema public from public;
  grant usage on schema labos, labos_ops to lab_owner, lab_authenticator, lab_anon, lab_user, lab_guest, lab_auditor, lab_backup;
  grant usage on schema labos to lab_owner with grant option;
  grant select on labos.schema_file to lab_owner, lab_backup;
  -- What is revoked from everybody (hashing, sealing, deployment tools) the owner's functions need. Nothing is granted that
  -- everybody has: the executor checks a list of privileges, where there is one, for every policy of every table of a statement.
  for v_routine, v_open in
    select p.oid, x.open
    from pg_proc p, lateral (select exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0) as open) x
    where p.pronamespace = 'labos'::regnamespace
      and x.open = exists (select from aclexplode(p.proacl) a where a.grantee = 'lab_owner'::regrole)
  loop
    -- Versions up to 0.2 granted all of them.
    if v_open then execute format('revoke execute on routine %s from lab_owner', v_routine);
    else execute format('grant execute on routine %s to lab_owner', v_routine); end if;
  end loop;

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
-- sharing: guests and shared records in labos.protect and labos.expose, the acting organisation in labos.login.
drop procedure labos.protect(regclass, text, text[], name);
drop procedure labos.expose(name, name[], name[], boolean, text, name, name[]);
drop function labos.login(text);
create procedure labos.protect(
  "table" regclass, prefix text,
  verbs text[] default '{select,insert,update,delete}', owner name default null,
  kind text default null, kind_id name default 'id', kind_project name default null, guest_verbs text[] default '{}')
  language plpgsql
  set search_path to pg_catalog, pg_temp
  set client_min_messages to warning
as $$
declare
  v_verb   text;
  v_action text;
  v_using  text;
  v_check  text;
  v_shared text := format('%L, %I, %s', kind, kind_id, coalesce(quote_ident(kind_project), 'null'));
  v_owner  name := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = "table");
  -- What is marked deleted is seen by definer functions only, whoever asks for the table itself.
  v_live   text := case when exists (select from pg_attribute a where a.attrelid = "table" and a.attname = 'deleted_at' and not a.attisdropped)
                        then ' and deleted_at is null' else '' end;
  v_old    name;
begin
  if prefix is null or prefix !~ '^[a-z][a-z_]*$' then
    raise exception 'permission prefix "%" is not lower-case letters and underscores', prefix using errcode = '22023';
  elsif kind is null and cardinality(guest_verbs) > 0 then
    raise exception 'guests see what is shared as some kind: name it' using errcode = '22023';
  end if;
  execute format('alter table %s enable row level security', "table");
  execute format('alter table %s force row level security', "table");
  for v_old in
    select p.polname from pg_policy p
    where p.polrelid = "table" and p.polname in ('select_own_org', 'insert_own_org', 'update_own_org', 'delete_own_org', 'owner_all',
                                                     'select_shared', 'insert_shared', 'update_shared')
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
      v_using := v_using || format(' and %1$I operator(labos.===) labos.owner_for(%2$L, %1$I%3$s)', owner, prefix || ':' || v_action || '_any',
                                   case when kind is not null then format(', %L, %I', kind, kind_id) else '' end);
      v_check := v_check || format(' and %I = labos.user_id()', owner);
    end if;
    v_using := v_using || v_live;
    v_check := case v_verb when 'insert' then v_check else v_using end;
    execute format('create policy %I on %s for %s to lab_user %s %s', v_verb || '_own_org', "table", v_verb,
      case when v_verb <> 'insert' then 'using (' || v_using || ')' else '' end,
      case when v_verb in ('insert', 'update') then 'with check (' || v_check || ')' else '' end);
  end loop;

  foreach v_verb in array guest_verbs loop
    v_action := case v_verb when 'select' then 'read' when 'insert' then 'create' when 'update' then 'update' end;
    if v_action is null then
      raise exception 'guests cannot "%"', v_verb using errcode = '22023', hint = 'Verbs of guests are select, insert, update.';
    elsif v_verb = 'insert' and kind_project is null then
      raise exception 'guests insert into a shared project: name its column' using errcode = '22023';
    end if;
    v_action := quote_literal(prefix || ':' || v_action);
    v_using := format('org_id = labos.guest_org_for(%s) and ', v_action)
      || case v_verb when 'insert' then format('%1$I = labos.shared_row(%2$s, ''project'', %1$I, null)', kind_project, v_action)
                     else format('%I = labos.shared_row(%s, %s)', kind_id, v_action, v_shared) || v_live end;
    execute format('create policy %I on %s for %s to lab_guest %s %s', v_verb || '_shared', "table", v_verb,
      case when v_verb <> 'insert' then 'using (' || v_using || ')' else '' end,
      case when v_verb <> 'select' then 'with check (' || v_using || ')' else '' end);
  end loop;
end
$$;
comment on procedure labos.protect(regclass, text, text[], name, text, name, name, text[]) is
$$Gives a tenant table its row security in the canonical shape (idempotent)

Enables and forces row security; one permissive policy per verb comparing org_id with labos.org_for('prefix:read|create|update|delete'); owner: a column that must be the caller's unless they hold 'prefix:read_any' (update_any, delete_any); and owner_all for the table's owner. Where the table has deleted_at, deleted rows are nobody's to read, change or delete but the owner's. kind: what a share of it is called; kind_id: the column with the id of that kind (a child names its parent's). With owner, a share makes the row visible, one of level write changeable. guest_verbs: policies of lab_guest, for rows that are shared or whose kind_project is; an insert into a shared project only. Grants are made by labos.expose.$$;
revoke all on procedure labos.protect(regclass, text, text[], name, text, name, name, text[]) from public;
comment on function labos.pre_request() is 'PostgREST''s db-pre-request: refuses too many requests (PT429 rate_limited) and a token whose session, user or membership has ended (PT401 token_rejected); writes noted refusals into the access log.';

create procedure labos.expose(
  name name, insert_columns name[] default null, update_columns name[] default null,
  deletable boolean default false, prefix text default null, owner name default null, hidden_columns name[] default '{}',
  guests boolean default false, guest_insert_columns name[] default null, guest_update_columns name[] default null)
  language plpgsql
  set search_path to pg_catalog, pg_temp
  set client_min_messages to warning
as $$
declare
  v_table    regclass := format('lab_data.%I', name)::regclass;
  v_hidden   name[] := hidden_columns || '{deleted_at,deleted_by}'::name[];
  v_soft     boolean := exists (select from pg_attribute a where a.attrelid = v_table and a.attname = 'deleted_at' and not a.attisdropped);
  v_columns  text := (select string_agg(format('t.%I', a.attname), ', ' order by a.attnum) from pg_attribute a
                      where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.attname <> all (v_hidden));
  v_unknown  name;
  v_key      text := (select string_agg(quote_ident(a.attname), ', ') from pg_attribute a
                      where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.attname <> all (hidden_columns));
  v_grant    record;
  v_column   record;
begin
  select c into v_unknown from unnest(insert_columns || update_columns || hidden_columns || guest_insert_columns || guest_update_columns) c
  where not exists (select from pg_attribute a where a.attrelid = v_table and a.attname = c and a.attnum > 0 and not a.attisdropped);
  if v_unknown is not null then
    raise exception 'table % has no column "%"', v_table, v_unknown using errcode = '42703';
  end if;

  -- A view may gain columns only at its end; a migration that does otherwise needs a new one.
  begin
    execute format('create or replace view lab.%I with (security_invoker = true) as select %s from %s t%s',
      name, v_columns, v_table, case when v_soft then ' where t.deleted_at is null' else '' end);
  exception when invalid_table_definition then
    execute format('drop view lab.%I', name);
    execute format('create view lab.%I with (security_invoker = true) as select %s from %s t%s',
      name, v_columns, v_table, case when v_soft then ' where t.deleted_at is null' else '' end);
  end;

  execute format('comment on view lab.%I is %L', name, obj_description(v_table, 'pg_class'));
  for v_column in
    select a.attname, col_description(v_table, a.attnum) as description from pg_attribute a
    where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.attname <> all (v_hidden)
  loop
    execute format('comment on column lab.%I.%I is %L', name, v_column.attname, v_column.description);
  end loop;

  -- Rights that are not named do not exist. A security_invoker view needs them on the table too.
  execute format('revoke all on lab.%I, %s from public, lab_anon, lab_user, lab_guest', name, v_table);
  execute format('grant select on lab.%I to lab_user', name);
  execute format('grant select (%s) on %s to lab_user', v_key, v_table);
  if guests then
    execute format('grant select on lab.%I to lab_guest', name);
    execute format('grant select (%s) on %s to lab_guest', v_key, v_table);
  end if;
  for v_grant in
    select g.verb, g.role, string_agg(quote_ident(c), ', ') as columns
    from (values ('insert', 'lab_user', insert_columns), ('update', 'lab_user', update_columns),
                 ('insert', 'lab_guest', guest_insert_columns), ('update', 'lab_guest', guest_update_columns)) g(verb, role, names)
    cross join lateral unnest(g.names) c
    group by g.verb, g.role
  loop
    execute format('grant %s (%s) on lab.%I to %I', v_grant.verb, v_grant.columns, name, v_grant.role);
    execute format('grant %s (%s) on %s to %I', v_grant.verb, v_grant.columns, v_table, v_grant.role);
  end loop;

  -- A PATCH or DELETE without a filter is stopped before it has changed everything.
  if cardinality(update_columns) > 0 or deletable then
    execute format('create or replace trigger _050_limit before update or delete on %s for each row execute function labos.tg__limit()', v_table);
  else
    execute format('drop trigger if exists _050_limit on %s', v_table);
  end if;

  execute format('drop trigger if exists _100_soft_delete on lab.%I', name);
  if deletable then
    execute format('grant delete on lab.%I to lab_user', name);
    if v_soft then
      if prefix is null then
        raise exception 'labos.expose(%) needs prefix: who may delete', quote_literal(name) using errcode = '22023';
      end if;
      execute format('create trigger _100_soft_delete instead of delete on lab.%I for each row execute function lab_private.tg__soft_delete(%s)',
        name, concat_ws(', ', quote_literal(prefix || ':delete'), quote_literal(owner)));
    else
      execute format('grant delete on %s to lab_user', v_table);
    end if;
  end if;
end
$$;
comment on procedure labos.expose(name, name[], name[], boolean, text, name, name[], boolean, name[], name[]) is
$$Makes the public view lab.<name> of the table lab_data.<name> (idempotent)

A security_invoker view with all columns but deleted_at, deleted_by and hidden_columns; live rows only where the table soft-deletes; comments copied; lab_user gets SELECT, and INSERT, UPDATE and DELETE only on what is named. deletable with prefix: DELETE marks the row deleted for holders of 'prefix:delete'; owner: only one's own rows but for holders of 'prefix:delete_any'. guests: lab_guest gets SELECT, and INSERT and UPDATE on guest_insert_columns and guest_update_columns; labos.protect says which rows. What can be changed is guarded against requests without a filter by labos.tg__limit.$$;
revoke all on procedure labos.expose(name, name[], name[], boolean, text, name, name[], boolean, name[], name[]) from public;

create function labos.login(token text, org text default null) returns uuid
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_login';
comment on function labos.login(text, text) is
$$Signs a SQL client in for this transaction

Verifies an access token of ours (signature, type, times, issuer, audience, live session) or an API key, and acts as its user, with its scopes, until the transaction ends; in org (id or slug) when it is given: another membership, or as a guest where something is shared (then also: set local role lab_guest). Send the token as a bind parameter. Errors: 25P01 outside a transaction block, PT401 token_rejected, PT403 not_a_member.$$;
-- A delivery worker holds a role of its own.
create or replace function labos.create_roles() returns setof text
  language plpgsql volatile set search_path to pg_catalog, pg_temp
as $$
declare
  v_role   text;
  v_what   text;
  v_cure   text;
  v_wanted text[][] := array[
    ['lab_owner',         'nologin noinherit'],
    ['lab_authenticator', 'login noinherit'],
    ['lab_anon',          'nologin'],
    ['lab_user',          'nologin'],
    ['lab_guest',         'nologin'],
    ['lab_auditor',       'nologin'],
    ['lab_backup',        'nologin bypassrls'],
    ['lab_delivery',      'nologin']];
begin
  if not (select r.rolsuper from pg_roles r where r.rolname = current_user) then
    raise exception 'labos.create_roles() must be called by a superuser' using errcode = '42501',
      hint = 'Roles belong to the whole cluster: ask its administrator to call it once.';
  end if;
  for v_i in 1 .. array_length(v_wanted, 1) loop
    v_role := v_wanted[v_i][1];
    if not exists (select from pg_roles r where r.rolname = v_role) then
      execute format('create role %I %s', v_role, v_wanted[v_i][2]);
      return next v_role;
    end if;
  end loop;
  -- A role that somebody made before us keeps what they gave it: refused, if it can do more than ours.
  select r.rolname, x.what, x.cure into v_role, v_what, v_cure
  from pg_roles r
  cross join lateral (values
    ('is a superuser', r.rolsuper, 'NOSUPERUSER'),
    ('may create roles', r.rolcreaterole, 'NOCREATEROLE'),
    ('may replicate', r.rolreplication and r.rolname <> 'lab_backup', 'NOREPLICATION'),
    ('bypasses row security', r.rolbypassrls and r.rolname <> 'lab_backup', 'NOBYPASSRLS'),
    ('can log in', r.rolcanlogin and r.rolname not in ('lab_authenticator', 'lab_backup'), 'NOLOGIN'),
    ('inherits the rights of its roles', r.rolinherit and r.rolname = 'lab_authenticator', 'NOINHERIT')) x(what, so, cure)
  where r.rolname in (select w.v[1] from (select array[v_wanted[i][1]] as v from generate_subscripts(v_wanted, 1) i) w) and x.so
  order by r.rolname limit 1;
  if found then
    raise exception 'role "%" exists and %', v_role, v_what using errcode = 'LB001', hint = format('ALTER ROLE %I %s;', v_role, v_cure);
  end if;
  select r.rolname, g.rolname into v_role, v_what
  from pg_roles r join pg_roles g on g.oid <> r.oid and pg_has_role(r.oid, g.oid, 'member')
  where r.rolname in ('lab_owner', 'lab_authenticator', 'lab_anon', 'lab_user', 'lab_guest', 'lab_auditor', 'lab_delivery')
    and (g.rolsuper or g.rolcreaterole or g.rolbypassrls or g.rolreplication or g.rolname in ('lab_owner', 'lab_backup', 'pg_read_all_data', 'pg_write_all_data',
           'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_create_subscription', 'pg_maintain'))
  order by not exists (select from pg_auth_members m where m.roleid = g.oid and m.member = r.oid), 1, 2 limit 1;
  if found then
    raise exception 'role "%" is a member of "%"', v_role, v_what using errcode = 'LB001', hint = format('REVOKE %I FROM %I;', v_what, v_role);
  end if;
  grant lab_anon, lab_user, lab_guest to lab_authenticator;
  grant pg_read_all_data to lab_backup;
end
$$;
comment on function labos.create_roles() is
$$Makes the roles of a labos cluster (idempotent; superuser)

lab_owner owns the schema and never logs in; lab_authenticator is PostgREST's login; lab_anon, lab_user and lab_guest are what it switches to; lab_auditor reads the audit trail; lab_backup reads everything; lab_delivery takes mails out of the outbox, for the worker's login to inherit. A role of that name that can do more than this is refused (LB001). Returns the names of the roles it made.$$;
create or replace procedure labos.deploy(modules text[] default null)
  language plpgsql
  set search_path to pg_catalog, pg_temp
  set lock_timeout to '60s'
  set check_function_bodies to on
  set client_min_messages to warning
as $$
declare
  v_library   text := labos.library_version();
  v_version   text := labos.version();
  v_superuser boolean := (select r.rolsuper from pg_roles r where r.rolname = current_user);
  v_known     text[] := (select array_agg(distinct f.module) from labos.schema_file f where f.module <> 'core');
  v_unknown   text[];
  v_missing   text := (select min(w) from unnest(array['lab_owner', 'lab_delivery']) w where not exists (select from pg_roles r where r.rolname = w));
begin
  perform pg_advisory_xact_lock(hashtextextended('labos.deploy', 0));

  if v_library <> v_version then
    raise exception 'labos library is version % but the extension in this database is version %', v_library, v_version
      using errcode = 'LB002',
            hint = 'Run ALTER EXTENSION labos UPDATE; then reconnect and CALL labos.deploy();';
  end if;
  select array_agg(m) into v_unknown from unnest(modules) m where m <> all (coalesce(v_known, '{}')) and m <> 'core';
  if v_unknown is not null then
    raise exception 'unknown module "%"', v_unknown[1] using errcode = 'LB001',
      detail = format('Modules are %s.', array_to_string(v_known, ', '));
  end if;

  -- Who owns: lab_owner, never a superuser.
  if v_superuser then
    perform labos.create_roles();
    perform labos.prepare_database();
  elsif v_missing is not null then
    raise exception 'role "%" does not exist', v_missing using errcode = 'LB001',
      hint = 'Let a superuser call labos.create_roles() and labos.prepare_database() once.';
  elsif not pg_has_role(current_user, 'lab_owner', 'member') then
    raise exception 'only lab_owner or a superuser can deploy labos' using errcode = '42501',
      hint = format('GRANT lab_owner TO %I;', current_user);
  end if;
  perform labos.run_as_owner('select labos.deploy_files($1)', modules);
  notify pgrst, 'reload schema';
  notify pgrst, 'reload config';
end
$$;
