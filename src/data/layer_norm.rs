//! Layer normalization of a sample (Ba, Kiros and Hinton, *Layer Normalization*, 2016), without a gain or
//! a bias.

use std::array;
use std::cell::Cell;

use sae_kernels::Isa;
use sae_kernels::simd::{Kernel, Simd};

use crate::data::element::ElementType;
use crate::data::row::Row;

/// Lanes of the sums, the same on every instruction set.
const LANES: usize = 16;

/// What is added to the variance, as PyTorch's `LayerNorm` does by default.
const EPSILON: f64 = 1e-5;

/// Sets `out` to (x - mean) / sqrt(variance + 1e-5) of a row, with mean and variance (divisor n) over the
/// row, in `f64`. The same bits on every set, and for every type of the numbers. NaN where the variance
/// overflows.
///
/// All is relative to the row's first number, which keeps sums short: a constant row becomes 0 exactly.
pub(crate) fn layer_norm(isa: Isa, row: Row<'_>, out: &mut [f32]) {
    use ElementType::{F64, I32, I64, U32, U64};
    if out.is_empty() || !matches!(row.element_type(), F64 | I32 | U32 | I64 | U64) {
        row.to_f32(isa, out);
        return isa.run(LayerNorm { row: out });
    }
    // Numbers that `f32` would round before they are normalized.
    let (count, origin) = (out.len() as f64, row.number(0));
    let mut sum = |term: &dyn Fn(f64) -> f64| -> f64 {
        let lanes: [Cell<f64>; LANES] = array::from_fn(|_| Cell::new(0.0));
        row.map(isa, out, |at, x| {
            let lane = &lanes[at % LANES];
            lane.set(lane.get() + term(x - origin));
            0.0
        });
        lanes.iter().map(Cell::get).sum()
    };
    let mean = sum(&|x| x) / count;
    let variance = sum(&|x| (x - mean) * (x - mean)) / count;
    let divide = divisor(variance);
    row.map(isa, out, |_, x| ((x - origin - mean) / divide) as f32);
}

/// The mean of a row, and what a number minus it is divided by.
pub(crate) fn statistics(row: Row<'_>) -> (f64, f64) {
    let (count, origin) = (row.len() as f64, row.number(0));
    let numbers = || (0..row.len()).map(|at| row.number(at) - origin);
    let mean = numbers().sum::<f64>() / count;
    let variance = numbers().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    (origin + mean, divisor(variance))
}

#[inline(always)]
fn divisor(variance: f64) -> f64 {
    if variance.is_finite() { (variance + EPSILON).sqrt() } else { f64::NAN }
}

/// The same for a row of `f32`, in its place.
struct LayerNorm<'a> {
    row: &'a mut [f32],
}

impl Kernel for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Some(&first) = self.row.first() else { return };
        let (count, origin) = (self.row.len() as f64, f64::from(first));
        let mean = sum(self.row, origin, |x| x) / count;
        let variance = sum(self.row, origin, |x| (x - mean) * (x - mean)) / count;
        let divide = divisor(variance);
        for x in self.row {
            *x = ((f64::from(*x) - origin - mean) / divide) as f32;
        }
    }
}

#[inline(always)]
fn sum(row: &[f32], origin: f64, term: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane += term(f64::from(x) - origin);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += term(f64::from(x) - origin);
    }
    lanes.iter().sum()
}
