"""The number of threads where the parameter `threads` is None."""

import os

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from multiprocessing.pool import ThreadPool
from threadpoolctl import threadpool_info, threadpool_limits

from sae import SparseAutoencoder, _threads, draw_digits

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
several = pytest.mark.skipif(CORES < 2, reason="there is one core")


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in ["SAE_NUM_THREADS", "OMP_NUM_THREADS"]:
        monkeypatch.delenv(name, raising=False)


def default(_=None):
    return SparseAutoencoder()._threads


@several
def test_the_environment(monkeypatch, small):
    assert default() == CORES
    monkeypatch.setenv("OMP_NUM_THREADS", "1,2")
    assert default() == 1
    monkeypatch.setenv("SAE_NUM_THREADS", "2")
    assert default() == 2
    monkeypatch.setenv("SAE_NUM_THREADS", "")
    assert default() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert default() == CORES
    monkeypatch.setenv("SAE_NUM_THREADS", "many")
    sentence = "SAE_NUM_THREADS: expected a number of threads, at least 1, got 'many'"
    for call in [SparseAutoencoder(steps=1).fit, lambda _: draw_digits(1)]:
        with pytest.raises(ValueError, match=sentence):
            call(small)
    # The parameter is stronger.
    assert SparseAutoencoder(threads=3)._threads == 3
    SparseAutoencoder((2,), steps=1, threads=1).fit(small)


@several
def test_threadpool_limits(monkeypatch):
    (library,) = [info for info in threadpool_info() if info["user_api"] == "sae"]
    assert library["num_threads"] == CORES
    with threadpool_limits(1):
        assert default() == 1
        with threadpool_limits({"sae": 2}):
            assert default() == 2
        assert default() == 1
    with threadpool_limits(1, user_api="blas"):
        assert default() == CORES
    # Afterwards the environment counts again.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert default() == 1
    with threadpool_limits(2):
        assert default() == 2
    assert default() == 1


@several
def test_workers_of_joblib():
    def defaults(backend, jobs, **config):
        with parallel_config(backend, **config):
            return set(Parallel(n_jobs=jobs)(delayed(default)() for _ in range(4)))

    assert defaults("loky", CORES) == {1}
    assert defaults("loky", 2, inner_max_num_threads=1) == {1}
    assert defaults("threading", CORES) == {1}
    assert defaults("sequential", 1) == {CORES}
    assert default() == CORES


@several
def test_workers_of_a_pool_of_threads(monkeypatch):
    with ThreadPool(CORES) as pool:
        assert set(pool.map(default, range(4))) == {1}
        monkeypatch.setenv("SAE_NUM_THREADS", "2")
        assert set(pool.map(default, range(4))) == {2}


def test_limits_change_no_bit(digits):
    X, _ = digits

    def weights():
        return SparseAutoencoder((30,), steps=20, random_state=1).fit(X).coefs_[0]

    expected = weights()
    with threadpool_limits(1):
        assert np.array_equal(weights(), expected)
    assert _threads._limit is None
