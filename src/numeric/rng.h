/*-------------------------------------------------------------------------
 *
 * rng.h
 *		Counter-based random numbers (Philox 4x32-10).
 *
 * A stream is named by (seed, a, b), for instance campaign seed, iteration and
 * slot; two streams never overlap, and a number depends on nothing but its
 * place in its stream.  Not for secrets.
 *
 * IDENTIFICATION
 *	  src/numeric/rng.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_RNG_H
#define LABOS_RNG_H

typedef struct LbRng
{
	uint32		key[2];
	uint32		counter[4];		/* 0-1 count, 2 = a, 3 = b */
	uint32		block[4];
	int			used;			/* words of block that were handed out */
} LbRng;

extern void lb_rng_seed(LbRng *rng, uint64 seed, uint32 a, uint32 b);
extern uint32 lb_rng_u32(LbRng *rng);

/* Uniform in [0, 1), 53 bits. */
extern double lb_rng_uniform(LbRng *rng);

/* Uniform in 0 .. n - 1 without bias; n > 0. */
extern uint32 lb_rng_below(LbRng *rng, uint32 n);

#endif							/* LABOS_RNG_H */
