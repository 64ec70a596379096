//! The loop nest of every product: A B, A B^T and A^T B are the same call with the strides swapped.
//!
//! Each element of the result is one chain of fused multiply-adds in the order of k, beginning
//! with 0, whatever the tile, the blocks and the number of threads. What happens to a finished sum
//! is an epilogue's business: it is applied while the tile is still in the L1 cache.
//!
//! The loops have the numbers that BLIS and matrixmultiply give them, from the outermost:
//!
//! | loop | over | by |
//! | --- | --- | --- |
//! | 4 | k | [`Simd::BLOCK_K`] (KC) |
//! | 5 | columns of B | `BLOCK_COLS` (NC), where panels are kept for several row blocks |
//! | 3 | rows of A | `BLOCK_ROWS` (MC) |
//! | 2 | strips of B | a tile's vectors (NR) |
//! | 1 | tiles of A | a tile's rows (MR) |
//!
//! (A single row of A has a loop of its own, in `row`.) Loop 4 is outside of loop 5, unlike theirs: between blocks of k sums wait in the result, and
//! most products of a training step have a single block of k.

mod blocks;
mod epilogue;
mod library;
mod pack;
mod row;
mod scratch;
mod sparse;
mod tile;

pub(crate) use blocks::{chunks, max_block_k};
pub(crate) use epilogue::{At, Combine, Epilogue, Finish, Place, Store};
pub use scratch::Scratch;
pub(crate) use scratch::{GRADIENT_FLOATS, PARTIAL_COLS, PARTIAL_ROWS};
pub(crate) use sparse::SparseProduct;

use crate::matrix::Matrix;
use crate::simd::{Isa, Kernel, RegisterTile, Simd, TileKernel};
use blocks::{
    BLOCK_ROWS, FEW_TILES, LINE, MAX_BLOCK_K, MAX_STRIP, Plan, ROW_UNIT, SHORT_K, SHORT_STRIDE,
};
use epilogue::Region;
use pack::{ASource, Active};
use tile::{Column, Copying, Output, Right, Steps};

/// What a product multiplies.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    /// `[m, k]`
    pub a: Matrix<'a>,
    /// `[k, n]`
    pub b: Matrix<'a>,
    /// Leave out the k where a whole tile of A is 0: fma(0, b, sum) = sum for finite b.
    pub skip_zeros: bool,
    /// Where unfinished sums wait between blocks of k, `[m, n]`; the epilogue may overwrite them
    /// with its result.
    pub partial: Place,
}

/// A product, to be run by [`Isa::run`]: it computes A B and hands every sum to the epilogue, tile
/// by tile, in each column the rows in their order.
///
/// The epilogue is not a type parameter, so that the loop nest is compiled once for all of them.
pub(crate) struct Product<'a, 'b> {
    operands: Operands<'a>,
    output: Output<'a>,
    scratch: &'a mut Scratch<'b>,
}

impl<'a, 'b> Product<'a, 'b> {
    /// A product for a set; `epilogue` and `operands.partial` are valid for `[m, n]`.
    ///
    /// # Panics
    /// The inner sides differ.
    #[track_caller]
    pub fn new(
        isa: Isa,
        operands: Operands<'a>,
        epilogue: &'a mut dyn Finish,
        scratch: &'a mut Scratch<'b>,
    ) -> Self {
        assert_eq!(operands.a.cols, operands.b.rows, "the inner sides of a product differ");
        let (partial, place) = (operands.partial, epilogue.place());
        Product { operands, output: Output { isa, partial, place, epilogue }, scratch }
    }
}

impl Kernel for Product<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.operands.a.rows;
        let padded = |tile: usize| rows.next_multiple_of(tile);
        // Of few rows the tile of fewer may pad less.
        let pads_less = padded(S::SparseTile::ROWS) * 20 < padded(S::Tile::ROWS) * 19;
        if S::GEMM_BY_LIBRARY {
            let Operands { a, b, .. } = self.operands;
            library::run(a, b, self.output, self.scratch);
        } else if row::is_faster(rows, &self.operands.b, S::SparseTile::ROWS) {
            let Product { operands: Operands { a, b, skip_zeros, .. }, mut output, scratch } = self;
            // SAFETY: the views' bounds hold, and the maker of the product vouches for the epilogue.
            unsafe { row::run(s, (a, b, skip_zeros), &mut output, scratch) };
        } else if S::HAS_SPARSE_TILE && (self.operands.skip_zeros || pads_less) {
            S::SparseTile::run(s, self);
        } else {
            S::Tile::run(s, self);
        }
    }
}

