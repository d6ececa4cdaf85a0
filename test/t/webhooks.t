#!/usr/bin/env bash
# Events reach a receiver by bin/deliver: signed, once, and nowhere that they should not go.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

server=''
cluster server
as_pg sh -c "umask 077; openssl rand -hex 32 >'$server/master.key'"
printf '%s\n' "labos.master_key_file = '$server/master.key'" "log_statement = 'all'" | as_pg tee -a "$server/data/postgresql.conf" >/dev/null
sql "$server" postgres -c 'select pg_reload_conf()' >/dev/null
sql "$server" postgres -c 'create database lab'
sql "$server" lab >/dev/null <<'SQL'
set client_min_messages to warning;
create extension labos cascade;
call labos.deploy();
select labos.bootstrap('Lab', 'root@lab.test', 'Correct-Horse-7');
create role courier login in role lab_delivery;
insert into lab_private.db_logins (rolname, user_id, org_id) select 'postgres', m.user_id, m.org_id from lab_data.memberships m;
update lab_private.identity_settings set webhook_loopback = true;
SQL
ask() { sql "$server" lab -c "$1"; }
here=$server/tree
mkdir -p "$here/bin"
cp -r bin/deliver bin/mail "$here/bin/"
cp test/t/hook.mjs "$here/"
# What names mean in these tests; each question is written down.
cat >"$here/names.cjs" <<'JS'
const dns = require('node:dns'), fs = require('node:fs')
const names = { 'metadata.example': ['169.254.169.254'], 'inner.example': ['10.0.0.7'], 'mixed.example': ['8.8.8.8', '127.0.0.1'], 'six.example': ['::1'], 'mapped.example': ['::ffff:127.0.0.1'] }
let asked = 0
dns.lookup = (host, options, done) => {
  fs.appendFileSync(process.env.LABOS_TEST_NAMES, host + '\n')
  // Another answer each time, as one who rebinds would give.
  const found = host.replace(/\.$/, '') === 'localhost' ? [asked++ ? '127.0.0.9' : '127.0.0.1'] : names[host.replace(/\.$/, '')]
  if (!found) return done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }))
  done(null, found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
}
JS
chmod -R a+rX "$here"
as_pg mkdir -p "$server/hook"
deliver() { as_pg env LABOS_PSQL="$server/bin/psql" PGHOST="$server" PGPORT=5432 PGUSER=courier PGDATABASE=lab LABOS_SENDMAIL=/bin/true NODE_OPTIONS="${node_options-}" \
  LABOS_TEST_NAMES="$server/hook/names" node "$here/bin/deliver" --once "$@" 2>&1; }
as_pg sh -c "cd / && exec node '$here/hook.mjs' '$server/hook/got'" >"$server/hook.port" 2>&1 &
hook_pid=$!
for _ in $(seq 50); do [ ! -s "$server/hook.port" ] || break; sleep 0.1; done
port=$(cat "$server/hook.port")
got() { as_pg cat "$server/hook/got"; }
field() { node -e 'let t = ""; process.stdin.on("data", (d) => { t += d }).on("end", () => { const r = JSON.parse(t.trim().split("\n").at(-1)); console.log(eval("r." + process.argv[1])) })' "$1"; }
state() { ask "select case when o.delivered_at is not null then 'delivered' when o.failed_at is not null then 'given up' else 'waits' end || coalesce(': ' || o.last_error, '') from lab_private.outbox o where o.channel = 'webhook' order by o.id"; }
point() { ask "update lab_data.webhooks set url = 'http://127.0.0.1:$port$1'"; }
test_hook() { ask 'truncate lab_private.outbox'; ask 'select lab.webhook_test(id) from lab_data.webhooks' >/dev/null; }

