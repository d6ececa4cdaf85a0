/*-------------------------------------------------------------------------
 *
 * suggest.c
 *		Which candidates to try next: a pure function of configuration, seed,
 *		place in the campaign and history.
 *
 * Strategies.  random: uniform among what was not proposed.  sobol: a
 * low-discrepancy sequence (in a pool: the unseen candidate nearest to its
 * point).  bayesian: after initial_candidates random (pool) or Sobol (space)
 * candidates, a Gaussian process and an acquisition rule:
 *
 *	target_probability	every target is a window: one model a property, the
 *						probability that all of them are met (its logarithm)
 *	property_improvement	one maximize or minimize: a model of the property,
 *						logarithm of expected improvement
 *	score_improvement	otherwise: the same on the score
 *
 * Candidates of a pool, or of a discrete space up to LB_MAX_ENUMERATED cells,
 * are all scored; in a continuous space Sobol points and neighbours of the best
 * are, and the better ones climb by L-BFGS.  A batch and the candidates still
 * pending are believed to come out as predicted (Kriging believer: D.
 * Ginsbourger et al., 2010).
 *
 * IDENTIFICATION
 *	  src/campaign/suggest.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "campaign/acquire.h"
#include "campaign/config.h"
#include "campaign/score.h"
#include "campaign/space.h"
#include "compat.h"
#include "core/errors.h"
#include "core/json.h"
#include "numeric/lbfgs.h"
#include "numeric/rng.h"
#include "numeric/sobol.h"

#define SHORTLIST		512		/* candidates that stay in play for a batch */
#define SOBOL_STARTS	512
#define NEIGHBOURS		64
#define CLIMBS			8
#define CLIMB_EVALS		40
#define HISTORY_MOST	100000	/* candidates of a campaign */
#define DRAWS			1000	/* random draws before a space counts as full */
#define SEED_STREAM		0x5EEDu

/* Everything one call works on. */
typedef struct Call
{
	uint64		seed;
	uint32		iteration;
	int			slot;			/* of the first proposal */
	int			n;
	char		strategy;		/* r, s or b */
	int			initial;
	LbSpace    *space;			/* or NULL: a pool */
	int			d;
	int			npool;			/* 0: a continuous space */
	double	   *pool;			/* npool * d, unit cube */
	bool	   *seen;			/* npool */
	LbHistory	history;
	int			batch;			/* proposals made */
	double	   *made;			/* n * d */
	int			ntargets;
	LbTarget	targets[LB_MAX_TARGETS];
	ReturnSetInfo *rsinfo;
} Call;

/* Is u proposed already (in a continuous space)? */
static bool
is_known(const Call *call, const double *u)
{
	int			total = call->history.n + call->batch;

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < total; i++)
	{
		const double *other = i < call->history.n ? call->history.x + (Size) i * call->d
		: call->made + (Size) (i - call->history.n) * call->d;
		double		largest = 0.0;

		for (int k = 0; k < call->d; k++)
			largest = Max(largest, fabs(u[k] - other[k]));
		if (largest < 1e-9)
			return true;
	}
	return false;
}

/* Write one row: slot, pool_row, parameters, acquisition, predicted, reason. */
static void
emit(Call *call, const double *u, int row, const char *rule, const LbModel *model,
	 double log_acquisition)
{
	Datum		values[6];
	bool		nulls[6] = {false, false, false, true, true, false};
	StringInfoData text;

	values[0] = Int32GetDatum(call->slot + call->batch);
	values[1] = Int32GetDatum(row + 1);
	nulls[1] = call->space != NULL;
	nulls[2] = call->space == NULL;
	initStringInfo(&text);
	if (call->space != NULL)
	{
		lb_space_decode(call->space, u, &text);
		values[2] = DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
	}
	resetStringInfo(&text);
	appendStringInfoString(&text, "{\"strategy\": ");
	escape_json(&text, call->strategy == 'r' ? "random" : call->strategy == 's' ? "sobol" : "bayesian");
	appendStringInfoString(&text, ", \"rule\": ");
	escape_json(&text, rule);
	if (model != NULL)
	{
		values[3] = Float8GetDatum(log_acquisition);
		nulls[3] = false;
		lb_acquire_explain(model, u, log_acquisition, &text);
	}
	appendStringInfoChar(&text, '}');
	values[5] = DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
	if (model != NULL)
	{
		resetStringInfo(&text);
		lb_acquire_predicted(model, u, &text);
		values[4] = DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
		nulls[4] = false;
	}
	tuplestore_putvalues(call->rsinfo->setResult, call->rsinfo->setDesc, values, nulls);
	memcpy(call->made + (Size) call->batch * call->d, u, call->d * sizeof(double));
	call->batch++;
	if (row >= 0)
		call->seen[row] = true;
}

