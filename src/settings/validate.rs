//! What makes sense in settings, and what does not.

use sae_kernels::Activation;

use super::{Code, Corruption, LayerPenalty, Optimizer, Schedule, Settings, Target};
use crate::error::{Error, Result};

/// Most sizes of layers: what a model file's header has room for.
const MAX_LAYERS: usize = 255;

/// Fails with this sentence about this setting unless something holds.
fn check(field: &'static str, holds: bool, problem: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::setting(field, problem())) }
}

fn number(field: &'static str, value: f64, good: bool, expected: &str) -> Result<()> {
    check(field, good, || format!("{value:?} is not {expected}"))
}

/// Beyond these bounds, far from any use, `f32` turns a setting into 0, 1 or infinity.
const MOST: f64 = 1e9;

fn weight(field: &'static str, value: f64) -> Result<()> {
    number(field, value, (0.0..=MOST).contains(&value), "from 0 to 1e9")
}

fn rho(value: f64) -> Result<()> {
    let inside = (1e-6..=1.0 - 1e-6).contains(&value);
    number("rho", value, inside, "between 0 and 1, at least 1e-6 from both")
}

impl Settings {
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

    /// Checks each value, and those that must go together.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value that makes no sense, by itself or beside another.
    pub fn validate(&self) -> Result<()> {
        self.check_layers()?;
        rho(self.rho)?;
        weight("beta", self.beta)?;
        weight("l1", self.l1)?;
        weight("lambda", self.lambda)?;
        let below_1 = |field, value: f64| {
            number(field, value, (0.0..1.0).contains(&value), "from 0 to below 1")
        };
        below_1("rho_momentum", self.rho_momentum)?;
        let rate = self.learning_rate;
        number("learning_rate", rate, rate > 0.0 && rate <= MOST, "above 0 and at most 1e9")?;
        below_1("beta1", self.beta1)?;
        below_1("beta2", self.beta2)?;
        let epsilon = self.epsilon;
        number("epsilon", epsilon, epsilon > 1e-30 && epsilon < 1.0, "between 1e-30 and 1")?;
        weight("clip", self.clip)?;
        check("batch", (1..=1 << 24).contains(&self.batch), || {
            format!("{} samples; 1 to 16777216 were expected", self.batch)
        })?;
        match self.corruption {
            Corruption::None => {}
            Corruption::Masking(share) => below_1("corruption", share)?,
            Corruption::Gaussian(deviation) => weight("corruption", deviation)?,
        }
        self.check_optimizer()?;
        self.check_activations()?;
        self.check_code()?;
        self.check_penalties()?;
        self.check_target()
    }

    fn check_layers(&self) -> Result<()> {
        let (layers, count) = (&self.layers, self.layers.len());
        check("layers", count <= MAX_LAYERS, || {
            format!("{count} sizes given; at most {MAX_LAYERS} were expected")
        })?;
        check("layers", count >= 3 && count % 2 == 1, || {
            format!(
                "{count} sizes given; an odd number of at least 3 was expected, as in \
                 784,300,30,300,784"
            )
        })?;
        if let Some(at) = layers.iter().position(|&units| units == 0 || units > 1 << 24) {
            let problem =
                format!("size {} (number {}) is not from 1 to 16777216", layers[at], at + 1);
            return Err(Error::setting("layers", problem));
        }
        let (first, last) = (layers[0], layers[count - 1]);
        check("layers", first == last, || {
            format!(
                "the first size, {first}, and the last, {last}, differ; an autoencoder gives back \
                 what it takes"
            )
        })?;
        check("layers", self.parameters() <= isize::MAX as u128 / 4, || {
            "these sizes have more parameters than memory can address".to_owned()
        })?;
        let lopsided = (0..count / 2).find(|&l| layers[l] != layers[count - 1 - l]);
        match lopsided.filter(|_| self.tied) {
            None => Ok(()),
            Some(l) => Err(Error::setting(
                "tied",
                format!(
                    "weights are tied between layers of one shape, and the field layers has {} at \
                     number {} and {} at its twin, number {}",
                    layers[l],
                    l + 1,
                    layers[count - 1 - l],
                    count - l
                ),
            )),
        }
    }

