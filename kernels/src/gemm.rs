//! One loop nest for every product of a training step: A B, A B^T and A^T B are the same call
//! with the strides swapped.
//!
//! Each element of the result is one chain of fused multiply-adds in the order of k, beginning
//! with 0, whatever the tile, the blocks and the number of threads. What happens to a finished sum
//! is an epilogue's business: it is applied while the tile is still in the first cache.

mod epilogue;
mod pack;
mod tile;

pub(crate) use epilogue::{At, Epilogue, Store};
pub(crate) use tile::Place;

use crate::matrix::Matrix;
use crate::simd::{Isa, Kernel, Simd, Tile};

/// Longest block of k of any instruction set.
const LONGEST_K: usize = 1024;
/// Longest block of k where zeros are skipped.
const SPARSE_BLOCK_K: usize = 384;
/// Rows of a row block: with a block of k of 384 it has 300 KiB, which half an L2 of 512 KiB to
/// 1 MiB holds. A multiple of every tile's rows.
const BLOCK_ROWS: usize = 192;
/// Widest strip, in floats, of any instruction set.
const WIDEST_STRIP: usize = 96;
/// From this stride on (half a page of floats) rows fall on few cache sets and many pages.
const LONG_STRIDE: usize = 512;

/// Columns of B whose panels are kept while several row blocks pass over them: 1.5 MiB.
const BLOCK_COLS: usize = 1024;
/// A multiple of every tile's rows.
const ROW_UNIT: usize = 24;

const PANEL_FLOATS: usize = LONGEST_K * (BLOCK_COLS + WIDEST_STRIP);
/// Floats of scratch that a product needs.
const PRODUCT_FLOATS: usize = LINE + PANEL_FLOATS + BLOCK_ROWS * (LONGEST_K + LINE);
/// Floats of a cache line.
const LINE: usize = 16;
/// Floats of a block of a weight gradient, 192 KiB: it stays in the second cache from the product
/// to Adam's sweep.
const GRADIENT_FLOATS: usize = 48 * 1024;
const SCRATCH_FLOATS: usize = PRODUCT_FLOATS + GRADIENT_FLOATS;
/// Indices of scratch that lists of what is not zero are made from: a bit for each k of a block.
const ACTIVE_MASKS: usize = BLOCK_ROWS * SPARSE_BLOCK_K.div_ceil(32);
/// Indices of scratch that a product needs: those, and a list for each tile and one for all.
const SCRATCH_INDICES: usize = ACTIVE_MASKS + (BLOCK_ROWS / 4 + 1) * (SPARSE_BLOCK_K + 1);

/// Memory that a product works in; one for each thread.
#[derive(Debug)]
pub struct Scratch<'a> {
    floats: &'a mut [f32],
    indices: &'a mut [u32],
}

impl<'a> Scratch<'a> {
    /// How many floats and how many indices it is made of, whatever the products' shapes.
    pub const LENGTHS: (usize, usize) = (SCRATCH_FLOATS, SCRATCH_INDICES);

    /// Takes memory for products, of any content.
    ///
    /// # Panics
    /// A slice is shorter than [`Scratch::LENGTHS`].
    pub fn new(floats: &'a mut [f32], indices: &'a mut [u32]) -> Self {
        assert!(floats.len() >= SCRATCH_FLOATS, "the floats of a scratch are too few");
        assert!(indices.len() >= SCRATCH_INDICES, "the indices of a scratch are too few");
        Scratch { floats, indices }
    }

    /// Scratch for products alone, and the floats for a block of a weight gradient.
    pub(crate) fn split_gradient(&mut self) -> (Scratch<'_>, &mut [f32]) {
        let (floats, gradient) = self.floats.split_at_mut(PRODUCT_FLOATS);
        (Scratch { floats, indices: self.indices }, &mut gradient[..GRADIENT_FLOATS])
    }
}

