"""Codes, reconstructions and evaluations of the estimator."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np
from sklearn import get_config
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sae import _checks, _sparse
from sae._training import Training

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_matrix

    from sae._pictures import Data


class Inference(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Training):
    """What a fitted estimator computes of samples. (`set_output` needs `transform` in a class of these mixins.)"""

    def transform(self, X: Data) -> Union[NDArray[np.float32], csr_matrix]:
        """Compute the codes of samples.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or files
            The samples.

        Returns
        -------
        codes : ndarray or csr_matrix of shape (n_samples, code units)
            Which of the two, the parameter `output` says.

        Raises
        ------
        NotFittedError
            There is no network yet, here as in all other methods that need one.
        ValueError
            Samples have another number of features, or are no numbers that the scaling takes.
        """
        check_is_fitted(self)
        _sparse.check_output(self.output)
        data = self._data(X, reset=False)
        if not self._is_output_sparse:
            return self._network.encode(data, self._threads)
        parts = self._network.encode_sparse(data, self._threads)
        return _sparse.matrix(parts, self._n_features_out)

    @property
    def _is_output_sparse(self) -> bool:
        if self.output != "auto":
            return bool(self.output == "sparse")
        # Data frames, as `set_output` asks for, are made of arrays.
        config = getattr(self, "_sklearn_output_config", {})
        if config.get("transform", get_config()["transform_output"]) != "default":
            return False
        return self._n_features_out > _sparse.DENSE_UNITS and self._network.is_sparse

    def inverse_transform(self, X: Union[ArrayLike, csr_matrix]) -> NDArray[np.float32]:
        """Compute reconstructions from codes.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, code units)
            The codes. Of those that are the same, dense and sparse ones have the same
            reconstructions, bit for bit.

        Returns
        -------
        reconstructions : ndarray of shape (n_samples, n_features)
            Features in the units of `X`, also of a model whose file has a scaling of its own; only those of
            a model of bytes stay divided by 255: in [0, 1] with a sigmoid, the default, and near that with
            a linear output. Layer-norm, which depends on each sample, is not undone, with a warning:
            `reconstruct` undoes it. Of a transcoder they are predictions, in the units of the targets.

        Raises
        ------
        ValueError
            The codes have another number of units.
        """
        check_is_fitted(self)
        if self._network.output_scaling == "layer-norm":
            warnings.warn(
                "layer-norm scales each sample by itself, which codes do not tell: it is not undone; "
                "reconstruct(X) undoes it",
                UserWarning,
                stacklevel=_checks.caller(),
            )
        codes = check_array(X, accept_sparse="csr", dtype=np.float32, order="C", input_name="X")
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {codes.shape[1]} features, but the code of {type(self).__name__} has "
                f"{self._n_features_out} units"
            )
        if not isinstance(codes, np.ndarray):
            return self._network.decode_sparse(*_sparse.parts(codes), self._threads)
        codes = np.require(codes, requirements=["C", "A"])
        return self._network.decode(codes, self._threads)

    def reconstruct(self, X: Data) -> NDArray[np.float32]:
        """Compute the reconstructions of samples: `transform` and `inverse_transform` in one.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or files
            The samples.

        Returns
        -------
        reconstructions : ndarray of shape (n_samples, n_features)
            Features in the units of `X`; only those of a model of bytes stay divided by 255, as
            `inverse_transform` returns them. Of a transcoder they are predictions, in the units of the
            targets.

        Raises
        ------
        ValueError
            As for `transform`.
        """
        check_is_fitted(self)
        return self._network.reconstruct(self._data(X, reset=False), self._threads)

    def evaluate(self, X: Data, *, targets: Optional[Data] = None) -> dict[str, Any]:
        """Evaluate the objective over samples, as one batch, and how active the layers are.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or files
            The samples.
        targets : array of shape (n_samples, n_targets), or files, default=None
            Their targets, if the network was trained with some.

        Returns
        -------
        evaluation : dict
            - "objective": "loss" + "penalty" + `lambda_` "weight_decay". Only "penalty", all sparsity penalties,
              has its weights (`beta`, `l1`) in it; "sparsity" (KL), "l1" (the sum of |activation| per sample)
              and "weight_decay" (half the sum of the squared weights) are without theirs
            - "squared_error", "explained_variance" and "fvu" (1 less the former): NaN if no feature of
              `X` varies; "explained_variance_per_feature" (an array; NaN for features that do not vary)
            - "explained_variance_per_batch": the mean over batches of 1 024 samples, in their order. A last
              batch of fewer samples is left out, unless it is the only one, and so are batches that do not
              vary; NaN if none is left
            - "cosine_similarity", "l2_ratio" and "relative_reconstruction_bias", of scaled numbers; NaN if
              all samples or reconstructions are 0
            - "layers", a list of a dict for each hidden layer: "mean_activations" (array of each unit), "l0"
              (mean number of active units per sample), "dead_units" and "dense_units" (active in more
              than a tenth of the samples), which are lists of the numbers of units, "frequencies" (array of
              each unit's share of the samples), and a histogram of activations ("low", "high", "counts",
              and "zeros", the number of those that are exactly 0)

        Raises
        ------
        ValueError
            Samples have another number of features, or are not finite; or the network predicts targets, and
            there are none.
        """
        check_is_fitted(self)
        data = self._with_targets(self._data(X, reset=False), targets, "targets")
        return self._evaluated.evaluate(data, self._threads)

    def score(self, X: Data, y: Any = None, *, targets: Optional[Data] = None) -> float:
        """Compute the share of the variance of `X`, or of `targets`, that is explained; 1 is best.

        It is R squared over all features, each weighted by its variance: features of a wide range
        hide how badly those of a narrow one are reconstructed, which
        ``evaluate(X)["explained_variance_per_feature"]`` shows.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or files
            The samples.
        y : ignored
        targets : array of shape (n_samples, n_targets), or files, default=None
            Their targets, if the network was trained with some.

        Returns
        -------
        score : float
            For a constant `X`: 1 if the reconstructions are exact, 0 otherwise, where "explained_variance" of
            `evaluate` is NaN.

        Raises
        ------
        ValueError
            As for `evaluate`.
        """
        evaluation = self.evaluate(X, targets=targets)
        explained: float = evaluation["explained_variance"]
        error: float = evaluation["squared_error"]
        # A network with parameters so large that its outputs are not numbers has no score.
        if np.isnan(explained) and not np.isnan(error):
            return 1.0 if error == 0 else 0.0
        return explained

    @property
    def coefs_(self) -> list[NDArray[np.float32]]:
        check_is_fitted(self)
        return [weights for weights, _ in self._network.layers]

    @property
    def intercepts_(self) -> list[NDArray[np.float32]]:
        check_is_fitted(self)
        return [biases for _, biases in self._network.layers]
