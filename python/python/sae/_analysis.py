"""What the units of a fitted estimator are and do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, TypedDict, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sae import _checks, _page, _sae
from sae._page import Report
from sae._pictures import Pictures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

    from sae._pictures import Data, Path

# Classes of labels, of which there is a count for each unit.
CLASSES = 256


class UnitSummaries(TypedDict):
    """Summaries of the units of a layer, as `SparseAutoencoder.units` returns them, which explains each.

    A dict of arrays with the keys "active", "frequency", "mean", "mean_active", "max", "dead", "dense",
    "norm_in", "norm", "nearest", "nearest_cosine", "histogram", "histogram_edges", "classes",
    "label_counts", "top_index" and "top_activation".
    """

    active: NDArray[np.int64]
    frequency: NDArray[np.float64]
    mean: NDArray[np.float32]
    mean_active: NDArray[np.float64]
    max: NDArray[np.float32]
    dead: NDArray[np.bool_]
    dense: NDArray[np.bool_]
    norm_in: NDArray[np.float64]
    norm: NDArray[np.float64]
    nearest: NDArray[np.int64]
    nearest_cosine: NDArray[np.float32]
    histogram: NDArray[np.int64]
    histogram_edges: NDArray[np.float64]
    classes: NDArray[Any]
    label_counts: NDArray[np.int64]
    top_index: NDArray[np.int64]
    top_activation: NDArray[np.float32]


class Redundancy(TypedDict):
    """How alike the units of a dictionary are, as `SparseAutoencoder.redundancy` returns it.

    A dict with the keys "nearest" and "nearest_cosine", arrays, and "mean" and "max", numbers.
    """

    nearest: NDArray[np.int64]
    nearest_cosine: NDArray[np.float32]
    mean: float
    max: float


class Analysis(Pictures):
    """The analysis of a fitted estimator."""

    if TYPE_CHECKING:

        def _with_targets(self, data: Any, targets: Optional[Data], name: str) -> Any: ...

    @property
    def components_(self) -> NDArray[np.float32]:
        """The dictionary: what each unit of the code adds to the reconstruction per activation of 1.

        An array of shape (n_components_, n_features_in_), a copy: the rows of the weights of a decoder of one
        layer, in the units of `X`. As in scikit-learn's ``PCA``, with a linear output a reconstruction is
        ``transform(X) @ components_`` plus an offset: ``intercepts_[-1]`` of a model that takes numbers as
        they are, 255 times that of bytes, and ``inverse_transform(np.zeros((1, n_components_)))`` of any
        other scaling but layer-norm. What differs from ``coefs_[-1]`` is the scaling: of bytes, which are
        divided by 255, these are 255 times the weights, and of the
        scalings of loaded models the weights times the deviation or range of each feature (that of
        layer-norm depends on the sample: there they are the weights).

        With `tied` they are the encoder's weights, transposed. An output activation comes after the
        sum, a linear map of the input (`skip`) is not among them, and of a transcoder the shape is
        (n_components_, n_targets), in the units of the targets.

        Raises
        ------
        AttributeError
            The decoder has more than one layer: no row of weights stands for a unit.
        """
        check_is_fitted(self)
        rows = _sae.components(self._network)
        if rows is None:
            raise AttributeError(
                "components_: the decoder has more than one layer, and no row of weights stands for a unit of "
                "the code; coefs_ has the weights of each layer, and inverse_transform decodes codes"
            )
        return rows

    @property
    def n_components_(self) -> int:
        """Number of units of the code."""
        check_is_fitted(self)
        return self._network.code_units

    @property
    def _n_features_out(self) -> int:
        return self._network.code_units

    def units(
        self,
        X: Data,
        labels: Optional[ArrayLike] = None,
        top: int = 10,
        *,
        layer: Optional[int] = None,
        nearest: bool = True,
    ) -> UnitSummaries:
        """Summarize every unit of a layer over samples, in one pass.

        A unit is active in a sample if its |activation| is above 0; for sigmoids, `active_above`. Codes are
        not kept: memory depends on the units, not on the samples.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or files
            The samples.
        labels : array of shape (n_samples,), default=None
            A label of each sample, numbers or strings, of at most 256 different ones.
        top : int, default=10
            Number of samples to list of each unit, those of its largest activations.
        layer : int, default=None
            The hidden layer, 0 being the first; None is the code.
        nearest : bool, default=True
            Whether to find each unit's nearest other one, whose time grows with the square of the units.

        Returns
        -------
        units : dict of ndarray
            A number or row for each unit. Shape (n_units,):

            - "active": the number of samples in which it is active, and "frequency", their share
            - "mean": mean activation over all samples, and "mean_active" over those in which it is
              active (NaN if there are none)
            - "max": its activation of the largest magnitude; 0 if it is never active
            - "dead": whether it is dead over these samples, and "dense", active in more than a tenth
            - "norm_in" and "norm": length of the weights from the layer before to the unit, and from the unit to
              the next layer, of scaled numbers
            - "nearest": the other unit whose weights to the next layer have the largest cosine with its
              own, and "nearest_cosine", that cosine; -1 and NaN if there is none

            "histogram" (n_units, 64): samples by log10 |activation|, over those in which it is active; the
            bins lie between "histogram_edges" (65,), and the first and last also have what is beyond.

            "label_counts" (n_units, n_classes): samples in which it is active, of each label of
            "classes" (n_classes,), which are sorted. Empty without labels.

            "top_index" and "top_activation" (n_units, min(top, n_samples)): the samples of its largest
            |activation|, the largest first, and those activations; -1 and NaN after the samples in
            which it is active.

        Raises
        ------
        ValueError
            There are more than 256 different labels, or not one for each sample, or there is no such
            layer.

        Examples
        --------
        >>> import numpy as np
        >>> from sae import SparseAutoencoder, draw_digits
        >>> images, labels = draw_digits(500)
        >>> X = images.reshape(500, -1)
        >>> model = SparseAutoencoder(layers=(64,), beta=0, steps=200, random_state=1).fit(X)
        >>> units = model.units(X, labels, top=3)
        >>> units["frequency"].shape, units["label_counts"].shape, units["top_index"].shape
        ((64,), (64, 10), (64, 3))
        >>> bool((units["label_counts"].sum(axis=1) == units["active"]).all())
        True
        """
        check_is_fitted(self)
        classes, numbers = _classes(labels)
        wanted: _sae._Wanted = {
            "layer": None if layer is None else _checks.count("layer", layer),
            "top": _checks.count("top", top),
            "nearest": bool(nearest),
            "threads": self._threads,
        }
        found = _sae.unit_summaries(self._evaluated, self._data(X, reset=False), numbers, wanted)
        low, high = found.pop("histogram_range")
        edges = np.linspace(low, high, found["histogram"].shape[1] + 1)
        found.update(histogram_edges=edges, classes=classes)
        return cast(UnitSummaries, found)

    def report(
        self,
        X: Data,
        y: Optional[ArrayLike] = None,
        *,
        names: Optional[Iterable[str]] = None,
        context: int = 0,
        image_shape: Optional[Sequence[int]] = None,
        units: Optional[int] = None,
        targets: Optional[Data] = None,
        path: Optional[Path] = None,
    ) -> Report:
        """Show what the network has learned on a page to explore, as ``sae report`` does.

        The page has every unit with what it responds to, its top samples and what it writes; samples with
        their active units, and their reconstructions without some of them; the training's curves, all
        figures and settings. Features have the names that they had in `fit`, unless they are pixels. It is one
        HTML text of up to about 5 MB, which loads nothing from a network. A
        notebook shows it in a frame, and keeps it with the notebook.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or files
            The samples, such as held-out ones.
        y : array of shape (n_samples,), default=None
            A label of each sample, numbers or strings, of at most 256 different ones.
        names : iterable of str of length n_samples, default=None
            A name of each sample, such as a token or the name of a file.
        context : int, default=0
            Number of names to show before and after that of each top sample, at most 100, for samples that are a
            stream of tokens; requires `names`.
        image_shape : tuple of int, default=None
            How the features are pixels: (rows, columns), (rows, columns, channels) or (channels, rows, columns)
            with 1, 3 or 4 channels. None is the shape of the samples' file, of the file that the model was
            trained on, or a square, of at least 8 x 8, of bytes or numbers from 0 to 1. Features that have names are
            no square, but for bytes whose names differ in their numbers alone, such as "pixel0" and "pixel1".
        units : int, default=None
            Number of units per layer that are shown in full, the most frequent ones; all others have their
            numbers. None is as many as fit in 5 MB.
        targets : array of shape (n_samples, n_targets), or files, default=None
            Their targets, if the network was trained with some.
        path : str or path, default=None
            An HTML file to write as well, as `Report.save` does.

        Returns
        -------
        report : Report
            `report.html` is the page, and ``report.save(path)`` writes it.

        Raises
        ------
        ValueError
            There is not one label or name for each sample, `image_shape` does not fit the features, or the ending
            of `path` is not ``.html`` or ``.htm``.

        Examples
        --------
        >>> from sae import SparseAutoencoder, draw_digits
        >>> images, labels = draw_digits(500)
        >>> X = images.reshape(500, -1)
        >>> model = SparseAutoencoder(layers=(64,), beta=0, steps=200, random_state=1).fit(X)
        >>> report = model.report(X, labels, image_shape=(28, 28), path="digits.html")
        >>> report
        Report('784-64-784', 500 samples)
        """
        check_is_fitted(self)
        if path is not None:
            _page.check_path(path)
        classes, numbers = _classes(y, "y")
        given = _page.checked_names(names)
        neighbors = _checks.count("context", context)
        if neighbors and given is None:
            raise ValueError(f"context: expected 0 without names to show, got {neighbors}")
        data = self._data(X, reset=False)
        columns = getattr(self, "feature_names_in_", None)
        about: _sae._About = {
            "title": _page.title(self._network),
            "data": _page.source(data),
            "labels": None if numbers is None else numbers.tobytes(),
            "label_names": None if numbers is None else [str(name) for name in classes],
            "names": given,
            "features": None if columns is None else list(map(str, columns)),
            "context": neighbors,
            "units": None if units is None else _checks.count("units", units),
            "image_shape": _page.checked_shape(image_shape),
            "history": _page.columns(self.history_),
            "threads": self._threads,
        }
        html = _sae.report(self._evaluated, self._with_targets(data, targets, "targets"), about)
        report = Report(html, about["title"], len(data))
        if path is not None:
            report.save(path)
        return report

    def reconstruction_errors(self, X: Data, *, targets: Optional[Data] = None) -> NDArray[np.float64]:
        """Compute how badly each sample is reconstructed: anomalies have large errors.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or files
            The samples.
        targets : array of shape (n_samples, n_targets), or files, default=None
            Their targets, if the network was trained with some.

        Returns
        -------
        errors : ndarray of shape (n_samples,)
            Mean squared error of each sample over its features, of scaled numbers (bytes divided by
            255). Their mean is ``evaluate(X)["squared_error"]``. Lower is better; scikit-learn's
            `score_samples`, for which higher is better, would be their negative.

        Raises
        ------
        ValueError
            Samples have another number of features, or are not finite; or the network predicts targets, and
            there are none.
        """
        check_is_fitted(self)
        data = self._with_targets(self._data(X, reset=False), targets, "targets")
        return _sae.sample_scores(self._evaluated, data, self._threads)[0]

    def redundancy(self) -> Redundancy:
        """Compare the units of the dictionary with each other: which are there twice.

        Returns
        -------
        redundancy : dict
            "nearest" (n_components_,): of each unit the other one whose row of `components_` has the
            largest cosine with its own; "nearest_cosine" (n_components_,): that cosine, near 1 for units that
            are there twice; "mean" and "max": mean and largest of these. Of a code of one unit the
            arrays have -1 and NaN, and the numbers are NaN.

        Raises
        ------
        ValueError
            The decoder has more than one layer.
        """
        check_is_fitted(self)
        nearest, cosines = _sae.redundancy(self._network, self._threads)
        if not len(nearest):
            nearest, cosines = np.array([-1]), np.array([np.nan], np.float32)
        mean, largest = float(cosines.mean(dtype=np.float64)), float(cosines.max())
        return {"nearest": nearest, "nearest_cosine": cosines, "mean": mean, "max": largest}


def _classes(
    labels: Optional[ArrayLike], name: str = "labels"
) -> tuple[NDArray[Any], Optional[NDArray[np.uint8]]]:
    """The different labels, sorted, and of each sample the number of its own."""
    if labels is None:
        return np.zeros(0, np.int64), None
    given = np.asarray(labels)
    # NumPy makes a text of NaN beside texts.
    every = np.asarray(labels, dtype=object) if given.dtype.kind in "OSU" else np.zeros(0)
    for at, label in enumerate(every.tolist() if every.ndim == 1 else []):
        if label is None or type(label).__name__ == "NAType" or (isinstance(label, float) and label != label):
            raise ValueError(f"{name}: expected a label for each sample, sample {at} has none ({label})")
    if given.ndim != 1:
        raise ValueError(f"{name}: expected one label for each sample, got the shape {given.shape}")
    if given.dtype.kind == "f" and np.isnan(given).any():
        raise ValueError(f"{name}: expected labels, got NaN for sample {int(np.isnan(given).argmax())}")
    try:
        classes, numbers = np.unique(given, return_inverse=True)
    except TypeError as error:
        raise TypeError(f"{name}: expected labels of one type, such as numbers or strings") from error
    if len(classes) > CLASSES:
        raise ValueError(
            f"{name}: expected at most {CLASSES} different labels, got {len(classes)}; are they classes?"
        )
    return classes, numbers.astype(np.uint8)
