//! The fingerprint of a data set, and what a model's file says of its data.

use serde::{Deserialize, Serialize};

use sae_kernels::Isa;

use crate::data::samples::{HeldOut, SamplesOf};
use crate::error::Result;

/// Number of samples that the checksum covers.
const CHECKED: usize = 64;

/// Identifies a data set: its shape, and a checksum of 64 samples spread over all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub samples: usize,
    pub features: usize,
    /// CRC-32 of the checked samples.
    digest: u64,
    /// Of the targets, if the samples have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    targets: Option<Box<Fingerprint>>,
}

impl Fingerprint {
    /// The fingerprint of these samples as a network sees them.
    ///
    /// # Errors
    /// A checked sample has a feature that is not finite.
    pub fn of(samples: &SamplesOf<'_>) -> Result<Self> {
        let own = Self::by(samples, |sample, row| samples.gather(sample, row))?;
        Ok(own.with_targets(samples.targets().map(Self::of).transpose()?))
    }

    fn with_targets(self, targets: Option<Fingerprint>) -> Self {
        Fingerprint { targets: targets.map(Box::new), ..self }
    }

    /// The fingerprint of these samples before they are scaled, as `f32`.
    pub fn before_scaling(samples: &SamplesOf<'_>) -> Result<Self> {
        let (isa, mut memory) = (Isa::detect(), Vec::new());
        let own = Self::by(samples, |sample, row| {
            let stored = samples.source().row(sample, &mut memory)?;
            if stored.len() == row.len() {
                stored.to_f32(isa, row);
            }
            Ok(())
        })?;
        Ok(own.with_targets(samples.targets().map(Self::before_scaling).transpose()?))
    }

    fn by(
        samples: &SamplesOf<'_>,
        mut read: impl FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<Self> {
        let (count, features) = (samples.len(), samples.features());
        let checked = count.min(CHECKED);
        let mut row = vec![0.0; features];
        let mut digest = crc32fast::Hasher::new();
        for at in 0..checked {
            let sample = (at as u128 * count as u128 / checked as u128) as usize;
            read(sample, &mut row)?;
            for feature in &row {
                digest.update(&feature.to_le_bytes());
            }
        }
        let digest = u64::from(digest.finalize());
        Ok(Fingerprint { samples: count, features, digest, targets: None })
    }
}

/// What a model's file says of the data that it was trained on: their number and a checksum, and which of
/// them were held out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingData {
    /// Of all samples, those held out included.
    all: Fingerprint,
    held_out: Option<HeldOut>,
    /// Dimensions of a sample; empty if it has only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shape: Vec<usize>,
}

impl TrainingData {
    /// Of the samples of a training.
    ///
    /// # Errors
    /// A sample cannot be read.
    #[doc(hidden)]
    pub fn of(samples: &SamplesOf<'_>) -> Result<Self> {
        let (all, held_out) = samples.whole();
        let dims = samples.row_dims();
        let shape = if dims.len() > 1 { dims.to_vec() } else { Vec::new() };
        Ok(TrainingData { all: Fingerprint::before_scaling(&all)?, held_out, shape })
    }

    /// Number of samples, those held out included.
    pub fn samples(&self) -> usize {
        self.all.samples
    }

    /// Which samples were held out, if any.
    pub fn held_out(&self) -> Option<HeldOut> {
        self.held_out
    }

    /// Dimensions of a sample, such as `[28, 28]` of images; empty if it has only one.
    pub fn sample_shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether these samples are the data, whatever their scaling: by their number and a checksum of 64
    /// of them. Targets are compared where these samples have any.
    ///
    /// # Errors
    /// A sample cannot be read.
    pub fn is_of(&self, samples: &SamplesOf<'_>) -> Result<bool> {
        let (count, features) = (samples.len(), samples.features());
        let can_be = (count, features) == (self.all.samples, self.all.features);
        let targets = self.all.targets.clone().filter(|_| samples.targets().is_some());
        let expected = Fingerprint { targets, ..self.all.clone() };
        Ok(can_be && Fingerprint::before_scaling(samples)? == expected)
    }

    /// Fails if it cannot be that of a model of this number of features.
    pub(crate) fn check(&self, features: usize) -> std::result::Result<(), String> {
        let held_out = self.held_out.map_or(0, HeldOut::count);
        if self.all.features != features || held_out >= self.all.samples {
            return Err("data: the model cannot be of such data".to_owned());
        }
        let numbers = self.shape.iter().try_fold(1, |all: usize, &one| all.checked_mul(one));
        if !self.shape.is_empty() && numbers != Some(features) {
            let shape = &self.shape;
            return Err(format!(
                "data: samples of the shape {shape:?} do not have {features} features"
            ));
        }
        Ok(())
    }
}
