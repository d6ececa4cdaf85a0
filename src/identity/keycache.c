/*-------------------------------------------------------------------------
 *
 * keycache.c
 *		Parsed keys of this backend, found again by their bytes.
 *
 * Parsing an asymmetric key costs a hundred times what the signature costs,
 * so the last CACHE_SIZE keys stay parsed.  An entry is compared with all of
 * its bytes, not with a digest: two keys are never taken for one another, and
 * a rotated key simply has other bytes.  The least recently used one goes.
 *
 * IDENTIFICATION
 *	  src/identity/keycache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "identity/key_internal.h"

#define CACHE_SIZE		32
#define LONGEST_SOURCE	16384

typedef struct Entry
{
	uint32		hash;
	int			kind;			/* 0: JWK text; an LbAlg: shared secret */
	int			len;
	char	   *source;			/* in the key's context */
	LbKey	   *key;
	uint64		used_at;
} Entry;

static Entry entries[CACHE_SIZE];
static uint64 clock_hand = 0;
static MemoryContext cache_context = NULL;

/* In a time that tells nothing about the bytes, eight at a time. */
static bool
same_bytes(const char *a, const char *b, int len)
{
	volatile uint64 difference = 0;
	uint64		x,
				y;

	for (; len >= sizeof(x); a += sizeof(x), b += sizeof(x), len -= sizeof(x))
	{
		memcpy(&x, a, sizeof(x));
		memcpy(&y, b, sizeof(y));
		difference |= x ^ y;
	}
	for (; len > 0; len--)
		difference |= (unsigned char) (*a++ ^ *b++);
	return difference == 0;
}

static LbKey *
cache_find(int kind, uint32 hash, const char *source, int len, Entry **found)
{
	for (int i = 0; i < CACHE_SIZE; i++)
	{
		Entry	   *entry = &entries[i];

		if (entry->key != NULL && entry->hash == hash && entry->len == len &&
			entry->kind == kind &&
			same_bytes(entry->source, source, len))
		{
			entry->used_at = ++clock_hand;
			*found = entry;
			return entry->key;
		}
	}
	return NULL;
}

/*
 * A key is made in the caller's context and moves here when it is whole: an
 * error on the way (a cancelled statement) leaves nothing behind.
 */
static void
move_to_cache(LbKey *key)
{
	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(TopMemoryContext, "labos keys",
											  ALLOCSET_SMALL_SIZES);
	MemoryContextSetParent(key->context, cache_context);
}

/* Takes the key into the cache. */
static void
cache_add(int kind, uint32 hash, const char *source, int len, LbKey *key)
{
	Entry	   *oldest = &entries[0];
	char	   *copy = MemoryContextAlloc(key->context, len);

	memcpy(copy, source, len);
	move_to_cache(key);
	for (int i = 1; i < CACHE_SIZE && oldest->key != NULL; i++)
		if (entries[i].key == NULL || entries[i].used_at < oldest->used_at)
			oldest = &entries[i];
	if (oldest->key != NULL)
	{
		OPENSSL_cleanse(oldest->source, oldest->len);
		lb_key_free(oldest->key);
	}
	oldest->hash = hash;
	oldest->kind = kind;
	oldest->len = len;
	oldest->source = copy;
	oldest->key = key;
	oldest->used_at = ++clock_hand;
}

LbKey *
lb_jwk_cached(const char *json, int len, const char **reason)
{
	uint32		hash;
	LbKey	   *key;
	Entry	   *found;

	*reason = NULL;
	if (len > LONGEST_SOURCE)
		return lb_jwk_parse(json, len, reason);
	hash = hash_bytes((const unsigned char *) json, len);
	key = cache_find(0, hash, json, len, &found);
	if (key != NULL)
		return key;

	key = lb_jwk_parse(json, len, reason);
	if (key != NULL)
		cache_add(0, hash, json, len, key);
	return key;
}

LbKey *
lb_hmac_key_cached(LbAlg alg, const char *secret, int len)
{
	static Entry *last = NULL;
	uint32		hash;
	LbKey	   *key;

	/* A backend signs with one secret at a time: it need not be hashed. */
	if (last != NULL && last->key != NULL && last->kind == (int) alg && last->len == len &&
		same_bytes(last->source, secret, len))
	{
		last->used_at = ++clock_hand;
		return last->key;
	}
	hash = hash_bytes((const unsigned char *) secret, len);
	key = cache_find((int) alg, hash, secret, len, &last);
	if (key != NULL || len == 0 || len > LONGEST_SOURCE ||
		lb_alg_hmac_size(alg) == 0)
		return key;
	key = lb_key_new();
	(void) lb_key_set_secret(key, alg, (const uint8 *) secret, len);
	cache_add((int) alg, hash, secret, len, key);
	return key;
}
