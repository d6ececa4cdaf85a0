/*-------------------------------------------------------------------------
 *
 * formula_ops.c
 *		Operators of labos.formula and their index support.
 *
 * Everything here is LEAKPROOF: nothing raises on account of a value.  An
 * unknown symbol in a text array names no element, so that nothing contains
 * it; raising would tell the contents of rows that a policy hides.
 *
 * GIN keys are bigint: an element's code, and one key for the chemical system
 * (the hashed set of elements, made negative to keep the two apart).  "Among
 * these elements" looks up the systems of all subsets, which are few, instead
 * of all rows that contain oxygen.
 *
 * IDENTIFICATION
 *	  src/types/formula_ops.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/gin.h"
#include "access/stratnum.h"
#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/array.h"

#include "compat.h"
#include "types/formula.h"

#define PG_GETARG_FORMULA_P(n) ((LbFormula *) PG_GETARG_VARLENA_P(n))

/* Strategies; the same number plus ARRAY_STRATEGY takes a text array. */
#define OVERLAP_STRATEGY 1
#define CONTAINS_STRATEGY 2
#define CONTAINED_STRATEGY 3
#define ARRAY_STRATEGY 10

/* Up to this many elements, all subsets are looked up: 1023 keys. */
#define MAX_SUBSET_ELEMENTS 10

/* What a text array asks for. */
typedef struct ElementQuery
{
	LbElementSet set;
	bool		unknown;		/* it also names something that is no element */
} ElementQuery;

/* A query read from an array, kept with the bytes it was read from. */
typedef struct KeptQuery
{
	ElementQuery query;
	Size		size;
	char		bytes[FLEXIBLE_ARRAY_MEMBER];
} KeptQuery;

/* Order and hash ------------------------------------------------------------ */

static bool
formulas_equal(const LbFormula *a, const LbFormula *b)
{
	return VARSIZE(a) == VARSIZE(b) &&
		memcmp(VARDATA(a), VARDATA(b), VARSIZE(a) - VARHDRSZ) == 0;
}

/* The place of code's amount: the bits below it. */
static inline int64
amount_of(const LbFormula *formula, int code)
{
	int			below;

	if (code <= 64)
		below = pg_popcount64(formula->set.bits[0] &
							  ((UINT64CONST(1) << (code - 1)) - 1));
	else
		below = pg_popcount64(formula->set.bits[0]) +
			pg_popcount64(formula->set.bits[1] &
						  ((UINT64CONST(1) << (code - 65)) - 1));
	return formula->amount[below];
}

/*
 * Hill's order of an index: term by term in Hill order, first by symbol, then
 * by amount; a formula that ends is before one that goes on; charge last.
 */
static int
compare_formulas(const LbFormula *a, const LbFormula *b)
{
	uint8		hill_a[LB_ELEMENTS];
	uint8		hill_b[LB_ELEMENTS];
	int			na,
				nb;

	if (formulas_equal(a, b))
		return 0;
	na = lb_formula_hill(a, hill_a);
	nb = lb_formula_hill(b, hill_b);
	for (int i = 0; i < na && i < nb; i++)
	{
		int64		x,
					y;

		if (hill_a[i] != hill_b[i])
			return lb_elements[hill_a[i]].rank < lb_elements[hill_b[i]].rank ?
				-1 : 1;
		x = amount_of(a, hill_a[i]);
		y = amount_of(b, hill_b[i]);
		if (x != y)
			return x < y ? -1 : 1;
	}
	if (na != nb)
		return na < nb ? -1 : 1;
	return (a->charge > b->charge) - (a->charge < b->charge);
}

