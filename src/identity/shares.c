/*-------------------------------------------------------------------------
 *
 * shares.c
 *		What is shared with the caller: policies of guests and of records that
 *		belong to somebody ask here, row by row.
 *
 * A guest acts in an organisation of which they are no member.  labos.org_for()
 * is null for them, so that no policy written for members lets them in; theirs
 * compare with labos.guest_org_for() and labos.shared_row().  What a guest may
 * do is what the share's level allows and they hold at home: a viewer does not
 * become a writer by a share.
 *
 * IDENTIFICATION
 *	  src/identity/shares.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/uuid.h"

#include "compat.h"
#include "identity/claims.h"
#include "identity/identity.h"

#define KIND_PROJECT	1

/* What can be shared; lab_private.share_kinds() has the tables. */
static const char *const share_kinds[] = {
	"project", "sample", "run", "material", "structure", "simulation_job", "campaign", "dataset"
};

int
lb_share_kind(const char *name, int length)
{
	for (int i = 0; i < lengthof(share_kinds); i++)
		if (strncmp(share_kinds[i], name, length) == 0 && share_kinds[i][length] == '\0')
			return i + 1;
	return 0;
}

/* Does a share of this resource reach the level? */
static bool
is_shared(const LbIdentity *who, int kind, const pg_uuid_t *resource, LbShareLevel level)
{
	int			low = 0,
				high = who->nshares - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;
		const LbShare *share = &who->shares[middle];
		int			order = share->kind - kind;

		if (order == 0)
			order = memcmp(&share->resource, resource, sizeof(pg_uuid_t));
		if (order == 0)
			return share->level >= level;
		if (order < 0)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return false;
}

static bool
word_is(const char *word, int length, const char *wanted)
{
	return length == (int) strlen(wanted) && memcmp(word, wanted, length) == 0;
}

/* The level that a permission needs; none for what no share can give, such as deleting. */
static LbShareLevel
level_needed(const char *permission, int length)
{
	const char *colon = memchr(permission, ':', length);
	const char *action;
	int			n;

	if (colon == NULL)
		return LB_SHARE_NONE;
	action = colon + 1;
	n = length - (action - permission);
	if (word_is(action, n, "read") || word_is(action, n, "read_any"))
		return LB_SHARE_READ;
	if (word_is(action, n, "create") && word_is(permission, colon - permission, "comment"))
		return LB_SHARE_COMMENT;
	if (word_is(action, n, "create") || word_is(action, n, "update") || word_is(action, n, "update_any"))
		return LB_SHARE_WRITE;
	return LB_SHARE_NONE;
}

/*
 * The last answers about guests' permissions: a policy asks for the same one
 * row after row.
 */
#define ANSWER_SLOTS	16
#define MAX_PERMISSION_LENGTH	128

typedef struct GuestAnswer
{
	uint64		generation;
	LbShareLevel level;			/* that a share must reach; none: nothing helps */
	int			length;
	char		permission[MAX_PERMISSION_LENGTH];
} GuestAnswer;

static GuestAnswer answers[ANSWER_SLOTS];

/* The level a guest needs for the permission in argument 0; none when they may not have it. */
static LbShareLevel
guest_level(FunctionCallInfo fcinfo, const LbIdentity *who)
{
	text	   *permission;
	const char *name;
	int			length;
	uint32		slot = 0;
	GuestAnswer *answer;

	if (!who->is_guest || !who->has_user || PG_ARGISNULL(0))
		return LB_SHARE_NONE;
	permission = PG_GETARG_TEXT_PP(0);
	name = VARDATA_ANY(permission);
	length = VARSIZE_ANY_EXHDR(permission);
	if (length == 0 || length > MAX_PERMISSION_LENGTH)
		return LB_SHARE_NONE;
	for (int i = 0; i < length; i++)
		slot = slot * 31 + (unsigned char) name[i];
	answer = &answers[slot % ANSWER_SLOTS];
	if (answer->generation != who->generation || answer->length != length ||
		memcmp(answer->permission, name, length) != 0)
	{
		answer->level = lb_identity_holds_at_home(who, name, length) ? level_needed(name, length) : LB_SHARE_NONE;
		memcpy(answer->permission, name, length);
		answer->length = length;
		answer->generation = who->generation;
	}
	return answer->level;
}

static Datum
return_uuid(const pg_uuid_t *uuid)
{
	pg_uuid_t  *copy = palloc(sizeof(pg_uuid_t));

	*copy = *uuid;
	PG_RETURN_UUID_P(copy);
}

