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
drop view test.seeded;
drop table test.effective, test.asked;
delete from lab_data.user_roles ur using lab_data.users u where u.id = ur.user_id and u.username like 'only\_%';
delete from lab_data.memberships m using lab_data.users u where u.id = m.user_id and u.username like 'only\_%';
delete from lab_data.users u where u.username like 'only\_%';