/*
 * labos.formula_eq, _ne, _lt, _le, _ge, _gt (formula, formula) returns boolean
 *		Same amounts of the same elements and the same charge; Hill's order.
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_eq);
PG_FUNCTION_INFO_V1(labos_formula_ne);
PG_FUNCTION_INFO_V1(labos_formula_lt);
PG_FUNCTION_INFO_V1(labos_formula_le);
PG_FUNCTION_INFO_V1(labos_formula_ge);
PG_FUNCTION_INFO_V1(labos_formula_gt);

Datum
labos_formula_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(formulas_equal(PG_GETARG_FORMULA_P(0),
								  PG_GETARG_FORMULA_P(1)));
}

Datum
labos_formula_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!formulas_equal(PG_GETARG_FORMULA_P(0),
								   PG_GETARG_FORMULA_P(1)));
}

Datum
labos_formula_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_formulas(PG_GETARG_FORMULA_P(0),
									PG_GETARG_FORMULA_P(1)) < 0);
}

Datum
labos_formula_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_formulas(PG_GETARG_FORMULA_P(0),
									PG_GETARG_FORMULA_P(1)) <= 0);
}

Datum
labos_formula_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_formulas(PG_GETARG_FORMULA_P(0),
									PG_GETARG_FORMULA_P(1)) >= 0);
}

Datum
labos_formula_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_formulas(PG_GETARG_FORMULA_P(0),
									PG_GETARG_FORMULA_P(1)) > 0);
}

/*
 * labos.formula_cmp(formula, formula) returns integer
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_cmp);

Datum
labos_formula_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_formulas(PG_GETARG_FORMULA_P(0),
									 PG_GETARG_FORMULA_P(1)));
}

/*
 * labos.formula_hash(formula) returns integer
 * labos.formula_hash_extended(formula, bigint) returns bigint
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_hash);
PG_FUNCTION_INFO_V1(labos_formula_hash_extended);

Datum
labos_formula_hash(PG_FUNCTION_ARGS)
{
	LbFormula  *formula = PG_GETARG_FORMULA_P(0);

	return hash_any((unsigned char *) VARDATA(formula),
					VARSIZE(formula) - VARHDRSZ);
}

Datum
labos_formula_hash_extended(PG_FUNCTION_ARGS)
{
	LbFormula  *formula = PG_GETARG_FORMULA_P(0);

	return hash_any_extended((unsigned char *) VARDATA(formula),
							 VARSIZE(formula) - VARHDRSZ, PG_GETARG_INT64(1));
}

/* Sets of elements ---------------------------------------------------------- */

static inline bool
set_contains(const LbElementSet *a, const LbElementSet *b)
{
	return (b->bits[0] & ~a->bits[0]) == 0 && (b->bits[1] & ~a->bits[1]) == 0;
}

static inline bool
set_overlaps(const LbElementSet *a, const LbElementSet *b)
{
	return (a->bits[0] & b->bits[0]) != 0 || (a->bits[1] & b->bits[1]) != 0;
}

/* The set of a stored formula, without unpacking a short one. */
static inline LbElementSet
set_argument(FunctionCallInfo fcinfo, int n)
{
	struct varlena *formula = PG_GETARG_VARLENA_PP(n);
	LbElementSet set;

	memcpy(&set, VARDATA_ANY(formula) + offsetof(LbFormula, set) - VARHDRSZ,
		   sizeof(set));
	return set;
}

static ElementQuery
read_array(ArrayType *array)
{
	ElementQuery query = {{{0, 0}}, false};
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (ARR_ELEMTYPE(array) != TEXTOID)
	{
		query.unknown = true;
		return query;
	}
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		int			code = 0;

		if (!nulls[i])
		{
			text	   *symbol = DatumGetTextPP(values[i]);

			code = lb_element_find(VARDATA_ANY(symbol),
								   VARSIZE_ANY_EXHDR(symbol));
		}
		if (code == 0)
			query.unknown = true;
		else
			lb_set_add(&query.set, code);
	}
	pfree(values);
	pfree(nulls);
	return query;
}

/*
 * A text array argument, read once where it stays the same.  The bytes are
 * compared: plpgsql keeps an expression's FmgrInfo while its variables change.
 */
static ElementQuery
query_argument(FunctionCallInfo fcinfo, int n)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(n);
	Size		size = VARSIZE(array);
	KeptQuery  *kept;

	if (flinfo == NULL || !get_fn_expr_arg_stable(flinfo, n))
		return read_array(array);
	kept = flinfo->fn_extra;
	if (kept != NULL && kept->size == size &&
		memcmp(kept->bytes, array, size) == 0)
		return kept->query;
	flinfo->fn_extra = NULL;
	if (kept != NULL)
		pfree(kept);
	kept = MemoryContextAlloc(flinfo->fn_mcxt,
							  offsetof(KeptQuery, bytes) + size);
	kept->query = read_array(array);
	kept->size = size;
	memcpy(kept->bytes, array, size);
	flinfo->fn_extra = kept;
	return kept->query;
}

