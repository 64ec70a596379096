#!/usr/bin/env python3
"""Fails if benchmarks have become slower than at a git revision: scripts/slowdown.py REVISION [--only TEXT] [--rounds 7].

Builds the benchmarks of the revision (in a work tree that is removed) and of this tree, and runs them by turns. The
time of a benchmark is Criterion's median in each run. One is slower if the median of the ratios of neighboring runs is above
--limit percent (3), and is above it again in as many rounds more, for noise. Benchmarks that only one of the two has are
named. By hand and before a release, on a machine that does nothing else.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# The benchmark programs, and which of their benchmarks are compared: those of this library.
PROGRAMS = {
    "gemm": "^gemm/sae/",
    "elementwise": "",
    "training_step": "",
    "sparse_step": "",
    "encode": "",
}
# Seconds of a benchmark in a round.
TIMES = ["--warm-up-time", "0.2", "--measurement-time", "0.8", "--sample-size", "10", "--noplot"]
UNITS = {"ps": 1e-12, "ns": 1e-9, "µs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def built(tree, target):
    """Paths of the benchmark programs of a tree, by name."""
    command = ["cargo", "bench", "--quiet", "-p", "sae-benches", "--no-run", "--message-format=json"]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            found[message["target"]["name"]] = message["executable"]
    return found


def times(program, pattern, folder):
    """The median time of each benchmark of a program, in seconds."""
    command = [program, "--bench", *TIMES, pattern]
    environment = {**os.environ, "CRITERION_HOME": folder}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode != 0:
        sys.exit(f"{program}: a benchmark failed; run it by hand")
    found, name = {}, None
    for line in done.stdout.splitlines():
        before, is_timed, after = line.partition("time:")
        name = before.strip() or name
        # Criterion also prints changes in percent.
        numbers = re.findall(r"([\d.]+) (ps|ns|µs|us|ms|s)\b", after) if is_timed else []
        if len(numbers) == 3:
            found[name] = float(numbers[1][0]) * UNITS[numbers[1][1]]
        if not is_timed:
            name = before.strip()
    return found


def compared(programs, pattern, rounds, folder):
    """For each benchmark of both programs the ratios of the new time to the old one, a round each."""
    ratios, only = {}, set()
    for at in range(rounds):
        # Each side is first in every other round.
        sides = {side: times(programs[side], pattern, folder) for side in ([0, 1] if at % 2 else [1, 0])}
        only |= sides[0].keys() ^ sides[1].keys()
        for name in sides[0].keys() & sides[1].keys():
            ratios.setdefault(name, []).append(sides[1][name] / sides[0][name])
    return ratios, only


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="a git revision, such as v0.1.0 or HEAD~20")
    parser.add_argument("--only", default="", metavar="TEXT", help="benchmarks whose name has this text")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each side (default: 7)")
    parser.add_argument("--limit", type=float, default=3, help="percent (default: 3)")
    arguments = parser.parse_args()
    root, limit = Path(__file__).resolve().parent.parent, 1 + arguments.limit / 100
    slower = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, arguments.revision], cwd=root, check=True)
        try:
            old = built(tree, Path(folder, "target"))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=root, check=True)
        new = built(root, os.environ.get("CARGO_TARGET_DIR", root / "target"))
        for name, pattern in PROGRAMS.items():
            if name not in old or name not in new:
                print(f"{name}: not in both trees")
                continue
            both = [old[name], new[name]]
            pattern = re.escape(arguments.only) if arguments.only else pattern
            ratios, only = compared(both, pattern, arguments.rounds, folder)
            for one in sorted(only):
                print(f"{one:<60} not in both trees")
            for one, of_rounds in sorted(ratios.items()):
                ratio = statistics.median(of_rounds)
                if ratio > limit:
                    # Once more, by itself.
                    again, _ = compared(both, f"^{re.escape(one)}$", arguments.rounds, folder)
                    ratio = min(ratio, statistics.median(again.get(one, of_rounds)))
                is_slower = ratio > limit
                print(f"{one:<60} {ratio:6.3f}{'  slower' if is_slower else ''}", flush=True)
                slower += [one] * is_slower
    if slower:
        sys.exit(f"{len(slower)} benchmarks are more than {arguments.limit:g} % slower than at {arguments.revision}")


if __name__ == "__main__":
    main()
