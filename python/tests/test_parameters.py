"""Parameters that change between trainings, and pickles of other versions."""

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest

from sae import SparseAutoencoder

BASE = {"layers": (4, 3, 4), "steps": 9, "random_state": 4, "batch": 20, "threads": 1}

# Another value of each parameter.
HONORED = {
    "rho": 0.3,
    "beta": 0.5,
    "lambda_": 0.1,
    "l1": 0.1,
    "penalties": ("2:beta=0.5",),
    "loss": "cross-entropy",
    "corruption": "masking:0.5",
    "learning_rate": 1e-6,
    "schedule": "cosine:20",
    "warm_up": 100,
    "sparsity_warm_up": 100,
    "clip": 1e-3,
    "beta1": 0.1,
    "beta2": 0.1,
    "epsilon": 0.1,
    "batch": 7,
    "order": "sequential",
    "optimizer": "adamw:0.9",
    "verbose": 1,
    "callback": lambda *_: True,
    "report_every": 1,
    "threads": 2,
}
# Honored, in tests of their own: they take dead units, a sparse code, and other data, or are of no
# training, or of `fit` alone.
OTHERS = {
    "l0_penalty",
    "revive",
    "allow_unreachable",
    "active_above",
    "output",
    "prefixes",
    "auxiliary",
    "dead_after",
    "warm_start",
}
REFUSED = {
    "layers": (4, 2, 4),
    "activation": "tanh",
    "activations": ("sigmoid", "tanh", "sigmoid"),
    "output_activation": "tanh",
    "code": "top-k:2",
    "tied": True,
    "skip": True,
    "unit_norm": True,
    "initialization": "xavier",
    "initialisation": "xavier",
    "output_bias": "zero",
    "rho_momentum": 0.5,
    "target": "mean-activation:0.2",
    "steps": 10,
    "epochs": 2,
    "pretrain": 5,
    "patience": 2,
    "evaluate_every": 3,
    "holdout": 5,
    "random_state": 5,
}
# What these values require of others is no matter of this test.
TOGETHER = {
    "activation": {"beta": 0.0},
    "activations": {"beta": 0.0},
}


@pytest.fixture
def X():
    return np.random.RandomState(0).rand(60, 6).astype(np.float32)


def weights(model):
    return np.concatenate([part.ravel() for part in [*model.coefs_, *model.intercepts_]])


def begun(X, tmp_path, way):
    params = {**BASE, "output_activation": "sigmoid"}
    model = SparseAutoencoder(**params).fit(X)
    if way == "load":
        model.save(tmp_path / "m")
        model = SparseAutoencoder.load(tmp_path / "m")
    if way == "pickle":
        model = pickle.loads(pickle.dumps(model))
    return model


def test_every_parameter_is_in_this_test():
    parameters = inspect.signature(SparseAutoencoder).parameters
    assert set(parameters) == {*HONORED, *REFUSED, *OTHERS}


@pytest.mark.parametrize("way", ["fit", "load", "pickle"])
@pytest.mark.parametrize("name", HONORED)
def test_a_changed_parameter_takes_effect(X, tmp_path, way, name, capsys):
    model = begun(X, tmp_path, way)
    plain = copy.deepcopy(model).partial_fit(X)
    changed = copy.deepcopy(model).set_params(**{name: HONORED[name]}).partial_fit(X)
    if name == "threads":
        assert np.array_equal(weights(changed), weights(plain))
    elif name == "verbose":
        assert capsys.readouterr() != ("", "")
    elif name == "report_every":
        assert len(changed.history_["step"]) > len(plain.history_["step"])
    elif name == "callback":
        assert changed.n_iter_ <= plain.n_iter_
    else:
        assert not np.array_equal(weights(changed), weights(plain)), name
    if name == "learning_rate":
        # The weights hardly move.
        assert np.abs(weights(changed) - weights(model)).max() < 1e-4
        assert np.abs(weights(plain) - weights(model)).max() > 1e-3
    # Back to what it was, the training goes on with the old value.
    back = copy.deepcopy(model).set_params(**{name: HONORED[name]})
    back.set_params(**{name: model.get_params()[name]}).partial_fit(X)
    assert np.array_equal(weights(back), weights(plain))


