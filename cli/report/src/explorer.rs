//! All that the page shows of units and samples, within a number of bytes.

use sae::{Code, Engine, Scaling};
use serde_json::{Value, json};

use crate::arrays::Arrays;
use crate::budget::Budget;
use crate::decoder::Decoder;
use crate::error::Result;
use crate::model::Model;
use crate::report::Report;
use crate::shape::{MIN_SIDE, Shape, square};
use crate::telling::Telling;
use crate::units::Layer;
use crate::{names, samples};

/// The facts of all models, as JSON, and their arrays, of `bytes` before they are compressed; of images with their shape.
pub fn facts(
    engine: &mut Engine,
    about: &Report<'_>,
    shape: Option<Shape>,
    (layers, bytes): (&mut [Vec<Layer>], usize),
) -> Result<(Value, Arrays)> {
    let models = about.models;
    let first = &models[0];
    // Images are not read one after another, and a name of a pixel says less than a picture.
    let context = if about.names.is_some() && shape.is_none() { about.context } else { 0 };
    let features = about.features.filter(|_| shape.is_none());
    let budget = Budget { bytes, units: about.units, images: shape.is_some(), context };
    let fitting = budget.spend(models, layers);
    let all: Vec<&Layer> = layers.iter().flatten().rev().collect();
    let chosen = samples::chosen(first.samples.len(), &all, fitting);
    let mut arrays = Arrays::default();
    add_chosen(about, &chosen, &mut arrays);
    let telling = if shape.is_some() { None } else { Telling::of(about) };
    let mut list = Vec::new();
    for (m, (model, layers)) in models.iter().zip(&*layers).enumerate() {
        let mut value = model.json();
        let name = format!("m{m}");
        let more = of_model(
            engine,
            (model, layers, shape.is_some(), telling.as_ref()),
            (&chosen, context),
            (&name, &mut arrays),
        )?;
        let more = more.as_object().cloned().unwrap_or_default();
        value.as_object_mut().into_iter().for_each(|value| value.extend(more.clone()));
        list.push(value);
    }
    let tops = layers.iter().flatten().flat_map(|layer| layer.kept());
    let tops = tops.flat_map(|unit| unit.top.iter().map(|top| top.sample));
    let shown = chosen.iter().copied().chain(tops);
    let runs = about.names.map(|names| names::runs(names, shown, context.max(8)));
    let mut facts = json!({
        "samples": first.samples.len(), "image": shape.map(|of| json!({
            "rows": of.rows, "columns": of.columns, "channels": of.channels, "planar": of.is_planar,
        })), "names": runs, "context": context,
        "features": features, "lines": features.and_then(|_| lines(first)),
        "first": samples::FIRST.min(chosen.len()), "models": list,
    });
    if let Some(names) = about.label_names {
        facts["label_names"] = json!(names);
    }
    Ok((facts, arrays))
}

/// The layers of each model's encoder.
pub fn layers(engine: &mut Engine, about: &Report<'_>) -> Result<Vec<Vec<Layer>>> {
    let of_models = about.models.iter().map(|model| {
        let encoder = 0..model.net.settings().encoder_layers();
        encoder.map(|layer| Layer::of(engine, model, layer, about.labels)).collect()
    });
    of_models.collect()
}

/// Adds which samples the page has, with their labels, and the numbers of all samples.
fn add_chosen(about: &Report<'_>, chosen: &[usize], arrays: &mut Arrays) {
    arrays.u32("chosen", &chosen.iter().map(|&sample| sample as u32).collect::<Vec<_>>());
    let numbers = about.numbers.unwrap_or_default();
    if numbers.iter().enumerate().any(|(at, &number)| at != number) {
        let numbers: Vec<u32> = numbers.iter().map(|&number| number as u32).collect();
        arrays.u32("numbers", &numbers);
    }
    if let Some(labels) = about.labels {
        arrays.u8("labels", &chosen.iter().map(|&sample| labels[sample]).collect::<Vec<_>>());
    }
}

