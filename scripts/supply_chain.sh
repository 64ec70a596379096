#!/usr/bin/env bash
# Where dependencies come from, their licences, duplicates and known faults (deny.toml, and
# python/deny.exceptions.toml for the Python package, which is no member of the workspace), if cargo-deny is installed:
# `cargo install --locked cargo-deny`.
set -euo pipefail
cd "$(dirname "$0")/.."
for manifest in Cargo.toml benches/Cargo.toml kernels/Cargo.toml capi/Cargo.toml fuzz/Cargo.toml python/Cargo.toml; do
    # The line before a dependency says what it is for.
    awk -v file="$manifest" '
        /^\[/ { inside = /dependencies\]$/ }
        inside && /^[a-z0-9_-]+ *=/ && before !~ /^#/ { printf "%s: %s has no reason beside it\n", file, $1; bad = 1 }
        { before = $0 }
        END { exit bad }' "$manifest"
done
echo "every dependency says what it is for"
if ! cargo deny --version >/dev/null 2>&1; then
    echo "cargo-deny: skipped, it is not installed"
    exit 0
fi
# The rules' own exceptions, which only the command needs, are not met there.
python=(--locked --manifest-path python/Cargo.toml)
unmet=(-A unmatched-skip -A license-exception-not-encountered)
cargo deny --locked check licenses bans sources
printf 'the Python package: '
cargo deny "${python[@]}" check "${unmet[@]}" licenses bans sources
# The advisories' database is fetched; without it, that is said.
if ! cargo deny --locked fetch db >/dev/null 2>&1; then
    echo "advisories: skipped, their database cannot be had here"
    exit 0
fi
cargo deny --locked check advisories
printf 'the Python package: '
cargo deny "${python[@]}" check advisories
