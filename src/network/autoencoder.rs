//! A network with its parameters: encode, decode, reconstruct.

use std::borrow::Cow;
#[cfg(feature = "model")]
use std::collections::BTreeMap;

use sae_kernels::{Lists, Loss};

use crate::compute::Engine;
#[cfg(feature = "model")]
use crate::data::TrainingData;
use crate::data::samples::SamplesOf;
use crate::data::scaling::Scaling;
use crate::data::{batches_ahead, gather_pairs};
use crate::error::{Error, Result};
use crate::network::ends::{check_target_scaling, check_targets};
use crate::network::layers::{Layer, initial_parameters, layout, skip_layer};
use crate::network::pass::{CHUNK, Inputs, Pass, chunk};
use crate::network::reach::Reach;
use crate::settings::Settings;

/// Fails unless a network of these settings can have this scaling.
pub(crate) fn check_scaling(
    scaling: &Scaling,
    settings: &Settings,
) -> std::result::Result<(), String> {
    scaling.check_features(settings.layers[0])?;
    scaling.check_finite()
}

/// An autoencoder: its settings, its parameters and the scaling of its data. Or a transcoder, which is
/// trained to predict other data than its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoencoder {
    pub(crate) settings: Settings,
    pub(crate) scaling: Scaling,
    /// Of a transcoder's targets.
    pub(crate) target_scaling: Option<Scaling>,
    /// The skip connection's, if there is one; the layers', one after another, then the code's.
    pub(crate) parameters: Vec<f32>,
    /// Factor of the weights of all sparsity penalties; 1 unless a controller steered it.
    pub(crate) penalty_factor: f64,
    /// The variance of the training data, by which the loss FVU divides; `None` with other losses, and
    /// before a training.
    pub(crate) variance: Option<f64>,
    #[cfg(feature = "model")]
    pub(crate) training_data: Option<TrainingData>,
    #[cfg(feature = "model")]
    pub(crate) notes: BTreeMap<String, String>,
}

impl Autoencoder {
    /// Makes a network with initial weights, drawn from the settings' seed.
    ///
    /// # Errors
    /// Those of [`Settings::validate`]; and [`Error::Setting`] for sizes that do not fit in memory, and
    /// for a scaling that is not finite or for another number of features.
    pub fn new(settings: Settings, scaling: Scaling) -> Result<Self> {
        Self::initial(settings, scaling, None)
    }

    pub(crate) fn initial(
        settings: Settings,
        scaling: Scaling,
        target_scaling: Option<Scaling>,
    ) -> Result<Self> {
        settings.validate()?;
        check_targets(&settings, target_scaling.is_some())?;
        settings.check_memory()?;
        check_scaling(&scaling, &settings).map_err(|e| Error::setting("scaling", e))?;
        let checked = check_target_scaling(target_scaling.as_ref(), &settings);
        checked.map_err(|e| Error::setting("scaling", e))?;
        let parameters = initial_parameters(&settings);
        Ok(Autoencoder {
            settings,
            scaling,
            target_scaling,
            parameters,
            penalty_factor: 1.0,
            variance: None,
            #[cfg(feature = "model")]
            training_data: None,
            #[cfg(feature = "model")]
            notes: BTreeMap::new(),
        })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same network with other settings, for a new training of it.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that the parameters depend on, such as the layers, and those of
    /// [`Settings::validate`].
    #[doc(hidden)]
    pub fn with_settings(self, settings: Settings) -> Result<Self> {
        self.settings.check_continues(&settings)?;
        settings.validate()?;
        check_targets(&settings, self.target_scaling.is_some())?;
        let variance = self.variance.filter(|_| settings.loss == Loss::Fvu);
        Ok(Autoencoder { settings, variance, ..self })
    }

    /// The same network; if its loss is FVU and it knows no variance, with that of another.
    #[doc(hidden)]
    pub fn with_variance_of(self, other: &Self) -> Self {
        let missing = self.settings.loss == Loss::Fvu && self.variance.is_none();
        let variance = if missing { other.variance } else { self.variance };
        Autoencoder { variance, ..self }
    }

    /// The scaling of its data.
    pub fn scaling(&self) -> Scaling {
        self.scaling.clone()
    }

    /// What is known of the data that it was trained on.
    #[cfg(feature = "model")]
    pub fn training_data(&self) -> Option<&TrainingData> {
        self.training_data.as_ref()
    }

    /// Forgets what is known of the data that it was trained on: they were not the trainer's own.
    #[cfg(feature = "model")]
    #[doc(hidden)]
    pub fn forget_training_data(&mut self) {
        self.training_data = None;
    }

    /// All parameters: the weights `[inputs, outputs]` of the skip connection, if there is one
    /// ([`Settings::skip`](Settings)); layer by layer the weights `[inputs, outputs]`, then the biases; at the end the
    /// thresholds of a JumpReLU code and the scale that they are multiples of, or the one threshold of
    /// a batch-top-k code. The weights of a sparse code's layer are stored unit by unit, `[outputs,
    /// inputs]` ([`Layer::by_unit`]).
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// All parameters, to change them; they have to stay finite.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// The factor of the weights of all sparsity penalties: 1, or what the controller found for
    /// [`Settings::target`].
    pub fn penalty_factor(&self) -> f64 {
        self.penalty_factor
    }

    /// What the mean squared error is divided by in the loss: for [`Loss::Fvu`] the variance of the training
    /// data, a mean over samples and features of the square of x minus the feature's mean; 1 for the other
    /// losses, before a training, and after one on data that do not vary.
    ///
    /// It is that of the samples which a training looks at before its first step, at most 16 384, and stays
    /// the same in evaluations of other data: [`Evaluation`](crate::Evaluation) has the explained variance
    /// of those.
    pub fn loss_divisor(&self) -> f64 {
        self.variance.unwrap_or(1.0)
    }

    /// The places of each layer's parameters.
    pub fn layers(&self) -> Vec<Layer> {
        layout(&self.settings)
    }

    /// A layer's weights, `[inputs, outputs]`, row-major; layer 0 is the first. They are borrowed from
    /// the parameters, but for the layer of a sparse code, whose weights are stored transposed: those
    /// are a copy.
    ///
    /// # Panics
    /// There is no such layer.
    pub fn weights(&self, layer: usize) -> Cow<'_, [f32]> {
        let layer = self.layers()[layer];
        let stored = &self.parameters[layer.weights()];
        if !layer.by_unit {
            return Cow::Borrowed(stored);
        }
        let mut weights = Vec::with_capacity(stored.len());
        for input in 0..layer.inputs {
            weights.extend(stored[input..].iter().step_by(layer.inputs));
        }
        Cow::Owned(weights)
    }

