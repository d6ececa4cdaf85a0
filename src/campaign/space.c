/*-------------------------------------------------------------------------
 *
 * space.c
 *		The points that a campaign may propose, as coordinates in a unit cube.
 *
 * A float or int parameter is one coordinate, linear or logarithmic; a
 * categorical one has a coordinate for each category, 1 for the chosen and 0
 * for the others.
 *
 * IDENTIFICATION
 *	  src/campaign/space.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "campaign/config.h"
#include "campaign/space.h"
#include "compat.h"
#include "core/errors.h"
#include "core/json.h"
#include "numeric/special.h"

static void
read_categories(LbParameter *p, JsonbContainer *values)
{
	p->ncategories = JsonContainerSize(values);
	p->categories = palloc_array(char *, p->ncategories);
	for (int i = 0; i < p->ncategories; i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(values, i);

		p->categories[i] = pnstrdup(item->val.string.val, item->val.string.len);
	}
}

LbSpace *
lb_space_read(JsonbContainer *config)
{
	LbSpace    *space = palloc0_object(LbSpace);
	JsonbContainer *object = lb_json_object(config, "search_space");
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;

	space->constraints = lb_json_object(config, "constraints");
	space->parameters = palloc0_array(LbParameter, JsonContainerSize(object));
	space->cells = 1.0;
	(void) JsonbIteratorNext(&it, &key, true);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		LbParameter *p = &space->parameters[space->nparameters++];
		JsonbContainer *spec;
		char	   *type;

		(void) JsonbIteratorNext(&it, &value, true);
		spec = value.val.binary.data;
		type = lb_json_text(spec, "type");
		p->name = pnstrdup(key.val.string.val, key.val.string.len);
		p->at = space->d;
		p->kind = type[0] == 'f' ? LB_PARAMETER_FLOAT : type[0] == 'i' ? LB_PARAMETER_INT
			: LB_PARAMETER_CATEGORICAL;
		if (p->kind == LB_PARAMETER_CATEGORICAL)
		{
			read_categories(p, lb_json_array(spec, "values"));
			space->d += p->ncategories;
			space->cells *= p->ncategories;
			continue;
		}
		lb_json_double(spec, "min", &p->min);
		lb_json_double(spec, "max", &p->max);
		lb_json_bool(spec, "log", &p->log);
		space->d++;
		space->cells *= p->kind == LB_PARAMETER_INT ? p->max - p->min + 1.0 : INFINITY;
	}
	if (space->d > LB_MAX_DIMS)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_CONFIG),
				errmsg("search space has too many coordinates"),
				errdetail("Its parameters and categories make %d, at most %d are possible.",
						  space->d, LB_MAX_DIMS));
	return space;
}

static double
to_unit(const LbParameter *p, double value)
{
	double		u;

	if (p->max == p->min)
		return 0.0;
	if (p->log)
		u = (lb_log(value) - lb_log(p->min)) / (lb_log(p->max) - lb_log(p->min));
	else
		u = (value - p->min) / (p->max - p->min);
	return u < 0.0 ? 0.0 : u > 1.0 ? 1.0 : u;
}

static double
from_unit(const LbParameter *p, double u)
{
	double		value;
	char		digits[32];

	if (p->log)
		value = lb_exp(lb_log(p->min) + u * (lb_log(p->max) - lb_log(p->min)));
	else
		value = p->min + u * (p->max - p->min);
	if (p->kind == LB_PARAMETER_INT)
		value = rint(value);
	else
	{
		/* Ten digits are more than an instrument can set, and easier to read. */
		snprintf(digits, sizeof(digits), "%.10g", value);
		value = strtod(digits, NULL);
	}
	return Min(p->max, Max(p->min, value));
}

void
lb_space_encode(const LbSpace *space, JsonbContainer *parameters, double *out)
{
	for (int i = 0; i < space->nparameters; i++)
	{
		const LbParameter *p = &space->parameters[i];
		double		value;

		if (p->kind == LB_PARAMETER_CATEGORICAL)
		{
			char	   *chosen = lb_json_text(parameters, p->name);
			bool		found = false;

			for (int c = 0; c < p->ncategories; c++)
			{
				bool		here = chosen && strcmp(chosen, p->categories[c]) == 0;

				out[p->at + c] = here ? 1.0 : 0.0;
				found |= here;
			}
			if (found)
				continue;
		}
		else if (lb_json_double(parameters, p->name, &value) &&
				 !(p->log && value <= 0.0))
		{
			out[p->at] = to_unit(p, value);
			continue;
		}
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a point of the history lacks parameter \"%s\"", p->name));
	}
}

