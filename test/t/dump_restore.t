#!/usr/bin/env bash
# A laboratory goes through pg_dump and pg_restore and comes out equal.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

old='' new=''
cluster old
cluster new
laboratory "$old" lab

# Part of the audit log is sealed, part is not.
sql "$old" lab -c 'select labos.audit_seal()' >/dev/null
sql "$old" lab -c "update lab_data.organizations set name = name || '!'"
before=$(contents "$old" lab)
like "there is something to lose" "$before" 'lab_data.organizations\|3\|'
# What only a running server writes, or what no released fill makes: named, so that a new table is filled or named here.
empty() { grep -E '^[a-z_]+\.[a-z0-9_]+\|0\|' <<<"$1" | cut -d'|' -f1 | sort | tr '\n' ' '; }
is "but for these, every table has a row" "$(empty "$before")" "lab_private.audit_checkpoint lab_private.db_logins lab_private.rbac_epoch lab_private.refresh_tokens lab_private.signing_keys "

# Roles belong to the cluster, the rest to the database.
run "$old" pg_dumpall --roles-only | grep -vE '^(CREATE|ALTER) ROLE postgres\b' | sql "$new" postgres -f - >/dev/null
is "the roles go over" "$(sql "$new" postgres -c "select string_agg(rolname, ' ' order by rolname) from pg_roles where rolname like 'lab\_%'")" \
  "lab_anon lab_auditor lab_authenticator lab_backup lab_delivery lab_guest lab_owner lab_user"
ok "pg_dump succeeds" run "$old" pg_dump -Fc -f "$old/lab.dump" lab
as_pg cp "$old/lab.dump" "$new/lab.dump"
message=$(run "$new" pg_restore -C -j2 -d postgres "$new/lab.dump" 2>&1)
is "pg_restore -j2 into an empty cluster has nothing to say" "$message" ''
is "every table has the same rows, and nothing was written by the restore" "$(contents "$new" lab)" "$before"
is "what was used is used" "$(sql "$new" lab -c "select string_agg(used::text, ' ' order by used) from lab_private.use_guard where used > 0")" '1 59000000'
is "and is not used again" "$(sql "$new" lab -c "select labos.use_guard_advance('00000000-0000-7000-8000-0000000003b1', 1), labos.use_guard_advance('00000000-0000-7000-8000-0000000003f1', 59000000)")" 'f|f'
# But for brackets: PostgreSQL writes "a between 1 and 2 and b" with more of them than it reads.
is "the schema is the same" "$(schema "$new" lab | tr -d '()')" "$(schema "$old" lab | tr -d '()')"
is "nothing is pending" "$(sql "$new" lab -c "select cardinality(pending), deployed = extension from labos.status()")" '0|t'

# The audit log: complete as it came; closed until it is opened; then it goes on.
audit() { sql "$new" "${1:-lab}" -c 'select ok, reason from labos.audit_verify()'; }
is "the doctor says that the log is not open" "$(sql "$new" lab -c "select ok, cure from labos.doctor() where name = 'the audit log is open'")" \
  "f|SELECT labos.audit_open('restored from …');"
is "the audit trail verifies after the restore" "$(audit)" 't|'
sql "$new" lab >/dev/null <<'SQL'
create table public.probe (id integer primary key, org_id uuid);
grant insert on public.probe to lab_user;
grant usage on schema public to lab_user;
create trigger _900_audit after insert on public.probe for each row execute function labos.tg__audit('probe');
SQL
message=$(sql "$new" lab -c 'set role lab_user' -c 'insert into public.probe values (1)' 2>&1)
like "a client cannot write before the log is open, and is told the cure" "$message" 'the audit log is not open.*|labos.audit_open'
sql "$new" lab -c 'drop table public.probe'
without_audit() { grep -v '^lab_private\.audit_'; }
sql "$new" lab -c 'call labos.deploy()'
is "after a deployment the doctor is content with it" "$(sql "$new" lab -c "select ok from labos.doctor() where name = 'the audit log is open'")" t
is "a deployment after the restore changes nothing but the audit log" "$(contents "$new" lab | without_audit)" "$(without_audit <<<"$before")"
is "it has opened a second generation, linked to the first" \
  "$(sql "$new" lab -c "select g.gen, g.prev_hash = b.hash, g.from_no = b.no + 1 from lab_private.audit_gen g, lab_private.audit_block b where g.gen = 2 and b.sxmax = 9223372036854775807")" '2|t|t'
sql "$new" lab -c "update lab_data.organizations set name = name || '?'"
is "changes are logged again" "$(sql "$new" lab -c "select count(*) from lab_private.audit_log where gen = 2 and op = 'U'")" 3
sql "$new" lab -c 'select labos.audit_seal()' >/dev/null
is "and the trail verifies over both lives" "$(audit)" 't|'
is "a row smuggled into the old one is found" \
  "$(sql "$new" lab -c 'begin' -c "insert into lab_private.audit_log (gen, xid, n, ts, ctx, tab, op) values (1, 9000000000000, 1, now(), 1, 1, 'I')" \
     -c 'select ok, reason from labos.audit_verify()' -c 'rollback')" 'f|row inserted'
sql "$new" postgres -c 'create database copy template lab'
is "a copied database is closed, too" "$(sql "$new" copy -c 'select gen is null from labos.audit_here()')" t
is "until it is opened" "$(sql "$new" copy -c "select labos.audit_open('a copy')")" 3
is "and verifies" "$(audit copy)" 't|'

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

done_testing
