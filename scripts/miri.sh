#!/usr/bin/env bash
# The kernels' tests under Miri (nightly Rust with the component miri), on the scalar and the portable set. Few cases,
# because Miri is some hundred times slower.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "Miri: skipped, it is not installed (rustup +nightly component add miri)"
    exit 0
fi
export PROPTEST_CASES=${PROPTEST_CASES:-1} MIRIFLAGS="-Zmiri-disable-isolation"
cargo +nightly miri test -p sae-kernels --test kernels -- --skip guard:: --skip isa:: --skip math:: --skip matrix:: --skip reference::
