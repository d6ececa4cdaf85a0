/*-------------------------------------------------------------------------
 *
 * formula.h
 *		Chemical formulas: the stored value and what can be done with it.
 *
 * IDENTIFICATION
 *	  src/types/formula.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_FORMULA_H
#define LABOS_FORMULA_H

#include "types/elements.h"

/* Amounts are stored in billionths of an atom, so that equality is exact. */
#define LB_FORMULA_UNIT INT64CONST(1000000000)
/* At most a thousand million atoms of one element. */
#define LB_FORMULA_MAX_AMOUNT (LB_FORMULA_UNIT * INT64CONST(1000000000))
#define LB_FORMULA_MAX_CHARGE 999
/* Bytes of text; more than the longest output, 120 times Xx999999999.999999999 */
#define LB_FORMULA_MAX_LENGTH 3000
#define LB_FORMULA_MAX_DEPTH 16 /* nested brackets */

/* A set of elements; code c is bit (c - 1). */
typedef struct LbElementSet
{
	uint64		bits[2];
} LbElementSet;

/* The dense form that the parser fills: amount[c] belongs to element code c. */
typedef struct LbComposition
{
	int			charge;
	LbElementSet set;
	int64		amount[LB_ELEMENTS + 1];
} LbComposition;

/*
 * The stored form (a varlena).  amount[] holds one entry for each bit of the
 * set, in order of code.  Two equal formulas are equal bytes.
 */
typedef struct LbFormula
{
	int32		vl_len_;
	int16		charge;
	uint8		nelements;
	uint8		unused;			/* always 0 */
	LbElementSet set;
	int64		amount[FLEXIBLE_ARRAY_MEMBER];
} LbFormula;

/* What is wrong with a text, and where: a byte offset. */
typedef struct LbFormulaError
{
	int			at;
	char		problem[128];
	const char *hint;			/* or NULL */
} LbFormulaError;

/* Read a formula, or fill *error and return false.  Never raises. */
extern bool lb_formula_parse(const char *text, int len, LbComposition *out,
							 LbFormulaError *error);

/* The stored form, palloc'd. */
extern LbFormula *lb_formula_pack(const LbComposition *from);
/* Fills codes[LB_ELEMENTS] in order of code; returns how many. */
extern int	lb_formula_codes(const LbFormula *formula, uint8 *codes);
/* Amount of an element in atoms, 0 if absent. */
extern double lb_formula_amount(const LbFormula *formula, int code);
/* Mass of one mole of formula units, g/mol, electrons of the charge included. */
extern double lb_formula_molar_mass(const LbFormula *formula);
/* Codes in Hill order (C, H, then the alphabet; without C the alphabet). */
extern int	lb_formula_hill(const LbFormula *formula, uint8 *codes);
/* Divided by the largest common amount; broken amounts become whole. */
extern LbFormula *lb_formula_reduce(const LbFormula *formula);

static inline bool
lb_set_has(const LbElementSet *set, int code)
{
	return (set->bits[(code - 1) >> 6] >> ((code - 1) & 63)) & 1;
}

static inline void
lb_set_add(LbElementSet *set, int code)
{
	set->bits[(code - 1) >> 6] |= UINT64CONST(1) << ((code - 1) & 63);
}

#endif							/* LABOS_FORMULA_H */
