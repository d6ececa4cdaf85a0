/*
 * Room: samples
 *
 * What is measured. A sample is registered once, carries a barcode, stands
 * somewhere, belongs to somebody, and leaves a chain of custody behind.
 *
 * Holds    samples, sample_history
 * Needs    projects, locations, types (formula, labcode)
 * Used by  runs, results
 */

create domain lab_data.sample_status as text
  constraint sample_status_check check (value in ('registered', 'available', 'in_use', 'consumed', 'disposed', 'quarantined'));
comment on domain lab_data.sample_status is 'Where a sample is in its life.';
create domain lab_data.barcode_symbology as text
  constraint barcode_symbology_check check (value in ('labos', 'code128', 'code39', 'datamatrix', 'qr', 'ean8', 'upca', 'ean13', 'gtin14', 'sscc18'));
comment on domain lab_data.barcode_symbology is 'How a barcode is printed, and with that which check it carries.';
-- Globally Harmonized System: pictograms, hazard and precautionary statements.
create domain lab_data.ghs_code as text
  constraint ghs_code_check check (value ~ '^(GHS0[1-9]|(EU)?H[0-9]{3}[A-Za-z]{0,2}|P[0-9]{3}(\+P[0-9]{3}){0,4})$');
comment on domain lab_data.ghs_code is 'A code of the Globally Harmonized System: pictogram, hazard or precautionary statement.';
-- A unit symbol; '1' for a pure number. Its meaning is checked by the quantity type, later.
create domain lab_data.unit as text
  constraint unit_check check (length(value) between 1 and 40 and value ~ '^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$');
comment on domain lab_data.unit is 'A unit symbol of 1 to 40 characters; 1 for a pure number.';

-- samples -----------------------------------------------------------------------

