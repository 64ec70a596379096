//! `sae make-digits`

use std::fs;
use std::path::{Path, PathBuf};

use sae::{
    Error,
    data::{digits, write_idx},
    files,
};
use serde_json::json;

use crate::failure::Result;
use crate::output::answer;

/// Draw digits and write them as MNIST's four IDX files
///
/// The same seed gives the same bytes on every machine.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae make-digits digits
  sae make-digits small --train 6000 --test 1000 --seed 7")]
pub struct Args {
    /// Folder for the files; made if it is missing
    dir: PathBuf,
    /// Training samples
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    train: u32,
    /// Test samples
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    test: u32,
    /// Seed of the drawing
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    make(&args.dir, args.train as usize, args.test as usize, args.seed)?;
    let Args { dir, train, test, json, .. } = args;
    let (value, dir) = (json!({"dir": dir, "train": train, "test": test}), dir.display());
    let line = format!("{train} training and {test} test digits with their labels in {dir}");
    answer(json, value, &line)
}

/// Writes the four files.
pub fn make(folder: &Path, train: usize, test: usize, seed: u64) -> Result<()> {
    let wrong = |source| Error::Io { action: "create", path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(wrong)?;
    // The inverted seed: no small seed's test digits are another's training digits.
    for (name, samples, seed) in [("train", train, seed), ("t10k", test, !seed)] {
        let drawn = digits::draw(samples, seed, sae::compute::available_threads());
        let images = folder.join(format!("{name}-images-idx3-ubyte"));
        let dims = [samples, digits::SIDE, digits::SIDE];
        files::replace(&images, |path| write_idx(path, &dims, &drawn.images))?;
        let labels = folder.join(format!("{name}-labels-idx1-ubyte"));
        files::replace(&labels, |path| write_idx(path, &[samples], &drawn.labels))?;
    }
    Ok(())
}
