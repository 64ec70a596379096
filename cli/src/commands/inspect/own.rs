//! What `sae inspect` says of the files and folders that trainings and sweeps make, and of folders of data.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::facts::Facts;
use crate::commands::train::RunRecord;
use crate::data::Place;
use crate::data::place::{self, Files, find_mnist};
use crate::failure::{Failure, Result, io_error};
use crate::history::{self, is_header};
use crate::output::{counted, readable, short};
use crate::recipe;
use crate::runs;
use crate::sweeps;

/// The figures of a history's last row that are shown.
const SHOWN: [&str; 6] = ["objective", "loss", "l0", "dead_units", "test_objective", "test_l0"];

/// Of the history of a training.
pub fn of_history(path: &Path) -> Result<Facts> {
    let text = fs::read_to_string(path).map_err(io_error("read", path))?;
    let columns = history::read(path)?.columns;
    // The last row may be cut off.
    let rows = text.matches('\n').count() - 1;
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let last = |column: &[f64]| column.iter().rev().copied().find(|number| !number.is_nan());
    let last: Vec<(&str, f64)> =
        columns.iter().filter_map(|(name, column)| Some((name.as_str(), last(column)?))).collect();
    let step = last.iter().find(|(name, _)| *name == "step").map(|&(_, step)| step as u64);
    let mut text = format!("history of a training: {}", counted(rows, "row"));
    if let Some(step) = step {
        let figures = last.iter().filter(|(name, _)| SHOWN.contains(name));
        let figures: Vec<String> = figures
            .map(|(name, number)| format!("{} {}", name.replace('_', " "), short(*number)))
            .collect();
        text += &format!(", the last of step {step}\nlast {}", figures.join(", "));
    }
    text += &format!("\ncolumns {}\n", names.join(", "));
    let last: serde_json::Map<String, Value> =
        last.into_iter().map(|(name, number)| (name.to_owned(), json!(number))).collect();
    let value =
        json!({"kind": "history", "rows": rows, "step": step, "columns": names, "last": last});
    Ok(Facts { text, value, images: None })
}

/// Whether a CSV file is the history of a training.
pub fn is_history(path: &Path) -> bool {
    first_line(path).is_some_and(|line| is_header(&line))
}

/// The first line of a text file.
fn first_line(path: &Path) -> Option<String> {
    use std::io::{BufRead, BufReader, Read};
    /// The first line of a log has all settings.
    const LENGTH: u64 = 1 << 20;
    if !path.is_file() {
        return None;
    }
    let mut line = String::new();
    let file = fs::File::open(path).ok()?;
    BufReader::new(file.take(LENGTH)).read_line(&mut line).ok()?;
    Some(line)
}

/// Whether a file is the log of a training.
pub fn is_log(path: &Path) -> bool {
    let is_named = path.extension().is_some_and(|ending| ending == "jsonl");
    let line = if is_named { first_line(path) } else { None };
    let value: Option<Value> = line.and_then(|line| serde_json::from_str(&line).ok());
    value.is_some_and(|value| value["event"] == "start" && value["step"].is_u64())
}

/// Of the log of a training.
pub fn of_log(path: &Path) -> Result<Facts> {
    let text = fs::read_to_string(path).map_err(io_error("read", path))?;
    let (mut rows, mut step, mut start, mut end) = (0, 0, Value::Null, Value::Null);
    for (at, line) in text.split_inclusive('\n').enumerate() {
        // A killed training may have been in the middle of a line.
        let Some(line) = line.strip_suffix('\n') else { break };
        let damaged =
            |_| Failure::at(path, format!("line {}: not a line of JSON, as in a log", at + 1));
        let value: Value = serde_json::from_str(line).map_err(damaged)?;
        step = value["step"].as_u64().unwrap_or(step);
        match value["event"].as_str() {
            // Of a resumed training there are several.
            Some("start") => (start, end) = (value, Value::Null),
            Some("end") => end = value,
            _ => rows += 1,
        }
    }
    let steps = start["steps"].as_u64();
    let of = steps.map_or(String::new(), |steps| format!(" of {steps}"));
    let mut text = format!("log of a training: {} to step {step}{of}\n", counted(rows, "row"));
    text += &match (end["reason"].as_str(), end["error"].as_str()) {
        (Some(reason), Some(error)) => format!("ended: {reason}, {error}\n"),
        (Some(reason), None) => format!("ended: {reason}\n"),
        (None, _) => "it has no end: the training goes on, or was killed\n".to_owned(),
    };
    let command = texts(&start["arguments"]).map(|arguments| recipe::command(&arguments));
    if let Some(command) = &command {
        text += &format!("trained by: {command}\n");
    }
    let value = json!({
        "kind": "log", "rows": rows, "step": step, "steps": steps, "end": end["reason"], "command": command,
    });
    Ok(Facts { text, value, images: None })
}

