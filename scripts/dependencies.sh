#!/usr/bin/env bash
# Fails when the library grows heavy: at most 12 crates without features, 40 by default.
set -euo pipefail
cd "$(dirname "$0")/.."
count() { cargo tree -q -p sae -e normal,build --prefix none "$@" | awk '{ print $1, $2 }' | sort -u | wc -l; }
bare=$(count --no-default-features)
default=$(count)
echo "crates: $bare without features (12 allowed), $default by default (40)"
[ "$bare" -le 12 ] && [ "$default" -le 40 ]
