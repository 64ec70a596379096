//! Training, without holding the interpreter's lock, until Ctrl-C.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use sae::{
    Autoencoder, Optimizer, Samples, StepReport, Trainer,
    files::{Checkpoint, Course},
};

use crate::current::Current;
use crate::data::{Data, named};
use crate::engines::{isa, pool, threads};
use crate::failure;
use crate::figures::Figures;
use crate::network::{Network, check_targets};
use crate::plan::{Plan, scalings};

/// Maximum time between checks for signals, if a step takes no longer.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A new trainer, or one that starts with a network's weights, or resumes its training in a plan of one pass.
fn trainer(samples: &Samples, plan: &Plan, previous: Option<&Network>) -> PyResult<Trainer> {
    let refused = |error| of_samples(samples, error);
    let (isa, pool) = (isa()?, pool(plan.threads)?);
    let builder =
        |settings| Trainer::builder(settings).isa(isa).pool(pool).patience(plan.patience());
    let Some(Network { net, training }) = previous else {
        let settings = plan.settings(samples)?;
        return builder(settings).build(samples).map_err(refused);
    };
    check_targets(net, samples)?;
    let settings = plan.settings_after(net.settings(), samples)?;
    match training {
        _ if !plan.one_pass => builder(settings).network(net.clone()).build(samples),
        Some(bytes) => {
            let checkpoint = Checkpoint::from_bytes("training", bytes);
            let checkpoint = checkpoint.and_then(|checkpoint| checkpoint.with_samples(samples));
            let checkpoint =
                checkpoint.and_then(|checkpoint| checkpoint.with_settings(settings.clone()));
            builder(settings).resume(checkpoint.map_err(failure::of)?).build(samples)
        }
        None => {
            let net = net.clone().with_settings(settings.clone()).map_err(failure::of)?;
            builder(settings).build(samples).map(|mut trainer| {
                *trainer.autoencoder_mut() = net.with_variance_of(trainer.autoencoder());
                trainer
            })
        }
    }
    .map_err(refused)
}

/// The exception for an error that may be about a sample of `X`, which says so if it can be no other.
fn of_samples(samples: &Samples, error: sae::Error) -> PyErr {
    if samples.targets().is_some() { failure::of(error) } else { named("X", error) }
}

/// Pretrains each layer by itself. Returns the exception that ended it early, if any.
fn pretrain(
    trainer: &mut Trainer,
    samples: &Samples,
    steps: u64,
    report: &Bound<'_, PyAny>,
) -> PyResult<Option<PyErr>> {
    let (py, report) = (report.py(), report.clone().unbind());
    let stopped = Mutex::new(None);
    let unless_stopped = |result: PyResult<()>| {
        let mut stopped = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        *stopped = stopped.take().or(result.err());
        if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut checked = Instant::now();
    let each = |_: &mut Trainer, _: StepReport| {
        if checked.elapsed() < SIGNAL_INTERVAL {
            return unless_stopped(Ok(()));
        }
        checked = Instant::now();
        unless_stopped(Python::attach(|py| py.check_signals()))
    };
    let after = |layer: usize, shallow: &mut Trainer, inputs: &Samples| {
        let loss = shallow.evaluate(inputs)?.loss;
        let reported =
            Python::attach(|py| report.call_method1(py, "pretrained", (layer + 1, loss)));
        // After an exception the first step of the next layer ends the pretraining.
        let _ = unless_stopped(reported.map(drop));
        Ok(())
    };
    let done = py.detach(|| trainer.pretrain(samples, steps, each, after));
    done.map_err(failure::of)?;
    Ok(stopped.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What to report to Python after a step.
#[derive(Default)]
struct Event {
    /// The figures of the batch.
    batch: Option<Figures>,
    /// The objective on the held-out samples.
    validation: Option<f64>,
    /// Whether early stopping ends the training.
    is_last: bool,
}

impl Event {
    fn is_empty(&self) -> bool {
        self.batch.is_none() && self.validation.is_none()
    }

    /// Reports it; returns whether the training ends.
    fn send(
        self,
        step: u64,
        report: &Bound<'_, PyAny>,
        current: &Bound<'_, Current>,
    ) -> PyResult<bool> {
        let mut stop = self.is_last;
        if let Some(figures) = self.batch {
            stop |= report.call1((step, figures.named(report.py())?, current))?.is_truthy()?;
        }
        if let Some(objective) = self.validation {
            report.call_method1("validated", (step, objective))?;
        }
        Ok(stop)
    }
}

/// What is done between steps, in the order of `sae train`.
struct Monitor<'a> {
    plan: &'a Plan,
    train: &'a Samples,
    validation: Option<&'a Samples>,
    /// The samples on which a report measures how active the code is, if it does.
    measured: Option<Samples>,
    /// What the model's file says of the training; `None` if nothing repeats it.
    course: Option<Course>,
    end: u64,
}

impl Monitor<'_> {
    /// The same at a step, at which the training may have been interrupted.
    fn course_at(&self, step: u64) -> Option<Course> {
        let mut course = self.course.clone()?;
        course.interrupted = (step < self.end).then_some(step);
        Some(course)
    }

    fn after(&mut self, trainer: &mut Trainer, report: StepReport) -> sae::Result<Event> {
        let (step, plan) = (trainer.steps(), self.plan);
        let mut event = Event::default();
        if step.is_multiple_of(plan.report_every) || step == self.end {
            event.batch = Some(Figures::new(trainer, report, self.measured.as_ref())?);
        }
        if plan.revive > 0 && step.is_multiple_of(plan.revive) && step < self.end {
            trainer.revive(self.train)?;
        }
        if let Some(validation) = self.validation
            && step.is_multiple_of(plan.evaluate_every)
        {
            let objective = trainer.evaluate(validation)?.objective;
            event.validation = Some(objective);
            event.is_last = trainer.observe(objective);
        }
        Ok(event)
    }
}

/// Samples that arrive in batches of any lengths, from an iterator.
struct Feed<'py> {
    /// Of pairs: the number of the first sample, and an array.
    batches: Bound<'py, PyIterator>,
    current: Option<Batch<'py>>,
    /// The next batch of the training, and how many of its numbers are there.
    next: Vec<f32>,
    filled: usize,
    last: Option<StepReport>,
}

