//! The gradient of a skip connection's weights: of output = code W + b + x W_skip it is x^T times the output
//! layer's delta.

use sae_kernels::{Matrix, MatrixMut, Operand};

use crate::training::backward::{RowSink, Rows, Sink, Updating, backward, propagate};
use crate::training::workspace::{Context, Workspace, seen};

/// Computes all gradients: those of the layers, then that of the skip connection, whose weights stand before
/// the layers'.
pub(crate) fn all_gradients(cx: &mut Context, sink: &mut Sink<'_, '_, '_>) {
    backward(cx, sink);
    let Some(layer) = cx.work.skip else { return };
    let (mut rows, width) = layer.stored();
    let Context { engine, net, state, work, skip_zeros } = cx;
    let Workspace {
        batch,
        corrupted,
        deltas,
        bias_gradients,
        centering,
        largest_weights,
        gradient_norm,
        layers,
        ..
    } = work;
    let last = layers.len() - 1;
    let input = seen(batch, corrupted, layer.inputs);
    // Of several prefixes the first delta is the sum of all, and that of an auxiliary loss stands last.
    let n = input.shape().0;
    let right = Matrix::new(&deltas[last][..n * width], n, width);
    while rows > 0 {
        let some = sink.last_rows(layer, rows);
        rows = some.start;
        let place = layer.start + some.start * width..layer.start + some.end * width;
        let matrix = |numbers| MatrixMut::new(numbers, some.len(), width);
        let a = Operand::new(input.columns(some.clone()).transposed(), *skip_zeros);
        let decay = (net.settings.lambda, &net.parameters[place.clone()]);
        gradient_norm.add_layer(engine, layer, (&a, right, &[]), decay);
        let weights = matrix(&mut net.parameters[place.clone()]);
        let rows = Rows { a, right, weights };
        match sink {
            Sink::Update(rule) => {
                let moments = [&mut state.first, &mut state.second];
                let update = Updating {
                    rule: centering.rule_of_skip(*rule),
                    correction: centering.of_skip(&bias_gradients[last]),
                    projection: None,
                    largest: largest_weights.of(layers.len()),
                };
                let moments = moments.map(|flat| matrix(&mut flat[place.clone()]));
                propagate(engine, rows, None, RowSink::Update(moments, update));
            }
            Sink::Buffer(gradient) => {
                let piece = gradient.split_off(place.start);
                propagate(engine, rows, None, RowSink::Store(matrix(piece)));
                gradient.done(piece);
            }
        }
    }
}
