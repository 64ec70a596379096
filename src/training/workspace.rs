//! The memory of a training: what a step works in, and what it leaves to the next.

use std::ops::Range;

use sae_kernels::Matrix;

use crate::compute::{Engine, sum_blocks};
use crate::network::autoencoder::Autoencoder;
use crate::network::gate::Gate;
use crate::network::layers::{Layer, end, layout, skip_layer};
use crate::settings::{Auxiliary, Code, Corruption, Settings};
use crate::training::activation_penalty::ActivationPenalty;
use crate::training::centering::Centering;
use crate::training::dead_units::DeadUnits;
use crate::training::gradient_norm::GradientNorm;
use crate::training::largest_weights::LargestWeights;
use crate::training::objective::{BatchSums, Observed};
use crate::training::prefixes::Prefixes;
use crate::training::units::Units;

/// All that a step reads and changes, on this rank.
#[derive(Debug)]
pub(crate) struct Context {
    pub engine: Engine,
    pub net: Autoencoder,
    pub state: State,
    pub work: Workspace,
    /// Whether inputs that are 0 are left out where that saves work.
    pub skip_zeros: bool,
}

impl Context {
    /// The last batch as the objective needs it.
    pub fn observed(&self) -> Observed<'_> {
        let Workspace { sums, means, running_means, .. } = &self.work;
        let loss_divisor = self.net.loss_divisor();
        Observed { samples: self.work.samples, loss_divisor, sums, means, running_means }
    }

    /// What the weights of all sparsity penalties are multiplied by in the next step.
    pub fn penalty_factor(&self) -> f64 {
        self.net.penalty_factor * self.net.settings.penalty_share_of(self.state.step + 1)
    }
}

/// Every buffer that a step needs, allocated once; `n` is the number of this rank's samples.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub layers: Vec<Layer>,
    /// The skip connection, of which there are only the weights.
    pub skip: Option<Layer>,
    /// Samples of the batch, those of all ranks.
    pub samples: usize,
    /// Their numbers in the data.
    pub rows: Vec<usize>,
    /// Which of them are this rank's.
    pub part: Range<usize>,
    /// `[n, features]`
    pub batch: Vec<f32>,
    /// The batch's targets, `[n, outputs]`; empty where they are the batch itself.
    pub targets: Vec<f32>,
    /// What is left of the targets for the decoder beside a skip connection, `[n, outputs]`.
    pub residual: Vec<f32>,
    /// The corrupted batch, `[n, features]`, if the settings corrupt it.
    pub corrupted: Vec<f32>,
    /// Of every hidden layer, `[n, units]`; empty for that of a sparse code, which is [`Gate::codes`].
    pub activations: Vec<Vec<f32>>,
    /// Of every layer, `[n, units]`; of that of a sparse code, one number for each of its entries. Of the
    /// output, one below the other those of all prefixes, and that of an auxiliary loss.
    pub deltas: Vec<Vec<f32>>,
    /// Sums over the batch.
    pub sums: BatchSums,
    /// rho_hat: mean activations of every hidden layer over the batch, `[units]`.
    pub means: Vec<Vec<f32>>,
    /// Running means with this batch, where [`State::running_means`] are kept; committed by a step.
    pub running_means: Vec<Vec<f32>>,
    /// The smallest activation that batch-top-k kept in this batch.
    pub smallest_kept: Option<f32>,
    /// Whether the last batch's running means and threshold wait to be committed.
    pub uncommitted: bool,
    /// What the weights of all sparsity penalties are multiplied by in this step: the controller's factor
    /// and the warm-up's share.
    pub penalty_factor: f64,
    /// Of every hidden layer: the KL penalty's gradient for each activation, `[units]`.
    pub penalties: Vec<Vec<f32>>,
    /// Of every layer, `[units]`.
    pub bias_gradients: Vec<Vec<f32>>,
    /// Of every feature of the output.
    pub losses: Vec<f32>,
    /// Two sums over each block of samples for every unit of the widest layer, where there is more than
    /// one block.
    pub partial_sums: Vec<f32>,
    pub gate: Gate,
    /// The sparse code by units.
    pub units: Units,
    /// Of a sparse code whose first units reconstruct by themselves.
    pub prefixes: Option<Prefixes>,
    pub dead_units: DeadUnits,
    /// The gradient of a JumpReLU's thresholds, as parameters.
    pub threshold_gradient: Vec<f32>,
    /// With a tanh penalty, that of each unit at its threshold.
    pub threshold_penalty: Vec<f32>,
    /// The caller's.
    pub activation_penalties: Vec<ActivationPenalty>,
    pub largest_weights: LargestWeights,
    pub centering: Centering,
    pub gradient_norm: GradientNorm,
    /// Laid out as the parameters; empty where the optimizer takes gradients block by block.
    pub gradient: Vec<f32>,
}

