//! Steers the weights of the sparsity penalties until a layer is as sparse as wanted.

use sae_kernels::Isa;
use sae_kernels::math::{self, Function};

use crate::analysis::evaluation::active_above;
use crate::compute::Engine;
use crate::settings::{Measure, Settings, Target};
use crate::training::workspace::Context;

/// How much of the smoothed measure a step's is: some hundred steps count.
const NEW: f64 = 0.02;
/// What the logarithm of the factor changes in all steps together while the measure is off by e.
const REACH: f64 = 30.0;
/// Off by less than e to this, it is near the target; where it stays so on one side, the factor
/// changes faster and faster, by e to GAIN in all steps and up to FASTEST times.
const NEAR: f64 = 0.3;
const GAIN: f64 = 4.0;
const FASTEST: f64 = 10.0;
/// Share of the steps, at the end, over whose factors the frozen one is a mean.
const SETTLED: f64 = 0.25;
/// How far the factor goes: e to this.
const FARTHEST: f64 = 25.0;

/// What the controller remembers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "model", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Control {
    /// The measure, smoothed over steps.
    pub smoothed: f64,
    /// Logarithm of the factor.
    pub log_factor: f64,
    /// How many times faster it changes than at first; negative while the measure is too small.
    pub speed: f64,
    /// Sum of `log_factor` over the settled steps.
    pub sum: f64,
}

impl Default for Control {
    fn default() -> Self {
        Control { smoothed: 0.0, log_factor: 0.0, speed: 1.0, sum: 0.0 }
    }
}

/// One number through the scalar kernels: a C library has other bits elsewhere.
fn of(function: Function, x: f64) -> f64 {
    let isa = Isa::forced("scalar").unwrap_or_else(|_| Isa::detect());
    let mut number = [x as f32];
    math::map(isa, function, &mut number);
    f64::from(number[0])
}

/// The target that is steered to in the step after so many.
fn target(settings: &Settings, step: u64) -> Option<Target> {
    settings.target.filter(|target| step < target.steps)
}

/// Whether a layer's mean activation is steered in the step after so many.
pub(crate) fn steers_mean(settings: &Settings, step: u64, l: usize) -> bool {
    target(settings, step)
        .is_some_and(|target| target.layer == l && target.of == Measure::MeanActivation)
}

/// Active units of the layer whose L0 is steered in the step after so many, summed over the samples of
/// these activations.
pub(crate) fn active_units(
    engine: &mut Engine,
    settings: &Settings,
    step: u64,
    activations: &[Vec<f32>],
) -> f64 {
    match target(settings, step) {
        Some(Target { layer, of: Measure::L0, .. }) => {
            count_active(engine, &activations[layer], active_above(settings, layer))
        }
        _ => 0.0,
    }
}

/// How many activations are further from 0 than a threshold.
pub(crate) fn count_active(engine: &mut Engine, activations: &[f32], threshold: f32) -> f64 {
    engine.sum(activations.len(), |block| {
        activations[block].iter().filter(|a| a.abs() > threshold).count() as f64
    })
}

/// After a step: measures, and changes the factor of all sparsity penalties.
///
/// An integrating controller of logarithms: the factor grows while the layer is more active than
/// wanted and shrinks while it is less, by the ratio. It is slow against the network's answer, so
/// that it does not swing, and gains speed where the layer hardly answers; its last quarter is
/// averaged and frozen.
pub(crate) fn control(cx: &mut Context) {
    let Some(Target { layer, of: measure, value, steps }) = cx.net.settings.target else { return };
    let step = cx.state.step;
    if step > steps {
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
    let new = if step == 1 { 1.0 } else { NEW };
    control.smoothed += new * (measured - control.smoothed);
    // A layer that is silent is no further off than one that is less active by e.
    let off = of(Function::Ln, (control.smoothed / value).max(1e-6)).clamp(-1.0, 1.0);
    if off * control.speed < 0.0 {
        control.speed = 1f64.copysign(off);
    } else if off.abs() < NEAR {
        control.speed *= 1.0 + GAIN / steps as f64;
        control.speed = control.speed.clamp(-FASTEST, FASTEST);
    }
    control.log_factor += off * control.speed.abs() * (REACH / steps as f64).min(0.05);
    control.log_factor = control.log_factor.clamp(-FARTHEST, FARTHEST);
    let settled = ((steps as f64 * SETTLED) as u64).max(1);
    if step + settled > steps {
        control.sum += control.log_factor;
    }
    if step == steps {
        control.log_factor = control.sum / settled as f64;
    }
    cx.net.penalty_factor = of(Function::Exp, control.log_factor);
}
