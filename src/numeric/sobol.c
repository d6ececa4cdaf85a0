/*-------------------------------------------------------------------------
 *
 * sobol.c
 *		Sobol's low-discrepancy sequence with a random digital shift.
 *
 * The shift (exclusive or with one random word a dimension) keeps the net
 * structure and makes sequences of different seeds independent.
 *
 * Source: S. Joe, F. Y. Kuo, SIAM J. Sci. Comput. 30 (2008) 2635-2654,
 * doi:10.1137/070709359 (primitive polynomials and direction numbers).
 *
 * IDENTIFICATION
 *	  src/numeric/sobol.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "numeric/rng.h"
#include "numeric/sobol.h"

#define BITS			32
#define SHIFT_STREAM	0x50B01u

/* Degree, inner coefficients and first direction numbers of dimension 2 on. */
typedef struct Direction
{
	uint8		degree;
	uint8		coefficients;
	uint8		m[7];
} Direction;

static const Direction directions[LB_SOBOL_DIMS - 1] = {
	{1, 0, {1}},
	{2, 1, {1, 3}},
	{3, 1, {1, 3, 1}},
	{3, 2, {1, 1, 1}},
	{4, 1, {1, 1, 3, 3}},
	{4, 4, {1, 3, 5, 13}},
	{5, 2, {1, 1, 5, 5, 17}},
	{5, 4, {1, 1, 5, 5, 5}},
	{5, 7, {1, 1, 7, 11, 19}},
	{5, 11, {1, 1, 5, 1, 1}},
	{5, 13, {1, 1, 1, 3, 11}},
	{5, 14, {1, 3, 5, 5, 31}},
	{6, 1, {1, 3, 3, 9, 7, 49}},
	{6, 13, {1, 1, 1, 15, 21, 21}},
	{6, 16, {1, 3, 1, 13, 27, 49}},
	{6, 19, {1, 1, 1, 15, 7, 5}},
	{6, 22, {1, 3, 1, 15, 13, 25}},
	{6, 25, {1, 1, 5, 5, 19, 61}},
	{7, 1, {1, 3, 7, 11, 23, 15, 103}},
	{7, 4, {1, 3, 7, 13, 13, 15, 69}},
};

/* The BITS direction words of one dimension. */
static void
direction_words(int dim, uint32 *v)
{
	const Direction *p;
	int			s;

	if (dim == 0)
	{
		for (int i = 0; i < BITS; i++)
			v[i] = 1u << (BITS - 1 - i);
		return;
	}
	p = &directions[dim - 1];
	s = p->degree;
	for (int i = 0; i < s; i++)
		v[i] = (uint32) p->m[i] << (BITS - 1 - i);
	for (int i = s; i < BITS; i++)
	{
		v[i] = v[i - s] ^ (v[i - s] >> s);
		for (int k = 1; k < s; k++)
			if ((p->coefficients >> (s - 1 - k)) & 1)
				v[i] ^= v[i - k];
	}
}

void
lb_sobol_point(uint32 index, int dims, uint64 seed, double *out)
{
	LbRng		shift;
	uint32		gray = index ^ (index >> 1);

	lb_rng_seed(&shift, seed, SHIFT_STREAM, 0);
	for (int dim = 0; dim < dims; dim++)
	{
		uint32		word = lb_rng_u32(&shift);

		if (dim < LB_SOBOL_DIMS)
		{
			uint32		v[BITS];

			direction_words(dim, v);
			for (int bit = 0; bit < BITS; bit++)
				if ((gray >> bit) & 1)
					word ^= v[bit];
			out[dim] = word * (1.0 / 4294967296.0);
		}
		else
		{
			LbRng		own;

			lb_rng_seed(&own, seed, SHIFT_STREAM + dim, index);
			out[dim] = lb_rng_uniform(&own);
		}
	}
}
