//! `sae make-digits`

use std::path::PathBuf;

use serde_json::json;

use crate::digits;
use crate::failure::Result;
use crate::output::{print, readable};
use crate::outputs::OverwriteArgs;

/// Draw digits and write them as MNIST's four IDX files
///
/// The same seed gives the same bytes on every machine.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae make-digits digits
  sae make-digits small --train 6000 --test 1000 --seed 7")]
pub struct Args {
    /// Folder for the files; created if it does not exist
    dir: PathBuf,
    /// Training samples
    #[arg(long, value_name = "N", default_value_t = 60_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    train: u32,
    /// Test samples
    #[arg(long, value_name = "N", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    test: u32,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let files = digits::NAMES.map(|name| args.dir.join(name));
    args.overwrite.check(&files.each_ref().map(PathBuf::as_path))?;
    digits::write(&args.dir, args.train as usize, args.test as usize, args.seed)?;
    let Args { dir, train, test, json, .. } = args;
    let (value, dir) =
        (json!({"dir": readable(&dir), "train": train, "test": test}), dir.display());
    let line = format!("{train} training and {test} test digits with their labels in {dir}");
    print(json, &value, &line)
}
