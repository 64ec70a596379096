//! The division of a matrix or a slice into parts, which threads may write at once.

use core::marker::PhantomData;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::MatrixMut;

/// The maximum number of parts of a [`Division`]: [`Parts`] keeps a bit for each.
pub const MAX_PARTS: usize = 256;

/// `total` rows or columns in at most `parts` ranges, each but the last a multiple of `unit`,
/// as equal as that allows.
///
/// ```
/// use sae_kernels::Division;
///
/// let division = Division::new(20, 8, 4);
/// assert_eq!(division.parts(), 3);
/// assert_eq!((division.range(0), division.range(2)), (0..8, 16..20));
/// ```
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
    /// ```
    /// assert_eq!(sae_kernels::Division::new(784, 16, 2).range(1), 384..784);
    /// ```
    ///
    /// # Panics
    /// `unit` is 0.
    #[track_caller]
    pub fn new(total: usize, unit: usize, parts: usize) -> Self {
        assert!(unit > 0, "a division by units of 0");
        let units = total.div_ceil(unit);
        Division { total, unit, parts: parts.min(units).clamp(1, MAX_PARTS) }
    }

    /// How many ranges there are: at least one.
    ///
    /// ```
    /// assert_eq!(sae_kernels::Division::new(3, 1, 8).parts(), 3);
    /// ```
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// The range of a part, counted from 0.
    ///
    /// ```
    /// assert_eq!(sae_kernels::Division::new(10, 1, 2).range(1), 5..10);
    /// ```
    pub fn range(&self, part: usize) -> Range<usize> {
        let units = self.total.div_ceil(self.unit) as u64;
        // (In 64 bits: with 256 parts a long side leaves 32.)
        let first = |part: usize| (units * part as u64 / self.parts as u64) as usize;
        let start = |part: usize| first(part).saturating_mul(self.unit).min(self.total);
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
    #[track_caller]
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
///
/// ```
/// use sae_kernels::{Bands, Division};
///
/// let mut sums = [0; 6];
/// let bands = Bands::new(&mut sums, 2, Division::new(3, 1, 3));
/// std::thread::scope(|scope| {
///     for part in 0..3 {
///         let bands = &bands;
///         scope.spawn(move || bands.take(part).fill(part));
///     }
/// });
/// assert_eq!(sums, [0, 0, 1, 1, 2, 2]);
/// ```
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
    /// ```
    /// use sae_kernels::{Bands, Division};
    ///
    /// let mut numbers = [1, 2, 3, 4];
    /// let bands = Bands::new(&mut numbers, 2, Division::new(2, 1, 2));
    /// assert_eq!(bands.take(1), [3, 4]);
    /// ```
    ///
    /// # Panics
    /// The slice has another length.
    #[track_caller]
    pub fn new(slice: &'a mut [T], width: usize, division: Division) -> Self {
        let length = division.total.checked_mul(width);
        assert_eq!(Some(slice.len()), length, "{width} elements for each row");
        Self::ragged(slice, division, |row| row * width)
    }

    /// Divides a slice in which the elements of a row begin at `place(row)`, those of the last one
    /// end at `place(rows)`.
    ///
    /// ```
    /// use sae_kernels::{Bands, Division};
    ///
    /// // Rows of 1, 2 and 3 elements.
    /// let mut numbers = [1, 2, 2, 3, 3, 3];
    /// let bands = Bands::ragged(&mut numbers, Division::new(3, 1, 3), |row| row * (row + 1) / 2);
    /// assert_eq!(bands.take(1), [2, 2]);
    /// ```
    ///
    /// # Panics
    /// The places fall, or leave the slice.
    #[track_caller]
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
    /// ```
    /// use sae_kernels::{Bands, Division};
    ///
    /// let mut numbers = [0; 4];
    /// Bands::new(&mut numbers, 1, Division::new(4, 1, 2)).take(0).fill(1);
    /// assert_eq!(numbers, [1, 1, 0, 0]);
    /// ```
    ///
    /// # Panics
    /// There is no such part, or it was taken before.
    #[track_caller]
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
///
/// ```
/// use sae_kernels::{Division, MatrixMut, Parts};
///
/// let mut numbers = [0.0; 4];
/// let parts = Parts::rows(MatrixMut::new(&mut numbers, 2, 2), Division::new(2, 1, 2));
/// std::thread::scope(|scope| {
///     for part in 0..2 {
///         let parts = &parts;
///         scope.spawn(move || parts.take(part).row_mut(0).fill(part as f32));
///     }
/// });
/// assert_eq!(numbers, [0.0, 0.0, 1.0, 1.0]);
/// ```
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
    #[track_caller]
    fn new(whole: MatrixMut<'a>, side: Side, division: Division) -> Self {
        let length = if side == Side::Rows { whole.rows } else { whole.cols };
        assert_eq!(division.total, length, "a division made for another length");
        Parts { whole, side, division, taken: Taken::none() }
    }

    /// Divides into bands of rows.
    ///
    /// ```
    /// use sae_kernels::{Division, MatrixMut, Parts};
    ///
    /// let mut numbers = [0.0; 6];
    /// let parts = Parts::rows(MatrixMut::new(&mut numbers, 3, 2), Division::new(3, 1, 3));
    /// assert_eq!(parts.take(2).shape(), (1, 2));
    /// ```
    ///
    /// # Panics
    /// The division is of another length than the matrix has rows.
    #[track_caller]
    pub fn rows(whole: MatrixMut<'a>, division: Division) -> Self {
        Self::new(whole, Side::Rows, division)
    }

    /// Divides into bands of columns.
    ///
    /// ```
    /// use sae_kernels::{Division, MatrixMut, Parts};
    ///
    /// let mut numbers = [0.0; 6];
    /// let parts = Parts::columns(MatrixMut::new(&mut numbers, 3, 2), Division::new(2, 1, 2));
    /// assert_eq!(parts.take(1).shape(), (3, 1));
    /// ```
    ///
    /// # Panics
    /// The division is of another length than the matrix has columns.
    #[track_caller]
    pub fn columns(whole: MatrixMut<'a>, division: Division) -> Self {
        Self::new(whole, Side::Columns, division)
    }

    /// The part of this number, counted from 0.
    ///
    /// ```
    /// use sae_kernels::{Division, MatrixMut, Parts};
    ///
    /// let mut numbers = [0.0; 4];
    /// let parts = Parts::rows(MatrixMut::new(&mut numbers, 2, 2), Division::new(2, 1, 2));
    /// parts.take(1).row_mut(0).fill(1.0);
    /// assert_eq!(numbers, [0.0, 0.0, 1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// There is no such part, or it was taken before.
    #[track_caller]
    pub fn take(&self, part: usize) -> MatrixMut<'_> {
        let range = self.taken.take(part, self.division);
        match self.side {
            Side::Rows => self.whole.unchecked_block(range, 0..self.whole.cols),
            Side::Columns => self.whole.unchecked_block(0..self.whole.rows, range),
        }
    }
}
