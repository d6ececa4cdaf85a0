/*-------------------------------------------------------------------------
 *
 * config_parts.c
 *		Validation of targets, search space and constraints.
 *
 * IDENTIFICATION
 *	  src/campaign/config_parts.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "campaign/config.h"
#include "campaign/score.h"
#include "core/json.h"
#include "types/elements.h"

#define ANY			1e300
#define MAX_LINEAR	64

/* An object's members one after the other. */
typedef struct Members
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;
} Members;

static void
members_begin(Members *m, JsonbContainer *object)
{
	m->it = JsonbIteratorInit(object);
	(void) JsonbIteratorNext(&m->it, &m->key, true);
}

static bool
members_next(Members *m)
{
	if (JsonbIteratorNext(&m->it, &m->key, true) != WJB_KEY)
		return false;
	(void) JsonbIteratorNext(&m->it, &m->value, true);
	return true;
}

static char *
member_path(const char *path, const Members *m)
{
	return lb_config_path(path, m->key.val.string.val, m->key.val.string.len);
}

static void
require_order(List **problems, const char *path, const char *low_key, double low,
			  const char *high_key, double high, bool equal_allowed)
{
	if (low < high || (equal_allowed && low == high))
		return;
	lb_config_add(problems, path, "contradiction", "%s must be %s %s", low_key,
				  equal_allowed ? "at most" : "below", high_key);
}

/* A flag member that must be true where it stands. */
static bool
true_member(List **problems, const char *path, JsonbContainer *object, const char *key)
{
	JsonbValue *value = lb_json_find(object, key);

	if (value == NULL)
		return false;
	if (value->type != jbvBool || !value->val.boolean)
		lb_config_add(problems, lb_config_path(path, key, strlen(key)), "wrong_type",
					  "must be true");
	return true;
}

static void
check_ramp(List **problems, const char *path, JsonbContainer *spec)
{
	double		low,
				high,
				ignored;
	bool		ok = lb_config_member(problems, path, spec, "low", true, -ANY, ANY, false, &low);

	ok &= lb_config_member(problems, path, spec, "high", true, -ANY, ANY, false, &high);
	if (ok)
		require_order(problems, path, "low", low, "high", high, false);
	lb_config_member(problems, path, spec, "exponent", false, 0.01, 100, false, &ignored);
}

static void
check_window(List **problems, const char *path, JsonbContainer *spec, int kind)
{
	double		a,
				b;
	bool		ok;

	switch (kind)
	{
		case 0:
			lb_config_member(problems, path, spec, "target", true, -ANY, ANY, false, &a);
			lb_config_member(problems, path, spec, "tolerance", true, 1e-300, ANY, false, &b);
			break;
		case 1:
			ok = lb_config_member(problems, path, spec, "min", true, -ANY, ANY, false, &a);
			ok &= lb_config_member(problems, path, spec, "max", true, -ANY, ANY, false, &b);
			if (ok)
				require_order(problems, path, "min", a, "max", b, false);
			break;
		case 2:
			lb_config_member(problems, path, spec, "at_least", true, -ANY, ANY, false, &a);
			break;
		default:
			lb_config_member(problems, path, spec, "at_most", true, -ANY, ANY, false, &a);
	}
	lb_config_member(problems, path, spec, "falloff", false, 1e-300, ANY, false, &a);
}

/* One target property: exactly one kind. */
static void
check_target(List **problems, const char *path, JsonbContainer *spec)
{
	static const char *const window_keys[4][4] = {
		{"weight", "falloff", "target", "tolerance"},
		{"weight", "falloff", "min", "max"},
		{"weight", "falloff", "at_least", "at_least"},
		{"weight", "falloff", "at_most", "at_most"},
	};
	static const char *const ramp_keys[] = {"weight", "exponent", "maximize", "minimize", "low", "high"};
	int			window = -1;
	int			kinds = 0;
	bool		ramp = false;
	double		ignored;

	for (int k = 0; k < 4; k++)
		if (lb_json_find(spec, window_keys[k][2]) || lb_json_find(spec, window_keys[k][3]))
		{
			window = k;
			kinds++;
		}
	if (true_member(problems, path, spec, "maximize"))
		ramp = ++kinds > 0;
	if (true_member(problems, path, spec, "minimize"))
		ramp = ++kinds > 0;
	lb_config_member(problems, path, spec, "weight", false, 1e-9, 1e9, false, &ignored);
	if (kinds == 0)
		lb_config_add(problems, path, "no_target_kind",
					  "give target and tolerance, min and max, at_least, at_most, or "
					  "maximize or minimize with low and high");
	else if (kinds > 1)
		lb_config_add(problems, path, "ambiguous_target", "give one kind of target, not %d", kinds);
	else if (ramp)
	{
		lb_config_known_keys(problems, path, spec, ramp_keys, lengthof(ramp_keys));
		check_ramp(problems, path, spec);
	}
	else
	{
		lb_config_known_keys(problems, path, spec, window_keys[window], 4);
		check_window(problems, path, spec, window);
	}
}

