//! The choices among settings, each with one grammar: a name, and its numbers behind colons.

use std::fmt;
use std::str::FromStr;

use sae_kernels::{Activation, Loss};

use super::field::{Kind, Number, Value, refused};
use crate::error::{Error, Result};

/// The article's two experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// No sparsity penalty and no weight decay.
    Plain,
    /// rho 0.02, beta 7.5e-5, lambda 5e-6.
    Sparse,
}

/// Which of the code's activations are kept; the others become 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Code {
    /// All: `dense`.
    #[default]
    Dense,
    /// The K largest of each sample (Makhzani and Frey 2013; Gao et al. 2024): `top-k:32`.
    TopK(usize),
    /// The K largest per sample, on average over a batch (Bussmann et al. 2024): `batch-top-k:32`.
    ///
    /// Outside of training those above a threshold, the running mean of the smallest activation
    /// that was kept in a batch.
    BatchTopK(usize),
    /// Those above the unit's learned threshold (Rajamanoharan et al. 2024): `jump-relu:0.01:0.1`.
    JumpRelu {
        /// Weight of L0, the number of active units in a sample.
        l0: f64,
        /// Width of the band around a threshold in which samples teach it; also the initial
        /// thresholds. 0.1 if a text leaves it out.
        bandwidth: f64,
    },
}

/// How weights are initialized: drawn from a normal distribution cut at two standard deviations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Initialization {
    /// As in the article: before the cut a deviation of 0.1, biases 0.1.
    #[default]
    TruncatedNormal,
    /// A deviation of sqrt(2 / (inputs + outputs)), biases 0 (Glorot and Bengio 2010).
    Xavier,
    /// A deviation of sqrt(2 / inputs), biases 0 (He et al. 2015).
    He,
    /// He for the ReLUs, Xavier for the others.
    ByActivation,
}

/// What is done to the inputs of a training step; the reconstruction is compared with the inputs
/// as they were (Vincent et al. 2008).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Corruption {
    /// Nothing: `none`.
    #[default]
    None,
    /// Each feature becomes 0 with this probability: `masking:0.25`.
    Masking(f64),
    /// Each feature gets a normal number of this deviation added: `gaussian:0.1`.
    Gaussian(f64),
}

/// The sparsity penalties of one hidden layer: `1:rho=0.02:beta=0.1:l1=0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerPenalty {
    /// The hidden layer, counted from 0; in text from 1.
    pub layer: usize,
    /// Target activation, in (0, 1); 0.02 if a text leaves it out.
    pub rho: f64,
    /// Weight of KL(rho || rho_hat), summed over units; 0 if a text leaves it out.
    pub beta: f64,
    /// Weight of |a|, summed over units, a mean over samples; 0 if a text leaves it out.
    pub l1: f64,
}

/// What turns gradients into steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015): `adam`.
    #[default]
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019): `adamw:0.01`.
    AdamW {
        /// In a step weights shrink by this share, times the learning rate. 0.01 if a text leaves
        /// it out.
        decay: f64,
    },
    /// Gradient descent with momentum, `v = momentum v + g`, `w -= rate v`: `momentum:0.9`.
    Momentum {
        /// In [0, 1); 0 is plain gradient descent. 0.9 if a text leaves it out.
        momentum: f64,
    },
    /// L-BFGS over all samples at once (Liu and Nocedal 1989), one iteration a step: `l-bfgs:10`.
    Lbfgs {
        /// Steps that the inverse-Hessian approximation is made of. 10 if a text leaves it out.
        memory: usize,
    },
}

/// How the learning rate changes after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// Not at all: `constant`.
    #[default]
    Constant,
    /// Along half a cosine to 0 (Loshchilov and Hutter 2017, without restarts): `cosine:20000`.
    Cosine {
        /// The step at which it is 0; those of the training if a text leaves it out.
        steps: u64,
    },
    /// By a factor at a time: `step:100:0.5`.
    Step {
        /// Steps from one change to the next.
        every: u64,
        /// In (0, 1].
        factor: f64,
    },
}

/// The sparsity that the penalties are steered to: `mean-activation:0.05:1:18000`.
///
/// The weights of all sparsity penalties are multiplied by one factor, which a controller changes
/// until the layer has the wanted sparsity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The hidden layer, counted from 0; in text from 1, and the first if it is left out.
    pub layer: usize,
    /// What is measured.
    pub of: Measure,
    /// The wanted value.
    pub value: f64,
    /// Steps after which the factor is frozen; nine tenths of the training's if a text leaves it
    /// out.
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

