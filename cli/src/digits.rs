//! The drawn digits, as MNIST's four files.

use std::fs;
use std::path::{Path, PathBuf};

use sae::{
    data::{TrainingData, digits, write_idx},
    files,
};

use crate::failure::{Failure, Result, io_error};
use crate::output::{note, note_now};

/// The names of the four files.
pub const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The drawn digits without data: of training and of test.
const DRAWN: [usize; 2] = [60_000, 10_000];

/// Whether these may be the drawn digits, by their number and shape.
pub fn may_be(data: &TrainingData) -> bool {
    data.samples() == DRAWN[0] && data.sample_shape() == [digits::SIDE, digits::SIDE]
}

/// Writes the four files.
pub fn write(folder: &Path, train: usize, test: usize, seed: u64) -> Result<()> {
    fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    let threads = sae::compute::threads_from_environment()?;
    // The inverted seed: no small seed's test digits are another's training digits.
    for (names, samples, seed) in [(&NAMES[..2], train, seed), (&NAMES[2..], test, !seed)] {
        let drawn = digits::draw(samples, seed, threads);
        let images = folder.join(names[0]);
        let dims = [samples, digits::SIDE, digits::SIDE];
        files::replace(&images, |path| write_idx(path, &dims, &drawn.images))?;
        let labels = folder.join(names[1]);
        files::replace(&labels, |path| write_idx(path, &[samples], &drawn.labels))?;
    }
    Ok(())
}

/// The folder of the default data in the user's cache, whether they are drawn or not.
pub fn folder() -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("sae").join("digits-v1"))
}

/// The folder of the default data in the user's cache, drawn at the first call.
pub fn cached(quiet: bool) -> Result<PathBuf> {
    let folder = folder().ok_or_else(|| {
        Failure::input("no data given, and there is no cache folder for drawn digits")
            .hint("give data with --data DIR or --samples FILE")
    })?;
    if folder.is_dir() {
        if !quiet {
            note(&format!("no data given: using the drawn digits in {}", folder.display()));
        }
        return Ok(folder);
    }
    note_now(&format!(
        "no data given: drawing 60 000 training and 10 000 test digits into {} (only once)",
        folder.display()
    ));
    let temporary = folder.with_file_name(format!("digits-v1.{}.tmp", std::process::id()));
    write(&temporary, DRAWN[0], DRAWN[1], 1)?;
    if let Err(error) = fs::rename(&temporary, &folder) {
        let _ = fs::remove_dir_all(&temporary);
        // Another process may have been faster.
        if !folder.is_dir() {
            return Err(io_error("create", &folder)(error).into());
        }
    }
    Ok(folder)
}
