//! A batch's sparse code unit by unit: of each unit the samples in which it is active.

use sae_kernels::sparse::Grouped;
use sae_kernels::{Bands, Division, Lists};

use crate::compute::{Engine, sum_by_blocks};
use crate::network::codes::Codes;

/// The entries of a batch's codes, grouped by units; those of a unit in the order of the samples.
#[derive(Debug)]
pub(crate) struct Units {
    starts: Vec<u32>,
    ends: Vec<u32>,
    samples: Vec<u32>,
    /// The place of each entry in the codes.
    places: Vec<u32>,
    activations: Vec<f32>,
    deltas: Vec<f32>,
    /// How many entries there are.
    count: usize,
}

impl Units {
    /// For a number of units and entries.
    pub fn new(units: usize, entries: usize) -> Self {
        Units {
            starts: vec![0; units],
            ends: vec![0; units],
            samples: vec![0; entries],
            places: vec![0; entries],
            activations: vec![0.0; entries],
            deltas: vec![0.0; entries],
            count: 0,
        }
    }

    /// The activations of each unit.
    pub fn activations(&self) -> Lists<'_> {
        self.lists(&self.activations)
    }

    /// The deltas of each unit.
    pub fn deltas(&self) -> Lists<'_> {
        self.lists(&self.deltas)
    }

    fn lists<'a>(&'a self, values: &'a [f32]) -> Lists<'a> {
        let count = self.count;
        Lists::new(&self.starts, &self.ends, &self.samples[..count], &values[..count])
    }

    /// The activations of all entries.
    pub fn all_activations(&self) -> &[f32] {
        &self.activations[..self.count]
    }

    /// Groups the entries of a batch's codes; sums up each unit's activations.
    pub fn group(&mut self, engine: &mut Engine, codes: &Codes, sums: &mut [f32]) {
        let Units { starts, ends, samples, places, count, .. } = self;
        *count = Grouped { starts, ends, samples, places }.fill(codes.lists());
        let mut activations = std::mem::take(&mut self.activations);
        self.gather(engine, &codes.activations, &mut activations, sums);
        self.activations = activations;
    }

    /// Groups the deltas of all entries, which stand in the order of the codes; sums up each unit's.
    pub fn take_deltas(&mut self, engine: &mut Engine, deltas: &[f32], sums: &mut [f32]) {
        let mut own = std::mem::take(&mut self.deltas);
        self.gather(engine, deltas, &mut own, sums);
        self.deltas = own;
    }

    /// Takes each entry's number, and each unit's sum of them; units divided among the threads.
    fn gather(&self, engine: &mut Engine, from: &[f32], to: &mut [f32], sums: &mut [f32]) {
        let division = self.divide(engine);
        let to = Bands::ragged(to, division, |unit| self.place(unit));
        let sums = Bands::new(sums, 1, division);
        engine.pool.run(division.parts(), |part, _| {
            let units = division.range(part);
            let (to, sums) = (to.take(part), sums.take(part));
            let first = self.place(units.start);
            for (unit, sum) in units.zip(sums) {
                let entries = self.starts[unit] as usize..self.ends[unit] as usize;
                let numbers = &mut to[entries.start - first..entries.end - first];
                for (number, &place) in numbers.iter_mut().zip(&self.places[entries.clone()]) {
                    *number = from[place as usize];
                }
                *sum = sum_by_blocks(&self.samples[entries], numbers.iter().copied());
            }
        });
    }

    /// Of each unit, the sum of what `f` makes of a unit and the place of one of its entries; units
    /// divided among the threads.
    pub fn sums(
        &self,
        engine: &mut Engine,
        sums: &mut [f32],
        f: impl Fn(usize, usize) -> f32 + Sync,
    ) {
        let division = self.divide(engine);
        let sums = Bands::new(sums, 1, division);
        engine.pool.run(division.parts(), |part, _| {
            for (unit, sum) in division.range(part).zip(sums.take(part)) {
                let entries = self.starts[unit] as usize..self.ends[unit] as usize;
                let numbers = self.places[entries.clone()].iter().map(|&at| f(unit, at as usize));
                *sum = sum_by_blocks(&self.samples[entries], numbers);
            }
        });
    }

    fn divide(&self, engine: &Engine) -> Division {
        // Some 3 ns an entry and a unit.
        let work = 100 * (self.count + self.starts.len()) / self.starts.len();
        engine.divide(self.starts.len(), work)
    }

    /// Where the entries of a unit begin; of the one after the last, where they end.
    fn place(&self, unit: usize) -> usize {
        self.starts.get(unit).map_or(self.count, |&start| start as usize)
    }
}
