/*-------------------------------------------------------------------------
 *
 * login.c
 *		labos.login(token): a SQL client says who it is.
 *
 * The token is an API key, or one of ours: signed by a key of
 * lab_private.signing_keys, of type at+jwt, not expired, for our issuer and
 * audience, of a live session.
 * Every failure is the same error (P20); the server's log has the reason at
 * DEBUG1.  The identity holds to the end of the transaction: a pooled
 * connection forgets it by itself.
 *
 * IDENTIFICATION
 *	  src/identity/login.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "core/errors.h"
#include "core/jsonscan.h"
#include "identity/api_key.h"
#include "identity/claims.h"
#include "identity/crypto.h"
#include "identity/identity.h"
#include "identity/jwk.h"
#include "identity/jwt.h"

/* What lab_private.token_rules() says of a key id. */
typedef struct TokenRules
{
	char	   *jwk;
	char	   *issuer;
	char	   *audience;
} TokenRules;

static void
refuse(const char *reason)
{
	elog(DEBUG1, "labos.login: %s", reason);
	lb_refuse(401, "token_rejected", NULL,
			  "Sign in again with auth_login, or use auth_refresh.",
			  "the token is not valid");
}

static char *
copy_column(int column, MemoryContext context)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

static bool
find_rules(const char *kid, TokenRules *rules)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(kid)};
	Oid			owner = lb_identity_private_owner();
	MemoryContext caller = CurrentMemoryContext;
	LbOuterUser outer;

	memset(rules, 0, sizeof(TokenRules));
	if (!OidIsValid(owner))
		return false;
	lb_identity_begin_as(owner, &outer);
	if (SPI_execute_with_args("select r.jwk, r.issuer, r.audience from lab_private.token_rules($1) r",
							  1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "token rules query failed");
	if (SPI_processed == 1)
	{
		rules->jwk = copy_column(1, caller);
		rules->issuer = copy_column(2, caller);
		rules->audience = copy_column(3, caller);
	}
	lb_identity_end_as(&outer);
	return rules->jwk != NULL && rules->issuer != NULL && rules->audience != NULL;
}

static char *
uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

/* Is the claim this very string? */
static bool
claim_is(const LbJwt *jwt, const char *name, const char *wanted)
{
	int			length;
	char	   *value = lb_jsonscan_text(&jwt->claims, name, &length);

	return value != NULL && length == (int) strlen(wanted) && memcmp(value, wanted, length) == 0;
}

/*
 * By API key: the key's own session, checked live as every session is.  Reads
 * only, so that it works in a read-only transaction and on a standby.
 */
static void
login_by_key(const char *key, int length)
{
	LbApiKeyOwner owner;
	char	   *claims;

	if (!lb_api_key_find(key, length, &owner))
		refuse("no such API key");
	/* Issued now, whenever that is: a key is no token from before a sign-out. */
	claims = psprintf("{\"sub\":\"%s\",\"org_id\":\"%s\",\"sid\":\"%s\",\"iat\":253402300799}",
					  uuid_text(&owner.user), uuid_text(&owner.org), uuid_text(&owner.session));
	lb_identity_assume(claims);
}

/* Who that makes the caller, in org or in the organisation of the credential. */
static Datum
caller(const char *org)
{
	const LbIdentity *who;

	/* Always: another client of the pool may have left a wish behind. */
	lb_acting_org_set(org);
	who = lb_identity_current();
	if (who->is_elsewhere)
		lb_refuse_elsewhere();
	if (!who->has_user)
		refuse("the session, user or membership has ended");
	return UUIDPGetDatum(memcpy(palloc(sizeof(pg_uuid_t)), &who->user, sizeof(pg_uuid_t)));
}

/*
 * labos.login(token text, org text default null) returns uuid
 *		The user; from here to the end of the transaction they are the caller,
 *		in org (id or slug) or else in the organisation of the token.  Version
 *		0.2 had no second argument.
 *		The token is an access token or an API key; a key acts in its own
 *		organisation only.
 *
 * Errors:	25P01 outside a transaction block, PT401 token_rejected, PT403
 *			not_a_member
 * SQL:		volatile parallel unsafe
 */
PG_FUNCTION_INFO_V1(labos_login);

Datum
labos_login(PG_FUNCTION_ARGS)
{
	text	   *token;
	const char *data;
	int			length;
	LbJwtRules	how = {0};
	LbJwt		jwt;
	LbJwtStatus status;
	TokenRules	rules;
	LbKey	   *key;
	const char *reason = NULL;
	const char *org;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	token = PG_GETARG_TEXT_PP(0);
	data = VARDATA_ANY(token);
	length = VARSIZE_ANY_EXHDR(token);
	org = PG_NARGS() > 1 && !PG_ARGISNULL(1) ? text_to_cstring(PG_GETARG_TEXT_PP(1)) : "";
	RequireTransactionBlock(true, "labos.login()");
	/* The statement may hold the token: other sessions must not read it there. */
	pgstat_report_activity(STATE_RUNNING, "<labos.login>");

	if (length >= 4 && memcmp(data, "lab_", 4) == 0)
	{
		login_by_key(data, length);
		return caller(org);
	}
	status = lb_jwt_peek(data, length, true, &jwt);
	if (status != LB_JWT_OK)
		refuse(lb_jwt_status_name(status));
	if (!find_rules(jwt.kid, &rules))
		refuse("unknown key id");
	key = lb_jwk_cached(rules.jwk, strlen(rules.jwk), &reason);
	if (key == NULL)
		refuse(reason ? reason : "unusable key");

	how.leeway = lb_setting_jwt_leeway;
	how.need_expiry = true;
	how.typ = "at+jwt";
	status = lb_jwt_verify(data, length, key, &how, &jwt);
	if (status != LB_JWT_OK)
		refuse(lb_jwt_status_name(status));
	if (!claim_is(&jwt, "iss", rules.issuer) || !claim_is(&jwt, "aud", rules.audience))
		refuse("another issuer or audience");

	lb_identity_assume(jwt.payload);
	return caller(org);
}
