/*
 * Room: overview
 *
 * What stands in all of one's organisations: each is visited in turn. No policy
 * reads across organisations.
 *
 * Needs    050; projects, samples, runs
 */

create or replace function lab.my_organizations_overview() returns table (
  org_id uuid, organization text, slug text, projects bigint, samples bigint, open_runs bigint)
  language plpgsql stable security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_user uuid := lab_private.require_interactive();
  v_may  text[];
begin
  for org_id, organization, slug in
    select o.id, o.name, o.slug
    from lab_data.memberships m
    join lab_data.organizations o on o.id = m.org_id and o.is_active and o.deleted_at is null
    where m.user_id = v_user and m.left_at is null
    order by m.joined_at, o.id
  loop
    v_may := lab_private.permissions_within('{project:read,sample:read,run:read}', lab_private.member_permissions(org_id, v_user));
    projects := case when 'project:read' = any (v_may) then
      (select count(*) from lab_data.projects p where p.org_id = my_organizations_overview.org_id and p.deleted_at is null) end;
    samples := case when 'sample:read' = any (v_may) then
      (select count(*) from lab_data.samples s where s.org_id = my_organizations_overview.org_id and s.deleted_at is null) end;
    open_runs := case when 'run:read' = any (v_may) then
      (select count(*) from lab_data.runs r where r.org_id = my_organizations_overview.org_id and r.deleted_at is null
                                              and r.status in ('queued', 'running')) end;
    return next;
  end loop;
end
$$;
comment on function lab.my_organizations_overview() is
$$My organisations at a glance

One row for each membership of the caller: projects, samples, runs that are queued or running; null where the permission to read them is missing there. Errors: 401 `not_authenticated`, 403 `interactive_session_required`.$$;
revoke all on function lab.my_organizations_overview() from public;
grant execute on function lab.my_organizations_overview() to lab_user;
