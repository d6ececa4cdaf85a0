/*-------------------------------------------------------------------------
 *
 * special.h
 *		Elementary and normal-distribution functions of our own.
 *
 * The C library's exp() and log() differ in the last bit between versions and
 * processors.  These use plain IEEE operations in a fixed order, so that what
 * they compute is the same on every machine (built with -ffp-contract=off).
 *
 * IDENTIFICATION
 *	  src/numeric/special.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_SPECIAL_H
#define LABOS_SPECIAL_H

#define LB_SQRT5	2.2360679774997896964
#define LB_SQRT2PI	2.5066282746310005024

/* exp(x) for -700 <= x <= 700 (clamped), relative error about 3e-16. */
static inline double
lb_exp(double x)
{
	/* The low bits of shifted hold round(x / ln 2). */
	const double shift = 6755399441055744.0;
	double		shifted,
				k,
				r,
				p;
	uint64		exponent,
				bits;

	x = x < -700.0 ? -700.0 : x;
	x = x > 700.0 ? 700.0 : x;
	shifted = x * 1.4426950408889634074 + shift;
	memcpy(&exponent, &shifted, sizeof(exponent));
	k = shifted - shift;
	r = x - k * 6.93147180369123816490e-01;
	r = r - k * 1.90821492927058770002e-10;
	p = 1.0 / 6227020800.0;
	p = p * r + 1.0 / 479001600.0;
	p = p * r + 1.0 / 39916800.0;
	p = p * r + 1.0 / 3628800.0;
	p = p * r + 1.0 / 362880.0;
	p = p * r + 1.0 / 40320.0;
	p = p * r + 1.0 / 5040.0;
	p = p * r + 1.0 / 720.0;
	p = p * r + 1.0 / 120.0;
	p = p * r + 1.0 / 24.0;
	p = p * r + 1.0 / 6.0;
	p = p * r + 0.5;
	p = p * r + 1.0;
	p = p * r + 1.0;
	memcpy(&bits, &p, sizeof(bits));
	bits += exponent << 52;
	memcpy(&p, &bits, sizeof(p));
	return p;
}

/* Natural logarithm; -inf at 0, NaN below. */
extern double lb_log(double x);

/* exp(x^2) erfc(x) for x >= 0. */
extern double lb_erfcx(double x);

/* Standard normal density, distribution function and its logarithm. */
extern double lb_normal_pdf(double z);
extern double lb_normal_cdf(double z);
extern double lb_normal_log_cdf(double z);

/* log(Phi(b) - Phi(a)), a < b, either may be infinite; exact far in the tails. */
extern double lb_normal_log_interval(double a, double b);

/* log(phi(z) + z Phi(z)): the logarithm of expected improvement over sigma. */
extern double lb_normal_log_ei(double z);

#endif							/* LABOS_SPECIAL_H */
