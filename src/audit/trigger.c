/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		The row trigger of audited tables, and what else writes entries.
 *
 * tg__audit('kind') is AFTER ... FOR EACH ROW and ENABLE ALWAYS: the only kind
 * of trigger that sees every path (direct partition writes and logical apply
 * included).  It compares old and new by image, writes the changed columns as
 * canonical JSON and buffers one row.  Nothing is locked, nothing is hashed.
 *
 * IDENTIFICATION
 *	  src/audit/trigger.c
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
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "audit/audit.h"
#include "compat.h"
#include "core/errors.h"
#include "core/json.h"
#include "identity/claims.h"

enum
{
	REASON_NONE,
	REASON_UPDATE,				/* for updates and deletions */
	REASON_ALWAYS
};

/* What a backend knows about an audited relation. */
typedef struct AuditTable
{
	Oid			relid;			/* hash key */
	bool		valid;
	int32		tab;
	char	   *kind;
	int			ncolumns;
	AuditColumn *columns;
	bool		pins;			/* a column's text depends on settings */
	bool		log_noop;
	int			reason;
	int			reason_min;		/* characters */
	int			rec_column;		/* index into columns of uuid "id"; -1 */
	int			org_column;		/* index into columns; -1 */
	int			nkey;			/* primary key, when there is no uuid id */
	int		   *key;			/* indexes into columns */
	MemoryContext cxt;
} AuditTable;

static HTAB *tables = NULL;

/* Definitions ------------------------------------------------------------------ */

static void
forget_tables(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	AuditTable *table;
	/* Any of the room's own relations: they change rarely. */
	bool		all = relid == InvalidOid || lb_audit_is_register(relid);

	hash_seq_init(&status, tables);
	while ((table = hash_seq_search(&status)) != NULL)
		if (all || table->relid == relid)
			table->valid = false;
}

static int
find_column(const AuditTable *table, TupleDesc desc, const char *name)
{
	for (int i = 0; i < table->ncolumns; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, table->columns[i].attnum - 1)->attname), name) == 0)
			return i;
	return -1;
}

static int
find_uuid(const AuditTable *table, TupleDesc desc, const char *name)
{
	int			i = find_column(table, desc, name);

	return i >= 0 && table->columns[i].typid == UUIDOID ? i : -1;
}

/* "secret" and "ignore": arrays of column names. */
static void
read_names(AuditTable *table, TupleDesc desc, JsonbContainer *policy, const char *key)
{
	JsonbContainer *names = lb_json_array(policy, key);
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;

	if (names == NULL)
		return;
	it = JsonbIteratorInit(names);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		int			i;

		if (token != WJB_ELEM || value.type != jbvString)
			continue;
		i = find_column(table, desc, pnstrdup(value.val.string.val, value.val.string.len));
		if (i < 0)
			continue;
		if (key[0] == 's')
			table->columns[i].secret = true;
		else
			table->columns[i].ignore = true;
	}
}

static void
read_policy(AuditTable *table, TupleDesc desc, JsonbContainer *policy)
{
	char	   *reason = lb_json_text(policy, "reason");
	char	   *org = lb_json_text(policy, "org");
	int64		minimum = 1;

	table->reason = reason == NULL ? REASON_NONE :
		strcmp(reason, "update") == 0 ? REASON_UPDATE :
		strcmp(reason, "always") == 0 ? REASON_ALWAYS : REASON_NONE;
	lb_json_int64(policy, "reason_min", &minimum);
	table->reason_min = minimum;
	table->log_noop = false;
	lb_json_bool(policy, "noop", &table->log_noop);
	table->org_column = find_uuid(table, desc, org ? org : "org_id");
	read_names(table, desc, policy, "secret");
	read_names(table, desc, policy, "ignore");
}

