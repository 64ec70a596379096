//! Probes: how many labels simple classifiers read from codes.

use sae_kernels::{Isa, Matrix, MatrixMut, Scratch, gemm};

use crate::compute::{Engine, divided, lock};
use crate::error::{Error, Result};

/// The shares of the test samples whose labels are found from their codes, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Probe {
    /// By a linear classifier, fitted to the training samples by ridge regression: the class with
    /// the largest output.
    ///
    /// Each unit is scaled to mean 0 and deviation 1 over the training samples, so neither its offset
    /// nor its range matters; the biases are not penalized.
    pub linear: f64,
    /// By the label of the nearest training sample (Euclidean), the first of equally near ones.
    ///
    /// Distances are sums of squared differences, in `f64`.
    pub nearest: f64,
}

/// Codes of samples, `[samples, units]`, and a label for each.
#[derive(Clone, Copy, Debug)]
pub struct Labeled<'a> {
    /// The codes, row-major.
    pub codes: &'a [f32],
    /// One label per sample.
    pub labels: &'a [u8],
}

/// The ridge, relative to the sum of each unit's squares once it has deviation 1.
const RIDGE: f64 = 1e-4;
/// Samples of which a product is made at a time; sums over more are in `f64`.
const CHUNK: usize = 256;

/// Fits classifiers to the codes and labels of training samples, and tests them on others; a code has
/// `units` numbers.
///
/// # Errors
/// [`Error::Setting`] if a code has no units. [`Error::Shape`] if there are no training or no test
/// samples, not as many codes as labels, or a code has a number that is not finite.
pub fn probe(
    engine: &mut Engine,
    units: usize,
    training: Labeled<'_>,
    test: Labeled<'_>,
) -> Result<Probe> {
    if units == 0 {
        return Err(Error::setting("units", "expected codes of at least 1 unit, got 0"));
    }
    check("training", units, training)?;
    check("test", units, test)?;
    let found = |labels: Vec<u8>| {
        let right = labels.iter().zip(test.labels).filter(|(a, b)| a == b).count();
        right as f64 / test.labels.len() as f64
    };
    let linear = found(linear(engine, units, training, test.codes));
    let nearest = found(nearest(engine, units, training, test.codes));
    Ok(Probe { linear, nearest })
}

fn check(name: &str, units: usize, samples: Labeled<'_>) -> Result<()> {
    let Labeled { codes, labels } = samples;
    if labels.is_empty() {
        return Err(Error::Shape(format!(
            "{name} samples of the probe: expected at least one label, got none"
        )));
    }
    if labels.len().checked_mul(units) != Some(codes.len()) {
        return Err(Error::Shape(format!(
            "{name} samples of the probe: expected a code of {units} numbers for each of {} labels, \
             got {} numbers",
            labels.len(),
            codes.len()
        )));
    }
    match codes.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::Shape(format!(
            "{name} samples of the probe: expected finite numbers, got {} for unit {} of sample {}",
            codes[at],
            at % units,
            at / units
        ))),
    }
}

/// The product c = a b.
fn product(isa: Isa, scratch: &mut Scratch<'_>, a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
    gemm(isa, a, b, MatrixMut::new(c, a.shape().0, b.shape().1), scratch);
}

/// Mean and deviation of each unit over codes.
struct Standard {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Standard {
    fn of(codes: &[f32], units: usize) -> Self {
        let n = (codes.len() / units) as f64;
        // Relative to the first code, so that a constant unit has exactly the deviation 0.
        let first: Vec<f64> = codes[..units].iter().map(|&x| x.into()).collect();
        let mut means = vec![0.0; units];
        let mut squares = vec![0.0; units];
        for code in codes.chunks(units) {
            for ((mean, &x), first) in means.iter_mut().zip(code).zip(&first) {
                *mean += f64::from(x) - first;
            }
        }
        means.iter_mut().for_each(|mean| *mean /= n);
        for code in codes.chunks(units) {
            for (((square, &x), first), mean) in
                squares.iter_mut().zip(code).zip(&first).zip(&means)
            {
                let difference = f64::from(x) - first - mean;
                *square += difference * difference;
            }
        }
        means.iter_mut().zip(first).for_each(|(mean, first)| *mean += first);
        let deviations = squares.into_iter().map(|square| (square / n).sqrt()).collect();
        Standard { means, deviations }
    }

