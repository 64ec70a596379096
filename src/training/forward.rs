//! The forward pass of a training step: activations, losses, the output layer's delta, and this
//! rank's sums. It changes nothing that outlives the step.

use std::ops::Range;

use sae_kernels::sparse::CodeGradient;
use sae_kernels::{
    Bands, Division, Isa, Loss, Matrix, MatrixMut, Operand, OutputDelta, Parts, Scratch, sparsity,
};

use crate::compute::{Engine, add_blocks, blocks_of, divide_blocks};
use crate::network::codes::{Codes, Counts};
use crate::network::forward::{LayerView, forward as layer_forward};
use crate::network::gate::Selection;
use crate::network::layers::end;
use crate::settings::{Code, Settings};
use crate::training::bounds::may_overflow;
use crate::training::controller;
use crate::training::corruption::corrupt;
use crate::training::workspace::{Context, Workspace, activations_of, input};

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
    let Workspace {
        layers, batch, corrupted, activations, sums, gate, units, partial_sums, ..
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
        units.group(engine, &gate.codes, sums);
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
        batch,
        activations,
        deltas,
        losses,
        bias_gradients,
        partial_sums,
        gate,
        ..
    } = work;
    let last = layers.len() - 1;
    let (inputs, features) = (layers[last].inputs, layers[last].outputs);
    let n = batch.len() / features;
    let skip_zeros = *skip_zeros && settings.has_zeros(last);
    let input = match settings.is_gated(last - 1) {
        true => Operand::Sparse(gate.codes.lists()),
        false => Operand::new(Matrix::new(&activations[last - 1], n, inputs), skip_zeros),
    };
    let (below, deltas) = deltas.split_at_mut(last);
    let output = Output {
        input,
        layer: LayerView::new(settings, &net.parameters, last, layers[last]),
        loss: settings.loss,
        target: Matrix::new(batch, n, features),
        // A mean over the whole batch, of which these samples may be a part.
        scale: (settings.loss.gradient_factor() / (settings.batch as f64 * features as f64)) as f32,
    };
    let code = (&gate.codes, &mut below[last - 1][..]);
    let half = partial_sums.len() / 2;
    let (of_losses, of_biases) = partial_sums.split_at_mut(half);
    add_blocks(n, of_losses, losses, |losses| {
        add_blocks(n, of_biases, &mut bias_gradients[last], |biases| {
            let delta = MatrixMut::new(&mut deltas[0], n, features);
            output.run(engine, delta, [losses, biases], code);
        });
    });
}

/// What the output layer's delta is made of.
#[derive(Clone, Copy)]
struct Output<'a> {
    input: Operand<'a>,
    layer: LayerView<'a>,
    loss: Loss,
    target: Matrix<'a>,
    scale: f32,
}

