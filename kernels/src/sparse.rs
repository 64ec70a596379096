//! Sparse codes: the largest activations of a sample or a batch, or those above a learned
//! threshold.
//!
//! Matrices are views, so callers may divide units (columns) or samples (rows) among threads; sums
//! down the samples divide by columns.

use crate::activation::Activation;
use crate::matrix::{Matrix, MatrixMut};
use crate::simd::{Isa, Kernel, Simd};
use crate::sparsity::Penalty;

/// A number's key in descending order: the greater the number, the smaller the key.
///
/// -0 comes after 0; a NaN before or after all numbers, by its sign.
pub fn order_key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits ^ 0x7fff_ffff } else { bits }
}

/// The number of an [`order_key`].
pub fn from_order_key(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 0 { key ^ 0x7fff_ffff } else { key })
}

/// Keeps the `k` largest activations, of equal ones the first, and sets the others to 0. Returns
/// the smallest that is kept. `keys` is memory to work in.
///
/// # Panics
/// `k` is 0, there are fewer activations than `k`, more than 2^32, or more than `keys`.
pub fn keep_largest(activations: &mut [f32], k: usize, keys: &mut [u64]) -> f32 {
    assert!(0 < k && k <= activations.len(), "k is from 1 to the number of activations");
    assert!(u32::try_from(activations.len() - 1).is_ok(), "more than 2^32 activations");
    let keys = &mut keys[..activations.len()];
    for (at, (key, &a)) in keys.iter_mut().zip(&*activations).enumerate() {
        // Of equal numbers the later one has the greater key.
        *key = u64::from(order_key(a)) << 32 | at as u64;
    }
    let (_, &mut last, others) = keys.select_nth_unstable(k - 1);
    for other in others {
        activations[*other as u32 as usize] = 0.0;
    }
    activations[last as u32 as usize]
}

/// Counts values by eight bits of their [`order_key`]: one pass of a radix selection, whose counts
/// threads and ranks add up.
///
/// Of the values whose key has the bits of `known` above the eight that begin at `shift`, those
/// with the eight bits `b` are added to `counts[b]`. Passes with shifts 24, 16, 8 and 0, each
/// knowing the bits that the one before chose, find the key of the k-th largest of all values; the
/// last pass has counted its equals.
///
/// # Panics
/// `shift` is above 24.
pub fn count_keys(values: &[f32], known: u32, shift: u32, counts: &mut [u32; 256]) {
    assert!(shift <= 24, "a shift of {shift} leaves less than eight bits of a key");
    let above = |key: u32| u64::from(key) >> (shift + 8);
    for &value in values {
        let key = order_key(value);
        if above(key) == above(known) {
            counts[(key >> shift & 0xff) as usize] += 1;
        }
    }
}

/// Keeps the values above that of the [`order_key`] `threshold`, and of those equal to it the
/// first `equals_to_keep`; sets the others to 0. Returns how many were equal.
pub fn keep_from(values: &mut [f32], threshold: u32, equals_to_keep: usize) -> usize {
    let mut equals = 0;
    for value in values {
        let key = order_key(*value);
        let is_equal = key == threshold;
        let kept = key < threshold || is_equal && equals < equals_to_keep;
        equals += usize::from(is_equal);
        if !kept {
            *value = 0.0;
        }
    }
    equals
}

/// JumpReLU: `activations = pre` where that is above the unit's threshold, and 0 elsewhere
/// (Rajamanoharan et al. 2024). Shapes: `pre` and `activations` `[n, units]`, thresholds `[units]`.
///
/// # Panics
/// The shapes do not fit, or the rows of `pre` are not contiguous.
pub fn jump(pre: Matrix<'_>, thresholds: &[f32], mut activations: MatrixMut<'_>) {
    assert_eq!(pre.shape(), activations.shape(), "an activation for each number before the jump");
    assert_eq!(pre.cols, thresholds.len(), "a threshold for each unit");
    for row in 0..pre.rows {
        let numbers = activations.row_mut(row).iter_mut().zip(pre.row(row));
        for ((a, &pre), &threshold) in numbers.zip(thresholds) {
            *a = if pre > threshold { pre } else { 0.0 };
        }
    }
}

