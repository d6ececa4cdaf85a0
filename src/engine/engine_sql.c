/*-------------------------------------------------------------------------
 *
 * engine_sql.c
 *		The engines as SQL functions.
 *
 * All of them are immutable: what they return follows from their arguments and
 * the version of the engine.  Nothing here runs SQL.
 *
 * IDENTIFICATION
 *	  src/engine/engine_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "core/errors.h"
#include "core/json.h"
#include "core/text.h"
#include "engine/engine.h"

static Datum
jsonb_from(const char *json)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}

/* The engine named by a text argument; raises LB501. */
static const Engine *
engine_arg(text *name)
{
	const Engine *engine = lb_engine_find(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	StringInfoData known;

	if (engine)
		return engine;
	initStringInfo(&known);
	for (int i = 0; i < lb_nengines; i++)
		appendStringInfo(&known, "%s%s", i > 0 ? ", " : "", lb_engines[i].name);
	ereport(ERROR,
			errcode(ERRCODE_LABOS_UNKNOWN_ENGINE),
			errmsg("there is no such engine"),
			errdetail("{\"code\": \"unknown_engine\"}"),
			errhint("Engines are %s.", known.data));
}

/* Resolve or raise LB502 with every problem. */
static void
resolve(const Engine *engine, Jsonb *parameters, EngineRun *run)
{
	StringInfoData problems;

	initStringInfo(&problems);
	if (lb_engine_resolve(engine, parameters, run, &problems) > 0)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_PARAMETERS),
				errmsg("engine parameters are not valid"),
				errdetail("{\"code\": \"invalid_parameters\", \"problems\": [%s]}",
						  problems.data),
				errhint("labos.engines() lists parameters, units and limits."));
}

/*
 * The canonical name of an engine, or its scale; NULL when there is none.
 *
 * SQL: labos.engine_name(text), labos.engine_scale(text), IMMUTABLE STRICT.
 */
