//! A batch's sparse code unit by unit: of each unit the samples in which it is active.

use sae_kernels::sparse::Grouped;
use sae_kernels::{Bands, Division, Lists};

use crate::compute::{Engine, sum_by_blocks};
use crate::network::codes::Codes;
use crate::settings::{Auxiliary, Prefixes, Settings};

/// The entries of a batch's codes, grouped by units; those of a unit in the order of the samples.
#[derive(Debug)]
pub(crate) struct Units {
    starts: Vec<u32>,
    ends: Vec<u32>,
    /// Where the entries end that have a part in the decoder's gradient; empty where all have.
    decoder_ends: Vec<u32>,
    samples: Vec<u32>,
    /// The row of each entry in the deltas of the layer above; empty where it is that of its sample.
    rows: Vec<u32>,
    /// The place of each entry in the codes.
    places: Vec<u32>,
    activations: Vec<f32>,
    deltas: Vec<f32>,
    /// Of each dead unit where its entries of an auxiliary loss begin, and where the next one goes; empty
    /// without such a loss.
    added: Vec<[u32; 2]>,
    /// How many entries of the codes there are.
    count: usize,
    /// Where all entries end, those of an auxiliary loss behind those of the codes.
    end: usize,
}

/// Entries that an auxiliary loss adds to dead units.
pub(crate) struct Added<'a> {
    /// The dead units, rising.
    pub dead: &'a [u32],
    /// Of each sample some of the dead units, and their activations.
    pub codes: &'a Codes,
    /// Of each entry.
    pub deltas: &'a [f32],
    /// The row of the first sample in the deltas of the layer above; `None` if the decoder has no part in it.
    pub first_row: Option<usize>,
}

impl Units {
    /// For the codes of a batch, with room for `added` entries of an auxiliary loss.
    pub fn new(settings: &Settings, entries: usize, added: usize) -> Self {
        let units = settings.code_units();
        let has_rows = settings.prefixes != Prefixes::None
            || matches!(settings.auxiliary, Auxiliary::AuxK { .. });
        let is_apart = matches!(settings.auxiliary, Auxiliary::PreActivation { .. });
        // Behind them dead units have all of theirs.
        let all = if added > 0 { 2 * entries + added } else { entries };
        Units {
            starts: vec![0; units],
            ends: vec![0; units],
            decoder_ends: vec![0; if is_apart { units } else { 0 }],
            samples: vec![0; all],
            rows: vec![0; if has_rows { all } else { 0 }],
            places: vec![0; entries],
            activations: vec![0.0; all],
            deltas: vec![0.0; all],
            added: vec![[0; 2]; if added > 0 { units } else { 0 }],
            count: 0,
            end: 0,
        }
    }

    /// The activations of each unit, for the gradient of the decoder: their columns are rows of the deltas
    /// of the layer above.
    pub fn activations(&self) -> Lists<'_> {
        let ends = if self.decoder_ends.is_empty() { &self.ends } else { &self.decoder_ends };
        let rows = if self.rows.is_empty() { &self.samples } else { &self.rows };
        Lists::new(&self.starts, ends, &rows[..self.end], &self.activations[..self.end])
    }

    /// The deltas of each unit, for the gradient of the encoder: their columns are samples.
    pub fn deltas(&self) -> Lists<'_> {
        let samples = &self.samples[..self.end];
        Lists::new(&self.starts, &self.ends, samples, &self.deltas[..self.end])
    }

    /// The activations of all entries.
    pub fn all_activations(&self) -> &[f32] {
        &self.activations[..self.count]
    }

    /// Groups the entries of a batch's codes; sums up each unit's activations.
    /// `group_of` is the block of rows of the deltas above that a unit has.
    pub fn group(
        &mut self,
        engine: &mut Engine,
        codes: &Codes,
        sums: &mut [f32],
        group_of: impl Fn(usize) -> usize,
    ) {
        let Units { starts, ends, samples, rows, places, count, end, .. } = self;
        *count = Grouped { starts, ends, samples, places }.fill(codes.lists());
        *end = *count;
        if !self.decoder_ends.is_empty() {
            self.decoder_ends.copy_from_slice(ends);
        }
        if !rows.is_empty() {
            let n = codes.starts.len();
            for unit in 0..starts.len() {
                let first = (group_of(unit) * n) as u32;
                let entries = starts[unit] as usize..ends[unit] as usize;
                let of_unit = rows[entries.clone()].iter_mut().zip(&samples[entries]);
                of_unit.for_each(|(row, sample)| *row = first + sample);
            }
        }
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

    /// Gives dead units the entries of an auxiliary loss, behind their own; calls `take` with each unit and
    /// the sum of its deltas that are added.
    pub fn add(&mut self, added: &Added<'_>, mut take: impl FnMut(usize, f32)) {
        let Added { dead, codes, deltas, first_row } = added;
        let lists = codes.lists();
        self.make_room(dead, lists);
        for sample in 0..lists.rows() {
            let (units, activations) = lists.row(sample);
            for ((place, &unit), &a) in lists.entries(sample).zip(units).zip(activations) {
                let next = &mut self.added[unit as usize][1];
                let to = *next as usize;
                *next += 1;
                (self.samples[to], self.activations[to]) = (sample as u32, a);
                self.deltas[to] = deltas[place];
                if let Some(first) = first_row {
                    self.rows[to] = (first + sample) as u32;
                }
            }
        }
        for &unit in *dead {
            let [start, end] = self.added[unit as usize].map(|at| at as usize);
            let deltas = self.deltas[start..end].iter().copied();
            take(unit as usize, sum_by_blocks(&self.samples[start..end], deltas));
        }
    }

    /// Moves the entries of dead units behind all others, each followed by room for those of these lists.
    fn make_room(&mut self, dead: &[u32], lists: Lists<'_>) {
        self.added.fill([0; 2]);
        for sample in 0..lists.rows() {
            lists.row(sample).0.iter().for_each(|&unit| self.added[unit as usize][1] += 1);
        }
        for unit in dead.iter().map(|&unit| unit as usize) {
            let own = self.starts[unit] as usize..self.ends[unit] as usize;
            let (start, middle) = (self.end, self.end + own.len());
            self.samples.copy_within(own.clone(), start);
            self.activations.copy_within(own.clone(), start);
            self.deltas.copy_within(own.clone(), start);
            if !self.rows.is_empty() {
                self.rows.copy_within(own, start);
            }
            self.end = middle + self.added[unit][1] as usize;
            (self.starts[unit], self.ends[unit]) = (start as u32, self.end as u32);
            if !self.decoder_ends.is_empty() {
                self.decoder_ends[unit] = middle as u32;
            }
            self.added[unit] = [middle as u32; 2];
        }
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
