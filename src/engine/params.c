/*-------------------------------------------------------------------------
 *
 * params.c
 *		Checks parameters against the registry and resolves defaults.
 *
 * Every problem is reported at once, each with its JSON path, a stable code
 * and a sentence.  Nothing recurses: a parameter is a scalar or a short array
 * of integers, so what is nested deeper is of the wrong type and not walked.
 *
 * Codes: not_an_object, unknown_parameter, wrong_type, not_an_integer,
 * out_of_range, not_a_choice, not_a_formula, wrong_length, too_large,
 * inconsistent, too_many_problems.
 *
 * IDENTIFICATION
 *	  src/engine/params.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <openssl/sha.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "core/json.h"
#include "engine/engine.h"
#include "types/formula.h"

#define MAX_PROBLEMS 50			/* then one more says that there are more */
#define SHOWN_BYTES 60			/* of an unknown name in path and message */

/* Where problems go. */
typedef struct Report
{
	StringInfo	out;
	int			count;
} Report;

static void complain(Report *report, const char *path, const char *code,
					 const char *fmt,...) pg_attribute_printf(4, 5);

static void
complain(Report *report, const char *path, const char *code,
		 const char *fmt,...)
{
	char		message[400];
	va_list		args;

	if (++report->count > MAX_PROBLEMS + 1)
		return;
	if (report->count > MAX_PROBLEMS)
	{
		path = "$";
		code = "too_many_problems";
		strlcpy(message, "there are more problems than are listed", sizeof(message));
	}
	else
	{
		va_start(args, fmt);
		vsnprintf(message, sizeof(message), fmt, args);
		va_end(args);
	}
	if (report->out->len > 0)
		appendStringInfoString(report->out, ", ");
	appendStringInfoChar(report->out, '{');
	lb_json_member(report->out, "path", path);
	lb_json_member(report->out, "code", code);
	lb_json_member(report->out, "message", message);
	appendStringInfoChar(report->out, '}');
}

/* A double; infinite when the number is too large for one. */
static double
as_double(const JsonbValue *value)
{
	Datum		number = NumericGetDatum(value->val.numeric);

	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, number));
}

/* One number against kind and limits; false after a complaint. */
static bool
check_number(Report *report, const ParamSpec *spec, const char *path,
			 const JsonbValue *value, bool integer, double *result)
{
	double		number;

	if (value->type != jbvNumeric)
	{
		complain(report, path, "wrong_type", "must be %s",
				 integer ? "an integer" : "a number");
		return false;
	}
	number = as_double(value);
	if (!(number >= spec->minimum && number <= spec->maximum))
	{
		complain(report, path, "out_of_range", "must be between %.15g and %.15g%s%s",
				 spec->minimum, spec->maximum,
				 strcmp(spec->unit, "1") == 0 ? "" : " ",
				 strcmp(spec->unit, "1") == 0 ? "" : spec->unit);
		return false;
	}
	if (integer && number != floor(number))
	{
		complain(report, path, "not_an_integer", "must be an integer");
		return false;
	}
	*result = number + 0.0;		/* no negative zero */
	if (number == 0.0)
		*result = 0.0;
	return true;
}

static void
check_integers(Report *report, const ParamSpec *spec, const char *path,
			   const JsonbValue *value, ParamValue *result)
{
	JsonbContainer *array;
	double		items[LB_ENGINE_MAX_ITEMS] = {0};
	int			nitems;
	bool		good = true;

	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerIsScalar(value->val.binary.data))
	{
		complain(report, path, "wrong_type", "must be an array of integers");
		return;
	}
	array = value->val.binary.data;
	nitems = JsonContainerSize(array);
	if (nitems < spec->min_items || nitems > LB_ENGINE_MAX_ITEMS)
	{
		complain(report, path, "wrong_length", "must have %d to %d items, not %d",
				 spec->min_items, LB_ENGINE_MAX_ITEMS, nitems);
		return;
	}
	for (int i = 0; i < nitems; i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(array, i);
		char		at[NAMEDATALEN + 16];

		snprintf(at, sizeof(at), "%s[%d]", path, i);
		good &= check_number(report, spec, at, item, true, &items[i]);
	}
	if (!good)
		return;
	result->nitems = nitems;
	memcpy(result->items, items, sizeof(items));
}

static void
check_choice(Report *report, const ParamSpec *spec, const char *path,
			 const JsonbValue *value, ParamValue *result)
{
	const char *choice = spec->choices;

	if (value->type != jbvString)
	{
		complain(report, path, "wrong_type", "must be a string");
		return;
	}
	for (int index = 0; *choice; index++)
	{
		int			n = strcspn(choice, ",");

		if (value->val.string.len == n &&
			pg_strncasecmp(choice, value->val.string.val, n) == 0)
		{
			result->number = index;
			result->text = pnstrdup(choice, n);
			return;
		}
		choice += n + (choice[n] == ',');
	}
	complain(report, path, "not_a_choice", "must be one of %s", spec->choices);
}

/*
 * A formula, reduced and in Hill order: "Fe4O6" and "O3Fe2" are one material.
 */
