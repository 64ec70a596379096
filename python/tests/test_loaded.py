"""Models of files: their scalings, the parameters of `load`, and what is not known of their training."""

import numpy as np
import pytest

import sae
from sae import SparseAutoencoder


@pytest.fixture(scope="module")
def rows():
    """Floats [300, 5] far from 0, of different ranges."""
    numbers = np.random.RandomState(2).normal(size=(300, 5))
    return (numbers * [1, 2, 3, 400, 5] + [10, 20, -300, 40, 50]).astype(np.float32)


@pytest.fixture
def trained(command, rows, tmp_path):
    """Train with the command by a scaling, and load; the paths of data and model, and the model."""

    def train(scaling, data=rows):
        files = tmp_path / "x.npy", tmp_path / "m.safetensors"
        np.save(files[0], data)
        options = ["--scaling", scaling, "--steps", "600", "--beta", "0", "--output-activation", "linear"]
        command("train", "--samples", files[0], "--layers", "5,4,5", "--out", files[1], "--overwrite", *options)
        return *files, SparseAutoencoder.load(files[1])

    return train


SCALINGS = ["as-is", "center", "min-max", "min-max:feature", "mean-deviation", "mean-deviation:feature", "unit-rms"]


@pytest.mark.parametrize("scaling", [*SCALINGS, "layer-norm"])
def test_reconstructions_are_in_the_units_of_the_data_as_those_of_the_command(trained, rows, command, scaling, tmp_path):
    data, file, model = trained(scaling)
    out = tmp_path / "again.npy"
    command("reconstruct", file, "--samples", data, "--out", out)
    again = model.reconstruct(rows)
    assert np.array_equal(again, np.load(out))
    if scaling == "mean-deviation:feature":
        assert (abs(again - rows).mean(axis=0) < rows.std(axis=0)).all()
    assert np.array_equal(model.reconstruct(data), again)
    assert np.array_equal(model.reconstruct(rows.astype(np.float64)), again)
    command("encode", file, "--samples", data, "--out", tmp_path / "codes.npy")
    command("decode", file, tmp_path / "codes.npy", "--out", tmp_path / "decoded.npy")
    codes = model.transform(rows)
    if scaling == "layer-norm":
        with pytest.warns(UserWarning, match="layer-norm scales each sample by itself"):
            decoded = model.inverse_transform(codes)
    else:
        decoded = model.inverse_transform(codes)
        assert np.array_equal(decoded, again)
        offset = model.inverse_transform(np.zeros((1, model.n_components_)))
        spread = abs(rows).max()
        assert np.allclose(codes @ model.components_ + offset, decoded, atol=1e-4 * spread, rtol=1e-4)
    assert np.array_equal(decoded, np.load(tmp_path / "decoded.npy"))


def test_sparse_codes_have_the_reconstructions_of_dense_ones(trained, rows):
    _, _, model = trained("mean-deviation:feature")
    model.set_params(output="sparse")
    assert np.array_equal(model.inverse_transform(model.transform(rows)), model.reconstruct(rows))


def test_reconstructions_of_bytes_stay_divided_by_255(command, tmp_path):
    data = np.random.RandomState(1).randint(0, 256, (200, 6)).astype(np.uint8)
    data[:, 0] = 200
    model = SparseAutoencoder((4,), beta=0, steps=300, random_state=1).fit(data)
    model.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", data)
    command("reconstruct", tmp_path / "m.safetensors", "--samples", tmp_path / "x.npy", "--out", tmp_path / "again.npy")
    again = model.reconstruct(data)
    assert again.max() <= 1 and abs(again[:, 0] - 200 / 255).max() < 0.1
    assert np.array_equal(np.round(255 * again).astype(np.uint8), np.load(tmp_path / "again.npy"))
    assert np.array_equal(model.inverse_transform(model.transform(data)), again)
    linear = SparseAutoencoder((4,), beta=0, steps=300, random_state=1, output_activation="linear").fit(data)
    offset = 255 * linear.intercepts_[-1]
    assert np.allclose(linear.transform(data) @ linear.components_ + offset, 255 * linear.reconstruct(data), atol=0.01)


