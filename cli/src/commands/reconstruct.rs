//! `sae reconstruct`

use std::path::PathBuf;

use sae::files;
use serde_json::json;

use crate::data::DataArgs;
use crate::drawing::picture;
use crate::failure::{Failure, Result};
use crate::models::ModelArgs;
use crate::output::print;

/// Draw samples above their reconstructions, as PNG
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae reconstruct sae.safetensors
  sae reconstruct sae.safetensors --count 100 --out hundred.png")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Samples in the picture
    #[arg(long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// PNG file to write
    #[arg(long, value_name = "FILE", default_value = "reconstructions.png")]
    out: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    args.data.check_output(&args.out, Some(&args.model.path))?;
    files::check_writable(&args.out)?;
    let (samples, path) = args.data.evaluation_samples(&args.model.path, &net)?;
    let count = args.count as usize;
    if !picture::reconstructions(&args.out, &net, &mut engine, &samples, count)? {
        let problem = format!("its samples of {} features are not images", samples.features());
        return Err(Failure::at(&path, problem));
    }
    let value = json!({"picture": args.out, "samples": count.min(samples.len())});
    print(args.model.run.json, &value, &format!("picture: {}", args.out.display()))
}
