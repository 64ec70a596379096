//! What happens to a finished sum before it is stored, and the products named after it.

use super::tile::Place;
use super::{BLOCK_ROWS, GRADIENT_FLOATS, Operands, PRODUCT_FLOATS, Scratch, product};
use crate::activation::Activation;
use crate::loss::{self, Loss};
use crate::matrix::{Matrix, MatrixMut};
use crate::optimizer::{Adam, AdamLanes};
use crate::simd::{Isa, Kernel, Simd};
use crate::sparsity::Penalty;

/// Takes finished sums, a vector at a time; in each column of vectors the rows in their order.
///
/// `col` is the first lane's column and `lanes` says how many lanes there are.
pub(crate) trait Epilogue {
    /// Where the product's sums go as they are, if that is all that is done.
    #[inline(always)]
    fn place(&self) -> Option<Place> {
        None
    }
    /// What a column of vectors keeps in registers.
    type Column<S: Simd>: Copy;
    /// Before the first row of a tile.
    /// # Safety
    /// The epilogue covers these columns.
    unsafe fn begin<S: Simd>(&self, s: S, col: usize, lanes: usize) -> Self::Column<S>;
    /// One vector of sums.
    /// # Safety
    /// The epilogue covers the row and these columns.
    unsafe fn apply<S: Simd>(
        &mut self,
        s: S,
        column: &mut Self::Column<S>,
        row: usize,
        col: usize,
        lanes: usize,
        sum: S::V,
    );
    /// After the last row of a tile.
    /// # Safety
    /// The epilogue covers these columns.
    unsafe fn end<S: Simd>(&mut self, s: S, column: Self::Column<S>, col: usize, lanes: usize);
}

fn check(name: &str, have: (usize, usize), want: (usize, usize)) {
    assert_eq!(have, want, "{name} has another shape than the product");
}

fn partial(out: &MatrixMut<'_>) -> Place {
    Place { data: out.data, stride: out.row_stride }
}

/// A product whose shapes were checked: the epilogue and the place of the unfinished sums have
/// that of the result.
struct Run<'a, 'b, E> {
    operands: Operands<'a>,
    epilogue: E,
    scratch: &'a mut Scratch<'b>,
}

impl<E: Epilogue> Kernel for Run<'_, '_, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        // SAFETY: the shapes were checked.
        unsafe { product(s, self.operands, self.scratch, &mut self.epilogue) }
    }
}

struct Store<'a>(MatrixMut<'a>);

impl Epilogue for Store<'_> {
    type Column<S: Simd> = ();
    #[inline(always)]
    fn place(&self) -> Option<Place> {
        Some(partial(&self.0))
    }
    #[inline(always)]
    unsafe fn begin<S: Simd>(&self, _: S, _: usize, _: usize) {}
    #[inline(always)]
    unsafe fn apply<S: Simd>(
        &mut self,
        s: S,
        _: &mut (),
        row: usize,
        col: usize,
        lanes: usize,
        sum: S::V,
    ) {
        // SAFETY: the trait's promise.
        unsafe { s.store_upto(self.0.data.add(row * self.0.row_stride + col), lanes, sum) };
    }
    #[inline(always)]
    unsafe fn end<S: Simd>(&mut self, _: S, _: (), _: usize, _: usize) {}
}

/// `c = a b`, shapes `[m, k]`, `[k, n]`, `[m, n]`; transposed views of `a` or `b` give the other
/// forms.
///
/// # Panics
/// The shapes do not fit.
pub fn gemm(isa: Isa, a: Matrix<'_>, b: Matrix<'_>, c: MatrixMut<'_>, scratch: &mut Scratch<'_>) {
    gemm_skipping(isa, a, b, c, false, scratch);
}

/// As [`gemm`]; with `skip_zeros`, k at which a whole tile of `a` is 0 are left out. The bits are
/// the same as long as `b` is finite (and no sum has underflowed to -0).
///
/// # Panics
/// The shapes do not fit.
pub fn gemm_skipping(
    isa: Isa,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: MatrixMut<'_>,
    skip_zeros: bool,
    scratch: &mut Scratch<'_>,
) {
    check("the result", (c.rows, c.cols), (a.rows, b.cols));
    let operands = Operands { a, b, skip_zeros, partial: partial(&c) };
    isa.run(Run { operands, epilogue: Store(c), scratch });
}

