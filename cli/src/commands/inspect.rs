//! `sae inspect`

mod checkpoint;
mod data;
mod facts;
mod files;
mod own;

use std::path::{Path, PathBuf};

use sae::{Autoencoder, files::Course};
use serde_json::json;

use crate::commands::train::{RunRecord, command_of_course, interruption};
use crate::drawing::picture::{Grid, range, signed_tiles};
use crate::drawing::shape::{Shape, square};
use crate::endings::{self, check_ending};
use crate::failure::{Failure, Result};
use crate::models;
use crate::output::{counted, exact, join, plain, print, readable, settings_json, warn};
use crate::outputs::{OverwriteArgs, make_folders};
use crate::recipe;
use crate::runs;
use crate::sweeps;
use facts::{Facts, MAX_IMAGES, course_json, course_text, scaling_json, settings_text};
use files::Kind;

/// Describe a file: types, shapes, ranges, and a preview of its first samples or units
///
/// Models and dictionaries of other libraries with their settings and how they were trained, checkpoints with their
/// step, tables of sweeps, sparse codes, and data: IDX, NumPy, CSV and safetensors files, PNGs, and folders of them.
/// Also what a training leaves beside its model: history, log and record; and a folder of runs.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae train --steps 500 && sae inspect
  sae train --steps 500 --checkpoint && sae inspect runs/2/checkpoint.ckpt
  sae make-digits few --train 200 --test 100 && sae inspect few/t10k-images-idx3-ubyte --picture hundred.png")]
pub struct Args {
    /// The file [default: the model of the latest run in the folder runs]
    file: Option<PathBuf>,
    /// Tensor of a safetensors file of data [default: the only one of two dimensions]
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
    /// Column of a CSV file with labels, by its name or its number from 1
    #[arg(long, value_name = "COLUMN")]
    label_column: Option<String>,
    /// Write the first hundred samples, or units of a model's first layer, to this PNG
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let file = runs::model_or_latest(args.file)?;
    let file = sweeps::table_of(&file)?.unwrap_or(file);
    if let Some(picture) = &args.picture {
        args.overwrite.check_all(&[picture], std::slice::from_ref(&file))?;
        check_ending(picture, &["png"])?;
    }
    let kind = Kind::of(&file)?;
    for (name, given, of) in
        [("tensor", &args.tensor, Kind::Tensors), ("label-column", &args.label_column, Kind::Csv)]
    {
        if given.is_some() && kind != of && kind != Kind::Folder {
            let problem = format!("{name}: {} is {kind}, which has none", file.display());
            return Err(Failure::input(problem).hint(format!("leave out --{name}")));
        }
    }
    // Who asks for a picture may have images in rows of numbers.
    let asked = args.picture.is_some();
    let Facts { mut text, mut value, images } = match kind {
        Kind::Model => {
            let net = models::load(&file)?;
            let mut facts = model(&net, asked);
            if let Some(course) = Course::of(&net) {
                facts.text += &course_text(&course);
                facts.value["course"] = course_json(&course);
            }
            with_course(with_command(facts, &file), &net, &file)
        }
        Kind::Checkpoint => checkpoint::facts(&file)?,
        Kind::Sweep => data::of_sweep(&file)?,
        Kind::Codes(format) => data::of_codes(&file, format)?,
        Kind::Csv => data::of_csv(&file, args.label_column.as_deref(), asked)?,
        Kind::Tensors => data::of_tensors(&file, args.tensor, asked)?,
        Kind::Array => {
            data::of_array(&file, asked).map_err(|failure| with_kinds(failure, &file))?
        }
        Kind::History => own::of_history(&file)?,
        Kind::Log => own::of_log(&file)?,
        Kind::Record(model) => with_command(own::of_record(&model)?, &model),
        Kind::Options(arguments) => own::of_options(&arguments),
        Kind::Runs => own::of_runs(&file)?,
        Kind::Pngs => data::of_pngs(&file, asked)?,
        Kind::Folder => own::of_folder(&file, args.tensor, args.label_column)?,
    };
    if let Some((tile, images)) = images.as_ref().filter(|(tile, _)| tile.channels == 1) {
        text += &thumbnail(*tile, images);
    }
    if let Some(picture) = &args.picture {
        let (tile, images) =
            images.ok_or_else(|| Failure::at(&file, "it has no images for --picture"))?;
        make_folders(&[picture])?;
        Grid::square(tile, images.len()).write(picture, &images)?;
        value["picture"] = json!(readable(picture));
        text += &format!("picture: {}\n", picture.display());
    }
    print(args.json, &value, &text)
}

