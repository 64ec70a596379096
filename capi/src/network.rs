//! What a trainer and an autoencoder have in common: a network, and an engine that computes it.

use std::ffi::c_char;

use sae::{Autoencoder, Engine, Samples};

use crate::data::SaeSamples;
use crate::error::{Result, SaeStatus, guard, value_or};
use crate::evaluation::{SaeActivity, SaeEvaluation, report};
use crate::pointers::{check_length, copy, handle, new_string, text};

/// A handle with a network.
pub(crate) trait Network {
    /// The name of the handle as an argument.
    const NAME: &'static str;

    /// Calls `work` with the network, and an engine that no other call uses meanwhile.
    fn with_engine<T>(
        &self,
        work: impl FnOnce(&mut Engine, &Autoencoder) -> Result<T>,
    ) -> Result<T>;

    /// Calls `work` with the network alone.
    fn with_net<T>(&self, work: impl FnOnce(&Autoencoder) -> Result<T>) -> Result<T>;
}

/// Calls `work` with the network of a handle.
///
/// # Safety
/// `network` is NULL or a valid handle, and is not freed meanwhile.
pub unsafe fn with_net<N: Network, T>(
    network: *const N,
    work: impl FnOnce(&Autoencoder) -> Result<T>,
) -> Result<T> {
    // SAFETY: passed on.
    unsafe { handle(N::NAME, network) }?.with_net(work)
}

/// The network, an engine for it and samples as the whole body of a function.
///
/// # Safety
/// As for [`with_net`]; `samples` is NULL or a valid handle.
unsafe fn call_on<N: Network>(
    network: *const N,
    samples: *const SaeSamples,
    work: impl FnOnce(&mut Engine, &Autoencoder, &Samples) -> Result<()>,
) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe {
        let SaeSamples(samples) = handle("samples", samples)?;
        handle(N::NAME, network)?.with_engine(|engine, net| work(engine, net, samples))
    })
}

/// A property of the network; 0 if the handle is NULL or in use.
///
/// # Safety
/// As for [`with_net`].
pub unsafe fn count<N: Network>(
    network: *const N,
    count: impl FnOnce(&Autoencoder) -> usize,
) -> usize {
    // SAFETY: passed on.
    value_or(0, || unsafe { with_net(network, |net| Ok(count(net))) })
}

/// Writes a model file.
///
/// # Safety
/// As for [`with_net`]; `path` is NULL or a NUL-terminated string.
pub unsafe fn save<N: Network>(network: *const N, path: *const c_char) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe {
        let path = text("path", path)?;
        with_net(network, |net| Ok(net.save(path)?))
    })
}

/// Writes the settings as JSON.
///
/// # Safety
/// As for [`with_net`]; `json` is NULL or points to memory for a pointer.
pub unsafe fn settings<N: Network>(network: *const N, json: *mut *mut c_char) -> SaeStatus {
    // SAFETY: passed on.
    unsafe { new_string("json", json, || with_net(network, |net| Ok(net.settings().to_json()))) }
}

/// Copies the parameters.
///
/// # Safety
/// As for [`with_net`]; `out` is NULL or points to memory for `length` values.
pub unsafe fn parameters<N: Network>(network: *const N, out: *mut f32, length: usize) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe { with_net(network, |net| copy("parameters", net.parameters(), out, length)) })
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
