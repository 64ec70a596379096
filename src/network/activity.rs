//! How active hidden layers are.

use sae_kernels::Activation;

use crate::settings::Settings;

/// The |a| above which a unit of a hidden layer counts as active: 0 where the layer has exact
/// zeros (ReLU, saturating linear, sparse codes), 0.1 elsewhere.
pub(crate) fn active_threshold(settings: &Settings, layer: usize) -> f32 {
    let exact =
        matches!(settings.activation_of(layer), Activation::Relu | Activation::SaturatingLinear);
    if exact || settings.is_gated(layer) { 0.0 } else { 0.1 }
}

/// A layer's mean activation, from those of its units.
pub(crate) fn mean_activation(units: &[f32]) -> f64 {
    units.iter().map(|&a| f64::from(a)).sum::<f64>() / units.len() as f64
}
