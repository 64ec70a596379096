#!/usr/bin/env python3
"""`SparseAutoencoder.fit(X)` against `MLPRegressor.fit(X, X)`: the same network and the same number of steps.

    against_mlp.py [FOLDER] [--epochs N] [--rounds N] [--threads N]

Both train 784-300-30-300-784, sigmoids, Adam at 0.01, batch 60, without a sparsity penalty (`MLPRegressor` has none),
in float32, in alternating rounds, and the medians are printed. FOLDER contains MNIST's train-images-idx3-ubyte,
gzip-compressed or not; without FOLDER, digits are generated. The output layer of `MLPRegressor` is linear; that of `sae`
is a sigmoid, which is more work.
"""

import argparse
import gzip
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from sae import SparseAutoencoder, draw_digits

BATCH = 60
HIDDEN = (300, 30, 300)


def images(folder):
    """Bytes `[samples, 784]`."""
    if folder is None:
        return draw_digits(60_000)[0].reshape(-1, 784)
    for name, opened in [("train-images-idx3-ubyte", open), ("train-images-idx3-ubyte.gz", gzip.open)]:
        if (folder / name).exists():
            with opened(folder / name, "rb") as file:
                return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    raise SystemExit(f"{folder}: expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--epochs", type=int, default=1, help="passes over the data in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--threads", type=int, help="of sae (those of NumPy: OPENBLAS_NUM_THREADS)")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    X = images(args.folder)[: args.samples // BATCH * BATCH]
    floats = (X / np.float32(255)).astype(np.float32)
    steps = args.epochs * len(X) // BATCH
    ours = SparseAutoencoder(
        HIDDEN, beta=0.0, lambda_=0.0, batch=BATCH, steps=steps, random_state=1, threads=args.threads
    )
    theirs = MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        activation="logistic",
        solver="adam",
        alpha=0.0,
        batch_size=BATCH,
        learning_rate_init=0.01,
        max_iter=args.epochs,
        n_iter_no_change=args.epochs + 1,
        random_state=1,
    )
    print(f"{len(X)} samples, {steps} steps, batch {BATCH}; milliseconds a step")
    times = {"sae": [], "MLPRegressor": []}
    for turn in range(args.rounds):
        for name, fit in [("sae", lambda: ours.fit(X)), ("MLPRegressor", lambda: theirs.fit(floats, floats))]:
            start = time.perf_counter()
            fit()
            times[name].append((time.perf_counter() - start) / steps * 1000)
        print(f"round {turn + 1}: " + ", ".join(f"{name} {all[-1]:.3f}" for name, all in times.items()), flush=True)
    # `t_` counts samples.
    assert ours.n_iter_ == steps and theirs.t_ == steps * BATCH
    sae, mlp = median(times["sae"]), median(times["MLPRegressor"])
    print(f"medians: sae {sae:.3f}, MLPRegressor {mlp:.3f}: {mlp / sae:.1f} times as long")
    errors = [float(np.mean((net - floats) ** 2)) for net in (ours.reconstruct(X), theirs.predict(floats))]
    print(f"squared error: sae {errors[0]:.5f}, MLPRegressor {errors[1]:.5f}")


if __name__ == "__main__":
    main()
