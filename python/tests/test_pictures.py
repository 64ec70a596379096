"""Plots, the HTML for notebooks, and the examples of the documentation."""

import base64
import doctest
import io
import pickle
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.image import imread

import sae._analysis
import sae._digits
import sae._estimator
import sae._files
from sae import SparseAutoencoder


@pytest.fixture(scope="module")
def fitted(digits):
    model = SparseAutoencoder((20, 5, 20), steps=100, random_state=1)
    return model.fit(digits[0])


@pytest.fixture(autouse=True)
def close_all():
    yield
    pyplot.close("all")


def test_features_are_the_weights(fitted):
    figure = fitted.plot_features(6)
    (ax,) = figure.axes
    assert isinstance(figure, Figure) and ax.get_title("left") == "Weights of the first 6 of 20 units of layer 1; gray is 0"
    picture = np.asarray(ax.images[0].get_array())
    # 3 x 2 tiles of 28 x 28 with margins.
    assert picture.shape == (2 * 29 + 1, 3 * 29 + 1)
    unit = fitted.coefs_[0][:, 4].reshape(28, 28)
    assert np.allclose(picture[30:58, 30:58], unit / abs(unit).max())
    assert fitted.plot_features(shape=(16, 49)).axes[0].images[0].get_array().shape == (4 * 17 + 1, 251)
    with pytest.raises(ValueError, match="shape: expected the rows and columns of 784 features, got 7 x 7"):
        fitted.plot_features(shape=(7, 7))
    with pytest.raises(TypeError, match=r"shape: expected \(rows, columns\), or .*, got 28"):
        fitted.plot_features(shape=28)
    with pytest.raises(ValueError, match="count: expected at least 1, got 0"):
        fitted.plot_features(0)


def test_a_plot_of_no_sample_is_refused(fitted, digits):
    with pytest.raises(ValueError, match="count: expected at least 1, got 0"):
        fitted.plot_reconstructions(digits[0], 0)


def test_reconstructions_are_below_their_samples(fitted, digits, write_idx):
    X, _ = digits
    for source in [X, write_idx(X)]:
        figure, place = pyplot.subplots()
        assert fitted.plot_reconstructions(source, 3, ax=place) is figure
        assert place.get_title("left") == "Samples above their reconstructions"
        picture = np.asarray(place.images[0].get_array())
        assert picture.shape == (2 * 29 + 1, 3 * 29 + 1)
        assert np.allclose(picture[1:29, 30:58], X[1].reshape(28, 28) / 255)
        reconstructed = fitted.reconstruct(X[1:2]).reshape(28, 28)
        assert np.allclose(picture[30:58, 30:58], reconstructed, atol=1e-6)


def test_figures_are_not_kept_by_pyplot_and_show_themselves(fitted, digits):
    before = pyplot.get_fignums()
    X = digits[0]
    for figure in [
        fitted.plot_features(3),
        fitted.plot_reconstructions(X, 3),
        fitted.plot_history(),
        fitted.plot_activations(X),
    ]:
        assert figure._repr_png_().startswith(b"\x89PNG")
        assert pickle.loads(pickle.dumps(figure)).axes
    assert pyplot.get_fignums() == before


def test_tiles_in_color():
    X = np.random.RandomState(1).randint(0, 256, (60, 4 * 5 * 3)).astype(np.uint8)
    model = SparseAutoencoder((3,), beta=0, steps=20, random_state=1).fit(X)
    last = model.plot_reconstructions(X, 2, shape=(4, 5, 3)).axes[0].images[0].get_array()
    assert last.shape == (2 * 5 + 1, 2 * 6 + 1, 3)
    low = min(X.min() / 255, model.reconstruct(X[:2]).min())
    high = max(X.max() / 255, model.reconstruct(X[:2]).max())
    assert np.allclose(last[1:5, 1:6], (X[0].reshape(4, 5, 3) / 255 - low) / (high - low), atol=0.02)
    first = model.plot_reconstructions(X, 2, shape=(3, 4, 5)).axes[0].images[0].get_array()
    assert np.allclose(first[1:5, 1:6], (X[0].reshape(3, 4, 5).transpose(1, 2, 0) / 255 - low) / (high - low), atol=0.02)
    assert model.plot_features(2, shape=(3, 4, 5)).axes[0].images[0].get_array().shape == (6, 13, 3)
    assert model.plot_features(2, shape=(12, 5, 1)).axes[0].images[0].get_array().ndim == 2
    for shape in [(4, 3, 5), (60,), (2, 2, 3, 5)]:
        with pytest.raises(TypeError, match=r"shape: expected \(rows, columns\), or with 1 or 3 channels"):
            model.plot_features(shape=shape)


