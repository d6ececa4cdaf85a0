/*-------------------------------------------------------------------------
 *
 * jwt.c
 *		JSON Web Tokens in compact form (RFC 7515, RFC 7519, RFC 8725).
 *
 * The algorithm comes from the key; the header's "alg" must name the same.
 * "jwk", "jku", "x5u" and "x5c" in a header are not looked at: keys come from
 * our tables only.  The numbers P1 to P17 are those of docs/security.md.
 *
 * IDENTIFICATION
 *	  src/identity/jwt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <time.h>

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "core/errors.h"
#include "core/text.h"
#include "identity/jwt.h"

#define HEADER_MAX_MEMBERS	32
#define PAYLOAD_MAX_MEMBERS 4096
#define MAX_DEPTH			16
#define OUR_KID_MAX			64
#define LAST_SECOND			253402300799.0	/* 9999-12-31T23:59:59Z */

/* Where the segments stand. */
typedef struct Segments
{
	const char *header;
	int			header_len;
	const char *payload;
	int			payload_len;
	const char *signature;
	int			signature_len;
	int			signed_len;		/* header, dot, payload */
} Segments;

const char *
lb_jwt_status_name(LbJwtStatus status)
{
	static const char *const names[] = {
		[LB_JWT_OK] = "ok",
		[LB_JWT_TOO_LONG] = "too_long",
		[LB_JWT_MALFORMED] = "malformed",
		[LB_JWT_BAD_HEADER] = "bad_header",
		[LB_JWT_CRITICAL] = "critical_header",
		[LB_JWT_WRONG_ALGORITHM] = "wrong_algorithm",
		[LB_JWT_WRONG_KEY_ID] = "wrong_key_id",
		[LB_JWT_WRONG_TYPE] = "wrong_type",
		[LB_JWT_WRONG_KEY] = "wrong_key",
		[LB_JWT_BAD_SIGNATURE] = "bad_signature",
		[LB_JWT_BAD_PAYLOAD] = "bad_payload",
		[LB_JWT_BAD_TIME] = "bad_time",
		[LB_JWT_NO_EXPIRY] = "no_expiry",
		[LB_JWT_EXPIRED] = "expired",
		[LB_JWT_NOT_YET] = "not_yet_valid",
	};

	return names[status];
}

/* Exactly three segments (P7). */
static bool
split_token(const char *token, int len, Segments *s)
{
	const char *end = token + len;
	const char *first = memchr(token, '.', len);
	const char *second;

	if (first == NULL)
		return false;
	second = memchr(first + 1, '.', end - first - 1);
	if (second == NULL || memchr(second + 1, '.', end - second - 1) != NULL)
		return false;
	s->header = token;
	s->header_len = first - token;
	s->payload = first + 1;
	s->payload_len = second - first - 1;
	s->signature = second + 1;
	s->signature_len = end - second - 1;
	s->signed_len = second - token;
	return s->header_len > 0;
}

/* A segment decoded, palloc'd and terminated; NULL when it is malformed. */
static char *
decode_segment(const char *segment, int len, int *decoded_len)
{
	char	   *decoded = palloc(len * 3 / 4 + 2);

	*decoded_len = lb_base64url_decode(segment, len, (uint8 *) decoded);
	if (*decoded_len < 0)
		return NULL;
	decoded[*decoded_len] = '\0';
	return decoded;
}

static bool
is_our_kid(const char *kid)
{
	int			len = strlen(kid);

	return len >= 1 && len <= OUR_KID_MAX &&
		strspn(kid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			   "0123456789_.:-") == len;
}

/* Copies an optional string member; false when it is no string or too long. */
static bool
copy_member(const LbJsonObject *object, const char *name, char *out, int size)
{
	int			len;
	char	   *text;

	out[0] = '\0';
	if (lb_jsonscan_find(object, name) == NULL)
		return true;
	text = lb_jsonscan_text(object, name, &len);
	if (text == NULL || len >= size)
		return false;
	memcpy(out, text, len + 1);
	return true;
}

