/*-------------------------------------------------------------------------
 *
 * verify.c
 *		Recomputes everything: leaves from rows, the tree from leaves, the
 *		chain from blocks; says where the first thing is that differs.
 *
 * A block is walked in the order its snapshots give.  Each leaf is compared
 * with its tile while the tree grows, so that a mismatch has a place; at the
 * end of the block the root decides whether the row or the tile was changed.
 *
 * IDENTIFICATION
 *	  src/audit/verify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "audit/audit.h"
#include "compat.h"

#define TILE_LEVELS		8
#define BLOCK_BATCH		100

/* The first fault. */
typedef struct Fault
{
	const char *reason;			/* NULL: none */
	int64		block;			/* 0: none in particular */
	int64		entry;			/* leaf index; -1: unknown */
	int64		xid;			/* 0: unknown */
	int32		n;
} Fault;

typedef struct Verifier
{
	Snapshot	snapshot;
	LogScan    *scan;
	MerkleTree *tree;
	Fault		fault;
	int64		blocks;
	int64		entries;
	int64		contexts;		/* events that sealed a row of audit_ctx */
	int64		definitions;	/* and of audit_table */
	/* The first leaf of the block that differs from its tile. */
	bool		tile_differs;
	int64		tile_entry;
	int			tile_level;
	int64		tile_xid;
	int32		tile_n;
	const AuditEntry *entry;	/* being appended */
	struct
	{
		int64		idx;
		int			w;
		uint8	   *h;			/* NULL: absent or malformed */
		bool		read;
	}			tile[TILE_LEVELS];
	MemoryContext tile_cxt;
} Verifier;

static void
set_fault(Verifier *v, const char *reason, int64 block, int64 entry, int64 xid, int32 n)
{
	if (v->fault.reason != NULL)
		return;
	v->fault.reason = reason;
	v->fault.block = block;
	v->fault.entry = entry;
	v->fault.xid = xid;
	v->fault.n = n;
}

/* Compares each hash that goes into a tile with the stored one. */
static void
compare_tile(void *arg, int level, uint64 index, const uint8 *hash)
{
	Verifier   *v = arg;
	int64		idx = index / LB_TILE_WIDTH;
	int			at = index % LB_TILE_WIDTH;

	if (level >= TILE_LEVELS || v->tile_differs)
		return;
	if (!v->tile[level].read || v->tile[level].idx != idx)
	{
		MemoryContext old = MemoryContextSwitchTo(v->tile_cxt);

		if (v->tile[level].h)
			pfree(v->tile[level].h);
		v->tile[level].h = lb_audit_tile_read(level, idx, &v->tile[level].w);
		v->tile[level].idx = idx;
		v->tile[level].read = true;
		MemoryContextSwitchTo(old);
	}
	if (at < v->tile[level].w &&
		memcmp(v->tile[level].h + at * LB_HASH_LEN, hash, LB_HASH_LEN) == 0)
		return;
	v->tile_differs = true;
	v->tile_level = level;
	v->tile_entry = v->tree->size;
	v->tile_xid = v->entry->xid;
	v->tile_n = v->entry->n;
}

/* The block by itself: its numbers, its hash, its place in the chain. */
static bool
check_block(Verifier *v, const AuditBlock *block, const AuditBlock *old)
{
	uint8		hash[LB_HASH_LEN];
	uint8		zeros[LB_HASH_LEN] = {0};

	lb_audit_block_hash(block, hash);
	if (memcmp(hash, block->hash, LB_HASH_LEN) != 0)
		set_fault(v, "block changed", block->no, -1, 0, 0);
	else if (memcmp(block->prev, old ? old->hash : zeros, LB_HASH_LEN) != 0 ||
			 block->first != (old ? old->size : 0) || block->size != block->first + block->cnt)
		set_fault(v, "block does not follow the one before", block->no, -1, 0, 0);
	else if (old && (block->gen < old->gen || block->gen > old->gen + 1))
		set_fault(v, "generation missing", block->no, -1, 0, 0);
	else if (block->leafdata_missing)
		set_fault(v, "row data missing", block->no, -1, 0, 0);
	return v->fault.reason == NULL;
}

