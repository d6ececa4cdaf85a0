-- Two organisations with people, as a test wants them; what each room adds stands in its own part.
insert into lab_data.organizations (id, name, slug) values
  ('00000000-0000-7000-8000-0000000000a1', 'Alpha Lab', 'alpha'),
  ('00000000-0000-7000-8000-0000000000b1', 'Beta Lab', 'beta');
insert into lab_data.users (id, email, username) values
  ('00000000-0000-7000-8000-0000000000a2', 'ann@alpha.example', 'ann'),
  ('00000000-0000-7000-8000-0000000000b2', 'bob@beta.example', 'bob');
insert into lab_data.memberships (org_id, user_id, is_default) values
  ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000a2', true),
  ('00000000-0000-7000-8000-0000000000b1', '00000000-0000-7000-8000-0000000000b2', true);
insert into lab_data.user_roles (org_id, user_id, role_id)
select m.org_id, m.user_id, r.id from lab_data.memberships m join lab_data.roles r on r.name = 'admin' and r.org_id is null;
