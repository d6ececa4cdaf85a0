/*
 * Room: mfa (code)
 *
 * One-time codes of authenticator apps, and the QR code that carries their
 * secret. src/identity/totp.c, qr_code.c. Granted to nobody but lab_owner: who
 * may compute codes may also guess.
 *
 * Holds    random_bytes, base32, hotp, totp_step, totp_uri, qr_svg,
 *          password_seconds
 * Used by  identity (r/041)
 */

create function labos.random_bytes(n integer) returns bytea
  language c volatile strict parallel safe as 'MODULE_PATHNAME', 'labos_random_bytes';
comment on function labos.random_bytes(integer) is 'Random bytes fit for secrets, 1 to 1024 of them.';

create function labos.base32(bytes bytea) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_base32';
comment on function labos.base32(bytea) is 'Base32 of RFC 4648 without padding, of at most 4096 bytes.';

create function labos.hotp(secret bytea, counter bigint) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_hotp';
comment on function labos.hotp(bytea, bigint) is 'The six digits of RFC 4226 (HMAC-SHA-1); of RFC 6238 with the Unix time divided by 30 as counter.';

create function labos.totp_step(secret bytea, code text, at timestamptz default null) returns integer
  language c volatile parallel safe as 'MODULE_PATHNAME', 'labos_totp_step';
comment on function labos.totp_step(bytea, text, timestamptz) is
$$The time step that a TOTP code belongs to

Of the present step of 30 seconds, the one before and the one after; null for any other code, and for anything but six ASCII digits. Without `at` the server's clock counts. That a step is accepted once is up to labos.use_guard_advance().$$;

create function labos.totp_uri(secret bytea, issuer text, account text) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_totp_uri';
comment on function labos.totp_uri(bytea, text, text) is 'The otpauth:// address of a TOTP secret, as authenticator apps read it.';

create function labos.qr_svg(content text) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_qr_svg';
comment on function labos.qr_svg(text) is
$$A QR code as SVG

Error correction level M, four modules of quiet zone, one unit a module. Errors: 400 `too_long` beyond 2331 bytes, `invalid_content` for an empty text.$$;

create function labos.password_seconds(measured float8 default null) returns float8
  language c volatile parallel restricted as 'MODULE_PATHNAME', 'labos_password_seconds';
comment on function labos.password_seconds(float8) is
$$Seconds that a verification under the present settings takes in this backend

The median of those measured, null before the first; a value is taken in first. Refusals under older hashes wait for the difference.$$;

revoke all on function labos.password_seconds(float8), labos.random_bytes(integer), labos.base32(bytea), labos.hotp(bytea, bigint),
  labos.totp_step(bytea, text, timestamptz), labos.totp_uri(bytea, text, text), labos.qr_svg(text) from public;
