/*-------------------------------------------------------------------------
 *
 * context.c
 *		Where a change comes from: generation, circumstances, reason.
 *
 * What is read from tables is kept in the backend and forgotten on a relcache
 * message about its table (labos.audit_refresh() sends one).
 *
 * IDENTIFICATION
 *	  src/audit/context.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

#include "audit/audit.h"
#include "compat.h"
#include "core/errors.h"
#include "core/json.h"
#include "identity/claims.h"

#define CTX_COLUMNS		12

static char *audit_reason_setting = NULL;

/* Relations of lab_private, looked up once. */
static struct
{
	const char *name;
	Oid			relid;
}			relations[] =
{
	{"audit_log", InvalidOid},
	{"audit_gen", InvalidOid},
	{"audit_table", InvalidOid},
	{"audit_ctx", InvalidOid},
	{"audit_block", InvalidOid},
	{"audit_ctx_id_seq", InvalidOid}
};

/* Survives forgetting, so that a message about audit_table is recognized. */
static Oid	audit_table_relid = InvalidOid;

static bool gen_known = false;
static int16 gen_newest = 0;
static bool gen_open = false;

/* The circumstances that audit_ctx row ctx_id describes. */
static struct
{
	int64		id;				/* 0: none */
	int			level;			/* written at this level of this transaction; 0: committed */
	int16		gen;
	bool		has_session;
	pg_uuid_t	session;
	Oid			role;
	Oid			login;
	char		app[NAMEDATALEN];
	char	   *request_id;
	LocalTransactionId seen;	/* headers were compared in this transaction */
	char	   *headers;
}			ctx;

/* Oid of audit_table while it is remembered: callbacks must not look it up. */
bool
lb_audit_is_register(Oid relid)
{
	return relid == audit_table_relid;
}

static void
relcache_callback(Datum arg, Oid relid)
{
	for (int i = 0; i < lengthof(relations); i++)
		if (relid == InvalidOid || relid == relations[i].relid)
		{
			if (i == 1 || relid == InvalidOid)
				gen_known = false;
			relations[i].relid = InvalidOid;
		}
}

Oid
lb_audit_relation(const char *name)
{
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
		registered = true;
	}
	for (int i = 0; i < lengthof(relations); i++)
		if (strcmp(relations[i].name, name) == 0)
		{
			if (!OidIsValid(relations[i].relid))
			{
				Oid			schema = get_namespace_oid("lab_private", true);

				if (OidIsValid(schema))
					relations[i].relid = get_relname_relid(name, schema);
				if (i == 2)
					audit_table_relid = relations[i].relid;
			}
			return relations[i].relid;
		}
	elog(ERROR, "unknown relation of the audit room: %s", name);
	return InvalidOid;
}

void
lb_audit_init(void)
{
	DefineCustomStringVariable("labos.audit_reason",
							   "Reason of the changes this transaction makes, kept in the audit log.",
							   "Set it with SET LOCAL; over HTTP send the header X-Audit-Reason.",
							   &audit_reason_setting, "", PGC_USERSET, 0, NULL, NULL, NULL);
}

/* Generation ------------------------------------------------------------------ */

/* Reads audit_gen: the newest generation, and whether it is this database's. */
static void
read_generation(void)
{
	Oid			relid = lb_audit_relation("audit_gen");
	char		sysid[32];
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	Snapshot	snapshot;
	int16		newest = 0;
	bool		open = false;

	if (!OidIsValid(relid))
		return;
	snprintf(sysid, sizeof(sysid), UINT64_FORMAT, GetSystemIdentifier());
	rel = table_open(relid, AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan(rel, snapshot, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;
		int16		gen = DatumGetInt16(heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull));
		char	   *here = TextDatumGetCString(heap_getattr(tuple, 2, RelationGetDescr(rel), &isnull));
		int64		dboid = DatumGetInt64(heap_getattr(tuple, 3, RelationGetDescr(rel), &isnull));

		if (gen > newest)
		{
			newest = gen;
			open = strcmp(here, sysid) == 0 && dboid == (int64) MyDatabaseId;
		}
		pfree(here);
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	gen_newest = newest;
	gen_open = open;
	gen_known = true;
}

int16
lb_audit_newest_generation(bool *open_here)
{
	if (!gen_known)
	{
		gen_newest = 0;
		gen_open = false;
		read_generation();
	}
	*open_here = gen_open;
	return gen_newest;
}

/* Does the role own the log, or is it a superuser? */
static bool
owns_log(Oid role)
{
	HeapTuple	tuple;
	Oid			owner;

	if (superuser_arg(role))
		return true;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(lb_audit_relation("audit_log")));
	if (!HeapTupleIsValid(tuple))
		return false;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return role == owner;
}

