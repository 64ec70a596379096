"""Explained variance of `sae` and of its peers after the same training on the same activations.

Trains dictionaries of 4 096 units with 32 active ones per sample on a folder of activations
(train-*.npy and test.npy, [samples, features]) for 3 000 steps of 1 024 samples: with SAELens' trainer
and its classes, with the published recipe in plain PyTorch (Gao et al. 2024 as the package
dictionary_learning has it), and with `sae`. Every dictionary is evaluated by the same function here.
A run's result is a line of JSON in --results, so that no run is repeated; the table comes at the end.

    pip install torch numpy safetensors sae-lens
    cargo build --release
    python benches/recipe.py --data FOLDER --results recipe.jsonl --sae target/release/sae

--only SYSTEM:CODE:SEED, which may be repeated, chooses runs; --table prints the table alone.
"""

import argparse
import glob
import json
import math
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

UNITS, K, BATCH, STEPS = 4096, 32, 1024, 3000
CODES = ("top-k", "batch-top-k", "jump-relu")
SYSTEMS = ("recipe", "recipe-tuned", "saelens", "saelens-tuned", "sae")

# The options of `sae train` for each code: its preset.
SAE_OPTIONS = {code: ["--preset", code] for code in CODES}

# The published recipe: the rate is dictionary_learning's 2e-4 / sqrt(units / 2^14), the rest Gao et al.
# 2024, appendices A and B. A unit is dead after ten epochs, since 10 million samples are more than the
# training has.
RECIPE = {
    "rate": 2e-4 / math.sqrt(UNITS / 2**14),
    "warm_up": 100,
    "decay_share": 0.2,
    "auxiliary_weight": 1 / 32,
    "dead_after": 600_000,
    "clip": 1.0,
    "threshold_decay": 0.999,
    "threshold_start": 1000,
    # JumpReLU, by the package's own trainer: the quadratic penalty, on samples of mean squared norm 1.
    "bandwidth": 0.001,
    "penalty": 1.0,
}

# SAELens: its classes' and SAETrainerConfig's defaults, but for what is here. (Its option for sparse
# tensors, use_sparse_activations, has no backward pass on the CPU with PyTorch 2.15.)
SAELENS = {
    "trainer": {},
    "top-k": {"k": K},
    "batch-top-k": {"k": K},
    # "quadratic" (Gemma Scope 2) is the one of its penalties that has a target.
    "jump-relu": {"jumprelu_sparsity_loss_mode": "quadratic", "target_l0": K, "l0_coefficient": 1.0},
}


