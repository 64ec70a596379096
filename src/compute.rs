//! Computation: the instruction set, the threads and the division of work among them; random
//! streams.

pub(crate) mod engine;
mod environment;
mod memory;
mod pool;
pub(crate) mod random;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use engine::{
    Engine, Largest, add_blocks, blocks_of, divide_blocks, divided, row_parts, sum_blocks,
    sum_by_blocks,
};
pub use environment::threads_from_environment;
pub(crate) use memory::{available_address_space, available_memory};
pub use pool::{ThreadPool, available_threads};

/// Locks a mutex whose content stays valid if its user panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
