/*
 * Room: projects (repeatable half)
 */

create or replace trigger _100_stamp before insert or update on lab_data.projects for each row execute function labos.tg__stamp();
create or replace trigger _200_state before insert or update on lab_data.projects
  for each row execute function labos.tg__state('status',
    'insert>planned,active',
    'planned>active,archived',
    'active>on_hold,completed,archived',
    'on_hold>active,completed,archived',
    'completed>active,archived',
    'archived>active');
create or replace trigger _100_stamp before insert or update on lab_data.project_members for each row execute function labos.tg__stamp();

-- A foreign key sees neither that a project is deleted nor says its name: this does, for all that belong to one.
create or replace function lab_private.tg__project() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
begin
  if NEW.project_id is null or (TG_OP = 'UPDATE' and NEW.project_id is not distinct from OLD.project_id) then
    return NEW;
  end if;
  perform from lab_data.projects p where p.org_id = NEW.org_id and p.id = NEW.project_id and p.deleted_at is null for share;
  -- For a guest there is only what is shared.
  if not found or (labos.is_guest() and labos.shared_row('project:read', 'project', NEW.project_id, null) is null) then
    raise exception 'project not found' using errcode = 'PT422',
      detail = json_build_object('code', 'project_not_found', 'id', NEW.project_id)::text, hint = 'Name a project of this organisation.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg__project() is 'Before insert or change of project_id: the project is there and not deleted; PT422 project_not_found.';

create or replace trigger _300_project before insert or update of project_id on lab_data.project_members
  for each row execute function lab_private.tg__project();

call labos.protect('lab_data.projects', 'project', verbs => '{select,insert,update}', kind => 'project', guest_verbs => '{select,update}');
call labos.expose('projects',
  insert_columns => '{id,code,name,description,status,lead_id,starts_on,ends_on,metadata}',
  update_columns => '{code,name,description,status,lead_id,starts_on,ends_on,metadata,version}',
  deletable => true, prefix => 'project',
  -- Guests name neither people nor codes: a code that is taken would tell what they cannot see.
  guests => true, guest_update_columns => '{name,description,status,starts_on,ends_on,metadata,version}');

-- Members are the business of project:manage.
call labos.protect('lab_data.project_members', 'project', verbs => '{select}');
create policy insert_own_org on lab_data.project_members for insert to lab_user with check (org_id = labos.org_for('project:manage'));
create policy update_own_org on lab_data.project_members for update to lab_user
  using (org_id = labos.org_for('project:manage') and deleted_at is null) with check (org_id = labos.org_for('project:manage') and deleted_at is null);
call labos.expose('project_members',
  insert_columns => '{id,project_id,user_id,role}', update_columns => '{role,version}',
  deletable => true, prefix => 'project');
create or replace trigger _100_soft_delete instead of delete on lab.project_members
  for each row execute function lab_private.tg__soft_delete('project:manage');

call labos.audit_enable('lab_data.projects');
call labos.audit_enable('lab_data.project_members');
