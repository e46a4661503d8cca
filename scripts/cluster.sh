#!/usr/bin/env bash
# Several replicas on one machine, to see them: Postgres, Redis, three replicas, and a client that asks them in turn while
# access changes. Ctrl-C stops it all and leaves nothing behind; nothing is installed, and no other server is touched.
#
# usage: scripts/cluster.sh [--seconds N] [--debug]
#   --seconds N   end after so long, with a line of what happened (default: go on until Ctrl-C)
#   --debug       a debug build: built sooner, and slower
# DOORWARD_TEST_POSTGRES: the directory of Postgres's programs, if not the installed ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "cluster.sh: $*" >&2
    exit 1
}

seconds=0 profile=release
while (($#)); do
    case $1 in
    --seconds)
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "--seconds needs a number above 0"
        seconds=$2
        shift 2
        ;;
    --debug)
        profile=debug
        shift
        ;;
    *) fail "unknown '$1'; usage: scripts/cluster.sh [--seconds N] [--debug]" ;;
    esac
done

# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh
programs=$(postgres_programs) || fail "Postgres is missing (initdb, postgres, createdb): ./scripts/test.sh installs what it takes"
command -v redis-server >/dev/null || fail "redis-server is missing: ./scripts/test.sh installs what it takes"
command -v cargo >/dev/null || fail "Rust is missing: see https://rustup.rs"

# Postgres refuses to be root. `setpriv` becomes the program, so that its process is the one that is ended.
as_user=()
if [[ $(id -u) == 0 ]]; then
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    command -v setpriv >/dev/null || fail "Postgres refuses to be root, and there is no setpriv: take another user"
    as_user=(setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")" --clear-groups)
fi