void
lb_audit_require_owner(const char *what)
{
	if (!owns_log(GetUserId()))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("only the owner of the audit log may call %s", what));
}

void
lb_audit_closed(void)
{
	ereport(ERROR,
			errcode(ERRCODE_LABOS_AUDIT_CLOSED),
			errmsg("the audit log is not open in this database"),
			errdetail("It was restored or copied, and no generation of the log has been opened since."),
			errhint("Let lab_owner or a superuser run: select labos.audit_open('restored from ...'); or call labos.deploy()."));
}

int16
lb_audit_generation(void)
{
	bool		open;
	int16		gen = lb_audit_newest_generation(&open);

	if (open)
		return gen;
	/* Definer functions run as the owner: what counts is who called them. */
	if (!owns_log(GetOuterUserId()))
		lb_audit_closed();
	return 0;
}

/* Circumstances ---------------------------------------------------------------- */

static bool
same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static char *
keep_text(char *old, const char *text)
{
	if (old)
		pfree(old);
	return text ? MemoryContextStrdup(TopMemoryContext, text) : NULL;
}

void
lb_audit_context_subxact(bool committed, int level)
{
	if (ctx.id == 0 || ctx.level < level)
		return;
	if (committed)
		ctx.level = level - 1;
	else
		ctx.id = 0;
}

void
lb_audit_context_xact(bool committed)
{
	if (ctx.level > 0 && !committed)
		ctx.id = 0;
	ctx.level = 0;
}

/* Is ctx.id still the right one?  Headers are compared once a transaction. */
static bool
context_is_current(int16 gen, bool has_session, const pg_uuid_t *session,
				   const char *request_id, const char *headers, bool look)
{
	return ctx.id != 0 && ctx.gen == gen &&
		ctx.role == GetOuterUserId() && ctx.login == GetSessionUserId() &&
		ctx.has_session == has_session &&
		(!has_session || memcmp(&ctx.session, session, sizeof(*session)) == 0) &&
		same_text(ctx.request_id, request_id) &&
		strncmp(ctx.app, application_name ? application_name : "", NAMEDATALEN - 1) == 0 &&
		(!look || same_text(ctx.headers, headers));
}

static void
member(StringInfo out, const char *name, const char *text)
{
	if (out->data[out->len - 1] != '{')
		appendStringInfoChar(out, ',');
	lb_audit_escape(out, name, strlen(name));
	appendStringInfoChar(out, ':');
	if (text)
		lb_audit_escape(out, text, strlen(text));
	else
		appendStringInfoString(out, "null");
}

/* Address of the client: what the gateway was told, else the socket's. */
static char *
client_address(void)
{
	LOCAL_FCINFO(call, 0);
	char	   *forwarded = lb_request_header("x-forwarded-for");
	Datum		address;

	if (forwarded != NULL)
	{
		/* The last hop is the one our proxy added. */
		char	   *comma = strrchr(forwarded, ',');
		char	   *last = comma ? comma + 1 : forwarded;

		while (*last == ' ')
			last++;
		return pnstrdup(last, Min(strlen(last), 64));
	}
	InitFunctionCallInfoData(*call, NULL, 0, InvalidOid, NULL, NULL);
	address = inet_client_addr(call);
	if (call->isnull)
		return NULL;			/* a local socket */
	return DatumGetCString(DirectFunctionCall1(inet_out, address));
}

