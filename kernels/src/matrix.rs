//! Strided views of `f32` slices, and their division into parts that threads may write at once.

mod parts;
mod strides;

use core::marker::PhantomData;
use core::ops::Range;

pub use parts::{Bands, Division, MAX_PARTS, Parts};
use strides::{check_area, check_length, check_rows, is_distinct, offset};

/// A view of numbers, `[rows, cols]`, with any strides. Transposing swaps the strides.
///
/// ```
/// use sae_kernels::Matrix;
///
/// let numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let matrix = Matrix::new(&numbers, 2, 3);
/// assert_eq!(matrix.row(1), [4.0, 5.0, 6.0]);
/// assert_eq!(matrix.transposed().shape(), (3, 2));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(crate) data: *const f32,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
    life: PhantomData<&'a [f32]>,
}

/// A view of numbers to write, `[rows, cols]`, with any strides at which no two numbers share a place.
///
/// [`Gemm`](crate::Gemm) writes to any such view; what else writes requires contiguous rows.
///
/// ```
/// use sae_kernels::MatrixMut;
///
/// let mut numbers = [0.0; 6];
/// let mut matrix = MatrixMut::new(&mut numbers, 2, 3);
/// matrix.row_mut(1).fill(1.0);
/// assert_eq!(numbers, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
/// ```
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pub(crate) data: *mut f32,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: a view is a borrowed slice, shared or exclusive, and moves between threads as one.
unsafe impl Send for Matrix<'_> {}
// SAFETY: as above; nothing is written through it.
unsafe impl Sync for Matrix<'_> {}
// SAFETY: as above; it is the only way to its numbers.
unsafe impl Send for MatrixMut<'_> {}

impl<'a> Matrix<'a> {
    /// Row-major, `[rows, cols]`, over exactly `rows * cols` floats.
    ///
    /// ```
    /// let matrix = sae_kernels::Matrix::new(&[1.0, 2.0, 3.0, 4.0], 2, 2);
    /// assert_eq!(matrix.row(0), [1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// The slice has another length.
    #[inline]
    #[track_caller]
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        check_area(data.len(), rows, cols);
        Self::strided(data, rows, cols, cols)
    }

    /// Rows of `cols` floats that begin `row_stride` floats apart.
    ///
    /// ```
    /// let matrix = sae_kernels::Matrix::strided(&[1.0, 2.0, 0.0, 3.0, 4.0], 2, 2, 3);
    /// assert_eq!(matrix.row(1), [3.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// The slice is too short, or the stride is below `cols`.
    #[inline]
    #[track_caller]
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        check_rows(cols, row_stride);
        Self::with_strides(data, (rows, cols), (row_stride, 1))
    }

    /// A view of this shape, `(rows, cols)`, in which rows begin `strides.0` floats apart, and columns
    /// `strides.1`. Strides of 0 repeat a row or a column.
    ///
    /// ```
    /// use sae_kernels::Matrix;
    ///
    /// // Every second column of a 2 x 4 matrix.
    /// let numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    /// let columns = Matrix::with_strides(&numbers, (2, 2), (4, 2));
    /// assert_eq!(columns.get(1, 1), 7.0);
    /// ```
    ///
    /// # Panics
    /// The slice is too short.
    #[inline]
    #[track_caller]
    pub fn with_strides(
        data: &'a [f32],
        (rows, cols): (usize, usize),
        (row_stride, col_stride): (usize, usize),
    ) -> Self {
        check_length(data.len(), (rows, cols), (row_stride, col_stride));
        Matrix { data: data.as_ptr(), rows, cols, row_stride, col_stride, life: PhantomData }
    }

    /// A slice as one row, `[1, data.len()]`.
    ///
    /// ```
    /// assert_eq!(sae_kernels::Matrix::from_row(&[1.0, 2.0]).shape(), (1, 2));
    /// ```
    #[inline]
    pub fn from_row(data: &'a [f32]) -> Self {
        Self::new(data, 1, data.len())
    }

    /// The numbers of rows and of columns.
    ///
    /// ```
    /// assert_eq!(sae_kernels::Matrix::new(&[0.0; 6], 2, 3).shape(), (2, 3));
    /// ```
    #[inline]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The address of a number, whether or not it is in the view.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize, col: usize) -> *const f32 {
        self.data.wrapping_add(offset(row, self.row_stride, col, self.col_stride))
    }

    /// Whether each row is a slice.
    #[inline(always)]
    pub(crate) fn has_contiguous_rows(&self) -> bool {
        self.col_stride == 1 || self.cols <= 1
    }

    /// One number.
    ///
    /// ```
    /// let matrix = sae_kernels::Matrix::new(&[1.0, 2.0, 3.0, 4.0], 2, 2);
    /// assert_eq!(matrix.transposed().get(0, 1), 3.0);
    /// ```
    ///
    /// # Panics
    /// There is no such row or column.
    #[inline]
    #[track_caller]
    pub fn get(&self, row: usize, col: usize) -> f32 {
        let (rows, cols) = self.shape();
        assert!(row < rows && col < cols, "number ({row}, {col}) of a {rows} x {cols} matrix");
        // SAFETY: the number lies in the borrowed slice.
        unsafe { *self.at(row, col) }
    }

    /// One row as a slice.
    ///
    /// ```
    /// assert_eq!(sae_kernels::Matrix::new(&[1.0, 2.0, 3.0, 4.0], 2, 2).row(1), [3.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// There is no such row, or rows are not contiguous.
    #[inline]
    #[track_caller]
    pub fn row(&self, row: usize) -> &'a [f32] {
        assert!(row < self.rows, "no such row");
        assert!(self.has_contiguous_rows(), "the rows are not contiguous");
        if self.cols == 0 {
            // The slice may end before this row's place.
            return &[];
        }
        // SAFETY: the row lies in the borrowed slice.
        unsafe { core::slice::from_raw_parts(self.at(row, 0), self.cols) }
    }

    /// The same numbers, `[cols, rows]`.
    ///
    /// ```
    /// let matrix = sae_kernels::Matrix::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3);
    /// assert_eq!(matrix.transposed().get(2, 0), matrix.get(0, 2));
    /// ```
    #[inline]
    pub fn transposed(self) -> Self {
        Matrix {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Some of the columns, `[rows, range.len()]`.
    ///
    /// ```
    /// let matrix = sae_kernels::Matrix::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3);
    /// assert_eq!(matrix.columns(1..3).row(1), [5.0, 6.0]);
    /// ```
    ///
    /// # Panics
    /// The range leaves the matrix.
    #[inline]
    #[track_caller]
    pub fn columns(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.cols, "columns outside the matrix");
        Matrix { data: self.at(0, range.start), cols: range.len(), ..self }
    }

    /// Some of the rows, `[range.len(), cols]`.
    ///
    /// ```
    /// let matrix = sae_kernels::Matrix::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2);
    /// assert_eq!(matrix.rows(1..3).row(0), [3.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// The range leaves the matrix.
    #[inline]
    #[track_caller]
    pub fn rows(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows, "rows outside the matrix");
        Matrix { data: self.at(range.start, 0), rows: range.len(), ..self }
    }
}

