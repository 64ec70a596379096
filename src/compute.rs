//! Computation: the instruction set, the threads and the division of work among them; random
//! streams.

pub(crate) mod engine;
mod environment;
mod pool;
pub(crate) mod random;

pub(crate) use engine::{Engine, divided, row_parts};
pub use environment::threads_from_environment;
pub use pool::{ThreadPool, available_threads};
