/*-------------------------------------------------------------------------
 *
 * engine.h
 *		The registry of simulation engines and what their parts share.
 *
 * An engine is a name, a parameter list and a function from resolved
 * parameters and a seed to a JSON text.  Everything is plain C: no SPI, no
 * catalog, no settings, no clock.
 *
 * IDENTIFICATION
 *	  src/engine/engine.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_ENGINE_H
#define LABOS_ENGINE_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#define LB_ENGINE_MAX_ITEMS 3	/* longest array parameter: a grid in 3D */
#define LB_ENGINE_MAX_PARAMS 24
#define LB_ENGINE_MAX_CELLS 134217728	/* 512^3 cells or elements */
#define LB_ENGINE_MAX_TEXT 200	/* bytes in a text parameter */

typedef enum ParameterKind
{
	PARAM_NUMBER,
	PARAM_INTEGER,
	PARAM_BOOLEAN,
	PARAM_CHOICE,				/* one of a closed set of names */
	PARAM_FORMULA,				/* chemical formula, as text */
	PARAM_INTEGERS				/* array of 2 or 3 integers */
} ParameterKind;

/* One parameter as the registry describes it. */
typedef struct ParamSpec
{
	const char *name;
	ParameterKind	kind;
	const char *unit;
	const char *initial;		/* the default, as JSON */
	double		minimum;		/* of the number or of each item */
	double		maximum;
	int			min_items;		/* PARAM_INTEGERS only */
	const char *choices;		/* PARAM_CHOICE: comma-separated, no blanks */
	const char *title;
} ParamSpec;

/* A resolved value: checked, or the default. */
typedef struct ParamValue
{
	double		number;			/* number, integer, 0/1, index of the choice */
	char	   *text;			/* the choice or the formula */
	int			nitems;
	double		items[LB_ENGINE_MAX_ITEMS];
} ParamValue;

typedef struct Engine Engine;

/* A key of 256 bits and a counter: the n-th number depends on nothing else. */
typedef struct Draw
{
	uint8		key[32];
	uint64		counter;
} Draw;

/* What a run function gets. */
typedef struct EngineRun
{
	const Engine *engine;
	ParamValue	values[LB_ENGINE_MAX_PARAMS];
	uint8		hash[32];		/* SHA-256 of the canonical parameters */
	Draw		draw;			/* seeded from hash and seed */
} EngineRun;

/* A parameter of a child that a parent's result fills. */
typedef struct EngineLink
{
	const char *engine;
	const char *parameter;
	const char *parent;
	const char *path;			/* dotted, inside the parent's result */
} EngineLink;

struct Engine
{
	const char *scale;
	const char *name;
	const char *aliases;		/* comma-separated, no blanks */
	const char *version;		/* changes whenever any output byte does */
	const char *title;
	const ParamSpec *params;
	int			nparams;
	const char *results;		/* JSON: the result's shape, units as leaves */
	/* Appends the members of the result object. */
	void		(*run) (EngineRun *run, StringInfo out);
	/* Appends the members that follow from the parameters alone. */
	void		(*extent) (const EngineRun *run, StringInfo out);
};

/* registry.c */
extern const Engine lb_engines[];
extern const int lb_nengines;
extern const EngineLink lb_engine_links[];
extern const int lb_nengine_links;

/* The engine of that name or alias, any case, "-" and " " as "_"; or NULL. */
extern const Engine *lb_engine_find(const char *name, int len);

/* params.c */

/*
 * Check parameters and resolve them into run (values and hash).  Appends one
 * JSON object a problem to problems, separated by commas; returns their number.
 */
extern int	lb_engine_resolve(const Engine *engine, Jsonb *parameters,
							  EngineRun *run, StringInfo problems);
extern double lb_engine_number(const EngineRun *run, const char *name);
extern const ParamValue *lb_engine_value(const EngineRun *run, const char *name);
/* Appends {"name": value, ...} of every parameter in registry order. */
extern void lb_engine_put_values(const EngineRun *run, StringInfo out);
/* Appends the parameter list as JSON Schema. */
extern void lb_engine_put_schema(const Engine *engine, StringInfo out);

/* draw.c: arithmetic that is the same everywhere */
extern void lb_draw_seed(Draw *draw, const uint8 *hash, int64 seed);
extern double lb_draw_unit(Draw *draw); /* [0, 1) */
extern double lb_draw_around(Draw *draw, double value, double spread);
extern double lb_stable_exp(double x);
extern double lb_stable_cbrt(double x);
extern double lb_stable_round(double x);	/* to 10 significant digits */

/* JSON writers over a StringInfo; each puts the comma it needs. */
extern void lb_put_key(StringInfo out, const char *key);
extern void lb_put_number(StringInfo out, const char *key, double value);
extern void lb_put_integer(StringInfo out, const char *key, int64 value);
extern void lb_put_bool(StringInfo out, const char *key, bool value);
extern void lb_put_open(StringInfo out, const char *key);
extern void lb_put_close(StringInfo out);

/* stub_meso.c, stub_continuum.c, stub_atomic.c */
extern void lb_stub_phase_field(EngineRun *run, StringInfo out);
extern void lb_stub_monte_carlo(EngineRun *run, StringInfo out);
extern void lb_stub_kmc(EngineRun *run, StringInfo out);
extern void lb_stub_fem(EngineRun *run, StringInfo out);
extern void lb_stub_fvm(EngineRun *run, StringInfo out);
extern void lb_stub_bem(EngineRun *run, StringInfo out);
extern void lb_stub_atomic(EngineRun *run, StringInfo out);
extern void lb_extent_grid(const EngineRun *run, StringInfo out);
extern void lb_extent_sites(const EngineRun *run, StringInfo out);
extern void lb_extent_mesh(const EngineRun *run, StringInfo out);
extern void lb_extent_panels(const EngineRun *run, StringInfo out);
extern void lb_extent_atoms(const EngineRun *run, StringInfo out);

#endif							/* LABOS_ENGINE_H */
