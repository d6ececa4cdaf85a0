/*-------------------------------------------------------------------------
 *
 * denied.c
 *		Refusals that are raised, for the access log.
 *
 * An error undoes what its transaction wrote, so a refusal cannot write its own
 * record.  It is noted here, and whoever can write next writes it: the next
 * entry of the access log, the next request that may write, or
 * labos.access_events_flush().  The same caller, permission and kind count as
 * one in a minute: at most two rows a minute, the second one with the count.
 *
 * What is noted is lost with a crash, and beyond LB_DENIED_SLOTS different ones
 * a minute; how many were lost is logged.  A transaction that has taken notes
 * to write them and ends in vain puts them back.
 *
 * Without shared memory each backend keeps its own.
 *
 * IDENTIFICATION
 *	  src/identity/denied.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "core/errors.h"
#include "identity/claims.h"
#include "identity/identity.h"
#include "identity/throttle.h"

#define MOST_OF_ONE_CALLER	24	/* different ones in the ring */
#define MOST_AT_ONCE		100 /* written by one transaction */
#define PAUSE_AFTER_ERROR	(60 * USECS_PER_SEC)

/* What this transaction has taken to write. */
typedef struct TakenEvent
{
	LbDenied	event;
	SubTransactionId subid;
} TakenEvent;

static TakenEvent *taken = NULL;
static int	ntaken = 0;
static int64 taken_lost = 0;
static SubTransactionId taken_lost_subid = InvalidSubTransactionId;
static bool flushing = false;
static TimestampTz not_before = 0;

static void
lock_ring(void)
{
	if (lb_shared()->lock != NULL)
		LWLockAcquire(lb_shared()->lock, LW_EXCLUSIVE);
}

static void
unlock_ring(void)
{
	if (lb_shared()->lock != NULL)
		LWLockRelease(lb_shared()->lock);
}

static int64
minute_of(TimestampTz at)
{
	return at / (60 * USECS_PER_SEC);
}

/* To be written now: the first of its minute at once, the others after it. */
static bool
is_due(const LbDenied *entry, int64 minute)
{
	return entry->key != 0 && entry->count > 0 && (!entry->logged || entry->minute < minute);
}

static bool
same_caller(const LbDenied *a, const LbDenied *b)
{
	if (a->has_user != b->has_user)
		return false;
	if (a->has_user)
		return memcmp(&a->user, &b->user, sizeof(pg_uuid_t)) == 0;
	return memcmp(&a->address, &b->address, sizeof(LbAddress)) == 0;
}

/* Who and what, without what differs from one occurrence to the next. */
static void
make_key(LbDenied *entry)
{
	LbThrottleKey key;
	unsigned char parts[1 + sizeof(pg_uuid_t) * 2 + sizeof(LbAddress) + LB_PERMISSION_SIZE] = {0};
	unsigned char *p = parts;

	*p++ = entry->event;
	memcpy(p, &entry->user, sizeof(pg_uuid_t));
	p += sizeof(pg_uuid_t);
	memcpy(p, &entry->org, sizeof(pg_uuid_t));
	p += sizeof(pg_uuid_t);
	if (!entry->has_user)
		memcpy(p, &entry->address, sizeof(LbAddress));
	p += sizeof(LbAddress);
	strlcpy((char *) p, entry->permission, LB_PERMISSION_SIZE);
	lb_throttle_key(&key, "denied", parts, sizeof(parts));
	entry->key = key.tag | 1;
}

/* Called with the lock held: adds entry->count occurrences, new ones or some put back. */
static void
add(LbDeniedRing *ring, const LbDenied *entry, bool again)
{
	int64		minute = minute_of(entry->at);
	LbDenied   *room = NULL;
	int			of_caller = 0;

	for (int i = 0; i < LB_DENIED_SLOTS; i++)
	{
		LbDenied   *known = &ring->entries[i];

		if (known->key == entry->key)
		{
			if (known->count == 0)
				pg_atomic_fetch_add_u32(&ring->waiting, 1);
			if (known->minute != minute && known->count == 0)
			{
				known->minute = minute;
				known->logged = false;
			}
			if (again)
				known->logged = false;
			if (!known->logged)
				ring->fresh = true;
			if (known->count <= PG_INT32_MAX - entry->count)
				known->count += entry->count;
			known->at = entry->at;
			memcpy(known->request_id, entry->request_id, LB_REQUEST_ID_SIZE);
			return;
		}
		if (room == NULL && (known->key == 0 || (known->count == 0 && known->minute < minute)))
			room = known;
		else if (known->key != 0 && same_caller(known, entry))
			of_caller++;
	}
	if (room == NULL || of_caller >= MOST_OF_ONE_CALLER)
	{
		ring->lost += entry->count;
		ring->lost_ever += entry->count;
		return;
	}
	*room = *entry;
	room->minute = minute;
	room->logged = false;
	ring->fresh = true;
	pg_atomic_fetch_add_u32(&ring->waiting, 1);
}

