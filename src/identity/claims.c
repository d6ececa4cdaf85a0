/*-------------------------------------------------------------------------
 *
 * claims.c
 *		Who is calling, from exactly three sources, checked against the live
 *		database.
 *
 * Reading the identity costs a pointer read.  What makes it change are the two
 * settings' assign hooks, a change to users, memberships, roles or sessions
 * anywhere (a relcache message of lab_private.rbac_epoch), another session
 * user, and time passing "exp".  Rollback, savepoints, RESET, DISCARD ALL,
 * pooled connections and parallel workers need nothing of ours: PostgreSQL
 * keeps settings right in all of them.
 *
 * Runs one query (lab_private.identity_load) as the owner of lab_private when
 * the answer is not known; never inside a check or assign hook.
 *
 * IDENTIFICATION
 *	  src/identity/claims.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/user.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "catalog/pg_namespace.h"

#include "compat.h"
#include "identity/claims.h"
#include "identity/claims_json.h"
#include "identity/crypto.h"
#include "identity/identity.h"
#include "identity/identity_cache.h"

/* The settings. */
static char *token_setting = NULL;
static char *claims_setting = NULL;
static char *trusted_gateways = NULL;
static char *acting_org = NULL;

/* What the assign hooks hand over: NULL when unset or not believable. */
static const LbClaims *token_claims = NULL;
static const LbClaims *gateway_claims = NULL;

static bool assuming = false;	/* inside lb_identity_assume() */
static LocalTransactionId sealed_transaction = InvalidLocalTransactionId;

/* Who has no name: with and without a token that was shown in vain. */
static LbIdentity anonymous = {.generation = 1, .nmembers = -1};
static LbIdentity rejected = {.generation = 2, .presented = true, .nmembers = -1};

/* The resolved identity: one of those two, or a slot of the cache. */
static LbIdentity *identity = &anonymous;
static bool identity_known = false;
static Oid	identity_session_user = InvalidOid;
static int64 identity_expires = 0;	/* of the claims; 0 = never */
static uint64 last_generation = 2;
static bool resolving = false;	/* inside resolve_identity() */

/* Counts changes of rights that we have heard of. */
static uint64 rights_changes = 0;

/*
 * The statement that last looked for invalidations, and whether the answer is
 * good for that statement only.
 */
static TimestampTz identity_statement = 0;
static bool identity_provisional = false;

/* lab_private.rbac_epoch: its relcache messages say that rights changed. */
static Oid	epoch_relation = InvalidOid;

/* The next question asks again who is calling. */
static void
forget_identity(void)
{
	identity_known = false;
}

static void
forget_rights(void)
{
	forget_identity();
	lb_identity_cache_clear();
	rights_changes++;
}

static void
relcache_callback(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == epoch_relation)
		forget_rights();
}

/* Settings ------------------------------------------------------------- */

static bool
parse_extra(const char *value, void **extra)
{
	LbClaims	claims;
	LbClaims   *copy;

	*extra = NULL;
	if (value == NULL || value[0] == '\0' || !lb_claims_parse(value, &claims))
		return true;			/* no identity: an anonymous caller */
	copy = lb_guc_malloc(sizeof(LbClaims));
	if (copy == NULL)
		return false;
	*copy = claims;
	*extra = copy;
	return true;
}

static bool
check_token(char **newval, void **extra, GucSource source)
{
	if (*newval == NULL || (*newval)[0] == '\0')
		return true;
	/* A parallel worker restores what its leader has verified. */
	if (!assuming && !InitializingParallelWorker)
	{
		GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
		GUC_check_errmsg("labos.token cannot be set");
		GUC_check_errhint("Call labos.login(token): it verifies.");
		return false;
	}
	return parse_extra(*newval, extra);
}

static void
assign_token(const char *newval, void *extra)
{
	token_claims = extra;
	forget_identity();
}

static const char *
show_token(void)
{
	return token_claims != NULL ? "<set>" : "";
}

/*
 * A gateway sets the claims once per transaction.  Whoever tries it again is
 * code that the gateway was made to run.
 */
