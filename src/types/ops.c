/*-------------------------------------------------------------------------
 *
 * ops.c
 *		Operators that cannot leak, for labos_ops: LIKE and ILIKE, containment
 *		of arrays and jsonb, order of numeric.
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

#include "access/detoast.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_operator_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

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

/* The call's collation, or one that no function refuses. */
static Oid
harmless_collation(FunctionCallInfo fcinfo)
{
	Oid			collation = PG_GET_COLLATION();

	if (collation != DEFAULT_COLLATION_OID && collation != C_COLLATION_OID &&
		(!OidIsValid(collation) || !get_collation_isdeterministic(collation)))
		collation = DEFAULT_COLLATION_OID;
	return collation;
}

/* Run one of PostgreSQL's functions with what it will not refuse. */
static Datum
match(FunctionCallInfo fcinfo, PGFunction function)
{
	text	   *pattern = PG_GETARG_TEXT_PP(1);
	Oid			collation = harmless_collation(fcinfo);

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

/* jsonb ------------------------------------------------------------------ */

/*
 * Containment recurses as deep as both sides are nested, until the stack is
 * exhausted: an error that tells of a row.  One level takes eight bytes.
 */
#define DEEPEST_PATTERN		512

static bool
nested_too_deep(Datum value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	ignored;
	int			depth = 0;

	if (toast_raw_datum_size(value) <= DEEPEST_PATTERN * 8)
		return false;
	iterator = JsonbIteratorInit(&DatumGetJsonbP(value)->root);
	while ((token = JsonbIteratorNext(&iterator, &ignored, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT)
			depth++;
		else if (token == WJB_END_ARRAY || token == WJB_END_OBJECT)
			depth--;
		if (depth > DEEPEST_PATTERN)
			return true;
	}
	return false;
}

/*
 * labos_ops.jsonb_contains, jsonb_contained (jsonb, jsonb) returns boolean
 *		PostgreSQL's @> and <@; nothing contains what is nested more than 512
 *		levels deep.
 *
 * Errors:	none
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_ops_jsonb_contains);
PG_FUNCTION_INFO_V1(labos_ops_jsonb_contained);

Datum
labos_ops_jsonb_contains(PG_FUNCTION_ARGS)
{
	if (nested_too_deep(PG_GETARG_DATUM(1)))
		PG_RETURN_BOOL(false);
	return jsonb_contains(fcinfo);
}

Datum
labos_ops_jsonb_contained(PG_FUNCTION_ARGS)
{
	if (nested_too_deep(PG_GETARG_DATUM(0)))
		PG_RETURN_BOOL(false);
	return jsonb_contained(fcinfo);
}

/* arrays ----------------------------------------------------------------- */

/* What a call site knows of its element type. */
typedef struct ArrayCall
{
	Oid			element;
	bool		harmless;		/* its equality raises nothing on any value */
	int16		length;
	bool		by_value;
	char		alignment;
	FmgrInfo	inner;			/* PostgreSQL's function keeps its own notes */
} ArrayCall;

static ArrayCall *
array_call(FmgrInfo *flinfo, Oid element)
{
	ArrayCall  *call = flinfo->fn_extra;
	TypeCacheEntry *type;
	Oid			equality;

	if (call == NULL)
	{
		call = flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(ArrayCall));
		call->inner.fn_mcxt = flinfo->fn_mcxt;
	}
	if (call->element != element)
	{
		type = lookup_type_cache(element, TYPECACHE_EQ_OPR_FINFO);
		equality = type->eq_opr_finfo.fn_oid;
		call->harmless = OidIsValid(equality) &&
			(equality == F_NUMERIC_EQ || get_func_leakproof(equality));
		get_typlenbyvalalign(element, &call->length, &call->by_value, &call->alignment);
		call->inner.fn_extra = NULL;
		call->element = element;
	}
	return call;
}

/* Do all of these elements (or is it enough: any) stand in the others? */
static bool
found_by_bytes(const ArrayCall *call, ArrayType *sought, ArrayType *within, bool all)
{
	Datum	   *a;
	Datum	   *b;
	bool	   *a_null;
	bool	   *b_null;
	int			na;
	int			nb;

	deconstruct_array(sought, call->element, call->length, call->by_value, call->alignment, &a, &a_null, &na);
	deconstruct_array(within, call->element, call->length, call->by_value, call->alignment, &b, &b_null, &nb);
	for (int i = 0; i < na; i++)
	{
		bool		found = false;

		for (int j = 0; j < nb && !found && !a_null[i]; j++)
			found = !b_null[j] && datum_image_eq(a[i], b[j], call->by_value, call->length);
		if (found != all)
			return found;
	}
	return all;
}

/*
 * labos_ops.array_contains, array_contained, array_overlaps (anyarray, anyarray)
 *		returns boolean
 *		PostgreSQL's @>, <@ and &&.  Elements whose own equality might raise (a
 *		record with a json in it) are compared by their bytes.
 *
 * Errors:	none
 * SQL:		immutable strict parallel safe leakproof
 */
static Datum
array_compare(FunctionCallInfo fcinfo, PGFunction function, int sought, bool all)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(sought);
	ArrayCall  *call = array_call(fcinfo->flinfo, ARR_ELEMTYPE(array));
	LOCAL_FCINFO(inner, 2);

	if (!call->harmless)
		PG_RETURN_BOOL(found_by_bytes(call, array, PG_GETARG_ARRAYTYPE_P(1 - sought), all));
	InitFunctionCallInfoData(*inner, &call->inner, 2, harmless_collation(fcinfo), NULL, NULL);
	inner->args[0] = fcinfo->args[0];
	inner->args[1] = fcinfo->args[1];
	return function(inner);
}

