//! One training step, from the batch to the updated weights.
//!
//! Shapes: the batch is `[n, d]`; layer l has weights `[in, out]`, activations and delta
//! `[n, out]`. Where phases follow each other, the threads meet between them.

use std::sync::Mutex;

use sae_kernels::gemm;
use sae_kernels::{Adam, Matrix, MatrixMut, Parts, adam_sweep, sparsity};

use crate::autoencoder::Autoencoder;
use crate::engine::{Engine, LayerView, forward, row_parts};
use crate::error::{Error, Result};
use crate::network::{Layer, layout};
use crate::samples::Samples;
use crate::settings::Settings;

/// Every buffer that a step needs, allocated once.
#[derive(Debug)]
pub(crate) struct Workspace {
    layers: Vec<Layer>,
    /// The samples of the batch.
    pub rows: Vec<u32>,
    /// `[n, d]`
    pub batch: Vec<f32>,
    /// Of every hidden layer, `[n, out]`.
    activations: Vec<Vec<f32>>,
    /// Of every layer, `[n, out]`.
    deltas: Vec<Vec<f32>>,
    /// Of every hidden layer: column sums, then mean activations.
    pub rho_hat: Vec<Vec<f32>>,
    /// Of every hidden layer: the sparsity penalty's gradient for each activation.
    penalties: Vec<Vec<f32>>,
    /// Of every layer, `[out]`.
    bias_gradients: Vec<Vec<f32>>,
    /// Of every feature.
    squared_errors: Vec<f32>,
}

impl Workspace {
    pub fn new(settings: &Settings) -> Self {
        let n = settings.batch;
        let layers = layout(&settings.layers);
        let hidden = &layers[..layers.len() - 1];
        let per_unit = |layers: &[Layer]| layers.iter().map(|l| vec![0.0; l.outputs]).collect();
        let per_sample =
            |layers: &[Layer]| layers.iter().map(|l| vec![0.0; n * l.outputs]).collect();
        Workspace {
            rows: vec![0; n],
            batch: vec![0.0; n * layers[0].inputs],
            activations: per_sample(hidden),
            deltas: per_sample(&layers),
            rho_hat: per_unit(hidden),
            penalties: per_unit(hidden),
            bias_gradients: per_unit(&layers),
            squared_errors: vec![0.0; layers[0].inputs],
            layers,
        }
    }
}

/// Adam's moments, laid out as the parameters, and the steps done.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
    pub step: u64,
}

/// The objective's terms over a batch, as a step meets them (before its update).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// Mean squared error over the batch.
    pub loss: f64,
    /// S, the sum of KL over the encoder's hidden units; 0 where beta is 0.
    pub sparsity: f64,
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
    moments: &mut Moments,
    work: &mut Workspace,
    skip_zeros: bool,
) -> Result<StepReport> {
    let Autoencoder { settings, parameters, .. } = net;
    let Workspace { layers, activations, deltas, rho_hat, penalties, bias_gradients, .. } = work;
    let n = settings.batch;
    let last = layers.len() - 1;
    let batch = Matrix::new(&work.batch, n, layers[0].inputs);

    // Forward through the hidden layers, with the mean activation of each unit.
    for l in 0..last {
        let layer = layers[l];
        let (before, rest) = activations.split_at_mut(l);
        let input = before.last().map_or(batch, |a| Matrix::new(a, n, layer.inputs));
        rho_hat[l].fill(0.0);
        let output = MatrixMut::new(&mut rest[0], n, layer.outputs);
        let view = view(settings, parameters, layer, false);
        forward(engine, input, skip_zeros && l == 0, view, output, &mut rho_hat[l]);
        sparsity::mean(engine.isa, n, &mut rho_hat[l]);
    }

    // The sparsity penalty needs rho_hat over the whole batch, and then is like a bias.
    let mut sparsity = 0.0;
    let penalised = settings.penalised_layers();
    for l in 0..penalised {
        let (rho, weight) = (settings.rho as f32, (settings.beta / n as f64) as f32);
        sparsity::kl_gradient(engine.isa, rho, weight, &rho_hat[l], &mut penalties[l]);
        sparsity += sparsity::kl_value(engine.isa, rho, &rho_hat[l]);
    }

    let adam = Adam::new(
        settings.learning_rate,
        settings.beta1,
        settings.beta2,
        settings.epsilon,
        settings.lambda,
        moments.step + 1,
    );

    // The output layer: reconstruction, its error and its delta.
    let layer = layers[last];
    let input = &activations[last - 1];
    output_phase(
        engine,
        Matrix::new(input, n, layer.inputs),
        view(settings, parameters, layer, true),
        batch,
        MatrixMut::new(&mut deltas[last], n, layer.outputs),
        &mut work.squared_errors,
        &mut bias_gradients[last],
    );
    let errors: f64 = work.squared_errors.iter().map(|&e| f64::from(e)).sum();
    let loss = errors / (n as f64 * layer.outputs as f64);
    if !(loss.is_finite() && sparsity.is_finite()) {
        return Err(Error::Diverged { step: moments.step + 1 });
    }

    // Backward: each layer hands its delta on before its weights change.
    moments.step += 1;
    for l in (0..=last).rev() {
        let layer = layers[l];
        let (below, delta) = deltas.split_at_mut(l);
        let delta = Matrix::new(&delta[0], n, layer.outputs);
        let (weights, biases) = layer.split_mut(parameters);
        let (first, first_biases) = layer.split_mut(&mut moments.first);
        let (second, second_biases) = layer.split_mut(&mut moments.second);
        let unpenalised = adam.without_weight_decay();
        adam_sweep(
            engine.isa,
            &unpenalised,
            biases,
            first_biases,
            second_biases,
            &bias_gradients[l],
        );
        let input = if l == 0 { batch } else { Matrix::new(&activations[l - 1], n, layer.inputs) };
        let hidden = (l > 0).then(|| {
            bias_gradients[l - 1].fill(0.0);
            Hidden {
                activation: settings.activation,
                penalty: (l <= penalised).then_some(&*penalties[l - 1]),
                delta: MatrixMut::new(&mut below[l - 1], n, layer.inputs),
                bias_gradient: &mut bias_gradients[l - 1],
            }
        });
        backward_phase(
            engine,
            &adam,
            delta,
            input,
            skip_zeros && l == 0,
            hidden,
            [weights, first, second].map(|flat| MatrixMut::new(flat, layer.inputs, layer.outputs)),
        );
    }
    Ok(StepReport { loss, sparsity })
}

