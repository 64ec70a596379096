//! Model files: safetensors, with the settings and the scaling as metadata.
//!
//! The tensors are `f32` and named as in the state dict of a PyTorch module whose `encoder` and
//! `decoder` are `nn.Sequential`s of `nn.Linear`s at the even positions and activations at the odd
//! ones: `encoder.0.weight`, `encoder.0.bias`, `encoder.2.weight`, ..., `decoder.0.weight`, ...
//! A weight is `[outputs, inputs]`, as `nn.Linear` has it: the transpose of what
//! [`Autoencoder::weights`] gives. A gated code adds `code.relative_threshold` (JumpReLU: of
//! each unit, as multiples of the one number `code.scale`) or `code.threshold` (batch-top-k: one
//! number). A scaling for each feature adds the `F64` tensors `scaling.min` and `scaling.max`, or
//! `scaling.mean` and `scaling.deviation`, of as many numbers. The metadata has one key, `sae`, whose
//! value is JSON: `{"version": 3, "settings": {...}, "scaling": ..., "penalty_factor": 1.0, "data": ...}`;
//! lists of a scaling for each feature are empty there. `variance`, of the loss FVU alone, is that of the training
//! data. A transcoder has `target_scaling`, too, with tensors
//! `target_scaling.min` and so on, and with a skip connection `skip.weight`, `[outputs, inputs]`. `data`, which may be left out, has the number of
//! samples and features of the training data, a checksum of 64 samples, which samples were held out, and, of
//! samples of several dimensions, their `shape`.
//! `notes`, which may be left out, has texts by name that are kept with the model.
//! Versions 1 and 2 are read, too: their settings have choices as objects (`{"top-k": 20}`), the
//! scaling's numbers are of `f32`, and version 1 has no gates, fewer settings and no `penalty_factor`.
//! In version 2 a JumpReLU has `code.log_threshold`: the logarithms of thresholds of scale 1.

use std::collections::BTreeMap;
use std::path::Path;

use sae_kernels::math::{self, Function};
use sae_kernels::{Isa, Loss};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::data::TrainingData;
use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::files::atomic;
use crate::files::tensors::{Header, not_finite, of_other_file, read_file};
use crate::network::autoencoder::{Autoencoder, check_scaling};
use crate::network::ends::{check_target_scaling, check_targets};
use crate::network::layers::{Layer, end, layout, skip_layer};
use crate::settings::{Code, Settings, json};

pub(crate) const KEY: &str = "sae";
const VERSION: u64 = 3;
pub(crate) const SKIP: &str = "skip.weight";
/// Before the names of the constants of the targets' scaling.
const TARGETS: &str = "target_";
/// Bytes of all notes together, with their names.
const MAX_NOTES: usize = 1 << 14;

/// The JSON of a model file.
#[derive(Serialize, Deserialize)]
struct Description {
    version: u64,
    settings: Settings,
    scaling: Scaling,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_scaling: Option<Scaling>,
    #[serde(default = "no_change")]
    penalty_factor: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variance: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<TrainingData>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    notes: BTreeMap<String, String>,
}

/// The penalty factor where there is none.
fn no_change() -> f64 {
    1.0
}

/// What the JSON of every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// Names and lengths of the tensors of the code's thresholds, in the order of the parameters.
fn gate_tensors(settings: &Settings) -> Vec<(&'static str, usize)> {
    match settings.code {
        Code::Dense | Code::TopK(_) => Vec::new(),
        Code::BatchTopK(_) => vec![("code.threshold", 1)],
        Code::JumpRelu { .. } => {
            vec![("code.relative_threshold", settings.code_units()), ("code.scale", 1)]
        }
    }
}

/// The parameters of a JumpReLU that an older version has: logarithms of thresholds.
pub(crate) fn from_logarithms(logarithms: impl IntoIterator<Item = f32>) -> Vec<f32> {
    let mut parameters: Vec<f32> = logarithms.into_iter().collect();
    // The scalar instruction set on any machine, for the same bits.
    let isa = Isa::forced("scalar").unwrap_or_else(|_| Isa::detect());
    math::map(isa, Function::Exp, &mut parameters);
    parameters.push(1.0);
    parameters
}

