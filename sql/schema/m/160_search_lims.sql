/*
 * Room: search
 *
 * Indexes for what clients search under row security in the laboratory. One GIN index a
 * table, organisation first: names by trigrams (ilike), prose by words (fts,
 * plfts, phfts, wfts), jsonb and arrays by what they contain (cs, ov). New
 * entries wait in the index's pending list, so that a row costs one append and
 * not one descent a trigram. test/sql/search.sql says which columns these are,
 * and why others are not.
 *
 * Absent   regular expressions (match, imatch): they filter what the rest finds.
 */

create index projects_search_idx on lab_data.projects
  using gin (org_id, code labos_ops.gin_trgm_ops, name labos_ops.gin_trgm_ops, description labos_ops.gin_words_ops, metadata labos_ops.gin_jsonb_path_ops);
create index locations_search_idx on lab_data.locations
  using gin (org_id, code labos_ops.gin_trgm_ops, name labos_ops.gin_trgm_ops, description labos_ops.gin_words_ops, metadata labos_ops.gin_jsonb_path_ops);
-- Beside samples_org_id_name_metadata_idx of 0.1.
create index samples_search_idx on lab_data.samples
  using gin (org_id, description labos_ops.gin_words_ops, hazards labos_ops.gin_array_ops);
create index instruments_search_idx on lab_data.instruments
  using gin (org_id, name labos_ops.gin_trgm_ops, description labos_ops.gin_words_ops, capabilities labos_ops.gin_array_ops, metadata labos_ops.gin_jsonb_path_ops);
create index calibrations_search_idx on lab_data.calibrations
  using gin (org_id, notes labos_ops.gin_words_ops);
create index runs_search_idx on lab_data.runs
  using gin (org_id, notes labos_ops.gin_words_ops, params labos_ops.gin_jsonb_path_ops);
create index results_search_idx on lab_data.results
  using gin (org_id, metadata labos_ops.gin_jsonb_path_ops);
