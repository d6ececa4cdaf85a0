/*-------------------------------------------------------------------------
 *
 * json.c
 *		Getters for jsonb objects and writers for small JSON texts.
 *
 * IDENTIFICATION
 *	  src/core/json.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "compat.h"
#include "core/json.h"

static void
wrong_type(const char *key, const char *expected)
{
	ereport(ERROR,
			errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("\"%s\" must be %s", key, expected));
}

JsonbValue *
lb_json_find(JsonbContainer *object, const char *key)
{
	JsonbValue *value;

	if (!JsonContainerIsObject(object))
		return NULL;
	value = getKeyJsonValueFromContainer(object, key, strlen(key), NULL);
	if (value == NULL || value->type == jbvNull)
		return NULL;
	return value;
}

char *
lb_json_text(JsonbContainer *object, const char *key)
{
	JsonbValue *value = lb_json_find(object, key);

	if (value == NULL)
		return NULL;
	if (value->type != jbvString)
		wrong_type(key, "a string");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

double
lb_jsonvalue_double(const JsonbValue *value, const char *key)
{
	if (value->type != jbvNumeric)
		wrong_type(key, "a number");
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8,
											  NumericGetDatum(value->val.numeric)));
}

bool
lb_json_double(JsonbContainer *object, const char *key, double *result)
{
	JsonbValue *value = lb_json_find(object, key);

	if (value == NULL)
		return false;
	*result = lb_jsonvalue_double(value, key);
	return true;
}

bool
lb_json_int64(JsonbContainer *object, const char *key, int64 *result)
{
	JsonbValue *value = lb_json_find(object, key);
	double		number;

	if (value == NULL)
		return false;
	number = lb_jsonvalue_double(value, key);
	/* 2^53: beyond it JSON readers disagree about integers. */
	if (number != rint(number) || fabs(number) > 9007199254740992.0)
		wrong_type(key, "an integer");
	*result = (int64) number;
	return true;
}

bool
lb_json_bool(JsonbContainer *object, const char *key, bool *result)
{
	JsonbValue *value = lb_json_find(object, key);

	if (value == NULL)
		return false;
	if (value->type != jbvBool)
		wrong_type(key, "true or false");
	*result = value->val.boolean;
	return true;
}

bool
lb_json_uuid(JsonbContainer *object, const char *key, pg_uuid_t *result)
{
	char	   *text = lb_json_text(object, key);

	if (text == NULL)
		return false;
	*result = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
	pfree(text);
	return true;
}

JsonbContainer *
lb_json_array(JsonbContainer *object, const char *key)
{
	JsonbValue *value = lb_json_find(object, key);

	if (value == NULL)
		return NULL;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		wrong_type(key, "an array");
	return value->val.binary.data;
}

JsonbContainer *
lb_json_object(JsonbContainer *object, const char *key)
{
	JsonbValue *value = lb_json_find(object, key);

	if (value == NULL)
		return NULL;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		wrong_type(key, "an object");
	return value->val.binary.data;
}

void
lb_json_member(StringInfo out, const char *name, const char *value)
{
	if (out->len > 0 && out->data[out->len - 1] != '{')
		appendStringInfoString(out, ", ");
	escape_json(out, name);
	appendStringInfoString(out, ": ");
	if (value == NULL)
		appendStringInfoString(out, "null");
	else
		escape_json(out, value);
}

void
lb_json_number(StringInfo out, double value)
{
	char		buffer[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (!isfinite(value))
	{
		appendStringInfoString(out, "null");
		return;
	}
	double_to_shortest_decimal_buf(value, buffer);
	appendStringInfoString(out, buffer);
}