/// Name of the tensors of a layer, without `.weight` or `.bias`.
pub(crate) fn layer_name(layer: usize, encoder_layers: usize) -> String {
    match layer.checked_sub(encoder_layers) {
        None => format!("encoder.{}", 2 * layer),
        Some(layer) => format!("decoder.{}", 2 * layer),
    }
}

/// Names and numbers of the constants for each feature of a scaling, and of that of targets.
pub(crate) fn constants(scalings: [Option<&Scaling>; 2]) -> Vec<(String, &[f64])> {
    let mut constants = Vec::new();
    for (prefix, scaling) in ["", TARGETS].into_iter().zip(scalings) {
        let Some(scaling) = scaling else { continue };
        let (first, second) = scaling.constants();
        for (name, numbers) in scaling.constant_names().iter().zip([first, second]) {
            constants.push((format!("{prefix}{name}"), numbers));
        }
    }
    constants
}

/// The scaling of targets with its constants from a file, if the network has such targets.
pub(crate) fn target_scaling_of(
    header: &Header,
    bytes: &[u8],
    scaling: Option<Scaling>,
    settings: &Settings,
) -> std::result::Result<Option<Scaling>, String> {
    let Some(scaling) = scaling else { return Ok(None) };
    let features = settings.layers[settings.layers.len() - 1];
    let scaling = header.scaling(bytes, (TARGETS, &scaling), features)?;
    scaling.check_finite().map_err(|problem| format!("targets: {problem}"))?;
    Ok(Some(scaling))
}

