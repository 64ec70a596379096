#!/usr/bin/env bash
# Compares the public API of the library and the kernels with the last tag (vX.Y.Z), with cargo-semver-checks: a change
# that breaks callers needs a new minor version before 1.0, a new major version after. Skips where there is no tag, or
# where the tool is missing and cannot be installed.
# usage: scripts/semver.sh
set -euo pipefail
cd "$(dirname "$0")/.."
tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || true)
if [ -z "$tag" ]; then
    echo "semver: skipped, there is no tag such as v0.2.0 to compare with"
    exit 0
fi
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
if ! cargo semver-checks --version >/dev/null 2>&1 && ! cargo install --quiet --locked cargo-semver-checks; then
    echo "semver: skipped, cargo-semver-checks cannot be installed"
    exit 0
fi
echo "semver: compared with $tag"
cargo semver-checks --package sae --package sae-kernels --baseline-rev "$tag" --only-explicit-features \
    --features sae/onnx,sae/digits,sae/gradient-check,sae/exchange
