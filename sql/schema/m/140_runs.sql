/*
 * Room: runs
 *
 * What instruments did to samples, and what came out.
 *
 * Holds    runs, results
 * Needs    samples, instruments
 * Used by  campaigns
 */

create domain lab_data.run_status as text
  constraint run_status_check check (value in ('queued', 'running', 'succeeded', 'failed', 'cancelled'));
comment on domain lab_data.run_status is 'Where a run stands.';
create domain lab_data.result_quality as text
  constraint result_quality_check check (value in ('good', 'suspect', 'bad', 'unknown'));
comment on domain lab_data.result_quality is 'How far a result can be trusted.';

-- runs ----------------------------------------------------------------------------

create table lab_data.runs (
  id              uuid        not null default labos.uuid_v7(),
  org_id          uuid        not null default labos.org_id(),
  instrument_id   uuid        not null,
  sample_id       uuid,
  project_id      uuid,
  method          lab_data.short_name not null,
  is_calibration  boolean     not null default false,
  params          lab_data.json_map not null default '{}',
  operator_id     uuid        default labos.user_id(),
  status          lab_data.run_status not null default 'queued',
  started_at      timestamptz,
  finished_at     timestamptz,
  error           lab_data.long_text,
  notes           lab_data.long_text,
  calibration_id  uuid,
  override_reason text,
  override_code   text,
  override_by_id  uuid,
  override_at     timestamptz,
  version         integer     not null default 1,
  created_at      timestamptz not null default now(),
  created_by      uuid,
  updated_at      timestamptz not null default now(),
  updated_by      uuid,
  deleted_at      timestamptz,
  deleted_by      uuid,
  constraint runs_pkey primary key (org_id, id),
  constraint runs_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint run_instrument foreign key (org_id, instrument_id)
    references lab_data.instruments (org_id, id) on delete no action,
  constraint run_sample foreign key (org_id, sample_id)
    references lab_data.samples (org_id, id) on delete no action,
  constraint run_project foreign key (org_id, project_id)
    references lab_data.projects (org_id, id) on delete no action,
  constraint run_operator foreign key (org_id, operator_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint run_calibration foreign key (org_id, calibration_id)
    references lab_data.calibrations (org_id, id) on delete no action,
  constraint run_override_by foreign key (org_id, override_by_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint runs_is_calibration_check check (not is_calibration or sample_id is null),
  constraint runs_override_reason_check check (length(override_reason) <= 2000 and length(btrim(override_reason)) >= 3),
  constraint runs_started_at_check check (status in ('queued', 'cancelled') or started_at is not null),
  constraint runs_finished_at_check check ((status in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null)),
  constraint runs_error_check check (status <> 'failed' or error is not null)
);
-- The queue of an instrument and what is running on it.
create index runs_org_id_instrument_id_status_idx on lab_data.runs (org_id, instrument_id, status);
-- The runs of a sample, newest first.
create index runs_org_id_sample_id_id_idx on lab_data.runs (org_id, sample_id, id) where sample_id is not null;
-- The runs of a project, newest first.
create index runs_org_id_project_id_id_idx on lab_data.runs (org_id, project_id, id) where project_id is not null;
-- What a calibration covered: needed when it turns out wrong.
create index runs_org_id_calibration_id_idx on lab_data.runs (org_id, calibration_id) where calibration_id is not null;

comment on table lab_data.runs is
$$Runs

One measurement or process on an instrument. On an instrument that requires calibration a run is created and started only under a valid calibration, whatever way it comes in: 409 with calibration_expired, calibration_missing, calibration_failed or instrument_unavailable.$$;
comment on column lab_data.runs.method is 'What is done. When the instrument lists capabilities it must be one of them.';
comment on column lab_data.runs.is_calibration is 'A run that calibrates the instrument: possible without a valid calibration for holders of calibration:create; it has no sample.';
comment on column lab_data.runs.params is 'Settings of the run, a JSON object; fixed once it is running.';
comment on column lab_data.runs.operator_id is 'Who carries it out; whoever creates it, unless said otherwise.';
comment on column lab_data.runs.status is 'queued > running, cancelled; running > succeeded, failed, cancelled.';
comment on column lab_data.runs.started_at is 'When it became running, by the server''s clock.';
comment on column lab_data.runs.finished_at is 'When it ended, by the server''s clock.';
comment on column lab_data.runs.error is 'Why it failed.';
comment on column lab_data.runs.calibration_id is 'The calibration that covered its start: the traceability of its results.';
comment on column lab_data.runs.override_reason is 'Why it may run without a valid calibration; needs calibration:override.';
comment on column lab_data.runs.override_code is 'What was overridden: calibration_expired, calibration_missing or calibration_failed. Set by the database.';
comment on column lab_data.runs.override_by_id is 'Who overrode. Set by the database.';

-- results -------------------------------------------------------------------------

create table lab_data.results (
  id             uuid        not null default labos.uuid_v7(),
  org_id         uuid        not null default labos.org_id(),
  run_id         uuid        not null,
  sample_id      uuid,
  property       lab_data.short_name not null,
  value          float8,
  uncertainty    float8,
  unit           lab_data.unit,
  value_text     lab_data.long_text,
  value_json     jsonb,
  value_array    float8[],
  axis           lab_data.json_map,
  lower_limit    float8,
  upper_limit    float8,
  out_of_spec    boolean generated always as (
    case when value is null or (lower_limit is null and upper_limit is null) then null
         else coalesce(value < lower_limit, false) or coalesce(value > upper_limit, false) end) stored,
  quality        lab_data.result_quality not null default 'good',
  method         lab_data.short_name,
  measured_at    timestamptz not null default now(),
  written_by     uuid[]      not null default '{}',
  reviewed_by_id uuid,
  reviewed_at    timestamptz,
  approved_by_id uuid,
  approved_at    timestamptz,
  metadata       lab_data.json_map not null default '{}',
  version        integer     not null default 1,
  created_at     timestamptz not null default now(),
  created_by     uuid,
  updated_at     timestamptz not null default now(),
  updated_by     uuid,
  deleted_at     timestamptz,
  deleted_by     uuid,
  constraint results_pkey primary key (org_id, id),
  constraint results_org_id_fkey foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint result_run foreign key (org_id, run_id)
    references lab_data.runs (org_id, id) on delete no action,
  constraint result_sample foreign key (org_id, sample_id)
    references lab_data.samples (org_id, id) on delete no action,
  constraint result_reviewed_by foreign key (org_id, reviewed_by_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint result_approved_by foreign key (org_id, approved_by_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint results_one_value_check check (num_nonnulls(value, value_text, value_json, value_array) = 1),
  constraint results_value_check check (value > '-Infinity' and value < 'Infinity'),
  constraint results_uncertainty_check check (
    uncertainty is null or (uncertainty >= 0 and uncertainty < 'Infinity' and value is not null)),
  constraint results_unit_check check ((unit is not null) = (value is not null or value_array is not null)),
  constraint results_value_array_check check (
    value_array is null or (array_ndims(value_array) = 1 and cardinality(value_array) <= 10000000
      and not value_array && '{NaN,Infinity,-Infinity}'::float8[])),
  constraint results_axis_check check (
    axis is null or (value_array is not null and jsonb_typeof(axis -> 'name') = 'string' and jsonb_typeof(axis -> 'unit') = 'string'
      and case when axis ? 'values'
            then jsonb_typeof(axis -> 'values') = 'array' and jsonb_array_length(axis -> 'values') = cardinality(value_array)
            else jsonb_typeof(axis -> 'first') = 'number' and jsonb_typeof(axis -> 'step') = 'number' end) is true),
  constraint results_limits_check check (
    lower_limit > '-Infinity' and lower_limit < 'Infinity' and upper_limit > '-Infinity' and upper_limit < 'Infinity'
    and lower_limit <= upper_limit),
  constraint results_limits_value_check check (value is not null or (lower_limit is null and upper_limit is null)),
  constraint results_measured_at_check check (isfinite(measured_at)),
  constraint results_reviewed_at_check check ((reviewed_by_id is null) = (reviewed_at is null)),
  constraint results_approved_at_check check (
    (approved_by_id is null) = (approved_at is null) and (approved_at is null or reviewed_at is not null))
);
-- The results of a run in the order recorded.
create index results_org_id_run_id_id_idx on lab_data.results (org_id, run_id, id);
-- The results of a sample, newest first.
create index results_org_id_sample_id_id_idx on lab_data.results (org_id, sample_id, id) where sample_id is not null;
-- All values of a property: trends and ranges.
create index results_org_id_property_value_idx on lab_data.results (org_id, property, value) where value is not null;

comment on table lab_data.results is
$$Results

What a run gave: a number with unit and standard uncertainty, a text, a JSON value, or an array (a spectrum) with its axis. Recorded while the run is running or after it has ended; fixed once approved.$$;
comment on column lab_data.results.sample_id is 'The sample of the run. Set by the database.';
comment on column lab_data.results.property is 'What was measured: analyte or property.';
comment on column lab_data.results.value is 'The number, in unit; finite.';
comment on column lab_data.results.uncertainty is 'Standard uncertainty of value (GUM), in unit.';
comment on column lab_data.results.unit is 'Unit of value or of the elements of value_array; 1 for a pure number.';
comment on column lab_data.results.value_array is 'A spectrum or other series, in unit; a missing point is null.';
comment on column lab_data.results.axis is 'The axis of value_array: {"name", "unit", "first", "step"} when even, {"name", "unit", "values": [...]} otherwise.';
comment on column lab_data.results.lower_limit is 'Specification, in unit.';
comment on column lab_data.results.upper_limit is 'Specification, in unit.';
comment on column lab_data.results.out_of_spec is 'Is value outside of its limits? Computed by the database; null without limits. The limits themselves are inside.';
comment on column lab_data.results.quality is 'good, suspect, bad or unknown.';
comment on column lab_data.results.written_by is 'Who recorded or changed it: none of them reviews or approves it. Set by the database.';
comment on column lab_data.results.reviewed_by_id is 'Who reviewed it, by result_review; not who recorded it.';
comment on column lab_data.results.approved_by_id is 'Who approved it, by result_approve; not who recorded it. An approved result is fixed.';
