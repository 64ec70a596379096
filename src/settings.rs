//! Everything that decides what a training computes.

mod validate;
#[cfg(feature = "words")]
mod words;

use sae_kernels::{Activation, Loss};

use crate::error::{Error, Result};

/// What a training computes: together with the data, these numbers fix every bit of its result.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Sizes from the input to the output, which are equal, an odd number of 3 to 255; the first
    /// half, up to and with the code, is the encoder.
    pub layers: Vec<usize>,
    /// Activation of the hidden layers.
    pub activation: Activation,
    /// Activation of each hidden layer, instead of one for all; empty for that.
    pub activations: Vec<Activation>,
    /// Activation of the output layer.
    pub output_activation: Activation,
    /// The objective's data term.
    pub loss: Loss,
    /// What of the code's activations is kept.
    pub code: Code,
    /// Whether each layer of the decoder has the weights of its twin in the encoder, transposed.
    pub tied: bool,
    /// Whether the weights from each unit of the code are kept at length 1 (Bricken et al. 2023).
    pub unit_norm: bool,
    /// First weights.
    pub initialisation: Initialisation,
    /// What is done to the input, and is to be undone by the network.
    pub corruption: Corruption,
    /// Target activation of the KL penalty, in (0, 1).
    pub rho: f64,
    /// Weight of the KL penalty, the sum of KL(rho || rho_hat) over the units of the encoder's hidden
    /// layers (Ng 2011); 0 for none. For sigmoids only.
    pub beta: f64,
    /// Weight of the L1 penalty, the encoder's hidden layers' sum of |a|, a mean over samples; 0
    /// for none.
    pub l1: f64,
    /// Penalties of single layers, in place of `rho`, `beta` and `l1` for all of the encoder.
    pub penalties: Vec<LayerPenalty>,
    /// How much of a step's mean activations is that of the steps before, in [0, 1). Above 0 the KL
    /// penalty follows a running mean, which serves where a batch is so short that its own says
    /// little: of 60 samples at rho 0.02 a unit is expected to be active in 1.2. Its gradient is
    /// the KL's at that mean, as if all of it were this batch's (Hinton 2010, section 11).
    pub rho_momentum: f64,
    /// The mean activation or L0 that the sparsity penalties' weights are steered to.
    pub target: Option<Target>,
    /// Weight of the weight decay, half the sum of the squared weights; 0 for none.
    pub lambda: f64,
    /// What makes steps of gradients.
    pub optimizer: Optimizer,
    /// The learning rate, before its schedule.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Steps in which the learning rate rises from 0 to its full.
    pub warm_up: u64,
    /// Longest gradient, the root of its squares over all parameters; longer ones are scaled to it. 0
    /// for no bound.
    pub clip: f64,
    /// Adam's decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Adam's decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Adam's epsilon, above 0.
    pub epsilon: f64,
    /// Samples in a batch. One longer than the data goes through the data as often as it takes: an
    /// epoch ends within it.
    pub batch: usize,
    /// Seed of the weights, of the order of the samples and of their corruption.
    pub seed: u64,
}

/// The seed article's two experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// No sparsity penalty and no weight decay.
    Normal,
    /// rho 0.02, beta 7.5e-5, lambda 5e-6.
    Sparse,
}

/// What of the code's activations is kept; the others become 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Code {
    /// All.
    #[default]
    Dense,
    /// So many of each sample, the largest (Makhzani and Frey 2013; Gao et al. 2024).
    TopK(usize),
    /// So many a sample on average over a batch, the largest of the batch (Bussmann et al. 2024).
    /// Outside of training those above a threshold, the running mean of the smallest that batches
    /// kept.
    BatchTopK(usize),
    /// Those above the unit's threshold, which is learned (Rajamanoharan et al. 2024).
    JumpRelu {
        /// Weight of L0, the activations kept of a sample.
        l0: f64,
        /// Width of the band around a threshold in which samples teach it; also the first
        /// thresholds.
        bandwidth: f64,
    },
}

/// How the first weights are drawn: from a normal distribution cut at two standard deviations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Initialisation {
    /// As the seed article: before the cut a deviation of 0.1, biases 0.1.
    #[default]
    TruncatedNormal,
    /// A deviation of sqrt(2 / (inputs + outputs)), biases 0 (Glorot and Bengio 2010).
    Xavier,
    /// A deviation of sqrt(2 / inputs), biases 0 (He et al. 2015).
    He,
    /// He for the ReLUs, Xavier for the others.
    ByActivation,
}

