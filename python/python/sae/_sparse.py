"""Sparse codes as SciPy's matrices in CSR format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Parts = tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.float32]]

# What the parameter `output` may be.
OUTPUTS = ("auto", "dense", "sparse")

# Units of a sparse code up to which "auto" returns an array.
DENSE_UNITS = 1024


def check_output(output: Any) -> None:
    """Refuses what the parameter `output` cannot be."""
    if not isinstance(output, str) or output not in OUTPUTS:
        raise ValueError(f"output: expected 'auto', 'dense' or 'sparse', got {output!r}")


def matrix(parts: Parts, units: int) -> csr_matrix:
    """The matrix [samples, units] of its indptr, indices and values, which are not copied."""
    try:
        from scipy.sparse import csr_matrix
    except ImportError as error:
        raise ImportError(
            "output: sparse codes need SciPy, which is not installed; install it (pip install "
            "scipy), or use output='dense'"
        ) from error
    indptr, indices, values = parts
    # SciPy has signed indices, those of indptr and indices of one type. Those of units have 32 bits.
    is_large = max(len(values), units) > np.iinfo(np.int32).max
    kind: Any = np.int64 if is_large else np.int32
    columns: Any = indices if is_large else indices.view(np.int32)
    index = (columns.astype(kind, copy=False), indptr.astype(kind))
    codes = csr_matrix((values, *index), shape=(len(indptr) - 1, units), copy=False)
    codes.has_canonical_format = True
    return codes


def parts(codes: Any) -> Parts:
    """The indptr, indices and values of a matrix in CSR format."""
    codes.check_format(full_check=True)
    if not codes.has_canonical_format:
        codes = codes.copy()
        codes.sum_duplicates()
    return codes.indptr.astype(np.uint64), codes.indices.astype(np.uint32), codes.data
