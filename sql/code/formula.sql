/*
 * Room: types
 *
 * labos.formula: a chemical formula. Amounts are exact to a billionth of an
 * atom; equality and hash are by composition and charge; @>, <@ and && compare
 * the elements and never raise, so that row security may use their index.
 *
 * Holds    the type, casts, accessors, operators, operator classes for btree, hash and gin
 */

create type labos.formula;

create function labos.formula_in(cstring) returns labos.formula
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_in';
create function labos.formula_out(labos.formula) returns cstring
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_out';
create function labos.formula_recv(internal) returns labos.formula
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_recv';
create function labos.formula_send(labos.formula) returns bytea
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_send';
comment on function labos.formula_in(cstring) is 'Reads a chemical formula; LB202 names the character it stumbled at.';
comment on function labos.formula_out(labos.formula) is 'Writes a chemical formula in Hill order.';
comment on function labos.formula_recv(internal) is 'Binary input of a chemical formula.';
comment on function labos.formula_send(labos.formula) is 'Binary output: int16 charge, n, then code and amount (1e-9 atoms) of each element.';

create type labos.formula (
  input          = labos.formula_in,
  output         = labos.formula_out,
  receive        = labos.formula_recv,
  send           = labos.formula_send,
  internallength = variable,
  alignment      = double,
  storage        = main
);
comment on type labos.formula is
$$Chemical formula

Brackets, hydrates (CuSO4·5H2O), broken amounts (Li0.95CoO2) and charges (SO4^2-) are read; the output is in Hill order. Two formulas are equal when amounts and charge are. Errors: LB202 with the character in question.$$;

create cast (text as labos.formula) with inout as assignment;
create cast (varchar as labos.formula) with inout as assignment;
create cast (labos.formula as text) with inout as assignment;
create cast (labos.formula as varchar) with inout as assignment;

-- what a formula tells ------------------------------------------------------

