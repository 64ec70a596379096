"""Reports of a training: callbacks and the progress bar."""

import copy
import dataclasses
import json
import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone

import sae
from bits import same
from sae import SparseAutoencoder, TrainingReport, _sae

RELU = {"activation": "relu", "initialization": "he", "beta": 0.0}


def model(**params):
    return SparseAutoencoder(**{"layers": (8,), "steps": 30, "random_state": 1, **params})


def reports_of(estimator, X, **others):
    seen = []
    estimator.set_params(callback=seen.append).fit(X, **others)
    return estimator, seen


def test_a_report_has_the_figures_of_its_step(small):
    penalties = {"beta": 0.01, "rho": 0.1, "l1": 0.001, "penalties": None, "lambda_": 1e-4}
    schedule = {"learning_rate": 0.01, "warm_up": 20}
    trained, seen = reports_of(model(report_every=10, batch=60, **penalties, **schedule), small)
    assert [report.step for report in seen] == [10, 20, 30]
    assert all(isinstance(report, TrainingReport) and report.steps == 30 for report in seen)
    assert [report.learning_rate for report in seen] == pytest.approx([0.005, 0.01, 0.01])
    assert np.array_equal(trained.history_["objective"], [report.objective for report in seen])
    # The batch of all samples before step 10 is the evaluation after step 9.
    before = model(steps=9, batch=60, **penalties, **schedule).fit(small).evaluate(small)
    first = seen[0]
    for name in ["objective", "loss", "sparsity", "l1", "penalty"]:
        assert getattr(first, name) == pytest.approx(before[name], rel=1e-4), name
    assert first.mean_activations[0] == pytest.approx(before["layers"][0]["mean_activations"].mean(), rel=1e-4)
    # L0 and dead units are those of the network after the step.
    after = model(steps=10, batch=60, **penalties, **schedule).fit(small).evaluate(small)["layers"][0]
    assert (first.l0, first.dead_units) == (after["l0"], len(after["dead_units"]))
    assert first.validation_objective is None and first.prefix_loss == first.auxiliary == 0


def test_l0_and_dead_units_of_a_sparse_code(small):
    sparse = model(code="top-k:2", dead_after=60, layers=(40,), learning_rate=0.3, **RELU)
    trained, seen = reports_of(sparse.set_params(batch=60, report_every=1), small)
    assert all(report.l0 <= 2 for report in seen) and seen[-1].l0 > 0
    dead = (np.asarray(trained.transform(small)) == 0).all(axis=0).sum()
    assert 0 < seen[-1].dead_units <= 40 and abs(seen[-1].dead_units - dead) < 10
    assert seen[-1].dead_units != seen[0].dead_units


def test_dead_units_are_counted_by_the_training_or_measured(small):
    # In a training that is shorter than `dead_after`, no unit of a sparse code is dead.
    sparse = model(code="top-k:2", dead_after=10**6, layers=(40,), learning_rate=0.3, **RELU)
    trained, seen = reports_of(sparse, small)
    assert trained.evaluate(small)["layers"][0]["dead_units"] and seen[-1].dead_units == 0
    trained, seen = reports_of(model(layers=(40,), learning_rate=0.3, **RELU), small)
    assert 0 < seen[-1].dead_units == len(trained.evaluate(small)["layers"][0]["dead_units"])
    # Of a deeper network they are those of the code.
    trained, seen = reports_of(model(layers=(9, 4, 30), learning_rate=0.1, **RELU), small)
    code = trained.evaluate(small)["layers"][1]
    assert (seen[-1].l0, seen[-1].dead_units) == (code["l0"], len(code["dead_units"]))


def test_held_out_samples_are_in_reports(small):
    trained, seen = reports_of(model(evaluate_every=10, report_every=5), small, X_val=small[:20])
    found = [report.validation_objective for report in seen]
    # A report comes before the evaluation of its step.
    held_out = list(trained.history_["validation_objective"])
    assert found == [None, None, held_out[0], held_out[0], held_out[1], held_out[1]]


def test_reports_do_not_change_the_bits(digits):
    X = digits[0]
    for params in [{}, {**RELU, "code": "top-k:3"}, {**RELU, "code": "batch-top-k:3", "corruption": "masking:0.2"}]:
        plain = model(**params).fit(X)
        for others in [{"callback": lambda report: None, "report_every": 1}, {"verbose": "lines"}]:
            assert same(model(**params, **others).fit(X), plain)


