/*-------------------------------------------------------------------------
 *
 * row_triggers.c
 *		The triggers that every record has: stamps with optimistic locking,
 *		and state machines.
 *
 * Also the limit of rows that one HTTP request may change.  They stand in the
 * identity room because a stamp names the caller and the limit is for gateways,
 * and in one file because all rewrite or refuse a row before it is written and
 * know nothing else of the table.
 *
 * IDENTIFICATION
 *	  src/identity/row_triggers.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "rewrite/rewriteHandler.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "core/errors.h"
#include "core/json.h"
#include "identity/claims.h"

/* Attribute numbers of the stamp columns; 0 where the table has none. */
typedef struct StampColumns
{
	Oid			relation;
	int			created_at;
	int			created_by;
	int			updated_at;
	int			updated_by;
	int			version;
	MemoryContext context;		/* lives as long as the statement */
	bool		if_match_read;	/* once per statement */
	char	   *if_match;		/* the header; NULL: none that counts here */
	int32		inserted;		/* version that the last insert named; 0 = none */
} StampColumns;

#define MAX_STAMPS	5

typedef struct RowChange
{
	int			n;
	int			columns[MAX_STAMPS];
	Datum		values[MAX_STAMPS];
	bool		nulls[MAX_STAMPS];
} RowChange;

static void
set_column(RowChange *change, int column, Datum value, bool isnull)
{
	if (column <= 0)
		return;
	change->columns[change->n] = column;
	change->values[change->n] = value;
	change->nulls[change->n] = isnull;
	change->n++;
}

static int
column_number(TupleDesc desc, const char *name)
{
	int			number = SPI_fnumber(desc, name);

	return number > 0 ? number : 0;
}

static StampColumns *
stamp_columns(FmgrInfo *flinfo, Relation relation)
{
	StampColumns *columns = flinfo->fn_extra;
	TupleDesc	desc = RelationGetDescr(relation);

	if (columns == NULL)
		columns = flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(StampColumns));
	if (columns->relation != RelationGetRelid(relation))
	{
		columns->created_at = column_number(desc, "created_at");
		columns->created_by = column_number(desc, "created_by");
		columns->updated_at = column_number(desc, "updated_at");
		columns->updated_by = column_number(desc, "updated_by");
		columns->version = column_number(desc, "version");
		columns->relation = RelationGetRelid(relation);
		columns->context = flinfo->fn_mcxt;
	}
	return columns;
}

static void
refuse_stale(int32 current, int32 named)
{
	StringInfoData extra;

	initStringInfo(&extra);
	appendStringInfo(&extra, "\"current_version\": %d, \"your_version\": %d", current, named);
	lb_refuse(412, "stale_version", extra.data,
			  "Read the record again, redo the change on it and send its version.",
			  "the record has changed since version %d", named);
}

/* The table as the API names it: a partition goes by its root's name. */
static Oid
public_relation(Relation relation)
{
	if (!relation->rd_rel->relispartition)
		return RelationGetRelid(relation);
	return llast_oid(get_partition_ancestors(RelationGetRelid(relation)));
}

/* Does lab.<name> read this table: a further view of it, of another name? */
static bool
is_view_of(const char *name, Oid table)
{
	Oid			schema = get_namespace_oid("lab", true);
	Oid			view = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
	Relation	relation;
	ListCell   *cell;
	bool		found = false;

	if (!OidIsValid(view) || get_rel_relkind(view) != RELKIND_VIEW)
		return false;
	relation = table_open(view, AccessShareLock);
	foreach(cell, get_view_query(relation)->rtable)
	{
		if (lfirst_node(RangeTblEntry, cell)->relid == table)
			found = true;
	}
	table_close(relation, NoLock);
	return found;
}

