//! A file that grows line by line.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::{Result, io_error};
use crate::output::write_file;

/// What a file has of the training that is resumed after this step; nothing of one that begins.
pub fn earlier(path: &Path, step: u64) -> String {
    // What is read from a pipe is gone.
    let is_kept = step > 0 && path.is_file();
    if is_kept { fs::read_to_string(path).unwrap_or_default() } else { String::new() }
}

pub struct Lines {
    path: PathBuf,
    /// None once a line could not be written.
    file: Option<File>,
}

impl Lines {
    /// Begins the file with these lines, which replace others.
    pub fn begin(path: &Path, lines: &str) -> Result<Self> {
        // A device or a pipe keeps nothing.
        let is_kept = path.is_file() || !path.exists();
        if is_kept {
            write_file(path, lines)?;
        }
        let mut file = File::options().append(true).open(path).map_err(io_error("open", path))?;
        if !is_kept {
            file.write_all(lines.as_bytes()).map_err(io_error("write", path))?;
        }
        Ok(Lines { path: path.to_owned(), file: Some(file) })
    }

    /// Writes lines at once. The first that cannot be written is an error and ends the file.
    pub fn write(&mut self, lines: &str) -> std::result::Result<(), String> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(lines.as_bytes());
        if written.is_err() {
            self.file = None;
        }
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }
}
