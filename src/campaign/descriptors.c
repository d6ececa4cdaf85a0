/*-------------------------------------------------------------------------
 *
 * descriptors.c
 *		Numbers that describe a composition to a model.
 *
 * For each property of the elements: the mean weighted by atomic fraction, the
 * mean absolute deviation from it, minimum, maximum and range over the
 * elements present (after L. Ward et al., npj Comput. Mater. 2 (2016) 16028,
 * doi:10.1038/npjcompumats.2016.28).
 *
 * Element data: periodic table and ground-state configurations (NIST Atomic
 * Spectra Database, as are the first ionisation energies, eV); Pettifor's
 * chemical scale (New J. Phys. 18 (2016) 093011 gives the order used here);
 * Pauling electronegativities (CRC Handbook; values missing there: Allred 1961,
 * and 0 for He, Ne, Ar, Rn); covalent radii, pm (B. Cordero et al., Dalton
 * Trans. 2008, 2832-2838, beyond Cm: P. Pyykko, M. Atsumi 2009); dipole
 * polarisabilities, atomic units (P. Schwerdtfeger, J. K. Nagle, Mol. Phys. 117
 * (2019) 1200-1225).  Weights are those of types/elements.c.
 *
 * IDENTIFICATION
 *	  src/campaign/descriptors.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "campaign/descriptors.h"
#include "core/errors.h"

typedef struct ElementData
{
	uint8		period;
	uint8		group;			/* f block: 3 */
	uint8		mendeleev;		/* place on the chemical scale */
	uint8		valence;		/* electrons: group, or group - 10 beyond 12 */
	float		electronegativity;
	float		radius;
	float		ionisation;
	float		polarisability;
	uint8		s;				/* electrons outside the noble-gas core */
	uint8		p;
	uint8		d;
	uint8		f;
} ElementData;

