/*-------------------------------------------------------------------------
 *
 * sobol.h
 *		Sobol's low-discrepancy sequence with a random digital shift.
 *
 * IDENTIFICATION
 *	  src/numeric/sobol.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_SOBOL_H
#define LABOS_SOBOL_H

/* Beyond these, coordinates are independent uniform numbers. */
#define LB_SOBOL_DIMS	21

/* Point "index" (0-based) in [0, 1)^dims, shifted by the stream of "seed". */
extern void lb_sobol_point(uint32 index, int dims, uint64 seed, double *out);

#endif							/* LABOS_SOBOL_H */
