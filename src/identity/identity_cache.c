/*-------------------------------------------------------------------------
 *
 * identity_cache.c
 *		The callers a backend has served lately, with what they may do.
 *
 * A gateway's connection serves one user after the other, a request each.
 * Asking the database who they are costs a query; the answer holds until
 * rights change (all are forgotten: lb_identity_cache_clear), or until time
 * changes it (reload_at, checked by the reader).
 *
 * An answer is handed out as a pointer into its slot: valid until the next
 * resolution, which may reuse the slot.
 *
 * A pool's backend meets all callers that are active: the cache holds more of
 * them than a small installation has, found by hashes that stand side by side.
 * It keeps MOST_BYTES at most, because members and shares may be many.
 *
 * IDENTIFICATION
 *	  src/identity/identity_cache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "identity/identity_cache.h"

#define CACHE_SLOTS		256		/* some 5 kB each */
#define MOST_BYTES		(8 * 1024 * 1024)

typedef struct CacheSlot
{
	LbIdentity	identity;		/* first: a slot is known by it */
	LbIdentityKey key;
	MemoryContext context;		/* made once, reused */
	uint32		hash;			/* of the key, never 0 */
	uint64		used;
} CacheSlot;

static CacheSlot slots[CACHE_SLOTS];
static uint32 kept[CACHE_SLOTS];	/* the hash of a slot that may be found, or 0 */
static uint64 clock_hand = 0;

void
lb_identity_key(LbIdentityKey *key, char source, Oid session_user, const LbClaims *claims, const char *wish)
{
	memset(key, 0, sizeof(LbIdentityKey));
	key->source = source;
	key->session_user = session_user;
	/* Field by field: padding must compare equal. */
	key->claims.has_user = claims->has_user;
	key->claims.has_org = claims->has_org;
	key->claims.has_session = claims->has_session;
	key->claims.user = claims->user;
	key->claims.org = claims->org;
	key->claims.session = claims->session;
	key->claims.issued = claims->issued;
	/* memset has made the rest of it zero. */
	memcpy(key->acting_org, wish, Min(strlen(wish), LB_ORG_NAME_LENGTH));
}

static uint32
hash_key(const LbIdentityKey *key)
{
	uint32		hash = hash_bytes((const unsigned char *) key, sizeof(LbIdentityKey));

	return hash != 0 ? hash : 1;
}

LbIdentity *
lb_identity_cache_find(const LbIdentityKey *key)
{
	uint32		hash = hash_key(key);

	for (int i = 0; i < CACHE_SLOTS; i++)
		if (kept[i] == hash && memcmp(&slots[i].key, key, sizeof(LbIdentityKey)) == 0)
		{
			slots[i].used = ++clock_hand;
			return &slots[i].identity;
		}
	return NULL;
}

/* One that nobody will find again, or else the one unused the longest. */
static CacheSlot *
oldest_slot(void)
{
	CacheSlot  *oldest = &slots[0];

	for (int i = 0; i < CACHE_SLOTS; i++)
	{
		if (kept[i] == 0)
			return &slots[i];
		if (slots[i].used < oldest->used)
			oldest = &slots[i];
	}
	return oldest;
}

static Size
bytes_kept(void)
{
	Size		bytes = 0;

	for (int i = 0; i < CACHE_SLOTS; i++)
		if (slots[i].context != NULL)
			bytes += MemoryContextMemAllocated(slots[i].context, false);
	return bytes;
}

LbIdentity *
lb_identity_cache_slot(const LbIdentityKey *key)
{
	CacheSlot  *oldest;

	if (bytes_kept() > MOST_BYTES)
		for (int i = 0; i < CACHE_SLOTS; i++)
		{
			kept[i] = 0;
			if (slots[i].context != NULL)
				MemoryContextReset(slots[i].context);
		}
	oldest = oldest_slot();
	if (oldest->context == NULL)
		oldest->context = AllocSetContextCreate(TopMemoryContext, "labos identity",
												ALLOCSET_SMALL_SIZES);
	kept[oldest - slots] = 0;
	MemoryContextReset(oldest->context);
	memset(&oldest->identity, 0, sizeof(LbIdentity));
	oldest->key = *key;
	oldest->hash = hash_key(key);
	oldest->used = ++clock_hand;
	oldest->identity.context = oldest->context;
	return &oldest->identity;
}

void
lb_identity_cache_keep(LbIdentity *slot)
{
	CacheSlot  *whole = (CacheSlot *) slot;

	kept[whole - slots] = whole->hash;
}

void
lb_identity_cache_clear(void)
{
	memset(kept, 0, sizeof(kept));
}
