#!/usr/bin/env bash
# Runs every test. What the tests need is installed where it is missing; nothing is skipped.
# Arguments go to `cargo test`: ./scripts/test.sh --test tidy
#
# DOORWARD_TEST_POSTGRES: the directory of Postgres's programs, if not the installed ones. It is taken at its word.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "test.sh: $*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh

has_postgres() { postgres_programs >/dev/null; }

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        fail "installing needs root, and there is no sudo; run as root: $*"
    fi
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"; }

manager() {
    local known
    for known in apt-get dnf apk brew; do
        if has "$known"; then
            echo "$known"
            return
        fi
    done
    fail "please install postgresql, redis-server and openssl: no apt-get, dnf, apk or brew is here to do it"
}

# Each system has its own names: of a package manager and a need, the packages.
packages() {
    case $1/$2 in
    apt-get/postgres) echo postgresql ;;
    apt-get/redis) echo redis-server ;;
    dnf/postgres) echo postgresql-server ;;
    apk/postgres) echo postgresql postgresql-client ;;
    brew/postgres) echo postgresql@17 ;;
    */openssl) echo openssl ;;
    */redis) echo redis ;;
    */valgrind) echo valgrind ;;
    esac
}

# Arguments: the needs that are missing, of `postgres`, `redis`, `openssl` and `valgrind`.
install_missing() {
    local by need names wanted=()
    by=$(manager)
    for need in "$@"; do
        read -ra names <<<"$(packages "$by" "$need")"
        wanted+=("${names[@]}")
    done
    echo "test.sh: installing ${wanted[*]} with $by"
    case $by in
    apt-get)
        apt update
        apt install --yes --no-install-recommends "${wanted[@]}"
        ;;
    dnf) as_root dnf install --assumeyes "${wanted[@]}" ;;
    apk) as_root apk add "${wanted[@]}" ;;
    brew) brew install "${wanted[@]}" ;;
    esac
}

if ! has cargo && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi
has cargo || fail "Rust is missing: see https://rustup.rs"
has cc || fail "a C compiler is missing (no cc): install gcc or clang (Debian: build-essential)"

missing=()
if ! has_postgres; then
    [[ -z ${DOORWARD_TEST_POSTGRES+set} ]] ||
        fail "DOORWARD_TEST_POSTGRES is '$DOORWARD_TEST_POSTGRES', which has no initdb, postgres and createdb"
    missing+=(postgres)
fi
has redis-server || missing+=(redis)
has openssl || missing+=(openssl)
# Not there for macOS: the test that counts instructions says then that it did not.
if [[ $(uname -s) == Linux ]]; then has valgrind || missing+=(valgrind); fi

if ((${#missing[@]})); then
    install_missing "${missing[@]}"
    has_postgres ||
        fail "postgresql was installed, and initdb, postgres and createdb are still not found"
    has redis-server || fail "redis was installed, and redis-server is still not found"
    has openssl || fail "openssl was installed, and is still not found"
fi

# Most tests wait for something, a lease or a deadline: more of them at once than there are cores end sooner.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-4}

cargo test --workspace --locked "$@"
# One more build: with ways to get the protocol wrong, every one of which real replicas under faults must show, and with
# what fuzzing does, over its seeds.
if [[ $# == 0 ]]; then cargo test --locked --features slips,fuzzing --test fuzz_seeds --test chaos; fi
