"""Sparse codes as SciPy's matrices."""

import pickle
import sys

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sae import SparseAutoencoder

RELU = {"activation": "relu", "initialization": "he", "beta": 0.0, "learning_rate": 1e-3}


def fitted(X, code="top-k:3", units=40, **more):
    params = {**RELU, "code": code, "steps": 20, "batch": 20, "random_state": 1, **more}
    return SparseAutoencoder((units,), **params).fit(X)


@pytest.mark.parametrize("code", ["top-k:3", "batch-top-k:3", "jump-relu:0.01", "dense"])
def test_sparse_codes_are_the_dense_ones(small, code):
    model = fitted(small, code)
    dense = model.transform(small)
    assert isinstance(dense, np.ndarray)
    codes = model.set_params(output="sparse").transform(small)
    assert isinstance(codes, sparse.csr_matrix) and codes.shape == (60, 40)
    assert codes.dtype == np.float32 and codes.indices.dtype == codes.indptr.dtype == np.int32
    codes.check_format(full_check=True)
    assert codes.nnz == np.count_nonzero(dense) and codes.has_canonical_format
    assert np.array_equal(codes.toarray(), dense)
    for threads in [1, 3]:
        model.set_params(threads=threads)
        again = model.transform(small)
        assert np.array_equal(again.indices, codes.indices) and np.array_equal(again.data, codes.data)
        reconstructed = model.inverse_transform(codes)
        assert reconstructed.dtype == np.float32 and reconstructed.shape == small.shape
        assert np.array_equal(reconstructed, model.inverse_transform(dense))
        assert np.array_equal(reconstructed, model.reconstruct(small))


def test_auto_is_sparse_above_1024_units(small):
    for code, units, is_sparse in [
        ("top-k:3", 1024, False),
        ("top-k:3", 1025, True),
        ("jump-relu:0.01", 1025, True),
        ("dense", 1025, False),
    ]:
        model = fitted(small, code, units, steps=1)
        assert sparse.issparse(model.transform(small)) == is_sparse, (code, units)
        assert sparse.issparse(model.fit_transform(small)) == is_sparse, (code, units)
        dense = model.set_params(output="dense").transform(small)
        assert isinstance(dense, np.ndarray)
    # It is the network's code that counts.
    model.set_params(output="auto", code="top-k:3")
    assert isinstance(model.transform(small), np.ndarray)


def test_files_arrays_and_pickles(small, tmp_path):
    model = fitted(small, output="sparse")
    codes = model.transform(small)
    np.save(tmp_path / "x.npy", small)
    assert (model.transform(tmp_path / "x.npy") != codes).nnz == 0
    again = pickle.loads(pickle.dumps(model))
    assert again.output == "sparse" and (again.transform(small) != codes).nnz == 0
    model.save(tmp_path / "m")
    assert SparseAutoencoder.load(tmp_path / "m").output == "auto"


def test_the_commands_files_are_the_same(small, tmp_path, command):
    model = fitted(small, output="sparse")
    model.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", small)
    out = tmp_path / "codes.npz"
    command("encode", tmp_path / "m.safetensors", "--samples", tmp_path / "x.npy", "--sparse", "--out", out)
    assert (sparse.load_npz(out) != model.transform(small)).nnz == 0


def test_matrices_of_other_kinds_are_taken(small):
    model = fitted(small, output="sparse")
    codes = model.transform(small)
    want = model.inverse_transform(codes)
    wide = codes.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    unsorted = sparse.csr_matrix((codes.data.copy(), codes.indices.copy(), codes.indptr), shape=codes.shape)
    unsorted.indices[:2] = unsorted.indices[[1, 0]]
    unsorted.data[:2] = unsorted.data[[1, 0]]
    before = unsorted.indices.copy()
    for other in [
        *(codes.tocsc(), codes.tocoo(), codes.astype(np.float64), sparse.csr_array(codes)),
        *(wide, unsorted, codes[::-1][::-1]),
    ]:
        assert np.array_equal(model.inverse_transform(other), want)
    # The caller's matrix stays as it is.
    assert np.array_equal(unsorted.indices, before)
    empty = sparse.csr_matrix((3, 40), dtype=np.float32)
    assert np.array_equal(model.inverse_transform(empty), model.inverse_transform(np.zeros((3, 40))))


def test_what_are_no_codes_is_refused(small):
    model = fitted(small, output="sparse")
    codes = model.transform(small)
    with pytest.raises(ValueError, match="X has 39 features, but the code of"):
        model.inverse_transform(codes[:, 1:])
    bad = codes.copy()
    bad.data[5] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.inverse_transform(bad)
    for index in [40, -1]:
        bad = codes.copy()
        bad.indices[5] = index
        with pytest.raises(ValueError, match="ind"):
            model.inverse_transform(bad)
    indptr = codes.indptr.astype(np.uint64)
    network, indices = model._network, codes.indices.astype(np.uint32)
    with pytest.raises(ValueError, match="indptr ends with"):
        network.decode_sparse(indptr[:-1], indices, codes.data, 1)
    with pytest.raises(ValueError, match="indptr is empty"):
        network.decode_sparse(indptr[:0], indices, codes.data, 1)
    # Samples are dense.
    with pytest.raises(TypeError, match="dense data is required"):
        model.transform(sparse.csr_matrix(small))


def test_other_outputs_are_refused(small):
    model = fitted(small)
    for output in ["csr", None, True]:
        with pytest.raises(ValueError, match="^output: expected 'auto', 'dense' or 'sparse', got "):
            model.set_params(output=output).transform(small)
        with pytest.raises(ValueError, match="^output: "):
            model.fit(small)


def test_without_scipy(small, monkeypatch):
    model = fitted(small)
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    model.transform(small)
    with pytest.raises(ImportError, match="^output: sparse codes need SciPy"):
        model.set_params(output="sparse").transform(small)


def test_data_frames_need_arrays(small):
    model = fitted(small).set_output(transform="pandas")
    assert model.transform(small).shape == (60, 40)
    with pytest.raises(ValueError, match="sparse"):
        model.set_params(output="sparse").transform(small)


def test_in_a_pipeline(digits):
    X, labels = digits
    coder = SparseAutoencoder((1100,), **{**RELU, "code": "top-k:20", "steps": 100}, random_state=1)
    pipeline = make_pipeline(coder, LogisticRegression(max_iter=500)).fit(X[:300], labels[:300])
    assert sparse.issparse(pipeline[:-1].transform(X))
    assert pipeline.score(X[300:], labels[300:]) > 0.5
