"""Checks of the types of arguments."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, Optional

import numpy as np


# Units of a layer, at most.
MAX_UNITS = 2**24


def count(name: str, value: Any) -> int:
    """A whole number of 0 or more."""
    number = whole(name, value)
    if not 0 <= number < 2**63:
        raise ValueError(f"{name}: expected a whole number from 0 to 2**63 - 1, got {number}")
    return number


def at_least_1(name: str, value: Any) -> int:
    """A whole number of 1 or more."""
    number = whole(name, value)
    if not 1 <= number < 2**63:
        raise ValueError(f"{name}: expected at least 1, got {number}")
    return number


def whole(name: str, value: Any) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        is_float = isinstance(value, Real) and not isinstance(value, bool)
        kind = f", a {type(value).__name__}" if is_float else ""
        raise TypeError(f"{name}: expected a whole number, got {value!r}{kind}; give an int")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """A truth value."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def positive(name: str, value: Any) -> Optional[float]:
    """A number above 0, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number above 0, got {value!r}")
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"{name}: expected a number above 0, got {number}")
    return number


def sizes(layers: Any) -> list[int]:
    """Sizes of layers."""
    if isinstance(layers, str) or not isinstance(layers, Iterable):
        problem = f"expected a sequence of sizes such as (300, 30, 300), got {layers!r}"
        raise TypeError(f"layers: {problem}")
    found = [count("layers", size) for size in layers]
    for at, size in enumerate(found):
        # The compiled part would count the input as the first.
        if not 1 <= size <= MAX_UNITS:
            raise ValueError(f"layers: expected sizes from 1 to {MAX_UNITS}, got {size} as number {at + 1}")
    if len(found) % 2 == 0:
        raise ValueError(
            "layers: expected an odd number of sizes such as (300, 30, 300), with the code in the "
            f"middle, got {len(found)}"
        )
    return found


def count_or_share(name: str, value: Any) -> Optional[float]:
    """A number of samples, or a share of them; the compiled part has the default for None."""
    if value is None:
        return None
    if isinstance(value, Real) and not isinstance(value, Integral):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        problem = f"{name}: expected a number of samples or a share between 0 and 1, got {value!r}"
        raise TypeError(problem)
    return count(name, value)


def dimensions(name: str, value: Any, example: str) -> list[int]:
    """Dimensions: a tuple, list or array of whole numbers."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name}: expected {example}, got {value!r}")
    return [count(name, size) for size in value]


def caller() -> int:
    """The `stacklevel` of a warning that points to the first line outside of this package and scikit-learn.

    For a call from the function that warns.
    """
    frame, level = sys._getframe(1), 1
    inside = ("sae", "sklearn", "joblib")
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).split(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    return level


def same_width(X: Any, name: str, features: Optional[int]) -> None:
    """Refuses arrays besides `X`, of which scikit-learn says it, with another number of features."""
    shape: Any = getattr(X, "shape", ())
    if name != "X" and features is not None and len(shape) == 2 and shape[1] != features:
        raise ValueError(f"{name}: expected {features} features, as in X, got {shape[1]}")


def two_dimensional(X: Any, name: str) -> None:
    """Refuses arrays of more dimensions, with a message that says how to reshape them."""
    shape = getattr(X, "shape", ())
    if len(shape) > 2:
        raise ValueError(
            f"{name}: expected the shape (n_samples, n_features), as of {name}.reshape(len({name}), -1) "
            f"for images, or {name}.reshape(-1, {name}.shape[-1]) for activations, got {tuple(shape)}"
        )
