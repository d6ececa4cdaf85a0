/*-------------------------------------------------------------------------
 *
 * jwt.h
 *		JSON Web Tokens in compact form (RFC 7515, RFC 7519, RFC 8725).
 *
 * Verification never raises on what a token says: it returns a status, so
 * that a caller answers every failure alike (P20) and writes the status to a
 * log only.
 *
 * IDENTIFICATION
 *	  src/identity/jwt.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_JWT_H
#define LABOS_JWT_H

#include "core/jsonscan.h"
#include "identity/jwk.h"

#define LB_JWT_MAX_LENGTH	8192	/* P15: bytes of one of our tokens */
#define LB_JWT_TYPE_SIZE	65		/* of "typ", with its zero */

typedef enum LbJwtStatus
{
	LB_JWT_OK,
	LB_JWT_TOO_LONG,
	LB_JWT_MALFORMED,			/* not three strict base64url segments */
	LB_JWT_BAD_HEADER,			/* no JSON object, or duplicate members */
	LB_JWT_CRITICAL,			/* crit or b64 is present */
	LB_JWT_WRONG_ALGORITHM,		/* alg is not the key's */
	LB_JWT_WRONG_KEY_ID,		/* kid is not the key's, or no kid of ours */
	LB_JWT_WRONG_TYPE,			/* typ is not what the caller wants */
	LB_JWT_WRONG_KEY,			/* the key may not verify */
	LB_JWT_BAD_SIGNATURE,
	LB_JWT_BAD_PAYLOAD,			/* no JSON object, or duplicate members */
	LB_JWT_BAD_TIME,			/* exp, nbf or iat is no NumericDate */
	LB_JWT_NO_EXPIRY,
	LB_JWT_EXPIRED,
	LB_JWT_NOT_YET
} LbJwtStatus;

typedef struct LbJwtRules
{
	double		now;			/* seconds since 1970; 0: clock_gettime */
	double		leeway;			/* seconds, 0 to 60 */
	bool		need_expiry;	/* P10: our own tokens always have exp */
	const char *typ;			/* wanted, without case; NULL: any */
	int			max_length;		/* bytes; 0: LB_JWT_MAX_LENGTH */
} LbJwtRules;

/*
 * What a token says.  header and payload are JSON texts, palloc'd and
 * terminated, NULL where it did not come that far; "signed_ok" says whether
 * the signature holds (nothing in the payload may be believed without).
 * claims shows the payload's members.  Absent times are NaN.
 */
typedef struct LbJwt
{
	LbJwtStatus status;
	bool		signed_ok;
	LbAlg		alg;
	char		kid[LB_KEY_ID_SIZE];	/* "" without one */
	char		typ[LB_JWT_TYPE_SIZE];
	char	   *header;
	int			header_len;
	char	   *payload;
	int			payload_len;
	LbJsonObject claims;
	double		exp;
	double		nbf;
	double		iat;
} LbJwt;

/* A constant word for logs and tests. */
extern const char *lb_jwt_status_name(LbJwtStatus status);

/*
 * The header of a token whose key is not known yet: alg, kid and typ.  With
 * our_kid a kid must be 1 to 64 of [A-Za-z0-9_.:-] (P6), so that it is safe in
 * a query parameter, a log and a cache key.  Nothing here is authenticated.
 */
extern LbJwtStatus lb_jwt_peek(const char *token, int len, bool our_kid,
							   LbJwt *result);

/* The same for tokens of others, which may be longer. */
extern LbJwtStatus lb_jwt_peek_long(const char *token, int len, int max_length,
									LbJwt *result);

/* Verify signature, header rules and times; fills result, returns its status. */
extern LbJwtStatus lb_jwt_verify(const char *token, int len, LbKey *key,
								 const LbJwtRules *rules, LbJwt *result);

/* The same without looking into the payload, which may be any bytes (JWS). */
extern LbJwtStatus lb_jws_verify(const char *token, int len, LbKey *key,
								 int max_length, LbJwt *result);

/* Checks the times of a verified token again (P17); cheap. */
extern LbJwtStatus lb_jwt_check_times(const LbJwt *jwt, const LbJwtRules *rules);

/*
 * Sign.  kid NULL takes the key's, "" writes none; typ NULL writes none.
 * Raises LB101 when the payload is no JSON object we would accept, LB102 when
 * the key cannot sign.
 */
extern char *lb_jwt_sign(LbKey *key, const char *kid, const char *typ,
						 const char *payload, int payload_len);

#endif							/* LABOS_JWT_H */