/// The bytes of numbers in a file.
pub(crate) fn little_endian(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl Autoencoder {
    /// Writes a model file, atomically: an older file is valid until the new one is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written; [`Error::Format`] if a parameter is not finite,
    /// so that the file could not be loaded.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = self.bytes().map_err(|problem| Error::format(path, None, problem))?;
        atomic::write(path, &bytes)
    }

    /// The bytes of a model file of it.
    ///
    /// # Errors
    /// [`Error::Shape`] if a parameter is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.bytes().map_err(Error::Shape)
    }

    fn bytes(&self) -> std::result::Result<Vec<u8>, String> {
        check_finite(&self.settings, &self.parameters)?;
        check_scaling(&self.scaling, &self.settings)?;
        check_target_scaling(self.target_scaling.as_ref(), &self.settings)?;
        check_notes(&self.notes)?;
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        if let Some(skip) = skip_layer(&self.settings) {
            let weights = self.transposed_weights(skip);
            tensors.push((SKIP.to_owned(), vec![skip.outputs, skip.inputs], weights));
        }
        for (l, layer) in self.layers().into_iter().enumerate() {
            let name = layer_name(l, self.settings.encoder_layers());
            let weights = self.transposed_weights(layer);
            let biases = little_endian(&self.parameters[layer.biases()]);
            tensors.push((format!("{name}.weight"), vec![layer.outputs, layer.inputs], weights));
            tensors.push((format!("{name}.bias"), vec![layer.outputs], biases));
        }
        let mut rest = &self.parameters[end(&self.layers())..];
        for (name, length) in gate_tensors(&self.settings) {
            let (numbers, others) = rest.split_at(length);
            tensors.push((name.to_owned(), vec![length], little_endian(numbers)));
            rest = others;
        }
        let layers = tensors.len();
        let scalings = [Some(&self.scaling), self.target_scaling.as_ref()];
        for (name, numbers) in constants(scalings) {
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            tensors.push((name, vec![numbers.len()], bytes));
        }
        let views = tensors.iter().enumerate().map(|(at, (name, shape, bytes))| {
            let dtype = if at < layers { Dtype::F32 } else { Dtype::F64 };
            TensorView::new(dtype, shape.clone(), bytes).map(|view| (name, view))
        });
        let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        let of_targets = self.target_scaling.as_ref().map(Scaling::without_constants);
        let description = self.description(self.scaling.without_constants(), of_targets);
        let metadata = [(KEY.to_owned(), description)].into_iter().collect();
        safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())
    }

    /// The bytes of a layer's weights, `[outputs, inputs]`.
    pub(crate) fn transposed_weights(&self, layer: Layer) -> Vec<u8> {
        let weights = &self.parameters[layer.weights()];
        if layer.by_unit {
            return little_endian(weights);
        }
        let mut transposed = Vec::with_capacity(4 * weights.len());
        for unit in 0..layer.outputs {
            for input in 0..layer.inputs {
                transposed.extend(weights[input * layer.outputs + unit].to_le_bytes());
            }
        }
        transposed
    }

    /// The JSON that describes it, with all constants of the scaling.
    #[cfg(feature = "onnx")]
    pub(crate) fn metadata(&self) -> String {
        self.description(self.scaling.clone(), self.target_scaling.clone())
    }

    fn description(&self, scaling: Scaling, target_scaling: Option<Scaling>) -> String {
        let description = Description {
            version: VERSION,
            settings: self.settings.clone(),
            scaling,
            target_scaling,
            penalty_factor: self.penalty_factor,
            variance: self.variance,
            data: self.training_data.clone(),
            notes: self.notes.clone(),
        };
        serde_json::to_string(&description).expect("maps of strings, and numbers")
    }

    /// Texts that the model file keeps beside the model, by name; a training that begins with the model starts
    /// without them. `training` is that of a [`Course`](crate::files::Course).
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// The texts that the model file keeps, to change them; all together 16 KiB at most.
    pub fn notes_mut(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.notes
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] if it is not a model file, is of a
    /// later version, or its settings, tensors or numbers are invalid.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(path, &read_file(path, "a model file")?)
    }

    /// Reads the bytes of a model file; `path` is for errors.
    ///
    /// # Errors
    /// [`Error::Format`], as for [`Autoencoder::load`].
    pub fn from_bytes(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let path = path.as_ref();
        let wrong = |problem: String| Error::format(path, None, problem);
        let damaged = |problem| wrong(format!("not a whole safetensors file: {problem}"));
        let header = Header::read(bytes).map_err(damaged)?;
        let json = header.text(KEY).ok_or_else(|| wrong(of_other_file(&header)))?;
        let bad = |problem: String| wrong(format!("metadata '{KEY}': {problem}"));
        // Before all else: another version may have other fields.
        let Versioned { version } = json::parse(json.as_bytes()).map_err(bad)?;
        if !(1..=VERSION).contains(&version) {
            return Err(wrong(format!(
                "model file of version {version}; this program knows versions 1 to {VERSION}"
            )));
        }
        let description: Description = json::parse(json.as_bytes()).map_err(bad)?;
        description.check().map_err(bad)?;
        let Description {
            settings,
            scaling,
            target_scaling,
            penalty_factor,
            variance,
            data,
            notes,
            ..
        } = description;
        let scaling = header.scaling(bytes, ("", &scaling), settings.layers[0]).map_err(wrong)?;
        let target_scaling = target_scaling_of(&header, bytes, target_scaling, &settings);
        let target_scaling = target_scaling.map_err(wrong)?;
        let scaling = if version < 3 { scaling.rounded() } else { scaling };
        scaling.check_finite().map_err(bad)?;
        let parameters = parameters(&settings, &header, bytes).map_err(wrong)?;
        Ok(Autoencoder {
            settings,
            scaling,
            target_scaling,
            parameters,
            penalty_factor,
            variance,
            training_data: data,
            notes,
        })
    }
}

impl Description {
    /// Fails unless its values are valid.
    fn check(&self) -> std::result::Result<(), String> {
        self.settings.validate().map_err(|e| e.to_string())?;
        let checked = check_targets(&self.settings, self.target_scaling.is_some());
        checked.map_err(|e| e.to_string())?;
        if self.penalty_factor < 0.0 {
            return Err(format!("penalty_factor is {}", self.penalty_factor));
        }
        check_variance(&self.settings, self.variance)?;
        check_notes(&self.notes)?;
        match &self.data {
            Some(data) => data.check(self.settings.layers[0]),
            None => Ok(()),
        }
    }
}

