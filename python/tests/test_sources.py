"""Where data come from: arrays of any type and layout, tensors, memory maps, files, and batches."""

import gc
import re
import sys
import tracemalloc
import weakref

import numpy as np
import pandas as pd
import pytest

from bits import same
import sae
from sae import SparseAutoencoder, _data, _sae, open_data

# Every type that is read as it is, with one byte order and the other.
INTEGERS = ["?", "u1", "i1", *(order + kind for order in "<>" for kind in ("u2", "i2", "u4", "i4", "u8", "i8"))]
FLOATS = [order + kind for order in "<>" for kind in ("f2", "f4", "f8")]


def model(**params):
    return SparseAutoencoder(**{"layers": (5,), "steps": 30, "random_state": 4, **params})


@pytest.fixture
def numbers():
    """Whole numbers from 0 to 5, which all types hold; (90, 7)."""
    return np.random.RandomState(1).randint(0, 6, size=(90, 7))


@pytest.fixture
def bfloat16():
    return pytest.importorskip("ml_dtypes").bfloat16


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def quietly():
    """Short trainings are of no use, and whole numbers here are no bytes."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="reconstructions are worse")
        warnings.filterwarnings("ignore", message="X: integers from 0 to 5")
        yield


class Tensor:
    """A tensor of another library: it has DLPack's two methods and nothing else."""

    def __init__(self, array, device=1):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device, 0


# Arrays


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize("layout", ["C", "Fortran", "rows apart", "columns apart", "backward"])
def test_every_type_and_layout(numbers, dtype, layout):
    X = numbers.astype(dtype)
    expected = X.astype(np.float64)
    if layout == "Fortran":
        X = np.asfortranarray(X)
    elif layout == "rows apart":
        X = np.repeat(X, 3, axis=0)[::3]
    elif layout == "columns apart":
        X = np.repeat(X, 2, axis=1)[:, ::2]
    elif layout == "backward":
        X = X[::-1].copy()[::-1]
    X.flags.writeable = False
    # Bytes are divided by 255; 51 makes other numbers of them that are the same once they are.
    bytes_of = np.uint8(51) * X if dtype == "u1" else X
    fitted = model(output_activation="linear").fit(bytes_of)
    by_double = model(output_activation="linear").fit(expected / (5 if dtype == "u1" else 1))
    if dtype == "u1":
        assert np.allclose(fitted.coefs_[0], by_double.coefs_[0], atol=1e-6)
    else:
        assert same(fitted, by_double)
        assert np.array_equal(fitted.transform(X), by_double.transform(expected))
        assert fitted.score(X) == by_double.score(expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint64])
def test_numbers_are_rounded_once(dtype):
    random = np.random.RandomState(0)
    X = random.normal(size=(50, 6)) if np.dtype(dtype).kind == "f" else random.randint(2**62, size=(50, 6))
    X = X.astype(dtype)
    fitted = SparseAutoencoder((6, 3, 6), steps=0, beta=0.0, random_state=1, activation="linear").fit(
        random.normal(size=(50, 6))
    )
    assert np.array_equal(fitted.transform(X), fitted.transform(X.astype(np.float32)))


def test_bfloat16(numbers, bfloat16):
    X = (numbers - 2.5).astype(bfloat16)
    expected = model().fit(X.astype(np.float32))
    for other in [X, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X.T.copy().T]:
        assert same(model().fit(other), expected)
        assert np.array_equal(expected.transform(other), expected.transform(X.astype(np.float32)))
    # Numbers that are in no other type of two bytes.
    wide = np.full((60, 3), 1e30, bfloat16)
    assert model(steps=0).fit(wide).n_features_in_ == 3
    with pytest.raises(ValueError, match="sample 3, feature 2 is NaN"):
        X[3, 2] = np.nan
        model().fit(X)
    with pytest.raises(ValueError, match="X has 6 features, but SparseAutoencoder is expecting 7"):
        expected.transform(X[:, :6])


def test_other_types_of_number(numbers, bfloat16):
    import ml_dtypes

    expected = model().fit(numbers.astype(np.float32))
    for dtype in [np.longdouble, ml_dtypes.float8_e4m3fn, ml_dtypes.int4]:
        assert same(model().fit(numbers.astype(dtype)), expected)


