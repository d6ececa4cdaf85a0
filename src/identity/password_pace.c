/*-------------------------------------------------------------------------
 *
 * password_pace.c
 *		What a verification under the present settings takes on this machine.
 *
 * Who has a hash of older or weaker parameters would be told by the time of
 * a refusal (P52).  The difference is slept; its length is learnt from the
 * verifications that this backend has made: the median of the last fifteen.
 *
 * IDENTIFICATION
 *	  src/identity/password_pace.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "identity/crypto.h"

#define SAMPLES		15

/* Of the settings they were measured under. */
typedef struct Pace
{
	int			scheme;
	int			memory;
	int			iterations;
	int			bcrypt_cost;
	int			n;				/* ever, since the settings changed */
	double		seconds[SAMPLES];
} Pace;

static Pace pace;

static void
forget_if_settings_changed(void)
{
	if (pace.scheme == lb_setting_password_scheme &&
		pace.memory == lb_setting_argon2_memory &&
		pace.iterations == lb_setting_argon2_iterations &&
		pace.bcrypt_cost == lb_setting_bcrypt_cost)
		return;
	pace.n = 0;
	pace.scheme = lb_setting_password_scheme;
	pace.memory = lb_setting_argon2_memory;
	pace.iterations = lb_setting_argon2_iterations;
	pace.bcrypt_cost = lb_setting_bcrypt_cost;
}

static int
compare_seconds(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/*
 * labos.password_seconds(measured float8) returns float8
 *		Takes in how long a verification under the present settings took, and
 *		tells how long they take in this backend; null when none has been
 *		measured.  measured null: tells only.
 *
 * Units:	seconds
 * SQL:		volatile parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_password_seconds);

Datum
labos_password_seconds(PG_FUNCTION_ARGS)
{
	double		sorted[SAMPLES];
	int			n;

	forget_if_settings_changed();
	if (!PG_ARGISNULL(0))
	{
		pace.seconds[pace.n % SAMPLES] = PG_GETARG_FLOAT8(0);
		/* Stays a residue with the same place in the ring. */
		pace.n = pace.n + 1 < 2 * SAMPLES ? pace.n + 1 : SAMPLES;
	}
	n = Min(pace.n, SAMPLES);
	if (n == 0)
		PG_RETURN_NULL();
	memcpy(sorted, pace.seconds, n * sizeof(double));
	qsort(sorted, n, sizeof(double), compare_seconds);
	PG_RETURN_FLOAT8(sorted[n / 2]);
}