@pytest.mark.parametrize("count", [1, 3, 10, 20])
def test_tiles_fill_their_figure(fitted, digits, count):
    for figure in [fitted.plot_features(count), fitted.plot_reconstructions(digits[0], count)]:
        figure.canvas.draw()
        (ax,) = figure.axes
        box = ax.get_window_extent()
        width, height = figure.get_size_inches() * figure.dpi
        assert box.width > 0.93 * width and box.height > height - 0.6 * figure.dpi, (count, box, width, height)
        tight = ax.get_tightbbox()
        assert tight.x0 >= 0 and tight.x1 <= width and tight.y1 <= height, (count, tight, width, height)


def test_history_and_activations(fitted, digits):
    figure = fitted.plot_history()
    assert isinstance(figure, Figure)
    objective, means = figure.axes
    assert all(ax.get_title() and ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)
    assert np.array_equal(objective.lines[0].get_ydata(), fitted.history_["objective"])
    assert len(means.lines) == 3
    figure = fitted.plot_activations(digits[0])
    assert len(figure.axes) == 2
    assert figure.axes[1].patches[0].get_data().values.sum() == 5 * 400


def test_plots_of_a_network_that_predicts_targets(small):
    for targets in [small[:, :4], -small]:
        model = SparseAutoencoder((3,), steps=5).fit(small, targets=targets)
        with pytest.raises(ValueError, match="plot_reconstructions: the network predicts targets instead of"):
            model.plot_reconstructions(small)
        assert isinstance(model.plot_activations(small, targets=targets), Figure)
        assert isinstance(model.plot_features(shape=(2, 3)), Figure)
        assert isinstance(model.plot_history(), Figure)


