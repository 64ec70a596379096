//! The L2 norm of the gradient of a step's batch, where it is asked for.
//!
//! A fused step has no buffer of the whole gradient. It then computes each layer's gradient twice: some rows
//! at a time, whose squares are summed, and again in the update. The step itself stays as it is, bit for bit.

use std::mem;

use sae_kernels::{Matrix, Operand};

use crate::compute::Engine;
use crate::network::layers::Layer;
use crate::training::gradient::{dot, rows_of_piece};

/// What the next step measures, and what the last one has measured.
#[derive(Debug, Default)]
pub(crate) struct GradientNorm {
    is_asked: bool,
    /// Whether the update that is under way adds what it takes.
    adds: bool,
    /// Memory for some rows of a layer's gradient.
    rows: Vec<f32>,
    /// The sum of squares so far.
    squares: f64,
    norm: Option<f64>,
}

impl GradientNorm {
    /// Asks the next step for it; takes memory for rows of these layers, once.
    pub fn ask<'a>(&mut self, layers: impl Iterator<Item = &'a Layer>) {
        let numbers = layers.map(|layer| {
            let (rows, width) = layer.stored();
            rows.min(rows_of_piece(*layer)) * width
        });
        let max = numbers.max().unwrap_or(0);
        self.rows.resize(max.max(self.rows.len()), 0.0);
        self.is_asked = true;
    }

    pub fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// Of the last step that has measured it.
    pub fn norm(&self) -> Option<f64> {
        self.norm
    }

    /// Begins an update; `is_fused` if it takes gradients block by block.
    pub fn begin(&mut self, is_fused: bool) {
        self.squares = 0.0;
        self.adds = is_fused && self.is_asked;
    }

    /// Takes the sum of squares of a whole gradient.
    pub fn set(&mut self, squares: f64) {
        self.squares = squares;
    }

    /// Ends a step that has succeeded.
    pub fn finish(&mut self) {
        self.adds = false;
        if mem::take(&mut self.is_asked) {
            self.norm = Some(self.squares.sqrt());
        }
    }

    /// Adds a gradient, and the weight decay of these weights with it.
    pub fn add(&mut self, engine: &mut Engine, gradient: &[f32], decay: Option<(f64, &[f32])>) {
        self.squares += engine.sum(gradient.len(), |block| match decay {
            Some((lambda, weights)) => decayed(&gradient[block.clone()], lambda, &weights[block]),
            None => dot(&gradient[block.clone()], &gradient[block]),
        });
    }

    /// Adds the gradient of biases or thresholds, in an update that takes gradients block by block.
    pub fn add_numbers(&mut self, engine: &mut Engine, gradient: &[f32]) {
        if self.adds {
            self.add(engine, gradient, None);
        }
    }

    /// Adds the gradient of a layer, in an update that takes gradients block by block.
    ///
    /// Given are that of its biases, and for that of its stored weights the factors: `a`, `[rows, n]`, and
    /// `right`, `[n, width]`. The weights' decay is added.
    pub fn add_layer(
        &mut self,
        engine: &mut Engine,
        layer: Layer,
        (a, right, of_biases): (&Operand<'_>, Matrix<'_>, &[f32]),
        (lambda, weights): (f64, &[f32]),
    ) {
        if !self.adds {
            return;
        }
        self.add(engine, of_biases, None);
        let (height, width) = layer.stored();
        let mut memory = mem::take(&mut self.rows);
        for start in (0..height).step_by(rows_of_piece(layer)) {
            let rows = start..height.min(start + rows_of_piece(layer));
            let piece = &mut memory[..rows.len() * width];
            engine.multiply(a.rows(rows.clone()), right, piece, 0.0);
            let weights = &weights[rows.start * width..rows.end * width];
            self.add(engine, piece, (lambda > 0.0).then_some((lambda, weights)));
        }
        self.rows = memory;
    }
}

/// The sum of (g + lambda w)^2, in eight interleaved `f64` accumulators.
fn decayed(gradient: &[f32], lambda: f64, weights: &[f32]) -> f64 {
    let mut sums = [0.0; 8];
    let (eights, rest) = gradient.as_chunks::<8>();
    let (weights, weights_rest) = weights.as_chunks::<8>();
    let square = |g: f32, w: f32| {
        let sum = f64::from(g) + lambda * f64::from(w);
        sum * sum
    };
    for (eight, weights) in eights.iter().zip(weights) {
        let pairs = eight.iter().zip(weights);
        sums.iter_mut().zip(pairs).for_each(|(sum, (&g, &w))| *sum += square(g, w));
    }
    let rest = rest.iter().zip(weights_rest).map(|(&g, &w)| square(g, w));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}
