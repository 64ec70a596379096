//! The products of a training step, each a struct of what it reads and writes, with what is fused
//! into it.
//!
//! Every product divides among threads by the views it is given: rows or columns of the operands,
//! and the same band of what is written ([`crate::Parts`]). The bits do not depend on the division.

mod epilogues;

use core::ops::Range;

use crate::activation::Activation;
use crate::gemm::{Finish, Operands, Place, Product, Scratch, SparseProduct, Store};
use crate::lists::Lists;
use crate::loss::Loss;
use crate::matrix::{Matrix, MatrixMut};
use crate::optimizer::{Along, Outer, Rule};
use crate::simd::Isa;
use crate::sparsity::Penalty;

/// Multiplies two matrices, `c = a b`; see [`Gemm`].
///
/// # Panics
/// The shapes do not fit.
pub fn gemm(isa: Isa, a: Matrix<'_>, b: Matrix<'_>, c: MatrixMut<'_>, scratch: &mut Scratch<'_>) {
    Gemm { a: Operand::Dense(a), b, c }.run(isa, scratch);
}

/// The left side of a product, `[rows, columns]`.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// Of which every number counts.
    Dense(Matrix<'a>),
    /// Of which each column that is 0 in a whole tile of rows is left out. The bits are the same as
    /// long as the right side is finite (and no sum has underflowed to -0).
    SkipZeros(Matrix<'a>),
    /// Rows that are mostly 0: their other numbers, whose columns must be rows of the right side.
    Sparse(Lists<'a>),
}

impl<'a> Operand<'a> {
    /// A matrix whose zeros may be left out.
    pub fn new(matrix: Matrix<'a>, skip_zeros: bool) -> Self {
        if skip_zeros { Operand::SkipZeros(matrix) } else { Operand::Dense(matrix) }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        match self {
            Operand::Dense(matrix) | Operand::SkipZeros(matrix) => matrix.shape().0,
            Operand::Sparse(lists) => lists.rows(),
        }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// There are no such rows.
    pub fn rows(self, range: Range<usize>) -> Self {
        match self {
            Operand::Dense(matrix) => Operand::Dense(matrix.rows(range)),
            Operand::SkipZeros(matrix) => Operand::SkipZeros(matrix.rows(range)),
            Operand::Sparse(lists) => Operand::Sparse(lists.slice(range)),
        }
    }

    /// Multiplies by `b` and gives the sums to the epilogue, which covers as many rows and columns;
    /// where the operand is dense, unfinished ones wait at `partial`, which does so, too.
    fn multiply(
        self,
        isa: Isa,
        b: Matrix<'_>,
        partial: Place,
        epilogue: &mut dyn Finish,
        scratch: &mut Scratch<'_>,
    ) {
        let (a, skip_zeros) = match self {
            Operand::Dense(a) => (a, false),
            Operand::SkipZeros(a) => (a, true),
            Operand::Sparse(lists) => {
                return isa.run(SparseProduct::new(isa, lists, b, epilogue, scratch));
            }
        };
        let operands = Operands { a, b, skip_zeros, partial };
        isa.run(Product::new(isa, operands, epilogue, scratch));
    }
}

/// A product of two matrices: `c = a b`.
///
/// Transposed views of `a` or `b` give the other forms. Each number of `c` is one chain of
/// multiply-adds in the order of k, from 0.
#[derive(Debug)]
pub struct Gemm<'a> {
    /// `[m, k]`
    pub a: Operand<'a>,
    /// `[k, n]`; rows contiguous where `a` is sparse.
    pub b: Matrix<'a>,
    /// `[m, n]`; what it holds before is not read.
    pub c: MatrixMut<'a>,
}

impl Gemm<'_> {
    /// Multiplies.
    ///
    /// # Panics
    /// The shapes do not fit.
    pub fn run(self, isa: Isa, scratch: &mut Scratch<'_>) {
        let Gemm { a, b, c } = self;
        check("the result", c.shape(), (a.len(), b.cols));
        a.multiply(isa, b, Place::of(&c), &mut Store(c), scratch);
    }
}

/// A layer forward: `output = f(input weights + biases)`.
///
/// Adds the activations of each unit, in the samples' order, to `sums`.
#[derive(Debug)]
pub struct Forward<'a> {
    /// `[samples, inputs]`
    pub input: Operand<'a>,
    /// `[inputs, units]`; rows contiguous where the input is sparse.
    pub weights: Matrix<'a>,
    /// `[units]`
    pub biases: &'a [f32],
    /// f
    pub activation: Activation,
    /// `[samples, units]`; what it holds before is not read.
    pub output: MatrixMut<'a>,
    /// `[units]`, added to.
    pub sums: &'a mut [f32],
}

