//! Preferred inputs of units: the input of a given norm that maximizes a unit's pre-activation (Ng,
//! CS294A lecture notes on sparse autoencoders, for the first layer; Erhan et al. 2009 for deeper
//! ones).

use sae_kernels::{Activation, HiddenDelta, Matrix, MatrixMut, Operand, Penalty};

use crate::compute::Engine;
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::forward::{LayerView, forward};
use crate::network::layers::Layer;

/// Steps of gradient ascent for units of the second layer and deeper.
const STEPS: usize = 200;
/// Length of the first step, relative to the norm of the input.
const MAX_STEP: f32 = 0.5;
/// Length of the last step, relative to the norm of the input.
const MIN_STEP: f32 = 1e-4;

impl Autoencoder {
    /// Finds the input of norm `norm` that maximizes the pre-activation of each unit of an encoder's
    /// layer (0 is the first): `[units, features]`.
    ///
    /// For the first layer these are its weights, scaled. For a deeper one they are found by gradient
    /// ascent from the solution for linear activations, so they may be local maxima. All 0 for a
    /// unit that depends on no input.
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
            return Err(Error::setting("norm", format!("expected a positive number, got {norm}")));
        }
        let layers = &self.layers()[..=layer];
        let units = layers[layer].outputs;
        let mut ascent = Ascent { net: self, engine, layers, outputs: Vec::new() };
        let mut inputs = ascent.gradients(None);
        let features = inputs.len() / units;
        inputs.chunks_mut(features).for_each(|input| set_norm(input, norm));
        if layer == 0 {
            return Ok(inputs);
        }

        let mut best = inputs.clone();
        let mut maxima = ascent.pre_activations(&inputs);
        for step in 0..STEPS {
            // Ever shorter, whether the value rose or not: at a kink the gradient may lead nowhere.
            let length = MAX_STEP * (MIN_STEP / MAX_STEP).powf(step as f32 / STEPS as f32);
            let gradients = ascent.gradients(Some(&inputs));
            for (input, gradient) in inputs.chunks_mut(features).zip(gradients.chunks(features)) {
                let scale = length * norm / norm_of(gradient).max(f32::MIN_POSITIVE);
                input.iter_mut().zip(gradient).for_each(|(x, g)| *x += scale * g);
                set_norm(input, norm);
            }
            let values = ascent.pre_activations(&inputs);
            for unit in (0..units).filter(|&unit| values[unit] > maxima[unit]) {
                let row = unit * features..(unit + 1) * features;
                best[row.clone()].copy_from_slice(&inputs[row]);
            }
            maxima.iter_mut().zip(values).for_each(|(max, value)| *max = max.max(value));
        }
        Ok(best)
    }
}

/// Gradient ascent from one input per unit, `[units, features]`, all together.
struct Ascent<'a> {
    net: &'a Autoencoder,
    engine: &'a mut Engine,
    layers: &'a [Layer],
    /// The activations of each layer, `[units, out]`.
    outputs: Vec<Vec<f32>>,
}

impl Ascent<'_> {
    fn units(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs
    }

    /// Each unit's pre-activation for its own input.
    fn pre_activations(&mut self, inputs: &[f32]) -> Vec<f32> {
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
            let mut sums = vec![0.0; layer.outputs];
            let sums = MatrixMut::from_row(&mut sums);
            forward(self.engine, Operand::Dense(input), view, whole, sums);
            self.outputs.push(output);
        }
        self.outputs[self.layers.len() - 1].iter().step_by(units + 1).copied().collect()
    }

    /// The gradient of each unit's pre-activation by its own input, `[units, features]`; without
    /// inputs, that of a network of linear layers.
    fn gradients(&mut self, inputs: Option<&[f32]>) -> Vec<f32> {
        let units = self.units();
        if let Some(inputs) = inputs {
            self.pre_activations(inputs);
        }
        let mut gradients = vec![0.0; units * units];
        gradients.iter_mut().step_by(units + 1).for_each(|gradient| *gradient = 1.0);
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
                    next: Operand::Dense(Matrix::new(&gradients, units, layer.outputs)),
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
            gradients = below;
        }
        gradients
    }
}

fn norm_of(input: &[f32]) -> f32 {
    let squares: f64 = input.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    squares.sqrt() as f32
}

/// Scales an input to a norm, unless it is 0.
fn set_norm(input: &mut [f32], norm: f32) {
    let now = norm_of(input);
    if now > 0.0 {
        input.iter_mut().for_each(|x| *x *= norm / now);
    }
}