macro_rules! names {
    ($type:ident: $count:literal, $($one:ident = $name:literal),+) => {
        impl $type {
            /// All of them.
            #[doc(hidden)]
            pub const ALL: [$type; $count] = [$($type::$one),+];

            /// The name in text, settings and files.
            #[doc(hidden)]
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$one => $name,)+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

names!(Preset: 2, Plain = "plain", Sparse = "sparse");
names!(Initialization: 4, TruncatedNormal = "truncated-normal", Xavier = "xavier", He = "he",
    ByActivation = "by-activation");
names!(Measure: 2, MeanActivation = "mean-activation", L0 = "l0");

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Code::Dense => write!(f, "dense"),
            Code::TopK(k) => write!(f, "top-k:{k}"),
            Code::BatchTopK(k) => write!(f, "batch-top-k:{k}"),
            Code::JumpRelu { l0, bandwidth } => {
                write!(f, "jump-relu:{}:{}", Number(l0), Number(bandwidth))
            }
        }
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Corruption::None => write!(f, "none"),
            Corruption::Masking(share) => write!(f, "masking:{}", Number(share)),
            Corruption::Gaussian(deviation) => write!(f, "gaussian:{}", Number(deviation)),
        }
    }
}

impl fmt::Display for LayerPenalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &LayerPenalty { layer, rho, beta, l1 } = self;
        let (rho, beta, l1) = (Number(rho), Number(beta), Number(l1));
        write!(f, "{}:rho={rho}:beta={beta}:l1={l1}", layer as u128 + 1)
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Optimizer::Adam => write!(f, "adam"),
            Optimizer::AdamW { decay } => write!(f, "adamw:{}", Number(decay)),
            Optimizer::Momentum { momentum } => write!(f, "momentum:{}", Number(momentum)),
            Optimizer::Lbfgs { memory } => write!(f, "l-bfgs:{memory}"),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Schedule::Constant => write!(f, "constant"),
            Schedule::Cosine { steps } => write!(f, "cosine:{steps}"),
            Schedule::Step { every, factor } => write!(f, "step:{every}:{}", Number(factor)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Target { layer, of, value, steps } = self;
        write!(f, "{of}:{}:{}:{steps}", Number(value), layer as u128 + 1)
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// A layer, which text counts from 1.
fn layer(text: &str) -> Option<usize> {
    number::<usize>(text)?.checked_sub(1)
}

fn read_preset(parts: &[&str]) -> Option<Preset> {
    match *parts {
        // The name of version 0.1.
        ["plain" | "normal"] => Some(Preset::Plain),
        ["sparse"] => Some(Preset::Sparse),
        _ => None,
    }
}

fn read_code(parts: &[&str]) -> Option<Code> {
    Some(match *parts {
        ["dense"] => Code::Dense,
        ["top-k", k] => Code::TopK(number(k)?),
        ["batch-top-k", k] => Code::BatchTopK(number(k)?),
        ["jump-relu", l0] => Code::JumpRelu { l0: number(l0)?, bandwidth: 0.1 },
        ["jump-relu", l0, bandwidth] => {
            Code::JumpRelu { l0: number(l0)?, bandwidth: number(bandwidth)? }
        }
        _ => return None,
    })
}

fn read_corruption(parts: &[&str]) -> Option<Corruption> {
    Some(match *parts {
        ["none"] => Corruption::None,
        ["masking", share] => Corruption::Masking(number(share)?),
        ["gaussian", deviation] => Corruption::Gaussian(number(deviation)?),
        _ => return None,
    })
}

fn read_penalty(parts: &[&str]) -> Option<LayerPenalty> {
    let mut penalty = LayerPenalty { layer: layer(parts[0])?, rho: 0.02, beta: 0.0, l1: 0.0 };
    for part in &parts[1..] {
        let (name, value) = part.split_once('=')?;
        let place = match name {
            "rho" => &mut penalty.rho,
            "beta" => &mut penalty.beta,
            "l1" => &mut penalty.l1,
            _ => return None,
        };
        *place = number(value)?;
    }
    Some(penalty)
}

fn read_optimizer(parts: &[&str]) -> Option<Optimizer> {
    Some(match *parts {
        ["adam"] => Optimizer::Adam,
        ["adamw"] => Optimizer::AdamW { decay: 0.01 },
        ["adamw", decay] => Optimizer::AdamW { decay: number(decay)? },
        ["momentum"] => Optimizer::Momentum { momentum: 0.9 },
        ["momentum", momentum] => Optimizer::Momentum { momentum: number(momentum)? },
        ["l-bfgs"] => Optimizer::Lbfgs { memory: 10 },
        ["l-bfgs", memory] => Optimizer::Lbfgs { memory: number(memory)? },
        _ => return None,
    })
}

fn read_schedule(parts: &[&str], of_training: Option<u64>) -> Option<Schedule> {
    Some(match *parts {
        ["constant"] => Schedule::Constant,
        ["cosine"] => Schedule::Cosine { steps: of_training? },
        ["cosine", steps] => Schedule::Cosine { steps: number(steps)? },
        ["step", every, factor] => {
            Schedule::Step { every: number(every)?, factor: number(factor)? }
        }
        _ => return None,
    })
}

fn read_target(parts: &[&str], of_training: Option<u64>) -> Option<Target> {
    let &[of, value, ref more @ ..] = parts else { return None };
    Some(Target {
        of: Measure::read(of, None)?,
        value: number(value)?,
        layer: more.first().map_or(Some(0), |text| layer(text))?,
        steps: match more {
            [] | [_] => of_training.map(|steps| steps - steps / 10)?,
            [_, steps] => number(steps)?,
            _ => return None,
        },
    })
}

/// Makes types that are names alone settings.
macro_rules! names_are_values {
    ($($type:ident),+) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::Choice;

            fn expected() -> String {
                let names = $type::ALL.map($type::name);
                let (last, others) = names.split_last().expect("there are names");
                format!("{} or {last}", others.join(", "))
            }

            fn read(text: &str, _: Option<u64>) -> Option<Self> {
                $type::ALL.into_iter().find(|one| one.name() == text)
            }

            fn text(&self) -> String {
                self.name().to_owned()
            }
        }
    )+};
}

