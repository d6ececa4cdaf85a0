/*-------------------------------------------------------------------------
 *
 * stub_meso.c
 *		Stub models of the mesoscale: phase field, Potts, kinetic Monte Carlo.
 *
 * Closed formulas that answer every parameter in the right direction, with a
 * few per cent of seeded scatter where a simulation would have some.  They
 * are stand-ins for tests, demonstrations and chains, not predictions.
 *
 * Source: parabolic grain growth (Burke and Turnbull 1952); miscibility gap of
 * the Landau double well; vacancy diffusion D = f z a^2 v c / 2d with the
 * tracer correlation factors of Compaan and Haven (1956).
 *
 * IDENTIFICATION
 *	  src/engine/stub_meso.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "core/json.h"
#include "engine/engine.h"

#define BOLTZMANN_EV_K 8.617333262e-5
#define PI 3.14159265358979324

/* The shortest edge of a grid, in its unit. */
static double
shortest_edge(const ParamValue *grid, double spacing)
{
	double		edge = grid->items[0];

	for (int i = 1; i < grid->nitems; i++)
		if (grid->items[i] < edge)
			edge = grid->items[i];
	return edge * spacing;
}

static double
cell_count(const ParamValue *grid)
{
	double		cells = 1.0;

	for (int i = 0; i < grid->nitems; i++)
		cells *= grid->items[i];
	return cells;
}

/* Diameter of n equal circles (2D) or spheres (3D) that fill the grid. */
static double
grain_size(const ParamValue *grid, double spacing, double n)
{
	double		cells = cell_count(grid) / n;

	if (grid->nitems == 2)
		return spacing * sqrt(4.0 * cells / PI);
	return spacing * lb_stable_cbrt(6.0 * cells / PI);
}

/* The inverse: how many grains of size d fill the grid; at least one. */
static double
grain_count(const ParamValue *grid, double spacing, double d)
{
	double		ratio = d / spacing;
	double		n = grid->nitems == 2
		? 4.0 * cell_count(grid) / (PI * ratio * ratio)
		: 6.0 * cell_count(grid) / (PI * ratio * ratio * ratio);

	return n < 1.0 ? 1.0 : floor(n + 0.5);
}

/* Volume fraction of the B-rich phase by the lever rule. */
static double
lever_rule(double composition, double temperature, double critical)
{
	double		half;
	double		fraction;

	if (temperature >= critical)
		return 0.0;				/* one phase, called alpha */
	half = 0.5 * sqrt(1.0 - temperature / critical);
	fraction = (composition - (0.5 - half)) / (2.0 * half);
	return fraction < 0.0 ? 0.0 : fraction > 1.0 ? 1.0 : fraction;
}

/*
 * d^2 = d0^2 + 4 M gamma t with M = M0 exp(-Ea / kT), stopped by the domain;
 * boundary density 2 / d; phases by the lever rule, alpha + beta = 1 exactly.
 */
void
lb_stub_phase_field(EngineRun *run, StringInfo out)
{
	const ParamValue *grid = lb_engine_value(run, "grid");
	double		spacing = lb_engine_number(run, "spacing_um");
	double		temperature = lb_engine_number(run, "temperature_k");
	double		barrier = lb_engine_number(run, "activation_energy_ev");
	double		mobility = lb_engine_number(run, "mobility_prefactor_m4_js") *
		lb_stable_exp(-barrier / (BOLTZMANN_EV_K * temperature));
	double		seconds = lb_engine_number(run, "timesteps") *
		lb_engine_number(run, "timestep_s");
	double		start = grain_size(grid, spacing, lb_engine_number(run, "initial_grains"));
	double		edge = shortest_edge(grid, spacing);
	double		growth = lb_draw_around(&run->draw,
										4.0e12 * mobility * seconds *
										lb_engine_number(run, "interface_energy_j_m2"),
										0.05);
	double		size = sqrt(start * start + growth);
	double		before = sqrt(start * start + 0.9 * growth);
	double		beta = lever_rule(lb_engine_number(run, "composition"), temperature,
								  lb_engine_number(run, "critical_temperature_k"));

	if (start > edge)
		start = edge;
	if (size > edge)
		size = edge;
	if (before > edge)
		before = edge;
	/* Scatter that keeps a single phase single. */
	beta += 0.04 * beta * (1.0 - beta) * (lb_draw_unit(&run->draw) - 0.5);
	beta = floor(beta * 1e6 + 0.5);

	lb_put_open(out, "microstructure_metrics");
	lb_put_integer(out, "n_grains", (int64) grain_count(grid, spacing, size));
	lb_put_number(out, "mean_grain_size_um", size);
	lb_put_open(out, "phase_fractions");
	lb_put_number(out, "alpha", (1e6 - beta) / 1e6);
	lb_put_number(out, "beta", beta / 1e6);
	lb_put_close(out);
	lb_put_number(out, "grain_boundary_density", 2.0 / size);
	lb_put_close(out);
	lb_put_integer(out, "timesteps", (int64) lb_engine_number(run, "timesteps"));
	lb_put_bool(out, "convergence_reached",
				size - before <= lb_engine_number(run, "convergence_tolerance") * size);
}