static int
unseen(const Call *call)
{
	int			count = 0;

	for (int i = 0; i < call->npool; i++)
		count += !call->seen[i];
	return count;
}

/* The next point of the strategy's sequence in a continuous space. */
static bool
draw_point(Call *call, char how, double *u)
{
	LbRng		rng;

	lb_rng_seed(&rng, call->seed, call->iteration, call->slot + call->batch);
	for (int tries = 0; tries < DRAWS; tries++)
	{
		if (how == 's' && tries == 0)
			lb_sobol_point(call->history.n + call->batch, call->d, call->seed, u);
		else
			for (int k = 0; k < call->d; k++)
				u[k] = lb_rng_uniform(&rng);
		lb_space_snap(call->space, u);
		if (lb_space_admits(call->space, u) && !is_known(call, u))
			return true;
	}
	return false;
}

/* A row of the pool that was not proposed; there is one. */
static int
draw_row(Call *call, char how, int left)
{
	LbRng		rng;
	double		point[LB_MAX_DIMS];
	double		nearest = INFINITY;
	int			best = -1;

	if (how == 'r')
	{
		int			skip;

		lb_rng_seed(&rng, call->seed, call->iteration, call->slot + call->batch);
		skip = lb_rng_below(&rng, left);
		for (int i = 0; i < call->npool; i++)
			if (!call->seen[i] && skip-- == 0)
				return i;
	}
	lb_sobol_point(call->history.n + call->batch, call->d, call->seed, point);
	for (int i = 0; i < call->npool; i++)
	{
		const double *x = call->pool + (Size) i * call->d;
		double		distance = 0.0;

		if (call->seen[i])
			continue;
		for (int k = 0; k < call->d; k++)
			distance += (x[k] - point[k]) * (x[k] - point[k]);
		if (distance < nearest)
		{
			nearest = distance;
			best = i;
		}
	}
	return best;
}

/* Up to "count" proposals without a model. */
static void
propose_blind(Call *call, char how, int count, const char *rule)
{
	double	   *u = palloc_array(double, call->d);
	int			left = unseen(call);

	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (call->npool > 0)
		{
			int			row;

			if (left-- == 0)
				break;
			row = draw_row(call, how, left + 1);
			emit(call, call->pool + (Size) row * call->d, row, rule, NULL, 0.0);
		}
		else if (draw_point(call, how, u))
			emit(call, u, -1, rule, NULL, 0.0);
		else
			break;
	}
	pfree(u);
}

typedef struct Ranked
{
	double		value;
	int			row;
} Ranked;

/* Best first; equal values by row, so that the order is the same everywhere. */
static int
compare_ranked(const void *a, const void *b)
{
	const Ranked *x = a;
	const Ranked *y = b;

	if (x->value != y->value)
		return x->value < y->value ? 1 : -1;
	return (x->row > y->row) - (x->row < y->row);
}

/* Score every unseen candidate, keep a shortlist, take the best one by one. */
static void
propose_from_pool(Call *call, LbModel *model)
{
	Ranked	   *ranked = MemoryContextAllocHuge(CurrentMemoryContext,
												sizeof(Ranked) * Max(call->npool, 1));
	int			n = 0;
	int			keep;

	for (int i = 0; i < call->npool; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (call->seen[i])
			continue;
		ranked[n].value = lb_acquire_value(model, call->pool + (Size) i * call->d);
		ranked[n++].row = i;
	}
	qsort(ranked, n, sizeof(Ranked), compare_ranked);
	keep = Min(n, Max(SHORTLIST, 4 * call->n));
	for (int b = 0; b < call->n && b < keep; b++)
	{
		const double *x;

		CHECK_FOR_INTERRUPTS();
		if (b > 0)
		{
			for (int i = b; i < keep; i++)
			{
				CHECK_FOR_INTERRUPTS();
				ranked[i].value = lb_acquire_value(model, call->pool + (Size) ranked[i].row * call->d);
			}
			/* Only the best must stand in its place. */
			for (int i = b + 1; i < keep; i++)
				if (compare_ranked(&ranked[i], &ranked[b]) < 0)
				{
					Ranked		swap = ranked[b];

					ranked[b] = ranked[i];
					ranked[i] = swap;
				}
		}
		x = call->pool + (Size) ranked[b].row * call->d;
		emit(call, x, ranked[b].row, model->rule, model, ranked[b].value);
		lb_acquire_believe(model, x);
	}
	pfree(ranked);
}

