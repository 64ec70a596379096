//! What is counted of each unit while samples pass through a network.
//!
//! Units are divided among the threads, and each looks at the samples in their order: sums have one
//! order for any number of threads, and nothing is merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::LazyLock;

use sae_kernels::{Division, Lists};

use super::summary::{TopSample, UnitOptions, UnitSummary};
use crate::analysis::histogram::Histogram;
use crate::compute::{Engine, divided, lock};
use crate::error::{Error, Result};
use crate::network::activity::is_dead;
use crate::settings::Settings;

/// The work on one activation, some 5 ns, in multiply-adds.
const WORK: usize = 100;
/// Parts of a layer per thread, for units that are active more often than others.
const PARTS: usize = 4;

/// The counts of a layer's units.
pub(super) struct Tally<'a> {
    threshold: f32,
    top: usize,
    labels: Option<&'a [u8]>,
    /// One more than the largest label.
    classes: usize,
    /// Samples that were counted.
    samples: usize,
    units: Vec<Unit>,
    /// Of each unit: samples in each bin, `[units, Bins::COUNT]`.
    bins: Vec<u64>,
    /// Of each unit: samples of each label, `[units, classes]`.
    label_counts: Vec<u64>,
}

/// What is known of a unit. (Bins and labels are apart: this fits in a cache line.)
#[derive(Clone)]
struct Unit {
    active: u64,
    /// Over the samples in which it is active.
    sum: f64,
    /// Smallest and largest activation; of a sparse code without those that are 0.
    low: f32,
    high: f32,
    /// Bits of the |a| above which a sample is one of the top samples.
    floor: u32,
    top: BinaryHeap<Reverse<Candidate>>,
}

/// A sample that may be one of a unit's top samples. The order is that of |a|; of equal ones the smaller
/// sample is greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Bits of |a|, which have the order of the numbers.
    magnitude: u32,
    sample: Reverse<usize>,
    is_negative: bool,
}

impl Candidate {
    fn top_sample(self) -> TopSample {
        let magnitude = f32::from_bits(self.magnitude);
        let activation = if self.is_negative { -magnitude } else { magnitude };
        TopSample { sample: self.sample.0, activation }
    }
}

/// The units of a part, which one thread counts at a time.
struct Part<'a> {
    threshold: f32,
    top: usize,
    classes: usize,
    units: &'a mut [Unit],
    bins: &'a mut [u64],
    labels: &'a mut [u64],
}

/// A sample and its label, if there are labels.
#[derive(Clone, Copy)]
struct Sample {
    number: usize,
    label: Option<usize>,
}

impl Part<'_> {
    /// Counts an activation, which may be NaN.
    #[inline]
    fn add(&mut self, at: usize, a: f32, sample: Sample) {
        let magnitude = a.abs();
        // False for NaN.
        if magnitude > self.threshold {
            self.add_active(at, a, sample);
        }
    }

    fn add_active(&mut self, at: usize, a: f32, sample: Sample) {
        let unit = &mut self.units[at];
        unit.active += 1;
        unit.sum += f64::from(a);
        let magnitude = a.abs();
        self.bins[at * Bins::COUNT + BINS.of(magnitude)] += 1;
        if let Some(label) = sample.label {
            self.labels[at * self.classes + label] += 1;
        }
        let magnitude = magnitude.to_bits();
        if magnitude <= unit.floor {
            return;
        }
        // Samples rise: one of an |a| that is in the list already comes behind it.
        let (is_negative, sample) = (a < 0.0, Reverse(sample.number));
        if unit.top.len() == self.top {
            unit.top.pop();
        }
        unit.top.push(Reverse(Candidate { magnitude, sample, is_negative }));
        if unit.top.len() == self.top {
            unit.floor = unit.top.peek().map_or(0, |smallest| smallest.0.magnitude);
        }
    }
}

