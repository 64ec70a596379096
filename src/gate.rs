//! The code layer's gate: what of its activations is kept.

use std::sync::{Mutex, PoisonError};

use sae_kernels::code::{self, Jump};
use sae_kernels::math::{self, Function};
use sae_kernels::{Activation, Matrix, MatrixMut, Parts, Penalty};

use crate::engine::{Engine, row_parts};
use crate::settings::{Code, Settings};

/// How a gate is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// On a batch that is trained on.
    Training,
    /// On samples that have nothing to do with each other.
    Trained,
}

/// The buffers of a gate for so many samples at a time.
#[derive(Debug)]
pub(crate) struct Gate {
    code: Code,
    units: usize,
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
        usage: Use,
        activations: &mut [f32],
        sums: &mut [f32],
    ) -> Option<f32> {
        let n = activations.len() / self.units;
        let mut smallest = None;
        match self.code {
            Code::Dense => return None,
            Code::TopK(k) => self.close_rows(engine, k, n, activations),
            Code::BatchTopK(k) if usage == Use::Training => {
                let keys = self.keys[0].get_mut().unwrap_or_else(PoisonError::into_inner);
                smallest = Some(code::keep_largest(activations, n * k, keys));
            }
            Code::BatchTopK(_) => {
                self.thresholds.fill(parameters[0]);
                self.jump(activations);
            }
            Code::JumpRelu { .. } => {
                self.thresholds.copy_from_slice(parameters);
                math::map(engine.isa, Function::Exp, &mut self.thresholds);
                self.jump(activations);
            }
        }
        sums.fill(0.0);
        code::add_columns(activations, sums);
        smallest
    }

    fn jump(&mut self, activations: &mut [f32]) {
        let pre = &mut self.pre[..activations.len()];
        pre.copy_from_slice(activations);
        code::jump(pre, &self.thresholds, activations);
    }

    /// Keeps the `k` largest of each sample, the samples divided among the threads.
    fn close_rows(&self, engine: &mut Engine, k: usize, n: usize, activations: &mut [f32]) {
        // Some 8 ns a unit, the time of as many as 400 multiply-adds.
        let division = engine.divide(n, 400 * self.units);
        let rows = Parts::rows(MatrixMut::new(activations, n, self.units), division);
        engine.team.run(division.parts(), |part, thread| {
            let mut keys = self.keys[thread].lock().unwrap_or_else(PoisonError::into_inner);
            let mut rows = rows.take(part);
            for row in 0..division.range(part).len() {
                code::keep_largest(rows.row_mut(row), k, &mut keys);
            }
        });
    }

    /// Makes the code layer's delta of the gradient of its activations, in place, `[n, units]`; its
    /// column sums are added to `bias_gradient`. JumpReLU's thresholds get theirs, `factor` being
    /// what penalties, means over `batch` samples, are multiplied by.
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &mut self,
        engine: &mut Engine,
        factor: f64,
        batch: usize,
        activation: Activation,
        activations: &[f32],
        penalty: Penalty<'_>,
        delta: &mut [f32],
        bias_gradient: &mut [f32],
    ) {
        let (n, units) = (activations.len() / self.units, self.units);
        if let Code::JumpRelu { l0, bandwidth } = self.code {
            let l0 = (factor * l0 / batch as f64) as f32;
            let jump = Jump { bandwidth: bandwidth as f32, l0 };
            let (thresholds, gradient) = (&self.thresholds, &mut self.threshold_gradient);
            code::threshold_gradient(jump, &self.pre, delta, thresholds, gradient);
        }
        let division = engine.divide(units, 8 * n);
        let deltas = Parts::columns(MatrixMut::new(delta, n, units), division);
        let bias_gradient = row_parts(bias_gradient, division);
        let activations = Matrix::new(activations, n, units);
        let isa = engine.isa;
        engine.team.run(division.parts(), |part, _| {
            let range = division.range(part);
            let of_units = penalty.units.map(|units| &units[range.clone()]);
            code::open_delta(
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
