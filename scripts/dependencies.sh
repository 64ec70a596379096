#!/usr/bin/env bash
# Counts the crates of the library, itself included; fails above 12 without features or 40 by default.
set -euo pipefail
cd "$(dirname "$0")/.."
count() { cargo tree -q -p sae -e normal,build --prefix none "$@" | awk '{ print $1, $2 }' | sort -u | wc -l; }
bare=$(count --no-default-features)
default=$(count)
echo "crates: $bare without features (12 allowed), $default by default (40)"
[ "$bare" -le 12 ] && [ "$default" -le 40 ]
