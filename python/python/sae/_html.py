"""A fitted estimator as HTML for notebooks: a table, and tiles of its features."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from sae import _plots

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TILES = 36


def picture(weights: NDArray[np.float32]) -> str:
    """The first features as an image; empty without matplotlib or if they are not squares."""
    try:
        from matplotlib.image import imsave
    except ImportError:
        return ""
    try:
        tiles = _plots.feature_mosaic(weights, TILES, None)
    except ValueError:
        return ""
    png = io.BytesIO()
    imsave(png, tiles, cmap="gray", vmin=-1.0, vmax=1.0, format="png")
    encoded = base64.b64encode(png.getvalue()).decode()
    # Small images are enlarged without interpolation.
    style = f"width:{max(180, tiles.shape[1])}px;image-rendering:pixelated"
    shown = min(TILES, weights.shape[1])
    title = f"weights of the first {shown} of {weights.shape[1]} units"
    return (
        f'<figure><img alt="{title}" style="{style}" src="data:image/png;base64,{encoded}">'
        f"<figcaption>{title}</figcaption></figure>"
    )


def summary(rows: dict[str, str], weights: NDArray[np.float32]) -> str:
    """A table of these rows, and the picture of these weights (features, units)."""
    left = 'style="text-align:left"'
    cells = "".join(
        f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(text)}</td></tr>"
        for name, text in rows.items()
    )
    return f'<table class="sae-figures">{cells}</table>{picture(weights)}'
