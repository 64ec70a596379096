//! Training.

use std::ffi::{c_char, c_int, c_void};
use std::ops::ControlFlow;
use std::sync::Mutex;

use sae::{
    Autoencoder, Engine, Samples, StepReport, Trainer, TrainerBuilder,
    files::{Checkpoint, Checkpoints},
};

use crate::data::SaeSamples;
use crate::error::{Result, SaeStatus, guard, invalid};
use crate::network::Network;
use crate::pointers::{
    check_length, copy, free_handle, handle, is_busy, lock, new_handle, optional_text, slice,
    slice_mut, text, write_optional,
};
use crate::settings::settings_for;
use crate::strided::Strided;

/// A training in progress. Any thread may use it, one at a time.
pub struct SaeTrainer {
    state: Mutex<State>,
    /// Locked by `sae_trainer_run`, which unlocks `state` between steps.
    running: Mutex<()>,
}

/// What one call at a time may use.
pub(crate) struct State {
    pub trainer: Trainer,
    /// A copy of a batch that is not contiguous.
    batch: Vec<f32>,
}

impl Network for SaeTrainer {
    const NAME: &'static str = "trainer";

    fn with_engine<T>(
        &self,
        work: impl FnOnce(&mut Engine, &Autoencoder) -> Result<T>,
    ) -> Result<T> {
        let mut state = lock(Self::NAME, &self.state)?;
        let (engine, net) = state.trainer.parts();
        work(engine, net)
    }

    fn with_net<T>(&self, work: impl FnOnce(&Autoencoder) -> Result<T>) -> Result<T> {
        work(lock(Self::NAME, &self.state)?.trainer.autoencoder())
    }
}

/// Calls `work` with the state of a trainer.
///
/// # Safety
/// `trainer` is NULL or a valid handle, and is not freed meanwhile.
pub(crate) unsafe fn with<T>(
    trainer: *const SaeTrainer,
    work: impl FnOnce(&mut State) -> Result<T>,
) -> Result<T> {
    // SAFETY: passed on.
    let trainer = unsafe { handle("trainer", trainer) }?;
    work(&mut *lock("trainer", &trainer.state)?)
}

/// [`with`] as the whole body of a function.
///
/// # Safety
/// As for [`with`].
pub(crate) unsafe fn call(
    trainer: *const SaeTrainer,
    work: impl FnOnce(&mut State) -> Result<()>,
) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe { with(trainer, work) })
}

/// The terms of the objective over the batch of a step, before its update.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SaeStep {
    /// Steps done, including this one.
    pub step: u64,
    /// The data term, a mean over samples and features.
    pub loss: f64,
    /// The sum of KL(rho || rho_hat) over the units of the layers with a KL penalty; 0 without any.
    pub sparsity: f64,
    /// The sum of |a| over the units of the layers with an L1 penalty, a mean over samples.
    pub l1: f64,
    /// Active units per sample of a sparse code, a mean over samples; 0 for a dense one.
    pub l0: f64,
    /// All sparsity penalties, weighted.
    pub penalty: f64,
}

/// A callback that `sae_trainer_run` calls after each step, with the pointer `user` that was passed
/// to it. A result other than 0 ends the run. The callback may use the trainer, but neither run nor
/// free it, and must return: no longjmp, no C++ exception.
pub type SaeAfterStep = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        trainer: *mut SaeTrainer,
        step: *const SaeStep,
    ) -> c_int,
>;

impl SaeTrainer {
    fn new(mut builder: TrainerBuilder, samples: &Samples, threads: usize) -> Result<Self> {
        if threads > 0 {
            builder = builder.threads(threads);
        }
        let state = State { trainer: builder.build(samples)?, batch: Vec::new() };
        Ok(SaeTrainer { state: Mutex::new(state), running: Mutex::new(()) })
    }
}

impl State {
    fn step(&self, report: StepReport) -> SaeStep {
        let StepReport { loss, sparsity, l1, l0, penalty, .. } = report;
        SaeStep { step: self.trainer.steps(), loss, sparsity, l1, l0, penalty }
    }

