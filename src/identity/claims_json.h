/*-------------------------------------------------------------------------
 *
 * claims_json.h
 *		The claims we use, read from a JSON text without raising.
 *
 * IDENTIFICATION
 *	  src/identity/claims_json.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_CLAIMS_JSON_H
#define LABOS_CLAIMS_JSON_H

#include "utils/uuid.h"

/* Flat, so that a setting's "extra" can hold it. */
typedef struct LbClaims
{
	bool		has_user;
	bool		has_org;
	bool		has_session;
	pg_uuid_t	user;			/* sub */
	pg_uuid_t	org;			/* org_id */
	pg_uuid_t	session;		/* sid */
	int64		expires;		/* exp, seconds since 1970; 0 = none */
	int64		issued;			/* iat, seconds since 1970; 0 = none */
} LbClaims;

/*
 * False when the text is not a JSON object, a member we use has another type
 * than it must, or appears twice.  Never raises for bad input.
 */
extern bool lb_claims_parse(const char *json, LbClaims *claims);

#endif							/* LABOS_CLAIMS_JSON_H */
