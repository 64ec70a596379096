//! The product alone.

use super::{Operand, check};
use crate::gemm::{Combine, PARTIAL_COLS, PARTIAL_ROWS, Place, Scratch, Store, chunks};
use crate::matrix::{Matrix, MatrixMut};
use crate::simd::Isa;

/// Multiplies two matrices, `c = a b`; see [`Gemm`].
///
/// ```
/// use sae_kernels::{Isa, Matrix, MatrixMut, Scratch, gemm};
///
/// let isa = Isa::detect();
/// let (floats, indices) = Scratch::lengths_for(isa, 2, 2, 2);
/// let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
/// let mut scratch = Scratch::sized(&mut floats, &mut indices);
///
/// let (a, b, mut c) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [0.0; 4]);
/// let (a, b) = (Matrix::new(&a, 2, 2), Matrix::new(&b, 2, 2));
/// gemm(isa, a, b.transposed(), MatrixMut::new(&mut c, 2, 2), &mut scratch);
/// assert_eq!(c, [17.0, 23.0, 39.0, 53.0]);
/// ```
///
/// # Panics
/// The shapes do not fit, or the scratch is too small.
#[track_caller]
pub fn gemm(isa: Isa, a: Matrix<'_>, b: Matrix<'_>, c: MatrixMut<'_>, scratch: &mut Scratch<'_>) {
    Gemm::new(a, b, c).run(isa, scratch);
}

/// A product of two matrices: `c = alpha a b + beta c`.
///
/// Transposed views of `a`, `b` or `c` give the other forms, and all three may have any strides. The
/// defaults are `alpha = 1` and `beta = 0`.
///
/// Rounding: the sum s of an element is one chain of fused multiply-adds in the order of k, from 0. The result
/// is `alpha s`, rounded, where `beta` is 0, and `fma(beta, c, alpha s)` otherwise, alpha s rounded before; so
/// it is s itself by default. These are the same bits for any strides, any division among threads and any set
/// that [`Isa::is_fused`].
///
/// As in BLAS, `c` is not read where `beta` is 0, and may hold NaN; where `alpha` is 0, neither `a` nor `b` is.
///
/// ```
/// use sae_kernels::{Gemm, Isa, Matrix, MatrixMut, Scratch};
///
/// let isa = Isa::detect();
/// let (floats, indices) = Scratch::lengths_for(isa, 1, 2, 1);
/// let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
/// let mut scratch = Scratch::sized(&mut floats, &mut indices);
///
/// let (a, b) = (Matrix::new(&[1.0, 2.0], 1, 2), Matrix::new(&[3.0, 4.0], 2, 1));
/// let mut c = [100.0];
/// Gemm::new(a, b, MatrixMut::from_row(&mut c)).accumulate().run(isa, &mut scratch);
/// assert_eq!(c, [111.0]);
/// Gemm::new(a, b, MatrixMut::from_row(&mut c)).alpha(2.0).beta(-1.0).run(isa, &mut scratch);
/// assert_eq!(c, [-89.0]);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Gemm<'a> {
    /// `[m, k]`
    pub a: Operand<'a>,
    /// `[k, n]`; rows contiguous where `a` is sparse.
    pub b: Matrix<'a>,
    /// `[m, n]`
    pub c: MatrixMut<'a>,
    /// Factor of the product; 1 by default.
    pub alpha: f32,
    /// Factor of what `c` holds before; 0 by default.
    pub beta: f32,
}

impl<'a> Gemm<'a> {
    /// The product `c = a b`; `a` is a matrix, [`Lists`](crate::Lists) or any other [`Operand`].
    ///
    /// ```
    /// use sae_kernels::{Gemm, Matrix, MatrixMut};
    ///
    /// let (a, mut c) = ([1.0], [0.0]);
    /// let a = Matrix::from_row(&a);
    /// let product = Gemm::new(a, a, MatrixMut::from_row(&mut c));
    /// assert_eq!((product.alpha, product.beta), (1.0, 0.0));
    /// ```
    pub fn new(a: impl Into<Operand<'a>>, b: Matrix<'a>, c: MatrixMut<'a>) -> Self {
        Gemm { a: a.into(), b, c, alpha: 1.0, beta: 0.0 }
    }

    /// The same with this factor of the product.
    ///
    /// ```
    /// # use sae_kernels::{Gemm, Matrix, MatrixMut};
    /// # let (a, mut c) = ([1.0], [0.0]);
    /// # let (a, c) = (Matrix::from_row(&a), MatrixMut::from_row(&mut c));
    /// assert_eq!(Gemm::new(a, a, c).alpha(0.5).alpha, 0.5);
    /// ```
    pub fn alpha(self, alpha: f32) -> Self {
        Gemm { alpha, ..self }
    }

