/*
 * Room: locations
 *
 * Where things stand: a tree of sites, rooms, freezers, boxes and positions.
 * A sample points at its location only, so that moving a freezer moves one row.
 *
 * Holds    locations
 * Needs    tenancy
 * Used by  samples, instruments
 */

create domain lab_data.location_kind as text
  constraint location_kind_check check (value in
    ('site', 'building', 'room', 'bench', 'cabinet', 'refrigerator', 'freezer', 'dewar', 'shelf', 'rack', 'box', 'plate', 'position'));
comment on domain lab_data.location_kind is 'Kinds of places.';

create table lab_data.locations (
  id           uuid        not null default labos.uuid_v7(),
  org_id       uuid        not null default labos.org_id(),
  parent_id    uuid,
  kind         lab_data.location_kind not null,
  code         lab_data.short_code not null,
  name         lab_data.short_name not null,
  grid_rows    integer,
  grid_columns integer,
  temperature_c float8,
  description  lab_data.long_text,
  metadata     lab_data.json_map not null default '{}',
  version      integer     not null default 1,
  created_at   timestamptz not null default now(),
  created_by   uuid,
  updated_at   timestamptz not null default now(),
  updated_by   uuid,
  deleted_at   timestamptz,
  deleted_by   uuid,
  constraint locations_pkey primary key (org_id, id),
  constraint locations_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint location_parent foreign key (org_id, parent_id)
    references lab_data.locations (org_id, id) on delete no action,
  constraint locations_parent_id_check check (parent_id <> id),
  constraint locations_grid_check check (
    (grid_rows is null) = (grid_columns is null) and grid_rows between 1 and 702 and grid_columns between 1 and 999),
  constraint locations_grid_kind_check check (kind in ('box', 'plate', 'rack', 'shelf', 'dewar') or grid_rows is null),
  constraint locations_kind_parent_check check (
    case kind when 'site' then parent_id is null when 'position' then parent_id is not null else true end),
  constraint locations_temperature_c_check check (temperature_c between -273.15 and 2000)
);
-- A code names one live location.
create unique index locations_org_id_code_key on lab_data.locations (org_id, code) where deleted_at is null;
-- The children of a location.
create index locations_org_id_parent_id_idx on lab_data.locations (org_id, parent_id);

comment on table lab_data.locations is
$$Locations

A tree of places. A place with a grid (rows × columns) holds one container at each position (A1, A2, ...); a place of kind position holds one container; the tree has no cycles and at most 32 levels.$$;
comment on column lab_data.locations.parent_id is 'What it stands in; null at the top. A site has none, a position has one.';
comment on column lab_data.locations.code is 'Unique among the organisation''s live locations.';
comment on column lab_data.locations.grid_rows is 'Rows of a box, plate or rack (1-702: A, B, ..., ZZ); null: no grid.';
comment on column lab_data.locations.grid_columns is 'Columns of a box, plate or rack (1-999).';
comment on column lab_data.locations.temperature_c is 'Storage temperature in degrees Celsius.';
