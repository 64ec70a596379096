//! From gradients to new parameters.

use std::mem;
use std::ops::Range;

use sae_kernels::{MatrixMut, Parts, add_weight_decay};

use crate::compute::{Engine, row_parts};
use crate::error::{Error, Result};
use crate::network::layers::{Layer, end, normalize_row};
use crate::settings::{Code, Optimizer, Settings};
use crate::training::backward::Sink;
use crate::training::bounds::{largest_gradient, largest_seen};
use crate::training::gradient::dot;
use crate::training::optimizer::{rule, update_span};
use crate::training::reduction::Reduction;
use crate::training::skip::all_gradients;
use crate::training::workspace::Context;

/// From the output layer's delta to new parameters.
///
/// # Errors
/// [`Error::Diverged`] if the gradient is too large for an update; nothing has changed then.
pub(crate) fn update(cx: &mut Context, ranks: &mut Reduction) -> Result<()> {
    let settings = &cx.net.settings;
    let rule = rule(settings, settings.lambda, cx.state.step + 1);
    // (The sums of ranks arrive piece by piece, the rows of weights before their biases.)
    let is_centered = cx.work.centering.is_active() && !ranks.is_alone();
    if needs_whole_gradient(settings) || is_centered || cx.work.sums.may_overflow > 0.0 {
        gradient(cx, ranks);
        apply_gradient(cx)?;
    } else if ranks.is_alone() {
        cx.work.gradient_norm.begin(true);
        begin_update(cx);
        all_gradients(cx, &mut Sink::Update(rule));
    } else {
        cx.work.gradient_norm.begin(false);
        begin_update(cx);
        let layers_end = end(&cx.work.layers);
        ranks.sum_gradient(layers_end, None, |gradient| {
            all_gradients(cx, &mut Sink::Buffer(gradient));
            while let Some((start, sum)) = gradient.next_sum() {
                add_span(cx, start, sum);
                update_span(cx, &rule, start, sum);
            }
        });
    }
    constrain(cx);
    Ok(())
}

/// Adds a part of a gradient that is summed piece by piece to its norm, before the update.
///
/// `start` is the part's place among the parameters.
fn add_span(cx: &mut Context, start: usize, gradient: &[f32]) {
    let Context { engine, net, work, .. } = cx;
    let (lambda, parameters) = (net.settings.lambda, &net.parameters[..]);
    if !work.gradient_norm.is_asked() {
        return;
    }
    let of_layer = |layer: &Layer| [(layer.weights(), lambda), (layer.biases(), 0.0)];
    let layers = work.layers.iter().flat_map(of_layer);
    let skip = work.skip.iter().map(|skip| (skip.weights(), lambda));
    let thresholds = (end(&work.layers)..parameters.len(), 0.0);
    for (range, lambda) in skip.chain(layers).chain([thresholds]) {
        let range = range.start.max(start)..range.end.min(start + gradient.len());
        if !range.is_empty() {
            let part = &gradient[range.start - start..range.end - start];
            let decay = (lambda > 0.0).then(|| (lambda, &parameters[range]));
            work.gradient_norm.add(engine, part, decay);
        }
    }
}

/// Prepares what an update of all weights keeps account of.
fn begin_update(cx: &mut Context) {
    let Context { engine, net, work, .. } = cx;
    work.centering.begin(engine, work.layers[0], &net.parameters);
    // A lazy rule says nothing about the weights that it leaves alone.
    if net.settings.optimizer != Optimizer::AdamLazy {
        work.largest_weights.begin_update();
    }
}

/// Whether no parameter may change before the last gradient is known.
pub(crate) fn needs_whole_gradient(settings: &Settings) -> bool {
    settings.tied || settings.clip > 0.0
}

