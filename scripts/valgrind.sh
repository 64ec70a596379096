#!/usr/bin/env bash
# The kernels' tests under valgrind: on AVX2, the portable set and the scalar one, for valgrind 3.19 has no AVX-512.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    echo "valgrind: skipped, it is not installed"
    exit 0
fi
export PROPTEST_CASES=${PROPTEST_CASES:-4}
binaries=$(cargo test --release -p sae-kernels --test gemm --test fused --no-run --message-format json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
for binary in $binaries; do
    echo "== $(basename "$binary")"
    valgrind --quiet --error-exitcode=9 --leak-check=no "$binary" --test-threads=1 --quiet
done
