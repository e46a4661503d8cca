#!/bin/sh
# Leaves in a copy of the repository what cargo needs to build its dependencies, with empty programs for our own: what
# changes seldom, so that an image's layer of built dependencies is used again. Usage: skeleton.sh DIRECTORY
set -eu
cd "$1"
if [ -e .git ]; then
    echo "skeleton.sh: $1 is the repository itself; everything but manifests would be deleted" >&2
    exit 1
fi
find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path ./build.rs ! -name main.rs ! -name lib.rs \
    ! -path '*/benches/*.rs' ! -path './.cargo/*' -delete
# No braces side by side: find would put names there.
find . -name '*.rs' -exec sh -c 'for file; do echo "fn main() { }" >"$file"; done' sh '{}' +
find . -type d -empty -delete
