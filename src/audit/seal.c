/*-------------------------------------------------------------------------
 *
 * seal.c
 *		Sealing: log rows of newly visible transactions become tree leaves.
 *
 * The rows of a block are the difference of two snapshots (PgQ's rule): those
 * of transactions that were in progress in the last block's snapshot and are
 * visible now, then those of newer transactions.  Nothing waits for a long or
 * a prepared transaction, and nothing can be left out: a late commit falls
 * into the block of the first snapshot that sees it.
 *
 * One sealer at a time, by a lock on audit_block; no writer waits for it.
 *
 * IDENTIFICATION
 *	  src/audit/seal.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "audit/audit.h"
#include "compat.h"

#define TILE_LEVELS		8		/* 256^8 leaves */

typedef struct TileWriter
{
	struct
	{
		int64		idx;		/* tile being filled */
		int			w;
		bool		changed;
		uint8		h[LB_TILE_WIDTH * LB_HASH_LEN];
	}			level[TILE_LEVELS];
} TileWriter;

/* Snapshots ------------------------------------------------------------------- */

static int
compare_int64(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

/* A 32-bit transaction of a snapshot, which is never far from the next one. */
static int64
widen_xid(TransactionId xid, FullTransactionId next)
{
	uint64		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return (int64) (epoch << 32 | xid);
}

/*
 * The snapshot as a block keeps it.  Our own transaction counts as in
 * progress, though a snapshot never says so: its rows may still grow.
 */
static void
describe_snapshot(Snapshot snapshot, AuditBlock *block)
{
	FullTransactionId next = ReadNextFullTransactionId();
	FullTransactionId own = GetTopFullTransactionIdIfAny();

	block->sxmin = widen_xid(snapshot->xmin, next);
	block->sxmax = widen_xid(snapshot->xmax, next);
	block->nxip = 0;
	block->xip = palloc_array(int64, snapshot->xcnt + 1);
	for (uint32 i = 0; i < snapshot->xcnt; i++)
		block->xip[block->nxip++] = widen_xid(snapshot->xip[i], next);
	if (FullTransactionIdIsValid(own))
	{
		int64		xid = (int64) U64FromFullTransactionId(own);

		if (xid < block->sxmax)
		{
			block->xip[block->nxip++] = xid;
			block->sxmin = Min(block->sxmin, xid);
		}
	}
	qsort(block->xip, block->nxip, sizeof(int64), compare_int64);
}

/* Tiles ------------------------------------------------------------------------- */

/* Loads the tiles that the tree's next leaf will go on filling. */
static void
tiles_load(TileWriter *writer, uint64 size)
{
	for (int level = 0; level < TILE_LEVELS; level++)
	{
		uint64		count = size >> (8 * level);
		int			w = count % LB_TILE_WIDTH;
		int			found;
		uint8	   *hashes;

		writer->level[level].idx = count / LB_TILE_WIDTH;
		writer->level[level].w = w;
		writer->level[level].changed = false;
		if (w == 0)
			continue;
		hashes = lb_audit_tile_read(level, writer->level[level].idx, &found);
		if (hashes == NULL || found != w)
			ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("tile %d/" INT64_FORMAT " of the audit tree is damaged",
						   level, writer->level[level].idx),
					errdetail("It has %d hashes instead of %d.", found, w),
					errhint("Run labos.audit_verify()."));
		memcpy(writer->level[level].h, hashes, w * LB_HASH_LEN);
		pfree(hashes);
	}
}

static void
tile_store(TileWriter *writer, int level)
{
	static SPIPlanPtr plan = NULL;
	int			len = writer->level[level].w * LB_HASH_LEN;
	bytea	   *h = palloc(VARHDRSZ + len);
	Datum		args[4];

	if (plan == NULL)
	{
		plan = SPI_prepare("insert into lab_private.audit_tile (level, idx, w, h)"
						   " values ($1, $2, $3, $4)"
						   " on conflict on constraint audit_tile_pkey"
						   " do update set w = excluded.w, h = excluded.h", 4,
						   (Oid[]) {INT2OID, INT8OID, INT2OID, BYTEAOID});
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare the tile writer");
	}
	SET_VARSIZE(h, VARHDRSZ + len);
	memcpy(VARDATA(h), writer->level[level].h, len);
	args[0] = Int16GetDatum(level);
	args[1] = Int64GetDatum(writer->level[level].idx);
	args[2] = Int16GetDatum(writer->level[level].w);
	args[3] = PointerGetDatum(h);
	if (SPI_execute_plan(plan, args, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write a tile");
	pfree(h);
	writer->level[level].changed = false;
}

static void
tile_emit(void *arg, int level, uint64 index, const uint8 *hash)
{
	TileWriter *writer = arg;

	if (level >= TILE_LEVELS)
		elog(ERROR, "audit tree is full");
	Assert(index % LB_TILE_WIDTH == writer->level[level].w);
	memcpy(writer->level[level].h + writer->level[level].w * LB_HASH_LEN, hash, LB_HASH_LEN);
	writer->level[level].w++;
	writer->level[level].changed = true;
	if (writer->level[level].w == LB_TILE_WIDTH)
	{
		tile_store(writer, level);
		writer->level[level].idx++;
		writer->level[level].w = 0;
	}
}

/* Blocks ------------------------------------------------------------------------ */

static bytea *
hash_bytea(const uint8 *bytes, int len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), bytes, len);
	return result;
}

