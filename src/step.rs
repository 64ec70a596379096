//! One training step, from the batch to the updated weights.
//!
//! Shapes: the batch is `[n, d]`; layer l has weights `[in, out]`, activations and delta
//! `[n, out]`. Where phases follow each other, the threads meet between them.

use std::sync::Mutex;

use sae_kernels::{Activation, Adam, Matrix, MatrixMut, Parts, Penalty, adam_sweep, sparsity};

use crate::autoencoder::Autoencoder;
use crate::control;
use crate::corruption::corrupt;
use crate::engine::{Engine, forward};
use crate::error::{Error, Result};
use crate::gate::Use;
use crate::network::{end, normalise_rows};
use crate::phases::{Hidden, LayerSink, backward_phase, output_phase, view};
use crate::samples::Samples;
use crate::settings::{Code, Corruption, LayerPenalty, Settings};
use crate::update;
use crate::workspace::{State, Workspace};

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

/// Gathers the batch's samples, rows divided among the threads.
pub(crate) fn gather(engine: &mut Engine, samples: &Samples, work: &mut Workspace) -> Result<()> {
    let (n, d) = (work.rows.len(), samples.features());
    let division = engine.divide(n, 8 * d);
    let rows = &work.rows;
    let parts = Parts::rows(MatrixMut::new(&mut work.batch, n, d), division);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    engine.team.run(division.parts(), |part, _| {
        let mut batch = parts.take(part);
        let rows = &rows[division.range(part)];
        for (row, &sample) in rows.iter().enumerate() {
            // Samples lie anywhere in the file: the next ones are on their way meanwhile.
            if let Some(&later) = rows.get(row + 4) {
                samples.prefetch(later as usize);
            }
            if let Err(error) = samples.gather(sample as usize, batch.row_mut(row)) {
                failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).replace(error);
            }
        }
    });
    failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
}

/// Trains on the batch in `work.batch`.
pub(crate) fn step(
    engine: &mut Engine,
    net: &mut Autoencoder,
    state: &mut State,
    work: &mut Workspace,
    skip_zeros: bool,
) -> Result<StepReport> {
    if net.settings.wants_gradient() {
        let report = gradient(engine, net, state, work, skip_zeros)?;
        take_step(engine, net, state, work);
        return Ok(report);
    }
    let report = forward_pass(engine, net, state, work, skip_zeros)?;
    state.step += 1;
    let adam = update::adam(&net.settings, net.settings.lambda, state.step);
    let State { first, second, .. } = state;
    backward_pass(engine, net, work, skip_zeros, Sink::Adam { adam, first, second });
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
        normalise_rows(&code, &mut net.parameters);
    }
    control::observe(net, state, work);
}

/// The gradient of the batch in `work.batch`, to `work.gradient`; the weight decay's is in it.
pub(crate) fn gradient(
    engine: &mut Engine,
    net: &mut Autoencoder,
    state: &mut State,
    work: &mut Workspace,
    skip_zeros: bool,
) -> Result<StepReport> {
    let report = forward_pass(engine, net, state, work, skip_zeros)?;
    backward_pass(engine, net, work, skip_zeros, Sink::Gradient);
    update::complete(engine.isa, net, work);
    Ok(report)
}

/// From the batch to the output layer's delta.
fn forward_pass(
    engine: &mut Engine,
    net: &mut Autoencoder,
    state: &mut State,
    work: &mut Workspace,
    skip_zeros: bool,
) -> Result<StepReport> {
    let Autoencoder { settings, parameters, penalty_factor, .. } = net;
    let n = settings.batch;
    let last = work.layers.len() - 1;
    if settings.corruption != Corruption::None {
        corrupt(engine, settings, state.step, &work.batch, &mut work.corrupted);
    }
    let Workspace { layers, activations, deltas, rho_hat, penalties, gate, .. } = work;
    let batch = Matrix::new(&work.batch, n, layers[0].inputs);
    let seen = input(settings, &work.batch, &work.corrupted);

    // Forward through the hidden layers, with the mean activation of each unit.
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
            let kept = gate.close(engine, gate_parameters, Use::Training, &mut rest[0], sums);
            if let Some(smallest) = kept {
                let old = if state.step == 0 { smallest } else { gate_parameters[0] };
                gate_parameters[0] = 0.99 * old + 0.01 * smallest;
            }
        }
        sparsity::mean(engine.isa, n, &mut rho_hat[l]);
    }

    // The KL penalty needs rho_hat over the whole batch, and then is like a bias.
    let mut report = StepReport::default();
    for l in 0..last {
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
            let weight = (*penalty_factor * beta / n as f64) as f32;
            sparsity::kl_gradient(engine.isa, rho as f32, weight, means, &mut penalties[l]);
            let sparsity = sparsity::kl_value(engine.isa, rho as f32, means);
            report.sparsity += sparsity;
            report.penalty += *penalty_factor * beta * sparsity;
        }
        if l1 > 0.0 {
            let value = l1_per_sample(settings.activation_of(l), &rho_hat[l], &activations[l], n);
            report.l1 += value;
            report.penalty += *penalty_factor * l1 * value;
        }
    }
    if let Code::JumpRelu { l0, .. } = settings.code {
        report.l0 = active(&activations[settings.encoder_layers() - 1], 0.0) as f64 / n as f64;
        report.penalty += *penalty_factor * l0 * report.l0;
    }

    // The output layer: reconstruction, its error and its delta.
    let layer = layers[last];
    output_phase(
        engine,
        Matrix::new(&activations[last - 1], n, layer.inputs),
        skip_zeros && settings.has_zeros(last),
        view(settings, parameters, last, layer),
        settings.loss,
        batch,
        MatrixMut::new(&mut deltas[last], n, layer.outputs),
        &mut work.losses,
        &mut work.bias_gradients[last],
    );
    let losses: f64 = work.losses.iter().map(|&loss| f64::from(loss)).sum();
    report.loss = losses / (n as f64 * layer.outputs as f64);
    if (report.loss + report.penalty).is_finite() {
        Ok(report)
    } else {
        Err(Error::Diverged { step: state.step + 1 })
    }
}

