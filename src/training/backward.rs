//! The backward pass: from the output layer's delta to every layer's gradient, and where that goes.

use std::ops::Range;

use sae_kernels::sparse::{self, row_products};
use sae_kernels::{
    Activation, Bands, Division, Gemm, HiddenDelta, Isa, Matrix, MatrixMut, Operand, Outer, Parts,
    Penalty, Rule, Scratch, Update,
};

use crate::compute::{Engine, Largest, add_blocks, blocks_of};
use crate::network::layers::{Layer, end};
use crate::settings::{LayerPenalty, Settings};
use crate::training::auxiliary::add_auxiliary;
use crate::training::centering::Projection;
use crate::training::gradient::Gradient;
use crate::training::optimizer::update_each;
use crate::training::output::{code_gradient, for_entries};
use crate::training::penalized::{add_to_code, add_to_delta};
use crate::training::thresholds::threshold_gradients;
use crate::training::workspace::{Context, Workspace, input};

/// Where gradients go.
pub(crate) enum Sink<'a, 'g, 's> {
    /// To the optimizer, block by block while they are in the L2 cache.
    Update(Rule),
    /// To memory.
    Buffer(&'a mut Gradient<'g, 's>),
}

impl Sink<'_, '_, '_> {
    /// The last of a layer's first `rows` rows, as many as go at a time.
    pub fn last_rows(&self, layer: Layer, rows: usize) -> Range<usize> {
        match self {
            Sink::Update(_) => 0..rows,
            Sink::Buffer(gradient) => gradient.last_rows(layer, rows),
        }
    }
}

/// Computes the gradients of all layers: each layer hands its delta to the layer below before its own weights may
/// change.
pub(crate) fn backward(cx: &mut Context, sink: &mut Sink<'_, '_, '_>) {
    for index in (0..cx.work.layers.len()).rev() {
        if index > 0 && cx.net.settings.is_gated(index - 1) {
            code_delta(cx, index - 1);
        }
        if index > 0 && cx.net.settings.is_gated(index) {
            delta_below_code(cx, index);
        }
        let layer = cx.work.layers[index];
        let (mut rows, _) = layer.stored();
        while rows > 0 {
            let some = sink.last_rows(layer, rows);
            rows = some.start;
            layer_rows(cx, index, some, sink);
        }
        if index > 0 && !cx.net.settings.is_gated(index - 1) {
            add_to_delta(cx, index - 1);
        }
    }
    thresholds(cx, sink);
}

/// Some rows of a layer's stored weights, and its biases with the last of them: the delta of the units
/// below that they belong to, then their gradient.
fn layer_rows(cx: &mut Context, index: usize, range: Range<usize>, sink: &mut Sink<'_, '_, '_>) {
    let Context { engine, net, state, work, skip_zeros } = cx;
    let (settings, layer, n) = (&net.settings, work.layers[index], work.part.len());
    let (below, delta) = work.deltas.split_at_mut(index);
    let (biases_below, bias_gradient) = work.bias_gradients.split_at_mut(index);
    let (bias_gradient, delta) = (&bias_gradient[0], &delta[0]);
    let activations_below = index.checked_sub(1).map(|below| &work.activations[below]);
    let input = input(layer, activations_below, &work.batch, &work.corrupted);
    let (_, width) = layer.stored();
    let flat = range.start * width..range.end * width;
    let is_decoder = index > 0 && settings.is_gated(index - 1);
    let skip_zeros = *skip_zeros && settings.has_zeros(index);
    let (a, right, below) = if layer.by_unit {
        (Operand::Sparse(work.units.deltas().slice(range.clone())), input, None)
    } else if is_decoder {
        let a = Operand::Sparse(work.units.activations().slice(range.clone()));
        // One below the other those of prefixes and of an auxiliary loss.
        (a, Matrix::new(delta, delta.len() / layer.outputs, layer.outputs), None)
    } else {
        let input = input.columns(range.clone());
        let share = (work.penalty_factor, work.samples);
        let penalty = penalty(settings, share, &work.penalties, index.max(1) - 1);
        let below = below.last_mut().zip(biases_below.last_mut());
        let below = below.map(|(delta, bias_gradient)| Below {
            activations: input,
            activation: settings.activation_of(index - 1),
            penalty: of_units(penalty, &range),
            delta: MatrixMut::strided(&mut delta[range.start..], n, range.len(), layer.inputs),
            bias_gradient: &mut bias_gradient[range.clone()],
            partial_sums: &mut work.partial_sums,
        });
        (Operand::new(input.transposed(), skip_zeros), Matrix::new(delta, n, layer.outputs), below)
    };
    let (weights, biases) = layer.split_mut(&mut net.parameters);
    let decay = (settings.lambda, &weights[flat.clone()]);
    work.gradient_norm.add_layer(engine, layer, (&a, right, bias_gradient), decay);
    let matrix = |numbers| MatrixMut::new(numbers, range.len(), width);
    let rows = Rows { a, right, weights: matrix(&mut weights[flat.clone()]) };
    match sink {
        Sink::Update(rule) => {
            let (first, first_biases) = layer.split_mut(&mut state.first);
            let (second, second_biases) = layer.split_mut(&mut state.second);
            let (rule, of_biases) = work.centering.of_layer(settings, *rule, index, layer);
            let (correction, projection) = work.centering.of_update(index, layer, bias_gradient);
            let largest = work.largest_weights.of(index);
            let update = Updating { rule, correction, projection, largest };
            let numbers = [biases, first_biases, second_biases];
            update_each(engine.isa, &of_biases, numbers, bias_gradient);
            propagate(engine, rows, below, RowSink::Update([first, second].map(matrix), update));
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
fn penalty<'a>(
    settings: &Settings,
    (factor, samples): (f64, usize),
    penalties: &'a [Vec<f32>],
    layer: usize,
) -> Penalty<'a> {
    settings.penalty_of(layer).map_or(Penalty::default(), |LayerPenalty { beta, l1, .. }| {
        let units = (beta > 0.0).then_some(&*penalties[layer]);
        Penalty { units, l1: (factor * l1 / samples as f64) as f32 }
    })
}

/// A layer's penalty, for some of its units.
fn of_units<'a>(penalty: Penalty<'a>, units: &Range<usize>) -> Penalty<'a> {
    Penalty { units: penalty.units.map(|all| &all[units.clone()]), ..penalty }
}

