-- Loosens one policy, grant or check after the other and asks the quick tests whether they see it; see bin/mutate.
-- Runs after test/sql/install.sql and the rules of test/sql/catalog.sql, in their session. :take and :seed choose a sample.
set client_min_messages to warning;
reset search_path;

-- Rows of another organisation, for the policies that are not of the canonical shape.
insert into lab_data.roles (org_id, name, display_name) select o.id, 'secret_role', 'Secret' from lab_data.organizations o where o.slug = 'alpha';
insert into lab_data.role_permissions (org_id, role_id, permission) select r.org_id, r.id, 'user:read' from lab_data.roles r where r.name = 'secret_role';
insert into lab_data.user_sessions (org_id, user_id, expires_at) select test.org_of('sam'), test.id_of('sam'), 'infinity';
insert into lab_data.user_sessions (org_id, user_id, expires_at) select test.org_of('bob'), test.id_of('bob'), 'infinity';

create temp table mutants as
with api (role) as (values ('lab_anon'), ('lab_user')),
relations as (
  select c.oid, c.oid::regclass::text as name, c.relkind, c.relnamespace::regnamespace::text as schema
  from pg_class c where c.relnamespace in ('lab'::regnamespace, 'lab_data'::regnamespace, 'lab_private'::regnamespace) and c.relkind in ('r', 'p', 'v') and not c.relispartition),
functions as (
  select p.oid, p.oid::regprocedure::text as name, p.pronamespace::regnamespace::text as schema, p.prosrc, p.prosecdef, p.prokind, p.prorettype
  from pg_proc p where p.pronamespace in ('lab'::regnamespace, 'lab_private'::regnamespace, 'labos'::regnamespace) and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)),
policies as (
  select p.polname, p.polrelid::regclass::text as name, p.polcmd, pg_get_expr(p.polqual, p.polrelid) as qual, pg_get_expr(p.polwithcheck, p.polrelid) as wcheck, 0 = any (p.polroles) as everybody
  from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = 'lab_data'::regnamespace)
select 'policy' as kind, format('%s on %s: using (true)', polname, name) as mutant, format('alter policy %I on %s using (true)', polname, name) as statement
from policies where qual is not null and qual <> 'true'
union all select 'policy', format('%s on %s: with check (true)', polname, name), format('alter policy %I on %s with check (true)', polname, name) from policies where wcheck is not null and wcheck <> 'true'
union all select 'policy', format('%s on %s: or true', polname, name), format('alter policy %I on %s using (%s or org_id is not null)', polname, name, qual) from policies where qual like '(org_id = %'
union all select 'policy', format('%s on %s: without the permission', polname, name), format('alter policy %I on %s using (org_id = labos.org_id())', polname, name) from policies where qual ~ 'org_for'
union all select 'policy', format('%s on %s: by the permission to read', polname, name), format('alter policy %I on %s using (%s)', polname, name, regexp_replace(qual, ':(create|update|delete|manage)', ':read', 'g')) from policies where polcmd in ('w', 'd') and qual ~ ':(create|update|delete|manage)'
union all select 'policy', format('%s on %s: by any owner', polname, name), format('alter policy %I on %s using (%s)', polname, name, regexp_replace(qual, '^\(?(\(org_id = [^)]*\)\)).*$', '\1')) from policies where qual ~ 'AND \((owner_id|user_id) '
union all select 'policy', format('%s on %s: deleted rows too', polname, name), format('alter policy %I on %s using (%s)', polname, name, replace(qual, ' AND (deleted_at IS NULL)', '')) from policies where qual ~ 'deleted_at'
union all select 'policy', format('%s on %s: to everybody', polname, name), format('alter policy %I on %s to public', polname, name) from policies where not everybody
union all select 'policy', format('one more on %s', name), format('create policy select_too on %s for select to lab_user using (true)', name) from relations where schema = 'lab_data'
union all select 'row security', format('%s: not forced', name), format('alter table %s no force row level security', name) from relations where schema = 'lab_data'
union all select 'row security', format('%s: disabled', name), format('alter table %s disable row level security', name) from relations where schema = 'lab_data'
union all select 'view', format('%s: rights of the owner', name), format('alter view %s set (security_invoker = false)', name) from relations where schema = 'lab' and relkind = 'v'
union all select 'grant', format('%s: %s to %s', name, verb, role), format('grant %s on %s to %s', verb, name, role)
from relations, api, unnest('{select,insert,update,delete,truncate}'::text[]) verb where not has_table_privilege(role, oid, verb) and not (relkind = 'v' and verb = 'truncate')
union all select 'grant', format('%s to %s', name, role), format('grant execute on %s %s to %s', case prokind when 'p' then 'procedure' else 'function' end, name, role)
from functions, api where not has_function_privilege(role, oid, 'execute')
union all select 'grant', format('%s to public', name), format('grant execute on %s %s to public', case prokind when 'p' then 'procedure' else 'function' end, name)
from functions where not has_function_privilege('lab_anon', oid, 'execute')
union all select 'definer', format('%s: as its owner', name), format('alter function %s security definer', name) from functions where schema in ('lab') and not prosecdef and prokind = 'f'
union all select 'definer', format('%s: any search path', name), format('alter function %s reset search_path', name) from functions where schema in ('lab') and prosecdef and prokind = 'f'
union all select 'check', format('%s: %s', name, r[1]), regexp_replace(pg_get_functiondef(oid), '\m(labos\.require_org_for|labos\.require_permission)\([^()]*\)|\mlabos\.require_user\(\)|\mlab_private\.require_superuser\(\)', 'labos.org_id()', 'g')
from functions, regexp_matches(prosrc, '\m(labos\.require_\w+|lab_private\.require_superuser)\(') r where schema = 'lab' and prosecdef and prokind = 'f'
union all select 'trigger', format('%s on %s: off', tgname, tgrelid::regclass), format('alter table %s disable trigger %I', tgrelid::regclass, tgname)
from pg_trigger where not tgisinternal and tgparentid = 0 and tgrelid in (select oid from relations where schema = 'lab_data');

