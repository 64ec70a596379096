//! Copies of operands in the order in which a tile reads them, and lists of what is not zero.

use core::ops::Range;

use super::blocks::{BLOCK_ROWS, LINE, LONG_STRIDE, MAX_STRIP, SPARSE_BLOCK_K};
use super::tile::{Left, Steps};
use crate::matrix::Matrix;
use crate::simd::{Kernel, Simd};

/// Above this percentage of a block's k, a tile takes them all: the list costs an index and an
/// address a step, measured at 5 to 10 % of a step.
const MAX_ACTIVE_PERCENT: usize = 90;

/// Where the tiles of a row block find A.
#[derive(Clone, Copy)]
pub(super) enum ASource {
    /// Rows contiguous along k, in place or in a copy: the first, and the distance of the rows.
    Rows(*const f32, usize),
    /// A^T in place, rows of a tile contiguous: the first, and the distance of the k. A last
    /// tile of fewer rows would read past the end: it is packed, `[k][R]`.
    Columns(*const f32, usize, *const f32),
    /// Packed, `[tile][k][R]`.
    Packed(*const f32),
}

impl ASource {
    /// The tiles of these rows, along a block of `k`: whole ones, or one.
    #[inline(always)]
    pub fn tiles<const R: usize>(self, rows: &Range<usize>, k: usize) -> Left {
        match self {
            ASource::Rows(first, stride) => {
                Left::Rows(first.wrapping_add(rows.start * stride), stride)
            }
            ASource::Columns(first, stride, _) if rows.len().is_multiple_of(R) => {
                Left::Columns(first.wrapping_add(rows.start), stride, R)
            }
            ASource::Columns(_, _, cut) => Left::Columns(cut, R, R * k),
            ASource::Packed(tiles) => Left::Columns(tiles.wrapping_add(rows.start * k), R, R * k),
        }
    }
}

/// Decides where the tiles of a block of A are read, for a product of `n` columns, and packs what
/// is not read in place. Returns the block, in place or copied, too.
///
/// # Safety
/// The view's bounds hold; `tiles` has room for a block.
#[inline(always)]
pub(super) unsafe fn a<'a, S: Simd, const R: usize>(
    s: S,
    a: Matrix<'a>,
    n: usize,
    tiles: &'a mut [f32],
) -> (Matrix<'a>, ASource) {
    let (rows, k) = a.shape();
    // Rows a multiple of 2 KiB apart share so few sets of the L1 cache that they push each other
    // out; a copy pays as soon as a few strips read it.
    let apart = !a.row_stride.is_multiple_of(LONG_STRIDE) || n < 4 * MAX_STRIP;
    // SAFETY: passed on.
    unsafe {
        if a.col_stride == 1 && apart {
            (a, ASource::Rows(a.data, a.row_stride))
        } else if a.col_stride == 1 {
            let stride = k + LINE;
            copy_rows(s, a, tiles, stride);
            let copy = Matrix::strided(tiles, rows, k, stride);
            (copy, ASource::Rows(copy.data, stride))
        } else if a.row_stride == 1 && a.col_stride < 2 * LONG_STRIDE {
            let whole = rows / R * R;
            tile_rows::<R>(a.rows(whole..rows), tiles);
            (a, ASource::Columns(a.data, a.col_stride, tiles.as_ptr()))
        } else {
            tile_rows::<R>(a, tiles);
            (a, ASource::Packed(tiles.as_ptr()))
        }
    }
}

/// A copy of a block of A, rows contiguous, that begin `stride` floats apart.
///
/// # Safety
/// The view's bounds hold.
#[inline(always)]
unsafe fn copy_rows<S: Simd>(s: S, a: Matrix<'_>, tiles: &mut [f32], stride: usize) {
    let k = a.cols;
    assert!(stride >= k && tiles.len() >= a.rows * stride);
    for row in 0..a.rows {
        let (from, to) =
            (a.data.wrapping_add(row * a.row_stride), tiles[row * stride..].as_mut_ptr());
        let mut p = 0;
        while p < k {
            let lanes = (k - p).min(S::LANES);
            // SAFETY: both rows have `k` floats.
            unsafe { s.store_upto(to.add(p), lanes, s.load_upto(from.add(p), lanes)) };
            p += lanes;
        }
    }
}

