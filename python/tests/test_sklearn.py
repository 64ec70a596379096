"""The scikit-learn API."""

import inspect
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sae import SparseAutoencoder, _sae, _settings


@parametrize_with_checks(
    [
        SparseAutoencoder(steps=60),
        SparseAutoencoder(
            layers=(12,),
            activation="relu",
            initialization="he",
            beta=0.0,
            code="top-k:3",
            learning_rate=0.001,
            steps=30,
        ),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)


def test_defaults_are_those_of_the_command(write_idx, command, tmp_path):
    data = np.random.RandomState(0).randint(0, 256, size=(50, 9)).astype(np.uint8)
    path, model = write_idx(data), tmp_path / "model.safetensors"
    command("train", "--images", path, "--holdout", 0, "--steps", 5, "--out", model, "--quiet")
    ours = SparseAutoencoder(steps=5, random_state=1).fit(data)
    ours.save(tmp_path / "ours.safetensors")
    assert model.read_bytes() == (tmp_path / "ours.safetensors").read_bytes()


def test_parameters_are_the_table_of_settings():
    """Each setting of the library's table is a parameter with the same default, and vice versa."""
    parameters = {
        name: parameter.default
        for name, parameter in inspect.signature(SparseAutoencoder).parameters.items()
    }
    for name in parameters:
        assert f"    {name} : " in SparseAutoencoder.__doc__
    for field, kind, default in _sae.settings_fields():
        value = parameters.pop(_settings.NAMES.get(field, field))
        if field == "layers":
            assert list(value) == json.loads(f"[{default}]")[1:-1]
        elif value is None:
            # The library's default: "none", or one that depends on the data or the seed.
            assert default == "none" or field in {"output_activation", "batch", "seed"}, field
        elif kind == "number":
            assert value == float(default), field
        else:
            assert _settings.text(field, value) == default, field
    assert set(parameters) == {
        *("steps", "epochs", "warm_start", "pretrain", "revive", "patience", "evaluate_every", "holdout"),
        *("threads", "output", "verbose", "callback", "report_every", "initialisation"),
    }


def test_an_unknown_parameter():
    with pytest.raises(TypeError, match=r"^SparseAutoencoder\(\) got an unexpected keyword argument 'n_components'"):
        SparseAutoencoder(n_components=3)


def test_the_old_spelling_of_initialization(small):
    he = SparseAutoencoder((3,), steps=5, random_state=1, initialization="he").fit(small)
    old = SparseAutoencoder((3,), steps=5, random_state=1, initialisation="he")
    with pytest.warns(FutureWarning, match="initialization"):
        assert np.array_equal(clone(old).fit(small).coefs_[0], he.coefs_[0])


def test_pipeline_and_grid_search(digits):
    X, labels = digits
    coder = SparseAutoencoder(layers=(40,), steps=400, beta=0.0, random_state=1)
    pipeline = make_pipeline(coder, LogisticRegression(max_iter=500))
    grid = {
        "sparseautoencoder__layers": [(1,), (40,)],
        "sparseautoencoder__l1": np.array([0.0, 1e-6]),
    }
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2, error_score="raise")
    search.fit(X[:300], labels[:300])
    # One unit cannot distinguish ten digits.
    assert search.best_params_["sparseautoencoder__layers"] == (40,)
    assert search.score(X[300:], labels[300:]) > 0.5


def test_grid_search_by_its_own_score(small):
    grid = {"layers": [(1,), (5,)]}
    model = SparseAutoencoder(beta=0.0, steps=400, random_state=0)
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(small)
    assert search.best_params_ == {"layers": (5,)}


def test_score_is_r2(small):
    model = SparseAutoencoder(layers=(4,), beta=0.0, steps=300, random_state=0).fit(small)
    expected = r2_score(small, model.reconstruct(small), multioutput="variance_weighted")
    assert model.score(small) == pytest.approx(expected, abs=1e-5)
    assert expected > 0.3
    constant = np.zeros((5, 6), np.float32)
    assert model.score(constant) == 0.0


