/*-------------------------------------------------------------------------
 *
 * elements.c
 *		The chemical elements: symbol, atomic number, standard atomic weight.
 *
 * Weights are the abridged standard atomic weights of the IUPAC (five
 * significant digits): T. Prohaska et al., Standard atomic weights of the
 * elements 2021, Pure Appl. Chem. 94 (2022) 573-600, doi:10.1515/pac-2019-0603.
 * An element without a standard weight carries the mass number that the IUPAC
 * periodic table of 4 May 2022 prints in brackets.  D and T are the isotopes
 * 2H and 3H with their atomic masses (AME 2020), rounded to the same digits.
 *
 * A code is the atomic number; D is 119 and T is 120.  Codes are stored on
 * disk: they never change.  A new element would be given the next free code.
 *
 * IDENTIFICATION
 *	  src/types/elements.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "types/elements.h"

/* symbol, atomic number, place in the alphabet, atomic weight (g/mol) */
const LbElement lb_elements[LB_ELEMENTS + 1] = {
	{"", 0, 0, 0},
	{"H", 1, 43, 1.0080},
	{"He", 2, 44, 4.0026},
	{"Li", 3, 55, 6.94},
	{"Be", 4, 11, 9.0122},
	{"B", 5, 9, 10.81},
	{"C", 6, 16, 12.011},
	{"N", 7, 65, 14.007},
	{"O", 8, 74, 15.999},
	{"F", 9, 35, 18.998},
	{"Ne", 10, 69, 20.180},
	{"Na", 11, 66, 22.990},
	{"Mg", 12, 61, 24.305},
	{"Al", 13, 3, 26.982},
	{"Si", 14, 99, 28.085},
	{"P", 15, 77, 30.974},
	{"S", 16, 94, 32.06},
	{"Cl", 17, 21, 35.45},
	{"Ar", 18, 5, 39.95},
	{"K", 19, 52, 39.098},
	{"Ca", 20, 17, 40.078},
	{"Sc", 21, 96, 44.956},
	{"Ti", 22, 109, 47.867},
	{"V", 23, 114, 50.942},
	{"Cr", 24, 25, 51.996},
	{"Mn", 25, 62, 54.938},
	{"Fe", 26, 36, 55.845},
	{"Co", 27, 24, 58.933},
	{"Ni", 28, 71, 58.693},
	{"Cu", 29, 27, 63.546},
	{"Zn", 30, 119, 65.38},
	{"Ga", 31, 40, 69.723},
	{"Ge", 32, 42, 72.630},
	{"As", 33, 6, 74.922},
	{"Se", 34, 97, 78.971},
	{"Br", 35, 15, 79.904},
	{"Kr", 36, 53, 83.798},
	{"Rb", 37, 87, 85.468},
	{"Sr", 38, 102, 87.62},
	{"Y", 39, 117, 88.906},
	{"Zr", 40, 120, 91.224},
	{"Nb", 41, 67, 92.906},
	{"Mo", 42, 63, 95.95},
	{"Tc", 43, 106, 97},
	{"Ru", 44, 93, 101.07},
	{"Rh", 45, 91, 102.91},
	{"Pd", 46, 80, 106.42},
	{"Ag", 47, 2, 107.87},
	{"Cd", 48, 18, 112.41},
	{"In", 49, 50, 114.82},
	{"Sn", 50, 101, 118.71},
	{"Sb", 51, 95, 121.76},
	{"Te", 52, 107, 127.60},
	{"I", 53, 49, 126.90},
	{"Xe", 54, 116, 131.29},
	{"Cs", 55, 26, 132.91},
	{"Ba", 56, 10, 137.33},
	{"La", 57, 54, 138.91},
	{"Ce", 58, 19, 140.12},
	{"Pr", 59, 83, 140.91},
	{"Nd", 60, 68, 144.24},
	{"Pm", 61, 81, 145},
	{"Sm", 62, 100, 150.36},
	{"Eu", 63, 34, 151.96},
	{"Gd", 64, 41, 157.25},
	{"Tb", 65, 105, 158.93},
	{"Dy", 66, 31, 162.50},
	{"Ho", 67, 47, 164.93},
	{"Er", 68, 32, 167.26},
	{"Tm", 69, 111, 168.93},
	{"Yb", 70, 118, 173.05},
	{"Lu", 71, 57, 174.97},
	{"Hf", 72, 45, 178.49},
	{"Ta", 73, 104, 180.95},
	{"W", 74, 115, 183.84},
	{"Re", 75, 88, 186.21},
	{"Os", 76, 76, 190.23},
	{"Ir", 77, 51, 192.22},
	{"Pt", 78, 84, 195.08},
	{"Au", 79, 8, 196.97},
	{"Hg", 80, 46, 200.59},
	{"Tl", 81, 110, 204.38},
	{"Pb", 82, 79, 207.2},
	{"Bi", 83, 13, 208.98},
	{"Po", 84, 82, 209},
	{"At", 85, 7, 210},
	{"Rn", 86, 92, 222},
	{"Fr", 87, 39, 223},
	{"Ra", 88, 86, 226},
	{"Ac", 89, 1, 227},
	{"Th", 90, 108, 232.04},
	{"Pa", 91, 78, 231.04},
	{"U", 92, 113, 238.03},
	{"Np", 93, 73, 237},
	{"Pu", 94, 85, 244},
	{"Am", 95, 4, 243},
	{"Cm", 96, 22, 247},
	{"Bk", 97, 14, 247},
	{"Cf", 98, 20, 251},
	{"Es", 99, 33, 252},
	{"Fm", 100, 38, 257},
	{"Md", 101, 60, 258},
	{"No", 102, 72, 259},
	{"Lr", 103, 56, 262},
	{"Rf", 104, 89, 267},
	{"Db", 105, 29, 268},
	{"Sg", 106, 98, 269},
	{"Bh", 107, 12, 270},
	{"Hs", 108, 48, 269},
	{"Mt", 109, 64, 277},
	{"Ds", 110, 30, 281},
	{"Rg", 111, 90, 282},
	{"Cn", 112, 23, 285},
	{"Nh", 113, 70, 286},
	{"Fl", 114, 37, 290},
	{"Mc", 115, 59, 290},
	{"Lv", 116, 58, 293},
	{"Ts", 117, 112, 294},
	{"Og", 118, 75, 294},
	{"D", 1, 28, 2.0141},
	{"T", 1, 103, 3.0160},
};