/* Is this request a PATCH, PUT or DELETE of this very table or a view of it? */
static bool
request_writes(Relation relation, bool put_too)
{
	const char *method = GetConfigOption("request.method", true, false);
	const char *path = GetConfigOption("request.path", true, false);

	return method != NULL && path != NULL && path[0] == '/' &&
		(strcmp(method, "PATCH") == 0 || strcmp(method, "DELETE") == 0 ||
		 (put_too && strcmp(method, "PUT") == 0)) &&
		(strcmp(path + 1, get_rel_name(public_relation(relation))) == 0 ||
		 is_view_of(path + 1, public_relation(relation)));
}

/*
 * Does an If-Match header name this version?  "3", W/"3", 3, a list of them,
 * or *.  An entity tag that is not ours matches nothing.
 */
static bool
if_match_names(const char *header, int32 version)
{
	char		wanted[16];
	int			length = snprintf(wanted, sizeof(wanted), "%d", version);

	while (*header != '\0')
	{
		int			tag;
		bool		quoted;

		header += strspn(header, " \t,");
		if (strncmp(header, "W/", 2) == 0)
			header += 2;
		quoted = *header == '"';
		header += quoted;
		tag = strcspn(header, quoted ? "\"" : ", \t");
		if ((tag == length && strncmp(header, wanted, length) == 0) ||
			(!quoted && tag == 1 && *header == '*'))
			return true;
		header += tag;
		header += quoted && *header == '"';
	}
	return false;
}

/* The version that the first tag of the header names; 0 for another tag. */
static int32
if_match_first(const char *header)
{
	long		version;

	header += strspn(header, " \t,W/\"");
	version = strtol(header, NULL, 10);
	return version > 0 && version <= PG_INT32_MAX ? (int32) version : 0;
}

static void
check_version(StampColumns *columns, Relation relation, HeapTuple old, HeapTuple new, RowChange *change)
{
	TupleDesc	desc = RelationGetDescr(relation);
	bool		old_isnull;
	bool		new_isnull;
	int32		current = DatumGetInt32(heap_getattr(old, columns->version, desc, &old_isnull));
	int32		named = DatumGetInt32(heap_getattr(new, columns->version, desc, &new_isnull));

	/* A row from before the column was filled has version 0. */
	if (old_isnull)
		current = 0;
	if (new_isnull)
		named = 0;
	/* ON CONFLICT DO UPDATE: excluded.version is what the insert was stamped with. */
	if (columns->inserted != 0 && named == 1)
		named = columns->inserted;
	columns->inserted = 0;
	if (named != current)
		refuse_stale(current, named);
	if (!columns->if_match_read)
	{
		char	   *header = request_writes(relation, true) ? lb_request_header("if-match") : NULL;

		if (header != NULL)
			columns->if_match = MemoryContextStrdup(columns->context, header);
		columns->if_match_read = true;
	}
	if (columns->if_match != NULL && !if_match_names(columns->if_match, current))
		refuse_stale(current, if_match_first(columns->if_match));
	set_column(change, columns->version, Int32GetDatum(current < PG_INT32_MAX ? current + 1 : 1), false);
}

/* The version an insert names, if it is not the one every new row has. */
static int32
version_named(const StampColumns *columns, TupleDesc desc, HeapTuple row)
{
	bool		isnull;
	int32		named;

	if (columns->version <= 0)
		return 0;
	named = DatumGetInt32(heap_getattr(row, columns->version, desc, &isnull));
	return isnull || named == 1 ? 0 : named;
}

/*
 * labos.tg__stamp() returns trigger
 *		before insert or update for each row: fills created_at, created_by,
 *		updated_at, updated_by and version where the table has them, whatever
 *		the client sent.
 *
 * Errors:	PT412 stale_version when the update names another version, or
 *			If-Match does
 */
PG_FUNCTION_INFO_V1(labos_tg__stamp);

