/*
 * Room: engine
 *
 * Simulation engines as pure functions: what there is, whether parameters are
 * good, and a run. Nothing here reads a table; every result follows from the
 * arguments and the engine's version.
 *
 * Needs    core
 * Used by  simulation
 */

create function labos.engines(
  out scale text, out name text, out aliases text[], out version text, out title text,
  out parameters jsonb, out results jsonb, out fidelities text[])
  returns setof record
  language c immutable parallel safe rows 7 as 'MODULE_PATHNAME', 'labos_engines';
comment on function labos.engines() is
$$Simulation engines

One row an engine. `parameters` is a JSON Schema with units, defaults and limits; `results` has the shape of a result with units as leaves.$$;

create function labos.engine_links(
  out engine text, out parameter text, out parent text, out result_path text)
  returns setof record
  language c immutable parallel safe rows 17 as 'MODULE_PATHNAME', 'labos_engine_links';
comment on function labos.engine_links() is
$$What a child job takes from its parent

One row a parameter of `engine` that is filled from `result_path` of a result of `parent`, unless the job sets it itself.$$;

create function labos.engine_name(name text) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_name';
comment on function labos.engine_name(text) is
$$Canonical name of an engine

Accepts aliases in any case; null when there is no such engine.$$;

create function labos.engine_scale(name text) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_scale';
comment on function labos.engine_scale(text) is
$$Scale of an engine

atomic, mesoscale or continuum; null when there is no such engine.$$;

create function labos.engine_parameter_problems(engine text, parameters jsonb) returns jsonb
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_parameter_problems';
comment on function labos.engine_parameter_problems(text, jsonb) is
$$Everything that is wrong with engine parameters

An array of {path, code, message}, empty when they are valid; at most 51 entries. Error: LB501 unknown engine.$$;

create function labos.engine_prepare(engine text, parameters jsonb) returns jsonb
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_prepare';
comment on function labos.engine_prepare(text, jsonb) is
$$What a run with these parameters would be

{engine, scale, version, parameters with defaults, parameters_hash (SHA-256 of the canonical form), domain_size or mesh_info}. Errors: LB501 unknown engine, LB502 invalid parameters.$$;

create function labos.engine_link(engine text, parameters jsonb, parent_engine text, parent_result jsonb)
  returns jsonb
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_link';
comment on function labos.engine_link(text, jsonb, text, jsonb) is
$$Parameters of a child job completed from its parent's result

Fills what labos.engine_links() lists and the child leaves open. Errors: LB501 unknown engine, LB502 not an object, or the parent's result lacks a linked number.$$;

create function labos.engine_run(engine text, parameters jsonb, seed bigint default 0, fidelity text default 'stub')
  returns jsonb
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_engine_run';
comment on function labos.engine_run(text, jsonb, bigint, text) is
$$Run an engine

The same engine version, parameters and seed give the same bytes everywhere. Errors: LB501 unknown engine, LB502 invalid parameters with all problems in DETAIL, LB503 fidelity not available.$$;
