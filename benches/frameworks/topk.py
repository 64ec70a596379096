"""Times one training step of a top-k sparse autoencoder in PyTorch or SAELens on the CPU; `topk.sh` runs them all.

    topk.py SYSTEM FILE.npy BATCH UNITS K STEPS THREADS
    topk.py make FILE.npy [SAMPLES]

SYSTEM: torch-sparse (sparse forward and backward by hand), torch-embedding-bag (sparse decoder, autograd), torch-dense
(scatter and a dense decoder) or saelens (TopKTrainingSAE). `make` writes samples of 768 features, each a sum of 24 of
4096 random directions and noise. Prints `ms/step=` and `samples/s=` of the median step; fetching a batch is not timed.
"""

import inspect
import sys
import time
import warnings

import numpy as np


def make(path, samples=16384, features=768, directions=4096):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((directions, features)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    x = 0.05 * rng.standard_normal((samples, features)).astype(np.float32)
    for _ in range(24):
        size = np.abs(rng.standard_normal(samples)).astype(np.float32) + 0.5
        x += size[:, None] * rows[(directions * rng.random(samples) ** 2).astype(int)]
    np.save(path, x)


def torch_step(torch, system, features, units, k):
    """A function that trains on a batch and returns its loss."""
    from torch.nn.functional import embedding_bag, linear

    encoder = torch.randn(units, features) / features**0.5
    decoder = encoder / encoder.norm(dim=1, keepdim=True)
    parameters = [encoder, torch.zeros(units), decoder, torch.zeros(features)]
    by_hand = system == "torch-sparse"
    for parameter in parameters:
        parameter.requires_grad_(not by_hand)
        parameter.grad = torch.zeros_like(parameter)
    encoder, encoder_bias, decoder, decoder_bias = parameters
    adam = torch.optim.Adam(parameters, 1e-3, fused=True)

    def autograd(x):
        activations = torch.relu(linear(x, encoder, encoder_bias))
        values, places = activations.topk(k, dim=-1, sorted=False)
        if system == "torch-dense":
            output = torch.zeros_like(activations).scatter(-1, places, values) @ decoder
        else:
            output = embedding_bag(places, decoder, per_sample_weights=values, mode="sum")
        loss = ((output + decoder_bias - x) ** 2).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        return loss

    def hand(x):
        values, places = torch.addmm(encoder_bias, x, encoder.T).relu_().topk(k, dim=-1, sorted=False)
        error = embedding_bag(places, decoder, per_sample_weights=values, mode="sum") + decoder_bias - x
        delta = (2.0 / x.numel()) * error
        of_values = torch.bmm(decoder[places], delta.unsqueeze(-1)).squeeze(-1) * (values > 0)
        at = torch.stack([places.reshape(-1), torch.arange(len(x)).repeat_interleave(k)])

        def by_unit(numbers):
            shape = (units, len(x))
            return torch.sparse_coo_tensor(at, numbers.reshape(-1), shape, check_invariants=False).coalesce()

        decoder.grad = torch.sparse.mm(by_unit(values), delta)
        encoder.grad = torch.sparse.mm(by_unit(of_values), x)
        encoder_bias.grad = torch.zeros(units).scatter_add_(0, places.reshape(-1), of_values.reshape(-1))
        decoder_bias.grad = delta.sum(0)
        return (error * error).mean()

    def step(x):
        if by_hand:
            with torch.no_grad():
                loss = hand(x)
        else:
            loss = autograd(x)
        adam.step()
        return loss.item()

    return step


def saelens_step(torch, features, units, k):
    warnings.filterwarnings("ignore")
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.saes.sae import TrainStepInput

    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=features, d_sae=units, k=k, dtype="float32", device="cpu"))
    adam = torch.optim.Adam(sae.parameters(), 1e-3)
    extra = {
        "coefficients": {},
        "dead_neuron_mask": torch.zeros(units, dtype=torch.bool),
        "n_training_steps": 1,
        "is_logging_step": False,
    }
    known = inspect.signature(TrainStepInput).parameters
    extra = {name: value for name, value in extra.items() if name in known}

    def step(x):
        output = sae.training_forward_pass(TrainStepInput(sae_in=x, **extra))
        adam.zero_grad()
        output.loss.backward()
        adam.step()
        return output.loss.item()

    return step


def main():
    if sys.argv[1] == "make":
        return make(sys.argv[2], *map(int, sys.argv[3:]))
    import torch

    system, path = sys.argv[1:3]
    batch, units, k, steps, threads = map(int, sys.argv[3:8])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    samples = torch.from_numpy(np.load(path).astype(np.float32))
    features = samples.shape[1]
    if system == "saelens":
        import sae_lens

        name, step = f"SAELens {sae_lens.__version__}", saelens_step(torch, features, units, k)
    else:
        name, step = f"PyTorch {torch.__version__}", torch_step(torch, system, features, units, k)
    times = []
    for _ in range(steps + 2):
        x = samples[torch.randint(0, len(samples), (batch,))]
        start = time.perf_counter()
        loss = step(x)
        times.append(time.perf_counter() - start)
    median = sorted(times[2:])[steps // 2]
    print(f"{name} threads={threads} ms/step={1000 * median:.1f} samples/s={batch / median:.0f} loss={loss:.5f}")


main()
