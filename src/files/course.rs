//! How a training went, kept in its model so that the file alone can repeat it.
//!
//! It is the note `training` of a model file: JSON. The settings, the scaling and what identifies the data stand in
//! the file, too. Paths do not: equal trainings give equal files.

use serde::{Deserialize, Serialize};

use crate::data::fingerprint::Fingerprint;
use crate::data::samples::SamplesOf;
use crate::error::Result;
use crate::network::autoencoder::Autoencoder;

/// The name of the note.
const NOTE: &str = "training";

/// How a training went, besides its settings and its data: what repeats it.
///
/// ```
/// use sae::{Samples, Settings, Trainer, files::Course};
///
/// # fn main() -> Result<(), sae::Error> {
/// let samples = Samples::from_values((0..400).map(|i| (i % 7) as f32 / 7.0).collect(), 8)?;
/// let settings = Settings { layers: vec![8, 3, 8], batch: 10, ..Settings::default() };
/// let mut trainer = Trainer::new(settings, &samples)?;
/// for _ in 0..5 {
///     trainer.step()?;
/// }
/// // `sae inspect` then shows the command that trains the same, and `sae train --like` repeats it.
/// Course::new(5).keep_in(trainer.autoencoder_mut());
/// assert_eq!(Course::of(trainer.autoencoder()).unwrap().steps, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Course {
    /// Version of the library.
    version: String,
    /// Steps of the whole training.
    pub steps: u64,
    /// The step after which it was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<u64>,
    /// Processes that computed it, which its bits depend on; `None` for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<u64>,
    /// Steps of the pretraining of each layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrain: Option<u64>,
    /// Steps between revivals of dead units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revive: Option<u64>,
    /// Evaluations without improvement after which it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Steps between those evaluations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<u64>,
    /// Samples that the scaling was taken from, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling_samples: Option<u64>,
    /// Checksum of the parameters that it began with, of another model.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    /// The samples of those evaluations, if they were no part of its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Fingerprint>,
}

impl Course {
    /// That of a training of this many steps.
    pub fn new(steps: u64) -> Self {
        Course {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            steps,
            interrupted: None,
            ranks: None,
            pretrain: None,
            revive: None,
            patience: None,
            evaluate_every: None,
            scaling_samples: None,
            from: None,
            test: None,
        }
    }

    /// That of a training which begins with the parameters of this network.
    #[must_use]
    pub fn begun_with(self, network: &Autoencoder) -> Self {
        let mut digest = crc32fast::Hasher::new();
        for number in network.parameters() {
            digest.update(&number.to_le_bytes());
        }
        Course { from: Some(u64::from(digest.finalize())), ..self }
    }

    /// That of a training which these samples end early; those held out of its data are known by them.
    ///
    /// # Errors
    /// A sample cannot be read.
    pub fn ended_by(self, test: &SamplesOf<'_>) -> Result<Self> {
        let is_part = test.whole().1.is_some();
        let test = (!is_part).then(|| Fingerprint::before_scaling(test)).transpose()?;
        Ok(Course { test, ..self })
    }

    /// Whether it begins with the parameters of another model.
    pub fn has_beginning(&self) -> bool {
        self.from.is_some()
    }

    /// Whether samples that are no part of its data end it early.
    pub fn has_test(&self) -> bool {
        self.test.is_some()
    }

    /// Whether another training begins with the same parameters.
    pub fn begins_as(&self, other: &Self) -> bool {
        self.from == other.from
    }

    /// Whether the same samples, by a checksum of 64 of them, end another training early.
    pub fn ends_as(&self, other: &Self) -> bool {
        self.test == other.test
    }

    /// Writes it into a network, for its file.
    pub fn keep_in(&self, network: &mut Autoencoder) {
        let text = serde_json::to_string(self).expect("numbers and texts");
        network.notes_mut().insert(NOTE.to_owned(), text);
    }

    /// That of the training of a network; `None` if it is not known, as with files of version 0.1.
    pub fn of(network: &Autoencoder) -> Option<Self> {
        serde_json::from_str(network.notes().get(NOTE)?).ok()
    }

    /// Takes it out of a network whose training can no longer be repeated.
    pub fn remove_from(network: &mut Autoencoder) {
        network.notes_mut().remove(NOTE);
    }
}
