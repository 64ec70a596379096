"""Plots with matplotlib, which is imported for the first of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from sae import _checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots require matplotlib: pip install matplotlib") from error
    return pyplot


def at_least_1(number: Optional[int]) -> Optional[int]:
    """A number of tiles; None for all."""
    if number is not None and _checks.count("count", number) == 0:
        raise ValueError("count: expected at least 1, got 0")
    return number


def image_shape(features: int, shape: Optional[tuple[int, int]]) -> tuple[int, int]:
    """Rows and columns of a sample; by default those of a square."""
    if shape is not None:
        sizes = _checks.dimensions("shape", shape, "(rows, columns)")
        if len(sizes) != 2:
            raise TypeError(f"shape: expected (rows, columns), got {shape!r}")
        shape = (sizes[0], sizes[1])
    else:
        side = math.isqrt(features)
        shape = (side, side)
        if side * side != features:
            raise ValueError(f"shape: expected (rows, columns), because {features} features are not a square image")
    if shape[0] * shape[1] != features:
        raise ValueError(f"shape: expected the rows and columns of {features} features, got {shape[0]} x {shape[1]}")
    return shape


def mosaic(tiles: NDArray[np.float32], columns: int, background: float) -> NDArray[np.float32]:
    """Arrange tiles (count, rows, cols) in one picture, `columns` in a row, with margins of 1."""
    count, height, width = tiles.shape
    rows = -(-count // columns)
    picture = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), background, np.float32)
    for at, tile in enumerate(tiles):
        top, left = at // columns * (height + 1) + 1, at % columns * (width + 1) + 1
        picture[top : top + height, left : left + width] = tile
    return picture


def feature_mosaic(
    weights: NDArray[np.float32], count: Optional[int], shape: Optional[tuple[int, int]]
) -> NDArray[np.float32]:
    """Arrange weights (features, units) as tiles, each scaled to a maximum magnitude of 1."""
    rows, columns = image_shape(len(weights), shape)
    units = weights.T[: at_least_1(count)]
    largest = np.abs(units).max(axis=1, keepdims=True, initial=np.finfo(np.float32).tiny)
    tiles = (units / largest).reshape(-1, rows, columns)
    return mosaic(tiles, math.ceil(math.sqrt(max(1, len(tiles)))), -0.25)


# Largest and smallest side of a figure of tiles alone, and the height of its title, in inches.
MAX_SIDE, MIN_SIDE, TITLE = 8.0, 4.5, 0.28


def _show(picture: NDArray[np.float32], low: float, high: float, title: str, ax: Optional[Axes]) -> Figure:
    """Draw a picture on axes, or in a figure of its own, which it fills."""
    if ax is None:
        height, width = picture.shape
        # 30 pixels an inch, but for few and for many tiles.
        inches = min(MAX_SIDE, max(MIN_SIDE, width / 30), MAX_SIDE * width / height)
        figure = _pyplot().figure(figsize=(inches, inches * height / width + TITLE), layout="constrained")
        ax = figure.add_subplot()
    assert ax is not None
    ax.imshow(picture, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(title, fontsize="medium", loc="left")
    return ax.figure  # type: ignore[return-value]


def features(
    weights: NDArray[np.float32],
    count: Optional[int],
    shape: Optional[tuple[int, int]],
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
    shape: Optional[tuple[int, int]],
    ax: Optional[Axes],
) -> Figure:
    rows, columns = image_shape(samples.shape[1], shape)
    low, high = float(samples.min()), float(samples.max())
    tiles = np.concatenate([samples, reconstructed]).reshape(-1, rows, columns)
    picture = mosaic(tiles, len(samples), (low + high) / 2)
    return _show(picture, low, high, "Samples above their reconstructions", ax)


def history(records: dict[str, Any]) -> Figure:
    figure, (objective, means) = _pyplot().subplots(1, 2, figsize=(10, 3.5), layout="constrained")
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
    return figure  # type: ignore[no-any-return]


def activations(layers: list[dict[str, Any]]) -> Figure:
    figure, places = _pyplot().subplots(
        1, len(layers), figsize=(5 * len(layers), 3.5), squeeze=False, layout="constrained"
    )
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
    return figure  # type: ignore[no-any-return]
