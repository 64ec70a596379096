//! `sae inspect`

use std::path::{Path, PathBuf};

use sae::{
    Autoencoder, Code, Scaling, Settings,
    data::{Array, ElementType, Statistics},
    files::exchange::is_dictionary,
};
use serde_json::{Value, json};

use crate::commands::train::RunRecord;
use crate::data::open_any;
use crate::drawing::picture::{Grid, gray, image_of_dims, range, signed_tiles};
use crate::drawing::shape::Shape;
use crate::endings::check_ending;
use crate::failure::{Failure, Result};
use crate::models::{self, looks_like_a_model};
use crate::output::{join, note, print, settings_json, short};
use crate::outputs::{OverwriteArgs, make_folders};
use crate::recipe;
use crate::runs;

/// Describe a data or model file: types, shapes, ranges, and a preview of its first samples or units
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae train --steps 500 && sae inspect
  sae make-digits few --train 200 --test 100 && sae inspect few/t10k-images-idx3-ubyte --picture hundred.png")]
pub struct Args {
    /// The file [default: the model of the latest run in the folder runs]
    file: Option<PathBuf>,
    /// Write the first hundred samples, or units of a model's first layer, to this PNG
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// The description of a file.
struct Facts {
    text: String,
    value: Value,
    /// Images of `[rows * columns]`, if it has any.
    images: Option<(Shape, Vec<Vec<u8>>)>,
}

/// Images in the picture, at most.
const MAX_IMAGES: usize = 100;

pub fn run(args: Args) -> Result<()> {
    let file = runs::model_or_latest(args.file)?;
    if let Some(picture) = &args.picture {
        args.overwrite.check_all(&[picture], std::slice::from_ref(&file))?;
        check_ending(picture, &["png"])?;
    }
    let is_model = is_dictionary(&file) || looks_like_a_model(&file);
    let Facts { mut text, mut value, images } = match is_model {
        true => with_command(model(&models::load(&file)?), &file),
        false => data(&open_any(&file, false)?),
    };
    if let Some((tile, images)) = images.as_ref().filter(|(tile, _)| tile.channels == 1) {
        text += &thumbnail(*tile, images);
    }
    if let Some(picture) = &args.picture {
        let (tile, images) =
            images.ok_or_else(|| Failure::at(&file, "it has no images for --picture"))?;
        make_folders(&[picture])?;
        Grid::square(tile, images.len()).write(picture, &images)?;
        value["picture"] = json!(picture);
        text += &format!("picture: {}\n", picture.display());
    }
    print(args.json, &value, &text)
}

/// With the command that repeats the training and how it ended, if the file beside the model has it.
fn with_command(mut facts: Facts, model: &Path) -> Facts {
    let run = match RunRecord::of(model) {
        Ok(Some(run)) => run,
        Ok(None) => return facts,
        Err(failure) => {
            note(&failure.problem);
            return facts;
        }
    };
    if run.is_replaced {
        facts.text += "a training that was to replace this model has begun, and has not ended\n";
        facts.value["replaced"] = json!(true);
        return facts;
    }
    if let Some(arguments) = &run.arguments {
        let command = recipe::command(arguments);
        facts.text += &format!("trained by: {command}\n");
        facts.value["command"] = json!(command);
    }
    if let (Some(interruption), Some((step, steps))) = (run.interruption(), run.interrupted) {
        let continuation = run.continuation(model);
        let hint = continuation.as_ref().map(|command| format!(" ({command} continues it)"));
        facts.text += &format!("{interruption}{}\n", hint.unwrap_or_default());
        facts.value["interrupted"] =
            json!({"step": step, "steps": steps, "continue": continuation});
    }
    facts
}

fn data(array: &Array) -> Facts {
    let (kind, dims) = (array.element_type().to_string(), array.dims());
    let (samples, features) = (array.samples(), array.features());
    let format = match array.path().to_string_lossy().to_lowercase() {
        name if name.ends_with(".npy") || name.ends_with(".npy.gz") => "NumPy",
        _ => "IDX",
    };
    let mut text = format!("{format} file of {kind}: {}\n", join(dims, " x "));
    text += &format!("{samples} samples of {features} features\n");
    let Statistics { count, not_finite, zeros, min, max, mean, deviation, .. } = array.statistics();
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
    let zeros = zeros as f64 / count as f64;
    let has_short = matches!(array.element_type(), ElementType::F16 | ElementType::F32);
    let shown = |number: f64| match has_short {
        true => format!("{}", number as f32),
        false => format!("{number}"),
    };
    text += &format!(
        "from {} to {}, mean {}, standard deviation {}, {:.1} % zeros\n",
        shown(min),
        shown(max),
        mean_text(mean, deviation),
        short(deviation),
        100.0 * zeros
    );
    for (name, number) in [("low", min), ("high", max), ("mean", mean), ("deviation", deviation)] {
        value[name] = json!(number);
    }
    value["zeros"] = json!(zeros);
    // Of a deep array samples may be rows of the last dimension.
    let images = image_of_dims(dims).filter(|tile| tile.numbers() == features);
    let images = images.map(|tile| {
        let mut row = vec![0.0; features];
        // Halves, because the range may be beyond `f64`.
        let unit = |number: f64| (0.5 * number - 0.5 * min) / (0.5 * max - 0.5 * min);
        let image = |sample| {
            array.read_row_f64(sample, &mut row);
            row.iter().map(|&number| gray(unit(number) as f32, 0.0, 1.0)).collect()
        };
        (tile, (0..samples.min(MAX_IMAGES)).map(image).collect())
    });
    Facts { text, value, images }
}

/// A scaling, as it is named for the command, with its constants.
fn scaling_json(scaling: &Scaling) -> Value {
    match scaling {
        Scaling::MinMax { min, max } => json!({"min-max": {"min": min, "max": max}}),
        Scaling::MeanDeviation { mean, deviation } => {
            json!({"mean-deviation": {"mean": mean, "deviation": deviation}})
        }
        Scaling::MinMaxByFeature { min, max } => {
            json!({"min-max:feature": {"min": &min[..], "max": &max[..]}})
        }
        Scaling::MeanDeviationByFeature { mean, deviation } => {
            json!({"mean-deviation:feature": {"mean": &mean[..], "deviation": &deviation[..]}})
        }
        other => json!(other.kind().name()),
    }
}

/// A mean, with as many digits as tell it from others within the data: about five below the deviation.
fn mean_text(mean: f64, deviation: f64) -> String {
    let digits = 5.0 - deviation.log10().floor();
    let is_large = mean.abs() >= 1e5 && mean.abs() < 1e15;
    match is_large && (0.0..=9.0).contains(&digits) {
        true => {
            let text = format!("{mean:.*}", digits as usize);
            let text = if text.contains('.') { text.trim_end_matches('0') } else { &text };
            text.trim_end_matches('.').to_owned()
        }
        false if deviation == 0.0 => format!("{mean}"),
        false => short(mean),
    }
}

fn model(net: &Autoencoder) -> Facts {
    let (settings, parameters) = (net.settings(), net.parameters().len());
    let scaling = net.scaling();
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
    if settings.code != Code::Dense {
        let Settings { code, auxiliary, prefixes, .. } = settings;
        text += &format!("code {code}, auxiliary loss {auxiliary}, prefixes {prefixes}\n");
    }
    let of_targets = net.target_scaling();
    if let Some(scaling) = &of_targets {
        text += &format!("targets of their own, scaling {scaling}\n");
    }
    if let Some(weights) = net.skip_weights() {
        let (low, high) = range(weights);
        text += &format!("skip connection: {} weights from {low} to {high}\n", weights.len());
    }
    let mut layers = Vec::new();
    for (l, layer) in net.layers().into_iter().enumerate() {
        let [weights, biases] = [&*net.weights(l), net.biases(l)].map(range);
        let (nth, inputs, outputs) = (l + 1, layer.inputs, layer.outputs);
        text += &format!(
            "layer {nth}: {inputs} x {outputs} weights from {} to {}, biases from {} to {}\n",
            weights.0, weights.1, biases.0, biases.1
        );
        layers.push(json!({
            "inputs": inputs, "outputs": outputs, "weights": weights, "biases": biases,
        }));
    }
    let mut value = json!({
        "kind": "model", "parameters": parameters, "scaling": scaling_json(&scaling),
        "settings": settings_json(settings), "layers": layers,
    });
    if let Some(scaling) = &of_targets {
        value["target_scaling"] = scaling_json(scaling);
    }
    let (weights, units) = (net.weights(0), settings.layers[1]);
    let columns =
        (0..units.min(MAX_IMAGES)).map(|unit| weights[unit..].iter().step_by(units).copied());
    let columns: Vec<Vec<f32>> = columns.map(Iterator::collect).collect();
    let tiles = signed_tiles(columns.iter().map(Vec::as_slice));
    Facts { text, value, images: Shape::of_model(net).map(|tile| (tile, tiles)) }
}

/// The first images as text, as many side by side as fit 80 columns; a character is two rows high.
/// Empty if the images are wider.
fn thumbnail(Shape { rows, columns, .. }: Shape, images: &[Vec<u8>]) -> String {
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
        assert_eq!(thumbnail((3, 2).into(), &[image.clone(), image]), "▒█ ▒█\n\n");
        assert_eq!(thumbnail((1, 100).into(), &[vec![9; 100]]), "");
    }
}
