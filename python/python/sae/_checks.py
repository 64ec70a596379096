"""What is said of arguments of the wrong kind."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, Optional


def count(name: str, value: Any) -> int:
    """A number of things."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: {value!r}; a whole number was expected")
    number = int(value)
    if not 0 <= number < 2**63:
        raise ValueError(f"{name}: {number}; a number of 0 or more was expected")
    return number


def sizes(layers: Any) -> list[int]:
    """Sizes of layers."""
    if isinstance(layers, str) or not isinstance(layers, Iterable):
        raise TypeError(f"layers: {layers!r}; a sequence of sizes was expected, as in (300, 30, 300)")
    found = [count("layers", size) for size in layers]
    if len(found) % 2 == 0:
        raise ValueError(
            f"layers: {len(found)} sizes; an odd number of them was expected, the one in the middle "
            "being the code, as in (300, 30, 300)"
        )
    return found


def count_or_share(name: str, value: Any) -> Optional[float]:
    """A number of samples, or a share of them; None is left to the compiled part."""
    if value is None:
        return None
    if isinstance(value, Real) and not isinstance(value, Integral):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        problem = f"{name}: {value!r}; a number of samples or a share between 0 and 1 was expected"
        raise TypeError(problem)
    return count(name, value)


def two_dimensional(X: Any) -> None:
    """Refuses images that are not yet rows, in words that say how they become such."""
    shape = getattr(X, "shape", ())
    if len(shape) > 2:
        raise ValueError(
            f"X has the shape {tuple(shape)}; [samples, features] was expected, "
            "which X.reshape(len(X), -1) has"
        )
