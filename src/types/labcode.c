/*-------------------------------------------------------------------------
 *
 * labcode.c
 *		Sample codes with a check character: SOL-000123-K.
 *
 *	code	:= prefix "-" number "-" check
 *	prefix	:= 1 to 8 letters A-Z			(an O here is never a zero)
 *	number	:= at least 6 digits			(a 0 here is never an O)
 *	check	:= 0-9 A-Z, but never I, L or O	(a 0 or 1 here is a digit)
 *
 * The check character is that of ISO/IEC 7064 MOD 37,36 over prefix and
 * number without the hyphens.  The standard catches every single wrong
 * character, and nearly every swap of two neighbours: a swap of characters
 * with adjacent values (1 and 2, A and B) passes in one of 36 inner states.
 * We do not issue such codes, nor those with an ambiguous check character:
 * the number is given another leading zero until the code is strong, and a
 * code is valid only if it is the one that would have been issued.  Thus no
 * valid code becomes another valid one by one wrong character or one swap.
 *
 * Source: ISO/IEC 7064:2003, hybrid system MOD 37,36.
 *
 * IDENTIFICATION
 *	  src/types/labcode.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "compat.h"
#include "core/errors.h"

#define MAX_PREFIX 8
#define MIN_DIGITS 6
#define MAX_DIGITS 18
#define MAX_NUMBER INT64CONST(999999999999)
#define MAX_BODY 64				/* for the check character alone */

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

