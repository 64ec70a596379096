//! The choices among settings, each with one grammar: a name, and its numbers behind colons.

use std::fmt;
use std::str::FromStr;

use sae_kernels::{Activation, Loss};

use super::value::{Kind, Value, refused};
use crate::error::{Error, Result};

macro_rules! from_str {
    ($type:ident, $field:literal) => {
        impl FromStr for $type {
            type Err = Error;

            /// The one of this text. What depends on the training's steps must be in it.
            fn from_str(text: &str) -> Result<Self> {
                let read = <$type as Value>::read(text, None);
                read.ok_or_else(|| refused($field, &$type::expected(), &format!("'{text}'")))
            }
        }
    };
}

macro_rules! display {
    ($type:ident, $field:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text())
            }
        }

        from_str!($type, $field);
    };
}

/// Makes enums and their text of variants `Name { part: type = default } = "name" | "alias"`. A
/// default is an option; `$steps` names the steps of the training, if they are known.
macro_rules! choices {
    ($(
        $(#[$about:meta])*
        $type:ident($field:literal, $steps:ident) {$(
            $(#[$doc:meta])*
            $variant:ident
                $(($one:ident: $one_type:ty))?
                $({ $($(#[$of:meta])* $part:ident: $part_type:ty $(= $default:expr)?,)+ })?
                = $name:literal $(| $alias:literal)*,
        )+}
    )+) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$doc])* $variant $(($one_type))? $({ $($(#[$of])* $part: $part_type,)+ })?,)+
        }

        impl $type {
            /// The name in text and files, without the numbers behind it.
            #[doc(hidden)]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                }
            }

            /// The shortest text of it: without numbers at its end that a text may leave out.
            #[doc(hidden)]
            #[allow(unused_variables, unused_mut)]
            pub fn brief(&self) -> String {
                let $steps: Option<u64> = None;
                match self {$(
                    Self::$variant $(($one))? $({ $($part),+ })? => {
                        let mut parts = vec![($name.to_owned(), false)];
                        $(parts.push(($one.text(), false));)?
                        $($(parts.push((
                            $part.text(),
                            [$($default,)? None][0] == Some(*$part),
                        ));)+)?
                        while parts.last().is_some_and(|(_, is_default)| *is_default) {
                            parts.pop();
                        }
                        let parts: Vec<String> = parts.into_iter().map(|(text, _)| text).collect();
                        parts.join(":")
                    }
                )+}
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {$(
                    Self::$variant $(($one))? $({ $($part),+ })? => {
                        let parts = [$name.to_owned(), $($one.text(),)? $($($part.text(),)+)?];
                        f.pad(&parts.join(":"))
                    }
                )+}
            }
        }

        impl Value for $type {
            const KIND: Kind = Kind::Choice;

            fn expected() -> String {
                one_of(&[$([
                    $name.to_owned(),
                    $(part(stringify!($one), &[]),)?
                    $($(part(stringify!($part), &[$(stringify!($default))?]),)+)?
                ].concat()),+])
            }

            #[allow(unused_variables)]
            fn read(text: &str, $steps: Option<u64>) -> Option<Self> {
                let mut parts = text.split(':');
                let name = parts.next()?;
                $(if [$name, $($alias),*].contains(&name) {
                    let read = Self::$variant
                        $((next::<$one_type>(&mut parts, None)?))?
                        $({ $($part: next(&mut parts, [$($default,)? None][0])?,)+ })?;
                    return parts.next().is_none().then_some(read);
                })+
                None
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }

        from_str!($type, $field);
    )+};
}

pub(super) use {choices, display, from_str};

/// `a, b or c`.
pub(super) fn one_of(names: &[String]) -> String {
    let (last, others) = names.split_last().expect("there are names");
    if others.is_empty() { last.clone() } else { format!("{} or {last}", others.join(", ")) }
}

/// A number behind a name, in the grammar.
pub(super) fn part(name: &str, default: &[&str]) -> String {
    let name = name.to_uppercase();
    if default.is_empty() { format!(":{name}") } else { format!("[:{name}]") }
}

/// The next of a text's parts, or the default where there is none.
pub(super) fn next<'a, T: Value>(
    parts: &mut impl Iterator<Item = &'a str>,
    default: Option<T>,
) -> Option<T> {
    parts.next().map_or(default, |text| T::read(text, None))
}

choices! {
    /// Which of the code's activations are kept; the others become 0.
    #[derive(Default)]
    Code("code", steps) {
        /// All: `dense`.
        #[default]
        Dense = "dense",
        /// The K largest of each sample (Makhzani and Frey 2013; Gao et al. 2024): `top-k:32`.
        TopK(k: usize) = "top-k",
        /// The K largest per sample on average over a batch (Bussmann et al. 2024): `batch-top-k:32`.
        ///
        /// Outside of training those above a threshold, the running mean of the smallest activation
        /// that was kept in a batch.
        BatchTopK(k: usize) = "batch-top-k",
        /// Those above the unit's learned threshold (Rajamanoharan et al. 2024):
        /// `jump-relu:0.01:0.1:0.1`.
        ///
        /// Thresholds and bandwidth are relative to the scale of the code: the root mean square of
        /// its activations before the first step.
        JumpRelu {
            /// Weight of L0, the number of active units in a sample.
            l0: f64,
            /// Width of the band around a threshold in which samples teach it. 0.1 if a text
            /// leaves it out.
            bandwidth: f64 = Some(0.1),
            /// Initial thresholds. 0.1 if a text leaves it out.
            threshold: f64 = Some(0.1),
        } = "jump-relu",
    }

    /// What units of a sparse code learn from that have not been active for long
    /// ([`Settings::dead_after`](crate::Settings)).
    ///
    /// UNITS is how many of them each sample trains at most, those of its largest pre-activations; 0, also if
    /// a text leaves it out, is half as many as there are features.
    #[derive(Default)]
    Auxiliary("auxiliary", steps) {
        /// Nothing: `none`.
        #[default]
        None = "none",
        /// To reconstruct what the others leave over (AuxK, Gao et al. 2024): `aux-k:0.03125`.
        ///
        /// The squared error of that, a mean over samples and features, is added to the objective. The
        /// output's biases have no part in it, and what is left over is taken as a constant.
        AuxK {
            /// Weight beside the loss, reduced where fewer than UNITS are dead. 1/32 if a text leaves it out.
            weight: f64 = Some(1.0 / 32.0),
            /// Units that a sample trains at most.
            units: usize = Some(0),
        } = "aux-k",
        /// To come nearer to their thresholds (Conerly et al. 2025), of a JumpReLU code:
        /// `pre-activation:3e-6`.
        ///
        /// The sum of max(0, threshold - pre-activation) over those units, a mean over samples, is added to
        /// the objective.
        PreActivation {
            /// Weight of the sum.
            weight: f64,
            /// Units that a sample trains at most.
            units: usize = Some(0),
        } = "pre-activation",
    }

    /// How weights are initialized: from a normal distribution cut at two standard deviations.
    #[derive(Default, Eq)]
    Initialization("initialization", steps) {
        /// As in the article: before the cut a deviation of 0.1, biases 0.1.
        #[default]
        TruncatedNormal = "truncated-normal",
        /// A deviation of sqrt(2 / (inputs + outputs)), biases 0 (Glorot and Bengio 2010).
        Xavier = "xavier",
        /// A deviation of sqrt(2 / inputs), biases 0 (He et al. 2015).
        He = "he",
        /// He for the ReLUs, Xavier for the others.
        ByActivation = "by-activation",
        /// The encoder's weights as for `he`, and the decoder's the same, transposed; the weights to
        /// and from each unit of the code are one vector of length 1 (Gao et al. 2024).
        ///
        /// In a deep network each layer of the decoder begins as the transpose of the layer of the
        /// encoder opposite to it; only the weights around the code are scaled. Needs sizes that mirror
        /// each other, and no tied weights.
        Transpose = "transpose",
    }

    /// What the output layer's biases are before the first step.
    #[derive(Default, Eq)]
    OutputBias("output_bias", steps) {
        /// The data's mean where the output is linear, otherwise as for `zero`.
        #[default]
        Auto = "auto",
        /// What [`Initialization`] gives biases, mostly 0.
        Zero = "zero",
        /// The data's mean, and the first layer's biases such that its units see the data as if
        /// the mean were subtracted from them. Needs a linear output.
        Mean = "mean",
    }

    /// What is done to the inputs of a training step; the reconstruction is compared with the
    /// inputs as they were (Vincent et al. 2008).
    #[derive(Default)]
    Corruption("corruption", steps) {
        /// Nothing: `none`.
        #[default]
        None = "none",
        /// Each feature becomes 0 with this probability: `masking:0.25`.
        Masking(share: f64) = "masking",
        /// Each feature gets a normal number of this deviation added: `gaussian:0.1`.
        Gaussian(deviation: f64) = "gaussian",
    }

    /// What turns gradients into steps.
    #[derive(Default)]
    Optimizer("optimizer", steps) {
        /// Adam (Kingma and Ba 2015): `adam`.
        #[default]
        Adam = "adam",
        /// Adam, by which units of a sparse code that are not active in a batch stay as they are, and
        /// their moments, as PyTorch's `SparseAdam` does it: `adam-lazy`. Most rows of a large dictionary
        /// are left untouched in a step.
        AdamLazy = "adam-lazy",
        /// Adam with decoupled weight decay (Loshchilov and Hutter 2019): `adamw:0.01`.
        AdamW {
            /// In a step weights shrink by this share, times the learning rate. 0.01 if a text
            /// leaves it out.
            decay: f64 = Some(0.01),
        } = "adamw",
        /// Gradient descent with momentum, `v = momentum v + g`, `w -= rate v`: `momentum:0.9`.
        Momentum {
            /// In [0, 1); 0 is plain gradient descent. 0.9 if a text leaves it out.
            momentum: f64 = Some(0.9),
        } = "momentum",
        /// L-BFGS over all samples at once (Liu and Nocedal 1989), one iteration a step:
        /// `l-bfgs:10`.
        Lbfgs {
            /// Steps that the inverse-Hessian approximation is made of. 10 if a text leaves it out.
            memory: usize = Some(10),
        } = "l-bfgs",
    }

    /// How the learning rate changes after the warm-up.
    #[derive(Default)]
    Schedule("schedule", of_training) {
        /// Not at all: `constant`.
        #[default]
        Constant = "constant",
        /// Along half a cosine to 0 (Loshchilov and Hutter 2017, without restarts): `cosine:20000`.
        Cosine {
            /// The step at which it is 0; those of the training if a text leaves it out.
            steps: u64 = of_training,
        } = "cosine",
        /// Constant, and over the last share of the steps linearly to 0: `linear:0.2:20000`.
        Linear {
            /// Which share of the steps the decay takes, in (0, 1]; it does not begin within the warm-up.
            share: f64,
            /// The step at which it is 0; those of the training if a text leaves it out.
            steps: u64 = of_training,
        } = "linear",
        /// By a factor at a time: `step:100:0.5`.
        Step {
            /// Steps from one change to the next.
            every: u64,
            /// In (0, 1].
            factor: f64,
        } = "step",
    }

    /// The order in which an epoch has the samples.
    #[derive(Default, Eq)]
    SampleOrder("order", steps) {
        /// All samples shuffled, which takes 4 bytes of memory a sample: `shuffle`.
        #[default]
        Shuffle = "shuffle",
        /// Blocks of neighboring samples in a random order, and the samples of every 16 blocks, a window,
        /// shuffled: `window:100000`. A disk reads whole blocks, and memory is for a window alone.
        Window {
            /// Samples of a window.
            samples: usize,
        } = "window",
        /// One after another, as the files have them: `sequential`.
        Sequential = "sequential",
    }

    /// How sparse a layer is.
    #[derive(Eq)]
    Measure("measure", steps) {
        /// The mean of |a| over samples and units.
        MeanActivation = "mean-activation",
        /// Units active in a sample, a mean over samples; see
        /// [`Activity`](crate::analysis::Activity).
        L0 = "l0",
    }
}

/// Makes enums of the kernels settings.
macro_rules! names {
    ($type:ident) => {
        impl Value for $type {
            const KIND: Kind = Kind::Choice;

            fn expected() -> String {
                one_of(&$type::ALL.map(|one| one.name().to_owned()))
            }

            fn read(text: &str, _: Option<u64>) -> Option<Self> {
                $type::ALL.into_iter().find(|one| one.name() == text)
            }

            fn text(&self) -> String {
                self.name().to_owned()
            }
        }
    };
}

names!(Activation);
names!(Loss);

#[cfg(test)]
mod tests {
    use super::super::penalties::{LayerPenalty, Target};
    use super::*;

    #[test]
    fn every_choice_comes_back_from_its_text() {
        #[track_caller]
        fn check<T: Value + PartialEq + std::fmt::Debug>(texts: &[(&str, T)]) {
            for (text, value) in texts {
                assert_eq!(T::read(text, None).as_ref(), Some(value), "{text}");
                assert_eq!(value.text(), *text);
            }
        }
        check(&[("he", Initialization::He), ("xavier", Initialization::Xavier)]);
        check(&[("transpose", Initialization::Transpose)]);
        check(&[("mean-activation", Measure::MeanActivation), ("l0", Measure::L0)]);
        check(&Activation::ALL.map(|one| (one.name(), one)));
        check(&Loss::ALL.map(|one| (one.name(), one)));
        check(&[
            ("dense", Code::Dense),
            ("top-k:32", Code::TopK(32)),
            ("batch-top-k:4", Code::BatchTopK(4)),
            ("jump-relu:0.01:0.1:0.2", Code::JumpRelu { l0: 0.01, bandwidth: 0.1, threshold: 0.2 }),
        ]);
        check(&[
            ("none", Auxiliary::None),
            ("aux-k:0.03125:0", Auxiliary::AuxK { weight: 1.0 / 32.0, units: 0 }),
            ("pre-activation:3e-6:9", Auxiliary::PreActivation { weight: 3e-6, units: 9 }),
        ]);
        for (choice, brief) in [
            ("aux-k:0.03125:0", "aux-k"),
            ("aux-k:0.5:0", "aux-k:0.5"),
            ("aux-k:0.03125:9", "aux-k:0.03125:9"),
            ("pre-activation:3e-6:0", "pre-activation:3e-6"),
            ("none", "none"),
        ] {
            assert_eq!(choice.parse::<Auxiliary>().unwrap().brief(), brief);
        }
        let code: Code = "jump-relu:0.01:0.1:0.1".parse().unwrap();
        assert_eq!(code.brief(), "jump-relu:0.01");
        assert_eq!(Schedule::Cosine { steps: 9 }.brief(), "cosine:9");
        check(&[
            ("none", Corruption::None),
            ("masking:0.25", Corruption::Masking(0.25)),
            ("gaussian:0.1", Corruption::Gaussian(0.1)),
        ]);
        check(&[(
            "1:rho=0.02:beta=0.1:l1=0",
            LayerPenalty { layer: 0, rho: 0.02, beta: 0.1, l1: 0.0 },
        )]);
        check(&[
            ("adam", Optimizer::Adam),
            ("adamw:0.01", Optimizer::AdamW { decay: 0.01 }),
            ("momentum:0.9", Optimizer::Momentum { momentum: 0.9 }),
            ("l-bfgs:10", Optimizer::Lbfgs { memory: 10 }),
        ]);
        check(&[
            ("constant", Schedule::Constant),
            ("cosine:20000", Schedule::Cosine { steps: 20_000 }),
            ("linear:0.2:20000", Schedule::Linear { share: 0.2, steps: 20_000 }),
            ("step:100:0.5", Schedule::Step { every: 100, factor: 0.5 }),
        ]);
        let (of, value) = (Measure::MeanActivation, 0.05);
        let target = Target { layer: 0, of, value, steps: 18_000 };
        check(&[("none", None), ("mean-activation:0.05:1:18000", Some(target))]);
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let read = |text: &str| Schedule::read(text, Some(1000));
        assert_eq!(read("cosine"), Some(Schedule::Cosine { steps: 1000 }));
        let linear = |steps| Some(Schedule::Linear { share: 0.25, steps });
        assert_eq!(read("linear:0.25"), linear(1000));
        assert_eq!(read("linear:0.25:40"), linear(40));
        let target = Target { layer: 0, of: Measure::L0, value: 12.0, steps: 900 };
        assert_eq!(Target::read("l0:12", Some(1000)), Some(target));
        assert_eq!(Target::read("l0:12:2", Some(1000)), Some(Target { layer: 1, ..target }));
        assert_eq!("adamw".parse::<Optimizer>().unwrap(), Optimizer::AdamW { decay: 0.01 });
        let code: Code = "jump-relu:0.01".parse().unwrap();
        assert_eq!(code, Code::JumpRelu { l0: 0.01, bandwidth: 0.1, threshold: 0.1 });
        let aux_k = Auxiliary::AuxK { weight: 1.0 / 32.0, units: 0 };
        assert_eq!("aux-k".parse::<Auxiliary>().unwrap(), aux_k);
        let penalty: LayerPenalty = "2:l1=1e-4".parse().unwrap();
        assert_eq!(penalty, LayerPenalty { layer: 1, rho: 0.02, beta: 0.0, l1: 1e-4 });
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let expected = "adam, adam-lazy, adamw[:DECAY], momentum[:MOMENTUM] or l-bfgs[:MEMORY]";
        assert_eq!(Optimizer::expected(), expected);
        let problem = "top-k:3:4".parse::<Code>().unwrap_err().to_string();
        assert!(problem.starts_with("code: expected dense, top-k:K"), "{problem}");
        assert!(problem.ends_with("got 'top-k:3:4'"), "{problem}");
        for text in ["0:l1=1", "1:l2=1", "1:l1", "", "x"] {
            assert!(text.parse::<LayerPenalty>().is_err(), "{text}");
        }
        for text in ["l1:3", "l0", "l0:3", "l0:3:0:9", "l0:3:1:9:9"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        for text in ["linear", "linear:0.2", "linear:0.2:5:5", "linear:x:5", "linear:0.2:-5"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
        assert!("cosine".parse::<Schedule>().is_err() && "sgd".parse::<Optimizer>().is_err());
    }
}
