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

-- What is read by a reference, newest first: the id at the end spares the sort.
create index projects_org_id_lead_id_id_idx on lab_data.projects (org_id, lead_id, id) where lead_id is not null;
drop index lab_data.projects_org_id_lead_id_idx;
create index samples_org_id_location_id_id_idx on lab_data.samples (org_id, location_id, id) where location_id is not null;
drop index lab_data.samples_org_id_location_id_idx;
create index instruments_org_id_responsible_id_id_idx on lab_data.instruments (org_id, responsible_id, id) where responsible_id is not null;
create index calibrations_org_id_instrument_id_id_idx on lab_data.calibrations (org_id, instrument_id, id);
create index locations_org_id_parent_id_id_idx on lab_data.locations (org_id, parent_id, id);
drop index lab_data.locations_org_id_parent_id_idx;
create index instruments_org_id_location_id_id_idx on lab_data.instruments (org_id, location_id, id) where location_id is not null;
drop index lab_data.instruments_org_id_location_id_idx;
create index runs_org_id_calibration_id_id_idx on lab_data.runs (org_id, calibration_id, id) where calibration_id is not null;
drop index lab_data.runs_org_id_calibration_id_idx;
create index runs_org_id_instrument_id_id_idx on lab_data.runs (org_id, instrument_id, id);
