//! Checks the gradient against finite differences of the objective: for those who add a penalty or
//! port a network.

use sae_kernels::Loss;
use sae_kernels::reference::{Gate, JumpPenalty, Net, Penalty, gemm, weight_decay};

use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::{Layer, by_inputs, for_each_twin, skip_layer};
use crate::settings::{Auxiliary, Code, Corruption, L0Penalty, Prefixes};
use crate::training::batch::Batch;
use crate::training::trainer::Trainer;
use crate::training::workspace::targets_of;

/// The error of the gradient of one block of parameters.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BlockError {
    /// The block: `weights 0`, `biases 0`, `weights 1`, ….
    pub block: String,
    /// Parameters of it that were checked.
    pub checked: usize,
    /// Largest relative error: |gradient - difference| by the larger of the two, or by a hundredth
    /// of the block's largest difference where both are smaller than that.
    pub largest: f64,
    /// The index of that parameter in [`Autoencoder::parameters`].
    pub at: usize,
}

impl Trainer {
    /// Compares the gradient of the objective on a batch with central finite
    /// differences of the reference implementation (`sae_kernels::reference`, in `f64`), for at most
    /// `per_block` parameters of each block, spread over it. Nothing is changed but what
    /// [`Trainer::gradient_on`] changes.
    ///
    /// Inputs are not corrupted; a JumpReLU's thresholds have no derivative and are left out. At
    /// the kink of an activation, or where a sparse code keeps another unit, a difference means
    /// nothing. It takes two evaluations of the reference for each parameter: use a small network.
    ///
    /// # Errors
    /// Those of [`Trainer::gradient_on`]; and [`Error::Setting`] with corrupted inputs or running
    /// means, which have another gradient than this objective, with several ranks, and with prefixes, an
    /// auxiliary loss of dead units or a penalty of the caller's, which the reference does not have. The block
    /// of a skip connection is `skip`.
    pub fn gradient_check<'a>(
        &mut self,
        batch: impl Into<Batch<'a>>,
        per_block: usize,
    ) -> Result<Vec<BlockError>> {
        let settings = self.autoencoder().settings().clone();
        if settings.corruption != Corruption::None {
            return Err(Error::setting("corruption", "a gradient check needs uncorrupted inputs"));
        }
        if settings.prefixes != Prefixes::None {
            let problem =
                "the reference implementation has no prefixes; check the gradient without them";
            return Err(Error::setting("prefixes", problem));
        }
        if settings.auxiliary != Auxiliary::None && self.dead_units().next().is_some() {
            let problem = "the reference implementation has no auxiliary loss, and units are dead; check the \
                           gradient without it";
            return Err(Error::setting("auxiliary", problem));
        }
        if settings.rho_momentum > 0.0 {
            let problem = "with a running mean, the gradient is not that of the objective";
            return Err(Error::setting("rho_momentum", problem));
        }
        if !self.cx.work.activation_penalties.is_empty() {
            let problem = "the reference implementation has no penalty of the caller's; check the gradient \
                           without it";
            return Err(Error::setting("penalty", problem));
        }
        if self.ranks().is_some() {
            let problem = "a gradient check needs the whole batch, of which a rank has a part";
            return Err(Error::setting("ranks", problem));
        }
        let factor = self.penalty_factor();
        let gradient = self.gradient_on(batch)?.1.to_vec();
        let (net, work) = (self.autoencoder(), &self.cx.work);
        // The reference has all weights in the order of their inputs.
        let stored = net.layers();
        let gradient = by_inputs(&stored, &gradient);
        let objective = Objective::of(net, factor, &work.batch, &work.targets);
        let ordered = |layer: &Layer| Layer { by_unit: false, ..*layer };
        let layers: Vec<Layer> = stored.iter().map(ordered).collect();
        let parameters = by_inputs(&stored, net.parameters());
        let mut parameters: Vec<f64> = parameters.iter().map(|&w| w.into()).collect();
        // With tied weights, the index of the parameter that changes with each.
        let mut twins: Vec<usize> = (0..parameters.len()).collect();
        if settings.tied {
            for_each_twin(&layers, |here, there| (twins[here], twins[there]) = (there, here));
        }
        let mut blocks = Vec::new();
        let skip = skip_layer(&settings).map(|skip| (None, "skip", skip.weights()));
        let of_layers = layers.iter().enumerate().flat_map(|(l, layer)| {
            let weights = ("weights", layer.weights());
            [weights, ("biases", layer.biases())].map(|(name, range)| (Some(l), name, range))
        });
        for (l, name, range) in skip.into_iter().chain(of_layers) {
            let count = range.len().min(per_block.max(1));
            let places: Vec<usize> =
                (0..count).map(|i| range.start + i * range.len() / count).collect();
            let mut differences = Vec::with_capacity(count);
            for &at in &places {
                let both = [at, twins[at]];
                let changed = if twins[at] == at { &both[..1] } else { &both };
                differences.push(objective.difference(&mut parameters, changed));
            }
            let floor = differences.iter().fold(0.0, |max: f64, d| max.max(d.abs())) / 100.0;
            let mut worst = (0.0, range.start);
            for (&at, difference) in places.iter().zip(differences) {
                let have = f64::from(gradient[at]);
                let size = have.abs().max(difference.abs()).max(floor);
                let error = if size > 0.0 { (have - difference).abs() / size } else { 0.0 };
                if error > worst.0 || error.is_nan() {
                    worst = (error, at);
                }
            }
            let (largest, mut at) = worst;
            if let Some(l) = l
                && layers[l].weights().contains(&at)
            {
                let layer = layers[l];
                let (row, unit) =
                    ((at - layer.start) / layer.outputs, (at - layer.start) % layer.outputs);
                at = stored[l].place(row, unit);
            }
            let block = l.map_or(name.to_owned(), |l| format!("{name} {l}"));
            blocks.push(BlockError { block, checked: count, largest, at });
        }
        Ok(blocks)
    }
}

