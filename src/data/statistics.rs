//! Extremes, mean and standard deviation of the numbers of an array, in `f64`.
//!
//! They are right for any finite numbers, whatever their offset, size and count: the extremes come
//! first, then the mean of differences from the middle between them, then the deviations from that
//! mean. A power of two brings the numbers of a group near 1 where their squares could overflow or
//! vanish. Sums are of blocks of 256, added with compensation (Neumaier), always in one order.

use crate::data::array::Array;
use crate::error::Result;

/// Numbers that are summed plainly.
const BLOCK: usize = 256;

/// What the finite numbers of an array are like.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[doc(hidden)]
pub struct Statistics {
    /// How many numbers there are, whether finite or not.
    pub count: u64,
    /// How many are infinite or NaN; they count for nothing below.
    pub not_finite: u64,
    /// How many are 0.
    pub zeros: u64,
    /// The smallest number.
    pub min: f64,
    /// The largest number.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, with divisor n; 0 exactly if they are all the same.
    pub deviation: f64,
}

impl Array {
    /// Statistics of all finite numbers, computed in `f64` from the numbers themselves; without a
    /// finite number `min`, `max`, `mean` and `deviation` are NaN.
    #[doc(hidden)]
    pub fn statistics(&self) -> Statistics {
        let extremes = Extremes::of(self, false);
        let count = self.samples() as u64 * self.features() as u64;
        let Extremes { not_finite, zeros, .. } = extremes;
        let (mut min, mut max, mut mean, mut deviation) = (f64::NAN, f64::NAN, f64::NAN, f64::NAN);
        if not_finite < count {
            (min, max) = (extremes.min[0], extremes.max[0]);
            let (means, deviations) = extremes.moments();
            (mean, deviation) = (means[0], deviations[0]);
        }
        Statistics { count, not_finite, zeros, min, max, mean, deviation }
    }
}

/// The extremes of groups of numbers: of all together, or of each feature.
pub(crate) struct Extremes<'a> {
    array: &'a Array,
    /// One for each group.
    pub min: Vec<f64>,
    /// One for each group.
    pub max: Vec<f64>,
    zeros: u64,
    not_finite: u64,
    /// Sample and feature of the first number that is not finite.
    first_not_finite: Option<(usize, usize)>,
}

impl<'a> Extremes<'a> {
    /// Those of the array's finite numbers.
    pub fn of(array: &'a Array, by_feature: bool) -> Self {
        let groups = if by_feature { array.features() } else { 1 };
        let (mut min, mut max) = (vec![f64::INFINITY; groups], vec![f64::NEG_INFINITY; groups]);
        let (mut zeros, mut not_finite, mut first_not_finite) = (0, 0, None);
        for_each_row(array, |sample, row| {
            // Without a branch for each number, this is vectorized.
            let infinite = row.iter().filter(|value| !value.is_finite()).count();
            zeros += row.iter().filter(|&&value| value == 0.0).count() as u64;
            if infinite > 0 {
                not_finite += infinite as u64;
                let feature = row.iter().position(|value| !value.is_finite());
                first_not_finite = first_not_finite.or(feature.map(|feature| (sample, feature)));
            }
            for (feature, &value) in row.iter().enumerate() {
                let group = if by_feature { feature } else { 0 };
                if value.is_finite() {
                    min[group] = min[group].min(value);
                    max[group] = max[group].max(value);
                }
            }
        });
        Extremes { array, min, max, zeros, not_finite, first_not_finite }
    }

    /// Those of an array's numbers.
    ///
    /// # Errors
    /// A number is not finite; or they are integers so large, and so close to each other, that no
    /// `f64` tells them apart.
    pub fn finite(array: &'a Array, by_feature: bool) -> Result<Self> {
        let extremes = Self::of(array, by_feature);
        if let Some((sample, feature)) = extremes.first_not_finite {
            return Err(array.not_finite(sample, feature));
        }
        let too_close = |(&min, &max): (&f64, &f64)| {
            let spacing = (min.abs().max(max.abs())) * f64::EPSILON;
            // A feature has 24 bits.
            spacing > 1.0 && (max - min) * 2f64.powi(-24) < spacing
        };
        if array.element_type().is_integer() {
            let groups = extremes.min.iter().zip(&extremes.max);
            let close: Vec<bool> = groups.map(too_close).collect();
            if close.contains(&true) {
                array.check_exact(|feature| close[if by_feature { feature } else { 0 }])?;
            }
        }
        Ok(extremes)
    }

