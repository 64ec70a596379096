"""The dictionary, summaries of units, and errors of samples."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sae import SparseAutoencoder

RELU = {"activation": "relu", "initialization": "he", "beta": 0.0, "learning_rate": 0.001, "random_state": 1}
TOP = {**RELU, "code": "top-k:3", "steps": 40}


@pytest.fixture(scope="module")
def sparse(digits):
    return SparseAutoencoder((30,), **TOP).fit(digits[0])


def test_components_are_the_rows_of_a_linear_decoder(small):
    model = SparseAutoencoder((8,), **TOP).fit(small)
    assert model.components_.shape == (8, 6) and model.components_.dtype == np.float32
    assert model.n_components_ == model._n_features_out == 8
    found = model.transform(small) @ model.components_ + model.intercepts_[-1]
    assert np.allclose(found, model.reconstruct(small), atol=1e-5)
    # A copy.
    model.components_[:] = 0
    assert model.components_.any()


def test_components_of_bytes_are_bytes(sparse):
    assert np.allclose(sparse.components_, 255 * sparse.coefs_[-1], rtol=1e-6)


def test_components_of_a_tied_network_are_the_encoder(small):
    model = SparseAutoencoder((8,), tied=True, **TOP).fit(small)
    assert np.array_equal(model.components_, model.coefs_[0].T)


def test_components_of_a_transcoder_are_in_the_units_of_its_targets(small):
    targets = (small[:, :4] > 0).astype(np.uint8) * 255
    model = SparseAutoencoder((8,), output_activation="linear", **TOP).fit(small, targets=targets)
    assert model.components_.shape == (8, 4)
    assert np.allclose(model.components_, 255 * model.coefs_[-1], rtol=1e-6)
    errors = model.reconstruction_errors(small, targets=targets)
    assert np.allclose(errors, ((model.reconstruct(small) - targets / 255) ** 2).mean(axis=1), rtol=1e-4)
    for call in [model.reconstruction_errors, model.evaluate, model.score, model.plot_activations]:
        with pytest.raises(ValueError, match="^targets: expected those of X, which the network predicts"):
            call(small)
    plain = SparseAutoencoder((8,), **TOP).fit(small)
    for call in [plain.reconstruction_errors, plain.evaluate]:
        with pytest.raises(ValueError, match="^targets: the network was trained to reconstruct X"):
            call(small, targets=small)
    assert len(model.units(small)["mean"]) == 8


@pytest.mark.parametrize(
    "scaling",
    ["min-max", "min-max:feature", "mean-deviation", "mean-deviation:feature", "center", "unit-rms", "layer-norm"],
)
def test_components_of_a_loaded_scaling_are_in_the_units_of_the_data(small, command, tmp_path, scaling):
    X = (3 + small * np.arange(6)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    options = ["--scaling", scaling, "--output-activation", "linear", "--layers", "6,4,6", "--holdout", 0]
    path = tmp_path / "m.safetensors"
    command("train", "--samples", tmp_path / "x.npy", *options, "--steps", 30, "--quiet", "--out", path)
    model, doubles = SparseAutoencoder.load(path), X.astype(np.float64)
    by_feature = scaling.endswith(":feature")
    among = doubles if by_feature else doubles.ravel()
    factor = {
        "min-max": np.ptp(among, axis=0),
        "mean-deviation": among.std(axis=0),
        "center": 1.0,
        "unit-rms": np.sqrt((doubles**2).mean()),
        "layer-norm": 1.0,
    }[scaling.split(":")[0]]
    assert np.allclose(model.components_, model.coefs_[-1] * factor, rtol=1e-5)
    # The first feature is constant: nothing changes it.
    assert not by_feature or not model.components_[:, 0].any()


def test_a_deep_decoder_has_no_components(small):
    model = SparseAutoencoder((5, 3, 5), steps=5).fit(small)
    assert not hasattr(model, "components_") and model.n_components_ == 3
    with pytest.raises(AttributeError, match="components_: the decoder has more than one layer"):
        _ = model.components_
    with pytest.raises(ValueError, match="decoder of one layer"):
        model.redundancy()
    assert len(model.units(small, layer=2)["norm"]) == 5
    with pytest.raises(ValueError, match="layer.*expected a hidden layer, 0 to 2, got 3"):
        model.units(small, layer=3)


def test_what_is_not_fitted_has_no_units(small):
    model = SparseAutoencoder()
    assert not hasattr(model, "components_") and not hasattr(model, "n_components_")
    for call in [model.units, model.reconstruction_errors]:
        with pytest.raises(NotFittedError):
            call(small)
    with pytest.raises(NotFittedError):
        model.redundancy()


def test_units_say_what_the_codes_do(sparse, digits):
    X, labels = digits
    codes, units = np.asarray(sparse.transform(X)), sparse.units(X, labels, top=5)
    active = codes != 0
    assert np.array_equal(units["active"], active.sum(axis=0))
    assert np.array_equal(units["frequency"], active.mean(axis=0))
    assert np.allclose(units["mean"], codes.mean(axis=0), rtol=1e-5)
    with np.errstate(invalid="ignore"):
        assert np.allclose(units["mean_active"], codes.sum(axis=0) / active.sum(axis=0), rtol=1e-5, equal_nan=True)
    assert np.array_equal(units["max"], codes.max(axis=0))
    assert np.array_equal(units["dead"], ~active.any(axis=0)) and units["dead"].any()
    assert np.array_equal(units["dense"], active.mean(axis=0) > 0.1) and units["dense"].any()
    assert np.allclose(units["norm"], np.linalg.norm(sparse.coefs_[1], axis=1))
    assert np.allclose(units["norm_in"], np.linalg.norm(sparse.coefs_[0], axis=0))
    assert np.array_equal(units["classes"], np.arange(10))
    for label in range(10):
        assert np.array_equal(units["label_counts"][:, label], active[labels == label].sum(axis=0))
    assert units["top_index"].shape == units["top_activation"].shape == (30, 5)
    for unit, (samples, activations) in enumerate(zip(units["top_index"], units["top_activation"])):
        order = np.argsort(-codes[:, unit], kind="stable")[: min(5, active[:, unit].sum())]
        assert np.array_equal(samples[: len(order)], order) and (samples[len(order) :] == -1).all()
        assert np.array_equal(activations[: len(order)], codes[order, unit])
        assert np.isnan(activations[len(order) :]).all()
    edges = units["histogram_edges"]
    assert np.array_equal(edges, np.linspace(-4, 4, 65))
    # Bins have their upper end in them; no activation lies on one.
    for unit in range(30):
        expected = np.histogram(np.log10(codes[active[:, unit], unit]), edges)[0]
        assert np.array_equal(units["histogram"][unit], expected)


def test_the_nearest_units(sparse, digits):
    rows = sparse.components_ / np.linalg.norm(sparse.components_, axis=1, keepdims=True)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)
    units, found = sparse.units(digits[0]), sparse.redundancy()
    for of in [units, found]:
        assert np.array_equal(of["nearest"], cosines.argmax(axis=1))
        assert np.allclose(of["nearest_cosine"], cosines.max(axis=1), atol=1e-5)
    assert found["mean"] == pytest.approx(cosines.max(axis=1).mean(), abs=1e-5)
    assert found["max"] == pytest.approx(cosines.max(), abs=1e-5)
    without = sparse.units(digits[0], nearest=False)
    assert (without["nearest"] == -1).all() and np.isnan(without["nearest_cosine"]).all()


def test_one_unit_has_no_other(small):
    model = SparseAutoencoder((1,), steps=5, beta=0.0).fit(small)
    found = model.redundancy()
    assert found["nearest"].tolist() == [-1] and np.isnan(found["nearest_cosine"]).all()
    assert np.isnan([found["mean"], found["max"]]).all()
    assert model.units(small)["nearest"].tolist() == [-1]


def test_labels_of_any_kind(sparse, digits):
    X, labels = digits
    expected = sparse.units(X, labels)
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    found = sparse.units(X, pd.Series(names[labels]))
    assert found["classes"].tolist() == sorted(names)
    order = np.argsort(names)
    assert np.array_equal(found["label_counts"], expected["label_counts"][:, order])
    assert np.array_equal(sparse.units(X, 100 * labels.astype(int))["label_counts"], expected["label_counts"])
    # The largest label may be of no active sample.
    assert sparse.units(X, np.arange(400) % 256)["label_counts"].shape == (30, 256)
    none = sparse.units(X)
    assert none["label_counts"].shape == (30, 0) and none["classes"].shape == (0,)


@pytest.mark.parametrize(
    ("labels", "error", "sentence"),
    [
        (np.arange(400), ValueError, "labels: expected at most 256 different labels, got 400"),
        (np.zeros(399), ValueError, "labels: expected one for each of the 400 samples, got 399"),
        (np.zeros((400, 1)), ValueError, r"labels: expected one label for each sample, got the shape \(400, 1\)"),
        (np.full(400, np.nan), ValueError, "labels: expected labels, got NaN for sample 0"),
        ([None, "a"] * 200, ValueError, "labels: expected a label for each sample, sample 0 has none"),
        (np.array([1, "a"] * 200, dtype=object), TypeError, "labels: expected labels of one type"),
    ],
)
def test_wrong_labels(sparse, digits, labels, error, sentence):
    with pytest.raises(error, match=sentence):
        sparse.units(digits[0], labels)


def test_wrong_numbers_of_units(sparse, digits):
    X = digits[0]
    with pytest.raises(ValueError, match="top: expected a whole number from 0"):
        sparse.units(X, top=-1)
    with pytest.raises(TypeError, match="top: expected a whole number, got 2.5"):
        sparse.units(X, top=2.5)
    with pytest.raises(TypeError, match="layer: expected a whole number, got 'code'"):
        sparse.units(X, layer="code")
    with pytest.raises(ValueError, match="X has 783 features"):
        sparse.units(X[:, 1:])
    with pytest.raises(TypeError, match="only fit and partial_fit take an iterator of batches"):
        sparse.units(iter([X]))
    assert sparse.units(X, top=0)["top_index"].shape == (30, 0)
    # More than there are samples.
    assert sparse.units(X[:7], top=10**15)["top_index"].shape == (30, 7)


def test_errors_of_samples(sparse, digits, write_idx):
    X = digits[0]
    errors = sparse.reconstruction_errors(X)
    assert errors.shape == (400,) and errors.dtype == np.float64
    assert np.allclose(errors, ((sparse.reconstruct(X) - X / 255) ** 2).mean(axis=1), rtol=1e-5)
    assert errors.mean() == pytest.approx(sparse.evaluate(X)["squared_error"])
    assert np.array_equal(sparse.reconstruction_errors(write_idx(X)), errors)
    assert np.array_equal(clone(sparse).set_params(threads=1).fit(X).reconstruction_errors(X), errors)
    trained = SparseAutoencoder((30,), beta=0.0, steps=300, random_state=1).fit(X)
    noise = np.random.RandomState(0).randint(0, 256, size=(20, 784)).astype(np.uint8)
    assert trained.reconstruction_errors(noise).min() > trained.reconstruction_errors(X).max()


def test_the_units_of_files_and_pickles_are_the_same(sparse, digits, write_idx):
    expected = sparse.units(digits[0], digits[1])
    for model in [sparse, pickle.loads(pickle.dumps(sparse))]:
        found = model.units(write_idx(digits[0]), digits[1])
        for name, array in expected.items():
            assert np.array_equal(found[name], array, equal_nan=array.dtype.kind == "f"), name


def test_data_frames_of_wide_sparse_codes(small):
    model = SparseAutoencoder((1100,), **TOP).fit(small)
    assert issparse(model.transform(small))
    names = model.get_feature_names_out()
    assert names.shape == (1100,) and names[7] == "sparseautoencoder7"
    expected = model.transform(small).toarray()
    pipeline = make_pipeline(StandardScaler(), SparseAutoencoder((1100,), **TOP))
    frame = pipeline.set_output(transform="pandas").fit_transform(small)
    assert list(frame.columns) == list(names) and frame.shape == (60, 1100)
    frame = model.set_output(transform="pandas").transform(small)
    assert isinstance(frame, pd.DataFrame) and np.array_equal(frame.to_numpy(), expected)
    assert np.array_equal(model.inverse_transform(frame), model.reconstruct(small))
    assert issparse(model.set_output(transform="default").transform(small))
    with pytest.raises(ValueError, match="sparse"):
        model.set_params(output="sparse").set_output(transform="pandas").transform(small)
