/*-------------------------------------------------------------------------
 *
 * acquire.h
 *		How promising a point is, from models of what was observed.
 *
 * IDENTIFICATION
 *	  src/campaign/acquire.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_ACQUIRE_H
#define LABOS_ACQUIRE_H

#include "campaign/gp.h"
#include "campaign/score.h"
#include "lib/stringinfo.h"

/* What was proposed, and what is known of it. */
typedef struct LbHistory
{
	int			n;
	double	   *x;				/* n * d, unit cube */
	double	   *values;			/* n * ntargets, NaN = not measured */
	int		   *row;			/* of the pool */
	bool	   *pending;		/* proposed, no answer yet */
	bool	   *known;			/* has properties */
} LbHistory;

typedef struct LbModel
{
	const char *rule;
	int			d;
	int			observed;		/* rows that every property was fitted to */
	int			ngps;
	LbGp	   *gp[LB_MAX_TARGETS];
	const char *name[LB_MAX_TARGETS];	/* of the modelled property */
	double		sign[LB_MAX_TARGETS];	/* -1: the negative is modelled */
	double		low[LB_MAX_TARGETS];	/* window, warped units */
	double		high[LB_MAX_TARGETS];
	bool		window;
	double		incumbent;		/* best warped value so far */
	const double *best;			/* its coordinates */
	double	   *work;			/* scratch of a prediction */
} LbModel;

/* NULL when there are too few observations; "more" points can be believed. */
extern LbModel *lb_acquire_model(const LbHistory *history, const LbTarget *targets,
								 int ntargets, int d, int more);

/* Logarithm of the acquisition; the larger the better. */
extern double lb_acquire_value(const LbModel *model, const double *u);
extern double lb_acquire_gradient(const LbModel *model, const double *u, double *gradient);

/* Believe that u comes out as predicted. */
extern void lb_acquire_believe(LbModel *model, const double *u);

/* {"property": {"mean": …, "sd": …}} */
extern void lb_acquire_predicted(const LbModel *model, const double *u, StringInfo out);
/* , "probability": …, "coordinates": [the three most relevant, 1-based] */
extern void lb_acquire_explain(const LbModel *model, const double *u,
							   double log_acquisition, StringInfo out);

#endif							/* LABOS_ACQUIRE_H */
