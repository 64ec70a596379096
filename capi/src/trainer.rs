//! Training.

use std::ffi::{c_char, c_int, c_void};
use std::ops::ControlFlow;
use std::sync::Mutex;

use sae::{
    StepReport, Trainer,
    files::{Checkpoint, Checkpoints},
};

use crate::autoencoder::SaeAutoencoder;
use crate::border::{
    Result, SaeStatus, Strided, answer, check_room, enter, fill, guard, hand_over, handle, is_busy,
    numbers, put, put_if_asked, put_text, take_back, text, text_if_any, wrong,
};
use crate::data::SaeSamples;
use crate::evaluation::{SaeActivity, SaeEvaluation, report};
use crate::settings::settings_for;

/// A training in progress. Any thread may use it, one at a time.
pub struct SaeTrainer {
    at_work: Mutex<AtWork>,
    /// Held by `sae_trainer_run`, which lets go of the other between steps.
    running: Mutex<()>,
}

struct AtWork {
    trainer: Trainer,
    /// A batch of the caller's whose numbers do not lie one after the other.
    batch: Vec<f32>,
}

/// The objective's terms over a step's batch, as the step met them (before its update).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SaeStep {
    /// Steps done, with this one.
    pub step: u64,
    /// The data term.
    pub loss: f64,
    /// The sum of KL over the units of the layers that bear it; 0 where none does.
    pub sparsity: f64,
    /// The sum of |a| over the units of the layers that bear the L1 penalty, a mean over samples.
    pub l1: f64,
    /// Units of a JumpReLU's code that are not 0, a mean over samples.
    pub l0: f64,
    /// All sparsity penalties, with their weights.
    pub penalty: f64,
}

/// Called after each step of `sae_trainer_run` with the pointer that was given to it; an answer
/// other than 0 stops. It may use the trainer, but not run or free it, and must return: no longjmp,
/// no exception.
pub type SaeAfterStep = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        trainer: *mut SaeTrainer,
        step: *const SaeStep,
    ) -> c_int,
>;

impl SaeTrainer {
    fn new(trainer: Trainer) -> Self {
        let at_work = Mutex::new(AtWork { trainer, batch: Vec::new() });
        SaeTrainer { at_work, running: Mutex::new(()) }
    }
}

impl AtWork {
    fn told(&self, report: StepReport) -> SaeStep {
        let StepReport { loss, sparsity, l1, l0, penalty, .. } = report;
        SaeStep { step: self.trainer.steps(), loss, sparsity, l1, l0, penalty }
    }

    /// Does something with a batch of the caller's.
    ///
    /// # Safety
    /// The memory is as `batch` was told, and nobody writes to it meanwhile.
    unsafe fn with_batch<T>(
        &mut self,
        batch: Strided<f32>,
        rows: usize,
        work: impl FnOnce(&mut Trainer, &[f32]) -> sae::Result<T>,
    ) -> Result<T> {
        let want = self.trainer.autoencoder().settings().batch;
        if rows != want {
            return Err(wrong("batch", format!("{rows} samples; {want} were expected")));
        }
        // SAFETY: passed on.
        if let Some(batch) = unsafe { batch.whole() } {
            return Ok(work(&mut self.trainer, batch)?);
        }
        self.batch.clear();
        // SAFETY: passed on.
        unsafe { batch.append_to("batch", &mut self.batch) }?;
        Ok(work(&mut self.trainer, &self.batch)?)
    }
}

/// # Safety
/// `trainer` is NULL or of this library, and not freed meanwhile.
unsafe fn with<T>(
    trainer: *const SaeTrainer,
    work: impl FnOnce(&mut AtWork) -> Result<T>,
) -> Result<T> {
    // SAFETY: passed on.
    let trainer = unsafe { handle("trainer", trainer) }?;
    work(&mut *enter("trainer", &trainer.at_work)?)
}