build=(cargo build --locked --bin doorward --example balance)
if [[ $profile == release ]]; then build+=(--release); fi
"${build[@]}"
target=$(cargo metadata --format-version 1 --no-deps --offline | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
doorward=$target/$profile/doorward

umask 077
directory=$(mktemp -d "${TMPDIR:-/tmp}/doorward-cluster.XXXXXX")
postgres='' redis='' client='' tail=''
replicas=()

# Whether a process is a child of this script that has not ended: the number of one that has may be another's by now.
runs() { [[ " $(jobs -rp | tr '\n' ' ') " == *" $1 "* ]]; }

# Arguments: a signal, then the processes, which have five seconds.
end() {
    local signal=$1 pid tries
    shift
    for pid in "$@"; do
        if runs "$pid"; then kill "-$signal" "$pid" && kill -CONT "$pid"; fi
    done
    for pid in "$@"; do
        for ((tries = 0; tries < 100; tries++)); do
            runs "$pid" || break
            sleep 0.05
        done
        if runs "$pid"; then kill -KILL "$pid"; fi
    done
}

finish() {
    local status=$?
    trap '' INT TERM
    trap - EXIT
    # The servers last: what has ended does not complain that it has lost them.
    end TERM $tail $client "${replicas[@]}" 2>/dev/null || true
    end TERM $redis 2>/dev/null || true
    end INT $postgres 2>/dev/null || true
    wait
    rm -rf "$directory"
    exit "$status"
}
trap finish EXIT
trap 'exit 0' INT
trap 'exit 143' TERM

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# Arguments: what is waited for, the process it is of, then a command that succeeds once it is there.
until_there() {
    local what=$1 pid=$2 tries
    shift 2
    for ((tries = 0; tries < 600; tries++)); do
        if "$@" 2>/dev/null; then return; fi
        runs "$pid" || break
        sleep 0.05
    done
    tail -n 20 "$directory/$what.log" >&2
    fail "$what did not start"
}

start_postgres() {
    local data=$directory/postgres/data port=$1
    mkdir "$directory/postgres"
    chmod 711 "$directory"
    if ((${#as_user[@]})); then chown "$user" "$directory/postgres"; fi
    (cd / && "${as_user[@]}" "$programs/initdb" --pgdata="$data" --username=postgres --auth=trust --encoding=UTF8 \
        --locale=C --no-sync) >"$directory/postgres.log" 2>&1 || fail "initdb: $(tail -n 5 "$directory/postgres.log")"
    (cd / && exec "${as_user[@]}" "$programs/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories=) >>"$directory/postgres.log" 2>&1 </dev/null &
    postgres=$!
    until_there postgres "$postgres" grep -q '^ready' "$data/postmaster.pid"
}

start_redis() {
    redis-server --bind 127.0.0.1 --port "$1" --save '' --dir "$directory" >"$directory/redis.log" 2>&1 </dev/null &
    redis=$!
    until_there redis "$redis" grep -q 'Ready to accept connections' "$directory/redis.log"
}

# Its address is its own, so that it is found there when it is started again.
start_replica() {
    local number=$1
    DOORWARD_SERVER__LISTEN=127.0.0.1:${ports[number]} "$doorward" serve \
        >"$directory/replica-$number.out" 2>>"$directory/replica-$number.log" </dev/null &
    replicas[number]=$!
}

postgres_port=$(free_port)
start_postgres "$postgres_port"
redis_port=$(free_port)
start_redis "$redis_port"

secret() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
DOORWARD_TOKEN=$(secret)
export DOORWARD_TOKEN
settings=(
    "DOORWARD_DATABASE__URL=postgres://postgres@127.0.0.1:$postgres_port/postgres"
    "DOORWARD_REDIS__URL=redis://127.0.0.1:$redis_port"
    "DOORWARD_AUTH__OPERATOR_TOKEN=$DOORWARD_TOKEN"
    "DOORWARD_KEYS__ROOT=$(secret)"
    "DOORWARD_ADMIN__LISTEN=127.0.0.1:0"
    "DOORWARD_LOG__LEVEL=warn"
)
export "${settings[@]}"
"$doorward" migrate up >"$directory/migrate.log" 2>&1 || fail "migrate: $(tail -n 5 "$directory/migrate.log")"

ports=() addresses=()
for number in 0 1 2; do
    ports[number]=$(free_port)
    addresses[number]=http://127.0.0.1:${ports[number]}
    start_replica "$number"
    until_there "replica-$number" "${replicas[number]}" grep -q '^listening' "$directory/replica-$number.out"
    echo "replica $number: ${addresses[number]} pid=${replicas[number]}"
done

cat <<TEXT
postgres: postgres://postgres@127.0.0.1:$postgres_port/postgres pid=$postgres
redis: redis://127.0.0.1:$redis_port pid=$redis
logs: $directory

# In another terminal. The client below takes ada's access away and gives it back, every second or so: ask any replica.
export PATH='${doorward%/*}':"\$PATH" DOORWARD_TOKEN=$DOORWARD_TOKEN
doorward check --address ${addresses[1]} --tenant cluster --user ada --action view --type section --id analytics

# Kill a replica (it is started again after ten seconds), stop one for a while, lose Redis:
kill -9 ${replicas[1]}        # no answer is lost; the next change waits for its lease, 3 s at most
kill -STOP ${replicas[2]}     # and kill -CONT: no stale answer when it wakes
kill -9 $redis        # nothing but more work for Postgres

# Each second: answers by each replica; those that another one gave; changes; what failed; what was stale. Ctrl-C stops.
TEXT

"$target/$profile/examples/balance" "$seconds" "${addresses[@]}" \
    <<<"$DOORWARD_TOKEN" >"$directory/balance.out" 2>"$directory/balance.log" &
client=$!
tail -n +1 -f "$directory/balance.out" &
tail=$!
ticks=(0 0 0)
while runs "$client"; do
    sleep 1
    for number in 0 1 2; do
        if runs "${replicas[number]}"; then continue; fi
        ticks[number]=$((ticks[number] + 1))
        if ((ticks[number] == 1)); then echo "replica $number is gone"; fi
        if ((ticks[number] >= 10)); then
            ticks[number]=0
            start_replica "$number"
            echo "replica $number starts again: pid=${replicas[number]}"
        fi
    done
done
if ! wait "$client"; then
    cat "$directory/balance.log" >&2
    fail "the client failed, or saw a stale answer: $(tail -n 1 "$directory/balance.out")"
fi
echo "done:$(tail -n 1 "$directory/balance.out")"
