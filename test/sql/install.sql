-- A newcomer's two statements build everything.
set client_min_messages to warning;
create extension labos cascade;
call labos.deploy();
select library = extension as versions_agree, deployed = extension as deployed, owner, modules, pending from labos.status();
-- A second deployment changes nothing.
call labos.deploy();
select cardinality(pending) as pending from labos.status();

-- What the other tests stand on: two organisations with look-alike people, and
-- test.become('ann'), which makes this connection act as one of them by the map of
-- database logins; follow it with: set role lab_user;
create schema test;
grant usage on schema test to public;
create function test.become(who text) returns void
  language plpgsql security definer set search_path to pg_catalog, pg_temp
as $$
begin
  delete from lab_private.db_logins where rolname = session_user;
  if who is not null then
    insert into lab_private.db_logins (rolname, user_id, org_id)
    select session_user, m.user_id, m.org_id
    from lab_data.users u join lab_data.memberships m on m.user_id = u.id and m.is_default
    where u.username = who;
    if not found then
      raise exception 'nobody is called %', who;
    end if;
  end if;
end
$$;
create function test.id_of(who text) returns uuid
  language sql security definer set search_path to pg_catalog, pg_temp
as $$ select u.id from lab_data.users u where u.username = who $$;
create function test.org_of(who text) returns uuid
  language sql security definer set search_path to pg_catalog, pg_temp
as $$ select m.org_id from lab_data.users u join lab_data.memberships m on m.user_id = u.id and m.is_default where u.username = who $$;
-- The error of a statement as "SQLSTATE code: message", or ok.
create function test.error_of(statement text) returns text
  language plpgsql set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_detail text;
begin
  execute statement;
  return 'ok';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return concat_ws(' ', sqlstate, substring(v_detail from '"code"\s*:\s*"([a-z0-9_]+)"')) || ': ' || sqlerrm;
end
$$;

insert into lab_data.organizations (name, slug) values ('Alpha Lab', 'alpha'), ('Beta Lab', 'beta');
insert into lab_data.users (email, username, full_name)
select w || '@' || o || '.test', w, initcap(w)
from (values ('alpha', 'alan'), ('alpha', 'mary'), ('alpha', 'sam'), ('alpha', 'tess'), ('alpha', 'vic'), ('alpha', 'sue'),
             ('beta', 'bob'), ('beta', 'bea')) x(o, w);
insert into lab_data.memberships (org_id, user_id, is_default)
select o.id, u.id, true from lab_data.users u join lab_data.organizations o on u.email like '%@' || o.slug || '.test';
insert into lab_data.user_roles (org_id, user_id, role_id)
select m.org_id, u.id, r.id
from (values ('alan', 'admin'), ('mary', 'manager'), ('sam', 'scientist'), ('sue', 'scientist'), ('tess', 'technician'), ('vic', 'viewer'),
             ('bob', 'admin'), ('bea', 'scientist')) x(who, role)
join lab_data.users u on u.username = x.who
join lab_data.memberships m on m.user_id = u.id
join lab_data.roles r on r.name = x.role and r.org_id is null;

-- The ladder of roles, in Alpha: alan admin, mary manager, sam and sue scientists, tess technician, vic viewer; in Beta: bob admin, bea scientist.
select test.become('sam');
set role lab_user;
select labos.user_id() = test.id_of('sam') as is_sam, labos.org_id() = test.org_of('sam') as in_alpha,
       labos.has_permission('sample:create') as may_create, labos.has_permission('calibration:approve') as may_approve,
       labos.has_role('viewer') as is_viewer_too, labos.has_role('admin') as is_admin,
       labos.org_for('sample:create') = test.org_of('sam') as org_for, labos.org_for('calibration:approve') as none;
select username from lab.users order by username;
select name from lab.organizations;
reset role;
select test.become('bob');
set role lab_user;
select username from lab.users order by username;
select labos.has_permission('anything:at_all') as admin_may_all;
reset role;
select test.become(null);
set role lab_user;
select labos.user_id() is null as nobody, count(*) from lab.users;
select test.error_of('select labos.require_org_for(''sample:create'')');
reset role;
