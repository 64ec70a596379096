//! Probes: how many labels simple classifiers read from codes.

use sae_kernels::{Matrix, MatrixMut, gemm};

use crate::compute::Engine;
use crate::error::{Error, Result};

/// The shares of the test samples whose labels are found from their codes, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Probe {
    /// By a linear classifier, fitted to the training samples by ridge regression: the class with
    /// the largest output.
    pub linear: f64,
    /// By the label of the nearest training sample (Euclidean).
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

/// The ridge, relative to the mean of the codes' squares.
const RIDGE: f64 = 1e-4;
/// Test samples whose distances are computed at a time.
const CHUNK: usize = 256;

/// Fits classifiers to the codes and labels of training samples, and tests them on others; a code has
/// `units` numbers.
///
/// # Errors
/// [`Error::Shape`] if there are no samples, or not as many labels as codes.
pub fn probe(
    engine: &mut Engine,
    units: usize,
    training: Labeled<'_>,
    test: Labeled<'_>,
) -> Result<Probe> {
    for (name, Labeled { codes, labels }) in [("training", training), ("test", test)] {
        if labels.is_empty() || codes.len() != labels.len() * units {
            let (have, want) = (codes.len(), labels.len() * units);
            return Err(Error::Shape(format!(
                "{name}: {have} numbers of codes; {want} were expected, {units} for each label"
            )));
        }
    }
    let found = |labels: Vec<u8>| {
        let right = labels.iter().zip(test.labels).filter(|(a, b)| a == b).count();
        right as f64 / test.labels.len() as f64
    };
    let linear = found(linear(engine, units, training, test.codes));
    let nearest = found(nearest(engine, units, training, test.codes));
    Ok(Probe { linear, nearest })
}

/// The product c = a b, on one thread.
fn product(engine: &Engine, a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let (rows, cols) = (a.shape().0, b.shape().1);
    let mut c = vec![0.0; rows * cols];
    let out = MatrixMut::new(&mut c, rows, cols);
    engine.scratch.with(0, |scratch| gemm(engine.isa, a, b, out, scratch));
    c
}

/// The labels by ridge regression: (C^T C + r) W = C^T Y, with a column of ones for the biases, solved by
/// Cholesky.
fn linear(engine: &Engine, units: usize, training: Labeled<'_>, test: &[f32]) -> Vec<u8> {
    let width = units + 1;
    let with_one = |codes: &[f32]| -> Vec<f32> {
        codes.chunks(units).flat_map(|code| code.iter().copied().chain([1.0])).collect()
    };
    let (codes, n) = (with_one(training.codes), training.labels.len());
    let classes = usize::from(training.labels.iter().copied().max().unwrap_or(0)) + 1;
    let mut targets = vec![0.0; n * classes];
    for (row, &label) in targets.chunks_mut(classes).zip(training.labels) {
        row[usize::from(label)] = 1.0;
    }
    let transposed = Matrix::new(&codes, n, width).transposed();
    let mut squares: Vec<f64> = product(engine, transposed, Matrix::new(&codes, n, width))
        .into_iter()
        .map(f64::from)
        .collect();
    let right = product(engine, transposed, Matrix::new(&targets, n, classes));
    let mean = (0..width).map(|i| squares[i * width + i]).sum::<f64>() / width as f64;
    (0..width).for_each(|i| squares[i * width + i] += RIDGE * mean + f64::MIN_POSITIVE);
    let weights = solve(squares, &right, width, classes);

    let codes = with_one(test);
    let rows = codes.len() / width;
    let outputs =
        product(engine, Matrix::new(&codes, rows, width), Matrix::new(&weights, width, classes));
    outputs.chunks(classes).map(|row| largest(row) as u8).collect()
}

/// The index of the largest number, the first of equal ones.
fn largest(row: &[f32]) -> usize {
    let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (0..row.len()).fold(0, better)
}

/// Solves A X = B for a positive definite A `[n, n]` and B `[n, columns]`.
fn solve(mut a: Vec<f64>, b: &[f32], n: usize, columns: usize) -> Vec<f32> {
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
    let mut x: Vec<f64> = b.iter().map(|&b| b.into()).collect();
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
    x.into_iter().map(|x| x as f32).collect()
}

/// The label of the nearest training sample, the first of equally near ones: the one with the largest
/// c y - |y|^2 / 2.
fn nearest(engine: &mut Engine, units: usize, training: Labeled<'_>, test: &[f32]) -> Vec<u8> {
    let n = training.labels.len();
    let known = Matrix::new(training.codes, n, units).transposed();
    let square = |code: &[f32]| code.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let halves: Vec<f32> =
        training.codes.chunks(units).map(|code| (0.5 * square(code)) as f32).collect();
    let mut labels = Vec::with_capacity(test.len() / units);
    for chunk in test.chunks(CHUNK * units) {
        let rows = chunk.len() / units;
        let mut scores = product(engine, Matrix::new(chunk, rows, units), known);
        for row in scores.chunks_mut(n) {
            row.iter_mut().zip(&halves).for_each(|(score, half)| *score -= half);
            labels.push(training.labels[largest(row)]);
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::ThreadPool;
    use sae_kernels::Isa;

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
        let wrong = Labeled { codes: &codes[1..], labels: &labels };
        assert!(probe(&mut engine, 2, wrong, all).is_err());
    }

    #[test]
    fn solving_inverts_the_product() {
        let a = vec![4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0];
        let x = [1.0, -2.0, 0.25, 3.0, -1.0, 0.5];
        let mut b = [0.0f32; 6];
        for i in 0..3 {
            for j in 0..2 {
                b[i * 2 + j] = (0..3).map(|k| a[i * 3 + k] * x[k * 2 + j]).sum::<f64>() as f32;
            }
        }
        for (have, want) in solve(a, &b, 3, 2).into_iter().zip(x) {
            assert!((f64::from(have) - want).abs() < 1e-5, "{have} {want}");
        }
    }
}
