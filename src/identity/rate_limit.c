/*-------------------------------------------------------------------------
 *
 * rate_limit.c
 *		What PostgREST calls before every request: is the token still good, and
 *		are there not too many requests?
 *
 * Counted in shared memory, so that GETs count, which run in read-only
 * transactions.  A caller is the user of the token, or the address of who has
 * none.  Addresses count only where they say something (client_address.c).
 *
 * IDENTIFICATION
 *	  src/identity/rate_limit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "core/errors.h"
#include "core/json.h"
#include "identity/claims.h"
#include "identity/identity.h"
#include "identity/throttle.h"

typedef enum LimitName
{
	LIMIT_USER,
	LIMIT_ADDRESS,
	LIMIT_AUTH,
	LIMIT_WRITE,
	LIMIT_READ,
	NLIMITS
} LimitName;

static const char *const limit_names[NLIMITS] = {"user", "address", "auth", "write", "read"};
static const char *const limit_defaults[NLIMITS] = {"500/s:5000", "1000/s:10000", "20/s:100", "off", "off"};

static char *limit_settings[NLIMITS];
static LbBucket limits[NLIMITS];

/* "20/s:100": 20 a second, 100 at once; "off" and "0" are no limit. */
static bool
parse_limit(const char *text, LbBucket *bucket)
{
	double		rate;
	long		burst;
	char	   *end;

	bucket->cost = 0;
	bucket->capacity = 0;
	if (strcmp(text, "off") == 0 || strcmp(text, "0") == 0 || text[0] == '\0')
		return true;
	if (!isdigit((unsigned char) text[0]))
		return false;
	rate = strtod(text, &end);
	if (strncmp(end, "/s:", 3) != 0 || !isdigit((unsigned char) end[3]))
		return false;
	burst = strtol(end + 3, &end, 10);
	if (*end != '\0' || !(rate >= 0.001 && rate <= 1e6) || burst < 1 || burst > 1000000)
		return false;
	bucket->cost = Max((int64) (1e6 / rate), 1);
	bucket->capacity = bucket->cost * burst;
	return true;
}

static bool
check_limit(char **newval, void **extra, GucSource source)
{
	LbBucket	bucket;
	LbBucket   *copy;

	if (!parse_limit(*newval, &bucket))
	{
		GUC_check_errdetail("A limit is requests a second and how many may come at once, such as 20/s:100, or off.");
		return false;
	}
	copy = lb_guc_malloc(sizeof(LbBucket));
	if (copy == NULL)
		return false;
	*copy = bucket;
	*extra = copy;
	return true;
}

#define ASSIGN(name, index) \
	static void name(const char *newval, void *extra) { limits[index] = *(LbBucket *) extra; }
ASSIGN(assign_user, LIMIT_USER)
ASSIGN(assign_address, LIMIT_ADDRESS)
ASSIGN(assign_auth, LIMIT_AUTH)
ASSIGN(assign_write, LIMIT_WRITE)
ASSIGN(assign_read, LIMIT_READ)

void
lb_rate_limit_define(void)
{
	DefineCustomStringVariable("labos.rate_limit_user",
							   "Requests of one signed-in user: a second, and at once.",
							   NULL, &limit_settings[LIMIT_USER], limit_defaults[LIMIT_USER],
							   PGC_SIGHUP, 0, check_limit, assign_user, NULL);
	DefineCustomStringVariable("labos.rate_limit_address",
							   "Requests without a valid token from one address: a second, and at once.",
							   NULL, &limit_settings[LIMIT_ADDRESS], limit_defaults[LIMIT_ADDRESS],
							   PGC_SIGHUP, 0, check_limit, assign_address, NULL);
	DefineCustomStringVariable("labos.rate_limit_auth",
							   "Calls of auth_* from one address: a second, and at once.",
							   NULL, &limit_settings[LIMIT_AUTH], limit_defaults[LIMIT_AUTH],
							   PGC_SIGHUP, 0, check_limit, assign_auth, NULL);
	DefineCustomStringVariable("labos.rate_limit_write",
							   "Requests of one caller other than GET and HEAD: a second, and at once.",
							   NULL, &limit_settings[LIMIT_WRITE], limit_defaults[LIMIT_WRITE],
							   PGC_SIGHUP, 0, check_limit, assign_write, NULL);
	DefineCustomStringVariable("labos.rate_limit_read",
							   "GET and HEAD requests of one caller: a second, and at once.",
							   NULL, &limit_settings[LIMIT_READ], limit_defaults[LIMIT_READ],
							   PGC_SIGHUP, 0, check_limit, assign_read, NULL);
}

