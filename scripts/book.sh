#!/usr/bin/env bash
# Builds the book (docs/) into target/book with mdBook, which it installs if it is missing. usage: scripts/book.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
version=0.5.4
if ! mdbook --version 2>/dev/null | grep -q "$version"; then
    # Without the server and the search; unoptimized, which is faster than to optimize it for a few pages.
    cargo install --quiet mdbook --version "$version" --no-default-features --debug
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! mdbook build docs 2>"$log" || grep -E 'WARN|ERROR' "$log"; then
    cat "$log" >&2
    exit 1
fi
# Each page of the summary is there.
pages=0
while read -r page; do
    test -s "target/book/${page%.md}.html"
    pages=$((pages + 1))
done < <(sed -n 's/.*](\(.*\.md\)).*/\1/p' docs/SUMMARY.md)
printf 'book: %s pages in target/book\n' "$pages"