/// Rows of a layer's stored weights, and what their gradient is the product of.
pub(super) struct Rows<'a> {
    /// `[rows, n]`
    pub a: Operand<'a>,
    /// `[n, width]`
    pub right: Matrix<'a>,
    /// `[rows, width]`
    pub weights: MatrixMut<'a>,
}

/// The units below that the rows belong to.
pub(super) struct Below<'a> {
    /// `[n, rows]`
    activations: Matrix<'a>,
    activation: Activation,
    penalty: Penalty<'a>,
    /// `[n, rows]`
    delta: MatrixMut<'a>,
    /// `[rows]`
    bias_gradient: &'a mut [f32],
    /// Memory for sums over blocks of samples.
    partial_sums: &'a mut [f32],
}

/// Where the gradient of some rows goes.
pub(super) enum RowSink<'a, M> {
    /// To the weights, which have these two moments.
    Update([M; 2], Updating<'a>),
    Store(M),
}

/// How weights are updated, of which the largest is noted.
pub(super) struct Updating<'a> {
    pub rule: Rule,
    pub correction: Option<Outer<'a>>,
    pub projection: Option<Projection<'a>>,
    pub largest: &'a Largest,
}

/// Updates or stores rows, after the delta of the units below, with its sums over the samples.
pub(super) fn propagate(
    engine: &mut Engine,
    rows: Rows<'_>,
    below: Option<Below<'_>>,
    to: RowSink<'_, MatrixMut<'_>>,
) {
    if let Operand::Sparse(_) = rows.a {
        return sparse_on_threads(engine, rows, to);
    }
    let Some(Below { activations, activation, penalty, delta, bias_gradient, partial_sums }) =
        below
    else {
        return on_threads(engine, rows, None, to);
    };
    add_blocks(delta.shape().0, partial_sums, bias_gradient, |sums| {
        on_threads(
            engine,
            rows,
            Some(BelowParts { activations, activation, penalty, delta, sums }),
            to,
        );
    });
}

/// The units below, whose deltas are summed over each block of samples, `[blocks, rows]`.
struct BelowParts<'a> {
    activations: Matrix<'a>,
    activation: Activation,
    penalty: Penalty<'a>,
    delta: MatrixMut<'a>,
    sums: MatrixMut<'a>,
}

