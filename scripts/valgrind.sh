#!/usr/bin/env bash
# The kernels' tests under valgrind, on AVX2, the portable and the scalar set: valgrind 3.19 has no AVX-512.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    echo "valgrind: skipped, it is not installed"
    exit 0
fi
export PROPTEST_CASES=${PROPTEST_CASES:-4}
binary=$(cargo test --release -p sae-kernels --test kernels --no-run --message-format json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
valgrind --quiet --error-exitcode=9 --leak-check=no "$binary" --test-threads=1 --quiet \
    --skip guard:: --skip isa:: --skip math:: --skip matrix:: --skip reference::
