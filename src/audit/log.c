/*-------------------------------------------------------------------------
 *
 * log.c
 *		The log and its tree as stored: ordered scans, blocks, tiles.
 *
 * A scan walks the unique index (gen, xid, n) of every partition and merges
 * the streams, so that neither a planner nor an executor stands between the
 * stored bytes and their hash.
 *
 * IDENTIFICATION
 *	  src/audit/log.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "audit/audit.h"
#include "compat.h"

#define ATT_XID		1
#define ATT_N		4
#define ATT_GEN		6

typedef struct LogStream
{
	Relation	heap;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	bool		live;			/* slot holds the stream's next row */
} LogStream;

struct LogScan
{
	Relation	log;
	int			nstreams;
	LogStream  *streams;
	int			taken;			/* stream whose row was handed out; -1 */
	MemoryContext entry_cxt;
	MemoryContext cxt;
	Snapshot	snapshot;
};

Oid
lb_audit_partition(Relation log, int16 gen, int64 xid)
{
	PartitionKey key = RelationGetPartitionKey(log);
	PartitionDesc desc = RelationGetPartitionDesc(log, true);
	Datum		values[2] = {Int16GetDatum(gen), Int64GetDatum(xid)};
	bool		equal;
	int			part = -1;

	if (desc->nparts > 0)
	{
		int			offset = partition_range_datum_bsearch(key->partsupfunc, key->partcollation,
														   desc->boundinfo, 2, values, &equal);

		if (offset + 1 < desc->boundinfo->nindexes)
			part = desc->boundinfo->indexes[offset + 1];
		if (part < 0)
			part = desc->boundinfo->default_index;
	}
	if (part < 0)
		elog(ERROR, "audit_log has no partition for generation %d, transaction " INT64_FORMAT,
			 gen, xid);
	return desc->oids[part];
}

/* The unique index on (gen, xid, n). */
static Relation
open_log_index(Relation heap)
{
	List	   *indexes = RelationGetIndexList(heap);
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (form->indisunique && form->indisvalid && form->indnkeyatts == 3 &&
			form->indkey.values[0] == ATT_GEN && form->indkey.values[1] == ATT_XID &&
			form->indkey.values[2] == ATT_N)
			return index;
		index_close(index, AccessShareLock);
	}
	elog(ERROR, "\"%s\" lacks its unique index (gen, xid, n)", RelationGetRelationName(heap));
	return NULL;
}

LogScan *
lb_audit_scan_begin(Snapshot snapshot)
{
	LogScan    *scan = palloc0(sizeof(LogScan));
	PartitionDesc desc;

	scan->cxt = CurrentMemoryContext;
	scan->snapshot = snapshot;
	scan->entry_cxt = AllocSetContextCreate(CurrentMemoryContext, "labos audit entry",
											ALLOCSET_DEFAULT_SIZES);
	scan->log = table_open(lb_audit_relation("audit_log"), AccessShareLock);
	desc = RelationGetPartitionDesc(scan->log, true);
	scan->nstreams = desc->nparts;
	scan->streams = palloc0(sizeof(LogStream) * Max(desc->nparts, 1));
	scan->taken = -1;
	for (int i = 0; i < desc->nparts; i++)
	{
		LogStream  *stream = &scan->streams[i];

		stream->heap = table_open(desc->oids[i], AccessShareLock);
		if (stream->heap->rd_rel->relkind != RELKIND_RELATION)
			elog(ERROR, "\"%s\" is not a plain partition of the audit log",
				 RelationGetRelationName(stream->heap));
		stream->index = open_log_index(stream->heap);
		stream->slot = table_slot_create(stream->heap, NULL);
		stream->scan = lb_index_beginscan(stream->heap, stream->index, snapshot, 3);
	}
	return scan;
}

static void
stream_advance(LogStream *stream)
{
	stream->live = index_getnext_slot(stream->scan, ForwardScanDirection, stream->slot);
}

