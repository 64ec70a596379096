#!/usr/bin/env bash
# Tests the thread pool under every order of events (crate loom).
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/loom
cargo test --quiet --release --no-default-features --test loom -- --test-threads=1