/* For the climb: negative acquisition, with gradients of frozen ones zero. */
static double
climb_objective(const double *u, double *gradient, void *arg)
{
	const LbModel *model = arg;
	double		value = lb_acquire_gradient(model, u, gradient);

	for (int k = 0; k < model->d; k++)
		gradient[k] = -gradient[k];
	return -value;
}

/* Coordinates of floats move freely; integers and categories stay. */
static void
climb(const Call *call, LbModel *model, double *u)
{
	double		lo[LB_MAX_DIMS];
	double		hi[LB_MAX_DIMS];

	memcpy(lo, u, call->d * sizeof(double));
	memcpy(hi, u, call->d * sizeof(double));
	for (int i = 0; i < call->space->nparameters; i++)
		if (call->space->parameters[i].kind == LB_PARAMETER_FLOAT)
		{
			lo[call->space->parameters[i].at] = 0.0;
			hi[call->space->parameters[i].at] = 1.0;
		}
	lb_lbfgs_minimize(climb_objective, model, u, lo, hi, call->d, CLIMB_EVALS, 1e-5);
}

/* A start for the climb: Sobol points, then neighbours of the best. */
static void
climb_start(const Call *call, const LbModel *model, LbRng *rng, int i, double *u)
{
	double		reach;

	if (i < SOBOL_STARTS || model->best == NULL)
	{
		lb_sobol_point(i, call->d, call->seed ^ ((uint64) call->iteration << 32) ^
					   (uint64) (call->slot + call->batch + 1) << 20, u);
		return;
	}
	reach = (i % 4 == 0) ? 0.2 : (i % 4 == 1) ? 0.05 : (i % 4 == 2) ? 0.01 : 0.001;
	for (int k = 0; k < call->d; k++)
	{
		double		step = 2.0 * lb_rng_uniform(rng) - 1.0;

		u[k] = model->best[k] + reach * step;
		u[k] = Min(1.0, Max(0.0, u[k]));
	}
	/* One in four changes a category or an integer too. */
	if (i % 4 == 0)
		u[lb_rng_below(rng, call->d)] = lb_rng_uniform(rng) < 0.5 ? 0.0 : 1.0;
}

static bool
propose_in_space(Call *call, LbModel *model)
{
	int			total = SOBOL_STARTS + NEIGHBOURS;
	int			d = call->d;
	double	   *starts = palloc_array(double, total * d);
	Ranked	   *ranked = palloc_array(Ranked, total);
	double	   *u = palloc_array(double, 2 * d);
	double	   *best = u + d;
	double		best_value = -INFINITY;
	LbRng		rng;
	int			n = 0;

	lb_rng_seed(&rng, call->seed ^ SEED_STREAM, call->iteration, call->slot + call->batch);
	for (int i = 0; i < total; i++)
	{
		double	   *start = starts + (Size) n * d;

		CHECK_FOR_INTERRUPTS();
		climb_start(call, model, &rng, i, start);
		lb_space_snap(call->space, start);
		if (!lb_space_admits(call->space, start) || is_known(call, start))
			continue;
		ranked[n].row = n;
		ranked[n].value = lb_acquire_value(model, start);
		n++;
	}
	qsort(ranked, n, sizeof(Ranked), compare_ranked);
	for (int i = 0; i < n && i < CLIMBS; i++)
	{
		double		value;

		CHECK_FOR_INTERRUPTS();
		memcpy(u, starts + (Size) ranked[i].row * d, d * sizeof(double));
		if (i == 0)
		{
			memcpy(best, u, d * sizeof(double));
			best_value = ranked[0].value;
		}
		climb(call, model, u);
		lb_space_snap(call->space, u);
		if (!lb_space_admits(call->space, u) || is_known(call, u))
			continue;
		value = lb_acquire_value(model, u);
		if (value > best_value)
		{
			best_value = value;
			memcpy(best, u, d * sizeof(double));
		}
	}
	if (n > 0)
	{
		emit(call, best, -1, model->rule, model, best_value);
		lb_acquire_believe(model, best);
	}
	return n > 0;
}

static void
propose(Call *call)
{
	int			wanted = call->n;
	LbModel    *model;

	if (call->strategy != 'b')
	{
		propose_blind(call, call->strategy, wanted,
					  call->strategy == 'r' ? "random" : "sobol");
		return;
	}
	if (call->history.n < call->initial)
		propose_blind(call, call->npool > 0 ? 'r' : 's',
					  Min(wanted, call->initial - call->history.n), "initial");
	wanted -= call->batch;
	if (wanted <= 0)
		return;
	/* The initial ones of this very call are not evaluated: no model yet. */
	model = call->batch > 0 ? NULL
		: lb_acquire_model(&call->history, call->targets, call->ntargets, call->d, call->n);
	if (model == NULL)
		propose_blind(call, call->npool > 0 ? 'r' : 's', wanted, "initial");
	else if (call->npool > 0)
		propose_from_pool(call, model);
	else
	{
		while (wanted-- > 0 && propose_in_space(call, model))
			;
		if (wanted >= 0)
			propose_blind(call, 'r', wanted + 1, "random");
	}
}

