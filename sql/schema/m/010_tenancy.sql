/*
 * Room: tenancy
 *
 * Organisations, people, and what people may do where. An organisation is a
 * tenant: every record of the laboratory belongs to one. A person is global and
 * becomes somebody in an organisation by a membership; rights come from roles.
 *
 * Holds    organizations, users, memberships, permissions, roles, role_permissions, user_roles,
 *          lab_private.rbac_epoch, lab_private.db_logins
 * Needs    nothing
 * Used by  every other room
 *
 * People and organisations are never deleted, they are marked: their ids stand in evidence.
 */

create domain lab_data.email as text
  constraint email_check check (
    length(value) between 3 and 254 and value = lower(value) and value ~ '^[^\s@[:cntrl:]]+@[^\s@[:cntrl:]]+\.[^\s@[:cntrl:].]+$');
comment on domain lab_data.email is 'An e-mail address, lower case: two spellings are one person.';

create domain lab_data.permission_name as text
  constraint permission_name_check check (value ~ '^([a-z][a-z_]{0,40}|\*):([a-z][a-z_]{0,40}|\*)$');
comment on domain lab_data.permission_name is 'resource:action, in lower case; * stands for all.';

-- organizations -------------------------------------------------------------

create table lab_data.organizations (
  id         uuid        not null default labos.uuid_v7(),
  name       text        not null,
  slug       text        not null,
  org_type   text        not null default 'laboratory',
  settings   jsonb       not null default '{}',
  is_active  boolean     not null default true,
  version    integer     not null default 1,
  created_at timestamptz not null default now(),
  created_by uuid,
  updated_at timestamptz not null default now(),
  updated_by uuid,
  deleted_at timestamptz,
  deleted_by uuid,
  constraint organizations_pkey primary key (id),
  constraint organizations_name_check check (length(btrim(name)) between 1 and 200),
  constraint organizations_slug_check check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  constraint organizations_org_type_check
    check (org_type in ('laboratory', 'university', 'company', 'employer', 'union', 'training_partner', 'agency', 'other')),
  constraint organizations_settings_check check (jsonb_typeof(settings) = 'object' and pg_column_size(settings) <= 65536)
);
create unique index organizations_slug_key on lab_data.organizations (slug) where deleted_at is null;

comment on table lab_data.organizations is
$$Organisations

A tenant: a laboratory, company or union. Members see their own; only superusers of the installation create one.$$;
comment on column lab_data.organizations.slug is 'Short name for addresses; unique among living organisations.';
comment on column lab_data.organizations.org_type is 'laboratory, university, company, employer, union, training_partner, agency or other.';
comment on column lab_data.organizations.settings is
  'Settings of the organisation: access_token_minutes (1-60), refresh_token_days (1-90) and what other rooms document.';
comment on column lab_data.organizations.is_active is 'Members of an inactive organisation cannot act in it.';

-- users ---------------------------------------------------------------------

create table lab_data.users (
  id                    uuid        not null default labos.uuid_v7(),
  email                 lab_data.email not null,
  username              text        not null,
  first_name            text,
  last_name             text,
  full_name             text,
  is_active             boolean     not null default true,
  is_verified           boolean     not null default false,
  is_superuser          boolean     not null default false,
  mfa_enabled           boolean     not null default false,
  failed_login_attempts integer     not null default 0,
  locked_until          timestamptz,
  last_login_at         timestamptz,
  last_login_ip         inet,
  tokens_valid_after    timestamptz,
  preferences           jsonb       not null default '{}',
  version               integer     not null default 1,
  created_at            timestamptz not null default now(),
  created_by            uuid,
  updated_at            timestamptz not null default now(),
  updated_by            uuid,
  deleted_at            timestamptz,
  deleted_by            uuid,
  constraint users_pkey primary key (id),
  constraint users_username_check check (username ~ '^[A-Za-z0-9_-]{3,30}$'),
  constraint users_first_name_check check (length(first_name) <= 100),
  constraint users_last_name_check check (length(last_name) <= 100),
  constraint users_full_name_check check (length(full_name) <= 201),
  constraint users_failed_login_attempts_check check (failed_login_attempts >= 0),
  constraint users_preferences_check check (jsonb_typeof(preferences) = 'object' and pg_column_size(preferences) <= 65536)
);
create unique index users_email_key on lab_data.users (email) where deleted_at is null;
create unique index users_username_key on lab_data.users (lower(username)) where deleted_at is null;

comment on table lab_data.users is
$$Users

People and machine accounts, once per installation. A caller sees themself and, with user:read, the members of the acting organisation.$$;
comment on column lab_data.users.email is 'Lower case; unique among living users.';
comment on column lab_data.users.username is '3-30 letters, digits, _ and -; unique among living users whatever the case.';
comment on column lab_data.users.is_superuser is 'May administer the installation: create organisations. Sees no organisation''s data by it.';
comment on column lab_data.users.locked_until is 'No sign-in before this time, after five failures.';
comment on column lab_data.users.tokens_valid_after is 'Tokens issued before this time are refused (password change, forced sign-out).';

-- memberships ---------------------------------------------------------------