impl Initialisation {
    /// All of them.
    pub const ALL: [Initialisation; 4] = [
        Initialisation::TruncatedNormal,
        Initialisation::Xavier,
        Initialisation::He,
        Initialisation::ByActivation,
    ];

    /// The name used in settings and files.
    pub fn name(self) -> &'static str {
        match self {
            Initialisation::TruncatedNormal => "truncated-normal",
            Initialisation::Xavier => "xavier",
            Initialisation::He => "he",
            Initialisation::ByActivation => "by-activation",
        }
    }
}

/// What is done to the inputs of a training step; the reconstruction is held against what they
/// were (Vincent et al. 2008).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Corruption {
    /// Nothing.
    #[default]
    None,
    /// Each feature becomes 0 with this probability.
    Masking(f64),
    /// Each feature gets a normal number of this deviation added.
    Gaussian(f64),
}

/// The sparsity penalties of one hidden layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerPenalty {
    /// Which; 0 is the first hidden layer.
    pub layer: usize,
    /// Target activation, in (0, 1).
    pub rho: f64,
    /// Weight of KL(rho || rho_hat), summed over units.
    pub beta: f64,
    /// Weight of |a|, summed over units, a mean over samples.
    pub l1: f64,
}

/// What makes steps of gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015).
    #[default]
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    AdamW {
        /// By this share, times the learning rate, weights shrink in a step.
        decay: f64,
    },
    /// Gradient descent with momentum: `v = momentum v + g`, `w -= rate v`.
    Momentum {
        /// In [0, 1); 0 is plain gradient descent.
        momentum: f64,
    },
    /// L-BFGS over all samples at once (Liu and Nocedal 1989). A step is one of its iterations.
    Lbfgs {
        /// Steps that its picture of the curvature is made from.
        memory: usize,
    },
}

/// How the learning rate changes, from full after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Along half a cosine to 0 (Loshchilov and Hutter 2017, without restarts).
    Cosine {
        /// The step at which it is 0.
        steps: u64,
    },
    /// By a factor at a time.
    Step {
        /// Steps from one change to the next.
        every: u64,
        /// In (0, 1].
        factor: f64,
    },
}

/// What sparsity is wanted: the weights of all sparsity penalties are multiplied by one factor,
/// which is steered until it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Of which hidden layer; 0 is the first.
    pub layer: usize,
    /// What is wanted.
    pub of: Measure,
    /// How much of it.
    pub value: f64,
    /// Steps after which the factor is frozen.
    pub steps: u64,
}

/// How sparse a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// The mean of |a| over samples and units.
    MeanActivation,
    /// Units active in a sample, a mean over samples; see [`Activity`](crate::analysis::Activity).
    L0,
}

impl Measure {
    /// All of them.
    pub const ALL: [Measure; 2] = [Measure::MeanActivation, Measure::L0];

    /// The name used in settings and files.
    pub fn name(self) -> &'static str {
        match self {
            Measure::MeanActivation => "mean-activation",
            Measure::L0 => "l0",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings::preset(Preset::Sparse)
    }
}

impl Settings {
    /// The settings of a preset: 784-300-30-300-784, sigmoid everywhere, Adam at 1e-2, batch 60.
    pub fn preset(preset: Preset) -> Self {
        let (beta, lambda) = match preset {
            Preset::Normal => (0.0, 0.0),
            Preset::Sparse => (7.5e-5, 5e-6),
        };
        Settings {
            layers: vec![784, 300, 30, 300, 784],
            activation: Activation::Sigmoid,
            activations: Vec::new(),
            output_activation: Activation::Sigmoid,
            loss: Loss::SquaredError,
            code: Code::Dense,
            tied: false,
            unit_norm: false,
            initialisation: Initialisation::TruncatedNormal,
            corruption: Corruption::None,
            rho: 0.02,
            beta,
            l1: 0.0,
            penalties: Vec::new(),
            rho_momentum: 0.0,
            target: None,
            lambda,
            optimizer: Optimizer::Adam,
            learning_rate: 1e-2,
            schedule: Schedule::Constant,
            warm_up: 0,
            clip: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            batch: 60,
            seed: 1,
        }
    }

