//! What the numbers of a source are like, all together and each feature by itself, in `f64`.
//!
//! One pass on all threads. Rows are taken in blocks: of a block the mean comes first and then the
//! squares around it, and blocks are merged, in their order, as Chan, Golub and LeVeque do (*Algorithms
//! for computing the sample variance*, 1983); numbers are relative to those of the first row, which keeps
//! the means short. So the result is right for any finite numbers, whatever their offset and count, and
//! the same for any number of threads. Where squares could overflow or
//! vanish, a second pass has the numbers brought near 1 by a power of two.

use std::ops::Range;
use std::sync::Mutex;

use sae_kernels::{Division, Isa};

use crate::compute::{Engine, ThreadPool, lock};
use crate::data::array::Array;
use crate::data::element::ElementType;
use crate::data::source::Source;
use crate::error::{Error, Result};

/// Rows of a block.
const BLOCK: usize = 64;

/// Blocks between merges.
const BLOCKS: usize = 32;

/// What the finite numbers of a data set are like.
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
    /// The smallest number; NaN, as are all below, if none is finite.
    pub min: f64,
    /// The largest number.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, with divisor n; 0 exactly if they are all the same.
    pub deviation: f64,
}

/// What the finite numbers of a source are like, all together and each feature by itself.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Summary {
    /// Of all numbers together.
    pub all: Statistics,
    /// The smallest number of each feature.
    pub min: Vec<f64>,
    /// The largest number of each feature.
    pub max: Vec<f64>,
    /// The mean of each feature.
    pub mean: Vec<f64>,
    /// The standard deviation of each feature, as in [`Statistics`].
    pub deviation: Vec<f64>,
    /// Row and feature of the first number that is not finite.
    pub(crate) first_not_finite: Option<(usize, usize)>,
}

impl Summary {
    /// Of all rows of a source, or of `rows` of them at equal distances.
    ///
    /// # Errors
    /// Those of the source; and there are no such rows.
    pub fn of(engine: &mut Engine, source: &dyn Source, rows: Option<usize>) -> Result<Self> {
        let (samples, features) = (source.samples(), source.features());
        let count = rows.unwrap_or(samples).min(samples);
        if count == 0 || features == 0 {
            return Err(Error::Shape("statistics of no numbers".to_owned()));
        }
        let row_of = |at: usize| (at as u128 * samples as u128 / count as u128) as usize;
        let pass = Pass { source, features, count, row_of: &row_of };
        let found = pass.run(engine, &vec![1.0; features])?;
        // The moments of each feature, and of all together.
        let largest = |at: usize| found.min[at].abs().max(found.max[at].abs());
        let scales: Vec<f64> = (0..features).map(|at| scale(largest(at))).collect();
        let is_safe = |at: usize| is_safe(found.min[at], found.max[at]);
        let by_feature = match (0..features).all(is_safe) {
            true => found.moments(&vec![1.0; features]),
            false => pass.run(engine, &scales)?.moments(&scales),
        };
        let min = found.min.iter().copied().fold(f64::INFINITY, f64::min);
        let max = found.max.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mean, deviation) = match self::is_safe(min, max) {
            true => found.together().moments(&[1.0]),
            false => {
                let scales = vec![scale(min.abs().max(max.abs())); features];
                pass.run(engine, &scales)?.together().moments(&scales[..1])
            }
        };
        let (count, has_none) = (count as u64 * features as u64, min > max);
        let shown = |number: f64| if has_none { f64::NAN } else { number };
        let all = Statistics {
            count,
            not_finite: found.not_finite,
            zeros: found.zeros,
            min: shown(min),
            max: shown(max),
            mean: shown(mean[0]),
            deviation: shown(deviation[0]),
        };
        let (mean, deviation) = by_feature;
        let Sums { min, max, first_not_finite, .. } = found;
        Ok(Summary { all, min, max, mean, deviation, first_not_finite })
    }

    /// Fails if a number is not finite; or if they are integers so large, and so close to each other, that
    /// no `f64` tells them apart.
    pub(crate) fn check(&self, source: &dyn Source, by_feature: bool) -> Result<()> {
        let mut memory = Vec::new();
        if let Some((row, feature)) = self.first_not_finite {
            let stored = source.row(row, &mut memory)?;
            let number = (feature, stored.number(feature), stored.element_type());
            return Err(source.refused(row, number, "; finite numbers were expected"));
        }
        let too_close = |(&min, &max): (&f64, &f64)| {
            let spacing = min.abs().max(max.abs()) * f64::EPSILON;
            // A feature has 24 bits.
            spacing > 1.0 && (max - min) * 2f64.powi(-24) < spacing
        };
        if !source.element_type().is_some_and(ElementType::is_integer) {
            return Ok(());
        }
        let close: Vec<bool> = match by_feature {
            true => self.min.iter().zip(&self.max).map(too_close).collect(),
            false => vec![too_close((&self.all.min, &self.all.max)); self.min.len()],
        };
        let rows = if close.contains(&true) { 0..source.samples() } else { 0..0 };
        for row in rows {
            let mut inexact = source.row(row, &mut memory)?.inexact();
            if let Some((feature, number)) = inexact.find(|&(feature, _)| close[feature]) {
                return Err(source.wrong(row, |row| {
                    format!(
                        "sample {row}, feature {feature} is {number}, and these integers beyond 2^53 \
                         are too close to each other for f64 to tell them apart; subtract an offset \
                         from them, such as the smallest"
                    )
                }));
            }
        }
        Ok(())
    }
}

