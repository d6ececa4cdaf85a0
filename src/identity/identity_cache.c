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
 * IDENTIFICATION
 *	  src/identity/identity_cache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "identity/identity_cache.h"

#define CACHE_SLOTS		32		/* some 5 kB each */

typedef struct CacheSlot
{
	LbIdentity	identity;		/* first: a slot is known by it */
	LbIdentityKey key;
	MemoryContext context;		/* made once, reused */
	uint64		used;
	bool		kept;
} CacheSlot;

static CacheSlot slots[CACHE_SLOTS];
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

LbIdentity *
lb_identity_cache_find(const LbIdentityKey *key)
{
	for (int i = 0; i < CACHE_SLOTS; i++)
		if (slots[i].kept && memcmp(&slots[i].key, key, sizeof(LbIdentityKey)) == 0)
		{
			slots[i].used = ++clock_hand;
			return &slots[i].identity;
		}
	return NULL;
}

LbIdentity *
lb_identity_cache_slot(const LbIdentityKey *key)
{
	CacheSlot  *oldest = &slots[0];

	/* One that nobody will find again, or else the one unused the longest. */
	for (int i = 0; i < CACHE_SLOTS; i++)
	{
		if (!slots[i].kept)
		{
			oldest = &slots[i];
			break;
		}
		if (slots[i].used < oldest->used)
			oldest = &slots[i];
	}

	if (oldest->context == NULL)
		oldest->context = AllocSetContextCreate(TopMemoryContext, "labos identity",
												ALLOCSET_SMALL_SIZES);
	oldest->kept = false;
	MemoryContextReset(oldest->context);
	memset(&oldest->identity, 0, sizeof(LbIdentity));
	oldest->key = *key;
	oldest->used = ++clock_hand;
	oldest->identity.context = oldest->context;
	return &oldest->identity;
}

void
lb_identity_cache_keep(LbIdentity *slot)
{
	((CacheSlot *) slot)->kept = true;
}

void
lb_identity_cache_clear(void)
{
	for (int i = 0; i < CACHE_SLOTS; i++)
		slots[i].kept = false;
}