/// What the network sees of the batch.
fn input<'a>(settings: &Settings, batch: &'a [f32], corrupted: &'a [f32]) -> Matrix<'a> {
    let seen = if settings.corruption == Corruption::None { batch } else { corrupted };
    Matrix::new(seen, settings.batch, settings.layers[0])
}

/// The sum of |a| over a layer's units, a mean over samples.
pub(crate) fn l1_per_sample(
    activation: Activation,
    rho_hat: &[f32],
    activations: &[f32],
    n: usize,
) -> f64 {
    if activation.is_signed() {
        return sparsity::l1_value(activations) / n as f64;
    }
    rho_hat.iter().map(|&mean| f64::from(mean)).sum()
}

/// How many activations are further from 0 than a threshold.
pub(crate) fn active(activations: &[f32], threshold: f32) -> usize {
    activations.iter().filter(|a| a.abs() > threshold).count()
}

/// Where a layer's gradient goes.
enum Sink<'a> {
    /// To Adam while it is in the second cache, and nowhere else.
    Adam { adam: Adam, first: &'a mut [f32], second: &'a mut [f32] },
    /// To the workspace.
    Gradient,
}

/// From the output layer's delta to the gradients: each layer hands its delta on before its weights
/// change.
fn backward_pass(
    engine: &mut Engine,
    net: &mut Autoencoder,
    work: &mut Workspace,
    skip_zeros: bool,
    mut sink: Sink<'_>,
) {
    let Autoencoder { settings, parameters, penalty_factor, .. } = net;
    let Workspace { layers, activations, deltas, penalties, bias_gradients, gate, .. } = work;
    let n = settings.batch;
    let seen = input(settings, &work.batch, &work.corrupted);
    for l in (0..layers.len()).rev() {
        let layer = layers[l];
        let (below, delta) = deltas.split_at_mut(l);
        let delta = Matrix::new(&delta[0], n, layer.outputs);
        let input = if l == 0 { seen } else { Matrix::new(&activations[l - 1], n, layer.inputs) };
        let (weights, biases) = layer.split_mut(parameters);
        let whole = |flat| MatrixMut::new(flat, layer.inputs, layer.outputs);
        let weights = whole(weights);
        let gradient = match &mut sink {
            Sink::Adam { adam, first, second } => {
                let (first, first_biases) = layer.split_mut(first);
                let (second, second_biases) = layer.split_mut(second);
                let unpenalised = adam.without_weight_decay();
                let gradient = &bias_gradients[l];
                adam_sweep(engine.isa, &unpenalised, biases, first_biases, second_biases, gradient);
                LayerSink::Adam { adam, weights, moments: [first, second].map(whole) }
            }
            Sink::Gradient => {
                let (gradient, of_biases) = layer.split_mut(&mut work.gradient);
                of_biases.copy_from_slice(&bias_gradients[l]);
                LayerSink::Gradient { weights, gradient: whole(gradient) }
            }
        };
        let gated = l > 0 && settings.is_gated(l - 1);
        let penalty = l.checked_sub(1).and_then(|below| settings.penalty_of(below));
        let penalty =
            penalty.map_or(Penalty::default(), |LayerPenalty { layer, beta, l1, .. }| {
                let units = (beta > 0.0).then_some(&*penalties[layer]);
                Penalty { units, l1: (*penalty_factor * l1 / n as f64) as f32 }
            });
        let hidden = (l > 0).then(|| {
            bias_gradients[l - 1].fill(0.0);
            let (activation, penalty) = match gated {
                // The gate's part comes after.
                true => (Activation::Linear, Penalty::default()),
                false => (settings.activation_of(l - 1), penalty),
            };
            Hidden {
                activation,
                penalty,
                delta: MatrixMut::new(&mut below[l - 1], n, layer.inputs),
                bias_gradient: &mut bias_gradients[l - 1],
            }
        });
        let skip = skip_zeros && settings.has_zeros(l);
        backward_phase(engine, delta, input, skip, hidden, gradient);
        if gated {
            bias_gradients[l - 1].fill(0.0);
            gate.backward(
                engine,
                *penalty_factor,
                settings.activation_of(l - 1),
                &activations[l - 1],
                penalty,
                &mut below[l - 1],
                &mut bias_gradients[l - 1],
            );
        }
    }
    // JumpReLU's thresholds.
    let learned = gate.threshold_gradient.len();
    let range = end(layers)..end(layers) + learned;
    match sink {
        Sink::Adam { adam, first, second } => {
            let [w, m, v] = [parameters, first, second].map(|flat| &mut flat[range.clone()]);
            let unpenalised = adam.without_weight_decay();
            adam_sweep(engine.isa, &unpenalised, w, m, v, &gate.threshold_gradient);
        }
        Sink::Gradient => {
            work.gradient[range.start..].fill(0.0);
            work.gradient[range].copy_from_slice(&gate.threshold_gradient);
        }
    }
}
