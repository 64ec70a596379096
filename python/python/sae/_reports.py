"""What a training reports to the callback."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional


@dataclass(frozen=True)
class TrainingReport:
    """The figures of a training after a step, which a callback gets.

    Attributes
    ----------
    step : int
        Steps done, those of earlier calls of `partial_fit` included.
    steps : int or None
        The step at which the training ends without early stopping; None if that is not known, as in
        `partial_fit`.
    objective : float
        The objective of the step's batch, with all its terms.
    loss : float
        The data term of the batch, a mean over samples and features of the scaled numbers; for
        ``loss="fvu"`` divided by the variance of the training data.
    prefix_loss : float
        The data term's mean over the prefixes of the code, which takes its place; 0 without prefixes.
    auxiliary : float
        The auxiliary loss of dead units, with its weight.
    sparsity : float
        The sum of the KL divergences of units that have this penalty, without its weight.
    l1 : float
        The sum of |activation| of units that have the L1 penalty, a mean over samples, without its
        weight.
    penalty : float
        All sparsity penalties, with their weights.
    learning_rate : float
        The learning rate of the step.
    mean_activations : list of float
        Mean activation of each hidden layer over the batch.
    l0 : float
        Mean number of active units of the code, over the first 256 training samples.
    dead_units : int
        Units of a sparse code that were inactive for `dead_after` samples of the training; of a dense one
        those that are dead on the first 256 training samples.
    validation_objective : float or None
        The objective of the last evaluation on held-out samples; None before the first.
    model : SparseAutoencoder
        A fitted estimator with a copy of the current network, to save, evaluate or plot it; only while the
        callback runs that got the report.
    """

    step: int
    steps: Optional[int]
    objective: float
    loss: float
    prefix_loss: float
    auxiliary: float
    sparsity: float
    l1: float
    penalty: float
    learning_rate: float
    mean_activations: list[float]
    l0: float
    dead_units: int
    validation_objective: Optional[float]

    @property
    def model(self) -> Any:
        # No field: `dataclasses.asdict` copies those, and has the figures alone.
        make = getattr(self, "_model", None)
        if make is None:
            raise RuntimeError("model: a report has the model only while the callback that got it runs")
        return make()

    def __getstate__(self) -> dict[str, Any]:
        # A copy or pickle has the figures alone.
        return {name: value for name, value in self.__dict__.items() if name != "_model"}


def _takes_three(callback: Callable[..., object]) -> bool:
    """Whether a function takes (step, objective, mean_activations), as in version 0.1."""
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):
        # Of a compiled function that does not say.
        return False
    if any(of.kind is of.VAR_POSITIONAL for of in parameters):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [of for of in parameters if of.kind in positional and of.default is of.empty]
    return len(required) > 1


def measures(callback: Any) -> bool:
    """Whether reports need what takes an evaluation."""
    return any(not _takes_three(one) for one in _each(callback))


def _each(callback: Any) -> Sequence[Callable[..., object]]:
    if callback is None:
        return ()
    return tuple(callback) if isinstance(callback, (list, tuple)) else (callback,)


def check(callback: Any) -> None:
    """Refuses what the parameter `callback` cannot be."""
    for one in _each(callback):
        if not callable(one):
            raise TypeError(f"callback: expected a function, or a list of them, got {one!r}")


def call(callback: Any, report: TrainingReport) -> bool:
    """Call each function with a report; returns whether one ends the training."""
    ends = False
    for one in _each(callback):
        try:
            if _takes_three(one):
                result = one(report.step, report.objective, report.mean_activations)
            else:
                result = one(report)
        except StopIteration:
            result = True
        ends |= bool(result)
    return ends
