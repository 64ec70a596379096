//! The dead units of a sparse code in a training step, and what an auxiliary loss trains them on.
//!
//! A unit is dead if it has not been active for some number of samples. Of each sample the dead units of
//! largest pre-activation are listed, as an encoder lists active ones, by a product over the rows of dead
//! units alone.

use std::ops::Range;

use sae_kernels::sparse::{Candidates, Encode};
use sae_kernels::{Bands, ListsMut, Matrix, MatrixMut, Parts};

use crate::compute::Engine;
use crate::network::codes::Codes;
use crate::network::forward::LayerView;
use crate::network::gate::ListsParts;
use crate::settings::{Auxiliary, Settings};

/// Samples that a unit's count goes to at most.
pub(crate) const MAX_INACTIVE: u32 = 2_000_000_000;
/// Dead units whose weights are looked at at a time.
const ROWS: usize = 256;

/// The dead units of a step, and memory for the auxiliary loss.
#[derive(Debug)]
pub(crate) struct DeadUnits {
    /// Samples without being active after which a unit is dead.
    pub after: u64,
    /// Those of this step, rising; none without an auxiliary loss.
    pub units: Vec<u32>,
    /// Units of a sample at most; 0 without an auxiliary loss.
    most: usize,
    /// Weights of some dead units, `[rows, inputs]`, and their biases.
    rows: Vec<f32>,
    biases: Vec<f32>,
    keys: Vec<u64>,
    floors: Vec<f32>,
    /// Of each sample the dead units of largest pre-activation.
    pub codes: Codes,
    /// The gradient of each of them.
    pub gradient: Vec<f32>,
    /// What the reconstruction leaves over, `[n, features]`.
    pub residual: Vec<f32>,
    /// Losses and the sums of the delta, of every feature.
    pub sums: [Vec<f32>; 2],
    /// Of every feature: the biases that the auxiliary reconstruction has.
    pub zeros: Vec<f32>,
    pub largest: Largest,
}

/// Bounds on what the auxiliary loss adds to gradients; 0 where it adds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Largest {
    /// Of the output's delta.
    pub delta: f64,
    /// Of the activations of dead units.
    pub activation: f32,
    /// Of the gradient of a pre-activation.
    pub code_gradient: f64,
}

impl DeadUnits {
    /// For a rank's `samples` of each batch.
    pub fn new(settings: &Settings, samples: usize) -> Self {
        let most = settings.auxiliary_units();
        let rows = if most > 0 { ROWS.min(settings.code_units()) } else { 0 };
        let width = Candidates::width(most, settings.code_units());
        let features = match settings.auxiliary {
            Auxiliary::AuxK { .. } => settings.layers[settings.layers.len() - 1],
            _ => 0,
        };
        let samples = if most > 0 { samples } else { 0 };
        DeadUnits {
            after: u64::MAX,
            units: Vec::with_capacity(if most > 0 { settings.code_units() } else { 0 }),
            most,
            rows: vec![0.0; rows * settings.layers[settings.encoder_layers() - 1]],
            biases: vec![0.0; rows],
            keys: vec![0; samples * width],
            floors: vec![0.0; samples],
            codes: Codes::new(samples, samples * most),
            gradient: vec![0.0; samples * most],
            residual: vec![0.0; samples * features],
            sums: [vec![0.0; features], vec![0.0; features]],
            zeros: vec![0.0; features],
            largest: Largest::default(),
        }
    }

    /// Whether there is a loss for them in this step.
    pub fn is_trained(&self) -> bool {
        !self.units.is_empty()
    }

    /// Which share of the auxiliary loss counts: less than all if there are fewer than a sample trains.
    pub fn share(&self) -> f64 {
        (self.units.len() as f64 / self.most as f64).min(1.0)
    }

