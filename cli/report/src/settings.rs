//! The settings of models, in words: what differs from a preset, then the rest.

use std::fmt::Write;

use sae::{Field, Optimizer, Preset, Schedule, Settings};

use crate::escape::escape;
use crate::model::Model;

/// What a reader calls each setting.
const WORDS: [(&str, &str); 38] = [
    ("layers", "Layer sizes, input to output"),
    ("activation", "Activation of the hidden layers"),
    ("activations", "Activation of each hidden layer"),
    ("output_activation", "Activation of the output"),
    ("allow_unreachable", "Data may exceed what the output can reach"),
    ("loss", "Loss"),
    ("code", "Which units of the code are kept"),
    ("prefixes", "Nested parts of the code"),
    ("auxiliary", "What dead units learn from"),
    ("dead_after", "Dead after this many samples (0: 10 epochs)"),
    ("l0_penalty", "Form of the penalty on active units"),
    ("tied", "Decoder shares the encoder's weights"),
    ("skip", "Linear map from input to output added"),
    ("unit_norm", "Decoder rows kept at length 1"),
    ("initialization", "Initial weights"),
    ("output_bias", "Initial output biases"),
    ("corruption", "Noise on the inputs"),
    ("rho", "Target mean activation"),
    ("beta", "Weight of the KL sparsity penalty"),
    ("l1", "Weight of the L1 sparsity penalty"),
    ("penalties", "Penalties of single layers"),
    ("sparsity_warm_up", "Steps until the penalties have their full weight"),
    ("rho_momentum", "Running mean in the KL penalty"),
    ("target", "Sparsity that is steered to"),
    ("active_above", "A sigmoid unit counts as active above"),
    ("lambda", "Weight decay"),
    ("optimizer", "Optimizer"),
    ("learning_rate", "Learning rate"),
    ("schedule", "Course of the learning rate"),
    ("warm_up", "Steps until the full learning rate"),
    ("clip", "Longest gradient (0: no bound)"),
    ("beta1", "Adam: decay of the first moment"),
    ("beta2", "Adam: decay of the second moment"),
    ("epsilon", "Adam: epsilon"),
    ("batch", "Samples in a batch"),
    ("order", "Order of the samples"),
    ("seed", "Seed of the random numbers"),
    ("preset", "Nearest preset"),
];

/// Shown first, whatever their values are.
const FIRST: [&str; 2] = ["layers", "code"];

/// The words for a setting, or else its name.
fn words(name: &str) -> &str {
    WORDS.iter().find(|(known, _)| *known == name).map_or(name, |(_, words)| words)
}

/// The settings of each model, and those of the preset that is nearest to its own.
struct Compared<'a> {
    own: &'a Settings,
    preset: Preset,
    base: Settings,
}

impl<'a> Compared<'a> {
    fn of(model: &'a Model) -> Self {
        let own = model.net.settings();
        let steps = steps_of(model);
        let bases = Preset::ALL.map(|preset| (preset, base_of(preset, model, steps)));
        let differing = |base: &Settings| {
            Settings::fields().iter().filter(|field| field.text(base) != field.text(own)).count()
        };
        let [first, others @ ..] = bases;
        let (preset, base) = others.into_iter().fold(first, |best, next| {
            if differing(&next.1) < differing(&best.1) { next } else { best }
        });
        Compared { own, preset, base }
    }

    fn differs(&self, field: &Field) -> bool {
        field.text(self.own) != field.text(&self.base)
    }
}

/// The steps of a model's training, as far as its file or its curves tell.
fn steps_of(model: &Model) -> Option<u64> {
    if let Schedule::Cosine { steps } | Schedule::Linear { steps, .. } =
        model.net.settings().schedule
    {
        return Some(steps);
    }
    let columns = &model.history.as_ref()?.columns;
    let (_, rows) = columns.iter().find(|(name, _)| name == "step")?;
    rows.last().map(|&step| step as u64)
}

/// The settings of a preset for a model's layers and data.
fn base_of(preset: Preset, model: &Model, steps: Option<u64>) -> Settings {
    let own = model.net.settings();
    let mut base = preset.settings(own.layers.clone(), steps).fitted_to(&model.samples);
    base.layers.clone_from(&own.layers);
    // L-BFGS has all training samples in a batch, whose number is not known here.
    if matches!(base.optimizer, Optimizer::Lbfgs { .. }) {
        base.batch = own.batch;
    }
    base
}

