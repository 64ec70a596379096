//! The lists of samples of each unit, from the lists of units of each sample.

use crate::lists::Lists;

/// Of each unit the samples in which it is active: a sparse matrix, transposed.
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
    /// # Panics
    /// A unit is not among these, or there are more entries than room.
    pub fn fill(&mut self, lists: Lists<'_>) -> usize {
        let Grouped { starts, ends, samples, places } = self;
        assert_eq!(starts.len(), ends.len(), "a start and an end for each unit");
        ends.fill(0);
        for row in 0..lists.rows() {
            for &unit in lists.row(row).0 {
                ends[unit as usize] += 1;
            }
        }
        let mut count = 0;
        for (start, end) in starts.iter_mut().zip(&mut **ends) {
            let entries = *end;
            (*start, *end) = (count, count);
            count += entries;
        }
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
