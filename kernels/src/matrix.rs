//! Strided views of `f32` slices, and their division into parts that threads may write at once.

use core::marker::PhantomData;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A view of numbers, `[rows, cols]`, with any strides. Transposing swaps the strides.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(crate) data: *const f32,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
    life: PhantomData<&'a [f32]>,
}

/// A view of numbers to write, `[rows, cols]`, rows contiguous.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pub(crate) data: *mut f32,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: a view is a borrowed slice, shared or exclusive, and moves between threads as one.
unsafe impl Send for Matrix<'_> {}
// SAFETY: as above; nothing is written through it.
unsafe impl Sync for Matrix<'_> {}
// SAFETY: as above; it is the only way to its numbers.
unsafe impl Send for MatrixMut<'_> {}

/// Floats that a `[rows, cols]` view with this row stride spans.
fn span(rows: usize, cols: usize, row_stride: usize) -> usize {
    assert!(row_stride >= cols, "a row stride of {row_stride} is below the {cols} columns");
    if rows == 0 || cols == 0 {
        return 0;
    }
    let last = (rows - 1).checked_mul(row_stride).and_then(|at| at.checked_add(cols));
    last.expect("a matrix larger than the address space")
}

impl<'a> Matrix<'a> {
    /// Row-major, `[rows, cols]`, over exactly `rows * cols` floats.
    ///
    /// # Panics
    /// The slice has another length.
    #[inline]
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows} x {cols} matrix needs that many numbers");
        Self::strided(data, rows, cols, cols)
    }

    /// Rows of `cols` floats that begin `row_stride` floats apart.
    ///
    /// # Panics
    /// The slice is too short, or the stride is below `cols`.
    #[inline]
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(data.len() >= span(rows, cols, row_stride), "the slice is too short for its view");
        Matrix { data: data.as_ptr(), rows, cols, row_stride, col_stride: 1, life: PhantomData }
    }

    /// A slice as one row, `[1, data.len()]`.
    #[inline]
    pub fn from_row(data: &'a [f32]) -> Self {
        Self::new(data, 1, data.len())
    }

    /// `[rows, cols]`.
    #[inline]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The address of a number, whether or not it is in the view.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize, col: usize) -> *const f32 {
        self.data.wrapping_add(row * self.row_stride + col * self.col_stride)
    }

    /// One row as a slice.
    ///
    /// # Panics
    /// There is no such row, or rows are not contiguous.
    #[inline]
    pub fn row(&self, row: usize) -> &'a [f32] {
        assert!(row < self.rows, "no such row");
        assert!(self.col_stride == 1 || self.cols <= 1, "the rows are not contiguous");
        if self.cols == 0 {
            // The slice may end before this row's place.
            return &[];
        }
        // SAFETY: the row lies in the borrowed slice.
        unsafe { core::slice::from_raw_parts(self.at(row, 0), self.cols) }
    }

    /// The same numbers, `[cols, rows]`.
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
    /// # Panics
    /// The range leaves the matrix.
    #[inline]
    pub fn columns(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.cols, "columns outside the matrix");
        let data = self.data.wrapping_add(range.start * self.col_stride);
        Matrix { data, cols: range.len(), ..self }
    }

    /// Some of the rows, `[range.len(), cols]`.
    ///
    /// # Panics
    /// The range leaves the matrix.
    #[inline]
    pub fn rows(self, range: Range<usize>) -> Self {
        self.transposed().columns(range).transposed()
    }
}

impl<'a> MatrixMut<'a> {
    /// Row-major, `[rows, cols]`, over exactly `rows * cols` floats.
    ///
    /// # Panics
    /// The slice has another length.
    #[inline]
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows} x {cols} matrix needs that many numbers");
        Self::strided(data, rows, cols, cols)
    }

    /// Rows of `cols` floats that begin `row_stride` floats apart.
    ///
    /// # Panics
    /// The slice is too short, or the stride is below `cols`.
    #[inline]
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(data.len() >= span(rows, cols, row_stride), "the slice is too short for its view");
        MatrixMut { data: data.as_mut_ptr(), rows, cols, row_stride, life: PhantomData }
    }

    /// A slice as one row, `[1, data.len()]`.
    #[inline]
    pub fn from_row(data: &'a mut [f32]) -> Self {
        let cols = data.len();
        Self::new(data, 1, cols)
    }

    /// The address of a number, whether or not it is in the view.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize, col: usize) -> *mut f32 {
        self.data.wrapping_add(row * self.row_stride + col)
    }

    /// A view to read the same numbers.
    #[inline]
    pub fn as_ref(&self) -> Matrix<'_> {
        Matrix {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            col_stride: 1,
            life: PhantomData,
        }
    }

    /// One row.
    ///
    /// # Panics
    /// There is no such row.
    #[inline]
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "no such row");
        if self.cols == 0 {
            // The slice may end before this row's place.
            return &mut [];
        }
        // SAFETY: the row lies in the borrowed slice, and `self` is borrowed meanwhile.
        unsafe { core::slice::from_raw_parts_mut(self.data.add(row * self.row_stride), self.cols) }
    }

    /// The only row, for as long as the view was.
    ///
    /// # Panics
    /// There is another number of rows.
    #[inline]
    pub fn into_row(self) -> &'a mut [f32] {
        assert_eq!(self.rows, 1, "one row was expected");
        // SAFETY: the row lies in the slice that was borrowed for `'a`.
        unsafe { core::slice::from_raw_parts_mut(self.data, self.cols) }
    }

    /// `[rows, cols]`.
    #[inline]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Some rows of the view, which is borrowed meanwhile.
    ///
    /// # Panics
    /// There are no such rows.
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
            life: PhantomData,
        }
    }
}

