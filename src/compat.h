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

/* foreach_ptr and friends come with 17; palloc_array with 16. */
#ifndef palloc_array
#define palloc_array(type, count) ((type *) palloc(sizeof(type) * (Size) (count)))
#define palloc0_array(type, count) ((type *) palloc0(sizeof(type) * (Size) (count)))
#define palloc_object(type) ((type *) palloc(sizeof(type)))
#define palloc0_object(type) ((type *) palloc0(sizeof(type)))
#endif

#endif							/* LABOS_COMPAT_H */
