/*-------------------------------------------------------------------------
 *
 * formula.c
 *		The SQL type labos.formula: text and binary form, and what a formula
 *		tells: elements, amounts, masses, reduced and anonymous form.
 *
 * Operators and index support are in formula_ops.c.
 *
 * IDENTIFICATION
 *	  src/types/formula.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdlib.h>

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "compat.h"
#include "core/errors.h"
#include "types/formula.h"

#define PG_GETARG_FORMULA_P(n) ((LbFormula *) PG_GETARG_VARLENA_P(n))

/* Characters of a bad text that an error shows before and after the place. */
#define SHOWN_BEFORE 50
#define SHOWN_AFTER 20

/* Append n bytes of text, control characters as "?"; returns the characters. */
static int
append_clean(StringInfo out, const char *text, int n)
{
	int			chars = 0;

	for (int i = 0; i < n; chars++)
	{
		int			len = Min(pg_mblen(text + i), n - i);

		if (len == 1 && ((uint8) text[i] < ' ' || text[i] == 127))
			appendStringInfoChar(out, '?');
		else
			appendBinaryStringInfo(out, text + i, len);
		i += len;
	}
	return chars;
}

/*
 * Two lines: the text around the place and a caret under it.  *character is
 * the place counted in characters from 1.
 */
static char *
point_at(const char *text, int len, int at, int *character)
{
	StringInfoData out;
	int			from = 0;
	int			to = 0;
	int			chars = 0;
	int			before;

	for (int i = 0; i < at; i += pg_mblen(text + i))
		chars++;
	*character = chars + 1;

	for (int skip = chars - SHOWN_BEFORE; skip > 0; skip--)
		from += pg_mblen(text + from);
	to = at;
	for (int i = 0; i < SHOWN_AFTER && to < len; i++)
		to += pg_mblen(text + to);
	to = Min(to, len);

	initStringInfo(&out);
	if (from > 0)
		appendStringInfoString(&out, "...");
	before = append_clean(&out, text + from, at - from) + (from > 0 ? 3 : 0);
	append_clean(&out, text + at, to - at);
	if (to < len)
		appendStringInfoString(&out, "...");
	appendStringInfoChar(&out, '\n');
	appendStringInfoSpaces(&out, before);
	appendStringInfoChar(&out, '^');
	return out.data;
}

/* Report a text that is no formula; returns only into a soft error context. */
static Datum
report(Node *escontext, const char *text, int len, const LbFormulaError *error)
{
	int			character;
	char	   *pointed = point_at(text, len, error->at, &character);

	lb_ereturn(escontext, (Datum) 0,
			   (errcode(ERRCODE_LABOS_INVALID_FORMULA),
				errmsg("invalid formula: %s at character %d",
					   error->problem, character),
				errdetail("%s", pointed),
				error->hint ? errhint("%s", error->hint) : 0));
}

/*
 * labos.formula_in(cstring) returns formula
 *
 * Errors:	LB202 with the character it stumbled at
 * Cost:	O(length * depth), at most 3000 bytes and 16 brackets deep
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_in);

Datum
labos_formula_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	LbComposition composition;
	LbFormulaError error;

	if (!lb_formula_parse(text, strlen(text), &composition, &error))
		return report(fcinfo->context, text, strlen(text), &error);
	PG_RETURN_POINTER(lb_formula_pack(&composition));
}

/*
 * labos.formula_valid(text) returns boolean
 *		Would the text be read as a formula?
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_valid);

Datum
labos_formula_valid(PG_FUNCTION_ARGS)
{
	text	   *input = PG_GETARG_TEXT_PP(0);
	LbComposition composition;
	LbFormulaError error;

	PG_RETURN_BOOL(lb_formula_parse(VARDATA_ANY(input),
									VARSIZE_ANY_EXHDR(input),
									&composition, &error));
}

/* Append an amount: nothing for one, no trailing zeros. */
static void
append_amount(StringInfo out, int64 amount)
{
	int64		part = amount % LB_FORMULA_UNIT;
	char		digits[16];
	int			n;

	if (amount == LB_FORMULA_UNIT)
		return;
	n = pg_lltoa(amount / LB_FORMULA_UNIT, digits);
	appendBinaryStringInfo(out, digits, n);
	if (part == 0)
		return;
	appendStringInfo(out, ".%09d", (int) part);
	while (out->data[out->len - 1] == '0')
		out->data[--out->len] = '\0';
}

static void
append_charge(StringInfo out, int charge)
{
	if (charge == 0)
		return;
	appendStringInfoChar(out, '^');
	if (abs(charge) > 1)
		appendStringInfo(out, "%d", abs(charge));
	appendStringInfoChar(out, charge > 0 ? '+' : '-');
}