@pytest.mark.parametrize("way", ["fit", "load", "pickle"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_parameter_that_cannot_change_is_refused(X, tmp_path, way, name):
    model = begun(X, tmp_path, way)
    before = weights(model)
    model.set_params(**{name: REFUSED[name], **TOGETHER.get(name, {})})
    if name == "rho_momentum" and way == "load":
        # A loaded model has no running means to continue.
        model.partial_fit(X)
        return
    with pytest.raises(ValueError, match=f"^{name}: ") as problem:
        model.partial_fit(X)
    assert "\n" not in str(problem.value)
    # Nothing has changed, and `fit` begins anew.
    assert np.array_equal(weights(model), before)
    if name in ("initialisation", "skip"):
        # Deprecated; and of no use without targets.
        return
    if name == "code":
        model.set_params(activation="relu", beta=0.0)
    model.set_params(evaluate_every=3).fit(X)


def test_none_is_a_value(X):
    model = SparseAutoencoder(**{**BASE, "penalties": ["1:beta=0.5"]}).fit(X)
    plain = copy.deepcopy(model).partial_fit(X)
    changed = copy.deepcopy(model).set_params(penalties=None).partial_fit(X)
    assert not np.array_equal(weights(changed), weights(plain))
    longer = copy.deepcopy(model).set_params(batch=None).partial_fit(X)
    assert (plain.n_iter_, longer.n_iter_) == (9 + 3, 9 + 1)
    seeded = SparseAutoencoder(**BASE).fit(X).set_params(random_state=None)
    with pytest.raises(ValueError, match="^random_state: expected 4, .*, got None"):
        seeded.partial_fit(X)
    drawn = SparseAutoencoder(**{**BASE, "random_state": None}).fit(X)
    drawn.partial_fit(X).set_params(random_state=drawn.seed_).partial_fit(X)


def test_the_numbers_of_a_code_and_an_optimizer_can_change(X):
    relu = {"activation": "relu", "beta": 0.0, "initialization": "he", "code": "top-k:1"}
    base = {**BASE, **relu, "layers": (20, 9, 20), "optimizer": "momentum:0.5"}
    model = SparseAutoencoder(**base).fit(X)
    plain = copy.deepcopy(model).partial_fit(X)
    for params in [{"code": "top-k:3"}, {"optimizer": "momentum:0.9"}]:
        changed = copy.deepcopy(model).set_params(**params).partial_fit(X)
        assert not np.array_equal(weights(changed), weights(plain))
    with pytest.raises(ValueError, match="^optimizer: expected momentum:0.5, which cannot"):
        model.set_params(optimizer="adam").partial_fit(X)


def test_revivals_can_begin(X):
    relu = {"activation": "relu", "beta": 0.0, "initialization": "he", "code": "top-k:1"}
    model = SparseAutoencoder(**{**BASE, **relu, "layers": (9,), "learning_rate": 0.3}).fit(X)
    plain = copy.deepcopy(model).partial_fit(X)
    assert len(plain.evaluate(X)["layers"][0]["dead_units"]) > 0
    revived = model.set_params(revive=1).partial_fit(X)
    assert not np.array_equal(weights(revived), weights(plain))


def test_what_the_output_cannot_reach(X):
    model = SparseAutoencoder(**BASE, output_activation="sigmoid").fit(X)
    with pytest.raises(ValueError, match="allow_unreachable"):
        model.partial_fit(3 * X)
    model.set_params(allow_unreachable=True).partial_fit(3 * X)


def test_a_target_that_leaves_its_steps_open(X, tmp_path):
    model = SparseAutoencoder(**BASE, target="mean-activation:0.3").fit(X)
    model.save(tmp_path / "m")
    SparseAutoencoder.load(tmp_path / "m").partial_fit(X)
    model.partial_fit(X)
    with pytest.raises(ValueError, match="^target: "):
        model.set_params(target="mean-activation:0.3:1:77").partial_fit(X)


def test_pickles_have_a_version(X):
    model = SparseAutoencoder(**BASE).fit(X)
    state = model.__getstate__()
    assert state["_pickle_version"] == 2
    newer = {**state, "_pickle_version": 3}
    with pytest.raises(ValueError, match="^pickle: expected a state of version 2 or earlier, got version 3"):
        SparseAutoencoder.__new__(SparseAutoencoder).__setstate__(newer)
    # Version 0.1 wrote no version, had not all parameters, and remembered nothing of the training.
    gone = {"_pickle_version", "_trained_with", "initialization", "beta1"}
    older = {name: value for name, value in state.items() if name not in gone}
    again = SparseAutoencoder.__new__(SparseAutoencoder)
    again.__setstate__(older)
    assert again.get_params() == model.get_params()
    assert np.array_equal(again.transform(X), model.transform(X))
    assert np.array_equal(weights(again.partial_fit(X)), weights(model.partial_fit(X)))
    assert not hasattr(pickle.loads(pickle.dumps(model)), "_pickle_version")


def test_the_activation_that_counts_is_a_setting(X):
    model = SparseAutoencoder((6, 4, 6), steps=3, beta=0.0).fit(X)
    assert model.evaluate(X)["layers"][0]["l0"] == 4
    model.set_params(active_above=0.999).partial_fit(X)
    assert model.evaluate(X)["layers"][0]["l0"] == 0


def test_results_of_no_use_are_told(X):
    # (Half of the seeds leave units alive.)
    model = SparseAutoencoder(
        (6, 40, 6), steps=300, beta=0.0, activation="relu", learning_rate=30.0, random_state=1
    )
    with pytest.warns(UserWarning, match="40 of the 40 units of layer 1 are dead"):
        model.fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SparseAutoencoder((6, 4, 6), steps=300, beta=0.0).fit(X)