/// The gradient of the whole batch, the weight decay's part and tied weights' sums in it, to the
/// workspace.
pub(crate) fn gradient(cx: &mut Context, ranks: &mut Reduction) {
    cx.work.allocate_gradient(&cx.net.settings);
    let mut all = mem::take(&mut cx.work.gradient);
    ranks.sum_gradient(end(&cx.work.layers), Some(&mut all), |gradient| {
        all_gradients(cx, &mut Sink::Buffer(gradient));
        while gradient.next_sum().is_some() {}
    });
    let settings = &cx.net.settings;
    if settings.lambda > 0.0 {
        for layer in cx.work.layers.iter().chain(&cx.work.skip) {
            let weights = &cx.net.parameters[layer.weights()];
            let gradient = &mut all[layer.weights()];
            divided_add_weight_decay(&mut cx.engine, settings.lambda as f32, weights, gradient);
        }
    }
    if settings.tied {
        let add = |here: &mut f32, there: &mut f32| {
            let sum = *here + *there;
            (*here, *there) = (sum, sum);
        };
        for_each_twin(&mut cx.engine, &cx.work.layers, &mut all, add);
    }
    cx.work.gradient = all;
}

/// Clips the gradient in the workspace and takes the optimizer's step with it.
///
/// # Errors
/// [`Error::Diverged`] if it is not finite, or too large for the update where it is not clipped.
pub(crate) fn apply_gradient(cx: &mut Context) -> Result<()> {
    clip(cx)?;
    if cx.work.sums.may_overflow > 0.0 {
        let largest = largest_seen(cx);
        if largest > largest_gradient(&cx.net.settings) {
            return Err(Error::Diverged { step: cx.state.step + 1 });
        }
    }
    begin_update(cx);
    let mut all = mem::take(&mut cx.work.gradient);
    cx.work.centering.correct(&mut cx.engine, cx.work.layers[0], &mut all);
    // The weight decay is in the gradient; what AdamW takes away is taken from weights alone.
    let rule = rule(&cx.net.settings, 0.0, cx.state.step + 1);
    update_span(cx, &rule, 0, &all);
    cx.work.gradient = all;
    Ok(())
}

/// How far from 1 the length of a row may be that was brought to it.
const ROUNDING: f64 = 3e-7;

/// Ties what is tied, brings to length 1 what has length 1, and keeps thresholds from falling below 0.
pub(crate) fn constrain(cx: &mut Context) {
    let Context { engine, net, work, .. } = cx;
    if net.settings.tied {
        let copy = |here: &mut f32, there: &mut f32| *there = *here;
        for_each_twin(engine, &work.layers, &mut net.parameters, copy);
    }
    if let Code::JumpRelu { .. } = net.settings.code {
        let thresholds = &mut net.parameters[end(&work.layers)..];
        thresholds.iter_mut().for_each(|threshold| *threshold = threshold.max(0.0));
    }
    if net.settings.unit_norm {
        let layer = work.layers[net.settings.encoder_layers()];
        let lazy = net.settings.is_lazy(net.settings.encoder_layers());
        let division = engine.divide(layer.inputs, 8 * layer.outputs);
        let weights = &mut net.parameters[layer.weights()];
        let rows = Parts::rows(MatrixMut::new(weights, layer.inputs, layer.outputs), division);
        engine.pool.run(division.parts(), |part, _| {
            let mut rows = rows.take(part);
            for row in 0..rows.shape().0 {
                let row = rows.row_mut(row);
                // Rows that a lazy rule has left alone have length 1, but for rounding, and stay.
                if !lazy || (dot(row, row).sqrt() - 1.0).abs() > ROUNDING {
                    normalize_row(row);
                }
            }
        });
        // Short rows have grown; a length is rounded.
        work.largest_weights.of(net.settings.encoder_layers()).raise(1.001);
    }
    work.centering.finish(engine, work.layers[0], &mut net.parameters);
}

/// The sum of squares of the gradient in the workspace, at least 0.
pub(crate) fn square_of_gradient(cx: &mut Context) -> f64 {
    let Context { engine, net, work, .. } = cx;
    let mut square = |numbers: &[f32]| {
        engine.sum(numbers.len(), |block| dot(&numbers[block.clone()], &numbers[block]))
    };
    let mut sum = square(&work.gradient);
    if net.settings.tied {
        // Tied weights count once.
        let twins = &work.layers[work.layers.len() / 2..];
        sum -= twins.iter().map(|twin| square(&work.gradient[twin.weights()])).sum::<f64>();
    }
    // A difference of sums may be a little below 0; NaN stays.
    if sum < 0.0 { 0.0 } else { sum }
}