void
lb_space_snap(const LbSpace *space, double *u)
{
	for (int i = 0; i < space->nparameters; i++)
	{
		const LbParameter *p = &space->parameters[i];
		int			best = 0;

		if (p->kind != LB_PARAMETER_CATEGORICAL)
		{
			u[p->at] = to_unit(p, from_unit(p, u[p->at]));
			continue;
		}
		for (int c = 1; c < p->ncategories; c++)
			if (u[p->at + c] > u[p->at + best])
				best = c;
		for (int c = 0; c < p->ncategories; c++)
			u[p->at + c] = c == best ? 1.0 : 0.0;
	}
}

static const char *
chosen_category(const LbParameter *p, const double *u)
{
	for (int c = 0; c < p->ncategories; c++)
		if (u[p->at + c] > 0.5)
			return p->categories[c];
	return p->categories[0];
}

void
lb_space_decode(const LbSpace *space, const double *u, StringInfo out)
{
	appendStringInfoChar(out, '{');
	for (int i = 0; i < space->nparameters; i++)
	{
		const LbParameter *p = &space->parameters[i];

		if (i > 0)
			appendStringInfoString(out, ", ");
		escape_json(out, p->name);
		appendStringInfoString(out, ": ");
		if (p->kind == LB_PARAMETER_CATEGORICAL)
			escape_json(out, chosen_category(p, u));
		else
			lb_json_number(out, from_unit(p, u[p->at]));
	}
	appendStringInfoChar(out, '}');
}

void
lb_space_cell(const LbSpace *space, int64 index, double *u)
{
	memset(u, 0, space->d * sizeof(double));
	for (int i = 0; i < space->nparameters; i++)
	{
		const LbParameter *p = &space->parameters[i];
		int64		n = p->kind == LB_PARAMETER_CATEGORICAL ? p->ncategories
		: (int64) (p->max - p->min) + 1;
		int64		at = index % n;

		index /= n;
		if (p->kind == LB_PARAMETER_CATEGORICAL)
			u[p->at + at] = 1.0;
		else
			u[p->at] = to_unit(p, p->min + at);
	}
}

/* Is value within {"min": …, "max": …}? */
static bool
within(const JsonbValue *range, double value)
{
	JsonbContainer *object = range->val.binary.data;
	double		bound;

	if (lb_json_double(object, "min", &bound) && value < bound)
		return false;
	if (lb_json_double(object, "max", &bound) && value > bound)
		return false;
	return true;
}

/* Sees the number called "name"; false when there is none. */
typedef bool (*LookUp) (const void *source, const char *name, double *value);

static bool
look_up_space(const void *source, const char *name, double *value)
{
	const void *const *pair = source;
	const LbSpace *space = pair[0];
	const double *u = pair[1];

	for (int i = 0; i < space->nparameters; i++)
		if (strcmp(space->parameters[i].name, name) == 0 &&
			space->parameters[i].kind != LB_PARAMETER_CATEGORICAL)
		{
			*value = from_unit(&space->parameters[i], u[space->parameters[i].at]);
			return true;
		}
	return false;
}

static bool
look_up_object(const void *source, const char *name, double *value)
{
	JsonbValue *found = source ? lb_json_find((JsonbContainer *) source, name) : NULL;

	if (found == NULL || found->type != jbvNumeric)
		return false;
	*value = lb_jsonvalue_double(found, name);
	return true;
}

static bool
look_up_fraction(const void *source, const char *name, double *value)
{
	const LbFormula *formula = source;
	uint8		codes[LB_ELEMENTS];
	int			n;
	double		total = 0.0;

	if (formula == NULL)
		return false;
	n = lb_formula_codes(formula, codes);
	for (int i = 0; i < n; i++)
		total += lb_formula_amount(formula, codes[i]);
	*value = lb_formula_amount(formula, lb_element_find(name, strlen(name))) / total;
	return true;
}

/* A value that is not there cannot meet its bounds. */
static bool
ranges_met(JsonbContainer *constraints, const char *key, LookUp look_up, const void *source)
{
	JsonbContainer *ranges = lb_json_object(constraints, key);
	JsonbIterator *it;
	JsonbValue	name;
	JsonbValue	range;

	if (ranges == NULL)
		return true;
	it = JsonbIteratorInit(ranges);
	(void) JsonbIteratorNext(&it, &name, true);
	while (JsonbIteratorNext(&it, &name, true) == WJB_KEY)
	{
		char	   *text = pnstrdup(name.val.string.val, name.val.string.len);
		double		value;

		(void) JsonbIteratorNext(&it, &range, true);
		if (!look_up(source, text, &value) || !within(&range, value))
			return false;
		pfree(text);
	}
	return true;
}

