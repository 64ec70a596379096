//! `sae features`

use std::path::PathBuf;

use sae::{Autoencoder, files};
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::output::{answer, engine};
use crate::picture::{self, Grid, signed_tiles};

/// Draw what each unit looks for as tiles, as PNG: the input of a given length that excites it most
///
/// For the first layer that is a unit's weights. Middle grey is 0; each tile's greatest number,
/// either sign, is white or black.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae features sae.safetensors --out features.png
  sae features sae.safetensors --layer 2 --norm 9")]
pub struct Args {
    /// Model file
    model: PathBuf,
    /// PNG file to write
    #[arg(long, value_name = "FILE", default_value = "features.png")]
    out: PathBuf,
    /// Which layer of the encoder
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    layer: u32,
    /// Length of the input, for deeper layers (default: a third of the square root of the number of
    /// features, about what a drawn digit has)
    #[arg(long)]
    norm: Option<f32>,
    /// Draw no more than the first N units
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    units: Option<u32>,
    /// Threads (default: all cores)
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The length of an input that is a picture, about.
pub fn usual_norm(features: usize) -> f32 {
    (features as f32).sqrt() / 3.0
}

pub fn run(args: Args) -> Result<()> {
    let net = Autoencoder::load(&args.model)?;
    let (features, layers) = (net.settings().layers[0], net.settings().encoder_layers());
    let wrong = |problem: String| Failure::input(format!("{}: {problem}", args.model.display()));
    let tile = picture::square(features).ok_or_else(|| {
        wrong(format!("{features} features are no square image, so there is no picture"))
    })?;
    let layer = args.layer as usize - 1;
    if layer >= layers {
        let layer = args.layer;
        return Err(wrong(format!(
            "the encoder has {layers} layers and layer {layer} was asked for"
        )));
    }
    files::check_writable(&args.out)?;
    let mut engine = engine(args.threads)?;
    let norm = args.norm.unwrap_or(usual_norm(features));
    let inputs = net.preferred_inputs(&mut engine, layer, norm)?;
    let units = inputs.len() / features;
    let shown = args.units.map_or(units, |most| units.min(most as usize));
    let tiles = signed_tiles(inputs.chunks(features).take(shown));
    Grid::square(tile, shown).write(&args.out, &tiles)?;
    let value = json!({"picture": args.out, "units": shown, "layer": args.layer});
    answer(args.json, value, &format!("picture of {shown} units: {}", args.out.display()))
}
