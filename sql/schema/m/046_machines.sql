/*
 * Room: identity, machine accounts
 *
 * An account for a machine: it holds roles like a person and signs in by API
 * keys only. No password, no second factor, no interactive session, whoever
 * asks: triggers of r/023 see to it.
 */

alter table lab_data.users
  add column is_machine boolean not null default false,
  add constraint users_is_machine_check check (not is_machine or not (is_superuser or mfa_enabled));
comment on column lab_data.users.is_machine is 'A machine account: it signs in by API keys only, and never has a password.';
