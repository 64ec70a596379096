//! `sae cut-patches`

use std::path::PathBuf;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};
use sae::{
    Scaling,
    data::{write_idx, write_npy},
    files,
};
use serde_json::json;

use crate::data::DataArgs;
use crate::drawing::shape::Shape;
use crate::endings::{check_ending, ending_of};
use crate::failure::{Failure, Result};
use crate::output::{print, readable};
use crate::outputs::{OverwriteArgs, make_folders};

/// Cut square patches out of images, at random places
///
/// Patches of images in color are in color. Nearly uniform patches teach a model nothing: only patches whose pixels have a standard deviation
/// of at least --contrast are taken.
#[derive(clap::Args)]
#[command(after_help = "\
Example, the classic exercise of a sparse autoencoder (Ng 2011), on strokes:
  sae cut-patches patches.idx
  sae train --samples patches.idx --holdout 1000 --preset article \\
      --layers 64,25,64 --rho 0.01 --beta 0.09375 --lambda 3e-5 --init xavier --optimizer l-bfgs --steps 400 --out patches.safetensors
  sae features patches.safetensors")]
pub struct Args {
    /// File to write, its name ending in .idx, ubyte or .npy
    out: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Side of a patch in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=4096))]
    side: u16,
    /// Number of patches
    #[arg(long, value_name = "N", default_value_t = 11_000,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    count: u32,
    /// Minimum standard deviation of a patch's pixels, as a share of the full range
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = contrast)]
    contrast: f64,
    /// Random seed of the places
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// A deviation of numbers from 0 to 1, of which the largest is a half.
fn contrast(text: &str) -> std::result::Result<f64, String> {
    let contrast = text.parse().ok().filter(|contrast| (0.0..=0.5).contains(contrast));
    contrast.ok_or_else(|| "expected a number from 0 to 0.5".to_owned())
}

/// Patches without enough contrast in a row before the command gives up.
const MAX_REFUSED: usize = 100_000;

pub fn run(args: Args) -> Result<()> {
    let opened = args.data.place(&[]).train(args.data.copy, false)?;
    let (samples, path) = (opened.samples.scaled(Scaling::Byte), opened.name);
    let (count, side) = (args.count as usize, usize::from(args.side));
    let shape = Shape::of_dims(samples.row_dims()).ok_or_else(|| {
        let problem =
            "expected images, [samples, rows, columns] or in color [samples, rows, columns, 3]";
        Failure::at(&path, problem)
    })?;
    let (rows, cols, depth) = (shape.rows, shape.columns, shape.depth());
    if side > rows || side > cols {
        let problem = format!("side: {side} is more than the images' {rows} x {cols} pixels");
        return Err(Failure::input(problem));
    }
    args.overwrite.check_all(&[&args.out], &args.data.inputs(&[])?)?;
    check_ending(&args.out, &["idx", "ubyte", "npy"])?;
    let mut generator = Pcg64::seed_from_u64(args.seed);
    let mut below = |bound: usize| (generator.next_u64() % bound as u64) as usize;
    let mut image = vec![0.0; samples.features()];
    let mut patches = Vec::with_capacity(count * side * side * depth);
    let mut refused = 0;
    while patches.len() < count * side * side * depth {
        samples.gather(below(samples.len()), &mut image)?;
        let (top, left) = (below(rows - side + 1), below(cols - side + 1));
        let pixels = (0..side).flat_map(|y| (0..side).map(move |x| (top + y, left + x)));
        let numbers = pixels.flat_map(|(y, x)| (0..depth).map(move |of| shape.place(y, x, of)));
        let patch: Vec<f32> = numbers.map(|place| image[place]).collect();
        let mean = patch.iter().map(|&x| f64::from(x)).sum::<f64>() / patch.len() as f64;
        let square = |&x: &f32| (f64::from(x) - mean) * (f64::from(x) - mean);
        let deviation = (patch.iter().map(square).sum::<f64>() / patch.len() as f64).sqrt();
        if deviation < args.contrast {
            refused += 1;
            if refused == MAX_REFUSED {
                let contrast = args.contrast;
                return Err(Failure::input(format!(
                    "contrast: {MAX_REFUSED} patches in a row had less than {contrast}"
                )));
            }
            continue;
        }
        refused = 0;
        patches.extend(patch.iter().map(|&x| (x * 255.0).round() as u8));
    }
    make_folders(&[&args.out])?;
    let mut dims = vec![count, side, side];
    dims.extend((depth > 1).then_some(depth));
    files::replace(&args.out, |path| match ending_of(&args.out).as_str() {
        "npy" => write_npy(path, &dims, &patches),
        _ => write_idx(path, &dims, &patches),
    })?;
    let value = json!({"out": readable(&args.out), "patches": count, "side": side});
    let patches = if count == 1 { "patch" } else { "patches" };
    let line = format!("{count} {patches} of {side} x {side}: {}", args.out.display());
    print(args.json, &value, &line)
}
