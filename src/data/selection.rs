//! Some rows of a source as a source: the two sides of a split, or any rows.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::compute::random::{Stream, below_u64, generator};
use crate::data::element::ElementType;
use crate::data::row::Row;
use crate::data::source::Source;
use crate::error::Result;

/// Some rows of a source.
#[derive(Clone, Debug)]
pub(crate) struct Selection<'a> {
    source: Arc<dyn Source + 'a>,
    rows: Which,
}

#[derive(Clone, Debug)]
enum Which {
    Range(Range<usize>),
    /// These rows, in this order.
    Only(Arc<[usize]>),
    /// All but these, which are in ascending order.
    Without(Arc<[usize]>),
}

impl<'a> Selection<'a> {
    /// These rows, in this order.
    pub fn of(source: Arc<dyn Source + 'a>, rows: Vec<usize>) -> Self {
        Selection { source, rows: Which::Only(rows.into()) }
    }

    /// The first `rows` rows, and the others.
    pub fn first(source: Arc<dyn Source + 'a>, rows: usize) -> (Self, Self) {
        let (first, rest) = (0..rows, rows..source.samples());
        let selection = |range| Selection { source: source.clone(), rows: Which::Range(range) };
        (selection(first), selection(rest))
    }

    /// All rows but `count` drawn by the seed, and these, both in the order of the source. Takes memory
    /// for those drawn alone.
    pub fn without_random(source: Arc<dyn Source + 'a>, count: usize, seed: u64) -> (Self, Self) {
        let drawn: Arc<[usize]> = draw(source.samples(), count, seed).into();
        let left = Selection { source: source.clone(), rows: Which::Without(drawn.clone()) };
        (left, Selection { source, rows: Which::Only(drawn) })
    }

    /// A row of the source.
    fn of_source(&self, row: usize) -> usize {
        match &self.rows {
            Which::Range(range) => {
                assert!(row < range.len(), "row {row} of {}", range.len());
                range.start + row
            }
            Which::Only(rows) => rows[row],
            Which::Without(rows) => {
                // Before it are as many of the others as have fewer rows than `row` before them.
                let (mut low, mut high) = (0, rows.len());
                while low < high {
                    let middle = low.midpoint(high);
                    match rows[middle] - middle <= row {
                        true => low = middle + 1,
                        false => high = middle,
                    }
                }
                row + low
            }
        }
    }
}

/// `count` different numbers below `bound`, in ascending order (Floyd's algorithm: Bentley, *Programming
/// Pearls*, 1987).
fn draw(bound: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut generator = generator(seed, Stream::Holdout, 0);
    let mut drawn = HashSet::with_capacity(count);
    for last in bound - count..bound {
        let number = below_u64(&mut generator, last as u64 + 1) as usize;
        if !drawn.insert(number) {
            drawn.insert(last);
        }
    }
    let mut drawn: Vec<usize> = drawn.into_iter().collect();
    drawn.sort_unstable();
    drawn
}

impl Source for Selection<'_> {
    fn samples(&self) -> usize {
        match &self.rows {
            Which::Range(range) => range.len(),
            Which::Only(rows) => rows.len(),
            Which::Without(rows) => self.source.samples() - rows.len(),
        }
    }

    fn features(&self) -> usize {
        self.source.features()
    }

    fn row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> Result<Row<'a>> {
        self.source.row(self.of_source(row), memory)
    }

    fn prefetch(&self, row: usize) {
        self.source.prefetch(self.of_source(row));
    }

    fn read_ahead(&self, rows: Range<usize>) {
        match &self.rows {
            Which::Only(all) => {
                all[rows].iter().for_each(|&row| self.source.read_ahead(row..row + 1))
            }
            // Rows of the other side between them are read, too.
            _ if !rows.is_empty() => {
                let (first, last) = (self.of_source(rows.start), self.of_source(rows.end - 1));
                self.source.read_ahead(first..last + 1);
            }
            _ => {}
        }
    }

    fn expect_random(&self) {
        self.source.expect_random();
    }

    fn resident_bytes(&self) -> Option<u64> {
        self.source.resident_bytes()
    }

    fn element_type(&self) -> Option<ElementType> {
        self.source.element_type()
    }

    fn row_dims(&self) -> &[usize] {
        self.source.row_dims()
    }

    fn place(&self, row: usize) -> (PathBuf, usize) {
        self.source.place(self.of_source(row))
    }

    fn unchanged(&self) -> Result<()> {
        self.source.unchanged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::array::Array;

    fn numbers(count: usize) -> Arc<dyn Source> {
        let values: Vec<u32> = (0..count as u32).collect();
        Arc::new(Array::from_values(values, 1).unwrap())
    }

    fn rows(selection: &Selection) -> Vec<usize> {
        let number = |row| selection.row(row, &mut Vec::new()).unwrap().number(0) as usize;
        (0..selection.samples()).map(number).collect()
    }

    #[test]
    fn a_random_split_has_each_row_once() {
        for count in [2, 3, 10, 57] {
            for drawn in 1..count {
                let (left, held_out) =
                    Selection::without_random(numbers(count), drawn, drawn as u64);
                let (left, held_out) = (rows(&left), rows(&held_out));
                assert_eq!(held_out.len(), drawn);
                assert!(left.is_sorted() && held_out.is_sorted());
                let mut all = [left, held_out].concat();
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn every_row_is_drawn_equally_often() {
        let mut counts = [0; 10];
        for seed in 0..10_000 {
            draw(10, 3, seed).into_iter().for_each(|row| counts[row] += 1);
        }
        // 3000 are expected, with a deviation of 46.
        assert!(counts.iter().all(|count| (2770..3230).contains(count)), "{counts:?}");
    }

    #[test]
    fn selections_of_selections() {
        let (first, rest) = Selection::first(numbers(20), 12);
        assert_eq!(rows(&rest), (12..20).collect::<Vec<_>>());
        let (left, held_out) = Selection::without_random(Arc::new(first), 4, 1);
        let mut all = [rows(&left), rows(&held_out)].concat();
        all.sort_unstable();
        assert_eq!(all, (0..12).collect::<Vec<_>>());
        let some = Selection::of(Arc::new(rest), vec![7, 0, 0]);
        assert_eq!(rows(&some), [19, 12, 12]);
        assert_eq!(some.place(1), (PathBuf::new(), 12));
    }
}
