//! The lists of samples of each unit, from the lists of units of each sample.

use crate::lists::Lists;

/// Of each unit the samples in which it is active: a sparse matrix, transposed.
///
/// ```
/// use sae_kernels::Lists;
/// use sae_kernels::sparse::Grouped;
///
/// // The first sample has units 0 and 2, the second one unit 2.
/// let codes = Lists::new(&[0, 2], &[2, 3], &[0, 2, 2], &[0.1, 0.2, 0.3]);
/// let [mut starts, mut ends, mut samples, mut places] = [[0; 3]; 4];
/// let mut grouped = Grouped {
///     starts: &mut starts,
///     ends: &mut ends,
///     samples: &mut samples,
///     places: &mut places,
/// };
/// assert_eq!(grouped.fill(codes), 3);
/// assert_eq!((starts, ends, samples), ([0, 1, 1], [1, 1, 3], [0, 0, 1]));
/// ```
#[derive(Debug)]
pub struct Grouped<'a> {
    /// `[units]`
    pub starts: &'a mut [u32],
    /// `[units]`
    pub ends: &'a mut [u32],
    /// The sample of each entry, `[entries]`.
    pub samples: &'a mut [u32],
    /// The place of each entry in the samples' lists, `[entries]`.
    pub places: &'a mut [u32],
}

impl Grouped<'_> {
    /// Groups the entries of all lists by their units: a counting sort, so that the samples of a
    /// unit are in their order. Returns how many entries there are.
    ///
    /// ```
    /// use sae_kernels::Lists;
    /// use sae_kernels::sparse::Grouped;
    ///
    /// // The first sample has units 0 and 2, the second one unit 2.
    /// let codes = Lists::new(&[0, 2], &[2, 3], &[0, 2, 2], &[0.1, 0.2, 0.3]);
    /// let [mut starts, mut ends, mut samples, mut places] = [[0; 3]; 4];
    /// let mut grouped = Grouped {
    ///     starts: &mut starts,
    ///     ends: &mut ends,
    ///     samples: &mut samples,
    ///     places: &mut places,
    /// };
    /// assert_eq!(grouped.fill(codes), 3);
    /// assert_eq!((starts, ends, samples), ([0, 1, 1], [1, 1, 3], [0, 0, 1]));
    /// ```
    ///
    /// # Panics
    /// A unit is not among these, or there are more entries than room.
    #[track_caller]
    pub fn fill(&mut self, lists: Lists<'_>) -> usize {
        let Grouped { starts, ends, samples, places } = self;
        assert_eq!(starts.len(), ends.len(), "a start and an end for each unit");
        ends.fill(0);
        for row in 0..lists.rows() {
            for &unit in lists.row(row).0 {
                assert!((unit as usize) < ends.len(), "unit {unit} of {}", ends.len());
                ends[unit as usize] += 1;
            }
        }
        let mut count = 0;
        for (start, end) in starts.iter_mut().zip(&mut **ends) {
            let entries = *end;
            (*start, *end) = (count, count);
            count += entries;
        }
        let room = samples.len().min(places.len());
        assert!(count as usize <= room, "room for {count} entries, there is for {room}");
        for row in 0..lists.rows() {
            let entries = lists.entries(row);
            for (place, &unit) in entries.zip(lists.row(row).0) {
                let end = &mut ends[unit as usize];
                samples[*end as usize] = row as u32;
                places[*end as usize] = place as u32;
                *end += 1;
            }
        }
        count as usize
    }
}
