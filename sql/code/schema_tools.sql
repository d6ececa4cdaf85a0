/*
 * Room: schema tools
 *
 * How a table gets its policies and its public view: written once, the same
 * everywhere, so that a catalog test can compare.
 */

create procedure labos.protect(
  "table" regclass, prefix text,
  verbs text[] default '{select,insert,update,delete}', owner name default null,
  kind text default null, kind_id name default 'id', kind_project name default null, guest_verbs text[] default '{}')
  language plpgsql
  set search_path to pg_catalog, pg_temp
  set client_min_messages to warning
as $$
declare
  v_verb   text;
  v_action text;
  v_using  text;
  v_check  text;
  v_shared text := format('%L, %I, %s', kind, kind_id, coalesce(quote_ident(kind_project), 'null'));
  v_owner  name := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = "table");
  -- What is marked deleted is seen by definer functions only, whoever asks for the table itself.
  v_live   text := case when exists (select from pg_attribute a where a.attrelid = "table" and a.attname = 'deleted_at' and not a.attisdropped)
                        then ' and deleted_at is null' else '' end;
  v_old    name;
begin
  if prefix is null or prefix !~ '^[a-z][a-z_]*$' then
    raise exception 'permission prefix "%" is not lower-case letters and underscores', prefix using errcode = '22023';
  elsif kind is null and cardinality(guest_verbs) > 0 then
    raise exception 'guests see what is shared as some kind: name it' using errcode = '22023';
  end if;
  execute format('alter table %s enable row level security', "table");
  execute format('alter table %s force row level security', "table");
  for v_old in
    select p.polname from pg_policy p
    where p.polrelid = "table" and p.polname in ('select_own_org', 'insert_own_org', 'update_own_org', 'delete_own_org', 'owner_all',
                                                     'select_shared', 'insert_shared', 'update_shared')
  loop
    execute format('drop policy %I on %s', v_old, "table");
  end loop;
  -- FORCE stays on: a definer function or a migration sees rows by this policy, not by being the owner.
  execute format('create policy owner_all on %s for all to %I using (true) with check (true)', "table", v_owner);

  foreach v_verb in array verbs loop
    v_action := case v_verb when 'select' then 'read' when 'insert' then 'create' when 'update' then 'update' when 'delete' then 'delete' end;
    if v_action is null then
      raise exception 'unknown verb "%"', v_verb using errcode = '22023', hint = 'Verbs are select, insert, update, delete.';
    end if;
    v_using := format('org_id = labos.org_for(%L)', prefix || ':' || v_action);
    v_check := v_using;
    if owner is not null then
      v_using := v_using || format(' and %1$I operator(labos.===) labos.owner_for(%2$L, %1$I%3$s)', owner, prefix || ':' || v_action || '_any',
                                   case when kind is not null then format(', %L, %I', kind, kind_id) else '' end);
      v_check := v_check || format(' and %I = labos.user_id()', owner);
    end if;
    v_using := v_using || v_live;
    v_check := case v_verb when 'insert' then v_check else v_using end;
    execute format('create policy %I on %s for %s to lab_user %s %s', v_verb || '_own_org', "table", v_verb,
      case when v_verb <> 'insert' then 'using (' || v_using || ')' else '' end,
      case when v_verb in ('insert', 'update') then 'with check (' || v_check || ')' else '' end);
  end loop;

  foreach v_verb in array guest_verbs loop
    v_action := case v_verb when 'select' then 'read' when 'insert' then 'create' when 'update' then 'update' end;
    if v_action is null then
      raise exception 'guests cannot "%"', v_verb using errcode = '22023', hint = 'Verbs of guests are select, insert, update.';
    elsif v_verb = 'insert' and kind_project is null then
      raise exception 'guests insert into a shared project: name its column' using errcode = '22023';
    end if;
    v_action := quote_literal(prefix || ':' || v_action);
    v_using := format('org_id = labos.guest_org_for(%s) and ', v_action)
      || case v_verb when 'insert' then format('%1$I = labos.shared_row(%2$s, ''project'', %1$I, null)', kind_project, v_action)
                     else format('%I = labos.shared_row(%s, %s)', kind_id, v_action, v_shared) || v_live end;
    execute format('create policy %I on %s for %s to lab_guest %s %s', v_verb || '_shared', "table", v_verb,
      case when v_verb <> 'insert' then 'using (' || v_using || ')' else '' end,
      case when v_verb <> 'select' then 'with check (' || v_using || ')' else '' end);
  end loop;
end
$$;
comment on procedure labos.protect(regclass, text, text[], name, text, name, name, text[]) is
$$Gives a tenant table its row security in the canonical shape (idempotent)

