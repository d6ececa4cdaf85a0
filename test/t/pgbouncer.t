#!/usr/bin/env bash
# Two people behind one server connection: PgBouncer in transaction mode with a pool of one. Whatever the first leaves
# behind, the second is who their own token says, sees nothing of the first and can change nothing of theirs.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

bouncer=$(PATH=$PATH:/usr/sbin command -v pgbouncer) || { echo "1..0 # SKIP pgbouncer is not installed: bin/setup test"; exit 0; }
LABOS_STATE=$(mktemp -d "${TMPDIR:-/tmp}/labos-state-XXXXXX")
export LABOS_STATE
scratch+=("$LABOS_STATE")
b=$(scratch_dir bouncer)
scratch+=("$b")
trap 'bouncer_stop; bin/server down >/dev/null 2>&1; finish' EXIT
bouncer_stop() { [ ! -f "$b/pid" ] || kill "$(cat "$b/pid")" 2>/dev/null; }
bin/server up 2>/dev/null || { echo "Bail out! no server"; exit 1; }
. "$LABOS_STATE/env"
super() { "$LABOS_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

super >/dev/null <<'SQL'
create role app login password 'app';
grant lab_user to app;
SQL
# Two organisations with one sample each, and a token of each one's admin.
declare -A token
for who in ann bob; do
  super >/dev/null <<SQL
\set slug '$who'
select labos.password_hash('Correct-Horse-7') as hash \gset
insert into lab_data.organizations (name, slug) values (:'slug' || ' Lab', :'slug') returning id as org \gset
insert into lab_data.users (email, username, is_verified) values (:'slug' || '@lab.example', :'slug', true) returning id as person \gset
insert into lab_private.credentials (user_id, password_hash, algorithm, parameters) values (:'person', :'hash', 'argon2id', '{}');
insert into lab_data.memberships (org_id, user_id, is_default) values (:'org', :'person', true);
insert into lab_data.user_roles (org_id, user_id, role_id) select :'org', :'person', id from lab_data.roles where name = 'admin' and org_id is null;
SQL
  token[$who]=$(curl -s "$LABOS_URL/rpc/auth_login" -H 'Content-Type: application/json' -d "{\"login\": \"$who\", \"password\": \"Correct-Horse-7\"}" | sed 's/.*"access_token" *: *"\([^"]*\)".*/\1/')
  curl -s "$LABOS_URL/samples" -H "Authorization: Bearer ${token[$who]}" -H 'Content-Type: application/json' -d "{\"name\": \"sample of $who\"}"
done

for _ in 1 2 3 4 5; do
  port=$(free_port)
  cat >"$b/bouncer.ini" <<INI
[databases]
labos = host=$PGHOST port=$PGPORT dbname=labos
[pgbouncer]
listen_addr =
unix_socket_dir = $b
listen_port = $port
auth_type = trust
auth_file = $b/users
pool_mode = transaction
default_pool_size = 1
max_client_conn = 20
pidfile = $b/pid
logfile = $b/log
ignore_startup_parameters = extra_float_digits
INI
  printf '"app" "app"\n' >"$b/users"
  chmod -R a+rX "$b"
  [ "$(id -u)" != 0 ] || chown -R postgres: "$b"
  as_pg "$bouncer" -q -d "$b/bouncer.ini" && break
done
for _ in $(seq 50); do [ -S "$b/.s.PGSQL.$port" ] && break; sleep 0.1; done

# Clients that stay connected: what is written to them runs on the one server connection, in turn.
coproc FIRST { exec "$LABOS_BIN/psql" -X -q -A -t -h "$b" -p "$port" -U app labos 2>&1; }
exec {in1}>&"${FIRST[1]}" {out1}<&"${FIRST[0]}"
{ coproc SECOND { exec "$LABOS_BIN/psql" -X -q -A -t -h "$b" -p "$port" -U app labos 2>&1; }; } 2>/dev/null
exec {in2}>&"${SECOND[1]}" {out2}<&"${SECOND[0]}"
answer() {
  local line text=''
  while IFS= read -r -t 20 line <&"$1"; do [ "$line" != "--end--" ] || break; text+="$line"$'\n'; done
  printf '%s' "$text"
}
first() { printf '%s\n\\echo --end--\n' "$1" >&"$in1"; answer "$out1"; }
second() { printf '%s\n\\echo --end--\n' "$1" >&"$in2"; answer "$out2"; }
login() { echo "select labos.login('${token[$1]}') is not null;"; }
look="select coalesce(string_agg(name, ','), 'nothing') from lab.samples; select labos.user_id() is null;"
nothing=$'nothing\nt'

is "both share one server connection" "$(first 'select pg_backend_pid();')" "$(second 'select pg_backend_pid();')"
is "the first is who the token says" "$(first "begin; $(login ann) select name from lab.samples; commit;")" $'t\nsample of ann'
is "A93 a login does not reach the next client of the connection" "$(second "$look")" "$nothing"
is "A94 nor after a transaction that failed" "$(first "begin; $(login ann) select 1 / 0; rollback;" | head -n 1; second "$look")" $'t\n'"$nothing"
like "A95 claims by SET reach nobody" "$(first "set request.jwt.claims = '{\"sub\": \"x\"}'; set role lab_user; select set_config('request.jwt.claims', '{}', false);"; second "$look reset role; reset request.jwt.claims;")" "nothing"
is "A96 the second is the second, right after the first" "$(first "begin; $(login ann) select count(*) from lab.samples; commit;" >/dev/null; second "begin; $(login bob) select name from lab.samples; commit;")" $'t\nsample of bob'
is "A97 a statement that the first prepared gives the second only their own" "$(first "begin; $(login ann) prepare list as select name from lab.samples; execute list; commit;" >/dev/null
  second "begin; $(login bob) execute list; commit; deallocate list;")" $'t\nsample of bob'