    /// A layer's biases, `[outputs]`.
    ///
    /// # Panics
    /// There is no such layer.
    pub fn biases(&self, layer: usize) -> &[f32] {
        &self.parameters[self.layers()[layer].biases()]
    }

    /// R: half the sum of the squared weights, biases not counted.
    pub(crate) fn weight_decay(&self) -> f64 {
        let squares = |layer: Layer| {
            self.parameters[layer.weights()]
                .iter()
                .map(|&w| f64::from(w) * f64::from(w))
                .sum::<f64>()
        };
        let layers = self.layers().into_iter().chain(skip_layer(&self.settings));
        layers.map(squares).sum::<f64>() / 2.0
    }

    /// Codes of samples, `[samples, code]`.
    ///
    /// # Errors
    /// The samples have another number of features than the network, one is not finite, or the codes
    /// do not fit in memory.
    pub fn encode(&self, engine: &mut Engine, samples: &SamplesOf<'_>) -> Result<Vec<f32>> {
        self.activations(engine, samples, self.settings.encoder_layers() - 1)
    }

    /// Reconstructions of samples, `[samples, features]`; what a transcoder predicts, in the scaling of its
    /// targets.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`].
    pub fn reconstruct(&self, engine: &mut Engine, samples: &SamplesOf<'_>) -> Result<Vec<f32>> {
        self.activations(engine, samples, self.layers().len() - 1)
    }

    /// Reconstructions `[samples, features]` from codes `[samples, code]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the last code is not whole, or the reconstructions do not fit in memory;
    /// [`Error::Setting`] for a network with a skip connection, whose output codes alone do not give.
    pub fn decode(&self, engine: &mut Engine, codes: &[f32]) -> Result<Vec<f32>> {
        let width = self.settings.code_units();
        if !codes.len().is_multiple_of(width) {
            let count = codes.len();
            return Err(Error::Shape(format!("{count} numbers are not whole codes of {width}")));
        }
        let chunks = codes.chunks(CHUNK * width).map(Inputs::Dense);
        self.decode_chunks(engine, codes.len() / width, chunks)
    }

