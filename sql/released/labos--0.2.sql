/* labos 0.2: frozen by bin/gen-sql --until 0.2 */
\echo Use "CREATE EXTENSION labos CASCADE" to load this file. \quit

-- sql/code/core.sql
/*
 * Room: core
 *
 * Identifiers and versions. Everything here is a member of the extension.
 */

create schema labos_ops;
comment on schema labos_ops is 'labos: leakproof operator wrappers, so that searches under row security can use an index';
comment on schema labos is 'labos: types, functions and trigger functions of the extension';
revoke all on schema labos, labos_ops from public;

create function labos.uuid_v7() returns uuid
  language c volatile parallel safe as 'MODULE_PATHNAME', 'labos_uuid_v7';
comment on function labos.uuid_v7() is 'A new time-ordered UUID (version 7, RFC 9562).';

create function labos.uuid_v7_time(id uuid) returns timestamptz
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_uuid_v7_time';
comment on function labos.uuid_v7_time(uuid) is 'The millisecond at which a version 7 UUID was made; null for another version.';

create function labos.library_version() returns text
  language c immutable parallel safe as 'MODULE_PATHNAME', 'labos_library_version';
comment on function labos.library_version() is 'The version of the loaded shared library.';

-- sql/code/jwt.sql
/*
 * Room: jwt
 *
 * Tokens and keys: JSON Web Tokens (RFC 7519), keys (RFC 7517), signatures,
 * and the functions of the pgjwt extension with its results.
 *
 * A key knows its one algorithm; a token's header never chooses. What makes or
 * uses a private key is granted to nobody but lab_owner: see prepare_database().
 *
 * Holds    url_encode, url_decode, algorithm_sign, sign, verify (pgjwt);
 *          jwk_*, jwt_sign, jwt_verify, jws_verify; random_token
 * Used by  identity, audit (signed checkpoints)
 */

-- pgjwt ---------------------------------------------------------------------

create function labos.url_encode(data bytea) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_url_encode';
comment on function labos.url_encode(bytea) is
$$Base64url without padding

As in pgjwt.$$;

create function labos.url_decode(data text) returns bytea
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_url_decode';
comment on function labos.url_decode(text) is
$$Bytes of a base64url text

Strict: no padding, no white space, no stray bits. Errors: LB101 for anything else.$$;

create function labos.algorithm_sign(signables text, secret text, algorithm text) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_algorithm_sign';
comment on function labos.algorithm_sign(text, text, text) is
$$HMAC of a text, as base64url

As in pgjwt, for HS256, HS384 and HS512. Errors: 22023 for another algorithm or an empty secret.$$;

create function labos.sign(payload json, secret text, algorithm text default 'HS256') returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_sign';
comment on function labos.sign(json, text, text) is
$$Signs a token with a shared secret

As in pgjwt, for HS256, HS384 and HS512. Errors: 22023 for another algorithm or an empty secret, LB101 for a payload that is no JSON object or has a member twice.$$;

create function labos.verify(token text, secret text, algorithm text default 'HS256',
  out header json, out payload json, out valid boolean)
  language c stable strict parallel safe as 'MODULE_PATHNAME', 'labos_verify';
comment on function labos.verify(text, text, text) is
$$Verifies a token with a shared secret

As in pgjwt: shows header and payload whether valid or not; the time is that of the transaction. Not valid: another algorithm in the header, "none", "crit", times that are no numbers. Errors: 22023 as for sign, LB101 for a malformed token.$$;

-- keys ----------------------------------------------------------------------

create function labos.jwk_generate(alg text) returns jsonb
  language c volatile strict parallel safe as 'MODULE_PATHNAME', 'labos_jwk_generate';
comment on function labos.jwk_generate(text) is
$$A new private key as JWK

For HS256 to HS512, RS*, PS* (3072 bits), ES256 to ES512 and EdDSA (Ed25519). Its kid is its thumbprint, random for HS*. Errors: 22023 for another algorithm.$$;

create function labos.jwk_public(jwk jsonb) returns jsonb
  language c stable strict parallel safe as 'MODULE_PATHNAME', 'labos_jwk_public';
comment on function labos.jwk_public(jsonb) is
$$The public part of a key

With alg, use and kid, as it belongs into a key set; null for a symmetric key. Errors: LB102 for what is no key that we use, with the reason.$$;

create function labos.jwk_thumbprint(jwk jsonb) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_jwk_thumbprint';
comment on function labos.jwk_thumbprint(jsonb) is
$$The thumbprint of a key

SHA-256 as RFC 7638 says, base64url. Errors: LB102.$$;

create function labos.jwk_from_pem(pem text, alg text default null) returns jsonb
  language c stable parallel safe as 'MODULE_PATHNAME', 'labos_jwk_from_pem';
comment on function labos.jwk_from_pem(text, text) is
$$A PEM key as JWK

Takes an unencrypted public (SPKI) or private (PKCS #8) key; an RSA key is for RS256 unless alg says otherwise. Errors: 22023 for an unknown algorithm, LB102 for what is no key or does not fit it.$$;

create function labos.jwk_sign(data bytea, jwk jsonb) returns bytea
  language c volatile strict parallel safe as 'MODULE_PATHNAME', 'labos_jwk_sign';
comment on function labos.jwk_sign(bytea, jsonb) is
$$Signs bytes with a private key

The signature has the form of RFC 7518 (ECDSA: r and s of fixed length). Errors: LB102.$$;

create function labos.jwk_verify(data bytea, signature bytea, jwk jsonb) returns boolean
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_jwk_verify';
comment on function labos.jwk_verify(bytea, bytea, jsonb) is
$$Verifies a signature over bytes

With the algorithm of the key. Errors: LB102 for what is no key that we use; never one that depends on the signature.$$;

-- tokens --------------------------------------------------------------------

create function labos.jwt_sign(payload jsonb, jwk jsonb, kid text default null, typ text default 'JWT') returns text
  language c volatile parallel safe as 'MODULE_PATHNAME', 'labos_jwt_sign';
comment on function labos.jwt_sign(jsonb, jsonb, text, text) is
$$Signs a token with a private key

kid null takes the key's own, '' writes none; typ null writes none; at most 8192 bytes. Errors: LB101 for claims that we would not accept ourselves, LB102 for a key that cannot sign.$$;

create function labos.jwt_verify(token text, jwk jsonb,
  out valid boolean, out reason text, out header jsonb, out payload jsonb)
  language c stable strict parallel safe as 'MODULE_PATHNAME', 'labos_jwt_verify';
comment on function labos.jwt_verify(text, jsonb) is
$$Verifies a token with a key

For administrators and tests: the reason is for a log, never for the bearer. Header and payload are null unless the token is valid; leeway labos.jwt_leeway, seconds. Errors: LB102; never one that depends on the token.$$;

create function labos.jws_verify(token text, jwk jsonb) returns boolean
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_jws_verify';
comment on function labos.jws_verify(text, jsonb) is
$$Verifies the signature of a compact JWS

Header rules and signature only: the payload may be any bytes, and no time is checked. Errors: LB102.$$;

create function labos.random_token() returns text
  language c volatile parallel safe as 'MODULE_PATHNAME', 'labos_random_token';
comment on function labos.random_token() is
$$A new unguessable token

256 random bits as base64url: 43 characters.$$;

revoke all on function
  labos.jwk_generate(text), labos.jwk_from_pem(text, text), labos.jwk_sign(bytea, jsonb),
  labos.jwk_public(jsonb), labos.jwk_thumbprint(jsonb), labos.jwk_verify(bytea, bytea, jsonb),
  labos.jwt_sign(jsonb, jsonb, text, text), labos.jwt_verify(text, jsonb), labos.jws_verify(text, jsonb)
  from public;

-- sql/code/password.sql
/*
 * Room: password
 *
 * Password hashes (Argon2id, bcrypt) and the rules for new passwords. Granted
 * to nobody but lab_owner: a caller who may hash may also guess.
 *
 * Holds    password_hash, password_verify, password_dummy_verify,
 *          password_needs_rehash, password_problems, bcrypt
 * Used by  identity
 */

create function labos.password_hash(password text, scheme text default null) returns text
  language c volatile parallel restricted as 'MODULE_PATHNAME', 'labos_password_hash';
comment on function labos.password_hash(text, text) is
$$Hashes a password

Argon2id or bcrypt, by labos.password_scheme unless named, over the NFC of the text, with a new salt. Errors: 422 `password_empty`, `password_too_long`, `password_control_character`; 22023 for an unknown scheme.$$;

create function labos.password_verify(password text, hash text) returns boolean
  language c volatile strict parallel restricted as 'MODULE_PATHNAME', 'labos_password_verify';
comment on function labos.password_verify(text, text) is
$$Does the password match the hash?

Takes $argon2id$, $2a$, $2b$ and $2y$; anything else, and parameters beyond 256 MiB, 10 passes, 16 lanes or bcrypt cost 14, is false at once.$$;

create function labos.password_dummy_verify(password text) returns boolean
  language c volatile strict parallel restricted as 'MODULE_PATHNAME', 'labos_password_dummy_verify';
comment on function labos.password_dummy_verify(text) is
$$False, after the work of a verification

To be called for an unknown user, so that the answer takes as long as a wrong password.$$;

create function labos.password_needs_rehash(hash text) returns boolean
  language c stable strict parallel safe as 'MODULE_PATHNAME', 'labos_password_needs_rehash';
comment on function labos.password_needs_rehash(text) is
$$Is the hash of another scheme or weaker than the settings?

Then the next successful login replaces it.$$;

create function labos.password_problems(password text, context text[] default null) returns text[]
  language c stable parallel safe as 'MODULE_PATHNAME', 'labos_password_problems';
comment on function labos.password_problems(text, text[]) is
$$What is wrong with a new password

Empty when nothing is; otherwise some of empty, control_character, too_short, too_long, no_upper_case, no_lower_case, no_digit, contains_name, common. context: the user's e-mail, names and organisation; parts of less than four characters do not count.$$;

create function labos.bcrypt(password bytea, setting text) returns text
  language c immutable strict parallel restricted as 'MODULE_PATHNAME', 'labos_bcrypt';
comment on function labos.bcrypt(bytea, text) is
$$bcrypt of bytes, without any rule

For imports and tests: setting is $2a$, $2b$, $2x$ or $2y$, a cost from 04 to 14 and a salt; null when it is not. Only the first 72 bytes count.$$;

revoke all on function
  labos.password_hash(text, text), labos.password_verify(text, text), labos.password_dummy_verify(text),
  labos.password_needs_rehash(text), labos.password_problems(text, text[]), labos.bcrypt(bytea, text)
  from public;

-- sql/code/secrets.sql
/*
 * Room: secrets
 *
 * Encryption of what is stored: private keys, second factors. The master key is
 * a file outside the data directory (labos.master_key_file), so that a dump or a
 * base backup alone opens nothing. Granted to nobody but lab_owner.
 *
 * Holds    secret_seal, secret_open, secret_is_encrypted, master_key_state
 * Used by  identity (signing keys, MFA factors), doctor()
 */

create function labos.secret_seal(plain bytea, context text) returns bytea
  language c volatile strict parallel restricted as 'MODULE_PATHNAME', 'labos_secret_seal';
comment on function labos.secret_seal(bytea, text) is
$$Encrypts a secret for storage

AES-256-GCM under the master key; context (what it is and whose, such as 'signing_keys/kid') must be given again to open it. Without labos.master_key_file the result is only marked, not encrypted. Errors: LB105 when the file cannot be used.$$;

create function labos.secret_open(sealed bytea, context text) returns bytea
  language c volatile strict parallel restricted as 'MODULE_PATHNAME', 'labos_secret_open';
comment on function labos.secret_open(bytea, text) is
$$Opens a stored secret

Errors: LB105 when it is damaged, was sealed with another context, or under a key that is neither in labos.master_key_file nor in labos.master_key_previous_file.$$;

create function labos.secret_is_encrypted(sealed bytea) returns boolean
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_secret_is_encrypted';
comment on function labos.secret_is_encrypted(bytea) is
$$Is a stored secret encrypted?

False for one that was sealed while no master key was configured: seal it again.$$;

create function labos.master_key_state() returns text
  language c volatile parallel restricted as 'MODULE_PATHNAME', 'labos_master_key_state';
comment on function labos.master_key_state() is
$$Is there a master key?

'file', 'absent', or 'invalid: ' and why the file cannot be used.$$;

revoke all on function
  labos.secret_seal(bytea, text), labos.secret_open(bytea, text), labos.secret_is_encrypted(bytea), labos.master_key_state()
  from public;

-- sql/code/identity.sql
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
comment on function labos.pre_request() is 'PostgREST''s db-pre-request: refuses a token whose session, user or membership has ended (PT401 token_rejected).';

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

create function labos.login(token text) returns uuid
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_login';
comment on function labos.login(text) is
$$Signs a SQL client in for this transaction

Verifies an access token of ours (signature, type, times, issuer, audience, live session) and acts as its user until the transaction ends. Send the token as a bind parameter. Errors: 25P01 outside a transaction block, PT401 token_rejected.$$;

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

-- sql/code/schema_tools.sql
/*
 * Room: schema tools
 *
 * How a table gets its policies and its public view: written once, the same
 * everywhere, so that a catalog test can compare.
 */

create procedure labos.protect(
  "table" regclass, prefix text,
  verbs text[] default '{select,insert,update,delete}', owner name default null)
  language plpgsql
  set search_path to pg_catalog, pg_temp
  set client_min_messages to warning
as $$
declare
  v_verb   text;
  v_action text;
  v_using  text;
  v_check  text;
  v_owner  name := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = "table");
  v_old    name;
begin
  if prefix is null or prefix !~ '^[a-z][a-z_]*$' then
    raise exception 'permission prefix "%" is not lower-case letters and underscores', prefix using errcode = '22023';
  end if;
  execute format('alter table %s enable row level security', "table");
  execute format('alter table %s force row level security', "table");
  for v_old in
    select p.polname from pg_policy p
    where p.polrelid = "table" and p.polname in ('select_own_org', 'insert_own_org', 'update_own_org', 'delete_own_org', 'owner_all')
  loop
    execute format('drop policy %I on %s', v_old, "table");
  end loop;
  -- FORCE stays on: a definer function or a migration sees rows by this policy, not by being the owner.
  execute format('create policy owner_all on %s for all to %I using (true) with check (true)', "table", v_owner);

  foreach v_verb in array verbs loop
    v_action := case v_verb when 'select' then 'read' when 'insert' then 'create' when 'update' then 'update' when 'delete' then 'delete' end;
    if v_action is null then
      raise exception 'unknown verb "%"', v_verb using errcode = '22023', hint = 'Verbs are select, insert, update, delete.';
    end if;
    v_using := format('org_id = labos.org_for(%L)', prefix || ':' || v_action);
    v_check := v_using;
    if owner is not null then
      v_using := v_using || format(' and %1$I = labos.owner_for(%2$L, %1$I)', owner, prefix || ':' || v_action || '_any');
      v_check := case v_verb when 'insert' then v_check || format(' and %I = labos.user_id()', owner) else v_using end;
    end if;
    execute format('create policy %I on %s for %s to lab_user %s %s', v_verb || '_own_org', "table", v_verb,
      case when v_verb <> 'insert' then 'using (' || v_using || ')' else '' end,
      case when v_verb in ('insert', 'update') then 'with check (' || v_check || ')' else '' end);
  end loop;
end
$$;
comment on procedure labos.protect(regclass, text, text[], name) is
$$Gives a tenant table its row security in the canonical shape (idempotent)

Enables and forces row security; one permissive policy per verb comparing org_id with labos.org_for('prefix:read|create|update|delete'); owner: a column that must be the caller's unless they hold 'prefix:read_any' (update_any, delete_any); and owner_all for the table's owner. Grants are made by labos.expose.$$;
revoke all on procedure labos.protect(regclass, text, text[], name) from public;

create procedure labos.expose(
  name name, insert_columns name[] default null, update_columns name[] default null,
  deletable boolean default false, prefix text default null, owner name default null, hidden_columns name[] default '{}')
  language plpgsql
  set search_path to pg_catalog, pg_temp
  set client_min_messages to warning
as $$
declare
  v_table    regclass := format('lab_data.%I', name)::regclass;
  v_hidden   name[] := hidden_columns || '{deleted_at,deleted_by}'::name[];
  v_soft     boolean := exists (select from pg_attribute a where a.attrelid = v_table and a.attname = 'deleted_at' and not a.attisdropped);
  v_columns  text := (select string_agg(format('t.%I', a.attname), ', ' order by a.attnum) from pg_attribute a
                      where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.attname <> all (v_hidden));
  v_unknown  name;
  v_key      text;
  v_column   record;
begin
  select c into v_unknown from unnest(insert_columns || update_columns || hidden_columns) c
  where not exists (select from pg_attribute a where a.attrelid = v_table and a.attname = c and a.attnum > 0 and not a.attisdropped);
  if v_unknown is not null then
    raise exception 'table % has no column "%"', v_table, v_unknown using errcode = '42703';
  end if;

  -- A view may gain columns only at its end; a migration that does otherwise needs a new one.
  begin
    execute format('create or replace view lab.%I with (security_invoker = true) as select %s from %s t%s',
      name, v_columns, v_table, case when v_soft then ' where t.deleted_at is null' else '' end);
  exception when invalid_table_definition then
    execute format('drop view lab.%I', name);
    execute format('create view lab.%I with (security_invoker = true) as select %s from %s t%s',
      name, v_columns, v_table, case when v_soft then ' where t.deleted_at is null' else '' end);
  end;

  execute format('comment on view lab.%I is %L', name, obj_description(v_table, 'pg_class'));
  for v_column in
    select a.attname, col_description(v_table, a.attnum) as description from pg_attribute a
    where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.attname <> all (v_hidden)
  loop
    execute format('comment on column lab.%I.%I is %L', name, v_column.attname, v_column.description);
  end loop;

  -- Rights that are not named do not exist. A security_invoker view needs them on the table too.
  execute format('revoke all on lab.%I, %s from public, lab_anon, lab_user, lab_guest', name, v_table);
  execute format('grant select on lab.%I to lab_user', name);
  execute format('grant select (%s) on %s to lab_user',
    (select string_agg(quote_ident(a.attname), ', ') from pg_attribute a
     where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.attname <> all (hidden_columns)), v_table);
  if cardinality(insert_columns) > 0 then
    v_key := (select string_agg(quote_ident(c), ', ') from unnest(insert_columns) c);
    execute format('grant insert (%s) on lab.%I to lab_user', v_key, name);
    execute format('grant insert (%s) on %s to lab_user', v_key, v_table);
  end if;
  if cardinality(update_columns) > 0 then
    v_key := (select string_agg(quote_ident(c), ', ') from unnest(update_columns) c);
    execute format('grant update (%s) on lab.%I to lab_user', v_key, name);
    execute format('grant update (%s) on %s to lab_user', v_key, v_table);
  end if;

  -- A PATCH or DELETE without a filter is stopped before it has changed everything.
  if cardinality(update_columns) > 0 or deletable then
    execute format('create or replace trigger _050_limit before update or delete on %s for each row execute function labos.tg__limit()', v_table);
  else
    execute format('drop trigger if exists _050_limit on %s', v_table);
  end if;

  execute format('drop trigger if exists _100_soft_delete on lab.%I', name);
  if deletable then
    execute format('grant delete on lab.%I to lab_user', name);
    if v_soft then
      if prefix is null then
        raise exception 'labos.expose(%) needs prefix: who may delete', quote_literal(name) using errcode = '22023';
      end if;
      execute format('create trigger _100_soft_delete instead of delete on lab.%I for each row execute function lab_private.tg__soft_delete(%s)',
        name, concat_ws(', ', quote_literal(prefix || ':delete'), quote_literal(owner)));
    else
      execute format('grant delete on %s to lab_user', v_table);
    end if;
  end if;
end
$$;
comment on procedure labos.expose(name, name[], name[], boolean, text, name, name[]) is
$$Makes the public view lab.<name> of the table lab_data.<name> (idempotent)

A security_invoker view with all columns but deleted_at, deleted_by and hidden_columns; live rows only where the table soft-deletes; comments copied; lab_user gets SELECT, and INSERT, UPDATE and DELETE only on what is named. deletable with prefix: DELETE marks the row deleted for holders of 'prefix:delete'; owner: only one's own rows but for holders of 'prefix:delete_any'. What can be changed is guarded against requests without a filter by labos.tg__limit.$$;
revoke all on procedure labos.expose(name, name[], name[], boolean, text, name, name[]) from public;

-- sql/code/formula.sql
/*
 * Room: types
 *
 * labos.formula: a chemical formula. Amounts are exact to a billionth of an
 * atom; equality and hash are by composition and charge; @>, <@ and && compare
 * the elements and never raise, so that row security may use their index.
 *
 * Holds    the type, casts, accessors, operators, operator classes for btree, hash and gin
 */

create type labos.formula;

create function labos.formula_in(cstring) returns labos.formula
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_in';
create function labos.formula_out(labos.formula) returns cstring
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_out';
create function labos.formula_recv(internal) returns labos.formula
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_recv';
create function labos.formula_send(labos.formula) returns bytea
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_send';
comment on function labos.formula_in(cstring) is 'Reads a chemical formula; LB202 names the character it stumbled at.';
comment on function labos.formula_out(labos.formula) is 'Writes a chemical formula in Hill order.';
comment on function labos.formula_recv(internal) is 'Binary input of a chemical formula.';
comment on function labos.formula_send(labos.formula) is 'Binary output: int16 charge, n, then code and amount (1e-9 atoms) of each element.';

create type labos.formula (
  input          = labos.formula_in,
  output         = labos.formula_out,
  receive        = labos.formula_recv,
  send           = labos.formula_send,
  internallength = variable,
  alignment      = double,
  storage        = main
);
comment on type labos.formula is
$$Chemical formula

Brackets, hydrates (CuSO4·5H2O), broken amounts (Li0.95CoO2) and charges (SO4^2-) are read; the output is in Hill order. Two formulas are equal when amounts and charge are. Errors: LB202 with the character in question.$$;

create cast (text as labos.formula) with inout as assignment;
create cast (varchar as labos.formula) with inout as assignment;
create cast (labos.formula as text) with inout as assignment;
create cast (labos.formula as varchar) with inout as assignment;

-- what a formula tells ------------------------------------------------------

create function labos.formula_valid(formula text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_valid';
comment on function labos.formula_valid(text) is 'Would this text be read as a formula? Never raises.';

create function labos.molar_mass(formula labos.formula) returns float8
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_molar_mass';
comment on function labos.molar_mass(labos.formula) is
$$Molar mass in g/mol

IUPAC abridged standard atomic weights 2021. Elements without one count with the mass number of the IUPAC periodic table; the electrons of a charge are counted.$$;

create function labos.elements(formula labos.formula) returns text[]
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_elements';
comment on function labos.elements(labos.formula) is 'The symbols in alphabetical order.';

create function labos.n_elements(formula labos.formula) returns integer
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_n_elements';
comment on function labos.n_elements(labos.formula) is 'The number of different elements.';

create function labos.n_atoms(formula labos.formula) returns float8
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_n_atoms';
comment on function labos.n_atoms(labos.formula) is 'Atoms per formula unit.';

create function labos.charge(formula labos.formula) returns integer
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_charge';
comment on function labos.charge(labos.formula) is 'The charge in elementary charges; 0 when neutral.';

create function labos.amount(formula labos.formula, element text) returns float8
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_amount';
comment on function labos.amount(labos.formula, text) is 'Atoms of an element per formula unit, 0 when absent; LB202 for an unknown element.';

create function labos.fraction(formula labos.formula, element text) returns float8
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_fraction';
comment on function labos.fraction(labos.formula, text) is 'Share of the atoms, 0 to 1; LB202 for an unknown element.';

create function labos.mass_fraction(formula labos.formula, element text) returns float8
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_mass_fraction';
comment on function labos.mass_fraction(labos.formula, text) is 'Share of the mass, 0 to 1; LB202 for an unknown element.';

create function labos.formula_reduced(formula labos.formula) returns labos.formula
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_reduced';
comment on function labos.formula_reduced(labos.formula) is
$$The smallest formula of whole amounts in the same proportions

Mo2S4 becomes MoS2, Li0.95CoO2 becomes Li19Co20O40. Amounts that no factor up to 10,000 makes whole are divided by their common measure; a charge is reduced along.$$;

create function labos.formula_anonymous(formula labos.formula, descending boolean default false) returns text
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_anonymous';
comment on function labos.formula_anonymous(labos.formula, boolean) is
$$The proportions without the names

Letters for the elements of the reduced formula, rarest first (CaTiO3 is ABC3), or commonest first when descending, as OPTIMADE writes it (A3BC).$$;

-- equality and order ---------------------------------------------------------

create function labos.formula_eq(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_eq';
create function labos.formula_ne(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_ne';
create function labos.formula_lt(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_lt';
create function labos.formula_le(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_le';
create function labos.formula_ge(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_ge';
create function labos.formula_gt(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_gt';
create function labos.formula_cmp(labos.formula, labos.formula) returns integer
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_cmp';
create function labos.formula_hash(labos.formula) returns integer
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_hash';
create function labos.formula_hash_extended(labos.formula, bigint) returns bigint
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_hash_extended';
comment on function labos.formula_eq(labos.formula, labos.formula) is 'implementation of = operator';
comment on function labos.formula_ne(labos.formula, labos.formula) is 'implementation of <> operator';
comment on function labos.formula_lt(labos.formula, labos.formula) is 'implementation of < operator';
comment on function labos.formula_le(labos.formula, labos.formula) is 'implementation of <= operator';
comment on function labos.formula_ge(labos.formula, labos.formula) is 'implementation of >= operator';
comment on function labos.formula_gt(labos.formula, labos.formula) is 'implementation of > operator';
comment on function labos.formula_cmp(labos.formula, labos.formula) is 'btree support: Hill''s order';
comment on function labos.formula_hash(labos.formula) is 'hash support';
comment on function labos.formula_hash_extended(labos.formula, bigint) is 'hash support';

create operator labos.= (
  function = labos.formula_eq, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.=), negator = operator(labos.<>),
  restrict = eqsel, join = eqjoinsel, hashes, merges);
create operator labos.<> (
  function = labos.formula_ne, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.<>), negator = operator(labos.=),
  restrict = neqsel, join = neqjoinsel);
create operator labos.< (
  function = labos.formula_lt, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.>), negator = operator(labos.>=),
  restrict = scalarltsel, join = scalarltjoinsel);
create operator labos.<= (
  function = labos.formula_le, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.>=), negator = operator(labos.>),
  restrict = scalarlesel, join = scalarlejoinsel);
create operator labos.>= (
  function = labos.formula_ge, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.<=), negator = operator(labos.<),
  restrict = scalargesel, join = scalargejoinsel);
create operator labos.> (
  function = labos.formula_gt, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.<), negator = operator(labos.<=),
  restrict = scalargtsel, join = scalargtjoinsel);

create operator class labos.formula_ops default for type labos.formula using btree as
  operator 1 labos.<, operator 2 labos.<=, operator 3 labos.=, operator 4 labos.>=, operator 5 labos.>,
  function 1 labos.formula_cmp(labos.formula, labos.formula),
  function 4 pg_catalog.btequalimage(oid);
create operator class labos.formula_ops default for type labos.formula using hash as
  operator 1 labos.=,
  function 1 labos.formula_hash(labos.formula),
  function 2 labos.formula_hash_extended(labos.formula, bigint);

-- elements -------------------------------------------------------------------

create function labos.formula_contains(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_contains';
create function labos.formula_contained(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_contained';
create function labos.formula_overlaps(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_overlaps';
create function labos.formula_contains(labos.formula, text[]) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_contains_array';
create function labos.formula_contained(labos.formula, text[]) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_contained_array';
create function labos.formula_overlaps(labos.formula, text[]) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_overlaps_array';
comment on function labos.formula_contains(labos.formula, labos.formula) is 'implementation of @> operator';
comment on function labos.formula_contained(labos.formula, labos.formula) is 'implementation of <@ operator';
comment on function labos.formula_overlaps(labos.formula, labos.formula) is 'implementation of && operator';
comment on function labos.formula_contains(labos.formula, text[]) is 'implementation of @> operator';
comment on function labos.formula_contained(labos.formula, text[]) is 'implementation of <@ operator';
comment on function labos.formula_overlaps(labos.formula, text[]) is 'implementation of && operator';

create operator labos.@> (
  function = labos.formula_contains, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.<@), restrict = contsel, join = contjoinsel);
create operator labos.<@ (
  function = labos.formula_contained, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.@>), restrict = contsel, join = contjoinsel);
create operator labos.&& (
  function = labos.formula_overlaps, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.&&), restrict = contsel, join = contjoinsel);
create operator labos.@> (
  function = labos.formula_contains, leftarg = labos.formula, rightarg = text[], restrict = contsel, join = contjoinsel);
create operator labos.<@ (
  function = labos.formula_contained, leftarg = labos.formula, rightarg = text[], restrict = contsel, join = contjoinsel);
create operator labos.&& (
  function = labos.formula_overlaps, leftarg = labos.formula, rightarg = text[], restrict = contsel, join = contjoinsel);
comment on operator labos.@> (labos.formula, labos.formula) is 'has all elements of';
comment on operator labos.<@ (labos.formula, labos.formula) is 'has no other elements than (chemical system)';
comment on operator labos.&& (labos.formula, labos.formula) is 'has an element in common with';
comment on operator labos.@> (labos.formula, text[]) is 'has all these elements';
comment on operator labos.<@ (labos.formula, text[]) is 'has no other elements than these (chemical system)';
comment on operator labos.&& (labos.formula, text[]) is 'has one of these elements';

create function labos.formula_gin_extract(labos.formula, internal, internal) returns internal
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_gin_extract';
create function labos.formula_gin_query(labos.formula, internal, smallint, internal, internal, internal, internal) returns internal
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_gin_query';
create function labos.formula_gin_consistent(internal, smallint, labos.formula, integer, internal, internal, internal, internal) returns boolean
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_gin_consistent';
create function labos.formula_gin_triconsistent(internal, smallint, labos.formula, integer, internal, internal, internal) returns "char"
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_gin_triconsistent';
comment on function labos.formula_gin_extract(labos.formula, internal, internal) is 'gin support';
comment on function labos.formula_gin_query(labos.formula, internal, smallint, internal, internal, internal, internal) is 'gin support';
comment on function labos.formula_gin_consistent(internal, smallint, labos.formula, integer, internal, internal, internal, internal) is 'gin support';
comment on function labos.formula_gin_triconsistent(internal, smallint, labos.formula, integer, internal, internal, internal) is 'gin support';

create operator class labos.formula_gin_ops default for type labos.formula using gin as
  operator 1 labos.&&, operator 2 labos.@>, operator 3 labos.<@,
  operator 11 labos.&&(labos.formula, text[]), operator 12 labos.@>(labos.formula, text[]),
  operator 13 labos.<@(labos.formula, text[]),
  function 1 pg_catalog.btint8cmp(bigint, bigint),
  function 2 labos.formula_gin_extract(labos.formula, internal, internal),
  function 3 labos.formula_gin_query(labos.formula, internal, smallint, internal, internal, internal, internal),
  function 4 labos.formula_gin_consistent(internal, smallint, labos.formula, integer, internal, internal, internal, internal),
  function 6 labos.formula_gin_triconsistent(internal, smallint, labos.formula, integer, internal, internal, internal),
  storage bigint;

-- sql/code/labcode.sql
/*
 * Room: types
 *
 * Sample codes with a check character, as they are printed on labels:
 * prefix of letters, number, check (SOL-000123-K). No single wrong character
 * and no swap of two neighbours turns a valid code into another.
 */

create function labos.labcode_make(prefix text, number bigint) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_labcode_make';
comment on function labos.labcode_make(text, bigint) is
$$The sample code of a prefix and a number

Prefix of 1 to 8 letters A-Z, number 0 to 999999999999, padded with zeros to six digits or more. Errors: LB203.$$;

create function labos.labcode_check_digit(body text) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_labcode_check_digit';
comment on function labos.labcode_check_digit(text) is
$$The check character of ISO 7064 MOD 37,36

Over 0-9 and A-Z; hyphens do not count. Errors: LB203.$$;

create function labos.labcode_valid(code text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_labcode_valid';
comment on function labos.labcode_valid(text) is
$$Is this exactly a sample code that labcode_make writes?

Never raises; usable in a CHECK constraint.$$;

create function labos.labcode_read(input text) returns text
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_labcode_read';
comment on function labos.labcode_read(text) is
$$The sample code that was meant

Puts small letters, spaces and missing hyphens right, and O, I, L in the number. Null when that is no valid code.$$;

-- sql/code/ops.sql
/*
 * Room: types
 *
 * labos_ops: operators that row security lets use an index. They do what the
 * operators of the same name in pg_catalog do, and are LEAKPROOF because they
 * raise no error that depends on a value. They stand before pg_catalog in the
 * search path of the API roles, so that ILIKE, @> and < mean these.
 *
 * Holds    ~~ !~~ ~~* !~~* on text; @> <@ on jsonb; < <= = <> >= > on numeric; @@ on tsvector
 *          gin_trgm_ops, gin_jsonb_path_ops, gin_tsvector_ops, numeric_ops (btree, hash): none is a default
 * Absent   regular expressions, similarity, jsonpath and arrays: their errors depend on values.
 */

-- text: LIKE and ILIKE --------------------------------------------------------

create function labos_ops.like(text, text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_like';
create function labos_ops.nlike(text, text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_nlike';
create function labos_ops.ilike(text, text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_ilike';
create function labos_ops.nilike(text, text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_nilike';
comment on function labos_ops.like(text, text) is 'LIKE, leakproof: a lone backslash at the end of the pattern stands for itself, where PostgreSQL raises 22025.';
comment on function labos_ops.nlike(text, text) is 'NOT LIKE, leakproof.';
comment on function labos_ops.ilike(text, text) is 'ILIKE, leakproof: a lone backslash at the end of the pattern stands for itself, where PostgreSQL raises 22025.';
comment on function labos_ops.nilike(text, text) is 'NOT ILIKE, leakproof.';

create operator labos_ops.~~ (
  function = labos_ops.like, leftarg = text, rightarg = text,
  negator = operator(labos_ops.!~~), restrict = likesel, join = likejoinsel);
create operator labos_ops.!~~ (
  function = labos_ops.nlike, leftarg = text, rightarg = text,
  negator = operator(labos_ops.~~), restrict = nlikesel, join = nlikejoinsel);
create operator labos_ops.~~* (
  function = labos_ops.ilike, leftarg = text, rightarg = text,
  negator = operator(labos_ops.!~~*), restrict = iclikesel, join = iclikejoinsel);
create operator labos_ops.!~~* (
  function = labos_ops.nilike, leftarg = text, rightarg = text,
  negator = operator(labos_ops.~~*), restrict = icnlikesel, join = icnlikejoinsel);
comment on operator labos_ops.~~ (text, text) is 'LIKE, leakproof';
comment on operator labos_ops.!~~ (text, text) is 'NOT LIKE, leakproof';
comment on operator labos_ops.~~* (text, text) is 'ILIKE, leakproof';
comment on operator labos_ops.!~~* (text, text) is 'NOT ILIKE, leakproof';

-- pg_trgm may be in any schema.
do $do$
declare
  v_trgm name;
begin
  select n.nspname into strict v_trgm
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
  where e.extname operator(pg_catalog.=) 'pg_trgm';
  execute pg_catalog.format($sql$
    create operator class labos_ops.gin_trgm_ops for type text using gin as
      operator 3 labos_ops.~~ (text, text), operator 4 labos_ops.~~* (text, text),
      function 1 pg_catalog.btint4cmp(integer, integer),
      function 2 %1$I.gin_extract_value_trgm(text, internal),
      function 3 %1$I.gin_extract_query_trgm(text, internal, smallint, internal, internal, internal, internal),
      function 4 %1$I.gin_trgm_consistent(internal, smallint, text, integer, internal, internal, internal, internal),
      function 6 %1$I.gin_trgm_triconsistent(internal, smallint, text, integer, internal, internal, internal),
      storage integer
  $sql$, v_trgm);
end
$do$;
comment on operator class labos_ops.gin_trgm_ops using gin is 'trigrams for LIKE and ILIKE of labos_ops';

-- jsonb: containment ----------------------------------------------------------

create function labos_ops.jsonb_contains(jsonb, jsonb) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_jsonb_contains';
create function labos_ops.jsonb_contained(jsonb, jsonb) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_jsonb_contained';
comment on function labos_ops.jsonb_contains(jsonb, jsonb) is 'jsonb @>, leakproof.';
comment on function labos_ops.jsonb_contained(jsonb, jsonb) is 'jsonb <@, leakproof.';

create operator labos_ops.@> (
  function = labos_ops.jsonb_contains, leftarg = jsonb, rightarg = jsonb,
  commutator = operator(labos_ops.<@), restrict = matchingsel, join = matchingjoinsel);
create operator labos_ops.<@ (
  function = labos_ops.jsonb_contained, leftarg = jsonb, rightarg = jsonb,
  commutator = operator(labos_ops.@>), restrict = matchingsel, join = matchingjoinsel);
comment on operator labos_ops.@> (jsonb, jsonb) is 'contains, leakproof';
comment on operator labos_ops.<@ (jsonb, jsonb) is 'is contained by, leakproof';

create operator class labos_ops.gin_jsonb_path_ops for type jsonb using gin as
  operator 7 labos_ops.@>,
  function 1 pg_catalog.btint4cmp(integer, integer),
  function 2 pg_catalog.gin_extract_jsonb_path(jsonb, internal, internal),
  function 3 pg_catalog.gin_extract_jsonb_query_path(jsonb, internal, smallint, internal, internal, internal, internal),
  function 4 pg_catalog.gin_consistent_jsonb_path(internal, smallint, jsonb, integer, internal, internal, internal, internal),
  function 6 pg_catalog.gin_triconsistent_jsonb_path(internal, smallint, jsonb, integer, internal, internal, internal),
  storage integer;
comment on operator class labos_ops.gin_jsonb_path_ops using gin is 'path hashes for @> of labos_ops';

-- numeric: order ----------------------------------------------------------------

create function labos_ops.numeric_lt(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_lt';
create function labos_ops.numeric_le(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_le';
create function labos_ops.numeric_eq(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_eq';
create function labos_ops.numeric_ne(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_ne';
create function labos_ops.numeric_ge(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_ge';
create function labos_ops.numeric_gt(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_gt';
comment on function labos_ops.numeric_lt(numeric, numeric) is 'numeric <, leakproof.';
comment on function labos_ops.numeric_le(numeric, numeric) is 'numeric <=, leakproof.';
comment on function labos_ops.numeric_eq(numeric, numeric) is 'numeric =, leakproof.';
comment on function labos_ops.numeric_ne(numeric, numeric) is 'numeric <>, leakproof.';
comment on function labos_ops.numeric_ge(numeric, numeric) is 'numeric >=, leakproof.';
comment on function labos_ops.numeric_gt(numeric, numeric) is 'numeric >, leakproof.';

create operator labos_ops.= (
  function = labos_ops.numeric_eq, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.=), negator = operator(labos_ops.<>),
  restrict = eqsel, join = eqjoinsel, hashes, merges);
create operator labos_ops.<> (
  function = labos_ops.numeric_ne, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.<>), negator = operator(labos_ops.=),
  restrict = neqsel, join = neqjoinsel);
create operator labos_ops.< (
  function = labos_ops.numeric_lt, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.>), negator = operator(labos_ops.>=),
  restrict = scalarltsel, join = scalarltjoinsel);
create operator labos_ops.<= (
  function = labos_ops.numeric_le, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.>=), negator = operator(labos_ops.>),
  restrict = scalarlesel, join = scalarlejoinsel);
create operator labos_ops.>= (
  function = labos_ops.numeric_ge, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.<=), negator = operator(labos_ops.<),
  restrict = scalargesel, join = scalargejoinsel);
create operator labos_ops.> (
  function = labos_ops.numeric_gt, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.<), negator = operator(labos_ops.<=),
  restrict = scalargtsel, join = scalargtjoinsel);
comment on operator labos_ops.= (numeric, numeric) is 'equal, leakproof';
comment on operator labos_ops.<> (numeric, numeric) is 'not equal, leakproof';
comment on operator labos_ops.< (numeric, numeric) is 'less than, leakproof';
comment on operator labos_ops.<= (numeric, numeric) is 'less than or equal, leakproof';
comment on operator labos_ops.>= (numeric, numeric) is 'greater than or equal, leakproof';
comment on operator labos_ops.> (numeric, numeric) is 'greater than, leakproof';

create operator class labos_ops.numeric_ops for type numeric using btree as
  operator 1 labos_ops.<, operator 2 labos_ops.<=, operator 3 labos_ops.=, operator 4 labos_ops.>=, operator 5 labos_ops.>,
  function 1 pg_catalog.numeric_cmp(numeric, numeric),
  function 2 pg_catalog.numeric_sortsupport(internal);
create operator class labos_ops.numeric_ops for type numeric using hash as
  operator 1 labos_ops.=,
  function 1 pg_catalog.hash_numeric(numeric),
  function 2 pg_catalog.hash_numeric_extended(numeric, bigint);
comment on operator class labos_ops.numeric_ops using btree is 'order for the comparisons of labos_ops';
comment on operator class labos_ops.numeric_ops using hash is 'hash joins with = of labos_ops';

-- tsvector: full text -------------------------------------------------------------

create function labos_ops.ts_match(tsvector, tsquery) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_ts_match';
comment on function labos_ops.ts_match(tsvector, tsquery) is 'tsvector @@ tsquery, leakproof.';

create operator labos_ops.@@ (
  function = labos_ops.ts_match, leftarg = tsvector, rightarg = tsquery,
  restrict = tsmatchsel, join = tsmatchjoinsel);
comment on operator labos_ops.@@ (tsvector, tsquery) is 'matches, leakproof';

create operator class labos_ops.gin_tsvector_ops for type tsvector using gin as
  operator 1 labos_ops.@@ (tsvector, tsquery),
  function 1 pg_catalog.gin_cmp_tslexeme(text, text),
  function 2 pg_catalog.gin_extract_tsvector(tsvector, internal, internal),
  function 3 pg_catalog.gin_extract_tsquery(tsvector, internal, smallint, internal, internal, internal, internal),
  function 4 pg_catalog.gin_tsquery_consistent(internal, smallint, tsvector, integer, internal, internal, internal, internal),
  function 5 pg_catalog.gin_cmp_prefix(text, text, smallint, internal),
  function 6 pg_catalog.gin_tsquery_triconsistent(internal, smallint, tsvector, integer, internal, internal, internal),
  storage text;
comment on operator class labos_ops.gin_tsvector_ops using gin is 'lexemes for @@ of labos_ops';

-- sql/code/audit.sql
/*
 * Room: audit (code)
 *
 * The trigger functions, the sealer and the verifier in C, and the procedures
 * by which the owner puts tables under audit.  The tables are m/030_audit.
 */

create function labos.tg__audit() returns trigger
  language c volatile as 'MODULE_PATHNAME', 'labos_tg_audit';
comment on function labos.tg__audit() is
  'Writes one row of the audit log for each row version; argument: the kind. Attach it with labos.audit_enable().';
create function labos.tg__audit_flush() returns trigger
  language c volatile as 'MODULE_PATHNAME', 'labos_tg_audit_flush';
comment on function labos.tg__audit_flush() is
  'Writes what the statement has buffered, so that the transaction can read its own audit rows.';
create function labos.tg__audit_truncate() returns trigger
  language c volatile as 'MODULE_PATHNAME', 'labos_tg_audit_truncate';
comment on function labos.tg__audit_truncate() is
  'Writes every row that TRUNCATE takes away, or refuses it; arguments: the kind, and refuse.';
revoke all on function labos.tg__audit(), labos.tg__audit_flush(), labos.tg__audit_truncate() from public;

create function labos.audit_event(event text, data json default null, org_id uuid default null, rec uuid default null,
                                  out gen smallint, out xid bigint, out n integer)
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_event';
comment on function labos.audit_event(text, json, uuid, uuid) is
$$Writes an event into the audit log (owner of the log, superuser)

Logins, exports, changes of configuration. Returns where it stands; nulls while a restore is running. Errors: 42501, LB301.$$;
revoke all on function labos.audit_event(text, json, uuid, uuid) from public;

create function labos.audit_baseline(tab regclass, kind text) returns bigint
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_baseline';
comment on function labos.audit_baseline(regclass, text) is
  'Writes each row of a table as a snapshot entry, from which its history starts. Called by labos.audit_enable().';
revoke all on function labos.audit_baseline(regclass, text) from public;

create function labos.audit_refresh() returns void
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_refresh';
comment on function labos.audit_refresh() is 'Lets every session read the definitions and the generation of the audit log again.';
revoke all on function labos.audit_refresh() from public;

create function labos.audit_here(out sysid text, out dboid bigint, out gen smallint)
  language c stable parallel restricted as 'MODULE_PATHNAME', 'labos_audit_here';
comment on function labos.audit_here() is
  'This database in this cluster, and its open generation of the audit log; gen is null when none is open.';
revoke all on function labos.audit_here() from public;

create function labos.audit_close(out from_no bigint, out prev_hash bytea)
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_close';
comment on function labos.audit_close() is
  'Seals all that is left of a generation that ended with its database. Part of labos.audit_open().';
revoke all on function labos.audit_close() from public;

create function labos.audit_seal(out block bigint, out entries bigint, out size bigint, out root bytea)
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_seal';
comment on function labos.audit_seal() is
$$Seals new audit rows into a block of the Merkle tree (owner of the log, superuser)

Rows of transactions that became visible since the last block, never those of the calling one. No writer waits for it; a second sealer does. block is null when there was nothing to seal. Errors: 42501, 25000 not read committed, LB301 no open generation, XX001 the tree is damaged.$$;
revoke all on function labos.audit_seal() from public;

create function labos.audit_verify(from_block bigint default 1, to_block bigint default null,
    out ok boolean, out blocks bigint, out entries bigint, out unsealed bigint,
    out bad_block bigint, out bad_entry bigint, out bad_xid bigint, out bad_n integer, out reason text)
  language c stable parallel unsafe as 'MODULE_PATHNAME', 'labos_audit_verify';
comment on function labos.audit_verify(bigint, bigint) is
$$Recomputes the audit log: rows, tree, blocks (owner of the log, superuser)

ok, how much was looked at, how many rows wait to be sealed, and the first fault: block, entry (leaf index), transaction and place in it, reason. With to_block null also the registers and rows after the last block. Errors: 42501, 22023.$$;
revoke all on function labos.audit_verify(bigint, bigint) from public;

create function labos.audit_open(reason text) returns smallint
  language plpgsql volatile set search_path to pg_catalog, pg_temp
as $$
declare
  v_here record;
  v_left record;
  v_gen  smallint;
  v_at   record;
begin
  lock table lab_private.audit_block in share row exclusive mode;
  select h.* into v_here from labos.audit_here() h;
  if v_here.gen is not null then
    return v_here.gen;
  end if;
  select c.* into v_left from labos.audit_close() c;
  insert into lab_private.audit_gen (gen, sysid, dboid, from_no, prev_hash, reason)
  select coalesce(max(g.gen), 0) + 1, v_here.sysid, v_here.dboid, v_left.from_no, v_left.prev_hash,
         coalesce(audit_open.reason, 'opened')
  from lab_private.audit_gen g
  returning audit_gen.gen into v_gen;
  perform labos.audit_refresh();

  select e.* into v_at
  from lab_private.audit_gen g,
       labos.audit_event('gen.open', (to_jsonb(g) - array['log_gen', 'log_xid', 'log_n'])::json) e
  where g.gen = v_gen;
  update lab_private.audit_gen g set (log_gen, log_xid, log_n) = (v_at.gen, v_at.xid, v_at.n) where g.gen = v_gen;
  return v_gen;
end
$$;
comment on function labos.audit_open(text) is
$$Opens the audit log in this database (owner of the log, superuser; idempotent)

After a restore, a copy or a major upgrade: what was brought along is sealed as it is, and a new generation begins that is linked to it. Returns the generation. labos.deploy() calls it.$$;
revoke all on function labos.audit_open(text) from public;

create function labos.audit_size() returns bigint
  language sql stable set search_path to pg_catalog, pg_temp
as $$ select coalesce((select b.size from lab_private.audit_block b order by b.no desc limit 1), 0) $$;
comment on function labos.audit_size() is 'Leaves of the audit tree.';
revoke all on function labos.audit_size() from public;

create procedure labos.audit_check_policy(tab regclass, policy jsonb)
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
declare
  v_key  text;
  v_list text;
  v_name text;
begin
  if jsonb_typeof(policy) is distinct from 'object' then
    raise exception 'audit policy must be an object' using errcode = '22023';
  end if;
  for v_key in select k from jsonb_object_keys(policy) k loop
    if v_key <> all (array['reason', 'reason_min', 'secret', 'ignore', 'noop', 'truncate', 'org']) then
      raise exception 'unknown audit policy "%"', v_key using errcode = '22023',
        hint = 'Policies are reason, reason_min, secret, ignore, noop, truncate, org.';
    end if;
  end loop;
  if coalesce(policy ->> 'reason', 'none') <> all (array['none', 'update', 'always'])
     or coalesce(policy ->> 'truncate', 'capture') <> all (array['capture', 'refuse'])
     or jsonb_typeof(coalesce(policy -> 'noop', 'false')) <> 'boolean'
     or jsonb_typeof(coalesce(policy -> 'reason_min', '1')) <> 'number'
     or jsonb_typeof(coalesce(policy -> 'org', '""')) <> 'string' then
    raise exception 'invalid audit policy' using errcode = '22023', detail = policy::text,
      hint = 'reason: none, update or always; reason_min: characters; truncate: capture or refuse; noop: true or false; org: a column.';
  end if;
  foreach v_list in array array['secret', 'ignore'] loop
    if jsonb_typeof(coalesce(policy -> v_list, '[]')) <> 'array' then
      raise exception 'audit policy "%" must be a list of columns', v_list using errcode = '22023';
    end if;
    for v_name in select n from jsonb_array_elements_text(coalesce(policy -> v_list, '[]')) n loop
      if not exists (select from pg_attribute a where a.attrelid = tab and a.attnum > 0 and not a.attisdropped and a.attname = v_name) then
        raise exception 'audit policy "%" names column "%", which % does not have', v_list, v_name, tab using errcode = '42703';
      end if;
    end loop;
  end loop;
end
$$;
comment on procedure labos.audit_check_policy(regclass, jsonb) is 'Raises 22023 or 42703 for what is no audit policy of this table.';
revoke all on procedure labos.audit_check_policy(regclass, jsonb) from public;

create procedure labos.audit_set_trigger(tab regclass, name name, kind text default '', truncate text default '')
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
declare
  v_enabled "char";
begin
  -- Replacing a trigger would enable one that somebody switched off without a trace: a good one stays.
  select t.tgenabled into v_enabled
  from pg_trigger t join pg_proc p on p.oid = t.tgfoid
  where t.tgrelid = tab and t.tgname = audit_set_trigger.name
    and (p.proname, t.tgtype, encode(t.tgargs, 'escape')) = case audit_set_trigger.name
          when '_900_audit' then ('tg__audit'::name, 29::smallint, encode(convert_to(kind, 'UTF8') || '\x00', 'escape'))
          when '_910_audit_flush' then ('tg__audit_flush'::name, 28::smallint, ''::text)
          else ('tg__audit_truncate'::name, 34::smallint,
                encode(convert_to(kind, 'UTF8') || '\x00' || convert_to(truncate, 'UTF8') || '\x00', 'escape')) end;
  if v_enabled = 'A' then
    return;
  end if;
  if v_enabled is null then
    case name
      when '_900_audit' then
        execute format('create or replace trigger _900_audit after insert or update or delete on %s for each row execute function labos.tg__audit(%L)', tab, kind);
      when '_910_audit_flush' then
        execute format('create or replace trigger _910_audit_flush after insert or update or delete on %s for each statement execute function labos.tg__audit_flush()', tab);
      else
        execute format('create or replace trigger _910_audit_truncate before truncate on %s for each statement execute function labos.tg__audit_truncate(%L, %L)',
          tab, kind, truncate);
    end case;
  else
    perform labos.audit_event('table.trigger', json_build_object('table', tab::text, 'trigger', name, 'was', v_enabled, 'is', 'A'));
  end if;
  execute format('alter table %s enable always trigger %I', tab, name);
end
$$;
comment on procedure labos.audit_set_trigger(regclass, name, text, text) is 'Makes an audit trigger ENABLE ALWAYS if it is not; part of labos.audit_enable().';
revoke all on procedure labos.audit_set_trigger(regclass, name, text, text) from public;

create procedure labos.audit_enable(tab regclass, policy jsonb default '{}', kind text default null)
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
declare
  v_table    text := tab::text;
  v_relname  name;
  v_relkind  "char";
  v_kind     text;
  v_columns  jsonb;
  v_old      lab_private.audit_table;
  v_at       record;
  v_id       integer;
  v_leaf     regclass;
  v_truncate text := coalesce(policy ->> 'truncate', 'capture');
begin
  select c.relname, c.relkind into v_relname, v_relkind from pg_class c where c.oid = tab;
  if v_relkind not in ('r', 'p') then
    raise exception '% is not a table', v_table using errcode = '42809';
  end if;
  if (select h.gen from labos.audit_here() h) is null then
    raise exception 'the audit log is not open in this database' using errcode = 'LB301',
      hint = 'Call labos.audit_open(''why'') or labos.deploy() first.';
  end if;
  v_kind := coalesce(audit_enable.kind, v_relname);
  call labos.audit_check_policy(tab, policy);
  lock table lab_private.audit_table in share row exclusive mode;
  if exists (select from lab_private.audit_table t
             where t.kind = v_kind and t.valid_to is null and t.relname <> v_table and to_regclass(t.relname) is not null) then
    raise exception 'another table is audited as "%"', v_kind using errcode = '42710';
  end if;

  select jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) order by a.attnum)
  into v_columns
  from pg_attribute a where a.attrelid = tab and a.attnum > 0 and not a.attisdropped;
  select t.* into v_old from lab_private.audit_table t where t.kind = v_kind and t.valid_to is null;

  if v_old.id is null or (v_old.relname, v_old.columns, v_old.policy) is distinct from (v_table, v_columns, audit_enable.policy) then
    update lab_private.audit_table t set valid_to = labos.audit_size() where t.id = v_old.id;
    insert into lab_private.audit_table (id, kind, relname, columns, policy, valid_from)
    select coalesce(max(t.id), 0) + 1, v_kind, v_table, v_columns, audit_enable.policy, labos.audit_size()
    from lab_private.audit_table t
    returning id into v_id;
    perform labos.audit_refresh();
    select e.* into v_at
    from labos.audit_event(case when v_old.id is null then 'table.enable' else 'table.change' end,
                           json_build_object('id', v_id, 'kind', v_kind, 'relname', v_table, 'columns', v_columns, 'policy', audit_enable.policy)) e;
    update lab_private.audit_table t set (log_gen, log_xid, log_n) = (v_at.gen, v_at.xid, v_at.n) where t.id = v_id;
  end if;

  call labos.audit_set_trigger(tab, '_900_audit', v_kind);
  -- Statement triggers of a partitioned table do not see what is done to a partition itself.
  for v_leaf in select p.relid from pg_partition_tree(tab) p union select tab loop
    call labos.audit_set_trigger(v_leaf, '_910_audit_flush');
    call labos.audit_set_trigger(v_leaf, '_910_audit_truncate', v_kind, v_truncate);
    if v_old.id is null then
      perform labos.audit_baseline(v_leaf, v_kind);
    end if;
  end loop;
end
$$;
comment on procedure labos.audit_enable(regclass, jsonb, text) is
$$Puts a table under audit (owner of the table and of the log; idempotent)

kind: the name clients use in audit_history(), the table's name unless given. policy: reason none|update|always, reason_min characters, secret columns (logged as "#"), ignore columns (not logged), org column (org_id), noop true to log updates that change nothing, truncate capture|refuse. Rows that exist become the baseline; every change of the definition is an event of the log. Errors: 22023, 42703, 42710.$$;
revoke all on procedure labos.audit_enable(regclass, jsonb, text) from public;

create procedure labos.audit_disable(tab regclass, reason text default null)
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
declare
  v_leaf regclass;
  v_id   integer;
begin
  lock table lab_private.audit_table in share row exclusive mode;
  update lab_private.audit_table t set valid_to = labos.audit_size()
  where t.relname = tab::text and t.valid_to is null
  returning t.id into v_id;
  if v_id is null then
    return;
  end if;
  perform labos.audit_event('table.disable', json_build_object('id', v_id, 'relname', tab::text, 'reason', reason));
  execute format('drop trigger if exists _900_audit on %s', tab);
  for v_leaf in select p.relid from pg_partition_tree(tab) p union select tab loop
    execute format('drop trigger if exists _910_audit_flush on %s', v_leaf);
    execute format('drop trigger if exists _910_audit_truncate on %s', v_leaf);
  end loop;
  perform labos.audit_refresh();
end
$$;
comment on procedure labos.audit_disable(regclass, text) is
  'Takes a table out of audit (owner of the table and of the log); itself an event of the log. What was logged stays.';
revoke all on procedure labos.audit_disable(regclass, text) from public;

-- sql/code/parse.sql
/*
 * Room: parse
 *
 * Readers of file formats. They know no table: the LIMS imports through them.
 */

create function labos.jcamp_parse(
    source text,
    out block integer, out page integer, out page_label text, out title text, out data_type text, out form text,
    out x_name text, out x_unit text, out y_name text, out y_unit text,
    out x_first float8, out x_step float8, out x float8[], out y float8[], out dropped text, out header jsonb)
  returns setof record
  language c immutable strict parallel safe rows 1 cost 10000
  as 'MODULE_PATHNAME', 'labos_jcamp_parse';
comment on function labos.jcamp_parse(text) is
$$Reads a JCAMP-DX file (AFFN, PAC, SQZ, DIF, DUP; NTUPLES, peak tables, LINK blocks)

One row for each data table, with factors applied and units as the file names them; x is null when the axis is even (x_first + i * x_step), NaN in y is a missing point, header stands on the first row of a block. Errors: LB401 with the line for anything malformed, damaged or truncated.$$;

create function labos.csv_parse(
    source text, delimiter text default null,
    out "row" integer, out line integer, out fields text[])
  returns setof record
  language c immutable parallel safe rows 1000 cost 1000
  as 'MODULE_PATHNAME', 'labos_csv_parse';
comment on function labos.csv_parse(text, text) is
$$Reads delimited text (RFC 4180)

One row for each record, header included; an unquoted empty field is null. A null delimiter is found from the first line (comma, semicolon, tab, bar). Errors: LB402 with the line for open quotes and rows of unequal length, 22023 for the delimiter.$$;

-- sql/code/bootstrap.sql
/*
 * Room: bootstrap
 *
 * The call that makes a deployed database usable: the first organisation, its
 * admin and the first signing key. The work is done by the deployed schema;
 * this is the door to it, for the one who installs.
 */

create function labos.bootstrap(org text, email text, password text) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_result jsonb;
begin
  if not pg_has_role(current_user, 'lab_owner', 'member') then
    raise exception 'only lab_owner or a superuser can bootstrap labos' using errcode = '42501',
      hint = format('GRANT lab_owner TO %I;', current_user);
  elsif to_regprocedure('lab_private.bootstrap(text, text, text)') is null then
    raise exception 'labos is not deployed in this database' using errcode = 'LB001',
      hint = 'CALL labos.deploy();';
  end if;
  execute 'select lab_private.bootstrap($1, $2, $3)' into v_result using org, email, password;
  return v_result;
end
$$;
comment on function labos.bootstrap(text, text, text) is
$$Makes the first organisation, its admin and the first signing key (once; superuser or lab_owner)

The admin is also superuser of the installation: may create organisations and rotate keys. Returns their ids. Errors: LB001 not deployed, PT400 invalid_email, invalid_organization, PT409 already_bootstrapped, PT422 weak_password.$$;
revoke all on function labos.bootstrap(text, text, text) from public;

-- sql/code/deploy.sql
/*
 * Room: deploy
 *
 * Builds and migrates the laboratory from the schema files that the extension
 * carries as rows. The extension is code; what it builds are ordinary tables
 * owned by lab_owner, so that a dump holds every row.
 *
 * Holds    schema_file, deploy(), status(), create_roles(), prepare_database(), version functions
 * State    lab_private.deployment, .migration, .repeatable: ordinary tables, they travel with dumps
 */

create table labos.schema_file (
  path   text    not null,
  kind   text    not null,
  ord    integer not null,
  module text    not null,
  body   text    not null,
  constraint schema_file_pkey primary key (path),
  constraint schema_file_ord_key unique (ord),
  constraint schema_file_kind_check check (kind in ('m', 'r'))
);
comment on table labos.schema_file is
  'The schema files of this version: m = migration (runs once), r = repeatable (runs again when changed). Refilled by every update of the extension.';

create function labos.exec_file(path text, body text) returns integer
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_exec_file';
comment on function labos.exec_file(text, text) is
  'Runs the statements of a schema file as the current user; an error names file and line. Used by labos.deploy().';
revoke all on function labos.exec_file(text, text) from public;

create function labos.run_as_owner(statement text, modules text[]) returns void
  language c volatile parallel unsafe as 'MODULE_PATHNAME', 'labos_run_as_owner';
comment on function labos.run_as_owner(text, text[]) is
$$Runs a statement as lab_owner, who stays lab_owner

$1 in the statement is modules. Nothing that runs meanwhile (a trigger, a function of the schema) can set another role, and the settings it changes are undone: a superuser may deploy over objects that others made. For superusers and members of lab_owner.$$;
revoke all on function labos.run_as_owner(text, text[]) from public;

create function labos.is_plain_table(name text) returns boolean
  language sql stable set search_path to pg_catalog, pg_temp
as $$ select exists (select from pg_class c where c.oid = to_regclass(name) and c.relkind = 'r') $$;
comment on function labos.is_plain_table(text) is 'Is this a table? A view in its place would run functions of its owner with the reader''s rights.';

create function labos.version() returns text
  language sql stable parallel safe set search_path to pg_catalog, pg_temp
as $$ select e.extversion from pg_catalog.pg_extension e where e.extname = 'labos' $$;
comment on function labos.version() is 'The version of the extension in this database.';

create function labos.deployed_version() returns text
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
declare
  v_version text;
begin
  if not exists (select from pg_class c where c.oid = to_regclass('lab_private.deployment') and c.relkind = 'r') then
    return null;
  end if;
  execute 'select d.version from lab_private.deployment d' into v_version;
  return v_version;
end
$$;
comment on function labos.deployed_version() is 'The version whose schema stands in this database; null before the first labos.deploy().';

create function labos.create_roles() returns setof text
  language plpgsql volatile set search_path to pg_catalog, pg_temp
as $$
declare
  v_role   text;
  v_what   text;
  v_cure   text;
  v_wanted text[][] := array[
    ['lab_owner',         'nologin noinherit'],
    ['lab_authenticator', 'login noinherit'],
    ['lab_anon',          'nologin'],
    ['lab_user',          'nologin'],
    ['lab_guest',         'nologin'],
    ['lab_auditor',       'nologin'],
    ['lab_backup',        'nologin bypassrls']];
begin
  if not (select r.rolsuper from pg_roles r where r.rolname = current_user) then
    raise exception 'labos.create_roles() must be called by a superuser' using errcode = '42501',
      hint = 'Roles belong to the whole cluster: ask its administrator to call it once.';
  end if;
  for v_i in 1 .. array_length(v_wanted, 1) loop
    v_role := v_wanted[v_i][1];
    if not exists (select from pg_roles r where r.rolname = v_role) then
      execute format('create role %I %s', v_role, v_wanted[v_i][2]);
      return next v_role;
    end if;
  end loop;
  -- A role that somebody made before us keeps what they gave it: refused, if it can do more than ours.
  select r.rolname, x.what, x.cure into v_role, v_what, v_cure
  from pg_roles r
  cross join lateral (values
    ('is a superuser', r.rolsuper, 'NOSUPERUSER'),
    ('may create roles', r.rolcreaterole, 'NOCREATEROLE'),
    ('may replicate', r.rolreplication and r.rolname <> 'lab_backup', 'NOREPLICATION'),
    ('bypasses row security', r.rolbypassrls and r.rolname <> 'lab_backup', 'NOBYPASSRLS'),
    ('can log in', r.rolcanlogin and r.rolname not in ('lab_authenticator', 'lab_backup'), 'NOLOGIN'),
    ('inherits the rights of its roles', r.rolinherit and r.rolname = 'lab_authenticator', 'NOINHERIT')) x(what, so, cure)
  where r.rolname in (select w.v[1] from (select array[v_wanted[i][1]] as v from generate_subscripts(v_wanted, 1) i) w) and x.so
  order by r.rolname limit 1;
  if found then
    raise exception 'role "%" exists and %', v_role, v_what using errcode = 'LB001', hint = format('ALTER ROLE %I %s;', v_role, v_cure);
  end if;
  select r.rolname, g.rolname into v_role, v_what
  from pg_roles r join pg_roles g on g.oid <> r.oid and pg_has_role(r.oid, g.oid, 'member')
  where r.rolname in ('lab_owner', 'lab_authenticator', 'lab_anon', 'lab_user', 'lab_guest', 'lab_auditor')
    and (g.rolsuper or g.rolcreaterole or g.rolbypassrls or g.rolreplication or g.rolname in ('lab_owner', 'lab_backup', 'pg_read_all_data', 'pg_write_all_data',
           'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_create_subscription', 'pg_maintain'))
  order by not exists (select from pg_auth_members m where m.roleid = g.oid and m.member = r.oid), 1, 2 limit 1;
  if found then
    raise exception 'role "%" is a member of "%"', v_role, v_what using errcode = 'LB001', hint = format('REVOKE %I FROM %I;', v_what, v_role);
  end if;
  grant lab_anon, lab_user, lab_guest to lab_authenticator;
  grant pg_read_all_data to lab_backup;
end
$$;
comment on function labos.create_roles() is
$$Makes the roles of a labos cluster (idempotent; superuser)

lab_owner owns the schema and never logs in; lab_authenticator is PostgREST's login; lab_anon, lab_user and lab_guest are what it switches to; lab_auditor reads the audit trail; lab_backup reads everything. A role of that name that can do more than this is refused (LB001). Returns the names of the roles it made.$$;
revoke all on function labos.create_roles() from public;

create function labos.prepare_database() returns void
  language plpgsql volatile set search_path to pg_catalog, pg_temp
as $$
declare
  v_database text := current_database();
  v_preload  text;
  v_database_sets boolean;
  v_member   text;
begin
  execute format('grant create, connect, temporary on database %I to lab_owner', v_database);
  execute format('grant connect on database %I to lab_authenticator, lab_backup', v_database);
  -- A temporary table in a pooled session can shadow what the next client writes to.
  execute format('revoke temporary on database %I from public', v_database);
  revoke create on schema public from public;
  grant usage on schema labos, labos_ops to lab_owner, lab_authenticator, lab_anon, lab_user, lab_guest, lab_auditor, lab_backup;
  grant usage on schema labos to lab_owner with grant option;
  grant select on labos.schema_file to lab_owner, lab_backup;
  -- What is revoked from everybody (hashing, sealing, deployment tools) the owner's functions need.
  grant execute on all routines in schema labos to lab_owner;

  -- The library is loaded before the first statement of every session: identity is sealed from the start.
  select substr(c.setting, length('session_preload_libraries=') + 1) into v_preload
  from pg_db_role_setting s
  join pg_database d on d.oid = s.setdatabase and d.datname = v_database
  cross join lateral unnest(s.setconfig) c(setting)
  where s.setrole = 0 and c.setting like 'session\_preload\_libraries=%';
  v_database_sets := found;
  -- The database's own value stands in front of the server's: it must hold both.
  v_preload := coalesce(v_preload, current_setting('session_preload_libraries'));
  if not v_database_sets or v_preload !~ '(^|[ ,"])labos($|[ ,"])' then
    execute format('alter database %I set session_preload_libraries = %s', v_database,
      array_to_string(array(select quote_literal(trim(both ' "' from x)) from unnest(string_to_array(coalesce(v_preload, ''), ',')) x
                            where trim(both ' "' from x) not in ('', 'labos')) || array['''labos'''], ', '));
  end if;
  -- Wrappers of labos_ops stand before the operators they wrap.
  for v_member in select unnest(array['lab_authenticator', 'lab_anon', 'lab_user', 'lab_guest']) loop
    execute format('alter role %I in database %I set search_path = lab, labos_ops, labos, pg_catalog', v_member, v_database);
  end loop;
end
$$;
comment on function labos.prepare_database() is
$$Grants and settings of this database that only a superuser can make (idempotent)

Lets lab_owner create schemas, takes TEMPORARY and CREATE from PUBLIC, loads the library in every session and sets the search path of the API roles. labos.deploy() calls it when a superuser deploys.$$;
revoke all on function labos.prepare_database() from public;

create function labos.status()
  returns table (library text, extension text, deployed text, owner text, modules text[], pending text[])
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
begin
  library := labos.library_version();
  extension := labos.version();
  deployed := labos.deployed_version();
  select pg_get_userbyid(n.nspowner) into owner from pg_namespace n where n.nspname = 'lab_data';
  if deployed is null
     or not (labos.is_plain_table('lab_private.migration') and labos.is_plain_table('lab_private.repeatable')) then
    select array_agg(f.path order by f.ord) into pending from labos.schema_file f;
  else
    execute 'select d.modules from lab_private.deployment d' into modules;
    execute $q$
      select coalesce(array_agg(f.path order by f.ord), '{}')
      from labos.schema_file f
      where (f.module = 'core' or $1 is null or f.module = any ($1))
        and case f.kind
              when 'm' then not exists (select from lab_private.migration m where m.path = f.path)
              else not exists (select from lab_private.repeatable r
                               where r.path = f.path and r.sha256 = encode(sha256(convert_to(f.body, 'UTF8')), 'hex'))
            end $q$
    into pending using modules;
  end if;
  return next;
end
$$;
comment on function labos.status() is
$$Versions and what labos.deploy() would run

library: the loaded .so; extension: CREATE/ALTER EXTENSION; deployed: the schema in this database; modules: null means all; pending: schema files not run yet.$$;

create function labos.deploy_files(modules text[]) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_version   text := labos.version();
  v_unknown   text[];
  v_modules   text[] := modules;
  v_previous  text;
  v_file      record;
  v_off       jsonb;
  v_sum       text;
  v_old       text;
  v_ran       integer := 0;
  v_started   timestamptz;
begin
  -- Whoever owns lab_private says who is calling.
  select n.nspname into v_old from pg_namespace n
  where n.nspname in ('lab', 'lab_data', 'lab_private') and n.nspowner <> (select r.oid from pg_roles r where r.rolname = 'lab_owner');
  if found then
    raise exception 'schema "%" exists and is not owned by lab_owner', v_old using errcode = 'LB001',
      hint = format('Look into it; then DROP SCHEMA %I, or ALTER SCHEMA %I OWNER TO lab_owner.', v_old, v_old);
  end if;
  if to_regnamespace('lab_private') is null then
    create schema lab;
    create schema lab_data;
    create schema lab_private;
    create table lab_private.deployment (
      singleton   boolean     not null default true,
      version     text        not null,
      modules     text[],
      deployed_at timestamptz not null default now(),
      constraint deployment_pkey primary key (singleton),
      constraint deployment_singleton_check check (singleton)
    );
    create table lab_private.migration (
      path       text        not null,
      sha256     text        not null,
      version    text        not null,
      applied_at timestamptz not null default now(),
      ms         float8      not null,
      constraint migration_pkey primary key (path)
    );
    create table lab_private.repeatable (
      path       text        not null,
      sha256     text        not null,
      version    text        not null,
      applied_at timestamptz not null default now(),
      constraint repeatable_pkey primary key (path)
    );
    comment on table lab_private.deployment is 'Which version and modules of labos stand in this database; one row.';
    comment on table lab_private.migration is 'Migrations that ran, with the checksum of the text that ran.';
    comment on table lab_private.repeatable is 'Repeatables with the checksum of the text that ran last.';
  else
    select d.version, coalesce(v_modules, d.modules) into v_previous, v_modules from lab_private.deployment d;
    -- Modules are never taken away: their tables hold data.
    select coalesce(array_agg(distinct m order by m), '{}') into v_modules
    from (select unnest(v_modules) union select unnest(d.modules) from lab_private.deployment d) x(m);
    if exists (select from lab_private.deployment d where d.modules is null) then
      v_modules := null;
    end if;

    -- A schema from the future: data restored on an older server.
    select array_agg(g.path order by g.path) into v_unknown
    from lab_private.migration g
    where not exists (select from labos.schema_file f where f.path = g.path);
    if v_unknown is not null then
      raise exception 'the schema was deployed by labos %, which is newer than the installed extension %', v_previous, v_version
        using errcode = 'LB002',
              detail = format('Unknown migrations: %s.', array_to_string(v_unknown, ', ')),
              hint = format('Install labos %s or newer; then ALTER EXTENSION labos UPDATE.', v_previous);
    end if;
    select f.path into v_old
    from lab_private.migration g
    join labos.schema_file f on f.path = g.path
    where g.sha256 <> encode(sha256(convert_to(f.body, 'UTF8')), 'hex')
    order by f.ord limit 1;
    if v_old is not null then
      raise exception 'migration "%" has changed since it ran here', v_old using errcode = 'LB001',
        detail = 'A released migration is immutable.',
        hint = 'Restore the released file, or write a new migration.';
    end if;
  end if;

  -- A restored or copied database goes on in a new generation of the audit log.
  if to_regclass('lab_private.audit_gen') is not null then
    perform labos.audit_open('deploy');
  end if;

  for v_file in
    select f.* from labos.schema_file f
    where f.kind = 'm' and (f.module = 'core' or v_modules is null or f.module = any (v_modules))
      and not exists (select from lab_private.migration g where g.path = f.path)
    order by f.ord
  loop
    v_started := clock_timestamp();
    perform labos.exec_file(v_file.path, v_file.body);
    insert into lab_private.migration (path, sha256, version, ms)
    values (v_file.path, encode(sha256(convert_to(v_file.body, 'UTF8')), 'hex'), v_version,
            extract(epoch from clock_timestamp() - v_started) * 1000);
    v_ran := v_ran + 1;
  end loop;

  if to_regclass('lab_private.audit_gen') is not null then
    perform labos.audit_open('deploy');
  end if;

  -- What an administrator has switched off stays off: a repeatable makes its triggers anew.
  select coalesce(jsonb_agg(jsonb_build_object('table', t.tgrelid::bigint, 'name', t.tgname, 'state', t.tgenabled)), '[]') into v_off
  from pg_trigger t
  where not t.tgisinternal and t.tgenabled <> 'O'
    and t.tgrelid in (select c.oid from pg_class c where c.relnamespace in (to_regnamespace('lab'), to_regnamespace('lab_data'), to_regnamespace('lab_private')));

  for v_file in
    select f.* from labos.schema_file f
    where f.kind = 'r' and (f.module = 'core' or v_modules is null or f.module = any (v_modules))
    order by f.ord
  loop
    v_sum := encode(sha256(convert_to(v_file.body, 'UTF8')), 'hex');
    select r.sha256 into v_old from lab_private.repeatable r where r.path = v_file.path;
    continue when v_ran = 0 and v_old is not distinct from v_sum;
    perform labos.exec_file(v_file.path, v_file.body);
    insert into lab_private.repeatable (path, sha256, version) values (v_file.path, v_sum, v_version)
    on conflict on constraint repeatable_pkey
      do update set sha256 = excluded.sha256, version = excluded.version, applied_at = now();
  end loop;

  for v_file in
    select t.tgrelid::regclass as name, t.tgname, x.state
    from jsonb_to_recordset(v_off) x("table" bigint, name name, state text)
    join pg_trigger t on t.tgrelid = x."table"::oid and t.tgname = x.name and t.tgenabled <> x.state::"char"
  loop
    case v_file.state
      when 'D' then execute format('alter table %s disable trigger %I', v_file.name, v_file.tgname);
      when 'R' then execute format('alter table %s enable replica trigger %I', v_file.name, v_file.tgname);
      else execute format('alter table %s enable always trigger %I', v_file.name, v_file.tgname);
    end case;
  end loop;

  insert into lab_private.deployment (version, modules) values (v_version, v_modules)
  on conflict on constraint deployment_pkey
    do update set version = excluded.version, modules = excluded.modules, deployed_at = now()
       where (deployment.version, deployment.modules) is distinct from (excluded.version, excluded.modules);
end
$$;
comment on function labos.deploy_files(text[]) is 'The part of labos.deploy() that lab_owner does: first the migrations, then the repeatables.';
revoke all on function labos.deploy_files(text[]) from public;

create procedure labos.deploy(modules text[] default null)
  language plpgsql
  set search_path to pg_catalog, pg_temp
  set lock_timeout to '60s'
  set check_function_bodies to on
  set client_min_messages to warning
as $$
declare
  v_library   text := labos.library_version();
  v_version   text := labos.version();
  v_superuser boolean := (select r.rolsuper from pg_roles r where r.rolname = current_user);
  v_known     text[] := (select array_agg(distinct f.module) from labos.schema_file f where f.module <> 'core');
  v_unknown   text[];
begin
  perform pg_advisory_xact_lock(hashtextextended('labos.deploy', 0));

  if v_library <> v_version then
    raise exception 'labos library is version % but the extension in this database is version %', v_library, v_version
      using errcode = 'LB002',
            hint = 'Run ALTER EXTENSION labos UPDATE; then reconnect and CALL labos.deploy();';
  end if;
  select array_agg(m) into v_unknown from unnest(modules) m where m <> all (coalesce(v_known, '{}')) and m <> 'core';
  if v_unknown is not null then
    raise exception 'unknown module "%"', v_unknown[1] using errcode = 'LB001',
      detail = format('Modules are %s.', array_to_string(v_known, ', '));
  end if;

  -- Who owns: lab_owner, never a superuser.
  if v_superuser then
    perform labos.create_roles();
    perform labos.prepare_database();
  elsif not exists (select from pg_roles r where r.rolname = 'lab_owner') then
    raise exception 'role "lab_owner" does not exist' using errcode = 'LB001',
      hint = 'Let a superuser call labos.create_roles() and labos.prepare_database() once.';
  elsif not pg_has_role(current_user, 'lab_owner', 'member') then
    raise exception 'only lab_owner or a superuser can deploy labos' using errcode = '42501',
      hint = format('GRANT lab_owner TO %I;', current_user);
  end if;
  perform labos.run_as_owner('select labos.deploy_files($1)', modules);
  notify pgrst, 'reload schema';
  notify pgrst, 'reload config';
end
$$;
comment on procedure labos.deploy(text[]) is
$$Builds or migrates the laboratory (all or nothing)

modules: some of lims, devices, simulation, campaigns, union, added to those that stand already; null: those, or all the first time. Identity, tenancy and audit are always there. A trigger that was disabled stays so. Run it after CREATE EXTENSION and after every ALTER EXTENSION labos UPDATE. Errors: LB001 cannot deploy, LB002 versions differ; an error in a schema file names its line.$$;
revoke all on procedure labos.deploy(text[]) from public;

-- sql/code/doctor.sql
/*
 * Room: doctor
 *
 * What is not safe in this database, and how to mend it. Reads catalogs and
 * settings only; changes nothing. One row a check; a seeded defect for each is in
 * test/sql/doctor.sql.
 */

create function labos.doctor()
  returns table (name text, ok boolean, found text, cure text)
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
declare
  v_gateways text := current_setting('labos.trusted_gateways', true);
  v_database oid := (select d.oid from pg_database d where d.datname = current_database());
  v_closed   boolean := false;
  v_sealed   text;
begin
  -- What asks the deployed schema.
  if to_regclass('lab_private.audit_gen') is not null then
    select h.gen is null into v_closed from labos.audit_here() h;
  end if;
  if to_regclass('lab_private.signing_keys') is not null then
    begin
      execute 'select count(lab_private.private_jwk(k)) from lab_private.signing_keys k where k.retired_at is null or k.retired_at > now()';
    exception when others then
      v_sealed := 'signing keys: ' || sqlerrm;
    end;
  end if;
  return query
  with
  tables as (
    select c.oid, n.nspname, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relkind
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('lab_data', 'lab_private') and c.relkind in ('r', 'p')
  ),
  findings (id, what, names, mend) as (
    select 1, 'library, extension and schema have one version',
      (select concat_ws(', ', 'library ' || s.library, 'extension ' || s.extension, 'schema ' || coalesce(s.deployed, 'absent'))
       from labos.status() s where (s.library, s.extension) is distinct from (s.extension, s.deployed) or cardinality(s.pending) > 0),
      'ALTER EXTENSION labos UPDATE; CALL labos.deploy();'
    union all
    select 2, 'the library is loaded before a session''s first statement',
      case when not exists (
        select from pg_db_role_setting s cross join lateral unnest(s.setconfig) c(setting)
        where s.setdatabase = v_database and s.setrole = 0
          and c.setting ~ '^session_preload_libraries=.*\mlabos\M')
        and coalesce(current_setting('shared_preload_libraries', true), '') !~ '\mlabos\M'
      then 'session_preload_libraries of this database' end,
      format('ALTER DATABASE %I SET session_preload_libraries = ''labos'';', current_database())
    union all
    select 3, 'gateways inherit nothing and are no superusers',
      (select string_agg(g.name || case when r.oid is null then ' (does not exist)' else '' end, ', ')
       from unnest(string_to_array(replace(coalesce(v_gateways, ''), ' ', ''), ',')) g(name)
       left join pg_roles r on r.rolname = btrim(g.name, '"')
       where g.name <> '' and (r.oid is null or r.rolinherit or r.rolsuper or r.rolbypassrls or r.rolcreaterole)),
      'ALTER ROLE … NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE; or take it out of labos.trusted_gateways'
    union all
    select 4, 'a gateway is registered',
      case when coalesce(btrim(v_gateways), '') = '' then 'labos.trusted_gateways is empty: HTTP callers are anonymous' end,
      'ALTER SYSTEM SET labos.trusted_gateways = ''lab_authenticator''; SELECT pg_reload_conf();'
    union all
    select 5, 'a master key outside the database seals secrets',
      case when labos.master_key_state() <> 'file' then 'labos.master_key_file: ' || labos.master_key_state() end,
      'Write 32 random bytes to a file that only the server''s user can read, set labos.master_key_file, reload, then rotate the signing key.'
    union all
    select 6, 'the owner of the schema is no superuser and cannot log in',
      (select r.rolname from pg_namespace n join pg_roles r on r.oid = n.nspowner
       where n.nspname = 'lab_data' and (r.rolsuper or r.rolbypassrls or r.rolcanlogin)),
      'ALTER ROLE lab_owner NOSUPERUSER NOBYPASSRLS NOLOGIN;'
    union all
    select 7, 'nobody can make temporary tables in pooled sessions',
      (select 'TEMPORARY is granted to PUBLIC' from pg_database d cross join lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
       where d.oid = v_database and a.grantee = 0 and a.privilege_type = 'TEMPORARY' limit 1),
      format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC;', current_database())
    union all
    select 8, 'nobody can create objects in schema public',
      (select 'CREATE is granted to PUBLIC' from pg_namespace n cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
       where n.nspname = 'public' and a.grantee = 0 and a.privilege_type = 'CREATE' limit 1),
      'REVOKE CREATE ON SCHEMA public FROM PUBLIC;'
    union all
    select 9, 'row security is enabled and forced on every table',
      (select string_agg(t.oid::regclass::text, ', ' order by 1) from tables t where not (t.relrowsecurity and t.relforcerowsecurity)),
      'CALL labos.protect(…) in the table''s schema file'
    union all
    select 10, 'policies have the canonical shape',
      (select string_agg(format('%s on %s', p.polname, t.oid::regclass), ', ' order by t.relname, p.polname)
       from pg_policy p join tables t on t.oid = p.polrelid
       where not p.polpermissive
          or (p.polname <> 'owner_all'
              and concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
                  ~* '(\mor\M|\mexists\M|\mselect\M|\many\M|\mcase\M|current_setting)')
          or (p.polname <> 'owner_all'
              and coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) !~ 'labos\.(org_for|user_for|has_permission)\(')
          or (p.polname = 'owner_all' and array(select r.rolname from pg_roles r where r.oid = any (p.polroles)) <> '{lab_owner}'::name[])),
      'CALL labos.protect(…): one permissive policy a verb, org_id = labos.org_for(permission)'
    union all
    select 11, 'public views run with the caller''s rights',
      (select string_agg(c.oid::regclass::text, ', ' order by 1) from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('lab', 'lab_data') and c.relkind = 'v' and not coalesce(c.reloptions @> '{security_invoker=true}', false)),
      'CALL labos.expose(…), or ALTER VIEW … SET (security_invoker = true)'
    union all
    select 12, 'every unique index of a tenant table contains org_id',
      (select string_agg(i.indexrelid::regclass::text, ', ' order by 1)
       from pg_index i join tables t on t.oid = i.indrelid
       join pg_attribute a on a.attrelid = t.oid and a.attname = 'org_id' and a.attnotnull
       where i.indisunique and t.nspname = 'lab_data' and not (a.attnum = any (i.indkey))),
      'A unique index without org_id tells one organisation what another has.'
    union all
    select 13, 'no index uses an operator that row security keeps from it',
      (select string_agg(distinct i.indexrelid::regclass::text, ', ')
       from pg_index i join tables t on t.oid = i.indrelid
       cross join lateral unnest(i.indclass::oid[]) k(opclass)
       join pg_opclass o on o.oid = k.opclass
       join pg_am am on am.oid = o.opcmethod
       -- A family also holds operators between types (text with name): only an ordered search by its own type counts.
       join pg_amop ao on ao.amopfamily = o.opcfamily and ao.amoplefttype = o.opcintype
                      and (ao.amoprighttype = o.opcintype or am.amname not in ('btree', 'hash'))
       join pg_operator op on op.oid = ao.amopopr
       join pg_proc f on f.oid = op.oprcode
       where t.nspname = 'lab_data' and not f.proleakproof
         and o.opcname not in ('gist_uuid_ops', 'gist_timestamptz_ops', 'range_ops', 'jsonb_ops')),
      'Use the operator classes of labos_ops, or a type whose operators are leakproof.'
    union all
    select 14, 'functions are not executable by everybody',
      (select string_agg(p.oid::regprocedure::text, ', ' order by 1) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('lab', 'lab_private', 'lab_data')
         and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0 and a.privilege_type = 'EXECUTE')),
      'REVOKE ALL ON FUNCTION … FROM PUBLIC; GRANT EXECUTE … TO lab_user;'
    union all
    select 15, 'definer functions pin their search path',
      (select string_agg(p.oid::regprocedure::text, ', ' order by 1) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('lab', 'lab_private', 'lab_data', 'labos') and p.prosecdef
         and not exists (select from unnest(p.proconfig) c where c like 'search\_path=%')),
      'SET search_path TO pg_catalog, labos, pg_temp'
    union all
    select 16, 'clients have no right on lab_private',
      (select string_agg(distinct format('%s on %s', r.rolname, c.oid::regclass), ', ')
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       cross join lateral aclexplode(c.relacl) a
       left join pg_roles r on r.oid = a.grantee
       -- A security_barrier view that a public view reads can be reached by that view only: clients lack USAGE here.
       where n.nspname = 'lab_private' and not (c.relkind = 'v' and coalesce(c.reloptions @> '{security_barrier=true}', false))
         and coalesce(r.rolname, 'public') in ('public', 'lab_anon', 'lab_user', 'lab_guest', 'lab_authenticator')),
      'REVOKE ALL ON … FROM …;'
    union all
    select 17, 'tables are granted nothing that row security does not see',
      (select string_agg(distinct format('TRUNCATE on %s to %s', c.oid::regclass, coalesce(r.rolname, 'public')), ', ')
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       cross join lateral aclexplode(c.relacl) a
       left join pg_roles r on r.oid = a.grantee
       where n.nspname in ('lab', 'lab_data') and a.privilege_type in ('TRUNCATE', 'TRIGGER', 'REFERENCES')
         and coalesce(r.rolname, 'public') not in ('lab_owner')),
      'REVOKE TRUNCATE, TRIGGER, REFERENCES ON … FROM …;'
    union all
    select 18, 'no trigger of labos is disabled',
      (select string_agg(format('%s on %s', t.tgname, t.tgrelid::regclass), ', ' order by t.tgrelid::regclass::text, t.tgname)
       from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('lab', 'lab_data', 'lab_private') and t.tgname ~ '^_\d{3}_' and not t.tgisinternal and t.tgenabled in ('D', 'R')),
      'ALTER TABLE … ENABLE TRIGGER …;'
    union all
    select 19, 'the audit log is open',
      case when v_closed then 'this database is a restored or copied one: clients cannot write' end,
      'SELECT labos.audit_open(''restored from …'');'
    union all
    select 20, 'sealed secrets can be opened', v_sealed,
      'Set labos.master_key_file to the file they were sealed with; if it is lost, see docs/operations.md.'
  )
  select f.what, f.names is null, f.names, case when f.names is not null then f.mend end
  from findings f
  order by f.id;
end
$$;
comment on function labos.doctor() is
$$What is not safe here, and how to mend it

One row a check: ok, what was found, the cure. For superusers and lab_owner with pg_read_all_settings; run it after installation, upgrades and restores.$$;
revoke all on function labos.doctor() from public;

-- sql/code/engine.sql
/*
 * Room: engine
 *
 * Simulation engines as pure functions: what there is, whether parameters are
 * good, and a run. Nothing here reads a table; every result follows from the
 * arguments and the engine's version.
 *
 * Needs    core
 * Used by  simulation
 */

create function labos.engines(
  out scale text, out name text, out aliases text[], out version text, out title text,
  out parameters jsonb, out results jsonb, out fidelities text[])
  returns setof record
  language c immutable parallel safe rows 7 as 'MODULE_PATHNAME', 'labos_engines';
comment on function labos.engines() is
$$Simulation engines

One row an engine. `parameters` is a JSON Schema with units, defaults and limits; `results` has the shape of a result with units as leaves.$$;

create function labos.engine_links(
  out engine text, out parameter text, out parent text, out result_path text)
  returns setof record
  language c immutable parallel safe rows 17 as 'MODULE_PATHNAME', 'labos_engine_links';
comment on function labos.engine_links() is
$$What a child job takes from its parent

One row a parameter of `engine` that is filled from `result_path` of a result of `parent`, unless the job sets it itself.$$;

create function labos.engine_name(name text) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_name';
comment on function labos.engine_name(text) is
$$Canonical name of an engine

Accepts aliases in any case; null when there is no such engine.$$;

create function labos.engine_scale(name text) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_scale';
comment on function labos.engine_scale(text) is
$$Scale of an engine

atomic, mesoscale or continuum; null when there is no such engine.$$;

create function labos.engine_parameter_problems(engine text, parameters jsonb) returns jsonb
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_parameter_problems';
comment on function labos.engine_parameter_problems(text, jsonb) is
$$Everything that is wrong with engine parameters

An array of {path, code, message}, empty when they are valid; at most 51 entries. Error: LB501 unknown engine.$$;

create function labos.engine_prepare(engine text, parameters jsonb) returns jsonb
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_prepare';
comment on function labos.engine_prepare(text, jsonb) is
$$What a run with these parameters would be

{engine, scale, version, parameters with defaults, parameters_hash (SHA-256 of the canonical form), domain_size or mesh_info}. Errors: LB501 unknown engine, LB502 invalid parameters.$$;

create function labos.engine_link(engine text, parameters jsonb, parent_engine text, parent_result jsonb)
  returns jsonb
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_link';
comment on function labos.engine_link(text, jsonb, text, jsonb) is
$$Parameters of a child job completed from its parent's result

Fills what labos.engine_links() lists and the child leaves open. Errors: LB501 unknown engine, LB502 not an object, or the parent's result lacks a linked number.$$;

create function labos.engine_run(engine text, parameters jsonb, seed bigint default 0, fidelity text default 'stub')
  returns jsonb
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_run';
comment on function labos.engine_run(text, jsonb, bigint, text) is
$$Run an engine

The same engine version, parameters and seed give the same bytes everywhere. Errors: LB501 unknown engine, LB502 invalid parameters with all problems in DETAIL, LB503 fidelity not available.$$;

-- sql/code/campaign.sql
/*
 * Room: campaign
 *
 * The pure functions of design campaigns: the same input gives the same output,
 * bit for bit. Tables and calls are in the schema files 300 and 320.
 *
 * Holds    score(), campaign_config_problems(), campaign_config_canonical(), constraints_admit(),
 *          composition_descriptors(), composition_features() and their names, suggest()
 * Needs    formula
 */

create function labos.score(properties jsonb, targets jsonb, out score float8, out parts jsonb)
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_score';
comment on function labos.score(jsonb, jsonb) is
$$How good a set of properties is, 0 to 1

The weighted mean of the desirabilities (Derringer and Suich 1980) of the target properties: a window (target and tolerance, min and max, at_least, at_most) gives 1 inside and exp(-(distance / falloff)^2 / 2) outside, where falloff is the tolerance, half the width, or a tenth of the bound unless given; maximize and minimize give a ramp from low to high, to the power exponent (1). A missing property gives 0 for its part. Weights are normalised. Error: LB601 for invalid targets, 22003 for a number beyond float8.$$;

create function labos.campaign_config_problems(config jsonb)
  returns table (path text, code text, message text)
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_campaign_config_problems';
comment on function labos.campaign_config_problems(jsonb) is
$$Every problem of a campaign's configuration

One row a problem (at most 200) with its JSON path, a stable code and a sentence; no row for a valid configuration.$$;

create function labos.campaign_config_canonical(config jsonb) returns jsonb
  language sql immutable strict parallel safe
  return pg_catalog.jsonb_build_object(
      'max_iterations', 10, 'candidates_per_iteration', 10, 'strategy', 'bayesian',
      'strategy_options', '{}'::pg_catalog.jsonb, 'constraints', '{}'::pg_catalog.jsonb, 'stop', '{}'::pg_catalog.jsonb)
    operator(pg_catalog.||) pg_catalog.jsonb_strip_nulls(config)
    operator(pg_catalog.||) case pg_catalog.jsonb_typeof(config operator(pg_catalog.->) 'evaluator')
         when 'string' then pg_catalog.jsonb_build_object('evaluator', pg_catalog.jsonb_build_object('kind', config operator(pg_catalog.->) 'evaluator'))
         else '{}'::pg_catalog.jsonb end;
comment on function labos.campaign_config_canonical(jsonb) is
  'A valid configuration with the defaults filled in and the evaluator as an object; nulls are left out.';

create function labos.constraints_admit(constraints jsonb, formula labos.formula, parameters jsonb) returns boolean
  language c immutable parallel safe as 'MODULE_PATHNAME', 'labos_constraints_admit';
comment on function labos.constraints_admit(jsonb, labos.formula, jsonb) is
$$Does a candidate of a pool meet a campaign's constraints?

Elements, number of atoms of the formula as written, composition (atomic fractions), parameter bounds and linear constraints. What a constraint asks about and the candidate lacks is not met. Error: LB601 invalid constraints.$$;

create function labos.composition_descriptors(formula labos.formula) returns float8[]
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_composition_descriptors';
comment on function labos.composition_descriptors(labos.formula) is
$$Numbers that describe a composition

Mean by atomic fraction, mean absolute deviation, minimum, maximum and range of twelve properties of its elements, in the order of composition_descriptor_names(). Radii in pm, ionisation energies in eV, weights in g/mol, polarisabilities in atomic units. Error: LB202 for an element beyond Lr.$$;
create function labos.composition_descriptor_names() returns text[]
  language c immutable parallel safe as 'MODULE_PATHNAME', 'labos_composition_descriptor_names';
comment on function labos.composition_descriptor_names() is 'Names of the composition descriptors, in order: property_statistic.';

create function labos.composition_features(formula labos.formula) returns float8[]
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_composition_features';
comment on function labos.composition_features(labos.formula) is
  'The composition descriptors that the models of campaigns use, in the order of composition_feature_names(). Error: LB202.';
create function labos.composition_feature_names() returns text[]
  language c immutable parallel safe as 'MODULE_PATHNAME', 'labos_composition_feature_names';
comment on function labos.composition_feature_names() is 'Names of the composition features, in order.';

create function labos.suggest(
  config jsonb, seed bigint, iteration integer, slot integer, n integer,
  history jsonb default '[]', pool float8[] default null)
  returns table (slot_no integer, pool_row integer, parameters jsonb, acquisition float8, predicted jsonb, reason jsonb)
  language c immutable parallel safe rows 10 cost 100000 as 'MODULE_PATHNAME', 'labos_suggest';
comment on function labos.suggest(jsonb, bigint, integer, integer, integer, jsonb, float8[]) is
$$Which candidates to try next

A pure function: the same configuration, seed, place (iteration, first slot) and history give the same rows. history: [{"parameters": {...} or "row": k, "properties": {...} or "pending": true}]; pool: one row of descriptors a candidate, null with a search_space. What the history holds is not proposed again; fewer than n rows come when nothing is left. acquisition is a natural logarithm. Errors: LB601 invalid configuration, 22023 wrong n, history or pool.$$;

create function labos.xml_text(value text) returns text
  language sql immutable strict parallel safe
  -- Control characters have no place in XML at all.
  return pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
    pg_catalog.regexp_replace(value, '[\x01-\x08\x0b\x0c\x0e-\x1f]', '', 'g'),
    '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;');
comment on function labos.xml_text(text) is 'Text as it may stand in XML content and attributes.';

delete from labos.schema_file;
insert into labos.schema_file (path, kind, ord, module, body) values ('m/010_tenancy.sql', 'm', 1, 'core', $labos_file$/*
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
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/020_identity.sql', 'm', 2, 'core', $labos_file$/*
 * Room: identity
 *
 * How people prove who they are, and what of that is remembered. Users,
 * memberships and roles are the room before (tenancy); here stand the things
 * that change with every sign-in. What could be used to sign in stands in
 * lab_private, granted to nobody: passwords as slow hashes, refresh tokens as
 * digests, signing keys sealed with the master key.
 *
 * Holds    user_sessions, access_logs; lab_private: identity_settings,
 *          credentials, login_guard, refresh_tokens, signing_keys
 * Needs    tenancy (organizations, users, memberships)
 * Used by  the C identity (sessions, signing keys), PostgREST (signing keys)
 *
 * This half is a migration: it runs once.
 */

-- identity_settings ---------------------------------------------------------

create table lab_private.identity_settings (
  singleton             boolean     not null default true,
  issuer                text        not null default 'labos',
  audience              text        not null default 'labos',
  registration          text        not null default 'closed',
  registration_org_id   uuid,
  max_failed_logins     integer     not null default 5,
  lock_seconds          integer     not null default 1800,
  refresh_grace_seconds integer     not null default 10,
  key_lead_seconds      integer     not null default 10,
  session_days          integer     not null default 30,
  trusted_proxies       integer     not null default 0,
  refresh_key           bytea,
  bootstrapped_at       timestamptz,
  updated_at            timestamptz not null default now(),
  updated_by            uuid,
  constraint identity_settings_pkey primary key (singleton),
  constraint identity_settings_singleton_check check (singleton),
  constraint identity_settings_issuer_check check (length(issuer) between 1 and 200 and issuer !~ '[[:cntrl:][:space:]]'),
  constraint identity_settings_audience_check check (length(audience) between 1 and 200 and audience !~ '[[:cntrl:][:space:]]'),
  constraint identity_settings_registration_check check (registration in ('open', 'invite', 'closed')),
  constraint identity_settings_registration_org_id_check check (registration <> 'open' or registration_org_id is not null),
  constraint identity_settings_registration_org_id_fkey foreign key (registration_org_id)
    references lab_data.organizations (id) on delete no action,
  constraint identity_settings_max_failed_logins_check check (max_failed_logins between 1 and 100),
  constraint identity_settings_lock_seconds_check check (lock_seconds between 1 and 86400),
  constraint identity_settings_refresh_grace_seconds_check check (refresh_grace_seconds between 0 and 60),
  constraint identity_settings_key_lead_seconds_check check (key_lead_seconds between 0 and 3600),
  constraint identity_settings_session_days_check check (session_days between 1 and 365),
  constraint identity_settings_trusted_proxies_check check (trusted_proxies between 0 and 10)
);
insert into lab_private.identity_settings (singleton) values (true);

comment on table lab_private.identity_settings is
$$Settings of identity for the whole installation

One row. Lifetimes of tokens are settings of each organisation: organizations.settings.$$;
comment on column lab_private.identity_settings.registration is 'Who may register: open (anyone, into registration_org_id), invite, or closed (administrators create users).';
comment on column lab_private.identity_settings.lock_seconds is 'How long an account stays locked after max_failed_logins failures in a row.';
comment on column lab_private.identity_settings.refresh_grace_seconds is 'For so long a used refresh token gives the same successor again: an answer may get lost, three tabs may refresh at once.';
comment on column lab_private.identity_settings.key_lead_seconds is 'A new signing key is published for so long before it signs, so that every gateway has reloaded its key set.';
comment on column lab_private.identity_settings.session_days is 'Absolute life of a session, however often it is refreshed.';
comment on column lab_private.identity_settings.trusted_proxies is 'How many proxies before PostgREST append to X-Forwarded-For and are believed; 0 ignores the header.';
comment on column lab_private.identity_settings.refresh_key is 'Key from which the successor of a refresh token is derived; sealed with the master key.';

-- user_sessions -------------------------------------------------------------

create table lab_data.user_sessions (
  id            uuid        not null default labos.uuid_v7(),
  org_id        uuid        not null default labos.org_id(),
  user_id       uuid        not null,
  device_info   jsonb,
  user_agent    text,
  ip            inet,
  created_at    timestamptz not null default now(),
  last_seen_at  timestamptz not null default now(),
  expires_at    timestamptz not null,
  revoked_at    timestamptz,
  revoke_reason text,
  constraint user_sessions_pkey primary key (id, org_id),
  constraint user_session_member foreign key (org_id, user_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint user_sessions_device_info_check check (pg_column_size(device_info) <= 4096),
  constraint user_sessions_user_agent_check check (length(user_agent) <= 512),
  constraint user_sessions_expires_at_check check (expires_at > created_at),
  constraint user_sessions_revoked_check check ((revoked_at is null) = (revoke_reason is null)),
  constraint user_sessions_revoke_reason_check check (revoke_reason in
    ('logout', 'logout_all', 'ended', 'reuse', 'password_change', 'deactivated', 'deleted', 'membership', 'admin'))
);
-- The open sessions of a user are ended together, in all organisations.
create index user_sessions_user_id_idx on lab_data.user_sessions (user_id) where revoked_at is null;
-- An organisation's list, newest first; also carries the foreign key.
create index user_sessions_org_id_user_id_id_idx on lab_data.user_sessions (org_id, user_id, id desc);

comment on table lab_data.user_sessions is
$$Sessions

One sign-in of one user into one organisation. Every access token names its session; a session that is revoked or past expires_at ends all its tokens with the next statement. Sessions are made by auth_login and ended by auth_logout, auth_session_end and administration; nobody writes them directly.$$;
comment on column lab_data.user_sessions.device_info is 'What the client told about itself: a string or an object of at most 4 KB.';
comment on column lab_data.user_sessions.last_seen_at is 'The last sign-in or refresh; single requests are not recorded.';
comment on column lab_data.user_sessions.expires_at is 'Absolute end; no refresh moves it (P24).';
comment on column lab_data.user_sessions.revoke_reason is 'logout, logout_all, ended, reuse (a used refresh token came again), password_change, deactivated, deleted, membership, admin.';

-- access_logs ---------------------------------------------------------------

create table lab_data.access_logs (
  id         uuid        not null default labos.uuid_v7(),
  org_id     uuid        not null default '00000000-0000-0000-0000-000000000000',
  user_id    uuid,
  session_id uuid,
  event      text        not null,
  outcome    text        not null,
  ip         inet,
  user_agent text,
  request_id text,
  detail     jsonb       not null default '{}',
  created_at timestamptz not null default now(),
  constraint access_logs_pkey primary key (id, org_id),
  constraint access_logs_event_check check (event ~ '^[a-z][a-z_]{1,39}$'),
  constraint access_logs_outcome_check check (outcome in ('success', 'failure')),
  constraint access_logs_user_agent_check check (length(user_agent) <= 512),
  constraint access_logs_request_id_check check (length(request_id) <= 200),
  constraint access_logs_detail_check check (jsonb_typeof(detail) = 'object' and pg_column_size(detail) <= 8192)
);
-- An organisation's log, newest first (ids are in order of time).
create index access_logs_org_id_id_idx on lab_data.access_logs (org_id, id desc);
-- What one user did or suffered.
create index access_logs_org_id_user_id_id_idx on lab_data.access_logs (org_id, user_id, id desc);

comment on table lab_data.access_logs is
$$Access log

Sign-ins, failures, lockouts, refreshes, reuse, logouts, password and role administration. Append-only: rows are written by the calls themselves and changed by nobody. It references nothing, so that it outlives what it tells of.$$;
comment on column lab_data.access_logs.org_id is 'The organisation concerned; all zeros when no organisation is known (an unknown login name): such rows are for the installation''s superusers.';
comment on column lab_data.access_logs.event is 'login, lockout, refresh, refresh_reuse, logout, logout_all, session_end, password_change, org_switch, register, user_*, role_*, organization_create, signing_key_*.';
comment on column lab_data.access_logs.detail is 'What else is known, never a secret and never what was typed as login name.';

-- credentials ---------------------------------------------------------------

create table lab_private.credentials (
  user_id       uuid        not null,
  password_hash text        not null,
  algorithm     text        not null,
  parameters    jsonb       not null default '{}',
  changed_at    timestamptz not null default now(),
  must_change   boolean     not null default false,
  constraint credentials_pkey primary key (user_id),
  constraint credentials_user_id_fkey foreign key (user_id) references lab_data.users (id) on delete no action,
  constraint credentials_password_hash_check check (length(password_hash) between 20 and 512 and password_hash like '$%'),
  constraint credentials_algorithm_check check (algorithm in ('argon2id', 'bcrypt'))
);
comment on table lab_private.credentials is 'Password hashes, one per user; a user without a row cannot sign in with a password.';
comment on column lab_private.credentials.parameters is 'Cost parameters read from the hash, for reports; the hash itself counts.';
comment on column lab_private.credentials.must_change is 'Chosen by somebody else: sign-in answers say so until the user changes it.';

-- login_guard ---------------------------------------------------------------

create table lab_private.login_guard (
  user_id      uuid        not null,
  failed       integer     not null default 0,
  locked_until timestamptz not null default '-infinity',
  constraint login_guard_pkey primary key (user_id),
  constraint login_guard_user_id_fkey foreign key (user_id) references lab_data.users (id) on delete cascade
);
comment on table lab_private.login_guard is
$$Failed sign-ins of each user, as they count

Written in place by labos.login_guard_charge() and login_guard_set() only, outside of any transaction: what a client rolls back is counted all the same (P29). users.failed_login_attempts and locked_until follow it for reading. The column order is known to src/identity/login_guard.c.$$;
comment on column lab_private.login_guard.locked_until is 'No sign-in before this time; -infinity: not locked.';

-- refresh_tokens ------------------------------------------------------------

create table lab_private.refresh_tokens (
  token_sha256 bytea       not null,
  family_id    uuid        not null,
  session_id   uuid        not null,
  org_id       uuid        not null,
  issued_at    timestamptz not null default now(),
  expires_at   timestamptz not null,
  used_at      timestamptz,
  revoked_at   timestamptz,
  replaced_by  bytea,
  constraint refresh_tokens_pkey primary key (token_sha256),
  constraint refresh_tokens_session foreign key (session_id, org_id)
    references lab_data.user_sessions (id, org_id) on delete cascade,
  constraint refresh_tokens_token_sha256_check check (octet_length(token_sha256) = 32),
  constraint refresh_tokens_replaced_by_check check (octet_length(replaced_by) = 32),
  constraint refresh_tokens_used_check check (replaced_by is null or used_at is not null)
);
-- A family is revoked together.
create index refresh_tokens_family_id_idx on lab_private.refresh_tokens (family_id) where revoked_at is null;
-- Carries the foreign key.
create index refresh_tokens_session_id_org_id_idx on lab_private.refresh_tokens (session_id, org_id);
comment on table lab_private.refresh_tokens is 'Refresh tokens as SHA-256 digests; the token itself is known to the client only (P21).';
comment on column lab_private.refresh_tokens.family_id is 'All tokens that descend from one sign-in.';
comment on column lab_private.refresh_tokens.replaced_by is 'Digest of the successor, once used.';

-- signing_keys --------------------------------------------------------------

create table lab_private.signing_keys (
  kid         text        not null,
  alg         text        not null,
  sealed_key  bytea       not null,
  public_jwk  jsonb,
  not_before  timestamptz not null default now(),
  retired_at  timestamptz,
  created_at  timestamptz not null default now(),
  created_by  uuid,
  constraint signing_keys_pkey primary key (kid),
  constraint signing_keys_kid_check check (kid ~ '^[A-Za-z0-9_.:-]{1,64}$'),
  constraint signing_keys_alg_check check (alg in ('EdDSA', 'ES256', 'RS256', 'PS256', 'HS256', 'HS384', 'HS512')),
  constraint signing_keys_public_jwk_check check ((public_jwk is null) = (alg like 'HS%') and not public_jwk ?| '{d,k,p,q,dp,dq,qi}'),
  constraint signing_keys_retired_at_check check (retired_at >= not_before or retired_at >= created_at)
);
comment on table lab_private.signing_keys is 'Keys that sign access tokens. The newest one whose not_before has come signs; a key verifies until retired_at.';
comment on column lab_private.signing_keys.sealed_key is 'The private JWK, sealed with the master key: a dump of the database alone cannot sign (P35).';
comment on column lab_private.signing_keys.public_jwk is 'RFC 7517; null for a symmetric key, which has no public part.';
comment on column lab_private.signing_keys.retired_at is 'From then on the key is no longer accepted: after its last token has expired, or at once when withdrawn.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/030_audit.sql', 'm', 3, 'core', $labos_file$/*
 * Room: audit (tables)
 *
 * The log of every change, and the Merkle tree over it.  Rows are written by C
 * straight into the heap, sealed in blocks by labos.audit_seal(), checked by
 * labos.audit_verify().  Nobody is granted anything here: clients read through
 * lab.audit_log and lab.audit_history().
 *
 * Holds    audit_gen, audit_table, audit_ctx, audit_log, audit_block, audit_tile, audit_checkpoint
 * Needs    code/audit
 * Used by  every audited table
 *
 * The column order of audit_log is known to src/audit/buffer.c.
 */

-- audit_gen -----------------------------------------------------------------

create table lab_private.audit_gen (
  gen       smallint    not null,
  sysid     text        not null,
  dboid     bigint      not null,
  from_no   bigint      not null,
  prev_hash bytea       not null,
  reason    text        not null,
  log_gen   smallint,
  log_xid   bigint,
  log_n     integer,
  constraint audit_gen_pkey primary key (gen),
  constraint audit_gen_gen_check check (gen > 0),
  constraint audit_gen_prev_hash_check check (octet_length(prev_hash) = 32)
);
comment on table lab_private.audit_gen is
$$Generations of the audit log

A generation is one life of this database: a restore, a copy or a major upgrade opens the next one, linked to the last block of the one before. log_*: the event that sealed this row.$$;
comment on column lab_private.audit_gen.sysid is 'System identifier of the cluster.';
comment on column lab_private.audit_gen.dboid is 'Oid of the database in that cluster.';
comment on column lab_private.audit_gen.from_no is 'First block of the generation.';
comment on column lab_private.audit_gen.prev_hash is 'Hash of the block before it; zeros for the first generation.';

-- audit_table ---------------------------------------------------------------

create table lab_private.audit_table (
  id         integer  not null,
  kind       text     not null,
  relname    text     not null,
  columns    jsonb    not null,
  policy     jsonb    not null,
  valid_from bigint   not null,
  valid_to   bigint,
  log_gen    smallint,
  log_xid    bigint,
  log_n      integer,
  constraint audit_table_pkey primary key (id),
  constraint audit_table_id_check check (id > 0)
);
-- One definition of a kind is in force at a time.
create unique index audit_table_kind_idx on lab_private.audit_table (kind) where valid_to is null;
comment on table lab_private.audit_table is
$$Audited tables

One row for each definition a table had while it was audited: small stable ids for the log, since oids change on restore. log_*: the event that sealed this row.$$;
comment on column lab_private.audit_table.kind is 'The name clients use in audit_history(); the table name unless another was given.';
comment on column lab_private.audit_table.columns is 'Names and types of the columns, in order.';
comment on column lab_private.audit_table.policy is 'See labos.audit_enable().';
comment on column lab_private.audit_table.valid_from is 'Size of the tree when the definition came into force.';
comment on column lab_private.audit_table.valid_to is 'Size of the tree when it was replaced; null: in force.';

-- audit_ctx -----------------------------------------------------------------

create sequence lab_private.audit_ctx_id_seq as bigint cache 8;
create table lab_private.audit_ctx (
  id           bigint   not null default nextval('lab_private.audit_ctx_id_seq'),
  session_id   uuid,
  request_id   text,
  ip           text,
  user_agent   text,
  app          text,
  db_role      text     not null,
  db_session   text     not null,
  device_id    uuid,
  log_gen      smallint not null,
  log_xid      bigint   not null,
  log_n        integer  not null,
  constraint audit_ctx_pkey primary key (id)
);
alter sequence lab_private.audit_ctx_id_seq owned by lab_private.audit_ctx.id;
comment on table lab_private.audit_ctx is
$$Circumstances of changes

One row for each request or session that wrote: where the change came from. log_*: the event that sealed this row.$$;
comment on column lab_private.audit_ctx.ip is 'Address of the client: of the connection, or what the gateway reported.';
comment on column lab_private.audit_ctx.app is 'application_name.';
comment on column lab_private.audit_ctx.db_role is 'Database role in force, outside of definer functions.';
comment on column lab_private.audit_ctx.db_session is 'Database role that logged in.';
comment on column lab_private.audit_ctx.device_id is 'The registered instrument or workstation, when the identity names one.';

-- audit_log -----------------------------------------------------------------

create table lab_private.audit_log (
  xid     bigint      not null,
  ts      timestamptz not null,
  ctx     bigint      not null,
  n       integer     not null,
  tab     integer     not null,
  gen     smallint    not null,
  op      "char"      not null,
  rec     uuid,
  org_id  uuid,
  actor   uuid,
  reason  text,
  payload json,
  constraint audit_log_pkey primary key (gen, xid, n),
  constraint audit_log_op_check check (op in ('I', 'U', 'D', 'T', 'S', 'X', 'E'))
) partition by range (gen, xid);
-- The history of one record.
create index audit_log_rec_idx on lab_private.audit_log (rec) where rec is not null;
-- Takes everything until maintenance cuts partitions at block boundaries.
create table lab_private.audit_log_default partition of lab_private.audit_log default;

comment on table lab_private.audit_log is
$$The audit log

One row for each change of an audited row, and for each event. Append-only; written by C, sealed by labos.audit_seal(): any later change of any byte is found by labos.audit_verify().$$;
comment on table lab_private.audit_log_default is 'Rows of the audit log that no other partition holds.';
comment on column lab_private.audit_log.gen is 'Generation, see audit_gen.';
comment on column lab_private.audit_log.xid is 'Top-level transaction, 64 bit.';
comment on column lab_private.audit_log.n is 'Place in the transaction, dense from 1.';
comment on column lab_private.audit_log.ts is 'Time of the change by the server''s clock, while the row was locked.';
comment on column lab_private.audit_log.tab is 'audit_table.id; 0 for events.';
comment on column lab_private.audit_log.op is 'Insert, Update, Delete, Truncated row, Snapshot (baseline), X redaction, Event.';
comment on column lab_private.audit_log.rec is 'The record: its uuid id, or a uuid made of the SHA-256 of its key.';
comment on column lab_private.audit_log.org_id is 'Organisation of the row; the actor''s for tables without one.';
comment on column lab_private.audit_log.actor is 'The verified user; null: none was signed in.';
comment on column lab_private.audit_log.ctx is 'audit_ctx.id.';
comment on column lab_private.audit_log.payload is 'I, S, D, T: {"column": value}; U: {"column": [old, new]}; E: {"event": name, "data": …}. The text is what is hashed.';

-- audit_block, audit_tile, audit_checkpoint -----------------------------------

create table lab_private.audit_block (
  no               bigint      not null,
  gen              smallint    not null,
  sxmin            bigint      not null,
  sxmax            bigint      not null,
  xip              bigint[]    not null,
  first            bigint      not null,
  cnt              bigint      not null,
  size             bigint      not null,
  frontier         bytea       not null,
  root             bytea       not null,
  prev             bytea       not null,
  hash             bytea       not null,
  sealed_at        timestamptz not null,
  leafdata_missing boolean     not null default false,
  constraint audit_block_pkey primary key (no),
  constraint audit_block_no_check check (no > 0),
  constraint audit_block_cnt_check check (cnt > 0 and size = first + cnt),
  constraint audit_block_root_check check (octet_length(root) = 32 and octet_length(prev) = 32 and octet_length(hash) = 32)
);
comment on table lab_private.audit_block is
$$Blocks of the audit log

The rows that became visible between two snapshots, as leaves first .. size - 1 of an RFC 6962 Merkle tree. Each block holds the hash of the one before.$$;
comment on column lab_private.audit_block.sxmax is 'First transaction the snapshot did not see; 2^63 - 1 closes a generation.';
comment on column lab_private.audit_block.xip is 'Transactions in progress in the snapshot.';
comment on column lab_private.audit_block.frontier is 'Roots of the perfect subtrees at this size, largest first, 32 bytes each.';
comment on column lab_private.audit_block.root is 'Root of the tree at this size.';
comment on column lab_private.audit_block.prev is 'Hash of the block before; zeros for the first.';
comment on column lab_private.audit_block.hash is 'SHA-256 of this block.';
comment on column lab_private.audit_block.leafdata_missing is 'Rows were purged after retention; their leaf hashes remain.';

create table lab_private.audit_tile (
  level smallint not null,
  idx   bigint   not null,
  w     smallint not null,
  h     bytea    not null,
  constraint audit_tile_pkey primary key (level, idx),
  constraint audit_tile_w_check check (w between 1 and 256 and octet_length(h) = 32 * w)
);
-- Hashes do not compress.
alter table lab_private.audit_tile alter column h set storage external;
comment on table lab_private.audit_tile is
$$Hashes of the tree

Tiles of up to 256 hashes after C2SP tlog-tiles: level 0 are the leaves, level n + 1 the roots of full tiles of level n.$$;
comment on column lab_private.audit_tile.w is 'Hashes in the tile.';

create table lab_private.audit_checkpoint (
  size    bigint      not null,
  note    text        not null,
  sent_at timestamptz,
  witness text[]      not null default '{}',
  constraint audit_checkpoint_pkey primary key (size)
);
comment on table lab_private.audit_checkpoint is
$$Checkpoints

Signed notes over the tree at a size (C2SP tlog-checkpoint), to be kept outside of the database too.$$;
comment on column lab_private.audit_checkpoint.witness is 'Cosignatures.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/100_projects.sql', 'm', 4, 'lims', $labos_file$/*
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
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/110_locations.sql', 'm', 5, 'lims', $labos_file$/*
 * Room: locations
 *
 * Where things stand: a tree of sites, rooms, freezers, boxes and positions.
 * A sample points at its location only, so that moving a freezer moves one row.
 *
 * Holds    locations
 * Needs    tenancy
 * Used by  samples, instruments
 */

create domain lab_data.location_kind as text
  constraint location_kind_check check (value in
    ('site', 'building', 'room', 'bench', 'cabinet', 'refrigerator', 'freezer', 'dewar', 'shelf', 'rack', 'box', 'plate', 'position'));
comment on domain lab_data.location_kind is 'Kinds of places.';

create table lab_data.locations (
  id           uuid        not null default labos.uuid_v7(),
  org_id       uuid        not null default labos.org_id(),
  parent_id    uuid,
  kind         lab_data.location_kind not null,
  code         lab_data.short_code not null,
  name         lab_data.short_name not null,
  grid_rows    integer,
  grid_columns integer,
  temperature_c float8,
  description  lab_data.long_text,
  metadata     lab_data.json_map not null default '{}',
  version      integer     not null default 1,
  created_at   timestamptz not null default now(),
  created_by   uuid,
  updated_at   timestamptz not null default now(),
  updated_by   uuid,
  deleted_at   timestamptz,
  deleted_by   uuid,
  constraint locations_pkey primary key (org_id, id),
  constraint locations_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint location_parent foreign key (org_id, parent_id)
    references lab_data.locations (org_id, id) on delete no action,
  constraint locations_parent_id_check check (parent_id <> id),
  constraint locations_grid_check check (
    (grid_rows is null) = (grid_columns is null) and grid_rows between 1 and 702 and grid_columns between 1 and 999),
  constraint locations_grid_kind_check check (kind in ('box', 'plate', 'rack', 'shelf', 'dewar') or grid_rows is null),
  constraint locations_kind_parent_check check (
    case kind when 'site' then parent_id is null when 'position' then parent_id is not null else true end),
  constraint locations_temperature_c_check check (temperature_c between -273.15 and 2000)
);
-- A code names one live location.
create unique index locations_org_id_code_key on lab_data.locations (org_id, code) where deleted_at is null;
-- The children of a location.
create index locations_org_id_parent_id_idx on lab_data.locations (org_id, parent_id);

comment on table lab_data.locations is
$$Locations

A tree of places. A place with a grid (rows × columns) holds one container at each position (A1, A2, ...); a place of kind position holds one container; the tree has no cycles and at most 32 levels.$$;
comment on column lab_data.locations.parent_id is 'What it stands in; null at the top. A site has none, a position has one.';
comment on column lab_data.locations.code is 'Unique among the organisation''s live locations.';
comment on column lab_data.locations.grid_rows is 'Rows of a box, plate or rack (1-702: A, B, ..., ZZ); null: no grid.';
comment on column lab_data.locations.grid_columns is 'Columns of a box, plate or rack (1-999).';
comment on column lab_data.locations.temperature_c is 'Storage temperature in degrees Celsius.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/120_samples.sql', 'm', 6, 'lims', $labos_file$/*
 * Room: samples
 *
 * What is measured. A sample is registered once, carries a barcode, stands
 * somewhere, belongs to somebody, and leaves a chain of custody behind.
 *
 * Holds    samples, sample_history
 * Needs    projects, locations, types (formula, labcode)
 * Used by  runs, results
 */

create domain lab_data.sample_status as text
  constraint sample_status_check check (value in ('registered', 'available', 'in_use', 'consumed', 'disposed', 'quarantined'));
comment on domain lab_data.sample_status is 'Where a sample is in its life.';
create domain lab_data.barcode_symbology as text
  constraint barcode_symbology_check check (value in ('labos', 'code128', 'code39', 'datamatrix', 'qr', 'ean8', 'upca', 'ean13', 'gtin14', 'sscc18'));
comment on domain lab_data.barcode_symbology is 'How a barcode is printed, and with that which check it carries.';
-- Globally Harmonized System: pictograms, hazard and precautionary statements.
create domain lab_data.ghs_code as text
  constraint ghs_code_check check (value ~ '^(GHS0[1-9]|(EU)?H[0-9]{3}[A-Za-z]{0,2}|P[0-9]{3}(\+P[0-9]{3}){0,4})$');
comment on domain lab_data.ghs_code is 'A code of the Globally Harmonized System: pictogram, hazard or precautionary statement.';
-- A unit symbol; '1' for a pure number. Its meaning is checked by the quantity type, later.
create domain lab_data.unit as text
  constraint unit_check check (length(value) between 1 and 40 and value ~ '^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$');
comment on domain lab_data.unit is 'A unit symbol of 1 to 40 characters; 1 for a pure number.';

-- samples -----------------------------------------------------------------------

create table lab_data.samples (
  id             uuid        not null default labos.uuid_v7(),
  org_id         uuid        not null default labos.org_id(),
  barcode        text        not null,
  barcode_symbology lab_data.barcode_symbology not null,
  name           lab_data.short_name not null,
  material_type  lab_data.short_name not null default 'material',
  formula        labos.formula,
  lot_code       lab_data.short_name,
  description    lab_data.long_text,
  status         lab_data.sample_status not null default 'registered',
  change_reason  text,
  quantity       float8,
  quantity_unit  lab_data.unit,
  hazards        lab_data.ghs_code[] not null default '{}',
  received_on    date,
  expires_on     date,
  project_id     uuid,
  location_id    uuid,
  position       text,
  owner_id       uuid        default labos.user_id(),
  transfer_to_id uuid,
  metadata       lab_data.json_map not null default '{}',
  version        integer     not null default 1,
  created_at     timestamptz not null default now(),
  created_by     uuid,
  updated_at     timestamptz not null default now(),
  updated_by     uuid,
  deleted_at     timestamptz,
  deleted_by     uuid,
  constraint samples_pkey primary key (org_id, id),
  constraint samples_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint sample_project foreign key (org_id, project_id)
    references lab_data.projects (org_id, id) on delete no action,
  constraint sample_location foreign key (org_id, location_id)
    references lab_data.locations (org_id, id) on delete no action,
  constraint sample_owner foreign key (org_id, owner_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint sample_transfer_to foreign key (org_id, transfer_to_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint samples_barcode_check check (barcode ~ '^[!-~]([ -~]{0,78}[!-~])?$'),
  constraint samples_quantity_check check (quantity >= 0 and quantity < 'Infinity'),
  constraint samples_quantity_unit_check check ((quantity is null) = (quantity_unit is null)),
  constraint samples_dates_check check (isfinite(received_on) and isfinite(expires_on)),
  constraint samples_hazards_check check (cardinality(hazards) <= 100 and array_position(hazards, null) is null),
  constraint samples_position_check check (position is null or location_id is not null),
  constraint samples_change_reason_check check (length(change_reason) <= 2000)
);
-- A barcode names one live sample; scanning finds it.
create unique index samples_org_id_barcode_key on lab_data.samples (org_id, barcode) where deleted_at is null;
-- A position holds one container; also the contents of a location.
create unique index samples_org_id_location_id_position_key
  on lab_data.samples (org_id, location_id, position) where deleted_at is null and position is not null;
-- The contents of a place without positions.
create index samples_org_id_location_id_idx on lab_data.samples (org_id, location_id) where location_id is not null;
-- The samples of a project, newest first.
create index samples_org_id_project_id_id_idx on lab_data.samples (org_id, project_id, id) where project_id is not null;
-- Somebody's samples, newest first.
create index samples_org_id_owner_id_id_idx on lab_data.samples (org_id, owner_id, id) where owner_id is not null;
-- What waits to be accepted.
create index samples_org_id_transfer_to_id_idx on lab_data.samples (org_id, transfer_to_id) where transfer_to_id is not null;
-- A lot.
create index samples_org_id_lot_code_idx on lab_data.samples (org_id, lot_code) where lot_code is not null;
-- Search by elements, within an organisation.
create index samples_org_id_formula_idx on lab_data.samples using gin (org_id, formula) where formula is not null;
-- Search by part of a name (ILIKE) and by facts (@>), within an organisation.
create index samples_org_id_name_metadata_idx on lab_data.samples
  using gin (org_id, name labos_ops.gin_trgm_ops, metadata labos_ops.gin_jsonb_path_ops);

comment on table lab_data.samples is
$$Samples

What is measured: material, amount, place, owner. A new sample gets a checked barcode unless it brings one; every change of status, place or owner is written to sample_history.$$;
comment on column lab_data.samples.barcode is
  'Unique among the organisation''s live samples. When not given: S-, the organisation''s counter, and an ISO 7064 MOD 37,36 check character (S-000123-K). A barcode of this shape is refused with 422 barcode_check_failed when its check character is wrong.';
comment on column lab_data.samples.barcode_symbology is
  'labos (ISO 7064 MOD 37,36), ean8, upca, ean13, gtin14, sscc18 (GS1 mod 10), or code128, code39, datamatrix, qr, whose content has no check of its own. When not given: labos for a barcode of that shape, else code128.';
comment on column lab_data.samples.material_type is 'What kind of thing it is: powder, wafer, solution, tissue, ...';
comment on column lab_data.samples.formula is 'Chemical formula; searched with the operators of labos.formula.';
comment on column lab_data.samples.status is
  'registered > available, quarantined, disposed; available <> in_use; both > quarantined, consumed, disposed; quarantined > available, disposed; consumed > disposed. New samples: registered, available or quarantined.';
comment on column lab_data.samples.change_reason is 'Why the status, place or owner is changed; give it with the change, sample_history keeps it.';
comment on column lab_data.samples.quantity is 'Amount on hand, in quantity_unit; finite, never negative.';
comment on column lab_data.samples.quantity_unit is 'Unit of quantity, for instance mg; given exactly when quantity is.';
comment on column lab_data.samples.hazards is 'GHS codes: pictograms (GHS02), hazard (H225) and precautionary statements (P210).';
comment on column lab_data.samples.location_id is 'Where it stands. A disposed sample stands nowhere.';
comment on column lab_data.samples.position is 'Position in the grid of the location (A1, B12); the first free one when the location has a grid and none is given.';
comment on column lab_data.samples.owner_id is 'Who has it in custody; whoever registers it, unless said otherwise. Changes by sample_transfer and sample_accept only.';
comment on column lab_data.samples.transfer_to_id is 'To whom it is offered; the hand-over is complete when that person accepts it.';
comment on column lab_data.samples.metadata is 'Any further facts, a JSON object.';

-- sample_history ------------------------------------------------------------------

create domain lab_data.custody_event as text
  constraint custody_event_check check (value in
    ('registered', 'moved', 'status_changed', 'offered', 'handed_over', 'withdrawn', 'deleted', 'restored'));
comment on domain lab_data.custody_event is 'What happened to a sample.';

create table lab_data.sample_history (
  id               uuid        not null default labos.uuid_v7(),
  org_id           uuid        not null,
  sample_id        uuid        not null,
  event            lab_data.custody_event not null,
  from_status      lab_data.sample_status,
  to_status        lab_data.sample_status,
  from_location_id uuid,
  to_location_id   uuid,
  from_position    text,
  to_position      text,
  from_owner_id    uuid,
  to_owner_id      uuid,
  reason           text,
  actor_id         uuid,
  at               timestamptz not null default clock_timestamp(),
  constraint sample_history_pkey primary key (id, org_id),
  constraint sample_history_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint sample_history_sample foreign key (org_id, sample_id)
    references lab_data.samples (org_id, id) on delete no action,
  constraint sample_history_from_location foreign key (org_id, from_location_id)
    references lab_data.locations (org_id, id) on delete no action,
  constraint sample_history_to_location foreign key (org_id, to_location_id)
    references lab_data.locations (org_id, id) on delete no action
);
-- The custody of one sample in order.
create index sample_history_org_id_sample_id_id_idx on lab_data.sample_history (org_id, sample_id, id);

comment on table lab_data.sample_history is
$$Sample history (chain of custody)

One row for each change of a sample's status, place or owner, written by triggers. It cannot be inserted, changed or deleted, by nobody.$$;
comment on column lab_data.sample_history.event is 'registered, moved, status_changed, offered (giver confirms), handed_over (taker confirms), withdrawn (offer taken back or declined), deleted, restored.';
comment on column lab_data.sample_history.reason is 'The change_reason given with the change.';
comment on column lab_data.sample_history.actor_id is 'The signed-in user; null for work of the database owner.';
comment on column lab_data.sample_history.at is 'When it happened, by the server''s clock.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/130_instruments.sql', 'm', 7, 'lims', $labos_file$/*
 * Room: instruments
 *
 * What measures, and the certificates that say how well. The calibration
 * lockout (140_runs) asks this room whether an instrument may be used.
 *
 * Holds    instruments, calibrations
 * Needs    locations
 * Used by  runs
 */

create domain lab_data.instrument_status as text
  constraint instrument_status_check check (value in ('available', 'in_use', 'maintenance', 'out_of_service'));
comment on domain lab_data.instrument_status is 'May an instrument be used?';
create domain lab_data.calibration_result as text
  constraint calibration_result_check check (value in ('pass', 'adjusted', 'fail'));
comment on domain lab_data.calibration_result is 'What a calibration found.';

-- instruments ---------------------------------------------------------------------

create table lab_data.instruments (
  id                   uuid        not null default labos.uuid_v7(),
  org_id               uuid        not null default labos.org_id(),
  name                 lab_data.short_name not null,
  model                lab_data.short_name,
  manufacturer         lab_data.short_name,
  serial_number        lab_data.short_name,
  description          lab_data.long_text,
  status               lab_data.instrument_status not null default 'available',
  location_id          uuid,
  responsible_id       uuid,
  capabilities         text[]      not null default '{}',
  connection           lab_data.json_map not null default '{}',
  requires_calibration boolean     not null default true,
  due_soon_days        integer     not null default 30,
  parallel_runs        integer     not null default 1,
  metadata             lab_data.json_map not null default '{}',
  version              integer     not null default 1,
  created_at           timestamptz not null default now(),
  created_by           uuid,
  updated_at           timestamptz not null default now(),
  updated_by           uuid,
  deleted_at           timestamptz,
  deleted_by           uuid,
  constraint instruments_pkey primary key (org_id, id),
  constraint instruments_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint instrument_location foreign key (org_id, location_id)
    references lab_data.locations (org_id, id) on delete no action,
  constraint instrument_responsible foreign key (org_id, responsible_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint instruments_capabilities_check check (cardinality(capabilities) <= 100 and array_position(capabilities, null) is null),
  constraint instruments_due_soon_days_check check (due_soon_days between 0 and 3650),
  constraint instruments_parallel_runs_check check (parallel_runs between 1 and 1000)
);
-- A serial number names one live instrument.
create unique index instruments_org_id_serial_number_key
  on lab_data.instruments (org_id, serial_number) where deleted_at is null and serial_number is not null;
-- What stands in a location.
create index instruments_org_id_location_id_idx on lab_data.instruments (org_id, location_id) where location_id is not null;

comment on table lab_data.instruments is
$$Instruments

What measures. An instrument that requires calibration runs only while a passed and approved calibration covers the moment.$$;
comment on column lab_data.instruments.serial_number is 'As on the type plate; unique among the organisation''s live instruments.';
comment on column lab_data.instruments.status is
  'available, in_use (set while a run is running), maintenance, out_of_service. In the last two only calibration runs are possible in maintenance, and none out of service.';
comment on column lab_data.instruments.responsible_id is 'Who looks after it.';
comment on column lab_data.instruments.capabilities is 'Methods it can do, for instance {uv-vis,raman}; empty: not restricted.';
comment on column lab_data.instruments.connection is 'How to reach it (address, driver, port). No secrets: every reader sees them.';
comment on column lab_data.instruments.requires_calibration is 'Runs are locked without a valid calibration.';
comment on column lab_data.instruments.due_soon_days is 'How many days before it expires a calibration counts as due soon.';
comment on column lab_data.instruments.parallel_runs is 'How many runs may be running at the same time.';

-- calibrations --------------------------------------------------------------------

create table lab_data.calibrations (
  id                  uuid        not null default labos.uuid_v7(),
  org_id              uuid        not null default labos.org_id(),
  instrument_id       uuid        not null,
  certificate_id      lab_data.short_name not null,
  issued_at           timestamptz not null,
  expires_at          timestamptz not null,
  provider            lab_data.short_name not null,
  result              lab_data.calibration_result not null,
  uncertainty         float8,
  uncertainty_unit    lab_data.unit,
  coverage_factor     float8,
  reference_standards jsonb       not null default '[]',
  document_uri        text,
  document_sha256     text,
  notes               lab_data.long_text,
  written_by          uuid[]      not null default '{}',
  approved_by_id      uuid,
  approved_at         timestamptz,
  version             integer     not null default 1,
  created_at          timestamptz not null default now(),
  created_by          uuid,
  updated_at          timestamptz not null default now(),
  updated_by          uuid,
  deleted_at          timestamptz,
  deleted_by          uuid,
  constraint calibrations_pkey primary key (org_id, id),
  constraint calibrations_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint calibration_instrument foreign key (org_id, instrument_id)
    references lab_data.instruments (org_id, id) on delete no action,
  constraint calibration_approved_by foreign key (org_id, approved_by_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint calibrations_expires_at_check check (expires_at > issued_at and isfinite(issued_at) and isfinite(expires_at)),
  constraint calibrations_uncertainty_check check (uncertainty >= 0 and uncertainty < 'Infinity'),
  constraint calibrations_uncertainty_unit_check check ((uncertainty is null) = (uncertainty_unit is null)),
  constraint calibrations_coverage_factor_check check (coverage_factor > 0 and coverage_factor <= 10),
  constraint calibrations_reference_standards_check check (
    jsonb_typeof(reference_standards) = 'array'
    and not jsonb_path_exists(reference_standards,
      'lax $[*] ? (!(@.type() == "object") || !exists(@.certificate_id ? (@.type() == "string" && @ != "")))')),
  constraint calibrations_document_uri_check check (length(document_uri) <= 2000 and document_uri ~ '^[a-z][a-z0-9+.-]*:'),
  constraint calibrations_document_sha256_check check (document_sha256 ~ '^[0-9a-f]{64}$'),
  constraint calibrations_approved_at_check check ((approved_by_id is null) = (approved_at is null))
);
-- A certificate is recorded once for an instrument.
create unique index calibrations_org_id_instrument_id_certificate_id_key
  on lab_data.calibrations (org_id, instrument_id, certificate_id) where deleted_at is null;
-- The lockout: the approved certificates of an instrument, latest first.
create index calibrations_org_id_instrument_id_issued_at_idx
  on lab_data.calibrations (org_id, instrument_id, issued_at desc) where deleted_at is null and approved_at is not null;

comment on table lab_data.calibrations is
$$Calibrations

Certificates of instruments. A certificate counts once a holder of calibration:approve other than its recorder has approved it; a change to what was approved takes the approval back.$$;
comment on column lab_data.calibrations.certificate_id is 'The number on the certificate; unique for the instrument.';
comment on column lab_data.calibrations.issued_at is 'From when it counts.';
comment on column lab_data.calibrations.expires_at is 'Until when it counts, exclusive.';
comment on column lab_data.calibrations.result is 'pass, adjusted (passed after adjustment) or fail. A later approved failure takes earlier certificates out of force.';
comment on column lab_data.calibrations.uncertainty is 'Expanded uncertainty of the certificate, in uncertainty_unit, with coverage_factor.';
comment on column lab_data.calibrations.reference_standards is 'Array of objects, one a standard used, each with its own certificate_id.';
comment on column lab_data.calibrations.document_uri is 'Where the certificate is stored.';
comment on column lab_data.calibrations.document_sha256 is 'SHA-256 of the stored certificate, lower-case hex.';
comment on column lab_data.calibrations.written_by is 'Who recorded it or changed what counts: none of them approves it. Set by the database.';
comment on column lab_data.calibrations.approved_by_id is 'Who approved it, by calibration_approve.';

-- What calibration_status returns.
create type lab.calibration_state as (
  instrument_id        uuid,
  instrument           text,
  requires_calibration boolean,
  state                text,
  calibration_id       uuid,
  certificate_id       text,
  issued_at            timestamptz,
  expires_at           timestamptz,
  days_left            integer,
  failed_at            timestamptz,
  pending              bigint
);
comment on type lab.calibration_state is 'State of calibration of an instrument.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/140_runs.sql', 'm', 8, 'lims', $labos_file$/*
 * Room: runs
 *
 * What instruments did to samples, and what came out.
 *
 * Holds    runs, results
 * Needs    samples, instruments
 * Used by  campaigns
 */

create domain lab_data.run_status as text
  constraint run_status_check check (value in ('queued', 'running', 'succeeded', 'failed', 'cancelled'));
comment on domain lab_data.run_status is 'Where a run stands.';
create domain lab_data.result_quality as text
  constraint result_quality_check check (value in ('good', 'suspect', 'bad', 'unknown'));
comment on domain lab_data.result_quality is 'How far a result can be trusted.';

-- runs ----------------------------------------------------------------------------

create table lab_data.runs (
  id              uuid        not null default labos.uuid_v7(),
  org_id          uuid        not null default labos.org_id(),
  instrument_id   uuid        not null,
  sample_id       uuid,
  project_id      uuid,
  method          lab_data.short_name not null,
  is_calibration  boolean     not null default false,
  params          lab_data.json_map not null default '{}',
  operator_id     uuid        default labos.user_id(),
  status          lab_data.run_status not null default 'queued',
  started_at      timestamptz,
  finished_at     timestamptz,
  error           lab_data.long_text,
  notes           lab_data.long_text,
  calibration_id  uuid,
  override_reason text,
  override_code   text,
  override_by_id  uuid,
  override_at     timestamptz,
  version         integer     not null default 1,
  created_at      timestamptz not null default now(),
  created_by      uuid,
  updated_at      timestamptz not null default now(),
  updated_by      uuid,
  deleted_at      timestamptz,
  deleted_by      uuid,
  constraint runs_pkey primary key (org_id, id),
  constraint runs_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint run_instrument foreign key (org_id, instrument_id)
    references lab_data.instruments (org_id, id) on delete no action,
  constraint run_sample foreign key (org_id, sample_id)
    references lab_data.samples (org_id, id) on delete no action,
  constraint run_project foreign key (org_id, project_id)
    references lab_data.projects (org_id, id) on delete no action,
  constraint run_operator foreign key (org_id, operator_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint run_calibration foreign key (org_id, calibration_id)
    references lab_data.calibrations (org_id, id) on delete no action,
  constraint run_override_by foreign key (org_id, override_by_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint runs_is_calibration_check check (not is_calibration or sample_id is null),
  constraint runs_override_reason_check check (length(override_reason) <= 2000 and length(btrim(override_reason)) >= 3),
  constraint runs_started_at_check check (status in ('queued', 'cancelled') or started_at is not null),
  constraint runs_finished_at_check check ((status in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null)),
  constraint runs_error_check check (status <> 'failed' or error is not null)
);
-- The queue of an instrument and what is running on it.
create index runs_org_id_instrument_id_status_idx on lab_data.runs (org_id, instrument_id, status);
-- The runs of a sample, newest first.
create index runs_org_id_sample_id_id_idx on lab_data.runs (org_id, sample_id, id) where sample_id is not null;
-- The runs of a project, newest first.
create index runs_org_id_project_id_id_idx on lab_data.runs (org_id, project_id, id) where project_id is not null;
-- What a calibration covered: needed when it turns out wrong.
create index runs_org_id_calibration_id_idx on lab_data.runs (org_id, calibration_id) where calibration_id is not null;

comment on table lab_data.runs is
$$Runs

One measurement or process on an instrument. On an instrument that requires calibration a run is created and started only under a valid calibration, whatever way it comes in: 409 with calibration_expired, calibration_missing, calibration_failed or instrument_unavailable.$$;
comment on column lab_data.runs.method is 'What is done. When the instrument lists capabilities it must be one of them.';
comment on column lab_data.runs.is_calibration is 'A run that calibrates the instrument: possible without a valid calibration for holders of calibration:create; it has no sample.';
comment on column lab_data.runs.params is 'Settings of the run, a JSON object; fixed once it is running.';
comment on column lab_data.runs.operator_id is 'Who carries it out; whoever creates it, unless said otherwise.';
comment on column lab_data.runs.status is 'queued > running, cancelled; running > succeeded, failed, cancelled.';
comment on column lab_data.runs.started_at is 'When it became running, by the server''s clock.';
comment on column lab_data.runs.finished_at is 'When it ended, by the server''s clock.';
comment on column lab_data.runs.error is 'Why it failed.';
comment on column lab_data.runs.calibration_id is 'The calibration that covered its start: the traceability of its results.';
comment on column lab_data.runs.override_reason is 'Why it may run without a valid calibration; needs calibration:override.';
comment on column lab_data.runs.override_code is 'What was overridden: calibration_expired, calibration_missing or calibration_failed. Set by the database.';
comment on column lab_data.runs.override_by_id is 'Who overrode. Set by the database.';

-- results -------------------------------------------------------------------------

create table lab_data.results (
  id             uuid        not null default labos.uuid_v7(),
  org_id         uuid        not null default labos.org_id(),
  run_id         uuid        not null,
  sample_id      uuid,
  property       lab_data.short_name not null,
  value          float8,
  uncertainty    float8,
  unit           lab_data.unit,
  value_text     lab_data.long_text,
  value_json     jsonb,
  value_array    float8[],
  axis           lab_data.json_map,
  lower_limit    float8,
  upper_limit    float8,
  out_of_spec    boolean generated always as (
    case when value is null or (lower_limit is null and upper_limit is null) then null
         else coalesce(value < lower_limit, false) or coalesce(value > upper_limit, false) end) stored,
  quality        lab_data.result_quality not null default 'good',
  method         lab_data.short_name,
  measured_at    timestamptz not null default now(),
  written_by     uuid[]      not null default '{}',
  reviewed_by_id uuid,
  reviewed_at    timestamptz,
  approved_by_id uuid,
  approved_at    timestamptz,
  metadata       lab_data.json_map not null default '{}',
  version        integer     not null default 1,
  created_at     timestamptz not null default now(),
  created_by     uuid,
  updated_at     timestamptz not null default now(),
  updated_by     uuid,
  deleted_at     timestamptz,
  deleted_by     uuid,
  constraint results_pkey primary key (org_id, id),
  constraint results_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint result_run foreign key (org_id, run_id)
    references lab_data.runs (org_id, id) on delete no action,
  constraint result_sample foreign key (org_id, sample_id)
    references lab_data.samples (org_id, id) on delete no action,
  constraint result_reviewed_by foreign key (org_id, reviewed_by_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint result_approved_by foreign key (org_id, approved_by_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint results_one_value_check check (num_nonnulls(value, value_text, value_json, value_array) = 1),
  constraint results_value_check check (value > '-Infinity' and value < 'Infinity'),
  constraint results_uncertainty_check check (
    uncertainty is null or (uncertainty >= 0 and uncertainty < 'Infinity' and value is not null)),
  constraint results_unit_check check ((unit is not null) = (value is not null or value_array is not null)),
  constraint results_value_array_check check (
    value_array is null or (array_ndims(value_array) = 1 and cardinality(value_array) <= 10000000
      and not value_array && '{NaN,Infinity,-Infinity}'::float8[])),
  constraint results_axis_check check (
    axis is null or (value_array is not null and jsonb_typeof(axis -> 'name') = 'string' and jsonb_typeof(axis -> 'unit') = 'string'
      and case when axis ? 'values'
            then jsonb_typeof(axis -> 'values') = 'array' and jsonb_array_length(axis -> 'values') = cardinality(value_array)
            else jsonb_typeof(axis -> 'first') = 'number' and jsonb_typeof(axis -> 'step') = 'number' end) is true),
  constraint results_limits_check check (
    lower_limit > '-Infinity' and lower_limit < 'Infinity' and upper_limit > '-Infinity' and upper_limit < 'Infinity'
    and lower_limit <= upper_limit),
  constraint results_limits_value_check check (value is not null or (lower_limit is null and upper_limit is null)),
  constraint results_measured_at_check check (isfinite(measured_at)),
  constraint results_reviewed_at_check check ((reviewed_by_id is null) = (reviewed_at is null)),
  constraint results_approved_at_check check (
    (approved_by_id is null) = (approved_at is null) and (approved_at is null or reviewed_at is not null))
);
-- The results of a run in the order recorded.
create index results_org_id_run_id_id_idx on lab_data.results (org_id, run_id, id);
-- The results of a sample, newest first.
create index results_org_id_sample_id_id_idx on lab_data.results (org_id, sample_id, id) where sample_id is not null;
-- All values of a property: trends and ranges.
create index results_org_id_property_value_idx on lab_data.results (org_id, property, value) where value is not null;

comment on table lab_data.results is
$$Results

What a run gave: a number with unit and standard uncertainty, a text, a JSON value, or an array (a spectrum) with its axis. Recorded while the run is running or after it has ended; fixed once approved.$$;
comment on column lab_data.results.sample_id is 'The sample of the run. Set by the database.';
comment on column lab_data.results.property is 'What was measured: analyte or property.';
comment on column lab_data.results.value is 'The number, in unit; finite.';
comment on column lab_data.results.uncertainty is 'Standard uncertainty of value (GUM), in unit.';
comment on column lab_data.results.unit is 'Unit of value or of the elements of value_array; 1 for a pure number.';
comment on column lab_data.results.value_array is 'A spectrum or other series, in unit; a missing point is null.';
comment on column lab_data.results.axis is 'The axis of value_array: {"name", "unit", "first", "step"} when even, {"name", "unit", "values": [...]} otherwise.';
comment on column lab_data.results.lower_limit is 'Specification, in unit.';
comment on column lab_data.results.upper_limit is 'Specification, in unit.';
comment on column lab_data.results.out_of_spec is 'Is value outside of its limits? Computed by the database; null without limits. The limits themselves are inside.';
comment on column lab_data.results.quality is 'good, suspect, bad or unknown.';
comment on column lab_data.results.written_by is 'Who recorded or changed it: none of them reviews or approves it. Set by the database.';
comment on column lab_data.results.reviewed_by_id is 'Who reviewed it, by result_review; not who recorded it.';
comment on column lab_data.results.approved_by_id is 'Who approved it, by result_approve; not who recorded it. An approved result is fixed.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/300_materials.sql', 'm', 9, 'core', $labos_file$/*
 * Room: materials
 *
 * What substances the laboratory thinks about, and data sets of measured
 * materials that campaigns draw candidates from.
 *
 * Holds    materials, datasets, dataset_rows
 * Needs    tenancy, formula, campaign (composition_features)
 * Used by  simulation (structures of a material), campaigns (pools)
 *
 * A data set is written once by dataset_import and never edited, so that a
 * campaign on it can be repeated; a better one gets a new name.
 */

-- materials -----------------------------------------------------------------

create table lab_data.materials (
  id          uuid          not null default labos.uuid_v7(),
  org_id      uuid          not null default labos.org_id(),
  name        text          not null,
  formula     labos.formula,
  source      text,
  description text,
  tags        text[]        not null default '{}',
  properties  jsonb         not null default '{}',
  owner_id    uuid          not null default labos.user_id(),
  version     integer       not null default 1,
  created_at  timestamptz   not null default now(),
  created_by  uuid,
  updated_at  timestamptz   not null default now(),
  updated_by  uuid,
  deleted_at  timestamptz,
  deleted_by  uuid,
  constraint materials_pkey primary key (org_id, id),
  constraint material_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint material_owner foreign key (org_id, owner_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint materials_name_check check (length(btrim(name)) between 1 and 200),
  constraint materials_source_check check (length(source) <= 1000),
  constraint materials_description_check check (length(description) <= 10000),
  constraint materials_tags_check check (cardinality(tags) <= 50 and array_position(tags, null) is null and length(array_to_string(tags, '')) <= 2000),
  constraint materials_properties_check check (jsonb_typeof(properties) = 'object' and pg_column_size(properties) <= 65536)
);
-- Search by elements and by composition; the owner's list.
create index materials_org_id_owner_id_idx on lab_data.materials (org_id, owner_id);
create index materials_formula_idx on lab_data.materials using gin (formula) where deleted_at is null;

comment on table lab_data.materials is
$$Materials

A substance under study, with its formula where it has one. Seen by its owner and by holders of material:read_any.$$;
comment on column lab_data.materials.formula is 'Chemical formula, such as MoS2; null where there is none (a polymer blend).';
comment on column lab_data.materials.source is 'Where the entry comes from: a data base and number, a paper, a project.';
comment on column lab_data.materials.tags is 'Free labels, at most 50.';
comment on column lab_data.materials.properties is 'Known properties by name; units belong in the names, such as band_gap_ev.';
comment on column lab_data.materials.owner_id is 'Whose it is; only the owner and holders of material:update_any change it.';

-- datasets ------------------------------------------------------------------

create table lab_data.datasets (
  id            uuid        not null default labos.uuid_v7(),
  org_id        uuid        not null default labos.org_id(),
  name          text        not null,
  description   text,
  source        text,
  licence       text,
  columns       jsonb       not null,
  feature_names text[]      not null,
  row_count     integer     not null,
  sha256        text        not null,
  version       integer     not null default 1,
  created_at    timestamptz not null default now(),
  created_by    uuid,
  updated_at    timestamptz not null default now(),
  updated_by    uuid,
  deleted_at    timestamptz,
  deleted_by    uuid,
  constraint datasets_pkey primary key (org_id, id),
  constraint dataset_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint datasets_name_check check (length(btrim(name)) between 1 and 63),
  constraint datasets_description_check check (length(description) <= 10000),
  constraint datasets_source_check check (length(source) <= 1000),
  constraint datasets_licence_check check (length(licence) <= 200),
  constraint datasets_columns_check check (jsonb_typeof(columns) = 'object'),
  constraint datasets_row_count_check check (row_count > 0),
  constraint datasets_sha256_check check (sha256 ~ '^[0-9a-f]{64}$')
);
-- A name says which data a configuration means.
create unique index datasets_org_id_name_key on lab_data.datasets (org_id, name) where deleted_at is null;

comment on table lab_data.datasets is
$$Data sets

Measured materials that campaigns can draw from. Written by rpc/dataset_import; seen by everybody in the organisation with material:read.$$;
comment on column lab_data.datasets.columns is 'How the text was read: formula, parameters and properties with their columns.';
comment on column lab_data.datasets.feature_names is 'What the numbers in dataset_rows.features are, in order.';
comment on column lab_data.datasets.sha256 is 'Of the imported text, hexadecimal.';

-- dataset_rows --------------------------------------------------------------

create table lab_data.dataset_rows (
  id         uuid          not null default labos.uuid_v7(),
  org_id     uuid          not null default labos.org_id(),
  dataset_id uuid          not null,
  row_index  integer       not null,
  formula    labos.formula,
  parameters jsonb         not null default '{}',
  measured   jsonb         not null,
  features   float8[]      not null,
  constraint dataset_rows_pkey primary key (id, org_id),
  constraint dataset_row_dataset foreign key (org_id, dataset_id)
    references lab_data.datasets (org_id, id) on delete cascade,
  -- Also the order in which a pool is read.
  constraint dataset_rows_org_id_dataset_id_row_index_key unique (org_id, dataset_id, row_index),
  constraint dataset_rows_row_index_check check (row_index >= 1),
  constraint dataset_rows_parameters_check check (jsonb_typeof(parameters) = 'object'),
  constraint dataset_rows_measured_check check (jsonb_typeof(measured) = 'object')
);

comment on table lab_data.dataset_rows is
$$Rows of data sets

One measured material each. Written by rpc/dataset_import only.$$;
comment on column lab_data.dataset_rows.row_index is '1-based place in the imported text.';
comment on column lab_data.dataset_rows.measured is 'Measured properties by name; one that is missing there was not measured.';
comment on column lab_data.dataset_rows.features is 'Numbers for models: features of the composition, then the numeric parameters.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/310_simulation.sql', 'm', 10, 'simulation', $labos_file$/*
 * Room: simulation
 *
 * Structures of materials, what models predict for them, and simulation jobs on
 * three scales. A job names its engine, parameters and seed; its result is a
 * function of these, so that it can be had again. Jobs chain from the finer to
 * the coarser scale: a child takes its parent's figures as input.
 *
 * Holds    structures, predicted_properties, simulation_jobs, simulation_results, simulation_fields
 * Needs    tenancy, formula, engine, materials (lab_data.materials)
 * Used by  campaigns
 *
 * Absent on purpose: a crystal column. Structures keep their source text until the
 * crystal type exists; a later migration adds `crystal`, filled from `source`, and
 * checks formula and n_atoms against it.
 */

create domain lab_data.structure_format as text
  constraint structure_format_check check (value in ('cif', 'poscar', 'xyz', 'extxyz', 'pdb', 'json'));
comment on domain lab_data.structure_format is 'How the source text of a structure is written.';

create domain lab_data.simulation_scale as text
  constraint simulation_scale_check check (value in ('atomic', 'mesoscale', 'continuum'));
comment on domain lab_data.simulation_scale is 'atomic (nm), mesoscale (um to mm) or continuum (mm to m).';

create domain lab_data.job_status as text
  constraint job_status_check check (value in ('PENDING', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'));
comment on domain lab_data.job_status is 'Where a simulation job stands.';

-- structures ----------------------------------------------------------------

create table lab_data.structures (
  id                  uuid        not null default labos.uuid_v7(),
  org_id              uuid        not null default labos.org_id(),
  owner_id            uuid        not null default labos.user_id(),
  material_id         uuid,
  parent_structure_id uuid,
  name                text,
  formula             labos.formula not null,
  n_atoms             integer     not null,
  dimensionality      smallint    not null default 3,
  format              lab_data.structure_format not null,
  source              text        not null,
  hash                text        not null,
  generated_by        jsonb,
  version             integer     not null default 1,
  created_at          timestamptz not null default now(),
  created_by          uuid,
  updated_at          timestamptz not null default now(),
  updated_by          uuid,
  deleted_at          timestamptz,
  deleted_by          uuid,
  constraint structures_pkey primary key (org_id, id),
  constraint structures_name_check check (length(btrim(name)) between 1 and 200),
  constraint structures_n_atoms_check check (n_atoms between 1 and 1000000),
  constraint structures_dimensionality_check check (dimensionality between 0 and 3),
  constraint structures_source_check check (length(source) between 1 and 4000000),
  constraint structures_hash_check check (hash ~ '^[0-9a-f]{64}$'),
  constraint structures_generated_by_check check (jsonb_typeof(generated_by) = 'object' and pg_column_size(generated_by) <= 65536),
  constraint structures_parent_structure_id_check check (parent_structure_id <> id)
);
alter table lab_data.structures add constraint structure_organization
  foreign key (org_id) references lab_data.organizations (id) on delete no action;
alter table lab_data.structures add constraint structure_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;
alter table lab_data.structures add constraint structure_material
  foreign key (org_id, material_id) references lab_data.materials (org_id, id) on delete no action;
alter table lab_data.structures add constraint structure_parent
  foreign key (org_id, parent_structure_id) references lab_data.structures (org_id, id) on delete no action;
-- The structures of a material; what was generated from one; equal ones.
create index structures_org_id_material_id_idx on lab_data.structures (org_id, material_id);
create index structures_org_id_parent_structure_id_idx on lab_data.structures (org_id, parent_structure_id);
create index structures_org_id_hash_idx on lab_data.structures (org_id, hash);

comment on table lab_data.structures is
$$Structures

The arrangement of atoms of a material, as its source text. Visible to its owner and holders of material:read_any; the text never changes, a new structure names its parent.$$;
comment on column lab_data.structures.formula is 'Formula of the cell.';
comment on column lab_data.structures.n_atoms is 'Atoms in the cell.';
comment on column lab_data.structures.dimensionality is '0 molecule, 1 chain, 2 sheet, 3 bulk.';
comment on column lab_data.structures.source is 'The text as it was given.';
comment on column lab_data.structures.hash is 'SHA-256 of the source with line ends and outer blanks made equal, as hex: finds equal texts.';
comment on column lab_data.structures.parent_structure_id is 'The structure this one was generated from.';
comment on column lab_data.structures.generated_by is 'How it was generated from its parent: {method, ...}.';

-- predicted_properties ------------------------------------------------------

create table lab_data.predicted_properties (
  id            uuid        not null default labos.uuid_v7(),
  org_id        uuid        not null default labos.org_id(),
  owner_id      uuid        not null default labos.user_id(),
  structure_id  uuid        not null,
  model_name    text        not null,
  model_version text        not null,
  properties    jsonb       not null,
  uncertainty   jsonb,
  created_at    timestamptz not null default now(),
  created_by    uuid,
  constraint predicted_properties_pkey primary key (id, org_id),
  constraint predicted_properties_model_name_check check (length(btrim(model_name)) between 1 and 100),
  constraint predicted_properties_model_version_check check (length(btrim(model_version)) between 1 and 50),
  constraint predicted_properties_properties_check check (jsonb_typeof(properties) = 'object' and pg_column_size(properties) <= 65536),
  constraint predicted_properties_uncertainty_check check (jsonb_typeof(uncertainty) = 'object' and pg_column_size(uncertainty) <= 65536)
);
alter table lab_data.predicted_properties add constraint predicted_property_organization
  foreign key (org_id) references lab_data.organizations (id) on delete no action;
alter table lab_data.predicted_properties add constraint predicted_property_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;
alter table lab_data.predicted_properties add constraint predicted_property_structure
  foreign key (org_id, structure_id) references lab_data.structures (org_id, id) on delete cascade;
-- The latest prediction of a model for a structure.
create index predicted_properties_org_id_structure_id_model_name_idx
  on lab_data.predicted_properties (org_id, structure_id, model_name, created_at desc);

comment on table lab_data.predicted_properties is
$$Predicted properties

What a model says about a structure. Written once and never changed: a better prediction is a new row.$$;
comment on column lab_data.predicted_properties.properties is 'Values by property name; units are in the names (band_gap_ev).';
comment on column lab_data.predicted_properties.uncertainty is 'Standard deviations by the same names.';

-- simulation_jobs -----------------------------------------------------------

create table lab_data.simulation_jobs (
  id            uuid        not null default labos.uuid_v7(),
  org_id        uuid        not null default labos.org_id(),
  owner_id      uuid        not null default labos.user_id(),
  name          text        not null,
  description   text,
  scale         lab_data.simulation_scale not null,
  engine_type   text        not null,
  fidelity      text        not null default 'stub',
  parameters    jsonb       not null default '{}',
  seed          bigint      not null default 0,
  parent_job_id uuid,
  -- The only scale a parent may have: the foreign key below holds it, whoever writes and however many at once.
  parent_scale  text        generated always as (case scale::text when 'mesoscale' then 'atomic' when 'continuum' then 'mesoscale' end) stored,
  structure_id  uuid,
  status        lab_data.job_status not null default 'PENDING',
  priority      smallint    not null default 0,
  progress      float8      not null default 0,
  attempts      integer     not null default 0,
  max_attempts  integer     not null default 3,
  run_after     timestamptz,
  worker        text,
  lease_until   timestamptz,
  error         jsonb,
  submitted_at  timestamptz,
  started_at    timestamptz,
  completed_at  timestamptz,
  version       integer     not null default 1,
  created_at    timestamptz not null default now(),
  created_by    uuid,
  updated_at    timestamptz not null default now(),
  updated_by    uuid,
  deleted_at    timestamptz,
  deleted_by    uuid,
  constraint simulation_jobs_pkey primary key (org_id, id),
  constraint simulation_jobs_org_id_id_scale_key unique (org_id, id, scale),
  constraint simulation_jobs_name_check check (length(btrim(name)) between 1 and 200),
  constraint simulation_jobs_description_check check (length(description) <= 4000),
  constraint simulation_jobs_engine_type_check check (
    case scale::text
      when 'atomic' then engine_type in ('ATOMIC')
      when 'mesoscale' then engine_type in ('PHASE_FIELD', 'MONTE_CARLO', 'KMC')
      when 'continuum' then engine_type in ('FEM', 'FVM', 'BEM')
    end),
  constraint simulation_jobs_fidelity_check check (fidelity in ('stub', 'physics')),
  constraint simulation_jobs_parameters_check check (jsonb_typeof(parameters) = 'object' and pg_column_size(parameters) <= 65536),
  constraint simulation_jobs_parent_job_id_check check (parent_job_id is null or (parent_job_id <> id and scale <> 'atomic')),
  constraint simulation_jobs_priority_check check (priority between -100 and 100),
  constraint simulation_jobs_progress_check check (progress between 0 and 1 and (status <> 'COMPLETED' or progress = 1)),
  constraint simulation_jobs_attempts_check check (attempts between 0 and max_attempts and (status not in ('RUNNING', 'COMPLETED', 'FAILED') or attempts > 0)),
  constraint simulation_jobs_max_attempts_check check (max_attempts between 1 and 20),
  constraint simulation_jobs_worker_check check (length(worker) between 1 and 200),
  constraint simulation_jobs_lease_until_check check (lease_until is null or (status = 'RUNNING' and worker is not null)),
  constraint simulation_jobs_error_check check ((error is not null) = (status = 'FAILED')),
  constraint simulation_jobs_submitted_at_check check (submitted_at is not null or status in ('PENDING', 'CANCELLED')),
  constraint simulation_jobs_started_at_check check (started_at is not null or status not in ('RUNNING', 'COMPLETED', 'FAILED')),
  constraint simulation_jobs_completed_at_check check ((completed_at is not null) = (status in ('COMPLETED', 'FAILED', 'CANCELLED')))
);
alter table lab_data.simulation_jobs add constraint simulation_job_organization
  foreign key (org_id) references lab_data.organizations (id) on delete no action;
alter table lab_data.simulation_jobs add constraint simulation_job_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;
alter table lab_data.simulation_jobs add constraint simulation_job_parent
  foreign key (org_id, parent_job_id, parent_scale) references lab_data.simulation_jobs (org_id, id, scale) on delete no action;
alter table lab_data.simulation_jobs add constraint simulation_job_structure
  foreign key (org_id, structure_id) references lab_data.structures (org_id, id) on delete no action;
-- Children of a job; jobs of a structure; the queue in the order of its work; an owner's list.
create index simulation_jobs_org_id_parent_job_id_idx on lab_data.simulation_jobs (org_id, parent_job_id);
create index simulation_jobs_org_id_structure_id_idx on lab_data.simulation_jobs (org_id, structure_id);
create index simulation_jobs_org_id_priority_submitted_at_idx
  on lab_data.simulation_jobs (org_id, priority desc, submitted_at) where status = 'QUEUED' and deleted_at is null;
create index simulation_jobs_org_id_owner_id_id_idx on lab_data.simulation_jobs (org_id, owner_id, id desc);

comment on table lab_data.simulation_jobs is
$$Simulation jobs

One run of an engine on one scale. Owners see their own, holders of simulation:read_any all of the organisation. Created by POST or rpc/job_create; the state changes by rpc/job_submit, job_run, job_cancel and job_retry only.$$;
comment on column lab_data.simulation_jobs.scale is 'atomic, mesoscale or continuum; follows from the engine when it is left out.';
comment on column lab_data.simulation_jobs.engine_type is
  'ATOMIC; PHASE_FIELD, MONTE_CARLO, KMC; FEM, FVM, BEM. Aliases such as PF, MC, FINITE_ELEMENT are accepted and stored by the full name.';
comment on column lab_data.simulation_jobs.fidelity is 'stub: instant deterministic figures. physics is not in this version.';
comment on column lab_data.simulation_jobs.parameters is 'As rpc/simulation_engines describes them; what is left out comes from the parent''s result, else it is the default.';
comment on column lab_data.simulation_jobs.seed is 'Same engine version, parameters and seed: same result, byte for byte.';
comment on column lab_data.simulation_jobs.parent_job_id is 'A job exactly one scale finer, whose result this one takes as input.';
comment on column lab_data.simulation_jobs.parent_scale is 'The scale a parent of this job must have; null for atomic jobs, which have none.';
comment on column lab_data.simulation_jobs.structure_id is 'Gives an atomic job its formula and number of atoms where its parameters do not.';
comment on column lab_data.simulation_jobs.status is 'PENDING, QUEUED, RUNNING, then COMPLETED, FAILED or CANCELLED; FAILED goes back to QUEUED by a retry.';
comment on column lab_data.simulation_jobs.priority is '-100 to 100; higher runs first.';
comment on column lab_data.simulation_jobs.progress is '0 to 1.';
comment on column lab_data.simulation_jobs.attempts is 'How often it was started.';
comment on column lab_data.simulation_jobs.run_after is 'Workers leave a retried job alone until then.';
comment on column lab_data.simulation_jobs.worker is 'Who runs it; null when a caller''s own session does.';
comment on column lab_data.simulation_jobs.lease_until is 'Until when a worker may be silent before the job counts as lost.';
comment on column lab_data.simulation_jobs.error is 'Why it failed: {code, message, sqlstate, detail}; null unless FAILED.';

-- simulation_results --------------------------------------------------------

create table lab_data.simulation_results (
  id                      uuid        not null default labos.uuid_v7(),
  org_id                  uuid        not null default labos.org_id(),
  job_id                  uuid        not null,
  owner_id                uuid        not null,
  scale                   lab_data.simulation_scale not null,
  engine_type             text        not null,
  result                  jsonb       not null,
  microstructure_metrics  jsonb       generated always as (result -> 'microstructure_metrics') stored,
  grain_size_distribution jsonb       generated always as (result -> 'grain_size_distribution') stored,
  phase_fractions         jsonb       generated always as (result #> '{microstructure_metrics,phase_fractions}') stored,
  domain_size             jsonb,
  timesteps               bigint      generated always as ((result ->> 'timesteps')::bigint) stored,
  effective_properties    jsonb       generated always as (result -> 'effective_properties') stored,
  mesh_info               jsonb,
  solution_fields         jsonb       generated always as (result -> 'solution_fields') stored,
  convergence_reached     boolean     generated always as ((result ->> 'convergence_reached')::boolean) stored,
  wall_time_ms            float8      not null,
  engine_version          text        not null,
  fidelity                text        not null,
  seed                    bigint      not null,
  parameters              jsonb       not null,
  parameters_hash         text        not null,
  parent_result_id        uuid,
  created_at              timestamptz not null default now(),
  created_by              uuid,
  constraint simulation_results_pkey primary key (id, org_id),
  constraint simulation_results_org_id_job_id_key unique (org_id, job_id),
  constraint simulation_results_result_check check (jsonb_typeof(result) = 'object'),
  constraint simulation_results_wall_time_ms_check check (wall_time_ms >= 0 and wall_time_ms < 'infinity'),
  constraint simulation_results_parameters_hash_check check (parameters_hash ~ '^[0-9a-f]{64}$')
);
alter table lab_data.simulation_results add constraint simulation_result_job
  foreign key (org_id, job_id, scale) references lab_data.simulation_jobs (org_id, id, scale) on delete no action;
alter table lab_data.simulation_results add constraint simulation_result_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;
alter table lab_data.simulation_results add constraint simulation_result_parent
  foreign key (org_id, parent_result_id) references lab_data.simulation_results (org_id, id) on delete no action;
-- What was computed from a result; equal runs.
create index simulation_results_org_id_parent_result_id_idx on lab_data.simulation_results (org_id, parent_result_id);
create index simulation_results_org_id_parameters_hash_idx on lab_data.simulation_results (org_id, parameters_hash);

comment on table lab_data.simulation_results is
$$Simulation results

What a completed job gave, written in the transaction that completed it and never changed. Engine version, parameters and seed are kept, so that the result can be had again.$$;
comment on column lab_data.simulation_results.owner_id is 'That of the job.';
comment on column lab_data.simulation_results.result is 'All figures, in the shape that rpc/simulation_engines lists with units; the columns after it are parts of it.';
comment on column lab_data.simulation_results.microstructure_metrics is 'Mesoscale: n_grains, mean_grain_size_um, phase_fractions, grain_boundary_density (1/um).';
comment on column lab_data.simulation_results.grain_size_distribution is 'Mesoscale, Monte Carlo: n_grains, mean, median and standard deviation in um, histogram.';
comment on column lab_data.simulation_results.phase_fractions is 'Mesoscale, phase field: volume fractions that add up to 1.';
comment on column lab_data.simulation_results.domain_size is 'Mesoscale: edges in um and number of cells.';
comment on column lab_data.simulation_results.effective_properties is 'Continuum: homogenised properties; units are in the names.';
comment on column lab_data.simulation_results.mesh_info is 'Continuum: dimensions, elements, nodes; atomic: atoms and k-points.';
comment on column lab_data.simulation_results.solution_fields is 'Continuum: extremes of the solution; units are in the names.';
comment on column lab_data.simulation_results.wall_time_ms is 'Milliseconds the engine took.';
comment on column lab_data.simulation_results.parameters is 'What the engine was given: the job''s parameters, its parent''s figures and the defaults.';
comment on column lab_data.simulation_results.parameters_hash is 'SHA-256 of engine, version and canonical parameters, as hex.';
comment on column lab_data.simulation_results.parent_result_id is 'The result that gave input.';

-- simulation_fields ---------------------------------------------------------

create table lab_data.simulation_fields (
  id           uuid        not null default labos.uuid_v7(),
  org_id       uuid        not null default labos.org_id(),
  result_id    uuid        not null,
  owner_id     uuid        not null,
  name         text        not null,
  unit         text        not null,
  shape        integer[]   not null,
  element_type text        not null,
  data         bytea       not null,
  sha256       text        generated always as (encode(sha256(data), 'hex')) stored,
  created_at   timestamptz not null default now(),
  created_by   uuid,
  constraint simulation_fields_pkey primary key (id, org_id),
  constraint simulation_fields_org_id_result_id_name_key unique (org_id, result_id, name),
  constraint simulation_fields_name_check check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint simulation_fields_unit_check check (length(unit) between 1 and 40),
  constraint simulation_fields_shape_check check (array_ndims(shape) = 1 and cardinality(shape) between 1 and 4 and 0 < all (shape)),
  constraint simulation_fields_element_type_check check (element_type in ('uint8', 'uint16', 'int32', 'float32', 'float64'))
);
alter table lab_data.simulation_fields add constraint simulation_field_result
  foreign key (org_id, result_id) references lab_data.simulation_results (org_id, id) on delete cascade;
alter table lab_data.simulation_fields add constraint simulation_field_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;

comment on table lab_data.simulation_fields is
$$Simulation fields

Arrays that belong to a result: a microstructure, a displacement field. Compressed by the database; stub engines give none.$$;
comment on column lab_data.simulation_fields.shape is 'Extent along each axis, slowest first.';
comment on column lab_data.simulation_fields.data is 'Elements in row-major order, little-endian.';
comment on column lab_data.simulation_fields.sha256 is 'Of data, as hex.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('m/320_campaigns.sql', 'm', 11, 'campaigns', $labos_file$/*
 * Room: campaigns
 *
 * Design campaigns: propose candidates, evaluate them, learn, repeat.
 *
 * Holds    design_campaigns, design_iterations, campaign_candidates
 * Needs    materials (datasets), campaign (score, suggest)
 * Used by  the worker, agents over HTTP
 *
 * Iterations and candidates are written by the calls of this room only; they
 * are evidence and are never deleted.
 */

create domain lab_data.campaign_status as text
  constraint campaign_status_check check (value in ('CREATED', 'RUNNING', 'PAUSED', 'COMPLETED', 'FAILED', 'CANCELLED'));
comment on domain lab_data.campaign_status is 'CREATED, RUNNING, PAUSED, COMPLETED, FAILED or CANCELLED.';

create domain lab_data.candidate_state as text
  constraint candidate_state_check check (value in ('suggested', 'pending', 'evaluated', 'failed', 'rejected'));
comment on domain lab_data.candidate_state is 'suggested, pending (handed out), evaluated, failed or rejected.';

-- design_campaigns ----------------------------------------------------------

create table lab_data.design_campaigns (
  id                uuid        not null default labos.uuid_v7(),
  org_id            uuid        not null default labos.org_id(),
  owner_id          uuid        not null default labos.user_id(),
  name              text        not null,
  description       text,
  status            lab_data.campaign_status not null default 'CREATED',
  config            jsonb       not null,
  dataset_id        uuid,
  max_iterations    integer     not null default 10,
  current_iteration integer     not null default 0,
  best_score        float8,
  best_candidate_id uuid,
  best_structure    text,
  seed              bigint      not null,
  failure_reason    text,
  stop_reason       text,
  started_at        timestamptz,
  completed_at      timestamptz,
  version           integer     not null default 1,
  created_at        timestamptz not null default now(),
  created_by        uuid,
  updated_at        timestamptz not null default now(),
  updated_by        uuid,
  deleted_at        timestamptz,
  deleted_by        uuid,
  constraint design_campaigns_pkey primary key (org_id, id),
  constraint design_campaign_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint design_campaign_owner foreign key (org_id, owner_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint design_campaign_dataset foreign key (org_id, dataset_id)
    references lab_data.datasets (org_id, id) on delete no action,
  constraint design_campaigns_name_check check (length(btrim(name)) between 1 and 200),
  constraint design_campaigns_description_check check (length(description) <= 10000),
  constraint design_campaigns_config_check check (jsonb_typeof(config) = 'object'),
  constraint design_campaigns_max_iterations_check check (max_iterations between 1 and 10000),
  constraint design_campaigns_current_iteration_check check (current_iteration between 0 and max_iterations),
  constraint design_campaigns_best_score_check check (best_score between 0 and 1),
  constraint design_campaigns_seed_check check (seed >= 0),
  constraint design_campaigns_completed_at_check check ((completed_at is not null) = (status in ('COMPLETED', 'FAILED', 'CANCELLED')))
);
-- The owner's list.
create index design_campaigns_org_id_owner_id_id_idx on lab_data.design_campaigns (org_id, owner_id, id desc);
-- Which campaigns use a data set.
create index design_campaigns_org_id_dataset_id_idx on lab_data.design_campaigns (org_id, dataset_id);

comment on table lab_data.design_campaigns is
$$Design campaigns

A search for candidates that meet target properties. Seen by its owner and by holders of campaign:read_any; it changes by the rpc/campaign_ calls.$$;
comment on column lab_data.design_campaigns.owner_id is 'Who created it.';
comment on column lab_data.design_campaigns.config is 'Canonical configuration: targets, constraints or search space, strategy, evaluator, stop.';
comment on column lab_data.design_campaigns.dataset_id is 'The pool of candidates, when the configuration names a data set.';
comment on column lab_data.design_campaigns.current_iteration is 'Iterations begun so far, 0 to max_iterations.';
comment on column lab_data.design_campaigns.best_score is 'Best score of an evaluated candidate, 0 to 1; null before the first.';
comment on column lab_data.design_campaigns.best_candidate_id is 'The candidate with the best score; the first of equals.';
comment on column lab_data.design_campaigns.best_structure is 'Its formula, or its parameters as text.';
comment on column lab_data.design_campaigns.seed is 'With configuration and observations it determines every suggestion.';
comment on column lab_data.design_campaigns.failure_reason is 'Why it is FAILED.';
comment on column lab_data.design_campaigns.stop_reason is
  'Why it ended: max_iterations, target_score, no_improvement, budget, space_exhausted, cancelled.';

-- design_iterations ---------------------------------------------------------

create table lab_data.design_iterations (
  id                       uuid        not null default labos.uuid_v7(),
  org_id                   uuid        not null default labos.org_id(),
  owner_id                 uuid        not null,
  campaign_id              uuid        not null,
  iteration_index          integer     not null,
  strategy_used            text        not null,
  created_structures       integer     not null default 0,
  evaluated_structures     integer     not null default 0,
  best_score_this_iter     float8,
  best_structure_this_iter text,
  metrics                  jsonb       not null default '{}',
  created_at               timestamptz not null default now(),
  completed_at             timestamptz,
  constraint design_iterations_pkey primary key (id, org_id),
  constraint design_iteration_campaign foreign key (org_id, campaign_id)
    references lab_data.design_campaigns (org_id, id) on delete cascade,
  constraint design_iterations_org_id_campaign_id_iteration_index_key unique (org_id, campaign_id, iteration_index),
  constraint design_iterations_iteration_index_check check (iteration_index >= 0),
  constraint design_iterations_best_score_this_iter_check check (best_score_this_iter between 0 and 1),
  constraint design_iterations_evaluated_structures_check check (evaluated_structures between 0 and created_structures)
);
comment on table lab_data.design_iterations is
$$Design iterations

One round of a campaign: candidates proposed together. Written by campaign_step, campaign_suggest and campaign_observe only.$$;
comment on column lab_data.design_iterations.owner_id is 'Owner of the campaign.';
comment on column lab_data.design_iterations.iteration_index is '0-based, unique in its campaign.';
comment on column lab_data.design_iterations.created_structures is 'Candidates proposed in it.';
comment on column lab_data.design_iterations.evaluated_structures is 'Candidates whose evaluation ended, well or not.';
comment on column lab_data.design_iterations.metrics is
  'scores, mean_score, best_so_far, improvement, hits (score 1), diversity, acquisition (natural logarithms), wall_ms.';
comment on column lab_data.design_iterations.completed_at is 'When its last candidate was evaluated; null while some are pending.';

-- campaign_candidates -------------------------------------------------------

create table lab_data.campaign_candidates (
  id             uuid        not null default labos.uuid_v7(),
  org_id         uuid        not null default labos.org_id(),
  owner_id       uuid        not null,
  campaign_id    uuid        not null,
  iteration_id   uuid        not null,
  slot           integer     not null,
  candidate_hash text        not null,
  dataset_row_id uuid,
  formula        labos.formula,
  parameters     jsonb       not null default '{}',
  predicted      jsonb,
  acquisition    float8,
  reason         jsonb       not null,
  state          lab_data.candidate_state not null default 'suggested',
  evaluator      text        not null,
  measured       jsonb,
  uncertainty    jsonb,
  score          float8,
  score_parts    jsonb,
  error          text,
  suggested_to   uuid,
  evaluated_at   timestamptz,
  version        integer     not null default 1,
  created_at     timestamptz not null default now(),
  created_by     uuid,
  updated_at     timestamptz not null default now(),
  updated_by     uuid,
  constraint campaign_candidates_pkey primary key (id, org_id),
  constraint campaign_candidate_campaign foreign key (org_id, campaign_id)
    references lab_data.design_campaigns (org_id, id) on delete cascade,
  constraint campaign_candidate_iteration foreign key (iteration_id, org_id)
    references lab_data.design_iterations (id, org_id) on delete cascade,
  constraint campaign_candidate_dataset_row foreign key (dataset_row_id, org_id)
    references lab_data.dataset_rows (id, org_id) on delete no action,
  -- Nothing is suggested twice, whoever asks.
  constraint campaign_candidates_org_id_campaign_id_candidate_hash_key unique (org_id, campaign_id, candidate_hash),
  -- A campaign's candidates in the order they were proposed.
  constraint campaign_candidates_org_id_campaign_id_slot_key unique (org_id, campaign_id, slot),
  constraint campaign_candidates_slot_check check (slot >= 0),
  constraint campaign_candidates_candidate_hash_check check (candidate_hash ~ '^[0-9a-f]{64}$'),
  constraint campaign_candidates_parameters_check check (jsonb_typeof(parameters) = 'object'),
  constraint campaign_candidates_evaluator_check check (evaluator in ('dataset', 'external')),
  constraint campaign_candidates_measured_check check (jsonb_typeof(measured) = 'object' and pg_column_size(measured) <= 65536),
  constraint campaign_candidates_uncertainty_check check (jsonb_typeof(uncertainty) = 'object' and pg_column_size(uncertainty) <= 65536),
  constraint campaign_candidates_score_check check (score between 0 and 1),
  constraint campaign_candidates_state_check check ((state = 'evaluated') = (score is not null)),
  constraint campaign_candidates_error_check check (length(error) <= 2000)
);
-- The candidates of one iteration; foreign keys.
create index campaign_candidates_org_id_iteration_id_idx on lab_data.campaign_candidates (org_id, iteration_id);
create index campaign_candidates_org_id_dataset_row_id_idx on lab_data.campaign_candidates (org_id, dataset_row_id);

comment on table lab_data.campaign_candidates is
$$Candidates

One proposed material or point, why it was proposed, and what came out. Written by the rpc/campaign_ calls only.$$;
comment on column lab_data.campaign_candidates.owner_id is 'Owner of the campaign.';
comment on column lab_data.campaign_candidates.slot is '0-based place in the campaign, in order of proposal.';
comment on column lab_data.campaign_candidates.candidate_hash is 'SHA-256 of what it is; unique in its campaign.';
comment on column lab_data.campaign_candidates.predicted is 'Mean and standard deviation of each modelled property; null without a model.';
comment on column lab_data.campaign_candidates.acquisition is 'Natural logarithm of the acquisition value; null without a model.';
comment on column lab_data.campaign_candidates.reason is 'Strategy, rule, probability and the model''s most relevant features.';
comment on column lab_data.campaign_candidates.measured is 'Properties that were measured, in the units of the targets.';
comment on column lab_data.campaign_candidates.uncertainty is 'Standard uncertainties by property, same units.';
comment on column lab_data.campaign_candidates.score is '0 to 1, see labos.score; set when evaluated.';
comment on column lab_data.campaign_candidates.score_parts is 'Value, weight and desirability of each target property.';
comment on column lab_data.campaign_candidates.suggested_to is 'Who asked for it.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/005_base.sql', 'r', 12, 'core', $labos_file$/*
 * Room: base
 *
 * What every later room may call while its functions are created: grants on
 * the schemas and the domains that PostgREST serves as media types.
 */

grant usage on schema lab to lab_anon, lab_user, lab_guest, lab_authenticator, lab_auditor;
grant usage on schema lab_data to lab_user, lab_guest, lab_auditor;
comment on schema lab is
$$labos

A laboratory's backend: identity, organisations, samples, instruments, runs, results, simulations, design campaigns and their audit trail. Sign in with rpc/auth_login.$$;
comment on schema lab_data is 'The tables behind schema lab, with forced row security.';
comment on schema lab_private is 'Secrets, tokens, queues and state of labos; granted to no client.';
-- Nothing is executable by everybody unless a file says so.
alter default privileges for role lab_owner revoke execute on functions from public;

do $do$
declare
  v_type text;
begin
  foreach v_type in array array['image/svg+xml', 'text/html', 'text/csv'] loop
    if to_regtype(format('lab.%I', v_type)) is null then
      execute format('create domain lab.%I as text', v_type);
    end if;
  end loop;
end
$do$;
comment on domain lab."image/svg+xml" is 'An SVG picture: PostgREST serves it for Accept: image/svg+xml.';
comment on domain lab."text/html" is 'An HTML page: PostgREST serves it for Accept: text/html.';
comment on domain lab."text/csv" is 'A CSV text: PostgREST serves it for Accept: text/csv.';
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/010_tenancy.sql', 'r', 13, 'core', $labos_file$/*
 * Room: tenancy (repeatable half)
 *
 * Row security, triggers and views of the tenancy tables, and the one query
 * that tells C who the caller is: lab_private.identity_load().
 *
 * No write policies but the organisation's own settings: people, roles and
 * rights change by the calls of the identity room.
 */

-- who is calling --------------------------------------------------------------

-- Bound when they are created, and without a search path of their own: both are inlined into one plan.
create or replace function lab_private.session_ends_at(session uuid, owner uuid) returns timestamptz
  language sql stable
begin atomic
  select s.expires_at from lab_data.user_sessions s
  where s.id = session_ends_at.session and s.user_id = session_ends_at.owner and s.revoked_at is null;
end;
comment on function lab_private.session_ends_at(uuid, uuid) is 'When a live session of this user ends; null when it has been revoked or is not theirs.';

create or replace function lab_private.identity_load(
  source text, claimed_user uuid, claimed_org uuid, claimed_session uuid, issued_at timestamptz, login name)
  returns table (user_id uuid, org_id uuid, session_id uuid, is_superuser boolean,
                 permissions text[], roles text[], reload_at timestamptz)
  language sql stable
begin atomic
  with recursive
  asked as (
    -- A token counts with its session only; a database login needs none.
    select l.user_id, l.org_id, null::uuid as session_id, null::timestamptz as session_ends
    from lab_private.db_logins l
    where identity_load.source = 'login' and l.rolname = identity_load.login
    union all
    select identity_load.claimed_user, identity_load.claimed_org, identity_load.claimed_session, s.ends
    from lab_private.session_ends_at(identity_load.claimed_session, identity_load.claimed_user) s(ends)
    where identity_load.source in ('token', 'gateway') and s.ends > statement_timestamp()
  ),
  caller as (
    select a.user_id, m.org_id, a.session_id, u.is_superuser, a.session_ends
    from asked a
    join lab_data.users u on u.id = a.user_id
    join lab_data.memberships m on m.user_id = a.user_id and m.org_id = a.org_id
    join lab_data.organizations o on o.id = m.org_id
    where u.is_active and u.deleted_at is null
      -- Tokens carry whole seconds: one issued in the second of the change is younger than it.
      and (u.tokens_valid_after is null or identity_load.source = 'login'
           or identity_load.issued_at >= date_trunc('second', u.tokens_valid_after))
      and m.left_at is null
      and o.is_active and o.deleted_at is null
  ),
  held as (
    select r.id, r.name, r.parent_id, ur.expires_at
    from caller c
    join lab_data.user_roles ur on ur.org_id = c.org_id and ur.user_id = c.user_id
    join lab_data.roles r on r.id = ur.role_id and r.deleted_at is null
    where ur.expires_at is null or ur.expires_at > statement_timestamp()
  ),
  effective (id, name, parent_id) as (
    select h.id, h.name, h.parent_id from held h
    union
    select p.id, p.name, p.parent_id
    from effective e join lab_data.roles p on p.id = e.parent_id and p.deleted_at is null
  )
  select c.user_id, c.org_id, c.session_id, c.is_superuser,
    -- Sorted by bytes: C searches by strcmp.
    array(select distinct rp.permission::text collate "C"
          from effective e join lab_data.role_permissions rp on rp.role_id = e.id order by 1),
    array(select distinct e.name collate "C" from effective e order by 1),
    least(c.session_ends, (select min(h.expires_at) from held h))
  from caller c;
end;
comment on function lab_private.identity_load(text, uuid, uuid, uuid, timestamptz, name) is
  'The caller as C sees them: one row if the user, membership, organisation and session are live, else none. reload_at: when time alone changes the answer.';

create or replace function lab_private.org_members(org uuid) returns uuid[]
  language sql stable
  set search_path to pg_catalog, pg_temp
begin atomic
  select coalesce(array_agg(m.user_id order by m.user_id), '{}') from lab_data.memberships m where m.org_id = org_members.org;
end;
comment on function lab_private.org_members(uuid) is 'Everybody who is or was a member, sorted: labos.user_for() searches it.';

-- shared trigger functions --------------------------------------------------------

create or replace function lab_private.tg__soft_delete() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
-- Arguments: permission, and the owner column of an owner-scoped table.
declare
  v_org   uuid := labos.require_org_for(TG_ARGV[0]);
  v_owner text := case when TG_NARGS > 1 then format(' and %1$I = labos.owner_for(%2$L, %1$I)', TG_ARGV[1], TG_ARGV[0] || '_any') else '' end;
  v_done  bigint;
begin
  execute format('update lab_data.%I set deleted_at = now(), deleted_by = labos.user_id() where org_id = $1 and id = $2 and deleted_at is null%s',
                 TG_TABLE_NAME, v_owner) using v_org, OLD.id;
  get diagnostics v_done = row_count;
  return case when v_done > 0 then OLD end;
end
$$;
comment on function lab_private.tg__soft_delete() is 'Instead of delete on a public view: marks the row deleted. Arguments: permission, owner column.';
revoke all on function lab_private.tg__soft_delete() from public;

create or replace function lab_private.tg_roles__no_cycle() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_parent lab_data.roles;
begin
  if NEW.parent_id is null then
    return NEW;
  end if;
  -- Two changes that close a circle together wait for each other here.
  perform pg_advisory_xact_lock(hashtextextended('labos.roles', 0));
  select r.* into v_parent from lab_data.roles r where r.id = NEW.parent_id and r.deleted_at is null;
  if not found or (v_parent.org_id is not null and v_parent.org_id is distinct from NEW.org_id) then
    raise exception 'parent role not found' using errcode = 'PT422',
      detail = json_build_object('code', 'role_parent_not_found', 'parent_id', NEW.parent_id)::text,
      hint = 'A parent is a system role or one of the same organisation.';
  end if;
  if exists (
    with recursive up (id, parent_id) as (
      select v_parent.id, v_parent.parent_id
      union
      select r.id, r.parent_id from up join lab_data.roles r on r.id = up.parent_id)
    select from up where up.id = NEW.id)
  then
    raise exception 'a role cannot inherit from itself' using errcode = 'PT422',
      detail = json_build_object('code', 'role_cycle', 'role', NEW.name, 'parent', v_parent.name)::text,
      hint = 'Choose a parent that does not inherit from this role.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_roles__no_cycle() is 'Before insert or update of a role: its parent exists here and no circle closes.';

create or replace function lab_private.tg_organizations__settings() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_key text;
  v_min integer;
  v_max integer;
begin
  for v_key, v_min, v_max in values ('access_token_minutes', 1, 60), ('refresh_token_days', 1, 90) loop
    if not NEW.settings ? v_key then
      continue;
    end if;
    if jsonb_typeof(NEW.settings -> v_key) <> 'number'
       or (NEW.settings -> v_key)::numeric not between v_min and v_max
       or (NEW.settings -> v_key)::numeric <> trunc((NEW.settings -> v_key)::numeric)
    then
      raise exception 'setting % must be a whole number from % to %', v_key, v_min, v_max using errcode = 'PT422',
        detail = json_build_object('code', 'invalid_setting', 'setting', v_key, 'min', v_min, 'max', v_max)::text,
        hint = 'Correct the value or leave the setting out for its default.';
    end if;
  end loop;
  return NEW;
end
$$;
comment on function lab_private.tg_organizations__settings() is 'Before a change of organisation settings: the values that labos reads are in range.';

create or replace function lab_private.tg_users__normalise() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  NEW.email := lower(normalize(btrim(NEW.email::text), NFC));
  NEW.full_name := coalesce(nullif(btrim(NEW.full_name), ''), nullif(btrim(concat_ws(' ', NEW.first_name, NEW.last_name)), ''));
  return NEW;
end
$$;
comment on function lab_private.tg_users__normalise() is 'Before insert or update of a user: full_name from its parts when absent.';

-- triggers ---------------------------------------------------------------------

create or replace trigger _100_stamp before insert or update on lab_data.organizations for each row execute function labos.tg__stamp();
create or replace trigger _300_settings before insert or update of settings on lab_data.organizations
  for each row execute function lab_private.tg_organizations__settings();
create or replace trigger _090_normalise before insert or update of email, full_name, first_name, last_name on lab_data.users
  for each row execute function lab_private.tg_users__normalise();
-- Sign-ins count and date without making a new version.
create or replace trigger _100_stamp before insert or update of email, username, first_name, last_name, full_name, is_active, is_verified,
    is_superuser, mfa_enabled, tokens_valid_after, preferences, version, created_at, created_by, updated_at, updated_by, deleted_at
  on lab_data.users for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert or update on lab_data.memberships for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert or update on lab_data.roles for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert or update on lab_data.role_permissions for each row execute function labos.tg__stamp();
create or replace trigger _300_no_cycle before insert or update of parent_id, org_id on lab_data.roles
  for each row execute function lab_private.tg_roles__no_cycle();

-- Rights that change take effect on the next statement of every session.
create or replace trigger _500_rights after insert or update or delete or truncate on lab_data.memberships for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after insert or update or delete or truncate on lab_data.roles for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after insert or update or delete or truncate on lab_data.role_permissions for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after insert or update or delete or truncate on lab_data.user_roles for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after insert or update or delete or truncate on lab_private.db_logins for each statement execute function labos.tg__rbac_changed();
-- Not for every sign-in, which only counts and dates.
create or replace trigger _500_rights after update of is_active, is_superuser, tokens_valid_after, deleted_at on lab_data.users
  for each statement execute function labos.tg__rbac_changed();
create or replace trigger _500_rights after update of is_active, deleted_at on lab_data.organizations
  for each statement execute function labos.tg__rbac_changed();

-- row security -------------------------------------------------------------------

-- Global tables have no org_id, or one that is null for what all share: their policies are
-- written out. The comparison stays a scalar equality with what C answers.
do $do$
declare
  v_policy record;
begin
  for v_policy in
    select t.name::regclass as name, t.for_select, t.for_update from (values
      ('lab_data.organizations',    $p$id = labos.org_for('organization:read')$p$, $p$id = labos.org_for('organization:update')$p$),
      ('lab_data.users',            $p$id = labos.user_for('user:read', id)$p$, null),
      ('lab_data.permissions',      $p$labos.has_permission('role:read')$p$, null),
      ('lab_data.roles',            $p$coalesce(org_id, labos.org_for('role:read')) = labos.org_for('role:read')$p$, null),
      ('lab_data.role_permissions', $p$coalesce(org_id, labos.org_for('role:read')) = labos.org_for('role:read')$p$, null),
      ('lab_private.rbac_epoch', null, null),
      ('lab_private.db_logins', null, null),
      ('lab_private.deployment', null, null),
      ('lab_private.migration', null, null),
      ('lab_private.repeatable', null, null)) t(name, for_select, for_update)
  loop
    execute format('alter table %s enable row level security', v_policy.name);
    execute format('alter table %s force row level security', v_policy.name);
    execute format('drop policy if exists owner_all on %s', v_policy.name);
    execute format('create policy owner_all on %s for all to lab_owner using (true) with check (true)', v_policy.name);
    execute format('drop policy if exists select_own_org on %s', v_policy.name);
    if v_policy.for_select is not null then
      execute format('create policy select_own_org on %s for select to lab_user using (%s)', v_policy.name, v_policy.for_select);
    end if;
    execute format('drop policy if exists update_own_org on %s', v_policy.name);
    if v_policy.for_update is not null then
      execute format('create policy update_own_org on %s for update to lab_user using (%2$s) with check (%2$s)', v_policy.name, v_policy.for_update);
    end if;
  end loop;
end
$do$;
call labos.protect('lab_data.memberships', 'user', verbs => '{select}');
call labos.protect('lab_data.user_roles', 'role', verbs => '{select}');

-- public views ---------------------------------------------------------------------

call labos.expose('organizations', update_columns => '{name,org_type,settings,version}');
call labos.expose('users', hidden_columns => '{failed_login_attempts,tokens_valid_after,last_login_ip}');
call labos.expose('memberships');
call labos.expose('permissions');
call labos.expose('roles');
call labos.expose('role_permissions');
call labos.expose('user_roles');

-- audit ------------------------------------------------------------------------------

call labos.audit_enable('lab_data.organizations', policy => '{"org": "id"}');
-- What every sign-in touches stands in the access log.
call labos.audit_enable('lab_data.users', policy => '{"ignore": ["last_login_at", "last_login_ip", "failed_login_attempts"]}');
call labos.audit_enable('lab_data.memberships');
call labos.audit_enable('lab_data.permissions');
call labos.audit_enable('lab_data.roles');
call labos.audit_enable('lab_data.role_permissions');
call labos.audit_enable('lab_data.user_roles');

-- database logins --------------------------------------------------------------------

create or replace function lab_private.db_login_map(login name, email text, org_slug text) returns void
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := (select u.id from lab_data.users u where u.email = lower(db_login_map.email) and u.deleted_at is null);
  v_org  uuid := (select o.id from lab_data.organizations o where o.slug = db_login_map.org_slug and o.deleted_at is null);
begin
  if not exists (select from pg_roles r where r.rolname = login and r.rolcanlogin) then
    raise exception 'login role "%" does not exist', login using errcode = '42704',
      hint = format('CREATE ROLE %I LOGIN PASSWORD ...; GRANT lab_user TO %I;', login, login);
  end if;
  if v_user is null or v_org is null
     or not exists (select from lab_data.memberships m where m.org_id = v_org and m.user_id = v_user and m.left_at is null) then
    raise exception '% is not a member of %', email, org_slug using errcode = '22023';
  end if;
  insert into lab_private.db_logins (rolname, user_id, org_id) values (login, v_user, v_org)
  on conflict on constraint db_logins_pkey do update set user_id = excluded.user_id, org_id = excluded.org_id;
end
$$;
comment on function lab_private.db_login_map(name, text, text) is
  'Lets a personal database login act as a member: select lab_private.db_login_map(''jane'', ''jane@lab.org'', ''my-lab''). For lab_owner and superusers.';
revoke all on function lab_private.db_login_map(name, text, text) from public;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/015_roles.sql', 'r', 14, 'core', $labos_file$/*
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
  ('role:read',              '{viewer,member}', 'See roles, permissions and assignments'),
  ('role:create',            '{admin}',      'Create roles'),
  ('role:update',            '{admin}',      'Change roles'),
  ('role:delete',            '{admin}',      'Delete roles'),
  ('role:assign',            '{admin}',      'Give and take roles'),
  ('session:read',           '{viewer,member}', 'See one''s own sessions'),
  ('session:read_any',       '{admin}',      'See everybody''s sessions'),
  ('session:delete_any',     '{admin}',      'End anybody''s session'),
  ('access_log:read',        '{admin}',      'Read the access log'),
  -- audit
  ('audit:read',             '{technician}', 'Read the history of records'),
  ('audit:verify',           '{manager}',    'Seal and verify the audit trail'),
  -- laboratory
  ('project:read',           '{viewer,service}', 'See projects'),
  ('project:create',         '{manager}',    'Create projects'),
  ('project:update',         '{manager}',    'Change projects'),
  ('project:delete',         '{manager}',    'Delete projects'),
  ('project:restore',        '{manager}',    'Restore deleted projects'),
  ('project:manage',         '{manager}',    'Add and remove project members'),
  ('location:read',          '{viewer}',     'See locations'),
  ('location:create',        '{technician}', 'Create locations'),
  ('location:update',        '{technician}', 'Change locations'),
  ('location:delete',        '{manager}',    'Delete locations'),
  ('location:restore',       '{manager}',    'Restore deleted locations'),
  ('sample:read',            '{viewer}',     'See samples'),
  ('sample:create',          '{scientist}',  'Register samples'),
  ('sample:update',          '{scientist}',  'Change samples'),
  ('sample:transfer',        '{technician}', 'Move and hand over samples'),
  ('sample:transfer_any',    '{manager}',    'Hand over samples of others'),
  ('sample:delete',          '{manager}',    'Delete samples'),
  ('sample:restore',         '{manager}',    'See and restore deleted samples'),
  ('sample_history:read',    '{viewer}',     'See the chain of custody'),
  ('instrument:read',        '{viewer}',     'See instruments'),
  ('instrument:create',      '{manager}',    'Register instruments'),
  ('instrument:update',      '{manager}',    'Change instruments'),
  ('instrument:delete',      '{manager}',    'Retire instruments'),
  ('instrument:restore',     '{manager}',    'Restore deleted instruments'),
  ('calibration:read',       '{viewer}',     'See calibrations'),
  ('calibration:create',     '{technician}', 'Record calibrations, run calibration runs'),
  ('calibration:update',     '{technician}', 'Correct calibrations that are not approved'),
  ('calibration:approve',    '{manager}',    'Approve calibrations'),
  ('calibration:override',   '{manager}',    'Run on an uncalibrated instrument, with a reason'),
  ('calibration:delete',     '{manager}',    'Delete calibrations'),
  ('calibration:restore',    '{manager}',    'Restore deleted calibrations'),
  ('run:read',               '{viewer}',     'See runs'),
  ('run:create',             '{scientist,service}', 'Create runs'),
  ('run:update',             '{technician,service}', 'Change runs'),
  ('run:execute',            '{technician,service}', 'Start, finish and fail runs'),
  ('run:cancel',             '{scientist}',  'Cancel runs'),
  ('run:delete',             '{manager}',    'Delete runs'),
  ('run:restore',            '{manager}',    'Restore deleted runs'),
  ('result:read',            '{viewer}',     'See results'),
  ('result:create',          '{technician,service}', 'Record and import results'),
  ('result:update',          '{scientist}',  'Correct results that are not approved'),
  ('result:review',          '{scientist}',  'Review results'),
  ('result:approve',         '{manager}',    'Approve results'),
  ('result:delete',          '{manager}',    'Delete results'),
  ('result:restore',         '{manager}',    'Restore deleted results'),
  -- discovery
  ('material:read',          '{viewer}',     'See one''s own and shared materials and data sets'),
  ('material:create',        '{scientist}',  'Create materials and import data sets'),
  ('material:update',        '{scientist}',  'Change materials'),
  ('material:delete',        '{scientist}',  'Delete materials'),
  ('material:restore',       '{manager}',    'Restore deleted materials'),
  ('material:read_any',      '{viewer}',     'See everybody''s materials'),
  ('material:update_any',    '{manager}',    'Change everybody''s materials'),
  ('material:delete_any',    '{manager}',    'Delete everybody''s materials'),
  ('simulation:read',        '{viewer}',     'See one''s own simulation jobs'),
  ('simulation:create',      '{scientist}',  'Create simulation jobs'),
  ('simulation:update',      '{scientist}',  'Change simulation jobs'),
  ('simulation:run',         '{scientist,service}', 'Submit, run, cancel and retry simulation jobs'),
  ('simulation:delete',      '{scientist}',  'Delete simulation jobs'),
  ('simulation:restore',     '{manager}',    'Restore deleted simulation jobs'),
  ('simulation:read_any',    '{manager}',    'See everybody''s simulation jobs'),
  ('simulation:update_any',  '{manager}',    'Change everybody''s simulation jobs'),
  ('simulation:delete_any',  '{manager}',    'Delete everybody''s simulation jobs'),
  ('campaign:read',          '{viewer}',     'See one''s own campaigns'),
  ('campaign:create',        '{scientist}',  'Create campaigns'),
  ('campaign:update',        '{scientist}',  'Change campaigns'),
  ('campaign:run',           '{scientist,service}', 'Start, step, pause, resume and cancel campaigns'),
  ('campaign:delete',        '{scientist}',  'Delete campaigns'),
  ('campaign:restore',       '{manager}',    'Restore deleted campaigns'),
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
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/016_restore.sql', 'r', 15, 'core', $labos_file$/*
 * Room: restore
 *
 * What was deleted is marked, not gone: holders of <resource>:restore list it
 * and bring it back. Which tables, and whose right, is read from the views'
 * own soft-delete triggers: nothing is listed twice.
 *
 * Holds    trash(), restore()
 * Needs    tenancy (tg__soft_delete)
 */

create or replace function lab_private.deletable(kind text, out "table" name, out resource text)
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select c.relname, split_part(encode(t.tgargs, 'escape'), ':', 1)
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid and c.relnamespace = 'lab'::regnamespace
  where t.tgname = '_100_soft_delete' and c.relname in (deletable.kind, deletable.kind || 's')
$$;
comment on function lab_private.deletable(text) is 'The table that soft-deletes records of this kind (sample or samples), and the resource of its permissions.';

create or replace function lab_private.restore_permission(kind text) returns text
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_resource text := (select d.resource from lab_private.deletable(kind) d);
begin
  if v_resource is null then
    raise exception 'nothing of this kind can be restored' using errcode = 'PT400',
      detail = json_build_object('code', 'unknown_kind', 'kind', left(kind, 80))::text,
      hint = 'A kind is a table of the API that can be deleted from, for instance sample.';
  end if;
  return v_resource || ':restore';
end
$$;
comment on function lab_private.restore_permission(text) is 'The permission that restoring records of this kind needs; PT400 unknown_kind.';

create or replace function lab.trash(kind text, max_rows integer default 100, before timestamptz default null)
  returns table (id uuid, deleted_at timestamptz, deleted_by uuid, record jsonb)
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for(lab_private.restore_permission(kind));
  v_table name := (select d."table" from lab_private.deletable(kind) d);
begin
  for trash.id, trash.deleted_at, trash.deleted_by, trash.record in execute format(
    'select t.id, t.deleted_at, t.deleted_by, to_jsonb(t) - ''{deleted_at,deleted_by}''::text[]
     from lab_data.%I t
     where t.org_id = $1 and t.deleted_at is not null and ($2 is null or t.deleted_at < $2)
     order by t.deleted_at desc, t.id desc limit $3', v_table)
    using v_org, trash.before, least(greatest(coalesce(max_rows, 100), 0), 1000)
  loop
    return next;
  end loop;
end
$$;
comment on function lab.trash(text, integer, timestamptz) is
$$Deleted records of a kind

The latest first; for holders of <resource>:restore. kind is sample, run, project, ...; max_rows up to 1,000; before pages. Errors: 400 unknown_kind, 401, 403.$$;
revoke all on function lab.trash(text, integer, timestamptz) from public;
grant execute on function lab.trash(text, integer, timestamptz) to lab_user;

create or replace function lab.restore(kind text, id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for(lab_private.restore_permission(kind));
  v_table  name := (select d."table" from lab_private.deletable(kind) d);
  v_record jsonb;
begin
  execute format(
    'update lab_data.%I t set deleted_at = null, deleted_by = null
     where t.org_id = $1 and t.id = $2 and t.deleted_at is not null
     returning to_jsonb(t) - ''{deleted_at,deleted_by}''::text[]', v_table)
    into v_record using v_org, restore.id;
  if v_record is null then
    raise exception 'no deleted record with this id' using errcode = 'PT404',
      detail = json_build_object('code', 'record_not_found', 'kind', kind, 'id', restore.id)::text,
      hint = 'rpc/trash lists what can be restored.';
  end if;
  return v_record;
end
$$;
comment on function lab.restore(text, uuid) is
$$Restore a deleted record

Brings a deleted record back and returns it; for holders of <resource>:restore. Errors: 400 unknown_kind, 401, 403, 404 record_not_found, 409 when its code, barcode or place has been taken meanwhile.$$;
revoke all on function lab.restore(text, uuid) from public;
grant execute on function lab.restore(text, uuid) to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/020_identity.sql', 'r', 16, 'core', $labos_file$/*
 * Room: identity, ground floor
 *
 * What every call of this room stands on: the request it came with, the answer
 * it gives, the access log, the settings, and the rules for the two tables that
 * clients may read.
 *
 * Holds    require_writable, client_ip, client_user_agent, problem, access_log,
 *          token_lifetimes, member_permissions, member_roles, require_superuser
 * Needs    tenancy; C identity (user_id, org_id, session_id, request_id)
 * Used by  021 to 026
 *
 * Functions of lab_private run with the rights of the call that uses them and
 * are executable by lab_owner only.
 */

-- private tables -------------------------------------------------------------

-- Forced row security here too: what is forgotten denies.
do $do$
declare
  v_table text;
begin
  foreach v_table in array array['identity_settings', 'credentials', 'login_guard', 'refresh_tokens', 'signing_keys'] loop
    execute format('alter table lab_private.%I enable row level security', v_table);
    execute format('alter table lab_private.%I force row level security', v_table);
    execute format('drop policy if exists owner_all on lab_private.%I', v_table);
    execute format('create policy owner_all on lab_private.%I for all to lab_owner using (true) with check (true)', v_table);
  end loop;
end
$do$;

-- login_guard ---------------------------------------------------------------

create or replace function lab_private.tg_users__login_guard() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  insert into lab_private.login_guard (user_id, failed, locked_until)
  values (new.id, new.failed_login_attempts, coalesce(new.locked_until, '-infinity'))
  on conflict on constraint login_guard_pkey do nothing;
  if TG_OP = 'UPDATE' then
    perform labos.login_guard_set(new.id, new.failed_login_attempts, new.locked_until);
  end if;
  return null;
end
$$;
comment on function lab_private.tg_users__login_guard() is 'Gives each user a row in login_guard, and carries over what is set in users by hand, on success or by user_unlock.';
create or replace trigger _520_login_guard after insert on lab_data.users
  for each row execute function lab_private.tg_users__login_guard();
-- Also where nothing changes: users may not know of attempts that were rolled back.
create or replace trigger _521_login_guard after update of failed_login_attempts, locked_until on lab_data.users
  for each row execute function lab_private.tg_users__login_guard();
insert into lab_private.login_guard (user_id, failed, locked_until)
select u.id, u.failed_login_attempts, coalesce(u.locked_until, '-infinity') from lab_data.users u
on conflict on constraint login_guard_pkey do nothing;

-- the request ---------------------------------------------------------------

create or replace function lab_private.require_writable() returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if current_setting('request.method', true) in ('GET', 'HEAD') then
    raise exception 'this call must be a POST request' using errcode = 'PT405',
      detail = json_build_object('code', 'post_required')::text,
      hint = 'Send the arguments as a JSON body: in an address they would end up in logs.';
  elsif pg_is_in_recovery() then
    raise exception 'this server is a read-only standby' using errcode = 'PT503',
      detail = json_build_object('code', 'standby')::text,
      hint = 'Send the call to the primary server.';
  elsif current_setting('transaction_read_only') = 'on' then
    raise exception 'this call cannot run in a read-only transaction' using errcode = 'PT405',
      detail = json_build_object('code', 'read_only_transaction')::text,
      hint = 'Begin the transaction READ WRITE: the attempt must be recorded.';
  end if;
end
$$;
comment on function lab_private.require_writable() is
  'Refuses GET, read-only transactions and standbys: an attempt that cannot be recorded is not made (P30).';

create or replace function lab_private.require_whole_answer() returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  -- What PostgREST 12 does with the answer stands at the end of its statement; null for any other client.
  if substring(current_query() from 'AS response_inserted FROM (.*)$')
       !~ '^\(SELECT "[a-z_]+"\.\* FROM "pgrst_source" AS "[a-z_]+" *(LIMIT \$[0-9]+ OFFSET \$[0-9]+)?\s*\) _postgrest_t\s*$' then
    raise exception 'the answer of this call can be had as a whole only' using errcode = 'PT400',
      detail = json_build_object('code', 'partial_answer')::text,
      hint = 'Leave out select, order and filters.';
  end if;
end
$$;
comment on function lab_private.require_whole_answer() is
  'Refuses select, casts and filters on an answer that carries tokens: an answer made to fail would be read in the error, and all record of it rolled back (P23, P29).';

create or replace function lab_private.client_user_agent() returns text
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select left(labos.request_header('user-agent'), 512)
$$;
comment on function lab_private.client_user_agent() is 'User-Agent of the request, at most 512 characters.';

create or replace function lab_private.client_ip() returns inet
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_proxies integer := (select s.trusted_proxies from lab_private.identity_settings s);
  v_chain   text[];
begin
  if v_proxies > 0 then
    v_chain := string_to_array(replace(labos.request_header('x-forwarded-for'), ' ', ''), ',');
    if cardinality(v_chain) >= v_proxies then
      return v_chain[cardinality(v_chain) - v_proxies + 1]::inet;
    end if;
  end if;
  return inet_client_addr();
exception when invalid_text_representation then
  return inet_client_addr();
end
$$;
comment on function lab_private.client_ip() is
  'Address of the client: the entry of X-Forwarded-For that the outermost trusted proxy wrote, else the peer of the connection (P55).';

-- the answer ----------------------------------------------------------------

create or replace function lab_private.respond(status integer, headers jsonb default '[]') returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform set_config('response.status', status::text, true),
          set_config('response.headers',
            ('[{"Cache-Control": "no-store"}, {"Pragma": "no-cache"}]'::jsonb || headers)::text, true);
end
$$;
comment on function lab_private.respond(integer, jsonb) is 'Status and headers of the HTTP answer; what carries tokens is never cached.';

create or replace function lab_private.problem(status integer, code text, message text, hint text default null) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.respond(problem.status,
    case problem.status when 401 then '[{"WWW-Authenticate": "Bearer"}]'::jsonb else '[]'::jsonb end);
  return jsonb_strip_nulls(jsonb_build_object('code', problem.code, 'message', problem.message, 'hint', problem.hint));
end
$$;
comment on function lab_private.problem(integer, text, text, text) is
  'A refusal that commits: the status goes to PostgREST, the body is returned. Used where raising would undo the record (P31).';

-- access_logs ---------------------------------------------------------------

create or replace function lab_private.access_log(
  event text, outcome text, org_id uuid, user_id uuid, session_id uuid default null, detail jsonb default '{}') returns void
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  insert into lab_data.access_logs (org_id, user_id, session_id, event, outcome, ip, user_agent, request_id, detail)
  values (coalesce(access_log.org_id, '00000000-0000-0000-0000-000000000000'), access_log.user_id, access_log.session_id,
          access_log.event, access_log.outcome, lab_private.client_ip(), lab_private.client_user_agent(),
          left(labos.request_id(), 200), coalesce(access_log.detail, '{}'))
$$;
comment on function lab_private.access_log(text, text, uuid, uuid, uuid, jsonb) is 'Adds a row to the access log, with address, user agent and request id of this request.';

create or replace function lab_private.tg_access_logs__append_only() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  raise exception 'the access log is append-only' using errcode = 'PT403',
    detail = json_build_object('code', 'append_only', 'operation', lower(TG_OP))::text;
end
$$;
comment on function lab_private.tg_access_logs__append_only() is 'Refuses every change of a written row, also by the owner.';
create or replace trigger _300_append_only before update or delete or truncate on lab_data.access_logs
  for each statement execute function lab_private.tg_access_logs__append_only();

-- select only: rows are written by the calls themselves.
call labos.protect('lab_data.access_logs', 'access_log', verbs => '{select}');
call labos.expose('access_logs');
-- Sealed in the tree (P68). Its copy belongs to no organisation: who may read a record's history may not read who signed in from where.
call labos.audit_enable('lab_data.access_logs', policy => '{"org": "id"}');

-- user_sessions -------------------------------------------------------------

-- One's own sessions; session:read_any sees those of the organisation. No other verb: auth_session_end ends one.
call labos.protect('lab_data.user_sessions', 'session', verbs => '{select}', owner => 'user_id');
call labos.expose('user_sessions');

-- A revoked session ends its tokens with the next statement of every connection.
create or replace trigger _510_rbac_changed after update on lab_data.user_sessions
  for each row when (old.revoked_at is distinct from new.revoked_at or new.expires_at < old.expires_at
                     or (old.id, old.user_id) is distinct from (new.id, new.user_id))
  execute function labos.tg__rbac_changed();
create or replace trigger _511_rbac_changed after delete on lab_data.user_sessions
  for each row execute function labos.tg__rbac_changed();
create or replace trigger _512_rbac_changed after truncate on lab_data.user_sessions
  for each statement execute function labos.tg__rbac_changed();

-- lifetimes of an organisation -----------------------------------------------

create or replace function lab_private.token_lifetimes(
  org_id uuid, out access_seconds integer, out refresh_seconds integer, out session_seconds integer)
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce((o.settings ->> 'access_token_minutes')::integer, 15) * 60,
         coalesce((o.settings ->> 'refresh_token_days')::integer, 7) * 86400,
         i.session_days * 86400
  from lab_data.organizations o, lab_private.identity_settings i
  where o.id = token_lifetimes.org_id
$$;
comment on function lab_private.token_lifetimes(uuid) is
  'Seconds that an access token (15 minutes), a refresh token (7 days) and a session as a whole (30 days) live in an organisation.';

-- what a member may do -------------------------------------------------------

create or replace function lab_private.role_closure(roles uuid[]) returns setof uuid
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  with recursive closure (id) as (
    select r.id from lab_data.roles r where r.id = any (role_closure.roles) and r.deleted_at is null
    union
    select p.id from closure c
    join lab_data.roles r on r.id = c.id
    join lab_data.roles p on p.id = r.parent_id and p.deleted_at is null)
  select c.id from closure c
$$;
comment on function lab_private.role_closure(uuid[]) is 'These roles and all from which they inherit.';

create or replace function lab_private.role_grants(roles uuid[]) returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(distinct p.permission::text order by p.permission::text), '{}')
  from lab_private.role_closure(role_grants.roles) c
  join lab_data.role_permissions p on p.role_id = c
$$;
comment on function lab_private.role_grants(uuid[]) is 'The permissions that these roles give together, inherited ones included.';

create or replace function lab_private.member_role_ids(org_id uuid, user_id uuid) returns uuid[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(r.role_id), '{}')
  from lab_data.user_roles r
  join lab_data.memberships m on m.org_id = r.org_id and m.user_id = r.user_id and m.left_at is null
  where r.org_id = member_role_ids.org_id and r.user_id = member_role_ids.user_id
    and (r.expires_at is null or r.expires_at > clock_timestamp())
$$;
comment on function lab_private.member_role_ids(uuid, uuid) is 'Roles assigned to a member that have not expired.';

create or replace function lab_private.member_roles(org_id uuid, user_id uuid) returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(r.name::text order by r.name::text), '{}')
  from lab_data.roles r
  where r.deleted_at is null and r.id = any (lab_private.member_role_ids(member_roles.org_id, member_roles.user_id))
$$;
comment on function lab_private.member_roles(uuid, uuid) is 'Names of the roles assigned to a member that have not expired.';

create or replace function lab_private.member_permissions(org_id uuid, user_id uuid) returns text[]
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select lab_private.role_grants(lab_private.member_role_ids(member_permissions.org_id, member_permissions.user_id))
$$;
comment on function lab_private.member_permissions(uuid, uuid) is 'What a member may do now, through all roles and their parents.';

create or replace function lab_private.require_superuser() returns uuid
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := labos.require_user();
begin
  if not labos.is_superuser() then
    raise exception 'only a superuser of the installation may do this' using errcode = 'PT403',
      detail = json_build_object('code', 'superuser_required')::text;
  end if;
  return v_user;
end
$$;
comment on function lab_private.require_superuser() is
  'The caller, if a superuser of the installation: PT401 not_authenticated, PT403 superuser_required.';

revoke all on all functions in schema lab_private from public;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/021_tokens.sql', 'r', 17, 'core', $labos_file$/*
 * Room: identity, tokens
 *
 * Signing keys, access tokens, sessions and the rotation of refresh tokens.
 * The permissions in an access token tell the client what to show; what it may
 * do is read from the tables with each transaction.
 *
 * Holds    signing_key_add, signing_key_rotate, signing_key_retire, jwks,
 *          postgrest_config, access_token, session_open, session_alive,
 *          sessions_end, refresh_rotate
 * Needs    020; C identity (jwk_generate, jwt_sign, secret_seal, random_token)
 * Used by  022 to 026
 */

-- signing keys --------------------------------------------------------------

create or replace function lab_private.signing_key_add(alg text, not_before timestamptz) returns text
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_kid text;
  v_key jsonb;
begin
  if signing_key_add.alg is null or signing_key_add.alg not in ('EdDSA', 'ES256', 'HS256') then
    raise exception 'unknown signing algorithm' using errcode = 'PT400',
      detail = json_build_object('code', 'unknown_algorithm', 'alg', left(signing_key_add.alg, 20))::text,
      hint = 'EdDSA (default), ES256 or HS256.';
  end if;
  v_key := labos.jwk_generate(signing_key_add.alg);
  v_kid := v_key ->> 'kid';
  insert into lab_private.signing_keys (kid, alg, sealed_key, public_jwk, not_before, created_by)
  values (v_kid, signing_key_add.alg, labos.secret_seal(convert_to(v_key::text, 'UTF8'), 'signing_key:' || v_kid),
          case when signing_key_add.alg not like 'HS%' then labos.jwk_public(v_key) end,
          signing_key_add.not_before, labos.user_id());
  notify pgrst, 'reload config';
  return v_kid;
end
$$;
comment on function lab_private.signing_key_add(text, timestamptz) is
  'Makes a key, seals its private part and publishes it; the private part is returned by nothing (P36).';

create or replace function lab_private.signing_key_current() returns lab_private.signing_keys
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select k.* from lab_private.signing_keys k
  where k.not_before <= clock_timestamp() and (k.retired_at is null or k.retired_at > clock_timestamp())
  order by k.not_before desc, k.kid
  limit 1
$$;
comment on function lab_private.signing_key_current() is 'The key that signs now: the newest whose time has come.';

create or replace function lab_private.private_jwk(key lab_private.signing_keys) returns jsonb
  language sql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
  select convert_from(labos.secret_open(key.sealed_key, 'signing_key:' || key.kid), 'UTF8')::jsonb
$$;
comment on function lab_private.private_jwk(lab_private.signing_keys) is 'The private key, opened with the master key.';

create or replace function lab_private.token_rules(kid text, out jwk jsonb, out issuer text, out audience text)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  select coalesce(k.public_jwk, lab_private.private_jwk(k)), s.issuer, s.audience into jwk, issuer, audience
  from lab_private.signing_keys k, lab_private.identity_settings s
  where k.kid = token_rules.kid and (k.retired_at is null or k.retired_at > clock_timestamp());
end
$$;
comment on function lab_private.token_rules(text) is
  'How to verify a token that names this key: the key by exact kid (P6), the issuer and the audience; nulls when the key is unknown or retired.';

create or replace function lab.signing_key_rotate(alg text default 'EdDSA') returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user   uuid := lab_private.require_superuser();
  v_lead   integer;
  v_starts timestamptz;
  v_ends   timestamptz;
  v_longest integer;
  v_kid    text;
begin
  perform lab_private.require_writable();
  -- One rotation at a time; the settings row is the lock.
  select s.key_lead_seconds into v_lead from lab_private.identity_settings s for update;
  select coalesce(max((lab_private.token_lifetimes(o.id)).access_seconds), 900) into v_longest from lab_data.organizations o;
  v_starts := clock_timestamp() + make_interval(secs => v_lead);
  -- A last token is signed just before the new key takes over; gateways allow 30 s of skew.
  v_ends := v_starts + make_interval(secs => v_longest + 60);
  v_kid := lab_private.signing_key_add(signing_key_rotate.alg, v_starts);
  update lab_private.signing_keys k set retired_at = v_ends
  where k.kid <> v_kid and (k.retired_at is null or k.retired_at > v_ends);
  perform lab_private.access_log('signing_key_rotate', 'success', labos.org_id(), v_user, labos.session_id(),
    jsonb_build_object('kid', v_kid, 'alg', signing_key_rotate.alg));
  return jsonb_build_object('kid', v_kid, 'alg', signing_key_rotate.alg, 'signs_from', v_starts, 'others_verify_until', v_ends);
end
$$;
comment on function lab.signing_key_rotate(text) is
$$Rotate the signing key

Makes a new key (EdDSA, ES256 or HS256), publishes it at once, signs with it after `key_lead_seconds`, and lets the older keys verify until their last token has expired: no request is refused. PostgREST reloads by itself. Errors: 400 `unknown_algorithm`, 403 `superuser_required`.$$;

create or replace function lab.signing_key_retire(kid text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user   uuid := lab_private.require_superuser();
  v_signed boolean;
begin
  perform lab_private.require_writable();
  perform from lab_private.identity_settings s for update;
  v_signed := (lab_private.signing_key_current()).kid = signing_key_retire.kid;
  update lab_private.signing_keys k set retired_at = clock_timestamp()
  where k.kid = signing_key_retire.kid and (k.retired_at is null or k.retired_at > clock_timestamp());
  if not found then
    raise exception 'signing key not found' using errcode = 'PT404',
      detail = json_build_object('code', 'signing_key_not_found')::text;
  end if;
  -- Somebody must go on signing: a key that is waiting starts at once, else a new one is made.
  if v_signed then
    update lab_private.signing_keys k set not_before = clock_timestamp()
    where k.retired_at is null and k.not_before > clock_timestamp();
  end if;
  if not exists (select from lab_private.signing_keys k where k.retired_at is null) then
    perform lab_private.signing_key_add('EdDSA', clock_timestamp());
  end if;
  notify pgrst, 'reload config';
  perform lab_private.access_log('signing_key_retire', 'success', labos.org_id(), v_user, labos.session_id(),
    jsonb_build_object('kid', signing_key_retire.kid));
  return jsonb_build_object('kid', signing_key_retire.kid, 'signs_now', (lab_private.signing_key_current()).kid);
end
$$;
comment on function lab.signing_key_retire(text) is
$$Withdraw a signing key at once

For a key that may have leaked: its tokens are refused from now on and users refresh or sign in again. If no other key can sign, a new one is made. Errors: 403 `superuser_required`, 404 `signing_key_not_found`.$$;

create or replace function lab.jwks() returns jsonb
  language sql stable security definer
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object('keys', coalesce(jsonb_agg(k.public_jwk order by k.not_before desc, k.kid), '[]'))
  from lab_private.signing_keys k
  where k.public_jwk is not null and (k.retired_at is null or k.retired_at > clock_timestamp())
$$;
comment on function lab.jwks() is
$$Public keys

The keys with which access tokens can be verified, as a JSON Web Key Set (RFC 7517). No sign-in is needed.$$;

create or replace function lab_private.postgrest_config() returns void
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_keys jsonb := lab.jwks() -> 'keys';
  v_kid  text;
begin
  -- A symmetric key has no public part: PostgREST gets the key itself, and nobody else can read this session.
  for v_kid in
    select k.kid from lab_private.signing_keys k
    where k.public_jwk is null and (k.retired_at is null or k.retired_at > clock_timestamp())
  loop
    v_keys := v_keys || (lab_private.token_rules(v_kid)).jwk;
  end loop;

  perform
    set_config('pgrst.jwt_secret', jsonb_build_object('keys', v_keys)::text, true),
    set_config('pgrst.jwt_aud', (select s.audience from lab_private.identity_settings s), true),
    set_config('pgrst.db_schemas', 'lab', true),
    set_config('pgrst.db_anon_role', 'lab_anon', true),
    set_config('pgrst.db_pre_request', 'labos.pre_request', true),
    set_config('pgrst.db_extra_search_path', 'labos_ops, labos, pg_catalog', true),
    set_config('pgrst.db_max_rows', '10000', true),
    set_config('pgrst.db_aggregates_enabled', 'true', true),
    set_config('pgrst.openapi_mode', 'follow-privileges', true),
    set_config('pgrst.openapi_security_active', 'true', true);
end
$$;
comment on function lab_private.postgrest_config() is
  'PostgREST''s in-database configuration (db-pre-config): public keys, audience, schemas, pre-request. A rotation notifies pgrst and needs no restart.';

-- access tokens -------------------------------------------------------------

create or replace function lab_private.access_token(
  org_id uuid, user_id uuid, session_id uuid, session_ends timestamptz, out token text, out expires_in integer)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_key   lab_private.signing_keys := lab_private.signing_key_current();
  v_now   bigint := floor(extract(epoch from clock_timestamp()));
  v_claims jsonb;
begin
  if v_key.kid is null then
    raise exception 'this installation has no signing key' using errcode = 'PT503',
      detail = json_build_object('code', 'no_signing_key')::text,
      hint = 'SELECT labos.bootstrap(organisation, e-mail, password);';
  end if;
  expires_in := least((lab_private.token_lifetimes(access_token.org_id)).access_seconds,
                      floor(extract(epoch from session_ends))::bigint - v_now);
  select jsonb_build_object(
    'iss', s.issuer, 'aud', s.audience, 'sub', u.id, 'iat', v_now, 'nbf', v_now, 'exp', v_now + access_token.expires_in,
    'jti', labos.uuid_v7(), 'sid', access_token.session_id, 'role', 'lab_user', 'org_id', access_token.org_id, 'email', u.email,
    'roles', lab_private.member_roles(access_token.org_id, u.id),
    'permissions', case when '*:*' = any (p.held) then '{*:*}' else p.held end)
  into v_claims
  from lab_data.users u, lab_private.identity_settings s,
       lab_private.member_permissions(access_token.org_id, access_token.user_id) p (held)
  where u.id = access_token.user_id;
  token := labos.jwt_sign(v_claims, lab_private.private_jwk(v_key), null, 'at+jwt');
end
$$;
comment on function lab_private.access_token(uuid, uuid, uuid, timestamptz) is
  'Signs an access token (typ at+jwt) for a session: lifetime of the organisation, never beyond the session.';

-- sessions ------------------------------------------------------------------

create or replace function lab_private.token_answer(
  org_id uuid, user_id uuid, session_id uuid, session_ends timestamptz, refresh_token text, refresh_ends timestamptz) returns jsonb
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'access_token', a.token,
    'token_type', 'Bearer',
    'expires_in', a.expires_in,
    'refresh_token', token_answer.refresh_token,
    'refresh_expires_in', greatest(0, floor(extract(epoch from token_answer.refresh_ends - clock_timestamp()))::integer),
    'session_id', token_answer.session_id,
    'must_change_password', coalesce(c.must_change, false),
    'user', jsonb_build_object('id', u.id, 'email', u.email, 'username', u.username, 'full_name', u.full_name,
      'is_verified', u.is_verified, 'is_superuser', u.is_superuser),
    'organization', jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug),
    'roles', lab_private.member_roles(o.id, u.id),
    'permissions', lab_private.member_permissions(o.id, u.id))
  from lab_private.access_token(token_answer.org_id, token_answer.user_id, token_answer.session_id, token_answer.session_ends) a,
       lab_data.users u
       left join lab_private.credentials c on c.user_id = u.id,
       lab_data.organizations o
  where u.id = token_answer.user_id and o.id = token_answer.org_id
$$;
comment on function lab_private.token_answer(uuid, uuid, uuid, timestamptz, text, timestamptz) is 'The body that signs a client in.';

create or replace function lab_private.session_open(org_id uuid, user_id uuid, device_info jsonb) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_life    record;
  v_session uuid := labos.uuid_v7();
  v_ends    timestamptz;
  v_refresh_ends timestamptz;
  v_token   text := labos.random_token();
begin
  v_life := lab_private.token_lifetimes(session_open.org_id);
  v_ends := clock_timestamp() + make_interval(secs => v_life.session_seconds);
  v_refresh_ends := least(v_ends, clock_timestamp() + make_interval(secs => v_life.refresh_seconds));
  insert into lab_data.user_sessions (id, org_id, user_id, device_info, user_agent, ip, expires_at)
  values (v_session, session_open.org_id, session_open.user_id, session_open.device_info,
          lab_private.client_user_agent(), lab_private.client_ip(), v_ends);
  insert into lab_private.refresh_tokens (token_sha256, family_id, session_id, org_id, expires_at)
  values (sha256(convert_to(v_token, 'UTF8')), labos.uuid_v7(), v_session, session_open.org_id, v_refresh_ends);
  return lab_private.token_answer(session_open.org_id, session_open.user_id, v_session, v_ends, v_token, v_refresh_ends);
end
$$;
comment on function lab_private.session_open(uuid, uuid, jsonb) is 'Begins a session with a new family of refresh tokens; returns the tokens.';

create or replace function lab_private.session_alive(session lab_data.user_sessions) returns boolean
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select session.revoked_at is null and session.expires_at > clock_timestamp()
     and exists (select
                 from lab_data.memberships m
                 join lab_data.users u on u.id = m.user_id
                 join lab_data.organizations o on o.id = m.org_id
                 where m.org_id = session.org_id and m.user_id = session.user_id and m.left_at is null
                   and u.is_active and u.deleted_at is null and o.is_active and o.deleted_at is null)
$$;
comment on function lab_private.session_alive(lab_data.user_sessions) is 'Whether a session can go on: not ended, user active, still a member, organisation active.';

create or replace function lab_private.sessions_end(
  reason text, user_id uuid, org_id uuid default null, session_id uuid default null, except_session uuid default null) returns integer
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_ended uuid[];
begin
  with ended as (
    update lab_data.user_sessions s set revoked_at = now(), revoke_reason = sessions_end.reason
    where s.user_id = sessions_end.user_id and s.revoked_at is null
      and (sessions_end.org_id is null or s.org_id = sessions_end.org_id)
      and (sessions_end.session_id is null or s.id = sessions_end.session_id)
      and (sessions_end.except_session is null or s.id <> sessions_end.except_session)
    returning s.id, s.expires_at)
  select coalesce(array_agg(e.id) filter (where e.expires_at > now()), '{}') into v_ended from ended e;
  update lab_private.refresh_tokens t set revoked_at = now()
  where t.session_id = any (v_ended) and t.revoked_at is null;
  return cardinality(v_ended);
end
$$;
comment on function lab_private.sessions_end(text, uuid, uuid, uuid, uuid) is
  'Ends sessions of a user (of one organisation, one session, all but one) with their refresh tokens; returns how many were open.';

-- refresh -------------------------------------------------------------------

create or replace function lab_private.refresh_successor(token text) returns text
  language sql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
  select labos.algorithm_sign('refresh:' || refresh_successor.token,
           convert_from(labos.secret_open(s.refresh_key, 'refresh_key'), 'UTF8'), 'HS256')
  from lab_private.identity_settings s
$$;
comment on function lab_private.refresh_successor(text) is
  'The token that follows a refresh token: derived, so that losers of a race and clients whose answer got lost receive the same one without it being stored (P22).';

create or replace function lab_private.refresh_rotate(token text) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_digest  bytea;
  v_next    text;
  v_token   lab_private.refresh_tokens;
  v_session lab_data.user_sessions;
  v_ends    timestamptz;
  v_won     boolean;
begin
  if token !~ '^[A-Za-z0-9_-]{43}$' then
    return null;
  end if;
  v_digest := sha256(convert_to(token, 'UTF8'));
  v_next := lab_private.refresh_successor(token);

  -- Of simultaneous callers exactly one finds used_at null here.
  update lab_private.refresh_tokens t
  set used_at = clock_timestamp(), replaced_by = sha256(convert_to(v_next, 'UTF8'))
  where t.token_sha256 = v_digest and t.used_at is null and t.revoked_at is null and t.expires_at > clock_timestamp()
  returning t.* into v_token;
  v_won := found;
  if not v_won then
    select t.* into v_token from lab_private.refresh_tokens t where t.token_sha256 = v_digest;
    if not found then
      perform lab_private.access_log('refresh', 'failure', null, null, null, '{"reason": "unknown_token"}');
      return null;
    end if;
  end if;
  select s.* into v_session from lab_data.user_sessions s where s.org_id = v_token.org_id and s.id = v_token.session_id;

  if not v_won and v_token.used_at is not null and v_token.revoked_at is null
     and v_token.used_at <= clock_timestamp() - (select make_interval(secs => s.refresh_grace_seconds) from lab_private.identity_settings s) then
    update lab_private.refresh_tokens t set revoked_at = now() where t.family_id = v_token.family_id and t.revoked_at is null;
    perform lab_private.sessions_end('reuse', v_session.user_id, session_id => v_session.id),
            lab_private.access_log('refresh_reuse', 'failure', v_session.org_id, v_session.user_id, v_session.id,
              jsonb_build_object('family', v_token.family_id));
    return null;
  end if;

  if not lab_private.session_alive(v_session) or v_token.revoked_at is not null or (not v_won and v_token.used_at is null) then
    perform lab_private.access_log('refresh', 'failure', v_session.org_id, v_session.user_id, v_session.id, '{"reason": "ended"}');
    return null;
  end if;

  if v_won then
    v_ends := least(v_session.expires_at,
      clock_timestamp() + make_interval(secs => (lab_private.token_lifetimes(v_session.org_id)).refresh_seconds));
    insert into lab_private.refresh_tokens (token_sha256, family_id, session_id, org_id, expires_at)
    values (v_token.replaced_by, v_token.family_id, v_token.session_id, v_token.org_id, v_ends);
    update lab_data.user_sessions s set last_seen_at = now() where s.org_id = v_session.org_id and s.id = v_session.id;
  else
    select t.expires_at into v_ends from lab_private.refresh_tokens t where t.token_sha256 = v_token.replaced_by;
  end if;
  perform lab_private.access_log('refresh', 'success', v_session.org_id, v_session.user_id, v_session.id,
    case when v_won then '{}' else '{"repeated": true}' end::jsonb);
  return lab_private.token_answer(v_session.org_id, v_session.user_id, v_session.id, v_session.expires_at, v_next, v_ends);
end
$$;
comment on function lab_private.refresh_rotate(text) is
$$Exchanges a refresh token for a new pair; null when it is refused

One winner; within the grace time the same successor again; after it, a used token revokes its family, ends the session and is logged, and all that commits because nothing is raised (P21-P24).$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function lab.signing_key_rotate(text), lab.signing_key_retire(text), lab.jwks() from public;
grant execute on function lab.signing_key_rotate(text), lab.signing_key_retire(text) to lab_user;
grant execute on function lab.jwks() to lab_anon, lab_user;
-- The gateway reads its configuration before it becomes anybody.
grant usage on schema lab_private to lab_authenticator;
grant execute on function lab_private.postgrest_config() to lab_authenticator;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/022_auth.sql', 'r', 18, 'core', $labos_file$/*
 * Room: identity, signing in and out
 *
 * What a person does with the own account. A refused sign-in is returned, not
 * raised: an exception would undo its record. Unknown name, wrong password, no
 * password, disabled, locked, unverified and no membership get the same answer
 * after the same work (P52).
 *
 * Holds    auth_login, auth_token, auth_refresh, auth_logout, auth_logout_all,
 *          auth_org_switch, auth_sessions, auth_session_end, auth_me,
 *          auth_me_update, auth_password_change, auth_register
 * Needs    020, 021; C identity (password_*)
 */

-- passwords -----------------------------------------------------------------

create or replace function lab_private.password_set(
  user_id uuid, password text, email text, username text, must_change boolean default false) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_problems text[] := labos.password_problems(password_set.password, array[password_set.email, password_set.username]);
  v_hash     text;
begin
  if cardinality(v_problems) > 0 then
    raise exception 'password does not meet the policy' using errcode = 'PT422',
      detail = json_build_object('code', 'weak_password', 'problems', v_problems)::text,
      hint = 'At least 8 characters with an upper-case and a lower-case letter and a digit, not your name, not a common password.';
  end if;
  v_hash := labos.password_hash(password_set.password);
  insert into lab_private.credentials (user_id, password_hash, algorithm, parameters, must_change)
  values (password_set.user_id, v_hash, lab_private.hash_algorithm(v_hash), lab_private.hash_parameters(v_hash), password_set.must_change)
  on conflict on constraint credentials_pkey do update
    set password_hash = excluded.password_hash, algorithm = excluded.algorithm, parameters = excluded.parameters,
        changed_at = now(), must_change = excluded.must_change;
end
$$;
comment on function lab_private.password_set(uuid, text, text, text, boolean) is
  'Stores a password under the policy: PT422 weak_password with the list of problems.';

create or replace function lab_private.hash_algorithm(hash text) returns text
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  select case when hash like '$argon2id$%' then 'argon2id' else 'bcrypt' end
$$;
comment on function lab_private.hash_algorithm(text) is 'argon2id or bcrypt.';

create or replace function lab_private.hash_parameters(hash text) returns jsonb
  language sql immutable
  set search_path to pg_catalog, pg_temp
as $$
  select case when hash like '$argon2id$%'
    then coalesce((select jsonb_object_agg(split_part(x, '=', 1), split_part(x, '=', 2)::integer)
                   from string_to_table(split_part(hash, '$', 4), ',') x), '{}')
    else jsonb_build_object('cost', split_part(hash, '$', 3)::integer) end
$$;
comment on function lab_private.hash_parameters(text) is 'Cost parameters written in a password hash: m (KiB), t, p of Argon2id, or cost of bcrypt.';

-- sign-in -------------------------------------------------------------------

create or replace function lab_private.home_membership(user_id uuid, org text default null) returns uuid
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select m.org_id
  from lab_data.memberships m
  join lab_data.organizations o on o.id = m.org_id and o.is_active and o.deleted_at is null
  where m.user_id = home_membership.user_id and m.left_at is null
    and (home_membership.org is null or o.id::text = lower(home_membership.org) or o.slug::text = lower(home_membership.org))
  order by m.is_default desc, m.joined_at, m.org_id
  limit 1
$$;
comment on function lab_private.home_membership(uuid, text) is
  'The organisation a user signs in to: the named one (id or slug) if a member, else the default, else the first joined.';

create or replace function lab_private.find_user(login text) returns lab_data.users
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_user lab_data.users;
begin
  -- Each by its index: a search through all users would take longer for those it does not find.
  if length(login) <= 320 and position('@' in login) > 0 then
    select u.* into v_user from lab_data.users u
    where u.email = lower(normalize(btrim(login), nfc)) and u.deleted_at is null;
  elsif length(login) <= 320 then
    select u.* into v_user from lab_data.users u
    where lower(u.username) = lower(btrim(login)) and u.deleted_at is null;
  end if;
  return v_user;
end
$$;
comment on function lab_private.find_user(text) is 'A user by e-mail address or username.';

create or replace function lab_private.charge_attempt(user_id uuid, max_failed integer, lock_seconds integer) returns integer
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_charged record;
begin
  perform from lab_data.users u where u.id = charge_attempt.user_id for no key update;
  v_charged := labos.login_guard_charge(charge_attempt.user_id, charge_attempt.max_failed, charge_attempt.lock_seconds);
  if v_charged.attempts is not null then
    update lab_data.users u set failed_login_attempts = v_charged.attempts, locked_until = v_charged.locked_until
    where u.id = charge_attempt.user_id;
  else
    -- users may not know yet, when the attempts were rolled back.
    update lab_data.users u set failed_login_attempts = charge_attempt.max_failed, locked_until = v_charged.locked_until
    where u.id = charge_attempt.user_id and u.locked_until is distinct from v_charged.locked_until;
  end if;
  return v_charged.attempts;
end
$$;
comment on function lab_private.charge_attempt(uuid, integer, integer) is
  'Counts an attempt before it is checked, whatever becomes of the transaction (P29); null while the account is locked. Serialises guesses at one account; the count begins anew after a lock.';

create or replace function lab_private.check_password(candidate lab_data.users, password text, out matched boolean, out reason text)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_settings lab_private.identity_settings;
  v_hash     text;
  v_attempts integer;
begin
  select s.* into v_settings from lab_private.identity_settings s;
  select c.password_hash into v_hash from lab_private.credentials c where c.user_id = candidate.id;
  if v_hash is null then
    perform labos.password_dummy_verify(password);
    matched := false;
    reason := case when candidate.id is null then 'unknown_user' else 'no_password' end;
    return;
  end if;

  -- A locked account is not charged, so that attempts do not extend the lock; the work is the same.
  if candidate.locked_until is null or candidate.locked_until <= clock_timestamp() then
    v_attempts := lab_private.charge_attempt(candidate.id, v_settings.max_failed_logins, v_settings.lock_seconds);
  end if;
  matched := labos.password_verify(password, v_hash);
  if v_attempts is null then
    matched := false;
    reason := 'locked';
  elsif not matched then
    reason := 'wrong_password';
    if v_attempts >= v_settings.max_failed_logins then
      reason := 'lockout';
    end if;
    return;
  end if;
  if matched and v_attempts >= v_settings.max_failed_logins then
    -- The last attempt allowed was right.
    update lab_data.users u set locked_until = null where u.id = candidate.id;
  end if;
  if matched and labos.password_needs_rehash(v_hash) then
    -- Only if nobody changed it meanwhile (P48).
    update lab_private.credentials c
    set password_hash = n.hash, algorithm = lab_private.hash_algorithm(n.hash), parameters = lab_private.hash_parameters(n.hash)
    from (select labos.password_hash(password) as hash) n
    where c.user_id = candidate.id and c.password_hash = v_hash;
  end if;
end
$$;
comment on function lab_private.check_password(lab_data.users, text) is
  'Charges an attempt, checks a password in time that does not depend on why it fails, locks the account after too many failures, rehashes under old parameters.';

create or replace function lab_private.sign_in(login text, password text, org text, device_info jsonb) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user  lab_data.users := lab_private.find_user(login);
  v_org   uuid := lab_private.home_membership(v_user.id, org);
  v_check record;
begin
  v_check := lab_private.check_password(v_user, password);
  if v_check.matched then
    v_check.reason := case when not v_user.is_active then 'disabled'
                           when not v_user.is_verified then 'unverified'
                           when v_org is null then 'no_membership' end;
  end if;
  if v_check.reason is null then
    update lab_data.users u
    set failed_login_attempts = 0, locked_until = null, last_login_at = now(), last_login_ip = lab_private.client_ip()
    where u.id = v_user.id;
    perform lab_private.access_log('login', 'success', v_org, v_user.id);
    return lab_private.session_open(v_org, v_user.id, device_info);
  end if;
  v_org := coalesce(v_org, lab_private.home_membership(v_user.id));
  if v_check.reason = 'lockout' then
    perform lab_private.access_log('lockout', 'failure', v_org, v_user.id);
  end if;
  perform lab_private.access_log('login', 'failure', v_org, v_user.id, null,
    jsonb_build_object('reason', case v_check.reason when 'lockout' then 'wrong_password' else v_check.reason end));
  return null;
end
$$;
comment on function lab_private.sign_in(text, text, text, jsonb) is
  'Signs in with e-mail or username and password; null when refused, for whatever reason, with a row in the access log.';

create or replace function lab.auth_login(login text, password text, org text default null, device_info jsonb default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if login is null or password is null then
    raise exception 'login and password are required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', case when login is null then 'login' else 'password' end)::text;
  elsif jsonb_typeof(device_info) not in ('object', 'string', 'null') or pg_column_size(device_info) > 4000 then
    raise exception 'device_info must be an object or a string of at most 4 KB' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_device_info')::text;
  end if;
  v_answer := lab_private.sign_in(login, password, org, nullif(device_info, 'null'));
  if v_answer is null then
    return lab_private.problem(401, 'invalid_credentials', 'login or password is wrong');
  end if;
  perform lab_private.respond(200);
  return v_answer;
end
$$;
comment on function lab.auth_login(text, text, text, jsonb) is
$$Sign in

E-mail or username and password give an access token (15 minutes by default), a refresh token (7 days, single use), the user, the organisation, roles and permissions; `org` (id or slug) chooses another membership than the default. Five failures in a row lock the account for 30 minutes. Errors: 400 `missing_argument`, 401 `invalid_credentials` (one answer for every reason; the call does not raise, so that the failure is recorded), 405 for GET.$$;

create or replace function lab_private.oauth_error(error text, description text) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.respond(400);
  return jsonb_build_object('error', error, 'error_description', description);
end
$$;
comment on function lab_private.oauth_error(text, text) is 'An error body of RFC 6749, section 5.2.';

create or replace function lab.auth_token(
  grant_type text default null, username text default null, password text default null, refresh_token text default null,
  scope text default null, client_id text default null, client_secret text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if grant_type is null then
    return lab_private.oauth_error('invalid_request', 'grant_type is required');
  elsif grant_type not in ('password', 'refresh_token') then
    return lab_private.oauth_error('unsupported_grant_type', 'grant_type must be password or refresh_token');
  elsif btrim(coalesce(scope, '')) <> '' then
    return lab_private.oauth_error('invalid_scope', 'no scopes are defined: leave scope empty');
  elsif grant_type = 'password' and (username is null or password is null) then
    return lab_private.oauth_error('invalid_request', 'username and password are required');
  elsif grant_type = 'refresh_token' and refresh_token is null then
    return lab_private.oauth_error('invalid_request', 'refresh_token is required');
  end if;

  if grant_type = 'password' then
    v_answer := lab_private.sign_in(username, password, null, null);
  else
    v_answer := lab_private.refresh_rotate(refresh_token);
  end if;
  if v_answer is null then
    return lab_private.oauth_error('invalid_grant',
      case grant_type when 'password' then 'username or password is wrong' else 'the refresh token is invalid, expired or revoked' end);
  end if;
  perform lab_private.respond(200);
  return jsonb_build_object(
    'access_token', v_answer -> 'access_token', 'token_type', v_answer -> 'token_type', 'expires_in', v_answer -> 'expires_in',
    'refresh_token', v_answer -> 'refresh_token', 'scope', '');
end
$$;
comment on function lab.auth_token(text, text, text, text, text, text, text) is
$$OAuth 2.0 token endpoint

The password and refresh_token grants of RFC 6749, as JSON or as a form, for clients that speak OAuth; `client_id` and `client_secret` are accepted and not used. Errors as RFC 6749, section 5.2: 400 with `error` invalid_request, invalid_grant, invalid_scope or unsupported_grant_type.$$;

create or replace function lab.auth_refresh(refresh_token text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_answer jsonb;
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if refresh_token is null then
    raise exception 'refresh_token is required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', 'refresh_token')::text;
  end if;
  v_answer := lab_private.refresh_rotate(refresh_token);
  if v_answer is null then
    return lab_private.problem(401, 'invalid_refresh_token', 'the refresh token is invalid, expired or revoked', 'Sign in again.');
  end if;
  perform lab_private.respond(200);
  return v_answer;
end
$$;
comment on function lab.auth_refresh(text) is
$$Refresh

Exchanges a refresh token for a new pair; each works once. For 10 seconds a used one gives the same pair again (a lost answer, three tabs); after that, its coming again ends the session. Errors: 400 `missing_argument`, 401 `invalid_refresh_token`.$$;

-- sessions ------------------------------------------------------------------

create or replace function lab.auth_logout(refresh_token text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_session lab_data.user_sessions;
begin
  perform lab_private.require_writable();
  if refresh_token is not null then
    select s.* into v_session
    from lab_private.refresh_tokens t
    join lab_data.user_sessions s on s.org_id = t.org_id and s.id = t.session_id
    where t.token_sha256 = sha256(convert_to(auth_logout.refresh_token, 'UTF8'));
  elsif labos.session_id() is not null then
    select s.* into v_session from lab_data.user_sessions s where s.org_id = labos.org_id() and s.id = labos.session_id();
  else
    raise exception 'refresh_token is required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', 'refresh_token')::text,
      hint = 'Or send the access token of the session to end.';
  end if;
  if lab_private.sessions_end('logout', v_session.user_id, session_id => v_session.id) > 0 then
    perform lab_private.access_log('logout', 'success', v_session.org_id, v_session.user_id, v_session.id);
  end if;
  perform lab_private.respond(200);
  return jsonb_build_object('status', 'ok');
end
$$;
comment on function lab.auth_logout(text) is
$$Sign out

Ends the session of a refresh token or, without one, of the access token the call is made with; its access tokens stop with the next request. The answer is the same for a token that is unknown or already ended (RFC 7009). Errors: 400 `missing_argument`.$$;

create or replace function lab.auth_logout_all() returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user  uuid := labos.require_user();
  v_ended integer;
begin
  perform lab_private.require_writable();
  v_ended := lab_private.sessions_end('logout_all', v_user);
  perform lab_private.access_log('logout_all', 'success', labos.org_id(), v_user, labos.session_id(), jsonb_build_object('ended', v_ended)),
          lab_private.respond(200);
  return jsonb_build_object('status', 'ok', 'sessions_ended', v_ended);
end
$$;
comment on function lab.auth_logout_all() is
$$Sign out everywhere

Ends all sessions of the caller in all organisations, this one included; returns how many. Errors: 401 `not_authenticated`.$$;

create or replace function lab.auth_sessions() returns table (
  id uuid, org_id uuid, organization text, device_info jsonb, user_agent text, ip inet,
  created_at timestamptz, last_seen_at timestamptz, expires_at timestamptz, is_current boolean)
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := labos.require_user();
begin
  return query
    select s.id, s.org_id, o.name::text, s.device_info, s.user_agent, s.ip, s.created_at, s.last_seen_at, s.expires_at,
           s.id is not distinct from labos.session_id()
    from lab_data.user_sessions s
    join lab_data.organizations o on o.id = s.org_id
    where s.user_id = v_user and s.revoked_at is null and s.expires_at > clock_timestamp()
    order by s.last_seen_at desc, s.id desc;
end
$$;
comment on function lab.auth_sessions() is
$$My sessions

The caller's open sessions in all organisations, the latest first; `is_current` marks the one of this call. Errors: 401 `not_authenticated`.$$;

create or replace function lab.auth_session_end(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user    uuid := labos.require_user();
  v_session lab_data.user_sessions;
begin
  perform lab_private.require_writable();
  -- One's own anywhere; others' in the acting organisation with session:delete.
  select s.* into v_session from lab_data.user_sessions s
  where s.id = auth_session_end.id and s.revoked_at is null
    and (s.user_id = v_user or s.org_id = labos.org_for('session:delete_any'));
  if not found then
    raise exception 'session not found' using errcode = 'PT404',
      detail = json_build_object('code', 'session_not_found', 'id', auth_session_end.id)::text;
  end if;
  if v_session.user_id <> v_user then
    perform lab_private.require_outranks(v_session.org_id, v_session.user_id);
  end if;
  perform lab_private.sessions_end(case when v_session.user_id = v_user then 'ended' else 'admin' end,
            v_session.user_id, session_id => v_session.id),
          lab_private.access_log('session_end', 'success', v_session.org_id, v_session.user_id, v_session.id,
            jsonb_build_object('by', v_user));
  return jsonb_build_object('status', 'ok', 'id', v_session.id);
end
$$;
comment on function lab.auth_session_end(uuid) is
$$End a session

Ends one of the caller's sessions, or with `session:delete_any` one of a member of the organisation. Errors: 401 `not_authenticated`, 404 `session_not_found` (also for what the caller may not see).$$;

create or replace function lab.auth_org_switch(org text, device_info jsonb default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := labos.require_user();
  v_org  uuid := lab_private.home_membership(v_user, coalesce(org, ''));
begin
  perform lab_private.require_writable(), lab_private.require_whole_answer();
  if v_org is null then
    raise exception 'you are not a member of this organisation' using errcode = 'PT403',
      detail = json_build_object('code', 'not_a_member')::text,
      hint = 'auth_me lists your memberships.';
  end if;
  perform lab_private.access_log('org_switch', 'success', v_org, v_user, labos.session_id(), jsonb_build_object('from', labos.org_id())),
          lab_private.respond(200);
  return lab_private.session_open(v_org, v_user, coalesce(nullif(auth_org_switch.device_info, 'null'),
    (select s.device_info from lab_data.user_sessions s where s.org_id = labos.org_id() and s.id = labos.session_id())));
end
$$;
comment on function lab.auth_org_switch(text, jsonb) is
$$Switch organisation

Tokens for another membership of the caller (id or slug), as a new session; the present one stays open. Errors: 401 `not_authenticated`, 403 `not_a_member` (also for an organisation that does not exist).$$;

-- profile -------------------------------------------------------------------

create or replace function lab.auth_me() returns jsonb
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := labos.require_user();
  v_org  uuid := labos.org_id();
begin
  return (
    select jsonb_build_object(
      'id', u.id, 'email', u.email, 'username', u.username, 'first_name', u.first_name, 'last_name', u.last_name,
      'full_name', u.full_name, 'is_active', u.is_active, 'is_verified', u.is_verified, 'is_superuser', u.is_superuser,
      'mfa_enabled', u.mfa_enabled, 'last_login_at', u.last_login_at, 'preferences', u.preferences, 'created_at', u.created_at,
      'must_change_password', coalesce((select c.must_change from lab_private.credentials c where c.user_id = u.id), false),
      'session_id', labos.session_id(),
      'organization', (select jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug) from lab_data.organizations o where o.id = v_org),
      'memberships', (select coalesce(jsonb_agg(jsonb_build_object('org_id', o.id, 'name', o.name, 'slug', o.slug, 'title', m.title,
                               'is_default', m.is_default, 'joined_at', m.joined_at) order by m.joined_at, o.id), '[]')
                      from lab_data.memberships m
                      join lab_data.organizations o on o.id = m.org_id and o.is_active and o.deleted_at is null
                      where m.user_id = u.id and m.left_at is null),
      'roles', lab_private.member_roles(v_org, u.id),
      'permissions', lab_private.member_permissions(v_org, u.id))
    from lab_data.users u where u.id = v_user);
end
$$;
comment on function lab.auth_me() is
$$Who am I

The caller's profile with memberships, and roles and effective permissions in the acting organisation, read live. Errors: 401 `not_authenticated`.$$;

create or replace function lab.auth_me_update(
  first_name text default null, last_name text default null, full_name text default null, username text default null,
  preferences jsonb default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := labos.require_user();
begin
  perform lab_private.require_writable(),
          lab_private.check_names(auth_me_update.first_name, auth_me_update.last_name, auth_me_update.full_name);
  if jsonb_typeof(auth_me_update.preferences) <> 'object' or pg_column_size(auth_me_update.preferences) > 16384 then
    raise exception 'preferences must be an object of at most 16 KB' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_preferences')::text;
  end if;
  if auth_me_update.username is not null then
    perform lab_private.check_username(auth_me_update.username, v_user);
  end if;
  update lab_data.users u
  set first_name = nullif(btrim(coalesce(auth_me_update.first_name, u.first_name)), ''),
      last_name = nullif(btrim(coalesce(auth_me_update.last_name, u.last_name)), ''),
      full_name = nullif(btrim(coalesce(auth_me_update.full_name, u.full_name)), ''),
      username = coalesce(auth_me_update.username, u.username),
      preferences = coalesce(auth_me_update.preferences, u.preferences)
  where u.id = v_user;
  return lab.auth_me();
end
$$;
comment on function lab.auth_me_update(text, text, text, text, jsonb) is
$$Change my profile

What is left out stays; an empty name clears it. `preferences` replaces the whole object. The e-mail address is changed by an administrator. Errors: 400 `invalid_username`, `invalid_name`, `invalid_preferences`, 401 `not_authenticated`, 409 `username_taken`.$$;

create or replace function lab.auth_password_change(current text, new text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id    uuid := labos.require_user();
  v_user  lab_data.users;
  v_check record;
  v_ended integer;
begin
  perform lab_private.require_writable();
  if auth_password_change.current is null or auth_password_change.new is null then
    raise exception 'current and new are required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument',
                                 'argument', case when auth_password_change.current is null then 'current' else 'new' end)::text;
  end if;
  select u.* into v_user from lab_data.users u where u.id = v_id;
  v_check := lab_private.check_password(v_user, auth_password_change.current);
  if not v_check.matched then
    perform lab_private.access_log('password_change', 'failure', labos.org_id(), v_id, labos.session_id(),
      jsonb_build_object('reason', v_check.reason));
    return lab_private.problem(403, 'wrong_password', 'the current password is wrong');
  elsif auth_password_change.current = auth_password_change.new then
    raise exception 'the new password equals the current one' using errcode = 'PT422',
      detail = json_build_object('code', 'weak_password', 'problems', array['unchanged'])::text;
  end if;
  perform lab_private.password_set(v_id, auth_password_change.new, v_user.email::text, v_user.username::text);
  update lab_data.users u set failed_login_attempts = 0, locked_until = null where u.id = v_id;
  v_ended := lab_private.sessions_end('password_change', v_id, except_session => labos.session_id());
  perform lab_private.access_log('password_change', 'success', labos.org_id(), v_id, labos.session_id(),
            jsonb_build_object('sessions_ended', v_ended)),
          lab_private.respond(200);
  return jsonb_build_object('status', 'ok', 'sessions_ended', v_ended);
end
$$;
comment on function lab.auth_password_change(text, text) is
$$Change my password

Needs the current password; ends every other session of the caller. A wrong current password counts towards the lock. Errors: 400 `missing_argument`, 401 `not_authenticated`, 403 `wrong_password`, 422 `weak_password` with the list of problems.$$;

-- registration --------------------------------------------------------------

create or replace function lab.auth_register(
  email text, username text, password text, full_name text default null, first_name text default null, last_name text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_settings lab_private.identity_settings;
  v_email    text;
  v_problems text[];
  v_user     uuid;
begin
  perform lab_private.require_writable();
  select s.* into v_settings from lab_private.identity_settings s;
  if v_settings.registration <> 'open' then
    raise exception 'registration is not open' using errcode = 'PT403',
      detail = json_build_object('code', case v_settings.registration when 'invite' then 'invitation_required' else 'registration_closed' end)::text,
      hint = 'Ask an administrator of your organisation for an account.';
  end if;
  v_email := lab_private.normal_email(auth_register.email);
  perform lab_private.check_username(auth_register.username),
          lab_private.check_names(auth_register.first_name, auth_register.last_name, auth_register.full_name);
  v_problems := labos.password_problems(coalesce(auth_register.password, ''), array[v_email, auth_register.username]);
  if cardinality(v_problems) > 0 then
    raise exception 'password does not meet the policy' using errcode = 'PT422',
      detail = json_build_object('code', 'weak_password', 'problems', v_problems)::text;
  end if;

  if (lab_private.find_user(v_email)).id is null then
    v_user := lab_private.user_add(v_settings.registration_org_id, v_email, auth_register.username, auth_register.password,
      auth_register.full_name, auth_register.first_name, auth_register.last_name, is_verified => false, must_change => false);
    insert into lab_data.user_roles (org_id, user_id, role_id)
    select v_settings.registration_org_id, v_user, r.id
    from lab_data.roles r
    where r.is_default and r.deleted_at is null and (r.org_id is null or r.org_id = v_settings.registration_org_id);
  else
    -- The answer does not tell that the address is known, nor does the time it takes.
    perform labos.password_hash(auth_register.password);
  end if;
  perform lab_private.access_log('register', case when v_user is null then 'failure' else 'success' end, v_settings.registration_org_id, v_user),
          lab_private.respond(202);
  return jsonb_build_object('status', 'accepted');
end
$$;
comment on function lab.auth_register(text, text, text, text, text, text) is
$$Register

Creates an account where the installation's registration is open; it can sign in once it is verified. The answer is 202 whether or not the address has an account already. Errors: 400 `invalid_email`, `invalid_username`, `invalid_name`, 403 `registration_closed`, `invitation_required`, 409 `username_taken`, 422 `weak_password`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.auth_login(text, text, text, jsonb), lab.auth_token(text, text, text, text, text, text, text), lab.auth_refresh(text),
  lab.auth_logout(text), lab.auth_logout_all(), lab.auth_sessions(), lab.auth_session_end(uuid), lab.auth_org_switch(text, jsonb),
  lab.auth_me(), lab.auth_me_update(text, text, text, text, jsonb), lab.auth_password_change(text, text),
  lab.auth_register(text, text, text, text, text, text)
  from public;
-- Without a token: to obtain one, and to end a session by its refresh token.
grant execute on function
  lab.auth_login(text, text, text, jsonb), lab.auth_token(text, text, text, text, text, text, text), lab.auth_refresh(text),
  lab.auth_logout(text), lab.auth_register(text, text, text, text, text, text)
  to lab_anon, lab_user, lab_guest;
grant execute on function
  lab.auth_logout_all(), lab.auth_sessions(), lab.auth_session_end(uuid), lab.auth_org_switch(text, jsonb),
  lab.auth_me(), lab.auth_me_update(text, text, text, text, jsonb), lab.auth_password_change(text, text)
  to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/023_users.sql', 'r', 19, 'core', $labos_file$/*
 * Room: identity, administration of users
 *
 * What an administrator does with the members of the own organisation. Three
 * rules hold over all of it: who acts must hold every permission of whom they
 * act on (nobody takes over a superior); an organisation keeps one admin; and
 * an account that is also a member elsewhere is not changed from here, only
 * its membership.
 *
 * Holds    user_create, user_update, user_deactivate, user_activate, user_unlock,
 *          user_delete, user_restore, membership_remove, membership_restore, user_permissions
 * Needs    020 to 022, tenancy
 */

-- checks --------------------------------------------------------------------

create or replace function lab_private.normal_email(email text) returns text
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_email text := normalize(btrim(normal_email.email), nfc);
begin
  -- One @, no spaces, no control or direction characters, a domain of letters, digits, hyphens and dots.
  if v_email is null or length(v_email) > 254 or octet_length(split_part(v_email, '@', 1)) > 64
     or v_email !~ '^[^@[:space:][:cntrl:]"(),:;<>\\]+@[[:alnum:]]([[:alnum:]-]*[[:alnum:]])?(\.[[:alnum:]]([[:alnum:]-]*[[:alnum:]])?)*$'
     or v_email ~ '^\.|\.\.|\.@' or v_email ~ U&'[\200B-\200F\202A-\202E\2060-\2069\FEFF]' then
    raise exception 'invalid e-mail address' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_email')::text;
  end if;
  return lower(v_email);
end
$$;
comment on function lab_private.normal_email(text) is 'Trimmed, NFC, lower case (P65): PT400 invalid_email.';

create or replace function lab_private.check_username(username text, but uuid default null) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if check_username.username is null or check_username.username !~ '^[A-Za-z0-9_-]{3,30}$' then
    raise exception 'invalid username' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_username')::text,
      hint = 'Three to thirty letters, digits, underscores or hyphens.';
  elsif exists (select from lab_data.users u
                where lower(u.username::text) = lower(check_username.username) and u.deleted_at is null
                  and u.id is distinct from check_username.but) then
    raise exception 'this username is taken' using errcode = 'PT409',
      detail = json_build_object('code', 'username_taken')::text;
  end if;
end
$$;
comment on function lab_private.check_username(text, uuid) is 'PT400 invalid_username, PT409 username_taken.';

create or replace function lab_private.check_names(first_name text, last_name text, full_name text) returns void
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if length(first_name) > 100 or length(last_name) > 100 or length(full_name) > 200
     or concat(first_name, last_name, full_name) ~ '[[:cntrl:]]' then
    raise exception 'invalid name' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_name')::text,
      hint = 'At most 100 characters each, 200 for the full name, no control characters.';
  end if;
end
$$;
comment on function lab_private.check_names(text, text, text) is 'PT400 invalid_name.';

create or replace function lab_private.require_permissions(permissions text[]) returns void
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_missing text[] := array(select p from unnest(require_permissions.permissions) p where not labos.has_permission(p));
begin
  if cardinality(v_missing) > 0 then
    raise exception 'you do not hold all permissions concerned' using errcode = 'PT403',
      detail = json_build_object('code', 'permission_escalation', 'missing', v_missing)::text,
      hint = 'Only permissions that you hold yourself can be given, taken or acted upon.';
  end if;
end
$$;
comment on function lab_private.require_permissions(text[]) is 'Nobody gives what they do not hold: PT403 permission_escalation with the missing ones.';

create or replace function lab_private.require_outranks(org_id uuid, user_id uuid) returns void
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.require_permissions(lab_private.member_permissions(require_outranks.org_id, require_outranks.user_id));
  if exists (select from lab_data.users u where u.id = require_outranks.user_id and u.is_superuser) then
    perform lab_private.require_superuser();
  end if;
end
$$;
comment on function lab_private.require_outranks(uuid, uuid) is 'The caller holds all that the other member holds: PT403 permission_escalation.';

create or replace function lab_private.lock_organization(org_id uuid) returns void
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select from lab_data.organizations o where o.id = lock_organization.org_id for no key update
$$;
comment on function lab_private.lock_organization(uuid) is 'One administrative change of an organisation at a time, so that two admins cannot remove each other.';

create or replace function lab_private.require_admin_left(org_id uuid) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if not exists (
       select from lab_data.user_roles g
       join lab_data.roles r on r.id = g.role_id and r.name = 'admin' and r.org_id is null
       join lab_data.memberships m on m.org_id = g.org_id and m.user_id = g.user_id and m.left_at is null
       join lab_data.users u on u.id = g.user_id and u.is_active and u.deleted_at is null
       where g.org_id = require_admin_left.org_id and g.expires_at is null) then
    raise exception 'an organisation keeps at least one admin' using errcode = 'PT409',
      detail = json_build_object('code', 'last_admin')::text,
      hint = 'Make somebody else admin first, without an expiry.';
  end if;
end
$$;
comment on function lab_private.require_admin_left(uuid) is 'After a change: an active admin without expiry remains, else PT409 last_admin.';

create or replace function lab_private.require_admins_left(user_id uuid) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_org uuid;
begin
  for v_org in
    select g.org_id from lab_data.user_roles g
    join lab_data.roles r on r.id = g.role_id and r.name = 'admin' and r.org_id is null
    where g.user_id = require_admins_left.user_id
    order by 1
  loop
    perform lab_private.lock_organization(v_org),
            lab_private.require_admin_left(v_org);
  end loop;
end
$$;
comment on function lab_private.require_admins_left(uuid) is
  'After an account has been shut: require_admin_left for each organisation of which the user is admin; a superuser may shut one that several share.';

create or replace function lab_private.require_member(org_id uuid, user_id uuid, deleted boolean default false) returns lab_data.users
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_user lab_data.users;
begin
  select u.* into v_user
  from lab_data.users u
  where u.id = require_member.user_id and (u.deleted_at is not null) = require_member.deleted
    and exists (select from lab_data.memberships m where m.org_id = require_member.org_id and m.user_id = u.id and m.left_at is null)
  for no key update;
  if not found then
    raise exception 'user not found' using errcode = 'PT404',
      detail = json_build_object('code', 'user_not_found', 'id', require_member.user_id)::text;
  end if;
  return v_user;
end
$$;
comment on function lab_private.require_member(uuid, uuid, boolean) is 'A member of the organisation, locked: PT404 user_not_found.';

create or replace function lab_private.require_sole_membership(org_id uuid, user_id uuid) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if exists (select from lab_data.memberships m
             where m.user_id = require_sole_membership.user_id and m.org_id <> require_sole_membership.org_id and m.left_at is null)
     and not labos.is_superuser() then
    raise exception 'this user also belongs to another organisation' using errcode = 'PT409',
      detail = json_build_object('code', 'shared_user')::text,
      hint = 'Take away roles here (role_revoke) or the membership (membership_remove).';
  end if;
end
$$;
comment on function lab_private.require_sole_membership(uuid, uuid) is
  'An account shared with another organisation is changed by its owner or a superuser of the installation only: PT409 shared_user.';

-- making --------------------------------------------------------------------

create or replace function lab_private.user_add(
  org_id uuid, email text, username text, password text, full_name text, first_name text, last_name text,
  is_verified boolean, must_change boolean, title text default null, is_superuser boolean default false) returns uuid
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_email text := lab_private.normal_email(user_add.email);
  v_user  uuid;
begin
  perform lab_private.check_names(user_add.first_name, user_add.last_name, user_add.full_name),
          lab_private.check_username(user_add.username);
  if (lab_private.find_user(v_email)).id is not null then
    raise exception 'this e-mail address is taken' using errcode = 'PT409',
      detail = json_build_object('code', 'email_taken')::text;
  end if;
  insert into lab_data.users (email, username, first_name, last_name, full_name, is_verified, is_superuser)
  values (v_email, user_add.username, user_add.first_name, user_add.last_name,
          coalesce(user_add.full_name, nullif(concat_ws(' ', user_add.first_name, user_add.last_name), '')),
          user_add.is_verified, user_add.is_superuser)
  returning id into v_user;
  insert into lab_data.memberships (org_id, user_id, title, is_default)
  values (user_add.org_id, v_user, user_add.title, true);
  if user_add.password is not null then
    perform lab_private.password_set(v_user, user_add.password, v_email, user_add.username, user_add.must_change);
  end if;
  return v_user;
exception when unique_violation then
  -- Lost a race against the same name.
  raise exception 'this e-mail address or username is taken' using errcode = 'PT409',
    detail = json_build_object('code', 'email_taken')::text;
end
$$;
comment on function lab_private.user_add(uuid, text, text, text, text, text, text, boolean, boolean, text, boolean) is
  'A user with a first membership and, unless null, a password.';

create or replace function lab_private.user_json(org_id uuid, user_id uuid) returns jsonb
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'id', u.id, 'email', u.email, 'username', u.username, 'first_name', u.first_name, 'last_name', u.last_name,
    'full_name', u.full_name, 'title', m.title, 'is_active', u.is_active, 'is_verified', u.is_verified,
    'is_superuser', u.is_superuser, 'mfa_enabled', u.mfa_enabled, 'locked_until', u.locked_until, 'last_login_at', u.last_login_at,
    'version', u.version, 'created_at', u.created_at, 'deleted_at', u.deleted_at, 'org_id', m.org_id,
    'roles', lab_private.member_roles(m.org_id, u.id))
  from lab_data.users u
  join lab_data.memberships m on m.user_id = u.id and m.org_id = user_json.org_id
  where u.id = user_json.user_id
$$;
comment on function lab_private.user_json(uuid, uuid) is 'A member as administration calls return it.';

create or replace function lab.user_create(
  email text, username text, password text default null, full_name text default null, roles text[] default '{}',
  first_name text default null, last_name text default null, title text default null, must_change boolean default false) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('user:create');
  v_user uuid;
  v_role text;
begin
  perform lab_private.require_writable();
  v_user := lab_private.user_add(v_org, user_create.email, user_create.username, user_create.password, user_create.full_name,
    user_create.first_name, user_create.last_name, is_verified => true, must_change => coalesce(user_create.must_change, false),
    title => user_create.title);
  foreach v_role in array coalesce(user_create.roles, '{}') loop
    perform lab_private.role_give(v_org, v_user, v_role, null);
  end loop;
  perform lab_private.access_log('user_create', 'success', v_org, v_user, labos.session_id(),
    jsonb_build_object('by', labos.user_id(), 'roles', to_jsonb(coalesce(user_create.roles, '{}'))));
  return lab_private.user_json(v_org, v_user);
end
$$;
comment on function lab.user_create(text, text, text, text, text[], text, text, text, boolean) is
$$Create a user

A verified member of the caller's organisation with these roles; without a password the account cannot sign in with one. Errors: 400 `invalid_email`, `invalid_username`, `invalid_name`, 403 without `user:create` or (with roles) `role:assign`, `permission_escalation`, 404 `role_not_found`, 409 `email_taken`, `username_taken`, 422 `weak_password`.$$;

-- changing ------------------------------------------------------------------

create or replace function lab_private.user_change(org_id uuid, user_id uuid, deleted boolean default false) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  perform lab_private.require_writable(),
          lab_private.lock_organization(user_change.org_id),
          lab_private.require_member(user_change.org_id, user_change.user_id, user_change.deleted),
          lab_private.require_outranks(user_change.org_id, user_change.user_id),
          lab_private.require_sole_membership(user_change.org_id, user_change.user_id);
end
$$;
comment on function lab_private.user_change(uuid, uuid, boolean) is
  'What every change of an account begins with, after the permission: membership, rank, sole membership.';

create or replace function lab_private.user_changed(event text, org_id uuid, user_id uuid, detail jsonb default '{}') returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.access_log(user_changed.event, 'success', user_changed.org_id, user_changed.user_id, labos.session_id(),
    jsonb_build_object('by', labos.user_id()) || user_changed.detail);
  return lab_private.user_json(user_changed.org_id, user_changed.user_id);
end
$$;
comment on function lab_private.user_changed(text, uuid, uuid, jsonb) is 'What every change of an account ends with: a row in the access log, the user as answer.';

create or replace function lab.user_update(
  id uuid, email text default null, username text default null, first_name text default null, last_name text default null,
  full_name text default null, title text default null, is_verified boolean default null, version integer default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('user:update');
  v_email text;
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_update.id);
  perform lab_private.check_names(user_update.first_name, user_update.last_name, user_update.full_name);
  if user_update.username is not null then
    perform lab_private.check_username(user_update.username, user_update.id);
  end if;
  if user_update.email is not null then
    v_email := lab_private.normal_email(user_update.email);
    if (lab_private.find_user(v_email)).id <> user_update.id then
      raise exception 'this e-mail address is taken' using errcode = 'PT409',
        detail = json_build_object('code', 'email_taken')::text;
    end if;
  end if;
  update lab_data.users u
  set email = coalesce(v_email, u.email),
      username = coalesce(user_update.username, u.username),
      first_name = nullif(btrim(coalesce(user_update.first_name, u.first_name)), ''),
      last_name = nullif(btrim(coalesce(user_update.last_name, u.last_name)), ''),
      full_name = nullif(btrim(coalesce(user_update.full_name, u.full_name)), ''),
      is_verified = coalesce(user_update.is_verified, u.is_verified),
      version = coalesce(user_update.version, u.version)
  where u.id = user_update.id;
  update lab_data.memberships m set title = user_update.title
  where m.org_id = v_org and m.user_id = user_update.id and user_update.title is not null;
  return lab_private.user_changed('user_update', v_org, user_update.id);
end
$$;
comment on function lab.user_update(uuid, text, text, text, text, text, text, boolean, integer) is
$$Change a user

What is left out stays; `version` refuses a change of a row that has moved on. Errors: 400 `invalid_email`, `invalid_username`, `invalid_name`, 403 without `user:update`, `permission_escalation`, 404 `user_not_found`, 409 `email_taken`, `username_taken`, `shared_user`, 412 `stale_version`.$$;

create or replace function lab.user_deactivate(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:update');
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_deactivate.id);
  update lab_data.users u set is_active = false where u.id = user_deactivate.id and u.is_active;
  perform lab_private.sessions_end('deactivated', user_deactivate.id),
          lab_private.require_admins_left(user_deactivate.id);
  return lab_private.user_changed('user_deactivate', v_org, user_deactivate.id);
end
$$;
comment on function lab.user_deactivate(uuid) is
$$Deactivate a user

Ends all sessions at once; sign-in is refused until user_activate. Errors: 403 without `user:update`, `permission_escalation`, 404 `user_not_found`, 409 `last_admin`, `shared_user`.$$;

create or replace function lab.user_activate(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:update');
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_activate.id);
  update lab_data.users u set is_active = true where u.id = user_activate.id and not u.is_active;
  return lab_private.user_changed('user_activate', v_org, user_activate.id);
end
$$;
comment on function lab.user_activate(uuid) is
$$Activate a user

Errors: 403 without `user:update`, `permission_escalation`, 404 `user_not_found`, 409 `shared_user`.$$;

create or replace function lab.user_unlock(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:update');
begin
  perform lab_private.require_writable(),
          lab_private.require_member(org_id => v_org, user_id => user_unlock.id),
          lab_private.require_outranks(org_id => v_org, user_id => user_unlock.id);
  perform labos.login_guard_set(user_unlock.id, 0, null);
  update lab_data.users u set failed_login_attempts = 0, locked_until = null
  where u.id = user_unlock.id and (u.failed_login_attempts > 0 or u.locked_until is not null);
  return lab_private.user_changed('user_unlock', v_org, user_unlock.id);
end
$$;
comment on function lab.user_unlock(uuid) is
$$Unlock a user

Forgets failed sign-ins and ends the lock. Errors: 403 without `user:update`, `permission_escalation`, 404 `user_not_found`.$$;

create or replace function lab.user_delete(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:delete');
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_delete.id);
  update lab_data.users u set deleted_at = now(), deleted_by = labos.user_id() where u.id = user_delete.id;
  perform lab_private.sessions_end('deleted', user_delete.id),
          lab_private.require_admins_left(user_delete.id);
  return lab_private.user_changed('user_delete', v_org, user_delete.id);
end
$$;
comment on function lab.user_delete(uuid) is
$$Delete a user

Soft: the account vanishes from lists and cannot sign in, its name becomes free, what it did stays attributed; user_restore brings it back. Errors: 403 without `user:delete`, `permission_escalation`, 404 `user_not_found`, 409 `last_admin`, `shared_user`.$$;

create or replace function lab.user_restore(id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:restore');
begin
  perform lab_private.user_change(org_id => v_org, user_id => user_restore.id, deleted => true);
  update lab_data.users u set deleted_at = null, deleted_by = null where u.id = user_restore.id;
  return lab_private.user_changed('user_restore', v_org, user_restore.id);
exception when unique_violation then
  raise exception 'e-mail address or username have been taken meanwhile' using errcode = 'PT409',
    detail = json_build_object('code', 'email_taken')::text;
end
$$;
comment on function lab.user_restore(uuid) is
$$Restore a deleted user

With roles and password as they were. Errors: 403 without `user:restore`, `permission_escalation`, 404 `user_not_found`, 409 `email_taken`, `shared_user`.$$;

create or replace function lab.membership_remove(user_id uuid) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('user:delete');
begin
  perform lab_private.require_writable(),
          lab_private.lock_organization(v_org),
          lab_private.require_member(v_org, membership_remove.user_id),
          lab_private.require_outranks(v_org, membership_remove.user_id),
          lab_private.sessions_end('membership', membership_remove.user_id, v_org);
  delete from lab_data.user_roles g where g.org_id = v_org and g.user_id = membership_remove.user_id;
  update lab_data.memberships m set left_at = now(), is_default = false
  where m.org_id = v_org and m.user_id = membership_remove.user_id;
  perform lab_private.require_admin_left(v_org),
          lab_private.access_log('membership_remove', 'success', v_org, membership_remove.user_id, labos.session_id(),
            jsonb_build_object('by', labos.user_id()));
  return jsonb_build_object('status', 'ok', 'user_id', membership_remove.user_id, 'org_id', v_org);
end
$$;
comment on function lab.membership_remove(uuid) is
$$Remove a member

The person leaves the organisation: roles are taken away and sessions there end at once; the account, other memberships and all records stay. Errors: 403 without `user:delete`, `permission_escalation`, 404 `user_not_found`, 409 `last_admin`.$$;

create or replace function lab.membership_restore(user_id uuid, roles text[] default '{}') returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('user:restore');
  v_role text;
begin
  perform lab_private.require_writable();
  update lab_data.memberships m
  set left_at = null,
      is_default = not exists (select from lab_data.memberships d where d.user_id = m.user_id and d.is_default and d.left_at is null)
  where m.org_id = v_org and m.user_id = membership_restore.user_id and m.left_at is not null;
  if not found then
    raise exception 'user not found' using errcode = 'PT404',
      detail = json_build_object('code', 'user_not_found', 'id', membership_restore.user_id)::text;
  end if;
  foreach v_role in array coalesce(membership_restore.roles, '{}') loop
    perform lab_private.role_give(v_org, membership_restore.user_id, v_role, null);
  end loop;
  return lab_private.user_changed('membership_restore', v_org, membership_restore.user_id,
    jsonb_build_object('roles', to_jsonb(coalesce(membership_restore.roles, '{}'))));
end
$$;
comment on function lab.membership_restore(uuid, text[]) is
$$Take a former member back

With these roles. Errors: 403 without `user:restore` or (with roles) `role:assign`, `permission_escalation`, 404 `user_not_found`, `role_not_found`.$$;

-- reading -------------------------------------------------------------------

create or replace function lab.user_permissions(id uuid default null) returns jsonb
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := coalesce(user_permissions.id, labos.require_user());
  v_org  uuid := case when v_user = labos.user_id() then labos.org_id() else labos.require_org_for('user:read') end;
begin
  if not exists (select from lab_data.memberships m where m.org_id = v_org and m.user_id = v_user and m.left_at is null) then
    raise exception 'user not found' using errcode = 'PT404',
      detail = json_build_object('code', 'user_not_found', 'id', v_user)::text;
  end if;
  return (
    select jsonb_build_object('user_id', v_user, 'org_id', v_org,
      'roles', coalesce(jsonb_agg(g.role) filter (where not g.expired), '[]'),
      'roles_expired', coalesce(jsonb_agg(g.role) filter (where g.expired), '[]'),
      'permissions', lab_private.member_permissions(v_org, v_user))
    from (select jsonb_build_object('id', r.id, 'name', r.name, 'display_name', r.display_name,
                   'assigned_at', a.assigned_at, 'assigned_by', a.assigned_by, 'expires_at', a.expires_at) as role,
                 coalesce(a.expires_at <= clock_timestamp(), false) as expired
          from lab_data.user_roles a
          join lab_data.roles r on r.id = a.role_id and r.deleted_at is null
          where a.org_id = v_org and a.user_id = v_user
          order by r.name) g);
end
$$;
comment on function lab.user_permissions(uuid) is
$$Effective permissions of a user

Roles (and those expired) with assignment and expiry, and the permissions they give together in the acting organisation; without `id` those of the caller. Errors: 401 `not_authenticated`, 403 without `user:read`, 404 `user_not_found`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.user_create(text, text, text, text, text[], text, text, text, boolean),
  lab.user_update(uuid, text, text, text, text, text, text, boolean, integer),
  lab.user_deactivate(uuid), lab.user_activate(uuid), lab.user_unlock(uuid), lab.user_delete(uuid), lab.user_restore(uuid),
  lab.membership_remove(uuid), lab.membership_restore(uuid, text[]), lab.user_permissions(uuid)
  from public;
grant execute on function
  lab.user_create(text, text, text, text, text[], text, text, text, boolean),
  lab.user_update(uuid, text, text, text, text, text, text, boolean, integer),
  lab.user_deactivate(uuid), lab.user_activate(uuid), lab.user_unlock(uuid), lab.user_delete(uuid), lab.user_restore(uuid),
  lab.membership_remove(uuid), lab.membership_restore(uuid, text[]), lab.user_permissions(uuid)
  to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/024_roles.sql', 'r', 20, 'core', $labos_file$/*
 * Room: identity, administration of roles
 *
 * An organisation may add roles of its own to the system's; it may not change
 * the system's. Who makes, widens, gives or takes a role must hold all that it
 * grants, so that no chain of such steps leads above where one stands.
 *
 * Holds    role_create, role_update, role_delete, role_assign, role_revoke
 * Needs    020 to 023, tenancy (roles, permissions, role_permissions, user_roles)
 */

-- finding and checking --------------------------------------------------------

create or replace function lab_private.find_role(org_id uuid, name text) returns lab_data.roles
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_role lab_data.roles;
begin
  select r.* into v_role from lab_data.roles r
  where (r.org_id is null or r.org_id = find_role.org_id) and r.deleted_at is null and r.name::text = lower(btrim(find_role.name));
  if not found then
    raise exception 'role not found' using errcode = 'PT404',
      detail = json_build_object('code', 'role_not_found', 'role', left(find_role.name, 100))::text;
  end if;
  return v_role;
end
$$;
comment on function lab_private.find_role(uuid, text) is 'A system role or one of the organisation, by name: PT404 role_not_found.';

create or replace function lab_private.find_own_role(org_id uuid, name text) returns lab_data.roles
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_role lab_data.roles := lab_private.find_role(find_own_role.org_id, find_own_role.name);
begin
  if v_role.is_system or v_role.org_id is null then
    raise exception 'a system role cannot be changed' using errcode = 'PT409',
      detail = json_build_object('code', 'system_role', 'role', v_role.name)::text,
      hint = 'Make a role of your own with this one as parent.';
  end if;
  return v_role;
end
$$;
comment on function lab_private.find_own_role(uuid, text) is 'A role that the organisation may change: PT404 role_not_found, PT409 system_role.';

create or replace function lab_private.check_permissions(permissions text[]) returns text[]
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_wanted  text[] := array(select distinct lower(btrim(p)) from unnest(check_permissions.permissions) p where p is not null order by 1);
  v_unknown text[];
begin
  v_unknown := array(select p from unnest(v_wanted) p
                     where not exists (select from lab_data.permissions k where k.name::text = p));
  if cardinality(v_unknown) > 0 then
    raise exception 'unknown permission' using errcode = 'PT400',
      detail = json_build_object('code', 'unknown_permission', 'permissions', v_unknown[1:20])::text,
      hint = 'GET /permissions lists them.';
  end if;
  perform lab_private.require_permissions(v_wanted);
  return v_wanted;
end
$$;
comment on function lab_private.check_permissions(text[]) is
  'Known permissions that the caller holds: PT400 unknown_permission, PT403 permission_escalation.';

create or replace function lab_private.role_json(role_id uuid) returns jsonb
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'id', r.id, 'name', r.name, 'display_name', r.display_name, 'description', r.description, 'is_system', r.is_system,
    'is_default', r.is_default, 'parent', (select p.name from lab_data.roles p where p.id = r.parent_id),
    'own_permissions', (select coalesce(jsonb_agg(g.permission order by g.permission::text), '[]')
                        from lab_data.role_permissions g where g.role_id = r.id),
    'permissions', lab_private.role_grants(array[r.id]))
  from lab_data.roles r
  where r.id = role_json.role_id
$$;
comment on function lab_private.role_json(uuid) is 'A role as administration calls return it: its own and all effective permissions.';

create or replace function lab_private.role_set_permissions(org_id uuid, role_id uuid, permissions text[]) returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  delete from lab_data.role_permissions g
  where g.role_id = role_set_permissions.role_id and g.permission::text <> all (role_set_permissions.permissions);
  insert into lab_data.role_permissions (org_id, role_id, permission)
  select role_set_permissions.org_id, role_set_permissions.role_id, p
  from unnest(role_set_permissions.permissions) p
  where not exists (select from lab_data.role_permissions g
                    where g.role_id = role_set_permissions.role_id and g.permission::text = p);
end
$$;
comment on function lab_private.role_set_permissions(uuid, uuid, text[]) is 'Makes these the own permissions of a role.';

-- roles ---------------------------------------------------------------------

create or replace function lab.role_create(
  name text, display_name text default null, description text default null, permissions text[] default '{}',
  parent text default null, is_default boolean default false) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for('role:create');
  v_name   text := lower(btrim(role_create.name));
  v_wanted text[];
  v_parent lab_data.roles;
  v_role   uuid;
begin
  perform lab_private.require_writable(), lab_private.lock_organization(v_org);
  if v_name is null or v_name !~ '^[a-z][a-z0-9_-]{1,49}$' or length(role_create.display_name) > 100
     or length(role_create.description) > 1000 then
    raise exception 'invalid role name or description' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_role')::text,
      hint = 'The name has 2 to 50 lower-case letters, digits, _ or -; the display name 100 characters at most, the description 1000.';
  elsif exists (select from lab_data.roles r where (r.org_id is null or r.org_id = v_org) and r.deleted_at is null and r.name::text = v_name) then
    raise exception 'a role of this name exists' using errcode = 'PT409',
      detail = json_build_object('code', 'role_exists', 'role', v_name)::text;
  end if;
  v_wanted := lab_private.check_permissions(coalesce(role_create.permissions, '{}'));
  if role_create.parent is not null then
    v_parent := lab_private.find_role(v_org, role_create.parent);
    perform lab_private.require_permissions(lab_private.role_grants(array[v_parent.id]));
  end if;
  insert into lab_data.roles (org_id, name, display_name, description, parent_id, is_default)
  values (v_org, v_name, coalesce(role_create.display_name, v_name), role_create.description, v_parent.id, coalesce(role_create.is_default, false))
  returning id into v_role;
  perform lab_private.role_set_permissions(v_org, v_role, v_wanted),
          lab_private.access_log('role_create', 'success', v_org, labos.user_id(), labos.session_id(),
            jsonb_build_object('role', v_name, 'permissions', to_jsonb(v_wanted), 'parent', v_parent.name));
  return lab_private.role_json(v_role);
end
$$;
comment on function lab.role_create(text, text, text, text[], text, boolean) is
$$Create a role

A role of the caller's organisation with permissions of its own and those of its parent. Errors: 400 `invalid_role`, `unknown_permission`, 403 without `role:create`, `permission_escalation`, 404 `role_not_found` (parent), 409 `role_exists`.$$;

create or replace function lab.role_update(
  role text, display_name text default null, description text default null, permissions text[] default null,
  parent text default null, is_default boolean default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for('role:update');
  v_role   lab_data.roles;
  v_parent lab_data.roles;
begin
  perform lab_private.require_writable(), lab_private.lock_organization(v_org);
  v_role := lab_private.find_own_role(v_org, role_update.role);
  if length(role_update.display_name) > 100 or length(role_update.description) > 1000 then
    raise exception 'invalid role name or description' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_role')::text;
  end if;
  -- Whoever has this role is acted upon: their rank counts, what is added counts.
  perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id]));
  if role_update.permissions is not null then
    perform lab_private.role_set_permissions(v_org, v_role.id, lab_private.check_permissions(role_update.permissions));
  end if;
  if role_update.parent <> '' then
    v_parent := lab_private.find_role(v_org, role_update.parent);
    perform lab_private.require_permissions(lab_private.role_grants(array[v_parent.id]));
  end if;
  update lab_data.roles r
  set display_name = coalesce(role_update.display_name, r.display_name),
      description = coalesce(role_update.description, r.description),
      parent_id = case when role_update.parent is null then r.parent_id else v_parent.id end,
      is_default = coalesce(role_update.is_default, r.is_default)
  where r.id = v_role.id and r.org_id = v_org;
  perform lab_private.access_log('role_update', 'success', v_org, labos.user_id(), labos.session_id(),
    jsonb_strip_nulls(jsonb_build_object('role', v_role.name, 'permissions', to_jsonb(role_update.permissions), 'parent', role_update.parent)));
  return lab_private.role_json(v_role.id);
end
$$;
comment on function lab.role_update(text, text, text, text[], text, boolean) is
$$Change a role

What is left out stays; `permissions` replaces the role's own ones, an empty `parent` removes it. Effective with the next statement of everybody who has the role. Errors: 400 `invalid_role`, `unknown_permission`, 403 without `role:update`, `permission_escalation`, 404 `role_not_found`, 409 `system_role`, 422 `role_cycle`.$$;

create or replace function lab.role_delete(role text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('role:delete');
  v_role  lab_data.roles;
  v_users integer;
  v_roles integer;
begin
  perform lab_private.require_writable(), lab_private.lock_organization(v_org);
  v_role := lab_private.find_own_role(v_org, role_delete.role);
  select count(*) into v_users from lab_data.user_roles g where g.org_id = v_org and g.role_id = v_role.id;
  select count(*) into v_roles from lab_data.roles r where r.org_id = v_org and r.parent_id = v_role.id and r.deleted_at is null;
  if v_users + v_roles > 0 then
    raise exception 'the role is in use' using errcode = 'PT409',
      detail = json_build_object('code', 'role_in_use', 'role', v_role.name, 'users', v_users, 'roles', v_roles)::text,
      hint = 'Take it from its users with role_revoke, and from roles that inherit it.';
  end if;
  update lab_data.roles r set deleted_at = now(), deleted_by = labos.user_id() where r.id = v_role.id and r.org_id = v_org;
  perform lab_private.access_log('role_delete', 'success', v_org, labos.user_id(), labos.session_id(), jsonb_build_object('role', v_role.name));
  return jsonb_build_object('status', 'ok', 'role', v_role.name);
end
$$;
comment on function lab.role_delete(text) is
$$Delete a role

Its name becomes free. Errors: 403 without `role:delete`, 404 `role_not_found`, 409 `system_role`, `role_in_use` with the number of users and roles.$$;

-- assignments ---------------------------------------------------------------

create or replace function lab_private.role_give(org_id uuid, user_id uuid, role text, expires_at timestamptz) returns lab_data.roles
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_role lab_data.roles := lab_private.find_role(role_give.org_id, role_give.role);
begin
  perform labos.require_permission('role:assign');
  if role_give.expires_at <= now() then
    raise exception 'the expiry is in the past' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_expiry', 'expires_at', role_give.expires_at)::text;
  end if;
  perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id]));
  insert into lab_data.user_roles as g (org_id, user_id, role_id, assigned_by, expires_at)
  values (role_give.org_id, role_give.user_id, v_role.id, labos.user_id(), nullif(role_give.expires_at, 'infinity'))
  on conflict on constraint user_roles_pkey do update
    set assigned_by = excluded.assigned_by, assigned_at = now(), expires_at = excluded.expires_at;
  return v_role;
end
$$;
comment on function lab_private.role_give(uuid, uuid, text, timestamptz) is
  'Gives a role: PT403 without role:assign, permission_escalation, PT404 role_not_found, PT400 invalid_expiry.';

create or replace function lab.role_assign(user_id uuid, role text, expires_at timestamptz default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('role:assign');
  v_role lab_data.roles;
begin
  perform lab_private.require_writable(),
          lab_private.lock_organization(v_org),
          lab_private.require_member(v_org, role_assign.user_id);
  v_role := lab_private.role_give(org_id => v_org, user_id => role_assign.user_id, role => role_assign.role, expires_at => role_assign.expires_at);
  -- An expiry given to the last admin would remove them later.
  if v_role.name = 'admin' and role_assign.expires_at is not null then
    perform lab_private.require_admin_left(v_org);
  end if;
  perform lab_private.access_log('role_assign', 'success', v_org, role_assign.user_id, labos.session_id(),
    jsonb_strip_nulls(jsonb_build_object('by', labos.user_id(), 'role', v_role.name, 'expires_at', role_assign.expires_at)));
  return lab.user_permissions(role_assign.user_id);
end
$$;
comment on function lab.role_assign(uuid, text, timestamptz) is
$$Give a role

Effective with the user's next statement, until `expires_at` if given; giving it again sets the expiry anew. Errors: 400 `invalid_expiry`, 403 without `role:assign`, `permission_escalation`, 404 `user_not_found`, `role_not_found`, 409 `last_admin`.$$;

create or replace function lab.role_revoke(user_id uuid, role text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('role:assign');
  v_role lab_data.roles;
begin
  perform lab_private.require_writable(),
          lab_private.lock_organization(v_org),
          lab_private.require_member(v_org, role_revoke.user_id);
  v_role := lab_private.find_role(v_org, role_revoke.role);
  perform lab_private.require_permissions(lab_private.role_grants(array[v_role.id]));
  delete from lab_data.user_roles g
  where g.org_id = v_org and g.user_id = role_revoke.user_id and g.role_id = v_role.id;
  if not found then
    raise exception 'the user does not have this role' using errcode = 'PT404',
      detail = json_build_object('code', 'role_not_assigned', 'role', v_role.name)::text;
  end if;
  if v_role.name = 'admin' then
    perform lab_private.require_admin_left(v_org);
  end if;
  perform lab_private.access_log('role_revoke', 'success', v_org, role_revoke.user_id, labos.session_id(),
    jsonb_build_object('by', labos.user_id(), 'role', v_role.name));
  return jsonb_build_object('status', 'ok', 'user_id', role_revoke.user_id, 'role', v_role.name,
    'roles', lab_private.member_roles(v_org, role_revoke.user_id));
end
$$;
comment on function lab.role_revoke(uuid, text) is
$$Take a role away

Effective with the user's next statement. Errors: 403 without `role:assign`, `permission_escalation`, 404 `user_not_found`, `role_not_found`, `role_not_assigned`, 409 `last_admin`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.role_create(text, text, text, text[], text, boolean), lab.role_update(text, text, text, text[], text, boolean), lab.role_delete(text),
  lab.role_assign(uuid, text, timestamptz), lab.role_revoke(uuid, text)
  from public;
grant execute on function
  lab.role_create(text, text, text, text[], text, boolean), lab.role_update(text, text, text, text[], text, boolean), lab.role_delete(text),
  lab.role_assign(uuid, text, timestamptz), lab.role_revoke(uuid, text)
  to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/025_installation.sql', 'r', 21, 'core', $labos_file$/*
 * Room: identity, the installation
 *
 * What stands above all organisations: the first one, further ones, and the
 * settings of identity. Only superusers of the installation come here (a mark
 * on a user, not a database superuser).
 *
 * Holds    bootstrap, organization_create, identity_settings, identity_settings_update
 * Needs    020 to 024
 */

-- organisations -------------------------------------------------------------

create or replace function lab_private.organization_add(name text, slug text) returns uuid
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_name text := btrim(organization_add.name);
  v_slug text := coalesce(lower(btrim(organization_add.slug)),
    trim(both '-' from left(regexp_replace(lower(v_name), '[^a-z0-9]+', '-', 'g'), 50)));
  v_org  uuid;
begin
  if v_name is null or length(v_name) not between 1 and 200 or v_name ~ '[[:cntrl:]]' then
    raise exception 'invalid organisation name' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_organization')::text,
      hint = 'One to 200 characters.';
  end if;
  -- A name without a Latin letter or digit gives no slug of its own.
  if organization_add.slug is null and v_slug !~ '^[a-z0-9]' then
    v_slug := 'org-' || left(md5(v_name), 8);
  end if;
  if v_slug !~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$' then
    raise exception 'invalid slug' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_slug')::text,
      hint = 'Up to fifty lower-case letters, digits and inner hyphens.';
  elsif exists (select from lab_data.organizations o where o.slug = v_slug and o.deleted_at is null) then
    raise exception 'an organisation of this slug exists' using errcode = 'PT409',
      detail = json_build_object('code', 'organization_exists', 'slug', v_slug)::text;
  end if;
  insert into lab_data.organizations (name, slug) values (v_name, v_slug) returning id into v_org;
  return v_org;
end
$$;
comment on function lab_private.organization_add(text, text) is
  'An organisation; the slug is made from the name when null. PT400 invalid_organization, invalid_slug, PT409 organization_exists.';

create or replace function lab_private.make_admin(org_id uuid, user_id uuid, assigned_by uuid) returns void
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  insert into lab_data.user_roles (org_id, user_id, role_id, assigned_by)
  select make_admin.org_id, make_admin.user_id, r.id, make_admin.assigned_by
  from lab_data.roles r
  where r.org_id is null and r.name = 'admin' and r.deleted_at is null
$$;
comment on function lab_private.make_admin(uuid, uuid, uuid) is 'Gives the system role admin, without the checks of role_assign.';

create or replace function lab.organization_create(
  name text, slug text default null, admin_email text default null, admin_password text default null,
  admin_username text default null, admin_full_name text default null) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_caller uuid := lab_private.require_superuser();
  v_org    uuid;
  v_email  text;
  v_admin  uuid;
begin
  perform lab_private.require_writable();
  v_org := lab_private.organization_add(organization_create.name, organization_create.slug);
  if admin_email is null then
    v_admin := v_caller;
  else
    v_email := lab_private.normal_email(admin_email);
    v_admin := (lab_private.find_user(v_email)).id;
  end if;

  if v_admin is null then
    v_admin := lab_private.user_add(v_org, v_email,
      coalesce(admin_username, lab_private.free_username(v_email)), admin_password, admin_full_name, null, null,
      is_verified => true, must_change => false);
  elsif admin_password is not null or admin_username is not null then
    raise exception 'this e-mail address is taken' using errcode = 'PT409',
      detail = json_build_object('code', 'email_taken')::text,
      hint = 'Leave password and username out to make the existing user the admin.';
  else
    insert into lab_data.memberships (org_id, user_id, is_default) values (v_org, v_admin, false);
  end if;
  perform lab_private.make_admin(v_org, v_admin, v_caller),
          lab_private.access_log('organization_create', 'success', v_org, v_admin, labos.session_id(), jsonb_build_object('by', v_caller));
  return (select jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug, 'admin', lab_private.user_json(o.id, v_admin))
          from lab_data.organizations o where o.id = v_org);
end
$$;
comment on function lab.organization_create(text, text, text, text, text, text) is
$$Create an organisation

With its own admin: a new user, an existing one (by e-mail address alone), or the caller when no address is given. For superusers of the installation. Errors: 400 `invalid_organization`, `invalid_slug`, `invalid_email`, `invalid_username`, 403 `superuser_required`, 409 `organization_exists`, `email_taken`, `username_taken`, 422 `weak_password`.$$;

create or replace function lab_private.free_username(email text) returns text
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_base text := left(regexp_replace(split_part(free_username.email, '@', 1), '[^A-Za-z0-9_-]+', '-', 'g'), 24);
  v_name text;
  v_n    integer := 1;
begin
  v_base := rpad(v_base, greatest(3, length(v_base)), '_');
  v_name := v_base;
  while exists (select from lab_data.users u where lower(u.username::text) = lower(v_name)) loop
    v_n := v_n + 1;
    v_name := v_base || v_n;
  end loop;
  return v_name;
end
$$;
comment on function lab_private.free_username(text) is 'A free username made from an e-mail address.';

-- bootstrap -----------------------------------------------------------------

create or replace function lab_private.bootstrap(org text, email text, password text) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_settings lab_private.identity_settings;
  v_org      uuid;
  v_user     uuid;
  v_email    text;
  v_kid      text;
begin
  select s.* into v_settings from lab_private.identity_settings s for update;
  if v_settings.bootstrapped_at is not null then
    raise exception 'this installation is bootstrapped already' using errcode = 'PT409',
      detail = json_build_object('code', 'already_bootstrapped', 'at', v_settings.bootstrapped_at)::text,
      hint = 'Sign in as its superuser and call organization_create or user_create.';
  end if;
  v_email := lab_private.normal_email(bootstrap.email);
  if bootstrap.password is null then
    raise exception 'a password is required' using errcode = 'PT400',
      detail = json_build_object('code', 'missing_argument', 'argument', 'password')::text;
  end if;
  v_org := lab_private.organization_add(bootstrap.org, null);
  v_user := lab_private.user_add(v_org, v_email, lab_private.free_username(v_email), bootstrap.password, null, null, null,
    is_verified => true, must_change => false, is_superuser => true);
  v_kid := lab_private.signing_key_add('EdDSA', clock_timestamp());
  update lab_private.identity_settings s
  set bootstrapped_at = now(), refresh_key = labos.secret_seal(convert_to(labos.random_token(), 'UTF8'), 'refresh_key');
  perform lab_private.make_admin(v_org, v_user, null),
          lab_private.access_log('bootstrap', 'success', v_org, v_user);
  return (select jsonb_build_object('org_id', v_org, 'user_id', v_user, 'email', u.email, 'username', u.username,
                                    'slug', o.slug, 'kid', v_kid)
          from lab_data.users u, lab_data.organizations o where u.id = v_user and o.id = v_org);
end
$$;
comment on function lab_private.bootstrap(text, text, text) is
  'The first organisation, its admin and superuser of the installation, the first signing key; called by labos.bootstrap() only.';

-- settings ------------------------------------------------------------------

create or replace function lab.identity_settings() returns jsonb
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  perform lab_private.require_superuser();
  return (select to_jsonb(s) - '{singleton,refresh_key}'::text[] from lab_private.identity_settings s);
end
$$;
comment on function lab.identity_settings() is
$$Settings of identity

For superusers of the installation. Errors: 401 `not_authenticated`, 403 `superuser_required`.$$;

create or replace function lab.identity_settings_update(settings jsonb) returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user    uuid := lab_private.require_superuser();
  v_known   text[] := array['issuer', 'audience', 'registration', 'registration_org_id', 'max_failed_logins', 'lock_seconds',
                            'refresh_grace_seconds', 'key_lead_seconds', 'session_days', 'trusted_proxies'];
  v_unknown text[];
begin
  perform lab_private.require_writable();
  if identity_settings_update.settings is null or jsonb_typeof(identity_settings_update.settings) <> 'object' then
    raise exception 'settings must be an object' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_setting')::text;
  end if;
  v_unknown := array(select k from jsonb_object_keys(identity_settings_update.settings) k where k <> all (v_known) limit 20);
  if cardinality(v_unknown) > 0 then
    raise exception 'unknown setting' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_setting', 'settings', v_unknown)::text;
  end if;
  update lab_private.identity_settings s
  set (issuer, audience, registration, registration_org_id, max_failed_logins, lock_seconds,
       refresh_grace_seconds, key_lead_seconds, session_days, trusted_proxies, updated_at, updated_by)
    = (select n.issuer, n.audience, n.registration, n.registration_org_id, n.max_failed_logins, n.lock_seconds,
              n.refresh_grace_seconds, n.key_lead_seconds, n.session_days, n.trusted_proxies, now(), v_user
       from jsonb_populate_record(s, identity_settings_update.settings) n);
  if identity_settings_update.settings ? 'audience' then
    notify pgrst, 'reload config';
  end if;
  perform lab_private.access_log('settings_update', 'success', labos.org_id(), v_user, labos.session_id(), identity_settings_update.settings);
  return lab.identity_settings();
exception
  when check_violation or not_null_violation or foreign_key_violation or invalid_text_representation or numeric_value_out_of_range then
    raise exception 'invalid setting' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_setting', 'reason', sqlerrm)::text;
end
$$;
comment on function lab.identity_settings_update(jsonb) is
$$Change settings of identity

An object of issuer, audience, registration, registration_org_id, max_failed_logins, lock_seconds, refresh_grace_seconds, key_lead_seconds, session_days, trusted_proxies; what is left out stays. Errors: 400 `invalid_setting`, 401 `not_authenticated`, 403 `superuser_required`.$$;

-- grants --------------------------------------------------------------------

revoke all on all functions in schema lab_private from public;
revoke all on function
  lab.organization_create(text, text, text, text, text, text), lab.identity_settings(), lab.identity_settings_update(jsonb)
  from public;
grant execute on function
  lab.organization_create(text, text, text, text, text, text), lab.identity_settings(), lab.identity_settings_update(jsonb)
  to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/030_audit.sql', 'r', 22, 'core', $labos_file$/*
 * Room: audit (access)
 *
 * What clients see of the log: the view audit_log, the history, state and
 * differences of a record, and sealing and verifying for those who may.
 *
 * Holds    lab.audit_log, audit_history(), audit_as_of(), audit_diff(), audit_seal(), audit_verify()
 * Needs    m/030_audit, code/audit, r/010_tenancy
 * Used by  clients
 */

do $do$
declare
  v_table text;
begin
  -- No policy for clients: they have no grant either. Partitions have none of their own.
  foreach v_table in array array['audit_gen', 'audit_table', 'audit_ctx', 'audit_log', 'audit_log_default', 'audit_block', 'audit_tile', 'audit_checkpoint'] loop
    execute format('alter table lab_private.%I enable row level security', v_table);
    execute format('alter table lab_private.%I force row level security', v_table);
    execute format('drop policy if exists owner_all on lab_private.%I', v_table);
    execute format('create policy owner_all on lab_private.%I to lab_owner using (true) with check (true)', v_table);
    execute format('revoke all on lab_private.%I from public, lab_anon, lab_user, lab_guest', v_table);
  end loop;
end
$do$;

-- The log, as far as the caller's organisation goes ----------------------------------

-- Kinds of records that have an owner: their history is for them and for holders of read_any.
create or replace view lab_private.audit_scope as
select t.id, t.kind, x.permission
from lab_private.audit_table t
left join (select format('%I.%I', n.nspname, c.relname) as relname,
                  substring(pg_get_expr(p.polqual, p.polrelid) from $x$owner_for\('([a-z_]+:read_any)'$x$) as permission
           from pg_policy p
           join pg_class c on c.oid = p.polrelid
           join pg_namespace n on n.oid = c.relnamespace
           where p.polname = 'select_own_org') x on x.relname = t.relname;
comment on view lab_private.audit_scope is 'Definitions of audited tables with the permission that shows records of others: null where all who read the table see all.';

/*
 * A barrier view with the owner's rights, since nobody is granted the log
 * itself; only lab.audit_log, which runs with the caller's, may be named.
 */
create or replace view lab_private.audit_visible with (security_barrier) as
with kinds as materialized (
  select s.id, s.kind, s.permission is null or labos.has_permission(s.permission) as readable from lab_private.audit_scope s)
select l.gen, l.xid, l.n, l.ts, l.op, t.kind, l.rec, l.actor, l.reason, l.payload, l.ctx
from lab_private.audit_log l
left join kinds t on t.id = l.tab
where l.org_id = labos.org_for('audit:read') and coalesce(t.readable, true);
comment on view lab_private.audit_visible is 'The rows of the audit log that the caller may see; behind lab.audit_log.';
grant select on lab_private.audit_visible to lab_user;

create or replace view lab.audit_log with (security_invoker) as
select v.gen, v.xid, v.n, v.ts as at,
       case v.op when 'I' then 'insert' when 'U' then 'update' when 'D' then 'delete' when 'T' then 'truncate'
                 when 'S' then 'snapshot' when 'X' then 'redaction' else 'event' end as op,
       v.kind, v.rec as record_id, v.actor as actor_id, v.reason, v.payload as changes
from lab_private.audit_visible v;
comment on view lab.audit_log is
$$The audit trail of the organisation

One row for each change of a record, for holders of `audit:read`; order by `gen.desc,xid.desc,n.desc` for the latest. changes: {"column": value}, for updates {"column": [old, new]}.$$;
comment on column lab.audit_log.gen is 'Generation of the log: rises when the database was restored or copied.';
comment on column lab.audit_log.xid is 'Transaction.';
comment on column lab.audit_log.n is 'Place in the transaction.';
comment on column lab.audit_log.record_id is 'Id of the record; of records without one, a hash of their key.';
comment on column lab.audit_log.actor_id is 'The user who signed in; null for the system.';
revoke all on lab.audit_log from public, lab_anon, lab_user, lab_guest;
grant select on lab.audit_log to lab_user;
-- Nobody has the right to write here. Without a trigger PostgreSQL does not come to say so: it answers 55000, HTTP 500.
create or replace function lab_private.tg_audit_log__read_only() returns trigger
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
begin
  raise exception 'the audit log is written by the system only' using errcode = 'PT403',
    detail = json_build_object('code', 'read_only')::text;
end
$$;
comment on function lab_private.tg_audit_log__read_only() is 'Refuses writing the view of the audit log.';
revoke all on function lab_private.tg_audit_log__read_only() from public;
create or replace trigger _100_read_only instead of insert or update or delete on lab.audit_log
  for each row execute function lab_private.tg_audit_log__read_only();

-- One record ---------------------------------------------------------------------------

create or replace function lab_private.audit_kinds(kind text) returns integer[]
  language sql stable parallel safe set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(t.id), '{}')
  from lab_private.audit_table t
  where t.kind in (audit_kinds.kind, audit_kinds.kind || 's')
$$;
comment on function lab_private.audit_kinds(text) is 'Definitions of a kind of record, given in singular or plural.';

create or replace function lab_private.audit_readable(org_id uuid, tabs integer[], id uuid) returns boolean
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
  -- Not of others, or one's own as the log knows it.
  select not exists (select from lab_private.audit_scope s
                     where s.id = any (audit_readable.tabs) and not labos.has_permission(s.permission))
    or exists (select from lab_private.audit_log l
               where l.rec = audit_readable.id and l.tab = any (audit_readable.tabs) and l.org_id = audit_readable.org_id
                 and l.op in ('I', 'S') and (l.payload ->> 'owner_id')::uuid = labos.user_id())
$$;
comment on function lab_private.audit_readable(uuid, integer[], uuid) is 'Whether the caller may read the history of this record: all of it, or as its first owner.';
revoke all on function lab_private.audit_readable(uuid, integer[], uuid) from public;

create or replace function lab.audit_history(kind text, id uuid)
  returns table (n bigint, at timestamptz, op text, actor uuid, actor_name text, changes json, reason text,
                 request_id text, ip text, db_role text)
  language plpgsql stable security definer rows 20
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('audit:read');
  v_tabs integer[] := lab_private.audit_kinds(kind);
begin
  if cardinality(v_tabs) = 0 then
    raise exception 'kind of record not found' using errcode = 'PT404',
      detail = json_build_object('code', 'kind_not_found', 'kind', kind)::text,
      hint = 'A kind is the name of a resource, for example samples.';
  end if;
  return query
  select row_number() over w, l.ts,
         case l.op when 'I' then 'insert' when 'U' then 'update' when 'D' then 'delete' when 'T' then 'truncate'
                   when 'S' then 'snapshot' when 'X' then 'redaction' else 'event' end,
         l.actor, coalesce(u.full_name, u.username), l.payload, l.reason, c.request_id, c.ip, c.db_role
  from lab_private.audit_log l
  left join lab_private.audit_ctx c on c.id = l.ctx
  left join lab_data.users u on u.id = l.actor
  where l.rec = audit_history.id and l.tab = any (v_tabs) and l.org_id = v_org
    and lab_private.audit_readable(v_org, v_tabs, audit_history.id)
  window w as (order by l.gen, l.ts, l.xid, l.n)
  order by 1;
end
$$;
comment on function lab.audit_history(text, uuid) is
$$History of a record

Every version in order: who, when, what (old and new), why and from where. n counts from 1. Errors: 401, 403 without `audit:read`, 404 `kind_not_found`; a record of another organisation, or of somebody else where only owners see theirs, has no rows.$$;

create or replace function lab.audit_as_of(kind text, id uuid, at timestamptz default now())
  returns jsonb
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('audit:read');
  v_tabs  integer[] := lab_private.audit_kinds(kind);
  v_state jsonb;
  v_row   record;
begin
  if not lab_private.audit_readable(v_org, v_tabs, audit_as_of.id) then
    return null;
  end if;
  for v_row in
    select l.op, l.payload::jsonb as payload
    from lab_private.audit_log l
    where l.rec = audit_as_of.id and l.tab = any (v_tabs) and l.org_id = v_org and l.ts <= audit_as_of.at
    order by l.gen, l.ts, l.xid, l.n
  loop
    if v_row.op in ('I', 'S') then
      v_state := v_row.payload;
    elsif v_row.op = 'U' then
      v_state := coalesce(v_state, '{}')
        || coalesce((select jsonb_object_agg(e.key, e.value -> 1) from jsonb_each(v_row.payload) e), '{}');
    elsif v_row.op in ('D', 'T') then
      v_state := null;
    end if;
  end loop;
  return v_state;
end
$$;
comment on function lab.audit_as_of(text, uuid, timestamptz) is
$$A record as it was

Its columns at that time, replayed from the audit trail; null when it did not exist. Errors: 401, 403 without `audit:read`.$$;

create or replace function lab.audit_diff(kind text, id uuid, "from" timestamptz, "to" timestamptz default now())
  returns jsonb
  language sql stable security invoker
  set search_path to pg_catalog, labos, pg_temp
as $$
  select coalesce(jsonb_object_agg(coalesce(a.key, b.key),
                                   jsonb_build_array(coalesce(a.value, 'null'), coalesce(b.value, 'null'))), '{}')
  from jsonb_each(coalesce(lab.audit_as_of(kind, id, "from"), '{}')) a
  full join jsonb_each(coalesce(lab.audit_as_of(kind, id, "to"), '{}')) b on b.key = a.key
  where a.value is distinct from b.value
$$;
comment on function lab.audit_diff(text, uuid, timestamptz, timestamptz) is
$$What changed in a record between two times

{"column": [then, later]}. Errors: 401, 403 without `audit:read`.$$;

-- Sealing and verifying -------------------------------------------------------------------------------

create or replace function lab.audit_seal()
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('audit:verify');
  v_made record;
begin
  select s.* into v_made from labos.audit_seal() s where v_org is not null;
  return jsonb_build_object('block', v_made.block, 'entries', v_made.entries, 'size', v_made.size,
                            'root', encode(v_made.root, 'hex'));
end
$$;
comment on function lab.audit_seal() is
$$Seal the audit trail

Puts all rows since the last block into the Merkle tree: block (null when there was nothing), entries, size and root of the tree. Errors: 401, 403 without `audit:verify`.$$;

create or replace function lab.audit_verify(from_block bigint default 1, to_block bigint default null)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('audit:verify');
  v_seen record;
begin
  select v.* into v_seen from labos.audit_verify(from_block, to_block) v where v_org is not null;
  return jsonb_build_object('ok', v_seen.ok, 'blocks', v_seen.blocks, 'entries', v_seen.entries, 'unsealed', v_seen.unsealed)
    || case when v_seen.ok then '{}' else
         jsonb_build_object('bad_block', v_seen.bad_block, 'bad_entry', v_seen.bad_entry, 'bad_xid', v_seen.bad_xid,
                            'bad_n', v_seen.bad_n, 'reason', v_seen.reason) end;
end
$$;
comment on function lab.audit_verify(bigint, bigint) is
$$Verify the audit trail

Recomputes every hash from the stored rows: ok, or the first fault with its place and reason (row changed, row missing, row inserted, block changed, block missing, tile changed, ...). Errors: 400 for a wrong range, 401, 403 without `audit:verify`.$$;

revoke all on function lab_private.audit_kinds(text) from public;
revoke all on function lab.audit_history(text, uuid), lab.audit_as_of(text, uuid, timestamptz),
  lab.audit_diff(text, uuid, timestamptz, timestamptz), lab.audit_seal(), lab.audit_verify(bigint, bigint) from public;
grant execute on function lab.audit_history(text, uuid), lab.audit_as_of(text, uuid, timestamptz),
  lab.audit_diff(text, uuid, timestamptz, timestamptz), lab.audit_seal(), lab.audit_verify(bigint, bigint) to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/100_projects.sql', 'r', 23, 'lims', $labos_file$/*
 * Room: projects (repeatable half)
 */

create or replace trigger _100_stamp before insert or update on lab_data.projects for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.projects
  for each row execute function labos.tg__state('status',
    'insert>planned,active',
    'planned>active,archived',
    'active>on_hold,completed,archived',
    'on_hold>active,completed,archived',
    'completed>active,archived',
    'archived>active');
create or replace trigger _100_stamp before insert or update on lab_data.project_members for each row execute function labos.tg__stamp();

-- A foreign key sees neither that a project is deleted nor says its name: this does, for all that belong to one.
create or replace function lab_private.tg__project() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if NEW.project_id is null or (TG_OP = 'UPDATE' and NEW.project_id is not distinct from OLD.project_id) then
    return NEW;
  end if;
  perform from lab_data.projects p where p.org_id = NEW.org_id and p.id = NEW.project_id and p.deleted_at is null for share;
  if not found then
    raise exception 'project not found' using errcode = 'PT422',
      detail = json_build_object('code', 'project_not_found', 'id', NEW.project_id)::text, hint = 'Name a project of this organisation.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg__project() is 'Before insert or change of project_id: the project is there and not deleted; PT422 project_not_found.';

create or replace trigger _300_project before insert or update of project_id on lab_data.project_members
  for each row execute function lab_private.tg__project();

call labos.protect('lab_data.projects', 'project', verbs => '{select,insert,update}');
call labos.expose('projects',
  insert_columns => '{id,code,name,description,status,lead_id,starts_on,ends_on,metadata}',
  update_columns => '{code,name,description,status,lead_id,starts_on,ends_on,metadata,version}',
  deletable => true, prefix => 'project');

-- Members are the business of project:manage.
call labos.protect('lab_data.project_members', 'project', verbs => '{select}');
create policy insert_own_org on lab_data.project_members for insert to lab_user with check (org_id = labos.org_for('project:manage'));
create policy update_own_org on lab_data.project_members for update to lab_user
  using (org_id = labos.org_for('project:manage')) with check (org_id = labos.org_for('project:manage'));
call labos.expose('project_members',
  insert_columns => '{id,project_id,user_id,role}', update_columns => '{role,version}',
  deletable => true, prefix => 'project');
create or replace trigger _100_soft_delete instead of delete on lab.project_members
  for each row execute function lab_private.tg__soft_delete('project:manage');

call labos.audit_enable('lab_data.projects');
call labos.audit_enable('lab_data.project_members');
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/110_locations.sql', 'r', 24, 'lims', $labos_file$/*
 * Room: locations (repeatable half)
 */

-- Positions: A1, B12, AA3 ----------------------------------------------------------

create or replace function lab_private.position_name("row" integer, "column" integer) returns text
  language sql immutable strict parallel safe
  set search_path to pg_catalog, pg_temp
as $$
  select case when "row" > 26 then chr(64 + ("row" - 1) / 26) else '' end || chr(65 + ("row" - 1) % 26) || "column"
$$;
comment on function lab_private.position_name(integer, integer) is 'The name of a position of a grid: row 1 column 1 is A1, row 27 is AA.';

create or replace function lab_private.position_in_grid("position" text, grid_rows integer, grid_columns integer) returns text
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_part text[] := regexp_match(upper(btrim("position")), '^([A-Z]{1,2})0*([1-9][0-9]{0,2})$');
  v_row  integer;
begin
  if v_part is null then
    return null;
  end if;
  v_row := case length(v_part[1])
             when 1 then ascii(v_part[1]) - 64
             else (ascii(v_part[1]) - 64) * 26 + ascii(substr(v_part[1], 2)) - 64 end;
  if v_row > grid_rows or v_part[2]::integer > grid_columns then
    return null;
  end if;
  return v_part[1] || v_part[2];
end
$$;
comment on function lab_private.position_in_grid(text, integer, integer) is 'The canonical name of a position, null when the grid has none like it: a01 is A1.';

-- the tree --------------------------------------------------------------------------

create or replace function lab_private.tg_locations__tree() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_levels constant integer := 32;
  v_at     uuid := NEW.parent_id;
  v_depth  integer := 0;
  v_below  integer;
  v_node   record;
begin
  if NEW.parent_id is null or NEW.deleted_at is not null then
    return NEW;
  end if;
  if TG_OP = 'UPDATE' and NEW.parent_id is not distinct from OLD.parent_id and (OLD.deleted_at is null) then
    return NEW;
  end if;
  -- Two moves that would close a circle together wait for each other here. A moved location is locked
  -- before this, so that the walk must not lock rows: it reads what is committed. Under repeatable read
  -- it would read the past, so there it locks, and PostgreSQL refuses a row changed meanwhile.
  perform pg_advisory_xact_lock(hashtextextended('labos.locations:' || NEW.org_id, 0));
  while v_at is not null loop
    v_depth := v_depth + 1;
    if v_at = NEW.id then
      raise exception 'a location cannot stand inside of itself' using errcode = 'PT409',
        detail = json_build_object('code', 'location_cycle', 'id', NEW.id, 'parent_id', NEW.parent_id)::text,
        hint = 'Choose a parent outside of the location''s own contents.';
    end if;
    if v_depth > v_levels then
      raise exception 'locations are nested too deeply' using errcode = 'PT422',
        detail = json_build_object('code', 'location_too_deep', 'levels', v_levels)::text, hint = 'Flatten the tree.';
    end if;
    if current_setting('transaction_isolation') = 'read committed' then
      select l.parent_id, l.kind, l.deleted_at into v_node from lab_data.locations l where l.org_id = NEW.org_id and l.id = v_at;
    else
      select l.parent_id, l.kind, l.deleted_at into v_node from lab_data.locations l where l.org_id = NEW.org_id and l.id = v_at for share;
    end if;
    if not found or v_node.deleted_at is not null then
      raise exception 'parent location not found' using errcode = 'PT422',
        detail = json_build_object('code', 'location_not_found', 'id', v_at)::text, hint = 'Name a location of this organisation.';
    end if;
    if v_depth = 1 and v_node.kind = 'position' then
      raise exception 'a position holds one container and no places' using errcode = 'PT422',
        detail = json_build_object('code', 'location_is_position', 'id', v_at)::text, hint = 'Choose the box or rack itself.';
    end if;
    v_at := v_node.parent_id;
  end loop;
  -- It and what moves along must fit.
  with recursive down (id, level) as (
    select NEW.id, 1
    union all
    select l.id, d.level + 1 from down d join lab_data.locations l on l.org_id = NEW.org_id and l.parent_id = d.id
    where d.level <= v_levels)
  select max(d.level) into v_below from down d;
  if v_depth + v_below > v_levels then
    raise exception 'locations are nested too deeply' using errcode = 'PT422',
      detail = json_build_object('code', 'location_too_deep', 'levels', v_levels)::text, hint = 'Flatten the tree.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_locations__tree() is 'Before insert or move of a location: no cycle, no deleted parent, at most 32 levels, also under concurrent moves.';

create or replace function lab_private.tg_locations__contents() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_code text;
begin
  if NEW.deleted_at is not null and OLD.deleted_at is null then
    -- What is just being put under it waits for this, or this sees it.
    perform pg_advisory_xact_lock(hashtextextended('labos.locations:' || NEW.org_id, 0));
    if exists (select from lab_data.locations l where l.org_id = NEW.org_id and l.parent_id = NEW.id and l.deleted_at is null)
       or exists (select from lab_data.samples s where s.org_id = NEW.org_id and s.location_id = NEW.id and s.deleted_at is null)
       or exists (select from lab_data.instruments i where i.org_id = NEW.org_id and i.location_id = NEW.id and i.deleted_at is null)
    then
      raise exception 'the location is not empty' using errcode = 'PT409',
        detail = json_build_object('code', 'location_in_use', 'id', NEW.id)::text, hint = 'Move its contents first.';
    end if;
  end if;
  if NEW.kind = 'position' and OLD.kind <> 'position' then
    perform pg_advisory_xact_lock(hashtextextended('labos.locations:' || NEW.org_id, 0));
    if exists (select from lab_data.locations l where l.org_id = NEW.org_id and l.parent_id = NEW.id and l.deleted_at is null) then
      raise exception 'a position holds one container and no places' using errcode = 'PT409',
        detail = json_build_object('code', 'location_in_use', 'id', NEW.id)::text, hint = 'Move its places first.';
    end if;
  end if;
  if (NEW.kind, NEW.grid_rows, NEW.grid_columns) is distinct from (OLD.kind, OLD.grid_rows, OLD.grid_columns) then
    select s.barcode into v_code
    from lab_data.samples s
    where s.org_id = NEW.org_id and s.location_id = NEW.id and s.deleted_at is null
      and case when NEW.kind = 'position' or OLD.kind = 'position' then true
               when NEW.grid_rows is null then false
               else s.position is null or lab_private.position_in_grid(s.position, NEW.grid_rows, NEW.grid_columns) is null end
    limit 1;
    if v_code is not null then
      raise exception 'a container stands where the new grid has no position' using errcode = 'PT409',
        detail = json_build_object('code', 'location_in_use', 'id', NEW.id, 'barcode', v_code)::text, hint = 'Move it first.';
    end if;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_locations__contents() is 'Before a location is deleted or its grid changed: nothing stands in it that would be lost.';

create or replace trigger _100_stamp before insert or update on lab_data.locations for each row execute function labos.tg__stamp();
create or replace trigger _300_tree before insert or update on lab_data.locations for each row execute function lab_private.tg_locations__tree();
create or replace trigger _310_contents before update on lab_data.locations for each row execute function lab_private.tg_locations__contents();

call labos.audit_enable('lab_data.locations');
call labos.protect('lab_data.locations', 'location', verbs => '{select,insert,update}');
call labos.expose('locations',
  insert_columns => '{id,parent_id,kind,code,name,grid_rows,grid_columns,temperature_c,description,metadata}',
  update_columns => '{parent_id,kind,code,name,grid_rows,grid_columns,temperature_c,description,metadata,version}',
  deletable => true, prefix => 'location');

create or replace function lab.location_path(id uuid) returns setof lab.locations
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
  with recursive up (id, parent_id, level) as (
    select l.id, l.parent_id, 1 from lab.locations l where l.id = location_path.id
    union all
    select l.id, l.parent_id, u.level + 1 from up u join lab.locations l on l.id = u.parent_id where u.level < 64)
  select l.* from up u join lab.locations l on l.id = u.id order by u.level desc
$$;
comment on function lab.location_path(uuid) is
$$Path of a location

The location and all it stands in, outermost first; empty for an unknown id.$$;
revoke all on function lab.location_path(uuid) from public;
grant execute on function lab.location_path(uuid) to lab_user;

create or replace function lab.location_tree(id uuid default null)
  returns table (location_id uuid, parent_id uuid, level integer, kind text, code text, name text, path text)
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
  with recursive down (id, parent_id, level, kind, code, name, path) as (
    select l.id, l.parent_id, 1, l.kind::text, l.code::text, l.name::text, l.code::text
    from lab.locations l
    where case when location_tree.id is null then l.parent_id is null else l.id = location_tree.id end
    union all
    select l.id, l.parent_id, d.level + 1, l.kind::text, l.code::text, l.name::text, d.path || ' / ' || l.code
    from down d join lab.locations l on l.parent_id = d.id where d.level < 64)
  select d.* from down d order by d.path
$$;
comment on function lab.location_tree(uuid) is
$$Tree of locations

Everything below a location, itself included, or the whole tree; in the order of the path of codes.$$;
revoke all on function lab.location_tree(uuid) from public;
grant execute on function lab.location_tree(uuid) to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/120_samples.sql', 'r', 25, 'lims', $labos_file$/*
 * Room: samples (repeatable half)
 *
 * Barcodes, places and the chain of custody are kept by triggers, so that they
 * hold for every way in: the API, SQL, COPY.
 */

-- barcodes ---------------------------------------------------------------------------

-- Each organisation numbers its samples by a sequence of its own: registering never waits for another
-- transaction, and the numbers say nothing about other organisations. A number may be left out.
create or replace function lab_private.sample_number(org uuid) returns bigint
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_sequence text := 'sample_number_' || replace(org::text, '-', '');
  v_highest  bigint;
begin
  if to_regclass('lab_private.' || v_sequence) is null then
    perform pg_advisory_xact_lock(hashtextextended('labos.sample_number:' || org, 0));
    if to_regclass('lab_private.' || v_sequence) is null then
      select max(substring(s.barcode from '^S-([0-9]{6,12})-')::bigint) into v_highest
      from lab_data.samples s where s.org_id = org and s.barcode ~ '^S-[0-9]{6,12}-[0-9A-Z]$' and labos.labcode_valid(s.barcode);
      execute format('create sequence lab_private.%I start %s', v_sequence, coalesce(v_highest, 0) + 1);
      execute format('comment on sequence lab_private.%I is %L', v_sequence, 'Numbers the samples of organisation ' || org || '.');
    end if;
  end if;
  return nextval(format('lab_private.%I', v_sequence)::regclass);
end
$$;
comment on function lab_private.sample_number(uuid) is 'The next sample number of an organisation; makes its sequence on first use.';

create or replace function lab_private.gs1_valid(code text, digits integer) returns boolean
  language sql immutable strict parallel safe
  set search_path to pg_catalog, pg_temp
as $$
  -- Weights 3 and 1 in turn, the check digit at the right has 1.
  select case when code ~ '^[0-9]+$' and length(code) = digits
              then (select sum(d.digit::integer * case when (digits - d.place) % 2 = 0 then 1 else 3 end) % 10 = 0
                    from regexp_split_to_table(code, '') with ordinality d(digit, place))
              else false end
$$;
comment on function lab_private.gs1_valid(text, integer) is 'Is this a GS1 number of so many digits with the right check digit (mod 10)?';

create or replace function lab_private.tg_samples__barcode() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_own   constant text := '^S-[0-9]{6,12}-[0-9A-Z]$';
  v_valid boolean;
begin
  NEW.barcode := nullif(btrim(NEW.barcode), '');
  if NEW.barcode is null and TG_OP = 'INSERT' then
    if NEW.org_id is null then
      perform labos.require_org_for('sample:create');
    end if;
    -- A client may have brought a code of our shape that the counter reaches later.
    loop
      NEW.barcode := labos.labcode_make('S', lab_private.sample_number(NEW.org_id));
      exit when not exists (select from lab_data.samples s where s.org_id = NEW.org_id and s.barcode = NEW.barcode and s.deleted_at is null);
    end loop;
  end if;
  -- What was derived from another barcode is derived again.
  if NEW.barcode_symbology is null
     or (TG_OP = 'UPDATE' and NEW.barcode <> OLD.barcode and NEW.barcode_symbology = OLD.barcode_symbology and OLD.barcode_symbology in ('labos', 'code128'))
  then
    NEW.barcode_symbology := case when NEW.barcode ~ v_own then 'labos' else 'code128' end;
  end if;
  v_valid := case NEW.barcode_symbology
    when 'labos' then NEW.barcode ~ v_own and labos.labcode_valid(NEW.barcode)
    when 'ean8' then lab_private.gs1_valid(NEW.barcode, 8)
    when 'upca' then lab_private.gs1_valid(NEW.barcode, 12)
    when 'ean13' then lab_private.gs1_valid(NEW.barcode, 13)
    when 'gtin14' then lab_private.gs1_valid(NEW.barcode, 14)
    when 'sscc18' then lab_private.gs1_valid(NEW.barcode, 18)
    -- Whatever it is printed as: one of our own shape is checked.
    else NEW.barcode !~ v_own or labos.labcode_valid(NEW.barcode) end;
  if not v_valid then
    raise exception 'the check character of the barcode is wrong' using errcode = 'PT422',
      detail = json_build_object('code', 'barcode_check_failed', 'barcode', NEW.barcode, 'symbology', NEW.barcode_symbology)::text,
      hint = 'Scan it again; it was misread or mistyped.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_samples__barcode() is 'Before insert or change of a barcode: makes one when absent, finds its symbology and checks what that has to check.';

-- places -------------------------------------------------------------------------------

create or replace function lab_private.free_position(org uuid, location uuid, grid_rows integer, grid_columns integer) returns text
  language sql volatile
  set search_path to pg_catalog, pg_temp
as $$
  select lab_private.position_name(r, c)
  from generate_series(1, grid_rows) r, generate_series(1, grid_columns) c
  where not exists (
    select from lab_data.samples s
    where s.org_id = free_position.org and s.location_id = free_position.location and s.deleted_at is null
      and s.position = lab_private.position_name(r, c))
  order by r, c
  limit 1
$$;
comment on function lab_private.free_position(uuid, uuid, integer, integer) is 'The first free position of a grid, row by row; null when it is full.';

create or replace function lab_private.tg_samples__place() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_moved   boolean := TG_OP = 'INSERT';
  v_place   lab_data.locations;
  v_wanted  text := NEW.position;
begin
  if TG_OP = 'UPDATE' then
    v_moved := NEW.location_id is distinct from OLD.location_id or NEW.position is distinct from OLD.position
               or (OLD.deleted_at is not null and NEW.deleted_at is null);
    if NEW.status = 'disposed' and OLD.status = 'disposed' and NEW.location_id is not null then
      raise exception 'a disposed sample stands nowhere' using errcode = 'PT409',
        detail = json_build_object('code', 'sample_disposed', 'id', NEW.id)::text, hint = 'Register a new sample.';
    end if;
  end if;
  if NEW.status = 'disposed' or NEW.location_id is null then
    NEW.location_id := null;
    NEW.position := null;
    return NEW;
  elsif not v_moved or NEW.deleted_at is not null then
    return NEW;
  end if;

  -- Held until commit: the place cannot be deleted or get another grid meanwhile.
  select l.* into v_place from lab_data.locations l where l.org_id = NEW.org_id and l.id = NEW.location_id for share;
  if not found or v_place.deleted_at is not null then
    raise exception 'location not found' using errcode = 'PT422',
      detail = json_build_object('code', 'location_not_found', 'id', NEW.location_id)::text, hint = 'Name a location of this organisation.';
  end if;

  if v_place.kind = 'position' then
    NEW.position := '1';
  elsif v_place.grid_rows is null then
    -- The label of a position in the box it comes from means nothing here.
    if TG_OP = 'UPDATE' and NEW.location_id is distinct from OLD.location_id and NEW.position = OLD.position then
      NEW.position := null;
    end if;
    NEW.position := nullif(btrim(NEW.position), '');
    if length(NEW.position) > 40 then
      raise exception 'the position is longer than 40 characters' using errcode = 'PT422',
        detail = json_build_object('code', 'position_invalid')::text, hint = 'Shorten it.';
    end if;
  elsif v_wanted is null then
    -- One at a time, so that two do not take the same.
    perform pg_advisory_xact_lock(hashtextextended('labos.positions:' || NEW.location_id, 0));
    NEW.position := lab_private.free_position(NEW.org_id, NEW.location_id, v_place.grid_rows, v_place.grid_columns);
    if NEW.position is null then
      raise exception 'the location is full' using errcode = 'PT409',
        detail = json_build_object('code', 'location_full', 'location', v_place.code, 'capacity', v_place.grid_rows * v_place.grid_columns)::text,
        hint = 'Choose another location.';
    end if;
  else
    NEW.position := lab_private.position_in_grid(v_wanted, v_place.grid_rows, v_place.grid_columns);
    if NEW.position is null then
      raise exception 'the location has no such position' using errcode = 'PT422',
        detail = json_build_object('code', 'position_invalid', 'position', left(v_wanted, 80), 'location', v_place.code,
                                   'last', lab_private.position_name(v_place.grid_rows, v_place.grid_columns))::text,
        hint = 'Positions run from A1 to the last one; leave it out for the first free one.';
    end if;
  end if;

  if NEW.position is not null and exists (
    select from lab_data.samples s
    where s.org_id = NEW.org_id and s.location_id = NEW.location_id and s.position = NEW.position
      and s.deleted_at is null and s.id <> NEW.id)
  then
    raise exception 'the position is taken' using errcode = 'PT409',
      detail = json_build_object('code', 'position_occupied', 'position', NEW.position, 'location', v_place.code)::text,
      hint = 'Choose another one, or send "position": null for the first free one.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_samples__place() is
  'Before a sample is put somewhere: the place exists, the position is one of its grid and free. Two that race are told apart by the unique index.';

-- custody -------------------------------------------------------------------------------

create or replace function lab_private.tg_samples__reason() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  -- The reason of an earlier change is not the reason of this one.
  if NEW.change_reason is not distinct from OLD.change_reason
     and (NEW.status, NEW.location_id, NEW.position, NEW.owner_id, NEW.transfer_to_id, NEW.deleted_at)
         is distinct from (OLD.status, OLD.location_id, OLD.position, OLD.owner_id, OLD.transfer_to_id, OLD.deleted_at)
  then
    NEW.change_reason := null;
  end if;
  if NEW.owner_id is distinct from OLD.owner_id then
    NEW.transfer_to_id := null;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_samples__reason() is 'Before a change of custody: an old reason does not stand for a new change, an accepted offer is over.';

create or replace function lab_private.tg_samples__custody() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_row lab_data.sample_history;
begin
  v_row.org_id := NEW.org_id;
  v_row.sample_id := NEW.id;
  v_row.reason := NEW.change_reason;
  v_row.actor_id := labos.user_id();
  if TG_OP = 'INSERT' then
    insert into lab_data.sample_history (org_id, sample_id, event, to_status, to_location_id, to_position, to_owner_id, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, 'registered', NEW.status, NEW.location_id, NEW.position, NEW.owner_id, v_row.reason, v_row.actor_id);
    return null;
  end if;
  if NEW.deleted_at is distinct from OLD.deleted_at then
    insert into lab_data.sample_history (org_id, sample_id, event, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, case when NEW.deleted_at is null then 'restored' else 'deleted' end, v_row.reason, v_row.actor_id);
  end if;
  if NEW.status <> OLD.status then
    insert into lab_data.sample_history (org_id, sample_id, event, from_status, to_status, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, 'status_changed', OLD.status, NEW.status, v_row.reason, v_row.actor_id);
  end if;
  if (NEW.location_id, NEW.position) is distinct from (OLD.location_id, OLD.position) then
    insert into lab_data.sample_history (org_id, sample_id, event, from_location_id, to_location_id, from_position, to_position, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, 'moved', OLD.location_id, NEW.location_id, OLD.position, NEW.position, v_row.reason, v_row.actor_id);
  end if;
  if NEW.owner_id is distinct from OLD.owner_id then
    insert into lab_data.sample_history (org_id, sample_id, event, from_owner_id, to_owner_id, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, 'handed_over', OLD.owner_id, NEW.owner_id, v_row.reason, v_row.actor_id);
  elsif NEW.transfer_to_id is distinct from OLD.transfer_to_id then
    insert into lab_data.sample_history (org_id, sample_id, event, from_owner_id, to_owner_id, reason, actor_id)
    values (v_row.org_id, v_row.sample_id, case when NEW.transfer_to_id is null then 'withdrawn' else 'offered' end,
            NEW.owner_id, coalesce(NEW.transfer_to_id, OLD.transfer_to_id), v_row.reason, v_row.actor_id);
  end if;
  return null;
end
$$;
comment on function lab_private.tg_samples__custody() is 'After a change of a sample: writes the chain of custody.';

create or replace function lab_private.tg_sample_history__sealed() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  -- Depth 1 is a statement of somebody's; the custody trigger is deeper.
  if TG_OP <> 'INSERT' or pg_trigger_depth() < 2 then
    raise exception 'the chain of custody is written by the database only' using errcode = 'PT403',
      detail = json_build_object('code', 'history_is_sealed', 'operation', TG_OP)::text, hint = 'Change the sample; its history follows.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_sample_history__sealed() is 'Before any change of the chain of custody that the custody trigger did not make: refused, also to the owner.';

create or replace trigger _100_stamp before insert or update on lab_data.samples for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.samples
  for each row execute function labos.tg__state('status',
    'insert>registered,available,quarantined',
    'registered>available,quarantined,disposed',
    'available>in_use,quarantined,consumed,disposed',
    'in_use>available,quarantined,consumed,disposed',
    'quarantined>available,disposed',
    'consumed>disposed');
create or replace trigger _300_barcode before insert or update of barcode, barcode_symbology on lab_data.samples
  for each row execute function lab_private.tg_samples__barcode();
create or replace trigger _310_place before insert or update on lab_data.samples for each row execute function lab_private.tg_samples__place();
create or replace trigger _330_project before insert or update of project_id on lab_data.samples
  for each row execute function lab_private.tg__project();
create or replace trigger _320_reason before update on lab_data.samples for each row execute function lab_private.tg_samples__reason();
create or replace trigger _500_custody after insert or update on lab_data.samples for each row execute function lab_private.tg_samples__custody();
create or replace trigger _300_sealed before insert or update or delete on lab_data.sample_history
  for each row execute function lab_private.tg_sample_history__sealed();
create or replace trigger _310_sealed before truncate on lab_data.sample_history
  for each statement execute function lab_private.tg_sample_history__sealed();

call labos.audit_enable('lab_data.samples');
call labos.audit_enable('lab_data.sample_history');

call labos.protect('lab_data.samples', 'sample', verbs => '{select,insert,update}');
call labos.expose('samples',
  insert_columns => '{id,barcode,barcode_symbology,name,material_type,formula,lot_code,description,status,change_reason,quantity,quantity_unit,hazards,received_on,expires_on,project_id,location_id,position,owner_id,metadata}',
  update_columns => '{barcode,barcode_symbology,name,material_type,formula,lot_code,description,status,change_reason,quantity,quantity_unit,hazards,received_on,expires_on,project_id,location_id,position,metadata,version}',
  deletable => true, prefix => 'sample');
-- Read only: no insert, update or delete policy.
call labos.protect('lab_data.sample_history', 'sample_history', verbs => '{select}');
call labos.expose('sample_history');

-- calls ---------------------------------------------------------------------------------

create or replace function lab.sample_custody(id uuid) returns setof lab.sample_history
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if not exists (select from lab.samples s where s.id = sample_custody.id) then
    raise exception 'sample not found' using errcode = 'PT404',
      detail = json_build_object('code', 'sample_not_found', 'id', sample_custody.id)::text, hint = 'List the samples you may see with GET /samples.';
  end if;
  return query select h.* from lab.sample_history h where h.sample_id = sample_custody.id order by h.id;
end
$$;
comment on function lab.sample_custody(uuid) is
$$Chain of custody of a sample

Every change of its status, place and owner in order. Errors: 404 sample_not_found.$$;
revoke all on function lab.sample_custody(uuid) from public;
grant execute on function lab.sample_custody(uuid) to lab_user;

create or replace function lab.sample_transfer(
  id uuid, to_user_id uuid default null, location_id uuid default null, "position" text default null, reason text default null)
  returns lab.samples
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org   uuid := labos.require_org_for('sample:transfer');
  v_owner uuid;
  v_made  lab.samples;
begin
  if to_user_id is null and location_id is null and "position" is null then
    raise exception 'say where to or to whom' using errcode = 'PT400',
      detail = json_build_object('code', 'nothing_to_transfer')::text, hint = 'Give location_id, position or to_user_id.';
  end if;
  if to_user_id is not null and not exists (
    select from lab_data.memberships m where m.org_id = v_org and m.user_id = sample_transfer.to_user_id and m.left_at is null)
  then
    raise exception 'user not found' using errcode = 'PT422',
      detail = json_build_object('code', 'user_not_found', 'id', to_user_id)::text, hint = 'Name a member of this organisation.';
  end if;
  select s.owner_id into v_owner from lab_data.samples s
  where s.org_id = v_org and s.id = sample_transfer.id and s.deleted_at is null for update;
  -- The giver confirms by offering: the owner, or a holder of sample:transfer_any for who cannot.
  if to_user_id is not null and v_owner <> labos.user_id() and not labos.has_permission('sample:transfer_any') then
    raise exception 'the sample is somebody else''s' using errcode = 'PT403',
      detail = json_build_object('code', 'not_the_owner', 'id', sample_transfer.id)::text,
      hint = 'Let its owner offer it, or a holder of sample:transfer_any.';
  end if;
  update lab_data.samples s
  set location_id = coalesce(sample_transfer.location_id, s.location_id),
      -- A new place without a position: the first free one.
      position = case when sample_transfer.location_id is not null and sample_transfer.location_id is distinct from s.location_id
                      then sample_transfer."position" else coalesce(sample_transfer."position", s.position) end,
      transfer_to_id = case when to_user_id is null then s.transfer_to_id when to_user_id is distinct from s.owner_id then to_user_id end,
      change_reason = sample_transfer.reason
  where s.org_id = v_org and s.id = sample_transfer.id and s.deleted_at is null;
  if not found then
    raise exception 'sample not found' using errcode = 'PT404',
      detail = json_build_object('code', 'sample_not_found', 'id', sample_transfer.id)::text, hint = 'List the samples you may see with GET /samples.';
  end if;
  select s.* into v_made from lab.samples s where s.org_id = v_org and s.id = sample_transfer.id;
  return v_made;
end
$$;
comment on function lab.sample_transfer(uuid, uuid, uuid, text, text) is
$$Move a sample, or offer it to somebody

Puts it at once into location_id (the first free position unless one is given); to_user_id becomes its owner by sample_accept; only its owner offers it, or a holder of sample:transfer_any. Errors: 403 not_the_owner, 404 sample_not_found, 409 location_full, position_occupied, 422 location_not_found, position_invalid, user_not_found.$$;
revoke all on function lab.sample_transfer(uuid, uuid, uuid, text, text) from public;
grant execute on function lab.sample_transfer(uuid, uuid, uuid, text, text) to lab_user;

create or replace function lab.sample_accept(id uuid, accept boolean default true, reason text default null) returns lab.samples
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org    uuid := labos.require_org_for('sample:transfer');
  v_sample lab_data.samples;
  v_made   lab.samples;
begin
  select s.* into v_sample from lab_data.samples s
  where s.org_id = v_org and s.id = sample_accept.id and s.deleted_at is null for update;
  if not found then
    raise exception 'sample not found' using errcode = 'PT404',
      detail = json_build_object('code', 'sample_not_found', 'id', sample_accept.id)::text, hint = 'List the samples you may see with GET /samples.';
  elsif v_sample.transfer_to_id is null then
    raise exception 'the sample is offered to nobody' using errcode = 'PT409',
      detail = json_build_object('code', 'no_transfer', 'id', sample_accept.id)::text, hint = 'Let its holder call sample_transfer.';
  -- The taker takes or declines; the owner takes an offer back.
  elsif v_sample.transfer_to_id <> labos.user_id() and (accept or v_sample.owner_id is distinct from labos.user_id()) then
    raise exception 'the sample is offered to somebody else' using errcode = 'PT403',
      detail = json_build_object('code', 'not_the_taker', 'id', sample_accept.id)::text, hint = 'Only who it is offered to can accept it.';
  end if;
  update lab_data.samples s
  set owner_id = case when accept then s.transfer_to_id else s.owner_id end,
      transfer_to_id = null,
      change_reason = sample_accept.reason
  where s.org_id = v_org and s.id = sample_accept.id;
  select s.* into v_made from lab.samples s where s.org_id = v_org and s.id = sample_accept.id;
  return v_made;
end
$$;
comment on function lab.sample_accept(uuid, boolean, text) is
$$Accept a sample that is offered to you

Completes the hand-over; accept false declines it, or takes one's own offer back. Errors: 403 not_the_taker, 404 sample_not_found, 409 no_transfer.$$;
revoke all on function lab.sample_accept(uuid, boolean, text) from public;
grant execute on function lab.sample_accept(uuid, boolean, text) to lab_user;

create or replace function lab.sample_status_set(id uuid, status text, reason text default null) returns lab.samples
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('sample:transfer');
  v_made lab.samples;
begin
  update lab_data.samples s
  set status = sample_status_set.status, change_reason = sample_status_set.reason
  where s.org_id = v_org and s.id = sample_status_set.id and s.deleted_at is null;
  if not found then
    raise exception 'sample not found' using errcode = 'PT404',
      detail = json_build_object('code', 'sample_not_found', 'id', sample_status_set.id)::text, hint = 'List the samples you may see with GET /samples.';
  end if;
  select s.* into v_made from lab.samples s where s.org_id = v_org and s.id = sample_status_set.id;
  return v_made;
end
$$;
comment on function lab.sample_status_set(uuid, text, text) is
$$Set the status of a sample

For those who handle samples (sample:transfer) without editing them. Errors: 403, 404 sample_not_found, 409 illegal_transition.$$;
revoke all on function lab.sample_status_set(uuid, text, text) from public;
grant execute on function lab.sample_status_set(uuid, text, text) to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/130_instruments.sql', 'r', 26, 'lims', $labos_file$/*
 * Room: instruments (repeatable half)
 */

-- the state of calibration ------------------------------------------------------------

create or replace function lab_private.calibration_states(org uuid, instrument uuid, moment timestamptz)
  returns table (instrument_id uuid, state text, calibration_id uuid, certificate_id text, issued_at timestamptz, expires_at timestamptz,
                 failed_at timestamptz, pending bigint)
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
  -- A certificate counts when it is approved and not deleted, from issued_at on. The best passed one: a
  -- certificate that covers the moment and was issued after the last failure, else the one that lasted longest.
  select i.id,
    case
      when best.id is null and not i.requires_calibration then 'not_required'
      when best.id is null and failure.failed_at is null then 'missing'
      when best.id is null or failure.failed_at >= best.issued_at then 'failed'
      when best.expires_at <= moment then 'expired'
      when best.expires_at <= moment + i.due_soon_days * interval '1 day' then 'due_soon'
      else 'valid'
    end,
    best.id, best.certificate_id::text, best.issued_at, best.expires_at, failure.failed_at, waiting.pending
  from lab_data.instruments i
  cross join lateral (
    select max(c.issued_at) as failed_at
    from lab_data.calibrations c
    where c.org_id = i.org_id and c.instrument_id = i.id and c.deleted_at is null and c.approved_at is not null
      and c.result = 'fail' and c.issued_at <= moment) failure
  left join lateral (
    select c.id, c.certificate_id, c.issued_at, c.expires_at
    from lab_data.calibrations c
    where c.org_id = i.org_id and c.instrument_id = i.id and c.deleted_at is null and c.approved_at is not null
      and c.result <> 'fail' and c.issued_at <= moment
    order by (c.expires_at > moment and c.issued_at > coalesce(failure.failed_at, '-infinity')) desc, c.expires_at desc, c.id desc
    limit 1) best on true
  cross join lateral (
    select count(*) as pending
    from lab_data.calibrations c
    where c.org_id = i.org_id and c.instrument_id = i.id and c.deleted_at is null and c.approved_at is null) waiting
  where i.org_id = org and i.deleted_at is null and (instrument is null or i.id = instrument)
$$;
comment on function lab_private.calibration_states(uuid, uuid, timestamptz) is
  'State of calibration of one or all instruments of an organisation at a moment: the rule that the lockout and calibration_status share.';

-- instruments -----------------------------------------------------------------------------

create or replace function lab_private.tg_instruments__status() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_active integer := 0;
begin
  if TG_OP = 'UPDATE' and NEW.deleted_at is not null and OLD.deleted_at is null then
    select count(*) into v_active from lab_data.runs r
    where r.org_id = NEW.org_id and r.instrument_id = NEW.id and r.status in ('queued', 'running') and r.deleted_at is null;
    if v_active > 0 then
      raise exception 'the instrument has unfinished runs' using errcode = 'PT409',
        detail = json_build_object('code', 'instrument_in_use', 'runs', v_active)::text, hint = 'Finish or cancel them first.';
    end if;
  end if;
  -- Between available and in_use nobody chooses: the running runs say it.
  if NEW.status in ('available', 'in_use') then
    NEW.status := case when exists (
      select from lab_data.runs r
      where r.org_id = NEW.org_id and r.instrument_id = NEW.id and r.status = 'running' and r.deleted_at is null)
      then 'in_use' else 'available' end;
  end if;
  if NEW.location_id is not null and (TG_OP = 'INSERT' or NEW.location_id is distinct from OLD.location_id) then
    perform from lab_data.locations l where l.org_id = NEW.org_id and l.id = NEW.location_id and l.deleted_at is null for share;
    if not found then
      raise exception 'location not found' using errcode = 'PT422',
        detail = json_build_object('code', 'location_not_found', 'id', NEW.location_id)::text, hint = 'Name a location of this organisation.';
    end if;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_instruments__status() is 'Before a change of an instrument: in_use follows its running runs; not deleted while it has work; its place exists.';

create or replace trigger _100_stamp before insert or update on lab_data.instruments for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.instruments
  for each row execute function labos.tg__state('status',
    'insert>available,maintenance,out_of_service',
    'available>in_use,maintenance,out_of_service',
    'in_use>available,maintenance,out_of_service',
    'maintenance>available,in_use,out_of_service',
    'out_of_service>available,in_use,maintenance');
create or replace trigger _300_status before insert or update on lab_data.instruments
  for each row execute function lab_private.tg_instruments__status();

call labos.audit_enable('lab_data.instruments');
call labos.protect('lab_data.instruments', 'instrument', verbs => '{select,insert,update}');
call labos.expose('instruments',
  insert_columns => '{id,name,model,manufacturer,serial_number,description,status,location_id,responsible_id,capabilities,connection,requires_calibration,due_soon_days,parallel_runs,metadata}',
  update_columns => '{name,model,manufacturer,serial_number,description,status,location_id,responsible_id,capabilities,connection,requires_calibration,due_soon_days,parallel_runs,metadata,version}',
  deletable => true, prefix => 'instrument');

-- calibrations ------------------------------------------------------------------------------

create or replace function lab_private.tg_calibrations__approval() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  NEW.written_by := case TG_OP when 'INSERT' then array_remove(array[NEW.created_by], null) else OLD.written_by end;
  if TG_OP = 'INSERT' then
    perform from lab_data.instruments i where i.org_id = NEW.org_id and i.id = NEW.instrument_id and i.deleted_at is null for key share;
    if not found then
      raise exception 'instrument not found' using errcode = 'PT404',
        detail = json_build_object('code', 'instrument_not_found', 'id', NEW.instrument_id)::text,
        hint = 'List the instruments you may see with GET /instruments.';
    end if;
    if NEW.approved_by_id is not null and NEW.approved_by_id is not distinct from NEW.created_by then
      NEW.approved_by_id := null;
      NEW.approved_at := null;
    end if;
    return NEW;
  end if;
  if (NEW.instrument_id, NEW.certificate_id, NEW.issued_at, NEW.expires_at, NEW.provider, NEW.result, NEW.uncertainty,
          NEW.uncertainty_unit, NEW.coverage_factor, NEW.reference_standards, NEW.document_uri, NEW.document_sha256)
         is distinct from
         (OLD.instrument_id, OLD.certificate_id, OLD.issued_at, OLD.expires_at, OLD.provider, OLD.result, OLD.uncertainty,
          OLD.uncertainty_unit, OLD.coverage_factor, OLD.reference_standards, OLD.document_uri, OLD.document_sha256)
  then
    if labos.user_id() <> all (OLD.written_by) then
      NEW.written_by := OLD.written_by || labos.user_id();
    end if;
    -- What was approved is what counts: a change takes the approval back.
    if OLD.approved_at is null then
      return NEW;
    end if;
    if labos.user_id() is not null and not labos.has_permission('calibration:approve') then
      raise exception 'the calibration is approved' using errcode = 'PT409',
        detail = json_build_object('code', 'calibration_approved', 'id', NEW.id)::text,
        hint = 'Record a new one, or let a holder of calibration:approve correct it.';
    end if;
    NEW.approved_by_id := null;
    NEW.approved_at := null;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_calibrations__approval() is 'Before a change of a calibration: its instrument is there, no one approves by inserting, a change of what was approved takes the approval back.';

create or replace trigger _100_stamp before insert or update on lab_data.calibrations for each row execute function labos.tg__stamp();
create or replace trigger _300_approval before insert or update on lab_data.calibrations
  for each row execute function lab_private.tg_calibrations__approval();

call labos.audit_enable('lab_data.calibrations');
call labos.protect('lab_data.calibrations', 'calibration', verbs => '{select,insert,update}');
call labos.expose('calibrations',
  insert_columns => '{id,instrument_id,certificate_id,issued_at,expires_at,provider,result,uncertainty,uncertainty_unit,coverage_factor,reference_standards,document_uri,document_sha256,notes}',
  update_columns => '{certificate_id,issued_at,expires_at,provider,result,uncertainty,uncertainty_unit,coverage_factor,reference_standards,document_uri,document_sha256,notes,version}',
  deletable => true, prefix => 'calibration');

create or replace function lab.calibration_approve(id uuid) returns lab.calibrations
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org  uuid := labos.require_org_for('calibration:approve');
  v_old  lab_data.calibrations;
  v_made lab.calibrations;
begin
  -- The instrument first: a run that is just starting on it is over with this, or waits for it.
  perform from lab_data.instruments i
  where i.org_id = v_org
    and i.id = (select c.instrument_id from lab_data.calibrations c where c.org_id = v_org and c.id = calibration_approve.id)
  for no key update;
  select c.* into v_old from lab_data.calibrations c
  where c.org_id = v_org and c.id = calibration_approve.id and c.deleted_at is null for update;
  if not found then
    raise exception 'calibration not found' using errcode = 'PT404',
      detail = json_build_object('code', 'calibration_not_found', 'id', calibration_approve.id)::text,
      hint = 'List the calibrations you may see with GET /calibrations.';
  elsif v_old.approved_at is not null then
    raise exception 'the calibration is approved already' using errcode = 'PT409',
      detail = json_build_object('code', 'calibration_approved', 'id', v_old.id)::text, hint = 'There is nothing to do.';
  -- Who wrote any of it does not vouch for it, also when somebody else has touched it since.
  elsif labos.user_id() = v_old.created_by or labos.user_id() = any (v_old.written_by) then
    raise exception 'one cannot approve a calibration one has recorded' using errcode = 'PT403',
      detail = json_build_object('code', 'own_calibration', 'id', v_old.id)::text, hint = 'Let another holder of calibration:approve do it.';
  end if;
  update lab_data.calibrations c set approved_by_id = labos.user_id(), approved_at = clock_timestamp()
  where c.org_id = v_org and c.id = v_old.id;
  select c.* into v_made from lab.calibrations c where c.org_id = v_org and c.id = v_old.id;
  return v_made;
end
$$;
comment on function lab.calibration_approve(uuid) is
$$Approve a calibration

Lets a recorded certificate count. Errors: 403 own_calibration for who recorded it, 404 calibration_not_found, 409 calibration_approved.$$;
revoke all on function lab.calibration_approve(uuid) from public;
grant execute on function lab.calibration_approve(uuid) to lab_user;

create or replace function lab.calibration_status(instrument_id uuid default null) returns setof lab.calibration_state
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('calibration:read');
begin
  return query
    select s.instrument_id, i.name::text, i.requires_calibration, s.state, s.calibration_id, s.certificate_id, s.issued_at, s.expires_at,
           floor(extract(epoch from s.expires_at - now()) / 86400)::integer, s.failed_at, s.pending
    from lab_private.calibration_states(v_org, calibration_status.instrument_id, now()) s
    join lab_data.instruments i on i.org_id = v_org and i.id = s.instrument_id
    order by s.expires_at nulls first, i.name, i.id;
  if not found and calibration_status.instrument_id is not null then
    raise exception 'instrument not found' using errcode = 'PT404',
      detail = json_build_object('code', 'instrument_not_found', 'id', calibration_status.instrument_id)::text,
      hint = 'List the instruments you may see with GET /instruments.';
  end if;
end
$$;
comment on function lab.calibration_status(uuid) is
$$Calibration status

Of one instrument or of all, the most urgent first: state (valid, due_soon, expired, missing, failed, not_required), certificate, days_left (negative when past), pending certificates that wait for approval. Errors: 404 instrument_not_found.$$;
revoke all on function lab.calibration_status(uuid) from public;
grant execute on function lab.calibration_status(uuid) to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/140_runs.sql', 'r', 27, 'lims', $labos_file$/*
 * Room: runs (repeatable half)
 *
 * The calibration lockout is a trigger on the table: it holds for the calls,
 * for plain INSERT and UPDATE, bulk, upsert and COPY, for clients and for the
 * owner. A client changes the status by the calls only.
 */

-- the lockout -----------------------------------------------------------------------------

create or replace function lab_private.refuse_run(
  code text, message text, instrument lab_data.instruments, expires_at timestamptz, hint text)
  returns void
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
begin
  raise exception '%', refuse_run.message using errcode = 'PT409',
    detail = json_build_object('code', refuse_run.code, 'message', refuse_run.message, 'expires_at', refuse_run.expires_at,
      'instrument', json_build_object('id', instrument.id, 'name', instrument.name, 'status', instrument.status))::text,
    hint = refuse_run.hint;
end
$$;
comment on function lab_private.refuse_run(text, text, lab_data.instruments, timestamptz, text) is
  'Raises PT409 for a run that an instrument must not do; the detail keeps code, message, expires_at and instrument.';

-- The state of calibration now, with the certificate it rests on held until commit: an edit or deletion
-- that commits first is seen, one that comes later waits. Holding may change the answer, hence the loop.
create or replace function lab_private.hold_calibration(org uuid, instrument uuid,
  out state text, out calibration_id uuid, out expires_at timestamptz, out failed_at timestamptz)
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_held uuid;
begin
  -- A transaction that reads the past must not rest on it: a certificate decided upon meanwhile refuses it here.
  if current_setting('transaction_isolation') <> 'read committed' then
    perform from lab_data.calibrations c where c.org_id = org and c.instrument_id = instrument and c.deleted_at is null for share;
  end if;
  for v_try in 1 .. 10 loop
    select s.state, s.calibration_id, s.expires_at, s.failed_at
    into hold_calibration.state, hold_calibration.calibration_id, hold_calibration.expires_at, hold_calibration.failed_at
    from lab_private.calibration_states(org, instrument, clock_timestamp()) s;
    exit when hold_calibration.calibration_id is null or hold_calibration.calibration_id = v_held;
    v_held := hold_calibration.calibration_id;
    perform from lab_data.calibrations c where c.org_id = org and c.id = v_held for share;
  end loop;
end
$$;
comment on function lab_private.hold_calibration(uuid, uuid) is 'State of calibration of an instrument, its certificate locked against change until commit.';

create or replace function lab_private.tg_runs__calibration() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_start  boolean := TG_OP = 'UPDATE' and NEW.status = 'running' and OLD.status <> 'running';
  v_device lab_data.instruments;
  v_state  record;
  v_code   text;
  v_day    text;
  v_active integer;
begin
  -- Created, started, put on another instrument, no longer a calibration run, or brought back.
  if not (TG_OP = 'INSERT' or v_start
          or (NEW.status = 'queued' and (NEW.instrument_id <> OLD.instrument_id or NEW.is_calibration <> OLD.is_calibration
                                         or NEW.method <> OLD.method or NEW.override_reason is distinct from OLD.override_reason
                                         or (OLD.deleted_at is not null and NEW.deleted_at is null)))) then
    return NEW;
  end if;

  -- Starting is one at a time on an instrument. Creating waits for nobody: the start looks again.
  if v_start then
    select i.* into v_device from lab_data.instruments i where i.org_id = NEW.org_id and i.id = NEW.instrument_id for no key update;
  else
    select i.* into v_device from lab_data.instruments i where i.org_id = NEW.org_id and i.id = NEW.instrument_id for key share;
  end if;
  if not found or v_device.deleted_at is not null then
    raise exception 'instrument not found' using errcode = 'PT404',
      detail = json_build_object('code', 'instrument_not_found', 'id', NEW.instrument_id)::text,
      hint = 'List the instruments you may see with GET /instruments.';
  end if;
  if v_device.status = 'out_of_service' or (v_device.status = 'maintenance' and not NEW.is_calibration) then
    perform lab_private.refuse_run('instrument_unavailable',
      case v_device.status when 'maintenance' then 'the instrument is under maintenance' else 'the instrument is out of service' end,
      v_device, null, 'Choose another instrument, or wait until it is available.');
  end if;
  if cardinality(v_device.capabilities) > 0 and not NEW.is_calibration and NEW.method <> all (v_device.capabilities) then
    raise exception 'the instrument cannot do this method' using errcode = 'PT422',
      detail = json_build_object('code', 'method_not_supported', 'method', NEW.method, 'capabilities', v_device.capabilities)::text,
      hint = 'Choose one of its capabilities.';
  end if;
  if v_start then
    select count(*) into v_active from lab_data.runs r
    where r.org_id = NEW.org_id and r.instrument_id = NEW.instrument_id and r.status = 'running' and r.deleted_at is null and r.id <> NEW.id;
    if v_active >= v_device.parallel_runs then
      perform lab_private.refuse_run('instrument_unavailable', 'the instrument is running already', v_device, null,
        'Wait until its run has finished.');
    end if;
  end if;

  select h.* into v_state from lab_private.hold_calibration(NEW.org_id, NEW.instrument_id) h;
  NEW.calibration_id := case when v_state.state in ('valid', 'due_soon') then v_state.calibration_id end;
  if NEW.is_calibration then
    -- The rule must not lock itself; whoever may record a calibration may measure for one.
    if labos.user_id() is not null and not labos.has_permission('calibration:create') and not v_start then
      raise exception 'a calibration run needs calibration:create' using errcode = 'PT403',
        detail = json_build_object('code', 'permission_denied', 'permission', 'calibration:create')::text, hint = 'Ask who calibrates.';
    end if;
    return NEW;
  end if;
  -- Nor is a calibration run the way to an ordinary one for who may not create one.
  if TG_OP = 'UPDATE' and OLD.is_calibration and labos.user_id() is not null and not labos.has_permission('run:create') then
    raise exception 'permission denied' using errcode = 'PT403',
      detail = json_build_object('code', 'permission_denied', 'permission', 'run:create')::text,
      hint = 'A calibration run stays one; let somebody with run:create create the run.';
  end if;
  if NEW.calibration_id is not null or not v_device.requires_calibration then
    return NEW;
  end if;

  v_code := 'calibration_' || v_state.state;
  -- A reason given with the right to override stands for the first failing code, and for that one only.
  if NEW.override_by_id is not null and coalesce(NEW.override_code, v_code) = v_code then
    NEW.override_code := v_code;
    return NEW;
  end if;
  v_day := to_char(coalesce(case when v_state.state = 'failed' then v_state.failed_at end, v_state.expires_at) at time zone 'UTC', 'YYYY-MM-DD');
  perform lab_private.refuse_run(v_code,
    case v_state.state
      when 'expired' then 'the calibration of the instrument expired on ' || v_day
      when 'failed' then 'the instrument failed its calibration of ' || v_day
      else 'the instrument has no approved calibration'
    end,
    v_device, case when v_state.state = 'expired' then v_state.expires_at end,
    'Record a calibration and have it approved, or give override_reason with calibration:override.');
  return null;
end
$$;
comment on function lab_private.tg_runs__calibration() is
  'Before a run is created or started: the instrument is there, available and calibrated, or the run is a calibration or overridden.';

-- everything else a run must keep -------------------------------------------------------------

create or replace function lab_private.tg_runs__guard() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_status text;
  v_done   boolean := NEW.status in ('succeeded', 'failed', 'cancelled');
begin
  NEW.override_reason := nullif(btrim(NEW.override_reason), '');
  if TG_OP = 'INSERT' then
    NEW.started_at := null;
    NEW.finished_at := null;
    NEW.error := null;
    NEW.calibration_id := null;
    NEW.override_code := null;
    NEW.override_by_id := null;
    NEW.override_at := null;
  else
    if OLD.status <> 'queued'
       and (NEW.instrument_id, NEW.sample_id, NEW.project_id, NEW.method, NEW.params, NEW.is_calibration, NEW.operator_id, NEW.override_reason)
           is distinct from
           (OLD.instrument_id, OLD.sample_id, OLD.project_id, OLD.method, OLD.params, OLD.is_calibration, OLD.operator_id, OLD.override_reason)
    then
      raise exception 'the run has started' using errcode = 'PT409',
        detail = json_build_object('code', 'run_started', 'id', NEW.id, 'status', OLD.status)::text,
        hint = 'Notes can still be changed; anything else needs a new run.';
    end if;
    if NEW.deleted_at is not null and OLD.deleted_at is null and OLD.status = 'running' then
      raise exception 'the run is running' using errcode = 'PT409',
        detail = json_build_object('code', 'run_running', 'id', NEW.id)::text, hint = 'Finish, fail or cancel it first.';
    end if;
    NEW.started_at := case when NEW.status = 'running' and OLD.status <> 'running' then clock_timestamp() else OLD.started_at end;
    NEW.finished_at := case when v_done and NEW.status <> OLD.status then clock_timestamp() else OLD.finished_at end;
    NEW.calibration_id := OLD.calibration_id;
    NEW.override_code := OLD.override_code;
    NEW.override_by_id := OLD.override_by_id;
    NEW.override_at := OLD.override_at;
  end if;

  if NEW.override_reason is not null and (TG_OP = 'INSERT' or NEW.override_reason is distinct from OLD.override_reason) then
    if not labos.has_permission('calibration:override') then
      raise exception 'permission denied' using errcode = 'PT403',
        detail = json_build_object('code', 'permission_denied', 'permission', 'calibration:override')::text,
        hint = 'Only its holders may run an instrument without a valid calibration.';
    end if;
    NEW.override_code := null;
    NEW.override_by_id := labos.user_id();
    NEW.override_at := clock_timestamp();
  elsif TG_OP = 'UPDATE' and NEW.override_reason is not null and (NEW.instrument_id, NEW.method) is distinct from (OLD.instrument_id, OLD.method) then
    -- It was given for this use of this instrument. Who may give one takes it along in their own name.
    NEW.override_code := null;
    if labos.has_permission('calibration:override') then
      NEW.override_by_id := labos.user_id();
      NEW.override_at := clock_timestamp();
    else
      NEW.override_reason := null;
      NEW.override_by_id := null;
      NEW.override_at := null;
    end if;
  elsif NEW.override_reason is null then
    NEW.override_code := null;
    NEW.override_by_id := null;
    NEW.override_at := null;
  end if;

  if NEW.sample_id is not null
     and (TG_OP = 'INSERT' or NEW.sample_id is distinct from OLD.sample_id or (NEW.status = 'running' and OLD.status <> 'running'))
  then
    select s.status into v_status from lab_data.samples s
    where s.org_id = NEW.org_id and s.id = NEW.sample_id and s.deleted_at is null for share;
    if not found then
      raise exception 'sample not found' using errcode = 'PT404',
        detail = json_build_object('code', 'sample_not_found', 'id', NEW.sample_id)::text, hint = 'List the samples you may see with GET /samples.';
    elsif v_status in ('consumed', 'disposed', 'quarantined') then
      raise exception 'the sample is %', v_status using errcode = 'PT409',
        detail = json_build_object('code', 'sample_unavailable', 'id', NEW.sample_id, 'status', v_status)::text, hint = 'Choose another sample.';
    end if;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_runs__guard() is
  'Before a change of a run: times by the server''s clock, fixed once started, overrides only with the right, samples that can be measured.';

create or replace function lab_private.tg_runs__instrument() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if (NEW.status = 'running') <> (OLD.status = 'running') then
    -- The instrument's own trigger knows which of the two it is.
    update lab_data.instruments i set status = case when NEW.status = 'running' then 'in_use' else 'available' end
    where i.org_id = NEW.org_id and i.id = NEW.instrument_id and i.status in ('available', 'in_use');
  end if;
  return null;
end
$$;
comment on function lab_private.tg_runs__instrument() is 'After a run starts or ends: the instrument is in use or available.';

create or replace trigger _100_stamp before insert or update on lab_data.runs for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.runs
  for each row execute function labos.tg__state('status',
    'queued>running,cancelled',
    'running>succeeded,failed,cancelled');
create or replace trigger _300_guard before insert or update on lab_data.runs for each row execute function lab_private.tg_runs__guard();
create or replace trigger _305_project before insert or update of project_id on lab_data.runs
  for each row execute function lab_private.tg__project();
create or replace trigger _310_calibration before insert or update on lab_data.runs for each row execute function lab_private.tg_runs__calibration();
create or replace trigger _500_instrument after update on lab_data.runs for each row execute function lab_private.tg_runs__instrument();

call labos.audit_enable('lab_data.runs');
call labos.protect('lab_data.runs', 'run', verbs => '{select,insert,update}');
call labos.expose('runs',
  insert_columns => '{id,instrument_id,sample_id,project_id,method,is_calibration,params,operator_id,notes,override_reason}',
  update_columns => '{instrument_id,sample_id,project_id,method,is_calibration,params,operator_id,notes,override_reason,version}',
  deletable => true, prefix => 'run');

-- calls -----------------------------------------------------------------------------------------

create or replace function lab.run_create(
  instrument_id uuid, method text, sample_id uuid default null, params jsonb default '{}', project_id uuid default null,
  operator_id uuid default null, is_calibration boolean default false, override_reason text default null, notes text default null)
  returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  -- Who calibrates needs no more than that for a calibration run.
  v_org  uuid := labos.require_org_for(case when is_calibration and not labos.has_permission('run:create') then 'calibration:create' else 'run:create' end);
  v_id   uuid;
  v_made lab.runs;
begin
  insert into lab_data.runs (org_id, instrument_id, sample_id, project_id, method, is_calibration, params, operator_id, override_reason, notes)
  values (v_org, run_create.instrument_id, run_create.sample_id, run_create.project_id, run_create.method, coalesce(run_create.is_calibration, false),
          coalesce(run_create.params, '{}'), coalesce(run_create.operator_id, labos.user_id()), run_create.override_reason, run_create.notes)
  returning runs.id into v_id;
  select r.* into v_made from lab.runs r where r.org_id = v_org and r.id = v_id;
  return v_made;
end
$$;
comment on function lab.run_create(uuid, text, uuid, jsonb, uuid, uuid, boolean, text, text) is
$$Create a run

Queues a run on an instrument. Errors: 403, 404 instrument_not_found, sample_not_found, 409 calibration_expired, calibration_missing, calibration_failed (detail: message, expires_at, instrument), instrument_unavailable, sample_unavailable, 422 method_not_supported.$$;
revoke all on function lab.run_create(uuid, text, uuid, jsonb, uuid, uuid, boolean, text, text) from public;
grant execute on function lab.run_create(uuid, text, uuid, jsonb, uuid, uuid, boolean, text, text) to lab_user;

create or replace function lab_private.run_move(org uuid, id uuid, status text, error text, notes text) returns lab.runs
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_made lab.runs;
begin
  update lab_data.runs r
  set status = run_move.status, error = run_move.error, notes = coalesce(run_move.notes, r.notes)
  where r.org_id = run_move.org and r.id = run_move.id and r.deleted_at is null and r.status <> run_move.status;
  if not found and exists (select from lab_data.runs r where r.org_id = run_move.org and r.id = run_move.id and r.deleted_at is null) then
    -- To the state machine this is no move; to who starts a run twice it is.
    raise exception '% cannot become %', run_move.status, run_move.status using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', run_move.status, 'to', run_move.status, 'id', run_move.id)::text,
      hint = 'There is nothing to do.';
  elsif not found then
    raise exception 'run not found' using errcode = 'PT404',
      detail = json_build_object('code', 'run_not_found', 'id', run_move.id)::text, hint = 'List the runs you may see with GET /runs.';
  end if;
  select r.* into v_made from lab.runs r where r.org_id = run_move.org and r.id = run_move.id;
  return v_made;
end
$$;
comment on function lab_private.run_move(uuid, uuid, text, text, text) is 'Moves a run to another status; PT404 when there is none.';

create or replace function lab.run_start(id uuid) returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('run:execute');
begin
  return lab_private.run_move(v_org, run_start.id, 'running', null, null);
end
$$;
comment on function lab.run_start(uuid) is
$$Start a run

The calibration is checked again, at this moment. Errors: as run_create, 404 run_not_found, 409 illegal_transition, instrument_unavailable when it is running already.$$;
revoke all on function lab.run_start(uuid) from public;
grant execute on function lab.run_start(uuid) to lab_user;

create or replace function lab.run_finish(id uuid, notes text default null) returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('run:execute');
begin
  return lab_private.run_move(v_org, run_finish.id, 'succeeded', null, run_finish.notes);
end
$$;
comment on function lab.run_finish(uuid, text) is
$$Finish a run

It succeeded. Errors: 403, 404 run_not_found, 409 illegal_transition.$$;
revoke all on function lab.run_finish(uuid, text) from public;
grant execute on function lab.run_finish(uuid, text) to lab_user;

create or replace function lab.run_fail(id uuid, error text) returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('run:execute');
begin
  if nullif(btrim(run_fail.error), '') is null then
    raise exception 'say why the run failed' using errcode = 'PT400',
      detail = json_build_object('code', 'error_required')::text, hint = 'Give error.';
  end if;
  return lab_private.run_move(v_org, run_fail.id, 'failed', run_fail.error, null);
end
$$;
comment on function lab.run_fail(uuid, text) is
$$Fail a run

With the reason. Errors: 400 error_required, 403, 404 run_not_found, 409 illegal_transition.$$;
revoke all on function lab.run_fail(uuid, text) from public;
grant execute on function lab.run_fail(uuid, text) to lab_user;

create or replace function lab.run_cancel(id uuid, reason text default null) returns lab.runs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('run:cancel');
begin
  return lab_private.run_move(v_org, run_cancel.id, 'cancelled', null, run_cancel.reason);
end
$$;
comment on function lab.run_cancel(uuid, text) is
$$Cancel a run

Queued or running. Errors: 403, 404 run_not_found, 409 illegal_transition.$$;
revoke all on function lab.run_cancel(uuid, text) from public;
grant execute on function lab.run_cancel(uuid, text) to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/145_results.sql', 'r', 28, 'lims', $labos_file$/*
 * Room: results (repeatable half)
 *
 * Recording many at once, importing files, review and approval.
 */

create or replace function lab_private.tg_results__guard() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_run record;
begin
  NEW.written_by := case TG_OP when 'INSERT' then array_remove(array[NEW.created_by], null) else OLD.written_by end;
  if TG_OP = 'INSERT' then
    select r.status, r.sample_id into v_run from lab_data.runs r
    where r.org_id = NEW.org_id and r.id = NEW.run_id and r.deleted_at is null for share;
    if not found then
      raise exception 'run not found' using errcode = 'PT404',
        detail = json_build_object('code', 'run_not_found', 'id', NEW.run_id)::text, hint = 'List the runs you may see with GET /runs.';
    elsif v_run.status not in ('running', 'succeeded', 'failed') then
      raise exception 'the run is %', v_run.status using errcode = 'PT409',
        detail = json_build_object('code', 'run_not_started', 'id', NEW.run_id, 'status', v_run.status)::text, hint = 'Start the run first.';
    end if;
    NEW.sample_id := v_run.sample_id;
    NEW.reviewed_by_id := null;
    NEW.reviewed_at := null;
    NEW.approved_by_id := null;
    NEW.approved_at := null;
    return NEW;
  end if;

  if NEW.run_id <> OLD.run_id or NEW.sample_id is distinct from OLD.sample_id then
    raise exception 'a result stays with its run' using errcode = 'PT409',
      detail = json_build_object('code', 'result_run_fixed', 'id', NEW.id)::text, hint = 'Delete it and record it with the other run.';
  end if;
  if OLD.approved_at is not null
     and (NEW.reviewed_by_id, NEW.reviewed_at, NEW.approved_by_id, NEW.approved_at)
         is distinct from (OLD.reviewed_by_id, OLD.reviewed_at, OLD.approved_by_id, OLD.approved_at)
  then
    raise exception 'the result is approved' using errcode = 'PT409',
      detail = json_build_object('code', 'result_approved', 'id', NEW.id)::text, hint = 'Who reviewed and approved it stays with it.';
  end if;
  if (NEW.property, NEW.value, NEW.uncertainty, NEW.unit, NEW.value_text, NEW.value_json, NEW.value_array, NEW.axis,
      NEW.lower_limit, NEW.upper_limit, NEW.quality, NEW.method, NEW.measured_at, NEW.metadata, NEW.deleted_at)
     is distinct from
     (OLD.property, OLD.value, OLD.uncertainty, OLD.unit, OLD.value_text, OLD.value_json, OLD.value_array, OLD.axis,
      OLD.lower_limit, OLD.upper_limit, OLD.quality, OLD.method, OLD.measured_at, OLD.metadata, OLD.deleted_at)
  then
    if OLD.approved_at is not null then
      raise exception 'the result is approved' using errcode = 'PT409',
        detail = json_build_object('code', 'result_approved', 'id', NEW.id)::text, hint = 'Record a corrected result beside it.';
    end if;
    -- What was reviewed is what was seen. The review call itself sets another reviewed_at.
    if NEW.reviewed_at is not distinct from OLD.reviewed_at then
      if labos.user_id() <> all (OLD.written_by) then
        NEW.written_by := OLD.written_by || labos.user_id();
      end if;
      NEW.reviewed_by_id := null;
      NEW.reviewed_at := null;
    end if;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_results__guard() is
  'Before a change of a result: its run has started, it stays with it, an approved one is fixed, a change takes the review back.';

create or replace trigger _100_stamp before insert or update on lab_data.results for each row execute function labos.tg__stamp();
create or replace trigger _300_guard before insert or update on lab_data.results for each row execute function lab_private.tg_results__guard();

call labos.audit_enable('lab_data.results');
call labos.protect('lab_data.results', 'result', verbs => '{select,insert,update}');
call labos.expose('results',
  insert_columns => '{id,run_id,property,value,uncertainty,unit,value_text,value_json,value_array,axis,lower_limit,upper_limit,quality,method,measured_at,metadata}',
  update_columns => '{property,value,uncertainty,unit,value_text,value_json,value_array,axis,lower_limit,upper_limit,quality,method,measured_at,metadata,version}',
  deletable => true, prefix => 'result');

-- recording -----------------------------------------------------------------------------

create or replace function lab.result_record(run_id uuid, results jsonb) returns setof lab.results
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('result:create');
  v_allowed constant text[] := '{property,value,uncertainty,unit,value_text,value_json,value_array,axis,lower_limit,upper_limit,quality,method,measured_at,metadata}'::text[];
  v_most    constant integer := 10000;
  v_bad     record;
  v_ids     uuid[];
begin
  if results is null or jsonb_typeof(results) <> 'array' or jsonb_array_length(results) not between 1 and v_most then
    raise exception 'results must be an array of 1 to % objects', v_most using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_results', 'max', v_most)::text, hint = 'Send [{"property": "...", "value": 1.5, "unit": "..."}].';
  end if;
  select e.n - 1 as at, k.key into v_bad
  from jsonb_array_elements(results) with ordinality e(item, n)
  left join lateral jsonb_object_keys(case when jsonb_typeof(e.item) = 'object' then e.item else '{}' end) k(key) on k.key <> all (v_allowed)
  where jsonb_typeof(e.item) <> 'object' or k.key is not null
  order by e.n limit 1;
  if found then
    raise exception 'result % is not understood', v_bad.at using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_results', 'index', v_bad.at, 'key', left(v_bad.key, 80), 'keys', v_allowed)::text,
      hint = 'Each result is an object with these keys.';
  end if;
  with made as (
    insert into lab_data.results (org_id, run_id, property, value, uncertainty, unit, value_text, value_json, value_array, axis,
                                  lower_limit, upper_limit, quality, method, measured_at, metadata)
    select v_org, result_record.run_id, e.property, e.value, e.uncertainty, e.unit, e.value_text, nullif(e.value_json, 'null'), e.value_array, e.axis,
           e.lower_limit, e.upper_limit, coalesce(e.quality, 'good'), e.method, coalesce(e.measured_at, now()), coalesce(e.metadata, '{}')
    from jsonb_to_recordset(result_record.results) e(
      property text, value float8, uncertainty float8, unit text, value_text text, value_json jsonb, value_array float8[], axis jsonb,
      lower_limit float8, upper_limit float8, quality text, method text, measured_at timestamptz, metadata jsonb)
    returning id)
  select array_agg(m.id) into v_ids from made m;
  return query select r.* from lab.results r where r.org_id = v_org and r.id = any (v_ids) order by r.id;
end
$$;
comment on function lab.result_record(uuid, jsonb) is
$$Record results

Many at once, all or none: [{"property": "band gap", "value": 1.5, "uncertainty": 0.02, "unit": "eV"}], or value_text, value_json, value_array with axis instead of value. Errors: 400 invalid_results, 403, 404 run_not_found, 409 run_not_started.$$;
revoke all on function lab.result_record(uuid, jsonb) from public;
grant execute on function lab.result_record(uuid, jsonb) to lab_user;

-- review and approval ---------------------------------------------------------------------

create or replace function lab_private.require_results(org uuid, ids uuid[]) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id uuid;
begin
  if ids is null or cardinality(ids) not between 1 and 10000 or array_position(ids, null) is not null then
    raise exception 'ids must be 1 to 10000 ids of results' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_ids')::text, hint = 'Send {"ids": ["..."]}.';
  end if;
  -- In one order, so that two calls do not wait for each other in a circle.
  perform from lab_data.results r where r.org_id = org and r.id = any (ids) and r.deleted_at is null order by r.id for update;
  select w.id into v_id from unnest(ids) w(id)
  where not exists (select from lab_data.results r where r.org_id = org and r.id = w.id and r.deleted_at is null) limit 1;
  if found then
    raise exception 'result not found' using errcode = 'PT404',
      detail = json_build_object('code', 'result_not_found', 'id', v_id)::text, hint = 'List the results you may see with GET /results.';
  end if;
  select r.id into v_id from lab_data.results r
  -- Who recorded or changed it other than by reviewing, also when somebody else has changed it since.
  where r.org_id = org and r.id = any (ids) and (r.created_by = labos.user_id() or labos.user_id() = any (r.written_by))
  limit 1;
  if found then
    raise exception 'one cannot vouch for a result one has recorded' using errcode = 'PT403',
      detail = json_build_object('code', 'own_result', 'id', v_id)::text, hint = 'Let somebody else do it.';
  end if;
end
$$;
comment on function lab_private.require_results(uuid, uuid[]) is 'Locks results; PT400, PT404 when one is missing, PT403 when the caller has recorded one.';

create or replace function lab.result_review(ids uuid[], quality text default null) returns setof lab.results
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('result:review');
begin
  perform lab_private.require_results(v_org, ids);
  update lab_data.results r
  set reviewed_by_id = labos.user_id(), reviewed_at = clock_timestamp(), quality = coalesce(result_review.quality, r.quality)
  where r.org_id = v_org and r.id = any (ids);
  return query select r.* from lab.results r where r.org_id = v_org and r.id = any (ids) order by r.id;
end
$$;
comment on function lab.result_review(uuid[], text) is
$$Review results

Puts one's name to results somebody else has recorded, and may set their quality. Errors: 400 invalid_ids, 403 own_result, 404 result_not_found, 409 result_approved.$$;
revoke all on function lab.result_review(uuid[], text) from public;
grant execute on function lab.result_review(uuid[], text) to lab_user;

create or replace function lab.result_approve(ids uuid[]) returns setof lab.results
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('result:approve');
  v_id  uuid;
begin
  perform lab_private.require_results(v_org, ids);
  select r.id into v_id from lab_data.results r where r.org_id = v_org and r.id = any (ids) and (r.reviewed_at is null or r.approved_at is not null) limit 1;
  if found then
    raise exception 'the result is not reviewed, or approved already' using errcode = 'PT409',
      detail = json_build_object('code', 'result_not_reviewed', 'id', v_id)::text, hint = 'Review comes first; an approved result needs nothing more.';
  end if;
  update lab_data.results r set approved_by_id = labos.user_id(), approved_at = clock_timestamp()
  where r.org_id = v_org and r.id = any (ids);
  return query select r.* from lab.results r where r.org_id = v_org and r.id = any (ids) order by r.id;
end
$$;
comment on function lab.result_approve(uuid[]) is
$$Approve results

Fixes reviewed results for good. Errors: 400 invalid_ids, 403 own_result, 404 result_not_found, 409 result_not_reviewed.$$;
revoke all on function lab.result_approve(uuid[]) from public;
grant execute on function lab.result_approve(uuid[]) to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/146_imports.sql', 'r', 29, 'lims', $labos_file$/*
 * Room: imports
 *
 * Files of instruments become results: all or nothing, with a dry run that
 * says what would happen, and every column that is left out named.
 *
 * Needs    results, parse (labos.csv_parse, labos.jcamp_parse)
 */

-- CSV -----------------------------------------------------------------------------------

-- One row for each column of the file: what becomes of it.
create or replace function lab_private.csv_columns(header text[], mapping jsonb)
  returns table (n integer, column_name text, property text, unit text, is_text boolean, uncertainty integer, method text,
                 lower_limit float8, upper_limit float8, role text, reason text)
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_columns jsonb := mapping -> 'columns';
  v_axis    text := mapping #>> '{axis,column}';
  v_spec    jsonb;
  v_parts   text[];
  v_name    text;
begin
  for v_name in select jsonb_object_keys(coalesce(v_columns, '{}')) union all select v_axis where v_axis is not null loop
    if v_name <> all (header) then
      raise exception 'the file has no column named in the mapping' using errcode = 'PT422',
        detail = json_build_object('code', 'column_not_found', 'column', left(v_name, 200), 'columns', header)::text,
        hint = 'Names must be as in the first line of the file.';
    end if;
  end loop;
  for v_i in 1 .. cardinality(header) loop
    n := v_i;
    column_name := header[v_i];
    property := null; unit := null; is_text := false; uncertainty := null; method := null; lower_limit := null; upper_limit := null;
    role := null; reason := null;
    v_spec := v_columns -> header[v_i];
    if header[v_i] is null then
      reason := 'it has no name';
    elsif array_position(header, header[v_i]) < v_i then
      reason := 'another column has the same name';
    elsif header[v_i] = v_axis then
      role := 'axis';
    elsif v_spec is not null then
      if jsonb_typeof(v_spec) <> 'object'
         or exists (select from jsonb_object_keys(v_spec) k
                    where k <> all ('{property,unit,text,uncertainty,method,lower_limit,upper_limit}'))
      then
        raise exception 'the mapping of a column is not understood' using errcode = 'PT400',
          detail = json_build_object('code', 'invalid_mapping', 'column', header[v_i])::text,
          hint = 'A column maps to {"property", "unit", "uncertainty", "text", "method", "lower_limit", "upper_limit"}.';
      end if;
      role := 'value';
      property := coalesce(v_spec ->> 'property', header[v_i]);
      is_text := coalesce((v_spec ->> 'text')::boolean, false);
      unit := v_spec ->> 'unit';
      method := v_spec ->> 'method';
      lower_limit := (v_spec ->> 'lower_limit')::float8;
      upper_limit := (v_spec ->> 'upper_limit')::float8;
      if v_spec ->> 'uncertainty' is not null then
        uncertainty := array_position(header, v_spec ->> 'uncertainty');
        if uncertainty is null then
          raise exception 'the file has no column named in the mapping' using errcode = 'PT422',
            detail = json_build_object('code', 'column_not_found', 'column', left(v_spec ->> 'uncertainty', 200), 'columns', header)::text,
            hint = 'Names must be as in the first line of the file.';
        end if;
      end if;
      if unit is null and not is_text then
        role := null;
        reason := 'the mapping gives no unit';
      end if;
    elsif v_columns is not null then
      reason := case when exists (select from jsonb_each(v_columns) c where c.value ->> 'uncertainty' = header[v_i])
                     then null else 'it is not in the mapping' end;
      role := case when reason is null then 'uncertainty' end;
    else
      -- Without a mapping the header must say the unit: "absorbance (1)", "band gap [eV]".
      v_parts := regexp_match(header[v_i], '^\s*(.*\S)\s*[\[(]\s*([^\])]*\S)\s*[\])]\s*$');
      if v_parts is null then
        reason := 'its name gives no unit';
      else
        role := 'value';
        property := v_parts[1];
        unit := v_parts[2];
      end if;
    end if;
    return next;
  end loop;
end
$$;
comment on function lab_private.csv_columns(text[], jsonb) is 'What becomes of each column of a CSV file under a mapping: axis, value, uncertainty, or left out with the reason.';

-- A number as people write it, null when it is none or no double; never raises.
create or replace function lab_private.csv_number(cell text, decimal_comma boolean) returns float8
  language sql immutable parallel safe
  set search_path to pg_catalog, pg_temp
as $$
  select case when x.v ~ '^[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?$'
                   and (abs(x.v::numeric) between 1e-300 and 1e300 or x.v::numeric = 0)
              then x.v::float8 end
  from (select case when csv_number.decimal_comma then replace(btrim(csv_number.cell), ',', '.') else btrim(csv_number.cell) end) x(v)
$$;
comment on function lab_private.csv_number(text, boolean) is 'A cell as a number, null when it is none.';

create or replace function lab.result_import_csv(run_id uuid, "text" text, mapping jsonb default '{}', dry_run boolean default false)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('result:create');
  v_map     jsonb := coalesce(mapping, '{}');
  v_most    constant integer := 100000;
  v_columns constant integer := 1000;
  v_header  text[];
  v_axis    integer;
  v_comma   boolean;
  v_missing text[];
  v_column  record;
  v_rows    integer;
  v_bad     jsonb := '[]'::jsonb;
  v_used    jsonb := '[]'::jsonb;
  v_dropped jsonb := '[]'::jsonb;
  v_some    jsonb;
  v_n       bigint;
  v_total   bigint := 0;
  v_axis_json jsonb;
begin
  if not exists (select from lab_data.runs r where r.org_id = v_org and r.id = result_import_csv.run_id and r.deleted_at is null) then
    raise exception 'run not found' using errcode = 'PT404',
      detail = json_build_object('code', 'run_not_found', 'id', result_import_csv.run_id)::text, hint = 'List the runs you may see with GET /runs.';
  elsif "text" is null then
    raise exception 'there is no text to import' using errcode = 'PT400',
      detail = json_build_object('code', 'text_required')::text, hint = 'Send the file as text.';
  elsif jsonb_typeof(v_map) <> 'object' or jsonb_typeof(coalesce(v_map -> 'columns', '{}')) <> 'object'
        or jsonb_typeof(coalesce(v_map -> 'axis', '{}')) <> 'object' or jsonb_typeof(coalesce(v_map -> 'missing', '[]')) <> 'array'
        or exists (select from jsonb_object_keys(v_map) k where k <> all ('{columns,axis,delimiter,decimal,missing}'))
        or coalesce(v_map ->> 'decimal', '.') <> all ('{".",","}')
        or (v_map ? 'axis' and (v_map #>> '{axis,column}' is null or v_map #>> '{axis,unit}' is null))
  then
    raise exception 'the mapping is not understood' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_mapping')::text,
      hint = 'Send {"columns": {"A": {"property": "absorbance", "unit": "1"}}, "axis": {"column", "name", "unit"}, "delimiter", "decimal", "missing": []}.';
  end if;
  v_comma := coalesce(v_map ->> 'decimal', '.') = ',';
  v_missing := array['', 'NA', 'N/A', 'n/a', 'NaN', 'nan', 'null', 'NULL', '-'] || coalesce(
    (select array_agg(m) from jsonb_array_elements_text(v_map -> 'missing') m), '{}');

  select array_agg(btrim(h.name) order by h.n) into v_header
  from labos.csv_parse("text", v_map ->> 'delimiter') c, unnest(c.fields) with ordinality h(name, n) where c."row" = 1;
  if v_header is null then
    raise exception 'the file has no rows' using errcode = 'PT422',
      detail = json_build_object('code', 'empty_file')::text, hint = 'The first line names the columns.';
  elsif cardinality(v_header) > v_columns then
    -- Each column is looked for in the whole file.
    raise exception 'the file has more than % columns', v_columns using errcode = 'PT422',
      detail = json_build_object('code', 'too_many_columns', 'columns', cardinality(v_header), 'max', v_columns)::text,
      hint = 'Split it, or turn rows and columns.';
  end if;
  select count(*) - 1 into v_rows from labos.csv_parse("text", v_map ->> 'delimiter');

  select c.n into v_axis from lab_private.csv_columns(v_header, v_map) c where c.role = 'axis';
  if v_axis is not null then
    select jsonb_agg(x.v order by x."row"),
           coalesce((select jsonb_agg(b) from (select jsonb_build_object('line', y.line, 'column', v_header[v_axis], 'value', left(y.cell, 80)) b
                     from (select c.line, c.fields[v_axis] as cell, lab_private.csv_number(c.fields[v_axis], v_comma) as v
                           from labos.csv_parse("text", v_map ->> 'delimiter') c where c."row" > 1) y where y.v is null order by y.line limit 20) z), '[]')
    into v_axis_json, v_some
    from (select c."row", lab_private.csv_number(c.fields[v_axis], v_comma) as v
          from labos.csv_parse("text", v_map ->> 'delimiter') c where c."row" > 1) x;
    v_bad := v_bad || v_some;
    v_axis_json := jsonb_build_object('name', coalesce(v_map #>> '{axis,name}', v_header[v_axis]), 'unit', v_map #>> '{axis,unit}',
                                      'values', coalesce(v_axis_json, '[]'));
  end if;

  for v_column in select * from lab_private.csv_columns(v_header, v_map) c order by c.n loop
    if v_column.reason is not null then
      v_dropped := v_dropped || jsonb_build_object('column', v_column.column_name, 'reason', v_column.reason);
    end if;
    continue when v_column.role is distinct from 'value';

    -- Cells that are neither missing nor a number.
    select coalesce(jsonb_agg(jsonb_build_object('line', x.line, 'column', x.name, 'value', left(x.cell, 80)) order by x.line), '[]') into v_some
    from (
      select c.line, k.name, c.fields[k.n] as cell
      from labos.csv_parse("text", v_map ->> 'delimiter') c,
           (values (v_column.n, v_column.column_name), (v_column.uncertainty, v_header[v_column.uncertainty])) k(n, name)
      where c."row" > 1 and k.n is not null and not (v_column.is_text and k.n = v_column.n)
        and coalesce(btrim(c.fields[k.n]), '') <> all (v_missing) and lab_private.csv_number(c.fields[k.n], v_comma) is null
      order by c.line limit 20) x;
    v_bad := v_bad || v_some;

    select count(*) into v_n from labos.csv_parse("text", v_map ->> 'delimiter') c
    where c."row" > 1 and coalesce(btrim(c.fields[v_column.n]), '') <> all (v_missing);
    v_used := v_used || jsonb_build_object('column', v_column.column_name, 'property', v_column.property, 'unit', v_column.unit,
                                           'values', v_n, 'missing', v_rows - v_n);
    v_total := v_total + case when v_axis is null then v_n when v_rows > 0 then 1 else 0 end;
  end loop;

  if v_total > v_most then
    raise exception 'the file makes more than % results', v_most using errcode = 'PT422',
      detail = json_build_object('code', 'too_many_results', 'results', v_total, 'max', v_most)::text,
      hint = 'Name an axis, so that a column becomes one series, or split the file.';
  elsif not coalesce(dry_run, false) and jsonb_array_length(v_bad) > 0 then
    raise exception 'some cells are not numbers' using errcode = 'PT422',
      detail = jsonb_build_object('code', 'invalid_cells', 'cells', v_bad)::text,
      hint = 'Correct them, or list what marks a missing value in "missing".';
  elsif not coalesce(dry_run, false) then
    if v_total = 0 then
      raise exception 'nothing in the file becomes a result' using errcode = 'PT422',
        detail = jsonb_build_object('code', 'nothing_to_import', 'dropped', v_dropped)::text,
        hint = 'Give units: in the header, "band gap [eV]", or in the mapping.';
    end if;
    for v_column in select * from lab_private.csv_columns(v_header, v_map) c where c.role = 'value' order by c.n loop
      if v_axis is not null and not v_column.is_text then
        insert into lab_data.results (org_id, run_id, property, unit, value_array, axis, method, metadata)
        select v_org, result_import_csv.run_id, v_column.property, v_column.unit,
               array_agg(case when btrim(c.fields[v_column.n]) <> all (v_missing) then lab_private.csv_number(c.fields[v_column.n], v_comma) end
                         order by c."row"),
               v_axis_json, v_column.method, jsonb_build_object('source', 'csv', 'column', v_column.column_name)
        from labos.csv_parse("text", v_map ->> 'delimiter') c where c."row" > 1
        having count(*) > 0;
      else
        insert into lab_data.results (org_id, run_id, property, value, value_text, unit, uncertainty, lower_limit, upper_limit, method, metadata)
        select v_org, result_import_csv.run_id, v_column.property,
               case when not v_column.is_text then lab_private.csv_number(c.fields[v_column.n], v_comma) end,
               case when v_column.is_text then c.fields[v_column.n] end,
               case when not v_column.is_text then v_column.unit end,
               case when not v_column.is_text and btrim(c.fields[v_column.uncertainty]) <> all (v_missing)
                    then lab_private.csv_number(c.fields[v_column.uncertainty], v_comma) end,
               v_column.lower_limit, v_column.upper_limit, v_column.method,
               jsonb_build_object('source', 'csv', 'column', v_column.column_name, 'line', c.line)
        from labos.csv_parse("text", v_map ->> 'delimiter') c
        where c."row" > 1 and coalesce(btrim(c.fields[v_column.n]), '') <> all (v_missing)
        order by c."row";
      end if;
    end loop;
  end if;
  return jsonb_build_object('dry_run', coalesce(dry_run, false), 'rows', v_rows, 'results', v_total,
                            'columns', v_used, 'dropped', v_dropped, 'errors', v_bad);
end
$$;
comment on function lab.result_import_csv(uuid, text, jsonb, boolean) is
$$Import results from CSV

Each cell becomes a result; with mapping.axis each column becomes one series. Without mapping.columns the header gives the units ("band gap [eV]"). Returns rows, results, columns, dropped columns with reasons, errors; dry_run changes nothing. Errors: 400 LB402 with the line, invalid_mapping, text_required, 404 run_not_found, 409 run_not_started, 422 column_not_found, invalid_cells, nothing_to_import, too_many_results.$$;
revoke all on function lab.result_import_csv(uuid, text, jsonb, boolean) from public;
grant execute on function lab.result_import_csv(uuid, text, jsonb, boolean) to lab_user;

-- JCAMP-DX --------------------------------------------------------------------------------

create or replace function lab_private.jcamp_unit(unit text) returns text
  language sql immutable parallel safe
  set search_path to pg_catalog, pg_temp
as $$
  select coalesce(
    (select u.symbol from (values
       ('1/CM', '1/cm'), ('NANOMETERS', 'nm'), ('NANOMETRES', 'nm'), ('MICROMETERS', 'um'), ('MICROMETRES', 'um'), ('HZ', 'Hz'), ('PPM', 'ppm'),
       ('SECONDS', 's'), ('MILLISECONDS', 'ms'), ('MINUTES', 'min'), ('NANOAMPERES', 'nA'), ('MICROAMPERES', 'uA'), ('AMPERES', 'A'), ('VOLTS', 'V'),
       ('M/Z', 'm/z'), ('ARBITRARY UNITS', '1'), ('ABSORBANCE', '1'), ('TRANSMITTANCE', '1'), ('REFLECTANCE', '1'), ('RELATIVE ABUNDANCE', '1'),
       ('RELATIVE INTENSITY', '1'), ('COUNTS', '1'), ('EV', 'eV'), ('KELVIN', 'K'), ('DEGREES CELSIUS', 'degC')) u(name, symbol)
     where u.name = upper(btrim(jcamp_unit.unit))),
    nullif(left(btrim(regexp_replace(jcamp_unit.unit, '[[:cntrl:]]+', ' ', 'g')), 40), ''),
    '1')
$$;
comment on function lab_private.jcamp_unit(text) is 'The symbol of a unit as JCAMP-DX files spell it; 1 for none.';

create or replace function lab.result_import_jcamp(run_id uuid, "text" text, dry_run boolean default false)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('result:create');
  v_dry     boolean := coalesce(dry_run, false);
  v_item    record;
  v_results jsonb := '[]'::jsonb;
  v_dropped jsonb := '[]'::jsonb;
  v_name    text;
  v_unit    text;
  v_axis    jsonb;
begin
  if not exists (select from lab_data.runs r where r.org_id = v_org and r.id = result_import_jcamp.run_id and r.deleted_at is null) then
    raise exception 'run not found' using errcode = 'PT404',
      detail = json_build_object('code', 'run_not_found', 'id', result_import_jcamp.run_id)::text, hint = 'List the runs you may see with GET /runs.';
  elsif "text" is null then
    raise exception 'there is no text to import' using errcode = 'PT400',
      detail = json_build_object('code', 'text_required')::text, hint = 'Send the file as text.';
  end if;
  for v_item in select j.* from labos.jcamp_parse("text") j loop
    if v_item.y is null or cardinality(v_item.y) = 0 then
      v_dropped := v_dropped || jsonb_build_object('block', v_item.block, 'title', v_item.title, 'reason', 'it has no data');
      continue;
    end if;
    if v_item.dropped is not null then
      v_dropped := v_dropped || jsonb_build_object('block', v_item.block, 'title', v_item.title, 'reason', v_item.dropped);
    end if;
    v_name := regexp_replace(lower(coalesce(nullif(btrim(v_item.data_type), ''), 'spectrum')), '[[:cntrl:][:space:]]+', ' ', 'g');
    v_name := left(v_name || case when v_item.form = 'NTUPLES' then ' ' || lower(v_item.y_name) else '' end, 200);
    v_unit := lab_private.jcamp_unit(v_item.y_unit);
    v_axis := jsonb_build_object('name', lower(coalesce(v_item.x_name, 'x')), 'unit', lab_private.jcamp_unit(v_item.x_unit))
      || case when v_item.x is null then jsonb_build_object('first', v_item.x_first, 'step', v_item.x_step)
              else jsonb_build_object('values', to_jsonb(v_item.x)) end;
    v_results := v_results || jsonb_build_object('block', v_item.block, 'page', v_item.page, 'title', v_item.title, 'form', v_item.form,
      'property', v_name, 'unit', v_unit, 'axis', v_axis - 'values', 'points', cardinality(v_item.y));
    if not v_dry then
      insert into lab_data.results (org_id, run_id, property, unit, value_array, axis, method, metadata)
      values (v_org, result_import_jcamp.run_id, v_name, v_unit, array_replace(v_item.y, 'NaN', null), v_axis,
              nullif(left(btrim(regexp_replace(v_item.header ->> 'SPECTROMETERDATASYSTEM', '[[:cntrl:]]+', ' ', 'g')), 200), ''),
              jsonb_strip_nulls(jsonb_build_object('source', 'jcamp-dx', 'block', v_item.block, 'page', v_item.page, 'page_label', v_item.page_label,
                'title', v_item.title, 'form', v_item.form, 'y_unit', v_item.y_unit, 'x_unit', v_item.x_unit, 'header', v_item.header)));
    end if;
  end loop;
  if jsonb_array_length(v_results) = 0 and not v_dry then
    raise exception 'nothing in the file becomes a result' using errcode = 'PT422',
      detail = jsonb_build_object('code', 'nothing_to_import', 'dropped', v_dropped)::text, hint = 'The file has no data tables.';
  end if;
  return jsonb_build_object('dry_run', v_dry, 'results', jsonb_array_length(v_results), 'imported', v_results, 'dropped', v_dropped);
end
$$;
comment on function lab.result_import_jcamp(uuid, text, boolean) is
$$Import spectra from a JCAMP-DX file

Each data table becomes one result with its axis; the header goes to its metadata; missing points are null. dry_run changes nothing and shows what would. Errors: 400 LB401 with the line, text_required, 404 run_not_found, 409 run_not_started, 422 nothing_to_import.$$;
revoke all on function lab.result_import_jcamp(uuid, text, boolean) from public;
grant execute on function lab.result_import_jcamp(uuid, text, boolean) to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/300_materials.sql', 'r', 30, 'core', $labos_file$/*
 * Room: materials (repeatable half)
 *
 * Data sets have no update and no insert from outside: dataset_import writes
 * them, deleting marks them; campaigns that use one keep seeing its rows.
 */

create or replace trigger _100_stamp before insert or update on lab_data.materials for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert or update on lab_data.datasets for each row execute function labos.tg__stamp();

call labos.protect('lab_data.materials', 'material', verbs => '{select,insert,update}', owner => 'owner_id');
call labos.expose('materials',
  insert_columns => '{id,name,formula,source,description,tags,properties}',
  update_columns => '{name,formula,source,description,tags,properties,version}',
  deletable => true, prefix => 'material', owner => 'owner_id');

call labos.protect('lab_data.datasets', 'material', verbs => '{select}');
call labos.expose('datasets', deletable => true, prefix => 'material');
call labos.protect('lab_data.dataset_rows', 'material', verbs => '{select}');
call labos.expose('dataset_rows', hidden_columns => '{features}');

call labos.audit_enable('lab_data.materials');
call labos.audit_enable('lab_data.datasets');

-- import --------------------------------------------------------------------

create or replace function lab_private.dataset_refuse(code text, message text, data json default '{}', hint text default null) returns void
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  raise exception '%', message using errcode = 'PT400',
    detail = (jsonb_build_object('code', code) || data::jsonb)::text, hint = coalesce(dataset_refuse.hint, '');
end
$$;
comment on function lab_private.dataset_refuse(text, text, json, text) is 'Refuses an import with 400 and a code.';

create or replace function lab_private.csv_column(header text[], name text) returns integer
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if array_position(csv_column.header, csv_column.name) is null then
    perform lab_private.dataset_refuse('unknown_column', 'the text has no such column',
      json_build_object('column', csv_column.name, 'columns', csv_column.header));
  end if;
  return array_position(csv_column.header, csv_column.name);
end
$$;
comment on function lab_private.csv_column(text[], text) is 'Where a column stands; 400 unknown_column.';

-- A number as JSON and SQL both take it: no NaN, no infinity, no hexadecimal.
create or replace function lab_private.csv_number(field text, line integer, name text) returns float8
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if csv_number.field is null or btrim(csv_number.field) = '' then
    return null;
  end if;
  if btrim(csv_number.field) ~ '^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?$' then
    begin
      return btrim(csv_number.field)::float8;
    exception when numeric_value_out_of_range then
      null;
    end;
  end if;
  perform lab_private.dataset_refuse('not_a_number', 'a field is no number',
    json_build_object('line', csv_number.line, 'column', csv_number.name, 'value', left(csv_number.field, 80)));
  return null;
end
$$;
comment on function lab_private.csv_number(text, integer, text) is 'A field as a finite number, null when empty; 400 not_a_number.';

create or replace function lab_private.dataset_mapping(mapping jsonb) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(dataset_mapping.mapping) is distinct from 'object'
     or dataset_mapping.mapping - '{formula,parameters,properties}'::text[] <> '{}'
     or jsonb_typeof(dataset_mapping.mapping -> 'properties') is distinct from 'object'
     or dataset_mapping.mapping -> 'properties' = '{}'
     or coalesce(jsonb_typeof(dataset_mapping.mapping -> 'formula'), 'string') <> 'string'
     or coalesce(jsonb_typeof(dataset_mapping.mapping -> 'parameters'), 'object') <> 'object'
     or not (dataset_mapping.mapping ? 'formula' or coalesce(dataset_mapping.mapping -> 'parameters', '{}') <> '{}')
     or exists (select from jsonb_each(coalesce(dataset_mapping.mapping -> 'parameters', '{}') || (dataset_mapping.mapping -> 'properties')) e
                where jsonb_typeof(e.value) <> 'string' or length(e.key) not between 1 and 63) then
    perform lab_private.dataset_refuse('invalid_mapping', 'the mapping is not valid', '{}',
      'Give {"formula": column, "parameters": {name: column}, "properties": {name: column}}; properties and one of the other two are required.');
  end if;
end
$$;
comment on function lab_private.dataset_mapping(jsonb) is 'Checks the mapping of an import; 400 invalid_mapping.';

-- One record of the text as a row of the set.
create or replace function lab_private.dataset_row(header text[], mapping jsonb, line integer, fields text[])
  returns table (formula labos.formula, parameters jsonb, measured jsonb, features float8[])
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_column record;
  v_number float8;
  v_text   text;
begin
  parameters := '{}';
  measured := '{}';
  features := '{}';
  if dataset_row.mapping ? 'formula' then
    v_text := dataset_row.fields[array_position(dataset_row.header, dataset_row.mapping ->> 'formula')];
    if v_text is null or not labos.formula_valid(v_text) then
      perform lab_private.dataset_refuse('invalid_formula', 'a formula cannot be read',
        json_build_object('line', dataset_row.line, 'formula', left(v_text, 80)));
    end if;
    formula := v_text::labos.formula;
    features := labos.composition_features(formula);
  end if;
  for v_column in
    select e.key, e.value, true as is_parameter from jsonb_each_text(dataset_row.mapping -> 'parameters') e
    union all
    select e.key, e.value, false from jsonb_each_text(dataset_row.mapping -> 'properties') e
    order by 3 desc, 1
  loop
    v_number := lab_private.csv_number(dataset_row.fields[array_position(dataset_row.header, v_column.value)], dataset_row.line, v_column.value);
    if v_column.is_parameter then
      if v_number is null then
        perform lab_private.dataset_refuse('missing_parameter', 'a row lacks a parameter',
          json_build_object('line', dataset_row.line, 'column', v_column.value));
      end if;
      parameters := parameters || jsonb_build_object(v_column.key, v_number);
      features := features || v_number;
    elsif v_number is not null then
      measured := measured || jsonb_build_object(v_column.key, v_number);
    end if;
  end loop;
  return next;
end
$$;
comment on function lab_private.dataset_row(text[], jsonb, integer, text[]) is
  'One record of an imported text as a row of a data set; 400 invalid_formula, not_a_number or missing_parameter with the line.';

create or replace function lab.dataset_import(
  name text, csv text, mapping jsonb, description text default null, source text default null, licence text default null,
  dry_run boolean default false)
  returns jsonb
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_org     uuid := labos.require_org_for('material:create');
  v_id      uuid := labos.uuid_v7();
  v_header  text[];
  v_used    text[];
  v_record  record;
  v_row     record;
  v_count   integer := 0;
  v_missing integer := 0;
begin
  if dataset_import.name is null or length(btrim(dataset_import.name)) not between 1 and 63 then
    perform lab_private.dataset_refuse('invalid_name', 'a data set needs a name of 1 to 63 characters');
  elsif coalesce(dataset_import.csv, '') = '' then
    perform lab_private.dataset_refuse('empty', 'the text is empty');
  elsif octet_length(dataset_import.csv) > 50000000 then
    perform lab_private.dataset_refuse('too_large', 'the text is longer than 50,000,000 bytes');
  elsif length(dataset_import.description) > 10000 or length(dataset_import.source) > 1000 or length(dataset_import.licence) > 200 then
    perform lab_private.dataset_refuse('too_large', 'description, source or licence is too long');
  end if;
  perform lab_private.dataset_mapping(dataset_import.mapping);
  if exists (select from lab_data.datasets d where d.org_id = v_org and d.name = dataset_import.name and d.deleted_at is null) then
    raise exception 'a data set of this name exists' using errcode = 'PT409',
      detail = json_build_object('code', 'dataset_exists', 'name', dataset_import.name)::text,
      hint = 'Data sets are not changed; import it under another name.';
  end if;

  for v_record in select c.line, c.fields from labos.csv_parse(dataset_import.csv) c loop
    if v_header is null then
      v_header := v_record.fields;
      v_used := array(select e.value from jsonb_each_text(dataset_import.mapping -> 'parameters') e
                      union select e.value from jsonb_each_text(dataset_import.mapping -> 'properties') e
                      union select dataset_import.mapping ->> 'formula' where dataset_import.mapping ? 'formula');
      perform lab_private.csv_column(v_header, u) from unnest(v_used) u;
      if not coalesce(dataset_import.dry_run, false) then
        insert into lab_data.datasets (id, org_id, name, description, source, licence, columns, feature_names, row_count, sha256)
        values (v_id, v_org, dataset_import.name, dataset_import.description, dataset_import.source, dataset_import.licence, dataset_import.mapping,
          case when dataset_import.mapping ? 'formula' then labos.composition_feature_names() else '{}' end
            || array(select e.key from jsonb_each_text(dataset_import.mapping -> 'parameters') e order by 1),
          1, encode(sha256(convert_to(dataset_import.csv, 'UTF8')), 'hex'));
      end if;
      continue;
    end if;
    select r.* into v_row from lab_private.dataset_row(v_header, dataset_import.mapping, v_record.line, v_record.fields) r;
    v_count := v_count + 1;
    v_missing := v_missing + (v_row.measured = '{}')::integer;
    if not coalesce(dataset_import.dry_run, false) then
      insert into lab_data.dataset_rows (org_id, dataset_id, row_index, formula, parameters, measured, features)
      values (v_org, v_id, v_count, v_row.formula, v_row.parameters, v_row.measured, v_row.features);
    end if;
  end loop;
  if v_count = 0 then
    perform lab_private.dataset_refuse('empty', 'the text has no rows');
  end if;
  if not coalesce(dataset_import.dry_run, false) then
    update lab_data.datasets d set row_count = v_count where d.org_id = v_org and d.id = v_id;
  end if;
  return jsonb_build_object('id', case when not coalesce(dataset_import.dry_run, false) then v_id end, 'name', dataset_import.name,
    'rows', v_count, 'rows_without_values', v_missing,
    'dropped_columns', to_jsonb(array(select h from unnest(v_header) h where h is null or h <> all (v_used))),
    'dry_run', coalesce(dataset_import.dry_run, false));
end
$$;
comment on function lab.dataset_import(text, text, jsonb, text, text, text, boolean) is
$$Import a data set

csv is delimited text with a header; mapping is {"formula": column, "parameters": {name: column}, "properties": {name: column}}. Answers rows, columns that were dropped, and with dry_run stores nothing. Errors: 403, 409 `dataset_exists`, 400 `invalid_mapping`, `unknown_column`, `invalid_formula`, `not_a_number`, `missing_parameter` (with the line), `empty`, `too_large`, LB402 malformed text.$$;
revoke all on function lab.dataset_import(text, text, jsonb, text, text, text, boolean) from public;
grant execute on function lab.dataset_import(text, text, jsonb, text, text, text, boolean) to lab_user;
revoke all on function lab_private.dataset_refuse(text, text, json, text), lab_private.csv_column(text[], text),
  lab_private.csv_number(text, integer, text), lab_private.dataset_mapping(jsonb), lab_private.dataset_row(text[], jsonb, integer, text[]) from public;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/310_simulation.sql', 'r', 31, 'simulation', $labos_file$/*
 * Room: simulation (repeatable half)
 *
 * Triggers, row security, views and calls of structures, predictions and
 * simulation jobs. What holds for a job holds on every path: engine and
 * parameters are checked by trigger, the parent's scale by foreign key, the
 * moves of the status by labos.tg__state.
 *
 * No insert, update or delete policies on results and fields: they are written
 * by the calls below, once. No update or delete of predictions: a better one is
 * a new row. No delete through the views mesoscale_jobs and continuum_jobs.
 */

-- structures ----------------------------------------------------------------

create or replace function lab_private.tg_structures__hash() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  if TG_OP = 'UPDATE' and (NEW.source, NEW.format) is distinct from (OLD.source, OLD.format) then
    raise exception 'the text of a structure cannot change' using errcode = 'PT409',
      detail = json_build_object('code', 'structure_immutable', 'id', OLD.id)::text,
      hint = 'Create a new structure and name this one as parent_structure_id.';
  end if;
  if NEW.material_id is not null and (TG_OP = 'INSERT' or NEW.material_id is distinct from OLD.material_id)
     and not exists (select from lab_data.materials m where m.org_id = NEW.org_id and m.id = NEW.material_id and m.deleted_at is null) then
    raise exception 'material not found' using errcode = 'PT422',
      detail = json_build_object('code', 'material_not_found', 'material_id', NEW.material_id)::text,
      hint = 'A material is one that you can see.';
  end if;
  if TG_OP = 'INSERT' and NEW.parent_structure_id is not null and not exists (
    select from lab_data.structures s where s.org_id = NEW.org_id and s.id = NEW.parent_structure_id and s.deleted_at is null) then
    raise exception 'structure not found' using errcode = 'PT422',
      detail = json_build_object('code', 'structure_not_found', 'structure_id', NEW.parent_structure_id)::text,
      hint = 'A structure is one that you can see.';
  end if;
  NEW.hash := encode(sha256(convert_to(btrim(
    regexp_replace(replace(NEW.source, E'\r\n', E'\n'), '[ \t]+$', '', 'gn'), E' \t\n\r'), 'UTF8')), 'hex');
  return NEW;
end
$$;
comment on function lab_private.tg_structures__hash() is 'Before insert or update of a structure: its hash, its material and parent are there; PT409 structure_immutable, PT422 material_not_found, structure_not_found.';

create or replace trigger _100_stamp before insert or update on lab_data.structures
  for each row execute function labos.tg__stamp();
create or replace trigger _300_hash before insert or update of source, format, hash, material_id on lab_data.structures
  for each row execute function lab_private.tg_structures__hash();
create or replace function lab_private.tg_predicted_properties__structure() returns trigger
  language plpgsql
  set search_path to pg_catalog, pg_temp
as $$
begin
  if not exists (select from lab_data.structures s where s.org_id = NEW.org_id and s.id = NEW.structure_id and s.deleted_at is null) then
    raise exception 'structure not found' using errcode = 'PT422',
      detail = json_build_object('code', 'structure_not_found', 'structure_id', NEW.structure_id)::text,
      hint = 'A structure is one that you can see.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_predicted_properties__structure() is 'Before insert of a prediction: its structure is there; PT422 structure_not_found.';
create or replace trigger _300_structure before insert on lab_data.predicted_properties
  for each row execute function lab_private.tg_predicted_properties__structure();

create or replace trigger _100_stamp before insert or update on lab_data.predicted_properties
  for each row execute function labos.tg__stamp();

call labos.protect('lab_data.structures', 'material', verbs => '{select,insert,update}', owner => 'owner_id');
call labos.expose('structures',
  insert_columns => '{id,material_id,parent_structure_id,name,formula,n_atoms,dimensionality,format,source,generated_by}',
  update_columns => '{material_id,name,formula,n_atoms,dimensionality,version}',
  deletable => true, prefix => 'material', owner => 'owner_id');
call labos.audit_enable('lab_data.structures');
call labos.protect('lab_data.predicted_properties', 'material', verbs => '{select,insert}', owner => 'owner_id');
call labos.expose('predicted_properties',
  insert_columns => '{id,structure_id,model_name,model_version,properties,uncertainty}');
call labos.audit_enable('lab_data.predicted_properties');

-- jobs: what holds on every path ----------------------------------------------

create or replace function lab_private.tg_simulation_jobs__check() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_engine   text;
  v_problems jsonb;
  v_parent   record;
begin
  if TG_OP = 'UPDATE' then
    if NEW.deleted_at is not null and OLD.deleted_at is null and OLD.status in ('QUEUED', 'RUNNING') then
      raise exception 'an active job cannot be deleted' using errcode = 'PT409',
        detail = json_build_object('code', 'job_active', 'id', OLD.id, 'status', OLD.status)::text,
        hint = 'Cancel it first: rpc/job_cancel.';
    end if;
    if (NEW.scale, NEW.engine_type, NEW.fidelity, NEW.parameters, NEW.seed, NEW.parent_job_id, NEW.structure_id)
       is not distinct from
       (OLD.scale, OLD.engine_type, OLD.fidelity, OLD.parameters, OLD.seed, OLD.parent_job_id, OLD.structure_id) then
      return NEW;
    end if;
    if OLD.status <> 'PENDING' then
      raise exception 'only a pending job can be changed' using errcode = 'PT409',
        detail = json_build_object('code', 'job_not_editable', 'id', OLD.id, 'status', OLD.status)::text,
        hint = 'Create a new job.';
    end if;
    -- A change of engine moves the scale with it, unless the scale is named too.
    if NEW.engine_type is distinct from OLD.engine_type and NEW.scale is not distinct from OLD.scale then
      NEW.scale := labos.engine_scale(NEW.engine_type);
    end if;
  end if;

  v_engine := labos.engine_name(NEW.engine_type);
  if v_engine is null then
    raise exception 'there is no such engine' using errcode = 'PT422',
      detail = json_build_object('code', 'unknown_engine', 'engine_type', left(NEW.engine_type, 100),
                                 'engines', (select json_agg(e.name) from labos.engines() e))::text,
      hint = 'rpc/simulation_engines lists engines and aliases.';
  end if;
  NEW.engine_type := v_engine;
  if coalesce(NEW.scale, labos.engine_scale(v_engine)) <> labos.engine_scale(v_engine) then
    raise exception 'engine is of another scale' using errcode = 'PT422',
      detail = json_build_object('code', 'engine_scale_mismatch', 'engine_type', v_engine,
                                 'scale', NEW.scale, 'engine_scale', labos.engine_scale(v_engine))::text,
      hint = 'Leave scale out, or choose an engine of that scale.';
  end if;
  NEW.scale := labos.engine_scale(v_engine);

  v_problems := labos.engine_parameter_problems(v_engine, NEW.parameters);
  if v_problems <> '[]' then
    raise exception 'engine parameters are not valid' using errcode = 'PT422',
      detail = json_build_object('code', 'invalid_parameters', 'engine_type', v_engine, 'problems', v_problems)::text,
      hint = 'rpc/simulation_engines lists parameters, units and limits.';
  end if;
  if NEW.fidelity is distinct from 'stub' then
    raise exception 'fidelity is not available' using errcode = 'PT422',
      detail = json_build_object('code', case NEW.fidelity when 'physics' then 'fidelity_unavailable' else 'unknown_fidelity' end,
                                 'fidelity', left(NEW.fidelity, 100))::text,
      hint = 'Use fidelity "stub".';
  end if;

  if NEW.parent_job_id is not null then
    select p.scale, p.status into v_parent from lab_data.simulation_jobs p
    where p.org_id = NEW.org_id and p.id = NEW.parent_job_id and p.deleted_at is null;
    if not found then
      raise exception 'parent job not found' using errcode = 'PT422',
        detail = json_build_object('code', 'parent_not_found', 'parent_job_id', NEW.parent_job_id)::text,
        hint = 'A parent is a job that you can see.';
    elsif v_parent.scale is distinct from (case NEW.scale when 'mesoscale' then 'atomic' when 'continuum' then 'mesoscale' end) then
      raise exception 'a parent job must be exactly one scale finer' using errcode = 'PT422',
        detail = json_build_object('code', 'parent_scale_mismatch', 'scale', NEW.scale, 'parent_scale', v_parent.scale)::text,
        hint = 'Chains go atomic, mesoscale, continuum.';
    elsif v_parent.status = 'CANCELLED' then
      raise exception 'parent job was cancelled' using errcode = 'PT409',
        detail = json_build_object('code', 'parent_cancelled', 'parent_job_id', NEW.parent_job_id)::text,
        hint = 'Choose another parent: this one will never have a result.';
    end if;
  end if;
  if NEW.structure_id is not null and not exists (
    select from lab_data.structures s where s.org_id = NEW.org_id and s.id = NEW.structure_id and s.deleted_at is null) then
    raise exception 'structure not found' using errcode = 'PT422',
      detail = json_build_object('code', 'structure_not_found', 'structure_id', NEW.structure_id)::text,
      hint = 'A structure is one that you can see.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_simulation_jobs__check() is
$$Before insert or update of a job

Engine by its full name, scale, parameters, fidelity, parent and structure. Errors: PT422 unknown_engine, engine_scale_mismatch, invalid_parameters (with all problems), fidelity_unavailable, unknown_fidelity, parent_not_found, parent_scale_mismatch, structure_not_found; PT409 job_not_editable, job_active, parent_cancelled.$$;

create or replace trigger _100_stamp before insert or update on lab_data.simulation_jobs
  for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.simulation_jobs
  for each row execute function labos.tg__state('status', 'PENDING>QUEUED,CANCELLED', 'QUEUED>RUNNING,CANCELLED',
    'RUNNING>COMPLETED,FAILED,CANCELLED', 'FAILED>QUEUED');
create or replace trigger _300_check before insert or update on lab_data.simulation_jobs
  for each row execute function lab_private.tg_simulation_jobs__check();
create or replace trigger _100_stamp before insert on lab_data.simulation_results
  for each row execute function labos.tg__stamp();
create or replace trigger _100_stamp before insert on lab_data.simulation_fields
  for each row execute function labos.tg__stamp();

call labos.protect('lab_data.simulation_jobs', 'simulation', verbs => '{select,insert,update}', owner => 'owner_id');
call labos.expose('simulation_jobs',
  insert_columns => '{id,name,description,scale,engine_type,fidelity,parameters,seed,parent_job_id,structure_id,priority,max_attempts}',
  update_columns => '{name,description,scale,engine_type,fidelity,parameters,seed,parent_job_id,structure_id,priority,max_attempts,version}',
  deletable => true, prefix => 'simulation', owner => 'owner_id');
call labos.protect('lab_data.simulation_results', 'simulation', verbs => '{select}', owner => 'owner_id');
call labos.expose('simulation_results');
call labos.protect('lab_data.simulation_fields', 'simulation', verbs => '{select}', owner => 'owner_id');
call labos.expose('simulation_fields');
call labos.audit_enable('lab_data.simulation_jobs');
call labos.audit_enable('lab_data.simulation_results');
-- The arrays themselves are not copied into the trail: their SHA-256 is.
call labos.audit_enable('lab_data.simulation_fields', '{"ignore": ["data"]}');

-- the names that clients of the original know -----------------------------------

do $do$
declare
  v_scale   text;
  v_view    record;
  v_column  record;
begin
  foreach v_scale in array array['mesoscale', 'continuum'] loop
    for v_view in
      select format('lab.%I', v_scale || '_jobs') as name,
             format('with (security_invoker = true, check_option = local) as select %s from lab_data.simulation_jobs t where t.scale = %L and t.deleted_at is null',
                    (select string_agg(format('t.%I', a.attname), ', ' order by a.attnum) from pg_attribute a
                     where a.attrelid = 'lab.simulation_jobs'::regclass and a.attnum > 0 and not a.attisdropped), v_scale) as body,
             'jobs' as part, 'The simulation jobs of this scale; see simulation_jobs.' as comment
      union all
      -- Organisation, job and scale are the key by which clients embed results in jobs.
      select format('lab.%I', v_scale || '_results'),
             format('with (security_invoker = true) as select t.id, t.org_id, t.job_id, t.owner_id, t.scale, t.engine_type, %s, t.convergence_reached, '
                    't.wall_time_ms, t.engine_version, t.fidelity, t.seed, t.parameters, t.parameters_hash, t.parent_result_id, t.result, '
                    't.created_at, t.created_by from lab_data.simulation_results t where t.scale = %L',
                    case v_scale when 'mesoscale' then 't.microstructure_metrics, t.grain_size_distribution, t.phase_fractions, t.domain_size, t.timesteps'
                                 else 't.effective_properties, t.mesh_info, t.solution_fields' end, v_scale),
             'results', 'The results of jobs of this scale, found by job_id; see simulation_results.'
    loop
      -- A view may gain columns only at its end; a change that does otherwise needs a new one.
      begin
        execute format('create or replace view %s %s', v_view.name, v_view.body);
      exception when invalid_table_definition then
        execute format('drop view %s', v_view.name);
        execute format('create view %s %s', v_view.name, v_view.body);
      end;
      execute format('comment on view %s is %L', v_view.name, format(E'%s %s\n\n%s', initcap(v_scale), v_view.part, v_view.comment));
      execute format('revoke all on %s from public, lab_anon, lab_user, lab_guest', v_view.name);
      execute format('grant select on %s to lab_user', v_view.name);
    end loop;
    -- The scale need not be named, and an engine of another scale is refused.
    execute format('alter view lab.%I alter column scale set default %L', v_scale || '_jobs', v_scale);
    execute format('grant insert (id, name, description, engine_type, fidelity, parameters, seed, parent_job_id, structure_id, priority, max_attempts), '
      'update (name, description, engine_type, fidelity, parameters, seed, parent_job_id, structure_id, priority, max_attempts, version) on lab.%I to lab_user',
      v_scale || '_jobs');

    for v_column in
      select v.oid::regclass as name, a.attname, col_description(t.oid, ta.attnum) as description
      from (values ('_jobs'), ('_results')) x(part)
      join pg_class v on v.oid = format('lab.%I', v_scale || x.part)::regclass
      join pg_class t on t.oid = format('lab_data.%I', 'simulation' || x.part)::regclass
      join pg_attribute a on a.attrelid = v.oid and a.attnum > 0
      join pg_attribute ta on ta.attrelid = t.oid and ta.attname = a.attname
    loop
      execute format('comment on column %s.%I is %L', v_column.name, v_column.attname, v_column.description);
    end loop;
  end loop;
end
$do$;

-- calls -------------------------------------------------------------------------

create or replace function lab.simulation_engines()
  returns table (scale text, name text, aliases text[], version text, title text, parameters jsonb, results jsonb, fidelities text[])
  language sql stable parallel safe
  set search_path to pg_catalog, labos, pg_temp
begin atomic
  select e.scale, e.name, e.aliases, e.version, e.title, e.parameters, e.results, e.fidelities from labos.engines() e;
end;
comment on function lab.simulation_engines() is
$$Simulation engines

One row an engine: its parameters as JSON Schema with units, defaults and limits, and the shape of its result with units as leaves.$$;
revoke all on function lab.simulation_engines() from public;
grant execute on function lab.simulation_engines() to lab_user;

create or replace function lab.job_create(
  name text, engine_type text default null, scale text default null, parameters jsonb default '{}',
  parent_job_id uuid default null, structure_id uuid default null, seed bigint default 0,
  priority integer default 0, fidelity text default 'stub', description text default null)
  returns lab.simulation_jobs
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id    uuid := labos.uuid_v7();
  v_made  lab.simulation_jobs;
begin
  perform labos.require_org_for('simulation:create');
  -- A scale alone means its first engine: the stub of a chain needs no more.
  insert into lab_data.simulation_jobs (id, name, description, scale, engine_type, fidelity, parameters, seed, parent_job_id, structure_id, priority)
  values (v_id, job_create.name, job_create.description, job_create.scale,
          coalesce(job_create.engine_type, case job_create.scale when 'atomic' then 'ATOMIC' when 'mesoscale' then 'PHASE_FIELD' when 'continuum' then 'FEM' end),
          coalesce(job_create.fidelity, 'stub'), coalesce(job_create.parameters, '{}'), coalesce(job_create.seed, 0),
          job_create.parent_job_id, job_create.structure_id, coalesce(job_create.priority, 0));
  select j.* into v_made from lab.simulation_jobs j where j.org_id = labos.org_id() and j.id = v_id;
  return v_made;
end
$$;
comment on function lab.job_create(text, text, text, jsonb, uuid, uuid, bigint, integer, text, text) is
$$Create a simulation job

Returns the job, PENDING. Without engine_type the first engine of the scale: ATOMIC, PHASE_FIELD, FEM. Errors: 403 without simulation:create; 422 unknown_engine, engine_scale_mismatch, invalid_parameters (DETAIL lists path, code and message of all), parent_not_found, parent_scale_mismatch, structure_not_found, fidelity_unavailable.$$;
revoke all on function lab.job_create(text, text, text, jsonb, uuid, uuid, bigint, integer, text, text) from public;
grant execute on function lab.job_create(text, text, text, jsonb, uuid, uuid, bigint, integer, text, text) to lab_user;

-- A job of the caller (or of anybody, with simulation:update_any), locked.
create or replace function lab_private.job_lock(org uuid, job uuid) returns lab_data.simulation_jobs
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_job lab_data.simulation_jobs;
begin
  select j.* into v_job from lab_data.simulation_jobs j
  where j.org_id = job_lock.org and j.id = job_lock.job and j.deleted_at is null
    and j.owner_id = labos.owner_for('simulation:update_any', j.owner_id)
  for update;
  if not found then
    raise exception 'simulation job not found' using errcode = 'PT404',
      detail = json_build_object('code', 'job_not_found', 'id', job_lock.job)::text,
      hint = 'Only its owner or a holder of simulation:update_any can act on a job.';
  end if;
  return v_job;
end
$$;
comment on function lab_private.job_lock(uuid, uuid) is 'Locks a job of the caller for a change of state; PT404 job_not_found.';
revoke all on function lab_private.job_lock(uuid, uuid) from public;

create or replace function lab_private.job_view(org uuid, job uuid) returns lab.simulation_jobs
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_job lab.simulation_jobs;
begin
  select j.* into v_job from lab.simulation_jobs j where j.org_id = job_view.org and j.id = job_view.job;
  return v_job;
end
$$;
comment on function lab_private.job_view(uuid, uuid) is 'A job as clients see it.';
revoke all on function lab_private.job_view(uuid, uuid) from public;

create or replace function lab.job_submit(id uuid) returns lab.simulation_jobs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('simulation:run');
  v_job lab_data.simulation_jobs := lab_private.job_lock(v_org, job_submit.id);
begin
  if v_job.status <> 'PENDING' then
    raise exception 'only a pending job can be submitted' using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_job.status, 'to', 'QUEUED', 'id', v_job.id)::text,
      hint = case v_job.status when 'FAILED' then 'Retry it: rpc/job_retry.' else 'Create a new job.' end;
  end if;
  update lab_data.simulation_jobs j set status = 'QUEUED', submitted_at = now()
  where j.org_id = v_org and j.id = v_job.id;
  return lab_private.job_view(v_org, v_job.id);
end
$$;
comment on function lab.job_submit(uuid) is
$$Submit a simulation job

PENDING to QUEUED. A child may be submitted before its parent has finished; it runs after it. Errors: 403 without simulation:run, 404 job_not_found, 409 illegal_transition.$$;
revoke all on function lab.job_submit(uuid) from public;
grant execute on function lab.job_submit(uuid) to lab_user;

-- What the engine is given: the job's own parameters first, then its parent's figures, then its structure.
create or replace function lab_private.job_inputs(job lab_data.simulation_jobs, parent lab_data.simulation_results) returns jsonb
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_inputs jsonb := jsonb_strip_nulls(job.parameters);
begin
  if (parent).id is not null then
    v_inputs := labos.engine_link(job.engine_type, v_inputs, (parent).engine_type, (parent).result);
  end if;
  if job.scale = 'atomic' and job.structure_id is not null then
    select jsonb_build_object('formula', s.formula::text, 'n_atoms', s.n_atoms) || v_inputs into v_inputs
    from lab_data.structures s where s.org_id = job.org_id and s.id = job.structure_id;
  end if;
  return v_inputs;
end
$$;
comment on function lab_private.job_inputs(lab_data.simulation_jobs, lab_data.simulation_results) is
  'The parameters of a job completed from its parent''s result and its structure; LB502 when the parent lacks a figure.';
revoke all on function lab_private.job_inputs(lab_data.simulation_jobs, lab_data.simulation_results) from public;

create or replace function lab.job_run(id uuid) returns lab.simulation_jobs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org     uuid := labos.require_org_for('simulation:run');
  v_job     lab_data.simulation_jobs := lab_private.job_lock(v_org, job_run.id);
  v_parent  lab_data.simulation_results;
  v_status  text;
  v_started timestamptz;
  v_inputs  jsonb;
  v_setup   jsonb;
  v_result  jsonb;
  v_error   jsonb;
  v_message text;
  v_detail  text;
begin
  if v_job.status <> 'QUEUED' then
    raise exception 'only a queued job can run' using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_job.status, 'to', 'RUNNING', 'id', v_job.id)::text,
      hint = case v_job.status when 'PENDING' then 'Submit it first: rpc/job_submit.' when 'FAILED' then 'Retry it: rpc/job_retry.'
             else 'Create a new job.' end;
  end if;
  if v_job.parent_job_id is not null then
    select p.status into v_status from lab_data.simulation_jobs p where p.org_id = v_org and p.id = v_job.parent_job_id for share;
    if v_status is distinct from 'COMPLETED' then
      raise exception 'parent job has not completed' using errcode = 'PT409',
        detail = json_build_object('code', 'parent_not_completed', 'id', v_job.id,
                                   'parent_job_id', v_job.parent_job_id, 'parent_status', v_status)::text,
        hint = 'Run the parent first.';
    end if;
    select r.* into v_parent from lab_data.simulation_results r where r.org_id = v_org and r.job_id = v_job.parent_job_id;
  end if;

  update lab_data.simulation_jobs j set status = 'RUNNING', attempts = j.attempts + 1, started_at = clock_timestamp(), progress = 0
  where j.org_id = v_org and j.id = v_job.id
  returning j.* into v_job;

  -- A failure is a fact to keep: the engine's part rolls back alone, cancelling the statement rolls back all.
  begin
    v_started := clock_timestamp();
    v_inputs := lab_private.job_inputs(v_job, v_parent);
    v_setup := labos.engine_prepare(v_job.engine_type, v_inputs);
    v_result := labos.engine_run(v_job.engine_type, v_inputs, v_job.seed, v_job.fidelity);
    insert into lab_data.simulation_results (org_id, job_id, owner_id, scale, engine_type, result, domain_size, mesh_info, wall_time_ms,
      engine_version, fidelity, seed, parameters, parameters_hash, parent_result_id)
    values (v_org, v_job.id, v_job.owner_id, v_job.scale, v_job.engine_type, v_result, v_setup -> 'domain_size', v_setup -> 'mesh_info',
      extract(epoch from clock_timestamp() - v_started) * 1000, v_setup ->> 'version', v_job.fidelity, v_job.seed,
      v_setup -> 'parameters', v_setup ->> 'parameters_hash', (v_parent).id);
  exception when others then
    -- What another attempt of the statement may cure is not the job's failure.
    if sqlstate ~ '^(40|53|55|57|58)' then
      raise;
    end if;
    get stacked diagnostics v_message = message_text, v_detail = pg_exception_detail;
    v_error := jsonb_build_object('code', coalesce(substring(v_detail from '"code"\s*:\s*"([a-z0-9_]+)"'), 'engine_failed'),
      'message', v_message, 'sqlstate', sqlstate, 'detail', nullif(v_detail, ''));
  end;

  update lab_data.simulation_jobs j
  set status = case when v_error is null then 'COMPLETED' else 'FAILED' end, error = v_error,
      progress = case when v_error is null then 1 else j.progress end, completed_at = clock_timestamp()
  where j.org_id = v_org and j.id = v_job.id;
  return lab_private.job_view(v_org, v_job.id);
end
$$;
comment on function lab.job_run(uuid) is
$$Run a queued simulation job now

Runs in the caller's session: the result and the state COMPLETED are written together. If the engine fails the job is FAILED with its error, and the call succeeds. Errors: 403 without simulation:run, 404 job_not_found, 409 illegal_transition, parent_not_completed.$$;
revoke all on function lab.job_run(uuid) from public;
grant execute on function lab.job_run(uuid) to lab_user;

create or replace function lab.job_cancel(id uuid) returns lab.simulation_jobs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('simulation:run');
  v_job lab_data.simulation_jobs := lab_private.job_lock(v_org, job_cancel.id);
begin
  if v_job.status not in ('PENDING', 'QUEUED', 'RUNNING') then
    raise exception 'only an unfinished job can be cancelled' using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_job.status, 'to', 'CANCELLED', 'id', v_job.id)::text,
      hint = 'It has finished already.';
  end if;
  update lab_data.simulation_jobs j set status = 'CANCELLED', completed_at = now(), worker = null, lease_until = null
  where j.org_id = v_org and j.id = v_job.id;
  return lab_private.job_view(v_org, v_job.id);
end
$$;
comment on function lab.job_cancel(uuid) is
$$Cancel a simulation job

PENDING, QUEUED or RUNNING to CANCELLED; its children can never run. Errors: 403 without simulation:run, 404 job_not_found, 409 illegal_transition.$$;
revoke all on function lab.job_cancel(uuid) from public;
grant execute on function lab.job_cancel(uuid) to lab_user;

create or replace function lab.job_retry(id uuid) returns lab.simulation_jobs
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('simulation:run');
  v_job lab_data.simulation_jobs := lab_private.job_lock(v_org, job_retry.id);
begin
  if v_job.status <> 'FAILED' then
    raise exception 'only a failed job can be retried' using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_job.status, 'to', 'QUEUED', 'id', v_job.id)::text,
      hint = 'Create a new job.';
  elsif v_job.attempts >= v_job.max_attempts then
    raise exception 'the job has been attempted often enough' using errcode = 'PT409',
      detail = json_build_object('code', 'attempts_exhausted', 'attempts', v_job.attempts, 'max_attempts', v_job.max_attempts)::text,
      hint = 'Raise max_attempts, or create a new job.';
  end if;
  -- Workers wait 10 s, 20 s, 40 s, ... up to an hour; rpc/job_run does not.
  update lab_data.simulation_jobs j
  set status = 'QUEUED', error = null, progress = 0, completed_at = null, submitted_at = now(),
      run_after = now() + least(interval '1 hour', interval '5 seconds' * (2 ^ v_job.attempts))
  where j.org_id = v_org and j.id = v_job.id;
  return lab_private.job_view(v_org, v_job.id);
end
$$;
comment on function lab.job_retry(uuid) is
$$Retry a failed simulation job

FAILED to QUEUED, at most max_attempts times; workers wait longer each time, rpc/job_run does not wait. Errors: 403 without simulation:run, 404 job_not_found, 409 illegal_transition, attempts_exhausted.$$;
revoke all on function lab.job_retry(uuid) from public;
grant execute on function lab.job_retry(uuid) to lab_user;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/320_campaigns.sql', 'r', 32, 'campaigns', $labos_file$/*
 * Room: campaigns (repeatable half)
 *
 * The configuration is checked by a trigger, so that every way in keeps it
 * valid. A step locks the campaign's row: two steps of one campaign follow each
 * other, and each commits whole or not at all.
 */

-- configuration -------------------------------------------------------------

create or replace function lab_private.tg_design_campaigns__config() returns trigger
  language plpgsql
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_problems jsonb;
  v_dataset  lab_data.datasets;
begin
  if TG_OP = 'UPDATE' then
    if NEW.deleted_at is not null and OLD.deleted_at is null and OLD.status = 'RUNNING' then
      raise exception 'a running campaign cannot be deleted' using errcode = 'PT409',
        detail = json_build_object('code', 'campaign_running', 'id', OLD.id)::text,
        hint = 'Pause or cancel it first.';
    elsif OLD.status not in ('CREATED', 'PAUSED')
          and (NEW.name, NEW.description, NEW.config) is distinct from (OLD.name, OLD.description, OLD.config) then
      raise exception 'the campaign cannot be changed now' using errcode = 'PT409',
        detail = json_build_object('code', 'campaign_not_editable', 'status', OLD.status)::text,
        hint = 'Pause it first.';
    elsif NEW.config is not distinct from OLD.config then
      return NEW;
    end if;
  end if;

  select jsonb_agg(to_jsonb(p)) into v_problems from labos.campaign_config_problems(coalesce(NEW.config, 'null')) p;
  if v_problems is null then
    NEW.config := labos.campaign_config_canonical(NEW.config);
    if NEW.config -> 'evaluator' ?| '{dataset,dataset_id}' then
      select d.* into v_dataset from lab_data.datasets d
      where d.org_id = NEW.org_id and d.deleted_at is null
        and d.name = coalesce(NEW.config #>> '{evaluator,dataset}', d.name)
        and d.id = coalesce((NEW.config #>> '{evaluator,dataset_id}')::uuid, d.id);
      if not found then
        v_problems := jsonb_build_array(jsonb_build_object('path', '$.evaluator.dataset', 'code', 'unknown_dataset',
          'message', 'no data set of this name or id'));
      elsif NEW.config #>> '{evaluator,kind}' = 'dataset' then
        select jsonb_agg(jsonb_build_object('path', '$.target_properties.' || k, 'code', 'unknown_property', 'message', 'was not measured in the data set'))
        into v_problems
        from jsonb_object_keys(NEW.config -> 'target_properties') k
        where not v_dataset.columns -> 'properties' ? k;
      end if;
    end if;
  end if;
  if v_problems is not null then
    raise exception 'the configuration is not valid' using errcode = 'PT400',
      detail = jsonb_build_object('code', 'invalid_config', 'problems', v_problems)::text,
      hint = 'Each problem names its path.';
  end if;

  if TG_OP = 'UPDATE' and OLD.current_iteration > 0
     and (v_dataset.id is distinct from OLD.dataset_id or NEW.config -> 'search_space' is distinct from OLD.config -> 'search_space'
          or NEW.config #> '{evaluator,kind}' is distinct from OLD.config #> '{evaluator,kind}'
          or NEW.config -> 'target_properties' is distinct from OLD.config -> 'target_properties'
          or (NEW.config ->> 'max_iterations')::integer < OLD.current_iteration) then
    raise exception 'the campaign has candidates already' using errcode = 'PT409',
      detail = json_build_object('code', 'space_fixed', 'current_iteration', OLD.current_iteration)::text,
      hint = 'Targets, search space, data set, evaluator and past iterations stay; make a new campaign.';
  end if;
  if v_dataset.id is not null then
    NEW.config := jsonb_set(NEW.config #- '{evaluator,dataset_id}', '{evaluator,dataset}', to_jsonb(v_dataset.name));
  end if;
  NEW.dataset_id := v_dataset.id;
  NEW.max_iterations := (NEW.config ->> 'max_iterations')::integer;
  NEW.seed := coalesce((NEW.config ->> 'seed')::bigint, case when TG_OP = 'UPDATE' then OLD.seed end,
                       floor(random() * 9007199254740992)::bigint);
  NEW.config := NEW.config || jsonb_build_object('seed', NEW.seed);
  return NEW;
end
$$;
comment on function lab_private.tg_design_campaigns__config() is
  'Checks and completes a campaign''s configuration: 400 invalid_config with all problems, 409 campaign_not_editable, campaign_running, space_fixed.';
revoke all on function lab_private.tg_design_campaigns__config() from public;

create or replace trigger _100_stamp before insert or update on lab_data.design_campaigns for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.design_campaigns
  for each row execute function labos.tg__state('status',
    'CREATED>RUNNING,CANCELLED', 'RUNNING>PAUSED,COMPLETED,FAILED,CANCELLED', 'PAUSED>RUNNING,CANCELLED');
create or replace trigger _300_config before insert or update of config, name, description, deleted_at on lab_data.design_campaigns
  for each row execute function lab_private.tg_design_campaigns__config();
create or replace trigger _100_stamp before insert or update on lab_data.campaign_candidates for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.campaign_candidates
  for each row execute function labos.tg__state('state',
    'insert>suggested,pending', 'suggested>pending,evaluated,failed,rejected', 'pending>evaluated,failed,rejected');

call labos.protect('lab_data.design_campaigns', 'campaign', verbs => '{select,insert,update}', owner => 'owner_id');
call labos.expose('design_campaigns',
  insert_columns => '{id,name,description,config}', update_columns => '{name,description,config,version}',
  deletable => true, prefix => 'campaign', owner => 'owner_id');
-- No write policies: the calls below write them.
call labos.protect('lab_data.design_iterations', 'campaign', verbs => '{select}', owner => 'owner_id');
call labos.expose('design_iterations');
call labos.protect('lab_data.campaign_candidates', 'campaign', verbs => '{select}', owner => 'owner_id');
call labos.expose('campaign_candidates');

call labos.audit_enable('lab_data.design_campaigns');
call labos.audit_enable('lab_data.design_iterations');
call labos.audit_enable('lab_data.campaign_candidates');

-- create and change ---------------------------------------------------------

create or replace function lab.campaign_create(name text, config jsonb, description text default null)
  returns lab.design_campaigns
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_made lab.design_campaigns;
begin
  perform labos.require_org_for('campaign:create');
  if length(btrim(coalesce(campaign_create.name, ''))) not between 1 and 200 or length(campaign_create.description) > 10000 then
    raise exception 'a campaign needs a name of 1 to 200 characters' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_name')::text;
  end if;
  insert into lab.design_campaigns (name, config, description)
  values (campaign_create.name, coalesce(campaign_create.config, 'null'), campaign_create.description)
  returning * into v_made;
  return v_made;
end
$$;
comment on function lab.campaign_create(text, jsonb, text) is
$$Create a design campaign

config holds target_properties, constraints or search_space, strategy (random, sobol, bayesian), evaluator (dataset, external), candidates_per_iteration, max_iterations, seed and stop. Errors: 403, 400 `invalid_config` with every problem and its path, `invalid_name`.$$;
revoke all on function lab.campaign_create(text, jsonb, text) from public;
grant execute on function lab.campaign_create(text, jsonb, text) to lab_user;

create or replace function lab.campaign_update(
  id uuid, name text default null, config jsonb default null, description text default null, version integer default null)
  returns lab.design_campaigns
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_old  lab.design_campaigns;
  v_made lab.design_campaigns;
begin
  perform labos.require_org_for('campaign:update');
  select c.* into v_old from lab.design_campaigns c where c.id = campaign_update.id;
  if found and v_old.status not in ('CREATED', 'PAUSED') then
    raise exception 'the campaign cannot be changed now' using errcode = 'PT409',
      detail = json_build_object('code', 'campaign_not_editable', 'status', v_old.status)::text,
      hint = 'Pause it first.';
  end if;
  update lab.design_campaigns c
  set name = coalesce(campaign_update.name, c.name), config = coalesce(campaign_update.config, c.config),
      description = coalesce(campaign_update.description, c.description), version = coalesce(campaign_update.version, c.version)
  where c.id = campaign_update.id
  returning c.* into v_made;
  if v_made.id is null then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_update.id)::text;
  end if;
  return v_made;
end
$$;
comment on function lab.campaign_update(uuid, text, jsonb, text, integer) is
$$Change a design campaign

Only while CREATED or PAUSED; what is null stays. Targets, search space, data set and evaluator stay once there are candidates. Errors: 403, 404 `campaign_not_found`, 409 `campaign_not_editable`, `space_fixed`, 412 `stale_version`, 400 `invalid_config`.$$;
revoke all on function lab.campaign_update(uuid, text, jsonb, text, integer) from public;
grant execute on function lab.campaign_update(uuid, text, jsonb, text, integer) to lab_user;

-- state ---------------------------------------------------------------------

create or replace function lab_private.campaign_lock(org uuid, campaign uuid) returns lab_data.design_campaigns
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_campaign lab_data.design_campaigns;
begin
  select c.* into v_campaign from lab_data.design_campaigns c
  where c.org_id = campaign_lock.org and c.id = campaign_lock.campaign and c.deleted_at is null
    and c.owner_id = labos.owner_for('campaign:update_any', c.owner_id)
  for update;
  if not found then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_lock.campaign)::text;
  end if;
  return v_campaign;
end
$$;
comment on function lab_private.campaign_lock(uuid, uuid) is 'The campaign, locked, if the caller may run it; 404 otherwise.';

create or replace function lab_private.campaign_move(org uuid, campaign uuid, target text, allowed text[]) returns lab_data.design_campaigns
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_campaign lab_data.design_campaigns := lab_private.campaign_lock(campaign_move.org, campaign_move.campaign);
begin
  if v_campaign.status <> all (campaign_move.allowed) then
    raise exception 'the campaign cannot become % now', campaign_move.target using errcode = 'PT409',
      detail = json_build_object('code', 'illegal_transition', 'from', v_campaign.status, 'to', campaign_move.target,
        'allowed_from', campaign_move.allowed)::text;
  end if;
  update lab_data.design_campaigns c
  set status = campaign_move.target,
      started_at = case when campaign_move.target = 'RUNNING' then coalesce(c.started_at, now()) else c.started_at end,
      completed_at = case when campaign_move.target = 'CANCELLED' then now() end,
      stop_reason = case when campaign_move.target = 'CANCELLED' then 'cancelled' end
  where c.org_id = campaign_move.org and c.id = campaign_move.campaign
  returning c.* into v_campaign;
  return v_campaign;
end
$$;
comment on function lab_private.campaign_move(uuid, uuid, text, text[]) is 'Moves a campaign to a status; 404, 409 illegal_transition.';

-- What the caller gets to see: the public view's row.
create or replace function lab_private.campaign_row(org uuid, campaign uuid) returns lab.design_campaigns
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_row lab.design_campaigns;
begin
  select c.* into v_row from lab.design_campaigns c where c.org_id = campaign_row.org and c.id = campaign_row.campaign;
  return v_row;
end
$$;
comment on function lab_private.campaign_row(uuid, uuid) is 'A campaign as the public view shows it.';

create or replace function lab.campaign_start(id uuid) returns lab.design_campaigns
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('campaign:run');
begin
  perform lab_private.campaign_move(v_org, campaign_start.id, 'RUNNING', '{CREATED}');
  return lab_private.campaign_row(v_org, campaign_start.id);
end
$$;
comment on function lab.campaign_start(uuid) is
$$Start a design campaign

CREATED → RUNNING. Errors: 403, 404 `campaign_not_found`, 409 `illegal_transition`.$$;
revoke all on function lab.campaign_start(uuid) from public;
grant execute on function lab.campaign_start(uuid) to lab_user;

create or replace function lab.campaign_pause(id uuid) returns lab.design_campaigns
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('campaign:run');
begin
  perform lab_private.campaign_move(v_org, campaign_pause.id, 'PAUSED', '{RUNNING}');
  return lab_private.campaign_row(v_org, campaign_pause.id);
end
$$;
comment on function lab.campaign_pause(uuid) is
$$Pause a design campaign

RUNNING → PAUSED; results that are under way may still be observed. Errors: 403, 404 `campaign_not_found`, 409 `illegal_transition`.$$;
revoke all on function lab.campaign_pause(uuid) from public;
grant execute on function lab.campaign_pause(uuid) to lab_user;

create or replace function lab.campaign_resume(id uuid) returns lab.design_campaigns
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org      uuid := labos.require_org_for('campaign:run');
  v_campaign lab_data.design_campaigns := lab_private.campaign_move(v_org, campaign_resume.id, 'RUNNING', '{PAUSED}');
begin
  -- Answers that came meanwhile, or another configuration, may have ended it.
  if not exists (select from lab_data.design_iterations i
                 where i.org_id = v_org and i.campaign_id = v_campaign.id and i.completed_at is null) then
    perform lab_private.campaign_complete(v_org, v_campaign.id, lab_private.campaign_end_reason(v_campaign));
  end if;
  return lab_private.campaign_row(v_org, campaign_resume.id);
end
$$;
comment on function lab.campaign_resume(uuid) is
$$Resume a design campaign

PAUSED → RUNNING, and → COMPLETED if it reached its end meanwhile. Errors: 403, 404 `campaign_not_found`, 409 `illegal_transition`.$$;
revoke all on function lab.campaign_resume(uuid) from public;
grant execute on function lab.campaign_resume(uuid) to lab_user;

create or replace function lab.campaign_cancel(id uuid) returns lab.design_campaigns
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_org uuid := labos.require_org_for('campaign:run');
begin
  perform lab_private.campaign_move(v_org, campaign_cancel.id, 'CANCELLED', '{CREATED,RUNNING,PAUSED}');
  return lab_private.campaign_row(v_org, campaign_cancel.id);
end
$$;
comment on function lab.campaign_cancel(uuid) is
$$Cancel a design campaign

Any unfinished campaign → CANCELLED, for good. Errors: 403, 404 `campaign_not_found`, 409 `illegal_transition`.$$;
revoke all on function lab.campaign_cancel(uuid) from public;
grant execute on function lab.campaign_cancel(uuid) to lab_user;

-- propose -------------------------------------------------------------------

-- Adds up to "wanted" candidates to an iteration; returns how many came.
create or replace function lab_private.campaign_propose(
  campaign lab_data.design_campaigns, iteration uuid, iteration_index integer, wanted integer, initial_state text)
  returns integer
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_rows    uuid[];
  v_pool    float8[];
  v_history jsonb;
  v_slot    integer;
  v_done    integer;
begin
  select count(*) into v_slot from lab_data.campaign_candidates c
  where c.org_id = campaign.org_id and c.campaign_id = campaign.id;
  wanted := least(wanted, (campaign.config #>> '{stop,budget}')::bigint - v_slot);
  if wanted < 1 then
    return 0;
  end if;

  if campaign.dataset_id is not null then
    -- What was proposed stays in, so that the model can learn from it.
    select array_agg(r.id order by r.row_index), array_agg(r.features order by r.row_index) into v_rows, v_pool
    from lab_data.dataset_rows r
    where r.org_id = campaign.org_id and r.dataset_id = campaign.dataset_id
      and (labos.constraints_admit(campaign.config -> 'constraints', r.formula, r.parameters)
           or r.id in (select c.dataset_row_id from lab_data.campaign_candidates c
                       where c.org_id = campaign.org_id and c.campaign_id = campaign.id));
    if v_rows is null then
      return 0;
    end if;
    select jsonb_agg(jsonb_build_object('row', p.k, 'properties', c.measured, 'pending', c.state in ('suggested', 'pending')) order by c.slot)
    into v_history
    from lab_data.campaign_candidates c
    join unnest(v_rows) with ordinality p(id, k) on p.id = c.dataset_row_id
    where c.org_id = campaign.org_id and c.campaign_id = campaign.id;
  else
    select jsonb_agg(jsonb_build_object('parameters', c.parameters, 'properties', c.measured, 'pending', c.state in ('suggested', 'pending')) order by c.slot)
    into v_history
    from lab_data.campaign_candidates c
    where c.org_id = campaign.org_id and c.campaign_id = campaign.id;
  end if;

  insert into lab_data.campaign_candidates (org_id, owner_id, campaign_id, iteration_id, slot, candidate_hash, dataset_row_id,
    formula, parameters, predicted, acquisition, reason, state, evaluator, suggested_to)
  select campaign.org_id, campaign.owner_id, campaign.id, campaign_propose.iteration, s.slot_no,
    encode(sha256(convert_to(coalesce(r.id::text, s.parameters::text), 'UTF8')), 'hex'), r.id,
    r.formula, coalesce(s.parameters, r.parameters), s.predicted, s.acquisition, s.reason || jsonb_build_object('history', v_slot), campaign_propose.initial_state,
    campaign.config #>> '{evaluator,kind}', labos.user_id()
  from labos.suggest(campaign.config, campaign.seed, campaign_propose.iteration_index, v_slot, campaign_propose.wanted,
                     coalesce(v_history, '[]'), v_pool) s
  left join lab_data.dataset_rows r on r.org_id = campaign.org_id and r.id = v_rows[s.pool_row]
  order by s.slot_no;
  get diagnostics v_done = row_count;
  return v_done;
end
$$;
comment on function lab_private.campaign_propose(lab_data.design_campaigns, uuid, integer, integer, text) is
  'Asks labos.suggest with the whole history and stores the candidates; the caller holds the campaign''s lock.';

create or replace function lab_private.iteration_begin(campaign lab_data.design_campaigns, iteration_index integer) returns uuid
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_id uuid;
begin
  insert into lab_data.design_iterations (org_id, owner_id, campaign_id, iteration_index, strategy_used)
  values (campaign.org_id, campaign.owner_id, campaign.id, iteration_begin.iteration_index, campaign.config ->> 'strategy')
  returning id into v_id;
  update lab_data.design_campaigns c set current_iteration = iteration_begin.iteration_index + 1
  where c.org_id = campaign.org_id and c.id = campaign.id;
  return v_id;
end
$$;
comment on function lab_private.iteration_begin(lab_data.design_campaigns, integer) is 'A new iteration of a campaign that the caller has locked.';

-- learn ---------------------------------------------------------------------

-- Counts, best and metrics of an iteration, best of the campaign, and whether it has ended.
create or replace function lab_private.iteration_close(campaign lab_data.design_campaigns, iteration uuid, wall_ms float8, is_full boolean)
  returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_iteration lab_data.design_iterations;
  v_stats     record;
  v_best      lab_data.campaign_candidates;
  v_before    float8;
  v_campaign  lab_data.design_campaigns;
begin
  select i.* into v_iteration from lab_data.design_iterations i where i.org_id = campaign.org_id and i.id = iteration_close.iteration;
  select count(*) as created, count(*) filter (where c.state in ('evaluated', 'failed', 'rejected')) as ended,
    count(*) filter (where c.state = 'evaluated') as evaluated, max(c.score) as best, avg(c.score) as mean,
    count(*) filter (where c.score = 1) as hits,
    coalesce(jsonb_agg(c.score order by c.slot), '[]') as scores, coalesce(jsonb_agg(c.acquisition order by c.slot), '[]') as acquisition
  into v_stats
  from lab_data.campaign_candidates c
  where c.org_id = campaign.org_id and c.iteration_id = v_iteration.id;
  select max(i.best_score_this_iter) into v_before from lab_data.design_iterations i
  where i.org_id = campaign.org_id and i.campaign_id = campaign.id and i.iteration_index < v_iteration.iteration_index;
  select c.* into v_best from lab_data.campaign_candidates c
  where c.org_id = campaign.org_id and c.iteration_id = v_iteration.id and c.score is not null
  order by c.score desc, c.slot limit 1;

  update lab_data.design_iterations i
  set created_structures = v_stats.created, evaluated_structures = v_stats.ended,
      best_score_this_iter = v_stats.best, best_structure_this_iter = coalesce(v_best.formula::text, v_best.parameters::text),
      completed_at = case when iteration_close.is_full and v_stats.ended = v_stats.created then now() end,
      metrics = i.metrics || jsonb_build_object(
        'scores', v_stats.scores, 'mean_score', v_stats.mean, 'hits', v_stats.hits,
        'best_so_far', greatest(v_before, v_stats.best), 'improvement', greatest(coalesce(v_stats.best, 0) - coalesce(v_before, 0), 0),
        'acquisition', v_stats.acquisition,
        'diversity', lab_private.iteration_diversity(campaign.org_id, v_iteration.id),
        'wall_ms', round((coalesce((i.metrics ->> 'wall_ms')::numeric, 0) + iteration_close.wall_ms::numeric), 3))
  where i.org_id = campaign.org_id and i.id = v_iteration.id
  returning i.* into v_iteration;

  if v_best.score > campaign.best_score or (campaign.best_score is null and v_best.score is not null) then
    update lab_data.design_campaigns c
    set best_score = v_best.score, best_candidate_id = v_best.id, best_structure = v_iteration.best_structure_this_iter
    where c.org_id = campaign.org_id and c.id = campaign.id;
  end if;
  if v_iteration.completed_at is null then
    return;
  end if;

  if v_stats.evaluated = 0 then
    update lab_data.design_campaigns c
    set status = 'FAILED', completed_at = now(), failure_reason = 'every candidate of iteration ' || v_iteration.iteration_index || ' failed'
    where c.org_id = campaign.org_id and c.id = campaign.id and c.status = 'RUNNING';
  else
    select c.* into v_campaign from lab_data.design_campaigns c where c.org_id = campaign.org_id and c.id = campaign.id;
    perform lab_private.campaign_complete(campaign.org_id, campaign.id, lab_private.campaign_end_reason(v_campaign));
  end if;
end
$$;
comment on function lab_private.iteration_close(lab_data.design_campaigns, uuid, float8, boolean) is
  'Brings an iteration and its campaign up to date after candidates changed, and ends the campaign when its time has come.';

create or replace function lab_private.campaign_complete(org uuid, campaign uuid, reason text) returns void
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  -- A paused one ends when it is resumed.
  update lab_data.design_campaigns c
  set status = 'COMPLETED', completed_at = now(), stop_reason = campaign_complete.reason
  where c.org_id = campaign_complete.org and c.id = campaign_complete.campaign and c.status = 'RUNNING'
    and campaign_complete.reason is not null;
end
$$;
comment on function lab_private.campaign_complete(uuid, uuid, text) is 'Ends a running campaign for a reason; null: not yet.';

-- Iterations may be answered in any order: the last one is the last to be complete, not the one with the highest number.
create or replace function lab_private.campaign_end_reason(campaign lab_data.design_campaigns) returns text
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select case
    when campaign.best_score >= (campaign.config #>> '{stop,target_score}')::float8 then 'target_score'
    when i.newest - i.best >= (campaign.config #>> '{stop,no_improvement}')::integer then 'no_improvement'
    when c.pending > 0 then null
    when c.made >= (campaign.config #>> '{stop,budget}')::bigint then 'budget'
    when campaign.current_iteration >= campaign.max_iterations and i.is_complete then 'max_iterations' end
  from
    (select max(x.iteration_index) filter (where x.completed_at is not null) as newest, bool_and(x.completed_at is not null) as is_complete,
       min(x.iteration_index) filter (where x.best_score_this_iter = campaign.best_score) as best
     from lab_data.design_iterations x where x.org_id = campaign.org_id and x.campaign_id = campaign.id) i,
    (select count(*) as made, count(*) filter (where x.state in ('suggested', 'pending')) as pending
     from lab_data.campaign_candidates x where x.org_id = campaign.org_id and x.campaign_id = campaign.id) c
$$;
comment on function lab_private.campaign_end_reason(lab_data.design_campaigns) is 'Why a campaign has come to its end; null: it has not.';

create or replace function lab_private.iteration_diversity(org uuid, iteration uuid) returns float8
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
begin atomic
  with candidate as (
    select c.slot, labos.elements(c.formula) as elements
    from lab_data.campaign_candidates c
    where c.org_id = iteration_diversity.org and c.iteration_id = iteration_diversity.iteration and c.formula is not null
  )
  select avg(1 - (select count(*) from unnest(a.elements) e where e = any (b.elements))::float8
               / (select count(distinct e) from unnest(a.elements || b.elements) e))
  from candidate a join candidate b on a.slot < b.slot;
end;
comment on function lab_private.iteration_diversity(uuid, uuid) is
  'Mean Jaccard distance of the element sets of all pairs, 0 (all the same elements) to 1; null without formulas.';

create or replace function lab.campaign_step(id uuid, num_iterations integer default 1)
  returns setof lab.design_iterations
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_org      uuid := labos.require_org_for('campaign:run');
  v_campaign lab_data.design_campaigns;
  v_started  timestamptz;
  v_first    integer;
  v_id       uuid;
  v_n        integer;
begin
  if campaign_step.num_iterations is null or campaign_step.num_iterations not between 1 and 1000 then
    raise exception 'num_iterations must be between 1 and 1000' using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_num_iterations')::text;
  end if;
  v_campaign := lab_private.campaign_lock(v_org, campaign_step.id);
  v_first := v_campaign.current_iteration;
  for v_k in 1 .. campaign_step.num_iterations loop
    v_started := clock_timestamp();
    select c.* into v_campaign from lab_data.design_campaigns c where c.org_id = v_org and c.id = campaign_step.id;
    exit when v_k > 1 and v_campaign.status <> 'RUNNING';
    perform lab_private.campaign_require_running(v_campaign);
    if v_campaign.config #>> '{evaluator,kind}' = 'external' then
      exit when v_k > 1;
      if exists (select from lab_data.campaign_candidates c
                 where c.org_id = v_org and c.campaign_id = v_campaign.id and c.state in ('suggested', 'pending')) then
        raise exception 'candidates wait for their evaluation' using errcode = 'PT409',
          detail = json_build_object('code', 'evaluation_pending', 'iteration_index', v_campaign.current_iteration - 1)::text,
          hint = 'Report them with campaign_observe.';
      end if;
      -- An iteration of which a part was asked for by campaign_suggest is over with this.
      perform lab_private.iteration_close(v_campaign, i.id, 0, true) from lab_data.design_iterations i
      where i.org_id = v_org and i.campaign_id = v_campaign.id and i.completed_at is null;
      select c.* into v_campaign from lab_data.design_campaigns c where c.org_id = v_org and c.id = v_campaign.id;
      exit when v_campaign.status <> 'RUNNING';
    end if;
    v_id := lab_private.iteration_begin(v_campaign, v_campaign.current_iteration);
    v_n := lab_private.campaign_propose(v_campaign, v_id, v_campaign.current_iteration,
      (v_campaign.config ->> 'candidates_per_iteration')::integer,
      case v_campaign.config #>> '{evaluator,kind}' when 'external' then 'pending' else 'suggested' end);
    if v_n = 0 then
      delete from lab_data.design_iterations i where i.org_id = v_org and i.id = v_id;
      update lab_data.design_campaigns c set current_iteration = v_campaign.current_iteration where c.org_id = v_org and c.id = v_campaign.id;
      perform lab_private.campaign_complete(v_org, v_campaign.id, 'space_exhausted');
      exit;
    end if;
    if v_campaign.config #>> '{evaluator,kind}' = 'dataset' then
      update lab_data.campaign_candidates c
      set state = 'evaluated', measured = r.measured, score = s.score, score_parts = s.parts, evaluated_at = now()
      from lab_data.dataset_rows r, lateral labos.score(r.measured, v_campaign.config -> 'target_properties') s
      where c.org_id = v_org and c.iteration_id = v_id and r.org_id = v_org and r.id = c.dataset_row_id;
    end if;
    perform lab_private.iteration_close(v_campaign, v_id, extract(epoch from clock_timestamp() - v_started) * 1000, true);
  end loop;
  return query select i.* from lab.design_iterations i
  where i.org_id = v_org and i.campaign_id = campaign_step.id and i.iteration_index >= v_first
  order by i.iteration_index;
end
$$;
comment on function lab.campaign_step(uuid, integer) is
$$Run iterations of a design campaign

Proposes, evaluates and learns, num_iterations times or until the campaign ends, in one transaction; answers the iterations made. With the evaluator external it proposes one iteration, whose candidates are reported by campaign_observe. Errors: 403, 404 `campaign_not_found`, 409 `campaign_not_running`, `evaluation_pending`, 400 `invalid_num_iterations`.$$;

create or replace function lab_private.campaign_require_running(campaign lab_data.design_campaigns) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
begin
  if campaign.status <> 'RUNNING' then
    raise exception 'the campaign is not running' using errcode = 'PT409',
      detail = json_build_object('code', 'campaign_not_running', 'status', campaign.status)::text,
      hint = case campaign.status when 'CREATED' then 'Start it.' when 'PAUSED' then 'Resume it.' else 'It has ended.' end;
  end if;
end
$$;
comment on function lab_private.campaign_require_running(lab_data.design_campaigns) is '409 campaign_not_running unless it is.';
revoke all on function lab.campaign_step(uuid, integer) from public;
grant execute on function lab.campaign_step(uuid, integer) to lab_user;
revoke all on function lab_private.campaign_lock(uuid, uuid), lab_private.campaign_move(uuid, uuid, text, text[]),
  lab_private.campaign_row(uuid, uuid), lab_private.campaign_propose(lab_data.design_campaigns, uuid, integer, integer, text),
  lab_private.iteration_begin(lab_data.design_campaigns, integer), lab_private.iteration_diversity(uuid, uuid),
  lab_private.iteration_close(lab_data.design_campaigns, uuid, float8, boolean), lab_private.campaign_complete(uuid, uuid, text),
  lab_private.campaign_end_reason(lab_data.design_campaigns),
  lab_private.campaign_require_running(lab_data.design_campaigns) from public;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/321_campaign_answers.sql', 'r', 33, 'campaigns', $labos_file$/*
 * Room: campaigns, ask and tell (repeatable half)
 *
 * For the evaluator external: a person, robot or agent asks for candidates and
 * reports what came out. Both calls lock the campaign's row, so that nothing is
 * handed out twice.
 */

create or replace function lab.campaign_suggest(id uuid, n integer default 1)
  returns setof lab.campaign_candidates
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_org      uuid := labos.require_org_for('campaign:run');
  v_campaign lab_data.design_campaigns;
  v_open     lab_data.design_iterations;
  v_size     integer;
  v_left     integer := campaign_suggest.n;
  v_first    integer;
  v_made     integer;
  v_started  timestamptz;
begin
  if campaign_suggest.n is null or campaign_suggest.n not between 1 and 1000 then
    raise exception 'n must be between 1 and 1000' using errcode = 'PT400', detail = json_build_object('code', 'invalid_n')::text;
  end if;
  v_campaign := lab_private.campaign_lock(v_org, campaign_suggest.id);
  perform lab_private.campaign_require_running(v_campaign);
  if v_campaign.config #>> '{evaluator,kind}' <> 'external' then
    raise exception 'the campaign evaluates its candidates itself' using errcode = 'PT409',
      detail = json_build_object('code', 'evaluator_not_external')::text, hint = 'Use campaign_step.';
  end if;
  v_size := (v_campaign.config ->> 'candidates_per_iteration')::integer;
  select count(*) into v_first from lab_data.campaign_candidates c where c.org_id = v_org and c.campaign_id = v_campaign.id;

  while v_left > 0 loop
    v_started := clock_timestamp();
    select c.* into v_campaign from lab_data.design_campaigns c where c.org_id = v_org and c.id = campaign_suggest.id;
    -- The last iteration takes more until it is full; then a new one begins.
    select i.* into v_open from lab_data.design_iterations i
    where i.org_id = v_org and i.campaign_id = v_campaign.id and i.iteration_index = v_campaign.current_iteration - 1;
    if not found or v_open.created_structures >= v_size then
      exit when v_campaign.current_iteration >= v_campaign.max_iterations;
      v_open.iteration_index := v_campaign.current_iteration;
      v_open.created_structures := 0;
      v_open.id := lab_private.iteration_begin(v_campaign, v_campaign.current_iteration);
    end if;
    v_made := lab_private.campaign_propose(v_campaign, v_open.id, v_open.iteration_index,
      least(v_left, v_size - v_open.created_structures), 'pending');
    if v_made = 0 and v_open.created_structures = 0 then
      delete from lab_data.design_iterations i where i.org_id = v_org and i.id = v_open.id;
      update lab_data.design_campaigns c set current_iteration = v_open.iteration_index where c.org_id = v_org and c.id = v_campaign.id;
    else
      perform lab_private.iteration_close(v_campaign, v_open.id, extract(epoch from clock_timestamp() - v_started) * 1000,
        v_made = 0 or v_open.created_structures + v_made >= v_size);
    end if;
    exit when v_made = 0;
    v_left := v_left - v_made;
  end loop;
  if v_left = campaign_suggest.n then
    raise exception 'nothing is left to suggest' using errcode = 'PT409',
      detail = json_build_object('code', 'nothing_left', 'candidates', v_first)::text,
      hint = 'The space, the budget or max_iterations is used up.';
  end if;
  return query select c.* from lab.campaign_candidates c
  where c.org_id = v_org and c.campaign_id = campaign_suggest.id and c.slot >= v_first order by c.slot;
end
$$;
comment on function lab.campaign_suggest(uuid, integer) is
$$Ask for candidates to try

For the evaluator external: answers up to n new candidates, never one that was suggested before, to whomever. Report each with campaign_observe. Errors: 403, 404 `campaign_not_found`, 409 `campaign_not_running`, `evaluator_not_external`, `nothing_left`, 400 `invalid_n`.$$;

create or replace function lab_private.properties_require(properties jsonb, targets jsonb, what text) returns void
  language plpgsql stable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_bad text;
begin
  if jsonb_typeof(properties_require.properties) is distinct from 'object' then
    v_bad := '';
  elsif pg_column_size(properties_require.properties) > 65536 then
    raise exception '% are too large', properties_require.what using errcode = 'PT400', detail = json_build_object('code', 'too_large')::text;
  else
    select e.key into v_bad from jsonb_each(properties_require.properties) e
    where case when jsonb_typeof(e.value) = 'number' then abs((e.value #>> '{}')::numeric) > 1e300 else true end
    limit 1;
  end if;
  if v_bad is not null then
    raise exception '% must be an object of finite numbers', properties_require.what using errcode = 'PT400',
      detail = json_build_object('code', 'invalid_properties', 'argument', properties_require.what, 'property', left(v_bad, 100))::text;
  end if;
  if properties_require.targets is not null
     and not exists (select from jsonb_object_keys(properties_require.targets) k where properties_require.properties ? k) then
    raise exception 'no target property is among the properties' using errcode = 'PT400',
      detail = jsonb_build_object('code', 'no_target_property', 'targets',
        (select jsonb_agg(k) from jsonb_object_keys(properties_require.targets) k))::text;
  end if;
end
$$;
comment on function lab_private.properties_require(jsonb, jsonb, text) is '400 invalid_properties, too_large, no_target_property.';

create or replace function lab.campaign_observe(
  candidate uuid, properties jsonb default null, uncertainty jsonb default null, error text default null)
  returns lab.campaign_candidates
  language plpgsql volatile security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_org       uuid := labos.require_org_for('campaign:run');
  v_campaign  lab_data.design_campaigns;
  v_candidate lab_data.campaign_candidates;
  v_iteration lab_data.design_iterations;
  v_made      lab.campaign_candidates;
begin
  select c.* into v_candidate from lab_data.campaign_candidates c
  where c.org_id = v_org and c.id = campaign_observe.candidate
    and c.owner_id = labos.owner_for('campaign:update_any', c.owner_id);
  if not found then
    raise exception 'candidate not found' using errcode = 'PT404',
      detail = json_build_object('code', 'candidate_not_found', 'id', campaign_observe.candidate)::text;
  end if;
  v_campaign := lab_private.campaign_lock(v_org, v_candidate.campaign_id);
  if v_campaign.status not in ('RUNNING', 'PAUSED') then
    perform lab_private.campaign_require_running(v_campaign);
  end if;
  select c.* into v_candidate from lab_data.campaign_candidates c where c.org_id = v_org and c.id = campaign_observe.candidate;
  if v_candidate.state not in ('suggested', 'pending') then
    raise exception 'the candidate was evaluated already' using errcode = 'PT409',
      detail = json_build_object('code', 'already_evaluated', 'state', v_candidate.state)::text;
  end if;

  if campaign_observe.error is not null then
    update lab_data.campaign_candidates c set state = 'failed', error = left(campaign_observe.error, 2000), evaluated_at = now()
    where c.org_id = v_org and c.id = v_candidate.id;
  else
    perform lab_private.properties_require(campaign_observe.properties, v_campaign.config -> 'target_properties', 'properties');
    if campaign_observe.uncertainty is not null then
      perform lab_private.properties_require(campaign_observe.uncertainty, null, 'uncertainty');
    end if;
    update lab_data.campaign_candidates c
    set state = 'evaluated', measured = campaign_observe.properties, uncertainty = campaign_observe.uncertainty,
        (score, score_parts) = (select s.score, s.parts from labos.score(campaign_observe.properties, v_campaign.config -> 'target_properties') s),
        evaluated_at = now()
    where c.org_id = v_org and c.id = v_candidate.id;
  end if;
  select i.* into v_iteration from lab_data.design_iterations i where i.org_id = v_org and i.id = v_candidate.iteration_id;
  perform lab_private.iteration_close(v_campaign, v_candidate.iteration_id, 0,
    -- Nothing more comes into an iteration that is full, or not the last, or when the budget is used up.
    v_iteration.created_structures >= (v_campaign.config ->> 'candidates_per_iteration')::integer
    or v_iteration.iteration_index < v_campaign.current_iteration - 1
    or coalesce((select count(*) from lab_data.campaign_candidates c where c.org_id = v_org and c.campaign_id = v_campaign.id)
                >= (v_campaign.config #>> '{stop,budget}')::bigint, false));
  select c.* into v_made from lab.campaign_candidates c where c.org_id = v_org and c.id = v_candidate.id;
  return v_made;
end
$$;
comment on function lab.campaign_observe(uuid, jsonb, jsonb, text) is
$$Tell what came out of a candidate

properties and standard uncertainties by name, in the units of the targets; or error, when it failed. Errors: 403, 404 `candidate_not_found`, 409 `already_evaluated`, `campaign_not_running`, 400 `invalid_properties`, `no_target_property`, `too_large`.$$;
revoke all on function lab.campaign_suggest(uuid, integer) from public;
grant execute on function lab.campaign_suggest(uuid, integer) to lab_user;
revoke all on function lab.campaign_observe(uuid, jsonb, jsonb, text) from public;
grant execute on function lab.campaign_observe(uuid, jsonb, jsonb, text) to lab_user;
revoke all on function lab_private.properties_require(jsonb, jsonb, text) from public;
$labos_file$);
insert into labos.schema_file (path, kind, ord, module, body) values ('r/322_campaign_reports.sql', 'r', 34, 'campaigns', $labos_file$/*
 * Room: campaigns, reports (repeatable half)
 *
 * Reading a campaign: iterations, summary, explanation, picture. All run with
 * the caller's rights; row security decides what there is.
 */

create or replace function lab.campaign_iterations(id uuid) returns setof lab.design_iterations
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
begin
  if not exists (select from lab.design_campaigns c where c.id = campaign_iterations.id) then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_iterations.id)::text;
  end if;
  return query select i.* from lab.design_iterations i where i.campaign_id = campaign_iterations.id order by i.iteration_index;
end
$$;
comment on function lab.campaign_iterations(uuid) is
$$Iterations of a design campaign

In order. Error: 404 `campaign_not_found`.$$;

create or replace function lab.campaign_iteration(id uuid, index integer) returns lab.design_iterations
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_iteration lab.design_iterations;
begin
  select i.* into v_iteration from lab.design_iterations i
  where i.campaign_id = campaign_iteration.id and i.iteration_index = campaign_iteration.index;
  if not found then
    raise exception 'iteration not found' using errcode = 'PT404',
      detail = json_build_object('code', 'iteration_not_found', 'id', campaign_iteration.id, 'index', campaign_iteration.index)::text;
  end if;
  return v_iteration;
end
$$;
comment on function lab.campaign_iteration(uuid, integer) is
$$One iteration of a design campaign

By its 0-based index. Error: 404 `iteration_not_found`.$$;

create or replace function lab.campaign_summary(id uuid) returns jsonb
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_campaign lab.design_campaigns;
  v_found    jsonb;
begin
  select c.* into v_campaign from lab.design_campaigns c where c.id = campaign_summary.id;
  if not found then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_summary.id)::text;
  end if;
  select jsonb_build_object(
      'candidates', count(*), 'evaluated', count(*) filter (where c.state = 'evaluated'),
      'pending', count(*) filter (where c.state in ('suggested', 'pending')), 'failed', count(*) filter (where c.state = 'failed'),
      'hits', count(*) filter (where c.score = 1), 'mean_score', avg(c.score),
      'score_distribution', (select jsonb_agg(coalesce(b.n, 0) order by k) from generate_series(1, 10) k
        left join (select least(floor(x.score * 10)::integer + 1, 10) as bin, count(*) as n from lab.campaign_candidates x
                   where x.campaign_id = v_campaign.id and x.score is not null group by 1) b on b.bin = k))
  into v_found
  from lab.campaign_candidates c where c.campaign_id = v_campaign.id;
  return jsonb_build_object(
    'id', v_campaign.id, 'name', v_campaign.name, 'status', v_campaign.status, 'stop_reason', v_campaign.stop_reason,
    'strategy', v_campaign.config ->> 'strategy', 'seed', v_campaign.seed,
    'current_iteration', v_campaign.current_iteration, 'max_iterations', v_campaign.max_iterations,
    'best_score', v_campaign.best_score, 'best_structure', v_campaign.best_structure, 'best_candidate_id', v_campaign.best_candidate_id,
    'totals', v_found,
    'iterations', (select coalesce(jsonb_agg(jsonb_build_object('index', i.iteration_index, 'best', i.best_score_this_iter,
          'best_so_far', i.metrics -> 'best_so_far', 'mean', i.metrics -> 'mean_score', 'hits', i.metrics -> 'hits',
          'wall_ms', i.metrics -> 'wall_ms') order by i.iteration_index), '[]')
        from lab.design_iterations i where i.campaign_id = v_campaign.id),
    'best_candidates', (select coalesce(jsonb_agg(to_jsonb(b) order by b.score desc, b.slot), '[]')
        from (select c.slot, coalesce(c.formula::text, c.parameters::text) as structure, c.score, c.measured
              from lab.campaign_candidates c where c.campaign_id = v_campaign.id and c.score is not null
              order by c.score desc, c.slot limit 10) b),
    'properties', (select coalesce(jsonb_object_agg(p.name, p.progress), '{}') from (
        select e.key as name, jsonb_build_object('measured', count(e.value -> 'value') filter (where jsonb_typeof(e.value -> 'value') = 'number'),
          'met', count(*) filter (where e.value ->> 'desirability' = '1'), 'best_desirability', max((e.value ->> 'desirability')::float8),
          'mean_desirability', avg((e.value ->> 'desirability')::float8)) as progress
        from lab.campaign_candidates c, lateral jsonb_each(c.score_parts) e
        where c.campaign_id = v_campaign.id group by e.key) p),
    'convergence', (select jsonb_build_object('iterations_without_improvement', v_campaign.current_iteration - 1 - max(i.iteration_index),
          'last_improvement', max(i.iteration_index))
        from lab.design_iterations i where i.campaign_id = v_campaign.id and (i.metrics ->> 'improvement')::float8 > 0),
    'estimated_remaining_ms', case when v_campaign.status in ('CREATED', 'RUNNING', 'PAUSED') then
        (select round(avg((i.metrics ->> 'wall_ms')::numeric) * (v_campaign.max_iterations - v_campaign.current_iteration), 1)
         from lab.design_iterations i where i.campaign_id = v_campaign.id) end);
end
$$;
comment on function lab.campaign_summary(uuid) is
$$Summary of a design campaign

Totals, best over time, score distribution in ten bins, the ten best candidates, progress by property, convergence, time by iteration in milliseconds. Error: 404 `campaign_not_found`.$$;

create or replace function lab.campaign_explain(candidate uuid) returns jsonb
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  v_candidate lab.campaign_candidates;
  v_campaign  lab.design_campaigns;
  v_names     text[];
begin
  select c.* into v_candidate from lab.campaign_candidates c where c.id = campaign_explain.candidate;
  if not found then
    raise exception 'candidate not found' using errcode = 'PT404',
      detail = json_build_object('code', 'candidate_not_found', 'id', campaign_explain.candidate)::text;
  end if;
  select c.* into v_campaign from lab.design_campaigns c where c.id = v_candidate.campaign_id;
  if v_campaign.dataset_id is not null then
    select d.feature_names into v_names from lab_data.datasets d where d.org_id = v_campaign.org_id and d.id = v_campaign.dataset_id;
  else
    -- One name a coordinate: a category has one each.
    select array_agg(n.name order by n.key, n.k) into v_names
    from (select e.key, 0 as k, e.key as name from jsonb_each(v_campaign.config -> 'search_space') e where e.value ->> 'type' <> 'categorical'
          union all
          select e.key, v.k, e.key || '=' || v.value from jsonb_each(v_campaign.config -> 'search_space') e,
            lateral jsonb_array_elements_text(e.value -> 'values') with ordinality v(value, k) where e.value ->> 'type' = 'categorical') n;
  end if;
  return jsonb_build_object(
    'id', v_candidate.id, 'campaign_id', v_candidate.campaign_id, 'slot', v_candidate.slot,
    'iteration_index', (select i.iteration_index from lab.design_iterations i where i.id = v_candidate.iteration_id),
    'structure', coalesce(v_candidate.formula::text, v_candidate.parameters::text),
    'strategy', v_candidate.reason -> 'strategy', 'rule', v_candidate.reason -> 'rule',
    'predicted', v_candidate.predicted, 'acquisition', v_candidate.acquisition, 'probability', v_candidate.reason -> 'probability',
    'observations', v_candidate.reason -> 'observations',
    'relevant_features', (select jsonb_agg(v_names[k::integer] order by n) from jsonb_array_elements_text(v_candidate.reason -> 'coordinates') with ordinality c(k, n)),
    'state', v_candidate.state, 'measured', v_candidate.measured, 'score', v_candidate.score, 'score_parts', v_candidate.score_parts,
    'rank', case when v_candidate.score is not null then 1 + (select count(*) from lab.campaign_candidates c
              where c.campaign_id = v_candidate.campaign_id and c.score > v_candidate.score) end,
    'replay', jsonb_build_object('seed', v_campaign.seed, 'slot', v_candidate.slot,
      'history', v_candidate.reason -> 'history'));
end
$$;
comment on function lab.campaign_explain(uuid) is
$$Why a candidate was proposed, and what came of it

Strategy and rule, what the model predicted and from how many observations, its three most relevant features, measured values and score. Error: 404 `candidate_not_found`.$$;

create or replace function lab.campaign_plot(id uuid) returns lab."image/svg+xml"
  language plpgsql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
#variable_conflict use_column
declare
  -- The drawing area within 720 x 420.
  v_left     constant numeric := 64;
  v_top      constant numeric := 52;
  v_width    constant numeric := 632;
  v_height   constant numeric := 300;
  v_campaign lab.design_campaigns;
  v_step     numeric;
  v_every    integer;
  v_body     text := '';
begin
  select c.* into v_campaign from lab.design_campaigns c where c.id = campaign_plot.id;
  if not found then
    raise exception 'campaign not found' using errcode = 'PT404',
      detail = json_build_object('code', 'campaign_not_found', 'id', campaign_plot.id)::text;
  end if;
  v_step := v_width / greatest(v_campaign.current_iteration, 1);
  v_every := greatest(ceil(v_campaign.current_iteration / 20.0)::integer, 1);

  select v_body || string_agg(format(
    '<line x1="%1$s" y1="%2$s" x2="%3$s" y2="%2$s" stroke="#e3e6ea"/><text x="%4$s" y="%5$s" text-anchor="end">%6$s</text>',
    v_left, v_top + v_height * (1 - t / 5.0), v_left + v_width, v_left - 8, v_top + v_height * (1 - t / 5.0) + 4, to_char(t / 5.0, 'FM0.0')), '' order by t)
  into v_body from generate_series(0, 5) t;
  select v_body || coalesce(string_agg(format('<text x="%s" y="%s" text-anchor="middle">%s</text>',
    round(v_left + v_step * (i.iteration_index + 0.5), 1), v_top + v_height + 20, i.iteration_index), '' order by i.iteration_index), '')
  into v_body from lab.design_iterations i where i.campaign_id = v_campaign.id and i.iteration_index % v_every = 0;
  select v_body || coalesce('<polyline fill="none" stroke="#c2410c" stroke-width="2" points="' || string_agg(format('%s,%s %s,%2$s',
      round(v_left + v_step * i.iteration_index, 1), round(v_top + v_height * (1 - (i.metrics ->> 'best_so_far')::numeric), 1),
      round(v_left + v_step * (i.iteration_index + 1), 1)), ' ' order by i.iteration_index) || '"/>', '')
  into v_body from lab.design_iterations i where i.campaign_id = v_campaign.id and i.metrics ->> 'best_so_far' is not null;
  -- Every candidate: spread over the width of its iteration in order of proposal.
  select v_body || coalesce(string_agg(format('<circle cx="%s" cy="%s" r="%s" fill="%s" fill-opacity="%s"><title>%s: %s</title></circle>',
    round(v_left + v_step * (p.iteration_index + 0.12 + 0.76 * (p.k - 0.5) / p.n), 1), round(v_top + v_height * (1 - p.score::numeric), 1),
    case when p.score = 1 then '4.5' else '3.5' end, case when p.score = 1 then '#1b7f4b' else '#5b7fa6' end,
    case when p.score = 1 then '0.9' else '0.55' end, labos.xml_text(p.structure), round(p.score::numeric, 4)), '' order by p.slot), '')
  into v_body
  from (select i.iteration_index, c.slot, c.score, left(coalesce(c.formula::text, c.parameters::text), 120) as structure,
          row_number() over (partition by i.id order by c.slot) as k, count(*) over (partition by i.id) as n
        from lab.campaign_candidates c join lab.design_iterations i on i.id = c.iteration_id
        where c.campaign_id = v_campaign.id and c.score is not null) p;

  return format('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 420" width="720" height="420" role="img" '
    'font-family="system-ui, sans-serif" font-size="12" fill="#333"><title>Scores of campaign %1$s</title>'
    '<rect width="720" height="420" fill="#fff"/>'
    '<text x="%2$s" y="24" font-size="15" font-weight="600">%1$s</text>'
    '<text x="%2$s" y="42" fill="#666">%3$s · %4$s · best score %5$s</text>%6$s'
    '<path d="M%2$s %7$s V%8$s H%9$s" fill="none" stroke="#333"/>'
    '<text x="%10$s" y="%11$s" text-anchor="middle">iteration</text>'
    '<text transform="translate(18 %12$s) rotate(-90)" text-anchor="middle">score</text>'
    '<circle cx="%13$s" cy="404" r="3.5" fill="#5b7fa6"/><text x="%14$s" y="408">candidate</text>'
    '<circle cx="%15$s" cy="404" r="3.5" fill="#1b7f4b"/><text x="%16$s" y="408">all targets met</text>'
    '<path d="M%17$s 404 h20" stroke="#c2410c" stroke-width="2"/><text x="%18$s" y="408">best so far</text></svg>',
    labos.xml_text(v_campaign.name), v_left, v_campaign.config ->> 'strategy', lower(v_campaign.status),
    coalesce(round(v_campaign.best_score::numeric, 4)::text, '–'), v_body, v_top, v_top + v_height, v_left + v_width,
    v_left + v_width / 2, v_top + v_height + 38, v_top + v_height / 2,
    v_left + 300, v_left + 308, v_left + 390, v_left + 398, v_left + 510, v_left + 536);
end
$$;
comment on function lab.campaign_plot(uuid) is
$$Progress of a design campaign as a picture

SVG: the score of every candidate by iteration, and the best so far. Error: 404 `campaign_not_found`.$$;
revoke all on function lab.campaign_iterations(uuid) from public;
grant execute on function lab.campaign_iterations(uuid) to lab_user;
revoke all on function lab.campaign_iteration(uuid, integer) from public;
grant execute on function lab.campaign_iteration(uuid, integer) to lab_user;
revoke all on function lab.campaign_summary(uuid) from public;
grant execute on function lab.campaign_summary(uuid) to lab_user;
revoke all on function lab.campaign_explain(uuid) from public;
grant execute on function lab.campaign_explain(uuid) to lab_user;
revoke all on function lab.campaign_plot(uuid) from public;
grant execute on function lab.campaign_plot(uuid) to lab_user;
$labos_file$);
