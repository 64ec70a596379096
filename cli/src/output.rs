//! What several commands print, as text and as JSON.

use std::fmt::{Display, LowerExp};
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sae::{Autoencoder, Code, Evaluation, Loss, Settings, files};
pub use sae_report::figures::{
    at_most, counted, evaluation_json, join, plain, settings_json, short,
};
use sae_report::figures::{dead_units, hidden_feature};
pub use sae_report::table::figures;
use serde_json::Value;

use crate::failure::{Result, io_error};

/// A number with three significant digits.
pub fn brief(value: f64) -> String {
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    if !value.is_finite() || !(-4..6).contains(&exponent) {
        return format!("{value:.2e}");
    }
    format!("{value:.*}", (2 - exponent).max(0) as usize)
}

/// `is` of one thing, or else `are`.
pub fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// A number with all its digits; very large and very small ones with an exponent.
///
/// It is the shortest text that gives the number back, as Python's is.
pub fn exact<T: Copy + Into<f64> + Display + LowerExp>(number: T) -> String {
    let size = number.into().abs();
    match size.is_finite() && size != 0.0 && !(1e-5..1e16).contains(&size) {
        true => format!("{number:e}"),
        false => number.to_string(),
    }
}

/// A field of a CSV file.
pub fn csv_field(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// The column of a table that is aligned to the left.
#[derive(Clone, Copy)]
pub enum Left {
    First,
    Last,
}

/// A table as text, its columns two spaces apart, all but one of them aligned to the right.
pub fn aligned(rows: &[Vec<String>], left: Left) -> String {
    let width = |cell: &String| cell.chars().count();
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().map(|row| width(&row[at])).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let space = if at == 0 { "" } else { "  " };
            let is_left = match left {
                Left::First => at == 0,
                Left::Last => at + 1 == columns,
            };
            line += &match is_left {
                true => format!("{space}{cell:width$}"),
                false => format!("{space}{cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A bar on stderr, if that is a terminal and the result is text, of work that takes long.
pub fn progress(len: usize, what: &'static str, as_json: bool) -> ProgressBar {
    if as_json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(len as u64), ProgressDrawTarget::stderr());
    let template = format!("{{bar:20}} {{pos}} of {{len}} {what}, {{eta}} left");
    bar.with_style(ProgressStyle::with_template(&template).unwrap_or(ProgressStyle::default_bar()))
}

/// Whether `--quiet` is given: only warnings are printed to stderr.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// How a text begins that `--quiet` leaves.
const WARNING: &str = "warning: ";

/// Looks for `--quiet` among the process's arguments; before the first note.
pub fn look_for_quiet() {
    let mut arguments = std::env::args_os().take_while(|argument| argument != "--");
    IS_QUIET.store(arguments.any(|argument| argument == "--quiet"), Ordering::Relaxed);
}

/// Prints a line to stderr, but with `--quiet` only what begins with `warning: `.
pub fn note(text: &str) {
    if text.starts_with(WARNING) || !IS_QUIET.load(Ordering::Relaxed) {
        tell(text);
    }
}

/// Prints a warning to stderr, with `--quiet`, too.
pub fn warn(text: &str) {
    tell(&format!("{WARNING}{text}"));
}

/// Prints a line to stderr, whatever was chosen. It is no failure if stderr is closed.
pub fn tell(text: &str) {
    match &mut *held() {
        Some(held) => held.push(text.to_owned()),
        None => tell_now(text),
    }
}

/// Prints a note that is not held back, of work that takes a while.
pub fn note_now(text: &str) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        tell_now(text);
    }
}

fn tell_now(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Lines for stderr that wait until work begins; None where they do not wait.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Vec<String>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds notes back, so that what is refused says nothing else, until [`release_notes`].
pub fn hold_notes() {
    held().get_or_insert_default();
}

/// Prints the notes that were held back; later ones are printed at once.
pub fn release_notes() {
    let notes = held().take();
    notes.iter().flatten().for_each(|text| tell_now(text));
}

/// Prints the result of a command: its lines, or with `--json` an object.
pub fn print(as_json: bool, value: &Value, lines: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{value}")?
    } else {
        writeln!(out, "{}", lines.trim_end())?
    }
    Ok(())
}

/// A path as text, for messages and JSON: what is no UTF-8 in it is replaced.
pub fn readable(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// Replaces a file atomically.
pub fn write_file(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    Ok(files::replace(path, |path| fs::write(path, &content).map_err(io_error("write", path)))?)
}

/// An evaluation as lines of text.
///
/// They have the objective with its terms, the explained variance, then the activity of each hidden layer of the
/// encoder, or of all layers.
pub fn evaluation_text(
    title: &str,
    net: &Autoencoder,
    evaluation: &Evaluation,
    all_layers: bool,
) -> String {
    let settings = net.settings();
    let mut text = objective_text(title, net, evaluation);
    if evaluation.explained_variance.is_finite() {
        let unexplained = match settings.loss {
            Loss::Fvu => format!(" (FVU {})", short(evaluation.fvu)),
            _ => String::new(),
        };
        text +=
            &format!("explained variance: {}{unexplained}\n", short(evaluation.explained_variance));
    }
    if let Some((feature, share)) = hidden_feature(net, evaluation) {
        let share = short(share);
        text += &format!("explained variance of the worst feature, {feature} (from 0): {share}\n");
    }
    if all_layers && evaluation.cosine_similarity.is_finite() {
        let figures = [evaluation.cosine_similarity, evaluation.l2_ratio].map(short);
        let bias = short(evaluation.relative_reconstruction_bias);
        text += &format!(
            "reconstructions: cosine similarity {}, L2 ratio {}, relative bias {bias}\n",
            figures[0], figures[1]
        );
    }
    text += &layers_text(settings, evaluation, all_layers);
    for warning in evaluation.warnings(settings) {
        text += &format!("warning: {warning}\n");
    }
    text
}

/// A line with the objective and its terms.
fn objective_text(title: &str, net: &Autoencoder, evaluation: &Evaluation) -> String {
    let settings = net.settings();
    let loss = match settings.loss {
        Loss::CrossEntropy => "cross-entropy",
        // Divided by the training data's variance, so that it is not 1 - the explained variance.
        Loss::Fvu => "loss",
        _ => "MSE",
    };
    let (objective, loss_value) = (short(evaluation.objective), short(evaluation.loss));
    let mut text = format!("{title}: {objective} ({loss} {loss_value}");
    let factor = net.penalty_factor();
    let uniform = settings.penalties.is_empty();
    let weight = |weight: f64| if uniform { factor * weight } else { 0.0 };
    for (name, term, weight) in [
        ("sparsity", evaluation.sparsity, weight(settings.beta)),
        ("L1", evaluation.l1, weight(settings.l1)),
        ("weight decay", evaluation.weight_decay, settings.lambda),
    ] {
        if weight > 0.0 {
            text += &format!(", {name} {} x {}", short(term), short_weight(weight));
        }
    }
    if !uniform || matches!(settings.code, Code::JumpRelu { .. }) {
        text += &format!(", sparsity penalties {}", short(evaluation.penalty));
    }
    text + ")\n"
}

/// Lines with the activity of each hidden layer of the encoder, or of all layers.
fn layers_text(settings: &Settings, evaluation: &Evaluation, all_layers: bool) -> String {
    let mut text = String::new();
    let layers = if all_layers { evaluation.layers.len() } else { settings.encoder_layers() };
    let means = evaluation.mean_activations().into_iter().zip(&evaluation.layers);
    for (l, (mean, activity)) in means.take(layers).enumerate() {
        let (nth, units, mean) = (l + 1, evaluation.units[l].len(), short(mean));
        let units = counted(units, "unit");
        text += &format!("mean activation of layer {nth} ({units}): {mean}");
        if all_layers || settings.code != Code::Dense {
            let (l0, dead) = (short(activity.l0), dead_units(activity));
            text += &format!(", {l0} active units per sample, {dead} dead");
            if dead.contains(' ') {
                text += &match activity.samples {
                    1 => " (not active in the only sample)".to_owned(),
                    samples => format!(" (active in none of {samples} samples)"),
                };
            }
        }
        if all_layers && settings.code != Code::Dense && l + 1 == settings.encoder_layers() {
            text += &format!(", {} dense", activity.dense_units().count());
        }
        text.push('\n');
    }
    text
}

/// 0.1, but 7.5e-5; six digits where a controller has steered it.
fn short_weight(weight: f64) -> String {
    let weight: f64 = format!("{weight:.5e}").parse().unwrap_or(weight);
    if weight >= 1e-3 { format!("{weight}") } else { format!("{weight:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_numbers_are_short_and_come_back() {
        for (number, text) in [
            (0.5f32, "0.5"),
            (0.0, "0"),
            (1e30, "1e30"),
            (-1e-40, "-1e-40"),
            (1e-4, "0.0001"),
            (123_456_790.0, "123456790"),
            (f32::INFINITY, "inf"),
        ] {
            assert_eq!(exact(number), text);
            assert_eq!(text.parse::<f32>().unwrap().to_bits(), number.to_bits());
        }
        assert_eq!([exact(1e300), exact(-1.5e-44), exact(0.1)], ["1e300", "-1.5e-44", "0.1"]);
    }

    #[test]
    fn weights_are_short() {
        assert_eq!(short_weight(7.5e-5), "7.5e-5");
    }
}