static void
block_store(const AuditBlock *block)
{
	Oid			types[13] = {INT8OID, INT2OID, INT8OID, INT8OID, INT8ARRAYOID, INT8OID,
		INT8OID, INT8OID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID, TIMESTAMPTZOID};
	Datum	   *xip = palloc_array(Datum, block->nxip + 1);
	Datum		args[13];

	for (int i = 0; i < block->nxip; i++)
		xip[i] = Int64GetDatum(block->xip[i]);
	args[0] = Int64GetDatum(block->no);
	args[1] = Int16GetDatum(block->gen);
	args[2] = Int64GetDatum(block->sxmin);
	args[3] = Int64GetDatum(block->sxmax);
	args[4] = PointerGetDatum(construct_array(xip, block->nxip, INT8OID, 8,
											  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	args[5] = Int64GetDatum(block->first);
	args[6] = Int64GetDatum(block->cnt);
	args[7] = Int64GetDatum(block->size);
	args[8] = PointerGetDatum(hash_bytea(block->frontier, block->frontier_len));
	args[9] = PointerGetDatum(hash_bytea(block->root, LB_HASH_LEN));
	args[10] = PointerGetDatum(hash_bytea(block->prev, LB_HASH_LEN));
	args[11] = PointerGetDatum(hash_bytea(block->hash, LB_HASH_LEN));
	args[12] = TimestampTzGetDatum(block->sealed_at);
	if (SPI_execute_with_args("insert into lab_private.audit_block (no, gen, sxmin, sxmax, xip,"
							  " first, cnt, size, frontier, root, prev, hash, sealed_at)"
							  " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
							  13, types, args, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write an audit block");
	/* A second call in the same statement goes on from here. */
	CommandCounterIncrement();
}

/*
 * Seals into one block all rows of generation gen that the snapshot sees and
 * no block has.  block->sxmin, sxmax and xip are given.  Returns the number
 * of rows; without any there is no block.
 */
static int64
seal_rows(Snapshot snapshot, AuditBlock *block, const AuditBlock *last, int64 skip)
{
	TileWriter *writer = palloc0(sizeof(TileWriter));
	MerkleTree *tree = palloc0(sizeof(MerkleTree));
	LogScan    *scan = lb_audit_scan_begin(snapshot);
	uint8		leaf[LB_HASH_LEN];
	BlockRows	rows;
	AuditEntry	entry;

	if (last != NULL &&
		!lb_merkle_unpack(tree, last->size, last->frontier, last->frontier_len))
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("audit block " INT64_FORMAT " is damaged", last->no),
				errdetail("Its frontier does not fit its size."),
				errhint("Run labos.audit_verify()."));
	block->no = last ? last->no + 1 : 1;
	block->first = tree->size;
	if (last)
		memcpy(block->prev, last->hash, LB_HASH_LEN);
	tiles_load(writer, tree->size);

	lb_audit_rows_begin(&rows, scan, block->gen,
						last && last->gen == block->gen ? last : NULL,
						block->sxmax, block->nxip, block->xip, skip);
	while (lb_audit_rows_next(&rows, &entry))
	{
		lb_audit_leaf_hash(&entry, leaf);
		lb_merkle_append(tree, leaf, tile_emit, writer);
	}
	lb_audit_scan_end(scan);

	block->size = tree->size;
	block->cnt = block->size - block->first;
	if (block->cnt == 0)
		return 0;
	for (int level = 0; level < TILE_LEVELS; level++)
		if (writer->level[level].changed)
			tile_store(writer, level);
	block->frontier = palloc(LB_TREE_HEIGHT * LB_HASH_LEN);
	block->frontier_len = lb_merkle_pack(tree, block->frontier);
	lb_merkle_root(tree, block->root);
	block->sealed_at = GetCurrentTimestamp();
	lb_audit_block_hash(block, block->hash);
	block_store(block);
	return block->cnt;
}

/* Takes the sealer's lock; what is read after it is what the last one left. */
static Snapshot
seal_begin(const char *what)
{
	lb_audit_require_owner(what);
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				errmsg("%s needs isolation level read committed", what),
				errdetail("The block it continues may be newer than this transaction's snapshot."));
	if (XactReadOnly)
		ereport(ERROR, errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				errmsg("cannot execute %s in a read-only transaction", what));
	LockRelationOid(lb_audit_relation("audit_block"), ShareRowExclusiveLock);
	return RegisterSnapshot(GetLatestSnapshot());
}

static void
clock_step(int16 gen, int64 before, int64 now)
{
	StringInfoData payload;
	AuditEntry	entry;

	memset(&entry, 0, sizeof(entry));
	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"event\":\"clock.step\",\"data\":{\"microseconds\":" INT64_FORMAT "}}",
					 now - before);
	entry.gen = gen;
	entry.op = 'E';
	entry.payload = payload.data;
	entry.payload_len = payload.len;
	entry.ctx = lb_audit_context(gen);
	lb_audit_append(&entry);
}

/*
 * labos.audit_seal()
 *		returns (block bigint, entries bigint, size bigint, root bytea)
 *
 * Seals the rows that became visible since the last block.  Rows of the
 * calling transaction itself wait for the next call.  Without new rows, block
 * is null and size and root are those of the tree as it is.
 *
 * Errors:	42501 not the owner, 25000 isolation level, LB301 no open
 *			generation, XX001 the last block or a tile is damaged
 * Cost:	about 1.5 microseconds a row
 * SQL:		volatile
 */
PG_FUNCTION_INFO_V1(labos_audit_seal);

Datum
labos_audit_seal(PG_FUNCTION_ARGS)
{
	Snapshot	snapshot = seal_begin("labos.audit_seal()");
	FullTransactionId own = GetTopFullTransactionIdIfAny();
	AuditBlock	last,
				block = {0};
	TupleDesc	desc;
	Datum		values[4] = {0};
	bool		nulls[4] = {false};
	bool		open,
				any;
	uint8	   *root = palloc(LB_HASH_LEN);
	MerkleTree	empty = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);

	block.gen = lb_audit_newest_generation(&open);
	if (!open)
		lb_audit_closed();
	PushActiveSnapshot(snapshot);
	any = lb_audit_block_last(&last);
	describe_snapshot(snapshot, &block);
	SPI_connect();
	nulls[0] = seal_rows(snapshot, &block, any ? &last : NULL,
						 FullTransactionIdIsValid(own) ? (int64) U64FromFullTransactionId(own) : 0) == 0;
	SPI_finish();
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);

	/* A clock that went back is an event of its own. */
	if (!nulls[0] && any && block.sealed_at < last.sealed_at - USECS_PER_SEC)
		clock_step(block.gen, last.sealed_at, block.sealed_at);

	if (!nulls[0])
		memcpy(root, block.root, LB_HASH_LEN);
	else if (any)
		memcpy(root, last.root, LB_HASH_LEN);
	else
		lb_merkle_root(&empty, root);
	values[0] = Int64GetDatum(block.no);
	values[1] = Int64GetDatum(block.cnt);
	values[2] = Int64GetDatum(block.size);
	values[3] = PointerGetDatum(hash_bytea(root, LB_HASH_LEN));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * labos.audit_close() returns (from_no bigint, prev_hash bytea)
 *		Seals all that is left of a generation that ended with its database:
 *		what a restore or a copy brought along is complete.  Returns what the
 *		next generation starts from.  Part of labos.audit_open().
 *
 * Errors:	42501 not the owner, 55000 the generation is open here
 * SQL:		volatile
 */
