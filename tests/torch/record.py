"""Records training steps of PyTorch for the tests that compare `sae` with it.

Writes `step.json` beside this script. Run it only to record anew; the tests read the file and need no Python:

    python3 -m venv /tmp/torch-venv
    /tmp/torch-venv/bin/pip install numpy torch
    /tmp/torch-venv/bin/python tests/torch/record.py

The net is 7-5-3-5-7, every layer a_l = sigmoid(a_{l-1} W_l + b_l), the batch has 6 samples. The objective is
E = MSE + beta S + lambda R: S sums KL(rho || rho_hat) over the units of the first two layers (5 and 3), R is half
the sum of the squared weights, without biases. Adam, bias-corrected, takes 5 steps on the same batch.

The file: {"torch": version, "cases": [case, ...]}, one case for each preset, "sparse" and "normal". A case holds
    name, settings   settings: sizes, samples, rho, beta, lambda, learning_rate, beta1, beta2, epsilon,
                     sparse_layers (how many layers from the first count in S)
    weights, biases  the start: one flat list for each layer; weights row-major [inputs, outputs]
    batch            flat, row-major [samples, features]
    float64          what PyTorch computes in float64 from those numbers: the truth
    float32          the same in float32, PyTorch's own rounding: shows what closeness to ask for
The start and the batch are float32 values in digits that read back exactly into float32 as well as float64. Both
float64 and float32 hold
    objective        at the start: total, mse, sparsity (S), decay (R); S and R without beta and lambda
    mean_activations rho_hat of each sparse layer
    reconstruction   flat, row-major [samples, features]
    gradients        of the total: weights and biases, as above
    after_1, after_5 after so many Adam steps: weights and biases, as above, and objective
"""

import json
import pathlib
import re

import numpy as np
import torch

SIZES = [7, 5, 3, 5, 7]
SAMPLES = 6
SPARSE_LAYERS = 2
ADAM = {"learning_rate": 1e-2, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
CASES = {
    "sparse": {"rho": 0.1, "beta": 0.03, "lambda": 0.005},
    "normal": {"rho": 0.1, "beta": 0.0, "lambda": 0.0},
}
RECORD_AFTER = (1, 5)


def start(seed):
    """Weights, biases and a batch, as float32 arrays. Some pixels are exactly 0 and 1, one column is all 0."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0.0, 0.5, (i, o)).astype(np.float32) for i, o in zip(SIZES, SIZES[1:])]
    biases = [rng.normal(0.1, 0.2, o).astype(np.float32) for o in SIZES[1:]]
    # Pixels are u8 / 255, divided in float32 as the trainer does.
    pixels = rng.integers(0, 256, (SAMPLES, SIZES[0]))
    pixels[rng.random(pixels.shape) < 0.25] = 0
    pixels[:, 2] = 0
    pixels[0, 0] = 255
    batch = pixels.astype(np.float32) / np.float32(255)
    return weights, biases, batch


def forward(weights, biases, x):
    """The activations of every layer, first to last."""
    activations = []
    for w, b in zip(weights, biases):
        x = torch.sigmoid(x @ w + b)
        activations.append(x)
    return activations


def objective(weights, activations, x, settings):
    """The terms of the objective, unweighted, and their weighted total."""
    rho = settings["rho"]
    mse = (activations[-1] - x).square().mean()
    decay = 0.5 * sum(w.square().sum() for w in weights)
    sparsity = torch.zeros((), dtype=x.dtype)
    for a in activations[:SPARSE_LAYERS]:
        rho_hat = a.mean(0)
        kl = rho * torch.log(rho / rho_hat) + (1 - rho) * torch.log((1 - rho) / (1 - rho_hat))
        sparsity = sparsity + kl.sum()
    total = mse + settings["beta"] * sparsity + settings["lambda"] * decay
    return {"total": total, "mse": mse, "sparsity": sparsity, "decay": decay}


def numbers(tensor):
    """Flat and row-major, in digits that read back exactly, into float64 as well as (for float32) into float32."""
    return tensor.detach().to(torch.float64).reshape(-1).tolist()


def parameters(weights, biases):
    return {"weights": [numbers(w) for w in weights], "biases": [numbers(b) for b in biases]}


def train(weights, biases, batch, settings, dtype):
    weights = [torch.from_numpy(w).to(dtype).requires_grad_() for w in weights]
    biases = [torch.from_numpy(b).to(dtype).requires_grad_() for b in biases]
    x = torch.from_numpy(batch).to(dtype)
    optimizer = torch.optim.Adam(
        weights + biases,
        lr=settings["learning_rate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
        foreach=False,
    )

    def evaluate():
        activations = forward(weights, biases, x)
        return activations, objective(weights, activations, x, settings)

    def scalars(terms):
        return {name: numbers(value)[0] for name, value in terms.items()}

    record = {}
    for step in range(1, max(RECORD_AFTER) + 1):
        optimizer.zero_grad()
        activations, terms = evaluate()
        terms["total"].backward()
        if step == 1:
            record["objective"] = scalars(terms)
            record["mean_activations"] = [numbers(a.mean(0)) for a in activations[:SPARSE_LAYERS]]
            record["reconstruction"] = numbers(activations[-1])
            record["gradients"] = parameters([w.grad for w in weights], [b.grad for b in biases])
        optimizer.step()
        if step in RECORD_AFTER:
            with torch.no_grad():
                after = scalars(evaluate()[1])
            record[f"after_{step}"] = {**parameters(weights, biases), "objective": after}
    return record


def case(name, preset, seed):
    weights, biases, batch = start(seed)
    settings = {"sizes": SIZES, "samples": SAMPLES, "sparse_layers": SPARSE_LAYERS, **preset, **ADAM}
    return {
        "name": name,
        "settings": settings,
        "weights": [numbers(torch.from_numpy(w)) for w in weights],
        "biases": [numbers(torch.from_numpy(b)) for b in biases],
        "batch": numbers(torch.from_numpy(batch)),
        "float64": train(weights, biases, batch, settings, torch.float64),
        "float32": train(weights, biases, batch, settings, torch.float32),
    }


def main():
    torch.set_num_threads(1)
    out = pathlib.Path(__file__).resolve().parent / "step.json"
    cases = [case(name, preset, seed) for seed, (name, preset) in enumerate(CASES.items())]
    text = json.dumps({"torch": torch.__version__.split("+")[0], "cases": cases}, indent=1, allow_nan=False)
    # One list of numbers to a line.
    text = re.sub(r"\[\s+([-+0-9.e,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    out.write_text(text + "\n")


if __name__ == "__main__":
    main()