    /// The mean and the standard deviation of each group.
    pub fn moments(&self) -> (Vec<f64>, Vec<f64>) {
        let groups = self.min.len();
        let scales: Vec<f64> =
            self.each(|group| scale(self.min[group].abs().max(self.max[group].abs())));
        let scaled = |group: usize, value: f64| value * scales[group];
        let middle: Vec<f64> = self
            .each(|group| 0.5 * (scaled(group, self.min[group]) + scaled(group, self.max[group])));
        let counts: Vec<f64> = if groups == 1 {
            let count = self.array.samples() as u64 * self.array.features() as u64;
            vec![(count - self.not_finite) as f64]
        } else {
            vec![self.array.samples() as f64; groups]
        };
        let sums = self.sums(|group, value| [scaled(group, value) - middle[group], 0.0]);
        let means: Vec<f64> = self.each(|group| middle[group] + sums[group][0] / counts[group]);
        let sums = self.sums(|group, value| {
            let difference = scaled(group, value) - means[group];
            [difference, difference * difference]
        });
        let deviation = |group: usize| {
            let ([first, second], n) = (sums[group], counts[group]);
            // The first sum is what rounding the mean left.
            let variance = (second - first * first / n) / n;
            let deviation = variance.max(0.0).sqrt() / scales[group];
            match self.min[group] == self.max[group] {
                true => 0.0,
                // Not 0, though it may be less than any number is.
                false => deviation.max(f64::from_bits(1)),
            }
        };
        let mean = |group: usize| {
            let corrected = means[group] + sums[group][0] / counts[group];
            (corrected / scales[group]).clamp(self.min[group], self.max[group])
        };
        (self.each(mean), self.each(deviation))
    }

    fn each(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.min.len()).map(f).collect()
    }

    /// The sums of two terms of each finite number, for each group.
    fn sums(&self, term: impl Fn(usize, f64) -> [f64; 2]) -> Vec<[f64; 2]> {
        let groups = self.min.len();
        let finite_term = |group: usize, value: f64| match value.is_finite() {
            true => term(group, value),
            false => [0.0; 2],
        };
        let add = |sum: [f64; 2], term: [f64; 2]| [sum[0] + term[0], sum[1] + term[1]];
        let mut sums = vec![[Sum::default(); 2]; groups];
        let mut blocks = vec![[0.0; 2]; groups];
        let mut in_block = 0;
        let mut flush = |blocks: &mut [[f64; 2]]| {
            for (sums, block) in sums.iter_mut().zip(blocks) {
                sums[0].add(block[0]);
                sums[1].add(block[1]);
                *block = [0.0; 2];
            }
        };
        for_each_row(self.array, |_, row| {
            if groups == 1 {
                for chunk in row.chunks(BLOCK) {
                    blocks[0] =
                        chunk.iter().fold(blocks[0], |sum, &value| add(sum, finite_term(0, value)));
                    in_block += chunk.len();
                    if in_block >= BLOCK {
                        flush(&mut blocks);
                        in_block = 0;
                    }
                }
                return;
            }
            for (group, (block, &value)) in blocks.iter_mut().zip(row).enumerate() {
                *block = add(*block, finite_term(group, value));
            }
            in_block += 1;
            if in_block == BLOCK {
                flush(&mut blocks);
                in_block = 0;
            }
        });
        flush(&mut blocks);
        sums.iter().map(|sums| sums.map(Sum::value)).collect()
    }
}

/// The power of two that brings the largest number of a group between 1 and 4.
fn scale(largest: f64) -> f64 {
    let exponent = (largest.to_bits() >> 52 & 0x7ff) as i64 - 1023;
    f64::from_bits(((1023 - exponent.clamp(-1022, 1022)) as u64) << 52)
}

/// A sum with what rounding has taken from it.
#[derive(Clone, Copy, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        self.lost += match self.sum.abs() >= term.abs() {
            true => self.sum - sum + term,
            false => term - sum + self.sum,
        };
        self.sum = sum;
    }

    fn value(self) -> f64 {
        self.sum + self.lost
    }
}

fn for_each_row(array: &Array, mut f: impl FnMut(usize, &[f64])) {
    let mut row = vec![0.0; array.features()];
    for sample in 0..array.samples() {
        array.read_row_f64(sample, &mut row);
        f(sample, &row);
    }
}
