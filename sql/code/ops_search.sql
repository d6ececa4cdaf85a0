/*
 * Room: types
 *
 * labos_ops, second part: arrays, keys of jsonb, and full text on plain text.
 *
 * Holds    @> <@ && on arrays; ? ?| ?& on jsonb; words(); @@ of text and tsquery
 *          gin_array_ops, gin_jsonb_ops, gin_words_ops: none is a default
 * Absent   = of arrays: that of pg_catalog serves. Ranges: no table searches them.
 *          date with timestamptz: PostgREST compares a column with its own type.
 */

-- arrays: containment and overlap ---------------------------------------------

create function labos_ops.array_contains(anyarray, anyarray) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_array_contains';
create function labos_ops.array_contained(anyarray, anyarray) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_array_contained';
create function labos_ops.array_overlaps(anyarray, anyarray) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_array_overlaps';
comment on function labos_ops.array_contains(anyarray, anyarray) is 'Array @>, leakproof: elements whose equality might raise are compared by their bytes.';
comment on function labos_ops.array_contained(anyarray, anyarray) is 'Array <@, leakproof: elements whose equality might raise are compared by their bytes.';
comment on function labos_ops.array_overlaps(anyarray, anyarray) is 'Array &&, leakproof: elements whose equality might raise are compared by their bytes.';

create function labos_ops.array_sel(internal, oid, internal, integer) returns double precision
  language c stable strict parallel safe as 'MODULE_PATHNAME', 'labos_ops_array_sel';
comment on function labos_ops.array_sel(internal, oid, internal, integer) is 'How many rows an operator on arrays will find.';

create operator labos_ops.@> (
  function = labos_ops.array_contains, leftarg = anyarray, rightarg = anyarray,
  commutator = operator(labos_ops.<@), restrict = labos_ops.array_sel, join = arraycontjoinsel);
create operator labos_ops.<@ (
  function = labos_ops.array_contained, leftarg = anyarray, rightarg = anyarray,
  commutator = operator(labos_ops.@>), restrict = labos_ops.array_sel, join = arraycontjoinsel);
create operator labos_ops.&& (
  function = labos_ops.array_overlaps, leftarg = anyarray, rightarg = anyarray,
  commutator = operator(labos_ops.&&), restrict = labos_ops.array_sel, join = arraycontjoinsel);
comment on operator labos_ops.@> (anyarray, anyarray) is 'contains, leakproof';
comment on operator labos_ops.<@ (anyarray, anyarray) is 'is contained by, leakproof';
comment on operator labos_ops.&& (anyarray, anyarray) is 'overlaps, leakproof';

create operator class labos_ops.gin_array_ops for type anyarray using gin as
  operator 1 labos_ops.&&, operator 2 labos_ops.@>, operator 3 labos_ops.<@,
  function 2 pg_catalog.ginarrayextract(anyarray, internal, internal),
  function 3 pg_catalog.ginqueryarrayextract(anyarray, internal, smallint, internal, internal, internal, internal),
  function 4 pg_catalog.ginarrayconsistent(internal, smallint, anyarray, integer, internal, internal, internal, internal),
  function 6 pg_catalog.ginarraytriconsistent(internal, smallint, anyarray, integer, internal, internal, internal),
  storage anyelement;
comment on operator class labos_ops.gin_array_ops using gin is 'elements for @>, <@ and && of labos_ops';

-- jsonb: keys -------------------------------------------------------------------

