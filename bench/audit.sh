#!/usr/bin/env bash
# What the audit trail costs: the same table of 15 columns without audit, with labos.tg__audit, with the classic plpgsql
# trigger (to_jsonb of old and new) and with a plpgsql trigger in the style of supa_audit (record ids made from the
# primary key, operation enum, four indexes; our own stand-in, written after its documented behaviour).
# Set-based: microseconds of added server CPU per row, medians of rounds in turn. Single row: transactions per second of two
# pgbench clients with synchronous_commit off. Then sealing, verifying and one record's history.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one), pgbench.
set -euo pipefail
rows=${LABOS_BENCH_AUDIT_ROWS:-50000}
log_rows=${LABOS_BENCH_AUDIT_LOG:-1000000}
seconds=${LABOS_BENCH_SECONDS:-4}
pgbench=$(command -v pgbench || ls "${LABOS_BIN:-/usr/lib/postgresql/15/bin}/pgbench")
work=$(mktemp -d "${TMPDIR:-/tmp}/labos-bench-audit-XXXXXX")
trap 'rm -rf "$work"' EXIT
sql() { psql -X -q -v ON_ERROR_STOP=1 -A -t "$@"; }

sql >/dev/null <<'SQL'
set client_min_messages to warning;
drop schema if exists bench cascade;
create schema bench;
create table bench.plain (
  id uuid primary key default labos.uuid_v7(), org_id uuid not null, name text not null, code text, status text not null default 'registered',
  amount float8, unit text, quantity numeric, tags text, note text, data jsonb, version integer not null default 1,
  created_at timestamptz not null default now(), updated_at timestamptz not null default now(), n bigint);
create table bench.ours (like bench.plain including all);
create table bench.classic (like bench.plain including all);
create table bench.supa (like bench.plain including all);

create table bench.classic_log (id bigint generated always as identity primary key, at timestamptz not null default now(), relation text not null,
  op text not null, who text not null default current_user, old jsonb, new jsonb);
create function bench.tg_classic() returns trigger language plpgsql security definer as $$
begin
  insert into bench.classic_log (relation, op, old, new)
  values (tg_relid::regclass::text, tg_op, case when tg_op <> 'INSERT' then to_jsonb(old) end, case when tg_op <> 'DELETE' then to_jsonb(new) end);
  return coalesce(new, old);
end $$;
create trigger t after insert or update or delete on bench.classic for each row execute function bench.tg_classic();

create type bench.operation as enum ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE');
create table bench.record_version (id bigserial primary key, record_id uuid, old_record_id uuid, op bench.operation not null, ts timestamptz not null default now(),
  table_oid oid not null, table_schema name not null, table_name name not null, record jsonb, old_record jsonb,
  check (coalesce(record_id, old_record_id) is not null or op = 'TRUNCATE'),
  check (op in ('INSERT', 'UPDATE') = (record_id is not null)),
  check (op in ('INSERT', 'UPDATE') = (record is not null)),
  check (op in ('UPDATE', 'DELETE') = (old_record_id is not null)),
  check (op in ('UPDATE', 'DELETE') = (old_record is not null)));
create index on bench.record_version (record_id) where record_id is not null;
create index on bench.record_version (old_record_id) where record_id is not null;
create index on bench.record_version using brin (ts);
create index on bench.record_version (table_oid);
create function bench.primary_key_columns(entity oid) returns text[] stable security definer language sql as $$
  select coalesce(array_agg(a.attname::text order by a.attnum), array[]::text[])
  from pg_index i join pg_attribute a on i.indrelid = a.attrelid and a.attnum = any (i.indkey)
  where i.indrelid = $1 and i.indisprimary $$;
create function bench.to_record_id(entity oid, pkey text[], rec jsonb) returns uuid stable language sql as $$
  select case
    when rec is null then null
    when pkey = array[]::text[] then gen_random_uuid()
    else (select md5((jsonb_build_array(to_jsonb($1)) || jsonb_agg($3 ->> key))::text)::uuid from unnest($2) x(key))
  end $$;
create function bench.tg_supa() returns trigger security definer language plpgsql as $$
declare
  pkey          text[] := bench.primary_key_columns(tg_relid);
  record_jsonb  jsonb := to_jsonb(new);
  record_id     uuid := bench.to_record_id(tg_relid, pkey, record_jsonb);
  old_jsonb     jsonb := to_jsonb(old);
  old_record_id uuid := bench.to_record_id(tg_relid, pkey, old_jsonb);