    /// The code's numbers with mean 0 and deviation 1; 0 where a unit is constant.
    fn apply<'a>(&'a self, code: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let units = self.means.iter().zip(&self.deviations);
        code.iter().zip(units).map(|(&x, (mean, &deviation))| {
            if deviation > 0.0 { (f64::from(x) - mean) / deviation } else { 0.0 }
        })
    }
}

/// The labels by ridge regression: (Z^T Z + r) W = Z^T Y for the standardized codes Z, solved by
/// Cholesky; the outputs are Z W plus each class's share of the samples.
fn linear(engine: &Engine, units: usize, training: Labeled<'_>, test: &[f32]) -> Vec<u8> {
    let Labeled { codes, labels } = training;
    let n = labels.len() as f64;
    let classes = usize::from(labels.iter().copied().max().unwrap_or(0)) + 1;
    let standard = Standard::of(codes, units);
    let mut squares = vec![0.0; units * units];
    let mut right = vec![0.0; units * classes];
    let mut of_chunk = vec![0.0; units * units];
    for (codes, labels) in codes.chunks(CHUNK * units).zip(labels.chunks(CHUNK)) {
        let z: Vec<f32> =
            codes.chunks(units).flat_map(|code| standard.apply(code).map(|z| z as f32)).collect();
        let matrix = Matrix::new(&z, labels.len(), units);
        engine.scratch.with(0, |scratch| {
            product(engine.isa, scratch, matrix.transposed(), matrix, &mut of_chunk);
        });
        squares.iter_mut().zip(&of_chunk).for_each(|(sum, &more)| *sum += f64::from(more));
        for (z, &label) in z.chunks(units).zip(labels) {
            let of_class = right[usize::from(label)..].iter_mut().step_by(classes);
            of_class.zip(z).for_each(|(sum, &z)| *sum += f64::from(z));
        }
    }
    (0..units).for_each(|i| squares[i * units + i] += RIDGE * n);
    let weights = solve(squares, right, units, classes);
    let mut biases = vec![0.0; classes];
    labels.iter().for_each(|&label| biases[usize::from(label)] += 1.0 / n);

    let mut outputs = vec![0.0; classes];
    let label = |code: &[f32]| {
        outputs.copy_from_slice(&biases);
        for (z, weights) in standard.apply(code).zip(weights.chunks(classes)) {
            outputs.iter_mut().zip(weights).for_each(|(output, weight)| *output += z * weight);
        }
        largest(&outputs) as u8
    };
    test.chunks(units).map(label).collect()
}

/// The index of the largest number, the first of equal ones.
fn largest(row: &[f64]) -> usize {
    let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (0..row.len()).fold(0, better)
}

/// Solves A X = B for a positive definite A `[n, n]` and B `[n, columns]`.
fn solve(mut a: Vec<f64>, b: Vec<f64>, n: usize, columns: usize) -> Vec<f64> {
    // A = L L^T, L in the lower half.
    for j in 0..n {
        for i in j..n {
            let (row_i, row_j) = (&a[i * n..i * n + j], &a[j * n..j * n + j]);
            let sum: f64 = row_i.iter().zip(row_j).map(|(x, y)| x * y).sum();
            let value = a[i * n + j] - sum;
            a[i * n + j] =
                if i == j { value.max(f64::MIN_POSITIVE).sqrt() } else { value / a[j * n + j] };
        }
    }
    let mut x = b;
    for column in 0..columns {
        for i in 0..n {
            let sum: f64 = (0..i).map(|k| a[i * n + k] * x[k * columns + column]).sum();
            x[i * columns + column] = (x[i * columns + column] - sum) / a[i * n + i];
        }
        for i in (0..n).rev() {
            let sum: f64 = (i + 1..n).map(|k| a[k * n + i] * x[k * columns + column]).sum();
            x[i * columns + column] = (x[i * columns + column] - sum) / a[i * n + i];
        }
    }
    x
}

