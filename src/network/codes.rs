//! The code layer's gate: what of its activations is kept.

use std::sync::{Mutex, PoisonError};

use sae_kernels::math::{self, Function};
use sae_kernels::sparse::{self, Jump};
use sae_kernels::{Activation, Matrix, MatrixMut, Parts, Penalty};

use crate::compute::{Engine, row_parts};
use crate::ranks::Ranks;
use crate::settings::{Code, Settings};

/// How a gate is used.
#[derive(Debug)]
pub(crate) enum Use<'a> {
    /// On a batch that is trained on, of which each rank has a part where there are some.
    Training(Option<&'a mut dyn Ranks>),
    /// On samples that have nothing to do with each other.
    Trained,
}

/// The buffers of a gate for so many samples at a time.
#[derive(Debug)]
pub(crate) struct Gate {
    code: Code,
    units: usize,
    /// Samples of a batch, of which a rank has a part.
    batch: usize,
    /// JumpReLU: activations before the jump, `[n, units]`.
    pre: Vec<f32>,
    /// JumpReLU, and batch-top-k when trained: of each unit.
    thresholds: Vec<f32>,
    /// Of the logarithms of JumpReLU's thresholds.
    pub threshold_gradient: Vec<f32>,
    /// What the largest activations are chosen by: of each thread, or of the batch.
    keys: Vec<Mutex<Vec<u64>>>,
}

impl Gate {
    pub fn new(settings: &Settings, samples: usize, threads: usize) -> Self {
        let (code, units) = (settings.code, settings.code_units());
        let (mut pre, mut thresholds, mut gradient) = (0, 0, 0);
        let (mut lists, mut keys) = (0, 0);
        match code {
            Code::Dense => {}
            Code::TopK(_) => (lists, keys) = (threads, units),
            Code::BatchTopK(_) => (thresholds, pre, lists, keys) = (units, samples, 1, samples),
            Code::JumpRelu { .. } => (thresholds, pre, gradient) = (units, samples, units),
        }
        Gate {
            code,
            units,
            batch: settings.batch,
            pre: vec![0.0; pre * units],
            thresholds: vec![0.0; thresholds],
            threshold_gradient: vec![0.0; gradient],
            keys: (0..lists).map(|_| Mutex::new(vec![0; keys * units.max(1)])).collect(),
        }
    }

    /// Closes the code layer's activations `[n, units]`, `parameters` being those of the gate, and
    /// takes the sums of each unit again. Returns the smallest that batch-top-k kept.
    pub fn close(
        &mut self,
        engine: &mut Engine,
        parameters: &[f32],
        usage: Use<'_>,
        activations: &mut [f32],
        sums: &mut [f32],
    ) -> Option<f32> {
        let n = activations.len() / self.units;
        let mut smallest = None;
        match (self.code, usage) {
            (Code::Dense, _) => return None,
            (Code::TopK(k), _) => self.close_rows(engine, k, n, activations),
            (Code::BatchTopK(k), Use::Training(None)) => {
                let keys = self.keys[0].get_mut().unwrap_or_else(PoisonError::into_inner);
                smallest = Some(sparse::keep_largest(activations, n * k, keys));
            }
            (Code::BatchTopK(k), Use::Training(Some(ranks))) => {
                smallest = Some(keep_largest(ranks, self.batch * k, activations));
            }
            (Code::BatchTopK(_), Use::Trained) => {
                self.thresholds.fill(parameters[0]);
                self.jump(activations);
            }
            (Code::JumpRelu { .. }, _) => {
                self.thresholds.copy_from_slice(parameters);
                math::map(engine.isa, Function::Exp, &mut self.thresholds);
                self.jump(activations);
            }
        }
        sums.fill(0.0);
        sparse::add_columns(Matrix::new(activations, n, self.units), sums);
        smallest
    }

    fn jump(&mut self, activations: &mut [f32]) {
        let pre = &mut self.pre[..activations.len()];
        pre.copy_from_slice(activations);
        let n = activations.len() / self.units;
        let activations = MatrixMut::new(activations, n, self.units);
        sparse::jump(Matrix::new(pre, n, self.units), &self.thresholds, activations);
    }