static LbJwtStatus
read_header(const Segments *s, LbJwt *jwt)
{
	LbJsonObject header;
	char	   *alg;
	int			alg_len;

	jwt->header = decode_segment(s->header, s->header_len, &jwt->header_len);
	if (jwt->header == NULL)
		return LB_JWT_MALFORMED;
	if (!lb_jsonscan_object(jwt->header, jwt->header_len, HEADER_MAX_MEMBERS,
							MAX_DEPTH, &header))
	{
		jwt->header = NULL;
		return LB_JWT_BAD_HEADER;
	}
	/* P4: we understand no extension, and unencoded payloads change the bytes. */
	if (lb_jsonscan_find(&header, "crit") != NULL ||
		lb_jsonscan_find(&header, "b64") != NULL)
		return LB_JWT_CRITICAL;
	if (!copy_member(&header, "kid", jwt->kid, sizeof(jwt->kid)) ||
		!copy_member(&header, "typ", jwt->typ, sizeof(jwt->typ)))
		return LB_JWT_BAD_HEADER;
	/* P2: "none" in any case is an algorithm like any other we do not know. */
	alg = lb_jsonscan_text(&header, "alg", &alg_len);
	jwt->alg = alg == NULL ? LB_ALG_UNKNOWN : lb_alg_from_name(alg, alg_len);
	if (jwt->alg == LB_ALG_UNKNOWN)
		return LB_JWT_WRONG_ALGORITHM;
	return LB_JWT_OK;
}

static void
clear_result(LbJwt *jwt)
{
	memset(jwt, 0, sizeof(LbJwt));
	jwt->exp = jwt->nbf = jwt->iat = NAN;
}

LbJwtStatus
lb_jwt_peek_long(const char *token, int len, int max_length, LbJwt *jwt)
{
	Segments	s;

	clear_result(jwt);
	if (len > max_length)
		jwt->status = LB_JWT_TOO_LONG;
	else if (!split_token(token, len, &s))
		jwt->status = LB_JWT_MALFORMED;
	else
		jwt->status = read_header(&s, jwt);
	if (jwt->status != LB_JWT_OK)
		jwt->kid[0] = '\0';
	return jwt->status;
}

LbJwtStatus
lb_jwt_peek(const char *token, int len, bool our_kid, LbJwt *jwt)
{
	(void) lb_jwt_peek_long(token, len, LB_JWT_MAX_LENGTH, jwt);
	if (jwt->status == LB_JWT_OK && our_kid && jwt->kid[0] != '\0' &&
		!is_our_kid(jwt->kid))
		jwt->status = LB_JWT_WRONG_KEY_ID;
	if (jwt->status != LB_JWT_OK)
		jwt->kid[0] = '\0';
	return jwt->status;
}

/* Does the signature hold?  The header has been read. */
static LbJwtStatus
check_signature(const char *token, const Segments *s, LbKey *key, LbJwt *jwt)
{
	uint8		signature[LB_SIGNATURE_MAX + 1];
	int			len;

	/* P1: the key decides. */
	if (jwt->alg != lb_key_alg(key))
		return LB_JWT_WRONG_ALGORITHM;
	if (!lb_key_can_verify(key))
		return LB_JWT_WRONG_KEY;
	if (jwt->kid[0] != '\0' && lb_key_id(key) != NULL &&
		strcmp(jwt->kid, lb_key_id(key)) != 0)
		return LB_JWT_WRONG_KEY_ID;
	if (s->signature_len > LB_SIGNATURE_MAX * 4 / 3 + 1)
		return LB_JWT_BAD_SIGNATURE;
	len = lb_base64url_decode(s->signature, s->signature_len, signature);
	if (len < 0)
		return LB_JWT_MALFORMED;
	if (!lb_key_verify(key, (const uint8 *) token, s->signed_len, signature, len))
		return LB_JWT_BAD_SIGNATURE;
	jwt->signed_ok = true;
	return LB_JWT_OK;
}

LbJwtStatus
lb_jws_verify(const char *token, int len, LbKey *key, int max_length,
			  LbJwt *jwt)
{
	Segments	s;
	LbJwtStatus status;

	clear_result(jwt);
	if (len > (max_length > 0 ? max_length : LB_JWT_MAX_LENGTH))
		return jwt->status = LB_JWT_TOO_LONG;
	if (!split_token(token, len, &s))
		return jwt->status = LB_JWT_MALFORMED;
	jwt->payload = decode_segment(s.payload, s.payload_len, &jwt->payload_len);
	status = read_header(&s, jwt);
	if (status == LB_JWT_OK)
		status = check_signature(token, &s, key, jwt);
	/* A wrong alphabet counts before anything else about the token. */
	if (jwt->payload == NULL)
		status = LB_JWT_MALFORMED;
	return jwt->status = status;
}

/* A NumericDate (P10): a finite JSON number from 1970 to 9999, or absent. */
static bool
read_time(const LbJsonObject *claims, const char *name, double *result)
{
	const LbJsonMember *member = lb_jsonscan_find(claims, name);

	*result = NAN;
	if (member == NULL)
		return true;
	return lb_jsonscan_number(member, result) && *result >= 0 &&
		*result <= LAST_SECOND;
}

