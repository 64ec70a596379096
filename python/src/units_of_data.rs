//! Reconstructions in the units of the data, as the command writes them; only those of bytes stay divided by 255.

use sae::{Autoencoder, Result, Samples, Scaling};

/// Whether numbers of the data are others than those that the network gives.
pub fn is_scaled(net: &Autoencoder) -> bool {
    !matches!(scaling(net), Scaling::AsIs | Scaling::Byte)
}

/// The scaling of what the network gives.
fn scaling(net: &Autoencoder) -> Scaling {
    net.target_scaling().unwrap_or_else(|| net.scaling())
}

/// Brings reconstructions of samples, `[samples, outputs]`, into the units of the data. Predictions of targets
/// that layer-norm has scaled, each by itself, stay as they are.
pub fn unscale(net: &Autoencoder, samples: &Samples, values: &mut [f32]) -> Result<()> {
    if net.target_scaling().is_some() {
        return unscale_codes(net, values);
    }
    if !is_scaled(net) || samples.is_empty() {
        return Ok(());
    }
    let mut rows = values.chunks_exact_mut(samples.features()).enumerate();
    rows.try_for_each(|(sample, row)| samples.unscale(sample, row))
}

/// The same of reconstructions of codes, whose samples are not known: what layer-norm has scaled stays as it is.
pub fn unscale_codes(net: &Autoencoder, values: &mut [f32]) -> Result<()> {
    let outputs = net.settings().layers.last().copied().unwrap_or_default();
    let scaling = scaling(net);
    if !is_scaled(net) || scaling == Scaling::LayerNorm || outputs == 0 {
        return Ok(());
    }
    values.chunks_exact_mut(outputs).try_for_each(|row| scaling.unscale(row))
}
