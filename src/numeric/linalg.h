/*-------------------------------------------------------------------------
 *
 * linalg.h
 *		Dense symmetric positive definite systems, row-major, in fixed order.
 *
 * A matrix of order n is n * n doubles; only the lower triangle is used unless
 * said otherwise.  Sums run in an order that the source fixes, so that results
 * are bit-equal wherever the arithmetic is IEEE double.
 *
 * IDENTIFICATION
 *	  src/numeric/linalg.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_LINALG_H
#define LABOS_LINALG_H

extern double lb_linalg_dot(const double *a, const double *b, int n);

/* A = L L^T in place; false when A is not positive definite. */
extern bool lb_linalg_cholesky(double *a, int n);

/* x := L^-1 x and x := L^-T x. */
extern void lb_linalg_solve_lower(const double *l, int n, double *x);
extern void lb_linalg_solve_upper(const double *l, int n, double *x);

/* out := L^-1, zero above the diagonal. */
extern void lb_linalg_invert_lower(const double *l, int n, double *out);

/* out := (L L^T)^-1 from L^-1, lower triangle. */
extern void lb_linalg_gram(const double *linv, int n, double *out);

#endif							/* LABOS_LINALG_H */