def test_score_is_r2_far_from_0():
    """The variance is not what remains of large numbers that cancel."""
    for value in [14.62, 1e8, -1e-30]:
        constant = np.full((7, 1), value, np.float32)
        model = SparseAutoencoder((1,), beta=0.0, steps=1, random_state=0).fit(constant)
        evaluation = model.evaluate(constant)
        assert np.isnan(evaluation["explained_variance"])
        assert np.isnan(evaluation["explained_variance_per_feature"]).all()
        is_exact = np.array_equal(model.reconstruct(constant), constant)
        assert model.score(constant) == (1.0 if is_exact else 0.0)
        # Biases that begin with 0 are far from all of these.
        model.set_params(output_bias="zero").fit(constant)
        assert model.score(constant) == 0.0
    X = np.float32(1e8) + np.float32(8) * (np.arange(1000) % 2).astype(np.float32).reshape(-1, 1)
    model = SparseAutoencoder((1,), beta=0.0, steps=0, random_state=0, output_bias="zero").fit(X)
    expected = r2_score(X.astype(float), model.reconstruct(X).astype(float))
    assert model.score(X) == pytest.approx(expected, rel=1e-9)
    assert expected < -1e13


def test_each_feature_has_a_score(small):
    X = small * np.array([1, 10, 1, 1e-3, 1, 0], np.float32)
    X[:, 3] += 1
    linear = {"activation": "linear", "initialization": "xavier", "beta": 0.0}
    model = SparseAutoencoder((4,), steps=200, random_state=0, **linear).fit(X)
    found = model.evaluate(X)["explained_variance_per_feature"]
    expected = r2_score(X[:, :5], model.reconstruct(X)[:, :5], multioutput="raw_values")
    assert found.shape == (6,) and np.isnan(found[5])
    assert np.allclose(found[:5], expected, rtol=1e-4, atol=1e-4)
    # The wide column hides the narrow one in the score of all.
    assert model.score(X) > 0.5 and found[3] < 0


def test_evaluate_has_the_figures_of_the_field(small):
    settings = {"activation": "relu", "initialization": "he", "beta": 0.0, "code": "top-k:2"}
    model = SparseAutoencoder((8,), steps=50, random_state=0, **settings).fit(small)
    found = model.evaluate(small)
    x, a = small.astype(float), model.reconstruct(small).astype(float)
    norms = np.linalg.norm(x, axis=1), np.linalg.norm(a, axis=1)
    cosines = (x * a).sum(axis=1) / (norms[0] * norms[1])
    assert found["fvu"] == pytest.approx(1 - r2_score(x, a, multioutput="variance_weighted"))
    assert found["explained_variance_per_batch"] == pytest.approx(found["explained_variance"])
    assert found["cosine_similarity"] == pytest.approx(cosines[norms[1] > 0].mean())
    assert found["l2_ratio"] == pytest.approx((norms[1] / norms[0]).mean())
    bias = (a * a).sum() / (x * a).sum()
    assert found["relative_reconstruction_bias"] == pytest.approx(bias)
    layer, codes = found["layers"][0], model.transform(small)
    frequencies = (np.asarray(codes) != 0).mean(axis=0)
    assert np.array_equal(layer["frequencies"], frequencies)
    assert layer["dense_units"] == list(np.flatnonzero(frequencies > 0.1))


def test_names_of_features_and_output():
    frame = pd.DataFrame(np.eye(6), columns=list("abcdef"))
    model = SparseAutoencoder(layers=(2,), steps=5).set_output(transform="pandas").fit(frame)
    assert list(model.feature_names_in_) == list("abcdef")
    codes = model.transform(frame)
    assert list(codes.columns) == ["sparseautoencoder0", "sparseautoencoder1"]


def test_before_fit(small):
    model = SparseAutoencoder()
    for call in [model.transform, model.inverse_transform, model.score, model.evaluate]:
        with pytest.raises(NotFittedError):
            call(small)
    with pytest.raises(NotFittedError):
        model.save("never")
    with pytest.raises(NotFittedError):
        _ = model.coefs_


def test_clone_has_the_parameters_and_no_network(small):
    model = SparseAutoencoder(layers=(3,), steps=5, code="top-k:2").fit(small)
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert not hasattr(again, "n_iter_")


def test_random_state(small):
    def weights(random_state):
        return SparseAutoencoder((3,), steps=5, random_state=random_state).fit(small).coefs_[0]

    assert np.array_equal(weights(7), weights(np.int64(7)))
    assert np.array_equal(weights(np.random.RandomState(1)), weights(np.random.RandomState(1)))
    assert not np.array_equal(weights(None), weights(None))
    drawn = SparseAutoencoder((3,), steps=5).fit(small)
    assert np.array_equal(drawn.coefs_[0], weights(drawn.seed_))
