-- What is marked deleted is seen by nobody, neither by its view nor by its table (the view's filter alone would leave
-- the table to SQL clients, to embedding and to casts): a walk over every table that soft-deletes, read from the catalog.
set client_min_messages to warning;
create table test.soft as
select c.relname::text as name, (select array_agg(a.attname::text order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and has_column_privilege('lab_user', c.oid, a.attnum, 'UPDATE')) as writable
from pg_class c
where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p')
  and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'deleted_at' and not a.attisdropped);
grant select on test.soft to lab_user;
-- What the caller sees of a table, and could change of it one by one.
create function test.reach(name text, writable text[]) returns table (rows bigint, deleted bigint, of_view bigint, changed bigint) language plpgsql as $$
begin
  execute format('select count(*), count(deleted_at) from lab_data.%I', name) into rows, deleted;
  execute format('select count(*) from lab.%I', name) into of_view;
  if writable is not null then
    begin
      execute format('update lab_data.%1$I set %2$I = %2$I where %2$I is not distinct from %2$I', name, writable[1]);
      get diagnostics changed = row_count;
    exception when raise_exception or sqlstate 'PT409' or sqlstate 'PT422' or sqlstate 'PT400' or check_violation then
      -- A rule of the record, asked after the policy: it was reached.
      changed := -1;
    end;
  end if;
  return next;
end $$;
grant execute on function test.reach(text, text[]) to lab_user;

-- There are live rows of each.
begin;
select test.become('alan');
set local role lab_user;
insert into lab.materials (name) values ('Marked');
insert into lab.structures (name, formula, n_atoms, format, source) values ('marked', 'NaCl', 8, 'cif', 'data_NaCl');
select (lab.job_create('marked', 'MC')).status;
select s.name, r.rows > 0 as seen, r.rows = r.of_view as as_by_view, r.deleted from test.soft s cross join lateral test.reach(s.name, null) r order by 1;
-- Everything is marked but the caller, the organisation and system roles: without them there is no caller.
reset role;
set local session_replication_role to replica;
\set ECHO none
\o /dev/null
select format('update lab_data.%I set deleted_at = now() where id not in (select test.id_of(''alan'') union all select test.org_of(''alan'') union all select r.id from lab_data.roles r where r.org_id is null)', name) from test.soft \gexec
\o
\set ECHO all
set local session_replication_role to origin;
set local role lab_user;
select s.name, r.* from test.soft s cross join lateral test.reach(s.name, s.writable) r where r.rows > 0 or r.deleted > 0 or r.of_view > 0 or r.changed <> 0 order by 1;
-- Whoever may restore lists them by the call that is for it.
select count(*) > 0 as in_trash from lab.trash('sample');
rollback;
select test.become(null);
drop function test.reach(text, text[]);
drop table test.soft;
