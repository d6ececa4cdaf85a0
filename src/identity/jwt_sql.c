/*-------------------------------------------------------------------------
 *
 * jwt_sql.c
 *		SQL functions over tokens with keys of their own algorithm.
 *
 * IDENTIFICATION
 *	  src/identity/jwt_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "core/errors.h"
#include "identity/crypto.h"
#include "identity/jwk_sql.h"
#include "identity/jwt.h"

/*
 * labos.jwt_sign(payload jsonb, jwk jsonb, kid text, typ text) returns text
 *		kid null takes the key's own; typ null writes none.
 *
 * Errors:	LB101 the claims cannot be signed, LB102 the key cannot sign
 * Cost:	HS256 2 us, EdDSA 30 us, ES256 30 us, RS256 (3072) 2 ms
 * SQL:		volatile parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jwt_sign);

Datum
labos_jwt_sign(PG_FUNCTION_ARGS)
{
	Jsonb	   *claims;
	LbKey	   *key;
	char	   *payload;
	char	   *kid = NULL;
	char	   *typ = NULL;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	claims = PG_GETARG_JSONB_P(0);
	key = lb_jwk_from_jsonb(PG_GETARG_JSONB_P(1));
	payload = JsonbToCString(NULL, &claims->root, VARSIZE(claims));
	if (!PG_ARGISNULL(2))
		kid = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (!PG_ARGISNULL(3))
		typ = text_to_cstring(PG_GETARG_TEXT_PP(3));
	PG_RETURN_TEXT_P(cstring_to_text(lb_jwt_sign(key, kid, typ, payload,
												 strlen(payload))));
}

/*
 * labos.jwt_verify(token text, jwk jsonb)
 *		returns (valid boolean, reason text, header jsonb, payload jsonb)
 *		header and payload are null unless the token is valid.
 *
 * Units:	leeway labos.jwt_leeway, seconds
 * Errors:	LB102 no key we use; never one that depends on the token
 * SQL:		stable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jwt_verify);

Datum
labos_jwt_verify(PG_FUNCTION_ARGS)
{
	text	   *token = PG_GETARG_TEXT_PP(0);
	LbKey	   *key = lb_jwk_from_jsonb(PG_GETARG_JSONB_P(1));
	LbJwtRules	rules = {.leeway = lb_setting_jwt_leeway};
	LbJwt		jwt;
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4] = {false, false, true, true};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	(void) lb_jwt_verify(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), key,
						 &rules, &jwt);
	values[0] = BoolGetDatum(jwt.status == LB_JWT_OK);
	values[1] = CStringGetTextDatum(lb_jwt_status_name(jwt.status));
	if (jwt.status == LB_JWT_OK)
	{
		values[2] = DirectFunctionCall1(jsonb_in, CStringGetDatum(jwt.header));
		values[3] = DirectFunctionCall1(jsonb_in, CStringGetDatum(jwt.payload));
		nulls[2] = nulls[3] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}

/*
 * labos.jws_verify(token text, jwk jsonb) returns boolean
 *		Header rules and signature only: the payload may be any bytes.
 *
 * Errors:	LB102 no key we use; never one that depends on the token
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jws_verify);

Datum
labos_jws_verify(PG_FUNCTION_ARGS)
{
	text	   *token = PG_GETARG_TEXT_PP(0);
	LbKey	   *key = lb_jwk_from_jsonb(PG_GETARG_JSONB_P(1));
	LbJwt		jwt;

	PG_RETURN_BOOL(lb_jws_verify(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token),
								 key, 0, &jwt) == LB_JWT_OK);
}