    /// Calls `work` with a batch in C's memory.
    ///
    /// # Safety
    /// The memory is as described to `batch`, and nobody writes to it meanwhile.
    unsafe fn with_batch<T>(
        &mut self,
        batch: Strided<f32>,
        rows: usize,
        work: impl FnOnce(&mut Trainer, &[f32]) -> sae::Result<T>,
    ) -> Result<T> {
        let most = self.trainer.autoencoder().settings().batch;
        if !(1..=most).contains(&rows) {
            return Err(invalid("batch", format!("expected 1 to {most} samples, got {rows}")));
        }
        // SAFETY: passed on.
        if let Some(batch) = unsafe { batch.contiguous() } {
            return Ok(work(&mut self.trainer, batch)?);
        }
        self.batch.clear();
        // SAFETY: passed on.
        unsafe { batch.append_to("batch", &mut self.batch) }?;
        Ok(work(&mut self.trainer, &self.batch)?)
    }
}

/// Makes a trainer on samples.
///
/// `settings` is JSON as for `sae_settings_complete`, or NULL. Settings that it does not name are
/// fitted to the samples: the first and last of `layers` are the features, `output_activation` is
/// "sigmoid" for samples scaled into [0, 1] and "linear" for others, and with L-BFGS `batch` is all
/// samples. `threads` is the number of threads, at most the number of cores; 0 for the number of
/// cores. The results do not depend on it.
///
/// # Safety
/// `settings` is NULL or a NUL-terminated string; `samples` is NULL or a valid handle; `trainer` is
/// NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_new(
    settings: *const c_char,
    samples: *const SaeSamples,
    threads: usize,
    trainer: *mut *mut SaeTrainer,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("trainer", trainer, || {
            let json = optional_text("settings", settings)?;
            let SaeSamples(samples) = handle("samples", samples)?;
            SaeTrainer::new(Trainer::builder(settings_for(json, samples)?), samples, threads)
        })
    }
}

/// Resumes a training from a checkpoint, with its settings: it ends in the same bits as one that was
/// not interrupted. The samples must be those of the training.
///
/// # Safety
/// `checkpoint` is NULL or a NUL-terminated string; the rest as for `sae_trainer_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_resume(
    checkpoint: *const c_char,
    samples: *const SaeSamples,
    threads: usize,
    trainer: *mut *mut SaeTrainer,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("trainer", trainer, || {
            let path = text("checkpoint", checkpoint)?;
            let SaeSamples(samples) = handle("samples", samples)?;
            let checkpoint = Checkpoint::load(path)?;
            let builder = Trainer::builder(checkpoint.settings().clone()).resume(checkpoint);
            SaeTrainer::new(builder, samples, threads)
        })
    }
}

/// Writes a checkpoint, and returns when it is on the disk. The write is atomic: a file of that name
/// is replaced at the end, or stays as it was.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `path` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_checkpoint(
    trainer: *mut SaeTrainer,
    path: *const c_char,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    guard(|| unsafe {
        let path = text("path", path)?;
        with(trainer, |State { trainer, .. }| {
            let mut checkpoints = Checkpoints::new(path, 1, trainer)?;
            checkpoints.save(trainer)?;
            Ok(checkpoints.finish()?)
        })
    })
}

/// Frees a trainer and ends its threads. NULL is ignored. One that is in use by another call is not
/// freed, and `sae_last_error` says so.
///
/// # Safety
/// `trainer` is NULL or a valid handle, and is not used again unless it was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_free(trainer: *mut SaeTrainer) {
    // SAFETY: the caller's obligation.
    unsafe { free_handle("trainer", trainer, |its| is_busy(&its.state) || is_busy(&its.running)) }
}

/// Does one step on the next batch of the samples. `step` may be NULL.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `step` is NULL or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_step(
    trainer: *mut SaeTrainer,
    step: *mut SaeStep,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        call(trainer, |state| {
            let report = state.trainer.step()?;
            write_optional("step", step, state.step(report))
        })
    }
}