impl Array {
    /// Statistics of all finite numbers, computed in `f64` from the numbers themselves by one thread.
    #[doc(hidden)]
    pub fn statistics(&self) -> Statistics {
        let mut engine = Engine::new(Isa::detect(), ThreadPool::new(1));
        let summary = Summary::of(&mut engine, self, None);
        summary.expect("an array has numbers, all of them in memory").all
    }
}

/// Whether squares of differences between numbers of this range neither overflow nor vanish.
fn is_safe(min: f64, max: f64) -> bool {
    let range = max - min;
    // A range of less than nothing: no number is finite.
    range <= 0.0 || range > 1e-140 && min.abs().max(max.abs()) < 1e140
}

/// The power of two that brings the largest number of a group between 1 and 4.
fn scale(largest: f64) -> f64 {
    let exponent = (largest.to_bits() >> 52 & 0x7ff) as i64 - 1023;
    f64::from_bits(((1023 - exponent.clamp(-1022, 1022)) as u64) << 52)
}

/// One pass over rows of a source.
struct Pass<'a> {
    source: &'a dyn Source,
    features: usize,
    count: usize,
    /// The row of the source that is looked at as this one of `count`.
    row_of: &'a (dyn Fn(usize) -> usize + Sync),
}

/// What is known of some rows; one number a feature in each list.
#[derive(Clone, Debug, Default)]
struct Sums {
    /// Finite numbers.
    count: Vec<f64>,
    /// Unscaled.
    min: Vec<f64>,
    /// Unscaled.
    max: Vec<f64>,
    /// What the means are relative to: the scaled numbers of the first row, 0 where they are not finite.
    origin: Vec<f64>,
    /// Of the scaled numbers, less the origin.
    mean: Vec<f64>,
    /// The sum of (x - mean)^2 of the scaled numbers.
    spread: Vec<f64>,
    zeros: u64,
    not_finite: u64,
    first_not_finite: Option<(usize, usize)>,
}

/// A block's sums, and its scaled numbers, row by row.
#[derive(Default)]
struct Block {
    sums: Sums,
    numbers: Vec<f64>,
    memory: Vec<f32>,
    failed: Option<Error>,
}