/// Adds the activations of each unit, `[n, units]`, down the samples to `sums[units]`.
///
/// # Panics
/// The shapes do not fit, or the activations' rows are not contiguous.
pub fn add_columns(activations: Matrix<'_>, sums: &mut [f32]) {
    assert_eq!(activations.cols, sums.len(), "a sum for each unit");
    for row in 0..activations.rows {
        for (sum, a) in sums.iter_mut().zip(activations.row(row)) {
            *sum += a;
        }
    }
}

/// What the gradient of a JumpReLU's thresholds takes from the settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump {
    /// Width of the band around a threshold in which the step function has a gradient.
    pub bandwidth: f32,
    /// Weight of each activation that is not 0: that of L0 divided by the number of samples.
    pub l0: f32,
}

/// The gradient of a JumpReLU's thresholds, straight through.
///
/// Of a = z H(z - threshold) and of H itself the derivatives by the threshold are -threshold /
/// bandwidth and -1 / bandwidth inside the band, 0 outside (Rajamanoharan et al. 2024, equations 11
/// and 12). Shapes: `pre` and `gradient`, that of the activations, `[n, units]`; thresholds and
/// `out` `[units]`.
///
/// # Panics
/// The shapes do not fit, or the rows of `pre` or `gradient` are not contiguous.
pub fn threshold_gradient(
    jump: Jump,
    pre: Matrix<'_>,
    gradient: Matrix<'_>,
    thresholds: &[f32],
    out: &mut [f32],
) {
    assert_eq!(pre.shape(), gradient.shape(), "a gradient for each activation");
    assert_eq!([thresholds.len(), out.len()], [pre.cols; 2], "a threshold for each unit");
    out.fill(0.0);
    let half = jump.bandwidth / 2.0;
    for row in 0..pre.rows {
        let numbers = out.iter_mut().zip(pre.row(row)).zip(gradient.row(row));
        for (((out, &z), &g), &threshold) in numbers.zip(thresholds) {
            let inside = threshold * g + jump.l0;
            *out -= if (z - threshold).abs() < half { inside } else { 0.0 };
        }
    }
    out.iter_mut().for_each(|out| *out /= jump.bandwidth);
}

/// The delta of a layer whose code is sparse from the gradient of its activations, in place.
///
/// It is `(gradient + penalty) f'(z)` where the activation a = f(z) is not 0, and 0 elsewhere; it
/// is added down the samples to `bias_gradient[units]`. Shapes: activations and delta `[n, units]`,
/// the penalty's `[units]`.
///
/// # Panics
/// The shapes do not fit, or the activations' rows are not contiguous.
pub fn open_delta(
    isa: Isa,
    activations: Matrix<'_>,
    activation: Activation,
    penalty: Penalty<'_>,
    delta: MatrixMut<'_>,
    bias_gradient: &mut [f32],
) {
    let units = delta.cols;
    assert_eq!(activations.shape(), delta.shape(), "an activation for each delta");
    assert!(activations.col_stride == 1, "the activations' rows are contiguous");
    assert!(bias_gradient.len() == units, "a number for each unit");
    assert!(penalty.units.is_none_or(|p| p.len() == units), "a penalty for each unit");
    isa.run(Open { activations, activation, penalty, delta, bias_gradient });
}

/// [`open_delta`] with its arguments checked.
struct Open<'a> {
    activations: Matrix<'a>,
    activation: Activation,
    penalty: Penalty<'a>,
    delta: MatrixMut<'a>,
    bias_gradient: &'a mut [f32],
}

impl Kernel for Open<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Open { activations, activation, penalty, delta, bias_gradient } = self;
        let zero = s.splat(0.0);
        for row in 0..delta.rows {
            let mut unit = 0;
            while unit < delta.cols {
                let lanes = (delta.cols - unit).min(S::LANES);
                // SAFETY: both matrices and both slices have these units.
                unsafe {
                    let a = s.load_upto(activations.at(row, unit), lanes);
                    let to = delta.at(row, unit);
                    let units = penalty.load(s, unit, lanes);
                    let gradient = penalty.add(s, s.load_upto(to, lanes), units, a);
                    let chained = activation.chain(s, a, gradient);
                    let chained = s.select(s.lt(zero, s.abs(a)), chained, zero);
                    s.store_upto(to, lanes, chained);
                    let sum = bias_gradient.as_mut_ptr().add(unit);
                    s.store_upto(sum, lanes, s.add(s.load_upto(sum, lanes), chained));
                }
                unit += lanes;
            }
        }
    }
}
