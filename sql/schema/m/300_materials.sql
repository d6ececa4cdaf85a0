/*
 * Room: materials
 *
 * What substances the laboratory thinks about, and data sets of measured
 * materials that campaigns draw candidates from.
 *
 * Holds    materials, datasets, dataset_rows
 * Needs    tenancy, formula, campaign (composition_features)
 * Used by  simulation (structures of a material), campaigns (pools)
 *
 * A data set is written once by dataset_import and never edited, so that a
 * campaign on it can be repeated; a better one gets a new name.
 */

-- materials -----------------------------------------------------------------

create table lab_data.materials (
  id          uuid          not null default labos.uuid_v7(),
  org_id      uuid          not null default labos.org_id(),
  name        text          not null,
  formula     labos.formula,
  source      text,
  description text,
  tags        text[]        not null default '{}',
  properties  jsonb         not null default '{}',
  owner_id    uuid          not null default labos.user_id(),
  version     integer       not null default 1,
  created_at  timestamptz   not null default now(),
  created_by  uuid,
  updated_at  timestamptz   not null default now(),
  updated_by  uuid,
  deleted_at  timestamptz,
  deleted_by  uuid,
  constraint materials_pkey primary key (org_id, id),
  constraint material_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint material_owner foreign key (org_id, owner_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint materials_name_check check (length(btrim(name)) between 1 and 200),
  constraint materials_source_check check (length(source) <= 1000),
  constraint materials_description_check check (length(description) <= 10000),
  constraint materials_tags_check check (cardinality(tags) <= 50 and array_position(tags, null) is null and length(array_to_string(tags, '')) <= 2000),
  constraint materials_properties_check check (jsonb_typeof(properties) = 'object' and pg_column_size(properties) <= 65536)
);
-- Search by elements and by composition; the owner's list.
create index materials_org_id_owner_id_idx on lab_data.materials (org_id, owner_id);
create index materials_formula_idx on lab_data.materials using gin (formula) where deleted_at is null;

comment on table lab_data.materials is
$$Materials

A substance under study, with its formula where it has one. Seen by its owner and by holders of material:read_any.$$;
comment on column lab_data.materials.formula is 'Chemical formula, such as MoS2; null where there is none (a polymer blend).';
comment on column lab_data.materials.source is 'Where the entry comes from: a data base and number, a paper, a project.';
comment on column lab_data.materials.tags is 'Free labels, at most 50.';
comment on column lab_data.materials.properties is 'Known properties by name; units belong in the names, such as band_gap_ev.';
comment on column lab_data.materials.owner_id is 'Whose it is; only the owner and holders of material:update_any change it.';

-- datasets ------------------------------------------------------------------

create table lab_data.datasets (
  id            uuid        not null default labos.uuid_v7(),
  org_id        uuid        not null default labos.org_id(),
  name          text        not null,
  description   text,
  source        text,
  licence       text,
  columns       jsonb       not null,
  feature_names text[]      not null,
  row_count     integer     not null,
  sha256        text        not null,
  version       integer     not null default 1,
  created_at    timestamptz not null default now(),
  created_by    uuid,
  updated_at    timestamptz not null default now(),
  updated_by    uuid,
  deleted_at    timestamptz,
  deleted_by    uuid,
  constraint datasets_pkey primary key (org_id, id),
  constraint dataset_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint datasets_name_check check (length(btrim(name)) between 1 and 63),
  constraint datasets_description_check check (length(description) <= 10000),
  constraint datasets_source_check check (length(source) <= 1000),
  constraint datasets_licence_check check (length(licence) <= 200),
  constraint datasets_columns_check check (jsonb_typeof(columns) = 'object'),
  constraint datasets_row_count_check check (row_count > 0),
  constraint datasets_sha256_check check (sha256 ~ '^[0-9a-f]{64}$')
);
-- A name says which data a configuration means.
create unique index datasets_org_id_name_key on lab_data.datasets (org_id, name) where deleted_at is null;

comment on table lab_data.datasets is
$$Data sets

Measured materials that campaigns can draw from. Written by rpc/dataset_import; seen by everybody in the organisation with material:read.$$;
comment on column lab_data.datasets.columns is 'How the text was read: formula, parameters and properties with their columns.';
comment on column lab_data.datasets.feature_names is 'What the numbers in dataset_rows.features are, in order.';
comment on column lab_data.datasets.sha256 is 'Of the imported text, hexadecimal.';

-- dataset_rows --------------------------------------------------------------

create table lab_data.dataset_rows (
  id         uuid          not null default labos.uuid_v7(),
  org_id     uuid          not null default labos.org_id(),
  dataset_id uuid          not null,
  row_index  integer       not null,
  formula    labos.formula,
  parameters jsonb         not null default '{}',
  measured   jsonb         not null,
  features   float8[]      not null,
  constraint dataset_rows_pkey primary key (id, org_id),
  constraint dataset_row_dataset foreign key (org_id, dataset_id)
    references lab_data.datasets (org_id, id) on delete cascade,
  -- Also the order in which a pool is read.
  constraint dataset_rows_org_id_dataset_id_row_index_key unique (org_id, dataset_id, row_index),
  constraint dataset_rows_row_index_check check (row_index >= 1),
  constraint dataset_rows_parameters_check check (jsonb_typeof(parameters) = 'object'),
  constraint dataset_rows_measured_check check (jsonb_typeof(measured) = 'object')
);

comment on table lab_data.dataset_rows is
$$Rows of data sets

One measured material each. Written by rpc/dataset_import only.$$;
comment on column lab_data.dataset_rows.row_index is '1-based place in the imported text.';
comment on column lab_data.dataset_rows.measured is 'Measured properties by name; one that is missing there was not measured.';
comment on column lab_data.dataset_rows.features is 'Numbers for models: features of the composition, then the numeric parameters.';
