"""Dictionaries of other libraries."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sae._estimator import SparseAutoencoder
from sae._sae import Network

FORMATS = ("saelens", "sparsify", "gemma-scope", "dictionary-learning")


def import_dictionary(
    path: Union[str, os.PathLike[str]], *, steps: Optional[int] = None, **parameters: Any
) -> SparseAutoencoder:
    """Read a dictionary of SAELens, sparsify, dictionary_learning or Gemma Scope.

    Its codes and reconstructions are those of the other library, but for rounding. It can be saved, and
    `partial_fit` trains it on; its settings for that are not those of the dictionary's own training.

    Parameters
    ----------
    path : str or path
        A folder of SAELens (``cfg.json``, ``sae_weights.safetensors``), of sparsify (``cfg.json``,
        ``sae.safetensors``, or a folder with one such folder) or of dictionary_learning (``ae.pt``,
        ``config.json``; needs torch), or Gemma Scope's ``params.npz``.
    steps : int, default=None
        Number of steps of the next `fit`, as for `SparseAutoencoder.load`.
    **parameters
        Parameters for the next training, such as ``warm_start=True``, with which `fit` begins with the
        dictionary.

    Returns
    -------
    model : SparseAutoencoder
        Fitted.

    Raises
    ------
    OSError
        A file cannot be read.
    ValueError
        It is no such dictionary, or a parameter describes another network, as for `SparseAutoencoder.load`.

    Examples
    --------
    >>> import numpy as np
    >>> import sae
    >>> model = sae.SparseAutoencoder((64,), code="top-k:8", activation="relu",
    ...     initialization="he", beta=0, lambda_=0, steps=20, random_state=1)
    >>> X = np.random.default_rng(1).normal(size=(200, 16)).astype("float32")
    >>> sae.export_dictionary(model.fit(X), "dictionary", "saelens", hook_name="blocks.0.hook_mlp_out")
    >>> again = sae.import_dictionary("dictionary")
    >>> bool(abs(again.transform(X) - model.transform(X)).max() < 1e-6)
    True
    """
    found = Path(path)
    if found.suffix == ".pt":
        found = found.parent
    if (found / "ae.pt").is_file():
        return SparseAutoencoder._of(_load(found), steps, parameters)
    return SparseAutoencoder._of(Network.from_dictionary(path), steps, parameters)


def export_dictionary(
    model: SparseAutoencoder,
    path: Union[str, os.PathLike[str]],
    format: str,
    *,
    model_name: Optional[str] = None,
    hook_name: Optional[str] = None,
    hook_name_out: Optional[str] = None,
) -> None:
    """Write a model of one hidden layer for SAELens, sparsify, dictionary_learning or Gemma Scope.

    Codes and reconstructions are the same there, but for rounding; the scaling of the data is folded into
    the weights. What a format cannot express is refused.

    Parameters
    ----------
    model : SparseAutoencoder
        A fitted model with ReLUs and a linear output.
    path : str or path
        A folder, which must be new or empty; of Gemma Scope a file.
    format : {"saelens", "sparsify", "gemma-scope", "dictionary-learning"}
        "dictionary-learning" needs torch.
    model_name, hook_name, hook_name_out : str, default=None
        For SAELens: the model whose activations the samples are, their place in it, and that of a
        transcoder's targets.

    Raises
    ------
    OSError
        It cannot be written.
    ValueError
        The format cannot express the model.
    """
    check_is_fitted(model)
    if format not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}")
    names = {"model_name": model_name, "hook_name": hook_name, "hook_name_out": hook_name_out}
    for name, value in names.items():
        if value is not None and format != "saelens":
            raise ValueError(f"{name}: expected None, because {format} has no place for it")
    if format == "dictionary-learning":
        _save(model._network, Path(path))
    else:
        model._network.export(path, format, list(names.values()))


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        problem = "dictionary_learning's ae.pt is a pickle of torch, which is not installed"
        raise ImportError(f"{problem}; pip install torch") from error
    return torch


def _load(folder: Path) -> Network:
    """A dictionary of dictionary_learning. Of the pickle tensors alone are taken: it runs no code."""
    config = (folder / "config.json").read_text()
    torch = _torch()
    state = torch.load(folder / "ae.pt", map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise ValueError(f"{folder / 'ae.pt'}: expected a state dict of tensors")
    tensors = []
    for name, tensor in state.items():
        numbers = tensor.detach().to(torch.float32).contiguous()
        tensors.append((str(name), list(numbers.shape), numbers.flatten().numpy()))
    return Network.from_dictionary_learning(folder / "ae.pt", config, tensors)


def _save(network: Network, folder: Path) -> None:
    """Writes a folder of dictionary_learning, atomically."""
    torch = _torch()
    config, state = network.to_dictionary_learning()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: expected a new or empty folder, but it has files")
    tensors = {}
    for name, shape, values in state:
        numbers = torch.from_numpy(np.ascontiguousarray(values)).reshape(list(shape))
        whole = {"k": torch.int32, "group_sizes": torch.int64}.get(name)
        tensors[name] = numbers if whole is None else numbers.to(whole)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        torch.save(tensors, temporary / "ae.pt")
        (temporary / "config.json").write_text(config)
        for name in ("ae.pt", "config.json"):
            with open(temporary / name, "rb+") as file:
                os.fsync(file.fileno())
        # mkdtemp's folder is for its owner alone.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o777 & ~umask)
        if folder.exists():
            folder.rmdir()
        os.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