impl Pass<'_> {
    /// Sums up all rows, their numbers multiplied by the scale of each feature.
    fn run(&self, engine: &mut Engine, scales: &[f64]) -> Result<Sums> {
        let blocks: Vec<Mutex<Block>> = (0..BLOCKS).map(|_| Mutex::default()).collect();
        let origin = self.origin(engine.isa, scales)?;
        let mut all = Sums::new(&origin);
        for start in (0..self.count).step_by(BLOCKS * BLOCK) {
            let end = self.count.min(start + BLOCKS * BLOCK);
            let count = (end - start).div_ceil(BLOCK);
            let division = Division::new(count, 1, engine.threads());
            let isa = engine.isa;
            engine.pool.run(division.parts(), |part, _| {
                for at in division.range(part) {
                    let start = start + at * BLOCK;
                    let rows = start..end.min(start + BLOCK);
                    let mut block = lock(&blocks[at]);
                    block.failed = self.sum_block(isa, &mut block, rows, (scales, &origin)).err();
                }
            });
            for block in &blocks[..count] {
                let mut block = lock(block);
                if let Some(error) = block.failed.take() {
                    return Err(error);
                }
                all.merge(&block.sums);
            }
        }
        Ok(all)
    }

    /// The scaled numbers of the first row, 0 where they are not finite.
    fn origin(&self, isa: Isa, scales: &[f64]) -> Result<Vec<f64>> {
        let mut origin = vec![0.0; self.features];
        self.read(isa, 0, &mut origin, &mut Vec::new())?;
        for (number, scale) in origin.iter_mut().zip(scales) {
            *number = if number.is_finite() { *number * scale } else { 0.0 };
        }
        Ok(origin)
    }

    fn read(&self, isa: Isa, at: usize, out: &mut [f64], memory: &mut Vec<f32>) -> Result<()> {
        let stored = self.source.whole_row((self.row_of)(at), memory)?;
        stored.map(isa, out, |_, number| number);
        Ok(())
    }

    fn sum_block(
        &self,
        isa: Isa,
        block: &mut Block,
        rows: Range<usize>,
        (scales, origin): (&[f64], &[f64]),
    ) -> Result<()> {
        let Block { sums, numbers, memory, .. } = block;
        let features = self.features;
        sums.clear(origin);
        numbers.resize(BLOCK * features, 0.0);
        for (at, numbers) in rows.clone().zip(numbers.chunks_exact_mut(features)) {
            self.read(isa, at, numbers, memory)?;
            sums.look_at((self.row_of)(at), numbers);
            for (number, scale) in numbers.iter_mut().zip(scales) {
                *number *= scale;
            }
        }
        sums.add(&numbers[..rows.len() * features]);
        Ok(())
    }
}

impl Sums {
    fn new(origin: &[f64]) -> Self {
        let mut sums = Sums::default();
        sums.clear(origin);
        sums
    }

    fn clear(&mut self, origin: &[f64]) {
        let features = origin.len();
        self.origin.clear();
        self.origin.extend_from_slice(origin);
        for list in [&mut self.count, &mut self.mean, &mut self.spread] {
            list.clear();
            list.resize(features, 0.0);
        }
        self.min.clear();
        self.min.resize(features, f64::INFINITY);
        self.max.clear();
        self.max.resize(features, f64::NEG_INFINITY);
        (self.zeros, self.not_finite, self.first_not_finite) = (0, 0, None);
    }

    /// Takes the extremes of a row's unscaled numbers, and counts.
    fn look_at(&mut self, row: usize, numbers: &[f64]) {
        // Without a branch for each number, these are vectorized.
        let infinite = numbers.iter().filter(|number| !number.is_finite()).count();
        self.zeros += numbers.iter().filter(|&&number| number == 0.0).count() as u64;
        if infinite > 0 {
            self.not_finite += infinite as u64;
            let feature = numbers.iter().position(|number| !number.is_finite());
            let first = feature.map(|feature| (row, feature));
            self.first_not_finite = self.first_not_finite.or(first);
        }
        let extremes = self.min.iter_mut().zip(&mut self.max);
        for ((min, max), &number) in extremes.zip(numbers) {
            let (low, high) = match number.is_finite() {
                true => (number, number),
                false => (f64::INFINITY, f64::NEG_INFINITY),
            };
            *min = if low < *min { low } else { *min };
            *max = if high > *max { high } else { *max };
        }
    }