/// A batch of the iterator.
struct Batch<'py> {
    /// What `samples` borrow.
    _data: Data<'py>,
    samples: Samples,
    /// Samples that were taken.
    taken: usize,
}

/// How a part of a training has ended.
enum Outcome {
    /// There is something to report, or it is time to look for signals.
    Event(Event),
    /// There are no more samples; this is left to report.
    Exhausted(Event),
    /// No samples could be had.
    Failed(PyErr),
}

/// Trains on the trainer's own samples until there is something to report, or it is time to look for
/// signals.
fn run(py: Python<'_>, trainer: &mut Trainer, monitor: &mut Monitor<'_>) -> PyResult<Outcome> {
    let samples = monitor.train;
    let start = Instant::now();
    let mut event = Ok(Event::default());
    let left = monitor.end - trainer.steps();
    py.detach(|| {
        trainer.run(left, |trainer, report| {
            event = monitor.after(trainer, report);
            let is_empty = event.as_ref().is_ok_and(Event::is_empty);
            if is_empty && start.elapsed() < SIGNAL_INTERVAL {
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(())
        })
    })
    .map_err(|error| of_samples(samples, error))?;
    event.map(Outcome::Event).map_err(failure::of)
}

impl<'py> Feed<'py> {
    fn new(batches: Bound<'py, PyIterator>, batch: usize, features: usize) -> Self {
        Feed { batches, current: None, next: vec![0.0; batch * features], filled: 0, last: None }
    }

    /// Trains as [`run`] does, on samples of the iterator.
    fn run(
        &mut self,
        py: Python<'_>,
        trainer: &mut Trainer,
        monitor: &mut Monitor<'_>,
    ) -> PyResult<Outcome> {
        let start = Instant::now();
        while start.elapsed() < SIGNAL_INTERVAL {
            if self.current.is_none() {
                self.current = match self.receive(trainer) {
                    Ok(Some(batch)) => Some(batch),
                    Ok(None) => return self.end(trainer, monitor).map(Outcome::Exhausted),
                    Err(error) => return Ok(Outcome::Failed(error)),
                };
            }
            let Feed { current: Some(current), next, filled, last, .. } = self else { continue };
            let Batch { samples, taken, .. } = current;
            // `Err` within `Ok` is an error of the samples.
            let stepped: sae::Result<sae::Result<Option<Event>>> = py.detach(|| {
                while *taken < samples.len() {
                    let row = &mut next[*filled..][..samples.features()];
                    if let Err(error) = samples.gather(*taken, row) {
                        return Ok(Err(error));
                    }
                    *taken += 1;
                    *filled += row.len();
                    if *filled < next.len() {
                        continue;
                    }
                    *filled = 0;
                    let report = trainer.step_on(&*next)?;
                    *last = Some(report);
                    let event = monitor.after(trainer, report)?;
                    let is_end = trainer.steps() >= monitor.end;
                    if is_end || !event.is_empty() || start.elapsed() >= SIGNAL_INTERVAL {
                        return Ok(Ok(Some(event)));
                    }
                }
                Ok(Ok(None))
            });
            match stepped.map_err(failure::of)? {
                Ok(Some(event)) => return Ok(Outcome::Event(event)),
                Ok(None) => self.current = None,
                Err(error) => return Ok(Outcome::Failed(named("X", error))),
            }
        }
        Ok(Outcome::Event(Event::default()))
    }

    /// The iterator's next batch.
    fn receive(&mut self, trainer: &Trainer) -> PyResult<Option<Batch<'py>>> {
        let Some(next) = self.batches.next().transpose()? else { return Ok(None) };
        let (start, mut data): (usize, Data<'py>) = next.extract()?;
        data.number_from(start);
        let samples = data.samples(Some(trainer.autoencoder().scaling()))?;
        Ok(Some(Batch { _data: data, samples, taken: 0 }))
    }

    /// What there is to report when the iterator has ended: its last step.
    fn end(&self, trainer: &mut Trainer, monitor: &Monitor<'_>) -> PyResult<Event> {
        let Some(report) = self.last else {
            let settings = trainer.autoencoder().settings();
            let (batch, samples) = (settings.batch, self.filled / settings.layers[0]);
            return Err(PyValueError::new_err(format!(
                "X: the batches have {samples} samples in all, too few for a step of batch={batch}; \
                 use a smaller batch"
            )));
        };
        Ok(match trainer.steps().is_multiple_of(monitor.plan.report_every) {
            true => Event::default(),
            false => {
                let figures = Figures::new(trainer, report, monitor.measured.as_ref());
                Event { batch: Some(figures.map_err(failure::of)?), ..Event::default() }
            }
        })
    }
}

/// What `train` returns: the network, the steps done, the step of the best network if early stopping
/// restored one, sentences about what makes the result useless, and the exception that ended the
/// training early: from `report` or a signal handler.
type Trained = (Network, u64, Option<u64>, Vec<String>, Option<PyErr>);

/// Samples of the training data that a new network is evaluated on for its warnings.
const LOOKED_AT: usize = 10_000;
/// Samples on which a report measures how active the code is: some 2 steps of the default batch.
const MEASURED: usize = 256;

/// The training data, an iterator of batches, and held-out samples.
type Inputs<'py> = (Data<'py>, Option<Bound<'py, PyIterator>>, Option<Data<'py>>);

