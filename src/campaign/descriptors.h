/*-------------------------------------------------------------------------
 *
 * descriptors.h
 *		Numbers that describe a composition to a model.
 *
 * IDENTIFICATION
 *	  src/campaign/descriptors.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_DESCRIPTORS_H
#define LABOS_DESCRIPTORS_H

#include "types/formula.h"

#define LB_ELEMENT_PROPERTIES	12
#define LB_DESCRIPTOR_STATS		5
#define LB_DESCRIPTORS			(LB_ELEMENT_PROPERTIES * LB_DESCRIPTOR_STATS)

/* Heaviest element with a full set of properties. */
#define LB_DESCRIBED_ELEMENTS	103

extern const char *const lb_element_property_names[LB_ELEMENT_PROPERTIES];
extern const char *const lb_descriptor_stat_names[LB_DESCRIPTOR_STATS];

/*
 * Fills out[LB_DESCRIPTORS], property by property; false when an element has
 * no properties (Z > 103) or the formula is empty.
 */
extern bool lb_descriptors_compute(const LbFormula *formula, double *out);

#endif							/* LABOS_DESCRIPTORS_H */
