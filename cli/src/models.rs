//! The options that name models, and the models.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use sae::{Autoencoder, Engine, Error, Settings, compute, files::exchange};
pub use sae_report::Model;

use crate::data::{ChoiceArgs, Chosen, DataArgs, TargetArgs};
use crate::failure::{Failure, Result};
use crate::history;
use crate::isa;
use crate::output::note;
use crate::runs;
use crate::sweeps;

/// The options of every command that runs a model.
#[derive(Args)]
pub struct EngineArgs {
    /// Threads [default: SAE_NUM_THREADS or OMP_NUM_THREADS if set, all cores otherwise]
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
        let isa = isa::from_environment()?;
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

/// Models of a sweep that are shown together, at most.
const MAX_OF_SWEEP: usize = 12;

/// Several models, and the data they are evaluated on.
#[derive(Args)]
pub struct ModelsArgs {
    /// Model files, dictionaries of other libraries (see `sae convert --help`), or a sweep, by its table or its
    /// folder, for all its models [default: those of the latest run in the folder runs]
    #[arg(value_name = "MODEL")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    pub run: EngineArgs,
}

impl ModelsArgs {
    /// Whether options name data other than the models' own.
    pub fn has_other_data(&self) -> bool {
        self.data.is_given()
    }

    /// The models' files: those given, with those of sweeps, or else those of the latest runs.
    ///
    /// Of runs at most `count`, or all of the sweep that is the latest run.
    pub fn paths(&self, count: usize) -> Result<Vec<PathBuf>> {
        if self.paths.is_empty() {
            let Some(table) = runs::latest_sweep()? else { return runs::latest_models(count) };
            runs::note_unfinished()?;
            note(&format!("models: those of {}, the latest run", table.display()));
            let folder = table.parent().unwrap_or(&table);
            return self.with_sweeps(&[folder.to_owned()]);
        }
        self.with_sweeps(&self.paths)
    }

    /// The models of these files and sweeps.
    fn with_sweeps(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let mut models = Vec::new();
        for path in paths {
            match sweeps::table_of(path)? {
                Some(table) => {
                    let of_sweep = sweeps::models(&table, MAX_OF_SWEEP)?;
                    models.extend(of_sweep.into_iter().map(|(model, _)| model));
                }
                None => models.push(runs::model_of(path.clone())),
            }
        }
        Ok(models)
    }

    /// The file that a page about all models is made beside: the model, of a sweep its table.
    pub fn subject(&self, models: &[PathBuf]) -> Result<PathBuf> {
        let table = match &self.paths[..] {
            [] => runs::latest_sweep()?,
            [path] => sweeps::table_of(path)?,
            _ => None,
        };
        Ok(table.unwrap_or_else(|| models[0].clone()))
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
            let model = Model::new(name, net, samples, engine)?;
            self.check_same((path, &model), (&paths[0], models.first()), (&file, &data))?;
            data = file;
            models.push(Model { path: Some(path.clone()), ..model });
        }
        Ok((models, data))
    }
}

impl ModelsArgs {
    /// The samples of a model's file with what is known of them: labels, names and numbers.
    pub fn chosen(&self, path: &Path, model: &Model) -> Result<Chosen> {
        ChoiceArgs::from(self.data.clone()).choose(path, &model.net)
    }

    /// Fails if a model's own test samples are not those of the first model.
    ///
    /// Their figures could not be compared.
    fn check_same(
        &self,
        (path, model): (&Path, &Model),
        (first_path, first): (&Path, Option<&Model>),
        (file, first_file): (&Path, &Path),
    ) -> Result<()> {
        let Some(first) = first.filter(|_| !self.data.is_given()) else { return Ok(()) };
        let held_out = |net: &Autoencoder| net.training_data().and_then(|data| data.held_out());
        let is_same = file == first_file
            && model.samples.len() == first.samples.len()
            && held_out(&model.net) == held_out(&first.net);
        if is_same {
            return Ok(());
        }
        let problem = format!("its test samples are others than those of {}", first_path.display());
        let hint = "name samples for all of them: --samples FILE or --data DIR";
        Err(Failure::at(path, problem).hint(hint))
    }
}

/// The files' names without folder and ending, or the whole paths where these are not different.
fn names(paths: &[PathBuf]) -> Vec<String> {
    // Of a run its folder.
    let of_run = |path: &Path| path.parent().filter(|_| runs::is_of_run(path)).map(Path::to_owned);
    let mut of_sweeps = sweeps::Names::default();
    let mut stem = |path: &Path| match of_run(path) {
        Some(folder) => folder.display().to_string(),
        None => of_sweeps
            .of(path)
            .unwrap_or_else(|| path.file_stem().unwrap_or(path.as_os_str()).display().to_string()),
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
        Some(nth) if hidden == 1 => {
            let problem = format!("layer: expected 1, the only hidden layer, got {nth}");
            Err(Failure::input(problem))
        }
        Some(nth) => Err(Failure::input(format!(
            "layer: expected a hidden layer from 1 to {hidden}, got {nth}"
        ))),
    }
}

/// Whether a file is a model: it is named so, or begins as safetensors files do.
///
/// They begin with a length of eight bytes and then JSON. (The ninth byte of an IDX file of samples is `{` only if its second
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