Enables and forces row security; one permissive policy per verb comparing org_id with labos.org_for('prefix:read|create|update|delete'); owner: a column that must be the caller's unless they hold 'prefix:read_any' (update_any, delete_any); and owner_all for the table's owner. Where the table has deleted_at, deleted rows are nobody's to read, change or delete but the owner's. kind: what a share of it is called; kind_id: the column with the id of that kind (a child names its parent's). With owner, a share makes the row visible, one of level write changeable. guest_verbs: policies of lab_guest, for rows that are shared or whose kind_project is; an insert into a shared project only. Grants are made by labos.expose.$$;
revoke all on procedure labos.protect(regclass, text, text[], name, text, name, name, text[]) from public;

create procedure labos.expose(
  name name, insert_columns name[] default null, update_columns name[] default null,
  deletable boolean default false, prefix text default null, owner name default null, hidden_columns name[] default '{}',
  guests boolean default false, guest_insert_columns name[] default null, guest_update_columns name[] default null)
  language plpgsql
  set search_path to pg_catalog, pg_temp
  set client_min_messages to warning
as $$
declare
  v_table    regclass := format('lab_data.%I', name)::regclass;
  v_hidden   name[] := hidden_columns || '{deleted_at,deleted_by}'::name[];
  v_soft     boolean := exists (select from pg_attribute a where a.attrelid = v_table and a.attname = 'deleted_at' and not a.attisdropped);
  v_columns  text := (select string_agg(format('t.%I', a.attname), ', ' order by a.attnum) from pg_attribute a
                      where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.attname <> all (v_hidden));
  v_unknown  name;
  v_key      text := (select string_agg(quote_ident(a.attname), ', ') from pg_attribute a
                      where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.attname <> all (hidden_columns));
  v_grant    record;
  v_column   record;
begin
  select c into v_unknown from unnest(insert_columns || update_columns || hidden_columns || guest_insert_columns || guest_update_columns) c
  where not exists (select from pg_attribute a where a.attrelid = v_table and a.attname = c and a.attnum > 0 and not a.attisdropped);
  if v_unknown is not null then
    raise exception 'table % has no column "%"', v_table, v_unknown using errcode = '42703';
  end if;

  -- A view may gain columns only at its end; a migration that does otherwise needs a new one.
  begin
    execute format('create or replace view lab.%I with (security_invoker = true) as select %s from %s t%s',
      name, v_columns, v_table, case when v_soft then ' where t.deleted_at is null' else '' end);
  exception when invalid_table_definition then
    execute format('drop view lab.%I', name);
    execute format('create view lab.%I with (security_invoker = true) as select %s from %s t%s',
      name, v_columns, v_table, case when v_soft then ' where t.deleted_at is null' else '' end);
  end;

  execute format('comment on view lab.%I is %L', name, obj_description(v_table, 'pg_class'));
  for v_column in
    select a.attname, col_description(v_table, a.attnum) as description from pg_attribute a
    where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.attname <> all (v_hidden)
  loop
    execute format('comment on column lab.%I.%I is %L', name, v_column.attname, v_column.description);
  end loop;

  -- Rights that are not named do not exist. A security_invoker view needs them on the table too.
  execute format('revoke all on lab.%I, %s from public, lab_anon, lab_user, lab_guest', name, v_table);
  execute format('grant select on lab.%I to lab_user', name);
  execute format('grant select (%s) on %s to lab_user', v_key, v_table);
  if guests then
    execute format('grant select on lab.%I to lab_guest', name);
    execute format('grant select (%s) on %s to lab_guest', v_key, v_table);
  end if;
  for v_grant in
    select g.verb, g.role, string_agg(quote_ident(c), ', ') as columns
    from (values ('insert', 'lab_user', insert_columns), ('update', 'lab_user', update_columns),
                 ('insert', 'lab_guest', guest_insert_columns), ('update', 'lab_guest', guest_update_columns)) g(verb, role, names)
    cross join lateral unnest(g.names) c
    group by g.verb, g.role
  loop
    execute format('grant %s (%s) on lab.%I to %I', v_grant.verb, v_grant.columns, name, v_grant.role);
    execute format('grant %s (%s) on %s to %I', v_grant.verb, v_grant.columns, v_table, v_grant.role);
  end loop;

  -- A PATCH or DELETE without a filter is stopped before it has changed everything.
  if cardinality(update_columns) > 0 or deletable then
    execute format('create or replace trigger _050_limit before update or delete on %s for each row execute function labos.tg__limit()', v_table);
  else
    execute format('drop trigger if exists _050_limit on %s', v_table);
  end if;

  execute format('drop trigger if exists _100_soft_delete on lab.%I', name);
  if deletable then
    execute format('grant delete on lab.%I to lab_user', name);
    if v_soft then
      if prefix is null then
        raise exception 'labos.expose(%) needs prefix: who may delete', quote_literal(name) using errcode = '22023';
      end if;
      execute format('create trigger _100_soft_delete instead of delete on lab.%I for each row execute function lab_private.tg__soft_delete(%s)',
        name, concat_ws(', ', quote_literal(prefix || ':delete'), quote_literal(owner)));
    else
      execute format('grant delete on %s to lab_user', v_table);
    end if;
  end if;
end
$$;
comment on procedure labos.expose(name, name[], name[], boolean, text, name, name[], boolean, name[], name[]) is
$$Makes the public view lab.<name> of the table lab_data.<name> (idempotent)

A security_invoker view with all columns but deleted_at, deleted_by and hidden_columns; live rows only where the table soft-deletes; comments copied; lab_user gets SELECT, and INSERT, UPDATE and DELETE only on what is named. deletable with prefix: DELETE marks the row deleted for holders of 'prefix:delete'; owner: only one's own rows but for holders of 'prefix:delete_any'. guests: lab_guest gets SELECT, and INSERT and UPDATE on guest_insert_columns and guest_update_columns; labos.protect says which rows. What can be changed is guarded against requests without a filter by labos.tg__limit.$$;
revoke all on procedure labos.expose(name, name[], name[], boolean, text, name, name[], boolean, name[], name[]) from public;
