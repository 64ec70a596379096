#!/usr/bin/env bash
# Counts `unsafe` by file. It may stand in the kernels and the C library, once where a file is mapped, once where work is
# handed to threads and once where NumPy's memory is used; fails elsewhere.
# (A module of tests at the end of a file is not counted.)
set -euo pipefail
cd "$(dirname "$0")/.."
count() {
    awk '/^mod .*\{$/ && before ~ /^#\[cfg\(.*test/ { exit } { before = $0; print }' "$1" |
        grep -cE '\bunsafe\b *(\{|fn|impl|trait|extern)' || true
}
failed=
total=0
for file in $(git ls-files 'src/*.rs' 'cli/src/*.rs' 'cli/report/src/*.rs' 'kernels/src/*.rs' 'capi/src/*.rs' 'fuzz/*.rs' 'python/src/*.rs'); do
    n=$(count "$file")
    [ "$n" -gt 0 ] || continue
    total=$((total + n))
    printf '%5d %s\n' "$n" "$file"
    case $file in
        kernels/* | capi/* | fuzz/limit.rs) ;;
        src/data/array.rs | src/compute/pool.rs | python/src/data.rs) [ "$n" -le 1 ] || failed="$failed $file" ;;
        *) failed="$failed $file" ;;
    esac
done
printf '%5d in total\n' "$total"
[ -z "$failed" ] || { echo "unsafe is not allowed in:$failed"; exit 1; }