    fn check_optimizer(&self) -> Result<()> {
        match self.schedule {
            Schedule::Constant => {}
            Schedule::Cosine { steps } => check("schedule", steps > self.warm_up, || {
                format!(
                    "a cosine of {steps} steps ends within the {} of the field warm_up",
                    self.warm_up
                )
            })?,
            Schedule::Step { every, factor } => {
                check("schedule", every > 0, || "a change every 0 steps".to_owned())?;
                let good = factor > 0.0 && factor <= 1.0;
                number("schedule", factor, good, "a factor above 0 and at most 1")?;
            }
        }
        match self.optimizer {
            Optimizer::Adam => Ok(()),
            Optimizer::AdamW { decay } => {
                let most = decay * self.learning_rate;
                number(
                    "optimizer",
                    decay,
                    decay >= 0.0 && most < 1.0,
                    &format!(
                        "a decay from 0 to below 1 / learning_rate (field learning_rate is {})",
                        self.learning_rate
                    ),
                )
            }
            Optimizer::Momentum { momentum } => number(
                "optimizer",
                momentum,
                (0.0..1.0).contains(&momentum),
                "a momentum from 0 to below 1",
            ),
            Optimizer::Lbfgs { memory } => {
                check("optimizer", (1..=100).contains(&memory), || {
                    format!("a memory of {memory} steps; 1 to 100 were expected")
                })?;
                let of_its_own = "which L-BFGS has not: it searches along a line for its step";
                check("optimizer", self.clip == 0.0, || {
                    format!("field clip bounds gradients, {of_its_own}")
                })?;
                check(
                    "optimizer",
                    self.schedule == Schedule::Constant && self.warm_up == 0,
                    || format!("fields schedule and warm_up change a learning rate, {of_its_own}"),
                )?;
                check("optimizer", self.corruption == Corruption::None, || {
                    "L-BFGS needs the same objective at each look; field corruption makes it \
                     another one each time"
                        .to_owned()
                })?;
                let plain = !self.unit_norm && !self.tied && self.rho_momentum == 0.0;
                check("optimizer", plain, || {
                    "fields unit_norm, tied and rho_momentum change more than L-BFGS knows of"
                        .to_owned()
                })?;
                let smooth = matches!(self.code, Code::Dense | Code::TopK(_));
                check("optimizer", smooth && self.target.is_none(), || {
                    "fields code (batch-top-k, jump-relu) and target change more than L-BFGS knows \
                     of"
                    .to_owned()
                })
            }
        }
    }

    fn check_activations(&self) -> Result<()> {
        let (have, hidden) = (self.activations.len(), self.layers.len() - 2);
        check("activations", have == 0 || have == hidden, || {
            format!(
                "{have} given; none, or one for each of the {hidden} hidden layers of the field layers, were expected"
            )
        })?;
        check("loss", self.loss.fits(self.output_activation), || {
            format!(
                "the cross-entropy is that of a sigmoid at the output, and the field \
                 output_activation is {}",
                self.output_activation.name()
            )
        })
    }

    fn check_code(&self) -> Result<()> {
        let units = self.code_units();
        match self.code {
            Code::Dense => {}
            Code::TopK(k) | Code::BatchTopK(k) => check("code", (1..=units).contains(&k), || {
                format!("{k} active units; the code has {units} (field layers)")
            })?,
            Code::JumpRelu { l0, bandwidth } => {
                weight("code", l0)?;
                let good = bandwidth > 1e-9 && bandwidth <= MOST;
                number("code", bandwidth, good, "a bandwidth above 1e-9 and at most 1e9")?;
            }
        }
        let activations = self.batch as u128 * units as u128;
        let few = !matches!(self.code, Code::BatchTopK(_)) || activations <= 1 << 32;
        check("code", few, || {
            format!(
                "batch-top-k chooses among at most 2^32 activations, not {activations} (field batch)"
            )
        })?;
        check("unit_norm", !(self.unit_norm && self.tied), || {
            "weights of length 1 and tied weights (field tied) exclude each other".to_owned()
        })
    }

    fn check_penalties(&self) -> Result<()> {
        let hidden = self.layers.len() - 2;
        for (at, penalty) in self.penalties.iter().enumerate() {
            let &LayerPenalty { layer, rho: its, beta, l1 } = penalty;
            check("penalties", layer < hidden, || {
                format!("layer {layer} (the first is 0); the field layers has {hidden} hidden ones")
            })?;
            let twice = self.penalties[..at].iter().any(|other| other.layer == layer);
            check("penalties", !twice, || format!("layer {layer} is given twice"))?;
            rho(its)?;
            weight("penalties", beta)?;
            weight("penalties", l1)?;
        }
        for layer in 0..hidden {
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
        let Some(Target { layer, value, .. }) = self.target else { return Ok(()) };
        let hidden = self.layers.len() - 2;
        check("target", layer < hidden, || {
            format!("layer {layer} (the first is 0); the field layers has {hidden} hidden ones")
        })?;
        let good = value > 0.0 && value <= MOST;
        number("target", value, good, "above 0 and at most 1e9")?;
        let jump = matches!(self.code, Code::JumpRelu { l0, .. } if l0 > 0.0);
        let steered = jump || (0..hidden).any(|layer| self.penalty_of(layer).is_some());
        check("target", steered, || {
            "it steers the weights of sparsity penalties, and there is none above 0 (fields beta, \
             l1, penalties, and l0 of the field code)"
                .to_owned()
        })
    }
}
