"""Times one training step of the sparse autoencoder in another framework; `run.sh` beside this file runs them all.

    frameworks.py FRAMEWORK THREADS STEPS DATA_DIR

FRAMEWORK: jax, torch-eager, torch-compile, tensorflow-graph or tensorflow-xla. DATA_DIR holds
`train-images-idx3-ubyte` and `t10k-images-idx3-ubyte`, decompressed. The caller pins the process to THREADS cores
(`taskset`), which is the only way to set the number of threads of JAX.

Every framework does the same work, from the same initial weights and with the same batches: 784-300-30-300-784 (the ends
are the features of the data), sigmoid everywhere, mean squared error + beta * KL of the mean activations of the first
two layers + lambda * half the squared weights, Adam (epsilon is added to the bias-corrected root: where a pixel is
always 0, gradients are as small as epsilon, and this choice affects the objective), 60 samples per step. Compilation
happens in the WARMUP steps, which are not timed; fetching a batch is timed, as it is for `sae`.

Prints one line: the framework and its version, `ms/step=` and `test_objective=`, the objective over all test images
after WARMUP + STEPS steps, which shows that all learn the same.
"""

import os
import struct
import sys
import time

import numpy as np

HIDDEN = [300, 30, 300]
SPARSE_LAYERS = 2
BATCH = 60
WARMUP = 200
SEED = 0
RHO, BETA, LAMBDA = 0.02, 7.5e-5, 5e-6
LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-2, 0.9, 0.999, 1e-8


def read_images(path):
    """An IDX file of u8 images as float32 rows in 0..1."""
    with open(path, "rb") as file:
        data = file.read()
    magic, samples, height, width = struct.unpack(">4I", data[:16])
    if magic != 0x803 or len(data) != 16 + samples * height * width:
        sys.exit(f"{path}: not an IDX file of u8 images")
    return np.frombuffer(data, np.uint8, offset=16).reshape(samples, height * width).astype(np.float32) / 255


def start(features):
    """Weights from a normal cut at two standard deviations of 0.1, biases 0.1."""
    rng = np.random.default_rng(SEED)

    def truncated_normal(shape):
        x = rng.standard_normal(shape)
        while (outside := np.abs(x) > 2).any():
            x[outside] = rng.standard_normal(outside.sum())
        return (0.1 * x).astype(np.float32)

    sizes = [features, *HIDDEN, features]
    weights = [truncated_normal(shape) for shape in zip(sizes, sizes[1:])]
    biases = [np.full(size, 0.1, np.float32) for size in sizes[1:]]
    return weights, biases


def batches(images):
    """Endless batches, in a new order each epoch; the samples left at the end of an epoch are dropped."""
    rng = np.random.default_rng(SEED)
    while True:
        order = rng.permutation(len(images))
        for first in range(0, len(images) - BATCH + 1, BATCH):
            yield images[order[first : first + BATCH]]


# Each framework below: (weights, biases, threads) -> (version, step, wait, objective). step(batch) trains on one batch
# and may return before it is done, wait() waits, objective(images) evaluates.


def jax(weights, biases, threads):
    """One jitted step, its buffers donated."""
    import jax
    import jax.numpy as jnp

    def objective(parameters, x):
        a, activations = x, []
        for w, b in parameters:
            a = jax.nn.sigmoid(a @ w + b)
            activations.append(a)
        total = jnp.mean((a - x) ** 2) + LAMBDA * sum(0.5 * jnp.sum(w * w) for w, _ in parameters)
        for a in activations[:SPARSE_LAYERS]:
            m = a.mean(0)
            total += BETA * jnp.sum(RHO * jnp.log(RHO / m) + (1 - RHO) * jnp.log((1 - RHO) / (1 - m)))
        return total

    def update(state, x):
        parameters, first, second, t = state
        total, gradient = jax.value_and_grad(objective)(parameters, x)
        t = t + 1
        rate, correction = LEARNING_RATE / (1 - BETA1**t), 1 / jnp.sqrt(1 - BETA2**t)
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradient)
        adam = lambda p, m, v: p - rate * m / (jnp.sqrt(v) * correction + EPSILON)
        parameters = jax.tree.map(adam, parameters, first, second)
        return (parameters, first, second, t), total

    update = jax.jit(update, donate_argnums=0)
    parameters = [(jnp.array(w), jnp.array(b)) for w, b in zip(weights, biases)]
    zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros(), zeros(), jnp.float32(0))

    def step(batch):
        nonlocal state
        state, _ = update(state, batch)

    return f"JAX {jax.__version__}", step, lambda: jax.block_until_ready(state), lambda x: objective(state[0], x)