Datum
labos_tg__stamp(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	StampColumns *columns;
	TupleDesc	desc;
	HeapTuple	row;
	RowChange	change = {0};
	pg_uuid_t	user;
	bool		has_user;
	bool		isnull;
	Datum		now;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("tg__stamp must be a row trigger before insert or update"));

	columns = stamp_columns(fcinfo->flinfo, trigger->tg_relation);
	desc = RelationGetDescr(trigger->tg_relation);
	has_user = lb_identity_user(&user);
	now = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());

	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		row = trigger->tg_trigtuple;
		columns->inserted = version_named(columns, desc, row);
		set_column(&change, columns->created_at, now, false);
		set_column(&change, columns->created_by, UUIDPGetDatum(&user), !has_user);
		set_column(&change, columns->version, Int32GetDatum(1), false);
	}
	else
	{
		HeapTuple	old = trigger->tg_trigtuple;
		Datum		value;

		row = trigger->tg_newtuple;
		if (columns->version > 0)
			check_version(columns, trigger->tg_relation, old, row, &change);
		if (columns->created_at > 0)
		{
			value = heap_getattr(old, columns->created_at, desc, &isnull);
			set_column(&change, columns->created_at, value, isnull);
		}
		if (columns->created_by > 0)
		{
			value = heap_getattr(old, columns->created_by, desc, &isnull);
			set_column(&change, columns->created_by, value, isnull);
		}
	}
	set_column(&change, columns->updated_at, now, false);
	set_column(&change, columns->updated_by, UUIDPGetDatum(&user), !has_user);

	row = heap_modify_tuple_by_cols(row, desc, change.n, change.columns,
									change.values, change.nulls);
	return PointerGetDatum(row);
}

/* How many rows a request may change -------------------------------------- */

static int	max_affected_rows = 100;

void
lb_identity_limit_init(void)
{
	DefineCustomIntVariable("labos.max_affected_rows",
							"Most rows that one PATCH or DELETE of a table may change over HTTP; 0 for no limit.",
							"A request that means more says so: Prefer: max-affected=<rows>.",
							&max_affected_rows, 100, 0, INT_MAX, PGC_SUSET, 0,
							NULL, NULL, NULL);
}

/* Prefer: max-affected=N, among other preferences; -1 without one. */
static int
preferred_limit(void)
{
	char	   *header = lb_request_header("prefer");
	char	   *at = header != NULL ? strstr(header, "max-affected=") : NULL;
	long		limit;
	char	   *end;

	if (at == NULL || (at > header && strchr(", \t;", at[-1]) == NULL))
		return -1;
	at += strlen("max-affected=");
	if (*at < '0' || *at > '9')
		return -1;
	errno = 0;
	limit = strtol(at, &end, 10);
	if (errno != 0 || limit > INT_MAX || (*end != '\0' && strchr(", \t;", *end) == NULL))
		return -1;
	return (int) limit;
}

static void
refuse_many(Relation relation, int limit)
{
	StringInfoData extra;

	initStringInfo(&extra);
	lb_json_member(&extra, "table", get_rel_name(public_relation(relation)));
	appendStringInfo(&extra, ", \"limit\": %d", limit);
	lb_refuse(400, "too_many_rows", extra.data,
			  "Add a filter to the request; if all of them are meant, send Prefer: max-affected=<rows>.",
			  "the request would change more than %d rows", limit);
}

/*
 * labos.tg__limit() returns trigger
 *		before update or delete for each row: a PATCH or DELETE that forgot its
 *		filter changes nothing.  A request is one transaction, and one table is
 *		named by its path: rows are counted by both, so that a soft delete, which
 *		updates row by row, counts too.  Functions and SQL clients are not limited.
 *
 * Errors:	PT400 too_many_rows with table and limit
 */
PG_FUNCTION_INFO_V1(labos_tg__limit);

Datum
labos_tg__limit(PG_FUNCTION_ARGS)
{
	static LocalTransactionId counted_transaction = InvalidLocalTransactionId;
	static Oid	counted_relation = InvalidOid;
	static int	counted = 0;
	static int	limit = 0;
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Relation	relation;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("tg__limit must be a row trigger before update or delete"));

	relation = trigger->tg_relation;
	if (lb_identity_from_gateway() && request_writes(relation, false))
	{
		Oid			table = public_relation(relation);

		if (counted_transaction != LB_MY_LXID || counted_relation != table)
		{
			int			preferred = preferred_limit();

			counted_transaction = LB_MY_LXID;
			counted_relation = table;
			counted = 0;
			limit = preferred >= 0 ? preferred : max_affected_rows > 0 ? max_affected_rows : INT_MAX;
		}
		if (counted++ >= limit)
			refuse_many(relation, limit);
	}
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
						   trigger->tg_newtuple : trigger->tg_trigtuple);
}

