/*-------------------------------------------------------------------------
 *
 * config.c
 *		Validation of a campaign's configuration: every problem at once.
 *
 * A problem has a JSON path, a stable code and a sentence.  Codes:
 *
 *	required wrong_type out_of_range unknown_key empty too_many too_large
 *	invalid_name duplicate contradiction ambiguous_target no_target_kind
 *	unknown_element unknown_parameter unknown_kind unknown_strategy
 *	strategy_unavailable unknown_evaluator evaluator_unavailable
 *	constraint_unavailable space_missing space_conflict dataset_missing
 *
 * The "unavailable" ones name what the specification has and this version has
 * not.  Nothing here recurses: only the places that mean something are read,
 * so that deep nesting elsewhere is an unknown key and no more.
 *
 * IDENTIFICATION
 *	  src/campaign/config.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "campaign/config.h"
#include "compat.h"
#include "core/errors.h"
#include "core/json.h"

#define MAX_PROBLEMS	200

void
lb_config_add(List **problems, const char *path, const char *code,
			  const char *fmt,...)
{
	LbProblem  *problem;
	StringInfoData message;
	va_list		args;
	int			needed;

	if (list_length(*problems) >= MAX_PROBLEMS)
		return;
	initStringInfo(&message);
	for (;;)
	{
		va_start(args, fmt);
		needed = appendStringInfoVA(&message, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	problem = palloc_object(LbProblem);
	problem->path = pstrdup(path);
	problem->code = code;
	problem->message = message.data;
	*problems = lappend(*problems, problem);
}

char *
lb_config_path(const char *path, const char *key, int len)
{
	StringInfoData out;
	bool		plain = len > 0 && !(key[0] >= '0' && key[0] <= '9');
	int			shown = Min(len, 80);

	for (int i = 0; i < len && plain; i++)
		plain = (key[i] >= 'a' && key[i] <= 'z') || (key[i] >= 'A' && key[i] <= 'Z') ||
			(key[i] >= '0' && key[i] <= '9') || key[i] == '_';
	initStringInfo(&out);
	appendStringInfoString(&out, path);
	if (plain)
		appendStringInfo(&out, ".%.*s", shown, key);
	else
	{
		char	   *name;

		shown = pg_mbcliplen(key, len, 80);
		name = pnstrdup(key, shown);
		appendStringInfoChar(&out, '[');
		escape_json(&out, name);
		appendStringInfoChar(&out, ']');
	}
	return out.data;
}

char *
lb_config_path_at(const char *path, int index)
{
	return psprintf("%s[%d]", path, index);
}

bool
lb_config_number(List **problems, const char *path, const JsonbValue *value,
				 double lo, double hi, bool integer, double *out)
{
	double		number;

	if (value->type != jbvNumeric)
	{
		lb_config_add(problems, path, "wrong_type", "must be %s",
					  integer ? "an integer" : "a number");
		return false;
	}
	number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												NumericGetDatum(value->val.numeric)));
	if (integer && isfinite(number) && number != rint(number))
	{
		lb_config_add(problems, path, "wrong_type", "must be an integer");
		return false;
	}
	if (!isfinite(number) || number < lo || number > hi)
	{
		lb_config_add(problems, path, "out_of_range",
					  "must be between %.15g and %.15g", lo, hi);
		return false;
	}
	*out = number;
	return true;
}

bool
lb_config_member(List **problems, const char *path, JsonbContainer *object,
				 const char *key, bool required, double lo, double hi,
				 bool integer, double *out)
{
	JsonbValue *value = lb_json_find(object, key);
	char	   *at = lb_config_path(path, key, strlen(key));

	if (value != NULL)
		return lb_config_number(problems, at, value, lo, hi, integer, out);
	if (required)
		lb_config_add(problems, at, "required", "is required");
	return false;
}

JsonbContainer *
lb_config_object(List **problems, const char *path, const JsonbValue *value)
{
	if (value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data))
		return value->val.binary.data;
	lb_config_add(problems, path, "wrong_type", "must be an object");
	return NULL;
}

JsonbContainer *
lb_config_array(List **problems, const char *path, const JsonbValue *value)
{
	if (value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data))
		return value->val.binary.data;
	lb_config_add(problems, path, "wrong_type", "must be an array");
	return NULL;
}

void
lb_config_known_keys(List **problems, const char *path, JsonbContainer *object,
					 const char *const *keys, int nkeys)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;

	(void) JsonbIteratorNext(&it, &key, true);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		bool		known = false;

		(void) JsonbIteratorNext(&it, &value, true);
		for (int i = 0; i < nkeys && !known; i++)
			known = strlen(keys[i]) == key.val.string.len &&
				memcmp(keys[i], key.val.string.val, key.val.string.len) == 0;
		if (!known)
			lb_config_add(problems,
						  lb_config_path(path, key.val.string.val, key.val.string.len),
						  "unknown_key", "is not a known member");
	}
}

void
lb_config_check_name(List **problems, const char *path, const char *name, int len)
{
	bool		bad = len < 1 || len > LB_MAX_NAME;

	for (int i = 0; i < len && !bad; i++)
		bad = (unsigned char) name[i] < 32 || name[i] == 127;
	if (bad)
		lb_config_add(problems, path, "invalid_name",
					  "names have 1 to %d bytes and no control characters", LB_MAX_NAME);
}

/* value is one of the strings in list ("a, b, c"). */
static bool
is_listed(const char *list, const char *value, int len)
{
	const char *at = list;

	while (*at)
	{
		int			n = strcspn(at, ",");

		if (n == len && memcmp(at, value, len) == 0)
			return true;
		at += n;
		at += strspn(at, ", ");
	}
	return false;
}

