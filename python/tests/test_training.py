"""Training: the same bits as the command, data without copies, partial fits, and interruption."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from copy import deepcopy

import numpy as np
import pytest

from bits import bits, parts
from sae import SparseAutoencoder

STEPS = 40


def model(**params):
    return SparseAutoencoder(**{"layers": (20, 5, 20), "steps": STEPS, "random_state": 4, **params})


def same(one, other):
    """Whether two models have the same weights, bit for bit."""
    return parts(one._network.to_bytes()) == parts(other._network.to_bytes())


RELU = {"activation": "relu", "beta": 0.0, "initialization": "he", "learning_rate": 0.001}


CASES = [
    ({}, ""),
    (
        {"rho": 0.1, "beta": 0.3, "lambda_": 1e-5 / 3},
        f"--rho 0.1 --beta 0.3 --lambda {1e-5 / 3}",
    ),
    ({"layers": (784, 20, 5, 20, 784)}, ""),
    (
        # A learning rate so high that there are dead units at the last step, too.
        {"layers": [16], "code": "top-k:1", **RELU, "learning_rate": 0.3, "revive": 10},
        "--layers 784,16,784 --code top-k:1 --activation relu --beta 0 --init he --lr 0.3 "
        "--revive 10",
    ),
    (
        {
            "activations": ("relu", "sigmoid", "tanh"),
            "penalties": ("2:rho=0.1:beta=0.01", "1:l1=1e-5"),
        },
        "--activations relu,sigmoid,tanh --penalty 2:rho=0.1:beta=0.01 --penalty 1:l1=1e-5",
    ),
    (
        {"tied": True, "corruption": "masking:0.2", "loss": "cross-entropy"},
        "--tied --corrupt masking:0.2 --loss cross-entropy",
    ),
    (
        {"target": "mean-activation:0.2", "schedule": "cosine", "warm_up": 5, "clip": 0.5},
        "--target mean-activation:0.2 --schedule cosine --warm-up 5 --clip 0.5",
    ),
    ({"optimizer": "l-bfgs"}, "--optimizer l-bfgs"),
    (
        {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6},
        "--beta1 0.8 --beta2 0.95 --epsilon 1e-6",
    ),
    ({"pretrain": 15}, "--pretrain 15"),
    ({"pretrain": 15, "optimizer": "l-bfgs"}, "--pretrain 15 --optimizer l-bfgs"),
    (
        {
            "optimizer": "adamw:0.1",
            "batch": 33,
            "unit_norm": True,
            "rho_momentum": 0.5,
            "l1": 1e-6,
            "output_activation": "linear",
        },
        "--optimizer adamw:0.1 --batch 33 --unit-norm --rho-momentum 0.5 --l1 1e-6 "
        "--output-activation linear",
    ),
]


@pytest.mark.parametrize(("params", "options"), CASES)
def test_same_bytes_as_the_command(digits, write_idx, command, tmp_path, params, options):
    X, _ = digits
    data = write_idx(X)
    theirs, ours = tmp_path / "theirs.safetensors", tmp_path / "ours.safetensors"
    layers = [] if "--layers" in options else ["--layers", "784,20,5,20,784"]
    command(
        *["train", "--images", data, "--holdout", 0, "--seed", 4, "--steps", STEPS, "--quiet"],
        *["--out", theirs, *layers, *options.split()],
    )
    for source in [X, data, str(data)]:
        for threads in [1, None]:
            trained = model(**params, threads=threads).fit(source)
            trained.save(ours)
            assert ours.read_bytes() == theirs.read_bytes(), (type(source), threads)


def test_files_of_images_give_the_model_their_shape(digits, write_idx, command, tmp_path):
    X, _ = digits
    data = write_idx(X.reshape(-1, 28, 28))
    theirs, ours = tmp_path / "theirs.safetensors", tmp_path / "ours.safetensors"
    options = ["--holdout", 0, "--seed", 4, "--steps", STEPS, "--layers", "784,20,5,20,784", "--quiet"]
    command("train", "--images", data, *options, "--out", theirs)
    trained = model().fit(data)
    trained.save(ours)
    assert ours.read_bytes() == theirs.read_bytes() and data_of(ours)["shape"] == [28, 28]
    # Rows of an array have no shape, and the same parameters.
    rows = model().fit(X)
    rows.save(ours)
    assert "shape" not in data_of(ours) and bits(rows) == bits(trained)


def data_of(path):
    """What a model file says of its data."""
    file = path.read_bytes()
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    return json.loads(header["__metadata__"]["sae"])["data"]


def test_model_files_of_the_command(digits, command, write_idx, tmp_path):
    X, _ = digits
    data, path = write_idx(X), tmp_path / "model.safetensors"
    command(
        *["train", "--images", data, "--holdout", 0, "--steps", 20, "--out", path, "--quiet"],
        *["--layers", "784,9,784", "--scaling", "min-max", "--code", "top-k:4", "--seed", 9],
    )
    loaded = SparseAutoencoder.load(path)
    assert (loaded.layers, loaded.code, loaded.random_state) == ((9,), "top-k:4", 9)
    command("encode", path, "--images", data, "--out", tmp_path / "codes.npy")
    codes = np.load(tmp_path / "codes.npy")
    # The scaling of the model, for the same values of any type.
    for source in [data, X, X.astype(np.float32)]:
        assert np.array_equal(loaded.transform(source), codes)


@pytest.mark.parametrize(
    "params",
    [
        {"layers": (6, 3, 6), "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-4},
        {"layers": (4,), "code": "jump-relu:0.01:0.2", **RELU},
        {
            "layers": (7, 3, 7),
            "activations": ("relu", "sigmoid", "tanh"),
            "penalties": ("2:rho=0.1:beta=0.01:l1=0.001",),
            "target": "l0:2.5:2",
            "optimizer": "momentum:0.8",
            "schedule": "step:10:0.5",
            "corruption": "gaussian:0.1",
        },
    ],
)
def test_a_loaded_model_trains_as_it_was_trained(small, tmp_path, params):
    first = model(**params).fit(small)
    first.save(tmp_path / "model.safetensors")
    loaded = SparseAutoencoder.load(tmp_path / "model.safetensors")
    assert np.array_equal(loaded.transform(small), first.transform(small))
    assert same(loaded.set_params(steps=STEPS).fit(small), first)


def test_partial_fits_are_one_training(small):
    whole = model(batch=10, steps=18).fit(small)
    parts = model(batch=10)
    for _ in range(3):
        parts.partial_fit(small)
    assert parts.n_iter_ == whole.n_iter_ == 18
    assert same(parts, whole)
    assert list(parts.history_["step"]) == [6, 12, 18]
    # From a pickle, and after a fit, with the state of the optimizer.
    begun = pickle.loads(pickle.dumps(model(batch=10, steps=6).fit(small)))
    assert same(deepcopy(begun.partial_fit(small)).partial_fit(small), whole)


def test_partial_fit_takes_other_data(small):
    trained = model(batch=16).partial_fit(small)
    before = trained._network.to_bytes()
    trained.partial_fit(small[:1]).partial_fit(small[:37])
    assert trained.n_iter_ == 4 + 1 + 3
    assert trained._network.to_bytes() != before
    with pytest.raises(ValueError, match="X has 5 features, but SparseAutoencoder is expecting 6"):
        trained.partial_fit(small[:, :5])
    # Bytes are the same numbers in another type.
    again = deepcopy(trained).partial_fit(np.ones((10, 6), np.float32))
    assert same(trained.partial_fit(np.ones((10, 6), np.uint8)), again)
    with pytest.raises(ValueError, match="L-BFGS requires all samples at once"):
        model(optimizer="l-bfgs").partial_fit(small)
    # L-BFGS leaves no state that another optimizer would have to take over.
    other = model(optimizer="l-bfgs").fit(small).set_params(optimizer="adam", batch=9)
    assert other.partial_fit(small[:9]).n_iter_ == 1


def test_partial_fit_after_load(small, tmp_path):
    model().fit(small).save(tmp_path / "m")
    loaded = SparseAutoencoder.load(tmp_path / "m")
    before = loaded.score(small)
    for _ in range(200):
        loaded.partial_fit(small)
    assert loaded.n_iter_ == 200
    assert loaded.score(small) > before


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_are_not_copied(dtype):
    X = np.zeros((100, 6), dtype)

    def ones(*_):
        X[:] = 1

    untouched = model().fit(np.zeros((100, 6), dtype))
    # A copy would not change during the training.
    assert not same(model(callback=ones).fit(X), untouched)
    X[:] = 0
    assert same(model(callback=lambda *_: None).fit(X), untouched)
    assert X.flags.writeable


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.int8, bool, ">f4"])
def test_other_arrays_are_converted(small, dtype):
    X = np.round(4 * small).astype(dtype)
    expected = model().fit(np.ascontiguousarray(X, np.float32))
    assert same(model().fit(X), expected)
    assert same(model().fit(np.asfortranarray(X)), expected)
    assert same(model().fit(np.repeat(X, 2, axis=1)[:, ::2]), expected)
    assert same(model().fit(X.tolist()), expected)


def test_a_misaligned_array_is_copied(small):
    memory = np.empty(small.nbytes + 1, np.uint8)
    X = memory[1:].view(np.float32).reshape(small.shape)
    X[:] = small
    assert not X.flags.aligned
    assert same(model().fit(X), model().fit(small))


def test_files(digits, write_idx, tmp_path):
    X, _ = digits
    floats = (X[:, 300:420] / 255).astype(np.float32)
    np.save(tmp_path / "floats.npy", floats)
    trained = model().fit(tmp_path / "floats.npy")
    assert trained.n_features_in_ == 120
    assert same(trained, model().fit(floats))
    assert same(trained, model().fit(write_idx(floats)))
    assert np.array_equal(trained.transform(tmp_path / "floats.npy"), trained.transform(floats))
    with pytest.raises(ValueError, match="784 features a sample and the network takes 120"):
        trained.transform(write_idx(X))
    with pytest.raises(FileNotFoundError, match="cannot open: No such file") as problem:
        model().fit(tmp_path / "none")
    assert problem.value.filename == str(tmp_path / "none")
    assert "os error" not in str(problem.value)
    with pytest.raises(ValueError, match="of one dimension, perhaps labels"):
        model().fit(write_idx(X[:, 0].copy()))
    (tmp_path / "text").write_text("no data")
    with pytest.raises(ValueError, match="an IDX, NumPy or safetensors file was expected"):
        model().fit(tmp_path / "text")
    with pytest.raises(OSError, match="cannot"):
        trained.save(tmp_path / "none" / "model")


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"layers": (3, 2)}, "layers: expected an odd number of sizes .*, got 2"),
        ({"layers": (-3,)}, "layers: expected a whole number from 0 to .*, got -3"),
        ({"layers": (2**70,)}, r"layers: expected a whole number from 0 to 2\*\*63 - 1, got 11805"),
        ({"steps": -1}, "steps: expected .*, got -1"),
        ({"revive": -1}, "revive: expected .*, got -1"),
        ({"pretrain": -1}, "pretrain: expected .*, got -1"),
        ({"warm_up": -2}, "^warm_up: expected a whole number from 0 to .*, got -2"),
        ({"initialization": "glorot"}, "^initialization: expected truncated-normal, .*, got 'glorot'"),
        ({"penalties": ["x"]}, "^penalties: expected none or a comma-separated list of LAYER.*, got 'x'"),
        ({"beta1": 1}, "beta1"),
        ({"layers": (3, 0, 3)}, "layers"),
        ({"rho": 2}, "rho: expected a number from 1e-6 to 0.999999, got 2"),
        ({"code": "top-k"}, "code: expected dense, top-k:K.*, got 'top-k'"),
        ({"activation": "sine"}, "activation: expected sigmoid, .*, got 'sine'"),
        ({"activation": "relu"}, "top-k"),
        ({"batch": 0}, "batch: expected a whole number from 1 to 16777216, got 0"),
        ({"batch": 1.5}, "batch: expected a whole number from 1 to 16777216, got '1.5'"),
        ({"threads": 0}, "threads: expected at least 1, got 0"),
        ({"random_state": -1}, "random_state: expected a whole number from 0 to .*, got -1"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"order": "window:0"}, "order: expected a window of 1 or more samples"),
    ],
)
def test_invalid_parameters(small, params, sentence):
    with pytest.raises(ValueError, match=sentence):
        model(**params).fit(small)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"code": {"top-k": 3}}, "code: expected a text or a number, got {'top-k': 3}"),
        ({"rho": None}, "rho: expected a text or a number, got None"),
        ({"lambda_": [1]}, r"lambda_: expected a text or a number, got \[1\]"),
        ({"layers": 3}, r"layers: expected a sequence of sizes such as \(300, 30, 300\), got 3"),
        ({"layers": "30"}, "layers: expected a sequence of sizes .*, got '30'"),
        ({"layers": (3.7,)}, "layers: expected a whole number, got 3.7"),
        ({"steps": 1e3}, "steps: expected a whole number, got 1000.0"),
        ({"warm_up": 2.5}, "warm_up: expected a whole number, got 2.5"),
        ({"tied": "perhaps"}, "tied: expected True or False, got 'perhaps'"),
        ({"revive": True}, "revive: expected a whole number, got True"),
        ({"threads": "all"}, "threads: expected a whole number, got 'all'"),
        ({"callback": 3}, "callback: expected a function, or a list of them, got 3"),
    ],
)
def test_parameters_of_the_wrong_type(small, params, sentence):
    with pytest.raises(TypeError, match=f"^{sentence}"):
        model(**params).fit(small)


def test_images_must_be_reshaped(digits):
    images = digits[0].reshape(-1, 28, 28)
    with pytest.raises(ValueError, match=r"X.reshape\(len\(X\), -1\) .*, got \(400, 28, 28\)"):
        model().fit(images)


def test_values_that_are_not_finite(small):
    small[3, 2] = np.inf
    with pytest.raises(ValueError, match="^X: sample 3, feature 2 is inf; finite numbers were expected"):
        model().fit(small)
    with pytest.raises(ValueError, match="objective .*is not finite"):
        model(layers=(5,), learning_rate=1e9, beta=0.0, activation="linear", steps=400).fit(
            np.ones((9, 6))
        )


def test_codes_and_reconstructions(digits):
    X, _ = digits
    trained = model(layers=(30,), steps=300).fit(X)
    codes = trained.transform(X)
    assert codes.dtype == np.float32 and codes.shape == (400, 30)
    weights, biases = trained.coefs_, trained.intercepts_
    expected = 1 / (1 + np.exp(-(X / 255 @ weights[0] + biases[0])))
    assert np.allclose(codes, expected, atol=1e-5)
    reconstructed = trained.inverse_transform(codes)
    assert np.allclose(reconstructed, 1 / (1 + np.exp(-(expected @ weights[1] + biases[1]))), atol=1e-5)
    assert np.array_equal(reconstructed, trained.reconstruct(X))
    with pytest.raises(ValueError, match="X has 29 features, but the code of"):
        trained.inverse_transform(codes[:, 1:])
    evaluation = trained.evaluate(X)
    assert evaluation["squared_error"] == pytest.approx(np.mean((reconstructed - X / 255) ** 2), rel=1e-4)
    (layer,) = evaluation["layers"]
    assert np.allclose(layer["mean_activations"], codes.mean(axis=0), atol=1e-5)
    assert layer["l0"] == pytest.approx((codes > 0.1).sum(axis=1).mean())
    assert layer["counts"].sum() + layer["zeros"] == codes.size


def test_callback_ends_the_training(small):
    steps = []

    def stop(step, objective, mean_activations):
        assert objective > 0 and len(mean_activations) == 3
        steps.append(step)
        return step >= 200

    trained = model(steps=10_000, callback=stop).fit(small)
    assert steps == [100, 200] and trained.n_iter_ == 200
    assert same(trained, model(steps=200).fit(small))


def test_an_exception_of_the_callback_ends_the_training(small):
    def fail(step, *_):
        if step == 300:
            raise RuntimeError("enough")

    trained = model(steps=10_000, callback=fail)
    with pytest.raises(RuntimeError, match="enough"):
        trained.fit(small)
    assert trained.n_iter_ == 300
    assert same(trained, model(steps=300).fit(small))


def test_lines_and_bar(small, capsys, monkeypatch):
    quiet = model(steps=200).fit(small)
    assert capsys.readouterr() == ("", "")
    model(steps=200, verbose=1).fit(small)
    assert "200/200" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert same(model(steps=200, verbose=1).fit(small), quiet)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 50 and lines[-1].startswith("step 200  objective ")


def test_other_threads_run_meanwhile(digits):
    trained, ticks = model(layers=(300, 30, 300), steps=300, threads=1), []
    thread = threading.Thread(target=trained.fit, args=(digits[0],))
    thread.start()
    while thread.is_alive():
        ticks.append(time.monotonic())
        time.sleep(0.001)
    thread.join()
    assert trained.n_iter_ == 300
    # If the lock were held, there would be at most one tick for each of the 50 reports.
    assert len(ticks) > 60


def test_pretraining(small, capsys, monkeypatch):
    params = {"layers": (8, 3, 8), "pretrain": 300, "beta": 0.0}
    begun = model(steps=0, **params).fit(small)
    assert begun.n_iter_ == 0
    assert begun.score(small) > model(**{**params, "steps": 0, "pretrain": 0}).fit(small).score(small)
    # A training that continues is not pretrained again.
    trained = model(**params, batch=60).partial_fit(small).partial_fit(small)
    assert same(trained, model(**params, batch=60, steps=2).fit(small))
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    model(steps=10, verbose=1, **params).fit(small)
    first, second, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("pretrained layer 1: loss 0.")
    assert second.startswith("pretrained layer 2: loss 0.")
    assert len(others) == 10


INTERRUPTED = """
import numpy, sae
X = sae.draw_digits(300)[0].reshape(300, -1)
def report(step, *_):
    if step == 100: print("training", flush=True)