# One event -----------------------------------------------------------------------
made=$(ask "select lab.webhook_create('Receiver', 'http://127.0.0.1:$port/ok/hook?a=b', '{role.assigned,user.created}')")
secret=$(grep -oE 'whsec_[A-Za-z0-9_-]{43}' <<<"$made")
is "the secret is shown, and stored sealed" "${#secret} $(ask 'select labos.secret_is_encrypted(sealed_secret) from lab_private.webhook_secrets')" '49 t'
user=$(ask "select lab.user_create('ada@lab.test', 'ada') ->> 'id'")
is "P35 what waits is sealed" "$(ask "select bool_and(labos.secret_is_encrypted(sealed_payload)) from lab_private.outbox where channel = 'webhook'")" t
log=$(deliver --allow-private)
is "one request arrives" "$(got | wc -l) $(state)" '1 delivered'
is "by POST, to the address with its query" "$(got | field method) $(got | field path)" 'POST /ok/hook?a=b'
body=$(got | field body)
is "it says what happened, to whom" "$(got | field 'headers["content-type"]') $(got | field 'headers["labos-event"]') $(node -p 'const e = JSON.parse(process.argv[1]); [Object.keys(e).sort(), e.event, e.data.user_id, Object.keys(e.data).sort()].join(" ")' "$body")" \
  "application/json user.created data,event,id,occurred_at,org_id user.created $user by_user_id,log_id,user_id"
is "its id is that of the delivery" "$(node -p 'JSON.parse(process.argv[1]).id' "$body")" "$(got | field 'headers["labos-delivery"]')"
ok "and nothing of whoever it is about" bash -c '! grep -qiE "ada|lab\.test" <<<"$1"' _ "$body"
# The receiver's side, as docs/operations.md has it: HMAC-SHA256 over id.timestamp.body.
signature=$(got | field 'headers["labos-signature"]')
at=$(sed -E 's/^t=([0-9]+),v1=.*/\1/' <<<"$signature")
sign() { printf '%s.%s.%s' "$1" "$2" "$3" | openssl dgst -sha256 -hmac "$secret" -r | cut -d' ' -f1; }
id=$(got | field 'headers["labos-delivery"]')
is "the signature is over id, time and body" "${signature#*v1=}" "$(sign "$id" "$at" "$body")"
ok "with the time of now" test $(($(date +%s) - at)) -lt 300
ok "no log holds secret or address" bash -c '! grep -qE "whsec_|/ok/hook" <<<"$1"' _ "$log"
run "$server" pg_dump lab >"$server/dump.sql"
ok "P35 no dump holds the secret" bash -c '! grep -q -- "$1" "$2"' _ "$secret" "$server/dump.sql"
ok "P39 nor does the server's log" bash -c '! grep -q -- "$1" "$2" && grep -q webhook_create "$2"' _ "$secret" "$server/server.log"
is "nothing is delivered twice" "$(deliver --allow-private; got | wc -l)" 1
like "the webhook says when it was reached" "$(ask "select last_delivered_at > now() - interval '1 hour', last_error is null, failures from lab_data.webhooks")" '^t\|t\|0$'

# Another secret signs from now on.
rotated=$(ask 'select lab.webhook_rotate_secret(id) from lab_data.webhooks')
test_hook
deliver --allow-private >/dev/null
old=$secret
secret=$(grep -oE 'whsec_[A-Za-z0-9_-]{43}' <<<"$rotated")
signature=$(got | field 'headers["labos-signature"]')
at=$(sed -E 's/^t=([0-9]+),v1=.*/\1/' <<<"$signature")
is "a rotated secret signs" "$(got | field 'headers["labos-event"]') ${signature#*v1=}" "webhook.test $(sign "$(got | field 'headers["labos-delivery"]')" "$at" "$(got | field body)")"
ok "and is another" test "$secret" != "$old"

# What receivers do ---------------------------------------------------------------
for path in /fail /redirect /die; do
  point $path
  test_hook
  before=$(got | wc -l)
  deliver --allow-private >/dev/null
  case $path in /fail) wanted='answered 500' ;; /redirect) wanted='answered 307' ;; *) wanted='not reached' ;; esac
  is "$path: $wanted, tried again later" "$(state)" "waits: $wanted"
  is "$path: one request and no other" "$(($(got | wc -l) - before)) $(got | grep -c redirected)" '1 0'