create table lab_data.memberships (
  org_id     uuid        not null default labos.org_id(),
  user_id    uuid        not null,
  title      text,
  is_default boolean     not null default false,
  joined_at  timestamptz not null default now(),
  left_at    timestamptz,
  version    integer     not null default 1,
  created_at timestamptz not null default now(),
  created_by uuid,
  updated_at timestamptz not null default now(),
  updated_by uuid,
  constraint memberships_pkey primary key (org_id, user_id),
  constraint membership_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint membership_user foreign key (user_id)
    references lab_data.users (id) on delete no action,
  constraint memberships_title_check check (length(title) <= 200),
  constraint memberships_left_at_check check (left_at >= joined_at)
);
-- The organisations of one user, at sign-in.
create index memberships_user_id_org_id_idx on lab_data.memberships (user_id, org_id);

comment on table lab_data.memberships is
$$Memberships

Who belongs to which organisation. Never deleted: left_at ends it, and records keep naming the person.$$;
comment on column lab_data.memberships.is_default is 'The organisation a user acts in when they name none at sign-in.';
comment on column lab_data.memberships.left_at is 'Set when the person has left: from then on they have no right here.';

-- permissions, roles --------------------------------------------------------

create table lab_data.permissions (
  name        lab_data.permission_name not null,
  description text    not null,
  is_system   boolean not null default false,
  constraint permissions_pkey primary key (name)
);
comment on table lab_data.permissions is
$$Permissions

What can be permitted, as resource:action. Seeded by labos; read by whoever may read roles.$$;

create table lab_data.roles (
  id           uuid        not null default labos.uuid_v7(),
  org_id       uuid                 default labos.org_id(),
  name         text        not null,
  display_name text        not null,
  description  text,
  is_system    boolean     not null default false,
  is_default   boolean     not null default false,
  parent_id    uuid,
  version      integer     not null default 1,
  created_at   timestamptz not null default now(),
  created_by   uuid,
  updated_at   timestamptz not null default now(),
  updated_by   uuid,
  deleted_at   timestamptz,
  deleted_by   uuid,
  constraint roles_pkey primary key (id),
  constraint role_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint role_parent foreign key (parent_id)
    references lab_data.roles (id) on delete no action,
  constraint roles_name_check check (name ~ '^[a-z][a-z0-9_-]{1,49}$'),
  constraint roles_display_name_check check (length(btrim(display_name)) between 1 and 100),
  constraint roles_description_check check (length(description) <= 1000),
  constraint roles_is_system_check check (is_system = (org_id is null)),
  constraint roles_parent_id_check check (parent_id <> id)
);
-- One name means one role in an organisation; system roles (org_id null) are unique among themselves.
create unique index roles_org_id_name_key on lab_data.roles (org_id, name) nulls not distinct where deleted_at is null;

comment on table lab_data.roles is
$$Roles

Named sets of permissions: system roles for all organisations (org_id null) and an organisation's own. A role has its parent's permissions too.$$;
comment on column lab_data.roles.org_id is 'Null for a system role.';
comment on column lab_data.roles.is_system is 'Shipped with labos: only its description may change.';
comment on column lab_data.roles.is_default is 'Given to a new member for whom no role is named.';
comment on column lab_data.roles.parent_id is 'The role whose permissions this one has too; never in a circle.';

create table lab_data.role_permissions (
  role_id    uuid        not null,
  permission lab_data.permission_name not null,
  org_id     uuid                 default labos.org_id(),
  created_at timestamptz not null default now(),
  created_by uuid,
  constraint role_permissions_pkey primary key (role_id, permission),
  constraint role_permission_role foreign key (role_id)
    references lab_data.roles (id) on delete cascade,
  constraint role_permission_permission foreign key (permission)
    references lab_data.permissions (name) on delete no action,
  constraint role_permission_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action
);
comment on table lab_data.role_permissions is
$$Role permissions

Which permissions a role has of its own. Written by role_create and role_update only.$$;
comment on column lab_data.role_permissions.org_id is 'That of the role; null for a system role.';

create table lab_data.user_roles (
  org_id      uuid        not null default labos.org_id(),
  user_id     uuid        not null,
  role_id     uuid        not null,
  assigned_by uuid,
  assigned_at timestamptz not null default now(),
  expires_at  timestamptz,
  constraint user_roles_pkey primary key (org_id, user_id, role_id),
  constraint user_role_membership foreign key (org_id, user_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint user_role_role foreign key (role_id)
    references lab_data.roles (id) on delete no action,
  constraint user_roles_expires_at_check check (expires_at > assigned_at)
);
-- Who holds a role: before it is deleted, and for the last administrator.
create index user_roles_org_id_role_id_idx on lab_data.user_roles (org_id, role_id);

comment on table lab_data.user_roles is
$$Role assignments

Which member holds which role, for how long. Written by role_assign and role_revoke only.$$;
comment on column lab_data.user_roles.expires_at is 'From this time on the assignment gives nothing.';

-- private -------------------------------------------------------------------

create table lab_private.rbac_epoch (
  id smallint not null,
  constraint rbac_epoch_pkey primary key (id)
);
comment on table lab_private.rbac_epoch is 'Has no rows. Its cache invalidations tell every session that rights have changed.';

create table lab_private.db_logins (
  rolname    name        not null,
  user_id    uuid        not null,
  org_id     uuid        not null,
  created_at timestamptz not null default now(),
  constraint db_logins_pkey primary key (rolname),
  constraint db_login_membership foreign key (org_id, user_id)
    references lab_data.memberships (org_id, user_id) on delete no action
);
comment on table lab_private.db_logins is
$$Database logins

Which personal PostgreSQL login acts as which member, for psql and BI tools. Kept by a database administrator with lab_private.db_login_map().$$;
