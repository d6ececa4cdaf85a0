# Functions of the tests in this directory: TAP, clusters, comparing databases. Source it.
# A test prints "ok N - claim" lines; bin/check counts them, and so does prove.
. "$(dirname "${BASH_SOURCE[0]}")/../../bin/lib.sh"
cd "$LABOS_TOP" || exit 1

tap_n=0 tap_bad=0 scratch=() servers=()

# ok CLAIM COMMAND...: the claim holds if the command succeeds; its output is shown if not.
ok() {
  local claim=$1 out
  shift
  tap_n=$((tap_n + 1))
  if out=$("$@" 2>&1); then echo "ok $tap_n - $claim"
  else tap_bad=$((tap_bad + 1)); echo "not ok $tap_n - $claim"; printf '%s\n' "$out" | head -n 60 | sed 's/^/# /'; fi
}
# is CLAIM GOT WANTED: equal texts; the difference is shown if not.
is() {
  tap_n=$((tap_n + 1))
  if [ "$2" = "$3" ]; then echo "ok $tap_n - $1"
  else
    tap_bad=$((tap_bad + 1)); echo "not ok $tap_n - $1"
    diff <(printf '%s\n' "$3") <(printf '%s\n' "$2") | head -n 60 | sed 's/^/# /'
  fi
}
# like CLAIM GOT PATTERN
like() {
  tap_n=$((tap_n + 1))
  # No pipe: grep leaves at the first match, and a writer that it cuts off would count as a failure.
  if grep -qE -- "$3" <<<"$2"; then echo "ok $tap_n - $1"
  else tap_bad=$((tap_bad + 1)); printf 'not ok %d - %s\n# got: %s\n# wanted: %s\n' "$tap_n" "$1" "$2" "$3"; fi
}
finish() {
  local i
  for i in "${!servers[@]}"; do pg_stop "${servers[$i]}" "$(readlink "${servers[$i]}/bin")" immediate || true; done
  for i in "${scratch[@]}"; do [ ! -d "$i" ] || scratch_remove "$i"; done
}
done_testing() { echo "1..$tap_n"; [ $tap_bad = 0 ]; }
trap finish EXIT

# cluster NAME: a new, empty, running cluster with labos installed; sets the variable NAME to its directory.
cluster() {
  local d b
  d=$(scratch_dir "$1")
  scratch+=("$d")
  b=$(pg_prefix "$d/pg")
  ln -s "$b" "$d/bin"
  pg_install "$d/pg"
  pg_start "$d" "$b" 0
  servers+=("$d")
  printf -v "$1" '%s' "$d"
}
# sql CLUSTER DATABASE [psql argument ...]: unaligned rows only.
sql() {
  local d=$1 db=$2
  shift 2
  as_pg "$d/bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$d" -p 5432 -U postgres -d "$db" "$@"
}
# run CLUSTER PROGRAM ARGUMENT...: a client program against it.
run() {
  local d=$1 program=$2
  shift 2
  as_pg "$d/bin/$program" -h "$d" -p 5432 -U postgres "$@"
}

# laboratory CLUSTER DATABASE: deploys labos there and fills it.
laboratory() {
  sql "$1" postgres -c "create database $2"
  sql "$1" "$2" <<'SQL'
set client_min_messages to warning;
create extension labos cascade;
call labos.deploy();
SQL
  fill "$1" "$2" "$(sed -n "s/^default_version = '\(.*\)'/\1/p" labos.control)"
}

# fill CLUSTER DATABASE VERSION: what every version up to this one added to the laboratory of the tests.
fill() {
  local part version
  for part in $(printf '%s\n' test/t/fill-*.sql | sort -V); do
    version=${part##*fill-}
    version=${version%.sql}
    [ "$(printf '%s\n' "$version" "$3" | sort -V | tail -n 1)" = "$3" ] || continue
    sql "$1" "$2" <"$part" >/dev/null || { echo "Bail out! $part does not run"; exit 1; }
  done
}

# contents CLUSTER DATABASE: each table of the laboratory with its number of rows and a digest of them.
contents() {
  sql "$1" "$2" <<'SQL'
set timezone to 'UTC';
select format('select %L, count(*), coalesce(md5(string_agg(t::text, E''\n'' order by t::text)), ''-'') from %s t;', c.oid::regclass, c.oid::regclass)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('lab_data', 'lab_private') and c.relkind in ('r', 'p') and not c.relispartition
order by c.oid::regclass::text
\gexec
select format('select %L, last_value, is_called from %s;', c.oid::regclass, c.oid::regclass)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('lab_data', 'lab_private') and c.relkind = 'S'
order by c.oid::regclass::text
\gexec
SQL
}
# schema CLUSTER DATABASE: its definition, without what differs from run to run.
schema() { run "$1" pg_dump -s "$2" | sed -E '/^\\(un)?restrict /d; /^-- Dumped (from|by)/d'; }
