/*-------------------------------------------------------------------------
 *
 * asdf.h
 *		Numbers of JCAMP-DX: free format (AFFN) and the compressed ordinate
 *		forms PAC, SQZ, DIF and DUP ("ASCII squeezed difference form").
 *
 * IDENTIFICATION
 *	  src/parse/asdf.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_ASDF_H
#define LABOS_ASDF_H

#include "compat.h"

/* A run of three characters can stand for a thousand million points. */
#define LB_JCAMP_MAX_POINTS 10000000

/* Values read so far; grows, never beyond LB_JCAMP_MAX_POINTS. */
typedef struct LbPoints
{
	double	   *values;
	int			count;
	int			room;
} LbPoints;

typedef enum LbAsdfMode
{
	LB_ASDF_NONE,				/* nothing that could be repeated */
	LB_ASDF_VALUE,				/* the last token was a value */
	LB_ASDF_DIFFERENCE			/* the last token was a difference */
} LbAsdfMode;

/* State of one (X++(Y..Y)) table from line to line. */
typedef struct LbAsdf
{
	LbPoints	y;
	LbAsdfMode	mode;
	double		last;			/* last ordinate, unscaled */
	double		difference;		/* last difference, unscaled */
	/* of the line read last: */
	double		x;				/* its abscissa, unscaled */
	double		x_resolution;	/* one unit of the abscissa's last digit */
	int			x_index;		/* index of the point the abscissa belongs to */
} LbAsdf;

/* Raises LB401 with the line; never returns. */
LB_NORETURN extern void lb_jcamp_fail(int line, const char *fmt,...)
			pg_attribute_printf(2, 3);

extern void lb_points_append(LbPoints *points, double value, int line);

/* float8[] of n values. */
extern Datum lb_points_array(const double *values, int n);

/* Reads one line "X Y Y Y ..." of a table; [at, end) holds no line break. */
extern void lb_asdf_line(LbAsdf *table, const char *at, const char *end, int line);

/* Appends the numbers of a line of pairs or triples; '?' is NaN. */
extern void lb_affn_line(LbPoints *points, const char *at, const char *end, int line);

/* All of [at, end) as one number; false when it is none. */
extern bool lb_affn_number(const char *at, const char *end, double *result);

#endif							/* LABOS_ASDF_H */