/// A trainer on samples. `settings` is JSON as for `sae_settings_complete`, or NULL. What it does not
/// name is fitted to the samples: the ends of `layers` are their features, `output_activation` is
/// "sigmoid" for samples scaled into [0, 1] and "linear" for others, and with L-BFGS `batch` is all
/// samples. `threads` is how many to use, 0 for as many as there are cores (the maximum in any
/// case): the result is the same for any number.
///
/// # Safety
/// `settings` is NULL or a string that ends in 0, `samples` NULL or of this library; `trainer` is
/// NULL or to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_new(
    settings: *const c_char,
    samples: *const SaeSamples,
    threads: usize,
    trainer: *mut *mut SaeTrainer,
) -> SaeStatus {
    guard(|| {
        let build = || {
            // SAFETY: the caller's duties.
            let (json, SaeSamples(samples)) =
                unsafe { (text_if_any("settings", settings)?, handle("samples", samples)?) };
            let mut builder = Trainer::builder(settings_for(json, samples)?);
            if threads > 0 {
                builder = builder.threads(threads);
            }
            Ok(SaeTrainer::new(builder.build(samples)?))
        };
        // SAFETY: as above.
        unsafe { hand_over("trainer", trainer, build) }
    })
}

/// A trainer that goes on from a checkpoint, with its settings, to the same bits as if it had never
/// stopped. The samples must be those it was on.
///
/// # Safety
/// As for `sae_trainer_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_resume(
    checkpoint: *const c_char,
    samples: *const SaeSamples,
    threads: usize,
    trainer: *mut *mut SaeTrainer,
) -> SaeStatus {
    guard(|| {
        let build = || {
            // SAFETY: the caller's duties.
            let (path, SaeSamples(samples)) =
                unsafe { (text("checkpoint", checkpoint)?, handle("samples", samples)?) };
            let checkpoint = Checkpoint::load(path)?;
            let settings = checkpoint.settings().clone();
            let mut builder = Trainer::builder(settings).resume(checkpoint);
            if threads > 0 {
                builder = builder.threads(threads);
            }
            Ok(SaeTrainer::new(builder.build(samples)?))
        };
        // SAFETY: as above.
        unsafe { hand_over("trainer", trainer, build) }
    })
}

/// Writes a checkpoint, and returns when it is on the disk. Until then a file of that name stays as
/// it was.
///
/// # Safety
/// `trainer` is NULL or of this library, `path` NULL or a string that ends in 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_checkpoint(
    trainer: *mut SaeTrainer,
    path: *const c_char,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let path = text("path", path)?;
            with(trainer, |AtWork { trainer, .. }| {
                let mut checkpoints = Checkpoints::new(path, 1, trainer)?;
                checkpoints.save(trainer)?;
                Ok(checkpoints.finish()?)
            })
        }
    })
}

/// Frees a trainer, and ends its threads. NULL is none. One that is at work is left alone, and
/// `sae_last_error` says so.
///
/// # Safety
/// `trainer` is NULL or of this library, and not used again unless it was left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_free(trainer: *mut SaeTrainer) {
    // SAFETY: the caller's duty.
    unsafe { take_back("trainer", trainer, |its| is_busy(&its.at_work) || is_busy(&its.running)) }
}

/// One step on the next batch of the samples. `step` may be NULL.
///
/// # Safety
/// `trainer` is NULL or of this library; `step` is NULL or to room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_step(
    trainer: *mut SaeTrainer,
    step: *mut SaeStep,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            with(trainer, |at_work| {
                let report = at_work.trainer.step()?;
                put_if_asked("step", step, at_work.told(report))
            })
        }
    })
}

/// One step on a batch of the caller's, `[rows, cols]` as for `sae_samples_from_f32`: as many
/// samples as the setting `batch` says, of as many features as the network has inputs. `step` may
/// be NULL.
///
/// # Safety
/// `trainer` is NULL or of this library, `data` NULL or to memory that has all these numbers;
/// `step` is NULL or to room for one.
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
        // SAFETY: the caller's duties.
        unsafe {
            with(trainer, |at_work| {
                let report =
                    at_work.with_batch(batch, rows, |trainer, batch| trainer.step_on(batch))?;
                put_if_asked("step", step, at_work.told(report))
            })
        }
    })
}