static const ElementData elements[LB_DESCRIBED_ELEMENTS] = {
	{1, 1, 103, 1, 2.20, 31, 13.598, 4.5, 1, 0, 0, 0},	/* H */
	{1, 18, 1, 2, 0.00, 28, 24.587, 1.4, 2, 0, 0, 0},	/* He */
	{2, 1, 12, 1, 0.98, 128, 5.392, 164.1, 1, 0, 0, 0},	/* Li */
	{2, 2, 77, 2, 1.57, 96, 9.323, 37.7, 2, 0, 0, 0},	/* Be */
	{2, 13, 86, 3, 2.04, 84, 8.298, 20.5, 2, 1, 0, 0},	/* B */
	{2, 14, 95, 4, 2.55, 73, 11.260, 11.3, 2, 2, 0, 0},	/* C */
	{2, 15, 100, 5, 3.04, 71, 14.534, 7.4, 2, 3, 0, 0},	/* N */
	{2, 16, 101, 6, 3.44, 66, 13.618, 5.3, 2, 4, 0, 0},	/* O */
	{2, 17, 102, 7, 3.98, 57, 17.423, 3.7, 2, 5, 0, 0},	/* F */
	{2, 18, 2, 8, 0.00, 58, 21.565, 2.7, 2, 6, 0, 0},	/* Ne */
	{3, 1, 11, 1, 0.93, 166, 5.139, 162.7, 1, 0, 0, 0},	/* Na */
	{3, 2, 73, 2, 1.31, 141, 7.646, 71.2, 2, 0, 0, 0},	/* Mg */
	{3, 13, 80, 3, 1.61, 121, 5.986, 57.8, 2, 1, 0, 0},	/* Al */
	{3, 14, 85, 4, 1.90, 111, 8.152, 37.3, 2, 2, 0, 0},	/* Si */
	{3, 15, 90, 5, 2.19, 107, 10.487, 25.0, 2, 3, 0, 0},	/* P */
	{3, 16, 94, 6, 2.58, 105, 10.360, 19.4, 2, 4, 0, 0},	/* S */
	{3, 17, 99, 7, 3.16, 102, 12.968, 14.6, 2, 5, 0, 0},	/* Cl */
	{3, 18, 3, 8, 0.00, 106, 15.760, 11.1, 2, 6, 0, 0},	/* Ar */
	{4, 1, 10, 1, 0.82, 203, 4.341, 289.7, 1, 0, 0, 0},	/* K */
	{4, 2, 16, 2, 1.00, 176, 6.113, 160.8, 2, 0, 0, 0},	/* Ca */
	{4, 3, 20, 3, 1.36, 170, 6.561, 97.0, 2, 0, 1, 0},	/* Sc */
	{4, 4, 51, 4, 1.54, 160, 6.828, 100.0, 2, 0, 2, 0},	/* Ti */
	{4, 5, 54, 5, 1.63, 153, 6.746, 87.0, 2, 0, 3, 0},	/* V */
	{4, 6, 57, 6, 1.66, 139, 6.767, 83.0, 1, 0, 5, 0},	/* Cr */
	{4, 7, 60, 7, 1.55, 150, 7.434, 68.0, 2, 0, 5, 0},	/* Mn */
	{4, 8, 61, 8, 1.83, 142, 7.902, 62.0, 2, 0, 6, 0},	/* Fe */
	{4, 9, 64, 9, 1.88, 138, 7.881, 55.0, 2, 0, 7, 0},	/* Co */
	{4, 10, 67, 10, 1.91, 124, 7.640, 49.0, 2, 0, 8, 0},	/* Ni */
	{4, 11, 72, 11, 1.90, 132, 7.726, 46.5, 1, 0, 10, 0},	/* Cu */
	{4, 12, 76, 12, 1.65, 122, 9.394, 38.7, 2, 0, 10, 0},	/* Zn */
	{4, 13, 81, 3, 1.81, 122, 5.999, 50.0, 2, 1, 10, 0},	/* Ga */
	{4, 14, 84, 4, 2.01, 120, 7.899, 40.0, 2, 2, 10, 0},	/* Ge */
	{4, 15, 89, 5, 2.18, 119, 9.789, 30.0, 2, 3, 10, 0},	/* As */
	{4, 16, 93, 6, 2.55, 120, 9.752, 28.9, 2, 4, 10, 0},	/* Se */
	{4, 17, 98, 7, 2.96, 120, 11.814, 21.0, 2, 5, 10, 0},	/* Br */
	{4, 18, 4, 8, 3.00, 116, 14.000, 16.8, 2, 6, 10, 0},	/* Kr */
	{5, 1, 9, 1, 0.82, 220, 4.177, 319.8, 1, 0, 0, 0},	/* Rb */
	{5, 2, 15, 2, 0.95, 195, 5.695, 197.2, 2, 0, 0, 0},	/* Sr */
	{5, 3, 19, 3, 1.22, 190, 6.217, 162.0, 2, 0, 1, 0},	/* Y */
	{5, 4, 49, 4, 1.33, 175, 6.634, 112.0, 2, 0, 2, 0},	/* Zr */
	{5, 5, 52, 5, 1.60, 164, 6.759, 98.0, 1, 0, 4, 0},	/* Nb */
	{5, 6, 55, 6, 2.16, 154, 7.092, 87.0, 1, 0, 5, 0},	/* Mo */
	{5, 7, 58, 7, 2.10, 147, 7.119, 79.0, 2, 0, 5, 0},	/* Tc */
	{5, 8, 63, 8, 2.20, 146, 7.361, 72.0, 1, 0, 7, 0},	/* Ru */
	{5, 9, 66, 9, 2.28, 142, 7.459, 66.0, 1, 0, 8, 0},	/* Rh */
	{5, 10, 69, 10, 2.20, 139, 8.337, 26.1, 0, 0, 10, 0},	/* Pd */
	{5, 11, 71, 11, 1.93, 145, 7.576, 55.0, 1, 0, 10, 0},	/* Ag */
	{5, 12, 75, 12, 1.69, 144, 8.994, 46.0, 2, 0, 10, 0},	/* Cd */
	{5, 13, 79, 3, 1.78, 142, 5.786, 65.0, 2, 1, 10, 0},	/* In */
	{5, 14, 83, 4, 1.96, 139, 7.344, 53.0, 2, 2, 10, 0},	/* Sn */
	{5, 15, 88, 5, 2.05, 139, 8.608, 43.0, 2, 3, 10, 0},	/* Sb */
	{5, 16, 92, 6, 2.10, 138, 9.010, 38.0, 2, 4, 10, 0},	/* Te */
	{5, 17, 97, 7, 2.66, 139, 10.451, 32.9, 2, 5, 10, 0},	/* I */
	{5, 18, 5, 8, 2.60, 140, 12.130, 27.3, 2, 6, 10, 0},	/* Xe */
	{6, 1, 8, 1, 0.79, 244, 3.894, 400.9, 1, 0, 0, 0},	/* Cs */
	{6, 2, 14, 2, 0.89, 215, 5.212, 272.0, 2, 0, 0, 0},	/* Ba */
	{6, 3, 33, 3, 1.10, 207, 5.577, 215.0, 2, 0, 1, 0},	/* La */
	{6, 3, 32, 3, 1.12, 204, 5.539, 205.0, 2, 0, 1, 1},	/* Ce */
	{6, 3, 31, 3, 1.13, 203, 5.473, 216.0, 2, 0, 0, 3},	/* Pr */
	{6, 3, 30, 3, 1.14, 201, 5.525, 208.0, 2, 0, 0, 4},	/* Nd */
	{6, 3, 29, 3, 1.13, 199, 5.582, 200.0, 2, 0, 0, 5},	/* Pm */
	{6, 3, 28, 3, 1.17, 198, 5.644, 192.0, 2, 0, 0, 6},	/* Sm */
	{6, 3, 18, 3, 1.20, 198, 5.670, 184.0, 2, 0, 0, 7},	/* Eu */
	{6, 3, 27, 3, 1.20, 196, 6.150, 158.0, 2, 0, 1, 7},	/* Gd */
	{6, 3, 26, 3, 1.10, 194, 5.864, 170.0, 2, 0, 0, 9},	/* Tb */
	{6, 3, 25, 3, 1.22, 192, 5.939, 163.0, 2, 0, 0, 10},	/* Dy */
	{6, 3, 24, 3, 1.23, 192, 6.021, 156.0, 2, 0, 0, 11},	/* Ho */
	{6, 3, 23, 3, 1.24, 189, 6.108, 150.0, 2, 0, 0, 12},	/* Er */
	{6, 3, 22, 3, 1.25, 190, 6.184, 144.0, 2, 0, 0, 13},	/* Tm */
	{6, 3, 17, 3, 1.10, 187, 6.254, 139.0, 2, 0, 0, 14},	/* Yb */
	{6, 3, 21, 3, 1.00, 187, 5.426, 137.0, 2, 0, 1, 14},	/* Lu */
	{6, 4, 50, 4, 1.30, 175, 6.825, 103.0, 2, 0, 2, 14},	/* Hf */
	{6, 5, 53, 5, 1.50, 170, 7.550, 74.0, 2, 0, 3, 14},	/* Ta */
	{6, 6, 56, 6, 1.70, 162, 7.864, 68.0, 2, 0, 4, 14},	/* W */
	{6, 7, 59, 7, 1.90, 151, 7.834, 62.0, 2, 0, 5, 14},	/* Re */
	{6, 8, 62, 8, 2.20, 144, 8.438, 57.0, 2, 0, 6, 14},	/* Os */
	{6, 9, 65, 9, 2.20, 141, 8.967, 54.0, 2, 0, 7, 14},	/* Ir */
	{6, 10, 68, 10, 2.20, 136, 8.959, 48.0, 1, 0, 9, 14},	/* Pt */
	{6, 11, 70, 11, 2.40, 136, 9.226, 36.0, 1, 0, 10, 14},	/* Au */
	{6, 12, 74, 12, 1.90, 132, 10.438, 33.9, 2, 0, 10, 14},	/* Hg */
	{6, 13, 78, 3, 1.80, 145, 6.108, 50.0, 2, 1, 10, 14},	/* Tl */
	{6, 14, 82, 4, 1.80, 146, 7.417, 47.0, 2, 2, 10, 14},	/* Pb */
	{6, 15, 87, 5, 1.90, 148, 7.286, 48.0, 2, 3, 10, 14},	/* Bi */
	{6, 16, 91, 6, 2.00, 140, 8.414, 44.0, 2, 4, 10, 14},	/* Po */
	{6, 17, 96, 7, 2.20, 150, 9.318, 42.0, 2, 5, 10, 14},	/* At */
	{6, 18, 6, 8, 0.00, 150, 10.748, 35.0, 2, 6, 10, 14},	/* Rn */
	{7, 1, 7, 1, 0.70, 260, 4.073, 317.8, 1, 0, 0, 0},	/* Fr */
	{7, 2, 13, 2, 0.90, 221, 5.278, 246.0, 2, 0, 0, 0},	/* Ra */
	{7, 3, 48, 3, 1.10, 215, 5.380, 203.0, 2, 0, 1, 0},	/* Ac */
	{7, 3, 47, 3, 1.30, 206, 6.307, 217.0, 2, 0, 2, 0},	/* Th */
	{7, 3, 46, 3, 1.50, 200, 5.890, 154.0, 2, 0, 1, 2},	/* Pa */
	{7, 3, 45, 3, 1.70, 196, 6.194, 129.0, 2, 0, 1, 3},	/* U */
	{7, 3, 44, 3, 1.30, 190, 6.266, 151.0, 2, 0, 1, 4},	/* Np */
	{7, 3, 43, 3, 1.30, 187, 6.026, 132.0, 2, 0, 0, 6},	/* Pu */
	{7, 3, 42, 3, 1.13, 180, 5.974, 131.0, 2, 0, 0, 7},	/* Am */
	{7, 3, 41, 3, 1.28, 169, 5.991, 144.0, 2, 0, 1, 7},	/* Cm */
	{7, 3, 40, 3, 1.30, 168, 6.198, 125.0, 2, 0, 0, 9},	/* Bk */
	{7, 3, 39, 3, 1.30, 168, 6.282, 122.0, 2, 0, 0, 10},	/* Cf */
	{7, 3, 38, 3, 1.30, 165, 6.368, 118.0, 2, 0, 0, 11},	/* Es */
	{7, 3, 37, 3, 1.30, 167, 6.500, 113.0, 2, 0, 0, 12},	/* Fm */
	{7, 3, 36, 3, 1.30, 173, 6.580, 109.0, 2, 0, 0, 13},	/* Md */
	{7, 3, 35, 3, 1.30, 176, 6.650, 110.0, 2, 0, 0, 14},	/* No */
	{7, 3, 34, 3, 1.30, 161, 4.900, 320.0, 2, 0, 1, 14},	/* Lr */
};