/*
 * Shares of grains in ten classes of d / <d> from 0 to 2.5, in thousandths:
 * the shape of self-similar normal growth, unimodal, skewed to the right.
 */
static const int size_shares[10] = {18, 62, 128, 182, 200, 173, 122, 70, 32, 13};

/* Spread n grains over the classes; what rounding leaves goes to the mode. */
static void
put_histogram(Draw *draw, StringInfo out, double mean, double n)
{
	double		counts[10];
	double		left = n;

	for (int i = 0; i < 10; i++)
	{
		counts[i] = floor(lb_draw_around(draw, n * size_shares[i] / 1000.0, 0.1));
		if (i == 4)
			counts[i] = 0.0;
		left -= counts[i];
	}
	counts[4] = left;
	lb_put_key(out, "edges_um");
	for (int i = 0; i <= 10; i++)
	{
		appendStringInfoString(out, i == 0 ? "[" : ", ");
		lb_json_number(out, lb_stable_round(mean * i * 0.25));
	}
	appendStringInfoChar(out, ']');
	lb_put_key(out, "counts");
	for (int i = 0; i < 10; i++)
		appendStringInfo(out, "%s%.0f", i == 0 ? "[" : ", ", counts[i]);
	appendStringInfoChar(out, ']');
}

/*
 * d^2 = (2a)^2 + 0.8 f a^2 MCS, where f rises from 0.25 (a cold lattice pins)
 * to 1; above kT/J = 1.2 the lattice begins to disorder and f falls.
 */
void
lb_stub_monte_carlo(EngineRun *run, StringInfo out)
{
	const ParamValue *grid = lb_engine_value(run, "grid");
	double		spacing = lb_engine_number(run, "spacing_um");
	double		steps = lb_engine_number(run, "timesteps");
	double		heat = lb_engine_number(run, "reduced_temperature");
	double		q = lb_engine_number(run, "q_states");
	double		factor = heat < 0.5 ? 0.25 + 1.5 * heat :
		heat < 1.2 ? 1.0 : 1.0 - 0.9 * (heat - 1.2) / 0.8;
	double		edge = shortest_edge(grid, spacing);
	/* Few orientations meet their like more often and coalesce. */
	double		growth = lb_draw_around(&run->draw, 0.8 * factor * spacing * spacing *
										steps * q / (q - 1.0), 0.04);
	double		size = sqrt(4.0 * spacing * spacing + growth);
	double		before = sqrt(4.0 * spacing * spacing + 0.9 * growth);
	double		n;
	double		oriented;
	double		index;

	if (size > edge)
		size = edge;
	if (before > edge)
		before = edge;
	n = grain_count(grid, spacing, size);
	oriented = n < q ? n : q;
	index = 1.0 + lb_draw_around(&run->draw, 5.0 / oriented, 0.2);

	lb_put_open(out, "grain_size_distribution");
	lb_put_integer(out, "n_grains", (int64) n);
	lb_put_number(out, "mean_um", size);
	lb_put_number(out, "median_um", lb_draw_around(&run->draw, 0.97 * size, 0.01));
	/* A single grain has no spread. */
	lb_put_number(out, "std_um",
				  lb_draw_around(&run->draw, 0.46 * size * (n - 1.0) / n, 0.05));
	put_histogram(&run->draw, out, size, n);
	lb_put_close(out);
	lb_put_open(out, "texture_metrics");
	lb_put_integer(out, "orientations", (int64) oriented);
	lb_put_number(out, "texture_index", index);
	lb_put_number(out, "max_intensity_mrd", 1.0 + 3.0 * (index - 1.0));
	lb_put_close(out);
	lb_put_number(out, "elapsed_time_s", growth * 1e-12 /
				  (4.0 * lb_engine_number(run, "mobility_m4_js") *
				   lb_engine_number(run, "interface_energy_j_m2")));
	lb_put_integer(out, "timesteps", (int64) steps);
	lb_put_bool(out, "convergence_reached",
				size - before <= lb_engine_number(run, "convergence_tolerance") * size);
}