/* Rows with from <= xid <= to of one generation, ordered by (xid, n). */
void
lb_audit_scan_range(LogScan *scan, int16 gen, int64 from, int64 to)
{
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(gen));
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(from));
	ScanKeyInit(&keys[2], 2, BTLessEqualStrategyNumber, F_INT8LE, Int64GetDatum(to));
	for (int i = 0; i < scan->nstreams; i++)
	{
		index_rescan(scan->streams[i].scan, keys, 3, NULL, 0);
		stream_advance(&scan->streams[i]);
	}
	scan->taken = -1;
}

static void
read_uuid(TupleTableSlot *slot, int att, bool *present, pg_uuid_t *uuid)
{
	*present = !slot->tts_isnull[att];
	if (*present)
		memcpy(uuid, DatumGetUUIDP(slot->tts_values[att]), sizeof(*uuid));
	else
		memset(uuid, 0, sizeof(*uuid));
}

static void
read_text(TupleTableSlot *slot, int att, const char **text, int *len)
{
	struct varlena *bytes;

	*text = NULL;
	*len = 0;
	if (slot->tts_isnull[att])
		return;
	bytes = PG_DETOAST_DATUM_PACKED(slot->tts_values[att]);
	*text = VARDATA_ANY(bytes);
	*len = VARSIZE_ANY_EXHDR(bytes);
}

static void
read_entry(TupleTableSlot *slot, AuditEntry *entry)
{
	slot_getallattrs(slot);
	entry->xid = DatumGetInt64(slot->tts_values[0]);
	entry->ts = DatumGetInt64(slot->tts_values[1]);
	entry->ctx = DatumGetInt64(slot->tts_values[2]);
	entry->n = DatumGetInt32(slot->tts_values[3]);
	entry->tab = DatumGetInt32(slot->tts_values[4]);
	entry->gen = DatumGetInt16(slot->tts_values[5]);
	entry->op = DatumGetChar(slot->tts_values[6]);
	read_uuid(slot, 7, &entry->has_rec, &entry->rec);
	read_uuid(slot, 8, &entry->has_org, &entry->org);
	read_uuid(slot, 9, &entry->has_actor, &entry->actor);
	read_text(slot, 10, &entry->reason, &entry->reason_len);
	read_text(slot, 11, &entry->payload, &entry->payload_len);
}

static bool
slot_before(TupleTableSlot *a, TupleTableSlot *b)
{
	bool		isnull;
	int64		xa = DatumGetInt64(slot_getattr(a, ATT_XID, &isnull));
	int64		xb = DatumGetInt64(slot_getattr(b, ATT_XID, &isnull));

	if (xa != xb)
		return xa < xb;
	return DatumGetInt32(slot_getattr(a, ATT_N, &isnull)) <
		DatumGetInt32(slot_getattr(b, ATT_N, &isnull));
}

/* The entry is valid until the next call. */
bool
lb_audit_scan_next(LogScan *scan, AuditEntry *entry)
{
	MemoryContext old;
	int			best = -1;

	CHECK_FOR_INTERRUPTS();
	if (scan->taken >= 0)
		stream_advance(&scan->streams[scan->taken]);
	for (int i = 0; i < scan->nstreams; i++)
		if (scan->streams[i].live &&
			(best < 0 || slot_before(scan->streams[i].slot, scan->streams[best].slot)))
			best = i;
	scan->taken = best;
	if (best < 0)
		return false;

	MemoryContextReset(scan->entry_cxt);
	old = MemoryContextSwitchTo(scan->entry_cxt);
	read_entry(scan->streams[best].slot, entry);
	MemoryContextSwitchTo(old);
	return true;
}

void
lb_audit_scan_end(LogScan *scan)
{
	for (int i = 0; i < scan->nstreams; i++)
	{
		index_endscan(scan->streams[i].scan);
		ExecDropSingleTupleTableSlot(scan->streams[i].slot);
		index_close(scan->streams[i].index, AccessShareLock);
		table_close(scan->streams[i].heap, AccessShareLock);
	}
	table_close(scan->log, AccessShareLock);
	MemoryContextDelete(scan->entry_cxt);
}

/* Blocks -------------------------------------------------------------------- */