def test_no_numbers(numbers):
    records = np.zeros((9, 2), [("a", "f4")])
    for wrong in [records, np.zeros((9, 2), "V2"), np.zeros((9, 2), "V3")]:
        with pytest.raises(TypeError, match=r"^X: expected numbers, got raw data .*view\(ml_dtypes.bfloat16\)"):
            model().fit(wrong)
    with pytest.raises(TypeError, match="^X: expected an array of numbers, got one of datetime64"):
        model().fit(np.zeros((9, 2), "M8[s]"))
    with pytest.raises(ValueError, match="^Complex data not supported"):
        model().fit(numbers * 1j)
    masked = np.ma.masked_equal(numbers, 3)
    with pytest.raises(ValueError, match=r"^X: .* some are masked; fill them, as in X.filled\(0\)"):
        model().fit(masked)
    assert same(model().fit(masked.filled(0)), model().fit(np.where(numbers == 3, 0, numbers)))


def peak(call):
    """Bytes that a call allocates at most, by NumPy and Python."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ">f4"])
def test_no_copy_is_made(dtype):
    X = np.ones((4000, 64), dtype)
    fitted = model(steps=2).fit(X)
    calls = [lambda: model(steps=2).fit(X), lambda: fitted.score(X), lambda: fitted.partial_fit(X[::2])]
    for call in calls:
        call()
        # NumPy 2.0 has a buffer of 64 KB for the least number of each feature.
        assert peak(call) < 100_000 < X.nbytes
    # This measure sees a copy.
    assert peak(lambda: fitted.score(np.asfortranarray(X))) >= X.nbytes


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_all_numbers_of_an_array_are_checked_before_a_training(dtype, threads):
    X = np.ones((9000, 64), dtype)
    X[8000:, 5] = np.nan
    with pytest.raises(ValueError, match="^X: sample 8000, feature 5 is NaN; finite numbers were expected"):
        model(steps=0, threads=threads).fit(X)
    with pytest.raises(ValueError, match="^X_val: sample 7000, feature 5 is NaN"):
        model(steps=9, evaluate_every=9, threads=threads).fit(X[:99], X_val=X[1000:])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", ">f8", "bfloat16"])
@pytest.mark.parametrize("step", [1, 2, -1])
def test_memory_is_shared(dtype, step, request):
    dtype = request.getfixturevalue("bfloat16") if dtype == "bfloat16" else dtype
    X = np.zeros((200, 6), dtype)

    def ones(*_):
        X[:] = 1

    untouched = model().fit(np.zeros((200, 6), dtype)[::step])
    assert not same(model(callback=ones).fit(X[::step]), untouched)


def test_arrays_live_as_long_as_they_are_used(numbers):
    X = numbers.astype(np.float32)
    fitted = model(steps=1).fit(X)
    for way in [fitted.transform, fitted.partial_fit, fitted.score]:
        given = X.copy()
        alive = weakref.ref(given)
        way(given)
        del given
        gc.collect()
        # Nothing keeps it afterwards.
        assert alive() is None


def test_memory_maps(numbers, tmp_path):
    values = numbers.astype(np.float32)
    expected = model().fit(values)
    for dtype in ["f2", "f4", "f8", ">f4"]:
        np.save(tmp_path / "x.npy", values.astype(dtype))
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        assert _sae.is_mapped(mapped) and _sae.is_mapped(np.asarray(mapped)[::2])
        assert same(model().fit(mapped), expected)
        assert np.array_equal(expected.transform(mapped[10:]), expected.transform(values[10:]))
    assert not _sae.is_mapped(values) and not _sae.is_mapped(values[1:])
    # Of a mapped array some samples, and not the last, are looked at for warnings.
    wide = np.memmap(tmp_path / "wide", np.float64, "w+", shape=(50_000, 2))
    assert len(_data.looked_at(wide)) == 1000 and len(_data.looked_at(wide[:9])) == 9
    assert len(_data.looked_at(np.zeros((50_000, 2)))) == 50_000
    # A large one is neither copied nor read from one end to the other before the first step.
    large = np.memmap(tmp_path / "large", np.float32, "w+", shape=(50_000, 64))
    large[-1] = np.nan
    assert peak(lambda: model(steps=2, order="sequential").fit(large)) < 300_000
    with pytest.raises(ValueError, match="sample 49999, feature 0 is NaN"):
        model(steps=1).fit(large).score(large)


# Tensors


def test_dlpack(numbers):
    values = numbers.astype(np.float32)
    expected = model().fit(values)
    assert same(model().fit(Tensor(values)), expected)
    assert np.array_equal(expected.transform(Tensor(values[::2])), expected.transform(values[::2]))
    assert np.shares_memory(_data.array(Tensor(values), "X"), values)
    with pytest.raises(ValueError, match="^X: .* got a tensor on device 2 of DLPack; move it with .cpu()"):
        model().fit(Tensor(values, device=2))
    with pytest.raises(ValueError, match="^X_val: "):
        model(evaluate_every=10).fit(values, X_val=Tensor(values, device=2))


def test_a_tensor_of_a_type_that_numpy_does_not_have(numbers, bfloat16):
    class Half(Tensor):
        def __dlpack__(self, **options):
            raise BufferError("Unsupported dtype in DLTensor.")

    class Array(Half):
        def __array__(self, dtype=None, copy=None):
            return self.array

    X = numbers.astype(bfloat16)
    assert same(model().fit(Array(X)), model().fit(X))
    with pytest.raises(TypeError, match="^X: NumPy cannot take this Half: Unsupported dtype"):
        model().fit(Half(X))


def test_torch(numbers, torch):
    values = torch.tensor(numbers)
    expected = model().fit(numbers.astype(np.float32))
    for dtype in ["float16", "bfloat16", "float32", "float64", "int16", "int64", "float8_e4m3fn"]:
        X = values.to(getattr(torch, dtype))
        assert same(model().fit(X), expected), dtype
        assert np.array_equal(expected.transform(X), expected.transform(numbers))
    for dtype in [torch.float32, torch.bfloat16]:
        grad = values.to(dtype).requires_grad_()
        assert same(model().fit(grad), expected)
        assert same(model().fit(grad * 1), expected)
    for dtype in [torch.float32, torch.bfloat16]:
        X = torch.zeros(90, 7, dtype=dtype)
        untouched = model().fit(X)
        assert not same(model(callback=lambda *_, X=X: X.fill_(1) is None).fit(X), untouched)
    with pytest.raises(ValueError, match="^X: .* got a tensor on meta; move it with .cpu()"):
        model().fit(torch.zeros(9, 7, device="meta"))
    with pytest.raises(TypeError, match="^X: expected a dense tensor"):
        model().fit(torch.zeros(9, 7).to_sparse())
    with pytest.raises(ValueError, match=r"^X: .*X.reshape\(-1, X.shape\[-1\]\) for activations, got \(2, 3, 7\)"):
        model().fit(torch.zeros(2, 3, 7))


def test_data_sets_of_columns(numbers):
    class Dataset:
        column_names = ["x"]
        shape = (9, 1)

        def with_format(self, _):
            return self

    with pytest.raises(TypeError, match=r"^X: .*give one column, as in X.with_format\('numpy'\)\['x'\]\[:\]"):
        model().fit(Dataset())


# Files


def test_lists_of_paths(numbers, tmp_path, write_idx):
    values = numbers.astype(np.float32)
    paths = []
    for at, (start, end) in enumerate([(0, 13), (13, 14), (14, 90)]):
        paths.append(tmp_path / f"part-{at + 9}.npy")
        np.save(paths[-1], values[start:end])
    (tmp_path / "all.txt").write_text("".join(f"{path.name}\n" for path in paths))
    expected = model().fit(values)
    sources = [paths, tuple(map(str, paths)), tmp_path / "part-*.npy", str(tmp_path / "all.txt")]
    for source in [*sources, *map(open_data, sources)]:
        fitted = model().fit(source)
        assert same(fitted, expected) and fitted.n_features_in_ == 7
        assert np.array_equal(expected.transform(source), expected.transform(values))
        assert expected.score(source) == expected.score(values)
    assert same(model(evaluate_every=10).fit(values, X_val=paths), model(evaluate_every=10).fit(values, X_val=values))
    files = open_data(paths)
    assert files.shape == (90, 7) and files.element_type == "f32" and files.paths == paths
    assert repr(files) == f"<3 files from {paths[0]}: 90 x 7, f32>"
    np.save(tmp_path / "part-9.npy", values[:13, :6])
    with pytest.raises(ValueError, match="part-10.npy: this file has 7 features; expected 6, as in"):
        model().fit(paths)
    with pytest.raises(FileNotFoundError):
        model().fit([tmp_path / "none.npy"])
    with pytest.raises(ValueError, match="784 features a sample and the network takes 7"):
        expected.transform([write_idx(np.zeros((3, 784), np.uint8))])


def test_options_of_files(numbers, tmp_path):
    deep = np.arange(3 * 4 * 5, dtype=np.float16).reshape(3, 4, 5)
    np.save(tmp_path / "deep.npy", deep)
    rows = {None: (12, 5), "last": (12, 5), "first": (3, 20)}
    for name, shape in rows.items():
        files = open_data(tmp_path / "deep.npy", rows=name, copy=name == "last")
        assert files.shape == shape and len(files) == shape[0]
        fitted = model(steps=3).fit(files)
        assert same(fitted, model(steps=3).fit(deep.reshape(shape)))
    with pytest.raises(ValueError, match="^rows: expected 'first' or 'last', got 'middle'"):
        open_data(tmp_path / "deep.npy", rows="middle")
    with pytest.raises(TypeError, match="^tensor: expected the name of a tensor, got 3"):
        open_data(tmp_path / "deep.npy", tensor=3)
    with pytest.raises(TypeError, match="^paths: expected paths, got 3"):
        open_data([3])
    with pytest.raises(ValueError, match="no file of samples"):
        open_data([])


def safetensors(path, **tensors):
    """Write a safetensors file of bfloat16 tensors, by their bits."""
    import json

    header, data = {}, b""
    for name, bits in tensors.items():
        end = len(data) + bits.nbytes
        header[name] = {"dtype": "BF16", "shape": bits.shape, "data_offsets": [len(data), end]}
        data += bits.astype("<u2").tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_tensors_of_safetensors_files(numbers, tmp_path):
    # The upper half of a float32 is a bfloat16.
    bits = (numbers.astype("<f4").view("<u4") >> 16).astype("<u2")
    safetensors(tmp_path / "x.safetensors", acts=bits, other=bits[:, :3])
    files = open_data(tmp_path / "x.safetensors", tensor="acts")
    assert files.element_type == "bf16"
    assert same(model().fit(files), model().fit(numbers.astype(np.float32)))
    with pytest.raises(ValueError, match="acts"):
        open_data(tmp_path / "x.safetensors")


def test_the_order_of_samples(numbers):
    values = numbers.astype(np.float32)
    models = {order: model(order=order).fit(values) for order in ["shuffle", "sequential", "window:32"]}
    assert same(models["shuffle"], model().fit(values))
    assert not same(models["sequential"], models["shuffle"])
    assert not same(models["sequential"], models["window:32"])
    with pytest.raises(ValueError, match="^order: expected shuffle, window"):
        model(order="random").fit(values)


# Batches


def batches(X, lengths):
    """The samples in batches of these lengths, over and over."""
    start = at = 0
    while start < len(X):
        length = lengths[at % len(lengths)]
        yield X[start : start + length]
        start, at = start + length, at + 1


LENGTHS = [[1], [7], [60], [61], [1, 300, 0, 59], [10**6]]


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("dtype", ["f4", "f2", "u1", ">f8"])
def test_batches_of_any_length(lengths, dtype):
    X = np.random.RandomState(2).randint(0, 9, size=(1000, 7)).astype(dtype)
    whole = model(order="sequential", steps=1000 // 60).fit(X)
    fitted = model(order="sequential", steps=5000).fit(batches(X, lengths))
    assert fitted.n_iter_ == 16 and same(fitted, whole)
    assert fitted.history_["step"][-1] == 16
    assert same(model(order="sequential", steps=10).fit(batches(X, lengths)), model(order="sequential", steps=10).fit(X))


def test_what_batches_may_be(numbers, torch_or_none):
    X = np.tile(numbers, (3, 1)).astype(np.float32)
    expected = model().fit(batches(X, [50]))

    class Loader:
        """Iterable more than once, as a DataLoader is."""

        def __iter__(self):
            return batches(X, [50])

        def __len__(self):
            return 6

    reused = np.empty((50, 7), np.float32)

    def one_array():
        for batch in batches(X, [50]):
            reused[: len(batch)] = batch
            yield reused[: len(batch)]

    kinds = [np.asfortranarray, Tensor, pd.DataFrame, list, lambda batch: np.repeat(batch, 2, axis=1)[:, ::2]]
    if torch_or_none is not None:
        kinds.append(torch_or_none.tensor)
    given = [Loader(), iter(list(batches(X, [50]))), one_array()]
    given += [map(kind, batches(X, [50])) for kind in kinds]
    for source in given:
        assert same(model().fit(source), expected)


@pytest.fixture
def torch_or_none():
    return sys.modules.get("torch")


def test_a_generator_may_use_its_array_again_and_again():
    """Also after the first samples, which are kept."""
    X = np.random.RandomState(0).normal(size=(9000, 7)).astype(np.float32)
    reused = np.empty((100, 7), np.float32)

    def one_array():
        for batch in batches(X, [100]):
            reused[:] = batch
            yield reused

    params = {"order": "sequential", "output_bias": "zero", "output_activation": "linear", "steps": 150}
    assert same(model(**params).fit(one_array()), model(**params).fit(batches(X, [9000])))
    assert same(model(**params).fit(one_array()), model(**params).fit(X))


def test_partial_fit_of_batches(numbers):
    X = np.tile(numbers, (4, 1)).astype(np.float32)
    whole = model(batch=30).fit(batches(np.vstack([X, X]), [77]))
    parts = model(batch=30).partial_fit(batches(X, [11]))
    assert parts.n_iter_ == 12
    parts.partial_fit(batches(X, [50]))
    assert parts.n_iter_ == whole.n_iter_ == 24 and same(parts, whole)
    # Arrays and batches may follow each other.
    assert parts.partial_fit(X).partial_fit(iter([X])).n_iter_ == 24 + 12 + 12


def test_the_first_batches_are_what_a_training_begins_with():
    """The means of features are those of the first samples."""
    X = np.random.RandomState(0).normal(size=(10_000, 3)).astype(np.float32)
    X[5000:] += 100
    linear = {"output_bias": "mean", "steps": 0}
    biases = model(**linear).fit(batches(X, [1000])).intercepts_[-1]
    assert np.allclose(biases, X[:5000].mean(axis=0), atol=1e-4)


def test_batches_with_held_out_samples(numbers):
    X = np.tile(numbers, (30, 1)).astype(np.float32)
    params = {"steps": 40, "evaluate_every": 10, "patience": 3}
    fitted = model(**params).fit(batches(X, [100]), X_val=X[:50])
    assert list(fitted.history_["validation_step"]) == [10, 20, 30, 40]
    with pytest.raises(ValueError, match="^patience: no samples can be held out .* X_val"):
        model(**params).fit(batches(X, [100]))
    with pytest.raises(TypeError, match="^X_val: only fit and partial_fit take an iterator"):
        model(**params).fit(X, X_val=batches(X, [100]))


def test_revival_and_callback_with_batches(numbers):
    X = np.tile(numbers, (30, 1)).astype(np.float32)
    relu = {"activation": "relu", "beta": 0.0, "initialization": "he", "code": "top-k:1", "learning_rate": 0.3}
    plain = model(**relu, layers=(30,), steps=40).fit(batches(X, [100]))
    revived = model(**relu, layers=(30,), steps=40, revive=7).fit(batches(X, [100]))
    assert not same(plain, revived)
    seen = []
    stopped = model(steps=45, callback=lambda step, *_: seen.append(step) or step >= 20)
    assert stopped.fit(batches(X, [100])).n_iter_ == 20 and seen == list(range(1, 21))


def test_empty_batches_are_nothing():
    X = np.random.RandomState(0).normal(size=(6000, 3)).astype(np.float32)
    given = [X[:0], X[:5000], X[:0], X[:0], X[5000:], X[:0]]
    assert same(model(steps=10**6).fit(iter(given)), model(steps=10**6).fit(iter([X[:5000], X[5000:]])))


def test_no_more_batches_are_taken_than_are_needed():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield np.ones((1000, 3), np.float32)

    assert model(steps=100, output_activation="linear").fit(endless()).n_iter_ == 100
    assert len(taken) == 6


def test_wrong_batches(numbers):
    X = numbers.astype(np.float32)
    bad = X.copy()
    bad[3, 2] = np.nan

    def sentence(pattern, *given, kind=ValueError):
        with pytest.raises(kind, match=pattern) as problem:
            model(batch=10).fit(iter(given))
        assert "\n" not in str(problem.value)

    sentence("^X: expected batches of samples, got none; an iterator gives its batches only once")
    sentence("^X: expected batches of samples, got none", X[:0])
    sentence("^X: the batches have 9 samples in all, too few for a step of batch=10", X[:5], X[:4])
    sentence("^X: batch 1: expected 7 features, as in the first batch, got 6", X, X[:, :6])
    sentence("^X: batch 1: expected float32, as in the first batch, got float64", X, numbers / 1.0)
    sentence(r"^X: batch 1: expected an array \(n_samples, n_features\), .* got the shape \(7,\)", X, X[0])
    sentence("^X: batch 0: expected an array, got a dict of 'x'", {"x": X}, kind=TypeError)
    sentence("^X: batch 1: expected an array of numbers, got one of object", X, [[None] * 7], kind=TypeError)
    sentence("^X: batch 1: expected an array of numbers, got one of <U1", X, [["a"] * 7], kind=TypeError)
    sentence("^X: batch 0: expected an array, got a path; give a list of paths", "a.npy", kind=TypeError)
    sentence(r"^X: batch 0: .* got a list of arrays; give one of them, as in \(batch\[0\]", [X, X[:, 0]], kind=TypeError)
    sentence(r"^X: batch 1: .* got a tuple of arrays", X, (X,), kind=TypeError)
    sentence("^X: sample 3, feature 2 is NaN", bad)
    sentence("^X: sample 93, feature 2 is NaN", X, bad)
    for params, name in [({"optimizer": "l-bfgs"}, "optimizer"), ({"pretrain": 3}, "pretrain")]:
        with pytest.raises(ValueError, match=f"^{name}: "):
            model(**params).fit(iter([X]))
    fitted = model().fit(X)
    for call in [fitted.transform, fitted.score, fitted.reconstruct, fitted.evaluate, fitted.units]:
        with pytest.raises(ValueError, match="^X: sample 3, feature 2 is NaN"):
            call(bad)
    with pytest.raises(ValueError, match="^X: sample 3, feature 2 is NaN"):
        fitted.set_params(output="sparse").transform(bad)
    fitted.set_params(output="auto")
    for call in [fitted.transform, fitted.score, fitted.reconstruct, fitted.evaluate]:
        with pytest.raises(TypeError, match="^X: only fit and partial_fit take an iterator of batches"):
            call(iter([X]))
    with pytest.raises(ValueError, match="X has 6 features, but SparseAutoencoder is expecting 7"):
        fitted.partial_fit(iter([X[:, :6]]))


@pytest.mark.parametrize("failure", ["NaN", "exception"])
def test_a_failure_among_later_batches_keeps_the_network(failure):
    X = np.random.RandomState(0).normal(size=(6000, 3)).astype(np.float32)
    bad = X.copy()
    bad[3, 2] = np.nan

    def given():
        yield X
        if failure == "exception":
            raise RuntimeError("the connection is lost")
        yield bad

    trained = model(steps=10**6)
    with pytest.raises((RuntimeError, ValueError), match="connection|^X: sample 6003, feature 2 is NaN"):
        trained.fit(given())
    assert trained.n_iter_ == 100
    assert same(trained, model(steps=10**6).fit(iter([X])))


def test_memory_of_batches():
    """Only the first samples are kept."""

    def many():
        for _ in range(100):
            yield np.ones((1000, 64), np.float32)

    used = peak(lambda: model(steps=10**6, output_activation="linear").fit(many()))
    assert used < 3 * 5 * 1000 * 64 * 4, used
