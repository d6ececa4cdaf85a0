/*
 * Room: identity (code)
 *
 * What policies, functions and applications ask about the caller. All answers
 * come from src/identity; none can be forged by a setting.
 */

create function labos.user_id() returns uuid
  language c stable parallel safe leakproof as 'MODULE_PATHNAME', 'labos_user_id';
comment on function labos.user_id() is 'The signed-in user; null for an anonymous caller.';

create function labos.org_id() returns uuid
  language c stable parallel safe leakproof as 'MODULE_PATHNAME', 'labos_org_id';
comment on function labos.org_id() is 'The organisation the caller acts in; null for an anonymous caller.';

create function labos.session_id() returns uuid
  language c stable parallel safe leakproof as 'MODULE_PATHNAME', 'labos_session_id';
comment on function labos.session_id() is 'The session the caller''s token belongs to; null for a database login.';

create function labos.is_superuser() returns boolean
  language c stable parallel safe leakproof as 'MODULE_PATHNAME', 'labos_is_superuser';
comment on function labos.is_superuser() is 'Is the caller a superuser of this labos installation (not of PostgreSQL)?';

create function labos.has_permission(permission text) returns boolean
  language c stable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_has_permission';
comment on function labos.has_permission(text) is 'Does the caller hold this permission (''sample:create'') in the acting organisation?';

create function labos.has_role(role text) returns boolean
  language c stable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_has_role';
comment on function labos.has_role(text) is 'Has the caller this role in the acting organisation, itself or through one that inherits it?';

create function labos.is_owner_or_admin(owner uuid) returns boolean
  language c stable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_is_owner_or_admin';
comment on function labos.is_owner_or_admin(uuid) is 'Is the caller this user, or an admin of the acting organisation?';

create function labos.org_for(permission text) returns uuid
  language c stable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_org_for';
comment on function labos.org_for(text) is
  'The acting organisation if the caller holds the permission there, else null. Policies compare org_id with it.';

create function labos.owner_for(any_permission text, owner uuid) returns uuid
  language c stable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_owner_for';
comment on function labos.owner_for(text, uuid) is
  'What an owner column must equal to be visible: itself for a holder of any_permission, else the caller. For owner-scoped policies.';

create function labos.user_for(permission text, user_id uuid) returns uuid
  language c stable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_user_for';
comment on function labos.user_for(text, uuid) is
  'The user, if they are the caller or, for a holder of the permission, a member of the acting organisation; else null.';

create function labos.require_permission(permission text) returns void
  language c volatile strict parallel safe as 'MODULE_PATHNAME', 'labos_require_permission';
comment on function labos.require_permission(text) is 'Raises PT401 (not_authenticated, token_rejected) or PT403 (permission_denied) unless the caller holds the permission.';

create function labos.require_org_for(permission text) returns uuid
  language c volatile strict parallel safe as 'MODULE_PATHNAME', 'labos_require_org_for';
comment on function labos.require_org_for(text) is 'The acting organisation; raises PT401 or PT403 unless the caller holds the permission there. Every definer function begins with it.';

create function labos.require_user() returns uuid
  language c volatile parallel safe as 'MODULE_PATHNAME', 'labos_require_user';
comment on function labos.require_user() is 'The signed-in user; raises PT401 for an anonymous caller.';

create function labos.request_header(name text) returns text
  language c stable strict parallel safe as 'MODULE_PATHNAME', 'labos_request_header';
comment on function labos.request_header(text) is 'A header of the HTTP request by its lower-case name; null without one and outside a gateway.';

create function labos.request_id() returns text
  language c stable parallel restricted as 'MODULE_PATHNAME', 'labos_request_id';
comment on function labos.request_id() is 'The request''s X-Request-Id, or one made for this transaction; null outside a gateway.';

create function labos.pre_request() returns void
  language c volatile parallel restricted as 'MODULE_PATHNAME', 'labos_pre_request';
comment on function labos.pre_request() is 'PostgREST''s db-pre-request: refuses too many requests (PT429 rate_limited) and a token whose session, user or membership has ended (PT401 token_rejected); writes noted refusals into the access log.';

create function labos.tg__rbac_changed() returns trigger
  language c as 'MODULE_PATHNAME', 'labos_tg__rbac_changed';
comment on function labos.tg__rbac_changed() is 'Trigger: a change to users, memberships, roles or sessions takes effect on every backend''s next statement.';

create function labos.tg__stamp() returns trigger
  language c as 'MODULE_PATHNAME', 'labos_tg__stamp';
comment on function labos.tg__stamp() is
$$Trigger: stamps and optimistic lock

Before insert or update, each row: fills created_at, created_by, updated_at, updated_by, version where they exist. PT412 stale_version when the update or If-Match names another version.$$;

create function labos.tg__state() returns trigger
  language c as 'MODULE_PATHNAME', 'labos_tg__state';
comment on function labos.tg__state() is
$$Trigger: a state machine

Before insert or update, each row: tg__state('status', 'queued>running,cancelled', ...). The first state listed is the one a new row has, unless 'insert>a,b' is among the arguments. PT409 illegal_transition names from, to and what is allowed.$$;

create function labos.tg__limit() returns trigger
  language c as 'MODULE_PATHNAME', 'labos_tg__limit';
comment on function labos.tg__limit() is
$$Trigger: a PATCH or DELETE that forgot its filter changes nothing

Before update or delete, each row; attached by labos.expose. PT400 too_many_rows when one HTTP request changes more rows of a table than labos.max_affected_rows (100), or than it said itself: Prefer: max-affected=<rows>.$$;

create function labos.login(token text, org text default null) returns uuid
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_login';
comment on function labos.login(text, text) is
$$Signs a SQL client in for this transaction

Verifies an access token of ours (signature, type, times, issuer, audience, live session) or an API key, and acts as its user, with its scopes, until the transaction ends; in org (id or slug) when it is given: another membership, or as a guest where something is shared (then also: set local role lab_guest). Send the token as a bind parameter. Errors: 25P01 outside a transaction block, PT401 token_rejected, PT403 not_a_member.$$;

create function labos.login_guard_charge(user_id uuid, max_failed integer, lock_seconds integer,
    out attempts integer, out locked_until timestamptz)
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_login_guard_charge';
comment on function labos.login_guard_charge(uuid, integer, integer) is
  'Counts an attempt to sign in, in place: neither ROLLBACK nor a crash takes it back. attempts is null while the account is locked.';
create function labos.login_guard_set(user_id uuid, attempts integer, locked_until timestamptz) returns void
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_login_guard_set';
comment on function labos.login_guard_set(uuid, integer, timestamptz) is
  'Sets the count of failed sign-ins and the lock of an account, in place; part of identity.';
revoke all on function labos.login_guard_charge(uuid, integer, integer), labos.login_guard_set(uuid, integer, timestamptz) from public;