/// Computes A B and hands every sum to the epilogue: tile by tile, in each column the rows in
/// their order. The epilogue has the shape of the product.
pub(crate) fn product<E: Epilogue>(
    isa: Isa,
    operands: Operands<'_>,
    epilogue: &mut E,
    scratch: &mut Scratch<'_>,
) {
    struct Run<'a, 'b, E> {
        operands: Operands<'a>,
        epilogue: &'a mut E,
        scratch: &'a mut Scratch<'b>,
    }
    impl<E: Epilogue> Kernel for Run<'_, '_, E> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            // SAFETY: the shapes were checked.
            unsafe { run(s, self.operands, self.scratch, self.epilogue) }
        }
    }
    isa.run(Run { operands, epilogue, scratch });
}

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
    pub partial: tile::Place,
}

/// Where the tiles of A's current row block are.
#[derive(Clone, Copy)]
enum Layout {
    /// Rows contiguous along k, in place or in a copy.
    Rows,
    /// In place, rows of a tile contiguous (A^T).
    Columns,
    /// Packed, `[tile][k][rows]`.
    Packed,
}

/// Computes A B and hands every sum to the epilogue: tile by tile, in each column the rows in
/// their order.
///
/// # Safety
/// `epilogue` and `operands.partial` are valid for `[m, n]`.
#[inline(always)]
unsafe fn run<S: Simd, E: Epilogue>(
    s: S,
    operands: Operands<'_>,
    scratch: &mut Scratch<'_>,
    epilogue: &mut E,
) {
    assert_eq!(operands.a.cols, operands.b.rows, "the inner sides of a product differ");
    // SAFETY: passed on.
    unsafe {
        if S::GEMM_BY_LIBRARY {
            return by_library(s, operands, scratch, epilogue);
        }
        // Of few rows a tile of fewer may pad less.
        let padded = |tile: Tile| operands.a.rows.next_multiple_of(tile.rows);
        let low = padded(S::SPARSE_TILE) * 20 < padded(S::TILE) * 19;
        let Tile { rows, vectors } =
            if operands.skip_zeros || low { S::SPARSE_TILE } else { S::TILE };
        match (rows, vectors) {
            (4, 4) => blocks::<S, E, 4, 4, 2>(s, operands, scratch, epilogue),
            (4, 6) => blocks::<S, E, 4, 6, 3>(s, operands, scratch, epilogue),
            (6, 2) => blocks::<S, E, 6, 2, 1>(s, operands, scratch, epilogue),
            (8, 2) => blocks::<S, E, 8, 2, 1>(s, operands, scratch, epilogue),
            (12, 2) => blocks::<S, E, 12, 2, 1>(s, operands, scratch, epilogue),
            _ => unreachable!("a tile of another set"),
        }
    }
}

/// Whether a set has tiles of these sides; others need not be compiled for it.
const fn has_tile<S: Simd>(rows: usize, vectors: usize) -> bool {
    (rows == S::TILE.rows && vectors == S::TILE.vectors)
        || (rows == S::SPARSE_TILE.rows && vectors == S::SPARSE_TILE.vectors)
}

/// The loop nest for tiles of `R` rows and `V` vectors.
///
/// # Safety
/// As for [`product`].
#[inline(always)]
unsafe fn blocks<S: Simd, E: Epilogue, const R: usize, const V: usize, const HALF: usize>(
    s: S,
    operands: Operands<'_>,
    scratch: &mut Scratch<'_>,
    epilogue: &mut E,
) {
    if const { has_tile::<S>(R, V) } {
        let mut compiled = tile::Compiled { s, epilogue };
        let sink = tile::Sink::new::<S, E, V, HALF>(&mut compiled);
        s.outlined(Blocks::<R, V, HALF> { operands, scratch, sink });
    }
}

/// The loop nest, for tiles of `R` rows and `V` vectors, or `HALF` or one where fewer do; compiled
/// once for all epilogues.
///
/// Whoever runs it vouches for what [`product`] is promised.
struct Blocks<'a, 'b, 'c, const R: usize, const V: usize, const HALF: usize> {
    operands: Operands<'a>,
    scratch: &'b mut Scratch<'c>,
    sink: tile::Sink,
}

