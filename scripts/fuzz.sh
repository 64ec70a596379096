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
cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked --debug cargo-fuzz@0.13.2
targets=${*:-$(cargo +nightly fuzz list)}
if [ $# -eq 0 ]; then
    # All at once, on all cores.
    cargo +nightly fuzz build 2>/dev/null || cargo +nightly fuzz build
else
    for target in $targets; do
        cargo +nightly fuzz build "$target" 2>/dev/null || cargo +nightly fuzz build "$target"
    done
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
# Runs one target and prints its row of the table; if it finds a bug, its log stays as TARGET.failed.
fuzz() {
    local target=$1 options=() log=$logs/$1.log executions covered
    # New inputs go to a folder of their own; the corpus keeps the seeds that are checked in.
    local found=fuzz/target/found/$target
    mkdir -p "$found" "fuzz/corpus/$target"
    [ ! -e "fuzz/dict/$target.dict" ] || options=("-dict=fuzz/dict/$target.dict")
    if cargo +nightly fuzz run "$target" "$found" "fuzz/corpus/$target" -- -max_total_time="$seconds" \
        -fork=0 -rss_limit_mb=2048 -timeout=30 -len_control=20 -print_final_stats=1 "${options[@]}" \
        >"$log" 2>&1; then
        executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        covered=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d ' ' -f 2)
        printf '| %s | %s | %s | %s |\n' "$target" "$seconds" "$executions" "$covered"
    else
        mv "$log" "$logs/$target.failed"
    fi
}
export -f fuzz
export seconds logs
printf '| target | seconds | executions | edges covered |\n| --- | --- | --- | --- |\n'
# One target per core at a time.
printf '%s\n' $targets | xargs -P "$(nproc)" -I TARGET bash -c 'fuzz TARGET'
for log in "$logs"/*.failed; do
    [ -e "$log" ] || exit 0
    tail -n 40 "$log"
    echo "bug found by $(basename "$log" .failed) (fuzz/artifacts)"
done
exit 1
