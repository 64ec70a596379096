//! A network without a training: from a model file, or a copy of a trainer's.

use std::ffi::c_char;
use std::sync::Mutex;

use sae::{
    Autoencoder, Engine, Isa, Samples,
    compute::{ThreadPool, available_threads},
    data::Array,
};

use crate::border::{
    Failure, Result, SaeStatus, answer, check_room, enter, fill, guard, hand_over, handle, is_busy,
    numbers, put_text, take_back, text, wrong,
};
use crate::data::SaeSamples;
use crate::evaluation::{SaeActivity, SaeEvaluation, report};

/// An autoencoder, and the threads it computes with. Any thread may use it, one at a time.
pub struct SaeAutoencoder(Mutex<AtWork>);

struct AtWork {
    net: Autoencoder,
    engine: Engine,
}

impl SaeAutoencoder {
    pub(crate) fn new(net: Autoencoder, threads: usize) -> Result<Self> {
        let threads = if threads == 0 { available_threads() } else { threads };
        let engine = Engine::new(isa()?, ThreadPool::new(threads));
        Ok(SaeAutoencoder(Mutex::new(AtWork { net, engine })))
    }
}

/// The instruction set that `SAE_ISA` names, or the fastest.
pub fn isa() -> Result<Isa> {
    let wrong = |text: String| Failure { status: SaeStatus::Setting, text };
    Isa::from_environment().map_err(|e| wrong(format!("SAE_ISA: {e}")))
}

/// # Safety
/// `autoencoder` is NULL or of this library, and not freed meanwhile.
unsafe fn with<T>(
    autoencoder: *const SaeAutoencoder,
    work: impl FnOnce(&mut AtWork) -> Result<T>,
) -> Result<T> {
    // SAFETY: passed on.
    let SaeAutoencoder(at_work) = unsafe { handle("autoencoder", autoencoder) }?;
    work(&mut *enter("autoencoder", at_work)?)
}

/// Reads a model file. `threads` is how many to use, 0 for as many as there are cores.
///
/// # Safety
/// `path` is NULL or a string that ends in 0; `autoencoder` is NULL or to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_load(
    path: *const c_char,
    threads: usize,
    autoencoder: *mut *mut SaeAutoencoder,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            hand_over("autoencoder", autoencoder, || {
                SaeAutoencoder::new(Autoencoder::load(text("path", path)?)?, threads)
            })
        }
    })
}

/// Writes a model file (safetensors). Until it is whole on the disk, a file of that name stays as
/// it was.
///
/// # Safety
/// `autoencoder` is NULL or of this library, `path` NULL or a string that ends in 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_save(
    autoencoder: *const SaeAutoencoder,
    path: *const c_char,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let path = text("path", path)?;
            with(autoencoder, |at_work| Ok(at_work.net.save(path)?))
        }
    })
}

/// Frees an autoencoder, and ends its threads. NULL is none. One that is at work is left alone, and
/// `sae_last_error` says so.
///
/// # Safety
/// `autoencoder` is NULL or of this library, and not used again unless it was left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_free(autoencoder: *mut SaeAutoencoder) {
    // SAFETY: the caller's duty.
    unsafe { take_back("autoencoder", autoencoder, |its| is_busy(&its.0)) }
}

/// Maps or reads a file as `sae_samples_open` does, scaled as the data that the autoencoder was
/// trained on.
///
/// # Safety
/// `autoencoder` is NULL or of this library, `path` NULL or a string that ends in 0; `samples` is
/// NULL or to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_open(
    autoencoder: *const SaeAutoencoder,
    path: *const c_char,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            hand_over("samples", samples, || {
                let path = text("path", path)?;
                let scaling = with(autoencoder, |at_work| Ok(at_work.net.scaling()))?;
                Ok(SaeSamples(Samples::new(Array::open(path)?, scaling)))
            })
        }
    })
}

/// Features of a sample; 0 if it is NULL or at work.
///
/// # Safety
/// `autoencoder` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_features(autoencoder: *const SaeAutoencoder) -> usize {
    // SAFETY: the caller's duty.
    answer(0, || unsafe { with(autoencoder, |at_work| Ok(at_work.net.settings().layers[0])) })
}

/// Units of the code; 0 if it is NULL or at work.
///
/// # Safety
/// `autoencoder` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_code_units(autoencoder: *const SaeAutoencoder) -> usize {
    // SAFETY: the caller's duty.
    answer(0, || unsafe { with(autoencoder, |at_work| Ok(at_work.net.settings().code_units())) })
}

