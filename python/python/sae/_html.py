"""A fitted estimator in a notebook: its figures, and tiles of its features."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from typing import TYPE_CHECKING

from sae import _plots

if TYPE_CHECKING:
    from sae._pictures import Pictures

TILES = 36


def picture(model: Pictures) -> str:
    """Some features as an image, or nothing where there is no matplotlib or no square."""
    try:
        from matplotlib.image import imsave
    except ImportError:
        return ""
    weights = model._network.layers[0][0]
    try:
        tiles = _plots.feature_mosaic(weights, TILES, None)
    except ValueError:
        return ""
    png = io.BytesIO()
    imsave(png, tiles, cmap="gray", vmin=-1.0, vmax=1.0, format="png")
    encoded = base64.b64encode(png.getvalue()).decode()
    # Small images are drawn larger, each pixel whole.
    style = f"width:{max(180, tiles.shape[1])}px;image-rendering:pixelated"
    shown = min(TILES, weights.shape[1])
    title = f"weights of the first {shown} of {weights.shape[1]} units"
    return (
        f'<figure><img alt="{title}" style="{style}" src="data:image/png;base64,{encoded}">'
        f"<figcaption>{title}</figcaption></figure>"
    )


def summary(model: Pictures) -> str:
    """A table, and the picture."""
    settings = json.loads(model._network.settings)
    rows = {
        "layers": "-".join(map(str, settings["layers"])),
        "steps": str(model.n_iter_),
        "seed": str(model.seed_),
    }
    if model.best_step_ is not None:
        history = model.history_
        best = history["validation_objective"][history["validation_step"] == model.best_step_]
        rows["steps"] += f", the best being {model.best_step_}"
        rows["objective of held-out samples"] = f"{best[0]:.6g}"
    if len(model.history_["step"]):
        rows["objective of the last batch"] = f"{model.history_['objective'][-1]:.6g}"
        means = model.history_["mean_activations"][-1]
        rows["mean activations"] = ", ".join(f"{mean:.4f}" for mean in means)
    left = 'style="text-align:left"'
    cells = "".join(
        f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(text)}</td></tr>"
        for name, text in rows.items()
    )
    return f'<table class="sae-figures">{cells}</table>{picture(model)}'
