//! Settings: everything that decides what a training computes.
//!
//! `table.rs` declares them, one entry each; `choices.rs` has the types of those that are no
//! numbers, `validate.rs` what must hold between settings, `json.rs` how they stand in files.

mod choices;
mod field;
#[cfg(feature = "model")]
pub(crate) mod json;
mod l0_penalty;
mod penalties;
mod prefixes;
mod presets;
mod table;
mod validate;
mod value;

use std::mem;

use sae_kernels::Activation;

pub use choices::{
    Auxiliary, Code, Corruption, Initialization, Measure, Optimizer, OutputBias, SampleOrder,
    Schedule,
};
pub use l0_penalty::L0Penalty;
pub use penalties::{LayerPenalty, Target};
pub use prefixes::Prefixes;
pub use presets::Preset;
pub use table::{Field, Settings};
pub use value::Kind;

use crate::error::{Error, Result};

impl Settings {
    /// Sets one setting by its name to the value of a text: `set("code", "top-k:32", 20_000)`.
    ///
    /// Names are those of [`Settings::fields`] and their aliases; `-` may stand for `_`. `preset`
    /// replaces all settings. The alias `penalty` adds to `penalties` instead of replacing them.
    /// `steps` are those of the whole training, for what a text leaves out (`cosine`, `linear:0.2`); without
    /// them (`None`) nothing that depends on them may be left out. Ranges are not checked.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such setting, or it has no value of this text.
    pub fn set(&mut self, name: &str, text: &str, steps: impl Into<Option<u64>>) -> Result<()> {
        if name == "preset" {
            let preset: Preset = text.parse()?;
            *self = preset.settings(Settings::preset(preset).layers, steps);
            return Ok(());
        }
        let field = Settings::field(name).ok_or_else(|| unknown(name))?;
        if name == "penalty" && !self.penalties.is_empty() {
            return field.set(self, &format!("{},{text}", field.text(self)), steps.into());
        }
        field.set(self, text, steps.into())
    }

    /// How many of the hidden layers, from the first, belong to the encoder.
    #[doc(hidden)]
    pub fn encoder_layers(&self) -> usize {
        self.layers.len().saturating_sub(1) / 2
    }

    /// Units of the code.
    ///
    /// # Panics
    /// There are no layers.
    #[doc(hidden)]
    pub fn code_units(&self) -> usize {
        self.layers[self.encoder_layers()]
    }

    /// The activation of a layer; layer 0 is the first hidden one, the last the output.
    #[doc(hidden)]
    pub fn activation_of(&self, layer: usize) -> Activation {
        if layer + 2 >= self.layers.len() {
            return self.output_activation;
        }
        self.activations.get(layer).copied().unwrap_or(self.activation)
    }

    /// The sparsity penalties of a hidden layer, if it has one of a weight above 0.
    #[doc(hidden)]
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

    /// Whether the optimizer leaves rows of a layer's weights alone whose gradient is 0: those of units
    /// of a sparse code, before it and after it.
    pub(crate) fn is_lazy(&self, layer: usize) -> bool {
        let is_at_code = self.is_gated(layer) || layer > 0 && self.is_gated(layer - 1);
        self.optimizer == Optimizer::AdamLazy && is_at_code
    }

    /// Whether a layer's weights from each unit before have length 1.
    pub(crate) fn has_unit_rows(&self, layer: usize) -> bool {
        self.unit_norm && layer == self.encoder_layers()
    }

    /// Whether a layer's input has zeros to skip: pixels, and exactly sparse codes.
    pub(crate) fn has_zeros(&self, layer: usize) -> bool {
        layer == 0 || self.is_gated(layer - 1)
    }

    /// Sizes of the prefixes of the code that each reconstruct by themselves, rising to the whole code; empty
    /// without prefixes.
    pub(crate) fn prefix_sizes(&self) -> Vec<usize> {
        self.prefixes.of(self.code_units())
    }

    /// Dead units that a sample trains at most; 0 where none are trained.
    pub(crate) fn auxiliary_units(&self) -> usize {
        let units = match self.auxiliary {
            Auxiliary::None => return 0,
            Auxiliary::AuxK { units, .. } | Auxiliary::PreActivation { units, .. } => units,
        };
        let units = if units > 0 { units } else { (self.layers[0] / 2).max(1) };
        units.min(self.code_units())
    }

    /// Numbers before the layers' parameters: the weights of the skip connection.
    pub(crate) fn skip_parameters(&self) -> usize {
        if self.skip { self.layers[0] * self.layers[self.layers.len() - 1] } else { 0 }
    }

    /// Numbers behind the layers' parameters: what the code is gated by.
    pub(crate) fn gate_parameters(&self) -> usize {
        match self.code {
            Code::Dense | Code::TopK(_) => 0,
            Code::BatchTopK(_) => 1,
            // The thresholds, and the scale that they are multiples of.
            Code::JumpRelu { .. } => self.code_units() + 1,
        }
    }

