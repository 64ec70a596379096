//! What `sae inspect` says of a checkpoint.

use std::path::Path;

use sae::files::Checkpoint;
use serde_json::json;

use super::facts::{Facts, scaling_json, settings_text};
use crate::failure::Result;
use crate::output::{counted, join, settings_json};

pub fn facts(path: &Path) -> Result<Facts> {
    let checkpoint = Checkpoint::load(path)?;
    let (settings, scaling) = (checkpoint.settings(), checkpoint.scaling());
    let (samples, features) = checkpoint.data();
    let (epoch, position) = checkpoint.epoch();
    let steps = checkpoint.steps();
    let mut text = format!(
        "checkpoint after {}, of a training on {} of {}\n\
         {} whole, and {} of the next\n\
         model {}\n",
        counted(steps as usize, "step"),
        counted(samples, "sample"),
        counted(features, "feature"),
        counted(epoch as usize, "epoch"),
        counted(position, "sample"),
        join(&settings.layers, "-"),
    );
    text += &settings_text(settings, &scaling);
    if let Some(patience) = checkpoint.patience() {
        text += &format!("early stopping after {patience} evaluations without improvement\n");
    }
    text += &format!("sae train --resume --checkpoint {} continues it\n", path.display());
    let value = json!({
        "kind": "checkpoint", "steps": steps, "epoch": epoch, "position": position,
        "samples": samples, "features": features, "patience": checkpoint.patience(),
        "scaling": scaling_json(&scaling), "settings": settings_json(settings),
    });
    Ok(Facts { text, value, images: None })
}