    /// Finds the dead units, if a loss trains them, from the samples since each was active.
    pub fn find(&mut self, inactive: &[u32]) {
        self.units.clear();
        self.largest = Largest::default();
        if self.most > 0 {
            let all = (0..).zip(inactive).filter(|&(_, &samples)| u64::from(samples) >= self.after);
            self.units.extend(all.map(|(unit, _)| unit));
        }
    }

    /// Lists of each sample the dead units of largest activation, of a layer whose weights are stored unit
    /// by unit; samples divided among the threads.
    pub fn list(&mut self, engine: &mut Engine, input: Matrix<'_>, layer: LayerView<'_>) {
        let (n, inputs) = input.shape();
        let k = self.most.min(self.units.len());
        let width = Candidates::width(k, self.units.len());
        self.codes.begin(n, k);
        let whole = Encode {
            input,
            weights: layer.weights.transposed(),
            biases: layer.biases,
            activation: layer.activation,
        };
        for start in (0..self.units.len()).step_by(ROWS) {
            let some = start..self.units.len().min(start + ROWS);
            self.gather(engine, whole, some.clone());
            let DeadUnits { rows, biases, keys, floors, codes, .. } = self;
            let division = engine.divide(n, some.len() * inputs);
            let keys = Bands::new(&mut keys[..n * width], width, division);
            let floors = Bands::new(&mut floors[..n], 1, division);
            let counts = Bands::new(&mut codes.ends, 1, division);
            let weights = Matrix::new(&rows[..some.len() * inputs], some.len(), inputs);
            let biases = &biases[..some.len()];
            let Engine { isa, pool, scratch, .. } = engine;
            pool.run(division.parts(), |part, thread| {
                let input = input.rows(division.range(part));
                let encode = Encode { input, weights, biases, ..whole };
                let mut candidates =
                    Candidates { keys: keys.take(part), floors: floors.take(part) };
                let counts = counts.take(part);
                if start == 0 {
                    candidates.begin(layer.activation, counts);
                }
                scratch.with(thread, |scratch| {
                    encode.add_largest(*isa, k, start, candidates, counts, scratch);
                });
            });
        }
        self.finish(engine, (n, k, width));
    }

    /// Copies weights and biases of some dead units; divided among the threads.
    fn gather(&mut self, engine: &mut Engine, layer: Encode<'_>, some: Range<usize>) {
        let (count, inputs) = (some.len(), layer.weights.shape().1);
        let units = &self.units[some];
        for (bias, &unit) in self.biases.iter_mut().zip(units) {
            *bias = layer.biases[unit as usize];
        }
        let division = engine.divide(count, 4 * inputs);
        let rows = MatrixMut::new(&mut self.rows[..count * inputs], count, inputs);
        let rows = Parts::rows(rows, division);
        engine.pool.run(division.parts(), |part, _| {
            let mut rows = rows.take(part);
            for (row, &unit) in units[division.range(part)].iter().enumerate() {
                rows.row_mut(row).copy_from_slice(layer.weights.row(unit as usize));
            }
        });
    }

    /// Makes lists of the candidates, with the units' own numbers.
    fn finish(&mut self, engine: &mut Engine, (n, k, width): (usize, usize, usize)) {
        let DeadUnits { units, keys, floors, codes, .. } = self;
        let units = &*units;
        let division = engine.divide(n, 100 * width);
        let keys = Bands::new(&mut keys[..n * width], width, division);
        let floors = Bands::new(&mut floors[..n], 1, division);
        let lists = ListsParts::new(codes, n, k, division);
        engine.pool.run(division.parts(), |part, _| {
            let candidates = Candidates { keys: keys.take(part), floors: floors.take(part) };
            let ListsMut { counts, indices, values } = lists.take(part);
            candidates.list(k, ListsMut { counts: &mut *counts, indices: &mut *indices, values });
            for (row, &mut count) in indices.chunks_mut(k).zip(counts) {
                row[..count as usize].iter_mut().for_each(|at| *at = units[*at as usize]);
            }
        });
        codes.end_after_counts();
    }
}
