//! The product by the crate `matrixmultiply`, in blocks that the scratch holds.

use super::{BLOCK_ROWS, Operands, Product, Region, chunks};
use crate::gemm::Place;

/// Columns of a block.
const COLS: usize = 256;

/// Computes a product; its promise is that of [`Product::new`].
pub(super) fn run(product: Product<'_, '_>) {
    let Product { operands: Operands { a, b, .. }, output, scratch } = product;
    let sums = &mut scratch.floats[..BLOCK_ROWS * COLS];
    for rows in chunks(a.rows, BLOCK_ROWS) {
        for cols in chunks(b.cols, COLS) {
            let (a, b) = (a.rows(rows.clone()), b.columns(cols.clone()));
            // SAFETY: the views hold these sides, and the scratch as many sums; whoever made the
            // product vouches for the epilogue.
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
                    COLS as isize,
                    1,
                );
                let region =
                    Region { row: rows.start, rows: a.rows, col: cols.start, cols: b.cols };
                let sums = Place { data: sums.as_mut_ptr(), stride: COLS };
                output.epilogue.finish(output.isa, sums, region);
            }
        }
    }
}
