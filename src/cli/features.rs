//! `sae features`

use std::io::{self, Write};
use std::path::PathBuf;

use sae::{Autoencoder, files};

use crate::failure::{Failure, Result};
use crate::picture::{self, Grid, grey};

/// Draw the weights of the first layer's units as tiles, as PNG
///
/// Middle grey is weight 0; each tile's greatest weight, either sign, is white or black.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sae features sae.safetensors --out features.png")]
pub struct Args {
    /// Model file
    model: PathBuf,
    /// PNG file to write
    #[arg(long, value_name = "FILE", default_value = "features.png")]
    out: PathBuf,
    /// Draw no more than the first N units
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    units: Option<u32>,
}

pub fn run(args: Args) -> Result<()> {
    let net = Autoencoder::load(&args.model)?;
    let (inputs, units) = (net.settings().layers[0], net.settings().layers[1]);
    let tile = picture::square(inputs).ok_or_else(|| {
        Failure::input(format!(
            "{}: {inputs} features are no square image, so there is no picture",
            args.model.display()
        ))
    })?;
    files::check_writable(&args.out)?;
    let weights = net.weights(0);
    let shown = args.units.map_or(units, |most| units.min(most as usize));
    let tiles: Vec<Vec<u8>> = (0..shown)
        .map(|unit| {
            let column: Vec<f32> = weights[unit..].iter().step_by(units).copied().collect();
            // Weights that are all 0 are all middle grey.
            let most = column.iter().fold(f32::MIN_POSITIVE, |most, w| most.max(w.abs()));
            column.iter().map(|&w| grey(w / most, -1.0, 1.0)).collect()
        })
        .collect();
    let columns = (shown as f64).sqrt().ceil() as usize;
    Grid { tile, columns, band: usize::MAX }.write(&args.out, &tiles)?;
    writeln!(io::stdout(), "picture of {shown} units: {}", args.out.display())?;
    Ok(())
}
