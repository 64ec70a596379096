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
///
/// ```
/// use sae_kernels::Lists;
///
/// // The rows [0, 0.5, 0] and [2, 0, 3].
/// let lists = Lists::new(&[0, 1], &[1, 3], &[1, 0, 2], &[0.5, 2.0, 3.0]);
/// assert_eq!(lists.row(1), ([0, 2].as_slice(), [2.0, 3.0].as_slice()));
/// ```
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
    /// ```
    /// use sae_kernels::Lists;
    ///
    /// // The rows [0, 0.5, 0] and [2, 0, 3].
    /// let lists = Lists::new(&[0, 1], &[1, 3], &[1, 0, 2], &[0.5, 2.0, 3.0]);
    /// assert_eq!(lists.rows(), 2);
    /// ```
    ///
    /// # Panics
    /// A row's entries are not among the columns and values.
    #[track_caller]
    pub fn new(starts: &'a [u32], ends: &'a [u32], indices: &'a [u32], values: &'a [f32]) -> Self {
        assert_eq!(starts.len(), ends.len(), "a start and an end for each row");
        let entries = indices.len().min(values.len());
        let fits = |(&start, &end): (&u32, &u32)| start <= end && end as usize <= entries;
        assert!(starts.iter().zip(ends).all(fits), "a list leaves the entries");
        Lists { starts, ends, indices, values }
    }

    /// Number of rows.
    ///
    /// ```
    /// let lists = sae_kernels::Lists::new(&[0, 1], &[1, 1], &[4], &[0.5]);
    /// assert_eq!(lists.rows(), 2);
    /// ```
    pub fn rows(&self) -> usize {
        self.starts.len()
    }

    /// The columns and values of a row.
    ///
    /// ```
    /// use sae_kernels::Lists;
    ///
    /// // The rows [0, 0.5, 0] and [2, 0, 3].
    /// let lists = Lists::new(&[0, 1], &[1, 3], &[1, 0, 2], &[0.5, 2.0, 3.0]);
    /// assert_eq!(lists.row(0), ([1].as_slice(), [0.5].as_slice()));
    /// ```
    ///
    /// # Panics
    /// There is no such row.
    #[inline(always)]
    #[track_caller]
    pub fn row(&self, row: usize) -> (&'a [u32], &'a [f32]) {
        let entries = self.entries(row);
        (&self.indices[entries.clone()], &self.values[entries])
    }

    /// Places of a row's entries.
    ///
    /// ```
    /// use sae_kernels::Lists;
    ///
    /// // The rows [0, 0.5, 0] and [2, 0, 3].
    /// let lists = Lists::new(&[0, 1], &[1, 3], &[1, 0, 2], &[0.5, 2.0, 3.0]);
    /// assert_eq!(lists.entries(1), 1..3);
    /// ```
    ///
    /// # Panics
    /// There is no such row.
    #[inline(always)]
    #[track_caller]
    pub fn entries(&self, row: usize) -> Range<usize> {
        assert!(row < self.starts.len(), "row {row} of {} lists", self.starts.len());
        self.starts[row] as usize..self.ends[row] as usize
    }

    /// Whether no row has an entry.
    ///
    /// ```
    /// assert!(sae_kernels::Lists::new(&[0, 0], &[0, 0], &[], &[]).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.starts.iter().zip(self.ends).all(|(start, end)| start == end)
    }

    /// Whether more than one in 16 of the columns have an entry, on average: then a group of rows reads
    /// the same rows of a product's right side again and again.
    ///
    /// ```
    /// use sae_kernels::Lists;
    ///
    /// // The rows [0, 0.5, 0] and [2, 0, 3].
    /// let lists = Lists::new(&[0, 1], &[1, 3], &[1, 0, 2], &[0.5, 2.0, 3.0]);
    /// assert!(lists.is_long(3) && !lists.is_long(1000));
    /// ```
    pub fn is_long(&self, columns: usize) -> bool {
        // (In 64 bits: both products may leave 32.)
        let entries: u64 = (0..self.rows()).map(|row| self.entries(row).len() as u64).sum();
        entries * (GROUP_ROWS as u64 / 2) > self.rows() as u64 * columns as u64
    }

    /// Some of the rows.
    ///
    /// ```
    /// use sae_kernels::Lists;
    ///
    /// // The rows [0, 0.5, 0] and [2, 0, 3].
    /// let lists = Lists::new(&[0, 1], &[1, 3], &[1, 0, 2], &[0.5, 2.0, 3.0]);
    /// assert_eq!(lists.slice(1..2).row(0).1, [2.0, 3.0]);
    /// ```
    ///
    /// # Panics
    /// There are no such rows.
    #[track_caller]
    pub fn slice(self, rows: Range<usize>) -> Self {
        let count = self.rows();
        assert!(rows.start <= rows.end && rows.end <= count, "rows {rows:?} of {count} lists");
        Lists { starts: &self.starts[rows.clone()], ends: &self.ends[rows], ..self }
    }

    /// Panics unless a slice of this length, which begins at the first row's first entry, has a number for each
    /// entry.
    #[track_caller]
    pub(crate) fn check_gradients(&self, length: usize) {
        let Some(&first) = self.starts.first() else { return };
        let is_there =
            |(&start, &end): (&u32, &u32)| start >= first && (end - first) as usize <= length;
        let fits = self.starts.iter().zip(self.ends).all(is_there);
        assert!(
            fits,
            "a gradient for each entry, from the first row's first on: there are {length}"
        );
    }

    /// As many rows, without entries.
    pub(crate) fn without_entries(self) -> Self {
        Lists { ends: self.starts, ..self }
    }

    /// The same rows with other values, such as gradients.
    ///
    /// ```
    /// use sae_kernels::Lists;
    ///
    /// // The rows [0, 0.5, 0] and [2, 0, 3].
    /// let lists = Lists::new(&[0, 1], &[1, 3], &[1, 0, 2], &[0.5, 2.0, 3.0]);
    /// assert_eq!(lists.with_values(&[7.0, 8.0, 9.0]).row(1).1, [8.0, 9.0]);
    /// ```
    ///
    /// # Panics
    /// There is another number of values.
    #[track_caller]
    pub fn with_values(self, values: &'a [f32]) -> Self {
        assert_eq!(values.len(), self.values.len(), "a value for each entry");
        Lists { values, ..self }
    }
}

/// Where [`Encode`](crate::sparse::Encode) writes lists: row `i` has room for `width` entries from
/// `i * width` on.
///
/// ```
/// use sae_kernels::ListsMut;
///
/// let (mut counts, mut indices, mut values) = ([0; 2], [0; 6], [0.0; 6]);
/// let lists = ListsMut { counts: &mut counts, indices: &mut indices, values: &mut values };
/// // Two rows, each with room for three entries.
/// assert_eq!(lists.values.len() / lists.counts.len(), 3);
/// ```
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
    #[track_caller]
    pub(crate) fn check(&self, rows: usize, width: usize) {
        assert_eq!(self.counts.len(), rows, "a count for each row");
        let room = rows.checked_mul(width);
        assert_eq!(Some(self.indices.len()), room, "room for {width} indices a row");
        assert_eq!(Some(self.values.len()), room, "room for {width} values a row");
    }
}
