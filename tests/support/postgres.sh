#!/bin/sh
# A private Postgres for tests: one cluster in a directory, on a Unix socket in it, never on TCP.
#
#   tests/support/postgres.sh start DIR [name=value ...]   prints a conninfo: host=DIR dbname=whale ...
#   tests/support/postgres.sh stop DIR                     keeps the data; `start` goes on with it
#   tests/support/postgres.sh clean DIR                    stops and removes DIR
#
# Promises: every command may be repeated; several may run at once, also on one DIR; as root the server
# runs as an unprivileged user. `whale` is superuser, owner and database; anyone local may connect.
# Durability is off unless asked for (fsync=on). Further settings hold from the next start.
set -eu

usage() {
    echo "usage: $0 start DIR [name=value ...] | stop DIR | clean DIR" >&2
    exit 2
}

fail() {
    echo "postgres.sh: $*" >&2
    if [ -f "$dir/log" ]; then
        tail -n 20 "$dir/log" >&2
    fi
    exit 1
}

[ $# -ge 2 ] || usage
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2

# A socket's path holds 107 bytes.
[ "${#dir}" -le 90 ] || { echo "postgres.sh: the path is too long for a socket: $dir" >&2; exit 1; }

bin=${POSTGRES_BIN:-}
if [ -z "$bin" ]; then
    for candidate in /usr/lib/postgresql/*/bin; do
        [ -x "$candidate/initdb" ] && bin=$candidate
    done
fi
[ -n "$bin" ] || { echo "postgres.sh: no Postgres server is installed" >&2; exit 1; }

owner=
if [ "$(id -u)" -eq 0 ]; then
    owner=nobody
    if id postgres >/dev/null 2>&1; then
        owner=postgres
    fi
fi

# Without descriptor 9 (our lock) and without our stdin, or the server would hold them for its life.
as_owner() {
    if [ -n "$owner" ]; then
        (cd "$dir" && exec runuser -u "$owner" -- "$@") </dev/null 9>&-
    else
        "$@" </dev/null 9>&-
    fi
}

running() {
    [ -f "$dir/data/postmaster.pid" ] && as_owner "$bin/pg_ctl" -D "$dir/data" status >/dev/null 2>&1
}

initialise() {
    [ -f "$dir/data/ready" ] && return 0
    rm -rf "$dir/data"
    as_owner "$bin/initdb" -D "$dir/data" -U whale --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
        --no-sync --no-instructions >"$dir/initdb.log" 2>&1 || {
        cat "$dir/initdb.log" >&2
        fail "initdb failed"
    }
    cat >>"$dir/data/postgresql.conf" <<SETTINGS
listen_addresses = ''
port = 5432
unix_socket_directories = '$dir'
max_connections = 200
shared_buffers = 64MB
fsync = off
full_page_writes = off
deadlock_timeout = 200ms
jit = off
timezone = UTC
log_timezone = UTC
include_if_exists = 'extra.conf'
SETTINGS
    echo 'CREATE DATABASE whale' | (
        if [ -n "$owner" ]; then
            cd "$dir" && exec runuser -u "$owner" -- "$bin/postgres" --single -D "$dir/data" postgres
        else
            exec "$bin/postgres" --single -D "$dir/data" postgres
        fi
    ) >"$dir/initdb.log" 2>&1 9>&- || fail "the database could not be made"
    as_owner touch "$dir/data/ready"
}

start() {
    if ! running; then
        if [ -n "$owner" ]; then
            chown "$owner" "$dir"
        fi
        chmod 755 "$dir"
        initialise
        for setting in "$@"; do
            printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}"
        done >"$dir/data/extra.conf"
        as_owner "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 start >/dev/null 2>&1 ||
            fail "the server did not start"
    fi
    echo "host=$dir port=5432 dbname=whale user=whale"
}

stop() {
    if running; then
        as_owner "$bin/pg_ctl" -D "$dir/data" -m fast -w -t 20 stop >/dev/null 2>&1 ||
            as_owner "$bin/pg_ctl" -D "$dir/data" -m immediate -w -t 20 stop >/dev/null 2>&1 ||
            fail "the server did not stop"
    fi
}

# The lock stands beside the directory, so that `clean` can remove the directory under it.
exec 9>"$dir.lock"
flock 9

case $command in
start) start "$@" ;;
stop) stop ;;
clean)
    stop
    rm -rf "$dir" "$dir.lock"
    ;;
*) usage ;;
esac
