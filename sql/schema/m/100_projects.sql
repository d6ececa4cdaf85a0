/*
 * Room: projects
 *
 * What the laboratory works for. Samples and runs may belong to a project; its
 * members have a role in it.
 *
 * Holds    projects, project_members
 * Needs    tenancy (organizations, memberships)
 * Used by  samples, runs
 */

create domain lab_data.project_status as text
  constraint project_status_check check (value in ('planned', 'active', 'on_hold', 'completed', 'archived'));
comment on domain lab_data.project_status is 'Where a project stands.';
create domain lab_data.project_role as text
  constraint project_role_check check (value in ('lead', 'contributor', 'observer'));
comment on domain lab_data.project_role is 'What somebody is in a project.';
-- What people write into records: no control characters, nothing blank.
create domain lab_data.short_name as text
  constraint short_name_check check (length(value) <= 200 and value ~ '[^[:space:]]' and value !~ '[[:cntrl:]]');
comment on domain lab_data.short_name is 'A line that people write: 1 to 200 characters, not blank, no control characters.';
create domain lab_data.long_text as text
  constraint long_text_check check (length(value) <= 100000);
comment on domain lab_data.long_text is 'Text of up to 100,000 characters.';
-- A code that a person types: sorts and reads the same everywhere.
create domain lab_data.short_code as text
  constraint short_code_check check (value ~ '^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$');
comment on domain lab_data.short_code is 'A code that people type: letters, digits and . _ / -, up to 64, the first a letter or digit.';
create domain lab_data.json_map as jsonb
  constraint json_map_check check (jsonb_typeof(value) = 'object');
comment on domain lab_data.json_map is 'A JSON object.';

-- projects --------------------------------------------------------------------

create table lab_data.projects (
  id          uuid        not null default labos.uuid_v7(),
  org_id      uuid        not null default labos.org_id(),
  code        lab_data.short_code not null,
  name        lab_data.short_name not null,
  description lab_data.long_text,
  status      lab_data.project_status not null default 'planned',
  lead_id     uuid,
  starts_on   date,
  ends_on     date,
  metadata    lab_data.json_map not null default '{}',
  version     integer     not null default 1,
  created_at  timestamptz not null default now(),
  created_by  uuid,
  updated_at  timestamptz not null default now(),
  updated_by  uuid,
  deleted_at  timestamptz,
  deleted_by  uuid,
  constraint projects_pkey primary key (org_id, id),
  constraint projects_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint project_lead foreign key (org_id, lead_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint projects_ends_on_check check (ends_on >= starts_on),
  constraint projects_dates_check check (isfinite(starts_on) and isfinite(ends_on))
);
-- A code names one live project.
create unique index projects_org_id_code_key on lab_data.projects (org_id, code) where deleted_at is null;
-- The projects somebody leads; also the foreign key's own check.
create index projects_org_id_lead_id_idx on lab_data.projects (org_id, lead_id) where lead_id is not null;

comment on table lab_data.projects is
$$Projects

What the laboratory works for. Visible to members of the organisation with project:read; managed with project:create, project:update and project:delete.$$;
comment on column lab_data.projects.code is 'Unique among the organisation''s live projects.';
comment on column lab_data.projects.status is 'planned, active, on_hold, completed, archived. planned > active; active <> on_hold; both > completed; all > archived; completed and archived > active (reopened).';
comment on column lab_data.projects.lead_id is 'The responsible person, a member of the organisation.';
comment on column lab_data.projects.metadata is 'Any further facts, a JSON object.';
comment on column lab_data.projects.version is 'Rises with each update; an update that names an older one is refused with 412.';

-- project_members ---------------------------------------------------------------

create table lab_data.project_members (
  id         uuid        not null default labos.uuid_v7(),
  org_id     uuid        not null default labos.org_id(),
  project_id uuid        not null,
  user_id    uuid        not null,
  role       lab_data.project_role not null default 'contributor',
  version    integer     not null default 1,
  created_at timestamptz not null default now(),
  created_by uuid,
  updated_at timestamptz not null default now(),
  updated_by uuid,
  deleted_at timestamptz,
  deleted_by uuid,
  constraint project_members_pkey primary key (id, org_id),
  constraint project_members_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint project_member_project foreign key (org_id, project_id)
    references lab_data.projects (org_id, id) on delete no action,
  constraint project_member_user foreign key (org_id, user_id)
    references lab_data.memberships (org_id, user_id) on delete no action
);
-- A person is in a project once; also lists a project's members.
create unique index project_members_org_id_project_id_user_id_key
  on lab_data.project_members (org_id, project_id, user_id) where deleted_at is null;
-- The projects of a person.
create index project_members_org_id_user_id_idx on lab_data.project_members (org_id, user_id);

comment on table lab_data.project_members is
$$Project members

Who works in a project, and as what. Written with the rights on projects.$$;
comment on column lab_data.project_members.role is 'lead, contributor or observer.';