void
lb_denied_note(char event, const char *what)
{
	const LbIdentity *who;
	const char *request;
	LbDenied	entry;

	if (!IsTransactionState() || IsInParallelMode())
		return;
	memset(&entry, 0, sizeof(entry));
	entry.event = event;
	entry.count = 1;
	entry.at = GetCurrentTimestamp();
	strlcpy(entry.permission, what, sizeof(entry.permission));
	(void) lb_client_address(&entry.address);
	who = lb_identity_current();
	entry.has_user = who->has_user;
	entry.has_org = who->has_org;
	entry.has_session = who->has_session;
	if (who->has_user)
		entry.user = who->user;
	if (who->has_org)
		entry.org = who->org;
	if (who->has_session)
		entry.session = who->session;
	if (!who->has_user && lb_identity_claimed(&entry.user, &entry.session))
	{
		entry.has_user = true;
		entry.has_session = true;
	}
	request = lb_request_id();
	if (request != NULL)
		strlcpy(entry.request_id, request, sizeof(entry.request_id));
	make_key(&entry);

	lock_ring();
	add(&lb_shared()->denied, &entry, false);
	unlock_ring();
}

/* lb_refuse() tells of itself; "extra" begins with the permission. */
static void
note_refusal(int status, const char *code, const char *extra)
{
	static const char prefix[] = "\"permission\": \"";
	char		permission[LB_PERMISSION_SIZE] = "";

	if (status == 401 && strcmp(code, "token_rejected") == 0)
		lb_denied_note('t', "");
	else if (status == 403 && strcmp(code, "permission_denied") == 0)
	{
		if (extra != NULL && strncmp(extra, prefix, strlen(prefix)) == 0)
		{
			size_t		length;

			extra += strlen(prefix);
			length = strcspn(extra, "\"");
			/* Not in the middle of a character: permissions are ASCII. */
			length = Min(length, sizeof(permission) - 1);
			for (size_t i = 0; i < length; i++)
				permission[i] = extra[i] >= ' ' && extra[i] <= '~' ? extra[i] : '?';
		}
		lb_denied_note('d', permission);
	}
}

/* Writing ------------------------------------------------------------------- */

static void
put_back(SubTransactionId from)
{
	LbDeniedRing *ring = &lb_shared()->denied;
	int			kept = 0;

	if (ntaken == 0 && taken_lost == 0)
		return;
	lock_ring();
	for (int i = 0; i < ntaken; i++)
	{
		if (taken[i].subid >= from)
			add(ring, &taken[i].event, true);
		else
			taken[kept++] = taken[i];
	}
	if (taken_lost > 0 && taken_lost_subid >= from)
	{
		ring->lost += taken_lost;
		taken_lost = 0;
	}
	unlock_ring();
	ntaken = kept;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
			put_back(InvalidSubTransactionId);
			/* FALLTHROUGH */
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			taken = NULL;		/* went with its context */
			ntaken = 0;
			taken_lost = 0;
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		put_back(subid);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (int i = 0; i < ntaken; i++)
			if (taken[i].subid >= subid)
				taken[i].subid = parent;
		if (taken_lost_subid >= subid)
			taken_lost_subid = parent;
	}
}

/* Moves what is due from the ring to this transaction; returns how many. */
static int
take(void)
{
	static bool registered = false;
	LbDeniedRing *ring = &lb_shared()->denied;
	int64		minute = minute_of(GetCurrentTimestamp());
	int			before = ntaken;

	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}
	if (taken == NULL)
		taken = MemoryContextAlloc(TopTransactionContext, sizeof(TakenEvent) * MOST_AT_ONCE);

	lock_ring();
	ring->fresh = false;
	ring->swept = minute;
	for (int i = 0; i < LB_DENIED_SLOTS; i++)
	{
		LbDenied   *entry = &ring->entries[i];

		if (!is_due(entry, minute))
			continue;
		if (ntaken == MOST_AT_ONCE)
		{
			ring->fresh = true; /* the next one's */
			break;
		}
		taken[ntaken].event = *entry;
		taken[ntaken].subid = GetCurrentSubTransactionId();
		ntaken++;
		entry->count = 0;
		entry->logged = entry->minute == minute;
		pg_atomic_fetch_sub_u32(&ring->waiting, 1);
	}
	if (ring->lost > 0)
	{
		taken_lost += ring->lost;
		taken_lost_subid = GetCurrentSubTransactionId();
		ring->lost = 0;
	}
	unlock_ring();
	return ntaken - before;
}

