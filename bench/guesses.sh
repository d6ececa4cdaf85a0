#!/usr/bin/env bash
# Guesses at passwords that their sender undoes: each way of undoing must lock the account at exactly the fifth failure.
# GUESSES (10000) in all, spread over the ways. Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE, LABOS_URL (make bench gives them).
set -euo pipefail
guesses=${GUESSES:-10000}
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# Cheap hashes, and no limit by address: what is measured is the count, not the patience.
sql <<'SQL'
alter system set labos.argon2_memory = '8MB';
alter system set labos.argon2_iterations = 1;
SQL
for limit in rate_limit_user rate_limit_address rate_limit_auth login_failures_per_address; do
  sql -c "alter system set labos.$limit = '0'" 2>/dev/null || true
done
sql -c 'select pg_reload_conf()' >/dev/null
sleep 1

ways=(commit rollback savepoint exception abort cancel terminate disconnect http http_rollback)
each=$((guesses / ${#ways[@]}))
accounts=4
per=$((each / accounts))
sql -v accounts=$accounts >/dev/null <<'SQL'
create function pg_temp.account(who text) returns void language sql as $$
  with u as (insert into lab_data.users (email, username, is_verified) values (who || '@guess.test', who, true) returning id),
       m as (insert into lab_data.memberships (org_id, user_id, is_default) select o.id, u.id, true from u, (select id from lab_data.organizations limit 1) o)
  insert into lab_private.credentials (user_id, password_hash, algorithm)
  select u.id, labos.password_hash('Right-guess-7'), 'argon2id' from u
$$;
select count(pg_temp.account(way || n)) from unnest('{commit,rollback,savepoint,exception,abort,cancel,terminate,disconnect,http,httprollback,crash}'::text[]) way,
  generate_series(1, :accounts) n;
SQL

call() { printf "lab.auth_login('%s', 'Wrong-guess-%d')" "$1" "$2"; }

# One guess after the other, each undone in its way, by a client that is anonymous.
guess() {
  local way=$1 who=$2 n=$3 i
  case $way in
    http*)
      for ((i = 0; i < n; i++)); do
        local prefer=return=representation
        [ "$way" != http_rollback ] || prefer=tx=rollback
        printf 'next\nurl = "%s/rpc/auth_login"\nheader = "Content-Type: application/json"\nheader = "Prefer: %s"\ndata = "{\\"login\\": \\"%s\\", \\"password\\": \\"Wrong-guess-%d\\"}"\noutput = /dev/null\nsilent\ngloboff\n' \
          "$LABOS_URL" "$prefer" "$who" "$i"
      done | sed 1d | curl -K - ;;
    disconnect)
      # The client is gone before the answer comes.
      for ((i = 0; i < n; i++)); do
        (PGOPTIONS='-c role=lab_anon' timeout -s KILL "0.0$((RANDOM % 9 + 1))" psql -X -q -A -t -c "select $(call "$who" "$i")" || true) >/dev/null 2>&1
      done ;;
    *)
      {
        echo 'set role lab_anon;'
        for ((i = 0; i < n; i++)); do
          local c
          c=$(call "$who" "$i")
          case $way in
            commit) echo "select $c;" ;;
            rollback) echo "begin; select $c; rollback;" ;;
            savepoint) echo "begin; savepoint a; select $c; rollback to a; commit;" ;;
            exception) echo "do \$\$ begin perform $c; raise exception 'undone'; exception when others then null; end \$\$;" ;;
            abort) echo "do \$\$ begin perform $c; raise exception 'undone'; end \$\$;" ;;
            cancel) echo "set statement_timeout = $((RANDOM % 12 + 1)); select $c; reset statement_timeout;" ;;
            terminate) echo "begin; select $c, pg_terminate_backend(pg_backend_pid());" ; echo '\c'; echo 'set role lab_anon;' ;;
          esac
        done
      } | psql -X -q -A -t >/dev/null 2>&1 || true ;;
  esac
}

total=0 wrong=0
check() { # check WHO WANTED: the count that decides
  local got
  got=$(sql -v who="$1" <<<"select g.failed || case when g.locked_until > now() then ' locked' else '' end from lab_private.login_guard g join lab_data.users u on u.id = g.user_id where u.username = :'who'")
  case $2 in
    *"$got"*) ;;
    *) wrong=$((wrong + 1)); echo "guesses: $1 stands at $got, not at $2" ;;
  esac
}
for way in "${ways[@]}"; do
  for ((a = 1; a <= accounts; a++)); do
    who=${way//_/}$a
    case $way in
      cancel | disconnect) # Some of these never reached the server, and an attempt that was not checked need not count.
        guess "$way" "$who" "$((per - 5))"
        guess commit "$who" 5
        total=$((total + per)) ;;
      *)
        guess "$way" "$who" 4
        check "$who" '|4|'
        guess "$way" "$who" 1
        check "$who" '|5 locked|'
        guess "$way" "$who" "$((per - 5))"
        total=$((total + per)) ;;
    esac
    check "$who" '|5 locked|'
    # Locked is locked: the right password does not help.
    right=$(sql -c "set role lab_anon" -c "select lab.auth_login('$who', 'Right-guess-7') ->> 'code'")
    [ "$right" = invalid_credentials ] || { wrong=$((wrong + 1)); echo "guesses: $who signs in while locked: $right"; }
  done
done
# A crash: the backend is killed in the middle of a transaction that guessed four times; all sessions of the server die with it.
pid_file=$(mktemp)
{ echo 'set role lab_anon; begin;'; for i in 1 2 3 4; do echo "select $(call crash1 $i);"; done; echo 'reset role; select pg_backend_pid();'; sleep 2; } | psql -X -q -A -t 2>/dev/null >"$pid_file" &
sleep 1.5
kill -9 "$(tail -n 1 "$pid_file")" 2>/dev/null || echo 'guesses: the backend to kill was not found'
wait || true
rm -f "$pid_file"
for _ in $(seq 50); do sql -c 'select 1' >/dev/null 2>&1 && break; sleep 0.2; done
check crash1 '|4|'
guess commit crash1 1
check crash1 '|5 locked|'
total=$((total + 5))
echo "guesses: $total, undone in ${#ways[@]} ways and by a crash; $wrong accounts not locked at exactly the fifth"
printf '{"name": "guesses_lock_not_at_fifth", "unit": "of %d", "ours": %d, "peer": null, "peer_name": null, "ratio": null, "goal": 0, "met": %s}\n' "$total" "$wrong" "$([ $wrong = 0 ] && echo true || echo false)"
