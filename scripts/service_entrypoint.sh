#!/bin/bash
# The entrypoint of the images with which tests stand for the official ones of PostgreSQL and Redis, which no
# test can fetch. It takes their variables and does what theirs do: as root it makes the data's folder the
# server's, becomes the server's user, makes a cluster with the user, password and database that are asked for
# where there is none yet, by a server that has no TCP port meanwhile, and executes the server.
set -euo pipefail
[ $# -gt 0 ] || set -- postgres
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)

become() {
  exec setpriv --reuid "$1" --regid "$1" --clear-groups "$0" "${@:2}"
}

case $1 in
redis-server)
  if [ "$(id -u)" = 0 ]; then
    chown redis .
    become redis "$@"
  fi
  ;;
postgres)
  if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown postgres "$PGDATA"
    chmod 700 "$PGDATA"
    become postgres "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --no-sync --auth-local=trust --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    server=(pg_ctl -D "$PGDATA" -s -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp")
    "${server[@]}" start >/dev/null
    psql -q -h /tmp -U "$POSTGRES_USER" postgres -c "CREATE DATABASE $POSTGRES_DB"
    "${server[@]}" -m fast stop
  fi
  set -- "$@" -c listen_addresses='*' -c unix_socket_directories=/tmp
  ;;
esac
exec "$@"
