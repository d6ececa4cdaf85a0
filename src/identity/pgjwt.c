/*-------------------------------------------------------------------------
 *
 * pgjwt.c
 *		The functions of the pgjwt extension, with its results and without its
 *		holes.
 *
 * Signatures are compared in constant time.  A token is not valid when its
 * header names another algorithm than the caller, has "crit", or when a time
 * is JSON null, no number, or out of range.  A token that is not three strict
 * base64url segments of JSON objects without duplicate members is an error.
 *
 * As in pgjwt, "exp" and "nbf" that are strings: a numeric one counts as a
 * time, any other is ignored (its published tests demand it); labos.jwt_verify
 * refuses both.  As in pgjwt, now is the start of the transaction.
 *
 * IDENTIFICATION
 *	  src/identity/pgjwt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/errors.h"
#include "core/text.h"
#include "identity/jwt.h"

#define TOKEN_MAX_LENGTH	65536
#define CLAIMS_MAX_MEMBERS	4096
#define CLAIMS_MAX_DEPTH	64
#define LAST_SECOND			253402300799.0	/* 9999-12-31T23:59:59Z */

/* The HMAC key of a secret; raises for another algorithm or no secret. */
static LbKey *
hmac_key(text *secret, text *algorithm)
{
	LbAlg		alg = lb_alg_from_name(VARDATA_ANY(algorithm),
									   VARSIZE_ANY_EXHDR(algorithm));
	LbKey	   *key;

	/* The words are pgjwt's: its tests compare them. */
	if (lb_alg_hmac_size(alg) == 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("Cannot use \"\": No such hash algorithm"),
				errhint("Use HS256, HS384 or HS512; labos.jwt_sign knows the others."));
	key = lb_hmac_key_cached(alg, VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret));
	if (key == NULL)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("secret must have 1 to 16384 bytes"));
	return key;
}

static void
malformed(const char *what)
{
	ereport(ERROR,
			errcode(ERRCODE_LABOS_INVALID_TOKEN),
			errmsg("%s is malformed", what));
}

static void
append_signature(StringInfo out, LbKey *key, const char *data, int len)
{
	uint8		signature[LB_SIGNATURE_MAX];
	int			n = lb_key_sign(key, (const uint8 *) data, len, signature);

	if (n < 0)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_CRYPTO),
				errmsg("could not sign"));
	lb_base64url_append(out, signature, n);
}

/* {"alg":"HS256","typ":"JWT"} in base64url, made once for each algorithm. */
static void
append_header(StringInfo out, LbAlg alg)
{
	static char *made[LB_ALG_EDDSA + 1];

	if (made[alg] == NULL)
	{
		char	   *header = psprintf("{\"alg\":\"%s\",\"typ\":\"JWT\"}", lb_alg_name(alg));
		StringInfoData encoded;

		initStringInfo(&encoded);
		lb_base64url_append(&encoded, (uint8 *) header, strlen(header));
		made[alg] = MemoryContextStrdup(TopMemoryContext, encoded.data);
	}
	appendStringInfoString(out, made[alg]);
}

/*
 * labos.url_encode(data bytea) returns text
 *		Base64url without padding.
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_url_encode);

Datum
labos_url_encode(PG_FUNCTION_ARGS)
{
	bytea	   *data = PG_GETARG_BYTEA_PP(0);
	StringInfoData out;

	initStringInfo(&out);
	lb_base64url_append(&out, (uint8 *) VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/*
 * labos.url_decode(data text) returns bytea
 *		Strict: no padding, no white space, unused bits zero.
 *
 * Errors:	LB101 malformed
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_url_decode);

Datum
labos_url_decode(PG_FUNCTION_ARGS)
{
	text	   *data = PG_GETARG_TEXT_PP(0);
	int			len = VARSIZE_ANY_EXHDR(data);
	bytea	   *result = palloc(VARHDRSZ + (Size) len / 4 * 3 + 3);
	int			n = lb_base64url_decode(VARDATA_ANY(data), len,
										(uint8 *) VARDATA(result));

	if (n < 0)
		malformed("base64url text");
	SET_VARSIZE(result, VARHDRSZ + n);
	PG_RETURN_BYTEA_P(result);
}

/*
 * labos.algorithm_sign(signables text, secret text, algorithm text) returns text
 *		The base64url HMAC of signables.
 *
 * Errors:	22023 unknown algorithm or empty secret
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_algorithm_sign);

Datum
labos_algorithm_sign(PG_FUNCTION_ARGS)
{
	text	   *signables = PG_GETARG_TEXT_PP(0);
	LbKey	   *key = hmac_key(PG_GETARG_TEXT_PP(1), PG_GETARG_TEXT_PP(2));
	StringInfoData out;

	initStringInfo(&out);
	append_signature(&out, key, VARDATA_ANY(signables), VARSIZE_ANY_EXHDR(signables));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/*
 * labos.sign(payload json, secret text, algorithm text) returns text
 *		A token with header {"alg":algorithm,"typ":"JWT"}.
 *
 * Errors:	22023 unknown algorithm or empty secret, LB101 the payload is no
 *			JSON object without duplicate members
 * Cost:	about 1 us
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_sign);

Datum
labos_sign(PG_FUNCTION_ARGS)
{
	text	   *payload = PG_GETARG_TEXT_PP(0);
	LbKey	   *key = hmac_key(PG_GETARG_TEXT_PP(1), PG_GETARG_TEXT_PP(2));
	int			len = VARSIZE_ANY_EXHDR(payload);
	int			start;
	LbJsonObject claims;
	StringInfoData out;

	if (len > TOKEN_MAX_LENGTH / 2 ||
		!lb_jsonscan_object(VARDATA_ANY(payload), len, CLAIMS_MAX_MEMBERS,
							CLAIMS_MAX_DEPTH, &claims))
		malformed("payload");

	/* One buffer, which is the text that is returned: its header comes first. */
	initStringInfo(&out);
	enlargeStringInfo(&out, VARHDRSZ + 256 + len / 3 * 4);
	out.len = start = VARHDRSZ;
	append_header(&out, lb_key_alg(key));
	appendStringInfoChar(&out, '.');
	lb_base64url_append(&out, (uint8 *) VARDATA_ANY(payload), len);
	len = out.len - start;
	appendStringInfoChar(&out, '.');
	append_signature(&out, key, out.data + start, len);
	SET_VARSIZE(out.data, out.len);
	PG_RETURN_TEXT_P(out.data);
}

