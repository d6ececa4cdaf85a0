/*-------------------------------------------------------------------------
 *
 * errors.h
 *		The SQLSTATE class LB, one block of numbers a room, and the refusals
 *		that carry a HTTP status.
 *
 * A wrong argument of a C function is raised with ereport() and a standard
 * code or an LB code; PostgREST answers 400.  A refusal that the caller is
 * meant to act on (a conflict, a missing right, a stale version) is raised
 * with lb_refuse(): its DETAIL is a JSON object with a stable "code".
 * docs/errors.md lists them all.
 *
 * IDENTIFICATION
 *	  src/core/errors.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_ERRORS_H
#define LABOS_ERRORS_H

#include "compat.h"

#define LB_SQLSTATE(d2, d1, d0) MAKE_SQLSTATE('L', 'B', d2, d1, d0)

/* LB0: core and deploy */
#define ERRCODE_LABOS_DEPLOY				LB_SQLSTATE('0', '0', '1')
#define ERRCODE_LABOS_VERSION_MISMATCH		LB_SQLSTATE('0', '0', '2')

/* LB1: identity */
#define ERRCODE_LABOS_INVALID_TOKEN			LB_SQLSTATE('1', '0', '1')
#define ERRCODE_LABOS_INVALID_KEY			LB_SQLSTATE('1', '0', '2')
#define ERRCODE_LABOS_INVALID_PASSWORD_HASH LB_SQLSTATE('1', '0', '3')
#define ERRCODE_LABOS_CRYPTO				LB_SQLSTATE('1', '0', '4')
#define ERRCODE_LABOS_SEALED				LB_SQLSTATE('1', '0', '5')

/* LB2: types and numeric */
#define ERRCODE_LABOS_DEGENERATE_DATA		LB_SQLSTATE('2', '0', '1')
#define ERRCODE_LABOS_INVALID_FORMULA		LB_SQLSTATE('2', '0', '2')
#define ERRCODE_LABOS_INVALID_LABCODE		LB_SQLSTATE('2', '0', '3')

/* LB3: audit */
#define ERRCODE_LABOS_AUDIT_CLOSED			LB_SQLSTATE('3', '0', '1')
#define ERRCODE_LABOS_AUDIT_REASON			LB_SQLSTATE('3', '0', '2')

/* LB4: parse */
#define ERRCODE_LABOS_INVALID_JCAMP			LB_SQLSTATE('4', '0', '1')
#define ERRCODE_LABOS_INVALID_CSV			LB_SQLSTATE('4', '0', '2')

/* LB5: engines */
#define ERRCODE_LABOS_UNKNOWN_ENGINE		LB_SQLSTATE('5', '0', '1')
#define ERRCODE_LABOS_INVALID_PARAMETERS	LB_SQLSTATE('5', '0', '2')
#define ERRCODE_LABOS_FIDELITY				LB_SQLSTATE('5', '0', '3')

/* LB6: campaigns */
#define ERRCODE_LABOS_INVALID_CONFIG		LB_SQLSTATE('6', '0', '1')
#define ERRCODE_LABOS_NO_CANDIDATES			LB_SQLSTATE('6', '0', '2')

/* The PTxyz code of a HTTP status, 400 to 599. */
extern int	lb_http_sqlstate(int status);

/*
 * Refuse with a HTTP status.  "code" is the stable name in DETAIL; "extra" is
 * NULL or more JSON members without braces, already escaped (see
 * lb_json_member in core/json.h); "hint" may be NULL.
 */
LB_NORETURN extern void lb_refuse(int status, const char *code, const char *extra,
					  const char *hint, const char *fmt,...)
			pg_attribute_printf(5, 6);

/* Is told of each refusal before it is raised: who logs them sets it. */
typedef void (*lb_refusal_hook_type) (int status, const char *code, const char *extra);
extern lb_refusal_hook_type lb_refusal_hook;

#endif							/* LABOS_ERRORS_H */
