//! The options that name models, and the models.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use sae::{
    Autoencoder, Code, Engine, Error, Evaluation, Isa, Samples, Settings, compute, files::exchange,
};

use crate::data::{ChoiceArgs, Chosen, DataArgs, TargetArgs};
use crate::failure::{Failure, Result};
use crate::history;
use crate::output::{hidden_feature, join, short};
use crate::runs;

/// The options of every command that runs a model.
#[derive(Args)]
pub struct EngineArgs {
    /// Threads (default: SAE_NUM_THREADS or OMP_NUM_THREADS if set, all cores otherwise)
    #[arg(long, value_name = "N", display_order = 900)]
    threads: Option<usize>,
    /// Print one JSON object instead of text
    #[arg(long, display_order = 901)]
    pub json: bool,
}

impl EngineArgs {
    pub fn engine(&self) -> Result<Engine> {
        let setting = |field, problem| Error::Setting { field, problem };
        if self.threads == Some(0) {
            return Err(setting("threads", "expected at least 1, got 0".into()).into());
        }
        let isa = Isa::from_environment().map_err(|e| setting("SAE_ISA", e.to_string()))?;
        let threads = self.threads.map_or_else(compute::threads_from_environment, Ok)?;
        Ok(Engine::new(isa, compute::ThreadPool::new(threads)))
    }
}

/// Loads a model file, or a dictionary of another library.
pub fn load(path: &Path) -> Result<Autoencoder> {
    Ok(match exchange::is_dictionary(path) {
        true => exchange::import(path)?,
        false => Autoencoder::load(path)?,
    })
}

/// One model, and how to run it.
pub struct ModelArgs {
    pub path: PathBuf,
    pub run: EngineArgs,
}

/// The options of [`ModelArgs`].
#[derive(Args)]
struct OptionalModelArgs {
    /// Model file, or a dictionary of another library (see `sae convert --help`) [default: that of the
    /// latest run in the folder runs]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    #[command(flatten)]
    run: EngineArgs,
}

