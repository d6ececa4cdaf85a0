# Functions that the scripts in bin/ share: the machine's PostgreSQL, a private copy of its
# installation, throw-away clusters. Source it; it runs nothing by itself.
#
# Why a private copy: an extension is found only inside the server's own installation. A mirror of
# links with real copies of the executables is relocatable, so that tests and the demo never write
# into the system's directories, need no root, and two of them can run side by side.

LABOS_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LABOS_PG=${LABOS_PG:-15}

# Downloads and builds that outlive a clean tree; root's must be readable by the server's user.
if [ "$(id -u)" = 0 ]; then : "${LABOS_CACHE:=/var/cache/labos}"
else : "${LABOS_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/labos}"; fi

say() { printf '%s\n' "$*" >&2; }
die() { say "labos: $*"; exit 1; }

pg_config_path() {
  if [ -n "${PG_CONFIG:-}" ]; then printf '%s\n' "$PG_CONFIG"
  elif [ -x "/usr/lib/postgresql/$LABOS_PG/bin/pg_config" ]; then printf '%s\n' "/usr/lib/postgresql/$LABOS_PG/bin/pg_config"
  else command -v pg_config || die "pg_config not found: run bin/setup"; fi
}

# Everything that runs a server runs as this user: root cannot.
pg_os_user() { if [ "$(id -u)" = 0 ]; then echo postgres; else id -un; fi; }
as_pg() {
  if [ "$(id -u)" = 0 ]; then
    # Not from here: the tree may stand where that user cannot look.
    runuser -u postgres -- env -C / -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE HOME=/tmp "$@"
  else env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE "$@"; fi
}

# scratch_dir NAME: a new directory that only the server's user can enter: its socket trusts whoever reaches it.
scratch_dir() {
  local dir
  dir=$(mktemp -d "${TMPDIR:-/tmp}/labos-$1-XXXXXX")
  [ "$(id -u)" != 0 ] || chown postgres: "$dir"
  printf '%s\n' "$dir"
}

# scratch_remove DIR: refuses what scratch_dir did not make.
scratch_remove() {
  case ${1##*/} in
    labos-*-??????) rm -rf "$1" ;;
    *) die "will not remove $1: it is no scratch directory of ours" ;;
  esac
}

# scratch_copy DIR: a copy of what git knows and what is new, so that a build there leaves this one as it is.
scratch_copy() {
  mkdir -p "$1"
  {
    git -C "$LABOS_TOP" ls-files -co --exclude-standard 2>/dev/null \
      || (cd "$LABOS_TOP" && find . \( -path ./build -o -path ./.git -o -path ./.labos -o -name node_modules \) -prune -o -type f ! -name '*.o' ! -name '*.so' -print)
  } | while read -r f; do [ ! -e "$LABOS_TOP/$f" ] || printf '%s\n' "$f"; done | tar cf - -C "$LABOS_TOP" -T - | tar xf - -C "$1"
}

# What pg_regress printed, before PostgreSQL 16 and since: the names that failed; "PASSED FAILED".
failed_regress() { sed -nE 's/^(test +)?([a-z0-9_]+) +\.\.\. FAILED.*/\2/p; s/^not ok [0-9]+ +[-+] +([a-z0-9_]+).*/\1/p' "$1"; }
count_regress() {
  printf '%d %d\n' "$(grep -cE '(\.\.\. ok +[0-9]+ ms|^ok [0-9]+ +[-+] )' "$1")" "$(failed_regress "$1" | wc -l)"
}

# pg_prefix DIR: mirrors the installed server into DIR; prints its bin directory.
pg_prefix() {
  local dir=$1 config bindir libdir sharedir f
  config=$(pg_config_path)
  bindir=$("$config" --bindir) libdir=$("$config" --pkglibdir) sharedir=$("$config" --sharedir)
  mkdir -p "$dir$bindir" "$dir$libdir" "$dir$sharedir/extension"
  for f in postgres initdb pg_ctl pg_config pg_dump pg_dumpall pg_restore psql pg_basebackup pg_isready pgbench pg_waldump pg_rewind pg_controldata pg_resetwal pg_verifybackup pg_upgrade pg_checksums; do
    [ ! -x "$bindir/$f" ] || cp -f "$bindir/$f" "$dir$bindir/"
  done
  # A test of the server wants the same psql everywhere.
  [ -z "${LABOS_PSQL:-}" ] || cp -f "$LABOS_PSQL" "$dir$bindir/"
  # A server that brings its own libraries finds them from where its executables are.
  if [ "$libdir" != "${bindir%/bin}/lib" ]; then
    for f in "${bindir%/bin}"/lib/lib*.so.*; do [ ! -e "$f" ] || ln -sfn "$f" "$dir${bindir%/bin}/lib/"; done
  fi
  for f in "$libdir"/*; do ln -sfn "$f" "$dir$libdir/"; done
  for f in "$sharedir"/*; do [ "${f##*/}" = extension ] || ln -sfn "$f" "$dir$sharedir/"; done
  for f in "$sharedir"/extension/*; do ln -sfn "$f" "$dir$sharedir/extension/"; done
  # What a real installation left there must not shadow ours.
  rm -f "$dir$libdir"/labos.so "$dir$sharedir"/extension/labos*
  printf '%s\n' "$dir$bindir"
}

# pg_test_program PATH DIR: a copy in DIR of what the server-side tests come with; the server's user can run it.
pg_test_program() {
  local from
  from=$(dirname "$("$(pg_config_path)" --pgxs)")/../test
  mkdir -p "$2/program"
  cp -f "$from/$(dirname "$1")"/* "$2/program/"
  chmod -R a+rX "$2/program"
  printf '%s\n' "$2/program/${1##*/}"
}