/* State machines ------------------------------------------------------- */

/* Is name one of the comma-separated names in list? */
static bool
names_contain(const char *list, const char *name)
{
	int			length = strlen(name);

	while (*list != '\0')
	{
		int			word = strcspn(list, ",");

		if (word == length && strncmp(list, name, length) == 0)
			return true;
		list += word;
		if (*list == ',')
			list++;
	}
	return false;
}

/*
 * The states that may follow "from" ("insert" for a new row): the argument
 * "from>a,b".  NULL when no argument begins with it.
 */
static const char *
moves_from(Trigger *trigger, const char *from)
{
	int			length = strlen(from);

	for (int i = 1; i < trigger->tgnargs; i++)
		if (strncmp(trigger->tgargs[i], from, length) == 0 && trigger->tgargs[i][length] == '>')
			return trigger->tgargs[i] + length + 1;
	return NULL;
}

static void
refuse_move(const char *from, const char *to, const char *allowed)
{
	StringInfoData extra;

	initStringInfo(&extra);
	lb_json_member(&extra, "from", from);
	lb_json_member(&extra, "to", to);
	appendStringInfoString(&extra, ", \"allowed\": [");
	while (*allowed != '\0')
	{
		int			word = strcspn(allowed, ",");

		appendStringInfo(&extra, "\"%.*s\"", word, allowed);
		allowed += word;
		if (*allowed == ',')
		{
			allowed++;
			appendStringInfoString(&extra, ", ");
		}
	}
	appendStringInfoChar(&extra, ']');
	if (from == NULL)
		lb_refuse(409, "illegal_transition", extra.data,
				  "Create the record in its first state and move it from there.",
				  "a new record cannot be %s", to);
	lb_refuse(409, "illegal_transition", extra.data,
			  "DETAIL names the states that can follow.",
			  "%s cannot become %s", from, to);
}

/*
 * labos.tg__state(column, 'from>to,to', ...) returns trigger
 *		before insert or update for each row: the text column may only move
 *		along the listed arrows.  A new row has the first state listed, unless
 *		'insert>a,b' says otherwise.  A null state is left to the column's own
 *		constraint.
 *
 * Errors:	PT409 illegal_transition with from, to, allowed
 */
PG_FUNCTION_INFO_V1(labos_tg__state);

Datum
labos_tg__state(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Trigger    *trigger;
	TupleDesc	desc;
	HeapTuple	row;
	char	   *to;
	char	   *from = NULL;
	const char *allowed;
	int			column;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event) ||
		data->tg_trigger->tgnargs < 2)
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("tg__state must be a row trigger before insert or update, with a column and its moves"));

	trigger = data->tg_trigger;
	desc = RelationGetDescr(data->tg_relation);
	column = SPI_fnumber(desc, trigger->tgargs[0]);
	if (column <= 0)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" does not exist", trigger->tgargs[0]));

	row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
	to = SPI_getvalue(row, desc, column);
	if (to == NULL)
		return PointerGetDatum(row);

	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		from = SPI_getvalue(data->tg_trigtuple, desc, column);
		if (from != NULL && strcmp(from, to) == 0)
			return PointerGetDatum(row);
		allowed = from ? moves_from(trigger, from) : "";
	}
	else
	{
		allowed = moves_from(trigger, "insert");
		if (allowed == NULL)
			allowed = pnstrdup(trigger->tgargs[1], strcspn(trigger->tgargs[1], ">"));
	}
	if (allowed == NULL)
		allowed = "";
	if (!names_contain(allowed, to))
		refuse_move(from, to, allowed);
	return PointerGetDatum(row);
}
