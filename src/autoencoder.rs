//! A network with its parameters: encode, decode, reconstruct, evaluate.

use sae_kernels::{Matrix, MatrixMut, sparsity};

use crate::engine::{Engine, forward};
use crate::error::{Error, Result};
use crate::network::{Layer, initial_parameters, layout};
use crate::samples::{Samples, Scaling};
use crate::settings::Settings;
use crate::step::view;

/// Samples that pass through the network at a time outside of training.
const CHUNK: usize = 250;

/// An autoencoder: its settings, its parameters and the scaling of its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoencoder {
    pub(crate) settings: Settings,
    pub(crate) scaling: Scaling,
    pub(crate) parameters: Vec<f32>,
}

/// What an evaluation over a data set reports.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// `loss + beta sparsity + lambda weight_decay`.
    pub objective: f64,
    /// Mean squared error over all samples and features.
    pub loss: f64,
    /// S: the sum of KL over the encoder's hidden units (0 where beta is 0).
    pub sparsity: f64,
    /// R: half the sum of the squared weights.
    pub weight_decay: f64,
    /// Mean activation over the data set of every unit of every hidden layer.
    pub units: Vec<Vec<f32>>,
}

impl Evaluation {
    /// Mean activation of every hidden layer.
    pub fn mean_activations(&self) -> Vec<f64> {
        self.units.iter().map(|units| mean_activation(units)).collect()
    }
}

/// A layer's mean activation, from those of its units.
pub(crate) fn mean_activation(units: &[f32]) -> f64 {
    units.iter().map(|&a| f64::from(a)).sum::<f64>() / units.len() as f64
}

