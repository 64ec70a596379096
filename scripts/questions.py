#!/usr/bin/env python3
"""Trains, and prints a table of docs/questions.md as Markdown.

    questions.py QUESTION [--data DIR] [--sae COMMAND] [--steps N] [--jobs N]

QUESTION is one of penalties, activations, weights, stacking. DIR has MNIST's files (default: drawn digits).
Each figure is the median of the seeds 1, 2 and 3, on the test samples. Needs Python 3 and no packages.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

SEEDS = [1, 2, 3]
RELU = "--activation relu --initialization he --learning-rate 0.001"
SHALLOW = "--preset plain --layers 784,300,784"

QUESTIONS = {
    "penalties": (
        10_000,
        ["KL, sigmoid", f"{SHALLOW} --rho 0.02 --beta 0.001 --target l0:20"],
        ["L1, ReLU", f"{SHALLOW} {RELU} --l1 0.0001 --target l0:20"],
        ["L1, ReLU, unit norm", f"{SHALLOW} {RELU} --l1 0.0001 --target l0:20 --unit-norm --revive 1000"],
        ["JumpReLU", f"{SHALLOW} {RELU} --code jump-relu:0.0001:0.5 --target l0:20"],
        ["top-k", f"{SHALLOW} {RELU} --code top-k:20"],
        ["top-k, dead units revived", f"{SHALLOW} {RELU} --code top-k:20 --revive 1000"],
        ["batch-top-k, revived", f"{SHALLOW} {RELU} --code batch-top-k:20 --revive 1000"],
    ),
    "activations": (
        20_000,
        ["sigmoid, rate 0.01 (the article's)", "--preset plain"],
        ["sigmoid, rate 0.001, Xavier", "--preset plain --learning-rate 0.001 --initialization xavier"],
        ["tanh, rate 0.001, Xavier", "--preset plain --activation tanh --learning-rate 0.001 --initialization xavier"],
        ["ReLU, rate 0.001, He", f"--preset plain {RELU}"],
        ["leaky ReLU, rate 0.001, He", "--preset plain --activation leaky-relu --learning-rate 0.001 --initialization he"],
        ["ReLU, cross-entropy", f"--preset plain {RELU} --loss cross-entropy"],
    ),
    "weights": (
        20_000,
        ["by hand, beta 7.5e-5 (the article's)", ""],
        ["by hand, beta 7.5e-7", "--beta 7.5e-7"],
        ["by hand, beta 7.5e-3", "--beta 7.5e-3"],
        ["steered to 0.05, from 7.5e-5", "--target mean-activation:0.05"],
        ["steered to 0.05, from 7.5e-7", "--target mean-activation:0.05 --beta 7.5e-7"],
        ["steered to 0.05, from 7.5e-3", "--target mean-activation:0.05 --beta 7.5e-3"],
    ),
    "stacking": (
        20_000,
        ["at once, sigmoid", "--preset plain"],
        ["layer by layer, 5000 steps each, then 10 000", "--preset plain --pretrain 5000 --steps 10000"],
        ["at once, ReLU", f"--preset plain {RELU}"],
        ["layer by layer, ReLU", f"--preset plain {RELU} --pretrain 5000 --steps 10000"],
    ),
}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("question", choices=QUESTIONS)
    options.add_argument("--data")
    options.add_argument("--sae", default="target/release/sae")
    options.add_argument("--steps", type=int, help="steps, instead of those of the question")
    options.add_argument("--jobs", type=int, default=2)
    options = options.parse_args()
    steps, *rows = QUESTIONS[options.question]
    data = ["--data", options.data] if options.data else []

    def one(job):
        row, seed = job
        with tempfile.TemporaryDirectory() as folder:
            model = str(Path(folder) / "m.safetensors")
            train = [options.sae, "train", *data, "--steps", str(options.steps or steps), *rows[row][1].split()]
            train = last_steps(train) + ["--seed", str(seed), "--threads", "1", "--quiet", "--json", "--overwrite", "--out", model]
            done = json.loads(run(train))
            seen = json.loads(run([options.sae, "eval", model, *data, "--probe", "--json", "--threads", "1"]))
            print(f"{rows[row][0]}, seed {seed}: {seen['squared_error']:.5f}", file=sys.stderr)
            return row, {**seen, "seconds": done["seconds"]}

    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(one, [(row, seed) for row in range(len(rows)) for seed in SEEDS]))

    print("| what | squared error | explained variance | mean activation | L0 | dead units | linear probe | nearest | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row, (name, _) in enumerate(rows):
        its = [outcome for at, outcome in outcomes if at == row]

        def middle(of):
            return median(of(outcome) for outcome in its)

        first = lambda key: middle(lambda outcome: outcome["hidden_layers"][0][key])
        probe = lambda key: 100 * middle(lambda outcome: outcome["probe"][key])
        print(
            f"| {name} | {middle(lambda o: o['squared_error']):.5f} | {middle(lambda o: o['explained_variance']):.4f} "
            f"| {first('mean_activation'):.4f} | {first('l0'):.1f} | {first('dead_units'):.0f} "
            f"| {probe('linear'):.1f} % | {probe('nearest'):.1f} % | {middle(lambda o: o['seconds']):.0f} |"
        )


def last_steps(command):
    """The command without its first --steps, if there are two."""
    if command.count("--steps") == 2:
        at = command.index("--steps")
        command = command[:at] + command[at + 2 :]
    return command


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


main()
