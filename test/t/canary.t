#!/usr/bin/env bash
# P39: passwords, tokens, keys and codes go through every call, over HTTP and SQL, on a server that logs all it can;
# none of them is in a log, a statistics view, an error's log entry or a dump afterwards.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

LABOS_STATE=$(mktemp -d "${TMPDIR:-/tmp}/labos-state-XXXXXX")
export LABOS_STATE
scratch+=("$LABOS_STATE")
trap 'bin/server down >/dev/null 2>&1; finish' EXIT
LABOS_SETTINGS="shared_preload_libraries = 'pg_stat_statements,auto_explain'; log_statement = all; log_min_duration_statement = 0; log_parameter_max_length = -1"
LABOS_SETTINGS+="; log_parameter_max_length_on_error = -1; log_min_messages = info; log_error_verbosity = verbose; auto_explain.log_min_duration = 0; auto_explain.log_nested_statements = on"
LABOS_SETTINGS+="; auto_explain.log_verbose = on; pg_stat_statements.track = all; pg_stat_statements.track_utility = on"
export LABOS_SETTINGS
ok "a server that logs everything starts" bin/server up
[ -f "$LABOS_STATE/env" ] || { done_testing; exit; }
. "$LABOS_STATE/env"
psql=$LABOS_BIN/psql
"$psql" -X -q -c 'create extension pg_stat_statements' >/dev/null
# Every function that is given a secret has a name that the scrubbing knows. Not secrets: codes of errors and of labels, the
# name of a limit.
names() { sed -n "/ $1\[\] = {/,/^};/p" src/identity/log_scrub.c | grep -oE '"[a-z_]+"' | tr -d '"' | paste -sd, -; }
unknown=$("$psql" -X -A -t -v families="{$(names families)}" -v functions="{$(names functions)}" -f - <<'SQL'
select p.oid::regprocedure
from pg_proc p
where p.pronamespace in ('lab'::regnamespace, 'labos'::regnamespace, 'lab_private'::regnamespace)
  and (p.proargnames)[1:p.pronargs] && '{password,token,secret,key,code,challenge,current,new,refresh_token,id_token,device_token,client_secret}'
  and p.oid::regprocedure::text !~ '^(labos\.(throttle|labcode_valid)|lab_private\.(problem|refuse_run|dataset_refuse|gs1_valid))\('
  and p.proname <> all (:'functions'::text[])
  and not exists (select from unnest(:'families'::text[]) f where starts_with(p.proname, f));
SQL
)
like "the lists of names are read" "$(names families) $(names functions)" 'auth_.* .*,check_password'
is "every function that is given a secret is known to the scrubbing" "$unknown" ''
out=$(scratch_dir canary)
scratch+=("$out")
chmod 700 "$out"
ok "canaries fly through every call over HTTP and SQL" node test/t/canary.mjs fly "$out"
"$LABOS_BIN/pg_dump" labos >"$out/dump.sql"
"$psql" -X -A -t -c 'select query from pg_stat_statements' >"$out/statements"
"$psql" -X -A -t -c 'select query from pg_stat_activity' >"$out/activity"
cp "$LABOS_DIR/server.log" "$out/server.log"
cp "$LABOS_DIR/postgrest.log" "$out/postgrest.log"
like "the log has the statements themselves" "$(grep -c 'auth_login' "$out/server.log")" '^[0-9]{2,}'
like "and their plans" "$(grep -c 'Query Text' "$out/server.log")" '^[0-9]{2,}'
for place in server.log postgrest.log statements activity seen errors dump.sql; do
  is "no canary in: $place" "$(node test/t/canary.mjs look "$out" "$place")" ''
done
# The test can see: a canary in a place where nothing is promised is found.
"$psql" -X -q -c "select '$(head -n 1 "$out/canaries" | cut -d' ' -f2)'" >/dev/null
cp "$LABOS_DIR/server.log" "$out/control"
like "and one where nobody hides it is found" "$(node test/t/canary.mjs look "$out" control)" '.'
done_testing
