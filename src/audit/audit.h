/*-------------------------------------------------------------------------
 *
 * audit.h
 *		What the files of the audit room share.
 *
 * IDENTIFICATION
 *	  src/audit/audit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_AUDIT_H
#define LABOS_AUDIT_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "audit/merkle.h"
#include "compat.h"

/* Settings and caches; called by _PG_init. */
extern void lb_audit_init(void);

/* context.c: where we are ------------------------------------------------ */

/* Oid of a table or sequence in lab_private; 0 if it does not exist. */
extern Oid	lb_audit_relation(const char *name);

/*
 * The open generation of this database, or 0 when there is none and the
 * caller may write without one (superuser and owner: a restore is running).
 * Raises LB301 for anybody else.
 */
extern int16 lb_audit_generation(void);

/* Newest generation, open here or not; 0 when there is none at all. */
extern int16 lb_audit_newest_generation(bool *open_here);

/* Raises LB301: no generation is open. */
LB_NORETURN extern void lb_audit_closed(void);

/* Raises 42501 unless the current user owns the log or is a superuser. */
extern void lb_audit_require_owner(const char *what);

/* Is this the relation that holds definitions of audited tables? */
extern bool lb_audit_is_register(Oid relid);

/* audit_ctx.id of the current request; writes the row when it is new. */
extern int64 lb_audit_context(int16 gen);

/* Reason for change from the setting or the request header; NULL if none. */
extern const char *lb_audit_reason(void);

/* The subtransaction at this level ended: what did it write for contexts? */
extern void lb_audit_context_subxact(bool committed, int level);
extern void lb_audit_context_xact(bool committed);

/* buffer.c: rows on their way to the log ---------------------------------- */

/* Fills xid, n, ts and actor of an entry, then buffers it. */
extern void lb_audit_append(AuditEntry *entry);

extern bool lb_audit_is_nil(const pg_uuid_t *uuid);

/* Writes what the current (sub)transaction level has buffered. */
extern void lb_audit_flush(void);

/* canon.c: rows as canonical JSON ------------------------------------------ */

typedef struct AuditColumn
{
	int			attnum;			/* 1-based, in the firing relation */
	Oid			typid;			/* base type */
	int			encoder;
	bool		secret;
	bool		ignore;
	bool		byval;
	int16		typlen;
	char	   *key;			/* "name": as it stands in JSON */
	FmgrInfo	output;
} AuditColumn;

/* Prepares the encoding of an attribute; allocates in the current context. */
extern void lb_audit_column_init(AuditColumn *column, Form_pg_attribute att);

/* Does the column's output depend on session settings? */
extern bool lb_audit_column_pins(const AuditColumn *column);

extern void lb_audit_value_json(StringInfo out, AuditColumn *column, Datum value, bool isnull);
extern void lb_audit_escape(StringInfo out, const char *text, int len);
extern bool lb_audit_same(const AuditColumn *column, Datum a, bool anull, Datum b, bool bnull);

/* Settings that output functions read, set to fixed values and back. */
typedef struct AuditPins
{
	int			date_style;
	int			date_order;
	int			interval_style;
	int			extra_float_digits;
	int			bytea_output;
	struct pg_tz *timezone;
} AuditPins;

extern void lb_audit_pin(AuditPins *saved);
extern void lb_audit_unpin(const AuditPins *saved);

/* log.c: the log and its tree as stored --------------------------------------- */

typedef struct LogScan LogScan;

extern LogScan *lb_audit_scan_begin(Snapshot snapshot);
extern void lb_audit_scan_range(LogScan *scan, int16 gen, int64 from, int64 to);
extern bool lb_audit_scan_next(LogScan *scan, AuditEntry *entry);
extern void lb_audit_scan_end(LogScan *scan);

/* Partition of the log that holds (gen, xid). */
extern Oid	lb_audit_partition(Relation log, int16 gen, int64 xid);

/* A block of the chain, as stored. */
typedef struct AuditBlock
{
	int64		no;
	int16		gen;
	int64		sxmin;
	int64		sxmax;
	int			nxip;
	int64	   *xip;			/* ascending */
	int64		first;
	int64		cnt;
	int64		size;
	int			frontier_len;
	uint8	   *frontier;
	uint8		root[LB_HASH_LEN];
	uint8		prev[LB_HASH_LEN];
	uint8		hash[LB_HASH_LEN];
	int64		sealed_at;
	bool		leafdata_missing;
} AuditBlock;

extern void lb_audit_block_hash(const AuditBlock *block, uint8 *out);

/*
 * Blocks from_no .. to_no ascending through SPI, into blocks[limit], from the
 * active snapshot; returns their number.  Memory: current context.
 */
extern int	lb_audit_block_read(int64 from_no, int64 to_no, AuditBlock *blocks, int limit);
extern bool lb_audit_block_last(AuditBlock *block);

/* Hashes of a tile, NULL if absent; *w is its width. */
extern uint8 *lb_audit_tile_read(int level, int64 idx, int *w);

/*
 * The rows that became visible between two snapshots, in tree order:
 * transactions that were in progress in the old one, then the newer ones.
 */
typedef struct BlockRows
{
	LogScan    *scan;
	int16		gen;
	const AuditBlock *old;		/* NULL: before the first block of gen */
	int64		sxmax;
	int			nxip;
	const int64 *xip;
	int64		skip;			/* transaction to leave out; 0: none */
	int			next_old;		/* next of old->xip */
	bool		in_range;
} BlockRows;

extern void lb_audit_rows_begin(BlockRows *rows, LogScan *scan, int16 gen, const AuditBlock *old,
								int64 sxmax, int nxip, const int64 *xip, int64 skip);
extern bool lb_audit_rows_next(BlockRows *rows, AuditEntry *entry);

#endif							/* LABOS_AUDIT_H */
