//! Codes that are exactly sparse: the largest activations of a sample or a batch, or those above a
//! learned threshold.

use crate::activation::Activation;
use crate::matrix::{Matrix, MatrixMut};
use crate::simd::{Isa, Kernel, Simd};
use crate::sparsity::Penalty;

/// A number's place among all: smaller for a greater number.
pub fn place(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits ^ 0x7fff_ffff } else { bits }
}

/// The number of a [`place`].
pub fn at_place(place: u32) -> f32 {
    f32::from_bits(if place >> 31 == 0 { place ^ 0x7fff_ffff } else { place })
}

/// Greater for a smaller number; of equal numbers, for the later one.
fn key(value: f32, at: usize) -> u64 {
    u64::from(place(value)) << 32 | at as u64
}

/// Keeps the `k` largest activations, of equal ones the first, and makes the others 0. Returns the
/// smallest that is kept. `keys` is memory to work in.
///
/// # Panics
/// `k` is 0, there are fewer activations than `k`, more than 2^32, or more than `keys`.
pub fn keep_largest(activations: &mut [f32], k: usize, keys: &mut [u64]) -> f32 {
    assert!(0 < k && k <= activations.len(), "k is from 1 to the number of activations");
    assert!(u32::try_from(activations.len() - 1).is_ok(), "more than 2^32 activations");
    let keys = &mut keys[..activations.len()];
    for (at, (key_of, &a)) in keys.iter_mut().zip(&*activations).enumerate() {
        *key_of = key(a, at);
    }
    let (_, &mut last, others) = keys.select_nth_unstable(k - 1);
    for other in others {
        activations[*other as u32 as usize] = 0.0;
    }
    activations[last as u32 as usize]
}

/// JumpReLU: `activations = pre` where that is above the unit's threshold, and 0 elsewhere
/// (Rajamanoharan et al. 2024). Shapes: `pre` and `activations` `[n, units]`, thresholds `[units]`.
///
/// # Panics
/// The lengths do not fit, or there are no units.
pub fn jump(pre: &[f32], thresholds: &[f32], activations: &mut [f32]) {
    assert_eq!(pre.len(), activations.len(), "an activation for each number before the jump");
    let units = thresholds.len();
    assert!(pre.len().is_multiple_of(units), "a threshold for each unit");
    for (pre, activations) in pre.chunks(units).zip(activations.chunks_mut(units)) {
        for ((a, &pre), &threshold) in activations.iter_mut().zip(pre).zip(thresholds) {
            *a = if pre > threshold { pre } else { 0.0 };
        }
    }
}

/// Adds the activations of each unit, `[n, units]`, down the samples to `sums[units]`.
///
/// # Panics
/// A sample is not whole, or there are no units.
pub fn add_columns(activations: &[f32], sums: &mut [f32]) {
    assert!(activations.len().is_multiple_of(sums.len()), "a sum for each unit");
    for row in activations.chunks(sums.len()) {
        for (sum, a) in sums.iter_mut().zip(row) {
            *sum += a;
        }
    }
}

/// What learning a JumpReLU's thresholds takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump {
    /// Width of the band around a threshold in which the step counts as a slope.
    pub bandwidth: f32,
    /// Weight of each activation that is not 0: that of L0 by the samples.
    pub l0: f32,
}

/// The gradient of the logarithms of a JumpReLU's thresholds, straight through: of a = z H(z -
/// threshold) and of H itself the derivatives by the threshold are -threshold / bandwidth and -1 /
/// bandwidth inside the band, 0 outside (Rajamanoharan et al. 2024, equations 11 and 12).
///
/// Shapes: `pre` and `gradient`, that of the activations, `[n, units]`; thresholds and `out`
/// `[units]`.
///
/// # Panics
/// The lengths do not fit, or there are no units.
pub fn threshold_gradient(
    jump: Jump,
    pre: &[f32],
    gradient: &[f32],
    thresholds: &[f32],
    out: &mut [f32],
) {
    let units = thresholds.len();
    assert_eq!(pre.len(), gradient.len(), "a gradient for each activation");
    assert!(pre.len().is_multiple_of(units) && out.len() == units, "a threshold for each unit");
    out.fill(0.0);
    let half = jump.bandwidth / 2.0;
    for (pre, gradient) in pre.chunks(units).zip(gradient.chunks(units)) {
        for (((out, &z), &g), &threshold) in out.iter_mut().zip(pre).zip(gradient).zip(thresholds) {
            let slope = threshold * g + jump.l0;
            *out -= if (z - threshold).abs() < half { slope } else { 0.0 };
        }
    }
    for (out, threshold) in out.iter_mut().zip(thresholds) {
        *out *= threshold / jump.bandwidth;
    }
}

/// From the gradient of an exactly sparse layer's activations its delta, in place: `(gradient +
/// penalty) f'(a)` where a is not 0, and 0 elsewhere; added down the samples to
/// `bias_gradient[units]`. Shapes `[n, units]`.
///
/// # Panics
/// The shapes do not fit.
pub fn open_delta(
    isa: Isa,
    activations: Matrix<'_>,
    activation: Activation,
    penalty: Penalty<'_>,
    delta: MatrixMut<'_>,
    bias_gradient: &mut [f32],
) {
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
                        let a = activations.data.add(row * activations.row_stride + unit);
                        let a = s.load_upto(a, lanes);
                        let to = delta.data.add(row * delta.row_stride + unit);
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
    let shape = (delta.rows, delta.cols);
    assert_eq!((activations.rows, activations.cols), shape, "an activation for each delta");
    assert!(activations.col_stride == 1, "the activations' rows are contiguous");
    assert!(bias_gradient.len() == shape.1, "a number for each unit");
    assert!(penalty.units.is_none_or(|p| p.len() == shape.1), "a penalty for each unit");
    isa.run(Open { activations, activation, penalty, delta, bias_gradient });
}