/* The pool as unit coordinates: each column scaled to its range. */
static void
read_pool(Call *call, ArrayType *array)
{
	const double *values;

	if (ARR_ELEMTYPE(array) != FLOAT8OID || ARR_NDIM(array) != 2 || array_contains_nulls(array))
	{
		if (ARR_NDIM(array) == 0)
			return;
		ereport(ERROR,
				errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				errmsg("pool must be a two-dimensional array without nulls"));
	}
	call->npool = ARR_DIMS(array)[0];
	call->d = ARR_DIMS(array)[1];
	if (call->d > LB_MAX_DIMS)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("pool has too many columns"),
				errdetail("It has %d, at most %d are possible.", call->d, LB_MAX_DIMS));
	values = (const double *) ARR_DATA_PTR(array);
	call->pool = MemoryContextAllocHuge(CurrentMemoryContext,
										sizeof(double) * call->npool * call->d);
	for (int k = 0; k < call->d; k++)
	{
		double		lo = INFINITY;
		double		hi = -INFINITY;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < call->npool; i++)
		{
			double		value = values[(Size) i * call->d + k];

			if (!isfinite(value))
				ereport(ERROR,
						errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("pool must be finite"),
						errdetail("Row %d, column %d is %g.", i + 1, k + 1, value));
			lo = Min(lo, value);
			hi = Max(hi, value);
		}
		for (int i = 0; i < call->npool; i++)
			call->pool[(Size) i * call->d + k] = hi > lo
				? (values[(Size) i * call->d + k] - lo) / (hi - lo) : 0.0;
	}
}

/* A discrete space is a pool of its admitted cells. */
static void
enumerate_space(Call *call)
{
	int64		cells = (int64) call->space->cells;

	call->pool = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * cells * call->d);
	for (int64 i = 0; i < cells; i++)
	{
		double	   *u = call->pool + (Size) call->npool * call->d;

		CHECK_FOR_INTERRUPTS();
		lb_space_cell(call->space, i, u);
		if (lb_space_admits(call->space, u))
			call->npool++;
	}
}

/* Mark what the history proposed. */
static void
mark_seen(Call *call)
{
	call->seen = palloc0(Max(call->npool, 1));
	for (int i = 0; i < call->history.n; i++)
	{
		const double *x = call->history.x + (Size) i * call->d;

		CHECK_FOR_INTERRUPTS();
		if (call->space == NULL)
		{
			call->seen[call->history.row[i]] = true;
			continue;
		}
		for (int p = 0; p < call->npool; p++)
		{
			const double *u = call->pool + (Size) p * call->d;
			double		largest = 0.0;

			for (int k = 0; k < call->d; k++)
				largest = Max(largest, fabs(u[k] - x[k]));
			if (largest < 1e-9)
				call->seen[p] = true;
		}
	}
}

/* One element of the history: where it was and what came out. */
static void
read_observation(Call *call, int i, JsonbContainer *item)
{
	LbHistory  *h = &call->history;
	JsonbContainer *properties = lb_json_object(item, "properties");
	JsonbContainer *parameters = lb_json_object(item, "parameters");
	double	   *x = h->x + (Size) i * call->d;
	int64		row;

	if (call->space != NULL)
	{
		if (parameters == NULL)
			ereport(ERROR,
					errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("element %d of the history has no parameters", i));
		lb_space_encode(call->space, parameters, x);
	}
	else
	{
		if (!lb_json_int64(item, "row", &row) || row < 1 || row > call->npool)
			ereport(ERROR,
					errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("element %d of the history names no row of the pool", i));
		h->row[i] = (int) row - 1;
		memcpy(x, call->pool + (row - 1) * call->d, call->d * sizeof(double));
	}
	h->pending[i] = false;
	lb_json_bool(item, "pending", &h->pending[i]);
	for (int t = 0; t < call->ntargets; t++)
	{
		JsonbValue *value = properties ? lb_json_find(properties, call->targets[t].name) : NULL;

		h->values[(Size) i * call->ntargets + t] =
			value && value->type == jbvNumeric ? lb_jsonvalue_double(value, call->targets[t].name) : NAN;
	}
	h->known[i] = properties != NULL;
}