/// The objective's gradient on a batch of the caller's, given as for `sae_trainer_step_on`, laid
/// out as the parameters (`sae_trainer_parameters`), the weight decay's part in it. Nothing is
/// trained. `step` may be NULL.
///
/// # Safety
/// As for `sae_trainer_step_on`; `gradient` is NULL or to room for `length` numbers.
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
        // SAFETY: the caller's duties.
        unsafe {
            with(trainer, |at_work| {
                check_room("gradient", length, at_work.trainer.autoencoder().parameters().len())?;
                let mut filled = Ok(());
                let report = at_work.with_batch(batch, rows, |trainer, batch| {
                    let (report, values) = trainer.gradient_on(batch)?;
                    filled = fill("gradient", values, gradient, length);
                    Ok(report)
                })?;
                filled?;
                put_if_asked("step", step, at_work.told(report))
            })
        }
    })
}

/// One step of the optimizer with a gradient of the caller's, for example that of
/// `sae_trainer_gradient_on` with another penalty's added to it.
///
/// # Safety
/// `trainer` is NULL or of this library, `gradient` NULL or to `length` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_step_with(
    trainer: *mut SaeTrainer,
    gradient: *const f32,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let gradient = numbers("gradient", gradient, length)?;
            with(trainer, |at_work| Ok(at_work.trainer.step_with(gradient)?))
        }
    })
}

/// So many steps, or fewer if `after` (NULL for none) says to stop.
///
/// # Safety
/// `trainer` is NULL or of this library; `after` keeps to what `SaeAfterStep` asks of it, also as
/// to `user`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_run(
    trainer: *mut SaeTrainer,
    steps: u64,
    after: SaeAfterStep,
    user: *mut c_void,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duty.
        let SaeTrainer { at_work, running } = unsafe { handle("trainer", trainer) }?;
        let _running = enter("trainer", running)?;
        for _ in 0..steps {
            let done;
            {
                let mut at_work = enter("trainer", at_work)?;
                let mut report = StepReport::default();
                at_work.trainer.run(1, |_, its| {
                    report = its;
                    ControlFlow::Continue(())
                })?;
                done = at_work.told(report);
            }
            // The trainer is free meanwhile, for the caller to look at.
            // SAFETY: the caller's duty.
            let stop = after.is_some_and(|after| unsafe { after(user, trainer, &done) } != 0);
            if stop {
                break;
            }
        }
        Ok(())
    })
}

/// Steps done; 0 if it is NULL or at work.
///
/// # Safety
/// `trainer` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_steps(trainer: *const SaeTrainer) -> u64 {
    // SAFETY: the caller's duty.
    answer(0, || unsafe { with(trainer, |at_work| Ok(at_work.trainer.steps())) })
}

/// The objective that a step's numbers make, the weight decay that of now.
///
/// # Safety
/// `trainer` is NULL or of this library; `step` is NULL or to one, `objective` NULL or to room for
/// a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_objective(
    trainer: *const SaeTrainer,
    step: *const SaeStep,
    objective: *mut f64,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let step = handle("step", step)?;
            let mut report = StepReport::default();
            (report.loss, report.penalty) = (step.loss, step.penalty);
            with(trainer, |at_work| put("objective", objective, at_work.trainer.objective(report)))
        }
    })
}

/// Hidden layers; 0 if it is NULL or at work.
///
/// # Safety
/// `trainer` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_hidden_layers(trainer: *const SaeTrainer) -> usize {
    // SAFETY: the caller's duty.
    answer(0, || unsafe { with(trainer, |at_work| Ok(at_work.trainer.rho_hat().len())) })
}

/// Mean activation of every hidden layer over the last batch.
///
/// # Safety
/// `trainer` is NULL or of this library; `means` is NULL or to room for `length` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_mean_activations(
    trainer: *const SaeTrainer,
    means: *mut f64,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            with(trainer, |at_work| {
                let values: Vec<f64> = at_work.trainer.mean_activations().collect();
                fill("means", &values, means, length)
            })
        }
    })
}

/// How many parameters there are; 0 if it is NULL or at work.
///
/// # Safety
/// `trainer` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_parameter_count(trainer: *const SaeTrainer) -> usize {
    let count = |at_work: &mut AtWork| Ok(at_work.trainer.autoencoder().parameters().len());
    // SAFETY: the caller's duty.
    answer(0, || unsafe { with(trainer, count) })
}

