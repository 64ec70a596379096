#!/usr/bin/env bash
# The tests under AddressSanitizer (nightly Rust): scripts/asan.sh [short]. The short form leaves out long
# trainings.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "AddressSanitizer: skipped, there is no nightly toolchain"
    exit 0
fi
target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/asan
export PROPTEST_CASES=${PROPTEST_CASES:-64}
# One test asks for more memory than any machine has, one expects SIGBUS, and one reads what the command prints, which
# must not contain the sanitizer's messages.
messages=$(mktemp -d)
trap 'rm -rf "$messages"' EXIT
export ASAN_OPTIONS=allocator_may_return_null=1:handle_sigbus=0:log_path=$messages/log
run() {
    cargo +nightly test --quiet --no-fail-fast --target "$target" "$@" && return
    tail -n 60 "$messages"/* 2>/dev/null || true
    return 1
}
if [ "${1:-}" = short ]; then
    run -p sae-kernels --test kernels -- --skip guard:: --skip math:: --skip reference::
    run --lib --test library -- idx:: pool:: trainer:: checkpoint:: corpus::
else
    # Not the allocation tests, which would count the sanitizer's own, nor `tests/examples.rs`, whose programs are built
    # without it.
    run --workspace --lib --bins --test library --test command --test kernels --test abi
fi