impl Args for ModelArgs {
    fn augment_args(command: Command) -> Command {
        OptionalModelArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ModelArgs {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let OptionalModelArgs { model, run } = OptionalModelArgs::from_arg_matches(matches)?;
        let problem = |failure: Failure| {
            clap::Error::raw(ErrorKind::MissingRequiredArgument, failure.text_after_error())
        };
        Ok(ModelArgs { path: runs::model_or_latest(model).map_err(problem)?, run })
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ModelArgs {
    pub fn load(&self) -> Result<(Engine, Autoencoder)> {
        Ok((self.run.engine()?, load(&self.path)?))
    }
}

/// Several models, and the data they are evaluated on.
#[derive(Args)]
pub struct ModelsArgs {
    /// Model files, or dictionaries of other libraries (see `sae convert --help`) [default: that of the
    /// latest run in the folder runs]
    #[arg(value_name = "MODEL")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    pub run: EngineArgs,
}

/// A model with its evaluation.
pub struct Model {
    pub path: PathBuf,
    /// Short, and different from the others'.
    pub name: String,
    pub net: Autoencoder,
    /// Scaled as in this model's training.
    pub samples: Samples,
    pub evaluation: Evaluation,
}

impl ModelsArgs {
    /// The models' files: those given, or else those of the latest runs, at most `count`.
    pub fn paths(&self, count: usize) -> Result<Vec<PathBuf>> {
        if self.paths.is_empty() { runs::latest_models(count) } else { Ok(self.paths.clone()) }
    }

    /// The files that are read: the models, their histories and the data.
    pub fn inputs(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let models: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let mut inputs = self.data.inputs(&models)?;
        if let Some(targets) = self.targets.files(&[]) {
            inputs.extend(targets.train);
        }
        inputs.extend(models.into_iter().map(history::path_of));
        Ok(inputs)
    }

    /// Loads and evaluates the models of these files. Also returns the file of the data.
    pub fn load(&self, engine: &mut Engine, paths: &[PathBuf]) -> Result<(Vec<Model>, PathBuf)> {
        let mut models = Vec::new();
        let mut data = PathBuf::new();
        for (path, name) in paths.iter().zip(names(paths)) {
            let net = load(path)?;
            let (samples, file) = self.data.evaluation_pairs(&self.targets, path, &net)?;
            let evaluation = net.evaluate(engine, &samples)?;
            self.check_same(path, models.first(), (&net, &samples), (&file, &data))?;
            data = file;
            models.push(Model { path: path.clone(), name, net, samples, evaluation });
        }
        Ok((models, data))
    }
}

impl ModelsArgs {
    /// A model's samples with what is known of them: labels, names and numbers.
    pub fn chosen(&self, model: &Model) -> Result<Chosen> {
        ChoiceArgs::from(self.data.clone()).choose(&model.path, &model.net)
    }

    /// Fails if a model's own test samples are not those of the first model: their figures cannot be
    /// compared.
    fn check_same(
        &self,
        path: &Path,
        first: Option<&Model>,
        (net, samples): (&Autoencoder, &Samples),
        (file, first_file): (&Path, &Path),
    ) -> Result<()> {
        let Some(first) = first.filter(|_| !self.data.is_given()) else { return Ok(()) };
        let held_out = |net: &Autoencoder| net.training_data().and_then(|data| data.held_out());
        let is_same = file == first_file
            && samples.len() == first.samples.len()
            && held_out(net) == held_out(&first.net);
        if is_same {
            return Ok(());
        }
        let problem = format!("its test samples are others than those of {}", first.path.display());
        let hint = "name samples for all of them: --samples FILE or --data DIR";
        Err(Failure::at(path, problem).hint(hint))
    }
}

/// The files' names without folder and ending, or the whole paths where these are not different.
fn names(paths: &[PathBuf]) -> Vec<String> {
    // Of a run its folder.
    let of_run = |path: &Path| path.parent().filter(|_| runs::is_of_run(path)).map(Path::to_owned);
    let stem = |path: &Path| match of_run(path) {
        Some(folder) => folder.display().to_string(),
        None => path.file_stem().unwrap_or(path.as_os_str()).display().to_string(),
    };
    let stems: Vec<String> = paths.iter().map(|path| stem(path)).collect();
    let is_unique = |name: &String| stems.iter().filter(|other| *other == name).count() == 1;
    let pairs = stems.iter().zip(paths);
    pairs
        .map(|(stem, path)| if is_unique(stem) { stem.clone() } else { path.display().to_string() })
        .collect()
}

/// The index of the hidden layer of this number, from 1; of the code without one.
pub fn hidden_layer(nth: Option<usize>, settings: &Settings) -> Result<usize> {
    let hidden = settings.layers.len() - 2;
    match nth {
        None => Ok(settings.encoder_layers() - 1),
        Some(nth) if (1..=hidden).contains(&nth) => Ok(nth - 1),
        Some(nth) => Err(Failure::input(format!(
            "layer: expected a hidden layer from 1 to {hidden}, got {nth}"
        ))),
    }
}

/// The rows of a table: a figure's name, and its value for each model; "–" where it has none.
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
    row("layers", &|m| Some(join(&m.net.settings().layers, "-")));
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
        row(&format!("dead units, layer {nth}"), &|m| {
            Some(m.evaluation.layers.get(l)?.dead_units().count().to_string())
        });
    }
    row("code", &|m| {
        let code = m.net.settings().code;
        (code != Code::Dense).then(|| code.to_string())
    });
    rows
}

/// Whether a file is a model: it is named so, or begins as safetensors files do, with a length of
/// eight bytes and then JSON. (The ninth byte of an IDX file of samples is `{` only if its second
/// dimension is over two thousand million.)
pub fn looks_like_a_model(path: &Path) -> bool {
    let named = path.extension().is_some_and(|ending| ending == "safetensors");
    let mut start = [0; 9];
    // Regular files only: what is read from a pipe is gone.
    let read = |start: &mut [u8; 9]| File::open(path)?.read_exact(start);
    named || path.is_file() && read(&mut start).is_ok() && start[8] == b'{'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_different() {
        let names =
            |paths: &[&str]| names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>()).join(" ");
        assert_eq!(names(&["a/x.safetensors", "b/y.safetensors"]), "x y");
        assert_eq!(names(&["a/x.st", "b/x.st", "z.st"]), "a/x.st b/x.st z");
    }
}
