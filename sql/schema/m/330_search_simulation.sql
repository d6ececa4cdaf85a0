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

-- What is read by a reference, newest first: the id at the end spares the sort.
create index structures_org_id_owner_id_id_idx on lab_data.structures (org_id, owner_id, id);
create index structures_org_id_material_id_id_idx on lab_data.structures (org_id, material_id, id);
drop index lab_data.structures_org_id_material_id_idx;
create index structures_org_id_parent_structure_id_id_idx on lab_data.structures (org_id, parent_structure_id, id);
drop index lab_data.structures_org_id_parent_structure_id_idx;
create index simulation_jobs_org_id_parent_job_id_id_idx on lab_data.simulation_jobs (org_id, parent_job_id, id);
drop index lab_data.simulation_jobs_org_id_parent_job_id_idx;
create index simulation_jobs_org_id_structure_id_id_idx on lab_data.simulation_jobs (org_id, structure_id, id);
drop index lab_data.simulation_jobs_org_id_structure_id_idx;
