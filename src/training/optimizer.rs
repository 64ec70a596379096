//! The optimizer: a step's rule, applied to runs of parameters.

use sae_kernels::{AdamOptions, Bands, Isa, Matrix, MatrixMut, Momentum, Rule};

use crate::compute::Largest;
use crate::network::layers::end;
use crate::settings::{Code, Optimizer, Settings};
use crate::training::workspace::Context;

/// The optimizer's rule of a step, which adds `lambda` w to gradients.
pub(crate) fn rule(settings: &Settings, lambda: f64, step: u64) -> Rule {
    let &Settings { beta1, beta2, epsilon, .. } = settings;
    let (learning_rate, weight_decay) = (settings.learning_rate_of(step), lambda);
    let decoupled_decay = match settings.optimizer {
        Optimizer::Momentum { momentum } => {
            return Rule::Momentum(Momentum {
                learning_rate,
                momentum,
                weight_decay,
                orthogonal: false,
            });
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
    let of_thresholds = work.centering.of_thresholds(&net.settings, *rule);
    // Nobody asks for the largest bias or threshold.
    let others = Largest::default();
    let settings = &net.settings;
    let layers = work.layers.iter().enumerate().flat_map(|(l, layer)| {
        let (weights, biases) = work.centering.of_layer(settings, *rule, l, *layer);
        [
            (layer.weights(), layer.stored().1, weights, work.largest_weights.of(l)),
            (layer.biases(), 1, biases, &others),
        ]
    });
    let thresholds = end(&work.layers)..learned(settings, net.parameters.len());
    let skip = work.skip.into_iter().map(|skip| {
        let rule = work.centering.rule_of_skip(*rule);
        (skip.weights(), skip.stored().1, rule, work.largest_weights.of(work.layers.len()))
    });
    let layers = skip.chain(layers);
    for (range, width, rule, largest) in layers.chain([(thresholds, 1, of_thresholds, &others)]) {
        let range = range.start.max(start)..range.end.min(start + gradient.len());
        if range.is_empty() {
            continue;
        }
        let gradient = &gradient[range.start - start..range.end - start];
        let all = [&mut net.parameters, &mut state.first, &mut state.second];
        let width = if rule.is_by_row() { width } else { 1 };
        let division = engine.divide(gradient.len() / width, 16 * width);
        let [w, m, v] = all.map(|flat| Bands::new(&mut flat[range.clone()], width, division));
        let isa = engine.isa;
        engine.pool.run(division.parts(), |part, _| {
            let numbers = [w.take(part), m.take(part), v.take(part)];
            let own = division.range(part);
            let gradient = &gradient[own.start * width..own.end * width];
            let width = if rule.is_by_row() { width } else { gradient.len() };
            largest.raise(update_rows(isa, &rule, width, numbers, gradient));
        });
    }
}

/// Takes a rule's step for a run of parameters and their two moments, with their gradient; returns the
/// largest magnitude of the new parameters. A lazy rule leaves alone each whose gradient is 0.
pub(crate) fn update_each(
    isa: Isa,
    rule: &Rule,
    numbers: [&mut [f32]; 3],
    gradient: &[f32],
) -> f32 {
    let width = if rule.is_lazy() { 1 } else { gradient.len() };
    update_rows(isa, rule, width, numbers, gradient)
}

/// The same, for rows of this width.
fn update_rows(
    isa: Isa,
    rule: &Rule,
    width: usize,
    numbers: [&mut [f32]; 3],
    gradient: &[f32],
) -> f32 {
    let rows = gradient.len() / width.max(1);
    let [weights, first, second] = numbers.map(|all| MatrixMut::new(all, rows, width));
    rule.update_rows(isa, weights, first, second, Matrix::new(gradient, rows, width))
}

/// How many of the parameters, from the first, are learned by gradients.
fn learned(settings: &Settings, parameters: usize) -> usize {
    match settings.code {
        // The threshold is a running mean, the scale fixed.
        Code::BatchTopK(_) | Code::JumpRelu { .. } => parameters - 1,
        _ => parameters,
    }
}
