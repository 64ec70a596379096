//! What `sae inspect` says of data.

use std::path::Path;

use sae::data::{Array, ElementType, ReadOptions, Statistics};
use serde_json::json;

use super::facts::{Facts, MAX_IMAGES};
use super::files::header;
use crate::csv;
use crate::data::{open_any, opened::one_dimension, pngs::Pngs};
use crate::drawing::picture::{gray, image_of_dims};
use crate::drawing::shape::image_of_data;
use crate::failure::Result;
use crate::output::{are, counted, exact, join, plain, readable, short};
use crate::sparse_files::{self, Format};
use crate::sweeps;

/// Names in the text, at most.
const MAX_NAMES: usize = 20;

/// Of a CSV file.
pub fn of_csv(path: &Path, label_column: Option<&str>, asked: bool) -> Result<Facts> {
    let table = csv::read(path, label_column)?;
    let mut facts = of_numbers(&table.array, "CSV file", asked);
    if let Some(names) = &table.names {
        facts.text += &format!("columns {}\n", few(names));
        facts.value["columns"] = json!(names);
    }
    if let Some(labels) = &table.labels {
        let mut different = labels.clone();
        different.sort_unstable();
        different.dedup();
        let classes = if table.classes.is_empty() {
            different.iter().map(u8::to_string).collect()
        } else {
            table.classes.clone()
        };
        facts.text += &format!("labels {}\n", few(&classes));
        facts.value["classes"] = json!(different.len());
    }
    Ok(facts)
}

/// The first of some names.
fn few(names: &[String]) -> String {
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        left => format!("{shown} and {left} more"),
    }
}

/// Of a safetensors file that is not a model: all its tensors, and the numbers of one.
pub fn of_tensors(path: &Path, tensor: Option<String>, asked: bool) -> Result<Facts> {
    let mut text = String::new();
    let mut list = Vec::new();
    let header = header(path);
    let mut all: Vec<_> = header.iter().flat_map(|header| header.tensors()).collect();
    all.sort_by_key(|(_, info)| info.data_offsets);
    for (name, info) in all {
        let dims = join(&info.shape, " x ");
        text += &format!("tensor {name}: {dims} of {}\n", info.dtype.to_string().to_lowercase());
        list.push(json!({"name": name, "dims": info.shape, "type": info.dtype.to_string()}));
    }
    let chosen = tensor.is_some();
    let opened = Array::open_with(path, &ReadOptions { tensor, ..ReadOptions::default() });
    let mut facts = match opened {
        Ok(array) => of_numbers(&array, "safetensors file", asked),
        // Of several none is meant.
        Err(_) if list.len() > 1 && !chosen => {
            let text = format!("safetensors file of {}\n", counted(list.len(), "tensor"));
            Facts { text, value: json!({"kind": "safetensors"}), images: None }
        }
        Err(error) => return Err(error.into()),
    };
    if list.len() > 1 {
        facts.text += &text;
    }
    facts.value["tensors"] = json!(list);
    Ok(facts)
}

/// Of a file of sparse codes.
pub fn of_codes(path: &Path, format: Format) -> Result<Facts> {
    let codes = sparse_files::read(path, format)?;
    let (samples, entries) = (codes.samples(), codes.indices.len());
    let mut text = format!(
        "sparse codes: {} of {}\n",
        counted(samples, "sample"),
        counted(codes.units, "unit")
    );
    let active = entries as f64 / samples.max(1) as f64;
    text += &format!("{} not 0, {} per sample\n", counted(entries, "activation"), short(active));
    let value =
        json!({"kind": "codes", "samples": samples, "units": codes.units, "entries": entries});
    Ok(Facts { text, value, images: None })
}

/// Of a sweep's table.
pub fn of_sweep(path: &Path) -> Result<Facts> {
    let models = sweeps::models(path, usize::MAX)?;
    let mut text = format!("sweep with {}\n", counted(models.len(), "model"));
    for (model, name) in &models {
        text += &format!("{name}: {}\n", model.display());
    }
    let models: Vec<_> = models.into_iter().map(|(model, _)| readable(model)).collect();
    Ok(Facts { text, value: json!({"kind": "sweep", "models": models}), images: None })
}

/// Of an IDX or NumPy file.
pub fn of_array(path: &Path, asked: bool) -> Result<Facts> {
    let array = open_any(path, false)?;
    let name = path.to_string_lossy().to_lowercase();
    let is_npy = name.ends_with(".npy") || name.ends_with(".npy.gz");
    Ok(of_numbers(&array, if is_npy { "NumPy file" } else { "IDX file" }, asked))
}

/// Of a folder of PNGs, or of one.
pub fn of_pngs(path: &Path, asked: bool) -> Result<Facts> {
    let pngs = Pngs::read(&[path.to_owned()], path, None)?;
    let mut facts = of_numbers(&pngs.array, "PNGs", asked);
    if !pngs.classes.is_empty() {
        facts.text += &format!("labels {}\n", few(&pngs.classes));
        facts.value["classes"] = json!(pngs.classes.len());
    }
    if pngs.left_out > 0 {
        let files = counted(pngs.left_out, "file");
        facts.text += &format!("left out: {files} without a name that ends in .png\n");
    }
    Ok(facts)
}

/// Of numbers in a file of this format; with pictures of what may be images where these are asked for.
fn of_numbers(array: &Array, format: &str, asked: bool) -> Facts {
    let (kind, dims) = (array.element_type().to_string(), array.dims());
    let (samples, features) = (array.samples(), array.features());
    let mut text = format!("{format} of {kind}: {}\n", join(dims, " x "));
    text += &match dims {
        // Nothing tells samples from features.
        [_] => {
            let (what, hint) = one_dimension(array.element_type());
            let numbers = counted(samples, "number");
            format!("one dimension of {numbers} ({what}), no array [samples, features]\n{hint}\n")
        }
        _ => format!("{} of {}\n", counted(samples, "sample"), counted(features, "feature")),
    };
    let Statistics { count: all, not_finite, zeros, min, max, mean, deviation, .. } =
        array.statistics();
    let mut value = json!({
        "kind": format.trim_end_matches(" file").to_lowercase(), "type": kind, "dims": dims, "samples": samples, "features": features,
        "not_finite": not_finite,
    });
    if not_finite > 0 {
        let count = not_finite as usize;
        text += &format!("{} {} not finite\n", counted(count, "number"), are(count));
    }
    if not_finite == all {
        return Facts { text, value, images: None };
    }
    let zeros = zeros as f64 / all as f64;
    let has_short = matches!(array.element_type(), ElementType::F16 | ElementType::F32);
    let shown = |number: f64| match has_short {
        true => exact(number as f32),
        false => exact(number),
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
        let is_exact = name == "low" || name == "high";
        value[name] = json!(if has_short && is_exact { plain(number as f32) } else { number });
    }
    value["zeros"] = json!(zeros);
    // Of a deep array samples may be rows of the last dimension.
    let is_bytes = array.element_type() == ElementType::U8;
    let images = image_of_data(dims, is_bytes).or_else(|| image_of_dims(dims).filter(|_| asked));
    let images = images.filter(|tile| tile.numbers() == features);
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
        false if deviation == 0.0 => exact(mean),
        false => short(mean),
    }
}
