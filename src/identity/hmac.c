/*-------------------------------------------------------------------------
 *
 * hmac.c
 *		HMAC with SHA-256 (RFC 2104) for a key that signs again and again.
 *
 * The key's two blocks are digested once; a signature starts from copies of
 * the states.  OpenSSL's EVP_MAC does the same, but allocates, looks up and
 * frees some ten times a signature, which costs as much as four blocks of
 * SHA-256 do.  The functions used here are what it has for that: deprecated
 * in favour of EVP, and so left out of some builds, and bypassing a FIPS
 * provider: in both cases signature.c goes the way of EVP.
 *
 * IDENTIFICATION
 *	  src/identity/hmac.c
 *
 *-------------------------------------------------------------------------
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "utils/memutils.h"

#include "identity/key_internal.h"

#ifndef OPENSSL_NO_DEPRECATED_3_0

#define INNER_PAD	0x36
#define OUTER_PAD	0x5C

typedef struct LbHmacStates
{
	SHA256_CTX	inner;
	SHA256_CTX	outer;
} LbHmacStates;

/* The state after a block of the key, each byte changed by pad. */
static void
digest_key(SHA256_CTX *state, const uint8 *block, uint8 pad)
{
	uint8		padded[SHA256_CBLOCK];

	for (int i = 0; i < SHA256_CBLOCK; i++)
		padded[i] = block[i] ^ pad;
	SHA256_Init(state);
	SHA256_Update(state, padded, SHA256_CBLOCK);
	OPENSSL_cleanse(padded, sizeof(padded));
}

static void
prepare(LbKey *key)
{
	uint8		block[SHA256_CBLOCK] = {0};
	LbHmacStates *states = MemoryContextAlloc(key->context, sizeof(LbHmacStates));

	if (key->secret_len > SHA256_CBLOCK)
		SHA256(key->secret, key->secret_len, block);
	else
		memcpy(block, key->secret, key->secret_len);
	digest_key(&states->inner, block, INNER_PAD);
	digest_key(&states->outer, block, OUTER_PAD);
	OPENSSL_cleanse(block, sizeof(block));
	key->states = states;
}

int
lb_hmac_sha256(LbKey *key, const uint8 *data, size_t len, uint8 *mac)
{
	SHA256_CTX	state;

	if (key->states == NULL)
	{
		if (EVP_default_properties_is_fips_enabled(NULL))
			return -1;
		prepare(key);
	}
	state = key->states->inner;
	SHA256_Update(&state, data, len);
	SHA256_Final(mac, &state);
	state = key->states->outer;
	SHA256_Update(&state, mac, SHA256_DIGEST_LENGTH);
	SHA256_Final(mac, &state);
	OPENSSL_cleanse(&state, sizeof(state));
	return SHA256_DIGEST_LENGTH;
}

void
lb_hmac_cleanse(LbKey *key)
{
	if (key->states != NULL)
		OPENSSL_cleanse(key->states, sizeof(LbHmacStates));
	key->states = NULL;
}

#else

int
lb_hmac_sha256(LbKey *key, const uint8 *data, size_t len, uint8 *mac)
{
	return -1;
}

void
lb_hmac_cleanse(LbKey *key)
{
}

#endif
