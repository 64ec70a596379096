//! One training step, from the batch in the workspace to the updated parameters.
//!
//! Shapes: the batch is `[n, features]`; a layer has weights `[inputs, units]`, activations and delta
//! `[n, units]`. Threads meet between the layers; what a step leaves to the next is changed only once
//! its objective was found finite.

use std::mem;

use sae_kernels::sparsity;

use crate::error::{Error, Result};
use crate::network::layers::end;
use crate::settings::{LayerPenalty, Settings};
use crate::training::controller::control;
use crate::training::dead_units::MAX_INACTIVE;
use crate::training::forward::forward;
use crate::training::objective::{StepReport, objective};
use crate::training::reduction::Reduction;
use crate::training::update::{apply_gradient, constrain, gradient, update};
use crate::training::workspace::{Context, State, Workspace};

/// Trains on the batch in the workspace, this rank's part of the whole batch.
pub(crate) fn step(cx: &mut Context, ranks: &mut Reduction) -> Result<StepReport> {
    let report = observe(cx, ranks)?;
    update(cx, ranks).inspect_err(|_| cx.work.uncommitted = false)?;
    commit(cx);
    Ok(report)
}

/// The objective's terms on the batch in the workspace, and its gradient to the workspace; nothing
/// that outlives the step changes.
pub(crate) fn value_and_gradient(cx: &mut Context, ranks: &mut Reduction) -> Result<StepReport> {
    let report = observe(cx, ranks)?;
    gradient(cx, ranks);
    Ok(report)
}

/// The rest of a step, with the gradient in the workspace.
pub(crate) fn step_with_gradient(cx: &mut Context) -> Result<()> {
    apply_gradient(cx)?;
    constrain(cx);
    commit(cx);
    Ok(())
}

/// Forward, sums over all ranks, the objective's terms, and the KL penalty's gradient.
fn observe(cx: &mut Context, ranks: &mut Reduction) -> Result<StepReport> {
    // Until this batch is known to be good, a step has none to take over.
    cx.work.uncommitted = false;
    cx.work.penalty_factor = cx.penalty_factor();
    cx.work.centering.loss_divisor = cx.net.loss_divisor();
    forward(cx, ranks);
    ranks.reduce(&mut cx.work.sums)?;
    take_means(cx);
    let (settings, factor) = (&cx.net.settings, cx.work.penalty_factor);
    let report = objective(cx.engine.isa, settings, factor, &cx.observed());
    if !report.is_finite() {
        return Err(Error::Diverged { step: cx.state.step + 1 });
    }
    penalty_gradients(cx);
    cx.work.uncommitted = true;
    Ok(report)
}

/// Mean activations of the batch, and running means with them.
fn take_means(cx: &mut Context) {
    let Context { engine, net, state, work, .. } = cx;
    let settings = &net.settings;
    let Workspace { samples, sums, means, running_means, .. } = work;
    for (means, sums) in means.iter_mut().zip(&sums.activations) {
        means.copy_from_slice(sums);
        sparsity::mean(engine.isa, *samples, means);
    }
    let kept = if state.step == 0 { 0.0 } else { settings.rho_momentum as f32 };
    for (layer, running) in running_means.iter_mut().enumerate() {
        let before = state.running_means[layer].iter();
        for ((running, &before), mean) in running.iter_mut().zip(before).zip(&means[layer]) {
            *running = kept * before + (1.0 - kept) * mean;
        }
    }
}

/// The KL penalty's gradient for each unit. It needs rho_hat over the whole batch, and then acts like a
/// bias.
fn penalty_gradients(cx: &mut Context) {
    let mut penalties = mem::take(&mut cx.work.penalties);
    let observed = cx.observed();
    for (layer, gradient) in penalties.iter_mut().enumerate() {
        let Some(LayerPenalty { rho, beta, .. }) = cx.net.settings.penalty_of(layer) else {
            continue;
        };
        if beta > 0.0 {
            let weight = (cx.work.penalty_factor * beta / observed.samples as f64) as f32;
            let means = observed.kl_means(layer);
            sparsity::kl_gradient(cx.engine.isa, rho as f32, weight, means, gradient);
        }
    }
    cx.work.penalties = penalties;
}

/// Counts the step, takes over what its batch changes besides parameters and moments, and lets the
/// controller see it. A step with a gradient from outside may have no batch.
fn commit(cx: &mut Context) {
    let Context { net, state, work, .. } = cx;
    let has_batch = mem::take(&mut work.uncommitted);
    if has_batch {
        mem::swap(&mut state.running_means, &mut work.running_means);
        if let Some(smallest) = work.smallest_kept.take() {
            let threshold = &mut net.parameters[end(&work.layers)];
            let before = if state.step == 0 { smallest } else { *threshold };
            *threshold = 0.99 * before + 0.01 * smallest;
        }
        count_inactive(state, &net.settings, work);
    }
    state.step += 1;
    work.gradient_norm.finish();
    if has_batch {
        control(cx);
    }
}

/// Counts the batch's samples for the units of a sparse code that were not active in it.
fn count_inactive(state: &mut State, settings: &Settings, work: &Workspace) {
    let samples = u32::try_from(work.samples).unwrap_or(MAX_INACTIVE);
    let activations = &work.sums.activations[settings.encoder_layers() - 1];
    for (inactive, &sum) in state.inactive.iter_mut().zip(activations) {
        // Of a unit that was active, a sum of exactly 0 is possible with signed activations alone.
        *inactive = if sum == 0.0 { (*inactive + samples).min(MAX_INACTIVE) } else { 0 };
    }
}
