/*-------------------------------------------------------------------------
 *
 * score.c
 *		How good a set of properties is: desirability, 0 to 1.
 *
 * Each target property gets a desirability d between 0 and 1:
 *
 *	window [low, high]	1 inside, exp(-(e / falloff)^2 / 2) at distance e outside
 *	maximize			((value - low) / (high - low))^exponent, clamped
 *	minimize			((high - value) / (high - low))^exponent, clamped
 *
 * {target, tolerance} is the window target +- tolerance with falloff =
 * tolerance; {min, max} has falloff = half its width; {at_least} and {at_most}
 * are windows open at one end with falloff = a tenth of the bound's size (1 at
 * bound 0); a "falloff" member overrides any of these.  The score is the mean of
 * the desirabilities with normalised weights; a property that is missing or is
 * no number contributes 0.
 *
 * Sources: G. Derringer, R. Suich, J. Qual. Technol. 12 (1980) 214-219 (ramps
 * and the idea of the composite); E. C. Harrington, Ind. Qual. Control 21
 * (1965) 494-498 (the exponential outside a window, which is smooth and never
 * flat, so that a far candidate still beats a farther one).
 *
 * IDENTIFICATION
 *	  src/campaign/score.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "compat.h"
#include "campaign/config.h"
#include "campaign/score.h"
#include "core/errors.h"
#include "core/json.h"
#include "numeric/special.h"

static void
read_window(JsonbContainer *spec, LbTarget *t)
{
	double		target;
	double		width;

	t->kind = LB_TARGET_WINDOW;
	t->low = -INFINITY;
	t->high = INFINITY;
	if (lb_json_double(spec, "target", &target))
	{
		lb_json_double(spec, "tolerance", &width);
		t->low = target - width;
		t->high = target + width;
		t->falloff = width;
	}
	else if (lb_json_double(spec, "min", &t->low))
	{
		lb_json_double(spec, "max", &t->high);
		t->falloff = 0.5 * (t->high - t->low);
	}
	else
	{
		double		bound = 0.0;

		if (lb_json_double(spec, "at_least", &bound))
			t->low = bound;
		else if (lb_json_double(spec, "at_most", &bound))
			t->high = bound;
		t->falloff = bound == 0.0 ? 1.0 : 0.1 * fabs(bound);
	}
	lb_json_double(spec, "falloff", &t->falloff);
}

int
lb_score_targets(JsonbContainer *targets, LbTarget *out)
{
	JsonbIterator *it = JsonbIteratorInit(targets);
	JsonbValue	key;
	JsonbIteratorToken token;
	double		total = 0.0;
	int			n = 0;

	token = JsonbIteratorNext(&it, &key, true);
	while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY)
	{
		LbTarget   *t = &out[n++];
		JsonbValue	value;
		JsonbContainer *spec;
		bool		flag = false;

		Assert(n <= LB_MAX_TARGETS);
		t->name = pnstrdup(key.val.string.val, key.val.string.len);
		JsonbIteratorNext(&it, &value, true);
		spec = value.val.binary.data;
		t->weight = 1.0;
		t->exponent = 1.0;
		lb_json_double(spec, "weight", &t->weight);
		lb_json_double(spec, "exponent", &t->exponent);
		if (lb_json_bool(spec, "maximize", &flag) ||
			lb_json_bool(spec, "minimize", &flag))
		{
			t->kind = lb_json_find(spec, "maximize") ? LB_TARGET_MAXIMIZE : LB_TARGET_MINIMIZE;
			lb_json_double(spec, "low", &t->low);
			lb_json_double(spec, "high", &t->high);
			t->falloff = 0.0;
		}
		else
			read_window(spec, t);
		total += t->weight;
	}
	for (int i = 0; i < n; i++)
		out[i].weight /= total;
	return n;
}

double
lb_score_part(const LbTarget *t, double value)
{
	double		distance;
	double		ramp;

	if (t->kind == LB_TARGET_WINDOW)
	{
		distance = value < t->low ? t->low - value : value > t->high ? value - t->high : 0.0;
		if (distance == 0.0)
			return 1.0;
		if (!(t->falloff > 0.0) || distance / t->falloff > 37.0)
			return 0.0;
		distance /= t->falloff;
		return lb_exp(-0.5 * distance * distance);
	}
	ramp = (value - t->low) / (t->high - t->low);
	if (t->kind == LB_TARGET_MINIMIZE)
		ramp = 1.0 - ramp;
	if (!(ramp > 0.0))
		return 0.0;
	if (ramp >= 1.0)
		return 1.0;
	return t->exponent == 1.0 ? ramp : lb_exp(t->exponent * lb_log(ramp));
}

/* The value of a property, or false when it is missing or no number. */
static bool
property_value(JsonbContainer *properties, const char *name, double *value)
{
	JsonbValue *found = lb_json_find(properties, name);

	if (found == NULL || found->type != jbvNumeric)
		return false;
	*value = lb_jsonvalue_double(found, name);
	return true;
}

/*
 * labos.score(properties jsonb, targets jsonb,
 *			   out score float8, out parts jsonb)
 *
 * Shapes:	properties is an object of numbers, targets as in a campaign's
 *			target_properties
 * Units:	each property in the unit its target uses; score and desirability
 *			are pure numbers from 0 to 1
 * Errors:	LB601 invalid targets or properties, 22003 a number beyond float8
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_score);

Datum
labos_score(PG_FUNCTION_ARGS)
{
	Jsonb	   *properties = PG_GETARG_JSONB_P(0);
	Jsonb	   *targets = PG_GETARG_JSONB_P(1);
	LbTarget	list[LB_MAX_TARGETS];
	int			n;
	double		score = 0.0;
	StringInfoData parts;
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!JB_ROOT_IS_OBJECT(properties))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_CONFIG),
				errmsg("properties must be an object"));
	lb_config_require_targets(targets);
	n = lb_score_targets(&targets->root, list);

	initStringInfo(&parts);
	appendStringInfoChar(&parts, '{');
	for (int i = 0; i < n; i++)
	{
		double		value = 0.0;
		bool		known = property_value(&properties->root, list[i].name, &value);
		double		part = known ? lb_score_part(&list[i], value) : 0.0;

		score += list[i].weight * part;
		if (i > 0)
			appendStringInfoString(&parts, ", ");
		escape_json(&parts, list[i].name);
		appendStringInfoString(&parts, ": {\"value\": ");
		lb_json_number(&parts, known ? value : NAN);
		appendStringInfoString(&parts, ", \"weight\": ");
		lb_json_number(&parts, list[i].weight);
		appendStringInfoString(&parts, ", \"desirability\": ");
		lb_json_number(&parts, part);
		appendStringInfoChar(&parts, '}');
	}
	appendStringInfoChar(&parts, '}');

	values[0] = Float8GetDatum(Min(score, 1.0));
	values[1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(parts.data));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}
