//! What a training takes from the data before the first step: the output's biases, the scale of a JumpReLU
//! code, and the variance that the loss FVU divides by.

use sae_kernels::{Activation, Loss, Matrix, MatrixMut, Operand};

use crate::compute::Engine;
use crate::data::feature::{Feature, add_columns};
use crate::data::samples::SamplesOf;
use crate::data::{Order, batches_ahead, runs};
use crate::error::{Error, Result};
use crate::network::autoencoder::{Autoencoder, Depth};
use crate::network::forward::{LayerView, forward};
use crate::settings::{Code, OutputBias, Settings};
use crate::training::centering::Centering;
use crate::training::workspace::Context;

/// Samples that are looked at: all, or as many of the first in the training's order.
const MAX_SAMPLES: usize = 1 << 14;

/// Fits a training to the samples, and a `new` network's biases and scale with it.
///
/// # Errors
/// A feature of a sample that is looked at is not finite.
pub(crate) fn fit(
    cx: &mut Context,
    samples: &SamplesOf<'_>,
    order: &mut Order,
    new: bool,
) -> Result<()> {
    let Context { engine, net, work, .. } = cx;
    let jumps = new && matches!(net.settings.code, Code::JumpRelu { .. });
    let divides = net.settings.loss == Loss::Fvu;
    if !jumps && !divides && !takes_account(&net.settings) {
        return Ok(());
    }
    let mut rows = vec![0; samples.len().min(MAX_SAMPLES)];
    let (epoch, position) = order.position();
    order.seek(0, 0);
    order.next(&mut rows);
    order.seek(epoch, position);
    if batches_ahead(samples, rows.len()) > 0 {
        // All at once, so that a disk does not wait for one after the other.
        runs(&rows, |range| samples.read_ahead(range));
    }
    let samples = samples.subset(rows);
    let summary = match divides || takes_account(&net.settings) {
        true => Some(means_and_variances(net, engine, &samples)?),
        false => None,
    };
    if let Some([_, (_, variance)]) = &summary
        && divides
    {
        net.variance = Some(variance_of_loss(*variance)?);
    }
    if let Some([inputs, targets]) = summary
        && takes_account(&net.settings)
    {
        if new && centers(&net.settings) {
            center(net, &inputs.0, &targets.0);
        }
        let rounded = |(mean, variance): (Vec<f64>, f64)| {
            let scale = if variance > 0.0 { variance.sqrt() } else { 1.0 };
            (mean.iter().map(|&mean| mean as f32).collect(), scale)
        };
        let targets = samples.targets().map(|_| rounded(targets));
        work.centering = Centering::new(&work.layers, work.skip, rounded(inputs), targets);
        if new && samples.targets().is_some() {
            scale_output(net, work.centering.ratio());
        }
        work.centering.loss_divisor = net.loss_divisor();
    }
    if jumps {
        *net.parameters.last_mut().expect("a scale") = scale_of_code(net, engine, &samples)?;
    }
    Ok(())
}

/// Whether the output's biases begin as the data's mean.
fn centers(settings: &Settings) -> bool {
    match settings.output_bias {
        OutputBias::Auto => settings.output_activation == Activation::Linear,
        OutputBias::Zero => false,
        OutputBias::Mean => true,
    }
}

/// Whether steps take account of the data's offset and scale: also where the output is a ReLU, as in the
/// pretraining of inner layers, and grows with the data.
fn takes_account(settings: &Settings) -> bool {
    let grows = matches!(settings.output_activation, Activation::Relu | Activation::LeakyRelu);
    centers(settings) || (grows && settings.output_bias == OutputBias::Auto)
}

/// The variance that the loss FVU divides by; 1 for constant data.
fn variance_of_loss(variance: f64) -> Result<f64> {
    // Beyond, gradients overflow in `f32`.
    if variance > 0.0 && !(1e-30..=1e30).contains(&variance) {
        let problem = format!(
            "fvu divides by the variance of the features, which is {variance:e}: scale the data (by \
             mean-deviation), or use squared-error"
        );
        return Err(Error::setting("loss", problem));
    }
    Ok(if variance > 0.0 { variance } else { 1.0 })
}