    /// Reconstructions `[samples, features]` from the codes of some samples at a time.
    ///
    /// # Errors
    /// [`Error::Shape`] if the reconstructions do not fit in memory; [`Error::Setting`] for a network with a
    /// skip connection.
    pub(super) fn decode_chunks<'a>(
        &self,
        engine: &mut Engine,
        samples: usize,
        chunks: impl Iterator<Item = Inputs<'a>>,
    ) -> Result<Vec<f32>> {
        self.check_decodes()?;
        let layers = self.settings.layers.len() - 1;
        let mut all = reserve(samples, self.settings.layers[layers])?;
        let mut pass = Pass::of(engine, &self.settings);
        for codes in chunks {
            pass.forward(
                engine,
                &self.parameters,
                self.settings.encoder_layers()..layers,
                codes,
                false,
            );
            all.extend_from_slice(&pass.outputs[layers - 1]);
        }
        engine.keep(pass);
        Ok(all)
    }

    /// Passes all samples through the network, some at a time, and returns each layer's sums of
    /// activations.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`].
    pub(crate) fn for_chunks(
        &self,
        engine: &mut Engine,
        samples: &SamplesOf<'_>,
        depth: Depth,
        mut visit: impl FnMut(&mut Engine, Chunk<'_>),
    ) -> Result<Vec<Vec<f64>>> {
        self.try_for_chunks(engine, samples, depth, |engine, chunk| {
            visit(engine, chunk);
            Ok::<(), Error>(())
        })
    }

    /// [`Self::for_chunks`] that ends where `visit` fails.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`], and those of `visit`.
    pub(crate) fn try_for_chunks<E: From<Error>>(
        &self,
        engine: &mut Engine,
        samples: &SamplesOf<'_>,
        depth: Depth,
        mut visit: impl FnMut(&mut Engine, Chunk<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Vec<Vec<f64>>, E> {
        self.check_features(samples)?;
        // The cross-entropy is taken from logits.
        let reach = Reach::of_evaluation(&self.settings).filter(|_| depth.logits);
        let mut pass = Pass::of(engine, &self.settings);
        let chunk = chunk(&self.settings);
        let (mut rows, mut inputs) = (Vec::with_capacity(chunk), Vec::new());
        let mut targets = Vec::new();
        let reads_ahead = batches_ahead(samples, chunk) > 0;
        for start in (0..samples.len()).step_by(chunk) {
            let end = samples.len().min(start + chunk);
            rows.clear();
            rows.extend(start..end);
            if reads_ahead {
                samples.read_ahead(end..samples.len().min(end + chunk));
            }
            inputs.resize(rows.len() * samples.features(), 0.0);
            if let Some(of_targets) = samples.targets() {
                targets.resize(rows.len() * of_targets.features(), 0.0);
            }
            gather_pairs(engine, samples, &rows, [&mut inputs, &mut targets])?;
            let targets = if samples.targets().is_some() { &targets } else { &inputs };
            if let Some(reach) = reach {
                let name = |row: usize| format!("sample {}", start + row);
                let checked = reach.check(engine.isa, targets, samples.target_features(), name);
                checked.map_err(Error::Shape)?;
            }
            pass.forward(
                engine,
                &self.parameters,
                0..depth.layers,
                Inputs::Dense(&inputs),
                depth.logits,
            );
            let codes = pass.gate.codes.lists();
            let outputs = &pass.outputs;
            visit(engine, Chunk { inputs: &inputs, targets, outputs, codes })?;
        }
        let sums = pass.sums.clone();
        engine.keep(pass);
        Ok(sums)
    }
}

/// How far samples pass through a network.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    /// The first layers, as many as this.
    pub layers: usize,
    /// Whether the output layer's numbers are those before its activation.
    pub logits: bool,
}

/// Some samples and what the network makes of them.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    /// `[n, d]`
    pub inputs: &'a [f32],
    /// What the output is compared with, `[n, outputs]`: the inputs, or the targets of samples that have
    /// some.
    pub targets: &'a [f32],
    /// Of each layer, `[n, out]`; empty for that of a sparse code.
    pub outputs: &'a [Vec<f32>],
    /// The sparse code of each sample, if there is one.
    pub codes: Lists<'a>,
}

/// An empty vector with capacity for `rows` rows of `columns` numbers. A file and a model may need more memory than there
/// is: an error, where `Vec::with_capacity` would abort.
pub(super) fn reserve(rows: usize, columns: usize) -> Result<Vec<f32>> {
    let mut numbers = Vec::new();
    let count = rows.checked_mul(columns).filter(|&count| count <= isize::MAX as usize / 4);
    match count.map(|count| numbers.try_reserve_exact(count)) {
        Some(Ok(())) => Ok(numbers),
        _ => Err(Error::Shape(format!(
            "{rows} samples of {columns} numbers do not fit in memory; split them (Samples::split)"
        ))),
    }
}
