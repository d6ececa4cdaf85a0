/*-------------------------------------------------------------------------
 *
 * uuid7.c
 *		UUID version 7 (RFC 9562, method 3): 48 bits of Unix milliseconds,
 *		12 bits of the millisecond's fraction, 62 random bits.
 *
 * Rows made by one backend sort in the order they were made: a call within
 * the same fraction takes the next one, so that many at once run ahead of the
 * clock.  Random bytes come in blocks of 4 kB from the operating system's
 * generator, because a call for every id costs fifty times the rest.  The
 * buffer belongs to one process: a fork starts its own.
 *
 * IDENTIFICATION
 *	  src/core/uuid7.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"

#include "core/uuid7.h"

#define RANDOM_BUFFER_SIZE	4096

static unsigned char random_buffer[RANDOM_BUFFER_SIZE];
static int	random_used = RANDOM_BUFFER_SIZE;
static int	random_owner = 0;	/* pid the buffer was filled in */

static inline const unsigned char *
eight_random_bytes(void)
{
	const unsigned char *bytes;

	if (random_used + 8 > RANDOM_BUFFER_SIZE || random_owner != MyProcPid)
	{
		if (!pg_strong_random(random_buffer, RANDOM_BUFFER_SIZE))
			ereport(ERROR,
					errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("could not read random bytes"));
		random_used = 0;
		random_owner = MyProcPid;
	}
	bytes = random_buffer + random_used;
	random_used += 8;
	return bytes;
}

/* Milliseconds << 12 | fraction. */
static inline uint64
stamp_of(const struct timespec *time)
{
	return ((uint64) time->tv_sec * 1000 + time->tv_nsec / 1000000) << 12 |
		(uint64) (time->tv_nsec % 1000000) * 4096 / 1000000;
}

/*
 * Is the clock behind stamp for certain?  The coarse clock is read in a quarter
 * of the time; it stands still between two ticks, and is behind by no more.
 */
static bool
clock_is_behind(uint64 stamp)
{
#ifdef CLOCK_REALTIME_COARSE
	static uint64 tick = 0;
	struct timespec now;

	if (tick == 0)
	{
		clock_getres(CLOCK_REALTIME_COARSE, &now);
		tick = stamp_of(&now) + 1;
	}
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return stamp_of(&now) + tick < stamp;
#else
	return false;
#endif
}

void
lb_uuid7_generate(pg_uuid_t *uuid)
{
	static uint64 last = 0;		/* as stamp_of() */
	static bool ahead = false;	/* of the clock, when it was last read */
	struct timespec now;
	uint64		stamp;
	uint64		word;

	if (ahead && clock_is_behind(last))
		stamp = last + 1;
	else
	{
		clock_gettime(CLOCK_REALTIME, &now);
		stamp = stamp_of(&now);
		/* Also when the clock was set back: never behind what we handed out. */
		ahead = stamp <= last;
		if (ahead)
			stamp = last + 1;
	}
	last = stamp;

	word = pg_hton64((stamp >> 12) << 16 | 0x7000 | (stamp & 0x0FFF));
	memcpy(uuid->data, &word, 8);
	memcpy(uuid->data + 8, eight_random_bytes(), 8);
	uuid->data[8] = (uuid->data[8] & 0x3F) | 0x80;
}

/*
 * labos.uuid_v7() returns uuid
 *
 * Source:	RFC 9562, section 5.7 and 6.2 method 3
 * Cost:	about 30 ns
 * SQL:		volatile parallel safe
 */
PG_FUNCTION_INFO_V1(labos_uuid_v7);

Datum
labos_uuid_v7(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));

	lb_uuid7_generate(uuid);
	PG_RETURN_UUID_P(uuid);
}

/*
 * labos.uuid_v7_time(uuid) returns timestamptz
 *		The millisecond a version 7 UUID was made; null for other versions.
 *
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_uuid_v7_time);

Datum
labos_uuid_v7_time(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *uuid = PG_GETARG_UUID_P(0);
	int64		ms = 0;

	if ((uuid->data[6] & 0xF0) != 0x70)
		PG_RETURN_NULL();
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | uuid->data[i];
	PG_RETURN_INT64((ms - INT64CONST(946684800000)) * 1000);
}
