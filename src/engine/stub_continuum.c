/*-------------------------------------------------------------------------
 *
 * stub_continuum.c
 *		Stub models of the continuum: finite elements, finite volumes,
 *		boundary elements.
 *
 * Effective properties lie inside the Hashin-Shtrikman bounds of the two
 * phases; fields follow handbook formulas.  Stand-ins for tests,
 * demonstrations and chains, not predictions.
 *
 * Source: Hashin and Shtrikman (1963); plane Poiseuille flow; capacitance of
 * the sphere 4 pi eps R and of the unit cube 0.66068 * 4 pi eps.
 *
 * IDENTIFICATION
 *	  src/engine/stub_continuum.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "engine/engine.h"

#define PI 3.14159265358979324
#define VACUUM_PERMITTIVITY 8.8541878128e-12	/* F/m */
#define BOUNDARY_UM 1e-3		/* width of a grain boundary: 1 nm */

static double
larger(double a, double b)
{
	return a > b ? a : b;
}

static double
smaller(double a, double b)
{
	return a < b ? a : b;
}

/* Hashin-Shtrikman bound on a conductivity seen from phase 1; f is of phase 2. */
static double
bound_conductivity(double k1, double k2, double f)
{
	if (k1 == k2 || f == 0.0)
		return k1;
	return k1 + f / (1.0 / (k2 - k1) + (1.0 - f) / (3.0 * k1));
}

/* Somewhere near the middle of the two bounds. */
static double
mix_conductivity(Draw *draw, double k1, double k2, double f)
{
	double		from1 = bound_conductivity(k1, k2, f);
	double		from2 = bound_conductivity(k2, k1, 1.0 - f);

	return from1 + (0.45 + 0.1 * lb_draw_unit(draw)) * (from2 - from1);
}

/* Hashin-Shtrikman bounds on bulk and shear modulus seen from phase 1. */
static void
bound_moduli(double k1, double g1, double k2, double g2, double f,
			 double *k, double *g)
{
	*k = k1;
	*g = g1;
	if (f == 0.0)
		return;
	if (k1 != k2)
		*k = k1 + f / (1.0 / (k2 - k1) + 3.0 * (1.0 - f) / (3.0 * k1 + 4.0 * g1));
	if (g1 != g2)
		*g = g1 + f / (1.0 / (g2 - g1) + 6.0 * (1.0 - f) * (k1 + 2.0 * g1) /
					   (5.0 * g1 * (3.0 * k1 + 4.0 * g1)));
}

/* Young's modulus and Poisson's ratio of the mixture. */
static void
mix_moduli(EngineRun *run, double *young, double *poisson)
{
	double		e1 = lb_engine_number(run, "youngs_modulus_gpa");
	double		n1 = lb_engine_number(run, "poissons_ratio");
	double		e2 = lb_engine_number(run, "second_phase_youngs_modulus_gpa");
	double		n2 = lb_engine_number(run, "second_phase_poissons_ratio");
	double		f = lb_engine_number(run, "second_phase_fraction");
	double		k1 = e1 / (3.0 * (1.0 - 2.0 * n1));
	double		g1 = e1 / (2.0 * (1.0 + n1));
	double		k2 = e2 / (3.0 * (1.0 - 2.0 * n2));
	double		g2 = e2 / (2.0 * (1.0 + n2));
	double		weight = 0.45 + 0.1 * lb_draw_unit(&run->draw);
	double		k_from1;
	double		g_from1;
	double		k_from2;
	double		g_from2;
	double		k;
	double		g;

	bound_moduli(k1, g1, k2, g2, f, &k_from1, &g_from1);
	bound_moduli(k2, g2, k1, g1, 1.0 - f, &k_from2, &g_from2);
	k = k_from1 + weight * (k_from2 - k_from1);
	g = g_from1 + weight * (g_from2 - g_from1);
	*young = 9.0 * k * g / (3.0 * k + g);
	*poisson = (3.0 * k - 2.0 * g) / (2.0 * (3.0 * k + g));
}

static double
longest_side(const ParamValue *mesh)
{
	double		n = mesh->items[0];

	for (int i = 1; i < mesh->nitems; i++)
		n = larger(n, mesh->items[i]);
	return n;
}

/*
 * Moduli between the bounds, softened by voids (1 - p)^2 and by grain
 * boundaries (three tenths softer, 3 nm / d of the volume); the peak stress
 * rises with the contrast of the phases and at voids; displacement sL/E.
 */
