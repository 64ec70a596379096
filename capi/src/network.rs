//! What a trainer and an autoencoder have in common: a network, and an engine that computes it.

use std::ffi::c_char;
use std::sync::Mutex;

use sae::{Autoencoder, Engine, Samples};

use crate::data::SaeSamples;
use crate::error::{Result, SaeStatus, guard, value_or};
use crate::evaluation::{SaeActivity, SaeEvaluation, report};
use crate::pointers::{check_length, copy, handle, lock, new_string, text};

/// A handle with a network.
pub(crate) trait Network {
    /// The name of the handle as an argument.
    const NAME: &'static str;
    /// What one call at a time may use.
    type State;

    fn state(&self) -> &Mutex<Self::State>;

    fn parts(state: &mut Self::State) -> (&mut Engine, &Autoencoder);
}

/// Calls `work` with the state of a handle.
///
/// # Safety
/// `network` is NULL or a valid handle, and is not freed meanwhile.
pub unsafe fn with<N: Network, T>(
    network: *const N,
    work: impl FnOnce(&mut N::State) -> Result<T>,
) -> Result<T> {
    // SAFETY: passed on.
    let network = unsafe { handle(N::NAME, network) }?;
    work(&mut *lock(N::NAME, network.state())?)
}

/// [`with`] as the whole body of a function.
///
/// # Safety
/// As for [`with`].
pub unsafe fn call<N: Network>(
    network: *const N,
    work: impl FnOnce(&mut N::State) -> Result<()>,
) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe { with(network, work) })
}

/// Calls `work` with the network of a handle, and an engine for it.
///
/// # Safety
/// As for [`with`].
unsafe fn with_net<N: Network, T>(
    network: *const N,
    work: impl FnOnce(&mut Engine, &Autoencoder) -> Result<T>,
) -> Result<T> {
    let work = |state: &mut N::State| {
        let (engine, net) = N::parts(state);
        work(engine, net)
    };
    // SAFETY: passed on.
    unsafe { with(network, work) }
}

/// [`with_net`] and samples as the whole body of a function.
///
/// # Safety
/// As for [`with`]; `samples` is NULL or a valid handle.
unsafe fn call_on<N: Network>(
    network: *const N,
    samples: *const SaeSamples,
    work: impl FnOnce(&mut Engine, &Autoencoder, &Samples) -> Result<()>,
) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe {
        let SaeSamples(samples) = handle("samples", samples)?;
        with_net(network, |engine, net| work(engine, net, samples))
    })
}

/// A property of the network; 0 if the handle is NULL or in use.
///
/// # Safety
/// As for [`with`].
pub unsafe fn count<N: Network>(
    network: *const N,
    count: impl FnOnce(&Autoencoder) -> usize,
) -> usize {
    // SAFETY: passed on.
    value_or(0, || unsafe { with_net(network, |_, net| Ok(count(net))) })
}

/// Writes a model file.
///
/// # Safety
/// As for [`with`]; `path` is NULL or a NUL-terminated string.
pub unsafe fn save<N: Network>(network: *const N, path: *const c_char) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe {
        let path = text("path", path)?;
        with_net(network, |_, net| Ok(net.save(path)?))
    })
}

/// Writes the settings as JSON.
///
/// # Safety
/// As for [`with`]; `json` is NULL or points to memory for a pointer.
pub unsafe fn settings<N: Network>(network: *const N, json: *mut *mut c_char) -> SaeStatus {
    // SAFETY: passed on.
    unsafe { new_string("json", json, || with_net(network, |_, net| Ok(net.settings().to_json()))) }
}

/// Copies the parameters.
///
/// # Safety
/// As for [`with`]; `out` is NULL or points to memory for `length` values.
pub unsafe fn parameters<N: Network>(network: *const N, out: *mut f32, length: usize) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe {
        with_net(network, |_, net| copy("parameters", net.parameters(), out, length))
    })
}

/// Evaluates the network over samples.
///
/// # Safety
/// As for [`call_on`] and [`report`].
pub unsafe fn evaluate<N: Network>(
    network: *const N,
    samples: *const SaeSamples,
    out: *mut SaeEvaluation,
    layers: *mut SaeActivity,
    length: usize,
) -> SaeStatus {
    // SAFETY: passed on.
    unsafe {
        call_on(network, samples, |engine, net, samples| {
            let evaluate = || net.evaluate(engine, samples);
            report(hidden_layers(net), evaluate, out, layers, length)
        })
    }
}

/// Writes the codes of samples.
///
/// # Safety
/// As for [`call_on`]; `codes` is NULL or points to memory for `length` values.
pub unsafe fn encode<N: Network>(
    network: *const N,
    samples: *const SaeSamples,
    codes: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: passed on.
    unsafe {
        call_on(network, samples, |engine, net, samples| {
            let required = samples.len().saturating_mul(net.settings().code_units());
            check_length("codes", length, required)?;
            copy("codes", &net.encode(engine, samples)?, codes, length)
        })
    }
}

/// Writes the reconstructions of samples.
///
/// # Safety
/// As for [`call_on`]; `out` is NULL or points to memory for `length` values.
pub unsafe fn reconstruct<N: Network>(
    network: *const N,
    samples: *const SaeSamples,
    out: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: passed on.
    unsafe {
        call_on(network, samples, |engine, net, samples| {
            let outputs = net.settings().layers.last().copied().unwrap_or_default();
            let required = samples.len().saturating_mul(outputs);
            check_length("reconstructions", length, required)?;
            copy("reconstructions", &net.reconstruct(engine, samples)?, out, length)
        })
    }
}

/// The number of hidden layers of a network.
pub fn hidden_layers(net: &Autoencoder) -> usize {
    net.settings().layers.len() - 2
}