/// Trains.
///
/// Every `report_every` steps, and after the last, it calls `report(step, figures, current)`, and ends if that returns
/// true. It calls `report.validated(step, objective)`
/// after each evaluation on held-out samples (those given, or those that the plan holds out), and
/// `report.pretrained(layer, loss)` after the pretraining of each layer.
///
/// With an iterator of batches, the steps are on the samples that it gives, pairs of the number of the
/// first of them and an array, until it ends; the training data then only are the samples that it begins with.
#[pyfunction]
pub fn train<'py>(
    py: Python<'py>,
    inputs: Inputs<'py>,
    plan: Plan,
    previous: Option<&Network>,
    report: Bound<'py, PyAny>,
) -> PyResult<Trained> {
    let (data, batches, validation) = inputs;
    let samples = data.pairs(scalings(previous))?;
    let checks = threads(plan.threads)?;
    data.check(py, "X", &samples, checks)?;
    let is_given = validation.is_some();
    let (train, validation) = plan.split(py, &samples, validation.as_ref(), checks)?;
    let mut trainer = trainer(&train, &plan, previous)?;
    if batches.is_some() {
        trainer.autoencoder_mut().forget_training_data();
    }
    let batch = trainer.autoencoder().settings().batch;
    let steps = match (plan.one_pass, &batches) {
        (false, _) => plan.steps,
        (true, None) => train.len().div_ceil(batch) as u64,
        (true, Some(_)) => u64::MAX,
    };
    let is_repeatable = batches.is_none() && (previous.is_none() || !plan.one_pass);
    let test = validation.as_ref().filter(|_| is_given);
    let course = is_repeatable.then(|| course(&plan, steps, previous, test));
    let course = course.transpose().map_err(failure::of)?;
    let mut stopped = None;
    if plan.pretrain > 0 && previous.is_none() {
        stopped = pretrain(&mut trainer, &train, plan.pretrain, &report)?;
    }
    let mut monitor = Monitor {
        train: &train,
        validation: validation.as_ref(),
        measured: measured(&plan, &train).map_err(failure::of)?,
        end: trainer.steps().saturating_add(steps),
        course,
        plan: &plan,
    };
    let feed = batches.map(|batches| Feed::new(batches, batch, train.features()));
    if stopped.is_none() {
        (trainer, stopped) = run_all(trainer, &mut monitor, feed, &report)?;
    }
    let done = trainer.steps();
    // After early stopping it has taken all steps that it takes.
    let course = if trainer.is_over() { monitor.course.take() } else { monitor.course_at(done) };
    let best = trainer.restore_best().map(|(_, step)| step);
    let warnings = if stopped.is_none() && !plan.one_pass {
        py.detach(|| warnings(&mut trainer, &train)).map_err(failure::of)?
    } else {
        Vec::new()
    };
    Ok((network(trainer, course)?, done, best, warnings, stopped))
}