/// A block of A as `[tile][k][R]`, short tiles padded with zeros.
///
/// # Safety
/// The view's bounds hold and `tiles` has `k` times the rows, rounded up to `R`.
#[inline(always)]
unsafe fn tile_rows<const R: usize>(a: Matrix<'_>, tiles: &mut [f32]) {
    let k = a.cols;
    assert!(tiles.len() >= a.rows.div_ceil(R) * R * k);
    let mut row = 0;
    while row < a.rows {
        let rows = (a.rows - row).min(R);
        let from = a.data.wrapping_add(row * a.row_stride);
        let to = tiles[row * k..].as_mut_ptr();
        for p in 0..k {
            // SAFETY: `from` covers `rows` x `k`, `to` `R` x `k`.
            unsafe {
                let (from, to) = (from.wrapping_add(p * a.col_stride), to.add(p * R));
                if rows == R && a.row_stride == 1 {
                    core::ptr::copy_nonoverlapping(from, to, R);
                } else {
                    for r in 0..R {
                        let value = if r < rows { *from.add(r * a.row_stride) } else { 0.0 };
                        *to.add(r) = value;
                    }
                }
            }
        }
        row += R;
    }
}

/// Some rows of a strip of B, each where [`strip`] would put it; whole vectors.
///
/// # Safety
/// As for [`strip`]; the rows are contiguous and `list` names rows of `b`.
#[inline(always)]
pub(super) unsafe fn some_rows<S: Simd>(s: S, b: Matrix<'_>, list: &[u32], panel: &mut [f32]) {
    assert!(panel.len() >= b.rows * b.cols);
    let to = panel.as_mut_ptr();
    for &p in list {
        let p = p as usize;
        // SAFETY: the view covers the row, the panel was checked.
        unsafe {
            let (from, to) = (b.data.add(p * b.row_stride), to.add(p * b.cols));
            let mut col = 0;
            while col < b.cols {
                s.store(to.add(col), s.load(from.add(col)));
                col += S::LANES;
            }
            // The next strip's, which no prefetcher follows from row to row.
            s.prefetch_far(from.wrapping_add(2 * b.cols));
        }
    }
}

/// A strip of B as `[k][width]`, short rows padded with zeros.
///
/// # Safety
/// The view's bounds hold and `panel` has `k * width` floats.
#[inline(always)]
pub(super) unsafe fn strip<S: Simd>(s: S, b: Matrix<'_>, width: usize, panel: &mut [f32]) {
    let (k, cols) = (b.rows, b.cols);
    assert!(panel.len() >= k * width && cols <= width);
    let to = panel.as_mut_ptr();
    // SAFETY: `b` covers `k` x `cols`, the panel `k` x `width`.
    unsafe {
        if b.col_stride == 1 {
            for p in 0..k {
                let (from, to) = (b.data.add(p * b.row_stride), to.add(p * width));
                let mut col = 0;
                while col < width {
                    let lanes = cols.saturating_sub(col).min(S::LANES);
                    // A row that ends before this vector has no address for it.
                    let from = from.wrapping_add(col.min(cols));
                    s.store(to.add(col), s.load_upto(from, lanes));
                    col += S::LANES;
                }
            }
            return;
        }
        s.run(Transpose { b, width, to });
    }
}

/// [`strip`] of B^T, whose maker vouches for what that requires: blocks of `LANES` x `LANES` are
/// transposed in registers. (In a function of its own the addresses of a block's rows are, too.)
struct Transpose<'a> {
    b: Matrix<'a>,
    width: usize,
    to: *mut f32,
}

impl Kernel for Transpose<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Transpose { b, width, to } = self;
        let (k, cols) = (b.rows, b.cols);
        // SAFETY: `b` covers `k` x `cols`, `to` `k` x `width`.
        unsafe {
            let whole_cols = cols / S::LANES * S::LANES;
            let one = |p: usize, col: usize| {
                *to.add(p * width + col) = if col < cols { *b.at(p, col) } else { 0.0 };
            };
            let mut col = 0;
            while col < whole_cols {
                if b.row_stride == 1 && k >= S::LANES {
                    let mut p = 0;
                    while p < k {
                        // The last block begins within the one before.
                        let begin = p.min(k - S::LANES);
                        let to = to.add(begin * width + col);
                        s.transpose(b.at(begin, col), b.col_stride, to, width);
                        p += S::LANES;
                    }
                } else {
                    for p in 0..k {
                        for c in col..col + S::LANES {
                            one(p, c);
                        }
                    }
                }
                col += S::LANES;
            }
            for p in 0..k {
                for c in whole_cols..width {
                    one(p, c);
                }
            }
        }
    }
}

/// Which k of a block of A are not 0: a list for every tile, and one for the whole block.
pub(super) struct Active<'a> {
    /// Each list is its length and then its k, rising.
    lists: &'a [u32],
    k: usize,
    tiles: usize,
}

impl Active<'_> {
    fn steps(&self, list: usize) -> Steps<'_> {
        let (length, list) = self.lists[list * (self.k + 1)..].split_first().expect("a list");
        let length = *length as usize;
        if length * 100 > self.k * MAX_ACTIVE_PERCENT {
            Steps::All(self.k)
        } else {
            Steps::Only(&list[..length])
        }
    }

    /// The steps of a tile.
    pub fn of(&self, tile: usize) -> Steps<'_> {
        self.steps(tile)
    }

    /// The steps of any tile.
    pub fn of_any(&self) -> Steps<'_> {
        self.steps(self.tiles)
    }
}