static bool
check_claims(char **newval, void **extra, GucSource source)
{
	if (*newval == NULL)
		return true;
	if (source == PGC_S_SESSION && !InitializingParallelWorker &&
		IsTransactionState() && MyProc != NULL && lb_identity_from_gateway())
	{
		if (sealed_transaction == LB_MY_LXID)
		{
			GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
			GUC_check_errmsg("request.jwt.claims is sealed for this transaction");
			GUC_check_errdetail("The gateway has already said who is calling.");
			return false;
		}
		sealed_transaction = LB_MY_LXID;
	}
	return parse_extra(*newval, extra);
}

static void
assign_claims(const char *newval, void *extra)
{
	gateway_claims = extra;
	forget_identity();
}

static bool
check_gateways(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;

	if (!SplitIdentifierString(copy, ',', &names))
	{
		GUC_check_errdetail("List of role names is invalid.");
		return false;
	}
	list_free(names);
	pfree(copy);
	return true;
}

static void
assign_gateways(const char *newval, void *extra)
{
	forget_identity();
}

/* Anybody may wish: what counts is whether the caller may act there, asked live. */
static void
assign_acting_org(const char *newval, void *extra)
{
	forget_identity();
}

const char *
lb_acting_org(void)
{
	if (acting_org == NULL)
		return "";
	return strlen(acting_org) <= LB_ORG_NAME_LENGTH ? acting_org : "?";
}

void
lb_acting_org_set(const char *name)
{
	set_config_option("labos.acting_org", name, PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_LOCAL, true, 0, false);
}

void
lb_identity_init(void)
{
	DefineCustomStringVariable("labos.trusted_gateways",
							   "Login roles whose request.jwt.claims are believed, separated by commas.",
							   "A role listed here can act as any user: only PostgREST's login belongs here.",
							   &trusted_gateways, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   check_gateways, assign_gateways, NULL);
	DefineCustomStringVariable("labos.token",
							   "The identity that labos.login() verified for this transaction.",
							   NULL, &token_setting, "", PGC_USERSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   check_token, assign_token, show_token);
	DefineCustomStringVariable("request.jwt.claims",
							   "Claims of the verified token, set by PostgREST once per transaction.",
							   NULL, &claims_setting, "", PGC_USERSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							   check_claims, assign_claims, NULL);
	DefineCustomStringVariable("labos.acting_org",
							   "The organisation to act in, by id or slug; empty for one's own.",
							   "A wish: it counts where the caller is a member or something is shared with them.",
							   &acting_org, "", PGC_USERSET, GUC_NOT_IN_SAMPLE,
							   NULL, assign_acting_org, NULL);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
}

/* Resolution ----------------------------------------------------------- */

bool
lb_identity_from_gateway(void)
{
	static Oid	known_user = InvalidOid;
	static char *known_list = NULL;
	static bool known_answer = false;
	Oid			session_user = GetSessionUserId();
	char	   *name;
	char	   *copy;
	List	   *names;
	ListCell   *cell;

	if (trusted_gateways == NULL || trusted_gateways[0] == '\0')
		return false;
	if (session_user == known_user && known_list != NULL &&
		strcmp(known_list, trusted_gateways) == 0)
		return known_answer;

	name = GetUserNameFromId(session_user, true);
	if (name == NULL)
		return false;
	known_answer = false;
	copy = pstrdup(trusted_gateways);
	if (SplitIdentifierString(copy, ',', &names))
	{
		foreach(cell, names)
			if (strcmp(lfirst(cell), name) == 0)
				known_answer = true;
		list_free(names);
	}
	pfree(copy);
	pfree(name);
	if (known_list != NULL)
		pfree(known_list);
	known_list = MemoryContextStrdup(TopMemoryContext, trusted_gateways);
	known_user = session_user;
	return known_answer;
}

int64
lb_unix_to_timestamp(int64 seconds)
{
	return (seconds - ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)) * USECS_PER_SEC;
}

