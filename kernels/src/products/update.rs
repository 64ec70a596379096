//! The weight gradient and its update.

use core::ops::Range;

use super::{Operand, check, check_written};
use crate::gemm::{GRADIENT_FLOATS, Place, Scratch, Store};
use crate::matrix::{Matrix, MatrixMut};
use crate::optimizer::{Along, Outer, Rule};
use crate::simd::Isa;

/// The weight gradient `a delta` and at once the step of a [`Rule`], block by block: a block of the
/// gradient stays in the L2 cache, and none goes to memory.
///
/// The bits are those of [`Gemm`](crate::Gemm) followed by [`Rule::update_rows`]. With a rule that is orthogonal a row of
/// more than a block is computed twice.
///
/// (With Adam in the tile's own epilogue, from registers, a step took longer: the parameters and
/// moments of a tile are short pieces of many rows, which no prefetcher follows. Swept block by
/// block they stream: 0.44 against 0.55 ms for 784 x 300 and 60 samples in cache, and the more
/// from memory.)
///
/// ```
/// use sae_kernels::{Matrix, MatrixMut, Momentum, Rule, Update};
///
/// # let isa = sae_kernels::Isa::detect();
/// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
/// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
/// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
/// // Two samples of one input, and the deltas of two outputs.
/// let x = Matrix::new(&[1.0, 2.0], 2, 1);
/// let delta = Matrix::new(&[1.0, 0.0, 0.5, 1.0], 2, 2);
/// let rule = Rule::Momentum(Momentum { learning_rate: 0.5, ..Momentum::default() });
/// let (mut weights, mut velocity) = ([1.0, 1.0], [0.0; 2]);
/// let moments = [MatrixMut::from_row(&mut velocity), MatrixMut::new(&mut [], 0, 0)];
/// let update = Update::new(rule, x.transposed(), delta, MatrixMut::from_row(&mut weights), moments);
/// let largest = update.run(isa, &mut scratch);
/// // The gradient is [2, 2].
/// assert_eq!((velocity, weights, largest), ([2.0, 2.0], [0.0, 0.0], 0.0));
/// ```
#[derive(Debug)]
pub struct Update<'a> {
    /// The optimizer's step.
    pub rule: Rule,
    /// The inputs, transposed: `[inputs, samples]`. Of a sparse code, the samples of each unit.
    pub a: Operand<'a>,
    /// `[samples, outputs]`; rows contiguous where `a` is sparse.
    pub delta: Matrix<'a>,
    /// `[inputs, outputs]`, rows contiguous.
    pub weights: MatrixMut<'a>,
    /// Adam's first moment, or the velocity, `[inputs, outputs]`.
    pub first_moment: MatrixMut<'a>,
    /// Adam's second moment, `[inputs, outputs]`; of any shape where the rule has none.
    pub second_moment: MatrixMut<'a>,
    /// Subtracted from the gradient: with the inputs' means and the bias gradient, the update is
    /// that for inputs from which their means are subtracted.
    pub correction: Option<Outer<'a>>,
}

/// Up to this width a block of the gradient has whole rows.
const WIDE_BLOCK: usize = 1024;
/// Its width otherwise: then it is high enough for the panels of the delta to pay.
const NARROW_BLOCK: usize = 512;
/// Its most rows: half of a row block of the product, a multiple of every tile's rows.
const BLOCK_ROWS: usize = 96;
/// Its rows are a multiple of this one, the most rows of a tile, unless they are the last.
const ROW_UNIT: usize = 12;
/// Floats of a block of which each row is a sum of its own: 8 KiB, in the L1 cache.
const SPARSE_BLOCK: usize = 2048;

