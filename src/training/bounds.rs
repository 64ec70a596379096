//! Bounds on a step's gradients, known before its first update.
//!
//! A fused update changes weights before the last gradient is known, so nothing may overflow in it:
//! each layer's gradient g is bounded beforehand by what the forward pass has summed up.
//!
//! With n samples, a the activations below a layer, w its weights and d its delta:
//! |g| <= n max|a| max|d| + lambda max|w|, and the delta below is at most outputs max|w| max|d| plus the
//! penalties', for no activation is steeper than 1. The output layer's delta is at most its scale times
//! the root of its largest sum of squared errors. Such a bound is many times too high, and still far
//! below what overflows: only data of some 1e9 or more exceed it, and then the gradient is computed
//! as a whole and its own largest number decides. (A skip connection has the output layer's delta and the
//! input for a.)

use sae_kernels::{Activation, Loss};

use crate::compute::Engine;
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::{Layer, end};
use crate::settings::{Code, Optimizer, Settings};
use crate::training::penalized::largest_of;
use crate::training::workspace::{Context, activations_of};

/// The largest gradient that an update takes without overflow: of its square in Adam, of the velocity
/// and the change of a weight with momentum.
pub(crate) fn largest_gradient(settings: &Settings) -> f64 {
    // A quarter, for roundings.
    let max = f64::from(f32::MAX) / 4.0;
    match settings.optimizer {
        Optimizer::Momentum { momentum } => {
            max * (1.0 - momentum) / settings.learning_rate.max(1.0)
        }
        _ => (max / (1.0 - settings.beta2).max(f64::from(f32::EPSILON))).sqrt(),
    }
}

/// Whether the bound on some gradient of this rank is beyond what an update takes; after the forward
/// pass, from this rank's sums.
pub(crate) fn may_overflow(cx: &mut Context) -> bool {
    let Context { engine, net, work, .. } = cx;
    let settings = &net.settings;
    let seen = if work.corrupted.is_empty() { &work.batch } else { &work.corrupted };
    let largest_seen = engine.largest_magnitude(seen);
    let (n, layers) = (work.samples as f64, &work.layers);
    let all = layers.iter().copied().chain(work.skip);
    work.largest_weights.measure(engine, all, &net.parameters);
    let (limit, share) = (largest_gradient(settings), (n, work.penalty_factor));
    let exceeds = |input: f32, delta: f64, weight: f32, growth: f64| {
        let weight = f64::from(weight);
        let sum = n * f64::from(input) * delta;
        let gradient = (sum + settings.lambda * weight) * growth;
        !(gradient <= limit && weight <= limit)
    };
    let of_prefixes = work.prefixes.as_ref().map_or(0.0, |prefixes| prefixes.largest_loss);
    let mut delta =
        largest_output_delta(net, n, work.losses.iter().copied().fold(of_prefixes, f32::max));
    if work.skip.is_some()
        && exceeds(largest_seen, delta, work.largest_weights.of(layers.len()).get(), 1.0)
    {
        return true;
    }
    delta += work.dead_units.largest.delta;
    for index in (0..layers.len()).rev() {
        let weight = work.largest_weights.of(index).get();
        let input = match index.checked_sub(1) {
            None => largest_seen,
            Some(below) => {
                let all = activations_of(settings, below, &work.activations, &work.units);
                largest_activation(engine, settings, &work.sums.activations[below], all, below)
            }
        };
        // (An auxiliary loss is of the only hidden layer.)
        let input = if index > 0 { input.max(work.dead_units.largest.activation) } else { input };
        if exceeds(input.max(1.0), delta, weight, growth(settings, index)) {
            return true;
        }
        if let Some(below) = index.checked_sub(1) {
            delta *= layers[index].outputs as f64 * f64::from(weight);
            if settings.is_gated(below) && threshold_gradient(net, layers, share, delta) > limit {
                return true;
            }
            delta += largest_penalty(net, share, below) + work.dead_units.largest.code_gradient;
            delta += largest_of(&work.activation_penalties, below);
        }
    }
    false
}

/// How many times larger a layer's largest gradient may be without the components along rows of weights:
/// no number of what is left of a row is larger than the row's length.
fn growth(settings: &Settings, layer: usize) -> f64 {
    if settings.has_unit_rows(layer) { (settings.layers[layer + 1] as f64).sqrt() } else { 1.0 }
}

/// The largest gradient that an update may see, from this one's largest.
pub(crate) fn largest_seen(cx: &mut Context) -> f64 {
    let Context { engine, net, work, .. } = cx;
    let largest = f64::from(engine.largest_magnitude(&work.gradient));
    largest * growth(&net.settings, net.settings.encoder_layers())
}

/// Of the output layer's delta, from the largest sum of a feature's losses.
fn largest_output_delta(net: &Autoencoder, n: f64, largest_loss: f32) -> f64 {
    let settings = &net.settings;
    let features = settings.layers[settings.layers.len() - 1] as f64;
    let terms = n * features * net.loss_divisor();
    let scale = settings.loss.gradient_factor() / terms;
    match settings.loss {
        // Activation and feature are in [0, 1].
        Loss::CrossEntropy => scale,
        _ => scale * f64::from(largest_loss).sqrt(),
    }
}

/// Of a hidden layer's activations, or of their sums over the batch, which bound those without sign.
fn largest_activation(
    engine: &mut Engine,
    settings: &Settings,
    sums: &[f32],
    activations: &[f32],
    layer: usize,
) -> f32 {
    match settings.activation_of(layer) {
        Activation::Sigmoid | Activation::Tanh | Activation::SaturatingLinear => 1.0,
        Activation::Relu => sums.iter().copied().fold(0.0, f32::max),
        _ => engine.largest_magnitude(activations),
    }
}

/// Of a JumpReLU's thresholds as parameters, from the gradient of the code's activations.
fn threshold_gradient(
    net: &Autoencoder,
    layers: &[Layer],
    (n, factor): (f64, f64),
    gradient: f64,
) -> f64 {
    let Code::JumpRelu { l0, bandwidth, .. } = net.settings.code else { return 0.0 };
    let (scale, thresholds) = net.parameters[end(layers)..].split_last().expect("a scale");
    // From no active unit to all of them.
    let all = net.settings.code_units() as f64;
    let slope = [0.0, all].map(|active| net.settings.l0_penalty.slope(active).abs());
    let slope = slope[0].max(slope[1]);
    let threshold = f64::from(scale * thresholds.iter().copied().fold(0.0, f32::max));
    (n * threshold * gradient + factor * l0 * slope) / bandwidth
}

/// Of what the penalties add to the gradient of a hidden layer's activations.
fn largest_penalty(net: &Autoencoder, (n, factor): (f64, f64), layer: usize) -> f64 {
    /// Of KL's derivative: rho_hat is clamped to this distance from 0 and 1.
    const KL: f64 = 1e6;
    let settings = &net.settings;
    let mut weights = settings.penalty_of(layer).map_or(0.0, |p| KL * p.beta + p.l1);
    if let Code::JumpRelu { l0, .. } = settings.code
        && settings.is_gated(layer)
    {
        let scale = settings.tanh_scale(*net.parameters.last().expect("a scale"));
        weights += l0 * f64::from(scale.unwrap_or(0.0));
    }
    factor * weights / n
}
