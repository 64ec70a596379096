//! Codes and reconstructions of rows in memory, for threads that share a network.

use std::sync::Mutex;

use sae::{
    Autoencoder, Engine,
    compute::{ThreadPool, available_threads},
};

use crate::autoencoder::{SaeAutoencoder, isa};
use crate::error::{Result, SaeStatus, guard};
use crate::network::with_net;
use crate::pointers::{free_handle, handle, is_busy, lock, new_handle, slice, slice_mut};

/// Threads, and the memory that they compute in. Each thread that computes at the same time as others needs one of its
/// own; the autoencoder is shared.
pub struct SaeEngine(Mutex<Engine>);

/// Makes an engine. `threads` is the number of its threads, at most the number of cores; 1 computes in the thread that
/// calls, 0 is the number of cores.
///
/// # Safety
/// `engine` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_engine_new(threads: usize, engine: *mut *mut SaeEngine) -> SaeStatus {
    // SAFETY: the caller's obligation.
    unsafe {
        new_handle("engine", engine, || {
            let threads = if threads == 0 { available_threads() } else { threads };
            Ok(SaeEngine(Mutex::new(Engine::new(isa()?, ThreadPool::new(threads)))))
        })
    }
}

/// Frees an engine and ends its threads. NULL is ignored. One that is in use by another call is not freed, and
/// `sae_last_error` says so.
///
/// # Safety
/// `engine` is NULL or a valid handle, and is not used again unless it was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_engine_free(engine: *mut SaeEngine) {
    // SAFETY: the caller's obligation.
    unsafe { free_handle("engine", engine, |its| is_busy(&its.0)) }
}

/// Numbers to read, and how many.
type In = (*const f32, usize);
/// Memory for numbers, and for how many.
type Out = (*mut f32, usize);

/// Computes rows in memory as the whole body of a function.
///
/// # Safety
/// The handles are NULL or valid; the pointers are NULL or to as many numbers, apart from each other.
unsafe fn compute(
    (autoencoder, engine): (*const SaeAutoencoder, *mut SaeEngine),
    (name, (from, from_length)): (&str, In),
    (name_out, (to, to_length)): (&str, Out),
    work: impl FnOnce(&Autoencoder, &mut Engine, &[f32], &mut [f32]) -> sae::Result<()>,
) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe {
        let SaeEngine(engine) = handle("engine", engine)?;
        let mut engine = lock("engine", engine)?;
        let (from, to) = (slice(name, from, from_length)?, slice_mut(name_out, to, to_length)?);
        with_net(autoencoder, |net| Ok(work(net, &mut engine, from, to)?)) as Result<()>
    })
}

/// Computes the codes `[n, code units]` of rows `[n, features]`, both row-major; any number of rows. The features are as
/// the network sees them: bytes divided by 255, or whatever its scaling makes of the data. Allocates nothing from the second
/// call with the same autoencoder on.
///
/// # Safety
/// `autoencoder` and `engine` are NULL or valid handles; `rows` is NULL or points to `rows_length` values, `codes` is NULL
/// or points to memory for `length` values, apart from those.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_encode_rows(
    autoencoder: *const SaeAutoencoder,
    engine: *mut SaeEngine,
    rows: *const f32,
    rows_length: usize,
    codes: *mut f32,
    length: usize,
) -> SaeStatus {
    let (from, to) = (("rows", (rows, rows_length)), ("codes", (codes, length)));
    // SAFETY: the caller's obligations.
    unsafe { compute((autoencoder, engine), from, to, Autoencoder::encode_into) }
}

/// Computes the reconstructions `[n, features]` of codes `[n, code units]`, as `sae_autoencoder_encode_rows` does codes.
///
/// # Safety
/// As for `sae_autoencoder_encode_rows`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_decode_rows(
    autoencoder: *const SaeAutoencoder,
    engine: *mut SaeEngine,
    codes: *const f32,
    codes_length: usize,
    outputs: *mut f32,
    length: usize,
) -> SaeStatus {
    let (from, to) = (("codes", (codes, codes_length)), ("outputs", (outputs, length)));
    // SAFETY: the caller's obligations.
    unsafe { compute((autoencoder, engine), from, to, Autoencoder::decode_into) }
}

/// Computes the reconstructions `[n, features]` of rows `[n, features]`, as `sae_autoencoder_encode_rows` does codes.
///
/// # Safety
/// As for `sae_autoencoder_encode_rows`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_autoencoder_reconstruct_rows(
    autoencoder: *const SaeAutoencoder,
    engine: *mut SaeEngine,
    rows: *const f32,
    rows_length: usize,
    outputs: *mut f32,
    length: usize,
) -> SaeStatus {
    let (from, to) = (("rows", (rows, rows_length)), ("outputs", (outputs, length)));
    // SAFETY: the caller's obligations.
    unsafe { compute((autoencoder, engine), from, to, Autoencoder::reconstruct_into) }
}
