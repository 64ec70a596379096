#!/usr/bin/env bash
# Tests the thread pool under every order of events (crate loom).
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/loom
cargo test --quiet --release --manifest-path tests/loom/Cargo.toml -- --test-threads=1
