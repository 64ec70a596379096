//! Training, without the lock of the interpreter, that Ctrl-C ends.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sae::{Autoencoder, Optimizer, Samples, StepReport, Trainer, files::Checkpoint};

use crate::data::Data;
use crate::failure;
use crate::network::{Network, isa, pool};
use crate::plan::Plan;

/// Longest time from one look at signals to the next, but for one step.
const PATIENCE: Duration = Duration::from_millis(50);

/// A trainer that begins, or goes on from a network's training, or from its weights alone.
fn trainer(samples: &Samples, plan: &Plan, previous: Option<&Network>) -> PyResult<Trainer> {
    let (isa, pool) = (isa()?, pool(plan.threads)?);
    let builder =
        |settings| Trainer::builder(settings).isa(isa).pool(pool).patience(plan.patience());
    let Some(Network { net, training }) = previous else {
        let settings = plan.settings(samples)?;
        return builder(settings).build(samples).map_err(failure::of);
    };
    if samples.scaling() != net.scaling() {
        return Err(PyValueError::new_err(
            "the training began with uint8 and goes on with other numbers, or the other way round; \
             data of the same kind was expected",
        ));
    }
    match training {
        Some(bytes) => {
            let checkpoint = Checkpoint::from_bytes("training", bytes);
            let checkpoint = checkpoint.and_then(|checkpoint| checkpoint.with_samples(samples));
            let checkpoint = checkpoint.map_err(failure::of)?;
            builder(checkpoint.settings().clone()).resume(checkpoint).build(samples)
        }
        None => builder(net.settings().clone()).build(samples).map(|mut trainer| {
            *trainer.autoencoder_mut() = net.clone();
            trainer
        }),
    }
    .map_err(failure::of)
}

/// Each layer by itself. Returns what ended it early.
fn pretrain(
    trainer: &mut Trainer,
    samples: &Samples,
    steps: u64,
    report: &Bound<'_, PyAny>,
) -> PyResult<Option<PyErr>> {
    let (py, report) = (report.py(), report.clone().unbind());
    let stopped = Mutex::new(None);
    let note = |result: PyResult<()>| {
        let mut stopped = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        *stopped = stopped.take().or(result.err());
        if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut looked = Instant::now();
    let each = |_: &mut Trainer, _: StepReport| {
        if looked.elapsed() < PATIENCE {
            return note(Ok(()));
        }
        looked = Instant::now();
        note(Python::attach(|py| py.check_signals()))
    };
    let after = |layer: usize, shallow: &mut Trainer, inputs: &Samples| {
        let loss = shallow.evaluate(inputs)?.loss;
        let told = Python::attach(|py| report.call_method1(py, "pretrained", (layer + 1, loss)));
        // If it failed, the next layer's first step ends it.
        let _ = note(told.map(drop));
        Ok(())
    };
    let done = py.detach(|| trainer.pretrain(samples, steps, each, after));
    done.map_err(failure::of)?;
    Ok(stopped.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What Python is told of a step.
#[derive(Default)]
struct Told {
    /// The batch's objective, and the mean activations of the hidden layers.
    batch: Option<(f64, Vec<f64>)>,
    /// The objective on what was held out.
    validation: Option<f64>,
    /// Whether it was no better for too long.
    is_last: bool,
}

impl Told {
    /// Tells it. Whether to stop.
    fn tell(self, step: u64, report: &Bound<'_, PyAny>) -> PyResult<bool> {
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

/// What is done now and then between steps, in the order of `sae train`.
struct Watch<'a> {
    plan: &'a Plan,
    train: &'a Samples,
    validation: Option<&'a Samples>,
    end: u64,
}

impl Watch<'_> {
    fn after(&mut self, trainer: &mut Trainer, report: StepReport) -> sae::Result<Told> {
        let (step, plan) = (trainer.steps(), self.plan);
        let mut told = Told::default();
        if step.is_multiple_of(plan.report_every) || step == self.end {
            told.batch = Some((trainer.objective(report), trainer.mean_activations().collect()));
        }
        if plan.revive > 0 && step.is_multiple_of(plan.revive) && step < self.end {
            trainer.revive(self.train)?;
        }
        if let Some(validation) = self.validation
            && step.is_multiple_of(plan.evaluate_every)
        {
            let objective = trainer.evaluate(validation)?.objective;
            told.validation = Some(objective);
            told.is_last = trainer.observe(objective);
        }
        Ok(told)
    }
}

/// Trains; returns the network, the steps done, the step of the best network if that was kept, and
/// what ended the training early: an exception of `report` or of a signal's handler.
///
/// Of every `report_every` steps, and of the last, `report(step, objective, mean_activations)` is
/// told, and ends the training if it returns true; `report.validated(step, objective)` of what was
/// held out, or is `validation`; `report.pretrained(layer, loss)` of layers trained by themselves.
#[pyfunction]
pub fn train<'py>(
    py: Python<'py>,
    data: Data<'py>,
    validation: Option<Data<'py>>,
    plan: Plan,
    previous: Option<&Network>,
    report: Bound<'py, PyAny>,
) -> PyResult<(Network, u64, Option<u64>, Option<PyErr>)> {
    let samples = data.samples(previous.map(|network| network.net.scaling()))?;
    let (train, validation) = plan.parts(samples, validation)?;
    let mut trainer = trainer(&train, &plan, previous)?;
    let batch = trainer.autoencoder().settings().batch;
    let steps = if plan.one_pass { train.len().div_ceil(batch) as u64 } else { plan.steps };
    let mut stopped = None;
    if plan.pretrain > 0 && previous.is_none() {
        stopped = pretrain(&mut trainer, &train, plan.pretrain, &report)?;
    }
    let mut watch = Watch {
        train: &train,
        validation: validation.as_ref(),
        end: trainer.steps().saturating_add(steps),
        plan: &plan,
    };
    while trainer.steps() < watch.end && stopped.is_none() {
        let start = Instant::now();
        let mut told = Ok(Told::default());
        let left = watch.end - trainer.steps();
        py.detach(|| {
            trainer.run(left, |trainer, report| {
                told = watch.after(trainer, report);
                let is_quiet = matches!(&told, Ok(Told { batch: None, validation: None, .. }));
                if is_quiet && start.elapsed() < PATIENCE {
                    return ControlFlow::Continue(());
                }
                ControlFlow::Break(())
            })
        })
        .map_err(failure::of)?;
        match told.map_err(failure::of)?.tell(trainer.steps(), &report) {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => stopped = Some(error),
        }
        stopped = stopped.or(py.check_signals().err());
    }
    let done = trainer.steps();
    let best = trainer.restore_best().map(|(_, step)| step);
    Ok((network(trainer)?, done, best, stopped))
}

/// What is kept of a training.
fn network(mut trainer: Trainer) -> PyResult<Network> {
    let training = match trainer.autoencoder().settings().optimizer {
        Optimizer::Lbfgs { .. } => None,
        _ => Some(trainer.checkpoint().map_err(failure::of)?),
    };
    let net: Autoencoder = trainer.into_autoencoder();
    Ok(Network { net, training })
}