    /// The same with this factor of what `c` holds before.
    ///
    /// ```
    /// # use sae_kernels::{Gemm, Matrix, MatrixMut};
    /// # let (a, mut c) = ([1.0], [0.0]);
    /// # let (a, c) = (Matrix::from_row(&a), MatrixMut::from_row(&mut c));
    /// assert_eq!(Gemm::new(a, a, c).beta(2.0).beta, 2.0);
    /// ```
    pub fn beta(self, beta: f32) -> Self {
        Gemm { beta, ..self }
    }

    /// The same, added to what `c` holds: a `beta` of 1.
    ///
    /// ```
    /// # use sae_kernels::{Gemm, Matrix, MatrixMut};
    /// # let (a, mut c) = ([1.0], [0.0]);
    /// # let (a, c) = (Matrix::from_row(&a), MatrixMut::from_row(&mut c));
    /// assert_eq!(Gemm::new(a, a, c).accumulate().beta, 1.0);
    /// ```
    pub fn accumulate(self) -> Self {
        self.beta(1.0)
    }

    /// Multiplies.
    ///
    /// ```
    /// use sae_kernels::{Gemm, Isa, Matrix, MatrixMut, Scratch};
    ///
    /// let isa = Isa::detect();
    /// let (floats, indices) = Scratch::lengths_for(isa, 1, 1, 2);
    /// let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// let mut scratch = Scratch::sized(&mut floats, &mut indices);
    ///
    /// let (a, b) = (Matrix::from_row(&[2.0]), Matrix::from_row(&[3.0, 4.0]));
    /// let mut c = [0.0; 2];
    /// Gemm::new(a, b, MatrixMut::from_row(&mut c)).run(isa, &mut scratch);
    /// assert_eq!(c, [6.0, 8.0]);
    /// ```
    ///
    /// # Panics
    /// The shapes do not fit, or the scratch is too small. A list of a sparse `a` names a column that is no row
    /// of `b`.
    #[track_caller]
    pub fn run(self, isa: Isa, scratch: &mut Scratch<'_>) {
        check("the result", self.c.shape(), (self.a.len(), self.b.cols));
        self.a.check_inner(&self.b);
        scratch.check(isa, (self.a.len(), self.b.rows, self.b.cols));
        let Gemm { a, b, c, alpha, beta } = self.with_contiguous_rows();
        if alpha == 1.0 && beta == 0.0 && c.has_contiguous_rows() {
            return a.multiply(isa, b, Place::of(&c), &mut Store(c), scratch);
        }
        let (a, b) = match alpha == 0.0 {
            true => (a.without_terms(), b.rows(0..0)),
            false => (a, b),
        };
        Gemm { a, b, c, alpha, beta }.combine(isa, scratch);
    }

    /// A column-major result as the row-major one of `c^T = b^T a^T`: each sum is the same chain.
    fn with_contiguous_rows(self) -> Self {
        match self.a {
            Operand::Dense(a) if self.c.col_stride != 1 && self.c.row_stride == 1 => {
                let (a, b) = (Operand::Dense(self.b.transposed()), a.transposed());
                Gemm { a, b, c: self.c.transposed(), ..self }
            }
            _ => self,
        }
    }

    /// Multiplies with alpha, beta and any strides of the result. Where unfinished sums cannot wait in the
    /// result, they do in the scratch, piece by piece of the result.
    #[track_caller]
    fn combine(self, isa: Isa, scratch: &mut Scratch<'_>) {
        let Gemm { a, b, mut c, alpha, beta } = self;
        let (m, n) = c.shape();
        let is_overwritten = beta == 0.0 && c.has_contiguous_rows();
        let waits = a.waits(isa, b.rows) && !is_overwritten;
        let rows_at_once = if waits { m.min(PARTIAL_ROWS) } else { m };
        let cols_at_once = if waits { n.min(PARTIAL_COLS) } else { n };
        let (waiting, mut scratch) =
            scratch.split(if waits { rows_at_once * cols_at_once } else { 0 });
        for rows in chunks(m, rows_at_once) {
            for cols in chunks(n, cols_at_once) {
                let c = c.block(rows.clone(), cols.clone());
                let (a, b) = (a.rows(rows.clone()), b.columns(cols));
                let partial = match is_overwritten {
                    true => Place::of(&c),
                    false => Place::rows(waiting, c.cols),
                };
                a.multiply(isa, b, partial, &mut Combine { c, alpha, beta }, &mut scratch);
            }
        }
    }
}