void
lb_config_targets(List **problems, const char *path, JsonbContainer *targets)
{
	Members		m;
	int			n = JsonContainerSize(targets);

	if (n == 0)
		lb_config_add(problems, path, "empty", "needs at least one property");
	if (n > LB_MAX_TARGETS)
	{
		lb_config_add(problems, path, "too_many", "has more than %d properties", LB_MAX_TARGETS);
		return;
	}
	members_begin(&m, targets);
	while (members_next(&m))
	{
		char	   *at = member_path(path, &m);
		JsonbContainer *spec = lb_config_object(problems, at, &m.value);

		lb_config_check_name(problems, at, m.key.val.string.val, m.key.val.string.len);
		if (spec != NULL)
			check_target(problems, at, spec);
	}
}

static void
check_categories(List **problems, const char *path, JsonbContainer *spec)
{
	JsonbValue *value = lb_json_find(spec, "values");
	char	   *at = lb_config_path(path, "values", 6);
	JsonbContainer *array;
	int			n;

	if (value == NULL)
	{
		lb_config_add(problems, at, "required", "is required");
		return;
	}
	if ((array = lb_config_array(problems, at, value)) == NULL)
		return;
	n = JsonContainerSize(array);
	if (n < 1)
		lb_config_add(problems, at, "empty", "needs at least one value");
	if (n > LB_MAX_CATEGORIES)
	{
		lb_config_add(problems, at, "too_many", "has more than %d values", LB_MAX_CATEGORIES);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(array, i);

		if (item->type != jbvString)
		{
			lb_config_add(problems, lb_config_path_at(at, i), "wrong_type", "must be a string");
			continue;
		}
		lb_config_check_name(problems, lb_config_path_at(at, i), item->val.string.val,
							 item->val.string.len);
		for (int j = 0; j < i; j++)
		{
			JsonbValue *other = getIthJsonbValueFromContainer(array, j);

			if (other->type == jbvString && other->val.string.len == item->val.string.len &&
				memcmp(other->val.string.val, item->val.string.val, item->val.string.len) == 0)
			{
				lb_config_add(problems, lb_config_path_at(at, i), "duplicate", "stands twice");
				break;
			}
		}
	}
}

static void
check_parameter(List **problems, const char *path, JsonbContainer *spec)
{
	static const char *const range_keys[] = {"type", "min", "max", "log"};
	static const char *const category_keys[] = {"type", "values"};
	JsonbValue *type = lb_json_find(spec, "type");
	JsonbValue *log = lb_json_find(spec, "log");
	double		limit = ANY;
	double		min,
				max;
	bool		ok;
	char		kind = 0;

	if (type == NULL)
	{
		lb_config_add(problems, lb_config_path(path, "type", 4), "required", "is required");
		return;
	}
	if (type->type == jbvString)
	{
		if (type->val.string.len == 5 && memcmp(type->val.string.val, "float", 5) == 0)
			kind = 'f';
		else if (type->val.string.len == 3 && memcmp(type->val.string.val, "int", 3) == 0)
			kind = 'i';
		else if (type->val.string.len == 11 && memcmp(type->val.string.val, "categorical", 11) == 0)
			kind = 'c';
	}
	if (kind == 0)
	{
		lb_config_add(problems, lb_config_path(path, "type", 4), "unknown_kind",
					  "must be float, int or categorical");
		return;
	}
	if (kind == 'c')
	{
		lb_config_known_keys(problems, path, spec, category_keys, lengthof(category_keys));
		check_categories(problems, path, spec);
		return;
	}
	lb_config_known_keys(problems, path, spec, range_keys, lengthof(range_keys));
	if (kind == 'i')
		limit = 1e9;
	ok = lb_config_member(problems, path, spec, "min", true, -limit, limit, kind == 'i', &min);
	ok &= lb_config_member(problems, path, spec, "max", true, -limit, limit, kind == 'i', &max);
	if (ok)
		require_order(problems, path, "min", min, "max", max, kind == 'i');
	if (log == NULL)
		return;
	if (log->type != jbvBool)
		lb_config_add(problems, lb_config_path(path, "log", 3), "wrong_type",
					  "must be true or false");
	else if (log->val.boolean && ok && min <= 0)
		lb_config_add(problems, lb_config_path(path, "min", 3), "out_of_range",
					  "must be above 0 on a logarithmic scale");
}

