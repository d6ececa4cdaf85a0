/*-------------------------------------------------------------------------
 *
 * role_guard.c
 *		The shared roles' settings belong to the administrator.
 *
 * PostgreSQL lets every role change its own defaults.  Whoever may SET ROLE
 * lab_user could so give all callers another search_path or a statement_timeout
 * of a millisecond: PostgREST applies a role's settings to each request.  Here
 * ALTER ROLE ... SET on a role that many people share needs CREATEROLE.
 *
 * What a pooled connection would keep for its next client is refused, too.
 *
 * IDENTIFICATION
 *	  src/identity/role_guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"

#include "identity/claims.h"

static ProcessUtility_hook_type previous_hook = NULL;

static bool
is_shared(const char *role)
{
	static const char *const shared[] = {
		"lab_owner", "lab_authenticator", "lab_anon", "lab_user",
		"lab_guest", "lab_auditor", "lab_backup", "lab_delivery"
	};

	for (int i = 0; i < (int) lengthof(shared); i++)
		if (strcmp(role, shared[i]) == 0)
			return true;
	return false;
}

static void
refuse_shared_role(const AlterRoleSetStmt *statement)
{
	char	   *name;

	if (statement->role == NULL || has_createrole_privilege(GetUserId()))
		return;
	name = get_rolespec_name(statement->role);
	if (is_shared(name))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied to change the settings of role \"%s\"", name),
				errdetail("Many people share this role."),
				errhint("Ask the database administrator, or use SET in your own session."));
	pfree(name);
}

/*
 * A cursor WITH HOLD keeps its rows past the transaction, and with it past
 * labos.login(): behind a pooler the next client of the connection could fetch
 * them.  Who has a login of their own may; who is somebody by a token, or
 * nobody yet, may not.
 */
static void
refuse_held_cursor(DeclareCursorStmt *statement)
{
	Oid			role = get_role_oid("lab_user", true);
	const char *token = GetConfigOption("labos.token", true, false);
	pg_uuid_t	user;

	if (!(statement->options & CURSOR_OPT_HOLD) || !OidIsValid(role) ||
		superuser_arg(GetSessionUserId()) ||
		!is_member_of_role(GetSessionUserId(), role))
		return;
	if ((token != NULL && token[0] != '\0') || !lb_identity_user(&user))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied for a cursor WITH HOLD"),
				errdetail("It would outlive the transaction and the caller whom labos.login() named."),
				errhint("Fetch within the transaction."));
}

static void
guard_utility(PlannedStmt *planned, const char *query, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *receiver,
			  QueryCompletion *completion)
{
	if (IsA(planned->utilityStmt, AlterRoleSetStmt))
		refuse_shared_role((AlterRoleSetStmt *) planned->utilityStmt);
	if (IsA(planned->utilityStmt, DeclareCursorStmt))
		refuse_held_cursor((DeclareCursorStmt *) planned->utilityStmt);
	if (previous_hook != NULL)
		previous_hook(planned, query, read_only_tree, context, params,
					  environment, receiver, completion);
	else
		standard_ProcessUtility(planned, query, read_only_tree, context, params,
								environment, receiver, completion);
}

void
lb_identity_guard_roles(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = guard_utility;
}
