//! `sae reconstruct`

use std::path::PathBuf;

use sae::{Autoencoder, files};
use serde_json::json;

use crate::data::DataArgs;
use crate::failure::{Failure, Result};
use crate::output::{answer, engine};
use crate::picture;

/// Draw samples above their reconstructions, as PNG
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae reconstruct sae.safetensors
  sae reconstruct sae.safetensors --count 100 --out hundred.png")]
pub struct Args {
    /// Model file
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// How many samples
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// PNG file to write
    #[arg(long, value_name = "FILE", default_value = "reconstructions.png")]
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
    files::check_writable(&args.out)?;
    let (samples, path) = args.data.trial(net.scaling())?;
    let count = args.count as usize;
    if !picture::reconstructions(&args.out, &net, &mut engine, &samples, count)? {
        return Err(Failure::input(format!(
            "{}: its samples of {} features are no images",
            path.display(),
            samples.features()
        )));
    }
    let shown = count.min(samples.len());
    let value = json!({"picture": args.out, "samples": shown});
    answer(args.json, value, &format!("picture: {}", args.out.display()))
}
