/*-------------------------------------------------------------------------
 *
 * linalg.c
 *		Dense symmetric positive definite systems, row-major, in fixed order.
 *
 * The factorisation goes row by row and four columns at a time: a row is
 * loaded once for four dot products, each in two interleaved sums that fit the
 * two-lane registers every supported processor has.  No BLAS: those start
 * threads in a backend and round differently from machine to machine.
 *
 * Source: G. H. Golub, C. F. Van Loan, Matrix Computations, 4th ed., 4.2.
 *
 * IDENTIFICATION
 *	  src/numeric/linalg.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "numeric/linalg.h"

typedef double Pair __attribute__((vector_size(16)));

static inline Pair
load_pair(const double *p)
{
	Pair		v;

	memcpy(&v, p, sizeof(v));
	return v;
}

double
lb_linalg_dot(const double *a, const double *b, int n)
{
	Pair		s0 = {0.0, 0.0};
	Pair		s1 = {0.0, 0.0};
	double		sum;
	int			k = 0;

	for (; k + 4 <= n; k += 4)
	{
		s0 += load_pair(a + k) * load_pair(b + k);
		s1 += load_pair(a + k + 2) * load_pair(b + k + 2);
	}
	s0 += s1;
	sum = s0[0] + s0[1];
	for (; k < n; k++)
		sum += a[k] * b[k];
	return sum;
}

/* out[c] = row . (L + c * n) over the first "len" columns, c = 0..3 */
static inline void
dot_four(const double *row, const double *l, int n, int len, double *out)
{
	Pair		s0 = {0.0, 0.0};
	Pair		s1 = {0.0, 0.0};
	Pair		s2 = {0.0, 0.0};
	Pair		s3 = {0.0, 0.0};
	int			k = 0;

	for (; k + 2 <= len; k += 2)
	{
		Pair		r = load_pair(row + k);

		s0 += r * load_pair(l + k);
		s1 += r * load_pair(l + n + k);
		s2 += r * load_pair(l + 2 * n + k);
		s3 += r * load_pair(l + 3 * n + k);
	}
	out[0] = s0[0] + s0[1];
	out[1] = s1[0] + s1[1];
	out[2] = s2[0] + s2[1];
	out[3] = s3[0] + s3[1];
	for (; k < len; k++)
		for (int c = 0; c < 4; c++)
			out[c] += row[k] * l[c * n + k];
}

bool
lb_linalg_cholesky(double *a, int n)
{
	for (int i = 0; i < n; i++)
	{
		double	   *row = a + (Size) i * n;
		double		pivot;
		int			j = 0;

		for (; j + 4 <= i; j += 4)
		{
			const double *block = a + (Size) j * n;
			double		sums[4];

			dot_four(row, block, n, j, sums);
			for (int c = 0; c < 4; c++)
			{
				const double *col = block + (Size) c * n;
				double		x = row[j + c] - sums[c];

				for (int k = 0; k < c; k++)
					x -= row[j + k] * col[j + k];
				row[j + c] = x / col[j + c];
			}
		}
		for (; j < i; j++)
		{
			const double *col = a + (Size) j * n;

			row[j] = (row[j] - lb_linalg_dot(row, col, j)) / col[j];
		}
		pivot = row[i] - lb_linalg_dot(row, row, i);
		if (!(pivot > 0.0) || isinf(pivot))
			return false;
		row[i] = sqrt(pivot);
	}
	return true;
}

void
lb_linalg_solve_lower(const double *l, int n, double *x)
{
	for (int i = 0; i < n; i++)
		x[i] = (x[i] - lb_linalg_dot(l + (Size) i * n, x, i)) / l[(Size) i * n + i];
}

void
lb_linalg_solve_upper(const double *l, int n, double *x)
{
	for (int i = n - 1; i >= 0; i--)
	{
		const double *row = l + (Size) i * n;

		x[i] /= row[i];
		for (int k = 0; k < i; k++)
			x[k] -= row[k] * x[i];
	}
}

void
lb_linalg_invert_lower(const double *l, int n, double *out)
{
	memset(out, 0, sizeof(double) * n * n);
	for (int i = 0; i < n; i++)
	{
		const double *row = l + (Size) i * n;
		double	   *inv = out + (Size) i * n;
		double		scale = 1.0 / row[i];

		for (int k = 0; k < i; k++)
		{
			const double *above = out + (Size) k * n;
			double		factor = -row[k];

			for (int c = 0; c <= k; c++)
				inv[c] += factor * above[c];
		}
		for (int c = 0; c < i; c++)
			inv[c] *= scale;
		inv[i] = scale;
	}
}

void
lb_linalg_gram(const double *linv, int n, double *out)
{
	memset(out, 0, sizeof(double) * n * n);
	for (int k = 0; k < n; k++)
	{
		const double *row = linv + (Size) k * n;

		for (int i = 0; i <= k; i++)
		{
			double	   *to = out + (Size) i * n;
			double		factor = row[i];

			for (int c = 0; c <= i; c++)
				to[c] += factor * row[c];
		}
	}
}
