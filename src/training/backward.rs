//! The backward pass: from the output layer's delta to every layer's gradient, and where that goes.

use std::ops::Range;

use sae_kernels::{
    Activation, Gemm, HiddenDelta, Matrix, MatrixMut, Outer, Parts, Penalty, Rule, Update,
};

use crate::compute::{Engine, Largest, add_blocks, blocks_of};
use crate::network::autoencoder::Autoencoder;
use crate::network::codes::CodeLayer;
use crate::network::layers::{Layer, end};
use crate::settings::{Code, LayerPenalty};
use crate::training::gradient::Gradient;
use crate::training::optimizer::update_row;
use crate::training::workspace::{Context, Workspace, seen};

/// Where gradients go.
pub(crate) enum Sink<'a, 'g, 's> {
    /// To the optimizer, block by block while they are in the L2 cache.
    Update(Rule),
    /// To memory.
    Buffer(&'a mut Gradient<'g, 's>),
}

impl Sink<'_, '_, '_> {
    /// The last of a layer's first `rows` rows, as many as go at a time.
    fn last_rows(&self, layer: Layer, rows: usize) -> Range<usize> {
        match self {
            Sink::Update(_) => 0..rows,
            Sink::Buffer(gradient) => gradient.last_rows(layer, rows),
        }
    }
}

/// Computes all gradients: each layer hands its delta to the layer below before its own weights may
/// change.
pub(crate) fn backward(cx: &mut Context, sink: &mut Sink<'_, '_, '_>) {
    for index in (0..cx.work.layers.len()).rev() {
        let layer = cx.work.layers[index];
        let mut rows = layer.inputs;
        while rows > 0 {
            let units = sink.last_rows(layer, rows);
            rows = units.start;
            layer_rows(cx, index, units, sink);
        }
        if index > 0 && cx.net.settings.is_gated(index - 1) {
            code_delta(cx, index - 1);
        }
    }
    thresholds(cx, sink);
}

/// Some rows of a layer's weights, and its biases with the last of them: the delta of the units below
/// that they belong to, then their gradient.
fn layer_rows(cx: &mut Context, index: usize, units: Range<usize>, sink: &mut Sink<'_, '_, '_>) {
    let Context { engine, net, state, work, skip_zeros } = cx;
    let settings = &net.settings;
    let layer = work.layers[index];
    let (below, delta) = work.deltas.split_at_mut(index);
    let n = delta[0].len() / layer.outputs;
    let (biases_below, bias_gradient) = work.bias_gradients.split_at_mut(index);
    let bias_gradient = &bias_gradient[0];
    let input = match index {
        0 => seen(&work.batch, &work.corrupted, layer.inputs),
        _ => Matrix::new(&work.activations[index - 1], n, layer.inputs),
    };
    let gated = index > 0 && settings.is_gated(index - 1);
    let below = below.last_mut().zip(biases_below.last_mut()).map(|(delta, bias_gradient)| Below {
        gated,
        activation: if gated { Activation::Linear } else { settings.activation_of(index - 1) },
        penalty: match gated {
            true => Penalty::default(),
            false => of_units(penalty(net, &work.penalties, index - 1), &units),
        },
        delta: MatrixMut::strided(&mut delta[units.start..], n, units.len(), layer.inputs),
        bias_gradient: &mut bias_gradient[units.clone()],
        partial_sums: &mut work.partial_sums,
    });
    let (weights, biases) = layer.split_mut(&mut net.parameters);
    let flat = units.start * layer.outputs..units.end * layer.outputs;
    let matrix = |numbers| MatrixMut::new(numbers, units.len(), layer.outputs);
    let rows = Rows {
        delta: Matrix::new(&delta[0], n, layer.outputs),
        input: input.columns(units.clone()),
        skip_zeros: *skip_zeros && settings.has_zeros(index),
        weights: matrix(&mut weights[flat.clone()]),
    };
    match sink {
        Sink::Update(rule) => {
            let (first, first_biases) = layer.split_mut(&mut state.first);
            let (second, second_biases) = layer.split_mut(&mut state.second);
            let plain = work.centering.of_biases(settings, *rule, index);
            let rule = work.centering.of_weights(*rule);
            let correction = work.centering.correction(index, bias_gradient);
            update_row(engine.isa, &plain, [biases, first_biases, second_biases], bias_gradient);
            let (moments, largest) = ([first, second].map(matrix), work.largest_weights.of(index));
            let to = RowSink::Update { rule, moments, correction, largest };
            propagate(engine, rows, below, to);
        }
        Sink::Buffer(gradient) => {
            let piece = gradient.split_off(layer.start + flat.start);
            let (of_weights, rest) = piece.split_at_mut(flat.len());
            // Biases stand behind the last row.
            rest.copy_from_slice(&bias_gradient[..rest.len()]);
            propagate(engine, rows, below, RowSink::Store(matrix(of_weights)));
            gradient.done(piece);
        }
    }
}

