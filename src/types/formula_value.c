/*-------------------------------------------------------------------------
 *
 * formula_value.c
 *		What can be computed from a stored formula.
 *
 * A kernel: it allocates with palloc and raises nothing but "out of memory".
 *
 * IDENTIFICATION
 *	  src/types/formula_value.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_bitutils.h"

#include "compat.h"
#include "types/formula.h"

/* CODATA 2018, g/mol */
#define ELECTRON_MOLAR_MASS 5.4857990888e-4

/* Broken amounts are made whole with a factor of at most this. */
#define MAX_DENOMINATOR 10000

LbFormula *
lb_formula_pack(const LbComposition *from)
{
	int			n = pg_popcount64(from->set.bits[0]) +
		pg_popcount64(from->set.bits[1]);
	Size		size = offsetof(LbFormula, amount) + n * sizeof(int64);
	LbFormula  *formula = palloc(size);
	uint8		codes[LB_ELEMENTS];

	SET_VARSIZE(formula, size);
	formula->charge = (int16) from->charge;
	formula->nelements = (uint8) n;
	formula->unused = 0;
	formula->set = from->set;
	lb_formula_codes(formula, codes);
	for (int i = 0; i < n; i++)
		formula->amount[i] = from->amount[codes[i]];
	return formula;
}

int
lb_formula_codes(const LbFormula *formula, uint8 *codes)
{
	int			n = 0;

	for (int word = 0; word < 2; word++)
		for (uint64 bits = formula->set.bits[word]; bits != 0; bits &= bits - 1)
			codes[n++] = (uint8) (word * 64 +
								  pg_rightmost_one_pos64(bits) + 1);
	return n;
}

double
lb_formula_amount(const LbFormula *formula, int code)
{
	int			before;

	if (code < 1 || code > LB_ELEMENTS || !lb_set_has(&formula->set, code))
		return 0;
	if (code <= 64)
		before = pg_popcount64(formula->set.bits[0] &
							   ((UINT64CONST(1) << (code - 1)) - 1));
	else
		before = pg_popcount64(formula->set.bits[0]) +
			pg_popcount64(formula->set.bits[1] &
						  ((UINT64CONST(1) << (code - 65)) - 1));
	return (double) formula->amount[before] / LB_FORMULA_UNIT;
}

double
lb_formula_molar_mass(const LbFormula *formula)
{
	double		mass = 0;
	int			i = 0;

	for (int word = 0; word < 2; word++)
		for (uint64 bits = formula->set.bits[word]; bits != 0; bits &= bits - 1)
		{
			int			code = word * 64 + pg_rightmost_one_pos64(bits) + 1;

			mass += formula->amount[i++] * lb_elements[code].weight;
		}
	return mass / LB_FORMULA_UNIT - formula->charge * ELECTRON_MOLAR_MASS;
}

int
lb_formula_hill(const LbFormula *formula, uint8 *codes)
{
	bool		organic = lb_set_has(&formula->set, 6);
	int			n = lb_formula_codes(formula, codes);

	for (int i = 1; i < n; i++)
	{
		uint8		code = codes[i];
		int			rank = lb_elements[code].rank;
		int			j = i;

		/* With carbon: C, then H, then the others. */
		if (organic && (code == 6 || code == 1))
			rank = code == 6 ? -1 : 0;
		for (; j > 0; j--)
		{
			int			other = lb_elements[codes[j - 1]].rank;

			if (organic && (codes[j - 1] == 6 || codes[j - 1] == 1))
				other = codes[j - 1] == 6 ? -1 : 0;
			if (other < rank)
				break;
			codes[j] = codes[j - 1];
		}
		codes[j] = code;
	}
	return n;
}

static int64
greatest_common_divisor(int64 a, int64 b)
{
	while (b != 0)
	{
		int64		rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * The smallest factor that makes every amount whole within the rounding of
 * its last stored digit, 0 if there is none up to MAX_DENOMINATOR.
 */
static int64
whole_factor(const LbFormula *formula)
{
	for (int64 factor = 1; factor <= MAX_DENOMINATOR; factor++)
	{
		bool		whole = true;

		for (int i = 0; i < formula->nelements && whole; i++)
		{
			/* Only the part below one atom matters: no overflow. */
			int64		rest = (formula->amount[i] % LB_FORMULA_UNIT) * factor %
				LB_FORMULA_UNIT;
			int64		off = Min(rest, LB_FORMULA_UNIT - rest);

			whole = 2 * off <= factor;
		}
		if (whole)
			return factor;
	}
	return 0;
}

LbFormula *
lb_formula_reduce(const LbFormula *formula)
{
	LbFormula  *reduced = palloc(VARSIZE(formula));
	int64		factor = whole_factor(formula);
	int64		divisor = 0;
	int64		charge = formula->charge;

	memcpy(reduced, formula, VARSIZE(formula));
	for (int i = 0; i < formula->nelements; i++)
	{
		if (factor > 0)
		{
			int64		whole = formula->amount[i] / LB_FORMULA_UNIT * factor;
			int64		part = formula->amount[i] % LB_FORMULA_UNIT * factor;

			reduced->amount[i] = whole +
				(part + LB_FORMULA_UNIT / 2) / LB_FORMULA_UNIT;
		}
		/* An amount of almost nothing must not vanish. */
		if (factor > 0 && reduced->amount[i] == 0)
			return memcpy(reduced, formula, VARSIZE(formula));
		divisor = greatest_common_divisor(reduced->amount[i], divisor);
	}
	if (factor > 0)
	{
		charge *= factor;
		if (charge != 0)
			divisor = greatest_common_divisor(divisor, charge < 0 ? -charge : charge);
		charge /= divisor;
	}
	else if (charge != 0)
		return reduced;			/* a broken ion has no smaller whole form */
	for (int i = 0; i < formula->nelements; i++)
	{
		reduced->amount[i] /= divisor;
		/* Beyond what can be stored: the formula as it was. */
		if (reduced->amount[i] > LB_FORMULA_MAX_AMOUNT / LB_FORMULA_UNIT)
			return memcpy(reduced, formula, VARSIZE(formula));
		reduced->amount[i] *= LB_FORMULA_UNIT;
	}
	if (charge < -LB_FORMULA_MAX_CHARGE || charge > LB_FORMULA_MAX_CHARGE)
		return memcpy(reduced, formula, VARSIZE(formula));
	reduced->charge = (int16) charge;
	return reduced;
}