# The same with a rate of 2e-3, and a decay, so that a peer is not behind for the rate alone: of the published
# recipe, top-k, it explains 0.884 where its own rate explains 0.866.
TUNED = {
    "recipe": {"rate": 2e-3},
    "saelens": {"lr": 2e-3, "lr_decay_steps": STEPS // 5},
}


class Data:
    """The activations, in f32: `train` and `test`, and batches in an order of the seed."""

    def __init__(self, folder):
        self.shards = sorted(glob.glob(os.path.join(folder, "train-*.npy")))
        if not self.shards:
            sys.exit(f"{folder}: no train-*.npy, which are the training data")
        load = lambda path: np.load(path).astype(np.float32)
        self.train = np.concatenate([load(path) for path in self.shards])
        self.test_file = os.path.join(folder, "test.npy")
        self.test = load(self.test_file)
        self.features = self.train.shape[1]

    def batches(self, seed):
        """Batches of tensors without end, each epoch in a new order."""
        import torch

        train, random = torch.from_numpy(self.train), np.random.default_rng(seed)
        while True:
            order = random.permutation(len(train))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                yield train[torch.from_numpy(order[start : start + BATCH])]


# Evaluation: the same for all. A dictionary is a dict of arrays: encoder [features, units],
# encoder_bias, decoder [units, features], decoder_bias, and a threshold (a number, or one a unit).


def activations(dictionary, x):
    return np.maximum(x @ dictionary["encoder"] + dictionary["encoder_bias"], 0)


def largest_only(h):
    """The K largest of each sample, the others 0."""
    at = np.argpartition(-h, K, axis=1)[:, :K]
    kept = np.zeros_like(h)
    np.put_along_axis(kept, at, np.take_along_axis(h, at, axis=1), axis=1)
    return kept


def explained(dictionary, code, x):
    """1 - sum (x - y)^2 / sum (x - mean of the feature)^2, over all samples and features."""
    y = code @ dictionary["decoder"] + dictionary["decoder_bias"]
    error = ((x - y).astype(np.float64) ** 2).sum()
    return 1 - error / ((x - x.mean(axis=0, dtype=np.float64)) ** 2).sum()


def at_equal_l0(dictionary, h, x):
    """The explained variance with all thresholds times the factor that gives an L0 of K."""
    threshold = np.broadcast_to(dictionary["threshold"], h.shape[1:])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(h > 0, h / threshold, 0).ravel()
    factor = np.partition(ratios, len(ratios) - K * len(h))[len(ratios) - K * len(h)]
    return explained(dictionary, np.where(h >= factor * threshold, h, 0) * (h > 0), x)


def evaluate(dictionary, code, test):
    h = activations(dictionary, test)
    kept = largest_only(h) if code == "top-k" else np.where(h > dictionary["threshold"], h, 0)
    own = explained(dictionary, kept, test)
    result = {
        "explained_variance": own,
        "l0": float((kept > 0).sum(axis=1).mean()),
        "dead_units": int((kept > 0).sum(axis=0).astype(bool).__invert__().sum()),
        "equal_l0": own if code == "top-k" else at_equal_l0(dictionary, h, test),
    }
    return result


# The published recipe in plain PyTorch.


class Recipe:
    """Top-k and batch-top-k as dictionary_learning trains them, with a sparse forward and backward
    pass by hand: the numbers of its dense one, at a fraction of the time."""

    def __init__(self, data, code, seed, settings):
        import torch

        self.torch, self.code, self.settings = torch, code, settings
        torch.manual_seed(seed)
        d = data.features
        decoder = torch.nn.Linear(UNITS, d, bias=False).weight.detach().T.contiguous()
        decoder /= decoder.norm(dim=1, keepdim=True)
        # [units, features] both; the bias b_dec is subtracted from the input, too.
        self.encoder, self.decoder = decoder.clone(), decoder
        self.encoder_bias, self.bias = torch.zeros(UNITS), torch.zeros(d)
        self.parameters = [self.encoder, self.encoder_bias, self.decoder, self.bias]
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        rate = settings["rate"]
        self.adam = torch.optim.Adam(self.parameters, rate, betas=(0.9, 0.999), fused=True)
        self.inactive = torch.zeros(UNITS, dtype=torch.long)
        self.threshold, self.last, self.dead = -1.0, 0.0, 0

    def train(self, batches):
        with self.torch.no_grad():
            for step in range(STEPS):
                x = next(batches)
                if step == 0:
                    self.bias += geometric_median(x)
                rate = self.settings["rate"] * schedule(self.settings, step)
                self.adam.param_groups[0]["lr"] = rate
                self.step(x, step)
                if step % 500 == 499:
                    print(f"  step {step + 1}: {self.dead} dead", file=sys.stderr, flush=True)

    def step(self, x, step):
        centered = x - self.bias
        pre = self.torch.addmm(self.encoder_bias, centered, self.encoder.T)
        samples, units, values = self.select(pre.relu_())
        offsets = self.starts(samples, len(x))
        y = self.weighted_sum(self.decoder, units, values, offsets) + self.bias
        residual = x - y
        g = (-2 / len(x)) * residual
        code_gradient = self.products(g, units, offsets) * (values > 0)
        order = units.argsort(stable=True)
        offsets, samples_of = self.starts(units[order], UNITS), samples[order]
        self.decoder.grad = self.weighted_sum(g, samples_of, values[order], offsets)
        self.encoder.grad = self.weighted_sum(centered, samples_of, code_gradient[order], offsets)
        self.encoder_bias.grad.zero_().index_add_(0, units, code_gradient)
        self.add_auxiliary(pre, residual, centered, units[values > 0])
        # Through the output and through the encoder's input.
        self.bias.grad = g.sum(dim=0) - self.encoder.T @ self.encoder_bias.grad
        self.update()
        if self.code != "top-k" and step > self.settings["threshold_start"]:
            smallest = values[values > 0].min().item()
            decay = self.settings["threshold_decay"] if self.threshold >= 0 else 0.0
            self.threshold = decay * self.threshold + (1 - decay) * smallest

    def select(self, h):
        """The active units, in the order of samples, then units: samples, units and values."""
        if self.code == "top-k":
            values, units = h.topk(K, dim=1, sorted=False)
            units, order = units.sort(dim=1)
            samples = self.torch.arange(len(h)).repeat_interleave(K)
            return samples, units.reshape(-1), values.gather(1, order).reshape(-1)
        flat = h.reshape(-1)
        # A bound that is certainly below the last one that is kept makes the selection cheap.
        at = (flat > 0.8 * self.last).nonzero().squeeze(1)
        if len(at) < K * len(h):
            at = (flat > 0).nonzero().squeeze(1)
        values, chosen = flat[at].topk(min(K * len(h), len(at)), sorted=False)
        self.last = values.min().item()
        at, order = at[chosen].sort()
        return at // UNITS, at % UNITS, values[order]

    def starts(self, sorted_indices, count):
        counts = self.torch.bincount(sorted_indices, minlength=count)
        return counts.cumsum(0) - counts

    def products(self, g, units, offsets):
        """The gradient of each sample with the decoder's row of each of its active units."""
        torch, count = self.torch, self.torch.tensor([len(units)])
        at = torch.cat([offsets, count])
        zeros = torch.zeros(len(units))
        shape = (len(g), UNITS)
        pattern = torch.sparse_csr_tensor(at, units, zeros, shape, check_invariants=False)
        return torch.sparse.sampled_addmm(pattern, g, self.decoder.T, beta=0.0).values()

    def weighted_sum(self, rows, indices, weights, offsets):
        bag = self.torch.nn.functional.embedding_bag
        return bag(indices, rows, offsets, per_sample_weights=weights, mode="sum")

    def add_auxiliary(self, h, residual, centered, active):
        """AuxK: the residual from the dead units of the largest activations, at most d/2 of them."""
        self.inactive += len(h)
        self.inactive[active] = 0
        dead = (self.inactive >= self.settings["dead_after"]).nonzero().squeeze(1)
        self.dead = len(dead)
        if self.dead == 0:
            return
        code, rows = h[:, dead], self.decoder[dead]
        count = min(residual.shape[1] // 2, self.dead)
        values, at = code.topk(count, dim=1, sorted=False)
        code = self.torch.zeros_like(code).scatter_(1, at, values)
        error = code @ rows - residual
        spread = (residual - residual.mean(dim=0)).square().sum(dim=1).mean()
        g = error * (2 * self.settings["auxiliary_weight"] / (len(h) * spread))
        code_gradient = (g @ rows.T) * (code > 0)
        self.decoder.grad[dead] += code.T @ g
        self.encoder.grad[dead] += code_gradient.T @ centered
        self.encoder_bias.grad[dead] += code_gradient.sum(dim=0)

    def update(self):
        gradient = self.decoder.grad
        gradient -= (gradient * self.decoder).sum(dim=1, keepdim=True) * self.decoder
        norm = self.torch.stack([p.grad.norm() for p in self.parameters]).norm()
        if norm > self.settings["clip"]:
            for parameter in self.parameters:
                parameter.grad *= self.settings["clip"] / (norm + 1e-6)
        self.adam.step()
        self.decoder /= self.decoder.norm(dim=1, keepdim=True)

    def dictionary(self):
        encoder = self.encoder.T
        return {
            "encoder": encoder.numpy(),
            "encoder_bias": (self.encoder_bias - self.bias @ encoder).numpy(),
            "decoder": self.decoder.numpy(),
            "decoder_bias": self.bias.numpy(),
            "threshold": self.threshold,
        }


def schedule(settings, step):
    """Linear warm-up, constant, linear decay over the last share."""
    decay = (STEPS - step) / (settings["decay_share"] * STEPS)
    return min(1.0, (step + 1) / settings["warm_up"], decay)


def geometric_median(x):
    guess = x.mean(dim=0)
    for _ in range(100):
        weights = 1 / (x - guess).norm(dim=1)
        before, guess = guess, (weights[:, None] * x).sum(dim=0) / weights.sum()
        if (guess - before).norm() < 1e-5:
            break
    return guess


def train_recipe(data, code, seed, settings):
    recipe = Recipe(data, code, seed, settings)
    recipe.train(data.batches(seed))
    return recipe.dictionary()


def train_package_jump_relu(data, _code, seed, settings):
    """dictionary_learning's own trainer of JumpReLUs, on samples of mean squared norm 1 as its
    users have them (normalize_activations)."""
    import torch
    from dictionary_learning.trainers.jumprelu import JumpReluTrainer

    torch.manual_seed(seed)
    scale = float(np.sqrt((data.train.astype(np.float64) ** 2).sum(axis=1).mean()))
    trainer = JumpReluTrainer(
        steps=STEPS, activation_dim=data.features, dict_size=UNITS, layer=0, lm_name="none",
        seed=seed, lr=settings["rate"], bandwidth=settings["bandwidth"], sparsity_penalty=settings["penalty"],
        warmup_steps=settings["warm_up"], sparsity_warmup_steps=STEPS // 3, target_l0=K,
        decay_start=STEPS - int(settings["decay_share"] * STEPS),
    )  # fmt: skip
    batches = data.batches(seed)
    for step in range(STEPS):
        loss = trainer.update(step, next(batches) / scale)
        if step % 250 == 249:
            print(f"  step {step + 1}: loss {loss:.5f}", file=sys.stderr, flush=True)
    ae = trainer.ae
    array = lambda tensor: tensor.detach().numpy().copy()
    return {
        "encoder": array(ae.W_enc) / scale,
        "encoder_bias": array(ae.b_enc),
        "decoder": array(ae.W_dec) * scale,
        "decoder_bias": array(ae.b_dec) * scale,
        "threshold": array(ae.threshold),
    }


# SAELens, with its own trainer.


def train_saelens(data, code, seed, rates):
    import torch
    import sae_lens
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(seed)
    name = {"top-k": "TopK", "batch-top-k": "BatchTopK", "jump-relu": "JumpReLU"}[code]
    make, config = (getattr(sae_lens, f"{name}TrainingSAE{part}") for part in ("", "Config"))
    sae = make(config(d_in=data.features, d_sae=UNITS, dtype="float32", device="cpu", **SAELENS[code]))
    trainer = SAETrainerConfig(
        total_training_samples=STEPS * BATCH,
        train_batch_size_samples=BATCH,
        logger=LoggingConfig(log_to_wandb=False),
        **rates,
    )
    # As the configuration of its runner does.
    trainer.lr_end = trainer.lr / 10
    SAETrainer(cfg=trainer, sae=sae, data_provider=data.batches(seed)).fit()
    state = dict(sae.state_dict())
    sae.process_state_dict_for_saving_inference(state)
    array = {key: value.detach().float().numpy() for key, value in state.items()}
    return {
        "encoder": array["W_enc"],
        "encoder_bias": array["b_enc"] - array["b_dec"] @ array["W_enc"],
        "decoder": array["W_dec"],
        "decoder_bias": array["b_dec"],
        "threshold": array.get("threshold", 0.0),
    }


# `sae`, the command.


def train_sae(data, code, seed, options):
    from safetensors import safe_open

    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model.safetensors")
        layers = f"{data.features},{UNITS},{data.features}"
        command = [options.sae, "train", "--samples", *data.shards, "--layers", layers, "--quiet"]
        command += ["--batch", str(BATCH), "--steps", str(STEPS), "--seed", str(seed), "--out", model]
        command += ["--threads", str(options.threads), "--test", data.test_file, *SAE_OPTIONS[code]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with safe_open(model, "np") as file:
            scaling = json.loads(file.metadata()["sae"])["scaling"]
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    threshold = 0.0
    if code == "batch-top-k":
        threshold = tensors["code.threshold"]
    elif code == "jump-relu":
        threshold = tensors["code.relative_threshold"] * tensors["code.scale"]
    # The scaling (x - subtract) / divide, folded into the weights.
    subtract, divide = 0.0, 1.0
    if "center" in scaling:
        subtract = tensors["scaling.mean"]
    elif "unit-rms" in scaling:
        divide = scaling["unit-rms"]["rms"]
    elif scaling != "as-is":
        sys.exit(f"the scaling {scaling} is not known here: as-is, center and unit-rms are")
    encoder = tensors["encoder.0.weight"].T / divide
    return {
        "encoder": encoder,
        "encoder_bias": tensors["encoder.0.bias"] - np.broadcast_to(subtract, data.features) @ encoder,
        "decoder": tensors["decoder.0.weight"].T * divide,
        "decoder_bias": tensors["decoder.0.bias"] * divide + subtract,
        "threshold": threshold,
    }


# The runs and the table.


def read(path):
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        lines = [json.loads(line) for line in file if line.strip()]
    return {(line["system"], line["code"], line["seed"]): line for line in lines}


def run(data, key, options):
    system, code, seed = key
    print(f"{system} {code} seed {seed}", file=sys.stderr, flush=True)
    start = time.perf_counter()
    peer, _, tuned = system.partition("-")
    if system == "sae":
        dictionary = train_sae(data, code, seed, options)
    elif peer == "recipe":
        settings = RECIPE | (TUNED["recipe"] if tuned else {})
        train = train_package_jump_relu if code == "jump-relu" else train_recipe
        dictionary = train(data, code, seed, settings)
    else:
        settings = SAELENS["trainer"] | (TUNED["saelens"] if tuned else {})
        dictionary = train_saelens(data, code, seed, settings)
    result = {"system": system, "code": code, "seed": seed, **evaluate(dictionary, code, data.test)}
    result["seconds"] = round(time.perf_counter() - start, 1)
    with open(options.results, "a") as file:
        file.write(json.dumps(result) + "\n")
    print(f"  {json.dumps(result)}", file=sys.stderr, flush=True)


def table(results):
    """Means and the numbers of each seed; the bar of a code is the best peer's mean."""
    print("code         system         at L0 32  own       L0     dead           each seed at L0 32")
    for code in CODES:
        bar = None
        for system in SYSTEMS:
            lines = [line for key, line in sorted(results.items()) if key[:2] == (system, code)]
            if not lines:
                continue
            mean = lambda key: sum(line[key] for line in lines) / len(lines)
            seeds = " ".join(f"{line['equal_l0']:.4f}" for line in lines)
            dead = ",".join(str(line["dead_units"]) for line in lines)
            own, l0 = mean("explained_variance"), mean("l0")
            value = mean("equal_l0")
            print(f"{code:12} {system:13}  {value:8.4f}  {own:8.4f}  {l0:5.1f}  {dead:13}  {seeds}")
            if system != "sae":
                bar = max(bar or value, value)
            elif bar is not None:
                say = "reaches" if value >= bar else "is below"
                print(f"{code:12} sae {say} the best peer: {value:.4f}, the bar is {bar:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="folder of train-*.npy and test.npy")
    parser.add_argument("--results", default="recipe.jsonl", help="file of the results, appended to")
    parser.add_argument("--sae", help="the command; without it only the peers run")
    parser.add_argument("--only", action="append", metavar="SYSTEM:CODE:SEED", help="runs, in order")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    keys = [(system, code, seed) for code in CODES for system in SYSTEMS for seed in (1, 2, 3)]
    if options.only:
        keys = [(s, c, int(seed)) for s, c, seed in (text.split(":") for text in options.only)]
    if not options.table:
        data = Data(options.data)
        if any(system != "sae" for system, _, _ in keys):
            import torch

            torch.set_num_threads(options.threads)
        for key in keys:
            if key not in read(options.results) and (key[0] != "sae" or options.sae):
                run(data, key, options)
    table(read(options.results))


if __name__ == "__main__":
    main()
