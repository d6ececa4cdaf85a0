/*
 * Room: deploy
 *
 * Builds and migrates the laboratory from the schema files that the extension
 * carries as rows. The extension is code; what it builds are ordinary tables
 * owned by lab_owner, so that a dump holds every row.
 *
 * Holds    schema_file, deploy(), status(), create_roles(), prepare_database(), version functions
 * State    lab_private.deployment, .migration, .repeatable: ordinary tables, they travel with dumps
 */

create table labos.schema_file (
  path   text    not null,
  kind   text    not null,
  ord    integer not null,
  module text    not null,
  body   text    not null,
  constraint schema_file_pkey primary key (path),
  constraint schema_file_ord_key unique (ord),
  constraint schema_file_kind_check check (kind in ('m', 'r'))
);
comment on table labos.schema_file is
  'The schema files of this version: m = migration (runs once), r = repeatable (runs again when changed). Refilled by every update of the extension.';

create function labos.exec_file(path text, body text) returns integer
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_exec_file';
comment on function labos.exec_file(text, text) is
  'Runs the statements of a schema file as the current user; an error names file and line. Used by labos.deploy().';
revoke all on function labos.exec_file(text, text) from public;

create function labos.run_as_owner(statement text, modules text[]) returns void
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_run_as_owner';
comment on function labos.run_as_owner(text, text[]) is
$$Runs a statement as lab_owner, who stays lab_owner

$1 in the statement is modules. Nothing that runs meanwhile (a trigger, a function of the schema) can set another role, and the settings it changes are undone: a superuser may deploy over objects that others made. For superusers and members of lab_owner.$$;
revoke all on function labos.run_as_owner(text, text[]) from public;

create function labos.is_plain_table(name text) returns boolean
  language sql stable set search_path to pg_catalog, pg_temp
as $$ select exists (select from pg_class c where c.oid = to_regclass(name) and c.relkind = 'r') $$;
comment on function labos.is_plain_table(text) is 'Is this a table? A view in its place would run functions of its owner with the reader''s rights.';

create function labos.version() returns text
  language sql stable parallel safe set search_path to pg_catalog, pg_temp
as $$ select e.extversion from pg_catalog.pg_extension e where e.extname = 'labos' $$;
comment on function labos.version() is 'The version of the extension in this database.';

create function labos.deployed_version() returns text
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
declare
  v_version text;
begin
  if not exists (select from pg_class c where c.oid = to_regclass('lab_private.deployment') and c.relkind = 'r') then
    return null;
  end if;
  execute 'select d.version from lab_private.deployment d' into v_version;
  return v_version;
end
$$;
comment on function labos.deployed_version() is 'The version whose schema stands in this database; null before the first labos.deploy().';

create function labos.create_roles() returns setof text
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
revoke all on function labos.create_roles() from public;

create function labos.prepare_database() returns void
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
revoke all on function labos.prepare_database() from public;

create function labos.status()
  returns table (library text, extension text, deployed text, owner text, modules text[], pending text[])
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
begin
  library := labos.library_version();
  extension := labos.version();
  deployed := labos.deployed_version();
  select pg_get_userbyid(n.nspowner) into owner from pg_namespace n where n.nspname = 'lab_data';
  if deployed is null
     or not (labos.is_plain_table('lab_private.migration') and labos.is_plain_table('lab_private.repeatable')) then
    select array_agg(f.path order by f.ord) into pending from labos.schema_file f;
  else
    execute 'select d.modules from lab_private.deployment d' into modules;
    execute $q$
      select coalesce(array_agg(f.path order by f.ord), '{}')
      from labos.schema_file f
      where (f.module = 'core' or $1 is null or f.module = any ($1))
        and case f.kind
              when 'm' then not exists (select from lab_private.migration m where m.path = f.path)
              else not exists (select from lab_private.repeatable r
                               where r.path = f.path and r.sha256 = encode(sha256(convert_to(f.body, 'UTF8')), 'hex'))
            end $q$
    into pending using modules;
  end if;
  return next;
