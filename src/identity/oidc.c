/*-------------------------------------------------------------------------
 *
 * oidc.c
 *		ID tokens of identity providers (OpenID Connect Core 1.0, 3.1.3.7).
 *
 * The keys are those that an administrator stored with the provider, each
 * bound to its algorithm there.  Nothing in the token's header brings a key:
 * "jwk", "jku", "x5u" and "x5c" are not looked at (P5).  A token is taken that
 * names its key exactly; one without a name only where a single key has its
 * algorithm (P6).
 *
 * IDENTIFICATION
 *	  src/identity/oidc.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <time.h>

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "identity/crypto.h"
#include "identity/jwt.h"

#define ID_TOKEN_MAX	16384	/* bytes: groups make them long */
#define OLDEST_TOKEN	600		/* seconds since "iat" */
#define MAX_KEYS		20
#define MAX_AUDIENCES	20
#define MAX_METHODS		20
#define SUBJECT_MAX		255		/* OpenID Connect Core, section 2 */
#define EMAIL_MAX		320
#define FULL_NAME_MAX		200

/* A key of the provider fits the token: the key, or NULL and a reason. */
typedef struct KeySearch
{
	LbKey	   *key;
	const char *reason;
} KeySearch;

/* Is the algorithm on the provider's list? */
static bool
is_allowed(LbAlg alg, ArrayType *algorithms)
{
	Datum	   *names;
	bool	   *nulls;
	int			n;
	bool		found = false;

	/* A shared secret cannot stand in a public key set (P1, P3). */
	if (alg == LB_ALG_UNKNOWN || lb_alg_hmac_size(alg) != 0)
		return false;
	deconstruct_array(algorithms, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	for (int i = 0; i < n && !found; i++)
		found = !nulls[i] && strcmp(TextDatumGetCString(names[i]), lb_alg_name(alg)) == 0;
	return found;
}

static LbKey *
key_from_element(JsonbValue *element)
{
	Jsonb	   *jwk = JsonbValueToJsonb(element);
	char	   *json = JsonbToCString(NULL, &jwk->root, VARSIZE(jwk));
	const char *reason;

	return lb_jwk_cached(json, strlen(json), &reason);
}

/*
 * The one key for this header.  A cached key lasts until it is evicted: with
 * fewer keys in a set than the cache has places, none is while we look.
 */
static KeySearch
find_key(Jsonb *jwks, const LbJwt *header)
{
	JsonbValue *keys = getKeyJsonValueFromContainer(&jwks->root, "keys", 4, NULL);
	KeySearch	found = {NULL, "unknown_key"};
	int			n;

	if (keys == NULL || keys->type != jbvBinary || !JsonContainerIsArray(keys->val.binary.data))
		return found;
	n = Min(JsonContainerSize(keys->val.binary.data), MAX_KEYS);
	for (int i = 0; i < n; i++)
	{
		LbKey	   *key = key_from_element(getIthJsonbValueFromContainer(keys->val.binary.data, i));
		const char *kid = key ? lb_key_id(key) : NULL;

		if (key == NULL || (header->kid[0] == '\0' ? lb_key_alg(key) != header->alg
							: kid == NULL || strcmp(kid, header->kid) != 0))
			continue;
		if (found.key != NULL)
			return (KeySearch) {NULL, "ambiguous_key"};
		found = (KeySearch) {key, NULL};
	}
	return found;
}

/* "aud" names the client; where it names others too, "azp" says that it is for us. */
static bool
audience_is(const LbJsonObject *claims, const char *client_id)
{
	const LbJsonMember *aud = lb_jsonscan_find(claims, "aud");
	const LbJsonMember *azp = lb_jsonscan_find(claims, "azp");
	char	   *text;
	int			len;
	int			count = 1;
	bool		found = false;

	if (aud == NULL)
		return false;
	if (aud->type == LB_JSON_STRING)
	{
		text = lb_jsonscan_text(claims, "aud", &len);
		found = text != NULL && len == (int) strlen(client_id) && memcmp(text, client_id, len) == 0;
	}
	else
	{
		char	   *audiences[MAX_AUDIENCES];

		count = lb_jsonscan_strings(aud, audiences, MAX_AUDIENCES);
		for (int i = 0; i < count; i++)
			if (strcmp(audiences[i], client_id) == 0)
				found = true;
	}
	if (!found || (count > 1 && azp == NULL))
		return false;
	if (azp == NULL)
		return true;
	text = lb_jsonscan_text(claims, "azp", &len);
	return text != NULL && len == (int) strlen(client_id) && memcmp(text, client_id, len) == 0;
}

static bool
claim_is(const LbJsonObject *claims, const char *name, const char *wanted, int wanted_len)
{
	int			len;
	char	   *text = lb_jsonscan_text(claims, name, &len);

	return text != NULL && len == wanted_len && CRYPTO_memcmp(text, wanted, len) == 0;
}

/* A string claim of 1 to max bytes as text, else NULL. */
static char *
short_text(const LbJsonObject *claims, const char *name, int max)
{
	int			len;
	char	   *text = lb_jsonscan_text(claims, name, &len);

	if (text == NULL || len < 1 || len > max)
		return NULL;
	/* The scanner has seen UTF-8; the database may know fewer characters. */
	return pg_any_to_server(text, len, PG_UTF8);
}

/* Does the provider say that a second factor was used (RFC 8176)? */
static bool
says_mfa(const LbJsonObject *claims)
{
	char	   *methods[MAX_METHODS];
	const LbJsonMember *amr = lb_jsonscan_find(claims, "amr");
	int			n = amr == NULL ? 0 : lb_jsonscan_strings(amr, methods, MAX_METHODS);

	for (int i = 0; i < n; i++)
		if (strcmp(methods[i], "mfa") == 0)
			return true;
	return false;
}

/* NULL when the header and key are right and the token holds, else why not. */
static const char *
check_signature(text *token, Jsonb *jwks, ArrayType *algorithms, LbJwt *jwt)
{
	const char *data = VARDATA_ANY(token);
	int			len = VARSIZE_ANY_EXHDR(token);
	LbJwtRules	rules = {.leeway = lb_setting_jwt_leeway, .need_expiry = true, .max_length = ID_TOKEN_MAX};
	LbJwtStatus status;
	KeySearch	found;

	if (len > ID_TOKEN_MAX)
		return lb_jwt_status_name(LB_JWT_TOO_LONG);
	status = lb_jwt_peek_long(data, len, ID_TOKEN_MAX, jwt);
	if (status != LB_JWT_OK)
		return lb_jwt_status_name(status);
	/* An access token or a logout token of the same issuer is none of these (P12). */
	if (jwt->typ[0] != '\0' && pg_strcasecmp(jwt->typ, "JWT") != 0)
		return lb_jwt_status_name(LB_JWT_WRONG_TYPE);
	if (!is_allowed(jwt->alg, algorithms))
		return lb_jwt_status_name(LB_JWT_WRONG_ALGORITHM);
	found = find_key(jwks, jwt);
	if (found.key == NULL)
		return found.reason;
	status = lb_jwt_verify(data, len, found.key, &rules, jwt);
	return status == LB_JWT_OK ? NULL : lb_jwt_status_name(status);
}

/* NULL when the claims are those of a fresh ID token for this client, else why not. */
static const char *
check_claims(const LbJwt *jwt, text *issuer, text *client_id, text *nonce)
{
	const LbJsonObject *claims = &jwt->claims;

	if (!claim_is(claims, "iss", VARDATA_ANY(issuer), VARSIZE_ANY_EXHDR(issuer)))
		return "wrong_issuer";
	if (!audience_is(claims, text_to_cstring(client_id)))
		return "wrong_audience";
	if (isnan(jwt->iat))
		return "no_issue_time";
	if (time(NULL) > jwt->iat + OLDEST_TOKEN + lb_setting_jwt_leeway)
		return "too_old";
	if (VARSIZE_ANY_EXHDR(nonce) == 0 ||
		!claim_is(claims, "nonce", VARDATA_ANY(nonce), VARSIZE_ANY_EXHDR(nonce)))
		return "wrong_nonce";
	if (short_text(claims, "sub", SUBJECT_MAX) == NULL)
		return "no_subject";
	return NULL;
}

/* SHA-256 of header and payload: a signature may have a second form, they have not. */
static bytea *
digest_of(text *token)
{
	const char *data = VARDATA_ANY(token);
	int			len = VARSIZE_ANY_EXHDR(token);
	bytea	   *digest = palloc(VARHDRSZ + 32);
	unsigned int size = 32;

	while (len > 0 && data[len - 1] != '.')
		len--;
	(void) EVP_Digest(data, len, (unsigned char *) VARDATA(digest), &size, EVP_sha256(), NULL);
	SET_VARSIZE(digest, VARHDRSZ + 32);
	return digest;
}

static void
set_text(char *value, int column, Datum *values, bool *nulls)
{
	nulls[column] = value == NULL;
	if (value != NULL)
		values[column] = CStringGetTextDatum(value);
}

/*
 * labos.oidc_verify(id_token text, jwks jsonb, algorithms text[], issuer text,
 *					 client_id text, nonce text)
 *		returns (reason text, subject text, email text, email_verified boolean,
 *				 full_name text, mfa boolean, expires_at timestamptz, digest bytea)
 *		reason is null when the token is valid; the rest is null otherwise.
 *
 * Errors:	never one that depends on the token
 * Cost:	that of the signature: RS256 40 us
 * SQL:		volatile strict parallel safe; lab_owner only
 */
PG_FUNCTION_INFO_V1(labos_oidc_verify);

Datum
labos_oidc_verify(PG_FUNCTION_ARGS)
{
	text	   *token = PG_GETARG_TEXT_PP(0);
	TupleDesc	tupdesc;
	Datum		values[8] = {0};
	bool		nulls[8] = {true, true, true, true, true, true, true, true};
	LbJwt		jwt;
	const LbJsonMember *verified;
	const char *reason;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	reason = check_signature(token, PG_GETARG_JSONB_P(1), PG_GETARG_ARRAYTYPE_P(2), &jwt);
	if (reason == NULL)
		reason = check_claims(&jwt, PG_GETARG_TEXT_PP(3), PG_GETARG_TEXT_PP(4), PG_GETARG_TEXT_PP(5));
	if (reason != NULL)
		set_text(pstrdup(reason), 0, values, nulls);
	else
	{
		set_text(short_text(&jwt.claims, "sub", SUBJECT_MAX), 1, values, nulls);
		set_text(short_text(&jwt.claims, "email", EMAIL_MAX), 2, values, nulls);
		/* true, and nothing that merely looks like it. */
		verified = lb_jsonscan_find(&jwt.claims, "email_verified");
		values[3] = BoolGetDatum(verified != NULL && verified->type == LB_JSON_BOOL && verified->value[0] == 't');
		set_text(short_text(&jwt.claims, "name", FULL_NAME_MAX), 4, values, nulls);
		values[5] = BoolGetDatum(says_mfa(&jwt.claims));
		values[6] = TimestampTzGetDatum(((int64) jwt.exp - ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)) * USECS_PER_SEC);
		values[7] = PointerGetDatum(digest_of(token));
		nulls[3] = nulls[5] = nulls[6] = nulls[7] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
