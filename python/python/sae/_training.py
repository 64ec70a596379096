"""The training of the estimator."""

from __future__ import annotations

import json
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from sae import _checks, _data, _sae, _settings
from sae._batches import Batches
from sae._parameters import Parameters
from sae._progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from sae._pictures import Data


class Training(Parameters):
    """`fit` and `partial_fit`."""

    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def fit(
        self,
        X: Union[Data, Iterable[ArrayLike]],
        y: Any = None,
        *,
        X_val: Optional[Data] = None,
        targets: Optional[Data] = None,
        targets_val: Optional[Data] = None,
    ) -> Self:
        """Train a network for `steps` steps or `epochs`, or until early stopping or the end of the batches.

        It is a new one, or with `warm_start` the fitted one, whose weights the training then begins with.

        Ctrl-C ends the training after the current step: `KeyboardInterrupt` is raised, and the
        estimator is fitted with the current network. So it is after an exception of an iterator of
        batches, or a wrong batch.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), files, or iterator of batches
            The samples. Batches are arrays of any lengths, whose samples are trained on in the order
            in which they arrive, `batch` of them a step; fewer that are left at the end are not used.
            What a training takes from its data before the first step comes from the first 4096 of
            them, or more if a batch goes beyond.
        y : ignored
        X_val : array of shape (n_samples, n_features) or files, default=None
            Held-out samples, instead of those that `holdout` takes from `X`. The objective on
            them is in `history_`, even without early stopping.
        targets : array of shape (n_samples, n_targets) or files, default=None
            What the network is to predict from each sample, instead of reconstructing it: a
            transcoder. They have a scaling of their own, bytes that of bytes. `reconstruct` then returns
            predictions, and `evaluate` and `score` require targets, too. None reconstructs `X`.
        targets_val : array of shape (n_samples, n_targets) or files, default=None
            The targets of `X_val`.

        Returns
        -------
        self : SparseAutoencoder

        Raises
        ------
        ValueError, TypeError
            A parameter or the data are not what they can be; the message begins with the name of the
            argument. The objective is no finite number (`ValueError`).
        OSError
            A file cannot be read.

        Warns
        -----
        ConvergenceWarning
            The result is useless: most units are dead, or the training blew up.
        """
        previous = getattr(self, "_network", None) if self.warm_start else None
        return self._train((X, targets), (X_val, targets_val), previous, one_pass=False)

    def partial_fit(
        self,
        X: Union[Data, Iterable[ArrayLike]],
        y: Any = None,
        *,
        targets: Optional[Data] = None,
    ) -> Self:
        """Continue the training with one pass over the samples.

        That is ``ceil(n_samples / batch)`` steps; the last batch is filled with samples of the
        next epoch. Of an iterator of batches it is all samples, except for those left at its end that
        are fewer than `batch`. The first call begins as `fit` does, with `pretrain`; later ones keep the state
        of the optimizer (a new one after `load`). There is no early stopping.

        A parameter that was changed after the last training or `load` takes effect, or the call is
        refused: what the weights depend on cannot change (`layers`, the activations, the kind of
        `code`, `tied`, `skip`, `unit_norm`, `initialization`, `output_bias`, `random_state`), nor `target`, nor, after a
        training, the optimizer, except between "adam" and "adamw" and in its numbers, nor what only
        `fit` uses (`steps`, `epochs`, `pretrain`, `evaluate_every`, `holdout`).

        Parameters
        ----------
        X : array of shape (n_samples, n_features), files, or iterator of batches
            The samples; batches as for `fit`.
        y : ignored
        targets : array of shape (n_samples, n_targets) or files, default=None
            As for `fit`.

        Returns
        -------
        self : SparseAutoencoder

        Raises
        ------
        ValueError
            A parameter has changed that cannot.
        """
        if self.patience:
            raise ValueError("patience: partial_fit has no early stopping; use fit, or patience=0")
        if str(self.optimizer).startswith("l-bfgs"):
            raise ValueError("optimizer: L-BFGS requires all samples at once; use fit, or 'adam'")
        previous = getattr(self, "_network", None)
        return self._train((X, targets), (None, None), previous, one_pass=True)

    def _train(
        self,
        pairs: tuple[Union[Data, Iterable[ArrayLike]], Optional[Data]],
        pairs_val: tuple[Optional[Data], Optional[Data]],
        previous: Optional[_sae.Network],
        one_pass: bool,
    ) -> Self:
        (X, targets), (X_val, targets_val) = pairs, pairs_val
        first = previous is None
        resumes = one_pass and not first
        if resumes:
            self._check_unchanged()
        self._check_parameters()
        batches = self._batches(X, X_val) if _data.is_batches(X) else None
        data = self._data(batches or X, reset=first)
        validation = None if X_val is None else self._validation(X_val, data)
        of_integers = _data.is_of_integers(data)
        takes_floats = first or previous is None or previous.scaling == "as-is"
        if validation is not None and takes_floats and not of_integers:
            _data.warn_of_other_bytes(validation, "X_val")
        if batches is not None and targets is not None:
            raise ValueError("targets: X is an iterator of batches; give arrays or files of both")
        if X_val is not None and (targets is None) != (targets_val is None):
            raise ValueError("targets_val: expected targets of X_val if X has some, and only then")
        seed = self.seed_ if resumes else self._seed()
        both = self._with_targets(data, targets, "targets")
        both_val = self._with_targets(validation, targets_val, "targets_val")
        plan = self._plan(seed, one_pass)
        steps = plan["steps"] = self._steps_of_training((both, batches, both_val), plan, previous)
        plan["evaluate_every"] = self._steps_between_evaluations(steps)
        plan["report_every"] = self._steps_between_reports(None if one_pass else steps)
        before = self.n_iter_ if resumes else 0
        total = None if one_pass else steps
        progress = Progress(before, total, self.verbose, self.callback, partial(self._current, seed))
        plan["measure"] = progress.measures
        try:
            trained = _sae.train((both, batches, both_val), plan, previous, progress)
            network, done, best, useless, stopped = trained
            if best is not None:
                progress.best(best)
        finally:
            progress.close()
        self._network = network
        self._of_integers = of_integers if first else getattr(self, "_of_integers", False)
        self._trained_with = {**self._fixed(), "steps of the training": steps}
        self.n_iter_ = done
        self.best_step_ = best
        self.seed_ = seed
        self.history_ = progress.history(self.history_ if resumes else None)
        if isinstance(data, _sae.Files):
            self._take_features_of_file(first)
        if stopped is not None:
            raise stopped
        for sentence in useless:
            sentence = _data.feature_named(sentence, getattr(self, "feature_names_in_", None))
            warnings.warn(sentence, ConvergenceWarning, stacklevel=_checks.caller())
        return self

    def _current(self, seed: int, steps: int, network: _sae.Network) -> Self:
        """A fitted estimator, without the callback, with the network of a training that runs."""
        model = type(self)(**{**self.get_params(deep=False), "callback": None})
        model._take(network, seed)
        model.n_iter_ = steps
        if hasattr(self, "feature_names_in_"):
            model.feature_names_in_ = self.feature_names_in_
        return model

    def _take(self, network: _sae.Network, seed: int) -> None:
        """Makes the estimator one that is fitted with a network."""
        self._network = network
        self.n_features_in_ = json.loads(network.settings)["layers"][0]
        self.n_iter_ = 0
        self.best_step_ = None
        self.seed_ = seed
        self._trained_with = self._fixed()
        self.history_ = Progress(0, None, False, None).history(None)

    def _plan(self, seed: int, one_pass: bool) -> _sae._Plan:
        """What the compiled part is to do, but for the steps and reports."""
        options = _settings.options(self.get_params(deep=False))
        return {
            "layers": _checks.sizes(self.layers),
            "options": [*options, ("seed", str(seed))],
            "steps": _checks.count("steps", self.steps),
            "one_pass": one_pass,
            "pretrain": _checks.count("pretrain", self.pretrain),
            "revive": _checks.count("revive", self.revive),
            "patience": _checks.count("patience", self.patience),
            "evaluate_every": self._steps_between_evaluations(0),
            "holdout": _checks.count_or_share("holdout", self.holdout),
            "threads": self._threads,
            "report_every": 1,
            "measure": False,
        }

    def _steps_of_training(
        self, data: tuple[Any, Optional[Batches], Any], plan: _sae._Plan, previous: Optional[_sae.Network]
    ) -> int:
        """The steps of `fit`, which schedules follow, also in a `partial_fit` after it."""
        epochs = _checks.positive("epochs", self.epochs)
        if epochs is None:
            return plan["steps"]
        if plan["one_pass"] and previous is not None:
            return int(getattr(self, "_trained_with", {}).get("steps of the training", plan["steps"]))
        samples, batches, validation = data
        if batches is not None:
            raise ValueError("epochs: X is an iterator, which gives its batches once; use steps, and epochs=None")
        return _sae.steps_of_epochs(samples, validation is not None, plan, previous, epochs)

    def _batches(self, X: Any, X_val: Optional[Data]) -> Batches:
        """An iterator of batches, for what can be done with one."""
        if str(self.optimizer).startswith("l-bfgs"):
            raise ValueError("optimizer: L-BFGS requires all samples at once; give an array, or use 'adam'")
        if self.pretrain:
            raise ValueError(
                "pretrain: the pretraining of each layer requires the samples again, and X is an "
                "iterator of batches; give an array or files, or use pretrain=0"
            )
        if self.patience and X_val is None:
            raise ValueError(
                "patience: no samples can be held out of an iterator of batches; give them as X_val"
            )
        return Batches(X)

    def _data(self, X: Any, reset: bool, name: str = "X") -> Any:
        """Samples as the compiled part takes them, without a copy if possible; of batches the first."""
        if not reset and self._is_checked(X):
            X = _data.readable(X, name)
            self._warn_of_bytes(X, name)
            return X
        X = X.first if isinstance(X, Batches) else _data.source(X, name)
        if not reset and isinstance(X, _sae.Files):
            self._warn_of_bytes(X, name)
        if isinstance(X, _sae.Files):
            return X
        _checks.two_dimensional(X, name)
        _checks.same_width(X, name, None if reset else self.n_features_in_)
        _data.check_frame(X, name)
        X = _data.bytes_if_all(X)
        is_integer = reset and _data.is_integer(X)
        X = _data.validated(X, partial(validate_data, self), reset=reset)
        X = _data.readable(X, name)
        if is_integer:
            _data.warn_of_bytes(X, name)
        if reset:
            _data.warn_of_rounding(X, name, getattr(self, "feature_names_in_", None))
        else:
            self._warn_of_bytes(X, name)
        return X

    def _warn_of_bytes(self, X: Any, name: str) -> None:
        """Warn of bytes for a fitted model of floats. Of `X_val` the new training's data say what it is."""
        if name == "X" and self._network.scaling == "as-is" and not getattr(self, "_of_integers", False):
            _data.warn_of_other_bytes(X, name)

    def _is_checked(self, X: Any) -> bool:
        """Whether scikit-learn has nothing to say of it, whose checks take longer than the code of a sample."""
        if type(X) is not np.ndarray or X.dtype.kind not in "iuf" or X.ndim != 2:
            return False
        return len(X) > 0 and X.shape[1] == self.n_features_in_ and not hasattr(self, "feature_names_in_")

    def _with_targets(self, data: Any, targets: Optional[Data], name: str) -> Any:
        """Data, with their targets if they have some."""
        if data is None or targets is None:
            return data
        Y = _data.source(targets, name)
        if isinstance(Y, _sae.Files):
            return data, Y
        _checks.two_dimensional(Y, name)
        _data.check_frame(Y, name)
        Y = _data.validated(_data.bytes_if_all(Y), check_array, input_name=name)
        return data, _data.readable(Y, name)

    def _validation(self, X: Data, data: Any) -> Any:
        """Held-out samples; the compiled part compares their features with those of files."""
        if not isinstance(data, _sae.Files):
            return self._data(X, reset=False, name="X_val")
        X = _data.source(X, "X_val")
        if isinstance(X, _sae.Files):
            return X
        _checks.two_dimensional(X, "X_val")
        _data.check_frame(X, "X_val")
        X = _data.validated(_data.bytes_if_all(X), check_array, input_name="X_val")
        return _data.readable(X, "X_val")

    def _take_features_of_file(self, first: bool) -> None:
        self.n_features_in_ = json.loads(self._network.settings)["layers"][0]
        if first and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
