//! Rows of a sparse matrix.

use core::ops::Range;

/// Rows of long lists that share a block of a product's right side.
pub(crate) const GROUP_ROWS: usize = 32;
/// Floats of such a block: 384 KiB, in the L2 cache.
pub(crate) const BLOCK_FLOATS: usize = 96 * 1024;

/// Rows of a sparse matrix: of each row the columns that are not 0, and their values.
///
/// Row `i` has the entries from `starts[i]` to `ends[i]`. Codes are such rows, one a sample, whose
/// columns are units.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'a> {
    starts: &'a [u32],
    ends: &'a [u32],
    indices: &'a [u32],
    values: &'a [f32],
}

impl<'a> Lists<'a> {
    /// Takes the places of each row's entries, and all columns and values.
    ///
    /// # Panics
    /// A row's entries are not among the columns and values.
    pub fn new(starts: &'a [u32], ends: &'a [u32], indices: &'a [u32], values: &'a [f32]) -> Self {
        assert_eq!(starts.len(), ends.len(), "a start and an end for each row");
        let entries = indices.len().min(values.len());
        let fits = |(&start, &end): (&u32, &u32)| start <= end && end as usize <= entries;
        assert!(starts.iter().zip(ends).all(fits), "a list leaves the entries");
        Lists { starts, ends, indices, values }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len()
    }

    /// The columns and values of a row.
    ///
    /// # Panics
    /// There is no such row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> (&'a [u32], &'a [f32]) {
        let entries = self.entries(row);
        (&self.indices[entries.clone()], &self.values[entries])
    }

    /// Places of a row's entries.
    ///
    /// # Panics
    /// There is no such row.
    #[inline(always)]
    pub fn entries(&self, row: usize) -> Range<usize> {
        self.starts[row] as usize..self.ends[row] as usize
    }

    /// Whether no row has an entry.
    pub fn is_empty(&self) -> bool {
        self.starts.iter().zip(self.ends).all(|(start, end)| start == end)
    }

    /// Whether more than one in 16 of the columns have an entry, on average: then a group of rows reads
    /// the same rows of a product's right side again and again.
    pub fn is_long(&self, columns: usize) -> bool {
        let entries: usize = (0..self.rows()).map(|row| self.entries(row).len()).sum();
        entries * (GROUP_ROWS / 2) > self.rows() * columns
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// There are no such rows.
    pub fn slice(self, rows: Range<usize>) -> Self {
        Lists { starts: &self.starts[rows.clone()], ends: &self.ends[rows], ..self }
    }

    /// The same rows with other values, such as gradients.
    ///
    /// # Panics
    /// There is another number of values.
    pub fn with_values(self, values: &'a [f32]) -> Self {
        assert_eq!(values.len(), self.values.len(), "a value for each entry");
        Lists { values, ..self }
    }
}

/// Where [`Encode`](crate::sparse::Encode) writes lists: row `i` has room for `width` entries from
/// `i * width` on.
#[derive(Debug)]
pub struct ListsMut<'a> {
    /// Entries of each row, `[rows]`.
    pub counts: &'a mut [u32],
    /// `[rows, width]`
    pub indices: &'a mut [u32],
    /// `[rows, width]`
    pub values: &'a mut [f32],
}

impl ListsMut<'_> {
    /// Panics unless there is room for this many rows of this width.
    pub(crate) fn check(&self, rows: usize, width: usize) {
        assert_eq!(self.counts.len(), rows, "a count for each row");
        assert_eq!(self.indices.len(), rows * width, "room for {width} indices a row");
        assert_eq!(self.values.len(), rows * width, "room for {width} values a row");
    }
}
