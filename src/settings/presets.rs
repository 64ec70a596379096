//! Presets: settings that belong together, each with its source.

use std::fmt;
use std::str::FromStr;

use sae_kernels::{Activation, Loss};

use super::choices::{choices, from_str, one_of};
use super::value::{Kind, Value, refused};
use super::{
    Auxiliary, Code, Initialization, L0Penalty, Optimizer, OutputBias, Prefixes, Schedule, Settings,
};
use crate::error::{Error, Result};

choices! {
    /// Settings to begin with: the article's, those of the dictionaries of interpretability, MATLAB's.
    #[derive(Eq)]
    Preset("preset", steps) {
        /// The article's sparse autoencoder: 784-300-30-300-784, sigmoids, rho 0.02, beta 7.5e-5, lambda
        /// 5e-6, Adam at 1e-2, batch 60.
        Article = "article" | "sparse",
        /// The article's autoencoder without sparsity penalty and weight decay.
        ArticlePlain = "article-plain" | "plain" | "normal",
        /// A small dictionary of images: top-k of 300 units, which show what they respond to.
        ///
        /// The 32 largest activations, batches of 512 and a rate of 2e-3 for 2000 steps. A small weight decay takes
        /// the initial noise out of the weights of pixels that are 0 in nearly all images, and dead units learn
        /// with a full weight after 1000 samples: of drawn digits and of MNIST none of the 300 units is dead (seeds 1
        /// and 2), and 0.92 and 0.91 of the variance are explained. (With the rate, the batch and the auxiliary
        /// weight of top-k 8 to 50 are dead.)
        Images = "images",
        /// The 32 largest activations of each sample (Gao et al. 2024).
        TopK = "top-k" | "topk",
        /// 32 activations per sample on average over a batch (Bussmann et al. 2024).
        BatchTopK = "batch-top-k" | "batchtopk",
        /// Learned thresholds, with a quadratic penalty around 32 activations per sample (Rajamanoharan et
        /// al. 2024).
        JumpRelu = "jump-relu" | "jumprelu",
        /// Batch-top-k with nested reconstructions (Bussmann et al. 2025).
        Matryoshka = "matryoshka",
        /// The defaults of MATLAB's `trainAutoencoder`: 10 hidden units, rho 0.05, L-BFGS.
        ///
        /// MATLAB minimizes the sum of squares of a sample, a mean over samples, plus 1 times the KL penalty
        /// and 0.001 times the weight decay. That is d times the loss here, d being the features: `beta`
        /// is 1 / d and `lambda` 0.001 / d. What differs: L-BFGS in place of scaled conjugate gradients, an
        /// iteration of it a step, of which MATLAB does 1000; initial weights (Xavier); and MATLAB scales
        /// data to [0, 1] by itself, for which the scaling min-max is chosen here.
        Matlab = "matlab",
    }
}

/// The learning rate of the presets of sparse codes at `RATE_UNITS` units. It is proportional to
/// 1 / sqrt(units) (Gao et al. 2024, figure 3). Sparsify and dictionary_learning have 2e-4, for trainings of a
/// billion samples and more. Of 3 million samples of minilm at 4096 units (benches/recipe.py, top-k 32, with AuxK,
/// seed 1), rates of 2e-3, 3e-3 and 4e-3 there explain 0.884, 0.889 and 0.891 of the variance, and 0, 6 and 61
/// units are dead: the second is this one's.
const RATE: f64 = 1.5e-3;
const RATE_UNITS: f64 = 16_384.0;
/// Active units per sample of the presets of sparse codes.
const ACTIVE: usize = 32;
/// Features and steps of the article, for a preset of which neither is known.
const FEATURES: usize = 784;
const STEPS: u64 = 20_000;

impl Preset {
    /// All presets.
    pub const ALL: [Preset; 8] = [
        Preset::Article,
        Preset::ArticlePlain,
        Preset::Images,
        Preset::TopK,
        Preset::BatchTopK,
        Preset::JumpRelu,
        Preset::Matryoshka,
        Preset::Matlab,
    ];
    /// An older name of [`Preset::Article`].
    #[doc(hidden)]
    #[allow(non_upper_case_globals)]
    pub const Sparse: Preset = Preset::Article;
    /// An older name of [`Preset::ArticlePlain`].
    #[doc(hidden)]
    #[allow(non_upper_case_globals)]
    pub const Plain: Preset = Preset::ArticlePlain;

