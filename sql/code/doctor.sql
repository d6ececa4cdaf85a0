/*
 * Room: doctor
 *
 * What is not safe in this database, and how to mend it. Reads catalogs and
 * settings only; changes nothing. One row a check; a seeded defect for each is in
 * test/sql/doctor.sql.
 */

create function labos.doctor()
  returns table (name text, ok boolean, found text, cure text)
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
declare
  v_gateways text := current_setting('labos.trusted_gateways', true);
  v_database oid := (select d.oid from pg_database d where d.datname = current_database());
  v_closed   boolean := false;
  v_sealed   text;
begin
  -- What asks the deployed schema.
  if to_regclass('lab_private.audit_gen') is not null then
    select h.gen is null into v_closed from labos.audit_here() h;
  end if;
  if to_regclass('lab_private.signing_keys') is not null then
    begin
      execute 'select count(lab_private.private_jwk(k)) from lab_private.signing_keys k where k.retired_at is null or k.retired_at > now()';
    exception when others then
      v_sealed := 'signing keys: ' || sqlerrm;
    end;
  end if;
  return query
  with
  tables as (
    select c.oid, n.nspname, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relkind
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('lab_data', 'lab_private') and c.relkind in ('r', 'p')
  ),
  findings (id, what, names, mend) as (
    select 1, 'library, extension and schema have one version',
      (select concat_ws(', ', 'library ' || s.library, 'extension ' || s.extension, 'schema ' || coalesce(s.deployed, 'absent'))
       from labos.status() s where (s.library, s.extension) is distinct from (s.extension, s.deployed) or cardinality(s.pending) > 0),
      'ALTER EXTENSION labos UPDATE; CALL labos.deploy();'
    union all
    select 2, 'the library is loaded before a session''s first statement',
      case when not exists (
        select from pg_db_role_setting s cross join lateral unnest(s.setconfig) c(setting)
        where s.setdatabase = v_database and s.setrole = 0
          and c.setting ~ '^session_preload_libraries=.*\mlabos\M')
        and coalesce(current_setting('shared_preload_libraries', true), '') !~ '\mlabos\M'
      then 'session_preload_libraries of this database' end,
      format('ALTER DATABASE %I SET session_preload_libraries = ''labos'';', current_database())
    union all
    select 3, 'gateways inherit nothing and are no superusers',
      (select string_agg(g.name || case when r.oid is null then ' (does not exist)' else '' end, ', ')
       from unnest(string_to_array(replace(coalesce(v_gateways, ''), ' ', ''), ',')) g(name)
       left join pg_roles r on r.rolname = btrim(g.name, '"')
       where g.name <> '' and (r.oid is null or r.rolinherit or r.rolsuper or r.rolbypassrls or r.rolcreaterole)),
      'ALTER ROLE … NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE; or take it out of labos.trusted_gateways'
    union all
    select 4, 'a gateway is registered',
      case when coalesce(btrim(v_gateways), '') = '' then 'labos.trusted_gateways is empty: HTTP callers are anonymous' end,
      'ALTER SYSTEM SET labos.trusted_gateways = ''lab_authenticator''; SELECT pg_reload_conf();'
    union all
    select 5, 'a master key outside the database seals secrets',
      case when labos.master_key_state() <> 'file' then 'labos.master_key_file: ' || labos.master_key_state() end,
      'Write 32 random bytes to a file that only the server''s user can read, set labos.master_key_file, reload, then rotate the signing key.'
    union all
    select 6, 'the owner of the schema is no superuser and cannot log in',
      (select r.rolname from pg_namespace n join pg_roles r on r.oid = n.nspowner
       where n.nspname = 'lab_data' and (r.rolsuper or r.rolbypassrls or r.rolcanlogin)),
      'ALTER ROLE lab_owner NOSUPERUSER NOBYPASSRLS NOLOGIN;'
    union all
    select 7, 'nobody can make temporary tables in pooled sessions',
      (select 'TEMPORARY is granted to PUBLIC' from pg_database d cross join lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
       where d.oid = v_database and a.grantee = 0 and a.privilege_type = 'TEMPORARY' limit 1),
      format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC;', current_database())
    union all
    select 8, 'nobody can create objects in schema public',
      (select 'CREATE is granted to PUBLIC' from pg_namespace n cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
       where n.nspname = 'public' and a.grantee = 0 and a.privilege_type = 'CREATE' limit 1),
      'REVOKE CREATE ON SCHEMA public FROM PUBLIC;'
    union all
    select 9, 'row security is enabled and forced on every table',
      (select string_agg(t.oid::regclass::text, ', ' order by 1) from tables t where not (t.relrowsecurity and t.relforcerowsecurity)),
      'CALL labos.protect(…) in the table''s schema file'
    union all
    select 10, 'policies have the canonical shape',
      (select string_agg(format('%s on %s', p.polname, t.oid::regclass), ', ' order by t.relname, p.polname)
       from pg_policy p join tables t on t.oid = p.polrelid
       where not p.polpermissive
          or (p.polname <> 'owner_all'
              and concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
                  ~* '(\mor\M|\mexists\M|\mselect\M|\many\M|\mcase\M|current_setting)')
          or (p.polname <> 'owner_all'
              and coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) !~ 'labos\.(org_for|user_for|has_permission)\(')
          or (p.polname = 'owner_all' and array(select r.rolname from pg_roles r where r.oid = any (p.polroles)) <> '{lab_owner}'::name[])),
      'CALL labos.protect(…): one permissive policy a verb, org_id = labos.org_for(permission)'
    union all
    select 11, 'public views run with the caller''s rights',
      (select string_agg(c.oid::regclass::text, ', ' order by 1) from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('lab', 'lab_data') and c.relkind = 'v' and not coalesce(c.reloptions @> '{security_invoker=true}', false)),
      'CALL labos.expose(…), or ALTER VIEW … SET (security_invoker = true)'
    union all
    select 12, 'every unique index of a tenant table contains org_id',
      (select string_agg(i.indexrelid::regclass::text, ', ' order by 1)
       from pg_index i join tables t on t.oid = i.indrelid
       join pg_attribute a on a.attrelid = t.oid and a.attname = 'org_id' and a.attnotnull
       where i.indisunique and t.nspname = 'lab_data' and not (a.attnum = any (i.indkey))),
      'A unique index without org_id tells one organisation what another has.'
    union all
    select 13, 'no index uses an operator that row security keeps from it',
      (select string_agg(distinct i.indexrelid::regclass::text, ', ')
       from pg_index i join tables t on t.oid = i.indrelid
       cross join lateral unnest(i.indclass::oid[]) k(opclass)
       join pg_opclass o on o.oid = k.opclass
       join pg_am am on am.oid = o.opcmethod
       -- A family also holds operators between types (text with name): only an ordered search by its own type counts.
       join pg_amop ao on ao.amopfamily = o.opcfamily and ao.amoplefttype = o.opcintype
                      and (ao.amoprighttype = o.opcintype or am.amname not in ('btree', 'hash'))
       join pg_operator op on op.oid = ao.amopopr
       join pg_proc f on f.oid = op.oprcode
       where t.nspname = 'lab_data' and not f.proleakproof
         and o.opcname not in ('gist_uuid_ops', 'gist_timestamptz_ops', 'range_ops', 'jsonb_ops')),
      'Use the operator classes of labos_ops, or a type whose operators are leakproof.'
    union all
    select 14, 'functions are not executable by everybody',
      (select string_agg(p.oid::regprocedure::text, ', ' order by 1) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('lab', 'lab_private', 'lab_data')
         and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0 and a.privilege_type = 'EXECUTE')),
      'REVOKE ALL ON FUNCTION … FROM PUBLIC; GRANT EXECUTE … TO lab_user;'
    union all
    select 15, 'definer functions pin their search path',
      (select string_agg(p.oid::regprocedure::text, ', ' order by 1) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('lab', 'lab_private', 'lab_data', 'labos') and p.prosecdef
         and not exists (select from unnest(p.proconfig) c where c like 'search\_path=%')),
      'SET search_path TO pg_catalog, labos, pg_temp'
    union all
    select 16, 'clients have no right on lab_private',
      (select string_agg(distinct format('%s on %s', r.rolname, c.oid::regclass), ', ')
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       cross join lateral aclexplode(c.relacl) a
       left join pg_roles r on r.oid = a.grantee
       -- A security_barrier view that a public view reads can be reached by that view only: clients lack USAGE here.
       where n.nspname = 'lab_private' and not (c.relkind = 'v' and coalesce(c.reloptions @> '{security_barrier=true}', false))
         and coalesce(r.rolname, 'public') in ('public', 'lab_anon', 'lab_user', 'lab_guest', 'lab_authenticator')),
      'REVOKE ALL ON … FROM …;'
    union all
    select 17, 'tables are granted nothing that row security does not see',
      (select string_agg(distinct format('TRUNCATE on %s to %s', c.oid::regclass, coalesce(r.rolname, 'public')), ', ')
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       cross join lateral aclexplode(c.relacl) a
       left join pg_roles r on r.oid = a.grantee
       where n.nspname in ('lab', 'lab_data') and a.privilege_type in ('TRUNCATE', 'TRIGGER', 'REFERENCES')
         and coalesce(r.rolname, 'public') not in ('lab_owner')),
      'REVOKE TRUNCATE, TRIGGER, REFERENCES ON … FROM …;'
    union all
    select 18, 'no trigger of labos is disabled',
      (select string_agg(format('%s on %s', t.tgname, t.tgrelid::regclass), ', ' order by t.tgrelid::regclass::text, t.tgname)
       from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('lab', 'lab_data', 'lab_private') and t.tgname ~ '^_\d{3}_' and not t.tgisinternal and t.tgenabled in ('D', 'R')),
      'ALTER TABLE … ENABLE TRIGGER …;'
    union all
    select 19, 'the audit log is open',
      case when v_closed then 'this database is a restored or copied one: clients cannot write' end,
      'SELECT labos.audit_open(''restored from …'');'
    union all
    select 20, 'sealed secrets can be opened', v_sealed,
      'Set labos.master_key_file to the file they were sealed with; if it is lost, see docs/operations.md.'
  )
  select f.what, f.names is null, f.names, case when f.names is not null then f.mend end
  from findings f
  order by f.id;
end
$$;
comment on function labos.doctor() is
$$What is not safe here, and how to mend it

One row a check: ok, what was found, the cure. For superusers and lab_owner with pg_read_all_settings; run it after installation, upgrades and restores.$$;
revoke all on function labos.doctor() from public;
