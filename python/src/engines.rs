//! Engines that are kept from one call to the next: their threads and memory take longer to make than one sample.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::process;
use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sae::{
    Engine, Isa,
    compute::{ThreadPool, threads_from_environment},
};

use crate::failure;

/// A number of threads; `None` is what the environment asks for, or the number of cores.
pub fn threads(threads: Option<usize>) -> PyResult<usize> {
    match threads {
        Some(0) => Err(PyValueError::new_err("threads: expected at least 1, got 0")),
        Some(threads) => Ok(threads),
        None => threads_from_environment().map_err(failure::of),
    }
}

/// A pool of a number of threads.
pub fn pool(count: Option<usize>) -> PyResult<ThreadPool> {
    Ok(ThreadPool::new(threads(count)?))
}

/// The instruction set that the environment variable `SAE_ISA` names, or the fastest.
pub fn isa() -> PyResult<Isa> {
    Isa::from_environment().map_err(|e| PyValueError::new_err(format!("SAE_ISA: {e}")))
}

/// Engines that are kept at most; each thread of Python that computes takes one.
const KEPT: usize = 4;

static ENGINES: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

struct Kept {
    engine: Engine,
    isa: Isa,
    threads: usize,
    /// The process that made it: the threads of a pool do not exist in a forked one.
    process: u32,
}

/// An engine for one call, which is kept afterwards.
pub struct Lent(Option<Kept>);

impl Lent {
    /// An engine of the instruction set of the environment, and of this number of threads; `None` is what the
    /// environment asks for, or the number of cores.
    pub fn new(count: Option<usize>) -> PyResult<Self> {
        let (isa, threads, process) = (isa()?, threads(count)?, process::id());
        // Another thread holds the lock for an instant; a thread that is not there in a forked process, for ever.
        let kept = ENGINES.try_lock().ok().and_then(|mut engines| {
            if engines.iter().any(|kept| kept.process != process) {
                // To drop them would be to wait for threads that are not there.
                mem::forget(mem::take(&mut *engines));
            }
            let fits = |kept: &Kept| (kept.isa, kept.threads) == (isa, threads);
            let at = engines.iter().position(fits)?;
            Some(engines.swap_remove(at))
        });
        let make =
            || Kept { engine: Engine::new(isa, ThreadPool::new(threads)), isa, threads, process };
        Ok(Lent(Some(kept.unwrap_or_else(make))))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(kept) = self.0.take() else { return };
        let Ok(mut engines) = ENGINES.try_lock() else { return };
        if engines.len() >= KEPT {
            engines.remove(0);
        }
        engines.push(kept);
    }
}

impl Deref for Lent {
    type Target = Engine;
    fn deref(&self) -> &Engine {
        &self.0.as_ref().expect("lent until it is dropped").engine
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Engine {
        &mut self.0.as_mut().expect("lent until it is dropped").engine
    }
}
