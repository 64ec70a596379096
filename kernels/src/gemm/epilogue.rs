//! What happens to a finished sum before it is stored.

use super::tile::Place;
use crate::matrix::MatrixMut;
use crate::simd::Simd;

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
    #[inline(always)]
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

/// Stores the sums as they are.
pub(crate) struct Store<'a>(pub MatrixMut<'a>);

impl Epilogue for Store<'_> {
    type Column<S: Simd> = ();
    #[inline(always)]
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
