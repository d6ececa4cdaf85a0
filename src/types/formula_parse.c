/*-------------------------------------------------------------------------
 *
 * formula_parse.c
 *		Reads a chemical formula as people write it.
 *
 *	formula	:= parts [charge] | "{" symbol ("," symbol)* "}"
 *	parts	:= part (separator part)*
 *	part	:= [coefficient] (symbol [count] | bracket [count])+
 *	bracket	:= "(" parts ")" | "[" parts "]"
 *	charge	:= "^" [digits] sign | "^" sign [digits] | sign+ | digits sign
 *			 | "(" digits sign ")" | superscripts
 *
 * Separators are the middle dot and its look-alikes, "*" and ".".  Since "."
 * is also the decimal point, a point between digits separates only when what
 * follows is water and the digits before are not zero: CuSO4.5H2O.
 *
 * Digits before a sign are a charge on one lone atom (Fe3+) and a count on
 * anything else (NH4+).  What chemists read either way is refused, with the
 * advice to write a caret.
 *
 * This is a kernel: it knows no SQL, allocates nothing and never raises.
 *
 * IDENTIFICATION
 *	  src/types/formula_parse.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"

#include "types/formula.h"

/* Every term takes a byte of text at least. */
#define MAX_TERMS LB_FORMULA_MAX_LENGTH

static const char caret_hint[] =
"Write a charge after a caret: Fe^3+, SO4^2-, I3^-.";
static const char case_hint[] =
"An element symbol is one capital letter, or one capital and one small letter.";

typedef struct Term
{
	int			code;
	int64		amount;
} Term;

typedef struct Parser
{
	const char *start;
	const char *p;
	const char *end;
	LbFormulaError *error;
	int			charge;
	bool		counted_whole;	/* a coefficient stood before everything */
	int			nterms;
	Term		terms[MAX_TERMS];
} Parser;

static bool
fail(Parser *ps, const char *at, const char *hint, const char *fmt,...)
pg_attribute_printf(4, 5);

static bool
fail(Parser *ps, const char *at, const char *hint, const char *fmt,...)
{
	va_list		args;

	ps->error->at = (int) (at - ps->start);
	ps->error->hint = hint;
	va_start(args, fmt);
	vsnprintf(ps->error->problem, sizeof(ps->error->problem), fmt, args);
	va_end(args);
	return false;
}

