/*-------------------------------------------------------------------------
 *
 * key_internal.h
 *		The inside of a key, for jwk.c, jwk_make.c, keycache.c and signature.c.
 *
 * IDENTIFICATION
 *	  src/identity/key_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_KEY_INTERNAL_H
#define LABOS_KEY_INTERNAL_H

#include <openssl/evp.h>

#include "utils/palloc.h"

#include "identity/jwk.h"

typedef enum LbKeyType
{
	LB_KEY_OCT,
	LB_KEY_RSA,
	LB_KEY_EC,
	LB_KEY_OKP
} LbKeyType;

/* What an algorithm is made of. */
typedef struct LbAlgInfo
{
	const char *name;
	LbKeyType	type;
	const char *digest;			/* NULL for EdDSA */
	int			digest_size;
	bool		pss;
	const char *jwk_curve;		/* RFC 7518 */
	const char *group;			/* the same, as OpenSSL calls it */
	int			field_size;		/* bytes of a coordinate */
} LbAlgInfo;

struct LbKey
{
	MemoryContext context;
	MemoryContextCallback callback;
	LbAlg		alg;
	const LbAlgInfo *info;
	char	   *kid;			/* or NULL */
	bool		is_private;
	bool		can_sign;
	bool		can_verify;
	EVP_PKEY   *pkey;			/* asymmetric */
	EVP_MAC_CTX *mac;			/* symmetric, keyed */
	struct LbHmacStates *states;	/* of HS256, instead of mac */
	uint8	   *secret;			/* symmetric */
	int			secret_len;
};

extern const LbAlgInfo *lb_alg_info(LbAlg alg);

/* An empty key in a new child of the current context. */
extern LbKey *lb_key_new(void);
/* Makes key an HMAC key; takes a copy of secret. */
extern bool lb_key_set_secret(LbKey *key, LbAlg alg, const uint8 *secret,
							  int len);

/*
 * HMAC with SHA-256 from states that the key was digested into once; -1 when
 * that way is closed here.  Writes 32 bytes; returns their number.
 */
extern int	lb_hmac_sha256(LbKey *key, const uint8 *data, size_t len, uint8 *mac);
extern void lb_hmac_cleanse(LbKey *key);

#endif							/* LABOS_KEY_INTERNAL_H */