# pg_install DIR [TREE]: puts a built labos into the mirror.
pg_install() {
  local dir=$1 tree=${2:-$LABOS_TOP} config f
  config=$(pg_config_path)
  install -m 755 "$tree/labos.so" "$dir$("$config" --pkglibdir)/"
  for f in "$tree"/labos.control "$tree"/labos--*.sql "$tree"/sql/released/labos--*.sql; do
    [ ! -f "$f" ] || install -m 644 "$f" "$dir$("$config" --sharedir)/extension/"
  done
}

# free_port: a port of loopback that nobody listens on now.
free_port() {
  perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die $!; print $s->sockport, "\n"'
}

# A library that does not know a setting of ours warns in every session.
known_settings() {
  local line name
  while read -r line; do
    name=${line%%[ =]*}
    case $name in labos.*) ! grep -qaF "$name" "$1" || echo "$line" ;; *) echo "$line" ;; esac
  done
}

# pg_start DIR BINDIR PORT [setting ...]: labos is preloaded unless LABOS_PRELOAD=no; makes a cluster in DIR/data (once) and starts it. Its superuser comes
# in through the socket in DIR and needs no password; everything over TCP does. PORT 0: no TCP at all.
pg_start() {
  local dir=$1 bin=$2 port=$3 listen=127.0.0.1 library
  shift 3
  library=$dir/pg$("$(pg_config_path)" --pkglibdir)/labos.so
  [ "$port" != 0 ] || { port=5432 listen=''; }
  if [ ! -d "$dir/data" ]; then
    as_pg "$bin/initdb" -D "$dir/data" -U postgres -E UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256 --no-sync \
      >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; return 1; }
    {
      echo "unix_socket_directories = '$dir'"
      echo "unix_socket_permissions = 0700"
      echo "fsync = off"
      echo "max_connections = 100"
      [ ! -f "$library" ] || [ "${LABOS_PRELOAD:-yes}" = no ] || echo "shared_preload_libraries = 'labos'"
      printf '%s\n' "labos.trusted_gateways = 'lab_authenticator'" "$@" | known_settings "$library"
    } | as_pg tee -a "$dir/data/postgresql.conf" >/dev/null
  fi
  # What a crash or a reboot left; in a directory of ours nobody else can mean it.
  pg_running "$dir" "$bin" || rm -f "$dir/data/postmaster.pid" "$dir"/.s.PGSQL.*
  # shellcheck disable=SC2086
  as_pg ${LABOS_START:-} "$bin/pg_ctl" -D "$dir/data" -w -t "${LABOS_START_SECONDS:-60}" -o "-p $port -c listen_addresses='$listen'" -l "$dir/server.log" start \
    >"$dir/start.log" 2>&1 || { tail -20 "$dir/server.log" >&2; return 1; }
}

# pg_running DIR BINDIR: whether the cluster's postmaster lives; after a crash its number may be another's, or a zombie's.
pg_running() {
  local pid
  [ -f "$1/data/postmaster.pid" ] || return 1
  pid=$(head -n 1 "$1/data/postmaster.pid")
  # The directory may be named through a link.
  [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$(readlink -f "$2/postgres")" ]
}

# pg_stop DIR BINDIR [fast|immediate]: what does not end in good time is ended.
pg_stop() {
  pg_running "$1" "$2" || return 0
  as_pg "$2/pg_ctl" -D "$1/data" -m "${3:-fast}" -w -t 30 stop >/dev/null 2>&1 && return
  ! pg_running "$1" "$2" || as_pg "$2/pg_ctl" -D "$1/data" -m immediate -w -t 15 stop >/dev/null 2>&1 && return
  ! pg_running "$1" "$2" || kill -9 "$(head -n 1 "$1/data/postmaster.pid")"
}
