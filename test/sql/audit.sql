-- The audit trail: what is logged, by which paths, what is in it, what verification finds.
set client_min_messages to warning;
create schema audit_test;
grant usage on schema audit_test to lab_user;
create table audit_test.things (
  id uuid not null default labos.uuid_v7(),
  org_id uuid not null,
  name text,
  qty float8,
  version integer not null default 1,
  constraint things_pkey primary key (org_id, id)
);
alter table audit_test.things owner to lab_owner;
grant select, insert, update, delete on audit_test.things to lab_user;
insert into audit_test.things (org_id, name) values (test.org_of('sam'), 'there before');
call labos.audit_enable('audit_test.things', kind => 'things');
-- The rows of the log without what varies.
create view audit_test.log as
select l.xid, l.n, l.op, t.kind, l.payload::text as payload, l.rec, l.org_id, l.actor, l.reason
from lab_private.audit_log l left join lab_private.audit_table t on t.id = l.tab;
-- How many rows a statement logs, by operation.
create function audit_test.logged(statement text) returns text
  language plpgsql as $$
declare
  v_before bigint;
  v_ops    text;
begin
  select count(*) into v_before from lab_private.audit_log l where l.op <> 'E';
  execute statement;
  select string_agg(x.op || x.n, ' ' order by x.op) into v_ops
  from (select l.op::text, count(*) as n
        from (select * from lab_private.audit_log l where l.op <> 'E' order by l.gen, l.xid, l.n offset v_before) l group by 1) x;
  return coalesce(v_ops, 'nothing');
end
$$;

-- Rows that exist become the baseline.
select op, payload::jsonb - 'id' - 'org_id' as payload from audit_test.log where kind = 'things';
-- A second call changes nothing.
call labos.audit_enable('audit_test.things', kind => 'things');
select count(*) from audit_test.log where kind = 'things';
select payload::jsonb ->> 'event' as event, count(*) from audit_test.log where op = 'E' and payload::jsonb #>> '{data,kind}' = 'things' group by 1;

-- The actor is the verified user, who needs no right on the log.
select test.become('sam');
set role lab_user;
insert into audit_test.things (org_id, name, qty) values (labos.org_id(), 'by sam', 'NaN');
update audit_test.things set qty = 2.5 where name = 'by sam';
delete from audit_test.things where name = 'by sam';
-- What a client sets does not make it somebody else.
set request.jwt.claims = '{"sub": "00000000-0000-7000-8000-000000000001", "role": "lab_user"}';
insert into audit_test.things (org_id, name) values (labos.org_id(), 'forged?');
reset request.jwt.claims;
reset role;
select op, payload::jsonb - 'id' - 'org_id' as payload, actor = test.id_of('sam') as by_sam, org_id = test.org_of('sam') as in_alpha
from audit_test.log where kind = 'things' and op <> 'S' order by xid, n;

-- R01: every path leaves one row for each row version -------------------------------------
create table audit_test.parents (
  id uuid not null default labos.uuid_v7(), org_id uuid not null default test.org_of('sam'), code integer,
  constraint parents_pkey primary key (org_id, id), constraint parents_code_key unique (org_id, code));
create table audit_test.children (
  id uuid not null default labos.uuid_v7(), org_id uuid not null default test.org_of('sam'), parent_id uuid,
  constraint children_pkey primary key (id, org_id),
  constraint child_parent foreign key (org_id, parent_id) references audit_test.parents (org_id, id) on delete cascade);
create table audit_test.parts (
  org_id uuid not null default test.org_of('sam'), day integer not null, code integer not null,
  constraint parts_pkey primary key (org_id, day, code)) partition by range (day);
create table audit_test.parts_1 partition of audit_test.parts for values from (0) to (100);
create table audit_test.parts_2 partition of audit_test.parts for values from (100) to (200);
call labos.audit_enable('audit_test.parents');
call labos.audit_enable('audit_test.children');
call labos.audit_enable('audit_test.parts');
create function audit_test.tg_children() returns trigger language plpgsql as $$
begin
  insert into audit_test.children (org_id, parent_id) values (new.org_id, new.id);
  return null;
end $$;

