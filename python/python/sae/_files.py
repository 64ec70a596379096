"""Files as a data set."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Optional, Union

from sae._sae import Files


# How the names of files end whose arrays have no names.
UNNAMED = (".npy", ".idx", "ubyte")


def is_path(X: Any) -> bool:
    """Whether this is a path."""
    return isinstance(X, (str, os.PathLike))


def is_paths(X: Any) -> bool:
    """Whether this is a path or a list of paths."""
    return is_path(X) or (isinstance(X, (list, tuple)) and len(X) > 0 and all(map(is_path, X)))


def open_data(
    paths: Union[str, os.PathLike[str], Iterable[Union[str, os.PathLike[str]]]],
    *,
    tensor: Optional[str] = None,
    rows: Optional[str] = None,
    copy: bool = False,
) -> Files:
    """Open files of samples as one data set, which takes the place of an array `X`.

    The files are mapped, not read: they may be larger than memory. A path alone, or a list of them, is
    opened like this wherever an `X` is taken, so this function is for its options.

    Parameters
    ----------
    paths : str, path or sequence of them
        IDX, ``.npy`` or safetensors files, folders of them, patterns such as ``"part-*.npy"``, and
        lists: text files, their names ending in ``.txt``, of a path per line. They are sorted, numbers
        in their names by value, except for those of a list.
    tensor : str, default=None
        Name of the tensor in safetensors files; None is the only one of two dimensions, or else the
        only one of more.
    rows : {"first", "last"}, default=None
        What the samples of an array of more than two dimensions are: all numbers of an index of the
        "first" dimension, as of images, or those along the "last" one, as of activations [texts,
        tokens, features]. None is "last" for floats in ``.npy`` and safetensors files, "first"
        otherwise.
    copy : bool, default=False
        Whether to read the files into memory instead, if something else may write to them meanwhile.

    Returns
    -------
    data : Files
        With the attributes `shape`, `element_type` (such as "u8", "bf16" or "f32") and `paths`.

    Raises
    ------
    OSError
        A file cannot be read.
    ValueError
        It is none of these files, samples of files have different numbers of features, or there is no such
        tensor.

    Examples
    --------
    >>> import numpy as np
    >>> from sae import open_data
    >>> np.save("activations.npy", np.zeros((2, 50, 8), np.float16))
    >>> open_data("activations.npy").shape
    (100, 8)
    >>> open_data("activations.npy", rows="first").shape
    (2, 400)
    """
    if tensor is not None and not isinstance(tensor, str):
        raise TypeError(f"tensor: expected the name of a tensor, got {tensor!r}")
    if rows not in (None, "first", "last"):
        raise ValueError(f"rows: expected 'first' or 'last', got {rows!r}")
    found: list[Any] = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not all(map(is_path, found)):
        wrong = next(path for path in found if not is_path(path))
        raise TypeError(f"paths: expected paths, got {wrong!r}")
    files = Files(found, tensor, None if rows is None else rows == "last", bool(copy))
    if tensor is not None and all(str(path).endswith(UNNAMED) for path in files.paths):
        raise ValueError(f"tensor: expected None, because {files.paths[0]} is no safetensors file, got {tensor!r}")
    return files
