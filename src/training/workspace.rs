//! The memory of a training: what a step works in, and what it leaves to the next.

use std::ops::Range;

use crate::network::codes::Gate;
use crate::network::layers::{Layer, end, layout};
use crate::settings::{Corruption, Settings};
use crate::training::controller::Control;

/// Every buffer that a step needs, allocated once.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub layers: Vec<Layer>,
    /// The samples of the batch, those of all ranks.
    pub rows: Vec<u32>,
    /// Which of them are this rank's: `n`, all where there are no ranks.
    pub part: Range<usize>,
    /// `[n, d]`
    pub batch: Vec<f32>,
    /// What the network sees of it, `[n, d]`, where that is something else.
    pub corrupted: Vec<f32>,
    /// Of every hidden layer, `[n, out]`.
    pub activations: Vec<Vec<f32>>,
    /// Of every layer, `[n, out]`.
    pub deltas: Vec<Vec<f32>>,
    /// Of every hidden layer: column sums, then mean activations.
    pub rho_hat: Vec<Vec<f32>>,
    /// Of every hidden layer: the KL penalty's gradient for each activation.
    pub penalties: Vec<Vec<f32>>,
    /// Of every layer, `[out]`.
    pub bias_gradients: Vec<Vec<f32>>,
    /// Of every feature.
    pub losses: Vec<f32>,
    pub sums: BatchSums,
    pub gate: Gate,
    /// Laid out as the parameters, where all of it is wanted at once.
    pub gradient: Vec<f32>,
}

impl Workspace {
    /// For this part of each batch.
    pub fn new(settings: &Settings, part: Range<usize>, threads: usize) -> Self {
        let n = part.len();
        let layers = layout(&settings.layers);
        let hidden = &layers[..layers.len() - 1];
        let per_unit = |layers: &[Layer]| layers.iter().map(|l| vec![0.0; l.outputs]).collect();
        let per_sample =
            |layers: &[Layer]| layers.iter().map(|l| vec![0.0; n * l.outputs]).collect();
        let corrupts = settings.corruption != Corruption::None;
        let mut work = Workspace {
            rows: vec![0; settings.batch],
            part,
            batch: vec![0.0; n * layers[0].inputs],
            corrupted: vec![0.0; if corrupts { n * layers[0].inputs } else { 0 }],
            activations: per_sample(hidden),
            deltas: per_sample(&layers),
            rho_hat: per_unit(hidden),
            penalties: per_unit(hidden),
            bias_gradients: per_unit(&layers),
            losses: vec![0.0; layers[0].inputs],
            sums: BatchSums { magnitudes: vec![0.0; hidden.len()], ..BatchSums::default() },
            gate: Gate::new(settings, n, threads),
            gradient: Vec::new(),
            layers,
        };
        if settings.wants_gradient() {
            work.make_room_for_gradient(settings);
        }
        work
    }

    pub fn make_room_for_gradient(&mut self, settings: &Settings) {
        self.gradient.resize(end(&self.layers) + settings.gate_parameters(), 0.0);
    }
}

/// What the objective's terms and the controller's measure are made of, besides the activations' sums:
/// sums over a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchSums {
    /// Of the losses of all features.
    pub loss: f64,
    /// Units of a JumpReLU's code that are not 0.
    pub jumps: f64,
    /// Units of the layer that is steered that are active.
    pub active: f64,
    /// Of every hidden layer, if it is signed and somebody asks: |a|.
    pub magnitudes: Vec<f64>,
}

impl BatchSums {
    /// All of them.
    pub fn numbers(&mut self) -> impl Iterator<Item = &mut f64> {
        let BatchSums { loss, jumps, active, magnitudes } = self;
        [loss, jumps, active].into_iter().chain(magnitudes)
    }
}

/// All that training changes besides the network.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Adam's first moment, or the velocity; laid out as the parameters.
    pub first: Vec<f32>,
    /// Adam's second moment.
    pub second: Vec<f32>,
    pub step: u64,
    /// Of every hidden layer, if wanted: running mean activations.
    pub running_means: Vec<Vec<f32>>,
    pub control: Control,
}

impl State {
    pub fn new(settings: &Settings, parameters: usize) -> Self {
        let running_means = (0..settings.layers.len() - 2).map(|layer| {
            let kl = settings.penalty_of(layer).is_some_and(|penalty| penalty.beta > 0.0);
            let wanted = kl && settings.rho_momentum > 0.0;
            vec![0.0; if wanted { settings.layers[layer + 1] } else { 0 }]
        });
        State {
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
            step: 0,
            running_means: running_means.collect(),
            control: Control::default(),
        }
    }
}
