//! The description of a file.

use sae::{Code, Scaling, Settings, files::Course};
use serde_json::{Value, json};

use crate::drawing::shape::Shape;
use crate::output::{counted, exact, short};

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

/// A line with the course of a training, as far as it has one besides its settings.
pub fn course_text(course: &Course) -> String {
    let Course { steps, ranks, pretrain, revive, patience, evaluate_every, .. } = course;
    let mut parts = vec![format!("training of {}", counted(*steps as usize, "step"))];
    let with = |number: &Option<u64>, text: &dyn Fn(u64) -> String| number.map(text);
    let early = with(patience, &|patience| {
        let every = evaluate_every.map_or(String::new(), |every| format!(", every {every} steps"));
        format!("early stopping after {patience} evaluations without improvement{every}")
    });
    parts.extend(with(ranks, &|ranks| format!("by {ranks} ranks")));
    parts.extend(with(pretrain, &|steps| format!("each layer pretrained for {steps} steps")));
    parts.extend(with(revive, &|every| format!("dead units revived every {every} steps")));
    parts.extend(early);
    parts.join("; ") + "\n"
}

/// The course of a training as JSON.
pub fn course_json(course: &Course) -> Value {
    json!({
        "steps": course.steps, "ranks": course.ranks, "pretrain": course.pretrain, "revive": course.revive,
        "patience": course.patience, "evaluate_every": course.evaluate_every,
        "scaling_samples": course.scaling_samples,
    })
}

/// Settings that [`settings_text`] and the layers of a model show by themselves.
const SHOWN: [&str; 13] = [
    "layers",
    "activation",
    "output_activation",
    "rho",
    "beta",
    "l1",
    "lambda",
    "code",
    "auxiliary",
    "prefixes",
    "learning_rate",
    "batch",
    "seed",
];

/// Lines with the settings that matter most, and with all others that are not as by default.
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
    // With as many digits as other figures, but none that say nothing.
    let rate =
        short(settings.learning_rate).parse().map_or_else(|_| text("learning_rate"), exact::<f64>);
    let [batch, seed] = ["batch", "seed"].map(text);
    lines += &format!("learning rate {rate}, batch {batch}, seed {seed}\n");
    let default = Settings::default();
    let others = Settings::fields().iter().filter(|field| !SHOWN.contains(&field.name));
    let others = others.filter(|field| field.text(settings) != field.text(&default));
    let others = others.map(|of| format!("{} {}", of.name.replace('_', "-"), of.text(settings)));
    let others: Vec<_> = others.collect();
    if !others.is_empty() {
        lines += &format!("{}\n", others.join(", "));
    }
    lines
}
