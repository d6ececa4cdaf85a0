/*-------------------------------------------------------------------------
 *
 * identity_sql.c
 *		What policies, functions and applications ask about the caller.
 *
 * labos.org_for(permission) is the heart of every policy: the acting
 * organisation if the caller holds the permission there, else null.  A null
 * key ends an index scan at once; a boolean function would be called per row.
 *
 * IDENTIFICATION
 *	  src/identity/identity_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "common/jsonapi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "compat.h"
#include "core/errors.h"
#include "core/json.h"
#include "core/uuid7.h"
#include "identity/claims.h"
#include "identity/identity.h"

#define MAX_PERMISSION_LENGTH	128
#define MAX_REQUEST_ID_LENGTH	128

/*
 * The last answers, by permission: a policy asks the same few again in every
 * statement, and memory of a call site would live for one statement only.
 */
#define ANSWER_SLOTS	64		/* as answer_slot() has it */

typedef struct PermissionAnswer
{
	uint64		generation;
	bool		granted;
	int			length;
	char		permission[MAX_PERMISSION_LENGTH];
} PermissionAnswer;

static PermissionAnswer answers[ANSWER_SLOTS];

static bool
list_holds(char **sorted, int n, const char *name, int length)
{
	int			low = 0,
				high = n - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;
		int			order = strncmp(sorted[middle], name, length);

		if (order == 0 && sorted[middle][length] != '\0')
			order = 1;
		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return false;
}

bool
lb_identity_holds_at_home(const LbIdentity *who, const char *permission, int length)
{
	const char *colon;
	char		any[MAX_PERMISSION_LENGTH + 2];

	if (!who->has_user || !who->has_org || length <= 0 || length > MAX_PERMISSION_LENGTH)
		return false;
	if (list_holds(who->permissions, who->npermissions, permission, length) ||
		list_holds(who->permissions, who->npermissions, "*:*", 3))
		return true;
	colon = memchr(permission, ':', length);
	if (colon == NULL)
		return false;
	memcpy(any, permission, colon - permission + 1);
	any[colon - permission + 1] = '*';
	return list_holds(who->permissions, who->npermissions, any, colon - permission + 2);
}

bool
lb_identity_holds(const LbIdentity *who, const char *permission, int length)
{
	return !who->is_guest && lb_identity_holds_at_home(who, permission, length);
}

bool
lb_identity_has_permission(const char *permission)
{
	return lb_identity_holds(lb_identity_current(), permission, strlen(permission));
}

bool
lb_identity_user(pg_uuid_t *result)
{
	const LbIdentity *who = lb_identity_current();

	if (who->has_user)
		*result = who->user;
	return who->has_user;
}

bool
lb_identity_org(pg_uuid_t *result)
{
	const LbIdentity *who = lb_identity_current();

	if (who->has_org)
		*result = who->org;
	return who->has_org;
}

bool
lb_identity_session(pg_uuid_t *result)
{
	const LbIdentity *who = lb_identity_current();

	if (who->has_session)
		*result = who->session;
	return who->has_session;
}

/* The HTTP request ----------------------------------------------------- */

char *
lb_request_header(const char *name)
{
	const char *headers = GetConfigOption("request.headers", true, false);
	Datum		json;
	Datum		value;
	LOCAL_FCINFO(fcinfo, 2);

	if (headers == NULL || headers[0] != '{' || !lb_identity_from_gateway())
		return NULL;
	json = CStringGetTextDatum(headers);
	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = json;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = CStringGetTextDatum(name);
	fcinfo->args[1].isnull = false;
	value = json_object_field_text(fcinfo);
	return fcinfo->isnull ? NULL : TextDatumGetCString(value);
}

static bool
request_id_is_well_formed(const char *id)
{
	int			length = strlen(id);

	if (length == 0 || length > MAX_REQUEST_ID_LENGTH)
		return false;
	for (int i = 0; i < length; i++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-", id[i]) == NULL)
			return false;
	return true;
}

const char *
lb_request_id(void)
{
	static char id[MAX_REQUEST_ID_LENGTH + 1];
	static LocalTransactionId id_transaction = InvalidLocalTransactionId;
	char	   *header;

	if (!lb_identity_from_gateway() || MyProc == NULL)
		return NULL;
	if (id_transaction == LB_MY_LXID)
		return id;
	header = lb_request_header("x-request-id");
	if (header != NULL && request_id_is_well_formed(header))
		strlcpy(id, header, sizeof(id));
	else
	{
		pg_uuid_t	made;

		lb_uuid7_generate(&made);
		strlcpy(id, DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&made))), sizeof(id));
	}
	id_transaction = LB_MY_LXID;
	return id;
}

