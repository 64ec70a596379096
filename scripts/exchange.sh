#!/usr/bin/env bash
# Checks dictionaries against the real libraries, in both directions: sae-lens, eai-sparsify and dictionary-learning from
# PyPI, with torch (some gigabytes): scripts/exchange.sh [short]. Needs python3 and PyPI.
# PEERS: a virtual environment that has these libraries; otherwise a temporary one is made.
# SAE: path of the command, if it is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! python3 -m venv --help >/dev/null 2>&1; then
    echo "dictionaries against other libraries: skipped, there is no python3 with venv"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
peers=${PEERS:-$folder/peers}
if [ ! -x "$peers/bin/python" ]; then
    python3 -m venv "$peers"
    "$peers/bin/pip" install -q --disable-pip-version-check sae-lens eai-sparsify dictionary-learning
fi
[ -n "${SAE:-}" ] || cargo build --quiet -p sae-cli
sae=$(realpath "${SAE:-${CARGO_TARGET_DIR:-$PWD/target}/debug/sae}")
# The Python package, beside the environment and not in it.
"$peers/bin/pip" install -q --disable-pip-version-check --no-deps --target "$folder/site" ./python
mkdir "$folder/files"
PYTHONPATH=$folder/site:$PWD/tests/exchange "$peers/bin/python" tests/exchange/check.py "$sae" "$folder/files" "$@"
