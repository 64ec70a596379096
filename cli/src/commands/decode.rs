//! `sae decode`

use std::path::{Path, PathBuf};

use sae::{Autoencoder, Engine, Error, Scaling, data::Array};
use serde_json::json;

use crate::csv::{self, Table};
use crate::data::open_any;
use crate::drawing::picture::{self, Grid};
use crate::drawing::png_folder;
use crate::failure::{Failure, Result};
use crate::models::ModelArgs;
use crate::output::{self, print, readable, warn};
use crate::outputs::{OverwriteArgs, make_folders};
use crate::reconstructions::{Kind, Reconstructed};
use crate::sparse_files::{self, Format};

/// Reconstruct samples from codes: a NumPy, IDX or CSV file, a folder of PNGs, or one picture
///
/// What is written depends on the name of --out, as of `sae reconstruct`: numbers in .npy, .idx or ubyte and .csv, in
/// .png a picture of the first hundred, and in a folder, an existing one or a name that ends in / or has no ending, a
/// PNG for each code, named by its number. They have the units of the data: the scaling of the training is undone, and
/// bytes become bytes again (but for layer-norm, which depends on each sample). In PNGs black and white are the smallest
/// and the largest number, but for bytes.
#[derive(clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = "\
Examples:
  sae train --steps 500 && sae encode --out latest.npy
  sae decode latest.npy --out samples.npy
  sae decode runs/1/model.safetensors latest.npy --out again.png"
)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// IDX, NumPy or CSV file of codes, [samples, units], or .npz or .safetensors of `sae encode --sparse`. Of CSV
    /// with a header the columns index and label are left out
    codes: PathBuf,
    /// File or folder to write
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// Reconstructions in a picture, at most.
const SHOWN: usize = 100;

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    let inputs = [args.model.path.clone(), args.codes.clone()];
    let out = &args.out;
    let kind = Kind::of(out)?;
    match kind {
        Kind::Folder => png_folder::target(out).map(drop)?,
        _ => args.overwrite.check_all(&[out], &inputs)?,
    }
    let (count, mut values) = match Format::of(&args.codes) {
        Some(format) => decode_sparse(&args.codes, format, &mut engine, &net)?,
        None => decode(&args.codes, &mut engine, &net)?,
    };
    let all = Reconstructed::of(&net, count, &[]);
    let scaling = net.target_scaling().unwrap_or_else(|| net.scaling());
    if scaling == Scaling::LayerNorm {
        warn("layer-norm scales each sample by itself, which codes do not tell: it is not undone");
    } else {
        values.chunks_exact_mut(all.features).try_for_each(|row| scaling.unscale(row))?;
    }
    make_folders(&[out])?;
    let range = picture::range(&values);
    let rows = || values.chunks_exact(all.features);
    let shape = || {
        all.shape().ok_or_else(|| {
            let problem = format!(
                "its samples of {} are not images",
                output::counted(all.features, "feature")
            );
            Failure::at(&args.model.path, problem).hint("--out FILE.npy writes numbers")
        })
    };
    let mut each = |visit: &mut dyn FnMut(&[f32]) -> Result<()>| rows().try_for_each(visit);
    let (element_type, dims, line) = match kind {
        Kind::Picture => {
            let tiles: Vec<_> = rows().take(SHOWN).map(|row| all.tile(row, range)).collect();
            Grid::square(shape()?, tiles.len()).write(out, &tiles)?;
            (json!("png"), json!([tiles.len()]), format!("picture: {}", out.display()))
        }
        Kind::Folder => {
            let name = |at| png_folder::numbered(at, count).into();
            all.write_folder(out, (shape()?, range), &name, &mut each)?
        }
        _ => all.write_file(out, kind, None, &mut each)?,
    };
    let value = json!({
        "out": readable(out), "samples": count, "features": all.features, "type": element_type, "dims": dims,
    });
    print(args.model.run.json, &value, &line)
}

/// Number of samples, and their reconstructions.
fn decode(path: &Path, engine: &mut Engine, net: &Autoencoder) -> Result<(usize, Vec<f32>)> {
    let (codes, others) = match csv::is_csv(path) {
        true => read_csv(path)?,
        false => (open_any(path, false)?, 0),
    };
    let units = net.settings().code_units();
    check_units(path, codes.features() - others, units).map_err(|failure| {
        // As `sae encode --columns index,label` writes them.
        let more = codes.features().saturating_sub(units);
        match csv::is_csv(path) && others == 0 && (1..=2).contains(&more) {
            true => failure.hint(
                "if it has columns of indices or labels, write it with `sae encode --header`, \
                 by which they are known and left out",
            ),
            false => failure,
        }
    })?;
    let mut values = vec![0.0; codes.samples() * units];
    let mut row = vec![0.0; codes.features()];
    for (sample, code) in values.chunks_exact_mut(units).enumerate() {
        codes.read_row(sample, &mut row);
        code.copy_from_slice(&row[others..]);
    }
    Ok((codes.samples(), net.decode(engine, &values)?))
}

/// The columns of a CSV file, and how many at the beginning are no units: those that the header names so.
fn read_csv(path: &Path) -> Result<(Array, usize)> {
    // Labels that are names are no numbers.
    let read = csv::read(path, None);
    let Table { array, names, .. } =
        read.or_else(|failure| csv::read(path, Some("label")).map_err(|_| failure))?;
    let is_other = |name: &&String| *name == "index" || *name == "label";
    let others = names.iter().flatten().take_while(is_other).count();
    Ok((array, others))
}

fn decode_sparse(
    path: &Path,
    format: Format,
    engine: &mut Engine,
    net: &Autoencoder,
) -> Result<(usize, Vec<f32>)> {
    let codes = sparse_files::read(path, format)?;
    check_units(path, codes.units, net.settings().code_units())?;
    let samples = net.decode_sparse(engine, &codes);
    let samples = samples.map_err(|e| Failure::at(path, e.to_string()))?;
    Ok((codes.samples(), samples))
}

fn check_units(path: &Path, units: usize, expected: usize) -> Result<()> {
    if units == expected {
        return Ok(());
    }
    let problem = format!(
        "{} has {} per sample; expected {expected}, the units of the model's code",
        path.display(),
        output::counted(units, "number")
    );
    Err(Error::Setting { field: "codes", problem }.into())
}
