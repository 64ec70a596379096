//! The optimizer: a step's rule, applied to runs of parameters.

use sae_kernels::{AdamOptions, Isa, Matrix, MatrixMut, Momentum, Rule};

use crate::compute::{Largest, row_parts};
use crate::network::layers::end;
use crate::settings::{Code, Optimizer, Settings};
use crate::training::workspace::Context;

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

/// Takes a rule's step for the parameters from `start` on, of which this is the gradient.
pub(crate) fn update_span(cx: &mut Context, rule: &Rule, start: usize, gradient: &[f32]) {
    let Context { engine, net, state, work, .. } = cx;
    let of_thresholds = work.centering.of_thresholds(*rule);
    let of_weights = work.centering.of_weights(*rule);
    // Nobody asks for the largest bias or threshold.
    let others = Largest::default();
    let weights = work.layers.iter().enumerate();
    let weights =
        weights.map(|(l, layer)| (layer.weights(), of_weights, work.largest_weights.of(l)));
    let biases = work.layers.iter().enumerate();
    let biases = biases.map(|(l, layer)| {
        (layer.biases(), work.centering.of_biases(&net.settings, *rule, l), &others)
    });
    let thresholds = end(&work.layers)..learned(&net.settings, net.parameters.len());
    for (range, rule, largest) in
        weights.chain(biases).chain([(thresholds, of_thresholds, &others)])
    {
        let range = range.start.max(start)..range.end.min(start + gradient.len());
        if range.is_empty() {
            continue;
        }
        let gradient = &gradient[range.start - start..range.end - start];
        let all = [&mut net.parameters, &mut state.first, &mut state.second];
        let division = engine.divide(gradient.len(), 16);
        let [w, m, v] = all.map(|flat| row_parts(&mut flat[range.clone()], division));
        let isa = engine.isa;
        engine.pool.run(division.parts(), |part, _| {
            let numbers = [w.take(part), m.take(part), v.take(part)].map(MatrixMut::into_row);
            largest.raise(update_row(isa, &rule, numbers, &gradient[division.range(part)]));
        });
    }
}

/// Takes a rule's step for a run of parameters and their two moments, with their gradient; returns the
/// largest magnitude of the new parameters.
pub(crate) fn update_row(isa: Isa, rule: &Rule, numbers: [&mut [f32]; 3], gradient: &[f32]) -> f32 {
    let [weights, first, second] = numbers.map(MatrixMut::from_row);
    rule.update_rows(isa, weights, first, second, Matrix::from_row(gradient))
}

/// How many of the parameters, from the first, are learned by gradients.
fn learned(settings: &Settings, parameters: usize) -> usize {
    match settings.code {
        // The threshold is a running mean, the scale fixed.
        Code::BatchTopK(_) | Code::JumpRelu { .. } => parameters - 1,
        _ => parameters,
    }
}