select audit_test.logged('insert into audit_test.parents (code) values (1)') as "insert";
select audit_test.logged('insert into audit_test.parents (code) select g from generate_series(2, 2501) g') as "insert many";
select audit_test.logged('update audit_test.parents set code = -code where code <= 10') as "update";
select audit_test.logged('update audit_test.parents set code = code where code = -1') as "update of nothing";
select audit_test.logged('delete from audit_test.parents where code > 100') as "delete";
select audit_test.logged('insert into audit_test.parents (code) values (-1) on conflict (org_id, code) do nothing') as "on conflict do nothing";
select audit_test.logged('insert into audit_test.parents (code) values (-1), (3000) on conflict (org_id, code) do update set code = 3001') as "upsert";
select audit_test.logged($$merge into audit_test.parents p using (values (-2, true), (-3, false), (-999, false)) s(code, kill) on p.code = s.code
  when matched and s.kill then delete when matched then update set code = 3003 when not matched then insert (code) values (s.code)$$) as "merge";
create trigger _500_children after insert on audit_test.parents for each row execute function audit_test.tg_children();
select audit_test.logged('insert into audit_test.parents (code) values (4000)') as "by a trigger";
select audit_test.logged('delete from audit_test.parents where code = 4000') as "cascade";
drop trigger _500_children on audit_test.parents;
select audit_test.logged('insert into audit_test.parts (day, code) values (1, 1), (150, 2)') as "partitioned";
select audit_test.logged('insert into audit_test.parts_1 (day, code) values (2, 1)') as "partition itself";
select audit_test.logged('update audit_test.parts_1 set code = 5 where day = 2') as "partition updated";
select audit_test.logged('update audit_test.parts set day = 160 where day = 2') as "moved to another partition";
select audit_test.logged('delete from audit_test.parts_2 where day = 150') as "partition deleted";
select audit_test.logged('with a as (insert into audit_test.parts (day, code) values (3, 3) returning *), b as (insert into audit_test.parents (code) values (5000) returning 1) select from a, b') as "with";
set session_replication_role to replica;
select audit_test.logged('insert into audit_test.parents (code) values (5001)') as "as replication applies it";
reset session_replication_role;
begin;
select count(*) as before from lab_private.audit_log where op <> 'E' \gset
copy audit_test.parents (code) from stdin;
6000
6001
\.
select count(*) - :before as "copy" from lab_private.audit_log where op <> 'E';
prepare twice(integer) as insert into audit_test.parents (code) values ($1);
execute twice(6002);
execute twice(6003);
commit;
select count(*) - :before as "copy and prepared" from lab_private.audit_log where op <> 'E';
-- TRUNCATE is logged row by row, of a partition too; or refused by policy.
select audit_test.logged('truncate audit_test.parts_1');
insert into audit_test.children (parent_id) values (null), (null);
select audit_test.logged('truncate audit_test.children');
call labos.audit_enable('audit_test.children', '{"truncate": "refuse"}');
select test.error_of('truncate audit_test.children');
-- What a cursor updates is logged as well.
do $$
declare
  c cursor for select * from audit_test.parents where code = 6000 for update;
begin
  open c; move next from c; update audit_test.parents set code = 7000 where current of c; close c;
end $$;
select op, payload from audit_test.log where kind = 'parents' order by xid desc, n desc limit 1;

-- R08: what is rolled back was never there, what stays is there once ----------------------------
create table audit_test.marks (id uuid not null default labos.uuid_v7(), org_id uuid not null default test.org_of('sam'), m text,
  constraint marks_pkey primary key (org_id, id));
call labos.audit_enable('audit_test.marks');
create function audit_test.marks() returns text language sql as $$
  select string_agg(l.payload::json ->> 'm', ' ' order by l.xid, l.n)
    || case when bool_and(l.ok) then '' else ' NOT DENSE' end
  from (select l.*, l.n - min(l.n) over w = row_number() over w - 1 as ok
        from audit_test.log l where l.kind = 'marks' window w as (partition by l.xid order by l.n)) l $$;
