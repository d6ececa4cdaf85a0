#!/usr/bin/env bash
# Mails leave the outbox by bin/deliver, whole and once, and no token stays behind.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

server=''
cluster server
as_pg sh -c "umask 077; openssl rand -hex 32 >'$server/master.key'"
printf '%s\n' "labos.master_key_file = '$server/master.key'" "log_statement = 'all'" 'log_min_duration_statement = 0' 'log_parameter_max_length = -1' \
  | as_pg tee -a "$server/data/postgresql.conf" >/dev/null
sql "$server" postgres -c 'select pg_reload_conf()' >/dev/null
sql "$server" postgres -c 'create database lab'
sql "$server" lab >/dev/null <<'SQL'
set client_min_messages to warning;
create extension labos cascade;
call labos.deploy();
select labos.bootstrap('Lab', 'root@lab.test', 'Correct-Horse-7');
create role courier login in role lab_delivery;
SQL
ask() { sql "$server" lab -c "$1"; }
out=$server/mail
as_pg mkdir -p "$out"
# As the worker's own login, which holds lab_delivery only.
deliver() { as_pg env LABOS_PSQL="$server/bin/psql" PGHOST="$server" PGPORT=5432 PGUSER=courier PGDATABASE=lab LABOS_SMTP_URL="${smtp_url-}" LABOS_SMTP_TLS=never \
  LABOS_MAIL_FROM="${from-}" node "$here/bin/deliver" "$@"; }
# The tree may stand where the server's user cannot look.
here=$server/tree
mkdir -p "$here/bin"
cp -r bin/deliver bin/mail "$here/bin/"
cp test/t/smtp.mjs "$here/"
chmod -R a+rX "$here"
from='Läb, "Müller" <lab@lab.test>'

# To files ----------------------------------------------------------------------
ask "select lab.auth_password_forgot('root@lab.test'), lab.auth_password_forgot('nobody@lab.test')" >/dev/null
is "P35 what waits is encrypted" "$(ask "select bool_and(labos.secret_is_encrypted(sealed_payload)) from lab_private.outbox")" t
log=$(deliver --once --dir "$out" 2>&1)
is "of two that were asked for one is sent" "$(as_pg ls "$out" | wc -l)" 1
eml=$(as_pg cat "$out"/*.eml)
token=$(grep -oE '[A-Za-z0-9_-]{43}' <<<"$eml" | head -n 1)
like "it is a message with a token" "${#token}|$eml" '^43\|From: =\?UTF-8\?B\?'
like "to the owner of the address" "$eml" '^To: root@lab.test'
like "which says how long it lives" "$eml" 'within 10 minutes'
is "its id is the row's" "$(grep -oE 'Message-ID: <[0-9a-f-]{36}@lab.test>' <<<"$eml")" "Message-ID: <$(ask 'select id from lab_private.outbox')@lab.test>"
is "no header is broken" "$(sed '/^\r*$/q' <<<"$eml" | grep -cvE $'^([A-Z][A-Za-z-]+: |[ \t]|\r*$)')" 0
is "the file is its owner's alone" "$(as_pg stat -c %a "$out"/*.eml)" 600
ok "the log of the worker holds no token and no address" bash -c '! grep -qE "$1|root@" <<<"$2"' _ "$token" "$log"
is "nothing is delivered twice" "$(deliver --once --dir "$out" 2>&1; as_pg ls "$out" | wc -l)" 1
is "what was delivered is erased" "$(ask 'select count(*) from lab_private.outbox where sealed_payload is not null')" 0
run "$server" pg_dump lab >"$server/dump.sql"
ok "P35 no dump holds the token" bash -c '! grep -q -- "$1" "$2"' _ "$token" "$server/dump.sql"
ok "P39 nor does the server's log, which holds every statement" bash -c '! grep -q -- "$1" "$2" && grep -q outbox_delivered "$2"' _ "$token" "$server/server.log"
is "it works, once" "$(ask "select lab.auth_password_reset('$token', 'Better-Horse-1') ->> 'status'")" ok
as_pg sh -c "rm -f '$out'/*"

# A link, where the installation says where its pages are.
ask "update lab_private.identity_settings set app_url = 'https://app.lab.test/lab/'" >/dev/null
ask "select lab.auth_password_forgot('root@lab.test')" >/dev/null
deliver --once --dir "$out" >/dev/null 2>&1
like "a link holds the token behind the #" "$(as_pg cat "$out"/*.eml)" 'https://app.lab.test/lab/reset-password#token=[A-Za-z0-9_-]{43}'
as_pg sh -c "rm -f '$out'/*"

# Every mail that labos can send has a template.
for template in "$here"/bin/mail/*.txt; do
  template=${template##*/}
  ask "select lab_private.outbox_add('mail', '${template%.txt}', 'x@lab.test', payload => '{\"token\": \"t-1\", \"minutes\": 1440, \"username\": \"ada\", \"at\": \"2026-01-02T03:04:05Z\", \"ip\": \"192.0.2.1\",
    \"user_agent\": \"Lynx\", \"organization\": \"Lab\", \"role\": \"Viewer\", \"inviter\": \"Bob\", \"expires_at\": \"2026-01-02T03:04:05Z\", \"name\": \"robot\", \"prefix\": \"lab_1\", \"message\": \"hello\"}')" >/dev/null
