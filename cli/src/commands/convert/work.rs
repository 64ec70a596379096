//! Work that a signal ends in an orderly way.

use crate::failure::{Failure, Result};
use crate::interrupt;

/// Does work that removes its unfinished files when [`check_interrupt`] fails.
pub fn interruptible<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    interrupt::begin();
    let done = work();
    match interrupt::end() {
        Some(signal) if done.is_err() => Err(Failure::interrupted(signal)),
        _ => done,
    }
}

/// Fails if a signal has requested an end.
pub fn check_interrupt() -> Result<()> {
    if interrupt::requested() { Err(Failure::interrupted(2)) } else { Ok(()) }
}
