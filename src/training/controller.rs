//! The controller: steers the weights of the sparsity penalties until a layer is as sparse as
//! [`Target`] says.

use sae_kernels::Isa;
use sae_kernels::math::{self, Function};

use crate::compute::Engine;
use crate::network::activity::active_threshold;
use crate::settings::{Measure, Settings, Target};
use crate::training::workspace::Context;

/// Weight of a step's measure in the smoothed one, which so spans some hundred steps.
const SMOOTHING: f64 = 0.02;
/// How much the logarithm of the factor changes over all steps while the measure is off by a factor e.
const GAIN: f64 = 30.0;
/// Within this distance, as a logarithm, the measure is near the target; where it stays so on one
/// side, the factor changes ever faster: by e to `ACCELERATION` over all steps, up to `MAX_SPEED`
/// times.
const NEAR: f64 = 0.3;
const ACCELERATION: f64 = 4.0;
const MAX_SPEED: f64 = 10.0;
/// The last share of the steps, over which the factor is averaged before it is frozen.
const AVERAGED: f64 = 0.25;
/// Bound of the logarithm of the factor.
const MAX_LOG: f64 = 25.0;

/// A function of one number by the scalar kernels: a C library's bits differ between systems.
fn of(function: Function, x: f64) -> f64 {
    let isa = Isa::forced("scalar").unwrap_or_else(|_| Isa::detect());
    let mut number = [x as f32];
    math::map(isa, function, &mut number);
    f64::from(number[0])
}

/// The target, unless it is frozen after `step` steps.
fn target(settings: &Settings, step: u64) -> Option<Target> {
    settings.target.filter(|target| step < target.steps)
}

/// Whether a layer's mean activation is steered after `step` steps.
pub(crate) fn steers_mean(settings: &Settings, step: u64, l: usize) -> bool {
    target(settings, step)
        .is_some_and(|target| target.layer == l && target.of == Measure::MeanActivation)
}

/// The layer whose L0 is steered after `step` steps, and the |a| above which its units are active.
pub(crate) fn steers_active(settings: &Settings, step: u64) -> Option<(usize, f32)> {
    match target(settings, step)? {
        Target { layer, of: Measure::L0, .. } => Some((layer, active_threshold(settings, layer))),
        _ => None,
    }
}

/// How many activations are further from 0 than a threshold.
pub(crate) fn count_active(engine: &mut Engine, activations: &[f32], threshold: f32) -> f64 {
    engine.sum(activations.len(), |block| {
        activations[block].iter().filter(|a| a.abs() > threshold).count() as f64
    })
}

/// Measures the layer after a step, and changes the factor of all sparsity penalties.
///
/// An integrating controller of logarithms: the factor grows while the layer is more active than the
/// target and shrinks while it is less, by the ratio. It is slow against the network's response, so
/// that it does not oscillate, and gains speed where the layer hardly responds. The mean over its last
/// quarter is frozen.
pub(crate) fn control(cx: &mut Context) {
    let Some(Target { layer, of: measure, value, steps }) = cx.net.settings.target else { return };
    let (step, first) = (cx.state.step, cx.net.settings.sparsity_warm_up + 1);
    if step > steps || step < first {
        return;
    }
    let observed = cx.observed();
    let measured = match measure {
        Measure::MeanActivation => {
            observed.l1(&cx.net.settings, layer) / observed.means[layer].len() as f64
        }
        Measure::L0 => observed.sums.steered_active / observed.samples as f64,
    };
    let control = &mut cx.state.control;
    let weight = if step == first { 1.0 } else { SMOOTHING };
    control.smoothed += weight * (measured - control.smoothed);
    // An inactive layer counts as off by a factor e.
    let off = of(Function::Ln, (control.smoothed / value).max(1e-6)).clamp(-1.0, 1.0);
    if off * control.speed < 0.0 {
        control.speed = 1f64.copysign(off);
    } else if off.abs() < NEAR {
        control.speed *= 1.0 + ACCELERATION / steps as f64;
        control.speed = control.speed.clamp(-MAX_SPEED, MAX_SPEED);
    }
    control.log_factor += off * control.speed.abs() * (GAIN / steps as f64).min(0.05);
    control.log_factor = control.log_factor.clamp(-MAX_LOG, MAX_LOG);
    let averaged = ((steps as f64 * AVERAGED) as u64).max(1);
    if step + averaged > steps {
        control.sum += control.log_factor;
    }
    if step == steps {
        control.log_factor = control.sum / averaged as f64;
    }
    cx.net.penalty_factor = of(Function::Exp, control.log_factor);
}
