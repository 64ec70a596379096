"""The plots of the estimator, and its HTML for notebooks."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Optional, Union

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sae import _html, _plots, _sae, _settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    Path = Union[str, os.PathLike[str]]
    Data = Union[ArrayLike, _sae.Files, Path, Sequence[Path]]


class Pictures(BaseEstimator):
    """The plots of a fitted estimator."""

    n_iter_: int
    best_step_: Optional[int]
    seed_: int
    history_: dict[str, Any]
    active_above: float
    _network: _sae.Network

    if TYPE_CHECKING:

        @property
        def _threads(self) -> int: ...
        def _data(self, X: Any, reset: bool, name: str = "X") -> Any: ...
        def evaluate(self, X: Data, *, targets: Optional[Data] = None) -> dict[str, Any]: ...

    @property
    def _evaluated(self) -> _sae.Network:
        """The network as samples are evaluated by: `active_above` may have changed since the training."""
        check_is_fitted(self)
        if self.active_above == json.loads(self._network.settings)["active_above"]:
            return self._network
        return self._network.with_active_above(_settings.text("active_above", self.active_above))

    def plot_features(
        self,
        count: Optional[int] = None,
        *,
        shape: Optional[Sequence[int]] = None,
        ax: Optional[Axes] = None,
    ) -> Figure:
        """Plot the weights of the first layer as tiles, one for each unit; middle gray is 0.

        Parameters
        ----------
        count : int, default=None
            Maximum number of tiles; None for all.
        shape : tuple of int, default=None
            How the features are pixels: (rows, columns), or with 1 or 3 channels (rows, columns, channels) or
            (channels, rows, columns), as for `report`; None for a square.
        ax : matplotlib Axes, default=None
            The axes to draw on; None for a figure of its own, which the tiles fill.

        Returns
        -------
        figure : matplotlib Figure
            Of `ax`, or one that pyplot does not keep: ``figure.savefig(path)`` writes it, and a notebook
            shows it as the last line of a cell.

        Raises
        ------
        ValueError
            `shape` does not fit the features, or there is none and they are no square.
        """
        check_is_fitted(self)
        return _plots.features(self._network.layers[0][0], count, shape, ax)

    def plot_reconstructions(
        self,
        X: Data,
        count: int = 10,
        *,
        shape: Optional[Sequence[int]] = None,
        ax: Optional[Axes] = None,
    ) -> Figure:
        """Plot the first samples above their reconstructions; not for a network that predicts targets.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or files
            The samples.
        count : int, default=10
            Number of samples.
        shape : tuple of int, default=None
            How the features are pixels: (rows, columns), or with 1 or 3 channels (rows, columns, channels) or
            (channels, rows, columns), as for `report`; None for a square.
        ax : matplotlib Axes, default=None
            The axes to draw on; None for a figure of its own, which the tiles fill.

        Returns
        -------
        figure : matplotlib Figure
            Of `ax`, or one that pyplot does not keep: ``figure.savefig(path)`` writes it, and a notebook
            shows it as the last line of a cell.

        Raises
        ------
        ValueError
            `shape` does not fit the features, or there is none and they are no square.
        """
        check_is_fitted(self)
        _plots.at_least_1(count)
        data = self._data(X, reset=False)
        samples, again = self._network.first(data, count, self._threads)
        return _plots.reconstructions(samples, again, shape, ax)

    def plot_history(self) -> Figure:
        """Plot the objective of batches and of held-out samples, and the mean activations.

        Returns
        -------
        figure : matplotlib Figure

        Raises
        ------
        ValueError
            There is no history: the model was loaded, and not trained since.
        """
        check_is_fitted(self)
        if not len(self.history_["step"]) and not len(self.history_["validation_step"]):
            raise ValueError("plot_history: a model that was loaded has no history, which fit records")
        return _plots.history(self.history_)

    def plot_activations(self, X: Data, *, targets: Optional[Data] = None) -> Figure:
        """Plot a histogram of the activations of each hidden layer up to the code.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or files
            The samples.
        targets : array of shape (n_samples, n_targets), or files, default=None
            Their targets, if the network was trained with some.

        Returns
        -------
        figure : matplotlib Figure
        """
        layers = self.evaluate(X, targets=targets)["layers"]
        return _plots.activations(layers[: (len(layers) + 1) // 2])

    def _repr_html_(self) -> str:
        diagram: str = super()._repr_mimebundle_().get("text/html", "")
        if not hasattr(self, "_network"):
            return diagram
        return diagram + _html.summary(self._figures(), self._network.layers[0][0])

    def _figures(self) -> dict[str, str]:
        """Figures of the training, for the table in a notebook."""
        rows = {
            "layers": "-".join(map(str, json.loads(self._network.settings)["layers"])),
            "steps": str(self.n_iter_),
            "seed": str(self.seed_),
        }
        history = self.history_
        if self.n_iter_ == 0 and not len(history["step"]):
            # Those of the training of a loaded model are not known.
            del rows["steps"]
        if self.best_step_ is not None:
            best = history["validation_objective"][history["validation_step"] == self.best_step_]
            rows["steps"] += f", best {self.best_step_}"
            rows["objective of held-out samples"] = f"{best[0]:.6g}"
        if len(history["step"]):
            rows["objective of the last batch"] = f"{history['objective'][-1]:.6g}"
            means = history["mean_activations"][-1]
            rows["mean activations"] = ", ".join(f"{mean:.4f}" for mean in means)
        return rows

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        # Notebooks use this before `_repr_html_`.
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