PG_FUNCTION_INFO_V1(labos_audit_close);

Datum
labos_audit_close(PG_FUNCTION_ARGS)
{
	Snapshot	snapshot = seal_begin("labos.audit_close()");
	AuditBlock	last,
				block = {0};
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false};
	bool		open,
				any;
	uint8		zeros[LB_HASH_LEN] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);

	block.gen = lb_audit_newest_generation(&open);
	if (open)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("generation %d of the audit log is open in this database", block.gen));
	PushActiveSnapshot(snapshot);
	any = lb_audit_block_last(&last);
	if (block.gen > 0)
	{
		block.sxmin = block.sxmax = PG_INT64_MAX;
		block.xip = palloc(sizeof(int64));
		SPI_connect();
		if (seal_rows(snapshot, &block, any ? &last : NULL, 0) > 0)
		{
			last = block;
			any = true;
		}
		SPI_finish();
	}
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);

	values[0] = Int64GetDatum(any ? last.no + 1 : 1);
	values[1] = PointerGetDatum(hash_bytea(any ? last.hash : zeros, LB_HASH_LEN));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * labos.audit_here() returns (sysid text, dboid bigint, gen smallint)
 *		This database in this cluster, and its open generation or null.
 *
 * SQL:		stable
 */
PG_FUNCTION_INFO_V1(labos_audit_here);

Datum
labos_audit_here(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};
	bool		open;
	char		sysid[32];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	snprintf(sysid, sizeof(sysid), UINT64_FORMAT, GetSystemIdentifier());
	values[0] = CStringGetTextDatum(sysid);
	values[1] = Int64GetDatum((int64) MyDatabaseId);
	values[2] = Int16GetDatum(lb_audit_newest_generation(&open));
	nulls[2] = !open;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
