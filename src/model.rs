//! Model files: safetensors, with the settings and the scaling as metadata.
//!
//! The tensors are `f32` and named as in the state dict of a PyTorch module whose `encoder` and
//! `decoder` are `nn.Sequential`s of `nn.Linear`s at the even positions and activations at the odd
//! ones: `encoder.0.weight`, `encoder.0.bias`, `encoder.2.weight`, ..., `decoder.0.weight`, ...
//! A weight is `[outputs, inputs]`, as `nn.Linear` has it: the transpose of what
//! [`Autoencoder::weights`] gives. The metadata has one key, `sae`, whose value is JSON:
//! `{"version": 1, "settings": {...}, "scaling": ...}`.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::autoencoder::Autoencoder;
use crate::error::{Error, Result};
use crate::files;
use crate::network::layout;
use crate::samples::Scaling;
use crate::settings::Settings;

const KEY: &str = "sae";
const VERSION: u64 = 1;

/// The format's own bound on its header.
const MAX_HEADER: u64 = 100_000_000;

#[derive(Serialize, Deserialize)]
struct Description {
    version: u64,
    settings: Settings,
    scaling: Scaling,
}

/// Read before all else: another version may have other fields.
#[derive(Deserialize)]
struct Version {
    version: u64,
}

/// Name of a layer's tensors without `.weight` or `.bias`.
fn layer_name(layer: usize, encoder_layers: usize) -> String {
    match layer.checked_sub(encoder_layers) {
        None => format!("encoder.{}", 2 * layer),
        Some(layer) => format!("decoder.{}", 2 * layer),
    }
}

impl Autoencoder {
    /// Writes a model file. Until it is whole on the disk, a file of that name stays as it was.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = self.to_bytes(path)?;
        files::replace(path, |path| fs::write(path, bytes).map_err(|e| Error::io("write", path, e)))
    }

    fn to_bytes(&self, path: &Path) -> Result<Vec<u8>> {
        let mut tensors: Vec<(String, [usize; 2], Vec<u8>)> = Vec::new();
        for (l, layer) in self.layers().into_iter().enumerate() {
            let name = layer_name(l, self.settings.encoder_layers());
            let weights = &self.parameters[layer.weights()];
            let mut transposed = Vec::with_capacity(4 * weights.len());
            for unit in 0..layer.outputs {
                for input in 0..layer.inputs {
                    transposed.extend(weights[input * layer.outputs + unit].to_le_bytes());
                }
            }
            let biases = &self.parameters[layer.biases()];
            let biases = biases.iter().flat_map(|bias| bias.to_le_bytes()).collect();
            tensors.push((format!("{name}.weight"), [layer.outputs, layer.inputs], transposed));
            tensors.push((format!("{name}.bias"), [layer.outputs, 0], biases));
        }
        let wrong = |e: &dyn std::fmt::Display| Error::format(path, None, e.to_string());
        let mut views = Vec::with_capacity(tensors.len());
        for (name, shape, bytes) in &tensors {
            let rank = if shape[1] == 0 { 1 } else { 2 };
            let view = TensorView::new(Dtype::F32, shape[..rank].to_vec(), bytes);
            views.push((name.as_str(), view.map_err(|e| wrong(&e))?));
        }
        let description = Description {
            version: VERSION,
            settings: self.settings.clone(),
            scaling: self.scaling,
        };
        let json = serde_json::to_string(&description).map_err(|e| wrong(&e))?;
        let metadata = [(KEY.to_owned(), json)].into();
        safetensors::serialize(views, Some(metadata)).map_err(|e| wrong(&e))
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] if it is no model file, is of another
    /// version, or its settings, tensors or numbers make no sense.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(path, &read_file(path, "a model file")?)
    }

    fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let wrong = |problem: String| Error::format(path, None, problem);
        let damaged = |e| wrong(format!("not a whole safetensors file: {e}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let json = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let json = json.ok_or_else(|| {
            wrong(format!("no metadata '{KEY}'; a model file written by sae was expected"))
        })?;
        let bad = |e: serde_json::Error| wrong(format!("metadata '{KEY}': {e}"));
        let Version { version } = serde_json::from_str(json).map_err(bad)?;
        if version != VERSION {
            return Err(wrong(format!(
                "model file of version {version}; this program knows version {VERSION}"
            )));
        }
        let Description { settings, scaling, .. } = serde_json::from_str(json).map_err(bad)?;
        settings.validate().map_err(|e| wrong(format!("metadata '{KEY}': {e}")))?;
        if !scaling.is_finite() {
            return Err(wrong(format!("metadata '{KEY}': scaling is not of finite numbers")));
        }

        // The header's numbers decide no allocation: each tensor is there, of the right shape,
        // before its place is made.
        let mut parameters = Vec::new();
        let sizes = settings.layers.windows(2);
        for (l, pair) in sizes.enumerate() {
            let name = layer_name(l, settings.encoder_layers());
            let (inputs, outputs) = (pair[0], pair[1]);
            let weights = tensor(&tensors, &format!("{name}.weight"), &[outputs, inputs]);
            let weights = weights.map_err(wrong)?;
            let biases = tensor(&tensors, &format!("{name}.bias"), &[outputs]).map_err(wrong)?;
            for input in 0..inputs {
                let column = weights[input..].iter().step_by(inputs);
                parameters.extend(column.map(|&bytes| f32::from_le_bytes(bytes)));
            }
            parameters.extend(biases.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        }
        let expected = 2 * (settings.layers.len() - 1);
        let layer = |name: &&str| name.starts_with("encoder.") || name.starts_with("decoder.");
        let count = tensors.names().iter().filter(|name| layer(name)).count();
        if count != expected {
            return Err(wrong(format!(
                "{count} tensors of the encoder and decoder; the settings' layers take {expected}"
            )));
        }
        if let Some(at) = parameters.iter().position(|value: &f32| !value.is_finite()) {
            let layers = layout(&settings.layers);
            let l = layers.iter().take_while(|layer| layer.biases().end <= at).count();
            let name = layer_name(l, settings.encoder_layers());
            return Err(wrong(format!(
                "{name} has the number {}; finite ones were expected",
                parameters[at]
            )));
        }
        Ok(Autoencoder { settings, scaling, parameters })
    }
}

