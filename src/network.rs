//! The parameters: one flat buffer, with a view of each layer.

use std::ops::Range;

use rand_pcg::rand_core::Rng;
use sae_kernels::Isa;
use sae_kernels::math::{self, Function};

use crate::batches::{Stream, generator};
use crate::settings::Settings;

/// Where a layer's parameters are in the flat buffer: the weights `[inputs, outputs]`, row-major,
/// then the biases `[outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Units before.
    pub inputs: usize,
    /// Units.
    pub outputs: usize,
    /// Place of the first weight.
    pub start: usize,
}

impl Layer {
    /// Places of the weights.
    pub fn weights(&self) -> Range<usize> {
        self.start..self.start + self.inputs * self.outputs
    }

    /// Places of the biases.
    pub fn biases(&self) -> Range<usize> {
        let start = self.weights().end;
        start..start + self.outputs
    }

    /// This layer's weights and biases, out of the flat buffer.
    pub(crate) fn split_mut<'a>(&self, flat: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32]) {
        flat[self.start..self.biases().end].split_at_mut(self.inputs * self.outputs)
    }
}

/// The layers of these sizes, in their order in the flat buffer.
pub fn layout(sizes: &[usize]) -> Vec<Layer> {
    let mut start = 0;
    let layer = |pair: &[usize]| {
        let layer = Layer { inputs: pair[0], outputs: pair[1], start };
        start = layer.biases().end;
        layer
    };
    sizes.windows(2).map(layer).collect()
}

/// First weights: truncated normal (standard deviation 0.1, cut at two of them), biases 0.1, as
/// in the seed article.
///
/// A normal number cut at two is a uniform x in [-2, 2], kept with probability e^(-x^2 / 2):
/// only our own exp is needed, so the bits are the same everywhere.
pub(crate) fn initial_parameters(settings: &Settings) -> Vec<f32> {
    let layers = layout(&settings.layers);
    let mut parameters = vec![0.1; layers.last().map_or(0, |layer| layer.biases().end)];
    // The scalar set, on any machine, portable ones included.
    let isa = Isa::forced("scalar").unwrap_or_else(|_| Isa::detect());
    let mut generator = generator(settings.seed, Stream::Weights, 0);
    // 24 bits make every number of [0, 1) that is a multiple of 2^-24.
    let mut uniform = || (generator.next_u32() >> 8) as f32 / 16_777_216.0;
    for layer in &layers {
        for weight in &mut parameters[layer.weights()] {
            *weight = loop {
                let x = 4.0 * uniform() - 2.0;
                let mut density = [-0.5 * x * x];
                math::map(isa, Function::Exp, &mut density);
                if uniform() < density[0] {
                    break 0.1 * x;
                }
            };
        }
    }
    parameters
}
