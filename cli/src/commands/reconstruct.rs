//! `sae reconstruct`

mod corrupted;

use std::path::{Path, PathBuf};

use sae::{Autoencoder, Engine, Samples, Scaling};
use serde_json::json;

use crate::data::{ChoiceArgs, Chosen};
use crate::drawing::shape::{Shape, square};
use crate::drawing::{picture, png_folder};
use crate::failure::{Failure, Result};
use crate::models::ModelArgs;
use crate::output::{self, print, readable};
use crate::outputs::{OverwriteArgs, make_folders, output_of};
use crate::reconstructions::{Done, Kind, Reconstructed};

/// Write reconstructions of samples: one picture, a folder of PNGs, or a NumPy, IDX or CSV file
///
/// What is written depends on the name of --out. A picture, .png, shows samples above their reconstructions.
/// A folder, an existing one or a name that ends in / or has no ending, gets a PNG for each reconstruction, named as
/// the sample's own PNG, or by its number in the data as of `sae score`; NumPy, IDX and CSV files, .npy, .idx or ubyte
/// and .csv, the numbers. Files and folders have the units of the data: the scaling of the training is undone, and bytes become bytes again. In PNGs
/// black and white are the smallest and the largest number of the samples, but for bytes.
///
/// With --corruption a picture shows what a denoising autoencoder does: samples, below them the same with noise as in
/// training, and below these the reconstructions of the noisy ones.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae reconstruct sae.safetensors
  sae reconstruct sae.safetensors --count 100 --out hundred.png
  sae reconstruct sae.safetensors --out clean.npy
  sae reconstruct sae.safetensors --count 30 --out clean/
  sae train --corruption gaussian:0.3 --steps 500 --out denoise.safetensors
  sae reconstruct denoise.safetensors --corruption gaussian:0.3 --out denoised.png")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: ChoiceArgs,
    /// Only the first N samples [default: 20 in a picture, or else all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Corrupt the samples of a picture first, as training does: masking:SHARE or gaussian:DEVIATION
    #[arg(long, value_name = "CHOICE", visible_alias = "corrupt")]
    corruption: Option<String>,
    /// File or folder to write [default: reconstructions.png, of a run's model in its folder]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    let model = &args.model.path;
    let out = output_of(args.out.as_deref(), model, "reconstructions.png");
    let kind = Kind::of(&out)?;
    let inputs = args.data.data.inputs(&[&args.model.path])?;
    match kind {
        Kind::Folder => png_folder::target(&out).map(drop)?,
        _ => args.overwrite.check_all(&[&out], &inputs)?,
    }
    if kind != Kind::Picture && net.target_scaling() == Some(Scaling::LayerNorm) {
        let problem = "its targets were scaled by layer-norm, each by itself, which cannot be undone \
                       without them";
        return Err(Failure::at(&args.model.path, problem).hint("--out FILE.png draws them"));
    }
    let corruption = args.corruption.as_deref().map(corrupted::corruption).transpose()?;
    if corruption.is_some() && kind != Kind::Picture {
        let problem = "corruption: only a picture shows corrupted samples";
        return Err(Failure::input(problem).hint("--out FILE.png, or leave out --corruption"));
    }
    if corruption.is_some() && net.target_scaling().is_some() {
        let problem = "corruption: the model predicts targets, and does not reconstruct samples";
        return Err(Failure::input(problem).hint("leave out --corruption"));
    }
    let chosen = args.data.choose(&args.model.path, &net)?;
    let (samples, path) = (chosen.samples.clone(), chosen.name.clone());
    let not_images = || {
        let problem = format!(
            "its samples of {} are not images",
            output::counted(samples.features(), "feature")
        );
        let hint = "--out FILE.npy writes numbers; images are data of the dimensions [samples, rows, columns]";
        Failure::at(&path, problem).hint(hint)
    };
    if kind == Kind::Picture {
        make_folders(&[&out])?;
        let count = args.count.unwrap_or(20) as usize;
        // Who asks for a picture may have images in rows of numbers.
        let shown = samples.targets().unwrap_or(&samples);
        let asked = || Shape::of(shown, &net).or_else(|| square(shown.features()));
        let shape = args.out.as_ref().and_then(|_| asked());
        let size = (count, shape);
        let is_drawn = match corruption {
            Some(corruption) => {
                let tiles = corrupted::tiles(&net, &mut engine, &samples, size, corruption)?;
                let write = |tiles| picture::write_reconstructions(&out, &tiles);
                tiles.map(write).transpose()?.is_some()
            }
            None => picture::reconstructions(&out, &net, &mut engine, &samples, size)?,
        };
        if !is_drawn {
            return Err(not_images());
        }
        chosen.note_held_out();
        let value = json!({"picture": readable(&out), "samples": count.min(samples.len())});
        let line = format!("picture: {}", out.display());
        return print(args.model.run.json, &value, &line);
    }
    make_folders(&[&out])?;
    let few = match args.count {
        Some(count) if (count as usize) < samples.len() => samples.split(count as usize)?.0,
        _ => samples.clone(),
    };
    let of_targets = net.target_scaling();
    let mut outputs = Outputs { net: &net, engine: &mut engine, samples: &few, of_targets };
    let done = match kind {
        Kind::Folder => outputs.write_folder(&out, &chosen, not_images)?,
        _ => {
            let names = chosen.features.as_deref();
            outputs.all().write_file(&out, kind, names, &mut |visit| outputs.each(visit))?
        }
    };
    chosen.note_held_out();
    let value =
        json!({"out": readable(&out), "samples": few.len(), "type": done.0, "dims": done.1});
    print(args.model.run.json, &value, &done.2)
}

