//! Checkpoints: a training as it stands, on disk, from where it continues to the same bits.
//!
//! A checkpoint is a safetensors file of these tensors: `parameters`, `first_moment` and
//! `second_moment` (`F32`, laid out as [`Autoencoder::parameters`](crate::Autoencoder::parameters)),
//! `running_means` (`F32`, of the layers whose KL penalty follows them, one after the other),
//! `inactive` (`U32`, of each unit of a sparse code the samples since it was last active, at most 2e9),
//! `best_parameters` (`F32`, those of the best network so far, where there is early stopping), those of a
//! scaling for each feature, and of that of targets (`F64`, as in a model file),
//! `state` (`U8`: JSON, padded with spaces) and `checksum` (`U32`: CRC-32 of all the file's other
//! bytes). The order of the samples needs no more than the settings' seed, the epoch and the
//! position in it.
//!
//! Version 3 has early stopping, and the settings' JSON of model files of version 3. Version 2 is
//! read, too.

mod image;
mod writer;

use std::path::{Path, PathBuf};

use sae_kernels::Loss;
use safetensors::tensor::Dtype;
use serde::Deserialize;

use crate::data::fingerprint::Fingerprint;
use crate::data::samples::Samples;
use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::files::model::{check_variance, from_logarithms, target_scaling_of};
use crate::files::tensors::{Header, not_finite, read_file};
use crate::network::ends::check_targets;
use crate::network::layers::{end, layout};
use crate::settings::{Code, Optimizer, Settings, json};
use crate::training::builder::TrainerBuilder;
use crate::training::dead_units::MAX_INACTIVE;
use crate::training::snapshot::{Progress, Snapshot};
use crate::training::workspace::State;
use image::checksum_of;
pub use writer::Checkpoints;

/// Since version 4 the weights of a sparse code's layer are stored unit by unit.
const VERSION: u64 = 4;

/// The tensors of numbers that every checkpoint has.
const NUMBERS: [&str; 4] = ["parameters", "first_moment", "second_moment", "running_means"];
const BEST: &str = "best_parameters";
const INACTIVE: &str = "inactive";

/// A checkpoint that was read.
#[derive(Clone, Debug)]
pub struct Checkpoint(Snapshot);

