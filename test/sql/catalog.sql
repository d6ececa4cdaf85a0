-- The deployed schemas keep the house rules: every fault is named, and there is none.
-- A new table or function that forgets a rule fails here; an exception is a row with its reason below.
set client_min_messages to warning;
set search_path to pg_catalog, pg_temp;

-- Exceptions, each with its reason ------------------------------------------

create temp table exempt (rule text, object text, reason text, primary key (rule, object));
insert into pg_temp.exempt values
  ('policy verb', 'lab_data.project_members', 'who manages a project adds and changes its members'),
  ('rights beyond the table', 'lab.datasets', 'nothing but deleted_at changes, by the trigger of the view'),
  ('policy owner', 'lab_data.samples', 'the laboratory''s; the owner is who answers for it'),
  ('open call', 'lab.auth_verify_email(text)', 'proves an address by a token'),
  ('open call', 'lab.auth_verify_resend(text)', 'asks for a mail'),
  ('open call', 'lab.auth_password_forgot(text)', 'asks for a mail'),
  ('open call', 'lab.auth_password_reset(text,text)', 'changes a password by a token'),
  ('open call', 'lab.auth_email_confirm(text)', 'proves an address by a token'),
  ('open call', 'lab.auth_invite_accept(text,text,text,text,text,text,jsonb)', 'makes a member by a token'),
  ('open call', 'lab.jwks()', 'public keys'),
  ('open call', 'lab.auth_login(text,text,text,jsonb,text)', 'signs in'),
  ('open call', 'lab.auth_mfa_verify(text,text,jsonb,text)', 'signs in'),
  ('open call', 'lab.auth_token(text,text,text,text,text,text,text)', 'signs in'),
  ('open call', 'lab.auth_refresh(text)', 'signs in by refresh token'),
  ('open call', 'lab.auth_api_key(text)', 'signs in by API key'),
  ('open call', 'lab.auth_oidc(text,text,text,jsonb)', 'signs in by ID token'),
  ('open call', 'lab.auth_logout(text)', 'signs out by refresh token'),
  ('open call', 'lab.auth_register(text,text,text,text,text,text)', 'makes the account'),
  ('private', 'lab_private.audit_visible', 'the barrier behind lab.audit_log: rows of the caller''s organisation'),
  ('tenant column', 'lab_data.organizations', 'the organisation itself'),
  ('tenant column', 'lab_data.users', 'one user may belong to many organisations'),
  ('tenant column', 'lab_data.permissions', 'the vocabulary of the installation'),
  ('tenant column', 'lab_data.roles', 'system roles belong to no organisation'),
  ('tenant column', 'lab_data.role_permissions', 'those of system roles belong to no organisation'),
  ('tenant first', 'lab_data.roles', 'system roles are looked up by id'),
  ('tenant first', 'lab_data.role_permissions', 'looked up by role'),
  ('unique index', 'lab_data.roles: lab_data.roles_pkey has no org_id', 'system roles belong to no organisation'),
  ('unique index', 'lab_data.role_permissions: lab_data.role_permissions_pkey has no org_id', 'as its role'),
  ('composite foreign key', 'lab_data.roles: role_parent joins organisations', 'a parent may be a system role'),
  ('composite foreign key', 'lab_data.role_permissions: role_permission_role joins organisations', 'the role may be a system role'),
  ('composite foreign key', 'lab_data.user_roles: user_role_role joins organisations', 'the role may be a system role'),
  ('policy shape', 'lab_data.user_sessions', 'its owner column is user_id'),
  ('audit trigger', 'lab_data.user_sessions', 'the access log tells of them'),
  ('audit trigger', 'lab_data.dataset_rows', 'nobody changes them; datasets.sha256 is audited'),
  ('definer guard', 'lab.auth_login(text,text,text,jsonb,text)', 'signs in'),
  ('definer guard', 'lab.auth_mfa_verify(text,text,jsonb,text)', 'signs in'),
  ('definer guard', 'lab.auth_token(text,text,text,text,text,text,text)', 'signs in'),
  ('definer guard', 'lab.auth_refresh(text)', 'signs in by refresh token'),
  ('tenant column', 'lab_data.oidc_providers', 'one may be of the whole installation'),
  ('tenant first', 'lab_data.oidc_providers', 'few, looked up by id'),
  ('unique index', 'lab_data.oidc_providers: lab_data.oidc_providers_pkey has no org_id', 'one may be of the whole installation'),
  ('composite foreign key', 'lab_data.oidc_providers: oidc_provider_default_role joins organisations', 'the role may be a system role'),
  ('definer guard', 'lab.auth_api_key(text)', 'signs in by API key'),
  ('definer guard', 'lab.auth_oidc(text,text,text,jsonb)', 'signs in by ID token'),
  ('definer guard', 'lab.auth_logout(text)', 'signs out by refresh token'),
  ('definer guard', 'lab.auth_register(text,text,text,text,text,text)', 'makes the account'),
  ('composite foreign key', 'lab_data.invitations: invitation_role joins organisations', 'the role may be a system role'),
  ('definer guard', 'lab.auth_verify_email(text)', 'proves an address by a token'),
  ('definer guard', 'lab.auth_verify_resend(text)', 'asks for a mail'),
  ('definer guard', 'lab.auth_password_forgot(text)', 'asks for a mail'),
  ('definer guard', 'lab.auth_password_reset(text,text)', 'changes a password by a token'),
  ('definer guard', 'lab.auth_email_confirm(text)', 'proves an address by a token'),
  ('definer guard', 'lab.auth_invite_accept(text,text,text,text,text,text,jsonb)', 'makes a member by a token'),
  ('definer organisation', 'lab.auth_verify_resend(text)', 'asks for the caller, who is global'),
  ('definer guard', 'lab.jwks()', 'public keys'),
  ('definer organisation', 'lab.auth_me_update(text,text,text,text,jsonb)', 'changes the caller, who is global'),
  ('policy shape', 'lab_data.organizations', 'its id is the organisation'),
  ('policy shape', 'lab_data.users', 'seen through memberships'),
  ('policy shape', 'lab_data.permissions', 'the same for everybody'),
  ('policy shape', 'lab_data.roles', 'system roles are seen by everybody'),
  ('policy shape', 'lab_data.role_permissions', 'those of system roles are seen by everybody');