create table lab_data.samples (
  id             uuid        not null default labos.uuid_v7(),
  org_id         uuid        not null default labos.org_id(),
  barcode        text        not null,
  barcode_symbology lab_data.barcode_symbology not null,
  name           lab_data.short_name not null,
  material_type  lab_data.short_name not null default 'material',
  formula        labos.formula,
  lot_code       lab_data.short_name,
  description    lab_data.long_text,
  status         lab_data.sample_status not null default 'registered',
  change_reason  text,
  quantity       float8,
  quantity_unit  lab_data.unit,
  hazards        lab_data.ghs_code[] not null default '{}',
  received_on    date,
  expires_on     date,
  project_id     uuid,
  location_id    uuid,
  position       text,
  owner_id       uuid        default labos.user_id(),
  transfer_to_id uuid,
  metadata       lab_data.json_map not null default '{}',
  version        integer     not null default 1,
  created_at     timestamptz not null default now(),
  created_by     uuid,
  updated_at     timestamptz not null default now(),
  updated_by     uuid,
  deleted_at     timestamptz,
  deleted_by     uuid,
  constraint samples_pkey primary key (org_id, id),
  constraint samples_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint sample_project foreign key (org_id, project_id)
    references lab_data.projects (org_id, id) on delete no action,
  constraint sample_location foreign key (org_id, location_id)
    references lab_data.locations (org_id, id) on delete no action,
  constraint sample_owner foreign key (org_id, owner_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint sample_transfer_to foreign key (org_id, transfer_to_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint samples_barcode_check check (barcode ~ '^[!-~]([ -~]{0,78}[!-~])?$'),
  constraint samples_quantity_check check (quantity >= 0 and quantity < 'Infinity'),
  constraint samples_quantity_unit_check check ((quantity is null) = (quantity_unit is null)),
  constraint samples_dates_check check (isfinite(received_on) and isfinite(expires_on)),
  constraint samples_hazards_check check (cardinality(hazards) <= 100 and array_position(hazards, null) is null),
  constraint samples_position_check check (position is null or location_id is not null),
  constraint samples_change_reason_check check (length(change_reason) <= 2000)
);
-- A barcode names one live sample; scanning finds it.
create unique index samples_org_id_barcode_key on lab_data.samples (org_id, barcode) where deleted_at is null;
-- A position holds one container; also the contents of a location.
create unique index samples_org_id_location_id_position_key
  on lab_data.samples (org_id, location_id, position) where deleted_at is null and position is not null;
-- The contents of a place without positions.
create index samples_org_id_location_id_idx on lab_data.samples (org_id, location_id) where location_id is not null;
-- The samples of a project, newest first.
create index samples_org_id_project_id_id_idx on lab_data.samples (org_id, project_id, id) where project_id is not null;
-- Somebody's samples, newest first.
create index samples_org_id_owner_id_id_idx on lab_data.samples (org_id, owner_id, id) where owner_id is not null;
-- What waits to be accepted.
create index samples_org_id_transfer_to_id_idx on lab_data.samples (org_id, transfer_to_id) where transfer_to_id is not null;
-- A lot.
create index samples_org_id_lot_code_idx on lab_data.samples (org_id, lot_code) where lot_code is not null;
-- Search by elements, within an organisation.
create index samples_org_id_formula_idx on lab_data.samples using gin (org_id, formula) where formula is not null;
-- Search by part of a name (ILIKE) and by facts (@>), within an organisation.
create index samples_org_id_name_metadata_idx on lab_data.samples
  using gin (org_id, name labos_ops.gin_trgm_ops, metadata labos_ops.gin_jsonb_path_ops);

comment on table lab_data.samples is
$$Samples

What is measured: material, amount, place, owner. A new sample gets a checked barcode unless it brings one; every change of status, place or owner is written to sample_history.$$;
comment on column lab_data.samples.barcode is
  'Unique among the organisation''s live samples. When not given: S-, the organisation''s counter, and an ISO 7064 MOD 37,36 check character (S-000123-K). A barcode of this shape is refused with 422 barcode_check_failed when its check character is wrong.';
comment on column lab_data.samples.barcode_symbology is
  'labos (ISO 7064 MOD 37,36), ean8, upca, ean13, gtin14, sscc18 (GS1 mod 10), or code128, code39, datamatrix, qr, whose content has no check of its own. When not given: labos for a barcode of that shape, else code128.';
comment on column lab_data.samples.material_type is 'What kind of thing it is: powder, wafer, solution, tissue, ...';
comment on column lab_data.samples.formula is 'Chemical formula; searched with the operators of labos.formula.';
comment on column lab_data.samples.status is
  'registered > available, quarantined, disposed; available <> in_use; both > quarantined, consumed, disposed; quarantined > available, disposed; consumed > disposed. New samples: registered, available or quarantined.';
comment on column lab_data.samples.change_reason is 'Why the status, place or owner is changed; give it with the change, sample_history keeps it.';
comment on column lab_data.samples.quantity is 'Amount on hand, in quantity_unit; finite, never negative.';
comment on column lab_data.samples.quantity_unit is 'Unit of quantity, for instance mg; given exactly when quantity is.';
comment on column lab_data.samples.hazards is 'GHS codes: pictograms (GHS02), hazard (H225) and precautionary statements (P210).';
comment on column lab_data.samples.location_id is 'Where it stands. A disposed sample stands nowhere.';
comment on column lab_data.samples.position is 'Position in the grid of the location (A1, B12); the first free one when the location has a grid and none is given.';
comment on column lab_data.samples.owner_id is 'Who has it in custody; whoever registers it, unless said otherwise. Changes by sample_transfer and sample_accept only.';
comment on column lab_data.samples.transfer_to_id is 'To whom it is offered; the hand-over is complete when that person accepts it.';
comment on column lab_data.samples.metadata is 'Any further facts, a JSON object.';

-- sample_history ------------------------------------------------------------------

create domain lab_data.custody_event as text
  constraint custody_event_check check (value in
    ('registered', 'moved', 'status_changed', 'offered', 'handed_over', 'withdrawn', 'deleted', 'restored'));
comment on domain lab_data.custody_event is 'What happened to a sample.';

create table lab_data.sample_history (
  id               uuid        not null default labos.uuid_v7(),
  org_id           uuid        not null,
  sample_id        uuid        not null,
  event            lab_data.custody_event not null,
  from_status      lab_data.sample_status,
  to_status        lab_data.sample_status,
  from_location_id uuid,
  to_location_id   uuid,
  from_position    text,
  to_position      text,
  from_owner_id    uuid,
  to_owner_id      uuid,
  reason           text,
  actor_id         uuid,
  at               timestamptz not null default clock_timestamp(),
  constraint sample_history_pkey primary key (id, org_id),
  constraint sample_history_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint sample_history_sample foreign key (org_id, sample_id)
    references lab_data.samples (org_id, id) on delete no action,
  constraint sample_history_from_location foreign key (org_id, from_location_id)
    references lab_data.locations (org_id, id) on delete no action,
  constraint sample_history_to_location foreign key (org_id, to_location_id)
    references lab_data.locations (org_id, id) on delete no action
);
-- The custody of one sample in order.
create index sample_history_org_id_sample_id_id_idx on lab_data.sample_history (org_id, sample_id, id);

comment on table lab_data.sample_history is
$$Sample history (chain of custody)

One row for each change of a sample's status, place or owner, written by triggers. It cannot be inserted, changed or deleted, by nobody.$$;
comment on column lab_data.sample_history.event is 'registered, moved, status_changed, offered (giver confirms), handed_over (taker confirms), withdrawn (offer taken back or declined), deleted, restored.';
comment on column lab_data.sample_history.reason is 'The change_reason given with the change.';
comment on column lab_data.sample_history.actor_id is 'The signed-in user; null for work of the database owner.';
comment on column lab_data.sample_history.at is 'When it happened, by the server''s clock.';
