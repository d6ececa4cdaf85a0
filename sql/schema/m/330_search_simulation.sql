/*
 * Room: search
 *
 * Indexes for what clients search under row security of structures and jobs. One GIN index a
 * table, organisation first: names by trigrams (ilike), prose by words (fts,
 * plfts, phfts, wfts), jsonb and arrays by what they contain (cs, ov). New
 * entries wait in the index's pending list, so that a row costs one append and
 * not one descent a trigram. test/sql/search.sql says which columns these are,
 * and why others are not.
 *
 * Absent   regular expressions (match, imatch): they filter what the rest finds.
 */

create index structures_search_idx on lab_data.structures
  using gin (org_id, name labos_ops.gin_trgm_ops, formula);
create index simulation_jobs_search_idx on lab_data.simulation_jobs
  using gin (org_id, name labos_ops.gin_trgm_ops, description labos_ops.gin_words_ops, parameters labos_ops.gin_jsonb_path_ops);