/*
 * A time as pgjwt reads it: NaN when there is no bound; false when the token
 * cannot be valid.
 */
static bool
pgjwt_time(const LbJsonObject *claims, const char *name, double *result)
{
	const LbJsonMember *member = lb_jsonscan_find(claims, name);
	char	   *text;
	char	   *end;

	*result = NAN;
	if (member == NULL)
		return true;
	if (member->type == LB_JSON_STRING)
	{
		text = lb_jsonscan_text(claims, name, NULL);
		*result = strtod(text, &end);
		if (end == text || *end != '\0')
		{
			*result = NAN;
			return true;
		}
	}
	else if (!lb_jsonscan_number(member, result))
		return false;
	return *result >= 0 && *result <= LAST_SECOND;
}

static bool
within_times(const LbJsonObject *claims)
{
	double		nbf,
				exp,
				now = (GetCurrentTransactionStartTimestamp() +
					   (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1e6;

	return pgjwt_time(claims, "nbf", &nbf) && pgjwt_time(claims, "exp", &exp) &&
		(isnan(nbf) || now >= nbf) && (isnan(exp) || now < exp);
}

/* The row type of the result, looked up once a call site. */
static TupleDesc
result_row(FunctionCallInfo fcinfo)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;

	if (flinfo->fn_extra == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(flinfo->fn_mcxt);
		TupleDesc	tupdesc;

		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		flinfo->fn_extra = BlessTupleDesc(tupdesc);
		MemoryContextSwitchTo(caller);
	}
	return flinfo->fn_extra;
}

/*
 * labos.verify(token text, secret text, algorithm text)
 *		returns (header json, payload json, valid boolean)
 *		Both texts are shown whether the token is valid or not, as pgjwt does.
 *
 * Errors:	22023 unknown algorithm or empty secret, LB101 malformed token
 * Cost:	about 3 us
 * SQL:		stable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_verify);

Datum
labos_verify(PG_FUNCTION_ARGS)
{
	text	   *token = PG_GETARG_TEXT_PP(0);
	LbKey	   *key = hmac_key(PG_GETARG_TEXT_PP(1), PG_GETARG_TEXT_PP(2));
	LbJwt		jwt;
	LbJwtStatus status;
	TupleDesc	tupdesc = result_row(fcinfo);
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	status = lb_jws_verify(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), key,
						   TOKEN_MAX_LENGTH, &jwt);
	if (status == LB_JWT_TOO_LONG || status == LB_JWT_MALFORMED ||
		status == LB_JWT_BAD_HEADER ||
		!lb_jsonscan_object(jwt.payload, jwt.payload_len, CLAIMS_MAX_MEMBERS,
							CLAIMS_MAX_DEPTH, &jwt.claims))
		malformed("token");
	values[0] = PointerGetDatum(cstring_to_text_with_len(jwt.header, jwt.header_len));
	values[1] = PointerGetDatum(cstring_to_text_with_len(jwt.payload, jwt.payload_len));
	values[2] = BoolGetDatum(status == LB_JWT_OK && within_times(&jwt.claims));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}