void
lb_audit_block_hash(const AuditBlock *block, uint8 *out)
{
	uint8	   *data = palloc(128 + 8 * (Size) block->nxip + 3 * LB_HASH_LEN);
	uint8	   *at = data;

	*at++ = 0x02;
	*at++ = 1;					/* version of this form */
	at = lb_put64(at, block->no);
	at = lb_put16(at, block->gen);
	at = lb_put64(at, block->sxmin);
	at = lb_put64(at, block->sxmax);
	at = lb_put32(at, block->nxip);
	for (int i = 0; i < block->nxip; i++)
		at = lb_put64(at, block->xip[i]);
	at = lb_put64(at, block->first);
	at = lb_put64(at, block->cnt);
	at = lb_put64(at, block->size);
	memcpy(at, block->root, LB_HASH_LEN);
	at += LB_HASH_LEN;
	memcpy(at, block->prev, LB_HASH_LEN);
	at += LB_HASH_LEN;
	at = lb_put64(at, block->sealed_at);
	lb_audit_sha256(data, at - data, out);
	pfree(data);
}

/* A hash column; what has another length cannot match anything. */
static void
copy_hash(Datum value, bool isnull, uint8 *out)
{
	bytea	   *bytes;

	memset(out, 0, LB_HASH_LEN);
	if (isnull)
		return;
	bytes = DatumGetByteaPP(value);
	if (VARSIZE_ANY_EXHDR(bytes) == LB_HASH_LEN)
		memcpy(out, VARDATA_ANY(bytes), LB_HASH_LEN);
}

static void
read_block(HeapTuple tuple, TupleDesc desc, AuditBlock *block)
{
	Datum		values[14];
	bool		nulls[14];
	ArrayType  *xip;
	bytea	   *frontier;
	Datum	   *elements;
	bool	   *element_nulls;

	heap_deform_tuple(tuple, desc, values, nulls);
	for (int i = 0; i < 14; i++)
		if (nulls[i])
			ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("audit block has a null column"));
	block->no = DatumGetInt64(values[0]);
	block->gen = DatumGetInt16(values[1]);
	block->sxmin = DatumGetInt64(values[2]);
	block->sxmax = DatumGetInt64(values[3]);
	xip = DatumGetArrayTypeP(values[4]);
	deconstruct_array(xip, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &elements, &element_nulls, &block->nxip);
	block->xip = palloc_array(int64, block->nxip + 1);
	for (int i = 0; i < block->nxip; i++)
		block->xip[i] = element_nulls[i] ? 0 : DatumGetInt64(elements[i]);
	block->first = DatumGetInt64(values[5]);
	block->cnt = DatumGetInt64(values[6]);
	block->size = DatumGetInt64(values[7]);
	frontier = DatumGetByteaPP(values[8]);
	block->frontier_len = VARSIZE_ANY_EXHDR(frontier);
	block->frontier = palloc(block->frontier_len + 1);
	memcpy(block->frontier, VARDATA_ANY(frontier), block->frontier_len);
	copy_hash(values[9], nulls[9], block->root);
	copy_hash(values[10], nulls[10], block->prev);
	copy_hash(values[11], nulls[11], block->hash);
	block->sealed_at = DatumGetInt64(values[12]);
	block->leafdata_missing = DatumGetBool(values[13]);
}

#define BLOCK_COLUMNS \
	"no, gen, sxmin, sxmax, xip, first, cnt, size, frontier, root, prev, hash, sealed_at, leafdata_missing"

static SPIPlanPtr
keep_plan(const char *query, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(query, nargs, types);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_prepare failed for \"%s\"", query);
	return plan;
}

int
lb_audit_block_read(int64 from_no, int64 to_no, AuditBlock *blocks, int limit)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	Datum		args[2] = {Int64GetDatum(from_no), Int64GetDatum(to_no)};
	int			n;

	SPI_connect();
	if (plan == NULL)
		plan = keep_plan("select " BLOCK_COLUMNS " from lab_private.audit_block"
						 " where no between $1 and $2 order by no", 2,
						 (Oid[]) {INT8OID, INT8OID});
	if (SPI_execute_plan(plan, args, NULL, true, limit) != SPI_OK_SELECT)
		elog(ERROR, "could not read audit_block");
	n = SPI_processed;
	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		read_block(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &blocks[i]);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return n;
}