model = sae.SparseAutoencoder(steps=10**9, random_state=1, callback=report)
try:
    model.fit(X)
except KeyboardInterrupt:
    steps = model.n_iter_
    again = sae.SparseAutoencoder(steps=steps, random_state=1).fit(X)
    print(numpy.array_equal(model.transform(X), again.transform(X)))
    print(model.partial_fit(X).n_iter_ == steps + 5)
"""


PRETRAINING = """
import numpy, sae
X = sae.draw_digits(300)[0].reshape(300, -1)
model = sae.SparseAutoencoder(pretrain=10**9, random_state=1)
print("training", flush=True)
try:
    model.fit(X)
except KeyboardInterrupt:
    print(model.n_iter_ == 0 and len(model.history_["step"]) == 0)
    untrained = sae.SparseAutoencoder(steps=0, random_state=1).fit(X)
    print(not numpy.array_equal(model.coefs_[0], untrained.coefs_[0]))
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
@pytest.mark.parametrize("program", [INTERRUPTED, PRETRAINING])
def test_ctrl_c_ends_the_training(tmp_path, program):
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "training\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=120)
    assert (out, child.returncode) == ("True\nTrue\n", 0)


def test_layers_are_counted_as_they_are_given(small):
    for layers, size, number in [((0,), 0, 1), ((5, 0, 5), 0, 2), ((5, 3, 2**24 + 1), 2**24 + 1, 3)]:
        sentence = f"^layers: expected sizes from 1 to 16777216, got {size} as number {number}$"
        with pytest.raises(ValueError, match=sentence):
            SparseAutoencoder(layers).fit(small)
