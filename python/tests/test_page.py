"""The page of `report`."""

import base64
import html
import json
import os
import re
import stat
import zlib

import numpy as np
import pandas as pd
import pytest

import sae
from sae import SparseAutoencoder


def facts(page):
    return json.loads(re.search(r'id="sae-report">(.*?)</script>', page, re.S)[1])


def array(page, name):
    data = zlib.decompress(base64.b64decode(re.search(r'id="sae-arrays">(.*?)</script>', page, re.S)[1]))
    kind, at, count = facts(page)["arrays"][name]
    return np.frombuffer(data, {"f32": "<f4", "u32": "<u4", "u8": "u1", "i8": "i1"}[kind], count, at)


@pytest.fixture(scope="module")
def dense(digits):
    return SparseAutoencoder((20, 8, 20), steps=60, random_state=1, report_every=20).fit(digits[0])


@pytest.fixture(scope="module")
def top_k(digits):
    own = {"code": "top-k:5", "evaluate_every": 20, "random_state": 1}
    model = SparseAutoencoder.from_preset("top-k", 784, layers=(40,), steps=60, **own)
    return model.fit(digits[0], X_val=digits[0][:50])


@pytest.mark.parametrize("which", ["dense", "top_k"])
def test_a_page_has_the_figures_of_every_unit(which, digits, request):
    model = request.getfixturevalue(which)
    X, labels = digits
    report = model.report(X, labels)
    found = facts(report.html)
    assert found["samples"] == 400 and found["data"] == "an array"
    assert found["image"] == {"rows": 28, "columns": 28, "channels": 1, "planar": False}
    (of_model,) = found["models"]
    units = model.units(X, labels)
    assert of_model["layers"][-1]["units"] == len(units["frequency"])
    assert of_model["evaluation"]["objective"] == model.evaluate(X)["objective"]
    assert found["label_names"] == [str(digit) for digit in range(10)]
    assert of_model["model"] is None and of_model["history_of_batches"] is True
    layer = f"m0.l{len(of_model['layers']) - 1}"
    assert np.array_equal(array(report.html, f"{layer}.frequency"), units["frequency"].astype(np.float32))
    tops = array(report.html, f"{layer}.top").reshape(-1, 10)
    kept = array(report.html, f"{layer}.kept")
    active = units["active"][kept] >= 10
    assert np.array_equal(tops[active], units["top_index"][kept][active])


def test_curves_are_those_of_the_training(top_k, digits):
    history = facts(top_k.report(digits[0]).html)["models"][0]["history"]
    assert history["step"] == top_k.history_["step"].tolist()
    assert history["objective"] == top_k.history_["objective"].tolist()
    at = [step in top_k.history_["validation_step"] for step in history["step"]]
    held_out = np.array(history["validation_objective"], float)
    assert np.array_equal(held_out[at], top_k.history_["validation_objective"])
    assert np.isnan(held_out[np.logical_not(at)]).all()
    assert np.array_equal(np.array(history["mean_activations"]).T, top_k.history_["mean_activations"])


def test_long_histories_are_thinned(dense):
    from sae import _page

    steps = np.arange(1, 5001)
    history = {"step": steps, "objective": steps / 2.0, "mean_activations": np.ones((5000, 1))}
    history.update(validation_step=steps[9::10] * 10, validation_objective=steps[9::10] / 1.0)
    columns = dict(_page.columns(history))
    assert len(columns["step"]) <= 1000 and columns["step"][-1] == 50000
    assert columns["objective"][columns["step"].index(5000)] == 2500
    assert np.isfinite(columns["validation_objective"]).sum() == 167


def test_a_loaded_model_has_no_curves(top_k, digits, tmp_path):
    top_k.save(tmp_path / "m.safetensors")
    loaded = SparseAutoencoder.load(tmp_path / "m.safetensors")
    assert facts(loaded.report(digits[0]).html)["models"][0]["history"] is None


def test_names_labels_and_shapes(top_k, digits, tmp_path):
    X = digits[0][:60]
    names = [f"<{at}>" for at in range(60)]
    labels = np.where(digits[1][:60] < 5, "low", "high")
    for given in [names, tuple(names), np.array(names), pd.Series(names), iter(names)]:
        found = facts(top_k.report(X, labels, names=given, image_shape=(14, 56)).html)
        assert found["names"][0][1] == names and found["label_names"] == ["high", "low"]
        assert found["image"]["columns"] == 56
    assert facts(top_k.report(X, image_shape=[14, 14, 4]).html)["image"]["channels"] == 4
    array = facts(top_k.report(X, image_shape=np.array([14, 14, 4])).html)
    assert array["image"]["channels"] == 4
    with pytest.raises(ValueError, match=r"X: expected the shape \(n_samples, n_features\)"):
        top_k.report(X.reshape(-1, 28, 28))
    # Of numbers that are no pixels, names have neighbors.
    rows = np.random.RandomState(0).normal(size=(50, 6)).astype(np.float32)
    model = SparseAutoencoder((9,), code="top-k:2", activation="relu", beta=0, steps=30, random_state=1).fit(rows)
    found = facts(model.report(rows, names=names[:50], context=3).html)
    assert found["image"] is None and found["context"] == 3
    np.save(tmp_path / "rows.npy", rows)
    assert facts(model.report(tmp_path / "rows.npy").html)["data"] == str(tmp_path / "rows.npy")
    assert facts(model.report(rows, units=4).html)["models"][0]["layers"][0]["kept"] == 4


