//! A product of few rows of A: B is read in place, along its rows, and from memory once.
//!
//! A tile of few columns would read another page with each k, which neither a prefetcher nor the TLB follows: of one row
//! it takes 3 times as long where B has 300 columns, and 16 times where it has 4 096.

use super::Scratch;
use super::blocks::{ROW_SUMS, chunks};
use super::epilogue::{Place, Region};
use super::tile::Output;
use crate::matrix::Matrix;
use crate::simd::Simd;

/// Rows of B that are added at once, so that a sum is loaded and stored once for as many multiply-adds.
const AT_ONCE: usize = 8;

/// Rows of B that the L2 cache keeps for all rows of A: 256 KiB.
const BLOCK_K: usize = 16;

/// Whether a product of this many rows of A is faster here than in tiles: a tile works on `of_tile` rows, however few there are.
///
/// (Zen 3, AVX2, times of tiles / of this: 1x784x300 2.7, 2x784x300 2.2, 3x784x300 1.4, 4x784x300 1.3, 2x300x30 0.5, 2x64x64 0.9;
/// 6x784x4096 1.1, 6x4096x784 3.7, 6x784x300 0.8, 6x768x768 0.6.)
#[inline(always)]
pub(super) fn is_faster(rows: usize, b: &Matrix<'_>, of_tile: usize) -> bool {
    /// Columns from which on two rows and more are faster.
    const WIDE: usize = 256;
    /// Numbers of B that come from memory, 8 MiB.
    const LARGE: usize = 2 << 20;
    b.col_stride == 1
        && match rows {
            0 => false,
            1 => true,
            _ if rows <= of_tile / 2 => b.cols >= WIDE,
            _ => rows <= of_tile && b.rows.saturating_mul(b.cols) >= LARGE,
        }
}

/// Computes A B, where B's rows are contiguous, and hands the sums to the epilogue; leaves out the k where a row of A is 0 if
/// `skip_zeros`.
///
/// # Safety
/// The views' bounds hold; the epilogue covers the rows.
#[inline(always)]
pub(super) unsafe fn run<S: Simd>(
    s: S,
    (a, b, skip_zeros): (Matrix<'_>, Matrix<'_>, bool),
    output: &mut Output<'_>,
    scratch: &mut Scratch<'_>,
) {
    let (rows, depth) = a.shape();
    let stride = ROW_SUMS.stride(b.cols);
    let sums = &mut scratch.floats[..ROW_SUMS.floats(rows, b.cols)];
    let block_k = if rows == 1 { depth } else { BLOCK_K };
    for cols in chunks(b.cols, ROW_SUMS.cols) {
        sums.fill(0.0);
        let b = b.columns(cols.clone());
        for ks in chunks(depth, block_k) {
            for (row, sums) in sums.chunks_exact_mut(stride).enumerate() {
                let mut terms = Terms { numbers: [0.0; AT_ONCE], rows: [b.data; AT_ONCE] };
                let mut count = 0;
                for k in ks.clone() {
                    // SAFETY: the view covers the number.
                    let number = unsafe { *a.at(row, k) };
                    if skip_zeros && number.to_bits() == 0 {
                        continue;
                    }
                    terms.numbers[count] = number;
                    terms.rows[count] = b.data.wrapping_add(k * b.row_stride);
                    count += 1;
                    if count == AT_ONCE {
                        // SAFETY: the rows are B's, and there are as many sums.
                        unsafe { terms.add::<S, AT_ONCE>(s, 0, b.cols, sums) };
                        count = 0;
                    }
                }
                // SAFETY: as above.
                unsafe { terms.add_some(s, count, b.cols, sums) };
            }
        }
        let region = Region { row: 0, rows, col: cols.start, cols: cols.len() };
        let place = Place { data: sums.as_mut_ptr(), stride };
        // SAFETY: the sums have whole vectors; the caller vouches for the epilogue.
        unsafe { output.epilogue.finish(output.isa, place, region) };
    }
}

/// Numbers of a row of A, and the rows of B that each is multiplied by.
struct Terms {
    numbers: [f32; AT_ONCE],
    rows: [*const f32; AT_ONCE],
}

impl Terms {
    /// Adds the first `count` of them, fewer than [`AT_ONCE`], as [`Terms::add`] does.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn add_some<S: Simd>(&self, s: S, count: usize, cols: usize, sums: &mut [f32]) {
        let mut done = 0;
        // SAFETY: passed on.
        unsafe {
            if count - done >= 4 {
                self.add::<S, 4>(s, done, cols, sums);
                done += 4;
            }
            if count - done >= 2 {
                self.add::<S, 2>(s, done, cols, sums);
                done += 2;
            }
            if count > done {
                self.add::<S, 1>(s, done, cols, sums);
            }
        }
    }

    /// Adds `number * row` of `N` terms from the one at `first` on, one after another, to each of the sums.
    ///
    /// # Safety
    /// The rows have `cols` numbers; `sums` has as many, up to whole vectors.
    #[inline(always)]
    unsafe fn add<S: Simd, const N: usize>(
        &self,
        s: S,
        first: usize,
        cols: usize,
        sums: &mut [f32],
    ) {
        let (mut factors, mut rows) = ([s.splat(0.0); N], [self.rows[0]; N]);
        for term in 0..N {
            factors[term] = s.splat(self.numbers[first + term]);
            rows[term] = self.rows[first + term];
        }
        let whole = cols / S::LANES * S::LANES;
        let to = sums.as_mut_ptr();
        let mut col = 0;
        // SAFETY: the caller's promise.
        unsafe {
            while col < whole {
                let mut sum = s.load(to.add(col));
                for term in 0..N {
                    sum = s.mul_add(factors[term], s.load(rows[term].add(col)), sum);
                }
                s.store(to.add(col), sum);
                col += S::LANES;
            }
            if col < cols {
                let mut sum = s.load(to.add(col));
                for term in 0..N {
                    let last = s.load_upto(rows[term].add(col), cols - col);
                    sum = s.mul_add(factors[term], last, sum);
                }
                s.store(to.add(col), sum);
            }
        }
    }
}
