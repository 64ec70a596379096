"""Early stopping: the same bits as the command, the held-out samples, and the best network."""

import sys

import numpy as np
import pytest
from matplotlib import pyplot

from bits import same
from sae import SparseAutoencoder

# A learning rate so high that the objective soon gets worse.
FAST = {"layers": (20, 5, 20), "learning_rate": 0.3, "steps": 400, "random_state": 4}
OPTIONS = ["--layers", "784,20,5,20,784", "--lr", 0.3, "--steps", 400, "--seed", 4]


def model(**params):
    return SparseAutoencoder(**{**FAST, "patience": 3, "evaluate_every": 10, **params})


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ({}, []),
        ({"holdout": 100}, ["--holdout", 100]),
        ({"holdout": np.float64(0.25)}, ["--holdout", 100]),
        ({"holdout": 0}, ["--holdout", 0]),
        ({"holdout": 100, "optimizer": "l-bfgs"}, ["--holdout", 100, "--optimizer", "l-bfgs"]),
        ({"holdout": 0.251, "pretrain": 20}, ["--holdout", 101, "--pretrain", 20]),
        # A revival happens before the evaluation of its step.
        (
            {"activation": "relu", "beta": 0, "code": "top-k:1", "revive": 10},
            "--activation relu --beta 0 --code top-k:1 --revive 10".split(),
        ),
    ],
)  # fmt: skip
def test_same_bytes_as_the_command(digits, write_idx, command, tmp_path, params, options):
    X, _ = digits
    data, out = write_idx(X), tmp_path / "theirs.safetensors"
    command(
        *["train", "--images", data, "--out", out, "--quiet", *OPTIONS, *options],
        *["--patience", 3, "--evaluate-every", 10],
    )
    for source in [X, data]:
        trained = model(**params).fit(source)
        trained.save(tmp_path / "ours.safetensors")
        assert (tmp_path / "ours.safetensors").read_bytes() == out.read_bytes()
        assert trained.best_step_ <= trained.n_iter_


def test_held_out_samples_can_be_given(digits, write_idx, command, tmp_path):
    X, _ = digits
    train, test = X[:300], X[300:]
    files, out = (write_idx(train, "train"), write_idx(test, "test")), tmp_path / "theirs.safetensors"
    command(
        *["train", "--images", files[0], "--test", files[1], "--out", out, "--quiet", *OPTIONS],
        *["--patience", 3, "--evaluate-every", 10],
    )
    for one in [train, files[0]]:
        for other in [test, files[1], str(files[1])]:
            # The holdout is ignored if held-out samples are given.
            trained = model(holdout=0.9).fit(one, X_val=other)
            trained.save(tmp_path / "ours.safetensors")
            assert (tmp_path / "ours.safetensors").read_bytes() == out.read_bytes()


def test_the_best_network_is_kept(digits):
    X, _ = digits
    train, test = X[:300], X[300:]
    trained = model().fit(train, X_val=test)
    steps, objectives = (trained.history_[f"validation_{name}"] for name in ("step", "objective"))
    assert list(steps) == list(range(10, trained.n_iter_ + 1, 10))
    best = int(np.argmin(objectives))
    assert best == len(steps) - 1 - 3, "expected the end after three evaluations without improvement"
    assert trained.best_step_ == steps[best] < trained.n_iter_ < FAST["steps"]
    assert trained.evaluate(test)["objective"] == objectives[best]
    shorter = model(patience=0, steps=trained.best_step_).fit(train)
    assert same(trained, shorter)
    # The training continues from there.
    trained.set_params(patience=0)
    before = trained.n_iter_
    assert trained.partial_fit(train).n_iter_ == before + 5
    assert trained.best_step_ is None
    assert len(trained.history_["validation_step"]) == len(steps)


def test_held_out_samples_are_evaluated_without_patience(digits):
    X, _ = digits
    evaluated = model(patience=0).fit(X[:300], X_val=X[300:])
    assert evaluated.n_iter_ == 400 and evaluated.best_step_ is None
    assert len(evaluated.history_["validation_objective"]) == 40
    assert evaluated.evaluate(X[300:])["objective"] == evaluated.history_["validation_objective"][-1]
    assert same(evaluated, model(patience=0).fit(X[:300]))
    assert not len(model(patience=0).fit(X).history_["validation_step"])


def test_reports(digits, capsys, monkeypatch):
    X, _ = digits
    trained = model(verbose=1).fit(X)
    shown = capsys.readouterr()
    assert "held out 0." in shown.err and f"best: step {trained.best_step_}" in shown.out
    objective, _ = trained.plot_history().axes
    assert np.array_equal(objective.lines[1].get_xdata(), trained.history_["validation_step"])
    pyplot.close("all")
    page = trained._repr_html_()
    assert f"{trained.n_iter_}, best {trained.best_step_}" in page
    assert f"{min(trained.history_['validation_objective']):.6g}" in page
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    model(verbose=1).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"best: step {trained.best_step_}, held out: objective 0.")
    assert sum("  held out: objective" in line for line in lines) == trained.n_iter_ // 10


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"patience": -1}, "patience: expected a whole number from 0 to .*, got -1"),
        ({"evaluate_every": 0}, "evaluate_every: expected at least 1, got 0"),
        ({"evaluate_every": 401}, "evaluate_every: expected 1 to 400, .*, got 401"),
        ({"holdout": 60}, "holdout: 60 of 60 samples leave one side empty"),
        ({"holdout": 61}, "holdout: 61 of 60 samples"),
        ({"holdout": 1.0}, "holdout: expected a number of samples or a share between 0 and 1, got 1.0"),
        ({"holdout": -3}, "holdout: expected .*, got -3"),
    ],
)
def test_invalid_parameters(small, params, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        model(**params).fit(small)


def test_a_short_training_has_an_evaluation(small):
    fitted = model(evaluate_every=None, steps=40).fit(small)
    assert list(fitted.history_["validation_step"]) == [40]
    given = model(evaluate_every=None, patience=0, steps=7).fit(small, X_val=small[:9])
    assert list(given.history_["validation_step"]) == [7]
    epochs = model(evaluate_every=None, steps=9, epochs=2).fit(small)
    assert list(epochs.history_["validation_step"]) == [epochs.n_iter_]
    long = model(evaluate_every=None, steps=1001, patience=9).fit(small)
    assert list(long.history_["validation_step"]) == [500, 1000]


def test_invalid_data_and_types(small, write_idx, digits):
    with pytest.raises(TypeError, match="holdout: expected a number of samples or a share .*, got 'half'"):
        model(holdout="half").fit(small)
    with pytest.raises(ValueError, match="patience: partial_fit has no early stopping"):
        model().partial_fit(small)
    with pytest.raises(ValueError, match="X_val: expected 6 features, as in X, got 5"):
        model().fit(small, X_val=small[:, :5])
    path = write_idx(digits[0])
    for X, X_val, here, there in [(small, path, 6, 784), (path, small, 784, 6)]:
        with pytest.raises(ValueError, match=f"X_val: expected {here} features, as in X, got {there}"):
            model().fit(X, X_val=X_val)
    # The features of an earlier fit do not matter.
    fitted = model().fit(small)
    assert fitted.fit(path, X_val=digits[0]).n_features_in_ == 784
    with pytest.raises(ValueError, match="X_val: sample 0, feature 0 is NaN"):
        model().fit(path, X_val=np.full((3, 784), np.nan))