begin; insert into audit_test.marks (m) values ('a1'); savepoint s; insert into audit_test.marks (m) values ('lost'); rollback to s;
insert into audit_test.marks (m) values ('a2'); release s; insert into audit_test.marks (m) values ('a3'); commit;
begin; insert into audit_test.marks (m) values ('lost'); rollback;
begin; savepoint x; savepoint y; insert into audit_test.marks (m) values ('lost'); release y; rollback to x; insert into audit_test.marks (m) values ('b1'); commit;
begin; insert into audit_test.marks (m) values ('c1'); savepoint x; insert into audit_test.marks (m) values ('c2'); savepoint y;
insert into audit_test.marks (m) values ('c3'); release y; savepoint z; insert into audit_test.marks (m) values ('lost'); rollback to z; release x; commit;
-- A trigger with an exception block writes in a child while its parent's rows are buffered.
create function audit_test.tg_nested() returns trigger language plpgsql as $$
begin
  if new.m like 'outer%' then
    begin
      insert into audit_test.marks (m) values ('in-' || new.m);
      if new.m like '%bad' then raise exception 'no'; end if;
    exception when raise_exception then null;
    end;
  end if;
  return null;
end $$;
create trigger _950_nested after insert on audit_test.marks for each row execute function audit_test.tg_nested();
insert into audit_test.marks (m) values ('outer1'), ('outer2-bad'), ('outer3');
-- More than the buffer holds, with a rolled back part in the middle.
do $$
begin
  for i in 1..3 loop
    begin
      insert into audit_test.marks (m) select 'x' from generate_series(1, 1500);
      if i = 2 then raise exception 'no'; end if;
    exception when raise_exception then null;
    end;
  end loop;
end $$;
select replace(audit_test.marks(), ' x', '') as marks, (select count(*) from audit_test.log where kind = 'marks' and payload like '%"x"%') as x;
-- A deferred trigger fires at commit.
create function audit_test.tg_later() returns trigger language plpgsql as $$
begin insert into audit_test.marks (m) values ('later'); return null; end $$;
create constraint trigger _960_later after insert on audit_test.things deferrable initially deferred for each row execute function audit_test.tg_later();
select audit_test.logged('insert into audit_test.things (org_id) values (test.org_of(''sam''))') as "before commit";
select op, payload::jsonb ->> 'm' as m from audit_test.log where kind = 'marks' order by xid desc, n desc limit 1;
drop trigger _960_later on audit_test.things;
-- Every row of the log is a row of the tables.
select count(*) = (select count(*) from audit_test.marks) as equal from audit_test.log where kind = 'marks';

-- Canonical payloads, whatever the session's settings ---------------------------------------------
create type audit_test.pair as (a integer, b text);
create domain audit_test.short as text check (length(value) < 10);
create table audit_test.odd (
  id integer primary key, i2 smallint, i8 bigint, f4 float4, f8 float8, num numeric, b boolean, t text, c char(3), d audit_test.short,
  u uuid, j json, jb jsonb, by bytea, ts timestamptz, ts0 timestamp, da date, ti time, tz timetz, iv interval, ints integer[], texts text[],
  r int4range, p audit_test.pair, f labos.formula, bits varbit, ip inet);
