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
