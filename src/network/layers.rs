//! The parameters: one flat buffer, with a view of each layer.

use std::ops::Range;

use rand_pcg::rand_core::Rng;
use sae_kernels::math::{self, Function};
use sae_kernels::{Activation, Isa};

use crate::compute::random::{Stream, generator};
use crate::settings::{Code, Initialization, Settings};

/// Places of a layer's parameters in the flat buffer: the weights `[inputs, outputs]`, row-major,
/// then the biases `[outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layer {
    /// Units of the layer before, or features.
    pub inputs: usize,
    /// Units of the layer.
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

    /// Splits this layer's weights and biases off the flat buffer.
    pub(crate) fn split_mut<'a>(&self, flat: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32]) {
        flat[self.start..self.biases().end].split_at_mut(self.inputs * self.outputs)
    }
}

/// The layers of these sizes, in their order in the flat buffer.
pub(crate) fn layout(sizes: &[usize]) -> Vec<Layer> {
    let mut start = 0;
    let layer = |pair: &[usize]| {
        let layer = Layer { inputs: pair[0], outputs: pair[1], start };
        start = layer.biases().end;
        layer
    };
    sizes.windows(2).map(layer).collect()
}

/// The end of the layers' parameters, where those of the code begin.
pub(crate) fn end(layers: &[Layer]) -> usize {
    layers.last().map_or(0, |layer| layer.biases().end)
}

/// Initial weights and biases by the settings; then the code's parameters: JumpReLU's thresholds and
/// their scale, or batch-top-k's one threshold.
///
/// A normal number cut at two deviations is a uniform x in [-2, 2], kept with probability
/// e^(-x^2 / 2): only our own exp is needed, so the bits are the same everywhere.
pub(crate) fn initial_parameters(settings: &Settings) -> Vec<f32> {
    let layers = layout(&settings.layers);
    let end = end(&layers);
    let mut parameters = vec![0.0; end + settings.gate_parameters()];
    // The scalar set, on any machine, portable ones included.
    let isa = Isa::forced("scalar").unwrap_or_else(|_| Isa::detect());
    let mut generator = generator(settings.seed, Stream::Weights, 0);
    // 24 bits make every number of [0, 1) that is a multiple of 2^-24.
    let mut uniform = || (generator.next_u32() >> 8) as f32 / 16_777_216.0;
    for (l, layer) in layers.iter().enumerate() {
        let (scale, bias) = initial_scale(settings, l, layer);
        parameters[layer.biases()].fill(bias);
        for weight in &mut parameters[layer.weights()] {
            *weight = loop {
                let x = 4.0 * uniform() - 2.0;
                let mut density = [-0.5 * x * x];
                math::map(isa, Function::Exp, &mut density);
                if uniform() < density[0] {
                    break scale * x;
                }
            };
        }
    }
    if settings.tied {
        tie(&layers, &mut parameters);
    }
    if settings.unit_norm {
        normalize_rows(&layers[settings.encoder_layers()], &mut parameters);
    }
    if let Code::JumpRelu { threshold, .. } = settings.code {
        parameters[end..].fill(threshold as f32);
        parameters[end + settings.code_units()] = 1.0;
    }
    parameters
}

/// The factor that makes a layer's weights of cut normal numbers, and the value of its biases.
fn initial_scale(settings: &Settings, l: usize, layer: &Layer) -> (f32, f32) {
    /// Standard deviation of a normal number that is cut at two deviations.
    const CUT: f64 = 0.879_625_661_034_239_8;
    let (inputs, outputs) = (layer.inputs as f64, layer.outputs as f64);
    let rectified = matches!(settings.activation_of(l), Activation::Relu | Activation::LeakyRelu);
    let variance = match settings.initialization {
        Initialization::TruncatedNormal => return (0.1, 0.1),
        Initialization::ByActivation if rectified => 2.0 / inputs,
        Initialization::He => 2.0 / inputs,
        Initialization::Xavier | Initialization::ByActivation => 2.0 / (inputs + outputs),
    };
    ((variance.sqrt() / CUT) as f32, 0.0)
}

/// Calls `f` with the places of each weight of the encoder and of its twin in the decoder: the same
/// weight of the mirrored layer, transposed.
pub(crate) fn for_each_twin(layers: &[Layer], mut f: impl FnMut(usize, usize)) {
    for (l, layer) in layers[..layers.len() / 2].iter().enumerate() {
        let twin = layers[layers.len() - 1 - l];
        for input in 0..layer.inputs {
            for unit in 0..layer.outputs {
                let here = layer.start + input * layer.outputs + unit;
                f(here, twin.start + unit * layer.inputs + input);
            }
        }
    }
}

/// Copies the encoder's weights to the decoder, each layer's to the mirrored one, transposed.
pub(crate) fn tie(layers: &[Layer], parameters: &mut [f32]) {
    for_each_twin(layers, |here, there| parameters[there] = parameters[here]);
}

/// Scales each row of a layer's weights, those from one unit before, to length 1; a row of zeros
/// stays as it is.
pub(crate) fn normalize_rows(layer: &Layer, parameters: &mut [f32]) {
    parameters[layer.weights()].chunks_mut(layer.outputs).for_each(normalize_row);
}

/// Scales a row of weights to length 1; zeros stay as they are.
pub(crate) fn normalize_row(row: &mut [f32]) {
    let length = row.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>().sqrt();
    if length > 0.0 {
        let scale = (1.0 / length) as f32;
        row.iter_mut().for_each(|w| *w *= scale);
    }
}
