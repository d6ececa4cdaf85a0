-- What each system role may do, asked the way policies and calls ask: labos.has_permission().
set client_min_messages to warning;
create table test.effective (role text, permission text);
create table test.asked as select p.name as permission from lab_data.permissions p;
insert into test.asked values ('sample:fly'), ('nothing:read'), ('sample:*');
grant insert on test.effective to lab_user;
grant select on test.asked to lab_user;

-- A person for each role, who has that role and no other.
insert into lab_data.users (email, username, full_name)
select 'only-' || r.name || '@alpha.test', 'only_' || r.name, r.display_name
from lab_data.roles r where r.org_id is null and r.deleted_at is null;
insert into lab_data.memberships (org_id, user_id, is_default)
select test.org_of('alan'), u.id, true from lab_data.users u where u.username like 'only\_%';
insert into lab_data.user_roles (org_id, user_id, role_id)
select m.org_id, u.id, r.id
from lab_data.roles r
join lab_data.users u on u.username = 'only_' || r.name
join lab_data.memberships m on m.user_id = u.id
where r.org_id is null;

\set ECHO none
\o /dev/null
select format('select test.become(%L)', 'only_' || r.name), 'set role lab_user',
       format('insert into test.effective select %L, a.permission from test.asked a where labos.has_permission(a.permission)', r.name), 'reset role'
from lab_data.roles r where r.org_id is null and r.deleted_at is null order by r.name \gexec
select test.become(null);
\o
\set ECHO all

-- It is the seed, with what a role inherits; the admin's *:* is everything, even what is not in the list.
create view test.seeded as
with recursive up (role, role_id) as (
  select r.name, r.id from lab_data.roles r where r.org_id is null and r.deleted_at is null
  union all
  select up.role, r.parent_id from up join lab_data.roles r on r.id = up.role_id where r.parent_id is not null)
select distinct up.role::text, a.permission
from up
join lab_data.role_permissions rp on rp.role_id = up.role_id
join test.asked a on a.permission = rp.permission or rp.permission = '*:*';
select count(*) > 300 as there_is_something, count(distinct role) as roles from test.seeded;
(select 'seeded but not effective' as wrong, s.* from test.seeded s except select 'seeded but not effective', e.* from test.effective e)
union all
(select 'effective but not seeded', e.* from test.effective e except select 'effective but not seeded', s.* from test.seeded s)
order by 1, 2, 3;

-- The ladder: who stands higher may all that who stands lower may.
select low.role as lower, high.role as higher
from (values ('viewer', 'technician'), ('technician', 'scientist'), ('scientist', 'manager'), ('manager', 'admin'), ('viewer', 'service'),
             ('engineer', 'researcher'), ('researcher', 'engineer'), ('pi', 'manager'), ('manager', 'pi')) x(l, h)
join test.effective low on low.role = x.l
join lateral (select x.h as role) high on not exists (select from test.effective e where e.role = x.h and e.permission = low.permission);

-- The table, for eyes: what each role adds to the one it inherits from.
select r.name as role, p.name as inherits, split_part(e.permission, ':', 1) as resource, string_agg(split_part(e.permission, ':', 2), ' ' order by e.permission) as adds
from test.effective e
join lab_data.roles r on r.name = e.role and r.org_id is null
left join lab_data.roles p on p.id = r.parent_id
where not exists (select from test.effective x where x.role = p.name and x.permission = e.permission)
group by 1, 2, 3 order by 1, 3;

-- Nobody signed in has none, and asking for what is no permission is no error.
select test.error_of($$select labos.has_permission('sample')$$), test.error_of($$select labos.has_permission('')$$),
       labos.has_permission('sample:read') as nobody_may, labos.has_permission(null) is null as null_is_null;
-- Every call and every verb of every table, as each role: what it asks for is what the seed gives. -----------------------

-- The permission that a call asks for is the one that it names to a member who has none; where it is told apart by an
-- argument or comes later, the call is in the list below with its reason.
create function test.asks(call text) returns text language plpgsql set search_path to pg_catalog, labos, pg_temp as $$
declare
  v_detail text;
begin
  begin
    execute call;
    raise exception triggered_action_exception;
  exception when others then
    get stacked diagnostics v_detail = pg_exception_detail;
    return case when sqlstate = 'PT403' then coalesce(substring(v_detail from '"permission"\s*:\s*"([a-z_*]+:[a-z_*]+)"'), substring(v_detail from '"code"\s*:\s*"([a-z_]+)"'))
                when sqlstate = '42501' then 'no right' end;
  end;
end $$;
create table test.calls as
select p.proname::text as call, format('select lab.%I(%s)', p.proname, (select string_agg(format('%I => null::%s', p.proargnames[i], format_type(p.proargtypes[i - 1], null)), ', ') from generate_series(1, p.pronargs) i)) as statement
from pg_proc p
where p.pronamespace = 'lab'::regnamespace and p.prorettype <> 'trigger'::regtype and p.proname !~ '^(auth_|jwks$|health$)' and p.prokind = 'f';
update test.calls set statement = replace(statement, 'kind => null::text', 'kind => ''sample''') where call in ('trash', 'restore', 'purge');
create table test.verbs as
select c.relname::text as name, v.verb,
  case v.verb when 'insert' then format('insert into lab.%I default values', c.relname)
    else format('update lab.%1$I set %2$I = %2$I', c.relname, (select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and has_column_privilege('lab_user', c.oid, a.attnum, 'UPDATE') order by a.attnum limit 1)) end as statement,
  substring(coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) from '''([a-z_]+:[a-z_]+)''') as permission
