//! The memory that a product works in.

use super::blocks::{
    BLOCK_COLS, BLOCK_ROWS, LIBRARY_SUMS, LINE, MAX_BLOCK_K, MAX_STRIP, Plan, ROW_SUMS, ROW_UNIT,
    SPARSE_BLOCK_K, SPARSE_SUMS,
};
use crate::simd::{Isa, Kernel, RegisterTile, Simd};

/// Floats of scratch that the loops of a product take: panels with the widest strip at the end of a block of
/// columns, and a copy of a row block.
const PRODUCT_FLOATS: usize =
    LINE + MAX_BLOCK_K * (BLOCK_COLS + MAX_STRIP) + BLOCK_ROWS * (MAX_BLOCK_K + LINE);
/// Floats of a block of a weight gradient, 192 KiB: it stays in the L2 cache from the product to
/// the optimizer's sweep.
pub(crate) const GRADIENT_FLOATS: usize = 48 * 1024;
/// Columns of a piece of a product whose sums wait in the scratch between blocks of k.
pub(crate) const PARTIAL_COLS: usize = 256;
/// Rows of such a piece: four row blocks.
pub(crate) const PARTIAL_ROWS: usize = 4 * BLOCK_ROWS;
const PARTIAL_FLOATS: usize = PARTIAL_COLS * PARTIAL_ROWS;
/// Indices of scratch that lists of what is not zero are made from: a bit for each k of a block.
const ACTIVE_MASKS: usize = BLOCK_ROWS * SPARSE_BLOCK_K.div_ceil(32);
/// Indices of scratch that lists of active k take: one for each tile of at least 4 rows, and one
/// for all.
const ACTIVE_LISTS: usize = (BLOCK_ROWS / 4 + 1) * (SPARSE_BLOCK_K + 1);

/// Memory that a product works in; one for each thread.
///
/// Of [`Scratch::LENGTHS`] it serves every product on every set; one for products of known shapes is
/// [`Scratch::sized`]. Its content does not matter, and no product leaves anything in it for the next.
///
/// ```
/// use sae_kernels::{Isa, Matrix, MatrixMut, Scratch, gemm};
///
/// let isa = Isa::detect();
/// let (floats, indices) = Scratch::lengths_for(isa, 1, 2, 1);
/// let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
/// let mut scratch = Scratch::sized(&mut floats, &mut indices);
/// let mut c = [0.0];
/// let (a, b) = (Matrix::new(&[1.0, 2.0], 1, 2), Matrix::new(&[3.0, 4.0], 2, 1));
/// gemm(isa, a, b, MatrixMut::new(&mut c, 1, 1), &mut scratch);
/// assert_eq!(c, [11.0]);
/// ```
#[derive(Debug)]
pub struct Scratch<'a> {
    pub(super) floats: &'a mut [f32],
    pub(super) indices: &'a mut [u32],
}

impl<'a> Scratch<'a> {
    /// How many floats and how many indices it is made of, whatever the products' shapes: 5.6 MB.
    pub const LENGTHS: (usize, usize) =
        (PRODUCT_FLOATS + GRADIENT_FLOATS + PARTIAL_FLOATS, ACTIVE_MASKS + ACTIVE_LISTS);

    /// How many floats and how many indices suffice for a product of `[m, k]` and `[k, n]` on a set: for any
    /// operand, for what is fused into it, for any strides, and for a product of fewer rows `m` or columns `n`,
    /// such as a thread's part.
    ///
    /// `[m, n]` is the shape of what is written: samples and units of a [`Forward`](crate::Forward), an
    /// [`OutputDelta`](crate::OutputDelta) and a [`HiddenDelta`](crate::HiddenDelta), inputs and outputs of an
    /// [`Update`](crate::Update), units and samples of an [`Encode`](crate::sparse::Encode); `k` is what the
    /// sums run over. Of several shapes, take the maximum of both lengths.
    ///
    /// ```
    /// use sae_kernels::{Isa, Scratch};
    ///
    /// let (floats, indices) = Scratch::lengths_for(Isa::detect(), 60, 784, 300);
    /// assert!(floats < Scratch::LENGTHS.0 / 4 && indices < Scratch::LENGTHS.1);
    /// ```
    pub fn lengths_for(isa: Isa, m: usize, k: usize, n: usize) -> (usize, usize) {
        let [one, other] = [(m, n), (n, m)].map(|(m, n)| isa.run(Lengths { m, k, n }));
        (one.0.max(other.0), one.1.max(other.1))
    }

