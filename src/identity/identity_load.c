/*-------------------------------------------------------------------------
 *
 * identity_load.c
 *		Asks the database who the caller is and what they may do.
 *
 * One query, lab_private.identity_load(), as the owner of its schema.  Between
 * the installation of a newer library and the update of the extension the
 * deployed function is the one of version 0.2: it is asked for as long.
 *
 * IDENTIFICATION
 *	  src/identity/identity_load.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "identity/claims_json.h"
#include "identity/identity.h"

#define NARGS		7
#define NARGS_0_2	6

/* Columns of the answer. */
enum
{
	USER_ID = 1, ORG_ID, SESSION_ID, IS_SUPERUSER, PERMISSIONS, ROLES, RELOAD_AT,
	IS_GUEST, IS_ELSEWHERE, SHARE_KINDS, SHARE_IDS, SHARE_LEVELS
};

static const char *const question =
"select user_id, org_id, session_id, is_superuser, permissions, roles, reload_at,"
" is_guest, is_elsewhere, share_kinds, share_ids, share_levels"
" from lab_private.identity_load($1, $2, $3, $4, $5, $6, $7)";

static const char *const question_0_2 =
"select user_id, org_id, session_id, is_superuser, permissions, roles, reload_at,"
" false, false, null::text[], null::uuid[], null::int[]"
" from lab_private.identity_load($1, $2, $3, $4, $5, $6)";

/* An array of text, sorted by the query, as C strings in context. */
static char **
read_text_array(Datum value, bool isnull, int *n, MemoryContext context)
{
	Datum	   *elements;
	bool	   *nulls;
	char	  **strings;

	*n = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, n);
	strings = MemoryContextAlloc(context, sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		strings[i] = MemoryContextStrdup(context, TextDatumGetCString(elements[i]));
	return strings;
}

static int
compare_shares(const void *a, const void *b)
{
	const LbShare *x = a;
	const LbShare *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return memcmp(&x->resource, &y->resource, sizeof(pg_uuid_t));
}

/* Three arrays of one length: kind, resource, level. */
static void
read_shares(HeapTuple row, TupleDesc desc, LbIdentity *answer)
{
	Datum	   *kinds;
	Datum	   *ids;
	Datum	   *levels;
	int			n;
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, SHARE_KINDS, &isnull);

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &kinds, NULL, &n);
	value = SPI_getbinval(row, desc, SHARE_IDS, &isnull);
	deconstruct_array(DatumGetArrayTypeP(value), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &ids, NULL, &n);
	value = SPI_getbinval(row, desc, SHARE_LEVELS, &isnull);
	deconstruct_array(DatumGetArrayTypeP(value), INT4OID, sizeof(int32), true, TYPALIGN_INT, &levels, NULL, &n);

	answer->shares = MemoryContextAllocHuge(answer->context, sizeof(LbShare) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		text	   *kind = DatumGetTextPP(kinds[i]);
		LbShare    *share = &answer->shares[answer->nshares];

		share->kind = lb_share_kind(VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind));
		if (share->kind == 0)
			continue;			/* of a room that this library does not know */
		share->resource = *DatumGetUUIDP(ids[i]);
		share->level = DatumGetInt32(levels[i]);
		answer->most_shared = Max(answer->most_shared, share->level);
		answer->nshares++;
	}
	qsort(answer->shares, answer->nshares, sizeof(LbShare), compare_shares);
}

static bool
read_uuid(HeapTuple row, TupleDesc desc, int column, pg_uuid_t *result)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, column, &isnull);

	if (!isnull)
		*result = *DatumGetUUIDP(value);
	return !isnull;
}

static bool
read_bool(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, column, &isnull);

	return !isnull && DatumGetBool(value);
}

static void
read_answer(HeapTuple row, TupleDesc desc, LbIdentity *answer)
{
	bool		isnull;
	Datum		value;

	answer->has_user = read_uuid(row, desc, USER_ID, &answer->user);
	answer->has_org = read_uuid(row, desc, ORG_ID, &answer->org);
	answer->has_session = read_uuid(row, desc, SESSION_ID, &answer->session);
	answer->is_superuser = read_bool(row, desc, IS_SUPERUSER);
	answer->is_guest = read_bool(row, desc, IS_GUEST);
	answer->is_elsewhere = read_bool(row, desc, IS_ELSEWHERE);
	value = SPI_getbinval(row, desc, PERMISSIONS, &isnull);
	answer->permissions = read_text_array(value, isnull, &answer->npermissions, answer->context);
	value = SPI_getbinval(row, desc, ROLES, &isnull);
	answer->roles = read_text_array(value, isnull, &answer->nroles, answer->context);
	value = SPI_getbinval(row, desc, RELOAD_AT, &isnull);
	answer->reload_at = isnull ? 0 : DatumGetTimestampTz(value);
	read_shares(row, desc, answer);
}

/* The question in the words of what is deployed; NULL when nothing is. */
static SPIPlanPtr
find_plan(Oid *types, bool has_wish)
{
	static SPIPlanPtr plans[2] = {NULL, NULL};
	List	   *name = list_make2(makeString("lab_private"), makeString("identity_load"));
	bool		old = !OidIsValid(LookupFuncName(name, NARGS, types, true));
	int			nargs = old ? NARGS_0_2 : NARGS;

	if (old)
	{
		/* A wish that is not understood must not be taken for home. */
		if (has_wish || !OidIsValid(LookupFuncName(name, NARGS_0_2, types, true)))
			return NULL;
	}
	if (plans[old] == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(old ? question_0_2 : question, nargs, types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "identity query cannot be prepared");
		plans[old] = plan;
	}
	return plans[old];
}

bool
lb_identity_load(const char *source, const LbClaims *claims, const char *wish, Oid owner, LbIdentity *answer)
{
	Oid			types[NARGS] = {TEXTOID, UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID, NAMEOID, TEXTOID};
	Datum		values[NARGS];
	char		nulls[NARGS + 1] = "       ";
	NameData	login;
	LbOuterUser outer;
	char	   *name = GetUserNameFromId(GetSessionUserId(), true);
	SPIPlanPtr	plan;

	namestrcpy(&login, name ? name : "");
	values[0] = CStringGetTextDatum(source);
	values[1] = UUIDPGetDatum(&claims->user);
	values[2] = UUIDPGetDatum(&claims->org);
	values[3] = UUIDPGetDatum(&claims->session);
	values[4] = TimestampTzGetDatum(lb_unix_to_timestamp(claims->issued));
	values[5] = NameGetDatum(&login);
	values[6] = CStringGetTextDatum(wish);
	if (!claims->has_user)
		nulls[1] = 'n';
	if (!claims->has_org)
		nulls[2] = 'n';
	if (!claims->has_session)
		nulls[3] = 'n';
	if (claims->issued == 0)
		nulls[4] = 'n';

	lb_identity_begin_as(owner, &outer);
	plan = find_plan(types, wish[0] != '\0');
	if (plan != NULL)
	{
		if (SPI_execute_plan(plan, values, nulls, true, 1) != SPI_OK_SELECT)
			elog(ERROR, "identity query failed");
		if (SPI_processed == 1)
			read_answer(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, answer);
	}
	lb_identity_end_as(&outer);
	return plan != NULL;
}
