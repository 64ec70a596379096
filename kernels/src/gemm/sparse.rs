//! The product of a sparse matrix's rows and a dense matrix.

use core::mem::MaybeUninit;

use super::Scratch;
use super::blocks::{SPARSE_SUMS, chunks};
use super::epilogue::{Finish, Place, Region};
use crate::lists::{BLOCK_FLOATS, GROUP_ROWS, Lists};
use crate::matrix::Matrix;
use crate::simd::{Isa, Kernel, Simd};

/// Columns whose sums are held at a time, whole vectors of every set: 4 KiB.
const HELD: usize = SPARSE_SUMS.cols;

/// Sums of a row, whole vectors.
#[repr(align(64))]
struct Held(MaybeUninit<[f32; HELD]>);

/// A product whose left side is sparse, to be run by [`Isa::run`]: each row of the result is a sum of
/// rows of the right side, each times its value, in the lists' order. Sums are chains of fused
/// multiply-adds from 0, as those of [`super::Product`].
pub(crate) struct SparseProduct<'a> {
    isa: Isa,
    lists: Lists<'a>,
    /// `[columns of the lists, n]`, rows contiguous.
    b: Matrix<'a>,
    epilogue: &'a mut dyn Finish,
    /// Sums of several rows.
    sums: &'a mut [f32],
}

impl<'a> SparseProduct<'a> {
    /// A product for a set; `epilogue` is valid for the lists' rows and the columns of `b`.
    ///
    /// # Panics
    /// The rows of `b` are not contiguous.
    #[track_caller]
    pub fn new(
        isa: Isa,
        lists: Lists<'a>,
        b: Matrix<'a>,
        epilogue: &'a mut dyn Finish,
        scratch: &'a mut Scratch<'_>,
    ) -> Self {
        assert!(
            b.has_contiguous_rows(),
            "the rows of a sparse product's right side are not contiguous"
        );
        SparseProduct { isa, lists, b, epilogue, sums: scratch.floats }
    }
}

impl Kernel for SparseProduct<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.lists.is_long(self.b.rows) {
            return self.in_blocks(s);
        }
        let SparseProduct { isa, lists, b, epilogue, .. } = self;
        let mut held = Held(MaybeUninit::uninit());
        let held = Place { data: held.0.as_mut_ptr().cast(), stride: HELD };
        for cols in chunks(b.cols, HELD) {
            let b = b.columns(cols.clone());
            for row in 0..lists.rows() {
                let next = if row + 1 < lists.rows() { lists.row(row + 1).0 } else { &[] };
                let region = Region { row, rows: 1, col: cols.start, cols: cols.len() };
                // SAFETY: `held` has room for the columns; the maker vouches for the epilogue.
                unsafe {
                    sum_rows(s, lists.row(row), b, next, false, held.data);
                    epilogue.finish(isa, held, region);
                }
            }
        }
    }
}

impl SparseProduct<'_> {
    /// Long lists: some rows share a block of the right side after the other, which the L2 cache keeps
    /// for them. Each sum has the same order.
    #[inline(always)]
    fn in_blocks<S: Simd>(self, s: S) {
        let SparseProduct { isa, lists, b, epilogue, sums } = self;
        let stride = SPARSE_SUMS.stride(b.cols);
        let sums = &mut sums[..SPARSE_SUMS.floats(lists.rows(), b.cols)];
        let held = Place { data: sums.as_mut_ptr(), stride };
        for cols in chunks(b.cols, HELD) {
            let b = b.columns(cols.clone());
            for rows in chunks(lists.rows(), GROUP_ROWS) {
                let mut done = [0; GROUP_ROWS];
                for block in chunks(b.rows.max(1), (BLOCK_FLOATS / cols.len()).max(1)) {
                    for (i, row) in rows.clone().enumerate() {
                        let (indices, values) = lists.row(row);
                        let (from, is_last) = (done[i], block.end >= b.rows);
                        let left = &indices[from..];
                        let count = match is_last {
                            true => left.len(),
                            false => left.partition_point(|&at| (at as usize) < block.end),
                        };
                        done[i] += count;
                        if count == 0 && !(is_last && indices.is_empty()) {
                            continue;
                        }
                        let entries = (&left[..count], &values[from..from + count]);
                        // SAFETY: there is room for the columns of each row.
                        unsafe { sum_rows(s, entries, b, &[], from > 0, held.row(i)) };
                    }
                }
                for (i, row) in rows.enumerate() {
                    let region = Region { row, rows: 1, col: cols.start, cols: cols.len() };
                    let sums = Place { data: held.row(i), stride };
                    // SAFETY: the sums are whole vectors; the maker vouches for the epilogue.
                    unsafe { epilogue.finish(isa, sums, region) };
                }
            }
        }
    }
}

