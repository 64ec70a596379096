//! Folders of runs: `runs/1`, `runs/2` and so on, below the working folder. A training without `--out`
//! makes the next one, and a command without MODEL takes the latest model there.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sae::files::exchange::is_dictionary;

use crate::failure::{Failure, Result, io_error};
use crate::output::{note, warn};
use crate::sweeps;

/// The folder of all runs.
pub const RUNS: &str = "runs";
const MODEL: &str = "model.safetensors";
/// The name of checkpoints in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.ckpt";

/// The model's file in a run's folder.
pub fn model_in(folder: &Path) -> PathBuf {
    folder.join(MODEL)
}

/// The checkpoint of a model without a name for it.
pub fn checkpoint_of(model: &Path) -> PathBuf {
    beside(model, CHECKPOINT, "ckpt")
}

/// A name of a run's folder that is never made, to check what is asked for before one is made.
pub fn unmade() -> PathBuf {
    Path::new(RUNS).join("0")
}

/// Makes the folder of a new run, numbered after the last one. No other process gets the same.
pub fn make() -> Result<PathBuf> {
    make_in(Path::new(RUNS))
}

fn make_in(runs: &Path) -> Result<PathBuf> {
    fs::create_dir_all(runs).map_err(io_error("create", runs))?;
    let ignore = runs.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(io_error("write", &ignore))?;
    }
    let mut number = all_in(runs)?.last().map_or(1, |&(number, _)| number + 1);
    loop {
        let folder = runs.join(number.to_string());
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(io_error("create", &folder)(error).into()),
        }
    }
}

/// The number of a run's folder, by its name.
fn number(name: &OsStr) -> Option<u64> {
    let number: u64 = name.to_str()?.parse().ok()?;
    (name == OsStr::new(&number.to_string())).then_some(number)
}

/// The runs' folders with their numbers, in order.
pub fn all() -> Result<Vec<(u64, PathBuf)>> {
    all_in(Path::new(RUNS))
}

/// Those in this folder.
pub fn all_in(runs: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(runs) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error("read", runs))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error("read", runs))?.path();
        if let Some(number) = path.file_name().and_then(number) {
            all.push((number, path));
        }
    }
    all.sort();
    Ok(all)
}

/// The folder of the latest run, if there is one.
pub fn latest() -> Result<Option<PathBuf>> {
    Ok(all()?.pop().map(|(_, folder)| folder))
}

/// Whether a run's folder has a model or an ended sweep.
fn has_models(folder: &Path) -> bool {
    model_in(folder).is_file() || sweeps::in_run(folder).is_some_and(|table| table.is_file())
}

/// The runs up to the latest that has models, and those after it.
fn with_models() -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut all: Vec<_> = all()?.into_iter().map(|(_, folder)| folder).collect();
    let count = all.iter().rposition(|folder| has_models(folder)).map_or(0, |last| last + 1);
    let later = all.split_off(count);
    Ok((all, later))
}

/// What continues a run that has no model, if there is something.
fn continuation(run: &Path) -> Option<&'static str> {
    match run {
        run if sweeps::in_run(run).is_some() => Some("sae sweep --resume continues it"),
        run if run.join(CHECKPOINT).is_file() => Some("sae train --resume continues it"),
        _ => None,
    }
}

/// Says on stderr that a run after the latest with models has none.
pub fn note_unfinished() -> Result<()> {
    let (before, later) = with_models()?;
    note_later(&before, &later);
    Ok(())
}

fn note_later(before: &[PathBuf], later: &[PathBuf]) {
    if let Some(last) = later.last().filter(|_| !before.is_empty()) {
        let hint = continuation(last).map(|hint| format!(" ({hint})")).unwrap_or_default();
        warn(&format!("{} has no model{hint}: an earlier run's is taken", last.display()));
    }
}

/// The table of the last of these runs, if that is a sweep.
fn last_sweep(runs: &[PathBuf]) -> Option<PathBuf> {
    let last = runs.last().filter(|last| !model_in(last).is_file())?;
    sweeps::in_run(last)
}

/// The table of the sweep that is the latest run with models, if it is one.
pub fn latest_sweep() -> Result<Option<PathBuf>> {
    Ok(last_sweep(&with_models()?.0))
}

/// The models of the latest runs that have one, at most `count`, the latest last; says which on stderr.
pub fn latest_models(count: usize) -> Result<Vec<PathBuf>> {
    let (runs, later) = with_models()?;
    if let (Some(last), true) = (later.last(), runs.is_empty()) {
        let failure = Failure::at(last, "no model is given, and the latest run has none");
        let hint = continuation(last).unwrap_or("give a model file, or train one: sae train");
        return Err(failure.hint(hint));
    }
    note_later(&runs, &later);
    models_of(&runs, count)
}

