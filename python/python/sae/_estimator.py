"""The estimator."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sae import _checks, _sae, _settings
from sae._pictures import Pictures
from sae._progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from sae._pictures import Data

# Steps from one record of the history to the next, at most.
EVERY = 100


class SparseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Pictures):
    """Sparse autoencoder: a code of the samples from which they can be reconstructed.

    The objective is the loss, plus `beta` times the Kullback-Leibler divergence of the encoder's
    mean activations from `rho`, plus `lambda_` times half the sum of the squared weights. The
    defaults are those of the command ``sae train``, and the same seed, data and settings give
    the same weights, bit for bit, on any number of threads.

    Wherever samples are taken, `X` is an array of shape (n_samples, n_features), or the path of
    an IDX or ``.npy`` file, which is mapped. C-ordered arrays of uint8 or float32 are read where
    they lie; others are converted to C-ordered float32. Bytes (uint8) become features in [0, 1],
    divided by 255; all other numbers are taken as they stand.

    Parameters
    ----------
    layers : sequence of int, default=(300, 30, 300)
        Sizes of the hidden layers, an odd number of them; the one in the middle is the code. The
        two ends, which have the features of the data, may be written, too: where the first and
        the last of three or more sizes are both the number of features, they are the ends.
    rho : float, default=0.02
        Target activation of the KL penalty, in (0, 1).
    beta : float, default=7.5e-5
        Weight of the KL penalty; 0 for none.
    lambda_ : float, default=5e-6
        Weight of the weight decay; 0 for none.
    l1 : float, default=0.0
        Weight of the L1 penalty, the sum of the activations' magnitudes in a sample.
    penalties : sequence of str, default=None
        Penalties of single hidden layers, in place of those above:
        ``"LAYER[:rho=RHO][:beta=WEIGHT][:l1=WEIGHT]"``, the first layer being 1.
    activation : str, default="sigmoid"
        Of the hidden layers: "sigmoid", "tanh", "relu", "leaky-relu", "linear" or
        "saturating-linear". All but sigmoid need ``beta=0``.
    activations : sequence of str, default=None
        One activation for each hidden layer, instead.
    output_activation : str, default=None
        Of the output layer; None is "sigmoid" for bytes and "linear" for other numbers.
    loss : str, default="squared-error"
        "squared-error" or "cross-entropy".
    code : str, default="dense"
        Which of the code's activations are kept: "dense", "top-k:K", "batch-top-k:K" or
        "jump-relu:L0[:BANDWIDTH]".
    tied : bool, default=False
        Whether the decoder has the encoder's weights, transposed.
    unit_norm : bool, default=False
        Whether the weights from each unit of the code are kept at length 1.
    initialization : str, default="truncated-normal"
        How weights are initialized: "truncated-normal", "xavier", "he" or "by-activation".
    corruption : str, default="none"
        Corruption of the inputs, which the network learns to undo: "none", "masking:SHARE" or
        "gaussian:DEVIATION".
    rho_momentum : float, default=0.0
        Share of the previous steps in the mean activations that the KL penalty sees.
    target : str, default=None
        Steers the penalties' weights until it holds: "mean-activation:VALUE[:LAYER]" or
        "l0:VALUE[:LAYER]", the first layer being 1.
    optimizer : str, default="adam"
        "adam", "adamw:DECAY", "momentum:SHARE" or "l-bfgs[:MEMORY]".
    learning_rate : float, default=0.01
        Before its schedule.
    schedule : str, default="constant"
        Of the learning rate: "constant", "cosine" or "step:EVERY:FACTOR".
    warm_up : int, default=0
        Steps in which the learning rate rises from 0 to its full value.
    clip : float, default=0.0
        Maximum length of the gradient over all parameters; 0 for no bound.
    beta1 : float, default=0.9
        Adam's decay of the first moment, in [0, 1).
    beta2 : float, default=0.999
        Adam's decay of the second moment, in [0, 1).
    epsilon : float, default=1e-8
        Adam's epsilon, above 0.
    batch : int, default=None
        Samples in a batch; None is 60, or all samples with L-BFGS. A batch longer than the data
        goes through it as often as it takes.
    steps : int, default=20_000
        Steps of the optimizer in `fit`.
    pretrain : int, default=0
        Steps in which each layer is trained by itself before, from the outside in; 0 for none.
    revive : int, default=0
        Gives units that are never active a new start after every so many steps; 0 for never.
    patience : int, default=0
        Ends `fit` when the objective on held-out samples has not fallen for so many evaluations
        one after the other, and keeps the best network; 0 for never.
    evaluate_every : int, default=500
        Steps from one of these evaluations to the next.
    holdout : int or float, default=None
        Which samples are held out, where there is a patience and `fit` is given none: so many, or
        such a share, the last ones of `X`; None is a seventh, and 0 none: the objective is then
        that on all of `X`.
    random_state : int, RandomState instance or None, default=None
        An int is the seed, as that of the command; from the others a seed is drawn.
    threads : int, default=None
        Threads; None is as many as there are cores. The result does not depend on them.
    verbose : bool or int, default=0
        Whether to show progress: a bar where tqdm is installed, or else lines.
    callback : callable, default=None
        ``callback(step, objective, mean_activations)``, called every 100 steps or more often;
        true ends the training.
    initialisation : str, default=None
        Deprecated spelling of `initialization`.

    Attributes
    ----------
    n_features_in_ : int
        Features of a sample.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if `X` has names that are all strings.
    n_iter_ : int
        Steps done.
    best_step_ : int or None
        The step of the network that `patience` kept, the best; None if it kept none.
    seed_ : int
        The seed.
    history_ : dict of ndarray
        "step", "objective" and "mean_activations" (a column for each hidden layer) of batches on
        the way; "validation_step" and "validation_objective" of the evaluations on held-out
        samples.
    coefs_ : list of ndarray of shape (inputs, outputs)
        Weights of each layer, a copy.
    intercepts_ : list of ndarray of shape (outputs,)
        Biases of each layer, a copy.

    Examples
    --------
    >>> from sae import SparseAutoencoder, draw_digits
    >>> images, _ = draw_digits(500)
    >>> X = images.reshape(500, -1)
    >>> model = SparseAutoencoder(layers=(64,), rho=0.05, beta=1e-3, steps=200, random_state=1)
    >>> model.fit_transform(X).shape
    (500, 64)
    """

    n_features_in_: int

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
        loss: str = "squared-error",
        code: str = "dense",
        tied: bool = False,
        unit_norm: bool = False,
        initialization: str = "truncated-normal",
        corruption: str = "none",
        rho_momentum: float = 0.0,
        target: Optional[str] = None,
        optimizer: str = "adam",
        learning_rate: float = 0.01,
        schedule: str = "constant",
        warm_up: int = 0,
        clip: float = 0.0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        batch: Optional[int] = None,
        steps: int = 20_000,
        pretrain: int = 0,
        revive: int = 0,
        patience: int = 0,
        evaluate_every: int = 500,
        holdout: Optional[float] = None,
        random_state: Any = None,
        threads: Optional[int] = None,
        verbose: Union[bool, int] = 0,
        callback: Optional[Callable[[int, float, list[float]], object]] = None,
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
        self.loss = loss
        self.code = code
        self.tied = tied
        self.unit_norm = unit_norm
        self.initialization = initialization
        self.corruption = corruption
        self.rho_momentum = rho_momentum
        self.target = target
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warm_up = warm_up
        self.clip = clip
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.batch = batch
        self.steps = steps
        self.pretrain = pretrain
        self.revive = revive
        self.patience = patience
        self.evaluate_every = evaluate_every
        self.holdout = holdout
        self.random_state = random_state
        self.threads = threads
        self.verbose = verbose
        self.callback = callback
        self.initialisation = initialisation

    # Training

    def fit(self, X: Data, y: Any = None, *, X_val: Optional[Data] = None) -> SparseAutoencoder:
        """Train from the start, `steps` steps, or as long as `patience` lasts.

        Ctrl-C ends the training after the current step: `KeyboardInterrupt` is raised, and the
        estimator is fitted with what was reached.

        Parameters
        ----------
        X : array of shape (n_samples, n_features) or path
            The samples.
        y : ignored
        X_val : array of shape (n_samples, n_features) or path, default=None
            Held-out samples, in place of those that `holdout` takes from `X`. The objective on
            them is in `history_`; without a `patience` it ends nothing.

        Returns
        -------
        self : SparseAutoencoder
        """
        return self._train(X, X_val, None, one_pass=False)

    def partial_fit(self, X: Data, y: Any = None) -> SparseAutoencoder:
        """Go on training with one pass over the samples.

        That is ``ceil(n_samples / batch)`` steps; the last batch is filled with samples once
        more. The first call begins as `fit` does, with `pretrain`; later ones keep its settings,
        whatever parameters have become since, and its optimizer's state (after `load` that begins
        anew). There is no `patience` in it.

        Parameters
        ----------
        X : array of shape (n_samples, n_features) or path
            The samples.
        y : ignored

        Returns
        -------
        self : SparseAutoencoder
        """
        if self.patience:
            raise ValueError("patience: partial_fit has none; use fit, or patience=0")
        if str(self.optimizer).startswith("l-bfgs"):
            raise ValueError("optimizer: L-BFGS takes all samples at once; use fit, or 'adam'")
        return self._train(X, None, getattr(self, "_network", None), one_pass=True)

    def _train(
        self,
        X: Data,
        X_val: Optional[Data],
        previous: Optional[_sae.Network],
        one_pass: bool,
    ) -> SparseAutoencoder:
        first = previous is None
        if self.callback is not None and not callable(self.callback):
            raise TypeError(f"callback: {self.callback!r}; a function was expected")
        data = self._data(X, reset=first)
        validation = None if X_val is None else self._validation(X_val, data)
        seed = self._seed() if first else self.seed_
        options = _settings.options(self.get_params(deep=False))
        steps = _checks.count("steps", self.steps)
        plan: _sae._Plan = {
            "layers": _checks.sizes(self.layers),
            "options": [*options, ("seed", str(seed))],
            "steps": steps,
            "one_pass": one_pass,
            "pretrain": _checks.count("pretrain", self.pretrain),
            "revive": _checks.count("revive", self.revive),
            "patience": _checks.count("patience", self.patience),
            "evaluate_every": _checks.count("evaluate_every", self.evaluate_every),
            "holdout": _checks.count_or_share("holdout", self.holdout),
            "threads": self._threads,
            "report_every": EVERY if one_pass else max(1, min(EVERY, steps // 50)),
        }
        before = 0 if first else self.n_iter_
        progress = Progress(before, None if one_pass else steps, bool(self.verbose), self.callback)
        try:
            network, done, best, stopped = _sae.train(data, validation, plan, previous, progress)
            if best is not None:
                progress.best(best)
        finally:
            progress.close()
        self._network = network
        self.n_iter_ = done
        self.best_step_ = best
        self.seed_ = seed
        self.history_ = progress.history(None if first else self.history_)
        if isinstance(data, str):
            self._take_features_of_file(first)
        if stopped is not None:
            raise stopped
        return self

    @property
    def _threads(self) -> Optional[int]:
        return None if self.threads is None else _checks.count("threads", self.threads)

    def _seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _data(self, X: Data, reset: bool) -> Any:
        """Samples as the compiled part takes them: without a copy where that can be."""
        if isinstance(X, (str, os.PathLike)):
            return os.fspath(X)
        _checks.two_dimensional(X)
        X = validate_data(self, X, reset=reset, dtype=[np.float32, np.uint8], order="C")
        return np.require(X, requirements=["C", "A"])

    def _validation(self, X: Data, data: Any) -> Any:
        """Held-out samples; whether they have the features of a file is seen when that is open."""
        if isinstance(X, (str, os.PathLike)) or not isinstance(data, str):
            return self._data(X, reset=False)
        X = check_array(X, dtype=[np.float32, np.uint8], order="C", input_name="X_val")
        return np.require(X, requirements=["C", "A"])

    def _take_features_of_file(self, first: bool) -> None:
        self.n_features_in_ = json.loads(self._network.settings)["layers"][0]
        if first and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    # Results

    def transform(self, X: Data) -> NDArray[np.float32]:
        """Codes of samples.

        Parameters
        ----------
        X : array of shape (n_samples, n_features) or path
            The samples.

        Returns
        -------
        codes : ndarray of shape (n_samples, code units)
        """
        check_is_fitted(self)
        return self._network.encode(self._data(X, reset=False), self._threads)

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Reconstructions from codes.

        Parameters
        ----------
        X : array of shape (n_samples, code units)
            The codes.

        Returns
        -------
        reconstructions : ndarray of shape (n_samples, n_features)
            Features; for bytes they are in [0, 1].
        """
        check_is_fitted(self)
        codes = np.require(check_array(X, dtype=np.float32, order="C"), requirements=["C", "A"])
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {codes.shape[1]} features, but the code of {type(self).__name__} has "
                f"{self._n_features_out} units"
            )
        return self._network.decode(codes, self._threads)

    def reconstruct(self, X: Data) -> NDArray[np.float32]:
        """Reconstructions of samples: both of the above, without a way through Python.

        Parameters
        ----------
        X : array of shape (n_samples, n_features) or path
            The samples.

        Returns
        -------
        reconstructions : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        return self._network.reconstruct(self._data(X, reset=False), self._threads)

    def evaluate(self, X: Data) -> dict[str, Any]:
        """The objective over samples, which count as one batch, and how active the layers are.

        Parameters
        ----------
        X : array of shape (n_samples, n_features) or path
            The samples.

        Returns
        -------
        evaluation : dict
            "objective", its terms "loss", "sparsity", "l1", "penalty" and "weight_decay",
            "squared_error", "explained_variance", and "layers": of each hidden layer
            "mean_activations" (of each unit), "l0" (units active in a sample, on average),
            "dead_units", and a histogram of activations ("low", "high", "counts", "zeros").
        """
        check_is_fitted(self)
        return self._network.evaluate(self._data(X, reset=False), self._threads)

    def score(self, X: Data, y: Any = None) -> float:
        """Share of the variance of `X` that the reconstructions explain; 1 is best.

        It is R squared over all features together, each weighted by its variance.

        Parameters
        ----------
        X : array of shape (n_samples, n_features) or path
            The samples.
        y : ignored

        Returns
        -------
        score : float
            Where `X` does not vary: 1 if the reconstructions are exact, or else 0.
        """
        evaluation = self.evaluate(X)
        explained: float = evaluation["explained_variance"]
        if np.isnan(explained):
            return 1.0 if evaluation["squared_error"] == 0 else 0.0
        return explained

    @property
    def coefs_(self) -> list[NDArray[np.float32]]:
        check_is_fitted(self)
        return [weights for weights, _ in self._network.layers]

    @property
    def intercepts_(self) -> list[NDArray[np.float32]]:
        check_is_fitted(self)
        return [biases for _, biases in self._network.layers]

    @property
    def _n_features_out(self) -> int:
        return self._network.code_units

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    # Files

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Write a model file, as ``sae train`` does; PyTorch can read it, too.

        Parameters
        ----------
        path : str or path
            The file, replaced once the new one is whole.
        """
        check_is_fitted(self)
        self._network.save(path)

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]]) -> SparseAutoencoder:
        """Read a model file, one of ``sae train`` perhaps.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        model : SparseAutoencoder
            Fitted, with the parameters that the file tells. It does not tell the steps.
        """
        network = _sae.Network.load(path)
        settings = json.loads(network.settings)
        model = cls(**_settings.parameters(settings))
        model._network = network
        model.n_features_in_ = settings["layers"][0]
        model.n_iter_ = 0
        model.best_step_ = None
        model.seed_ = settings["seed"]
        model.history_ = Progress(0, None, False, None).history(None)
        return model
