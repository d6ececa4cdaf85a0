-- The audit trail: what is logged, by which paths, what is in it.
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
-- The log's rows of this transaction or table, without what varies.
create view audit_test.log as
select l.xid, l.n, l.op, t.kind, l.payload::text as payload, l.rec, l.org_id, l.actor, l.reason
from lab_private.audit_log l left join lab_private.audit_table t on t.id = l.tab;

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
reset role;
select op, payload::jsonb - 'id' - 'org_id' as payload, actor = test.id_of('sam') as by_sam, org_id = test.org_of('sam') as in_alpha
from audit_test.log where kind = 'things' and op <> 'S' order by xid, n;

-- Sealing takes what is visible; the tree verifies; nothing is left.
select block is not null as made, entries > 0 as some, size = entries as all_in_one from labos.audit_seal();
select ok, blocks, unsealed, reason from labos.audit_verify();
select block, entries from labos.audit_seal();