PG_FUNCTION_INFO_V1(labos_ops_array_contains);
PG_FUNCTION_INFO_V1(labos_ops_array_contained);
PG_FUNCTION_INFO_V1(labos_ops_array_overlaps);

Datum
labos_ops_array_contains(PG_FUNCTION_ARGS)
{
	return array_compare(fcinfo, arraycontains, 1, true);
}

Datum
labos_ops_array_contained(PG_FUNCTION_ARGS)
{
	return array_compare(fcinfo, arraycontained, 0, true);
}

Datum
labos_ops_array_overlaps(PG_FUNCTION_ARGS)
{
	return array_compare(fcinfo, arrayoverlap, 0, false);
}

/*
 * labos_ops.array_sel(internal, oid, internal, integer) returns float8
 *		What PostgreSQL estimates for its operator of the same name: its own
 *		function knows that one only.
 *
 * SQL:		stable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_ops_array_sel);

Datum
labos_ops_array_sel(PG_FUNCTION_ARGS)
{
	char	   *name = get_opname(PG_GETARG_OID(1));
	Oid			operator = OID_ARRAY_OVERLAP_OP;

	if (name == NULL)
		PG_RETURN_FLOAT8(DEFAULT_MATCHING_SEL);
	if (strcmp(name, "@>") == 0)
		operator = OID_ARRAY_CONTAINS_OP;
	else if (strcmp(name, "<@") == 0)
		operator = OID_ARRAY_CONTAINED_OP;
	pfree(name);
	return DirectFunctionCall4(arraycontsel, PG_GETARG_DATUM(0), ObjectIdGetDatum(operator),
							   PG_GETARG_DATUM(2), PG_GETARG_DATUM(3));
}

/*
 * labos_ops.jsonb_exists*, numeric_*, ts_match returns boolean
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

WRAP(labos_ops_jsonb_exists, jsonb_exists)
WRAP(labos_ops_jsonb_exists_any, jsonb_exists_any)
WRAP(labos_ops_jsonb_exists_all, jsonb_exists_all)
WRAP(labos_ops_numeric_lt, numeric_lt)
WRAP(labos_ops_numeric_le, numeric_le)
WRAP(labos_ops_numeric_eq, numeric_eq)
WRAP(labos_ops_numeric_ne, numeric_ne)
WRAP(labos_ops_numeric_ge, numeric_ge)
WRAP(labos_ops_numeric_gt, numeric_gt)
WRAP(labos_ops_ts_match, ts_match_vq)