    /// How many of the hidden layers, from the first, belong to the encoder.
    pub fn encoder_layers(&self) -> usize {
        self.layers.len().saturating_sub(1) / 2
    }

    /// Units of the code.
    ///
    /// # Panics
    /// There are no layers.
    pub fn code_units(&self) -> usize {
        self.layers[self.encoder_layers()]
    }

    /// The activation of a layer; layer 0 is the first hidden one, the last the output.
    pub fn activation_of(&self, layer: usize) -> Activation {
        if layer + 2 >= self.layers.len() {
            return self.output_activation;
        }
        self.activations.get(layer).copied().unwrap_or(self.activation)
    }

    /// The sparsity penalties of a hidden layer, if it has one of a weight above 0.
    pub fn penalty_of(&self, layer: usize) -> Option<LayerPenalty> {
        let LayerPenalty { rho, beta, l1, .. } = if self.penalties.is_empty() {
            let &Settings { rho, beta, l1, .. } = self;
            let everywhere = LayerPenalty { layer, rho, beta, l1 };
            Some(everywhere).filter(|_| layer < self.encoder_layers())
        } else {
            self.penalties.iter().copied().find(|penalty| penalty.layer == layer)
        }?;
        (beta > 0.0 || l1 > 0.0).then_some(LayerPenalty { layer, rho, beta, l1 })
    }

    /// Whether a hidden layer's activations are mostly 0 by choice.
    pub(crate) fn is_gated(&self, layer: usize) -> bool {
        self.code != Code::Dense && layer + 1 == self.encoder_layers()
    }

    /// Whether a layer's input has zeros to skip: pixels, and exactly sparse codes.
    pub(crate) fn has_zeros(&self, layer: usize) -> bool {
        layer == 0 || self.is_gated(layer - 1)
    }

    /// Numbers behind the layers' parameters: what the code is gated by.
    pub(crate) fn gate_parameters(&self) -> usize {
        match self.code {
            Code::Dense | Code::TopK(_) => 0,
            Code::BatchTopK(_) => 1,
            Code::JumpRelu { .. } => self.code_units(),
        }
    }

    /// The learning rate of a step; the first is 1. For settings that [`Settings::validate`] accepts.
    pub fn learning_rate_of(&self, step: u64) -> f64 {
        if step <= self.warm_up {
            return self.learning_rate * step as f64 / self.warm_up as f64;
        }
        let factor = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine { steps } => {
                let left = steps.saturating_sub(step.saturating_sub(1)) as f64;
                let share = left / steps.saturating_sub(self.warm_up).max(1) as f64;
                half_cosine(share.clamp(0.0, 1.0))
            }
            Schedule::Step { every, factor } => {
                let times = (step - 1 - self.warm_up.min(step - 1)) / every;
                (0..times.min(1 << 12)).fold(1.0, |product, _| product * factor)
            }
        };
        self.learning_rate * factor
    }

    /// The first setting in which two differ, and its two values.
    #[cfg(feature = "model")]
    pub(crate) fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let (here, there) = (self.to_value(), other.to_value());
        let fields = here.as_object()?;
        let (name, value) = fields.iter().find(|(name, value)| there.get(name) != Some(value))?;
        Some((name.clone(), value.to_string(), there[name].to_string()))
    }
}

/// (1 - cos(pi x)) / 2 for x in [0, 1], by a polynomial: a C library's cosine has other bits
/// elsewhere.
fn half_cosine(x: f64) -> f64 {
    // sin^2(pi x / 2); sin(pi y / 2) as a series in y, exact to 1e-14 in [0, 1].
    let half_pi = core::f64::consts::FRAC_PI_2;
    let angle = half_pi * x;
    let square = angle * angle;
    let mut term = angle;
    let mut sine = angle;
    for n in 1..12 {
        let n = f64::from(n);
        term *= -square / ((2.0 * n) * (2.0 * n + 1.0));
        sine += term;
    }
    sine * sine
}

/// The activation of this name.
///
/// # Errors
/// [`Error::Setting`] that lists the names.
pub fn activation_of(name: &str) -> Result<Activation> {
    Activation::ALL.into_iter().find(|a| a.name() == name).ok_or_else(|| {
        let names = Activation::ALL.map(Activation::name).join(", ");
        Error::setting("activation", format!("'{name}' is not one of {names}"))
    })
}
