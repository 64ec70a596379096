"""Samples of any type as the arrays that the compiled part takes: C-ordered uint8 or float32.

The scaling belongs to the model: one that was fitted to bytes takes bytes, which it divides by 255, in
an array of any type; every other one takes numbers as they are, or scales them by itself.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

BYTES = (
    "expected whole numbers from 0 to 255, because the model was fitted to bytes (uint8) and divides "
    "them by 255"
)


def aligned(X: Any) -> Any:
    """An array as the compiled part can read it, without a copy if possible."""
    return np.require(X, requirements=["C", "A"])


def bytes_if_all(X: Any) -> Any:
    """A data frame whose columns are all bytes, nullable or not, as one of uint8; other data as is."""
    kinds = _column_types(X)
    if not kinds or not all(str(kind).lower().startswith("uint8") for kind in kinds):
        return X
    if all(kind == np.uint8 for kind in kinds) or bool(X.isna().to_numpy().any()):
        # Missing values are refused like those of other data.
        return X
    return X.astype(np.uint8)


def _column_types(X: Any) -> list[Any]:
    """Types of the columns of a pandas frame."""
    if not (hasattr(X, "dtypes") and hasattr(X, "isna") and hasattr(X, "columns")):
        return []
    return list(X.dtypes)


def is_integer(X: Any) -> bool:
    """Whether data have integers that are not all bytes."""
    kinds = _column_types(X) or [getattr(X, "dtype", None) or np.asarray(X).dtype]
    return all(getattr(kind, "kind", "") in "iu" for kind in kinds) and any(
        str(kind).lower() != "uint8" for kind in kinds
    )


def warn_of_bytes(X: Any, name: str) -> None:
    """Warn of integers that look like bytes, but are not divided by 255."""
    low, high = X.min(), X.max()
    if low < 0 or high > 255 or high <= 1:
        return
    warnings.warn(
        f"{name}: integers from {low:.0f} to {high:.0f} of another type than uint8 are used as they "
        f"are; if they are bytes, such as pixels, give {name}.astype('uint8'), which is divided by "
        f"255, or otherwise {name}.astype('float32')",
        UserWarning,
        stacklevel=5,
    )


def warn_of_rounding(X: Any, name: str) -> None:
    """Warn of numbers of more than 24 bits that become nearly the same as float32."""
    X = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)
    if X.dtype.kind not in "iuf" or X.dtype.itemsize < 4 or X.dtype == np.float32:
        return
    low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        spacing = np.maximum(np.abs(low), np.abs(high)) * np.finfo(np.float32).eps
        rounded = np.flatnonzero((high > low) & (high - low < 256 * spacing))
    if len(rounded) == 0:
        return
    at = rounded[0]
    warnings.warn(
        f"{name}: feature {at} is from {low[at]!s} to {high[at]!s}, where the numbers of float32 are some "
        f"{spacing[at]:.3g} apart; subtract its mean or minimum first, for example by StandardScaler",
        UserWarning,
        stacklevel=5,
    )


def to_bytes(X: Any, name: str) -> Any:
    """An array of bytes from one of the same numbers in another type."""
    if X.dtype == np.uint8:
        return X
    converted = X.astype(np.float64) if X.dtype.kind not in "biuf" else X
    with np.errstate(invalid="ignore"):
        is_byte = (converted >= 0) & (converted <= 255) & (converted == np.floor(converted))
    if is_byte.all():
        return np.ascontiguousarray(converted, dtype=np.uint8)
    sample, feature = np.argwhere(~is_byte)[0]
    raise ValueError(
        f"{name}: {BYTES}, got {X[sample, feature]} in sample {sample}, feature {feature}"
    )
