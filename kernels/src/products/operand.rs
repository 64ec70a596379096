//! The left side of a product.

use core::ops::Range;

use crate::gemm::{Finish, Operands, Place, Product, Scratch, SparseProduct, max_block_k};
use crate::lists::Lists;
use crate::matrix::Matrix;
use crate::simd::Isa;

/// The left side of a product, `[rows, columns]`.
///
/// ```
/// use sae_kernels::{Gemm, Isa, Lists, Matrix, MatrixMut, Operand, Scratch};
///
/// let (floats, indices) = Scratch::LENGTHS;
/// let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
/// let mut scratch = Scratch::new(&mut floats, &mut indices);
///
/// // The row [0, 2, 0], dense and as a list of what is not 0.
/// let dense = Matrix::new(&[0.0, 2.0, 0.0], 1, 3);
/// let lists = Lists::new(&[0], &[1], &[1], &[2.0]);
/// let b = Matrix::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2);
/// for a in [Operand::Dense(dense), Operand::SkipZeros(dense), Operand::Sparse(lists)] {
///     let mut c = [0.0; 2];
///     Gemm::new(a, b, MatrixMut::from_row(&mut c)).run(Isa::detect(), &mut scratch);
///     assert_eq!(c, [6.0, 8.0]);
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// Of which every number counts.
    Dense(Matrix<'a>),
    /// Of which each column that is 0 in a whole tile of rows is left out. The bits are the same as
    /// long as the right side is finite (and no sum has underflowed to -0).
    SkipZeros(Matrix<'a>),
    /// Rows that are mostly 0: their other numbers, whose columns must be rows of the right side.
    Sparse(Lists<'a>),
}

impl<'a> Operand<'a> {
    /// A matrix whose zeros may be left out.
    ///
    /// ```
    /// use sae_kernels::{Matrix, Operand};
    ///
    /// let matrix = Matrix::new(&[0.0, 1.0], 1, 2);
    /// assert!(matches!(Operand::new(matrix, true), Operand::SkipZeros(_)));
    /// ```
    pub fn new(matrix: Matrix<'a>, skip_zeros: bool) -> Self {
        if skip_zeros { Operand::SkipZeros(matrix) } else { Operand::Dense(matrix) }
    }

    /// How many rows it has.
    ///
    /// ```
    /// use sae_kernels::{Matrix, Operand};
    ///
    /// assert_eq!(Operand::from(Matrix::new(&[0.0; 6], 3, 2)).len(), 3);
    /// ```
    pub fn len(&self) -> usize {
        match self {
            Operand::Dense(matrix) | Operand::SkipZeros(matrix) => matrix.shape().0,
            Operand::Sparse(lists) => lists.rows(),
        }
    }

    /// Whether it has no rows.
    ///
    /// ```
    /// use sae_kernels::{Matrix, Operand};
    ///
    /// assert!(Operand::from(Matrix::new(&[], 0, 2)).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the rows.
    ///
    /// ```
    /// use sae_kernels::{Matrix, Operand};
    ///
    /// assert_eq!(Operand::from(Matrix::new(&[0.0; 6], 3, 2)).rows(1..3).len(), 2);
    /// ```
    ///
    /// # Panics
    /// There are no such rows.
    #[track_caller]
    pub fn rows(self, range: Range<usize>) -> Self {
        match self {
            Operand::Dense(matrix) => Operand::Dense(matrix.rows(range)),
            Operand::SkipZeros(matrix) => Operand::SkipZeros(matrix.rows(range)),
            Operand::Sparse(lists) => Operand::Sparse(lists.slice(range)),
        }
    }

    /// The same rows with nothing in them, of no or of all columns.
    pub(super) fn without_terms(self) -> Self {
        match self {
            Operand::Dense(a) | Operand::SkipZeros(a) => Operand::Dense(a.columns(0..0)),
            Operand::Sparse(lists) => Operand::Sparse(lists.without_entries()),
        }
    }

    /// Whether unfinished sums wait between blocks of `k`.
    pub(super) fn waits(&self, isa: Isa, k: usize) -> bool {
        match self {
            Operand::Dense(_) => k > max_block_k(isa.block_k(), false),
            Operand::SkipZeros(_) => k > max_block_k(isa.block_k(), true),
            Operand::Sparse(_) => false,
        }
    }

    /// Panics unless `b` has a row for each column.
    #[track_caller]
    pub(super) fn check_inner(&self, b: &Matrix<'_>) {
        if let Operand::Dense(a) | Operand::SkipZeros(a) = self {
            assert_eq!(a.shape().1, b.shape().0, "the inner sides of a product differ");
        }
    }

    /// Multiplies by `b` and gives the sums to the epilogue, which covers as many rows and columns;
    /// where the operand is dense, unfinished ones wait at `partial`, which does so, too.
    #[track_caller]
    pub(super) fn multiply(
        self,
        isa: Isa,
        b: Matrix<'_>,
        partial: Place,
        epilogue: &mut dyn Finish,
        scratch: &mut Scratch<'_>,
    ) {
        let (a, skip_zeros) = match self {
            Operand::Dense(a) => (a, false),
            Operand::SkipZeros(a) => (a, true),
            Operand::Sparse(lists) => {
                return isa.run(SparseProduct::new(isa, lists, b, epilogue, scratch));
            }
        };
        let operands = Operands { a, b, skip_zeros, partial };
        isa.run(Product::new(isa, operands, epilogue, scratch));
    }
}

impl<'a> From<Matrix<'a>> for Operand<'a> {
    fn from(matrix: Matrix<'a>) -> Self {
        Operand::Dense(matrix)
    }
}

impl<'a> From<Lists<'a>> for Operand<'a> {
    fn from(lists: Lists<'a>) -> Self {
        Operand::Sparse(lists)
    }
}
