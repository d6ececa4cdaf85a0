-- What is shared, inside and with another organisation.
insert into lab_data.organizations (id, name, slug) values ('00000000-0000-7000-8000-00000005b1f0', 'Partner', 'partner');
insert into lab_private.db_logins (rolname, user_id, org_id)
values (session_user, '00000000-0000-7000-8000-0000000000a2', '00000000-0000-7000-8000-0000000000a1');
update lab_data.organizations set settings = settings || '{"allow_sharing": true}' where id = '00000000-0000-7000-8000-0000000000a1';
select lab.share_create('project', p.id, to_org => x.org, level => 'write') from lab.projects p, (values ('partner'), ('00000000-0000-7000-8000-0000000000a1')) x(org);
delete from lab_private.db_logins where rolname = session_user;