impl Workspace {
    /// For this part of each batch of a training of this network.
    pub fn new(net: &Autoencoder, part: Range<usize>, threads: usize) -> Self {
        let settings = &net.settings;
        let n = part.len();
        let layers = layout(settings);
        let (hidden, units) = (&settings.layers[1..layers.len()], &settings.layers[1..]);
        let gate = Gate::for_training(settings, n, threads);
        let mut activations = zeros(hidden, n);
        let mut deltas = zeros(units, n);
        if settings.code != Code::Dense {
            let layer = settings.encoder_layers() - 1;
            activations[layer] = Vec::new();
            deltas[layer] = vec![0.0; gate.codes.capacity()];
        }
        let dead_units = DeadUnits::new(settings, n);
        let (skip, outputs) = (skip_layer(settings), settings.layers[layers.len()]);
        let prefixes = Prefixes::new(settings.prefix_sizes(), n, outputs);
        let of_output = prefixes.as_ref().map_or(1, Prefixes::count)
            + usize::from(matches!(settings.auxiliary, Auxiliary::AuxK { .. }));
        deltas[layers.len() - 1].resize(of_output * n * outputs, 0.0);
        let has_tanh = settings.tanh_scale(1.0).is_some();
        let jumps = matches!(settings.code, Code::JumpRelu { .. });
        let (blocks, widest) = (sum_blocks(n), units.iter().max().map_or(0, |&units| units));
        let partial_sums = if blocks > 1 { 2 * blocks * widest } else { 0 };
        let corrupts = settings.corruption != Corruption::None;
        let has_targets = net.target_scaling.is_some();
        Workspace {
            skip,
            targets: vec![0.0; if has_targets { n * outputs } else { 0 }],
            residual: vec![0.0; if skip.is_some() { n * outputs } else { 0 }],
            samples: settings.batch,
            rows: vec![0; settings.batch],
            part,
            batch: vec![0.0; n * layers[0].inputs],
            corrupted: vec![0.0; if corrupts { n * layers[0].inputs } else { 0 }],
            activations,
            deltas,
            sums: BatchSums::new(hidden),
            means: zeros(hidden, 1),
            running_means: running_means(settings),
            smallest_kept: None,
            uncommitted: false,
            penalty_factor: 1.0,
            penalties: zeros(hidden, 1),
            bias_gradients: zeros(units, 1),
            losses: vec![0.0; outputs],
            partial_sums: vec![0.0; partial_sums],
            units: Units::new(settings, gate.codes.capacity(), dead_units.codes.capacity()),
            prefixes,
            dead_units,
            threshold_gradient: vec![0.0; if jumps { settings.code_units() } else { 0 }],
            threshold_penalty: vec![0.0; if has_tanh { settings.code_units() } else { 0 }],
            gate,
            activation_penalties: Vec::new(),
            largest_weights: LargestWeights::new(layers.len() + usize::from(skip.is_some())),
            centering: Centering::none(),
            gradient_norm: GradientNorm::default(),
            gradient: Vec::new(),
            layers,
        }
    }

    /// Makes it the memory of a batch of another number of samples, at most as many as the settings say, where
    /// there are no other ranks. Allocates nothing.
    pub fn resize(&mut self, settings: &Settings, samples: usize) {
        let before = self.part.len();
        if samples == before {
            return;
        }
        self.samples = samples;
        self.part = 0..samples;
        self.gate.resize(samples);
        // (That of a sparse code has a number for each entry.)
        let deltas = self.deltas.iter_mut().enumerate();
        let deltas = deltas.filter(|&(layer, _)| !settings.is_gated(layer)).map(|(_, delta)| delta);
        let inputs = [&mut self.batch, &mut self.targets, &mut self.residual, &mut self.corrupted];
        for numbers in deltas.chain(&mut self.activations).chain(inputs) {
            numbers.resize(numbers.len() / before * samples, 0.0);
        }
    }

