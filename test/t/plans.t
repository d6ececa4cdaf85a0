#!/usr/bin/env bash
# Every list that clients ask for is an index scan with the organisation in the index condition and without a sort: of every
# exposed table the newest, the next page, and those of each reference. A new table that lacks an index fails here.
# LABOS_PLAN_ROWS (20000) rows a table of LABOS_PLAN_ORGS (20) organisations; bench/lists.sh does it with a million.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

db=''
cluster db
laboratory "$db" lab
plans() { sql "$db" lab -v rows="${LABOS_PLAN_ROWS:-20000}" -v orgs="${LABOS_PLAN_ORGS:-20}" "$@" -f - <test/t/plans.sql; }

out=$(plans 2>&1)
is 'no list sorts, reads a whole table or does without the organisation in its index' "$(grep -v '^lists|' <<<"$out")" ''
like 'a hundred lists were looked at' "$out" '^lists\|1[0-9][0-9]\|'
# The test sees what it should: a table without its index.
sql "$db" lab -c 'drop index lab_data.runs_org_id_project_id_id_idx'
like 'a missing index is named' "$(plans -v only=runs 2>&1)" '^runs\|project_id\|'
done_testing
