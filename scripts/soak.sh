#!/usr/bin/env bash
# Trains the default network on drawn digits for SECONDS (3600) in one process on THREADS (1) and prints a line every
# 10 s. Fails if memory grows after the first minute, or if steps become slower than those of a new trainer, measured in
# alternation.
# usage: scripts/soak.sh [SECONDS [THREADS]]
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
cargo build --quiet --release --features digits --example soak && cargo build --quiet --release -p sae-cli
target=${CARGO_TARGET_DIR:-target}/release
"$target/sae" make-digits "$data" --train 20000 --test 1 >/dev/null
"$target/examples/soak" "$data/train-images-idx3-ubyte" "${1:-3600}" "${2:-1}"
