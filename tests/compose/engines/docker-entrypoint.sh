#!/bin/sh
# What PostgreSQL's image does: a database folder at the first start, then the scripts that are mounted.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    umask 077
    mkdir -p "$PGDATA"
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --pgdata="$PGDATA" --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
        --pwfile=/tmp/password --encoding=UTF8 --locale=C >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --wait --silent \
        --options="-c listen_addresses='' -c unix_socket_directories=/run/postgresql" start
    for script in $(find /docker-entrypoint-initdb.d -type f); do
        PGHOST=/run/postgresql sh "$script"
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait --silent stop
fi
exec "$@" -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/run/postgresql
