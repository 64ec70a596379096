"""Sentences in the words of Python: parameters, rows and columns, and the caller's line."""

import inspect
import re
import sys
import warnings

import numpy as np
import pytest

import sae
from sae import SparseAutoencoder

BASE = {"layers": (3,), "beta": 0, "steps": 5, "random_state": 1}


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).normal(size=(80, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "reconstructions are worse")
        yield


@pytest.mark.parametrize(
    ("parameters", "kind", "sentence"),
    [
        ({"tied": 1}, TypeError, "tied: expected True or False, got 1$"),
        ({"unit_norm": "yes"}, TypeError, "unit_norm: expected True or False, got 'yes'"),
        ({"rho": True}, TypeError, "rho: expected a number, got True"),
        ({"steps": 100.0}, TypeError, "steps: expected a whole number, got 100.0, a float; give an int"),
        ({"warm_up": -1}, ValueError, "warm_up: expected a whole number from 0 to .*, got -1$"),
        ({"sparsity_warm_up": -1}, ValueError, "sparsity_warm_up: expected a whole number from 0 to .*, got -1$"),
        ({"random_state": -1}, ValueError, "random_state: expected a whole number from 0 to .*, got -1$"),
        ({"threads": -1}, ValueError, "threads: expected at least 1, got -1"),
        ({"threads": 0}, ValueError, "threads: expected at least 1, got 0"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every: expected at least 1, got 0"),
        (
            {"output_activation": "sigmoid"},
            ValueError,
            r"X: sample \d+, feature \d is .* use a linear output \(parameter output_activation\), scale the data by "
            "MinMaxScaler, or set allow_unreachable=True$",
        ),
        ({"beta": 1, "activation": "relu"}, ValueError, r"beta: .* relu \(parameter activation\).*\(parameter l1\)"),
        ({"code": "top-k:9", "activation": "relu"}, ValueError, r"code: .*\(parameter layers\)"),
        ({"lambda_": -1}, ValueError, "lambda_: expected a number from 0 "),
    ],
)
def test_errors_name_what_python_has(X, parameters, kind, sentence):
    with pytest.raises(kind, match=sentence) as raised:
        SparseAutoencoder(**{**BASE, **parameters}).fit(X)
    assert "field" not in str(raised.value)


def test_warnings_name_columns_and_what_python_has():
    pandas = pytest.importorskip("pandas")
    rows = np.random.RandomState(1).normal(size=(200, 6)).astype(np.float32)
    rows[:, 0] *= 1e5
    frame = pandas.DataFrame(rows, columns=list("abcdef"))
    model = SparseAutoencoder((1,), beta=0, steps=400, random_state=1, activation="linear", learning_rate=0.1)
    with pytest.warns(UserWarning) as caught:
        model.fit(frame)
    sentences = [str(one.message) for one in caught if "of feature" in str(one.message)]
    assert len(sentences) == 1 and "StandardScaler" in sentences[0] and "mean-deviation" not in sentences[0]
    assert re.search(r"of feature (\d) \(([b-f])\)", sentences[0]), sentences[0]


def test_a_warning_of_rounding_names_the_column(X):
    pandas = pytest.importorskip("pandas")
    rows = X.astype(np.float64)
    rows[:, 4] += 1e9
    with pytest.warns(UserWarning, match=r"X: feature 4 \(e\) is from"):
        SparseAutoencoder(**BASE).fit(pandas.DataFrame(rows, columns=list("abcdef")))


def test_missing_numbers_and_texts_of_a_data_frame_are_named_by_row_and_column(X):
    pandas = pytest.importorskip("pandas")
    names = list("abcdef")
    frame = pandas.DataFrame(X, columns=names, index=[f"r{at}" for at in range(80)])
    model = SparseAutoencoder(**BASE).fit(frame)
    holes = frame.copy()
    holes.iloc[5, 2] = np.nan
    sentence = "row 'r5', column 'c' has no number"
    for call in (SparseAutoencoder(**BASE).fit, model.transform, model.evaluate):
        with pytest.raises(ValueError, match="^X: " + sentence):
            call(holes)
    with pytest.raises(ValueError, match="^X_val: " + sentence):
        SparseAutoencoder(**BASE).fit(frame, X_val=holes)
    with pytest.raises(ValueError, match="^targets: " + sentence):
        SparseAutoencoder(**BASE).fit(frame, targets=holes)
    for missing in (holes.astype(object), holes.astype("Float32")):
        with pytest.raises(ValueError, match=sentence):
            model.transform(missing)
    infinite = frame.copy()
    infinite.iloc[5, 2] = np.inf
    with pytest.raises(ValueError, match="X: sample 5, feature 2 is inf"):
        model.transform(infinite)
    texts = frame.astype(object)
    texts.iloc[7, 3] = "seven"
    with pytest.raises(ValueError, match="X: column 'd' has 'seven' in row 'r7'; expected numbers"):
        model.transform(texts)
    texts.iloc[7, 3] = "7"
    assert model.transform(texts).shape == (80, 3)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([None, 2], "sample 0 has none"),
        (["a", None], "sample 1 has none"),
        (["a", float("nan")], "sample 1 has none"),
        (np.array(["a", np.nan], dtype=object), "sample 1 has none"),
        ([1, 2, 3], "expected one for each of the 80 samples, got 120"),
    ],
)
def test_missing_labels(X, labels, sentence):
    model = SparseAutoencoder(**BASE).fit(X)
    labels = np.tile(labels, 40) if isinstance(labels, np.ndarray) else labels * 40
    with pytest.raises(ValueError, match="^labels: .*" + sentence):
        model.units(X, labels)
    with pytest.raises(ValueError, match="^y: .*" + sentence):
        model.report(X, labels)


