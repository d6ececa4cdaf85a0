/*-------------------------------------------------------------------------
 *
 * gp.c
 *		Gaussian process regression with a Matern-5/2 kernel, one length a
 *		dimension.
 *
 * Hyperparameters (log lengths, log signal and noise variance) maximise the
 * posterior density by L-BFGS from two starts with the analytic gradient.
 * Priors: lengths lognormal around sqrt(d), so that a model of thirty
 * descriptors and ten observations stays smooth; signal around one; noise
 * small but free.
 *
 * Sources: C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine
 * Learning (2006), algorithm 2.1 and equation 5.9; C. Hvarfner et al., ICML
 * 2024, arXiv:2402.02229 (length prior that grows with sqrt d); I.-K. Yeo,
 * R. A. Johnson, Biometrika 87 (2000) 954-959 (warp).
 *
 * IDENTIFICATION
 *	  src/campaign/gp.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "compat.h"
#include "campaign/gp.h"
#include "numeric/lbfgs.h"
#include "numeric/linalg.h"
#include "numeric/special.h"

#define FIT_EVALS		60		/* likelihoods a start */
#define FIT_TOLERANCE	1e-3
#define FIT_ROWS		160		/* observations that choose the hyperparameters */

#define LENGTH_MEDIAN	(-0.7)	/* log of the prior's median length at d = 1 */
#define LENGTH_SPREAD	1.2
#define SIGNAL_SPREAD	1.0
#define NOISE_MEDIAN	(-8.0)
#define NOISE_SPREAD	3.0
#define NOISE_LEAST		1e-7

/* What one evaluation of the posterior needs. */
typedef struct Fit
{
	int			n;
	int			d;
	int			pairs;
	const double *squares;		/* pairs * d squared differences */
	const double *y;
	double		length_median;
	double	   *r2;				/* pairs */
	double	   *corr;			/* pairs: correlation */
	double	   *slope;			/* pairs: -d corr / d log length, over its square */
	double	   *weight;			/* d */
	double	   *k;				/* n * n */
	double	   *linv;
	double	   *inverse;
	double	   *alpha;
} Fit;

static double
gaussian_penalty(double x, double median, double spread, double *gradient)
{
	double		z = (x - median) / spread;

	*gradient += z / spread;
	return 0.5 * z * z;
}

/* Correlation and slope of each pair from r2; the loop is plain so that it vectorises. */
static void
matern_pairs(const double *r2, double *corr, double *slope, int n)
{
	for (int p = 0; p < n; p++)
	{
		double		a = LB_SQRT5 * sqrt(r2[p]);
		double		e = lb_exp(-a);

		corr[p] = (1.0 + a + a * a * (1.0 / 3.0)) * e;
		slope[p] = (5.0 / 3.0) * (1.0 + a) * e;
	}
}

/* Negative log posterior of theta = (log length * d, log signal, log noise). */
static double
negative_posterior(const double *theta, double *gradient, void *arg)
{
	Fit		   *fit = (Fit *) arg;
	int			n = fit->n;
	int			d = fit->d;
	double		signal = lb_exp(theta[d]);
	double		noise = lb_exp(theta[d + 1]);
	double		value = 0.0;
	double		trace = 0.0;
	double		overlap = 0.0;

	for (int k = 0; k < d; k++)
		fit->weight[k] = lb_exp(-2.0 * theta[k]);
	for (int p = 0; p < fit->pairs; p++)
		fit->r2[p] = lb_linalg_dot(fit->squares + (Size) p * d, fit->weight, d);
	matern_pairs(fit->r2, fit->corr, fit->slope, fit->pairs);
	for (int i = 0, p = 0; i < n; i++)
	{
		for (int j = 0; j < i; j++, p++)
			fit->k[(Size) i * n + j] = signal * fit->corr[p];
		fit->k[(Size) i * n + i] = signal + noise;
	}
	if (!lb_linalg_cholesky(fit->k, n))
		return INFINITY;
	memcpy(fit->alpha, fit->y, n * sizeof(double));
	lb_linalg_solve_lower(fit->k, n, fit->alpha);
	value += 0.5 * lb_linalg_dot(fit->alpha, fit->alpha, n);
	for (int i = 0; i < n; i++)
		value += lb_log(fit->k[(Size) i * n + i]);
	lb_linalg_solve_upper(fit->k, n, fit->alpha);
	lb_linalg_invert_lower(fit->k, n, fit->linv);
	lb_linalg_gram(fit->linv, n, fit->inverse);

	memset(gradient, 0, (d + 2) * sizeof(double));
	for (int i = 0, p = 0; i < n; i++)
	{
		for (int j = 0; j < i; j++, p++)
		{
			double		w = fit->inverse[(Size) i * n + j] - fit->alpha[i] * fit->alpha[j];
			double		push = w * signal * fit->slope[p];
			const double *squares = fit->squares + (Size) p * d;

			overlap += w * fit->corr[p];
			for (int k = 0; k < d; k++)
				gradient[k] += push * squares[k];
		}
		trace += fit->inverse[(Size) i * n + i] - fit->alpha[i] * fit->alpha[i];
	}
	for (int k = 0; k < d; k++)
		gradient[k] *= fit->weight[k];
	gradient[d] = signal * (overlap + 0.5 * trace);
	gradient[d + 1] = 0.5 * noise * trace;

	for (int k = 0; k < d; k++)
		value += gaussian_penalty(theta[k], fit->length_median, LENGTH_SPREAD,
								  &gradient[k]);
	value += gaussian_penalty(theta[d], 0.0, SIGNAL_SPREAD, &gradient[d]);
	value += gaussian_penalty(theta[d + 1], NOISE_MEDIAN, NOISE_SPREAD,
							  &gradient[d + 1]);
	return value;
}

