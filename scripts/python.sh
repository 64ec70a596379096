#!/usr/bin/env bash
# Checks the files that `sae` writes and reads against NumPy and safetensors (needs python3 and PyPI).
set -euo pipefail
cd "$(dirname "$0")/.."
if ! python3 -m venv --help >/dev/null 2>&1; then
    echo "Python's view of the files: skipped, there is no python3 with venv"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy safetensors
cargo build --quiet --features cli
"$folder/venv/bin/python" tests/python/formats.py "${CARGO_TARGET_DIR:-$PWD/target}/debug/sae" "$folder"