def test_what_takes_time_is_done_only_for_reports_that_show_it(small, monkeypatch):
    measured = []
    train = _sae.train

    def spy(inputs, plan, *others):
        measured.append(plan["measure"])
        return train(inputs, plan, *others)

    monkeypatch.setattr(_sae, "train", spy)
    for params in [{}, {"callback": lambda step, objective, means: None}, {"callback": lambda *_: None}]:
        model(**params).fit(small)
    for params in [{"callback": lambda report: None}, {"verbose": 1}]:
        model(**params).fit(small)
    assert measured == [False, False, False, True, True]


@pytest.mark.parametrize("every", [1, 7, 30, 1000])
def test_reports_come_every_so_many_steps_and_at_the_end(small, every):
    trained, seen = reports_of(model(report_every=every), small)
    expected = sorted({*range(every, 31, every), 30})
    assert [report.step for report in seen] == list(trained.history_["step"]) == expected
    trained.set_params(batch=20).partial_fit(small)
    assert seen[-1].step == 33 and seen[-1].steps is None
    seen.clear()
    batches = model(report_every=every, callback=seen.append, batch=10).fit(iter([small, small]))
    assert batches.n_iter_ == 12
    assert [report.step for report in seen] == sorted({*range(every, 13, every), 12})


def test_a_callback_ends_the_training(small):
    def by_result(report):
        return report.step >= 12

    def by_exception(report):
        if report.step >= 12:
            raise StopIteration

    expected = model(steps=12).fit(small)
    def nothing(report):
        pass

    for callback in [by_result, by_exception, [nothing, by_result], (by_exception, nothing)]:
        stopped = model(steps=10**6, report_every=4, callback=callback).fit(small)
        assert stopped.n_iter_ == 12 and same(stopped, expected)


def test_an_exception_of_a_callback_is_raised_as_it_is(small):
    problem = KeyError("mine")

    def fail(report):
        if report.step == 8:
            raise problem

    failed = model(steps=10**6, report_every=4, callback=fail)
    with pytest.raises(KeyError) as raised:
        failed.fit(small)
    assert raised.value is problem
    assert failed.n_iter_ == 8 and same(failed, model(steps=8).fit(small))
    assert list(failed.history_["step"]) == [4, 8]
    assert failed.transform(small).shape == (60, 8)
    assert failed.set_params(callback=None).partial_fit(small).n_iter_ > 8


class Collect:
    """A callback with a state."""

    def __init__(self):
        self.steps = []

    def __call__(self, report):
        self.steps.append(report.step)


def of_module(report):
    return report.step >= 6


@pytest.mark.parametrize("source", ["array", "batches", "file"])
def test_a_report_has_the_model(small, source, tmp_path):
    np.save(tmp_path / "x.npy", small)
    make = {"array": lambda: small, "batches": lambda: iter([small] * 40), "file": lambda: tmp_path / "x.npy"}[source]
    models, reports = [], []

    def keep(report):
        models.append(report.model)
        reports.append(report)
        report.model.save(tmp_path / "best.safetensors")

    estimator = model(callback=[keep], report_every=10, batch=20).fit(make())
    assert [one.n_iter_ for one in models] == [10, 20, 30]
    assert same(models[-1], estimator) and not same(models[0], models[1])
    assert same(SparseAutoencoder.load(tmp_path / "best.safetensors"), estimator)
    shorter = model(batch=20, steps=10).fit(make())
    assert np.array_equal(models[0].transform(small), shorter.transform(small))
    assert models[0].n_features_in_ == 6 and models[0].score(small) == shorter.score(small)
    # Afterwards there is none, nor in a copy.
    for report in [reports[0], pickle.loads(pickle.dumps(reports[0]))]:
        with pytest.raises(RuntimeError, match="^model: a report has the model only while"):
            report.model  # noqa: B018


