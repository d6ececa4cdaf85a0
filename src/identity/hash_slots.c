/*-------------------------------------------------------------------------
 *
 * hash_slots.c
 *		How many password hashes are computed at a time.
 *
 * A hash holds tens of megabytes and a core for a tenth of a second, and anybody
 * may ask for one by trying to sign in.  So there are few places (labos.hash_slots)
 * and a short queue before them (labos.hash_queue); whoever finds it full is
 * told so at once, before anything is charged or computed.
 *
 * Who holds a place never waits for a row: what is charged meanwhile is written
 * in place, and the callers lock rows before or after.  So whoever waits for a
 * place gets it.  A transaction that has had a place already (it rehashes, or sets a new
 * password after checking the old) is not turned away again, it waits.
 *
 * A place is given back after the hash, by the end of the transaction or
 * subtransaction (errors, cancel), and by the end of the backend; when a
 * backend is killed the postmaster makes shared memory anew.
 *
 * Without shared memory the places are locks of the lock manager, of a class
 * that no SQL function reaches, asked for every few milliseconds.
 *
 * IDENTIFICATION
 *	  src/identity/hash_slots.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "identity/throttle.h"

#define LONGEST_WAIT		10000	/* milliseconds */
#define POLL_INTERVAL		5		/* milliseconds, without shared memory */
#define RETRY_AFTER			INT64CONST(1000000)

/* Advisory locks of SQL have 1 or 2 here. */
#define LOCK_CLASS_SLOT		17
#define LOCK_CLASS_QUEUE	18

static int	setting_slots = 0;
static int	setting_queue = 16;

/* What this backend has. */
static bool has_slot = false;
static bool is_waiting = false;
static int	locked_slot = -1;		/* without shared memory */
static int	locked_queue = -1;
static LocalTransactionId served = InvalidLocalTransactionId;

int
lb_hash_slot_limit(void)
{
	static int	cores = 0;

	if (setting_slots > 0)
		return setting_slots;
	if (cores == 0)
		cores = Max((int) sysconf(_SC_NPROCESSORS_ONLN), 1);
	return Min(Max(cores / 2, 1), LB_MAX_HASH_SLOTS);
}

/* Shared memory ---------------------------------------------------------- */

/* Takes a free place that nobody waits for; who waits already counts not. */
static bool
try_shared(LbHashSlots *slots)
{
	int			limit = lb_hash_slot_limit();

	/* Called with the lock held. */
	if (slots->used >= limit || (!is_waiting && slots->waiting >= limit - slots->used))
		return false;
	for (int i = 0; i < LB_MAX_HASH_SLOTS; i++)
		if (slots->holder[i] == 0)
		{
			slots->holder[i] = MyProcPid;
			slots->used++;
			has_slot = true;
			break;
		}
	if (has_slot && is_waiting)
	{
		slots->waiting--;
		is_waiting = false;
	}
	return has_slot;
}

static void
release_shared(LbHashSlots *slots)
{
	SpinLockAcquire(&slots->lock);
	if (is_waiting)
		slots->waiting--;
	for (int i = 0; has_slot && i < LB_MAX_HASH_SLOTS; i++)
		if (slots->holder[i] == MyProcPid)
		{
			slots->holder[i] = 0;
			slots->used--;
			break;
		}
	is_waiting = false;
	has_slot = false;
	SpinLockRelease(&slots->lock);
	ConditionVariableBroadcast(&slots->changed);
}

