//! Settings as words: `--code top-k:32` on the command line, `code=top-k:32` in a sweep, and
//! `code="top-k:32"` in Python.

use std::str::FromStr;

use sae_kernels::Loss;

use super::{
    Code, Corruption, Initialisation, LayerPenalty, Measure, Optimizer, Schedule, Settings, Target,
    activation_of,
};
use crate::error::{Error, Result};

/// A word with what belongs to it: `name:number:number`.
struct Spec<'a> {
    field: &'static str,
    text: &'a str,
    parts: Vec<&'a str>,
    expected: &'static str,
}

impl<'a> Spec<'a> {
    fn new(field: &'static str, text: &'a str, expected: &'static str) -> Self {
        Spec { field, text, parts: text.split(':').collect(), expected }
    }

    fn name(&self) -> &'a str {
        self.parts[0]
    }

    fn wrong(&self) -> Error {
        let Spec { field, text, expected, .. } = self;
        Error::setting(field, format!("'{text}'; {expected} was expected"))
    }

    /// The number at a place behind the name.
    fn number<T: FromStr>(&self, at: usize) -> Result<T> {
        self.parts.get(at).and_then(|part| part.parse().ok()).ok_or_else(|| self.wrong())
    }

    /// The same, or what is taken where none is given.
    fn number_or<T: FromStr>(&self, at: usize, default: T) -> Result<T> {
        if self.parts.len() > at { self.number(at) } else { Ok(default) }
    }

    /// Fails if there are more parts than were read.
    fn done<T>(&self, parts: usize, value: T) -> Result<T> {
        if self.parts.len() <= parts { Ok(value) } else { Err(self.wrong()) }
    }
}

fn plain<T: FromStr>(field: &'static str, text: &str, expected: &'static str) -> Result<T> {
    let spec = Spec::new(field, text, expected);
    spec.done(1, spec.number(0)?)
}

fn named<T: Copy>(
    field: &'static str,
    text: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T> {
    all.iter().copied().find(|&one| name(one) == text).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|&one| name(one)).collect();
        Error::setting(field, format!("'{text}' is not one of {}", names.join(", ")))
    })
}

impl Settings {
    /// Sets one setting by its word, the option of the command without the dashes, to what the
    /// command would be given: `set("code", "top-k:32", 20_000)`. `penalty` adds one more. `steps`
    /// are those of the whole training. Nothing is validated but the word itself.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such setting, or the text makes no sense for it.
    pub fn set(&mut self, field: &str, text: &str, steps: u64) -> Result<()> {
        let known = FIELDS.into_iter().find(|&known| known == field);
        let field = known.ok_or_else(|| {
            let problem =
                format!("'{field}' is no setting; one of {} was expected", FIELDS.join(", "));
            Error::setting("settings", problem)
        })?;
        let number = || plain(field, text, "a number");
        match field {
            "layers" => {
                let sizes: Option<_> = text.split(',').map(|size| size.parse().ok()).collect();
                let expected = "sizes, as in 784,300,30,300,784,";
                self.layers = sizes.ok_or_else(|| Spec::new(field, text, expected).wrong())?;
            }
            "activation" => self.activation = activation_of(text)?,
            "activations" => {
                let list: Result<_> = text.split(',').map(activation_of).collect();
                self.activations = list?;
            }
            "output-activation" => self.output_activation = activation_of(text)?,
            "loss" => self.loss = named(field, text, &Loss::ALL, |loss| loss.name())?,
            "code" => self.code = code(field, text)?,
            "tied" => self.tied = plain(field, text, "true or false")?,
            "unit-norm" => self.unit_norm = plain(field, text, "true or false")?,
            "init" => {
                self.initialisation = named(field, text, &Initialisation::ALL, |one| one.name())?;
            }
            "corrupt" => self.corruption = corruption(field, text)?,
            "rho" => self.rho = number()?,
            "beta" => self.beta = number()?,
            "l1" => self.l1 = number()?,
            "penalty" => self.penalties.push(penalty(field, text)?),
            "rho-momentum" => self.rho_momentum = number()?,
            "target" => self.target = Some(target(field, text, steps)?),
            "lambda" => self.lambda = number()?,
            "optimizer" => self.optimizer = optimizer(field, text)?,
            "lr" => self.learning_rate = number()?,
            "schedule" => self.schedule = schedule(field, text, steps)?,
            "warm-up" => self.warm_up = plain(field, text, "a number of steps")?,
            "clip" => self.clip = number()?,
            "beta1" => self.beta1 = number()?,
            "beta2" => self.beta2 = number()?,
            "epsilon" => self.epsilon = number()?,
            "batch" => self.batch = plain(field, text, "a number of samples")?,
            _ => self.seed = plain(field, text, "a whole number")?,
        }
        Ok(())
    }
}

