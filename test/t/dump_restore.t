#!/usr/bin/env bash
# A laboratory goes through pg_dump and pg_restore and comes out equal.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

old='' new=''
cluster old
cluster new
laboratory "$old" lab

before=$(contents "$old" lab)
like "there is something to lose" "$before" 'lab_data.organizations\|2\|'

# Roles belong to the cluster, the rest to the database.
run "$old" pg_dumpall --roles-only | grep -vE '^(CREATE|ALTER) ROLE postgres\b' | sql "$new" postgres -f - >/dev/null
is "the roles go over" "$(sql "$new" postgres -c "select string_agg(rolname, ' ' order by rolname) from pg_roles where rolname like 'lab\_%'")" \
  "lab_anon lab_auditor lab_authenticator lab_backup lab_guest lab_owner lab_user"
ok "pg_dump succeeds" run "$old" pg_dump -Fc -f "$old/lab.dump" lab
as_pg cp "$old/lab.dump" "$new/lab.dump"
message=$(run "$new" pg_restore -C -j2 -d postgres "$new/lab.dump" 2>&1)
is "pg_restore -j2 into an empty cluster has nothing to say" "$message" ''
is "every table has the same rows, and nothing was written by the restore" "$(contents "$new" lab)" "$before"
# But for brackets: PostgreSQL writes "a between 1 and 2 and b" with more of them than it reads.
is "the schema is the same" "$(schema "$new" lab | tr -d '()')" "$(schema "$old" lab | tr -d '()')"
is "nothing is pending" "$(sql "$new" lab -c "select cardinality(pending), deployed = extension from labos.status()")" '0|t'
sql "$new" lab -c 'call labos.deploy()'
is "a deployment after the restore changes nothing" "$(contents "$new" lab)" "$before"

# The other formats and ways.
sql "$new" postgres -c 'create database plain'
message=$(run "$old" pg_dump -Fp lab | sql "$new" plain -f - 2>&1 >/dev/null)
is "a plain dump loads without a word" "$message" ''
is "and is equal" "$(contents "$new" plain)" "$before"
as_pg rm -rf "$old/dir"
ok "a directory dump with two jobs succeeds" run "$old" pg_dump -Fd -j2 -f "$old/dir" lab

# lab_backup reads everything, and the owner's own dump is not silently a part of it.
sql "$old" lab -c "alter role lab_backup login"
ok "lab_backup can dump" as_pg "$old/bin/pg_dump" -h "$old" -p 5432 -U lab_backup -Fc -f "$old/backup.dump" lab
as_pg cp "$old/backup.dump" "$new/backup.dump"
sql "$new" postgres -c 'create database backup'
ok "what lab_backup dumped restores" run "$new" pg_restore -d backup "$new/backup.dump"
is "and is equal" "$(contents "$new" backup)" "$before"

# The extension holds code only, but the tables need it.
message=$(sql "$old" lab -c 'drop extension labos' 2>&1)
like "DROP EXTENSION labos is refused" "$message" 'cannot drop extension labos because other objects depend on it'

if [ "$(sql "$old" lab -c "select to_regprocedure('lab_private.audit_check()') is not null")" = t ]; then
  ok "the audit trail verifies after the restore" sql "$new" lab -c "select lab_private.audit_check()"
fi
done_testing
