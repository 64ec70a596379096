//! What happens to a finished sum before it is stored.

use crate::matrix::MatrixMut;
use crate::simd::{Isa, Kernel, Several, Simd};

/// Where sums are: the first row, and the distance of the rows.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub data: *mut f32,
    pub stride: usize,
}

impl Place {
    /// All of a matrix, whose rows are contiguous.
    pub fn of(matrix: &MatrixMut<'_>) -> Place {
        Place { data: matrix.data, stride: matrix.row_stride }
    }

    /// Rows in a slice, of `stride` floats each.
    pub fn rows(sums: &mut [f32], stride: usize) -> Place {
        Place { data: sums.as_mut_ptr(), stride }
    }

    /// A row's first sum, whether or not there is such a row.
    #[inline(always)]
    pub fn row(self, row: usize) -> *mut f32 {
        self.data.wrapping_add(row * self.stride)
    }

    /// What begins that many rows further down.
    #[inline(always)]
    pub fn below(self, rows: usize) -> Place {
        Place { data: self.row(rows), ..self }
    }

    /// What begins at a region's first sum, where this is a whole product.
    #[inline(always)]
    pub fn from(self, region: Region) -> Place {
        Place { data: self.row(region.row).wrapping_add(region.col), ..self }
    }
}

/// A rectangle of the product.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub row: usize,
    pub rows: usize,
    pub col: usize,
    pub cols: usize,
}

/// The lanes of one vector of sums: `lanes` columns from `col` on, in a row of the product.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub row: usize,
    pub col: usize,
    pub lanes: usize,
}

/// Takes finished sums, a vector at a time; in each column of vectors the rows in their order.
pub(crate) trait Epilogue {
    /// What a column of vectors keeps in registers.
    type Column<S: Simd>: Copy;
    /// Where the product's sums go as they are, if that is all that is done.
    fn place(&self) -> Option<Place> {
        None
    }
    /// Before the first row of a tile.
    /// # Safety
    /// The epilogue covers `lanes` columns from `col` on.
    unsafe fn begin<S: Simd>(&self, s: S, col: usize, lanes: usize) -> Self::Column<S>;
    /// One vector of sums.
    /// # Safety
    /// The epilogue covers the row and these columns.
    unsafe fn apply<S: Simd>(&mut self, s: S, column: &mut Self::Column<S>, at: At, sum: S::V);
    /// After the last row of a tile.
    /// # Safety
    /// As for `begin`.
    unsafe fn end<S: Simd>(&mut self, s: S, column: Self::Column<S>, col: usize, lanes: usize);
}

/// An [`Epilogue`] as the loop nest calls it, which so is compiled once for all of them.
///
/// (Each tile dispatches its epilogue to the instruction set again: one predicted branch for
/// thousands of multiply-adds, which no measurement shows.)
pub(crate) trait Finish {
    /// See [`Epilogue::place`].
    fn place(&self) -> Option<Place>;
    /// Takes the sums of a region of the product.
    ///
    /// # Safety
    /// Whole vectors of sums are readable in every row, and the epilogue covers the region.
    unsafe fn finish(&mut self, isa: Isa, sums: Place, region: Region);
}

impl<E: Epilogue> Finish for E {
    fn place(&self) -> Option<Place> {
        Epilogue::place(self)
    }
    unsafe fn finish(&mut self, isa: Isa, sums: Place, region: Region) {
        isa.run(FinishRegion { epilogue: self, sums, region });
    }
}

/// [`Finish::finish`] as a kernel; its maker vouches for what that requires.
struct FinishRegion<'a, E> {
    epilogue: &'a mut E,
    sums: Place,
    region: Region,
}

