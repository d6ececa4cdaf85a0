/*-------------------------------------------------------------------------
 *
 * asdf.c
 *		Numbers of JCAMP-DX: AFFN, PAC, SQZ, DIF and DUP.
 *
 * A line of a compressed table is an abscissa and ordinates without spaces.
 * The first character of an ordinate says what it is:
 *
 *		+ - . digit		a value (AFFN, PAC)
 *		@ A-I a-i		a value whose sign and first digit are the letter (SQZ)
 *		% J-R j-r		a difference to the ordinate before (DIF)
 *		S-Z s			the token before, this many times in all (DUP)
 *		?				no value
 *
 * After a line that ends in a difference the next line repeats its last
 * ordinate as a check; it is compared and not counted.  "E" after digits is the
 * value +5 of SQZ; it is an exponent only as "E+" or "E-".
 *
 * Source: R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42 (1988) 151-162,
 * doi:10.1366/0003702884428734.
 *
 * IDENTIFICATION
 *	  src/parse/asdf.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <stdarg.h>

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/float.h"

#include "compat.h"
#include "core/errors.h"
#include "parse/asdf.h"

#define MAX_NUMBER_LENGTH	64	/* characters; no instrument prints more */

/* A number as read: negative, digits * 10 ^ exponent. */
typedef struct Decimal
{
	bool		negative;
	int			exponent;
	double		value;
} Decimal;

void
lb_jcamp_fail(int line, const char *fmt,...)
{
	StringInfoData reason;

	initStringInfo(&reason);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&reason, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&reason, needed);
	}

	ereport(ERROR,
			errcode(ERRCODE_LABOS_INVALID_JCAMP),
			errmsg("invalid JCAMP-DX: line %d: %s", line, reason.data),
			errdetail_internal("{\"code\": \"invalid_jcamp\", \"line\": %d}", line));
	pg_unreachable();
}

void
lb_points_append(LbPoints *points, double value, int line)
{
	if (points->count == points->room)
	{
		if (points->room >= LB_JCAMP_MAX_POINTS)
			lb_jcamp_fail(line, "more than %d points", LB_JCAMP_MAX_POINTS);
		points->room = points->room == 0 ? 1024 : Min(points->room * 2, LB_JCAMP_MAX_POINTS);
		points->values = points->values == NULL
			? palloc_array(double, points->room)
			: repalloc(points->values, sizeof(double) * points->room);
	}
	if ((points->count & 0xFFFF) == 0)
		CHECK_FOR_INTERRUPTS();
	points->values[points->count++] = value;
}

Datum
lb_points_array(const double *values, int n)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(double) * (Size) n;
	ArrayType  *array;

	if (n == 0)
		return PointerGetDatum(construct_empty_array(FLOAT8OID));
	array = palloc(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = FLOAT8OID;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), values, sizeof(double) * (Size) n);
	return PointerGetDatum(array);
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_separator(char c)
{
	return c == ' ' || c == '\t' || c == ',' || c == ';';
}

/* The character for a message: printable, or a dot. */
static inline char
shown(char c)
{
	return c > ' ' && c < 127 ? c : '.';
}

/*
 * Correctly rounded value of at most MAX_NUMBER_LENGTH characters: exact when
 * mantissa and power of ten both fit a double, by strtod otherwise.
 */
static double
decimal_value(bool negative, int lead, const char *text, int length,
			  uint64 mantissa, int digits, int exponent)
{
	static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	char		buffer[MAX_NUMBER_LENGTH + 4];
	char	   *write = buffer;

	if (digits <= 15 && exponent >= -22 && exponent <= 22)
	{
		double		value = exponent < 0 ? mantissa / power[-exponent] : mantissa * power[exponent];

		return negative ? -value : value;
	}
	if (negative)
		*write++ = '-';
	if (lead > 0)
		*write++ = '0' + lead;
	memcpy(write, text, length);
	write[length] = '\0';
	return strtod(buffer, NULL);
}

