/*
 * Room: locations (repeatable half)
 */

-- Positions: A1, B12, AA3 ----------------------------------------------------------

create or replace function lab_private.position_name("row" integer, "column" integer) returns text
  language sql immutable strict parallel safe
  set search_path to pg_catalog, pg_temp
as $$
  select case when "row" > 26 then chr(64 + ("row" - 1) / 26) else '' end || chr(65 + ("row" - 1) % 26) || "column"
$$;
comment on function lab_private.position_name(integer, integer) is 'The name of a position of a grid: row 1 column 1 is A1, row 27 is AA.';

create or replace function lab_private.position_in_grid("position" text, grid_rows integer, grid_columns integer) returns text
  language plpgsql immutable
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_part text[] := regexp_match(upper(btrim("position")), '^([A-Z]{1,2})0*([1-9][0-9]{0,2})$');
  v_row  integer;
begin
  if v_part is null then
    return null;
  end if;
  v_row := case length(v_part[1])
             when 1 then ascii(v_part[1]) - 64
             else (ascii(v_part[1]) - 64) * 26 + ascii(substr(v_part[1], 2)) - 64 end;
  if v_row > grid_rows or v_part[2]::integer > grid_columns then
    return null;
  end if;
  return v_part[1] || v_part[2];
end
$$;
comment on function lab_private.position_in_grid(text, integer, integer) is 'The canonical name of a position, null when the grid has none like it: a01 is A1.';

-- the tree --------------------------------------------------------------------------

create or replace function lab_private.tg_locations__tree() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_levels constant integer := 32;
  v_at     uuid := NEW.parent_id;
  v_depth  integer := 0;
  v_below  integer;
  v_node   record;
begin
  if NEW.parent_id is null or NEW.deleted_at is not null then
    return NEW;
  end if;
  if TG_OP = 'UPDATE' and NEW.parent_id is not distinct from OLD.parent_id and (OLD.deleted_at is null) then
    return NEW;
  end if;
  -- Two moves that would close a circle together wait for each other here. A moved location is locked
  -- before this, so that the walk must not lock rows: it reads what is committed. Under repeatable read
  -- it would read the past, so there it locks, and PostgreSQL refuses a row changed meanwhile.
  perform pg_advisory_xact_lock(hashtextextended('labos.locations:' || NEW.org_id, 0));
  while v_at is not null loop
    v_depth := v_depth + 1;
    if v_at = NEW.id then
      raise exception 'a location cannot stand inside of itself' using errcode = 'PT409',
        detail = json_build_object('code', 'location_cycle', 'id', NEW.id, 'parent_id', NEW.parent_id)::text,
        hint = 'Choose a parent outside of the location''s own contents.';
    end if;
    if v_depth > v_levels then
      raise exception 'locations are nested too deeply' using errcode = 'PT422',
        detail = json_build_object('code', 'location_too_deep', 'levels', v_levels)::text, hint = 'Flatten the tree.';
    end if;
    if current_setting('transaction_isolation') = 'read committed' then
      select l.parent_id, l.kind, l.deleted_at into v_node from lab_data.locations l where l.org_id = NEW.org_id and l.id = v_at;
    else
      select l.parent_id, l.kind, l.deleted_at into v_node from lab_data.locations l where l.org_id = NEW.org_id and l.id = v_at for share;
    end if;
    if not found or v_node.deleted_at is not null then
      raise exception 'parent location not found' using errcode = 'PT422',
        detail = json_build_object('code', 'location_not_found', 'id', v_at)::text, hint = 'Name a location of this organisation.';
    end if;
    if v_depth = 1 and v_node.kind = 'position' then
      raise exception 'a position holds one container and no places' using errcode = 'PT422',
        detail = json_build_object('code', 'location_is_position', 'id', v_at)::text, hint = 'Choose the box or rack itself.';
    end if;
    v_at := v_node.parent_id;
  end loop;
  -- It and what moves along must fit.
  with recursive down (id, level) as (
    select NEW.id, 1
    union all
    select l.id, d.level + 1 from down d join lab_data.locations l on l.org_id = NEW.org_id and l.parent_id = d.id
    where d.level <= v_levels)
  select max(d.level) into v_below from down d;
  if v_depth + v_below > v_levels then
    raise exception 'locations are nested too deeply' using errcode = 'PT422',
      detail = json_build_object('code', 'location_too_deep', 'levels', v_levels)::text, hint = 'Flatten the tree.';
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_locations__tree() is 'Before insert or move of a location: no cycle, no deleted parent, at most 32 levels, also under concurrent moves.';

