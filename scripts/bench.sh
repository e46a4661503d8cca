#!/usr/bin/env bash
# The measures on Postgres and Redis, with three replicas: private servers on free ports, a release build, and what
# `doorward bench --suite readme` says. Nothing is left behind, and no other server is touched.
#
# usage: scripts/bench.sh [ARGUMENTS OF doorward bench]   (default: --suite readme)
# DOORWARD_TEST_POSTGRES: the directory of Postgres's programs, if not the installed ones.
# DOORWARD_BENCH_PROGRAM: a `doorward` that is built already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "bench.sh: $*" >&2
    exit 1
}

(($#)) || set -- --suite readme
# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh
programs=$(postgres_programs) || fail "Postgres is missing (initdb, postgres, createdb): ./scripts/test.sh installs what it takes"
command -v redis-server >/dev/null || fail "redis-server is missing: ./scripts/test.sh installs what it takes"

# Postgres refuses to be root. `setpriv` becomes the program, so that its process is the one that is ended.
as_user=()
if [[ $(id -u) == 0 ]]; then
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    command -v setpriv >/dev/null || fail "Postgres refuses to be root, and there is no setpriv: take another user"
    as_user=(setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")" --clear-groups)
fi

doorward=${DOORWARD_BENCH_PROGRAM-}
if [[ -z $doorward ]]; then
    cargo build --locked --release --bin doorward --example floor
    target=$(cargo metadata --format-version 1 --no-deps --offline | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    doorward=$target/release/doorward
fi
# The service reads every DOORWARD_… as a setting of its own.
unset DOORWARD_BENCH_PROGRAM DOORWARD_TEST_POSTGRES

umask 077
directory=$(mktemp -d "${TMPDIR:-/tmp}/doorward-bench.XXXXXX")
postgres='' redis='' bench=''

# Arguments: a signal, then a process of this script's, which is waited for.
end() {
    if [[ -n $2 ]] && [[ " $(jobs -rp | tr '\n' ' ') " == *" $2 "* ]]; then
        kill "-$1" "$2" 2>/dev/null || true
        wait "$2" 2>/dev/null || true
    fi
}

finish() {
    local status=$?
    trap '' INT TERM
    trap - EXIT
    end TERM "$bench"
    end TERM "$redis"
    end INT "$postgres"
    rm -rf "$directory"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# Arguments: what is waited for, then a command that succeeds once it is there.
until_there() {
    local what=$1 tries
    shift
    for ((tries = 0; tries < 600; tries++)); do
        if "$@" 2>/dev/null; then return; fi
        sleep 0.05
    done
    tail -n 20 "$directory/$what.log" >&2
    fail "$what did not start"
}

data=$directory/postgres/data
mkdir "$directory/postgres"
chmod 711 "$directory"
if ((${#as_user[@]})); then chown "$user" "$directory/postgres"; fi
(cd / && "${as_user[@]}" "$programs/initdb" --pgdata="$data" --username=postgres --auth=trust --encoding=UTF8 \
    --locale=C --no-sync) >"$directory/postgres.log" 2>&1 || fail "initdb: $(tail -n 5 "$directory/postgres.log")"
postgres_port=$(free_port)
(cd / && exec "${as_user[@]}" "$programs/postgres" -D "$data" -p "$postgres_port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories=) >>"$directory/postgres.log" 2>&1 </dev/null &
postgres=$!
until_there postgres grep -q '^ready' "$data/postmaster.pid"

redis_port=$(free_port)
redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --dir "$directory" >"$directory/redis.log" 2>&1 </dev/null &
redis=$!
until_there redis grep -q 'Ready to accept connections' "$directory/redis.log"

"$doorward" bench --database "postgres://postgres@127.0.0.1:$postgres_port/postgres" \
    --redis "redis://127.0.0.1:$redis_port" "$@" &
bench=$!
wait "$bench"
