#!/usr/bin/env bash
# Counts `unsafe` by file; fails where it stands outside the kernels, the C ABI, the mapping of a file, the
# hand-over of work and NumPy's memory.
# (A module of tests, at a file's end, is not counted.)
set -euo pipefail
cd "$(dirname "$0")/.."
count() {
    awk '/^mod .*\{$/ && before ~ /^#\[cfg\(.*test/ { exit } { before = $0; print }' "$1" |
        grep -cE '\bunsafe\b *(\{|fn|impl|trait|extern)' || true
}
failed=
total=0
for file in $(git ls-files 'src/*.rs' 'cli/src/*.rs' 'kernels/src/*.rs' 'capi/src/*.rs' 'fuzz/*.rs' 'python/src/*.rs'); do
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
printf '%5d in all\n' "$total"
[ -z "$failed" ] || { echo "unsafe where none may be:$failed"; exit 1; }
