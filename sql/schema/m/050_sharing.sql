/*
 * Room: sharing
 *
 * What an organisation lets others see: a project with its samples and runs, or
 * one record; for another organisation, or for one person.
 *
 * Holds    shares
 * Needs    tenancy
 * Used by  the C identity (lab_private.identity_load)
 *
 * This half is a migration: it runs once.
 */

create table lab_data.shares (
  id          uuid        not null default labos.uuid_v7(),
  org_id      uuid        not null default labos.org_id(),
  kind        text        not null,
  resource_id uuid        not null,
  to_org_id   uuid,
  to_user_id  uuid,
  level       text        not null default 'read',
  note        text,
  expires_at  timestamptz,
  revoked_at  timestamptz,
  revoked_by  uuid,
  version     integer     not null default 1,
  created_at  timestamptz not null default now(),
  created_by  uuid,
  updated_at  timestamptz not null default now(),
  updated_by  uuid,
  constraint shares_pkey primary key (org_id, id),
  constraint share_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint share_to_organization foreign key (to_org_id)
    references lab_data.organizations (id) on delete no action,
  constraint share_to_user foreign key (to_user_id)
    references lab_data.users (id) on delete no action,
  constraint shares_kind_check check (kind in ('project', 'sample', 'run', 'material', 'structure', 'simulation_job', 'campaign', 'dataset')),
  constraint shares_level_check check (level in ('read', 'comment', 'write')),
  constraint shares_to_check check (num_nonnulls(to_org_id, to_user_id) = 1),
  constraint shares_note_check check (length(note) <= 1000),
  constraint shares_expires_at_check check (expires_at > created_at and isfinite(expires_at)),
  constraint shares_revoked_at_check check (revoked_by is null or revoked_at is not null)
);
-- What is shared with a caller, asked with each new identity; the other two also carry the foreign keys.
create index shares_to_user_id_org_id_idx on lab_data.shares (to_user_id, org_id) where to_user_id is not null;
create index shares_to_org_id_org_id_idx on lab_data.shares (to_org_id, org_id) where to_org_id is not null;
-- Who sees a record.
create index shares_org_id_kind_resource_id_idx on lab_data.shares (org_id, kind, resource_id);

comment on table lab_data.shares is
$$Shares

What this organisation shares, with whom and how far. Made by share_create and ended by share_revoke or expires_at; with another organisation only while the setting allow_sharing is true. Receivers list what they got with shares_received.$$;
comment on column lab_data.shares.org_id is 'The organisation that gives.';
comment on column lab_data.shares.kind is 'project (with its samples and runs), sample, run, material, structure, simulation_job, campaign or dataset.';
comment on column lab_data.shares.resource_id is 'The record of that kind.';
comment on column lab_data.shares.to_org_id is 'All members of this organisation receive it, each within the permissions they have at home.';
comment on column lab_data.shares.to_user_id is 'This person receives it: a colleague, or somebody of another organisation.';
comment on column lab_data.shares.level is 'read; comment (and read); write (and both): change the record, create in a shared project. Nobody deletes by a share.';
comment on column lab_data.shares.expires_at is 'From this time on it gives nothing.';
comment on column lab_data.shares.revoked_at is 'From this time on it gives nothing: set by share_revoke.';
