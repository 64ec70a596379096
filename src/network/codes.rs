//! Exactly sparse codes: which of the code layer's activations are kept, and their delta.

use std::sync::Mutex;

use sae_kernels::sparse::{self, Jump};
use sae_kernels::{Activation, Matrix, MatrixMut, Parts, Penalty};

use crate::compute::{Engine, add_blocks, blocks_of, lock, sum_blocks};
use crate::settings::{Code, Settings};

/// How a selection among a batch's activations is made where several ranks have samples of it.
pub(crate) trait Counts {
    /// Replaces each number by its sum over the ranks.
    fn sum(&mut self, counts: &mut [f64; 256]);
    /// The sum of a number over the ranks before this one.
    fn sum_before(&mut self, own: f64) -> f64;
}

/// What a code is selected for.
pub(crate) enum Selection<'a> {
    /// A training step: batch-top-k chooses among the whole batch.
    Training(&'a mut dyn Counts),
    /// Samples that have nothing to do with each other: batch-top-k uses its threshold.
    Inference,
}

/// What the code layer's delta is made of besides the gradient of its activations.
pub(crate) struct CodeLayer<'a> {
    /// `[samples, units]`
    pub activations: &'a [f32],
    pub activation: Activation,
    pub penalty: Penalty<'a>,
    /// Weight of a JumpReLU's L0 by the samples, the controller's factor included.
    pub l0_weight: f32,
}

/// The buffers of an exactly sparse code, for a number of samples at a time.
#[derive(Debug)]
pub(crate) struct Gate {
    code: Code,
    units: usize,
    /// Samples of a batch, of which a rank has a part.
    batch: usize,
    /// JumpReLU, and batch-top-k in inference: activations before the jump, `[samples, units]`.
    pre: Vec<f32>,
    /// JumpReLU, and batch-top-k in inference: of each unit.
    thresholds: Vec<f32>,
    /// What JumpReLU's parameters are multiplied by to give thresholds.
    scale: f32,
    /// Of JumpReLU's thresholds, as parameters.
    pub threshold_gradient: Vec<f32>,
    /// Top-k: memory of a selection, for each thread.
    keys: Vec<Mutex<Vec<u64>>>,
    /// Sums over blocks of samples, before they are added.
    partial: Vec<f32>,
    /// Batch-top-k: the histogram of each thread's samples.
    counts: Vec<Mutex<[u32; 256]>>,
}

impl Gate {
    /// For `samples` samples at a time.
    pub fn new(settings: &Settings, samples: usize, threads: usize) -> Self {
        let (code, units) = (settings.code, settings.code_units());
        let (jumps, learned) = match code {
            Code::Dense | Code::TopK(_) => (false, false),
            Code::BatchTopK(_) => (true, false),
            Code::JumpRelu { .. } => (true, true),
        };
        let zeros = |needed: bool, len: usize| vec![0.0; if needed { len } else { 0 }];
        let keys = if let Code::TopK(_) = code { threads } else { 0 };
        let counts = if let Code::BatchTopK(_) = code { threads } else { 0 };
        Gate {
            code,
            units,
            batch: settings.batch,
            pre: zeros(jumps, samples * units),
            thresholds: zeros(jumps, units),
            scale: 1.0,
            threshold_gradient: zeros(learned, units),
            partial: zeros(sum_blocks(samples) > 1, sum_blocks(samples) * units),
            keys: (0..keys).map(|_| Mutex::new(vec![0; units])).collect(),
            counts: (0..counts).map(|_| Mutex::new([0; 256])).collect(),
        }
    }

