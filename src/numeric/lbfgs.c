/*-------------------------------------------------------------------------
 *
 * lbfgs.c
 *		Limited-memory BFGS in a box.
 *
 * The two-loop recursion on the variables that are free to move, a projected
 * step, and backtracking until Armijo's condition holds.
 *
 * Source: J. Nocedal, S. Wright, Numerical Optimization, 2nd ed., algorithm
 * 7.4; the projection after D. P. Bertsekas, SIAM J. Control Optim. 20 (1982)
 * 221-246.
 *
 * IDENTIFICATION
 *	  src/numeric/lbfgs.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "compat.h"
#include "numeric/lbfgs.h"
#include "numeric/linalg.h"

#define MEMORY	8

typedef struct History
{
	int			n;
	int			count;			/* pairs held */
	int			next;			/* where the next pair goes */
	double	   *s;				/* MEMORY * n steps */
	double	   *y;				/* MEMORY * n gradient changes */
	double		rho[MEMORY];
} History;

static void
remember(History *h, const double *x, const double *x_new,
		 const double *g, const double *g_new)
{
	double	   *s = h->s + (Size) h->next * h->n;
	double	   *y = h->y + (Size) h->next * h->n;
	double		sy,
				yy;

	for (int i = 0; i < h->n; i++)
	{
		s[i] = x_new[i] - x[i];
		y[i] = g_new[i] - g[i];
	}
	sy = lb_linalg_dot(s, y, h->n);
	yy = lb_linalg_dot(y, y, h->n);
	if (!(sy > 1e-12 * yy) || !(yy > 0.0))
		return;					/* no curvature to learn from */
	h->rho[h->next] = 1.0 / sy;
	h->next = (h->next + 1) % MEMORY;
	if (h->count < MEMORY)
		h->count++;
}

/* d := -H g by the two-loop recursion. */
static void
quasi_newton(const History *h, const double *g, double *d)
{
	double		alpha[MEMORY];
	int			n = h->n;

	for (int i = 0; i < n; i++)
		d[i] = -g[i];
	for (int k = 0; k < h->count; k++)
	{
		int			at = (h->next - 1 - k + 2 * MEMORY) % MEMORY;
		const double *y = h->y + (Size) at * n;

		alpha[at] = h->rho[at] * lb_linalg_dot(h->s + (Size) at * n, d, n);
		for (int i = 0; i < n; i++)
			d[i] -= alpha[at] * y[i];
	}
	if (h->count > 0)
	{
		int			at = (h->next - 1 + MEMORY) % MEMORY;
		const double *y = h->y + (Size) at * n;
		double		scale = 1.0 / (h->rho[at] * lb_linalg_dot(y, y, n));

		for (int i = 0; i < n; i++)
			d[i] *= scale;
	}
	for (int k = h->count - 1; k >= 0; k--)
	{
		int			at = (h->next - 1 - k + 2 * MEMORY) % MEMORY;
		const double *s = h->s + (Size) at * n;
		double		beta = h->rho[at] * lb_linalg_dot(h->y + (Size) at * n, d, n);

		for (int i = 0; i < n; i++)
			d[i] += (alpha[at] - beta) * s[i];
	}
}

/* Freeze the variables that a descent would push through their bound. */
static double
free_gradient(const double *x, const double *g, const double *lo,
			  const double *hi, int n, double *out)
{
	double		largest = 0.0;

	for (int i = 0; i < n; i++)
	{
		bool		stuck = (x[i] <= lo[i] && g[i] > 0.0) ||
		(x[i] >= hi[i] && g[i] < 0.0);

		out[i] = stuck ? 0.0 : g[i];
		largest = Max(largest, fabs(out[i]));
	}
	return largest;
}

double
lb_lbfgs_minimize(LbObjective f, void *arg, double *x, const double *lo,
				  const double *hi, int n, int max_evals, double tolerance)
{
	double	   *scratch = palloc_array(double, (2 * MEMORY + 5) * n);
	double	   *g = scratch;
	double	   *g_new = g + n;
	double	   *g_free = g_new + n;
	double	   *x_new = g_free + n;
	double	   *d = x_new + n;
	History		history = {.n = n,.s = d + n,.y = d + n + MEMORY * n};
	double		value = f(x, g, arg);
	int			evals = 1;

	while (evals < max_evals && isfinite(value))
	{
		double		step = 1.0;
		double		fell = 0.0;
		bool		moved = false;

		CHECK_FOR_INTERRUPTS();
		if (free_gradient(x, g, lo, hi, n, g_free) < tolerance)
			break;
		quasi_newton(&history, g_free, d);
		for (int i = 0; i < n; i++)
			if (g_free[i] == 0.0)
				d[i] = 0.0;
		if (!(lb_linalg_dot(d, g_free, n) < 0.0))
		{
			history.count = 0;
			for (int i = 0; i < n; i++)
				d[i] = -g_free[i];
		}
		if (history.count == 0)
			step = Min(1.0, 0.5 / sqrt(lb_linalg_dot(d, d, n)));

		for (int tries = 0; tries < 20 && evals < max_evals; tries++)
		{
			double		slope = 0.0;
			double		tried;

			CHECK_FOR_INTERRUPTS();
			for (int i = 0; i < n; i++)
			{
				x_new[i] = Min(hi[i], Max(lo[i], x[i] + step * d[i]));
				slope += g[i] * (x_new[i] - x[i]);
			}
			tried = f(x_new, g_new, arg);
			evals++;
			if (isfinite(tried) && tried <= value + 1e-4 * slope)
			{
				fell = value - tried;
				value = tried;
				moved = true;
				break;
			}
			step *= 0.4;
		}
		if (!moved)
		{
			if (history.count == 0)
				break;
			history.count = 0;	/* once more, down the gradient */
			continue;
		}
		remember(&history, x, x_new, g, g_new);
		memcpy(x, x_new, n * sizeof(double));
		memcpy(g, g_new, n * sizeof(double));
		if (fell <= tolerance * 1e-3 * Max(1.0, fabs(value)))
			break;
	}
	pfree(scratch);
	return value;
}