/* The definition in force of a kind: fills tab; returns its policy. */
static Jsonb *
read_definition(AuditTable *table)
{
	Relation	rel = table_open(lb_audit_relation("audit_table"), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	Jsonb	   *policy = NULL;
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;

		heap_getattr(tuple, 7, desc, &isnull);	/* valid_to */
		if (!isnull)
			continue;
		if (strcmp(TextDatumGetCString(heap_getattr(tuple, 2, desc, &isnull)), table->kind) != 0)
			continue;
		table->tab = DatumGetInt32(heap_getattr(tuple, 1, desc, &isnull));
		policy = DatumGetJsonbPCopy(heap_getattr(tuple, 5, desc, &isnull));
		break;
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return policy;
}

static void
read_key(AuditTable *table, Relation rel)
{
	Oid			pkey = lb_primary_key_index(rel);
	Relation	index;

	table->nkey = 0;
	if (!OidIsValid(pkey))
		return;
	index = index_open(pkey, AccessShareLock);
	table->key = palloc_array(int, index->rd_index->indnkeyatts);
	for (int k = 0; k < index->rd_index->indnkeyatts; k++)
		for (int i = 0; i < table->ncolumns; i++)
			if (table->columns[i].attnum == index->rd_index->indkey.values[k])
				table->key[table->nkey++] = i;
	index_close(index, AccessShareLock);
}

static void
describe_table(AuditTable *table, Relation rel, const char *kind)
{
	TupleDesc	desc = RelationGetDescr(rel);
	MemoryContext old;
	Jsonb	   *policy;

	if (table->cxt == NULL)
		table->cxt = AllocSetContextCreate(TopMemoryContext, "labos audit table",
										   ALLOCSET_SMALL_SIZES);
	MemoryContextReset(table->cxt);
	old = MemoryContextSwitchTo(table->cxt);
	table->kind = pstrdup(kind);
	policy = read_definition(table);
	if (policy == NULL)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_AUDIT_CLOSED),
				errmsg("\"%s\" is not registered for audit", kind),
				errdetail("Table \"%s\" has the audit trigger, but labos.audit_enable() was not called for it.",
						  RelationGetRelationName(rel)),
				errhint("Let its owner CALL labos.audit_enable('%s').",
						RelationGetRelationName(rel)));
	table->columns = palloc0_array(AuditColumn, desc->natts + 1);
	table->ncolumns = 0;
	table->pins = false;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		AuditColumn *column = &table->columns[table->ncolumns];

		/* What is computed when it is read is not in the row. */
		if (att->attisdropped || att->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
			continue;
		lb_audit_column_init(column, att);
		table->pins |= lb_audit_column_pins(column);
		table->ncolumns++;
	}
	read_policy(table, desc, &policy->root);
	table->rec_column = find_uuid(table, desc, "id");
	if (table->rec_column < 0)
		read_key(table, rel);
	MemoryContextSwitchTo(old);
	table->valid = true;
}

static AuditTable *
audit_table(Relation rel, const char *kind)
{
	Oid			relid = RelationGetRelid(rel);
	AuditTable *table;
	bool		found;

	if (tables == NULL)
	{
		HASHCTL		ctl = {0};

		lb_audit_relation("audit_table");	/* registers its callback first */
		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(AuditTable);
		tables = hash_create("labos audit tables", 64, &ctl, HASH_ELEM | HASH_BLOBS);
		CacheRegisterRelcacheCallback(forget_tables, (Datum) 0);
	}
	table = hash_search(tables, &relid, HASH_ENTER, &found);
	if (!found)
	{
		table->valid = false;
		table->cxt = NULL;
		table->kind = NULL;
	}
	if (!table->valid || strcmp(table->kind, kind) != 0)
	{
		table->valid = false;
		describe_table(table, rel, kind);
	}
	return table;
}

/* Rows ---------------------------------------------------------------------------- */

static void
append_column(StringInfo out, AuditColumn *column, TupleTableSlot *slot)
{
	int			i = column->attnum - 1;

	if (column->secret && !slot->tts_isnull[i])
		appendBinaryStringInfo(out, "\"#\"", 3);
	else
		lb_audit_value_json(out, column, slot->tts_values[i], slot->tts_isnull[i]);
}

/* {"column": value, ...} of all columns, or of some. */
static void
row_json(StringInfo out, AuditTable *table, TupleTableSlot *slot, const int *some, int nsome)
{
	int			n = some ? nsome : table->ncolumns;
	char		separator = '{';

	for (int k = 0; k < n; k++)
	{
		AuditColumn *column = &table->columns[some ? some[k] : k];

		if (column->ignore && !some)
			continue;
		appendStringInfoCharMacro(out, separator);
		separator = ',';
		appendStringInfoString(out, column->key);
		append_column(out, column, slot);
	}
	if (separator == '{')
		appendStringInfoChar(out, '{');
	appendStringInfoCharMacro(out, '}');
}