void
lb_identity_begin_as(Oid owner, LbOuterUser *outer)
{
	/*
	 * Who may do what is asked as of now: the snapshot of an old cursor or of a
	 * repeatable-read transaction would bring back rights that have been taken,
	 * and the answer outlives it.  A parallel query has one snapshot only.
	 */
	outer->pushed_snapshot = !IsInParallelMode() || !ActiveSnapshotSet();
	if (outer->pushed_snapshot)
		PushActiveSnapshot(IsInParallelMode() ? GetTransactionSnapshot() : GetLatestSnapshot());
	/* "row_security = off" would make an error of policies that hide nothing from the owner. */
	outer->guc_level = 0;
	if (!row_security)
	{
		outer->guc_level = NewGUCNestLevel();
		(void) set_config_option("row_security", "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	GetUserIdAndSecContext(&outer->user, &outer->context);
	SetUserIdAndSecContext(owner, outer->context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/* After an error the transaction's abort restores user, setting and snapshot. */
void
lb_identity_end_as(const LbOuterUser *outer)
{
	SPI_finish();
	SetUserIdAndSecContext(outer->user, outer->context);
	if (outer->guc_level != 0)
		AtEOXact_GUC(true, outer->guc_level);
	if (outer->pushed_snapshot)
		PopActiveSnapshot();
}

/* The owner of lab_private, or InvalidOid while labos is not deployed. */
Oid
lb_identity_private_owner(void)
{
	Oid			schema = get_namespace_oid("lab_private", true);
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(schema))
		return InvalidOid;
	epoch_relation = get_relname_relid("rbac_epoch", schema);
	if (!OidIsValid(epoch_relation))
		return InvalidOid;
	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Ask as the source that counts says; sets identity.  False when the answer
 * must not be kept: nobody could be asked, or rights changed meanwhile.
 */
static bool
ask_who(Oid owner)
{
	LbClaims	none = {0};
	const LbClaims *claims = token_claims;
	const char *source = "token";
	uint64		changes = rights_changes;
	LbIdentityKey key;
	LbIdentity *known;

	if (claims == NULL && lb_identity_from_gateway())
	{
		claims = gateway_claims;
		source = "gateway";
		if (claims == NULL || !claims->has_user)
		{
			identity = &anonymous;	/* whoever else the gateway's login may be */
			return true;
		}
	}
	else if (claims == NULL)
	{
		claims = &none;
		source = "login";
	}
	identity_expires = claims->expires;

	lb_identity_key(&key, source[0], GetSessionUserId(), claims, lb_acting_org());
	known = lb_identity_cache_find(&key);
	if (known != NULL && known->reload_at != 0 && GetCurrentStatementStartTimestamp() >= known->reload_at)
	{
		lb_identity_cache_clear();	/* time has changed the answer since it was kept */
		known = NULL;
	}
	if (known == NULL)
	{
		/* Not the current one until it is complete: an error may come between. */
		identity = &anonymous;
		known = lb_identity_cache_slot(&key);
		known->nmembers = -1;
		known->presented = source[0] != 'l';
		known->generation = ++last_generation;
		if (!lb_identity_load(source, claims, lb_acting_org(), owner, known))
			return false;
		if (changes != rights_changes)
		{
			identity = known;
			return false;
		}
		/*
		 * What this transaction has written may still be rolled back, a new
		 * session for one; and a parallel worker sees what its leader saw.
		 */
		if (!TransactionIdIsValid(GetTopTransactionIdIfAny()) && !IsInParallelMode())
			lb_identity_cache_keep(known);
	}
	identity = known;
	return true;
}

static void
resolve_identity(void)
{
	bool		answered = false;
	Oid			owner;

	identity = token_claims != NULL || gateway_claims != NULL ? &rejected : &anonymous;
	identity_expires = 0;
	identity_known = false;

	if (!IsTransactionState())
		return;

	owner = lb_identity_private_owner();
	if (OidIsValid(owner))
	{
		resolving = true;
		PG_TRY();
		{
			answered = ask_who(owner);
		}
		PG_FINALLY();
		{
			resolving = false;
		}
		PG_END_TRY();
	}
	identity_known = answered;
	identity_provisional = IsInParallelMode();
	identity_session_user = GetSessionUserId();
}

/*
 * A new statement of the client: take notice of what others have committed.
 * In an open transaction a lock that is held already would not do it.
 */
static void
begin_statement(TimestampTz statement)
{
	identity_statement = statement;
	if (identity_provisional)
		forget_identity();
	if (IsTransactionState())
		AcceptInvalidationMessages();
}

const LbIdentity *
lb_identity_current(void)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();

	/* Whatever the query itself asks while it runs is asked by nobody. */
	if (unlikely(resolving))
		return &anonymous;
	if (unlikely(statement != identity_statement))
		begin_statement(statement);
	if (unlikely(!identity_known || identity_session_user != GetSessionUserId() ||
				 (identity->reload_at != 0 && statement >= identity->reload_at)))
	{
		if (identity_known && identity->reload_at != 0)
			lb_identity_cache_clear();	/* time has changed the answer */
		resolve_identity();
	}
	if (identity_expires != 0 && identity->has_user &&
		statement > lb_unix_to_timestamp(identity_expires + lb_setting_jwt_leeway))
		return &rejected;
	return identity;
}

static int
compare_uuids(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(pg_uuid_t));
}

/* Read once per identity: policies on people ask for row after row. */
static void
load_members(void)
{
	Oid			types[1] = {UUIDOID};
	Datum		values[1] = {UUIDPGetDatum(&identity->org)};
	LbOuterUser outer;
	Oid			owner = lb_identity_private_owner();
	int			n = 0;

	if (!OidIsValid(owner))
	{
		identity->nmembers = 0;
		return;
	}
	lb_identity_begin_as(owner, &outer);
	if (SPI_execute_with_args("select lab_private.org_members($1)", 1, types, values,
							  NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "members query failed");
	if (SPI_processed == 1)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		Datum	   *elements;

		deconstruct_array(DatumGetArrayTypeP(value), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR,
						  &elements, NULL, &n);
		identity->members = MemoryContextAllocHuge(identity->context, sizeof(pg_uuid_t) * Max(n, 1));
		for (int i = 0; i < n; i++)
			identity->members[i] = *DatumGetUUIDP(elements[i]);
	}
	lb_identity_end_as(&outer);
	/* Not before: an error on the way must not leave a kept caller without colleagues. */
	identity->nmembers = n;
}

bool
lb_identity_is_colleague(const pg_uuid_t *user)
{
	const LbIdentity *who = lb_identity_current();

	if (!who->has_org)
		return false;
	if (who->nmembers < 0)
		load_members();
	return identity->nmembers > 0 &&
		bsearch(user, identity->members, identity->nmembers, sizeof(pg_uuid_t), compare_uuids) != NULL;
}

void
lb_identity_assume(const char *claims_json)
{
	assuming = true;
	PG_TRY();
	{
		set_config_option("labos.token", claims_json, PGC_USERSET, PGC_S_SESSION,
						  GUC_ACTION_LOCAL, true, 0, false);
	}
	PG_FINALLY();
	{
		assuming = false;
	}
	PG_END_TRY();
}

/* Signals every backend at commit that rights have changed. */
void
lb_identity_rights_changed(void)
{
	Oid			schema = get_namespace_oid("lab_private", true);
	Oid			relation = OidIsValid(schema) ? get_relname_relid("rbac_epoch", schema) : InvalidOid;

	if (OidIsValid(relation))
		CacheInvalidateRelcacheByRelid(relation);
	forget_rights();
}

uint64
lb_identity_rights_changes(void)
{
	return rights_changes;
}

bool
lb_identity_claimed(pg_uuid_t *user, pg_uuid_t *session)
{
	const LbClaims *claims = token_claims;

	if (claims == NULL && lb_identity_from_gateway())
		claims = gateway_claims;
	if (claims == NULL || !claims->has_user)
		return false;
	*user = claims->user;
	memset(session, 0, sizeof(*session));
	if (claims->has_session)
		*session = claims->session;
	return true;
}
