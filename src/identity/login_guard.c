/*-------------------------------------------------------------------------
 *
 * login_guard.c
 *		Counts and single uses that no ROLLBACK takes back.
 *
 * A guess is refused by a value, not by an error, so that its record commits.
 * But the client has a say in what becomes of the transaction: a psql user
 * writes ROLLBACK, a HTTP client lets PostgREST cast the answer to something
 * it is not (?select=pgrst_scalar::int).  So what decides stands in rows of
 * fixed layout that are overwritten in place, under the lock of their page and
 * with a WAL record of their own, flushed at once: neither abort nor crash
 * takes an attempt or a use back (P29).  Two tables have that layout:
 *
 *	login_guard		failed sign-ins of a user; users.failed_login_attempts follows
 *	use_guard		whatever is used once or only forwards: one-time tokens, backup
 *					codes, the last time step of a TOTP secret, failures at a challenge
 *
 * Must never: update rows of either table by SQL.  Guesses at one account do not
 * wait for each other: who charges holds the page, and nothing else.
 *
 * IDENTIFICATION
 *	  src/identity/login_guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/generic_xlog.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"

/* A row of either table: three columns, none of them null. */
typedef struct GuardRow
{
	pg_uuid_t	id;
	int32		failed;
	int32		unused;			/* alignment */
	TimestampTz locked_until;	/* DT_NOBEGIN: not locked */
} GuardRow;

#define GUARD_COLUMNS	3
#define HARD_LIMIT		100		/* failures in a row (NIST SP 800-63B-4, 3.2.2) */

/* What is done to a row; false: leave it as it is. */
typedef bool (*GuardChange) (GuardRow *row, void *arg);

static GuardRow *
row_on_page(Page page, ItemPointer tid, const pg_uuid_t *id)
{
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	ItemId		item;
	HeapTupleHeader tuple;
	GuardRow   *row;

	if (offset > PageGetMaxOffsetNumber(page))
		return NULL;
	item = PageGetItemId(page, offset);
	if (!ItemIdIsNormal(item))
		return NULL;
	tuple = (HeapTupleHeader) PageGetItem(page, item);
	row = (GuardRow *) ((char *) tuple + tuple->t_hoff);
	if (HeapTupleHeaderGetNatts(tuple) != GUARD_COLUMNS ||
		(tuple->t_infomask & HEAP_HASNULL) != 0 ||
		ItemIdGetLength(item) < tuple->t_hoff + sizeof(GuardRow) ||
		memcmp(&row->id, id, sizeof(*id)) != 0)
		return NULL;
	return row;
}

static bool
overwrite(Relation rel, ItemPointer tid, const pg_uuid_t *id, GuardChange change, void *arg)
{
	Buffer		buffer = ReadBuffer(rel, ItemPointerGetBlockNumber(tid));
	GenericXLogState *state;
	GuardRow   *row;
	bool		changed;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	state = GenericXLogStart(rel);
	row = row_on_page(GenericXLogRegisterBuffer(state, buffer, 0), tid, id);
	if (row == NULL)
		elog(ERROR, "unexpected row in \"%s\"", RelationGetRelationName(rel));
	changed = change(row, arg);
	if (changed)
		XLogFlush(GenericXLogFinish(state));
	else
		GenericXLogAbort(state);
	UnlockReleaseBuffer(buffer);
	return changed;
}

/* Finds the row and changes it in place; false if it was left alone or is not there. */
static bool
change_row(const char *table, const pg_uuid_t *id, bool missing_ok, GuardChange change, void *arg)
{
	Oid			schema = get_namespace_oid("lab_private", false);
	Oid			relid = get_relname_relid(table, schema);
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
	SnapshotData self;
	HeapTuple	tuple;
	bool		changed = false;

	if (!OidIsValid(relid))
		elog(ERROR, "lab_private.%s does not exist", table);
	rel = table_open(relid, RowExclusiveLock);
	InitDirtySnapshot(self);
	self.snapshot_type = SNAPSHOT_SELF;
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
	scan = systable_beginscan(rel, lb_primary_key_index(rel), true, &self, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple) && !missing_ok)
		elog(ERROR, "\"%s\" has no such row", table);
	/* The scan's pin keeps the row where it is. */
	if (HeapTupleIsValid(tuple))
		changed = overwrite(rel, &tuple->t_self, id, change, arg);
	systable_endscan(scan);
	table_close(rel, NoLock);
	return changed;
}

/* SQL ----------------------------------------------------------------------- */

typedef struct Charge
{
	int32		max_failed;
	int32		lock_seconds;
	GuardRow	after;
} Charge;

/*
 * Every max_failed-th failure in a row locks, each time for twice as long, up
 * to a day; the hundredth until somebody lifts it (P53).  max_failed beyond
 * that never locks: so decoys are charged.
 */
static TimestampTz
end_of_lock(int32 failed, const Charge *c, TimestampTz now)
{
	int64		seconds = c->lock_seconds;

	if (failed >= HARD_LIMIT)
		return DT_NOEND;
	for (int32 i = failed / Max(c->max_failed, 1); i > 1 && seconds < SECS_PER_DAY; i--)
		seconds *= 2;
	return TimestampTzPlusMilliseconds(now, Max(Min(seconds, SECS_PER_DAY), c->lock_seconds) * 1000);
}

/* One more attempt; the last that is allowed locks until it proves good. */
static bool
charge(GuardRow *row, void *arg)
{
	Charge	   *c = arg;
	TimestampTz now = GetCurrentTimestamp();

	c->after = *row;
	if (row->locked_until > now)
		return false;
	row->locked_until = DT_NOBEGIN;
	if (row->failed < PG_INT32_MAX)
		row->failed++;
	if (row->failed % Max(c->max_failed, 1) == 0 ||
		(row->failed >= HARD_LIMIT && c->max_failed <= HARD_LIMIT))
		row->locked_until = end_of_lock(row->failed, c, now);
	c->after = *row;
	return true;
}