/// Hidden layers; 0 if it is NULL or at work.
///
/// # Safety
/// `autoencoder` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_hidden_layers(
    autoencoder: *const SaeAutoencoder,
) -> usize {
    let hidden = |at_work: &mut AtWork| Ok(at_work.net.settings().layers.len() - 2);
    // SAFETY: the caller's duty.
    answer(0, || unsafe { with(autoencoder, hidden) })
}

/// How many parameters there are; 0 if it is NULL or at work.
///
/// # Safety
/// `autoencoder` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_parameter_count(
    autoencoder: *const SaeAutoencoder,
) -> usize {
    // SAFETY: the caller's duty.
    answer(0, || unsafe { with(autoencoder, |at_work| Ok(at_work.net.parameters().len())) })
}

/// All parameters, laid out as those of `sae_trainer_parameters`.
///
/// # Safety
/// `autoencoder` is NULL or of this library; `parameters` is NULL or to room for `length` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_parameters(
    autoencoder: *const SaeAutoencoder,
    parameters: *mut f32,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            with(autoencoder, |at_work| {
                fill("parameters", at_work.net.parameters(), parameters, length)
            })
        }
    })
}

/// All settings, as one line of JSON: to be freed by `sae_string_free`.
///
/// # Safety
/// `autoencoder` is NULL or of this library; `json` is NULL or to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_settings(
    autoencoder: *const SaeAutoencoder,
    json: *mut *mut c_char,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            put_text("json", json, || {
                with(autoencoder, |at_work| Ok(at_work.net.settings().to_json()))
            })
        }
    })
}

/// As `sae_trainer_evaluate`.
///
/// # Safety
/// `autoencoder` and `samples` are NULL or of this library; `evaluation` is NULL or to room for
/// one, `layers` NULL or to room for `layers_length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_evaluate(
    autoencoder: *mut SaeAutoencoder,
    samples: *const SaeSamples,
    evaluation: *mut SaeEvaluation,
    layers: *mut SaeActivity,
    layers_length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let SaeSamples(samples) = handle("samples", samples)?;
            with(autoencoder, |AtWork { net, engine }| {
                let hidden = net.settings().layers.len() - 2;
                report(hidden, || net.evaluate(engine, samples), evaluation, layers, layers_length)
            })
        }
    })
}

/// Codes of samples, `[samples, code]`, row by row; `length` is the room, in numbers.
///
/// # Safety
/// `autoencoder` and `samples` are NULL or of this library; `codes` is NULL or to room for `length`
/// numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_encode(
    autoencoder: *mut SaeAutoencoder,
    samples: *const SaeSamples,
    codes: *mut f32,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let SaeSamples(samples) = handle("samples", samples)?;
            with(autoencoder, |AtWork { net, engine }| {
                let units = net.settings().code_units();
                check_room("codes", length, samples.len().saturating_mul(units))?;
                fill("codes", &net.encode(engine, samples)?, codes, length)
            })
        }
    })
}

/// Reconstructions `[count, features]`, row by row, from `count` codes, `[count, code]`; the
/// lengths are in numbers.
///
/// # Safety
/// `autoencoder` is NULL or of this library; `codes` is NULL or to `codes_length` numbers,
/// `reconstructions` NULL or to room for `length` others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_decode(
    autoencoder: *mut SaeAutoencoder,
    codes: *const f32,
    codes_length: usize,
    reconstructions: *mut f32,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let codes = numbers("codes", codes, codes_length)?;
            with(autoencoder, |AtWork { net, engine }| {
                let settings = net.settings();
                let (units, features) = (settings.code_units(), settings.layers[0]);
                if !codes_length.is_multiple_of(units) {
                    let problem = format!("{codes_length} numbers are not whole codes of {units}");
                    return Err(wrong("codes", problem));
                }
                let want = (codes_length / units).saturating_mul(features);
                check_room("reconstructions", length, want)?;
                fill("reconstructions", &net.decode(engine, codes)?, reconstructions, length)
            })
        }
    })
}

/// Reconstructions of samples, `[samples, features]`, row by row; `length` is the room, in numbers.
///
/// # Safety
/// `autoencoder` and `samples` are NULL or of this library; `reconstructions` is NULL or to room
/// for `length` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_reconstruct(
    autoencoder: *mut SaeAutoencoder,
    samples: *const SaeSamples,
    reconstructions: *mut f32,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let SaeSamples(samples) = handle("samples", samples)?;
            with(autoencoder, |AtWork { net, engine }| {
                let count = samples.len().saturating_mul(samples.features());
                check_room("reconstructions", length, count)?;
                let values = net.reconstruct(engine, samples)?;
                fill("reconstructions", &values, reconstructions, length)
            })
        }
    })
}
