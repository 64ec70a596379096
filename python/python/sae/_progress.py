"""Progress of a training: its history, the progress bar and the callback."""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np


def _bar(steps: Optional[int]) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
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
    verbose : bool
        Whether to show a progress bar (with tqdm) or lines.
    callback : callable or None
        ``callback(step, objective, mean_activations)``; true ends the training.
    """

    def __init__(
        self,
        before: int,
        steps: Optional[int],
        verbose: bool,
        callback: Optional[Callable[[int, float, list[float]], object]],
    ) -> None:
        self.records: list[tuple[int, float, list[float]]] = []
        self.validations: list[tuple[int, float]] = []
        self._before = before
        self._verbose = verbose
        self._bar = _bar(steps) if verbose else None
        self._callback = callback

    def __call__(self, step: int, objective: float, mean_activations: list[float]) -> bool:
        self.records.append((step, objective, mean_activations))
        means = " ".join(f"{mean:.4f}" for mean in mean_activations)
        if self._bar is not None:
            held_out = f", held out {self.validations[-1][1]:.4g}" if self.validations else ""
            text = f"objective {objective:.4g}{held_out}, active {means}"
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._before - self._bar.n)
        elif self._verbose:
            print(f"step {step}  objective {objective:.6g}  mean activations {means}", flush=True)
        return self._callback is not None and bool(self._callback(step, objective, mean_activations))

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