def test_a_callback_that_fails_with_the_model_in_hand_loses_nothing(small):
    def fail(report):
        report.model.partial_fit(small)
        raise KeyError("x")

    estimator = model(callback=fail, report_every=10)
    with pytest.raises(KeyError):
        estimator.fit(small)
    assert same(estimator, model(steps=10).fit(small))
    assert same(estimator.set_params(callback=None).partial_fit(small), model(steps=11).fit(small))


def test_callbacks_are_parameters(small):
    collect, defaults = Collect(), []
    model(callback=[collect, lambda report, to=defaults: to.append(report.step)], report_every=15).fit(small)
    assert collect.steps == defaults == [15, 30]
    estimator = model(callback=of_module, report_every=3)
    assert clone(estimator).get_params()["callback"] is of_module
    copies = [clone(estimator), pickle.loads(pickle.dumps(estimator))]
    for again in [*copies, pickle.loads(pickle.dumps(estimator.fit(small)))]:
        assert again.fit(small).n_iter_ == 6
    report = TrainingReport(1, 2, *[0.5] * 8, [0.5], 1.0, 0, None)
    assert pickle.loads(pickle.dumps(report)) == report
    with pytest.raises(AttributeError):
        report.step = 2


def test_reports_are_logged_as_dicts(small):
    logged, copies = [], []

    def log(report):
        logged.append(dataclasses.asdict(report))
        copies.extend([copy.copy(report), copy.deepcopy(report), pickle.loads(pickle.dumps(report))])
        assert all(one == report for one in copies[-3:]) and "_model" not in repr(report)
        assert dataclasses.replace(report, step=report.step) == report
        json.dumps(logged[-1])
        assert report.model.n_iter_ == report.step

    trained = model(callback=log, report_every=10).fit(small)
    assert [one["step"] for one in logged] == [10, 20, 30]
    assert [one["objective"] for one in logged] == list(trained.history_["objective"])
    assert set(logged[0]) == {field.name for field in dataclasses.fields(TrainingReport)}
    assert "model" not in logged[0] and "_model" not in logged[0]
    for one in copies:
        with pytest.raises(RuntimeError, match="^model: a report has the model only while"):
            one.model  # noqa: B018


@pytest.mark.parametrize(
    ("params", "error", "sentence"),
    [
        ({"callback": [3]}, TypeError, "callback: expected a function, or a list of them, got 3"),
        ({"report_every": 0}, ValueError, "report_every: expected at least 1, got 0"),
        ({"report_every": 1.5}, TypeError, "report_every: expected a whole number, got 1.5"),
        ({"verbose": "bar"}, ValueError, "verbose: expected a number, 'tqdm' or 'lines', got 'bar'"),
    ],
)
def test_wrong_parameters(small, params, error, sentence):
    with pytest.raises(error, match=f"^{sentence}"):
        model(**params).fit(small)


def test_the_bar_shows_loss_l0_and_dead_units(small, capsys):
    model(verbose="tqdm").fit(small)
    shown = capsys.readouterr()
    assert "30/30" in shown.err and not shown.out
    for name in ["loss 0.", "L0 ", "dead 0"]:
        assert name in shown.err
    model(verbose="lines").fit(small)
    shown = capsys.readouterr()
    assert not shown.err and len(shown.out.splitlines()) == 30
    assert " loss 0." in shown.out and " dead 0 " in shown.out


def test_a_bar_without_tqdm(small, capsys, monkeypatch):
    fitted = model().fit(small)
    before = fitted.n_iter_
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="^verbose: the progress bar needs tqdm, which is not installed; install it"):
        fitted.set_params(verbose="tqdm").fit(small)
    # It is found out before a batch is taken.
    batches = iter([small, small])
    with pytest.raises(ImportError):
        model(verbose="tqdm").fit(batches)
    assert len(list(batches)) == 2
    # The model is as it was.
    assert fitted.n_iter_ == before and same(fitted, model().fit(small))
    fitted.set_params(verbose=True).fit(small)
    assert len(capsys.readouterr().out.splitlines()) == 30


def test_tqdm_is_imported_only_for_bars(tmp_path):
    import subprocess

    program = (
        "import sys, numpy, sae; sae.SparseAutoencoder((3,), steps=3, verbose='lines')"
        ".fit(numpy.random.rand(9, 4)); print('tqdm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "False", done.stderr
    assert sae.TrainingReport is TrainingReport