/// Does one step on a batch in the caller's memory, `[rows, cols]` as for `sae_samples_from_f32`:
/// `rows` is at most the setting `batch`, `cols` the features. Means are over these rows. `step` may be
/// NULL.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `data` is NULL or points to memory with all these values;
/// `step` is NULL or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_step_on(
    trainer: *mut SaeTrainer,
    data: *const f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
    step: *mut SaeStep,
) -> SaeStatus {
    guard(|| {
        let batch = Strided::new("data", data, (rows, cols), (row_stride, col_stride))?;
        // SAFETY: the caller's obligations.
        unsafe {
            with(trainer, |state| {
                let report =
                    state.with_batch(batch, rows, |trainer, batch| trainer.step_on(batch))?;
                write_optional("step", step, state.step(report))
            })
        }
    })
}

/// Computes the gradient of the objective, including weight decay, on a batch as for
/// `sae_trainer_step_on`, in the layout of `sae_trainer_parameters`. Parameters do not change.
/// `length` is `sae_trainer_parameter_count`; `step` may be NULL.
///
/// # Safety
/// As for `sae_trainer_step_on`; `gradient` is NULL or points to memory for `length` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_gradient_on(
    trainer: *mut SaeTrainer,
    data: *const f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
    gradient: *mut f32,
    length: usize,
    step: *mut SaeStep,
) -> SaeStatus {
    guard(|| {
        let batch = Strided::new("data", data, (rows, cols), (row_stride, col_stride))?;
        // SAFETY: the caller's obligations.
        unsafe {
            with(trainer, |state| {
                check_length("gradient", length, state.trainer.autoencoder().parameters().len())?;
                let (report, copied) = state.with_batch(batch, rows, |trainer, batch| {
                    let (report, values) = trainer.gradient_on(batch)?;
                    Ok((report, copy("gradient", values, gradient, length)))
                })?;
                copied?;
                write_optional("step", step, state.step(report))
            })
        }
    })
}

/// Writes the derivative of the objective by each number of the batch of the last
/// `sae_trainer_gradient_on`, `[rows, features]`, row-major. What the network is to reconstruct counts as a
/// constant.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `gradient` is NULL or points to memory for `length` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_input_gradient(
    trainer: *mut SaeTrainer,
    gradient: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    guard(|| unsafe {
        let gradient = slice_mut("gradient", gradient, length)?;
        with(trainer, |state| Ok(state.trainer.input_gradient(gradient)?))
    })
}

/// Does one step of the optimizer with a gradient from the caller, for example that of
/// `sae_trainer_gradient_on` plus the gradient of another penalty.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `gradient` is NULL or points to `length` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_step_with(
    trainer: *mut SaeTrainer,
    gradient: *const f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    guard(|| unsafe {
        let gradient = slice("gradient", gradient, length)?;
        with(trainer, |state| Ok(state.trainer.apply_gradient(gradient)?))
    })
}

/// Does `steps` steps, or fewer if the callback `after` ends the run. `after` may be NULL.
///
/// # Safety
/// `trainer` is NULL or a valid handle; `after` does what `SaeAfterStep` requires, with the pointer
/// `user`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_run(
    trainer: *mut SaeTrainer,
    steps: u64,
    after: SaeAfterStep,
    user: *mut c_void,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's obligation.
        let SaeTrainer { state, running } = unsafe { handle("trainer", trainer) }?;
        let _running = lock("trainer", running)?;
        for _ in 0..steps {
            let step;
            {
                let mut state = lock("trainer", state)?;
                let mut report = StepReport::default();
                state.trainer.run(1, |_, its| {
                    report = its;
                    ControlFlow::Continue(())
                })?;
                step = state.step(report);
            }
            // The state is unlocked here, so that the callback can use the trainer.
            // SAFETY: the caller's obligation.
            if after.is_some_and(|after| unsafe { after(user, trainer, &step) } != 0) {
                break;
            }
        }
        Ok(())
    })
}
