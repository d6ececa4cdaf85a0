/*-------------------------------------------------------------------------
 *
 * space.h
 *		The points that a campaign may propose, as coordinates in a unit cube.
 *
 * IDENTIFICATION
 *	  src/campaign/space.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_SPACE_H
#define LABOS_SPACE_H

#include "lib/stringinfo.h"
#include "types/formula.h"
#include "utils/jsonb.h"

/* Spaces of discrete parameters up to this size are enumerated. */
#define LB_MAX_ENUMERATED	100000
#define LB_MAX_DIMS			256

typedef enum LbParameterKind
{
	LB_PARAMETER_FLOAT,
	LB_PARAMETER_INT,
	LB_PARAMETER_CATEGORICAL
} LbParameterKind;

typedef struct LbParameter
{
	char	   *name;
	LbParameterKind kind;
	bool		log;
	double		min;
	double		max;
	int			ncategories;
	char	  **categories;
	int			at;				/* first coordinate; categories take one each */
} LbParameter;

typedef struct LbSpace
{
	int			nparameters;
	LbParameter *parameters;	/* in the order of jsonb keys */
	int			d;				/* coordinates */
	double		cells;			/* distinct points; inf with a float */
	JsonbContainer *constraints;	/* or NULL */
} LbSpace;

/* From a valid configuration. */
extern LbSpace *lb_space_read(JsonbContainer *config);

/* Coordinates of a parameter object; raises 22023 when it is not of this space. */
extern void lb_space_encode(const LbSpace *space, JsonbContainer *parameters, double *out);

/* Move coordinates to the nearest allowed point (integers, one category). */
extern void lb_space_snap(const LbSpace *space, double *u);

/* The parameter object of snapped coordinates as JSON text. */
extern void lb_space_decode(const LbSpace *space, const double *u, StringInfo out);

/* Coordinates of cell number "index" of a discrete space. */
extern void lb_space_cell(const LbSpace *space, int64 index, double *u);

/* Are bounds and linear constraints met? */
extern bool lb_space_admits(const LbSpace *space, const double *u);

/* The same for a candidate of a pool; formula or parameters may be NULL. */
extern bool lb_constraints_admit(JsonbContainer *constraints,
								 const LbFormula *formula, JsonbContainer *parameters);

#endif							/* LABOS_SPACE_H */