/// What [`Settings::set`] knows.
const FIELDS: [&str; 27] = [
    "layers",
    "activation",
    "activations",
    "output-activation",
    "loss",
    "code",
    "tied",
    "unit-norm",
    "init",
    "corrupt",
    "rho",
    "beta",
    "l1",
    "penalty",
    "rho-momentum",
    "target",
    "lambda",
    "optimizer",
    "lr",
    "schedule",
    "warm-up",
    "clip",
    "beta1",
    "beta2",
    "epsilon",
    "batch",
    "seed",
];

fn code(field: &'static str, text: &str) -> Result<Code> {
    let expected = "dense, top-k:K, batch-top-k:K or jump-relu:L0[:BANDWIDTH]";
    let spec = Spec::new(field, text, expected);
    match spec.name() {
        "dense" => spec.done(1, Code::Dense),
        "top-k" => spec.done(2, Code::TopK(spec.number(1)?)),
        "batch-top-k" => spec.done(2, Code::BatchTopK(spec.number(1)?)),
        "jump-relu" => {
            let (l0, bandwidth) = (spec.number(1)?, spec.number_or(2, 0.1)?);
            spec.done(3, Code::JumpRelu { l0, bandwidth })
        }
        _ => Err(spec.wrong()),
    }
}

fn corruption(field: &'static str, text: &str) -> Result<Corruption> {
    let spec = Spec::new(field, text, "none, masking:SHARE or gaussian:DEVIATION");
    match spec.name() {
        "none" => spec.done(1, Corruption::None),
        "masking" => spec.done(2, Corruption::Masking(spec.number(1)?)),
        "gaussian" => spec.done(2, Corruption::Gaussian(spec.number(1)?)),
        _ => Err(spec.wrong()),
    }
}

/// `LAYER:rho=R:beta=B:l1=W`, the first hidden layer being 1.
fn penalty(field: &'static str, text: &str) -> Result<LayerPenalty> {
    let spec = Spec::new(field, text, "LAYER[:rho=RHO][:beta=WEIGHT][:l1=WEIGHT]");
    let nth: usize = spec.number(0)?;
    let layer = nth.checked_sub(1).ok_or_else(|| spec.wrong())?;
    let mut penalty = LayerPenalty { layer, rho: 0.02, beta: 0.0, l1: 0.0 };
    for part in &spec.parts[1..] {
        let (name, value) = part.split_once('=').ok_or_else(|| spec.wrong())?;
        let value = value.parse().map_err(|_| spec.wrong())?;
        match name {
            "rho" => penalty.rho = value,
            "beta" => penalty.beta = value,
            "l1" => penalty.l1 = value,
            _ => return Err(spec.wrong()),
        }
    }
    Ok(penalty)
}

/// `mean-activation:VALUE[:LAYER]`, frozen for the last tenth of the steps.
fn target(field: &'static str, text: &str, steps: u64) -> Result<Target> {
    let spec = Spec::new(field, text, "mean-activation:VALUE[:LAYER] or l0:VALUE[:LAYER]");
    let of = named(field, spec.name(), &Measure::ALL, |measure| measure.name())?;
    let nth: usize = spec.number_or(2, 1)?;
    let layer = nth.checked_sub(1).ok_or_else(|| spec.wrong())?;
    spec.done(3, Target { layer, of, value: spec.number(1)?, steps: steps - steps / 10 })
}