fn models_of(runs: &[PathBuf], count: usize) -> Result<Vec<PathBuf>> {
    let models = runs.iter().rev().map(|folder| model_in(folder));
    let mut models: Vec<_> = models.filter(|model| model.is_file()).take(count).collect();
    models.reverse();
    let sweep = last_sweep(runs);
    if models.is_empty() {
        if let Some(table) = sweep {
            let folder = table.parent().unwrap_or(&table);
            let problem = "no model is given, and the latest run is a sweep, which has several";
            let models = sweeps::models(&table, usize::MAX).unwrap_or_default();
            let hint = models
                .iter()
                .find(|(model, _)| model.is_file())
                .map(|(model, _)| format!("name one of them, such as {}", model.display()));
            return Err(Failure::at(folder, problem).hint(hint.unwrap_or_default()));
        }
        let problem = "no model is given, and there is none in the folder runs";
        return Err(Failure::input(problem).hint("give a model file, or train one: sae train"));
    }
    for (at, model) in models.iter().enumerate() {
        let is_last = at + 1 == models.len();
        let model = model.display();
        note(&match &sweep {
            Some(table) => {
                let models = sweeps::folder_of(table);
                format!(
                    "model: {model}, of the latest training; those of the sweep are in {}",
                    models.display()
                )
            }
            None if is_last => format!("model: {model}, of the latest run"),
            None => format!("model: {model}, of a run before"),
        });
    }
    Ok(models)
}

/// The model in the folder of a run, or else the path itself.
pub fn model_of(path: PathBuf) -> PathBuf {
    let model = model_in(&path);
    if model.is_file() && !is_dictionary(&path) { model } else { path }
}

/// The model that is given, by its file or its run's folder, or else that of the latest run.
pub fn model_or_latest(given: Option<PathBuf>) -> Result<PathBuf> {
    match given {
        Some(path) => Ok(model_of(path)),
        None => Ok(latest_models(1)?.remove(0)),
    }
}

/// Whether a model's file is that of a run's folder.
pub fn is_of_run(model: &Path) -> bool {
    is_in_run(model, MODEL)
}

/// Whether a table of a sweep is that of a run's folder.
pub fn is_sweep_of_run(table: &Path) -> bool {
    is_in_run(table, sweeps::TABLE)
}

fn is_in_run(file: &Path, name: &str) -> bool {
    let folder = file.parent().unwrap_or(file);
    let is_numbered = folder.file_name().and_then(number).is_some();
    let of_runs = folder.parent().and_then(Path::file_name);
    file.file_name() == Some(OsStr::new(name)) && is_numbered && of_runs == Some(OsStr::new(RUNS))
}

/// What is beside a device or a pipe: what is written there is gone.
const NOWHERE: &str = "/dev/null";

/// Whether a path is that of a device or a pipe, which has no files beside it.
pub fn is_device(path: &Path) -> bool {
    cfg!(unix) && path.metadata().is_ok_and(|it| !it.is_file() && !it.is_dir())
}

/// A file beside a model: of this name in a run's folder, elsewhere the model's name with this ending.
pub fn beside(model: &Path, name: &str, ending: &str) -> PathBuf {
    if is_of_run(model) {
        return model.with_file_name(name);
    }
    if is_device(model) {
        return NOWHERE.into();
    }
    match model.extension() {
        Some(extension) if extension == "safetensors" => model.with_extension(ending),
        // What follows a dot in another name may be what tells it from others.
        _ => {
            let mut path = model.to_owned().into_os_string();
            path.push(".");
            path.push(ending);
            path.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_is_made_twice() {
        let folder = std::env::temp_dir().join(format!("sae-runs-{}", std::process::id()));
        let make = || (0..50).map(|_| make_in(&folder).ok().unwrap()).collect::<Vec<_>>();
        let mut made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 400);
        let all = all_in(&folder).ok().unwrap();
        assert!(all.iter().map(|(number, _)| *number).eq(1..=400));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn names_beside_a_model() {
        for (model, history) in [
            ("a/b.safetensors", "a/b.history.csv"),
            ("a/b.0.5", "a/b.0.5.history.csv"),
            ("runs/3/model.safetensors", "runs/3/history.csv"),
            ("/x/runs/12/model.safetensors", "/x/runs/12/history.csv"),
            ("runs/03/model.safetensors", "runs/03/model.history.csv"),
            ("runs/3/other.safetensors", "runs/3/other.history.csv"),
            ("model.safetensors", "model.history.csv"),
        ] {
            assert_eq!(beside(Path::new(model), "history.csv", "history.csv"), Path::new(history));
        }
    }
}