def test_a_model_of_floats_warns_of_bytes(X, tmp_path):
    rows = (np.random.RandomState(1).randint(0, 256, (80, 6))).astype(np.uint8)
    scaled = (rows / 255).astype(np.float32)
    model = SparseAutoencoder(**BASE).fit(scaled)
    model.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", rows)
    sentence = "X: the model was not trained on bytes, and takes uint8 as it is, not divided by 255"
    loaded = SparseAutoencoder.load(tmp_path / "m.safetensors")
    for call in (model.transform, model.reconstruct, model.evaluate, model.units, model.partial_fit, loaded.transform):
        for data in (rows, str(tmp_path / "x.npy")):
            with pytest.warns(UserWarning, match=sentence) as caught:
                call(data)
            assert {one.filename for one in caught} == {__file__}
    with pytest.warns(UserWarning, match="X_val: the model was not trained on bytes"):
        SparseAutoencoder(**BASE).fit(scaled, X_val=rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "reconstructions are worse")
        warnings.filterwarnings("ignore", "X: integers")
        # Numbers that are as they were, and models that know bytes.
        model.transform(rows.astype(np.float32))
        model.transform(rows % 2)
        SparseAutoencoder(**BASE).fit(rows.astype(np.int64)).transform(rows)
        SparseAutoencoder(**BASE).fit(rows, X_val=rows).transform(rows)


def test_a_memory_map_is_named(X, tmp_path):
    holes = X.copy()
    holes[5, 2] = np.nan
    np.save(tmp_path / "x.npy", holes)
    with pytest.raises(ValueError, match="^X: sample 5, feature 2 is NaN"):
        SparseAutoencoder(**BASE).fit(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_files_without_tensors_have_no_tensor_of_a_name(X, tmp_path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(ValueError, match="tensor: expected None, because .*x.npy is no safetensors file, got 'b'"):
        sae.open_data(tmp_path / "x.npy", tensor="b")


def test_warnings_point_to_the_line_of_the_caller(X):
    from sklearn.pipeline import make_pipeline

    whole = (np.random.RandomState(1).randint(0, 256, (80, 6))).astype(np.int64)
    for call in (
        lambda: SparseAutoencoder(**BASE).fit(whole),
        lambda: SparseAutoencoder(**BASE).fit_transform(whole),
        lambda: make_pipeline(SparseAutoencoder(**BASE)).fit(whole),
    ):
        with pytest.warns(UserWarning, match="X: integers from 0") as caught:
            call()
        places = {(one.filename, one.lineno) for one in caught if one.category is UserWarning}
        assert places == {(__file__, inspect.getsourcelines(call)[1])}


def test_a_warning_of_empty_files_points_to_the_line_of_the_caller(X, tmp_path):
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", X[:0])
    for call in (
        lambda: sae.open_data(tmp_path),
        lambda: SparseAutoencoder(**BASE).fit(tmp_path),
    ):
        with pytest.warns(UserWarning, match="has no samples, and is left out") as caught:
            call()
        assert (caught[0].filename, caught[0].lineno) == (__file__, inspect.getsourcelines(call)[1])


def test_the_terms_of_an_evaluation_are_as_explained(X):
    rows = (X - X.min()) / (X.max() - X.min())
    model = SparseAutoencoder((4,), beta=0.5, rho=0.3, lambda_=0.2, l1=0.1, steps=20, random_state=1).fit(rows)
    found = model.evaluate(rows)
    assert np.isclose(found["penalty"], 0.5 * found["sparsity"] + 0.1 * found["l1"])
    assert np.isclose(found["objective"], found["loss"] + found["penalty"] + 0.2 * found["weight_decay"])
    (layer,) = found["layers"]
    assert isinstance(layer["dead_units"], list) and isinstance(layer["dense_units"], list)
    assert np.isnan(model.evaluate(np.full((9, 6), 0.5))["explained_variance"])


def test_the_last_incomplete_batch_is_left_out_of_the_explained_variance_per_batch(X):
    rows = np.random.RandomState(2).normal(size=(1500, 6)).astype(np.float32)
    model = SparseAutoencoder(**{**BASE, "steps": 100}).fit(rows)
    whole, first = model.evaluate(rows), model.evaluate(rows[:1024])
    assert whole["explained_variance_per_batch"] == first["explained_variance_per_batch"]
    assert first["explained_variance_per_batch"] == pytest.approx(first["explained_variance"])


def test_the_version_is_that_of_the_package():
    if sys.version_info >= (3, 10):
        from importlib.metadata import version

        assert sae.__version__ == version("sae")
    assert re.fullmatch(r"\d+\.\d+\.\d+", sae.__version__)


def test_public_methods_say_what_they_raise():
    public = [
        one
        for name, one in inspect.getmembers(SparseAutoencoder, inspect.isfunction)
        if not name.startswith("_") and one.__module__.startswith("sae.")
    ]
    assert len(public) > 10
    # They raise what `evaluate` or `fit` do, or nothing of their own.
    for one in public:
        if one.__name__ not in {"plot_activations"}:
            assert "Raises\n" in one.__doc__, one.__name__
    for kind in (sae.UnitSummaries, sae.Redundancy):
        assert all(f'"{key}"' in kind.__doc__ for key in kind.__annotations__)