/*
 * labos.request_header(name text) returns text
 *		A header of the HTTP request, by its lower-case name; null elsewhere.
 *
 * SQL:		stable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_request_header);

Datum
labos_request_header(PG_FUNCTION_ARGS)
{
	char	   *value = lb_request_header(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}

/*
 * labos.request_id() returns text
 *
 * SQL:		stable parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_request_id);

Datum
labos_request_id(PG_FUNCTION_ARGS)
{
	const char *id = lb_request_id();

	if (id == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

/* Identity ------------------------------------------------------------- */

static Datum
return_uuid(FunctionCallInfo fcinfo, bool present, const pg_uuid_t *uuid)
{
	pg_uuid_t  *copy;

	if (!present)
		PG_RETURN_NULL();
	copy = palloc(sizeof(pg_uuid_t));
	*copy = *uuid;
	PG_RETURN_UUID_P(copy);
}

/*
 * labos.user_id() returns uuid
 * SQL:		stable parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_user_id);

Datum
labos_user_id(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	return return_uuid(fcinfo, who->has_user, &who->user);
}

/*
 * labos.org_id() returns uuid
 * SQL:		stable parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_org_id);

Datum
labos_org_id(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	return return_uuid(fcinfo, who->has_org, &who->org);
}

/*
 * labos.session_id() returns uuid
 * SQL:		stable parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_session_id);

Datum
labos_session_id(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	return return_uuid(fcinfo, who->has_session, &who->session);
}

/*
 * labos.is_superuser() returns boolean
 *		A superuser of the installation (users.is_superuser), not of PostgreSQL.
 *
 * SQL:		stable parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_is_superuser);

Datum
labos_is_superuser(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	PG_RETURN_BOOL(who->has_user && who->is_superuser);
}

/* Permissions share words at either end: both ends count. */
static inline uint32
answer_slot(const char *name, int length)
{
	uint64		head = 0,
				tail = 0;

	if (length >= sizeof(uint64))
	{
		memcpy(&head, name, sizeof(head));
		memcpy(&tail, name + length - sizeof(tail), sizeof(tail));
	}
	else
		memcpy(&head, name, length);
	return ((head ^ length) * UINT64CONST(0x9E3779B97F4A7C15) ^ tail) * UINT64CONST(0xD6E8FEB86659FD93) >> 58;
}

bool
lb_identity_call_is_granted(FunctionCallInfo fcinfo, const LbIdentity *who)
{
	text	   *permission = PG_GETARG_TEXT_PP(0);
	const char *name = VARDATA_ANY(permission);
	int			length = VARSIZE_ANY_EXHDR(permission);
	uint64		generation = who->generation;
	PermissionAnswer *answer;

	if (length == 0 || length > MAX_PERMISSION_LENGTH)
		return false;
	answer = &answers[answer_slot(name, length)];
	if (answer->generation != generation || answer->length != length ||
		memcmp(answer->permission, name, length) != 0)
	{
		answer->granted = lb_identity_holds(who, name, length);
		memcpy(answer->permission, name, length);
		answer->length = length;
		answer->generation = generation;
	}
	return answer->granted;
}

