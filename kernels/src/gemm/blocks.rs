//! The sizes of blocks.

use core::ops::Range;

use crate::lists::GROUP_ROWS;

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
/// Sums that are read at once, at most: two vectors of the widest set.
const SUMS: usize = 32;
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

/// Sums that a loop beside the tiles holds at once.
pub(super) struct HeldSums {
    /// Maximum of the rows,
    rows: usize,
    /// and columns.
    pub cols: usize,
    /// Floats between the end of a row and the next.
    gap: usize,
}

/// Of a product of few rows: columns whose sums the L1 cache keeps while the rows of B pass, 16 KiB.
pub(super) const ROW_SUMS: HeldSums = HeldSums { rows: usize::MAX, cols: 4096, gap: LINE };
/// Of the crate `matrixmultiply`.
pub(super) const LIBRARY_SUMS: HeldSums = HeldSums { rows: BLOCK_ROWS, cols: 256, gap: 0 };
/// Of a group of rows of a sparse matrix.
pub(super) const SPARSE_SUMS: HeldSums = HeldSums { rows: GROUP_ROWS, cols: 1024, gap: 0 };

impl HeldSums {
    /// Floats from a row to the next, of a product of `cols` columns: whole vectors, two at a time.
    #[inline(always)]
    pub fn stride(&self, cols: usize) -> usize {
        cols.min(self.cols).next_multiple_of(SUMS) + self.gap
    }

    /// Floats of the sums of a product.
    #[inline(always)]
    pub fn floats(&self, rows: usize, cols: usize) -> usize {
        rows.min(self.rows) * self.stride(cols)
    }
}

/// How the loops divide a product of `[m, k]` and `[k, n]`.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Rows of a row block, a multiple of [`ROW_UNIT`].
    pub block_rows: usize,
    /// Whether panels are kept for all row blocks.
    pub keep_panels: bool,
    /// Columns whose panels are in memory at once.
    pub block_cols: usize,
    pub k_blocks: usize,
    /// Length of a block of k.
    pub block_k: usize,
}

impl Plan {
    /// Of blocks of k of at most `max_k`, or of [`SPARSE_BLOCK_K`] where zeros are skipped.
    #[inline(always)]
    pub fn new((m, k, n): (usize, usize, usize), max_k: usize, skip_zeros: bool) -> Self {
        let row_blocks = m.div_ceil(BLOCK_ROWS).max(1);
        // Panels are kept for all row blocks, unless each needs other rows of them.
        let keep_panels = row_blocks > 1 && !skip_zeros;
        let k_blocks = k.div_ceil(max_block_k(max_k, skip_zeros)).max(1);
        Plan {
            block_rows: m.div_ceil(row_blocks).next_multiple_of(ROW_UNIT),
            keep_panels,
            block_cols: if keep_panels { BLOCK_COLS } else { n },
            k_blocks,
            // As equal as whole vectors allow: a block that ends within one is transposed by the number.
            block_k: k.div_ceil(k_blocks).next_multiple_of(16),
        }
    }

    /// Floats of the panels of B, in strips of a width.
    #[inline(always)]
    pub fn panel_floats(&self, strip: usize, n: usize) -> usize {
        let kept = if self.keep_panels { n.min(self.block_cols) } else { 0 };
        self.block_k * (kept + strip)
    }

    /// Floats of a copy of a row block.
    #[inline(always)]
    pub fn tile_floats(&self) -> usize {
        self.block_rows * (self.block_k + LINE)
    }
}

/// Maximum length of a block of k; `max_k` is that of the set.
#[inline(always)]
pub(crate) fn max_block_k(max_k: usize, skip_zeros: bool) -> usize {
    if skip_zeros { SPARSE_BLOCK_K } else { max_k }
}

/// Ranges that cover `0..total`, each of `size` but the last.
#[inline(always)]
pub(crate) fn chunks(total: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..total).step_by(size.max(1)).map(move |start| start..total.min(start + size))
}
