//! How reconstructions compare with samples: lengths and angles, and the variance of batches.

use sae_kernels::Matrix;

use crate::analysis::evaluation::Evaluation;
use crate::compute::{Engine, divided, lock};
use crate::data::feature::{Feature, add_columns};

/// The work on one number, some 2 ns, in multiply-adds.
pub(super) const WORK: usize = 50;

/// The squared lengths of a sample x and its reconstruction a, and their product.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lengths {
    /// |x|^2
    pub input: f64,
    /// |a|^2
    pub output: f64,
    /// x a
    pub product: f64,
}

impl Lengths {
    /// How many numbers they are.
    pub const NUMBERS: usize = 3;

    /// Those of a sample, each in four interleaved accumulators.
    pub fn of(x: &[f32], a: &[f32]) -> Self {
        const LANES: usize = 4;
        let mut sums = [[0.0; LANES]; Self::NUMBERS];
        let mut add = |lane: usize, x: f32, a: f32| {
            let (x, a) = (f64::from(x), f64::from(a));
            sums[0][lane] += x * x;
            sums[1][lane] += a * a;
            sums[2][lane] += x * a;
        };
        let ((x, x_rest), (a, a_rest)) = (x.as_chunks::<LANES>(), a.as_chunks::<LANES>());
        for (x, a) in x.iter().zip(a) {
            (0..LANES).for_each(|lane| add(lane, x[lane], a[lane]));
        }
        x_rest.iter().zip(a_rest).enumerate().for_each(|(lane, (&x, &a))| add(lane, x, a));
        Self::read(&sums.map(|sums| sums.iter().sum()))
    }

    pub fn write(self, numbers: &mut [f64]) {
        numbers.copy_from_slice(&[self.input, self.output, self.product]);
    }

    pub fn read(numbers: &[f64]) -> Self {
        Lengths { input: numbers[0], output: numbers[1], product: numbers[2] }
    }
}

/// Sums over samples, added in their order.
pub(super) struct Reconstructions {
    /// Of |a|^2 and of x a.
    outputs: f64,
    products: f64,
    cosines: Mean,
    ratios: Mean,
    pub batches: Batches,
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// NaN of no numbers.
    fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

impl Reconstructions {
    pub fn new(features: usize) -> Self {
        Reconstructions {
            outputs: 0.0,
            products: 0.0,
            cosines: Mean::default(),
            ratios: Mean::default(),
            batches: Batches::new(features),
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, of: Lengths) {
        self.outputs += of.output;
        self.products += of.product;
        if of.input > 0.0 {
            let (input, output) = (of.input.sqrt(), of.output.sqrt());
            self.ratios.add(output / input);
            if output > 0.0 {
                self.cosines.add((of.product / (input * output)).clamp(-1.0, 1.0));
            }
        }
    }

    pub fn cosine_similarity(&self) -> f64 {
        self.cosines.value()
    }

    pub fn l2_ratio(&self) -> f64 {
        self.ratios.value()
    }

    pub fn bias(&self) -> f64 {
        self.outputs / self.products
    }
}

/// The explained variance of batches of [`Evaluation::BATCH`] samples.
pub(super) struct Batches {
    /// Of the batch that is being filled: its samples, squared error and features.
    filled: usize,
    error: f64,
    features: Vec<Feature>,
    /// Of the whole batches that vary.
    whole: Mean,
    has_whole: bool,
}

impl Batches {
    fn new(features: usize) -> Self {
        Batches {
            filled: 0,
            error: 0.0,
            features: vec![Feature::default(); features],
            whole: Mean::default(),
            has_whole: false,
        }
    }

    /// Adds samples, `[samples, features]`, and the squared error of each.
    pub fn add(&mut self, engine: &mut Engine, x: Matrix<'_>, errors: impl Iterator<Item = f64>) {
        let (rows, mut errors, mut start) = (x.shape().0, errors, 0);
        while start < rows {
            let end = rows.min(start + Evaluation::BATCH - self.filled);
            let part = x.rows(start..end);
            add_features(engine, &mut self.features, [part, part], f64::from);
            self.error += errors.by_ref().take(end - start).sum::<f64>();
            self.filled += end - start;
            if self.filled == Evaluation::BATCH {
                self.has_whole = true;
                let share = self.explained();
                if !share.is_nan() {
                    self.whole.add(share);
                }
                (self.filled, self.error) = (0, 0.0);
                self.features.fill(Feature::default());
            }
            start = end;
        }
    }

    /// Of the batch that is being filled.
    fn explained(&self) -> f64 {
        explained(self.error, self.features.iter().map(|feature| feature.spread).sum())
    }

    /// The mean over the batches.
    pub fn mean(&self) -> f64 {
        if self.has_whole { self.whole.value() } else { self.explained() }
    }
}

/// Adds the sums over samples `x[samples, features]` to the features, and those of the outputs with `f`;
/// features are divided among the threads.
pub(super) fn add_features(
    engine: &mut Engine,
    features: &mut [Feature],
    [x, outputs]: [Matrix<'_>; 2],
    f: impl Fn(f32) -> f64 + Copy + Sync,
) {
    let division = engine.divide(features.len(), WORK * x.shape().0);
    let parts = divided(features, 1, division);
    engine.pool.run(division.parts(), |part, _| {
        let columns = division.range(part);
        let (x, outputs) = (x.columns(columns.clone()), outputs.columns(columns));
        add_columns(&mut lock(&parts[part]), x, outputs, f);
    });
}

/// The explained share of a variance; NaN where there is none.
pub(super) fn explained(squared_error: f64, spread: f64) -> f64 {
    if spread > 0.0 { 1.0 - squared_error / spread } else { f64::NAN }
}

pub(super) fn sigmoid(z: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(z)).exp())
}
