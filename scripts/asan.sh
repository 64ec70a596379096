#!/usr/bin/env bash
# The tests under AddressSanitizer (nightly Rust): scripts/asan.sh [short]. The short form leaves out what only trains
# for long.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "AddressSanitizer: skipped, there is no nightly toolchain"
    exit 0
fi
target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/asan
export PROPTEST_CASES=${PROPTEST_CASES:-64}
# A test asks for more memory than any machine has, one expects SIGBUS, and one reads what the command prints, of which
# the sanitizer's notices must not be part.
notices=$(mktemp -d)
trap 'rm -rf "$notices"' EXIT
export ASAN_OPTIONS=allocator_may_return_null=1:handle_sigbus=0:log_path=$notices/log
run() {
    cargo +nightly test --quiet --no-fail-fast --target "$target" "$@" && return
    tail -n 60 "$notices"/* 2>/dev/null || true
    return 1
}
if [ "${1:-}" = short ]; then
    run -p sae-kernels --test kernels -- --skip guard:: --skip math:: --skip reference::
    run --lib --test library -- idx:: pool:: trainer:: checkpoint:: corpus::
else
    # The sanitizer's own allocations are not a step's; `tests/examples.rs` takes programs that are built without it.
    run --workspace --lib --bins --test library --test command --test kernels --test abi
fi