/// The scaling of each feature: the number in the data that 0 stands for, and how much more 1 is.
///
/// It is null for a scaling of each sample by itself.
fn lines(model: &Model) -> Option<Value> {
    let scaling = model.samples.scaling();
    let mut zeros = vec![0.0; model.samples.features()];
    let mut ones = vec![1.0; zeros.len()];
    scaling.unscale(&mut zeros).ok()?;
    scaling.unscale(&mut ones).ok()?;
    let steps: Vec<f32> = ones.iter().zip(&zeros).map(|(one, zero)| one - zero).collect();
    Some(json!({"zero": zeros, "step": steps}))
}

/// The shape of the samples of the first model, if they are images.
///
/// It is given, that of a file ([`Shape::of_files`]), or a square of at least 8 x 8: of bytes, or of numbers from 0 to 1.
/// (Activations may be 1024 numbers, too.) Features with names are a table, unless they are bytes with names that differ
/// in their numbers alone.
pub fn shape_of(about: &Report<'_>) -> Result<Option<Shape>> {
    const LOOKED_AT: usize = 16;
    let Model { net, samples, .. } = &about.models[0];
    let shape = about.shape.or_else(|| Shape::of_files(samples, net));
    let square = square(samples.features()).filter(|shape| shape.rows >= MIN_SIDE);
    let (None, Some(square)) = (shape, square) else { return Ok(shape) };
    if let Some(names) = about.features {
        let are_pixels = samples.scaling() == Scaling::Byte && are_numbered(names);
        return Ok(Some(square).filter(|_| are_pixels));
    }
    let mut values = vec![0.0; samples.features()];
    for sample in 0..samples.len().min(LOOKED_AT) {
        samples.gather(sample, &mut values)?;
        if !values.iter().all(|value| (0.0..=1.0).contains(value)) {
            return Ok(None);
        }
    }
    Ok(Some(square))
}

/// Whether names differ in their numbers alone, such as `pixel0` and `pixel1`, or `1x1` and `1x2`.
fn are_numbered(names: &[String]) -> bool {
    let text = |name: &String| name.replace(|one: char| one.is_ascii_digit(), "");
    let mut texts = names.iter().map(text);
    let first = texts.next();
    texts.all(|text| Some(&text) == first.as_ref())
}

fn of_model(
    engine: &mut Engine,
    (model, layers, images, telling): (&Model, &[Layer], bool, Option<&Telling>),
    (chosen, context): (&[usize], usize),
    (name, arrays): (&str, &mut Arrays),
) -> Result<Value> {
    let settings = model.net.settings();
    let mut list = Vec::new();
    for layer in layers {
        let name = format!("{name}.l{}", layer.layer);
        list.push(layer.add(engine, (model, images, telling), (&name, &mut *arrays))?);
    }
    let decoder = Decoder::of(&model.net, engine, &model.samples)?;
    let mut activations = None;
    if let Some(code) = layers.last() {
        samples::add_values(&model.samples, chosen, (name, &mut *arrays))?;
        let of_code = (model, code, decoder.as_ref());
        samples::add_codes(engine, of_code, chosen, (name, &mut *arrays))?;
        if context > 0 {
            samples::add_contexts(engine, (model, code, context), (name, &mut *arrays))?;
        }
        activations = decoder.map(|decoder| decoder.add(&code.kept, name, arrays));
    }
    let penalties = (0..settings.encoder_layers()).map(|layer| {
        let penalty = settings.penalty_of(layer).filter(|penalty| penalty.beta > 0.0);
        penalty.map(|penalty| penalty.rho)
    });
    Ok(json!({
        "layers": list,
        "decoder": activations,
        "targets": model.samples.targets().is_some(),
        "is_unit": model.samples.scaling().is_unit(),
        "is_sparse": settings.code != Code::Dense,
        "rho": penalties.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names_are_no_words() {
        for (names, expected) in [
            (&["pixel0", "pixel1", "pixel10"][..], true),
            (&["1x1", "1x2"], true),
            (&["0", "1"], true),
            (&["pixel_0_1", "pixel_7_7"], true),
            (&["q1", "age"], false),
            (&["alcohol", "ash"], false),
        ] {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(are_numbered(&names), expected, "{names:?}");
        }
    }
}