void
lb_throttle_refuse(const char *code, int64 wait, const char *extra,
				   const char *headers, const char *hint, const char *message)
{
	int			seconds = (int) ((wait + USECS_PER_SEC - 1) / USECS_PER_SEC);
	const char *method = GetConfigOption("request.method", true, false);
	StringInfoData members;
	StringInfoData detail;
	StringInfoData body;

	initStringInfo(&members);
	appendStringInfo(&members, "\"retry_after\": %d", seconds);
	if (extra != NULL)
		appendStringInfo(&members, ", %s", extra);
	if (method == NULL || method[0] == '\0' || !lb_identity_from_gateway())
		lb_refuse(429, code, members.data, hint, "%s", message);

	/* The one state by which an error of ours brings headers along. */
	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"code\": ");
	escape_json(&detail, code);
	appendStringInfo(&detail, ", %s}", members.data);
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"code\": \"PT429\", \"message\": ");
	escape_json(&body, message);
	appendStringInfoString(&body, ", \"details\": ");
	escape_json(&body, detail.data);
	appendStringInfoString(&body, ", \"hint\": ");
	escape_json(&body, hint);
	appendStringInfoChar(&body, '}');
	resetStringInfo(&detail);
	appendStringInfo(&detail, "{\"status\": 429, \"headers\": {\"Retry-After\": \"%d\", \"Cache-Control\": \"no-store\"%s%s}}",
					 seconds, headers ? ", " : "", headers ? headers : "");
	ereport(ERROR,
			errcode(MAKE_SQLSTATE('P', 'G', 'R', 'S', 'T')),
			errmsg_internal("%s", body.data),
			errdetail_internal("%s", detail.data));
	pg_unreachable();
}

static void
charge_limit(LimitName name, const void *bytes, size_t length)
{
	LbBucket	bucket = limits[name];
	LbThrottleKey key;
	StringInfoData extra;
	StringInfoData headers;
	int64		wait;

	if (bucket.cost == 0)
		return;
	lb_throttle_key(&key, limit_names[name], bytes, length);
	wait = lb_throttle_charge(LB_AREA_REQUEST, &key, bucket);
	if (wait == 0)
		return;

	pg_atomic_fetch_add_u64(&lb_shared()->refused_requests, 1);
	initStringInfo(&extra);
	lb_json_member(&extra, "limit", limit_names[name]);
	initStringInfo(&headers);
	/* draft-ietf-httpapi-ratelimit-headers: the policy, what is left, when there is more. */
	appendStringInfo(&headers, "\"RateLimit-Policy\": \"\\\"%s\\\";q=" INT64_FORMAT ";w=" INT64_FORMAT "\", "
					 "\"RateLimit\": \"\\\"%s\\\";r=0;t=" INT64_FORMAT "\"",
					 limit_names[name], bucket.capacity / bucket.cost,
					 Max(bucket.capacity / USECS_PER_SEC, 1),
					 limit_names[name], (wait + USECS_PER_SEC - 1) / USECS_PER_SEC);
	lb_throttle_refuse("rate_limited", wait, extra.data, headers.data,
					   "Wait as long as Retry-After says, and send requests more slowly.",
					   "too many requests");
}

/* The value of a hexadecimal digit, or -1. */
static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
		c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The path comes as it was sent: any of its characters may be written as %41. */
static bool
is_auth_path(const char *path)
{
	if (path == NULL)
		return false;
	for (const char *wanted = "/rpc/auth_"; *wanted != '\0'; wanted++, path++)
	{
		int			c = (unsigned char) *path;

		if (c == '%' && hex_digit(path[1]) >= 0 && hex_digit(path[2]) >= 0)
		{
			c = hex_digit(path[1]) * 16 + hex_digit(path[2]);
			path += 2;
		}
		if (c != *wanted)
			return false;
	}
	return true;
}

