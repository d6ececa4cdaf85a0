/*-------------------------------------------------------------------------
 *
 * json.h
 *		Getters for jsonb objects and writers for small JSON texts.
 *
 * A getter returns false (or NULL) when the key is absent or null, and raises
 * 22023 naming the key when the value has another type.  Nothing here recurses.
 *
 * IDENTIFICATION
 *	  src/core/json.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_JSON_H
#define LABOS_JSON_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* The value under key, or NULL when absent or json null. */
extern JsonbValue *lb_json_find(JsonbContainer *object, const char *key);

/* Text, palloc'd and NUL-terminated. */
extern char *lb_json_text(JsonbContainer *object, const char *key);
extern bool lb_json_double(JsonbContainer *object, const char *key, double *result);
extern bool lb_json_int64(JsonbContainer *object, const char *key, int64 *result);
extern bool lb_json_bool(JsonbContainer *object, const char *key, bool *result);
extern bool lb_json_uuid(JsonbContainer *object, const char *key, pg_uuid_t *result);
/* An array or object under key, NULL when absent. */
extern JsonbContainer *lb_json_array(JsonbContainer *object, const char *key);
extern JsonbContainer *lb_json_object(JsonbContainer *object, const char *key);

/* A number value as double; raises 22003 when it does not fit. */
extern double lb_jsonvalue_double(const JsonbValue *value, const char *key);

/* Appends  "name": "value"  (escaped), after a comma unless at the start. */
extern void lb_json_member(StringInfo out, const char *name, const char *value);
/* Appends a double in the shortest form that reads back the same; null when not finite. */
extern void lb_json_number(StringInfo out, double value);

#endif							/* LABOS_JSON_H */