impl Forward<'_> {
    /// Computes the output and adds to the sums.
    ///
    /// # Panics
    /// The shapes do not fit.
    pub fn run(mut self, isa: Isa, scratch: &mut Scratch<'_>) {
        let units = self.weights.cols;
        check("the output", self.output.shape(), (self.input.len(), units));
        assert!([self.biases.len(), self.sums.len()] == [units; 2], "a number for each unit");
        let (input, weights, partial) = (self.input, self.weights, Place::of(&self.output));
        input.multiply(isa, weights, partial, &mut self, scratch);
    }
}

/// The output layer forward, its loss and its delta in one pass.
///
/// With z = input weights + biases, a = f(z) and e = a - target: for squared errors, e^2 is added
/// to `losses` and `delta = scale e f'(z)`; for the cross-entropy, that of z is added to `losses`
/// and `delta = scale e`, the activation being the sigmoid. Delta is added to `bias_gradient`. Both
/// sums run in the samples' order. For the mean over n samples of d features the scale is
/// [`Loss::gradient_factor`] / (n d).
#[derive(Debug)]
pub struct OutputDelta<'a> {
    /// `[samples, inputs]`
    pub input: Operand<'a>,
    /// `[inputs, features]`; rows contiguous where the input is sparse.
    pub weights: Matrix<'a>,
    /// `[features]`
    pub biases: &'a [f32],
    /// f
    pub activation: Activation,
    /// The data term.
    pub loss: Loss,
    /// `[samples, features]`, rows contiguous.
    pub target: Matrix<'a>,
    /// Factor of the gradient.
    pub scale: f32,
    /// `[samples, features]`; what it holds before is not read.
    pub delta: MatrixMut<'a>,
    /// `[features]`, added to.
    pub losses: &'a mut [f32],
    /// `[features]`, added to.
    pub bias_gradient: &'a mut [f32],
}

impl OutputDelta<'_> {
    /// Computes the delta and adds to both sums.
    ///
    /// # Panics
    /// The shapes do not fit, the target's rows are not contiguous, or the cross-entropy has
    /// another activation than the sigmoid.
    pub fn run(mut self, isa: Isa, scratch: &mut Scratch<'_>) {
        let features = self.weights.cols;
        check("the delta", self.delta.shape(), (self.input.len(), features));
        check("the target", self.target.shape(), (self.input.len(), features));
        assert!(self.target.col_stride == 1, "the target's rows are contiguous");
        assert!(self.loss.fits(self.activation), "the cross-entropy is that of a sigmoid");
        let lengths = [self.biases.len(), self.losses.len(), self.bias_gradient.len()];
        assert!(lengths == [features; 3], "a number for each unit");
        let (input, weights, partial) = (self.input, self.weights, Place::of(&self.delta));
        input.multiply(isa, weights, partial, &mut self, scratch);
    }
}

/// A hidden layer's delta from the next one's: `delta = (next weights^T + penalty) f'(z)`.
///
/// f' is taken from the activation a = f(z). Delta is added, in the samples' order, to
/// `bias_gradient`.
#[derive(Debug)]
pub struct HiddenDelta<'a> {
    /// The next layer's delta, `[samples, outputs]`.
    pub next: Operand<'a>,
    /// The next layer's weights, `[units, outputs]`; columns contiguous where its delta is sparse.
    pub weights: Matrix<'a>,
    /// This layer's activations, `[samples, units]`, rows contiguous.
    pub activations: Matrix<'a>,
    /// f
    pub activation: Activation,
    /// This layer's penalty.
    pub penalty: Penalty<'a>,
    /// `[samples, units]`; what it holds before is not read.
    pub delta: MatrixMut<'a>,
    /// `[units]`, added to.
    pub bias_gradient: &'a mut [f32],
}

