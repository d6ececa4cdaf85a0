/*
 * Room: campaigns
 *
 * Design campaigns: propose candidates, evaluate them, learn, repeat.
 *
 * Holds    design_campaigns, design_iterations, campaign_candidates
 * Needs    materials (datasets), campaign (score, suggest)
 * Used by  the worker, agents over HTTP
 *
 * Iterations and candidates are written by the calls of this room only; they
 * are evidence and are never deleted.
 */

create domain lab_data.campaign_status as text
  constraint campaign_status_check check (value in ('CREATED', 'RUNNING', 'PAUSED', 'COMPLETED', 'FAILED', 'CANCELLED'));
comment on domain lab_data.campaign_status is 'CREATED, RUNNING, PAUSED, COMPLETED, FAILED or CANCELLED.';

create domain lab_data.candidate_state as text
  constraint candidate_state_check check (value in ('suggested', 'pending', 'evaluated', 'failed', 'rejected'));
comment on domain lab_data.candidate_state is 'suggested, pending (handed out), evaluated, failed or rejected.';

-- design_campaigns ----------------------------------------------------------

create table lab_data.design_campaigns (
  id                uuid        not null default labos.uuid_v7(),
  org_id            uuid        not null default labos.org_id(),
  owner_id          uuid        not null default labos.user_id(),
  name              text        not null,
  description       text,
  status            lab_data.campaign_status not null default 'CREATED',
  config            jsonb       not null,
  dataset_id        uuid,
  max_iterations    integer     not null default 10,
  current_iteration integer     not null default 0,
  best_score        float8,
  best_candidate_id uuid,
  best_structure    text,
  seed              bigint      not null,
  failure_reason    text,
  stop_reason       text,
  started_at        timestamptz,
  completed_at      timestamptz,
  version           integer     not null default 1,
  created_at        timestamptz not null default now(),
  created_by        uuid,
  updated_at        timestamptz not null default now(),
  updated_by        uuid,
  deleted_at        timestamptz,
  deleted_by        uuid,
  constraint design_campaigns_pkey primary key (org_id, id),
  constraint design_campaign_organization foreign key (org_id)
    references lab_data.organizations (id) on delete no action,
  constraint design_campaign_owner foreign key (org_id, owner_id)
    references lab_data.memberships (org_id, user_id) on delete no action,
  constraint design_campaign_dataset foreign key (org_id, dataset_id)
    references lab_data.datasets (org_id, id) on delete no action,
  constraint design_campaigns_name_check check (length(btrim(name)) between 1 and 200),
  constraint design_campaigns_description_check check (length(description) <= 10000),
  constraint design_campaigns_config_check check (jsonb_typeof(config) = 'object'),
  constraint design_campaigns_max_iterations_check check (max_iterations between 1 and 10000),
  constraint design_campaigns_current_iteration_check check (current_iteration between 0 and max_iterations),
  constraint design_campaigns_best_score_check check (best_score between 0 and 1),
  constraint design_campaigns_seed_check check (seed >= 0),
  constraint design_campaigns_completed_at_check check ((completed_at is not null) = (status in ('COMPLETED', 'FAILED', 'CANCELLED')))
);
-- The owner's list.
create index design_campaigns_org_id_owner_id_id_idx on lab_data.design_campaigns (org_id, owner_id, id desc);
-- Which campaigns use a data set.
create index design_campaigns_org_id_dataset_id_idx on lab_data.design_campaigns (org_id, dataset_id);

comment on table lab_data.design_campaigns is
$$Design campaigns

A search for candidates that meet target properties. Seen by its owner and by holders of campaign:read_any; it changes by the rpc/campaign_ calls.$$;
comment on column lab_data.design_campaigns.owner_id is 'Who created it.';
comment on column lab_data.design_campaigns.config is 'Canonical configuration: targets, constraints or search space, strategy, evaluator, stop.';
comment on column lab_data.design_campaigns.dataset_id is 'The pool of candidates, when the configuration names a data set.';
comment on column lab_data.design_campaigns.current_iteration is 'Iterations begun so far, 0 to max_iterations.';
comment on column lab_data.design_campaigns.best_score is 'Best score of an evaluated candidate, 0 to 1; null before the first.';
comment on column lab_data.design_campaigns.best_candidate_id is 'The candidate with the best score; the first of equals.';
comment on column lab_data.design_campaigns.best_structure is 'Its formula, or its parameters as text.';
comment on column lab_data.design_campaigns.seed is 'With configuration and observations it determines every suggestion.';
comment on column lab_data.design_campaigns.failure_reason is 'Why it is FAILED.';
comment on column lab_data.design_campaigns.stop_reason is
  'Why it ended: max_iterations, target_score, no_improvement, budget, space_exhausted, cancelled.';

-- design_iterations ---------------------------------------------------------

create table lab_data.design_iterations (
  id                       uuid        not null default labos.uuid_v7(),
  org_id                   uuid        not null default labos.org_id(),
  owner_id                 uuid        not null,
  campaign_id              uuid        not null,
  iteration_index          integer     not null,
  strategy_used            text        not null,
  created_structures       integer     not null default 0,
  evaluated_structures     integer     not null default 0,
  best_score_this_iter     float8,
  best_structure_this_iter text,
  metrics                  jsonb       not null default '{}',
  created_at               timestamptz not null default now(),
  completed_at             timestamptz,
  constraint design_iterations_pkey primary key (id, org_id),
  constraint design_iteration_campaign foreign key (org_id, campaign_id)
    references lab_data.design_campaigns (org_id, id) on delete cascade,
  constraint design_iterations_org_id_campaign_id_iteration_index_key unique (org_id, campaign_id, iteration_index),
  constraint design_iterations_iteration_index_check check (iteration_index >= 0),
  constraint design_iterations_best_score_this_iter_check check (best_score_this_iter between 0 and 1),
  constraint design_iterations_evaluated_structures_check check (evaluated_structures between 0 and created_structures)
);
comment on table lab_data.design_iterations is
$$Design iterations

