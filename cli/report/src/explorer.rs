//! All that the page shows of units and samples, within a number of bytes.

use sae::{Code, Engine};
use serde_json::{Value, json};

use crate::arrays::Arrays;
use crate::decoder::Decoder;
use crate::error::Result;
use crate::model::Model;
use crate::report::Report;
use crate::shape::{MIN_SIDE, Shape, square};
use crate::units::{Layer, Options};
use crate::{names, samples};

/// Bytes for the units of all models that are shown in full, and for samples. As base64 they are a third
/// more; compressed, less.
const UNITS: usize = 2_000_000;
const SAMPLES: usize = 1_600_000;

/// The facts of all models, as JSON, and their arrays; of images with their shape.
pub fn facts(
    engine: &mut Engine,
    about: &Report<'_>,
    shape: Option<Shape>,
) -> Result<(Value, Arrays)> {
    let models = about.models;
    let first = &models[0];
    // Images are not read one after another.
    let context = if about.names.is_some() && shape.is_none() { about.context } else { 0 };
    let count: usize = models.iter().map(|model| model.net.settings().encoder_layers()).sum();
    let options = Options {
        labels: about.labels,
        units: about.units,
        bytes: UNITS / count,
        images: shape.is_some(),
        context,
    };
    let mut layers: Vec<Vec<Layer>> = Vec::new();
    for model in models {
        let encoder = 0..model.net.settings().encoder_layers();
        let of_model = encoder.map(|layer| Layer::of(engine, model, layer, options));
        layers.push(of_model.collect::<Result<_>>()?);
    }
    let all: Vec<&Layer> = layers.iter().flatten().rev().collect();
    let chosen = samples::chosen(first, &all, SAMPLES / models.len());
    let mut arrays = Arrays::default();
    arrays.u32("chosen", &chosen.iter().map(|&sample| sample as u32).collect::<Vec<_>>());
    let numbers = about.numbers.unwrap_or_default();
    if numbers.iter().enumerate().any(|(at, &number)| at != number) {
        let numbers: Vec<u32> = numbers.iter().map(|&number| number as u32).collect();
        arrays.u32("numbers", &numbers);
    }
    if let Some(labels) = about.labels {
        arrays.u8("labels", &chosen.iter().map(|&sample| labels[sample]).collect::<Vec<_>>());
    }
    let mut list = Vec::new();
    for (m, (model, layers)) in models.iter().zip(&layers).enumerate() {
        let mut value = model.json();
        let name = format!("m{m}");
        let more = of_model(
            engine,
            (model, layers, shape.is_some()),
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
        "features": about.features, "lines": about.features.and_then(|_| lines(first)),
        "first": samples::FIRST.min(chosen.len()), "models": list,
    });
    if let Some(names) = about.label_names {
        facts["label_names"] = json!(names);
    }
    Ok((facts, arrays))
}

/// Of each feature the number in the data that 0 stands for, and how much more 1 is; null for a scaling of each sample
/// by itself.
fn lines(model: &Model) -> Option<Value> {
    let scaling = model.samples.scaling();
    let mut zeros = vec![0.0; model.samples.features()];
    let mut ones = vec![1.0; zeros.len()];
    scaling.unscale(&mut zeros).ok()?;
    scaling.unscale(&mut ones).ok()?;
    let steps: Vec<f32> = ones.iter().zip(&zeros).map(|(one, zero)| one - zero).collect();
    Some(json!({"zero": zeros, "step": steps}))
}

/// The shape of a model's samples, if they are images: it is given, they have one ([`Shape::of`]), or are squares of
/// numbers from 0 to 1, of at least 8 x 8. (Activations may be 1024 numbers, too.)
pub fn shape_of(model: &Model, given: Option<Shape>) -> Result<Option<Shape>> {
    const LOOKED_AT: usize = 16;
    let Model { net, samples, .. } = model;
    let shape = given.or_else(|| Shape::of(samples, net));
    let square = square(samples.features()).filter(|shape| shape.rows >= MIN_SIDE);
    let (None, Some(square)) = (shape, square) else { return Ok(shape) };
    let mut values = vec![0.0; samples.features()];
    for sample in 0..samples.len().min(LOOKED_AT) {
        samples.gather(sample, &mut values)?;
        if !values.iter().all(|value| (0.0..=1.0).contains(value)) {
            return Ok(None);
        }
    }
    Ok(Some(square))
}

fn of_model(
    engine: &mut Engine,
    (model, layers, images): (&Model, &[Layer], bool),
    (chosen, context): (&[usize], usize),
    (name, arrays): (&str, &mut Arrays),
) -> Result<Value> {
    let settings = model.net.settings();
    let mut list = Vec::new();
    for layer in layers {
        let name = format!("{name}.l{}", layer.layer);
        list.push(layer.add(engine, (model, images), (&name, &mut *arrays))?);
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
