#!/usr/bin/env bash
# examples/clients/rust, a package of its own, with a target folder of its own.
# usage: rust.sh unix:PATH|https://HOST:PORT ... (or --build, which fetches what the build needs)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
source "$clients/examples/drive.sh"
need cargo
out=$built/rust
export CARGO_TARGET_DIR=$out CARGO_PROFILE_DEV_DEBUG=0 COUNTERSIGN_PROTO=$root/proto
cargo=(cargo build --quiet --locked --manifest-path "$examples/rust/Cargo.toml")
if [ "$1" = --build ]; then
  "${cargo[@]}"
else
  [ -e "$out/debug/countersign-client" ] || missing "a build of examples/clients/rust ($0 --build makes it)"
  "${cargo[@]}" --offline
fi
each "$out/debug/countersign-client" -- "$@"