PG_FUNCTION_INFO_V1(labos_engine_name);
Datum
labos_engine_name(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	const Engine *engine = lb_engine_find(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	if (engine == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(engine->name));
}

PG_FUNCTION_INFO_V1(labos_engine_scale);
Datum
labos_engine_scale(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	const Engine *engine = lb_engine_find(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	if (engine == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(engine->scale));
}

static Datum
aliases_array(const char *alias)
{
	Datum		items[8];
	int			n = 0;

	while (*alias && n < lengthof(items))
	{
		int			len = strcspn(alias, ",");

		items[n++] = PointerGetDatum(cstring_to_text_with_len(alias, len));
		alias += len + (alias[len] == ',');
	}
	return PointerGetDatum(construct_array(items, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * Every engine: scale, name, aliases, version, title, parameter schema (JSON
 * Schema with units and defaults), result shape with units as leaves, fidelities.
 *
 * SQL: labos.engines(), IMMUTABLE, returns table.
 */
PG_FUNCTION_INFO_V1(labos_engines);
Datum
labos_engines(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < lb_nengines; i++)
	{
		const Engine *engine = &lb_engines[i];
		StringInfoData schema;
		Datum		stub = PointerGetDatum(cstring_to_text("stub"));
		Datum		values[8];
		bool		nulls[8] = {false};

		initStringInfo(&schema);
		lb_engine_put_schema(engine, &schema);
		values[0] = PointerGetDatum(cstring_to_text(engine->scale));
		values[1] = PointerGetDatum(cstring_to_text(engine->name));
		values[2] = aliases_array(engine->aliases);
		values[3] = PointerGetDatum(cstring_to_text(engine->version));
		values[4] = PointerGetDatum(cstring_to_text(engine->title));
		values[5] = jsonb_from(schema.data);
		values[6] = jsonb_from(engine->results);
		values[7] = PointerGetDatum(construct_array(&stub, 1, TEXTOID, -1, false, TYPALIGN_INT));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * What a child takes from its parent's result.
 *
 * SQL: labos.engine_links(), IMMUTABLE, returns table.
 */
PG_FUNCTION_INFO_V1(labos_engine_links);
Datum
labos_engine_links(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < lb_nengine_links; i++)
	{
		const EngineLink *link = &lb_engine_links[i];
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = PointerGetDatum(cstring_to_text(link->engine));
		values[1] = PointerGetDatum(cstring_to_text(link->parameter));
		values[2] = PointerGetDatum(cstring_to_text(link->parent));
		values[3] = PointerGetDatum(cstring_to_text(link->path));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Every problem of the parameters at once: an array of {path, code, message},
 * empty when they are valid.
 *
 * Errors: LB501 unknown engine.
 * SQL: labos.engine_parameter_problems(text, jsonb), IMMUTABLE STRICT.
 */
PG_FUNCTION_INFO_V1(labos_engine_parameter_problems);
Datum
labos_engine_parameter_problems(PG_FUNCTION_ARGS)
{
	const Engine *engine = engine_arg(PG_GETARG_TEXT_PP(0));
	StringInfoData problems;
	EngineRun	run;

	initStringInfo(&problems);
	lb_engine_resolve(engine, PG_GETARG_JSONB_P(1), &run, &problems);
	PG_RETURN_DATUM(jsonb_from(psprintf("[%s]", problems.data)));
}

/*
 * What a run with these parameters would be: {engine, scale, version,
 * parameters (defaults filled in), parameters_hash, domain_size or mesh_info}.
 *
 * Errors: LB501 unknown engine, LB502 invalid parameters.
 * SQL: labos.engine_prepare(text, jsonb), IMMUTABLE STRICT.
 */
PG_FUNCTION_INFO_V1(labos_engine_prepare);
Datum
labos_engine_prepare(PG_FUNCTION_ARGS)
{
	const Engine *engine = engine_arg(PG_GETARG_TEXT_PP(0));
	StringInfoData out;
	EngineRun	run;

	resolve(engine, PG_GETARG_JSONB_P(1), &run);
	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	lb_json_member(&out, "engine", engine->name);
	lb_json_member(&out, "scale", engine->scale);
	lb_json_member(&out, "version", engine->version);
	lb_put_key(&out, "parameters");
	lb_engine_put_values(&run, &out);
	lb_json_member(&out, "parameters_hash", lb_hex(run.hash, sizeof(run.hash)));
	engine->extent(&run, &out);
	appendStringInfoChar(&out, '}');
	PG_RETURN_DATUM(jsonb_from(out.data));
}

/* The number at a dotted path of a result, or NULL. */
static JsonbValue *
number_at(JsonbContainer *result, const char *path)
{
	char	   *steps = pstrdup(path);
	char	   *step = steps;

	for (;;)
	{
		char	   *dot = strchr(step, '.');
		JsonbValue *value;

		if (dot)
			*dot = '\0';
		value = lb_json_find(result, step);
		if (value == NULL)
			return NULL;
		if (dot == NULL)
			return value->type == jbvNumeric ? value : NULL;
		if (value->type != jbvBinary)
			return NULL;
		result = value->val.binary.data;
		step = dot + 1;
	}
}

/*
 * The parameters of a child with its parent's results filled in where the child
 * does not set them itself (engine_links() lists which).
 *
 * Errors: LB501 unknown engine; LB502 parameters no object, or a linked number
 * missing in the parent's result.
 * SQL: labos.engine_link(text, jsonb, text, jsonb), IMMUTABLE STRICT.
 */
PG_FUNCTION_INFO_V1(labos_engine_link);
Datum
labos_engine_link(PG_FUNCTION_ARGS)
{
	const Engine *engine = engine_arg(PG_GETARG_TEXT_PP(0));
	Jsonb	   *parameters = PG_GETARG_JSONB_P(1);
	const Engine *parent = engine_arg(PG_GETARG_TEXT_PP(2));
	Jsonb	   *result = PG_GETARG_JSONB_P(3);
	StringInfoData added;

	if (!JB_ROOT_IS_OBJECT(parameters))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_PARAMETERS),
				errmsg("engine parameters are not valid"),
				errdetail("{\"code\": \"invalid_parameters\", \"problems\": [{\"path\": \"$\","
						  " \"code\": \"not_an_object\", \"message\": \"parameters must be a JSON object\"}]}"));
	initStringInfo(&added);
	appendStringInfoChar(&added, '{');
	for (int i = 0; i < lb_nengine_links; i++)
	{
		const EngineLink *link = &lb_engine_links[i];
		JsonbValue *value;

		if (strcmp(link->engine, engine->name) != 0 ||
			strcmp(link->parent, parent->name) != 0 ||
			lb_json_find(&parameters->root, link->parameter) != NULL)
			continue;
		value = number_at(&result->root, link->path);
		if (value == NULL)
			ereport(ERROR,
					errcode(ERRCODE_LABOS_INVALID_PARAMETERS),
					errmsg("result of %s has no number \"%s\"", parent->name, link->path),
					errdetail("{\"code\": \"parent_result_incomplete\", \"path\": \"%s\"}",
							  link->path),
					errhint("Set \"%s\" in the parameters of the job.", link->parameter));
		lb_put_key(&added, link->parameter);
		appendStringInfoString(&added,
							   DatumGetCString(DirectFunctionCall1(numeric_out,
																   NumericGetDatum(value->val.numeric))));
	}
	appendStringInfoChar(&added, '}');
	PG_RETURN_DATUM(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(parameters),
										jsonb_from(added.data)));
}

/*
 * Run an engine.  Fidelity "stub": instant figures in the engine's result
 * shape, a function of engine version, parameters and seed alone, the same
 * bytes on every machine, compiler and optimisation level.
 *
 * Errors: LB501 unknown engine, LB502 invalid parameters, LB503 fidelity not
 * available (code fidelity_unavailable for "physics", else unknown_fidelity).
 * SQL: labos.engine_run(text, jsonb, bigint, text), IMMUTABLE STRICT.
 */
PG_FUNCTION_INFO_V1(labos_engine_run);
Datum
labos_engine_run(PG_FUNCTION_ARGS)
{
	const Engine *engine = engine_arg(PG_GETARG_TEXT_PP(0));
	char	   *fidelity = text_to_cstring(PG_GETARG_TEXT_PP(3));
	StringInfoData out;
	EngineRun	run;

	if (strcmp(fidelity, "stub") != 0)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_FIDELITY),
				errmsg("engine %s has no such fidelity in this version", engine->name),
				errdetail("{\"code\": \"%s\"}", strcmp(fidelity, "physics") == 0 ?
						  "fidelity_unavailable" : "unknown_fidelity"),
				errhint("Use fidelity \"stub\"."));
	resolve(engine, PG_GETARG_JSONB_P(1), &run);
	lb_draw_seed(&run.draw, run.hash, PG_GETARG_INT64(2));
	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	engine->run(&run, &out);
	appendStringInfoChar(&out, '}');
	PG_RETURN_DATUM(jsonb_from(out.data));
}
