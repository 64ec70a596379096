//! What a training has reached: its figures, parameters, codes and network.

use std::ffi::c_char;

use sae::StepReport;

use crate::autoencoder::SaeAutoencoder;
use crate::data::SaeSamples;
use crate::error::{SaeStatus, guard, value_or};
use crate::evaluation::{SaeActivity, SaeEvaluation};
use crate::network::{self, count, hidden_layers};
use crate::pointers::{copy, handle, new_handle, write};
use crate::trainer::{SaeStep, SaeTrainer, call, with};

/// The number of steps done; 0 if the trainer is NULL or in use.
///
/// # Safety
/// `trainer` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_steps(trainer: *const SaeTrainer) -> u64 {
    // SAFETY: the caller's obligation.
    value_or(0, || unsafe { with(trainer, |state| Ok(state.trainer.steps())) })
}

/// Computes the objective from the terms of a step, with the weight decay of the current weights.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `step` is NULL or points to one; `objective` is NULL or
/// points to memory for a value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_objective(
    trainer: *const SaeTrainer,
    step: *const SaeStep,
    objective: *mut f64,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    guard(|| unsafe {
        let step = handle("step", step)?;
        let mut report = StepReport::default();
        (report.loss, report.penalty) = (step.loss, step.penalty);
        with(trainer, |state| write("objective", objective, state.trainer.objective(report)))
    })
}

/// The number of hidden layers; 0 if the trainer is NULL or in use.
///
/// # Safety
/// `trainer` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_hidden_layers(trainer: *const SaeTrainer) -> usize {
    // SAFETY: the caller's obligation.
    unsafe { count(trainer, hidden_layers) }
}

/// Copies the mean activation of every hidden layer over the last batch. `length` is
/// `sae_trainer_hidden_layers`.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `means` is NULL or points to memory for `length` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_mean_activations(
    trainer: *const SaeTrainer,
    means: *mut f64,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        call(trainer, |state| {
            let values: Vec<f64> = state.trainer.mean_activations().collect();
            copy("means", &values, means, length)
        })
    }
}

/// The number of parameters; 0 if the trainer is NULL or in use.
///
/// # Safety
/// `trainer` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_parameter_count(trainer: *const SaeTrainer) -> usize {
    // SAFETY: the caller's obligation.
    unsafe { count(trainer, |net| net.parameters().len()) }
}

/// Copies all parameters: for each layer the weights `[inputs, outputs]`, row-major, and the biases;
/// at the end the thresholds of a JumpReLU code and the scale that they are multiples of, or the one
/// threshold of a batch-top-k code. The weights of the layer of a sparse code are `[outputs, inputs]`.
/// `length` is `sae_trainer_parameter_count`.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `parameters` is NULL or points to memory for `length`
/// values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_parameters(
    trainer: *const SaeTrainer,
    parameters: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::parameters(trainer, parameters, length) }
}

/// All settings as one line of JSON. Free it with `sae_string_free`.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `json` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_settings(
    trainer: *const SaeTrainer,
    json: *mut *mut c_char,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::settings(trainer, json) }
}

/// Evaluates the objective over samples, as one batch, and how active each hidden layer is.
/// `layers_length` is the number of hidden layers, or 0 to skip `layers`, which may then be NULL.
///
/// # Safety
/// `trainer` and `samples` are NULL or valid handles; `evaluation` is NULL or points to memory for
/// one, `layers` is NULL or points to memory for `layers_length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_evaluate(
    trainer: *mut SaeTrainer,
    samples: *const SaeSamples,
    evaluation: *mut SaeEvaluation,
    layers: *mut SaeActivity,
    layers_length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::evaluate(trainer, samples, evaluation, layers, layers_length) }
}

/// Computes the codes of samples, `[samples, code units]`, row-major. `length` is their number of
/// values.
///
/// # Safety
/// `trainer` and `samples` are NULL or valid handles; `codes` is NULL or points to memory for
/// `length` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_encode(
    trainer: *mut SaeTrainer,
    samples: *const SaeSamples,
    codes: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::encode(trainer, samples, codes, length) }
}

/// Computes the reconstructions of samples, `[samples, features]`, row-major. `length` is their
/// number of values.
///
/// # Safety
/// `trainer` and `samples` are NULL or valid handles; `reconstructions` is NULL or points to memory
/// for `length` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_reconstruct(
    trainer: *mut SaeTrainer,
    samples: *const SaeSamples,
    reconstructions: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::reconstruct(trainer, samples, reconstructions, length) }
}

/// Writes the current network to a model file (safetensors). The write is atomic: a file of that
/// name is replaced at the end, or stays as it was.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `path` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_save(
    trainer: *mut SaeTrainer,
    path: *const c_char,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::save(trainer, path) }
}

/// Copies the current network to an autoencoder with its own threads. `threads` is their number, at
/// most the number of cores; 0 for the number of cores.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `autoencoder` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_autoencoder(
    trainer: *const SaeTrainer,
    threads: usize,
    autoencoder: *mut *mut SaeAutoencoder,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("autoencoder", autoencoder, || {
            let net = with(trainer, |state| Ok(state.trainer.autoencoder().clone()))?;
            SaeAutoencoder::new(net, threads)
        })
    }
}
