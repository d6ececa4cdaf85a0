# For scripts that measure whole HTTP requests: processor time of PostgREST and of its backends, and the caller's token.
# Needs what make bench gives, and bin/lib.sh.

# Nanoseconds that the gateway's threads and its backends have run. Both must be the same processes before and after.
http_cpu() {
  local pids
  pids=$(psql -X -q -A -t -c "select pid from pg_stat_activity where usename = 'lab_authenticator'")
  for pid in $pids $(cat "$LABOS_DIR/postgrest.pid"); do cat "/proc/$pid/task/"*/schedstat; done 2>/dev/null | awk '{ s += $1 } END { printf "%.0f\n", s }'
}

http_token() {
  curl -s "$LABOS_URL/rpc/auth_login" -H 'Content-Type: application/json' -d "{\"login\": \"$LABOS_ADMIN_EMAIL\", \"password\": \"$LABOS_ADMIN_PASSWORD\"}" \
    | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p'
}

# http_cost TOKEN PATH N: microseconds of processor time and of time, a request, on one connection. The path ends so that "[1-N]" may follow.
http_cost() {
  local cpu wall codes
  cpu=$(http_cpu) wall=$(date +%s%N)
  codes=$(curl -s -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $1" "$LABOS_URL$2[1-$3]" | sort | uniq -c | xargs)
  wall=$(($(date +%s%N) - wall)) cpu=$(($(http_cpu) - cpu))
  [ "$codes" = "$3 200" ] || { echo "requests answered $codes" >&2; return 1; }
  awk -v c="$cpu" -v w="$wall" -v n="$3" 'BEGIN { printf "%.2f %.2f\n", c / n / 1000, w / n / 1000 }'
}
# Median of a list of numbers on standard input.
middle() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