    /// Keeps the `k` largest of each sample, the samples divided among the threads.
    fn close_rows(&self, engine: &mut Engine, k: usize, n: usize, activations: &mut [f32]) {
        // Some 8 ns a unit, the time of as many as 400 multiply-adds.
        let division = engine.divide(n, 400 * self.units);
        let rows = Parts::rows(MatrixMut::new(activations, n, self.units), division);
        engine.pool.run(division.parts(), |part, thread| {
            let mut keys = self.keys[thread].lock().unwrap_or_else(PoisonError::into_inner);
            let mut rows = rows.take(part);
            for row in 0..division.range(part).len() {
                sparse::keep_largest(rows.row_mut(row), k, &mut keys);
            }
        });
    }

    /// Makes the code layer's delta of the gradient of its activations, in place, `[n, units]`; its
    /// column sums are added to `bias_gradient`. JumpReLU's thresholds get theirs, `factor` being
    /// what penalties are multiplied by.
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &mut self,
        engine: &mut Engine,
        factor: f64,
        activation: Activation,
        activations: &[f32],
        penalty: Penalty<'_>,
        delta: &mut [f32],
        bias_gradient: &mut [f32],
    ) {
        let (n, units) = (activations.len() / self.units, self.units);
        if let Code::JumpRelu { l0, bandwidth } = self.code {
            let l0 = (factor * l0 / self.batch as f64) as f32;
            let jump = Jump { bandwidth: bandwidth as f32, l0 };
            let (thresholds, gradient) = (&self.thresholds, &mut self.threshold_gradient);
            let (pre, delta) = (Matrix::new(&self.pre, n, units), Matrix::new(delta, n, units));
            sparse::threshold_gradient(jump, pre, delta, thresholds, gradient);
        }
        let division = engine.divide(units, 8 * n);
        let deltas = Parts::columns(MatrixMut::new(delta, n, units), division);
        let bias_gradient = row_parts(bias_gradient, division);
        let activations = Matrix::new(activations, n, units);
        let isa = engine.isa;
        engine.pool.run(division.parts(), |part, _| {
            let range = division.range(part);
            let of_units = penalty.units.map(|units| &units[range.clone()]);
            sparse::open_delta(
                isa,
                activations.columns(range),
                activation,
                Penalty { units: of_units, ..penalty },
                deltas.take(part),
                bias_gradient.take(part).row_mut(0),
            );
        });
    }
}

/// [`sparse::keep_largest`] of the activations of all ranks, whose samples follow each other: keeps those
/// among them that are this rank's. Returns the smallest that is kept anywhere.
pub(crate) fn keep_largest(ranks: &mut dyn Ranks, k: usize, activations: &mut [f32]) -> f32 {
    // The place of the k-th, eight bits after eight: how many begin with the bits that are known.
    let (mut known, mut left) = (0, k as f64);
    for shift in [24, 16, 8, 0] {
        let mut counts = [0.0; 256];
        for &a in &*activations {
            let place = sparse::order_key(a);
            if u64::from(place) >> (shift + 8) == u64::from(known) >> (shift + 8) {
                counts[(place >> shift & 0xff) as usize] += 1.0;
            }
        }
        let mut all = counts;
        ranks.sum(&counts, &mut all);
        for (bits, &count) in (0..).zip(&all) {
            if left <= count {
                known |= bits << shift;
                break;
            }
            left -= count;
        }
    }
    // Of those that are equal to it, the first are kept.
    let equals = activations.iter().filter(|&&a| sparse::order_key(a) == known).count();
    left -= ranks.gather(equals as f64)[..ranks.rank()].iter().sum::<f64>();
    for a in activations {
        let place = sparse::order_key(*a);
        let kept = place < known || place == known && left > 0.0;
        if place == known {
            left -= 1.0;
        }
        if !kept {
            *a = 0.0;
        }
    }
    sparse::from_order_key(known)
}