    /// Allocates the gradient's buffer, once.
    pub fn allocate_gradient(&mut self, settings: &Settings) {
        self.gradient.resize(end(&self.layers) + settings.gate_parameters(), 0.0);
    }
}

/// What the output of a batch is compared with, `[n, outputs]`: its targets, or the batch itself.
pub(crate) fn targets_of<'a>(batch: &'a [f32], targets: &'a [f32]) -> &'a [f32] {
    if targets.is_empty() { batch } else { targets }
}

/// What the network sees of a batch, `[n, features]`: the corrupted one where there is one.
pub(crate) fn seen<'a>(batch: &'a [f32], corrupted: &'a [f32], features: usize) -> Matrix<'a> {
    let seen = if corrupted.is_empty() { batch } else { corrupted };
    Matrix::new(seen, seen.len() / features, features)
}

/// The input of a layer, `[n, inputs]`: the activations below, or what the network sees of a batch.
/// (Without rows where the layer below is a sparse code.)
pub(crate) fn input<'a>(
    layer: Layer,
    below: Option<&'a Vec<f32>>,
    batch: &'a [f32],
    corrupted: &'a [f32],
) -> Matrix<'a> {
    match below {
        None => seen(batch, corrupted, layer.inputs),
        Some(below) => Matrix::new(below, below.len() / layer.inputs, layer.inputs),
    }
}

/// The activations of a hidden layer, those of a sparse code without its zeros.
pub(crate) fn activations_of<'a>(
    settings: &Settings,
    layer: usize,
    activations: &'a [Vec<f32>],
    units: &'a Units,
) -> &'a [f32] {
    if settings.is_gated(layer) { units.all_activations() } else { &activations[layer] }
}

/// A buffer of `samples` rows for each layer of these sizes.
fn zeros(sizes: &[usize], samples: usize) -> Vec<Vec<f32>> {
    sizes.iter().map(|&units| vec![0.0; samples * units]).collect()
}

/// Running means of every hidden layer, empty where none are kept.
fn running_means(settings: &Settings) -> Vec<Vec<f32>> {
    let running_means = (0..settings.layers.len() - 2).map(|layer| {
        let kl = settings.penalty_of(layer).is_some_and(|penalty| penalty.beta > 0.0);
        let kept = kl && settings.rho_momentum > 0.0;
        vec![0.0; if kept { settings.layers[layer + 1] } else { 0 }]
    });
    running_means.collect()
}

/// All that training changes besides the network.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Adam's first moment, or the velocity; laid out as the parameters.
    pub first: Vec<f32>,
    /// Adam's second moment.
    pub second: Vec<f32>,
    pub step: u64,
    /// Running mean activations of every hidden layer; empty where none are kept.
    pub running_means: Vec<Vec<f32>>,
    /// Of each unit of a sparse code: samples since it was last active; empty for a dense code.
    pub inactive: Vec<u32>,
    pub control: Control,
    /// The caller's, which checkpoints keep; empty without.
    #[cfg(feature = "model")]
    pub note: String,
}

impl State {
    /// The state before the first step of a network with `parameters` parameters.
    pub fn new(settings: &Settings, parameters: usize) -> Self {
        State {
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
            step: 0,
            running_means: running_means(settings),
            inactive: vec![0; if settings.code == Code::Dense { 0 } else { settings.code_units() }],
            control: Control::default(),
            #[cfg(feature = "model")]
            note: String::new(),
        }
    }
}

/// The controller's state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "model", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Control {
    /// The measure, smoothed over steps.
    pub smoothed: f64,
    /// Logarithm of the factor.
    pub log_factor: f64,
    /// How many times faster the factor changes than at first; negative while the measure is too
    /// small.
    pub speed: f64,
    /// Sum of `log_factor` over the averaged steps.
    pub sum: f64,
}

impl Default for Control {
    fn default() -> Self {
        Control { smoothed: 0.0, log_factor: 0.0, speed: 1.0, sum: 0.0 }
    }
}