impl TileKernel for Product<'_, '_> {
    /// Loops 4, 5 and 3.
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize, const HALF: usize>(self, s: S) {
        const {
            assert!(MAX_BLOCK_K >= S::BLOCK_K && BLOCK_ROWS.is_multiple_of(ROW_UNIT));
            assert!(ROW_UNIT.is_multiple_of(R) && R >= 4);
            assert!(V * S::LANES <= MAX_STRIP && HALF == V.div_ceil(2));
        }
        let Product { operands: Operands { a, b, skip_zeros, .. }, output, scratch } = self;
        let (m, depth, n) = (a.rows, a.cols, b.cols);
        let plan = Plan::new((m, depth, n), S::BLOCK_K, skip_zeros);
        let Plan { block_rows, keep_panels, block_cols, k_blocks, block_k } = plan;
        let aligned = scratch.floats.as_ptr().align_offset(64).min(LINE);
        let (panels, tiles) =
            scratch.floats[aligned..].split_at_mut(plan.panel_floats(V * S::LANES, n));
        let mut nest = Nest { m, keep_panels, panels, output };

        // LOOP 4: blocks of k; without any k there is one, for the epilogue.
        for k_block in 0..k_blocks {
            let ks = block_k * k_block..depth.min(block_k * (k_block + 1));
            let (a, b) = (a.columns(ks.clone()), b.rows(ks));
            let (first, last) = (k_block == 0, k_block + 1 == k_blocks);
            // LOOP 5: columns of B whose panels the scratch keeps.
            for cols in chunks(n, block_cols) {
                // LOOP 3: rows of A that the L2 cache keeps.
                for rows in chunks(m, block_rows) {
                    let (row, col) = (rows.start, cols.start);
                    // SAFETY: the views' bounds hold, and the maker of the product vouches for
                    // the output.
                    unsafe {
                        let (a, source) = pack::a::<S, R>(s, a.rows(rows), n, tiles);
                        let active = match skip_zeros {
                            true => Some(pack::active::<S, R>(s, a, scratch.indices)),
                            false => None,
                        };
                        let b = b.columns(cols.clone());
                        let block = Block { a, source, active, b, row, col, first, last };
                        nest.strips::<S, R, V, HALF>(s, &block);
                    }
                }
            }
        }
    }
}

/// What loops 2 and 1 work on: rows of A and columns of B, along a block of k.
struct Block<'a> {
    /// `[rows, k]`, in place or copied.
    a: Matrix<'a>,
    source: ASource,
    active: Option<Active<'a>>,
    /// `[k, cols]`
    b: Matrix<'a>,
    /// Where the block begins in the product.
    row: usize,
    col: usize,
    /// Whether it is the first block of k, and the last.
    first: bool,
    last: bool,
}

/// Where the tiles of a strip find B.
#[derive(Clone, Copy)]
enum BSource<'a> {
    /// In place: it is read once, by the only tile, or stays in the L1 cache for a few.
    InPlace,
    /// The first tile copies it while it reads it, the others read the copy.
    CopiedWhileRead,
    /// A copy, made for the row block before.
    PackedBefore,
    /// A copy: columns are contiguous, or the strip is not full.
    Packed,
    /// A copy of the rows that any tile reads.
    PackedRows(&'a [u32]),
}

/// A strip of B.
#[derive(Clone, Copy)]
struct Strip {
    /// Where tiles read it.
    right: Right,
    /// What the first tile reads instead, and copies.
    copying: Option<Copying>,
    /// Its columns in the product.
    col: usize,
    cols: usize,
}

/// What the loops share.
struct Nest<'a> {
    /// Rows of the product.
    m: usize,
    /// Each strip has a panel of its own, which serves several row blocks.
    keep_panels: bool,
    panels: &'a mut [f32],
    output: Output<'a>,
}

