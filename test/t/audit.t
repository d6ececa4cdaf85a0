#!/usr/bin/env bash
# Eight writers with savepoints and rollbacks, a sealer, long and prepared transactions, kill -9:
# no row of the audit log is lost, none is there twice, and it verifies.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

db=''
cluster db
sql "$db" postgres -c 'alter system set max_prepared_transactions = 20'
bin=$(readlink "$db/bin")
pg_stop "$db" "$bin"; pg_start "$db" "$bin" 0
laboratory "$db" lab
sql "$db" lab <<'SQL'
create table lab_data.marks (id uuid not null default labos.uuid_v7(), org_id uuid, m text, n integer not null default 0,
  constraint marks_pkey primary key (id));
call labos.audit_enable('lab_data.marks');
SQL
seal() { sql "$db" lab -c "select coalesce(block, 0) from labos.audit_seal()"; }
verdict() { sql "$db" lab -c 'select ok, unsealed, reason from labos.audit_verify()'; }
# Each live row and each row of the log stand for each other; n counts the versions.
ledger() {
  sql "$db" lab <<'SQL'
select (select count(*) from lab_data.marks) = (select count(*) from lab_private.audit_log l join lab_private.audit_table t on t.id = l.tab where t.kind = 'marks' and l.op = 'I'),
       (select coalesce(sum(n), 0) from lab_data.marks) = (select count(*) from lab_private.audit_log l join lab_private.audit_table t on t.id = l.tab where t.kind = 'marks' and l.op = 'U'),
       not exists (select from lab_data.marks m where not exists (select from lab_private.audit_log l where l.rec = m.id and l.op = 'I')),
       (select count(*) from lab_private.audit_log) = (select sum(cnt) from lab_private.audit_block);
SQL
}

as_pg tee "$db/writer.sql" >/dev/null <<'SQL'
\set undo random(1, 3)
\set fate random(1, 10)
begin;
insert into lab_data.marks (m) values ('first');
savepoint a;
insert into lab_data.marks (m) select 'many' from generate_series(1, 20);
\if :undo = 1
rollback to a;
\else
release a;
\endif
savepoint b;
with x as (select id from lab_data.marks order by id desc limit 1 for update skip locked)
update lab_data.marks m set n = n + 1 from x where m.id = x.id;
\if :undo = 2
rollback to b;
\endif
insert into lab_data.marks (m) values ('last');
\if :fate = 1
rollback;
\else
commit;
\endif
SQL
# A transaction that lasts longer than all the others, and one that is prepared in the middle.
sql "$db" lab -c "begin" -c "insert into lab_data.marks (m) values ('long')" -c "select pg_sleep(5)" -c "insert into lab_data.marks (m) values ('long, later')" -c "commit" >/dev/null &
long=$!
sql "$db" lab -c "begin" -c "insert into lab_data.marks (m) values ('prepared')" -c "savepoint s" -c "insert into lab_data.marks (m) values ('prepared too')" -c "prepare transaction 'one'"
sql "$db" lab -c "begin" -c "insert into lab_data.marks (m) values ('prepared in vain')" -c "prepare transaction 'two'"
( while [ ! -e "$db/stop" ]; do seal; sleep 0.05; done ) >"$db/blocks.txt" 2>"$db/sealer.txt" &
sealer=$!
run "$db" pgbench -n -c 8 -j 2 -T 4 -f "$db/writer.sql" lab >"$db/pgbench.txt" 2>&1
wait "$long"
sql "$db" lab -c "commit prepared 'one'" 
sql "$db" lab -c "rollback prepared 'two'"
touch "$db/stop"
wait "$sealer"
seal >/dev/null
is "the sealer had nothing to complain of" "$(cat "$db/sealer.txt")" ''
like "writers wrote" "$(cat "$db/pgbench.txt")" 'number of failed transactions: 0'
ok "many blocks were sealed meanwhile" test "$(grep -cv '^0$' "$db/blocks.txt")" -gt 5
is "the log verifies, nothing is unsealed" "$(verdict)" 't|0|'
is "no row is lost, none is there twice" "$(ledger)" 't|t|t|t'
is "the prepared transaction's rows are there, the other's are not" \
  "$(sql "$db" lab -c "select count(*) from lab_private.audit_log where payload::text like '%prepared%' and op = 'I'")" 2
is "blocks held transactions in progress" "$(sql "$db" lab -c 'select count(*) > 0 from lab_private.audit_block where cardinality(xip) > 0')" t

# A server killed in the middle of writing and sealing.
rm "$db/stop"
( while [ ! -e "$db/stop" ]; do seal || break; done ) >/dev/null 2>&1 &
sealer=$!
run "$db" pgbench -n -c 8 -j 2 -T 10 -f "$db/writer.sql" lab >/dev/null 2>&1 &
writers=$!
sleep 2
as_pg bash -c "kill -9 \$(head -1 '$db/data/postmaster.pid')"
touch "$db/stop"
wait "$sealer" "$writers" 2>/dev/null
sleep 1
pg_start "$db" "$bin" 0
seal >/dev/null
is "after kill -9 the log verifies" "$(verdict)" 't|0|'
is "and is what the table is" "$(ledger)" 't|t|t|t'
done_testing
