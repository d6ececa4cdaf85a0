/*-------------------------------------------------------------------------
 *
 * stub_atomic.c
 *		Stub model of the atomic scale.
 *
 * A formula has a fixed made-up character (energy, gap, volume a atom) drawn
 * from its SHA-256, so that settings and seeds change a result only as
 * settings would: a coarser cutoff or mesh misses energy, functionals open or
 * close the gap, relaxation removes forces.
 *
 * IDENTIFICATION
 *	  src/engine/stub_atomic.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <openssl/sha.h>

#include "engine/engine.h"

/* Gap and volume against PBE, in the order of the choices: LDA, PBE, SCAN, HSE06. */
static const double gap_factor[] = {0.9, 1.0, 1.2, 1.45};
static const double volume_factor[] = {0.95, 1.0, 0.985, 0.98};

/* What belongs to the formula alone. */
typedef struct Character
{
	double		energy_ev;		/* cohesive, per atom */
	double		formation_ev;
	double		gap_ev;			/* PBE */
	double		volume;			/* cubic angstrom per atom */
	double		interface_j_m2;
	double		prefactor_m2_s;
	double		barrier_ev;
} Character;

static Character
character_of(const char *formula)
{
	Character	c;
	Draw		draw;
	uint8		hash[32];
	double		gap;

	SHA256((const uint8 *) formula, strlen(formula), hash);
	lb_draw_seed(&draw, hash, 0);
	c.energy_ev = -3.0 - 6.0 * lb_draw_unit(&draw);
	c.formation_ev = -2.5 * lb_draw_unit(&draw);
	gap = 7.0 * lb_draw_unit(&draw) - 2.0;
	c.gap_ev = gap > 0.0 ? gap : 0.0;	/* two in seven are metals */
	c.volume = 9.0 + 16.0 * lb_draw_unit(&draw);
	c.interface_j_m2 = 0.2 + 1.0 * lb_draw_unit(&draw);
	c.prefactor_m2_s = 1e-6 + 9e-6 * lb_draw_unit(&draw);
	c.barrier_ev = 0.6 + 1.4 * lb_draw_unit(&draw);
	return c;
}

static void
put_lattice(StringInfo out, double volume, double neighbour)
{
	double		edge = lb_stable_cbrt(volume);

	lb_put_open(out, "lattice");
	lb_put_number(out, "a_angstrom", edge);
	lb_put_number(out, "b_angstrom", edge);
	lb_put_number(out, "c_angstrom", edge);
	lb_put_number(out, "alpha_deg", 90.0);
	lb_put_number(out, "beta_deg", 90.0);
	lb_put_number(out, "gamma_deg", 90.0);
	lb_put_number(out, "volume_angstrom3", volume);
	lb_put_number(out, "nearest_neighbour_angstrom", neighbour);
	lb_put_close(out);
}

void
lb_stub_atomic(EngineRun *run, StringInfo out)
{
	Character	c = character_of(lb_engine_value(run, "formula")->text);
	const ParamValue *mesh = lb_engine_value(run, "k_points");
	int			functional = (int) lb_engine_number(run, "functional");
	double		atoms = lb_engine_number(run, "n_atoms");
	double		cutoff = lb_engine_number(run, "cutoff_ev");
	double		points = mesh->items[0] * mesh->items[1] * mesh->items[2];
	/* Both errors are positive: a larger basis only lowers the energy. */
	double		missing = 5.0 * lb_stable_exp(-cutoff / 80.0) + 0.02 / (points * atoms);
	double		energy = c.energy_ev + missing;
	double		volume = c.volume * volume_factor[functional];
	double		force = lb_engine_number(run, "relax") != 0.0 ? 0.005 : 0.2;

	force = lb_draw_around(&run->draw, force, 0.5);
	energy = lb_draw_around(&run->draw, energy, 1e-6);

	lb_put_open(out, "energy");
	lb_put_number(out, "total_ev", energy * atoms);
	lb_put_number(out, "per_atom_ev", energy);
	lb_put_number(out, "formation_ev_per_atom", c.formation_ev);
	lb_put_close(out);
	lb_put_open(out, "forces");
	lb_put_number(out, "max_ev_angstrom", force);
	lb_put_number(out, "rms_ev_angstrom", 0.5 * force);
	lb_put_close(out);
	lb_put_number(out, "band_gap_ev", c.gap_ev * gap_factor[functional]);
	/* Close packing: the neighbour distance is (sqrt 2 times the volume)^(1/3). */
	put_lattice(out, volume * atoms, lb_stable_cbrt(sqrt(2.0) * volume));
	lb_put_number(out, "interface_energy_j_m2", c.interface_j_m2);
	lb_put_open(out, "diffusion");
	lb_put_number(out, "prefactor_m2_s", c.prefactor_m2_s);
	lb_put_number(out, "activation_energy_ev", c.barrier_ev);
	lb_put_close(out);
	lb_put_bool(out, "convergence_reached", missing < 0.02);
}

void
lb_extent_atoms(const EngineRun *run, StringInfo out)
{
	const ParamValue *mesh = lb_engine_value(run, "k_points");

	lb_put_open(out, "mesh_info");
	lb_put_integer(out, "n_atoms", (int64) lb_engine_number(run, "n_atoms"));
	lb_put_integer(out, "k_points", (int64) (mesh->items[0] * mesh->items[1] * mesh->items[2]));
	lb_put_close(out);
}
