/*-------------------------------------------------------------------------
 *
 * special.c
 *		Elementary and normal-distribution functions of our own.
 *
 * erfc: the series of positive terms below 2, Laplace's continued fraction
 * above (Abramowitz & Stegun 7.1.6, 7.1.14).  Logarithm of expected
 * improvement: S. Ament et al., NeurIPS 2023, arXiv:2310.20708.
 *
 * IDENTIFICATION
 *	  src/numeric/special.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "numeric/special.h"

#define SQRT_PI		1.7724538509055160273
#define SQRT_2		1.4142135623730950488
#define LN_2		0.69314718055994530942
#define LN_SQRT2PI	0.91893853320467274178

double
lb_log(double x)
{
	int			exponent;
	double		m,
				f,
				f2,
				sum;

	if (!(x > 0.0) || isinf(x))
		return x == 0.0 ? -INFINITY : x > 0.0 ? INFINITY : NAN;
	m = frexp(x, &exponent);
	if (m < 0.70710678118654752440)
	{
		m *= 2.0;
		exponent--;
	}
	/* ln m = 2 artanh(f), |f| <= 0.172 */
	f = (m - 1.0) / (m + 1.0);
	f2 = f * f;
	sum = 0.0;
	for (int k = 23; k >= 3; k -= 2)
		sum = (sum + 1.0 / k) * f2;
	return exponent * LN_2 + (2.0 * f + 2.0 * f * sum);
}

/* exp(-x^2) sum 2^n x^(2n+1) / (2n+1)!! = sqrt(pi)/2 erf(x), 0 <= x < 2 */
static double
erf_series(double x)
{
	double		term = x;
	double		sum = x;

	for (int n = 1; n < 60; n++)
	{
		term *= 2.0 * x * x / (2 * n + 1);
		sum += term;
	}
	return sum;
}

double
lb_erfcx(double x)
{
	double		tail = 0.0;
	int			terms;

	if (x < 2.0)
		return lb_exp(x * x) - 2.0 / SQRT_PI * erf_series(x);
	if (x > 1e8)
		return 1.0 / (SQRT_PI * x);
	/* Enough for 1e-15 at 2; the fraction converges faster further out. */
	terms = 6 + (int) (320.0 / (x * x));
	for (int n = terms; n > 0; n--)
		tail = 0.5 * n / (x + tail);
	return 1.0 / (SQRT_PI * (x + tail));
}

double
lb_normal_pdf(double z)
{
	return fabs(z) > 37.0 ? 0.0 : lb_exp(-0.5 * z * z) / LB_SQRT2PI;
}

double
lb_normal_cdf(double z)
{
	double		tail;

	if (fabs(z) > 37.0)
		return z > 0.0 ? 1.0 : 0.0;
	tail = 0.5 * lb_erfcx(fabs(z) / SQRT_2) * lb_exp(-0.5 * z * z);
	return z > 0.0 ? 1.0 - tail : tail;
}

double
lb_normal_log_cdf(double z)
{
	if (z >= 0.0)
		return lb_log(lb_normal_cdf(z));
	if (isinf(z))
		return -INFINITY;
	return -0.5 * z * z + lb_log(0.5 * lb_erfcx(-z / SQRT_2));
}

double
lb_normal_log_interval(double a, double b)
{
	double		log_b,
				ratio;

	/* In the upper tail, look from the other side. */
	if (a > 0.0)
	{
		double		swap = a;

		a = -b;
		b = -swap;
	}
	if (b > 0.0)
		return lb_log(lb_normal_cdf(b) - lb_normal_cdf(a));
	log_b = lb_normal_log_cdf(b);
	if (isinf(a))
		return log_b;
	ratio = lb_normal_log_cdf(a) - log_b;
	/* 1 - e^ratio; a narrow interval must not vanish */
	if (ratio > -1e-12)
		return log_b + lb_log(-ratio > 1e-300 ? -ratio : 1e-300);
	return log_b + lb_log(1.0 - lb_exp(ratio));
}

double
lb_normal_log_ei(double z)
{
	double		a = -z;

	if (z > -1.0)
		return lb_log(lb_normal_pdf(z) + z * lb_normal_cdf(z));
	if (a > 100.0)
		return -0.5 * z * z - LN_SQRT2PI - 2.0 * lb_log(a) - 3.0 / (a * a);
	return -0.5 * z * z - LN_SQRT2PI +
		lb_log(1.0 - a * (SQRT_PI / SQRT_2) * lb_erfcx(a / SQRT_2));
}