/// Does all steps, and reports; returns the trainer, and the exception that ended the training early, if any.
fn run_all<'py>(
    mut trainer: Trainer,
    monitor: &mut Monitor<'_>,
    mut feed: Option<Feed<'py>>,
    report: &Bound<'py, PyAny>,
) -> PyResult<(Trainer, Option<PyErr>)> {
    let py = report.py();
    while trainer.steps() < monitor.end {
        let outcome = match &mut feed {
            Some(feed) => feed.run(py, &mut trainer, monitor)?,
            None => run(py, &mut trainer, monitor)?,
        };
        let (event, is_last) = match outcome {
            Outcome::Event(event) => (event, false),
            Outcome::Exhausted(event) => (event, true),
            Outcome::Failed(error) => return Ok((trainer, Some(error))),
        };
        let step = trainer.steps();
        let course = monitor.course_at(step);
        let lent = (trainer, course);
        let (own, sent) = Current::lend(py, lent, |current| event.send(step, report, current))?;
        trainer = own;
        let failed = match sent {
            Ok(ends) if ends || is_last => break,
            sent => sent.err(),
        };
        let stopped = failed.or(py.check_signals().err());
        if stopped.is_some() {
            return Ok((trainer, stopped));
        }
    }
    Ok((trainer, None))
}

/// What the model's file says of a training of its own data from its first step, which the command can repeat.
fn course(
    plan: &Plan,
    steps: u64,
    previous: Option<&Network>,
    test: Option<&Samples>,
) -> sae::Result<Course> {
    let mut course = Course::new(steps);
    let unless_0 = |number: u64| Some(number).filter(|&number| number > 0);
    course.pretrain = unless_0(plan.pretrain).filter(|_| previous.is_none());
    course.revive = unless_0(plan.revive);
    course.patience = unless_0(plan.patience);
    course.evaluate_every = course.patience.map(|_| plan.evaluate_every);
    if let Some(previous) = previous {
        course = course.begun_with(&previous.net);
    }
    match test.filter(|_| course.patience.is_some()) {
        Some(test) => course.ended_by(test),
        None => Ok(course),
    }
}

/// The samples on which reports measure how active the code is, the first ones; `None` if they do not.
fn measured(plan: &Plan, samples: &Samples) -> sae::Result<Option<Samples>> {
    Ok(match (plan.measure, samples.len() > MEASURED) {
        (false, _) => None,
        (true, true) => Some(samples.split(MEASURED)?.0),
        (true, false) => Some(samples.clone()),
    })
}

/// What makes the network useless on the first samples.
fn warnings(trainer: &mut Trainer, samples: &Samples) -> sae::Result<Vec<String>> {
    let first = match samples.len() > LOOKED_AT {
        true => samples.split(LOOKED_AT)?.0,
        false => samples.clone(),
    };
    let evaluation = trainer.evaluate(&first)?;
    let sentences = evaluation.warnings(trainer.autoencoder().settings());
    Ok(sentences.iter().map(|sentence| failure::in_python(sentence)).collect())
}

/// The network of a trainer, with a checkpoint of the training, and what its file says of that.
fn network(mut trainer: Trainer, course: Option<Course>) -> PyResult<Network> {
    let training = match trainer.autoencoder().settings().optimizer {
        Optimizer::Lbfgs { .. } => None,
        _ => Some(trainer.checkpoint().map_err(failure::of)?),
    };
    let mut net: Autoencoder = trainer.into_autoencoder();
    match course {
        Some(course) => course.keep_in(&mut net),
        None => Course::remove_from(&mut net),
    }
    Ok(Network { net, training })
}
