#!/usr/bin/env bash
# Compares a training step of a top-k dictionary in `sae` with PyTorch (three ways) and SAELens on this machine (Linux; needs
# python3, cargo).
#
#   benches/frameworks/topk.sh [-r ROUNDS] [-s STEPS] [-t THREADS] [-n BATCH] [-u UNITS] [-k K] [FILE.npy]
#
# Each round (default 3) runs every system once, one after the other, for STEPS steps (default 10) on THREADS threads (default
# all); the table has medians over the rounds. FILE.npy holds samples [samples, features] of f32; without it, 16 384 samples of
# 768 features are made. The packages torch, numpy and sae-lens are installed into benches/frameworks/.venv-topk by the first run
# (some gigabytes); SAE_VENV gives another virtual environment that has them. Nothing else should run meanwhile.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
rounds=3 steps=10 threads=$(nproc) batch=1024 units=16384 k=32
while getopts r:s:t:n:u:k: option; do
    case $option in
        r) rounds=$OPTARG ;;
        s) steps=$OPTARG ;;
        t) threads=$OPTARG ;;
        n) batch=$OPTARG ;;
        u) units=$OPTARG ;;
        k) k=$OPTARG ;;
        *) sed -n '5s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
venv=${SAE_VENV:-$here/.venv-topk}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q numpy torch sae-lens >&2
fi
python=$venv/bin/python
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
file=${1:-$temp/samples.npy}
[ -f "$file" ] || "$python" "$here/topk.py" make "$file"
(cd "$root" && cargo build --release --example topk_step_time >&2)
sae=${CARGO_TARGET_DIR:-$root/target}/release/examples/topk_step_time

systems="sae torch-sparse torch-embedding-bag torch-dense saelens"
for round in $(seq "$rounds"); do
    for system in $systems; do
        if [ "$system" = sae ]; then
            line=$("$sae" "$file" "$batch" "$units" "$k" "$steps" "$threads")
        else
            line=$("$python" "$here/topk.py" "$system" "$file" "$batch" "$units" "$k" "$steps" "$threads" 2>"$temp/log" |
                grep -F ms/step=) || { echo "$system failed" >&2; tail -n 3 "$temp/log" >&2; continue; }
        fi
        echo "  round $round of $rounds: $system: $line" >&2
        echo "$system $line" >>"$temp/results"
    done
done

echo "$(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $threads threads; batch $batch, $units units, k $k; $(date -u +%Y-%m-%d)"
echo
echo "| system | ms a step | samples a second | times sae |"
echo "| --- | --- | --- | --- |"
median() { grep "^$1 " "$temp/results" | grep -oE "$2=[0-9.]+" | cut -d= -f2 | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
own=$(median sae ms/step)
for system in $systems; do
    grep -q "^$system " "$temp/results" || continue
    ms=$(median "$system" ms/step)
    echo "| $system | $ms | $(median "$system" samples/s) | $(awk "BEGIN { printf \"%.2f\", $ms / $own }") |"
done
