/*-------------------------------------------------------------------------
 *
 * claims.h
 *		Who is calling: one answer, from exactly three sources.
 *
 *	1. labos.login(token): verified by us, held for the transaction.
 *	2. request.jwt.claims, believed only from a registered gateway.
 *	3. the map from database login roles to users.
 *
 * Every answer is checked against the live database: an ended session, a
 * disabled user or a lost membership is an anonymous caller.
 *
 * IDENTIFICATION
 *	  src/identity/claims.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_CLAIMS_H
#define LABOS_CLAIMS_H

#include "utils/uuid.h"

/* Called by _PG_init: settings, hooks, cache callbacks. */
extern void lb_identity_init(void);

/* Called by _PG_init: keeps the settings of shared roles from their members. */
extern void lb_identity_guard_roles(void);

/* Called by _PG_init: keeps secrets of SQL clients out of the log. */
extern void lb_identity_scrub_log(void);

/* Called by _PG_init: labos.max_affected_rows. */
extern void lb_identity_limit_init(void);

/* Each returns false when there is none; *result is set only on true. */
extern bool lb_identity_user(pg_uuid_t *result);
extern bool lb_identity_org(pg_uuid_t *result);
extern bool lb_identity_session(pg_uuid_t *result);

/* Does the caller hold this permission in the acting organisation? */
extern bool lb_identity_has_permission(const char *permission);

/* Is the session's login one of labos.trusted_gateways? */
extern bool lb_identity_from_gateway(void);

/*
 * A header of the HTTP request ("x-request-id", lower case), palloc'd; NULL
 * without one or when the request does not come through a gateway.
 */
extern char *lb_request_header(const char *name);

/*
 * The request's id: X-Request-Id when it is well-formed, else one made for
 * this transaction; NULL for a session that is not a gateway's.
 */
extern const char *lb_request_id(void);

/* Begins to believe claims for the rest of the transaction: labos.login(). */
extern void lb_identity_assume(const char *claims_json);

#endif							/* LABOS_CLAIMS_H */