call labos.audit_enable('audit_test.odd');
set datestyle to 'German'; set timezone to 'Asia/Tokyo'; set intervalstyle to 'sql_standard'; set extra_float_digits to -5; set bytea_output to 'escape';
insert into audit_test.odd (id, i2, i8, f4, f8, num, b, t, c, d, u, j, jb, by, ts, ts0, da, ti, tz, iv, ints, texts, r, p, f, bits, ip) values
  (1, -32768, 9223372036854775807, 0.1, 0.1, 1.50, true, E'q"b\\s/\n\t\x01é\U0001F52C', 'ab', 'dom', '00112233-4455-6677-8899-aabbccddeeff',
   '{"z": 1,  "z": 2}', '{"b": [1, 2.50], "a": null}', '\x00ff10', '2026-01-02 03:04:05.678901+00', '2026-01-02 03:04:05', '2026-01-02',
   '03:04', '03:04+02', '1 year 2 days 03:00', '{1,NULL,3}', '{"a,b","c\"d"}', '[1,5)', '(1,"x,y")', 'C6H12O6', b'101', '10.0.0.1/8'),
  (2, null, null, 'NaN', 'NaN', 'NaN', null, '', null, null, null, null, 'null', '', 'infinity', '-infinity', 'infinity', null, null, null, '{}', '{}',
   'empty', null, null, null, null),
  (3, 0, 0, 'Infinity', '-Infinity', '-Infinity', false, null, null, null, null, '[]', '"x"', null, '0001-01-01 00:00:00+00 BC', null, '4713-01-01 BC', '24:00', null, null, null, null, null, null, null, null, null),
  (4, null, null, null, -0.0, 12345678901234567890.000100, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
show datestyle;
reset datestyle; reset timezone; reset intervalstyle; reset extra_float_digits; reset bytea_output;
select payload from audit_test.log where kind = 'odd' order by n;
-- A million characters, and bytes that do not compress; an update that does not touch them does not log them.
create table audit_test.big (id integer primary key, t text, by bytea, n integer);
alter table audit_test.big alter column by set storage external;
call labos.audit_enable('audit_test.big');
insert into audit_test.big select 1, repeat('ü"', 500000), decode(string_agg(md5(i::text), ''), 'hex'), 1 from generate_series(1, 10000) i;
update audit_test.big set n = 2;
update audit_test.big set t = left(t, 5);
select op, length(payload), left(payload, 30) as head from audit_test.log where kind = 'big' order by xid, n;
select payload::jsonb ->> 't' = repeat('ü"', 500000) as same_text,
       payload::jsonb ->> 'by' = (select '\x' || string_agg(md5(i::text), '') from generate_series(1, 10000) i) as same_bytes
from audit_test.log where kind = 'big' and op = 'I';
-- Rows without a uuid id are known by the hash of their key.
select distinct rec from audit_test.log where kind = 'odd' order by 1 limit 1;
select substring(rec::text from 15 for 1) as version, count(distinct rec) from audit_test.log where kind = 'odd' group by 1;

-- Policies ------------------------------------------------------------------------------------------
create table audit_test.strict (id uuid not null default labos.uuid_v7(), org_id uuid not null default test.org_of('sam'), a text, password text, seen integer,
  constraint strict_pkey primary key (org_id, id));
call labos.audit_enable('audit_test.strict', '{"reason": "update", "reason_min": 5, "secret": ["password"], "ignore": ["seen"]}');
insert into audit_test.strict (a, password) values ('x', 'clear text');
select test.error_of('update audit_test.strict set a = ''y''') as "without a reason";
begin; set local labos.audit_reason = 'typo'; select test.error_of('update audit_test.strict set a = ''y''') as "too short"; rollback;
begin; set local labos.audit_reason = 'typing error'; update audit_test.strict set a = 'y', password = 'other', seen = 1; commit;
begin; update audit_test.strict set seen = 2; commit;
select op, payload::jsonb - 'id' - 'org_id' as payload, reason from audit_test.log where kind = 'strict' order by xid, n;
call labos.audit_enable('audit_test.strict', '{"reason": "always"}');
select test.error_of('insert into audit_test.strict (a) values (1)') as "always";
call labos.audit_enable('audit_test.strict', '{"noop": true}');
select audit_test.logged('update audit_test.strict set a = a') as "noop is logged";
select test.error_of(format('call labos.audit_enable(''audit_test.strict'', %L)', p)) as refused
from unnest(array['{"reson": "always"}', '{"reason": "sometimes"}', '{"secret": "password"}', '{"secret": ["nothing"]}', '[]', '{"reason_min": "3"}', '{"noop": 1}', '{"truncate": "yes"}']) p;
select test.error_of('call labos.audit_enable(''audit_test.strict'', null)') as refused;
select test.error_of('call labos.audit_enable(''audit_test.log'')') as "a view";
select test.error_of('call labos.audit_enable(''audit_test.big'', kind => ''odd'')') as "kind taken";
-- Each change of a definition is an event; disabling is one, too.
call labos.audit_disable('audit_test.strict', 'end of the test');
select payload::jsonb ->> 'event' as event, count(*) from audit_test.log
where op = 'E' and payload::jsonb #>> '{data,relname}' = 'audit_test.strict' group by 1 order by 1;
select audit_test.logged('update audit_test.strict set a = ''z''') as "not audited any more";
-- A trigger that was switched off is switched on again, with a trace.
alter table audit_test.odd disable trigger _900_audit;
call labos.audit_enable('audit_test.odd');
select payload::jsonb #>> '{data,was}' as was, payload::jsonb #>> '{data,trigger}' as trigger from audit_test.log where payload::jsonb ->> 'event' = 'table.trigger';
-- The bare trigger on a table that is not registered says what to do.
create table audit_test.bare (id integer);
create trigger _900_audit after insert on audit_test.bare for each row execute function labos.tg__audit('bare');
select test.error_of('insert into audit_test.bare values (1)');
drop table audit_test.bare;
-- Columns that come and go.
alter table audit_test.odd drop column i2;
alter table audit_test.odd add column extra text default 'new';
select audit_test.logged('update audit_test.odd set extra = ''changed'' where id = 1');
select payload from audit_test.log where kind = 'odd' order by xid desc, n desc limit 1;

-- R02: client roles touch nothing -----------------------------------------------------------------------
set role lab_user;
select test.error_of(q) from unnest(array[
  'select * from lab_private.audit_log', 'insert into lab_private.audit_log (xid) values (1)', 'update lab_private.audit_log set n = 0',
  'delete from lab_private.audit_log', 'truncate lab_private.audit_log', 'drop table lab_private.audit_log', 'alter table lab_private.audit_log rename to x',
  'select * from lab_private.audit_block', 'update lab_private.audit_tile set w = 1', 'select * from lab_private.audit_visible',
  'alter table audit_test.things disable trigger _900_audit', 'drop trigger _900_audit on audit_test.things', 'truncate audit_test.things',
  'set session_replication_role to replica', 'drop extension labos cascade', 'select labos.audit_open(''x'')', 'select labos.audit_seal()', 'select labos.audit_close()',
  'select labos.audit_verify()', 'select labos.audit_event(''x'')', 'select labos.audit_refresh()', 'call labos.audit_enable(''audit_test.things'')',
  'call labos.audit_disable(''audit_test.things'')', 'select labos.audit_baseline(''audit_test.things'', ''things'')', 'select labos.tg__audit()']) q;
reset role;

-- What clients see ----------------------------------------------------------------------------------------
select test.become('sam');
set role lab_user;
insert into audit_test.things (id, org_id, name) values ('00000000-0000-7000-8000-0000000000aa', labos.org_id(), 'first');
update audit_test.things set name = 'second', version = 2 where id = '00000000-0000-7000-8000-0000000000aa';
begin; set local labos.audit_reason = 'found a better name';
update audit_test.things set name = 'third', version = 3 where id = '00000000-0000-7000-8000-0000000000aa'; commit;
select n, op, actor_name, changes::jsonb - 'id' - 'org_id' as changes, reason, db_role from lab.audit_history('things', '00000000-0000-7000-8000-0000000000aa');
select count(*) as singular from lab.audit_history('thing', '00000000-0000-7000-8000-0000000000aa');
select lab.audit_as_of('things', '00000000-0000-7000-8000-0000000000aa') - 'org_id' as now,
       lab.audit_as_of('things', '00000000-0000-7000-8000-0000000000aa', '2000-01-01') as then;
select lab.audit_diff('things', '00000000-0000-7000-8000-0000000000aa',
  (select h.at from lab.audit_history('things', '00000000-0000-7000-8000-0000000000aa') h where h.n = 1)) as diff;
select kind, op, changes::jsonb - 'id' - 'org_id' as changes from lab.audit_log where record_id = '00000000-0000-7000-8000-0000000000aa' order by gen, xid, n;
select test.error_of('select lab.audit_history(''nothing'', labos.uuid_v7())');
select test.error_of('select lab.audit_seal()'), test.error_of('select lab.audit_verify()');
reset role;
-- Another organisation sees none of it; nobody at all is asked to sign in.
select test.become('bob');
set role lab_user;
select count(*) from lab.audit_history('things', '00000000-0000-7000-8000-0000000000aa');
select count(*) from lab.audit_log where record_id = '00000000-0000-7000-8000-0000000000aa';
select lab.audit_as_of('things', '00000000-0000-7000-8000-0000000000aa');
reset role;
select test.become(null);
set role lab_user;
select count(*) from lab.audit_log;
select test.error_of('select lab.audit_history(''things'', labos.uuid_v7())'), test.error_of('select lab.audit_verify()');
reset role;

-- Sealing and verifying ---------------------------------------------------------------------------------------
select block is not null as made, entries > 5000 as many, size = entries as all_in_one from labos.audit_seal();
select ok, blocks, unsealed, reason from labos.audit_verify();
select block, entries from labos.audit_seal();
-- Rows of the sealing transaction itself wait for the next block.
begin;
insert into audit_test.marks (m) values ('own');
select block, entries from labos.audit_seal();
select ok, unsealed from labos.audit_verify();
commit;
select block, entries from labos.audit_seal();
insert into audit_test.marks (m) values ('once');
select a.block is not null as first, b.block is not null as second from labos.audit_seal() a, labos.audit_seal() b;
begin isolation level repeatable read; select test.error_of('select labos.audit_seal()'); rollback;
begin read only; select test.error_of('select labos.audit_seal()'); rollback;
insert into audit_test.marks (m) select 'y' from generate_series(1, 700);
select block, entries from labos.audit_seal();
select ok, blocks, unsealed from labos.audit_verify();
select ok, blocks, entries, unsealed from labos.audit_verify(3, 3);
select test.error_of('select labos.audit_verify(0)'), test.error_of('select labos.audit_verify(3, 2)');
select count(*) = (select (size + 255) / 256 from lab_private.audit_block order by no desc limit 1) as tiles from lab_private.audit_tile where level = 0;
-- The root is that of RFC 6962, recomputed here from the leaves by its definition.
create function audit_test.mth(h bytea[]) returns bytea language plpgsql as $$
declare
  n integer := cardinality(h);
  k integer := 1;
begin
  if n = 1 then return h[1]; end if;
  while k * 2 < n loop k := k * 2; end loop;
  return sha256('\x01'::bytea || audit_test.mth(h[1:k]) || audit_test.mth(h[k + 1:n]));
end $$;
select audit_test.mth(array_agg(substring(t.h from i * 32 + 1 for 32) order by t.idx, i)) = (select root from lab_private.audit_block order by no desc limit 1) as root
from lab_private.audit_tile t cross join generate_series(0, 255) i where t.level = 0 and i < t.w;
-- A leaf is the SHA-256 of the row's bytes.
select sha256('\x0001'::bytea || int2send(l.gen) || int8send(l.xid) || int4send(l.n) || timestamptz_send(l.ts) || int4send(l.tab) || charsend(l.op)
       || coalesce(uuid_send(l.rec), decode(repeat('00', 16), 'hex')) || coalesce(uuid_send(l.org_id), decode(repeat('00', 16), 'hex'))
       || coalesce(uuid_send(l.actor), decode(repeat('00', 16), 'hex')) || int8send(l.ctx)
       || coalesce(int4send(octet_length(l.reason)) || convert_to(l.reason, 'UTF8'), '\xffffffff')
       || coalesce(int4send(octet_length(l.payload::text)) || convert_to(l.payload::text, 'UTF8'), '\xffffffff'))
     = (select substring(h from 1 for 32) from lab_private.audit_tile where level = 0 and idx = 0) as leaf
from lab_private.audit_log l order by l.gen, l.xid, l.n limit 1;

-- R15: every kind of tampering is found, and placed; each is rolled back ------------------------------------------
create function audit_test.tampered(change text) returns table (ok boolean, reason text, block boolean, entry boolean, row_named boolean)
  language plpgsql as $$
begin
  begin
    execute change;
    return query select v.ok, v.reason, v.bad_block is not null, v.bad_entry is not null, v.bad_xid is not null from labos.audit_verify() v;
    raise exception 'undo';
  exception when raise_exception then null;
  end;
end $$;
create view audit_test.victim as select * from lab_private.audit_log where payload::text like '%"by sam"%' and op = 'I';
select t.what, x.* from (values
  ('payload', 'update lab_private.audit_log l set payload = replace(l.payload::text, ''by sam'', ''by san'')::json from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('white space', 'update lab_private.audit_log l set payload = replace(l.payload::text, '':'', '': '')::json from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('ts', 'update lab_private.audit_log l set ts = l.ts + interval ''1 microsecond'' from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('actor', 'update lab_private.audit_log l set actor = test.id_of(''sue'') from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('actor away', 'update lab_private.audit_log l set actor = null from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('org', 'update lab_private.audit_log l set org_id = test.org_of(''bob'') from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('rec', 'update lab_private.audit_log l set rec = labos.uuid_v7() from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('reason', 'update lab_private.audit_log l set reason = '''' from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('op', 'update lab_private.audit_log l set op = ''U'' from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('tab', 'update lab_private.audit_log l set tab = l.tab + 1 from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('ctx', 'update lab_private.audit_log l set ctx = l.ctx + 1 from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('n', 'update lab_private.audit_log l set n = 77 from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('xid', 'update lab_private.audit_log l set xid = 5 from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('gen', 'update lab_private.audit_log l set gen = 9 from audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('nil for null', 'update lab_private.audit_log l set actor = ''00000000-0000-0000-0000-000000000000'' where l.actor is null'),
  ('deleted', 'delete from lab_private.audit_log l using audit_test.victim v where (l.gen, l.xid, l.n) = (v.gen, v.xid, v.n)'),
  ('deleted in the middle', 'delete from lab_private.audit_log l where l.n = 2 and l.xid = (select max(xid) from lab_private.audit_log)'),
  ('deleted at the end', 'delete from lab_private.audit_log l where (l.xid, l.n) = (select xid, n from lab_private.audit_log order by xid desc, n desc limit 1)'),
  ('all deleted', 'delete from lab_private.audit_log'),
  ('back-dated', 'insert into lab_private.audit_log (gen, xid, n, ts, ctx, tab, op) select 1, min(xid), 999999, now(), 1, 1, ''I'' from lab_private.audit_log'),
  ('before all', 'insert into lab_private.audit_log (gen, xid, n, ts, ctx, tab, op) values (1, -5, 1, now(), 1, 1, ''I'')'),
  ('other generation', 'insert into lab_private.audit_log (gen, xid, n, ts, ctx, tab, op) values (0, 5, 1, now(), 1, 1, ''I'')'),
  ('in the future', 'insert into lab_private.audit_log (gen, xid, n, ts, ctx, tab, op) values (1, 9000000000000000, 1, now(), 1, 1, ''I'')'),
  ('swapped', 'update lab_private.audit_log l set payload = (select payload from lab_private.audit_log o where o.xid = l.xid and o.n = 3 - l.n) where l.xid = (select max(xid) from lab_private.audit_log) and l.n < 3')
) t(what, change) cross join lateral audit_test.tampered(t.change) x;
select t.what, x.* from (values
  ('root', 'update lab_private.audit_block set root = sha256(root) where no = 2'),
  ('hash', 'update lab_private.audit_block set hash = sha256(hash) where no = 2'),
  ('prev', 'update lab_private.audit_block set prev = sha256(prev) where no = 2'),
  ('sealed_at', 'update lab_private.audit_block set sealed_at = sealed_at - interval ''1 day'' where no = 2'),
  ('sxmin', 'update lab_private.audit_block set sxmin = sxmin - 1 where no = 2'),
  ('sxmax', 'update lab_private.audit_block set sxmax = sxmax + 1 where no = 2'),
  ('xip', 'update lab_private.audit_block set xip = xip || 5::bigint where no = 2'),
  ('frontier', 'update lab_private.audit_block set frontier = set_byte(frontier, 3, get_byte(frontier, 3) # 1) where no = 2'),
  ('frontier longer', 'update lab_private.audit_block set frontier = frontier || frontier where no = 2'),
  ('gen', 'update lab_private.audit_block set gen = 2 where no = 2'),
  ('leafdata_missing', 'update lab_private.audit_block set leafdata_missing = true where no = 2'),
  ('block deleted', 'delete from lab_private.audit_block where no = 2'),
  ('first deleted', 'delete from lab_private.audit_block where no = 1'),
  ('leaf in a tile', 'update lab_private.audit_tile set h = set_byte(h, 100, get_byte(h, 100) # 1) where level = 0 and idx = 1'),
  ('tile of level 1', 'update lab_private.audit_tile set h = set_byte(h, 40, get_byte(h, 40) # 128) where level = 1'),
  ('tile cut', 'update lab_private.audit_tile set h = substring(h from 1 for 64), w = 2 where level = 0 and idx = 1'),
  ('tile deleted', 'delete from lab_private.audit_tile where level = 0 and idx = 1'),
  ('tile too many', 'insert into lab_private.audit_tile values (0, 4000, 1, sha256(''''))'),
  ('generation', 'update lab_private.audit_gen set reason = ''other'''),
  ('generation''s cluster', 'update lab_private.audit_gen set dboid = 1'),
  ('definition', 'update lab_private.audit_table set policy = ''{"x": 1}'' where kind = ''things'''),
  ('definition deleted', 'delete from lab_private.audit_table where kind = ''things'''),
  ('circumstances', 'update lab_private.audit_ctx set ip = ''1.2.3.4'''),
  ('circumstances deleted', 'delete from lab_private.audit_ctx')
) t(what, change) cross join lateral audit_test.tampered(t.change) x;
-- Nothing of it stayed.
select ok from labos.audit_verify();
-- 100 random changes of one byte in payloads, blocks and tiles: all are found.
select setseed(0.42);
create function audit_test.flip() returns text language plpgsql as $$
declare
  v_missed integer := 0;
  v_ok     boolean;
begin
  for i in 1..100 loop
    begin
      case i % 3
        when 0 then
          update lab_private.audit_log l set ts = l.ts + (1 + random() * 1e6)::integer * interval '1 microsecond'
          where (l.xid, l.n) = (select v.xid, v.n from lab_private.audit_log v offset floor(random() * 5000) limit 1);
        when 1 then
          update lab_private.audit_tile t set h = set_byte(h, p, get_byte(h, p) # (1 + floor(random() * 255))::integer)
          from (select level, idx, floor(random() * octet_length(h))::integer as p from lab_private.audit_tile order by random() limit 1) x
          where (t.level, t.idx) = (x.level, x.idx);
        else
          update lab_private.audit_block b set root = set_byte(root, p, get_byte(root, p) # 1)
          from (select no, floor(random() * 32)::integer as p from lab_private.audit_block order by random() limit 1) x where b.no = x.no;
      end case;
      select v.ok into v_ok from labos.audit_verify() v;
      v_missed := v_missed + v_ok::integer;
      raise exception 'undo';
    exception when raise_exception then null;
    end;
  end loop;
  return v_missed || ' missed';
end $$;
select audit_test.flip();

-- Through the API, for holders of audit:verify.
select test.become('mary');
set role lab_user;
select lab.audit_seal() - 'root' - 'size' - 'block' - 'entries' as seal, jsonb_typeof(lab.audit_seal() -> 'size') as size;
select lab.audit_verify() - 'blocks' - 'entries' as verify;
reset role;
select test.become(null);
-- An event of the owner's.
select gen is not null and xid is not null and n > 0 as written from labos.audit_event('config.change', '{"what": "test"}');
select test.error_of('select labos.audit_event(null)'), test.error_of('select labos.audit_event('''')');

-- What is computed when a row is read (PostgreSQL 18) is not in the row, so not in the log; what is stored is.
do $$ begin
  execute format('create table audit_test.computed (id integer primary key, a integer, twice integer generated always as (a * 2) %s)',
    case when current_setting('server_version_num')::integer < 180000 then 'stored' else 'virtual' end);
end $$;
call labos.audit_enable('audit_test.computed', kind => 'computed');
insert into audit_test.computed (id, a) values (1, 2);
select payload::jsonb - 'twice' as payload, payload::jsonb ? 'twice' = (current_setting('server_version_num')::integer < 180000) as "twice if stored"
from audit_test.log where kind = 'computed';

-- A database that is not the log's: the owner writes without a trace (a restore), everybody else is refused.
begin;
update lab_private.audit_gen set dboid = 1;
select labos.audit_refresh();
select audit_test.logged('insert into audit_test.marks (m) values (''restored'')') as "by a restore";
select test.error_of('call labos.audit_enable(''audit_test.marks'')');
select test.become('sam');
set role lab_user;
select test.error_of('insert into audit_test.things (org_id) values (labos.org_id())');
reset role;
-- Opening goes on in a new generation, linked to the old one.
update lab_private.audit_gen set dboid = 1;
select labos.audit_open('test');
select labos.audit_open('again') as "nothing to do";
select audit_test.logged('insert into audit_test.marks (m) values (''new life'')') as "logged again";
select gen, from_no = (select max(no) + 1 from lab_private.audit_block) as linked from lab_private.audit_gen order by gen desc limit 1;
rollback;
select ok from labos.audit_verify();
drop schema audit_test cascade;