/* {"column": [old, new], ...} of what differs; false if nothing does. */
static bool
change_json(StringInfo out, AuditTable *table, TupleTableSlot *before, TupleTableSlot *after)
{
	char		separator = '{';

	for (int k = 0; k < table->ncolumns; k++)
	{
		AuditColumn *column = &table->columns[k];
		int			i = column->attnum - 1;

		if (column->ignore ||
			lb_audit_same(column, before->tts_values[i], before->tts_isnull[i],
						  after->tts_values[i], after->tts_isnull[i]))
			continue;
		appendStringInfoCharMacro(out, separator);
		separator = ',';
		appendStringInfoString(out, column->key);
		appendStringInfoCharMacro(out, '[');
		append_column(out, column, before);
		appendStringInfoCharMacro(out, ',');
		append_column(out, column, after);
		appendStringInfoCharMacro(out, ']');
	}
	if (separator == '{')
	{
		appendStringInfoString(out, "{}");
		return false;
	}
	appendStringInfoCharMacro(out, '}');
	return true;
}

/* Rows without a uuid id are known by a uuid (version 8) of their key's hash. */
static void
record_id(AuditTable *table, TupleTableSlot *slot, AuditEntry *entry)
{
	StringInfoData key;
	uint8		hash[LB_HASH_LEN];

	if (table->rec_column >= 0)
	{
		int			i = table->columns[table->rec_column].attnum - 1;

		entry->has_rec = !slot->tts_isnull[i];
		if (entry->has_rec)
			entry->rec = *DatumGetUUIDP(slot->tts_values[i]);
		return;
	}
	entry->has_rec = table->nkey > 0;
	if (!entry->has_rec)
		return;
	initStringInfo(&key);
	row_json(&key, table, slot, table->key, table->nkey);
	lb_audit_sha256((const uint8 *) key.data, key.len, hash);
	pfree(key.data);
	memcpy(entry->rec.data, hash, UUID_LEN);
	entry->rec.data[6] = (entry->rec.data[6] & 0x0f) | 0x80;
	entry->rec.data[8] = (entry->rec.data[8] & 0x3f) | 0x80;
}

static void
check_reason(const AuditTable *table, AuditEntry *entry)
{
	bool		needed = table->reason == REASON_ALWAYS ||
		(table->reason == REASON_UPDATE && entry->op != 'I');

	entry->reason = lb_audit_reason();
	entry->reason_len = entry->reason ? strlen(entry->reason) : 0;
	if (needed && entry->op != 'S' &&
		(entry->reason == NULL ||
		 pg_mbstrlen_with_len(entry->reason, entry->reason_len) < table->reason_min))
	{
		StringInfoData detail;

		initStringInfo(&detail);
		appendStringInfoChar(&detail, '{');
		lb_json_member(&detail, "code", "reason_required");
		lb_json_member(&detail, "kind", table->kind);
		appendStringInfo(&detail, ", \"minimum_length\": %d}", table->reason_min);
		ereport(ERROR,
				errcode(ERRCODE_LABOS_AUDIT_REASON),
				errmsg("a change of %s needs a reason", table->kind),
				errdetail_internal("%s", detail.data),
				errhint("Send the header X-Audit-Reason, or SET LOCAL labos.audit_reason."));
	}
}

/* Payload and record id; false if nothing changed. */
static bool
encode_row(StringInfo out, AuditTable *table, AuditEntry *entry,
		   TupleTableSlot *before, TupleTableSlot *after)
{
	bool		changed = true;

	if (entry->op == 'U')
		changed = change_json(out, table, before, after);
	else
		row_json(out, table, after ? after : before, NULL, 0);
	record_id(table, after ? after : before, entry);
	return changed;
}

/* The same under fixed settings, where a column's text depends on them. */
static bool
write_payload(StringInfo out, AuditTable *table, AuditEntry *entry,
			  TupleTableSlot *before, TupleTableSlot *after)
{
	volatile bool changed = true;
	AuditPins	saved;

	if (!table->pins)
		return encode_row(out, table, entry, before, after);

	lb_audit_pin(&saved);
	PG_TRY();
	{
		changed = encode_row(out, table, entry, before, after);
	}
	PG_FINALLY();
	{
		lb_audit_unpin(&saved);
	}
	PG_END_TRY();
	return changed;
}