    /// Other names that texts and JSON accept.
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Preset::Article => &["sparse"],
            Preset::ArticlePlain => &["plain", "normal"],
            Preset::TopK => &["topk"],
            Preset::BatchTopK => &["batchtopk"],
            Preset::JumpRelu => &["jumprelu"],
            Preset::Images | Preset::Matryoshka | Preset::Matlab => &[],
        }
    }

    /// What it is for, in one sentence.
    pub fn about(self) -> &'static str {
        match self {
            Preset::Article => "The article's sparse autoencoder: sigmoids, KL and weight decay.",
            Preset::ArticlePlain => "The article's autoencoder without penalties.",
            Preset::Images => {
                "A small top-k dictionary of images, whose units show pen strokes of digits."
            }
            Preset::TopK => "A dictionary of which each sample has the K largest activations.",
            Preset::BatchTopK => {
                "A dictionary of which a sample has K activations on average, hard ones more."
            }
            Preset::JumpRelu => "A dictionary of units that are active above learned thresholds.",
            Preset::Matryoshka => {
                "Nested dictionaries: the first units alone reconstruct the samples, too."
            }
            Preset::Matlab => {
                "The defaults of MATLAB's trainAutoencoder, its weights converted to this objective."
            }
        }
    }

    /// Where the settings are from.
    pub fn source(self) -> &'static str {
        match self {
            Preset::Article | Preset::ArticlePlain => {
                "Tensorflow Day17 Sparse Autoencoder, \
                 https://blog.c1mone.com.tw/tensorflow-note-day-17.html"
            }
            Preset::Images => {
                "Gao et al., Scaling and evaluating sparse autoencoders, 2024, arXiv:2406.04093; rate, \
                 batch and decay chosen on drawn digits and MNIST"
            }
            Preset::TopK => {
                "Gao et al., Scaling and evaluating sparse autoencoders, 2024, arXiv:2406.04093"
            }
            Preset::BatchTopK => {
                "Bussmann et al., BatchTopK sparse autoencoders, 2024, arXiv:2412.06410; the rest as \
                 top-k"
            }
            Preset::JumpRelu => {
                "Rajamanoharan et al., Jumping ahead: improving reconstruction fidelity with JumpReLU \
                 sparse autoencoders, 2024, arXiv:2407.14435; the rest as top-k"
            }
            Preset::Matryoshka => {
                "Bussmann et al., Learning multi-level features with Matryoshka sparse autoencoders, \
                 2025, arXiv:2503.17547; the rest as top-k"
            }
            Preset::Matlab => {
                "MathWorks, trainAutoencoder (Deep Learning Toolbox), \
                 https://www.mathworks.com/help/deeplearning/ref/trainautoencoder.html"
            }
        }
    }

    /// The usual number of steps: 20 000, of images 2000, and of MATLAB's preset 1000, one an epoch.
    pub fn steps(self) -> u64 {
        match self {
            Preset::Images => 2000,
            Preset::Matlab => 1000,
            _ => STEPS,
        }
    }

    /// The layers for data of some features, where none are given: those of the article, 300 units of images,
    /// MATLAB's 10 hidden units, and of the sparse codes four units for each feature, 128 to 16 384.
    pub fn layers(self, features: usize) -> Vec<usize> {
        let hidden = match self {
            Preset::Article | Preset::ArticlePlain => vec![300, 30, 300],
            Preset::Images => vec![300],
            Preset::Matlab => vec![10],
            _ => vec![features.saturating_mul(4).clamp(4 * ACTIVE, 16_384)],
        };
        [vec![features], hidden, vec![features]].concat()
    }

    /// The settings of this preset for a network of these layers and a training of this number of steps.
    ///
    /// Those of the sparse codes depend on both: the learning rate follows the code's units, the warm-up
    /// and the decay of the rate follow the steps. Without steps (`None`) the rate does not decay. So
    /// give the layers here, and what else differs behind: `Settings { batch: 512,
    /// ..Preset::TopK.settings(vec![384, 4096, 384], 3000) }`. [`Settings::fitted_to`] then has the
    /// defaults that depend on the data.
    pub fn settings(self, layers: Vec<usize>, steps: impl Into<Option<u64>>) -> Settings {
        let steps = steps.into().filter(|&steps| steps > 0);
        // Nothing here may fail for layers that make no sense: they are refused with the other settings.
        let units = layers.get(layers.len() / 2).map_or(1, |&units| units.max(1));
        let k = ACTIVE.min(units.div_ceil(4));
        let recipe = |code| Settings { code, ..recipe(layers.clone(), units, steps) };
        match self {
            Preset::Article => Settings { layers, ..Settings::default() },
            Preset::ArticlePlain => {
                Settings { layers, beta: 0.0, lambda: 0.0, ..Settings::default() }
            }
            Preset::Images => images(recipe(Code::TopK(k))),
            Preset::TopK => recipe(Code::TopK(k)),
            Preset::BatchTopK => recipe(Code::BatchTopK(k)),
            Preset::JumpRelu => Settings {
                sparsity_warm_up: warm_up(steps),
                l0_penalty: L0Penalty::Quadratic(k as f64),
                ..recipe(jump_relu(k, units))
            },
            Preset::Matryoshka => {
                Settings { prefixes: Prefixes::PowersOfTwo, ..recipe(Code::BatchTopK(k)) }
            }
            Preset::Matlab => matlab(layers),
        }
    }
}

