//! What is asked of units, and what is said of them.

use std::fmt;

use crate::analysis::histogram::Histogram;

/// What [`Autoencoder::unit_summaries`](crate::Autoencoder::unit_summaries) summarizes. The default is the code, ten samples per unit, no
/// labels, and the nearest units.
#[derive(Clone, Copy)]
pub struct UnitOptions<'a> {
    /// The hidden layer, 0 is the first; `None` for the code.
    pub layer: Option<usize>,
    /// Samples that are listed of each unit, those of its largest activations.
    pub top: usize,
    /// A label of each sample.
    pub labels: Option<&'a [u8]>,
    /// Whether the nearest other unit is found, whose time grows with the square of the units.
    pub nearest: bool,
    /// Called with the number of samples that are done, again and again.
    pub progress: Option<&'a dyn Fn(usize)>,
}

impl Default for UnitOptions<'_> {
    fn default() -> Self {
        UnitOptions { layer: None, top: 10, labels: None, nearest: true, progress: None }
    }
}

impl fmt::Debug for UnitOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnitOptions { layer, top, labels, nearest, progress } = self;
        f.debug_struct("UnitOptions")
            .field("layer", layer)
            .field("top", top)
            .field("labels", &labels.map(<[u8]>::len))
            .field("nearest", nearest)
            .field("progress", &progress.is_some())
            .finish()
    }
}

/// What a unit of a hidden layer does over a data set.
///
/// A unit is active in a sample if its |a| is above the threshold of
/// [`Activity`](crate::analysis::Activity): [`Settings::active_above`](crate::Settings) for sigmoids, 0 for
/// all others. An activation that is NaN is not active, and makes the mean NaN.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UnitSummary {
    /// The unit's number in its layer.
    pub unit: usize,
    /// Samples in which it is active.
    pub active: u64,
    /// Share of the samples in which it is active.
    pub frequency: f64,
    /// Mean activation over all samples, as in [`Evaluation::units`](crate::Evaluation).
    pub mean: f32,
    /// Mean activation over the samples in which it is active; NaN if there are none.
    pub mean_active: f64,
    /// Its activation of the largest magnitude, the positive one of two; 0 if it is never active.
    pub max: f32,
    /// Whether it is dead, as [`Activity`](crate::analysis::Activity) says.
    pub is_dead: bool,
    /// Histogram of log10 |a| over the samples in which it is active: 64 bins of an eighth from -4 to 4.
    ///
    /// A bin has its upper end in it. Smaller numbers are in the first bin, larger ones in the last;
    /// [`Histogram::zeros`] are the samples in which it is not active.
    pub histogram: Histogram,
    /// Of each label, from 0 to the largest: the samples with it in which the unit is active. Empty without
    /// labels.
    pub labels: Vec<u64>,
    /// The samples of its largest |a|, the largest first, of equal ones that of the smaller number; only
    /// samples in which it is active.
    pub top: Vec<TopSample>,
    /// Euclidean norm of the weights from the layer before to this unit, its column of the encoder.
    pub norm_in: f64,
    /// Euclidean norm of the weights from this unit to the next layer, its row of the decoder.
    pub norm_out: f64,
    /// The other unit whose weights to the next layer have the largest cosine with its own, the first of
    /// equal ones, and that cosine, as in [`Autoencoder::redundancy`](crate::Autoencoder::redundancy). `None` if it was not asked for, or
    /// there is no other unit.
    pub nearest: Option<(usize, f32)>,
}

impl UnitSummary {
    /// Active in more of the samples than this share, a unit is dense: see
    /// [`Activity::dense_units`](crate::analysis::Activity::dense_units).
    pub const DENSE: f64 = 0.1;

    /// Whether it is active in more than a tenth of the samples.
    pub fn is_dense(&self) -> bool {
        self.frequency > Self::DENSE
    }

    /// The most frequent label among the samples in which it is active, the first of equal ones, and its
    /// share of them; `None` without labels, or if it is never active.
    pub fn purest_label(&self) -> Option<(u8, f64)> {
        let labels = (0..=u8::MAX).zip(&self.labels).filter(|(_, count)| **count > 0);
        let most = labels.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        Some((most.0, *most.1 as f64 / self.active as f64))
    }
}

/// A sample and the activation of a unit in it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TopSample {
    /// The sample's number.
    pub sample: usize,
    /// The activation.
    pub activation: f32,
}