static inline char
peek(const Parser *ps)
{
	return ps->p < ps->end ? *ps->p : '\0';
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
skip_spaces(Parser *ps)
{
	while (ps->p < ps->end && is_space(*ps->p))
		ps->p++;
}

/* Does the UTF-8 sequence text stand at p? */
static inline bool
stands(const char *p, const char *end, const char *text, int len)
{
	return end - p >= len && memcmp(p, text, len) == 0;
}

/* A digit or Unicode subscript digit (U+2080 to U+2089) at p: its bytes, or 0. */
static inline int
count_digit(const char *p, const char *end, int *value)
{
	if (p < end && is_digit(*p))
	{
		*value = *p - '0';
		return 1;
	}
	if (end - p >= 3 && p[0] == '\xE2' && p[1] == '\x82' &&
		(uint8) p[2] >= 0x80 && (uint8) p[2] <= 0x89)
	{
		*value = (uint8) p[2] - 0x80;
		return 3;
	}
	return 0;
}

/* A Unicode superscript digit at p: its bytes, or 0. */
static int
superscript_digit(const char *p, const char *end, int *value)
{
	if (end - p >= 2 && p[0] == '\xC2' &&
		(p[1] == '\xB9' || p[1] == '\xB2' || p[1] == '\xB3'))
	{
		*value = p[1] == '\xB9' ? 1 : (uint8) p[1] - 0xB0;
		return 2;
	}
	if (end - p >= 3 && p[0] == '\xE2' && p[1] == '\x81' &&
		((uint8) p[2] == 0xB0 ||
		 ((uint8) p[2] >= 0xB4 && (uint8) p[2] <= 0xB9)))
	{
		*value = (uint8) p[2] - 0xB0;
		return 3;
	}
	return 0;
}

/* A plain sign at p (+, -, or the minus U+2212): its bytes, or 0. */
static int
plain_sign(const char *p, const char *end, int *sign)
{
	if (p < end && (*p == '+' || *p == '-'))
	{
		*sign = *p == '+' ? 1 : -1;
		return 1;
	}
	if (stands(p, end, "\xE2\x88\x92", 3))
	{
		*sign = -1;
		return 3;
	}
	return 0;
}

/* A superscript sign (U+207A, U+207B) at p: its bytes, or 0. */
static int
superscript_sign(const char *p, const char *end, int *sign)
{
	if (!stands(p, end, "\xE2\x81\xBA", 3) && !stands(p, end, "\xE2\x81\xBB", 3))
		return 0;
	*sign = p[2] == '\xBA' ? 1 : -1;
	return 3;
}

/* A separator of parts other than "." at p: its bytes, or 0. */
static int
clear_separator(const char *p, const char *end)
{
	if (p < end && *p == '*')
		return 1;
	if (stands(p, end, "\xC2\xB7", 2))	/* middle dot */
		return 2;
	if (stands(p, end, "\xE2\x80\xA2", 3) ||	/* bullet */
		stands(p, end, "\xE2\x88\x99", 3) ||	/* bullet operator */
		stands(p, end, "\xE2\x8B\x85", 3))	/* dot operator */
		return 3;
	return 0;
}

/* Is what stands at p "nH2O" and nothing more of the same part? */
static bool
water_follows(const char *p, const char *end)
{
	int			value;
	int			n;

	while ((n = count_digit(p, end, &value)) > 0)
		p += n;
	if (p < end && *p == '.')
	{
		p++;
		while ((n = count_digit(p, end, &value)) > 0)
			p += n;
	}
	if (p >= end || (*p != 'H' && *p != 'D'))
		return false;
	n = count_digit(p + 1, end, &value);
	if (n == 0 || value != 2 || end - p <= 1 + n || p[1 + n] != 'O')
		return false;
	p += n + 2;
	return p >= end || is_space(*p) || *p == ')' || *p == ']' ||
		*p == '.' || clear_separator(p, end) > 0;
}

/* a * b / UNIT, rounded; false when it is more than an amount may be. */
static inline bool
multiply(int64 a, int64 b, int64 *result)
{
	int64		small;

	if (b == LB_FORMULA_UNIT)
	{
		*result = a;
		return true;
	}
	if (!pg_mul_s64_overflow(a, b, &small) &&
		small < PG_INT64_MAX - LB_FORMULA_UNIT)
		*result = (small + LB_FORMULA_UNIT / 2) / LB_FORMULA_UNIT;
	else
	{
		int128		big = ((int128) a * b + LB_FORMULA_UNIT / 2) / LB_FORMULA_UNIT;

		if (big > LB_FORMULA_MAX_AMOUNT)
			return false;
		*result = (int64) big;
	}
	return *result <= LB_FORMULA_MAX_AMOUNT;
}

/*
 * Read an unsigned decimal number at p into billionths; *ndigits counts the
 * digits before the point, or is -1 when they are not plain ASCII digits.
 * Digits after the ninth decimal place round.  The caller has seen a digit.
 */
static bool
parse_number(Parser *ps, int64 *result, int *ndigits)
{
	const char *at = ps->p;
	int64		whole = 0;
	int64		part = 0;
	int64		scale = LB_FORMULA_UNIT;
	int			value;
	int			n;

	*ndigits = 0;
	while ((n = count_digit(ps->p, ps->end, &value)) > 0)
	{
		whole = whole * 10 + value;
		if (whole > LB_FORMULA_MAX_AMOUNT / LB_FORMULA_UNIT)
			return fail(ps, at, NULL, "count is more than %d",
						(int) (LB_FORMULA_MAX_AMOUNT / LB_FORMULA_UNIT));
		*ndigits = n > 1 || *ndigits < 0 ? -1 : *ndigits + 1;
		ps->p += n;
	}

	if (peek(ps) == '.' && count_digit(ps->p + 1, ps->end, &value) > 0 &&
		!(whole > 0 && water_follows(ps->p + 1, ps->end)))
	{
		*ndigits = -1;
		ps->p++;
		while ((n = count_digit(ps->p, ps->end, &value)) > 0)
		{
			if (scale > 1)
			{
				scale /= 10;
				part += value * scale;
			}
			else if (scale == 1)
			{
				part += value >= 5;
				scale = 0;
			}
			ps->p += n;
		}
	}

	*result = whole * LB_FORMULA_UNIT + part;
	if (*result == 0)
		return fail(ps, at, NULL, "count must be at least 0.000000001");
	if (*result > LB_FORMULA_MAX_AMOUNT)
		return fail(ps, at, NULL, "count is more than %d",
					(int) (LB_FORMULA_MAX_AMOUNT / LB_FORMULA_UNIT));
	return true;
}

/* A coefficient before a part: a number, or a fraction as in 1/2H2O. */
static bool
parse_coefficient(Parser *ps, int64 *result)
{
	const char *at = ps->p;
	int64		divisor;
	int			ndigits;
	int			value;

	if (!parse_number(ps, result, &ndigits))
		return false;
	if (peek(ps) == '/' && count_digit(ps->p + 1, ps->end, &value) > 0)
	{
		int128		quotient;

		ps->p++;
		if (!parse_number(ps, &divisor, &ndigits))
			return false;
		quotient = ((int128) *result * LB_FORMULA_UNIT + divisor / 2) / divisor;
		if (quotient == 0 || quotient > LB_FORMULA_MAX_AMOUNT)
			return fail(ps, at, NULL, "coefficient is out of range");
		*result = (int64) quotient;
	}
	skip_spaces(ps);
	return true;
}

/* Multiply the terms from first on. */
static bool
multiply_terms(Parser *ps, int first, int64 factor, const char *at)
{
	for (int i = first; i < ps->nterms; i++)
	{
		if (!multiply(ps->terms[i].amount, factor, &ps->terms[i].amount))
			return fail(ps, at, NULL, "more than %d atoms of %s",
						(int) (LB_FORMULA_MAX_AMOUNT / LB_FORMULA_UNIT),
						lb_elements[ps->terms[i].code].symbol);
		if (ps->terms[i].amount == 0)
			return fail(ps, at, NULL, "less than 0.000000001 atoms of %s",
						lb_elements[ps->terms[i].code].symbol);
	}
	return true;
}

static bool
set_charge(Parser *ps, const char *at, int magnitude, int sign)
{
	if (magnitude < 1 || magnitude > LB_FORMULA_MAX_CHARGE)
		return fail(ps, at, NULL, "charge must be 1 to %d",
					LB_FORMULA_MAX_CHARGE);
	ps->charge = sign * magnitude;
	return true;
}

/*
 * May digits before a sign on a lone atom be read as its charge?  Refused
 * where a molecule is as likely: O2+, H2+, I3-, N2-.
 */
static bool
is_usual_ion(int code, int magnitude, int sign)
{
	int			z = lb_elements[code].number;

	if (magnitude == 1)
		return true;
	if (sign > 0)
		return magnitude <= 8 && z != 1 && z != 6 && z != 7 && z != 8 &&
			z != 9 && z != 17 && z != 35 && z != 53 && z != 10 && z != 18 &&
			z != 36 && z != 54 && z != 86;
	switch (z)
	{
		case 8:
		case 16:
		case 34:
		case 52:
		case 84:
			return magnitude == 2;
		case 7:
		case 15:
		case 33:
		case 51:
		case 83:
			return magnitude == 3;
		case 6:
		case 14:
		case 32:
		case 50:
		case 82:
			return magnitude == 4;
		default:
			return false;
	}
}

/*
 * Digits with a sign that ends the text stand after a unit that began at
 * unit_at.  Decide whether they are its count or the charge of the whole.
 */
static bool
count_or_charge(Parser *ps, const char *unit_at, const char *digits_at,
				int ndigits, int64 *count)
{
	int			magnitude = (int) (*count / LB_FORMULA_UNIT);
	int			sign;
	int			n;
	bool		is_first = unit_at == ps->start;

	n = plain_sign(ps->p, ps->end, &sign);
	if (n == 0 || ps->p + n != ps->end || ndigits < 1)
		return true;
	if (is_first && (*unit_at == '(' || *unit_at == '[') && ndigits == 1)
	{
		ps->p = ps->end;
		*count = LB_FORMULA_UNIT;
		return set_charge(ps, digits_at, magnitude, sign);
	}
	if (is_first && *unit_at != '(' && *unit_at != '[')
	{
		if (!is_usual_ion(ps->terms[0].code, magnitude, sign))
			return fail(ps, digits_at, caret_hint,
						"cannot tell whether %d is a count or a charge",
						magnitude);
		ps->p = ps->end;
		*count = LB_FORMULA_UNIT;
		return set_charge(ps, digits_at, magnitude, sign);
	}
	if (ndigits > 1)
		return fail(ps, digits_at, caret_hint,
					"cannot tell which digits are a count and which a charge");
	return true;
}

/* The count after an element or a bracket that began at unit_at; 1 if none. */
static bool
parse_count(Parser *ps, const char *unit_at, int depth, int64 *count)
{
	const char *at = ps->p;
	int			ndigits;
	int			value;

	*count = LB_FORMULA_UNIT;
	/* The usual case first: one plain digit with nothing to weigh after it. */
	if (ps->p < ps->end && is_digit(*ps->p) && *ps->p != '0' &&
		(ps->p + 1 == ps->end ||
		 (ps->p[1] >= 'A' && ps->p[1] <= 'Z')))
	{
		*count = (*ps->p++ - '0') * LB_FORMULA_UNIT;
		return true;
	}
	if (count_digit(ps->p, ps->end, &value) == 0)
		return true;
	if (!parse_number(ps, count, &ndigits))
		return false;
	if (depth > 0 || ps->counted_whole)
		return true;
	return count_or_charge(ps, unit_at, at, ndigits, count);
}

static bool
parse_element(Parser *ps, int depth)
{
	const char *at = ps->p;
	char		second = '\0';
	Term	   *term;

	if (ps->end - at > 1 && at[1] >= 'a' && at[1] <= 'z')
		second = at[1];
	/* One term a byte at most, and the length is checked: there is room. */
	term = &ps->terms[ps->nterms++];
	term->code = lb_element_code(at[0], second);
	if (term->code == 0)
		return fail(ps, at, NULL, "unknown element \"%.*s\"",
					second ? 2 : 1, at);
	ps->p += second ? 2 : 1;
	return parse_count(ps, at, depth, &term->amount);
}

/* "(2-)" or "(3+)" at p, and nothing after it? */
static bool
charge_in_brackets(const Parser *ps)
{
	const char *p = ps->p + 1;
	int			sign;
	int			n;

	while (p < ps->end && is_digit(*p))
		p++;
	n = plain_sign(p, ps->end, &sign);
	return n > 0 && p + n + 1 == ps->end && p[n] == ')';
}

static bool parse_parts(Parser *ps, int depth);

/* A bracket with its contents and count. */
static bool
parse_bracket(Parser *ps, int depth)
{
	const char *at = ps->p;
	char		closer = *at == '(' ? ')' : ']';
	int			first = ps->nterms;
	int64		count;

	if (depth >= LB_FORMULA_MAX_DEPTH)
		return fail(ps, at, NULL, "brackets are nested more than %d deep",
					LB_FORMULA_MAX_DEPTH);
	ps->p++;
	if (!parse_parts(ps, depth + 1))
		return false;
	if (ps->p >= ps->end)
		return fail(ps, at, NULL, "\"%c\" is never closed", *at);
	if (*ps->p != closer)
	{
		if (*ps->p == ')' || *ps->p == ']')
			return fail(ps, ps->p, NULL, "\"%c\" cannot close \"%c\"",
						*ps->p, *at);
		return fail(ps, ps->p, case_hint, "unexpected character");
	}
	ps->p++;
	return parse_count(ps, at, depth, &count) &&
		multiply_terms(ps, first, count, at);
}

/* One part: a coefficient and at least one element or bracket. */
static bool
parse_part(Parser *ps, int depth)
{
	const char *at = ps->p;
	int			first = ps->nterms;
	int64		coefficient = LB_FORMULA_UNIT;
	int			value;

	if (count_digit(ps->p, ps->end, &value) > 0)
	{
		if (!parse_coefficient(ps, &coefficient))
			return false;
		if (at == ps->start)
			ps->counted_whole = true;
	}
	for (;;)
	{
		char		c = peek(ps);

		if (c >= 'A' && c <= 'Z')
		{
			if (!parse_element(ps, depth))
				return false;
		}
		else if (c == '[' || (c == '(' && !(depth == 0 && ps->nterms > first &&
											charge_in_brackets(ps))))
		{
			if (!parse_bracket(ps, depth))
				return false;
		}
		else
			break;
	}
	if (ps->nterms == first)
		return fail(ps, ps->p, case_hint, "%s",
					ps->p >= ps->end ? "an element is missing at the end" :
					"an element is expected here");
	return coefficient == LB_FORMULA_UNIT ||
		multiply_terms(ps, first, coefficient, at);
}

static bool
parse_parts(Parser *ps, int depth)
{
	for (;;)
	{
		const char *at;
		int			n;

		if (!parse_part(ps, depth))
			return false;
		at = ps->p;
		skip_spaces(ps);
		n = peek(ps) == '.' ? 1 : clear_separator(ps->p, ps->end);
		if (n == 0)
		{
			ps->p = at;
			return true;
		}
		ps->p += n;
		skip_spaces(ps);
	}
}

/* Digits of a charge; *magnitude is -1 if there are none, huge if too many. */
static void
parse_charge_digits(Parser *ps, int (*digit) (const char *, const char *, int *),
					int *magnitude)
{
	int			value;
	int			n;

	*magnitude = -1;
	while ((n = digit(ps->p, ps->end, &value)) > 0)
	{
		if (*magnitude < 0)
			*magnitude = 0;
		*magnitude = Min(*magnitude * 10 + value, LB_FORMULA_MAX_CHARGE + 1);
		ps->p += n;
	}
}

/* The charge at the end, if any. */
static bool
parse_charge(Parser *ps)
{
	const char *at;
	bool		raised;
	bool		bracket = false;
	int			magnitude;
	int			sign;
	int			value;
	int			n;

	/* SO4 2- is read; anything else after a space is not. */
	skip_spaces(ps);
	at = ps->p;
	if (at >= ps->end)
		return true;
	raised = superscript_digit(at, ps->end, &value) > 0 ||
		superscript_sign(at, ps->end, &sign) > 0;
	if (*at == '^')
		ps->p++;
	else if (*at == '(')
	{
		bracket = true;
		ps->p++;
	}
	parse_charge_digits(ps, raised ? superscript_digit : count_digit, &magnitude);
	n = raised ? superscript_sign(ps->p, ps->end, &sign) :
		plain_sign(ps->p, ps->end, &sign);
	if (n == 0)
		return fail(ps, magnitude < 0 && *at != '^' && !bracket ? at : ps->p,
					*at == '^' ? caret_hint : case_hint,
					*at == '^' ? "a charge needs a sign" : "unexpected character");
	if (ps->counted_whole)
		return fail(ps, at, "Write the charge of the whole and no number in front.",
					"a charge after a leading number is ambiguous");
	ps->p += n;
	if (magnitude < 0)
	{
		/* Ca++, or the order ^+2 */
		magnitude = 1;
		while (!raised && plain_sign(ps->p, ps->end, &value) == n && value == sign)
		{
			magnitude = Min(magnitude + 1, LB_FORMULA_MAX_CHARGE + 1);
			ps->p += n;
		}
		if (*at == '^' && magnitude == 1 && is_digit(peek(ps)))
			parse_charge_digits(ps, count_digit, &magnitude);
	}
	if (bracket && peek(ps) != ')')
		return fail(ps, ps->p, caret_hint, "\")\" is expected here");
	if (bracket)
		ps->p++;
	return set_charge(ps, at, magnitude, sign);
}

/* {Ga,N}: one of each.  The query side of "contains" is written like this. */
static bool
parse_set(Parser *ps)
{
	for (;;)
	{
		bool		quoted;
		Term	   *term = &ps->terms[ps->nterms++];
		int			len = 1;

		ps->p++;				/* the brace or the comma */
		skip_spaces(ps);
		quoted = peek(ps) == '"';
		if (quoted)
			ps->p++;
		if (ps->end - ps->p > 1 && ps->p[1] >= 'a' && ps->p[1] <= 'z')
			len = 2;
		term->code = ps->p < ps->end ? lb_element_find(ps->p, len) : 0;
		term->amount = LB_FORMULA_UNIT;
		if (term->code == 0 && peek(ps) >= 'A' && peek(ps) <= 'Z')
			return fail(ps, ps->p, NULL, "unknown element \"%.*s\"", len, ps->p);
		if (term->code == 0)
			return fail(ps, ps->p, case_hint, "an element is expected here");
		ps->p += len;
		if (quoted && peek(ps) != '"')
			return fail(ps, ps->p, NULL, "a quote is expected here");
		if (quoted)
			ps->p++;
		skip_spaces(ps);
		if (peek(ps) == '}' && ps->p + 1 == ps->end)
			return true;
		if (peek(ps) != ',')
			return fail(ps, ps->p, NULL, "a comma or the closing brace is expected here");
	}
}

/* Add the terms up.  A set holds every element once. */
static bool
collect(Parser *ps, bool as_set, LbComposition *out)
{
	memset(out, 0, sizeof(*out));
	out->charge = ps->charge;
	for (int i = 0; i < ps->nterms; i++)
	{
		int			code = ps->terms[i].code;

		lb_set_add(&out->set, code);
		if (as_set)
			out->amount[code] = LB_FORMULA_UNIT;
		else
			out->amount[code] += ps->terms[i].amount;
		/* Both are at most 1e18, so the sum cannot wrap before it is seen. */
		if (out->amount[code] > LB_FORMULA_MAX_AMOUNT)
			return fail(ps, ps->start, NULL, "more than %d atoms of %s",
						(int) (LB_FORMULA_MAX_AMOUNT / LB_FORMULA_UNIT),
						lb_elements[code].symbol);
	}
	return true;
}

bool
lb_formula_parse(const char *text, int len, LbComposition *out,
				 LbFormulaError *error)
{
	Parser		parser;
	Parser	   *ps = &parser;
	const char *end = text + len;
	const char *first = text;
	bool		as_set;

	ps->start = text;
	ps->error = error;
	ps->charge = 0;
	ps->counted_whole = false;
	ps->nterms = 0;

	while (first < end && is_space(*first))
		first++;
	while (end > first && is_space(end[-1]))
		end--;
	if (end == first)
		return fail(ps, first, NULL, "a formula cannot be empty");
	if (end - first > LB_FORMULA_MAX_LENGTH)
		return fail(ps, first, NULL, "a formula takes at most %d bytes",
					LB_FORMULA_MAX_LENGTH);

	ps->start = ps->p = first;
	ps->end = end;
	as_set = *first == '{';
	if (!(as_set ? parse_set(ps) : parse_parts(ps, 0) && parse_charge(ps)) ||
		!collect(ps, as_set, out))
	{
		error->at += (int) (first - text);
		return false;
	}
	if (!as_set && ps->p < ps->end)
	{
		fail(ps, ps->p, case_hint, "unexpected character");
		error->at += (int) (first - text);
		return false;
	}
	return true;
}