/* Neighbours, dimension and tracer correlation factor of SQUARE, SC, BCC, FCC. */
static const struct
{
	double		neighbours;
	double		dimension;
	double		correlation;
}			lattices[] = {{4, 2, 0.46694}, {6, 3, 0.65311}, {8, 3, 0.72719}, {12, 3, 0.78145}};

/*
 * Jump rate v exp(-Ea / kT), D = f z a^2 rate c / 2d; the clock advances by
 * 1 / (vacancies * z * rate) an event; scatter falls as 1 / sqrt(events).
 */
void
lb_stub_kmc(EngineRun *run, StringInfo out)
{
	const ParamValue *grid = lb_engine_value(run, "grid");
	int			lattice = (int) lb_engine_number(run, "lattice");
	double		events = lb_engine_number(run, "events");
	double		vacant = lb_engine_number(run, "vacancy_fraction");
	double		jump = lb_engine_number(run, "jump_distance_angstrom") * 1e-10;
	double		rate = lb_engine_number(run, "attempt_frequency_hz") *
		lb_stable_exp(-lb_engine_number(run, "activation_energy_ev") /
					  (BOLTZMANN_EV_K * lb_engine_number(run, "temperature_k")));
	double		neighbours = lattices[lattice].neighbours;
	double		dimension = lattices[lattice].dimension;
	double		scatter = 1.0 / sqrt(events + 3.0);
	double		vacancies = floor(cell_count(grid) * vacant + 0.5);
	double		correlation;
	double		diffusion;
	double		elapsed;

	if (vacancies < 1.0)
		vacancies = 1.0;
	/* Many vacancies forget where they came from: f goes to 1. */
	correlation = lattices[lattice].correlation;
	correlation += (1.0 - correlation) * vacant;
	correlation *= 1.0 - 0.5 * scatter * lb_draw_unit(&run->draw);
	diffusion = correlation * neighbours * jump * jump * rate * vacant / (2.0 * dimension);
	elapsed = lb_draw_around(&run->draw, events / (vacancies * neighbours * rate), scatter);

	lb_put_integer(out, "events", (int64) events);
	lb_put_number(out, "diffusion_coefficient_m2_s", diffusion);
	lb_put_number(out, "jump_rate_hz", rate);
	lb_put_number(out, "correlation_factor", correlation);
	lb_put_number(out, "vacancy_fraction", vacant);
	lb_put_number(out, "simulated_time_s", elapsed);
	lb_put_number(out, "mean_square_displacement_nm2",
				  2e18 * dimension * diffusion * elapsed);
	lb_put_integer(out, "timesteps", (int64) events);
	lb_put_bool(out, "convergence_reached", events >= 10000.0);
}

static void
put_extent(const ParamValue *grid, double spacing, const char *const *names, StringInfo out)
{
	lb_put_open(out, "domain_size");
	for (int i = 0; i < grid->nitems; i++)
		lb_put_number(out, names[i], grid->items[i] * spacing);
	lb_put_integer(out, "cells", (int64) cell_count(grid));
	lb_put_close(out);
}

void
lb_extent_grid(const EngineRun *run, StringInfo out)
{
	static const char *const names[] = {"x_um", "y_um", "z_um"};

	put_extent(lb_engine_value(run, "grid"), lb_engine_number(run, "spacing_um"), names, out);
}

void
lb_extent_sites(const EngineRun *run, StringInfo out)
{
	static const char *const names[] = {"x_um", "y_um", "z_um"};

	put_extent(lb_engine_value(run, "grid"),
			   lb_engine_number(run, "jump_distance_angstrom") * 1e-4, names, out);
}
