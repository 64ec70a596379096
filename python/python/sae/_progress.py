"""What is told of a training while it runs."""

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
    """Called every so many steps: keeps the figures, shows them, asks the callback.

    Parameters
    ----------
    before : int
        Steps done before this training.
    steps : int or None
        Steps to do, if that is known.
    verbose : bool
        Whether to show a bar (with tqdm) or lines.
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
        self._before = before
        self._verbose = verbose
        self._bar = _bar(steps) if verbose else None
        self._callback = callback

    def __call__(self, step: int, objective: float, mean_activations: list[float]) -> bool:
        self.records.append((step, objective, mean_activations))
        means = " ".join(f"{mean:.4f}" for mean in mean_activations)
        if self._bar is not None:
            self._bar.set_postfix_str(f"objective {objective:.4g}, active {means}", refresh=False)
            self._bar.update(step - self._before - self._bar.n)
        elif self._verbose:
            print(f"step {step}  objective {objective:.6g}  mean activations {means}", flush=True)
        return self._callback is not None and bool(self._callback(step, objective, mean_activations))

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()

    def history(self, earlier: Optional[dict[str, Any]]) -> dict[str, Any]:
        """The records, after those of an earlier training."""
        new = {
            "step": np.array([step for step, _, _ in self.records], dtype=np.int64),
            "objective": np.array([objective for _, objective, _ in self.records]),
            "mean_activations": np.array([means for _, _, means in self.records]),
        }
        if earlier is None or not len(earlier["step"]):
            return new
        if not self.records:
            return earlier
        return {name: np.concatenate([earlier[name], new[name]]) for name in new}
