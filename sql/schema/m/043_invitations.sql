/*
 * Room: invitations
 *
 * Who has been asked by mail to join an organisation, with which role. The
 * token is in the mail only; what stands here opens nothing.
 *
 * Holds    invitations
 * Needs    010, 020
 * Used by  auth_invite and its kin
 *
 * This half is a migration: it runs once.
 */

create table lab_data.invitations (
  org_id      uuid        not null default labos.org_id(),
  id          uuid        not null default labos.uuid_v7(),
  email       lab_data.email not null,
  role_id     uuid        not null,
  message     text,
  invited_by  uuid        not null,
  created_at  timestamptz not null default now(),
  sent_at     timestamptz not null default now(),
  expires_at  timestamptz not null,
  accepted_at timestamptz,
  accepted_by uuid,
  revoked_at  timestamptz,
  revoked_by  uuid,
  constraint invitations_pkey primary key (org_id, id),
  constraint invitation_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint invitation_role foreign key (role_id)
    references lab_data.roles (id) on delete no action,
  constraint invitation_inviter foreign key (invited_by)
    references lab_data.users (id) on delete no action,
  constraint invitation_accepter foreign key (accepted_by)
    references lab_data.users (id) on delete no action,
  constraint invitations_message_check check (length(message) between 1 and 500),
  constraint invitations_accepted_check check ((accepted_at is null) = (accepted_by is null)),
  constraint invitations_closed_check check (accepted_at is null or revoked_at is null)
);
-- One open invitation of an address in an organisation.
create unique index invitations_org_id_email_key on lab_data.invitations (org_id, email) where accepted_at is null and revoked_at is null;
-- By the token in the mail, and what auth_cleanup removes.
create index invitations_id_idx on lab_data.invitations (id);
create index invitations_expires_at_idx on lab_data.invitations (expires_at) where accepted_at is null;

-- By a part of the address.
create index invitations_search_idx on lab_data.invitations using gin (org_id, email labos_ops.gin_trgm_ops);

comment on table lab_data.invitations is
$$Invitations

Who has been asked by mail to join, with which role; open until accepted, revoked or expired. Made by auth_invite, read with invitation:read, written by calls only.$$;
comment on column lab_data.invitations.message is 'What the inviter wrote to the invited.';
comment on column lab_data.invitations.sent_at is 'When the last mail was queued.';
comment on column lab_data.invitations.revoked_by is 'Who took it back; null when another invitation of the address took its place.';
