//! The table of the figures of models.

use sae::Code;

use crate::figures::{dead_units, hidden_feature, join, short};
use crate::model::Model;

/// The rows of a table: a figure's name, and its value for each model; "–" where it has none.
pub fn figures(models: &[Model]) -> Vec<(String, Vec<String>)> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut row = |name: &str, figure: &dyn Fn(&Model) -> Option<String>| {
        let figures: Vec<_> = models.iter().map(figure).collect();
        if figures.iter().any(Option::is_some) {
            let figures = figures.into_iter().map(|figure| figure.unwrap_or("–".into()));
            rows.push((name.to_owned(), figures.collect()));
        }
    };
    let number = |value: f64| value.is_finite().then(|| short(value));
    let positive = |value: f64| (value > 0.0).then(|| short(value));
    row("layers", &|m| Some(join(&m.net.settings().layers, "-")));
    let first = models.first().map(|model| model.net.settings().loss);
    // Then the objectives are of different measures.
    if models.iter().any(|model| Some(model.net.settings().loss) != first) {
        row("kind of loss", &|m| Some(m.net.settings().loss.name().to_owned()));
    }
    row("objective", &|m| number(m.evaluation.objective));
    row("loss", &|m| number(m.evaluation.loss));
    row("sparsity penalties", &|m| positive(m.evaluation.penalty));
    row("weight decay", &|m| positive(m.net.settings().lambda * m.evaluation.weight_decay));
    row("mean squared error", &|m| number(m.evaluation.squared_error));
    row("explained variance", &|m| number(m.evaluation.explained_variance));
    row("its worst feature's, where hidden", &|m| {
        hidden_feature(&m.net, &m.evaluation)
            .map(|(feature, share)| format!("{} ({feature})", short(share)))
    });
    let hidden_layers = models.iter().map(|model| model.evaluation.layers.len()).max();
    for l in 0..hidden_layers.unwrap_or(0) {
        let nth = l + 1;
        row(&format!("mean activation, layer {nth}"), &|m| {
            m.evaluation.mean_activations().get(l).map(|&mean| short(mean))
        });
        row(&format!("active units per sample, layer {nth}"), &|m| {
            let activity = m.evaluation.layers.get(l)?;
            Some(format!("{} of {}", short(activity.l0), m.evaluation.units[l].len()))
        });
        row(&format!("dead units, layer {nth}"), &|m| m.evaluation.layers.get(l).map(dead_units));
    }
    row("code", &|m| {
        let code = m.net.settings().code;
        (code != Code::Dense).then(|| code.to_string())
    });
    rows
}
