//! A feature's variance and reconstruction error over samples that come chunk by chunk.

use sae_kernels::Matrix;

/// Columns that are summed at a time: a cache line of each row.
const COLUMNS: usize = 16;

/// The sums of a feature, in `f64`.
///
/// The difference of the sum of squares and the square of the sum cancels where the mean is large
/// against the deviation. So each chunk's mean is taken first and then the squares around it, and
/// chunks are merged as Chan, Golub and LeVeque do (*Algorithms for computing the sample variance*,
/// 1983). All values are relative to the first one, which keeps the means short: a constant feature
/// has a spread of exactly 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feature {
    /// Samples so far.
    count: usize,
    /// The first value.
    origin: f32,
    /// The mean of the values, less the first one.
    mean: f64,
    /// The sum of (x - mean)^2.
    pub spread: f64,
    /// The sum of (a - x)^2.
    pub squared_error: f64,
}

impl Feature {
    /// The mean of the values.
    pub fn mean(&self) -> f64 {
        f64::from(self.origin) + self.mean
    }

    /// Adds `count` values of this mean, less the first one, and this spread.
    fn merge(&mut self, count: usize, mean: f64, spread: f64) {
        let (before, more) = (self.count as f64, count as f64);
        let all = before + more;
        let difference = mean - self.mean;
        self.mean += difference * (more / all);
        self.spread += spread + difference * difference * (before * more / all);
        self.count += count;
    }
}

/// Adds the rows of `x[samples, features]` to the features, and those of the outputs with `f`.
pub(crate) fn add_columns(
    features: &mut [Feature],
    x: Matrix<'_>,
    outputs: Matrix<'_>,
    f: impl Fn(f32) -> f64 + Copy,
) {
    let (blocks, rest) = features.as_chunks_mut::<COLUMNS>();
    let start = COLUMNS * blocks.len();
    for (block, features) in blocks.iter_mut().enumerate() {
        add_block(features, x, outputs, COLUMNS * block, f);
    }
    for (column, feature) in rest.iter_mut().enumerate() {
        add_block(std::array::from_mut(feature), x, outputs, start + column, f);
    }
}

/// The same for `N` features, the first of which is in this column.
fn add_block<const N: usize>(
    features: &mut [Feature; N],
    x: Matrix<'_>,
    outputs: Matrix<'_>,
    column: usize,
    f: impl Fn(f32) -> f64,
) {
    let rows = x.shape().0;
    let row = |matrix: Matrix<'_>, row: usize| -> [f32; N] {
        let numbers = matrix.row(row)[column..].first_chunk();
        *numbers.expect("the matrix has a column for each feature")
    };
    if features[0].count == 0 {
        let first = row(x, 0);
        features.iter_mut().zip(first).for_each(|(feature, x)| feature.origin = x);
    }
    let origins = features.each_ref().map(|feature| f64::from(feature.origin));
    let mut means = [0.0; N];
    for sample in 0..rows {
        let x = row(x, sample);
        for ((mean, x), origin) in means.iter_mut().zip(x).zip(origins) {
            *mean += f64::from(x) - origin;
        }
    }
    means.iter_mut().for_each(|mean| *mean /= rows as f64);
    let (mut spreads, mut errors) = ([0.0; N], [0.0; N]);
    for sample in 0..rows {
        let (x, outputs) = (row(x, sample), row(outputs, sample));
        for at in 0..N {
            let x = f64::from(x[at]);
            let deviation = x - origins[at] - means[at];
            spreads[at] += deviation * deviation;
            let error = f(outputs[at]) - x;
            errors[at] += error * error;
        }
    }
    for (at, feature) in features.iter_mut().enumerate() {
        feature.merge(rows, means[at], spreads[at]);
        feature.squared_error += errors[at];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spread of values that come in chunks of this length.
    fn spread(values: &[f32], chunk: usize) -> f64 {
        let mut features = [Feature::default()];
        for values in values.chunks(chunk) {
            let column = Matrix::new(values, values.len(), 1);
            add_columns(&mut features, column, column, f64::from);
        }
        assert_eq!(features[0].squared_error, 0.0);
        features[0].spread
    }

    #[test]
    fn offsets_and_lengths_do_not_matter() {
        for chunk in [1, 2, 7, 250] {
            for constant in [14.62, -1e-30, 1e8, f32::MAX, f32::MIN_POSITIVE, 0.0] {
                assert_eq!(spread(&vec![constant; 1000], chunk), 0.0, "{constant}");
            }
            let close = |values: &[f32], expected: f64| {
                let found = spread(values, chunk);
                assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected} {chunk}");
            };
            let two = |low: f32, high: f32, count: usize| -> Vec<f32> {
                (0..count).map(|at| if at % 2 == 0 { low } else { high }).collect()
            };
            close(&two(1e8, 1e8 + 8.0, 1000), 16_000.0);
            close(&two(-1e38, 1e38, 100), f64::from(1e38f32).powi(2) * 100.0);
            close(
                &two(1e-40, 3e-40, 100),
                (f64::from(3e-40f32) - f64::from(1e-40f32)).powi(2) * 25.0,
            );
            // One value that differs by the last bit, wherever it is.
            let (base, step) = (1e8f32, f64::from(1e8f32.next_up() - 1e8));
            for at in [0, 1, 500, 999] {
                let mut values = vec![base; 1000];
                values[at] = base.next_up();
                close(&values, step * step * 0.999);
            }
        }
    }

    #[test]
    fn columns_are_summed_each_for_itself() {
        // Whole blocks of columns, and a rest.
        let (rows, columns) = (9, 37);
        let values: Vec<f32> = (0..rows * columns).map(|at| (at * at % 101) as f32).collect();
        let outputs: Vec<f32> = values.iter().map(|x| x + 0.5).collect();
        let mut features = vec![Feature::default(); columns];
        let matrices = [&values, &outputs].map(|values| Matrix::new(values, rows, columns));
        add_columns(&mut features, matrices[0], matrices[1], f64::from);
        for (column, feature) in features.iter().enumerate() {
            let values: Vec<f32> = values[column..].iter().step_by(columns).copied().collect();
            assert_eq!(feature.spread, spread(&values, rows));
            assert_eq!(feature.squared_error, 0.25 * rows as f64);
        }
    }
}