/// The objective on a batch, in `f64`.
struct Objective {
    sizes: Vec<usize>,
    activations: Vec<sae_kernels::Activation>,
    penalties: Vec<Penalty>,
    loss: Loss,
    gate: Gate,
    lambda: f64,
    batch: Vec<f64>,
    targets: Vec<f64>,
    /// Number of weights of the skip connection, which stand before the layers'.
    skip: usize,
    /// What all of it is divided by in the end: of FVU the variance. The other terms are multiplied by it.
    divisor: f64,
}

impl Objective {
    /// `factor` is that of all sparsity penalties.
    fn of(net: &Autoencoder, factor: f64, batch: &[f32], targets: &[f32]) -> Self {
        let settings = net.settings();
        let divisor = net.loss_divisor();
        let (factor, lambda) = (divisor * factor, divisor * settings.lambda);
        let layers = settings.layers.len() - 1;
        let n = batch.len() / settings.layers[0];
        let penalty = |l| match settings.penalty_of(l) {
            Some(of) => Penalty { rho: of.rho, beta: factor * of.beta, l1: factor * of.l1 },
            None => Penalty::default(),
        };
        Objective {
            sizes: settings.layers.clone(),
            activations: (0..layers).map(|l| settings.activation_of(l)).collect(),
            penalties: (0..layers - 1).map(penalty).collect(),
            loss: settings.loss,
            gate: match settings.code {
                Code::Dense => Gate::Open,
                Code::TopK(k) => Gate::TopK(k),
                Code::BatchTopK(k) => Gate::BatchTopK(n * k),
                Code::JumpRelu { l0, bandwidth, .. } => Gate::Jump {
                    bandwidth,
                    l0: factor * l0,
                    penalty: match settings.l0_penalty {
                        L0Penalty::Step => JumpPenalty::Step,
                        L0Penalty::Tanh { scale } => JumpPenalty::Tanh(scale),
                        L0Penalty::Quadratic(target) => JumpPenalty::Quadratic(target),
                    },
                },
            },
            lambda,
            divisor,
            batch: batch.iter().map(|&x| x.into()).collect(),
            targets: targets_of(batch, targets).iter().map(|&x| x.into()).collect(),
            skip: settings.skip_parameters(),
        }
    }

    /// The central difference by parameters that change together.
    fn difference(&self, parameters: &mut [f64], changed: &[usize]) -> f64 {
        const STEP: f64 = 1e-5;
        let net = Net {
            sizes: &self.sizes,
            activations: &self.activations,
            penalties: &self.penalties,
            loss: self.loss,
            gate: self.gate,
            lambda: self.lambda,
        };
        let n = self.batch.len() / self.sizes[0];
        let mut value = |by: f64| {
            changed.iter().for_each(|&at| parameters[at] += by);
            let (skip, layers) = parameters.split_at(self.skip);
            let targets = self.without_skip(skip);
            let value = net.objective_of(layers, &self.batch, &targets, n).total;
            let value = (value + self.lambda * weight_decay(skip)) / self.divisor;
            changed.iter().for_each(|&at| parameters[at] -= by);
            value
        };
        (value(STEP) - value(-STEP)) / (2.0 * STEP)
    }

    /// The targets without what the skip connection makes of the inputs: the output is linear, and the loss
    /// depends on the difference alone.
    fn without_skip(&self, weights: &[f64]) -> Vec<f64> {
        let mut targets = self.targets.clone();
        if !weights.is_empty() {
            let (inputs, outputs) = (self.sizes[0], self.sizes[self.sizes.len() - 1]);
            let mut made = vec![0.0; targets.len()];
            gemm(targets.len() / outputs, inputs, outputs, &self.batch, weights, &mut made);
            targets.iter_mut().zip(made).for_each(|(target, made)| *target -= made);
        }
        targets
    }
}
