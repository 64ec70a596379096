//! The products of a step with what is fused into them, divided among the threads.

use sae_kernels::{
    Activation, Gemm, HiddenDelta, Loss, Matrix, MatrixMut, OutputDelta, Parts, Penalty, Rule,
    Update,
};

use crate::compute::{Engine, LayerView, row_parts};

/// The output layer forward, its losses, delta and bias gradient; units divided among the threads. The
/// loss is a mean over `batch` samples, of which these may be a part.
#[allow(clippy::too_many_arguments)]
pub(crate) fn output_phase(
    engine: &mut Engine,
    input: Matrix<'_>,
    skip_zeros: bool,
    layer: LayerView<'_>,
    loss: Loss,
    batch: usize,
    target: Matrix<'_>,
    delta: MatrixMut<'_>,
    losses: &mut [f32],
    bias_gradient: &mut [f32],
) {
    let (n, units) = delta.shape();
    let scale = (loss.slope() / (batch as f64 * units as f64)) as f32;
    let division = engine.divide(units, n * layer.weights.shape().0);
    losses.fill(0.0);
    bias_gradient.fill(0.0);
    let deltas = Parts::columns(delta, division);
    let losses = row_parts(losses, division);
    let bias_gradient = row_parts(bias_gradient, division);
    let Engine { isa, pool, scratch } = engine;
    pool.run(division.parts(), |part, thread| {
        let units = division.range(part);
        let layer = layer.units(units.clone());
        let mut losses = losses.take(part);
        let mut bias_gradient = bias_gradient.take(part);
        scratch.with(thread, |scratch| {
            let output_delta = OutputDelta {
                input,
                skip_zeros,
                weights: layer.weights,
                biases: layer.biases,
                activation: layer.activation,
                loss,
                target: target.columns(units),
                scale,
                delta: deltas.take(part),
                losses: losses.row_mut(0),
                bias_gradient: bias_gradient.row_mut(0),
            };
            output_delta.run(*isa, scratch);
        });
    });
}

/// What a layer hands on to the layer below it.
pub(crate) struct Hidden<'a> {
    pub activation: Activation,
    pub penalty: Penalty<'a>,
    pub delta: MatrixMut<'a>,
    pub bias_gradient: &'a mut [f32],
}

/// Where one layer's gradient goes; its weights are read for the delta first.
pub(crate) enum LayerSink<'a> {
    Update { rule: &'a Rule, weights: MatrixMut<'a>, moments: [MatrixMut<'a>; 2] },
    Gradient { weights: MatrixMut<'a>, gradient: MatrixMut<'a> },
}

/// A layer's way back. The layer below's units, which are this layer's inputs and so rows of its
/// weights, are divided among the threads; each first computes the delta of its units, then
/// updates its rows, which are in its cache by then. No row is read after it changed.
pub(crate) fn backward_phase(
    engine: &mut Engine,
    delta: Matrix<'_>,
    input: Matrix<'_>,
    skip_zeros: bool,
    hidden: Option<Hidden<'_>>,
    sink: LayerSink<'_>,
) {
    let (n, outputs) = delta.shape();
    let inputs = input.shape().1;
    let division = engine.divide(inputs, n * outputs);
    let rows = |whole| Parts::rows(whole, division);
    let (weights, rule, moments, gradient) = match sink {
        LayerSink::Update { rule, weights, moments } => {
            (rows(weights), Some(rule), Some(moments.map(rows)), None)
        }
        LayerSink::Gradient { weights, gradient } => {
            (rows(weights), None, None, Some(rows(gradient)))
        }
    };
    let hidden = hidden.map(|hidden| {
        let Hidden { activation, penalty, delta, bias_gradient } = hidden;
        let bias_gradient = row_parts(bias_gradient, division);
        (activation, penalty, Parts::columns(delta, division), bias_gradient)
    });
    let Engine { isa, pool, scratch } = engine;
    pool.run(division.parts(), |part, thread| {
        let units = division.range(part);
        let input = input.columns(units.clone());
        let weights = weights.take(part);
        scratch.with(thread, |scratch| {
            if let Some((activation, penalty, deltas, bias_gradient)) = &hidden {
                let of_units = penalty.units.map(|penalty| &penalty[units]);
                let hidden_delta = HiddenDelta {
                    next: delta,
                    weights: weights.as_ref(),
                    activations: input,
                    activation: *activation,
                    penalty: Penalty { units: of_units, ..*penalty },
                    delta: deltas.take(part),
                    bias_gradient: bias_gradient.take(part).into_row(),
                };
                hidden_delta.run(*isa, scratch);
            }
            if let (Some(rule), Some([first, second])) = (rule, &moments) {
                let (first_moment, second_moment) = (first.take(part), second.take(part));
                let (rule, delta) = (*rule, delta);
                let update =
                    Update { rule, input, skip_zeros, delta, weights, first_moment, second_moment };
                update.run(*isa, scratch);
            } else if let Some(gradient) = &gradient {
                let gradient = gradient.take(part);
                let gradient = Gemm { a: input.transposed(), b: delta, c: gradient, skip_zeros };
                gradient.run(*isa, scratch);
            }
        });
    });
}
