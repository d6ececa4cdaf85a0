# Functions that the scripts in bin/ share: the machine's PostgreSQL, a private copy of its
# installation, throw-away clusters. Source it; it runs nothing by itself.
#
# Why a private copy: an extension is found only inside the server's own installation. A mirror of
# links with real copies of the executables is relocatable, so that tests and the demo never write
# into the system's directories, need no root, and two of them can run side by side.

LABOS_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LABOS_PG=${LABOS_PG:-15}

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
    runuser -u postgres -- env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE HOME="${PG_HOME:-/tmp}" "$@"
  else env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE "$@"; fi
}

# scratch_dir NAME: a new directory that the server's user owns.
scratch_dir() {
  local dir
  dir=$(mktemp -d "${TMPDIR:-/tmp}/labos-$1-XXXXXX")
  chmod 755 "$dir"
  [ "$(id -u)" != 0 ] || chown postgres: "$dir"
  printf '%s\n' "$dir"
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
  for f in "$libdir"/*; do ln -sfn "$f" "$dir$libdir/"; done
  for f in "$sharedir"/*; do [ "${f##*/}" = extension ] || ln -sfn "$f" "$dir$sharedir/"; done
  for f in "$sharedir"/extension/*; do ln -sfn "$f" "$dir$sharedir/extension/"; done
  # What a real installation left there must not shadow ours.
  rm -f "$dir$libdir"/labos.so "$dir$sharedir"/extension/labos*
  printf '%s\n' "$dir$bindir"
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

free_port() {
  python3 - <<'P' 2>/dev/null || perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1"); print $s->sockport, "\n"'
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])
P
}

# pg_start DIR BINDIR PORT [setting ...]: makes a cluster in DIR/data (once) and starts it on loopback.
pg_start() {
  local dir=$1 bin=$2 port=$3 s
  shift 3
  if [ ! -d "$dir/data" ]; then
    as_pg "$bin/initdb" -D "$dir/data" -U postgres -E UTF8 --locale=C.UTF-8 -A trust --no-sync >"$dir/initdb.log" 2>&1 \
      || { cat "$dir/initdb.log" >&2; return 1; }
    {
      echo "listen_addresses = '127.0.0.1'"
      echo "unix_socket_directories = '$dir'"
      echo "fsync = off"
      echo "max_connections = 100"
      echo "labos.trusted_gateways = 'lab_authenticator'"
      for s in "$@"; do echo "$s"; done
    } | as_pg tee -a "$dir/data/postgresql.conf" >/dev/null
  fi
  as_pg "$bin/pg_ctl" -D "$dir/data" -w -t 60 -o "-p $port" -l "$dir/server.log" start >/dev/null \
    || { tail -20 "$dir/server.log" >&2; return 1; }
}

pg_stop() {
  [ ! -f "$1/data/postmaster.pid" ] || as_pg "$2/pg_ctl" -D "$1/data" -m "${3:-fast}" -w stop >/dev/null
}
