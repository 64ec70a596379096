"""The page that shows what an estimator has learned."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from sae import _checks, _sae
from sae._sae import Files, Network

# Points of a curve in the page, at most: of batches, and of evaluations.
BATCHES, EVALUATIONS = 800, 200

# Height of the frame in a notebook, in pixels.
HEIGHT = 820

ENDINGS = (".html", ".htm")


class Report:
    """A page about an estimator, as `SparseAutoencoder.report` returns it; a notebook shows it in a frame.

    Attributes
    ----------
    html : str
        The whole page.
    """

    html: str

    def __init__(self, html: str, title: str, samples: int) -> None:
        self.html = html
        self._title = title
        self._samples = samples

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Write the page to a file.

        Parameters
        ----------
        path : str or path
            The file, its name ending in ``.html`` or ``.htm``. The write is atomic.

        Raises
        ------
        ValueError
            The name has another ending.
        OSError
            The file cannot be written.
        """
        file = check_path(path)
        _sae.write_text(file, self.html)

    def _repr_html_(self) -> str:
        # Of an origin of its own: the page cannot reach the notebook.
        style = f"width:100%;height:{HEIGHT}px;border:1px solid #8886;border-radius:6px"
        return (
            f'<iframe title="{escape(self._title)}" style="{style}" sandbox="allow-scripts" '
            f'srcdoc="{escape(self.html)}"></iframe>'
        )

    def __repr__(self) -> str:
        counted = "1 sample" if self._samples == 1 else f"{self._samples} samples"
        return f"Report({self._title!r}, {counted})"


def check_path(path: Union[str, os.PathLike[str]]) -> Path:
    """A path whose ending is that of a page."""
    file = Path(path)
    if file.suffix.lower() not in ENDINGS:
        raise ValueError(f"path: expected a name that ends in .html or .htm, got {file.name!r}")
    return file


def checked_names(names: Optional[Iterable[str]]) -> Optional[list[str]]:
    """Names of samples as a list; the compiled part checks how many there are."""
    if names is None:
        return None
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(f"names: expected a text for each sample, got {names!r}")
    found = list(names)
    for at, name in enumerate(found):
        if not isinstance(name, str):
            raise TypeError(f"names: expected a text for each sample, got {name!r} for sample {at}")
    return [str(name) for name in found]


def checked_shape(shape: Optional[Sequence[int]]) -> Optional[list[int]]:
    """Dimensions of an image; the compiled part checks which they are."""
    if shape is None:
        return None
    return _checks.dimensions("image_shape", shape, "dimensions such as (28, 28)")


def title(network: Network) -> str:
    """What a network is, in few words."""
    settings = json.loads(network.settings)
    sizes = "-".join(map(str, settings["layers"]))
    return sizes if settings["code"] == "dense" else f"{sizes}, {settings['code']}"


def source(data: Any) -> str:
    """What samples are, in few words."""
    if not isinstance(data, Files):
        return "an array"
    first, *others = data.paths
    return f"{first} and {len(others)} more files" if others else str(first)


def columns(history: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """The records of a training as columns of the page's curves."""
    rows = _thin(len(history["step"]), BATCHES)
    evaluations = _thin(len(history["validation_step"]), EVALUATIONS)
    if not len(rows):
        return []
    of_batches, of_evaluations = history["step"][rows], history["validation_step"][evaluations]
    steps = np.union1d(of_batches, of_evaluations)

    def column(places: Any, values: Any) -> list[float]:
        full = np.full(len(steps), np.nan)
        full[np.searchsorted(steps, places)] = values
        return [float(value) for value in full]

    found = [
        ("step", [float(step) for step in steps]),
        ("objective", column(of_batches, history["objective"][rows])),
    ]
    if len(of_evaluations):
        values = history["validation_objective"][evaluations]
        found.append(("validation_objective", column(of_evaluations, values)))
    for layer, means in enumerate(history["mean_activations"][rows].T, 1):
        found.append((f"mean_activation_{layer}", column(of_batches, means)))
    return found


def _thin(count: int, max_rows: int) -> Any:
    """Every n-th of `count` rows, at most `max_rows` of them, with the last one."""
    stride = max(1, -(-count // max_rows))
    return np.arange(count)[::-1][::stride][::-1]
