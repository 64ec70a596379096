//! `sae decode`

use std::path::{Path, PathBuf};

use sae::{
    Autoencoder, Engine, Error,
    data::{Array, write_idx, write_npy},
    files,
};
use serde_json::json;

use crate::csv::{self, Table};
use crate::data::open_any;
use crate::endings::{check_ending, ending_of};
use crate::failure::{Failure, Result};
use crate::models::ModelArgs;
use crate::output::{self, print};
use crate::outputs::{OverwriteArgs, make_folders};
use crate::sparse_files::{self, Format};

/// Reconstruct samples from codes
#[derive(clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = "\
Examples:
  sae train --steps 500 && sae encode --out latest.npy
  sae decode latest.npy --out samples.npy
  sae decode runs/1/model.safetensors latest.npy --out again.npy"
)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// IDX, NumPy or CSV file of codes, [samples, units], or .npz or .safetensors of `sae encode --sparse`. Of CSV
    /// with a header the columns index and label are left out
    codes: PathBuf,
    /// File to write, its name ending in .idx or .npy
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    let inputs = [args.model.path.clone(), args.codes.clone()];
    args.overwrite.check_all(&[&args.out], &inputs)?;
    check_ending(&args.out, &["idx", "npy"])?;
    let (count, samples) = match Format::of(&args.codes) {
        Some(format) => decode_sparse(&args.codes, format, &mut engine, &net)?,
        None => decode(&args.codes, &mut engine, &net)?,
    };
    let outputs = net.settings().layers.last().copied().unwrap_or_default();
    let dims = [count, outputs];
    make_folders(&[&args.out])?;
    files::replace(&args.out, |path| match ending_of(&args.out).as_str() {
        "npy" => write_npy(path, &dims, &samples),
        _ => write_idx(path, &dims, &samples),
    })?;
    let [count, features] = dims;
    let value = json!({"out": args.out, "samples": count, "features": features});
    let (samples, of) = (output::counted(count, "sample"), output::counted(features, "feature"));
    let line = format!("{samples} of {of}: {}", args.out.display());
    print(args.model.run.json, &value, &line)
}

/// Number of samples, and their reconstructions.
fn decode(path: &Path, engine: &mut Engine, net: &Autoencoder) -> Result<(usize, Vec<f32>)> {
    let (codes, others) = match csv::is_csv(path) {
        true => read_csv(path)?,
        false => (open_any(path, false)?, 0),
    };
    let units = net.settings().code_units();
    check_units(path, codes.features() - others, units).map_err(|failure| {
        // As `sae encode --columns index,label` writes them.
        let more = codes.features().saturating_sub(units);
        match csv::is_csv(path) && others == 0 && (1..=2).contains(&more) {
            true => failure.hint(
                "if it has columns of indices or labels, write it with `sae encode --header`, \
                 by which they are known and left out",
            ),
            false => failure,
        }
    })?;
    let mut values = vec![0.0; codes.samples() * units];
    let mut row = vec![0.0; codes.features()];
    for (sample, code) in values.chunks_exact_mut(units).enumerate() {
        codes.read_row(sample, &mut row);
        code.copy_from_slice(&row[others..]);
    }
    Ok((codes.samples(), net.decode(engine, &values)?))
}

/// The columns of a CSV file, and how many at the beginning are no units: those that the header names so.
fn read_csv(path: &Path) -> Result<(Array, usize)> {
    let Table { array, names, .. } = csv::read(path, None)?;
    let is_other = |name: &&String| *name == "index" || *name == "label";
    let others = names.iter().flatten().take_while(is_other).count();
    Ok((array, others))
}

fn decode_sparse(
    path: &Path,
    format: Format,
    engine: &mut Engine,
    net: &Autoencoder,
) -> Result<(usize, Vec<f32>)> {
    let codes = sparse_files::read(path, format)?;
    check_units(path, codes.units, net.settings().code_units())?;
    let samples = net.decode_sparse(engine, &codes);
    let samples = samples.map_err(|e| Failure::at(path, e.to_string()))?;
    Ok((codes.samples(), samples))
}

fn check_units(path: &Path, units: usize, expected: usize) -> Result<()> {
    if units == expected {
        return Ok(());
    }
    let problem = format!(
        "{} has {} per sample; expected {expected}, the units of the model's code",
        path.display(),
        output::counted(units, "number")
    );
    Err(Error::Setting { field: "codes", problem }.into())
}