static void
charge_request(const LbIdentity *who, const char *method)
{
	bool		reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "OPTIONS") == 0;
	bool		is_auth = limits[LIMIT_AUTH].cost != 0 && is_auth_path(GetConfigOption("request.path", true, false));
	LimitName	class = reads ? LIMIT_READ : LIMIT_WRITE;
	LbAddress	network;
	bool		has_network = false;
	bool		has_user = who->has_user;
	pg_uuid_t	user = who->user;	/* who the caller is may be asked again below */

	if (is_auth || (!has_user && (limits[LIMIT_ADDRESS].cost != 0 || limits[class].cost != 0)))
		has_network = lb_client_network(&network);
	if (is_auth && has_network)
		charge_limit(LIMIT_AUTH, &network, sizeof(network));
	if (has_user)
	{
		charge_limit(class, &user, sizeof(user));
		charge_limit(LIMIT_USER, &user, sizeof(user));
	}
	else if (has_network)
	{
		charge_limit(class, &network, sizeof(network));
		charge_limit(LIMIT_ADDRESS, &network, sizeof(network));
	}
}

/*
 * labos.pre_request() returns void
 *		What PostgREST calls before every request: too many of one caller are
 *		refused, and so is a token whose session has ended, whose user is
 *		disabled or who has left the organisation.  Refusals noted by others
 *		are written into the access log if this request may write.  X-Labos-Org
 *		says where to act; a guest gets the database role of guests.
 *
 * Errors:	PT429 rate_limited, PT401 token_rejected, PT403 not_a_member
 * Cost:	1 to 5 us
 * SQL:		volatile parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_pre_request);

Datum
labos_pre_request(PG_FUNCTION_ARGS)
{
	const LbIdentity *who;
	const char *method = GetConfigOption("request.method", true, false);

	lb_acting_org_from_request();
	who = lb_identity_current();
	if (method != NULL && method[0] != '\0' && lb_identity_from_gateway())
	{
		charge_request(who, method);
		who = lb_identity_current();
	}
	if (who->is_elsewhere)
		lb_refuse_elsewhere();
	if (who->presented && !who->has_user)
		lb_refuse(401, "token_rejected", NULL,
				  "Sign in again with auth_login, or use auth_refresh.",
				  "the token is no longer valid");
	(void) lb_denied_flush();
	lb_guest_role_from_request(lb_identity_current());
	PG_RETURN_VOID();
}

/*
 * labos.throttle_state() returns record
 *		What is counted, held and refused, since the server's start.
 *
 * SQL:		volatile parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_throttle_state);

Datum
labos_throttle_state(PG_FUNCTION_ARGS)
{
	LbShared   *state = lb_shared();
	Datum		values[11] = {0};
	bool		nulls[11] = {0};
	TupleDesc	desc;
	int			used;
	int			waiting;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	SpinLockAcquire(&state->hashes.lock);
	used = state->hashes.used;
	waiting = state->hashes.waiting;
	SpinLockRelease(&state->hashes.lock);
	values[0] = BoolGetDatum(lb_shared_is_shared());
	values[1] = Int32GetDatum(lb_hash_slot_limit());
	values[2] = Int32GetDatum(used);
	values[3] = Int32GetDatum(waiting);
	values[4] = Int64GetDatum((int64) state->nsets * LB_THROTTLE_WAYS);
	values[5] = Int64GetDatum(lb_throttle_used());
	values[6] = Int32GetDatum((int32) pg_atomic_read_u32(&state->denied.waiting));
	values[7] = Int64GetDatum(state->denied.lost_ever);
	values[8] = Int64GetDatum((int64) pg_atomic_read_u64(&state->refused_hashes));
	values[9] = Int64GetDatum((int64) pg_atomic_read_u64(&state->refused_logins));
	values[10] = Int64GetDatum((int64) pg_atomic_read_u64(&state->refused_requests));
	/* A backend that counts for itself knows nothing of the places. */
	nulls[2] = nulls[3] = !lb_shared_is_shared();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
