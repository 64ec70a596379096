#!/usr/bin/env bash
# Checks the files that `sae` reads and writes with NumPy, SciPy, safetensors, Pillow and ONNX Runtime (needs python3 and PyPI).
set -euo pipefail
cd "$(dirname "$0")/.."
if ! python3 -m venv --help >/dev/null 2>&1; then
    echo "files against Python: skipped, there is no python3 with venv"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy scipy safetensors pillow onnx onnxruntime
# SAE: path of the command, if it is built already.
[ -n "${SAE:-}" ] || cargo build --quiet -p sae-cli
sae=${SAE:-${CARGO_TARGET_DIR:-$PWD/target}/debug/sae}
for test in formats convert onnx_export sparse_codes; do
    mkdir "$folder/$test"
    "$folder/venv/bin/python" "tests/python/$test.py" "$sae" "$folder/$test"
done