/// The recipe of sparse codes with what suits few units and images, most of whose borders are empty.
fn images(recipe: Settings) -> Settings {
    let auxiliary = match recipe.auxiliary {
        Auxiliary::AuxK { units, .. } => Auxiliary::AuxK { weight: 1.0, units },
        other => other,
    };
    Settings {
        auxiliary,
        learning_rate: 2e-3,
        batch: 512,
        lambda: 3e-6,
        dead_after: 1000,
        ..recipe
    }
}

/// A JumpReLU code of which about `k` units are active from the first step on.
///
/// Its initial thresholds are the upper k/units quantile of normally distributed pre-activations, relative to the root
/// mean square of what is positive of them, 1 / sqrt(2). From lower ones, thousands of units are active at
/// first, which learn to share a sample among them: of minilm (benches/recipe.py, seed 1) initial thresholds of
/// 0.1, 2.4, 3 and 3.6 lead to explained variances of 0.835, 0.877, 0.886 and 0.89 at the same L0.
fn jump_relu(k: usize, units: usize) -> Code {
    let threshold = 2f64.sqrt() * upper_quantile((k as f64 / units as f64).min(0.5)).max(0.0);
    // A text that is easy to read.
    let threshold = (100.0 * threshold).round() / 100.0;
    Code::JumpRelu { l0: 1.0, bandwidth: 1.0, threshold }
}

/// What a standard normal variable exceeds with probability `p`, at most 0.5, to 4.5e-4 (Abramowitz and Stegun
/// 1964, formula 26.2.23).
fn upper_quantile(p: f64) -> f64 {
    let t = (-2.0 * p.ln()).sqrt();
    let above = 2.515517 + t * (0.802853 + t * 0.010328);
    t - above / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
}

/// What the presets of sparse codes have in common.
fn recipe(layers: Vec<usize>, units: usize, steps: Option<u64>) -> Settings {
    // It needs one hidden layer.
    let auxiliary = match layers.len() {
        3 => Auxiliary::AuxK { weight: 1.0 / 32.0, units: 0 },
        _ => Auxiliary::None,
    };
    Settings {
        layers,
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        loss: Loss::Fvu,
        unit_norm: true,
        initialization: Initialization::Transpose,
        output_bias: OutputBias::Mean,
        beta: 0.0,
        lambda: 0.0,
        learning_rate: RATE * (RATE_UNITS / units as f64).sqrt(),
        schedule: steps.map_or(Schedule::Constant, |steps| Schedule::Linear { share: 0.2, steps }),
        warm_up: warm_up(steps),
        epsilon: 6.25e-10,
        batch: 1024,
        auxiliary,
        ..Settings::default()
    }
}

/// A twentieth of the steps, 1000 at most.
fn warm_up(steps: Option<u64>) -> u64 {
    steps.map_or(1000, |steps| (steps / 20).min(1000))
}

/// MATLAB minimizes (1/n) sum (a_L - x)^2 + 0.001 R + 1 S: d times our loss, so its weights are divided by
/// the d features.
fn matlab(layers: Vec<usize>) -> Settings {
    let features = layers.first().map_or(1.0, |&features| features.max(1) as f64);
    Settings {
        layers,
        initialization: Initialization::Xavier,
        rho: 0.05,
        beta: 1.0 / features,
        lambda: 1e-3 / features,
        optimizer: Optimizer::Lbfgs { memory: 10 },
        ..Settings::default()
    }
}

impl Settings {
    /// The settings of a preset for 784 features and its usual number of steps; see [`Preset::settings`].
    pub fn preset(preset: Preset) -> Self {
        preset.settings(preset.layers(FEATURES), preset.steps())
    }

