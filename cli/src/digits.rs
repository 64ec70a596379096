//! The drawn digits, as MNIST's four files.

use std::fs;
use std::path::{Path, PathBuf};

use sae::{
    data::{digits, write_idx},
    files,
};

use crate::failure::{Failure, Result, io_error};
use crate::output::note;

/// Writes the four files.
pub fn write(folder: &Path, train: usize, test: usize, seed: u64) -> Result<()> {
    fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    let threads = sae::compute::threads_from_environment()?;
    // The inverted seed: no small seed's test digits are another's training digits.
    for (name, samples, seed) in [("train", train, seed), ("t10k", test, !seed)] {
        let drawn = digits::draw(samples, seed, threads);
        let images = folder.join(format!("{name}-images-idx3-ubyte"));
        let dims = [samples, digits::SIDE, digits::SIDE];
        files::replace(&images, |path| write_idx(path, &dims, &drawn.images))?;
        let labels = folder.join(format!("{name}-labels-idx1-ubyte"));
        files::replace(&labels, |path| write_idx(path, &[samples], &drawn.labels))?;
    }
    Ok(())
}

/// The folder of the default data in the user's cache, drawn at the first call.
pub fn cached(quiet: bool) -> Result<PathBuf> {
    let cache = dirs::cache_dir().ok_or_else(|| {
        Failure::input("no data given, and there is no cache folder for drawn digits")
            .hint("give data with --data DIR or --samples FILE")
    })?;
    let folder = cache.join("sae").join("digits-v1");
    if folder.is_dir() {
        if !quiet {
            note(&format!("no data given: using the drawn digits in {}", folder.display()));
        }
        return Ok(folder);
    }
    note(&format!(
        "no data given: drawing 60 000 training and 10 000 test digits into {} (only once)",
        folder.display()
    ));
    let temporary = folder.with_file_name(format!("digits-v1.{}.tmp", std::process::id()));
    write(&temporary, 60_000, 10_000, 1)?;
    if let Err(error) = fs::rename(&temporary, &folder) {
        let _ = fs::remove_dir_all(&temporary);
        // Another process may have been faster.
        if !folder.is_dir() {
            return Err(io_error("create", &folder)(error).into());
        }
    }
    Ok(folder)
}