    /// Sets the activations `[samples, units]` that are not kept to 0 and takes the sums of each unit
    /// again; `parameters` are those behind the layers. Returns the smallest activation that
    /// batch-top-k kept in a training step.
    pub fn select(
        &mut self,
        engine: &mut Engine,
        parameters: &[f32],
        selection: Selection<'_>,
        activations: &mut [f32],
        sums: &mut [f32],
    ) -> Option<f32> {
        let mut smallest = None;
        match (self.code, selection) {
            (Code::Dense, _) => return None,
            (Code::TopK(k), _) => self.keep_largest_of_rows(engine, k, activations),
            (Code::BatchTopK(k), Selection::Training(counts)) => {
                smallest = Some(self.keep_largest_of_batch(engine, k, activations, counts));
            }
            (Code::BatchTopK(_), Selection::Inference) => {
                self.thresholds.fill(parameters[0]);
                self.jump(engine, activations);
            }
            (Code::JumpRelu { .. }, _) => {
                self.scale = parameters[self.units];
                let thresholds = self.thresholds.iter_mut().zip(parameters);
                thresholds.for_each(|(threshold, &multiple)| *threshold = multiple * self.scale);
                self.jump(engine, activations);
            }
        }
        add_columns(engine, &mut self.partial, activations, sums);
        smallest
    }

    /// Takes part in the selections of a step in which this rank has failed and has no activations.
    pub fn select_nothing(&mut self, engine: &mut Engine, counts: &mut dyn Counts) {
        if let Code::BatchTopK(k) = self.code {
            self.keep_largest_of_batch(engine, k, &mut [], counts);
        }
    }

    /// Sets activations that are not above their unit's threshold to 0; samples divided among the
    /// threads.
    fn jump(&mut self, engine: &mut Engine, activations: &mut [f32]) {
        let (n, units) = (activations.len() / self.units, self.units);
        let division = engine.divide(n, 2 * units);
        let pre = Parts::rows(MatrixMut::new(&mut self.pre[..n * units], n, units), division);
        let activations = Parts::rows(MatrixMut::new(activations, n, units), division);
        let thresholds = &self.thresholds;
        engine.pool.run(division.parts(), |part, _| {
            let (mut pre, mut activations) = (pre.take(part), activations.take(part));
            for row in 0..pre.shape().0 {
                pre.row_mut(row).copy_from_slice(activations.row_mut(row));
            }
            sparse::jump(pre.as_ref(), thresholds, activations);
        });
    }

    /// Keeps the `k` largest of each sample; samples divided among the threads.
    fn keep_largest_of_rows(&self, engine: &mut Engine, k: usize, activations: &mut [f32]) {
        let n = activations.len() / self.units;
        // Some 8 ns a unit, the time of 400 multiply-adds.
        let division = engine.divide(n, 400 * self.units);
        let rows = Parts::rows(MatrixMut::new(activations, n, self.units), division);
        engine.pool.run(division.parts(), |part, thread| {
            let mut keys = lock(&self.keys[thread]);
            let mut rows = rows.take(part);
            for row in 0..rows.shape().0 {
                sparse::keep_largest(rows.row_mut(row), k, &mut keys);
            }
        });
    }

    /// Keeps the `batch * k` largest activations of all ranks' samples, which follow each other; of
    /// equal ones the first. Returns the smallest that is kept anywhere.
    ///
    /// A radix selection: eight bits of the order's key at a time, from the highest, each thread
    /// counts its samples' activations.
    fn keep_largest_of_batch(
        &self,
        engine: &mut Engine,
        k: usize,
        activations: &mut [f32],
        ranks: &mut dyn Counts,
    ) -> f32 {
        let n = activations.len() / self.units;
        let division = engine.divide(n, 50 * self.units);
        let (mut key, mut left) = (0, (self.batch * k) as f64);
        for shift in [24, 16, 8, 0] {
            let all = &*activations;
            engine.pool.run(division.parts(), |part, _| {
                let samples = division.range(part);
                let values = &all[samples.start * self.units..samples.end * self.units];
                let mut counts = lock(&self.counts[part]);
                counts.fill(0);
                sparse::count_keys(values, key, shift, &mut counts);
            });
            let mut counts = [0.0; 256];
            for part in &self.counts[..division.parts()] {
                counts.iter_mut().zip(&*lock(part)).for_each(|(sum, &own)| *sum += f64::from(own));
            }
            ranks.sum(&mut counts);
            for (bits, &count) in (0..).zip(&counts) {
                if left <= count {
                    key |= bits << shift;
                    break;
                }
                left -= count;
            }
        }
        // Of those equal to the threshold the first are kept: each thread's share follows from the
        // last counts.
        let equals = |part: usize| lock(&self.counts[part])[(key & 0xff) as usize] as usize;
        let own: usize = (0..division.parts()).map(equals).sum();
        let before = ranks.sum_before(own as f64);
        let to_keep = (left - before).max(0.0) as usize;
        let rows = Parts::rows(MatrixMut::new(activations, n, self.units), division);
        engine.pool.run(division.parts(), |part, _| {
            let mut rows = rows.take(part);
            let mut to_keep = to_keep.saturating_sub((0..part).map(equals).sum());
            for row in 0..rows.shape().0 {
                let kept = sparse::keep_from(rows.row_mut(row), key, to_keep);
                to_keep = to_keep.saturating_sub(kept);
            }
        });
        sparse::from_order_key(key)
    }

