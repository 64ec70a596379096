//! Models to files of other libraries, and back.

use std::path::Path;

use sae::Autoencoder;
use sae::files::exchange::{Format, Metadata, export};
use serde_json::{Value, json};

use super::formats::Kind;
use crate::failure::Result;
use crate::output::counted;

/// Writes a network as a model or for another library. Returns what it is in a line of text, and as JSON.
pub fn write(
    net: &Autoencoder,
    kind: Kind,
    to: &Path,
    metadata: &Metadata,
) -> Result<(String, Value)> {
    let format = match kind {
        Kind::SaeLens => Some(Format::SaeLens),
        Kind::Sparsify => Some(Format::Sparsify),
        Kind::GemmaScope => Some(Format::GemmaScope),
        _ => None,
    };
    match format {
        Some(format) => export(net, format, to, metadata)?,
        None => net.save(to)?,
    }
    let settings = net.settings();
    let name = format.map_or("model", Format::name);
    let (features, units) = (settings.layers[0], settings.code_units());
    let (outputs, code) = (settings.layers.last().copied(), settings.code.to_string());
    let mut value = json!({"kind": name, "features": features, "units": units, "code": code});
    let transcodes = match outputs.filter(|_| net.target_scaling().is_some()) {
        Some(outputs) => {
            value["outputs"] = json!(outputs);
            format!("transcoder to {outputs} of ")
        }
        None => String::new(),
    };
    let to = to.display();
    Ok((
        format!(
            "{name}, {transcodes}{} and {}, code {code}: {to}",
            counted(features, "feature"),
            counted(units, "unit")
        ),
        value,
    ))
}
