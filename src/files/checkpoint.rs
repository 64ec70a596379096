//! Checkpoints: a training as it stands, on disk, so that it can go on from there to the same
//! bits.
//!
//! A checkpoint is a safetensors file of six tensors: `parameters`, `first_moment` and
//! `second_moment` (`F32`, laid out as [`Autoencoder::parameters`]), `running_means` (`F32`, of the
//! layers whose KL penalty follows them, one after the other), `state` (`U8`: JSON, padded with
//! spaces; the controller's in it) and `checksum` (`U32`: CRC-32 of all the file's other bytes). The
//! order of the samples needs no more than the settings' seed, the epoch and the position in it.

mod image;
mod writer;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::data::samples::{Samples, Scaling};
use crate::error::{Error, Result};
use crate::files::tensors::{Dtype, Header, read_file};
use crate::json::{self, Fields};
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::{end, layout};
use crate::settings::Settings;
use crate::training::controller::Control;
use crate::training::trainer::Trainer;
use crate::training::workspace;
use image::checksum_of;
pub use writer::Checkpoints;

const VERSION: u64 = 2;

/// The tensors of numbers, each of one length.
const NUMBERS: [&str; 3] = ["parameters", "first_moment", "second_moment"];
const RUNNING_MEANS: &str = "running_means";

/// By which a data set is known again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Data {
    samples: usize,
    features: usize,
    /// CRC-32 of some samples' features, spread over the whole.
    digest: u64,
}

impl Data {
    /// # Errors
    /// A sample that is looked at is not of finite numbers.
    pub fn of(samples: &Samples) -> Result<Self> {
        const LOOKED_AT: usize = 64;
        let (count, features) = (samples.len(), samples.features());
        let mut row = vec![0.0; features];
        let mut digest = crc32fast::Hasher::new();
        for at in 0..count.min(LOOKED_AT) {
            let sample = (at as u128 * count as u128 / count.min(LOOKED_AT) as u128) as usize;
            samples.gather(sample, &mut row)?;
            for feature in &row {
                digest.update(&feature.to_le_bytes());
            }
        }
        Ok(Data { samples: count, features, digest: u64::from(digest.finalize()) })
    }
}

#[derive(Clone, Debug, PartialEq)]
struct State {
    settings: Settings,
    scaling: Scaling,
    data: Data,
    step: u64,
    epoch: u64,
    position: usize,
    penalty_factor: f64,
    control: Control,
}

impl State {
    /// That of a training.
    fn of(data: &Data, trainer: &Trainer) -> Self {
        let (epoch, position) = trainer.position();
        let net = trainer.autoencoder();
        State {
            settings: net.settings().clone(),
            scaling: net.scaling(),
            data: data.clone(),
            step: trainer.steps(),
            epoch,
            position,
            penalty_factor: net.penalty_factor(),
            control: trainer.control(),
        }
    }

    fn to_json(&self) -> Vec<u8> {
        let State { settings, scaling, data, step, epoch, position, penalty_factor, control } =
            self;
        let Control { smoothed, log_factor, speed, sum } = control;
        let Data { samples, features, digest } = data;
        let json = json!({
            "version": VERSION,
            "settings": settings.to_value(),
            "scaling": scaling.to_value(),
            "data": {"samples": samples, "features": features, "digest": digest},
            "step": step,
            "epoch": epoch,
            "position": position,
            "penalty_factor": penalty_factor,
            "control": {
                "smoothed": smoothed,
                "log_factor": log_factor,
                "speed": speed,
                "sum": sum,
            },
        });
        json.to_string().into_bytes()
    }

    fn from_fields(fields: &Fields<'_>) -> std::result::Result<Self, String> {
        let data = Fields::of(fields.get("data")?)?;
        let control = Fields::of(fields.get("control")?)?;
        Ok(State {
            settings: Settings::from_value(fields.get("settings")?)?,
            scaling: Scaling::from_value(fields.get("scaling")?)?,
            data: Data {
                samples: data.count("samples")?,
                features: data.count("features")?,
                digest: data.whole("digest")?,
            },
            step: fields.whole("step")?,
            epoch: fields.whole("epoch")?,
            position: fields.count("position")?,
            penalty_factor: fields.penalty_factor()?,
            control: Control {
                smoothed: control.number("smoothed")?,
                log_factor: control.number("log_factor")?,
                speed: control.number("speed")?,
                sum: control.number("sum")?,
            },
        })
    }
}