done
deliver --once --dir "$out" >/dev/null 2>&1
is "every template renders" "$(as_pg ls "$out" | wc -l)" "$(find "$here/bin/mail" -name '*.txt' | wc -l)"
is "and leaves nothing open" "$(as_pg sh -c "cat '$out'/*.eml" | grep -cE '\{\{|\}\}|undefined|NaN|Invalid')" 0
as_pg sh -c "rm -f '$out'/*"

# Nobody's text becomes a header, an instruction or another recipient.
ask "select lab_private.outbox_add('mail', 'invitation', 'x@lab.test', payload => jsonb_build_object('token', 'T', 'role', 'R', 'inviter', E'Eve\r\nBcc: victim@lab.test\r\n\r\nClick {{token}}',
  'organization', E'Ünï\r\nSubject: forged\u2028{{#token}}x{{/token}}' || repeat('ä', 300), 'expires_at', 'soon'))" >/dev/null
deliver --once --dir "$out" >/dev/null 2>&1
eml=$(as_pg cat "$out"/*.eml)
is "a name with line breaks makes no header" "$(grep -ciE '^(bcc|subject: forged)' <<<"$eml")" 0
is "one subject, in words of 75 characters" "$(grep -c '^Subject: =?UTF-8?B?' <<<"$eml") $(sed '/^\r*$/q' <<<"$eml" | awk 'length($0) > 78' | wc -l)" '1 0'
body=$(sed '1,/^\r*$/d' <<<"$eml" | base64 -di 2>/dev/null)
like "what looks like an instruction stays text" "$body" 'Click \{\{token\}\}'
as_pg sh -c "rm -f '$out'/*"
ask "insert into lab_private.outbox (channel, template, recipient, sealed_payload) select 'mail', t, r, null from (values ('lockout', 'a@b.test, c@d.test'), ('lockout', '<a@b.test>'), ('lockout', '-oX@b'), ('nothing', '=@b.test')) x(t, r)" >/dev/null
ask "update lab_private.outbox set sealed_payload = labos.secret_seal('{}', 'outbox/' || id) where delivered_at is null" >/dev/null
deliver --once --dir "$out" >/dev/null 2>&1
is "what is no address is given up, what has no template is tried again" "$(ask "select string_agg(template || ' ' || (failed_at is not null)::text || ' ' || coalesce(last_error, 'delivered'), '; ' order by recipient collate \"C\") from lab_private.outbox where template in ('lockout', 'nothing') and recipient <> 'x@lab.test'")" \
  'lockout false delivered; lockout true not an address; nothing false there is no template nothing; lockout true not an address'
as_pg sh -c "rm -f '$out'/*"
ask 'truncate lab_private.outbox'

# By SMTP ------------------------------------------------------------------------
as_pg sh -c "cd / && exec node '$here/smtp.mjs' '$out/smtp'" >"$server/smtp.port" 2>&1 &
smtp_pid=$!
for _ in $(seq 50); do [ ! -s "$server/smtp.port" ] || break; sleep 0.1; done
smtp_url=smtp://127.0.0.1:$(cat "$server/smtp.port")
ask "select lab_private.outbox_add('mail', 'password_changed', a, payload => '{\"at\": \"2026-01-02T03:04:05Z\"}') from unnest('{ada@lab.test,no-body@lab.test,later-on@lab.test}'::text[]) a" >/dev/null
log=$(deliver --once 2>&1)
[ -z "${DEBUG-}" ] || echo "# $smtp_url $log"
taken=$(as_pg sh -c "cat '$out'/smtp/*.txt")
is "one message is taken, for one recipient" "$(as_pg ls "$out/smtp" | wc -l) $(grep -c '^RCPT TO:<ada@lab.test>' <<<"$taken")" '1 1'
like "from the sender" "$taken" '^MAIL FROM:<lab@lab.test>'
like "with its text" "$taken" '^At 2026-01-02 03:04 UTC the password of your account was changed'
is "a mailbox that is refused is given up, one that is busy is tried again" "$(ask "select string_agg(split_part(recipient, '@', 1) || ' ' || case when delivered_at is not null then 'delivered' when failed_at is not null then 'failed' else 'waits' end, ', ' order by recipient) from lab_private.outbox")" \
  'ada delivered, later-on waits, no-body failed'
is "half a minute later" "$(ask "select round(extract(epoch from available_at - now()) / 10) * 10 in (20, 30) from lab_private.outbox where recipient like 'later%'")" t
# The server dies in the middle of a message: it was not taken, and is sent again.
ask "select lab_private.outbox_add('mail', 'password_changed', 'die-soon@lab.test', payload => '{\"at\": \"2026-01-02T03:04:05Z\"}')" >/dev/null
deliver --once >/dev/null 2>&1
is "what the server did not take waits" "$(ask "select attempts, delivered_at is null and failed_at is null, claimed_by is null, last_error is not null from lab_private.outbox where recipient like 'die%'") $(as_pg ls "$out/smtp" | wc -l)" '1|t|t|t 1'
ask "update lab_private.outbox set available_at = now() where recipient like 'later%'" >/dev/null
like "without a server it is tried again, too" "$(smtp_url=smtp://127.0.0.1:1 deliver --once 2>&1)" 'attempt 2 failed: curl'
kill "$smtp_pid" 2>/dev/null
kill "$(pgrep -P "$smtp_pid" -f smtp.mjs)" 2>/dev/null

# When things fail --------------------------------------------------------------------
smtp_url=''
ask 'truncate lab_private.outbox'
as_pg sh -c "rm -f '$out'/*.eml"
# Two workers share the work: each mail is somebody's.
ask "select lab_private.outbox_add('mail', 'lockout', 'two-' || i || '@lab.test', payload => '{\"at\": \"2026-01-02T03:04:05Z\"}') from generate_series(1, 40) i" >/dev/null
deliver --once --worker one --dir "$out" >"$server/one.log" 2>&1 &
one=$!
deliver --once --worker two --dir "$out" >"$server/two.log" 2>&1
wait "$one"
is "two workers deliver each mail once" "$(cat "$server/one.log" "$server/two.log" | grep -c ' delivered$') $(as_pg ls "$out" | grep -c eml) $(ask 'select count(*) from lab_private.outbox where attempts = 1 and delivered_at is not null')" '40 40 40'
as_pg sh -c "rm -f '$out'/*.eml"
# The connection is lost while a mail is sent: the worker cannot say so, and after the lease it goes out again, as the same message.
cat >"$here/sendmail" <<SH
#!/bin/sh
cat >"$out/sent.\$\$"
[ -e "$out/once" ] || { : >"$out/once"; "$server/bin/psql" -X -q -h "$server" -p 5432 -U postgres -d lab -c "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'courier'" >/dev/null; }
SH
chmod 755 "$here/sendmail"
by_program() { as_pg env LABOS_PSQL="$server/bin/psql" PGHOST="$server" PGPORT=5432 PGUSER=courier PGDATABASE=lab PGCLIENTENCODING=LATIN1 LABOS_SENDMAIL="$here/sendmail" node "$here/bin/deliver" --once; }
ask 'truncate lab_private.outbox'
ask "select lab_private.outbox_add('mail', 'invitation', 'lost@lab.test', payload => '{\"role\": \"Müller €\", \"token\": \"T\", \"organization\": \"L\", \"inviter\": \"I\", \"expires_at\": \"2026-01-02T03:04:05Z\"}')" >/dev/null
log=$(by_program 2>&1)
status=$?
like "a lost connection ends a worker that runs once, with an error" "$status $log" '^1 .*'
is "what it had sent is still claimed" "$(ask "select claimed_by is not null, delivered_at is null, available_at > now() + interval '5 minutes' from lab_private.outbox")" 't|t|t'
ask "update lab_private.outbox set available_at = now()" >/dev/null
by_program >/dev/null 2>&1
is "it is sent again as the same message" "$(as_pg sh -c "cat '$out'/sent.*" | grep -c '^Message-ID') $(as_pg sh -c "cat '$out'/sent.*" | grep '^Message-ID' | sort -u | wc -l) $(ask 'select delivered_at is not null from lab_private.outbox')" '2 1 t'
is "its letters are right whatever PGCLIENTENCODING says" "$(as_pg sh -c "cat '$out'/sent.*" | sed '1,/^$/d' | base64 -di 2>/dev/null | grep -c 'Müller €')" 1
as_pg sh -c "rm -f '$out'/sent.* '$out/once'"
# Ten megabytes are refused where they come from, what is just shorter becomes a mail of ordinary size; what is no text at all harms no other.
ask 'truncate lab_private.outbox'
ask "select lab_private.outbox_add('mail', 'invitation', 'big@lab.test', payload => jsonb_build_object('message', repeat('x', 1000000), 'role', 'R', 'token', 'T'))" >/dev/null
like "a payload of ten megabytes is refused" "$(ask "select lab_private.outbox_add('mail', 'invitation', 'big@lab.test', payload => jsonb_build_object('message', repeat('x', 10000000)))" 2>&1)" 'longer than 1048576 bytes'
ask "insert into lab_private.outbox (channel, template, recipient) values ('mail', 'lockout', 'bytes@lab.test'); update lab_private.outbox set sealed_payload = labos.secret_seal('\\xfffe00', 'outbox/' || id) where sealed_payload is null" >/dev/null
deliver --once --dir "$out" >/dev/null 2>&1
is "a value of one megabyte is cut, what is not UTF-8 waits" "$(as_pg sh -c "cat '$out'/*.eml | wc -c" | awk '{print ($1 > 2000 && $1 < 5000)}') $(ask "select string_agg(split_part(recipient, '@', 1) || ' ' || (delivered_at is not null)::text || ' ' || coalesce(left(last_error, 5), ''), ', ' order by recipient) from lab_private.outbox")" '1 big true , bytes false 22021'
as_pg sh -c "rm -f '$out'/*.eml"
ask 'truncate lab_private.outbox'

# As a service --------------------------------------------------------------------
deliver --every 0.2 --dir "$out" >"$server/service.log" 2>&1 &
service=$!
ask "select lab_private.outbox_add('mail', 'lockout', 'later@lab.test', payload => '{\"at\": \"2026-01-02T03:04:05Z\"}')" >/dev/null
for _ in $(seq 100); do as_pg sh -c "ls '$out'/*.eml" >/dev/null 2>&1 && break; sleep 0.1; done
is "a running worker delivers what comes" "$(as_pg sh -c "ls '$out'/*.eml" 2>/dev/null | wc -l)" 1
ask "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'courier'" >/dev/null
ask "select lab_private.outbox_add('mail', 'lockout', 'later2@lab.test', payload => '{\"at\": \"2026-01-02T03:04:05Z\"}')" >/dev/null
for _ in $(seq 100); do [ "$(as_pg sh -c "ls '$out'/*.eml" 2>/dev/null | wc -l)" != 2 ] || break; sleep 0.1; done
is "and comes back when its connection was ended" "$(as_pg sh -c "ls '$out'/*.eml" 2>/dev/null | wc -l)" 2
node_pid=$(ask "select 1" >/dev/null; pgrep -f "$here/bin/deliver --every" | while read -r p; do [ "$(readlink "/proc/$p/exe" | grep -c node)" = 0 ] || echo "$p"; done | head -n 1)
kill -TERM "$node_pid" 2>/dev/null
wait "$service" 2>/dev/null
is "it ends when it is told" "$(pgrep -f "$here/bin/deliver --every" | wc -l)" 0
done_testing