static double
yeo_johnson(double z, double lambda)
{
	if (lambda == 1.0)
		return z;
	if (z >= 0.0)
		return lambda == 0.0 ? lb_log(1.0 + z)
			: (lb_exp(lambda * lb_log(1.0 + z)) - 1.0) / lambda;
	if (lambda == 2.0)
		return -lb_log(1.0 - z);
	return -(lb_exp((2.0 - lambda) * lb_log(1.0 - z)) - 1.0) / (2.0 - lambda);
}

static double
yeo_johnson_inverse(double t, double lambda)
{
	double		base;

	if (lambda == 1.0)
		return t;
	if (t >= 0.0)
	{
		if (lambda == 0.0)
			return lb_exp(t) - 1.0;
		base = lambda * t + 1.0;
		return (base > 0.0 ? lb_exp(lb_log(base) / lambda) : 1e30) - 1.0;
	}
	if (lambda == 2.0)
		return 1.0 - lb_exp(-t);
	base = 1.0 - (2.0 - lambda) * t;
	return 1.0 - (base > 0.0 ? lb_exp(lb_log(base) / (2.0 - lambda)) : 1e30);
}

/* Mean and deviation; a constant vector has deviation one. */
static void
moments(const double *y, int n, double *mean, double *scale)
{
	double		sum = 0.0;
	double		squares = 0.0;

	for (int i = 0; i < n; i++)
		sum += y[i];
	*mean = sum / n;
	for (int i = 0; i < n; i++)
		squares += (y[i] - *mean) * (y[i] - *mean);
	*scale = sqrt(squares / n);
	if (!(*scale > 1e-12 * fabs(*mean)) || !(*scale > 1e-300))
		*scale = 1.0;
}

/* The exponent that makes the values most normal, if that pays. */
static void
choose_warp(LbGp *gp, const double *y, int n, bool warp, double *work)
{
	double		best = -INFINITY;
	double		plain = 0.0;

	gp->lambda = 1.0;
	moments(y, n, &gp->mean, &gp->scale);
	for (int step = -8; step <= 16 && warp; step++)
	{
		double		lambda = step * 0.25;
		double		mean,
					scale,
					jacobian = 0.0,
					likelihood;

		for (int i = 0; i < n; i++)
		{
			double		z = (y[i] - gp->mean) / gp->scale;

			work[i] = yeo_johnson(z, lambda);
			jacobian += (z >= 0.0 ? 1.0 : -1.0) * lb_log(1.0 + fabs(z));
		}
		moments(work, n, &mean, &scale);
		likelihood = -n * lb_log(scale) + (lambda - 1.0) * jacobian;
		if (lambda == 1.0)
			plain = likelihood;
		if (likelihood > best)
		{
			best = likelihood;
			gp->lambda = lambda;
		}
	}
	if (best < plain + 3.0)
		gp->lambda = 1.0;
	for (int i = 0; i < n; i++)
		work[i] = yeo_johnson((y[i] - gp->mean) / gp->scale, gp->lambda);
	moments(work, n, &gp->warp_mean, &gp->warp_scale);
}

double
lb_gp_warp(const LbGp *gp, double raw)
{
	if (isinf(raw))
		return raw;
	return (yeo_johnson((raw - gp->mean) / gp->scale, gp->lambda) - gp->warp_mean) /
		gp->warp_scale;
}

double
lb_gp_unwarp(const LbGp *gp, double warped)
{
	return gp->mean + gp->scale *
		yeo_johnson_inverse(warped * gp->warp_scale + gp->warp_mean, gp->lambda);
}