/// A failure to read a file as an array, with what else can be described.
fn with_kinds(failure: Failure, file: &Path) -> Failure {
    let failure = match endings::ending_of(file).as_str() {
        "onnx" => Failure::at(file, "this is an ONNX model, which sae writes and does not read"),
        // What is damaged is another matter.
        _ if !failure.problem.contains("this looks like") => return failure,
        _ => failure,
    };
    failure.or_hint(
        "sae inspect describes models, checkpoints, data (IDX, NumPy, CSV, safetensors, PNGs, folders of them), \
         sparse codes, histories, logs, records, sweeps and folders of runs",
    )
}

/// With the command that repeats the training and how it ended, if the file beside the model has it.
fn with_command(mut facts: Facts, model: &Path) -> Facts {
    let run = match RunRecord::of(model) {
        Ok(Some(run)) => run,
        Ok(None) => return facts,
        Err(failure) => {
            warn(&failure.problem);
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

/// With what the model's file says of its training, where the record beside it does not.
fn with_course(mut facts: Facts, net: &Autoencoder, model: &Path) -> Facts {
    let Some(course) = Course::of(net).filter(|_| facts.value["command"].is_null()) else {
        return facts;
    };
    match command_of_course(&course, net, model) {
        Ok(command) => {
            facts.text += &format!("trained as by: {command}\n");
            facts.value["command"] = json!(command);
        }
        Err(failure) => warn(&failure.problem),
    }
    if let (Some(interruption), Some(step)) = (interruption(&course), course.interrupted) {
        facts.text += &format!("{interruption}\n");
        let value = json!({"step": step, "steps": course.steps, "continue": null});
        facts.value["interrupted"] = value;
    }
    facts
}

/// Minimum and maximum as JSON.
fn ends((low, high): (f32, f32)) -> [f64; 2] {
    [plain(low), plain(high)]
}

fn model(net: &Autoencoder, asked: bool) -> Facts {
    let (settings, parameters) = (net.settings(), net.parameters().len());
    let scaling = net.scaling();
    let layers = join(&settings.layers, "-");
    let mut text = format!("model {layers}, {}\n", counted(parameters, "parameter"));
    text += &settings_text(settings, &scaling);
    let data = net.training_data();
    if let Some(data) = data {
        let all = data.samples();
        text += &match data.held_out() {
            Some(held_out) => {
                let held_out = held_out.count();
                format!("trained on {} of {all} samples, {held_out} held out\n", all - held_out)
            }
            None => format!("trained on {}\n", counted(all, "sample")),
        };
    }
    let of_targets = net.target_scaling();
    if let Some(scaling) = &of_targets {
        text += &format!("targets of their own, scaling {scaling}\n");
    }
    if let Some(weights) = net.skip_weights() {
        let (low, high) = range(weights);
        let [low, high] = [low, high].map(exact);
        let weights = counted(weights.len(), "weight");
        text += &format!("skip connection: {weights} from {low} to {high}\n");
    }
    let mut layers = Vec::new();
    for (l, layer) in net.layers().into_iter().enumerate() {
        let [weights, biases] = [&*net.weights(l), net.biases(l)].map(range);
        let (nth, inputs, outputs) = (l + 1, layer.inputs, layer.outputs);
        text += &format!(
            "layer {nth}: {inputs} x {outputs} weights from {} to {}, biases from {} to {}\n",
            exact(weights.0),
            exact(weights.1),
            exact(biases.0),
            exact(biases.1)
        );
        layers.push(json!({
            "inputs": inputs, "outputs": outputs, "weights": ends(weights), "biases": ends(biases),
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
    let tile = Shape::of_model(net);
    let tile = tile.or_else(|| square(settings.layers[0]).filter(|_| asked));
    Facts { text, value, images: tile.map(|tile| (tile, tiles)) }
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
