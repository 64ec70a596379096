"""Samples of any kind as what the compiled part takes: arrays of numbers, and files.

Arrays are not copied if each of their samples is in one piece. The scaling belongs to the model: one
that was fitted to bytes takes bytes, which it divides by 255, in an array of any type; every other one
takes numbers as they are, or scales them by itself.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np

from sae import _checks, _files, _sae

# How the compiled part is given numbers of bfloat16, which NumPy does not have: as raw data.
BFLOAT16 = np.dtype("V2")

# Samples of a mapped array that are looked at for warnings.
LOOKED_AT = 1000

# Devices of DLPack whose memory the CPU reads: its own, and that which is pinned for a GPU.
CPU_DEVICES = (1, 3, 11)


def is_batches(X: Any) -> bool:
    """Whether this is an iterator of batches, or another iterable that is no array or sequence."""
    if isinstance(X, Iterator):
        return True
    if not isinstance(X, Iterable) or isinstance(X, (Sequence, Mapping, Set, _sae.Files)):
        return False
    of_arrays = ("__array__", "__array_interface__", "__dlpack__", "__dataframe__", "shape")
    return not any(hasattr(X, name) for name in of_arrays)


def source(X: Any, name: str) -> Any:
    """Files that are opened, or an array, or what NumPy makes one of."""
    if isinstance(X, _sae.Files):
        return X
    if _files.is_paths(X):
        return _files.open_data(X)
    if is_batches(X):
        raise TypeError(
            f"{name}: only fit and partial_fit take an iterator of batches as X; give an array, such as "
            "one batch at a time"
        )
    return array(X, name)


def array(X: Any, name: str) -> Any:
    """An array, without a copy, of a tensor; other data as they are."""
    if hasattr(X, "column_names") and hasattr(X, "with_format"):
        raise TypeError(
            f"{name}: expected an array, got a data set of columns; give one column, as in "
            f"{name}.with_format('numpy')['x'][:], or batches of it, as in (batch['x'] for batch in "
            f"{name}.with_format('numpy').iter(1000))"
        )
    if isinstance(X, np.ndarray):
        # NumPy 2.0 has no type of this function.
        is_masked: Any = np.ma.is_masked
        if is_masked(X):
            raise ValueError(
                f"{name}: expected numbers, got an array of which some are masked; fill them, as in "
                f"{name}.filled(0), or leave their samples out"
            )
        if X.dtype.type is np.void:
            raise TypeError(
                f"{name}: expected numbers, got raw data or records of {X.dtype}; if they are bfloat16, "
                f"give {name}.view(ml_dtypes.bfloat16), and of records one field, {name}['field']"
            )
        if X.dtype.name == "bfloat16":
            return X.view(BFLOAT16)
        # A type of another package, such as one of ml_dtypes.
        return X.astype(np.float32) if X.dtype.kind == "V" else X
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        return _array_of_tensor(torch, X, name)
    if not (hasattr(X, "__dlpack__") and hasattr(X, "__dlpack_device__")):
        return X
    device = X.__dlpack_device__()[0]
    if device not in CPU_DEVICES:
        raise _elsewhere(name, f"device {int(device)} of DLPack")
    try:
        return np.from_dlpack(X)
    except (BufferError, RuntimeError, TypeError) as error:
        # A type that NumPy does not have, or memory that it would not protect.
        if hasattr(X, "__array__"):
            return array(np.asarray(X), name)
        raise TypeError(f"{name}: NumPy cannot take this {type(X).__name__}: {error}") from error


def _array_of_tensor(torch: Any, X: Any, name: str) -> Any:
    if X.device.type != "cpu":
        raise _elsewhere(name, str(X.device))
    if X.layout != torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, got one of {X.layout}; use {name}.to_dense()")
    X = X.detach()
    if X.dtype == torch.bfloat16:
        return X.view(torch.int16).numpy().view(BFLOAT16)
    if X.dtype.is_floating_point and X.dtype.itemsize == 1:
        X = X.float()
    return X.numpy()


def _elsewhere(name: str, device: str) -> Exception:
    return ValueError(
        f"{name}: expected numbers in the memory of the CPU, got a tensor on {device}; move it with "
        ".cpu()"
    )


def type_name(X: Any) -> str:
    """The name of an array's type of number."""
    return "bfloat16" if X.dtype == BFLOAT16 else str(X.dtype)


def validated(X: Any, validate: Any, **options: Any) -> Any:
    """An array that scikit-learn has checked, by `validate`, except for its numbers."""
    options["ensure_all_finite"] = False
    if getattr(X, "dtype", None) != BFLOAT16:
        return validate(X, dtype="numeric", **options)
    # scikit-learn refuses raw data.
    return validate(X.view(np.uint16), dtype="numeric", **options).view(BFLOAT16)