-- What is already said without a mutant does not count.
create temp table known as select rule || ' ' || object as fault from pg_temp.faults() union select name from labos.doctor() where not ok;

create function pg_temp.foreign_rows() returns text language plpgsql as $$
declare
  v_beta  uuid := test.org_of('bob');
  v_table record;
  v_found text;
  v_rows  bigint;
begin
  for v_table in
    select c.oid::regclass::text as name, exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped) as tenant,
           (select quote_ident(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and has_column_privilege('lab_user', c.oid, a.attnum, 'update') limit 1) as writable, c.relkind
    from pg_class c where c.relnamespace in ('lab'::regnamespace, 'lab_data'::regnamespace, 'lab_private'::regnamespace) and c.relkind in ('r', 'p', 'v') and not c.relispartition
  loop
    begin
      execute case when v_table.name ~ 'organizations$' then format('select count(*) from %s where id <> %L', v_table.name, v_beta)
                   when v_table.name ~ '\musers$' then format('select count(*) from %s where username in (''sam'', ''alan'')', v_table.name)
                   when v_table.tenant then format('select count(*) from %s where org_id <> %L', v_table.name, v_beta)
                   else format('select 0 from %s limit 0', v_table.name) end into v_rows;
      if v_rows > 0 then
        return 'foreign rows of ' || v_table.name;
      end if;
      if v_table.writable is not null and (v_table.tenant or v_table.name ~ 'organizations$') and v_table.relkind <> 'v' then
        execute format('update %1$s set %2$s = %2$s where %3$s <> %4$L', v_table.name, v_table.writable, case when v_table.name ~ 'organizations$' then 'id' else 'org_id' end, v_beta);
        get diagnostics v_rows = row_count;
        if v_rows > 0 then
          return 'foreign rows changed in ' || v_table.name;
        end if;
      end if;
    exception when insufficient_privilege or raise_exception then null;
    end;
  end loop;
  return null;
end
$$;

-- The first quick test that sees the mutant, or null.
create function pg_temp.detect() returns text language plpgsql as $$
declare
  v_by text;
begin
  select 'catalog: ' || f.rule into v_by from pg_temp.faults() f where f.rule || ' ' || f.object not in (select k.fault from pg_temp.known k) limit 1;
  if v_by is null then
    select 'doctor: ' || d.name into v_by from labos.doctor() d where not d.ok and d.name not in (select k.fault from pg_temp.known k) limit 1;
  end if;
  if v_by is null then
    perform test.become('bob');
    perform set_config('role', 'lab_user', true);
    v_by := 'isolation: ' || pg_temp.foreign_rows();
    perform set_config('role', 'none', true);
  end if;
  return v_by;
end
$$;
grant execute on all functions in schema pg_temp to lab_user, lab_anon;
grant usage on schema test to lab_user, lab_anon;

create temp table verdicts (kind text, mutant text, killed_by text);
create procedure pg_temp.run(take integer, seed text) language plpgsql as $$
declare
  m    record;
  v_by text;
begin
  for m in select x.* from pg_temp.mutants x where x.statement is not null order by md5(seed || x.mutant) limit take loop
    begin
      execute m.statement;
      v_by := pg_temp.detect();
      raise exception using errcode = 'LB999', message = 'undo';
    exception
      when sqlstate 'LB999' then null;
      when others then v_by := 'refused: ' || sqlerrm;
    end;
    insert into pg_temp.verdicts values (m.kind, m.mutant, v_by);
  end loop;
end
$$;
select coalesce(pg_temp.detect(), 'nothing is found without a mutant') as before;
call pg_temp.run(:take, :'seed');
\pset format aligned
\pset tuples_only off
select kind, count(*) as mutants, count(killed_by) as killed, count(*) filter (where killed_by like 'refused%') as refused, count(*) - count(killed_by) as survived
from verdicts group by rollup (kind) order by kind nulls last;
select split_part(killed_by, ': ', 1) || ': ' || split_part(killed_by, ': ', 2) as killed_by, count(*) from verdicts where killed_by is not null and killed_by not like 'refused%' group by 1 order by 2 desc;
\pset format unaligned
\pset tuples_only on
select distinct 'refused ' || mutant || ': ' || killed_by from verdicts where killed_by like 'refused%' order by 1 limit 20;
select 'SURVIVOR ' || kind || ' ' || mutant from verdicts where killed_by is null order by 1;
select count(killed_by) || ' passed, ' || count(*) - count(killed_by) || ' failed' from verdicts;
