//! The parameters: one flat buffer, with a view of each layer.

use std::ops::Range;

use rand_pcg::rand_core::Rng;
use sae_kernels::math::{self, Function};
use sae_kernels::{Activation, Isa, Matrix};

use crate::compute::random::{Stream, generator};
use crate::settings::{Code, Initialization, Settings};

/// Places of a layer's parameters in the flat buffer: the weights, then the biases `[outputs]`.
///
/// Weights are `[inputs, outputs]`, row-major. Those of a layer whose activations are a sparse code
/// ([`Code`], all but `Dense`) are stored unit by unit, `[outputs, inputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layer {
    /// Units of the layer before, or features.
    pub inputs: usize,
    /// Units of the layer.
    pub outputs: usize,
    /// Place of the first weight.
    pub start: usize,
    /// Whether the weights are stored unit by unit, `[outputs, inputs]`.
    pub by_unit: bool,
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

    /// Place of the weight from an input to a unit.
    pub fn place(&self, input: usize, unit: usize) -> usize {
        self.start
            + if self.by_unit { unit * self.inputs + input } else { input * self.outputs + unit }
    }

    /// The sides of the stored weights: rows, and numbers of a row.
    pub(crate) fn stored(&self) -> (usize, usize) {
        if self.by_unit { (self.outputs, self.inputs) } else { (self.inputs, self.outputs) }
    }

    /// The weights `[inputs, outputs]` of these parameters.
    pub(crate) fn matrix<'a>(&self, parameters: &'a [f32]) -> Matrix<'a> {
        let (rows, cols) = self.stored();
        let stored = Matrix::new(&parameters[self.weights()], rows, cols);
        if self.by_unit { stored.transposed() } else { stored }
    }

    /// Splits this layer's weights and biases off the flat buffer.
    pub(crate) fn split_mut<'a>(&self, flat: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32]) {
        flat[self.start..self.biases().end].split_at_mut(self.inputs * self.outputs)
    }
}

/// The skip connection of these settings as a layer of which there are only the weights, `[inputs,
/// outputs]`; they stand before those of the layers.
pub(crate) fn skip_layer(settings: &Settings) -> Option<Layer> {
    let (inputs, outputs) = (settings.layers[0], settings.layers[settings.layers.len() - 1]);
    settings.skip.then_some(Layer { inputs, outputs, start: 0, by_unit: false })
}

/// The layers of these settings, in their order in the flat buffer.
pub(crate) fn layout(settings: &Settings) -> Vec<Layer> {
    let mut start = settings.skip_parameters();
    let layer = |(l, pair): (usize, &[usize])| {
        let by_unit = settings.is_gated(l);
        let layer = Layer { inputs: pair[0], outputs: pair[1], start, by_unit };
        start = layer.biases().end;
        layer
    };
    settings.layers.windows(2).enumerate().map(layer).collect()
}

/// Numbers laid out as the parameters, with the weights of every layer `[inputs, outputs]`.
#[cfg(feature = "gradient-check")]
pub(crate) fn by_inputs(layers: &[Layer], numbers: &[f32]) -> Vec<f32> {
    let mut ordered = numbers.to_vec();
    for layer in layers.iter().filter(|layer| layer.by_unit) {
        let weights = ordered[layer.weights()].chunks_mut(layer.outputs).enumerate();
        for (input, weights) in weights {
            let places = (0..).map(|unit| layer.place(input, unit));
            weights.iter_mut().zip(places).for_each(|(to, place)| *to = numbers[place]);
        }
    }
    ordered
}

/// The end of the layers' parameters, where those of the code begin.
pub(crate) fn end(layers: &[Layer]) -> usize {
    layers.last().map_or(0, |layer| layer.biases().end)
}

/// Initial weights and biases by the settings, behind zeros for a skip connection; then the code's parameters: JumpReLU's thresholds and
/// their scale, or batch-top-k's one threshold.
///
/// A normal number cut at two deviations is a uniform x in [-2, 2], kept with probability
/// e^(-x^2 / 2): only our own exp is needed, so the bits are the same everywhere.
pub(crate) fn initial_parameters(settings: &Settings) -> Vec<f32> {
    let layers = layout(settings);
    let end = end(&layers);
    let mut parameters = vec![0.0; end + settings.gate_parameters()];
    // The scalar set, on any machine, portable ones included.
    let isa = Isa::forced("scalar").unwrap_or_else(|_| Isa::detect());
    let mut generator = generator(settings.seed, Stream::Weights, 0);
    // 24 bits make every number of [0, 1) that is a multiple of 2^-24.
    let mut uniform = || (generator.next_u32() >> 8) as f32 / 16_777_216.0;
    let transposes = settings.initialization == Initialization::Transpose;
    let drawn = if transposes { settings.encoder_layers() } else { layers.len() };
    for (l, layer) in layers[..drawn].iter().enumerate() {
        let (scale, bias) = initial_scale(settings, l, layer);
        parameters[layer.biases()].fill(bias);
        let mut draw = || loop {
            let x = 4.0 * uniform() - 2.0;
            let mut density = [-0.5 * x * x];
            math::map(isa, Function::Exp, &mut density);
            if uniform() < density[0] {
                return scale * x;
            }
        };
        for input in 0..layer.inputs {
            for unit in 0..layer.outputs {
                parameters[layer.place(input, unit)] = draw();
            }
        }
    }
    if settings.tied {
        tie(&layers, &mut parameters);
    }
    if transposes {
        transpose(&layers, &mut parameters);
    } else if settings.unit_norm {
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
        Initialization::He | Initialization::Transpose => 2.0 / inputs,
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
                f(layer.place(input, unit), twin.place(unit, input));
            }
        }
    }
}

/// Copies the encoder's weights to the decoder, each layer's to the mirrored one, transposed.
pub(crate) fn tie(layers: &[Layer], parameters: &mut [f32]) {
    for_each_twin(layers, |here, there| parameters[there] = parameters[here]);
}

/// Makes the decoder's weights the encoder's, transposed, after those around the code were scaled: to
/// and from each unit of the code they have length 1.
fn transpose(layers: &[Layer], parameters: &mut [f32]) {
    tie(layers, parameters);
    normalize_rows(&layers[layers.len() / 2], parameters);
    for_each_twin(layers, |here, there| parameters[here] = parameters[there]);
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
