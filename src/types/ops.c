/*-------------------------------------------------------------------------
 *
 * ops.c
 *		LIKE and ILIKE that cannot leak, for labos_ops.
 *
 * Under row security an operator may use an index, or run before the policy,
 * only if it is LEAKPROOF.  PostgreSQL's LIKE is not: it raises on a pattern
 * that ends with the escape character, once it comes to that end, and so
 * tells something about the text before it.
 *
 * Raising for such a pattern always would leak as well.  In
 *		where name = 'guess' and name like '\'
 * both conditions may run before the policy, and the error would tell that
 * somebody's row has this name.  So nothing is raised at all: an escape
 * character at the end stands for itself, and where PostgreSQL would refuse a
 * collation (none could be derived, or it is not deterministic) the database's
 * own takes its place.
 *
 * IDENTIFICATION
 *	  src/types/ops.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "compat.h"

/* Does the pattern end in the middle of an escape? */
static bool
ends_with_escape(const text *pattern)
{
	const char *p = VARDATA_ANY(pattern);
	const char *end = p + VARSIZE_ANY_EXHDR(pattern);

	/* No byte of a multibyte character of a server encoding is a backslash. */
	while ((p = memchr(p, '\\', end - p)) != NULL)
	{
		if (p + 1 == end)
			return true;
		p += 2;
		if (p >= end)
			return false;
	}
	return false;
}

/* Run one of PostgreSQL's functions with what it will not refuse. */
static Datum
match(FunctionCallInfo fcinfo, PGFunction function)
{
	text	   *pattern = PG_GETARG_TEXT_PP(1);
	Oid			collation = PG_GET_COLLATION();

	if (collation != DEFAULT_COLLATION_OID && collation != C_COLLATION_OID &&
		(!OidIsValid(collation) || !get_collation_isdeterministic(collation)))
		collation = DEFAULT_COLLATION_OID;

	if (ends_with_escape(pattern))
	{
		int			len = VARSIZE_ANY_EXHDR(pattern);
		text	   *doubled = palloc(VARHDRSZ + len + 1);

		SET_VARSIZE(doubled, VARHDRSZ + len + 1);
		memcpy(VARDATA(doubled), VARDATA_ANY(pattern), len);
		VARDATA(doubled)[len] = '\\';
		pattern = doubled;
	}
	return DirectFunctionCall2Coll(function, collation,
								   PG_GETARG_DATUM(0),
								   PointerGetDatum(pattern));
}

/*
 * labos_ops.like, nlike, ilike, nilike (text, text) returns boolean
 *		PostgreSQL's ~~, !~~, ~~* and !~~*, but for a pattern that ends with a
 *		lone backslash, which matches a backslash, and for a collation that
 *		those refuse.
 *
 * Errors:	none
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_ops_like);
PG_FUNCTION_INFO_V1(labos_ops_nlike);
PG_FUNCTION_INFO_V1(labos_ops_ilike);
PG_FUNCTION_INFO_V1(labos_ops_nilike);

Datum
labos_ops_like(PG_FUNCTION_ARGS)
{
	return match(fcinfo, textlike);
}

Datum
labos_ops_nlike(PG_FUNCTION_ARGS)
{
	return match(fcinfo, textnlike);
}

Datum
labos_ops_ilike(PG_FUNCTION_ARGS)
{
	return match(fcinfo, texticlike);
}

Datum
labos_ops_nilike(PG_FUNCTION_ARGS)
{
	return match(fcinfo, texticnlike);
}

/*
 * labos_ops.jsonb_*, numeric_*, ts_match returns boolean
 *		PostgreSQL's own functions, which raise nothing on account of a value.
 *
 * They are wrapped in C although LANGUAGE internal would do without: such a
 * function is looked up by name in the list of all builtins each time an
 * executor starts, which takes 9 us; a C function is found in a hash table.
 *
 * SQL:		immutable strict parallel safe leakproof
 */
#define WRAP(name, function) \
	PG_FUNCTION_INFO_V1(name); \
	Datum \
	name(PG_FUNCTION_ARGS) \
	{ \
		return function(fcinfo); \
	}

WRAP(labos_ops_jsonb_contains, jsonb_contains)
WRAP(labos_ops_jsonb_contained, jsonb_contained)
WRAP(labos_ops_numeric_lt, numeric_lt)
WRAP(labos_ops_numeric_le, numeric_le)
WRAP(labos_ops_numeric_eq, numeric_eq)
WRAP(labos_ops_numeric_ne, numeric_ne)
WRAP(labos_ops_numeric_ge, numeric_ge)
WRAP(labos_ops_numeric_gt, numeric_gt)
WRAP(labos_ops_ts_match, ts_match_vq)