/// What the state of every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] if it is not a checkpoint, is of another
    /// version, or is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(path, &read_file(path, "a checkpoint")?)
    }

    /// Reads the bytes of a checkpoint; `path` is for errors.
    ///
    /// # Errors
    /// [`Error::Format`], as for [`Checkpoint::load`].
    #[doc(hidden)]
    pub fn from_bytes(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let path = path.as_ref();
        let wrong = |problem: String| Error::format(path, None, problem);
        let damaged = |problem| wrong(format!("not a whole safetensors file: {problem}"));
        let header = Header::read(bytes).map_err(damaged)?;
        let range = |name: &str| {
            let missing = || wrong(format!("not a checkpoint: it has no '{name}'"));
            header.range(name).ok_or_else(missing)
        };
        let checksum = header.numbers(bytes, "checksum", Dtype::U32, &[1]).map_err(wrong)?;
        if u32::from_le_bytes(checksum[0]) != checksum_of(bytes, range("checksum")?) {
            return Err(wrong("damaged: its checksum is not that of its bytes".to_owned()));
        }
        let bad = |problem: String| wrong(format!("state: {problem}"));
        let json = &bytes[range("state")?];
        // Before all else: another version may have other fields.
        let Versioned { version } = json::parse(json).map_err(bad)?;
        if !(2..=VERSION).contains(&version) {
            return Err(wrong(format!(
                "checkpoint of version {version}; this program knows versions 2 to {VERSION}"
            )));
        }
        let mut progress: Progress = json::parse(json).map_err(bad)?;
        check(&progress).map_err(bad)?;
        let features = progress.settings.layers[0];
        let scaling = header.scaling(bytes, ("", &progress.scaling), features).map_err(wrong)?;
        let of_targets = progress.target_scaling.take();
        let of_targets = target_scaling_of(&header, bytes, of_targets, &progress.settings);
        progress.target_scaling = of_targets.map_err(wrong)?;
        progress.scaling = if version < 3 { scaling.rounded() } else { scaling };
        progress.scaling.check_finite().map_err(bad)?;
        let settings = &progress.settings;
        let count = end(&layout(settings)) + settings.gate_parameters();
        let numbers = |name: &str, count: usize| {
            let numbers = header.numbers(bytes, name, Dtype::F32, &[count]).map_err(wrong)?;
            let numbers: Vec<f32> =
                numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            match not_finite(&numbers) {
                None => Ok(numbers),
                Some((_, number)) => Err(wrong(format!(
                    "'{name}' has the number {number}; finite ones were expected"
                ))),
            }
        };
        let [parameters, first_moment, second_moment, running_means] = NUMBERS;
        // Older ones have the logarithms of a JumpReLU's thresholds, and no scale.
        let jumps = matches!(settings.code, Code::JumpRelu { .. });
        let has_logarithms =
            jumps && header.numbers::<4>(bytes, parameters, Dtype::F32, &[count - 1]).is_ok();
        let count = count - usize::from(has_logarithms);
        let inactive = header.numbers(bytes, INACTIVE, Dtype::U32, &[settings.code_units()]);
        let inactive = match header.range(INACTIVE) {
            // Older ones have none.
            None => Vec::new(),
            Some(_) => {
                inactive.map_err(wrong)?.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()
            }
        };
        if let Some(most) = inactive.iter().copied().find(|&samples| samples > MAX_INACTIVE) {
            return Err(wrong(format!(
                "'{INACTIVE}' has the number {most}; at most {MAX_INACTIVE} were expected"
            )));
        }
        let has_best = progress.early_stopping.is_some_and(|record| record.best.is_some());
        let means = State::new(settings, 0).running_means.iter().map(Vec::len).sum();
        let mut snapshot = Snapshot {
            path: path.to_owned(),
            parameters: numbers(parameters, count)?,
            first_moment: numbers(first_moment, count)?,
            second_moment: numbers(second_moment, count)?,
            running_means: numbers(running_means, means)?,
            inactive,
            best_parameters: if has_best { numbers(BEST, count)? } else { Vec::new() },
            progress,
        };
        if has_logarithms {
            thresholds_of_logarithms(&mut snapshot);
        }
        if version < 4 {
            store_by_unit(&mut snapshot);
        }
        Ok(Checkpoint(snapshot))
    }

    /// Path of the `n`-th checkpoint before the newest, which is at `path`.
    #[doc(hidden)]
    pub fn earlier(path: impl AsRef<Path>, n: usize) -> PathBuf {
        let mut name = path.as_ref().as_os_str().to_owned();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    }

    /// The training's settings.
    pub fn settings(&self) -> &Settings {
        &self.0.progress.settings
    }

    /// The scaling of the data.
    #[doc(hidden)]
    pub fn scaling(&self) -> Scaling {
        self.0.progress.scaling.clone()
    }

    /// Number of steps done.
    pub fn steps(&self) -> u64 {
        self.0.progress.step
    }

    /// The epochs that are over, and how many samples of the next one were used.
    #[doc(hidden)]
    pub fn epoch(&self) -> (u64, usize) {
        (self.0.progress.epoch, self.0.progress.position)
    }

    /// The number of samples of the training, and their features.
    #[doc(hidden)]
    pub fn data(&self) -> (usize, usize) {
        (self.0.progress.data.samples, self.0.progress.data.features)
    }

    /// The patience of the training's early stopping, if it had any.
    #[doc(hidden)]
    pub fn patience(&self) -> Option<u32> {
        self.0.progress.early_stopping.map(|record| record.patience)
    }

    /// The same training, to continue with other settings from now on.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that cannot change: what the parameters depend on, such as the
    /// layers; the optimizer, except between Adam and AdamW and in its numbers; and whether a layer's
    /// KL penalty follows running means. Also those of [`Settings::validate`].
    #[doc(hidden)]
    pub fn with_settings(mut self, settings: Settings) -> Result<Self> {
        let now = &self.0.progress.settings;
        now.check_continues(&settings)?;
        settings.validate()?;
        let rule = |settings: &Settings| match settings.optimizer {
            Optimizer::Adam | Optimizer::AdamLazy | Optimizer::AdamW { .. } => 0,
            Optimizer::Momentum { .. } => 1,
            Optimizer::Lbfgs { .. } => 2,
        };
        if rule(now) != rule(&settings) {
            now.check_unchanged(&settings, |name| name == "optimizer")?;
        }
        let kept = |settings| State::new(settings, 0).running_means;
        if kept(now) != kept(&settings) {
            now.check_unchanged(&settings, |name| {
                ["rho_momentum", "penalties", "beta"].contains(&name)
            })?;
        }
        let progress = &mut self.0.progress;
        progress.variance = progress.variance.filter(|_| settings.loss == Loss::Fvu);
        progress.settings = settings;
        Ok(self)
    }

    /// The same training, to continue with other samples from their next epoch. (It then ends in
    /// other bits than one that was built on them.)
    ///
    /// # Errors
    /// [`Error::Shape`] if a sample that is checked has a feature that is not finite.
    #[doc(hidden)]
    pub fn with_samples(mut self, samples: &Samples) -> Result<Self> {
        let progress = &mut self.0.progress;
        progress.data = Fingerprint::of(samples)?;
        if progress.position > 0 {
            (progress.epoch, progress.position) = (progress.epoch + 1, 0);
        }
        Ok(self)
    }
}

