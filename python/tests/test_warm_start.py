"""Trainings that begin with a fitted network, and epochs."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import sae
from bits import same
from sae import SparseAutoencoder

TOP_K = {"layers": (40,), "code": "top-k:5", "activation": "relu", "initialization": "he", "beta": 0, "lambda_": 0}


@pytest.fixture
def rows(tmp_path):
    X = np.random.RandomState(1).normal(size=(200, 12)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    return X


def trained(command, folder):
    """A model of the command, whose steps a schedule and warm-ups follow."""
    path = folder / "first.safetensors"
    settings = ["--layers", "12,20,12", "--code", "top-k:4", "--schedule", "linear:0.5", "--warm-up", 20, "--seed", 3]
    train(command, folder, path, "--preset", "top-k", "--steps", 60, *settings)
    return path


def train(command, folder, out, *options):
    command("train", "--samples", folder / "x.npy", "--holdout", 0, "--quiet", *options, "--out", out)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ([], {}),
        (["--learning-rate", 1e-3, "--seed", 9], {"learning_rate": 1e-3, "random_state": 9}),
        (
            ["--optimizer", "momentum", "--batch", 16, "--schedule", "constant", "--clip", 0.5, "--code", "top-k:3"],
            {"optimizer": "momentum", "batch": 16, "schedule": "constant", "clip": 0.5, "code": "top-k:3"},
        ),
    ],
)
def test_the_same_bits_as_the_command(command, rows, tmp_path, options, parameters):
    first = trained(command, tmp_path)
    train(command, tmp_path, tmp_path / "more.safetensors", "--from", first, "--steps", 40, *options)
    begun = SparseAutoencoder.load(first, warm_start=True, steps=40, **parameters)
    assert begun.steps == 40
    begun.fit(rows)
    expected = SparseAutoencoder.load(tmp_path / "more.safetensors")
    assert same(begun, expected)
    assert not same(begun, SparseAutoencoder.load(first))
    assert begun.n_iter_ == 40 and begun.history_["step"][-1] == 40


def test_dictionaries_are_trained_on(command, rows, tmp_path):
    trained(command, tmp_path)
    model = SparseAutoencoder.load(tmp_path / "first.safetensors")
    sae.export_dictionary(model, tmp_path / "dictionary", "saelens", hook_name="x")
    options = ["--from", tmp_path / "dictionary", "--steps", 30, "--learning-rate", 1e-3]
    train(command, tmp_path, tmp_path / "more.safetensors", *options)
    begun = sae.import_dictionary(tmp_path / "dictionary", warm_start=True, steps=30, learning_rate=1e-3)
    assert same(begun.fit(rows), SparseAutoencoder.load(tmp_path / "more.safetensors"))


def test_a_warm_start_takes_the_weights_alone(rows, tmp_path):
    first = SparseAutoencoder(**TOP_K, steps=30, random_state=1).fit(rows)
    first.save(tmp_path / "m")
    loaded = SparseAutoencoder.load(tmp_path / "m").set_params(steps=20, warm_start=True)
    again = first.set_params(steps=20, warm_start=True).fit(rows)
    assert same(again, loaded.fit(rows))
    assert again.n_iter_ == 20 and len(again.history_["step"]) == 20
    # partial_fit then goes on with that training, and the next fit begins with its weights.
    assert again.partial_fit(rows).n_iter_ == 24
    before = again.score(rows)
    assert again.fit(rows).n_iter_ == 20 and again.score(rows) > before - 0.05
    # Without, weights are new, and so they are of a clone.
    new = SparseAutoencoder(**TOP_K, steps=20, random_state=1).fit(rows)
    assert same(clone(again).fit(rows), new)
    assert same(again.set_params(warm_start=False).fit(rows), new)


def test_the_first_fit_of_a_warm_start_is_new(rows):
    pretrained = {**TOP_K, "steps": 20, "random_state": 1, "pretrain": 5}
    warm = SparseAutoencoder(**pretrained, warm_start=True).fit(rows)
    assert same(warm, SparseAutoencoder(**pretrained).fit(rows))
    # Later ones do not pretrain.
    without = SparseAutoencoder(**pretrained).fit(rows).set_params(pretrain=0, warm_start=True)
    assert same(warm.fit(rows), without.fit(rows))


def test_a_new_seed_is_a_new_order(rows):
    first = SparseAutoencoder(**TOP_K, steps=30, random_state=1, warm_start=True).fit(rows)
    assert first.set_params(random_state=2).fit(rows).seed_ == 2


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"layers": (41,)}, "layers: expected 12,40,12, which the network has that the training begins with"),
        ({"activation": "tanh"}, "activation: expected relu"),
        ({"code": "dense"}, "code: expected top-k:5"),
        ({"tied": True}, "tied: expected false"),
    ],
)
def test_what_the_weights_do_not_fit_is_refused(rows, parameters, sentence):
    model = SparseAutoencoder(**TOP_K, steps=10, random_state=1, warm_start=True).fit(rows)
    before = model.transform(rows)
    with pytest.raises(ValueError, match=sentence):
        model.set_params(**parameters).fit(rows)
    assert np.array_equal(model.transform(rows), before)
    with pytest.raises(ValueError, match="features"):
        model.set_params(**TOP_K).fit(rows[:, :6])


def test_parameters_of_load_are_checked_as_changes(rows, tmp_path):
    SparseAutoencoder(**TOP_K, steps=10, random_state=1).fit(rows).save(tmp_path / "m")
    assert SparseAutoencoder.load(tmp_path / "m", steps=5, batch=50).partial_fit(rows).n_iter_ == 4
    with pytest.raises(ValueError, match="random_state: expected 1, which cannot change"):
        SparseAutoencoder.load(tmp_path / "m", random_state=2).partial_fit(rows)
    with pytest.raises(ValueError, match="Invalid parameter 'nothing'"):
        SparseAutoencoder.load(tmp_path / "m", nothing=1)
    with pytest.raises(TypeError, match="steps: expected a whole number, got 0.5"):
        SparseAutoencoder.load(tmp_path / "m", steps=0.5)


def test_values_that_are_no_flags_or_epochs(rows):
    for parameters, error, sentence in [
        ({"warm_start": "yes"}, TypeError, "warm_start: expected True or False, got 'yes'"),
        ({"epochs": 0}, ValueError, "epochs: expected a number above 0, got 0.0"),
        ({"epochs": float("nan")}, ValueError, "epochs: expected a number above 0"),
        ({"epochs": "2"}, TypeError, "epochs: expected a number above 0, got '2'"),
        ({"epochs": True}, TypeError, "epochs: expected a number above 0, got True"),
    ]:
        with pytest.raises(error, match=sentence):
            SparseAutoencoder(**TOP_K, **parameters).fit(rows)
    with pytest.raises(ValueError, match="epochs: X is an iterator"):
        SparseAutoencoder(**TOP_K, epochs=1).fit(iter([rows]))


def test_epochs_are_passes_over_what_is_trained_on(rows):
    def steps(**parameters):
        return SparseAutoencoder(**TOP_K, random_state=1, **parameters).fit(rows).n_iter_

    assert steps(epochs=3, batch=16) == 38 and steps(epochs=0.5, batch=16) == 7 and steps(epochs=1e-9) == 1
    assert steps(epochs=2) == 7
    held_out = {"patience": 100, "evaluate_every": 1, "batch": 16}
    assert steps(epochs=2, **held_out) == 22 and steps(epochs=2, holdout=40, **held_out) == 20
    assert steps(epochs=2, holdout=0.5, **held_out) == 13 and steps(epochs=2, holdout=0, **held_out) == 25
    lbfgs = {**TOP_K, "code": "dense", "optimizer": "l-bfgs", "epochs": 4, "random_state": 1}
    assert SparseAutoencoder(**lbfgs).fit(rows).n_iter_ == 4


def test_schedules_follow_epochs(rows):
    options = {**TOP_K, "batch": 16, "schedule": "cosine", "random_state": 1}
    whole = SparseAutoencoder(**options, epochs=4).fit(rows)
    assert same(whole, SparseAutoencoder(**options, steps=50).fit(rows))
    # The learning rate of a partial_fit is that of the schedule behind its end: 0.
    assert same(whole.partial_fit(rows), SparseAutoencoder(**options, steps=50).fit(rows))


def test_a_training_that_blew_up_warns(digits):
    X = digits[0]
    with pytest.warns(ConvergenceWarning, match="reconstructions are worse than the mean"):
        SparseAutoencoder((20,), beta=0, learning_rate=50.0, steps=30, random_state=1).fit(X)
