/*
 * Room: roles (seed)
 *
 * Every permission and which system role has it, at a glance. A role inherits:
 * admin > manager (pi) > scientist (engineer, researcher) > technician > viewer, and
 * officer > staff > organizer, instructor, member for union operations. Each
 * permission names the lowest role that has it; "special" roles are listed.
 * The admin holds *:*. The table in docs/permissions.md is made from this one.
 */

insert into lab_data.roles (org_id, name, display_name, description, is_system, parent_id)
select null, r.name, r.display_name, r.description, true, null
from (values
  ('viewer',     'Viewer',     'Reads what the laboratory shares.'),
  ('technician', 'Technician', 'Executes runs and handles samples.'),
  ('scientist',  'Scientist',  'Plans and creates runs, edits samples, runs simulations and campaigns.'),
  ('engineer',   'Engineer',   'A scientist by another name.'),
  ('researcher', 'Researcher', 'A scientist by another name.'),
  ('manager',    'Manager',    'Approves, manages projects, reads everything of the organisation.'),
  ('pi',         'Principal investigator', 'A manager by another name.'),
  ('admin',      'Administrator', 'Everything in the organisation.'),
  ('service',    'Service account', 'A machine: reads, and writes runs and results.'),
  ('member',     'Union member', 'Reads union records that concern members.'),
  ('organizer',  'Organizer', 'Records organising activity.'),
  ('instructor', 'Instructor', 'Holds trainings.'),
  ('staff',      'Union staff', 'Handles grievances and applications.'),
  ('officer',    'Union officer', 'Approves and closes.')) r(name, display_name, description)
on conflict (org_id, name) where deleted_at is null do nothing;

update lab_data.roles r set parent_id = p.id
from (values ('technician', 'viewer'), ('scientist', 'technician'), ('engineer', 'scientist'), ('researcher', 'scientist'),
             ('manager', 'scientist'), ('pi', 'manager'), ('admin', 'manager'), ('service', 'viewer'),
             ('staff', 'member'), ('organizer', 'member'), ('instructor', 'member'), ('officer', 'staff')) x(role, parent)
join lab_data.roles p on p.name = x.parent and p.org_id is null and p.deleted_at is null
where r.name = x.role and r.org_id is null and r.deleted_at is null and r.parent_id is distinct from p.id;