void
lb_config_space(List **problems, const char *path, JsonbContainer *space)
{
	Members		m;
	int			n = JsonContainerSize(space);

	if (n == 0)
		lb_config_add(problems, path, "empty", "needs at least one parameter");
	if (n > LB_MAX_PARAMETERS)
	{
		lb_config_add(problems, path, "too_many", "has more than %d parameters", LB_MAX_PARAMETERS);
		return;
	}
	members_begin(&m, space);
	while (members_next(&m))
	{
		char	   *at = member_path(path, &m);
		JsonbContainer *spec = lb_config_object(problems, at, &m.value);

		lb_config_check_name(problems, at, m.key.val.string.val, m.key.val.string.len);
		if (spec != NULL)
			check_parameter(problems, at, spec);
	}
}

/* An array of element symbols; fills the set of codes. */
static void
check_elements(List **problems, const char *path, JsonbContainer *constraints,
			   const char *key, bool *set)
{
	JsonbValue *value = lb_json_find(constraints, key);
	char	   *at = lb_config_path(path, key, strlen(key));
	JsonbContainer *array;
	int			n;

	if (value == NULL || (array = lb_config_array(problems, at, value)) == NULL)
		return;
	n = JsonContainerSize(array);
	if (n > LB_ELEMENTS)
	{
		lb_config_add(problems, at, "too_many", "has more than %d elements", LB_ELEMENTS);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(array, i);
		char	   *here = lb_config_path_at(at, i);
		int			code;

		if (item->type != jbvString)
		{
			lb_config_add(problems, here, "wrong_type", "must be an element symbol");
			continue;
		}
		code = lb_element_find(item->val.string.val, item->val.string.len);
		if (code == 0)
			lb_config_add(problems, here, "unknown_element", "is no element symbol");
		else if (set[code])
			lb_config_add(problems, here, "duplicate", "stands twice");
		else
			set[code] = true;
	}
}

/* {"name": {"min": …, "max": …}}; names are elements or parameters. */
static void
check_ranges(List **problems, const char *path, JsonbContainer *constraints,
			 const char *key, JsonbContainer *space)
{
	static const char *const keys[] = {"min", "max"};
	bool		composition = strcmp(key, "composition") == 0;
	double		least = composition ? 0.0 : -ANY;
	double		most = composition ? 1.0 : ANY;
	JsonbValue *value = lb_json_find(constraints, key);
	char	   *at = lb_config_path(path, key, strlen(key));
	JsonbContainer *object;
	Members		m;

	if (value == NULL || (object = lb_config_object(problems, at, value)) == NULL)
		return;
	members_begin(&m, object);
	while (members_next(&m))
	{
		char	   *here = member_path(at, &m);
		JsonbContainer *range = lb_config_object(problems, here, &m.value);
		char	   *name = pnstrdup(m.key.val.string.val, m.key.val.string.len);
		double		min,
					max;
		bool		both;

		if (composition && lb_element_find(name, strlen(name)) == 0)
			lb_config_add(problems, here, "unknown_element", "is no element symbol");
		if (!composition && space != NULL && lb_json_find(space, name) == NULL)
			lb_config_add(problems, here, "unknown_parameter", "is not in the search space");
		if (range == NULL)
			continue;
		lb_config_known_keys(problems, here, range, keys, lengthof(keys));
		if (JsonContainerSize(range) == 0)
			lb_config_add(problems, here, "empty", "needs min or max");
		both = lb_config_member(problems, here, range, "min", false, least, most, false, &min);
		both &= lb_config_member(problems, here, range, "max", false, least, most, false, &max);
		if (both)
			require_order(problems, here, "min", min, "max", max, true);
	}
}