/// Scales a gradient that is longer than the settings allow to that length.
fn clip(cx: &mut Context) -> Result<()> {
    let clip = cx.net.settings.clip;
    if clip == 0.0 && !cx.work.gradient_norm.is_asked() {
        return Ok(());
    }
    let sum = square_of_gradient(cx);
    cx.work.gradient_norm.set(sum);
    let Context { engine, state, work, .. } = cx;
    if clip == 0.0 {
        return Ok(());
    }
    let norm = sum.sqrt();
    if !sum.is_finite() {
        return Err(Error::Diverged { step: state.step + 1 });
    }
    if norm > clip {
        let scale = (clip / norm) as f32;
        let division = engine.divide(work.gradient.len(), 4);
        let gradient = row_parts(&mut work.gradient, division);
        engine.pool.run(division.parts(), |part, _| {
            gradient.take(part).into_row().iter_mut().for_each(|g| *g *= scale);
        });
    }
    Ok(())
}

/// [`add_weight_decay`], numbers divided among the threads.
fn divided_add_weight_decay(engine: &mut Engine, lambda: f32, weights: &[f32], to: &mut [f32]) {
    let division = engine.divide(to.len(), 8);
    let gradient = row_parts(to, division);
    let isa = engine.isa;
    engine.pool.run(division.parts(), |part, _| {
        let weights = &weights[division.range(part)];
        add_weight_decay(isa, lambda, weights, gradient.take(part).into_row());
    });
}

/// Calls `f` with each number of an encoder layer's weights and its twin in the decoder; inputs
/// divided among the threads.
fn for_each_twin(
    engine: &mut Engine,
    layers: &[Layer],
    flat: &mut [f32],
    f: impl Fn(&mut f32, &mut f32) + Sync,
) {
    /// Rows and columns at a time: both blocks fit the L1 cache.
    const BLOCK: usize = 32;
    for (index, layer) in layers[..layers.len() / 2].iter().enumerate() {
        let twin = layers[layers.len() - 1 - index];
        let (lower, upper) = flat.split_at_mut(twin.start);
        let (inputs, units) = (layer.inputs, layer.outputs);
        if layer.by_unit {
            // Both are stored unit by unit.
            let division = engine.divide(inputs * units, 8);
            let here = row_parts(&mut lower[layer.weights()], division);
            let there = row_parts(&mut upper[..units * inputs], division);
            engine.pool.run(division.parts(), |part, _| {
                let pairs = here.take(part).into_row().iter_mut().zip(there.take(part).into_row());
                pairs.for_each(|(here, there)| f(here, there));
            });
            continue;
        }
        let here = MatrixMut::new(&mut lower[layer.weights()], inputs, units);
        let there = MatrixMut::new(&mut upper[..units * inputs], units, inputs);
        let division = engine.divide(inputs, 8 * units);
        let (here, there) = (Parts::rows(here, division), Parts::columns(there, division));
        engine.pool.run(division.parts(), |part, _| {
            let (mut here, mut there) = (here.take(part), there.take(part));
            for (inputs, units) in blocks(here.shape(), BLOCK) {
                for unit in units {
                    let there = &mut there.row_mut(unit)[inputs.clone()];
                    for (input, there) in inputs.clone().zip(there) {
                        f(&mut here.row_mut(input)[unit], there);
                    }
                }
            }
        });
    }
}

/// The blocks of a matrix, as rows and columns.
fn blocks(
    (rows, cols): (usize, usize),
    side: usize,
) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let ranges =
        move |len: usize| (0..len).step_by(side).map(move |start| start..len.min(start + side));
    ranges(rows).flat_map(move |rows| ranges(cols).map(move |cols| (rows.clone(), cols)))
}
