//! One training step, from the batch to the updated weights.
//!
//! Shapes: the batch is `[n, d]`; layer l has weights `[in, out]`, activations and delta
//! `[n, out]`. Where phases follow each other, the threads meet between them.

use std::mem;
use std::ops::Range;

use sae_kernels::{Activation, Matrix, MatrixMut, Penalty, Rule, sparsity};

use crate::compute::{Engine, forward};
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::codes::Use;
use crate::network::layers::{Layer, end, normalize_rows, view};
use crate::ranks::{Ranks, lock};
use crate::settings::{Code, Corruption, LayerPenalty, Settings};
use crate::training::backward::{Hidden, LayerSink, backward_phase, output_phase};
use crate::training::controller;
use crate::training::corruption::corrupt;
use crate::training::gradient::Gradient;
use crate::training::group::Group;
use crate::training::update;
use crate::training::workspace::{BatchSums, State, Workspace};

/// The objective's terms over a batch, as a step meets them (before its update).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// The data term.
    pub loss: f64,
    /// S, the sum of KL over the units of the layers that bear it; 0 where none does.
    pub sparsity: f64,
    /// The sum of |a| over the units of the layers that bear the L1 penalty, a mean over samples.
    pub l1: f64,
    /// Units of a JumpReLU's code that are not 0, a mean over samples.
    pub l0: f64,
    /// All sparsity penalties, with their weights.
    pub penalty: f64,
}

/// Trains on the batch in `work.batch`, which is a part of the group's.
pub(crate) fn step(
    engine: &mut Engine,
    net: &mut Autoencoder,
    state: &mut State,
    work: &mut Workspace,
    mut group: Option<&mut Group>,
    skip_zeros: bool,
) -> Result<StepReport> {
    if net.settings.wants_gradient() {
        let report = gradient(engine, net, state, work, group, skip_zeros)?;
        take_step(engine, net, state, work);
        return Ok(report);
    }
    let report = forward_pass(engine, net, state, work, group.as_deref_mut(), skip_zeros)?;
    state.step += 1;
    if let Some(group) = group {
        group.overlapped(end(&work.layers), |gradient| {
            backward_pass(engine, net, work, skip_zeros, &mut Sink::Gradient(gradient));
            while let Some((start, sum)) = gradient.next_sum() {
                update::apply_piece(engine, net, state, &work.layers, start, sum);
            }
        });
    } else {
        let rule = update::rule(&net.settings, net.settings.lambda, state.step);
        let State { first, second, .. } = state;
        backward_pass(engine, net, work, skip_zeros, &mut Sink::Update { rule, first, second });
    }
    finish_step(net, state, work);
    Ok(report)
}

/// The optimizer's step with the gradient in `work.gradient`.
pub(crate) fn take_step(
    engine: &mut Engine,
    net: &mut Autoencoder,
    state: &mut State,
    work: &mut Workspace,
) {
    state.step += 1;
    update::apply(engine, net, state, work);
    finish_step(net, state, work);
}

/// What comes after the optimizer.
fn finish_step(net: &mut Autoencoder, state: &mut State, work: &Workspace) {
    if net.settings.unit_norm {
        let code = work.layers[net.settings.encoder_layers()];
        normalize_rows(&code, &mut net.parameters);
    }
    controller::observe(net, state, work);
}

/// The gradient of the batch in `work.batch`, or of the group's, to `work.gradient`; the weight decay's
/// is in it.
pub(crate) fn gradient(
    engine: &mut Engine,
    net: &mut Autoencoder,
    state: &mut State,
    work: &mut Workspace,
    mut group: Option<&mut Group>,
    skip_zeros: bool,
) -> Result<StepReport> {
    let report = forward_pass(engine, net, state, work, group.as_deref_mut(), skip_zeros)?;
    let layers_end = end(&work.layers);
    let mut all = mem::take(&mut work.gradient);
    if let Some(group) = group {
        group.overlapped(layers_end, |gradient| {
            backward_pass(engine, net, work, skip_zeros, &mut Sink::Gradient(gradient));
            while gradient.next_sum().is_some() {}
        });
        group.swap_gradient(&mut all);
    } else {
        let mut gradient = Gradient::new(&mut all, layers_end);
        backward_pass(engine, net, work, skip_zeros, &mut Sink::Gradient(&mut gradient));
    }
    work.gradient = all;
    update::complete(engine.isa, net, work);
    Ok(report)
}

