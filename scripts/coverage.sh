#!/usr/bin/env bash
# Line coverage of all crates of the workspace by the whole test suite: scripts/coverage.sh [MINIMUM PERCENT]. Writes an
# HTML page for each file to target/coverage/html. Needs llvm-profdata and llvm-cov of LLVM 19 or later: the toolchain's
# component llvm-tools, or Debian's package llvm-19.
set -euo pipefail
cd "$(dirname "$0")/.."
minimum=${1:-90}
tool() {
    local host version
    host=$(rustc -vV | sed -n 's/^host: //p')
    for path in "$(rustc --print sysroot)/lib/rustlib/$host/bin/$1" "$(command -v "$1")" /usr/bin/"$1"-[0-9]*; do
        version=$("$path" --version 2>/dev/null | sed -n 's/.*LLVM version \([0-9]*\).*/\1/p') || true
        if [ "${version:-0}" -ge 19 ]; then
            echo "$path"
            return
        fi
    done
}
profdata=$(tool llvm-profdata) cov=$(tool llvm-cov)
if [ -z "$profdata" ] || [ -z "$cov" ]; then
    echo "coverage: skipped, there is no llvm-profdata and llvm-cov of LLVM 19 or later"
    exit 0
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/coverage
export RUSTFLAGS="-C instrument-coverage" PROPTEST_CASES=${PROPTEST_CASES:-64} SAE_KILLS=${SAE_KILLS:-10}
profiles=$CARGO_TARGET_DIR/profiles
rm -rf "$profiles"
export LLVM_PROFILE_FILE="$profiles/%m-%p.profraw"
# Not the allocation tests (for a test of over a minute, the test runner allocates in a thread), nor those of examples,
# which are not built here.
tests() { cargo test --workspace --lib --bins --test library --test command --test kernels --test abi "$@"; }
objects=$(tests --no-run --message-format json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*\)".*/-object \1/p' | sort -u)
# Not run: tests that take minutes and cover only lines that others cover.
tests --quiet -- --skip the_articles_network --skip small_networks --skip every_activation
# Processes that tests kill can leave incomplete profiles.
"$profdata" merge -sparse --failure-mode=all "$profiles" -o "$CARGO_TARGET_DIR/all.profdata"
ignored='(/registry/|/rustc/|/tests/|/benches/|/examples/)'
# shellcheck disable=SC2086
view() { "$cov" "$@" $objects -instr-profile="$CARGO_TARGET_DIR/all.profdata" -ignore-filename-regex="$ignored"; }
view show -format=html -output-dir="$CARGO_TARGET_DIR/html" >/dev/null
report=$(view report --show-region-summary=false --show-branch-summary=false)
echo "$report"
echo "$report" | awk -v minimum="$minimum" '$1 == "TOTAL" { lines = $NF }
    END { sub("%", "", lines); printf "lines: %s %% (minimum %s)\n", lines, minimum; exit !(lines >= minimum) }'
