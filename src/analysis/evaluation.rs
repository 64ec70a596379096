//! The report of an evaluation: the objective and how active the units are.

use crate::analysis::histogram::Histogram;
use crate::network::activity::mean_activation;

/// What an evaluation over a data set reports: figures of the numbers that the network sees, which are the
/// scaled ones.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// The objective: `loss + penalty + lambda weight_decay`.
    pub objective: f64,
    /// The objective's data term, a mean over samples and features.
    pub loss: f64,
    /// S: the sum of KL over the units of the layers that it is applied to; 0 where there are none.
    pub sparsity: f64,
    /// The sum of |a| over the units of the layers that L1 is applied to, a mean over samples.
    pub l1: f64,
    /// All sparsity penalties, with their weights.
    pub penalty: f64,
    /// R: half the sum of the squared weights.
    pub weight_decay: f64,
    /// Mean squared error over all samples and features, whatever the loss.
    pub squared_error: f64,
    /// Explained share of the data's variance: 1 - sum (a - x)^2 / sum (x - mean of the feature)^2.
    /// NaN where the data does not vary.
    pub explained_variance: f64,
    /// Fraction of variance unexplained: sum (a - x)^2 / sum (x - mean of the feature)^2, which is 1 -
    /// `explained_variance`. NaN where the data does not vary.
    pub fvu: f64,
    /// Mean over batches of their explained variance: 1 - sum (a - x)^2 / sum (x - mean of the feature in
    /// the batch)^2, as SAELens logs it during training.
    ///
    /// Batches are of [`Evaluation::BATCH`] samples, in their order. A shorter one at the end is left out
    /// unless it is the only one; so are batches that do not vary. NaN if none is left.
    pub explained_variance_per_batch: f64,
    /// Mean over samples of the cosine of sample and reconstruction, x a / (|x| |a|).
    ///
    /// Left out are samples where either is 0, for which there is no cosine; NaN if none is left.
    pub cosine_similarity: f64,
    /// Mean over samples of the ratio of lengths, |a| / |x|: below 1 where reconstructions shrink.
    ///
    /// Left out are samples that are 0; NaN if none is left.
    pub l2_ratio: f64,
    /// Relative reconstruction bias: sum |a|^2 / sum x a, over all samples (Rajamanoharan et al. 2024,
    /// *Improving dictionary learning with gated sparse autoencoders*, equation 10).
    ///
    /// 1 is unbiased; below 1, a reconstruction is nearer if multiplied by a factor above 1. NaN if both
    /// sums are 0, infinite if only the second is.
    pub relative_reconstruction_bias: f64,
    /// Explained variance of each feature by itself: 1 - sum (a - x)^2 / sum (x - mean)^2 over its samples.
    /// NaN for a feature that does not vary.
    ///
    /// `explained_variance` weighs each feature by its variance, so features of a wide range hide how
    /// badly those of a narrow one are reconstructed; these numbers show it.
    pub explained_variance_per_feature: Vec<f64>,
    /// Mean activation over the data set of every unit of every hidden layer.
    pub units: Vec<Vec<f32>>,
    /// How active each hidden layer is.
    pub layers: Vec<Activity>,
    /// How many features vary; and of those that wider ones hide in the total, how many there are and
    /// which is reconstructed worst.
    pub(crate) hidden: Hidden,
}

/// Features so narrow that the explained variance of all says nothing about them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Hidden {
    /// Features that vary.
    pub varying: usize,
    /// Those of them that are narrow and reconstructed worse than by their mean.
    pub count: usize,
    /// The one of the smallest explained variance, and that number.
    pub worst: Option<(usize, f64)>,
}

impl Hidden {
    /// A feature whose variance is below this share of the widest one's is narrow: a deviation a
    /// thousandth as large.
    const NARROW: f64 = 1e-6;

