//! What each unit of a layer looks for: the input of a given length that excites it most (Ng, CS294A
//! lecture notes on sparse autoencoders, for the first layer; Erhan et al. 2009 for deeper ones).

use sae_kernels::{Activation, HiddenDelta, Matrix, MatrixMut, Penalty};

use crate::compute::Engine;
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::forward::{Input, LayerView, forward};
use crate::network::layers::Layer;

/// Steps uphill for units of the second layer and deeper, the first and the last by the length of
/// the input.
const STEPS: usize = 200;
const LONGEST: f32 = 0.5;
const SHORTEST: f32 = 1e-4;

impl Autoencoder {
    /// For each unit of an encoder's layer (0 is the first) the input of length `norm` for which the
    /// unit's sum, before its activation, is largest: `[units, features]`.
    ///
    /// For the first layer these are its weights, scaled. For a deeper one they are found by climbing
    /// from what they would be if all activations were linear, so they may be the nearest summit and
    /// not the highest. All 0 for a unit that no input reaches.
    ///
    /// # Errors
    /// [`Error::Setting`] if the encoder has no such layer, or `norm` is not a positive number.
    pub fn preferred_inputs(
        &self,
        engine: &mut Engine,
        layer: usize,
        norm: f32,
    ) -> Result<Vec<f32>> {
        let layers = self.settings.encoder_layers();
        if layer >= layers {
            let problem = format!("layer {layer}; 0 to {} were expected", layers - 1);
            return Err(Error::setting("layer", problem));
        }
        if !(norm > 0.0 && norm.is_finite()) {
            return Err(Error::setting("norm", format!("{norm}; a positive number was expected")));
        }
        let layers = &self.layers()[..=layer];
        let units = layers[layer].outputs;
        let mut climb = Climb { net: self, engine, layers, outputs: Vec::new() };
        let mut inputs = climb.slopes(None);
        let features = inputs.len() / units;
        inputs.chunks_mut(features).for_each(|input| set_length(input, norm));
        if layer == 0 {
            return Ok(inputs);
        }

        let mut best = inputs.clone();
        let mut heights = climb.heights(&inputs);
        for step in 0..STEPS {
            // Ever shorter, whether it went up or not: at a kink the steepest way may be a dead end.
            let pace = LONGEST * (SHORTEST / LONGEST).powf(step as f32 / STEPS as f32);
            let slopes = climb.slopes(Some(&inputs));
            for (input, slope) in inputs.chunks_mut(features).zip(slopes.chunks(features)) {
                let stride = pace * norm / length(slope).max(f32::MIN_POSITIVE);
                input.iter_mut().zip(slope).for_each(|(x, slope)| *x += stride * slope);
                set_length(input, norm);
            }
            let reached = climb.heights(&inputs);
            for unit in (0..units).filter(|&unit| reached[unit] > heights[unit]) {
                let row = unit * features..(unit + 1) * features;
                best[row.clone()].copy_from_slice(&inputs[row]);
            }
            heights.iter_mut().zip(reached).for_each(|(height, now)| *height = height.max(now));
        }
        Ok(best)
    }
}

/// One input a unit, `[units, features]`, passed through the first layers together.
struct Climb<'a> {
    net: &'a Autoencoder,
    engine: &'a mut Engine,
    layers: &'a [Layer],
    /// Of each layer, `[units, out]`.
    outputs: Vec<Vec<f32>>,
}

impl Climb<'_> {
    fn units(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs
    }

    /// Each unit's sum for its own input.
    fn heights(&mut self, inputs: &[f32]) -> Vec<f32> {
        let units = self.units();
        self.outputs.clear();
        for (l, &layer) in self.layers.iter().enumerate() {
            let input = Matrix::new(self.outputs.last().map_or(inputs, |o| o), units, layer.inputs);
            let mut output = vec![0.0; units * layer.outputs];
            let mut view = LayerView::new(&self.net.settings, &self.net.parameters, l, layer);
            if l + 1 == self.layers.len() {
                view.activation = Activation::Linear;
            }
            let whole = MatrixMut::new(&mut output, units, layer.outputs);
            forward(
                self.engine,
                Input { matrix: input, skip_zeros: false },
                view,
                whole,
                &mut vec![0.0; layer.outputs],
            );
            self.outputs.push(output);
        }
        self.outputs[self.layers.len() - 1].iter().step_by(units + 1).copied().collect()
    }

    /// The slope of each unit's sum by its own input; without inputs as if all layers were linear.
    fn slopes(&mut self, inputs: Option<&[f32]>) -> Vec<f32> {
        let units = self.units();
        if let Some(inputs) = inputs {
            self.heights(inputs);
        }
        let mut slopes = vec![0.0; units * units];
        slopes.iter_mut().step_by(units + 1).for_each(|slope| *slope = 1.0);
        for (l, &layer) in self.layers.iter().enumerate().rev() {
            let mut below = vec![0.0; units * layer.inputs];
            let ones;
            let (values, activation) = match (inputs, l.checked_sub(1)) {
                (Some(_), Some(l)) => (&self.outputs[l], self.net.settings.activation_of(l)),
                _ => {
                    ones = vec![1.0; units * layer.inputs];
                    (&ones, Activation::Linear)
                }
            };
            let isa = self.engine.isa;
            self.engine.scratch.with(0, |scratch| {
                let hidden_delta = HiddenDelta {
                    next: Matrix::new(&slopes, units, layer.outputs),
                    weights: LayerView::new(&self.net.settings, &self.net.parameters, l, layer)
                        .weights,
                    activations: Matrix::new(values, units, layer.inputs),
                    activation,
                    penalty: Penalty::default(),
                    delta: MatrixMut::new(&mut below, units, layer.inputs),
                    bias_gradient: &mut vec![0.0; layer.inputs],
                };
                hidden_delta.run(isa, scratch);
            });
            slopes = below;
        }
        slopes
    }
}

fn length(input: &[f32]) -> f32 {
    let squares: f64 = input.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    squares.sqrt() as f32
}

/// Makes an input so long, unless it is 0.
fn set_length(input: &mut [f32], norm: f32) {
    let length = length(input);
    if length > 0.0 {
        input.iter_mut().for_each(|x| *x *= norm / length);
    }
}
