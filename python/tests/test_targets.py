"""Targets other than the samples: transcoders."""

import pickle

import numpy as np
import pytest

from sae import SparseAutoencoder

PARAMS = {
    "layers": (8,), "activation": "relu", "initialization": "he", "beta": 0.0, "lambda_": 0.0,
    "steps": 2000, "batch": 50, "random_state": 1, "threads": 1,
}


@pytest.fixture
def data():
    X = np.random.RandomState(0).rand(300, 5).astype(np.float32)
    return X, X @ np.random.RandomState(1).randn(5, 3).astype(np.float32) + 7


def test_a_linear_map_is_learned(data, tmp_path):
    X, Y = data
    model = SparseAutoencoder(**PARAMS, skip=True).fit(X, targets=Y)
    assert model.score(X, targets=Y) > 0.9999
    predicted = model.reconstruct(X)
    assert predicted.shape == Y.shape and np.abs(predicted - Y).max() < 0.02
    assert model.transform(X).shape == (300, 8)
    with pytest.raises(ValueError, match="codes alone do not give it"):
        model.inverse_transform(model.transform(X))
    with pytest.raises(ValueError, match="which the network predicts"):
        model.score(X)
    model.save(tmp_path / "m")
    for other in [SparseAutoencoder.load(tmp_path / "m"), pickle.loads(pickle.dumps(model))]:
        assert np.array_equal(other.reconstruct(X), predicted)
        with pytest.raises(ValueError, match="targets"):
            other.partial_fit(X)
        other.partial_fit(X, targets=Y)
    np.save(tmp_path / "y.npy", Y)
    again = SparseAutoencoder(**PARAMS, skip=True).fit(X, targets=tmp_path / "y.npy")
    assert np.array_equal(again.reconstruct(X), predicted)


def test_early_stopping_holds_pairs_out(data):
    X, Y = data
    params = {**PARAMS, "steps": 200, "patience": 3, "evaluate_every": 20}
    model = SparseAutoencoder(**params).fit(X, targets=Y)
    assert len(model.history_["validation_objective"]) > 0
    model = SparseAutoencoder(**params).fit(X, targets=Y, X_val=X[:50], targets_val=Y[:50])
    objective = model.history_["validation_objective"].min()
    assert model.evaluate(X[:50], targets=Y[:50])["objective"] == pytest.approx(objective)


def test_what_does_not_fit_is_refused(data):
    X, Y = data
    model = SparseAutoencoder(**PARAMS)
    for sentence, params, args in [
        ("299 targets for 300 samples", {}, {"targets": Y[:-1]}),
        ("targets_val: expected", {}, {"targets": Y, "X_val": X}),
        ("skip: ", {"skip": True}, {}),
        ("targets: sample 1, feature 2", {}, {"targets": np.where(Y == Y[1, 2], np.nan, Y)}),
    ]:
        with pytest.raises(ValueError, match=sentence):
            SparseAutoencoder(**{**PARAMS, **params}).fit(X, **args)
    with pytest.raises(ValueError, match="iterator of batches"):
        model.fit(iter([X]), targets=Y)