/* Squared differences of all pairs of the first n rows. */
static double *
pair_squares(const double *x, int n, int d)
{
	Size		pairs = (Size) n * (n - 1) / 2;
	double	   *squares = MemoryContextAllocHuge(CurrentMemoryContext,
												 Max(pairs * d, 1) * sizeof(double));
	double	   *to = squares;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
			for (int k = 0; k < d; k++)
			{
				double		difference = x[(Size) i * d + k] - x[(Size) j * d + k];

				*to++ = difference * difference;
			}
	return squares;
}

/* Hyperparameters from at most FIT_ROWS observations, evenly taken. */
static void
fit_hyperparameters(LbGp *gp, int n)
{
	int			d = gp->d;
	int			rows = Min(n, FIT_ROWS);
	double	   *x = palloc_array(double, rows * d);
	double	   *y = palloc_array(double, rows);
	double	   *theta = palloc_array(double, 4 * (d + 2));
	double	   *best = theta + (d + 2);
	double	   *lo = best + (d + 2);
	double	   *hi = lo + (d + 2);
	double		best_value = INFINITY;
	Fit			fit = {.n = rows,.d = d,.pairs = rows * (rows - 1) / 2};

	for (int i = 0; i < rows; i++)
	{
		int			from = (int) ((int64) i * n / rows);

		memcpy(x + (Size) i * d, gp->x + (Size) from * d, d * sizeof(double));
		y[i] = gp->y[from];
	}
	fit.squares = pair_squares(x, rows, d);
	fit.y = y;
	fit.length_median = LENGTH_MEDIAN + 0.5 * lb_log(d);
	fit.r2 = palloc_array(double, 3 * fit.pairs + 1);
	fit.corr = fit.r2 + fit.pairs;
	fit.slope = fit.corr + fit.pairs;
	fit.weight = palloc_array(double, d);
	fit.k = palloc_array(double, 3 * rows * rows);
	fit.linv = fit.k + rows * rows;
	fit.inverse = fit.linv + rows * rows;
	fit.alpha = palloc_array(double, rows);

	for (int start = 0; start < 2; start++)
	{
		double		value;

		for (int k = 0; k < d; k++)
		{
			theta[k] = fit.length_median - (start == 0 ? 0.0 : 1.2);
			lo[k] = -4.6;
			hi[k] = 7.0;
		}
		theta[d] = 0.0;
		lo[d] = -5.0;
		hi[d] = 5.0;
		theta[d + 1] = start == 0 ? -6.0 : -3.0;
		lo[d + 1] = -16.0;
		hi[d + 1] = 0.7;
		value = lb_lbfgs_minimize(negative_posterior, &fit, theta, lo, hi, d + 2,
								  FIT_EVALS, FIT_TOLERANCE);
		if (start == 0 || value < best_value)
		{
			best_value = value;
			memcpy(best, theta, (d + 2) * sizeof(double));
		}
	}
	for (int k = 0; k < d; k++)
		gp->weight[k] = lb_exp(-2.0 * best[k]);
	gp->signal = lb_exp(best[d]);
	gp->noise = Max(lb_exp(best[d + 1]), NOISE_LEAST);
	pfree((void *) fit.squares);
}

static void
covariances(const LbGp *gp, const double *x, int n, double *k)
{
	for (int i = 0; i < n; i++)
	{
		const double *xi = gp->x + (Size) i * gp->d;
		double		r2 = 0.0;

		for (int c = 0; c < gp->d; c++)
		{
			double		difference = x[c] - xi[c];

			r2 += gp->weight[c] * (difference * difference);
		}
		k[i] = r2;
	}
	for (int i = 0; i < n; i++)
	{
		double		a = LB_SQRT5 * sqrt(k[i]);

		k[i] = gp->signal * (1.0 + a + a * a * (1.0 / 3.0)) * lb_exp(-a);
	}
}

/* Factor K, adding to the noise until it is positive definite. */
static void
factorise(LbGp *gp)
{
	int			n = gp->n;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
		{
			covariances(gp, gp->x + (Size) i * gp->d, i, gp->l + (Size) i * n);
			gp->l[(Size) i * n + i] = gp->signal + gp->noise;
		}
		if (lb_linalg_cholesky(gp->l, n))
			break;
		/* A diagonal like this dominates every finite matrix. */
		if (gp->noise > 1e6 * n)
			elog(ERROR, "covariances are not finite");
		gp->noise *= 10.0;
	}
	memcpy(gp->alpha, gp->y, n * sizeof(double));
	lb_linalg_solve_lower(gp->l, n, gp->alpha);
	lb_linalg_solve_upper(gp->l, n, gp->alpha);
}

