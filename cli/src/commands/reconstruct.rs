//! `sae reconstruct`

mod corrupted;

use std::path::{Path, PathBuf};

use sae::{
    Autoencoder, Engine, Samples, Scaling,
    data::{ElementType, RowWriter, ScalingKind},
    files,
};
use serde_json::{Value, json};

use crate::data::{ChoiceArgs, Chosen};
use crate::drawing::shape::{Shape, square};
use crate::drawing::{picture, png_folder};
use crate::endings::ending_of;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::models::ModelArgs;
use crate::output::{self, join, print};
use crate::outputs::{OverwriteArgs, make_folders, output_of};

/// Write reconstructions of samples: one picture, a folder of PNGs, or a NumPy or IDX file
///
/// What is written depends on the name of --out. A picture, .png, shows samples above their reconstructions.
/// A folder, an existing one or a name that ends in /, gets a PNG for each reconstruction, named by the sample's
/// number in the data as of `sae score`; NumPy and IDX files, .npy and .idx or ubyte, the numbers. Files and
/// folders have the units of the data: the scaling of the training is undone, and bytes become bytes again. In PNGs
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

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Picture,
    Folder,
    Npy,
    Idx,
}

impl Kind {
    fn of(out: &Path) -> Result<Self> {
        if out.is_dir() || out.as_os_str().to_string_lossy().ends_with('/') {
            return Ok(Kind::Folder);
        }
        match ending_of(out).as_str() {
            "png" => Ok(Kind::Picture),
            "npy" => Ok(Kind::Npy),
            "idx" | "ubyte" => Ok(Kind::Idx),
            _ => {
                let problem = "expected a name ending in .png, .npy, .idx or ubyte, or a folder";
                Err(Failure::at(out, problem).hint("the name of a new folder ends in /"))
            }
        }
    }
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
        let value = json!({"picture": out, "samples": count.min(samples.len())});
        let line = format!("picture: {}", out.display());
        return print(args.model.run.json, &value, &line);
    }
    make_folders(&[&out])?;
    let few = match args.count {
        Some(count) if (count as usize) < samples.len() => samples.split(count as usize)?.0,
        _ => samples.clone(),
    };
    let mut outputs = Outputs::new(&net, &mut engine, &few);
    let done = match kind {
        Kind::Folder => outputs.write_folder(&out, &chosen, not_images)?,
        _ => outputs.write_file(&out, kind)?,
    };
    chosen.note_held_out();
    let value = json!({"out": out, "samples": few.len(), "type": done.0, "dims": done.1});
    print(args.model.run.json, &value, &done.2)
}

/// The type of what was written, its dimensions, and a line that says so.
type Done = (Value, Value, String);

/// Reconstructions in the units of the data.
struct Outputs<'a> {
    net: &'a Autoencoder,
    engine: &'a mut Engine,
    samples: &'a Samples,
    /// That of a transcoder's targets.
    of_targets: Option<Scaling>,
    features: usize,
}

impl<'a> Outputs<'a> {
    fn new(net: &'a Autoencoder, engine: &'a mut Engine, samples: &'a Samples) -> Self {
        let features = net.settings().layers.last().copied().unwrap_or_default();
        Outputs { net, engine, samples, of_targets: net.target_scaling(), features }
    }

    /// Whether they are bytes, as the data.
    fn are_bytes(&self) -> bool {
        let scaling = self.of_targets.as_ref().map_or(self.net.scaling().kind(), Scaling::kind);
        scaling == ScalingKind::Byte
    }

    /// The dimensions of each, if the data have them, such as rows, columns and channels.
    fn row_dims(&self) -> Option<&[usize]> {
        let of_targets = self.samples.targets().filter(|_| self.of_targets.is_some());
        let of_training = self.net.training_data().map_or(&[][..], |data| data.sample_shape());
        let all = [of_targets.unwrap_or(self.samples).row_dims(), of_training];
        let fits =
            |dims: &&[usize]| dims.len() > 1 && dims.iter().product::<usize>() == self.features;
        all.into_iter().find(fits)
    }

    /// Calls `visit` with each in order.
    fn each(&mut self, mut visit: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let (samples, features, of_targets) = (self.samples, self.features, &self.of_targets);
        let (mut sample, mut row) = (0, vec![0.0; features]);
        let last = self.net.settings().layers.len() - 2;
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

    fn write_file(&mut self, out: &Path, kind: Kind) -> Result<Done> {
        let mut dims = vec![self.samples.len()];
        match self.row_dims() {
            Some(own) => dims.extend(own),
            None => dims.push(self.features),
        }
        let are_bytes = self.are_bytes();
        let element_type = if are_bytes { ElementType::U8 } else { ElementType::F32 };
        interrupt::interruptible(|| {
            files::replace(out, |path| {
                let mut file = match kind {
                    Kind::Npy => RowWriter::npy(path, element_type, &dims)?,
                    _ => RowWriter::idx(path, element_type, &dims)?,
                };
                self.each(|row| {
                    interrupt::check()?;
                    if are_bytes {
                        file.write(&bytes(row))?;
                    } else {
                        file.write(row)?;
                    }
                    Ok(())
                })?;
                Ok::<(), Failure>(file.finish()?)
            })
        })?;
        let line = format!("{} of {element_type}: {}", join(&dims, " x "), out.display());
        Ok((json!(element_type.to_string()), json!(dims), line))
    }

    /// Writes PNGs that are named by the numbers of the samples in the data, as `sae score` has them.
    fn write_folder(
        &mut self,
        out: &Path,
        chosen: &Chosen,
        not_images: impl Fn() -> Failure,
    ) -> Result<Done> {
        let shape = self.row_dims().and_then(Shape::of_dims).or_else(|| square(self.features));
        let shape = shape.ok_or_else(not_images)?;
        let Shape { rows, columns: cols, .. } = shape;
        png_folder::check_size(out, rows, cols)?;
        let range = if self.are_bytes() { (0.0, 255.0) } else { self.range()? };
        let count = self.samples.len();
        let numbers = |at| chosen.number(at);
        png_folder::write(out, (chosen.count_of_data(), &numbers), shape, |put| {
            self.each(|row| {
                let pixels = row.iter().map(|&value| picture::gray(value, range.0, range.1));
                put(&pixels.collect::<Vec<u8>>())
            })
        })?;
        let (mut dims, mut size) = (vec![count, rows, cols], format!("{rows} x {cols}"));
        if shape.depth() > 1 {
            dims.push(shape.depth());
            size += " in color";
        }
        let line = format!("{} of {size}: {}", output::counted(count, "PNG"), out.display());
        Ok((json!("png"), json!(dims), line))
    }

    /// The smallest and the largest number of the samples, or of a transcoder's outputs.
    fn range(&mut self) -> Result<(f32, f32)> {
        let mut ends = (f32::INFINITY, f32::NEG_INFINITY);
        let mut add = |row: &[f32]| {
            let (low, high) = picture::range(row);
            ends = (ends.0.min(low), ends.1.max(high));
        };
        if self.of_targets.is_some() {
            self.each(|row| {
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

/// Numbers as bytes: rounded, and at most 255. (The cast saturates.)
fn bytes(row: &[f32]) -> Vec<u8> {
    row.iter().map(|value| value.round() as u8).collect()
}