/* The place of an element's amount in the stored form. */
static int
amount_index(const LbFormula *formula, int code)
{
	uint8		codes[LB_ELEMENTS];
	int			n = lb_formula_codes(formula, codes);
	int			i = 0;

	while (i < n && codes[i] != code)
		i++;
	return i;
}

/*
 * Would the text end like C4.5H2O, which reads as a hydrate of C4?  Then the
 * last amount is written although it is one: C4.5H2O1.
 */
static bool
looks_hydrated(const LbFormula *formula, const uint8 *hill, int n)
{
	int64		before;

	if (n < 3 || formula->charge != 0 || hill[n - 1] != 8 ||
		(hill[n - 2] != 1 && hill[n - 2] != LB_ELEMENT_D) ||
		formula->amount[amount_index(formula, 8)] != LB_FORMULA_UNIT)
		return false;
	before = formula->amount[amount_index(formula, hill[n - 3])];
	return before > LB_FORMULA_UNIT && before % LB_FORMULA_UNIT != 0;
}

/*
 * labos.formula_out(formula) returns cstring
 *		Hill order; amounts of one are not written; the charge after a caret.
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_out);

Datum
labos_formula_out(PG_FUNCTION_ARGS)
{
	LbFormula  *formula = PG_GETARG_FORMULA_P(0);
	StringInfoData out;
	uint8		codes[LB_ELEMENTS];
	int			n = lb_formula_hill(formula, codes);

	initStringInfo(&out);
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(&out, lb_elements[codes[i]].symbol);
		append_amount(&out, formula->amount[amount_index(formula, codes[i])]);
	}
	if (looks_hydrated(formula, codes, n))
		appendStringInfoChar(&out, '1');
	append_charge(&out, formula->charge);
	PG_RETURN_CSTRING(out.data);
}

/*
 * labos.formula_send(formula) returns bytea
 *		int16 charge, uint8 n, then n times uint8 code and int64 amount in
 *		billionths of an atom, codes rising.
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_send);

Datum
labos_formula_send(PG_FUNCTION_ARGS)
{
	LbFormula  *formula = PG_GETARG_FORMULA_P(0);
	StringInfoData buf;
	uint8		codes[LB_ELEMENTS];
	int			n = lb_formula_codes(formula, codes);

	pq_begintypsend(&buf);
	pq_sendint16(&buf, (uint16) formula->charge);
	pq_sendbyte(&buf, n);
	for (int i = 0; i < n; i++)
	{
		pq_sendbyte(&buf, codes[i]);
		pq_sendint64(&buf, formula->amount[i]);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/*
 * labos.formula_recv(internal) returns formula
 *
 * Errors:	22P03 for anything labos.formula_send could not have sent
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_recv);

Datum
labos_formula_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	LbComposition composition;
	int			n;
	int			last = 0;

	memset(&composition, 0, sizeof(composition));
	composition.charge = (int16) pq_getmsgint(buf, 2);
	n = pq_getmsgbyte(buf);
	for (int i = 0; i < n; i++)
	{
		int			code = pq_getmsgbyte(buf);
		int64		amount = pq_getmsgint64(buf);

		if (code <= last || code > LB_ELEMENTS ||
			amount <= 0 || amount > LB_FORMULA_MAX_AMOUNT)
			ereport(ERROR,
					errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
					errmsg("invalid binary formula"));
		lb_set_add(&composition.set, code);
		composition.amount[code] = amount;
		last = code;
	}
	if (n == 0 || abs(composition.charge) > LB_FORMULA_MAX_CHARGE)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				errmsg("invalid binary formula"));
	PG_RETURN_POINTER(lb_formula_pack(&composition));
}

/*
 * labos.molar_mass(formula) returns float8
 *
 * Units:	g/mol; IUPAC abridged weights 2021; the electrons of a charge are
 *			counted (5.486e-4 g/mol each)
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_molar_mass);

Datum
labos_molar_mass(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(lb_formula_molar_mass(PG_GETARG_FORMULA_P(0)));
}

static int
compare_ranks(const void *a, const void *b)
{
	return (int) lb_elements[*(const uint8 *) a].rank -
		(int) lb_elements[*(const uint8 *) b].rank;
}

/*
 * labos.elements(formula) returns text[]
 *		The symbols in alphabetical order, as OPTIMADE lists them.
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_elements);

Datum
labos_formula_elements(PG_FUNCTION_ARGS)
{
	LbFormula  *formula = PG_GETARG_FORMULA_P(0);
	uint8		codes[LB_ELEMENTS];
	Datum		symbols[LB_ELEMENTS];
	int			n = lb_formula_codes(formula, codes);

	qsort(codes, n, sizeof(uint8), compare_ranks);
	for (int i = 0; i < n; i++)
		symbols[i] = CStringGetTextDatum(lb_elements[codes[i]].symbol);
	PG_RETURN_ARRAYTYPE_P(construct_array(symbols, n, TEXTOID, -1, false,
										  TYPALIGN_INT));
}

/*
 * labos.n_elements(formula) returns integer
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_n_elements);

Datum
labos_formula_n_elements(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(PG_GETARG_FORMULA_P(0)->nelements);
}

static double
total_amount(const LbFormula *formula)
{
	double		total = 0;

	for (int i = 0; i < formula->nelements; i++)
		total += formula->amount[i];
	return total / LB_FORMULA_UNIT;
}

/*
 * labos.n_atoms(formula) returns float8
 *
 * Units:	atoms per formula unit
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_n_atoms);

Datum
labos_formula_n_atoms(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(total_amount(PG_GETARG_FORMULA_P(0)));
}

/*
 * labos.charge(formula) returns integer
 *
 * Units:	elementary charges
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_charge);

Datum
labos_formula_charge(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(PG_GETARG_FORMULA_P(0)->charge);
}

/* The code of a symbol argument, or an error. */
static int
element_argument(const text *symbol)
{
	int			len = VARSIZE_ANY_EXHDR(symbol);
	int			code = lb_element_find(VARDATA_ANY(symbol), len);

	if (code == 0)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_FORMULA),
				errmsg("unknown element \"%.*s\"",
					   pg_mbcliplen(VARDATA_ANY(symbol), len, 20),
					   VARDATA_ANY(symbol)),
				errhint("Symbols are H to Og, D and T, capital letter first."));
	return code;
}