    /// Takes the means and spreads of rows, of which nothing else has been summed.
    fn add(&mut self, numbers: &[f64]) {
        let features = self.count.len();
        let Sums { count, origin, mean, spread, .. } = self;
        let origin = &origin[..];
        for row in numbers.chunks_exact(features) {
            for (((sum, count), &number), origin) in
                mean.iter_mut().zip(&mut *count).zip(row).zip(origin)
            {
                let is_finite = number.is_finite();
                *sum += if is_finite { number - origin } else { 0.0 };
                *count += f64::from(u8::from(is_finite));
            }
        }
        for (mean, &count) in mean.iter_mut().zip(&*count) {
            *mean = if count > 0.0 { *mean / count } else { 0.0 };
        }
        let mut rest = vec![0.0; features];
        for row in numbers.chunks_exact(features) {
            for ((((rest, spread), &number), mean), origin) in
                rest.iter_mut().zip(&mut *spread).zip(row).zip(&*mean).zip(origin)
            {
                let difference = if number.is_finite() { number - origin - mean } else { 0.0 };
                *rest += difference;
                *spread += difference * difference;
            }
        }
        for (((rest, spread), mean), &count) in rest.iter().zip(spread).zip(mean).zip(&*count) {
            if count > 0.0 {
                // What rounding the mean has left.
                *spread = (*spread - rest * rest / count).max(0.0);
                *mean += rest / count;
            }
        }
    }

    /// Adds what is known of the rows that follow.
    fn merge(&mut self, next: &Sums) {
        for at in 0..self.count.len() {
            self.merge_feature(at, next, at);
        }
        self.zeros += next.zeros;
        self.not_finite += next.not_finite;
        self.first_not_finite = self.first_not_finite.or(next.first_not_finite);
    }

    fn merge_feature(&mut self, at: usize, other: &Sums, feature: usize) {
        self.min[at] = self.min[at].min(other.min[feature]);
        self.max[at] = self.max[at].max(other.max[feature]);
        let (before, more) = (self.count[at], other.count[feature]);
        if more == 0.0 {
            return;
        }
        let all = before + more;
        let shift = other.origin[feature] - self.origin[at];
        let difference = other.mean[feature] + shift - self.mean[at];
        self.mean[at] += difference * (more / all);
        self.spread[at] += other.spread[feature] + difference * difference * (before * more / all);
        self.count[at] = all;
    }

    /// The same with the numbers of all features as those of one.
    fn together(&self) -> Sums {
        let mut all = Sums::new(&self.origin[..1]);
        for feature in 0..self.count.len() {
            all.merge_feature(0, self, feature);
        }
        all
    }

    /// Means and standard deviations of the numbers before they were scaled.
    fn moments(&self, scales: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mean = |at: usize| {
            let mean = (self.origin[at] + self.mean[at]) / scales[at];
            // A mean of no numbers has no bounds.
            if self.count[at] > 0.0 { mean.clamp(self.min[at], self.max[at]) } else { f64::NAN }
        };
        let deviation = |at: usize| {
            let deviation = (self.spread[at] / self.count[at]).sqrt() / scales[at];
            match self.min[at] == self.max[at] {
                true => 0.0,
                // Not 0, though it may be less than any number is.
                false => deviation.max(f64::from_bits(1)),
            }
        };
        let each = 0..self.count.len();
        (each.clone().map(mean).collect(), each.map(deviation).collect())
    }
}