/// From the batch to the output layer's delta, and the objective's terms.
fn forward_pass(
    engine: &mut Engine,
    net: &mut Autoencoder,
    state: &mut State,
    work: &mut Workspace,
    group: Option<&mut Group>,
    skip_zeros: bool,
) -> Result<StepReport> {
    let Autoencoder { settings, parameters, .. } = net;
    let n = work.part.len();
    let last = work.layers.len() - 1;
    if settings.corruption != Corruption::None {
        let (first, batch, corrupted) = (work.part.start, &work.batch, &mut work.corrupted);
        corrupt(engine, settings, state.step, first, batch, corrupted);
    }
    let Workspace { layers, activations, deltas, rho_hat, gate, .. } = work;
    let batch = Matrix::new(&work.batch, n, layers[0].inputs);
    let seen = input(settings, &work.batch, &work.corrupted);

    // Forward through the hidden layers, with the sum of the activations of each unit.
    let mut smallest_kept = None;
    for l in 0..last {
        let layer = layers[l];
        let (before, rest) = activations.split_at_mut(l);
        let input = before.last().map_or(seen, |a| Matrix::new(a, n, layer.inputs));
        rho_hat[l].fill(0.0);
        let output = MatrixMut::new(&mut rest[0], n, layer.outputs);
        let view = view(settings, parameters, l, layer);
        forward(engine, input, skip_zeros && settings.has_zeros(l), view, output, &mut rho_hat[l]);
        if settings.is_gated(l) {
            let gate_parameters = &mut parameters[end(layers)..];
            let sums = &mut rho_hat[l];
            let mut ranks = group.as_ref().map(|group| lock(&group.ranks));
            let usage = Use::Training(ranks.as_mut().map(|ranks| &mut ***ranks as &mut dyn Ranks));
            smallest_kept = gate.close(engine, gate_parameters, usage, &mut rest[0], sums);
        }
    }

    // The output layer: reconstruction, its error and its delta.
    let layer = layers[last];
    output_phase(
        engine,
        Matrix::new(&activations[last - 1], n, layer.inputs),
        skip_zeros && settings.has_zeros(last),
        view(settings, parameters, last, layer),
        settings.loss,
        settings.batch,
        batch,
        MatrixMut::new(&mut deltas[last], n, layer.outputs),
        &mut work.losses,
        &mut work.bias_gradients[last],
    );

    // Sums over the batch.
    work.sums.loss = work.losses.iter().map(|&loss| f64::from(loss)).sum();
    if let Code::JumpRelu { .. } = settings.code {
        work.sums.jumps = active(&activations[settings.encoder_layers() - 1], 0.0) as f64;
    }
    for (l, (sum, activations)) in work.sums.magnitudes.iter_mut().zip(&*activations).enumerate() {
        let penalised = settings.penalty_of(l).is_some_and(|penalty| penalty.l1 > 0.0);
        let asked = penalised || controller::steers_mean(settings, state.step, l);
        if asked && settings.activation_of(l).is_signed() {
            *sum = sparsity::l1_value(activations);
        }
    }
    work.sums.active = controller::active_units(settings, state.step, activations);
    if let Some(group) = group {
        group.share(rho_hat, &mut work.sums)?;
    }
    if let Some(smallest) = smallest_kept {
        let threshold = &mut parameters[end(layers)];
        let old = if state.step == 0 { smallest } else { *threshold };
        *threshold = 0.99 * old + 0.01 * smallest;
    }
    for means in rho_hat {
        sparsity::mean(engine.isa, settings.batch, means);
    }
    objective(engine, net, state, work)
}

