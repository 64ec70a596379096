//! How active hidden layers are.

use sae_kernels::Activation;

use crate::settings::Settings;

/// The |a| above which a unit of a hidden layer counts as active: `active_above` for sigmoids, which are
/// never 0, and 0 for all others.
pub(crate) fn active_threshold(settings: &Settings, layer: usize) -> f32 {
    let is_sigmoid = settings.activation_of(layer) == Activation::Sigmoid;
    if is_sigmoid && !settings.is_gated(layer) { settings.active_above as f32 } else { 0.0 }
}

/// Whether a unit is dead that had activations from `low` to `high` over a data set.
///
/// With exact zeros, and for sigmoids, a dead unit is one that is never active. Tanh, leaky ReLU and
/// linear units say something by any activation but a constant one.
pub(crate) fn is_dead(settings: &Settings, layer: usize, low: f32, high: f32) -> bool {
    if settings.activation_of(layer).is_signed() && !settings.is_gated(layer) {
        return low == high;
    }
    low.abs().max(high.abs()) <= active_threshold(settings, layer)
}

/// A layer's mean activation, from those of its units.
pub(crate) fn mean_activation(units: &[f32]) -> f64 {
    units.iter().map(|&a| f64::from(a)).sum::<f64>() / units.len() as f64
}
