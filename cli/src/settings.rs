//! The settings on the command line, for everything that trains.

use clap::ValueEnum;
use sae::{Activation, Optimizer, Preset, Samples, Scaling, Settings};

use crate::failure::Result;

/// One word for each setting; see [`Settings::set`].
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// Settings to start from [default: sparse, or those of the checkpoint that is resumed]
    #[arg(long, value_enum)]
    preset: Option<PresetName>,
    /// Sizes of the layers, input to output [preset: 784,300,30,300,784, the ends as the data]
    #[arg(long, value_name = "SIZES")]
    layers: Option<String>,
    /// Hidden layers' activation: sigmoid, tanh, relu, leaky-relu, linear, saturating-linear
    #[arg(long, value_name = "NAME")]
    activation: Option<String>,
    /// One activation for each hidden layer, instead
    #[arg(long, value_name = "NAMES")]
    activations: Option<String>,
    /// Output layer's activation (default: sigmoid for features in [0, 1], or else linear)
    #[arg(long, value_name = "NAME")]
    output_activation: Option<String>,
    /// What a reconstruction's error costs: squared-error, cross-entropy
    #[arg(long, value_name = "NAME")]
    loss: Option<String>,
    /// What of the code is kept: dense, top-k:K, batch-top-k:K, jump-relu:L0[:BANDWIDTH]
    #[arg(long, value_name = "KIND")]
    code: Option<String>,
    /// The decoder has the encoder's weights, transposed
    #[arg(long)]
    tied: bool,
    /// The weights from each unit of the code have length 1
    #[arg(long)]
    unit_norm: bool,
    /// First weights: truncated-normal, xavier, he, by-activation
    #[arg(long, value_name = "NAME")]
    init: Option<String>,
    /// Corrupt the inputs, to be undone: masking:SHARE, gaussian:DEVIATION
    #[arg(long, value_name = "KIND")]
    corrupt: Option<String>,
    /// Target activation of the KL penalty [preset: 0.02]
    #[arg(long)]
    rho: Option<String>,
    /// Weight of the KL penalty [sparse: 7.5e-5, normal: 0]
    #[arg(long)]
    beta: Option<String>,
    /// Weight of the L1 penalty [preset: 0]
    #[arg(long, value_name = "WEIGHT")]
    l1: Option<String>,
    /// Penalties of one hidden layer, in place of those above; may be given again:
    /// LAYER[:rho=RHO][:beta=WEIGHT][:l1=WEIGHT], the first layer being 1
    #[arg(long, value_name = "SPEC")]
    penalty: Vec<String>,
    /// Follow a running mean of activations with the KL penalty: share of what was, for short batches
    #[arg(long, value_name = "SHARE")]
    rho_momentum: Option<String>,
    /// Steer the penalties' weights until it holds, for nine tenths of the steps:
    /// mean-activation:VALUE[:LAYER], l0:VALUE[:LAYER]
    #[arg(long, value_name = "MEASURE")]
    target: Option<String>,
    /// Weight of the weight decay [sparse: 5e-6, normal: 0]
    #[arg(long)]
    lambda: Option<String>,
    /// adam, adamw:DECAY, momentum:SHARE, l-bfgs[:MEMORY] (on all samples at once)
    #[arg(long, value_name = "NAME")]
    optimizer: Option<String>,
    /// Learning rate [preset: 0.01]
    #[arg(long, value_name = "RATE")]
    lr: Option<String>,
    /// Of the learning rate: constant, cosine, step:EVERY:FACTOR
    #[arg(long, value_name = "KIND")]
    schedule: Option<String>,
    /// Steps in which the learning rate rises to its full
    #[arg(long, value_name = "N")]
    warm_up: Option<String>,
    /// Longest gradient; 0 for no bound
    #[arg(long, value_name = "LENGTH")]
    clip: Option<String>,
    /// Adam's decay of the first moment [preset: 0.9]
    #[arg(long, value_name = "DECAY")]
    beta1: Option<String>,
    /// Adam's decay of the second moment [preset: 0.999]
    #[arg(long, value_name = "DECAY")]
    beta2: Option<String>,
    /// Adam's epsilon, what is added to a gradient's usual size [preset: 1e-8]
    #[arg(long)]
    epsilon: Option<String>,
    /// Samples in a batch [preset: 60]
    #[arg(long, value_name = "N")]
    batch: Option<String>,
    /// Seed of the weights and of the order of the samples [preset: 1]
    #[arg(long)]
    seed: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum PresetName {
    /// No sparsity penalty and no weight decay
    Normal,
    /// rho 0.02, beta 7.5e-5, lambda 5e-6
    Sparse,
}

impl SettingsArgs {
    /// The settings for a training of so many steps on these samples, on top of those of a
    /// checkpoint that is resumed.
    pub fn settings(
        &self,
        steps: u64,
        train: &Samples,
        resumed: Option<&Settings>,
    ) -> Result<Settings> {
        let preset = match self.preset {
            Some(PresetName::Normal) => Some(Preset::Normal),
            Some(PresetName::Sparse) => Some(Preset::Sparse),
            None => None,
        };
        let mut settings = match (preset, resumed) {
            (None, Some(settings)) => settings.clone(),
            (preset, _) => Settings::preset(preset.unwrap_or(Preset::Sparse)),
        };
        let fresh = preset.is_some() || resumed.is_none();
        if fresh {
            let last = settings.layers.len() - 1;
            (settings.layers[0], settings.layers[last]) = (train.features(), train.features());
            // A sigmoid does not reach other features.
            settings.output_activation = match train.scaling() {
                Scaling::Byte | Scaling::MinMax { .. } => Activation::Sigmoid,
                _ => Activation::Linear,
            };
        }
        let flag = |given: bool| given.then(|| "true".to_owned());
        let (tied, unit_norm) = (flag(self.tied), flag(self.unit_norm));
        for (field, text) in [
            ("layers", &self.layers),
            ("activation", &self.activation),
            ("activations", &self.activations),
            ("output-activation", &self.output_activation),
            ("loss", &self.loss),
            ("code", &self.code),
            ("tied", &tied),
            ("unit-norm", &unit_norm),
            ("init", &self.init),
            ("corrupt", &self.corrupt),
            ("rho", &self.rho),
            ("beta", &self.beta),
            ("l1", &self.l1),
            ("rho-momentum", &self.rho_momentum),
            ("target", &self.target),
            ("lambda", &self.lambda),
            ("optimizer", &self.optimizer),
            ("lr", &self.lr),
            ("schedule", &self.schedule),
            ("warm-up", &self.warm_up),
            ("clip", &self.clip),
            ("beta1", &self.beta1),
            ("beta2", &self.beta2),
            ("epsilon", &self.epsilon),
            ("batch", &self.batch),
            ("seed", &self.seed),
        ] {
            if let Some(text) = text {
                settings.set(field, text, steps)?;
            }
        }
        if !self.penalty.is_empty() {
            settings.penalties.clear();
        }
        for text in &self.penalty {
            settings.set("penalty", text, steps)?;
        }
        if matches!(settings.optimizer, Optimizer::Lbfgs { .. }) && self.batch.is_none() {
            settings.batch = train.len();
        }
        settings.validate()?;
        Ok(settings)
    }
}