/* Writes one entry for a row; before and after as the operation has them. */
static void
log_row(AuditTable *table, int16 gen, char op, TupleTableSlot *before, TupleTableSlot *after)
{
	static StringInfoData payload = {0};
	TupleTableSlot *row = after ? after : before;
	AuditEntry	entry;
	bool		changed;

	if (payload.data == NULL || payload.maxlen > 1024 * 1024)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		if (payload.data)
			pfree(payload.data);
		payload.data = NULL;
		initStringInfo(&payload);
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(&payload);
	memset(&entry, 0, sizeof(entry));
	if (before)
		slot_getallattrs(before);
	if (after)
		slot_getallattrs(after);

	entry.op = op;
	changed = write_payload(&payload, table, &entry, before, after);
	if (!changed && !table->log_noop)
		return;

	entry.gen = gen;
	entry.tab = table->tab;
	check_reason(table, &entry);
	if (table->org_column >= 0)
	{
		int			i = table->columns[table->org_column].attnum - 1;

		entry.has_org = !row->tts_isnull[i];
		if (entry.has_org)
			entry.org = *DatumGetUUIDP(row->tts_values[i]);
	}
	else
		entry.has_org = lb_identity_org(&entry.org);
	entry.payload = payload.data;
	entry.payload_len = payload.len;
	entry.ctx = lb_audit_context(gen);
	lb_audit_append(&entry);
}

/* Every row of a table, as op: a baseline, or what TRUNCATE takes away. */
static int64
log_all_rows(Relation rel, const char *kind, int16 gen, char op)
{
	AuditTable *table = audit_table(rel, kind);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "labos audit row",
												  ALLOCSET_DEFAULT_SIZES);
	int64		n = 0;

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);

		CHECK_FOR_INTERRUPTS();
		log_row(table, gen, op, op == 'S' ? NULL : slot, op == 'S' ? slot : NULL);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
		n++;
	}
	MemoryContextDelete(row_cxt);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	lb_audit_flush();
	return n;
}

static const char *
kind_of(TriggerData *data)
{
	if (data->tg_trigger->tgnargs < 1)
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("tg__audit needs the kind of record as its argument"),
				errhint("Attach it with CALL labos.audit_enable(…)."));
	return data->tg_trigger->tgargs[0];
}

/*
 * labos.tg__audit('kind') returns trigger
 *		AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW: one log row for each
 *		row version.
 *
 * Errors:	LB301 no open generation, or the kind is not registered; LB302 the
 *			policy asks for a reason
 * SQL:		volatile
 */
PG_FUNCTION_INFO_V1(labos_tg_audit);

Datum
labos_tg_audit(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	const char *kind;
	AuditTable *table;
	int16		gen;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("tg__audit must be fired after a change for each row"));
	kind = kind_of(data);
	gen = lb_audit_generation();
	if (gen == 0)
		return PointerGetDatum(NULL);

	table = audit_table(data->tg_relation, kind);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		log_row(table, gen, 'I', NULL, data->tg_trigslot);
	else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		log_row(table, gen, 'U', data->tg_trigslot, data->tg_newslot);
	else
		log_row(table, gen, 'D', data->tg_trigslot, NULL);
	return PointerGetDatum(NULL);
}

/*
 * labos.tg__audit_flush() returns trigger
 *		AFTER ... FOR EACH STATEMENT: writes what the statement has buffered,
 *		so that the transaction itself can read it.
 *
 * SQL:		volatile
 */
PG_FUNCTION_INFO_V1(labos_tg_audit_flush);

Datum
labos_tg_audit_flush(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("tg__audit_flush must be fired as a trigger"));
	lb_audit_flush();
	return PointerGetDatum(NULL);
}

/*
 * labos.tg__audit_truncate('kind' [, 'refuse']) returns trigger
 *		BEFORE TRUNCATE: logs every row that goes, or refuses.
 *
 * Errors:	PT409 truncate_refused
 * SQL:		volatile
 */
PG_FUNCTION_INFO_V1(labos_tg_audit_truncate);