/*
 * labos.formula_contains(formula, formula | text[]) returns boolean		@>
 * labos.formula_contained(formula, formula | text[]) returns boolean		<@
 * labos.formula_overlaps(formula, formula | text[]) returns boolean		&&
 *		These compare the elements, never the amounts.
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_contains);
PG_FUNCTION_INFO_V1(labos_formula_contained);
PG_FUNCTION_INFO_V1(labos_formula_overlaps);
PG_FUNCTION_INFO_V1(labos_formula_contains_array);
PG_FUNCTION_INFO_V1(labos_formula_contained_array);
PG_FUNCTION_INFO_V1(labos_formula_overlaps_array);

Datum
labos_formula_contains(PG_FUNCTION_ARGS)
{
	LbElementSet a = set_argument(fcinfo, 0);
	LbElementSet b = set_argument(fcinfo, 1);

	PG_RETURN_BOOL(set_contains(&a, &b));
}

Datum
labos_formula_contained(PG_FUNCTION_ARGS)
{
	LbElementSet a = set_argument(fcinfo, 0);
	LbElementSet b = set_argument(fcinfo, 1);

	PG_RETURN_BOOL(set_contains(&b, &a));
}

Datum
labos_formula_overlaps(PG_FUNCTION_ARGS)
{
	LbElementSet a = set_argument(fcinfo, 0);
	LbElementSet b = set_argument(fcinfo, 1);

	PG_RETURN_BOOL(set_overlaps(&a, &b));
}

Datum
labos_formula_contains_array(PG_FUNCTION_ARGS)
{
	LbElementSet a = set_argument(fcinfo, 0);
	ElementQuery query = query_argument(fcinfo, 1);

	PG_RETURN_BOOL(!query.unknown && set_contains(&a, &query.set));
}

Datum
labos_formula_contained_array(PG_FUNCTION_ARGS)
{
	LbElementSet a = set_argument(fcinfo, 0);
	ElementQuery query = query_argument(fcinfo, 1);

	PG_RETURN_BOOL(set_contains(&query.set, &a));
}

Datum
labos_formula_overlaps_array(PG_FUNCTION_ARGS)
{
	LbElementSet a = set_argument(fcinfo, 0);
	ElementQuery query = query_argument(fcinfo, 1);

	PG_RETURN_BOOL(set_overlaps(&a, &query.set));
}

/* GIN ------------------------------------------------------------------------ */

/* The key of a chemical system: negative, where codes are positive. */
static int64
system_key(const LbElementSet *set)
{
	uint64		hash = DatumGetUInt64(hash_any_extended((const unsigned char *) set,
														sizeof(*set), 0));

	return (int64) (hash | (UINT64CONST(1) << 63));
}

static int
set_codes(const LbElementSet *set, uint8 *codes)
{
	int			n = 0;

	for (int code = 1; code <= LB_ELEMENTS; code++)
		if (lb_set_has(set, code))
			codes[n++] = (uint8) code;
	return n;
}

/*
 * labos.formula_gin_extract(formula, internal, internal) returns internal
 *		The keys of a formula: its elements and its chemical system.
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_gin_extract);

Datum
labos_formula_gin_extract(PG_FUNCTION_ARGS)
{
	LbElementSet set = set_argument(fcinfo, 0);
	int32	   *nkeys = (int32 *) PG_GETARG_POINTER(1);
	uint8		codes[LB_ELEMENTS];
	int			n = set_codes(&set, codes);
	Datum	   *keys = palloc(sizeof(Datum) * (n + 1));

	for (int i = 0; i < n; i++)
		keys[i] = Int64GetDatum(codes[i]);
	keys[n] = Int64GetDatum(system_key(&set));
	*nkeys = n + 1;
	PG_RETURN_POINTER(keys);
}

/* Keys of all non-empty subsets of n elements. */
static Datum *
subset_keys(const uint8 *codes, int n, int32 *nkeys)
{
	int			subsets = (1 << n) - 1;
	Datum	   *keys = palloc(sizeof(Datum) * subsets);

	for (int which = 1; which <= subsets; which++)
	{
		LbElementSet set = {{0, 0}};

		for (int i = 0; i < n; i++)
			if (which >> i & 1)
				lb_set_add(&set, codes[i]);
		keys[which - 1] = Int64GetDatum(system_key(&set));
	}
	*nkeys = subsets;
	return keys;
}

