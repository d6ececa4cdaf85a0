/*-------------------------------------------------------------------------
 *
 * acquire.c
 *		How promising a point is, from models of what was observed.
 *
 * Three rules, described in suggest.c.  All work with logarithms, so that they
 * still rank candidates where every probability is below the smallest double.
 *
 * IDENTIFICATION
 *	  src/campaign/acquire.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "campaign/acquire.h"
#include "compat.h"
#include "core/json.h"
#include "miscadmin.h"
#include "numeric/special.h"
#include "utils/json.h"

#define MODEL_ROWS	400			/* observations that enter a model */
#define MODEL_LEAST	2
#define MODEL_PENDING 400	/* the newest pending ones that are believed */

/* Rows with a value of this target, the newest MODEL_ROWS and never the best left out. */
static int
collect(const LbHistory *h, const double *value, int d, double *x, double *y)
{
	int			n = 0;
	int			total = 0;
	int			skip;
	int			best = -1;

	for (int i = 0; i < h->n; i++)
		if (isfinite(value[i]))
		{
			total++;
			if (best < 0 || value[i] > value[best])
				best = i;
		}
	skip = Max(0, total - MODEL_ROWS);
	for (int i = 0; i < h->n; i++)
	{
		if (!isfinite(value[i]) || (skip > 0 && i != best && skip-- > 0))
			continue;
		if (n == MODEL_ROWS)
			break;
		memcpy(x + (Size) n * d, h->x + (Size) i * d, d * sizeof(double));
		y[n++] = value[i];
	}
	return n;
}

/* Fit the model of one quantity; false when too little is known. */
static bool
add_model(LbModel *model, const LbHistory *h, const double *value, const char *name,
		  double sign, int more, bool warp)
{
	double	   *x = palloc_array(double, MODEL_ROWS * model->d);
	double	   *y = palloc_array(double, MODEL_ROWS);
	int			n = collect(h, value, model->d, x, y);
	LbGp	   *gp;

	if (n < MODEL_LEAST)
		return false;
	gp = lb_gp_fit(x, y, n, model->d, more, warp);
	model->gp[model->ngps] = gp;
	model->observed = model->ngps == 0 ? n : Min(model->observed, n);
	model->name[model->ngps] = name;
	model->sign[model->ngps++] = sign;
	pfree(x);
	pfree(y);
	return true;
}

/* Distance of a warped value from the first window. */
static double
outside(const LbModel *model, double y)
{
	return y < model->low[0] ? model->low[0] - y
		: y > model->high[0] ? y - model->high[0] : 0.0;
}

/* Where the best value of the first model stands. */
static void
find_incumbent(LbModel *model)
{
	LbGp	   *gp = model->gp[0];
	int			best = 0;

	for (int i = 1; i < gp->n; i++)
		if (model->window ? outside(model, gp->y[i]) < outside(model, gp->y[best])
			: gp->y[i] > gp->y[best])
			best = i;
	model->incumbent = gp->y[best];
	model->best = gp->x + (Size) best * model->d;
}

/* The score of each known row; a property that is missing counts 0. */
static void
score_rows(const LbHistory *h, const LbTarget *targets, int ntargets, double *out)
{
	for (int i = 0; i < h->n; i++)
	{
		out[i] = h->known[i] ? 0.0 : NAN;
		for (int t = 0; t < ntargets && h->known[i]; t++)
		{
			double		value = h->values[(Size) i * ntargets + t];

			if (isfinite(value))
				out[i] += targets[t].weight * lb_score_part(&targets[t], value);
		}
	}
}

static bool
model_windows(LbModel *model, const LbHistory *h, const LbTarget *targets,
			  int ntargets, int more, double *value)
{
	model->rule = "target_probability";
	model->window = true;
	for (int t = 0; t < ntargets; t++)
	{
		for (int i = 0; i < h->n; i++)
			value[i] = h->values[(Size) i * ntargets + t];
		if (!add_model(model, h, value, targets[t].name, 1.0, more, false))
			return false;
		model->low[t] = lb_gp_warp(model->gp[t], targets[t].low);
		model->high[t] = lb_gp_warp(model->gp[t], targets[t].high);
	}
	return true;
}

LbModel *
lb_acquire_model(const LbHistory *h, const LbTarget *targets, int ntargets, int d, int more)
{
	LbModel    *model = palloc0_object(LbModel);
	double	   *value = palloc_array(double, Max(h->n, 1));
	int			windows = 0;
	int			pending = 0;
	int			skip;
	bool		fitted;

	model->d = d;
	for (int t = 0; t < ntargets; t++)
		windows += targets[t].kind == LB_TARGET_WINDOW;
	for (int i = 0; i < h->n; i++)
		pending += h->pending[i];
	skip = Max(0, pending - MODEL_PENDING);
	more += pending - skip;

	if (windows == ntargets)
		fitted = model_windows(model, h, targets, ntargets, more, value);
	else if (ntargets == 1)
	{
		double		sign = targets[0].kind == LB_TARGET_MINIMIZE ? -1.0 : 1.0;

		model->rule = "property_improvement";
		for (int i = 0; i < h->n; i++)
			value[i] = sign * h->values[i];
		fitted = add_model(model, h, value, targets[0].name, sign, more, true);
	}
	else
	{
		model->rule = "score_improvement";
		score_rows(h, targets, ntargets, value);
		fitted = add_model(model, h, value, "score", 1.0, more, false);
	}
	pfree(value);
	if (!fitted)
		return NULL;
	model->work = palloc_array(double, 4 * (MODEL_ROWS + more) + 2 * d);
	find_incumbent(model);
	for (int i = 0; i < h->n; i++)
		if (h->pending[i] && skip-- <= 0)
			lb_acquire_believe(model, h->x + (Size) i * d);
	return model;
}

