"""The parameters of the estimator, and what they mean for a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Literal, Optional, Union

import numpy as np
from sklearn.utils import check_random_state

from sae import _checks, _reports, _sparse, _threads
from sae._analysis import Analysis
from sae._progress import check_verbose
from sae._reports import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    Callback = Union[Callable[[TrainingReport], object], Callable[[int, float, list[float]], object]]

# Steps between reports, at most, where `report_every` is None.
REPORT_EVERY = 100

# Steps between evaluations, at most, where `evaluate_every` is None.
EVALUATE_EVERY = 500

# Parameters that only `fit` uses: it is said if they change before a `partial_fit`.
OF_FIT = ("steps", "epochs", "pretrain", "evaluate_every", "holdout")


class Parameters(Analysis):
    """The parameters, which `SparseAutoencoder` documents."""

    def __init__(
        self,
        layers: Sequence[int] = (300, 30, 300),
        *,
        rho: float = 0.02,
        beta: float = 7.5e-5,
        lambda_: float = 5e-6,
        l1: float = 0.0,
        penalties: Optional[Sequence[str]] = None,
        activation: str = "sigmoid",
        activations: Optional[Sequence[str]] = None,
        output_activation: Optional[str] = None,
        allow_unreachable: bool = False,
        loss: str = "squared-error",
        code: str = "dense",
        prefixes: str = "none",
        auxiliary: str = "none",
        dead_after: int = 0,
        l0_penalty: str = "step",
        tied: bool = False,
        skip: bool = False,
        unit_norm: bool = False,
        initialization: str = "truncated-normal",
        output_bias: str = "auto",
        corruption: str = "none",
        active_above: float = 0.1,
        rho_momentum: float = 0.0,
        target: Optional[str] = None,
        sparsity_warm_up: int = 0,
        optimizer: str = "adam",
        learning_rate: float = 0.01,
        schedule: str = "constant",
        warm_up: int = 0,
        clip: float = 0.0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        batch: Optional[int] = None,
        order: str = "shuffle",
        steps: int = 20_000,
        epochs: Optional[float] = None,
        warm_start: bool = False,
        pretrain: int = 0,
        revive: int = 0,
        patience: int = 0,
        evaluate_every: Optional[int] = None,
        holdout: Optional[float] = None,
        random_state: Any = None,
        threads: Optional[int] = None,
        output: str = "auto",
        verbose: Union[bool, int, Literal["tqdm", "lines"]] = 0,
        callback: Optional[Union[Callback, Sequence[Callback]]] = None,
        report_every: Optional[int] = None,
        initialisation: Optional[str] = None,
    ) -> None:
        self.layers = layers
        self.rho = rho
        self.beta = beta
        self.lambda_ = lambda_
        self.l1 = l1
        self.penalties = penalties
        self.activation = activation
        self.activations = activations
        self.output_activation = output_activation
        self.allow_unreachable = allow_unreachable
        self.loss = loss
        self.code = code
        self.prefixes = prefixes
        self.auxiliary = auxiliary
        self.dead_after = dead_after
        self.l0_penalty = l0_penalty
        self.tied = tied
        self.skip = skip
        self.unit_norm = unit_norm
        self.initialization = initialization
        self.output_bias = output_bias
        self.corruption = corruption
        self.active_above = active_above
        self.rho_momentum = rho_momentum
        self.target = target
        self.sparsity_warm_up = sparsity_warm_up
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warm_up = warm_up
        self.clip = clip
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.batch = batch
        self.order = order
        self.steps = steps
        self.epochs = epochs
        self.warm_start = warm_start
        self.pretrain = pretrain
        self.revive = revive
        self.patience = patience
        self.evaluate_every = evaluate_every
        self.holdout = holdout
        self.random_state = random_state
        self.threads = threads
        self.output = output
        self.verbose = verbose
        self.callback = callback
        self.report_every = report_every
        self.initialisation = initialisation

    def _check_parameters(self) -> None:
        """Refuses what those parameters cannot be that are no settings of the library."""
        _reports.check(self.callback)
        check_verbose(self.verbose)
        _sparse.check_output(self.output)
        _checks.flag("warm_start", self.warm_start)

    @property
    def _threads(self) -> int:
        return _threads.count(self.threads)

    def _fixed(self) -> dict[str, Any]:
        """Parameters that cannot change between trainings of one network, besides settings."""
        fixed = {name: getattr(self, name) for name in OF_FIT}
        # None, and an instance, from which a seed was drawn once.
        is_seed = isinstance(self.random_state, (int, np.integer))
        fixed["random_state"] = int(self.random_state) if is_seed else None
        fixed["initialisation"] = self.initialisation
        return fixed

    def _check_unchanged(self) -> None:
        for name, now in self._fixed().items():
            before = getattr(self, "_trained_with", {}).get(name, now)
            if now == before or (name == "random_state" and now == self.seed_):
                continue
            if name in OF_FIT:
                raise ValueError(
                    f"{name}: expected {before!r} as before, because partial_fit does not use it, "
                    f"got {now!r}; use fit"
                )
            before = self.seed_ if name == "random_state" else before
            now = getattr(self, name)
            raise ValueError(
                f"{name}: expected {before!r}, which cannot change after the training began, got {now!r}"
            )

    def _seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            return _checks.count("random_state", self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _steps_between_evaluations(self, steps: int) -> int:
        if self.evaluate_every is None:
            return min(EVALUATE_EVERY, max(1, steps))
        return _checks.at_least_1("evaluate_every", self.evaluate_every)

    def _steps_between_reports(self, steps: Optional[int]) -> int:
        if self.report_every is None:
            return REPORT_EVERY if steps is None else max(1, min(REPORT_EVERY, steps // 50))
        return _checks.at_least_1("report_every", self.report_every)


# Python names it where an argument is wrong.
Parameters.__init__.__qualname__ = "SparseAutoencoder"