-- The rules -----------------------------------------------------------------

create function pg_temp.api_roles() returns table (oid oid, rolname name) language sql as
$$ select r.oid, r.rolname from pg_catalog.pg_roles r where r.rolname in ('lab_anon', 'lab_user', 'lab_guest', 'lab_auditor') $$;

-- Tables of the laboratory; a partition stands for its parent.
create function pg_temp.tables() returns table (oid oid, name text, has_org boolean) language sql as $$
  select c.oid, n.nspname || '.' || c.relname,
         exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped)
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'lab_data' and c.relkind in ('r', 'p') and not c.relispartition $$;

create function pg_temp.functions() returns table (oid oid, schema name, name text, body text, definer boolean, config text[], kind "char",
                                                   owner oid, acl aclitem[], member boolean, args text[]) language sql as $$
  select p.oid, n.nspname, p.oid::regprocedure::text, p.prosrc, p.prosecdef, p.proconfig, p.prokind, p.proowner,
         coalesce(p.proacl, acldefault('f', p.proowner)),
         exists (select from pg_catalog.pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'),
         p.proargnames
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname in ('lab', 'lab_data', 'lab_private', 'labos', 'labos_ops') $$;

-- What each API role may do with each relation, column rights included.
create function pg_temp.rights() returns table (relation oid, role oid, verb text) language sql as $$
  select c.oid, x.grantee, lower(x.privilege_type)
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname in ('lab', 'lab_data', 'lab_private')
  cross join lateral aclexplode(c.relacl) x
  where c.relkind in ('r', 'p', 'v', 'm', 'f')
  union
  select a.attrelid, x.grantee, lower(x.privilege_type)
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class c on c.oid = a.attrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname in ('lab', 'lab_data', 'lab_private')
  cross join lateral aclexplode(a.attacl) x $$;

create function pg_temp.faults() returns table (rule text, object text) language sql set search_path to pg_catalog as $$
  with found (rule, object, detail) as (
    -- Row security.
    select 'row security', t.name, case when c.relrowsecurity then 'not forced' else 'not enabled' end
    from pg_temp.tables() t join pg_class c on c.oid = t.oid
    where not (c.relrowsecurity and c.relforcerowsecurity)
    union all
    select 'restrictive policy', t.name, p.polname::text
    from pg_temp.tables() t join pg_policy p on p.polrelid = t.oid where not p.polpermissive
    union all
    select 'policy per verb', t.name, format('%s may %s and no policy says which rows', r.rolname, x.verb)
    from pg_temp.tables() t
    join pg_temp.rights() x on x.relation = t.oid and x.verb in ('select', 'insert', 'update', 'delete')
    join pg_temp.api_roles() r on r.oid = x.role
    where not exists (
      select from pg_policy p
      where p.polrelid = t.oid and (r.oid = any (p.polroles) or 0 = any (p.polroles))
        and p.polcmd = case x.verb when 'select' then 'r' when 'insert' then 'a' when 'update' then 'w' else 'd' end)
    union all
    select 'policy name', t.name, p.polname::text
    from pg_temp.tables() t join pg_policy p on p.polrelid = t.oid
    where not (p.polname = 'owner_all' and p.polcmd = '*' or p.polcmd <> '*' and p.polname like
      (case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' else 'delete' end) || '\_%')
    union all
    select 'policy shape', t.name, format('%s: %s', p.polname, e.expression)
    from pg_temp.tables() t
    join pg_policy p on p.polrelid = t.oid
    cross join lateral (values (pg_get_expr(p.polqual, t.oid), 'q'), (pg_get_expr(p.polwithcheck, t.oid), 'c')) e(expression, part)
    where case
        when p.polname = 'owner_all' then
          p.polroles is distinct from array['lab_owner'::regrole::oid] or e.expression is distinct from 'true'
        -- The part that a verb does not have.
        when (p.polcmd, e.part) in (('r', 'c'), ('d', 'c'), ('a', 'q')) then e.expression is not null
        when e.expression is null then not (p.polcmd = 'w' and e.part = 'c')
        -- A guest's: what is shared, by the same permission and column on both sides.
        when p.polroles = array['lab_guest'::regrole::oid] then e.expression !~ (
          '^\(\(org_id = labos\.guest_org_for\((''[a-z_]+:(read|create|update)''::text)\)\) AND '
          '\(([a-z_]+) = labos\.shared_row\(\1, ''[a-z_]+''::text, \3, (project_id|NULL::uuid)\)\)( AND \(deleted_at IS NULL\))?\)$')
        when p.polroles <> array['lab_user'::regrole::oid] then true
        else e.expression !~ (
          '^\(*org_id = labos\.org_for\(''[a-z_]+:[a-z_]+''::text\)\)*'
          '( AND \(owner_id (OPERATOR\(labos\.===\) labos\.owner_for\(''[a-z_]+:[a-z_]+''::text, owner_id(, ''[a-z_]+''::text, ([a-z]+_)*id)?\)|= labos\.user_id\(\))\)*)?( AND \(deleted_at IS NULL\)\)*)?$') end
    -- Reading needs the permission to read, and so on.
    union all
    select 'policy verb', t.name, format('%s: %s', p.polname, e.expression)
    from pg_temp.tables() t
    join pg_policy p on p.polrelid = t.oid and p.polroles = array['lab_user'::regrole::oid]
    cross join lateral (values (pg_get_expr(p.polqual, t.oid)), (pg_get_expr(p.polwithcheck, t.oid))) e(expression)
    where e.expression ~ 'org_for\(' and e.expression !~ ('org_for\(''[a-z_]+:' || (case p.polcmd when 'r' then 'read' when 'a' then 'create' when 'w' then 'update' else 'delete' end))
    -- What has an owner is the owner's, unless one may read, change or delete anybody's.
    union all
    select 'policy owner', t.name, format('%s: %s', p.polname, pg_get_expr(p.polqual, t.oid))
    from pg_temp.tables() t
    join pg_attribute a on a.attrelid = t.oid and not a.attisdropped and (a.attname = 'owner_id' or a.attname = 'user_id' and t.name = 'lab_data.user_sessions')
    join pg_policy p on p.polrelid = t.oid and p.polroles = array['lab_user'::regrole::oid] and p.polcmd in ('r', 'w', 'd')
    where pg_get_expr(p.polqual, t.oid) !~ ('\m' || a.attname || '\M')
    -- What is marked deleted is neither read nor changed, by the view or by the table.
    union all
    select 'policy live', t.name, format('%s: %s', p.polname, e.expression)
    from pg_temp.tables() t
    join pg_attribute a on a.attrelid = t.oid and a.attname = 'deleted_at' and not a.attisdropped
    join pg_policy p on p.polrelid = t.oid and p.polname <> 'owner_all' and p.polcmd <> 'a'
    cross join lateral (values (pg_get_expr(p.polqual, t.oid)), (pg_get_expr(p.polwithcheck, t.oid))) e(expression)
    where e.expression !~ ' AND \(deleted_at IS NULL\)\)$'
    union all
    select 'policy for everybody', t.name, p.polname::text
    from pg_temp.tables() t join pg_policy p on p.polrelid = t.oid where 0 = any (p.polroles)

    -- Keys.
    union all
    select 'primary key', t.name, 'has none'
    from pg_temp.tables() t where not exists (select from pg_index i where i.indrelid = t.oid and i.indisprimary)
    union all
    select 'tenant column', t.name, 'has no org_id' from pg_temp.tables() t where not t.has_org
    union all
    select 'tenant column', t.name, 'org_id is not "uuid not null"'
    from pg_temp.tables() t join pg_attribute a on a.attrelid = t.oid and a.attname = 'org_id' and not a.attisdropped
    where not (a.attnotnull and a.atttypid = 'uuid'::regtype)
    union all
    select 'tenant first', t.name, 'no index or key starts with org_id'
    from pg_temp.tables() t
    where t.has_org and not exists (
      select from pg_index i join pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0]
      where i.indrelid = t.oid and a.attname = 'org_id' and i.indpred is null and i.indisvalid)
    union all
    select 'unique index', t.name, i.indexrelid::regclass::text || ' has no org_id'
    from pg_temp.tables() t join pg_index i on i.indrelid = t.oid
    where t.has_org and (i.indisunique or i.indisexclusion) and not exists (
      select from pg_attribute a where a.attrelid = t.oid and a.attname = 'org_id' and a.attnum = any (i.indkey[0:i.indnkeyatts - 1]))
    union all
    select 'composite foreign key', t.name, c.conname || ' joins organisations'
    from pg_temp.tables() t
    join pg_constraint c on c.conrelid = t.oid and c.contype = 'f' and c.conparentid = 0
    join pg_temp.tables() f on f.oid = c.confrelid and f.has_org
    where t.has_org and not exists (
      select from generate_subscripts(c.conkey, 1) k
      join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[k] and a.attname = 'org_id'
      join pg_attribute b on b.attrelid = c.confrelid and b.attnum = c.confkey[k] and b.attname = 'org_id')
    union all
    select 'foreign key name', t.name, c.conname || ' is not <row>_<what>'
    from pg_temp.tables() t
    join pg_constraint c on c.conrelid = t.oid and c.contype = 'f' and c.conparentid = 0
    where c.conname like '%\_fkey%'
      and (select array_agg(a.attname::text) from pg_attribute a where a.attrelid = t.oid and a.attnum = any (c.conkey)) <> '{org_id}'
    union all
    select 'foreign key action', t.name, format('%s: on delete %s, on update %s', c.conname, c.confdeltype, c.confupdtype)
    from pg_temp.tables() t join pg_constraint c on c.conrelid = t.oid and c.contype = 'f'
    where c.confdeltype not in ('a', 'c') or c.confupdtype <> 'a'

    -- Types that bite: enums cannot be extended and used in one transaction and leak; a time needs its zone.
    union all
    select 'column type', t.name, format('%s is %s', a.attname, format_type(a.atttypid, a.atttypmod))
    from pg_temp.tables() t
    join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    join pg_type y on y.oid = a.atttypid
    where y.typtype = 'e' or a.atttypid in ('timestamp'::regtype, 'timetz'::regtype, 'money'::regtype, 'json'::regtype, 'bpchar'::regtype)

    -- Triggers.
    union all
    select 'trigger name', t.name, g.tgname::text
    from pg_temp.tables() t join pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal
    where g.tgname !~ '^_[0-9]{3}_[a-z0-9_]+$'
    union all
    select 'trigger enabled', t.name, g.tgname::text
    from pg_temp.tables() t join pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal
    where g.tgenabled <> case when g.tgname ~ '^_9[0-9]{2}_audit' then 'A' else 'O' end
    union all
    select 'audit trigger', t.name, 'changes leave no trace'
    from pg_temp.tables() t
    where not exists (select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
                      where g.tgrelid = t.oid and p.proname = 'tg__audit' and g.tgtype & 29 = 29)
      and exists (select from pg_proc p where p.proname = 'tg__audit')
    union all
    select 'stamp trigger', t.name, a.attname || ' is not kept by labos.tg__stamp()'
    from pg_temp.tables() t
    join pg_attribute a on a.attrelid = t.oid and a.attname in ('updated_at', 'version') and not a.attisdropped
    where not exists (select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
                      where g.tgrelid = t.oid and p.proname = 'tg__stamp' and g.tgname = '_100_stamp')

    -- Views.
    union all
    select 'view', c.oid::regclass::text, 'runs with the rights of its owner'
    from pg_class c
    where c.relnamespace in ('lab'::regnamespace, 'lab_data'::regnamespace) and c.relkind = 'v'
      and not coalesce('security_invoker=true' = any (c.reloptions) or 'security_invoker=on' = any (c.reloptions), false)
    union all
    select 'schema lab', c.oid::regclass::text, 'is no view'
    from pg_class c where c.relnamespace = 'lab'::regnamespace and c.relkind not in ('v', 'c', 'i', 'S')

    -- Owners and rights.
    union all
    select 'owner', c.oid::regclass::text, pg_get_userbyid(c.relowner)
    from pg_class c where c.relnamespace in ('lab'::regnamespace, 'lab_data'::regnamespace, 'lab_private'::regnamespace)
      and c.relkind in ('r', 'p', 'v', 'm', 'S') and c.relowner <> 'lab_owner'::regrole
    union all
    select 'owner', f.name, pg_get_userbyid(f.owner)
    from pg_temp.functions() f where f.schema in ('lab', 'lab_data', 'lab_private') and f.owner <> 'lab_owner'::regrole
    union all
    select 'rights of public', x.relation::regclass::text, x.verb from pg_temp.rights() x where x.role = 0
    union all
    select 'rights of public', n.nspname, x.privilege_type
    from pg_namespace n cross join lateral aclexplode(n.nspacl) x
    where n.nspname in ('lab', 'lab_data', 'lab_private', 'labos', 'labos_ops') and x.grantee = 0
    union all
    select 'executable by public', f.name, 'revoke all ... from public'
    from pg_temp.functions() f cross join lateral aclexplode(f.acl) x
    where x.grantee = 0 and (f.schema in ('lab', 'lab_data', 'lab_private') or f.definer)
    union all
    select 'private', x.relation::regclass::text, format('%s may %s', r.rolname, x.verb)
    from pg_temp.rights() x join pg_temp.api_roles() r on r.oid = x.role
    join pg_class c on c.oid = x.relation and c.relnamespace = 'lab_private'::regnamespace
    union all
    select 'private', f.name, r.rolname || ' may execute it'
    from pg_temp.functions() f cross join lateral aclexplode(f.acl) x join pg_temp.api_roles() r on r.oid = x.grantee
    where f.schema = 'lab_private'
    union all
    select 'rights', x.relation::regclass::text, format('%s may %s', r.rolname, x.verb)
    from pg_temp.rights() x join pg_temp.api_roles() r on r.oid = x.role
    where x.verb in ('truncate', 'references', 'trigger', 'maintain')
    union all
    select 'rights of anon', x.relation::regclass::text, x.verb
    from pg_temp.rights() x join pg_temp.api_roles() r on r.oid = x.role and r.rolname = 'lab_anon'
    union all
    -- What a view does not offer, its table must not either.
    select 'rights beyond the view', t.name, format('%s may %s the table', r.rolname, x.verb)
    from pg_temp.tables() t
    join pg_temp.rights() x on x.relation = t.oid
    join pg_temp.api_roles() r on r.oid = x.role
    where not exists (
      select from pg_depend d
      join pg_rewrite w on w.oid = d.objid and d.classid = 'pg_rewrite'::regclass
      join pg_class v on v.oid = w.ev_class and v.relnamespace = 'lab'::regnamespace
      join pg_temp.rights() y on y.relation = v.oid and y.role = x.role and (y.verb = x.verb or x.verb = 'update' and y.verb = 'delete')
      where d.refobjid = t.oid and d.refclassid = 'pg_class'::regclass)

    -- Columns are granted one by one: org_id and the stamps are never the client's.
    union all
    select 'rights of whole rows', c.oid::regclass::text, format('%s may %s', r.rolname, lower(x.privilege_type))
    from pg_class c cross join lateral aclexplode(c.relacl) x join pg_temp.api_roles() r on r.oid = x.grantee
    where (c.relnamespace in ('lab'::regnamespace, 'lab_data'::regnamespace) and x.privilege_type in ('INSERT', 'UPDATE'))
       -- A column that a table gains is not the client's until it is exposed.
       or (c.relnamespace = 'lab_data'::regnamespace and x.privilege_type = 'SELECT')
    -- What a table does not allow, its view does not offer; a row is deleted by marking it.
    union all
    select 'rights beyond the table', v.oid::regclass::text, format('%s may %s the view', r.rolname, y.verb)
    from pg_class v
    join pg_temp.rights() y on y.relation = v.oid
    join pg_temp.api_roles() r on r.oid = y.role
    where v.relnamespace = 'lab'::regnamespace and v.relkind = 'v' and exists (
      select from pg_rewrite w join pg_depend d on d.objid = w.oid and d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
      join pg_temp.tables() t on t.oid = d.refobjid
      where w.ev_class = v.oid and not exists (
        select from pg_temp.rights() x where x.relation = t.oid and x.role = y.role and (x.verb = y.verb or y.verb = 'delete' and x.verb = 'update')))
    union all
    select 'open call', f.name, r.rolname || ' may execute it'
    from pg_temp.functions() f cross join lateral aclexplode(f.acl) x join pg_roles r on r.oid = x.grantee and r.rolname = 'lab_anon'
    where f.schema = 'lab'
    -- What signs, opens, hashes, counts or changes the schema is for the owner only.
    union all
    select 'closed function', f.name, coalesce(r.rolname, 'everybody') || ' may execute it'
    from pg_temp.functions() f cross join lateral aclexplode(f.acl) x left join pg_temp.api_roles() r on r.oid = x.grantee
    where f.schema = 'labos' and (x.grantee = 0 or r.oid is not null)
      and f.name ~ '^labos\.(jw[kst]_|password_|bcrypt|secret_|master_key|totp_|login_guard|use_guard|hash_slot|audit_(event|baseline|refresh|here|seal|verify|open|close|size|check_policy|set_trigger|enable|disable)|protect|expose|create_roles|prepare_database|deploy(_files)?\(|doctor|exec_file|run_as_owner|bootstrap)'

    -- Functions.
    union all
    select 'definer search_path', f.name, coalesce(array_to_string(f.config, ', '), 'none')
    from pg_temp.functions() f
    where f.definer and not coalesce((select c ~ '^search_path="?pg_catalog"?,.*"?pg_temp"?$' from unnest(f.config) c where c like 'search_path=%'), false)
    union all
    select 'definer guard', f.name, 'does not begin by asking who calls'
    from pg_temp.functions() f
    where f.definer and f.schema = 'lab'
      and f.body !~* '^\s*((--|#variable_conflict)[^\n]*\n\s*)*declare\s[^;]*(;[^;]*)*(labos\.require_(org_for|permission|user)|lab_private\.require_(superuser|interactive|own_account))\([^;]*;.*\mbegin\M'
      and f.body !~* '^[^;]*(;[^;]*)*\mbegin\M\s*(--[^\n]*\n\s*)*[^;]*(labos\.require_(org_for|permission|user)|lab_private\.require_(superuser|interactive|own_account))\('
    union all
    select 'definer organisation', f.name, 'never names org_id'
    from pg_temp.functions() f where f.definer and f.schema = 'lab' and f.body !~ '\morg_id\M' and f.body ~* '\mlab_data\.'
    union all
    select 'search_path', f.name, 'is found by the caller''s search_path'
    from pg_temp.functions() f
    join pg_proc p on p.oid = f.oid
    join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
    where not exists (select from unnest(f.config) c where c like 'search_path=%')
    union all
    select 'argument name', f.name, a.name from pg_temp.functions() f cross join lateral unnest(f.args) a(name)
    where f.schema = 'lab' and (a.name ~ '^p_' or a.name = '')

    -- Comments: they are the OpenAPI text.
    union all
    select 'comment', c.oid::regclass::text, 'missing'
    from pg_class c
    where c.relnamespace in ('lab'::regnamespace, 'lab_data'::regnamespace, 'lab_private'::regnamespace, 'labos'::regnamespace)
      and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and obj_description(c.oid, 'pg_class') is null
    union all
    select 'comment', f.name, 'missing' from pg_temp.functions() f where obj_description(f.oid, 'pg_proc') is null
    union all
    select 'comment', f.name, 'is not a title, an empty line and a text'
    from pg_temp.functions() f
    where f.schema = 'lab' and obj_description(f.oid, 'pg_proc') !~ '^[^\n]+\n\n[^\n]'
    union all
    select 'comment', y.oid::regtype::text, 'missing'
    from pg_type y
    where y.typnamespace in ('lab'::regnamespace, 'lab_data'::regnamespace, 'labos'::regnamespace)
      and (y.typtype in ('d', 'r') or y.typtype = 'b' and y.typelem = 0) and obj_description(y.oid, 'pg_type') is null

    -- The database.
    union all
    select 'database', 'temporary tables', 'everybody may shadow a table'
    from pg_database d cross join lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x
    where d.datname = current_database() and x.grantee = 0 and x.privilege_type = 'TEMPORARY'
    union all
    select 'gateway', 'lab_authenticator', 'inherits or is more than a login'
    from pg_roles r where r.rolname = 'lab_authenticator'
      and (r.rolinherit or r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication)
    union all
    select 'gateway', r.rolname, 'bypasses row security'
    from pg_temp.api_roles() a join pg_roles r on r.oid = a.oid where r.rolsuper or r.rolbypassrls
  )
  select f.rule, format('%s: %s', f.object, f.detail) from found f
  where not exists (select from pg_temp.exempt e where e.rule = f.rule and e.object in (f.object, f.object || ': ' || f.detail))
  order by 1, 2
$$;

-- There is no fault.
select * from pg_temp.faults();

-- Each exception names something that exists.
select e.rule, e.object from pg_temp.exempt e
where case when e.object like '%(%' then to_regprocedure(e.object)::oid else to_regclass(split_part(e.object, ':', 1))::oid end is null
order by 1, 2;

-- The rules find what they are there for: a table and a function that forget everything ---------------------------
begin;
create type lab_data.bad_state as enum ('on');
create table lab_data.bad_global (id uuid, at timestamp, state lab_data.bad_state);
create table lab_data.bad_parents (id uuid, org_id uuid, version integer, deleted_at timestamptz, constraint bad_parents_pkey primary key (id));
create table lab_data.bad_children (id uuid, org_id uuid not null, parent_id uuid,
  constraint bad_children_pkey primary key (org_id, id),
  constraint bad_children_parent_id_fkey foreign key (parent_id) references lab_data.bad_parents (id) on delete set null);
alter table lab_data.bad_children enable row level security;
alter table lab_data.bad_children force row level security;
create policy some_rows on lab_data.bad_children for select to lab_user using (org_id = labos.org_id() or parent_id is null);
create policy select_own_org on lab_data.bad_children as restrictive for select using (true);
create policy owner_all on lab_data.bad_children to lab_user using (true) with check (true);
create policy select_own_org on lab_data.bad_parents for select to lab_user using (org_id = labos.org_for('bad:read'));
grant select, insert (id), truncate on lab_data.bad_children to lab_user;
grant select on lab_data.bad_children to lab_anon, public;
create function lab_private.bad_touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touch before update on lab_data.bad_children for each row execute function lab_private.bad_touch();
alter table lab_data.bad_children disable trigger touch;
create view lab.bad_view as select * from lab_data.bad_children;
create table lab.bad_table (id integer);
grant select on lab_private.migration to lab_user;
create function lab.bad_call(p_id uuid) returns bigint language plpgsql security definer as
  'begin return (select count(*) from lab_data.bad_children c where c.id = p_id); end';
create function lab.good_call(id uuid) returns bigint language plpgsql security definer set search_path to pg_catalog, labos, pg_temp as
  'declare v_org uuid := labos.require_org_for(''bad:read''); begin return (select count(*) from lab_data.bad_children c where c.org_id = v_org and c.id = good_call.id); end';
revoke all on function lab.good_call(uuid) from public;
alter function lab.good_call(uuid) owner to lab_owner;
comment on function lab.good_call(uuid) is E'Good call\n\nNothing to say against it.';
alter role lab_authenticator inherit;
alter role lab_guest bypassrls;
select * from pg_temp.faults() where object ~ 'bad_|good_|lab_authenticator|lab_guest';
rollback;
reset search_path;
