/*-------------------------------------------------------------------------
 *
 * login_limit.c
 *		Failed sign-ins per client address.
 *
 * The lock of an account is per account; without a limit per address one
 * client could lock accounts at will, or try one password on many of them.  A
 * call that takes a secret asks here first (labos.login_throttle), before it
 * charges any account.
 *
 * The attempt is charged at once, so that a thousand at the same time do not
 * pass the check together, and given back when the transaction commits without
 * labos.login_throttle_failed() having been called.  Whatever else ends it (an
 * error, ROLLBACK, a lost connection) leaves the charge where it is (P29).
 *
 * IDENTIFICATION
 *	  src/identity/login_limit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "identity/throttle.h"

#define MAX_PENDING		8

static int	setting_failures = 50;
static int	setting_window = 900;

/* Attempts of this transaction that have not failed yet. */
static struct
{
	LbThrottleKey key;
	LbBucket	bucket;
}			pending[MAX_PENDING];
static int	npending = 0;

void
lb_login_limit_forgive(void)
{
	while (npending > 0)
	{
		npending--;
		lb_throttle_refund(LB_AREA_LOGIN, &pending[npending].key, pending[npending].bucket);
	}
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		lb_login_limit_forgive();
	else if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		npending = 0;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		npending = 0;
}

/*
 * labos.login_throttle(kind text) returns void
 *		Refuses a client address with too many failures of this kind; counts
 *		the attempt as one until the transaction commits.
 *
 * Errors:	PT429 too_many_attempts
 * SQL:		volatile strict parallel unsafe
 */
PG_FUNCTION_INFO_V1(labos_login_throttle);

Datum
labos_login_throttle(PG_FUNCTION_ARGS)
{
	static bool registered = false;
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	LbAddress	network;
	LbThrottleKey key;
	LbBucket	bucket;
	int64		wait;

	if (setting_failures == 0 || !lb_client_network(&network))
		PG_RETURN_VOID();
	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}
	bucket.capacity = (int64) setting_window * USECS_PER_SEC;
	bucket.cost = bucket.capacity / setting_failures;
	lb_throttle_key(&key, kind, &network, sizeof(network));
	wait = lb_throttle_charge(LB_AREA_LOGIN, &key, bucket);
	if (wait > 0)
	{
		pg_atomic_fetch_add_u64(&lb_shared()->refused_logins, 1);
		lb_denied_note('l', kind);
		lb_throttle_refuse("too_many_attempts", wait, NULL, NULL,
						   "Wait, then try again: too many attempts from this address have failed.",
						   "too many failed attempts from this address");
	}
	/* One more than fits is not given back. */
	if (npending < MAX_PENDING)
	{
		pending[npending].key = key;
		pending[npending].bucket = bucket;
		npending++;
	}
	PG_RETURN_VOID();
}

/*
 * labos.login_throttle_failed(kind text) returns void
 *		The last attempt of this transaction has failed: it stays counted.
 *
 * SQL:		volatile strict parallel unsafe
 */
PG_FUNCTION_INFO_V1(labos_login_throttle_failed);

Datum
labos_login_throttle_failed(PG_FUNCTION_ARGS)
{
	if (npending > 0)
		npending--;
	PG_RETURN_VOID();
}

void
lb_login_limit_define(void)
{
	DefineCustomIntVariable("labos.login_failures_per_address",
							"Failed sign-ins that one client address may have in labos.login_failures_window.",
							"0: no limit. IPv6 addresses count by their /64.",
							&setting_failures, 50, 0, 100000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("labos.login_failures_window",
							"How long it takes until failed sign-ins of an address are forgotten.",
							NULL,
							&setting_window, 900, 10, 86400,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}
