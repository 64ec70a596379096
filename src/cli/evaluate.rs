//! `sae eval`

use std::io::{self, Write};
use std::path::PathBuf;

use sae::Autoencoder;
use serde_json::json;

use crate::data::DataArgs;
use crate::failure::Result;
use crate::output::{engine, evaluation_json, print_evaluation};

/// Evaluate a model: its objective with the terms, and the mean activations
///
/// A folder's test samples are taken where it has some.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae eval sae.safetensors
  sae eval sae.safetensors --json")]
pub struct Args {
    /// Model file
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
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
    let (samples, path) = args.data.trial(net.scaling())?;
    let evaluation = net.evaluate(&mut engine, &samples)?;
    let mut out = io::stdout().lock();
    if args.json {
        let mut value = evaluation_json(&net, &evaluation);
        value["samples"] = json!(samples.len());
        value["images"] = json!(path);
        writeln!(out, "{value}")?;
        return Ok(());
    }
    writeln!(out, "{} samples of {}", samples.len(), path.display())?;
    print_evaluation(out, "objective", &net, &evaluation, true)?;
    Ok(())
}