/// The label of the nearest training sample, the first of equally near ones; test samples are divided
/// among the threads.
///
/// A product in `f32` gives the squared distances up to a bound of its rounding errors; what may be the
/// nearest by that is compared in `f64`.
fn nearest(engine: &mut Engine, units: usize, training: Labeled<'_>, test: &[f32]) -> Vec<u8> {
    let known = Known::new(units, training);
    let mut labels = vec![0; test.len() / units];
    let n = training.labels.len();
    let division = engine.divide(labels.len(), n * units);
    let parts = divided(&mut labels, 1, division);
    let Engine { isa, pool, scratch, .. } = engine;
    pool.run(division.parts(), |part, thread| {
        let mut labels = lock(&parts[part]);
        let range = division.range(part);
        let codes = &test[range.start * units..range.end * units];
        // Enough rows for a product to be fast; at some 16 MB of scores, they are few.
        let rows = ((1 << 22) / n).clamp(16, CHUNK);
        let mut scores = vec![0.0; rows * n];
        for (codes, labels) in codes.chunks(rows * units).zip(labels.chunks_mut(rows)) {
            let queries: Vec<f32> =
                codes.chunks(units).flat_map(|code| known.scaled(code)).collect();
            let queries = Matrix::new(&queries, labels.len(), units);
            let points = Matrix::new(&known.points, n, units).transposed();
            let scores = &mut scores[..labels.len() * n];
            scratch.with(thread, |scratch| product(*isa, scratch, queries, points, scores));
            let rows = codes.chunks(units).zip(scores.chunks(n)).enumerate();
            for (row, (code, scores)) in rows {
                labels[row] = training.labels[known.nearest(code, queries.row(row), scores)];
            }
        }
    });
    drop(parts);
    labels
}

/// Training samples, to find the nearest of.
struct Known<'a> {
    units: usize,
    codes: &'a [f32],
    /// Of each unit, what is subtracted before the rest.
    center: Vec<f64>,
    /// A power of two that brings the centered codes into [-1, 1].
    scale: f64,
    /// The codes, centered and scaled.
    points: Vec<f32>,
    /// |point| of each.
    lengths: Vec<f64>,
}

impl<'a> Known<'a> {
    fn new(units: usize, training: Labeled<'a>) -> Self {
        let codes = training.codes;
        let center = Standard::of(codes, units).means;
        let distance = |code: &[f32]| {
            let differences =
                code.iter().zip(&center).map(|(&x, mean)| (f64::from(x) - mean).abs());
            differences.fold(0.0, f64::max)
        };
        let far = codes.chunks(units).map(distance).fold(0.0, f64::max);
        let scale = if far > 0.0 { (-far.log2().ceil()).exp2() } else { 1.0 };
        let mut known =
            Known { units, codes, center, scale, points: Vec::new(), lengths: Vec::new() };
        let points = codes.chunks(units).flat_map(|code| known.scaled(code));
        known.points = points.collect();
        known.lengths = known.points.chunks(units).map(length).collect();
        known
    }

    /// A code, centered and scaled. One that is far from all training samples is brought nearer; its
    /// scores then say nothing, see [`Known::nearest`].
    fn scaled(&self, code: &[f32]) -> impl Iterator<Item = f32> {
        let centered = code.iter().zip(&self.center).map(|(&x, mean)| f64::from(x) - mean);
        centered.map(|x| (x * self.scale).clamp(-FAR, FAR) as f32)
    }