/* What the end of a block says about what was found in it. */
static void
judge_block(Verifier *v, const AuditBlock *block, int64 count, int64 gap_entry,
			int64 gap_xid, int32 gap_n)
{
	uint8		root[LB_HASH_LEN];
	uint8		frontier[LB_TREE_HEIGHT * LB_HASH_LEN];
	int64		entry = v->tile_differs ? v->tile_entry : block->size;

	if (count < block->cnt)
	{
		/* A gap in the numbering names the missing row; else the next one. */
		if (gap_entry >= 0 && gap_entry <= entry)
			set_fault(v, "row missing", block->no, gap_entry, gap_xid, gap_n);
		else
			set_fault(v, "row missing", block->no, entry, v->tile_xid, v->tile_n);
		return;
	}
	if (count > block->cnt)
	{
		set_fault(v, "row inserted", block->no, entry, v->tile_xid, v->tile_n);
		return;
	}
	lb_merkle_root(v->tree, root);
	if (memcmp(root, block->root, LB_HASH_LEN) != 0)
	{
		set_fault(v, "row changed", block->no, v->tile_differs ? v->tile_entry : -1,
				  v->tile_xid, v->tile_n);
		return;
	}
	if (v->tile_differs)
		set_fault(v, "tile changed", block->no, v->tile_entry, v->tile_xid, v->tile_n);
	else if (block->frontier_len > (int) sizeof(frontier) ||
			 lb_merkle_pack(v->tree, frontier) != block->frontier_len ||
			 memcmp(frontier, block->frontier, block->frontier_len) != 0)
		set_fault(v, "block changed", block->no, -1, 0, 0);
}

/* Counts the events that stand for rows of the registers. */
static void
count_event(Verifier *v, const AuditEntry *entry)
{
	static const struct
	{
		const char *head;
		int			len;
	}			heads[] = {
		{"{\"event\":\"ctx\",", 15},
		{"{\"event\":\"table.enable\",", 24},
		{"{\"event\":\"table.change\",", 24}
	};

	if (entry->op != 'E' || entry->payload == NULL)
		return;
	for (int i = 0; i < lengthof(heads); i++)
		if (entry->payload_len > heads[i].len &&
			memcmp(entry->payload, heads[i].head, heads[i].len) == 0)
		{
			if (i == 0)
				v->contexts++;
			else
				v->definitions++;
		}
}

static void
check_rows(Verifier *v, const AuditBlock *block, const AuditBlock *old)
{
	uint8		leaf[LB_HASH_LEN];
	BlockRows	rows;
	AuditEntry	entry;
	int64		count = 0;
	int64		gap_entry = -1,
				gap_xid = 0,
				last_xid = 0;
	int32		gap_n = 0,
				last_n = 0;

	v->tile_differs = false;
	v->tile_xid = 0;
	v->tile_n = 0;
	v->entry = &entry;
	lb_audit_rows_begin(&rows, v->scan, block->gen, old && old->gen == block->gen ? old : NULL,
						block->sxmax, block->nxip, block->xip, 0);
	while (lb_audit_rows_next(&rows, &entry))
	{
		int32		expected = entry.xid == last_xid ? last_n + 1 : 1;

		if (gap_entry < 0 && entry.n != expected)
		{
			gap_entry = v->tree->size;
			gap_xid = entry.xid;
			gap_n = expected;
		}
		last_xid = entry.xid;
		last_n = entry.n;
		lb_audit_leaf_hash(&entry, leaf);
		/* Null and the nil uuid have one leaf; only null is ever written. */
		if ((entry.has_rec && lb_audit_is_nil(&entry.rec)) ||
			(entry.has_org && lb_audit_is_nil(&entry.org)) ||
			(entry.has_actor && lb_audit_is_nil(&entry.actor)))
			set_fault(v, "row changed", block->no, v->tree->size, entry.xid, entry.n);
		lb_merkle_append(v->tree, leaf, compare_tile, v);
		count_event(v, &entry);
		count++;
		/* Far too many: back-dated rows without end are no reason to go on. */
		if (count > block->cnt + 1000000)
			break;
	}
	v->entries += count;
	judge_block(v, block, count, gap_entry, gap_xid, gap_n);
}

/* A generation that ended holds nothing beyond its last block. */
static void
check_closed(Verifier *v, const AuditBlock *last)
{
	BlockRows	rows;
	AuditEntry	entry;

	lb_audit_rows_begin(&rows, v->scan, last->gen, last, PG_INT64_MAX, 0, NULL, 0);
	if (lb_audit_rows_next(&rows, &entry))
		set_fault(v, "row inserted", last->no, -1, entry.xid, entry.n);
}

/* Asks for one row (text, bigint, bigint): no row is good. */
static void
check_query(Verifier *v, const char *query)
{
	SPI_connect();
	if (SPI_execute(query, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not check the registers of the audit log");
	if (SPI_processed == 1)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		bool		xid_null,
					n_null;
		char	   *reason = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
		int64		xid = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &xid_null));
		int64		n = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &n_null));

		set_fault(v, MemoryContextStrdup(v->tile_cxt, reason), 0, -1,
				  xid_null ? 0 : xid, n_null ? 0 : (int32) n);
	}
	SPI_finish();
}

