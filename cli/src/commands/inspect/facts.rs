//! The description of a file.

use sae::{Code, Scaling, Settings};
use serde_json::{Value, json};

use crate::drawing::shape::Shape;
use crate::output::short;

/// The description of a file.
pub struct Facts {
    pub text: String,
    pub value: Value,
    /// Images of `[rows * columns]`, if it has any.
    pub images: Option<(Shape, Vec<Vec<u8>>)>,
}

/// Images in the picture, at most.
pub const MAX_IMAGES: usize = 100;

/// A scaling, as it is named for the command, with its constants.
pub fn scaling_json(scaling: &Scaling) -> Value {
    match scaling {
        Scaling::MinMax { min, max } => json!({"min-max": {"min": min, "max": max}}),
        Scaling::MeanDeviation { mean, deviation } => {
            json!({"mean-deviation": {"mean": mean, "deviation": deviation}})
        }
        Scaling::MinMaxByFeature { min, max } => {
            json!({"min-max:feature": {"min": &min[..], "max": &max[..]}})
        }
        Scaling::MeanDeviationByFeature { mean, deviation } => {
            json!({"mean-deviation:feature": {"mean": &mean[..], "deviation": &deviation[..]}})
        }
        other => json!(other.kind().name()),
    }
}

/// Lines with the settings that matter most.
pub fn settings_text(settings: &Settings, scaling: &Scaling) -> String {
    let text = |name: &str| {
        let field = Settings::fields().iter().find(|field| field.name == name);
        field.map_or(String::new(), |field| field.text(settings))
    };
    let mut terms = Vec::new();
    if settings.beta > 0.0 {
        terms.extend(["rho", "beta"]);
    }
    let weights = [("l1", settings.l1), ("lambda", settings.lambda)];
    terms.extend(weights.iter().filter(|(_, weight)| *weight > 0.0).map(|(name, _)| *name));
    let terms: Vec<_> = terms.iter().map(|name| format!("{name} {}", text(name))).collect();
    let mut lines = format!(
        "activation {}, of the output {}; scaling {scaling}\n",
        settings.activation.name(),
        settings.output_activation.name(),
    );
    if !terms.is_empty() {
        lines += &format!("{}\n", terms.join(", "));
    }
    if settings.code != Code::Dense {
        let Settings { code, auxiliary, prefixes, .. } = settings;
        lines += &format!(
            "code {}, auxiliary loss {}, prefixes {prefixes}\n",
            code.brief(),
            auxiliary.brief()
        );
    }
    let rate = short(settings.learning_rate);
    lines + &format!("learning rate {rate}, batch {}, seed {}\n", text("batch"), text("seed"))
}