def test_columns_of_a_frame_have_their_names(small):
    frame = pd.DataFrame(small, columns=list("abcdef"))
    model = SparseAutoencoder((5,), beta=0, activation="relu", steps=20, random_state=1).fit(frame)
    assert facts(model.report(frame).html)["features"] == list("abcdef")
    found = facts(model.report(frame, image_shape=(2, 3)).html)
    assert found["features"] is None and found["image"]["rows"] == 2
    assert facts(model.fit(small).report(small).html)["features"] is None


def test_a_table_of_a_square_number_of_columns_is_no_image():
    rows = np.random.RandomState(0).uniform(size=(40, 64)).astype(np.float32)
    pixels, words = [f"pixel{at}" for at in range(64)], [f"{chr(97 + at % 26)}{at}" for at in range(64)]
    model = SparseAutoencoder((5,), beta=0, activation="relu", steps=5, random_state=1)

    def shown(X, names, shape=None):
        X = X if names is None else pd.DataFrame(X, columns=names)
        found = facts(model.fit(X).report(X, image_shape=shape).html)
        return found["image"] and found["image"]["rows"], found["features"]

    assert shown(rows, None) == (8, None)
    assert shown(rows, pixels) == (None, pixels) and shown(rows, words) == (None, words)
    assert shown(rows, words, (8, 8)) == (8, None)
    digits = (rows * 255).astype(np.uint8)
    assert shown(digits, pixels) == (8, None) and shown(digits, words) == (None, words)


def test_transcoders_need_targets(small):
    model = SparseAutoencoder((5,), beta=0, activation="relu", steps=20, random_state=1).fit(small, targets=small[:, :4])
    assert facts(model.report(small, targets=small[:, :4]).html)["models"][0]["targets"] is True
    with pytest.raises(ValueError, match="targets: expected those of X"):
        model.report(small)


def test_files_and_notebooks(top_k, digits, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    report = top_k.report(digits[0][:50], path=path)
    assert isinstance(report, sae.Report) and repr(report) == "Report('784-40-784, top-k:5', 50 samples)"
    assert path.read_text(encoding="utf-8") == report.html
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    report.save(str(tmp_path / "again.HTM"))
    # A file of another thread would have the wrong permissions meanwhile.
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is that of the process"))
    report.save(tmp_path / "again.HTM")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["again.HTM", "page.html"]
    frame = report._repr_html_()
    content = re.fullmatch(r'<iframe title="[^"<>]*" style="[^"<>]*" sandbox="([^"]*)" srcdoc="([^"]*)"></iframe>', frame)
    assert content[1] == "allow-scripts" and html.unescape(content[2]) == report.html
    with pytest.raises(FileNotFoundError) as raised:
        report.save(tmp_path / "missing" / "page.html")
    assert raised.value.filename == str(tmp_path / "missing" / "page.html")
    assert repr(top_k.report(digits[0][:1])).endswith("top-k:5', 1 sample)")


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"names": ["a"] * 49}, ValueError, "names: expected one for each of the 50 samples, got 49"),
        ({"names": "a" * 50}, TypeError, "names: expected a text for each sample, got 'aaa"),
        ({"names": [1] * 50}, TypeError, "names: expected a text for each sample, got 1 for sample 0"),
        ({"y": [1] * 51}, ValueError, "y: expected one for each of the 50 samples, got 51"),
        ({"y": np.zeros((50, 2))}, ValueError, "y: expected one label for each sample, got the shape"),
        ({"y": range(300)}, ValueError, "y: expected at most 256 different labels, got 300"),
        ({"context": 2}, ValueError, "context: expected 0 without names to show, got 2"),
        ({"names": ["a"] * 50, "context": 101}, ValueError, "context: expected at most 100 samples, got 101"),
        ({"units": 0}, ValueError, "units: expected at least 1, got 0"),
        ({"image_shape": (28, 27)}, ValueError, "image_shape: 28 x 27 pixels of 1 channel are 756 numbers"),
        ({"image_shape": (784,)}, ValueError, r"image_shape: expected \(rows, columns\)"),
        ({"image_shape": 28}, TypeError, "image_shape: expected dimensions such as"),
        ({"image_shape": np.eye(2)}, TypeError, "image_shape: expected dimensions such as"),
        ({"image_shape": np.array([28.0, 28.0])}, TypeError, "image_shape: expected a whole number"),
        ({"image_shape": (2**40, 2**40)}, ValueError, "image_shape: "),
        ({"path": "page.png"}, ValueError, "path: expected a name that ends in .html or .htm, got 'page.png'"),
    ],
)
def test_what_does_not_fit_is_refused(top_k, digits, tmp_path, monkeypatch, given, error, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=sentence):
        top_k.report(digits[0][:50], **given)
    assert not list(tmp_path.iterdir())


def test_an_unfitted_estimator_has_no_page(digits):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        SparseAutoencoder().report(digits[0])