bool
lb_audit_block_last(AuditBlock *block)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	bool		found;

	SPI_connect();
	if (plan == NULL)
		plan = keep_plan("select " BLOCK_COLUMNS " from lab_private.audit_block"
						 " order by no desc limit 1", 0, NULL);
	if (SPI_execute_plan(plan, NULL, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read audit_block");
	found = SPI_processed == 1;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		read_block(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, block);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return found;
}

uint8 *
lb_audit_tile_read(int level, int64 idx, int *w)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	Datum		args[2] = {Int16GetDatum(level), Int64GetDatum(idx)};
	uint8	   *hashes = NULL;

	*w = 0;
	SPI_connect();
	if (plan == NULL)
		plan = keep_plan("select w, h from lab_private.audit_tile where level = $1 and idx = $2",
						 2, (Oid[]) {INT2OID, INT8OID});
	if (SPI_execute_plan(plan, args, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read audit_tile");
	if (SPI_processed == 1)
	{
		bool		wnull,
					hnull;
		Datum		width = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &wnull);
		Datum		bytes = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &hnull);

		if (!wnull && !hnull)
		{
			bytea	   *h = DatumGetByteaPP(bytes);

			/* A width that does not fit the bytes is no tile at all. */
			if (DatumGetInt16(width) >= 1 && DatumGetInt16(width) <= LB_TILE_WIDTH &&
				VARSIZE_ANY_EXHDR(h) == LB_HASH_LEN * DatumGetInt16(width))
			{
				*w = DatumGetInt16(width);
				hashes = MemoryContextAllocZero(caller, LB_TILE_WIDTH * LB_HASH_LEN);
				memcpy(hashes, VARDATA_ANY(h), VARSIZE_ANY_EXHDR(h));
			}
		}
	}
	SPI_finish();
	return hashes;
}

/* Rows of a block -------------------------------------------------------------- */

static bool
in_progress(const int64 *xip, int nxip, int64 xid)
{
	int			low = 0,
				high = nxip - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (xip[middle] == xid)
			return true;
		if (xip[middle] < xid)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return false;
}

void
lb_audit_rows_begin(BlockRows *rows, LogScan *scan, int16 gen, const AuditBlock *old,
					int64 sxmax, int nxip, const int64 *xip, int64 skip)
{
	rows->scan = scan;
	rows->gen = gen;
	rows->old = old;
	rows->sxmax = sxmax;
	rows->nxip = nxip;
	rows->xip = xip;
	rows->skip = skip;
	rows->next_old = 0;
	rows->in_range = false;
	scan->taken = -1;
	for (int i = 0; i < scan->nstreams; i++)
		scan->streams[i].live = false;
}

bool
lb_audit_rows_next(BlockRows *rows, AuditEntry *entry)
{
	for (;;)
	{
		if (lb_audit_scan_next(rows->scan, entry))
		{
			if (!rows->in_range ||
				!in_progress(rows->xip, rows->nxip, entry->xid))
			{
				if (entry->xid != rows->skip)
					return true;
			}
			continue;
		}
		if (rows->in_range)
			return false;

		/* The next transaction that was in progress in the old snapshot. */
		if (rows->old != NULL && rows->next_old < rows->old->nxip)
		{
			int64		xid = rows->old->xip[rows->next_old++];

			if (xid < rows->sxmax && !in_progress(rows->xip, rows->nxip, xid))
				lb_audit_scan_range(rows->scan, rows->gen, xid, xid);
			continue;
		}
		rows->in_range = true;
		if (rows->old != NULL && rows->old->sxmax >= rows->sxmax && rows->sxmax != PG_INT64_MAX)
			return false;
		lb_audit_scan_range(rows->scan, rows->gen,
							rows->old ? rows->old->sxmax : PG_INT64_MIN,
							rows->sxmax == PG_INT64_MAX ? PG_INT64_MAX : rows->sxmax - 1);
	}
}