impl Nest<'_> {
    /// LOOP 2: strips of B, as wide as a tile's `V` vectors, or `HALF` of them or one at the end.
    ///
    /// # Safety
    /// The block is a block of the product, and the output is valid for it.
    #[inline(always)]
    unsafe fn strips<S: Simd, const R: usize, const V: usize, const HALF: usize>(
        &mut self,
        s: S,
        block: &Block<'_>,
    ) {
        let mut col = 0;
        while col < block.b.cols {
            let left = (block.b.cols - col).div_ceil(S::LANES);
            // SAFETY: passed on.
            col = unsafe {
                if left >= V {
                    self.strip::<S, R, V>(s, block, col)
                } else if left >= HALF && HALF > 1 {
                    self.strip::<S, R, HALF>(s, block, col)
                } else {
                    self.strip::<S, R, 1>(s, block, col)
                }
            };
        }
    }

    /// The strip of `V` vectors at column `col` of the block; returns its end.
    ///
    /// Where sums may be stored twice, a strip that would not be full begins within the one before
    /// instead: it costs no more multiply-adds, and neither a copy with gaps nor masks.
    ///
    /// # Safety
    /// As for [`Nest::strips`].
    #[inline(always)]
    unsafe fn strip<S: Simd, const R: usize, const V: usize>(
        &mut self,
        s: S,
        block: &Block<'_>,
        col: usize,
    ) -> usize {
        let width = V * S::LANES;
        let may_store_twice = block.first && block.last && self.output.place.is_some();
        let begin = match block.b.cols.checked_sub(width) {
            Some(last) if may_store_twice => col.min(last),
            _ => col,
        };
        let b = block.b.columns(begin..block.b.cols.min(begin + width));
        let whole = b.col_stride == 1 && b.cols == width;
        let source = self.b_source::<R>(block, whole);
        let panel =
            if self.keep_panels { &mut self.panels[col * b.rows..] } else { &mut *self.panels };
        // SAFETY: the view's bounds hold, and a panel has room for a strip of a block.
        unsafe {
            match source {
                BSource::Packed => pack::strip(s, b, width, panel),
                BSource::PackedRows(list) => pack::some_rows(s, b, list, panel),
                BSource::InPlace | BSource::CopiedWhileRead | BSource::PackedBefore => {}
            }
        }
        let in_place = Right { first: b.data, stride: b.row_stride };
        let copied = Right { first: panel.as_ptr(), stride: width };
        let copying = Copying { from: in_place, panel: panel.as_mut_ptr(), width };
        let strip = Strip {
            right: if let BSource::InPlace = source { in_place } else { copied },
            copying: matches!(source, BSource::CopiedWhileRead).then_some(copying),
            col: block.col + begin,
            cols: b.cols,
        };
        // SAFETY: passed on; the strip covers the block of k.
        unsafe { self.tiles::<S, R, V>(s, block, strip) };
        begin + width
    }

    /// Where a strip is read, `whole` if its rows are contiguous and fill its width.
    #[inline(always)]
    fn b_source<'b, const R: usize>(&self, block: &'b Block<'_>, whole: bool) -> BSource<'b> {
        let b = &block.b;
        // A few tiles find a short strip in the L1 cache, unless its rows share few of the sets.
        let is_kept = self.m <= FEW_TILES * R
            && b.rows <= SHORT_K
            && !b.row_stride.is_multiple_of(SHORT_STRIDE);
        if whole && (self.m <= R || is_kept) {
            return BSource::InPlace;
        }
        if self.keep_panels && block.row > 0 {
            return BSource::PackedBefore;
        }
        match &block.active {
            _ if !whole => BSource::Packed,
            Some(active) if let Steps::Only(list) = active.of_any() => BSource::PackedRows(list),
            _ => BSource::CopiedWhileRead,
        }
    }

    /// LOOP 1: tiles of A, from the first row down.
    ///
    /// # Safety
    /// As for [`Nest::strips`]; the strip covers the block of k.
    #[inline(always)]
    unsafe fn tiles<S: Simd, const R: usize, const V: usize>(
        &mut self,
        s: S,
        block: &Block<'_>,
        strip: Strip,
    ) {
        let Block { a, source, active, first, last, .. } = block;
        let k = a.cols;
        let (col, cols) = (strip.col, strip.cols);
        // Whole tiles that do the same are one column.
        let is_direct = cols == V * S::LANES && self.output.target(*last).is_some();
        let whole = if is_direct && active.is_none() { a.rows / R * R } else { 0 };
        let mut copying = strip.copying;
        let mut row = 0;
        while row < a.rows {
            let end = if copying.is_none() && row < whole { whole } else { a.rows.min(row + R) };
            let rows = row..end;
            let region = Region { row: block.row + row, rows: rows.len(), col, cols };
            let left = source.tiles::<R>(&rows, k);
            let column = Column { left, region, first: *first, last: *last };
            // SAFETY: A's source and the strip cover the tiles, or were padded to them; the rest
            // is passed on.
            unsafe {
                if let Some(right) = copying.take() {
                    column.sum::<S, _, R, V>(s, right, Steps::All(k), &mut self.output);
                } else {
                    let steps = active.as_ref().map_or(Steps::All(k), |a| a.of(row / R));
                    column.sum::<S, _, R, V>(s, strip.right, steps, &mut self.output);
                }
            }
            row = end;
        }
    }
}
