/*-------------------------------------------------------------------------
 *
 * buffer.c
 *		Rows on their way to the log.
 *
 * A row is buffered in the segment of the subtransaction level that made it,
 * and written when the statement, the level or the transaction ends, or when
 * the segment is full.  Two rules keep the log exact:
 *
 * - A segment is written only while its own level is current.  Written by a
 *   child, a parent's rows would carry the child's xid and vanish with it.
 * - When a level aborts, its segments are dropped and the counter n goes back
 *   to where the level began: what remains is dense.
 *
 * Rows go straight into the heap and its indexes: no SPI, no executor, no
 * rights of the caller's, no trigger that could be in the way.
 *
 * IDENTIFICATION
 *	  src/audit/buffer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "audit/audit.h"
#include "compat.h"
#include "identity/claims.h"

#define LOG_COLUMNS		12
#define FLUSH_ROWS		1000
#define FLUSH_BYTES		(4 * 1024 * 1024)

typedef struct Segment
{
	int			level;			/* subtransaction nest level */
	int32		first_n;		/* counter before the segment's first row */
	int			nrows;
	int			capacity;
	Size		bytes;
	HeapTuple  *rows;
	MemoryContext cxt;			/* rows and what they point to */
	struct Segment *below;
} Segment;

static Segment *top = NULL;
static int32 last_n = 0;
static TupleDesc log_desc = NULL;
static TupleTableSlot **slots = NULL;
static int	nslots = 0;

static const Oid log_types[LOG_COLUMNS] = {
	INT8OID, TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, INT2OID,
	CHAROID, UUIDOID, UUIDOID, UUIDOID, TEXTOID, JSONOID
};
static const char *const log_names[LOG_COLUMNS] = {
	"xid", "ts", "ctx", "n", "tab", "gen",
	"op", "rec", "org_id", "actor", "reason", "payload"
};

/* Segments ------------------------------------------------------------------ */

static void
pop_segment(void)
{
	Segment    *segment = top;

	top = segment->below;
	MemoryContextDelete(segment->cxt);
	pfree(segment);
}

static Segment *
current_segment(void)
{
	int			level = GetCurrentTransactionNestLevel();
	Segment    *segment;

	if (top != NULL && top->level == level)
		return top;
	Assert(top == NULL || top->level < level);

	segment = MemoryContextAllocZero(TopTransactionContext, sizeof(Segment));
	segment->level = level;
	segment->first_n = last_n;
	segment->cxt = AllocSetContextCreate(TopTransactionContext, "labos audit segment",
										 ALLOCSET_DEFAULT_SIZES);
	segment->below = top;
	top = segment;
	return segment;
}

/* The level ended well: what it has belongs to its parent now. */
static void
hand_up(int level)
{
	if (top == NULL || top->level != level)
		return;
	Assert(top->nrows == 0);
	if (top->below != NULL && top->below->level == level - 1)
		pop_segment();
	else
		top->level = level - 1;
}