/// The maximum number of parts of a [`Division`]: [`Parts`] keeps a bit for each.
pub const MAX_PARTS: usize = 256;

/// `total` rows or columns in at most `parts` ranges, each but the last a multiple of `unit`,
/// as equal as that allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    total: usize,
    unit: usize,
    parts: usize,
}

impl Division {
    /// Divides `total` rows or columns. There are fewer parts than asked for where there are fewer
    /// units.
    ///
    /// # Panics
    /// `unit` is 0.
    pub fn new(total: usize, unit: usize, parts: usize) -> Self {
        let units = total.div_ceil(unit);
        Division { total, unit, parts: parts.min(units).clamp(1, MAX_PARTS) }
    }

    /// How many ranges there are: at least one.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// The range of a part, counted from 0.
    pub fn range(&self, part: usize) -> Range<usize> {
        let units = self.total.div_ceil(self.unit);
        let start = |part: usize| (units * part / self.parts * self.unit).min(self.total);
        start(part)..start(part + 1)
    }
}

/// Which side of a matrix is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Rows,
    Columns,
}

/// Bits of a word of [`Taken`]. (Not of a `u64`: 32-bit microcontrollers have no atomic ones.)
const WORD: usize = usize::BITS as usize;

/// Which parts of a division are taken.
#[derive(Debug)]
struct Taken([AtomicUsize; MAX_PARTS.div_ceil(WORD)]);

impl Taken {
    fn none() -> Self {
        Taken([const { AtomicUsize::new(0) }; MAX_PARTS.div_ceil(WORD)])
    }

    /// Takes a part; panics if there is none, or it was taken before.
    fn take(&self, part: usize, division: Division) -> Range<usize> {
        assert!(part < division.parts, "no such part");
        let bit = 1 << (part % WORD);
        let before = self.0[part / WORD].fetch_or(bit, Ordering::Relaxed);
        assert_eq!(before & bit, 0, "a part was taken twice");
        division.range(part)
    }
}

/// A slice divided into parts, with a number of elements for each of the rows that are divided. Each
/// part one thread may take, once.
#[derive(Debug)]
pub struct Bands<'a, T> {
    data: *mut T,
    /// Where each part begins, and the last one ends.
    places: [usize; MAX_PARTS + 1],
    division: Division,
    taken: Taken,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: through a shared reference, `take` gives every part at most once, so no two threads
// reach the same element.
unsafe impl<T: Send> Sync for Bands<'_, T> {}

impl<'a, T> Bands<'a, T> {
    /// Divides a slice of `width` elements for each row.
    ///
    /// # Panics
    /// The slice has another length.
    pub fn new(slice: &'a mut [T], width: usize, division: Division) -> Self {
        assert_eq!(slice.len(), division.total * width, "{width} elements for each row");
        Self::ragged(slice, division, |row| row * width)
    }

    /// Divides a slice in which the elements of a row begin at `place(row)`, those of the last one
    /// end at `place(rows)`.
    ///
    /// # Panics
    /// The places fall, or leave the slice.
    pub fn ragged(slice: &'a mut [T], division: Division, place: impl Fn(usize) -> usize) -> Self {
        let mut places = [0; MAX_PARTS + 1];
        for (part, to) in places[..division.parts].iter_mut().enumerate() {
            *to = place(division.range(part).start);
        }
        places[division.parts] = place(division.total);
        let used = &places[..=division.parts];
        assert!(used.is_sorted() && used[division.parts] <= slice.len(), "places out of order");
        let data = slice.as_mut_ptr();
        Bands { data, places, division, taken: Taken::none(), life: PhantomData }
    }

    /// The part of this number, counted from 0.
    ///
    /// # Panics
    /// There is no such part, or it was taken before.
    #[expect(clippy::mut_from_ref, reason = "no part is given twice")]
    pub fn take(&self, part: usize) -> &mut [T] {
        self.taken.take(part, self.division);
        let (start, length) = (self.places[part], self.places[part + 1] - self.places[part]);
        // SAFETY: the part lies in the borrowed slice, and was not taken before.
        unsafe { core::slice::from_raw_parts_mut(self.data.wrapping_add(start), length) }
    }
}

/// A matrix divided into parts, bands of rows or of columns, each of which one thread may take,
/// once.
#[derive(Debug)]
pub struct Parts<'a> {
    whole: MatrixMut<'a>,
    side: Side,
    division: Division,
    taken: Taken,
}

// SAFETY: through a shared reference, `take` gives every band at most once, so no two threads
// reach the same number.
unsafe impl Sync for Parts<'_> {}

impl<'a> Parts<'a> {
    fn new(whole: MatrixMut<'a>, side: Side, division: Division) -> Self {
        let length = if side == Side::Rows { whole.rows } else { whole.cols };
        assert_eq!(division.total, length, "a division made for another length");
        Parts { whole, side, division, taken: Taken::none() }
    }

    /// Divides into bands of rows.
    ///
    /// # Panics
    /// The division is of another length than the matrix has rows.
    pub fn rows(whole: MatrixMut<'a>, division: Division) -> Self {
        Self::new(whole, Side::Rows, division)
    }

    /// Divides into bands of columns.
    ///
    /// # Panics
    /// The division is of another length than the matrix has columns.
    pub fn columns(whole: MatrixMut<'a>, division: Division) -> Self {
        Self::new(whole, Side::Columns, division)
    }

    /// The part of this number, counted from 0.
    ///
    /// # Panics
    /// There is no such part, or it was taken before.
    pub fn take(&self, part: usize) -> MatrixMut<'_> {
        let range = self.taken.take(part, self.division);
        match self.side {
            Side::Rows => self.whole.unchecked_block(range, 0..self.whole.cols),
            Side::Columns => self.whole.unchecked_block(0..self.whole.rows, range),
        }
    }
}
