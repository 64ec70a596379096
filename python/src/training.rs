//! Training, without holding the interpreter's lock, until Ctrl-C.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use sae::{Autoencoder, Optimizer, Samples, StepReport, Trainer, files::Checkpoint};

use crate::data::Data;
use crate::failure;
use crate::network::{Network, isa, pool};
use crate::plan::{Plan, of_parameter};

/// Maximum time between checks for signals, if a step takes no longer.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A new trainer, or one that resumes the training of a network, or starts with its weights.
fn trainer(samples: &Samples, plan: &Plan, previous: Option<&Network>) -> PyResult<Trainer> {
    let (isa, pool) = (isa()?, pool(plan.threads)?);
    let builder =
        |settings| Trainer::builder(settings).isa(isa).pool(pool).patience(plan.patience());
    let Some(Network { net, training }) = previous else {
        let settings = plan.settings(samples)?;
        return builder(settings).build(samples).map_err(of_parameter);
    };
    let settings = plan.settings_after(net.settings(), samples)?;
    match training {
        Some(bytes) => {
            let checkpoint = Checkpoint::from_bytes("training", bytes);
            let checkpoint = checkpoint.and_then(|checkpoint| checkpoint.with_samples(samples));
            let checkpoint =
                checkpoint.and_then(|checkpoint| checkpoint.with_settings(settings.clone()));
            builder(settings).resume(checkpoint.map_err(of_parameter)?).build(samples)
        }
        None => {
            let net = net.clone().with_settings(settings.clone()).map_err(of_parameter)?;
            builder(settings).build(samples).map(|mut trainer| {
                *trainer.autoencoder_mut() = net;
                trainer
            })
        }
    }
    .map_err(of_parameter)
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
    /// The objective of the batch, and the mean activations of the hidden layers.
    batch: Option<(f64, Vec<f64>)>,
    /// The objective on the held-out samples.
    validation: Option<f64>,
    /// Whether early stopping ends the training.
    is_last: bool,
}

impl Event {
    /// Reports it; returns whether the training ends.
    fn send(self, step: u64, report: &Bound<'_, PyAny>) -> PyResult<bool> {
        let mut stop = self.is_last;
        if let Some((objective, mean_activations)) = self.batch {
            stop |= report.call1((step, objective, mean_activations))?.is_truthy()?;
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
    end: u64,
}

impl Monitor<'_> {
    fn after(&mut self, trainer: &mut Trainer, report: StepReport) -> sae::Result<Event> {
        let (step, plan) = (trainer.steps(), self.plan);
        let mut event = Event::default();
        if step.is_multiple_of(plan.report_every) || step == self.end {
            event.batch = Some((trainer.objective(report), trainer.mean_activations().collect()));
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

/// What `train` returns: the network, the steps done, the step of the best network if early stopping
/// restored one, sentences about what makes the result useless, and the exception that ended the
/// training early: from `report` or a signal handler.
type Trained = (Network, u64, Option<u64>, Vec<String>, Option<PyErr>);

/// Samples of the training data that a new network is evaluated on for its warnings.
const LOOKED_AT: usize = 10_000;

/// Trains.
///
/// Every `report_every` steps, and after the last, it calls `report(step, objective,
/// mean_activations)`, and ends if that returns true. It calls `report.validated(step, objective)`
/// after each evaluation on held-out samples (`validation`, or those that the plan holds out), and
/// `report.pretrained(layer, loss)` after the pretraining of each layer.
#[pyfunction]
pub fn train<'py>(
    py: Python<'py>,
    data: Data<'py>,
    validation: Option<Data<'py>>,
    plan: Plan,
    previous: Option<&Network>,
    report: Bound<'py, PyAny>,
) -> PyResult<Trained> {
    let samples = data.samples(previous.map(|network| network.net.scaling()))?;
    let (train, validation) = plan.split(samples, validation)?;
    let mut trainer = trainer(&train, &plan, previous)?;
    let batch = trainer.autoencoder().settings().batch;
    let steps = if plan.one_pass { train.len().div_ceil(batch) as u64 } else { plan.steps };
    let mut stopped = None;
    if plan.pretrain > 0 && previous.is_none() {
        stopped = pretrain(&mut trainer, &train, plan.pretrain, &report)?;
    }
    let mut monitor = Monitor {
        train: &train,
        validation: validation.as_ref(),
        end: trainer.steps().saturating_add(steps),
        plan: &plan,
    };
    while trainer.steps() < monitor.end && stopped.is_none() {
        let start = Instant::now();
        let mut event = Ok(Event::default());
        let left = monitor.end - trainer.steps();
        py.detach(|| {
            trainer.run(left, |trainer, report| {
                event = monitor.after(trainer, report);
                let is_empty = matches!(&event, Ok(Event { batch: None, validation: None, .. }));
                if is_empty && start.elapsed() < SIGNAL_INTERVAL {
                    return ControlFlow::Continue(());
                }
                ControlFlow::Break(())
            })
        })
        .map_err(failure::of)?;
        match event.map_err(failure::of)?.send(trainer.steps(), &report) {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => stopped = Some(error),
        }
        stopped = stopped.or(py.check_signals().err());
    }
    let done = trainer.steps();
    let best = trainer.restore_best().map(|(_, step)| step);
    let warnings = if stopped.is_none() && !plan.one_pass {
        py.detach(|| warnings(&mut trainer, &train)).map_err(failure::of)?
    } else {
        Vec::new()
    };
    Ok((network(trainer)?, done, best, warnings, stopped))
}

/// What makes the network useless on the first samples.
fn warnings(trainer: &mut Trainer, samples: &Samples) -> sae::Result<Vec<String>> {
    let first = match samples.len() > LOOKED_AT {
        true => samples.split(LOOKED_AT)?.0,
        false => samples.clone(),
    };
    let evaluation = trainer.evaluate(&first)?;
    Ok(evaluation.warnings(trainer.autoencoder().settings()))
}

/// The network of a trainer, with a checkpoint of the training.
fn network(mut trainer: Trainer) -> PyResult<Network> {
    let training = match trainer.autoencoder().settings().optimizer {
        Optimizer::Lbfgs { .. } => None,
        _ => Some(trainer.checkpoint().map_err(failure::of)?),
    };
    let net: Autoencoder = trainer.into_autoencoder();
    Ok(Network { net, training })
}