/// The objective's terms, of sums over the batch, and the gradient of the KL penalty. That needs
/// rho_hat over the whole batch, and then is like a bias.
fn objective(
    engine: &Engine,
    net: &Autoencoder,
    state: &mut State,
    work: &mut Workspace,
) -> Result<StepReport> {
    let Autoencoder { settings, penalty_factor, .. } = net;
    let Workspace { layers, rho_hat, penalties, sums, .. } = work;
    let n = settings.batch as f64;
    let mut report = StepReport::default();
    for l in 0..layers.len() - 1 {
        let Some(LayerPenalty { rho, beta, l1, .. }) = settings.penalty_of(l) else { continue };
        if beta > 0.0 {
            let mut means = &rho_hat[l];
            let running = &mut state.running_means[l];
            if !running.is_empty() {
                let kept = if state.step == 0 { 0.0 } else { settings.rho_momentum as f32 };
                for (running, mean) in running.iter_mut().zip(means) {
                    *running = kept * *running + (1.0 - kept) * mean;
                }
                means = running;
            }
            let weight = (*penalty_factor * beta / n) as f32;
            sparsity::kl_gradient(engine.isa, rho as f32, weight, means, &mut penalties[l]);
            let sparsity = sparsity::kl_value(engine.isa, rho as f32, means);
            report.sparsity += sparsity;
            report.penalty += *penalty_factor * beta * sparsity;
        }
        if l1 > 0.0 {
            let value = l1_per_sample(settings, l, &rho_hat[l], sums);
            report.l1 += value;
            report.penalty += *penalty_factor * l1 * value;
        }
    }
    if let Code::JumpRelu { l0, .. } = settings.code {
        report.l0 = sums.jumps / n;
        report.penalty += *penalty_factor * l0 * report.l0;
    }
    let features = layers[layers.len() - 1].outputs as f64;
    report.loss = sums.loss / (n * features);
    if (report.loss + report.penalty).is_finite() {
        Ok(report)
    } else {
        Err(Error::Diverged { step: state.step + 1 })
    }
}

/// What the network sees of the batch.
fn input<'a>(settings: &Settings, batch: &'a [f32], corrupted: &'a [f32]) -> Matrix<'a> {
    let seen = if settings.corruption == Corruption::None { batch } else { corrupted };
    let features = settings.layers[0];
    Matrix::new(seen, seen.len() / features, features)
}

/// The sum of |a| over a layer's units, a mean over the batch.
pub(crate) fn l1_per_sample(
    settings: &Settings,
    l: usize,
    rho_hat: &[f32],
    sums: &BatchSums,
) -> f64 {
    if settings.activation_of(l).is_signed() {
        return sums.magnitudes[l] / settings.batch as f64;
    }
    rho_hat.iter().map(|&mean| f64::from(mean)).sum()
}

/// How many activations are further from 0 than a threshold.
pub(crate) fn active(activations: &[f32], threshold: f32) -> usize {
    activations.iter().filter(|a| a.abs() > threshold).count()
}

/// A layer's penalty, for some of its units.
fn of_units<'a>(penalty: Penalty<'a>, units: &Range<usize>) -> Penalty<'a> {
    Penalty { units: penalty.units.map(|all| &all[units.clone()]), ..penalty }
}

/// Where gradients go.
enum Sink<'a, 'g, 's> {
    /// To the optimizer while it is in the L2 cache, and nowhere else.
    Update { rule: Rule, first: &'a mut [f32], second: &'a mut [f32] },
    /// To memory.
    Gradient(&'a mut Gradient<'g, 's>),
}

impl Sink<'_, '_, '_> {
    /// The last of a layer's first `rows` rows, as many as go at a time: all, but for pieces.
    fn last_rows(&self, layer: Layer, rows: usize) -> Range<usize> {
        match self {
            Sink::Update { .. } => 0..rows,
            Sink::Gradient(gradient) => gradient.last_rows(layer, rows),
        }
    }
}

