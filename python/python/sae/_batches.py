"""Samples that arrive in batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sae import _data

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Samples, the first ones, that are kept: what a training takes from its data before the first step
# comes from these, and so do revivals and warnings.
KEPT = 4096


class Batches:
    """An iterator over batches of any lengths: pairs of the number of the first sample, and an array.

    Parameters
    ----------
    batches : iterable of arrays [samples, features]

    Attributes
    ----------
    first : ndarray
        A copy of the first samples, at least `KEPT` of them if there are as many. They come first in
        the iteration, as one batch.
    """

    def __init__(self, batches: Iterable[Any]) -> None:
        self._batches = iter(batches)
        self._count = 0
        first: list[NDArray[Any]] = []
        for batch in self._batches:
            batch = self._check(batch, first[0] if first else None)
            # A copy: a generator may use the memory of its array again.
            first += [batch.copy()] if len(batch) else []
            if sum(map(len, first)) >= KEPT:
                break
        if not first:
            raise ValueError(
                "X: expected batches of samples, got none; an iterator gives its batches only once, so "
                "make a new one for each call"
            )
        self.first = np.concatenate(first) if len(first) > 1 else first[0]
        self._next = 0

    def __iter__(self) -> Iterator[tuple[int, NDArray[Any]]]:
        return self

    def __next__(self) -> tuple[int, NDArray[Any]]:
        start = self._next
        if start == 0:
            self._next = len(self.first)
            return 0, self.first
        batch = self._check(next(self._batches), self.first)
        while len(batch) == 0:
            batch = self._check(next(self._batches), self.first)
        self._next += len(batch)
        return start, batch

    def _check(self, given: Any, first: Any) -> NDArray[Any]:
        """A batch as an array, which has to be like the first."""
        name = f"X: batch {self._count}"
        self._count += 1
        if isinstance(given, Mapping):
            names = ", ".join(repr(key) for key in list(given)[:3])
            raise TypeError(
                f"{name}: expected an array, got a {type(given).__name__} of {names}; give the arrays "
                "of one column, as in (batch['x'] for batch in batches)"
            )
        if isinstance(given, (str, os.PathLike)):
            raise TypeError(f"{name}: expected an array, got a path; give a list of paths, list(X)")
        if isinstance(given, (list, tuple)) and any(getattr(part, "ndim", 0) > 1 for part in given):
            raise TypeError(
                f"{name}: expected an array, got a {type(given).__name__} of arrays; give one of them, as "
                "in (batch[0] for batch in batches)"
            )
        given = _data.array(given, name)
        given = given.to_numpy() if hasattr(given, "to_numpy") else np.asarray(given)
        if given.ndim != 2:
            raise ValueError(
                f"{name}: expected an array (n_samples, n_features), as of batch.reshape(-1, "
                f"n_features), got the shape {given.shape}"
            )
        batch: NDArray[Any] = _data.readable(given, name)
        if first is None:
            return batch
        if batch.shape[1] != first.shape[1]:
            raise ValueError(
                f"{name}: expected {first.shape[1]} features, as in the first batch, got "
                f"{batch.shape[1]}"
            )
        if batch.dtype.newbyteorder("=") != first.dtype.newbyteorder("="):
            raise ValueError(
                f"{name}: expected {_data.type_name(first)}, as in the first batch, got "
                f"{_data.type_name(batch)}"
            )
        return batch
