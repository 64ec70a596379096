#!/usr/bin/env bash
# Trains on a mapped file of more than 4 GiB, which needs no space on the disk (it is sparse), for
# SECONDS (30) after the first steps are printed, and fails if memory beyond the page cache reaches
# 200 MiB. Linux only.
# The order of the samples and the list of those that are not held out need 4 bytes per sample each,
# together 45 MB.
# usage: scripts/large.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
# SAE: path of the command, if it is built already.
[ -n "${SAE:-}" ] || cargo build --quiet --release -p sae-cli
sae=${SAE:-${CARGO_TARGET_DIR:-target}/release/sae}
folder=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || { kill "$pid"; wait "$pid"; } 2>/dev/null || true; rm -rf "$folder"' EXIT
# 5 600 000 samples of 28 x 28 bytes.
printf '\x00\x00\x08\x03\x00\x55\x73\x00\x00\x00\x00\x1c\x00\x00\x00\x1c' >"$folder/large.idx"
truncate --size $((16 + 5600000 * 784)) "$folder/large.idx"
"$sae" train --samples "$folder/large.idx" --holdout 1000 --preset article --steps 100000000 --threads 1 \
    --out "$folder/m.safetensors" >"$folder/out" &
pid=$!
max=0
steps() { awk '/^step / { steps = $2 } END { print steps + 0 }' "$folder/out"; }
# One second, in which memory is looked at.
second() {
    sleep 1
    anonymous=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status")
    [ "$anonymous" -le "$max" ] || max=$anonymous
}
# A slow or busy machine may take a while to the first report.
for _ in $(seq 300); do
    [ "$(steps)" -eq 0 ] || break
    second
done
for _ in $(seq "${1:-30}"); do
    second
done
mapped=$(awk '/^RssFile/ { print $2 }' "/proc/$pid/status")
steps=$(steps)
echo "$steps steps on $(stat -c %s "$folder/large.idx") bytes: RssAnon at most $max KiB, RssFile $mapped KiB"
[ "$steps" -gt 0 ] && [ "$max" -lt $((200 * 1024)) ] || { echo "FAILED"; exit 1; }
