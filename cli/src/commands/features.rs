//! `sae features`

use std::path::PathBuf;

use serde_json::json;

use crate::drawing::picture::{self, Grid, signed_tiles};
use crate::drawing::shape::{Shape, square};
use crate::endings::check_ending;
use crate::failure::{Failure, Result};
use crate::models::ModelArgs;
use crate::output::{counted, print, readable};
use crate::outputs::{OverwriteArgs, make_folders, output_of};

/// Draw what each unit responds to: the input of a given length that activates it most, as PNG
///
/// In the first layer this is a unit's weights. 0 is middle gray; in each tile the number of largest
/// magnitude is white or black.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae train --steps 500 && sae features
  sae features runs/1/model.safetensors --layer 1 --out features.png")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// PNG file to write [default: features.png, of a run in its folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Layer of the encoder, from 1
    #[arg(long, value_name = "LAYER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    layer: u32,
    /// Length of the input, for deeper layers [default: a third of the square root of the number of
    /// features, about the length of a drawn digit]
    #[arg(long, value_name = "NUMBER")]
    norm: Option<f32>,
    /// Draw at most the first N units
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    units: Option<u32>,
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    let (features, layers) = (net.settings().layers[0], net.settings().encoder_layers());
    let refused = |problem: String| Failure::at(&args.model.path, problem);
    // Who asks for pictures may have images in rows of numbers.
    let tile = Shape::of_model(&net).or_else(|| square(features)).ok_or_else(|| {
        refused(format!(
            "a sample of {} is not an image, and not a square of pixels",
            counted(features, "feature")
        ))
    })?;
    let layer = args.layer as usize;
    if layer > layers {
        return Err(refused(format!(
            "the encoder has {}, got --layer {layer}",
            counted(layers, "layer")
        )));
    }
    let model = &args.model.path;
    let out = output_of(args.out.as_deref(), model, "features.png");
    args.overwrite.check_all(&[&out], std::slice::from_ref(&args.model.path))?;
    check_ending(&out, &["png"])?;
    let norm = args.norm.unwrap_or(picture::usual_norm(features));
    let inputs = net.preferred_inputs(&mut engine, layer - 1, norm)?;
    let units = inputs.len() / features;
    let shown = args.units.map_or(units, |max| units.min(max as usize));
    let tiles = signed_tiles(inputs.chunks(features).take(shown));
    make_folders(&[&out])?;
    Grid::square(tile, shown).write(&out, &tiles)?;
    let value = json!({"picture": readable(&out), "units": shown, "layer": layer});
    let line = format!("picture of {}: {}", counted(shown, "unit"), out.display());
    print(args.model.run.json, &value, &line)
}