    /// The learning rate of a step; the first is 1. For settings that [`Settings::validate`] accepts.
    #[doc(hidden)]
    pub fn learning_rate_of(&self, step: u64) -> f64 {
        if step <= self.warm_up {
            return self.learning_rate * step as f64 / self.warm_up as f64;
        }
        let left = |steps: u64| steps.saturating_sub(step.saturating_sub(1)) as f64;
        let factor = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine { steps } => {
                let share = left(steps) / self.steps_after_warm_up(steps);
                half_cosine(share.clamp(0.0, 1.0))
            }
            Schedule::Linear { share, steps } => {
                let decay = (share * steps as f64).min(self.steps_after_warm_up(steps));
                (left(steps) / decay).min(1.0)
            }
            Schedule::Step { every, factor } => {
                let times = (step - 1 - self.warm_up.min(step - 1)) / every;
                (0..times.min(1 << 12)).fold(1.0, |product, _| product * factor)
            }
        };
        self.learning_rate * factor
    }

    /// The share of the sparsity penalties' weights in a step; the first is 1.
    pub(crate) fn penalty_share_of(&self, step: u64) -> f64 {
        match step < self.sparsity_warm_up {
            true => step as f64 / self.sparsity_warm_up as f64,
            false => 1.0,
        }
    }

    /// What a code's activations are multiplied by in the tanh penalty, given the code's scale; `None`
    /// without this penalty.
    pub(crate) fn tanh_scale(&self, scale: f32) -> Option<f32> {
        match (self.code, self.l0_penalty) {
            (Code::JumpRelu { .. }, L0Penalty::Tanh { scale: c }) => {
                Some((c / f64::from(scale)) as f32)
            }
            _ => None,
        }
    }

    /// Of this many steps those after the warm-up, 1 at least.
    fn steps_after_warm_up(&self, steps: u64) -> f64 {
        steps.saturating_sub(self.warm_up).max(1) as f64
    }

    /// Checks that a network or a training of these settings may continue with others: those that its
    /// parameters depend on have to be the same.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that differs.
    pub(crate) fn check_continues(&self, other: &Self) -> Result<()> {
        let same_code = mem::discriminant(&self.code) == mem::discriminant(&other.code);
        let fixed = |name: &str| match name {
            "layers" | "activation" | "activations" | "output_activation" => true,
            "tied" | "skip" | "unit_norm" | "initialization" | "output_bias" | "seed"
            | "target" => true,
            "code" => !same_code,
            _ => false,
        };
        self.check_unchanged(other, fixed)
    }

    /// The names of the settings that a network's parameters depend on.
    #[doc(hidden)]
    pub const ARCHITECTURE: [&str; 7] =
        ["layers", "activation", "activations", "output_activation", "tied", "skip", "code"];

    /// The same settings for another training, of `steps` steps.
    ///
    /// What followed the steps of its own follows these: a cosine or linear schedule ends with them, and warm-ups take at most a twentieth of them. So are the settings
    /// of `sae train --from MODEL --steps N`.
    pub fn for_steps(&self, steps: u64) -> Self {
        let mut settings = self.clone();
        settings.schedule = match settings.schedule {
            Schedule::Cosine { .. } => Schedule::Cosine { steps },
            Schedule::Linear { share, .. } => Schedule::Linear { share, steps },
            other => other,
        };
        for warm_up in [&mut settings.warm_up, &mut settings.sparsity_warm_up] {
            *warm_up = (*warm_up).min(steps / 20);
        }
        settings
    }

    /// Checks that a training of these settings may begin with the parameters of a network of others. Of
    /// the code the kind has to be the same.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that the parameters do not fit.
    pub(crate) fn check_begins_with(&self, network: &Self) -> Result<()> {
        let same_code = mem::discriminant(&self.code) == mem::discriminant(&network.code);
        for field in Self::fields().iter().filter(|of| Self::ARCHITECTURE.contains(&of.name)) {
            let (here, there) = (field.text(self), field.text(network));
            if here != there && !(field.name == "code" && same_code) {
                let problem = format!(
                    "expected {there}, which the network has that the training begins with, got {here}"
                );
                return Err(Error::setting(field.name, problem));
            }
        }
        Ok(())
    }

    /// Fails for the first of some settings that differs.
    pub(crate) fn check_unchanged(&self, other: &Self, fixed: impl Fn(&str) -> bool) -> Result<()> {
        for field in Self::fields().iter().filter(|field| fixed(field.name)) {
            let (here, there) = (field.text(self), field.text(other));
            if here != there {
                let problem = format!(
                    "expected {here}, which cannot change after the training began, got {there}"
                );
                return Err(Error::setting(field.name, problem));
            }
        }
        Ok(())
    }

    /// The first setting in which two differ, and its two values.
    #[cfg(feature = "model")]
    pub(crate) fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let mut both = Self::fields().iter().map(|f| (f.name, f.text(self), f.text(other)));
        both.find(|(_, here, there)| here != there)
    }
}