    /// Takes memory for products of any shape, of any content.
    ///
    /// ```
    /// use sae_kernels::Scratch;
    ///
    /// let (floats, indices) = Scratch::LENGTHS;
    /// let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// let scratch = Scratch::new(&mut floats, &mut indices);
    /// assert_eq!(scratch.lengths(), Scratch::LENGTHS);
    /// ```
    ///
    /// # Panics
    /// A slice is shorter than [`Scratch::LENGTHS`].
    #[track_caller]
    pub fn new(floats: &'a mut [f32], indices: &'a mut [u32]) -> Self {
        assert!(floats.len() >= Self::LENGTHS.0, "the floats of a scratch are too few");
        assert!(indices.len() >= Self::LENGTHS.1, "the indices of a scratch are too few");
        Scratch { floats, indices }
    }

    /// Takes memory of any length and content. A product that needs more of it panics and says how much;
    /// [`Scratch::lengths_for`] tells it before.
    ///
    /// ```
    /// use sae_kernels::{Isa, Scratch};
    ///
    /// let (floats, indices) = Scratch::lengths_for(Isa::detect(), 60, 30, 300);
    /// let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// assert!(Scratch::sized(&mut floats, &mut indices).lengths() < Scratch::LENGTHS);
    /// ```
    pub fn sized(floats: &'a mut [f32], indices: &'a mut [u32]) -> Self {
        Scratch { floats, indices }
    }

    /// How many floats and how many indices it has.
    ///
    /// ```
    /// assert_eq!(sae_kernels::Scratch::sized(&mut [0.0; 3], &mut []).lengths(), (3, 0));
    /// ```
    pub fn lengths(&self) -> (usize, usize) {
        (self.floats.len(), self.indices.len())
    }

    /// Panics unless it suffices for a product.
    #[inline]
    #[track_caller]
    pub(crate) fn check(&self, isa: Isa, (m, k, n): (usize, usize, usize)) {
        let (floats, indices) = self.lengths();
        if floats >= Self::LENGTHS.0 && indices >= Self::LENGTHS.1 {
            return;
        }
        let need = Self::lengths_for(isa, m, k, n);
        assert!(
            floats >= need.0 && indices >= need.1,
            "a product of {m} x {k} and {k} x {n} needs a scratch of {} floats and {} indices, but this one has \
             {floats} and {indices}: make it of Scratch::lengths_for",
            need.0,
            need.1,
        );
    }

    /// Splits floats off, for something else than the loops of a product.
    pub(crate) fn split(&mut self, floats: usize) -> (&mut [f32], Scratch<'_>) {
        // Whole lines, so that the rest begins where it would.
        let (front, rest) = self.floats.split_at_mut(floats.next_multiple_of(LINE));
        (&mut front[..floats], Scratch { floats: rest, indices: self.indices })
    }
}

/// Tells [`Scratch::lengths_for`] of a set, for a result with contiguous rows.
struct Lengths {
    m: usize,
    k: usize,
    n: usize,
}

impl Kernel for Lengths {
    type Output = (usize, usize);
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (usize, usize) {
        let Lengths { m, k, n } = self;
        let strip = S::Tile::VECTORS.max(S::SparseTile::VECTORS) * S::LANES;
        let tile_rows = S::Tile::ROWS.min(S::SparseTile::ROWS);
        let [dense, skipping] = [false, true].map(|skip_zeros| {
            let plan = Plan::new((m, k, n), S::BLOCK_K, skip_zeros);
            // Of fewer rows in all, a row block may have more.
            Plan { block_rows: m.min(BLOCK_ROWS).next_multiple_of(ROW_UNIT), ..plan }
        });
        let of_loops = |plan: Plan| match S::GEMM_BY_LIBRARY {
            true => LIBRARY_SUMS.floats(m, n),
            false => plan.panel_floats(strip, n) + plan.tile_floats(),
        };
        let sums = ROW_SUMS.floats(m.min(S::SparseTile::ROWS), n).max(SPARSE_SUMS.floats(m, n));
        let product = LINE + of_loops(dense).max(of_loops(skipping)).max(sums);
        let most = if k > SPARSE_BLOCK_K { PARTIAL_FLOATS } else { GRADIENT_FLOATS };
        let beside = m.saturating_mul(n).min(most).next_multiple_of(LINE);
        let masks = skipping.block_rows * skipping.block_k.div_ceil(32);
        let lists = (skipping.block_rows / tile_rows + 1) * (skipping.block_k + 1);
        (product + beside, masks + lists)
    }
}