like "A98 a temporary table cannot be laid before ours" "$(first 'create temp table samples (name text);'; second "begin; $(login bob) insert into lab.samples (name) values ('x'); select count(*) from lab.samples; rollback;")" 'permission denied to create temporary tables.*
.*
2'
like "A99 a cursor WITH HOLD of the first is not the second’s to read" "$(first "begin; $(login ann) declare kept cursor with hold for select name from lab.samples; commit;"; second 'fetch all from kept;')" 'cursor "kept" does not exist'
like "A106 nor one that was declared before the login" "$(first "begin; declare early cursor with hold for select name from lab.samples; $(login ann) commit;"; second 'fetch all from early;')" 'cursor "early" does not exist'
like "A100 nor what currval, lastval and warnings remember" "$(second 'select lastval();')" 'lastval is not yet defined|permission denied'
like "A101 settings that the first left change nobody's rights" "$(first "set search_path = pg_temp, public; set row_security = off; set session_replication_role = replica;" ; second "begin; $(login bob) select count(*) from lab.samples; rollback; reset all;")" 'permission denied to set parameter "session_replication_role"'
is "A102 and with the settings reset, the second sees their own" "$(second "reset all; begin; $(login bob) select name from lab.samples; rollback;")" $'t\nsample of bob'
is "A103 a session that is ended between two transactions is nobody" "$(curl -s -o /dev/null -w '%{http_code}' -X POST "$LABOS_URL/rpc/auth_logout" -H "Authorization: Bearer ${token[ann]}" -H 'Content-Type: application/json' -d '{}'
  first "begin; $(login ann) rollback; $look" | grep -c 'token is not valid')" 2001
like "A104 the acting organisation is not left behind" "$(first "select set_config('labos.acting_org', '$(super -c "select id from lab_data.organizations where slug = 'bob'")', false);"; second "$look")" "nothing"
is "A105 a hundred turns of two people never mix" "$(for _ in $(seq 50); do second "begin; $(login bob) select name from lab.samples; commit;"; second "$look"; done | sort | uniq -c | sed 's/^ *//')" $'50 nothing\n50 sample of bob\n100 t'
# By an API key: the session is the key's, with its scopes, for one transaction.
key=$(curl -s -X POST "$LABOS_URL/rpc/api_key_create" -H "Authorization: Bearer ${token[bob]}" -H 'Content-Type: application/json' -d '{"name": "pool", "scopes": ["sample:read"]}' | sed 's/.*"key" *: *"\([^"]*\)".*/\1/')
is "A149 a login by key does not reach the next client" "$(first "begin; select labos.login('$key') is not null; select name from lab.samples; commit;"; second "$look")" $'t\nsample of bob\n'"$nothing"
like "A150 nor do a key's scopes widen by who was there before, or by settings" "$(first "begin; $(login bob) commit;" >/dev/null; second "begin; select labos.login('$key') is not null; set local labos.acting_org = ''; insert into lab.samples (name) values ('by key'); rollback;")" '^t
.*(permission|42501|denied|policy)'
id_of_bob=$(super -c "select id from lab_data.organizations where slug = 'bob'")
like "A151 one who belongs elsewhere acts for nobody by labos.acting_org" "$(second "begin; select set_config('labos.acting_org', '$id_of_bob', true) is null; $look rollback;")" 'nothing|not a member|permission denied'
exec {in1}>&- {in2}>&-
done_testing
