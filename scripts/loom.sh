#!/usr/bin/env bash
# Tries the orders of events that the team of threads can meet (crate loom).
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/loom
cargo test --quiet --release --no-default-features --lib every_order -- --test-threads=1
