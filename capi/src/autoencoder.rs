//! A network without its training: from a model file, or copied from a trainer.

use std::ffi::c_char;
use std::sync::{Mutex, PoisonError, RwLock, TryLockError};

use sae::{
    Autoencoder, Engine, Isa, Samples,
    compute::{ThreadPool, available_threads},
    data::Array,
};

use crate::data::SaeSamples;
use crate::error::{Result, SaeStatus, guard, invalid, invalid_setting};
use crate::evaluation::{SaeActivity, SaeEvaluation};
use crate::network::{self, Network, count, hidden_layers, with_net};
use crate::pointers::{
    check_length, copy, free_handle, handle, is_busy, lock, new_handle, slice, text, write,
};

/// An autoencoder, and threads of its own. Functions that take it as `const` may run at once, in any number of threads;
/// one call at a time uses its threads.
pub struct SaeAutoencoder {
    engine: Mutex<Engine>,
    /// Never written: a lock shows that a call reads it.
    net: RwLock<Autoencoder>,
}

impl Network for SaeAutoencoder {
    const NAME: &'static str = "autoencoder";

    fn with_engine<T>(
        &self,
        work: impl FnOnce(&mut Engine, &Autoencoder) -> Result<T>,
    ) -> Result<T> {
        let mut engine = lock(Self::NAME, &self.engine)?;
        self.with_net(|net| work(&mut engine, net))
    }

    fn with_net<T>(&self, work: impl FnOnce(&Autoencoder) -> Result<T>) -> Result<T> {
        work(&self.net.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SaeAutoencoder {
    pub(crate) fn new(net: Autoencoder, threads: usize) -> Result<Self> {
        let threads = if threads == 0 { available_threads() } else { threads };
        let engine = Engine::new(isa()?, ThreadPool::new(threads));
        Ok(SaeAutoencoder { engine: Mutex::new(engine), net: RwLock::new(net) })
    }
}

/// The instruction set that the environment variable `SAE_ISA` names, or the fastest.
pub fn isa() -> Result<Isa> {
    Isa::from_environment().map_err(|e| invalid_setting("SAE_ISA", e))
}

/// Reads a model file. `threads` is the number of threads, at most the number of cores; 0 for the
/// number of cores.
///
/// # Safety
/// `path` is NULL or a NUL-terminated string; `autoencoder` is NULL or points to memory for a
/// pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_load(
    path: *const c_char,
    threads: usize,
    autoencoder: *mut *mut SaeAutoencoder,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("autoencoder", autoencoder, || {
            SaeAutoencoder::new(Autoencoder::load(text("path", path)?)?, threads)
        })
    }
}

/// Reads the bytes of a model file, as `sae_autoencoder_load` does.
///
/// # Safety
/// `bytes` is NULL or points to `length` bytes; `autoencoder` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_from_bytes(
    bytes: *const u8,
    length: usize,
    threads: usize,
    autoencoder: *mut *mut SaeAutoencoder,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("autoencoder", autoencoder, || {
            let bytes = slice("bytes", bytes, length)?;
            SaeAutoencoder::new(Autoencoder::from_bytes("bytes", bytes)?, threads)
        })
    }
}

/// Makes the bytes of a model file, those that `sae_autoencoder_save` writes. `length` gets their number. Free them with
/// `sae_bytes_free`.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle; `bytes` and `length` are NULL or point to memory for a pointer and a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_to_bytes(
    autoencoder: *const SaeAutoencoder,
    bytes: *mut *mut u8,
    length: *mut usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    guard(|| unsafe {
        write("bytes", bytes, std::ptr::null_mut())?;
        write("length", length, 0)?;
        let made = with_net(autoencoder, |net| Ok(net.to_bytes()?))?.into_boxed_slice();
        write("length", length, made.len())?;
        write("bytes", bytes, Box::into_raw(made).cast())
    })
}

/// Frees what `sae_autoencoder_to_bytes` has made, of that length. NULL is ignored.
///
/// # Safety
/// `bytes` is NULL or from `sae_autoencoder_to_bytes`, which wrote `length`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_bytes_free(bytes: *mut u8, length: usize) {
    if !bytes.is_null() {
        // SAFETY: the caller's obligation; it was a box of as many bytes.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes, length)) });
    }
}

/// Writes a model file (safetensors). The write is atomic: a file of that name is replaced at the
/// end, or stays as it was.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle; `path` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_save(
    autoencoder: *const SaeAutoencoder,
    path: *const c_char,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::save(autoencoder, path) }
}

/// Frees an autoencoder and ends its threads. NULL is ignored. One that is in use by another call is
/// not freed, and `sae_last_error` says so.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle, and is not used again unless it was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_free(autoencoder: *mut SaeAutoencoder) {
    // SAFETY: the caller's obligation.
    unsafe {
        free_handle("autoencoder", autoencoder, |its| {
            is_busy(&its.engine) || matches!(its.net.try_write(), Err(TryLockError::WouldBlock))
        })
    }
}

