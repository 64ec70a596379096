//! The results of an evaluation, as C sees them.

use sae::{Evaluation, analysis::Activity};

use crate::error::Result;
use crate::pointers::{check_length, copy, write};

/// The objective over a data set, and its terms.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SaeEvaluation {
    /// The objective: loss + penalty + lambda * weight_decay.
    pub objective: f64,
    /// The data term of the objective, a mean over samples and features.
    pub loss: f64,
    /// The sum of KL(rho || rho_hat) over the units of the layers with a KL penalty; 0 without any.
    pub sparsity: f64,
    /// The sum of |a| over the units of the layers with an L1 penalty, a mean over samples.
    pub l1: f64,
    /// All sparsity penalties, weighted.
    pub penalty: f64,
    /// Half the sum of the squared weights.
    pub weight_decay: f64,
    /// Mean squared error over all samples and features, independent of the setting `loss`.
    pub squared_error: f64,
    /// Share of the variance of the data that the reconstructions explain; NaN if the data is
    /// constant.
    pub explained_variance: f64,
}

/// How active a hidden layer is over a data set.
///
/// A unit is active in a sample if its |a| is above 0 in a layer with exact zeros (ReLU, saturating
/// linear, sparse codes), above 0.1 in others.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SaeActivity {
    /// Number of units of the layer.
    pub units: usize,
    /// Number of units that are active in no sample.
    pub dead_units: usize,
    /// Mean activation, over samples and units.
    pub mean_activation: f64,
    /// Active units per sample, a mean over samples.
    pub l0: f64,
}

/// Evaluates, and writes the results.
///
/// # Safety
/// `out` is NULL or points to memory for one, `layers` is NULL or points to memory for
/// `layers_length`.
pub unsafe fn report(
    hidden: usize,
    evaluate: impl FnOnce() -> sae::Result<Evaluation>,
    out: *mut SaeEvaluation,
    layers: *mut SaeActivity,
    layers_length: usize,
) -> Result<()> {
    // The arguments are checked before the evaluation, which may take long.
    // SAFETY: passed on.
    unsafe { write("evaluation", out, SaeEvaluation::default()) }?;
    if layers_length > 0 {
        check_length("layers", layers_length, hidden)?;
    }
    let evaluation = evaluate()?;
    let means = evaluation.mean_activations();
    let activity = |(layer, mean_activation): (&Activity, f64)| SaeActivity {
        units: layer.largest.len(),
        dead_units: layer.dead_units().count(),
        mean_activation,
        l0: layer.l0,
    };
    // All of them, or none.
    let activities = evaluation.layers.iter().zip(means).take(layers_length).map(activity);
    let terms = SaeEvaluation {
        objective: evaluation.objective,
        loss: evaluation.loss,
        sparsity: evaluation.sparsity,
        l1: evaluation.l1,
        penalty: evaluation.penalty,
        weight_decay: evaluation.weight_decay,
        squared_error: evaluation.squared_error,
        explained_variance: evaluation.explained_variance,
    };
    // SAFETY: passed on.
    unsafe {
        copy("layers", &activities.collect::<Vec<_>>(), layers, layers_length)?;
        write("evaluation", out, terms)
    }
}