names_are_values!(Activation, Loss, Initialization, Measure);

/// Makes types settings that are read by a function of their text's parts and the training's steps.
macro_rules! parts_are_values {
    ($($type:ident: $read:expr, $expected:literal;)+) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::Choice;

            fn expected() -> String {
                $expected.to_owned()
            }

            fn read(text: &str, steps: Option<u64>) -> Option<Self> {
                let parts: Vec<&str> = text.split(':').collect();
                ($read)(&parts[..], steps)
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

parts_are_values! {
    Preset: |parts: &[&str], _| read_preset(parts),
        "plain or sparse";
    Code: |parts: &[&str], _| read_code(parts),
        "dense, top-k:K, batch-top-k:K or jump-relu:L0[:BANDWIDTH]";
    Corruption: |parts: &[&str], _| read_corruption(parts),
        "none, masking:SHARE or gaussian:DEVIATION";
    LayerPenalty: |parts: &[&str], _| read_penalty(parts),
        "LAYER[:rho=RHO][:beta=WEIGHT][:l1=WEIGHT]";
    Optimizer: |parts: &[&str], _| read_optimizer(parts),
        "adam, adamw[:DECAY], momentum[:SHARE] or l-bfgs[:MEMORY]";
    Schedule: read_schedule,
        "constant, cosine[:STEPS] or step:EVERY:FACTOR";
    Target: read_target,
        "mean-activation:VALUE[:LAYER[:STEPS]] or l0:VALUE[:LAYER[:STEPS]]";
}

macro_rules! from_str {
    ($($type:ident: $field:literal),+) => {$(
        impl FromStr for $type {
            type Err = Error;

            /// The one of this text. What depends on the training's steps must be in it.
            fn from_str(text: &str) -> Result<Self> {
                let read = <$type as Value>::read(text, None);
                read.ok_or_else(|| refused($field, &$type::expected(), &format!("'{text}'")))
            }
        }
    )+};
}

from_str!(Preset: "preset", Code: "code", Initialization: "initialization");
from_str!(Corruption: "corruption", LayerPenalty: "penalties", Optimizer: "optimizer");
from_str!(Schedule: "schedule", Target: "target", Measure: "measure");

#[cfg(test)]
mod tests {
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
        check(&Preset::ALL.map(|one| (one.name(), one)));
        check(&Initialization::ALL.map(|one| (one.name(), one)));
        check(&Measure::ALL.map(|one| (one.name(), one)));
        check(&Activation::ALL.map(|one| (one.name(), one)));
        check(&Loss::ALL.map(|one| (one.name(), one)));
        check(&[
            ("dense", Code::Dense),
            ("top-k:32", Code::TopK(32)),
            ("batch-top-k:4", Code::BatchTopK(4)),
            ("jump-relu:0.01:0.1", Code::JumpRelu { l0: 0.01, bandwidth: 0.1 }),
        ]);
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
        let target = Target { layer: 0, of: Measure::L0, value: 12.0, steps: 900 };
        assert_eq!(Target::read("l0:12", Some(1000)), Some(target));
        assert_eq!(Target::read("l0:12:2", Some(1000)), Some(Target { layer: 1, ..target }));
        assert_eq!("adamw".parse::<Optimizer>().unwrap(), Optimizer::AdamW { decay: 0.01 });
        let code: Code = "jump-relu:0.01".parse().unwrap();
        assert_eq!(code, Code::JumpRelu { l0: 0.01, bandwidth: 0.1 });
        let penalty: LayerPenalty = "2:l1=1e-4".parse().unwrap();
        assert_eq!(penalty, LayerPenalty { layer: 1, rho: 0.02, beta: 0.0, l1: 1e-4 });
        assert_eq!("normal".parse::<Preset>().unwrap(), Preset::Plain);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let problem = "top-k:3:4".parse::<Code>().unwrap_err().to_string();
        assert!(problem.starts_with("code: expected dense, top-k:K"), "{problem}");
        assert!(problem.ends_with("got 'top-k:3:4'"), "{problem}");
        for text in ["0:l1=1", "1:l2=1", "1:l1", "", "x"] {
            assert!(text.parse::<LayerPenalty>().is_err(), "{text}");
        }
        for text in ["l1:3", "l0", "l0:3", "l0:3:0:9", "l0:3:1:9:9"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert!("cosine".parse::<Schedule>().is_err() && "sgd".parse::<Optimizer>().is_err());
    }
}
