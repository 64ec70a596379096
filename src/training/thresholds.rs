//! The gradient of a JumpReLU's thresholds.

use sae_kernels::math::{self, Function};
use sae_kernels::sparse::Jump;

use crate::network::gate::Gate;
use crate::settings::Code;
use crate::training::workspace::{Context, Workspace};

/// Computes the gradient of the thresholds of a JumpReLU code from that of its activations, which has no
/// penalties in it yet. Returns what a tanh penalty, if there is one, multiplies activations by and its
/// weight for each.
pub(crate) fn threshold_gradients(cx: &mut Context, layer: usize) -> Option<(f32, f32)> {
    let Context { engine, net, work, .. } = cx;
    let settings = &net.settings;
    let Code::JumpRelu { l0, bandwidth, .. } = settings.code else { return None };
    let Workspace {
        samples,
        deltas,
        gate,
        units,
        threshold_gradient,
        threshold_penalty,
        penalty_factor,
        sums,
        ..
    } = work;
    let Gate { pre, thresholds, scale, .. } = &*gate;
    let gradient = &deltas[layer];
    let n = *samples as f64;
    let slope = settings.l0_penalty.slope(sums.code_active / n);
    let l0 = (*penalty_factor * l0 * slope / n) as f32;
    let jump = Jump { bandwidth: bandwidth as f32 * scale, l0 };
    let tanh = settings.tanh_scale(*scale);
    if let Some(scale) = tanh {
        // At its threshold an activation jumps from no penalty to this one.
        let penalties = threshold_penalty.iter_mut().zip(thresholds);
        penalties.for_each(|(penalty, &threshold)| *penalty = scale * threshold);
        math::map(engine.isa, Function::Tanh, threshold_penalty);
    }
    units.sums(engine, threshold_gradient, |unit, at| {
        let share = threshold_penalty.get(unit).copied().unwrap_or(1.0);
        let jump = Jump { l0: jump.l0 * share, ..jump };
        jump.threshold_gradient(pre[at], thresholds[unit], gradient[at])
    });
    threshold_gradient.iter_mut().for_each(|gradient| *gradient *= scale);
    tanh.map(|scale| (scale, l0))
}
