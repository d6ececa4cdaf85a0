/*-------------------------------------------------------------------------
 *
 * draw.c
 *		Numbers that are the same on every machine.
 *
 * Stub results must be bit-equal for every compiler, optimisation level and
 * C library.  So: uniform numbers from SHA-256 in counter mode; only + - * /
 * and sqrt, which IEEE 754 rounds correctly, on doubles (the room is built with
 * -ffp-contract=off); an exponential and a cube root of our own, because libm's
 * differ in the last bit; and ten significant digits in what is written.
 *
 * IDENTIFICATION
 *	  src/engine/draw.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>
#include <openssl/sha.h>

#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "core/json.h"
#include "engine/engine.h"

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "engine stubs need doubles evaluated as doubles (use SSE2 arithmetic)"
#endif

void
lb_draw_seed(Draw *draw, const uint8 *hash, int64 seed)
{
	uint8		input[40];
	uint64		be_seed = pg_hton64((uint64) seed);

	memcpy(input, hash, 32);
	memcpy(input + 32, &be_seed, 8);
	SHA256(input, sizeof(input), draw->key);
	draw->counter = 0;
}

/* 53 bits of SHA-256(key, counter): a double in [0, 1), exactly. */
double
lb_draw_unit(Draw *draw)
{
	uint8		input[40];
	uint8		digest[32];
	uint64		be_counter = pg_hton64(draw->counter);
	uint64		word;

	memcpy(input, draw->key, 32);
	memcpy(input + 32, &be_counter, 8);
	SHA256(input, sizeof(input), digest);
	draw->counter++;
	memcpy(&word, digest, 8);
	return (double) (pg_ntoh64(word) >> 11) * (1.0 / 9007199254740992.0);
}

/* A value uniform within value * (1 +- spread). */
double
lb_draw_around(Draw *draw, double value, double spread)
{
	double		offset = 2.0 * lb_draw_unit(draw) - 1.0;

	return value * (1.0 + spread * offset);
}

/*
 * e^x for -1000 < x < 700, relative error below 1e-14: reduce by multiples of
 * ln 2 (split, so that the product is exact), sum the series, scale by powers of 2.
 */
double
lb_stable_exp(double x)
{
	const double ln2_high = 6.93147180369123816490e-01;
	const double ln2_low = 1.90821492927058770002e-10;
	int			k;
	double		r;
	double		sum = 1.0;

	if (x < -700.0)
		return 0.0;
	k = (int) (x / 0.6931471805599453 + (x < 0 ? -0.5 : 0.5));
	r = (x - k * ln2_high) - k * ln2_low;
	/* Horner from the 17th term: |r| <= 0.35, the rest is below 1e-23. */
	for (int i = 17; i >= 1; i--)
		sum = 1.0 + sum * r / i;
	for (; k > 0; k--)
		sum *= 2.0;
	for (; k < 0; k++)
		sum *= 0.5;
	return sum;
}

/* Cube root of x >= 0 by Newton's method on a mantissa in [1, 8). */
double
lb_stable_cbrt(double x)
{
	double		scale = 1.0;
	double		root = 1.5;

	if (x <= 0.0)
		return 0.0;
	while (x >= 8.0)
	{
		x /= 8.0;
		scale *= 2.0;
	}
	while (x < 1.0)
	{
		x *= 8.0;
		scale /= 2.0;
	}
	for (int i = 0; i < 8; i++)
		root = (2.0 * root + x / (root * root)) / 3.0;
	return root * scale;
}

double
lb_stable_round(double x)
{
	char		digits[32];

	snprintf(digits, sizeof(digits), "%.9e", x);
	return strtod(digits, NULL);
}

void
lb_put_key(StringInfo out, const char *key)
{
	if (out->len > 0 && out->data[out->len - 1] != '{')
		appendStringInfoString(out, ", ");
	escape_json(out, key);
	appendStringInfoString(out, ": ");
}

void
lb_put_number(StringInfo out, const char *key, double value)
{
	lb_put_key(out, key);
	lb_json_number(out, lb_stable_round(value));
}

void
lb_put_integer(StringInfo out, const char *key, int64 value)
{
	lb_put_key(out, key);
	appendStringInfo(out, INT64_FORMAT, value);
}

void
lb_put_bool(StringInfo out, const char *key, bool value)
{
	lb_put_key(out, key);
	appendStringInfoString(out, value ? "true" : "false");
}

void
lb_put_open(StringInfo out, const char *key)
{
	lb_put_key(out, key);
	appendStringInfoChar(out, '{');
}

void
lb_put_close(StringInfo out)
{
	appendStringInfoChar(out, '}');
}