/// The sparsity penalties of a hidden layer, as its delta needs them.
fn penalty<'a>(net: &Autoencoder, penalties: &'a [Vec<f32>], layer: usize) -> Penalty<'a> {
    let settings = &net.settings;
    settings.penalty_of(layer).map_or(Penalty::default(), |LayerPenalty { beta, l1, .. }| {
        let units = (beta > 0.0).then_some(&*penalties[layer]);
        Penalty { units, l1: (net.penalty_factor * l1 / settings.batch as f64) as f32 }
    })
}

/// A layer's penalty, for some of its units.
fn of_units<'a>(penalty: Penalty<'a>, units: &Range<usize>) -> Penalty<'a> {
    Penalty { units: penalty.units.map(|all| &all[units.clone()]), ..penalty }
}

/// Rows of a layer's weights, each of a unit below, and what their gradient is made of.
struct Rows<'a> {
    /// The layer's, `[n, outputs]`.
    delta: Matrix<'a>,
    /// `[n, rows]`
    input: Matrix<'a>,
    skip_zeros: bool,
    /// `[rows, outputs]`
    weights: MatrixMut<'a>,
}

/// The units below that the rows belong to.
struct Below<'a> {
    activation: Activation,
    penalty: Penalty<'a>,
    /// They are an exactly sparse code's, whose own part follows in `code_delta`.
    gated: bool,
    /// `[n, rows]`
    delta: MatrixMut<'a>,
    /// `[rows]`
    bias_gradient: &'a mut [f32],
    /// Memory for sums over blocks of samples.
    partial_sums: &'a mut [f32],
}

/// Where the gradient of some rows goes.
enum RowSink<'a, M> {
    /// To the weights, of which the largest is noted.
    Update {
        rule: Rule,
        moments: [M; 2],
        correction: Option<Outer<'a>>,
        largest: &'a Largest,
    },
    Store(M),
}

impl<'a, M> RowSink<'a, M> {
    fn map<N>(self, f: impl Fn(M) -> N) -> RowSink<'a, N> {
        match self {
            RowSink::Update { rule, moments, correction, largest } => {
                RowSink::Update { rule, moments: moments.map(f), correction, largest }
            }
            RowSink::Store(gradient) => RowSink::Store(f(gradient)),
        }
    }
}

/// [`on_threads`], with the sums of the units' deltas over the samples.
fn propagate(
    engine: &mut Engine,
    rows: Rows<'_>,
    below: Option<Below<'_>>,
    to: RowSink<'_, MatrixMut<'_>>,
) {
    let Some(Below { activation, penalty, gated, delta, bias_gradient, partial_sums }) = below
    else {
        return on_threads(engine, rows, None, to);
    };
    if gated {
        // `code_delta` sums up what it keeps.
        let sums = MatrixMut::from_row(bias_gradient);
        return on_threads(engine, rows, Some((activation, penalty, delta, sums)), to);
    }
    add_blocks(delta.shape().0, partial_sums, bias_gradient, |sums| {
        on_threads(engine, rows, Some((activation, penalty, delta, sums)), to);
    });
}