fn optimizer(field: &'static str, text: &str) -> Result<Optimizer> {
    let spec = Spec::new(field, text, "adam, adamw:DECAY, momentum:SHARE or l-bfgs[:MEMORY]");
    match spec.name() {
        "adam" => spec.done(1, Optimizer::Adam),
        "adamw" => spec.done(2, Optimizer::AdamW { decay: spec.number_or(1, 0.01)? }),
        "momentum" => spec.done(2, Optimizer::Momentum { momentum: spec.number_or(1, 0.9)? }),
        "l-bfgs" => spec.done(2, Optimizer::Lbfgs { memory: spec.number_or(1, 10)? }),
        _ => Err(spec.wrong()),
    }
}

fn schedule(field: &'static str, text: &str, steps: u64) -> Result<Schedule> {
    let spec = Spec::new(field, text, "constant, cosine or step:EVERY:FACTOR");
    match spec.name() {
        "constant" => spec.done(1, Schedule::Constant),
        "cosine" => spec.done(2, Schedule::Cosine { steps: spec.number_or(1, steps)? }),
        "step" => {
            let (every, factor) = (spec.number(1)?, spec.number(2)?);
            spec.done(3, Schedule::Step { every, factor })
        }
        _ => Err(spec.wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_settings() {
        let mut settings = Settings::default();
        for (field, text) in [
            ("layers", "784,64,784"),
            ("activation", "relu"),
            ("loss", "cross-entropy"),
            ("code", "jump-relu:0.01"),
            ("tied", "true"),
            ("corrupt", "masking:0.25"),
            ("beta", "0"),
            ("penalty", "1:l1=1e-4"),
            ("target", "l0:12"),
            ("optimizer", "adamw:0.1"),
            ("schedule", "step:100:0.5"),
        ] {
            settings.set(field, text, 1000).unwrap();
        }
        assert_eq!(settings.layers, [784, 64, 784]);
        assert_eq!(settings.code, Code::JumpRelu { l0: 0.01, bandwidth: 0.1 });
        assert_eq!(
            settings.penalties[0],
            LayerPenalty { layer: 0, rho: 0.02, beta: 0.0, l1: 1e-4 }
        );
        let target = Target { layer: 0, of: Measure::L0, value: 12.0, steps: 900 };
        assert_eq!(settings.target, Some(target));
        settings.validate().unwrap();
    }

    #[test]
    fn every_word_changes_a_setting_of_its_own() {
        let mut all = vec![Settings::default()];
        for (field, text) in [
            ("layers", "9,3,9"),
            ("activation", "tanh"),
            ("activations", "tanh,relu"),
            ("output-activation", "linear"),
            ("loss", "cross-entropy"),
            ("code", "batch-top-k:4"),
            ("tied", "true"),
            ("unit-norm", "true"),
            ("init", "he"),
            ("corrupt", "gaussian:0.1"),
            ("rho", "0.1"),
            ("beta", "0.1"),
            ("l1", "0.1"),
            ("penalty", "1:beta=2"),
            ("rho-momentum", "0.5"),
            ("target", "l0:3"),
            ("lambda", "0.1"),
            ("optimizer", "l-bfgs"),
            ("lr", "0.1"),
            ("schedule", "cosine"),
            ("warm-up", "7"),
            ("clip", "1"),
            ("beta1", "0.5"),
            ("beta2", "0.5"),
            ("epsilon", "0.5"),
            ("batch", "7"),
            ("seed", "7"),
        ] {
            let mut settings = Settings::default();
            settings.set(field, text, 10).unwrap();
            assert!(!all.contains(&settings), "{field}");
            all.push(settings);
        }
        assert_eq!(all.len(), 1 + FIELDS.len());
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (field, text, sentence) in [
            ("code", "top-k", "code: 'top-k'; dense, top-k:K"),
            ("code", "top-k:3:4", "was expected"),
            ("penalty", "0:l1=1", "LAYER"),
            ("penalty", "1:l2=1", "LAYER"),
            ("rho", "much", "rho: 'much'; a number was expected"),
            ("target", "l1:3", "is not one of mean-activation, l0"),
            ("optimizer", "sgd", "momentum:SHARE"),
            ("rate", "1", "'rate' is no setting"),
        ] {
            let problem = Settings::default().set(field, text, 10).unwrap_err().to_string();
            assert!(problem.contains(sentence), "{problem}");
        }
    }
}
