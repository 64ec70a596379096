"""Engines are kept from call to call: with several threads, in forked processes, and for several models."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sae import SparseAutoencoder


@pytest.fixture(scope="module")
def models():
    """Models of several shapes and codes, and samples."""
    X = np.random.RandomState(0).rand(300, 40).astype(np.float32)
    gated = {"activation": "relu", "beta": 0, "initialization": "he"}
    settings = [{"layers": (20,)}, {"layers": (30, 8, 30)}, {"layers": (64,), "code": "top-k:5", **gated}]
    return [SparseAutoencoder(steps=20, threads=2, random_state=1, **one).fit(X) for one in settings], X


def transformed(model, X):
    return model.transform(X).tobytes()


def test_models_take_turns(models):
    trained, X = models
    expected = [transformed(model, X) for model in trained]
    # Row by row, and of models by turns.
    rows = [[model.transform(X[at : at + 1]) for model in trained] for at in range(len(X))]
    assert [np.concatenate(codes).tobytes() for codes in zip(*rows)] == expected


def test_many_threads_compute_at_once(models):
    trained, X = models
    expected = [transformed(model, X) for model in trained]
    with ThreadPoolExecutor(8) as pool:
        tasks = [pool.submit(transformed, trained[at % 3], X) for at in range(60)]
    assert [task.result() for task in tasks] == [expected[at % 3] for at in range(60)]


def test_a_forked_process_has_engines_of_its_own(models):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    trained, X = models
    expected = [transformed(model, X) for model in trained]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        done = pool.starmap_async(transformed, [(trained[at % 3], X) for at in range(12)])
        assert done.get(timeout=60) == [expected[at % 3] for at in range(12)]
    assert transformed(trained[0], X) == expected[0]


def test_what_skips_the_checks_of_scikit_learn_is_refused_all_the_same(models):
    (model, *_), X = models
    wrong = X[:3].copy()
    wrong[1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN|nan"):
        model.transform(wrong)
    with pytest.raises(ValueError, match="40 features"):
        model.transform(X[:, :7])
    with pytest.raises(ValueError, match="minimum of 1"):
        model.transform(X[:0])
    with pytest.raises(ValueError, match="2D array"):
        model.transform(X[0])
    # Any layout in memory is the same array.
    for same in [np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X[::-1][::-1], X.astype(np.float64)]:
        assert transformed(model, same) == transformed(model, X)
