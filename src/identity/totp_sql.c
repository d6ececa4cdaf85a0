/*-------------------------------------------------------------------------
 *
 * totp_sql.c
 *		SQL functions over one-time codes.
 *
 * IDENTIFICATION
 *	  src/identity/totp_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/errors.h"
#include "identity/password.h"
#include "identity/totp.h"

#define RANDOM_MAX	1024		/* bytes */
#define BASE32_MAX	4096		/* bytes */

static void
no_hmac(void)
{
	ereport(ERROR,
			errcode(ERRCODE_LABOS_CRYPTO),
			errmsg("could not compute HMAC-SHA-1"));
}

/*
 * labos.random_bytes(n integer) returns bytea
 *		So many bytes from the operating system's generator, 1 to 1024.
 *
 * Errors:	22023 out of range; LB104 no randomness
 * SQL:		volatile strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_random_bytes);

Datum
labos_random_bytes(PG_FUNCTION_ARGS)
{
	int32		n = PG_GETARG_INT32(0);
	bytea	   *result;

	if (n < 1 || n > RANDOM_MAX)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("number of random bytes must be between 1 and %d", RANDOM_MAX));
	result = palloc(VARHDRSZ + n);
	SET_VARSIZE(result, VARHDRSZ + n);
	if (!pg_strong_random(VARDATA(result), n))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_CRYPTO),
				errmsg("could not generate random bytes"));
	PG_RETURN_BYTEA_P(result);
}

/*
 * labos.base32(bytes bytea) returns text
 *		RFC 4648 without padding, for secrets that people type.
 *
 * Errors:	22023 longer than 4096 bytes
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_base32);

Datum
labos_base32(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	int			len = VARSIZE_ANY_EXHDR(bytes);
	char	   *result;

	if (len > BASE32_MAX)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("value is longer than %d bytes", BASE32_MAX));
	result = palloc(lb_base32_length(len) + 1);
	lb_base32_encode((uint8 *) VARDATA_ANY(bytes), len, result);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/*
 * labos.hotp(secret bytea, counter bigint) returns text
 *		The six digits of RFC 4226 for a counter; for TOTP, the Unix time
 *		divided by 30.
 *
 * Errors:	LB104 no HMAC-SHA-1
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_hotp);

Datum
labos_hotp(PG_FUNCTION_ARGS)
{
	bytea	   *secret = PG_GETARG_BYTEA_PP(0);
	char		code[LB_TOTP_DIGITS + 1];

	if (!lb_hotp_code((uint8 *) VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret),
					  (uint64) PG_GETARG_INT64(1), code))
		no_hmac();
	PG_RETURN_TEXT_P(cstring_to_text(code));
}

/*
 * labos.totp_step(secret bytea, code text, at timestamptz) returns integer
 *		The time step that a code belongs to, the present one, the one before
 *		or the one after; null when it belongs to none.  at null: now, by the
 *		server's clock.
 *
 * Units:	steps of 30 seconds since 1970
 * Errors:	LB104 no HMAC-SHA-1
 * Cost:	about 10 us
 * SQL:		volatile parallel safe
 */
PG_FUNCTION_INFO_V1(labos_totp_step);

Datum
labos_totp_step(PG_FUNCTION_ARGS)
{
	bytea	   *secret;
	text	   *code;
	TimestampTz at;
	LbTotpAnswer answer;
	int32		step;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	secret = PG_GETARG_BYTEA_PP(0);
	code = PG_GETARG_TEXT_PP(1);
	at = PG_ARGISNULL(2) ? GetCurrentTimestamp() : PG_GETARG_TIMESTAMPTZ(2);
	if (TIMESTAMP_NOT_FINITE(at))
		PG_RETURN_NULL();
	answer = lb_totp_match((uint8 *) VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret),
						   VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code),
						   at / USECS_PER_SEC +
						   ((int64) POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY,
						   &step);
	if (answer == LB_TOTP_NO_CRYPTO)
		no_hmac();
	if (answer != LB_TOTP_MATCHES)
		PG_RETURN_NULL();
	PG_RETURN_INT32(step);
}

/* RFC 3986: all but unreserved characters, byte by byte. */
static void
append_percent_encoded(StringInfo uri, const text *value)
{
	const unsigned char *bytes = (const unsigned char *) VARDATA_ANY(value);

	for (int i = 0; i < VARSIZE_ANY_EXHDR(value); i++)
	{
		unsigned char c = bytes[i];

		/* A colon parts issuer and account, encoded or not. */
		if (c == ':')
			c = ' ';
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '-' || c == '.' || c == '_' || c == '~')
			appendStringInfoChar(uri, (char) c);
		else
			appendStringInfo(uri, "%%%02X", c);
	}
}

/*
 * labos.totp_uri(secret bytea, issuer text, account text) returns text
 *		The otpauth:// address that authenticator apps read from a QR code.
 *
 * Errors:	22023 secret longer than 4096 bytes
 * Source:	the Key URI format of Google Authenticator
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_totp_uri);

Datum
labos_totp_uri(PG_FUNCTION_ARGS)
{
	bytea	   *secret = PG_GETARG_BYTEA_PP(0);
	text	   *issuer = PG_GETARG_TEXT_PP(1);
	text	   *account = PG_GETARG_TEXT_PP(2);
	int			len = VARSIZE_ANY_EXHDR(secret);
	StringInfoData uri;

	if (len > BASE32_MAX)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("secret is longer than %d bytes", BASE32_MAX));
	initStringInfo(&uri);
	appendStringInfoString(&uri, "otpauth://totp/");
	append_percent_encoded(&uri, issuer);
	appendStringInfoChar(&uri, ':');
	append_percent_encoded(&uri, account);
	appendStringInfoString(&uri, "?secret=");
	enlargeStringInfo(&uri, lb_base32_length(len) + 1);
	lb_base32_encode((uint8 *) VARDATA_ANY(secret), len, uri.data + uri.len);
	uri.len += lb_base32_length(len);
	appendStringInfoString(&uri, "&issuer=");
	append_percent_encoded(&uri, issuer);
	appendStringInfo(&uri, "&algorithm=SHA1&digits=%d&period=%d", LB_TOTP_DIGITS, LB_TOTP_PERIOD);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(uri.data, uri.len));
}
