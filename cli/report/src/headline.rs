//! The three figures at the top of the page, and what they mean.

use std::fmt::Write;

use sae::Code;

use crate::escape::escape;
use crate::figures::{counted, dead_units, grouped, short};
use crate::model::Model;

/// Colors of models, as the page's charts have them.
pub const COLORS: usize = 6;

/// A figure of a model: the number, and what it is a number of.
type Figure = (String, String);

/// Explained variance, activity and dead units, each of every model.
pub fn cards(models: &[Model]) -> String {
    let is_sparse = |model: &Model| model.net.settings().code != Code::Dense;
    let all_sparse = models.iter().all(is_sparse);
    let (name, activity, meaning): (_, &dyn Fn(&Model) -> Figure, _) = match all_sparse {
        true => (
            "Active units",
            &active_units,
            "How many units the model describes a sample with, on average (L0): the fewer, the easier \
             it is to read."
                .to_owned(),
        ),
        false => ("Mean activation", &mean_activation, of_mean_activation(models)),
    };
    let explained_meaning = "How much of what differs between samples the reconstructions keep: 100\u{a0}% \
                             are perfect copies, 0\u{a0}% is no better than the mean of all samples.";
    [
        card(models, "Explained variance", &explained, explained_meaning),
        card(models, name, activity, &meaning),
        card(models, "Dead units", &dead, &of_dead(models)),
    ]
    .concat()
}

/// What the mean activation of these codes says.
fn of_mean_activation(models: &[Model]) -> String {
    let is_signed = |model: &Model| model.net.settings().activation_of(code(model)).is_signed();
    let meaning = match models.iter().any(is_signed) {
        true => {
            "The mean of all activations of the code's units, which may be negative: one far from 0 \
             is an offset that most samples share."
        }
        false => {
            "How strongly the units of the code respond to a sample on average: near 0, few respond \
             to it."
        }
    };
    meaning.to_owned()
}

/// What is counted as dead in these models.
fn of_dead(models: &[Model]) -> String {
    let samples = grouped(counted(models[0].samples.len(), "sample"));
    let is_constant = |model: &Model| {
        let settings = model.net.settings();
        settings.code == Code::Dense && settings.activation_of(code(model)).is_signed()
    };
    let above = |model: &Model| model.evaluation.layers[code(model)].threshold;
    let threshold = models.iter().map(above).fold(0.0, f32::max);
    let mut meaning = if models.iter().all(is_constant) {
        format!("Units of the code with the same activation in all of the {samples}")
    } else if threshold > 0.0 {
        format!("Units of the code whose activation is above {threshold} in none of the {samples}")
    } else {
        format!("Units of the code that are active in none of the {samples}")
    };
    let is_told =
        models.iter().all(|model| model.evaluation.layers[code(model)].tells_dead_units());
    meaning += if is_told {
        ": capacity that none of them uses."
    } else {
        ": more samples may show what they respond to."
    };
    meaning
}

fn card(models: &[Model], name: &str, figure: &dyn Fn(&Model) -> Figure, meaning: &str) -> String {
    let mut html = format!("<div class=\"card\"><h3>{name}</h3>");
    for (at, model) in models.iter().enumerate() {
        let (number, of) = figure(model);
        let of = if of.is_empty() { of } else { format!(" <span>{of}</span>") };
        let _ = write!(html, "<p class=\"number\"><strong>{number}</strong>{of}");
        if models.len() > 1 {
            let (color, name) = (at % COLORS, escape(&model.name));
            let _ = write!(html, " <span class=\"key\"><i class=\"c{color}\"></i>{name}</span>");
        }
        html.push_str("</p>");
    }
    html + &format!("<p class=\"meaning\">{meaning}</p></div>")
}

fn explained(model: &Model) -> Figure {
    let share = model.evaluation.explained_variance;
    // To two digits below 100: 99.95 % is not 100 %.
    let digits = if share > 0.99 { 2 } else { 1 };
    match share.is_finite() {
        true => (format!("{:.digits$} %", 100.0 * share), String::new()),
        false => ("–".into(), "the samples do not vary".into()),
    }
}

/// The last layer of the encoder.
fn code(model: &Model) -> usize {
    model.net.settings().encoder_layers() - 1
}

fn active_units(model: &Model) -> Figure {
    let layer = code(model);
    let (l0, units) = (model.evaluation.layers[layer].l0, model.evaluation.units[layer].len());
    let number = if l0 < 100.0 { short((10.0 * l0).round() / 10.0) } else { format!("{l0:.0}") };
    (number, format!("of {units} per sample"))
}

fn mean_activation(model: &Model) -> Figure {
    let mean = model.evaluation.mean_activations()[code(model)];
    (format!("{mean:.3}"), String::new())
}

fn dead(model: &Model) -> Figure {
    let layer = code(model);
    let dead = dead_units(&model.evaluation.layers[layer]).replace("at most", "≤");
    (dead, format!("of {}", model.evaluation.units[layer].len()))
}