static inline bool
is_letter(char c)
{
	return c >= 'A' && c <= 'Z';
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline int
value_of(char c)
{
	return is_digit(c) ? c - '0' : c - 'A' + 10;
}

/* One step of MOD 37,36 from state p (1 to 36). */
static inline int
mod_step(int p, char c)
{
	int			sum = (p + value_of(c)) % 36;

	if (sum == 0)
		sum = 36;
	return sum * 2 % 37;
}

/* The check character of n characters out of 0-9 and A-Z. */
static char
check_character(const char *body, int n)
{
	int			p = 36;

	for (int i = 0; i < n; i++)
		p = mod_step(p, body[i]);
	return alphabet[(37 - p) % 36];
}

/* Would a swap of two neighbours go unnoticed?  body includes the check. */
static bool
hides_swap(const char *body, int n)
{
	char		swapped[MAX_PREFIX + MAX_DIGITS + 1];

	for (int i = 0; i + 1 < n; i++)
	{
		if (body[i] == body[i + 1])
			continue;
		memcpy(swapped, body, n);
		swapped[i] = body[i + 1];
		swapped[i + 1] = body[i];
		if (check_character(swapped, n - 1) == swapped[n - 1])
			return true;
	}
	return false;
}

/*
 * Write the code of a prefix and number, NUL-terminated, into code (room for
 * 30 bytes).  False if no strong code begins with this prefix.
 */
static bool
make_code(const char *prefix, int nprefix, int64 number, char *code)
{
	char		body[MAX_PREFIX + MAX_DIGITS + 1];

	memcpy(body, prefix, nprefix);
	for (int width = MIN_DIGITS; width <= MAX_DIGITS; width++)
	{
		char		digits[MAX_DIGITS + 3];
		char		check;

		/* %0*lld pads: a number that is longer than width keeps its digits. */
		if (snprintf(digits, sizeof(digits), "%0*lld", width,
					 (long long) number) > width)
			continue;
		memcpy(body + nprefix, digits, width);
		check = check_character(body, nprefix + width);
		body[nprefix + width] = check;
		if (check == 'I' || check == 'L' || check == 'O' ||
			hides_swap(body, nprefix + width + 1))
			continue;
		snprintf(code, 30, "%.*s-%s-%c", nprefix, prefix, digits, check);
		return true;
	}
	return false;
}

/* Is the text exactly a code that make_code() would have written? */
static bool
is_code(const char *text, int len)
{
	char		code[30];
	int			nprefix = 0;
	int			ndigits = 0;
	int64		number = 0;

	while (nprefix < len && is_letter(text[nprefix]))
		nprefix++;
	if (nprefix < 1 || nprefix > MAX_PREFIX ||
		nprefix >= len || text[nprefix] != '-')
		return false;
	for (const char *p = text + nprefix + 1; p < text + len && is_digit(*p); p++)
	{
		if (++ndigits > MAX_DIGITS)
			return false;
		number = number * 10 + (*p - '0');
	}
	if (ndigits < MIN_DIGITS || number > MAX_NUMBER ||
		len != nprefix + ndigits + 3)
		return false;
	return make_code(text, nprefix, number, code) &&
		(int) strlen(code) == len && memcmp(code, text, len) == 0;
}

/*
 * labos.labcode_make(prefix text, number bigint) returns text
 *
 * Errors:	LB203 for a prefix that is not 1 to 8 letters A-Z, a number below 0
 *			or above 999999999999, and for the few prefixes that hide a swap
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_labcode_make);

Datum
labos_labcode_make(PG_FUNCTION_ARGS)
{
	text	   *prefix = PG_GETARG_TEXT_PP(0);
	int64		number = PG_GETARG_INT64(1);
	const char *letters = VARDATA_ANY(prefix);
	int			n = VARSIZE_ANY_EXHDR(prefix);
	char		code[30];
	bool		good = n >= 1 && n <= MAX_PREFIX;

	for (int i = 0; i < n && good; i++)
		good = is_letter(letters[i]);
	if (!good)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_LABCODE),
				errmsg("invalid code prefix \"%.*s\"",
					   pg_mbcliplen(letters, n, 20), letters),
				errhint("A prefix is 1 to %d letters A to Z.", MAX_PREFIX));
	if (number < 0 || number > MAX_NUMBER)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_LABCODE),
				errmsg("code number %lld is out of range", (long long) number),
				errhint("Numbers are 0 to %lld.", (long long) MAX_NUMBER));
	if (!make_code(letters, n, number, code))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_LABCODE),
				errmsg("code prefix \"%.*s\" cannot be protected", n, letters),
				errdetail("A swap of two of its letters would go unnoticed."),
				errhint("Change or add a letter."));
	PG_RETURN_TEXT_P(cstring_to_text(code));
}

/*
 * labos.labcode_check_digit(body text) returns text
 *		The check character of ISO 7064 MOD 37,36; hyphens do not count.
 *
 * Errors:	LB203 for other characters than 0-9, A-Z and hyphen, for no
 *			character and for more than 64
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_labcode_check_digit);

Datum
labos_labcode_check_digit(PG_FUNCTION_ARGS)
{
	text	   *input = PG_GETARG_TEXT_PP(0);
	const char *text = VARDATA_ANY(input);
	int			len = VARSIZE_ANY_EXHDR(input);
	char		body[MAX_BODY];
	int			n = 0;

	for (int i = 0; i < len; i++)
	{
		if (text[i] == '-')
			continue;
		if (!is_digit(text[i]) && !is_letter(text[i]))
			ereport(ERROR,
					errcode(ERRCODE_LABOS_INVALID_LABCODE),
					errmsg("invalid character in code at byte %d", i + 1),
					errhint("Codes are made of 0 to 9, A to Z and hyphens."));
		if (n == MAX_BODY)
			ereport(ERROR,
					errcode(ERRCODE_LABOS_INVALID_LABCODE),
					errmsg("code is longer than %d characters", MAX_BODY));
		body[n++] = text[i];
	}
	if (n == 0)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_LABCODE),
				errmsg("code is empty"));
	body[0] = check_character(body, n);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(body, 1));
}

/*
 * labos.labcode_valid(code text) returns boolean
 *		Is this exactly a code that labcode_make writes?  Never raises.
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_labcode_valid);

Datum
labos_labcode_valid(PG_FUNCTION_ARGS)
{
	text	   *code = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(is_code(VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code)));
}

/* What a scanner or a person may have made of a digit. */
static char
repair_digit(char c)
{
	if (c == 'O')
		return '0';
	if (c == 'I' || c == 'L')
		return '1';
	return c;
}

/*
 * labos.labcode_read(text) returns text
 *		The code that was meant: small letters, missing hyphens and spaces are
 *		put right, O, I and L in the number and check are 0 and 1.  NULL if
 *		that is no valid code.
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_labcode_read);

Datum
labos_labcode_read(PG_FUNCTION_ARGS)
{
	text	   *input = PG_GETARG_TEXT_PP(0);
	const char *text = VARDATA_ANY(input);
	int			len = VARSIZE_ANY_EXHDR(input);
	char		body[MAX_PREFIX + MAX_DIGITS + 1];
	char		code[MAX_PREFIX + MAX_DIGITS + 3];
	int			nprefix = -1;
	int			ncode = 0;
	int			n = 0;

	for (int i = 0; i < len; i++)
	{
		char		c = text[i];

		if (c == '-' && nprefix < 0)
			nprefix = n;
		if (c == '-' || c == ' ')
			continue;
		if (c >= 'a' && c <= 'z')
			c -= 'a' - 'A';
		if ((!is_digit(c) && !is_letter(c)) || n == (int) sizeof(body))
			PG_RETURN_NULL();
		body[n++] = c;
	}
	if (nprefix < 0)
		for (nprefix = 0; nprefix < n && is_letter(body[nprefix]);)
			nprefix++;
	/* A prefix, MIN_DIGITS digits and the check at least. */
	if (nprefix < 1 || nprefix > MAX_PREFIX || n < nprefix + MIN_DIGITS + 1)
		PG_RETURN_NULL();

	for (int i = 0; i < n; i++)
	{
		if (i == nprefix || i == n - 1)
			code[ncode++] = '-';
		code[ncode++] = i < nprefix ? body[i] : repair_digit(body[i]);
	}
	if (!is_code(code, ncode))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(code, ncode));
}
