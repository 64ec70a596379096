//! The forward pass of a training step: activations, losses, the output layer's delta, and this
//! rank's sums. It changes nothing that outlives the step.

use sae_kernels::{Matrix, MatrixMut, OutputDelta, Parts, sparsity};

use crate::compute::{Engine, add_blocks, blocks_of};
use crate::network::codes::{Counts, Selection};
use crate::network::forward::{Input, LayerView, forward as layer_forward};
use crate::network::layers::end;
use crate::settings::{Code, Settings};
use crate::training::bounds::may_overflow;
use crate::training::controller;
use crate::training::corruption::corrupt;
use crate::training::workspace::{Context, Workspace, seen};

/// From the batch in the workspace to the output layer's delta. `counts` are those of a selection
/// over all ranks.
pub(crate) fn forward(cx: &mut Context, counts: &mut dyn Counts) {
    corrupt(cx);
    for index in 0..cx.work.activations.len() {
        hidden_layer(cx, index, counts);
    }
    output_layer(cx);
    sum_up(cx);
    cx.work.sums.may_overflow = f64::from(u8::from(may_overflow(cx)));
}

/// A hidden layer's activations, and the sum of those of each unit.
fn hidden_layer(cx: &mut Context, index: usize, counts: &mut dyn Counts) {
    let Context { engine, net, work, skip_zeros, .. } = cx;
    let (settings, parameters) = (&net.settings, &net.parameters);
    let Workspace { layers, batch, corrupted, activations, sums, gate, partial_sums, .. } = work;
    let layer = layers[index];
    let (below, rest) = activations.split_at_mut(index);
    let (activations, sums) = (&mut rest[0], &mut sums.activations[index]);
    let n = activations.len() / layer.outputs;
    let matrix = match below.last() {
        None => seen(batch, corrupted, layer.inputs),
        Some(below) => Matrix::new(below, n, layer.inputs),
    };
    let input = Input { matrix, skip_zeros: *skip_zeros && settings.has_zeros(index) };
    let view = LayerView::new(settings, parameters, index, layer);
    if !settings.is_gated(index) {
        add_blocks(n, partial_sums, sums, |sums| {
            let output = MatrixMut::new(activations, n, layer.outputs);
            layer_forward(engine, input, view, output, sums);
        });
    } else {
        // The selection sums up what it keeps.
        let output = MatrixMut::new(activations, n, layer.outputs);
        layer_forward(engine, input, view, output, MatrixMut::from_row(sums));
        let thresholds = &parameters[end(layers)..];
        let selection = Selection::Training(counts);
        work.smallest_kept = gate.select(engine, thresholds, selection, activations, sums);
    }
}

/// The output layer's reconstruction, its losses, delta and bias gradient; units divided among the
/// threads.
fn output_layer(cx: &mut Context) {
    let Context { engine, net, work, skip_zeros, .. } = cx;
    let settings = &net.settings;
    let Workspace {
        layers, batch, activations, deltas, losses, bias_gradients, partial_sums, ..
    } = work;
    let last = layers.len() - 1;
    let (inputs, units) = (layers[last].inputs, layers[last].outputs);
    let n = batch.len() / units;
    let input = Matrix::new(&activations[last - 1], n, inputs);
    let target = Matrix::new(batch, n, units);
    let layer = LayerView::new(settings, &net.parameters, last, layers[last]);
    let skip_zeros = *skip_zeros && settings.has_zeros(last);
    // A mean over the whole batch, of which these samples may be a part.
    let scale = (settings.loss.gradient_factor() / (settings.batch as f64 * units as f64)) as f32;
    let division = engine.divide(units, n * inputs);
    let deltas = Parts::columns(MatrixMut::new(&mut deltas[last], n, units), division);
    let Engine { isa, pool, scratch } = engine;
    let mut run = |losses: MatrixMut<'_>, bias_gradients: MatrixMut<'_>| {
        let (losses, bias_gradients) =
            (Parts::columns(losses, division), Parts::columns(bias_gradients, division));
        pool.run(division.parts(), |part, thread| {
            let (layer, target) =
                (layer.units(division.range(part)), target.columns(division.range(part)));
            let (mut delta, mut losses, mut bias_gradients) =
                (deltas.take(part), losses.take(part), bias_gradients.take(part));
            scratch.with(thread, |scratch| {
                for (block, rows) in blocks_of(&losses, n) {
                    let output_delta = OutputDelta {
                        input: input.rows(rows.clone()),
                        skip_zeros,
                        weights: layer.weights,
                        biases: layer.biases,
                        activation: layer.activation,
                        loss: settings.loss,
                        target: target.rows(rows.clone()),
                        scale,
                        delta: delta.rows_mut(rows),
                        losses: losses.row_mut(block),
                        bias_gradient: bias_gradients.row_mut(block),
                    };
                    output_delta.run(*isa, scratch);
                }
            });
        });
    };
    let half = partial_sums.len() / 2;
    let (of_losses, of_biases) = partial_sums.split_at_mut(half);
    add_blocks(n, of_losses, losses, |losses| {
        add_blocks(n, of_biases, &mut bias_gradients[last], |biases| run(losses, biases));
    });
}

/// This rank's sums besides those of activations.
fn sum_up(cx: &mut Context) {
    let Context { engine, net, state, work, .. } = cx;
    let settings = &net.settings;
    let Workspace { sums, activations, losses, .. } = work;
    sums.loss = losses.iter().map(|&loss| f64::from(loss)).sum();
    if let Code::JumpRelu { .. } = settings.code {
        let code = &activations[settings.encoder_layers() - 1];
        sums.code_active = controller::count_active(engine, code, 0.0);
    }
    for (layer, magnitude) in sums.magnitudes.iter_mut().enumerate() {
        if needs_magnitude(settings, state.step, layer) {
            let activations = &activations[layer];
            let sum = |range| sparsity::l1_value(&activations[range]);
            *magnitude = engine.sum(activations.len(), sum);
        }
    }
    sums.steered_active = controller::active_units(engine, settings, state.step, activations);
}

/// Whether the sum of a layer's |a| is needed, and is not that of its activations.
fn needs_magnitude(settings: &Settings, step: u64, layer: usize) -> bool {
    let penalized = settings.penalty_of(layer).is_some_and(|penalty| penalty.l1 > 0.0);
    let steered = controller::steers_mean(settings, step, layer);
    (penalized || steered) && settings.activation_of(layer).is_signed()
}