static void
drop_from(int level)
{
	while (top != NULL && top->level >= level)
	{
		last_n = top->first_n;
		pop_segment();
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	switch (event)
	{
		case SUBXACT_EVENT_PRE_COMMIT_SUB:
			lb_audit_flush();
			break;
		case SUBXACT_EVENT_COMMIT_SUB:
			hand_up(level);
			lb_audit_context_subxact(true, level);
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			drop_from(level);
			lb_audit_context_subxact(false, level);
			break;
		default:
			break;
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			lb_audit_flush();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			/* The memory goes with TopTransactionContext. */
			top = NULL;
			last_n = 0;
			/* A prepared transaction may still be rolled back. */
			lb_audit_context_xact(event == XACT_EVENT_COMMIT);
			break;
		default:
			break;
	}
}

/* Appending ------------------------------------------------------------------ */

static void
first_use(void)
{
	MemoryContext old;

	if (log_desc != NULL)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	slots = palloc0(sizeof(TupleTableSlot *) * FLUSH_ROWS);
	log_desc = CreateTemplateTupleDesc(LOG_COLUMNS);
	for (int i = 0; i < LOG_COLUMNS; i++)
		TupleDescInitEntry(log_desc, i + 1, log_names[i], log_types[i], -1, 0);
	MemoryContextSwitchTo(old);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/* A text Datum of a NUL-free buffer. */
static Datum
text_datum(const char *text, int len)
{
	struct varlena *bytes = palloc(len + VARHDRSZ);

	SET_VARSIZE(bytes, len + VARHDRSZ);
	memcpy(VARDATA(bytes), text, len);
	return PointerGetDatum(bytes);
}

bool
lb_audit_is_nil(const pg_uuid_t *uuid)
{
	static const pg_uuid_t nil = {{0}};

	return memcmp(uuid, &nil, sizeof(nil)) == 0;
}

void
lb_audit_append(AuditEntry *entry)
{
	Segment    *segment;
	MemoryContext old;
	Datum		values[LOG_COLUMNS];
	bool		nulls[LOG_COLUMNS] = {false};
	Datum		reason = 0,
				payload = 0;
	HeapTuple	tuple;

	first_use();
	entry->xid = (int64) U64FromFullTransactionId(GetTopFullTransactionId());
	entry->ts = GetCurrentTimestamp();
	entry->has_actor = lb_identity_user(&entry->actor);
	segment = current_segment();
	entry->n = ++last_n;

	values[0] = Int64GetDatum(entry->xid);
	values[1] = TimestampTzGetDatum(entry->ts);
	values[2] = Int64GetDatum(entry->ctx);
	values[3] = Int32GetDatum(entry->n);
	values[4] = Int32GetDatum(entry->tab);
	values[5] = Int16GetDatum(entry->gen);
	values[6] = CharGetDatum(entry->op);
	values[7] = UUIDPGetDatum(&entry->rec);
	values[8] = UUIDPGetDatum(&entry->org);
	values[9] = UUIDPGetDatum(&entry->actor);
	/* The nil uuid and null have the same leaf: only null is stored. */
	nulls[7] = !entry->has_rec || lb_audit_is_nil(&entry->rec);
	nulls[8] = !entry->has_org || lb_audit_is_nil(&entry->org);
	nulls[9] = !entry->has_actor || lb_audit_is_nil(&entry->actor);
	nulls[10] = entry->reason == NULL;
	nulls[11] = entry->payload == NULL;
	if (!nulls[10])
		reason = values[10] = text_datum(entry->reason, entry->reason_len);
	if (!nulls[11])
		payload = values[11] = text_datum(entry->payload, entry->payload_len);

	old = MemoryContextSwitchTo(segment->cxt);
	tuple = heap_form_tuple(log_desc, values, nulls);
	if (segment->nrows == segment->capacity)
	{
		segment->capacity = Max(16, segment->capacity * 2);
		if (segment->rows == NULL)
			segment->rows = palloc_array(HeapTuple, segment->capacity);
		else
			segment->rows = repalloc(segment->rows, sizeof(HeapTuple) * segment->capacity);
	}
	segment->rows[segment->nrows++] = tuple;
	segment->bytes += tuple->t_len;
	MemoryContextSwitchTo(old);
	if (reason)
		pfree(DatumGetPointer(reason));
	if (payload)
		pfree(DatumGetPointer(payload));

	if (segment->nrows >= FLUSH_ROWS || segment->bytes >= FLUSH_BYTES)
		lb_audit_flush();
}

/* Writing -------------------------------------------------------------------- */

static void
check_layout(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	bool		same = desc->natts == LOG_COLUMNS && rel->rd_rel->relam == HEAP_TABLE_AM_OID;

	for (int i = 0; same && i < LOG_COLUMNS; i++)
		same = TupleDescAttr(desc, i)->atttypid == log_types[i] &&
			!TupleDescAttr(desc, i)->attisdropped;
	if (!same)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("\"%s\" does not have the columns of an audit log",
					   RelationGetRelationName(rel)));
}

static TupleTableSlot *
slot_number(int i)
{
	if (i >= nslots)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		slots[i] = MakeSingleTupleTableSlot(log_desc, &TTSOpsHeapTuple);
		nslots = i + 1;
		MemoryContextSwitchTo(old);
	}
	return slots[i];
}