    /// The training sample that is nearest to a code, of which `query` is the scaled one and `scores`
    /// are the products with all points.
    ///
    /// The nearest has the largest query * point - |point|^2 / 2. The error of that is at most
    /// `units` roundings of the sum of |query| |point|, one of each number, and what is lost below
    /// the smallest normal number.
    fn nearest(&self, code: &[f32], query: &[f32], scores: &[f32]) -> usize {
        let count = (self.units + 8) as f64;
        let is_far = query.iter().any(|&x| f64::from(x.abs()) >= FAR);
        let query = length(query);
        let bounds = |(&score, &point): (&f32, &f64)| {
            if is_far {
                return (f64::NEG_INFINITY, f64::INFINITY);
            }
            let half = 0.5 * point * point;
            let rounding = f64::from(f32::EPSILON) * (query * point + half);
            let error = count * (rounding + f64::from(f32::MIN_POSITIVE) * (1.0 + query));
            let value = f64::from(score) - half;
            (value - error, value + error)
        };
        let pairs = || scores.iter().zip(&self.lengths);
        let sure = pairs().map(|pair| bounds(pair).0).fold(f64::NEG_INFINITY, f64::max);
        let (mut best, mut least) = (0, f64::INFINITY);
        for (at, pair) in pairs().enumerate() {
            if bounds(pair).1 < sure {
                continue;
            }
            let distance = distance(code, &self.codes[at * self.units..(at + 1) * self.units]);
            if distance < least {
                (best, least) = (at, distance);
            }
        }
        best
    }
}

/// Beyond this, in units of the farthest training sample, a test sample is compared with all of them.
const FAR: f64 = 1e9;

fn length(code: &[f32]) -> f64 {
    code.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// The squared distance of two codes.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let difference = |(&a, &b)| f64::from(a) - f64::from(b);
    a.iter().zip(b).map(difference).map(|x: f64| x * x).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::ThreadPool;

    #[test]
    fn linear_and_nearest_classifiers_find_the_labels() {
        let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(1));
        // Labels 0, 1, 2 along the first number; the second says nothing.
        let code =
            |i: usize| [(i % 3) as f32 + 0.1 * (i % 7) as f32 / 7.0, (i * 5 % 11) as f32 / 11.0];
        let codes: Vec<f32> = (0..90).flat_map(code).collect();
        let labels: Vec<u8> = (0..90).map(|i| (i % 3) as u8).collect();
        let all = Labeled { codes: &codes, labels: &labels };
        let found = probe(&mut engine, 2, all, all).unwrap();
        assert_eq!(found.nearest, 1.0);
        // The class in the middle is nowhere the largest of a linear map: 0 and 2 are read.
        assert!(found.linear > 0.6, "{found:?}");
    }

    #[test]
    fn the_nearest_is_that_of_all_distances() {
        // Many points, some of them the same, near each other and far from 0.
        for (offset, step, units) in
            [(0.0f32, 0.25f32, 3), (1e4, 0.0625, 5), (-1e30, 1e24, 2), (1e-38, 1e-43, 4)]
        {
            let number = |at: usize| offset + step * (at * at % 1009 % 23) as f32;
            let known: Vec<f32> = (0..300 * units).map(number).collect();
            let labels: Vec<u8> = (0..300).map(|at| (at % 256) as u8).collect();
            let mut codes: Vec<f32> = (0..90 * units).map(|at| number(at * 7 + 3)).collect();
            // Nearer to 0, beyond all of them, and far away.
            codes.extend((0..units).map(|_| 0.0));
            codes.extend((0..units).map(|at| number(at) * 1.5));
            codes.extend((0..units).map(|_| 3e38));
            let training = Labeled { codes: &known, labels: &labels };
            let plain = codes.chunks(units).map(|code| {
                let distances = known.chunks(units).map(|point| distance(code, point));
                let best = distances.enumerate().reduce(|a, b| if b.1 < a.1 { b } else { a });
                labels[best.unwrap().0]
            });
            let plain: Vec<u8> = plain.collect();
            for threads in [1, 3] {
                let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(threads));
                assert_eq!(nearest(&mut engine, units, training, &codes), plain, "{offset}");
            }
        }
    }

    #[test]
    fn solving_inverts_the_product() {
        let a = vec![4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0];
        let x = [1.0, -2.0, 0.25, 3.0, -1.0, 0.5];
        let mut b = vec![0.0; 6];
        for i in 0..3 {
            for j in 0..2 {
                b[i * 2 + j] = (0..3).map(|k| a[i * 3 + k] * x[k * 2 + j]).sum::<f64>();
            }
        }
        for (have, want) in solve(a, b, 3, 2).into_iter().zip(x) {
            assert!((have - want).abs() < 1e-12, "{have} {want}");
        }
    }
}
