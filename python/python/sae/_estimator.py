"""The estimator."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Literal, Optional, Union

import numpy as np
from sklearn import get_config
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sae import _checks, _data, _reports, _sae, _settings, _sparse, _threads
from sae._analysis import Analysis
from sae._batches import Batches
from sae._progress import Progress, check_verbose
from sae._reports import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_matrix

    from sae._pictures import Data

    Callback = Union[Callable[[TrainingReport], object], Callable[[int, float, list[float]], object]]

# Steps between reports, at most, where `report_every` is None.
REPORT_EVERY = 100

# Version of the state in a pickle. Those of version 0.1 have none.
PICKLE_VERSION = 2

# Parameters that only `fit` uses: it is said if they change before a `partial_fit`.
OF_FIT = ("steps", "pretrain", "evaluate_every", "holdout")


class SparseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Analysis):
    """Sparse autoencoder: a code of the samples from which they can be reconstructed.

    The objective is the loss, plus `beta` times the Kullback-Leibler divergence of the encoder's
    mean activations from `rho`, plus `lambda_` times half the sum of the squared weights. The
    defaults are those of the command's preset ``article``, and the same seed, data and settings give
    the same weights as ``sae train``, bit for bit, on any number of threads.

    Wherever samples are taken, `X` is an array of shape (n_samples, n_features), a tensor of torch or
    of another library with DLPack on the CPU, a path or a list of paths (IDX, ``.npy`` and safetensors
    files, folders, patterns), which are mapped, or what `open_data` returns. Arrays of any integers,
    booleans and floats, bfloat16 included, are not copied if each row is in one piece. `fit` and
    `partial_fit` also take an iterator of batches.

    The scaling is chosen when a training begins and belongs to the model: bytes (uint8; a data frame
    of only such columns, nullable or not) are divided by 255, which gives features in [0, 1]; all
    other values are used as they are, with a warning for integers of another type that lie within 0
    to 255. From then on, data of any type are scaled as the model's were: a model of bytes takes
    whole numbers from 0 to 255 of any type, with the same results bit for bit, and refuses others.

    Parameters
    ----------
    layers : sequence of int, default=(300, 30, 300)
        Sizes of the hidden layers, an odd number; the one in the middle is the code. Sizes of
        input and output may be included: if the first and the last of three or more sizes are the
        number of features, they are input and output.
    rho : float, default=0.02
        Target activation of the KL penalty, in (0, 1).
    beta : float, default=7.5e-5
        Weight of the KL penalty; 0 for none.
    lambda_ : float, default=5e-6
        Weight of the weight decay; 0 for none.
    l1 : float, default=0.0
        Weight of the L1 penalty, the sum of |activation| per sample.
    penalties : sequence of str, default=None
        Penalties of single hidden layers, instead of those above:
        ``"LAYER[:rho=RHO][:beta=WEIGHT][:l1=WEIGHT]"``, the first layer being 1.
    activation : str, default="sigmoid"
        Activation of the hidden layers: "sigmoid", "tanh", "relu", "leaky-relu", "linear" or
        "saturating-linear". All but sigmoid require ``beta=0``.
    activations : sequence of str, default=None
        Activation of each hidden layer, instead of one for all.
    output_activation : str, default=None
        Activation of the output layer; None is "sigmoid" for uint8, "linear" for other values.
    allow_unreachable : bool, default=False
        Whether features may be outside of what the output activation gives; otherwise they are
        refused.
    loss : str, default="squared-error"
        The data term of the objective: "squared-error", "cross-entropy", or "fvu", the squared error
        divided by the variance of the training data.
    code : str, default="dense"
        Which of the code's activations are kept: "dense", "top-k:K", "batch-top-k:K" or
        "jump-relu:L0[:BANDWIDTH[:THRESHOLD]]".
    prefixes : str, default="none"
        Parts of a sparse code that each reconstruct by themselves, so that its first units are the
        most general: "powers-of-two", or rising sizes such as "128,512".
    auxiliary : str, default="none"
        What dead units of a sparse code learn from: "aux-k[:WEIGHT[:UNITS]]", what the others leave
        over, or "pre-activation:WEIGHT[:UNITS]", how far they are below a JumpReLU's thresholds.
    dead_after : int, default=0
        Samples without being active after which a unit of a sparse code counts as dead; 0 for as
        many as 10 epochs have, at most 10 million.
    l0_penalty : str, default="step"
        What the weight `L0` of a JumpReLU code is of: "step", the number of active units per sample;
        "tanh[:SCALE]", a smooth one, with `unit_norm`; or "quadratic:TARGET",
        (number / TARGET - 1) squared.
    tied : bool, default=False
        Whether the decoder has the encoder's weights, transposed.
    skip : bool, default=False
        Whether a linear map of the input is added to the output; requires `targets` in `fit`, and a
        linear output.
    unit_norm : bool, default=False
        Whether the weights from each unit of the code are kept at length 1.
    initialization : str, default="truncated-normal"
        How weights are initialized: "truncated-normal", "xavier", "he", "by-activation", or
        "transpose", by which the decoder begins as the transposed encoder, with weights of length 1
        from each unit of the code.
    output_bias : str, default="auto"
        What the output layer's biases begin with: "zero", the "mean" of the data, or "auto", which
        is the mean with a linear output.
    corruption : str, default="none"
        Corruption of the inputs, which the network learns to undo: "none", "masking:SHARE" or
        "gaussian:DEVIATION".
    active_above : float, default=0.1
        Activation above which a sigmoid unit counts as active, for L0 and dead units.
    rho_momentum : float, default=0.0
        Share of the previous steps in the mean activations that the KL penalty sees.
    target : str, default=None
        Sparsity of a hidden layer that the weights of the penalties are steered to:
        "mean-activation:VALUE[:LAYER[:STEPS]]" or "l0:VALUE[:LAYER[:STEPS]]", the first layer
        being 1.
    sparsity_warm_up : int, default=0
        Steps in which the weights of all sparsity penalties rise from 0 to their full values.
    optimizer : str, default="adam"
        "adam", "adam-lazy", "adamw[:DECAY]", "momentum[:SHARE]" or "l-bfgs[:MEMORY]".
    learning_rate : float, default=0.01
        Learning rate, before its schedule.
    schedule : str, default="constant"
        Schedule of the learning rate: "constant", "cosine[:STEPS]", "linear:SHARE[:STEPS]"
        (constant, then linearly to 0 over the last share of the steps) or "step:EVERY:FACTOR".
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
        Samples in a batch; None is 60, or all samples with L-BFGS. A batch larger than the data
        contains samples several times.
    order : str, default="shuffle"
        The order of the samples in an epoch: "shuffle" is all of them in a random order, "window:N"
        neighboring samples in blocks, in a random order, and the samples of every 16 blocks, N of them,
        shuffled (a disk then reads whole blocks), and "sequential" one after another. Batches of an
        iterator keep their order.
    steps : int, default=20_000
        Number of steps in `fit`.
    pretrain : int, default=0
        Steps of greedy layer-wise pretraining, per layer, from the outer layers in; 0 for none.
    revive : int, default=0
        Steps between revivals of dead units, which get new weights; 0 for none.
    patience : int, default=0
        Early stopping: `fit` ends after this number of consecutive evaluations on held-out samples
        without improvement, and keeps the best network; 0 for none.
    evaluate_every : int, default=500
        Steps between evaluations on held-out samples.
    holdout : int or float, default=None
        Number or share of samples of `X`, drawn by `random_state`, to hold out for early stopping
        without `X_val`; None is a seventh, at most 100 000. With 0 the evaluations are on all of `X`.
    random_state : int, RandomState instance or None, default=None
        The seed, an int as in the command; from other values a seed is drawn.
    threads : int, default=None
        Number of threads; the result does not depend on it. None is the limit that
        ``threadpoolctl.threadpool_limits`` sets, or else the environment variable
        SAE_NUM_THREADS, or else OMP_NUM_THREADS, which joblib sets in its worker processes
        (``GridSearchCV(n_jobs=2)``, ``inner_max_num_threads``), or else the number of cores; the
        worker threads of joblib's backend "threading" share the cores.
    output : str, default="auto"
        What `transform` returns: "dense" is an array, "sparse" a ``scipy.sparse.csr_matrix`` of what
        is not 0, and "auto" the latter for codes that are not dense and have more than 1024 units, unless
        ``set_output`` asks for a data frame, which needs an array.
    verbose : bool, int, "tqdm" or "lines", default=0
        Whether to show progress, with the objective, the loss, L0 and dead units: by a progress bar if
        tqdm is installed (``pip install 'sae[progress]'``), by lines otherwise. "tqdm" is a bar, and an
        error without tqdm; "lines" are lines. In a notebook the bar is that of tqdm for notebooks.
    callback : callable or list of them, default=None
        ``callback(report)``, called with a `TrainingReport` every `report_every` steps and after the last
        one. A true result, or ``StopIteration``, ends the training. Another exception does, too: it is
        raised by `fit`, and the estimator is fitted with the current network. A function that requires
        more than one argument, or takes ``*args``, gets ``(step, objective, mean_activations)``. L0 and
        dead units are measured for reports, which takes the time of some 2 steps.
    report_every : int, default=None
        Steps between reports: calls of `callback`, lines of `verbose`, entries of `history_`. None is 100, or
        fewer, so that `fit` has 50 reports.
    initialisation : str, default=None
        Deprecated spelling of `initialization`.

    Attributes
    ----------
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has names that are all strings.
    n_iter_ : int
        Number of steps done.
    best_step_ : int or None
        The step of the best network, which early stopping kept; None without early stopping.
    seed_ : int
        The seed.
    history_ : dict of ndarray
        "step", "objective" and "mean_activations" (a column for each hidden layer) of the batch
        of every report; "validation_step" and "validation_objective" of the evaluations on held-out
        samples.
    coefs_ : list of ndarray of shape (inputs, outputs)
        Copies of the weights of each layer.
    intercepts_ : list of ndarray of shape (outputs,)
        Copies of the biases of each layer.
    components_ : ndarray of shape (n_components_, n_features_in_)
        The dictionary: what each unit of the code adds to the reconstruction, in the units of `X`. Only for
        a decoder of one layer; see `components_` itself.
    n_components_ : int
        Number of units of the code.

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
    feature_names_in_: NDArray[Any]
    history_: dict[str, Any]

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
        pretrain: int = 0,
        revive: int = 0,
        patience: int = 0,
        evaluate_every: int = 500,
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

    # Training

    def fit(
        self,
        X: Union[Data, Iterable[ArrayLike]],
        y: Any = None,
        *,
        X_val: Optional[Data] = None,
        targets: Optional[Data] = None,
        targets_val: Optional[Data] = None,
    ) -> SparseAutoencoder:
        """Train a new network for `steps` steps, or until early stopping or the end of the batches.

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
        """
        return self._train((X, targets), (X_val, targets_val), None, one_pass=False)

    def partial_fit(
        self,
        X: Union[Data, Iterable[ArrayLike]],
        y: Any = None,
        *,
        targets: Optional[Data] = None,
    ) -> SparseAutoencoder:
        """Continue the training with one pass over the samples.

        That is ``ceil(n_samples / batch)`` steps; the last batch is filled with samples of the
        next epoch. Of an iterator of batches it is all samples, except for those left at its end that
        are fewer than `batch`. The first call begins as `fit` does, with `pretrain`; later ones keep the state
        of the optimizer (a new one after `load`). There is no early stopping.

        A parameter that was changed after the last training or `load` takes effect, or the call is
        refused: what the weights depend on cannot change (`layers`, the activations, the kind of
        `code`, `tied`, `skip`, `unit_norm`, `initialization`, `output_bias`, `random_state`), nor `target`, nor, after a
        training, the optimizer, except between "adam" and "adamw" and in its numbers, nor what only
        `fit` uses (`steps`, `pretrain`, `evaluate_every`, `holdout`).

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
    ) -> SparseAutoencoder:
        (X, targets), (X_val, targets_val) = pairs, pairs_val
        first = previous is None
        if not first:
            self._check_unchanged()
        _reports.check(self.callback)
        check_verbose(self.verbose)
        _sparse.check_output(self.output)
        batches = self._batches(X, X_val) if _data.is_batches(X) else None
        data = self._data(batches or X, reset=first)
        validation = None if X_val is None else self._validation(X_val, data)
        if batches is not None and targets is not None:
            raise ValueError("targets: X is an iterator of batches; give arrays or files of both")
        if X_val is not None and (targets is None) != (targets_val is None):
            raise ValueError("targets_val: expected targets of X_val if X has some, and only then")
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
            "report_every": self._steps_between_reports(None if one_pass else steps),
            "measure": False,
        }
        before = 0 if first else self.n_iter_
        progress = Progress(before, None if one_pass else steps, self.verbose, self.callback)
        plan["measure"] = progress.measures
        try:
            both = self._with_targets(data, targets, "targets")
            both_val = self._with_targets(validation, targets_val, "targets_val")
            trained = _sae.train(both, batches, both_val, plan, previous, progress)
            network, done, best, useless, stopped = trained
            if best is not None:
                progress.best(best)
        finally:
            progress.close()
        self._network = network
        self._trained_with = self._fixed()
        self.n_iter_ = done
        self.best_step_ = best
        self.seed_ = seed
        self.history_ = progress.history(None if first else self.history_)
        if isinstance(data, _sae.Files):
            self._take_features_of_file(first)
        if stopped is not None:
            raise stopped
        for sentence in useless:
            warnings.warn(sentence, UserWarning, stacklevel=3)
        return self

    def _steps_between_reports(self, steps: Optional[int]) -> int:
        if self.report_every is None:
            return REPORT_EVERY if steps is None else max(1, min(REPORT_EVERY, steps // 50))
        every = _checks.count("report_every", self.report_every)
        if every == 0:
            raise ValueError("report_every: expected at least 1, got 0")
        return every

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
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _data(self, X: Any, reset: bool, name: str = "X") -> Any:
        """Samples as the compiled part takes them, without a copy if possible; of batches the first."""
        X = X.first if isinstance(X, Batches) else _data.source(X, name)
        if isinstance(X, _sae.Files):
            return X
        _checks.two_dimensional(X, name)
        X = _data.bytes_if_all(X)
        is_integer = reset and _data.is_integer(X)
        X = _data.validated(X, partial(validate_data, self), reset=reset)
        X = _data.readable(X, name)
        if is_integer:
            _data.warn_of_bytes(X, name)
        if reset:
            _data.warn_of_rounding(X, name)
        return X

    def _with_targets(self, data: Any, targets: Optional[Data], name: str) -> Any:
        """Data, with their targets if they have some."""
        if data is None or targets is None:
            return data
        Y = _data.source(targets, name)
        if isinstance(Y, _sae.Files):
            return data, Y
        _checks.two_dimensional(Y, name)
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
        X = _data.validated(_data.bytes_if_all(X), check_array, input_name="X_val")
        return _data.readable(X, "X_val")

    def _take_features_of_file(self, first: bool) -> None:
        self.n_features_in_ = json.loads(self._network.settings)["layers"][0]
        if first and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    # Results

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
        is_dense = json.loads(self._network.settings)["code"] == "dense"
        return not is_dense and self._n_features_out > _sparse.DENSE_UNITS

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
            Features; in [0, 1] for uint8.
        """
        check_is_fitted(self)
        codes = check_array(X, accept_sparse="csr", dtype=np.float32, order="C")
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
            "objective", its terms "loss", "sparsity", "l1", "penalty" and "weight_decay",
            "squared_error", "explained_variance", "explained_variance_per_feature" (an array; NaN
            for features that do not vary), "explained_variance_per_batch" (mean over batches of
            1 024 samples), "fvu", "cosine_similarity", "l2_ratio", "relative_reconstruction_bias",
            and "layers": for each hidden layer "mean_activations" (of each unit), "l0" (mean number
            of active units per sample), "dead_units", "dense_units" (active in more than a tenth
            of the samples), "frequencies" (each unit's share of the samples), and a histogram of
            activations ("low", "high", "counts", "zeros").
        """
        check_is_fitted(self)
        data = self._with_targets(self._data(X, reset=False), targets, "targets")
        return self._network.evaluate(data, self._threads)

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
            For a constant `X`: 1 if the reconstructions are exact, 0 otherwise.
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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    # Presets and files

    @classmethod
    def from_preset(
        cls,
        preset: str,
        n_features: int,
        *,
        layers: Optional[Sequence[int]] = None,
        steps: Optional[int] = None,
        **parameters: Any,
    ) -> SparseAutoencoder:
        """Make an estimator with the parameters of a preset, as ``sae presets`` lists them.

        Parameters
        ----------
        preset : str
            "article", "article-plain", "images", "top-k", "batch-top-k", "jump-relu", "matryoshka" or "matlab".
        n_features : int
            Number of features of the samples, which the sizes of layers and some weights follow.
        layers : sequence of int, default=None
            Sizes of the hidden layers; None is the preset's own. The learning rate of the sparse codes
            follows the units of the code.
        steps : int, default=None
            Number of steps in `fit`; None is the preset's own, mostly 20 000. Warm-ups follow it.
        **parameters
            Parameters that differ from the preset's.

        Returns
        -------
        model : SparseAutoencoder
            Not fitted.
        """
        features = _checks.count("n_features", n_features)
        hidden = None if layers is None else _checks.sizes(layers)
        steps = None if steps is None else _checks.count("steps", steps)
        text, steps = _sae.preset_settings(preset, features, hidden, steps)
        return cls(**{**_settings.of_preset(json.loads(text)), "steps": steps, **parameters})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_pickle_version": PICKLE_VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop("_pickle_version", 1)
        if not isinstance(version, int) or version > PICKLE_VERSION:
            raise ValueError(
                f"pickle: expected a state of version {PICKLE_VERSION} or earlier, got version "
                f"{version!r}; a newer release of sae wrote it, so load it with that, or install it"
            )
        # Parameters that were added since.
        parameters = inspect.signature(type(self).__init__).parameters.values()
        defaults = {of.name: of.default for of in parameters if of.default is not of.empty}
        super().__setstate__({**defaults, **state})

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Write a model file (safetensors), as ``sae train`` does.

        Parameters
        ----------
        path : str or path
            The file. The write is atomic.
        """
        check_is_fitted(self)
        self._network.save(path)

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]]) -> SparseAutoencoder:
        """Read a model file, of `save` or of ``sae train``.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        model : SparseAutoencoder
            Fitted, with the parameters that the file contains (`steps`, for example, is not one).
        """
        return cls._of(_sae.Network.load(path))

    @classmethod
    def _of(cls, network: _sae.Network) -> SparseAutoencoder:
        """A fitted estimator with a network."""
        settings = json.loads(network.settings)
        model = cls(**_settings.parameters(settings))
        model._network = network
        model.n_features_in_ = settings["layers"][0]
        model.n_iter_ = 0
        model.best_step_ = None
        model.seed_ = settings["seed"]
        model._trained_with = model._fixed()
        model.history_ = Progress(0, None, False, None).history(None)
        return model