/// Fails if the notes are longer than a file may have.
fn check_notes(notes: &BTreeMap<String, String>) -> std::result::Result<(), String> {
    let length: usize = notes.iter().map(|(name, text)| name.len() + text.len()).sum();
    if length > MAX_NOTES {
        return Err(format!("notes: {length} bytes; expected {MAX_NOTES} at most"));
    }
    Ok(())
}

/// Fails if no training could have this variance.
pub(crate) fn check_variance(
    settings: &Settings,
    variance: Option<f64>,
) -> std::result::Result<(), String> {
    match variance {
        Some(variance) if settings.loss != Loss::Fvu => {
            Err(format!("variance {variance}, and the loss is {}", settings.loss.name()))
        }
        Some(variance) if !(variance > 0.0 && variance.is_finite()) => {
            Err(format!("variance is {variance}"))
        }
        _ => Ok(()),
    }
}

/// Reads the parameters of a network of these settings.
fn parameters(
    settings: &Settings,
    header: &Header,
    bytes: &[u8],
) -> std::result::Result<Vec<f32>, String> {
    let numbers = |name: &str, shape: &[usize]| header.numbers(bytes, name, Dtype::F32, shape);
    let number = |&bytes: &[u8; 4]| f32::from_le_bytes(bytes);
    // The settings' sizes decide no allocation: each tensor is there, of the right shape, before
    // its numbers are copied.
    let mut parameters = Vec::new();
    if let Some(skip) = skip_layer(settings) {
        let weights = numbers(SKIP, &[skip.outputs, skip.inputs])?;
        for input in 0..skip.inputs {
            parameters.extend(weights[input..].iter().step_by(skip.inputs).map(number));
        }
    }
    for (l, pair) in settings.layers.windows(2).enumerate() {
        let name = layer_name(l, settings.encoder_layers());
        let (inputs, outputs) = (pair[0], pair[1]);
        let weights = numbers(&format!("{name}.weight"), &[outputs, inputs])?;
        let biases = numbers(&format!("{name}.bias"), &[outputs])?;
        if settings.is_gated(l) {
            parameters.extend(weights.iter().map(number));
        } else {
            for input in 0..inputs {
                parameters.extend(weights[input..].iter().step_by(inputs).map(number));
            }
        }
        parameters.extend(biases.iter().map(number));
    }
    const LOGARITHMS: &str = "code.log_threshold";
    match settings.code {
        Code::JumpRelu { .. } if header.range(LOGARITHMS).is_some() => {
            let logarithms = numbers(LOGARITHMS, &[settings.code_units()])?;
            parameters.extend(from_logarithms(logarithms.iter().map(number)));
        }
        _ => {
            for (name, length) in gate_tensors(settings) {
                parameters.extend(numbers(name, &[length])?.iter().map(number));
            }
        }
    }
    let expected = 2 * (settings.layers.len() - 1);
    let layer = |name: &&String| name.starts_with("encoder.") || name.starts_with("decoder.");
    let count = header.names().iter().filter(layer).count();
    if count != expected {
        return Err(format!(
            "{count} tensors of the encoder and decoder; the settings' layers take {expected}"
        ));
    }
    check_finite(settings, &parameters)?;
    Ok(parameters)
}

/// Fails if a parameter is not finite.
fn check_finite(settings: &Settings, parameters: &[f32]) -> std::result::Result<(), String> {
    let Some((at, number)) = not_finite(parameters) else { return Ok(()) };
    let layers = layout(settings);
    let l = layers.iter().take_while(|layer| layer.biases().end <= at).count();
    let name = match gate_tensors(settings).first() {
        Some((name, _)) if l == layers.len() => (*name).to_owned(),
        _ if at < settings.skip_parameters() => SKIP.to_owned(),
        _ => layer_name(l, settings.encoder_layers()),
    };
    Err(format!("{name} has the number {number}; a model file has finite ones only"))
}

#[cfg(test)]
mod tests;