/* False: the queue is full, or the wait was too long. */
static bool
wait_shared(LbHashSlots *slots, bool may_wait)
{
	TimestampTz start = GetCurrentTimestamp();
	bool		taken;

	SpinLockAcquire(&slots->lock);
	taken = try_shared(slots);
	if (!taken && (may_wait || slots->waiting < setting_queue))
	{
		slots->waiting++;
		is_waiting = true;
	}
	SpinLockRelease(&slots->lock);
	if (taken || !is_waiting)
		return taken;

	/* The callbacks of transaction and backend leave the queue for us. */
	ConditionVariablePrepareToSleep(&slots->changed);
	for (;;)
	{
		SpinLockAcquire(&slots->lock);
		taken = try_shared(slots);
		SpinLockRelease(&slots->lock);
		if (taken || TimestampDifferenceExceeds(start, GetCurrentTimestamp(), LONGEST_WAIT))
			break;
		(void) ConditionVariableTimedSleep(&slots->changed, 1000, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	if (!taken)
		release_shared(slots);
	return taken;
}

/* Without shared memory ---------------------------------------------------- */

static void
lock_tag(LOCKTAG *tag, int class, int n)
{
	/* Of the whole cluster: memory is. */
	SET_LOCKTAG_ADVISORY(*tag, InvalidOid, 0, n, class);
}

/* Session locks: no resource owner stands in the way of releasing them. */
static int
try_lock(int class, int n)
{
	LOCKTAG		tag;

	for (int i = 0; i < n; i++)
	{
		lock_tag(&tag, class, i);
		if (LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL)
			return i;
	}
	return -1;
}

static void
unlock(int class, int *n)
{
	LOCKTAG		tag;

	if (*n < 0)
		return;
	lock_tag(&tag, class, *n);
	*n = -1;
	LockRelease(&tag, ExclusiveLock, true);
}

static bool
wait_locked(bool may_wait)
{
	TimestampTz start = GetCurrentTimestamp();

	locked_slot = try_lock(LOCK_CLASS_SLOT, lb_hash_slot_limit());
	if (locked_slot < 0)
	{
		locked_queue = try_lock(LOCK_CLASS_QUEUE, setting_queue);
		while (locked_slot < 0 && (may_wait || locked_queue >= 0) &&
			   !TimestampDifferenceExceeds(start, GetCurrentTimestamp(), LONGEST_WAIT))
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 POLL_INTERVAL, PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
			locked_slot = try_lock(LOCK_CLASS_SLOT, lb_hash_slot_limit());
		}
		unlock(LOCK_CLASS_QUEUE, &locked_queue);
	}
	has_slot = locked_slot >= 0;
	return has_slot;
}

/* Both --------------------------------------------------------------------- */

void
lb_hash_slot_release(void)
{
	if (lb_shared_is_shared())
	{
		if (has_slot || is_waiting)
			release_shared(&lb_shared()->hashes);
		return;
	}
	unlock(LOCK_CLASS_QUEUE, &locked_queue);
	unlock(LOCK_CLASS_SLOT, &locked_slot);
	has_slot = false;
}

static void
at_exit(int code, Datum arg)
{
	lb_hash_slot_release();
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			lb_hash_slot_release();
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		lb_hash_slot_release();
}

void
lb_hash_slot_acquire(void)
{
	static bool registered = false;
	bool		may_wait = MyProc != NULL && served == LB_MY_LXID;
	bool		taken;

	if (has_slot)
		return;
	if (!registered)
	{
		before_shmem_exit(at_exit, (Datum) 0);
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}
	taken = lb_shared_is_shared() ? wait_shared(&lb_shared()->hashes, may_wait) : wait_locked(may_wait);
	if (!taken)
	{
		pg_atomic_fetch_add_u64(&lb_shared()->refused_hashes, 1);
		lb_login_limit_forgive();
		lb_throttle_refuse("busy", RETRY_AFTER, NULL, NULL,
						   "Try again in a second: nothing was counted against the account.",
						   "too many passwords are being checked");
	}
	served = LB_MY_LXID;
}

/*
 * labos.hash_slot_acquire() returns void
 *		Takes the place for the next password hash of this transaction before
 *		anything is charged for it.  The hash gives it back.
 *
 * Errors:	PT429 busy
 * SQL:		volatile parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_hash_slot_acquire);

Datum
labos_hash_slot_acquire(PG_FUNCTION_ARGS)
{
	lb_hash_slot_acquire();
	PG_RETURN_VOID();
}

/*
 * labos.hash_slot_release() returns void
 *		Gives the place back, when after all nothing is to be hashed.
 *
 * SQL:		volatile parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_hash_slot_release);

Datum
labos_hash_slot_release(PG_FUNCTION_ARGS)
{
	lb_hash_slot_release();
	PG_RETURN_VOID();
}

void
lb_hash_slots_define(void)
{
	DefineCustomIntVariable("labos.hash_slots",
							"Password hashes that are computed at a time.",
							"0: half of the cores. Each holds labos.argon2_memory.",
							&setting_slots, 0, 0, LB_MAX_HASH_SLOTS,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("labos.hash_queue",
							"Sign-ins that may wait for a password hash; those beyond are refused at once.",
							NULL,
							&setting_queue, 16, 0, 1000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
}