static void
insert_index_entries(ResultRelInfo *info, TupleTableSlot *slot)
{
	for (int i = 0; i < info->ri_NumIndices; i++)
	{
		IndexInfo  *index = info->ri_IndexRelationInfo[i];
		Relation	rel = info->ri_IndexRelationDescs[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		nulls[INDEX_MAX_KEYS];

		if (!index->ii_ReadyForInserts)
			continue;
		/* The only predicate an index of ours has: rec is not null. */
		if (index->ii_Predicate != NIL && slot_attisnull(slot, 8))
			continue;
		FormIndexDatum(index, slot, NULL, values, nulls);
		index_insert(rel, values, nulls, &slot->tts_tid, info->ri_RelationDesc,
					 rel->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
					 false, index);
	}
}

/* An index that needs an executor would get wrong entries from us. */
static void
check_indexes(ResultRelInfo *info)
{
	for (int i = 0; i < info->ri_NumIndices; i++)
	{
		IndexInfo  *index = info->ri_IndexRelationInfo[i];

		if (index->ii_Expressions != NIL || index->ii_ExclusionOps != NULL ||
			(index->ii_Predicate != NIL &&
			 !(index->ii_NumIndexAttrs == 1 && index->ii_IndexAttrNumbers[0] == 8)))
			ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("audit log has an index on an expression, or a partial one"),
					errdetail("Rows are written without an executor."),
					errhint("Drop index \"%s\".",
							RelationGetRelationName(info->ri_IndexRelationDescs[i])));
	}
}

/* Rows of one transaction belong to one partition. */
static void
write_rows(Relation rel, HeapTuple *rows, int nrows)
{
	ResultRelInfo *info = makeNode(ResultRelInfo);
	CommandId	command = GetCurrentCommandId(true);

	info->ri_RelationDesc = rel;
	ExecOpenIndices(info, false);
	check_indexes(info);
	for (int i = 0; i < nrows; i++)
		ExecStoreHeapTuple(rows[i], slot_number(i), false);
	if (nrows == 1)
	{
		heap_insert(rel, rows[0], command, 0, NULL);
		slots[0]->tts_tid = rows[0]->t_self;
	}
	else
		heap_multi_insert(rel, slots, nrows, command, 0, NULL);
	for (int i = 0; i < nrows; i++)
	{
		insert_index_entries(info, slots[i]);
		ExecClearTuple(slots[i]);
	}
	ExecCloseIndices(info);
	if (info->ri_IndexRelationDescs)
		pfree(info->ri_IndexRelationDescs);
	pfree(info);
}

void
lb_audit_flush(void)
{
	Segment    *segment = top;
	Relation	log,
				part;
	Oid			log_id;
	Datum		gen,
				xid;
	bool		isnull;
	bool		own_snapshot;

	if (segment == NULL || segment->nrows == 0 ||
		segment->level != GetCurrentTransactionNestLevel())
		return;

	log_id = lb_audit_relation("audit_log");
	if (!OidIsValid(log_id))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("lab_private.audit_log does not exist"));
	/* Writing a toasted value needs one, and at commit there is none. */
	own_snapshot = !ActiveSnapshotSet();
	if (own_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());

	gen = heap_getattr(segment->rows[0], 6, log_desc, &isnull);
	xid = heap_getattr(segment->rows[0], 1, log_desc, &isnull);
	log = table_open(log_id, RowExclusiveLock);
	part = table_open(lb_audit_partition(log, DatumGetInt16(gen), DatumGetInt64(xid)),
					  RowExclusiveLock);
	check_layout(part);
	for (int done = 0; done < segment->nrows; done += FLUSH_ROWS)
		write_rows(part, segment->rows + done, Min(FLUSH_ROWS, segment->nrows - done));
	table_close(part, NoLock);
	table_close(log, NoLock);

	if (own_snapshot)
		PopActiveSnapshot();
	MemoryContextReset(segment->cxt);
	segment->rows = NULL;
	segment->nrows = 0;
	segment->capacity = 0;
	segment->bytes = 0;
}