impl<'a> MatrixMut<'a> {
    /// Row-major, `[rows, cols]`, over exactly `rows * cols` floats.
    ///
    /// ```
    /// assert_eq!(sae_kernels::MatrixMut::new(&mut [0.0; 4], 2, 2).shape(), (2, 2));
    /// ```
    ///
    /// # Panics
    /// The slice has another length.
    #[inline]
    #[track_caller]
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        check_area(data.len(), rows, cols);
        Self::strided(data, rows, cols, cols)
    }

    /// Rows of `cols` floats that begin `row_stride` floats apart.
    ///
    /// ```
    /// let mut numbers = [0.0; 5];
    /// sae_kernels::MatrixMut::strided(&mut numbers, 2, 2, 3).row_mut(1).fill(1.0);
    /// assert_eq!(numbers, [0.0, 0.0, 0.0, 1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// The slice is too short, or the stride is below `cols`.
    #[inline]
    #[track_caller]
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        check_rows(cols, row_stride);
        Self::with_strides(data, (rows, cols), (row_stride, 1))
    }

    /// A view of this shape, `(rows, cols)`, in which rows begin `strides.0` floats apart, and columns
    /// `strides.1`: `(cols, 1)` is row-major, `(1, rows)` column-major.
    ///
    /// No two numbers may share a place: one of the strides is larger than the distance of the first and the
    /// last number along the other. (Strides that interleave otherwise, such as 2 and 3, are refused, too.)
    ///
    /// ```
    /// use sae_kernels::{Isa, Matrix, MatrixMut, Scratch, gemm};
    ///
    /// let isa = Isa::detect();
    /// let (floats, indices) = Scratch::lengths_for(isa, 2, 1, 2);
    /// let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// let mut scratch = Scratch::sized(&mut floats, &mut indices);
    ///
    /// let (column, row) = ([1.0, 2.0], [3.0, 4.0]);
    /// let (column, row) = (Matrix::new(&column, 2, 1), Matrix::from_row(&row));
    /// // The result is column-major.
    /// let mut c = [0.0; 4];
    /// gemm(isa, column, row, MatrixMut::with_strides(&mut c, (2, 2), (1, 2)), &mut scratch);
    /// assert_eq!(c, [3.0, 6.0, 4.0, 8.0]);
    /// ```
    ///
    /// # Panics
    /// The slice is too short, or numbers would share a place.
    #[inline]
    #[track_caller]
    pub fn with_strides(
        data: &'a mut [f32],
        (rows, cols): (usize, usize),
        (row_stride, col_stride): (usize, usize),
    ) -> Self {
        check_length(data.len(), (rows, cols), (row_stride, col_stride));
        assert!(
            is_distinct((rows, cols), (row_stride, col_stride)),
            "numbers of a {rows} x {cols} matrix to write share a place at strides of {row_stride} and \
             {col_stride}: one stride has to exceed the distance of the first and the last number along \
             the other"
        );
        MatrixMut { data: data.as_mut_ptr(), rows, cols, row_stride, col_stride, life: PhantomData }
    }

    /// A slice as one row, `[1, data.len()]`.
    ///
    /// ```
    /// assert_eq!(sae_kernels::MatrixMut::from_row(&mut [1.0, 2.0]).shape(), (1, 2));
    /// ```
    #[inline]
    pub fn from_row(data: &'a mut [f32]) -> Self {
        let cols = data.len();
        Self::new(data, 1, cols)
    }

    /// The address of a number, whether or not it is in the view.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize, col: usize) -> *mut f32 {
        self.data.wrapping_add(offset(row, self.row_stride, col, self.col_stride))
    }

    /// Whether each row is a slice.
    #[inline(always)]
    pub(crate) fn has_contiguous_rows(&self) -> bool {
        self.col_stride == 1 || self.cols <= 1
    }

    /// The same numbers, `[cols, rows]`.
    ///
    /// ```
    /// let mut numbers = [0.0; 6];
    /// assert_eq!(sae_kernels::MatrixMut::new(&mut numbers, 2, 3).transposed().shape(), (3, 2));
    /// ```
    #[inline]
    pub fn transposed(self) -> Self {
        MatrixMut {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// A view to read the same numbers.
    ///
    /// ```
    /// let mut numbers = [1.0, 2.0];
    /// let matrix = sae_kernels::MatrixMut::from_row(&mut numbers);
    /// assert_eq!(matrix.as_ref().get(0, 1), 2.0);
    /// ```
    #[inline]
    pub fn as_ref(&self) -> Matrix<'_> {
        let &MatrixMut { data, rows, cols, row_stride, col_stride, .. } = self;
        Matrix { data, rows, cols, row_stride, col_stride, life: PhantomData }
    }

    /// One row.
    ///
    /// ```
    /// let mut numbers = [1.0, 2.0, 3.0, 4.0];
    /// sae_kernels::MatrixMut::new(&mut numbers, 2, 2).row_mut(0).swap(0, 1);
    /// assert_eq!(numbers, [2.0, 1.0, 3.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// There is no such row, or rows are not contiguous.
    #[inline]
    #[track_caller]
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "no such row");
        assert!(self.has_contiguous_rows(), "the rows are not contiguous");
        if self.cols == 0 {
            // The slice may end before this row's place.
            return &mut [];
        }
        // SAFETY: the row lies in the borrowed slice, and `self` is borrowed meanwhile.
        unsafe { core::slice::from_raw_parts_mut(self.at(row, 0), self.cols) }
    }

    /// The only row, for as long as the view was.
    ///
    /// ```
    /// let mut numbers = [1.0, 2.0];
    /// assert_eq!(sae_kernels::MatrixMut::from_row(&mut numbers).into_row(), [1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// There is another number of rows, or the row is not contiguous.
    #[inline]
    #[track_caller]
    pub fn into_row(self) -> &'a mut [f32] {
        assert_eq!(self.rows, 1, "one row was expected");
        assert!(self.has_contiguous_rows(), "the rows are not contiguous");
        // SAFETY: the row lies in the slice that was borrowed for `'a`.
        unsafe { core::slice::from_raw_parts_mut(self.data, self.cols) }
    }

    /// The numbers of rows and of columns.
    ///
    /// ```
    /// assert_eq!(sae_kernels::MatrixMut::new(&mut [0.0; 6], 2, 3).shape(), (2, 3));
    /// ```
    #[inline]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Some rows of the view, which is borrowed meanwhile.
    ///
    /// ```
    /// let mut numbers = [0.0; 6];
    /// let mut matrix = sae_kernels::MatrixMut::new(&mut numbers, 3, 2);
    /// matrix.rows_mut(1..3).row_mut(0).fill(1.0);
    /// assert_eq!(numbers, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// There are no such rows.
    #[track_caller]
    pub fn rows_mut(&mut self, range: Range<usize>) -> MatrixMut<'_> {
        assert!(range.start <= range.end && range.end <= self.rows, "rows {range:?} of a matrix");
        self.block(range, 0..self.cols)
    }

    /// A block of the view, which is borrowed meanwhile.
    #[inline]
    pub(crate) fn block(&mut self, rows: Range<usize>, cols: Range<usize>) -> MatrixMut<'_> {
        self.unchecked_block(rows, cols)
    }

    /// A block of the view; no other view may use its numbers while it lives.
    fn unchecked_block(&self, rows: Range<usize>, cols: Range<usize>) -> MatrixMut<'a> {
        MatrixMut {
            data: self.at(rows.start, cols.start),
            rows: rows.len(),
            cols: cols.len(),
            row_stride: self.row_stride,
            col_stride: self.col_stride,
            life: PhantomData,
        }
    }
}
