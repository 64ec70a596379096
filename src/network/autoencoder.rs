//! A network with its parameters: encode, decode, reconstruct, evaluate.

use sae_kernels::{Activation, Loss, Matrix, MatrixMut};

use crate::analysis::evaluation::{Evaluation, Tally};
use crate::compute::Engine;
use crate::data::samples::{Samples, Scaling};
use crate::error::{Error, Result};
use crate::network::codes::{Gate, Selection};
use crate::network::forward::{Input, LayerView, forward};
use crate::network::layers::{Layer, end, initial_parameters, layout};
use crate::settings::Settings;

/// Samples that pass through the network at a time outside of training.
const CHUNK: usize = 250;

/// An autoencoder: its settings, its parameters and the scaling of its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoencoder {
    pub(crate) settings: Settings,
    pub(crate) scaling: Scaling,
    /// The layers', one after the other, then the gate's.
    pub(crate) parameters: Vec<f32>,
    /// What the weights of all sparsity penalties are multiplied by; 1 unless they were steered.
    pub(crate) penalty_factor: f64,
}

impl Autoencoder {
    /// First weights, from the settings' seed.
    ///
    /// # Errors
    /// Those of [`Settings::validate`]; and [`Error::Setting`] for sizes that find no memory.
    pub fn new(settings: Settings, scaling: Scaling) -> Result<Self> {
        settings.validate()?;
        settings.check_memory()?;
        let parameters = initial_parameters(&settings);
        Ok(Autoencoder { settings, scaling, parameters, penalty_factor: 1.0 })
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How its data is scaled.
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// All parameters: layer by layer the weights `[inputs, outputs]`, then the biases; behind them
    /// the logarithms of a JumpReLU's thresholds, or the one threshold of a batch-top-k code.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// All parameters, to change them: to finite numbers.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// What the weights of all sparsity penalties are multiplied by: 1, or what the controller found
    /// for [`Settings::target`].
    pub fn penalty_factor(&self) -> f64 {
        self.penalty_factor
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
        let mut codes = room(samples.len(), self.settings.code_units())?;
        let code = self.settings.encoder_layers() - 1;
        self.for_chunks(engine, samples, false, |chunk| {
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
        let mut all = room(samples.len(), samples.features())?;
        let last = self.settings.layers.len() - 2;
        self.for_chunks(engine, samples, false, |chunk| {
            all.extend_from_slice(&chunk.outputs[last])
        })?;
        Ok(all)
    }

    /// Reconstructions `[samples, features]` from codes `[samples, code]`.
    ///
    /// # Errors
    /// The last code is not whole.
    pub fn decode(&self, engine: &mut Engine, codes: &[f32]) -> Result<Vec<f32>> {
        let width = self.settings.code_units();
        if !codes.len().is_multiple_of(width) {
            let count = codes.len();
            return Err(Error::Shape(format!("{count} numbers are not whole codes of {width}")));
        }
        let mut all = room(codes.len() / width, self.settings.layers[0])?;
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

    /// The objective over a data set, whose samples count as one batch, and how active the hidden
    /// layers are. Inputs are not corrupted.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`].
    pub fn evaluate(&self, engine: &mut Engine, samples: &Samples) -> Result<Evaluation> {
        let mut tally = Tally::new(&self.settings);
        let logits = self.settings.loss == Loss::CrossEntropy;
        let sums = self.for_chunks(engine, samples, logits, |chunk| {
            tally.add(chunk.inputs, chunk.outputs);
        })?;
        Ok(tally.evaluation(self, engine.isa, samples.len(), sums))
    }

    /// Passes all samples through the network, some at a time, and returns each layer's sums of
    /// activations. With `logits` the output layer's numbers are those before its activation.
    pub(crate) fn for_chunks(
        &self,
        engine: &mut Engine,
        samples: &Samples,
        logits: bool,
        mut visit: impl FnMut(Chunk<'_>),
    ) -> Result<Vec<Vec<f32>>> {
        self.check_features(samples)?;
        let layers = self.layers();
        let d = samples.features();
        let mut sums: Vec<_> = layers.iter().map(|layer| vec![0.0; layer.outputs]).collect();
        let mut inputs = vec![0.0; CHUNK.min(samples.len()) * d];
        let mut outputs: Vec<Vec<f32>> = vec![Vec::new(); layers.len()];
        let mut gate = Gate::new(&self.settings, CHUNK, engine.threads());
        let mut gated_sums = vec![0.0; self.settings.code_units()];
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
                let mut view = LayerView::new(&self.settings, &self.parameters, l, *layer);
                if logits && l + 1 == layers.len() {
                    view.activation = Activation::Linear;
                }
                let skip = self.settings.has_zeros(l);
                let whole = MatrixMut::new(output, n, layer.outputs);
                if self.settings.is_gated(l) {
                    forward(
                        engine,
                        Input { matrix: input, skip_zeros: skip },
                        view,
                        whole,
                        &mut gated_sums,
                    );
                    let gate_parameters = &self.parameters[end(&layers)..];
                    gate.select(
                        engine,
                        gate_parameters,
                        Selection::Inference,
                        output,
                        &mut gated_sums,
                    );
                    sums[l].iter_mut().zip(&gated_sums).for_each(|(sum, a)| *sum += a);
                } else {
                    forward(
                        engine,
                        Input { matrix: input, skip_zeros: skip },
                        view,
                        whole,
                        &mut sums[l],
                    );
                }
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
pub(crate) struct Chunk<'a> {
    /// `[n, d]`
    pub inputs: &'a [f32],
    /// Of each layer, `[n, out]`.
    pub outputs: &'a [Vec<f32>],
}
