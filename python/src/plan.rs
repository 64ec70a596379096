//! The arguments of a training.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sae::{Autoencoder, Samples, Scaling, Settings, data::HeldOut};

use crate::data::Data;
use crate::failure;
use crate::network::Network;

/// The arguments of a training, except for the data. Python has checked their types.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Plan {
    /// Sizes of the hidden layers, with or without input and output.
    pub layers: Vec<usize>,
    /// The other settings: name and text.
    pub options: Vec<(String, String)>,
    /// Steps to do.
    pub steps: u64,
    /// Whether to do one pass over the data instead of `steps` steps.
    ///
    /// A previous training is then resumed; otherwise a new one begins with its network.
    pub one_pass: bool,
    /// Steps of greedy pretraining per layer; 0 for none.
    pub pretrain: u64,
    /// Steps between revivals of dead units; 0 for none.
    pub revive: u64,
    /// Evaluations without improvement after which the training ends; 0 for no early stopping.
    pub patience: u64,
    /// Steps between evaluations.
    pub evaluate_every: u64,
    /// Samples to hold out; `None` for a seventh.
    pub holdout: Option<Holdout>,
    /// Threads; `None` for the number of cores.
    pub threads: Option<usize>,
    /// Steps between reports.
    pub report_every: u64,
    /// Whether reports have figures that take an evaluation of some samples.
    pub measure: bool,
}

/// Samples that are held out at most without a choice, as in the command.
const MAX_HOLDOUT: usize = 100_000;

/// The number or share of samples to hold out.
#[derive(FromPyObject)]
pub enum Holdout {
    Count(usize),
    Share(f64),
}

impl Holdout {
    /// The number to hold out of `samples`; a seventh, as in the command, by default.
    fn count(chosen: Option<&Self>, samples: usize) -> PyResult<usize> {
        match chosen {
            None => Ok((samples / 7).min(MAX_HOLDOUT)),
            Some(&Holdout::Count(count)) => Ok(count),
            Some(&Holdout::Share(share)) if share > 0.0 && share < 1.0 => {
                Ok((share * samples as f64).ceil() as usize)
            }
            Some(Holdout::Share(share)) => {
                let problem = format!(
                    "holdout: expected a number of samples or a share between 0 and 1, got {share:?}"
                );
                Err(PyValueError::new_err(problem))
            }
        }
    }
}

/// The steps of a number of passes over the samples that are trained on.
///
/// Those are the ones that are not held out; `has_validation` says that others are given for that.
#[pyfunction]
pub fn steps_of_epochs(
    data: Data<'_>,
    has_validation: bool,
    plan: Plan,
    previous: Option<&Network>,
    epochs: f64,
) -> PyResult<u64> {
    let samples = data.pairs(scalings(previous))?;
    let held_out = match has_validation || plan.patience == 0 {
        true => 0,
        false => Holdout::count(plan.holdout.as_ref(), samples.len())?.min(samples.len() - 1),
    };
    let train = match held_out {
        0 => samples,
        held_out => samples.split(samples.len() - held_out).map_err(failure::of)?.0,
    };
    let batch = plan.settings(&train)?.batch.max(1);
    // The cast saturates.
    Ok((epochs * train.len() as f64 / batch as f64).ceil().max(1.0) as u64)
}

/// The scalings of the samples and targets of a network.
pub fn scalings(network: Option<&Network>) -> [Option<Scaling>; 2] {
    let net = network.map(|network| &network.net);
    [net.map(Autoencoder::scaling), net.and_then(Autoencoder::target_scaling)]
}

impl Plan {
    /// The samples to train on, and the held-out samples to evaluate on, if any.
    pub fn split(
        &self,
        py: Python<'_>,
        samples: &Samples,
        validation: Option<&Data<'_>>,
        threads: usize,
    ) -> PyResult<(Samples, Option<Samples>)> {
        let samples = samples.clone();
        let (train, validation) = match validation {
            Some(data) => {
                let of_targets = samples.targets().map(Samples::scaling);
                let validation = data.pairs([Some(samples.scaling()), of_targets])?;
                let (here, there) = (samples.features(), validation.features());
                if here != there {
                    let problem = format!("X_val: expected {here} features, as in X, got {there}");
                    return Err(PyValueError::new_err(problem));
                }
                data.check(py, "X_val", &validation, threads)?;
                (samples, validation)
            }
            None if self.patience == 0 => return Ok((samples, None)),
            None => match Holdout::count(self.holdout.as_ref(), samples.len())? {
                0 => (samples.clone(), samples),
                count => {
                    let held_out = HeldOut::Random { count, seed: self.seed() };
                    samples.hold_out(held_out).map_err(failure::of)?
                }
            },
        };
        let (every, steps) = (self.evaluate_every, self.steps);
        if every > steps {
            let problem = format!(
                "evaluate_every: expected 1 to {steps}, the steps of the training, got {every}"
            );
            return Err(PyValueError::new_err(problem));
        }
        Ok((train, Some(validation)))
    }

    /// The seed of the settings; what is no seed is refused later.
    fn seed(&self) -> u64 {
        let text = self.options.iter().find(|(name, _)| name == "seed").map(|(_, text)| text);
        let seed = text.and_then(|text| text.parse().ok());
        seed.unwrap_or_else(|| Settings::default().seed)
    }

    /// `patience` in the type of the library.
    pub fn patience(&self) -> u32 {
        u32::try_from(self.patience).unwrap_or(u32::MAX)
    }

    /// The settings, with the defaults of `sae train` for these samples.
    pub fn settings(&self, samples: &Samples) -> PyResult<Settings> {
        let (features, mut layers) = (samples.features(), self.layers.clone());
        let outputs = samples.targets().unwrap_or(samples).features();
        let has_ends = layers.len() > 2 && layers[0] == features && layers.ends_with(&[outputs]);
        if !has_ends {
            layers.insert(0, features);
            layers.push(outputs);
        }
        let sizes: Vec<_> = layers.iter().map(usize::to_string).collect();
        let mut options = self.options.clone();
        options.push(("layers".to_owned(), sizes.join(",")));
        Settings::with_options(None, &options, samples, self.steps).map_err(failure::of)
    }

    /// The settings to continue a training with whose settings were `before`.
    pub fn settings_after(&self, before: &Settings, samples: &Samples) -> PyResult<Settings> {
        let mut settings = self.settings(samples)?;
        // `"l0:3:1"` leaves the steps open: those of the training that began with it.
        let text = self.options.iter().find(|(name, _)| name == "target").map(|(_, text)| text);
        let has_steps = text.is_some_and(|text| text.matches(':').count() > 2);
        if let (Some(target), Some(before), false) =
            (&mut settings.target, before.target, has_steps)
        {
            target.steps = before.steps;
        }
        Ok(settings)
    }
}
