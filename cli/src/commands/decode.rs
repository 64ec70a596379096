//! `sae decode`

use std::path::PathBuf;

use sae::{
    Error,
    data::{write_idx, write_npy},
    files,
};
use serde_json::json;

use crate::data::open_any;
use crate::failure::{Failure, Result};
use crate::models::ModelArgs;
use crate::output::print;

/// Reconstruct samples from codes
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sae encode sae.safetensors --out codes.npy
  sae decode sae.safetensors codes.npy --out samples.npy")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// IDX or NumPy file of codes, [samples, units]
    codes: PathBuf,
    /// File to write, its name ending in .idx or .npy
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    let ending = args.out.extension().and_then(|ending| ending.to_str());
    if !matches!(ending, Some("idx" | "npy")) {
        return Err(Failure::at(&args.out, "expected a name ending in .idx or .npy"));
    }
    files::check_writable(&args.out)?;
    let codes = open_any(&args.codes, false)?;
    let units = net.settings().code_units();
    if codes.features() != units {
        let problem = format!(
            "{} has {} numbers per sample; expected {units}, the units of the model's code",
            args.codes.display(),
            codes.features()
        );
        return Err(Error::Setting { field: "codes", problem }.into());
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
    print(args.model.run.json, &value, &line)
}
