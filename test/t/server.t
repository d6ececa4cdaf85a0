#!/usr/bin/env bash
# The throw-away server starts, starts again after accidents, and leaves nothing behind.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

LABOS_STATE=$(mktemp -d "${TMPDIR:-/tmp}/labos-state-XXXXXX")
export LABOS_STATE
scratch+=("$LABOS_STATE")
trap 'bin/server down >/dev/null 2>&1; finish' EXIT
load() { . "$LABOS_STATE/env"; }
answers() { [ "$(curl -s -o /dev/null -w '%{http_code}' "$LABOS_URL/")" = 200 ]; }
mode() { stat -c %a "$1"; }

ok "it starts" bin/server up
[ -f "$LABOS_STATE/env" ] || { done_testing; exit; }
load
first=$LABOS_URL
dir=$LABOS_DIR
ok "PostgREST answers" answers
is "labos is deployed" "$("$LABOS_BIN/psql" -X -A -t -c 'select deployed = extension from labos.status()')" t
is "the environment is readable by its owner only" "$(mode "$LABOS_STATE/env")" 600
is "nobody else can enter the scratch directory" "$(mode "$dir")" 700
is "and the master key has 32 bytes" "$(stat -c '%a %s' "$dir/master.key")" '600 32'
ok "the superuser has no way in over TCP without a password" \
  bash -c '! "$LABOS_BIN/psql" -X -w -h 127.0.0.1 -c "select 1"'
ok "nor has the gateway on the socket" bash -c '! "$LABOS_BIN/psql" -X -w -U lab_authenticator -c "select 1"'
like "PostgREST listens on loopback only" "$(cat "$dir/postgrest.conf")" 'server-host = "127.0.0.1"'
ok "a second start changes nothing" bin/server up
load
is "and keeps the address" "$LABOS_URL" "$first"

kill -9 "$(cat "$dir/postgrest.pid")"
sleep 0.2
ok "after PostgREST was killed it is not up" bash -c '! bin/server status'
ok "and starts again" bin/server up
load
ok "and answers" answers

kill -9 "$(head -n 1 "$dir/data/postmaster.pid")"
sleep 1
ok "after the postmaster was killed it starts again" bin/server up
load
ok "with its data" "$LABOS_BIN/psql" -X -A -t -c 'select 1 from lab_data.organizations limit 1'
ok "and answers" answers

# A reboot: nothing runs, the numbers belong to others, the scratch directory is gone.
bin/server down >/dev/null 2>&1
is "stopping leaves nothing" "$(ls -d "$dir" "$LABOS_STATE" 2>/dev/null)" ''
mkdir -p "$LABOS_STATE"
printf 'dir=%q\nbin=%q\nport=1\nhttp_port=1\n' "$dir" "$dir/pg/bin" >"$LABOS_STATE/server"
ok "it starts where an earlier one has vanished" bin/server up
load
ok "and answers" answers
rm -rf "$LABOS_DIR/data/base"
ok "and stops even when its data are broken" bin/server down
is "leaving nothing" "$(ls -d "$LABOS_DIR" "$LABOS_STATE" 2>/dev/null)" ''
ok "stopping what is not there is no error" bin/server down
done_testing
