//! What is added to a gradient: the weight decay's, and a matrix of rank one.

use core::ops::Range;

use crate::matrix::MatrixMut;
use crate::simd::{Isa, Kernel, Simd};

/// Adds the weight decay's gradient: `gradient += weight_decay weights`, rounded once, as a
/// [`Rule`](super::Rule) with weight decay does it. Slices of one length.
///
/// ```
/// use sae_kernels::{Isa, add_weight_decay};
///
/// let mut gradient = [1.0, 1.0];
/// add_weight_decay(Isa::detect(), 0.5, &[2.0, -4.0], &mut gradient);
/// assert_eq!(gradient, [2.0, -1.0]);
/// ```
///
/// # Panics
/// The lengths differ.
#[track_caller]
pub fn add_weight_decay(isa: Isa, weight_decay: f32, weights: &[f32], gradient: &mut [f32]) {
    struct Add<'a>(f32, &'a [f32], &'a mut [f32]);
    impl Kernel for Add<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for (w, g) in self.1.chunks(S::LANES).zip(self.2.chunks_mut(S::LANES)) {
                // SAFETY: both chunks have one length.
                unsafe {
                    let (lanes, old) = (g.len(), s.load_upto(g.as_ptr(), g.len()));
                    let weight = s.load_upto(w.as_ptr(), lanes);
                    let new = s.mul_add(s.splat(self.0), weight, old);
                    s.store_upto(g.as_mut_ptr(), lanes, new);
                }
            }
        }
    }
    assert_eq!(weights.len(), gradient.len(), "a gradient for each weight");
    isa.run(Add(weight_decay, weights, gradient));
}

/// The product of a column and a row: a matrix of rank one.
///
/// ```
/// use sae_kernels::{Isa, MatrixMut, Outer};
///
/// let mut matrix = [10.0; 4];
/// let outer = Outer { rows: &[1.0, 2.0], cols: &[3.0, 4.0] };
/// outer.subtract_from(Isa::detect(), MatrixMut::new(&mut matrix, 2, 2));
/// assert_eq!(matrix, [7.0, 6.0, 4.0, 2.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Outer<'a> {
    /// A number for each row.
    pub rows: &'a [f32],
    /// A number for each column.
    pub cols: &'a [f32],
}

impl<'a> Outer<'a> {
    /// A block of it.
    ///
    /// ```
    /// let outer = sae_kernels::Outer { rows: &[1.0, 2.0], cols: &[3.0, 4.0] };
    /// assert_eq!(outer.block(1..2, 0..1).rows, [2.0]);
    /// ```
    ///
    /// # Panics
    /// It has no such rows or columns.
    #[track_caller]
    pub fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        let (height, width) = (self.rows.len(), self.cols.len());
        assert!(rows.start <= rows.end && rows.end <= height, "rows {rows:?} of {height}");
        assert!(cols.start <= cols.end && cols.end <= width, "columns {cols:?} of {width}");
        Outer { rows: &self.rows[rows], cols: &self.cols[cols] }
    }

    /// Subtracts it from a matrix of its shape, each product fused with its subtraction.
    ///
    /// ```
    /// use sae_kernels::{Isa, MatrixMut, Outer};
    ///
    /// let mut matrix = [10.0; 4];
    /// let outer = Outer { rows: &[1.0, 2.0], cols: &[3.0, 4.0] };
    /// outer.subtract_from(Isa::detect(), MatrixMut::new(&mut matrix, 2, 2));
    /// assert_eq!(matrix, [7.0, 6.0, 4.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// The shapes differ, or the matrix has rows that are not contiguous.
    #[track_caller]
    pub fn subtract_from(self, isa: Isa, matrix: MatrixMut<'_>) {
        struct Subtract<'a>(Outer<'a>, MatrixMut<'a>);
        impl Kernel for Subtract<'_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(mut self, s: S) {
                for (row, &number) in self.0.rows.iter().enumerate() {
                    let minus = s.splat(-number);
                    let numbers = self.1.row_mut(row).chunks_mut(S::LANES);
                    for (to, by) in numbers.zip(self.0.cols.chunks(S::LANES)) {
                        // SAFETY: both chunks have one length.
                        unsafe {
                            let (lanes, old) = (to.len(), s.load_upto(to.as_ptr(), to.len()));
                            let by = s.load_upto(by.as_ptr(), lanes);
                            s.store_upto(to.as_mut_ptr(), lanes, s.mul_add(minus, by, old));
                        }
                    }
                }
            }
        }
        let shape = (self.rows.len(), self.cols.len());
        assert_eq!(matrix.shape(), shape, "a row and a column for each number");
        assert!(matrix.has_contiguous_rows(), "the rows are not contiguous");
        isa.run(Subtract(self, matrix));
    }
}
