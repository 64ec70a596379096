"""The estimator's pictures, and what a notebook shows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional, Union

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sae import _html, _plots, _sae

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    Data = Union[ArrayLike, str, os.PathLike[str]]


class Pictures(BaseEstimator):
    """What a fitted estimator can draw."""

    n_iter_: int
    best_step_: Optional[int]
    seed_: int
    history_: dict[str, Any]
    _network: _sae.Network

    if TYPE_CHECKING:

        @property
        def _threads(self) -> Optional[int]: ...
        def _data(self, X: Data, reset: bool) -> Any: ...
        def evaluate(self, X: Data) -> dict[str, Any]: ...

    def plot_features(
        self,
        count: Optional[int] = None,
        *,
        shape: Optional[tuple[int, int]] = None,
        ax: Optional[Axes] = None,
    ) -> Axes:
        """Tiles of the first layer's weights, one for each unit; middle grey is 0.

        Parameters
        ----------
        count : int, default=None
            Tiles, at most; None for all.
        shape : (int, int), default=None
            Rows and columns of a sample; None is a square.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        ax : matplotlib Axes
        """
        check_is_fitted(self)
        return _plots.features(self._network.layers[0][0], count, shape, ax)

    def plot_reconstructions(
        self,
        X: Data,
        count: int = 10,
        *,
        shape: Optional[tuple[int, int]] = None,
        ax: Optional[Axes] = None,
    ) -> Axes:
        """The first samples above their reconstructions.

        Parameters
        ----------
        X : array of shape (n_samples, n_features) or path
            The samples.
        count : int, default=10
            How many.
        shape : (int, int), default=None
            Rows and columns of a sample; None is a square.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        ax : matplotlib Axes
        """
        check_is_fitted(self)
        _plots.at_least_1(count)
        data = self._data(X, reset=False)
        samples = self._network.first(data, count)
        # What the network sees of a model's own scaling is not what it is given.
        given = samples if isinstance(data, str) else data[:count]
        again = self._network.reconstruct(given, self._threads)
        return _plots.reconstructions(samples, again, shape, ax)

    def plot_history(self) -> Figure:
        """Objective and mean activations of batches, and the objective of held-out samples.

        Returns
        -------
        figure : matplotlib Figure
        """
        check_is_fitted(self)
        return _plots.history(self.history_)

    def plot_activations(self, X: Data) -> Figure:
        """How often which activation is met, in each hidden layer up to the code.

        Parameters
        ----------
        X : array of shape (n_samples, n_features) or path
            The samples.

        Returns
        -------
        figure : matplotlib Figure
        """
        layers = self.evaluate(X)["layers"]
        return _plots.activations(layers[: (len(layers) + 1) // 2])

    def _repr_html_(self) -> str:
        diagram: str = super()._repr_mimebundle_().get("text/html", "")
        return diagram + (_html.summary(self) if hasattr(self, "_network") else "")

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        # What notebooks ask first.
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