/// A tensor's numbers, little-endian.
fn tensor<'a>(
    tensors: &SafeTensors<'a>,
    name: &str,
    shape: &[usize],
) -> std::result::Result<&'a [[u8; 4]], String> {
    let Ok(found) = tensors.tensor(name) else {
        return Err(format!("tensor '{name}', {shape:?}, is missing"));
    };
    if found.dtype() != Dtype::F32 {
        return Err(format!("tensor '{name}' is {:?}; F32 was expected", found.dtype()));
    }
    if found.shape() != shape {
        return Err(format!("tensor '{name}' is {:?}; {shape:?} was expected", found.shape()));
    }
    Ok(found.data().as_chunks().0)
}

/// Reads a safetensors file whole once its first bytes can be one's, so that a great file of
/// another kind is refused at once.
pub(crate) fn read_file(path: &Path, expected: &str) -> Result<Vec<u8>> {
    if path.is_dir() {
        return Err(Error::format(
            path,
            None,
            format!("this is a folder, {expected} was expected"),
        ));
    }
    let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let metadata = file.metadata().map_err(|e| Error::io("look at", path, e))?;
    if !metadata.is_file() {
        return Err(Error::format(
            path,
            None,
            format!("not a regular file, {expected} was expected"),
        ));
    }
    let mut bytes = Vec::new();
    let start = (&mut file).take(9).read_to_end(&mut bytes);
    start.map_err(|e| Error::io("read", path, e))?;
    let problem = match (bytes.first_chunk(), bytes.get(8)) {
        (Some(&length), Some(b'{')) => {
            let length = u64::from_le_bytes(length);
            if length > MAX_HEADER {
                format!("not {expected}: its header's length makes no sense")
            } else if length + 8 > metadata.len() {
                format!("the header takes {length} bytes, which the file does not have")
            } else {
                String::new()
            }
        }
        _ if bytes.is_empty() => format!("the file is empty, {expected} was expected"),
        _ if bytes.starts_with(&[0, 0]) => {
            format!("not {expected} (safetensors); this looks like an IDX file")
        }
        _ => format!("not {expected} (safetensors)"),
    };
    if !problem.is_empty() {
        return Err(Error::format(path, None, problem));
    }
    file.read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Autoencoder {
        let mut settings = Settings { layers: vec![6, 5, 2, 5, 6], ..Settings::default() };
        // Not every decimal of these survives a careless way through text.
        (settings.rho, settings.lambda, settings.seed) = (0.1 + 0.2, 1e-5 / 3.0, u64::MAX);
        let scaling = Scaling::MinMax { min: -0.1, max: 1.0 / 3.0 };
        Autoencoder::new(settings, scaling).unwrap()
    }

    fn refused(bytes: &[u8]) -> String {
        Autoencoder::from_bytes(Path::new("m"), bytes).unwrap_err().to_string()
    }

    /// The bytes with a piece of the header's text replaced, the header's length kept right.
    fn edited(from: &str, to: &str) -> Vec<u8> {
        let bytes = small().to_bytes(Path::new("m")).unwrap();
        let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
        assert!(header.contains(from), "{header}");
        let mut header = header.replace(from, to);
        while !header.len().is_multiple_of(8) {
            header.push(' ');
        }
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &bytes[8 + (bytes.len() - 8 - data_len())..]].concat()
    }

    fn data_len() -> usize {
        4 * small().parameters.len()
    }

    #[test]
    fn a_round_trip_keeps_every_bit() {
        let net = small();
        let bytes = net.to_bytes(Path::new("m")).unwrap();
        let again = Autoencoder::from_bytes(Path::new("m"), &bytes).unwrap();
        assert_eq!(net, again);
        assert_eq!(bytes, again.to_bytes(Path::new("m")).unwrap());
    }

    #[test]
    fn names_and_shapes_are_those_of_pytorch() {
        let net = small();
        let bytes = net.to_bytes(Path::new("m")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        for (name, shape) in [
            ("encoder.0.weight", &[5, 6][..]),
            ("encoder.0.bias", &[5]),
            ("encoder.2.weight", &[2, 5]),
            ("encoder.2.bias", &[2]),
            ("decoder.0.weight", &[5, 2]),
            ("decoder.0.bias", &[5]),
            ("decoder.2.weight", &[6, 5]),
            ("decoder.2.bias", &[6]),
        ] {
            assert_eq!(tensors.tensor(name).unwrap().shape(), shape, "{name}");
        }
        assert_eq!(tensors.len(), 8);
        // Unit 3's weight of input 4.
        let weights = tensors.tensor("encoder.0.weight").unwrap().data().as_chunks().0;
        assert_eq!(f32::from_le_bytes(weights[3 * 6 + 4]), net.weights(0)[4 * 5 + 3]);
    }

    #[test]
    fn every_cut_is_refused() {
        let bytes = small().to_bytes(Path::new("m")).unwrap();
        for end in 0..bytes.len() {
            refused(&bytes[..end]);
        }
        let longer = [&bytes[..], &[0]].concat();
        refused(&longer);
    }

    #[test]
    fn every_damage_has_its_sentence() {
        for (from, to, sentence) in [
            (r#"\"version\":1"#, r#"\"version\":2"#, "version 2; this program knows version 1"),
            (r#"\"version\":1"#, r#"\"version\":-1"#, "metadata 'sae'"),
            (r#"\"version\""#, r#"\"edition\""#, "missing field `version`"),
            (r#""sae":"#, r#""seal":"#, "no metadata 'sae'"),
            (r#"\"layers\":[6,5,2,5,6]"#, r#"\"layers\":[]"#, "layers: 0 sizes"),
            (r#"[6,5,2,5,6]"#, r#"[6,5,2,5,7]"#, "differ"),
            (r#"[6,5,2,5,6]"#, r#"[6,5,3,5,6]"#, "'encoder.2.weight' is [2, 5]; [3, 5]"),
            (r#"[6,5,2,5,6]"#, r#"[6,5,16777216,5,6]"#, "'encoder.2.weight' is [2, 5]"),
            (r#"[6,5,2,5,6]"#, r#"[6,5,2,2,2,5,6]"#, "is missing"),
            (r#"\"sigmoid\""#, r#"\"sine\""#, "'sine' is not one of"),
            (r#"\"batch\":60"#, r#"\"batch\":0"#, "batch: 0 samples"),
            (r#"\"batch\":60"#, r#"\"batch\":1e999"#, "metadata 'sae'"),
            (r#"\"min\":-0.1"#, r#"\"min\":1e60"#, "metadata 'sae'"),
            (r#"decoder.2.bias"#, r#"decoder.4.bias"#, "'decoder.2.bias', [6], is missing"),
            (r#""F32","shape":[6]"#, r#""I32","shape":[6]"#, "is I32; F32"),
            (r#""shape":[6,5]"#, r#""shape":[5,6]"#, "'decoder.2.weight' is [5, 6]; [6, 5]"),
            (r#""shape":[6,5]"#, r#""shape":[6,6]"#, "not a whole safetensors file"),
        ] {
            let problem = refused(&edited(from, to));
            assert!(problem.contains(sentence), "{to}: {problem}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let mut net = small();
        let place = net.layers()[2].biases().end - 1;
        net.parameters_mut()[place] = f32::NAN;
        let problem = refused(&net.to_bytes(Path::new("m")).unwrap());
        assert!(problem.contains("decoder.0 has the number NaN"), "{problem}");
    }
}