/// Rows divided among the threads: each first computes the delta of its units, then updates its rows,
/// which are in its cache by then. No row is read after it changed. Of the units below: activation,
/// penalty, delta and its sums over blocks of samples, `[n, rows]` and `[blocks, rows]`.
fn on_threads(
    engine: &mut Engine,
    rows: Rows<'_>,
    below: Option<(Activation, Penalty<'_>, MatrixMut<'_>, MatrixMut<'_>)>,
    to: RowSink<'_, MatrixMut<'_>>,
) {
    let Rows { delta, input, skip_zeros, weights } = rows;
    let (n, outputs) = delta.shape();
    let division = engine.divide(input.shape().1, n * outputs);
    let weights = Parts::rows(weights, division);
    let to = to.map(|matrix| Parts::rows(matrix, division));
    let below = below.map(|(activation, penalty, delta, sums)| {
        (activation, penalty, [delta, sums].map(|matrix| Parts::columns(matrix, division)))
    });
    let Engine { isa, pool, scratch } = engine;
    pool.run(division.parts(), |part, thread| {
        let units = division.range(part);
        let input = input.columns(units.clone());
        let weights = weights.take(part);
        scratch.with(thread, |scratch| {
            if let Some((activation, penalty, [deltas, sums])) = &below {
                let (mut deltas, mut sums) = (deltas.take(part), sums.take(part));
                for (block, samples) in blocks_of(&sums, n) {
                    let hidden_delta = HiddenDelta {
                        next: delta.rows(samples.clone()),
                        weights: weights.as_ref(),
                        activations: input.rows(samples.clone()),
                        activation: *activation,
                        penalty: of_units(*penalty, &units),
                        delta: deltas.rows_mut(samples),
                        bias_gradient: sums.row_mut(block),
                    };
                    hidden_delta.run(*isa, scratch);
                }
            }
            match &to {
                RowSink::Update { rule, moments: [first, second], correction, largest } => {
                    let (first_moment, second_moment) = (first.take(part), second.take(part));
                    let rule = *rule;
                    let correction = correction.map(|whole| whole.block(units.clone(), 0..outputs));
                    let update = Update {
                        rule,
                        input,
                        skip_zeros,
                        delta,
                        weights,
                        first_moment,
                        second_moment,
                        correction,
                    };
                    largest.raise(update.run(*isa, scratch));
                }
                RowSink::Store(gradient) => {
                    let (a, c) = (input.transposed(), gradient.take(part));
                    Gemm { a, b: delta, c, skip_zeros }.run(*isa, scratch);
                }
            }
        });
    });
}

/// From the gradient of an exactly sparse code's activations to its delta.
fn code_delta(cx: &mut Context, layer: usize) {
    let Context { engine, net, work, .. } = cx;
    let settings = &net.settings;
    let Workspace { activations, deltas, penalties, bias_gradients, gate, .. } = work;
    let l0 = if let Code::JumpRelu { l0, .. } = settings.code { l0 } else { 0.0 };
    let code = CodeLayer {
        activations: &activations[layer],
        activation: settings.activation_of(layer),
        penalty: penalty(net, penalties, layer),
        l0_weight: (net.penalty_factor * l0 / settings.batch as f64) as f32,
    };
    gate.backward(engine, code, &mut deltas[layer], &mut bias_gradients[layer]);
}

/// The gradient of a JumpReLU's thresholds.
fn thresholds(cx: &mut Context, sink: &mut Sink<'_, '_, '_>) {
    let Context { engine, net, state, work, .. } = cx;
    let gradient = &work.gate.threshold_gradient;
    match sink {
        Sink::Update(rule) => {
            let start = end(&work.layers);
            let all = [&mut net.parameters, &mut state.first, &mut state.second];
            let numbers = all.map(|flat| &mut flat[start..start + gradient.len()]);
            let rule = work.centering.of_thresholds(*rule);
            update_row(engine.isa, &rule, numbers, gradient);
        }
        Sink::Buffer(buffer) => buffer.finish(gradient),
    }
}
