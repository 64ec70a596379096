//! A network with its parameters: encode, decode, reconstruct.

use sae_kernels::{Activation, Matrix, MatrixMut};

use crate::compute::Engine;
use crate::data::gather;
use crate::data::samples::{Samples, Scaling};
use crate::error::{Error, Result};
use crate::network::codes::{Gate, Selection};
use crate::network::forward::{Input, LayerView, forward};
use crate::network::layers::{Layer, end, initial_parameters, layout};
use crate::settings::Settings;

/// Samples that pass through the network at a time outside of training. The same for any number of
/// threads, for sums of activations are taken chunk by chunk.
const CHUNK: usize = 250;

/// An autoencoder: its settings, its parameters and the scaling of its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoencoder {
    pub(crate) settings: Settings,
    pub(crate) scaling: Scaling,
    /// The layers', one after another, then the code's.
    pub(crate) parameters: Vec<f32>,
    /// Factor of the weights of all sparsity penalties; 1 unless a controller steered it.
    pub(crate) penalty_factor: f64,
}

impl Autoencoder {
    /// Makes a network with initial weights, drawn from the settings' seed.
    ///
    /// # Errors
    /// Those of [`Settings::validate`]; and [`Error::Setting`] for sizes that do not fit in memory.
    pub fn new(settings: Settings, scaling: Scaling) -> Result<Self> {
        settings.validate()?;
        settings.check_memory()?;
        let parameters = initial_parameters(&settings);
        Ok(Autoencoder { settings, scaling, parameters, penalty_factor: 1.0 })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The scaling of its data.
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// All parameters: layer by layer the weights `[inputs, outputs]`, then the biases; at the end the
    /// logarithms of a JumpReLU's thresholds, or the one threshold of a batch-top-k code.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// All parameters, to change them; they have to stay finite.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// The factor of the weights of all sparsity penalties: 1, or what the controller found for
    /// [`Settings::target`].
    #[doc(hidden)]
    pub fn penalty_factor(&self) -> f64 {
        self.penalty_factor
    }

    /// The places of each layer's parameters.
    pub fn layers(&self) -> Vec<Layer> {
        layout(&self.settings.layers)
    }

    /// A layer's weights, `[inputs, outputs]`, row-major; layer 0 is the first.
    ///
    /// # Panics
    /// There is no such layer.
    #[doc(hidden)]
    pub fn weights(&self, layer: usize) -> &[f32] {
        &self.parameters[self.layers()[layer].weights()]
    }

    /// A layer's biases, `[outputs]`.
    ///
    /// # Panics
    /// There is no such layer.
    #[doc(hidden)]
    pub fn biases(&self, layer: usize) -> &[f32] {
        &self.parameters[self.layers()[layer].biases()]
    }

    /// R: half the sum of the squared weights, biases not counted.
    #[doc(hidden)]
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
    /// The samples have another number of features than the network, one is not finite, or the codes
    /// do not fit in memory.
    pub fn encode(&self, engine: &mut Engine, samples: &Samples) -> Result<Vec<f32>> {
        self.check_features(samples)?;
        let mut codes = reserve(samples.len(), self.settings.code_units())?;
        let code = self.settings.encoder_layers() - 1;
        self.for_chunks(engine, samples, false, |_, chunk| {
            codes.extend_from_slice(&chunk.outputs[code])
        })?;
        Ok(codes)
    }

    /// Reconstructions of samples, `[samples, features]`.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`].
    pub fn reconstruct(&self, engine: &mut Engine, samples: &Samples) -> Result<Vec<f32>> {
        self.check_features(samples)?;
        let mut all = reserve(samples.len(), samples.features())?;
        let last = self.settings.layers.len() - 2;
        self.for_chunks(engine, samples, false, |_, chunk| {
            all.extend_from_slice(&chunk.outputs[last])
        })?;
        Ok(all)
    }

    /// Reconstructions `[samples, features]` from codes `[samples, code]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the last code is not whole, or the reconstructions do not fit in memory.
    pub fn decode(&self, engine: &mut Engine, codes: &[f32]) -> Result<Vec<f32>> {
        let width = self.settings.code_units();
        if !codes.len().is_multiple_of(width) {
            let count = codes.len();
            return Err(Error::Shape(format!("{count} numbers are not whole codes of {width}")));
        }
        let mut all = reserve(codes.len() / width, self.settings.layers[0])?;
        let layers = self.layers();
        for chunk in codes.chunks(CHUNK * width) {
            let n = chunk.len() / width;
            let mut values = chunk.to_vec();
            for (l, &layer) in layers.iter().enumerate().skip(self.settings.encoder_layers()) {
                let view = LayerView::new(&self.settings, &self.parameters, l, layer);
                let (mut next, mut sums) = (vec![0.0; n * layer.outputs], vec![0.0; layer.outputs]);
                let output = MatrixMut::new(&mut next, n, layer.outputs);
                let input =
                    Input { matrix: Matrix::new(&values, n, layer.inputs), skip_zeros: false };
                forward(engine, input, view, output, &mut sums);
                values = next;
            }
            all.extend_from_slice(&values);
        }
        Ok(all)
    }

    /// Passes all samples through the network, some at a time, and returns each layer's sums of
    /// activations. With `logits` the output layer's numbers are those before its activation.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`].
    pub(crate) fn for_chunks(
        &self,
        engine: &mut Engine,
        samples: &Samples,
        logits: bool,
        mut visit: impl FnMut(&mut Engine, Chunk<'_>),
    ) -> Result<Vec<Vec<f32>>> {
        self.check_features(samples)?;
        let layers = self.layers();
        let d = samples.features();
        let mut sums: Vec<_> = layers.iter().map(|layer| vec![0.0; layer.outputs]).collect();
        let mut rows = Vec::with_capacity(CHUNK);
        let mut inputs = Vec::new();
        let mut outputs: Vec<Vec<f32>> = vec![Vec::new(); layers.len()];
        let mut gate = Gate::new(&self.settings, CHUNK, engine.threads());
        let mut code_sums = vec![0.0; self.settings.code_units()];
        let mut start = 0;
        while start < samples.len() {
            let n = (samples.len() - start).min(CHUNK);
            rows.clear();
            rows.extend((start..start + n).map(|sample| sample as u32));
            inputs.resize(n * d, 0.0);
            gather(engine, samples, &rows, &mut inputs)?;
            for (l, layer) in layers.iter().enumerate() {
                let (before, rest) = outputs.split_at_mut(l);
                let output = &mut rest[0];
                output.resize(n * layer.outputs, 0.0);
                let matrix = Matrix::new(before.last().unwrap_or(&inputs), n, layer.inputs);
                let input = Input { matrix, skip_zeros: self.settings.has_zeros(l) };
                let mut view = LayerView::new(&self.settings, &self.parameters, l, *layer);
                if logits && l + 1 == layers.len() {
                    view.activation = Activation::Linear;
                }
                let whole = MatrixMut::new(output, n, layer.outputs);
                if !self.settings.is_gated(l) {
                    forward(engine, input, view, whole, &mut sums[l]);
                    continue;
                }
                forward(engine, input, view, whole, &mut code_sums);
                let parameters = &self.parameters[end(&layers)..];
                gate.select(engine, parameters, Selection::Inference, output, &mut code_sums);
                sums[l].iter_mut().zip(&code_sums).for_each(|(sum, a)| *sum += a);
            }
            visit(engine, Chunk { inputs: &inputs, outputs: &outputs });
            start += n;
        }
        Ok(sums)
    }
}

/// An empty vector with capacity for so many rows. A file and a model may need more memory than there
/// is: an error, where `Vec::with_capacity` would abort.
fn reserve(rows: usize, columns: usize) -> Result<Vec<f32>> {
    let mut numbers = Vec::new();
    let count = rows.checked_mul(columns).filter(|&count| count <= isize::MAX as usize / 4);
    match count.map(|count| numbers.try_reserve_exact(count)) {
        Some(Ok(())) => Ok(numbers),
        _ => Err(Error::Shape(format!(
            "{rows} samples of {columns} numbers do not fit in memory; split them (Samples::split)"
        ))),
    }
}

/// Some samples and what the network makes of them.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    /// `[n, d]`
    pub inputs: &'a [f32],
    /// Of each layer, `[n, out]`.
    pub outputs: &'a [Vec<f32>],
}
