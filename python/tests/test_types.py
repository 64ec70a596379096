"""Types of data: the scaling belongs to the model."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sae import SparseAutoencoder

TYPES = ["uint8", "float32", "float64", "float16", "int16", "int32", "int64", "uint16", "uint64", ">i4", ">f8"]


@pytest.fixture(scope="module")
def bytes_model(digits):
    X = digits[0]
    return SparseAutoencoder((20,), beta=0.0, steps=200, random_state=1).fit(X)


def same_results(model, X, other):
    return (
        np.array_equal(model.transform(other), model.transform(X))
        and np.array_equal(model.reconstruct(other), model.reconstruct(X))
        and model.score(other) == model.score(X)
    )


@pytest.mark.parametrize("dtype", TYPES)
def test_a_model_of_bytes_takes_them_in_any_type(bytes_model, digits, dtype):
    X = digits[0][:50]
    assert same_results(bytes_model, X, X.astype(dtype))
    assert same_results(bytes_model, X, np.asfortranarray(X.astype(dtype)))


def test_frames_lists_and_files_of_bytes(bytes_model, digits, write_idx, tmp_path):
    X = digits[0][:50]
    frame = pd.DataFrame(X).rename(columns=str)
    mixed = frame.astype({"400": "int64"})
    model = SparseAutoencoder((20,), beta=0.0, steps=200, random_state=1).fit(digits[0])
    for other in [
        X.tolist(),
        X.astype(object),
        frame.to_numpy(),
        frame.astype("UInt8").to_numpy(dtype=float),
        write_idx(X),
    ]:
        assert same_results(model, X, other)
    named = SparseAutoencoder((20,), beta=0.0, steps=200, random_state=1)
    named.fit(pd.DataFrame(digits[0]).rename(columns=str))
    for other in [frame, frame.astype("UInt8"), frame.astype("Int64"), mixed, frame.astype(float)]:
        assert np.array_equal(named.transform(other), model.transform(X))
        assert named.score(other) == model.score(X)
    np.save(tmp_path / "x.npy", X)
    assert np.array_equal(model.transform(tmp_path / "x.npy"), model.transform(X))


def test_files_of_other_types(bytes_model, digits, write_idx, tmp_path):
    X = digits[0][:50]
    codes = bytes_model.transform(X)
    for dtype in ["float32", "float64", "int64"]:
        np.save(tmp_path / "x.npy", X.astype(dtype))
        assert np.array_equal(bytes_model.transform(tmp_path / "x.npy"), codes)
    assert np.array_equal(bytes_model.transform(write_idx(X.astype(np.int16))), codes)
    np.save(tmp_path / "x.npy", X / 255)
    with pytest.raises(ValueError, match="whole numbers from 0 to 255"):
        bytes_model.transform(tmp_path / "x.npy")


@pytest.mark.parametrize("scaling", ["min-max", "mean-deviation:feature", "center", "unit-rms", "layer-norm"])
def test_a_loaded_scaling_scales_doubles(command, tmp_path, scaling):
    # Numbers that float32 cannot tell apart.
    X = 1e9 + np.random.RandomState(0).rand(60, 6)
    np.save(tmp_path / "x.npy", X)
    model = tmp_path / "m.safetensors"
    options = ["--scaling", scaling, "--holdout", 0, "--layers", "6,3,6", "--steps", 9, "--quiet"]
    command("train", "--samples", tmp_path / "x.npy", *options, "--out", model)
    command("encode", model, "--samples", tmp_path / "x.npy", "--out", tmp_path / "codes.npy")
    loaded = SparseAutoencoder.load(model)
    assert loaded._network.scaling == scaling
    codes = np.load(tmp_path / "codes.npy")
    for source in [X, X.tolist(), tmp_path / "x.npy", pd.DataFrame(X).to_numpy()]:
        assert np.array_equal(loaded.transform(source), codes)
    loaded.partial_fit(X)


def test_booleans_are_bytes(bytes_model):
    X = np.arange(784 * 3).reshape(3, 784) % 2
    assert same_results(bytes_model, X.astype(np.uint8), X.astype(bool))


@pytest.mark.parametrize("value", [0.5, -1.0, 256.0, 1e9, 254.99999999])
def test_what_is_no_byte_is_refused(bytes_model, digits, value, tmp_path, write_idx):
    X = digits[0][:5].astype(np.float64)
    X[3, 7] = value
    shown = {-1.0: "-1", 256.0: "256", 1e9: "1000000000"}.get(value, str(value))
    sentence = f"sample 3, feature 7 is {shown}; the scaling is byte, .* takes whole numbers from 0 to 255"
    for call in [
        bytes_model.transform,
        bytes_model.reconstruct,
        bytes_model.score,
        bytes_model.evaluate,
        bytes_model.partial_fit,
        bytes_model.plot_activations,
        bytes_model.plot_reconstructions,
    ]:
        with pytest.raises(ValueError, match=sentence):
            call(X)
    with pytest.raises(ValueError, match="^X_val: sample 3, feature 7 is .* whole numbers from 0 to 255"):
        SparseAutoencoder((3,), steps=500).fit(digits[0], X_val=X)
    if value != 254.99999999:
        with pytest.raises(ValueError, match="whole numbers from 0 to 255"):
            SparseAutoencoder((3,), steps=500).fit(write_idx(digits[0]), X_val=X)


def test_held_out_samples_are_converted(digits, write_idx):
    X = digits[0]

    def fit(X, X_val):
        return SparseAutoencoder((9,), steps=20, evaluate_every=10, random_state=1).fit(X, X_val=X_val)

    expected = fit(X, X[:30]).history_["validation_objective"]
    for source in [X, write_idx(X)]:
        for other in [X[:30].astype(np.float64), X[:30].astype(np.int64), pd.DataFrame(X[:30]).to_numpy()]:
            assert np.array_equal(fit(source, other).history_["validation_objective"], expected)
    values = X.astype(np.float32)
    expected = fit(values, values[:30]).history_["validation_objective"]
    assert np.array_equal(fit(values, X[:30]).history_["validation_objective"], expected)


def test_a_model_of_values_takes_bytes_as_they_are(digits, write_idx, command, tmp_path):
    X = digits[0][:, 300:330]
    values = X.astype(np.float32)
    model = SparseAutoencoder((5,), beta=0.0, steps=50, random_state=1, learning_rate=1e-4).fit(values)
    assert same_results(model, values, X)
    assert same_results(model, values, pd.DataFrame(X).to_numpy())
    model.save(tmp_path / "m.safetensors")
    command("encode", tmp_path / "m.safetensors", "--samples", write_idx(X), "--out", tmp_path / "codes.npy")
    codes = np.load(tmp_path / "codes.npy")
    for loaded in [model, SparseAutoencoder.load(tmp_path / "m.safetensors")]:
        for other in [X, values, write_idx(X)]:
            assert np.array_equal(loaded.transform(other), codes)
    again = SparseAutoencoder.load(tmp_path / "m.safetensors").partial_fit(values)
    assert np.array_equal(
        SparseAutoencoder.load(tmp_path / "m.safetensors").partial_fit(X).coefs_[0], again.coefs_[0]
    )


def test_a_frame_of_bytes_is_one_of_bytes(digits):
    X = digits[0]
    params = {"layers": (9,), "steps": 20, "random_state": 1}
    expected = SparseAutoencoder(**params).fit(X).coefs_[0]
    frame = pd.DataFrame(X).rename(columns="p{}".format)
    half = frame.astype({name: "UInt8" for name in frame.columns[::2]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of a short training.
        warnings.filterwarnings("ignore", message="reconstructions are worse")
        for other in [frame, frame.astype("UInt8"), half]:
            model = SparseAutoencoder(**params).fit(other)
            assert np.array_equal(model.coefs_[0], expected)
            assert model.feature_names_in_[3] == "p3"
    missing = frame.astype("UInt8")
    missing.iloc[3, 7] = pd.NA
    with pytest.raises(ValueError, match="NaN"):
        SparseAutoencoder(**params).fit(missing)
    with pytest.raises(ValueError, match="NaN"):
        SparseAutoencoder(**params).fit(frame).transform(missing)


def test_integers_that_look_like_bytes_get_a_warning(digits):
    X = digits[0]
    model = SparseAutoencoder((9,), steps=2, learning_rate=1e-6, beta=0.0)
    frame = pd.DataFrame(X).rename(columns=str)
    sentence = r"integers from 0 to 255 of another type than uint8 .* give X.astype\('uint8'\)"
    for other in [
        X.astype(np.int64),
        X.astype(np.uint16),
        X.tolist(),
        frame.astype({"400": "int64"}),
        frame.astype("Int16"),
    ]:
        for fit in [model.fit, SparseAutoencoder((9,), steps=2, learning_rate=1e-6).partial_fit]:
            with pytest.warns(UserWarning, match=sentence) as warned:
                fit(other)
            assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of a short training.
        warnings.filterwarnings("ignore", message="reconstructions are worse")
        for other in [
            X,
            X.astype(np.float32),
            X.astype(float),
            X.astype(np.int64) - 1,
            X.astype(np.int64) * 2,
            (X > 0).astype(np.int64),
            X > 0,
            frame,
        ]:
            model.fit(other)
            model.transform(other)


def test_numbers_that_float32_does_not_tell_apart_get_a_warning():
    seconds = 1.7e9 + np.arange(100.0)
    model = SparseAutoencoder((2,), steps=2, beta=0.0)
    for X in [seconds, seconds.astype(np.int64), seconds.astype(np.int32)]:
        X = np.column_stack([np.arange(100), X])
        with pytest.warns(UserWarning, match=r"feature 1 \(b\) is from 1700000000.0 to 1700000099.0"):
            model.fit(pd.DataFrame(X, columns=["a", "b"]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message="reconstructions are worse")
            model.fit((X - X.min(axis=0)).astype(float))
