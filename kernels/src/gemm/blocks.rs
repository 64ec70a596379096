//! The sizes of blocks, and the scratch memory that they take.

use core::ops::Range;

/// Maximum of [`crate::simd::Simd::BLOCK_K`].
pub(super) const MAX_BLOCK_K: usize = 1024;
/// Longest block of k where zeros are skipped.
pub(super) const SPARSE_BLOCK_K: usize = 384;
/// Rows of a row block: with a block of k of 384 it has 300 KiB, which half an L2 cache of 512 KiB
/// to 1 MiB holds.
pub(super) const BLOCK_ROWS: usize = 192;
/// A multiple of every tile's rows, and a divisor of [`BLOCK_ROWS`].
pub(super) const ROW_UNIT: usize = 24;
/// Columns of B whose panels are kept while several row blocks pass over them: 1.5 MiB, with a
/// block of k of 384.
pub(super) const BLOCK_COLS: usize = 1024;
/// Widest strip, in floats, of any instruction set.
pub(super) const MAX_STRIP: usize = 96;
/// From this stride on (half a page of floats) rows fall on few cache sets and many pages.
pub(super) const LONG_STRIDE: usize = 512;
/// Up to this k, a strip of B in place is a few lines of the L1 cache.
pub(super) const SHORT_K: usize = 64;
/// Tiles of rows that read it in place: more of them win back what a copy costs, by whole lines.
/// (30x60x300: 0.80 of the peak with a copy, 0.86 without; 784x60x300: 0.86 and 0.83.)
pub(super) const FEW_TILES: usize = 12;
/// At a multiple of this stride (512 bytes) its rows would fall on few cache sets.
pub(super) const SHORT_STRIDE: usize = 128;
/// Floats of a cache line.
pub(super) const LINE: usize = 16;

/// Floats of the panels: with the widest strip at the end of a block of columns.
pub(super) const PANEL_FLOATS: usize = MAX_BLOCK_K * (BLOCK_COLS + MAX_STRIP);
/// Floats of scratch that a product needs.
const PRODUCT_FLOATS: usize = LINE + PANEL_FLOATS + BLOCK_ROWS * (MAX_BLOCK_K + LINE);
/// Floats of a block of a weight gradient, 192 KiB: it stays in the L2 cache from the product to
/// the optimizer's sweep.
const GRADIENT_FLOATS: usize = 48 * 1024;
/// Floats of sums that wait between blocks of k in a product that has no result in memory: 256
/// columns of four row blocks.
const PARTIAL_FLOATS: usize = 256 * 4 * BLOCK_ROWS;
/// Indices of scratch that lists of what is not zero are made from: a bit for each k of a block.
pub(super) const ACTIVE_MASKS: usize = BLOCK_ROWS * SPARSE_BLOCK_K.div_ceil(32);
/// Indices of scratch that lists of active k take: one for each tile of at least 4 rows, and one
/// for all.
const ACTIVE_LISTS: usize = (BLOCK_ROWS / 4 + 1) * (SPARSE_BLOCK_K + 1);

/// Memory that a product works in; one for each thread.
#[derive(Debug)]
pub struct Scratch<'a> {
    pub(super) floats: &'a mut [f32],
    pub(super) indices: &'a mut [u32],
}

impl<'a> Scratch<'a> {
    /// How many floats and how many indices it is made of, whatever the products' shapes.
    pub const LENGTHS: (usize, usize) =
        (PRODUCT_FLOATS + GRADIENT_FLOATS + PARTIAL_FLOATS, ACTIVE_MASKS + ACTIVE_LISTS);

    /// Takes memory for products, of any content.
    ///
    /// # Panics
    /// A slice is shorter than [`Scratch::LENGTHS`].
    pub fn new(floats: &'a mut [f32], indices: &'a mut [u32]) -> Self {
        assert!(floats.len() >= Self::LENGTHS.0, "the floats of a scratch are too few");
        assert!(indices.len() >= Self::LENGTHS.1, "the indices of a scratch are too few");
        Scratch { floats, indices }
    }

    /// Scratch for products alone, and room for sums that wait where `depth` is more than a block.
    pub(crate) fn split_partial(
        &mut self,
        block_k: usize,
        depth: usize,
    ) -> (Scratch<'_>, &mut [f32]) {
        let (floats, rest) = self.floats.split_at_mut(PRODUCT_FLOATS);
        let length = if depth > block_k { PARTIAL_FLOATS } else { 0 };
        (Scratch { floats, indices: self.indices }, &mut rest[GRADIENT_FLOATS..][..length])
    }

    /// The room for sums that wait, alone.
    pub(super) fn partial(&mut self) -> &mut [f32] {
        let length = self.floats.len();
        &mut self.floats[length - PARTIAL_FLOATS..]
    }

    /// Scratch for products alone, and the floats for a block of a weight gradient.
    pub(crate) fn split_gradient(&mut self) -> (Scratch<'_>, &mut [f32]) {
        let (floats, gradient) = self.floats.split_at_mut(PRODUCT_FLOATS);
        (Scratch { floats, indices: self.indices }, &mut gradient[..GRADIENT_FLOATS])
    }
}

/// Ranges that cover `0..total`, each of `size` but the last.
#[inline(always)]
pub(crate) fn chunks(total: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..total).step_by(size.max(1)).map(move |start| start..total.min(start + size))
}
