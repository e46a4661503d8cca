#!/usr/bin/env bash
# Fuzzes each target for so many seconds: ./scripts/fuzz.sh [SECONDS [TARGET…]]. Ends with 1 at a finding, whose input is
# then in fuzz/artifacts. Needs nightly Rust and cargo-fuzz. The committed seeds are read and never written.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "fuzz.sh: $*" >&2
    exit 2
}

seconds=${1:-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "'$seconds' is no number of seconds: ./scripts/fuzz.sh [SECONDS [TARGET…]]"
shift || true

command -v cargo >/dev/null 2>&1 || fail "Rust is missing: see https://rustup.rs"
cargo +nightly --version >/dev/null 2>&1 || fail "nightly Rust is missing: rustup toolchain install nightly"
cargo +nightly fuzz --version >/dev/null 2>&1 || fail "cargo-fuzz is missing: cargo install cargo-fuzz --locked"

targets=("$@")
if ((${#targets[@]} == 0)); then
    for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
for target in "${targets[@]}"; do
    [[ -f fuzz/fuzz_targets/$target.rs ]] || fail "there is no target '$target' in fuzz/fuzz_targets"
done

# What is found on the way goes into the first folder; the seeds are the second.
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

failed=()
for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    mkdir -p "$found/$target"
    # Our own code has no unsafe: without the address sanitizer it runs several times as often.
    cargo +nightly fuzz run --sanitizer none "$target" "$found/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
        -dict=fuzz/words.dict -print_final_stats=1 || failed+=("$target")
done
if ((${#failed[@]})); then
    echo "fuzz.sh: findings in ${failed[*]}; the inputs are in fuzz/artifacts, docs/fuzzing.md says what to do" >&2
    exit 1
fi
echo "fuzz.sh: nothing found in ${#targets[@]} targets of $seconds s each"
