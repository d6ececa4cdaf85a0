/*-------------------------------------------------------------------------
 *
 * elements.h
 *		The chemical elements.
 *
 * IDENTIFICATION
 *	  src/types/elements.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_ELEMENTS_H
#define LABOS_ELEMENTS_H

/* 118 elements, and deuterium (119) and tritium (120). */
#define LB_ELEMENTS 120
#define LB_ELEMENT_D 119

typedef struct LbElement
{
	char		symbol[3];
	uint8		number;			/* atomic number Z */
	uint8		rank;			/* 1 = first in the alphabet of symbols */
	double		weight;			/* g/mol */
} LbElement;

/* Indexed by code, 1 to LB_ELEMENTS. */
extern const LbElement lb_elements[LB_ELEMENTS + 1];

/* The code of a symbol, 0 if there is none; second is '\0' for one letter. */
extern int	lb_element_code(char first, char second);
extern int	lb_element_find(const char *symbol, int len);

#endif							/* LABOS_ELEMENTS_H */