begin
  insert into bench.record_version (record_id, old_record_id, op, table_oid, table_schema, table_name, record, old_record)
  select record_id, old_record_id, tg_op::bench.operation, tg_relid, tg_table_schema, tg_table_name, record_jsonb, old_jsonb;
  return coalesce(new, old);
end $$;
create trigger t after insert or update or delete on bench.supa for each row execute function bench.tg_supa();
call labos.audit_enable('bench.ours', kind => 'bench_ours');

-- Microseconds of CPU this backend has used: the other processes of the machine do not count.
create function bench.cpu() returns float8 language sql volatile as $$
  select (f[12]::float8 + f[13]::float8) * 10000 from (select string_to_array(split_part(pg_read_file('/proc/self/stat'), ') ', 2), ' ') as f) x $$;
create function bench.run(target text, kind text, n integer) returns float8 language plpgsql as $$
declare
  v_start float8 := bench.cpu();
begin
  case kind
    when 'insert' then
      execute format('insert into bench.%I (org_id, name, code, amount, unit, quantity, tags, note, data, n)
        select %L, ''sample '' || g, ''S-'' || g, g * 0.1, ''mg'', g * 1.5, ''a,b'', ''a note of some length'', ''{"purity": 0.99, "lot": "L-7"}'', g
        from generate_series(1, %s) g', target, '0198a6d2-7c1b-7d11-b7a3-2f6f3a6c9e02', n);
    when 'update' then
      execute format('update bench.%I set amount = amount + 1, status = ''in_use'', version = version + 1, updated_at = clock_timestamp()', target);
    else
      execute format('delete from bench.%I', target);
  end case;
  return (bench.cpu() - v_start) / n;
end $$;
create table bench.measured (target text, kind text, us float8);
SQL

# Set-based ---------------------------------------------------------------------------
for _ in 1 2 3 4 5; do
  for target in plain ours classic supa; do
    for kind in insert update delete; do
      n=$rows
      [ "$target" != supa ] && [ "$target" != classic ] || n=$((rows / 5))
      echo "insert into bench.measured values ('$target', '$kind', bench.run('$target', '$kind', $n));"
    done
    echo "vacuum bench.$target;"
  done
done | sql >/dev/null
sql <<'SQL'
with m as (select target, kind, percentile_cont(0.5) within group (order by us) as us from bench.measured group by 1, 2),
     a as (select m.kind, m.target, m.us - p.us as us from m join m p on p.kind = m.kind and p.target = 'plain' where m.target <> 'plain')
select json_build_object('name', 'audit_set_' || o.kind || case p.target when 'supa' then '_supa' else '_classic' end, 'unit', 'us CPU added per row',
         'ours', round(o.us::numeric, 2), 'peer', round(p.us::numeric, 2),
         'peer_name', case p.target when 'supa' then 'plpgsql trigger in the style of supa_audit (stand-in)' else 'classic plpgsql to_jsonb trigger' end,
         'ratio', round((p.us / o.us)::numeric, 2), 'goal', g.goal, 'met', p.us / o.us >= g.goal)
from a o join a p on p.kind = o.kind and p.target <> 'ours' and o.target = 'ours'
join (values ('supa', 10.0), ('classic', 1.0)) g(target, goal) on g.target = p.target order by p.target, o.kind;
with m as (select target, kind, percentile_cont(0.5) within group (order by us) as us from bench.measured group by 1, 2)
select json_build_object('name', 'audit_added_' || m.kind, 'unit', 'us CPU added per row', 'ours', round((m.us - p.us)::numeric, 2), 'peer', round(p.us::numeric, 2),
         'peer_name', 'the statement without audit', 'ratio', round(((m.us - p.us) / g.goal)::numeric, 2), 'goal', g.goal, 'met', m.us - p.us <= g.goal)
from m join m p on p.kind = m.kind and p.target = 'plain' and m.target = 'ours'
join (values ('insert', 10.0), ('update', 7.0), ('delete', 9.0)) g(kind, goal) on g.kind = m.kind order by m.kind;
SQL

# Single rows -----------------------------------------------------------------------------
for target in plain ours supa; do
  echo "insert into bench.$target (org_id, name, code, amount, unit, quantity, tags, note, data, n)
        values ('0198a6d2-7c1b-7d11-b7a3-2f6f3a6c9e02', 'sample', 'S-1', 0.1, 'mg', 1.5, 'a,b', 'a note of some length', '{\"purity\": 0.99, \"lot\": \"L-7\"}', 1);" >"$work/$target.sql"
done
tps() { PGOPTIONS='-c synchronous_commit=off' "$pgbench" -n -M prepared -c 2 -j 2 -T "$seconds" -f "$work/$1.sql" | sed -n 's/^tps = \([0-9.]*\).*/\1/p'; }
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
for _ in 1 2 3 4 5; do for target in plain ours supa; do tps $target >>"$work/$target.tps"; done; done
plain=$(median <"$work/plain.tps") ours=$(median <"$work/ours.tps") supa=$(median <"$work/supa.tps")
# The same with and without a sealer at work, in turn.
for _ in 1 2 3 4 5; do
  rm -f "$work/stop"
  ( while [ ! -e "$work/stop" ]; do sql -c 'select labos.audit_seal()' >/dev/null; sleep 1; done ) &
  sealer=$!
  tps ours >>"$work/sealed.tps"
  touch "$work/stop"; wait $sealer
  tps ours >>"$work/unsealed.tps"
done
sealed=$(median <"$work/sealed.tps") unsealed=$(median <"$work/unsealed.tps")
row() { # name unit ours peer peer_name goal sense
  awk -v name="$1" -v unit="$2" -v ours="$3" -v peer="$4" -v peer_name="$5" -v goal="$6" 'BEGIN {
    ratio = ours / peer
    printf "{\"name\": \"%s\", \"unit\": \"%s\", \"ours\": %.1f, \"peer\": %.1f, \"peer_name\": \"%s\", \"ratio\": %.2f, \"goal\": %s, \"met\": %s}\n",
           name, unit, ours, peer, peer_name, ratio, goal, (ratio >= goal) ? "true" : "false" }'
}
row audit_single_row 'transactions/s' "$ours" "$plain" 'the same without audit' 0.75
row audit_single_row_supa 'transactions/s' "$ours" "$supa" 'plpgsql trigger in the style of supa_audit (stand-in)' 5.0
row audit_single_row_sealing 'transactions/s' "$sealed" "$unsealed" 'audited without a sealer' 0.93