/// All parameters: layer by layer the weights `[inputs, outputs]`, row by row, then the biases;
/// behind them the logarithms of a JumpReLU's thresholds, or the one threshold of a batch-top-k
/// code.
///
/// # Safety
/// `trainer` is NULL or of this library; `parameters` is NULL or to room for `length` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_parameters(
    trainer: *const SaeTrainer,
    parameters: *mut f32,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            with(trainer, |at_work| {
                fill("parameters", at_work.trainer.autoencoder().parameters(), parameters, length)
            })
        }
    })
}

/// All settings, as one line of JSON: to be freed by `sae_string_free`.
///
/// # Safety
/// `trainer` is NULL or of this library; `json` is NULL or to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_settings(
    trainer: *const SaeTrainer,
    json: *mut *mut c_char,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            put_text("json", json, || {
                with(trainer, |at_work| Ok(at_work.trainer.autoencoder().settings().to_json()))
            })
        }
    })
}

/// The objective over samples, which count as one batch; and, unless `layers_length` is 0, how
/// active each hidden layer is (`layers` has room for as many as there are).
///
/// # Safety
/// `trainer` and `samples` are NULL or of this library; `evaluation` is NULL or to room for one,
/// `layers` NULL or to room for `layers_length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_evaluate(
    trainer: *mut SaeTrainer,
    samples: *const SaeSamples,
    evaluation: *mut SaeEvaluation,
    layers: *mut SaeActivity,
    layers_length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let SaeSamples(samples) = handle("samples", samples)?;
            with(trainer, |AtWork { trainer, .. }| {
                let hidden = trainer.rho_hat().len();
                report(hidden, || trainer.evaluate(samples), evaluation, layers, layers_length)
            })
        }
    })
}

/// Codes of samples, `[samples, code]`, row by row; `length` is the room, in numbers.
///
/// # Safety
/// `trainer` and `samples` are NULL or of this library; `codes` is NULL or to room for `length`
/// numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_encode(
    trainer: *mut SaeTrainer,
    samples: *const SaeSamples,
    codes: *mut f32,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let SaeSamples(samples) = handle("samples", samples)?;
            with(trainer, |AtWork { trainer, .. }| {
                let units = trainer.autoencoder().settings().code_units();
                check_room("codes", length, samples.len().saturating_mul(units))?;
                fill("codes", &trainer.encode(samples)?, codes, length)
            })
        }
    })
}

/// Reconstructions of samples, `[samples, features]`, row by row; `length` is the room, in numbers.
///
/// # Safety
/// `trainer` and `samples` are NULL or of this library; `reconstructions` is NULL or to room for
/// `length` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_reconstruct(
    trainer: *mut SaeTrainer,
    samples: *const SaeSamples,
    reconstructions: *mut f32,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let SaeSamples(samples) = handle("samples", samples)?;
            with(trainer, |AtWork { trainer, .. }| {
                let count = samples.len().saturating_mul(samples.features());
                check_room("reconstructions", length, count)?;
                fill(
                    "reconstructions",
                    &{
                        let (engine, net) = trainer.parts();
                        net.reconstruct(engine, samples)
                    }?,
                    reconstructions,
                    length,
                )
            })
        }
    })
}

/// Writes the network as it is now to a model file (safetensors). Until it is whole on the disk, a
/// file of that name stays as it was.
///
/// # Safety
/// `trainer` is NULL or of this library, `path` NULL or a string that ends in 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_save(
    trainer: *mut SaeTrainer,
    path: *const c_char,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let path = text("path", path)?;
            with(trainer, |at_work| Ok(at_work.trainer.autoencoder().save(path)?))
        }
    })
}

/// A copy of the network as it is now, with threads of its own (0 for as many as there are cores).
///
/// # Safety
/// `trainer` is NULL or of this library; `autoencoder` is NULL or to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_trainer_autoencoder(
    trainer: *const SaeTrainer,
    threads: usize,
    autoencoder: *mut *mut SaeAutoencoder,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            hand_over("autoencoder", autoencoder, || {
                with(trainer, |at_work| {
                    SaeAutoencoder::new(at_work.trainer.autoencoder().clone(), threads)
                })
            })
        }
    })
}