impl Output<'_> {
    /// Computes the delta `[n, features]`, and the sums of the losses and of the bias gradient over
    /// each block of samples, `[blocks, features]`; of a sparse code, the gradient of each entry.
    fn run(
        self,
        engine: &mut Engine,
        mut delta: MatrixMut<'_>,
        sums: [MatrixMut<'_>; 2],
        (codes, gradient): (&Codes, &mut [f32]),
    ) {
        match self.input {
            Operand::Sparse(_) if divides_by_samples(engine, sums[0].shape().0) => {
                self.by_samples(engine, delta, sums, (codes, gradient));
            }
            Operand::Sparse(_) => {
                self.by_features(engine, delta.rows_mut(0..self.input.len()), sums);
                code_gradient(engine, codes, delta.as_ref(), self.layer.weights, gradient);
            }
            _ => self.by_features(engine, delta, sums),
        }
    }

    /// Features divided among the threads.
    fn by_features(
        self,
        engine: &mut Engine,
        delta: MatrixMut<'_>,
        [losses, bias_gradients]: [MatrixMut<'_>; 2],
    ) {
        let (n, features) = delta.shape();
        let work = match self.input {
            // Some 50 active units.
            Operand::Sparse(_) => 50 * n,
            _ => n * self.layer.weights.shape().0,
        };
        let division = engine.divide(features, work);
        let deltas = Parts::columns(delta, division);
        let losses = Parts::columns(losses, division);
        let bias_gradients = Parts::columns(bias_gradients, division);
        let Engine { isa, pool, scratch } = engine;
        pool.run(division.parts(), |part, thread| {
            let features = division.range(part);
            let (mut delta, mut losses, mut bias_gradients) =
                (deltas.take(part), losses.take(part), bias_gradients.take(part));
            let of_part = Output {
                layer: self.layer.units(features.clone()),
                target: self.target.columns(features),
                ..self
            };
            scratch.with(thread, |scratch| {
                for (block, rows) in blocks_of(&losses, n) {
                    let sums = [losses.row_mut(block), bias_gradients.row_mut(block)];
                    of_part.rows(*isa, rows.clone(), delta.rows_mut(rows), sums, scratch);
                }
            });
        });
    }

    /// Blocks of samples divided among the threads; the code's gradient follows a few samples behind
    /// the delta.
    fn by_samples(
        self,
        engine: &mut Engine,
        delta: MatrixMut<'_>,
        [losses, bias_gradients]: [MatrixMut<'_>; 2],
        (codes, gradient): (&Codes, &mut [f32]),
    ) {
        /// Whose decoder rows half an L2 cache holds: 8 times 32 rows of 3 KiB.
        const SAMPLES: usize = 8;
        // Samples of long lists share decoder rows.
        let is_long = codes.lists().is_long(self.layer.weights.shape().0);
        let at_once = if is_long { 32 * SAMPLES } else { SAMPLES };
        let (n, _) = delta.shape();
        let (blocks, _) = losses.shape();
        let division = divide_blocks(n, blocks);
        let of_blocks = Division::new(blocks, 1, division.parts());
        let deltas = Parts::rows(delta, division);
        let losses = Parts::rows(losses, of_blocks);
        let bias_gradients = Parts::rows(bias_gradients, of_blocks);
        let gradients = Bands::ragged(gradient, division, |sample| codes.place(sample));
        let Engine { isa, pool, scratch } = engine;
        pool.run(division.parts(), |part, thread| {
            let samples = division.range(part);
            let (mut delta, gradients) = (deltas.take(part), gradients.take(part));
            let (mut losses, mut bias_gradients) = (losses.take(part), bias_gradients.take(part));
            let first = codes.place(samples.start);
            scratch.with(thread, |scratch| {
                for (block, of_block) in blocks_of(&losses, samples.len()) {
                    for start in of_block.clone().step_by(at_once) {
                        let own = start..of_block.end.min(start + at_once);
                        let rows = samples.start + own.start..samples.start + own.end;
                        let sums = [losses.row_mut(block), bias_gradients.row_mut(block)];
                        let to = delta.rows_mut(own.clone());
                        self.rows(*isa, rows.clone(), to, sums, scratch);
                        let entries =
                            codes.place(rows.start) - first..codes.place(rows.end) - first;
                        let code_gradient = CodeGradient {
                            codes: codes.lists().slice(rows),
                            delta: delta.as_ref().rows(own),
                            weights: self.layer.weights,
                        };
                        code_gradient.run(*isa, &mut gradients[entries]);
                    }
                }
            });
        });
    }

    /// The delta of some samples, on one thread.
    fn rows(
        self,
        isa: Isa,
        rows: Range<usize>,
        delta: MatrixMut<'_>,
        [losses, bias_gradient]: [&mut [f32]; 2],
        scratch: &mut Scratch<'_>,
    ) {
        let output_delta = OutputDelta {
            input: self.input.rows(rows.clone()),
            weights: self.layer.weights,
            biases: self.layer.biases,
            activation: self.layer.activation,
            loss: self.loss,
            target: self.target.rows(rows),
            scale: self.scale,
            delta,
            losses,
            bias_gradient,
        };
        output_delta.run(isa, scratch);
    }
}

/// Whether all threads have work where blocks of samples are divided among them.
fn divides_by_samples(engine: &Engine, blocks: usize) -> bool {
    let threads = engine.pool.threads();
    threads == 1 || blocks >= 2 * threads
}

/// The gradient of each entry of a sparse code from the delta of the layer above, `[n, outputs]`, whose
/// weights are `[units, outputs]`; samples divided among the threads.
pub(crate) fn code_gradient(
    engine: &mut Engine,
    codes: &Codes,
    delta: Matrix<'_>,
    weights: Matrix<'_>,
    gradient: &mut [f32],
) {
    let (n, outputs) = delta.shape();
    // Some 50 active units.
    let division = engine.divide(n, 50 * outputs);
    let gradients = Bands::ragged(gradient, division, |sample| codes.place(sample));
    let isa = engine.isa;
    engine.pool.run(division.parts(), |part, _| {
        let samples = division.range(part);
        let delta = delta.rows(samples.clone());
        let codes = codes.lists().slice(samples);
        CodeGradient { codes, delta, weights }.run(isa, gradients.take(part));
    });
}

/// This rank's sums besides those of activations.
fn sum_up(cx: &mut Context) {
    let Context { engine, net, state, work, .. } = cx;
    let settings = &net.settings;
    let Workspace { sums, activations, losses, units, .. } = work;
    let activations = |layer| activations_of(settings, layer, activations, units);
    sums.loss = losses.iter().map(|&loss| f64::from(loss)).sum();
    if let Code::JumpRelu { .. } = settings.code {
        sums.code_active = controller::count_active(engine, units.all_activations(), 0.0);
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