void
lb_stub_fem(EngineRun *run, StringInfo out)
{
	const ParamValue *mesh = lb_engine_value(run, "mesh");
	double		order = lb_engine_number(run, "element_order");
	double		voids = lb_engine_number(run, "porosity");
	double		fraction = lb_engine_number(run, "second_phase_fraction");
	double		e1 = lb_engine_number(run, "youngs_modulus_gpa");
	double		e2 = lb_engine_number(run, "second_phase_youngs_modulus_gpa");
	double		contrast = larger(e1, e2) / smaller(e1, e2);
	double		boundary = smaller(0.5, 3.0 * BOUNDARY_UM / lb_engine_number(run, "grain_size_um"));
	double		stress = fabs(lb_engine_number(run, "applied_stress_mpa"));
	double		peak = 1.0;
	double		digits = 0.0;
	double		young;
	double		poisson;

	mix_moduli(run, &young, &poisson);
	young *= (1.0 - voids) * (1.0 - voids) * (1.0 - 0.3 * boundary);
	if (fraction > 0.0 && fraction < 1.0)
		peak += lb_draw_around(&run->draw, 0.5 * (contrast - 1.0) / (contrast + 1.0), 0.05);
	peak *= 1.0 + 1.05 * smaller(1.0, 20.0 * voids);
	/* A coarse mesh misses part of the peak. */
	peak = 1.0 + (peak - 1.0) * (1.0 - 0.5 / (order * longest_side(mesh)));
	for (double t = lb_engine_number(run, "tolerance"); t < 0.5; t *= 10.0)
		digits += 1.0;
	if (fraction == 0.0 || fraction == 1.0)
		contrast = 1.0;

	lb_put_open(out, "effective_properties");
	lb_put_number(out, "youngs_modulus_gpa", young);
	lb_put_number(out, "poissons_ratio", poisson);
	lb_put_close(out);
	lb_put_open(out, "solution_fields");
	lb_put_open(out, "stress");
	lb_put_number(out, "max_von_mises_mpa", stress * peak);
	lb_put_close(out);
	lb_put_open(out, "displacement");
	lb_put_number(out, "max_mm", lb_draw_around(&run->draw, stress *
				  lb_engine_number(run, "length_mm") / (1000.0 * young), 0.002));
	lb_put_close(out);
	lb_put_close(out);
	/* Conjugate gradients: iterations grow with side, contrast and digits. */
	lb_put_bool(out, "convergence_reached",
				0.6 * digits * order * longest_side(mesh) * sqrt(contrast) <=
				lb_engine_number(run, "max_iterations"));
}

/*
 * Conductivity between the bounds, then grain boundaries in series,
 * 1/k + R/d; plane channel flow, laminar below Re 2300.
 */
void
lb_stub_fvm(EngineRun *run, StringInfo out)
{
	double		grain = lb_engine_number(run, "grain_size_um") * 1e-6;
	double		hot = lb_engine_number(run, "hot_temperature_k");
	double		cold = lb_engine_number(run, "cold_temperature_k");
	double		velocity = lb_engine_number(run, "inlet_velocity_m_s");
	double		viscosity = lb_engine_number(run, "dynamic_viscosity_pa_s");
	double		height = lb_engine_number(run, "channel_height_m");
	double		length = lb_engine_number(run, "length_m");
	double		fraction = lb_engine_number(run, "second_phase_fraction");
	double		diffusivity = lb_engine_number(run, "species_diffusivity_m2_s");
	double		reynolds = lb_engine_number(run, "density_kg_m3") * velocity * height / viscosity;
	bool		laminar = reynolds < 2300.0;
	double		conductivity;

	conductivity = mix_conductivity(&run->draw, lb_engine_number(run, "conductivity_w_mk"),
									lb_engine_number(run, "second_phase_conductivity_w_mk"),
									fraction);
	conductivity = 1.0 / (1.0 / conductivity +
						  lb_engine_number(run, "kapitza_resistance_m2k_w") / grain);

	lb_put_open(out, "effective_properties");
	lb_put_number(out, "thermal_conductivity_w_mk", conductivity);
	/* The second phase blocks the solute: Maxwell's obstruction. */
	lb_put_number(out, "diffusivity_m2_s",
				  diffusivity * 2.0 * (1.0 - fraction) / (2.0 + fraction));
	lb_put_close(out);
	lb_put_open(out, "solution_fields");
	lb_put_open(out, "velocity");
	lb_put_number(out, "max_m_s",
				  lb_draw_around(&run->draw, velocity * (laminar ? 1.5 : 1.2), 0.005));
	lb_put_number(out, "mean_m_s", velocity);
	lb_put_close(out);
	lb_put_open(out, "pressure");
	lb_put_number(out, "drop_pa", (laminar ? 1.0 : reynolds / 2300.0) * 12.0 *
				  viscosity * velocity * length / (height * height));
	lb_put_close(out);
	lb_put_open(out, "temperature");
	lb_put_number(out, "min_k", cold);
	lb_put_number(out, "max_k", hot);
	lb_put_close(out);
	lb_put_open(out, "heat_flux");
	lb_put_number(out, "mean_w_m2", conductivity * (hot - cold) / length);
	lb_put_close(out);
	lb_put_close(out);
	lb_put_bool(out, "convergence_reached", laminar);
}

