//! A linear skip connection: what it adds to the outputs of a network.

use sae_kernels::{Gemm, Matrix, MatrixMut, Operand, Parts};

use crate::compute::Engine;

/// What a skip connection makes of inputs, and what that is added to or taken from.
pub(crate) struct SkipProduct<'a> {
    /// `[n, inputs]`
    pub inputs: Operand<'a>,
    /// `[inputs, outputs]`
    pub weights: Matrix<'a>,
    /// `[n, outputs]`
    pub base: Matrix<'a>,
}

impl SkipProduct<'_> {
    /// Computes `f(base, inputs weights)` of each place to `to` `[n, outputs]`; outputs divided among the
    /// threads.
    pub fn run(self, engine: &mut Engine, to: MatrixMut<'_>, f: impl Fn(f32, f32) -> f32 + Sync) {
        let SkipProduct { inputs, weights, base } = self;
        let (n, outputs) = to.shape();
        let division = engine.divide(outputs, n * weights.shape().0);
        let parts = Parts::columns(to, division);
        let Engine { isa, pool, scratch, .. } = engine;
        pool.run(division.parts(), |part, thread| {
            let (columns, mut to) = (division.range(part), parts.take(part));
            let (base, b) = (base.columns(columns.clone()), weights.columns(columns));
            scratch.with(thread, |scratch| {
                Gemm::new(inputs, b, to.rows_mut(0..n)).run(*isa, scratch);
            });
            for row in 0..n {
                let pairs = to.row_mut(row).iter_mut().zip(base.row(row));
                pairs.for_each(|(to, &base)| *to = f(base, *to));
            }
        });
    }
}