/* Writes the audit_ctx row and the event that seals it. */
static void
write_context(int16 gen)
{
	Relation	rel = table_open(lb_audit_relation("audit_ctx"), RowExclusiveLock);
	char	   *agent = lb_request_header("user-agent");
	char	   *ip = client_address();
	char	   *role = GetUserNameFromId(ctx.role, true);
	char	   *login = GetUserNameFromId(ctx.login, true);
	char	   *session = ctx.has_session ?
		DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&ctx.session))) : NULL;
	Datum		values[CTX_COLUMNS] = {0};
	bool		nulls[CTX_COLUMNS];
	StringInfoData data;
	AuditEntry	entry;
	HeapTuple	tuple;

	if (role == NULL)
		role = "?";
	if (login == NULL)
		login = "?";
	if (agent != NULL && strlen(agent) > 500)
		agent[pg_mbcliplen(agent, strlen(agent), 500)] = '\0';

	memset(&entry, 0, sizeof(entry));
	entry.gen = gen;
	entry.op = 'E';
	entry.ctx = ctx.id;
	entry.has_org = lb_identity_org(&entry.org);
	initStringInfo(&data);
	appendStringInfo(&data, "{\"event\":\"ctx\",\"data\":{\"id\":" INT64_FORMAT, ctx.id);
	member(&data, "session_id", session);
	member(&data, "request_id", ctx.request_id);
	member(&data, "ip", ip);
	member(&data, "user_agent", agent);
	member(&data, "app", ctx.app);
	member(&data, "db_role", role);
	member(&data, "db_session", login);
	member(&data, "device_id", NULL);
	appendStringInfoString(&data, "}}");
	entry.payload = data.data;
	entry.payload_len = data.len;
	lb_audit_append(&entry);

	memset(nulls, true, sizeof(nulls));
	values[0] = Int64GetDatum(ctx.id);
	nulls[0] = false;
	if (ctx.has_session)
		values[1] = UUIDPGetDatum(&ctx.session), nulls[1] = false;
	if (ctx.request_id)
		values[2] = CStringGetTextDatum(ctx.request_id), nulls[2] = false;
	if (ip)
		values[3] = CStringGetTextDatum(ip), nulls[3] = false;
	if (agent)
		values[4] = CStringGetTextDatum(agent), nulls[4] = false;
	values[5] = CStringGetTextDatum(ctx.app);
	values[6] = CStringGetTextDatum(role);
	values[7] = CStringGetTextDatum(login);
	values[9] = Int16GetDatum(entry.gen);
	values[10] = Int64GetDatum(entry.xid);
	values[11] = Int32GetDatum(entry.n);
	nulls[5] = nulls[6] = nulls[7] = nulls[9] = nulls[10] = nulls[11] = false;
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	/* Heap and index, without the caller's rights. */
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
}

int64
lb_audit_context(int16 gen)
{
	pg_uuid_t	session;
	bool		has_session = lb_identity_session(&session);
	const char *request_id = lb_request_id();
	bool		look = ctx.seen != LB_MY_LXID;
	const char *headers = look && lb_identity_from_gateway() ?
		GetConfigOption("request.headers", true, false) : NULL;

	if (context_is_current(gen, has_session, &session, request_id, headers, look))
	{
		ctx.seen = LB_MY_LXID;
		return ctx.id;
	}
	if (!look && lb_identity_from_gateway())
		headers = GetConfigOption("request.headers", true, false);

	ctx.id = nextval_internal(lb_audit_relation("audit_ctx_id_seq"), false);
	ctx.level = GetCurrentTransactionNestLevel();
	ctx.gen = gen;
	ctx.has_session = has_session;
	if (has_session)
		ctx.session = session;
	ctx.role = GetOuterUserId();
	ctx.login = GetSessionUserId();
	strlcpy(ctx.app, application_name ? application_name : "", NAMEDATALEN);
	ctx.request_id = keep_text(ctx.request_id, request_id);
	ctx.headers = keep_text(ctx.headers, headers);
	ctx.seen = LB_MY_LXID;
	write_context(gen);
	return ctx.id;
}

/* Reason ------------------------------------------------------------------------- */

static bool
is_blank(const char *text)
{
	return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

const char *
lb_audit_reason(void)
{
	static char *header = NULL;
	static LocalTransactionId seen = InvalidLocalTransactionId;

	if (!is_blank(audit_reason_setting))
		return audit_reason_setting;
	if (!lb_identity_from_gateway())
		return NULL;
	/* A request is a transaction: its headers are read once. */
	if (seen != LB_MY_LXID)
	{
		char	   *text = lb_request_header("x-audit-reason");

		header = keep_text(header, is_blank(text) ? NULL : text);
		seen = LB_MY_LXID;
	}
	return header;
}