/// From the output layer's delta to the gradients: each layer hands its delta on before its weights
/// change.
fn backward_pass(
    engine: &mut Engine,
    net: &mut Autoencoder,
    work: &mut Workspace,
    skip_zeros: bool,
    sink: &mut Sink<'_, '_, '_>,
) {
    let Autoencoder { settings, parameters, penalty_factor, .. } = net;
    let Workspace { layers, activations, deltas, penalties, bias_gradients, gate, .. } = work;
    let n = work.part.len();
    let seen = input(settings, &work.batch, &work.corrupted);
    for l in (0..layers.len()).rev() {
        let layer = layers[l];
        let (below, delta) = deltas.split_at_mut(l);
        let delta = Matrix::new(&delta[0], n, layer.outputs);
        let input = if l == 0 { seen } else { Matrix::new(&activations[l - 1], n, layer.inputs) };
        let gated = l > 0 && settings.is_gated(l - 1);
        let penalty = l.checked_sub(1).and_then(|below| settings.penalty_of(below));
        let penalty =
            penalty.map_or(Penalty::default(), |LayerPenalty { layer, beta, l1, .. }| {
                let units = (beta > 0.0).then_some(&*penalties[layer]);
                let l1 = (*penalty_factor * l1 / settings.batch as f64) as f32;
                Penalty { units, l1 }
            });
        let activation = match gated {
            // The gate's part comes after.
            true => Activation::Linear,
            false => settings.activation_of(l.saturating_sub(1)),
        };
        let (biases_below, of_biases) = bias_gradients.split_at_mut(l);
        let of_biases = &of_biases[0];
        let mut below = below.last_mut().zip(biases_below.last_mut());
        if let Some((_, bias_gradient)) = &mut below {
            bias_gradient.fill(0.0);
        }
        let mut rows = layer.inputs;
        while rows > 0 {
            let units = sink.last_rows(layer, rows);
            rows = units.start;
            let hidden = below.as_mut().map(|(delta, bias_gradient)| Hidden {
                activation,
                penalty: if gated { Penalty::default() } else { of_units(penalty, &units) },
                delta: MatrixMut::strided(&mut delta[units.start..], n, units.len(), layer.inputs),
                bias_gradient: &mut bias_gradient[units.clone()],
            });
            let input = input.columns(units.clone());
            let skip = skip_zeros && settings.has_zeros(l);
            let (weights, biases) = layer.split_mut(parameters);
            let of_units = units.start * layer.outputs..units.end * layer.outputs;
            let matrix = |flat| MatrixMut::new(flat, units.len(), layer.outputs);
            let weights = matrix(&mut weights[of_units.clone()]);
            match sink {
                Sink::Update { rule, first, second } => {
                    let (first, first_biases) = layer.split_mut(first);
                    let (second, second_biases) = layer.split_mut(second);
                    let plain = rule.without_weight_decay();
                    let isa = engine.isa;
                    let [w, m, v] = [biases, first_biases, second_biases].map(MatrixMut::from_row);
                    plain.update_rows(isa, w, m, v, Matrix::from_row(of_biases));
                    let moments = [first, second].map(matrix);
                    let to = LayerSink::Update { rule, weights, moments };
                    backward_phase(engine, delta, input, skip, hidden, to);
                }
                Sink::Gradient(gradient) => {
                    let start = layer.start + of_units.start;
                    let piece = gradient.split_off(start);
                    let (of_weights, rest) = piece.split_at_mut(of_units.len());
                    // Biases stand behind the last row.
                    rest.copy_from_slice(&of_biases[..rest.len()]);
                    let to = LayerSink::Gradient { weights, gradient: matrix(of_weights) };
                    backward_phase(engine, delta, input, skip, hidden, to);
                    gradient.done(piece);
                }
            }
        }
        if let Some((delta, bias_gradient)) = below.filter(|_| gated) {
            bias_gradient.fill(0.0);
            gate.backward(
                engine,
                *penalty_factor,
                settings.activation_of(l - 1),
                &activations[l - 1],
                penalty,
                delta,
                bias_gradient,
            );
        }
    }
    let of_gate = &gate.threshold_gradient;
    match sink {
        Sink::Update { rule, first, second } => {
            let range = end(layers)..end(layers) + of_gate.len();
            let all = [&mut parameters[..], first, second];
            let [w, m, v] = all.map(|flat| MatrixMut::from_row(&mut flat[range.clone()]));
            let plain = rule.without_weight_decay();
            plain.update_rows(engine.isa, w, m, v, Matrix::from_row(of_gate));
        }
        Sink::Gradient(gradient) => gradient.finish(of_gate),
    }
}
