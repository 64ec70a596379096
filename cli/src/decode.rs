//! `sae decode`

use std::path::PathBuf;

use sae::{
    Autoencoder,
    data::{Array, write_idx, write_npy},
    files,
};
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::output::{answer, engine, setting};

/// Give back samples from codes, as the network reconstructs them
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sae encode sae.safetensors --out codes.npy
  sae decode sae.safetensors codes.npy --out samples.npy")]
pub struct Args {
    /// Model file
    model: PathBuf,
    /// Codes: an IDX or NumPy file of samples by units
    codes: PathBuf,
    /// File to write, its name ending in .idx or .npy
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Threads (default: all cores)
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let mut engine = engine(args.threads)?;
    let net = Autoencoder::load(&args.model)?;
    let ending = args.out.extension().and_then(|ending| ending.to_str());
    if !matches!(ending, Some("idx" | "npy")) {
        let problem = format!("{}: a name ending in .idx or .npy was expected", args.out.display());
        return Err(Failure::input(problem));
    }
    files::check_writable(&args.out)?;
    let codes = Array::open(&args.codes)?;
    let units = net.settings().code_units();
    if codes.features() != units {
        let problem = format!(
            "{} has {} numbers a sample and the model's code has {units} units",
            args.codes.display(),
            codes.features()
        );
        return Err(setting("codes", &problem).into());
    }
    let mut values = vec![0.0; codes.samples() * units];
    for (sample, row) in values.chunks_exact_mut(units).enumerate() {
        codes.read_row(sample, row);
    }
    let samples = net.decode(&mut engine, &values)?;
    let dims = [codes.samples(), net.settings().layers[0]];
    files::replace(&args.out, |path| match ending {
        Some("npy") => write_npy(path, &dims, &samples),
        _ => write_idx(path, &dims, &samples),
    })?;
    let [count, features] = dims;
    let value = json!({"out": args.out, "samples": count, "features": features});
    let line = format!("{count} samples of {features} features: {}", args.out.display());
    answer(args.json, value, &line)
}