const char *const lb_element_property_names[LB_ELEMENT_PROPERTIES] = {
	"mendeleev_number", "group", "period", "atomic_weight", "electronegativity",
	"covalent_radius", "valence_electrons", "ionisation_energy",
	"polarisability", "p_electrons", "d_electrons", "f_electrons"
};

const char *const lb_descriptor_stat_names[LB_DESCRIPTOR_STATS] = {
	"mean", "deviation", "min", "max", "range"
};

static void
element_properties(int number, double *out)
{
	const ElementData *e = &elements[number - 1];

	out[0] = e->mendeleev;
	out[1] = e->group;
	out[2] = e->period;
	out[3] = lb_elements[number].weight;
	out[4] = e->electronegativity;
	out[5] = e->radius;
	out[6] = e->valence;
	out[7] = e->ionisation;
	out[8] = e->polarisability;
	out[9] = e->p;
	out[10] = e->d;
	out[11] = e->f;
}

bool
lb_descriptors_compute(const LbFormula *formula, double *out)
{
	uint8		codes[LB_ELEMENTS];
	double		properties[LB_ELEMENTS][LB_ELEMENT_PROPERTIES];
	double		fractions[LB_ELEMENTS];
	int			n = lb_formula_codes(formula, codes);
	double		total = 0.0;

	if (n == 0)
		return false;
	for (int i = 0; i < n; i++)
	{
		int			number = lb_elements[codes[i]].number;

		if (number > LB_DESCRIBED_ELEMENTS)
			return false;
		element_properties(number, properties[i]);
		fractions[i] = lb_formula_amount(formula, codes[i]);
		total += fractions[i];
	}
	for (int k = 0; k < LB_ELEMENT_PROPERTIES; k++)
	{
		double	   *stats = out + k * LB_DESCRIPTOR_STATS;
		double		mean = 0.0;
		double		deviation = 0.0;

		stats[2] = stats[3] = properties[0][k];
		for (int i = 0; i < n; i++)
		{
			mean += fractions[i] / total * properties[i][k];
			stats[2] = Min(stats[2], properties[i][k]);
			stats[3] = Max(stats[3], properties[i][k]);
		}
		for (int i = 0; i < n; i++)
			deviation += fractions[i] / total * fabs(properties[i][k] - mean);
		stats[0] = mean;
		stats[1] = deviation;
		stats[4] = stats[3] - stats[2];
	}
	return true;
}

