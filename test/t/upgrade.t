#!/usr/bin/env bash
# A laboratory of every released version becomes one of this version, with its data.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

now=$(sed -n "s/^default_version = '\(.*\)'/\1/p" labos.control)

# library VERSION CLUSTER: the library as that version would have had it: it knows its own number only.
library() {
  local tree status
  tree=$(scratch_dir tree)
  cp -a Makefile src bin sql labos.control labos.so "$tree/"
  touch "$tree/src/labos.c"
  make -s --no-print-directory -C "$tree" -f src/build.mk LABOS_V="$1" labos.so \
    && install -m 755 "$tree/labos.so" "$2/pg$("$(pg_config_path)" --pkglibdir)/labos.so"
  status=$?
  # Here, not at the end: the test runs this in a shell of its own.
  scratch_remove "$tree"
  return $status
}
restart() { pg_stop "$1" "$1/bin" fast; pg_start "$1" "$(readlink "$1/bin")" 0; }

fresh='' server=''
cluster fresh
# Filled, because an organisation's counters are sequences: part of the schema.
laboratory "$fresh" lab

shopt -s nullglob
for script in sql/released/labos--*.sql; do
  old=${script##*labos--}
  old=${old%.sql}
  case $old in *--*) continue ;; esac
  cluster server
  ok "$old: its library builds" library "$old" "$server"
  restart "$server"
  sql "$server" postgres -c 'create database lab'
  ok "$old: it deploys" sql "$server" lab -c 'set client_min_messages to warning' -c "create extension labos version '$old' cascade" -c 'call labos.deploy()'
  is "$old: is what stands there" "$(sql "$server" lab -c 'select library, extension, deployed from labos.status()')" "$old|$old|$old"
  fill "$server" lab "$old"
  rows=$(contents "$server" lab | grep -v '^lab_private\.\(deployment\|migration\|repeatable\)|')
  # What somebody added must survive.
  sql "$server" lab <<'SQL'
create table lab_data.my_notes (id integer primary key, note text);
insert into lab_data.my_notes values (1, 'mine');
SQL
  pg_install "$server/pg"
  restart "$server"
  like "$old: the new library over the old extension says what to do" \
    "$(sql "$server" lab -c 'call labos.deploy()' 2>&1)" "labos library is version $now but the extension in this database is version $old"
  ok "$old: ALTER EXTENSION labos UPDATE" sql "$server" lab -c 'alter extension labos update'
  ok "$old: CALL labos.deploy()" sql "$server" lab -c 'call labos.deploy()'
  is "$old: now stands $now" "$(sql "$server" lab -c 'select library, extension, deployed, cardinality(pending) from labos.status()')" "$now|$now|$now|0"
  is "$old: the audit trail verifies" "$(sql "$server" lab -c 'select labos.audit_seal() is not null' -c 'select ok from labos.audit_verify()' | tail -n 1)" t
  is "$old: what somebody added is there" "$(sql "$server" lab -c 'select * from lab_data.my_notes')" '1|mine'
  sql "$server" lab -c 'drop table lab_data.my_notes'
  while IFS='|' read -r table n _; do
    case $table in
      *_seq | lab_private.sample_number_*) ;;
      # Seeds and grants of rights may grow with a version, and the upgrade itself is audited.
      lab_data.permissions | lab_data.role_permissions | lab_data.roles | lab_private.audit_*)
        ok "$old: $table has not lost rows" test "$(sql "$server" lab -c "select count(*) >= $n from $table")" = t ;;
      *) is "$old: $table has its $n rows" "$(sql "$server" lab -c "select count(*) from $table")" "$n" ;;
    esac
  done <<<"$rows"
  is "$old: its schema equals a fresh one" "$(schema "$server" lab)" "$(schema "$fresh" lab)"
  # The members of the extension too.
  members="select pg_describe_object(classid, objid, 0) from pg_depend where deptype = 'e' and refobjid = (select oid from pg_extension where extname = 'labos') order by 1"
  is "$old: the extension has the same members" "$(sql "$server" lab -c "$members")" "$(sql "$fresh" lab -c "$members")"
  functions="select p.oid::regprocedure::text, md5(pg_get_functiondef(p.oid)), coalesce(p.proacl, acldefault('f', p.proowner)) from pg_proc p join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e' and d.refobjid = (select oid from pg_extension where extname = 'labos') where p.prokind in ('f', 'p') order by 1"
  is "$old: with the same definitions" "$(sql "$server" lab -c "$functions")" "$(sql "$fresh" lab -c "$functions")"
  pg_stop "$server" "$server/bin" immediate
done
if [ $tap_n = 0 ]; then echo "ok 1 # SKIP NO RELEASED VERSION in sql/released: nothing to upgrade from"; tap_n=1; fi
done_testing