/// Reconstructions, as they are computed.
struct Outputs<'a> {
    net: &'a Autoencoder,
    engine: &'a mut Engine,
    samples: &'a Samples,
    /// That of a transcoder's targets.
    of_targets: Option<Scaling>,
}

impl Outputs<'_> {
    fn all(&self) -> Reconstructed {
        let of_targets = self.samples.targets().filter(|_| self.of_targets.is_some());
        let own = of_targets.unwrap_or(self.samples).row_dims();
        Reconstructed::of(self.net, self.samples.len(), own)
    }

    /// Calls `visit` with each in order, in the units of the data.
    fn each(&mut self, visit: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let (samples, of_targets) = (self.samples, &self.of_targets);
        let last = self.net.settings().layers.len() - 2;
        let features = self.net.settings().layers[last + 1];
        let (mut sample, mut row) = (0, vec![0.0; features]);
        self.net.for_activations(self.engine, samples, last, |rows| {
            for output in rows.chunks_exact(features) {
                row.copy_from_slice(output);
                match of_targets {
                    Some(scaling) => scaling.unscale(&mut row)?,
                    None => samples.unscale(sample, &mut row)?,
                }
                visit(&row)?;
                sample += 1;
            }
            Ok(())
        })
    }

    /// Writes PNGs, named as the samples.
    fn write_folder(
        &mut self,
        out: &Path,
        chosen: &Chosen,
        not_images: impl Fn() -> Failure,
    ) -> Result<Done> {
        let all = self.all();
        let shape = all.shape().ok_or_else(not_images)?;
        let range = if all.are_bytes { (0.0, 255.0) } else { self.range()? };
        let names = chosen.png_names(all.count);
        let name = |at: usize| names[at].clone();
        all.write_folder(out, (shape, range), &name, &mut |visit| self.each(visit))
    }

    /// The smallest and the largest number of the samples, or of a transcoder's outputs.
    fn range(&mut self) -> Result<(f32, f32)> {
        let mut ends = (f32::INFINITY, f32::NEG_INFINITY);
        let mut add = |row: &[f32]| {
            let (low, high) = picture::range(row);
            ends = (ends.0.min(low), ends.1.max(high));
        };
        if self.of_targets.is_some() {
            self.each(&mut |row| {
                add(row);
                Ok(())
            })?;
            return Ok(ends);
        }
        let unscaled = self.samples.scaled(Scaling::AsIs);
        let mut row = vec![0.0; self.samples.features()];
        for sample in 0..unscaled.len() {
            unscaled.gather(sample, &mut row)?;
            add(&row);
        }
        Ok(ends)
    }
}
