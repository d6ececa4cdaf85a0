/*
 * Room: simulation
 *
 * Structures of materials, what models predict for them, and simulation jobs on
 * three scales. A job names its engine, parameters and seed; its result is a
 * function of these, so that it can be had again. Jobs chain from the finer to
 * the coarser scale: a child takes its parent's figures as input.
 *
 * Holds    structures, predicted_properties, simulation_jobs, simulation_results, simulation_fields
 * Needs    tenancy, formula, engine, materials (lab_data.materials)
 * Used by  campaigns
 *
 * Absent on purpose: a crystal column. Structures keep their source text until the
 * crystal type exists; a later migration adds `crystal`, filled from `source`, and
 * checks formula and n_atoms against it.
 */

create domain lab_data.structure_format as text
  constraint structure_format_check check (value in ('cif', 'poscar', 'xyz', 'extxyz', 'pdb', 'json'));
comment on domain lab_data.structure_format is 'How the source text of a structure is written.';

create domain lab_data.simulation_scale as text
  constraint simulation_scale_check check (value in ('atomic', 'mesoscale', 'continuum'));
comment on domain lab_data.simulation_scale is 'atomic (nm), mesoscale (um to mm) or continuum (mm to m).';

create domain lab_data.job_status as text
  constraint job_status_check check (value in ('PENDING', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'));
comment on domain lab_data.job_status is 'Where a simulation job stands.';

-- structures ----------------------------------------------------------------

create table lab_data.structures (
  id                  uuid        not null default labos.uuid_v7(),
  org_id              uuid        not null default labos.org_id(),
  owner_id            uuid        not null default labos.user_id(),
  material_id         uuid,
  parent_structure_id uuid,
  name                text,
  formula             labos.formula not null,
  n_atoms             integer     not null,
  dimensionality      smallint    not null default 3,
  format              lab_data.structure_format not null,
  source              text        not null,
  hash                text        not null,
  generated_by        jsonb,
  version             integer     not null default 1,
  created_at          timestamptz not null default now(),
  created_by          uuid,
  updated_at          timestamptz not null default now(),
  updated_by          uuid,
  deleted_at          timestamptz,
  deleted_by          uuid,
  constraint structures_pkey primary key (org_id, id),
  constraint structures_name_check check (length(btrim(name)) between 1 and 200),
  constraint structures_n_atoms_check check (n_atoms between 1 and 1000000),
  constraint structures_dimensionality_check check (dimensionality between 0 and 3),
  constraint structures_source_check check (length(source) between 1 and 4000000),
  constraint structures_hash_check check (hash ~ '^[0-9a-f]{64}$'),
  constraint structures_generated_by_check check (jsonb_typeof(generated_by) = 'object' and pg_column_size(generated_by) <= 65536),
  constraint structures_parent_structure_id_check check (parent_structure_id <> id)
);
alter table lab_data.structures add constraint structure_organization
  foreign key (org_id) references lab_data.organizations (id) on delete no action;
alter table lab_data.structures add constraint structure_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;
alter table lab_data.structures add constraint structure_material
  foreign key (org_id, material_id) references lab_data.materials (org_id, id) on delete no action;
alter table lab_data.structures add constraint structure_parent
  foreign key (org_id, parent_structure_id) references lab_data.structures (org_id, id) on delete no action;
-- The structures of a material; what was generated from one; equal ones.
create index structures_org_id_material_id_idx on lab_data.structures (org_id, material_id);
create index structures_org_id_parent_structure_id_idx on lab_data.structures (org_id, parent_structure_id);
create index structures_org_id_hash_idx on lab_data.structures (org_id, hash);

comment on table lab_data.structures is
$$Structures

The arrangement of atoms of a material, as its source text. Visible to its owner and holders of material:read_any; the text never changes, a new structure names its parent.$$;
comment on column lab_data.structures.formula is 'Formula of the cell.';
comment on column lab_data.structures.n_atoms is 'Atoms in the cell.';
comment on column lab_data.structures.dimensionality is '0 molecule, 1 chain, 2 sheet, 3 bulk.';
comment on column lab_data.structures.source is 'The text as it was given.';
comment on column lab_data.structures.hash is 'SHA-256 of the source with line ends and outer blanks made equal, as hex: finds equal texts.';
comment on column lab_data.structures.parent_structure_id is 'The structure this one was generated from.';
comment on column lab_data.structures.generated_by is 'How it was generated from its parent: {method, ...}.';

-- predicted_properties ------------------------------------------------------

create table lab_data.predicted_properties (
  id            uuid        not null default labos.uuid_v7(),
  org_id        uuid        not null default labos.org_id(),
  owner_id      uuid        not null default labos.user_id(),
  structure_id  uuid        not null,
  model_name    text        not null,
  model_version text        not null,
  properties    jsonb       not null,
  uncertainty   jsonb,
  created_at    timestamptz not null default now(),
  created_by    uuid,
  constraint predicted_properties_pkey primary key (id, org_id),
  constraint predicted_properties_model_name_check check (length(btrim(model_name)) between 1 and 100),
  constraint predicted_properties_model_version_check check (length(btrim(model_version)) between 1 and 50),
  constraint predicted_properties_properties_check check (jsonb_typeof(properties) = 'object' and pg_column_size(properties) <= 65536),
  constraint predicted_properties_uncertainty_check check (jsonb_typeof(uncertainty) = 'object' and pg_column_size(uncertainty) <= 65536)
);
alter table lab_data.predicted_properties add constraint predicted_property_organization
  foreign key (org_id) references lab_data.organizations (id) on delete no action;
alter table lab_data.predicted_properties add constraint predicted_property_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;
alter table lab_data.predicted_properties add constraint predicted_property_structure
  foreign key (org_id, structure_id) references lab_data.structures (org_id, id) on delete cascade;
-- The latest prediction of a model for a structure.
create index predicted_properties_org_id_structure_id_model_name_idx
  on lab_data.predicted_properties (org_id, structure_id, model_name, created_at desc);

comment on table lab_data.predicted_properties is
$$Predicted properties

What a model says about a structure. Written once and never changed: a better prediction is a new row.$$;
comment on column lab_data.predicted_properties.properties is 'Values by property name; units are in the names (band_gap_ev).';
comment on column lab_data.predicted_properties.uncertainty is 'Standard deviations by the same names.';

-- simulation_jobs -----------------------------------------------------------

create table lab_data.simulation_jobs (
  id            uuid        not null default labos.uuid_v7(),
  org_id        uuid        not null default labos.org_id(),
  owner_id      uuid        not null default labos.user_id(),
  name          text        not null,
  description   text,
  scale         lab_data.simulation_scale not null,
  engine_type   text        not null,
  fidelity      text        not null default 'stub',
  parameters    jsonb       not null default '{}',
  seed          bigint      not null default 0,
  parent_job_id uuid,
  -- The only scale a parent may have: the foreign key below holds it, whoever writes and however many at once.
  parent_scale  text        generated always as (case scale::text when 'mesoscale' then 'atomic' when 'continuum' then 'mesoscale' end) stored,
  structure_id  uuid,
  status        lab_data.job_status not null default 'PENDING',
  priority      smallint    not null default 0,
  progress      float8      not null default 0,
  attempts      integer     not null default 0,
  max_attempts  integer     not null default 3,
  run_after     timestamptz,
  worker        text,
  lease_until   timestamptz,
  error         jsonb,
  submitted_at  timestamptz,
  started_at    timestamptz,
  completed_at  timestamptz,
  version       integer     not null default 1,
  created_at    timestamptz not null default now(),
  created_by    uuid,
  updated_at    timestamptz not null default now(),
  updated_by    uuid,
  deleted_at    timestamptz,
  deleted_by    uuid,
  constraint simulation_jobs_pkey primary key (org_id, id),
  constraint simulation_jobs_org_id_id_scale_key unique (org_id, id, scale),
  constraint simulation_jobs_name_check check (length(btrim(name)) between 1 and 200),
  constraint simulation_jobs_description_check check (length(description) <= 4000),
  constraint simulation_jobs_engine_type_check check (
    case scale::text
      when 'atomic' then engine_type in ('ATOMIC')
      when 'mesoscale' then engine_type in ('PHASE_FIELD', 'MONTE_CARLO', 'KMC')
      when 'continuum' then engine_type in ('FEM', 'FVM', 'BEM')
    end),
  constraint simulation_jobs_fidelity_check check (fidelity in ('stub', 'physics')),
  constraint simulation_jobs_parameters_check check (jsonb_typeof(parameters) = 'object' and pg_column_size(parameters) <= 65536),
  constraint simulation_jobs_parent_job_id_check check (parent_job_id is null or (parent_job_id <> id and scale <> 'atomic')),
  constraint simulation_jobs_priority_check check (priority between -100 and 100),
  constraint simulation_jobs_progress_check check (progress between 0 and 1 and (status <> 'COMPLETED' or progress = 1)),
  constraint simulation_jobs_attempts_check check (attempts between 0 and max_attempts and (status not in ('RUNNING', 'COMPLETED', 'FAILED') or attempts > 0)),
  constraint simulation_jobs_max_attempts_check check (max_attempts between 1 and 20),
  constraint simulation_jobs_worker_check check (length(worker) between 1 and 200),
  constraint simulation_jobs_lease_until_check check (lease_until is null or (status = 'RUNNING' and worker is not null)),
  constraint simulation_jobs_error_check check ((error is not null) = (status = 'FAILED')),
  constraint simulation_jobs_submitted_at_check check (submitted_at is not null or status in ('PENDING', 'CANCELLED')),
  constraint simulation_jobs_started_at_check check (started_at is not null or status not in ('RUNNING', 'COMPLETED', 'FAILED')),
  constraint simulation_jobs_completed_at_check check ((completed_at is not null) = (status in ('COMPLETED', 'FAILED', 'CANCELLED')))
);
alter table lab_data.simulation_jobs add constraint simulation_job_organization
  foreign key (org_id) references lab_data.organizations (id) on delete no action;
alter table lab_data.simulation_jobs add constraint simulation_job_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;
alter table lab_data.simulation_jobs add constraint simulation_job_parent
  foreign key (org_id, parent_job_id, parent_scale) references lab_data.simulation_jobs (org_id, id, scale) on delete no action;
alter table lab_data.simulation_jobs add constraint simulation_job_structure
  foreign key (org_id, structure_id) references lab_data.structures (org_id, id) on delete no action;
-- Children of a job; jobs of a structure; the queue in the order of its work; an owner's list.
create index simulation_jobs_org_id_parent_job_id_idx on lab_data.simulation_jobs (org_id, parent_job_id);
create index simulation_jobs_org_id_structure_id_idx on lab_data.simulation_jobs (org_id, structure_id);
create index simulation_jobs_org_id_priority_submitted_at_idx
  on lab_data.simulation_jobs (org_id, priority desc, submitted_at) where status = 'QUEUED' and deleted_at is null;
create index simulation_jobs_org_id_owner_id_id_idx on lab_data.simulation_jobs (org_id, owner_id, id desc);

comment on table lab_data.simulation_jobs is
$$Simulation jobs

One run of an engine on one scale. Owners see their own, holders of simulation:read_any all of the organisation. Created by POST or rpc/job_create; the state changes by rpc/job_submit, job_run, job_cancel and job_retry only.$$;
comment on column lab_data.simulation_jobs.scale is 'atomic, mesoscale or continuum; follows from the engine when it is left out.';
comment on column lab_data.simulation_jobs.engine_type is
  'ATOMIC; PHASE_FIELD, MONTE_CARLO, KMC; FEM, FVM, BEM. Aliases such as PF, MC, FINITE_ELEMENT are accepted and stored by the full name.';
comment on column lab_data.simulation_jobs.fidelity is 'stub: instant deterministic figures. physics is not in this version.';
comment on column lab_data.simulation_jobs.parameters is 'As rpc/simulation_engines describes them; what is left out comes from the parent''s result, else it is the default.';
comment on column lab_data.simulation_jobs.seed is 'Same engine version, parameters and seed: same result, byte for byte.';
comment on column lab_data.simulation_jobs.parent_job_id is 'A job exactly one scale finer, whose result this one takes as input.';
comment on column lab_data.simulation_jobs.parent_scale is 'The scale a parent of this job must have; null for atomic jobs, which have none.';
comment on column lab_data.simulation_jobs.structure_id is 'Gives an atomic job its formula and number of atoms where its parameters do not.';
comment on column lab_data.simulation_jobs.status is 'PENDING, QUEUED, RUNNING, then COMPLETED, FAILED or CANCELLED; FAILED goes back to QUEUED by a retry.';
comment on column lab_data.simulation_jobs.priority is '-100 to 100; higher runs first.';
comment on column lab_data.simulation_jobs.progress is '0 to 1.';
comment on column lab_data.simulation_jobs.attempts is 'How often it was started.';
comment on column lab_data.simulation_jobs.run_after is 'Workers leave a retried job alone until then.';
comment on column lab_data.simulation_jobs.worker is 'Who runs it; null when a caller''s own session does.';
comment on column lab_data.simulation_jobs.lease_until is 'Until when a worker may be silent before the job counts as lost.';
comment on column lab_data.simulation_jobs.error is 'Why it failed: {code, message, sqlstate, detail}; null unless FAILED.';

-- simulation_results --------------------------------------------------------

create table lab_data.simulation_results (
  id                      uuid        not null default labos.uuid_v7(),
  org_id                  uuid        not null default labos.org_id(),
  job_id                  uuid        not null,
  owner_id                uuid        not null,
  scale                   lab_data.simulation_scale not null,
  engine_type             text        not null,
  result                  jsonb       not null,
  microstructure_metrics  jsonb       generated always as (result -> 'microstructure_metrics') stored,
  grain_size_distribution jsonb       generated always as (result -> 'grain_size_distribution') stored,
  phase_fractions         jsonb       generated always as (result #> '{microstructure_metrics,phase_fractions}') stored,
  domain_size             jsonb,
  timesteps               bigint      generated always as ((result ->> 'timesteps')::bigint) stored,
  effective_properties    jsonb       generated always as (result -> 'effective_properties') stored,
  mesh_info               jsonb,
  solution_fields         jsonb       generated always as (result -> 'solution_fields') stored,
  convergence_reached     boolean     generated always as ((result ->> 'convergence_reached')::boolean) stored,
  wall_time_ms            float8      not null,
  engine_version          text        not null,
  fidelity                text        not null,
  seed                    bigint      not null,
  parameters              jsonb       not null,
  parameters_hash         text        not null,
  parent_result_id        uuid,
  created_at              timestamptz not null default now(),
  created_by              uuid,
  constraint simulation_results_pkey primary key (id, org_id),
  constraint simulation_results_org_id_job_id_key unique (org_id, job_id),
  constraint simulation_results_result_check check (jsonb_typeof(result) = 'object'),
  constraint simulation_results_wall_time_ms_check check (wall_time_ms >= 0 and wall_time_ms < 'infinity'),
  constraint simulation_results_parameters_hash_check check (parameters_hash ~ '^[0-9a-f]{64}$')
);
alter table lab_data.simulation_results add constraint simulation_result_job
  foreign key (org_id, job_id, scale) references lab_data.simulation_jobs (org_id, id, scale) on delete no action;
alter table lab_data.simulation_results add constraint simulation_result_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;
alter table lab_data.simulation_results add constraint simulation_result_parent
  foreign key (org_id, parent_result_id) references lab_data.simulation_results (org_id, id) on delete no action;
-- What was computed from a result; equal runs.
create index simulation_results_org_id_parent_result_id_idx on lab_data.simulation_results (org_id, parent_result_id);
create index simulation_results_org_id_parameters_hash_idx on lab_data.simulation_results (org_id, parameters_hash);

comment on table lab_data.simulation_results is
$$Simulation results

What a completed job gave, written in the transaction that completed it and never changed. Engine version, parameters and seed are kept, so that the result can be had again.$$;
comment on column lab_data.simulation_results.owner_id is 'That of the job.';
comment on column lab_data.simulation_results.result is 'All figures, in the shape that rpc/simulation_engines lists with units; the columns after it are parts of it.';
comment on column lab_data.simulation_results.microstructure_metrics is 'Mesoscale: n_grains, mean_grain_size_um, phase_fractions, grain_boundary_density (1/um).';
comment on column lab_data.simulation_results.grain_size_distribution is 'Mesoscale, Monte Carlo: n_grains, mean, median and standard deviation in um, histogram.';
comment on column lab_data.simulation_results.phase_fractions is 'Mesoscale, phase field: volume fractions that add up to 1.';
comment on column lab_data.simulation_results.domain_size is 'Mesoscale: edges in um and number of cells.';
comment on column lab_data.simulation_results.effective_properties is 'Continuum: homogenised properties; units are in the names.';
comment on column lab_data.simulation_results.mesh_info is 'Continuum: dimensions, elements, nodes; atomic: atoms and k-points.';
comment on column lab_data.simulation_results.solution_fields is 'Continuum: extremes of the solution; units are in the names.';
comment on column lab_data.simulation_results.wall_time_ms is 'Milliseconds the engine took.';
comment on column lab_data.simulation_results.parameters is 'What the engine was given: the job''s parameters, its parent''s figures and the defaults.';
comment on column lab_data.simulation_results.parameters_hash is 'SHA-256 of engine, version and canonical parameters, as hex.';
comment on column lab_data.simulation_results.parent_result_id is 'The result that gave input.';

-- simulation_fields ---------------------------------------------------------

create table lab_data.simulation_fields (
  id           uuid        not null default labos.uuid_v7(),
  org_id       uuid        not null default labos.org_id(),
  result_id    uuid        not null,
  owner_id     uuid        not null,
  name         text        not null,
  unit         text        not null,
  shape        integer[]   not null,
  element_type text        not null,
  data         bytea       not null,
  sha256       text        generated always as (encode(sha256(data), 'hex')) stored,
  created_at   timestamptz not null default now(),
  created_by   uuid,
  constraint simulation_fields_pkey primary key (id, org_id),
  constraint simulation_fields_org_id_result_id_name_key unique (org_id, result_id, name),
  constraint simulation_fields_name_check check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint simulation_fields_unit_check check (length(unit) between 1 and 40),
  constraint simulation_fields_shape_check check (array_ndims(shape) = 1 and cardinality(shape) between 1 and 4 and 0 < all (shape)),
  constraint simulation_fields_element_type_check check (element_type in ('uint8', 'uint16', 'int32', 'float32', 'float64'))
);
alter table lab_data.simulation_fields add constraint simulation_field_result
  foreign key (org_id, result_id) references lab_data.simulation_results (org_id, id) on delete cascade;
alter table lab_data.simulation_fields add constraint simulation_field_owner
  foreign key (org_id, owner_id) references lab_data.memberships (org_id, user_id) on delete no action;

comment on table lab_data.simulation_fields is
$$Simulation fields

Arrays that belong to a result: a microstructure, a displacement field. Compressed by the database; stub engines give none.$$;
comment on column lab_data.simulation_fields.shape is 'Extent along each axis, slowest first.';
comment on column lab_data.simulation_fields.data is 'Elements in row-major order, little-endian.';
comment on column lab_data.simulation_fields.sha256 is 'Of data, as hex.';