impl<'a> Tally<'a> {
    /// Fails if the counts do not fit in memory.
    pub fn new(
        units: usize,
        threshold: f32,
        samples: usize,
        options: &UnitOptions<'a>,
    ) -> Result<Self> {
        let top = options.top.min(samples);
        let labels = options.labels;
        let largest = labels.and_then(|labels| labels.iter().max());
        let classes = largest.map_or(0, |&label| usize::from(label) + 1);
        // The lists grow as they are filled; what they may become is asked for, and given back.
        let mut list: Vec<Candidate> = Vec::new();
        let reserved = list.try_reserve_exact(top.saturating_mul(units));
        if reserved.is_err() {
            let problem = format!("{top} samples for each of {units} units do not fit in memory");
            return Err(Error::setting("top", problem));
        }
        let unit = Unit {
            active: 0,
            sum: 0.0,
            low: f32::INFINITY,
            high: f32::NEG_INFINITY,
            floor: if top == 0 { u32::MAX } else { 0 },
            top: BinaryHeap::new(),
        };
        Ok(Tally {
            threshold,
            top,
            labels,
            classes,
            samples: 0,
            units: vec![unit; units],
            bins: vec![0; units * Bins::COUNT],
            label_counts: vec![0; units * classes],
        })
    }

    /// Samples that were counted.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Counts the sparse codes of the next samples.
    pub fn add_lists(&mut self, engine: &mut Engine, codes: Lists<'_>) {
        let work = (0..codes.rows()).map(|sample| codes.row(sample).0.len()).sum::<usize>();
        let work = WORK * work / self.units.len().max(1);
        self.run(engine, codes.rows(), work, |part, range, row, sample| {
            let (units, activations) = codes.row(row);
            let start = units.partition_point(|&unit| (unit as usize) < range.start);
            for (&unit, &a) in units[start..].iter().zip(&activations[start..]) {
                if unit as usize >= range.end {
                    break;
                }
                let at = unit as usize - range.start;
                let counts = &mut part.units[at];
                (counts.low, counts.high) = (counts.low.min(a), counts.high.max(a));
                part.add(at, a, sample);
            }
        });
        // What a list leaves out is 0.
    }

    /// Counts the activations of the next samples, `[n, units]`.
    pub fn add_rows(&mut self, engine: &mut Engine, activations: &[f32]) {
        let width = self.units.len();
        let rows = activations.len() / width;
        self.run(engine, rows, WORK * rows, |part, range, row, sample| {
            let row = &activations[row * width..(row + 1) * width];
            for (at, &a) in row[range.clone()].iter().enumerate() {
                let unit = &mut part.units[at];
                (unit.low, unit.high) = (unit.low.min(a), unit.high.max(a));
                part.add(at, a, sample);
            }
        });
    }

    /// Calls `add(part, units, row, sample)` for every part of the units and each of the next samples;
    /// parts are divided among the threads. `work` is that on one unit.
    fn run(
        &mut self,
        engine: &mut Engine,
        rows: usize,
        work: usize,
        add: impl Fn(&mut Part<'_>, &Range<usize>, usize, Sample) + Sync,
    ) {
        let count = self.units.len();
        let parts = engine.divide(count, work).parts();
        let parts = if parts > 1 { PARTS * engine.threads() } else { 1 };
        let division = Division::new(count, 8, parts);
        let units = divided(&mut self.units, 1, division);
        let bins = divided(&mut self.bins, Bins::COUNT, division);
        let counts = divided(&mut self.label_counts, self.classes, division);
        let (threshold, top, classes) = (self.threshold, self.top, self.classes);
        let (labels, first) = (self.labels, self.samples);
        engine.pool.run(division.parts(), |part, _| {
            let range = division.range(part);
            let (mut units, mut bins) = (lock(&units[part]), lock(&bins[part]));
            let mut labels_of_part = lock(&counts[part]);
            let (units, bins, of_labels) = (&mut **units, &mut **bins, &mut **labels_of_part);
            let mut part = Part { threshold, top, classes, units, bins, labels: of_labels };
            for row in 0..rows {
                let number = first + row;
                let label = labels.map(|labels| usize::from(labels[number]));
                add(&mut part, &range, row, Sample { number, label });
            }
        });
        self.samples += rows;
    }

    /// The summaries after all samples, without what is known from weights; `sums` are those of the
    /// activations of each unit.
    pub fn summaries(self, settings: &Settings, layer: usize, sums: &[f64]) -> Vec<UnitSummary> {
        let n = self.samples as f64;
        let samples = self.samples as u64;
        let is_sparse = settings.is_gated(layer);
        let mut bins = self.bins.chunks_exact(Bins::COUNT);
        let mut label_counts = self.label_counts.chunks_exact(self.classes.max(1));
        let summary = |(number, (unit, sum)): (usize, (Unit, &f64))| {
            let Unit { active, mut low, mut high, .. } = unit;
            if is_sparse && active < samples {
                (low, high) = (low.min(0.0), high.max(0.0));
            }
            let top = unit.top.into_sorted_vec();
            let top: Vec<TopSample> =
                top.into_iter().map(|candidate| candidate.0.top_sample()).collect();
            let largest = if high.abs() >= low.abs() { high } else { low };
            let counts = bins.next().map_or(Vec::new(), <[u64]>::to_vec);
            UnitSummary {
                unit: number,
                active,
                frequency: active as f64 / n,
                mean: (sum / n) as f32,
                mean_active: unit.sum / active as f64,
                max: if active == 0 { 0.0 } else { largest },
                is_dead: is_dead(settings, layer, low, high),
                histogram: Bins::histogram(counts, samples - active),
                labels: label_counts.next().map_or(Vec::new(), <[u64]>::to_vec),
                top,
                norm_in: 0.0,
                norm_out: 0.0,
                nearest: None,
            }
        };
        self.units.into_iter().zip(sums).enumerate().map(summary).collect()
    }
}

/// The bins of log10 of positive numbers, from -4 to 4 in steps of an eighth.
struct Bins {
    /// The upper end of each bin, which is in it; that of the last has no limit.
    ends: [f32; Bins::COUNT],
    /// Of the numbers whose first bits these are: the bin of the smallest of them. A bin is a factor of
    /// 1.33 wide and such numbers differ by 1.0625 at most, so all are in this bin or the next.
    first: Vec<u8>,
}

static BINS: LazyLock<Bins> = LazyLock::new(Bins::new);

impl Bins {
    const COUNT: usize = 64;
    /// Bits that decide within a power of two: 4 of the mantissa.
    const SHIFT: u32 = f32::MANTISSA_DIGITS - 1 - 4;

