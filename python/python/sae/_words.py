"""Parameters as the words of the command `sae train`, and a model's settings as parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

# The word of each parameter; `penalties` gives one word `penalty` for each of its items.
FIELDS = {
    "activation": "activation",
    "activations": "activations",
    "output_activation": "output-activation",
    "loss": "loss",
    "code": "code",
    "tied": "tied",
    "unit_norm": "unit-norm",
    "initialisation": "init",
    "corruption": "corrupt",
    "rho": "rho",
    "beta": "beta",
    "l1": "l1",
    "rho_momentum": "rho-momentum",
    "target": "target",
    "lambda_": "lambda",
    "optimizer": "optimizer",
    "learning_rate": "lr",
    "schedule": "schedule",
    "warm_up": "warm-up",
    "clip": "clip",
    "beta1": "beta1",
    "beta2": "beta2",
    "epsilon": "epsilon",
    "batch": "batch",
}

# Those that may be None.
OPTIONAL = {"activations", "output_activation", "target", "batch"}


def word(name: str, value: Any) -> str:
    """What the command would be given."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError(f"{name}: {value!r}; a word or a number was expected")


def words(params: dict[str, Any]) -> list[tuple[str, str, str]]:
    """All that are said: parameter, field and text."""
    found = []
    for name, field in FIELDS.items():
        value = params[name]
        if value is None and name in OPTIONAL:
            continue
        if name == "activations" and not isinstance(value, str):
            value = ",".join(word(name, one) for one in value)
        found.append((name, field, word(name, value)))
    penalties = params["penalties"]
    if penalties is None:
        penalties = ()
    if isinstance(penalties, str):
        penalties = (penalties,)
    return found + [("penalties", "penalty", word("penalties", one)) for one in penalties]


# In which order a word has what belongs to it.
PARTS = {"jump-relu": ("l0", "bandwidth"), "step": ("every", "factor")}


def _joined(value: Any) -> str:
    """`{"top-k": 20}` as `top-k:20`."""
    if isinstance(value, str):
        return value
    ((name, of),) = value.items()
    parts = [of[part] for part in PARTS[name]] if name in PARTS else [of]
    return ":".join([name, *map(str, parts)])


def parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """The parameters of an estimator that would train with these settings."""
    sizes = settings["layers"]
    hidden = sizes[1:-1]
    # Hidden layers that look like the ends need the ends.
    alike = len(hidden) > 2 and hidden[0] == hidden[-1] == sizes[0]
    same = [
        "activation", "output_activation", "loss", "tied", "unit_norm", "initialisation", "rho",
        "beta", "l1", "rho_momentum", "learning_rate", "warm_up", "clip", "beta1", "beta2",
        "epsilon", "batch",
    ]  # fmt: skip
    target = settings["target"]
    penalties = [
        f"{one['layer'] + 1}:" + ":".join(f"{name}={one[name]}" for name in ("rho", "beta", "l1"))
        for one in settings["penalties"]
    ]
    return {
        **{name: settings[name] for name in same},
        **{name: _joined(settings[name]) for name in ("code", "corruption", "optimizer", "schedule")},
        "layers": tuple(sizes if alike else hidden),
        "activations": tuple(settings["activations"]) or None,
        "lambda_": settings["lambda"],
        "penalties": tuple(penalties) or None,
        "target": target and f"{target['of']}:{target['value']}:{target['layer'] + 1}",
        "random_state": settings["seed"],
    }
