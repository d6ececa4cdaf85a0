/*
 * Room: search
 *
 * Indexes for what clients search under row security of campaigns. One GIN index a
 * table, organisation first: names by trigrams (ilike), prose by words (fts,
 * plfts, phfts, wfts), jsonb and arrays by what they contain (cs, ov). New
 * entries wait in the index's pending list, so that a row costs one append and
 * not one descent a trigram. test/sql/search.sql says which columns these are,
 * and why others are not.
 *
 * Absent   regular expressions (match, imatch): they filter what the rest finds.
 */

create index design_campaigns_search_idx on lab_data.design_campaigns
  using gin (org_id, name labos_ops.gin_trgm_ops, description labos_ops.gin_words_ops);

-- What is read by a reference, newest first: the id at the end spares the sort.
create index campaign_candidates_org_id_campaign_id_id_idx on lab_data.campaign_candidates (org_id, campaign_id, id);
create index campaign_candidates_org_id_iteration_id_id_idx on lab_data.campaign_candidates (org_id, iteration_id, id);
drop index lab_data.campaign_candidates_org_id_iteration_id_idx;
create index design_campaigns_org_id_dataset_id_id_idx on lab_data.design_campaigns (org_id, dataset_id, id);
drop index lab_data.design_campaigns_org_id_dataset_id_idx;