end
$$;
comment on function labos.status() is
$$Versions and what labos.deploy() would run

library: the loaded .so; extension: CREATE/ALTER EXTENSION; deployed: the schema in this database; modules: null means all; pending: schema files not run yet.$$;

create function labos.deploy_files(modules text[]) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_version   text := labos.version();
  v_unknown   text[];
  v_modules   text[] := modules;
  v_previous  text;
  v_file      record;
  v_off       jsonb;
  v_sum       text;
  v_old       text;
  v_ran       integer := 0;
  v_started   timestamptz;
begin
  -- Whoever owns lab_private says who is calling.
  select n.nspname into v_old from pg_namespace n
  where n.nspname in ('lab', 'lab_data', 'lab_private') and n.nspowner <> (select r.oid from pg_roles r where r.rolname = 'lab_owner');
  if found then
    raise exception 'schema "%" exists and is not owned by lab_owner', v_old using errcode = 'LB001',
      hint = format('Look into it; then DROP SCHEMA %I, or ALTER SCHEMA %I OWNER TO lab_owner.', v_old, v_old);
  end if;
  if to_regnamespace('lab_private') is null then
    create schema lab;
    create schema lab_data;
    create schema lab_private;
    create table lab_private.deployment (
      singleton   boolean     not null default true,
      version     text        not null,
      modules     text[],
      deployed_at timestamptz not null default now(),
      constraint deployment_pkey primary key (singleton),
      constraint deployment_singleton_check check (singleton)
    );
    create table lab_private.migration (
      path       text        not null,
      sha256     text        not null,
      version    text        not null,
      applied_at timestamptz not null default now(),
      ms         float8      not null,
      constraint migration_pkey primary key (path)
    );
    create table lab_private.repeatable (
      path       text        not null,
      sha256     text        not null,
      version    text        not null,
      applied_at timestamptz not null default now(),
      constraint repeatable_pkey primary key (path)
    );
    comment on table lab_private.deployment is 'Which version and modules of labos stand in this database; one row.';
    comment on table lab_private.migration is 'Migrations that ran, with the checksum of the text that ran.';
    comment on table lab_private.repeatable is 'Repeatables with the checksum of the text that ran last.';
  else
    select d.version, coalesce(v_modules, d.modules) into v_previous, v_modules from lab_private.deployment d;
    -- Modules are never taken away: their tables hold data.
    select coalesce(array_agg(distinct m order by m), '{}') into v_modules
    from (select unnest(v_modules) union select unnest(d.modules) from lab_private.deployment d) x(m);
    if exists (select from lab_private.deployment d where d.modules is null) then
      v_modules := null;
    end if;

    -- A schema from the future: data restored on an older server.
    select array_agg(g.path order by g.path) into v_unknown
    from lab_private.migration g
    where not exists (select from labos.schema_file f where f.path = g.path);
    if v_unknown is not null then
      raise exception 'the schema was deployed by labos %, which is newer than the installed extension %', v_previous, v_version
        using errcode = 'LB002',
              detail = format('Unknown migrations: %s.', array_to_string(v_unknown, ', ')),
              hint = format('Install labos %s or newer; then ALTER EXTENSION labos UPDATE.', v_previous);
    end if;
    select f.path into v_old
    from lab_private.migration g
    join labos.schema_file f on f.path = g.path
    where g.sha256 <> encode(sha256(convert_to(f.body, 'UTF8')), 'hex')
    order by f.ord limit 1;
    if v_old is not null then
      raise exception 'migration "%" has changed since it ran here', v_old using errcode = 'LB001',
        detail = 'A released migration is immutable.',
        hint = 'Restore the released file, or write a new migration.';
    end if;
  end if;

  -- A restored or copied database goes on in a new generation of the audit log.
  if to_regclass('lab_private.audit_gen') is not null then
    perform labos.audit_open('deploy');
  end if;

  for v_file in
    select f.* from labos.schema_file f
    where f.kind = 'm' and (f.module = 'core' or v_modules is null or f.module = any (v_modules))
      and not exists (select from lab_private.migration g where g.path = f.path)
    order by f.ord
  loop
    v_started := clock_timestamp();
    perform labos.exec_file(v_file.path, v_file.body);
    insert into lab_private.migration (path, sha256, version, ms)
    values (v_file.path, encode(sha256(convert_to(v_file.body, 'UTF8')), 'hex'), v_version,
            extract(epoch from clock_timestamp() - v_started) * 1000);
    v_ran := v_ran + 1;
  end loop;

  if to_regclass('lab_private.audit_gen') is not null then
    perform labos.audit_open('deploy');
  end if;

  -- What an administrator has switched off stays off: a repeatable makes its triggers anew.
  select coalesce(jsonb_agg(jsonb_build_object('table', t.tgrelid::bigint, 'name', t.tgname, 'state', t.tgenabled)), '[]') into v_off
  from pg_trigger t
  where not t.tgisinternal and t.tgenabled <> 'O'
    and t.tgrelid in (select c.oid from pg_class c where c.relnamespace in (to_regnamespace('lab'), to_regnamespace('lab_data'), to_regnamespace('lab_private')));

  for v_file in
    select f.* from labos.schema_file f
    where f.kind = 'r' and (f.module = 'core' or v_modules is null or f.module = any (v_modules))
    order by f.ord
  loop
    v_sum := encode(sha256(convert_to(v_file.body, 'UTF8')), 'hex');
    select r.sha256 into v_old from lab_private.repeatable r where r.path = v_file.path;
    continue when v_ran = 0 and v_old is not distinct from v_sum;
    perform labos.exec_file(v_file.path, v_file.body);
    insert into lab_private.repeatable (path, sha256, version) values (v_file.path, v_sum, v_version)
    on conflict on constraint repeatable_pkey
      do update set sha256 = excluded.sha256, version = excluded.version, applied_at = now();
  end loop;

  for v_file in
    select t.tgrelid::regclass as name, t.tgname, x.state
    from jsonb_to_recordset(v_off) x("table" bigint, name name, state text)
    join pg_trigger t on t.tgrelid = x."table"::oid and t.tgname = x.name and t.tgenabled <> x.state::"char"
  loop
    case v_file.state
      when 'D' then execute format('alter table %s disable trigger %I', v_file.name, v_file.tgname);
      when 'R' then execute format('alter table %s enable replica trigger %I', v_file.name, v_file.tgname);
      else execute format('alter table %s enable always trigger %I', v_file.name, v_file.tgname);
    end case;
  end loop;

  insert into lab_private.deployment (version, modules) values (v_version, v_modules)
  on conflict on constraint deployment_pkey
    do update set version = excluded.version, modules = excluded.modules, deployed_at = now()
       where (deployment.version, deployment.modules) is distinct from (excluded.version, excluded.modules);
end
$$;
comment on function labos.deploy_files(text[]) is 'The part of labos.deploy() that lab_owner does: first the migrations, then the repeatables.';
revoke all on function labos.deploy_files(text[]) from public;

create procedure labos.deploy(modules text[] default null)
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
comment on procedure labos.deploy(text[]) is
$$Builds or migrates the laboratory (all or nothing)

modules: some of lims, devices, simulation, campaigns, union, added to those that stand already; null: those, or all the first time. Identity, tenancy and audit are always there. A trigger that was disabled stays so. Run it after CREATE EXTENSION and after every ALTER EXTENSION labos UPDATE. Errors: LB001 cannot deploy, LB002 versions differ; an error in a schema file names its line.$$;
revoke all on procedure labos.deploy(text[]) from public;
