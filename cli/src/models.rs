//! Models side by side, each evaluated on the same data.

use std::path::{Path, PathBuf};

use clap::Args;
use sae::{Autoencoder, Code, Engine, Evaluation, Samples};

use crate::data::DataArgs;
use crate::failure::{Failure, Result};
use crate::output::short;

/// Models, and what they are tried on.
#[derive(Args)]
pub struct ModelsArgs {
    /// Model files
    #[arg(required = true, value_name = "MODEL")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    /// Threads (default: all cores)
    #[arg(long)]
    pub threads: Option<usize>,
}

/// A model, and how it does.
pub struct Model {
    pub path: PathBuf,
    /// Short, and unlike the others'.
    pub name: String,
    pub net: Autoencoder,
    /// Scaled as this model's data was.
    pub samples: Samples,
    pub evaluation: Evaluation,
}

impl ModelsArgs {
    /// Loads and evaluates them. Also the data's file.
    pub fn load(&self, engine: &mut Engine) -> Result<(Vec<Model>, PathBuf)> {
        let mut models = Vec::new();
        let mut data = PathBuf::new();
        for (path, name) in self.paths.iter().zip(names(&self.paths)) {
            let net = Autoencoder::load(path)?;
            let (samples, file) = self.data.trial(net.scaling())?;
            let features = net.settings().layers[0];
            if samples.features() != features {
                let problem = format!(
                    "{}: the model takes samples of {features} features, and those of {} have {}",
                    path.display(),
                    file.display(),
                    samples.features()
                );
                return Err(Failure::input(problem)
                    .hint("name the data it was trained on: --data DIR or --images FILE"));
            }
            let evaluation = net.evaluate(engine, &samples)?;
            data = file;
            models.push(Model { path: path.clone(), name, net, samples, evaluation });
        }
        Ok((models, data))
    }
}

/// The files' names without folder and ending, or the whole paths where these are not unlike.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &Path| path.file_stem().unwrap_or(path.as_os_str()).display().to_string();
    let stems: Vec<String> = paths.iter().map(|path| stem(path)).collect();
    let alike = |name: &String| stems.iter().filter(|other| *other == name).count() > 1;
    let pairs = stems.iter().zip(paths);
    pairs
        .map(|(stem, path)| if alike(stem) { path.display().to_string() } else { stem.clone() })
        .collect()
}

/// A table's rows: what is measured, and each model's figure; "–" where it has none.
pub fn figures(models: &[&Model]) -> Vec<(String, Vec<String>)> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut row = |name: &str, figure: &dyn Fn(&Model) -> Option<String>| {
        let figures: Vec<_> = models.iter().map(|model| figure(model)).collect();
        if figures.iter().any(Option::is_some) {
            let figures = figures.into_iter().map(|figure| figure.unwrap_or("–".into()));
            rows.push((name.to_owned(), figures.collect()));
        }
    };
    let number = |value: f64| value.is_finite().then(|| short(value));
    let positive = |value: f64| (value > 0.0).then(|| short(value));
    row("layers", &|m| {
        let sizes: Vec<_> = m.net.settings().layers.iter().map(usize::to_string).collect();
        Some(sizes.join("-"))
    });
    row("objective", &|m| number(m.evaluation.objective));
    row("loss", &|m| number(m.evaluation.loss));
    row("sparsity penalties", &|m| positive(m.evaluation.penalty));
    row("weight decay", &|m| positive(m.net.settings().lambda * m.evaluation.weight_decay));
    row("mean squared error", &|m| number(m.evaluation.squared_error));
    row("explained variance", &|m| number(m.evaluation.explained_variance));
    let hidden = |m: &Model| m.evaluation.layers.len();
    for l in 0..models.iter().map(|model| hidden(model)).max().unwrap_or(0) {
        let nth = l + 1;
        let of = |m: &Model, figure: &dyn Fn(&Model) -> String| (l < hidden(m)).then(|| figure(m));
        row(&format!("mean activation, layer {nth}"), &|m| {
            of(m, &|m| short(m.evaluation.mean_activations()[l]))
        });
        row(&format!("active a sample, layer {nth}"), &|m| {
            let units = |m: &Model| m.evaluation.units[l].len();
            of(m, &|m| format!("{} of {}", short(m.evaluation.layers[l].l0), units(m)))
        });
        row(&format!("dead units, layer {nth}"), &|m| {
            of(m, &|m| m.evaluation.layers[l].dead_units().count().to_string())
        });
    }
    row("code", &|m| {
        let code = m.net.settings().code;
        (code != Code::Dense).then(|| format!("{code:?}"))
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_unlike() {
        let names =
            |paths: &[&str]| names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>()).join(" ");
        assert_eq!(names(&["a/x.safetensors", "b/y.safetensors"]), "x y");
        assert_eq!(names(&["a/x.st", "b/x.st", "z.st"]), "a/x.st b/x.st z");
    }
}