impl<const R: usize, const V: usize, const HALF: usize> Kernel for Blocks<'_, '_, '_, R, V, HALF> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: whoever runs it vouches for it.
        unsafe { nest::<S, R, V, HALF>(s, self) }
    }
}

/// # Safety
/// As for [`product`].
#[inline(always)]
unsafe fn nest<S: Simd, const R: usize, const V: usize, const HALF: usize>(
    s: S,
    Blocks { operands, scratch, sink }: Blocks<'_, '_, '_, R, V, HALF>,
) {
    let Operands { a, b, skip_zeros, partial } = operands;
    const {
        assert!(LONGEST_K >= S::BLOCK_K && BLOCK_ROWS.is_multiple_of(ROW_UNIT));
        assert!(
            ROW_UNIT.is_multiple_of(R) && V * S::LANES <= WIDEST_STRIP && HALF == V.div_ceil(2)
        );
    }
    let (m, n, depth) = (a.rows, b.cols, a.cols);
    let longest = if skip_zeros { SPARSE_BLOCK_K } else { S::BLOCK_K };
    let k_blocks = depth.div_ceil(longest).max(1);
    // As equal as whole vectors allow: a block that ends within one is transposed by the number.
    let longest = depth.div_ceil(k_blocks).next_multiple_of(16);
    let aligned = scratch.floats.as_ptr().align_offset(64).min(LINE);
    let (panels, tiles) = scratch.floats[aligned..].split_at_mut(PANEL_FLOATS);
    let row_blocks = m.div_ceil(BLOCK_ROWS).max(1);
    let highest = m.div_ceil(row_blocks).next_multiple_of(ROW_UNIT);
    // Strips are copied once for all row blocks, unless each wants other rows of them.
    let reuse = row_blocks > 1 && !skip_zeros;
    for block in 0..k_blocks {
        let edge = |block: usize| (longest * block).min(depth);
        let (k0, k1) = (edge(block), edge(block + 1));
        let k = k1 - k0;
        let mut first_col = 0;
        while first_col < n {
            let end_col = if reuse { (first_col + BLOCK_COLS).min(n) } else { n };
            let mut row_block = 0;
            while row_block < m {
                let rows = (m - row_block).min(highest);
                let a = a.rows(row_block..row_block + rows).columns(k0..k1);
                // Rows a multiple of 2 KiB apart share so few sets of the first cache that they
                // push each other out; a copy pays as soon as a few strips read it.
                let apart = a.row_stride % LONG_STRIDE != 0 || n < 4 * WIDEST_STRIP;
                // SAFETY: the views' bounds hold, the scratch has room for a block.
                let (a, layout) = unsafe {
                    if a.col_stride == 1 && apart {
                        (a, Layout::Rows)
                    } else if a.col_stride == 1 {
                        pack::rows(s, a, tiles, k + LINE);
                        (Matrix::strided(tiles, rows, k, k + LINE), Layout::Rows)
                    } else if a.row_stride == 1 && a.col_stride < 2 * LONG_STRIDE {
                        if rows % R != 0 {
                            // A tile that is cut short would read past the end.
                            let whole = rows / R * R;
                            pack::left::<R>(a.rows(whole..rows), &mut tiles[whole * k..]);
                        }
                        (a, Layout::Columns)
                    } else {
                        pack::left::<R>(a, tiles);
                        (a, Layout::Packed)
                    }
                };
                let active = if skip_zeros {
                    // SAFETY: as above.
                    Some(unsafe { pack::active::<S, R>(s, a, scratch.indices) })
                } else {
                    None
                };

                let mut col = first_col;
                while col < end_col {
                    let left = end_col - col;
                    let vectors = match left.div_ceil(S::LANES) {
                        enough if enough >= V => V,
                        enough if enough >= HALF => HALF,
                        _ => 1,
                    };
                    let cols = left.min(vectors * S::LANES);
                    let b = b.rows(k0..k1).columns(col..col + cols);
                    let width = vectors * S::LANES;
                    let panel =
                        if reuse { &mut panels[(col - first_col) * k..] } else { &mut *panels };
                    let here = tile::Right { strip: b.data, stride: b.row_stride };
                    let copied = tile::Right { strip: panel.as_ptr(), stride: width };
                    let whole = b.col_stride == 1 && cols == width;
                    let in_place = whole && m <= R;
                    let packed_before = reuse && row_block > 0;
                    let mut copying = false;
                    if !in_place && !packed_before {
                        // SAFETY: a panel has room for a strip of a block.
                        unsafe {
                            if !whole {
                                pack::right(s, b, width, panel);
                            } else if let Some(active) = &active
                                && let tile::Steps::Only(list) = active.of_any()
                            {
                                pack::some_rows(s, b, list, panel);
                            } else {
                                copying = true;
                            }
                        }
                    }
                    let mut row = 0;
                    while row < rows {
                        let tile_rows = (rows - row).min(R);
                        let packed = match layout {
                            Layout::Packed => true,
                            Layout::Columns => tile_rows < R,
                            Layout::Rows => false,
                        };
                        let steps = match &active {
                            Some(active) if !(copying && row == 0) => active.of(row / R),
                            _ => tile::Steps::All(k),
                        };
                        let at = tile::At {
                            row: row_block + row,
                            rows: tile_rows,
                            col,
                            cols,
                            first: block == 0,
                            last: block + 1 == k_blocks,
                        };
                        // SAFETY: the operands cover the tile, or were padded to it.
                        unsafe {
                            let first_row = a.data.wrapping_add(row * a.row_stride);
                            let left = if packed {
                                tile::Left::Columns(tiles.as_ptr().add(row * k), R)
                            } else if let Layout::Columns = layout {
                                tile::Left::Columns(first_row, a.col_stride)
                            } else {
                                tile::Left::Rows(first_row, a.row_stride)
                            };
                            if copying && row == 0 {
                                let panel = panel.as_mut_ptr();
                                let right = tile::Copying { strip: here, panel, width };
                                tile::run::<S, _, R, V, HALF>(
                                    s, left, right, steps, at, partial, sink,
                                );
                            } else {
                                let right = if in_place { here } else { copied };
                                tile::run::<S, _, R, V, HALF>(
                                    s, left, right, steps, at, partial, sink,
                                );
                            }
                        }
                        row += R;
                    }
                    col += cols;
                }
                row_block += rows;
            }
            first_col = end_col;
        }
    }
}

