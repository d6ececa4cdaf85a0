/*-------------------------------------------------------------------------
 *
 * registry.c
 *		Which engines there are, what they take and what they give.
 *
 * A table and nothing else: labos.engines() prints it, params.c checks against
 * it, docs/simulation.md explains it.  An engine's version changes whenever any
 * byte of any result does, so that stored provenance stays true.
 *
 * IDENTIFICATION
 *	  src/engine/registry.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "engine/engine.h"

#define NUMBER(name, unit, initial, min, max, title) \
	{name, PARAM_NUMBER, unit, initial, min, max, 0, NULL, title}
#define INTEGER(name, unit, initial, min, max, title) \
	{name, PARAM_INTEGER, unit, initial, min, max, 0, NULL, title}
#define INTEGERS(name, unit, initial, min, max, min_items, title) \
	{name, PARAM_INTEGERS, unit, initial, min, max, min_items, NULL, title}
#define CHOICE(name, initial, choices, title) \
	{name, PARAM_CHOICE, "1", "\"" initial "\"", 0, 0, 0, choices, title}

static const ParamSpec atomic_params[] = {
	{"formula", PARAM_FORMULA, "1", "\"Si\"", 0, 0, 0, NULL,
	"Chemical formula of the cell"},
	INTEGER("n_atoms", "1", "2", 1, 10000, "Atoms in the cell"),
	CHOICE("functional", "PBE", "LDA,PBE,SCAN,HSE06",
		   "Exchange-correlation functional"),
	NUMBER("cutoff_ev", "eV", "500", 100, 2000, "Plane-wave cutoff"),
	INTEGERS("k_points", "1", "[4, 4, 4]", 1, 64, 3, "Reciprocal mesh"),
	{"relax", PARAM_BOOLEAN, "1", "true", 0, 1, 0, NULL,
	"Relax the ions before reporting forces"},
};

static const ParamSpec phase_field_params[] = {
	INTEGERS("grid", "cells", "[128, 128]", 4, 1024, 2, "Cells along x, y (and z)"),
	NUMBER("spacing_um", "um", "0.5", 1e-4, 1000, "Edge of a cell"),
	INTEGER("timesteps", "1", "1000", 1, 1e7, "Time steps"),
	NUMBER("timestep_s", "s", "1", 1e-12, 1e6, "Length of a time step"),
	NUMBER("temperature_k", "K", "1000", 200, 5000, "Temperature"),
	NUMBER("composition", "mole fraction", "0.3", 0, 1, "Mean content of component B"),
	NUMBER("critical_temperature_k", "K", "2000", 200, 10000,
		   "Top of the miscibility gap; above it there is one phase"),
	INTEGER("initial_grains", "1", "200", 1, 1e6, "Grains at time zero"),
	NUMBER("interface_energy_j_m2", "J/m2", "0.5", 1e-3, 10, "Grain-boundary energy"),
	NUMBER("mobility_prefactor_m4_js", "m4/(J s)", "2e-6", 1e-20, 1e-2,
		   "Boundary mobility at infinite temperature"),
	NUMBER("activation_energy_ev", "eV", "1.5", 0.01, 4, "Barrier of the mobility"),
	NUMBER("convergence_tolerance", "1", "0.05", 1e-6, 0.5,
		   "Converged when the last tenth of the steps grows the grains by less"),
};

static const ParamSpec monte_carlo_params[] = {
	INTEGERS("grid", "sites", "[256, 256]", 4, 1024, 2, "Sites along x, y (and z)"),
	NUMBER("spacing_um", "um", "0.5", 1e-4, 1000, "Distance of neighbouring sites"),
	INTEGER("timesteps", "Monte Carlo steps", "1000", 1, 1e7,
			"Monte Carlo steps per site"),
	INTEGER("q_states", "1", "100", 2, 1e6, "Number of orientations"),
	NUMBER("reduced_temperature", "kT/J", "0.5", 0, 2, "Temperature in bond energies"),
	NUMBER("interface_energy_j_m2", "J/m2", "0.5", 1e-3, 10, "Grain-boundary energy"),
	NUMBER("mobility_m4_js", "m4/(J s)", "1e-14", 1e-30, 1e-2,
		   "Boundary mobility; scales elapsed_time_s only"),
	NUMBER("convergence_tolerance", "1", "0.06", 1e-6, 0.5,
		   "Converged when the last tenth of the steps grows the grains by less"),
};

static const ParamSpec kmc_params[] = {
	INTEGERS("grid", "sites", "[32, 32, 32]", 4, 1024, 2, "Sites along x, y (and z)"),
	CHOICE("lattice", "FCC", "SQUARE,SC,BCC,FCC", "Lattice the vacancies walk on"),
	INTEGER("events", "1", "100000", 1, 1e9, "Jumps to execute"),
	NUMBER("temperature_k", "K", "1000", 200, 5000, "Temperature"),
	NUMBER("activation_energy_ev", "eV", "0.8", 0.01, 4, "Barrier of a jump"),
	NUMBER("attempt_frequency_hz", "Hz", "1e13", 1e10, 1e15, "Attempts a second"),
	NUMBER("jump_distance_angstrom", "angstrom", "2.5", 0.5, 50, "Length of a jump"),
	NUMBER("vacancy_fraction", "site fraction", "1e-4", 1e-9, 0.5, "Vacant sites"),
};

static const ParamSpec fem_params[] = {
	INTEGERS("mesh", "elements", "[16, 16, 16]", 1, 512, 2, "Elements along x, y (and z)"),
	INTEGER("element_order", "1", "1", 1, 2, "Polynomial order of the elements"),
	NUMBER("length_mm", "mm", "100", 1e-6, 1e6, "Length along the load"),
	NUMBER("applied_stress_mpa", "MPa", "100", -1e5, 1e5, "Uniaxial load"),
	NUMBER("youngs_modulus_gpa", "GPa", "210", 1e-3, 1500, "Matrix stiffness"),
	NUMBER("poissons_ratio", "1", "0.3", -0.9, 0.49, "Matrix Poisson's ratio"),
	NUMBER("second_phase_youngs_modulus_gpa", "GPa", "400", 1e-3, 1500,
		   "Stiffness of the second phase"),
	NUMBER("second_phase_poissons_ratio", "1", "0.2", -0.9, 0.49,
		   "Poisson's ratio of the second phase"),
	NUMBER("second_phase_fraction", "volume fraction", "0", 0, 1,
		   "Share of the second phase"),
	NUMBER("grain_size_um", "um", "10", 1e-5, 1e7, "Mean grain size"),
	NUMBER("porosity", "volume fraction", "0", 0, 0.5, "Share of voids"),
	NUMBER("tolerance", "1", "1e-8", 1e-14, 1e-2, "Relative residual to reach"),
	INTEGER("max_iterations", "1", "5000", 1, 1e6, "Iterations allowed"),
};

static const ParamSpec fvm_params[] = {
	INTEGERS("mesh", "cells", "[64, 64]", 1, 512, 2, "Cells along x, y (and z)"),
	NUMBER("length_m", "m", "0.1", 1e-6, 1e4, "Length of the channel"),
	NUMBER("channel_height_m", "m", "0.01", 1e-7, 1e3, "Height of the channel"),
	NUMBER("conductivity_w_mk", "W/(m K)", "50", 1e-3, 5000, "Matrix conductivity"),
	NUMBER("second_phase_conductivity_w_mk", "W/(m K)", "5", 1e-3, 5000,
		   "Conductivity of the second phase"),
	NUMBER("second_phase_fraction", "volume fraction", "0", 0, 1,
		   "Share of the second phase"),
	NUMBER("grain_size_um", "um", "10", 1e-5, 1e7, "Mean grain size"),
	NUMBER("kapitza_resistance_m2k_w", "m2 K/W", "1e-9", 0, 1e-5,
		   "Thermal resistance of a grain boundary"),
	NUMBER("hot_temperature_k", "K", "400", 1, 10000, "Hot wall"),
	NUMBER("cold_temperature_k", "K", "300", 1, 10000, "Cold wall"),
	NUMBER("inlet_velocity_m_s", "m/s", "0.01", 0, 1000, "Mean velocity at the inlet"),
	NUMBER("dynamic_viscosity_pa_s", "Pa s", "0.001", 1e-7, 1e6, "Viscosity"),
	NUMBER("density_kg_m3", "kg/m3", "1000", 0.01, 30000, "Density of the fluid"),
	NUMBER("species_diffusivity_m2_s", "m2/s", "1e-9", 0, 1, "Diffusivity of the solute"),
};

static const ParamSpec bem_params[] = {
	CHOICE("shape", "SPHERE", "SPHERE,CUBE", "Shape of the body"),
	NUMBER("size_m", "m", "0.1", 1e-9, 1e6, "Radius of the sphere, edge of the cube"),
	INTEGER("panels", "1", "600", 12, 100000, "Boundary panels"),
	NUMBER("potential_v", "V", "1000", -1e7, 1e7, "Potential of the body"),
	NUMBER("relative_permittivity", "1", "1", 1, 1e5, "Of the surrounding matrix"),
	NUMBER("second_phase_permittivity", "1", "1", 1, 1e5, "Of the second phase"),
	NUMBER("second_phase_fraction", "volume fraction", "0", 0, 1,
		   "Share of the second phase"),
	NUMBER("porosity", "volume fraction", "0", 0, 0.5, "Share of voids"),
	NUMBER("grain_size_um", "um", "10", 1e-5, 1e7,
		   "Mean grain size; a tenth of it roughens the surface"),
};

const Engine lb_engines[] = {
	{"atomic", "ATOMIC", "DFT,AB_INITIO", "1.0", "Electronic structure of one cell",
		atomic_params, lengthof(atomic_params),
		"{\"energy\": {\"total_ev\": \"eV\", \"per_atom_ev\": \"eV\", \"formation_ev_per_atom\": \"eV\"},"
		" \"forces\": {\"max_ev_angstrom\": \"eV/angstrom\", \"rms_ev_angstrom\": \"eV/angstrom\"},"
		" \"band_gap_ev\": \"eV\","
		" \"lattice\": {\"a_angstrom\": \"angstrom\", \"b_angstrom\": \"angstrom\", \"c_angstrom\": \"angstrom\","
		" \"alpha_deg\": \"deg\", \"beta_deg\": \"deg\", \"gamma_deg\": \"deg\","
		" \"volume_angstrom3\": \"angstrom3\", \"nearest_neighbour_angstrom\": \"angstrom\"},"
		" \"interface_energy_j_m2\": \"J/m2\","
		" \"diffusion\": {\"prefactor_m2_s\": \"m2/s\", \"activation_energy_ev\": \"eV\"},"
		" \"convergence_reached\": \"boolean\"}",
	lb_stub_atomic, lb_extent_atoms},
	{"mesoscale", "PHASE_FIELD", "PF", "1.0", "Grain growth and phase separation",
		phase_field_params, lengthof(phase_field_params),
		"{\"microstructure_metrics\": {\"n_grains\": \"1\", \"mean_grain_size_um\": \"um\","
		" \"phase_fractions\": {\"alpha\": \"volume fraction\", \"beta\": \"volume fraction\"},"
		" \"grain_boundary_density\": \"1/um\"},"
		" \"timesteps\": \"1\", \"convergence_reached\": \"boolean\"}",
	lb_stub_phase_field, lb_extent_grid},
	{"mesoscale", "MONTE_CARLO", "MC,POTTS", "1.0", "Potts model of grain growth",
		monte_carlo_params, lengthof(monte_carlo_params),
		"{\"grain_size_distribution\": {\"n_grains\": \"1\", \"mean_um\": \"um\", \"median_um\": \"um\","
		" \"std_um\": \"um\", \"edges_um\": [\"um\"], \"counts\": [\"1\"]},"
		" \"texture_metrics\": {\"orientations\": \"1\", \"texture_index\": \"1\","
		" \"max_intensity_mrd\": \"multiples of random\"},"
		" \"elapsed_time_s\": \"s\", \"timesteps\": \"1\", \"convergence_reached\": \"boolean\"}",
	lb_stub_monte_carlo, lb_extent_grid},
	{"mesoscale", "KMC", "KINETIC_MONTE_CARLO", "1.0", "Vacancy diffusion on a lattice",
		kmc_params, lengthof(kmc_params),
		"{\"events\": \"1\", \"diffusion_coefficient_m2_s\": \"m2/s\", \"jump_rate_hz\": \"Hz\","
		" \"correlation_factor\": \"1\", \"vacancy_fraction\": \"site fraction\","
		" \"simulated_time_s\": \"s\", \"mean_square_displacement_nm2\": \"nm2\","
		" \"timesteps\": \"1\", \"convergence_reached\": \"boolean\"}",
	lb_stub_kmc, lb_extent_sites},
	{"continuum", "FEM", "FINITE_ELEMENT", "1.0", "Linear elasticity of a loaded block",
		fem_params, lengthof(fem_params),
		"{\"effective_properties\": {\"youngs_modulus_gpa\": \"GPa\", \"poissons_ratio\": \"1\"},"
		" \"solution_fields\": {\"stress\": {\"max_von_mises_mpa\": \"MPa\"},"
		" \"displacement\": {\"max_mm\": \"mm\"}}, \"convergence_reached\": \"boolean\"}",
	lb_stub_fem, lb_extent_mesh},
	{"continuum", "FVM", "FINITE_VOLUME", "1.0", "Conduction and channel flow",
		fvm_params, lengthof(fvm_params),
		"{\"effective_properties\": {\"thermal_conductivity_w_mk\": \"W/(m K)\", \"diffusivity_m2_s\": \"m2/s\"},"
		" \"solution_fields\": {\"velocity\": {\"max_m_s\": \"m/s\", \"mean_m_s\": \"m/s\"},"
		" \"pressure\": {\"drop_pa\": \"Pa\"}, \"temperature\": {\"min_k\": \"K\", \"max_k\": \"K\"},"
		" \"heat_flux\": {\"mean_w_m2\": \"W/m2\"}}, \"convergence_reached\": \"boolean\"}",
	lb_stub_fvm, lb_extent_mesh},
	{"continuum", "BEM", "BOUNDARY_ELEMENT", "1.0", "Potential and traction on a boundary",
		bem_params, lengthof(bem_params),
		"{\"effective_properties\": {\"capacitance_pf\": \"pF\", \"relative_permittivity\": \"1\"},"
		" \"solution_fields\": {\"potential\": {\"max_v\": \"V\", \"mean_v\": \"V\"},"
		" \"traction\": {\"max_pa\": \"Pa\", \"mean_pa\": \"Pa\"}}, \"convergence_reached\": \"boolean\"}",
	lb_stub_bem, lb_extent_panels},
};
const int	lb_nengines = lengthof(lb_engines);

/* What flows from a finer scale to the next coarser one. */
const EngineLink lb_engine_links[] = {
	{"PHASE_FIELD", "interface_energy_j_m2", "ATOMIC", "interface_energy_j_m2"},
	{"PHASE_FIELD", "activation_energy_ev", "ATOMIC", "diffusion.activation_energy_ev"},
	{"MONTE_CARLO", "interface_energy_j_m2", "ATOMIC", "interface_energy_j_m2"},
	{"KMC", "activation_energy_ev", "ATOMIC", "diffusion.activation_energy_ev"},
	{"KMC", "jump_distance_angstrom", "ATOMIC", "lattice.nearest_neighbour_angstrom"},
	{"FEM", "grain_size_um", "PHASE_FIELD", "microstructure_metrics.mean_grain_size_um"},
	{"FEM", "second_phase_fraction", "PHASE_FIELD", "microstructure_metrics.phase_fractions.beta"},
	{"FEM", "grain_size_um", "MONTE_CARLO", "grain_size_distribution.mean_um"},
	{"FEM", "porosity", "KMC", "vacancy_fraction"},
	{"FVM", "grain_size_um", "PHASE_FIELD", "microstructure_metrics.mean_grain_size_um"},
	{"FVM", "second_phase_fraction", "PHASE_FIELD", "microstructure_metrics.phase_fractions.beta"},
	{"FVM", "grain_size_um", "MONTE_CARLO", "grain_size_distribution.mean_um"},
	{"FVM", "species_diffusivity_m2_s", "KMC", "diffusion_coefficient_m2_s"},
	{"BEM", "grain_size_um", "PHASE_FIELD", "microstructure_metrics.mean_grain_size_um"},
	{"BEM", "second_phase_fraction", "PHASE_FIELD", "microstructure_metrics.phase_fractions.beta"},
	{"BEM", "grain_size_um", "MONTE_CARLO", "grain_size_distribution.mean_um"},
	{"BEM", "porosity", "KMC", "vacancy_fraction"},
};
const int	lb_nengine_links = lengthof(lb_engine_links);

/* Is "name" the comma-separated entry at "list"?  Any case; "-" and " " are "_". */
static bool
same_name(const char *list, int listlen, const char *name, int len)
{
	if (listlen != len)
		return false;
	for (int i = 0; i < len; i++)
	{
		char		c = name[i];

		if (c >= 'a' && c <= 'z')
			c -= 'a' - 'A';
		else if (c == '-' || c == ' ')
			c = '_';
		if (c != list[i])
			return false;
	}
	return true;
}

const Engine *
lb_engine_find(const char *name, int len)
{
	for (int i = 0; i < lb_nengines; i++)
	{
		const char *alias = lb_engines[i].aliases;

		if (same_name(lb_engines[i].name, strlen(lb_engines[i].name), name, len))
			return &lb_engines[i];
		while (*alias)
		{
			int			n = strcspn(alias, ",");

			if (same_name(alias, n, name, len))
				return &lb_engines[i];
			alias += n + (alias[n] == ',');
		}
	}
	return NULL;
}
