//! Training, without the lock of the interpreter, that Ctrl-C ends.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sae::{
    Activation, Autoencoder, Checkpoint, Optimizer, Samples, Scaling, Settings, StepReport, Trainer,
};

use crate::data::Data;
use crate::failure;
use crate::network::{Network, isa, team};

/// Longest time from one look at signals to the next, but for one step.
const PATIENCE: Duration = Duration::from_millis(50);

/// All that decides what a training computes, as Python gives it.
struct Wanted {
    /// Hidden layers' sizes, with or without the ends.
    layers: Vec<usize>,
    /// Other settings, as the command's words.
    words: Vec<(String, String)>,
    steps: u64,
}

impl Wanted {
    /// The settings, by the rules of `sae train`.
    fn settings(&self, samples: &Samples) -> sae::Result<Settings> {
        let (features, mut layers) = (samples.features(), self.layers.clone());
        let has_ends = layers.len() > 2 && layers.first() == layers.last();
        if !has_ends || layers[0] != features {
            layers.insert(0, features);
            layers.push(features);
        }
        let mut settings = Settings::default();
        settings.layers = layers;
        // A sigmoid does not reach other features.
        settings.output_activation = match samples.scaling() {
            Scaling::Byte => Activation::Sigmoid,
            _ => Activation::Linear,
        };
        for (field, text) in &self.words {
            settings.set(field, text, self.steps)?;
        }
        let has_batch = self.words.iter().any(|(field, _)| field == "batch");
        if matches!(settings.optimizer, Optimizer::Lbfgs { .. }) && !has_batch {
            settings.batch = samples.len();
        }
        settings.validate()?;
        Ok(settings)
    }
}

/// A trainer that begins, or goes on from a network's training, or from its weights alone.
fn trainer(
    samples: &Samples,
    wanted: &Wanted,
    previous: Option<&Network>,
    threads: Option<usize>,
) -> PyResult<Trainer> {
    let builder = Trainer::builder().isa(isa()?).team(team(threads)?);
    let Some(Network { net, training }) = previous else {
        let settings = wanted.settings(samples).map_err(failure::of)?;
        return builder.settings(settings).build(samples).map_err(failure::of);
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
            builder.resume(checkpoint.map_err(failure::of)?).build(samples)
        }
        None => builder.settings(net.settings().clone()).build(samples).map(|mut trainer| {
            *trainer.autoencoder_mut() = net.clone();
            trainer
        }),
    }
    .map_err(failure::of)
}

/// What is told of a step: objective, mean activations of the hidden layers.
struct Told {
    objective: f64,
    mean_activations: Vec<f64>,
}

impl Told {
    fn of(trainer: &Trainer, report: StepReport) -> Self {
        let mean_activations = trainer.mean_activations().collect();
        Told { objective: trainer.objective(report), mean_activations }
    }
}

/// Trains; returns the network and what ended the training early: an exception of `report` or of
/// a signal's handler. `steps` are those from now, or, with `one_pass`, as many as it takes to see
/// all the data. Of every `every` steps, and of the last, `report(step, objective,
/// mean_activations)` is told, and ends the training if it returns true.
#[pyfunction]
#[pyo3(signature = (data, layers, words, steps, one_pass, previous, revive, threads, every, report))]
#[allow(clippy::too_many_arguments)]
pub fn train<'py>(
    py: Python<'py>,
    data: Data<'py>,
    layers: Vec<usize>,
    words: Vec<(String, String)>,
    steps: u64,
    one_pass: bool,
    previous: Option<&Network>,
    revive: u64,
    threads: Option<usize>,
    every: u64,
    report: Bound<'py, PyAny>,
) -> PyResult<(Network, u64, Option<PyErr>)> {
    let samples = data.samples(previous.map(|network| network.net.scaling()))?;
    let wanted = Wanted { layers, words, steps };
    let mut trainer = trainer(&samples, &wanted, previous, threads)?;
    let batch = trainer.autoencoder().settings().batch;
    let steps = if one_pass { samples.len().div_ceil(batch) as u64 } else { steps };
    let end = trainer.steps().saturating_add(steps);
    let mut stopped = None;
    while trainer.steps() < end && stopped.is_none() {
        let start = Instant::now();
        let mut told = None;
        let mut failed = None;
        let left = end - trainer.steps();
        let run = py.detach(|| {
            trainer.run(left, |trainer, report| {
                let step = trainer.steps();
                if step.is_multiple_of(every) || step == end {
                    told = Some(Told::of(trainer, report));
                }
                if revive > 0 && step.is_multiple_of(revive) && step < end {
                    failed = trainer.revive(&samples).err();
                }
                if told.is_some() || failed.is_some() || start.elapsed() > PATIENCE {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
        });
        run.and(failed.map_or(Ok(()), Err)).map_err(failure::of)?;
        if let Some(Told { objective, mean_activations }) = told {
            let answer = report.call1((trainer.steps(), objective, mean_activations));
            match answer.and_then(|answer| answer.is_truthy()) {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => stopped = Some(error),
            }
        }
        stopped = stopped.or(py.check_signals().err());
    }
    let done = trainer.steps();
    Ok((network(trainer)?, done, stopped))
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