LbJwtStatus
lb_jwt_check_times(const LbJwt *jwt, const LbJwtRules *rules)
{
	double		now = rules->now;

	if (now == 0)
	{
		struct timespec clock;

		clock_gettime(CLOCK_REALTIME, &clock);
		now = clock.tv_sec + clock.tv_nsec / 1e9;
	}
	if (isnan(jwt->exp))
	{
		if (rules->need_expiry)
			return LB_JWT_NO_EXPIRY;
	}
	else if (now >= jwt->exp + rules->leeway)
		return LB_JWT_EXPIRED;
	/* A token from the future was minted by a wrong clock or a liar. */
	if ((!isnan(jwt->nbf) && now + rules->leeway < jwt->nbf) ||
		(!isnan(jwt->iat) && now + rules->leeway < jwt->iat))
		return LB_JWT_NOT_YET;
	return LB_JWT_OK;
}

LbJwtStatus
lb_jwt_verify(const char *token, int len, LbKey *key, const LbJwtRules *rules,
			  LbJwt *jwt)
{
	LbJwtStatus status = lb_jws_verify(token, len, key, rules->max_length, jwt);

	if (status == LB_JWT_OK && rules->typ != NULL &&
		pg_strcasecmp(jwt->typ, rules->typ) != 0)
		status = LB_JWT_WRONG_TYPE;
	if (status == LB_JWT_OK &&
		!lb_jsonscan_object(jwt->payload, jwt->payload_len, PAYLOAD_MAX_MEMBERS,
							MAX_DEPTH, &jwt->claims))
		status = LB_JWT_BAD_PAYLOAD;
	if (status == LB_JWT_OK &&
		!(read_time(&jwt->claims, "exp", &jwt->exp) &&
		  read_time(&jwt->claims, "nbf", &jwt->nbf) &&
		  read_time(&jwt->claims, "iat", &jwt->iat)))
		status = LB_JWT_BAD_TIME;
	if (status == LB_JWT_OK)
		status = lb_jwt_check_times(jwt, rules);
	return jwt->status = status;
}

/* Raises unless the payload is what our own verifier would take. */
static void
check_payload(const char *payload, int len)
{
	LbJsonObject claims;
	double		ignored;

	if (!lb_jsonscan_object(payload, len, PAYLOAD_MAX_MEMBERS, MAX_DEPTH, &claims))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_TOKEN),
				errmsg("claims cannot be signed"),
				errdetail("They must be a JSON object without duplicate members or \\u0000, at most %d levels deep.",
						  MAX_DEPTH));
	if (!read_time(&claims, "exp", &ignored) ||
		!read_time(&claims, "nbf", &ignored) ||
		!read_time(&claims, "iat", &ignored))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_TOKEN),
				errmsg("claims cannot be signed"),
				errdetail("\"exp\", \"nbf\" and \"iat\" must be numbers of seconds since 1970."));
}

char *
lb_jwt_sign(LbKey *key, const char *kid, const char *typ, const char *payload,
			int payload_len)
{
	StringInfoData header;
	StringInfoData token;
	uint8		signature[LB_SIGNATURE_MAX];
	int			len;

	if (kid == NULL)
		kid = lb_key_id(key);
	if (kid != NULL && kid[0] != '\0' && !is_our_kid(kid))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_TOKEN),
				errmsg("key id cannot be used"),
				errdetail("It must be 1 to %d of [A-Za-z0-9_.:-].", OUR_KID_MAX));
	if (typ != NULL && strlen(typ) >= LB_JWT_TYPE_SIZE)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_TOKEN),
				errmsg("token type is longer than %d bytes", LB_JWT_TYPE_SIZE - 1));
	check_payload(payload, payload_len);

	initStringInfo(&header);
	appendStringInfo(&header, "{\"alg\":\"%s\"", lb_alg_name(lb_key_alg(key)));
	if (typ != NULL)
	{
		appendStringInfoString(&header, ",\"typ\":");
		escape_json(&header, typ);
	}
	if (kid != NULL && kid[0] != '\0')
		appendStringInfo(&header, ",\"kid\":\"%s\"", kid);
	appendStringInfoChar(&header, '}');

	initStringInfo(&token);
	lb_base64url_append(&token, (uint8 *) header.data, header.len);
	appendStringInfoChar(&token, '.');
	lb_base64url_append(&token, (const uint8 *) payload, payload_len);
	len = lb_key_sign(key, (const uint8 *) token.data, token.len, signature);
	if (len < 0)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_KEY),
				errmsg("key cannot sign"),
				errdetail("It has no private part, or \"key_ops\" does not name sign."));
	appendStringInfoChar(&token, '.');
	lb_base64url_append(&token, signature, len);
	if (token.len > LB_JWT_MAX_LENGTH)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_TOKEN),
				errmsg("token would be longer than %d bytes", LB_JWT_MAX_LENGTH));
	pfree(header.data);
	return token.data;
}
