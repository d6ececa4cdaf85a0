/*
 * Room: identity, throttles
 *
 * What the counters in shared memory need of the database: the settings they
 * keep, and the access log that noted refusals go to.
 *
 * Holds    access_events_write; the trigger of identity_settings
 * Needs    020; C throttle
 * Used by  labos.access_events_flush()
 */

-- The number of trusted proxies is kept by every backend until it hears of a change.
create or replace trigger _510_rbac_changed after insert or update or delete or truncate on lab_private.identity_settings
  for each statement execute function labos.tg__rbac_changed();

create or replace function lab_private.access_events_write() returns integer
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_rows integer;
begin
  insert into lab_data.access_logs (org_id, user_id, session_id, event, outcome, ip, request_id, detail)
  select coalesce(e.org_id, s.org_id, '00000000-0000-0000-0000-000000000000'), e.user_id, e.session_id, e.event, 'failure', e.ip,
         e.request_id,
         jsonb_strip_nulls(jsonb_build_object(
           case e.event when 'too_many_attempts' then 'kind' else 'permission' end, e.what, 'count', e.count, 'last_at', e.at))
  from labos.access_events_take() e
  left join lab_data.user_sessions s on s.id = e.session_id and s.user_id = e.user_id and e.org_id is null;
  get diagnostics v_rows = row_count;
  return v_rows;
end
$$;
comment on function lab_private.access_events_write() is
  'Writes the refusals that were noted in memory into the access log; called by labos.access_events_flush().';

revoke all on function lab_private.access_events_write() from public;
