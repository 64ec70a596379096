//! `sae cut-patches`

use std::path::PathBuf;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};
use sae::{Scaling, data::write_idx, files};
use serde_json::json;

use crate::data::{DataArgs, open, scaled};
use crate::failure::{Failure, Result};
use crate::output::answer;

/// Cut square patches out of images, at places drawn from a seed
///
/// Patches that are nearly of one grey teach nothing: only those whose pixels' standard deviation is
/// at least --contrast of the full range are taken.
#[derive(clap::Args)]
#[command(after_help = "\
Example, the classic exercise of a sparse autoencoder (Ng 2011), on strokes:
  sae cut-patches patches.idx
  sae train --images patches.idx --holdout 1000 --layers 64,25,64 --rho 0.01 --beta 0.09375 \\
      --lambda 3e-5 --init xavier --optimizer l-bfgs --steps 400 --out patches.safetensors
  sae features patches.safetensors")]
pub struct Args {
    /// IDX file to write
    out: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Pixels along a side
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    side: u16,
    /// Patches
    #[arg(long, default_value_t = 11_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    count: u32,
    /// Least standard deviation of a patch's pixels, by the full range
    #[arg(long, default_value_t = 0.1)]
    contrast: f64,
    /// Seed of the places
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// So many patches in a row without enough contrast, and it is given up.
const PATIENCE: usize = 100_000;

pub fn run(args: Args) -> Result<()> {
    let path = args.data.files(None, false)?.train;
    let images = open(&path, args.data.copy)?;
    let samples = scaled(images, Scaling::Byte)?;
    let side = usize::from(args.side);
    let (rows, cols) = samples.image().ok_or_else(|| {
        Failure::input(format!("{}: images of rows and columns were expected", path.display()))
    })?;
    if side > rows || side > cols {
        let problem = format!("side: patches of {side} pixels; the images have {rows} x {cols}");
        return Err(Failure::input(problem));
    }
    files::check_writable(&args.out)?;
    let mut generator = Pcg64::seed_from_u64(args.seed);
    let mut below = |bound: usize| (generator.next_u64() % bound as u64) as usize;
    let mut image = vec![0.0; samples.features()];
    let mut patches = Vec::with_capacity(args.count as usize * side * side);
    let mut refused = 0;
    while patches.len() < args.count as usize * side * side {
        samples.gather(below(samples.len()), &mut image)?;
        let (top, left) = (below(rows - side + 1), below(cols - side + 1));
        let row = |y: usize| &image[(top + y) * cols + left..][..side];
        let patch: Vec<f32> = (0..side).flat_map(row).copied().collect();
        let mean = patch.iter().map(|&x| f64::from(x)).sum::<f64>() / patch.len() as f64;
        let square = |&x: &f32| (f64::from(x) - mean) * (f64::from(x) - mean);
        let deviation = (patch.iter().map(square).sum::<f64>() / patch.len() as f64).sqrt();
        if deviation < args.contrast {
            refused += 1;
            if refused == PATIENCE {
                return Err(Failure::input(format!(
                    "contrast: none of {PATIENCE} patches one after the other has {}",
                    args.contrast
                )));
            }
            continue;
        }
        refused = 0;
        patches.extend(patch.iter().map(|&x| (x * 255.0).round() as u8));
    }
    let dims = [args.count as usize, side, side];
    files::replace(&args.out, |path| write_idx(path, &dims, &patches))?;
    let (count, out) = (args.count, args.out.display());
    let value = json!({"out": args.out, "patches": count, "side": side});
    answer(args.json, value, &format!("{count} patches of {side} x {side}: {out}"))
}