/// The section's content.
pub fn section(models: &[Model]) -> String {
    let all: Vec<Compared<'_>> = models.iter().map(Compared::of).collect();
    let is_first = |field: &Field| {
        let own: Vec<_> = all.iter().map(|of| field.text(of.own)).collect();
        FIRST.contains(&field.name)
            || all.iter().any(|of| of.differs(field))
            || own.iter().any(|text| *text != own[0])
    };
    let (first, rest): (Vec<_>, Vec<_>) =
        Settings::fields().iter().partition(|field| is_first(field));
    let (count, many) = (rest.len(), all.len() > 1);
    let mut html = intro(&all);
    let presets = if many { preset_row(&all) } else { String::new() };
    html += &table(models, &all, &presets, &first, !many);
    let _ = write!(html, "<details class=\"rest\"><summary>The other {count} settings, ");
    html += if many { "equal in all models and as in their presets" } else { "as in the preset" };
    html += "</summary>";
    html += &table(models, &all, "", &rest, false);
    html + "</details>"
}

fn intro(all: &[Compared<'_>]) -> String {
    let hover = "The name of each setting for the command and for programs is beside it.";
    match all {
        [one] => {
            let (name, about) = (one.preset.name(), escape(one.preset.about()));
            format!(
                "<p class=\"soft\">Nearest to the preset <code>{name}</code>: {about} First its shape \
                 and what differs from the preset. {hover}</p>"
            )
        }
        _ => format!(
            "<p class=\"soft\">First what differs between the models (bold) or from their presets. \
             {hover}</p>"
        ),
    }
}

/// A setting's words with its name for programs.
fn head(name: &str, about: &str) -> String {
    let (words, about) = (words(name), escape(about));
    format!("<th scope=\"row\" title=\"{about}\">{words} <code>{name}</code></th>")
}

fn preset_row(all: &[Compared<'_>]) -> String {
    let mut row = format!("<tr>{}", head("preset", "The settings that the fewest differ from"));
    all.iter().for_each(|of| {
        let _ = write!(row, "<td>{}</td>", of.preset.name());
    });
    row + "</tr>\n"
}

/// `has_preset`: with a column of the preset's values.
fn table(
    models: &[Model],
    all: &[Compared<'_>],
    presets: &str,
    fields: &[&Field],
    has_preset: bool,
) -> String {
    let mut html =
        String::from("<div class=\"table\"><table class=\"settings\">\n<thead><tr><td></td>");
    models.iter().for_each(|model| {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(&model.name));
    });
    if has_preset {
        html.push_str("<th scope=\"col\" class=\"soft\">preset</th>");
    }
    let _ = write!(html, "</tr></thead>\n<tbody>\n{presets}");
    for field in fields {
        let texts: Vec<_> = all.iter().map(|of| text(field, of.own)).collect();
        let differs = texts.iter().any(|text| *text != texts[0]);
        html.push_str(if differs { "<tr class=\"differs\">" } else { "<tr>" });
        html += &head(field.name, &field.doc());
        texts.iter().for_each(|text| {
            let _ = write!(html, "<td{}>{}</td>", whole(text), escape(text));
        });
        if has_preset {
            let base = text(field, &all[0].base);
            let same = !all[0].differs(field);
            let _ = write!(
                html,
                "<td class=\"soft\">{}</td>",
                if same { "same".into() } else { escape(&base) }
            );
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody></table></div>"
}

/// What keeps a short value on one line.
fn whole(text: &str) -> &'static str {
    if text.len() <= 24 { " class=\"whole\"" } else { "" }
}

/// A value as a reader has it.
fn text(field: &Field, settings: &Settings) -> String {
    match field.text(settings).as_str() {
        "" => "none".into(),
        "true" => "yes".into(),
        "false" => "no".into(),
        text if field.name == "layers" => text.replace(',', "-"),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_words() {
        for field in Settings::fields() {
            let words = words(field.name);
            assert!(words != field.name && !words.contains('_'), "{}", field.name);
        }
        assert_eq!(WORDS.len(), Settings::fields().len() + 1);
    }
}
