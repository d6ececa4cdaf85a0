/*-------------------------------------------------------------------------
 *
 * throttle.c
 *		A bounded table of counters that forget by themselves.
 *
 * A counter is one time: when the debt of its key will have been paid.  Each
 * charge adds a cost, time pays; a charge beyond the capacity is refused.  That
 * is a token bucket (the generic cell rate algorithm of ITU-T I.371), and also
 * "so many in so much time" for failures.  Nothing has to be swept: a counter
 * whose time has passed is free.
 *
 * The table has sets of fifteen.  A key is found by a SipHash under a key that
 * is drawn at each start: nobody can choose keys that meet in one set.  When a
 * set is full of debts the smallest gives way, and the newcomer takes its debt
 * over (the space-saving algorithm of Metwally, Agrawal and El Abbadi, 2005), up
 * to half of what the newcomer may have.  So a flood of new keys cannot wipe out
 * a counter (P56): a key that was pushed out comes back with at least the lesser
 * of what it had and half of its capacity; and a newcomer in a full table is
 * never refused for what others did.
 *
 * Written outside of any transaction: no ROLLBACK takes a charge back (P29).
 *
 * IDENTIFICATION
 *	  src/identity/throttle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "identity/throttle.h"

#define KIND_SIZE	40

/* The key of this start of the server: drawn by whoever needs it first. */
static const unsigned char *
hash_key(LbShared *state)
{
	unsigned char drawn[sizeof(state->key)];
	bool		has_key;

	SpinLockAcquire(&state->key_lock);
	has_key = state->has_key;
	SpinLockRelease(&state->key_lock);
	if (has_key)
		return state->key;

	if (!pg_strong_random(drawn, sizeof(drawn)))
		ereport(ERROR,
				errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not read random bytes"));
	SpinLockAcquire(&state->key_lock);
	if (!state->has_key)
	{
		memcpy(state->key, drawn, sizeof(drawn));
		state->has_key = true;
	}
	SpinLockRelease(&state->key_lock);
	return state->key;
}

void
lb_throttle_key(LbThrottleKey *key, const char *kind, const void *bytes, size_t length)
{
	const unsigned char *secret = hash_key(lb_shared());
	unsigned char message[KIND_SIZE + crypto_shorthash_siphashx24_BYTES] = {0};
	unsigned char digest[crypto_shorthash_siphashx24_BYTES];

	strlcpy((char *) message, kind, KIND_SIZE);
	crypto_shorthash_siphashx24(message + KIND_SIZE, bytes, length, secret);
	crypto_shorthash_siphashx24(digest, message, sizeof(message), secret);
	memcpy(&key->place, digest, sizeof(key->place));
	memcpy(&key->tag, digest + sizeof(key->place), sizeof(key->tag));
}

/* The area's sets: a quarter, a quarter, a half of the table. */
static LbThrottleSet *
set_of(LbShared *state, LbThrottleArea area, const LbThrottleKey *key)
{
	int			quarter = state->nsets / 4;
	int			first = area * quarter;
	int			n = area == LB_AREA_REQUEST ? state->nsets - first : quarter;

	return &state->sets[first + key->place % n];
}

static LbThrottleEntry *
find(LbThrottleSet *set, uint64 tag, LbThrottleEntry **least)
{
	*least = &set->entries[0];
	for (int i = 0; i < LB_THROTTLE_WAYS; i++)
	{
		if (set->entries[i].tag == tag)
			return &set->entries[i];
		if (set->entries[i].until < (*least)->until)
			*least = &set->entries[i];
	}
	return NULL;
}

int64
lb_throttle_charge(LbThrottleArea area, const LbThrottleKey *key, LbBucket bucket)
{
	LbThrottleSet *set = set_of(lb_shared(), area, key);
	TimestampTz now = GetCurrentTimestamp();
	LbThrottleEntry *entry;
	LbThrottleEntry *least;
	int64		debt;
	int64		wait;

	if (bucket.cost <= 0)
		return 0;

	SpinLockAcquire(&set->lock);
	entry = find(set, key->tag, &least);
	if (entry != NULL)
		/* More than the capacity: the setting was lowered, or the clock set back. */
		debt = Min(entry->until - now, bucket.capacity);
	else
	{
		entry = least;
		debt = Min(entry->until - now, bucket.capacity / 2);
	}
	debt = Max(debt, 0);
	wait = debt + bucket.cost - bucket.capacity;
	if (wait <= 0)
	{
		entry->tag = key->tag;
		entry->until = now + debt + bucket.cost;
	}
	SpinLockRelease(&set->lock);
	return Max(wait, 0);
}

void
lb_throttle_refund(LbThrottleArea area, const LbThrottleKey *key, LbBucket bucket)
{
	LbThrottleSet *set = set_of(lb_shared(), area, key);
	LbThrottleEntry *entry;
	LbThrottleEntry *least;

	SpinLockAcquire(&set->lock);
	entry = find(set, key->tag, &least);
	if (entry != NULL)
		entry->until -= bucket.cost;
	SpinLockRelease(&set->lock);
}

int64
lb_throttle_used(void)
{
	LbShared   *state = lb_shared();
	TimestampTz now = GetCurrentTimestamp();
	int64		used = 0;

	/* Without locks: a figure for people. */
	for (int i = 0; i < state->nsets; i++)
		for (int j = 0; j < LB_THROTTLE_WAYS; j++)
			used += state->sets[i].entries[j].until > now;
	return used;
}

/*
 * labos.throttle(kind text, key text, per_second float8, burst integer) returns float8
 *		Charges one use of key and says how many seconds to wait: 0 when the
 *		use is within the limit, and then it counts, whatever becomes of the
 *		transaction.
 *
 * Units:	per_second uses a second in the long run, burst uses at once
 * Errors:	22023 for a limit that is not positive
 * Cost:	1 us
 * SQL:		volatile strict parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_throttle);

Datum
labos_throttle(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(1);
	float8		per_second = PG_GETARG_FLOAT8(2);
	int32		burst = PG_GETARG_INT32(3);
	LbThrottleKey key;
	LbBucket	bucket;

	if (!(per_second >= 1e-6 && per_second <= 1e6) || burst < 1 || burst > 1000000)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a limit has 0.000001 to 1000000 uses a second and a burst of 1 to 1000000"));
	bucket.cost = Max((int64) (1e6 / per_second), 1);
	bucket.capacity = bucket.cost * burst;
	lb_throttle_key(&key, text_to_cstring(PG_GETARG_TEXT_PP(0)), VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	PG_RETURN_FLOAT8(lb_throttle_charge(LB_AREA_OTHER, &key, bucket) / 1e6);
}
