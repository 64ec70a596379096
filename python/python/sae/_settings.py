"""Parameters of the estimator as settings of the library, and back."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sae import _sae

# Settings whose parameters have another name.
NAMES = {"lambda": "lambda_", "seed": "random_state"}
# Settings whose parameters have other values.
SPECIAL = {"layers", "seed"}

# Name and kind of the parameter of each setting. A setting of the library's table that is not a
# parameter of the estimator fails a test.
FIELDS = {
    name: (NAMES.get(name, name), kind)
    for name, kind, _ in _sae.settings_fields()
    if name not in SPECIAL
}

# Parameters that may be None: the default of the library, which may depend on the data.
OPTIONAL = {"activations", "output_activation", "penalties", "target", "batch"}


def text(name: str, value: Any) -> str:
    """The text of a value, as the command takes it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError(f"{name}: expected a text or a number, got {value!r}")


def options(params: dict[str, Any]) -> list[tuple[str, str]]:
    """The settings that are not None, each with its text."""
    if params["initialisation"] is not None:
        warnings.warn("initialisation was renamed to initialization", FutureWarning, stacklevel=4)
        params = {**params, "initialization": params["initialisation"]}
    found = []
    for field, (name, kind) in FIELDS.items():
        value = params[name]
        if value is None and name in OPTIONAL:
            continue
        if kind == "list" and not isinstance(value, str):
            value = ",".join(text(name, one) for one in value) or "none"
        found.append((field, text(name, value)))
    return found


def of_preset(settings: dict[str, Any]) -> dict[str, Any]:
    """The parameters of an estimator with the settings of a preset, where they depend on no data."""
    found = parameters(settings)
    # From the steps of the training, the data, and the estimator's own default.
    found["schedule"] = found["schedule"].removesuffix(":" + found["schedule"].rsplit(":", 1)[-1])
    if settings["output_bias"] != "mean":
        found["output_activation"] = None
    if settings["optimizer"].startswith("l-bfgs"):
        found["batch"] = None
    del found["random_state"]
    return found


def parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """The parameters of an estimator with these settings."""
    sizes = settings["layers"]
    hidden = sizes[1:-1]
    # With input and output, if the hidden layers could be mistaken for all layers.
    ambiguous = len(hidden) > 2 and hidden[0] == sizes[0] and hidden[-1] == sizes[-1]
    found = {
        name: (tuple(settings[field]) or None) if kind == "list" else settings[field]
        for field, (name, kind) in FIELDS.items()
    }
    # Without the steps of the target, which depend on the next training.
    target = settings["target"]
    found["target"] = None if target == "none" else target.rsplit(":", 1)[0]
    found["layers"] = tuple(sizes if ambiguous else hidden)
    found["random_state"] = settings["seed"]
    return found