/* [{"terms": {"x": 1, "y": 2}, "at_most": 5}] */
static void
check_linear(List **problems, const char *path, JsonbContainer *constraints,
			 JsonbContainer *space)
{
	static const char *const keys[] = {"terms", "at_least", "at_most"};
	JsonbValue *value = lb_json_find(constraints, "linear");
	char	   *at = lb_config_path(path, "linear", 6);
	JsonbContainer *array;
	int			n;

	if (value == NULL || (array = lb_config_array(problems, at, value)) == NULL)
		return;
	n = JsonContainerSize(array);
	if (n > MAX_LINEAR)
	{
		lb_config_add(problems, at, "too_many", "has more than %d constraints", MAX_LINEAR);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		char	   *here = lb_config_path_at(at, i);
		char	   *terms_at = lb_config_path(here, "terms", 5);
		JsonbContainer *one = lb_config_object(problems, here,
											   getIthJsonbValueFromContainer(array, i));
		JsonbValue *terms;
		JsonbContainer *object;
		Members		m;
		double		low,
					high;
		bool		has_low,
					has_high;

		if (one == NULL)
			continue;
		lb_config_known_keys(problems, here, one, keys, lengthof(keys));
		has_low = lb_config_member(problems, here, one, "at_least", false, -ANY, ANY, false, &low);
		has_high = lb_config_member(problems, here, one, "at_most", false, -ANY, ANY, false, &high);
		if (!lb_json_find(one, "at_least") && !lb_json_find(one, "at_most"))
			lb_config_add(problems, here, "required", "needs at_least or at_most");
		if (has_low && has_high)
			require_order(problems, here, "at_least", low, "at_most", high, true);
		terms = lb_json_find(one, "terms");
		if (terms == NULL)
		{
			lb_config_add(problems, terms_at, "required", "is required");
			continue;
		}
		if ((object = lb_config_object(problems, terms_at, terms)) == NULL)
			continue;
		if (JsonContainerSize(object) == 0)
			lb_config_add(problems, terms_at, "empty", "needs at least one term");
		members_begin(&m, object);
		while (members_next(&m))
		{
			char	   *name = pnstrdup(m.key.val.string.val, m.key.val.string.len);
			char	   *term_at = member_path(terms_at, &m);
			double		ignored;

			lb_config_number(problems, term_at, &m.value, -ANY, ANY, false, &ignored);
			if (space != NULL)
			{
				JsonbValue *spec = lb_json_find(space, name);
				JsonbValue *type = spec && spec->type == jbvBinary &&
				JsonContainerIsObject(spec->val.binary.data)
				? lb_json_find(spec->val.binary.data, "type") : NULL;

				if (spec == NULL || (type && type->type == jbvString &&
									 type->val.string.len == 11))
					lb_config_add(problems, term_at, "unknown_parameter",
								  "is no number of the search space");
			}
		}
	}
}

void
lb_config_constraints(List **problems, const char *path, JsonbContainer *constraints,
					  JsonbContainer *space)
{
	static const char *const keys[] = {
		"allowed_elements", "required_elements", "excluded_elements",
		"dimensionality", "min_atoms", "max_atoms", "composition", "parameters",
		"linear"
	};
	static const char *const chemical[] = {
		"allowed_elements", "required_elements", "excluded_elements",
		"min_atoms", "max_atoms", "composition"
	};
	bool		allowed[LB_ELEMENTS + 1] = {false};
	bool		required[LB_ELEMENTS + 1] = {false};
	bool		excluded[LB_ELEMENTS + 1] = {false};
	double		min,
				max;
	bool		both;

	lb_config_known_keys(problems, path, constraints, keys, lengthof(keys));
	for (int i = 0; space != NULL && i < lengthof(chemical); i++)
		if (lb_json_find(constraints, chemical[i]))
			lb_config_add(problems, lb_config_path(path, chemical[i], strlen(chemical[i])),
						  "constraint_unavailable",
						  "needs candidates with a formula; a search_space has none");
	if (lb_json_find(constraints, "dimensionality"))
		lb_config_add(problems, lb_config_path(path, "dimensionality", 14),
					  "constraint_unavailable",
					  "needs candidates with a structure; this version has none");
	check_elements(problems, path, constraints, "allowed_elements", allowed);
	check_elements(problems, path, constraints, "required_elements", required);
	check_elements(problems, path, constraints, "excluded_elements", excluded);
	for (int code = 1; code <= LB_ELEMENTS; code++)
	{
		if (required[code] && excluded[code])
			lb_config_add(problems, path, "contradiction", "%s is both required and excluded",
						  lb_elements[code].symbol);
		if (required[code] && !allowed[code] && lb_json_find(constraints, "allowed_elements"))
			lb_config_add(problems, path, "contradiction", "%s is required but not allowed",
						  lb_elements[code].symbol);
	}
	both = lb_config_member(problems, path, constraints, "min_atoms", false, 0, 1e9, false, &min);
	both &= lb_config_member(problems, path, constraints, "max_atoms", false, 1e-9, 1e9, false, &max);
	if (both)
		require_order(problems, path, "min_atoms", min, "max_atoms", max, true);
	check_ranges(problems, path, constraints, "composition", space);
	check_ranges(problems, path, constraints, "parameters", space);
	check_linear(problems, path, constraints, space);
}