/* After a walk over everything: as many rows in the registers as events. */
static void
check_counts(Verifier *v)
{
	char		query[256];

	snprintf(query, sizeof(query),
			 "select 'circumstances missing', null::bigint, null::bigint"
			 " from lab_private.audit_ctx having count(*) <> " INT64_FORMAT, v->contexts);
	check_query(v, query);
	if (v->fault.reason != NULL)
		return;
	snprintf(query, sizeof(query),
			 "select 'definition missing', null::bigint, null::bigint"
			 " from lab_private.audit_table having count(*) <> " INT64_FORMAT, v->definitions);
	check_query(v, query);
}

/*
 * Registers (generations, definitions, circumstances) against the events that
 * sealed them, tiles that belong to no leaf, rows of no generation.
 */
static void
check_registers(Verifier *v)
{
	static const char *const queries[] = {
		"select 'generation changed', g.log_xid, g.log_n::bigint from lab_private.audit_gen g"
		" left join lab_private.audit_log l on (l.gen, l.xid, l.n) = (g.log_gen, g.log_xid, g.log_n)"
		" where l.payload::jsonb -> 'data' is distinct from to_jsonb(g) - array['log_gen', 'log_xid', 'log_n']"
		" or l.op is distinct from 'E' or g.log_gen is distinct from g.gen",

		"select 'definition changed', t.log_xid, t.log_n::bigint from lab_private.audit_table t"
		" left join lab_private.audit_log l on (l.gen, l.xid, l.n) = (t.log_gen, t.log_xid, t.log_n)"
		" where l.payload::jsonb -> 'data' is distinct from"
		" to_jsonb(t) - array['log_gen', 'log_xid', 'log_n', 'valid_from', 'valid_to'] or l.op is distinct from 'E'",

		"select 'circumstances changed', c.log_xid, c.log_n::bigint from lab_private.audit_ctx c"
		" left join lab_private.audit_log l on (l.gen, l.xid, l.n) = (c.log_gen, c.log_xid, c.log_n)"
		" where l.payload::jsonb -> 'data' is distinct from to_jsonb(c) - array['log_gen', 'log_xid', 'log_n']"
		" or l.op is distinct from 'E'",

		"select 'row of no generation', l.xid, l.n::bigint from"
		" ((select gen, xid, n from lab_private.audit_log order by gen, xid, n limit 1) union all"
		" (select gen, xid, n from lab_private.audit_log order by gen desc, xid desc, n desc limit 1)) l"
		" where not exists (select from lab_private.audit_gen g where g.gen = l.gen)",

		"select 'generation does not follow the one before', g.log_xid, g.log_n::bigint from lab_private.audit_gen g"
		" left join lab_private.audit_block b on b.no = g.from_no - 1"
		" where g.prev_hash is distinct from coalesce(b.hash, decode(repeat('00', 32), 'hex'))"
		" or (g.from_no > 1 and b.no is null)",

		"select 'tile without leaves', null::bigint, null::bigint from lab_private.audit_tile t,"
		" (select coalesce(max(b.size), 0) as size from lab_private.audit_block b) s"
		" where t.level < 0 or t.level > 7 or t.idx < 0"
		" or t.w is distinct from least(256, (s.size >> (8 * t.level)) - 256 * t.idx)",
		NULL
	};

	for (int i = 0; queries[i] != NULL && v->fault.reason == NULL; i++)
		check_query(v, queries[i]);
}

/* Rows after the last block: how many, and none from the future. */
static int64
count_unsealed(Verifier *v, int16 gen, const AuditBlock *last)
{
	BlockRows	rows;
	AuditEntry	entry;
	int64		next = (int64) U64FromFullTransactionId(ReadNextFullTransactionId());
	int64		count = 0;

	lb_audit_rows_begin(&rows, v->scan, gen, last && last->gen == gen ? last : NULL,
						PG_INT64_MAX, 0, NULL, 0);
	while (lb_audit_rows_next(&rows, &entry))
	{
		if (entry.xid >= next)
			set_fault(v, "row from the future", 0, -1, entry.xid, entry.n);
		count_event(v, &entry);
		count++;
	}
	return count;
}

static void
free_block(AuditBlock *block)
{
	pfree(block->xip);
	pfree(block->frontier);
}

