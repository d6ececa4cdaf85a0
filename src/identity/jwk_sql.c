/*-------------------------------------------------------------------------
 *
 * jwk_sql.c
 *		SQL functions over keys and signatures.
 *
 * IDENTIFICATION
 *	  src/identity/jwk_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "core/errors.h"
#include "core/text.h"
#include "identity/jwk.h"
#include "identity/jwk_sql.h"

LbKey *
lb_jwk_from_jsonb(Jsonb *jwk)
{
	char	   *json = JsonbToCString(NULL, &jwk->root, VARSIZE(jwk));
	int			len = strlen(json);
	const char *reason;
	LbKey	   *key = lb_jwk_cached(json, len, &reason);

	OPENSSL_cleanse(json, len);
	pfree(json);
	if (key == NULL)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_KEY),
				errmsg("key cannot be used"),
				errdetail("As a JSON Web Key: %s.", reason));
	return key;
}

static Datum
jsonb_from_text(char *json)
{
	Datum		result = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));

	OPENSSL_cleanse(json, strlen(json));
	return result;
}

static LbAlg
algorithm_argument(text *name)
{
	LbAlg		alg = lb_alg_from_name(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	if (alg == LB_ALG_UNKNOWN)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("algorithm is not supported"),
				errhint("Use HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA."));
	return alg;
}

/*
 * labos.jwk_generate(alg text) returns jsonb
 *		A new private key; its kid is its thumbprint, random for HS*.
 *
 * Errors:	22023 unknown algorithm, LB104 the generator failed
 * Cost:	EdDSA and ES 0.1 ms, RSA (3072 bits) about 200 ms
 * SQL:		volatile strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jwk_generate);

Datum
labos_jwk_generate(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(jsonb_from_text(lb_jwk_generate(algorithm_argument(PG_GETARG_TEXT_PP(0)))));
}

/*
 * labos.jwk_public(jwk jsonb) returns jsonb
 *		The public part with alg, use and kid; null for a symmetric key.
 *
 * Errors:	LB102 no key we use
 * SQL:		stable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jwk_public);

Datum
labos_jwk_public(PG_FUNCTION_ARGS)
{
	char	   *json = lb_jwk_public_json(lb_jwk_from_jsonb(PG_GETARG_JSONB_P(0)));

	if (json == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(jsonb_from_text(json));
}

/*
 * labos.jwk_thumbprint(jwk jsonb) returns text
 *
 * Errors:	LB102 no key we use
 * Source:	RFC 7638 with SHA-256
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jwk_thumbprint);

Datum
labos_jwk_thumbprint(PG_FUNCTION_ARGS)
{
	LbKey	   *key = lb_jwk_from_jsonb(PG_GETARG_JSONB_P(0));

	PG_RETURN_TEXT_P(cstring_to_text(lb_jwk_thumbprint(key)));
}

/*
 * labos.jwk_from_pem(pem text, alg text) returns jsonb
 *		A PEM key (SPKI or PKCS #8) as JWK; alg null takes its kind's default.
 *
 * Errors:	22023 unknown algorithm, LB102 no PEM key or not of that algorithm
 * SQL:		stable parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jwk_from_pem);

Datum
labos_jwk_from_pem(PG_FUNCTION_ARGS)
{
	text	   *pem;
	LbAlg		alg = LB_ALG_UNKNOWN;
	const char *reason;
	char	   *json;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pem = PG_GETARG_TEXT_PP(0);
	if (!PG_ARGISNULL(1))
		alg = algorithm_argument(PG_GETARG_TEXT_PP(1));
	json = lb_jwk_from_pem(VARDATA_ANY(pem), VARSIZE_ANY_EXHDR(pem), alg, &reason);
	if (json == NULL)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_KEY),
				errmsg("key cannot be used"),
				errdetail("As PEM: %s.", reason));
	PG_RETURN_DATUM(jsonb_from_text(json));
}

/*
 * labos.jwk_sign(data bytea, jwk jsonb) returns bytea
 *		A signature in the form of RFC 7518.
 *
 * Errors:	LB102 no key we use, or it has no private part
 * SQL:		volatile strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jwk_sign);

Datum
labos_jwk_sign(PG_FUNCTION_ARGS)
{
	bytea	   *data = PG_GETARG_BYTEA_PP(0);
	LbKey	   *key = lb_jwk_from_jsonb(PG_GETARG_JSONB_P(1));
	bytea	   *result = palloc(VARHDRSZ + LB_SIGNATURE_MAX);
	int			len = lb_key_sign(key, (uint8 *) VARDATA_ANY(data),
								  VARSIZE_ANY_EXHDR(data), (uint8 *) VARDATA(result));

	if (len < 0)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_KEY),
				errmsg("key cannot sign"),
				errdetail("It has no private part, or \"key_ops\" does not name sign."));
	SET_VARSIZE(result, VARHDRSZ + len);
	PG_RETURN_BYTEA_P(result);
}

/*
 * labos.jwk_verify(data bytea, signature bytea, jwk jsonb) returns boolean
 *
 * Errors:	LB102 no key we use
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jwk_verify);

Datum
labos_jwk_verify(PG_FUNCTION_ARGS)
{
	bytea	   *data = PG_GETARG_BYTEA_PP(0);
	bytea	   *signature = PG_GETARG_BYTEA_PP(1);
	LbKey	   *key = lb_jwk_from_jsonb(PG_GETARG_JSONB_P(2));

	PG_RETURN_BOOL(lb_key_verify(key, (uint8 *) VARDATA_ANY(data),
								 VARSIZE_ANY_EXHDR(data),
								 (uint8 *) VARDATA_ANY(signature),
								 VARSIZE_ANY_EXHDR(signature)));
}

/*
 * labos.random_token() returns text
 *		256 random bits, base64url: 43 characters.
 *
 * SQL:		volatile parallel safe
 */
PG_FUNCTION_INFO_V1(labos_random_token);

Datum
labos_random_token(PG_FUNCTION_ARGS)
{
	uint8		random[32];
	StringInfoData out;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_CRYPTO),
				errmsg("could not read random bytes"));
	initStringInfo(&out);
	lb_base64url_append(&out, random, sizeof(random));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
