#!/usr/bin/env bash
# Trains on a file four times as large as the memory that the process may use, page cache included, with
# and without reading ahead, for every order, and on one that fits: milliseconds a step and megabytes a
# second. Linux, as root, with a control group for memory (version 1 or 2), python3 with NumPy, and a
# disk under FOLDER that is not in memory.
# usage: benches/read_ahead.sh [FOLDER [MEGABYTES [STEPS]]]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d -p "${1:-${TMPDIR:-/tmp}}")
memory=$((${2:-300} * 1000000))
steps=${3:-400}
cargo build --quiet --release -p sae-cli
sae=$PWD/${CARGO_TARGET_DIR:-target}/release/sae
if [ -w /sys/fs/cgroup/memory ]; then
    group=/sys/fs/cgroup/memory/sae-read-ahead limit=memory.limit_in_bytes
elif [ -w /sys/fs/cgroup/cgroup.subtree_control ]; then
    echo +memory >/sys/fs/cgroup/cgroup.subtree_control
    group=/sys/fs/cgroup/sae-read-ahead limit=memory.max
else
    echo "skipped: no control group for memory that may be changed"
    exit 0
fi
trap 'rm -rf "$folder"; rmdir "$group" 2>/dev/null || true' EXIT
mkdir -p "$group"
echo "$memory" >"$group/$limit"

# Activations of 384 features, f16; the small file has the first of them.
python3 - "$folder" "$memory" <<'EOF'
import sys
import numpy as np
folder, memory = sys.argv[1], int(sys.argv[2])
rows = 4 * memory // 768
generator = np.random.default_rng(1)
base = generator.standard_normal((20_000, 384)).astype(np.float16)
for name, count in (("large", rows), ("small", 100_000)):
    out = np.lib.format.open_memmap(f"{folder}/{name}.npy", "w+", np.float16, (count, 384))
    for start in range(0, count, len(base)):
        out[start : start + len(base)] = np.roll(base, start // len(base), axis=1)[: count - start]
    out.flush()
EOF
# Drops a file from the page cache.
evict() { python3 -c "import os, sys; f = os.open(sys.argv[1], 0); os.fsync(f); os.posix_fadvise(f, 0, 0, 4)" "$1"; }
# train NAME FILE ORDER OPTIONS...: a row of the table.
train() {
    local name=$1 file=$2 order=$3 seconds
    shift 3
    evict "$file"
    [ "$name" != fits ] || cat "$file" >/dev/null
    (
        [ "$name" = fits ] || echo $BASHPID >"$group/cgroup.procs"
        exec "$sae" train --samples "$file" --preset article --holdout 1000 --layers 384,4096,384 --code top-k:32 --activation relu \
            --init he --beta 0 --lambda 0 --lr 1e-3 --batch 1024 --order "$order" --steps "$steps" \
            --out "$folder/m.safetensors" --json "$@"
    ) >"$folder/out" 2>"$folder/log" || { cat "$folder/log"; return 1; }
    seconds=$(python3 -c "import json, sys; print(json.load(open(sys.argv[1]))['seconds'])" "$folder/out")
    python3 -c "
seconds, steps = $seconds, $steps
print(f'| $name | $order | ${*:-default} | {1000 * seconds / steps:.1f} | {1024 * 768 * steps / seconds / 1e6:.0f} |')"
}
echo "| data | order | read-ahead | ms a step | MB a second |"
echo "| --- | --- | --- | --- | --- |"
for order in shuffle window:100000 sequential; do
    train fits "$folder/small.npy" "$order"
    train "four times memory" "$folder/large.npy" "$order"
    train "four times memory" "$folder/large.npy" "$order" --read-ahead 0
done