/* One of "now", a problem otherwise; "later" is what other versions have. */
static void
check_choice(List **problems, const char *path, const JsonbValue *value,
			 const char *what, const char *now, const char *later,
			 const char *unknown, const char *unavailable)
{
	if (value->type != jbvString)
		lb_config_add(problems, path, "wrong_type", "must be a string");
	else if (is_listed(now, value->val.string.val, value->val.string.len))
		return;
	else if (is_listed(later, value->val.string.val, value->val.string.len))
		lb_config_add(problems, path, unavailable,
					  "this version has no %s \"%.*s\"; it has %s", what,
					  value->val.string.len, value->val.string.val, now);
	else
		lb_config_add(problems, path, unknown, "is no %s; choose one of %s", what, now);
}

static bool
string_is(const JsonbValue *value, const char *text)
{
	return value->type == jbvString && value->val.string.len == strlen(text) &&
		memcmp(value->val.string.val, text, value->val.string.len) == 0;
}

static bool
is_uuid(const char *text, int len)
{
	if (len != 36)
		return false;
	for (int i = 0; i < len; i++)
	{
		bool		hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (hyphen ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	}
	return true;
}

/* Whether candidates come from a data set. */
static bool
check_evaluator(List **problems, JsonbContainer *config)
{
	static const char *const keys[] = {"kind", "dataset", "dataset_id"};
	const char *path = "$.evaluator";
	JsonbValue *value = lb_json_find(config, "evaluator");
	JsonbValue *kind = value;
	JsonbValue *dataset = NULL;
	JsonbValue *id = NULL;
	JsonbContainer *object;

	if (value == NULL)
	{
		lb_config_add(problems, path, "required", "is required; choose one of %s",
					  LB_EVALUATORS);
		return false;
	}
	if (value->type != jbvString)
	{
		object = lb_config_object(problems, path, value);
		if (object == NULL)
			return false;
		lb_config_known_keys(problems, path, object, keys, lengthof(keys));
		kind = lb_json_find(object, "kind");
		dataset = lb_json_find(object, "dataset");
		id = lb_json_find(object, "dataset_id");
		path = "$.evaluator.kind";
		if (kind == NULL)
		{
			lb_config_add(problems, path, "required", "is required");
			return dataset != NULL || id != NULL;
		}
	}
	check_choice(problems, path, kind, "evaluator", LB_EVALUATORS,
				 "predict, simulation", "unknown_evaluator", "evaluator_unavailable");
	if (dataset != NULL && dataset->type != jbvString)
		lb_config_add(problems, "$.evaluator.dataset", "wrong_type", "must be a string");
	else if (dataset != NULL)
		lb_config_check_name(problems, "$.evaluator.dataset",
							 dataset->val.string.val, dataset->val.string.len);
	else if (id == NULL && string_is(kind, "dataset"))
		lb_config_add(problems, "$.evaluator.dataset", "dataset_missing",
					  "the evaluator \"dataset\" needs the name or id of a data set");
	if (id != NULL && (id->type != jbvString || !is_uuid(id->val.string.val, id->val.string.len)))
		lb_config_add(problems, "$.evaluator.dataset_id", "wrong_type", "must be a UUID");
	return dataset != NULL || id != NULL || string_is(kind, "dataset");
}

static void
check_stop(List **problems, const JsonbValue *value)
{
	static const char *const keys[] = {"target_score", "no_improvement", "budget"};
	const char *path = "$.stop";
	JsonbContainer *stop = lb_config_object(problems, path, value);
	double		ignored;

	if (stop == NULL)
		return;
	lb_config_known_keys(problems, path, stop, keys, lengthof(keys));
	lb_config_member(problems, path, stop, "target_score", false, 1e-9, 1, false, &ignored);
	lb_config_member(problems, path, stop, "no_improvement", false, 1, 10000, true, &ignored);
	lb_config_member(problems, path, stop, "budget", false, 1, 1e7, true, &ignored);
}

static void
check_strategy_options(List **problems, const JsonbValue *value)
{
	static const char *const keys[] = {"initial_candidates"};
	const char *path = "$.strategy_options";
	JsonbContainer *options = lb_config_object(problems, path, value);
	double		ignored;

	if (options == NULL)
		return;
	lb_config_known_keys(problems, path, options, keys, lengthof(keys));
	lb_config_member(problems, path, options, "initial_candidates", false, 2, 1000,
					 true, &ignored);
}

/* Either a search space or a data set says where candidates come from. */
static void
check_source(List **problems, JsonbContainer *config)
{
	bool		pool = check_evaluator(problems, config);
	JsonbValue *value = lb_json_find(config, "search_space");
	JsonbContainer *space = NULL;

	if (value != NULL && pool)
		lb_config_add(problems, "$.search_space", "space_conflict",
					  "candidates come from the data set; leave out one of the two");
	else if (value == NULL && !pool)
		lb_config_add(problems, "$.search_space", "space_missing",
					  "candidates need a search_space or a data set (evaluator.dataset)");
	if (value != NULL)
	{
		space = lb_config_object(problems, "$.search_space", value);
		if (space != NULL)
			lb_config_space(problems, "$.search_space", space);
	}
	value = lb_json_find(config, "constraints");
	if (value != NULL)
	{
		JsonbContainer *constraints = lb_config_object(problems, "$.constraints", value);

		if (constraints != NULL)
			lb_config_constraints(problems, "$.constraints", constraints, space);
	}
}

List *
lb_config_problems(Jsonb *config)
{
	static const char *const keys[] = {
		"target_properties", "constraints", "search_space", "max_iterations",
		"candidates_per_iteration", "strategy", "strategy_options", "seed",
		"stop", "evaluator"
	};
	List	   *problems = NIL;
	JsonbContainer *root = &config->root;
	JsonbContainer *targets;
	JsonbValue *value;
	double		ignored;

	if (VARSIZE(config) > LB_MAX_CONFIG_BYTES)
	{
		lb_config_add(&problems, "$", "too_large", "must have at most %d bytes",
					  LB_MAX_CONFIG_BYTES);
		return problems;
	}
	if (!JB_ROOT_IS_OBJECT(config))
	{
		lb_config_add(&problems, "$", "wrong_type", "must be an object");
		return problems;
	}
	lb_config_known_keys(&problems, "$", root, keys, lengthof(keys));

	value = lb_json_find(root, "target_properties");
	if (value == NULL)
		lb_config_add(&problems, "$.target_properties", "required", "is required");
	else if ((targets = lb_config_object(&problems, "$.target_properties", value)) != NULL)
		lb_config_targets(&problems, "$.target_properties", targets);
	check_source(&problems, root);
	lb_config_member(&problems, "$", root, "max_iterations", false, 1, 10000, true, &ignored);
	lb_config_member(&problems, "$", root, "candidates_per_iteration", false, 1,
					 LB_MAX_BATCH, true, &ignored);
	lb_config_member(&problems, "$", root, "seed", false, 0, 9007199254740991.0, true, &ignored);
	if ((value = lb_json_find(root, "strategy")) != NULL)
		check_choice(&problems, "$.strategy", value, "strategy", LB_STRATEGIES,
					 "genetic, tpe, cma_es, pool", "unknown_strategy",
					 "strategy_unavailable");
	if ((value = lb_json_find(root, "strategy_options")) != NULL)
		check_strategy_options(&problems, value);
	if ((value = lb_json_find(root, "stop")) != NULL)
		check_stop(&problems, value);
	return problems;
}

static void
raise_first(List *problems)
{
	LbProblem  *first;

	if (problems == NIL)
		return;
	first = linitial(problems);
	ereport(ERROR,
			errcode(ERRCODE_LABOS_INVALID_CONFIG),
			errmsg("invalid campaign configuration"),
			errdetail("%s %s (%s).", first->path, first->message, first->code),
			errhint("labos.campaign_config_problems() lists all problems."));
}

void
lb_config_require(Jsonb *config)
{
	raise_first(lb_config_problems(config));
}

void
lb_config_require_targets(Jsonb *targets)
{
	List	   *problems = NIL;

	if (!JB_ROOT_IS_OBJECT(targets))
		lb_config_add(&problems, "$", "wrong_type", "must be an object");
	else
		lb_config_targets(&problems, "$", &targets->root);
	raise_first(problems);
}

void
lb_constraints_require(Jsonb *constraints)
{
	List	   *problems = NIL;

	if (!JB_ROOT_IS_OBJECT(constraints))
		lb_config_add(&problems, "$", "wrong_type", "must be an object");
	else
		lb_config_constraints(&problems, "$", &constraints->root, NULL);
	raise_first(problems);
}

/*
 * labos.campaign_config_problems(config jsonb)
 *		returns setof (path text, code text, message text)
 *
 * Every problem of a configuration, none if it is valid (at most 200).
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_campaign_config_problems);

Datum
labos_campaign_config_problems(PG_FUNCTION_ARGS)
{
	Jsonb	   *config = PG_GETARG_JSONB_P(0);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *problems = lb_config_problems(config);
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, problems)
	{
		LbProblem  *problem = lfirst(cell);
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = CStringGetTextDatum(problem->path);
		values[1] = CStringGetTextDatum(problem->code);
		values[2] = CStringGetTextDatum(problem->message);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
