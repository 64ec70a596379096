//! A training as plain data: all that it needs to continue to the same bits.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::Order;
use crate::data::fingerprint::Fingerprint;
use crate::data::samples::SamplesOf;
use crate::data::scaling::Scaling;
use crate::error::{Error, Result, counted};
use crate::settings::Settings;
use crate::training::early_stopping::{EarlyStopping, Record};
use crate::training::workspace::Context;
use crate::training::workspace::Control;

/// A training after some step.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Where it was read from, for errors.
    pub path: PathBuf,
    pub progress: Progress,
    /// Laid out as [`Autoencoder::parameters`](crate::Autoencoder::parameters).
    pub parameters: Vec<f32>,
    /// Laid out as the parameters.
    pub first_moment: Vec<f32>,
    /// Laid out as the parameters.
    pub second_moment: Vec<f32>,
    /// Of the layers that have them, one after the other.
    pub running_means: Vec<f32>,
    /// Of each unit of a sparse code the samples since it was active; empty in older snapshots.
    pub inactive: Vec<u32>,
    /// Parameters of the best network, if early stopping has one.
    pub best_parameters: Vec<f32>,
}

/// What a snapshot has besides parameters and numbers for each of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub settings: Settings,
    pub scaling: Scaling,
    /// Of targets of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_scaling: Option<Scaling>,
    pub data: Fingerprint,
    pub step: u64,
    pub epoch: u64,
    /// Samples of this epoch that were used.
    pub position: usize,
    pub penalty_factor: f64,
    /// Of the loss FVU: the variance of the training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<f64>,
    pub control: Control,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<Record>,
    /// The caller's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Snapshot {
    /// # Errors
    /// [`Error::Format`] if it is of other settings or other data.
    pub fn check(&self, settings: &Settings, samples: &SamplesOf<'_>) -> Result<()> {
        let wrong = |problem: String| Err(Error::format(&self.path, None, problem));
        let Progress { data, position, .. } = &self.progress;
        if let Some((field, here, asked)) = self.progress.settings.difference(settings) {
            return wrong(format!("checkpoint of a training with {field} {here}, not {asked}"));
        }
        let (count, features) = (samples.len(), samples.features());
        if (data.samples, data.features) != (count, features) {
            return wrong(format!(
                "checkpoint of a training on {} of {}; this data has {count} of {features}",
                counted(data.samples, "sample"),
                counted(data.features, "feature")
            ));
        }
        if self.progress.scaling != samples.scaling() {
            return wrong(format!(
                "checkpoint of a training on data with another scaling: {}, not {}",
                self.progress.scaling,
                samples.scaling()
            ));
        }
        let of_targets = |scaling: Option<&Scaling>| match scaling {
            Some(scaling) => format!("targets of the scaling {scaling}"),
            None => "no targets".to_owned(),
        };
        let (have, given) =
            (&self.progress.target_scaling, samples.targets().map(SamplesOf::scaling));
        if *have != given {
            let (have, given) = (of_targets(have.as_ref()), of_targets(given.as_ref()));
            return wrong(format!(
                "checkpoint of a training with {have}, and this data has {given}"
            ));
        }
        if *data != Fingerprint::of(samples)? {
            let what = if given.is_some() { "other samples or targets" } else { "other samples" };
            return wrong(format!("checkpoint of a training on {count} {what}"));
        }
        if *position > count {
            return wrong(format!("position {position} in an epoch of {count} samples"));
        }
        Ok(())
    }

    /// Gives its state to a new training of the same settings, and returns that of early stopping.
    pub fn restore(self, cx: &mut Context, order: &mut Order) -> Option<EarlyStopping> {
        let progress = self.progress;
        order.seek(progress.epoch, progress.position);
        let Context { net, state, .. } = cx;
        net.parameters = self.parameters;
        net.penalty_factor = progress.penalty_factor;
        // A loss that is FVU since the checkpoint has what these samples gave.
        net.variance = progress.variance.or(net.variance);
        (state.first, state.second) = (self.first_moment, self.second_moment);
        (state.step, state.control) = (progress.step, progress.control);
        state.note = progress.note;
        if !self.inactive.is_empty() {
            state.inactive = self.inactive;
        }
        let mut rest = &self.running_means[..];
        for means in &mut state.running_means {
            let (these, others) = rest.split_at(means.len());
            means.copy_from_slice(these);
            rest = others;
        }
        let parameters = self.best_parameters;
        progress.early_stopping.map(|record| EarlyStopping { record, parameters })
    }
}
