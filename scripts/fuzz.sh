#!/usr/bin/env bash
# Runs every fuzz target, or the given ones, for SECONDS (30) each: scripts/fuzz.sh [SECONDS [TARGET ...]].
# Needs nightly Rust; installs cargo-fuzz if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-30}
shift $(($# > 0 ? 1 : 0))
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzzing: skipped, there is no nightly toolchain"
    exit 0
fi
cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz@0.13.2
targets=${*:-$(cargo +nightly fuzz list)}
for target in $targets; do
    cargo +nightly fuzz build "$target" 2>/dev/null || cargo +nightly fuzz build "$target"
done
failed=
printf '| target | seconds | executions | edges covered |\n| --- | --- | --- | --- |\n'
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for target in $targets; do
    # New inputs go to a folder of their own; the corpus keeps the seeds that are checked in.
    found=fuzz/target/found/$target
    mkdir -p "$found" "fuzz/corpus/$target"
    options=()
    [ ! -e "fuzz/dict/$target.dict" ] || options=("-dict=fuzz/dict/$target.dict")
    if cargo +nightly fuzz run "$target" "$found" "fuzz/corpus/$target" -- -max_total_time="$seconds" \
        -fork=0 -rss_limit_mb=2048 -timeout=30 -len_control=20 -print_final_stats=1 "${options[@]}" \
        >"$log" 2>&1; then
        executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        covered=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d ' ' -f 2)
        printf '| %s | %s | %s | %s |\n' "$target" "$seconds" "$executions" "$covered"
    else
        failed="$failed $target"
        tail -n 40 "$log"
    fi
done
[ -z "$failed" ] || { echo "bugs found by:$failed (fuzz/artifacts)"; exit 1; }
