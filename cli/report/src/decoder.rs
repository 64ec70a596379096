//! The decoder as the page has it, which redraws reconstructions without some units.

use sae::network::SparseCodes;
use sae::{Activation, Autoencoder, Engine, Samples};
use serde_json::{Value, json};

use crate::arrays::Arrays;
use crate::error::Result;

/// Parameters of the layers behind the first, at most.
const MAX_DEEP: usize = 1 << 20;

/// A decoder whose outputs are those of its layers one after another.
pub struct Decoder {
    /// From the code to the output: weights `[inputs, outputs]`, biases, activation.
    layers: Vec<(Vec<f32>, Vec<f32>, Activation)>,
}

impl Decoder {
    /// None if the page cannot have it: it is too large, or its output is not this chain of layers.
    pub fn of(net: &Autoencoder, engine: &mut Engine, samples: &Samples) -> Result<Option<Self>> {
        let settings = net.settings();
        let code = settings.encoder_layers();
        let count = settings.layers.len() - 1;
        let deep: usize =
            settings.layers[code + 1..].windows(2).map(|pair| pair[0] * pair[1]).sum();
        if deep > MAX_DEEP || net.skip_weights().is_some() {
            return Ok(None);
        }
        let layer = |l: usize| {
            (net.weights(l).into_owned(), net.biases(l).to_vec(), settings.activation_of(l))
        };
        let decoder = Decoder { layers: (code..count).map(layer).collect() };
        // What the library computes is what counts.
        let few = if samples.len() > 4 { samples.split(4)?.0 } else { samples.clone() };
        let mut codes = SparseCodes::default();
        net.encode_sparse(engine, &few, &mut codes)?;
        let expected = net.reconstruct(engine, &few)?;
        let outputs = expected.len() / few.len();
        let is_near = expected.chunks(outputs).enumerate().all(|(at, expected)| {
            let own = decoder.output(codes.row(at));
            let length: f32 = expected.iter().map(|v| v * v).sum();
            let error: f32 = own.iter().zip(expected).map(|(a, b)| (a - b) * (a - b)).sum();
            error <= 1e-6 * length.max(1e-6)
        });
        Ok(is_near.then_some(decoder))
    }

    /// Numbers of a row of the first layer.
    pub fn width(&self) -> usize {
        self.layers[0].1.len()
    }

    /// Adds units of a code, times their activations, to the first layer's sums.
    pub fn add_units(&self, entries: impl Iterator<Item = (usize, f32)>, sums: &mut [f32]) {
        let (weights, width) = (&self.layers[0].0, self.width());
        for (unit, activation) in entries {
            let row = &weights[unit * width..][..width];
            sums.iter_mut().zip(row).for_each(|(sum, w)| *sum += activation * w);
        }
    }

    fn output(&self, (units, activations): (&[u32], &[f32])) -> Vec<f32> {
        let mut values = self.layers[0].1.clone();
        let entries = units.iter().zip(activations).map(|(&unit, &a)| (unit as usize, a));
        self.add_units(entries, &mut values);
        for (l, (_, _, activation)) in self.layers.iter().enumerate() {
            if l > 0 {
                let (weights, biases, _) = &self.layers[l];
                let mut sums = biases.clone();
                for (value, row) in values.iter().zip(weights.chunks(biases.len())) {
                    sums.iter_mut().zip(row).for_each(|(sum, w)| *sum += value * w);
                }
                values = sums;
            }
            values.iter_mut().for_each(|z| *z = of(*activation, *z));
        }
        values
    }

    /// Adds the rows of these units of the code, and the layers behind.
    pub fn add(&self, kept: &[usize], name: &str, arrays: &mut Arrays) -> Value {
        for (l, (weights, biases, _)) in self.layers.iter().enumerate() {
            let width = biases.len();
            let rows = |units: &[usize]| -> Vec<f32> {
                units.iter().flat_map(|&unit| &weights[unit * width..][..width]).copied().collect()
            };
            let selected = if l == 0 { rows(kept) } else { weights.clone() };
            arrays.signed_rows(&format!("{name}.decoder{l}"), &selected, width);
            arrays.f32(format!("{name}.decoder{l}.bias"), biases);
        }
        let activations = self.layers.iter().map(|(_, _, activation)| activation.name());
        json!(activations.collect::<Vec<_>>())
    }
}

/// An activation of a number.
fn of(activation: Activation, z: f32) -> f32 {
    match activation {
        Activation::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        Activation::Tanh => z.tanh(),
        Activation::Relu => z.max(0.0),
        Activation::LeakyRelu if z < 0.0 => 0.01 * z,
        Activation::SaturatingLinear => z.clamp(0.0, 1.0),
        _ => z,
    }
}
