/*
 * Room: instruments
 *
 * What measures, and the certificates that say how well. The calibration
 * lockout (140_runs) asks this room whether an instrument may be used.
 *
 * Holds    instruments, calibrations
 * Needs    locations
 * Used by  runs
 */

create domain lab_data.instrument_status as text
  constraint instrument_status_check check (value in ('available', 'in_use', 'maintenance', 'out_of_service'));
comment on domain lab_data.instrument_status is 'May an instrument be used?';
create domain lab_data.calibration_result as text
  constraint calibration_result_check check (value in ('pass', 'adjusted', 'fail'));
comment on domain lab_data.calibration_result is 'What a calibration found.';

-- instruments ---------------------------------------------------------------------

create table lab_data.instruments (
  id                   uuid        not null default labos.uuid_v7(),
  org_id               uuid        not null default labos.org_id(),
  name                 lab_data.short_name not null,
  model                lab_data.short_name,
  manufacturer         lab_data.short_name,
  serial_number        lab_data.short_name,
  description          lab_data.long_text,
  status               lab_data.instrument_status not null default 'available',
  location_id          uuid,
  responsible_id       uuid,
  capabilities         text[]      not null default '{}',
  connection           lab_data.json_map not null default '{}',
  requires_calibration boolean     not null default true,
  due_soon_days        integer     not null default 30,
  parallel_runs        integer     not null default 1,
  metadata             lab_data.json_map not null default '{}',
  version              integer     not null default 1,
  created_at           timestamptz not null default now(),
  created_by           uuid,
  updated_at           timestamptz not null default now(),
  updated_by           uuid,
  deleted_at           timestamptz,
  deleted_by           uuid,
  constraint instruments_pkey primary key (org_id, id),
  constraint instruments_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint instrument_location foreign key (org_id, location_id)
    references lab_data.locations (org_id, id) on delete no action,
  constraint instrument_responsible foreign key (org_id, responsible_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint instruments_capabilities_check check (cardinality(capabilities) <= 100 and array_position(capabilities, null) is null),
  constraint instruments_due_soon_days_check check (due_soon_days between 0 and 3650),
  constraint instruments_parallel_runs_check check (parallel_runs between 1 and 1000)
);
-- A serial number names one live instrument.
create unique index instruments_org_id_serial_number_key
  on lab_data.instruments (org_id, serial_number) where deleted_at is null and serial_number is not null;
-- What stands in a location.
create index instruments_org_id_location_id_idx on lab_data.instruments (org_id, location_id) where location_id is not null;

comment on table lab_data.instruments is
$$Instruments

What measures. An instrument that requires calibration runs only while a passed and approved calibration covers the moment.$$;
comment on column lab_data.instruments.serial_number is 'As on the type plate; unique among the organisation''s live instruments.';
comment on column lab_data.instruments.status is
  'available, in_use (set while a run is running), maintenance, out_of_service. In the last two only calibration runs are possible in maintenance, and none out of service.';
comment on column lab_data.instruments.responsible_id is 'Who looks after it.';
comment on column lab_data.instruments.capabilities is 'Methods it can do, for instance {uv-vis,raman}; empty: not restricted.';
comment on column lab_data.instruments.connection is 'How to reach it (address, driver, port). No secrets: every reader sees them.';
comment on column lab_data.instruments.requires_calibration is 'Runs are locked without a valid calibration.';
comment on column lab_data.instruments.due_soon_days is 'How many days before it expires a calibration counts as due soon.';
comment on column lab_data.instruments.parallel_runs is 'How many runs may be running at the same time.';

-- calibrations --------------------------------------------------------------------

create table lab_data.calibrations (
  id                  uuid        not null default labos.uuid_v7(),
  org_id              uuid        not null default labos.org_id(),
  instrument_id       uuid        not null,
  certificate_id      lab_data.short_name not null,
  issued_at           timestamptz not null,
  expires_at          timestamptz not null,
  provider            lab_data.short_name not null,
  result              lab_data.calibration_result not null,
  uncertainty         float8,
  uncertainty_unit    lab_data.unit,
  coverage_factor     float8,
  reference_standards jsonb       not null default '[]',
  document_uri        text,
  document_sha256     text,
  notes               lab_data.long_text,
  written_by          uuid[]      not null default '{}',
  approved_by_id      uuid,
  approved_at         timestamptz,
  version             integer     not null default 1,
  created_at          timestamptz not null default now(),
  created_by          uuid,
  updated_at          timestamptz not null default now(),
  updated_by          uuid,
  deleted_at          timestamptz,
  deleted_by          uuid,
  constraint calibrations_pkey primary key (org_id, id),
  constraint calibrations_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint calibration_instrument foreign key (org_id, instrument_id)
    references lab_data.instruments (org_id, id) on delete no action,
  constraint calibration_approved_by foreign key (org_id, approved_by_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint calibrations_expires_at_check check (expires_at > issued_at and isfinite(issued_at) and isfinite(expires_at)),
  constraint calibrations_uncertainty_check check (uncertainty >= 0 and uncertainty < 'Infinity'),
  constraint calibrations_uncertainty_unit_check check ((uncertainty is null) = (uncertainty_unit is null)),
  constraint calibrations_coverage_factor_check check (coverage_factor > 0 and coverage_factor <= 10),
  constraint calibrations_reference_standards_check check (
    jsonb_typeof(reference_standards) = 'array'
    and not jsonb_path_exists(reference_standards,
      'lax $[*] ? (!(@.type() == "object") || !exists(@.certificate_id ? (@.type() == "string" && @ != "")))')),
  constraint calibrations_document_uri_check check (length(document_uri) <= 2000 and document_uri ~ '^[a-z][a-z0-9+.-]*:'),
  constraint calibrations_document_sha256_check check (document_sha256 ~ '^[0-9a-f]{64}$'),
  constraint calibrations_approved_at_check check ((approved_by_id is null) = (approved_at is null))
);
-- A certificate is recorded once for an instrument.
create unique index calibrations_org_id_instrument_id_certificate_id_key
  on lab_data.calibrations (org_id, instrument_id, certificate_id) where deleted_at is null;
-- The lockout: the approved certificates of an instrument, latest first.
create index calibrations_org_id_instrument_id_issued_at_idx
  on lab_data.calibrations (org_id, instrument_id, issued_at desc) where deleted_at is null and approved_at is not null;

comment on table lab_data.calibrations is
$$Calibrations

Certificates of instruments. A certificate counts once a holder of calibration:approve other than its recorder has approved it; a change to what was approved takes the approval back.$$;
comment on column lab_data.calibrations.certificate_id is 'The number on the certificate; unique for the instrument.';
comment on column lab_data.calibrations.issued_at is 'From when it counts.';
comment on column lab_data.calibrations.expires_at is 'Until when it counts, exclusive.';
comment on column lab_data.calibrations.result is 'pass, adjusted (passed after adjustment) or fail. A later approved failure takes earlier certificates out of force.';
comment on column lab_data.calibrations.uncertainty is 'Expanded uncertainty of the certificate, in uncertainty_unit, with coverage_factor.';
comment on column lab_data.calibrations.reference_standards is 'Array of objects, one a standard used, each with its own certificate_id.';
comment on column lab_data.calibrations.document_uri is 'Where the certificate is stored.';
comment on column lab_data.calibrations.document_sha256 is 'SHA-256 of the stored certificate, lower-case hex.';
comment on column lab_data.calibrations.written_by is 'Who recorded it or changed what counts: none of them approves it. Set by the database.';
comment on column lab_data.calibrations.approved_by_id is 'Who approved it, by calibration_approve.';

-- What calibration_status returns.
create type lab.calibration_state as (
  instrument_id        uuid,
  instrument           text,
  requires_calibration boolean,
  state                text,
  calibration_id       uuid,
  certificate_id       text,
  issued_at            timestamptz,
  expires_at           timestamptz,
  days_left            integer,
  failed_at            timestamptz,
  pending              bigint
);
comment on type lab.calibration_state is 'State of calibration of an instrument.';