create function labos_ops.jsonb_exists(jsonb, text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_jsonb_exists';
create function labos_ops.jsonb_exists_any(jsonb, text[]) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_jsonb_exists_any';
create function labos_ops.jsonb_exists_all(jsonb, text[]) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_ops_jsonb_exists_all';
comment on function labos_ops.jsonb_exists(jsonb, text) is 'jsonb ?, leakproof.';
comment on function labos_ops.jsonb_exists_any(jsonb, text[]) is 'jsonb ?|, leakproof.';
comment on function labos_ops.jsonb_exists_all(jsonb, text[]) is 'jsonb ?&, leakproof.';

create operator labos_ops.? (
  function = labos_ops.jsonb_exists, leftarg = jsonb, rightarg = text, restrict = matchingsel, join = matchingjoinsel);
create operator labos_ops.?| (
  function = labos_ops.jsonb_exists_any, leftarg = jsonb, rightarg = text[], restrict = matchingsel, join = matchingjoinsel);
create operator labos_ops.?& (
  function = labos_ops.jsonb_exists_all, leftarg = jsonb, rightarg = text[], restrict = matchingsel, join = matchingjoinsel);
comment on operator labos_ops.? (jsonb, text) is 'has the key, leakproof';
comment on operator labos_ops.?| (jsonb, text[]) is 'has one of the keys, leakproof';
comment on operator labos_ops.?& (jsonb, text[]) is 'has all of the keys, leakproof';

create operator class labos_ops.gin_jsonb_ops for type jsonb using gin as
  operator 7 labos_ops.@>, operator 9 labos_ops.? (jsonb, text),
  operator 10 labos_ops.?| (jsonb, text[]), operator 11 labos_ops.?& (jsonb, text[]),
  function 1 pg_catalog.gin_compare_jsonb(text, text),
  function 2 pg_catalog.gin_extract_jsonb(jsonb, internal, internal),
  function 3 pg_catalog.gin_extract_jsonb_query(jsonb, internal, smallint, internal, internal, internal, internal),
  function 4 pg_catalog.gin_consistent_jsonb(internal, smallint, jsonb, integer, internal, internal, internal, internal),
  function 6 pg_catalog.gin_triconsistent_jsonb(internal, smallint, jsonb, integer, internal, internal, internal),
  storage text;
comment on operator class labos_ops.gin_jsonb_ops using gin is 'keys and values for @>, ?, ?| and ?& of labos_ops';

-- text: words -------------------------------------------------------------------

create function labos_ops.words(text) returns tsvector
  language c immutable strict parallel safe leakproof cost 10 as 'MODULE_PATHNAME', 'labos_ops_words';
comment on function labos_ops.words(text) is 'The words of a text, as to_tsvector(''simple'', text) gives them, leakproof: words of 1024 bytes and what follows half a megabyte of words are left out.';

create function labos_ops.text_match(text, tsquery) returns boolean
  language c immutable strict parallel safe leakproof cost 10 as 'MODULE_PATHNAME', 'labos_ops_text_match';
comment on function labos_ops.text_match(text, tsquery) is 'text @@ tsquery, leakproof: the words of the configuration simple, whatever default_text_search_config says.';

create operator labos_ops.@@ (
  function = labos_ops.text_match, leftarg = text, rightarg = tsquery, restrict = tsmatchsel, join = tsmatchjoinsel);
comment on operator labos_ops.@@ (text, tsquery) is 'has words that match, leakproof';

create function labos_ops.gin_extract_words(text, internal, internal) returns internal
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_ops_gin_extract_words';
comment on function labos_ops.gin_extract_words(text, internal, internal) is 'The words of a text as keys of an index.';
create function labos_ops.gin_extract_word_query(text, internal, smallint, internal, internal, internal, internal) returns internal
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_ops_gin_extract_word_query';
create function labos_ops.gin_words_consistent(internal, smallint, text, integer, internal, internal, internal, internal) returns boolean
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_ops_gin_words_consistent';
create function labos_ops.gin_words_triconsistent(internal, smallint, text, integer, internal, internal, internal) returns "char"
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_ops_gin_words_triconsistent';
comment on function labos_ops.gin_extract_word_query(text, internal, smallint, internal, internal, internal, internal) is 'The keys that a query of words looks for.';
comment on function labos_ops.gin_words_consistent(internal, smallint, text, integer, internal, internal, internal, internal) is 'Do the keys found make a match?';
comment on function labos_ops.gin_words_triconsistent(internal, smallint, text, integer, internal, internal, internal) is 'Do the keys found make a match, or perhaps?';

create operator class labos_ops.gin_words_ops for type text using gin as
  operator 1 labos_ops.@@ (text, tsquery),
  function 1 pg_catalog.gin_cmp_tslexeme(text, text),
  function 2 labos_ops.gin_extract_words(text, internal, internal),
  function 3 labos_ops.gin_extract_word_query(text, internal, smallint, internal, internal, internal, internal),
  function 4 labos_ops.gin_words_consistent(internal, smallint, text, integer, internal, internal, internal, internal),
  function 5 pg_catalog.gin_cmp_prefix(text, text, smallint, internal),
  function 6 labos_ops.gin_words_triconsistent(internal, smallint, text, integer, internal, internal, internal),
  storage text;
comment on operator class labos_ops.gin_words_ops using gin is 'words for @@ of labos_ops on plain text';
