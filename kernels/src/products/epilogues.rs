//! What [`Forward`], [`OutputDelta`] and [`HiddenDelta`] do with the sums of their products.

use super::{Forward, HiddenDelta, OutputDelta};
use crate::gemm::{At, Epilogue};
use crate::loss::{self, Loss};
use crate::simd::Simd;

impl Epilogue for Forward<'_> {
    /// Biases and column sums.
    type Column<S: Simd> = (S::V, S::V);
    #[inline(always)]
    unsafe fn begin<S: Simd>(&self, s: S, col: usize, lanes: usize) -> Self::Column<S> {
        // SAFETY: both slices are as long as the output is wide.
        unsafe {
            let biases = s.load_upto(self.biases.as_ptr().add(col), lanes);
            (biases, s.load_upto(self.sums.as_ptr().add(col), lanes))
        }
    }
    #[inline(always)]
    unsafe fn apply<S: Simd>(&mut self, s: S, column: &mut Self::Column<S>, at: At, sum: S::V) {
        let a = self.activation.apply(s, s.add(sum, column.0));
        column.1 = s.add(column.1, a);
        // SAFETY: the trait's promise.
        unsafe { s.store_upto(self.output.at(at.row, at.col), at.lanes, a) };
    }
    #[inline(always)]
    unsafe fn end<S: Simd>(&mut self, s: S, column: Self::Column<S>, col: usize, lanes: usize) {
        // SAFETY: as in `begin`.
        unsafe { s.store_upto(self.sums.as_mut_ptr().add(col), lanes, column.1) };
    }
}

impl Epilogue for OutputDelta<'_> {
    /// Biases, losses, bias gradient.
    type Column<S: Simd> = (S::V, S::V, S::V);
    #[inline(always)]
    unsafe fn begin<S: Simd>(&self, s: S, col: usize, lanes: usize) -> Self::Column<S> {
        // SAFETY: the slices are as long as the delta is wide.
        unsafe {
            (
                s.load_upto(self.biases.as_ptr().add(col), lanes),
                s.load_upto(self.losses.as_ptr().add(col), lanes),
                s.load_upto(self.bias_gradient.as_ptr().add(col), lanes),
            )
        }
    }
    #[inline(always)]
    unsafe fn apply<S: Simd>(&mut self, s: S, column: &mut Self::Column<S>, at: At, sum: S::V) {
        // SAFETY: the trait's promise; the target has the delta's shape.
        unsafe {
            let z = s.add(sum, column.0);
            let a = self.activation.apply(s, z);
            let x = s.load_upto(self.target.at(at.row, at.col), at.lanes);
            let error = s.sub(a, x);
            let mut delta = s.mul(error, s.splat(self.scale));
            match self.loss {
                Loss::SquaredError | Loss::Fvu => {
                    column.1 = s.mul_add(error, error, column.1);
                    delta = self.activation.chain(s, a, delta);
                }
                // The sigmoid's derivative divides itself out.
                Loss::CrossEntropy => column.1 = s.add(column.1, loss::cross_entropy(s, z, x)),
            }
            column.2 = s.add(column.2, delta);
            s.store_upto(self.delta.at(at.row, at.col), at.lanes, delta);
        }
    }
    #[inline(always)]
    unsafe fn end<S: Simd>(&mut self, s: S, column: Self::Column<S>, col: usize, lanes: usize) {
        // SAFETY: as in `begin`.
        unsafe {
            s.store_upto(self.losses.as_mut_ptr().add(col), lanes, column.1);
            s.store_upto(self.bias_gradient.as_mut_ptr().add(col), lanes, column.2);
        }
    }
}

impl Epilogue for HiddenDelta<'_> {
    /// Penalty and bias gradient.
    type Column<S: Simd> = (S::V, S::V);
    #[inline(always)]
    unsafe fn begin<S: Simd>(&self, s: S, col: usize, lanes: usize) -> Self::Column<S> {
        // SAFETY: the slices are as long as the delta is wide.
        unsafe {
            let penalty = self.penalty.load(s, col, lanes);
            (penalty, s.load_upto(self.bias_gradient.as_ptr().add(col), lanes))
        }
    }
    #[inline(always)]
    unsafe fn apply<S: Simd>(&mut self, s: S, column: &mut Self::Column<S>, at: At, sum: S::V) {
        // SAFETY: the trait's promise; the activations have the delta's shape.
        unsafe {
            let a = s.load_upto(self.activations.at(at.row, at.col), at.lanes);
            let gradient = self.penalty.add(s, sum, column.0, a);
            let delta = self.activation.chain(s, a, gradient);
            column.1 = s.add(column.1, delta);
            s.store_upto(self.delta.at(at.row, at.col), at.lanes, delta);
        }
    }
    #[inline(always)]
    unsafe fn end<S: Simd>(&mut self, s: S, column: Self::Column<S>, col: usize, lanes: usize) {
        // SAFETY: as in `begin`.
        unsafe { s.store_upto(self.bias_gradient.as_mut_ptr().add(col), lanes, column.1) };
    }
}
