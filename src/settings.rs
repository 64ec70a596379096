//! Everything that decides what a training computes.

use sae_kernels::Activation;

use crate::error::{Error, Result};

/// Most sizes of layers: what a model file's header has room for.
const MAX_LAYERS: usize = 255;

/// What a training computes: together with the data, these numbers fix every bit of its result.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Sizes from the input to the output, which are equal, an odd number of 3 to 255; the first
    /// half, up to and with the code, is the encoder.
    pub layers: Vec<usize>,
    /// Activation of the hidden layers.
    pub activation: Activation,
    /// Activation of the output layer.
    pub output_activation: Activation,
    /// Target activation of the sparsity penalty, in (0, 1).
    pub rho: f64,
    /// Weight of the sparsity penalty (KL, over the encoder's hidden layers); 0 for none.
    pub beta: f64,
    /// Weight of the weight decay; 0 for none.
    pub lambda: f64,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Adam's decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Adam's decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Adam's epsilon, above 0.
    pub epsilon: f64,
    /// Samples in a batch. One longer than the data goes through the data as often as it takes: an
    /// epoch ends within it.
    pub batch: usize,
    /// Seed of the weights and of the order of the samples.
    pub seed: u64,
}

/// The seed article's two experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// No sparsity penalty and no weight decay.
    Normal,
    /// rho 0.02, beta 7.5e-5, lambda 5e-6.
    Sparse,
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
            output_activation: Activation::Sigmoid,
            rho: 0.02,
            beta,
            lambda,
            learning_rate: 1e-2,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            batch: 60,
            seed: 1,
        }
    }

    /// How many of the hidden layers, from the first, belong to the encoder and bear the sparsity
    /// penalty.
    pub fn encoder_layers(&self) -> usize {
        self.layers.len().saturating_sub(1) / 2
    }

    /// How many of the hidden layers, from the first, bear the sparsity penalty: the encoder's, or
    /// none where beta is 0.
    pub(crate) fn penalised_layers(&self) -> usize {
        if self.beta > 0.0 { self.encoder_layers() } else { 0 }
    }

    /// Units of the code.
    pub fn code(&self) -> usize {
        self.layers[self.encoder_layers()]
    }

    /// The first setting in which two differ, and its two values.
    #[cfg(feature = "model")]
    pub(crate) fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        macro_rules! first_of {
            ($($field:ident)*) => {$(
                if self.$field != other.$field {
                    let text = |settings: &Self| format!("{:?}", settings.$field);
                    return Some((stringify!($field), text(self), text(other)));
                }
            )*};
        }
        let Settings {
            layers: _,
            activation: _,
            output_activation: _,
            rho: _,
            beta: _,
            lambda: _,
            learning_rate: _,
            beta1: _,
            beta2: _,
            epsilon: _,
            batch: _,
            seed: _,
        } = self;
        first_of! {
            layers activation output_activation rho beta lambda learning_rate beta1 beta2 epsilon
            batch seed
        }
        None
    }

    /// Fails if a training with these sizes has no chance of finding its memory, which would abort.
    pub(crate) fn check_memory(&self) -> Result<()> {
        let sizes: u128 = self.layers.iter().map(|&units| units as u128).sum();
        // The parameters and Adam's two moments; activations and their gradients of a batch.
        let bytes = 4 * (3 * self.parameters() + 2 * sizes * self.batch as u128);
        let fits = isize::try_from(bytes)
            .is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes as usize).is_ok());
        if fits {
            return Ok(());
        }
        let problem = format!("these sizes and this batch take {} GB of memory", bytes >> 30);
        Err(Error::setting("layers", problem))
    }

    /// How many parameters the layers have; the sum of sizes from a file may be any number.
    fn parameters(&self) -> u128 {
        let pairs = self.layers.windows(2);
        pairs.map(|pair| (pair[0] as u128 + 1) * pair[1] as u128).sum()
    }

    /// # Errors
    /// [`Error::Setting`] for the first value that makes no sense.
    pub fn validate(&self) -> Result<()> {
        let layers = &self.layers;
        if layers.len() > MAX_LAYERS {
            let count = layers.len();
            let problem = format!("{count} sizes given; at most {MAX_LAYERS} were expected");
            return Err(Error::setting("layers", problem));
        }
        if layers.len() < 3 || layers.len().is_multiple_of(2) {
            let count = layers.len();
            return Err(Error::setting(
                "layers",
                format!(
                    "{count} sizes given; an odd number of at least 3 was expected, as in 784,300,30,300,784"
                ),
            ));
        }
        if let Some(at) = layers.iter().position(|&units| units == 0 || units > 1 << 24) {
            return Err(Error::setting(
                "layers",
                format!("size {} (number {}) is not from 1 to 16777216", layers[at], at + 1),
            ));
        }
        if layers[0] != layers[layers.len() - 1] {
            return Err(Error::setting(
                "layers",
                format!(
                    "the first size, {}, and the last, {}, differ; an autoencoder gives back what it takes",
                    layers[0],
                    layers[layers.len() - 1]
                ),
            ));
        }
        if self.parameters() > isize::MAX as u128 / 4 {
            let problem = "these sizes have more parameters than memory can address";
            return Err(Error::setting("layers", problem));
        }
        let number = |field, value: f64, good: bool, expected: &str| {
            if good {
                Ok(())
            } else {
                Err(Error::setting(field, format!("{value:?} is not {expected}")))
            }
        };
        // Beyond these bounds, far from any use, `f32` turns a setting into 0, 1 or infinity.
        let rho = 1e-6..=1.0 - 1e-6;
        let expected = "between 0 and 1, at least 1e-6 from both";
        number("rho", self.rho, rho.contains(&self.rho), expected)?;
        let weights = 0.0..=1e9;
        number("beta", self.beta, weights.contains(&self.beta), "from 0 to 1e9")?;
        number("lambda", self.lambda, weights.contains(&self.lambda), "from 0 to 1e9")?;
        let rate = self.learning_rate;
        number("learning_rate", rate, rate > 0.0 && rate <= 1e9, "above 0 and at most 1e9")?;
        let decay = "from 0 to below 1";
        number("beta1", self.beta1, (0.0..1.0).contains(&self.beta1), decay)?;
        number("beta2", self.beta2, (0.0..1.0).contains(&self.beta2), decay)?;
        let epsilon = self.epsilon;
        number("epsilon", epsilon, epsilon > 1e-30 && epsilon < 1.0, "between 1e-30 and 1")?;
        if self.batch == 0 || self.batch > 1 << 24 {
            return Err(Error::setting(
                "batch",
                format!("{} samples; 1 to 16777216 were expected", self.batch),
            ));
        }
        if self.beta > 0.0 && self.activation != Activation::Sigmoid {
            return Err(Error::setting(
                "beta",
                format!(
                    "the KL penalty needs activations in (0, 1), which {} (field activation) does not give; use sigmoid, or beta 0 (L1 and top-k serve such layers)",
                    self.activation.name()
                ),
            ));
        }
        Ok(())
    }
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