static bool
assign(GuardRow *row, void *arg)
{
	const GuardRow *wanted = arg;

	if (row->failed == wanted->failed && row->locked_until == wanted->locked_until)
		return false;
	row->failed = wanted->failed;
	row->locked_until = wanted->locked_until;
	return true;
}

/* Arguments: id, most, lock_seconds; a row of attempts and locked_until. */
static Datum
charge_attempt(FunctionCallInfo fcinfo, const char *table, bool missing_ok)
{
	Charge		c;
	Datum		values[2] = {0};
	bool		nulls[2] = {true, true};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(&c, 0, sizeof(c));
	c.after.locked_until = DT_NOBEGIN;
	c.max_failed = PG_GETARG_INT32(1);
	c.lock_seconds = PG_GETARG_INT32(2);
	nulls[0] = !change_row(table, PG_GETARG_UUID_P(0), missing_ok, charge, &c);
	values[0] = Int32GetDatum(c.after.failed);
	nulls[1] = c.after.locked_until == DT_NOBEGIN;
	values[1] = TimestampTzGetDatum(c.after.locked_until);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/*
 * labos.login_guard_charge(user_id uuid, max_failed integer, lock_seconds integer)
 *		returns (attempts integer, locked_until timestamptz)
 *		Counts an attempt to sign in before it is checked; attempts is null
 *		while the account is locked.  Attempt number max_failed locks the
 *		account beforehand: who was right sets it free.
 *
 * Cost:	one page write and a WAL flush
 * SQL:		volatile strict
 */
PG_FUNCTION_INFO_V1(labos_login_guard_charge);

Datum
labos_login_guard_charge(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(charge_attempt(fcinfo, "login_guard", false));
}

/* Forwards only: what has been used stays used. */
static bool
advance(GuardRow *row, void *arg)
{
	int32		to = *(int32 *) arg;

	if (row->failed >= to)
		return false;
	row->failed = to;
	return true;
}

/*
 * labos.use_guard_advance(id uuid, value integer) returns boolean
 *		Moves the value of a row of lab_private.use_guard forwards: true for the
 *		one caller who did, false when it stood there already or further, or the
 *		row does not exist.  With value 1 on a row made with 0: the single use.
 *
 * Cost:	one page write and a WAL flush when it is true
 * SQL:		volatile strict
 */
PG_FUNCTION_INFO_V1(labos_use_guard_advance);

Datum
labos_use_guard_advance(PG_FUNCTION_ARGS)
{
	int32		to = PG_GETARG_INT32(1);

	PG_RETURN_BOOL(change_row("use_guard", PG_GETARG_UUID_P(0), true, advance, &to));
}

/*
 * labos.use_guard_charge(id uuid, most integer) returns integer
 *		Counts one more try at a row of lab_private.use_guard before it is
 *		checked; null when "most" have been counted or the row does not exist.
 *
 * Cost:	one page write and a WAL flush when it is not null
 * SQL:		volatile strict
 */
PG_FUNCTION_INFO_V1(labos_use_guard_charge);

typedef struct Tries
{
	int32		most;
	int32		after;
} Tries;

static bool
one_more_try(GuardRow *row, void *arg)
{
	Tries	   *tries = arg;

	if (row->failed >= tries->most)
		return false;
	tries->after = ++row->failed;
	return true;
}

Datum
labos_use_guard_charge(PG_FUNCTION_ARGS)
{
	Tries		tries = {PG_GETARG_INT32(1), 0};

	if (!change_row("use_guard", PG_GETARG_UUID_P(0), true, one_more_try, &tries))
		PG_RETURN_NULL();
	PG_RETURN_INT32(tries.after);
}

/*
 * labos.use_guard_attempt(id uuid, most integer, lock_seconds integer)
 *		returns (attempts integer, locked_until timestamptz)
 *		login_guard_charge() for a row of lab_private.use_guard: attempts is
 *		null while it is locked, or when the row does not exist.
 *
 * Cost:	one page write and a WAL flush
 * SQL:		volatile strict
 */
PG_FUNCTION_INFO_V1(labos_use_guard_attempt);

Datum
labos_use_guard_attempt(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(charge_attempt(fcinfo, "use_guard", true));
}

/*
 * labos.use_guard_reset(id uuid) returns void
 *		Forgets the attempts counted by use_guard_attempt(), and the lock.
 *
 * SQL:		volatile strict
 */
PG_FUNCTION_INFO_V1(labos_use_guard_reset);

Datum
labos_use_guard_reset(PG_FUNCTION_ARGS)
{
	GuardRow	none;

	memset(&none, 0, sizeof(none));
	none.locked_until = DT_NOBEGIN;
	change_row("use_guard", PG_GETARG_UUID_P(0), true, assign, &none);
	PG_RETURN_VOID();
}

/*
 * labos.login_guard_set(user_id uuid, attempts integer, locked_until timestamptz) returns void
 *		Sets the count and the lock; a null locked_until is none.
 *
 * SQL:		volatile
 */
PG_FUNCTION_INFO_V1(labos_login_guard_set);

Datum
labos_login_guard_set(PG_FUNCTION_ARGS)
{
	GuardRow	wanted;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		elog(ERROR, "user and attempts must not be null");
	memset(&wanted, 0, sizeof(wanted));
	wanted.failed = PG_GETARG_INT32(1);
	wanted.locked_until = PG_ARGISNULL(2) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(2);
	change_row("login_guard", PG_GETARG_UUID_P(0), false, assign, &wanted);
	PG_RETURN_VOID();
}
