"""The estimator."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, Optional

from sklearn.utils.validation import check_is_fitted

from sae import _checks, _sae, _settings
from sae._inference import Inference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sae._pictures import Path

# Version of the state in a pickle. Those of version 0.1 have none.
PICKLE_VERSION = 2


class SparseAutoencoder(Inference):
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
        Activation above which a sigmoid unit counts as active, for L0 and dead units. `evaluate`, `units`
        and `report` use it at once when it changes.
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
    epochs : float, default=None
        Passes over the samples in `fit`, instead of `steps`: ``ceil(epochs * n_samples / batch)`` steps, of the
        samples that are not held out. None takes `steps`.
    warm_start : bool, default=False
        Whether `fit` begins with the weights of the fitted network, as ``sae train --from`` does, instead of
        new ones: fine-tuning with other data or parameters, also of a model of `load` or
        `import_dictionary`. Layers, activations and the kind of code stay, and so does the scaling;
        optimizer, schedule and order of the samples start anew. There is no `pretrain` then.
    pretrain : int, default=0
        Steps of greedy layer-wise pretraining, per layer, from the outer layers in; 0 for none.
    revive : int, default=0
        Steps between revivals of dead units, which get new weights; 0 for none.
    patience : int, default=0
        Early stopping: `fit` ends after this number of consecutive evaluations on held-out samples
        without improvement, and keeps the best network; 0 for none.
    evaluate_every : int, default=None
        Steps between evaluations on held-out samples; None is 500, or all steps of a shorter training.
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
        dead units are measured for reports, which takes the time of some 2 steps. ``report.model`` is a fitted
        estimator with a copy of the current network.
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
        Number of steps done; 0 of a loaded model.
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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

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

        Raises
        ------
        ValueError
            There is no such preset, or a size is not what it can be.
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

    def save(self, path: Path) -> None:
        """Write a model file (safetensors), as ``sae train`` does.

        Parameters
        ----------
        path : str or path
            The file. The write is atomic.

        Raises
        ------
        OSError
            It cannot be written.
        """
        check_is_fitted(self)
        self._network.save(path)

    @classmethod
    def load(cls, path: Path, *, steps: Optional[int] = None, **parameters: Any) -> SparseAutoencoder:
        """Read a model file, of `save` or of ``sae train``.

        Parameters
        ----------
        path : str or path
            The file.
        steps : int, default=None
            Number of steps of the next `fit`, which the file's schedule and warm-ups are then of. None leaves them.
        **parameters
            Parameters for the next training that differ from the file's, and `active_above`, which
            `evaluate` and the like use at once. What describes the network cannot differ: `layers`, the
            activations, the kind of `code`, `tied` and `skip`.

        Returns
        -------
        model : SparseAutoencoder
            Fitted, with the parameters that the file contains (`steps`, for example, is not one). A file has no names
            of features: there is no `feature_names_in_`.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is no model file, or a parameter describes another network.

        Examples
        --------
        Fine-tuning, with the same weights as ``sae train --from digits.safetensors --steps 100 --learning-rate
        1e-3``:

        >>> from sae import SparseAutoencoder, draw_digits
        >>> X = draw_digits(500)[0].reshape(500, -1)
        >>> SparseAutoencoder((64,), beta=0, steps=200, random_state=1).fit(X).save("digits.safetensors")
        >>> model = SparseAutoencoder.load("digits.safetensors", warm_start=True, steps=100, learning_rate=1e-3)
        >>> before = model.evaluate(X)["loss"]
        >>> model.fit(X).evaluate(X)["loss"] < before
        True
        """
        return cls._of(_sae.Network.load(path), steps, parameters)

    @classmethod
    def _of(cls, network: _sae.Network, steps: Optional[int], parameters: dict[str, Any]) -> SparseAutoencoder:
        """A fitted estimator with a network, and these parameters for its next training."""
        text, own = network.settings, {}
        if steps is not None:
            number = _checks.count("steps", steps)
            text, own = _sae.settings_for_steps(text, number), {"steps": number}
        settings = json.loads(text)
        model = cls(**{**_settings.parameters(settings), **own})
        model._take(network, settings["seed"])
        _settings.check_describes(network, parameters)
        # Only now: what changes is checked before a `partial_fit`.
        model.set_params(**parameters)
        return model