/*
 * labos.formula_gin_query(formula, internal, int2, ...) returns internal
 *		The keys to look up.  The first argument is a text array for the
 *		strategies above ARRAY_STRATEGY.
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_gin_query);

Datum
labos_formula_gin_query(PG_FUNCTION_ARGS)
{
	int32	   *nkeys = (int32 *) PG_GETARG_POINTER(1);
	StrategyNumber strategy = PG_GETARG_UINT16(2);
	int32	   *mode = (int32 *) PG_GETARG_POINTER(6);
	ElementQuery query = {{{0, 0}}, false};
	uint8		codes[LB_ELEMENTS];
	Datum	   *keys;
	int			n;

	if (strategy > ARRAY_STRATEGY)
	{
		query = read_array(PG_GETARG_ARRAYTYPE_P(0));
		strategy -= ARRAY_STRATEGY;
	}
	else
		query.set = set_argument(fcinfo, 0);

	*nkeys = 0;
	*mode = GIN_SEARCH_MODE_DEFAULT;
	n = set_codes(&query.set, codes);
	if (strategy == CONTAINS_STRATEGY && query.unknown)
		PG_RETURN_POINTER(NULL);
	if (n == 0)
	{
		/* Everything contains nothing; nothing else does. */
		if (strategy == CONTAINS_STRATEGY)
			*mode = GIN_SEARCH_MODE_ALL;
		PG_RETURN_POINTER(NULL);
	}
	if (strategy == CONTAINED_STRATEGY && n <= MAX_SUBSET_ELEMENTS)
		PG_RETURN_POINTER(subset_keys(codes, n, nkeys));

	keys = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
		keys[i] = Int64GetDatum(codes[i]);
	*nkeys = n;
	PG_RETURN_POINTER(keys);
}

/*
 * labos.formula_gin_consistent(internal, int2, ...) returns boolean
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_gin_consistent);

Datum
labos_formula_gin_consistent(PG_FUNCTION_ARGS)
{
	bool	   *check = (bool *) PG_GETARG_POINTER(0);
	StrategyNumber strategy = PG_GETARG_UINT16(1) % ARRAY_STRATEGY;
	int32		nkeys = PG_GETARG_INT32(3);
	bool	   *recheck = (bool *) PG_GETARG_POINTER(5);
	bool		all = true;
	bool		any = false;

	for (int i = 0; i < nkeys; i++)
	{
		all = all && check[i];
		any = any || check[i];
	}
	/* A system key is a hash; many elements were looked up one by one. */
	*recheck = strategy == CONTAINED_STRATEGY;
	PG_RETURN_BOOL(strategy == CONTAINS_STRATEGY ? all : any);
}

/*
 * labos.formula_gin_triconsistent(internal, int2, ...) returns "char"
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_gin_triconsistent);

Datum
labos_formula_gin_triconsistent(PG_FUNCTION_ARGS)
{
	GinTernaryValue *check = (GinTernaryValue *) PG_GETARG_POINTER(0);
	StrategyNumber strategy = PG_GETARG_UINT16(1) % ARRAY_STRATEGY;
	int32		nkeys = PG_GETARG_INT32(3);
	GinTernaryValue all = GIN_TRUE;
	GinTernaryValue any = GIN_FALSE;

	for (int i = 0; i < nkeys; i++)
	{
		if (check[i] == GIN_FALSE)
			all = GIN_FALSE;
		else if (check[i] == GIN_MAYBE && all == GIN_TRUE)
			all = GIN_MAYBE;
		if (check[i] == GIN_TRUE)
			any = GIN_TRUE;
		else if (check[i] == GIN_MAYBE && any == GIN_FALSE)
			any = GIN_MAYBE;
	}
	if (strategy == CONTAINS_STRATEGY)
		PG_RETURN_GIN_TERNARY_VALUE(all);
	if (strategy == CONTAINED_STRATEGY && any == GIN_TRUE)
		any = GIN_MAYBE;
	PG_RETURN_GIN_TERNARY_VALUE(any);
}
