/*
 * Room: keys (code)
 *
 * API keys and the ID tokens of identity providers: what is arithmetic and
 * bytes. src/identity/api_key.c, oidc.c; the calls are in r/044 and r/045.
 */

create function labos.api_key_generate(out key text, out public_id text, out prefix text, out secret_sha256 bytea)
  language c volatile strict parallel safe as 'MODULE_PATHNAME', 'labos_api_key_generate';
comment on function labos.api_key_generate() is
$$A new API key with what is stored of it

lab_<environment>_<id>_<43 base62>_<crc32>, 256 random bits; prefix is what may be shown. Errors: LB104 when there is no randomness.$$;

create function labos.api_key_valid(key text) returns boolean
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_api_key_valid';
comment on function labos.api_key_valid(text) is
$$Has a text the shape and checksum of an API key?

Asks nobody whether the key exists: for forms, secret scanners and tests.$$;

create function labos.api_key_check(key text) returns uuid
  language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'labos_api_key_check';
comment on function labos.api_key_check(text) is
$$The session that an API key opens

Null when there is no such key; whether the session has ended is for the caller to see. Never an error that depends on the key.$$;

create function labos.oidc_verify(
  id_token text, jwks jsonb, algorithms text[], issuer text, client_id text, nonce text,
  out reason text, out subject text, out email text, out email_verified boolean, out full_name text, out mfa boolean,
  out expires_at timestamptz, out digest bytea)
  language c volatile strict parallel safe as 'MODULE_PATHNAME', 'labos_oidc_verify';
comment on function labos.oidc_verify(text, jsonb, text[], text, text, text) is
$$Verifies an ID token with a stored key set

By the exact kid (without one: by the only key of its algorithm), an algorithm of the list, issuer, audience, times (at most ten minutes old) and nonce. reason is null when it is valid, else a word for a log; mfa: the provider says that two factors were used. Never an error that depends on the token.$$;

revoke all on function
  labos.api_key_generate(), labos.api_key_valid(text), labos.api_key_check(text), labos.oidc_verify(text, jsonb, text[], text, text, text)
  from public;
