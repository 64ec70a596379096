//! What the subcommands have in common in what they print and write.

use std::io::{self, Write};
use std::path::Path;

use sae::{Autoencoder, Code, Engine, Error, Evaluation, Isa, Loss, Settings, compute::ThreadPool};
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

/// What a command says at its end: a line for the person, or with `--json` an object.
pub fn answer(as_json: bool, value: Value, line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{value}")?
    } else {
        writeln!(out, "{line}")?
    }
    Ok(())
}

/// The instruction set and so many threads, by default all cores.
pub fn engine(threads: Option<usize>) -> Result<Engine> {
    if threads == Some(0) {
        return Err(setting("threads", "0 threads; at least 1 was expected").into());
    }
    let isa = Isa::from_environment().map_err(|e| setting("SAE_ISA", &e.to_string()))?;
    Ok(Engine::new(isa, ThreadPool::new(threads.unwrap_or_else(sae::compute::available_threads))))
}

pub fn setting(field: &'static str, problem: &str) -> Error {
    Error::Setting { field, problem: problem.to_owned() }
}

/// The objective with its terms, what it explains, then how active each hidden layer is; of the
/// encoder's alone, or of all.
pub fn print_evaluation(
    mut out: impl Write,
    title: &str,
    net: &Autoencoder,
    evaluation: &Evaluation,
    all_layers: bool,
) -> io::Result<()> {
    let settings = net.settings();
    let loss = match settings.loss {
        Loss::CrossEntropy => "cross-entropy",
        _ => "MSE",
    };
    write!(out, "{title}: {} ({loss} {}", short(evaluation.objective), short(evaluation.loss))?;
    let factor = net.penalty_factor();
    let plain = settings.penalties.is_empty();
    let weight = |weight: f64| if plain { factor * weight } else { 0.0 };
    for (name, term, weight) in [
        ("sparsity", evaluation.sparsity, weight(settings.beta)),
        ("L1", evaluation.l1, weight(settings.l1)),
        ("weight decay", evaluation.weight_decay, settings.lambda),
    ] {
        if weight > 0.0 {
            write!(out, ", {name} {} x {}", short(term), short_weight(weight))?;
        }
    }
    if !plain || matches!(settings.code, Code::JumpRelu { .. }) {
        write!(out, ", sparsity penalties {}", short(evaluation.penalty))?;
    }
    writeln!(out, ")")?;
    if evaluation.explained_variance.is_finite() {
        writeln!(out, "explained variance: {}", short(evaluation.explained_variance))?;
    }
    for (l, mean) in evaluation.mean_activations().into_iter().enumerate() {
        let (units, activity) = (&evaluation.units[l], &evaluation.layers[l]);
        if l >= settings.encoder_layers() && !all_layers {
            break;
        }
        let (nth, count) = (l + 1, units.len());
        write!(out, "mean activation of layer {nth} ({count} units): {}", short(mean))?;
        if all_layers || settings.code != Code::Dense {
            let dead = activity.dead_units().count();
            write!(out, ", {} active a sample, {dead} never", short(activity.l0))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// As a person would write it: 0.1, but 7.5e-5; six digits where it was steered.
fn short_weight(weight: f64) -> String {
    let weight: f64 = format!("{weight:.5e}").parse().unwrap_or(weight);
    if weight >= 1e-3 { format!("{weight}") } else { format!("{weight:e}") }
}

/// The settings as a value among others.
pub fn settings_json(settings: &Settings) -> Value {
    serde_json::from_str(&settings.to_json()).unwrap_or_default()
}

pub fn evaluation_json(net: &Autoencoder, evaluation: &Evaluation) -> Value {
    let layers = evaluation.units.iter().zip(&evaluation.layers);
    let layers: Vec<_> = evaluation
        .mean_activations()
        .into_iter()
        .zip(layers)
        .map(|(mean, (units, activity))| {
            json!({
                "units": units.len(),
                "mean_activation": mean,
                "l0": activity.l0,
                "active_above": activity.threshold,
                "dead_units": activity.dead_units().count(),
                "histogram": {
                    "low": activity.histogram.low,
                    "high": activity.histogram.high,
                    "counts": activity.histogram.counts,
                    "zeros": activity.histogram.zeros,
                },
            })
        })
        .collect();
    json!({
        "objective": evaluation.objective,
        "loss": evaluation.loss,
        "squared_error": evaluation.squared_error,
        "explained_variance": evaluation.explained_variance,
        "sparsity": evaluation.sparsity,
        "l1": evaluation.l1,
        "penalty": evaluation.penalty,
        "penalty_factor": net.penalty_factor(),
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