/// Rows divided among the threads: each first computes the delta of its units, then updates its rows,
/// which are in its cache by then. No row is read after it changed.
fn on_threads(
    engine: &mut Engine,
    rows: Rows<'_>,
    below: Option<BelowParts<'_>>,
    to: RowSink<'_, MatrixMut<'_>>,
) {
    let Rows { a, right, weights } = rows;
    let (n, width) = right.shape();
    let division = engine.divide(a.len(), n * width);
    let weights = Parts::rows(weights, division);
    let to = RowParts::new(to, division);
    let below = below.map(|BelowParts { activations, activation, penalty, delta, sums }| {
        let parts = [delta, sums].map(|matrix| Parts::columns(matrix, division));
        (activations, activation, penalty, parts)
    });
    let Engine { isa, pool, scratch, .. } = engine;
    pool.run(division.parts(), |part, thread| {
        let units = division.range(part);
        let weights = weights.take(part);
        scratch.with(thread, |scratch| {
            if let Some((activations, activation, penalty, [deltas, sums])) = &below {
                let (mut deltas, mut sums) = (deltas.take(part), sums.take(part));
                for (block, samples) in blocks_of(&sums, n) {
                    let hidden_delta = HiddenDelta {
                        next: Operand::Dense(right.rows(samples.clone())),
                        weights: weights.as_ref(),
                        activations: activations.columns(units.clone()).rows(samples.clone()),
                        activation: *activation,
                        penalty: of_units(*penalty, &units),
                        delta: deltas.rows_mut(samples),
                        bias_gradient: sums.row_mut(block),
                    };
                    hidden_delta.run(*isa, scratch);
                }
            }
            let rows = Rows { a: a.rows(units.clone()), right, weights };
            to.take_rows(*isa, part, units, rows, scratch);
        });
    });
}

/// Rows of sparse sums divided among the threads, some at a time.
fn sparse_on_threads(engine: &mut Engine, rows: Rows<'_>, to: RowSink<'_, MatrixMut<'_>>) {
    /// Rows of a part, where there are as many: units differ in how often they are active.
    const ROWS: usize = 64;
    /// Multiply-adds that an update of a weight is worth.
    const WORK: usize = 16;
    let Rows { a, right, weights } = rows;
    let (_, width) = right.shape();
    let count = a.len();
    let worth = engine.divide(count, WORK * width).parts();
    let parts = if worth == 1 { 1 } else { count.div_ceil(ROWS).max(worth) };
    let division = Division::new(count, 8, parts);
    let weights = Parts::rows(weights, division);
    let to = RowParts::new(to, division);
    let Engine { isa, pool, scratch, .. } = engine;
    pool.run(division.parts(), |part, thread| {
        let units = division.range(part);
        let rows = Rows { a: a.rows(units.clone()), right, weights: weights.take(part) };
        scratch.with(thread, |scratch| to.take_rows(*isa, part, units, rows, scratch));
    });
}

/// Rows that are updated before the mean's product with them is taken: they stay in the L2 cache.
const PROJECTED_ROWS: usize = 64;