One round of a campaign: candidates proposed together. Written by campaign_step, campaign_suggest and campaign_observe only.$$;
comment on column lab_data.design_iterations.owner_id is 'Owner of the campaign.';
comment on column lab_data.design_iterations.iteration_index is '0-based, unique in its campaign.';
comment on column lab_data.design_iterations.created_structures is 'Candidates proposed in it.';
comment on column lab_data.design_iterations.evaluated_structures is 'Candidates whose evaluation ended, well or not.';
comment on column lab_data.design_iterations.metrics is
  'scores, mean_score, best_so_far, improvement, hits (score 1), diversity, acquisition (natural logarithms), wall_ms.';
comment on column lab_data.design_iterations.completed_at is 'When its last candidate was evaluated; null while some are pending.';

-- campaign_candidates -------------------------------------------------------

create table lab_data.campaign_candidates (
  id             uuid        not null default labos.uuid_v7(),
  org_id         uuid        not null default labos.org_id(),
  owner_id       uuid        not null,
  campaign_id    uuid        not null,
  iteration_id   uuid        not null,
  slot           integer     not null,
  candidate_hash text        not null,
  dataset_row_id uuid,
  formula        labos.formula,
  parameters     jsonb       not null default '{}',
  predicted      jsonb,
  acquisition    float8,
  reason         jsonb       not null,
  state          lab_data.candidate_state not null default 'suggested',
  evaluator      text        not null,
  measured       jsonb,
  uncertainty    jsonb,
  score          float8,
  score_parts    jsonb,
  error          text,
  suggested_to   uuid,
  evaluated_at   timestamptz,
  version        integer     not null default 1,
  created_at     timestamptz not null default now(),
  created_by     uuid,
  updated_at     timestamptz not null default now(),
  updated_by     uuid,
  constraint campaign_candidates_pkey primary key (id, org_id),
  constraint campaign_candidate_campaign foreign key (org_id, campaign_id)
    references lab_data.design_campaigns (org_id, id) on delete cascade,
  constraint campaign_candidate_iteration foreign key (iteration_id, org_id)
    references lab_data.design_iterations (id, org_id) on delete cascade,
  constraint campaign_candidate_dataset_row foreign key (dataset_row_id, org_id)
    references lab_data.dataset_rows (id, org_id) on delete no action,
  -- Nothing is suggested twice, whoever asks.
  constraint campaign_candidates_org_id_campaign_id_candidate_hash_key unique (org_id, campaign_id, candidate_hash),
  -- A campaign's candidates in the order they were proposed.
  constraint campaign_candidates_org_id_campaign_id_slot_key unique (org_id, campaign_id, slot),
  constraint campaign_candidates_slot_check check (slot >= 0),
  constraint campaign_candidates_candidate_hash_check check (candidate_hash ~ '^[0-9a-f]{64}$'),
  constraint campaign_candidates_parameters_check check (jsonb_typeof(parameters) = 'object'),
  constraint campaign_candidates_evaluator_check check (evaluator in ('dataset', 'external')),
  constraint campaign_candidates_measured_check check (jsonb_typeof(measured) = 'object' and pg_column_size(measured) <= 65536),
  constraint campaign_candidates_uncertainty_check check (jsonb_typeof(uncertainty) = 'object' and pg_column_size(uncertainty) <= 65536),
  constraint campaign_candidates_score_check check (score between 0 and 1),
  constraint campaign_candidates_state_check check ((state = 'evaluated') = (score is not null)),
  constraint campaign_candidates_error_check check (length(error) <= 2000)
);
-- The candidates of one iteration; foreign keys.
create index campaign_candidates_org_id_iteration_id_idx on lab_data.campaign_candidates (org_id, iteration_id);
create index campaign_candidates_org_id_dataset_row_id_idx on lab_data.campaign_candidates (org_id, dataset_row_id);

comment on table lab_data.campaign_candidates is
$$Candidates

One proposed material or point, why it was proposed, and what came out. Written by the rpc/campaign_ calls only.$$;
comment on column lab_data.campaign_candidates.owner_id is 'Owner of the campaign.';
comment on column lab_data.campaign_candidates.slot is '0-based place in the campaign, in order of proposal.';
comment on column lab_data.campaign_candidates.candidate_hash is 'SHA-256 of what it is; unique in its campaign.';
comment on column lab_data.campaign_candidates.predicted is 'Mean and standard deviation of each modelled property; null without a model.';
comment on column lab_data.campaign_candidates.acquisition is 'Natural logarithm of the acquisition value; null without a model.';
comment on column lab_data.campaign_candidates.reason is 'Strategy, rule, probability and the model''s most relevant features.';
comment on column lab_data.campaign_candidates.measured is 'Properties that were measured, in the units of the targets.';
comment on column lab_data.campaign_candidates.uncertainty is 'Standard uncertainties by property, same units.';
comment on column lab_data.campaign_candidates.score is '0 to 1, see labos.score; set when evaluated.';
comment on column lab_data.campaign_candidates.score_parts is 'Value, weight and desirability of each target property.';
comment on column lab_data.campaign_candidates.suggested_to is 'Who asked for it.';