def test_plots_of_reconstructions_are_in_the_units_of_the_data(trained, rows):
    _, _, model = trained("mean-deviation:feature")
    picture = model.plot_reconstructions(rows, 2, shape=(1, 5)).axes[0].images[0].get_array()
    # Rows 1 and 3, with margins of 1; two tiles of 5 in each.
    assert np.array_equal(picture[1, 1:6], rows[0])
    assert np.array_equal(picture[3, 1:6], model.reconstruct(rows[:2])[0])


def saved(tmp_path, **parameters):
    X = np.random.RandomState(0).uniform(0.2, 0.8, (60, 6)).astype(np.float32)
    base = {"layers": (5, 3, 5), "beta": 0, "steps": 20, "random_state": 1, **parameters}
    path = tmp_path / "m.safetensors"
    SparseAutoencoder(**base).fit(X).save(path)
    return X, path


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"layers": (3,)}, r"layers: expected \(5, 3, 5\), which the network of the file has, got \(3,\)"),
        ({"activation": "tanh"}, "activation: expected sigmoid, which the network of the file has, got tanh"),
        ({"output_activation": "sigmoid"}, "output_activation: expected linear, which the network .*, got sigmoid"),
        ({"activations": ["relu"] * 3}, "activations: expected .*, which the network of the file has, got relu"),
        ({"tied": True}, "tied: expected false, which the network of the file has, got true"),
        ({"skip": True}, "skip: expected false, which the network of the file has, got true"),
        ({"code": "top-k:2"}, "code: expected dense, which the network of the file has, got top-k:2"),
        ({"active_above": 2}, "active_above: expected a number from 0 to below 1, got 2"),
    ],
)
def test_parameters_of_load_that_describe_another_network_are_refused(tmp_path, parameters, sentence):
    X, path = saved(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        SparseAutoencoder.load(path, **parameters).evaluate(X)


def test_parameters_of_load_that_are_those_of_the_network_are_taken(tmp_path):
    X, path = saved(tmp_path)
    same = {"layers": [5, 3, 5], "activation": "sigmoid", "tied": False, "code": "dense", "activations": None}
    for layers in ((5, 3, 5), (6, 5, 3, 5, 6)):
        model = SparseAutoencoder.load(path, **{**same, "layers": layers}, schedule="cosine", warm_start=True)
        assert model.fit(X).n_components_ == 3
    _, path = saved(tmp_path, layers=(8,), code="top-k:2", activation="relu", initialization="he")
    assert SparseAutoencoder.load(path, code="top-k:3").code == "top-k:3"


def test_active_above_is_used_at_once(tmp_path):
    X, path = saved(tmp_path)
    model = SparseAutoencoder.load(path)
    before, units = model.evaluate(X), model.units(X)
    assert before["layers"][1]["l0"] > 0
    for changed in [SparseAutoencoder.load(path, active_above=0.99), model.set_params(active_above=0.99)]:
        after = changed.evaluate(X)
        assert after["layers"][1]["l0"] == 0 and len(after["layers"][1]["dead_units"]) == 3
        assert changed.units(X)["dead"].all() and not units["dead"].any()
        assert after["loss"] == before["loss"]
        assert np.array_equal(changed.transform(X), SparseAutoencoder.load(path).transform(X))


def test_what_is_not_known_of_the_training_of_a_file_is_not_shown(tmp_path):
    X, path = saved(tmp_path)
    model = SparseAutoencoder.load(path, warm_start=True, steps=10)
    assert "steps" not in model._figures() and "seed" in model._figures()
    with pytest.raises(ValueError, match="plot_history: a model that was loaded has no history"):
        model.plot_history()
    model.fit(X)
    assert model._figures()["steps"] == "10"
    model.plot_history()


def test_dictionaries_refuse_other_layers_too(tmp_path):
    X = np.random.RandomState(0).normal(size=(80, 6)).astype(np.float32)
    base = {"code": "top-k:2", "activation": "relu", "initialization": "he", "beta": 0, "steps": 5, "random_state": 1}
    model = SparseAutoencoder((8,), **base).fit(X)
    sae.export_dictionary(model, tmp_path / "out", "sparsify")
    with pytest.raises(ValueError, match=r"layers: expected \(8,\), which the network of the file has"):
        sae.import_dictionary(tmp_path / "out", layers=(9,))
