//! The forward pass of a training step: activations, losses, the output layer's delta, and this
//! rank's sums. It changes nothing that outlives the step.

use sae_kernels::{Matrix, MatrixMut, Operand, sparse, sparsity};

use crate::compute::add_blocks;
use crate::network::codes::Counts;
use crate::network::forward::{LayerView, forward as layer_forward};
use crate::network::gate::Selection;
use crate::network::layers::end;
use crate::network::skip::SkipProduct;
use crate::settings::{Code, Settings};
use crate::training::auxiliary::auxiliary_loss;
use crate::training::bounds::may_overflow;
use crate::training::controller;
use crate::training::corruption::corrupt;
use crate::training::output::{Output, loss_scale};
use crate::training::penalized::activation_penalties;
use crate::training::workspace::{Context, Workspace, activations_of, input, seen, targets_of};

/// From the batch in the workspace to the output layer's delta. `counts` are those of a selection
/// over all ranks.
pub(crate) fn forward(cx: &mut Context, counts: &mut dyn Counts) {
    corrupt(cx);
    for index in 0..cx.work.activations.len() {
        hidden_layer(cx, index, counts);
    }
    subtract_skip(cx);
    output_layer(cx);
    auxiliary_loss(cx);
    activation_penalties(cx);
    sum_up(cx);
    cx.work.sums.may_overflow = f64::from(u8::from(may_overflow(cx)));
}

/// A hidden layer's activations, and the sum of those of each unit.
fn hidden_layer(cx: &mut Context, index: usize, counts: &mut dyn Counts) {
    let Context { engine, net, work, skip_zeros, .. } = cx;
    let (settings, parameters) = (&net.settings, &net.parameters);
    let Workspace {
        layers,
        batch,
        corrupted,
        activations,
        sums,
        gate,
        units,
        prefixes,
        partial_sums,
        ..
    } = work;
    let layer = layers[index];
    let n = batch.len() / layers[0].inputs;
    let (below, rest) = activations.split_at_mut(index);
    let (activations, sums) = (&mut rest[0], &mut sums.activations[index]);
    let matrix = input(layer, below.last(), batch, corrupted);
    let view = LayerView::new(settings, parameters, index, layer);
    if settings.is_gated(index) {
        let thresholds = &parameters[end(layers)..];
        let selection = Selection::Training(counts);
        work.smallest_kept = gate.encode(engine, matrix, view, thresholds, selection);
        units.group(engine, &gate.codes, sums, |unit| {
            prefixes.as_ref().map_or(0, |prefixes| prefixes.group_of(unit))
        });
        return;
    }
    let input = match index > 0 && settings.is_gated(index - 1) {
        true => Operand::Sparse(gate.codes.lists()),
        false => Operand::new(matrix, *skip_zeros && settings.has_zeros(index)),
    };
    add_blocks(n, partial_sums, sums, |sums| {
        let output = MatrixMut::new(activations, n, layer.outputs);
        layer_forward(engine, input, view, output, sums);
    });
}

/// The output layer's reconstruction, its losses, delta and bias gradient; of a sparse code also the
/// gradient of the code, while the cache has the weights of its active units.
fn output_layer(cx: &mut Context) {
    let Context { engine, net, work, skip_zeros, .. } = cx;
    let settings = &net.settings;
    let Workspace {
        layers,
        skip,
        samples,
        batch,
        targets,
        residual,
        activations,
        deltas,
        losses,
        bias_gradients,
        partial_sums,
        gate,
        prefixes,
        ..
    } = work;
    let last = layers.len() - 1;
    let (inputs, features) = (layers[last].inputs, layers[last].outputs);
    let target = if skip.is_some() { residual } else { targets_of(batch, targets) };
    let n = target.len() / features;
    let skip_zeros = *skip_zeros && settings.has_zeros(last);
    let is_sparse = settings.is_gated(last - 1);
    let input = match is_sparse {
        true => Operand::Sparse(gate.codes.lists()),
        false => Operand::new(Matrix::new(&activations[last - 1], n, inputs), skip_zeros),
    };
    let (below, deltas) = deltas.split_at_mut(last);
    let output = Output {
        input,
        layer: LayerView::new(settings, &net.parameters, last, layers[last]),
        loss: settings.loss,
        target: Matrix::new(target, n, features),
        scale: loss_scale(net, *samples),
    };
    let (sums, codes) = ([&mut losses[..], &mut bias_gradients[last]], &gate.codes);
    if let Some(prefixes) = prefixes {
        let delta = &mut deltas[0][..prefixes.count() * n * features];
        let numbers = [delta, &mut below[last - 1][..]];
        return prefixes.run(engine, output, codes, numbers, sums, partial_sums);
    }
    let code = is_sparse.then_some((codes, &mut below[last - 1][..]));
    output.run(engine, &mut deltas[0][..n * features], sums, partial_sums, code);
}

/// This rank's sums besides those of activations.
fn sum_up(cx: &mut Context) {
    let Context { engine, net, state, work, .. } = cx;
    let settings = &net.settings;
    let Workspace { sums, activations, losses, units, prefixes, gate, .. } = work;
    let activations = |layer| activations_of(settings, layer, activations, units);
    sums.loss = losses.iter().map(|&loss| f64::from(loss)).sum();
    sums.prefixes = prefixes.as_ref().map_or(0.0, |prefixes| prefixes.loss);
    let all = units.all_activations();
    // Lists have no zeros, but for what only thresholds learn from.
    sums.code_active = all.len() as f64;
    if let Code::JumpRelu { .. } = settings.code {
        sums.code_active = controller::count_active(engine, all, 0.0);
        if let Some(scale) = settings.tanh_scale(gate.scale) {
            let isa = engine.isa;
            sums.code_tanh =
                engine.sum(all.len(), |range| sparse::tanh_value(isa, scale, &all[range]));
        }
    }
    for (layer, magnitude) in sums.magnitudes.iter_mut().enumerate() {
        if needs_magnitude(settings, state.step, layer) {
            let activations = activations(layer);
            let sum = |range| sparsity::l1_value(&activations[range]);
            *magnitude = engine.sum(activations.len(), sum);
        }
    }
    sums.steered_active = match controller::steers_active(settings, state.step) {
        Some((layer, above)) => controller::count_active(engine, activations(layer), above),
        None => 0.0,
    };
}

/// Whether the sum of a layer's |a| is needed, and is not that of its activations.
fn needs_magnitude(settings: &Settings, step: u64, layer: usize) -> bool {
    let penalized = settings.penalty_of(layer).is_some_and(|penalty| penalty.l1 > 0.0);
    let steered = controller::steers_mean(settings, step, layer);
    (penalized || steered) && settings.activation_of(layer).is_signed()
}

/// Takes from the targets what a skip connection makes of the inputs: the rest is the decoder's to
/// reconstruct, for the output is linear.
fn subtract_skip(cx: &mut Context) {
    let Context { engine, net, work, skip_zeros, .. } = cx;
    let Workspace { skip, batch, targets, residual, corrupted, .. } = work;
    let Some(skip) = *skip else { return };
    let seen = seen(batch, corrupted, skip.inputs);
    let (n, _) = seen.shape();
    let targets = Matrix::new(targets, n, skip.outputs);
    let product = SkipProduct {
        inputs: Operand::new(seen, *skip_zeros),
        weights: skip.matrix(&net.parameters),
        base: targets,
    };
    product.run(engine, MatrixMut::new(residual, n, skip.outputs), |target, sum| target - sum);
}
