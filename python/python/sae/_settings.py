"""Parameters of the estimator as settings of the library, and back."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np

from sae import _checks, _sae

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

# Counts of which the library names no range.
UNBOUNDED = {"warm_up", "sparsity_warm_up"}

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
        warnings.warn("initialisation was renamed to initialization", FutureWarning, stacklevel=_checks.caller())
        params = {**params, "initialization": params["initialisation"]}
    found = []
    for field, (name, kind) in FIELDS.items():
        value = params[name]
        if value is None and name in OPTIONAL:
            continue
        if kind == "list" and not isinstance(value, str):
            value = ",".join(text(name, one) for one in value) or "none"
        found.append((field, _option(name, kind, value)))
    return found


def _option(name: str, kind: str, value: Any) -> str:
    """The text of the value of a parameter, whose type is checked where the library takes texts alone."""
    if kind == "flag":
        value = _checks.flag(name, value)
    if name in UNBOUNDED:
        value = _checks.count(name, value)
    if kind == "number" and isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    return text(name, value)


def check_describes(network: _sae.Network, params: dict[str, Any]) -> None:
    """Refuses parameters of which the network of a file has others, such as the layers."""
    given = []
    for field, (name, kind) in FIELDS.items():
        value = params.get(name)
        if value is None:
            continue
        if kind == "list" and not isinstance(value, str):
            value = ",".join(text(name, one) for one in value) or "none"
        if kind not in ("number", "count"):
            given.append((field, _option(name, kind, value)))
    if params.get("layers") is not None:
        own, sizes = json.loads(network.settings)["layers"], _checks.sizes(params["layers"])
        if sizes not in (own, own[1:-1]):
            raise ValueError(
                f"layers: expected {tuple(own[1:-1])}, which the network of the file has, got {tuple(sizes)}"
            )
    network.check_describes(given)


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
