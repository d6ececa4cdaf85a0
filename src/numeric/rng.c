/*-------------------------------------------------------------------------
 *
 * rng.c
 *		Counter-based random numbers (Philox 4x32-10).
 *
 * Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3", SC11, doi:10.1145/2063384.2063405.  The test
 * vectors of that paper are in test/sql/gp.sql.
 *
 * IDENTIFICATION
 *	  src/numeric/rng.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "numeric/rng.h"

#define PHILOX_M0		0xD2511F53u
#define PHILOX_M1		0xCD9E8D57u
#define PHILOX_W0		0x9E3779B9u
#define PHILOX_W1		0xBB67AE85u
#define PHILOX_ROUNDS	10

static void
philox_block(const uint32 *counter, const uint32 *key, uint32 *out)
{
	uint32		k0 = key[0];
	uint32		k1 = key[1];

	memcpy(out, counter, 4 * sizeof(uint32));
	for (int round = 0; round < PHILOX_ROUNDS; round++)
	{
		uint64		p0 = (uint64) PHILOX_M0 * out[0];
		uint64		p1 = (uint64) PHILOX_M1 * out[2];

		out[0] = (uint32) (p1 >> 32) ^ out[1] ^ k0;
		out[1] = (uint32) p1;
		out[2] = (uint32) (p0 >> 32) ^ out[3] ^ k1;
		out[3] = (uint32) p0;
		k0 += PHILOX_W0;
		k1 += PHILOX_W1;
	}
}

void
lb_rng_seed(LbRng *rng, uint64 seed, uint32 a, uint32 b)
{
	rng->key[0] = (uint32) seed;
	rng->key[1] = (uint32) (seed >> 32);
	rng->counter[0] = rng->counter[1] = 0;
	rng->counter[2] = a;
	rng->counter[3] = b;
	rng->used = 4;
}

uint32
lb_rng_u32(LbRng *rng)
{
	if (rng->used == 4)
	{
		philox_block(rng->counter, rng->key, rng->block);
		if (++rng->counter[0] == 0)
			rng->counter[1]++;
		rng->used = 0;
	}
	return rng->block[rng->used++];
}

double
lb_rng_uniform(LbRng *rng)
{
	uint64		high = lb_rng_u32(rng);
	uint64		low = lb_rng_u32(rng);

	return (double) ((high << 32 | low) >> 11) * (1.0 / 9007199254740992.0);
}

uint32
lb_rng_below(LbRng *rng, uint32 n)
{
	/* Words under 2^32 mod n would favour the small results. */
	uint32		least = (uint32) -n % n;
	uint32		word;

	do
		word = lb_rng_u32(rng);
	while (word < least);
	return word % n;
}
