/*-------------------------------------------------------------------------
 *
 * lbfgs.h
 *		Limited-memory BFGS in a box.
 *
 * IDENTIFICATION
 *	  src/numeric/lbfgs.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_LBFGS_H
#define LABOS_LBFGS_H

/* Value at x, gradient into g; a value that is not finite means "not here". */
typedef double (*LbObjective) (const double *x, double *g, void *arg);

/*
 * Minimise from x (replaced by the best point found) within lo <= x <= hi, at
 * most max_evals evaluations.  Returns the value there.  Scratch is palloc'd
 * and freed.
 */
extern double lb_lbfgs_minimize(LbObjective f, void *arg, double *x,
								const double *lo, const double *hi,
								int n, int max_evals, double tolerance);

#endif							/* LABOS_LBFGS_H */