/// The product by the crate `matrixmultiply`, in blocks that the scratch holds.
///
/// # Safety
/// As for [`product`].
#[inline(always)]
unsafe fn by_library<S: Simd, E: Epilogue>(
    s: S,
    operands: Operands<'_>,
    scratch: &mut Scratch<'_>,
    epilogue: &mut E,
) {
    const COLS: usize = 256;
    let (m, n) = (operands.a.rows, operands.b.cols);
    let sums = scratch.floats.as_mut_ptr();
    let mut row = 0;
    while row < m {
        let rows = (m - row).min(BLOCK_ROWS);
        let mut col = 0;
        while col < n {
            let cols = (n - col).min(COLS);
            let a = operands.a.rows(row..row + rows);
            let b = operands.b.columns(col..col + cols);
            // SAFETY: the views hold these sides; the scratch holds 192 x 256 sums.
            unsafe {
                matrixmultiply::sgemm(
                    rows,
                    a.cols,
                    cols,
                    1.0,
                    a.data,
                    a.row_stride as isize,
                    a.col_stride as isize,
                    b.data,
                    b.row_stride as isize,
                    b.col_stride as isize,
                    0.0,
                    sums,
                    COLS as isize,
                    1,
                );
                let mut c = 0;
                while c < cols {
                    let lanes = (cols - c).min(S::LANES);
                    let mut column = epilogue.begin(s, col + c, lanes);
                    for r in 0..rows {
                        let sum = s.load_upto(sums.add(r * COLS + c), lanes);
                        let at = At { row: row + r, col: col + c, lanes };
                        epilogue.apply(s, &mut column, at, sum);
                    }
                    epilogue.end(s, column, col + c, lanes);
                    c += lanes;
                }
            }
            col += cols;
        }
        row += rows;
    }
}
