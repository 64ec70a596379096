#!/usr/bin/env python3
"""The model of docs/scaling.md: how long a step of many nodes takes, from figures measured on two ranks.

A step of p nodes, n samples each, takes

    n t + u + message + work + max(last piece, C - overlap n t - work)

t: time of a sample's forward and backward pass; u: update of all weights, which every node does; C: all-reduce of a
gradient of B bytes over p nodes, 2 (p - 1) / p B / W at a bandwidth W (that of a ring, which is optimal: Patarasuk and
Yuan 2009), and 2 log2(p) latencies (Rabenseifner 2004); message: all-reduce of the sums of activations, computed
likewise; overlap: share of a sample's arithmetic that comes after the first piece of the gradient was sent; last piece:
what is sent after all arithmetic; work: time that the computing thread spends on sending, receiving and adding B bytes,
at half a nanosecond per byte. Efficiency is the time of one node that trains on its n samples alone, divided by the time
of the step.
"""

import argparse
import math

# Assumed: latency in seconds, by the rate of the link in Gbit/s; share of the rate that is left for numbers.
LATENCY = {1: 30e-6, 10: 30e-6, 100: 10e-6}
SHARE = 0.95
# Fitted: 413 MB through the loopback device took 238 ms of a rank's one core; through a namespace as much.
WORK = 0.5e-9  # seconds per byte sent
PIECE = 2 << 20
MIN_ROWS = 64


class Net:
    def __init__(self, name, sizes, sample, update):
        self.name, self.sizes, self.sample, self.update = name, sizes, sample, update
        pairs = list(zip(sizes, sizes[1:]))
        self.bytes = 4 * sum(i * o + o for i, o in pairs)
        self.message = 8 * sum(sizes[1:-1])
        # Multiply-adds of a sample, in order: forward, then delta and gradient layer by layer.
        weights = [i * o for i, o in pairs]
        forward = sum(weights)
        backward = sum(2 * w for w in weights[1:]) + weights[0]

        def piece(layer):
            i, o = pairs[layer]
            return min(i, max(PIECE // 4 // o, MIN_ROWS) // MIN_ROWS * MIN_ROWS) / i

        first = 2 * weights[-1] * piece(-1)
        self.overlap = (backward - first) / (forward + backward)
        # The whole first layer, or its last piece.
        self.last = 4 * weights[0] * piece(0) / self.bytes

    def step(self, nodes, samples, gbit):
        compute, update = samples * self.sample, self.update
        alone = compute + update
        if nodes == 1:
            return alone, alone

        def total(size):
            sent = 2 * (nodes - 1) / nodes * size
            return sent / (SHARE * gbit * 1e9 / 8) + 2 * math.log2(nodes) * LATENCY[gbit]

        whole = total(self.bytes)
        work = WORK * 2 * (nodes - 1) / nodes * self.bytes
        exposed = max(self.last * whole, whole - self.overlap * compute - work)
        return alone + total(self.message) + work + exposed, alone

    def efficiency(self, nodes, samples, gbit):
        together, alone = self.step(nodes, samples, gbit)
        return alone / together

    def min_batch(self, nodes, gbit, wanted=0.8):
        samples = 1
        while self.efficiency(nodes, samples, gbit) < wanted:
            samples *= 1.01
        return nodes * samples


SIZES = {"article": [784, 300, 30, 300, 784], "wide": [784, 65536, 784]}
# Microseconds per sample and milliseconds per update, fitted to `scripts/scaling.sh`: of a node with both of its cores
# (`threads`), and of one core, as a rank there has it (`memory`, without the time in communication).
NODE = {"article": (6.3, 0.25), "wide": (1222, 200)}
CORE = {"article": (11.1, 0.4), "wide": (2300, 204)}


def nets(measured):
    return [Net("-".join(map(str, SIZES[net])), SIZES[net], t * 1e-6, u * 1e-3) for net, (t, u) in measured.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    print("Two ranks of one core each, milliseconds per step:\n")
    print("| network | batch | 10 Gbit/s | 1 Gbit/s |\n| --- | --- | --- | --- |")
    for net, batches in zip(nets(CORE), ((60, 600, 6000), (256, 1024))):
        for batch in batches:
            slow, fast = (1e3 * net.step(2, batch / 2, gbit)[0] for gbit in (1, 10))
            print(f"| {net.name} | {batch} | {fast:.1f} | {slow:.1f} |")
    print("\nMany nodes:\n")
    print("| network | nodes | Gbit/s | 80 % efficient from a batch of | per node | step, ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for net in nets(NODE):
        for nodes in (8, 64, 512):
            for gbit in (10, 100):
                batch = net.min_batch(nodes, gbit)
                step = 1e3 * net.step(nodes, batch / nodes, gbit)[0]
                print(f"| {net.name} | {nodes} | {gbit} | {batch:,.0f} | {batch / nodes:,.0f} | {step:,.1f} |")


if __name__ == "__main__":
    main()