/*
 * Capacitance approached from below as panels grow; traction is the Maxwell
 * stress eps E^2 / 2, peaked at the edges of a cube and by surface relief.
 */
void
lb_stub_bem(EngineRun *run, StringInfo out)
{
	bool		sphere = lb_engine_number(run, "shape") == 0.0;
	double		size = lb_engine_number(run, "size_m");
	double		panels = lb_engine_number(run, "panels");
	double		potential = lb_engine_number(run, "potential_v");
	double		relief = 0.1e-6 * lb_engine_number(run, "grain_size_um") / size;
	double		missing = lb_draw_around(&run->draw, (sphere ? 1.5 : 4.8) / panels, 0.1);
	double		area = sphere ? 4.0 * PI * size * size : 6.0 * size * size;
	double		epsilon;
	double		permittivity;
	double		capacitance;
	double		field;
	double		mean;
	double		peak;
	double		average;

	epsilon = mix_conductivity(&run->draw, lb_engine_number(run, "relative_permittivity"),
							   lb_engine_number(run, "second_phase_permittivity"),
							   lb_engine_number(run, "second_phase_fraction"));
	epsilon = bound_conductivity(epsilon, 1.0, lb_engine_number(run, "porosity"));
	permittivity = VACUUM_PERMITTIVITY * epsilon;
	capacitance = 4.0 * PI * permittivity * size * (sphere ? 1.0 : 0.66068) * (1.0 - missing);
	field = capacitance * potential / (permittivity * area);
	mean = permittivity * field * field / 2.0;
	peak = sphere ? 1.0 : lb_stable_cbrt(panels / 6.0);
	peak *= 1.0 + 2.0 * smaller(1.0, relief);
	average = potential * (1.0 - 0.1 * lb_draw_unit(&run->draw) / panels);

	lb_put_open(out, "effective_properties");
	lb_put_number(out, "capacitance_pf", capacitance * 1e12);
	lb_put_number(out, "relative_permittivity", epsilon);
	lb_put_close(out);
	lb_put_open(out, "solution_fields");
	lb_put_open(out, "potential");
	lb_put_number(out, "max_v", larger(potential, average));
	lb_put_number(out, "mean_v", average);
	lb_put_close(out);
	lb_put_open(out, "traction");
	lb_put_number(out, "max_pa", mean * peak);
	lb_put_number(out, "mean_pa", mean);
	lb_put_close(out);
	lb_put_close(out);
	lb_put_bool(out, "convergence_reached", missing < 0.01);
}

void
lb_extent_mesh(const EngineRun *run, StringInfo out)
{
	const ParamValue *mesh = lb_engine_value(run, "mesh");
	double		elements = 1.0;
	double		nodes = 1.0;

	for (int i = 0; i < mesh->nitems; i++)
	{
		elements *= mesh->items[i];
		nodes *= mesh->items[i] + 1.0;
	}
	lb_put_open(out, "mesh_info");
	lb_put_integer(out, "dimensions", mesh->nitems);
	lb_put_integer(out, "elements", (int64) elements);
	lb_put_integer(out, "nodes", (int64) nodes);
	lb_put_close(out);
}

void
lb_extent_panels(const EngineRun *run, StringInfo out)
{
	lb_put_open(out, "mesh_info");
	lb_put_integer(out, "dimensions", 2);
	lb_put_integer(out, "elements", (int64) lb_engine_number(run, "panels"));
	lb_put_close(out);
}
