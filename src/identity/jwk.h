/*-------------------------------------------------------------------------
 *
 * jwk.h
 *		Keys (RFC 7517, 7518, 8037) and signatures with them.
 *
 * A key knows its one algorithm: the one its "alg" names or, without one, the
 * default of its kind (oct HS256, RSA RS256, P-256 ES256, P-384 ES384, P-521
 * ES512, Ed25519 EdDSA).  What a token's header says never chooses.
 *
 * Keys live in memory contexts: EVP objects are freed by a reset callback, so
 * that an error that jumps over us leaks nothing.
 *
 * IDENTIFICATION
 *	  src/identity/jwk.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_JWK_H
#define LABOS_JWK_H

typedef enum LbAlg
{
	LB_ALG_UNKNOWN,
	LB_ALG_HS256,
	LB_ALG_HS384,
	LB_ALG_HS512,
	LB_ALG_RS256,
	LB_ALG_RS384,
	LB_ALG_RS512,
	LB_ALG_PS256,
	LB_ALG_PS384,
	LB_ALG_PS512,
	LB_ALG_ES256,
	LB_ALG_ES384,
	LB_ALG_ES512,
	LB_ALG_EDDSA
} LbAlg;

#define LB_KEY_ID_SIZE			257 /* of any issuer, with its zero */
#define LB_SIGNATURE_MAX		1024	/* RSA of 8192 bits */

typedef struct LbKey LbKey;

extern LbAlg lb_alg_from_name(const char *name, int len);
extern const char *lb_alg_name(LbAlg alg);
/* Digest bytes of an HMAC algorithm, 0 for others. */
extern int	lb_alg_hmac_size(LbAlg alg);

/*
 * Parse a JWK text.  The key lives in its own child of the current context.
 * Returns NULL and a reason (a constant text) when it is no key we use.
 */
extern LbKey *lb_jwk_parse(const char *json, int len, const char **reason);

/*
 * The same through a cache of this backend that lasts until it is evicted:
 * use the key at once, do not keep the pointer, do not free it.
 */
extern LbKey *lb_jwk_cached(const char *json, int len, const char **reason);

/*
 * An HMAC key from a shared secret of any length but zero, for the
 * pgjwt-compatible functions; cached likewise.
 */
extern LbKey *lb_hmac_key_cached(LbAlg alg, const char *secret, int len);

extern void lb_key_free(LbKey *key);

/* A new private key as JWK text; its kid is its thumbprint (random for oct). */
extern char *lb_jwk_generate(LbAlg alg);
/* The public JWK, palloc'd; NULL for a symmetric key. */
extern char *lb_jwk_public_json(LbKey *key);
/* RFC 7638 with SHA-256, base64url, palloc'd. */
extern char *lb_jwk_thumbprint(LbKey *key);
/* A PEM key (SPKI or PKCS #8, unencrypted) as JWK text; NULL and a reason. */
extern char *lb_jwk_from_pem(const char *pem, int len, LbAlg alg,
							 const char **reason);

extern LbAlg lb_key_alg(const LbKey *key);
/* The JWK's kid, or NULL. */
extern const char *lb_key_id(const LbKey *key);
extern bool lb_key_can_sign(const LbKey *key);
extern bool lb_key_can_verify(const LbKey *key);

/*
 * Sign or verify bytes with the key's algorithm; signatures have the form of
 * RFC 7518 (ECDSA: r and s of fixed length).  lb_key_sign returns the length
 * written to signature (LB_SIGNATURE_MAX bytes of room), or -1.
 */
extern int	lb_key_sign(LbKey *key, const uint8 *data, size_t len,
						uint8 *signature);
extern bool lb_key_verify(LbKey *key, const uint8 *data, size_t len,
						  const uint8 *signature, int signature_len);

#endif							/* LABOS_JWK_H */