/// The error for a name that no setting has.
fn unknown(name: &str) -> Error {
    let names: Vec<_> = Settings::fields().iter().map(|field| field.name).collect();
    let names = names.join(", ");
    Error::setting("settings", format!("expected one of preset, {names}, got '{name}'"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_comes_back_from_its_text() {
        let texts = [
            ("layers", "9,3,9"),
            ("activation", "tanh"),
            ("activations", "tanh,relu"),
            ("output_activation", "linear"),
            ("loss", "cross-entropy"),
            ("code", "batch-top-k:4"),
            ("prefixes", "2,4"),
            ("auxiliary", "aux-k:0.5:3"),
            ("l0_penalty", "quadratic:4"),
            ("tied", "true"),
            ("skip", "true"),
            ("allow_unreachable", "true"),
            ("unit_norm", "true"),
            ("initialization", "he"),
            ("output_bias", "zero"),
            ("corruption", "gaussian:0.1"),
            ("penalties", "1:rho=0.02:beta=2:l1=0,2:rho=0.5:beta=0:l1=1"),
            ("target", "l0:3:1:9"),
            ("optimizer", "l-bfgs:10"),
            ("schedule", "cosine:10"),
            ("order", "window:100"),
        ];
        for field in Settings::fields() {
            let text = texts.iter().find(|(name, _)| *name == field.name);
            // What is not listed is a number.
            let text = text.map_or(if field.kind == Kind::Count { "7" } else { "0.25" }, |of| of.1);
            let mut settings = Settings::default();
            settings.set(&field.name.replace('_', "-"), text, 10).unwrap();
            assert_eq!(field.text(&settings), text, "{}", field.name);
            #[cfg(feature = "model")]
            {
                let difference = settings.difference(&Settings::default()).unwrap();
                assert_eq!(difference, (field.name, text.to_owned(), field.default()));
                let read: Settings = serde_json::from_value(settings.to_value()).unwrap();
                assert_eq!(read, settings);
            }
            for alias in field.aliases {
                let mut other = Settings::default();
                other.set(alias, text, 10).unwrap();
                assert_eq!(other, settings, "{alias}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_said_in_short_numbers() {
        let settings = |fields: &[(&str, &str)]| {
            let mut settings = Settings { learning_rate: 0.2 / 3.0, ..Settings::default() };
            fields.iter().for_each(|(name, text)| settings.set(name, text, 10).unwrap());
            settings.validate().map_err(|error| error.to_string())
        };
        assert!(settings(&[("order", "window:1")]).is_ok());
        for (fields, problem) in [
            (
                &[("order", "window:0")][..],
                "order: expected a window of 1 or more samples, such as",
            ),
            (
                &[("optimizer", "adamw:100")],
                "optimizer: expected a decay from 0 to below 15, the inverse of the field \
                 learning_rate, got 100",
            ),
            (
                &[("layers", "9,8,3,7,9"), ("tied", "true")],
                "tied: tied weights need layers that mirror each other; in the field layers 8 is \
                 opposite to 7",
            ),
        ] {
            let found = settings(fields).unwrap_err();
            assert!(found.starts_with(problem), "{found}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let mut ranges = 0;
        for field in Settings::fields() {
            assert!(!field.doc().is_empty() && field.doc().len() < 100, "{field:?}");
            if !field.expected().contains("from") && !field.expected().contains("above") {
                continue;
            }
            let text = if field.kind == Kind::Count { "18446744073709551615" } else { "-7" };
            let mut settings = Settings::default();
            settings.set(field.name, text, 10).unwrap();
            let problem = settings.validate().unwrap_err().to_string();
            let sentence = format!("{}: expected {}, got ", field.name, field.expected());
            assert!(problem.starts_with(&sentence), "{problem}");
            ranges += 1;
        }
        assert!(ranges >= 11, "{ranges}");
    }

    #[test]
    fn the_old_penalty_adds_and_penalties_replace() {
        let mut settings = Settings::default();
        settings.set("penalty", "1:l1=1", 10).unwrap();
        settings.set("penalty", "2:l1=1", 10).unwrap();
        assert_eq!(settings.penalties.len(), 2);
        settings.set("penalties", "1:beta=1", 10).unwrap();
        assert_eq!(settings.penalties.len(), 1);
        settings.set("penalties", "none", 10).unwrap();
        assert!(settings.penalties.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (field, text, sentence) in [
            ("layers", "784-300-784", "such as 784,300,784, got '784-300-784'"),
            ("activations", "relu,sine", "saturating-linear, got 'relu,sine'"),
            ("code", "top-k", "code: expected dense, top-k:K"),
            ("rho", "much", "rho: expected a number from 1e-6 to 0.999999, got 'much'"),
            ("tied", "yes", "tied: expected true or false, got 'yes'"),
            ("target", "l1:3", "target: expected none, mean-activation:VALUE"),
            ("rate", "1", "settings: expected one of preset, layers, activation"),
        ] {
            let problem = Settings::default().set(field, text, 10).unwrap_err().to_string();
            assert!(problem.contains(sentence), "{problem}");
        }
    }
}