struct Forward<'a> {
    bias: &'a [f32],
    activation: Activation,
    output: MatrixMut<'a>,
    sums: &'a mut [f32],
}

impl Epilogue for Forward<'_> {
    /// Bias and column sums.
    type Column<S: Simd> = (S::V, S::V);
    #[inline(always)]
    unsafe fn begin<S: Simd>(&self, s: S, col: usize, lanes: usize) -> Self::Column<S> {
        // SAFETY: both slices are as long as the output is wide.
        unsafe {
            let bias = s.load_upto(self.bias.as_ptr().add(col), lanes);
            (bias, s.load_upto(self.sums.as_ptr().add(col), lanes))
        }
    }
    #[inline(always)]
    unsafe fn apply<S: Simd>(
        &mut self,
        s: S,
        column: &mut Self::Column<S>,
        row: usize,
        col: usize,
        lanes: usize,
        sum: S::V,
    ) {
        let a = self.activation.apply(s, s.add(sum, column.0));
        column.1 = s.add(column.1, a);
        // SAFETY: the trait's promise.
        unsafe { s.store_upto(self.output.data.add(row * self.output.row_stride + col), lanes, a) };
    }
    #[inline(always)]
    unsafe fn end<S: Simd>(&mut self, s: S, column: Self::Column<S>, col: usize, lanes: usize) {
        // SAFETY: as in `begin`.
        unsafe { s.store_upto(self.sums.as_mut_ptr().add(col), lanes, column.1) };
    }
}

/// A layer forward: `output = f(input weights + bias)`, shapes `[n, in]`, `[in, out]`, `[out]`,
/// `[n, out]`. Adds the activations of each unit, in the samples' order, to `sums[out]`.
///
/// `skip_zeros` leaves out inputs that are 0 in a whole tile of samples; see [`gemm_skipping`].
///
/// # Panics
/// The shapes do not fit.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    isa: Isa,
    input: Matrix<'_>,
    skip_zeros: bool,
    weights: Matrix<'_>,
    bias: &[f32],
    activation: Activation,
    output: MatrixMut<'_>,
    sums: &mut [f32],
    scratch: &mut Scratch<'_>,
) {
    check("the output", (output.rows, output.cols), (input.rows, weights.cols));
    assert!(bias.len() == weights.cols && sums.len() == weights.cols, "a number for each unit");
    let operands = Operands { a: input, b: weights, skip_zeros, partial: partial(&output) };
    isa.run(Run { operands, epilogue: Forward { bias, activation, output, sums }, scratch });
}

struct OutputDelta<'a> {
    bias: &'a [f32],
    activation: Activation,
    loss: Loss,
    target: Matrix<'a>,
    scale: f32,
    delta: MatrixMut<'a>,
    losses: &'a mut [f32],
    bias_gradient: &'a mut [f32],
}

