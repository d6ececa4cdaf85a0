/*-------------------------------------------------------------------------
 *
 * score.h
 *		How good a set of properties is: desirability, 0 to 1.
 *
 * IDENTIFICATION
 *	  src/campaign/score.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_SCORE_H
#define LABOS_SCORE_H

#include "utils/jsonb.h"

#define LB_MAX_TARGETS	32

typedef enum LbTargetKind
{
	LB_TARGET_WINDOW,			/* target and tolerance, min/max, at_least, at_most */
	LB_TARGET_MAXIMIZE,
	LB_TARGET_MINIMIZE
} LbTargetKind;

typedef struct LbTarget
{
	char	   *name;			/* of the property */
	LbTargetKind kind;
	double		low;			/* window: may be -inf; ramp: worst or best end */
	double		high;
	double		falloff;		/* window: distance at which exp(-1/2) is left */
	double		exponent;		/* ramp */
	double		weight;			/* normalised: they sum to 1 */
} LbTarget;

/* Reads valid targets (see config.h); raises LB601 for others. */
extern int	lb_score_targets(JsonbContainer *targets, LbTarget *out);

/* Desirability of one value. */
extern double lb_score_part(const LbTarget *target, double value);

#endif							/* LABOS_SCORE_H */