    /// The settings that options begin with: those of the preset that they name, for the layers that they
    /// name or else the preset's for these features.
    pub(crate) fn preset_of<'a>(
        options: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        features: impl Into<Option<usize>>,
        steps: Option<u64>,
    ) -> Result<Self> {
        let text_of = |name: &str| options.clone().filter(|of| of.0 == name).last().map(|of| of.1);
        let preset: Preset = text_of("preset").map_or(Ok(Preset::Article), str::parse)?;
        let layers = preset.layers(features.into().unwrap_or(FEATURES));
        let mut base = Settings { layers, ..Settings::default() };
        if let Some(layers) = text_of("layers") {
            base.set("layers", layers, steps)?;
        }
        Ok(preset.settings(base.layers, steps))
    }

    /// The settings that options give, each a name and a text as [`Settings::set`] takes them, without
    /// data to fit them to.
    ///
    /// # Errors
    /// As for [`Settings::with_options`].
    #[doc(hidden)]
    pub fn completed(options: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<Settings> {
        let options = options.iter().map(|(name, text)| (name.as_ref(), text.as_ref()));
        let mut settings = Settings::preset_of(options.clone(), None, None)?;
        for (name, text) in options.filter(|(name, _)| *name != "preset") {
            settings.set(name, text, None)?;
        }
        settings.validate()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases() {
        let names = Preset::ALL.map(|preset| preset.name());
        let (last, others) = names.split_last().unwrap();
        assert_eq!(Preset::expected(), format!("{} or {last}", others.join(", ")));
        for preset in Preset::ALL {
            for name in [preset.name()].iter().chain(preset.aliases()) {
                assert_eq!(name.parse::<Preset>().unwrap(), preset);
            }
            assert!(preset.about().ends_with('.') && !preset.source().is_empty());
        }
        let problem = "dense".parse::<Preset>().unwrap_err().to_string();
        assert!(
            problem.starts_with("preset: expected article, article-plain, images, top-k"),
            "{problem}"
        );
    }

    #[test]
    fn all_are_valid_for_any_layers_that_are() {
        for preset in Preset::ALL {
            for steps in [None, Some(0), Some(1), Some(7), Some(3000), Some(u64::MAX)] {
                for layers in
                    [preset.layers(3), preset.layers(384), vec![2, 1, 2], vec![9, 5, 4, 5, 9]]
                {
                    let settings = preset.settings(layers.clone(), steps);
                    // Prefixes are those of one hidden layer.
                    let fits = preset != Preset::Matryoshka || layers.len() == 3;
                    assert_eq!(settings.validate().is_ok(), fits, "{settings:?}");
                    assert_eq!(settings.layers, layers);
                }
            }
            for layers in [vec![], vec![3], vec![0, 0, 0]] {
                assert!(preset.settings(layers, 10).validate().is_err());
            }
        }
    }

    #[test]
    fn what_follows_the_layers_and_the_steps() {
        let settings = Preset::TopK.settings(vec![384, 4096, 384], 3000);
        assert_eq!(settings.learning_rate, 2.0 * RATE);
        assert_eq!((settings.code, settings.warm_up), (Code::TopK(32), 150));
        assert_eq!(settings.schedule, Schedule::Linear { share: 0.2, steps: 3000 });
        assert_eq!(Preset::BatchTopK.settings(vec![8, 64, 8], 3000).code, Code::BatchTopK(16));
        let jump_relu = Code::JumpRelu { l0: 1.0, bandwidth: 1.0, threshold: 3.42 };
        assert_eq!(Preset::JumpRelu.settings(vec![384, 4096, 384], 3000).code, jump_relu);
        // Of tables: 0.1 % are above 3.0902, half above 0.
        assert!(
            (upper_quantile(1e-3) - 3.0902).abs() < 4.5e-4 && upper_quantile(0.5).abs() < 4.5e-4
        );
        assert_eq!(Preset::TopK.layers(384), [384, 1536, 384]);
        assert_eq!(Preset::TopK.layers(10), [10, 128, 10]);
        assert_eq!(Preset::TopK.layers(usize::MAX)[1], 16_384);
        let matlab = Preset::Matlab.settings(vec![50, 10, 50], 1000);
        assert_eq!((matlab.rho, matlab.beta, matlab.lambda), (0.05, 0.02, 2e-5));
        assert_eq!(Settings::preset(Preset::Matlab).layers, [784, 10, 784]);
        let images = Settings::preset(Preset::Images);
        assert_eq!((images.layers, images.code), (vec![784, 300, 784], Code::TopK(32)));
        assert_eq!(images.schedule, Schedule::Linear { share: 0.2, steps: 2000 });
    }

    #[test]
    fn options_change_a_preset_whatever_their_order() {
        let options = [("code", "top-k:5"), ("layers", "9,64,9"), ("preset", "topk")];
        let settings = Settings::completed(&options).unwrap();
        let expected = Preset::TopK.settings(vec![9, 64, 9], None);
        assert_eq!(settings, Settings { code: Code::TopK(5), ..expected });
        assert_eq!(settings.schedule, Schedule::Constant);
        assert_eq!(Settings::completed(&[("", ""); 0]).unwrap(), Settings::default());
        for (name, text) in [("layers", "9,x,9"), ("preset", "none"), ("rho", "2"), ("roh", "1")] {
            assert!(Settings::completed(&[(name, text)]).is_err());
        }
    }
}
