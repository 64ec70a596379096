//! Files that commands write: none replaces another file silently.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf, absolute};

use sae::files;

use crate::failure::{Failure, Result, io_error};
use crate::runs;

/// The option of every command that writes files.
#[derive(clap::Args, Clone, Copy)]
pub struct OverwriteArgs {
    /// Replace files that exist
    #[arg(long, display_order = 902)]
    pub overwrite: bool,
}

impl OverwriteArgs {
    /// Fails if a file is there that would be replaced without `--overwrite`.
    pub fn check(self, outputs: &[&Path]) -> Result<()> {
        // A device or a pipe loses nothing.
        match outputs.iter().find(|path| !self.overwrite && path.is_file()) {
            Some(path) => Err(Failure::at(path, "this file exists")
                .hint("give another name, or --overwrite to replace it")),
            None => Ok(()),
        }
    }

    /// Before long work: fails if a file is there, is one that the command reads, or cannot be written.
    /// Makes no folder; [`make_folders`] does, once there is something to write.
    pub fn check_all(self, outputs: &[&Path], inputs: &[PathBuf]) -> Result<()> {
        check_no_folder(outputs)?;
        check_unread(outputs, inputs)?;
        self.check(outputs)?;
        check_writable(outputs)
    }
}

/// The file that a command makes of a model: the one that is given, or else one of this name.
///
/// It is in the run's folder for a run's model and in the working folder for others.
pub fn output_of(given: Option<&Path>, model: &Path, name: &str) -> PathBuf {
    match given {
        Some(given) => given.to_owned(),
        None if runs::is_of_run(model) || runs::is_sweep_of_run(model) => {
            model.with_file_name(name)
        }
        None => name.into(),
    }
}

/// Keeps other trainings from a file for as long as it is there, by a lock of a file beside it.
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// The file beside a file that is locked.
    pub fn path_of(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        name.into()
    }

    /// Fails if another process has the lock. None where locks are unknown, and of a device or a pipe.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        if path.exists() && !path.is_file() {
            return Ok(None);
        }
        let beside = Self::path_of(path);
        // A file of this name that has content is not of this program, and stays as it is.
        let file = File::options().create(true).append(true).open(&beside);
        let Ok(file) = file else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { path: beside, file })),
            Err(TryLockError::Error(_)) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let problem = "another training that is under way writes this file";
                Err(Failure::at(path, problem).hint("wait for its end, or give another name"))
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|it| it.len() == 0) {
            // One that stays, as after a kill, is taken by the next training.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Fails if a file that a command is about to write is one that it reads, whatever `--overwrite` says.
pub fn check_unread(outputs: &[&Path], inputs: &[PathBuf]) -> Result<()> {
    let inputs: Vec<PathBuf> = inputs.iter().map(|path| identity(path)).collect();
    match outputs.iter().find(|path| inputs.contains(&identity(path))) {
        Some(path) => {
            let problem = "this is a file that the command reads, which would be overwritten";
            Err(Failure::at(path, problem).hint("give another name to write to"))
        }
        None => Ok(()),
    }
}

/// Fails if a name of a file that a command is about to write is that of a folder, before one is made of it.
pub fn check_no_folder(outputs: &[&Path]) -> Result<()> {
    let names_folder = |path: &&&Path| {
        let text = path.as_os_str().as_encoded_bytes();
        text.last().is_some_and(|&last| std::path::is_separator(last.into()))
    };
    match outputs.iter().find(names_folder) {
        Some(path) => Err(Failure::at(path, "this is the name of a folder, a file was expected")
            .hint("give the name of a file, which may be in the folder")),
        None => Ok(()),
    }
}

/// Fails if two files that a command is about to write are one.
pub fn check_distinct(outputs: &[(&str, &Path)]) -> Result<()> {
    for (at, (name, path)) in outputs.iter().enumerate() {
        // A device keeps nothing.
        let same =
            |other: &&(&str, &Path)| identity(other.1) == identity(path) && !runs::is_device(path);
        if let Some((earlier, _)) = outputs[..at].iter().find(same) {
            let problem = format!("the {earlier} and the {name} need different names");
            return Err(Failure::at(path, problem));
        }
    }
    Ok(())
}

/// Fails if a file cannot be written, or its folder, if it is missing, cannot be made.
pub fn check_writable(outputs: &[&Path]) -> Result<()> {
    for path in outputs {
        match folder_of(path) {
            Some(folder) if !folder.exists() => {
                let above = folder.ancestors().skip(1).find(|above| above.exists());
                let name = path.file_name().unwrap_or_default();
                let above = above.map_or_else(|| name.into(), |above| above.join(name));
                // A file of this name there, which is not touched, is no matter.
                if !above.exists() {
                    files::check_writable(above)?;
                }
            }
            _ => files::check_writable(path)?,
        }
    }
    Ok(())
}

/// Makes the folders of files that are missing.
pub fn make_folders(outputs: &[&Path]) -> Result<()> {
    for folder in outputs.iter().filter_map(|path| folder_of(path)) {
        fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    }
    Ok(())
}

/// The folder that a path names.
fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

/// The same path for the same file, whether it is there or not.
fn identity(path: &Path) -> PathBuf {
    let whole = absolute(path).unwrap_or_else(|_| path.to_owned());
    // Of a file that is not there the longest part that is.
    for folder in whole.ancestors() {
        if let (Ok(found), Ok(rest)) = (folder.canonicalize(), whole.strip_prefix(folder)) {
            return if rest.as_os_str().is_empty() { found } else { found.join(rest) };
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_identity() {
        let folder = std::env::temp_dir();
        let roundabout = folder.join("..").join(folder.file_name().unwrap());
        for name in ["", "none", "none/at/all.png"] {
            assert_eq!(identity(&folder.join(name)), identity(&roundabout.join(name)), "{name}");
        }
        assert_ne!(identity(Path::new("a")), identity(Path::new("b")));
        assert_eq!(identity(Path::new("./a")), identity(Path::new("a")));
        let pair = [("model", Path::new("x/a")), ("picture", Path::new("x/./a"))];
        let problem = check_distinct(&pair).err().unwrap().problem;
        assert!(problem.contains("the model and the picture need different names"), "{problem}");
    }
}