/*
 * labos.amount(formula, element text) returns float8
 *
 * Units:	atoms per formula unit; 0 when the element is absent
 * Errors:	LB202 for an unknown element
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_amount);

Datum
labos_formula_amount(PG_FUNCTION_ARGS)
{
	LbFormula  *formula = PG_GETARG_FORMULA_P(0);
	int			code = element_argument(PG_GETARG_TEXT_PP(1));

	PG_RETURN_FLOAT8(lb_formula_amount(formula, code));
}

/*
 * labos.fraction(formula, element text) returns float8
 *
 * Units:	atoms of the element per atom, 0 to 1
 * Errors:	LB202 for an unknown element
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_fraction);

Datum
labos_formula_fraction(PG_FUNCTION_ARGS)
{
	LbFormula  *formula = PG_GETARG_FORMULA_P(0);
	int			code = element_argument(PG_GETARG_TEXT_PP(1));

	PG_RETURN_FLOAT8(lb_formula_amount(formula, code) / total_amount(formula));
}

/*
 * labos.mass_fraction(formula, element text) returns float8
 *
 * Units:	mass of the element per mass, 0 to 1; electrons of a charge are
 *			left out, so that the fractions of all elements add up to 1
 * Errors:	LB202 for an unknown element
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_formula_mass_fraction);

Datum
labos_formula_mass_fraction(PG_FUNCTION_ARGS)
{
	LbFormula  *formula = PG_GETARG_FORMULA_P(0);
	int			code = element_argument(PG_GETARG_TEXT_PP(1));
	uint8		codes[LB_ELEMENTS];
	int			n = lb_formula_codes(formula, codes);
	double		mass = 0;

	for (int i = 0; i < n; i++)
		mass += (double) formula->amount[i] / LB_FORMULA_UNIT *
			lb_elements[codes[i]].weight;
	PG_RETURN_FLOAT8(lb_formula_amount(formula, code) *
					 lb_elements[code].weight / mass);
}

/*
 * labos.formula_reduced(formula) returns formula
 *		Whole amounts without a common divisor: Mo2S4 becomes MoS2 and
 *		Li0.95CoO2 becomes Li19Co20O40.
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_reduced);

Datum
labos_formula_reduced(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(lb_formula_reduce(PG_GETARG_FORMULA_P(0)));
}

static int
compare_amounts(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

/* The i-th letter of an anonymous formula: A to Z, Aa, Ba, ..., Za, Ab, ... */
static void
append_letter(StringInfo out, int i)
{
	appendStringInfoChar(out, 'A' + i % 26);
	if (i >= 26)
		appendStringInfoChar(out, 'a' + i / 26 - 1);
}

/*
 * labos.formula_anonymous(formula, descending boolean) returns text
 *		The reduced amounts without names: the rarest element is A (AB2C3 is
 *		ordered ABC...), or the commonest when descending, as in OPTIMADE.
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_formula_anonymous);

Datum
labos_formula_anonymous(PG_FUNCTION_ARGS)
{
	LbFormula  *formula = lb_formula_reduce(PG_GETARG_FORMULA_P(0));
	bool		descending = PG_GETARG_BOOL(1);
	int			n = formula->nelements;
	StringInfoData out;

	qsort(formula->amount, n, sizeof(int64), compare_amounts);
	initStringInfo(&out);
	for (int i = 0; i < n; i++)
	{
		append_letter(&out, i);
		append_amount(&out, formula->amount[descending ? n - 1 - i : i]);
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
