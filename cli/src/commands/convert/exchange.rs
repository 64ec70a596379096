//! Models to files of other libraries, and back.

use sae::files::exchange::{Format, Metadata, export};
use serde_json::json;

use super::formats::Kind;
use super::{Args, Done};
use crate::failure::Result;
use crate::models;

/// Writes a model, or a dictionary of another library, as a model or for another library.
pub fn write(args: &Args, kind: Kind) -> Result<Done> {
    let mut net = models::load(&args.from)?;
    if args.fold_scaling {
        net = net.fold_scaling()?;
    }
    let to = &args.to;
    let format = match kind {
        Kind::SaeLens => Some(Format::SaeLens),
        Kind::Sparsify => Some(Format::Sparsify),
        Kind::GemmaScope => Some(Format::GemmaScope),
        _ => None,
    };
    match format {
        Some(format) => {
            let (model_name, hook_name) = (args.model_name.clone(), args.hook_name.clone());
            export(&net, format, to, &Metadata { model_name, hook_name })?;
        }
        None => net.save(to)?,
    }
    let settings = net.settings();
    let name = format.map_or("model", Format::name);
    let (features, units) = (settings.layers[0], settings.code_units());
    Ok(Done {
        text: format!(
            "{name}, {features} features and {units} units, code {}: {}",
            settings.code,
            to.display()
        ),
        value: json!({
            "kind": name,
            "features": features,
            "units": units,
            "code": settings.code.to_string(),
        }),
    })
}
