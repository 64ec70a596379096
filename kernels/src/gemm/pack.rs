//! Copies of operands in the order in which a tile reads them, and lists of what is not zero.

use super::tile::Steps;
use super::{BLOCK_K, BLOCK_ROWS};
use crate::matrix::Matrix;
use crate::simd::Simd;

/// Above this share of a block's k, a tile takes them all: the list costs an index and an
/// address a step, measured at 5 to 10 % of a step.
const WORTH_SKIPPING: usize = 90;

/// A block of A as `[tile][k][R]`, short tiles padded with zeros.
///
/// # Safety
/// The view's bounds hold and `tiles` has `k` times the rows, rounded up to `R`.
#[inline(always)]
pub(super) unsafe fn left<const R: usize>(a: Matrix<'_>, tiles: &mut [f32]) {
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

/// A strip of B as `[k][width]`, short rows padded with zeros.
///
/// # Safety
/// The view's bounds hold and `panel` has `k * width` floats.
#[inline(always)]
pub(super) unsafe fn right<S: Simd>(s: S, b: Matrix<'_>, width: usize, panel: &mut [f32]) {
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
        // B^T: blocks of LANES x LANES are transposed in registers.
        let (whole_k, whole_cols) = (k / S::LANES * S::LANES, cols / S::LANES * S::LANES);
        let one = |p: usize, col: usize| {
            let value =
                if col < cols { *b.data.add(p * b.row_stride + col * b.col_stride) } else { 0.0 };
            *to.add(p * width + col) = value;
        };
        let mut col = 0;
        while col < whole_cols {
            if b.row_stride == 1 {
                let mut p = 0;
                while p < whole_k {
                    let from = b.data.add(p + col * b.col_stride);
                    s.transpose(from, b.col_stride, to.add(p * width + col), width);
                    p += S::LANES;
                }
                for p in whole_k..k {
                    for c in col..col + S::LANES {
                        one(p, c);
                    }
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

/// Where the list of a tile begins: its length, then its k.
#[inline(always)]
fn list<const R: usize>(row: usize, k: usize) -> usize {
    row / R * (k + 1)
}

/// For every tile of a block of A, the k at which not all its rows are 0.
#[inline(always)]
pub(super) fn active<S: Simd, const R: usize>(s: S, a: Matrix<'_>, indices: &mut [u32]) {
    let k = a.cols;
    assert!(a.rows <= BLOCK_ROWS && k <= BLOCK_K);
    let mut row = 0;
    while row < a.rows {
        let rows = (a.rows - row).min(R);
        let tile = a.data.wrapping_add(row * a.row_stride);
        let (length, list) =
            indices[list::<R>(row, k)..][..k + 1].split_first_mut().expect("k + 1");
        let mut count = 0;
        // Branch-free: write every k, keep those that count.
        let mut note = |p: usize, bits: i32| {
            list[count] = p as u32;
            count += (bits != 0) as usize;
        };
        // SAFETY: the view covers `rows` x `k`.
        unsafe {
            if a.col_stride == 1 {
                let mut lanes = [0.0f32; 16];
                let mut p = 0;
                while p < k {
                    let n = (k - p).min(S::LANES);
                    let mut any = s.splat_int(0);
                    for r in 0..rows {
                        let v = s.load_upto(tile.add(r * a.row_stride + p), n);
                        any = s.or_int(any, s.to_bits(v));
                    }
                    s.store(lanes.as_mut_ptr(), s.from_bits(any));
                    for (i, lane) in lanes[..n].iter().enumerate() {
                        note(p + i, lane.to_bits() as i32);
                    }
                    p += n;
                }
            } else {
                for p in 0..k {
                    let at = tile.add(p * a.col_stride);
                    let mut any = 0;
                    if rows == R {
                        for r in 0..R {
                            any |= (*at.add(r * a.row_stride)).to_bits() as i32;
                        }
                    } else {
                        for r in 0..rows {
                            any |= (*at.add(r * a.row_stride)).to_bits() as i32;
                        }
                    }
                    note(p, any);
                }
            }
        }
        *length = count as u32;
        row += R;
    }
}

/// The steps of the tile that begins at `row`.
#[inline(always)]
pub(super) fn active_of<const R: usize>(indices: &[u32], row: usize, k: usize) -> Steps<'_> {
    let (length, list) = indices[list::<R>(row, k)..].split_first().expect("a list was made");
    let length = *length as usize;
    if length * 100 > k * WORTH_SKIPPING { Steps::All(k) } else { Steps::Only(&list[..length]) }
}
