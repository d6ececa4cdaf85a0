-- What version 0.1 holds: two organisations with people, and a laboratory at work in the first.
insert into lab_data.organizations (id, name, slug) values
  ('00000000-0000-7000-8000-0000000000a1', 'Alpha Lab', 'alpha'),
  ('00000000-0000-7000-8000-0000000000b1', 'Beta Lab', 'beta');
insert into lab_data.users (id, email, username) values
  ('00000000-0000-7000-8000-0000000000a2', 'ann@alpha.example', 'ann'),
  ('00000000-0000-7000-8000-0000000000a3', 'mia@alpha.example', 'mia'),
  ('00000000-0000-7000-8000-0000000000b2', 'bob@beta.example', 'bob');
insert into lab_data.memberships (org_id, user_id, is_default) values
  ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000a2', true),
  ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000a3', true),
  ('00000000-0000-7000-8000-0000000000b1', '00000000-0000-7000-8000-0000000000b2', true);
insert into lab_data.user_roles (org_id, user_id, role_id)
select m.org_id, m.user_id, r.id from lab_data.memberships m join lab_data.roles r on r.name = 'admin' and r.org_id is null;
insert into lab_private.db_logins (rolname, user_id, org_id)
values (session_user, '00000000-0000-7000-8000-0000000000a2', '00000000-0000-7000-8000-0000000000a1');

select lab.role_create('helper', 'Helper', permissions => '{sample:read}');
insert into lab.projects (code, name) values ('P-1', 'Glass');
insert into lab.locations (kind, code, name) values ('room', 'R1', 'Room 1');
insert into lab.locations (parent_id, kind, code, name, grid_rows, grid_columns)
select l.id, 'box', 'B1', 'Box 1', 3, 3 from lab.locations l where l.code = 'R1';
insert into lab.samples (name, formula, lot_code, project_id, location_id, position)
select 'Sand', 'SiO2', 'LOT-1', p.id, l.id, 'A1' from lab.projects p, lab.locations l where l.code = 'B1';
insert into lab.samples (name, formula) values ('Hydrate', 'CuSO4·5H2O'), ('Gone', 'NaCl');
delete from lab.samples where name = 'Gone';
insert into lab.instruments (name, serial_number, requires_calibration) values ('NMR 400', 'S-1', true);
insert into lab.calibrations (instrument_id, certificate_id, issued_at, expires_at, provider, result)
select i.id, 'C-1', now() - interval '1 day', now() + interval '20 years', 'Lab', 'pass' from lab.instruments i;
-- Nobody approves their own record.
update lab_private.db_logins set user_id = '00000000-0000-7000-8000-0000000000a3' where rolname = session_user;
select lab.calibration_approve(c.id) from lab.calibrations c;
update lab_private.db_logins set user_id = '00000000-0000-7000-8000-0000000000a2' where rolname = session_user;
select lab.run_create(i.id, 'NMR', s.id) from lab.instruments i, lab.samples s where s.name = 'Sand';
select lab.run_start(r.id) from lab.runs r;
select lab.result_record(r.id, '[{"property": "purity", "value": 99.3, "uncertainty": 0.2, "unit": "%"}, {"property": "spectrum", "value_array": [1, 2.5, 1e-300], "unit": "1"}]')
from lab.runs r;
select lab.run_finish(r.id) from lab.runs r;
delete from lab_private.db_logins;