impl<E: Epilogue> Kernel for FinishRegion<'_, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        // Two vectors at once, for the latency of what an epilogue computes.
        let pair = Several::<S, 2>(s);
        let mut done = 0;
        while done < self.region.cols {
            let lanes = (self.region.cols - done).min(2 * S::LANES);
            // SAFETY: its maker vouches for the sums and for the epilogue.
            unsafe {
                if lanes > S::LANES {
                    self.column(pair, done, lanes);
                } else {
                    self.column(s, done, lanes);
                }
            }
            done += lanes;
        }
    }
}

impl<E: Epilogue> FinishRegion<'_, E> {
    /// A column of vectors, `from` columns into the region.
    ///
    /// # Safety
    /// As for [`Finish::finish`].
    #[inline(always)]
    unsafe fn column<S: Simd>(&mut self, s: S, from: usize, lanes: usize) {
        let FinishRegion { epilogue, sums, region } = self;
        let col = region.col + from;
        // SAFETY: passed on.
        unsafe {
            let mut column = epilogue.begin(s, col, lanes);
            for row in 0..region.rows {
                let sum = s.load(sums.row(row).add(from));
                let at = At { row: region.row + row, col, lanes };
                epilogue.apply(s, &mut column, at, sum);
            }
            epilogue.end(s, column, col, lanes);
        }
    }
}

/// Stores the sums as they are.
pub(crate) struct Store<'a>(pub MatrixMut<'a>);

impl Epilogue for Store<'_> {
    type Column<S: Simd> = ();
    fn place(&self) -> Option<Place> {
        Some(Place::of(&self.0))
    }
    #[inline(always)]
    unsafe fn begin<S: Simd>(&self, _: S, _: usize, _: usize) {}
    #[inline(always)]
    unsafe fn apply<S: Simd>(&mut self, s: S, _: &mut (), at: At, sum: S::V) {
        // SAFETY: the trait's promise.
        unsafe { s.store_upto(self.0.at(at.row, at.col), at.lanes, sum) };
    }
    #[inline(always)]
    unsafe fn end<S: Simd>(&mut self, _: S, _: (), _: usize, _: usize) {}
}

/// Stores `alpha sum + beta c`, where c is what stands there before, at any strides; with a beta of 0 it is
/// not read.
pub(crate) struct Combine<'a> {
    pub c: MatrixMut<'a>,
    pub alpha: f32,
    pub beta: f32,
}

impl Epilogue for Combine<'_> {
    /// Alpha and beta.
    type Column<S: Simd> = (S::V, S::V);
    #[inline(always)]
    unsafe fn begin<S: Simd>(&self, s: S, _: usize, _: usize) -> Self::Column<S> {
        (s.splat(self.alpha), s.splat(self.beta))
    }
    #[inline(always)]
    unsafe fn apply<S: Simd>(&mut self, s: S, column: &mut Self::Column<S>, at: At, sum: S::V) {
        let &mut (alpha, beta) = column;
        let scaled = s.mul(alpha, sum);
        let to = self.c.at(at.row, at.col);
        // SAFETY: the trait's promise.
        unsafe {
            if self.c.has_contiguous_rows() {
                let result = match self.beta == 0.0 {
                    true => scaled,
                    false => s.mul_add(beta, s.load_upto(to, at.lanes), scaled),
                };
                s.store_upto(to, at.lanes, result);
                return;
            }
            let stride = self.c.col_stride;
            let mut numbers = [0.0; 32];
            const { assert!(S::LANES <= 32) };
            let mut result = scaled;
            if self.beta != 0.0 {
                for (lane, number) in numbers[..at.lanes].iter_mut().enumerate() {
                    *number = *to.add(lane * stride);
                }
                result = s.mul_add(beta, s.load(numbers.as_ptr()), scaled);
            }
            s.store(numbers.as_mut_ptr(), result);
            for (lane, number) in numbers[..at.lanes].iter().enumerate() {
                *to.add(lane * stride) = *number;
            }
        }
    }
    #[inline(always)]
    unsafe fn end<S: Simd>(&mut self, _: S, _: Self::Column<S>, _: usize, _: usize) {}
}