LbGp *
lb_gp_fit(const double *x, const double *y, int n, int d, int more, bool warp)
{
	LbGp	   *gp = palloc0_object(LbGp);
	int			room = n + more;
	double	   *packed;

	gp->n = n;
	gp->d = d;
	gp->room = room;
	gp->x = palloc_array(double, (Size) room * d);
	gp->y = palloc_array(double, room);
	gp->weight = palloc_array(double, d);
	gp->alpha = palloc_array(double, room);
	gp->l = palloc_array(double, (Size) n * n);
	gp->linv = palloc0_array(double, (Size) room * room);
	memcpy(gp->x, x, sizeof(double) * n * d);
	CHECK_FOR_INTERRUPTS();
	choose_warp(gp, y, n, warp, gp->y);
	for (int i = 0; i < n; i++)
		gp->y[i] = lb_gp_warp(gp, y[i]);
	fit_hyperparameters(gp, n);
	factorise(gp);

	packed = palloc_array(double, n * n);
	lb_linalg_invert_lower(gp->l, n, packed);
	for (int i = 0; i < n; i++)
		memcpy(gp->linv + (Size) i * room, packed + (Size) i * n, n * sizeof(double));
	pfree(packed);
	return gp;
}

void
lb_gp_predict(const LbGp *gp, const double *x, double *k, double *v,
			  double *mean, double *sd)
{
	double		variance = gp->signal;

	covariances(gp, x, gp->n, k);
	*mean = lb_linalg_dot(k, gp->alpha, gp->n);
	for (int i = 0; i < gp->n; i++)
	{
		v[i] = lb_linalg_dot(gp->linv + (Size) i * gp->room, k, i + 1);
		variance -= v[i] * v[i];
	}
	*sd = sqrt(Max(variance, 1e-12 * gp->signal));
}

void
lb_gp_predict_gradient(const LbGp *gp, const double *x, double *k, double *v,
					   double *u, double *mean, double *sd,
					   double *mean_grad, double *sd_grad)
{
	int			n = gp->n;

	lb_gp_predict(gp, x, k, v, mean, sd);
	/* u = K^-1 k = L^-T v */
	memset(u, 0, n * sizeof(double));
	for (int i = 0; i < n; i++)
		for (int j = 0; j <= i; j++)
			u[j] += gp->linv[(Size) i * gp->room + j] * v[i];
	memset(mean_grad, 0, gp->d * sizeof(double));
	memset(sd_grad, 0, gp->d * sizeof(double));
	for (int i = 0; i < n; i++)
	{
		const double *xi = gp->x + (Size) i * gp->d;
		double		r2 = 0.0;
		double		a,
					slope;

		for (int c = 0; c < gp->d; c++)
			r2 += gp->weight[c] * (x[c] - xi[c]) * (x[c] - xi[c]);
		a = LB_SQRT5 * sqrt(r2);
		slope = -gp->signal * (5.0 / 3.0) * (1.0 + a) * lb_exp(-a);
		for (int c = 0; c < gp->d; c++)
		{
			double		dk = slope * gp->weight[c] * (x[c] - xi[c]);

			mean_grad[c] += gp->alpha[i] * dk;
			sd_grad[c] -= u[i] * dk / *sd;
		}
	}
}

void
lb_gp_append(LbGp *gp, const double *x, double y)
{
	int			n = gp->n;
	double	   *k = palloc_array(double, 3 * (n + 1));
	double	   *v = k + n + 1;
	double	   *row = v + n + 1;
	double		pivot = gp->signal + gp->noise;
	double		residue = y;

	Assert(n < gp->room);
	covariances(gp, x, n, k);
	for (int i = 0; i < n; i++)
	{
		v[i] = lb_linalg_dot(gp->linv + (Size) i * gp->room, k, i + 1);
		pivot -= v[i] * v[i];
	}
	residue -= lb_linalg_dot(k, gp->alpha, n);
	pivot = sqrt(Max(pivot, NOISE_LEAST * gp->signal));

	/* The new row of L^-1, and what it adds to K^-1 y. */
	memset(row, 0, n * sizeof(double));
	for (int i = 0; i < n; i++)
		for (int j = 0; j <= i; j++)
			row[j] -= v[i] * gp->linv[(Size) i * gp->room + j];
	row[n] = 1.0;
	gp->alpha[n] = 0.0;
	for (int j = 0; j <= n; j++)
	{
		row[j] /= pivot;
		gp->alpha[j] += row[j] * residue / pivot;
		gp->linv[(Size) n * gp->room + j] = row[j];
	}
	memcpy(gp->x + (Size) n * gp->d, x, gp->d * sizeof(double));
	gp->y[n] = y;
	gp->n = n + 1;
	pfree(k);
}