/*
 * labos.guest_org_for(permission text) returns uuid
 *		The organisation in which the caller is a guest, if something there is
 *		shared with them at the level that the permission needs and they hold
 *		it at home; else null.
 *
 * SQL:		stable parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_guest_org_for);

Datum
labos_guest_org_for(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();
	LbShareLevel level = guest_level(fcinfo, who);

	if (level == LB_SHARE_NONE || who->most_shared < level)
		PG_RETURN_NULL();
	return return_uuid(&who->org);
}

/*
 * labos.shared_row(permission text, kind text, id uuid, project_id uuid) returns uuid
 *		The id, if the row itself or its project is shared with the guest who
 *		asks at the level that the permission needs; else null.
 *
 * SQL:		stable parallel safe leakproof; not strict: few rows have a project
 */
PG_FUNCTION_INFO_V1(labos_shared_row);

Datum
labos_shared_row(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();
	LbShareLevel level = guest_level(fcinfo, who);
	text	   *kind;

	if (level == LB_SHARE_NONE || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	kind = PG_GETARG_TEXT_PP(1);
	if (is_shared(who, lb_share_kind(VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind)), PG_GETARG_UUID_P(2), level) ||
		(!PG_ARGISNULL(3) && is_shared(who, KIND_PROJECT, PG_GETARG_UUID_P(3), level)))
		PG_RETURN_DATUM(PG_GETARG_DATUM(2));
	PG_RETURN_NULL();
}

/*
 * labos.owner_for(any_permission text, owner uuid, kind text, id uuid) returns uuid
 *		What owner must equal for the record to be visible: itself for a holder
 *		of any_permission and for whom the record is shared with, else the
 *		caller.
 *
 * SQL:		stable parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_owner_for_shared);

Datum
labos_owner_for_shared(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();
	text	   *permission;
	LbShareLevel level;

	if (!who->has_user || PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (memcmp(PG_GETARG_UUID_P(1), &who->user, sizeof(pg_uuid_t)) == 0 || lb_identity_call_is_granted(fcinfo, who))
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	permission = PG_GETARG_TEXT_PP(0);
	level = level_needed(VARDATA_ANY(permission), VARSIZE_ANY_EXHDR(permission));
	if (who->nshares > 0 && !who->is_guest && level != LB_SHARE_NONE && !PG_ARGISNULL(2) && !PG_ARGISNULL(3))
	{
		text	   *kind = PG_GETARG_TEXT_PP(2);

		if (is_shared(who, lb_share_kind(VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind)), PG_GETARG_UUID_P(3), level))
			PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	}
	return return_uuid(&who->user);
}

/*
 * labos.is_guest() returns boolean
 *		Does the caller act in an organisation that only shares with them?
 *
 * SQL:		stable parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_is_guest);

Datum
labos_is_guest(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	PG_RETURN_BOOL(who->has_user && who->is_guest);
}

/*
 * labos.member_id() returns uuid
 *		The caller, unless they are a guest: what becomes the owner of a new
 *		record is a member of its organisation.
 *
 * SQL:		stable parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_member_id);

Datum
labos_member_id(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	if (!who->has_user || who->is_guest)
		PG_RETURN_NULL();
	return return_uuid(&who->user);
}

/* The HTTP request ----------------------------------------------------- */

/*
 * X-Labos-Org says where to act, for this transaction.  Without it: nowhere
 * else, whatever an earlier request of the pool has left behind.
 */
void
lb_acting_org_from_request(void)
{
	const char *headers = GetConfigOption("request.headers", true, false);
	char	   *name = NULL;

	/* Most requests have none: no JSON is read for them. */
	if (headers != NULL && strstr(headers, "\"x-labos-org\"") != NULL)
		name = lb_request_header("x-labos-org");
	if (name == NULL)
		name = "";
	if (strcmp(name, lb_acting_org()) != 0)
		lb_acting_org_set(name);
}

/*
 * Policies of guests are written for a database role of their own.  The gateway
 * knows the token only, not that X-Labos-Org made its bearer a guest.
 */
void
lb_guest_role_from_request(const LbIdentity *who)
{
	Oid			role;

	if (!who->has_user || !who->is_guest)
		return;
	role = get_role_oid("lab_guest", true);
	if (OidIsValid(role) && GetUserId() != role)
		set_config_option("role", "lab_guest", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}
