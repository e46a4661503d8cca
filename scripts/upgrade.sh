#!/usr/bin/env bash
# The release before and this one side by side on one Postgres and Redis: no answer may be stale or missing.
# Usage: scripts/upgrade.sh [REF] [--seconds N]
#
# REF is what is upgraded from. Without it: the last release's tag (v*); while there is none, the commit before the newest
# step of the schema, which is the upgrade that asks most. REF is built in a worktree of its own, and into a directory of
# its own, `upgrade` in the target directory: two trees of one workspace would take each other's crates for their own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "upgrade.sh: $*" >&2
    exit 1
}

ref='' seconds=20
while (($#)); do
    case $1 in
    --seconds)
        [[ ${2:-} =~ ^[0-9]+$ ]] || fail "--seconds needs a number"
        seconds=$2
        shift 2
        ;;
    -*) fail "unknown option '$1'; usage: scripts/upgrade.sh [REF] [--seconds N]" ;;
    *)
        [[ -z $ref ]] || fail "one REF, not '$ref' and '$1'"
        ref=$1
        shift
        ;;
    esac
done

if [[ -z $ref ]]; then
    ref=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) || ref=''
    [[ $ref && $(git rev-parse "$ref^{commit}") == $(git rev-parse HEAD) ]] &&
        ref=$(git describe --tags --abbrev=0 --match 'v*' HEAD~1 2>/dev/null || true)
fi
if [[ -z $ref ]]; then
    steps=$(git log -1 --diff-filter=A --format=%H -- 'migrations/src/m*.sql')
    [[ $steps ]] || fail "no tag v* and no step of the schema in this history: name a commit"
    ref=$(git rev-parse "$steps~1") || fail "no tag v*, and the history ends before the newest step of the schema: name a commit"
    echo "upgrade.sh: there is no release yet (no tag v*): upgrading from the commit before the newest step of the schema"
fi
commit=$(git rev-parse --verify --quiet "$ref^{commit}") || fail "no commit '$ref' here"
echo "upgrade.sh: from $(git log -1 --format='%h %cs %s' "$commit")"
echo "upgrade.sh: to   $(git describe --always --dirty), for $seconds s"

work=$(mktemp -d "${TMPDIR:-/tmp}/doorward-upgrade.XXXXXX")
finish() {
    git worktree remove --force "$work/tree" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

target=$(cargo metadata --format-version 1 --no-deps --offline | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
git worktree add --quiet --detach "$work/tree" "$commit"
[[ $target ]] || fail "cargo does not say where it builds"
(cd "$work/tree" && CARGO_TARGET_DIR=$target/upgrade cargo build --locked --bin doorward)
cp "$target/upgrade/debug/doorward" "$work/before"

cargo test --locked --features slips --test chaos -- upgrade --from "$work/before" --seconds "$seconds"