/* Walks the blocks from_no .. to_no; *last is the last one, no = 0 if none. */
static void
check_chain(Verifier *v, int64 from_no, int64 to_no, AuditBlock *last)
{
	AuditBlock	blocks[BLOCK_BATCH];
	int64		next = from_no;

	memset(last, 0, sizeof(*last));
	if (from_no > 1)
	{
		if (lb_audit_block_read(from_no - 1, from_no - 1, last, 1) != 1)
		{
			set_fault(v, "block missing", from_no - 1, -1, 0, 0);
			return;
		}
		if (!lb_merkle_unpack(v->tree, last->size, last->frontier, last->frontier_len))
			set_fault(v, "block changed", last->no, -1, 0, 0);
	}
	while (v->fault.reason == NULL && next <= to_no)
	{
		int			n = lb_audit_block_read(next, to_no, blocks, BLOCK_BATCH);

		if (n == 0)
			break;
		for (int i = 0; i < n && v->fault.reason == NULL; i++)
		{
			AuditBlock *block = &blocks[i];
			AuditBlock *old = last->no > 0 ? last : NULL;

			if (block->no != next)
			{
				set_fault(v, "block missing", next, -1, 0, 0);
				break;
			}
			if (!check_block(v, block, old))
				break;
			if (old && old->gen != block->gen)
				check_closed(v, old);
			if (v->fault.reason == NULL)
				check_rows(v, block, old);
			v->blocks++;
			next++;
			if (old)
				free_block(last);
			*last = *block;
		}
	}
}

/*
 * labos.audit_verify(from_block bigint, to_block bigint)
 *		returns (ok boolean, blocks bigint, entries bigint, unsealed bigint,
 *		bad_block bigint, bad_entry bigint, bad_xid bigint, bad_n integer,
 *		reason text)
 *
 * Recomputes leaf hashes from the stored rows, tiles, roots and the chain of
 * blocks; when to_block is null also what belongs to the end of the log:
 * registers, generations, unsealed rows.  bad_* place the first fault.
 *
 * Errors:	42501 not the owner, 22023 range
 * Cost:	about a microsecond a row
 * SQL:		stable
 */
PG_FUNCTION_INFO_V1(labos_audit_verify);

Datum
labos_audit_verify(PG_FUNCTION_ARGS)
{
	int64		from_no = PG_ARGISNULL(0) ? 1 : PG_GETARG_INT64(0);
	int64		to_no = PG_ARGISNULL(1) ? PG_INT64_MAX : PG_GETARG_INT64(1);
	MemoryContext cxt,
				old_cxt;
	TupleDesc	desc;
	Verifier	v = {0};
	AuditBlock	last;
	int64		unsealed = 0;
	bool		open;
	int16		gen;
	Datum		values[9] = {0};
	bool		nulls[9] = {false};
	HeapTuple	result;

	lb_audit_require_owner("labos.audit_verify()");
	if (from_no < 1 || to_no < from_no)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("blocks are verified from 1 upwards, from the lower to the higher"));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);

	cxt = AllocSetContextCreate(CurrentMemoryContext, "labos audit verify", ALLOCSET_DEFAULT_SIZES);
	old_cxt = MemoryContextSwitchTo(cxt);
	v.tile_cxt = cxt;
	v.tree = palloc0(sizeof(MerkleTree));
	/* One snapshot for rows, blocks and tiles; and our own rows in it. */
	v.snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(v.snapshot);
	v.scan = lb_audit_scan_begin(v.snapshot);
	check_chain(&v, from_no, to_no, &last);
	gen = lb_audit_newest_generation(&open);
	if (v.fault.reason == NULL && to_no == PG_INT64_MAX)
	{
		if (last.no > 0 && last.gen != gen)
			check_closed(&v, &last);
		unsealed = count_unsealed(&v, gen, last.no > 0 ? &last : NULL);
		check_registers(&v);
		if (v.fault.reason == NULL && from_no == 1)
			check_counts(&v);
	}
	lb_audit_scan_end(v.scan);
	PopActiveSnapshot();
	UnregisterSnapshot(v.snapshot);
	MemoryContextSwitchTo(old_cxt);

	values[0] = BoolGetDatum(v.fault.reason == NULL);
	values[1] = Int64GetDatum(v.blocks);
	values[2] = Int64GetDatum(v.entries);
	values[3] = Int64GetDatum(unsealed);
	values[4] = Int64GetDatum(v.fault.block);
	values[5] = Int64GetDatum(v.fault.entry);
	values[6] = Int64GetDatum(v.fault.xid);
	values[7] = Int32GetDatum(v.fault.n);
	nulls[4] = v.fault.reason == NULL || v.fault.block == 0;
	nulls[5] = v.fault.reason == NULL || v.fault.entry < 0;
	nulls[6] = nulls[7] = v.fault.reason == NULL || v.fault.xid == 0;
	if (v.fault.reason)
		values[8] = CStringGetTextDatum(v.fault.reason);
	else
		nulls[8] = true;
	result = heap_form_tuple(desc, values, nulls);
	MemoryContextDelete(cxt);
	PG_RETURN_DATUM(HeapTupleGetDatum(result));
}