/// A layer's parameters as they are read.
pub(crate) fn view<'a>(
    settings: &Settings,
    parameters: &'a [f32],
    layer: Layer,
    output: bool,
) -> LayerView<'a> {
    LayerView {
        weights: Matrix::new(&parameters[layer.weights()], layer.inputs, layer.outputs),
        biases: &parameters[layer.biases()],
        activation: if output { settings.output_activation } else { settings.activation },
    }
}

/// The output layer forward, its squared errors, delta and bias gradient; units divided among the
/// threads.
fn output_phase(
    engine: &mut Engine,
    input: Matrix<'_>,
    layer: LayerView<'_>,
    target: Matrix<'_>,
    delta: MatrixMut<'_>,
    squared_errors: &mut [f32],
    bias_gradient: &mut [f32],
) {
    let (n, units) = delta.shape();
    // d MSE / d a = 2 (a - x) / (n d)
    let scale = (2.0 / (n as f64 * units as f64)) as f32;
    let division = engine.divide(units, n * layer.weights.shape().0);
    squared_errors.fill(0.0);
    bias_gradient.fill(0.0);
    let deltas = Parts::columns(delta, division);
    let squared_errors = row_parts(squared_errors, division);
    let bias_gradient = row_parts(bias_gradient, division);
    let Engine { isa, team, scratch } = engine;
    team.run(division.parts(), |part, thread| {
        let units = division.range(part);
        let layer = layer.units(units.clone());
        let mut squared_errors = squared_errors.take(part);
        let mut bias_gradient = bias_gradient.take(part);
        scratch.with(thread, |scratch| {
            gemm::output_delta(
                *isa,
                input,
                false,
                layer.weights,
                layer.biases,
                layer.activation,
                target.columns(units),
                scale,
                deltas.take(part),
                squared_errors.row_mut(0),
                bias_gradient.row_mut(0),
                scratch,
            );
        });
    });
}

/// What a layer hands on to the layer below it.
struct Hidden<'a> {
    activation: sae_kernels::Activation,
    penalty: Option<&'a [f32]>,
    delta: MatrixMut<'a>,
    bias_gradient: &'a mut [f32],
}

/// A layer's way back. The layer below's units, which are this layer's inputs and so rows of its
/// weights, are divided among the threads; each first computes the delta of its units, then
/// updates its rows, which are in its cache by then. No row is read after it changed.
#[allow(clippy::too_many_arguments)]
fn backward_phase(
    engine: &mut Engine,
    adam: &Adam,
    delta: Matrix<'_>,
    input: Matrix<'_>,
    skip_zeros: bool,
    hidden: Option<Hidden<'_>>,
    parameters: [MatrixMut<'_>; 3],
) {
    let (n, outputs) = delta.shape();
    let inputs = input.shape().1;
    let division = engine.divide(inputs, n * outputs);
    let [weights, first, second] = parameters.map(|whole| Parts::rows(whole, division));
    let hidden = hidden.map(|hidden| {
        let Hidden { activation, penalty, delta, bias_gradient } = hidden;
        let bias_gradient = row_parts(bias_gradient, division);
        (activation, penalty, Parts::columns(delta, division), bias_gradient)
    });
    let Engine { isa, team, scratch } = engine;
    team.run(division.parts(), |part, thread| {
        let units = division.range(part);
        let input = input.columns(units.clone());
        let weights = weights.take(part);
        scratch.with(thread, |scratch| {
            if let Some((activation, penalty, deltas, bias_gradient)) = &hidden {
                gemm::hidden_delta(
                    *isa,
                    delta,
                    weights.as_ref(),
                    input,
                    *activation,
                    penalty.map(|penalty| &penalty[units]),
                    deltas.take(part),
                    bias_gradient.take(part).row_mut(0),
                    scratch,
                );
            }
            let (first, second) = (first.take(part), second.take(part));
            gemm::update(*isa, adam, input, skip_zeros, delta, weights, first, second, scratch);
        });
    });
}