    /// Makes the code layer's delta of the gradient of its activations, in place, `[samples, units]`;
    /// adds its column sums to `bias_gradient` and takes the gradient of a JumpReLU's thresholds.
    /// Units divided among the threads.
    pub fn backward(
        &mut self,
        engine: &mut Engine,
        layer: CodeLayer<'_>,
        delta: &mut [f32],
        bias_gradient: &mut [f32],
    ) {
        let CodeLayer { activations, activation, penalty, l0_weight } = layer;
        let (n, units) = (activations.len() / self.units, self.units);
        let division = engine.divide(units, 8 * n);
        if let Code::JumpRelu { bandwidth, .. } = self.code {
            let scale = self.scale;
            let jump = Jump { bandwidth: bandwidth as f32 * scale, l0: l0_weight };
            let (pre, gradient) = (Matrix::new(&self.pre, n, units), Matrix::new(delta, n, units));
            let thresholds = &self.thresholds;
            add_blocks(n, &mut self.partial, &mut self.threshold_gradient, |sums| {
                let sums = Parts::columns(sums, division);
                engine.pool.run(division.parts(), |part, _| {
                    let units = division.range(part);
                    let (pre, gradient) =
                        (pre.columns(units.clone()), gradient.columns(units.clone()));
                    let mut sums = sums.take(part);
                    for (block, rows) in blocks_of(&sums, n) {
                        let (pre, gradient) = (pre.rows(rows.clone()), gradient.rows(rows));
                        let (out, thresholds) = (sums.row_mut(block), &thresholds[units.clone()]);
                        sparse::threshold_gradient(jump, pre, gradient, thresholds, out);
                    }
                });
            });
            self.threshold_gradient.iter_mut().for_each(|gradient| *gradient *= scale);
        }
        let deltas = Parts::columns(MatrixMut::new(delta, n, units), division);
        let activations = Matrix::new(activations, n, units);
        let isa = engine.isa;
        add_blocks(n, &mut self.partial, bias_gradient, |sums| {
            let sums = Parts::columns(sums, division);
            engine.pool.run(division.parts(), |part, _| {
                let range = division.range(part);
                let of_units = penalty.units.map(|units| &units[range.clone()]);
                let penalty = Penalty { units: of_units, ..penalty };
                let activations = activations.columns(range);
                let (mut deltas, mut sums) = (deltas.take(part), sums.take(part));
                for (block, rows) in blocks_of(&sums, n) {
                    sparse::open_delta(
                        isa,
                        activations.rows(rows.clone()),
                        activation,
                        penalty,
                        deltas.rows_mut(rows),
                        sums.row_mut(block),
                    );
                }
            });
        });
    }
}

/// Sums activations `[samples, units]` down the samples; units divided among the threads.
fn add_columns(engine: &mut Engine, partial: &mut [f32], activations: &[f32], sums: &mut [f32]) {
    let (n, units) = (activations.len() / sums.len(), sums.len());
    let division = engine.divide(units, n);
    let activations = Matrix::new(activations, n, units);
    add_blocks(n, partial, sums, |sums| {
        let sums = Parts::columns(sums, division);
        engine.pool.run(division.parts(), |part, _| {
            let activations = activations.columns(division.range(part));
            let mut sums = sums.take(part);
            for (block, rows) in blocks_of(&sums, n) {
                sparse::add_columns(activations.rows(rows), sums.row_mut(block));
            }
        });
    });
}
