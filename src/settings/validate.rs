//! What must hold between settings; ranges of single ones are in the table.

use sae_kernels::Activation;

use super::table::{BELOW_ONE, POSITIVE, RHO, WEIGHT};
use super::value::{Number, Range, above, from};
use super::{
    Auxiliary, Code, Corruption, Initialization, L0Penalty, LayerPenalty, Optimizer, OutputBias,
    Prefixes, SampleOrder, Schedule, Settings, Target,
};
use crate::error::{Error, Result, counted};

/// Maximum number of sizes in `layers`: what a model file's header has room for.
const MAX_LAYERS: usize = 255;
/// Units of a layer.
const UNITS: Range = from(1.0).to(16_777_216.0);

/// Fails with this sentence about this setting unless something holds.
fn check(field: &'static str, holds: bool, problem: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::setting(field, problem())) }
}

impl Settings {
    /// Fails if a training with these sizes cannot get its memory; allocating it would abort.
    pub(crate) fn check_memory(&self) -> Result<()> {
        let sizes: u128 = self.layers.iter().map(|&units| units as u128).sum();
        let code = self.code_units() as u128;
        // Numbers of a batch for each sample: activations and their gradients; of a sparse code eight for
        // each entry of its lists, in the order of the samples and in that of the units.
        let numbers = match self.code {
            Code::Dense => 2 * sizes,
            Code::TopK(k) | Code::BatchTopK(k) => 2 * (sizes - code) + 8 * k as u128,
            Code::JumpRelu { .. } => 2 * (sizes - code) + 8 * code,
        };
        // And the parameters and Adam's two moments.
        let bytes = 4 * (3 * self.parameters() + numbers * self.batch as u128);
        let fits = isize::try_from(bytes)
            .is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes as usize).is_ok());
        check("layers", fits, || {
            format!("out of memory: these sizes and this batch take {} GB of memory", bytes >> 30)
        })
    }

    /// How many parameters the layers have; the sum of sizes from a file may be any number.
    fn parameters(&self) -> u128 {
        let pairs = self.layers.windows(2);
        let skip = match self.layers[..] {
            [first, .., last] if self.skip => first as u128 * last as u128,
            _ => 0,
        };
        skip + pairs.map(|pair| (pair[0] as u128 + 1) * pair[1] as u128).sum::<u128>()
    }

    /// Checks each value, and those that must go together.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value that makes no sense, by itself or beside another.
    pub fn validate(&self) -> Result<()> {
        for field in Settings::fields() {
            field.check(self)?;
        }
        self.check_layers()?;
        self.check_choices()?;
        self.check_optimizer()?;
        self.check_activations()?;
        self.check_code()?;
        self.check_l0_penalty()?;
        self.check_penalties()?;
        self.check_target()
    }

    fn check_layers(&self) -> Result<()> {
        let (layers, count) = (&self.layers, self.layers.len());
        check("layers", (3..=MAX_LAYERS).contains(&count) && count % 2 == 1, || {
            format!(
                "expected an odd number of 3 to {MAX_LAYERS} sizes such as 784,300,30,300,784, got {}",
                counted(count, "size")
            )
        })?;
        if let Some(at) = layers.iter().position(|&units| !UNITS.contains(units as f64)) {
            let problem =
                format!("expected sizes {UNITS}, got {} as number {}", layers[at], at + 1);
            return Err(Error::setting("layers", problem));
        }
        check("layers", self.parameters() <= isize::MAX as u128 / 4, || {
            "these sizes have more parameters than memory can address".to_owned()
        })?;
        let (field, what) = match self.initialization {
            _ if self.tied => ("tied", "tied weights need"),
            Initialization::Transpose => ("initialization", "transpose needs"),
            _ => return Ok(()),
        };
        let lopsided = (0..count / 2).find(|&l| layers[l] != layers[count - 1 - l]);
        let Some(l) = lopsided else { return Ok(()) };
        let (here, there) = (layers[l], layers[count - 1 - l]);
        let problem = format!(
            "{what} layers that mirror each other; in the field layers {here} is opposite to {there}"
        );
        Err(Error::setting(field, problem))
    }

    /// The choices, each by itself.
    fn check_choices(&self) -> Result<()> {
        let transposes = self.initialization == Initialization::Transpose;
        check("initialization", !(transposes && self.tied), || {
            "tied weights (field tied) are transposed in every step; use transpose without them, or \
             another initialization"
                .to_owned()
        })?;
        match self.corruption {
            Corruption::None => {}
            Corruption::Masking(share) => BELOW_ONE.check("corruption", "a share", share)?,
            Corruption::Gaussian(deviation) => {
                WEIGHT.check("corruption", "a deviation", deviation)?;
            }
        }
        match self.code {
            Code::Dense | Code::TopK(_) | Code::BatchTopK(_) => {}
            Code::JumpRelu { l0, bandwidth, threshold } => {
                WEIGHT.check("code", "a weight of L0", l0)?;
                above(1e-9).to(1e9).check("code", "a bandwidth", bandwidth)?;
                WEIGHT.check("code", "a threshold", threshold)?;
            }
        }
        match self.schedule {
            Schedule::Constant => {}
            Schedule::Cosine { steps } => self.check_decay("cosine", steps)?,
            Schedule::Linear { share, steps } => {
                above(0.0).to(1.0).check("schedule", "a share", share)?;
                self.check_decay("linear decay", steps)?;
            }
            Schedule::Step { every, factor } => {
                check("schedule", every > 0, || "expected 1 or more steps, got 0".to_owned())?;
                above(0.0).to(1.0).check("schedule", "a factor", factor)?;
            }
        }
        check("order", self.order != SampleOrder::Window { samples: 0 }, || {
            "expected a window of 1 or more samples, such as window:100000, got 0".to_owned()
        })?;
        match self.optimizer {
            Optimizer::Adam => Ok(()),
            Optimizer::AdamLazy => {
                check("optimizer", self.code != Code::Dense, || {
                    "adam-lazy leaves units alone that are not active, and with the field code dense \
                     all are; use adam, or a code such as top-k:32"
                        .to_owned()
                })?;
                check("optimizer", self.lambda == 0.0 && !self.tied, || {
                    "adam-lazy leaves weights alone that the fields lambda and tied change in every \
                     step; use adam, or lambda 0 and no tied weights"
                        .to_owned()
                })
            }
            Optimizer::AdamW { decay } => {
                let rate = self.learning_rate;
                check("optimizer", decay >= 0.0 && decay * rate < 1.0, || {
                    let most = Number(1.0 / rate);
                    format!(
                        "expected a decay from 0 to below {most:.5}, the inverse of the field \
                         learning_rate, got {}",
                        Number(decay)
                    )
                })
            }
            Optimizer::Momentum { momentum } => {
                BELOW_ONE.check("optimizer", "a momentum", momentum)
            }
            Optimizer::Lbfgs { memory } => {
                from(1.0).to(100.0).check("optimizer", "a memory", memory as f64)
            }
        }
    }

    /// Fails if a decay of the learning rate ends before it can begin.
    fn check_decay(&self, what: &str, steps: u64) -> Result<()> {
        let warm_up = self.warm_up;
        check("schedule", steps > warm_up, || {
            format!("a {what} of {steps} steps ends within the {warm_up} of the field warm_up")
        })
    }

    /// What L-BFGS cannot do.
    fn check_optimizer(&self) -> Result<()> {
        if !matches!(self.optimizer, Optimizer::Lbfgs { .. }) {
            return Ok(());
        }
        let smooth_code = matches!(self.code, Code::Dense | Code::TopK(_));
        let no_rate = "which L-BFGS does not have: it searches along a line for its step";
        let changes = "change more than the gradient that L-BFGS works with";
        for (holds, problem) in [
            (self.clip == 0.0, format!("field clip bounds gradients, {no_rate}")),
            (
                self.schedule == Schedule::Constant && self.warm_up == 0,
                format!("fields schedule and warm_up change a learning rate, {no_rate}"),
            ),
            (
                self.corruption == Corruption::None,
                "L-BFGS needs the same objective at every evaluation; field corruption changes it"
                    .to_owned(),
            ),
            (
                !self.unit_norm && !self.tied && self.rho_momentum == 0.0,
                format!("fields unit_norm, tied and rho_momentum {changes}"),
            ),
            (
                self.auxiliary == Auxiliary::None,
                "L-BFGS needs the same objective at every evaluation; field auxiliary changes it"
                    .to_owned(),
            ),
            (
                smooth_code && self.target.is_none(),
                format!("fields target and code (batch-top-k, jump-relu) {changes}"),
            ),
            (
                self.sparsity_warm_up == 0,
                "L-BFGS needs the same objective at every step; field sparsity_warm_up changes it"
                    .to_owned(),
            ),
        ] {
            check("optimizer", holds, || problem)?;
        }
        Ok(())
    }

    fn check_activations(&self) -> Result<()> {
        let (have, hidden) = (self.activations.len(), self.layers.len() - 2);
        check("activations", have == 0 || have == hidden, || {
            format!(
                "expected none, or one for each of the {hidden} hidden layers of the field layers, \
                 got {have}"
            )
        })?;
        let linear = self.output_activation == Activation::Linear;
        check("skip", linear || !self.skip, || {
            format!(
                "the skip connection adds to a linear output, and the field output_activation is {}",
                self.output_activation.name()
            )
        })?;
        check("loss", self.loss.fits(self.output_activation), || {
            format!(
                "the cross-entropy needs a sigmoid at the output, and the field \
                 output_activation is {}",
                self.output_activation.name()
            )
        })?;
        check("output_bias", linear || self.output_bias != OutputBias::Mean, || {
            format!(
                "the data's mean is the bias of a linear output, and the field output_activation is \
                 {}; use zero or auto",
                self.output_activation.name()
            )
        })
    }

    fn check_code(&self) -> Result<()> {
        let units = self.code_units();
        if let Code::TopK(k) | Code::BatchTopK(k) = self.code {
            check("code", (1..=units).contains(&k), || {
                format!(
                    "expected 1 to {units} active units, as many as the code has (field layers), \
                     got {k}"
                )
            })?;
        }
        let listed = if let Code::TopK(k) = self.code { k } else { units };
        let activations = self.batch as u128 * listed as u128;
        check("code", self.code == Code::Dense || activations < 1 << 32, || {
            format!(
                "a sparse code lists less than 2^32 activations of a batch, not {activations} (field batch)"
            )
        })?;
        check("skip", !(self.skip && self.tied), || {
            "a skip connection needs targets other than the input, which the decoder of tied weights \
             (field tied) reconstructs"
                .to_owned()
        })?;
        check("unit_norm", !(self.unit_norm && self.tied), || {
            "weights of length 1 and tied weights (field tied) exclude each other".to_owned()
        })?;
        self.check_prefixes()?;
        self.check_auxiliary()
    }

    /// Fails unless the code is sparse and the only hidden layer, below a linear output.
    fn check_shallow(&self, field: &'static str, what: &str) -> Result<()> {
        check(field, self.code != Code::Dense, || {
            format!("{what} need a sparse code, such as top-k:32 (field code is dense)")
        })?;
        check(field, self.layers.len() == 3, || {
            format!(
                "{what} need one hidden layer, such as layers 768,16384,768; the field layers has {}",
                counted(self.layers.len(), "size")
            )
        })?;
        check(field, self.output_activation == Activation::Linear, || {
            format!(
                "{what} need a linear output, and the field output_activation is {}",
                self.output_activation.name()
            )
        })
    }

    fn check_prefixes(&self) -> Result<()> {
        if self.prefixes == Prefixes::None {
            return Ok(());
        }
        self.check_shallow("prefixes", "prefixes")?;
        let (sizes, units) = (self.prefix_sizes(), self.code_units());
        let rises = sizes.first() > Some(&0) && sizes.windows(2).all(|pair| pair[0] < pair[1]);
        check("prefixes", rises, || {
            format!(
                "expected sizes that rise from 1 or more to {units} at most, the units of the code (field \
                 layers), got {}",
                self.prefixes
            )
        })
    }

    fn check_auxiliary(&self) -> Result<()> {
        check("dead_after", self.dead_after == 0 || self.code != Code::Dense, || {
            "dead units are counted in the training of a sparse code, and the field code is dense; leave it \
             at 0"
                .to_owned()
        })?;
        let (weight, units) = match self.auxiliary {
            Auxiliary::None => return Ok(()),
            Auxiliary::AuxK { weight, units } => {
                self.check_shallow("auxiliary", "aux-k and its residuals")?;
                (weight, units)
            }
            Auxiliary::PreActivation { weight, units } => {
                check("auxiliary", matches!(self.code, Code::JumpRelu { .. }), || {
                    "pre-activation brings units nearer to the thresholds of a jump-relu code, and the field \
                     code has none; use aux-k"
                        .to_owned()
                })?;
                self.check_shallow("auxiliary", "pre-activation losses")?;
                (weight, units)
            }
        };
        WEIGHT.check("auxiliary", "a weight", weight)?;
        let most = self.code_units();
        check("auxiliary", units <= most, || {
            format!(
                "expected 0 to {most} units, as many as the code has (field layers), got {units}"
            )
        })
    }

    fn check_l0_penalty(&self) -> Result<()> {
        let jumps = matches!(self.code, Code::JumpRelu { .. });
        check("l0_penalty", jumps || self.l0_penalty == L0Penalty::Step, || {
            format!(
                "{} penalizes the active units of a JumpReLU code, and the field code is {}",
                self.l0_penalty.name(),
                self.code.name()
            )
        })?;
        match self.l0_penalty {
            L0Penalty::Step => Ok(()),
            L0Penalty::Tanh { scale } => {
                above(1e-6).to(1e6).check("l0_penalty", "a scale", scale)?;
                check("l0_penalty", self.unit_norm, || {
                    "tanh would be evaded by small activations with long decoder weights; set the field \
                     unit_norm, which keeps them at length 1"
                        .to_owned()
                })
            }
            L0Penalty::Quadratic(target) => {
                let units = self.code_units();
                let range = above(0.0).to(units as f64);
                check("l0_penalty", range.contains(target), || {
                    format!(
                        "expected a target above 0 to {units}, the units of the code (field layers), got {}",
                        Number(target)
                    )
                })
            }
        }
    }

    /// Fails if there is no such hidden layer.
    fn check_hidden(&self, field: &'static str, layer: usize) -> Result<()> {
        let hidden = self.layers.len() - 2;
        check(field, layer < hidden, || {
            format!(
                "expected a layer from 1 to {hidden}, the hidden ones of the field layers, got {}",
                layer as u128 + 1
            )
        })
    }

    fn check_penalties(&self) -> Result<()> {
        for (at, penalty) in self.penalties.iter().enumerate() {
            let &LayerPenalty { layer, rho, beta, l1 } = penalty;
            self.check_hidden("penalties", layer)?;
            let twice = self.penalties[..at].iter().any(|other| other.layer == layer);
            check("penalties", !twice, || format!("layer {} is given twice", layer + 1))?;
            RHO.check("penalties", "rho", rho)?;
            WEIGHT.check("penalties", "a weight beta", beta)?;
            WEIGHT.check("penalties", "a weight l1", l1)?;
        }
        for layer in 0..self.layers.len() - 2 {
            let has_kl = self.penalty_of(layer).is_some_and(|penalty| penalty.beta > 0.0);
            let activation = self.activation_of(layer);
            check("beta", !has_kl || activation == Activation::Sigmoid, || {
                format!(
                    "the KL penalty needs activations in (0, 1), which {} (field activation) does \
                     not give; use sigmoid, or beta 0 and an L1 penalty (field l1) or a top-k code \
                     instead",
                    activation.name()
                )
            })?;
        }
        Ok(())
    }

    fn check_target(&self) -> Result<()> {
        let Some(Target { layer, value, steps, .. }) = self.target else { return Ok(()) };
        self.check_hidden("target", layer)?;
        let warm_up = self.sparsity_warm_up;
        check("target", warm_up == 0 || steps > warm_up, || {
            format!(
                "it steers the penalties' weights until step {steps}, and they only begin to be whole \
                 after the {warm_up} of the field sparsity_warm_up"
            )
        })?;
        POSITIVE.check("target", "a value", value)?;
        let jump = matches!(self.code, Code::JumpRelu { l0, .. } if l0 > 0.0);
        let mut hidden = 0..self.layers.len() - 2;
        let steered = jump || hidden.any(|layer| self.penalty_of(layer).is_some());
        check("target", steered, || {
            "it steers the weights of sparsity penalties, and none is above 0 (fields beta, l1, \
             penalties, and l0 of the field code)"
                .to_owned()
        })
    }
}
