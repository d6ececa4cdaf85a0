/*
 * Room: types
 *
 * labos_ops: operators that row security lets use an index. They do what the
 * operators of the same name in pg_catalog do, and are LEAKPROOF because they
 * raise no error that depends on a value. They stand before pg_catalog in the
 * search path of the API roles, so that ILIKE, @> and < mean these.
 *
 * Holds    ~~ !~~ ~~* !~~* on text; @> <@ on jsonb; < <= = <> >= > on numeric; @@ on tsvector
 *          gin_trgm_ops, gin_jsonb_path_ops, gin_tsvector_ops, numeric_ops (btree, hash): none is a default
 * Absent   regular expressions, similarity, jsonpath: their errors depend on values. ops_search.sql has the rest.
 */

-- text: LIKE and ILIKE --------------------------------------------------------

create function labos_ops.like(text, text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_like';
create function labos_ops.nlike(text, text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_nlike';
create function labos_ops.ilike(text, text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_ilike';
create function labos_ops.nilike(text, text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_nilike';
comment on function labos_ops.like(text, text) is 'LIKE, leakproof: a lone backslash at the end of the pattern stands for itself, where PostgreSQL raises 22025.';
comment on function labos_ops.nlike(text, text) is 'NOT LIKE, leakproof.';
comment on function labos_ops.ilike(text, text) is 'ILIKE, leakproof: a lone backslash at the end of the pattern stands for itself, where PostgreSQL raises 22025.';
comment on function labos_ops.nilike(text, text) is 'NOT ILIKE, leakproof.';

create operator labos_ops.~~ (
  function = labos_ops.like, leftarg = text, rightarg = text,
  negator = operator(labos_ops.!~~), restrict = likesel, join = likejoinsel);
create operator labos_ops.!~~ (
  function = labos_ops.nlike, leftarg = text, rightarg = text,
  negator = operator(labos_ops.~~), restrict = nlikesel, join = nlikejoinsel);
create operator labos_ops.~~* (
  function = labos_ops.ilike, leftarg = text, rightarg = text,
  negator = operator(labos_ops.!~~*), restrict = iclikesel, join = iclikejoinsel);
create operator labos_ops.!~~* (
  function = labos_ops.nilike, leftarg = text, rightarg = text,
  negator = operator(labos_ops.~~*), restrict = icnlikesel, join = icnlikejoinsel);
comment on operator labos_ops.~~ (text, text) is 'LIKE, leakproof';
comment on operator labos_ops.!~~ (text, text) is 'NOT LIKE, leakproof';
comment on operator labos_ops.~~* (text, text) is 'ILIKE, leakproof';
comment on operator labos_ops.!~~* (text, text) is 'NOT ILIKE, leakproof';

-- pg_trgm may be in any schema.
do $do$
declare
  v_trgm name;
begin
  select n.nspname into strict v_trgm
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
  where e.extname operator(pg_catalog.=) 'pg_trgm';
  execute pg_catalog.format($sql$
    create operator class labos_ops.gin_trgm_ops for type text using gin as
      operator 3 labos_ops.~~ (text, text), operator 4 labos_ops.~~* (text, text),
      function 1 pg_catalog.btint4cmp(integer, integer),
      function 2 %1$I.gin_extract_value_trgm(text, internal),
      function 3 %1$I.gin_extract_query_trgm(text, internal, smallint, internal, internal, internal, internal),
      function 4 %1$I.gin_trgm_consistent(internal, smallint, text, integer, internal, internal, internal, internal),
      function 6 %1$I.gin_trgm_triconsistent(internal, smallint, text, integer, internal, internal, internal),
      storage integer
  $sql$, v_trgm);
end
$do$;
comment on operator class labos_ops.gin_trgm_ops using gin is 'trigrams for LIKE and ILIKE of labos_ops';

-- jsonb: containment ----------------------------------------------------------

create function labos_ops.jsonb_contains(jsonb, jsonb) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_jsonb_contains';
create function labos_ops.jsonb_contained(jsonb, jsonb) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_jsonb_contained';
comment on function labos_ops.jsonb_contains(jsonb, jsonb) is 'jsonb @>, leakproof.';
comment on function labos_ops.jsonb_contained(jsonb, jsonb) is 'jsonb <@, leakproof.';

create operator labos_ops.@> (
  function = labos_ops.jsonb_contains, leftarg = jsonb, rightarg = jsonb,
  commutator = operator(labos_ops.<@), restrict = matchingsel, join = matchingjoinsel);
create operator labos_ops.<@ (
  function = labos_ops.jsonb_contained, leftarg = jsonb, rightarg = jsonb,
  commutator = operator(labos_ops.@>), restrict = matchingsel, join = matchingjoinsel);
comment on operator labos_ops.@> (jsonb, jsonb) is 'contains, leakproof';
comment on operator labos_ops.<@ (jsonb, jsonb) is 'is contained by, leakproof';

create operator class labos_ops.gin_jsonb_path_ops for type jsonb using gin as
  operator 7 labos_ops.@>,
  function 1 pg_catalog.btint4cmp(integer, integer),
  function 2 pg_catalog.gin_extract_jsonb_path(jsonb, internal, internal),
  function 3 pg_catalog.gin_extract_jsonb_query_path(jsonb, internal, smallint, internal, internal, internal, internal),
  function 4 pg_catalog.gin_consistent_jsonb_path(internal, smallint, jsonb, integer, internal, internal, internal, internal),
  function 6 pg_catalog.gin_triconsistent_jsonb_path(internal, smallint, jsonb, integer, internal, internal, internal),
  storage integer;
comment on operator class labos_ops.gin_jsonb_path_ops using gin is 'path hashes for @> of labos_ops';

-- numeric: order ----------------------------------------------------------------

create function labos_ops.numeric_lt(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_lt';
create function labos_ops.numeric_le(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_le';
create function labos_ops.numeric_eq(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_eq';
create function labos_ops.numeric_ne(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_ne';
create function labos_ops.numeric_ge(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_ge';
create function labos_ops.numeric_gt(numeric, numeric) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_numeric_gt';
comment on function labos_ops.numeric_lt(numeric, numeric) is 'numeric <, leakproof.';
comment on function labos_ops.numeric_le(numeric, numeric) is 'numeric <=, leakproof.';
comment on function labos_ops.numeric_eq(numeric, numeric) is 'numeric =, leakproof.';
comment on function labos_ops.numeric_ne(numeric, numeric) is 'numeric <>, leakproof.';
comment on function labos_ops.numeric_ge(numeric, numeric) is 'numeric >=, leakproof.';
comment on function labos_ops.numeric_gt(numeric, numeric) is 'numeric >, leakproof.';

create operator labos_ops.= (
  function = labos_ops.numeric_eq, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.=), negator = operator(labos_ops.<>),
  restrict = eqsel, join = eqjoinsel, hashes, merges);
create operator labos_ops.<> (
  function = labos_ops.numeric_ne, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.<>), negator = operator(labos_ops.=),
  restrict = neqsel, join = neqjoinsel);
create operator labos_ops.< (
  function = labos_ops.numeric_lt, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.>), negator = operator(labos_ops.>=),
  restrict = scalarltsel, join = scalarltjoinsel);
create operator labos_ops.<= (
  function = labos_ops.numeric_le, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.>=), negator = operator(labos_ops.>),
  restrict = scalarlesel, join = scalarlejoinsel);
create operator labos_ops.>= (
  function = labos_ops.numeric_ge, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.<=), negator = operator(labos_ops.<),
  restrict = scalargesel, join = scalargejoinsel);
create operator labos_ops.> (
  function = labos_ops.numeric_gt, leftarg = numeric, rightarg = numeric,
  commutator = operator(labos_ops.<), negator = operator(labos_ops.<=),
  restrict = scalargtsel, join = scalargtjoinsel);
comment on operator labos_ops.= (numeric, numeric) is 'equal, leakproof';
comment on operator labos_ops.<> (numeric, numeric) is 'not equal, leakproof';
comment on operator labos_ops.< (numeric, numeric) is 'less than, leakproof';
comment on operator labos_ops.<= (numeric, numeric) is 'less than or equal, leakproof';
comment on operator labos_ops.>= (numeric, numeric) is 'greater than or equal, leakproof';
comment on operator labos_ops.> (numeric, numeric) is 'greater than, leakproof';

create operator class labos_ops.numeric_ops for type numeric using btree as
  operator 1 labos_ops.<, operator 2 labos_ops.<=, operator 3 labos_ops.=, operator 4 labos_ops.>=, operator 5 labos_ops.>,
  function 1 pg_catalog.numeric_cmp(numeric, numeric),
  function 2 pg_catalog.numeric_sortsupport(internal);
create operator class labos_ops.numeric_ops for type numeric using hash as
  operator 1 labos_ops.=,
  function 1 pg_catalog.hash_numeric(numeric),
  function 2 pg_catalog.hash_numeric_extended(numeric, bigint);
comment on operator class labos_ops.numeric_ops using btree is 'order for the comparisons of labos_ops';
comment on operator class labos_ops.numeric_ops using hash is 'hash joins with = of labos_ops';

-- tsvector: full text -------------------------------------------------------------

create function labos_ops.ts_match(tsvector, tsquery) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_ts_match';
comment on function labos_ops.ts_match(tsvector, tsquery) is 'tsvector @@ tsquery, leakproof.';

create operator labos_ops.@@ (
  function = labos_ops.ts_match, leftarg = tsvector, rightarg = tsquery,
  restrict = tsmatchsel, join = tsmatchjoinsel);
comment on operator labos_ops.@@ (tsvector, tsquery) is 'matches, leakproof';

create operator class labos_ops.gin_tsvector_ops for type tsvector using gin as
  operator 1 labos_ops.@@ (tsvector, tsquery),
  function 1 pg_catalog.gin_cmp_tslexeme(text, text),
  function 2 pg_catalog.gin_extract_tsvector(tsvector, internal, internal),
  function 3 pg_catalog.gin_extract_tsquery(tsvector, internal, smallint, internal, internal, internal, internal),
  function 4 pg_catalog.gin_tsquery_consistent(internal, smallint, tsvector, integer, internal, internal, internal, internal),
  function 5 pg_catalog.gin_cmp_prefix(text, text, smallint, internal),
  function 6 pg_catalog.gin_tsquery_triconsistent(internal, smallint, tsvector, integer, internal, internal, internal),
  storage text;
comment on operator class labos_ops.gin_tsvector_ops using gin is 'lexemes for @@ of labos_ops';
