/*
 * Room: doctor, the schema
 *
 * What of tables, policies, views, functions and triggers is not as labos makes
 * it. Numbers are for the order only; a seeded defect for each is in
 * test/sql/doctor.sql.
 */

create function labos.doctor_schema()
  returns table (id integer, severity text, name text, found text, cure text)
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
begin
  return query
  with
  tables as (
    select c.oid, n.nspname, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relkind
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('lab_data', 'lab_private') and c.relkind in ('r', 'p')
  ),
  findings (id, severity, what, names, mend) as (
    select 6, 'critical', 'the owner of the schema is no superuser and cannot log in',
      (select r.rolname from pg_namespace n join pg_roles r on r.oid = n.nspowner
       where n.nspname = 'lab_data' and (r.rolsuper or r.rolbypassrls or r.rolcanlogin)),
      'ALTER ROLE lab_owner NOSUPERUSER NOBYPASSRLS NOLOGIN;'
    union all
    select 9, 'critical', 'row security is enabled and forced on every table',
      (select string_agg(t.oid::regclass::text, ', ' order by 1) from tables t where not (t.relrowsecurity and t.relforcerowsecurity)),
      'CALL labos.protect(…) in the table''s schema file'
    union all
    select 10, 'critical', 'policies have the canonical shape',
      (select string_agg(format('%s on %s', p.polname, t.oid::regclass), ', ' order by t.relname, p.polname)
       from pg_policy p join tables t on t.oid = p.polrelid
       where not p.polpermissive
          or (p.polname <> 'owner_all'
              and concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
                  ~* '(\mor\M|\mexists\M|\mselect\M|\many\M|\mcase\M|current_setting)')
          or (p.polname <> 'owner_all'
              and coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) !~ 'labos\.(org_for|guest_org_for|user_for|has_permission)\(')
          -- A guest's names the organisation and the shared row, and is for guests only.
          or (p.polroles && array[coalesce(to_regrole('lab_guest'), 0)::oid]) <>
             (coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
                ~ '^\(\(org_id = labos\.guest_org_for\([^()]*\)\) AND \(([a-z_]+) = labos\.shared_row\([^(),]*, [^(),]*, \1, [^()]*\)\)( AND \(deleted_at IS NULL\))?\)$')
          -- What is marked deleted is nobody's.
          or (p.polname <> 'owner_all' and p.polcmd <> 'a' and t.nspname = 'lab_data'
              and exists (select from pg_attribute a where a.attrelid = t.oid and a.attname = 'deleted_at' and not a.attisdropped)
              and coalesce(pg_get_expr(p.polqual, p.polrelid), '') !~ ' AND \(deleted_at IS NULL\)\)$')
          or (p.polname = 'owner_all' and array(select r.rolname from pg_roles r where r.oid = any (p.polroles)) <> '{lab_owner}'::name[])),
      'CALL labos.protect(…): one permissive policy a verb, org_id = labos.org_for(permission)'
    union all
    select 21, 'critical', 'every right on a table has a policy that says which rows',
      (select string_agg(format('%s may %s %s', x.rolname, x.verb, x.relation::regclass), ', ' order by x.relation::regclass::text, x.rolname, x.verb)
       from (select c.oid as relation, r.oid as role, r.rolname, lower(a.privilege_type) as verb
             from tables t join pg_class c on c.oid = t.oid
             cross join lateral (select * from aclexplode(c.relacl)
                                 union all
                                 select e.* from pg_attribute b cross join lateral aclexplode(b.attacl) e where b.attrelid = c.oid) a
             join pg_roles r on r.oid = a.grantee
             where t.nspname = 'lab_data' and r.rolname in ('lab_anon', 'lab_user', 'lab_guest') and a.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
             group by 1, 2, 3, 4) x
       where not exists (
         select from pg_policy p
         where p.polrelid = x.relation and (x.role = any (p.polroles) or 0 = any (p.polroles))
           and p.polcmd::text in ('*', case x.verb when 'select' then 'r' when 'insert' then 'a' when 'update' then 'w' else 'd' end))),
      'CALL labos.protect(…) with this verb, or REVOKE the right'
    union all
    select 11, 'critical', 'public views run with the caller''s rights',
      (select string_agg(c.oid::regclass::text, ', ' order by 1) from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('lab', 'lab_data') and c.relkind = 'v' and not coalesce(c.reloptions @> '{security_invoker=true}', false)),
      'CALL labos.expose(…), or ALTER VIEW … SET (security_invoker = true)'
    union all
    select 22, 'critical', 'schema lab holds views and calls only',
      (select string_agg(c.oid::regclass::text, ', ' order by 1) from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = 'lab' and c.relkind in ('r', 'p', 'm', 'f') or n.nspname = 'lab_data' and c.relkind in ('m', 'f')),
      'Tables stand in lab_data under row security; a materialized view or foreign table has none.'
    union all
    select 12, 'critical', 'every unique index of a tenant table contains org_id',
      (select string_agg(i.indexrelid::regclass::text, ', ' order by 1)
       from pg_index i join tables t on t.oid = i.indrelid
       join pg_attribute a on a.attrelid = t.oid and a.attname = 'org_id' and a.attnotnull
       where i.indisunique and t.nspname = 'lab_data' and not (a.attnum = any (i.indkey))),
      'A unique index without org_id tells one organisation what another has.'
    union all
    select 13, 'warning', 'no index uses an operator that row security keeps from it',
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
    select 14, 'critical', 'functions are not executable by everybody',
      (select string_agg(p.oid::regprocedure::text, ', ' order by 1) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where (n.nspname in ('lab', 'lab_private', 'lab_data') or n.nspname in ('labos', 'labos_ops') and p.prosecdef)
         and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0 and a.privilege_type = 'EXECUTE')),
      'REVOKE ALL ON FUNCTION … FROM PUBLIC; GRANT EXECUTE … TO lab_user;'
    union all
    select 15, 'critical', 'definer functions pin their search path',
      (select string_agg(p.oid::regprocedure::text, ', ' order by 1) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('lab', 'lab_private', 'lab_data', 'labos') and p.prosecdef
         and not exists (select from unnest(p.proconfig) c where c like 'search\_path=%')),
      'SET search_path TO pg_catalog, labos, pg_temp'
    union all
    select 16, 'critical', 'clients have no right on lab_private',
      (select string_agg(distinct format('%s on %s', r.rolname, c.oid::regclass), ', ')
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       cross join lateral aclexplode(c.relacl) a
       left join pg_roles r on r.oid = a.grantee
       -- A security_barrier view that a public view reads can be reached by that view only: clients lack USAGE here.
       where n.nspname = 'lab_private' and not (c.relkind = 'v' and coalesce(c.reloptions @> '{security_barrier=true}', false))
         and coalesce(r.rolname, 'public') in ('public', 'lab_anon', 'lab_user', 'lab_guest', 'lab_authenticator')),
      'REVOKE ALL ON … FROM …;'
    union all
    select 23, 'critical', 'clients execute nothing of lab_private',
      (select string_agg(distinct format('%s: %s', r.rolname, p.oid::regprocedure), ', ')
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       cross join lateral aclexplode(p.proacl) a
       join pg_roles r on r.oid = a.grantee
       where n.nspname = 'lab_private' and r.rolname in ('lab_anon', 'lab_user', 'lab_guest')),
      'REVOKE ALL ON FUNCTION … FROM …;'
    union all
    select 17, 'critical', 'tables are granted nothing that row security does not see',
      (select string_agg(distinct format('%s on %s to %s', a.privilege_type, c.oid::regclass, coalesce(r.rolname, 'public')), ', ')
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       cross join lateral aclexplode(c.relacl) a
       left join pg_roles r on r.oid = a.grantee
       where n.nspname in ('lab', 'lab_data') and a.privilege_type in ('TRUNCATE', 'TRIGGER', 'REFERENCES')
         and coalesce(r.rolname, 'public') not in ('lab_owner')),
      'REVOKE TRUNCATE, TRIGGER, REFERENCES ON … FROM …;'
    union all
    select 18, 'critical', 'no trigger of labos is disabled',
      (select string_agg(format('%s on %s', t.tgname, t.tgrelid::regclass), ', ' order by t.tgrelid::regclass::text, t.tgname)
       from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('lab', 'lab_data', 'lab_private') and t.tgname ~ '^_\d{3}_' and not t.tgisinternal and t.tgenabled in ('D', 'R')),
      'ALTER TABLE … ENABLE TRIGGER …;'
    union all
    select 24, 'critical', 'the triggers of labos are there',
      (select string_agg(format('%s on %s', x.missing, x.relation), ', ' order by x.relation, x.missing) from (
         -- Stamps and the optimistic lock.
         select '_100_stamp' as missing, t.oid::regclass::text as relation
         from tables t
         where t.nspname = 'lab_data' and exists (select from pg_attribute a where a.attrelid = t.oid and a.attname in ('version', 'updated_at') and not a.attisdropped)
           and not exists (select from pg_trigger g where g.tgrelid = t.oid and g.tgname = '_100_stamp')
         union all
         -- The limit of rows that a request changes.
         select '_050_limit', t.oid::regclass::text
         from tables t
         where t.nspname = 'lab_data' and (has_table_privilege('lab_user', t.oid, 'DELETE') or has_any_column_privilege('lab_user', t.oid, 'UPDATE'))
           and not exists (select from pg_trigger g where g.tgrelid = t.oid and g.tgname = '_050_limit')
         union all
         -- A row that can be marked is not removed.
         select '_100_soft_delete', v.oid::regclass::text
         from pg_class v join pg_namespace n on n.oid = v.relnamespace and n.nspname = 'lab'
         join tables t on t.relname = v.relname and t.nspname = 'lab_data'
         where v.relkind = 'v' and has_table_privilege('lab_user', v.oid, 'DELETE')
           and exists (select from pg_attribute a where a.attrelid = t.oid and a.attname = 'deleted_at' and not a.attisdropped)
           and not exists (select from pg_trigger g where g.tgrelid = v.oid and g.tgname = '_100_soft_delete')
         union all
         -- What changes rights is told to every session.
         select '_500_rights', n.nspname || '.' || c.relname
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where (n.nspname, c.relname) in (('lab_data', 'organizations'), ('lab_data', 'users'), ('lab_data', 'memberships'), ('lab_data', 'roles'),
                                          ('lab_data', 'role_permissions'), ('lab_data', 'user_roles'), ('lab_private', 'db_logins'))
           and not exists (select from pg_trigger g where g.tgrelid = c.oid and g.tgname = '_500_rights')) x),
      'CALL labos.deploy(): it runs the files again that make them; or labos.expose(…) for a table of your own'
    union all
    select 25, 'warning', 'no rule and no trigger of somebody else acts on the tables',
      (select string_agg(x.what, ', ' order by x.what) from (
         select format('trigger %s on %s', g.tgname, g.tgrelid::regclass) as what
         from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
         join pg_proc p on p.oid = g.tgfoid join pg_namespace pn on pn.oid = p.pronamespace
         where n.nspname in ('lab', 'lab_data', 'lab_private') and not g.tgisinternal and pn.nspname not in ('labos', 'lab_private')
         union all
         select format('rule %s on %s', w.rulename, w.ev_class::regclass)
         from pg_rewrite w join pg_class c on c.oid = w.ev_class join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('lab', 'lab_data', 'lab_private') and w.rulename <> '_RETURN') x),
      'Look what it does; DROP TRIGGER … or DROP RULE …;'
    union all
    select 26, 'warning', 'changes of records leave a trace',
      (select string_agg(t.oid::regclass::text, ', ' order by 1) from tables t join pg_class c on c.oid = t.oid
       where t.nspname = 'lab_data' and not c.relispartition and to_regprocedure('labos.audit_here()') is not null
         -- The access log tells of sessions; rows of a data set never change, and its digest is audited.
         and t.relname not in ('user_sessions', 'dataset_rows')
         and not exists (select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
                         where g.tgrelid = t.oid and p.proname = 'tg__audit' and g.tgtype & 29 = 29)),
      'CALL labos.audit_enable(…);'
    union all
    select 27, 'critical', 'everything belongs to the owner of the schema',
      (select string_agg(distinct format('%s: %s', x.what, pg_get_userbyid(x.owner)), ', ') from (
         select c.oid::regclass::text as what, c.relowner as owner from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('lab', 'lab_data', 'lab_private') and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
         union all
         select p.oid::regprocedure::text, p.proowner from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('lab', 'lab_data', 'lab_private')
         union all
         select 'schema ' || n.nspname, n.nspowner from pg_namespace n where n.nspname in ('lab', 'lab_data', 'lab_private')) x
       where x.owner <> coalesce(to_regrole('lab_owner')::oid, x.owner)),
      'ALTER … OWNER TO lab_owner; after looking why it does not'
    union all
    select 28, 'critical', 'nothing foreign stands in the schemas of the extension',
      (select string_agg(x.what, ', ' order by x.what) from (
         select p.oid::regprocedure::text as what, 'pg_proc'::regclass as class, p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('labos', 'labos_ops')
         union all
         select c.oid::regclass::text, 'pg_class'::regclass, c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('labos', 'labos_ops') and c.relkind in ('r', 'v', 'm', 'f', 'S')
         union all
         select o.oid::regoperator::text, 'pg_operator'::regclass, o.oid from pg_operator o join pg_namespace n on n.oid = o.oprnamespace where n.nspname in ('labos', 'labos_ops')) x
       where not exists (select from pg_depend e join pg_extension y on y.oid = e.refobjid
                         where e.classid = x.class and e.objid = x.oid and e.refclassid = 'pg_extension'::regclass and e.deptype = 'e')),
      'An object there is found before the one meant: DROP it, or move it to a schema of your own.'
    union all
    select 29, 'critical', 'clients create nothing in the schemas of labos',
      (select string_agg(distinct format('%s in %s', coalesce(r.rolname, 'public'), n.nspname), ', ')
       from pg_namespace n cross join lateral aclexplode(n.nspacl) a left join pg_roles r on r.oid = a.grantee
       where n.nspname in ('lab', 'lab_data', 'lab_private', 'labos', 'labos_ops') and a.privilege_type = 'CREATE'
         and a.grantee <> n.nspowner and coalesce(r.rolname, 'public') <> 'lab_owner' and not coalesce(r.rolsuper, false)),
      'REVOKE CREATE ON SCHEMA … FROM …;'
  )
  select f.id, f.severity, f.what, f.names::text, f.mend
  from findings f;
end
$$;
comment on function labos.doctor_schema() is
$$What is not safe in the schemas

Part of labos.doctor(): one row a check, found is null where nothing is wrong.$$;
revoke all on function labos.doctor_schema() from public;