/*
 * Reads [digits][.digits][exponent] at *at, with a first digit already known
 * (lead >= 0) or not (-1).  Returns false, without moving, when no digit is
 * there.  In a compressed line the exponent must carry a sign.
 */
static bool
read_decimal(const char **at, const char *end, bool negative, int lead,
			 bool compressed, Decimal *number)
{
	const char *start = *at;
	const char *p = start;
	uint64		mantissa = lead > 0 ? lead : 0;
	int			digits = lead > 0 ? 1 : 0;
	int			exponent = 0;
	bool		any = lead >= 0;
	bool		point = false;

	for (; p < end && (is_digit(*p) || (*p == '.' && !point)); p++)
	{
		if (*p == '.')
		{
			point = true;
			continue;
		}
		any = true;
		if (digits < 19)
		{
			mantissa = mantissa * 10 + (*p - '0');
			if (mantissa > 0)
				digits++;
		}
		else
			exponent++;
		if (point)
			exponent--;
		if (p - start >= MAX_NUMBER_LENGTH)
			return false;
	}
	if (!any)
		return false;

	if (p + 1 < end && (*p == 'E' || *p == 'e'))
	{
		const char *q = p + 1;
		bool		sign = *q == '+' || *q == '-';

		if (sign)
			q++;
		if ((sign || !compressed) && q < end && is_digit(*q))
		{
			int			power = 0;

			for (; q < end && is_digit(*q); q++)
				power = Min(power * 10 + (*q - '0'), 9999);
			exponent += p[1] == '-' ? -power : power;
			p = q;
		}
	}
	if (p - start > MAX_NUMBER_LENGTH)
		return false;

	number->negative = negative;
	number->exponent = exponent;
	number->value = decimal_value(negative, lead, start, p - start, mantissa, digits, exponent);
	*at = p;
	return true;
}

/* A value: sign and digits, or (compressed only) a SQZ letter and digits. */
static bool
read_value(const char **at, const char *end, bool compressed, Decimal *number)
{
	const char *p = *at;
	bool		negative = false;
	int			lead = -1;

	if (p >= end)
		return false;
	if (*p == '+' || *p == '-')
		negative = *p++ == '-';
	else if (compressed && *p >= '@' && *p <= 'I')
		lead = *p++ - '@';
	else if (compressed && *p >= 'a' && *p <= 'i')
	{
		negative = true;
		lead = *p++ - 'a' + 1;
	}
	if (!read_decimal(&p, end, negative, lead, compressed, number))
		return false;
	*at = p;
	return true;
}

/* A difference: a DIF letter and digits. */
static bool
read_difference(const char **at, const char *end, Decimal *number)
{
	const char *p = *at;
	bool		negative = false;
	int			lead;

	if (*p == '%')
		lead = 0;
	else if (*p >= 'J' && *p <= 'R')
		lead = *p - 'J' + 1;
	else if (*p >= 'j' && *p <= 'r')
	{
		negative = true;
		lead = *p - 'j' + 1;
	}
	else
		return false;
	p++;
	if (!read_decimal(&p, end, negative, lead, true, number))
		return false;
	*at = p;
	return true;
}

/* A repetition: a DUP letter and digits; 0 when none is there. */
static int
read_count(const char **at, const char *end, int line)
{
	const char *p = *at;
	int64		count;

	if (*p >= 'S' && *p <= 'Z')
		count = *p - 'S' + 1;
	else if (*p == 's')
		count = 9;
	else
		return 0;
	for (p++; p < end && is_digit(*p); p++)
	{
		count = count * 10 + (*p - '0');
		if (count > LB_JCAMP_MAX_POINTS)
			lb_jcamp_fail(line, "a value is repeated more than %d times", LB_JCAMP_MAX_POINTS);
	}
	*at = p;
	return (int) count;
}

