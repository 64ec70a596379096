#!/usr/bin/env bash
# The measurements in docs/scaling.md: two ranks on two cores against one thread and two, over shared memory, over TCP
# through the loopback device, and between two network namespaces whose link tc slows down. Prints the time of a step,
# the share of it in communication, and the bytes that a rank sends per step; each line is the median of alternating
# runs. Linux, as root, with the packages of scripts/mpi.sh and iproute2. Nothing else should run meanwhile.
# usage: scripts/scaling.sh [-r RUNS] [-i IMAGES]   (IMAGES: an IDX file; drawn digits without)
set -euo pipefail
cd "$(dirname "$0")/.."
runs=3 images=
while getopts r:i: option; do
    case $option in
        r) runs=$OPTARG ;;
        i) images=$(realpath "$OPTARG") ;;
        *) exit 2 ;;
    esac
done
missing=
for tool in ip tc mpirun python3; do command -v $tool >/dev/null || missing=1; done
if [ "$(id -u)" != 0 ] || [ -n "$missing" ]; then
    echo "scaling: skipped, this needs root, ip, tc and mpirun"
    exit 0
fi
cargo build --quiet --release -p sae-cli --features mpi
sae=$PWD/target/release/sae
folder=$(mktemp -d)
clean() {
    ip netns del sae0 2>/dev/null || true
    ip netns del sae1 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
if [ -z "$images" ]; then
    "$sae" make-digits "$folder/digits" --train 60000 --test 1 >/dev/null
    images=$folder/digits/train-images-idx3-ubyte
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# Two machines for MPI: two namespaces, each with an address and a host name.
for n in 0 1; do ip netns add sae$n; done
ip link add veth0 netns sae0 type veth peer name veth1 netns sae1
for n in 0 1; do
    ip -n sae$n addr add 10.77.0.$((n + 1))/24 dev veth$n
    # Packets as long as those of the loopback device: no network card splits them.
    ip -n sae$n link set veth$n up mtu 65000
    ip -n sae$n link set lo up
done
# What mpirun uses instead of ssh to start processes on the other machine.
cat >"$folder/agent" <<'AGENT'
#!/bin/sh
shift
exec ip netns exec sae1 unshare --uts sh -c "hostname sae1; $*"
AGENT
chmod +x "$folder/agent"

# One training. Prints milliseconds per step, the share of communication in percent, and the bytes that a rank sent, if
# known. usage: train WAY STEPS OPTIONS OF SAE
train() {
    local way=$1 before=0 after=0 device=
    set -- "${@:3}" --steps "$2"
    local here=() mpirun=() options=()
    # With two ranks, Open MPI lets one rank compute the sums and send them back; in a ring each computes half.
    [[ $way != *ring ]] || options=(--mca coll_libnbc_iallreduce_algorithm 1)
    case $way in
        thread) set -- "$@" --threads 1 ;;
        threads) set -- "$@" --threads 2 ;;
        *) mpirun=(mpirun -n 2 --bind-to core) && set -- "$@" --threads 1 ;;
    esac
    case $way in
        loopback*) options+=(--mca btl tcp,self --mca btl_tcp_if_include lo) && device=lo ;;
        link*)
            local rate=${way#link}
            here=(ip netns exec sae0)
            device=veth0
            for n in 0 1; do
                tc -n sae$n qdisc del dev veth$n root 2>/dev/null || true
                tc -n sae$n qdisc add dev veth$n root tbf rate "${rate%-ring}" burst 256kb latency 100ms
            done
            mpirun=("${here[@]}" unshare --uts sh -c 'hostname sae0; exec "$@"' sh mpirun -n 2 --bind-to none)
            options+=(--host 10.77.0.1,10.77.0.2 --mca plm_rsh_agent "$folder/agent" --mca btl tcp,self
                --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24)
            ;;
    esac
    [ -z "$device" ] || before=$("${here[@]}" cat /sys/class/net/$device/statistics/tx_bytes)
    "${mpirun[@]}" "${options[@]}" "$sae" train --samples "$images" --preset article --holdout 250 "$@" --json --quiet --overwrite --out "$folder/model.safetensors" \
        >"$folder/answer" 2>"$folder/errors" || { cat "$folder/errors" && exit 1; }
    [ -z "$device" ] || after=$("${here[@]}" cat /sys/class/net/$device/statistics/tx_bytes)
    python3 -c "
import json, sys
answer = json.load(open(sys.argv[1]))
# Both ranks send through the loopback device.
sent = int(sys.argv[2]) / (2 if '$device' == 'lo' else 1)
steps, seconds = max(answer['steps'], 1), answer['seconds']
print(1e3 * seconds / steps, 100 * answer['communication_seconds'] / seconds, sent)
" "$folder/answer" $((after - before))
}

printf '%-28s %-12s %12s %16s %16s\n' network way 'ms per step' 'communication' 'MB sent per step'
compare() { # NAME STEPS OPTIONS OF SAE
    local name=$1 steps=$2 way
    shift 2
    : >"$folder/lines"
    for way in $ways; do
        # The bytes that ranks send before the first step.
        echo "$way 0 $(train "$way" 0 "$@")" >>"$folder/lines"
    done
    for _ in $(seq "$runs"); do
        for way in $ways; do
            echo "$way $steps $(train "$way" "$steps" "$@")" >>"$folder/lines"
        done
    done
    python3 -c "
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
first = {row[0]: float(row[4]) for row in rows if row[1] == '0'}
rows = [row for row in rows if row[1] != '0']
for way in first:
    time, share, sent = (
        statistics.median(float(row[at]) for row in rows if row[0] == way) for at in (2, 3, 4))
    sent = (sent - first[way]) / int(rows[0][1]) / 1e6
    print(f'{sys.argv[2]:28} {way:12} {time:12.3f} {share:14.0f} % {sent:16.2f}', flush=True)
" "$folder/lines" "$name"
}

ways=${WAYS:-thread threads memory loopback link10gbit link10gbit-ring link1gbit link1gbit-ring}
for batch in 60 600 6000; do
    compare "784-300-30-300-784, $batch" $((30000 / batch + 20)) --batch $batch
done
for batch in 256 1024; do
    compare "784-65536-784, $batch" $((2048 / batch + 4)) --layers 784,65536,784 --batch $batch
done
