#!/usr/bin/env bash
# Opens a report in Chromium, light and dark, at two widths: scripts/report.sh [FOLDER FOR SCREENSHOTS]. Installs
# Debian's chromium if it is missing and this runs as root; needs python3 and PyPI (playwright).
set -euo pipefail
cd "$(dirname "$0")/.."
export CHROMIUM=${CHROMIUM:-$(command -v chromium || true)}
if [ -z "$CHROMIUM" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
    CHROMIUM=$(command -v chromium)
fi
if [ -z "$CHROMIUM" ] || ! python3 -m venv --help >/dev/null 2>&1; then
    echo "the report in a browser: skipped, there is no chromium or no python3 with venv"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q playwright==1.56.0
# SAE: path of the command, if it is built already.
[ -n "${SAE:-}" ] || cargo build --quiet -p sae-cli
sae=${SAE:-${CARGO_TARGET_DIR:-$PWD/target}/debug/sae}
shots=${1:+$(mkdir -p "$1" && realpath "$1")}
cd "$folder"
"$sae" make-digits digits --train 2000 --test 300
for preset in plain sparse; do
    "$sae" train --data digits --preset $preset --steps 400 --quiet --out $preset.safetensors
done
"$sae" report plain.safetensors sparse.safetensors --data digits
cd - >/dev/null
"$folder/venv/bin/python" tests/browser/report.py "$folder/report.html" ${shots:+"$shots"}