/// Opens a file as `sae_samples_open` does, with the scaling of the data that the autoencoder was
/// trained on.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle; `path` is NULL or a NUL-terminated string; `samples` is
/// NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_open(
    autoencoder: *const SaeAutoencoder,
    path: *const c_char,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("samples", samples, || {
            let path = text("path", path)?;
            let scaling = with_net(autoencoder, |net| Ok(net.scaling()))?;
            Ok(SaeSamples(Samples::new(Array::open(path)?, scaling)))
        })
    }
}

/// The number of features of a sample; 0 if the autoencoder is NULL.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_features(autoencoder: *const SaeAutoencoder) -> usize {
    // SAFETY: the caller's obligation.
    unsafe { count(autoencoder, |net| net.settings().layers[0]) }
}

/// The number of units of the code; 0 if the autoencoder is NULL.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_code_units(autoencoder: *const SaeAutoencoder) -> usize {
    // SAFETY: the caller's obligation.
    unsafe { count(autoencoder, |net| net.settings().code_units()) }
}

/// The number of hidden layers; 0 if the autoencoder is NULL.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_hidden_layers(
    autoencoder: *const SaeAutoencoder,
) -> usize {
    // SAFETY: the caller's obligation.
    unsafe { count(autoencoder, hidden_layers) }
}

/// The number of parameters; 0 if the autoencoder is NULL.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_parameter_count(
    autoencoder: *const SaeAutoencoder,
) -> usize {
    // SAFETY: the caller's obligation.
    unsafe { count(autoencoder, |net| net.parameters().len()) }
}

/// Copies all parameters, in the layout of `sae_trainer_parameters`. `length` is
/// `sae_autoencoder_parameter_count`.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle; `parameters` is NULL or points to memory for `length`
/// values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_parameters(
    autoencoder: *const SaeAutoencoder,
    parameters: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::parameters(autoencoder, parameters, length) }
}

/// All settings as one line of JSON. Free it with `sae_string_free`.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle; `json` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_settings(
    autoencoder: *const SaeAutoencoder,
    json: *mut *mut c_char,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::settings(autoencoder, json) }
}

/// Evaluates as `sae_trainer_evaluate` does.
///
/// # Safety
/// As for `sae_trainer_evaluate`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_evaluate(
    autoencoder: *mut SaeAutoencoder,
    samples: *const SaeSamples,
    evaluation: *mut SaeEvaluation,
    layers: *mut SaeActivity,
    layers_length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::evaluate(autoencoder, samples, evaluation, layers, layers_length) }
}

/// Computes the codes of samples, `[samples, code units]`, row-major. `length` is their number of
/// values.
///
/// # Safety
/// `autoencoder` and `samples` are NULL or valid handles; `codes` is NULL or points to memory for
/// `length` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_encode(
    autoencoder: *mut SaeAutoencoder,
    samples: *const SaeSamples,
    codes: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::encode(autoencoder, samples, codes, length) }
}

/// Computes reconstructions `[count, features]`, row-major, from codes `[count, code units]`.
/// `codes_length` and `length` are their numbers of values.
///
/// # Safety
/// `autoencoder` is NULL or a valid handle; `codes` is NULL or points to `codes_length` values,
/// `reconstructions` is NULL or points to memory for `length` values, apart from those.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_decode(
    autoencoder: *mut SaeAutoencoder,
    codes: *const f32,
    codes_length: usize,
    reconstructions: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    guard(|| unsafe {
        let codes = slice("codes", codes, codes_length)?;
        handle("autoencoder", autoencoder)?.with_engine(|engine, net| {
            let settings = net.settings();
            let features = settings.layers.last().copied().unwrap_or_default();
            let units = settings.code_units();
            if !codes_length.is_multiple_of(units) {
                let problem =
                    format!("expected a length that is a multiple of {units}, got {codes_length}");
                return Err(invalid("codes", problem));
            }
            let required = (codes_length / units).saturating_mul(features);
            check_length("reconstructions", length, required)?;
            copy("reconstructions", &net.decode(engine, codes)?, reconstructions, length)
        })
    })
}

/// Computes the reconstructions of samples, `[samples, features]`, row-major. `length` is their
/// number of values.
///
/// # Safety
/// `autoencoder` and `samples` are NULL or valid handles; `reconstructions` is NULL or points to
/// memory for `length` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_reconstruct(
    autoencoder: *mut SaeAutoencoder,
    samples: *const SaeSamples,
    reconstructions: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe { network::reconstruct(autoencoder, samples, reconstructions, length) }
}
