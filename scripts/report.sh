#!/usr/bin/env bash
# Opens reports in Chromium, light and dark, at two widths, and uses them: scripts/report.sh [FOLDER FOR SCREENSHOTS]. Installs
# Debian's chromium if it is missing and this runs as root; needs python3 and PyPI (playwright). Two browsers work at once.
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
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q playwright==1.56.0
# SAE: path of the command, if it is built already.
[ -n "${SAE:-}" ] || cargo build --quiet -p sae-cli
sae=$(realpath "${SAE:-${CARGO_TARGET_DIR:-$PWD/target}/debug/sae}")
shots=${1:+$(mkdir -p "$1" && realpath "$1")}
tests=$PWD/tests/browser
cd "$folder"
python3 "$tests/data.py" .
"$sae" make-digits digits --train 4000 --test 600
train() { "$sae" train --quiet "$@"; }
for preset in plain sparse; do
    train --data digits --preset $preset --steps 400 --out $preset.safetensors
done
train --data digits --preset top-k --layers 784,300,784 --code top-k:20 --steps 400 --out digits.safetensors
train --preset top-k --samples tokens.npy --holdout-last 200 --layers 24,64,24 --code top-k:4 --steps 300 --out tokens.safetensors
train --preset top-k --samples disks.npy --layers 1680,60,1680 --code top-k:6 --steps 200 --out disks.safetensors
train --preset top-k --samples "$OLDPWD/docs/tutorials/wine.csv" --label-column cultivar --scaling mean-deviation:feature \
    --layers 13,26,13 --code top-k:4 --steps 300 --out table.safetensors
train --preset top-k --samples tokens.npy --layers 24,4096,24 --code top-k:4 --steps 30 --out many.safetensors
train --preset top-k --samples wide.npy --layers 768,3072,768 --code top-k:32 --steps 5 --batch 100 --out wide.safetensors
for k in 5 10 15 25; do
    train --data digits --preset top-k --layers 784,300,784 --code top-k:$k --steps 60 --out topk-$k.safetensors
done
"$sae" encode digits.safetensors >codes.csv
python3 "$tests/off.py" .
"$sae" decode digits.safetensors off.csv --out off.npy
# Models and data with little in them: one unit, 28 samples or one, signed and dense codes, no curves, no decoder of one layer.
mkdir odd
train --preset top-k --samples few.npy --holdout 0 --layers 5,1,5 --code top-k:1 --steps 50 --out one.safetensors
train --preset top-k --samples few.npy --holdout 0 --layers 5,20,5 --code top-k:2 --steps 5 --out dead.safetensors
train --preset plain --samples signed.npy --holdout 0 --layers 7,9,7 --activation tanh --steps 50 --out tanh.safetensors
train --preset plain --samples signed.npy --holdout 0 --layers 7,8,3,8,7 --steps 50 --out sigmoids.safetensors
train --preset top-k --samples signed.npy --holdout 0 --layers 7,2,7 --code top-k:1 --activation linear --steps 30 --out linear.safetensors
rm one.history.csv
for model in tanh sigmoids linear; do
    "$sae" report $model.safetensors --samples signed.npy --out odd/$model.html
done
"$sae" report tanh.safetensors linear.safetensors sigmoids.safetensors --samples signed.npy --out odd/three.html
"$sae" report one.safetensors --samples few.npy --out odd/one.html
"$sae" report one.safetensors --samples few.npy --names few.txt --out odd/names.html
"$sae" report dead.safetensors --samples alone.npy --out odd/alone.html
"$sae" score many.safetensors --samples tokens.npy --out scores.csv
"$sae" report digits.safetensors --out digits.html
"$sae" report plain.safetensors sparse.safetensors --out both.html
"$sae" report topk-{5,10,15,25}.safetensors digits.safetensors --out five.html
"$sae" report wide.safetensors --out wide.html
"$sae" report tokens.safetensors --samples tokens.npy --names tokens.txt --out tokens.html
"$sae" report many.safetensors --samples tokens.npy --names tokens.txt --units 50 --out many.html
"$sae" report disks.safetensors --out disks.html
"$sae" report table.safetensors --samples "$OLDPWD/docs/tutorials/wine.csv" --label-column cultivar --out table.html
cd - >/dev/null
for part in looks courses; do
    "$folder/venv/bin/python" tests/browser/report.py "$folder" $part ${shots:+"$shots"} &
done
failed=0
for process in $(jobs -p); do
    wait "$process" || failed=1
done
exit $failed