/// Of the inputs and of the targets, which are the inputs where there are no others: the mean of each
/// feature, and the mean square of all from their means.
fn means_and_variances(
    net: &Autoencoder,
    engine: &mut Engine,
    samples: &SamplesOf<'_>,
) -> Result<[(Vec<f64>, f64); 2]> {
    let mut features = vec![Feature::default(); samples.features()];
    let mut of_targets = vec![Feature::default(); samples.targets().map_or(0, SamplesOf::features)];
    let add = |features: &mut [Feature], numbers: &[f32]| {
        let width = features.len();
        let numbers = Matrix::new(numbers, numbers.len() / width, width);
        add_columns(features, numbers, numbers, f64::from);
    };
    net.for_chunks(engine, samples, Depth { layers: 0, logits: false }, |_, chunk| {
        add(&mut features, chunk.inputs);
        if !of_targets.is_empty() {
            add(&mut of_targets, chunk.targets);
        }
    })?;
    let of_both = [&features, if of_targets.is_empty() { &features } else { &of_targets }];
    Ok(of_both.map(|features| {
        let squares: f64 = features.iter().map(|feature| feature.spread).sum();
        let variance = squares / (samples.len() * features.len()) as f64;
        (features.iter().map(Feature::mean).collect(), variance)
    }))
}

/// Makes the output's biases the targets' mean, and takes from the first layer's what its weights make of
/// the inputs' mean: (x - mean) W + b = x W + (b - mean W). (A skip connection makes 0 of it.)
fn center(net: &mut Autoencoder, mean: &[f64], target_mean: &[f64]) {
    let layers = net.layers();
    let (first, last) = (layers[0], layers[layers.len() - 1]);
    let (weights, biases) = first.split_mut(&mut net.parameters);
    let mut shifts = vec![0.0; first.outputs];
    let (_, width) = first.stored();
    for (row, weights) in weights.chunks(width).enumerate() {
        for (at, &w) in weights.iter().enumerate() {
            let (input, unit) = if first.by_unit { (at, row) } else { (row, at) };
            shifts[unit] += mean[input] * f64::from(w);
        }
    }
    biases.iter_mut().zip(shifts).for_each(|(b, shift)| *b = (f64::from(*b) - shift) as f32);
    let outputs = net.parameters[last.biases()].iter_mut();
    outputs.zip(target_mean).for_each(|(b, &mean)| *b = mean as f32);
}

/// Scales the weights to the output, which were drawn for outputs of the inputs' size. Rows that are kept at
/// length 1 stay as they are.
fn scale_output(net: &mut Autoencoder, ratio: f64) {
    let layers = net.layers();
    let last = layers.len() - 1;
    if ratio != 1.0 && !net.settings.has_unit_rows(last) {
        let weights = &mut net.parameters[layers[last].weights()];
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * ratio) as f32);
    }
}

/// The root mean square of the code's activations before they are selected; 1 if they are all 0.
fn scale_of_code(net: &Autoencoder, engine: &mut Engine, samples: &SamplesOf<'_>) -> Result<f32> {
    /// Units at a time: the matrix of all activations is not needed.
    const UNITS: usize = 1024;
    let index = net.settings.encoder_layers() - 1;
    let layer = net.layers()[index];
    let view = LayerView::new(&net.settings, &net.parameters, index, layer);
    let (mut outputs, mut sums) = (Vec::new(), vec![0.0; UNITS]);
    let mut squares = 0.0;
    net.for_chunks(engine, samples, Depth { layers: index, logits: false }, |engine, chunk| {
        let inputs = if index == 0 { chunk.inputs } else { &chunk.outputs[index - 1] };
        let n = inputs.len() / layer.inputs;
        let input =
            Operand::new(Matrix::new(inputs, n, layer.inputs), net.settings.has_zeros(index));
        for start in (0..layer.outputs).step_by(UNITS) {
            let units = start..layer.outputs.min(start + UNITS);
            outputs.resize(n * units.len(), 0.0);
            let output = MatrixMut::new(&mut outputs, n, units.len());
            let sums = MatrixMut::from_row(&mut sums[..units.len()]);
            forward(engine, input, view.units(units), output, sums);
            squares += engine.sum(outputs.len(), |block| {
                outputs[block].iter().map(|&a| f64::from(a) * f64::from(a)).sum()
            });
        }
    })?;
    let mean = squares / (samples.len() * layer.outputs) as f64;
    let scale = mean.sqrt() as f32;
    Ok(if scale.is_normal() { scale } else { 1.0 })
}
