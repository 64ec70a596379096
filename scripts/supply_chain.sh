#!/usr/bin/env bash
# Checks that every dependency has its reason and, with cargo-deny, the sources, licenses, duplicates and advisories of
# dependencies (deny.toml, and python/deny.exceptions.toml for the Python package, which is not a member of the
# workspace). `cargo install --locked cargo-deny` installs it.
set -euo pipefail
cd "$(dirname "$0")/.."
for manifest in Cargo.toml benches/Cargo.toml cli/Cargo.toml cli/report/Cargo.toml kernels/Cargo.toml capi/Cargo.toml fuzz/Cargo.toml python/Cargo.toml tests/loom/Cargo.toml; do
    # The line above a dependency has its reason.
    awk -v file="$manifest" '
        /^\[/ { inside = /dependencies\]$/ }
        inside && /^[a-z0-9_-]+ *=/ && before !~ /^#/ { printf "%s: %s has no reason above it\n", file, $1; bad = 1 }
        { before = $0 }
        END { exit bad }' "$manifest"
done
echo "every dependency has a reason"
if ! cargo deny --version >/dev/null 2>&1; then
    echo "cargo-deny: skipped, it is not installed"
    exit 0
fi
# Exceptions of deny.toml that only the command needs do not occur there.
python=(--locked --manifest-path python/Cargo.toml)
unmet=(-A unmatched-skip -A license-exception-not-encountered)
cargo deny --locked check licenses bans sources
printf 'the Python package: '
cargo deny "${python[@]}" check "${unmet[@]}" licenses bans sources
# The database of advisories is downloaded; without it, this check is skipped.
if ! cargo deny --locked fetch db >/dev/null 2>&1; then
    echo "advisories: skipped, their database cannot be downloaded"
    exit 0
fi
cargo deny --locked check advisories
printf 'the Python package: '
cargo deny "${python[@]}" check advisories
