"""Parameters as settings of the library, and a model's settings as parameters."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sae import _sae

# Fields whose parameters have another name or are made in another way.
NAMES = {"lambda": "lambda_"}
OTHERS = {"layers", "seed"}

# The parameter of each field, and the kind of its value.
FIELDS = {
    name: (NAMES.get(name, name), kind)
    for name, kind, _ in _sae.settings_fields()
    if name not in OTHERS
}

# Those that may be None.
OPTIONAL = {"activations", "output_activation", "penalties", "target", "batch"}


def text(name: str, value: Any) -> str:
    """What the command would be given."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError(f"{name}: expected a text or a number, got {value!r}")


def options(params: dict[str, Any]) -> list[tuple[str, str]]:
    """All fields that are given, each with its text."""
    if params["initialisation"] is not None:
        warnings.warn("initialisation is now initialization", FutureWarning, stacklevel=4)
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


def parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """The parameters of an estimator that would train with these settings."""
    sizes = settings["layers"]
    hidden = sizes[1:-1]
    # Hidden layers that look like the ends need the ends.
    alike = len(hidden) > 2 and hidden[0] == hidden[-1] == sizes[0]
    found = {
        name: (tuple(settings[field]) or None) if kind == "list" else settings[field]
        for field, (name, kind) in FIELDS.items()
    }
    # The steps of a target are those of the next training.
    target = settings["target"]
    found["target"] = None if target == "none" else target.rsplit(":", 1)[0]
    found["layers"] = tuple(sizes if alike else hidden)
    found["random_state"] = settings["seed"]
    return found
