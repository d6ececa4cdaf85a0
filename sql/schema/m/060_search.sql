/*
 * Room: search
 *
 * Indexes for what clients search under row security: people,
 * materials and datasets. One GIN index a
 * table, organisation first: names by trigrams (ilike), prose by words (fts,
 * plfts, phfts, wfts), jsonb and arrays by what they contain (cs, ov). New
 * entries wait in the index's pending list, so that a row costs one append and
 * not one descent a trigram. test/sql/search.sql says which columns these are,
 * and why others are not.
 *
 * Absent   regular expressions (match, imatch): they filter what the rest finds.
 */

create index users_names_idx on lab_data.users
  using gin (username labos_ops.gin_trgm_ops, email labos_ops.gin_trgm_ops, full_name labos_ops.gin_trgm_ops, first_name labos_ops.gin_trgm_ops, last_name labos_ops.gin_trgm_ops);
create index materials_search_idx on lab_data.materials
  using gin (org_id, name labos_ops.gin_trgm_ops, formula, description labos_ops.gin_words_ops, tags labos_ops.gin_array_ops, properties labos_ops.gin_jsonb_path_ops);
create index datasets_search_idx on lab_data.datasets
  using gin (org_id, name labos_ops.gin_trgm_ops, description labos_ops.gin_words_ops, feature_names labos_ops.gin_array_ops);

-- It had no organisation in front: a search read the entries of all.
drop index lab_data.materials_formula_idx;

-- What is read by a reference, newest first: the id at the end spares the sort.
create index materials_org_id_owner_id_id_idx on lab_data.materials (org_id, owner_id, id);
drop index lab_data.materials_org_id_owner_id_idx;