/// Rows that are added to the sums at a time.
const ROWS: usize = 4;

/// Sums rows of `b`, each times its value, to whole vectors at `to`, where they are added to what is
/// there if it `continues`; `next` are rows that will be summed after that.
///
/// # Panics
/// There is no such row.
///
/// # Safety
/// `to` has room for the columns of `b` in whole vectors.
#[inline(always)]
unsafe fn sum_rows<S: Simd>(
    s: S,
    (indices, values): (&[u32], &[f32]),
    b: Matrix<'_>,
    next: &[u32],
    continues: bool,
    to: *mut f32,
) {
    if indices.is_empty() {
        for col in (0..b.cols).step_by(S::LANES) {
            // SAFETY: the caller's promise.
            unsafe { s.store(to.add(col), s.splat(0.0)) };
        }
        return;
    }
    for (at, (rows, values)) in indices.chunks(ROWS).zip(values.chunks(ROWS)).enumerate() {
        let start = (at + 1) * ROWS;
        let coming = if start < indices.len() { &indices[start..] } else { next };
        let group = Group { b, rows, values, coming, is_first: at == 0 && !continues, to };
        // SAFETY: the caller's promise; there are as many rows.
        unsafe {
            match rows.len() {
                1 => group.add::<S, 1>(s),
                2 => group.add::<S, 2>(s),
                3 => group.add::<S, 3>(s),
                _ => group.add::<S, ROWS>(s),
            }
        }
    }
}

/// Rows of `b` that are added to the sums.
struct Group<'a> {
    b: Matrix<'a>,
    rows: &'a [u32],
    values: &'a [f32],
    /// The rows after them.
    coming: &'a [u32],
    is_first: bool,
    to: *mut f32,
}

impl Group<'_> {
    /// # Panics
    /// There is no such row.
    ///
    /// # Safety
    /// There are `N` rows and values; the rest is that of [`sum_rows`].
    #[inline(always)]
    unsafe fn add<S: Simd, const N: usize>(self, s: S) {
        let Group { b, rows, values, coming, is_first, to } = self;
        let mut from = [b.data; N];
        let mut factors = [s.splat(0.0); N];
        for i in 0..N {
            assert!((rows[i] as usize) < b.rows, "no such row of a sparse product's right side");
            from[i] = b.at(rows[i] as usize, 0);
            factors[i] = s.splat(values[i]);
        }
        // What comes next is somewhere else, where no prefetcher looks.
        let mut ahead = from;
        for (ahead, &row) in ahead.iter_mut().zip(coming) {
            *ahead = b.at(row as usize, 0);
        }
        let whole = b.cols / S::LANES * S::LANES;
        let mut col = 0;
        // SAFETY: the rows have these columns, and `to` has room for whole vectors.
        unsafe {
            while col < whole {
                let mut sum = if is_first { s.splat(0.0) } else { s.load(to.add(col)) };
                for i in 0..N {
                    sum = s.mul_add(factors[i], s.load(from[i].add(col)), sum);
                    if S::LANES >= 16 || col.is_multiple_of(16) {
                        s.prefetch(ahead[i].wrapping_add(col));
                    }
                }
                s.store(to.add(col), sum);
                col += S::LANES;
            }
            if col < b.cols {
                let lanes = b.cols - col;
                let mut sum = if is_first { s.splat(0.0) } else { s.load(to.add(col)) };
                for i in 0..N {
                    sum = s.mul_add(factors[i], s.load_upto(from[i].add(col), lanes), sum);
                }
                s.store(to.add(col), sum);
            }
        }
    }
}