impl HiddenDelta<'_> {
    /// Computes the delta and adds to the bias gradient.
    ///
    /// # Panics
    /// The shapes do not fit, or the activations' rows are not contiguous.
    pub fn run(mut self, isa: Isa, scratch: &mut Scratch<'_>) {
        let units = self.weights.rows;
        check("the delta", self.delta.shape(), (self.next.len(), units));
        check("the activations", self.activations.shape(), (self.next.len(), units));
        assert!(self.activations.col_stride == 1, "the activations' rows are contiguous");
        assert!(self.bias_gradient.len() == units, "a number for each unit");
        assert!(self.penalty.units.is_none_or(|p| p.len() == units), "a penalty for each unit");
        let (next, weights) = (self.next, self.weights.transposed());
        next.multiply(isa, weights, Place::of(&self.delta), &mut self, scratch);
    }
}

/// The weight gradient `a delta` and at once the step of a [`Rule`], block by block: a block of the
/// gradient stays in the L2 cache, and none goes to memory.
///
/// The bits are those of [`Gemm`] followed by [`Rule::update_rows`]. With a rule that is orthogonal a row of
/// more than a block is computed twice.
///
/// (With Adam in the tile's own epilogue, from registers, a step took longer: the parameters and
/// moments of a tile are short pieces of many rows, which no prefetcher follows. Swept block by
/// block they stream: 0.44 against 0.55 ms for 784 x 300 and 60 samples in cache, and the more
/// from memory.)
#[derive(Debug)]
pub struct Update<'a> {
    /// The optimizer's step.
    pub rule: Rule,
    /// The inputs, transposed: `[inputs, samples]`. Of a sparse code, the samples of each unit.
    pub a: Operand<'a>,
    /// `[samples, outputs]`; rows contiguous where `a` is sparse.
    pub delta: Matrix<'a>,
    /// `[inputs, outputs]`
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

impl Update<'_> {
    /// Updates the weights and their moments; returns the largest magnitude of the new weights, as
    /// [`Rule::update_rows`] does.
    ///
    /// # Panics
    /// The shapes do not fit.
    pub fn run(self, isa: Isa, scratch: &mut Scratch<'_>) -> f32 {
        let Update { rule, a, delta, correction, .. } = self;
        let (mut weights, mut first, mut second) =
            (self.weights, self.first_moment, self.second_moment);
        let (inputs, outputs) = (a.len(), delta.cols);
        check("the weights", weights.shape(), (inputs, outputs));
        rule.check_moments((inputs, outputs), &first, &second);
        if let Some(Outer { rows, cols }) = correction {
            check("the correction", (rows.len(), cols.len()), (inputs, outputs));
        }

        let (mut scratch, buffer) = scratch.split_gradient();
        let (height, width) = match a {
            // A lazy rule looks at whole rows.
            _ if rule.is_lazy() => {
                let width = outputs.clamp(1, buffer.len());
                ((SPARSE_BLOCK / width).max(1), width)
            }
            _ if rule.is_orthogonal() => {
                let width = outputs.clamp(1, buffer.len());
                let floats = match a {
                    Operand::Sparse(lists) if !lists.is_long(delta.rows) => SPARSE_BLOCK,
                    _ => buffer.len(),
                };
                let rows = (floats / width).clamp(1, BLOCK_ROWS);
                (if rows < ROW_UNIT { rows } else { rows / ROW_UNIT * ROW_UNIT }, width)
            }
            Operand::Sparse(lists) => {
                // Rows of long lists share what they read.
                let is_long = lists.is_long(delta.rows);
                let width = outputs.clamp(1, SPARSE_BLOCK);
                (if is_long { buffer.len() / width } else { SPARSE_BLOCK / width }, width)
            }
            _ => {
                let width = if outputs <= WIDE_BLOCK { outputs.max(1) } else { NARROW_BLOCK };
                ((buffer.len() / width).min(BLOCK_ROWS) / ROW_UNIT * ROW_UNIT, width)
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
                Gemm { a, b, c: MatrixMut::new(&mut buffer[..m * n], m, n) }.run(isa, &mut scratch);
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

fn check(name: &str, have: (usize, usize), want: (usize, usize)) {
    assert_eq!(have, want, "{name} has another shape than the product");
}
