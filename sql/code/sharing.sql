/*
 * Room: sharing (code)
 *
 * What policies ask about guests and shared records. src/identity/shares.c.
 */

create function labos.is_guest() returns boolean
  language c stable parallel safe leakproof as 'MODULE_PATHNAME', 'labos_is_guest';
comment on function labos.is_guest() is 'Does the caller act in an organisation of which they are no member, by what it shares with them?';

create function labos.member_id() returns uuid
  language c stable parallel safe leakproof as 'MODULE_PATHNAME', 'labos_member_id';
comment on function labos.member_id() is 'The caller, or null for a guest: the owner of a record is a member of its organisation.';

create function labos.guest_org_for(permission text) returns uuid
  language c stable parallel safe leakproof as 'MODULE_PATHNAME', 'labos_guest_org_for';
comment on function labos.guest_org_for(text) is
  'The organisation in which the caller is a guest, if something is shared there at the level the permission needs and they hold it at home; else null. Guests'' policies compare org_id with it.';

create function labos.shared_row(permission text, kind text, id uuid, project_id uuid) returns uuid
  language c stable parallel safe leakproof as 'MODULE_PATHNAME', 'labos_shared_row';
comment on function labos.shared_row(text, text, uuid, uuid) is
  'The id, if the record or its project is shared with the guest who asks, at the level the permission needs; else null. Guests'' policies compare the key with it.';

create function labos.owner_for(any_permission text, owner uuid, kind text, id uuid) returns uuid
  language c stable parallel safe leakproof as 'MODULE_PATHNAME', 'labos_owner_for_shared';
comment on function labos.owner_for(text, uuid, text, uuid) is
  'What an owner column must equal to be visible: itself for a holder of any_permission and for whom the record is shared with, else the caller.';
