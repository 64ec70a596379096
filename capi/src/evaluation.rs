//! What an evaluation tells C.

use sae::Evaluation;

use crate::border::{Result, check_room, fill, put};

/// The objective over a data set, and its terms.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SaeEvaluation {
    /// loss + penalty + lambda * weight_decay.
    pub objective: f64,
    /// The objective's data term, a mean over samples and features.
    pub loss: f64,
    /// The sum of KL over the units of the layers that bear it; 0 where none does.
    pub sparsity: f64,
    /// The sum of |a| over the units of the layers that bear the L1 penalty, a mean over samples.
    pub l1: f64,
    /// All sparsity penalties, with their weights.
    pub penalty: f64,
    /// Half the sum of the squared weights.
    pub weight_decay: f64,
    /// Mean squared error over all samples and features, whatever the loss.
    pub squared_error: f64,
    /// Share of the data's variance that the reconstructions have; NaN where the data does not
    /// vary.
    pub explained_variance: f64,
}

/// How active a hidden layer is over a data set.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SaeActivity {
    /// The layer's units.
    pub units: usize,
    /// Units that are active in no sample.
    pub dead_units: usize,
    /// Mean activation, over samples and units.
    pub mean_activation: f64,
    /// Units active in a sample, a mean over samples. (Active is what is further from 0 than 0
    /// where the layer has exact zeros, than 0.1 elsewhere.)
    pub l0: f64,
}

/// Evaluates, and writes what was asked for.
///
/// # Safety
/// `out` is NULL or to room for one, `layers` NULL or to room for `layers_length`.
pub unsafe fn report(
    hidden: usize,
    evaluate: impl FnOnce() -> sae::Result<Evaluation>,
    out: *mut SaeEvaluation,
    layers: *mut SaeActivity,
    layers_length: usize,
) -> Result<()> {
    // Before the work, which may take long.
    // SAFETY: passed on.
    unsafe { put("evaluation", out, SaeEvaluation::default()) }?;
    if layers_length > 0 {
        check_room("layers", layers_length, hidden)?;
    }
    let evaluation = evaluate()?;
    let activities: Vec<_> = evaluation
        .layers
        .iter()
        .zip(evaluation.mean_activations())
        .map(|(layer, mean_activation)| SaeActivity {
            units: layer.largest.len(),
            dead_units: layer.dead_units().count(),
            mean_activation,
            l0: layer.l0,
        })
        .collect();
    let activities = if layers_length > 0 { &activities[..] } else { &[] };
    // SAFETY: passed on.
    unsafe { fill("layers", activities, layers, layers_length) }?;
    let Evaluation {
        objective,
        loss,
        sparsity,
        l1,
        penalty,
        weight_decay,
        squared_error,
        explained_variance,
        ..
    } = evaluation;
    let numbers = SaeEvaluation {
        objective,
        loss,
        sparsity,
        l1,
        penalty,
        weight_decay,
        squared_error,
        explained_variance,
    };
    // SAFETY: passed on.
    unsafe { put("evaluation", out, numbers) }
}
