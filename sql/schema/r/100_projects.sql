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

call labos.protect('lab_data.projects', 'project', verbs => '{select,insert,update}');
call labos.expose('projects',
  insert_columns => '{id,code,name,description,status,lead_id,starts_on,ends_on,metadata}',
  update_columns => '{code,name,description,status,lead_id,starts_on,ends_on,metadata,version}',
  deletable => true, prefix => 'project');

-- Members are the business of project:manage.
call labos.protect('lab_data.project_members', 'project', verbs => '{select}');
create policy insert_own_org on lab_data.project_members for insert to lab_user with check (org_id = labos.org_for('project:manage'));
create policy update_own_org on lab_data.project_members for update to lab_user
  using (org_id = labos.org_for('project:manage')) with check (org_id = labos.org_for('project:manage'));
call labos.expose('project_members',
  insert_columns => '{id,project_id,user_id,role}', update_columns => '{role,version}',
  deletable => true, prefix => 'project');
create or replace trigger _100_soft_delete instead of delete on lab.project_members
  for each row execute function lab_private.tg__soft_delete('project:manage');

call labos.audit_enable('lab_data.projects');
call labos.audit_enable('lab_data.project_members');
