//! From gradients that are all in memory to new weights: where they are clipped or tied weights
//! share them, and for optimizers that no kernel is fused with.

use std::ops::Range;

use sae_kernels::{AdamOptions, Isa, Matrix, Momentum, Rule, add_weight_decay};

use crate::compute::{Engine, row_parts};
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::{Layer, end, for_each_twin, tie};
use crate::settings::{Code, Optimizer, Settings};
use crate::training::workspace::{State, Workspace};

/// The optimizer's rule of a step, which adds `lambda` w to gradients.
pub(crate) fn rule(settings: &Settings, lambda: f64, step: u64) -> Rule {
    let &Settings { beta1, beta2, epsilon, .. } = settings;
    let (learning_rate, weight_decay) = (settings.learning_rate_of(step), lambda);
    let decoupled_decay = match settings.optimizer {
        Optimizer::Momentum { momentum } => {
            return Rule::Momentum(Momentum { learning_rate, momentum, weight_decay });
        }
        Optimizer::AdamW { decay } => decay,
        _ => 0.0,
    };
    AdamOptions { learning_rate, beta1, beta2, epsilon, weight_decay, decoupled_decay }
        .at_step(step)
}

/// Adds the weight decay's part to the gradient, and gives tied weights the sum of both of theirs.
pub(crate) fn complete(isa: Isa, net: &Autoencoder, work: &mut Workspace) {
    let Autoencoder { settings, parameters, .. } = net;
    let Workspace { layers, gradient, .. } = work;
    if settings.lambda > 0.0 {
        let lambda = settings.lambda as f32;
        for layer in &*layers {
            let (weights, gradient) =
                (&parameters[layer.weights()], &mut gradient[layer.weights()]);
            add_weight_decay(isa, lambda, weights, gradient);
        }
    }
    if settings.tied {
        for_each_twin(layers, |here, there| {
            let sum = gradient[here] + gradient[there];
            (gradient[here], gradient[there]) = (sum, sum);
        });
    }
}

/// The sum of products, in eight `f64` sums that take turns.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a8.iter().zip(b8) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(a) * f64::from(b);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a) * f64::from(b));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// The gradient's length; tied weights count once.
fn norm(net: &Autoencoder, work: &Workspace) -> f64 {
    let square = |numbers: &[f32]| dot(numbers, numbers);
    let mut sum = square(&work.gradient);
    if net.settings.tied {
        let twins = &work.layers[work.layers.len() / 2..];
        sum -= twins.iter().map(|twin| square(&work.gradient[twin.weights()])).sum::<f64>();
    }
    sum.max(0.0).sqrt()
}

/// Clips the gradient and takes the optimizer's step with it.
pub(crate) fn apply(
    engine: &mut Engine,
    net: &mut Autoencoder,
    state: &mut State,
    work: &mut Workspace,
) {
    let clip = net.settings.clip;
    if clip > 0.0 {
        let norm = norm(net, work);
        if norm > clip {
            let scale = (clip / norm) as f32;
            work.gradient.iter_mut().for_each(|g| *g *= scale);
        }
    }
    let Autoencoder { settings, parameters, .. } = net;
    let learned = learned(settings, parameters);
    let parameters = &mut parameters[..learned];
    let gradient = &work.gradient[..learned];
    let (first, second) = (&mut state.first[..learned], &mut state.second[..learned]);
    // The weight decay is in the gradient; what AdamW takes away is taken from weights alone.
    let decoupled = rule(settings, 0.0, state.step);
    let plain = decoupled.without_weight_decay();
    let mut sweep = |range: Range<usize>, rule: Rule| {
        let all = [&mut *parameters, &mut *first, &mut *second];
        let numbers = all.map(|flat| &mut flat[range.clone()]);
        sweep(engine, &rule, numbers, &gradient[range]);
    };
    for layer in &work.layers {
        sweep(layer.weights(), decoupled);
        sweep(layer.biases(), plain);
    }
    if let Some(last) = work.layers.last()
        && last.biases().end < learned
    {
        sweep(last.biases().end..learned, plain);
    }
    if settings.tied {
        tie(&work.layers, parameters);
    }
}

/// How many of the parameters, from the first, are learned by gradients.
fn learned(settings: &Settings, parameters: &[f32]) -> usize {
    match settings.code {
        // Its threshold is no weight.
        Code::BatchTopK(_) => parameters.len() - 1,
        _ => parameters.len(),
    }
}

/// A run of parameters, with their moments and their gradient, through the optimizer; numbers divided
/// among the threads.
fn sweep(engine: &mut Engine, rule: &Rule, [w, m, v]: [&mut [f32]; 3], gradient: &[f32]) {
    let division = engine.divide(gradient.len(), 16);
    let [w, m, v] = [w, m, v].map(|numbers| row_parts(numbers, division));
    let isa = engine.isa;
    engine.pool.run(division.parts(), |part, _| {
        let gradient = Matrix::from_row(&gradient[division.range(part)]);
        rule.update_rows(isa, w.take(part), m.take(part), v.take(part), gradient);
    });
}

/// Adam's step for the parameters from `start` on, of which this is the gradient, without the weight
/// decay's part.
pub(crate) fn apply_piece(
    engine: &mut Engine,
    net: &mut Autoencoder,
    state: &mut State,
    layers: &[Layer],
    start: usize,
    numbers: &[f32],
) {
    let Autoencoder { settings, parameters, .. } = net;
    let decaying = rule(settings, settings.lambda, state.step);
    let plain = decaying.without_weight_decay();
    let weights = layers.iter().map(|layer| (layer.weights(), &decaying));
    let biases = layers.iter().map(|layer| (layer.biases(), &plain));
    let gate = (end(layers)..learned(settings, parameters), &plain);
    for (range, rule) in weights.chain(biases).chain([gate]) {
        let range = range.start.max(start)..range.end.min(start + numbers.len());
        if range.is_empty() {
            continue;
        }
        let all = [&mut *parameters, &mut state.first, &mut state.second];
        let gradient = &numbers[range.start - start..range.end - start];
        sweep(engine, rule, all.map(|flat| &mut flat[range.clone()]), gradient);
    }
}