/// Lists the k at which not all rows of a tile of A are 0.
///
/// # Safety
/// The view's bounds hold.
#[inline(always)]
pub(super) unsafe fn active<'a, S: Simd, const R: usize>(
    s: S,
    a: Matrix<'_>,
    indices: &'a mut [u32],
) -> Active<'a> {
    let k = a.cols;
    assert!(a.rows <= BLOCK_ROWS && k <= SPARSE_BLOCK_K);
    let tiles = a.rows.div_ceil(R);
    let columns = a.col_stride != 1;
    // Of each row, or of each tile's rows together, whichever is read along.
    let rows_of = if columns { a.rows } else { tiles };
    let (masks, lists) = indices.split_at_mut(k.div_ceil(32) * rows_of);
    let lists = &mut lists[..(tiles + 1) * (k + 1)];
    // SAFETY: passed on.
    unsafe {
        if columns {
            row_masks(s, a, masks);
        } else {
            tile_masks::<S, R>(s, a, masks);
        }
    }
    for (tile, list) in lists.chunks_exact_mut(k + 1).enumerate() {
        let rows = match (tile < tiles, columns) {
            (true, true) => tile * R..(tile * R + R).min(a.rows),
            (true, false) => tile..tile + 1,
            (false, _) => 0..rows_of,
        };
        let (length, list) = list.split_first_mut().expect("k + 1");
        *length = list_masks(masks, rows_of, rows, list);
    }
    Active { lists, k, tiles }
}

/// For every tile of A, rows contiguous, a bit for each k at which it is not 0; word after word,
/// the tiles side by side.
///
/// # Safety
/// The view's bounds hold.
#[inline(always)]
unsafe fn tile_masks<S: Simd, const R: usize>(s: S, a: Matrix<'_>, masks: &mut [u32]) {
    let tiles = a.rows.div_ceil(R);
    for (word, masks) in masks.chunks_exact_mut(tiles).enumerate() {
        let end = (word * 32 + 32).min(a.cols);
        for (tile, mask) in masks.iter_mut().enumerate() {
            *mask = 0;
            let mut p = word * 32;
            while p < end {
                let n = (end - p).min(S::LANES);
                let mut any = s.splat_int(0);
                for r in tile * R..(tile * R + R).min(a.rows) {
                    // SAFETY: the view covers `n` numbers of the row.
                    let v = unsafe { s.load_upto(a.data.add(r * a.row_stride + p), n) };
                    any = s.or_int(any, s.to_bits(v));
                }
                *mask |= s.nonzero(any) << (p - word * 32);
                p += n;
            }
        }
    }
}

/// For every row of A, columns contiguous, a bit for each k at which it is not 0; word after
/// word, the rows side by side.
///
/// # Safety
/// The view's bounds hold.
#[inline(always)]
unsafe fn row_masks<S: Simd>(s: S, a: Matrix<'_>, masks: &mut [u32]) {
    let smallest = s.from_bits(s.splat_int(1));
    for (word, masks) in masks.chunks_exact_mut(a.rows).enumerate() {
        let mut row = 0;
        while row < a.rows {
            let n = (a.rows - row).min(S::LANES);
            let mut mask = s.splat_int(0);
            for bit in 0..(a.cols - word * 32).min(32) {
                let at = a.data.wrapping_add(row + (word * 32 + bit) * a.col_stride);
                // SAFETY: the view covers `n` rows of the column.
                let v = unsafe { s.load_upto(at, n) };
                // A NaN is not below anything, so it counts as not 0.
                let zero = s.lt(s.abs(v), smallest);
                let bit = s.from_bits(s.splat_int(1 << bit));
                mask = s.or_int(mask, s.to_bits(s.select(zero, s.splat(0.0), bit)));
            }
            // SAFETY: `masks` has a word for each row.
            unsafe { s.store_upto(masks[row..].as_mut_ptr().cast(), n, s.from_bits(mask)) };
            row += n;
        }
    }
}

/// Lists the bits that any of some rows has in `masks`, where `all` stand side by side.
#[inline(always)]
fn list_masks(masks: &[u32], all: usize, rows: Range<usize>, list: &mut [u32]) -> u32 {
    let mut count = 0;
    for (word, masks) in masks.chunks_exact(all).enumerate() {
        let mut any = masks[rows.clone()].iter().fold(0, |any, mask| any | mask);
        while any != 0 {
            list[count] = (word * 32) as u32 + any.trailing_zeros();
            count += 1;
            any &= any - 1;
        }
    }
    count as u32
}
