/*-------------------------------------------------------------------------
 *
 * jwk_sql.h
 *		A key from a jsonb argument.
 *
 * IDENTIFICATION
 *	  src/identity/jwk_sql.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_JWK_SQL_H
#define LABOS_JWK_SQL_H

#include "utils/jsonb.h"

#include "identity/jwk.h"

/* Through the cache of the backend; raises LB102 when it is no key we use. */
extern LbKey *lb_jwk_from_jsonb(Jsonb *jwk);

#endif							/* LABOS_JWK_SQL_H */
