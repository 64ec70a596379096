//! A layer's forward pass, its units divided among the threads.

use std::ops::Range;

use sae_kernels::{Activation, Forward, Matrix, MatrixMut, Operand, Parts};

use crate::compute::{Engine, blocks_of};
use crate::network::layers::Layer;
use crate::settings::Settings;

/// A layer's parameters as they are read.
#[derive(Clone, Copy)]
pub(crate) struct LayerView<'a> {
    /// `[inputs, units]`
    pub weights: Matrix<'a>,
    /// `[units]`
    pub biases: &'a [f32],
    pub activation: Activation,
}

impl<'a> LayerView<'a> {
    /// Layer `index` of a network with these parameters.
    pub fn new(settings: &Settings, parameters: &'a [f32], index: usize, layer: Layer) -> Self {
        LayerView {
            weights: layer.matrix(parameters),
            biases: &parameters[layer.biases()],
            activation: settings.activation_of(index),
        }
    }

    /// Some of the units.
    pub fn units(self, units: Range<usize>) -> Self {
        let biases = &self.biases[units.clone()];
        LayerView { weights: self.weights.columns(units), biases, ..self }
    }
}

/// Computes a layer's activations `[samples, units]`; adds those of each unit to `sums`, which has a row
/// for each block of samples, `[blocks, units]`: see [`blocks_of`].
pub(crate) fn forward(
    engine: &mut Engine,
    input: Operand<'_>,
    layer: LayerView<'_>,
    output: MatrixMut<'_>,
    sums: MatrixMut<'_>,
) {
    let (samples, units) = output.shape();
    let division = engine.divide(units, samples * layer.weights.shape().0);
    let outputs = Parts::columns(output, division);
    let sums = Parts::columns(sums, division);
    let Engine { isa, pool, scratch, .. } = engine;
    pool.run(division.parts(), |part, thread| {
        let layer = layer.units(division.range(part));
        let (mut output, mut sums) = (outputs.take(part), sums.take(part));
        scratch.with(thread, |scratch| {
            for (block, rows) in blocks_of(&sums, samples) {
                let forward = Forward {
                    input: input.rows(rows.clone()),
                    weights: layer.weights,
                    biases: layer.biases,
                    activation: layer.activation,
                    output: output.rows_mut(rows),
                    sums: sums.row_mut(block),
                };
                forward.run(*isa, scratch);
            }
        });
    });
}
