/*-------------------------------------------------------------------------
 *
 * labos.c
 *		The module: what runs when a backend loads the library.
 *
 * IDENTIFICATION
 *	  src/labos.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "audit/audit.h"
#include "compat.h"
#include "identity/claims.h"
#include "identity/crypto.h"
#include "identity/throttle.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	lb_identity_init();
	lb_identity_guard_roles();
	lb_identity_scrub_log();
	lb_identity_limit_init();
	lb_identity_crypto_init();
	lb_throttle_init();
	lb_audit_init();

	/* After every room has defined its settings: no other labos.* exists. */
	MarkGUCPrefixReserved("labos");
}

/*
 * labos.library_version() returns text
 *		The version of the loaded shared library, as labos.control had it.
 *
 * SQL:		immutable parallel safe
 */
PG_FUNCTION_INFO_V1(labos_library_version);

Datum
labos_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(LABOS_VERSION));
}