def torch(weights, biases, threads, compiled):
    """Eager with the foreach Adam, or the objective through torch.compile with the fused Adam."""
    import torch

    torch.set_num_threads(threads)
    weights = [torch.from_numpy(w).requires_grad_() for w in weights]
    biases = [torch.from_numpy(b).requires_grad_() for b in biases]
    optimizer = torch.optim.Adam(
        weights + biases, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=compiled, foreach=not compiled
    )

    def objective(x):
        a, activations = x, []
        for w, b in zip(weights, biases):
            a = torch.sigmoid(torch.addmm(b, a, w))
            activations.append(a)
        total = (a - x).square().mean() + LAMBDA * sum(0.5 * w.square().sum() for w in weights)
        for a in activations[:SPARSE_LAYERS]:
            m = a.mean(0)
            total = total + BETA * (RHO * (RHO / m).log() + (1 - RHO) * ((1 - RHO) / (1 - m)).log()).sum()
        return total

    trained = torch.compile(objective) if compiled else objective

    def step(batch):
        optimizer.zero_grad(set_to_none=True)
        trained(torch.from_numpy(batch)).backward()
        optimizer.step()

    def evaluate(images):
        with torch.no_grad():
            return objective(torch.from_numpy(images))

    return f"PyTorch {torch.__version__.split('+')[0]}", step, lambda: None, evaluate


def tensorflow(weights, biases, threads, xla):
    """One tf.function for the whole step, as a graph or compiled by XLA."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    weights = [tf.Variable(w) for w in weights]
    biases = [tf.Variable(b) for b in biases]
    parameters = weights + biases
    first = [tf.Variable(tf.zeros_like(p)) for p in parameters]
    second = [tf.Variable(tf.zeros_like(p)) for p in parameters]
    t = tf.Variable(0.0)

    def objective(x):
        a, activations = x, []
        for w, b in zip(weights, biases):
            a = tf.sigmoid(tf.matmul(a, w) + b)
            activations.append(a)
        total = tf.reduce_mean(tf.square(a - x)) + LAMBDA * sum(tf.nn.l2_loss(w) for w in weights)
        for a in activations[:SPARSE_LAYERS]:
            m = tf.reduce_mean(a, 0)
            total += BETA * tf.reduce_sum(RHO * tf.math.log(RHO / m) + (1 - RHO) * tf.math.log((1 - RHO) / (1 - m)))
        return total

    @tf.function(jit_compile=xla)
    def update(x):
        with tf.GradientTape() as tape:
            total = objective(x)
        gradients = tape.gradient(total, parameters)
        t.assign_add(1.0)
        rate, correction = LEARNING_RATE / (1 - BETA1**t), 1 / tf.sqrt(1 - BETA2**t)
        for p, m, v, g in zip(parameters, first, second, gradients):
            m.assign(BETA1 * m + (1 - BETA1) * g)
            v.assign(BETA2 * v + (1 - BETA2) * g * g)
            p.assign_sub(rate * m / (tf.sqrt(v) * correction + EPSILON))
        return total

    def step(batch):
        update(tf.constant(batch))

    # Reading a variable waits for the updates before it.
    return f"TensorFlow {tf.__version__}", step, lambda: t.numpy(), lambda images: objective(tf.constant(images))


FRAMEWORKS = {
    "jax": jax,
    "torch-eager": lambda *args: torch(*args, compiled=False),
    "torch-compile": lambda *args: torch(*args, compiled=True),
    "tensorflow-graph": lambda *args: tensorflow(*args, xla=False),
    "tensorflow-xla": lambda *args: tensorflow(*args, xla=True),
}


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in FRAMEWORKS:
        sys.exit(f"usage: frameworks.py {'|'.join(FRAMEWORKS)} THREADS STEPS DATA_DIR")
    framework, threads, steps, data = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    train = read_images(os.path.join(data, "train-images-idx3-ubyte"))
    test = read_images(os.path.join(data, "t10k-images-idx3-ubyte"))
    version, step, wait, objective = FRAMEWORKS[framework](*start(train.shape[1]), threads)
    source = batches(train)

    def run(count):
        begin = time.perf_counter()
        for _ in range(count):
            step(next(source))
        wait()
        return time.perf_counter() - begin

    run(WARMUP)
    seconds = run(steps)
    total = float(objective(test))
    print(f"{version} {framework} threads={threads} steps={steps} ms/step={seconds / steps * 1e3:.4f} test_objective={total:.6f}")


if __name__ == "__main__":
    main()
