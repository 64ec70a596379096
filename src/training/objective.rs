//! The objective: one pure function for steps, evaluations and L-BFGS.

use sae_kernels::{Isa, sparsity};

use crate::network::autoencoder::Autoencoder;
use crate::settings::{Code, LayerPenalty, Settings};

/// The objective's terms over a batch or a data set, the weight decay left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// The data term, a mean over samples and features; for FVU divided by the training data's variance.
    pub loss: f64,
    /// The data term's mean over the prefixes of the code, which takes its place in the objective; 0 without
    /// prefixes ([`Settings::prefixes`](crate::Settings)).
    pub prefix_loss: f64,
    /// The auxiliary loss of dead units, with its weight ([`Settings::auxiliary`](crate::Settings)).
    pub auxiliary: f64,
    /// S: the sum of KL over the units of the layers that have this penalty; 0 where none has.
    pub sparsity: f64,
    /// The sum of |a| over the units of the layers that have the L1 penalty, a mean over samples.
    pub l1: f64,
    /// L0 of a sparse code: its units that are not 0, a mean over samples; 0 for a dense one.
    pub l0: f64,
    /// All sparsity penalties, with their weights.
    pub penalty: f64,
    /// Penalties of the caller's ([`TrainerBuilder::penalty`](crate::TrainerBuilder::penalty)).
    pub own_penalty: f64,
}

impl StepReport {
    /// The objective without the weight decay.
    #[doc(hidden)]
    pub fn without_decay(&self) -> f64 {
        // Of several prefixes whose mean loss is 0, the last one has none.
        let loss = if self.prefix_loss > 0.0 { self.prefix_loss } else { self.loss };
        loss + self.auxiliary + self.penalty + self.own_penalty
    }

    /// Whether the objective is a finite number.
    pub(crate) fn is_finite(&self) -> bool {
        let penalties = self.penalty + self.own_penalty;
        (self.loss + self.prefix_loss + self.auxiliary + penalties).is_finite()
    }
}

/// Sums over samples: what the objective's terms and the controller's measure are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchSums {
    /// Of the losses of all features.
    pub loss: f64,
    /// Of the losses of all features and all prefixes.
    pub prefixes: f64,
    /// The auxiliary loss, with its weight: of a mean over the batch, these samples' part.
    pub auxiliary: f64,
    /// Units of a sparse code that are not 0.
    pub code_active: f64,
    /// tanh of a JumpReLU code's activations, where that is penalized; else 0.
    pub code_tanh: f64,
    /// Active units of the layer whose L0 is steered.
    pub steered_active: f64,
    /// The caller's penalties, of which these samples have a part.
    pub activation_penalties: f64,
    /// Number of ranks with a gradient that may overflow in the update.
    pub may_overflow: f64,
    /// Of every hidden layer: |a|, where the layer is signed and the sum is needed; else 0.
    pub magnitudes: Vec<f64>,
    /// Of every hidden layer: each unit's activations, `[units]`.
    pub activations: Vec<Vec<f32>>,
}

impl BatchSums {
    /// For hidden layers of these sizes.
    pub fn new(hidden: &[usize]) -> Self {
        BatchSums {
            magnitudes: vec![0.0; hidden.len()],
            activations: hidden.iter().map(|&units| vec![0.0; units]).collect(),
            ..BatchSums::default()
        }
    }
}

/// A batch or a data set as the objective needs it.
pub(crate) struct Observed<'a> {
    pub samples: usize,
    /// What the mean squared error is divided by.
    pub loss_divisor: f64,
    pub sums: &'a BatchSums,
    /// rho_hat: the mean activation of each unit of every hidden layer.
    pub means: &'a [Vec<f32>],
    /// Running means, at which the KL penalty is taken instead; empty for layers without.
    pub running_means: &'a [Vec<f32>],
}

impl Observed<'_> {
    /// The mean activations at which a layer's KL penalty is taken.
    pub fn kl_means(&self, layer: usize) -> &[f32] {
        let running = self.running_means.get(layer).filter(|running| !running.is_empty());
        running.unwrap_or(&self.means[layer])
    }

    /// The sum of |a| over a layer's units, a mean over samples.
    pub fn l1(&self, settings: &Settings, layer: usize) -> f64 {
        if settings.activation_of(layer).is_signed() {
            return self.sums.magnitudes[layer] / self.samples as f64;
        }
        self.means[layer].iter().map(|&mean| f64::from(mean)).sum()
    }
}

/// The objective's terms: loss + factor (sum of beta S + l1 A over layers + the weight of L0 times L0's penalty),
/// `factor` being what the controller multiplies all sparsity penalties by.
pub(crate) fn objective(
    isa: Isa,
    settings: &Settings,
    factor: f64,
    observed: &Observed<'_>,
) -> StepReport {
    let n = observed.samples as f64;
    let features = settings.layers[settings.layers.len() - 1] as f64;
    let terms = n * features * observed.loss_divisor;
    let prefixes = settings.prefix_sizes().len().max(1) as f64;
    let mut report = StepReport {
        loss: observed.sums.loss / terms,
        prefix_loss: observed.sums.prefixes / (terms * prefixes),
        auxiliary: observed.sums.auxiliary,
        own_penalty: observed.sums.activation_penalties,
        ..StepReport::default()
    };
    for layer in 0..observed.means.len() {
        let Some(LayerPenalty { rho, beta, l1, .. }) = settings.penalty_of(layer) else { continue };
        if beta > 0.0 {
            let sparsity = sparsity::kl_value(isa, rho as f32, observed.kl_means(layer));
            report.sparsity += sparsity;
            report.penalty += factor * beta * sparsity;
        }
        if l1 > 0.0 {
            let value = observed.l1(settings, layer);
            report.l1 += value;
            report.penalty += factor * l1 * value;
        }
    }
    if settings.code != Code::Dense {
        report.l0 = observed.sums.code_active / n;
    }
    if let Code::JumpRelu { l0, .. } = settings.code {
        let penalty = settings.l0_penalty.value(report.l0, observed.sums.code_tanh / n);
        report.penalty += factor * l0 * penalty;
    }
    report
}

impl Autoencoder {
    /// The objective of these terms: with their weights, and the weight decay of these parameters.
    pub(crate) fn objective(&self, report: StepReport) -> f64 {
        let lambda = self.settings.lambda;
        let decay = if lambda > 0.0 { lambda * self.weight_decay() } else { 0.0 };
        report.without_decay() + decay
    }
}