/* What the models of campaigns use: enough to tell, few enough to learn. */
static const uint8 feature_properties[] = {4, 6, 7, 8, 9, 10, 11};

#define FEATURE_STATS	4		/* all but range */
#define FEATURES		(lengthof(feature_properties) * FEATURE_STATS)

static const LbFormula *
describe(FunctionCallInfo fcinfo, double *out)
{
	LbFormula  *formula = (LbFormula *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0));

	if (!lb_descriptors_compute(formula, out))
		ereport(ERROR,
				errcode(ERRCODE_LABOS_INVALID_FORMULA),
				errmsg("composition cannot be described"),
				errdetail("Properties are known of the elements up to %s.",
						  lb_elements[LB_DESCRIBED_ELEMENTS].symbol));
	return formula;
}

/*
 * labos.composition_descriptors(formula labos.formula) returns float8[]
 *
 * Shapes:	LB_DESCRIPTORS numbers in the order of composition_descriptor_names()
 * Units:	pm, eV, g/mol, atomic units and pure numbers, by property
 * Errors:	LB202 an element beyond Lr, or no element at all
 * Source:	see the head of this file
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_composition_descriptors);

Datum
labos_composition_descriptors(PG_FUNCTION_ARGS)
{
	double		all[LB_DESCRIPTORS];
	Datum		values[LB_DESCRIPTORS];

	describe(fcinfo, all);
	for (int i = 0; i < LB_DESCRIPTORS; i++)
		values[i] = Float8GetDatum(all[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(values, LB_DESCRIPTORS, FLOAT8OID,
										  sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * labos.composition_features(formula labos.formula) returns float8[]
 *		The descriptors that models of campaigns use.
 *
 * Errors:	as composition_descriptors
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_composition_features);

Datum
labos_composition_features(PG_FUNCTION_ARGS)
{
	double		all[LB_DESCRIPTORS];
	Datum		values[FEATURES];

	describe(fcinfo, all);
	for (int i = 0; i < FEATURES; i++)
		values[i] = Float8GetDatum(all[feature_properties[i / FEATURE_STATS] * LB_DESCRIPTOR_STATS +
									   i % FEATURE_STATS]);
	PG_RETURN_ARRAYTYPE_P(construct_array(values, FEATURES, FLOAT8OID,
										  sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static Datum
names(bool features)
{
	Datum		values[LB_DESCRIPTORS];
	int			n = features ? FEATURES : LB_DESCRIPTORS;

	for (int i = 0; i < n; i++)
	{
		int			stats = features ? FEATURE_STATS : LB_DESCRIPTOR_STATS;
		int			property = features ? feature_properties[i / stats] : i / stats;

		values[i] = CStringGetTextDatum(psprintf("%s_%s", lb_element_property_names[property],
												 lb_descriptor_stat_names[i % stats]));
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * labos.composition_descriptor_names() and labos.composition_feature_names()
 *		returns text[]
 *
 * SQL:		immutable parallel safe
 */
PG_FUNCTION_INFO_V1(labos_composition_descriptor_names);

Datum
labos_composition_descriptor_names(PG_FUNCTION_ARGS)
{
	return names(false);
}

PG_FUNCTION_INFO_V1(labos_composition_feature_names);

Datum
labos_composition_feature_names(PG_FUNCTION_ARGS)
{
	return names(true);
}