static void
read_history(Call *call, Jsonb *history)
{
	LbHistory  *h = &call->history;
	JsonbIterator *it;
	JsonbValue	item;
	int			n;

	if (!JB_ROOT_IS_ARRAY(history) || JB_ROOT_IS_SCALAR(history))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("history must be an array"));
	n = JB_ROOT_COUNT(history);
	if (n > HISTORY_MOST)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("history has more than %d elements", HISTORY_MOST));
	h->x = MemoryContextAllocHuge(CurrentMemoryContext,
								  sizeof(double) * Max((Size) n * call->d, 1));
	h->values = palloc_array(double, Max((Size) n * call->ntargets, 1));
	h->row = palloc_array(int, Max(n, 1));
	h->pending = palloc_array(bool, Max(n, 1));
	h->known = palloc_array(bool, Max(n, 1));
	it = JsonbIteratorInit(&history->root);
	(void) JsonbIteratorNext(&it, &item, true);
	for (h->n = 0; JsonbIteratorNext(&it, &item, true) == WJB_ELEM; h->n++)
	{
		if (item.type != jbvBinary || !JsonContainerIsObject(item.val.binary.data))
			ereport(ERROR,
					errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("element %d of the history is no object", h->n));
		read_observation(call, h->n, item.val.binary.data);
	}
}

/* Strategy and size of the first, blind design. */
static void
read_strategy(Call *call, JsonbContainer *config)
{
	char	   *strategy = lb_json_text(config, "strategy");
	JsonbContainer *options = lb_json_object(config, "strategy_options");
	int64		initial = call->space == NULL ? 10 : Max(4, Min(2 * call->space->nparameters + 2, 50));

	call->strategy = strategy ? strategy[0] : 'b';
	if (options)
		lb_json_int64(options, "initial_candidates", &initial);
	call->initial = (int) initial;
}

/*
 * labos.suggest(config jsonb, seed bigint, iteration integer, slot integer,
 *				 n integer, history jsonb, pool float8[])
 *		returns setof (slot integer, pool_row integer, parameters jsonb,
 *					   acquisition float8, predicted jsonb, reason jsonb)
 *
 * Shapes:	history is an array of {"parameters": {…} or "row": k, and
 *			"properties": {…} or "pending": true}; pool has one row of
 *			descriptors a candidate, null with a search_space.  Fewer than n
 *			rows come when nothing is left.
 * Units:	predicted as the properties; acquisition is a natural logarithm
 * Errors:	LB601 invalid config, 22023 n, pool or history (at most 100 000
 *			elements), 2202E pool shape
 * Cost:	pool: O(rows * observations * (columns + observations)); at most 400
 *			observations enter a model
 * SQL:		immutable parallel safe, called on null input (pool, history)
 */
PG_FUNCTION_INFO_V1(labos_suggest);

Datum
labos_suggest(PG_FUNCTION_ARGS)
{
	Call		call = {0};
	Jsonb	   *config;
	JsonbContainer *targets;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < 5; i++)
		if (PG_ARGISNULL(i))
			return (Datum) 0;
	config = PG_GETARG_JSONB_P(0);
	lb_config_require(config);
	call.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	call.seed = (uint64) PG_GETARG_INT64(1);
	call.iteration = (uint32) PG_GETARG_INT32(2);
	call.slot = PG_GETARG_INT32(3);
	call.n = PG_GETARG_INT32(4);
	if (call.n < 1 || call.n > LB_MAX_BATCH)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("n must be between 1 and %d", LB_MAX_BATCH));
	targets = lb_json_object(&config->root, "target_properties");
	call.ntargets = lb_score_targets(targets, call.targets);

	if (lb_json_find(&config->root, "search_space"))
	{
		call.space = lb_space_read(&config->root);
		call.d = call.space->d;
		if (call.space->cells <= LB_MAX_ENUMERATED)
			enumerate_space(&call);
		/* No cell is admitted: nothing to propose. */
		if (call.space->cells <= LB_MAX_ENUMERATED && call.npool == 0)
			return (Datum) 0;
	}
	else
	{
		if (PG_ARGISNULL(6))
			ereport(ERROR,
					errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("a configuration without search_space needs a pool"));
		read_pool(&call, PG_GETARG_ARRAYTYPE_P(6));
		if (call.npool == 0)
			return (Datum) 0;
	}
	read_strategy(&call, &config->root);
	if (!PG_ARGISNULL(5))
		read_history(&call, PG_GETARG_JSONB_P(5));
	mark_seen(&call);
	call.made = palloc_array(double, call.n * call.d);
	propose(&call);
	return (Datum) 0;
}
