#!/usr/bin/env python3
"""The model of docs/scaling.md: how long a step of many nodes takes, from figures measured on two ranks.

usage: scripts/scaling_model.py [--sample-us SEED WIDE] [--update-ms SEED WIDE]

A step of p nodes, n samples each, takes

    n t + u + message + max(last piece, C - overlap n t)

t: time of a sample forward and backward; u: the update of all weights, which every node does; C: the sum of a gradient
of B bytes over p nodes, 2 (p - 1) / p B / W at a bandwidth W (a ring's, the least there is: Patarasuk and Yuan 2009),
and 2 log2(p) latencies (Rabenseifner 2004); message: the sums of activations, alike; overlap: the share of a sample's
arithmetic that comes after the first piece of the gradient is on its way; last piece: what is sent after all
arithmetic. Efficiency is the time of one node that trains on its n samples alone, by that of the step.
"""

import argparse
import math

LATENCY = {10: 30e-6, 100: 10e-6}  # seconds from one node to another, assumed: TCP, and RDMA with room
SHARE = 0.9  # of a link's rate that is left for numbers, assumed; between two namespaces it was 0.96
PIECE = 2 << 20
LEAST_ROWS = 64


class Net:
    def __init__(self, name, sizes, sample, update):
        self.name, self.sizes, self.sample, self.update = name, sizes, sample, update
        pairs = list(zip(sizes, sizes[1:]))
        self.bytes = 4 * sum(i * o + o for i, o in pairs)
        self.message = 8 * sum(sizes[1:-1])
        # Multiply-adds of a sample, in their order: forward, then layer by layer delta and gradient.
        weights = [i * o for i, o in pairs]
        forward = sum(weights)
        backward = sum(2 * w for w in weights[1:]) + weights[0]

        def piece(layer):
            i, o = pairs[layer]
            return min(i, max(PIECE // 4 // o, LEAST_ROWS) // LEAST_ROWS * LEAST_ROWS) / i

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
        exposed = max(self.last * whole, whole - self.overlap * compute)
        return alone + total(self.message) + exposed, alone

    def efficiency(self, nodes, samples, gbit):
        together, alone = self.step(nodes, samples, gbit)
        return alone / together

    def least_batch(self, nodes, gbit, wanted=0.8):
        samples = 1
        while self.efficiency(nodes, samples, gbit) < wanted:
            samples *= 1.01
        return nodes * samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample-us", type=float, nargs=2, default=DEFAULTS["sample"])
    parser.add_argument("--update-ms", type=float, nargs=2, default=DEFAULTS["update"])
    arguments = parser.parse_args()
    sizes = [784, 300, 30, 300, 784], [784, 65536, 784]
    nets = [
        Net("-".join(map(str, size)), size, sample * 1e-6, update * 1e-3)
        for size, sample, update in zip(sizes, arguments.sample_us, arguments.update_ms)
    ]
    for net in nets:
        print(f"{net.name}: {net.bytes / 1e6:.2f} MB of gradient, overlap {net.overlap:.2f}, last piece {net.last:.3f}")
    print("\n| network | nodes | Gbit/s | 80 % efficient from a batch of | a step then, ms | efficiency at 1000 a node |")
    print("| --- | --- | --- | --- | --- | --- |")
    for net in nets:
        for nodes in (8, 64, 512):
            for gbit in (10, 100):
                batch = net.least_batch(nodes, gbit)
                step = 1e3 * net.step(nodes, batch / nodes, gbit)[0]
                share = 100 * net.efficiency(nodes, 1000, gbit)
                print(f"| {net.name} | {nodes} | {gbit} | {batch:,.0f} | {step:.1f} | {share:.0f} % |")


# Measured on two cores (scripts/scaling.sh); see docs/scaling.md.
DEFAULTS = {"sample": [6.3, 1000.0], "update": [0.25, 150.0]}

if __name__ == "__main__":
    main()
