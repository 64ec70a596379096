"""What a model's file says of its training: the command repeats it, or there is nothing to repeat."""

import json

import numpy as np
import pytest

from bits import parts
from sae import SparseAutoencoder


@pytest.fixture
def rows(tmp_path):
    X = np.random.RandomState(1).normal(size=(200, 12)).astype(np.float32)
    np.save(tmp_path / "x.npy", X[:150])
    np.save(tmp_path / "test.npy", X[150:])
    return X


def course(model, folder):
    """The note of a model's file; None if there is none."""
    model.save(folder / "model.safetensors")
    description = parts((folder / "model.safetensors").read_bytes(), keeps_notes=True)[0]
    note = description.get("notes", {}).get("training")
    return None if note is None else json.loads(note)


def small(**parameters):
    return SparseAutoencoder(**{"layers": (20,), "batch": 25, "steps": 30, "random_state": 2, **parameters})


@pytest.mark.parametrize(
    ("parameters", "has_test"),
    [
        ({"pretrain": 4, "layers": (20, 5, 20)}, False),
        ({"code": "top-k:4", "activation": "relu", "beta": 0, "revive": 7}, False),
        ({"patience": 2, "evaluate_every": 3, "learning_rate": 0.1}, False),
        ({"patience": 2, "evaluate_every": 3, "learning_rate": 0.1}, True),
        ({"optimizer": "l-bfgs", "batch": SparseAutoencoder().batch}, False),
    ],
)
def test_the_command_repeats_it(command, rows, tmp_path, parameters, has_test):
    X_val = tmp_path / "test.npy" if has_test else None
    model = small(**parameters).fit(tmp_path / "x.npy", X_val=X_val)
    ours, again = tmp_path / "ours.safetensors", tmp_path / "again.safetensors"
    model.save(ours)
    test = ["--test", tmp_path / "test.npy"] if has_test else []
    command("train", "--like", ours, "--samples", tmp_path / "x.npy", *test, "--quiet", "--out", again)
    assert ours.read_bytes() == again.read_bytes()


def test_a_first_pass_is_repeated(command, rows, tmp_path):
    model = small().partial_fit(rows[:150])
    ours, again = tmp_path / "ours.safetensors", tmp_path / "again.safetensors"
    model.save(ours)
    command("train", "--like", ours, "--samples", tmp_path / "x.npy", "--quiet", "--out", again)
    assert ours.read_bytes() == again.read_bytes()
    # A second one is no training that begins with its first step.
    model.partial_fit(rows[:150])
    assert course(model, tmp_path) is None


def test_a_training_that_begins_with_a_model_says_so(command, rows, tmp_path):
    first = tmp_path / "first.safetensors"
    small().fit(rows[:150]).save(first)
    begun = SparseAutoencoder.load(first, warm_start=True, steps=10).fit(rows[:150])
    assert course(begun, tmp_path)["steps"] == 10
    ours, again = tmp_path / "model.safetensors", tmp_path / "again.safetensors"
    like = ["train", "--like", ours, "--samples", tmp_path / "x.npy", "--quiet", "--out", again]
    command(*like, "--from", first)
    assert ours.read_bytes() == again.read_bytes()


def test_interruptions_are_noted(rows, tmp_path):
    kept = {}

    def stop(report):
        kept["course"] = course(report.model, tmp_path)
        return report.step >= 12

    model = small(callback=stop, verbose=0).fit(rows)
    noted = course(model, tmp_path)
    assert noted["steps"] == 30 and noted["interrupted"] == model.n_iter_ < 30
    assert kept["course"] == noted
    assert "interrupted" not in course(small().fit(rows), tmp_path)


def test_batches_cannot_be_repeated(rows, tmp_path):
    assert course(small().fit(iter([rows])), tmp_path) is None
