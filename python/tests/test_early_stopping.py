"""Early stopping: the command's bits, what is held out, and what is kept."""

import sys

import numpy as np
import pytest
from matplotlib import pyplot

from sae import SparseAutoencoder

# So fast that it gets worse soon.
FAST = {"layers": (20, 5, 20), "learning_rate": 0.3, "steps": 400, "random_state": 4}
WORDS = ["--layers", "784,20,5,20,784", "--lr", 0.3, "--steps", 400, "--seed", 4]


def model(**params):
    return SparseAutoencoder(**{**FAST, "patience": 3, "evaluate_every": 10, **params})


def same(one, other):
    return one._network.to_bytes() == other._network.to_bytes()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, []),
        ({"holdout": 100}, ["--holdout", 100]),
        ({"holdout": np.float64(0.25)}, ["--holdout", 100]),
        ({"holdout": 0}, ["--holdout", 0]),
        ({"holdout": 100, "optimizer": "l-bfgs"}, ["--holdout", 100, "--optimizer", "l-bfgs"]),
        ({"holdout": 0.251, "pretrain": 20}, ["--holdout", 101, "--pretrain", 20]),
        # Each revival before its evaluation.
        (
            {"activation": "relu", "beta": 0, "code": "top-k:1", "revive": 10},
            "--activation relu --beta 0 --code top-k:1 --revive 10".split(),
        ),
    ],
)  # fmt: skip
def test_same_bytes_as_the_command(digits, write_idx, command, tmp_path, params, words):
    X, _ = digits
    data, out = write_idx(X), tmp_path / "theirs.safetensors"
    command(
        *["train", "--images", data, "--out", out, "--quiet", *WORDS, *words],
        *["--patience", 3, "--evaluate-every", 10],
    )
    for source in [X, data]:
        trained = model(**params).fit(source)
        trained.save(tmp_path / "ours.safetensors")
        assert (tmp_path / "ours.safetensors").read_bytes() == out.read_bytes()
        assert trained.best_step_ <= trained.n_iter_


def test_a_set_of_one_s_own(digits, write_idx, command, tmp_path):
    X, _ = digits
    train, test = X[:300], X[300:]
    files, out = (write_idx(train, "train"), write_idx(test, "test")), tmp_path / "theirs.safetensors"
    command(
        *["train", "--images", files[0], "--test", files[1], "--out", out, "--quiet", *WORDS],
        *["--patience", 3, "--evaluate-every", 10],
    )
    held_out = model(holdout=100).fit(X)
    for one in [train, files[0]]:
        for other in [test, files[1], str(files[1])]:
            # A share that would be held out is not, where a set is given.
            trained = model(holdout=0.9).fit(one, X_val=other)
            trained.save(tmp_path / "ours.safetensors")
            assert (tmp_path / "ours.safetensors").read_bytes() == out.read_bytes()
            assert same(trained, held_out)


def test_the_best_network_is_kept(digits):
    X, _ = digits
    train, test = X[:300], X[300:]
    trained = model().fit(train, X_val=test)
    steps, objectives = (trained.history_[f"validation_{name}"] for name in ("step", "objective"))
    assert list(steps) == list(range(10, trained.n_iter_ + 1, 10))
    best = int(np.argmin(objectives))
    assert best == len(steps) - 1 - 3, "it ended after three that were no better"
    assert trained.best_step_ == steps[best] < trained.n_iter_ < FAST["steps"]
    assert trained.evaluate(test)["objective"] == objectives[best]
    shorter = model(patience=0, steps=trained.best_step_).fit(train)
    assert same(trained, shorter)
    # It goes on from there.
    trained.set_params(patience=0)
    before = trained.n_iter_
    assert trained.partial_fit(train).n_iter_ == before + 5
    assert trained.best_step_ is None
    assert len(trained.history_["validation_step"]) == len(steps)


def test_a_set_without_patience_is_watched(digits):
    X, _ = digits
    watched = model(patience=0).fit(X[:300], X_val=X[300:])
    assert watched.n_iter_ == 400 and watched.best_step_ is None
    assert len(watched.history_["validation_objective"]) == 40
    assert watched.evaluate(X[300:])["objective"] == watched.history_["validation_objective"][-1]
    assert same(watched, model(patience=0).fit(X[:300]))
    assert not len(model(patience=0).fit(X).history_["validation_step"])


def test_what_is_told(digits, capsys, monkeypatch):
    X, _ = digits
    trained = model(verbose=1).fit(X)
    shown = capsys.readouterr()
    assert "held out 0." in shown.err and f"best: step {trained.best_step_}" in shown.out
    objective, _ = trained.plot_history().axes
    assert np.array_equal(objective.lines[1].get_xdata(), trained.history_["validation_step"])
    pyplot.close("all")
    page = trained._repr_html_()
    assert f"{trained.n_iter_}, the best being {trained.best_step_}" in page
    assert f"{min(trained.history_['validation_objective']):.6g}" in page
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    model(verbose=1).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"best: step {trained.best_step_}, held out: objective 0.")
    assert sum("  held out: objective" in line for line in lines) == trained.n_iter_ // 10


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"patience": -1}, "patience: -1"),
        ({"evaluate_every": 0}, "evaluate_every: 0; the training has 400 steps, so 1 to 400"),
        ({"evaluate_every": 401}, "evaluate_every: 401; the training has 400 steps"),
        ({"holdout": 60}, "holdout: 0 of 60 samples leave one part empty"),
        ({"holdout": 61}, "holdout: 0 of 60 samples"),
        ({"holdout": 1.0}, "holdout: 1.0; a number of samples or a share between 0 and 1"),
        ({"holdout": -3}, "holdout: -3"),
    ],
)
def test_what_makes_no_sense(small, params, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        model(**params).fit(small)


def test_other_kinds(small, write_idx, digits):
    with pytest.raises(TypeError, match="holdout: 'half'; a number of samples or a share"):
        model(holdout="half").fit(small)
    with pytest.raises(ValueError, match="patience: partial_fit has none"):
        model().partial_fit(small)
    with pytest.raises(ValueError, match="X has 5 features, but SparseAutoencoder is expecting 6"):
        model().fit(small, X_val=small[:, :5])
    path = write_idx(digits[0])
    for X, X_val, here, there in [(small, path, 6, 784), (path, small, 784, 6)]:
        with pytest.raises(ValueError, match=f"X has {here} features a sample and X_val {there}"):
            model().fit(X, X_val=X_val)
    # What was fitted before does not matter.
    fitted = model().fit(small)
    assert fitted.fit(path, X_val=digits[0]).n_features_in_ == 784
    with pytest.raises(ValueError, match="Input X_val contains NaN"):
        model().fit(path, X_val=np.full((3, 784), np.nan))