create or replace function lab_private.tg_locations__contents() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_code text;
begin
  if NEW.deleted_at is not null and OLD.deleted_at is null then
    -- What is just being put under it waits for this, or this sees it.
    perform pg_advisory_xact_lock(hashtextextended('labos.locations:' || NEW.org_id, 0));
    if exists (select from lab_data.locations l where l.org_id = NEW.org_id and l.parent_id = NEW.id and l.deleted_at is null)
       or exists (select from lab_data.samples s where s.org_id = NEW.org_id and s.location_id = NEW.id and s.deleted_at is null)
       or exists (select from lab_data.instruments i where i.org_id = NEW.org_id and i.location_id = NEW.id and i.deleted_at is null)
    then
      raise exception 'the location is not empty' using errcode = 'PT409',
        detail = json_build_object('code', 'location_in_use', 'id', NEW.id)::text, hint = 'Move its contents first.';
    end if;
  end if;
  if NEW.kind = 'position' and OLD.kind <> 'position' then
    perform pg_advisory_xact_lock(hashtextextended('labos.locations:' || NEW.org_id, 0));
    if exists (select from lab_data.locations l where l.org_id = NEW.org_id and l.parent_id = NEW.id and l.deleted_at is null) then
      raise exception 'a position holds one container and no places' using errcode = 'PT409',
        detail = json_build_object('code', 'location_in_use', 'id', NEW.id)::text, hint = 'Move its places first.';
    end if;
  end if;
  if (NEW.kind, NEW.grid_rows, NEW.grid_columns) is distinct from (OLD.kind, OLD.grid_rows, OLD.grid_columns) then
    select s.barcode into v_code
    from lab_data.samples s
    where s.org_id = NEW.org_id and s.location_id = NEW.id and s.deleted_at is null
      and case when NEW.kind = 'position' or OLD.kind = 'position' then true
               when NEW.grid_rows is null then false
               else s.position is null or lab_private.position_in_grid(s.position, NEW.grid_rows, NEW.grid_columns) is null end
    limit 1;
    if v_code is not null then
      raise exception 'a container stands where the new grid has no position' using errcode = 'PT409',
        detail = json_build_object('code', 'location_in_use', 'id', NEW.id, 'barcode', v_code)::text, hint = 'Move it first.';
    end if;
  end if;
  return NEW;
end
$$;
comment on function lab_private.tg_locations__contents() is 'Before a location is deleted or its grid changed: nothing stands in it that would be lost.';

create or replace trigger _100_stamp before insert or update on lab_data.locations for each row execute function labos.tg__stamp();
create or replace trigger _300_tree before insert or update on lab_data.locations for each row execute function lab_private.tg_locations__tree();
create or replace trigger _310_contents before update on lab_data.locations for each row execute function lab_private.tg_locations__contents();

call labos.audit_enable('lab_data.locations');
call labos.protect('lab_data.locations', 'location', verbs => '{select,insert,update}');
call labos.expose('locations',
  insert_columns => '{id,parent_id,kind,code,name,grid_rows,grid_columns,temperature_c,description,metadata}',
  update_columns => '{parent_id,kind,code,name,grid_rows,grid_columns,temperature_c,description,metadata,version}',
  deletable => true, prefix => 'location');

create or replace function lab.location_path(id uuid) returns setof lab.locations
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
  with recursive up (id, parent_id, level) as (
    select l.id, l.parent_id, 1 from lab.locations l where l.id = location_path.id
    union all
    select l.id, l.parent_id, u.level + 1 from up u join lab.locations l on l.id = u.parent_id where u.level < 64)
  select l.* from up u join lab.locations l on l.id = u.id order by u.level desc
$$;
comment on function lab.location_path(uuid) is
$$Path of a location

The location and all it stands in, outermost first; empty for an unknown id.$$;
revoke all on function lab.location_path(uuid) from public;
grant execute on function lab.location_path(uuid) to lab_user;

create or replace function lab.location_tree(id uuid default null)
  returns table (location_id uuid, parent_id uuid, level integer, kind text, code text, name text, path text)
  language sql stable
  set search_path to pg_catalog, labos, pg_temp
as $$
  with recursive down (id, parent_id, level, kind, code, name, path) as (
    select l.id, l.parent_id, 1, l.kind::text, l.code::text, l.name::text, l.code::text
    from lab.locations l
    where case when location_tree.id is null then l.parent_id is null else l.id = location_tree.id end
    union all
    select l.id, l.parent_id, d.level + 1, l.kind::text, l.code::text, l.name::text, d.path || ' / ' || l.code
    from down d join lab.locations l on l.parent_id = d.id where d.level < 64)
  select d.* from down d order by d.path
$$;
comment on function lab.location_tree(uuid) is
$$Tree of locations

Everything below a location, itself included, or the whole tree; in the order of the path of codes.$$;
revoke all on function lab.location_tree(uuid) from public;
grant execute on function lab.location_tree(uuid) to lab_user;
