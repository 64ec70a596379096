//! The three figures at the top of the page, and what they mean.

use std::fmt::Write;

use sae::Code;

use crate::escape::escape;
use crate::figures::{dead_units, short};
use crate::model::Model;

/// Colors of models, as the page's charts have them.
const COLORS: usize = 6;

/// A figure of a model: the number, and what it is a number of.
type Figure = (String, String);

/// Explained variance, activity and dead units, each of every model.
pub fn cards(models: &[Model]) -> String {
    let is_sparse = |model: &Model| model.net.settings().code != Code::Dense;
    let all_sparse = models.iter().all(is_sparse);
    let (activity, meaning): (&dyn Fn(&Model) -> Figure, _) = match all_sparse {
        true => (
            &active_units,
            "Active units per sample (L0): with how many units the model describes a sample. Fewer are \
             easier to read.",
        ),
        false => (
            &mean_activation,
            "How active the units of the code are on average: near 0, only few of them respond to a \
             sample.",
        ),
    };
    let name = if all_sparse { "Active units" } else { "Mean activation" };
    [
        (
            "Explained variance",
            &explained as &dyn Fn(&Model) -> Figure,
            "How much of what differs between samples the reconstructions keep. 100 % would be perfect \
             copies; 0 % is no better than the mean sample.",
        ),
        (name, activity, meaning),
        (
            "Dead units",
            &dead,
            "Units of the code that respond to none of these samples: capacity that the training has not \
             used.",
        ),
    ]
    .iter()
    .map(|(name, figure, meaning)| card(models, name, figure, meaning))
    .collect()
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
