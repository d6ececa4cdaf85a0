/*-------------------------------------------------------------------------
 *
 * compat.h
 *		Differences between PostgreSQL 15 and 18, and nothing else.
 *
 * Included after postgres.h by the rooms that need it.
 *
 * IDENTIFICATION
 *	  src/compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_COMPAT_H
#define LABOS_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "labos needs PostgreSQL 15 or newer"
#endif

/* GUC "extra" comes from malloc in 15 and must come from guc_malloc since 16. */
#if PG_VERSION_NUM >= 160000
#define lb_guc_malloc(size) guc_malloc(LOG, size)
#define lb_guc_free(ptr) guc_free(ptr)
#else
#define lb_guc_malloc(size) malloc(size)
#define lb_guc_free(ptr) free(ptr)
#endif

/* The local transaction id moved into a struct in 17. */
#if PG_VERSION_NUM >= 170000
#define LB_MY_LXID (MyProc->vxid.lxid)
#else
#define LB_MY_LXID (MyProc->lxid)
#endif

/* A scan of an index takes a place for its statistics since 18. */
#if PG_VERSION_NUM >= 180000
#define lb_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define lb_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* A deferrable primary key counts as none; 18 wants that said. */
#if PG_VERSION_NUM >= 180000
#define lb_primary_key_index(rel) RelationGetPrimaryKeyIndex(rel, false)
#else
#define lb_primary_key_index(rel) RelationGetPrimaryKeyIndex(rel)
#endif

/* Generated columns that are not stored come with 18. */
#ifndef ATTRIBUTE_GENERATED_VIRTUAL
#define ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif

/* foreach_ptr and friends come with 17; palloc_array with 16. */
#ifndef palloc_array
#define palloc_array(type, count) ((type *) palloc(sizeof(type) * (Size) (count)))
#define palloc0_array(type, count) ((type *) palloc0(sizeof(type) * (Size) (count)))
#define palloc_object(type) ((type *) palloc(sizeof(type)))
#define palloc0_object(type) ((type *) palloc0(sizeof(type)))
#endif

/*
 * JSON callbacks return void in 15 and a result since 16; the lexer is made by
 * value since 17.  A room that parses includes common/jsonapi.h first.
 */
#if PG_VERSION_NUM >= 160000
#define LbJsonResult JsonParseErrorType
#define LB_JSON_RETURN return JSON_SUCCESS
#else
#define LbJsonResult void
#define LB_JSON_RETURN return
#endif

#ifdef JSONAPI_H
static inline bool
lb_json_parse(const char *json, size_t length, int encoding, JsonSemAction *actions)
{
	JsonParseErrorType result;
#if PG_VERSION_NUM >= 170000
	JsonLexContext *lex = makeJsonLexContextCstringLen(NULL, json, length, encoding, true);
#else
	JsonLexContext *lex = makeJsonLexContextCstringLen((char *) json, length, encoding, true);
#endif

	result = pg_parse_json(lex, actions);
	return result == JSON_SUCCESS;
}
#endif

/* The macros for varlena values have a header of their own since 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * A declaration of what never returns begins with this; in 18 it can stand
 * nowhere else, before it is an attribute that may stand there.
 */
#if PG_VERSION_NUM >= 180000
#define LB_NORETURN pg_noreturn
#else
#define LB_NORETURN pg_attribute_noreturn()
#endif

/*
 * A word in lower case, as text search dictionaries make it; the function of
 * text search went away with 18.  A room that uses it includes
 * catalog/pg_collation_d.h, tsearch/ts_locale.h and utils/formatting.h first.
 */
#if PG_VERSION_NUM >= 180000
#define lb_tsearch_lower(word, length) str_tolower(word, length, DEFAULT_COLLATION_OID)
#else
#define lb_tsearch_lower(word, length) lowerstr_with_len(word, length)
#endif

/* Soft errors of input functions come with 16. */
#if PG_VERSION_NUM >= 160000
#define lb_ereturn(context, dummy, rest) ereturn(context, dummy, rest)
#else
#define lb_ereturn(context, dummy, rest) \
	do { (void) (context); ereport(ERROR, rest); return (dummy); } while (0)
#endif

#endif							/* LABOS_COMPAT_H */