def test_a_loaded_model_has_no_history(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    loaded = SparseAutoencoder.load(tmp_path / "m")
    with pytest.raises(ValueError, match="plot_history: a model that was loaded has no history"):
        loaded.plot_history()
    assert "objective" not in loaded._repr_html_()


def test_html_for_notebooks(fitted):
    fresh = SparseAutoencoder()._repr_html_()
    assert "SparseAutoencoder" in fresh and "sae-figures" not in fresh
    shown = fitted._repr_html_()
    # Jupyter uses this first.
    assert "sae-figures" in fitted._repr_mimebundle_()["text/html"]
    assert "784-20-5-20-784" in shown
    assert f"{fitted.history_['objective'][-1]:.6g}" in shown
    (png,) = re.findall("image/png;base64,([^\"]+)", shown)
    picture = imread(io.BytesIO(base64.b64decode(png)))
    assert picture.shape[:2] == (4 * 29 + 1, 5 * 29 + 1)
    assert picture.std() > 0.05


def test_without_matplotlib_and_without_squares(fitted, small, monkeypatch):
    odd = SparseAutoencoder((3,), steps=5).fit(small)
    assert "<img" not in odd._repr_html_() and "6-3-6" in odd._repr_html_()
    with pytest.raises(ValueError, match="shape: expected .*, because 6 features are not a square image"):
        odd.plot_features()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.image", None)
    shown = fitted._repr_html_()
    assert "<img" not in shown and "784-20-5-20-784" in shown
    with pytest.raises(ImportError, match="plots require matplotlib"):
        fitted.plot_features()


def test_generated_digits():
    images, labels = sae.draw_digits(20, seed=5)
    assert images.shape == (20, 28, 28) and images.dtype == np.uint8 and images.any()
    assert set(labels) <= set(range(10))
    assert np.array_equal(images[:10], sae.draw_digits(10, seed=5)[0])
    for many in [10**15, 10**18]:
        with pytest.raises(MemoryError, match=f"samples: out of memory for {many} images"):
            sae.draw_digits(many)
    with pytest.raises(ValueError, match="samples: expected a whole number from 0 to .*, got -1"):
        sae.draw_digits(-1)


def test_examples_in_docstrings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in [sae._analysis, sae._estimator, sae._digits, sae._exchange, sae._files]:
        done = doctest.testmod(module)
        assert done.failed == 0 and done.attempted > 3


def blocks_of_the_docs(*packages):
    """The programs of the page that import one of these packages, or no other."""
    page = Path(__file__).parents[2] / "docs" / "python.md"
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^( *)```python\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    blocks = [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]
    others = re.compile(r"^(?:from|import) (datasets|torch)\b", re.MULTILINE)
    return [block for block in blocks if tuple(others.findall(block)) == packages]


def test_examples_in_the_docs(tmp_path, monkeypatch, capsys):
    blocks = blocks_of_the_docs()
    assert len(blocks) == 9
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(block, names)
    lines = capsys.readouterr().out.splitlines()
    explained, found, active, size, unit, cosine, worst, stopped, called, tuned = lines
    assert explained.startswith("variance explained: 0.") and tuned.startswith("variance explained: 0.")
    assert re.fullmatch(r"0\.\d MB", size) and (tmp_path / "digits.html").exists()
    assert found.startswith("{'sparseautoencoder__code': ")
    assert active == "20 active units per sample"
    steps, best = map(int, re.fullmatch(r"the best of (\d+) steps: (\d+)", stopped).groups())
    assert best < steps < 5000
    assert re.fullmatch(r"unit \d+ is active in \d+ samples, \d+% of them of the digit \d", unit)
    assert re.fullmatch(r"mean largest cosine: 0\.\d\d", cosine)
    assert re.fullmatch(r"the worst of 200 samples: \d+", worst)
    step, l0 = re.fullmatch(r"ended by the callback at step (\d+), L0 (\d+)", called).groups()
    assert int(step) < 5000 and int(step) % 50 == 0 and 0 < int(l0) < 64


class Dataset:
    """What the recipe uses of `datasets.Dataset`, where that is not installed."""

    def __init__(self, columns):
        self.columns = columns

    @classmethod
    def from_dict(cls, columns):
        return cls(columns)

    def with_format(self, name):
        assert name == "numpy"
        return self

    def __getitem__(self, name):
        return self.columns[name]

    def iter(self, batch_size):
        for start in range(0, len(next(iter(self.columns.values()))), batch_size):
            yield {name: column[start : start + batch_size] for name, column in self.columns.items()}


def test_the_recipe_for_data_sets(monkeypatch, capsys):
    try:
        import datasets  # noqa: F401
    except ImportError:
        stand_in = types.ModuleType("datasets")
        stand_in.Dataset = Dataset
        monkeypatch.setitem(sys.modules, "datasets", stand_in)
    (recipe,) = blocks_of_the_docs("datasets")
    names = {"np": np, "SparseAutoencoder": sae.SparseAutoencoder}
    exec(recipe, names)
    assert capsys.readouterr().out == "steps on batches of a data set: 100\n"
    assert [codes.shape for codes in names["codes"]] == [(1000, 128)] * 6


def test_the_recipe_for_forward_hooks(capsys):
    pytest.importorskip("torch")
    (recipe,) = blocks_of_the_docs("torch")
    names = {"SparseAutoencoder": sae.SparseAutoencoder}
    exec(recipe, names)
    assert capsys.readouterr().out == f"steps on activations: {20 * 8 * 64 // 64}\n"
    assert names["codes"].shape == (512, 96)
    assert not names["network"][1]._forward_hooks
