//! What computes: the instruction set, the threads and the division of work among them; random
//! streams.

mod engine;
mod pool;
pub(crate) mod random;

pub use engine::Engine;
pub(crate) use engine::row_parts;
pub use pool::{ThreadPool, available_threads};