    fn new() -> Self {
        /// 10^(i / 8). (Literals: `powf` is not the same everywhere.)
        #[allow(clippy::excessive_precision)]
        const ROOTS: [f64; 8] = [
            1.0,
            1.333_521_432_163_324_0,
            1.778_279_410_038_922_8,
            2.371_373_705_661_655_3,
            3.162_277_660_168_379_3,
            4.216_965_034_285_822_2,
            5.623_413_251_903_490_8,
            7.498_942_093_324_558_3,
        ];
        const DECADES: [f64; 8] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3];
        let end = |bin: usize| match bin + 1 {
            Self::COUNT => f32::INFINITY,
            next => (DECADES[next / 8] * ROOTS[next % 8]) as f32,
        };
        let ends: [f32; Self::COUNT] = std::array::from_fn(end);
        let bin = |bits: u32| {
            let smallest = f32::from_bits(bits << Self::SHIFT);
            ends.partition_point(|&end| end < smallest).min(Self::COUNT - 1) as u8
        };
        let first = (0..=f32::INFINITY.to_bits() >> Self::SHIFT).map(bin).collect();
        Bins { ends, first }
    }

    /// The bin of a number that is not negative and not NaN.
    fn of(&self, magnitude: f32) -> usize {
        let first = usize::from(self.first[(magnitude.to_bits() >> Self::SHIFT) as usize]);
        first + usize::from(magnitude > self.ends[first])
    }

    fn histogram(counts: Vec<u64>, zeros: u64) -> Histogram {
        Histogram { low: -4.0, high: 4.0, counts, zeros }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_bins_of_their_logarithms() {
        let slow = |x: f32| BINS.ends.iter().position(|&end| x <= end).unwrap();
        let mut x = 1e-6f32;
        while x < 1e6 {
            assert_eq!(BINS.of(x), slow(x), "{x}");
            x *= 1.000_7;
        }
        for (bin, &end) in BINS.ends.iter().enumerate().take(63) {
            assert_eq!((BINS.of(end), BINS.of(end.next_up())), (bin, bin + 1));
            let exponent = f64::from(end).log10() * 8.0 + 32.0;
            assert!((exponent - (bin + 1) as f64).abs() < 1e-5, "{bin}: {end}");
        }
        for (x, bin) in [
            (f32::from_bits(1), 0),
            (1e-4, 0),
            (1.0, 31),
            (1.1, 32),
            (1e4, 63),
            (f32::MAX, 63),
            (f32::INFINITY, 63),
        ] {
            assert_eq!(BINS.of(x), bin, "{x}");
        }
    }
}