-- Not temporary: a deployment cannot make temporary objects.
create table lab_private.labos_seed (permission text, roles text[], description text);
comment on table lab_private.labos_seed is 'Stands only while this file runs.';
insert into lab_private.labos_seed values
  -- identity and tenancy
  ('*:*',                    '{admin}',      'Everything in the organisation'),
  ('organization:read',      '{viewer,member}', 'See the organisation'),
  ('organization:update',    '{admin}',      'Change the organisation''s name and settings'),
  ('user:read',              '{viewer,member}', 'See the members'),
  ('user:create',            '{admin}',      'Create users and add members'),
  ('user:update',            '{admin}',      'Change, deactivate and unlock users'),
  ('user:delete',            '{admin}',      'Delete users'),
  ('user:restore',           '{admin}',      'See and restore deleted users'),
  ('invitation:read',        '{manager}',    'See invitations'),
  ('role:read',              '{viewer,member}', 'See roles, permissions and assignments'),
  ('role:create',            '{admin}',      'Create roles'),
  ('role:update',            '{admin}',      'Change roles'),
  ('role:delete',            '{admin}',      'Delete roles'),
  ('role:restore',           '{admin}',      'See and restore deleted roles'),
  ('role:assign',            '{admin}',      'Give and take roles'),
  ('session:read',           '{viewer,member}', 'See one''s own sessions'),
  ('session:read_any',       '{admin}',      'See everybody''s sessions'),
  ('session:delete_any',     '{admin}',      'End anybody''s session'),
  ('access_log:read',        '{admin}',      'Read the access log'),
  ('share:read',             '{manager}',    'See what the organisation shares'),
  ('share:create',           '{manager}',    'Share records with colleagues and, where allowed, with others'),
  ('share:delete',           '{manager}',    'End shares'),
  ('api_key:read',           '{viewer,member}', 'See one''s own API keys'),
  ('api_key:create',         '{technician,service,member}', 'Create and rotate API keys of one''s own'),
  ('api_key:read_any',       '{admin}',      'See everybody''s API keys'),
  ('api_key:create_any',     '{admin}',      'Create and rotate API keys of machine accounts'),
  ('api_key:delete_any',     '{admin}',      'Revoke everybody''s API keys'),
  ('oidc_provider:read',     '{admin}',      'See identity providers'),
  ('oidc_provider:create',   '{admin}',      'Set up identity providers (with *:*)'),
  ('oidc_provider:update',   '{admin}',      'Change identity providers (with *:*), disable them'),
  ('oidc_provider:delete',   '{admin}',      'Remove identity providers'),
  ('webhook:read',           '{admin}',      'See webhooks'),
  ('webhook:create',         '{admin}',      'Set up webhooks'),
  ('webhook:update',         '{admin}',      'Change and test webhooks, replace their secrets'),
  ('webhook:delete',         '{admin}',      'Remove webhooks'),
  -- audit
  ('audit:read',             '{technician}', 'Read the history of records'),
  ('audit:verify',           '{manager}',    'Seal and verify the audit trail'),
  -- laboratory
  ('project:read',           '{viewer,service}', 'See projects'),
  ('project:create',         '{manager}',    'Create projects'),
  ('project:update',         '{manager}',    'Change projects'),
  ('project:delete',         '{manager}',    'Delete projects'),
  ('project:restore',        '{manager}',    'Restore deleted projects'),
  ('project:purge',            '{admin}',      'Remove deleted projects for good'),
  ('project:manage',         '{manager}',    'Add and remove project members'),
  ('location:read',          '{viewer}',     'See locations'),
  ('location:create',        '{technician}', 'Create locations'),
  ('location:update',        '{technician}', 'Change locations'),
  ('location:delete',        '{manager}',    'Delete locations'),
  ('location:restore',       '{manager}',    'Restore deleted locations'),
  ('location:purge',           '{admin}',      'Remove deleted locations for good'),
  ('sample:read',            '{viewer}',     'See samples'),
  ('sample:create',          '{scientist}',  'Register samples'),
  ('sample:update',          '{scientist}',  'Change samples'),
  ('sample:transfer',        '{technician}', 'Move and hand over samples'),
  ('sample:transfer_any',    '{manager}',    'Hand over samples of others'),
  ('sample:delete',          '{manager}',    'Delete samples'),
  ('sample:restore',         '{manager}',    'See and restore deleted samples'),
  ('sample:purge',             '{admin}',      'Remove deleted samples for good'),
  ('sample_history:read',    '{viewer}',     'See the chain of custody'),
  ('instrument:read',        '{viewer}',     'See instruments'),
  ('instrument:create',      '{manager}',    'Register instruments'),
  ('instrument:update',      '{manager}',    'Change instruments'),
  ('instrument:delete',      '{manager}',    'Retire instruments'),
  ('instrument:restore',     '{manager}',    'Restore deleted instruments'),
  ('instrument:purge',         '{admin}',      'Remove deleted instruments for good'),
  ('calibration:read',       '{viewer}',     'See calibrations'),
  ('calibration:create',     '{technician}', 'Record calibrations, run calibration runs'),
  ('calibration:update',     '{technician}', 'Correct calibrations that are not approved'),
  ('calibration:approve',    '{manager}',    'Approve calibrations'),
  ('calibration:override',   '{manager}',    'Run on an uncalibrated instrument, with a reason'),
  ('calibration:delete',     '{manager}',    'Delete calibrations'),
  ('calibration:restore',    '{manager}',    'Restore deleted calibrations'),
  ('calibration:purge',        '{admin}',      'Remove deleted calibrations for good'),
  ('run:read',               '{viewer}',     'See runs'),
  ('run:create',             '{scientist,service}', 'Create runs'),
  ('run:update',             '{technician,service}', 'Change runs'),
  ('run:execute',            '{technician,service}', 'Start, finish and fail runs'),
  ('run:cancel',             '{scientist}',  'Cancel runs'),
  ('run:delete',             '{manager}',    'Delete runs'),
  ('run:restore',            '{manager}',    'Restore deleted runs'),
  ('run:purge',                '{admin}',      'Remove deleted runs for good'),
  ('result:read',            '{viewer}',     'See results'),
  ('result:create',          '{technician,service}', 'Record and import results'),
  ('result:update',          '{scientist}',  'Correct results that are not approved'),
  ('result:review',          '{scientist}',  'Review results'),
  ('result:approve',         '{manager}',    'Approve results'),
  ('result:delete',          '{manager}',    'Delete results'),
  ('result:restore',         '{manager}',    'Restore deleted results'),
  ('result:purge',             '{admin}',      'Remove deleted results for good'),
  -- discovery
  ('material:read',          '{viewer}',     'See one''s own and shared materials and data sets'),
  ('material:create',        '{scientist}',  'Create materials and import data sets'),
  ('material:update',        '{scientist}',  'Change materials'),
  ('material:delete',        '{scientist}',  'Delete materials'),
  ('material:restore',       '{manager}',    'Restore deleted materials'),
  ('material:purge',           '{admin}',      'Remove deleted materials for good'),
  ('material:read_any',      '{viewer}',     'See everybody''s materials'),
  ('material:update_any',    '{manager}',    'Change everybody''s materials'),
  ('material:delete_any',    '{manager}',    'Delete everybody''s materials'),
  ('simulation:read',        '{viewer}',     'See one''s own simulation jobs'),
  ('simulation:create',      '{scientist}',  'Create simulation jobs'),
  ('simulation:update',      '{scientist}',  'Change simulation jobs'),
  ('simulation:run',         '{scientist,service}', 'Submit, run, cancel and retry simulation jobs'),
  ('simulation:delete',      '{scientist}',  'Delete simulation jobs'),
  ('simulation:restore',     '{manager}',    'Restore deleted simulation jobs'),
  ('simulation:purge',         '{admin}',      'Remove deleted simulation jobs for good'),
  ('simulation:read_any',    '{manager}',    'See everybody''s simulation jobs'),
  ('simulation:update_any',  '{manager}',    'Change everybody''s simulation jobs'),
  ('simulation:delete_any',  '{manager}',    'Delete everybody''s simulation jobs'),
  ('campaign:read',          '{viewer}',     'See one''s own campaigns'),
  ('campaign:create',        '{scientist}',  'Create campaigns'),
  ('campaign:update',        '{scientist}',  'Change campaigns'),
  ('campaign:run',           '{scientist,service}', 'Start, step, pause, resume and cancel campaigns'),
  ('campaign:delete',        '{scientist}',  'Delete campaigns'),
  ('campaign:restore',       '{manager}',    'Restore deleted campaigns'),
  ('campaign:purge',           '{admin}',      'Remove deleted campaigns for good'),
  ('campaign:read_any',      '{manager}',    'See everybody''s campaigns'),
  ('campaign:update_any',    '{manager}',    'Change and run everybody''s campaigns'),
  ('campaign:delete_any',    '{manager}',    'Delete everybody''s campaigns');

insert into lab_data.permissions (name, description, is_system)
select s.permission, s.description, true from lab_private.labos_seed s
on conflict (name) do update set description = excluded.description, is_system = true
  where permissions.description <> excluded.description or not permissions.is_system;

delete from lab_data.role_permissions rp
using lab_data.roles r
where r.id = rp.role_id and r.org_id is null
  and not exists (select from lab_private.labos_seed s where s.permission = rp.permission and r.name = any (s.roles));
insert into lab_data.role_permissions (org_id, role_id, permission)
select null, r.id, s.permission
from lab_private.labos_seed s
join lab_data.roles r on r.name = any (s.roles) and r.org_id is null and r.deleted_at is null
on conflict on constraint role_permissions_pkey do nothing;
drop table lab_private.labos_seed;