from pg_class c
join (values ('insert', 'a'), ('update', 'w')) v(verb, cmd) on has_any_column_privilege('lab_user', c.oid, v.verb)
join pg_class t on t.relname = c.relname and t.relnamespace = 'lab_data'::regnamespace
join pg_policy p on p.polrelid = t.oid and p.polcmd::text = v.cmd and p.polname like v.verb || '\_own\_%'
where c.relnamespace = 'lab'::regnamespace and c.relkind = 'v';
create table test.walked (role text, what text, asks text);
grant select on test.calls, test.verbs to lab_user;
grant insert on test.walked to lab_user;
grant execute on function test.asks(text) to lab_user;
create function test.walk(who text) returns void language plpgsql as $$
begin
  perform test.become('only_' || who);
  set local role lab_user;
  insert into test.walked select who, c.call, test.asks(c.statement) from test.calls c;
  insert into test.walked select who, v.verb || ' ' || v.name, test.asks(v.statement) from test.verbs v where v.verb = 'insert';
  reset role;
end $$;
-- Somebody without any role, and the ladder.
insert into lab_data.users (email, username) values ('only-none@alpha.test', 'only_none');
insert into lab_data.memberships (org_id, user_id, is_default) values (test.org_of('alan'), test.id_of('only_none'), true);
\o /dev/null
select test.walk(r) from unnest('{none,viewer,technician,scientist,manager,admin,service,engineer,researcher,pi}'::text[]) r;
\o
-- What each call asks for.
create table test.needs as select what as call, asks from test.walked where role = 'none' and what !~ ' ';
select asks, string_agg(call, ' ' order by call) as calls from test.needs group by 1 order by 1 nulls last;
-- A role is refused a call exactly when the seed does not give it that permission.
select w.role, w.what, n.asks as needs, w.asks as was_told, e.permission is not null as seeded
from test.walked w
join test.needs n on n.call = w.what and n.asks ~ ':'
left join test.effective e on e.role = w.role and e.permission = n.asks
where w.role <> 'none' and (e.permission is not null) = (w.asks is not distinct from n.asks) order by 1, 2;
-- Rows: who lacks the permission of an insert is refused by row security; who has it fails for another reason, such as a missing name.
create view test.inserts as
select w.role, v.name, v.permission, w.asks is null as passes from test.walked w join test.verbs v on 'insert ' || v.name = w.what and v.verb = 'insert';
select i.role, i.name, i.permission, i.passes
from test.inserts i
left join test.effective e on e.role = i.role and e.permission = i.permission
where i.passes <> (e.permission is not null)
  -- A trigger of these asks for what the row refers to before row security is asked: nobody has named anything.
  and i.name not in (select x.name from test.inserts x where x.role = 'none' and x.passes) order by 1, 2;
select string_agg(distinct name, ' ') filter (where not passes) as decided, string_agg(distinct name, ' ') filter (where passes) as a_trigger_first from test.inserts where role = 'none';
drop view test.inserts;
-- Updates change rows exactly for those whom the seed lets.
create function test.changes(who text, name text, statement text) returns boolean language plpgsql as $$
declare
  v_n bigint;
begin
  perform test.become('only_' || who);
  set local role lab_user;
  begin
    execute statement || ' where ' || case when name = 'organizations' then 'true' else 'version is not null' end;
    get diagnostics v_n = row_count;
  exception when others then
    -- A rule of state, of a record that may be seen: the verb was let through.
    v_n := case when sqlstate = '42501' then 0 else 1 end;
  end;
  reset role;
  return v_n > 0;
end $$;
select r as role, v.name, v.permission
from unnest('{none,viewer,technician,scientist,manager,admin,service}'::text[]) r cross join test.verbs v
left join test.effective e on e.role = r and e.permission = v.permission
where v.verb = 'update' and exists (select from pg_policy p where p.polrelid = format('lab_data.%I', v.name)::regclass and p.polname = 'update_own_org' and pg_get_expr(p.polqual, p.polrelid) !~ 'owner_id')
  and test.changes(r, v.name, v.statement) and e.permission is null order by 1, 2;
drop table test.calls, test.verbs, test.walked, test.needs;
drop function test.walk(text), test.asks(text), test.changes(text, text, text);
select test.become(null);
delete from lab_data.memberships m using lab_data.users u where u.id = m.user_id and u.username = 'only_none';
delete from lab_data.users u where u.username = 'only_none';
drop view test.seeded;
drop table test.effective, test.asked;
delete from lab_data.user_roles ur using lab_data.users u where u.id = ur.user_id and u.username like 'only\_%';
delete from lab_data.memberships m using lab_data.users u where u.id = m.user_id and u.username like 'only\_%';
delete from lab_data.users u where u.username like 'only\_%';