# Sealing, verifying, history ------------------------------------------------------------------
sql >/dev/null <<SQL
select labos.audit_seal();
truncate bench.plain;
insert into bench.ours (org_id, name, code, amount, unit, quantity, tags, note, data, n)
  select '0198a6d2-7c1b-7d11-b7a3-2f6f3a6c9e02', 'sample ' || g, 'S-' || g, g * 0.1, 'mg', g * 1.5, 'a,b', 'a note of some length', '{"purity": 0.99, "lot": "L-7"}', g
  from generate_series(1, $log_rows) g;
SQL
sql -c 'vacuum analyze lab_private.audit_log'
sql <<'SQL'
create temporary table t (what text, n bigint, us float8);
do $$
declare
  v_start timestamptz;
  v_cpu   float8 := bench.cpu();
  v_n     bigint;
  v_rec   uuid;
begin
  select entries into v_n from labos.audit_seal();
  insert into t values ('seal', v_n, bench.cpu() - v_cpu);
  for v_i in 1..3 loop
    v_cpu := bench.cpu();
    select entries into v_n from labos.audit_verify() v where v.ok;
    insert into t values ('verify', v_n, bench.cpu() - v_cpu);
  end loop;
  select id into v_rec from bench.ours order by n limit 1 offset 1000;
  for v_i in 1..20 loop
    v_start := clock_timestamp();
    perform l.* from lab_private.audit_log l left join lab_private.audit_ctx c on c.id = l.ctx where l.rec = v_rec order by l.gen, l.ts, l.xid, l.n;
    insert into t values ('history', 1, extract(epoch from clock_timestamp() - v_start) * 1e6);
  end loop;
end $$;
select json_build_object('name', 'audit_' || g.what, 'unit', 'million rows/s a core', 'ours', round(max(n / us)::numeric, 3), 'peer', g.goal,
         'peer_name', 'target', 'ratio', round((max(n / us) / g.goal)::numeric, 2), 'goal', 1.0, 'met', max(n / us) >= g.goal)
from t join (values ('seal', 0.5), ('verify', 1.0)) g(what, goal) using (what) group by g.what, g.goal order by 1::text;
select json_build_object('name', 'audit_history', 'unit', 'ms', 'ours', round((percentile_cont(0.5) within group (order by us) / 1000)::numeric, 3), 'peer', 10,
         'peer_name', 'target', 'ratio', round((10000 / percentile_cont(0.5) within group (order by us))::numeric, 1), 'goal', 1.0,
         'met', percentile_cont(0.5) within group (order by us) <= 10000)
from t where what = 'history';
SQL
sql >/dev/null <<'SQL'
set client_min_messages to warning;
call labos.audit_disable('bench.ours', 'end of the benchmark');
drop schema bench cascade;
SQL