/* Symbols by first letter and second letter; a backquote stands before 'a'. */
#define SYMBOL(first, second) (((first) - 'A') * 27 + ((second) - '`'))

static const uint8 symbol_code[26 * 27] = {
	[SYMBOL('H', '`')] = 1, [SYMBOL('H', 'e')] = 2, [SYMBOL('L', 'i')] = 3,
	[SYMBOL('B', 'e')] = 4, [SYMBOL('B', '`')] = 5, [SYMBOL('C', '`')] = 6,
	[SYMBOL('N', '`')] = 7, [SYMBOL('O', '`')] = 8, [SYMBOL('F', '`')] = 9,
	[SYMBOL('N', 'e')] = 10, [SYMBOL('N', 'a')] = 11, [SYMBOL('M', 'g')] = 12,
	[SYMBOL('A', 'l')] = 13, [SYMBOL('S', 'i')] = 14, [SYMBOL('P', '`')] = 15,
	[SYMBOL('S', '`')] = 16, [SYMBOL('C', 'l')] = 17, [SYMBOL('A', 'r')] = 18,
	[SYMBOL('K', '`')] = 19, [SYMBOL('C', 'a')] = 20, [SYMBOL('S', 'c')] = 21,
	[SYMBOL('T', 'i')] = 22, [SYMBOL('V', '`')] = 23, [SYMBOL('C', 'r')] = 24,
	[SYMBOL('M', 'n')] = 25, [SYMBOL('F', 'e')] = 26, [SYMBOL('C', 'o')] = 27,
	[SYMBOL('N', 'i')] = 28, [SYMBOL('C', 'u')] = 29, [SYMBOL('Z', 'n')] = 30,
	[SYMBOL('G', 'a')] = 31, [SYMBOL('G', 'e')] = 32, [SYMBOL('A', 's')] = 33,
	[SYMBOL('S', 'e')] = 34, [SYMBOL('B', 'r')] = 35, [SYMBOL('K', 'r')] = 36,
	[SYMBOL('R', 'b')] = 37, [SYMBOL('S', 'r')] = 38, [SYMBOL('Y', '`')] = 39,
	[SYMBOL('Z', 'r')] = 40, [SYMBOL('N', 'b')] = 41, [SYMBOL('M', 'o')] = 42,
	[SYMBOL('T', 'c')] = 43, [SYMBOL('R', 'u')] = 44, [SYMBOL('R', 'h')] = 45,
	[SYMBOL('P', 'd')] = 46, [SYMBOL('A', 'g')] = 47, [SYMBOL('C', 'd')] = 48,
	[SYMBOL('I', 'n')] = 49, [SYMBOL('S', 'n')] = 50, [SYMBOL('S', 'b')] = 51,
	[SYMBOL('T', 'e')] = 52, [SYMBOL('I', '`')] = 53, [SYMBOL('X', 'e')] = 54,
	[SYMBOL('C', 's')] = 55, [SYMBOL('B', 'a')] = 56, [SYMBOL('L', 'a')] = 57,
	[SYMBOL('C', 'e')] = 58, [SYMBOL('P', 'r')] = 59, [SYMBOL('N', 'd')] = 60,
	[SYMBOL('P', 'm')] = 61, [SYMBOL('S', 'm')] = 62, [SYMBOL('E', 'u')] = 63,
	[SYMBOL('G', 'd')] = 64, [SYMBOL('T', 'b')] = 65, [SYMBOL('D', 'y')] = 66,
	[SYMBOL('H', 'o')] = 67, [SYMBOL('E', 'r')] = 68, [SYMBOL('T', 'm')] = 69,
	[SYMBOL('Y', 'b')] = 70, [SYMBOL('L', 'u')] = 71, [SYMBOL('H', 'f')] = 72,
	[SYMBOL('T', 'a')] = 73, [SYMBOL('W', '`')] = 74, [SYMBOL('R', 'e')] = 75,
	[SYMBOL('O', 's')] = 76, [SYMBOL('I', 'r')] = 77, [SYMBOL('P', 't')] = 78,
	[SYMBOL('A', 'u')] = 79, [SYMBOL('H', 'g')] = 80, [SYMBOL('T', 'l')] = 81,
	[SYMBOL('P', 'b')] = 82, [SYMBOL('B', 'i')] = 83, [SYMBOL('P', 'o')] = 84,
	[SYMBOL('A', 't')] = 85, [SYMBOL('R', 'n')] = 86, [SYMBOL('F', 'r')] = 87,
	[SYMBOL('R', 'a')] = 88, [SYMBOL('A', 'c')] = 89, [SYMBOL('T', 'h')] = 90,
	[SYMBOL('P', 'a')] = 91, [SYMBOL('U', '`')] = 92, [SYMBOL('N', 'p')] = 93,
	[SYMBOL('P', 'u')] = 94, [SYMBOL('A', 'm')] = 95, [SYMBOL('C', 'm')] = 96,
	[SYMBOL('B', 'k')] = 97, [SYMBOL('C', 'f')] = 98, [SYMBOL('E', 's')] = 99,
	[SYMBOL('F', 'm')] = 100, [SYMBOL('M', 'd')] = 101,
	[SYMBOL('N', 'o')] = 102, [SYMBOL('L', 'r')] = 103,
	[SYMBOL('R', 'f')] = 104, [SYMBOL('D', 'b')] = 105,
	[SYMBOL('S', 'g')] = 106, [SYMBOL('B', 'h')] = 107,
	[SYMBOL('H', 's')] = 108, [SYMBOL('M', 't')] = 109,
	[SYMBOL('D', 's')] = 110, [SYMBOL('R', 'g')] = 111,
	[SYMBOL('C', 'n')] = 112, [SYMBOL('N', 'h')] = 113,
	[SYMBOL('F', 'l')] = 114, [SYMBOL('M', 'c')] = 115,
	[SYMBOL('L', 'v')] = 116, [SYMBOL('T', 's')] = 117,
	[SYMBOL('O', 'g')] = 118, [SYMBOL('D', '`')] = 119,
	[SYMBOL('T', '`')] = 120
};

int
lb_element_code(char first, char second)
{
	if (first < 'A' || first > 'Z')
		return 0;
	if (second == '\0')
		second = '`';
	else if (second < 'a' || second > 'z')
		return 0;
	return symbol_code[SYMBOL(first, second)];
}

int
lb_element_find(const char *symbol, int len)
{
	if (len < 1 || len > 2)
		return 0;
	return lb_element_code(symbol[0], len == 2 ? symbol[1] : '\0');
}
