//! `sae inspect`

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sae::{Autoencoder, data::Array};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::output::{settings_json, short};
use crate::picture::{Grid, grey, image_of_dims, range, signed_tiles, square};

/// Say what an IDX file or a model file holds: types, shapes, ranges, and how its first samples or
/// units look
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae inspect sae.safetensors
  sae inspect digits/t10k-images-idx3-ubyte --picture hundred.png")]
pub struct Args {
    /// The file
    file: PathBuf,
    /// Write the first hundred samples, or units of a model's first layer, to this PNG
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is known of a file.
struct Facts {
    lines: Vec<String>,
    value: Value,
    /// Images of `[rows * columns]`, if it holds some.
    images: Option<(Tile, Vec<Vec<u8>>)>,
}

/// Rows and columns.
type Tile = (usize, usize);

/// Images looked at, at most.
const SHOWN: usize = 100;

pub fn run(args: Args) -> Result<()> {
    if let Some(picture) = &args.picture {
        sae::files::check_writable(picture)?;
    }
    let mut facts = if looks_like_a_model(&args.file) {
        model(&Autoencoder::load(&args.file)?)
    } else {
        idx(&Array::open(&args.file)?)
    };
    if let Some(picture) = &args.picture {
        let (tile, images) = facts.images.as_ref().ok_or_else(|| {
            Failure::input(format!("{}: it holds no images", args.file.display()))
        })?;
        Grid::square(*tile, images.len()).write(picture, images)?;
        facts.value["picture"] = json!(picture);
    }
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", facts.value)?;
        return Ok(());
    }
    for line in &facts.lines {
        writeln!(out, "{line}")?;
    }
    if let Some((tile, images)) = &facts.images {
        write!(out, "{}", thumbnail(*tile, images))?;
    }
    if let Some(picture) = &args.picture {
        writeln!(out, "picture: {}", picture.display())?;
    }
    Ok(())
}

/// A safetensors file: eight bytes of length, then JSON. No IDX file has its ninth byte so with a
/// true length, but for dimensions beyond two thousand million.
pub fn looks_like_a_model(path: &Path) -> bool {
    let named = path.extension().is_some_and(|ending| ending == "safetensors");
    let mut start = [0; 9];
    // Only of a regular file: what is read from a pipe is gone.
    let read = |start: &mut [u8; 9]| File::open(path)?.read_exact(start);
    named || path.is_file() && read(&mut start).is_ok() && start[8] == b'{'
}

fn idx(array: &Array) -> Facts {
    let (kind, dims) = (array.element_type().to_string(), array.dims());
    let sizes: Vec<_> = dims.iter().map(usize::to_string).collect();
    let (samples, features) = (array.samples(), array.features());
    let mut lines = vec![
        format!("IDX file of {kind}: {}", sizes.join(" x ")),
        format!("{samples} samples of {features} features"),
    ];
    let mut row = vec![0.0; features];
    let (mut low, mut high, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0);
    let (mut zeros, mut odd) = (0u64, 0u64);
    for sample in 0..samples {
        array.read_row(sample, &mut row);
        for &value in &row {
            if value.is_finite() {
                (low, high) = (low.min(value), high.max(value));
                sum += f64::from(value);
            } else {
                odd += 1;
            }
            zeros += u64::from(value == 0.0);
        }
    }
    let count = samples as u64 * features as u64;
    let mut value = json!({
        "kind": "idx", "type": kind, "dims": dims, "samples": samples, "features": features,
        "not_finite": odd,
    });
    if odd > 0 {
        lines.push(format!("{odd} numbers are not finite"));
    }
    if odd == count {
        return Facts { lines, value, images: None };
    }
    let mean = sum / (count - odd) as f64;
    let zeros = zeros as f64 / count as f64;
    lines.push(format!("from {low} to {high}, mean {}, {:.1} % zeros", short(mean), 100.0 * zeros));
    for (name, number) in [("low", low.into()), ("high", high.into()), ("mean", mean)] {
        value[name] = json!(number);
    }
    value["zeros"] = json!(zeros);
    let images = image_of_dims(dims).map(|tile| {
        let image = |sample| {
            array.read_row(sample, &mut row);
            row.iter().map(|&v| grey(v, low, high)).collect()
        };
        (tile, (0..samples.min(SHOWN)).map(image).collect())
    });
    Facts { lines, value, images }
}

fn model(net: &Autoencoder) -> Facts {
    let settings = net.settings();
    let sizes: Vec<_> = settings.layers.iter().map(usize::to_string).collect();
    let sae::Settings { rho, beta, lambda, learning_rate, batch, seed, .. } = settings;
    let mut lines = vec![
        format!("model {}, {} parameters", sizes.join("-"), net.parameters().len()),
        format!(
            "activation {}, of the output {}; scaling {:?}",
            settings.activation.name(),
            settings.output_activation.name(),
            net.scaling()
        ),
        format!("rho {rho}, beta {beta:e}, lambda {lambda:e}"),
        format!("learning rate {learning_rate}, batch {batch}, seed {seed}"),
    ];
    let mut layers = Vec::new();
    for (l, layer) in net.layers().into_iter().enumerate() {
        let (low, high) = range(net.weights(l));
        let (least, most) = range(net.biases(l));
        let (nth, inputs, outputs) = (l + 1, layer.inputs, layer.outputs);
        lines.push(format!(
            "layer {nth}: {inputs} x {outputs} weights from {low} to {high}, biases from {least} to {most}"
        ));
        layers.push(json!({
            "inputs": inputs, "outputs": outputs, "weights": [low, high], "biases": [least, most],
        }));
    }
    let value = json!({
        "kind": "model", "parameters": net.parameters().len(),
        "scaling": format!("{:?}", net.scaling()), "settings": settings_json(settings),
        "layers": layers,
    });
    let (weights, units) = (net.weights(0), settings.layers[1]);
    let columns = (0..units.min(SHOWN)).map(|unit| weights[unit..].iter().step_by(units).copied());
    let columns: Vec<Vec<f32>> = columns.map(Iterator::collect).collect();
    let tiles = signed_tiles(columns.iter().map(Vec::as_slice));
    Facts { lines, value, images: square(settings.layers[0]).map(|tile| (tile, tiles)) }
}

/// The first images as text, side by side, as many as fit 80 columns; a letter is two rows high.
/// Nothing of images that are wider.
fn thumbnail((rows, columns): Tile, images: &[Vec<u8>]) -> String {
    const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
    let fit = (80 / (columns + 1)).min(images.len());
    let mut text = String::new();
    for y in (0..rows).step_by(2) {
        let mut line = String::new();
        for image in &images[..fit] {
            for x in 0..columns {
                let below = if y + 1 < rows { y + 1 } else { y };
                let [above, below] = [y, below].map(|y| usize::from(image[y * columns + x]));
                line.push(SHADES[(above + below) * SHADES.len() / 511]);
            }
            line.push(' ');
        }
        text += line.trim_end();
        text.push('\n');
    }
    if fit == 0 { String::new() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_fit() {
        let image = vec![0, 255, 255, 255, 0, 0];
        assert_eq!(thumbnail((3, 2), &[image.clone(), image]), "▒█ ▒█\n\n");
        assert_eq!(thumbnail((1, 100), &[vec![9; 100]]), "");
    }
}
