//! The fingerprint of a data set.

use serde::{Deserialize, Serialize};

use crate::data::samples::Samples;
use crate::error::Result;

/// Number of samples that the checksum covers.
const CHECKED: usize = 64;

/// Identifies a data set: its shape, and a checksum of 64 samples spread over all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub samples: usize,
    pub features: usize,
    /// CRC-32 of the features of the checked samples, after scaling.
    digest: u64,
}

impl Fingerprint {
    /// The fingerprint of these samples.
    ///
    /// # Errors
    /// A checked sample has a feature that is not finite.
    pub fn of(samples: &Samples) -> Result<Self> {
        let (count, features) = (samples.len(), samples.features());
        let checked = count.min(CHECKED);
        let mut row = vec![0.0; features];
        let mut digest = crc32fast::Hasher::new();
        for at in 0..checked {
            let sample = (at as u128 * count as u128 / checked as u128) as usize;
            samples.gather(sample, &mut row)?;
            for feature in &row {
                digest.update(&feature.to_le_bytes());
            }
        }
        Ok(Fingerprint { samples: count, features, digest: u64::from(digest.finalize()) })
    }
}