/// An array of texts.
fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// The model whose record this file is, by its name.
pub fn model_of_record(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_suffix("data.json")?.strip_suffix('.')?;
    let names = [format!("{name}.safetensors"), name.to_owned()];
    let mut models = names.map(|name| path.with_file_name(name)).into_iter();
    models.find(|model| path.is_file() && place::path_of(model) == path)
}

/// Of the record beside a model.
pub fn of_record(model: &Path) -> Result<Facts> {
    let record = place::path_of(model);
    let missing = || Failure::at(&record, "this is no record of a training");
    let place = Place::of_model(model)?.ok_or_else(missing)?.place;
    let model = model.display().to_string();
    let text = format!("record of the training of {model}\ndata: {place}\n");
    let value = json!({"kind": "record", "model": readable(&model), "data": place.to_string()});
    Ok(Facts { text, value, images: None })
}

/// The arguments in the file of a sweep's options.
pub fn options_of_sweep(path: &Path) -> Option<Vec<String>> {
    if path.file_name()? != "options.json" || !path.is_file() {
        return None;
    }
    let value: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    texts(&value["arguments"])
}

/// Of a sweep's options.
pub fn of_options(arguments: &[String]) -> Facts {
    let command = recipe::command_of("sweep", arguments);
    let text = format!("options of a sweep\nrun by: {command}\n");
    Facts { text, value: json!({"kind": "options", "command": command}), images: None }
}

/// Whether a folder is one of runs.
pub fn is_runs(path: &Path) -> bool {
    let is_run = |folder: &Path| {
        let files = [runs::model_in(folder), folder.join("log.jsonl"), folder.join(sweeps::TABLE)];
        files.iter().any(|file| file.is_file()) || sweeps::in_run(folder).is_some()
    };
    path.is_dir() && runs::all_in(path).is_ok_and(|all| all.iter().any(|(_, it)| is_run(it)))
}

/// Of a folder of runs.
pub fn of_runs(path: &Path) -> Result<Facts> {
    let all = runs::all_in(path)?;
    let mut text = format!("folder of {}\n", counted(all.len(), "run"));
    let mut list = Vec::new();
    for (_, folder) in all {
        let model = runs::model_in(&folder);
        let run = RunRecord::of(&model).ok().flatten();
        let what = match () {
            () if sweeps::in_run(&folder).is_some() => "sweep",
            () if model.is_file() => "model",
            () => "no model",
        };
        let command = run.as_ref().and_then(|run| run.arguments.as_deref()).map(recipe::command);
        let interruption = run.as_ref().and_then(RunRecord::interruption);
        let facts = [Some(what.to_owned()), interruption, command.clone()];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        text += &format!("{}: {}\n", folder.display(), facts.join(", "));
        list.push(json!({"folder": readable(&folder), "kind": what, "command": command}));
    }
    Ok(Facts { text, value: json!({"kind": "runs", "runs": list}), images: None })
}

/// Of a folder of data files, which are one data set, or of a folder with MNIST's files.
pub fn of_folder(
    path: &Path,
    tensor: Option<String>,
    label_column: Option<String>,
) -> Result<Facts> {
    let files = match find_mnist(path, "train-images") {
        Some(_) => Files::Folder(path.to_owned()),
        None => Files::Paths(vec![path.to_owned()], Vec::new()),
    };
    let place = Place { files, tensor, rows: None, label_column, color: None, targets: None };
    let test = place.test(false)?.map(|opened| ("test: ", opened));
    let all = if test.is_some() { "training: " } else { "" };
    let mut text = format!("folder with {}\n", counted(place.files()?.len(), "file"));
    let mut sets = Vec::new();
    for (title, opened) in [(all, place.train(false, true)?)].into_iter().chain(test) {
        let (samples, features) = (opened.samples.len(), opened.samples.features());
        let kind = opened.samples.source().element_type();
        let kind = kind.map_or("several types".to_owned(), |kind| kind.to_string());
        text += &format!(
            "{title}{} of {}, {kind}: {}\n",
            counted(samples, "sample"),
            counted(features, "feature"),
            opened.name.display(),
        );
        sets.push(json!({"samples": samples, "features": features, "type": kind}));
    }
    Ok(Facts { text, value: json!({"kind": "folder", "sets": sets}), images: None })
}
