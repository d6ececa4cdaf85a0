/*-------------------------------------------------------------------------
 *
 * config.h
 *		Validation of a campaign's configuration: every problem at once.
 *
 * IDENTIFICATION
 *	  src/campaign/config.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_CONFIG_H
#define LABOS_CONFIG_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#define LB_MAX_CONFIG_BYTES		262144
#define LB_MAX_PARAMETERS		64
#define LB_MAX_CATEGORIES		64
#define LB_MAX_NAME				63	/* bytes */
#define LB_MAX_BATCH			1000
#define LB_STRATEGIES			"random, sobol, bayesian"
#define LB_EVALUATORS			"dataset, external"

/* One thing that is wrong. */
typedef struct LbProblem
{
	char	   *path;			/* $.target_properties.band_gap.tolerance */
	const char *code;			/* stable */
	char	   *message;
} LbProblem;

/* All problems of a configuration, a list of LbProblem. */
extern List *lb_config_problems(Jsonb *config);

/* Raises LB601 with the first problem unless targets are valid. */
extern void lb_config_require_targets(Jsonb *targets);
extern void lb_config_require(Jsonb *config);
extern void lb_constraints_require(Jsonb *constraints);

/* For the rooms that check a part; "problems" grows. */
extern void lb_config_add(List **problems, const char *path, const char *code,
						  const char *fmt,...) pg_attribute_printf(4, 5);
/* path with a member name or an element number appended, palloc'd */
extern char *lb_config_path(const char *path, const char *key, int len);
extern char *lb_config_path_at(const char *path, int index);

/* A finite number within lo..hi; false (and a problem) otherwise. */
extern bool lb_config_number(List **problems, const char *path,
							 const JsonbValue *value, double lo, double hi,
							 bool integer, double *out);
/* The same for a member; absent is fine unless required. */
extern bool lb_config_member(List **problems, const char *path,
							 JsonbContainer *object, const char *key,
							 bool required, double lo, double hi,
							 bool integer, double *out);
/* The object or array in value, or NULL and a problem. */
extern JsonbContainer *lb_config_object(List **problems, const char *path,
										const JsonbValue *value);
extern JsonbContainer *lb_config_array(List **problems, const char *path,
									   const JsonbValue *value);
/* A problem for every key that is not in the list. */
extern void lb_config_known_keys(List **problems, const char *path,
								 JsonbContainer *object,
								 const char *const *keys, int nkeys);
extern void lb_config_check_name(List **problems, const char *path,
								 const char *name, int len);

extern void lb_config_targets(List **problems, const char *path,
							  JsonbContainer *targets);
extern void lb_config_space(List **problems, const char *path,
							JsonbContainer *space);
extern void lb_config_constraints(List **problems, const char *path,
								  JsonbContainer *constraints,
								  JsonbContainer *space);

#endif							/* LABOS_CONFIG_H */
