/*-------------------------------------------------------------------------
 *
 * api_key_sql.c
 *		SQL functions over API keys.
 *
 * IDENTIFICATION
 *	  src/identity/api_key_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "core/errors.h"
#include "identity/api_key.h"
#include "identity/identity.h"

static pg_uuid_t
uuid_column(int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? (pg_uuid_t) {{0}} : *DatumGetUUIDP(value);
}

bool
lb_api_key_find(const char *text, int len, LbApiKeyOwner *owner)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Datum		values[1];
	uint8		stored[LB_API_KEY_DIGEST_SIZE] = {0};
	bool		known = false;
	LbApiKey	key;
	LbOuterUser outer;
	Oid			private_owner = lb_identity_private_owner();

	if (!OidIsValid(private_owner) || !lb_api_key_parse(text, len, &key))
		return false;
	values[0] = CStringGetTextDatum(key.id);
	lb_identity_begin_as(private_owner, &outer);
	if (plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare("select k.secret_sha256, s.id, s.user_id, s.org_id"
										   " from lab_private.api_key_secrets k"
										   " join lab_data.user_sessions s on s.id = k.session_id and s.org_id = k.org_id"
										   " where k.public_id = $1", 1, types);

		if (prepared == NULL || SPI_keepplan(prepared) != 0)
			elog(ERROR, "API key query cannot be prepared");
		plan = prepared;
	}
	if (SPI_execute_plan(plan, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "API key query failed");
	if (SPI_processed == 1)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		bytea	   *digest = isnull ? NULL : DatumGetByteaPP(value);

		if (digest != NULL && VARSIZE_ANY_EXHDR(digest) == LB_API_KEY_DIGEST_SIZE)
		{
			memcpy(stored, VARDATA_ANY(digest), LB_API_KEY_DIGEST_SIZE);
			known = true;
		}
		owner->session = uuid_column(2);
		owner->user = uuid_column(3);
		owner->org = uuid_column(4);
	}
	lb_identity_end_as(&outer);
	/* Compared whether the id is known or not. */
	return (CRYPTO_memcmp(stored, key.digest, LB_API_KEY_DIGEST_SIZE) == 0) & known;
}

/*
 * labos.api_key_generate()
 *		returns (key text, public_id text, prefix text, secret_sha256 bytea)
 *
 * Errors:	LB104 the generator failed
 * SQL:		volatile parallel safe; lab_owner only
 */
PG_FUNCTION_INFO_V1(labos_api_key_generate);

Datum
labos_api_key_generate(PG_FUNCTION_ARGS)
{
	char		text[LB_API_KEY_MAX + 1];
	LbApiKey	key;
	bytea	   *digest = palloc(VARHDRSZ + LB_API_KEY_DIGEST_SIZE);
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!lb_api_key_make(lb_setting_api_key_environment, text, &key))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_CRYPTO),
				errmsg("could not make an API key"));
	SET_VARSIZE(digest, VARHDRSZ + LB_API_KEY_DIGEST_SIZE);
	memcpy(VARDATA(digest), key.digest, LB_API_KEY_DIGEST_SIZE);
	values[0] = CStringGetTextDatum(text);
	values[1] = CStringGetTextDatum(key.id);
	values[2] = PointerGetDatum(cstring_to_text_with_len(text, key.prefix_len));
	values[3] = PointerGetDatum(digest);
	OPENSSL_cleanse(text, sizeof(text));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/*
 * labos.api_key_valid(key text) returns boolean
 *		Has it the shape and checksum of a key?  Asks nobody: for scanners,
 *		forms and tests.
 *
 * Cost:	2 us
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_api_key_valid);

Datum
labos_api_key_valid(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	LbApiKey	parsed;

	PG_RETURN_BOOL(lb_api_key_parse(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &parsed));
}

/*
 * labos.api_key_check(key text) returns uuid
 *		The session that the key opens, which may have ended; null when there
 *		is no such key.  One look at one index, digests compared in constant
 *		time.
 *
 * Errors:	never one that depends on the key
 * Cost:	below 25 us (bench/api_key.sh)
 * SQL:		volatile strict parallel unsafe; lab_owner only
 */
PG_FUNCTION_INFO_V1(labos_api_key_check);

Datum
labos_api_key_check(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	LbApiKeyOwner owner;

	if (!lb_api_key_find(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &owner))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(memcpy(palloc(sizeof(pg_uuid_t)), &owner.session, sizeof(pg_uuid_t)));
}
