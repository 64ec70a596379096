#!/usr/bin/env bash
# Tests the Python package as a user installs it: pip builds its wheel, whose tag is checked, and installs it in a new
# virtual environment; then its tests run, and its types are checked against its stubs (needs python3 and PyPI).
# PYTHON=python3.9 chooses another Python.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if ! "$python" -m venv --help >/dev/null 2>&1; then
    echo "the Python package: skipped, there is no $python with venv"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
bin=$folder/venv/bin
"$bin/pip" wheel -q --disable-pip-version-check --no-deps --wheel-dir "$folder/wheels" ./python
wheel=$(echo "$folder"/wheels/*.whl)
basename "$wheel"
[[ ${wheel##*/} == sae-*-cp39-abi3-*.whl ]] || { echo "the wheel's tag is not cp39-abi3"; exit 1; }
"$bin/pip" install -q --disable-pip-version-check "$wheel[test]"
# Tests compare its weights with the command's. SAE: path of the command, if it is built already.
[ -n "${SAE:-}" ] || cargo build --quiet -p sae-cli
SAE=${SAE:-${CARGO_TARGET_DIR:-$PWD/target}/debug/sae} "$bin/pytest" -q -p no:cacheprovider python/tests
root=$PWD
cp python/pyproject.toml "$folder"
cd "$folder"
"$bin/mypy"
"$bin/python" -m mypy.stubtest sae._sae
"$bin/python" "$root/python/tests/typing/check.py" mypy
# Pyright is for node, which its package downloads.
if "$bin/pip" install -q --disable-pip-version-check pyright && "$bin/pyright" --version >/dev/null 2>&1; then
    "$bin/python" "$root/python/tests/typing/check.py" pyright
else
    echo "types, by pyright: skipped, it cannot be installed"
fi
