"""Estimators with the parameters of a preset."""

import numpy as np
import pytest

from sae import SparseAutoencoder


@pytest.fixture
def X():
    return np.random.RandomState(0).rand(90, 12).astype(np.float32)


@pytest.mark.parametrize(
    "preset",
    ["article", "article-plain", "images", "top-k", "batch-top-k", "jump-relu", "matryoshka", "matlab"],
)
def test_each_trains(X, preset):
    model = SparseAutoencoder.from_preset(preset, 12, steps=30, random_state=1, threads=1)
    untrained = {"steps": 1, "schedule": "constant", "learning_rate": 1e-9}
    before = SparseAutoencoder(**{**model.get_params(), **untrained}).fit(X).evaluate(X)
    after = model.fit(X).evaluate(X)
    assert after["squared_error"] < before["squared_error"]


def test_parameters_follow_layers_and_steps(X):
    model = SparseAutoencoder.from_preset("topk", 12, layers=(512,), steps=40, batch=30)
    assert model.code == "top-k:32" and model.steps == 40 and model.batch == 30
    assert model.schedule == "linear:0.2" and model.warm_up == 2
    assert model.loss == "fvu" and model.output_activation == "linear"
    wide = SparseAutoencoder.from_preset("top-k", 12, layers=(2048,))
    assert wide.steps == 20_000 and wide.learning_rate == pytest.approx(model.learning_rate / 2)
    matlab = SparseAutoencoder.from_preset("matlab", 50)
    assert (matlab.layers, matlab.steps, matlab.batch) == ((10,), 1000, None)
    assert (matlab.rho, matlab.beta) == (0.05, pytest.approx(0.02))
    assert SparseAutoencoder.from_preset("sparse", 784).get_params() == {
        **SparseAutoencoder().get_params(),
        "batch": 60,
    }


def test_what_makes_no_sense_is_said():
    with pytest.raises(ValueError, match="preset: expected article, article-plain, images, top-k"):
        SparseAutoencoder.from_preset("dense", 12)
    with pytest.raises(TypeError, match="n_features: expected a whole number"):
        SparseAutoencoder.from_preset("top-k", "12")
    with pytest.raises(TypeError, match="nonsense"):
        SparseAutoencoder.from_preset("top-k", 12, nonsense=1)
