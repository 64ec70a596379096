//! What the subcommands have in common in what they print and write.

use std::io::{self, Write};
use std::path::Path;

use sae::{Activation, Autoencoder, Engine, Error, Evaluation, Isa, Settings, Team};
use serde_json::{Value, json};

use crate::failure::Result;

/// A number with six significant digits, without zeros at its end.
pub fn short(value: f64) -> String {
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    if !value.is_finite() || !(-5..9).contains(&exponent) {
        return format!("{value:.5e}");
    }
    let text = format!("{value:.*}", (5 - exponent).max(0) as usize);
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

/// A note for the person at stderr. That nobody reads it is no failure.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The instruction set and so many threads, by default all cores.
pub fn engine(threads: Option<usize>) -> Result<Engine> {
    if threads == Some(0) {
        return Err(setting("threads", "0 threads; at least 1 was expected").into());
    }
    let isa = Isa::from_environment().map_err(|e| setting("SAE_ISA", &e.to_string()))?;
    Ok(Engine::new(isa, Team::new(threads.unwrap_or_else(sae::available_threads))))
}

pub fn setting(field: &'static str, problem: &str) -> Error {
    Error::Setting { field, problem: problem.to_owned() }
}

/// Below this mean activation a unit counts as quiet.
const QUIET: f32 = 1e-3;

/// How many units are hardly ever active, where an activation of 0 means that.
fn quiet(net: &Autoencoder, units: &[f32]) -> Option<usize> {
    let signed = matches!(net.settings().activation, Activation::Tanh | Activation::Linear);
    (!signed).then(|| units.iter().filter(|&&mean| mean.abs() < QUIET).count())
}

/// The objective with its terms, then the mean activation of each hidden layer; of the encoder's
/// alone, or of all.
pub fn print_evaluation(
    mut out: impl Write,
    title: &str,
    net: &Autoencoder,
    evaluation: &Evaluation,
    all_layers: bool,
) -> io::Result<()> {
    let settings = net.settings();
    write!(out, "{title}: {} (MSE {}", short(evaluation.objective), short(evaluation.loss))?;
    for (name, term, weight) in [
        ("sparsity", evaluation.sparsity, settings.beta),
        ("weight decay", evaluation.weight_decay, settings.lambda),
    ] {
        if weight > 0.0 {
            write!(out, ", {name} {} x {}", short(term), short_weight(weight))?;
        }
    }
    writeln!(out, ")")?;
    for (l, mean) in evaluation.mean_activations().into_iter().enumerate() {
        let units = &evaluation.units[l];
        if l >= settings.encoder_layers() && !all_layers {
            break;
        }
        let (nth, count) = (l + 1, units.len());
        write!(out, "mean activation of layer {nth} ({count} units): {}", short(mean))?;
        match quiet(net, units) {
            Some(quiet) if all_layers => writeln!(out, ", {quiet} units below {QUIET}")?,
            _ => writeln!(out)?,
        }
    }
    Ok(())
}

/// As a person would write it: 0.1, but 7.5e-5.
fn short_weight(weight: f64) -> String {
    if weight >= 1e-3 { format!("{weight}") } else { format!("{weight:e}") }
}

/// The settings as a value among others.
pub fn settings_json(settings: &Settings) -> Value {
    serde_json::from_str(&settings.to_json()).unwrap_or_default()
}

pub fn evaluation_json(net: &Autoencoder, evaluation: &Evaluation) -> Value {
    let layers = evaluation.mean_activations().into_iter().zip(&evaluation.units);
    let layers: Vec<_> = layers
        .map(|(mean, units)| {
            let quiet = quiet(net, units);
            json!({"units": units.len(), "mean_activation": mean, "quiet_units": quiet})
        })
        .collect();
    json!({
        "objective": evaluation.objective,
        "loss": evaluation.loss,
        "sparsity": evaluation.sparsity,
        "weight_decay": evaluation.weight_decay,
        "hidden_layers": layers,
    })
}

pub fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "write", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.0355583, "0.0355583"),
            (0.00885361499, "0.00885361"),
            (123.4, "123.4"),
            (1234567.0, "1234567"),
            (100.0, "100"),
            (1e-9, "1.00000e-9"),
            (-0.5, "-0.5"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(short(value), text);
        }
        assert_eq!(short_weight(7.5e-5), "7.5e-5");
    }
}
