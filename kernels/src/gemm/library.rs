//! The product by the crate `matrixmultiply`, in blocks that the scratch holds.

use super::Scratch;
use super::blocks::{BLOCK_ROWS, LIBRARY_SUMS, chunks};
use super::epilogue::{Place, Region};
use super::tile::Output;
use crate::matrix::Matrix;

/// Computes A B and hands the sums to the epilogue, whose maker vouches for its shape.
pub(super) fn run(a: Matrix<'_>, b: Matrix<'_>, output: Output<'_>, scratch: &mut Scratch<'_>) {
    let stride = LIBRARY_SUMS.stride(b.cols);
    let sums = &mut scratch.floats[..LIBRARY_SUMS.floats(a.rows, b.cols)];
    for rows in chunks(a.rows, BLOCK_ROWS) {
        for cols in chunks(b.cols, LIBRARY_SUMS.cols) {
            let (a, b) = (a.rows(rows.clone()), b.columns(cols.clone()));
            // SAFETY: the views hold these sides, and the scratch as many sums; the maker of
            // the product vouches for the epilogue.
            unsafe {
                matrixmultiply::sgemm(
                    a.rows,
                    a.cols,
                    b.cols,
                    1.0,
                    a.data,
                    a.row_stride as isize,
                    a.col_stride as isize,
                    b.data,
                    b.row_stride as isize,
                    b.col_stride as isize,
                    0.0,
                    sums.as_mut_ptr(),
                    stride as isize,
                    1,
                );
                let region =
                    Region { row: rows.start, rows: a.rows, col: cols.start, cols: b.cols };
                let sums = Place { data: sums.as_mut_ptr(), stride };
                output.epilogue.finish(output.isa, sums, region);
            }
        }
    }
}