static void
repeat_last(LbAsdf *table, int count, int line)
{
	if (table->mode == LB_ASDF_NONE)
		lb_jcamp_fail(line, "a repetition has nothing to repeat");
	for (int i = 1; i < count; i++)
	{
		if (table->mode == LB_ASDF_DIFFERENCE)
			table->last += table->difference;
		lb_points_append(&table->y, table->last, line);
	}
}

/* One ordinate token; "check" says that a value here repeats the last one. */
static void
read_ordinate(LbAsdf *table, const char **at, const char *end, bool check, bool *repeated, int line)
{
	Decimal		number;
	int			count;

	if (**at == '?')
	{
		(*at)++;
		table->mode = LB_ASDF_NONE;
		lb_points_append(&table->y, get_float8_nan(), line);
	}
	else if (read_value(at, end, true, &number))
	{
		if (check && number.value != table->last)
			lb_jcamp_fail(line, "the check value %.15g does not repeat the ordinate %.15g of the line before",
						  number.value, table->last);
		if (!check)
			lb_points_append(&table->y, number.value, line);
		table->last = number.value;
		table->mode = LB_ASDF_VALUE;
	}
	else if (check)
		lb_jcamp_fail(line, "the check value after a line of differences is missing");
	else if (read_difference(at, end, &number))
	{
		if (table->mode == LB_ASDF_NONE)
			lb_jcamp_fail(line, "a difference has no value before it");
		table->difference = number.value;
		table->last += number.value;
		lb_points_append(&table->y, table->last, line);
		table->mode = LB_ASDF_DIFFERENCE;
	}
	else if ((count = read_count(at, end, line)) > 0)
	{
		if (*repeated)
			lb_jcamp_fail(line, "a repetition is repeated");
		repeat_last(table, count, line);
		*repeated = true;
		return;
	}
	else
		lb_jcamp_fail(line, "\"%c\" is not part of a number", shown(**at));
	*repeated = false;
}

void
lb_asdf_line(LbAsdf *table, const char *at, const char *end, int line)
{
	bool		check = table->mode == LB_ASDF_DIFFERENCE;
	bool		repeated = false;
	int			before = table->y.count;
	Decimal		x;

	while (at < end && is_separator(*at))
		at++;
	if (at >= end)
		return;
	if (!read_value(&at, end, true, &x))
		lb_jcamp_fail(line, "the abscissa is not a number");
	table->x = x.value;
	table->x_resolution = pow(10.0, x.exponent);
	table->x_index = check ? before - 1 : before;
	if (!check)
		table->mode = LB_ASDF_NONE;

	for (;;)
	{
		while (at < end && is_separator(*at))
			at++;
		if (at >= end)
			break;
		read_ordinate(table, &at, end, check, &repeated, line);
		if (!isfinite(table->last))
			lb_jcamp_fail(line, "an ordinate is out of range");
		check = false;
	}
	if (check || (table->y.count == before && table->mode != LB_ASDF_VALUE))
		lb_jcamp_fail(line, "there is no ordinate after the abscissa");
}

void
lb_affn_line(LbPoints *points, const char *at, const char *end, int line)
{
	Decimal		number;

	for (;;)
	{
		while (at < end && is_separator(*at))
			at++;
		if (at >= end)
			return;
		if (*at == '?')
		{
			at++;
			number.value = get_float8_nan();
		}
		else if (!read_value(&at, end, false, &number))
			lb_jcamp_fail(line, "\"%c\" is not part of a number", shown(*at));
		else if (!isfinite(number.value))
			lb_jcamp_fail(line, "a number is out of range");
		if (at < end && !is_separator(*at) && *at != '+' && *at != '-')
			lb_jcamp_fail(line, "\"%c\" is not part of a number", shown(*at));
		lb_points_append(points, number.value, line);
	}
}

bool
lb_affn_number(const char *at, const char *end, double *result)
{
	Decimal		number;

	while (at < end && is_separator(*at))
		at++;
	while (end > at && is_separator(end[-1]))
		end--;
	if (!read_value(&at, end, false, &number) || at != end || !isfinite(number.value))
		return false;
	*result = number.value;
	return true;
}