static void
check_formula(Report *report, const ParamSpec *spec, const char *path,
			  const JsonbValue *value, ParamValue *result)
{
	LbComposition composition;
	LbFormulaError error;
	LbFormula  *formula;
	uint8		codes[LB_ELEMENTS];
	int			ncodes;
	StringInfoData text;

	if (value->type != jbvString)
	{
		complain(report, path, "wrong_type", "must be a string");
		return;
	}
	if (value->val.string.len < 1 || value->val.string.len > LB_ENGINE_MAX_TEXT)
	{
		complain(report, path, "wrong_length", "must have 1 to %d bytes, not %d",
				 LB_ENGINE_MAX_TEXT, value->val.string.len);
		return;
	}
	if (!lb_formula_parse(value->val.string.val, value->val.string.len,
						  &composition, &error))
	{
		complain(report, path, "not_a_formula", "must be a formula such as \"Fe2O3\": %s",
				 error.problem);
		return;
	}
	if (composition.charge != 0)
	{
		complain(report, path, "not_a_formula", "must not have a charge");
		return;
	}
	formula = lb_formula_reduce(lb_formula_pack(&composition));
	ncodes = lb_formula_hill(formula, codes);
	initStringInfo(&text);
	for (int i = 0; i < ncodes; i++)
	{
		double		amount = lb_formula_amount(formula, codes[i]);

		appendStringInfoString(&text, lb_elements[codes[i]].symbol);
		if (amount != 1.0)
			lb_json_number(&text, amount);
	}
	result->text = text.data;
}

static void
check_value(Report *report, const ParamSpec *spec, const JsonbValue *value,
			ParamValue *result)
{
	char		path[NAMEDATALEN];

	snprintf(path, sizeof(path), "$.%s", spec->name);
	switch (spec->kind)
	{
		case PARAM_NUMBER:
			check_number(report, spec, path, value, false, &result->number);
			break;
		case PARAM_INTEGER:
			check_number(report, spec, path, value, true, &result->number);
			break;
		case PARAM_BOOLEAN:
			if (value->type != jbvBool)
				complain(report, path, "wrong_type", "must be true or false");
			else
				result->number = value->val.boolean ? 1.0 : 0.0;
			break;
		case PARAM_CHOICE:
			check_choice(report, spec, path, value, result);
			break;
		case PARAM_FORMULA:
			check_formula(report, spec, path, value, result);
			break;
		case PARAM_INTEGERS:
			check_integers(report, spec, path, value, result);
			break;
	}
}

/* The default, through the same gate as a given value. */
static void
take_default(const ParamSpec *spec, ParamValue *result)
{
	StringInfoData problems;
	Report		report = {&problems, 0};
	Jsonb	   *json;
	JsonbValue	value;

	initStringInfo(&problems);
	json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(spec->initial)));
	if (JB_ROOT_IS_SCALAR(json))
		JsonbExtractScalar(&json->root, &value);
	else
	{
		value.type = jbvBinary;
		value.val.binary.data = &json->root;
	}
	check_value(&report, spec, &value, result);
	if (report.count > 0)
		elog(ERROR, "default of \"%s\" is not valid: %s", spec->name, problems.data);
}

static int
find_spec(const Engine *engine, const char *name, int len)
{
	for (int i = 0; i < engine->nparams; i++)
		if (strlen(engine->params[i].name) == len &&
			memcmp(engine->params[i].name, name, len) == 0)
			return i;
	return -1;
}

/* Every member of the object, in its stored order. */
static void
check_members(Report *report, const Engine *engine, Jsonb *parameters,
			  EngineRun *run)
{
	JsonbIterator *it = JsonbIteratorInit(&parameters->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			at = -1;

	token = JsonbIteratorNext(&it, &value, false);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_KEY)
		{
			at = find_spec(engine, value.val.string.val, value.val.string.len);
			if (at < 0)
			{
				int			shown = pg_mbcliplen(value.val.string.val,
												 value.val.string.len, SHOWN_BYTES);
				StringInfoData path;

				initStringInfo(&path);
				appendStringInfoString(&path, "$[");
				escape_json(&path, pnstrdup(value.val.string.val, shown));
				appendStringInfoChar(&path, ']');
				complain(report, path.data, "unknown_parameter",
						 "%s has no such parameter", engine->name);
			}
		}
		else if (token == WJB_VALUE && at >= 0 && value.type != jbvNull)
			check_value(report, &engine->params[at], &value, &run->values[at]);
	}
}