/*
 * labos.access_events_take() returns setof record
 *		What has been noted and is due, for lab_private.access_events_write();
 *		put back unless this transaction commits.
 *
 * SQL:		volatile parallel unsafe
 */
PG_FUNCTION_INFO_V1(labos_access_events_take);

Datum
labos_access_events_take(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			before = ntaken;
	int64		lost_before = taken_lost;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = take();
	for (int i = before; i < before + n; i++)
	{
		const LbDenied *e = &taken[i].event;
		pg_uuid_t	ids[3] = {e->user, e->org, e->session};
		Datum		values[9];
		bool		nulls[9] = {0};

		values[0] = CStringGetTextDatum(e->event == 'd' ? "permission_denied" :
										e->event == 't' ? "token_rejected" : "too_many_attempts");
		values[1] = UUIDPGetDatum(&ids[0]);
		nulls[1] = !e->has_user;
		values[2] = UUIDPGetDatum(&ids[1]);
		nulls[2] = !e->has_org;
		values[3] = UUIDPGetDatum(&ids[2]);
		nulls[3] = !e->has_session;
		values[4] = CStringGetTextDatum(e->permission);
		nulls[4] = e->permission[0] == '\0';
		nulls[5] = e->address.family == 0;
		values[5] = nulls[5] ? (Datum) 0 : lb_address_inet(&e->address);
		values[6] = CStringGetTextDatum(e->request_id);
		nulls[6] = e->request_id[0] == '\0';
		values[7] = Int32GetDatum(e->count);
		values[8] = TimestampTzGetDatum(e->at);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	if (taken_lost > lost_before)
	{
		Datum		values[9] = {0};
		bool		nulls[9] = {false, true, true, true, true, true, true, false, false};

		values[0] = CStringGetTextDatum("events_lost");
		values[7] = Int32GetDatum((int32) Min(taken_lost - lost_before, PG_INT32_MAX));
		values[8] = TimestampTzGetDatum(GetCurrentTimestamp());
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static int
write_events(Oid owner)
{
	LbOuterUser outer;
	int			n = 0;

	lb_identity_begin_as(owner, &outer);
	/* A deployment writes (and audits) before the function is there. */
	if (!OidIsValid(LookupFuncName(list_make2(makeString("lab_private"), makeString("access_events_write")),
								   0, NULL, true)))
	{
		lb_identity_end_as(&outer);
		return 0;
	}
	if (SPI_execute("select lab_private.access_events_write()", false, 1) != SPI_OK_SELECT)
		elog(ERROR, "events could not be written");
	if (SPI_processed == 1)
	{
		bool		isnull;

		n = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	}
	lb_identity_end_as(&outer);
	return n;
}

/* Without the lock: every request asks. */
static bool
anything_due(void)
{
	volatile LbDeniedRing *ring = &lb_shared()->denied;

	return ring->fresh || ring->lost > 0 ||
		(pg_atomic_read_u32(&ring->waiting) > 0 && ring->swept < minute_of(GetCurrentTimestamp()));
}

int
lb_denied_flush(void)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resources = CurrentResourceOwner;
	Oid			owner;
	volatile int n = 0;

	if (flushing || XactReadOnly || IsInParallelMode() || RecoveryInProgress() ||
		!anything_due() || GetCurrentTimestamp() < not_before)
		return 0;
	owner = lb_identity_private_owner();
	if (!OidIsValid(owner))
		return 0;

	/* What cannot be logged now (a closed audit log) must not stop the caller. */
	flushing = true;
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		n = write_events(owner);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resources;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resources;
		flushing = false;
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
			ReThrowError(error);
		not_before = GetCurrentTimestamp() + PAUSE_AFTER_ERROR;
		FreeErrorData(error);
	}
	PG_END_TRY();
	flushing = false;
	return n;
}

/*
 * labos.access_events_flush() returns integer
 *		Writes refusals that were noted into the access log; returns how many
 *		rows.  None in a read-only transaction and on a standby.
 *
 * SQL:		volatile parallel unsafe
 */
PG_FUNCTION_INFO_V1(labos_access_events_flush);

Datum
labos_access_events_flush(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(lb_denied_flush());
}

void
lb_denied_define(void)
{
	lb_refusal_hook = note_refusal;
}
