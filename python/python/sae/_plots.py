"""Plots with matplotlib, which is imported for the first of them."""

from __future__ import annotations

import io
import math
from functools import partial
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from sae import _checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def _figure(width: float, height: float) -> Figure:
    """A figure that pyplot does not keep; a notebook shows it where it is the value of a cell."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots require matplotlib: pip install matplotlib") from error

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    # IPython asks an object for it, where nothing else shows such figures.
    setattr(figure, "_repr_png_", partial(_png, figure))
    return figure


def _png(figure: Figure) -> bytes:
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight")
    return png.getvalue()


def at_least_1(number: Optional[int]) -> Optional[int]:
    """A number of tiles; None for all."""
    if number is not None and _checks.count("count", number) == 0:
        raise ValueError("count: expected at least 1, got 0")
    return number


# Channels of a picture: gray, and red, green and blue.
CHANNELS = (1, 3)


def image_shape(features: int, shape: Optional[Sequence[int]]) -> tuple[int, ...]:
    """The shape of a sample, with or without channels; by default that of a square."""
    if shape is None:
        side = math.isqrt(features)
        if side * side != features:
            raise ValueError(f"shape: expected (rows, columns), because {features} features are not a square image")
        return side, side
    expected = "(rows, columns), or with 1 or 3 channels (rows, columns, channels) or (channels, rows, columns)"
    sizes = _checks.dimensions("shape", shape, expected)
    if len(sizes) not in (2, 3) or (len(sizes) == 3 and not {sizes[0], sizes[2]} & set(CHANNELS)):
        raise TypeError(f"shape: expected {expected}, got {shape!r}")
    if math.prod(sizes) != features:
        product = " x ".join(map(str, sizes))
        raise ValueError(f"shape: expected the rows and columns of {features} features, got {product}")
    return tuple(sizes)


def as_tiles(rows: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Samples as pictures (count, rows, columns), or (count, rows, columns, 3) in color."""
    tiles = rows.reshape(-1, *shape)
    if tiles.ndim == 4 and tiles.shape[3] not in CHANNELS:
        tiles = tiles.transpose(0, 2, 3, 1)
    return tiles[..., 0] if tiles.ndim == 4 and tiles.shape[3] == 1 else tiles


def mosaic(tiles: NDArray[np.float32], columns: int, background: float) -> NDArray[np.float32]:
    """Arrange tiles (count, rows, cols[, 3]) in one picture, `columns` in a row, with margins of 1."""
    count, height, width = tiles.shape[:3]
    rows = -(-count // columns)
    size = (rows * (height + 1) + 1, columns * (width + 1) + 1, *tiles.shape[3:])
    picture = np.full(size, background, np.float32)
    for at, tile in enumerate(tiles):
        top, left = at // columns * (height + 1) + 1, at % columns * (width + 1) + 1
        picture[top : top + height, left : left + width] = tile
    return picture


def feature_mosaic(
    weights: NDArray[np.float32], count: Optional[int], shape: Optional[Sequence[int]]
) -> NDArray[np.float32]:
    """Arrange weights (features, units) as tiles, each scaled to a maximum magnitude of 1."""
    size = image_shape(len(weights), shape)
    units = weights.T[: at_least_1(count)]
    largest = np.abs(units).max(axis=1, keepdims=True, initial=np.finfo(np.float32).tiny)
    tiles = as_tiles(units / largest, size)
    return mosaic(tiles, math.ceil(math.sqrt(max(1, len(tiles)))), -0.25)


# Largest and smallest side of a figure of tiles alone, and the height of its title, in inches.
MAX_SIDE, MIN_SIDE, TITLE = 8.0, 4.5, 0.28


def _show(picture: NDArray[np.float32], low: float, high: float, title: str, ax: Optional[Axes]) -> Figure:
    """Draw a picture on axes, or in a figure of its own, which it fills."""
    if ax is None:
        height, width = picture.shape[:2]
        # 30 pixels an inch, but for few and for many tiles.
        inches = min(MAX_SIDE, max(MIN_SIDE, width / 30), MAX_SIDE * width / height)
        ax = _figure(inches, inches * height / width + TITLE).add_subplot()
    assert ax is not None
    if picture.ndim == 3:
        # Of colors, matplotlib takes numbers from 0 to 1.
        picture = np.clip((picture - low) / (high - low if high > low else 1.0), 0, 1)
    ax.imshow(picture, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(title, fontsize="medium", loc="left")
    return ax.figure  # type: ignore[return-value]


def features(
    weights: NDArray[np.float32],
    count: Optional[int],
    shape: Optional[Sequence[int]],
    ax: Optional[Axes],
) -> Figure:
    mosaic = feature_mosaic(weights, count, shape)
    units = weights.shape[1]
    shown = units if count is None else min(count, units)
    which = f"all {units} units" if shown == units else f"the first {shown} of {units} units"
    return _show(mosaic, -1.0, 1.0, f"Weights of {which} of layer 1; gray is 0", ax)


def reconstructions(
    samples: NDArray[np.float32],
    reconstructed: NDArray[np.float32],
    shape: Optional[Sequence[int]],
    ax: Optional[Axes],
) -> Figure:
    size = image_shape(samples.shape[1], shape)
    low, high = float(samples.min()), float(samples.max())
    tiles = as_tiles(np.concatenate([samples, reconstructed]), size)
    picture = mosaic(tiles, len(samples), (low + high) / 2)
    return _show(picture, low, high, "Samples above their reconstructions", ax)


def history(records: dict[str, Any]) -> Figure:
    figure = _figure(10, 3.5)
    objective, means = figure.subplots(1, 2)
    objective.plot(records["step"], records["objective"], label="batch")
    if len(records["validation_step"]):
        held_out = records["validation_objective"]
        objective.plot(records["validation_step"], held_out, label="held-out samples")
    if len(records["objective"]) and min(records["objective"]) > 0:
        objective.set_yscale("log")
    objective.set(xlabel="step", ylabel="objective", title="Objective over the training")
    if len(records["step"]):
        objective.legend()
    for layer, column in enumerate(records["mean_activations"].T, 1):
        means.plot(records["step"], column, label=f"layer {layer}")
    means.set(xlabel="step", ylabel="mean activation", title="Mean activation of each hidden layer")
    if len(records["step"]):
        means.legend()
    return figure


def activations(layers: list[dict[str, Any]]) -> Figure:
    figure = _figure(5 * len(layers), 3.5)
    places = figure.subplots(1, len(layers), squeeze=False)
    for number, (layer, ax) in enumerate(zip(layers, places[0]), 1):
        counts = layer["counts"]
        edges = np.linspace(layer["low"], layer["high"], len(counts) + 1)
        ax.stairs(counts, edges, fill=True)
        if counts.any():
            ax.set_yscale("log")
        ax.set(
            xlabel=f"activation (exactly 0: {layer['zeros']})",
            ylabel="count",
            title=f"layer {number}: mean {layer['mean_activations'].mean():.3f}, L0 {layer['l0']:.1f} "
            f"of {len(layer['mean_activations'])}",
        )
    return figure
