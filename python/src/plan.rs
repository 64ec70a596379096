//! What is asked of a training, as Python gives it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sae::{Error, Samples, Settings};

use crate::data::Data;
use crate::failure;

/// All but the data. Python has checked that these are numbers, and in their range.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Plan {
    /// Hidden layers' sizes, with or without the ends.
    pub layers: Vec<usize>,
    /// Other settings: field and text.
    pub options: Vec<(String, String)>,
    /// Those from now.
    pub steps: u64,
    /// As many as it takes to see all the data, instead.
    pub one_pass: bool,
    /// Steps in which each layer is trained by itself before.
    pub pretrain: u64,
    /// Steps from one revival of dead units to the next; 0 for none.
    pub revive: u64,
    /// Evaluations that may be no better than the best; 0 for any number.
    pub patience: u64,
    /// Steps from one of these to the next.
    pub evaluate_every: u64,
    pub holdout: Option<Holdout>,
    pub threads: Option<usize>,
    /// Steps from one report to the next, at most.
    pub report_every: u64,
}

/// How many samples, the last ones, are held out.
#[derive(FromPyObject)]
pub enum Holdout {
    Count(usize),
    Share(f64),
}

impl Holdout {
    /// Of so many; a seventh, as the command, where nothing is said.
    fn of(chosen: Option<&Self>, samples: usize) -> PyResult<usize> {
        match chosen {
            None => Ok(samples / 7),
            Some(&Holdout::Count(count)) => Ok(count),
            Some(&Holdout::Share(share)) if share > 0.0 && share < 1.0 => {
                Ok((share * samples as f64).ceil() as usize)
            }
            Some(Holdout::Share(share)) => {
                let problem = format!(
                    "holdout: {share:?}; a number of samples or a share between 0 and 1 was expected"
                );
                Err(PyValueError::new_err(problem))
            }
        }
    }
}

impl Plan {
    /// What is trained on, and what is evaluated on the way, if anything is.
    pub fn parts(
        &self,
        samples: Samples,
        validation: Option<Data<'_>>,
    ) -> PyResult<(Samples, Option<Samples>)> {
        let (train, validation) = match validation {
            Some(data) => {
                let validation = data.samples(Some(samples.scaling()))?;
                (samples, validation)
            }
            None if self.patience == 0 => return Ok((samples, None)),
            None => match Holdout::of(self.holdout.as_ref(), samples.len())? {
                0 => (samples.clone(), samples),
                held_out => {
                    let kept = samples.len().saturating_sub(held_out);
                    samples.split(kept).map_err(failure::of)?
                }
            },
        };
        let (here, there) = (train.features(), validation.features());
        if here != there {
            let problem = format!("X has {here} features a sample and X_val {there}");
            return Err(PyValueError::new_err(problem));
        }
        let (every, steps) = (self.evaluate_every, self.steps);
        if every == 0 || every > steps {
            let problem = format!(
                "evaluate_every: {every}; the training has {steps} steps, so 1 to {steps} was \
                 expected"
            );
            return Err(PyValueError::new_err(problem));
        }
        Ok((train, Some(validation)))
    }

    pub fn patience(&self) -> u32 {
        u32::try_from(self.patience).unwrap_or(u32::MAX)
    }

    /// The settings, by the rules of `sae train`.
    pub fn settings(&self, samples: &Samples) -> PyResult<Settings> {
        let (features, mut layers) = (samples.features(), self.layers.clone());
        let has_ends = layers.len() > 2 && layers.first() == layers.last();
        if !has_ends || layers[0] != features {
            layers.insert(0, features);
            layers.push(features);
        }
        let sizes: Vec<_> = layers.iter().map(usize::to_string).collect();
        let mut options = self.options.clone();
        options.push(("layers".to_owned(), sizes.join(",")));
        Settings::with_options(None, &options, samples, self.steps).map_err(|error| match error {
            // Parameters of other names.
            Error::Setting { field: "lambda", problem } => {
                PyValueError::new_err(format!("lambda_: {problem}"))
            }
            Error::Setting { field: "seed", problem } => {
                PyValueError::new_err(format!("random_state: {problem}"))
            }
            error => failure::of(error),
        })
    }
}