/// A checkpoint that was read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: State,
    parameters: Vec<f32>,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
    running_means: Vec<f32>,
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] if it is no checkpoint, is of another
    /// version, or is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(path, &read_file(path, "a checkpoint")?)
    }

    /// The checkpoint in these bytes; `path` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Format`], as for [`Checkpoint::load`].
    pub fn from_bytes(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let path = path.as_ref();
        let wrong = |problem: String| Error::format(path, None, problem);
        let damaged = |problem| wrong(format!("not a whole safetensors file: {problem}"));
        let header = Header::read(bytes).map_err(damaged)?;
        let range = |name: &str| match header.tensors.get(name) {
            Some(entry) => Ok(entry.bytes.clone()),
            None => Err(wrong(format!("not a checkpoint: it has no '{name}'"))),
        };
        let checksum = header.numbers(bytes, "checksum", Dtype::U32, &[1]).map_err(wrong)?;
        if u32::from_le_bytes(checksum[0]) != checksum_of(bytes, range("checksum")?) {
            return Err(wrong("damaged: its checksum is not that of its bytes".to_owned()));
        }
        let bad = |problem: String| wrong(format!("state: {problem}"));
        let json = json::parse(&bytes[range("state")?]).map_err(bad)?;
        let fields = Fields::of(&json).map_err(bad)?;
        // Before all else: another version may have other fields.
        let version = fields.whole("version").map_err(bad)?;
        if version != VERSION {
            return Err(wrong(format!(
                "checkpoint of version {version}; this program knows version {VERSION}"
            )));
        }
        let state = State::from_fields(&fields).map_err(bad)?;
        // No training gets so far; the next ones would overflow.
        if state.step.max(state.epoch) >> 53 > 0 {
            return Err(bad(format!("step {} of epoch {}", state.step, state.epoch)));
        }
        state.settings.validate().map_err(|e| bad(e.to_string()))?;
        let settings = &state.settings;
        let count = end(&layout(&settings.layers)) + settings.gate_parameters();
        let numbers = |name: &str, count: usize| {
            let numbers = header.numbers(bytes, name, Dtype::F32, &[count]).map_err(wrong)?;
            let numbers = numbers.iter().map(|&number| f32::from_le_bytes(number));
            let numbers: Vec<f32> = numbers.collect();
            match numbers.iter().find(|number| !number.is_finite()) {
                Some(number) => Err(wrong(format!(
                    "'{name}' has the number {number}; finite ones were expected"
                ))),
                None => Ok(numbers),
            }
        };
        let [parameters, first_moment, second_moment] = NUMBERS;
        Ok(Checkpoint {
            parameters: numbers(parameters, count)?,
            first_moment: numbers(first_moment, count)?,
            second_moment: numbers(second_moment, count)?,
            running_means: numbers(RUNNING_MEANS, running_units(settings).iter().sum())?,
            state,
            path: path.to_owned(),
        })
    }

    /// Name of the `n`-th checkpoint before the newest, which is at `path`.
    pub fn earlier(path: impl AsRef<Path>, n: usize) -> PathBuf {
        let mut name = path.as_ref().as_os_str().to_owned();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    }

    /// The training's settings.
    pub fn settings(&self) -> &Settings {
        &self.state.settings
    }

    /// How the data was scaled.
    pub fn scaling(&self) -> Scaling {
        self.state.scaling
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.state.step
    }

    /// The same training, to go on with other samples, from their next epoch. (One that goes on
    /// like that ends in other bits than one that was built on them.)
    ///
    /// # Errors
    /// A sample that is looked at is not of finite numbers.
    pub fn with_samples(mut self, samples: &Samples) -> Result<Self> {
        self.state.data = Data::of(samples)?;
        if self.state.position > 0 {
            (self.state.epoch, self.state.position) = (self.state.epoch + 1, 0);
        }
        Ok(self)
    }

    /// Gives a trainer's network and state what was kept of them.
    pub(crate) fn restore(self, net: &mut Autoencoder, state: &mut workspace::State) {
        net.parameters = self.parameters;
        net.penalty_factor = self.state.penalty_factor;
        state.first = self.first_moment;
        state.second = self.second_moment;
        state.step = self.state.step;
        state.control = self.state.control;
        let mut rest = &self.running_means[..];
        for means in &mut state.running_means {
            let (these, others) = rest.split_at(means.len());
            means.copy_from_slice(these);
            rest = others;
        }
    }

    /// Epoch, and the position in it.
    pub(crate) fn position(&self) -> (u64, usize) {
        (self.state.epoch, self.state.position)
    }

    /// # Errors
    /// The checkpoint is of other settings or other data.
    pub(crate) fn fits(&self, settings: &Settings, samples: &Samples) -> Result<()> {
        let wrong = |problem: String| Err(Error::format(&self.path, None, problem));
        if let Some((field, here, asked)) = self.state.settings.difference(settings) {
            return wrong(format!("checkpoint of a training with {field} {here}, not {asked}"));
        }
        let Data { samples: count, features, .. } = self.state.data;
        if (count, features) != (samples.len(), samples.features()) {
            return wrong(format!(
                "checkpoint of a training on {count} samples of {features} features; this data \
                 has {} of {}",
                samples.len(),
                samples.features()
            ));
        }
        if self.state.scaling != samples.scaling() {
            return wrong("checkpoint of a training on data scaled otherwise".to_owned());
        }
        if self.state.data != Data::of(samples)? {
            return wrong(format!(
                "checkpoint of a training on {count} other samples of as many features"
            ));
        }
        if self.state.position > count {
            return wrong(format!("position {} in {count} samples", self.state.position));
        }
        Ok(())
    }
}

/// Units of each hidden layer whose running means are kept, 0 for none.
fn running_units(settings: &Settings) -> Vec<usize> {
    workspace::State::new(settings, 0).running_means.iter().map(Vec::len).collect()
}
