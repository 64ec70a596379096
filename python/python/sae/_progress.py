"""Progress of a training: its history, the progress bar and the callback."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Optional, Union

import numpy as np

from sae import _reports
from sae._reports import TrainingReport
from sae._sae import Current, Network

# What the parameter `verbose` may be besides a number.
SHOWN = ("tqdm", "lines")


def check_verbose(verbose: Any) -> None:
    """Refuses what the parameter `verbose` cannot be, and a bar without tqdm."""
    if isinstance(verbose, str):
        if verbose not in SHOWN:
            raise ValueError(f"verbose: expected a number, 'tqdm' or 'lines', got {verbose!r}")
        if verbose == "tqdm":
            _tqdm()


def _tqdm() -> Any:
    """The class of progress bars, which in a notebook is that of widgets."""
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            "verbose: the progress bar needs tqdm, which is not installed; install it (pip install tqdm), "
            "or use verbose='lines'"
        ) from error
    return tqdm


def _bar(steps: Optional[int], verbose: Union[bool, int, str]) -> Any:
    if not verbose or verbose == "lines":
        return None
    try:
        tqdm = _tqdm()
    except ImportError:
        if verbose == "tqdm":
            raise
        return None
    return tqdm(total=steps, unit="step")


class Progress:
    """Records the reports of a training, shows them, and calls the callback.

    Parameters
    ----------
    before : int
        Steps done before this training.
    steps : int or None
        Steps to do, if known.
    verbose : bool, int or str
        Whether to show a progress bar (with tqdm) or lines.
    callback : callable, list of callables, or None
        The parameter of the estimator.
    model : callable, default=None
        Makes an estimator of the steps done and a network.
    """

    def __init__(
        self,
        before: int,
        steps: Optional[int],
        verbose: Union[bool, int, str],
        callback: Any,
        model: Optional[Callable[[int, Network], Any]] = None,
    ) -> None:
        self.records: list[tuple[int, float, list[float]]] = []
        self.validations: list[tuple[int, float]] = []
        self._before = before
        self._steps = steps
        self._verbose = bool(verbose)
        self._bar = _bar(steps, verbose)
        self._callback = callback
        self._model = model

    @property
    def measures(self) -> bool:
        """Whether the reports are to have what takes an evaluation: L0 and dead units."""
        return self._verbose or _reports.measures(self._callback)

    def __call__(self, step: int, figures: dict[str, Any], current: Current) -> bool:
        held_out = self.validations[-1][1] if self.validations else None
        report = TrainingReport(
            step=step,
            steps=self._steps,
            validation_objective=held_out,
            **figures,
        )
        # The report is frozen.
        object.__setattr__(report, "_model", partial(self._model_of, step, current))
        self.records.append((step, report.objective, report.mean_activations))
        if self._bar is not None:
            self._bar.set_postfix_str(_short(report), refresh=False)
            self._bar.update(step - self._before - self._bar.n)
        elif self._verbose:
            means = " ".join(f"{mean:.4f}" for mean in report.mean_activations)
            print(
                f"step {step}  objective {report.objective:.6g}  loss {report.loss:.6g}  L0 {report.l0:.1f}  "
                f"dead {report.dead_units}  mean activations {means}",
                flush=True,
            )
        return _reports.call(self._callback, report)

    def _model_of(self, step: int, current: Current) -> Any:
        return None if self._model is None else self._model(step, current.network())

    def validated(self, step: int, objective: float) -> None:
        """Record the objective on held-out samples."""
        self.validations.append((step, objective))
        if self._bar is None:
            self._print(f"step {step}  held out: objective {objective:.6g}")

    def pretrained(self, layer: int, loss: float) -> None:
        """Report the loss of a layer after its pretraining."""
        self._print(f"pretrained layer {layer}: loss {loss:.6g}")

    def best(self, step: int) -> None:
        """Report the step of the best network at the end."""
        self._print(f"best: step {step}, held out: objective {dict(self.validations)[step]:.6g}")

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text)
        elif self._verbose:
            print(text, flush=True)

    def close(self) -> None:
        """Close the progress bar."""
        if self._bar is not None:
            self._bar.close()

    def history(self, earlier: Optional[dict[str, Any]]) -> dict[str, Any]:
        """The records, appended to those of an earlier training."""
        new = {
            "step": np.array([step for step, _, _ in self.records], dtype=np.int64),
            "objective": np.array([objective for _, objective, _ in self.records]),
            "mean_activations": np.array([means for _, _, means in self.records]),
            "validation_step": np.array([step for step, _ in self.validations], dtype=np.int64),
            "validation_objective": np.array([objective for _, objective in self.validations]),
        }
        if earlier is None or not len(earlier["step"]):
            return new
        if not self.records:
            return earlier
        return {name: np.concatenate([earlier[name], new[name]]) for name in new}


def _short(report: TrainingReport) -> str:
    """What a progress bar shows of a report."""
    held_out = report.validation_objective
    parts = [f"objective {report.objective:.4g}", f"loss {report.loss:.4g}"]
    parts += [] if held_out is None else [f"held out {held_out:.4g}"]
    parts += [f"L0 {report.l0:.1f}", f"dead {report.dead_units}"]
    return ", ".join(parts)
