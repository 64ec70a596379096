//! `sae inspect`

use std::path::PathBuf;

use sae::{Autoencoder, Settings, data::Array};
use serde_json::{Value, json};

use crate::drawing::picture::{Grid, gray, image_of_dims, range, signed_tiles, square};
use crate::failure::{Failure, Result};
use crate::models::looks_like_a_model;
use crate::output::{join, print, settings_json, short};

/// Describe a data or model file: types, shapes, ranges, and a preview of its first samples or units
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
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// The description of a file.
struct Facts {
    text: String,
    value: Value,
    /// Images of `[rows * columns]`, if it has any.
    images: Option<(Tile, Vec<Vec<u8>>)>,
}

/// Rows and columns.
type Tile = (usize, usize);

/// Images in the picture, at most.
const MAX_IMAGES: usize = 100;

pub fn run(args: Args) -> Result<()> {
    if let Some(picture) = &args.picture {
        sae::files::check_writable(picture)?;
    }
    let Facts { mut text, mut value, images } = match looks_like_a_model(&args.file) {
        true => model(&Autoencoder::load(&args.file)?),
        false => data(&Array::open(&args.file)?),
    };
    if let Some((tile, images)) = &images {
        text += &thumbnail(*tile, images);
    }
    if let Some(picture) = &args.picture {
        let (tile, images) =
            images.ok_or_else(|| Failure::at(&args.file, "it has no images for --picture"))?;
        Grid::square(tile, images.len()).write(picture, &images)?;
        value["picture"] = json!(picture);
        text += &format!("picture: {}\n", picture.display());
    }
    print(args.json, &value, &text)
}

fn data(array: &Array) -> Facts {
    let (kind, dims) = (array.element_type().to_string(), array.dims());
    let (samples, features) = (array.samples(), array.features());
    let mut text = format!("IDX file of {kind}: {}\n", join(dims, " x "));
    text += &format!("{samples} samples of {features} features\n");
    let mut row = vec![0.0; features];
    let (mut low, mut high, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0);
    let (mut zeros, mut not_finite) = (0u64, 0u64);
    for sample in 0..samples {
        array.read_row(sample, &mut row);
        for &value in &row {
            if value.is_finite() {
                (low, high) = (low.min(value), high.max(value));
                sum += f64::from(value);
            } else {
                not_finite += 1;
            }
            zeros += u64::from(value == 0.0);
        }
    }
    let count = samples as u64 * features as u64;
    let mut value = json!({
        "kind": "idx", "type": kind, "dims": dims, "samples": samples, "features": features,
        "not_finite": not_finite,
    });
    if not_finite > 0 {
        text += &format!("{not_finite} numbers are not finite\n");
    }
    if not_finite == count {
        return Facts { text, value, images: None };
    }
    let mean = sum / (count - not_finite) as f64;
    let zeros = zeros as f64 / count as f64;
    text += &format!("from {low} to {high}, mean {}, {:.1} % zeros\n", short(mean), 100.0 * zeros);
    for (name, number) in [("low", low.into()), ("high", high.into()), ("mean", mean)] {
        value[name] = json!(number);
    }
    value["zeros"] = json!(zeros);
    let images = image_of_dims(dims).map(|tile| {
        let image = |sample| {
            array.read_row(sample, &mut row);
            row.iter().map(|&v| gray(v, low, high)).collect()
        };
        (tile, (0..samples.min(MAX_IMAGES)).map(image).collect())
    });
    Facts { text, value, images }
}

fn model(net: &Autoencoder) -> Facts {
    let (settings, parameters) = (net.settings(), net.parameters().len());
    let scaling = format!("{:?}", net.scaling());
    let Settings { rho, beta, lambda, learning_rate, batch, seed, .. } = settings;
    let mut text = format!(
        "model {}, {parameters} parameters\n\
         activation {}, of the output {}; scaling {scaling}\n\
         rho {rho}, beta {beta:e}, lambda {lambda:e}\n\
         learning rate {learning_rate}, batch {batch}, seed {seed}\n",
        join(&settings.layers, "-"),
        settings.activation.name(),
        settings.output_activation.name(),
    );
    let mut layers = Vec::new();
    for (l, layer) in net.layers().into_iter().enumerate() {
        let [weights, biases] = [net.weights(l), net.biases(l)].map(range);
        let (nth, inputs, outputs) = (l + 1, layer.inputs, layer.outputs);
        text += &format!(
            "layer {nth}: {inputs} x {outputs} weights from {} to {}, biases from {} to {}\n",
            weights.0, weights.1, biases.0, biases.1
        );
        layers.push(json!({
            "inputs": inputs, "outputs": outputs, "weights": weights, "biases": biases,
        }));
    }
    let value = json!({
        "kind": "model", "parameters": parameters, "scaling": scaling,
        "settings": settings_json(settings), "layers": layers,
    });
    let (weights, units) = (net.weights(0), settings.layers[1]);
    let columns =
        (0..units.min(MAX_IMAGES)).map(|unit| weights[unit..].iter().step_by(units).copied());
    let columns: Vec<Vec<f32>> = columns.map(Iterator::collect).collect();
    let tiles = signed_tiles(columns.iter().map(Vec::as_slice));
    Facts { text, value, images: square(settings.layers[0]).map(|tile| (tile, tiles)) }
}

/// The first images as text, as many side by side as fit 80 columns; a character is two rows high.
/// Empty if the images are wider.
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