done
is "the webhook says so" "$(ask 'select last_error, failures from lab_data.webhooks')" 'not reached|0'
point /endless
test_hook
deliver --allow-private >/dev/null
is "an answer without end is not listened to" "$(state)" delivered
point /hang
test_hook
deliver --allow-private >/dev/null
is "no answer is a failure" "$(state)" 'waits: no answer in time'
ask "update lab_data.webhooks set url = 'http://127.0.0.1:1/'"
test_hook
deliver --allow-private >/dev/null
is "no receiver is one, too" "$(state)" 'waits: not reached'
ask "update lab_private.outbox set attempts = 8, available_at = now() where channel = 'webhook'"
deliver --allow-private >/dev/null
is "and given up after eight" "$(state)" 'given up: no answer of the worker'

# Where it does not go ------------------------------------------------------------
connections=$(as_pg cat "$server/hook/got.connections")
point /ok
test_hook
log=$(deliver)
like "http is refused without --allow-private" "$log" 'failed for good: not https'
elsewhere() {
  ask 'truncate lab_private.outbox; delete from lab_data.webhooks'
  printf '%s\n' "$@" | as_pg tee "$server/hook/urls" >/dev/null
  sql "$server" lab <<SQL >/dev/null
create temp table u (n integer generated always as identity, url text);
copy u (url) from '$server/hook/urls';
insert into lab_data.webhooks (org_id, name, url, events) select o.id, 'h' || u.n, u.url, '{user.created}' from u, lab_data.organizations o;
select lab_private.webhook_secret_set(w), lab_private.webhook_put(w, 'user.created', now(), '{}') from lab_data.webhooks w;
SQL
  deliver
}
literal=(127.0.0.1 127.1.2.3 2130706433 0x7f.1 017700000001 127.1 0 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 198.18.0.1 224.0.0.1 255.255.255.255 127.0.0.1.
  '[::1]' '[::]' '[::ffff:127.0.0.1]' '[::ffff:7f00:1]' '[0:0:0:0:0:ffff:a00:1]' '[::127.0.0.1]' '[fe80::1]' '[fd00::1]' '[fc00::1]' '[ff02::1]' '[64:ff9b::7f00:1]' '[2002:7f00:1::]' '[2001::1]' '[2001:db8::1]' '[3fff::1]')
log=$(elsewhere "${literal[@]/#/https://}")
is "no spelling of a private address is connected to" "$(grep -c 'failed for good: the host is in a private network' <<<"$log")" "${#literal[@]}"
[ "$(grep -c 'private network' <<<"$log")" = "${#literal[@]}" ] || ask "select w.url, o.last_error from lab_private.outbox o join lab_data.webhooks w on w.id::text = o.recipient where o.last_error is distinct from 'the host is in a private network'" | sed 's/^/# /'
node_options="--require $here/names.cjs"
named=(localhost LOCALHOST. metadata.example inner.example mixed.example six.example mapped.example)
named=("${named[@]/#/https://}")
log=$(elsewhere "${named[@]/%/:$port/}")
is "nor a name that leads to one, or to one among others" "$(grep -c 'private network' <<<"$log")" 7
is "and whoever set it does not learn why" "$(state | sort | uniq -c | sed 's/^ *//')" '7 waits: not reached'
is "nothing has reached this machine" "$(as_pg cat "$server/hook/got.connections")" "$connections"
# The address that was looked at is the one that is connected to: a name is asked once.
as_pg rm -f "$server/hook/names"
ask 'truncate lab_private.outbox; delete from lab_data.webhooks'
ask "select lab.webhook_create('By name', 'http://localhost:$port/ok', '{user.created}')" >/dev/null
test_hook
deliver --allow-private >/dev/null
is "a name is asked for once, and its answer used" "$(as_pg cat "$server/hook/names") $(state)" 'localhost delivered'
kill "$(pgrep -P "$hook_pid" -f hook.mjs)" "$hook_pid" 2>/dev/null
done_testing