static bool
linear_met(JsonbContainer *constraints, LookUp look_up, const void *source)
{
	JsonbContainer *list = lb_json_array(constraints, "linear");

	for (int i = 0; list != NULL && i < JsonContainerSize(list); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(list, i);
		JsonbContainer *one = item->val.binary.data;
		JsonbIterator *it = JsonbIteratorInit(lb_json_object(one, "terms"));
		JsonbValue	name;
		JsonbValue	factor;
		double		sum = 0.0;
		double		bound;

		(void) JsonbIteratorNext(&it, &name, true);
		while (JsonbIteratorNext(&it, &name, true) == WJB_KEY)
		{
			char	   *text = pnstrdup(name.val.string.val, name.val.string.len);
			double		value;

			(void) JsonbIteratorNext(&it, &factor, true);
			if (!look_up(source, text, &value))
				return false;
			sum += value * lb_jsonvalue_double(&factor, text);
			pfree(text);
		}
		if ((lb_json_double(one, "at_least", &bound) && sum < bound) ||
			(lb_json_double(one, "at_most", &bound) && sum > bound))
			return false;
	}
	return true;
}

bool
lb_space_admits(const LbSpace *space, const double *u)
{
	const void *pair[2] = {space, u};

	return space->constraints == NULL ||
		(ranges_met(space->constraints, "parameters", look_up_space, pair) &&
		 linear_met(space->constraints, look_up_space, pair));
}

static bool
elements_met(JsonbContainer *constraints, const LbFormula *formula)
{
	static const char *const keys[] = {"allowed_elements", "required_elements", "excluded_elements"};
	uint8		codes[LB_ELEMENTS];
	int			n = lb_formula_codes(formula, codes);
	double		atoms = 0.0;
	double		bound;

	for (int k = 0; k < lengthof(keys); k++)
	{
		JsonbContainer *list = lb_json_array(constraints, keys[k]);
		int			found = 0;

		if (list == NULL)
			continue;
		for (int i = 0; i < JsonContainerSize(list); i++)
		{
			JsonbValue *item = getIthJsonbValueFromContainer(list, i);

			found += lb_set_has(&formula->set,
								lb_element_find(item->val.string.val, item->val.string.len));
		}
		if ((k == 0 && found < n) || (k == 1 && found < JsonContainerSize(list)) ||
			(k == 2 && found > 0))
			return false;
	}
	for (int i = 0; i < n; i++)
		atoms += lb_formula_amount(formula, codes[i]);
	return !(lb_json_double(constraints, "min_atoms", &bound) && atoms < bound) &&
		!(lb_json_double(constraints, "max_atoms", &bound) && atoms > bound);
}

bool
lb_constraints_admit(JsonbContainer *constraints, const LbFormula *formula,
					 JsonbContainer *parameters)
{
	if (formula == NULL)
	{
		static const char *const keys[] = {"allowed_elements", "required_elements",
		"excluded_elements", "min_atoms", "max_atoms"};

		for (int k = 0; k < lengthof(keys); k++)
			if (lb_json_find(constraints, keys[k]))
				return false;
	}
	else if (!elements_met(constraints, formula))
		return false;
	return ranges_met(constraints, "composition", look_up_fraction, formula) &&
		ranges_met(constraints, "parameters", look_up_object, parameters) &&
		linear_met(constraints, look_up_object, parameters);
}

/*
 * labos.constraints_admit(constraints jsonb, formula labos.formula,
 *						   parameters jsonb) returns boolean
 *
 * Null or {} constraints admit everything; a candidate that lacks what a
 * constraint asks about is not admitted.  min_atoms and max_atoms count the
 * atoms of the formula as written.
 *
 * Errors:	LB601 invalid constraints
 * SQL:		immutable parallel safe, called on null input
 */
PG_FUNCTION_INFO_V1(labos_constraints_admit);

Datum
labos_constraints_admit(PG_FUNCTION_ARGS)
{
	Jsonb	   *constraints;
	LbFormula  *formula = NULL;
	Jsonb	   *parameters = NULL;
	Jsonb	   *checked = fcinfo->flinfo->fn_extra;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(true);
	constraints = PG_GETARG_JSONB_P(0);
	/* Validate once a query, not once a row. */
	if (checked == NULL || VARSIZE(checked) != VARSIZE(constraints) ||
		memcmp(checked, constraints, VARSIZE(constraints)) != 0)
	{
		lb_constraints_require(constraints);
		/* A query whose rows differ must not gather them all. */
		fcinfo->flinfo->fn_extra = NULL;
		if (checked != NULL)
			pfree(checked);
		checked = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, VARSIZE(constraints));
		memcpy(checked, constraints, VARSIZE(constraints));
		fcinfo->flinfo->fn_extra = checked;
	}
	if (!PG_ARGISNULL(1))
		formula = (LbFormula *) PG_DETOAST_DATUM(PG_GETARG_DATUM(1));
	if (!PG_ARGISNULL(2))
	{
		parameters = PG_GETARG_JSONB_P(2);
		if (!JB_ROOT_IS_OBJECT(parameters))
			PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(lb_constraints_admit(&constraints->root, formula,
										parameters ? &parameters->root : NULL));
}