double
lb_acquire_value(const LbModel *model, const double *u)
{
	double		sum = 0.0;
	double		mean,
				sd;

	for (int g = 0; g < model->ngps; g++)
	{
		const LbGp *gp = model->gp[g];

		lb_gp_predict(gp, u, model->work, model->work + gp->n, &mean, &sd);
		if (model->window)
			sum += lb_normal_log_interval((model->low[g] - mean) / sd, (model->high[g] - mean) / sd);
		else
			sum += lb_log(sd) + lb_normal_log_ei((mean - model->incumbent) / sd);
	}
	return sum;
}

/* phi(z) / exp(log_p), without leaving the range of doubles */
static double
density_over(double z, double log_p)
{
	return isinf(z) ? 0.0 : lb_exp(-0.5 * z * z - log_p) / LB_SQRT2PI;
}

double
lb_acquire_gradient(const LbModel *model, const double *u, double *gradient)
{
	double		sum = 0.0;
	int			d = model->d;

	memset(gradient, 0, d * sizeof(double));
	for (int g = 0; g < model->ngps; g++)
	{
		const LbGp *gp = model->gp[g];
		double	   *work = model->work;
		double	   *mean_grad = work + 3 * gp->n;
		double	   *sd_grad = mean_grad + d;
		double		mean,
					sd,
					value,
					by_mean,
					by_sd;

		lb_gp_predict_gradient(gp, u, work, work + gp->n, work + 2 * gp->n, &mean, &sd,
							   mean_grad, sd_grad);
		if (model->window)
		{
			double		a = (model->low[g] - mean) / sd;
			double		b = (model->high[g] - mean) / sd;
			double		at_a,
						at_b;

			value = lb_normal_log_interval(a, b);
			at_a = density_over(a, value);
			at_b = density_over(b, value);
			by_mean = (at_a - at_b) / sd;
			by_sd = ((isinf(a) ? 0.0 : a * at_a) - (isinf(b) ? 0.0 : b * at_b)) / sd;
		}
		else
		{
			double		z = (mean - model->incumbent) / sd;
			double		log_h = lb_normal_log_ei(z);
			double		ratio = lb_exp(lb_normal_log_cdf(z) - log_h);

			value = lb_log(sd) + log_h;
			by_mean = ratio / sd;
			by_sd = (1.0 - z * ratio) / sd;
		}
		sum += value;
		for (int k = 0; k < d; k++)
			gradient[k] += by_mean * mean_grad[k] + by_sd * sd_grad[k];
	}
	return sum;
}

void
lb_acquire_believe(LbModel *model, const double *u)
{
	double		mean,
				sd;

	for (int g = 0; g < model->ngps; g++)
	{
		CHECK_FOR_INTERRUPTS();
		lb_gp_predict(model->gp[g], u, model->work, model->work + model->gp[g]->n, &mean, &sd);
		lb_gp_append(model->gp[g], u, mean);
	}
}

void
lb_acquire_predicted(const LbModel *model, const double *u, StringInfo out)
{
	appendStringInfoChar(out, '{');
	for (int g = 0; g < model->ngps; g++)
	{
		const LbGp *gp = model->gp[g];
		double		mean,
					sd;

		lb_gp_predict(gp, u, model->work, model->work + gp->n, &mean, &sd);
		if (g > 0)
			appendStringInfoString(out, ", ");
		escape_json(out, model->name[g]);
		appendStringInfoString(out, ": {\"mean\": ");
		lb_json_number(out, model->sign[g] * lb_gp_unwarp(gp, mean));
		appendStringInfoString(out, ", \"sd\": ");
		lb_json_number(out, 0.5 * (lb_gp_unwarp(gp, mean + sd) - lb_gp_unwarp(gp, mean - sd)));
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, '}');
}

void
lb_acquire_explain(const LbModel *model, const double *u, double log_acquisition,
				   StringInfo out)
{
	const LbGp *gp = model->gp[0];
	int			top[3] = {-1, -1, -1};
	double		probability = lb_exp(log_acquisition);

	if (!model->window)
	{
		double		mean,
					sd;

		lb_gp_predict(gp, u, model->work, model->work + gp->n, &mean, &sd);
		probability = lb_normal_cdf((mean - model->incumbent) / sd);
	}
	appendStringInfoString(out, ", \"probability\": ");
	lb_json_number(out, Min(probability, 1.0));
	appendStringInfo(out, ", \"observations\": %d", model->observed);

	/* Short lengths matter most. */
	for (int k = 0; k < model->d; k++)
		for (int place = 0; place < 3; place++)
			if (top[place] < 0 || gp->weight[k] > gp->weight[top[place]])
			{
				for (int below = 2; below > place; below--)
					top[below] = top[below - 1];
				top[place] = k;
				break;
			}
	appendStringInfoString(out, ", \"coordinates\": [");
	for (int place = 0; place < 3 && top[place] >= 0; place++)
		appendStringInfo(out, "%s%d", place ? ", " : "", top[place] + 1);
	appendStringInfoChar(out, ']');
}
