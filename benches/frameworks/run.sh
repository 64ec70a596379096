#!/usr/bin/env bash
# Compares the time of a training step of `sae` with JAX, PyTorch and TensorFlow on this machine (Linux; needs python3, cargo, gcc).
#
#   benches/frameworks/run.sh [-r ROUNDS] [-s STEPS] [-t "THREADS ..."] [-o "SYSTEM ..."] [DATA_DIR]
#
#   -r   rounds (default 3): each round runs every system once, one after the other, so that a slow period of the
#        machine affects all of them; the table has medians over the rounds
#   -s   timed steps in each run, after 200 that are not timed (default 1500)
#   -t   numbers of threads (default "1 2", or 1 on a single core); N threads are pinned to the first N cores
#   -o   only some of: sae jax torch-compile torch-eager tensorflow-xla tensorflow-graph
#   DATA_DIR holds train-images-idx3-ubyte and t10k-images-idx3-ubyte, gzip-compressed or not; default: MNIST in
#        ../shared/data/mnist beside the project, or else digits that `sae make-digits` draws
#
# The frameworks are installed into a virtual environment, benches/frameworks/.venv, by the first run (PyPI's PyTorch has
# some gigabytes); SAE_VENV gives another one that has the packages of requirements.txt. The table goes to standard
# output, progress to standard error. Nothing else should run on the machine meanwhile.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
rounds=3 steps=1500 threads= only=
usage() { sed -n '4s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
say() { echo "$*" >&2; }
while getopts r:s:t:o: option; do
    case $option in
        r) rounds=$OPTARG ;;
        s) steps=$OPTARG ;;
        t) threads=$OPTARG ;;
        o) only=$OPTARG ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -le 1 ] || usage
data=${1:-}
cores=$(nproc)
if [ -z "$threads" ]; then
    threads=1
    [ "$cores" -lt 2 ] || threads="1 2"
fi

# Variables that would restrict the kernels or threads of a library.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS OMP_NUM_THREADS MKL_NUM_THREADS

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# The frameworks.
venv=${SAE_VENV:-$here/.venv}
if [ ! -x "$venv/bin/python" ]; then
    [ -z "${SAE_VENV:-}" ] || { say "SAE_VENV=$venv: no virtual environment there"; exit 1; }
    say "making $venv"
    python3 -m venv "$venv"
fi
python=$venv/bin/python
if [ -z "${SAE_VENV:-}" ] && ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    "$python" -m pip install -q -r "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$venv/installed.txt"
fi

# `sae`.
sae=${CARGO_TARGET_DIR:-$root/target}/release/examples/step_time
if [ ! -f "$root/examples/step_time.rs" ]; then
    say "sae: skipped, there is no examples/step_time.rs"
    sae=
elif ! (cd "$root" && cargo build --release --example step_time >&2); then
    say "sae: skipped, examples/step_time.rs does not build"
    sae=
fi

# The data.
if [ -z "$data" ]; then
    data=$(cd "$root/.." && pwd)/shared/data/mnist
    if [ ! -d "$data" ]; then
        data=$temp/digits
        say "drawing digits"
        (cd "$root" && cargo run --release -- make-digits "$data" >&2)
        what="drawn digits"
    fi
fi
what=${what:-$(basename "$data")}
images=$temp/images
mkdir "$images"
for name in train-images-idx3-ubyte t10k-images-idx3-ubyte; do
    if [ -f "$data/$name" ]; then
        ln -s "$(cd "$data" && pwd)/$name" "$images/$name"
    elif [ -f "$data/$name.gz" ]; then
        gzip -dc "$data/$name.gz" >"$images/$name"
    else
        say "$data: neither $name nor $name.gz"
        exit 1
    fi
done

# measure SYSTEM THREADS: appends a line "SYSTEM THREADS <output of the run>" to the results.
results=$temp/results
: >"$results"
measure() {
    local system=$1 n=$2 line
    local pinned=(taskset -c "0-$((n - 1))")
    if [ "$system" = sae ]; then
        local command=("$sae" "$images" "$n" "$steps")
    else
        # torch.compile compiles for one number of threads.
        local command=(env "TORCHINDUCTOR_CACHE_DIR=$temp/inductor-$n" TORCHINDUCTOR_COMPILE_THREADS=1
            "$python" "$here/frameworks.py" "$system" "$n" "$steps" "$images")
    fi
    if line=$("${pinned[@]}" "${command[@]}" 2>"$temp/log" | grep -F ms/step=); then
        say "  $line"
        echo "$system $n $line" >>"$results"
    else
        say "  $system, $n threads: failed"
        tail -n 5 "$temp/log" >&2
    fi
}

systems="jax torch-compile torch-eager tensorflow-xla tensorflow-graph"
[ -z "$sae" ] || systems="sae $systems"
systems=${only:-$systems}
load=$(cut -d ' ' -f 1 /proc/loadavg)
for n in $threads; do
    if [ "$n" -gt "$cores" ]; then
        say "$n threads: skipped, there are $cores cores"
        continue
    fi
    for round in $(seq "$rounds"); do
        say "threads $n, round $round of $rounds"
        for system in $systems; do
            measure "$system" "$n"
        done
    done
done

# The table.
isa=$(grep -m 1 -oE '\b(flags|Features)\b.*' /proc/cpuinfo | grep -owE 'avx2|fma|avx512f|avx512_bf16|asimd|sve' | xargs)
echo "$(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $cores cores ($isa), load $load before; $(date -u +%Y-%m-%d)"
echo "Data: $what. Median of $rounds rounds of $steps steps, batch 60, the article's sparse objective (README.md)."
echo "$("$python" --version), NumPy $("$python" -c 'import numpy; print(numpy.__version__)'), $(rustc --version 2>/dev/null | cut -d ' ' -f 1,2 || true)"
echo
"$python" "$here/table.py" "$results"