/// Transposes the numbers of a sparse code's layer, which stood in the order of its inputs.
fn store_by_unit(snapshot: &mut Snapshot) {
    let layers = layout(&snapshot.progress.settings);
    let Snapshot { parameters, first_moment, second_moment, best_parameters, .. } = snapshot;
    let all = [parameters, first_moment, second_moment, best_parameters];
    for numbers in all.into_iter().filter(|numbers| !numbers.is_empty()) {
        for layer in layers.iter().filter(|layer| layer.by_unit) {
            let before = numbers[layer.weights()].to_vec();
            for (row, weights) in before.chunks(layer.outputs).enumerate() {
                let places = (0..).map(|unit| layer.place(row, unit));
                places.zip(weights).for_each(|(place, &weight)| numbers[place] = weight);
            }
        }
    }
}

/// Makes thresholds of their logarithms, and the moments of their gradients likewise: the gradient by a
/// threshold is that by its logarithm, divided by the threshold.
fn thresholds_of_logarithms(snapshot: &mut Snapshot) {
    let start = snapshot.parameters.len() - snapshot.progress.settings.code_units();
    for parameters in [&mut snapshot.parameters, &mut snapshot.best_parameters] {
        if !parameters.is_empty() {
            let logarithms = parameters.split_off(start);
            parameters.extend(from_logarithms(logarithms));
        }
    }
    let thresholds = &snapshot.parameters[start..];
    for (moment, power) in [(&mut snapshot.first_moment, 1), (&mut snapshot.second_moment, 2)] {
        let moments = moment[start..].iter_mut().zip(thresholds);
        moments.for_each(|(moment, threshold)| *moment /= threshold.powi(power));
        moment.push(0.0);
    }
}

/// Fails if no training could have got there.
fn check(progress: &Progress) -> std::result::Result<(), String> {
    let Progress { settings, step, epoch, penalty_factor, variance, .. } = progress;
    // The next ones would overflow.
    if step.max(epoch) >> 53 > 0 {
        return Err(format!("step {step} of epoch {epoch}"));
    }
    if *penalty_factor < 0.0 {
        return Err(format!("penalty_factor is {penalty_factor}"));
    }
    check_variance(settings, *variance)?;
    settings.validate().map_err(|e| e.to_string())?;
    check_targets(settings, progress.target_scaling.is_some()).map_err(|e| e.to_string())
}

impl TrainerBuilder {
    /// Resumes from a checkpoint, whose settings and samples must be those of this trainer.
    ///
    /// The training ends in the same bits as if it had never stopped.
    pub fn resume(self, checkpoint: Checkpoint) -> Self {
        self.continue_from(checkpoint.0)
    }
}
