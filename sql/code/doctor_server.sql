/*
 * Room: doctor, the server
 *
 * What of roles, settings, keys and connections is not safe. Facts that SQL can
 * see; what it cannot (the mode of the key file's directory, backups) is in
 * docs/operations.md.
 */

create function labos.doctor_server()
  returns table (id integer, severity text, name text, found text, cure text)
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
declare
  v_gateways  text := current_setting('labos.trusted_gateways', true);
  v_database  oid := (select d.oid from pg_database d where d.datname = current_database());
  v_closed    boolean := false;
  v_sealed    text;
  v_logins    text;
  v_unsigned  text;
  v_symmetric text;
  v_hba       text;
  v_proxies   integer;
  v_outbox    text;
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
    execute $q$
      select case when i.bootstrapped_at is not null and not exists (
                 select from lab_private.signing_keys k where k.not_before <= now() and (k.retired_at is null or k.retired_at > now()))
               then 'none that has begun and is not retired: nobody can sign in' end,
             (select string_agg(distinct k.alg, ', ') from lab_private.signing_keys k
              where k.alg like 'HS%' and (k.retired_at is null or k.retired_at > now()))
      from lab_private.identity_settings i$q$ into v_unsigned, v_symmetric;
    execute 'select i.trusted_proxies from lab_private.identity_settings i' into v_proxies;
  end if;
  if to_regclass('lab_private.db_logins') is not null then
    execute $q$
      select string_agg(l.rolname || case when r.oid is null then ' (does not exist)' else '' end, ', ' order by l.rolname)
      from lab_private.db_logins l left join pg_roles r on r.rolname = l.rolname
      -- The role that asks may be mapped for a test.
      where r.oid is null or (r.rolsuper or r.rolbypassrls or pg_has_role(r.oid, to_regrole('lab_owner'), 'member')) and l.rolname <> session_user$q$ into v_logins;
  end if;
  if to_regclass('lab_private.outbox') is not null then
    execute $q$
      select nullif(concat_ws(', ',
          nullif(count(*) filter (where o.failed_at is null and o.created_at < now() - interval '1 hour'), 0) || ' not delivered for an hour',
          nullif(count(*) filter (where o.failed_at is not null), 0) || ' given up'), '')
      from lab_private.outbox o where o.delivered_at is null$q$ into v_outbox;
    begin
      execute $q$
        select count(labos.secret_open(o.sealed_payload, 'outbox/' || o.id))
        from lab_private.outbox o where o.delivered_at is null and o.failed_at is null$q$;
    exception when others then
      v_outbox := concat_ws(', ', v_outbox, 'sealed: ' || sqlerrm);
    end;
  end if;
  begin
    select string_agg(coalesce(h.error, concat_ws(' ', h.type, array_to_string(h.database, ','), array_to_string(h.user_name, ','), h.address, h.auth_method)) || ' (line ' || h.line_number || ')',
                      ', ' order by h.line_number) into v_hba
    from pg_hba_file_rules h
    where h.error is not null
       or h.type like 'host%' and (h.address is null or h.address not in ('127.0.0.1', '::1', 'localhost', 'samehost')) and h.auth_method in ('trust', 'ident')
       or h.type in ('host', 'hostnossl') and (h.address is null or h.address not in ('127.0.0.1', '::1', 'localhost', 'samehost')) and h.auth_method = 'password';
  exception when insufficient_privilege then
    v_hba := null;
  end;
  return query
  with
  findings (id, severity, what, names, mend) as (
    select 1, 'warning', 'library, extension and schema have one version',
      (select concat_ws(', ', 'library ' || s.library, 'extension ' || s.extension, 'schema ' || coalesce(s.deployed, 'absent'))
       from labos.status() s where (s.library, s.extension) is distinct from (s.extension, s.deployed) or cardinality(s.pending) > 0),
      'ALTER EXTENSION labos UPDATE; CALL labos.deploy();'
    union all
    select 2, 'critical', 'the library is loaded before a session''s first statement',
      case when not exists (
        select from pg_db_role_setting s cross join lateral unnest(s.setconfig) c(setting)
        where s.setdatabase = v_database and s.setrole = 0
          and c.setting ~ '^session_preload_libraries=.*\mlabos\M')
        and coalesce(current_setting('shared_preload_libraries', true), '') !~ '\mlabos\M'
      then 'session_preload_libraries of this database' end,
      format('ALTER DATABASE %I SET session_preload_libraries = ''labos'';', current_database())
    union all
    select 3, 'critical', 'gateways inherit nothing and are no superusers',
      (select string_agg(g.name || case when r.oid is null then ' (does not exist)' else '' end, ', ')
       from unnest(string_to_array(replace(coalesce(v_gateways, ''), ' ', ''), ',')) g(name)
       left join pg_roles r on r.rolname = btrim(g.name, '"')
       where g.name <> '' and (r.oid is null or r.rolinherit or r.rolsuper or r.rolbypassrls or r.rolcreaterole)),
      'ALTER ROLE … NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE; or take it out of labos.trusted_gateways'
    union all
    select 4, 'warning', 'a gateway is registered',
      case when coalesce(btrim(v_gateways), '') = '' then 'labos.trusted_gateways is empty: HTTP callers are anonymous' end,
      'ALTER SYSTEM SET labos.trusted_gateways = ''lab_authenticator''; SELECT pg_reload_conf();'
    union all
    select 5, 'warning', 'a master key outside the database seals secrets',
      case when labos.master_key_state() <> 'file' then 'labos.master_key_file: ' || labos.master_key_state() end,
      'Write 32 random bytes to a file that only the server''s user can read, set labos.master_key_file, reload, then rotate the signing key.'
    union all
    select 7, 'critical', 'nobody can make temporary tables in pooled sessions',
      (select 'TEMPORARY is granted to PUBLIC' from pg_database d cross join lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
       where d.oid = v_database and a.grantee = 0 and a.privilege_type = 'TEMPORARY' limit 1),
      format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC;', current_database())
    union all
    select 8, 'warning', 'nobody can create objects in schema public',
      (select 'CREATE is granted to PUBLIC' from pg_namespace n cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
       where n.nspname = 'public' and a.grantee = 0 and a.privilege_type = 'CREATE' limit 1),
      'REVOKE CREATE ON SCHEMA public FROM PUBLIC;'
    union all
    select 19, 'warning', 'the audit log is open',
      case when v_closed then 'this database is a restored or copied one: clients cannot write' end,
      'SELECT labos.audit_open(''restored from …'');'
    union all
    select 20, 'critical', 'sealed secrets can be opened', v_sealed,
      'Set labos.master_key_file to the file they were sealed with; if it is lost, see docs/operations.md.'
    union all
    select 30, 'critical', 'a gateway is a member of the API roles only',
      (select string_agg(format('%s is a member of %s', m.rolname, r.rolname), ', ' order by m.rolname, r.rolname)
       from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid
       where m.rolname in (select btrim(g, '" ') from unnest(string_to_array(coalesce(v_gateways, ''), ',')) g union all select 'lab_authenticator')
         and r.rolname not in ('lab_anon', 'lab_user', 'lab_guest')),
      'REVOKE … FROM …; whoever holds its password could become that role'
    union all
    select 31, 'critical', 'API roles are nothing more',
      (select string_agg(x.what, ', ' order by x.what) from (
         select r.rolname || ' has attributes of an administrator or a login' as what from pg_roles r
         where r.rolname in ('lab_anon', 'lab_user', 'lab_guest') and (r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolcanlogin)
         union all
         select format('%s is a member of %s', m.rolname, r.rolname)
         from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid
         where m.rolname in ('lab_anon', 'lab_user', 'lab_guest')) x),
      'ALTER ROLE … NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION; REVOKE … FROM …;'
    union all
    select 32, 'critical', 'only administrators are members of lab_owner',
      (select string_agg(m.rolname, ', ' order by m.rolname)
       from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid
       where r.rolname = 'lab_owner' and not m.rolsuper and not m.rolcreaterole
         and m.rolname <> pg_get_userbyid((select d.datdba from pg_database d where d.oid = v_database))),
      'REVOKE lab_owner FROM …; it reads every secret and every organisation'
    union all
    select 33, 'critical', 'mapped database logins are ordinary ones', v_logins,
      'ALTER ROLE … NOSUPERUSER NOBYPASSRLS; or delete the row of lab_private.db_logins'
    union all
    select 34, 'critical', 'no stored setting says who is calling or switches protection off',
      (select string_agg(format('%s for %s', c.setting, coalesce(r.rolname, 'everybody')), ', ' order by 1)
       from pg_db_role_setting s cross join lateral unnest(s.setconfig) c(setting) left join pg_roles r on r.oid = s.setrole
       where s.setdatabase in (0, v_database) and c.setting ~ '^(request\.|labos\.token=|role=|session_replication_role=|row_security=)'
         and not coalesce(r.rolname = 'lab_backup', false)),
      'ALTER ROLE … RESET …;'
    union all
    select 35, 'warning', 'parameters of statements are not written to the log',
      (select string_agg(x.what, ', ' order by x.what) from (
         -- Scrubbed where the statement names a call of ours that takes a secret; not in a function of somebody else.
         select 'log_parameter_max_length with logged statements' as what
         where (select s.setting from pg_settings s where s.name = 'log_parameter_max_length') <> '0'
           and exists (select from pg_settings s
                       where (s.name, s.setting) in (('log_statement', 'mod'), ('log_statement', 'all'))
                          or s.name in ('log_min_duration_statement', 'log_min_duration_sample') and s.setting <> '-1'
                          or s.name = 'log_transaction_sample_rate' and s.setting::float8 > 0)
         union all
         select 'log_parameter_max_length_on_error' from pg_settings s where s.name = 'log_parameter_max_length_on_error' and s.setting <> '0'
         union all
         select format('%s for %s', c.setting, coalesce(r.rolname, 'everybody'))
         from pg_db_role_setting s cross join lateral unnest(s.setconfig) c(setting) left join pg_roles r on r.oid = s.setrole
         where s.setdatabase in (0, v_database)
           and (c.setting ~ '^log_parameter_max_length(_on_error)?=' and c.setting !~ '=0$' or c.setting ~ '^log_statement=(mod|all)$')) x),
      'ALTER SYSTEM SET log_parameter_max_length = 0; ALTER SYSTEM SET log_parameter_max_length_on_error = 0; SELECT pg_reload_conf();'
    union all
    select 36, 'critical', 'what is committed survives a crash',
      (select string_agg(n || ' = off', ', ') from unnest(array['fsync', 'full_page_writes']) n where current_setting(n) = 'off'),
      'ALTER SYSTEM SET … = on;'
    union all
    select 37, 'critical', 'a signing key is in force', v_unsigned,
      'POST /rpc/signing_key_rotate as a superuser of the installation'
    union all
    select 38, 'warning', 'tokens are signed with a private key', v_symmetric,
      'POST /rpc/signing_key_rotate {"alg": "EdDSA"}: a symmetric secret stands in PostgREST''s configuration'
    union all
    select 39, 'warning', 'PostgREST does not keep tokens of a withdrawn key',
      (select string_agg(format('%s for %s', c.setting, coalesce(r.rolname, 'everybody')), ', ')
       from pg_db_role_setting s cross join lateral unnest(s.setconfig) c(setting) left join pg_roles r on r.oid = s.setrole
       where s.setdatabase in (0, v_database) and c.setting ~ '^pgrst\.jwt_cache_max_(lifetime|entries)=' and c.setting !~ '=0$'),
      'ALTER ROLE … RESET pgrst.jwt_cache_max_lifetime; before PostgREST 12.2.9 a cached token outlives its key'
    union all
    select 40, 'critical', 'nobody connects from elsewhere without proof', v_hba,
      'pg_hba.conf: scram-sha-256 or cert over hostssl, no trust for other machines; then SELECT pg_reload_conf();'
    union all
    select 41, 'critical', 'private tables are not published',
      (select string_agg(format('%s in %s', p.tablename, p.pubname), ', ' order by p.pubname, p.tablename) from pg_publication_tables p where p.schemaname = 'lab_private'),
      'ALTER PUBLICATION … DROP TABLE …;'
    union all
    select 42, 'warning', 'all sessions count together',
      case when not (select s.shared from labos.throttle_state() s) then 'labos is not in shared_preload_libraries: each session counts attempts and requests for itself' end,
      'ALTER SYSTEM SET shared_preload_libraries = ''labos'' (with what stands there already), then restart the server'
    union all
    select 50, 'warning', 'mails and events are delivered', v_outbox,
      'Is bin/deliver running, with a server that takes its mails? SELECT template, attempts, last_error FROM lab_private.outbox WHERE delivered_at IS NULL;'
    union all
    select 43, 'warning', 'limits per address hold over HTTP',
      case when coalesce(btrim(v_gateways), '') <> '' and v_proxies = 0 then 'trusted_proxies is 0: the addresses of HTTP clients are not known' end,
      'Put a proxy before PostgREST that appends to X-Forwarded-For, then identity_settings_update {"settings": {"trusted_proxies": 1}}'
  )
  select f.id, f.severity, f.what, f.names::text, f.mend
  from findings f;
end
$$;
comment on function labos.doctor_server() is
$$What is not safe in roles, settings and keys

Part of labos.doctor(): one row a check, found is null where nothing is wrong.$$;
revoke all on function labos.doctor_server() from public;
