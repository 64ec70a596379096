//! What `sae inspect` says of a checkpoint.

use std::fs;
use std::path::{Path, PathBuf, absolute};

use sae::files::Checkpoint;
use serde_json::json;

use super::facts::{Facts, scaling_json, settings_text};
use crate::commands::sweep;
use crate::commands::train::{RunRecord, resumed_folder};
use crate::failure::Result;
use crate::output::{counted, join, settings_json};
use crate::runs;
use crate::sweeps;

pub fn facts(path: &Path) -> Result<Facts> {
    let checkpoint = Checkpoint::load(path)?;
    let (settings, scaling) = (checkpoint.settings(), checkpoint.scaling());
    let (samples, features) = checkpoint.data();
    let (epoch, position) = checkpoint.epoch();
    let steps = checkpoint.steps();
    let mut text = format!(
        "checkpoint after {}, of a training on {} of {}\n\
         {} whole, and {} of the next\n\
         model {}\n",
        counted(steps as usize, "step"),
        counted(samples, "sample"),
        counted(features, "feature"),
        counted(epoch as usize, "epoch"),
        counted(position, "sample"),
        join(&settings.layers, "-"),
    );
    text += &settings_text(settings, &scaling);
    if let Some(patience) = checkpoint.patience() {
        text += &format!("early stopping after {patience} evaluations without improvement\n");
    }
    let continuation = continuation(path);
    if let Some(command) = &continuation {
        text += &format!("{command} continues it\n");
    }
    let value = json!({
        "kind": "checkpoint", "steps": steps, "epoch": epoch, "position": position,
        "samples": samples, "features": features, "patience": checkpoint.patience(),
        "continue": continuation,
        "scaling": scaling_json(&scaling), "settings": settings_json(settings),
    });
    Ok(Facts { text, value, images: None })
}

/// The command that continues the training, or the sweep, of a checkpoint; None if that is not known.
fn continuation(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let table = folder.with_extension("csv");
    if sweeps::folder_of(&table) == folder && sweeps::journal_of(&table).is_file() {
        return Some(sweep::continuation_of(&table, None));
    }
    let of_run = resumed_folder(Some(path)).ok().flatten();
    let models = of_run.map(|folder| runs::model_in(&folder)).into_iter();
    models.chain(models_with_records(folder)).find_map(|model| {
        let run = RunRecord::of(&model).ok().flatten()?;
        // Earlier checkpoints beside it have other names.
        let own = run.checkpoint.as_ref()?;
        let is_own = own.file_name() == path.file_name() && run.is_of(path);
        let is_in_place = absolute(path).ok().as_ref() == Some(own)
            || absolute(runs::checkpoint_of(&model)).ok() == absolute(path).ok();
        if is_own && is_in_place { run.continuation(&model) } else { None }
    })
}

/// The models of a folder that have records of their trainings, there or not.
fn models_with_records(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    let folder = folder.strip_prefix(".").unwrap_or(folder).to_owned();
    names.into_iter().filter_map(move |name| {
        let stem = name.strip_suffix(".data.json")?;
        let (plain, usual) = (folder.join(stem), folder.join(format!("{stem}.safetensors")));
        Some(if plain.is_file() { plain } else { usual })
    })
}
