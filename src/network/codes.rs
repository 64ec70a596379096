//! Exactly sparse codes: lists of the units that are active in each sample.

use sae_kernels::Lists;

/// How a selection among a batch's activations is made where several ranks have samples of it.
pub(crate) trait Counts {
    /// Replaces each number by its sum over the ranks.
    fn sum(&mut self, counts: &mut [f64; 256]);
    /// The sum of a number over the ranks before this one.
    fn sum_before(&mut self, own: f64) -> f64;
}

/// The codes of some samples: of each the entries from a start to an end, units rising.
#[derive(Debug)]
pub(crate) struct Codes {
    pub starts: Vec<u32>,
    pub ends: Vec<u32>,
    pub units: Vec<u32>,
    /// 0 for an entry that is only there for its threshold.
    pub activations: Vec<f32>,
}

impl Codes {
    /// Makes room for samples and entries. (Memory of entries that never come is not touched.)
    pub fn new(samples: usize, entries: usize) -> Self {
        Codes {
            starts: Vec::with_capacity(samples),
            ends: Vec::with_capacity(samples),
            units: vec![0; entries],
            activations: vec![0.0; entries],
        }
    }

    pub fn lists(&self) -> Lists<'_> {
        Lists::new(&self.starts, &self.ends, &self.units, &self.activations)
    }

    /// Room for entries.
    pub fn capacity(&self) -> usize {
        self.units.len()
    }

    /// Where the entries of a sample begin; of the one after the last, where they end.
    pub fn place(&self, sample: usize) -> usize {
        match self.starts.get(sample) {
            Some(&start) => start as usize,
            None => self.ends.last().map_or(0, |&end| end as usize),
        }
    }

    /// The largest magnitude of an activation; 0 without any.
    pub fn largest_activation(&self) -> f32 {
        let lists = self.lists();
        let of_sample =
            |sample| lists.row(sample).1.iter().fold(0.0, |max: f32, a| max.max(a.abs()));
        (0..lists.rows()).map(of_sample).fold(0.0, f32::max)
    }

    /// Makes it the codes of `samples` samples, each of which has room for `width` entries.
    pub fn begin(&mut self, samples: usize, width: usize) {
        self.starts.clear();
        self.starts.extend((0..samples).map(|sample| (sample * width) as u32));
        self.ends.clear();
        self.ends.resize(samples, 0);
    }

    /// Makes ends of the counts of entries that stand in their place.
    pub fn end_after_counts(&mut self) {
        self.ends.iter_mut().zip(&self.starts).for_each(|(end, start)| *end += start);
    }
}