/*
 * labos.has_permission(permission text) returns boolean
 * SQL:		stable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_has_permission);

Datum
labos_has_permission(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	PG_RETURN_BOOL(lb_identity_call_is_granted(fcinfo, who));
}

/*
 * labos.org_for(permission text) returns uuid
 *		The acting organisation if the caller holds the permission, else null.
 *
 * SQL:		stable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_org_for);

Datum
labos_org_for(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	return return_uuid(fcinfo, lb_identity_call_is_granted(fcinfo, who), &who->org);
}

/*
 * labos.owner_for(any_permission text, owner uuid) returns uuid
 *		What owner must equal to be visible: itself for a holder of
 *		any_permission, else the caller.
 *
 * SQL:		stable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_owner_for);

Datum
labos_owner_for(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	if (lb_identity_call_is_granted(fcinfo, who))
		return PG_GETARG_DATUM(1);
	return return_uuid(fcinfo, who->has_user, &who->user);
}

/*
 * labos.user_for(permission text, user_id uuid) returns uuid
 *		The user if the caller may see them: themself, or a member of the acting
 *		organisation for a holder of permission; else null.
 *
 * SQL:		stable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_user_for);

Datum
labos_user_for(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();
	pg_uuid_t  *user = PG_GETARG_UUID_P(1);

	if (who->has_user && memcmp(user, &who->user, sizeof(pg_uuid_t)) == 0)
		PG_RETURN_UUID_P(user);
	if (lb_identity_call_is_granted(fcinfo, who) && lb_identity_is_colleague(user))
		PG_RETURN_UUID_P(user);
	PG_RETURN_NULL();
}

/*
 * labos.has_role(role text) returns boolean
 *		Also through a role that inherits it.
 *
 * SQL:		stable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_has_role);

Datum
labos_has_role(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();
	text	   *role = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(list_holds(who->roles, who->nroles,
							  VARDATA_ANY(role), VARSIZE_ANY_EXHDR(role)));
}

/*
 * labos.is_owner_or_admin(owner uuid) returns boolean
 * SQL:		stable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_is_owner_or_admin);

Datum
labos_is_owner_or_admin(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();
	pg_uuid_t  *owner = PG_GETARG_UUID_P(0);

	PG_RETURN_BOOL(who->has_user &&
				   (memcmp(&who->user, owner, sizeof(pg_uuid_t)) == 0 ||
					list_holds(who->roles, who->nroles, "admin", 5)));
}

/* Signed in, but not where they wish to act: never taken for home. */
void
lb_refuse_elsewhere(void)
{
	lb_refuse(403, "not_a_member", NULL,
			  "auth_me lists your memberships, shares_received what others share with you.",
			  "you are not a member of this organisation");
}

static void
refuse_unless(bool granted, const LbIdentity *who, const char *permission)
{
	StringInfoData extra;

	if (granted)
		return;
	if (who->is_elsewhere)
		lb_refuse_elsewhere();
	if (!who->has_user)
		lb_refuse(401, who->presented ? "token_rejected" : "not_authenticated", NULL,
				  "Sign in with auth_login and send the access token as a bearer token.",
				  "sign in first");
	if (who->is_guest)
		lb_refuse(403, "guest_not_allowed", NULL,
				  "Act in your own organisation for this; here you see and change what is shared with you.",
				  "guests may not do this");
	initStringInfo(&extra);
	lb_json_member(&extra, "permission", permission);
	lb_refuse(403, "permission_denied", extra.data,
			  "Ask an administrator of your organisation for a role that has it.",
			  "permission %s is needed", permission);
}

/*
 * labos.require_permission(permission text) returns void
 *
 * Errors:	PT401 not_authenticated or token_rejected, PT403 permission_denied,
 *			guest_not_allowed, not_a_member
 * SQL:		volatile strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_require_permission);

Datum
labos_require_permission(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	refuse_unless(lb_identity_call_is_granted(fcinfo, who), who, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/*
 * labos.require_org_for(permission text) returns uuid
 *
 * Errors:	PT401 not_authenticated or token_rejected, PT403 permission_denied,
 *			guest_not_allowed, not_a_member
 * SQL:		volatile strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_require_org_for);

Datum
labos_require_org_for(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	refuse_unless(lb_identity_call_is_granted(fcinfo, who), who, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	return return_uuid(fcinfo, true, &who->org);
}

/*
 * labos.require_user() returns uuid
 *		The signed-in user, whatever they may do.
 *
 * Errors:	PT401 not_authenticated or token_rejected
 * SQL:		volatile parallel safe
 */
PG_FUNCTION_INFO_V1(labos_require_user);

Datum
labos_require_user(PG_FUNCTION_ARGS)
{
	const LbIdentity *who = lb_identity_current();

	refuse_unless(who->has_user, who, "");
	return return_uuid(fcinfo, true, &who->user);
}

/*
 * labos.tg__rbac_changed() returns trigger
 *		After a change to users, memberships, roles or sessions: every backend
 *		resolves its identity again on its next statement.
 */
PG_FUNCTION_INFO_V1(labos_tg__rbac_changed);

Datum
labos_tg__rbac_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("tg__rbac_changed must be called as a trigger"));
	lb_identity_rights_changed();
	PG_RETURN_POINTER(NULL);
}