impl Autoencoder {
    /// First weights, from the settings' seed.
    ///
    /// # Errors
    /// Those of [`Settings::validate`].
    pub fn new(settings: Settings, scaling: Scaling) -> Result<Self> {
        settings.validate()?;
        let parameters = initial_parameters(&settings);
        Ok(Autoencoder { settings, scaling, parameters })
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How its data is scaled.
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// All parameters: layer by layer the weights `[inputs, outputs]`, then the biases.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// All parameters, to change them.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// Where each layer's parameters are.
    pub fn layers(&self) -> Vec<Layer> {
        layout(&self.settings.layers)
    }

    /// A layer's weights, `[inputs, outputs]`, row-major; layer 0 is the first.
    ///
    /// # Panics
    /// There is no such layer.
    pub fn weights(&self, layer: usize) -> &[f32] {
        &self.parameters[self.layers()[layer].weights()]
    }

    /// A layer's biases, `[outputs]`.
    ///
    /// # Panics
    /// There is no such layer.
    pub fn biases(&self, layer: usize) -> &[f32] {
        &self.parameters[self.layers()[layer].biases()]
    }

    /// R: half the sum of the squared weights, biases not counted.
    pub fn weight_decay(&self) -> f64 {
        let squares = |layer: Layer| {
            self.parameters[layer.weights()]
                .iter()
                .map(|&w| f64::from(w) * f64::from(w))
                .sum::<f64>()
        };
        self.layers().into_iter().map(squares).sum::<f64>() / 2.0
    }

    fn check_features(&self, samples: &Samples) -> Result<()> {
        let (have, want) = (samples.features(), self.settings.layers[0]);
        if have == want {
            return Ok(());
        }
        Err(Error::Shape(format!(
            "the data has {have} features a sample and the network takes {want}"
        )))
    }

    /// Codes of samples, `[samples, code]`.
    ///
    /// # Errors
    /// The samples have other features than the network, or one is not finite, or their codes find
    /// no memory.
    pub fn encode(&self, engine: &mut Engine, samples: &Samples) -> Result<Vec<f32>> {
        self.check_features(samples)?;
        let mut codes = room(samples.len(), self.settings.code())?;
        let code = self.settings.encoder_layers() - 1;
        self.for_chunks(engine, samples, |chunk| codes.extend_from_slice(&chunk.outputs[code]))?;
        Ok(codes)
    }

    /// Reconstructions of samples, `[samples, features]`.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`].
    pub fn reconstruct(&self, engine: &mut Engine, samples: &Samples) -> Result<Vec<f32>> {
        self.check_features(samples)?;
        let mut all = room(samples.len(), samples.features())?;
        let last = self.settings.layers.len() - 2;
        self.for_chunks(engine, samples, |chunk| all.extend_from_slice(&chunk.outputs[last]))?;
        Ok(all)
    }

    /// Reconstructions `[samples, features]` from codes `[samples, code]`.
    ///
    /// # Errors
    /// The last code is not whole.
    pub fn decode(&self, engine: &mut Engine, codes: &[f32]) -> Result<Vec<f32>> {
        let width = self.settings.code();
        if !codes.len().is_multiple_of(width) {
            let count = codes.len();
            return Err(Error::Shape(format!("{count} numbers are not whole codes of {width}")));
        }
        let mut all = room(codes.len() / width, self.settings.layers[0])?;
        let layers = self.layers();
        for chunk in codes.chunks(CHUNK * width) {
            let n = chunk.len() / width;
            let mut values = chunk.to_vec();
            for l in self.settings.encoder_layers()..layers.len() {
                let layer = layers[l];
                let view = view(&self.settings, &self.parameters, layer, l + 1 == layers.len());
                let (mut next, mut sums) = (vec![0.0; n * layer.outputs], vec![0.0; layer.outputs]);
                let output = MatrixMut::new(&mut next, n, layer.outputs);
                forward(
                    engine,
                    Matrix::new(&values, n, layer.inputs),
                    false,
                    view,
                    output,
                    &mut sums,
                );
                values = next;
            }
            all.extend_from_slice(&values);
        }
        Ok(all)
    }

    /// The objective over a data set, whose samples count as one batch, and the mean activations.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`].
    pub fn evaluate(&self, engine: &mut Engine, samples: &Samples) -> Result<Evaluation> {
        let layers = self.layers();
        let last = layers.len() - 1;
        let mut errors = 0.0;
        let mut sums = self.for_chunks(engine, samples, |chunk| {
            let pairs = chunk.inputs.iter().zip(&chunk.outputs[last]);
            errors += pairs.map(|(&x, &a)| f64::from(a - x) * f64::from(a - x)).sum::<f64>();
        })?;
        sums.pop();
        for units in &mut sums {
            sparsity::mean(engine.isa, samples.len(), units);
        }
        let settings = &self.settings;
        let penalised = settings.penalised_layers();
        let kl = |units: &Vec<f32>| sparsity::kl_value(engine.isa, settings.rho as f32, units);
        let sparsity: f64 = sums[..penalised].iter().map(kl).sum();
        let loss = errors / (samples.len() as f64 * samples.features() as f64);
        let weight_decay = self.weight_decay();
        let objective = loss + settings.beta * sparsity + settings.lambda * weight_decay;
        Ok(Evaluation { objective, loss, sparsity, weight_decay, units: sums })
    }

    /// Passes all samples through the network, some at a time, and returns each layer's sums of
    /// activations.
    fn for_chunks(
        &self,
        engine: &mut Engine,
        samples: &Samples,
        mut visit: impl FnMut(Chunk<'_>),
    ) -> Result<Vec<Vec<f32>>> {
        self.check_features(samples)?;
        let layers = self.layers();
        let d = samples.features();
        let mut sums: Vec<_> = layers.iter().map(|layer| vec![0.0; layer.outputs]).collect();
        let mut inputs = vec![0.0; CHUNK.min(samples.len()) * d];
        let mut outputs: Vec<Vec<f32>> = vec![Vec::new(); layers.len()];
        let mut start = 0;
        while start < samples.len() {
            let n = (samples.len() - start).min(CHUNK);
            inputs.truncate(n * d);
            for (row, input) in inputs.chunks_mut(d).enumerate() {
                samples.gather(start + row, input)?;
            }
            for (l, layer) in layers.iter().enumerate() {
                let (before, rest) = outputs.split_at_mut(l);
                let output = &mut rest[0];
                output.resize(n * layer.outputs, 0.0);
                let input = Matrix::new(before.last().unwrap_or(&inputs), n, layer.inputs);
                let view = view(&self.settings, &self.parameters, *layer, l + 1 == layers.len());
                let output = MatrixMut::new(output, n, layer.outputs);
                forward(engine, input, l == 0, view, output, &mut sums[l]);
            }
            visit(Chunk { inputs: &inputs, outputs: &outputs });
            start += n;
        }
        Ok(sums)
    }
}

/// Room for so many rows: a file and a model may ask for more than there is, which would abort.
fn room(rows: usize, columns: usize) -> Result<Vec<f32>> {
    let mut numbers = Vec::new();
    let count = rows.checked_mul(columns).filter(|&count| count <= isize::MAX as usize / 4);
    match count.map(|count| numbers.try_reserve_exact(count)) {
        Some(Ok(())) => Ok(numbers),
        _ => Err(Error::Shape(format!(
            "{rows} samples of {columns} numbers find no memory; fewer at a time do (Samples::split)"
        ))),
    }
}

/// Some samples on their way through the network.
struct Chunk<'a> {
    /// `[n, d]`
    inputs: &'a [f32],
    /// Of each layer, `[n, out]`.
    outputs: &'a [Vec<f32>],
}
