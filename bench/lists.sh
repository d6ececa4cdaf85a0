#!/usr/bin/env bash
# Every list of the API (newest, next page, by each reference) at a million rows of 100 organisations: how many plans sort,
# read a whole table or do without the organisation in the index condition (goal: none), and the slowest list's milliseconds.
# LABOS_BENCH_LIST_TABLES names the tables that get LABOS_BENCH_ROWS rows, one after the other; test/t/plans.t walks all
# tables with fewer. Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one).
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
rows=${LABOS_BENCH_ROWS:-1000000}
faults=0 lists=0 slowest=0
for table in ${LABOS_BENCH_LIST_TABLES:-samples runs results materials simulation_jobs campaign_candidates access_logs}; do
  out=$(psql -X -q -A -t -v ON_ERROR_STOP=1 -v rows="$rows" -v orgs=100 -v only="$table" -v report="$table" -f "$top/test/t/plans.sql")
  printf '%s\n' "$out" | grep -v '^lists|' | sed "s/^/# /" || true
  while IFS='|' read -r _ n good ms; do
    lists=$((lists + n)) faults=$((faults + n - good))
    slowest=$(awk -v a="$slowest" -v b="$ms" 'BEGIN { print (b > a ? b : a) }')
  done < <(grep '^lists|' <<<"$out")
done
printf '{"name": "list_plans", "unit": "lists", "ours": %s, "peer": %s, "peer_name": "lists looked at", "ratio": null, "goal": 0, "met": %s, "note": "lists that sort or do without an index; %s rows a table"}\n' \
  "$faults" "$lists" "$([ "$faults" = 0 ] && echo true || echo false)" "$rows"
printf '{"name": "list_slowest", "unit": "ms", "ours": %s, "peer": null, "peer_name": null, "ratio": null, "goal": null, "met": null, "note": "50 rows; %s rows a table"}\n' "${slowest:-0}" "$rows"