Datum
labos_tg_audit_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	const char *kind;
	int16		gen;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_TRUNCATE(data->tg_event) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("tg__audit_truncate must be fired before TRUNCATE"));
	kind = kind_of(data);
	gen = lb_audit_generation();
	if (gen == 0)
		return PointerGetDatum(NULL);
	if (data->tg_trigger->tgnargs > 1 && strcmp(data->tg_trigger->tgargs[1], "refuse") == 0)
		lb_refuse(409, "truncate_refused", NULL,
				  "Delete rows one by one, or change the policy of labos.audit_enable().",
				  "\"%s\" must not be truncated", RelationGetRelationName(data->tg_relation));
	/* A partitioned table holds nothing: its partitions have their own trigger. */
	if (data->tg_relation->rd_rel->relkind == RELKIND_RELATION)
		log_all_rows(data->tg_relation, kind, gen, 'T');
	return PointerGetDatum(NULL);
}

/* Called by labos.audit_enable() and friends ----------------------------------------- */

/*
 * labos.audit_baseline(tab regclass, kind text) returns bigint
 *		Writes each row of a table as a snapshot entry; returns their number.
 *
 * Errors:	42501 not the owner
 * SQL:		volatile strict
 */
PG_FUNCTION_INFO_V1(labos_audit_baseline);

Datum
labos_audit_baseline(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int16		gen;
	Relation	rel;
	int64		n = 0;

	lb_audit_require_owner("labos.audit_baseline()");
	gen = lb_audit_generation();
	if (gen == 0)
		PG_RETURN_INT64(0);
	rel = table_open(relid, ShareRowExclusiveLock);
	if (rel->rd_rel->relkind == RELKIND_RELATION)
		n = log_all_rows(rel, kind, gen, 'S');
	table_close(rel, NoLock);
	PG_RETURN_INT64(n);
}

/*
 * labos.audit_event(event text, data json, org_id uuid, rec uuid)
 *		returns (gen smallint, xid bigint, n integer)
 *		Writes an event into the log; nulls when no generation is open (a
 *		restore is running).
 *
 * Errors:	42501 not the owner, 22023 empty event
 * SQL:		volatile
 */
PG_FUNCTION_INFO_V1(labos_audit_event);

Datum
labos_audit_event(PG_FUNCTION_ARGS)
{
	Datum		values[3] = {0};
	bool		nulls[3] = {true, true, true};
	TupleDesc	desc;
	StringInfoData payload;
	AuditEntry	entry;

	lb_audit_require_owner("labos.audit_event()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (PG_ARGISNULL(0) || VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)) == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("event must have a name"));

	memset(&entry, 0, sizeof(entry));
	entry.gen = lb_audit_generation();
	if (entry.gen != 0)
	{
		char	   *event = text_to_cstring(PG_GETARG_TEXT_PP(0));

		entry.op = 'E';
		initStringInfo(&payload);
		appendStringInfoString(&payload, "{\"event\":");
		lb_audit_escape(&payload, event, strlen(event));
		appendStringInfoString(&payload, ",\"data\":");
		appendStringInfoString(&payload, PG_ARGISNULL(1) ? "null" :
							   text_to_cstring(PG_GETARG_TEXT_PP(1)));
		appendStringInfoChar(&payload, '}');
		entry.payload = payload.data;
		entry.payload_len = payload.len;
		entry.has_org = !PG_ARGISNULL(2);
		if (entry.has_org)
			entry.org = *PG_GETARG_UUID_P(2);
		entry.has_rec = !PG_ARGISNULL(3);
		if (entry.has_rec)
			entry.rec = *PG_GETARG_UUID_P(3);
		entry.reason = lb_audit_reason();
		entry.reason_len = entry.reason ? strlen(entry.reason) : 0;
		entry.ctx = lb_audit_context(entry.gen);
		lb_audit_append(&entry);
		lb_audit_flush();
		values[0] = Int16GetDatum(entry.gen);
		values[1] = Int64GetDatum(entry.xid);
		values[2] = Int32GetDatum(entry.n);
		memset(nulls, false, sizeof(nulls));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * labos.audit_refresh() returns void
 *		Lets every backend read the registers of the audit room again.
 *
 * SQL:		volatile
 */
PG_FUNCTION_INFO_V1(labos_audit_refresh);

Datum
labos_audit_refresh(PG_FUNCTION_ARGS)
{
	lb_audit_require_owner("labos.audit_refresh()");
	CacheInvalidateRelcacheByRelid(lb_audit_relation("audit_table"));
	CacheInvalidateRelcacheByRelid(lb_audit_relation("audit_gen"));
	CommandCounterIncrement();
	PG_RETURN_VOID();
}