    /// From each feature's variance, times the samples, and explained share of it.
    pub fn of(features: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        let widest = features.clone().map(|(spread, _)| spread).fold(0.0, f64::max);
        let mut hidden = Hidden::default();
        for (feature, (spread, explained)) in features.enumerate().filter(|(_, (s, _))| *s > 0.0) {
            hidden.varying += 1;
            if spread < Self::NARROW * widest && explained < 0.0 {
                hidden.count += 1;
                if hidden.worst.is_none_or(|(_, worst)| explained < worst) {
                    hidden.worst = Some((feature, explained));
                }
            }
        }
        hidden
    }
}

impl Evaluation {
    /// Samples of a batch of [`Evaluation::explained_variance_per_batch`].
    pub const BATCH: usize = 1024;

    /// The feature of the smallest explained variance and that number, of the features that vary;
    /// `None` if none does.
    #[doc(hidden)]
    pub fn worst_feature(&self) -> Option<(usize, f64)> {
        let features = self.explained_variance_per_feature.iter().copied().enumerate();
        features.filter(|(_, share)| !share.is_nan()).min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// Mean activation of every hidden layer.
    pub fn mean_activations(&self) -> Vec<f64> {
        self.units.iter().map(|units| mean_activation(units)).collect()
    }
}

/// How active a hidden layer is over a data set.
///
/// A unit is active in a sample if its |a| is above a threshold:
/// [`Settings::active_above`](crate::Settings) for sigmoids, which are never 0, and 0 for all others.
/// A unit is dead if it is active in no sample, or, with tanh, leaky ReLU or linear activations, if its
/// activation never varies.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Activity {
    /// How many samples the data set has.
    pub samples: usize,
    /// The threshold.
    pub threshold: f32,
    /// Active units per sample, a mean over samples.
    pub l0: f64,
    /// Largest |a| of each unit.
    pub largest: Vec<f32>,
    /// Share of the samples in which each unit is active.
    pub frequencies: Vec<f64>,
    pub(crate) dead: Vec<usize>,
    /// How many activations have which value.
    pub histogram: Histogram,
}

impl Activity {
    /// Units that are dead, in ascending order.
    pub fn dead_units(&self) -> impl Iterator<Item = usize> {
        self.dead.iter().copied()
    }

    /// Whether the samples are enough to tell dead units from rare ones; otherwise at most
    /// [`Activity::dead_units`] are dead.
    ///
    /// They are if the other units are active in 30 samples on average: a unit that is ten times rarer would
    /// then be active in three, and in none by chance with a probability of 5 %. Where not even one unit is
    /// active per sample, 1000 samples are enough.
    pub fn tells_dead_units(&self) -> bool {
        let (samples, alive) = (self.samples as f64, self.largest.len() - self.dead.len());
        tells_dead_units(self.l0 * samples, alive, self.samples)
    }

    /// Units that are active in more than a tenth of the samples, in ascending order.
    ///
    /// SAELens and SAEBench call them dense. They say something of layers with exact zeros; where no
    /// activation is exactly 0, as with tanh, all units are.
    pub fn dense_units(&self) -> impl Iterator<Item = usize> {
        const MANY: f64 = 0.1;
        let units = self.frequencies.iter().enumerate();
        units.filter(|(_, share)| **share > MANY).map(|(unit, _)| unit)
    }

    /// Histogram of log10 of the frequencies, in bins of an eighth from -8 to 0.
    ///
    /// Units that are never active are its zeros. A bin has its upper end in it, so units that are
    /// always active are in the last one; those of lower frequencies than 1e-8 are in the first.
    pub fn frequency_histogram(&self) -> Histogram {
        Histogram::of_logarithms(&self.frequencies)
    }
}

/// See [`Activity::tells_dead_units`], of units that are active so often in all; `alive` are not dead.
#[doc(hidden)]
pub fn tells_dead_units(active: f64, alive: usize, samples: usize) -> bool {
    const TIMES: f64 = 30.0;
    const MANY: usize = 1000;
    match alive {
        0 => samples as f64 >= TIMES,
        _ => active >= TIMES * alive as f64 || active < samples as f64 && samples >= MANY,
    }
}
