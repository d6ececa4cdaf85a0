/*-------------------------------------------------------------------------
 *
 * shared_state.c
 *		The shared memory of the identity room.
 *
 * The postmaster only makes room for it and sets it to zero: no random number
 * is drawn there and no key is read, since every backend would inherit what
 * such libraries keep in memory.  The first backend that counts draws the
 * throttle's key.  After a crash the postmaster makes everything anew: counts
 * are lost then, slots are not (the guards of single accounts stand in tables:
 * login_guard.c).
 *
 * IDENTIFICATION
 *	  src/identity/shared_state.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "identity/throttle.h"

#define DEFAULT_THROTTLE_SLOTS	65536
#define LOCAL_THROTTLE_SLOTS	1500	/* of a backend that counts for itself */
#define TRANCHE					"labos"

static int	throttle_slots = DEFAULT_THROTTLE_SLOTS;

static LbShared *shared = NULL;
static LbShared *local = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/* At least one set for each half of an area. */
static int
number_of_sets(int slots)
{
	return Max((slots + LB_THROTTLE_WAYS - 1) / LB_THROTTLE_WAYS, 8);
}

static Size
sets_offset(void)
{
	return CACHELINEALIGN(sizeof(LbShared));
}

static Size
size_of(int nsets)
{
	return add_size(sets_offset(), mul_size(nsets, sizeof(LbThrottleSet)));
}

static void
make(LbShared *state, int nsets)
{
	memset(state, 0, size_of(nsets));
	SpinLockInit(&state->key_lock);
	SpinLockInit(&state->hashes.lock);
	ConditionVariableInit(&state->hashes.changed);
	pg_atomic_init_u32(&state->denied.waiting, 0);
	pg_atomic_init_u64(&state->refused_hashes, 0);
	pg_atomic_init_u64(&state->refused_logins, 0);
	pg_atomic_init_u64(&state->refused_requests, 0);
	state->nsets = nsets;
	state->sets = (LbThrottleSet *) ((char *) state + sets_offset());
	for (int i = 0; i < nsets; i++)
		SpinLockInit(&state->sets[i].lock);
}

static void
request_memory(void)
{
	if (previous_request_hook != NULL)
		previous_request_hook();
	RequestAddinShmemSpace(add_size(size_of(number_of_sets(throttle_slots)), PG_CACHE_LINE_SIZE));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
start_memory(void)
{
	bool		found;

	if (previous_startup_hook != NULL)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("labos", size_of(number_of_sets(throttle_slots)), &found);
	if (!found)
	{
		make(shared, number_of_sets(throttle_slots));
		shared->lock = &GetNamedLWLockTranche(TRANCHE)[0].lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

LbShared *
lb_shared(void)
{
	if (likely(shared != NULL))
		return shared;
	if (local == NULL)
	{
		int			nsets = number_of_sets(LOCAL_THROTTLE_SLOTS);
		LbShared   *state = MemoryContextAlloc(TopMemoryContext, size_of(nsets));

		make(state, nsets);
		local = state;
	}
	return local;
}

bool
lb_shared_is_shared(void)
{
	return shared != NULL;
}

void
lb_throttle_init(void)
{
	bool		preloading = process_shared_preload_libraries_in_progress;

	StaticAssertStmt(sizeof(LbThrottleSet) == 256, "a set of counters fills four cache lines");

	/* A setting of the postmaster cannot be made later; there it says nothing. */
	DefineCustomIntVariable("labos.throttle_slots",
							"Keys whose attempts and requests are counted at a time.",
							"17 bytes of shared memory each; has an effect in shared_preload_libraries only.",
							&throttle_slots, DEFAULT_THROTTLE_SLOTS, 1024, 64 * 1024 * 1024,
							preloading ? PGC_POSTMASTER : PGC_SIGHUP, 0, NULL, NULL, NULL);
	lb_hash_slots_define();
	lb_rate_limit_define();
	lb_login_limit_define();
	lb_denied_define();

	if (preloading)
	{
		previous_request_hook = shmem_request_hook;
		shmem_request_hook = request_memory;
		previous_startup_hook = shmem_startup_hook;
		shmem_startup_hook = start_memory;
	}
}
