//! Files of trials that are not needed any more, and their removal.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::failure::{Result, io_error};
use crate::sweeps;

/// The trial's checkpoint, in the folder of the sweep with this table.
pub fn checkpoint_of(table: &Path, trial: usize) -> PathBuf {
    sweeps::folder_of(table).join(format!("{trial:04}.ckpt"))
}

/// Removes the checkpoints of trials that do not continue.
///
/// One that cannot be removed is no harm.
pub fn remove_checkpoints(table: &Path, trials: impl Iterator<Item = usize>) {
    for trial in trials {
        let _ = fs::remove_file(checkpoint_of(table, trial));
    }
}

/// Removes what another sweep with this table has left, before one of `trials` trials begins in its place.
///
/// That is all files of its trials, its table, and at last its journal. Of a folder that has no journal these are
/// the files with the names of this sweep's, from which it would continue otherwise.
pub fn begin_anew(table: &Path, trials: usize) -> Result<()> {
    let (folder, journal) = (sweeps::folder_of(table), sweeps::journal_of(table));
    let is_of_sweep = journal.is_file();
    for entry in fs::read_dir(&folder).map_err(io_error("read", &folder))? {
        let path = entry.map_err(io_error("read", &folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let trial = name.and_then(trial_of);
        if trial.is_some_and(|trial| is_of_sweep || trial < trials) {
            remove(&path)?;
        }
    }
    // Its models are gone.
    if is_of_sweep && table.is_file() && sweeps::is_table(table) {
        remove(table)?;
    }
    remove(&journal)
}

/// The trial that a file of this name is of.
fn trial_of(name: &str) -> Option<usize> {
    let (number, ending) = name.strip_prefix("trial-").unwrap_or(name).split_once('.')?;
    let is_known = match name.starts_with("trial-") {
        true => ["safetensors", "data.json", "history.csv"].contains(&ending),
        false => ending == "ckpt" && number.len() >= 4,
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    if is_known && is_number { number.parse().ok() } else { None }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(io_error("remove", path)(error).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_trials_are_known_by_their_names() {
        for (name, trial) in [
            ("0003.ckpt", Some(3)),
            ("12345.ckpt", Some(12345)),
            ("trial-7.safetensors", Some(7)),
            ("trial-10.data.json", Some(10)),
            ("trial-10.history.csv", Some(10)),
            ("3.ckpt", None),
            ("+003.ckpt", None),
            ("trial-7.png", None),
            ("trial-.safetensors", None),
            ("journal.jsonl", None),
            ("mine.ckpt", None),
        ] {
            assert_eq!(trial_of(name), trial, "{name}");
        }
    }
}