impl<'a> Update<'a> {
    /// The update without correction; `moments` are the first and the second.
    ///
    /// ```
    /// use sae_kernels::{AdamOptions, Matrix, MatrixMut, Update};
    ///
    /// let (x, rule) = (Matrix::from_row(&[1.0]), AdamOptions::default().at_step(1));
    /// let [mut weights, mut first, mut second] = [[0.0]; 3];
    /// let moments = [&mut first, &mut second].map(|x| MatrixMut::from_row(x));
    /// let update = Update::new(rule, x, x, MatrixMut::from_row(&mut weights), moments);
    /// assert!(update.correction.is_none());
    /// ```
    pub fn new(
        rule: Rule,
        a: impl Into<Operand<'a>>,
        delta: Matrix<'a>,
        weights: MatrixMut<'a>,
        moments: [MatrixMut<'a>; 2],
    ) -> Self {
        let [first_moment, second_moment] = moments;
        let (a, correction) = (a.into(), None);
        Update { rule, a, delta, weights, first_moment, second_moment, correction }
    }

    /// The same with this correction.
    ///
    /// ```
    /// use sae_kernels::{AdamOptions, Matrix, MatrixMut, Outer, Update};
    ///
    /// let (x, rule) = (Matrix::from_row(&[1.0]), AdamOptions::default().at_step(1));
    /// let [mut weights, mut first, mut second] = [[0.0]; 3];
    /// let moments = [&mut first, &mut second].map(|x| MatrixMut::from_row(x));
    /// let update = Update::new(rule, x, x, MatrixMut::from_row(&mut weights), moments);
    /// let means = Outer { rows: &[0.5], cols: &[1.0] };
    /// assert_eq!(update.correction(means).correction.map(|outer| outer.rows[0]), Some(0.5));
    /// ```
    pub fn correction(self, correction: Outer<'a>) -> Self {
        Update { correction: Some(correction), ..self }
    }

    /// Updates the weights and their moments; returns the largest magnitude of the new weights, as
    /// [`Rule::update_rows`] does.
    ///
    /// ```
    /// use sae_kernels::{Matrix, MatrixMut, Momentum, Rule, Update};
    ///
    /// # let isa = sae_kernels::Isa::detect();
    /// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
    /// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
    /// // Two samples of one input, and the deltas of two outputs.
    /// let x = Matrix::new(&[1.0, 2.0], 2, 1);
    /// let delta = Matrix::new(&[1.0, 0.0, 0.5, 1.0], 2, 2);
    /// let rule = Rule::Momentum(Momentum { learning_rate: 0.5, ..Momentum::default() });
    /// let (mut weights, mut velocity) = ([1.0, 1.0], [0.0; 2]);
    /// let moments = [MatrixMut::from_row(&mut velocity), MatrixMut::new(&mut [], 0, 0)];
    /// let update = Update::new(rule, x.transposed(), delta, MatrixMut::from_row(&mut weights), moments);
    /// let largest = update.run(isa, &mut scratch);
    /// // The gradient is [2, 2].
    /// assert_eq!((velocity, weights, largest), ([2.0, 2.0], [0.0, 0.0], 0.0));
    /// ```
    ///
    /// # Panics
    /// The shapes do not fit, rows of the weights or the moments are not contiguous, or the scratch is too
    /// small.
    #[track_caller]
    pub fn run(self, isa: Isa, scratch: &mut Scratch<'_>) -> f32 {
        let Update { rule, a, delta, correction, .. } = self;
        let (mut weights, mut first, mut second) =
            (self.weights, self.first_moment, self.second_moment);
        let (inputs, outputs) = (a.len(), delta.cols);
        check_written("the weights", &weights, (inputs, outputs));
        rule.check_moments((inputs, outputs), &first, &second);
        if let Some(Outer { rows, cols }) = correction {
            check("the correction", (rows.len(), cols.len()), (inputs, outputs));
        }

        a.check_inner(&delta);
        scratch.check(isa, (inputs, delta.rows, outputs));

        let buffer_floats = GRADIENT_FLOATS.min(inputs.saturating_mul(outputs));
        let (buffer, mut scratch) = scratch.split(buffer_floats);
        let (height, width) = match a {
            // A lazy rule looks at whole rows.
            _ if rule.is_lazy() => {
                let width = outputs.clamp(1, GRADIENT_FLOATS);
                ((SPARSE_BLOCK / width).max(1), width)
            }
            _ if rule.is_orthogonal() => {
                let width = outputs.clamp(1, GRADIENT_FLOATS);
                let floats = match a {
                    Operand::Sparse(lists) if !lists.is_long(delta.rows) => SPARSE_BLOCK,
                    _ => GRADIENT_FLOATS,
                };
                let rows = (floats / width).clamp(1, BLOCK_ROWS);
                (if rows < ROW_UNIT { rows } else { rows / ROW_UNIT * ROW_UNIT }, width)
            }
            Operand::Sparse(lists) => {
                // Rows of long lists share what they read.
                let is_long = lists.is_long(delta.rows);
                let width = outputs.clamp(1, SPARSE_BLOCK);
                (if is_long { GRADIENT_FLOATS / width } else { SPARSE_BLOCK / width }, width)
            }
            _ => {
                let width = if outputs <= WIDE_BLOCK { outputs.max(1) } else { NARROW_BLOCK };
                ((GRADIENT_FLOATS / width).min(BLOCK_ROWS) / ROW_UNIT * ROW_UNIT, width)
            }
        };
        let mut largest = 0f32;
        for row in (0..inputs).step_by(height) {
            let rows = row..inputs.min(row + height);
            if rule.is_lazy()
                && let Operand::Sparse(lists) = a.rows(rows.clone())
                && lists.is_empty()
            {
                continue;
            }
            let mut block = |cols: Range<usize>, buffer: &mut [f32]| {
                let (m, n) = (rows.len(), cols.len());
                let (a, b) = (a.rows(rows.clone()), delta.columns(cols.clone()));
                let c = MatrixMut::new(&mut buffer[..m * n], m, n);
                a.multiply(isa, b, Place::of(&c), &mut Store(c), &mut scratch);
                if let Some(correction) = correction {
                    let block = correction.block(rows.clone(), cols);
                    block.subtract_from(isa, MatrixMut::new(&mut buffer[..m * n], m, n));
                }
            };
            let blocks = (0..outputs).step_by(width).map(|col| col..outputs.min(col + width));
            let mut rule = rule;
            if rule.is_lazy() && width < outputs {
                // One row, of more than a block: it is looked at before it is updated.
                let is_zero = blocks.clone().all(|cols| {
                    block(cols.clone(), buffer);
                    buffer[..cols.len()].iter().all(|&g| g == 0.0)
                });
                if is_zero {
                    continue;
                }
                rule = rule.eager();
            }
            let mut along = None;
            if rule.is_orthogonal() && width < outputs {
                // Likewise, and its component along the weights is summed up.
                let mut sums = Along::default();
                for cols in blocks.clone() {
                    block(cols.clone(), buffer);
                    let weights = &weights.row_mut(row)[cols.clone()];
                    rule.add_along(isa, &mut sums, weights, &buffer[..cols.len()]);
                }
                along = Some(sums.share());
            }
            for cols in blocks {
                block(cols.clone(), buffer);
                let [weights, first, second] = [&mut weights, &mut first, &mut second]
                    .map(|matrix| matrix.block(rows.clone(), cols.clone()));
                let (m, n) = (rows.len(), cols.len());
                let gradient = &buffer[..m * n];
                largest = largest.max(match along {
                    Some(share) => {
                        rule.update_across(isa, share, [weights, first, second], gradient)
                    }
                    None => {
                        let gradient = Matrix::new(gradient, m, n);
                        rule.update_rows(isa, weights, first, second, gradient)
                    }
                });
            }
        }
        largest
    }
}
