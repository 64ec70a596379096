//! The auxiliary loss of dead units: what they reconstruct of what the others leave over (AuxK, Gao et al.
//! 2024), or how far they are below their thresholds (Conerly et al. 2025).
//!
//! AuxK: with the residual e = x - y, a constant, and e^ = the sum of a_u w_u over some dead units, without
//! the output's biases, the loss is weight |e^ - e|^2 / (n d), less where few units are dead. Its gradients
//! reach these units alone.

use sae_kernels::sparse::code_delta;
use sae_kernels::{Activation, Matrix, Operand, Penalty};

use crate::compute::row_parts;
use crate::network::forward::LayerView;
use crate::settings::Auxiliary;
use crate::training::dead_units::{DeadUnits, Largest};
use crate::training::output::{Output, for_entries, loss_scale};
use crate::training::units::Added;
use crate::training::workspace::{Context, Workspace, input};

/// After the output layer: the auxiliary loss of this rank's samples, and the gradient of what it lists.
pub(crate) fn auxiliary_loss(cx: &mut Context) {
    let Context { engine, net, state, work, .. } = cx;
    let settings = &net.settings;
    let Workspace { layers, activations, batch, corrupted, dead_units, sums, .. } = work;
    sums.auxiliary = 0.0;
    dead_units.find(&state.inactive);
    if !dead_units.is_trained() {
        return;
    }
    let code = settings.encoder_layers() - 1;
    let view = LayerView::new(settings, &net.parameters, code, layers[code]);
    let seen = input(layers[code], activations[..code].last(), batch, corrupted);
    match settings.auxiliary {
        Auxiliary::None => {}
        Auxiliary::AuxK { weight, .. } => {
            dead_units.list(engine, seen, view);
            reconstruct_residual(cx, weight * cx.work.dead_units.share());
        }
        Auxiliary::PreActivation { weight, .. } => {
            // A ReLU would hide how far below 0 they are.
            let activation = match view.activation {
                Activation::Relu => Activation::Linear,
                other => other,
            };
            dead_units.list(engine, seen, LayerView { activation, ..view });
            approach_thresholds(cx, weight);
        }
    }
}

/// AuxK, with this weight.
fn reconstruct_residual(cx: &mut Context, weight: f64) {
    let Context { engine, net, work, .. } = cx;
    let settings = &net.settings;
    let Workspace {
        layers, deltas, dead_units, prefixes, partial_sums, sums, part, samples, ..
    } = work;
    let last = layers.len() - 1;
    let (n, features) = (part.len(), layers[last].outputs);
    let DeadUnits { codes, gradient, residual, sums: of_features, zeros, largest, .. } = dead_units;
    let residual = &mut residual[..n * features];
    let groups = prefixes.as_ref().map_or(1, |prefixes| prefixes.count());
    let scale = loss_scale(net, *samples);
    let (before, delta) = deltas[last].split_at_mut(groups * n * features);
    // The delta of the whole code is scale (y - x), of several prefixes' share.
    let factor = -(groups as f32) / scale;
    let whole = &before[(groups - 1) * n * features..];
    let division = engine.divide(n * features, 2);
    let residuals = row_parts(residual, division);
    engine.pool.run(division.parts(), |part, _| {
        let pairs = residuals.take(part).into_row().iter_mut().zip(&whole[division.range(part)]);
        pairs.for_each(|(residual, delta)| *residual = factor * delta);
    });
    let [losses, biases] = of_features;
    let layer = LayerView::new(settings, &net.parameters, last, layers[last]);
    let output = Output {
        input: Operand::Sparse(codes.lists()),
        layer: LayerView { biases: zeros, ..layer },
        loss: settings.loss,
        target: Matrix::new(residual, n, features),
        scale: (f64::from(scale) * weight) as f32,
    };
    output.run(engine, delta, [losses, biases], partial_sums, Some((codes, &mut gradient[..])));
    let loss: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
    sums.auxiliary = weight * loss / (*samples as f64 * features as f64 * net.loss_divisor());
    let most = losses.iter().copied().fold(0.0, f32::max);
    *largest = Largest {
        delta: f64::from(scale) * weight * f64::from(most).sqrt(),
        activation: codes.largest_activation(),
        code_gradient: 0.0,
    };
    let activation = settings.activation_of(last - 1);
    for_entries(engine, codes, gradient, 1000, |isa, samples, gradient| {
        let lists = codes.lists().slice(samples);
        code_delta(isa, lists, activation, Penalty::default(), gradient);
    });
}

/// The pre-activation loss: weight max(0, threshold - z), summed over the listed units, a mean over samples.
fn approach_thresholds(cx: &mut Context, weight: f64) {
    let Workspace { dead_units, gate, sums, samples, .. } = &mut cx.work;
    let DeadUnits { codes, gradient, largest, .. } = dead_units;
    let weight = weight / *samples as f64;
    let lists = codes.lists();
    let mut distance = 0.0;
    for sample in 0..lists.rows() {
        let (units, activations) = lists.row(sample);
        let gradient = &mut gradient[lists.entries(sample)];
        for ((to, &unit), &z) in gradient.iter_mut().zip(units).zip(activations) {
            let below = gate.thresholds[unit as usize] - z;
            // (A NaN is not left out of the sum.)
            let is_reached = below <= 0.0;
            *to = if is_reached { 0.0 } else { -weight as f32 };
            distance += if is_reached { 0.0 } else { f64::from(below) };
        }
    }
    sums.auxiliary = weight * distance;
    *largest = Largest { code_gradient: weight, ..Largest::default() };
}

/// In the backward pass, after the code's own deltas: adds those of the auxiliary loss to the dead units'
/// lists and to the gradients of their biases, and of their thresholds.
pub(crate) fn add_auxiliary(cx: &mut Context, code: usize) {
    let Workspace {
        dead_units,
        units,
        bias_gradients,
        threshold_gradient,
        gate,
        prefixes,
        part,
        ..
    } = &mut cx.work;
    if !dead_units.is_trained() {
        return;
    }
    let groups = prefixes.as_ref().map_or(1, |prefixes| prefixes.count());
    let has_decoder = matches!(cx.net.settings.auxiliary, Auxiliary::AuxK { .. });
    let added = Added {
        dead: &dead_units.units,
        codes: &dead_units.codes,
        deltas: &dead_units.gradient,
        first_row: has_decoder.then_some(groups * part.len()),
    };
    let biases = &mut bias_gradients[code];
    if has_decoder {
        return units.add(&added, |unit, sum| biases[unit] += sum);
    }
    // A threshold that falls comes as near as a pre-activation that rises.
    let scale = gate.scale;
    units.add(&added, |unit, sum| {
        biases[unit] += sum;
        threshold_gradient[unit] -= scale * sum;
    });
}