/// A [`RowSink`] divided among threads.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack of one call")]
enum RowParts<'a> {
    Update {
        moments: [Parts<'a>; 2],
        rule: Rule,
        correction: Option<Outer<'a>>,
        projection: Option<(&'a [f32], &'a [f32], Bands<'a, f32>)>,
        largest: &'a Largest,
    },
    Store(Parts<'a>),
}

impl<'a> RowParts<'a> {
    fn new(sink: RowSink<'a, MatrixMut<'a>>, division: Division) -> Self {
        match sink {
            RowSink::Update(moments, Updating { rule, correction, projection, largest }) => {
                let moments = moments.map(|moment| Parts::rows(moment, division));
                let projection =
                    projection.map(|of| (of.mean, of.before, Bands::new(of.products, 1, division)));
                RowParts::Update { moments, rule, correction, projection, largest }
            }
            RowSink::Store(gradient) => RowParts::Store(Parts::rows(gradient, division)),
        }
    }

    /// Takes the gradient of a part's rows.
    fn take_rows(
        &self,
        isa: Isa,
        part: usize,
        range: Range<usize>,
        rows: Rows<'_>,
        scratch: &mut Scratch<'_>,
    ) {
        let Rows { a, right, mut weights } = rows;
        match self {
            RowParts::Update {
                moments: [first, second],
                rule,
                correction,
                projection,
                largest,
            } => {
                let (height, width) = weights.shape();
                let (mut first, mut second) = (first.take(part), second.take(part));
                let mut projection = projection.as_ref().map(|of| (of.0, of.1, of.2.take(part)));
                let some = match projection {
                    None => height.max(1),
                    Some(_) if rule.is_lazy() => 1,
                    Some(_) => PROJECTED_ROWS,
                };
                for start in (0..height).step_by(some) {
                    let own = start..height.min(start + some);
                    let units = range.start + own.start..range.start + own.end;
                    let update = Update {
                        rule: *rule,
                        a: a.rows(own.clone()),
                        delta: right,
                        weights: weights.rows_mut(own.clone()),
                        first_moment: first.rows_mut(own.clone()),
                        second_moment: second.rows_mut(own.clone()),
                        correction: correction.map(|whole| whole.block(units.clone(), 0..width)),
                    };
                    largest.raise(update.run(isa, scratch));
                    if let Some((mean, before, products)) = &mut projection {
                        let rows = weights.as_ref().rows(own.clone());
                        let untouched = match a.rows(own.clone()) {
                            Operand::Sparse(lists) if rule.is_lazy() => lists.is_empty(),
                            _ => false,
                        };
                        match untouched {
                            true => products[own].copy_from_slice(&before[units]),
                            false => row_products(isa, rows, mean, &mut products[own]),
                        }
                    }
                }
            }
            RowParts::Store(gradient) => {
                Gemm::new(a, right, gradient.take(part)).run(isa, scratch);
            }
        }
    }
}

/// The delta of a sparse code: of each entry, and grouped by units; its bias gradient, and the gradient
/// of a JumpReLU's thresholds.
fn code_delta(cx: &mut Context, layer: usize) {
    let Context { engine, net, work, .. } = cx;
    let Workspace { layers, deltas, gate, .. } = work;
    let (gradient, above) = deltas[layer..].split_first_mut().expect("a layer above");
    if layer + 2 < layers.len() {
        // (The output layer has computed it with its delta.)
        let decoder = layers[layer + 1];
        let delta = Matrix::new(&above[0], above[0].len() / decoder.outputs, decoder.outputs);
        code_gradient(engine, &gate.codes, delta, decoder.matrix(&net.parameters), gradient);
    }
    let tanh = threshold_gradients(cx, layer);
    add_to_code(cx, layer);
    let Context { engine, net, work, .. } = cx;
    let settings = &net.settings;
    let Workspace { deltas, penalties, bias_gradients, gate, units, .. } = work;
    let gradient = &mut deltas[layer][..];
    let penalty = penalty(settings, (work.penalty_factor, work.samples), penalties, layer);
    let activation = settings.activation_of(layer);
    let codes = &gate.codes;
    for_entries(engine, codes, gradient, 1000, |isa, samples, gradients| {
        let codes = codes.lists().slice(samples);
        if let Some((scale, weight)) = tanh {
            sparse::add_tanh_gradient(isa, codes, scale, weight, gradients);
        }
        sparse::code_delta(isa, codes, activation, penalty, gradients);
    });
    units.take_deltas(engine, gradient, &mut bias_gradients[layer]);
    add_auxiliary(cx, layer);
}

/// The delta of the layer below a sparse code's, from the code's.
fn delta_below_code(cx: &mut Context, index: usize) {
    let Context { engine, net, work, .. } = cx;
    let settings = &net.settings;
    let Workspace {
        layers,
        activations,
        deltas,
        penalties,
        bias_gradients,
        gate,
        partial_sums,
        ..
    } = work;
    let (layer, below) = (layers[index], index - 1);
    let (deltas, of_code) = deltas.split_at_mut(index);
    let next = gate.codes.lists().with_values(&of_code[0]);
    let n = next.rows();
    let activations = Matrix::new(&activations[below], n, layer.inputs);
    let activation = settings.activation_of(below);
    let penalty = penalty(settings, (work.penalty_factor, work.samples), penalties, below);
    let weights = layer.matrix(&net.parameters);
    // Some 50 active units.
    let division = engine.divide(layer.inputs, 50 * n);
    let delta = Parts::columns(MatrixMut::new(&mut deltas[below], n, layer.inputs), division);
    let Engine { isa, pool, scratch, .. } = engine;
    add_blocks(n, partial_sums, &mut bias_gradients[below], |sums| {
        let sums = Parts::columns(sums, division);
        pool.run(division.parts(), |part, thread| {
            let units = division.range(part);
            let (mut delta, mut sums) = (delta.take(part), sums.take(part));
            for (block, samples) in blocks_of(&sums, n) {
                let hidden_delta = HiddenDelta {
                    next: Operand::Sparse(next.slice(samples.clone())),
                    weights: weights.rows(units.clone()),
                    activations: activations.columns(units.clone()).rows(samples.clone()),
                    activation,
                    penalty: of_units(penalty, &units),
                    delta: delta.rows_mut(samples),
                    bias_gradient: sums.row_mut(block),
                };
                scratch.with(thread, |scratch| hidden_delta.run(*isa, scratch));
            }
        });
    });
}

/// The gradient of a JumpReLU's thresholds.
fn thresholds(cx: &mut Context, sink: &mut Sink<'_, '_, '_>) {
    let Context { engine, net, state, work, .. } = cx;
    let gradient = &work.threshold_gradient;
    match sink {
        Sink::Update(rule) => {
            work.gradient_norm.add_numbers(engine, gradient);
            let start = end(&work.layers);
            let all = [&mut net.parameters, &mut state.first, &mut state.second];
            let numbers = all.map(|flat| &mut flat[start..start + gradient.len()]);
            let rule = work.centering.of_thresholds(&net.settings, *rule);
            update_each(engine.isa, &rule, numbers, gradient);
        }
        Sink::Buffer(buffer) => buffer.finish(gradient),
    }
}