/* The number of cells, sites or elements the arrays and texts amount to. */
static void
check_together(Report *report, const Engine *engine, const EngineRun *run)
{
	for (int i = 0; i < engine->nparams; i++)
	{
		double		cells = 1.0;
		char		path[NAMEDATALEN];

		if (engine->params[i].kind != PARAM_INTEGERS)
			continue;
		for (int k = 0; k < run->values[i].nitems; k++)
			cells *= run->values[i].items[k];
		snprintf(path, sizeof(path), "$.%s", engine->params[i].name);
		if (cells > LB_ENGINE_MAX_CELLS)
			complain(report, path, "too_large", "has %.0f cells, at most %d are allowed",
					 cells, LB_ENGINE_MAX_CELLS);
		if (find_spec(engine, "initial_grains", strlen("initial_grains")) >= 0 &&
			lb_engine_number(run, "initial_grains") > cells)
			complain(report, "$.initial_grains", "inconsistent",
					 "must not exceed the %.0f cells of the grid", cells);
	}
	if (find_spec(engine, "hot_temperature_k", strlen("hot_temperature_k")) >= 0 &&
		lb_engine_number(run, "hot_temperature_k") <
		lb_engine_number(run, "cold_temperature_k"))
		complain(report, "$.hot_temperature_k", "inconsistent",
				 "must not be below cold_temperature_k");
}

int
lb_engine_resolve(const Engine *engine, Jsonb *parameters, EngineRun *run,
				  StringInfo problems)
{
	Report		report = {problems, 0};
	StringInfoData canonical;

	Assert(engine->nparams <= LB_ENGINE_MAX_PARAMS);
	memset(run, 0, sizeof(*run));
	run->engine = engine;
	if (!JB_ROOT_IS_OBJECT(parameters))
	{
		complain(&report, "$", "not_an_object", "parameters must be a JSON object");
		return report.count;
	}
	for (int i = 0; i < engine->nparams; i++)
		take_default(&engine->params[i], &run->values[i]);
	check_members(&report, engine, parameters, run);
	/* What goes together is asked of values that are good by themselves. */
	if (report.count == 0)
		check_together(&report, engine, run);
	if (report.count > 0)
		return report.count;

	initStringInfo(&canonical);
	appendStringInfo(&canonical, "%s %s ", engine->name, engine->version);
	lb_engine_put_values(run, &canonical);
	SHA256((const uint8 *) canonical.data, canonical.len, run->hash);
	pfree(canonical.data);
	return 0;
}

const ParamValue *
lb_engine_value(const EngineRun *run, const char *name)
{
	int			at = find_spec(run->engine, name, strlen(name));

	if (at < 0)
		elog(ERROR, "engine %s has no parameter \"%s\"", run->engine->name, name);
	return &run->values[at];
}

double
lb_engine_number(const EngineRun *run, const char *name)
{
	return lb_engine_value(run, name)->number;
}

void
lb_engine_put_values(const EngineRun *run, StringInfo out)
{
	appendStringInfoChar(out, '{');
	for (int i = 0; i < run->engine->nparams; i++)
	{
		const ParamSpec *spec = &run->engine->params[i];
		const ParamValue *value = &run->values[i];

		lb_put_key(out, spec->name);
		if (spec->kind == PARAM_NUMBER || spec->kind == PARAM_INTEGER)
			lb_json_number(out, value->number);
		else if (spec->kind == PARAM_BOOLEAN)
			appendStringInfoString(out, value->number != 0 ? "true" : "false");
		else if (spec->kind == PARAM_INTEGERS)
		{
			for (int k = 0; k < value->nitems; k++)
				appendStringInfo(out, "%s%.0f", k == 0 ? "[" : ", ", value->items[k]);
			appendStringInfoChar(out, ']');
		}
		else
			escape_json(out, value->text);
	}
	appendStringInfoChar(out, '}');
}

static void
put_choices(const char *choice, StringInfo out)
{
	appendStringInfoChar(out, '[');
	while (*choice)
	{
		int			n = strcspn(choice, ",");

		escape_json(out, pnstrdup(choice, n));
		choice += n + (choice[n] == ',');
		appendStringInfoString(out, *choice ? ", " : "]");
	}
}

void
lb_engine_put_schema(const Engine *engine, StringInfo out)
{
	static const char *const types[] = {
		"number", "integer", "boolean", "string", "string", "array"
	};

	appendStringInfoString(out, "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {");
	for (int i = 0; i < engine->nparams; i++)
	{
		const ParamSpec *spec = &engine->params[i];
		bool		array = spec->kind == PARAM_INTEGERS;

		lb_put_open(out, spec->name);
		lb_json_member(out, "type", types[spec->kind]);
		lb_json_member(out, "description", spec->title);
		lb_json_member(out, "unit", spec->unit);
		appendStringInfo(out, ", \"default\": %s", spec->initial);
		if (spec->kind == PARAM_CHOICE)
		{
			lb_put_key(out, "enum");
			put_choices(spec->choices, out);
		}
		if (spec->kind == PARAM_FORMULA)
			appendStringInfo(out, ", \"maxLength\": %d", LB_ENGINE_MAX_TEXT);
		if (array)
			appendStringInfo(out, ", \"minItems\": %d, \"maxItems\": %d, \"items\": {\"type\": \"integer\"",
							 spec->min_items, LB_ENGINE_MAX_ITEMS);
		if (array || spec->kind == PARAM_NUMBER || spec->kind == PARAM_INTEGER)
			appendStringInfo(out, ", \"minimum\": %.15g, \"maximum\": %.15g",
							 spec->minimum, spec->maximum);
		if (array)
			appendStringInfoChar(out, '}');
		lb_put_close(out);
	}
	appendStringInfoString(out, "}}");
}