impl Epilogue for OutputDelta<'_> {
    /// Bias, losses, bias gradient.
    type Column<S: Simd> = (S::V, S::V, S::V);
    #[inline(always)]
    unsafe fn begin<S: Simd>(&self, s: S, col: usize, lanes: usize) -> Self::Column<S> {
        // SAFETY: the slices are as long as the output is wide.
        unsafe {
            (
                s.load_upto(self.bias.as_ptr().add(col), lanes),
                s.load_upto(self.losses.as_ptr().add(col), lanes),
                s.load_upto(self.bias_gradient.as_ptr().add(col), lanes),
            )
        }
    }
    #[inline(always)]
    unsafe fn apply<S: Simd>(
        &mut self,
        s: S,
        column: &mut Self::Column<S>,
        row: usize,
        col: usize,
        lanes: usize,
        sum: S::V,
    ) {
        // SAFETY: the trait's promise; the target has the output's shape.
        unsafe {
            let z = s.add(sum, column.0);
            let a = self.activation.apply(s, z);
            let x = s.load_upto(self.target.data.add(row * self.target.row_stride + col), lanes);
            let error = s.sub(a, x);
            let mut delta = s.mul(error, s.splat(self.scale));
            match self.loss {
                Loss::SquaredError => {
                    column.1 = s.mul_add(error, error, column.1);
                    delta = self.activation.chain(s, a, delta);
                }
                // The sigmoid's derivative divides itself out.
                Loss::CrossEntropy => column.1 = s.add(column.1, loss::cross_entropy(s, z, x)),
            }
            column.2 = s.add(column.2, delta);
            s.store_upto(self.delta.data.add(row * self.delta.row_stride + col), lanes, delta);
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

/// The output layer forward, its loss and its delta in one pass.
///
/// With z = input weights + bias, a = f(z) and e = a - target: for squared errors, e^2 is added to
/// `losses[out]` and `delta = scale e f'`; for the cross-entropy, that of z goes to `losses` and
/// `delta = scale e`, the activation being the sigmoid. Delta is added to `bias_gradient[out]`; both
/// sums run in the samples' order. For the mean over n samples of d features the scale is
/// [`Loss::slope`] / (n d).
///
/// Shapes: input `[n, in]`, weights `[in, out]`, target and delta `[n, out]`.
///
/// # Panics
/// The shapes do not fit, or the cross-entropy has another activation than the sigmoid.
#[allow(clippy::too_many_arguments)]
pub fn output_delta(
    isa: Isa,
    input: Matrix<'_>,
    skip_zeros: bool,
    weights: Matrix<'_>,
    bias: &[f32],
    activation: Activation,
    loss: Loss,
    target: Matrix<'_>,
    scale: f32,
    delta: MatrixMut<'_>,
    losses: &mut [f32],
    bias_gradient: &mut [f32],
    scratch: &mut Scratch<'_>,
) {
    let out = weights.cols;
    check("the delta", (delta.rows, delta.cols), (input.rows, out));
    check("the target", (target.rows, target.cols), (input.rows, out));
    assert!(target.col_stride == 1, "the target's rows are contiguous");
    assert!(loss.fits(activation), "the cross-entropy is that of a sigmoid");
    let lengths = [bias.len(), losses.len(), bias_gradient.len()];
    assert!(lengths == [out; 3], "a number for each unit");
    let operands = Operands { a: input, b: weights, skip_zeros, partial: partial(&delta) };
    let epilogue =
        OutputDelta { bias, activation, loss, target, scale, delta, losses, bias_gradient };
    isa.run(Run { operands, epilogue, scratch });
}

struct HiddenDelta<'a> {
    activations: Matrix<'a>,
    activation: Activation,
    penalty: Penalty<'a>,
    delta: MatrixMut<'a>,
    bias_gradient: &'a mut [f32],
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
    unsafe fn apply<S: Simd>(
        &mut self,
        s: S,
        column: &mut Self::Column<S>,
        row: usize,
        col: usize,
        lanes: usize,
        sum: S::V,
    ) {
        // SAFETY: the trait's promise; the activations have the delta's shape.
        unsafe {
            let at = self.activations.data.add(row * self.activations.row_stride + col);
            let a = s.load_upto(at, lanes);
            let delta = self.activation.chain(s, a, self.penalty.add(s, sum, column.0, a));
            column.1 = s.add(column.1, delta);
            s.store_upto(self.delta.data.add(row * self.delta.row_stride + col), lanes, delta);
        }
    }
    #[inline(always)]
    unsafe fn end<S: Simd>(&mut self, s: S, column: Self::Column<S>, col: usize, lanes: usize) {
        // SAFETY: as in `begin`.
        unsafe { s.store_upto(self.bias_gradient.as_mut_ptr().add(col), lanes, column.1) };
    }
}

/// A hidden layer's delta from the next one's: `delta = (next weights^T + penalty) f'(a)`, added
/// down the samples to `bias_gradient[units]`.
///
/// Shapes: next `[n, out]`, the next layer's weights `[units, out]`, activations and delta
/// `[n, units]`, the penalty's `[units]`.
///
/// # Panics
/// The shapes do not fit.
#[allow(clippy::too_many_arguments)]
pub fn hidden_delta(
    isa: Isa,
    next: Matrix<'_>,
    weights: Matrix<'_>,
    activations: Matrix<'_>,
    activation: Activation,
    penalty: Penalty<'_>,
    delta: MatrixMut<'_>,
    bias_gradient: &mut [f32],
    scratch: &mut Scratch<'_>,
) {
    let units = weights.rows;
    check("the delta", (delta.rows, delta.cols), (next.rows, units));
    check("the activations", (activations.rows, activations.cols), (next.rows, units));
    assert!(activations.col_stride == 1, "the activations' rows are contiguous");
    assert!(bias_gradient.len() == units, "a number for each unit");
    assert!(penalty.units.is_none_or(|p| p.len() == units), "a penalty for each unit");
    let b = weights.transposed();
    let operands = Operands { a: next, b, skip_zeros: false, partial: partial(&delta) };
    let epilogue = HiddenDelta { activations, activation, penalty, delta, bias_gradient };
    isa.run(Run { operands, epilogue, scratch });
}

/// The weight gradient `input^T delta` and, while it is in the second cache, weight decay and Adam:
/// a block of the gradient lives in the scratch, and none goes to memory.
///
/// (With Adam in the tile's own epilogue, from registers, a step took longer: the parameters and
/// moments of a tile are short pieces of many rows, which no prefetcher follows. Swept block by
/// block they stream: 0.44 against 0.55 ms for 784 x 300 and 60 samples in cache, and the more
/// from memory.)
///
/// Shapes: input `[n, in]`, delta `[n, out]`, weights and both moments `[in, out]`.
/// `skip_zeros` leaves out samples in which a whole tile of inputs is 0; see [`gemm_skipping`].
///
/// # Panics
/// The shapes do not fit.
#[allow(clippy::too_many_arguments)]
pub fn update(
    isa: Isa,
    adam: &Adam,
    input: Matrix<'_>,
    skip_zeros: bool,
    delta: Matrix<'_>,
    weights: MatrixMut<'_>,
    first_moment: MatrixMut<'_>,
    second_moment: MatrixMut<'_>,
    scratch: &mut Scratch<'_>,
) {
    struct Update<'a, 'b> {
        adam: &'a Adam,
        input: Matrix<'a>,
        skip_zeros: bool,
        delta: Matrix<'a>,
        parameters: [MatrixMut<'a>; 3],
        scratch: &'a mut Scratch<'b>,
    }
    impl Kernel for Update<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Update { adam, input, skip_zeros, delta, parameters, scratch } = self;
            let adam = AdamLanes::new(s, adam);
            let (product_floats, gradient) = scratch.floats.split_at_mut(PRODUCT_FLOATS);
            let mut product_scratch =
                Scratch { floats: product_floats, indices: &mut *scratch.indices };
            let (inputs, outputs) = (input.cols, delta.cols);
            let widest = if outputs <= WIDE_BLOCK { outputs } else { NARROW_BLOCK };
            let highest = (GRADIENT_FLOATS / widest.max(1)).min(BLOCK_ROWS / 2) / 12 * 12;
            // Whole rows without gaps are one long row: no short vector at the end of each.
            let gapless =
                widest == outputs && parameters.iter().all(|matrix| matrix.row_stride == outputs);
            let mut row = 0;
            while row < inputs {
                let rows = (inputs - row).min(highest);
                let mut col = 0;
                while col < outputs {
                    let cols = (outputs - col).min(widest);
                    let out = MatrixMut::new(&mut gradient[..rows * cols], rows, cols);
                    let operands = Operands {
                        a: input.columns(row..row + rows).transposed(),
                        b: delta.columns(col..col + cols),
                        skip_zeros,
                        partial: partial(&out),
                    };
                    let mut store = Store(out);
                    // SAFETY: the block of the gradient has the product's shape, and the
                    // parameters' views cover the block.
                    unsafe {
                        product(s, operands, &mut product_scratch, &mut store);
                        let (rows, length) = if gapless { (1, rows * cols) } else { (rows, cols) };
                        for r in 0..rows {
                            let [w, m, v] = &parameters;
                            let at = |p: &MatrixMut<'_>| p.data.add((row + r) * p.row_stride + col);
                            adam.sweep(
                                s,
                                length,
                                at(w),
                                at(m),
                                at(v),
                                gradient[r * cols..].as_ptr(),
                            );
                        }
                    }
                    col += cols;
                }
                row += rows;
            }
        }
    }
    let shape = (input.cols, delta.cols);
    assert_eq!(input.rows, delta.rows, "input and delta have other samples");
    check("the weights", (weights.rows, weights.cols), shape);
    check("the first moment", (first_moment.rows, first_moment.cols), shape);
    check("the second moment", (second_moment.rows, second_moment.cols), shape);
    let parameters = [weights, first_moment, second_moment];
    isa.run(Update { adam, input, skip_zeros, delta, parameters, scratch });
}

/// Up to this width a block of the gradient has whole rows.
const WIDE_BLOCK: usize = 1024;
/// Its width otherwise: then it is high enough for the panels of the delta to pay.
const NARROW_BLOCK: usize = 512;