create function labos.formula_valid(formula text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_valid';
comment on function labos.formula_valid(text) is 'Would this text be read as a formula? Never raises.';

create function labos.molar_mass(formula labos.formula) returns float8
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_molar_mass';
comment on function labos.molar_mass(labos.formula) is
$$Molar mass in g/mol

IUPAC abridged standard atomic weights 2021. Elements without one count with the mass number of the IUPAC periodic table; the electrons of a charge are counted.$$;

create function labos.elements(formula labos.formula) returns text[]
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_elements';
comment on function labos.elements(labos.formula) is 'The symbols in alphabetical order.';

create function labos.n_elements(formula labos.formula) returns integer
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_n_elements';
comment on function labos.n_elements(labos.formula) is 'The number of different elements.';

create function labos.n_atoms(formula labos.formula) returns float8
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_n_atoms';
comment on function labos.n_atoms(labos.formula) is 'Atoms per formula unit.';

create function labos.charge(formula labos.formula) returns integer
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_charge';
comment on function labos.charge(labos.formula) is 'The charge in elementary charges; 0 when neutral.';

create function labos.amount(formula labos.formula, element text) returns float8
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_amount';
comment on function labos.amount(labos.formula, text) is 'Atoms of an element per formula unit, 0 when absent; LB202 for an unknown element.';

create function labos.fraction(formula labos.formula, element text) returns float8
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_fraction';
comment on function labos.fraction(labos.formula, text) is 'Share of the atoms, 0 to 1; LB202 for an unknown element.';

create function labos.mass_fraction(formula labos.formula, element text) returns float8
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_mass_fraction';
comment on function labos.mass_fraction(labos.formula, text) is 'Share of the mass, 0 to 1; LB202 for an unknown element.';

create function labos.formula_reduced(formula labos.formula) returns labos.formula
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_reduced';
comment on function labos.formula_reduced(labos.formula) is
$$The smallest formula of whole amounts in the same proportions

Mo2S4 becomes MoS2, Li0.95CoO2 becomes Li19Co20O40. Amounts that no factor up to 10,000 makes whole are divided by their common measure; a charge is reduced along.$$;

create function labos.formula_anonymous(formula labos.formula, descending boolean default false) returns text
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_anonymous';
comment on function labos.formula_anonymous(labos.formula, boolean) is
$$The proportions without the names

Letters for the elements of the reduced formula, rarest first (CaTiO3 is ABC3), or commonest first when descending, as OPTIMADE writes it (A3BC).$$;

-- equality and order ---------------------------------------------------------

create function labos.formula_eq(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_eq';
create function labos.formula_ne(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_ne';
create function labos.formula_lt(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_lt';
create function labos.formula_le(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_le';
create function labos.formula_ge(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_ge';
create function labos.formula_gt(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_gt';
create function labos.formula_cmp(labos.formula, labos.formula) returns integer
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_cmp';
create function labos.formula_hash(labos.formula) returns integer
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_hash';
create function labos.formula_hash_extended(labos.formula, bigint) returns bigint
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_hash_extended';
comment on function labos.formula_eq(labos.formula, labos.formula) is 'implementation of = operator';
comment on function labos.formula_ne(labos.formula, labos.formula) is 'implementation of <> operator';
comment on function labos.formula_lt(labos.formula, labos.formula) is 'implementation of < operator';
comment on function labos.formula_le(labos.formula, labos.formula) is 'implementation of <= operator';
comment on function labos.formula_ge(labos.formula, labos.formula) is 'implementation of >= operator';
comment on function labos.formula_gt(labos.formula, labos.formula) is 'implementation of > operator';
comment on function labos.formula_cmp(labos.formula, labos.formula) is 'btree support: Hill''s order';
comment on function labos.formula_hash(labos.formula) is 'hash support';
comment on function labos.formula_hash_extended(labos.formula, bigint) is 'hash support';

create operator labos.= (
  function = labos.formula_eq, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.=), negator = operator(labos.<>),
  restrict = eqsel, join = eqjoinsel, hashes, merges);
create operator labos.<> (
  function = labos.formula_ne, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.<>), negator = operator(labos.=),
  restrict = neqsel, join = neqjoinsel);
create operator labos.< (
  function = labos.formula_lt, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.>), negator = operator(labos.>=),
  restrict = scalarltsel, join = scalarltjoinsel);
create operator labos.<= (
  function = labos.formula_le, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.>=), negator = operator(labos.>),
  restrict = scalarlesel, join = scalarlejoinsel);
create operator labos.>= (
  function = labos.formula_ge, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.<=), negator = operator(labos.<),
  restrict = scalargesel, join = scalargejoinsel);
create operator labos.> (
  function = labos.formula_gt, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.<), negator = operator(labos.<=),
  restrict = scalargtsel, join = scalargtjoinsel);

create operator class labos.formula_ops default for type labos.formula using btree as
  operator 1 labos.<, operator 2 labos.<=, operator 3 labos.=, operator 4 labos.>=, operator 5 labos.>,
  function 1 labos.formula_cmp(labos.formula, labos.formula),
  function 4 pg_catalog.btequalimage(oid);
create operator class labos.formula_ops default for type labos.formula using hash as
  operator 1 labos.=,
  function 1 labos.formula_hash(labos.formula),
  function 2 labos.formula_hash_extended(labos.formula, bigint);

-- elements -------------------------------------------------------------------

create function labos.formula_contains(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_contains';
create function labos.formula_contained(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_contained';
create function labos.formula_overlaps(labos.formula, labos.formula) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_overlaps';
create function labos.formula_contains(labos.formula, text[]) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_contains_array';
create function labos.formula_contained(labos.formula, text[]) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_contained_array';
create function labos.formula_overlaps(labos.formula, text[]) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_formula_overlaps_array';
comment on function labos.formula_contains(labos.formula, labos.formula) is 'implementation of @> operator';
comment on function labos.formula_contained(labos.formula, labos.formula) is 'implementation of <@ operator';
comment on function labos.formula_overlaps(labos.formula, labos.formula) is 'implementation of && operator';
comment on function labos.formula_contains(labos.formula, text[]) is 'implementation of @> operator';
comment on function labos.formula_contained(labos.formula, text[]) is 'implementation of <@ operator';
comment on function labos.formula_overlaps(labos.formula, text[]) is 'implementation of && operator';

create operator labos.@> (
  function = labos.formula_contains, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.<@), restrict = contsel, join = contjoinsel);
create operator labos.<@ (
  function = labos.formula_contained, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.@>), restrict = contsel, join = contjoinsel);
create operator labos.&& (
  function = labos.formula_overlaps, leftarg = labos.formula, rightarg = labos.formula,
  commutator = operator(labos.&&), restrict = contsel, join = contjoinsel);
create operator labos.@> (
  function = labos.formula_contains, leftarg = labos.formula, rightarg = text[], restrict = contsel, join = contjoinsel);
create operator labos.<@ (
  function = labos.formula_contained, leftarg = labos.formula, rightarg = text[], restrict = contsel, join = contjoinsel);
create operator labos.&& (
  function = labos.formula_overlaps, leftarg = labos.formula, rightarg = text[], restrict = contsel, join = contjoinsel);
comment on operator labos.@> (labos.formula, labos.formula) is 'has all elements of';
comment on operator labos.<@ (labos.formula, labos.formula) is 'has no other elements than (chemical system)';
comment on operator labos.&& (labos.formula, labos.formula) is 'has an element in common with';
comment on operator labos.@> (labos.formula, text[]) is 'has all these elements';
comment on operator labos.<@ (labos.formula, text[]) is 'has no other elements than these (chemical system)';
comment on operator labos.&& (labos.formula, text[]) is 'has one of these elements';

create function labos.formula_gin_extract(labos.formula, internal, internal) returns internal
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_gin_extract';
create function labos.formula_gin_query(labos.formula, internal, smallint, internal, internal, internal, internal) returns internal
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_gin_query';
create function labos.formula_gin_consistent(internal, smallint, labos.formula, integer, internal, internal, internal, internal) returns boolean
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_gin_consistent';
create function labos.formula_gin_triconsistent(internal, smallint, labos.formula, integer, internal, internal, internal) returns "char"
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_formula_gin_triconsistent';
comment on function labos.formula_gin_extract(labos.formula, internal, internal) is 'gin support';
comment on function labos.formula_gin_query(labos.formula, internal, smallint, internal, internal, internal, internal) is 'gin support';
comment on function labos.formula_gin_consistent(internal, smallint, labos.formula, integer, internal, internal, internal, internal) is 'gin support';
comment on function labos.formula_gin_triconsistent(internal, smallint, labos.formula, integer, internal, internal, internal) is 'gin support';

create operator class labos.formula_gin_ops default for type labos.formula using gin as
  operator 1 labos.&&, operator 2 labos.@>, operator 3 labos.<@,
  operator 11 labos.&&(labos.formula, text[]), operator 12 labos.@>(labos.formula, text[]),
  operator 13 labos.<@(labos.formula, text[]),
  function 1 pg_catalog.btint8cmp(bigint, bigint),
  function 2 labos.formula_gin_extract(labos.formula, internal, internal),
  function 3 labos.formula_gin_query(labos.formula, internal, smallint, internal, internal, internal, internal),
  function 4 labos.formula_gin_consistent(internal, smallint, labos.formula, integer, internal, internal, internal, internal),
  function 6 labos.formula_gin_triconsistent(internal, smallint, labos.formula, integer, internal, internal, internal),
  storage bigint;