def readable(X: Any, name: str) -> Any:
    """An array as the compiled part can read it, without a copy if possible."""
    if X.dtype.kind == "f" and X.dtype.itemsize > 8:
        X = X.astype(np.float64)
    elif X.dtype.kind not in "biuf" and X.dtype != BFLOAT16:
        raise TypeError(f"{name}: expected an array of numbers, got one of {X.dtype}")
    return X if X.strides[1] == X.itemsize else np.array(X, order="C")


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


def check_frame(X: Any, name: str) -> None:
    """Refuses a data frame with missing values or texts, by row and column; other data are checked later."""
    kinds = _column_types(X)
    if not kinds:
        return
    missing = X.isna().to_numpy()
    if missing.any():
        row, column = np.unravel_index(missing.argmax(), missing.shape)
        raise ValueError(
            f"{name}: row {_label(X.index[row])}, column {_label(X.columns[column])} has no number (NaN); "
            "fill it, or leave out the row or the column"
        )
    for at, kind in enumerate(kinds):
        if getattr(kind, "kind", "O") not in "OSUT":
            continue
        for row, value in enumerate(X.iloc[:, at]):
            try:
                float(value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"{name}: column {_label(X.columns[at])} has {value!r} in row {_label(X.index[row])}; expected "
                    "numbers: leave the column out, or encode it"
                ) from None


def _label(label: Any) -> str:
    return repr(label.item() if isinstance(label, np.generic) else label)


def is_integer(X: Any) -> bool:
    """Whether data have integers that are not all bytes."""
    kinds = _column_types(X) or [getattr(X, "dtype", None) or np.asarray(X).dtype]
    return all(getattr(kind, "kind", "") in "iu" for kind in kinds) and any(
        str(kind).lower() != "uint8" for kind in kinds
    )


def looked_at(X: Any) -> Any:
    """The samples of an array that are looked at for warnings: some of a mapped file, all others."""
    return X[:: max(1, len(X) // LOOKED_AT)] if _sae.is_mapped(X) else X


def warn_of_bytes(X: Any, name: str) -> None:
    """Warn of integers that look like bytes, but are not divided by 255."""
    X = looked_at(X)
    low, high = X.min(), X.max()
    if low < 0 or high > 255 or high <= 1:
        return
    warnings.warn(
        f"{name}: integers from {low:.0f} to {high:.0f} of another type than uint8 are used as they "
        f"are; if they are bytes, such as pixels, give {name}.astype('uint8'), which is divided by "
        f"255, or otherwise {name}.astype('float32')",
        UserWarning,
        stacklevel=_checks.caller(),
    )


def is_bytes(X: Any) -> bool:
    """Whether an array, or files, are bytes."""
    return bool(X.element_type == "u8" if isinstance(X, _sae.Files) else X.dtype == np.uint8)


def is_of_integers(X: Any) -> bool:
    """Whether an array, or files, are integers, bytes among them."""
    if isinstance(X, _sae.Files):
        return str(X.element_type)[:1] in "ui"
    return bool(X.dtype.kind in "ui")


def warn_of_other_bytes(X: Any, name: str) -> None:
    """Warn of bytes for a model of floats, which are not divided by 255."""
    if not is_bytes(X) or (not isinstance(X, _sae.Files) and looked_at(X).max() <= 1):
        return
    warnings.warn(
        f"{name}: the model was not trained on bytes, and takes uint8 as it is, not divided by 255; divide by "
        f"255 if it was trained on numbers from 0 to 1, or otherwise give {name}.astype('float32')",
        UserWarning,
        stacklevel=_checks.caller(),
    )


def feature_named(sentence: str, names: Any) -> str:
    """A sentence with the names of the features of which it has the numbers, if they have names."""
    if names is None:
        return sentence

    def named(found: re.Match[str]) -> str:
        at = int(found[1])
        return f"{found[0]} ({names[at]!s})" if at < len(names) else found[0]

    return re.sub(r"\bfeature (\d+)\b", named, sentence)


def warn_of_rounding(X: Any, name: str, names: Any) -> None:
    """Warn of numbers of more than 24 bits that become nearly the same as float32."""
    if X.dtype.kind not in "iuf" or X.dtype.itemsize < 4 or X.dtype.type is np.float32:
        return
    X = looked_at(X)
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
        spacing = np.maximum(np.abs(low), np.abs(high)) * np.finfo(np.float32).eps
        rounded = np.flatnonzero((high > low) & (high - low < 256 * spacing))
    if len(rounded) == 0:
        return
    at = rounded[0]
    sentence = (
        f"{name}: feature {at} is from {low[at]!s} to {high[at]!s}, where the numbers of float32 are some "
        f"{spacing[at]:.3g} apart; subtract its mean or minimum first, for example by StandardScaler"
    )
    warnings.warn(
        feature_named(sentence, names),
        UserWarning,
        stacklevel=_checks.caller(),
    )
